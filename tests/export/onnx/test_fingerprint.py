"""FarmHash in nodes of onnxruntime: equal to TensorFlow's numbers, and to torchest's own hash for any text."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchest.columns.encode.fingerprint import fingerprint_cat64 as cat64_in_python
from torchest.columns.encode.strings import Text
from torchest.export.onnx.fingerprint import fingerprint_cat64, fingerprints
from torchest.export.onnx.nodes import IR_VERSION, OPSETS, STRING, UINT64, Nodes
from torchest.export.onnx.words import Words

if TYPE_CHECKING:
    from torchest.export.onnx.nodes import Value

REFERENCE = Path(__file__).parents[2] / "reference" / "fingerprint.json"


def session(nodes: Nodes, outputs: list[Value]) -> onnxruntime.InferenceSession:
    graph = ir.Graph(
        list(nodes.inputs.values()),
        outputs,
        nodes=nodes.list,
        initializers=nodes.initializers,
        opset_imports=OPSETS,
        name="hash",
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    model = ir.to_proto(ir.Model(graph, ir_version=IR_VERSION))
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


@pytest.fixture(scope="module")
def hashed():
    nodes = Nodes()
    ran = session(nodes, fingerprints(nodes, [nodes.input("text", STRING, ("n",))]))

    def run(words: list[str]) -> list[int]:
        return ran.run(None, {"text": np.array(words, object)})[0].tolist()

    return run


def in_python(words: list[str]) -> list[int]:
    return Text.of_words(words).fingerprints().tolist()


def test_the_numbers_of_tensorflow(hashed):
    rows = json.loads(REFERENCE.read_text())["rows"]
    expected = {}
    for encoded, fingerprint, _ in rows:
        try:
            expected[base64.b64decode(encoded).decode()] = fingerprint
        except UnicodeDecodeError:  # such bytes are no text in ONNX
            continue
    assert len(expected) > 100
    assert hashed(list(expected)) == list(expected.values())


def test_every_character_of_unicode(hashed):
    everything = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    assert hashed(everything) == in_python(everything)


@pytest.mark.parametrize("alphabet", ["abc", "aß", "日", "a😀é"])
def test_every_class_of_lengths(hashed, alphabet):
    words = [(alphabet * 200)[:length] for length in range(200)]
    assert hashed(words) == in_python(words)
    for word in words[::7]:
        assert hashed([word]) == in_python([word])


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)


@settings(deadline=None)
@given(st.lists(st.one_of(text, text.map(lambda word: word * 9)), max_size=20))
def test_any_text(hashed, words):
    assert hashed(words) == in_python(words)


@pytest.mark.parametrize("words", [[], [""], ["", "", ""], ["\0"], ["a\0", "a"], ["x" * 3000]])
def test_what_is_hardly_text(hashed, words):
    assert hashed(words) == in_python(words)


def test_a_long_string_among_short_ones(hashed):
    words = [*(f"word {number}" for number in range(500)), "long " * 2000, "ü" * 40, "ü" * 300, ""]
    assert hashed(words) == in_python(words)


def test_several_tensors_are_hashed_together_in_their_shapes():
    nodes = Nodes()
    given = [nodes.input("one", STRING, ("n",)), nodes.input("two", STRING, ("n", "m"))]
    ran = session(nodes, fingerprints(nodes, given))
    one, two = np.array(["a"], object), np.array([["b", ""], ["ccc", "日本"]], object)
    actual = ran.run(None, {"one": one, "two": two})
    assert actual[0].tolist() == in_python(["a"])
    assert actual[1].tolist() == [in_python(["b", ""]), in_python(["ccc", "日本"])]
    nothing = ran.run(None, {"one": one[:0], "two": two[:, :0]})
    assert [array.shape for array in nothing] == [(0,), (2, 0)]


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 2**64 - 1)] * 2), min_size=1))
def test_two_fingerprints_become_one(pairs):
    first, second = np.array(pairs, np.uint64).T
    expected = cat64_in_python(first, second)
    actual = _CAT64.run(None, {"first": first, "second": second})[0]
    assert actual.tolist() == expected.tolist()


def _cat64() -> onnxruntime.InferenceSession:
    nodes = Nodes()
    first, second = (
        Words(nodes, nodes.input(name, UINT64, ("n",))) for name in ("first", "second")
    )
    return session(nodes, [fingerprint_cat64(first, second).value])


_CAT64 = _cat64()
