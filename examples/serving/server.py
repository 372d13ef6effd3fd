"""A small HTTP server over an exported model: onnxruntime, numpy and FastAPI, no torch and no torchest.

    python examples/serving/server.py exports/1790000000 --port 8000

    POST /v1/models/model:predict   {"instances": [{"age": 22.0, "class": "First"}, ...]}
    GET  /v1/models/model           what the model takes and answers

Requests are written as for TensorFlow Serving. Those that arrive together are answered in one run of the model:
the first one waits for others for a few milliseconds at most.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FILL = {"string": "", "float32": np.nan, "float64": np.nan}


class Model:
    """An exported model in onnxruntime."""

    def __init__(self, directory: Path) -> None:
        self.description = json.loads((directory / "signatures.json").read_text(encoding="utf-8"))
        self.session = onnxruntime.InferenceSession(
            str(directory / "model.onnx"), providers=["CPUExecutionProvider"]
        )
        self.inputs = [given for given in self.description["inputs"] if given["used"]]
        self.names = {given["name"] for given in self.description["inputs"]}
        self.outputs = self.description["signatures"]["predict"]["outputs"]

    def columns(self, instances: list[dict[str, Any]]) -> dict[str, np.ndarray]:
        """The features of instances, as the model takes them; ValueError says what is wrong with them."""
        for instance in instances:
            unknown = instance.keys() - self.names
            if unknown:
                raise ValueError(
                    f"There is no input {min(unknown)!r}; there are {sorted(self.names)}."
                )
        return {given["name"]: column(given, instances) for given in self.inputs}

    def answer(self, instances: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The predictions of instances, in their order."""
        found = self.session.run(list(self.outputs.values()), self.columns(instances))
        by_key = dict(zip(self.outputs, map(values, found), strict=True))
        return [dict(zip(by_key, row, strict=True)) for row in zip(*by_key.values(), strict=True)]


def values(answers: np.ndarray) -> list[Any]:
    """Answers as JSON has them: NaN, which it has no number for, is null."""
    if answers.dtype.kind == "f" and not np.isfinite(answers).all():
        answers = np.where(np.isfinite(answers), answers.astype(object), None)
    rows: list[Any] = answers.tolist()
    return rows


def column(given: dict[str, Any], instances: list[dict[str, Any]]) -> np.ndarray:
    """One feature of instances: [batch, *shape], or a matrix of lists that are filled up."""
    name, dtype = given["name"], given["dtype"]
    missing = given["missing"].get("value") if not given["lists"] else []
    values = [instance.get(name, missing) for instance in instances]
    if None in values:
        raise ValueError(f"Input {name!r} is missing in instance {values.index(None)}.")
    if not given["lists"]:
        shape = tuple(given["shape"][1:])
        rows = [cells(name, dtype, value) for value in values]
        size = int(np.prod(shape))
        for number, row in enumerate(rows):
            if row.size != size:
                raise ValueError(
                    f"Input {name!r} has {row.size} values in instance {number}, and takes {size}."
                )
        return np.stack([row.reshape(shape) for row in rows])
    lists = [cells(name, dtype, value) for value in values]
    longest = max(each.size for each in lists)
    filled = np.full((len(lists), longest), FILL.get(dtype, -1), dtype=lists[0].dtype)
    for row, each in enumerate(lists):
        filled[row, : each.size] = each
    return filled


def cells(name: str, dtype: str, value: Any) -> np.ndarray:
    """The values of one instance, [n]; a single one counts as a list of one."""
    if dtype == "string":
        found = np.asarray(value, dtype=object).reshape(-1)
        if not all(isinstance(cell, str) for cell in found):
            raise ValueError(f"Input {name!r} must be text.")
        return found
    try:
        found = np.asarray(value).reshape(-1) if np.size(value) else np.zeros(0, dtype)
        whole = found.dtype.kind in "biu" or dtype.startswith("float")
        if found.dtype.kind not in "biuf" or not whole:
            raise ValueError(f"not a number of dtype {dtype}")
        if not dtype.startswith("float") and (found != found.astype(dtype)).any():
            raise ValueError(f"beyond {dtype}")
        return found.astype(dtype)
    except (ValueError, TypeError) as error:
        raise ValueError(f"Input {name!r} is {value!r:.80}: it takes {dtype}.") from error


class Batcher:
    """Answers requests that arrive together in one run of the model.

    `runs` and `rows` count what has been answered.
    """

    def __init__(self, model: Model, most_rows: int, wait: float) -> None:
        self.model, self.most_rows, self.wait = model, most_rows, wait
        self.waiting: asyncio.Queue[tuple[list[Any], asyncio.Future[Any]]] = asyncio.Queue()
        self.runs = self.rows = 0

    async def ask(self, instances: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The predictions of one request."""
        self.model.columns(instances)  # a wrong request does not spoil those that run with it
        answer = asyncio.get_running_loop().create_future()
        await self.waiting.put((instances, answer))
        return await answer

    async def work(self) -> None:
        """Takes what is waiting, runs it, and hands out the answers, for ever."""
        while True:
            requests = [await self.waiting.get()]
            rows = len(requests[0][0])
            await asyncio.sleep(self.wait)
            while rows < self.most_rows and not self.waiting.empty():
                requests.append(self.waiting.get_nowait())
                rows += len(requests[-1][0])
            together = [instance for instances, _ in requests for instance in instances]
            try:
                answers = await asyncio.to_thread(self.model.answer, together)
            except Exception as error:
                for _, answer in requests:
                    answer.cancelled() or answer.set_exception(error)
                continue
            self.runs += 1
            self.rows += rows
            for instances, answer in requests:
                own, answers = answers[: len(instances)], answers[len(instances) :]
                answer.cancelled() or answer.set_result(own)


class Request(BaseModel):
    """What a client sends."""

    instances: list[dict[str, Any]]


def make_app(directory: Path, most_rows: int = 256, wait: float = 0.002) -> FastAPI:
    """The server of one model."""
    model = Model(directory)
    batcher = Batcher(model, most_rows, wait)

    @contextlib.asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        working = asyncio.create_task(batcher.work())
        yield
        working.cancel()

    app = FastAPI(lifespan=running)

    @app.get("/v1/models/model")
    async def describe() -> dict[str, Any]:
        signature = model.description["signatures"]["predict"]
        counts = {"runs": batcher.runs, "rows": batcher.rows}
        return {"inputs": model.inputs, "outputs": list(signature["outputs"]), "answered": counts}

    @app.post("/v1/models/model:predict")
    async def predict(request: Request) -> dict[str, Any]:
        if not request.instances:
            return {"predictions": []}
        try:
            return {"predictions": await batcher.ask(request.instances)}
        except (ValueError, TypeError) as error:
            raise HTTPException(400, str(error)) from error

    return app


def main() -> None:
    """Serves a model until it is stopped."""
    import uvicorn

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path, help="an exported model")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--most_rows", type=int, default=256, help="rows of one run of the model")
    parser.add_argument(
        "--wait", type=float, default=0.002, help="seconds to wait for more requests"
    )
    given = parser.parse_args()
    app = make_app(given.directory, given.most_rows, given.wait)
    uvicorn.run(app, host=given.host, port=given.port, log_level="warning")


if __name__ == "__main__":
    main()
