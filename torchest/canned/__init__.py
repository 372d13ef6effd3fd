"""Public names of torchest.canned."""
