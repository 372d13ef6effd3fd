"""Tells of long waits for other processes, ends those above a limit, and says which process has gone.

A process that waits leaves a note where it waits. So each of those that wait knows who is late: the processes without
such a note. Nothing is written or read in the first second of a wait.
"""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torchest.distributed.notes import Notes

_log = logging.getLogger("torchest")
_TELL_SECS = 60.0  # until a wait is told; and again after twice, four times ... as long
_LOOK_SECS = 1.0  # until a look at the notes of others; the pauses grow with the wait
_SLOWEST_LOOK_SECS = 10.0
_GRACE_SECS = 2.0  # for notes on why a connection broke
_POLL_SECS = 0.05
_OF_DEVICES = (torch.OutOfMemoryError, torch.AcceleratorError, NotImplementedError)
_OF_CONNECTIONS = re.compile("gloo|NCCL|peer|[Cc]onnection")
_SEE_ITS_LOG = "See its log, and start all processes again, to resume."
SAME_CALLS = "All processes must make the same calls in the same order; only the chief may evaluate and export alone."


@dataclass(frozen=True)
class Patience:
    """How long a process waits for others, in seconds.

    Attributes:
        call: At the beginning of a call.
        step: For a message of a call.
        alone: For what a process has announced to do alone.
    """

    call: float = 7200
    step: float = 1800
    alone: float = 86400


@dataclass
class CurrentCall:
    """A call that the processes make together, or begin.

    Attributes:
        text: Its name and arguments.
        number: Its number; all processes count alike.
        patience: How long a process waits in it.
        messages: The number of its messages so far; 0 while it begins.
        step: Returns the global step, if it has steps.
    """

    text: str = "no call"
    number: int = -1
    patience: Patience = field(default_factory=Patience)
    messages: int = 0
    step: Callable[[], int] | None = None

    @property
    def place(self) -> list[int]:
        """The numbers of the call and of its last message; later places are greater."""
        return [self.number, self.messages]

    def __str__(self) -> str:
        if self.messages == 0:
            return f"the beginning of {self.text}"
        return self.text if self.step is None else f"step {self.step()} of {self.text}"


class _Wait:
    """A wait for other processes, which began now.

    Args:
        call: The call in which this process waits.
        what: What it waits for.
        computes: Whether this process computes meanwhile, so that it may be slow itself.

    Attributes:
        place: Where in the call.
        began: When it began.
        look_at: When to look at the notes of others.
        tell_at: When to tell of it.
        unannounced_since: Since when no late process has announced to do something alone.
    """

    def __init__(
        self, call: CurrentCall, what: str = "each other", *, computes: bool = False
    ) -> None:
        self.call = call
        self.what = what
        self.computes = computes
        self.place = call.place
        self.began = self.unannounced_since = time.monotonic()
        self.look_at = self.began + _LOOK_SECS
        self.tell_at = self.began + _TELL_SECS

    def end(self, announced: Mapping[int, str]) -> tuple[float, str]:
        """When it has to end, and the option that says so."""
        patience = self.call.patience
        if announced:
            return self.began + patience.alone, f"chief_timeout_secs={patience.alone:g}"
        if self.call.messages == 0:
            limit, option = patience.call, f"session_creation_timeout_secs={patience.call:g}"
        else:
            limit, option = patience.step, f"step_timeout_secs={patience.step:g}"
        return self.unannounced_since + limit, option


