"""Columns as JSON, and back."""

from __future__ import annotations

import json

import pytest
import torch

from torchest import columns
from torchest.columns.base import column_of_json
from torchest.export.column_json import Assets, digest

AGE = columns.numeric_column("age", shape=(2, 3), default_value=0.5, dtype=torch.float64)
WORD = columns.categorical_column_with_vocabulary_list(
    "日本", ["a", "b\n", "\U0001f600"], num_oov_buckets=2
)
IDS = columns.categorical_column_with_vocabulary_list("n", [3, 2**53 + 1])
DAY = columns.categorical_column_with_identity("day", 7, default_value=0)
HASHED = columns.categorical_column_with_hash_bucket("h", 10, dtype=torch.int64)
COLUMNS = [
    AGE, WORD, IDS, DAY, HASHED,
    columns.categorical_column_with_vocabulary_list("raw", [b"\xff", b"a"]),
    columns.bucketized_column(columns.numeric_column("x"), [0.1, 1e30]),
    columns.crossed_column(["a", DAY], 2**40, hash_key=7),
    columns.weighted_categorical_column(WORD, "w"),
    columns.sequence_categorical_column_with_hash_bucket("s", 10),
    columns.sequence_numeric_column("t", shape=2, default_value=-1.0),
]  # fmt: skip


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
def test_a_column_comes_back(column):
    described = json.loads(json.dumps(column.to_json(Assets())))
    assert column_of_json(described, Assets()) == column


def test_digests_tell_columns_apart():
    assert len({digest(column) for column in COLUMNS}) == len(COLUMNS)
    assert digest(AGE) == digest(
        columns.numeric_column("age", shape=(2, 3), default_value=0.5, dtype=torch.float64)
    )


def test_a_digest_follows_the_words_of_a_file_and_not_its_place(tmp_path):
    paths = [tmp_path / name / "words.txt" for name in ("one", "two", "three")]
    for path, words in zip(paths, ("a\nb\n", "a\nb\n", "a\nc\n"), strict=True):
        path.parent.mkdir()
        path.write_text(words)
    made = [columns.categorical_column_with_vocabulary_file("w", path) for path in paths]
    one, two, three = map(digest, made)
    assert one == two != three


def test_files_and_functions_of_one_name_get_names_of_their_own(tmp_path):
    assets = Assets()
    assert assets.name_of_file("/a/words.txt") == "words.txt"
    assert assets.name_of_file("/b/words.txt") == "words-2.txt"
    assert assets.name_of_file("/a/words.txt") == "words.txt"
    first, second = columns.numeric_column("a/b"), columns.numeric_column("a.b")
    assert assets.name_of_function(abs, first) == "a_b.pt"
    assert assets.name_of_function(torch.log, second) == "a_b-2.pt"
