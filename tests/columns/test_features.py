from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from torchest.columns.base import DenseColumn
from torchest.columns.categorical import (
    categorical_column_with_hash_bucket,
    categorical_column_with_vocabulary_list,
)
from torchest.columns.features import Features
from torchest.columns.ids import Ids
from torchest.columns.numeric import numeric_column
from torchest.errors import MissingFeatureError

if TYPE_CHECKING:
    from torch import Tensor

AGE = numeric_column("age")
TOWN = categorical_column_with_hash_bucket("town", 10)


def batch() -> dict[str, Any]:
    return {"age": np.array([22.0, 38.0]), "town": ["Cherbourg", "Queenstown"]}


@dataclass(frozen=True, eq=False)
class CountingColumn(DenseColumn):
    """Counts how often it encodes."""

    key: str
    calls: list[int] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.key

    @property
    def feature_keys(self) -> tuple[str, ...]:
        return (self.key,)

    @property
    def width(self) -> int:
        return 1

    def encode(self, features: Features) -> Tensor:
        self.calls.append(1)
        return features[self.key].float().reshape(-1, 1)

    def __hash__(self) -> int:
        return hash(self.key)


def test_numbers_are_tensors_and_text_stays_on_the_host() -> None:
    features = Features(batch())
    assert features["age"].tolist() == [22.0, 38.0]
    assert isinstance(features["town"], pa.Array)
    assert features["town"].to_pylist() == ["Cherbourg", "Queenstown"]


def test_conversions_are_made_once() -> None:
    features = Features(batch())
    assert features["age"] is features["age"]
    assert features.raw("town") is features.raw("town")


def test_a_column_encodes_a_batch_once_however_many_use_it() -> None:
    features = Features(batch())
    column = CountingColumn("age")
    assert features.encoded(column) is features.encoded(column)
    assert len(column.calls) == 1


def test_equal_columns_share_their_encoding() -> None:
    features = Features(batch())
    first = features.encoded(numeric_column("age"))
    assert features.encoded(numeric_column("age")) is first
    assert features.encoded(numeric_column("age", default_value=0)) is not first


def test_it_is_a_mapping() -> None:
    features = Features(batch())
    assert set(features) == {"age", "town"}
    assert len(features) == 2
    assert "age" in features
    assert features.get("fare") is None
    assert features.pop("age").tolist() == [22.0, 38.0]
    assert list(features) == ["town"]
    assert repr(features) == "Features('town'; device='cpu')"


def test_features_are_wrapped_once() -> None:
    features = Features(batch())
    assert Features.of(features) is features
    assert Features.of(batch()).batch_size == 2


def test_the_dict_that_was_given_stays_as_it_was() -> None:
    given = batch()
    features = Features(given)
    features["new"] = torch.ones(2)
    del features["age"]
    assert set(given) == {"age", "town"}


def test_a_new_value_replaces_what_was_made_of_the_old_one() -> None:
    features = Features(batch())
    town = features.encoded(TOWN)
    assert features.encoded(AGE).tolist() == [[22.0], [38.0]]
    features["age"] = features["age"] + 1
    assert features["age"].tolist() == [23.0, 39.0]
    assert features.encoded(AGE).tolist() == [[23.0], [39.0]]
    assert features.encoded(TOWN) is town


def test_gradients_flow_through_a_feature_that_the_user_computed() -> None:
    weight = torch.ones(2, requires_grad=True)
    features = Features(batch())
    features["age"] = weight * 2
    features.encoded(AGE).sum().backward()
    assert weight.grad is not None
    assert weight.grad.tolist() == [2.0, 2.0]


def test_usage_tells_what_was_read() -> None:
    features = Features(batch())
    features.encoded(TOWN)
    assert features.usage.columns == {TOWN}
    assert features.usage.keys == set()
    features["age"]
    assert features.usage.keys == {"age"}


def test_what_one_batch_was_used_for_is_made_ready_in_another() -> None:
    column = CountingColumn("age")
    first, second = Features(batch()), Features(batch())
    first.encoded(column)
    second.prepare(first.usage)
    assert len(column.calls) == 2
    second.encoded(column)
    assert len(column.calls) == 2


def test_what_the_model_mends_is_not_encoded_ahead_of_it() -> None:
    def model(features: Features) -> list[list[float]]:
        features["age"] = torch.nan_to_num(features["age"], 0.0)
        return features.encoded(AGE).tolist()

    first = Features({"age": np.array([1.0, np.nan])})
    assert model(first) == [[1.0], [0.0]]
    assert first.usage.columns == set()
    assert first.usage.keys == {"age"}
    second = Features({"age": np.array([np.nan, 2.0])})
    second.prepare(first.usage)
    assert model(second) == [[0.0], [2.0]]


