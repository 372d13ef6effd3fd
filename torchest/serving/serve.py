"""`torchest serve`: the server as a process.

torchest serve exports --port 8501
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from torchest.serving.app import JsonLines, make_app
from torchest.serving.metrics import Metrics
from torchest.serving.versions import Versions

if TYPE_CHECKING:
    import asyncio

    from torchest.serving.limits import Limits


@dataclass(frozen=True)
class Options:
    """How the server runs.

    Attributes:
        host: The address to listen at.
        port: The port to listen at; 0 for any that is free.
        name: What clients call the model.
        threads: How many threads a run of the model uses; 0 leaves it to onnxruntime.
        log_level: The least level of what is logged, as JSON lines on standard error.
    """

    host: str = "127.0.0.1"
    port: int = 8501
    name: str = "model"
    threads: int = 0
    log_level: str = "info"


def serve(directory: str, options: Options, limits: Limits) -> None:
    """Serves the exports of a directory until SIGTERM or SIGINT, after which running requests are answered.

    Args:
        directory: An export, or a directory of exports.
        options: How the server runs.
        limits: Bounds on requests.

    Raises:
        ValueError: There is no export, or the newest cannot be served.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    for logger in (logging.getLogger("torchest.serving"), logging.getLogger("uvicorn")):
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(options.log_level.upper())
    metrics = Metrics()
    versions = Versions(directory, limits, metrics, options.threads)
    uvicorn.run(
        make_app(versions, metrics, limits, options.name),
        host=options.host,
        port=options.port,
        http=type("Protocol", (_TimedProtocol,), {"seconds": limits.seconds}),
        log_config=None,
        log_level=options.log_level,
        access_log=False,
        server_header=False,
        limit_concurrency=limits.connections,
        timeout_keep_alive=75,
    )


class _TimedProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """uvicorn's protocol, but a connection is closed whose headers do not arrive in time."""

    seconds: float
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait_for_headers()

    def data_received(self, data: bytes) -> None:
        if self._timer is None and self._is_between_requests():
            self._wait_for_headers()
        super().data_received(data)
        if not self._is_between_requests():
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _is_between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _wait_for_headers(self) -> None:
        self._timer = self.loop.call_later(self.seconds, self._give_up)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        if self._is_between_requests() and not self.transport.is_closing():
            self.transport.close()
