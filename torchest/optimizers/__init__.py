"""Public names of torchest.optimizers."""
