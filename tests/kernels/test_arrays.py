"""The forms of NumPy arrays, from their structs and from their attributes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as of_numpy

from torchest.kernels import arrays, elements

ROWS = 4
SHAPES = [(ROWS,), (ROWS, 1), (1, ROWS), (ROWS, 2), (ROWS, 0), (ROWS, 1, 1), (), (0,), (ROWS - 1,)]
FIELDS = [
    "_TYPE",
    "_DATA",
    "_RANK",
    "_SHAPE",
    "_STRIDES",
    "_DTYPE",
    "_DTYPE_KIND",
    "_DTYPE_ORDER",
    "_DTYPE_SIZE",
]
dtypes = st.one_of(
    of_numpy.scalar_dtypes(), of_numpy.byte_string_dtypes(), of_numpy.unicode_string_dtypes()
)


@st.composite
def objects(draw):
    """Arrays of all types and layouts, and other objects."""
    array = np.zeros(draw(st.sampled_from(SHAPES)), draw(dtypes))
    changes = {
        "none": lambda: array,
        "every other row": lambda: np.repeat(array, 2, axis=0)[::2] if array.ndim else array,
        "backwards": lambda: array[::-1] if array.ndim else array,
        "column of a matrix": lambda: array.T,
        "subclass": lambda: array.view(np.recarray),
        "list": array.tolist,
        "nothing": lambda: None,
    }
    return changes[draw(st.sampled_from(sorted(changes)))]()


def forms(of, given_objects, rows=ROWS):
    table = np.zeros((len(given_objects), elements.FORM), np.int64)
    return of(given_objects, rows, table), table.tolist()


@pytest.fixture
def unknown_structs(monkeypatch):
    def unread(*_):
        raise AssertionError("structs are read")

    monkeypatch.setattr(arrays, "structs_are_known", lambda: False)
    monkeypatch.setattr(arrays, "_of_structs", unread)


def test_structs_are_known():
    assert arrays.structs_are_known()


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("change", [-8, -1, 1, 8, 1000])
def test_a_field_elsewhere_is_noticed(field, change, monkeypatch):
    monkeypatch.setattr(arrays, field, int(getattr(arrays, field)) + change)
    assert not arrays.structs_are_known.__wrapped__()


@settings(deadline=None, max_examples=300)
@given(given_objects=st.lists(objects(), max_size=4))
def test_attributes_give_the_same_forms(given_objects):
    attributes = forms(arrays._of_attributes, given_objects)
    found, table = forms(arrays.of_arrays, given_objects)
    assert found == attributes[0]
    assert table == attributes[1]
    if found >= 0:
        assert found == sum(1 for form in table if form[elements.KIND])


def test_forms_say_where_elements_are(unknown_structs):
    matrix = np.arange(12, dtype=np.int16).reshape(4, 3)
    found, table = forms(arrays.of_arrays, [matrix[::2, 1], None], rows=2)
    assert found == 1
    assert table == [[ord("i"), 2, matrix.ctypes.data + 2, 12, 0, 0, 0, 0], [0] * elements.FORM]


def test_another_number_of_rows(unknown_structs):
    assert forms(arrays.of_arrays, [np.zeros(3)], rows=2)[0] == -1
