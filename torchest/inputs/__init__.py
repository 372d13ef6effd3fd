"""Public names of torchest.inputs."""

from typing import TYPE_CHECKING

from torchest.columns.feature_specs import FixedLenFeature, VarLenFeature
from torchest.inputs.batched_features import make_batched_features_dataset
from torchest.inputs.csv import make_csv_dataset
from torchest.inputs.csv_lines import decode_csv
from torchest.inputs.dataset import Dataset, shuffle_and_repeat
from torchest.inputs.element_specs import TensorSpec
from torchest.inputs.example_parsing import parse_example, parse_single_example
from torchest.inputs.in_memory import numpy_input_fn, pandas_input_fn
from torchest.inputs.parquet import make_parquet_dataset
from torchest.inputs.text_lines import TextLineDataset
from torchest.inputs.tfrecord import TFRecordDataset
from torchest.utils.namespaces import namespace

__all__ = [
    "Dataset",
    "FixedLenFeature",
    "TFRecordDataset",
    "TensorSpec",
    "TextLineDataset",
    "VarLenFeature",
    "decode_csv",
    "make_batched_features_dataset",
    "make_csv_dataset",
    "make_parquet_dataset",
    "numpy_input_fn",
    "pandas_input_fn",
    "parse_example",
    "parse_single_example",
    "shuffle_and_repeat",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = namespace(__name__, __all__)
