"""Columns of the user's own, made of public names only."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch

import torchest
from torchest import columns
from torchest.columns.base import column_of_json
from torchest.export.column_json import Assets

ROWS = {
    "number": np.array([3, 14, 15, 92, 65, 35]),
    "price": np.array([0.5, 1.0, 2.0, -1.0, 0.0, 4.0], np.float32),
    "town": np.array(["Oslo", "Rome", "Lima", "", "Rome", "Oslo"]),
}
LABELS = np.array([0, 1, 0, 1, 1, 0], np.float32)
QUIET = torchest.RunConfig(tf_random_seed=1, save_summary_steps=None, log_step_count_steps=None)
TOWN = columns.categorical_column_with_vocabulary_list("town", ["Oslo", "Rome"])


class Keyed:
    """What the columns of one feature below share."""

    @property
    def name(self):
        return f"{self.key}_{type(self).__name__}"

    @property
    def feature_keys(self):
        return (self.key,)


@dataclasses.dataclass(frozen=True, eq=False)
class Modulo(Keyed, columns.CategoricalColumn):
    """The remainder of an integer."""

    key: str
    divisor: int

    @property
    def num_buckets(self):
        return self.divisor

    def look_up(self, features):
        numbers = np.asarray(features[self.key])
        return columns.Cells(np.where(numbers < 0, columns.MISSING, numbers % self.divisor))


@dataclasses.dataclass(frozen=True, eq=False)
class Power(Keyed, columns.DenseColumn):
    """A number and its square."""

    key: str
    width = 2

    def encode(self, features):
        number = torch.as_tensor(features.raw(self.key)).float()
        return torch.stack([number, number**2], 1)


@dataclasses.dataclass(frozen=True, eq=False)
class Reversed(columns.CategoricalColumn):
    """The ids of another column in reverse order."""

    source: columns.CategoricalColumn

    @property
    def name(self):
        return f"{self.source.name}_reversed"

    @property
    def feature_keys(self):
        return self.source.feature_keys

    @property
    def num_buckets(self):
        return self.source.num_buckets

    def look_up(self, features):
        last = self.num_buckets - 1
        return self.source.cells(features).map(lambda ids: np.where(ids >= 0, last - ids, ids))


OWN = {
    "categorical": [Modulo("number", 5)],
    "dense": [Power("price")],
    "over another column": [Reversed(TOWN)],
    "over one of its own": [Reversed(Modulo("number", 5))],
    "weighted": [columns.weighted_categorical_column(Modulo("number", 5), "price")],
    "crossed": [columns.crossed_column([Modulo("number", 5), "town"], 10)],
}


def trained(listed, **options):
    estimator = torchest.LinearClassifier(listed, config=QUIET, **options)
    return estimator.train(lambda: [(ROWS, LABELS)] * 3)


def receiver(listed):
    keys = {key for column in listed for key in column.feature_keys}
    return torchest.export.build_raw_serving_input_receiver_fn({key: ROWS[key][:2] for key in keys})


@pytest.mark.parametrize("kind", OWN)
def test_it_trains_evaluates_and_predicts(kind, tmp_path):
    estimator = trained(OWN[kind], model_dir=tmp_path)
    assert estimator.evaluate(lambda: [(ROWS, LABELS)])["global_step"] == 3
    assert len(list(estimator.predict(lambda: [ROWS]))) == 6


def test_it_learns_as_the_column_of_torchest_with_the_same_ids(tmp_path):
    ids = {**ROWS, "number": ROWS["number"] % 5}
    identity = columns.categorical_column_with_identity("number", 5)
    own = trained([Modulo("number", 5)], model_dir=tmp_path / "own")
    other = torchest.LinearClassifier([identity], tmp_path / "identity", config=QUIET)
    other.train(lambda: [(ids, LABELS)] * 3)
    first, second = (
        estimator.get_variable_value(f"linear.{name}.weight")
        for estimator, name in ((own, "number_Modulo"), (other, "number"))
    )
    assert np.array_equal(first, second)


def test_it_feeds_an_embedding_and_an_indicator(tmp_path):
    modulo = Modulo("number", 5)
    listed = [columns.embedding_column(modulo, 2), columns.indicator_column(modulo), Power("price")]
    estimator = torchest.DNNClassifier([4], listed, tmp_path, config=QUIET)
    estimator.train(lambda: [(ROWS, LABELS)] * 2)
    assert len(list(estimator.predict(lambda: [ROWS]))) == 6


@pytest.mark.parametrize("kind", OWN)
def test_what_it_reads_of_the_batch_is_no_input_of_the_model(kind):
    batch = columns.Features(ROWS)
    batch.encoded(OWN[kind][0])
    assert batch.usage.keys == set()


class FirstId(type(columns.categorical_column_with_hash_bucket("town", 10))):
    """Hash buckets, all of which are one."""

    def look_up(self, features):
        return columns.Cells(np.zeros(features.batch_size, np.int64))


class Negated(type(columns.numeric_column("price"))):
    """Numbers with the other sign."""

    def encode(self, features):
        return -super().encode(features)


def test_what_a_class_below_one_of_torchest_changes_holds_beside_others_too():
    town, price = columns.categorical_column_with_hash_bucket("x", 2), columns.numeric_column("x")
    ids = [FirstId(key, 10, town.dtype) for key in ("town", "other")]
    layer = columns.LinearFeatures(ids)
    rows = torch.arange(10.0)[:, None] + 1
    layer.load_state_dict({**layer.state_dict(), "town.weight": rows, "other.weight": rows})
    batch = {"town": ROWS["town"], "other": ROWS["town"][::-1]}
    assert layer(batch).tolist() == [[2.0]] * 6
    numbers = [Negated(key, price.shape, None, price.dtype, None) for key in ("price", "other")]
    dense = columns.DenseFeatures(numbers)
    assert torch.equal(
        dense({"price": ROWS["price"], "other": ROWS["price"]}),
        -torch.tensor(ROWS["price"])[:, None].expand(6, 2),
    )


# ---- exports


@pytest.mark.parametrize("which", ["torchscript", "pt2"])
@pytest.mark.parametrize("kind", OWN)
@pytest.mark.filterwarnings("ignore:.*TorchScript:DeprecationWarning")
def test_formats_that_encode_rows_in_python_take_it(kind, which, tmp_path):
    estimator = trained(OWN[kind], model_dir=tmp_path / "model")
    path = estimator.export_saved_model(tmp_path / "export", receiver(OWN[kind]), formats=[which])
    model = torchest.export.load(path, engine=which)
    keys = {key for column in OWN[kind] for key in column.feature_keys}
    answers = model.signatures["predict"](**{key: ROWS[key] for key in keys})
    expected = [each["logits"] for each in estimator.predict(lambda: [ROWS])]
    assert np.allclose(answers["logits"], expected, atol=1e-6)


@pytest.mark.parametrize("which", ["onnx", "onnx-fingerprints"])
@pytest.mark.parametrize("kind", OWN)
def test_onnx_names_the_class_and_the_method_that_it_lacks(kind, which, tmp_path):
    estimator = trained(OWN[kind], model_dir=tmp_path / "model")
    lacking = "Power.onnx_numbers" if kind == "dense" else r"(Modulo|Reversed).onnx_ids"
    message = rf"\(\w+\) has no ONNX form: define {lacking}\(graph\), or export with formats"
    with pytest.raises(ValueError, match=message):
        estimator.export_saved_model(tmp_path / "export", receiver(OWN[kind]), formats=[which])
    assert list((tmp_path / "export").glob("*")) == []


@pytest.mark.parametrize("over", ["crossed", "weighted"])
def test_a_column_below_another_that_refuses_the_values_of_a_trial_is_named(over, tmp_path):
    rows = {**ROWS, "number": ROWS["number"] + 10}
    listed = [OVER_IDS[over](Parsed("number", 5))]
    estimator = torchest.LinearClassifier(listed, tmp_path / "model", config=QUIET)
    estimator.train(lambda: [(rows, LABELS)])
    spec = columns.make_parse_example_spec(listed)
    with pytest.raises(ValueError, match=r"^Column 'number_Parsed' \(Parsed\) refuses values"):
        estimator.export_saved_model(
            tmp_path / "export",
            torchest.export.build_parsing_serving_input_receiver_fn(spec),
            formats=["pt2"],
        )


@pytest.mark.parametrize("kind", set(OWN) - {"over another column"})
def test_parse_specs_name_the_class_and_the_method_that_it_lacks(kind):
    message = r"\((Modulo|Power|Reversed)\) has no parse specs: define (Modulo|Power|Reversed)\.parse_specs\(\), which"
    with pytest.raises(ValueError, match=message):
        columns.make_parse_example_spec(OWN[kind])
    with pytest.raises(ValueError, match=message):
        torchest.classifier_parse_example_spec(OWN[kind], label_key="label")


@dataclasses.dataclass(frozen=True, eq=False)
class Parsed(Modulo):
    """A column with parse specs, and examples in its range alone."""

    def parse_specs(self):
        return {self.key: columns.FixedLenFeature((), torch.int64)}

    def examples(self):
        return {self.key: (10, 11, 12)}

    def look_up(self, features):
        if (np.asarray(features.raw(self.key)) < 10).any():
            raise KeyError("a number below 10")
        return super().look_up(features)


def test_a_column_with_parse_specs_and_examples_is_served_serialized_examples(tmp_path):
    rows = {"number": np.array([13, 14, 15, 92, 65, 35])}
    estimator = torchest.LinearClassifier([Parsed("number", 5)], tmp_path / "model", config=QUIET)
    estimator.train(lambda: [(rows, LABELS)])
    path = estimator.export_saved_model(
        tmp_path / "export",
        torchest.export.build_raw_serving_input_receiver_fn({"number": rows["number"][:2]}),
        formats=["pt2"],
    )
    answers = torchest.export.load(path, engine="pt2").signatures["predict"](**rows)
    expected = [each["logits"] for each in estimator.predict(lambda: [rows])]
    assert np.allclose(answers["logits"], expected, atol=1e-6)
    assert columns.make_parse_example_spec([Parsed("number", 5)]) == {
        "number": columns.FixedLenFeature((), torch.int64)
    }


def test_a_column_that_refuses_the_values_of_a_trial_is_named(tmp_path):
    rows = {"number": np.array([13, 14, 15, 92, 65, 35])}
    estimator = torchest.LinearClassifier([Parsed("number", 5)], tmp_path / "model", config=QUIET)
    estimator.train(lambda: [(rows, LABELS)])
    spec = columns.make_parse_example_spec([Parsed("number", 5)])
    with pytest.raises(
        ValueError,
        match=r"Column 'number_Parsed' \(Parsed\) refuses values that an export is tried on \(KeyError.*examples\(\)",
    ):
        estimator.export_saved_model(
            tmp_path / "export",
            torchest.export.build_parsing_serving_input_receiver_fn(spec),
            formats=["pt2"],
        )


def test_a_feature_that_a_receiver_lacks_is_named(tmp_path):
    estimator = trained([Modulo("number", 5)], model_dir=tmp_path / "model")
    with pytest.raises(torchest.MissingFeatureError, match=r"reads the feature 'number', which"):
        estimator.export_saved_model(tmp_path / "export", receiver([Power("price")]), formats="pt2")


@dataclasses.dataclass(frozen=True, eq=False)
class Table(Keyed, columns.CategoricalColumn):
    """A column with a field that JSON has no form for."""

    key: str
    table: frozenset[int]
    num_buckets = 2

    def look_up(self, features):
        return columns.Cells(
            np.isin(np.asarray(features.raw(self.key)), list(self.table)).astype(int)
        )


def test_a_field_without_a_form_in_json_is_named(tmp_path):
    listed = [Table("number", frozenset({3, 14}))]
    estimator = trained(listed, model_dir=tmp_path / "model")
    with pytest.raises(
        ValueError,
        match=r"Column 'number_Table' \(Table\) cannot be exported: its field 'table' has frozenset",
    ):
        estimator.export_saved_model(tmp_path / "export", receiver(listed), formats=["pt2"])


def test_a_process_that_has_not_imported_the_class_is_told_which_module_to_import(tmp_path):
    estimator = trained([Modulo("number", 5)], model_dir=tmp_path / "model")
    path = estimator.export_saved_model(
        tmp_path / "export", receiver([Modulo("number", 5)]), formats=["pt2"]
    )
    code = f"import torchest; torchest.export.load({str(path)!r}, engine='pt2')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert last == (
        "ModuleNotFoundError: The exported model has a column of class "
        f"{__name__}.Modulo, which is not defined here: import {__name__} before loading the model."
    )


@pytest.mark.parametrize("kind", ["__main__.Modulo", "module.function.<locals>.Modulo"])
def test_a_class_that_no_module_has_is_no_reason_to_import_one(kind):
    message = (
        "class .*Modulo, which is not defined here: define it at the top of a module, export again"
    )
    with pytest.raises(ModuleNotFoundError, match=message):
        column_of_json({"type": kind}, Assets())


def test_a_class_of_the_name_of_one_of_torchest_does_not_take_its_place():
    made = dataclasses.make_dataclass(
        "NumericColumn", [("key", str)], bases=(Power,), frozen=True, eq=False
    )
    assert made.exported_name() != "NumericColumn"
    assert columns.FeatureColumn.classes["NumericColumn"] is type(columns.numeric_column("x"))


# ---- descriptions


def test_it_is_described_by_its_ids_and_numbers():
    modulo, power = columns.describe([Modulo("number", 5), Power("price")], ROWS)
    # 3, 4, 0, 2, 0, 0
    assert (modulo.distinct, modulo.unknown, modulo.num_buckets, modulo.missing) == (4, 0, 5, 0)
    assert (power.distinct, power.values, power.unknown) == (8, 12, None)


@dataclasses.dataclass(frozen=True, eq=False)
class Neither(Keyed, columns.FeatureColumn):
    """A column that is neither dense nor categorical."""

    key: str

    def encode(self, features):
        return torch.as_tensor(features.raw(self.key))


NEITHER = {
    "describe": lambda: columns.describe([Neither("number")], ROWS),
    "a linear model": lambda: columns.LinearFeatures([Neither("number")]),
    "a deep model": lambda: columns.DenseFeatures([Neither("number")]),
    "a sequence model": lambda: columns.SequenceFeatures([Neither("number")]),
    "parse specs": lambda: columns.make_parse_example_spec([Neither("number")]),
}


@pytest.mark.parametrize("use", NEITHER)
def test_a_column_of_no_kind_is_named(use):
    with pytest.raises(ValueError, match=r"'number_Neither' \(Neither\)"):
        NEITHER[use]()


# ---- classes that are not as columns must be


class Bare(Keyed, columns.DenseColumn):
    width = 1

    def __init__(self, key):
        self.key = key

    def encode(self, features):
        return torch.as_tensor(features.raw(self.key)).float()[:, None]


@dataclasses.dataclass
class Mutable(Keyed, columns.DenseColumn):
    key: str
    width = 1
    encode = Bare.encode


@dataclasses.dataclass(frozen=True, eq=False)
class OneKey(Power):
    @property
    def feature_keys(self):
        return self.key


def returning(kind, value, **attributes):
    method = "encode" if kind is columns.DenseColumn else "look_up"
    made = type("Own", (Keyed, kind), {method: lambda self, features: value, **attributes})
    return dataclasses.make_dataclass("Own", [("key", str)], bases=(made,), frozen=True, eq=False)(
        "number"
    )


WRONG_CLASSES = {
    "no dataclass": (Bare("price"), "class Bare, which is not a dataclass: decorate the class with @dataclass"),
    "not hashable": (Mutable("price"), r"'price_Mutable' \(Mutable\) cannot be hashed .*frozen=True, eq=False"),
    "a list as field": (
        Modulo("number", [5]), r"'number_Modulo' \(Modulo\) cannot be hashed .* tuples in place of lists"
    ),
    "no name": (
        returning(columns.DenseColumn, None, width=1, name=5), "name of a column of class Own=5 must be a string"
    ),
    "text for a width": (
        returning(columns.DenseColumn, None, width="1"), r"width of column 'number_Own' \(Own\)='1' must be"
    ),
    "no buckets": (
        returning(columns.CategoricalColumn, None, num_buckets=0), r"num_buckets of column 'number_Own' \(Own\)=0 must"
    ),
    "a width that fails": (
        returning(columns.DenseColumn, None, width=property(lambda self: self.source.width)),
        r"width of Own\(key='number'\) raises AttributeError.*: define it for these fields, or give other fields"
    ),
    "a string for keys": (OneKey("price"), r"feature_keys of column 'price_OneKey' \(OneKey\) is 'price': return a"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_CLASSES)
def test_a_class_that_is_no_good_for_columns_is_named(case):
    column, message = WRONG_CLASSES[case]
    with pytest.raises(ValueError, match=message):
        columns.LinearFeatures([column])


WRONG_ENCODINGS = {
    "an array": (columns.DenseColumn, np.zeros((6, 1)), {"width": 1}, "encode returned array"),
    "no second dimension": (
        columns.DenseColumn, torch.zeros(6), {"width": 1}, r"encode returned torch.float32 \[6\] .* tensor \[6, 1\]"
    ),
    "integers": (
        columns.DenseColumn, torch.zeros(6, 1, dtype=torch.int64), {"width": 1}, r"encode returned torch.int64 \[6, 1\]"
    ),
    "no cells": (columns.CategoricalColumn, np.zeros(6), {"num_buckets": 2}, "look_up returned array.* columns.Cells"),
    "floats": (
        columns.CategoricalColumn, columns.Cells(np.zeros(6)), {"num_buckets": 2}, r"array \[6\] of float64"
    ),
    "too few rows": (
        columns.CategoricalColumn, columns.Cells(np.zeros(5, int)), {"num_buckets": 2}, "5 rows for a batch of 6"
    ),
    "ids beyond the range": (
        columns.CategoricalColumn, columns.Cells(np.full(6, 2)), {"num_buckets": 2}, "the id 2; return ids below"
    ),
    "offsets of more ids": (
        columns.CategoricalColumn, columns.Cells(np.zeros(3, int), np.arange(7)), {"num_buckets": 2},
        r"offsets array\(\[0, .*\) for 3 ids; return integers that start with 0, do not fall, and end with 3"
    ),
    "offsets that fall": (
        columns.CategoricalColumn, columns.Cells(np.zeros(2, int), [0, 2, 1, 2, 2, 2, 2]), {"num_buckets": 2},
        r"offsets \[0, 2, 1, .*for 2 ids; return"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_ENCODINGS)
def test_an_encoding_that_is_not_of_its_kind_is_named(case):
    kind, value, attributes, message = WRONG_ENCODINGS[case]
    layer = columns.LinearFeatures([returning(kind, value, **attributes)])
    with pytest.raises(ValueError, match=rf"Column 'number_Own' \(Own\): .*{message}"):
        layer(ROWS)


OVER_IDS = {
    "crossed": lambda ids: columns.crossed_column([ids, "town"], 9),
    "weighted": lambda ids: columns.weighted_categorical_column(ids, "price"),
    "an indicator": columns.indicator_column,
    "of another's own": Reversed,
}


@pytest.mark.parametrize("over", OVER_IDS)
@pytest.mark.parametrize("cells", [None, columns.Cells(np.zeros(6)), columns.Cells(np.full(6, 7))])
def test_wrong_ids_are_named_below_other_columns_too(over, cells):
    ids = returning(columns.CategoricalColumn, cells, num_buckets=5)
    with pytest.raises(ValueError, match=r"'number_Own' \(Own\): look_up returned"):
        columns.LinearFeatures([OVER_IDS[over](ids)])(ROWS)
    with pytest.raises(ValueError, match=r"'number_Own' \(Own\): look_up returned"):
        columns.describe([OVER_IDS[over](ids)], ROWS)


def test_wrong_numbers_are_named_in_descriptions_too():
    column = returning(columns.DenseColumn, torch.zeros(6), width=1)
    with pytest.raises(ValueError, match=r"\(Own\): encode returned torch.float32 \[6\]"):
        columns.describe([column], ROWS)


@pytest.mark.parametrize(
    "values", [np.uint64([1, 2, 3, 4, 0, 1]), torch.tensor([1, 2, 3, 4, 0, 1]), [1, 2, 3, 4, 0, 1]]
)
def test_ids_may_be_any_integers(values):
    for cells in (columns.Cells(values), columns.Cells(values, list(range(7)))):
        ids = returning(columns.CategoricalColumn, cells, num_buckets=5)
        assert columns.Features(ROWS).encoded(ids).values.tolist() == [1, 2, 3, 4, 0, 1]
        weighted = columns.weighted_categorical_column(ids, "price")
        assert columns.Features(ROWS).encoded(weighted).values.tolist() == [1, 2, 3, 4, 0, 1]
