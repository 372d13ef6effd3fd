"""Public names of torchest.inputs."""

from torchest.inputs.csv import make_csv_dataset
from torchest.inputs.dataset import Dataset
from torchest.inputs.numpy_io import numpy_input_fn
from torchest.inputs.pandas_io import pandas_input_fn
from torchest.inputs.parquet import make_parquet_dataset

__all__ = [
    "Dataset",
    "make_csv_dataset",
    "make_parquet_dataset",
    "numpy_input_fn",
    "pandas_input_fn",
]
