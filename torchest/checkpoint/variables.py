"""Reading checkpoints and waiting for new ones, with TensorFlow's signatures."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from torchest.checkpoint.directory import Checkpoint, is_checkpoint, latest_checkpoint
from torchest.checkpoint.index import step_of
from torchest.checkpoint.tensorflow.locate import tensorflow_checkpoint
from torchest.checkpoint.tensorflow.reader import TensorFlowCheckpoint
from torchest.utils import checks, files

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from torchest.utils.arrays import NumpyArray

_log = logging.getLogger("torchest")
_POLL_SECS = 1.0


def load_checkpoint(
    ckpt_dir_or_file: str | os.PathLike[str],
) -> Checkpoint | TensorFlowCheckpoint:
    """Opens a checkpoint.

    Its tensors are read on demand: `get_tensor(name)` returns one as a NumPy array, `module(name)` the state_dict of
    an object that model_fn made under that name, `global_step` its step.

    A checkpoint that TensorFlow wrote has TensorFlow's names and values, and no modules. TensorFlow is not needed.

    Args:
        ckpt_dir_or_file: A `model_dir`, for its newest checkpoint, or one of its checkpoints, such as
            'model_dir/model.ckpt-100'. They may be TensorFlow's; so may a SavedModel, for its variables.

    Raises:
        ValueError: There is no checkpoint.
        DamagedCheckpointError: A file is missing or has the wrong size.
    """
    path = files.normal(checks.path("ckpt_dir_or_file", ckpt_dir_or_file))
    of_tensorflow = tensorflow_checkpoint(path)
    if of_tensorflow is not None:
        return TensorFlowCheckpoint(of_tensorflow)
    if step_of(files.parent_and_name(path)[1]) >= 0:
        return Checkpoint(path)
    newest = latest_checkpoint(path)
    if newest is None and not is_checkpoint(path):
        raise ValueError(
            f"ckpt_dir_or_file={checks.shown(ckpt_dir_or_file)} neither has checkpoints nor is one: give the "
            "model_dir of a trained model, or one of its checkpoints, such as 'model_dir/model.ckpt-100'."
        )
    return Checkpoint(newest or path)


def list_variables(ckpt_dir_or_file: str | os.PathLike[str]) -> list[tuple[str, list[int]]]:
    """The names and shapes of all parameters, buffers and optimizer slots and of `global_step`, sorted by name.

    Args:
        ckpt_dir_or_file: As for `load_checkpoint`.
    """
    return sorted(load_checkpoint(ckpt_dir_or_file).get_variable_to_shape_map().items())


def load_variable(ckpt_dir_or_file: str | os.PathLike[str], name: str) -> NumpyArray:
    """The value of one parameter, buffer or optimizer slot, or of `global_step`.

    Args:
        ckpt_dir_or_file: As for `load_checkpoint`.
        name: A name from `list_variables`.

    Raises:
        ValueError: There is no checkpoint, or no variable with that name.
    """
    return load_checkpoint(ckpt_dir_or_file).get_tensor(name)


def checkpoints_iterator(
    checkpoint_dir: str | os.PathLike[str],
    min_interval_secs: float = 0,
    timeout: float | None = None,
    timeout_fn: Callable[[], bool] | None = None,
) -> Iterator[str]:
    """Yields the newest checkpoint of a directory whenever there is a new one.

    A checkpoint is skipped if a newer one has been written meanwhile. `torchest.checkpoint.directory.in_use` keeps a
    training from removing the one that the caller works with.

    Args:
        checkpoint_dir: A `model_dir`, which need not exist yet.
        min_interval_secs: The least number of seconds between two checkpoints.
        timeout: How many seconds to wait for a new one. None: forever.
        timeout_fn: Called after each timeout; the iterator ends if it returns True. None: it ends at the first.

    Returns:
        An iterator of paths.

    Raises:
        ValueError: An argument is wrong.
    """
    checks.path("checkpoint_dir", checkpoint_dir)
    checks.number("min_interval_secs", min_interval_secs, at_least=0)
    if timeout is not None:
        checks.number("timeout", timeout, " None waits without end.", at_least=0)
    if timeout_fn is not None:
        checks.function("timeout_fn", timeout_fn, "a function without arguments, or None")
    return _new_checkpoints(checkpoint_dir, min_interval_secs, timeout, timeout_fn)


def _new_checkpoints(
    checkpoint_dir: str | os.PathLike[str],
    min_interval_secs: float,
    timeout: float | None,
    timeout_fn: Callable[[], bool] | None,
) -> Iterator[str]:
    last: str | None = None
    while True:
        path = _wait_for_another(checkpoint_dir, last, timeout)
        if path is None:
            if timeout_fn is None:
                _log.info("Timed-out waiting for a checkpoint.")
                return
            if timeout_fn():
                return
            continue
        began = time.monotonic()
        last = path
        yield path
        time.sleep(max(0.0, began + min_interval_secs - time.monotonic()))


def _wait_for_another(
    directory: str | os.PathLike[str], last: str | None, timeout: float | None
) -> str | None:
    give_up = None if timeout is None else time.monotonic() + timeout
    while True:
        path = latest_checkpoint(directory)
        if path is not None and path != last:
            return path
        if give_up is not None and time.monotonic() + _POLL_SECS > give_up:
            return None
        time.sleep(_POLL_SECS)
