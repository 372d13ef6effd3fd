"""docs/migrating_names.md is what the tables say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("libcst")

from migrate.table_of_names import lines

FILE = Path(__file__).parents[2] / "docs" / "migrating_names.md"


def test_the_table_is_current():
    assert FILE.read_text(encoding="utf-8") == "\n".join(lines()) + "\n", (
        "write it anew: python tests/migrate/table_of_names.py > docs/migrating_names.md"
    )


def test_the_names_of_estimators_and_columns_have_equals():
    words = dict(re.findall(r"^\| `(.*?)` \| (.*?) \|", FILE.read_text(encoding="utf-8"), re.M))
    assert words["tf.estimator.DNNClassifier"] == "same"
    assert words["tf.estimator.BoostedTreesClassifier"] == "by hand"
    columns = {name: word for name, word in words.items() if name.startswith("tf.feature_column.")}
    assert {name for name, word in columns.items() if word != "same"} == {
        "tf.feature_column.input_layer",
        "tf.feature_column.linear_model",
    }
