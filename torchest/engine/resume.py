"""Resuming an interrupted training.

The next call of `train` resumes a training that a kill, an exception or SIGTERM interrupted: from the newest
checkpoint, at its place in the input, with its random numbers and the state of its hooks. After a call that returned,
the next one begins a new training: from the newest checkpoint too, but with its input from the beginning, as in
tf.estimator. The same holds after a loss of NaN, since the same input would lead to it again.

The file `unfinished` in the model_dir tells the two apart. It names the training, and so do the checkpoints. It is
written before the first of them, and removed right before `train` returns. So a kill at any moment neither skips rows
nor uses them twice.
"""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import uuid
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from torchest.checkpoint.trainer_lock import reserved_for_training
from torchest.engine.hooks import SessionRunHook
from torchest.inputs.positions import Position, check_position, moved_on, with_common_counts
from torchest.inputs.reading import Reading, reading_of
from torchest.inputs.resharding import Reader
from torchest.inputs.resizing import resized
from torchest.utils import files
from torchest.utils.json_form import Form, check_form, optional, whole
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
    from collections.abc import Iterator, Sequence

    from torchest.checkpoint.directory import Checkpoint
    from torchest.distributed.strategy import Strategy
    from torchest.engine.hooks import Session

_log = logging.getLogger("torchest")
_FILE = "unfinished"
_more_to_come: ContextVar[str | None] = ContextVar("torchest_more_to_come", default=None)


class ResumableTraining:
    """The training that a call of `train` starts or resumes.

    Args:
        model_dir: The directory of the checkpoints.
        checkpoint: The checkpoint that training starts from, if there is one.
        strategy: The strategy of the model.
        batches_per_step: The number of batches in a step.

    Attributes:
        checkpoint: See above.
        start: The global step at the start of this call.
        began_at: The global step at the start of the training, before any interruption.
        resumed_from: The path of the checkpoint that an interrupted training resumes from; None for a new training.
        seed_of_others: The seed of the random numbers of all processes except the chief; set by `begin`.
    """

    def __init__(
        self,
        model_dir: str,
        checkpoint: Checkpoint | None,
        strategy: Strategy,
        batches_per_step: int = 1,
    ) -> None:
        self.checkpoint = checkpoint
        self._path = files.join(model_dir, _FILE)
        self._strategy = strategy
        self._batches_per_step = batches_per_step
        unfinished = strategy.broadcast(_name_in(self._path) if strategy.is_chief else None)
        saved = None if checkpoint is None else _checked_training(checkpoint)
        resumes = saved is not None and saved["run"] == unfinished
        self._saved = saved if resumes else None
        self._name = unfinished if resumes else uuid.uuid4().hex
        self.start = 0 if checkpoint is None else checkpoint.global_step
        self.resumed_from = checkpoint.path if checkpoint is not None and resumes else None
        # checkpoints of earlier versions do not say it
        self.began_at: int = self.start if self._saved is None else self._saved.get("began_at", 0)
        self._reading: Reading
        self._beginnings: list[Position] = []
        self._hooks: dict[str, Any] = {}
        self.seed_of_others = 0

    def read(self, source: object) -> Reading:
        """Reads the input from the position at which an interrupted training stopped.

        Args:
            source: What the input_fn returned.

        Raises:
            ValueError: The input differs from the one that the training has read so far.
        """
        if self.resumed_from is not None:
            _log.info("Resuming the training that was interrupted after step %d.", self.start)
        try:
            self._reading = reading_of(source, self._position_in(source), self._reader)
        except ValueError as error:
            raise ValueError(
                f"Training was interrupted after step {self.start} and cannot resume there, because the input has "
                f"changed: {error}. Give the former input; or delete {self._path!r} to read this one from "
                "its beginning."
            ) from None
        return self._reading

    def begin(self, session: Session, hooks: Sequence[object], *, is_saved: bool) -> None:
        """Loads the state of hooks and random numbers before the loop; `restore` does so again inside.

        Args:
            session: The running model.
            hooks: Hooks and listeners; those with `state_dict` and `load_state_dict` have a state.
            is_saved: Whether checkpoints are written.
        """
        self._hooks = _by_name(hooks)
        self._beginnings = self._strategy.gather(self._reading.position(0))
        self.seed_of_others = self._strategy.broadcast(
            seed_from(random_state(self._strategy.device))
        )
        if is_saved and self._strategy.is_chief and self._saved is None:
            files.make_directory(files.parent_and_name(self._path)[0])
            files.write_text(self._path, json.dumps({"run": self._name}) + "\n")
        if self._saved is None:
            return
        self.seed_of_others = self._saved["seed_of_others"]
        if self._saved.get("is_stopped", False):
            _log.info("A hook requested the end of the training after step %d.", self.start)
            session.request_stop()
        dropped = sorted(self._saved["hooks"].keys() - self._hooks.keys())
        if dropped and self._strategy.is_chief:
            _log.warning(
                "The checkpoint that training resumes from holds the state of hooks or listeners that this call of "
                "train does not have; it is dropped: %s.",
                ", ".join(dropped),
            )
        self.restore()

    def restore(self) -> None:
        """Loads the state of hooks and random numbers from the checkpoint, if an interrupted training resumes."""
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
        """Called when training has ended without an exception."""
        if self._strategy.is_chief and _more_to_come.get() != self._path:
            files.remove_file(self._path)

    @property
    def _reader(self) -> Reader:
        return Reader(self._strategy.rank, self._strategy.world_size)

    def _position_in(self, source: object) -> Position | None:
        """The position in the input at which this process resumes."""
        if self._saved is None:
            return None
        saved: list[Position | None]
        saved = [self._saved["input"], *self._saved.get("input_of_others", [])]
        if len(saved) != self._strategy.world_size:
            return resized(source, saved, self._reader)
        return saved[self._strategy.rank] or saved[0]

    def state(self, session: Session) -> dict[str, object]:
        """The content of a checkpoint besides the model, which another process needs to resume."""
        batches = self._batches_per_step * (session.global_step - self.start)
        position = self._reading.position(batches)
        others = (moved_on(each, batches) for each in self._beginnings[1:])
        return {
            "run": self._name,
            "began_at": self.began_at,
            "is_stopped": session.is_stopped_by_a_hook,
            "random_of_host": host_random_state(),
            "random": random_state(self._strategy.device),
            "seed_of_others": self.seed_of_others,
            "input": position,
            "input_of_others": [with_common_counts(each, position) for each in others],
            "hooks": {name: hook.state_dict() for name, hook in self._hooks.items()},
        }


