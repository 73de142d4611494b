"""Finding images and the annotations that name them, one module for each kind."""
