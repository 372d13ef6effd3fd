"""Recipes of torchest.columns."""

from __future__ import annotations

import inspect

import torch

from benchmarks.fuzz import things
from benchmarks.fuzz.recipe import Recipe
from torchest import columns as fc

DTYPE = {"dtype": "dtype"}


def _identity(key: str = "a") -> fc.CategoricalColumn:
    return fc.categorical_column_with_identity(key, 3)


def _sequence(key: str = "a") -> fc.FeatureColumn:
    column = fc.sequence_categorical_column_with_identity(key, 3)
    return fc.embedding_column(column, 2)


def _embedding() -> dict[str, object]:
    return {
        "categorical_column": _identity(), "dimension": 4, "combiner": "mean", "initializer": "zeros",
        "ckpt_to_load_from": None, "tensor_name_in_ckpt": None, "max_norm": 1.5, "trainable": True,
        "use_safe_embedding_lookup": True,
    }  # fmt: skip


def _shared() -> dict[str, object]:
    arguments = _embedding()
    del arguments["categorical_column"]
    return {
        "categorical_columns": [_identity("a"), _identity("b")],
        "shared_embedding_collection_name": "both",
        **arguments,
    }


def _numeric() -> dict[str, object]:
    return {
        "key": "x",
        "shape": (2,),
        "default_value": 0.5,
        "dtype": torch.float32,
        "normalizer_fn": None,
    }


def _vocabulary() -> dict[str, object]:
    return {
        "key": "a",
        "vocabulary_list": ["a", "b"],
        "dtype": "string",
        "default_value": -1,
        "num_oov_buckets": 0,
    }


def _file() -> dict[str, object]:
    return {
        "key": "a", "vocabulary_file": things.vocabulary_file(), "vocabulary_size": 2, "dtype": "string",
        "default_value": -1, "num_oov_buckets": 0,
    }  # fmt: skip


def _features() -> fc.Features:
    return fc.Features(things.FEATURES)


VALUES = "Sequence[Any] | Series | ndarray | Tensor"
NUMERIC = {**DTYPE, "default_value": "float | Sequence[Any] | Tensor | None"}

