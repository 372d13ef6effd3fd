"""Compressed bodies of requests."""

from __future__ import annotations

import zlib

from torchest.serving.limits import RequestError

_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32


class Decoder:
    """Decodes a body that arrives in parts.

    Args:
        encoding: The Content-Encoding: "identity", "gzip" or "deflate".

    Raises:
        RequestError: The encoding is not supported.
    """

    def __init__(self, encoding: str) -> None:
        encoding = encoding.strip().lower()
        if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise RequestError(
                415, f"Content-Encoding is {encoding!r:.40}: send gzip, deflate or plain bodies."
            )
        is_plain = encoding in ("", "identity")
        self._inflate = None if is_plain else zlib.decompressobj(_GZIP_OR_ZLIB)

    def decode(self, part: bytes, most: int) -> bytes:
        """The decoded part, or its first `most` bytes.

        Raises:
            RequestError: The part is damaged.
        """
        if self._inflate is None:
            return part
        try:
            return self._inflate.decompress(part, most)
        except zlib.error as error:
            raise RequestError(400, f"The compressed body is damaged: {error}.") from None

    def check_end(self) -> None:
        """Raises RequestError if the body is truncated."""
        if self._inflate is not None and not self._inflate.eof:
            raise RequestError(400, "The compressed body is cut off.")
