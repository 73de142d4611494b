"""Changes of image and mask in training, each pure, each with a random twin."""
