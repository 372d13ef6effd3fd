"""What one client may ask of the server, and the error that tells it so."""

from __future__ import annotations

from dataclasses import dataclass


class RequestError(Exception):
    """A request that is not answered.

    Args:
        status: The HTTP status code.
        message: One sentence for the client.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Limits:
    """Bounds on what clients send.

    Attributes:
        max_body_bytes: Bytes of a request's body, compressed or not; a larger one gets 413.
        max_rows_per_run: Rows of one run of the model; a request of more is answered in several runs.
        max_waiting_rows: Rows of all requests that are being answered. A further request gets 503, and one that
            has more rows by itself gets 413.
        max_string_length: Characters of one string; a longer one gets 400.
        max_list_length: Values in one list of a row; more get 400.
        timeout: Seconds that a client may take to send the headers of a request, then its body (408), and
            to read some of a large answer.
        max_connections: Connections at once; a request of a further one gets 503.
    """

    max_body_bytes: int = 16 << 20
    max_rows_per_run: int = 1024
    max_waiting_rows: int = 65_536
    max_string_length: int = 65_536
    max_list_length: int = 4096
    timeout: float = 30.0
    max_connections: int = 1024
