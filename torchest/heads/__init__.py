"""Public names of torchest.heads."""
