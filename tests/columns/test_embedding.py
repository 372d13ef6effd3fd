from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import nn

from torchest.columns.categorical import (
    categorical_column_with_hash_bucket,
    categorical_column_with_identity,
)
from torchest.columns.crossed import crossed_column
from torchest.columns.embedding import (
    EmbeddingColumn,
    SharedEmbeddingColumnCreator,
    TruncatedNormal,
    embedding_column,
    shared_embeddings,
)
from torchest.columns.features import Features
from torchest.columns.numeric import numeric_column
from torchest.columns.sequence import sequence_categorical_column_with_identity
from torchest.columns.weighted import weighted_categorical_column

A, B, C = (categorical_column_with_identity(key, 3) for key in "abc")


def test_names_and_fields() -> None:
    column = embedding_column(A, 4)
    assert column.name == "a_embedding"
    assert column.feature_keys == ("a",)
    assert column == EmbeddingColumn(
        A, 4, "mean", TruncatedNormal(0.5), None, None, None, True, True
    )
    assert (
        embedding_column(weighted_categorical_column(A, "w"), 4).name == "a_weighted_by_w_embedding"
    )
    assert embedding_column(crossed_column(["b", "a"], 9), 4).name == "a_X_b_embedding"


def test_it_encodes_what_its_categorical_column_does() -> None:
    features = Features({"a": [2, -1]})
    assert features.encoded(embedding_column(A, 4)) is features.encoded(A)
    (shared,) = shared_embeddings([A], 4)
    assert features.encoded(shared) is features.encoded(A)


def test_the_default_initializer_is_a_truncated_normal_distribution() -> None:
    table = torch.empty(20_000, 16)
    embedding_column(A, 16).initializer(table)
    assert table.abs().max() <= 0.5
    # Cut at two deviations, the deviation of a normal distribution shrinks to 0.8796 of it.
    assert table.std().item() == pytest.approx(0.8796 / 4, rel=0.01)
    assert table.mean().item() == pytest.approx(0, abs=0.002)


@pytest.mark.parametrize("initializer", ["ones", "ones_", nn.init.ones_])
def test_other_initializers(initializer: Any) -> None:
    table = torch.empty(3, 2)
    embedding_column(A, 2, initializer=initializer).initializer(table)
    assert table.tolist() == [[1, 1]] * 3


def test_columns_that_share_a_table() -> None:
    b, a = shared_embeddings([B, A], 2, combiner="sum", max_norm=1.5)
    assert (b.name, a.name) == ("b_shared_embedding", "a_shared_embedding")
    assert (b.categorical_column, a.categorical_column) == (B, A)
    assert (a.combiner, a.max_norm, a.dimension) == ("sum", 1.5, 2)
    creator = a.shared_embedding_column_creator
    assert creator is b.shared_embedding_column_creator
    assert creator == SharedEmbeddingColumnCreator(
        dimension=2,
        initializer=TruncatedNormal(1 / 2**0.5),
        ckpt_to_load_from=None,
        tensor_name_in_ckpt=None,
        num_buckets=3,
        trainable=True,
        name="a_b_shared_embedding",
        use_safe_embedding_lookup=True,
    )
    (named,) = shared_embeddings([A], 2, shared_embedding_collection_name="words")
    assert named.shared_embedding_column_creator.name == "words"


def test_weighted_and_sequence_columns_may_share_with_plain_ones() -> None:
    columns = [
        A,
        weighted_categorical_column(B, "w"),
        sequence_categorical_column_with_identity("c", 3),
    ]
    shared = shared_embeddings(columns, 2)
    assert [column.name for column in shared] == [
        "a_shared_embedding",
        "b_weighted_by_w_shared_embedding",
        "c_shared_embedding",
    ]


NOT_CATEGORICAL = (
    " is 'x' (NumericColumn): give a categorical column, such as one made by "
    "categorical_column_with_vocabulary_list."
)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"categorical_column": numeric_column("x")}, "categorical_column" + NOT_CATEGORICAL),
        (
            {"dimension": 0},
            "Column 'a_embedding': dimension=0 must be a whole number of at least 1.",
        ),
        (
            {"dimension": None},
            "Column 'a_embedding': dimension=None must be a whole number of at least 1.",
        ),
        (
            {"combiner": "max"},
            "Column 'a_embedding': combiner='max' is not known. There are: 'mean', 'sqrtn', 'sum'.",
        ),
        (
            {"initializer": 3},
            "initializer of column 'a_embedding' is 3: give a function that fills a tensor in place, such "
            "as torch.nn.init.xavier_uniform_, or its name.",
        ),
        (
            {"ckpt_to_load_from": "model"},
            "Column 'a_embedding' has ckpt_to_load_from='model' and tensor_name_in_ckpt=None: give both, or "
            "neither.",
        ),
        (
            {"tensor_name_in_ckpt": "table"},
            "Column 'a_embedding' has ckpt_to_load_from=None and tensor_name_in_ckpt='table': give both, or "
            "neither.",
        ),
        (
            {"max_norm": 0.0},
            "Column 'a_embedding': max_norm=0.0 must be a finite number above 0. None is no limit.",
        ),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{re.escape(message)}$"):
        embedding_column(**{"categorical_column": A, "dimension": 2, **arguments})


def test_an_initializer_that_torch_does_not_have() -> None:
    with pytest.raises(
        ValueError,
        match=r"^initializer of column 'a_embedding' is 'xavier', which is not a function of a tensor in "
        r"torch\.nn\.init\..*'xavier_normal'",
    ):
        embedding_column(A, 2, initializer="xavier")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ([], "categorical_columns is empty: give the columns that share the table."),
        (
            A,
            "categorical_columns is 'a' (IdentityCategoricalColumn): give a list of categorical columns.",
        ),
        ([A, numeric_column("x")], "categorical_columns" + NOT_CATEGORICAL),
        (
            [A, categorical_column_with_identity("b", 4)],
            "categorical_columns has 'a' with 3 ids and 'b' with 4: columns that share a table must have the same "
            "number of ids.",
        ),
        (
            [A, categorical_column_with_hash_bucket("b", 3)],
            "categorical_columns has 'a' (IdentityCategoricalColumn) and 'b' (HashedCategoricalColumn): columns "
            "that share a table must be of one kind.",
        ),
    ],
)
def test_columns_that_cannot_share(columns: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        shared_embeddings(columns, 2)
