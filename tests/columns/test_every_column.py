"""Every class of columns has all its parts; a part that is missing is named."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import textwrap
from pathlib import Path

import pytest

from tests.catalogue.test_all_columns import CASES
from torchest import columns
from torchest.columns.base import (
    CategoricalColumn,
    ColumnOverIds,
    DenseColumn,
    FeatureColumn,
    column_of_json,
)
from torchest.export.column_json import Assets

GUIDE = Path(__file__).parents[2] / "docs" / "adding_a_column.md"


def concrete_classes():
    """The classes of torchest, without those that layers make to encode several columns at once."""
    return [
        kind
        for kind in FeatureColumn.classes.values()
        if kind.is_of_torchest
        and not inspect.isabstract(kind)
        and kind.members is FeatureColumn.members
    ]


def defines(kind, *methods):
    """Whether a class, or one between it and the abstract ones, defines one of some methods."""
    bases = (FeatureColumn, DenseColumn, CategoricalColumn)
    abstract = [None, *(getattr(base, name, None) for base in bases for name in methods)]
    return any(getattr(kind, name, None) not in abstract for name in methods)


def missing_parts(kind):
    """The parts that a class of columns lacks, by name."""
    cases = [column for column in (case.make() for case in CASES.values()) if type(column) is kind]
    made = [getattr(columns, name) for name in columns.__all__]
    returned = [str(getattr(each, "__annotations__", {}).get("return")) for each in made]
    takes_over = issubclass(kind, ColumnOverIds)  # whatever the column of its ids has
    takes_any = not issubclass(kind, CategoricalColumn)  # any numbers are examples
    has = {
        "a case in the catalogue": bool(cases),
        "a constructor in torchest.columns": any(kind.__name__ in each for each in returned),
        "parse_specs": takes_over or defines(kind, "parse_specs"),
        "examples": takes_over or takes_any or defines(kind, "examples"),
        "a form in JSON": all(map(comes_back, cases)),
        "a form in ONNX": kind.exported_column is ColumnOverIds.exported_column
        or defines(kind, "onnx_numbers", "onnx_ids", "onnx_steps"),
    }
    return [part for part, is_there in has.items() if not is_there]


class InPlace(Assets):
    """Finds files where they were."""

    def path_of_file(self, name):
        return self.files[name]


def comes_back(column):
    assets = InPlace()
    try:
        return column_of_json(json.loads(json.dumps(column.to_json(assets))), assets) == column
    except ValueError:
        return False


def test_there_are_all_classes():
    assert {
        "BucketizedColumn", "CrossedColumn", "EmbeddingColumn", "HashedCategoricalColumn", "IdentityCategoricalColumn",
        "IndicatorColumn", "NumericColumn", "SequenceCategoricalColumn", "SequenceNumericColumn",
        "SharedEmbeddingColumn", "VocabularyFileCategoricalColumn", "VocabularyListCategoricalColumn",
        "WeightedCategoricalColumn",
    } <= {kind.__name__ for kind in concrete_classes()}  # fmt: skip


@pytest.mark.parametrize("kind", concrete_classes(), ids=lambda kind: kind.__name__)
def test_a_class_has_all_its_parts(kind):
    assert missing_parts(kind) == []


@pytest.mark.parametrize("name", CASES)
def test_examples_and_parse_specs_are_of_the_features_of_a_column(name):
    column = CASES[name].make()
    assert set(column.examples()) <= set(column.feature_keys)
    assert set(column.parse_specs()) == set(column.feature_keys)


IDENTITY = type(columns.categorical_column_with_identity("x", 2))
TAKEN_AWAY = {
    "parse_specs": lambda patch: patch.delattr(IDENTITY, "parse_specs"),
    "examples": lambda patch: patch.delattr(IDENTITY, "examples"),
    "a form in ONNX": lambda patch: patch.delattr(IDENTITY, "onnx_ids"),
    "a form in JSON": lambda patch: patch.delitem(FeatureColumn.classes, IDENTITY.__name__),
    "a case in the catalogue": lambda patch: patch.delitem(CASES, "identity"),
    "a constructor in torchest.columns": lambda patch: patch.setattr(
        columns, "__all__", sorted({*columns.__all__} - {"categorical_column_with_identity"})
    ),
}


@pytest.mark.parametrize("part", TAKEN_AWAY)
def test_a_part_that_is_taken_away_is_noticed(part, monkeypatch):
    TAKEN_AWAY[part](monkeypatch)
    assert missing_parts(IDENTITY) == [part]


def test_a_new_class_lacks_what_it_does_not_define():
    @dataclasses.dataclass(frozen=True, eq=False)
    class Modulo(CategoricalColumn):
        key: str
        num_buckets: int
        name = property(lambda self: self.key)
        feature_keys = property(lambda self: (self.key,))

        def look_up(self, features):
            raise NotImplementedError

    assert missing_parts(Modulo) == [
        "a case in the catalogue", "a constructor in torchest.columns", "parse_specs", "examples", "a form in ONNX",
    ]  # fmt: skip


def test_the_column_of_the_guide_lacks_its_lines_and_its_case_alone():
    _, program = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    made = {"__name__": "__main__"}
    exec(textwrap.dedent("   " + program.lstrip(" ")), made)
    kind = made["RemainderCategoricalColumn"]
    assert missing_parts(kind) == ["a case in the catalogue", "a constructor in torchest.columns"]
    assert comes_back(made["categorical_column_with_remainder"]("day", 7))
