from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import torchest
from torchest.warm_start.vocabulary import move_of

WORDS = st.lists(st.text("abcdeüß1", min_size=1, max_size=3), min_size=1, max_size=8, unique=True)


@given(new=WORDS, old=WORDS, new_unknown=st.integers(0, 3), old_unknown=st.integers(0, 3))
def test_each_row_comes_from_that_of_the_same_token(new, old, new_unknown, old_unknown):
    table = torch.arange(2.0 * (len(old) + old_unknown)).reshape(-1, 2)
    target = torch.full((len(new) + new_unknown, 2), -1.0)
    info = torchest.VocabInfo(new, len(new), new_unknown, old)
    move_of(info, "w", len(table), len(target)).apply(table, target)
    for row, token in enumerate(new):
        expected = table[old.index(token)].tolist() if token in old else [-1, -1]
        assert target[row].tolist() == expected
    rows_of_unknown = target[len(new) :].tolist()
    if new_unknown == old_unknown:
        assert rows_of_unknown == table[len(old) :].tolist()
    else:
        assert rows_of_unknown == [[-1, -1]] * new_unknown


def test_tokens_may_be_columns():
    info = torchest.VocabInfo(["b", "new", "a"], 3, 0, ["a", "b"], axis=1)
    target = torch.zeros(2, 3)
    move_of(info, "w", 2, 3).apply(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), target)
    assert target.tolist() == [[2, 0, 1], [4, 0, 3]]


def test_files_and_lists_of_bytes_and_integers_are_the_same_tokens(tmp_path):
    (tmp_path / "new.txt").write_bytes(b"7\r\n30\r\n")
    for old in ([30, 7], [b"30", b"7"], ["30", "7"]):
        move = move_of(torchest.VocabInfo(tmp_path / "new.txt", 2, 0, old), "w", 2, 2)
        assert move.old[move.new.argsort()].tolist() == [1, 0]


def test_only_the_first_tokens_count():
    info = torchest.VocabInfo(["a", "b", "c"], 2, 0, ["c", "b", "a"], old_vocab_size=2)
    move = move_of(info, "w", 3, 2)
    assert (move.new.tolist(), move.old.tolist()) == ([1], [1])
    assert move.fresh().tolist() == [0]


@pytest.mark.parametrize(
    ("info", "sizes", "message"),
    [
        ((["a"], 1, 1, ["a"]), (1, 1), r"says 1 tokens and 1 rows .* the parameter has 1 of them"),
        ((["a"], 1, 0, ["a", "b"]), (1, 1), "old_vocab has 2 tokens, .* has 1 of them"),
        ((["a"], 2, 0, ["a"]), (1, 2), r"new_vocab has 1 tokens, fewer than its size of 2\."),
        ((["a", "a"], 2, 0, ["a"]), (1, 2), "new_vocab has 'a' more than once"),
        (("nowhere.txt", 2, 0, ["a"]), (1, 2), "new_vocab cannot be read: .*nowhere"),
    ],
)
def test_vocabularies_that_do_not_go_with_the_table(info, sizes, message):
    with pytest.raises(ValueError, match=message):
        move_of(torchest.VocabInfo(*info), "linear.word.weight", *sizes)
