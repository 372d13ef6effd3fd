from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchest.columns.encode.strings import DictionaryCache, Text, hash_all, text_of_rows

WORDS = ["a", "", "Straße", "日本語", "a longer text of 30 characters", "😀"]
BYTES = [word.encode() for word in WORDS]


def strings_of(text: Text) -> list[bytes]:
    return [
        text.data[start : start + length].tobytes()
        for start, length in zip(text.starts, text.lengths, strict=True)
    ]


@pytest.mark.parametrize(
    "values",
    [
        np.array(WORDS),
        np.array(BYTES),
        np.repeat(BYTES, 2)[::2],
        pa.array(WORDS),
        pa.array(WORDS, pa.large_string()),
        pa.array(BYTES),
        pa.array(BYTES, pa.large_binary()),
        pa.array(["x", *WORDS, "y"]).slice(1, 6),
        pa.array([*WORDS[:1], None, *WORDS[2:]]),
    ],
    ids=lambda values: str(getattr(values, "type", None) or values.dtype),
)
def test_the_bytes_are_the_same_in_every_form(values: Any) -> None:
    assert strings_of(Text.of(values)) == BYTES


def test_ascii_and_empty_arrays_of_code_points() -> None:
    assert strings_of(Text.of(np.array(["ab", "", "c"]))) == [b"ab", b"", b"c"]
    assert strings_of(Text.of(np.array([""]))) == [b""]
    assert strings_of(Text.of(np.array([], "U5"))) == []


@pytest.mark.parametrize("values", [pa.array([], pa.string()), pa.array([], pa.binary())])
def test_no_strings(values: Any) -> None:
    assert strings_of(Text.of(values)) == []


def test_fixed_size_binary_and_views() -> None:
    assert strings_of(Text.of(pa.array([b"ab", b"cd"], pa.binary(2)))) == [b"ab", b"cd"]
    assert strings_of(Text.of(pa.array(["ab", None], pa.string_view()))) == [b"ab", b""]


def test_missing_values_have_no_bytes_whatever_lies_beneath() -> None:
    # The buffers hold "abc" also where the second string is declared missing.
    positions = pa.array([0, 1, 2, 3], pa.int32()).buffers()[1]
    validity = pa.py_buffer(np.array([0b101], np.uint8))
    values = pa.Array.from_buffers(pa.string(), 3, [validity, positions, pa.py_buffer(b"abc")])
    assert strings_of(Text.of(values)) == [b"a", b"", b"c"]


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20))
def test_integers_are_their_decimal_text(integers: list[int]) -> None:
    text = Text.of_integers(np.array(integers, np.int64))
    assert strings_of(text) == [b"" if i == -1 else str(i).encode() for i in integers]


class Counter:
    def __init__(self) -> None:
        self.calls = 0

    def lengths(self, text: Text) -> np.ndarray[Any, Any]:
        self.calls += 1
        return text.lengths


def test_a_dictionary_is_encoded_once_for_all_its_slices() -> None:
    counter, cache = Counter(), DictionaryCache()
    values = pa.array(["a", "bbb", None, "a", "cc"]).dictionary_encode()
    assert cache.codes(values, counter.lengths).tolist() == [1, 3, 0, 1, 2]
    assert cache.codes(values.slice(1, 3), counter.lengths).tolist() == [3, 0, 1]
    assert counter.calls == 1


def test_another_dictionary_in_the_same_place_is_not_taken_for_the_first() -> None:
    counter, cache = Counter(), DictionaryCache()
    for round_ in range(30):
        values = pa.array(["x" * (round_ + 1), "y"]).dictionary_encode()
        assert cache.codes(values, counter.lengths).tolist() == [round_ + 1, 1]
        del values
    assert counter.calls == 30


def test_the_cache_is_bounded() -> None:
    counter, cache = Counter(), DictionaryCache()
    arrays = [pa.array([f"word{i}"]).dictionary_encode() for i in range(20)]
    for values in arrays:
        cache.codes(values, counter.lengths)
    cache.codes(arrays[-1], counter.lengths)
    assert counter.calls == 20
    cache.codes(arrays[0], counter.lengths)
    assert counter.calls == 21


def test_a_missing_entry_beside_as_many_words_as_the_type_of_indices_can_count() -> None:
    words = [f"w{i}" for i in range(128)]
    indices = pa.array([*range(128), None], pa.int8())
    values = pa.DictionaryArray.from_arrays(indices, pa.array(words))
    codes = DictionaryCache().codes(values, Counter().lengths)
    assert codes.tolist() == [len(word) for word in words] + [0]


@given(st.lists(st.lists(st.binary(max_size=20)), max_size=5))
def test_texts_hashed_together_have_the_fingerprints_that_they_have_alone(words) -> None:
    texts = [Text.of_words(some) for some in words]
    hash_all(texts)
    for some, text in zip(words, texts, strict=True):
        alone = Text.of_words(some).fingerprints()
        assert text.fingerprints().tolist() == alone.tolist()


def test_text_of_a_part_of_a_column_takes_only_its_bytes() -> None:
    part = pa.array(["long " * 1000, "a", None, "bc", "other " * 1000])[1:4]
    text = text_of_rows(part)
    assert text is not None
    assert text.data.tobytes() == b"abc"
    assert text.fingerprints().tolist() == Text.of_words(["a", "", "bc"]).fingerprints().tolist()


def test_only_one_string_in_each_row_is_text_of_rows() -> None:
    for array in (np.array([b"a", b"b"]), np.array([[b"a"], [b"b"]]), pa.array(["a", "b"])):
        text = text_of_rows(array)
        assert text is not None
        assert len(text) == 2
    for array in (
        np.array([[b"a", b"b"]]), np.array([1]), pa.array([["a"]]), pa.array(["a"]).dictionary_encode(),
    ):  # fmt: skip
        assert text_of_rows(array) is None
