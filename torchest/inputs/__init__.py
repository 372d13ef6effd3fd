"""Public names of torchest.inputs."""

from torchest.inputs.dataset import Dataset

__all__ = ["Dataset"]
