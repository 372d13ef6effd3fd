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
from starlette.responses import Response
from starlette.routing import Route

from torchest.serving import inference_v2, tensorflow_rest
from torchest.serving.json_text import parsed, text
from torchest.serving.limits import Limits, RequestError
from torchest.version import __version__

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.requests import Request

    from torchest.serving.metrics import Metrics
    from torchest.serving.versions import Versions

    Answer = Callable[[Request], Awaitable[Response]]

_log = logging.getLogger("torchest.serving")
_V1 = re.compile(r"(?P<name>[^/:]+)(/versions/(?P<version>[^/:]+))?(?P<verb>:[a-z]+|/metadata)?")
_V2 = re.compile(r"(?P<name>[^/]+)(/versions/(?P<version>[^/]+))?(?P<verb>/infer|/ready)?")


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
        Route("/v1/models/{rest:path}", server.told(server.v1_get), methods=["GET"]),
        Route("/v1/models/{rest:path}", server.told(server.v1_post), methods=["POST"]),
        Route("/v2", server.told(server.v2_server), methods=["GET"]),
        Route("/v2/health/live", server.told(server.live), methods=["GET"]),
        Route("/v2/health/ready", server.told(server.live), methods=["GET"]),
        Route("/v2/models/{rest:path}", server.told(server.v2_get), methods=["GET"]),
        Route("/v2/models/{rest:path}", server.told(server.v2_post), methods=["POST"]),
        Route("/metrics", server.metrics_text, methods=["GET"]),
    ]
    return Starlette(routes=routes, lifespan=running)


class _Server:
    """The handlers of requests."""

    def __init__(self, versions: Versions, metrics: Metrics, limits: Limits, name: str) -> None:
        self._versions, self._metrics, self._limits, self._name = versions, metrics, limits, name

    def told(self, handler: Answer) -> Answer:
        """A handler whose errors are answers, and whose requests are counted and logged."""

        async def answered(request: Request) -> Response:
            began = time.perf_counter()
            try:
                response = await handler(request)
            except RequestError as error:
                response = _json({"error": str(error)}, error.status)
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

    async def v1_get(self, request: Request) -> Response:
        """The state of the versions, or what one takes and answers."""
        asked = self._asked(_V1, request)
        if asked["verb"] == "/metadata":
            model = self._versions.get(asked["version"]).model
            return _json(tensorflow_rest.metadata(self._name, model))
        if asked["verb"]:
            raise RequestError(405, f"{asked['verb'][1:]!r} takes POST.")
        states = self._versions.states()
        if asked["version"] is not None:
            if asked["version"] not in states:
                self._versions.get(asked["version"])
            states = {asked["version"]: states[asked["version"]]}
        return _json(tensorflow_rest.status(states))

    async def v1_post(self, request: Request) -> Response:
        """Predictions, classes or values."""
        asked = self._asked(_V1, request)
        verb = (asked["verb"] or "")[1:]
        if verb not in ("predict", "classify", "regress"):
            raise RequestError(
                404, f"There is no {verb!r}: there are predict, classify and regress."
            )
        version = self._versions.get(asked["version"])
        body = parsed(await self._body(request))
        return _json(await tensorflow_rest.answer(verb, body, version))

    async def v2_server(self, _: Request) -> Response:
        """What the server is."""
        return _json(
            {"name": "torchest", "version": __version__, "extensions": ["binary_tensor_data"]}
        )

    async def live(self, _: Request) -> Response:
        """That the server answers; it has a version as long as it runs."""
        return Response(status_code=200)

    async def v2_get(self, request: Request) -> Response:
        """Whether a version is ready, or what it takes and answers."""
        asked = self._asked(_V2, request)
        version = self._versions.get(asked["version"])
        if asked["verb"] == "/ready":
            return Response(status_code=200)
        if asked["verb"]:
            raise RequestError(405, "'infer' takes POST.")
        served = [name for name, reason in self._versions.states().items() if not reason]
        return _json(inference_v2.metadata(self._name, version.model, sorted(served)))

    async def v2_post(self, request: Request) -> Response:
        """The model's outputs."""
        asked = self._asked(_V2, request)
        if asked["verb"] != "/infer":
            raise RequestError(404, "There is only .../infer.")
        version = self._versions.get(asked["version"])
        length = request.headers.get(inference_v2.HEADER)
        body, head = await inference_v2.answer(
            await self._body(request), length, self._name, version
        )
        if head is None:
            return Response(body, media_type="application/json")
        return Response(
            body, media_type="application/octet-stream", headers={inference_v2.HEADER: str(head)}
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
        return asked.groupdict()

    async def _body(self, request: Request) -> bytes:
        """The body of a request, within the limits of size and time."""
        most = self._limits.body
        stated = request.headers.get("content-length", "0")
        if stated.isdecimal() and int(stated) > most:
            raise _too_large(most)
        try:
            return await asyncio.wait_for(self._read(request), self._limits.seconds)
        except asyncio.TimeoutError:  # another class than TimeoutError in Python 3.10
            raise RequestError(
                408, f"The body did not arrive within {self._limits.seconds:g} seconds."
            ) from None

    async def _read(self, request: Request) -> bytes:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > self._limits.body:
                raise _too_large(self._limits.body)
        return bytes(body)


_VERBS = ("predict", "classify", "regress", "infer", "metadata", "ready", "live")


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
        return json.dumps(line, ensure_ascii=False)
