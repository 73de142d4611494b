"""A data set over HTTP: its examples to look at, and its batches to train from."""
