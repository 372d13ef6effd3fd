"""Right things that several recipes need; made once in a process where they cost something."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

import torchest
from torchest import columns as fc
from torchest.inputs import Dataset
from torchest.kernels.tfrecords import masked_crc32c

X = fc.numeric_column("x")
TOWN = fc.categorical_column_with_vocabulary_list("town", ["a", "b", "c"])
STEPS = fc.sequence_numeric_column("steps")
FEATURES = {"x": [1.0, 2.0, 3.0], "town": ["a", "b", "?"]}
LABELS = [0, 1, 1]


def batch() -> tuple[dict[str, Any], Any]:
    return dict(FEATURES), np.array(LABELS)


def input_fn() -> Dataset:
    """Three batches of three rows."""
    return Dataset.from_tensor_slices(batch()).batch(3).repeat(3)


def rows() -> Dataset:
    return Dataset.from_tensor_slices({"x": [1.0, 2.0, 3.0, 4.0]})


def classifier(directory: str | None = None) -> torchest.LinearClassifier:
    return torchest.LinearClassifier([X, TOWN], directory)


@functools.cache
def model_dir() -> str:
    """A directory with checkpoints of a trained model."""
    path = os.path.abspath("trained")
    config = torchest.RunConfig(save_checkpoints_steps=1)
    torchest.LinearClassifier([X, TOWN], path, config=config).train(input_fn, steps=2)
    return path


@functools.cache
def trained() -> torchest.LinearClassifier:
    return classifier(model_dir())


def receiver_fn() -> Any:
    specs = fc.make_parse_example_spec([X, TOWN])
    return torchest.export.build_raw_serving_input_receiver_fn(specs)()


def supervised_receiver_fn() -> Any:
    return torchest.experimental.build_raw_supervised_input_receiver_fn(*batch())()


@functools.cache
def exported() -> str:
    return trained().export_saved_model("exports", receiver_fn)


@functools.cache
def csv_file() -> str:
    path = Path("rows.csv").absolute()
    path.write_text("a,b,label\n1,x,0\n2,y,1\n3,z,1\n")
    return str(path)


@functools.cache
def parquet_file() -> str:
    path = os.path.abspath("rows.parquet")
    pq.write_table(pa.table({"a": [1, 2, 3], "label": [0, 1, 1]}), path)
    return path


def example() -> bytes:
    """A serialized tf.Example {"x": [1.5]}."""
    number = b"\x12\x06\x0a\x04" + np.float32(1.5).tobytes()
    entry = b"\x0a\x01x\x12" + bytes([len(number)]) + number
    features = b"\x0a" + bytes([len(entry)]) + entry
    return b"\x0a" + bytes([len(features)]) + features


@functools.cache
def record_file() -> str:
    """A TFRecord file of one example."""
    path = Path("rows.tfrecord").absolute()
    length = len(example()).to_bytes(8, "little")
    path.write_bytes(b"".join(part + _masked_crc(part) for part in (length, example())))
    return str(path)


def _masked_crc(data: bytes) -> bytes:
    checksum = masked_crc32c(np.frombuffer(data, np.uint8), 0, len(data))
    return checksum.to_bytes(4, "little")


@functools.cache
def vocabulary_file() -> str:
    path = Path("words.txt").absolute()
    path.write_text("a\nb\nc\n")
    return str(path)


def frame() -> pd.DataFrame:
    return pd.DataFrame({"x": [1.0, 2.0, 3.0], "town": ["a", "b", "a"]})


def parameter() -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.tensor([0.5, 1.5]))


def model_fn(features: Any, labels: Any, mode: str) -> torchest.EstimatorSpec:
    net = torchest.get_or_create("net", lambda: torch.nn.Linear(1, 1))
    output = net(features["x"].reshape(-1, 1))
    if mode == torchest.ModeKeys.PREDICT:
        return torchest.EstimatorSpec(mode, predictions={"y": output})
    loss = output.square().mean()
    sgd = torchest.get_or_create("sgd", lambda: torch.optim.SGD(net.parameters(), lr=0.1))
    return torchest.EstimatorSpec(mode, loss=loss, train_op=sgd)
