"""One validator of each kind: no module tells integers and booleans from other values by itself."""

from __future__ import annotations

import ast
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import torchest
from torchest.utils import checks

MODULES = sorted(Path(torchest.__file__).parent.rglob("*.py"))
KINDS = {"Integral", "Real", "integer", "bool_"}


def kinds_tested_in(path):
    """The abstract kinds of numbers that a module asks for with isinstance."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance":
            for inner in ast.walk(node.args[1]):
                yield inner.attr if isinstance(inner, ast.Attribute) else getattr(inner, "id", "")


def test_checks_alone_tell_integers_and_booleans_from_other_values():
    asking = {path.name for path in MODULES if KINDS & set(kinds_tested_in(path))}
    assert asking == {"checks.py"}


@pytest.mark.parametrize(
    "value", [True, np.True_, 1.0, "1", None, np.float32(1), [1], Fraction(3, 2)]
)
def test_what_is_no_integer_is_no_whole_number(value):
    with pytest.raises(
        ValueError, match=r"^units=.+ must be a whole number of at least 1\. Why\.$"
    ):
        checks.whole_number("units", value, " Why.", at_least=1)


@pytest.mark.parametrize("value", [7, np.int8(7), np.uint64(7)])
def test_an_integer_of_python_or_numpy_is_a_plain_int(value):
    assert type(checks.whole_number("units", value)) is int
    assert type(checks.step_count("steps", value)) is int


def test_an_integer_fits_into_64_bits_unless_any_is_allowed():
    with pytest.raises(ValueError, match=r"^seed=1180591620717411303424 must fit into 64 bits\.$"):
        checks.whole_number("seed", 2**70)
    assert checks.whole_number("seed", 2**70, at_most=math.inf) == 2**70
    with pytest.raises(ValueError, match=r"^seed=1\.5 must be a whole number\.$"):
        checks.whole_number("seed", 1.5, at_most=math.inf)


@pytest.mark.parametrize("value", [1e3, np.float32(1000), 1000])
def test_a_count_may_be_written_as_a_float(value):
    assert checks.step_count("steps", value) == checks.checked_count("steps", value) == 1000


@pytest.mark.parametrize("value", [0, -1, 0.5, math.nan, math.inf, 1e30, "3", True])
def test_a_count_is_above_0_and_finite(value):
    with pytest.raises(
        ValueError, match=r"^steps=.* (whole number of at least 1|fit into 64 bits)"
    ):
        checks.checked_count("steps", value)


def test_bounds_stand_in_the_message():
    with pytest.raises(
        ValueError, match=r"^rate=2 must be a finite number above 0 and at most 1\.$"
    ):
        checks.number("rate", 2, above=0, at_most=1)
    with pytest.raises(
        ValueError, match=r"^port=70000 must be a whole number of at least 0 and at"
    ):
        checks.whole_number("port", 70000, at_least=0, at_most=65535)
