"""Public names of torchest.hooks."""
