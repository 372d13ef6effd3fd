"""Recipes of torchest.inputs."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import torch

from benchmarks.fuzz import things
from benchmarks.fuzz.recipe import Recipe
from torchest.inputs import Dataset, FixedLenFeature, TFRecordDataset

COLUMNS = "Tensor | Sequence[Any] | ndarray | Series | DataFrame"
SPECS = {"x": FixedLenFeature((1,), torch.float32)}


def _first(elements: Any) -> Any:
    return list(itertools.islice(elements, 3))


def _called(input_fn: Any) -> Any:
    return _first(input_fn())


def _read() -> dict[str, Any]:
    return {
        "batch_size": 2, "num_epochs": 1, "shuffle": True, "shuffle_buffer_size": 10, "shuffle_seed": 1,
        "prefetch_buffer_size": 1,
    }  # fmt: skip


def _of_memory() -> dict[str, Any]:
    return {
        "batch_size": 2,
        "num_epochs": 1,
        "shuffle": False,
        "queue_capacity": 10,
        "num_threads": 1,
    }


def _method(name: str, types: dict[str, str] | None = None, **arguments: Any) -> Recipe:
    return Recipe(lambda: arguments, lambda: getattr(things.rows(), name), _first, types or {})


def _range(args: int, output_type: Any) -> Dataset:
    return Dataset.range(args, output_type=output_type)


RECIPES = {
    "inputs.make_csv_dataset": Recipe(
        lambda: {
            "file_pattern": things.csv_file(), **_read(), "column_names": ["a", "b", "label"],
            "column_defaults": [0, "", 0], "label_name": "label", "select_columns": None, "field_delim": ",",
            "use_quote_delim": True, "na_value": "", "header": True, "num_parallel_reads": 1, "sloppy": False,
            "num_rows_for_inference": 10, "compression_type": None, "ignore_errors": False,
        },
        then=_first,
        types={"na_value": "str | Sequence[str]"},
        aliases=("column", "file"),
        calls=200,
    ),
    "inputs.make_parquet_dataset": Recipe(
        lambda: {"file_pattern": things.parquet_file(), **_read(), "label_name": "label", "select_columns": None},
        then=_first,
        aliases=("column", "file"),
    ),
    "inputs.make_batched_features_dataset": Recipe(
        lambda: {
            "file_pattern": things.record_file(), **_read(), "features": SPECS, "reader": TFRecordDataset,
            "label_key": None, "reader_args": None, "reader_num_threads": 1, "parser_num_threads": 1,
            "sloppy_ordering": False, "drop_final_batch": False,
        },
        then=_first,
        aliases=("feature", "file"),
        calls=150,
    ),
    "inputs.TFRecordDataset": Recipe(
        lambda: {
            "filenames": things.record_file(), "compression_type": None, "buffer_size": 100, "num_parallel_reads": 1,
        },
        then=_first,
        aliases=("file",),
    ),
    "inputs.TextLineDataset": Recipe(
        lambda: {
            "filenames": things.csv_file(), "compression_type": None, "buffer_size": 100, "num_parallel_reads": 1,
        },
        then=_first,
        aliases=("file",),
    ),
    "inputs.TensorSpec": Recipe(
        lambda: {"shape": (None, 2), "dtype": torch.float32, "name": "x"},
        types={"shape": "Sequence[int | None] | None", "dtype": "str | dtype"},
    ),
    "inputs.decode_csv": Recipe(
        lambda: {
            "records": ["1,a", "2,b"], "record_defaults": [0, ""], "field_delim": ",", "use_quote_delim": True,
            "na_value": "NA", "select_cols": [0, 1],
        },
        types={"records": "str | Sequence[str]"},
        aliases=("column",),
    ),
    "inputs.parse_single_example": Recipe(
        lambda: {"serialized": things.example(), "features": SPECS}, aliases=("feature", "example"),
    ),
    "inputs.shuffle_and_repeat": Recipe(
        lambda: {"buffer_size": 3, "count": 2, "seed": 1}, then=lambda made: _first(made(things.rows())),
    ),
    "inputs.parse_example": Recipe(
        lambda: {"serialized": [things.example()], "features": SPECS},
        types={"serialized": "Sequence[bytes] | ndarray | Series"},
        aliases=("feature", "example"),
    ),
    "inputs.numpy_input_fn": Recipe(
        lambda: {"x": {"a": np.array([1.0, 2.0])}, "y": np.array([0, 1]), **_of_memory()},
        then=_called,
        types={"x": "Mapping[str, ndarray] | ndarray", "y": "Mapping[str, ndarray] | ndarray | None"},
        aliases=("a", "features", "labels"),
    ),
    "inputs.pandas_input_fn": Recipe(
        lambda: {"x": things.frame(), "y": things.frame()["x"], **_of_memory(), "target_column": "target"},
        then=_called,
        types={"y": "Series | DataFrame | None"},
    ),
    "Dataset.from_tensor_slices": Recipe(
        lambda: {"tensors": {"x": [1.0, 2.0]}}, lambda: Dataset.from_tensor_slices, _first,
        types={"tensors": f"{COLUMNS} | Mapping[str, {COLUMNS}]"}, aliases=("x", "a", "column", "value"),
    ),
    "Dataset.from_tensors": Recipe(lambda: {"tensors": {"x": [1.0, 2.0]}}, lambda: Dataset.from_tensors, _first, aliases=("value",)),
    "Dataset.from_generator": Recipe(
        lambda: {
            "generator": lambda: iter([1, 2]), "output_types": "int64", "output_shapes": (), "args": (),
            "output_signature": None,
        },
        lambda: Dataset.from_generator,
        _first,
        types={"output_types": "str | dtype | None", "output_shapes": "Sequence[int | None] | None"},
        aliases=("dtype", "shape"),
    ),
    "Dataset.range": Recipe(
        lambda: {"args": 5, "output_type": "int64"}, lambda: _range, _first, aliases=("stop", "dtype"),
    ),
    "Dataset.list_files": Recipe(
        lambda: {"file_pattern": things.csv_file(), "shuffle": True, "seed": 1}, lambda: Dataset.list_files, _first,
        aliases=("file",),
    ),
    "Dataset.zip": Recipe(
        lambda: {"datasets": (things.rows(), things.rows())}, lambda: Dataset.zip, _first,
        types={"datasets": "Dataset | tuple[Dataset, ...]"},
    ),
    "Dataset.sample_from_datasets": Recipe(
        lambda: {
            "datasets": [things.rows(), things.rows()], "weights": [1.0, 2.0], "seed": 1,
            "stop_on_empty_dataset": False, "rerandomize_each_iteration": True,
        },
        lambda: Dataset.sample_from_datasets,
        _first,
    ),
    "Dataset.concatenate": Recipe(
        lambda: {"dataset": things.rows()}, lambda: things.rows().concatenate, _first,
    ),
    "Dataset.enumerate": _method("enumerate", start=1),
    "Dataset.apply": _method("apply", transformation_func=lambda data: data.batch(2)),
    "Dataset.map": _method("map", map_func=lambda row: row, num_parallel_calls=2, deterministic=True),
    "Dataset.flat_map": _method("flat_map", map_func=lambda row: things.rows()),
    "Dataset.interleave": _method(
        "interleave", map_func=lambda row: things.rows(), cycle_length=2, block_length=1, num_parallel_calls=2,
        deterministic=True,
    ),
    "Dataset.window": _method("window", size=2, shift=1, stride=1, drop_remainder=False),
    "Dataset.padded_batch": _method(
        "padded_batch", {"padded_shapes": "Any", "padding_values": "Any"}, batch_size=2, padded_shapes={"x": ()},
        padding_values={"x": 0.0}, drop_remainder=False,
    ),
    "Dataset.as_numpy_iterator": Recipe(function=lambda: things.rows().as_numpy_iterator),
    "Dataset.filter": _method("filter", predicate=lambda row: True),
    "Dataset.shuffle": _method("shuffle", buffer_size=3, seed=1, reshuffle_each_iteration=True),
    "Dataset.repeat": _method("repeat", count=2),
    "Dataset.batch": _method("batch", batch_size=2, drop_remainder=False),
    "Dataset.unbatch": Recipe(function=lambda: things.rows().batch(2).unbatch),
    "Dataset.take": _method("take", count=2),
    "Dataset.skip": _method("skip", count=2),
    "Dataset.shard": _method("shard", num_shards=2, index=0),
    "Dataset.cache": _method("cache"),
    "Dataset.prefetch": _method("prefetch", buffer_size=2),
    "Dataset.cardinality": Recipe(function=lambda: things.rows().cardinality),
    "Dataset.iterate": _method("iterate", skip=1, iteration=1),
}  # fmt: skip
