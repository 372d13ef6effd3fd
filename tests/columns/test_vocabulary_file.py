from __future__ import annotations

import pickle
import re
from typing import TYPE_CHECKING, Any

import pytest
import torch

from torchest.columns.features import Features
from torchest.columns.vocabulary_file import (
    VocabularyFileCategoricalColumn,
    categorical_column_with_vocabulary_file,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., VocabularyFileCategoricalColumn]:
    """Makes a column over a file of the given content."""

    def column(content: bytes, **arguments: Any) -> VocabularyFileCategoricalColumn:
        path = tmp_path / "words.txt"
        path.write_bytes(content)
        return categorical_column_with_vocabulary_file("v", path, **arguments)

    return column


def ids(column: VocabularyFileCategoricalColumn, values: Any) -> list[int]:
    actual: list[int] = Features({"v": values}).encoded(column).values.tolist()
    return actual


def test_lines_are_words(make: Any) -> None:
    column = make(b"p\nq\n\xe6\x97\xa5\n")
    assert ids(column, ["q", "", "zz", "日", "p", None]) == [1, -1, -1, 2, 0, -1]
    assert column.num_buckets == 3


@pytest.mark.parametrize("content", [b"p\nq", b"p\r\nq\r\n", b"p\r\nq"])
def test_ends_of_lines(make: Any, content: bytes) -> None:
    column = make(content)
    assert column.vocabulary_size == 2
    assert ids(column, ["p", "q", "q\r"]) == [0, 1, -1]


def test_spaces_belong_to_the_words(make: Any) -> None:
    assert ids(make(b" p\nq \n"), ["p", " p", "q "]) == [-1, 0, 1]


def test_the_first_lines_count(make: Any) -> None:
    column = make(b"p\nq\nr\n\np\n", vocabulary_size=2, num_oov_buckets=1)
    assert ids(column, ["p", "q", "r"]) == [0, 1, 2]
    assert column.num_buckets == 3


def test_unknown_words_have_the_default_or_a_bucket(make: Any) -> None:
    assert ids(make(b"p\nq\n", default_value=1), ["p", "zz", ""]) == [0, 1, -1]
    # the same buckets as categorical_column_with_vocabulary_list('v', ['p', 'q'], num_oov_buckets=3)
    assert ids(make(b"p\nq\n", num_oov_buckets=3), ["zz", "aa", "bb", ""]) == [3, 2, 4, -1]


def test_integers(make: Any) -> None:
    column = make(b"3\n5\n-7\n", dtype=torch.int64)
    assert ids(column, [3, 5, -7, 9, -1]) == [0, 1, 2, -1, -1]


def test_the_file_is_read_when_it_is_needed(make: Any, tmp_path: Path) -> None:
    column = make(b"p\nq\n")
    travelled = pickle.loads(pickle.dumps(column))  # noqa: S301
    assert travelled == column
    (tmp_path / "words.txt").write_bytes(b"a\np\n")
    assert ids(column, ["p"]) == [1]
    assert ids(travelled, ["p"]) == [1]


def test_fields(make: Any, tmp_path: Path) -> None:
    assert make(b"p\nq\n") == VocabularyFileCategoricalColumn(
        key="v",
        vocabulary_file=str(tmp_path / "words.txt"),
        vocabulary_size=2,
        num_oov_buckets=0,
        dtype="string",
        default_value=-1,
        file_format=None,
    )


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (b"p\n\nq\n", {}, "has an empty line, 2: remove it."),
        (b"p\nq\np\n", {}, "has 'p' in line 1 and again in line 3: remove one of them."),
        (
            b"p\n",
            {"vocabulary_size": 2},
            "has 1 lines, but vocabulary_size is 2: lower it, or leave it out to use all lines.",
        ),
        (
            b"3\nfive\n",
            {"dtype": "int64"},
            "has 'five' in line 2, which is not an integer: correct it, or make the column with "
            "dtype='string'.",
        ),
    ],
)
def test_files_that_are_no_vocabulary(
    make: Any, tmp_path: Path, content: bytes, arguments: dict[str, Any], message: str
) -> None:
    column = make(content, **arguments)
    whole = f"The vocabulary file '{tmp_path / 'words.txt'}' of column 'v' {message}"
    with pytest.raises(ValueError, match=f"^{re.escape(whole)}$"):
        ids(column, [3])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"vocabulary_size": 0},
            "Column 'v': vocabulary_size=0 must be a whole number of at least 1.",
        ),
        (
            {"default_value": 2},
            "default_value of column 'v' is 2: give an id below 2, the size of the vocabulary, or -1 for "
            "none.",
        ),
        (
            {"default_value": 0, "num_oov_buckets": 1},
            "Column 'v' has both num_oov_buckets=1 and default_value=0: give one of them, as both say what "
            "unknown values become.",
        ),
        (
            {"dtype": torch.float32},
            "dtype of column 'v' is torch.float32: give 'string' or an integer dtype such as torch.int64.",
        ),
        (
            {"file_format": "tfrecord_gzip"},
            "file_format of column 'v' is 'tfrecord_gzip': only 'text' is read, one value a line.",
        ),
    ],
)
def test_wrong_arguments(make: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make(b"p\nq\n", **arguments)


def test_an_empty_file(make: Any) -> None:
    with pytest.raises(
        ValueError,
        match=r"^The vocabulary file '.*' of column 'v' is empty: give one with a "
        r"value on each line\.$",
    ):
        make(b"")


@pytest.mark.parametrize("path", ["", None, 3])
def test_no_path(path: Any) -> None:
    with pytest.raises(
        ValueError,
        match=rf"^vocabulary_file of column 'v' is {path!r}: give the path of a text file\.$",
    ):
        categorical_column_with_vocabulary_file("v", path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"is '.*none\.txt', which is not a file: give the path of one\.$"
    ):
        categorical_column_with_vocabulary_file("v", tmp_path / "none.txt", vocabulary_size=3)