class Watch:
    """Watches the waits of this process, in a thread of its own.

    Args:
        notes: The notes of all processes.

    Attributes:
        call: The call that this process is in.
    """

    def __init__(self, notes: Notes) -> None:
        self.call = CurrentCall()
        self._notes = notes
        self._alone: list[str] = []
        self._wait: _Wait | None = None
        self._failure: str | None = None
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="torchest-watch", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Ends the thread; after a failure, process 0, which may have the notes, lets others read them."""
        self._has_ended.set()
        self._thread.join()
        if self.has_failed and self._notes.rank == 0:
            time.sleep(_GRACE_SECS)

    @property
    def has_failed(self) -> bool:
        """Whether the processes cannot reach each other any more."""
        return self._failure is not None

    def check(self) -> None:
        """Raises an error if the processes cannot reach each other any more."""
        if self._failure is not None:
            raise RuntimeError(f"{self._failure} Start all processes again.")

    @contextlib.contextmanager
    def message(self, what: str, *, computes: bool = False) -> Iterator[None]:
        """A context for one message, which all processes send in the same order.

        Args:
            what: What the processes send, such as "a sum"; the same in all.
            computes: Whether code in the context does more, and may fail in other ways.

        Raises:
            RuntimeError: A process has gone, or sends something else, or the wait was too long.
        """
        self.call.messages += 1
        wait = self._wait = _Wait(self.call, what, computes=computes)
        try:
            yield
        except RuntimeError as error:
            if not self.has_failed and not _is_of_connection(error, computes=computes):
                raise
            _log.info("A message between processes failed: %s", error)
            raise RuntimeError(self._reason(wait)) from None
        finally:
            self._wait = None

    def wait_to_begin(self, call: CurrentCall, names: Sequence[str]) -> None:
        """Waits at the beginning of a call until there are notes of all names.

        Raises:
            RuntimeError: The wait was too long.
        """
        wait = self._wait = _Wait(call)
        try:
            while not self._notes.are_there(names):
                if self._failure is not None:
                    raise RuntimeError(self._failure)
                time.sleep(min(_POLL_SECS, (time.monotonic() - wait.began) / 4))
        finally:
            self._wait = None

    @contextlib.contextmanager
    def notes_needed(self, call: CurrentCall) -> Iterator[None]:
        """A context that needs the notes, which process 0 may have.

        Raises:
            RuntimeError: They have gone.
        """
        try:
            yield
        except dist.DistError:
            own = self._notes.rank
            self._failure = f"Process 0 has ended, and process {own} waits for it in {call}."
            raise RuntimeError(self._failure) from None

    @contextlib.contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """A context in which others wait longer for this process.

        Args:
            what: What this process does alone, such as "writes a checkpoint".
        """
        self._alone.append(what)
        self._announce()
        try:
            yield
        finally:
            self._alone.pop()
            self._announce()

    def _announce(self) -> None:
        with contextlib.suppress(RuntimeError):  # the notes have gone; the next message fails
            self._notes.leave(f"alone/{self._notes.rank}", {"what": self._alone[-1:]})

    def _run(self) -> None:
        look_at = 0.0
        while not self._has_ended.wait(_LOOK_SECS / 2) and self._failure is None:
            wait, now = self._wait, time.monotonic()
            with contextlib.suppress(RuntimeError):  # the notes have gone; the next message fails
                if wait is not None and now >= wait.look_at:
                    self._look(wait)
                elif now >= look_at:  # who comes late knows why the others do not wait any more
                    look_at = now + _LOOK_SECS
                    self._failure = self._known_failure()

    def _look(self, wait: _Wait) -> None:
        """Leaves a note of a wait, compares it with those of others, and tells of it or ends it."""
        now = time.monotonic()
        self._leave_note_of(wait)
        late = self._late(wait)
        announced = {rank: what for rank in late for what in self._does_alone(rank)}
        if announced:
            wait.unannounced_since = now
        end, option = wait.end(announced)
        error = self._known_reason(wait)
        if error is None and now >= end and (late or not wait.computes):
            error = _too_late(wait, late, option)
        if error is not None:
            self._failure = self._first_failure(error)
            if wait.call.messages:
                _break_connections(self._notes.others[0])
        elif now >= wait.tell_at:
            wait.tell_at = now + (now - wait.began)
            _log.warning("%s", _still_waiting(wait, late, announced))
        pause = min(max(now - wait.began, _LOOK_SECS), _SLOWEST_LOOK_SECS)
        wait.look_at = min(now + pause, wait.tell_at, max(end, now + _LOOK_SECS))

    def _leave_note_of(self, wait: _Wait) -> None:
        self._notes.leave(f"waits/{self._notes.rank}", {"place": wait.place, "what": wait.what})

    def _late(self, wait: _Wait) -> list[int]:
        """The processes that have not come to the place of a wait, as far as their notes say."""
        notes = {rank: self._notes.read(f"waits/{rank}") for rank in self._notes.others}
        return [
            rank
            for rank, note in notes.items()
            if note is None or note["place"] < wait.place or self._does_alone(rank)
        ]

    def _does_alone(self, rank: int) -> list[str]:
        """What a process has announced to do alone; its older note of a wait does not count then."""
        note = self._notes.read(f"alone/{rank}")
        return [] if note is None else note["what"]

    def _known_reason(self, wait: _Wait) -> str | None:
        """Why a wait cannot end, if a note says it: a process has left the call, or the processes have failed."""
        failure = self._known_failure()
        if failure is not None:
            return failure
        number = wait.place[0]
        for rank in self._notes.others:
            other = self._notes.read(f"waits/{rank}")
            if other is not None and other["place"] == wait.place and other["what"] != wait.what:
                return (
                    f"Process {self._notes.rank} waits for {wait.what} in {wait.call}, and process {rank} for "
                    f"{other['what']}. All processes must compute the same, with the same model_fn and RunConfig, and "
                    "call torchest.backward equally often."
                )
            for name in (f"{number}/left/{rank}", f"{number + 1}/call/{rank}"):
                note = self._notes.read(name)
                if note is not None and [number, 0] <= note["after"] < wait.place:
                    way_out = _SEE_ITS_LOG if note.get("is_error") else SAME_CALLS
                    return (
                        f"Process {self._notes.rank} waits for process {rank} in {wait.call}, but process {rank} has "
                        f"{'left it with' if 'left' in name else 'come to'} {note['text']}. {way_out}"
                    )
        return None

    def _reason(self, wait: _Wait) -> str:
        """Why a message failed; the same in all processes."""
        if self._failure is not None:
            return self._failure
        give_up = time.monotonic() + _GRACE_SECS
        try:
            self._leave_note_of(wait)
            error = self._known_reason(wait)
            while error is None and time.monotonic() < give_up:
                time.sleep(_POLL_SECS)
                error = self._known_reason(wait)
            self._failure = self._first_failure(error or _broken(wait, self._late(wait)))
        except RuntimeError:  # process 0 had the notes
            self._failure = _broken(wait, [0])
        return self._failure

    def _known_failure(self) -> str | None:
        note = self._notes.read("failure")
        return None if note is None else note["error"]

    def _first_failure(self, error: str) -> str:
        return str(self._notes.leave_first("failure", {"error": error})["error"])


_watch: Watch | None = None


def use(watch: Watch) -> None:
    """Sets the watch of this process."""
    global _watch  # noqa: PLW0603 - messages of all modules go over one process group
    _watch = watch


def message(what: str, *, computes: bool = False) -> contextlib.AbstractContextManager[None]:
    """A context for one message between all processes; see `Watch.message`."""
    return contextlib.nullcontext() if _watch is None else _watch.message(what, computes=computes)


def _is_of_connection(error: RuntimeError, *, computes: bool) -> bool:
    if isinstance(error, dist.DistError):
        return True
    if computes:
        return _OF_CONNECTIONS.search(str(error)) is not None
    return not isinstance(error, _OF_DEVICES)


def _still_waiting(wait: _Wait, late: Sequence[int], announced: Mapping[int, str]) -> str:
    doing = "".join(f"; process {rank} {what}" for rank, what in announced.items())
    seconds = time.monotonic() - wait.began
    return f"Waiting for {listed(late) if late else 'a message'} since {wait.call}, for {seconds:.0f} s{doing}."


def _too_late(wait: _Wait, late: Sequence[int], option: str) -> str:
    if not late:
        return (
            f"All processes are waiting for {wait.what} in {wait.call}, longer than RunConfig({option}): the network "
            "may have failed. Start all processes again, to resume."
        )
    return (
        f"{listed(late).capitalize()} did not come to {wait.call}, where others wait, within RunConfig({option}): see "
        "its log, and give more time if it only was slow."
    )


def _broken(wait: _Wait, ranks: Sequence[int]) -> str:
    whom = listed(ranks, "or") if ranks else "another process"
    return (
        f"The connection to {whom} broke in {wait.call}: it was killed, or its machine or the network failed. See its "
        "log, and start all processes again, to resume."
    )


def _break_connections(rank: int) -> None:
    """Makes the message that this process waits for fail, as gloo ends all messages when one exceeds its time."""
    with contextlib.suppress(RuntimeError):
        received = dist.irecv(torch.empty(1, dtype=torch.uint8), rank)
        if received is not None:
            received.wait(timedelta(milliseconds=1))


def listed(ranks: Sequence[int], last: str = "and") -> str:
    """Processes by their numbers.

    >>> listed([1]), listed([0, 1, 2]), listed([0, 2], "or")
    ('process 1', 'processes 0, 1 and 2', 'process 0 or 2')
    """
    if len(ranks) == 1:
        return f"process {ranks[0]}"
    shown = [*map(str, ranks[:8]), *(["others"] if len(ranks) > 8 else [])]
    noun = "processes" if last == "and" else "process"
    return f"{noun} {', '.join(shown[:-1])} {last} {shown[-1]}"
