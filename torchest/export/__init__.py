"""Public names of torchest.export."""
