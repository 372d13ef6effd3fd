"""The routes of the server, and the limits on requests."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import time
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

from torchest.serving import inference_v2, tensorflow_rest
from torchest.serving.compression import Decoder
from torchest.serving.json_text import dump
from torchest.serving.limits import Limits, RequestError
from torchest.version import __version__

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from typing import TypeAlias

    from starlette.requests import Request

    from torchest.serving.metrics import Metrics
    from torchest.serving.values import JSON
    from torchest.serving.versions import Versions

    Handler: TypeAlias = Callable[[Request], Awaitable[Response]]
    Target: TypeAlias = Mapping[str, str | None]  # what a path names: version and verb

_log = logging.getLogger("torchest.serving")
_VERSION = r"(/versions/(?P<version>[^/:]+)|/labels/(?P<label>[^/:]+))?"
_V1 = re.compile(rf"(?P<name>[^/:]+){_VERSION}(?P<verb>:[a-z]+|/metadata)?")
_V2 = re.compile(rf"(?P<name>[^/:]+){_VERSION}(?P<verb>/infer|/ready)?")
_V1_VERBS = ("predict", "classify", "regress")
_VERBS = (*_V1_VERBS, "infer", "metadata", "ready", "live")
_SECONDS_TO_SKIP = 5.0  # for the rest of a body that is too large
_BODIES = 16  # bodies of the largest size that may be in memory at once


def make_app(
    versions: Versions, metrics: Metrics, limits: Limits, name: str, poll: float = 1.0
) -> Starlette:
    """The server as an ASGI application.

    Args:
        versions: The versions to serve.
        metrics: Counters of requests.
        limits: Limits on requests.
        name: The name of the model for clients.
        poll: Seconds between two checks for new versions.
    """
    server = _Server(versions, metrics, limits, name)

    @contextlib.asynccontextmanager
    async def running(_: Starlette) -> AsyncIterator[None]:
        watching = asyncio.create_task(versions.watch(poll))
        yield
        watching.cancel()

    routes = [
        Route("/v1/models/{rest:path}", server.counted(server.v1), methods=["GET", "POST"]),
        Route("/v2", server.counted(server.v2_server), methods=["GET"]),
        Route("/v2/health/live", server.counted(server.live), methods=["GET"]),
        Route("/v2/health/ready", server.counted(server.live), methods=["GET"]),
        Route("/v2/models/{rest:path}", server.counted(server.v2), methods=["GET", "POST"]),
        Route("/metrics", server.metrics_text, methods=["GET"]),
    ]
    app = Starlette(
        routes=routes,
        lifespan=running,
        exception_handlers=dict.fromkeys((404, 405), server.not_routed),
    )
    app.router.redirect_slashes = False
    return app


class _Server:
    """The handlers of requests."""

    def __init__(self, versions: Versions, metrics: Metrics, limits: Limits, name: str) -> None:
        self._versions, self._metrics, self._limits, self._name = versions, metrics, limits, name
        self._bytes = 0  # of the bodies in memory

    def counted(self, handler: Handler) -> Handler:
        """Wraps a handler: turns errors into answers, and counts and logs requests."""

        async def answered(request: Request) -> Response:
            began = time.perf_counter()
            try:
                response = await handler(request)
            except RequestError as error:
                response = _json({"error": str(error)}, error.status)
            except ClientDisconnect:
                response = _json({"error": "The client disconnected."}, 400)
            except RecursionError:
                response = _json({"error": "The body is nested too deeply."}, 400)
            except Exception:
                _log.exception("a request failed")
                response = _json({"error": "The server failed on this request."}, 500)
            seconds = time.perf_counter() - began
            path = request.url.path
            verb = path.rpartition(":" if ":" in path else "/")[2]
            self._metrics.answered(
                verb if verb in _VERBS else "other", response.status_code, seconds
            )
            milliseconds = round(seconds * 1000, 3)
            status = response.status_code
            details = {"path": path[:200], "status": status, "milliseconds": milliseconds}
            _log.info("request", extra=details)
            return response

        return answered

    async def not_routed(self, request: Request, error: Exception) -> Response:
        """The answer for an unknown address or method."""
        assert isinstance(error, HTTPException)
        status = error.status_code

        async def refuse(_: Request) -> Response:
            path = request.url.path[:200]
            if status == 405:
                raise RequestError(status, f"{path!r} does not accept {request.method}.")
            raise RequestError(status, f"There is nothing at {path!r}.")

        response = await self.counted(refuse)(request)
        response.headers.update(error.headers or {})
        return response

    async def v1(self, request: Request) -> Response:
        """TensorFlow Serving's REST API."""
        target = self._target(_V1, request)
        if request.method == "POST":
            return await self._v1_post(target, request)
        return self._v1_get(target)

    def _v1_get(self, target: Target) -> Response:
        """Answers with the state of the versions, or the description of one."""
        if target["verb"] == "/metadata":
            model = self._versions.get(target["version"]).model
            return _json(tensorflow_rest.metadata(self._name, model))
        verb = (target["verb"] or "")[1:]
        if verb in _V1_VERBS:
            raise RequestError(405, f"{verb!r} needs POST.")
        if verb:
            raise _unknown_verb(verb)
        states = self._versions.states()
        version = target["version"]
        if version is not None:
            if version not in states:
                self._versions.get(version)
            states = {version: states[version]}
        return _json(tensorflow_rest.status(states))

    async def _v1_post(self, target: Target, request: Request) -> Response:
        """Predictions, classes or values."""
        verb = (target["verb"] or "")[1:]
        if verb not in _V1_VERBS:
            raise _unknown_verb(verb)
        version = self._versions.get(target["version"])
        async with self._body(request) as body:
            answer = await tensorflow_rest.answer(verb, body, version)
        return Response(answer, media_type="application/json")

    async def v2_server(self, _: Request) -> Response:
        """The description of the server."""
        return _json(
            {"name": "torchest", "version": __version__, "extensions": ["binary_tensor_data"]}
        )

    async def live(self, _: Request) -> Response:
        """Reports that the server is alive and ready: it never runs without a version."""
        return Response(status_code=200)

    async def v2(self, request: Request) -> Response:
        """The Open Inference Protocol."""
        target = self._target(_V2, request)
        if request.method == "POST":
            return await self._v2_post(target, request)
        return self._v2_get(target)

    def _v2_get(self, target: Target) -> Response:
        """Answers whether a version is ready, or with its description."""
        version = self._versions.get(target["version"])
        if target["verb"] == "/ready":
            return Response(status_code=200)
        if target["verb"]:
            raise RequestError(405, "'infer' needs POST.")
        served = [name for name, reason in self._versions.states().items() if not reason]
        return _json(inference_v2.metadata(self._name, version.model, served[::-1]))

    async def _v2_post(self, target: Target, request: Request) -> Response:
        """The model's outputs."""
        if target["verb"] != "/infer":
            raise RequestError(404, "There is only .../infer.")
        version = self._versions.get(target["version"])
        length = request.headers.get(inference_v2.HEADER)
        async with self._body(request) as body:
            answer, head = await inference_v2.answer(body, length, self._name, version)
        if head is None:
            return Response(answer, media_type="application/json")
        return Response(
            answer, media_type="application/octet-stream", headers={inference_v2.HEADER: str(head)}
        )

    async def metrics_text(self, _: Request) -> Response:
        """The metrics, for Prometheus."""
        return Response(self._metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    def _target(self, pattern: re.Pattern[str], request: Request) -> Target:
        """The version and the verb in a path."""
        match = pattern.fullmatch(request.path_params["rest"])
        if match is None:
            raise RequestError(404, f"There is nothing at {request.url.path[:200]!r}.")
        if match["name"] != self._name:
            raise RequestError(
                404, f"There is no model {match['name'][:60]!r}; it is called {self._name!r}."
            )
        if match["label"] is not None:
            raise RequestError(404, "Versions have no labels here: use /versions/NUMBER.")
        return match.groupdict()

    @contextlib.asynccontextmanager
    async def _body(self, request: Request) -> AsyncIterator[bytes]:
        """The body of a request, within the limits of size and time."""
        stated = request.headers.get("content-length", "0")
        seconds = self._limits.timeout
        if stated.isdecimal() and int(stated) > self._limits.max_body_bytes:
            if "expect" not in request.headers:
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(_skip_body(request), min(seconds, _SECONDS_TO_SKIP))
            raise self._too_large()
        body = bytearray()
        try:
            try:
                await asyncio.wait_for(self._receive(request, body), seconds)
            except asyncio.TimeoutError:  # another class than TimeoutError in Python 3.10
                raise RequestError(
                    408, f"The body did not arrive within {seconds:g} seconds."
                ) from None
            yield bytes(body)
        finally:
            self._bytes -= len(body)

    async def _receive(self, request: Request, body: bytearray) -> None:
        most = self._limits.max_body_bytes
        decoder = Decoder(request.headers.get("content-encoding", "identity"))
        async for chunk in request.stream():
            part = decoder.decode(chunk, most + 1 - len(body))
            body += part
            self._bytes += len(part)
            if len(body) > most:
                raise self._too_large()
            if self._bytes > _BODIES * most:
                raise RequestError(503, "There are too many large requests: try again later.")
        decoder.check_end()

    def _too_large(self) -> RequestError:
        return RequestError(413, f"The body has more than {self._limits.max_body_bytes} bytes.")


async def _skip_body(request: Request) -> None:
    """Receives a body that nobody reads: a client whose connection is closed while it sends sees no answer."""
    async for _ in request.stream():
        pass


def _unknown_verb(verb: str) -> RequestError:
    return RequestError(404, f"There is no {verb!r}: there are predict, classify and regress.")


def _json(value: JSON, status: int = 200) -> Response:
    headers = {"Retry-After": "1"} if status == 503 else None
    return Response(dump(value), status, headers, media_type="application/json")


class JsonLines(logging.Formatter):
    """Log records as JSON, one on each line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, JSON] = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        details = ("path", "status", "milliseconds")
        line |= {name: getattr(record, name) for name in details if hasattr(record, name)}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)  # in ASCII: the encoding of standard error may be any
