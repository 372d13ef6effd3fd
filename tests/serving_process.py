"""The server in a process of its own, which cannot import torch, and a client of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

WITHOUT_TORCH = """
import sys
for name in ("torch", "pandas", "pyarrow", "onnx", "onnxscript", "numba", "tensorboard"):
    sys.modules[name] = None
from torchest.command_line import main
main(sys.argv[1:])
"""


class Server:
    """A running server.

    Args:
        directory: What it serves.
        options: Of `torchest serve`.
    """

    def __init__(self, directory: str | Path, *options: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-W", "error", "-c", WITHOUT_TORCH, "serve", str(directory)]
        self.process = subprocess.Popen(
            [*command, "--port", str(self.port), *options],
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )

    def wait_until_ready(self) -> None:
        """Waits until it answers."""
        for _ in range(600):
            with contextlib.suppress(OSError):
                self.get("/v2/health/ready")
                return
            if self.process.poll() is not None:
                raise AssertionError(self.stop())
            time.sleep(0.1)
        raise AssertionError("the server does not answer")

    def get(self, path: str) -> tuple[int, Any]:
        """The status and the body of an answer."""
        return self._answer(urllib.request.Request(self.url + path))

    def post(
        self, path: str, body: Any, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Likewise; the body is bytes, or a value to be sent as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._answer(urllib.request.Request(self.url + path, data, dict(headers or {})))

    def stop(self) -> list[dict[str, Any]]:
        """Ends it by SIGTERM, and gives what it logged."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        _, logged = self.process.communicate(timeout=60)
        return [json.loads(line) for line in logged.decode().splitlines()]

    @staticmethod
    def _answer(request: urllib.request.Request) -> tuple[int, Any]:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status, body = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                status, body = error.code, error.read()
        with contextlib.suppress(ValueError):
            return status, json.loads(body or b"null")
        return status, body.decode()


@contextlib.contextmanager
def serving(directory: str | Path, *options: str) -> Iterator[Server]:
    """A server that answers, and is ended at the end."""
    server = Server(directory, *options)
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.process.kill()
        server.process.communicate(timeout=60)
