"""Fields of many messages at once, against messages written out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from torchest.inputs import wire


def laid_out(*messages: bytes) -> tuple[np.ndarray, wire.Fields]:
    """Messages in one buffer, with bytes between them that belong to none."""
    content, start = b"", []
    for message in messages:
        content += b"\x7f"
        start.append(len(content))
        content += message
    data = np.frombuffer(content + bytes(wire.PADDING), np.uint8)
    lengths = [len(message) for message in messages]
    begins = np.array(start, np.int64)
    return data, wire.messages(begins, begins + np.array(lengths, np.int64))


def values(data: np.ndarray, fields: wire.Fields) -> list[tuple[int, int, bytes]]:
    spans = zip(fields.owner, fields.tag, fields.start, fields.stop, strict=True)
    return [(int(owner), int(tag), data[start:stop].tobytes()) for owner, tag, start, stop in spans]


def test_fields_of_all_wire_types_step_by_step():
    data, messages = laid_out(
        b"\x0a\x02ab" + b"\x10\xac\x02",  # 1: "ab"; 2: the varint 300
        b"",
        b"\x19" + b"12345678" + b"\x25" + b"1234" + b"\x0a\x00",  # 3: 64 bits; 4: 32 bits; 1: ""
    )
    steps = [values(data, fields) for fields in wire.steps(data, messages)]

    assert steps == [
        [(0, 0x0A, b"ab"), (2, 0x19, b"12345678")],
        [(0, 0x10, b"\xac\x02"), (2, 0x25, b"1234")],
        [(2, 0x0A, b"")],
    ]


def test_long_tags_and_lengths():
    number_300 = b"\xe2\x12"  # 300 · 8 + 2
    not_shortest = b"\x8a\x80\x00" + b"\x81\x00"  # 10 and 1 with bytes to spare
    data, messages = laid_out(number_300 + b"\xc8\x01" + b"x" * 200, not_shortest + b"y")

    found = values(data, wire.read_fields(data, messages))

    assert found == [(0, 2402, b"x" * 200), (1, 10, b"y")]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_groups_keep_the_order(size: int, monkeypatch: pytest.MonkeyPatch):
    data, messages = laid_out(*[b"\x0a\x01" + bytes([65 + number]) for number in range(5)] * 2)
    longer = wire.Fields(messages.owner, messages.start, messages.stop, messages.tag)
    monkeypatch.setattr(wire, "_GROUP", size)

    groups = [values(data, group) for group in wire.grouped(wire.steps(data, longer))]

    assert [field for group in groups for field in group] == values(
        data, wire.read_fields(data, longer)
    )


def test_owners_are_those_of_the_messages():
    data, messages = laid_out(b"\x0a\x01a", b"\x0a\x01b\x0a\x01c")
    owned = wire.Fields(np.array([7, 4]), messages.start, messages.stop, messages.tag)

    fields = wire.read_fields(data, owned)

    assert values(data, fields) == [(7, 10, b"a"), (4, 10, b"b"), (4, 10, b"c")]
    assert fields.by_owner().owner.tolist() == [4, 4, 7]


def test_the_last_field_of_each_message():
    data, messages = laid_out(b"\x0a\x01a\x0a\x01b", b"", b"\x12\x01c")

    last = wire.read_fields(data, messages).last_of_each(3)

    assert values(data, last) == [(0, 0x0A, b"b"), (1, 0, b""), (2, 0x12, b"c")]


@pytest.mark.parametrize(
    "message",
    [
        b"\x0a",  # no length
        b"\x0a\x02a",  # too short
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # a length of 2⁶⁴ − 1
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",  # a length of 2⁶³ − 1
        b"\x08\x80",  # a varint that does not end
        b"\x08" + b"\x80" * 10 + b"\x01",  # a varint of eleven bytes
        b"\x80" * 11 + b"\x01",  # a tag of eleven bytes
        b"\x02\x01a",  # field number 0
        b"\x00\x00",
        b"\x0b\x0c",  # a group
        b"\x0e\x00",  # wire type 6
        b"\x09" + b"1234567",  # 64 bits cut off
        b"\x0d" + b"123",  # 32 bits cut off
    ],
)
def test_malformed_messages_are_found(message: bytes):
    data, messages = laid_out(b"\x0a\x01a", message, b"\x0a\x01b")
    with pytest.raises(wire.MalformedError, match="Message 1 is malformed") as raised:
        wire.read_fields(data, messages)
    assert raised.value.message == 1


def test_floats_and_varints_of_stretches():
    data, floats = laid_out(np.array([1.5, -2.0], "<f4").tobytes(), b"", np.float32(3).tobytes())
    numbers, counts = wire.read_floats(data, floats)
    assert (numbers.tolist(), counts.tolist()) == ([1.5, -2.0, 3.0], [2, 0, 1])

    minus_one = b"\xff" * 9 + b"\x01"
    data, varints = laid_out(b"\x05\xac\x02", b"", minus_one, b"\x00")
    numbers, counts = wire.read_varints(data, varints)
    assert (numbers.tolist(), counts.tolist()) == ([5, 300, -1, 0], [2, 0, 1, 1])


@pytest.mark.parametrize("content", [b"\x80", b"\x01\x80", b"\x80" * 10 + b"\x01"])
def test_malformed_varints_are_found(content: bytes):
    data, messages = laid_out(b"\x01", content, b"\x01")
    with pytest.raises(wire.MalformedError, match="Message 1"):
        wire.read_varints(data, messages)


def test_half_a_float_is_found():
    data, messages = laid_out(b"1234", b"12345678", b"12345")
    with pytest.raises(wire.MalformedError, match="Message 2"):
        wire.read_floats(data, messages)


def test_strings_that_differ_from_the_one_before():
    words = [
        b"town",
        b"town",
        b"towns",
        b"",
        b"",
        b"a long word 1",
        b"a long word 1",
        b"a long word 2",
    ]
    data, strings = laid_out(*words)

    differs = wire.differs_from_last(data, strings)

    expected = [True, False, True, True, False, True, False, True]
    assert differs.tolist() == expected
