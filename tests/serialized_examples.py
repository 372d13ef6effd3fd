"""Writes serialized tf.Example records, one by one, by the rules of protocol buffers."""

from __future__ import annotations

import struct


def serialized(**features):
    """One record: lists of text or bytes, of floats or of integers, by key."""
    return _field(1, b"".join(_field(1, _entry(key, values)) for key, values in features.items()))


def _entry(key, values):
    return _field(1, key.encode()) + _field(2, _feature(list(values)))


def _feature(values):
    if values and isinstance(values[0], (str, bytes)):
        coded = [value.encode() if isinstance(value, str) else value for value in values]
        return _field(1, b"".join(_field(1, value) for value in coded))
    if values and isinstance(values[0], float):
        return _field(2, _field(1, struct.pack(f"<{len(values)}f", *values)))
    return _field(3, _field(1, b"".join(_varint(value % 2**64) for value in values)))


def _field(number, content):
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value):
    coded = b""
    while value > 127:
        coded += bytes([value & 127 | 128])
        value >>= 7
    return coded + bytes([value])
