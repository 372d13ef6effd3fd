"""`torchest serve`: the process of the server."""

from __future__ import annotations

import logging
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from torchest.serving.app import JsonLines, make_app
from torchest.serving.metrics import Metrics
from torchest.serving.versions import Versions

_MOST_HEAD = 1 << 16  # bytes of a request's line and headers

if TYPE_CHECKING:
    import asyncio

    from torchest.serving.limits import Limits


@dataclass(frozen=True)
class Options:
    """Options of the server.

    Attributes:
        host: The address to listen on.
        port: The port to listen on; 0 for any free one.
        name: The name of the model for clients.
        threads: The number of threads of one run of the model; 0 leaves it to onnxruntime.
        log_level: The lowest level of log records, which are JSON lines on standard error.
    """

    host: str = "127.0.0.1"
    port: int = 8501
    name: str = "model"
    threads: int = 0
    log_level: str = "info"


def serve(directory: str, options: Options, limits: Limits) -> None:
    """Serves the exports of a directory until SIGTERM or SIGINT, then answers the requests in progress and returns.

    Args:
        directory: An export, or a directory of exports.
        options: Options of the server.
        limits: Limits on requests.

    Raises:
        ValueError: There is no export, or none can be served.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    for logger in (logging.getLogger("torchest.serving"), logging.getLogger("uvicorn")):
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(options.log_level.upper())
    metrics = Metrics()
    versions = Versions(directory, limits, metrics, options.threads)
    # uvicorn sends itself SIGTERM again once all requests are answered, which would end the process as a failure
    signal.signal(signal.SIGTERM, lambda *_: None)
    uvicorn.run(
        make_app(versions, metrics, limits, options.name),
        host=options.host,
        port=options.port,
        http=type("Protocol", (_BoundedProtocol,), {"timeout": limits.timeout}),
        ws="none",
        log_config=None,
        log_level=options.log_level,
        access_log=False,
        server_header=False,
        limit_concurrency=limits.max_connections,
        timeout_keep_alive=75,
    )


class _BoundedProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """uvicorn's protocol, extended to close connections of clients that are too slow or send endless headers."""

    timeout: float
    _timer: asyncio.TimerHandle | None = None  # while headers are awaited
    _reader: asyncio.TimerHandle | None = None  # while the client reads an answer
    _head = 0  # bytes of headers so far

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._wait_for_headers()

    def data_received(self, data: bytes) -> None:
        if self._timer is None and self._is_between_requests():
            self._wait_for_headers()
        super().data_received(data)
        if not self._is_between_requests():
            self._stop_waiting()
        elif self.cycle is None or not self.cycle.more_body:
            self._head += len(data)
            if self._head > _MOST_HEAD:
                self.send_400_response(f"The headers have more than {_MOST_HEAD} bytes.")

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        if self._reader is not None:
            self._reader.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._reader is None and self.transport.get_write_buffer_size():
            self._wait_for_reader()

    def _is_between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _wait_for_headers(self) -> None:
        self._head = 0
        self._timer = self.loop.call_later(self.timeout, self._give_up)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        if self._is_between_requests() and not self.transport.is_closing():
            self.transport.close()

    def _wait_for_reader(self) -> None:
        left = self.transport.get_write_buffer_size()
        self._reader = self.loop.call_later(self.timeout, self._check_reader, left)

    def _check_reader(self, before: int) -> None:
        """Closes the connection of a client that has stopped reading its answer."""
        self._reader = None
        left = self.transport.get_write_buffer_size()
        if left >= before:
            self.transport.abort()
        elif left:
            self._wait_for_reader()
