"""A run of training, over all calls of `train` that it takes until one of them returns.

A run that was interrupted, by a kill, an exception or SIGTERM, is gone on with by the next call: from the newest
checkpoint, at its place in the input, with its random numbers, and with what hooks kept. After a run that returned the
next call begins anew: from the newest checkpoint too, but with its input from the beginning, as in tf.estimator. So it
does after a loss of NaN, which the same input would lead to again.

The file `unfinished` in the model_dir tells the two apart. It names the run, and so do the checkpoints that it
writes; it is there before the first of them, and is removed as the last thing before `train` returns. So there is no
moment at which a kill could make rows be used twice, or not at all.
"""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import uuid
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from torchest.checkpoint.state import mapping, text, whole
from torchest.checkpoint.trainer_lock import reserved_for_training
from torchest.engine.hooks import SessionRunHook
from torchest.inputs.reading import Position, Reading, check_position, moved_on, reading_of
from torchest.utils import files
from torchest.utils.random_state import (
    check_host_random_state,
    check_random_state,
    host_random_state,
    random_state,
    seed_from,
    set_host_random_state,
    set_random_state,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torchest.checkpoint.directory import Checkpoint
    from torchest.distributed.strategy import Strategy
    from torchest.engine.hooks import Session

_log = logging.getLogger("torchest")
_FILE = "unfinished"
_more_to_come: ContextVar[str | None] = ContextVar("torchest_more_to_come", default=None)


class TrainingRun:
    """The run that a call of `train` begins or goes on with.

    Args:
        model_dir: Where the checkpoints are.
        checkpoint: The one that training starts from, if there is one.
        strategy: Where the model runs.
        batches_per_step: How many batches of its input a step uses.

    Attributes:
        start: The global step that it goes on from, or begins at.
        goes_on: Whether an interrupted run goes on; if not, one begins.
        seed_of_others: What the random numbers of processes other than the chief depend on; known from
            `begin` on.
    """

    def __init__(
        self,
        model_dir: str,
        checkpoint: Checkpoint | None,
        strategy: Strategy,
        batches_per_step: int = 1,
    ) -> None:
        self._path = files.join(model_dir, _FILE)
        self._strategy = strategy
        self._batches_per_step = batches_per_step
        known = strategy.broadcast(_name_in(self._path) if strategy.is_chief else None)
        saved = None if checkpoint is None else _checked_training(checkpoint)
        self.goes_on = saved is not None and saved["run"] == known
        self._saved: dict[str, Any] | None = saved if self.goes_on else None
        self._name = known if self.goes_on else uuid.uuid4().hex
        self.start = 0 if checkpoint is None else checkpoint.global_step
        self._checkpoint = None if checkpoint is None else checkpoint.path
        # checkpoints of earlier versions do not say it
        self._began_at: int = self.start if self._saved is None else self._saved.get("began_at", 0)
        self._reading: Reading
        self._beginnings: list[Position] = []
        self._hooks: dict[str, Any] = {}
        self.seed_of_others = 0

    def read(self, source: Any) -> Reading:
        """Reads the input from where the run is.

        Args:
            source: What the input_fn returned.

        Raises:
            ValueError: It is not the input that the run has read so far.
        """
        if self.goes_on:
            _log.info("Going on with the training that was interrupted after step %d.", self.start)
        try:
            self._reading = reading_of(source, self._saved_position())
        except ValueError as error:
            raise ValueError(
                f"Training was interrupted after step {self.start}, and cannot go on where it was, as the input is "
                f"another one: {error}. Give the input that it was; or delete {self._path!r} to read this one from "
                "its beginning."
            ) from None
        return self._reading

    def begin(self, session: Session, hooks: Sequence[Any], *, is_saved: bool) -> None:
        """Gives hooks and random numbers their state back, before the loop; `restore` does so again inside.

        Args:
            session: The running model; its checkpoints hold the state of the run from now on.
            hooks: What may have a state: what has `state_dict` and `load_state_dict`.
            is_saved: Whether checkpoints are written.
        """
        self._hooks = _by_name(hooks)
        session.training_state = lambda: self._state(session)
        self._beginnings = self._strategy.gather(self._reading.position(0))
        self.seed_of_others = self._strategy.broadcast(
            seed_from(random_state(self._strategy.device))
        )
        if is_saved and self._strategy.is_chief and not self.goes_on:
            files.make_directory(files.parent_and_name(self._path)[0])
            files.write_text(self._path, json.dumps({"run": self._name}) + "\n")
        session.began_at = self._began_at
        if self._saved is None:
            return
        session.resumed_from = self._checkpoint
        self.seed_of_others = self._saved["seed_of_others"]
        if self._saved.get("is_stopped", False):
            _log.info("A hook had asked for the end of the training after step %d.", self.start)
            session.request_stop()
        dropped = sorted(self._saved["hooks"].keys() - self._hooks.keys())
        if dropped and self._strategy.is_chief:
            _log.warning(
                "The checkpoint that training goes on from holds the state of hooks or listeners that are not given "
                "now, and it is dropped: %s.",
                ", ".join(dropped),
            )
        self.restore()

    def restore(self) -> None:
        """Gives hooks and random numbers the state that they had in the checkpoint, if a run goes on."""
        if self._saved is None:
            return
        for name, hook in self._hooks.items():
            if name in self._saved["hooks"]:
                hook.load_state_dict(copy.deepcopy(self._saved["hooks"][name]))
        if self._strategy.is_chief:
            set_random_state(self._strategy.device, self._saved["random"])
            if "random_of_host" in self._saved:
                set_host_random_state(self._saved["random_of_host"])

    def end(self) -> None:
        """The run has ended, and not by an exception."""
        if self._strategy.is_chief and _more_to_come.get() != self._path:
            files.remove_file(self._path)

    def _saved_position(self) -> Position | None:
        """Where this process is to go on; where there are others than before, what the chief says."""
        if self._saved is None:
            return None
        others: list[Position | None] = self._saved.get("input_of_others", [])
        chiefs: Position = self._saved["input"]
        if self._strategy.is_chief or len(others) + 1 != self._strategy.world_size:
            return chiefs
        return others[self._strategy.rank - 1] or chiefs

    def _state(self, session: Session) -> dict[str, Any]:
        batches = self._batches_per_step * (session.global_step - self.start)
        return {
            "run": self._name,
            "began_at": self._began_at,
            "is_stopped": session.is_stopped_by_a_hook,
            "random_of_host": host_random_state(),
            "random": random_state(self._strategy.device),
            "seed_of_others": self.seed_of_others,
            "input": self._reading.position(batches),
            "input_of_others": [moved_on(each, batches) for each in self._beginnings[1:]],
            "hooks": {name: hook.state_dict() for name, hook in self._hooks.items()},
        }


class Restore(SessionRunHook):
    """Gives the other hooks their state back right before savers call their listeners for the first time.

    Args:
        restore: Does so.
    """

    def __init__(self, restore: Callable[[], None]) -> None:
        self._restore = restore

    def after_create_session(self, session: Session, coord: None) -> None:  # noqa: ARG002
        """What the other hooks set or drew since the checkpoint was read does not count."""
        self._restore()


def _checked_training(checkpoint: Checkpoint) -> dict[str, Any] | None:
    """What a checkpoint says of its run, when it is seen that it can be gone on with."""
    saved = checkpoint.training()
    if saved is None:
        return None
    try:
        text(saved.get("run"), "training.run")
        whole(saved, "seed_of_others", "training.seed_of_others")
        for name in mapping(saved, "hooks", "training.hooks"):
            text(name, "training.hooks")
        check_random_state(mapping(saved, "random", "training.random"))
        if "random_of_host" in saved:
            check_host_random_state(saved["random_of_host"])
        if "began_at" in saved:
            whole(saved, "began_at", "training.began_at")
        check_position(mapping(saved, "input", "training.input"))
        for position in saved.get("input_of_others", []):
            if position is not None:
                check_position(position)
    except (ValueError, TypeError) as error:
        raise checkpoint.damaged(str(error)) from None
    return saved


def is_unfinished(model_dir: str) -> bool:
    """Whether a run is going on there, or was interrupted and waits for its restart."""
    return _name_in(files.join(files.normal(model_dir), _FILE)) is not None


@contextlib.contextmanager
def run_with_more(model_dir: str, *, is_chief: bool) -> Iterator[None]:
    """A run of this model that begins inside has ended when what else is done inside has ended too.

    Nobody else trains the model meanwhile.

    Args:
        model_dir: Where the run's checkpoints are.
        is_chief: Whether this process writes there.
    """
    path = files.join(files.normal(model_dir), _FILE)
    with reserved_for_training(model_dir, is_chief=is_chief):
        token = _more_to_come.set(path)
        try:
            yield
        finally:
            _more_to_come.reset(token)
        if is_chief:
            files.remove_file(path)


def _name_in(path: str) -> str | None:
    """The run that the file names; None if there is no file."""
    try:
        name: str = files.read_json(path)["run"]
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError):
        _log.warning("%s is damaged: the input is read from its beginning.", path)
        return None
    return name


def _by_name(hooks: Sequence[Any]) -> dict[str, Any]:
    """Those that have a state, by the names of their classes; a second one is called `Name-1`."""
    found: dict[str, Any] = {}
    for hook in hooks:
        if hasattr(hook, "state_dict") and hasattr(hook, "load_state_dict"):
            name = type(hook).__name__
            same = sum(other.partition("-")[0] == name for other in found)
            found[f"{name}-{same}" if same else name] = hook
    return found
