"""The server's routes: which protocol answers what, within which limits."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import time
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

from torchest.serving import inference_v2, tensorflow_rest
from torchest.serving.compression import Decoder
from torchest.serving.json_text import text
from torchest.serving.limits import Limits, RequestError
from torchest.version import __version__

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from starlette.requests import Request

    from torchest.serving.metrics import Metrics
    from torchest.serving.versions import Versions

    Answer = Callable[[Request], Awaitable[Response]]

_log = logging.getLogger("torchest.serving")
_VERSION = r"(/versions/(?P<version>[^/:]+)|/labels/(?P<label>[^/:]+))?"
_V1 = re.compile(rf"(?P<name>[^/:]+){_VERSION}(?P<verb>:[a-z]+|/metadata)?")
_V2 = re.compile(rf"(?P<name>[^/:]+){_VERSION}(?P<verb>/infer|/ready)?")
_BODIES = 16  # as many of the largest size may be there at once


def make_app(
    versions: Versions, metrics: Metrics, limits: Limits, name: str, poll: float = 1.0
) -> Starlette:
    """The server as an ASGI application.

    Args:
        versions: What is served.
        metrics: What is counted.
        limits: Bounds on requests.
        name: What clients call the model.
        poll: Seconds between two looks for new versions.
    """
    server = _Server(versions, metrics, limits, name)

    @contextlib.asynccontextmanager
    async def running(_: Starlette) -> AsyncIterator[None]:
        watching = asyncio.create_task(versions.watch(poll))
        yield
        watching.cancel()

    routes = [
        Route("/v1/models/{rest:path}", server.told(server.v1), methods=["GET", "POST"]),
        Route("/v2", server.told(server.v2_server), methods=["GET"]),
        Route("/v2/health/live", server.told(server.live), methods=["GET"]),
        Route("/v2/health/ready", server.told(server.live), methods=["GET"]),
        Route("/v2/models/{rest:path}", server.told(server.v2), methods=["GET", "POST"]),
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
        self._bytes = 0  # of bodies

    def told(self, handler: Answer) -> Answer:
        """A handler whose errors are answers, and whose requests are counted and logged."""

        async def answered(request: Request) -> Response:
            began = time.perf_counter()
            try:
                response = await handler(request)
            except RequestError as error:
                response = _json({"error": str(error)}, error.status)
            except ClientDisconnect:
                response = _json({"error": "The client went away."}, 400)
            except RecursionError:
                response = _json({"error": "The body is nested too deeply."}, 400)
            except Exception:
                _log.exception("a request failed")
                response = _json({"error": "The server failed on this request."}, 500)
            seconds = time.perf_counter() - began
            verb = request.url.path.rpartition(":" if ":" in request.url.path else "/")[2]
            known = verb if verb in _VERBS else "other"
            self._metrics.answered(known, response.status_code, seconds)
            _log.info(
                "request",
                extra={
                    "path": request.url.path[:200],
                    "status": response.status_code,
                    "milliseconds": round(seconds * 1000, 3),
                },
            )
            return response

        return answered

    async def not_routed(self, request: Request, error: Exception) -> Response:
        """What to say of an address, or of a method, that there is not."""
        assert isinstance(error, HTTPException)
        path = request.url.path[:200]

        async def refuse(_: Request) -> Response:
            if error.status_code == 405:
                raise RequestError(405, f"{path!r} does not take {request.method}.")
            raise RequestError(404, f"There is nothing at {path!r}.")

        response = await self.told(refuse)(request)
        response.headers.update(error.headers or {})
        return response

    async def v1(self, request: Request) -> Response:
        """TensorFlow Serving's REST API."""
        asked = self._asked(_V1, request)
        return await (self._v1_post if request.method == "POST" else self._v1_get)(asked, request)

    async def _v1_get(self, asked: Mapping[str, Any], _: Request) -> Response:
        """The state of the versions, or what one takes and answers."""
        if asked["verb"] == "/metadata":
            model = self._versions.get(asked["version"]).model
            return _json(tensorflow_rest.metadata(self._name, model))
        verb = (asked["verb"] or "")[1:]
        if verb in _V1_VERBS:
            raise RequestError(405, f"{verb!r} takes POST.")
        if verb:
            raise _unknown_verb(verb)
        states = self._versions.states()
        if asked["version"] is not None:
            if asked["version"] not in states:
                self._versions.get(asked["version"])
            states = {asked["version"]: states[asked["version"]]}
        return _json(tensorflow_rest.status(states))

    async def _v1_post(self, asked: Mapping[str, Any], request: Request) -> Response:
        """Predictions, classes or values."""
        verb = (asked["verb"] or "")[1:]
        if verb not in _V1_VERBS:
            raise _unknown_verb(verb)
        version = self._versions.get(asked["version"])
        async with self._body(request) as body:
            answer = await tensorflow_rest.answer(verb, body, version)
        return Response(answer, media_type="application/json")

    async def v2_server(self, _: Request) -> Response:
        """What the server is."""
        return _json(
            {"name": "torchest", "version": __version__, "extensions": ["binary_tensor_data"]}
        )

    async def live(self, _: Request) -> Response:
        """That the server answers; it has a version as long as it runs."""
        return Response(status_code=200)

    async def v2(self, request: Request) -> Response:
        """The Open Inference Protocol."""
        asked = self._asked(_V2, request)
        return await (self._v2_post if request.method == "POST" else self._v2_get)(asked, request)

    async def _v2_get(self, asked: Mapping[str, Any], _: Request) -> Response:
        """Whether a version is ready, or what it takes and answers."""
        version = self._versions.get(asked["version"])
        if asked["verb"] == "/ready":
            return Response(status_code=200)
        if asked["verb"]:
            raise RequestError(405, "'infer' takes POST.")
        served = [name for name, reason in self._versions.states().items() if not reason]
        return _json(inference_v2.metadata(self._name, version.model, served[::-1]))

    async def _v2_post(self, asked: Mapping[str, Any], request: Request) -> Response:
        """The model's outputs."""
        if asked["verb"] != "/infer":
            raise RequestError(404, "There is only .../infer.")
        version = self._versions.get(asked["version"])
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

    def _asked(self, pattern: re.Pattern[str], request: Request) -> dict[str, Any]:
        """What a path asks for: the version, and the verb."""
        asked = pattern.fullmatch(request.path_params["rest"])
        if asked is None:
            raise RequestError(404, f"There is nothing at {request.url.path[:200]!r}.")
        if asked["name"] != self._name:
            raise RequestError(
                404, f"There is no model {asked['name'][:60]!r}; it is called {self._name!r}."
            )
        if asked["label"] is not None:
            raise RequestError(404, "Versions have no labels here: ask for /versions/NUMBER.")
        return asked.groupdict()

    @contextlib.asynccontextmanager
    async def _body(self, request: Request) -> AsyncIterator[bytes]:
        """The body of a request, within the limits of size and time."""
        most = self._limits.max_body_bytes
        stated = request.headers.get("content-length", "0")
        if stated.isdecimal() and int(stated) > most:
            raise _too_large(most)
        body = bytearray()
        try:
            await self._read(request, body)
            yield bytes(body)
        finally:
            self._bytes -= len(body)

    async def _read(self, request: Request, body: bytearray) -> None:
        seconds = self._limits.timeout
        try:
            await asyncio.wait_for(self._receive(request, body), seconds)
        except asyncio.TimeoutError:  # another class than TimeoutError in Python 3.10
            raise RequestError(
                408, f"The body did not arrive within {seconds:g} seconds."
            ) from None

    async def _receive(self, request: Request, body: bytearray) -> None:
        most = self._limits.max_body_bytes
        decoder = Decoder(request.headers.get("content-encoding", "identity"))
        async for chunk in request.stream():
            part = decoder.decode(chunk, most + 1 - len(body))
            body += part
            self._bytes += len(part)
            if len(body) > most:
                raise _too_large(most)
            if self._bytes > _BODIES * most:
                raise RequestError(503, "There are too many large requests: try again later.")
        decoder.check_end()


_V1_VERBS = ("predict", "classify", "regress")
_VERBS = (*_V1_VERBS, "infer", "metadata", "ready", "live")


def _unknown_verb(verb: str) -> RequestError:
    return RequestError(404, f"There is no {verb!r}: there are predict, classify and regress.")


def _too_large(most: int) -> RequestError:
    return RequestError(413, f"The body has more than {most} bytes.")


def _json(value: Any, status: int = 200) -> Response:
    headers = {"Retry-After": "1"} if status == 503 else None
    return Response(text(value), status, headers, media_type="application/json")


class JsonLines(logging.Formatter):
    """Log records as JSON, one a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        for name in ("path", "status", "milliseconds"):
            if hasattr(record, name):
                line[name] = getattr(record, name)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)  # in ASCII: the encoding of standard error may be any
