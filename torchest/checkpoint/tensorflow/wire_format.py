"""The fields of a message of Protocol Buffers, without its definition.

Format: https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Value = int | bytes
_LONGEST = 10  # bytes of a number of 64 bits
_FIXED = {1: 8, 5: 4}  # bytes by wire type
_NUMBER, _BYTES = 0, 2


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of 64 bits, and the position after it.

    Raises:
        ValueError: There is none.

    >>> varint(bytes([0xAC, 0x02]), 0)
    (300, 2)
    """
    number = 0
    for place, byte in enumerate(data[at : at + _LONGEST]):
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return number % 2**64, at + place + 1
    raise ValueError("a number is cut off")


def signed(number: int) -> int:
    """The number of type int64 or int32 that a varint stands for."""
    return number - 2**64 if number >= 2**63 else number


def fields(message: bytes) -> Iterator[tuple[int, Value]]:
    """The number and the value of each field: an unsigned number, or bytes.

    Raises:
        ValueError: The bytes are not a message.

    >>> list(fields(bytes([0x08, 0x2A, 0x12, 0x01, 0x61])))
    [(1, 42), (2, b'a')]
    """
    at = 0
    while at < len(message):
        tag, at = varint(message, at)
        kind = tag & 7
        value: Value
        if kind == _NUMBER:
            value, at = varint(message, at)
        elif kind == _BYTES:
            size, at = varint(message, at)
            value, at = _taken(message, at, size), at + size
        elif kind in _FIXED:
            size = _FIXED[kind]
            value, at = int.from_bytes(_taken(message, at, size), "little"), at + size
        else:
            raise ValueError(f"a field has the wire type {kind}")
        yield tag >> 3, value


def _taken(message: bytes, at: int, size: int) -> bytes:
    if size > len(message) - at:
        raise ValueError("a field is cut off")
    return message[at : at + size]


class Message:
    """The fields of a message by number.

    Args:
        data: The serialized message.

    Raises:
        ValueError: The bytes are not a message.
    """

    def __init__(self, data: bytes) -> None:
        self._values: dict[int, list[Value]] = {}
        for number, value in fields(data):
            self._values.setdefault(number, []).append(value)

    def number(self, field: int) -> int:
        """A number; 0 if it is left out."""
        value = self._values.get(field, [0])[-1]
        if not isinstance(value, int):
            raise ValueError(f"field {field} is not a number")
        return signed(value)

    def has(self, field: int) -> bool:
        """Whether a field is not left out."""
        return field in self._values

    def text(self, field: int) -> str:
        """A text; empty if it is left out."""
        values = self.all_bytes(field)
        return values[-1].decode() if values else ""

    def all_bytes(self, field: int) -> list[bytes]:
        """All values of a field that is bytes."""
        values = self._values.get(field, [])
        of_bytes = [value for value in values if isinstance(value, bytes)]
        if len(of_bytes) < len(values):
            raise ValueError(f"field {field} is not bytes")
        return of_bytes

    def messages(self, field: int) -> list[Message]:
        """All values of a field that is a message."""
        return list(map(Message, self.all_bytes(field)))
