"""Batches waiting requests into one run of the model.

A request does not wait for others to arrive: it runs at once if the model is free. Requests that arrive during a run
share the next run. So a single client has the latency of one run, and many clients share runs of many rows.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torchest.serving.limits import Limits, RequestError
from torchest.serving.values import joined, trimmed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torchest.serving.metrics import Metrics
    from torchest.serving.model import Model
    from torchest.serving.values import Array

_MOST_CELLS = (
    1 << 18
)  # of a matrix of lists in one run: a single long list widens those of all rows


@dataclass(eq=False)
class _Waiting:
    """The rows of a request that wait for a run, and the future of their answer."""

    feeds: Mapping[str, Array]
    outputs: tuple[str, ...]
    rows: int
    widths: tuple[int, ...]  # of its matrices of lists
    answer: asyncio.Future[dict[str, Array]]


class Batcher:
    """Runs one model on the rows of several requests at once.

    Args:
        model: The model.
        limits: Limits on the rows of a run and on the rows that wait.
        metrics: Counters of runs.
    """

    def __init__(self, model: Model, limits: Limits, metrics: Metrics) -> None:
        self._model, self._limits, self._metrics = model, limits, metrics
        self._lists = [name for name, each in model.inputs.items() if each.shape is None]
        # The answers for the steps of a sequence are as wide as the run: a run then has requests of one width only.
        self._has_steps = any(None in each["shape"][1:] for each in model.outputs.values())
        self._waiting: deque[_Waiting] = deque()
        self._rows = 0
        self._running: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def room(self, rows: int) -> Iterator[None]:
        """Reserves room for the rows of a request, before they are converted.

        Raises:
            RequestError: There is no room for so many rows, now or ever.
        """
        most = self._limits.max_waiting_rows
        if rows > most:
            raise RequestError(413, f"The request has {rows} rows: send at most {most} at a time.")
        if self._rows + rows > most:
            raise RequestError(
                503, f"{self._rows} rows are waiting to be answered: try again later."
            )
        self._rows += rows
        try:
            yield
        finally:
            self._rows -= rows

    async def ask(
        self, feeds: Mapping[str, Array], outputs: tuple[str, ...], rows: int
    ) -> dict[str, Array]:
        """The outputs of the rows of one request, by name.

        Args:
            feeds: Arrays [rows, ...] by the names of inputs.
            outputs: The names of the outputs to return.
            rows: The number of rows. Requests above the limit take several runs, with other requests in between.

        Raises:
            RequestError: The model fails on these rows.
        """
        most = min(
            self._limits.max_rows_per_run, max(1, _MOST_CELLS // _widest(self._widths(feeds)))
        )
        if rows <= most:
            return await self._enqueued(feeds, outputs, rows)
        answers = []
        for start in range(0, rows, most):
            part = {name: each[start : start + most] for name, each in feeds.items()}
            if not self._has_steps:
                part |= {name: trimmed(part[name]) for name in self._lists if name in part}
            answers.append(await self._enqueued(part, outputs, min(most, rows - start)))
        return {name: joined([answer[name] for answer in answers]) for name in outputs}

    def _widths(self, feeds: Mapping[str, Array]) -> tuple[int, ...]:
        return tuple(feeds[name].shape[1] for name in self._lists if name in feeds)

    def _enqueued(
        self, feeds: Mapping[str, Array], outputs: tuple[str, ...], rows: int
    ) -> asyncio.Future[dict[str, Array]]:
        answer = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(feeds, outputs, rows, self._widths(feeds), answer))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run_all())
        return answer

    async def _run_all(self) -> None:
        """Runs until no request waits."""
        while self._waiting:
            requests = self._next()
            if not requests:
                continue
            answers = await asyncio.to_thread(self._answers, requests)
            for each, answer in zip(requests, answers, strict=True):
                if each.answer.done():  # its client has disconnected
                    continue
                if isinstance(answer, RequestError):
                    each.answer.set_exception(answer)
                else:
                    each.answer.set_result(answer)

    def _next(self) -> list[_Waiting]:
        """The requests of the next run, in the order of their arrival."""
        requests: list[_Waiting] = []
        rows, width = 0, 1
        while self._waiting:
            each = self._waiting[0]
            rows, width = rows + each.rows, max(width, _widest(each.widths))
            too_many = rows > self._limits.max_rows_per_run or rows * width > _MOST_CELLS
            is_other = self._has_steps and requests and each.widths != requests[0].widths
            if is_other or (requests and too_many):
                break
            requests.append(self._waiting.popleft())
        return [each for each in requests if not each.answer.done()]

    def _answers(self, requests: list[_Waiting]) -> list[dict[str, Array] | RequestError]:
        """The answers from one run for all requests; if it fails, from one run for each."""
        try:
            return [*self._run(requests)]
        except Exception as error:
            if len(requests) > 1:
                return [answer for each in requests for answer in self._answers([each])]
            reason = str(error).strip().partition("\n")[0]
            return [RequestError(400, f"The model fails on these rows: {reason:.200}")]

    def _run(self, requests: list[_Waiting]) -> list[dict[str, Array]]:
        feeds = {
            name: joined([each.feeds[name] for each in requests]) for name in requests[0].feeds
        }
        outputs = list(dict.fromkeys(name for each in requests for name in each.outputs))
        ends = list(itertools.accumulate(each.rows for each in requests))
        self._metrics.ran(ends[-1])
        answers = self._model.run(feeds, outputs)
        return [
            {name: answers[name][end - each.rows : end] for name in each.outputs}
            for each, end in zip(requests, ends, strict=True)
        ]


def _widest(widths: tuple[int, ...]) -> int:
    return max((1, *widths))
