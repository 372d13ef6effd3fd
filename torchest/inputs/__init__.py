"""Public names of torchest.inputs."""

from torchest.inputs.csv import make_csv_dataset
from torchest.inputs.dataset import Dataset

__all__ = ["Dataset", "make_csv_dataset"]
