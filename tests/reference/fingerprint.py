"""Write fingerprint.json: byte strings with the hash that TensorFlow gives them.

Each row of "rows" is [bytes in base64, Fingerprint64, [bucket of each of "bucket_counts"]]. All
lengths from 0 to 300 bytes occur; those up to 130 and those next to a multiple of 64, where the
algorithm changes its path, more often. The contents take turns: ASCII text, UTF-8 text with
characters of 1 to 4 bytes, arbitrary bytes (hardly ever UTF-8), text with NUL bytes inside, and
runs of one byte.
"""

from __future__ import annotations

import base64
import random
import string
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf
from write_json import write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LONGEST = 300
BUCKET_COUNTS = [10, 32, 1_000_003]
CHARACTERS = {  # by the number of bytes in UTF-8
    1: string.ascii_letters + string.digits + " -_",
    2: "äéøñçßžőλЖшא",
    3: "日本語中文한국어ไทย€–ḱ",
    4: "😀🚢🧭𝒳𠀋🏳",
}
EXAMPLES = [
    "First",
    "Second",
    "Third",
    "Southampton",
    "unknown",
    "0",
    "-1",
    "3.0",
    "São Paulo",
    "東京",
    "👩‍👩‍👧",
]


def ascii_text(draw: random.Random, length: int) -> bytes:
    return "".join(draw.choices(string.printable, k=length)).encode()


def utf8_text(draw: random.Random, length: int) -> bytes:
    text = b""
    while len(text) < length:
        size = draw.randint(1, min(4, length - len(text)))
        text += draw.choice(CHARACTERS[size]).encode()
    return text


def any_bytes(draw: random.Random, length: int) -> bytes:
    return draw.randbytes(length)


def text_with_nul(draw: random.Random, length: int) -> bytes:
    text = bytearray(ascii_text(draw, length))
    for position in draw.sample(range(length), k=(length + 3) // 4):
        text[position] = 0
    return bytes(text)


def run_of_one_byte(draw: random.Random, length: int) -> bytes:
    return bytes([draw.choice([0, 1, 32, 97, 127, 128, 255])]) * length


CONTENTS: list[Callable[[random.Random, int], bytes]] = [
    ascii_text,
    utf8_text,
    any_bytes,
    text_with_nul,
    utf8_text,
    any_bytes,
    run_of_one_byte,
]


def how_many(length: int) -> int:
    """How many strings of a length to write."""
    if min(length % 64, -length % 64) <= 1:
        return 21
    return 12 if length <= 130 else 5


def strings() -> Iterator[bytes]:
    """All strings, the same at every run, some of them twice."""
    yield from (example.encode() for example in EXAMPLES)
    draw = random.Random(2015)
    turn = 0
    for length in range(LONGEST + 1):
        for _ in range(how_many(length)):
            yield CONTENTS[turn % len(CONTENTS)](draw, length)
            turn += 1


def main() -> None:
    values = sorted(set(strings()), key=lambda value: (len(value), value))
    tensor = tf.constant(values)
    fingerprints = tf.fingerprint(tensor, method="farmhash64").numpy().view("<u8")[:, 0]
    buckets = [tf.strings.to_hash_bucket_fast(tensor, count) for count in BUCKET_COUNTS]
    rows = [
        [base64.b64encode(value).decode(), int(fingerprint), bucket.tolist()]
        for value, fingerprint, bucket in zip(
            values, fingerprints, np.stack(buckets, axis=1), strict=True
        )
    ]
    write_json(__file__, {"bucket_counts": BUCKET_COUNTS, "rows": rows})


if __name__ == "__main__":
    main()
