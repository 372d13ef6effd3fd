"""Public names of torchest.columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchest.columns.base import CategoricalColumn, DenseColumn, FeatureColumn
from torchest.columns.bucketized import bucketized_column
from torchest.columns.categorical import (
    categorical_column_with_hash_bucket,
    categorical_column_with_identity,
    categorical_column_with_vocabulary_list,
)
from torchest.columns.crossed import crossed_column
from torchest.columns.embedding import embedding_column, shared_embeddings
from torchest.columns.encode.cells import MISSING, Cells
from torchest.columns.feature_specs import FixedLenFeature, VarLenFeature
from torchest.columns.features import Features
from torchest.columns.ids import Ids
from torchest.columns.indicator import indicator_column
from torchest.columns.layers.dense import DenseFeatures
from torchest.columns.layers.linear import LinearFeatures
from torchest.columns.layers.sequence import SequenceFeatures
from torchest.columns.numeric import numeric_column
from torchest.columns.onnx_graph import OnnxGraph
from torchest.columns.parse_spec import make_parse_example_spec
from torchest.columns.report.describe import ColumnDescription, Description, describe
from torchest.columns.report.infer import InferredColumns, infer
from torchest.columns.sequence import (
    sequence_categorical_column_with_hash_bucket,
    sequence_categorical_column_with_identity,
    sequence_categorical_column_with_vocabulary_file,
    sequence_categorical_column_with_vocabulary_list,
    sequence_numeric_column,
)
from torchest.columns.steps import Steps
from torchest.columns.vocabulary_file import categorical_column_with_vocabulary_file
from torchest.columns.weighted import weighted_categorical_column
from torchest.utils.namespaces import namespace

__all__ = [
    "MISSING",
    "CategoricalColumn",
    "Cells",
    "ColumnDescription",
    "DenseColumn",
    "DenseFeatures",
    "Description",
    "FeatureColumn",
    "Features",
    "FixedLenFeature",
    "Ids",
    "InferredColumns",
    "LinearFeatures",
    "OnnxGraph",
    "SequenceFeatures",
    "Steps",
    "VarLenFeature",
    "bucketized_column",
    "categorical_column_with_hash_bucket",
    "categorical_column_with_identity",
    "categorical_column_with_vocabulary_file",
    "categorical_column_with_vocabulary_list",
    "crossed_column",
    "describe",
    "embedding_column",
    "indicator_column",
    "infer",
    "make_parse_example_spec",
    "numeric_column",
    "sequence_categorical_column_with_hash_bucket",
    "sequence_categorical_column_with_identity",
    "sequence_categorical_column_with_vocabulary_file",
    "sequence_categorical_column_with_vocabulary_list",
    "sequence_numeric_column",
    "shared_embeddings",
    "weighted_categorical_column",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = namespace(__name__, __all__)
