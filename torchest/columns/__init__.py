"""Public names of torchest.columns."""
