"""Joint augmentation of image and mask, in graph operations."""

PACKED_PLANES = 8  # planes that travel with a pixel in one 32-bit word
