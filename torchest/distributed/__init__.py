"""Public names of torchest.distributed."""