class Restore(SessionRunHook):
    """Restores a training right before savers call their listeners for the first time.

    Changes that other hooks made since the checkpoint was read are discarded.
    """

    def __init__(self, training: ResumableTraining) -> None:
        self._training = training

    def after_create_session(self, session: Session, coord: None) -> None:  # noqa: ARG002
        """Restores it."""
        self._training.restore()


_TRAINING: Form = {
    "run": str,
    "seed_of_others": whole,
    "hooks": {str: object},
    "random": dict,
    "began_at": optional(whole),
    "input": dict,
}


def _checked_training(checkpoint: Checkpoint) -> dict[str, Any] | None:
    """The checked state of the training in a checkpoint; None if it has none."""
    saved = checkpoint.training()
    if saved is None:
        return None
    try:
        check_form(saved, _TRAINING, "training")
        check_random_state(saved["random"])
        if "random_of_host" in saved:
            check_host_random_state(saved["random_of_host"])
        check_position(saved["input"])
        for position in saved.get("input_of_others", []):
            if position is not None:
                check_position(position)
    except (ValueError, TypeError) as error:
        raise checkpoint.damaged(str(error)) from None
    return saved


def is_unfinished(model_dir: str) -> bool:
    """Whether a training runs in the directory, or was interrupted and can be resumed."""
    return _name_in(files.join(files.normal(model_dir), _FILE)) is not None


@contextlib.contextmanager
def run_with_more(model_dir: str, *, is_chief: bool) -> Iterator[None]:
    """A context in which a training counts as unfinished until the end of the context.

    No other process or thread can train the model meanwhile.

    Args:
        model_dir: The directory of the checkpoints.
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
    """The name of the training in the file; None if there is no file."""
    try:
        name: str = files.read_json(path)["run"]
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError):
        _log.warning("%s is damaged: the input is read from its beginning.", path)
        return None
    return name


def _by_name(hooks: Sequence[object]) -> dict[str, Any]:
    """Hooks with a state, by the names of their classes. A second one of a class is called `Name-1`."""
    by_name: dict[str, Any] = {}
    for hook in hooks:
        if hasattr(hook, "state_dict") and hasattr(hook, "load_state_dict"):
            name = type(hook).__name__
            same = sum(other.partition("-")[0] == name for other in by_name)
            by_name[f"{name}-{same}" if same else name] = hook
    return by_name
