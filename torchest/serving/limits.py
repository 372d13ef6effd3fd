"""Limits on requests, and the error for a refused request."""

from __future__ import annotations

from dataclasses import dataclass


class RequestError(Exception):
    """A request that the server refuses.

    Args:
        status: The HTTP status code.
        message: One sentence for the client.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Limits:
    """Limits on requests.

    Attributes:
        max_body_bytes: Bytes of a request's body, compressed or not; a larger one gets 413.
        max_rows_per_run: Rows of one run of the model; several runs answer a request of more rows.
        max_waiting_rows: Rows of all requests in progress. A request beyond it gets 503, and a single request with more
            rows gets 413.
        max_string_length: Characters of one string; a longer one gets 400.
        max_list_length: Values in one list of a row; more get 400.
        timeout: Seconds in which the headers of a request, and then its body, must arrive (else 408), and in which the
            client must continue to read a large answer.
        max_connections: Simultaneous connections; a request on a further one gets 503.
    """

    max_body_bytes: int = 16 << 20
    max_rows_per_run: int = 1024
    max_waiting_rows: int = 65_536
    max_string_length: int = 65_536
    max_list_length: int = 4096
    timeout: float = 30.0
    max_connections: int = 1024
