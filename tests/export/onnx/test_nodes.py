"""Nodes written as expressions compute what the expressions say."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from torchest.export.onnx.nodes import (
    DOUBLE,
    INT64,
    IR_VERSION,
    OPSETS,
    STRING,
    UINT32,
    UINT64,
    Nodes,
    Value,
    dtype_of,
)
from torchest.export.onnx.words import Words


def run(nodes: Nodes, output: Value, **given: np.ndarray) -> np.ndarray:
    graph = ir.Graph(
        list(nodes.inputs.values()),
        [output],
        nodes=nodes.list,
        initializers=nodes.initializers,
        opset_imports=OPSETS,
        name="test",
    )
    model = ir.to_proto(ir.Model(graph, ir_version=IR_VERSION)).SerializeToString()
    return onnxruntime.InferenceSession(model).run(None, given)[0]


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(1, 63))
def test_words_of_64_bits(first, second, bits):
    nodes = Nodes()
    a, b = (Words(nodes, nodes.constant([number], UINT64)) for number in (first, second))
    mask = 2**64 - 1
    made = {
        first + second: a + b, first - second: a - b, first * second: a * b, first ^ second: a ^ b,
        first & second: a & b, first << bits: a << bits, first >> bits: a >> bits,
        first + 7: a + 7, (first >> bits) | (first << (64 - bits)): a.rotated(bits),
    }  # fmt: skip
    together = nodes.op("Concat", *(word.value for word in made.values()), axis=0)
    assert run(nodes, together).tolist() == [number & mask for number in made]


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_words_are_the_same_in_both_forms(first, second):
    nodes = Nodes()
    a, b = (Words(nodes, nodes.constant([number], UINT64)) for number in (first, second))
    total = a + b
    mixed = ((total ^ (total >> 1)) & (a * (2**64 - 3))) | Words(nodes, b.signed, INT64)
    together = nodes.op("Concat", mixed.value, nodes.cast((a ^ b).is_zero(), UINT64), axis=0)
    mask = 2**64 - 1
    summed = (first + second) & mask
    expected = ((summed ^ (summed >> 1)) & (first * (2**64 - 3) & mask)) | second
    assert run(nodes, together).tolist() == [expected, int(first == second)]


def test_words_are_multiplied_and_added_as_signed_integers():
    """onnxruntime 1.20 has no kernels for unsigned ones."""
    nodes = Nodes()
    word = Words(nodes, nodes.constant([7], UINT64))
    assert run(nodes, ((word * word) + 3 - (word >> 2)).value).tolist() == [51]
    signed = {
        node.outputs[0]
        for node in nodes.list
        if node.op_type in ("Add", "Sub", "Mul")
        or (node.op_type == "Cast" and node.attributes["to"].as_int() == INT64)
    }
    arithmetic = [node for node in nodes.list if node.op_type in ("Add", "Sub", "Mul")]
    assert [node.op_type for node in arithmetic] == ["Mul", "Add", "Sub"]
    for node in arithmetic:
        assert all(each in signed or each.dtype == INT64 for each in node.inputs)


def test_words_of_32_bits_are_rotated_by_their_own_width():
    nodes = Nodes()
    word = Words(nodes, nodes.constant([0x80000001], UINT32), UINT32)
    assert run(nodes, word.rotated(1).value).tolist() == [0xC0000000]


def test_equal_constants_are_one():
    nodes = Nodes()
    assert nodes.constant([1, 2]) is nodes.constant(np.array([1, 2]))
    assert nodes.constant([1]) is not nodes.constant([1], DOUBLE)
    assert nodes.constant([1]) is not nodes.constant([[1]])
    assert nodes.constant(["a"], STRING) is nodes.constant(["a"], STRING)
    assert len(nodes.initializers) == 5


@pytest.mark.parametrize(("flag", "expected"), [(True, [2]), (False, [10])])
def test_one_of_two_parts_runs(flag, expected):
    nodes = Nodes()
    condition = nodes.input("flag", ir.DataType.BOOL, ())
    then, other = nodes.branch(), nodes.branch()
    doubled = then.op("Add", then.constant([1]), then.constant([1]))
    tenfold = other.op("Mul", other.constant([1]), other.constant([10]))
    (actual,) = nodes.choose(condition, (then, [doubled]), (other, [tenfold]))
    assert run(nodes, actual, flag=np.array(flag)).tolist() == expected


@pytest.mark.parametrize("times", [0, 1, 3])
def test_a_loop_changes_its_state_as_often_as_it_is_told(times):
    nodes = Nodes()
    count = nodes.input("times", INT64, ())
    start = nodes.constant([1], UINT64)

    def step(body, index, state):
        more = body.cast(body.op("Reshape", index, body.constant([1])), UINT64)
        return [body.op("Add", body.op("Mul", state[0], body.constant(2, UINT64)), more)]

    (actual,) = nodes.loop(count, [start], step)
    expected = 1
    for index in range(times):
        expected = 2 * expected + index
    assert run(nodes, actual, times=np.array(times)).tolist() == [expected]


def test_values_of_steps_are_stacked():
    nodes = Nodes()
    made = nodes.stacked(
        nodes.constant(3), lambda body, index: body.op("Mul", index, body.constant([1, 10]))
    )
    assert run(nodes, made).tolist() == [[0, 0], [1, 10], [2, 20]]


@pytest.mark.parametrize(
    ("given_rows", "expected"),
    [(np.array([[1, 3], [0, 0]]), [True, False]), (np.zeros((2, 0), np.int64), [False, False])],
)
def test_in_which_rows_something_holds(given_rows, expected):
    nodes = Nodes()
    actual = nodes.any_of_row(nodes.equal(nodes.input("x", INT64, ("n", "m")), 3))
    assert run(nodes, actual, x=given_rows).tolist() == expected


def test_dtypes():
    assert dtype_of("string") == STRING
    assert dtype_of(torch.float64) == DOUBLE
    assert dtype_of(torch.bool) == ir.DataType.BOOL
