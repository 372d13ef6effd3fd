"""Nested structures keep their types, and leaves know their place."""

from __future__ import annotations

from collections import OrderedDict, namedtuple

import numpy as np

from torchest.utils.nested import map_nested, named_leaves

Pair = namedtuple("Pair", ["left", "right"])


def test_a_structure_keeps_the_types_of_its_containers():
    structure = OrderedDict(a=[1, (2,)], b=Pair(3, {"c": 4}), d=())
    mapped = map_nested(lambda leaf: leaf * 10, structure)

    assert mapped == {"a": [10, (20,)], "b": Pair(30, {"c": 40}), "d": ()}
    assert isinstance(mapped["b"], Pair)


def test_lists_are_leaves_where_only_dicts_are_containers():
    assert map_nested(len, {"a": [1, 2], "b": {"c": ("x",)}}, (dict,)) == {"a": 2, "b": {"c": 1}}


def test_arrays_and_texts_are_leaves():
    leaves = dict(named_leaves({"x": np.arange(2), "y": ["text", b"bytes"]}))

    assert list(leaves) == ["x", "y[0]", "y[1]"]
    assert leaves["y[0]"] == "text"


def test_a_single_value_is_a_leaf_of_no_name():
    assert list(named_leaves(5)) == [("", 5)]
    assert map_nested(str, 5) == "5"
