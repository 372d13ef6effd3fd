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
        body: Bytes of a request's body; a larger one gets 413.
        rows: Rows of one run of the model; a request of more is answered in several runs.
        waiting: Rows that may wait for a run; a request beyond gets 503.
        string: Characters of one string; a longer one gets 400.
        list: Values in one list of a row; more get 400.
        seconds: How long the headers of a request may take to arrive, and its body; a slower one gets 408.
        connections: How many connections are served at once; a further one gets 503.
    """

    body: int = 16 << 20
    rows: int = 1024
    waiting: int = 65_536
    string: int = 65_536
    list: int = 4096
    seconds: float = 30.0
    connections: int = 1024
