"""Public names of torchest.models."""
