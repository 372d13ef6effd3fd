"""Public names of torchest.experimental."""