def test_a_batch_without_a_feature_is_made_ready_as_far_as_it_goes() -> None:
    first = Features(batch())
    first.encoded(AGE)
    first["town"]
    second = Features({"other": [1, 2]})
    second.prepare(first.usage)
    with pytest.raises(MissingFeatureError, match="Column 'age' reads the feature 'age'"):
        second.encoded(AGE)


def test_all_that_was_made_moves_to_a_device() -> None:
    features = Features(batch())
    features["age"]
    features.encoded(AGE)
    features.encoded(TOWN)
    moved = features.to("meta")
    assert moved.device == torch.device("meta")
    assert moved["age"].device.type == "meta"
    assert moved.encoded(AGE).device.type == "meta"
    assert moved.encoded(TOWN).values.device.type == "meta"
    assert isinstance(moved["town"], pa.Array)
    assert features.encoded(AGE).device.type == "cpu"


def test_encodings_are_put_on_the_batchs_device() -> None:
    features = Features(batch(), device="meta")
    ids = features.encoded(TOWN)
    assert isinstance(ids, Ids)
    assert ids.values.device.type == "meta"
    assert features["age"].device.type == "meta"


def test_the_number_of_examples() -> None:
    assert Features(batch()).batch_size == 2
    assert Features({}).batch_size == 0
    assert Features({"x": np.empty((0, 3))}).batch_size == 0


def test_features_of_different_lengths() -> None:
    features = Features({"a": [1, 2, 3], "b": torch.zeros(2)})
    assert features["a"].tolist() == [1, 2, 3]
    with pytest.raises(
        ValueError,
        match=r"^Feature 'b' has 2 rows, but feature 'a' of the same batch has 3: "
        r"all features need one row for each example\.$",
    ):
        features["b"]


def test_a_missing_feature_is_named_with_its_nearest() -> None:
    features = Features(batch())
    with pytest.raises(
        MissingFeatureError,
        match=r"^There is no feature 'agee'\. Did you mean 'age'\? There are: 'age', 'town'\.$",
    ):
        features["agee"]
    with pytest.raises(
        MissingFeatureError,
        match=r"^Column 'agee' reads the feature 'agee', which is not there\. Did you mean 'age'\?",
    ):
        features.encoded(numeric_column("agee"))
    with pytest.raises(KeyError):
        features["agee"]
    with pytest.raises(ValueError, match="no feature"):
        features["agee"]


def test_something_that_is_no_mapping() -> None:
    with pytest.raises(
        TypeError,
        match=r"^Columns need a dict of features by key, not a Tensor: give, for example, \{.*\}\.$",
    ):
        Features.of(torch.zeros(3))  # type: ignore[arg-type]


def test_columns_compare_by_their_fields_and_travel_without_their_tables() -> None:
    column = categorical_column_with_vocabulary_list("v", ["a", "b"])
    same = categorical_column_with_vocabulary_list("v", ("a", "b"))
    other = categorical_column_with_vocabulary_list("v", ["b", "a"])
    assert column == same
    assert hash(column) == hash(same)
    assert column != other
    assert column != categorical_column_with_hash_bucket("v", 2)
    Features({"v": ["a"]}).encoded(column)
    for copied in (pickle.loads(pickle.dumps(column)), copy.deepcopy(column)):  # noqa: S301
        assert copied == column
        assert set(vars(copied)) == {
            "key", "vocabulary_list", "dtype", "default_value", "num_oov_buckets"
        }  # fmt: skip
        assert Features({"v": ["b"]}).encoded(copied).values.tolist() == [1]


def test_expected_columns_get_the_ids_that_they_get_alone() -> None:
    rows = {"a": ["x", "", "yy"], "b": np.array([b"x", b"zzz", b"a long text of 28 characters"])}
    columns = [
        categorical_column_with_hash_bucket("a", 1000),
        categorical_column_with_hash_bucket("b", 1000),
        categorical_column_with_vocabulary_list("b", ["zzz"]),
        numeric_column("not there"),
    ]
    together = Features(rows)
    together.expect(columns)
    for column in columns[:3]:
        alone = Features(rows).encoded(column).values.tolist()
        assert together.encoded(column).values.tolist() == alone
        assert together.to("cpu").encoded(column).values.tolist() == alone


def test_a_feature_that_is_set_anew_is_hashed_anew() -> None:
    column = categorical_column_with_hash_bucket("a", 1000)
    features = Features({"a": ["x", "y"]})
    features.expect([column])
    first = features.encoded(column).values.tolist()
    features["a"] = ["y", "x"]
    assert features.encoded(column).values.tolist() == first[::-1]
