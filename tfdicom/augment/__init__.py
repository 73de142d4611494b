"""Joint augmentation of image and mask, in graph operations."""

PACKED_PLANES = 8  # planes that travel with a pixel in one 32-bit word
#: Source pixels from one output pixel to the next that need no smoothing beforehand.
LONGEST_PLAIN_STEP = 1.5
