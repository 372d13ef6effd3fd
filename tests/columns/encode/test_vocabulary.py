from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchest.columns.encode.cells import MISSING
from torchest.columns.encode.strings import Text
from torchest.columns.encode.vocabulary import Integers, Vocabulary, Words

if TYPE_CHECKING:
    from torchest.columns.encode.fingerprint import UInt64s


@given(
    st.lists(st.binary(max_size=12), min_size=1, max_size=30, unique=True),
    st.lists(st.binary(max_size=12), max_size=30),
)
def test_words_are_found_in_their_places(words: list[bytes], others: list[bytes]) -> None:
    places = {word: place for place, word in enumerate(words)}
    asked = words[::-1] + others
    got = Words(words).look_up(Text.of_words(asked))
    assert got.tolist() == [places.get(word, -1) for word in asked]


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=30, unique=True),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=30),
)
def test_integers_are_found_in_their_places(values: list[int], others: list[int]) -> None:
    places = {value: place for place, value in enumerate(values)}
    asked = values[::-1] + others
    got = Integers(values).look_up(np.array(asked, np.int64))
    assert got.tolist() == [places.get(value, -1) for value in asked]


def test_many_words() -> None:
    words = [f"word {i}" for i in range(20_000)]
    got = Words(words).look_up(Text.of_words([*words, *(f"other {i}" for i in range(20_000))]))
    assert got.tolist() == [*range(20_000), *[-1] * 20_000]


@pytest.mark.parametrize("length", [1, 7, 8, 9, 15, 16, 17, 24, 25])
def test_words_that_differ_in_one_byte_are_told_apart(
    length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Text, "fingerprints", lambda text: text.lengths.astype(np.uint64))
    word = bytes(range(1, length + 1))
    others = [word[:i] + b"\xff" + word[i + 1 :] for i in range(length)]
    assert Words([word]).look_up(Text.of_words([*others, word])).tolist() == [-1] * length + [0]


def test_words_whose_fingerprints_collide_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def by_length(text: Text) -> UInt64s:
        return text.lengths.astype(np.uint64)

    monkeypatch.setattr(Text, "fingerprints", by_length)
    words = ["a", "bb", "c", "dd", "e"]
    got = Words(words).look_up(Text.of_words(["e", "dd", "c", "bb", "a", "x", "xx", "xxx"]))
    assert got.tolist() == [4, 3, 2, 1, 0, -1, -1, -1]


def test_the_empty_string_and_minus_one_are_missing_even_if_they_are_listed() -> None:
    words = Vocabulary(["a", ""], -1, 3)
    assert words.ids(Text.of_words(["", "a"])).tolist() == [MISSING, 0]
    integers = Vocabulary([7, -1], -1, 3)
    assert integers.ids_of_integers(np.array([-1, 7])).tolist() == [MISSING, 0]


def test_unknown_values_have_the_default() -> None:
    assert Vocabulary(["a", "b"], 1, 0).ids(Text.of_words(["a", "x"])).tolist() == [0, 1]
    assert Vocabulary([5, 6], -1, 0).ids_of_integers(np.array([5, 8])).tolist() == [0, -1]


def test_unknown_values_are_hashed_to_tensorflows_buckets() -> None:
    # categorical_column_with_vocabulary_list('v', ['p', 'q'], num_oov_buckets=3)
    words = Vocabulary(["p", "q"], -1, 3)
    text = Text.of_words(["p", "zz", "", "q", "aa", "bb"])
    assert words.ids(text).tolist() == [0, 3, MISSING, 1, 2, 4]
    # categorical_column_with_vocabulary_list('v', [3, 5, -7], num_oov_buckets=3)
    integers = Vocabulary([3, 5, -7], -1, 3)
    got = integers.ids_of_integers(np.array([3, 5, -7, -1, 8, 9, -2]))
    assert got.tolist() == [0, 1, 2, MISSING, 4, 5, 4]
