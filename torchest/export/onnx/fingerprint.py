"""FarmHash Fingerprint64 of strings in nodes of stock onnxruntime.

It mirrors `torchest.kernels.farmhash`, with a separate path for each class of lengths.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from torchest.export.onnx.characters import Bytes, utf8
from torchest.export.onnx.nodes import BOOL, INT32, INT64, MICROSOFT, STRING, UINT64, Nodes, Value
from torchest.export.onnx.words import Words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    _Class: TypeAlias = "tuple[int, int | None, Callable[[_Strings], Words]]"

K0 = 0xC3A5C85C97CB3127
K1 = 0xB492B66FBE98F273
K2 = 0x9AE16A3B2F90404F
CAT_MULTIPLIER = 0xC6A4A7935BD1E995
# Strings are hashed in groups, by these numbers of characters.
_LENGTHS = (33, 129, 513)
# The number of strings of each group that are hashed at a time.
_BLOCKS = (4096, 1024, 256, 64)
_MASK = 0xFFFFFFFFFFFFFFFF


def fingerprints(nodes: Nodes, texts: Sequence[Value]) -> list[Value]:
    """The fingerprint of each string of several tensors, uint64 in their shapes.

    Hashing all of them together takes little longer than hashing one tensor.
    """
    flat = [nodes.flat(text) for text in texts]
    sizes = [nodes.op("Shape", text) for text in flat]
    # One more string, not empty, avoids the special cases of no strings.
    joined = nodes.op("Concat", *flat, nodes.constant(["a"], STRING), axis=0)
    hashed = _of_groups(nodes, joined)
    ends = nodes.op("Concat", *sizes, nodes.constant([1]), axis=0)
    parts = nodes.ops("Split", hashed, ends, outputs=len(texts) + 1, axis=0)
    return [nodes.in_shape_of(part, text) for part, text in zip(parts, texts, strict=False)]


def _of_groups(nodes: Nodes, text: Value) -> Value:
    """The fingerprints of strings, hashed in groups of similar lengths.

    Splitting strings into characters pads all to the longest, which is slow if one long string is among many short
    ones.
    """
    group = nodes.op("Mul", nodes.op("Shape", text), nodes.constant(0))
    for length in _LENGTHS:
        long = nodes.op(
            "Tokenizer",
            text,
            domain=MICROSOFT,
            tokenexp=f"(?s).{{{length},}}",
            mark=0,
            mincharnum=length,  # shorter strings are not searched
            pad_value="",
        )  # [n, 1] with "" for shorter strings, or [n, 0]
        hashes = nodes.op("MurmurHash3", long, domain=MICROSOFT, seed=0, positive=1)
        is_long = nodes.cast(nodes.cast(hashes, BOOL), INT64)
        counted = nodes.op("ReduceSum", is_long, nodes.constant([1]), keepdims=0)
        group = nodes.op("Add", group, counted)
    all_groups = nodes.constant(np.arange(len(_LENGTHS) + 1)[:, None])
    sizes = nodes.cast(nodes.op("Equal", group, all_groups), INT32)
    sizes = nodes.op("ReduceMax", sizes, nodes.constant([1]), keepdims=0)
    present = nodes.op("Squeeze", nodes.op("NonZero", sizes), nodes.constant([0]))

    def of_group(body: Nodes, step: Value, state: list[Value]) -> list[Value]:
        wanted = body.op("Gather", present, step)
        rows = body.op("NonZero", body.op("Equal", group, wanted))
        rows = body.op("Squeeze", rows, body.constant([0]))
        size = body.op("Gather", body.constant(_BLOCKS), wanted)
        hashed = _in_blocks(body, body.op("Gather", text, rows), size)
        return [body.op("ScatterElements", state[0], rows, hashed)]

    times = nodes.op("Squeeze", nodes.op("Shape", present))
    nothing = nodes.op("Expand", nodes.constant(0, UINT64), nodes.op("Shape", text))
    (hashed,) = nodes.loop(times, [nothing], of_group)
    return hashed


def _in_blocks(nodes: Nodes, text: Value, size: Value) -> Value:
    """The fingerprints of strings, in blocks whose intermediate values fit into the processor's cache.

    Args:
        nodes: The graph.
        text: Strings [n]; a single one is not empty.
        size: The number of strings in a block.
    """
    count = nodes.op("Shape", text)
    blocks = nodes.op("Div", nodes.op("Add", count, nodes.op("Sub", size, nodes.constant(1))), size)

    def of_block(body: Nodes, step: Value) -> Value:
        start = body.op("Mul", step, body.op("Reshape", size, body.constant([1])))
        end = body.op("Add", start, size)
        strings = body.op("Slice", text, start, end)
        hashed = _fingerprints(body, utf8(body, strings))
        short = body.op(
            "Sub", body.op("Reshape", size, body.constant([1])), body.op("Shape", strings)
        )
        return body.op("Pad", hashed, body.op("Concat", body.constant([0]), short, axis=0))

    made = nodes.stacked(nodes.op("Squeeze", blocks), of_block)
    return nodes.op("Slice", nodes.flat(made), nodes.constant([0]), count)


def fingerprint_cat64(first: Words, second: Words) -> Words:
    """One fingerprint made of two; not symmetric."""
    folded = first ^ CAT_MULTIPLIER
    folded = folded ^ _shift_mix(second * CAT_MULTIPLIER) * CAT_MULTIPLIER
    folded = folded * CAT_MULTIPLIER
    return _shift_mix(_shift_mix(folded) * CAT_MULTIPLIER)


class _Memory:
    """Reads little-endian words at any byte offset of a buffer."""

    def __init__(self, nodes: Nodes, data: Value) -> None:
        self.nodes = nodes
        # so that a word begins at every byte
        padded = nodes.op("Concat", data, nodes.constant([0] * 8, UINT64), axis=0)
        self._bytes = Words(nodes, padded)
        two = self._doubled(self._bytes, 1)
        self._four = self._doubled(two, 2)
        self._eight = self._doubled(self._four, 4)

    def within(self, body: Nodes) -> _Memory:
        """The same words, for nodes in a part of the graph."""
        memory = copy.copy(self)
        memory.nodes = body
        return memory

    def byte(self, offsets: Value) -> Words:
        return self._at(self._bytes, offsets)

    def word32(self, offsets: Value) -> Words:
        return self._at(self._four, offsets)

    def word64(self, offsets: Value) -> Words:
        return self._at(self._eight, offsets)

    def _doubled(self, words: Words, width: int) -> Words:
        """The words of twice the width at every byte, from the words of one width."""
        upper = self._cut(words, width, 1 << 62)
        lower = self._cut(words, 0, -width)
        return lower ^ (upper << 8 * width)

    def _cut(self, words: Words, start: int, end: int) -> Words:
        bounds = (self.nodes.constant([bound]) for bound in (start, end))
        return Words(self.nodes, self.nodes.op("Slice", words.value, *bounds))

    def _at(self, words: Words, offsets: Value) -> Words:
        return Words(self.nodes, self.nodes.at(words.value, offsets))


@dataclass(frozen=True)
class _Strings:
    """Strings of one class of lengths in a buffer."""

    memory: _Memory
    starts: Value
    lengths: Value

    @property
    def nodes(self) -> Nodes:
        return self.memory.nodes

    @property
    def length(self) -> Words:
        return Words(self.nodes, self.lengths, INT64)

    @property
    def multiplier(self) -> Words:
        return (self.length << 1) + K2

    def from_start(self, offset: int) -> Value:
        return self.nodes.op("Add", self.starts, self.nodes.constant(offset))

    def from_end(self, offset: int) -> Value:
        ends = self.nodes.op("Add", self.starts, self.lengths)
        return self.nodes.op("Sub", ends, self.nodes.constant(offset))

    def words64(self, *offsets: int) -> list[Words]:
        """The words at offsets from the start, or at negative offsets from the end."""
        return [
            self.memory.word64(self.from_start(at) if at >= 0 else self.from_end(-at))
            for at in offsets
        ]


def _fingerprints(nodes: Nodes, strings: Bytes) -> Value:
    memory = _Memory(nodes, strings.data)
    longest = nodes.op("ReduceMax", strings.lengths, keepdims=0)
    long, none = nodes.branch(), nodes.branch()
    nothing = [none.constant([], INT64), none.constant([], UINT64)]
    of_long = nodes.choose(  # most text is short, and nodes take time without strings, too
        nodes.op("Greater", longest, nodes.constant(_SHORT)),
        (long, _of_classes(memory.within(long), strings, _LONG_CLASSES)),
        (none, [none.op("Identity", each) for each in nothing]),
    )
    of_short = _of_classes(memory, strings, _SHORT_CLASSES)
    rows, hashed = (
        nodes.op("Concat", *parts, axis=0) for parts in zip(of_short, of_long, strict=True)
    )
    of_empty = nodes.op("Expand", nodes.constant(K2, UINT64), nodes.op("Shape", strings.lengths))
    return nodes.op("ScatterElements", of_empty, rows, hashed)


def _of_classes(memory: _Memory, strings: Bytes, classes: Sequence[_Class]) -> list[Value]:
    """The rows of strings of some classes of lengths, and their fingerprints."""
    nodes = memory.nodes
    rows, hashed = [], []
    for above, upto, path in classes:
        of_class = nodes.op("Greater", strings.lengths, nodes.constant(above))
        if upto is not None:
            below = nodes.op("LessOrEqual", strings.lengths, nodes.constant(upto))
            of_class = nodes.op("And", of_class, below)
        index = nodes.op("Squeeze", nodes.op("NonZero", of_class), nodes.constant([0]))
        part = _Strings(memory, nodes.at(strings.starts, index), nodes.at(strings.lengths, index))
        rows.append(index)
        hashed.append(path(part).value)
    return [nodes.op("Concat", *rows, axis=0), nodes.op("Concat", *hashed, axis=0)]


def _shift_mix(x: Words) -> Words:
    return x ^ (x >> 47)


def _mix(u: Words, v: Words, multiplier: Words) -> Words:
    a = _shift_mix((u ^ v) * multiplier)
    return _shift_mix((v ^ a) * multiplier) * multiplier


def _hash_1_to_3(strings: _Strings) -> Words:
    nodes, memory = strings.nodes, strings.memory
    half = nodes.op("Div", strings.lengths, nodes.constant(2))
    first = memory.byte(strings.starts)
    middle = memory.byte(nodes.op("Add", strings.starts, half))
    last = memory.byte(strings.from_end(1))
    y = first + (middle << 8)
    z = strings.length + (last << 2)
    return _shift_mix((y * K2) ^ (z * K0)) * K2


def _hash_4_to_7(strings: _Strings) -> Words:
    first = strings.memory.word32(strings.starts)
    last = strings.memory.word32(strings.from_end(4))
    return _mix(strings.length + (first << 3), last, strings.multiplier)


def _hash_8_to_16(strings: _Strings) -> Words:
    multiplier = strings.multiplier
    first, b = strings.words64(0, -8)
    a = first + K2
    c = b.rotated(37) * multiplier + a
    d = (a.rotated(25) + b) * multiplier
    return _mix(c, d, multiplier)


def _hash_17_to_32(strings: _Strings) -> Words:
    multiplier = strings.multiplier
    a, b, c, d = strings.words64(0, 8, -8, -16)
    a, c, d = a * K1, c * multiplier, d * K2
    return _mix(
        (a + b).rotated(43) + c.rotated(30) + d,
        a + (b + K2).rotated(18) + c,
        multiplier,
    )


def _hash_33_to_64(strings: _Strings) -> Words:
    multiplier = strings.multiplier
    a, b, c, d = strings.words64(0, 8, -8, -16)
    e, f, g, h = strings.words64(16, 24, -32, -24)
    a, c, d = a * K2, c * multiplier, d * K2
    y = (a + b).rotated(43) + c.rotated(30) + d
    z = _mix(y, a + (b + K2).rotated(18) + c, multiplier)
    e, g, h = e * multiplier, (y + g) * multiplier, (z + h) * multiplier
    return _mix(
        (e + f).rotated(43) + g.rotated(30) + h,
        e + (f + a).rotated(18) + g,
        multiplier,
    )


def _hash_65_and_more(strings: _Strings) -> Words:
    """The state of 56 bytes absorbs 64 bytes at a time, then the last 64 bytes once more."""
    nodes = strings.nodes
    less_one = nodes.op("Sub", strings.lengths, nodes.constant(1))
    chunks = nodes.op("Div", less_one, nodes.constant(64))
    most = nodes.op(
        "ReduceMax", nodes.op("Concat", chunks, nodes.constant([0]), axis=0), keepdims=0
    )

    def absorbed(body: Nodes, chunk: Value, state: list[Value]) -> list[Value]:
        going = body.cast(body.op("Less", chunk, chunks), UINT64)
        mask = Words(body, going) * _MASK
        # The state of a string that has ended is kept; it absorbs its beginning in vain.
        place = body.op("Mul", body.op("Mul", chunk, body.constant(64)), body.cast(going, INT64))
        at = body.op("Add", strings.starts, place)
        words = [Words(body, value) for value in state]
        memory = strings.memory.within(body)
        changed = _absorb(memory, at, words, 1, K1)
        return [(old ^ ((old ^ new) & mask)).value for old, new in zip(words, changed, strict=True)]

    start = [word.value for word in _start(strings)]
    state = [Words(nodes, value) for value in nodes.loop(most, start, absorbed)]
    return _finish(strings, state)


def _start(strings: _Strings) -> list[Words]:
    seed = 81
    y = (seed * K1 + 113) & _MASK
    z = (y * K2 + 113) & _MASK
    z = ((z ^ (z >> 47)) * K2) & _MASK
    (first,) = strings.words64(0)
    zero = first ^ first
    return [first + (seed * K2 & _MASK), zero + y, zero + z, zero, zero, zero, zero]


def _absorb(
    memory: _Memory, at: Value, state: list[Words], factor: int, multiplier: Words | int
) -> list[Words]:
    """Mix 64 bytes into the state; ``factor`` is 1 within the string and 9 at its end."""
    x, y, z, v0, v1, w0, w1 = state

    def word(offset: int) -> Words:
        return memory.word64(memory.nodes.op("Add", at, memory.nodes.constant(offset)))

    words = [word(offset) for offset in range(0, 64, 8)]
    x = (x + y + v0 + words[1]).rotated(37) * multiplier
    y = (y + v1 + words[6]).rotated(42) * multiplier
    x = x ^ (w1 * factor)
    y = y + v0 * factor + words[5]
    z = (z + w0).rotated(33) * multiplier
    v0, v1 = _absorb_32(words[:4], v1 * multiplier, x + w0)
    w0, w1 = _absorb_32(words[4:], z + w1, y + words[2])
    return [z, y, x, v0, v1, w0, w1]


def _absorb_32(words: list[Words], a: Words, b: Words) -> tuple[Words, Words]:
    c = a + words[0]
    middle = c + words[1] + words[2]
    return middle + words[3], (b + c + words[3]).rotated(21) + middle.rotated(44) + c


def _finish(strings: _Strings, state: list[Words]) -> Words:
    x, y, z, v0, v1, w0, w1 = state
    multiplier = ((z & 0xFF) << 1) + K1
    w0 = w0 + ((strings.length - 1) & 63)
    v0 = v0 + w0
    w0 = w0 + v0
    last = strings.from_end(64)
    x, y, z, v0, v1, w0, w1 = _absorb(
        strings.memory, last, [x, y, z, v0, v1, w0, w1], 9, multiplier
    )
    return _mix(
        _mix(v0, w0, multiplier) + _shift_mix(y) * K0 + z,
        _mix(v1, w1, multiplier) + x,
        multiplier,
    )


_SHORT = 32
# The least number of bytes (exclusive), the largest, and the path for strings of such lengths.
_SHORT_CLASSES: tuple[_Class, ...] = (
    (0, 3, _hash_1_to_3),
    (3, 7, _hash_4_to_7),
    (7, 16, _hash_8_to_16),
    (16, _SHORT, _hash_17_to_32),
)
_LONG_CLASSES: tuple[_Class, ...] = ((_SHORT, 64, _hash_33_to_64), (64, None, _hash_65_and_more))