RECIPES = {
    "columns.numeric_column": Recipe(_numeric, types=NUMERIC),
    "columns.sequence_numeric_column": Recipe(_numeric, types=DTYPE),
    "columns.bucketized_column": Recipe(
        lambda: {"source_column": things.X, "boundaries": [1, 2.5]}
    ),
    "columns.categorical_column_with_hash_bucket": Recipe(
        lambda: {"key": "a", "hash_bucket_size": 10, "dtype": "string"}, types=DTYPE
    ),
    "columns.sequence_categorical_column_with_hash_bucket": Recipe(
        lambda: {"key": "a", "hash_bucket_size": 10, "dtype": "string"}, types=DTYPE
    ),
    "columns.categorical_column_with_identity": Recipe(
        lambda: {"key": "a", "num_buckets": 10, "default_value": 0}
    ),
    "columns.sequence_categorical_column_with_identity": Recipe(
        lambda: {"key": "a", "num_buckets": 10, "default_value": 0}
    ),
    "columns.categorical_column_with_vocabulary_list": Recipe(
        _vocabulary, types={"dtype": "dtype | None"}
    ),
    "columns.sequence_categorical_column_with_vocabulary_list": Recipe(
        _vocabulary, types={"dtype": "dtype | None"}
    ),
    "columns.categorical_column_with_vocabulary_file": Recipe(
        lambda: {**_file(), "file_format": None},
        types={**DTYPE, "default_value": "int | None"},
    ),
    "columns.sequence_categorical_column_with_vocabulary_file": Recipe(
        _file, types={**DTYPE, "default_value": "int | None"}
    ),
    "columns.crossed_column": Recipe(
        lambda: {"keys": ["a", "b"], "hash_bucket_size": 10, "hash_key": 7}
    ),
    "columns.embedding_column": Recipe(_embedding),
    "columns.shared_embeddings": Recipe(_shared),
    "columns.indicator_column": Recipe(lambda: {"categorical_column": _identity()}),
    "columns.weighted_categorical_column": Recipe(
        lambda: {
            "categorical_column": _identity(),
            "weight_feature_key": "w",
            "dtype": torch.float32,
        },
        types=DTYPE,
    ),
    "columns.make_parse_example_spec": Recipe(lambda: {"feature_columns": [things.X]}),
    "columns.describe": Recipe(
        lambda: {"columns": [things.X], "dataset": things.batch(), "collision_share": 0.1},
        types={"dataset": "Batch | Callable"},
        aliases=("input", "features", "feature"),
    ),
    "columns.infer": Recipe(
        lambda: {"dataframe": things.frame()},
        types={"dataframe": "DataFrame | Mapping[Any, Any]"},
        aliases=("a",),
    ),
    "columns.FixedLenFeature": Recipe(
        lambda: {"shape": (2,), "dtype": torch.float32, "default_value": 0.5},
        types={
            **DTYPE,
            "shape": "int | Sequence[int]",
            "default_value": "float | Sequence[Any] | None",
        },
    ),
    "columns.VarLenFeature": Recipe(lambda: {"dtype": torch.int64}, types=DTYPE),
    "columns.DenseFeatures": Recipe(
        lambda: {"feature_columns": [things.X], "trainable": True, "name": "deep"}
    ),
    "DenseFeatures.forward": Recipe(
        lambda: {"features": {"x": [1.0, 2.0]}},
        lambda: fc.DenseFeatures([things.X]),
        types={"features": f"Mapping[str, {VALUES}]"},
        aliases=("dict", "feature", "x"),
    ),
    "columns.LinearFeatures": Recipe(
        lambda: {"feature_columns": [things.X], "units": 2, "sparse_combiner": "sum"}
    ),
    "LinearFeatures.forward": Recipe(
        lambda: {"features": {"x": [1.0, 2.0]}},
        lambda: fc.LinearFeatures([things.X]),
        types={"features": f"Mapping[str, {VALUES}]"},
        aliases=("dict", "feature", "x"),
    ),
    "columns.SequenceFeatures": Recipe(
        lambda: {"feature_columns": [_sequence()], "trainable": True, "name": "steps"}
    ),
    "SequenceFeatures.forward": Recipe(
        lambda: {"features": {"steps": [[1.0], [2.0, 3.0]]}},
        lambda: fc.SequenceFeatures([things.STEPS]),
        types={"features": f"Mapping[str, {VALUES}]"},
        aliases=("dict", "feature", "steps"),
    ),
    "columns.Features": Recipe(
        lambda: {"features": {"x": [1.0, 2.0]}, "device": "cpu"},
        then=lambda features: [features[key] for key in features],
        types={"features": f"Mapping[str, {VALUES}]"},
        aliases=("a", "feature", "dict"),
    ),
    "Features.of": Recipe(
        lambda: {"features": {"x": [1.0, 2.0]}},
        lambda: fc.Features.of,
        then=lambda features: [features[key] for key in features],
        types={"features": f"Mapping[str, {VALUES}]"},
        aliases=("a", "feature", "dict"),
    ),
    "Features.encoded": Recipe(lambda: {"column": things.X}, lambda: _features().encoded),
    "Features.raw": Recipe(lambda: {"key": "x"}, lambda: _features().raw, aliases=("feature",)),
    "Features.to": Recipe(lambda: {"device": "cpu"}, lambda: _features().to),
}

_PLAIN = {
    "str": lambda: "a",
    "int": lambda: 10,
    "float": lambda: 1.5,
    "CategoricalColumn": _identity,
}


def _plain(name: str) -> Recipe:
    """The recipe of a function that takes plain values, such as a key and a number of ids."""
    parameters = inspect.signature(getattr(fc, name)).parameters.values()
    made = {each.name: _PLAIN[each.annotation] for each in parameters if each.default is each.empty}
    return Recipe(lambda: {name: make() for name, make in made.items()})


RECIPES |= {
    f"columns.{name}": _plain(name)
    for name in fc.__all__
    if "column" in name
    and inspect.isfunction(getattr(fc, name))
    and f"columns.{name}" not in RECIPES
}
