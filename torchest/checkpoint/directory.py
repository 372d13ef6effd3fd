"""Checkpoints: directories of safetensors and JSON, listed in a file called `checkpoint`.

    model_dir/
      checkpoint               JSON: the newest checkpoint and all that are kept
      model.ckpt-100/
        model.safetensors      parameters and buffers, by name
        optimizer.safetensors  optimizer slots, by optimizer, parameter and slot
        training.safetensors   random state and other tensors that only resuming needs
        state.json             global step, and what is not a tensor
        checksums.json         the size and CRC-32s of each of these

On a disk a directory appears in one rename when it is complete, so whatever has a checkpoint's name is complete;
the list is written after it. On an object store only the list says what is complete. No pickle is read or written.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import logging
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors
import torch
from torch import Tensor

from torchest.checkpoint.checksums import damaged_file, write_checksums
from torchest.checkpoint.index import name_of, read_index, step_of, steps_on_disk, write_index
from torchest.checkpoint.nested import tensors_in, with_tensors, without_tensors
from torchest.checkpoint.state import check_state
from torchest.checkpoint.tensor_files import write_tensors
from torchest.errors import (
    CheckpointMismatchError,
    DamagedCheckpointError,
    RefusedFileError,
    suggest,
)
from torchest.keys import MetricKeys
from torchest.utils import checks, files
from torchest.utils.arrays import NumpyArray, in_numpy_dtype
from torchest.utils.checks import shown, text
from torchest.utils.json_form import JSON, check_form, whole

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torchest.checkpoint.old_rows import OldRows

_log = logging.getLogger("torchest")

FORMAT_VERSION = 1
_MODEL = "model.safetensors"
_OPTIMIZER = "optimizer.safetensors"
_TRAINING = "training.safetensors"
_STATE = "state.json"
_LARGE = 1 << 26  # bytes that are worth a thread
_FEW = 1 << 20  # bytes that are copied in no time


@dataclass(frozen=True)
class Contents:
    """The contents of a checkpoint. Its tensors may be those of the model: they are valid until the next step.

    Attributes:
        model: Parameters and buffers by name.
        optimizer: Optimizer slots by name.
        training: Tensors that only resuming needs, by name.
        state: Everything else, as JSON values.
        changing: Tables of which training changes rows while the checkpoint is written.
    """

    model: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor] = field(default_factory=dict)
    training: Mapping[str, Tensor] = field(default_factory=dict)
    state: JSON = field(default_factory=dict)
    changing: Sequence[OldRows] = ()

    def with_training(self, state: Mapping[str, object]) -> Contents:
        """Adds the state of a training: nested dicts and lists of tensors and JSON values."""
        return dataclasses.replace(
            self,
            training={
                name: on_host(tensor) for name, tensor in tensors_in(state, "training").items()
            },
            state={**self.state, "training": without_tensors(state, "training")},
        )

    def beside_training(self, changing: Sequence[OldRows]) -> Contents | None:
        """The contents while training goes on; None if that takes too many copies, or is not worth it.

        Args:
            changing: Tables that keep their old rows; all other tensors are copied.
        """
        parts = (self.model, self.optimizer, self.training)
        changing_bytes = other_bytes = 0
        for tensor in (tensor for part in parts for tensor in part.values()):
            if _is_changing(tensor, changing):
                changing_bytes += tensor.nbytes
            else:
                other_bytes += tensor.nbytes
        if changing_bytes < _LARGE or other_bytes > max(changing_bytes // 20, _FEW):
            return None
        model, optimizer, training = (
            {
                name: tensor if _is_changing(tensor, changing) else tensor.detach().clone()
                for name, tensor in part.items()
            }
            for part in parts
        )
        return Contents(model, optimizer, training, self.state, changing)


def _is_changing(tensor: Tensor, changing: Sequence[OldRows]) -> bool:
    return any(table.has(tensor) for table in changing)


def on_host(tensor: Tensor) -> Tensor:
    """The tensor if it is contiguous and on the CPU, or else such a copy."""
    return tensor.detach().to("cpu").contiguous()


def is_checkpoint(path: str) -> bool:
    """Whether a directory looks like a checkpoint, damaged or not."""
    return _STATE in files.names_in(path)


class Checkpoint:
    """A reader of one checkpoint.

    All files are opened at once and tensors are read on demand, so the checkpoint may be removed or replaced meanwhile.

    Args:
        path: The checkpoint's directory.

    Attributes:
        path: The directory.
        global_step: The number of training steps before the checkpoint.
        state: Everything that is not a tensor.

    Raises:
        DamagedCheckpointError: A file is missing or has changed its size, or state.json is wrong. `check` reads
            every byte of all files.
        ValueError: `path` is not a checkpoint, or has a newer format than this version reads.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = files.normal(path)
        with contextlib.ExitStack() as opened:
            try:
                opened.enter_context(in_use(self.path))
                directory = opened.enter_context(files.on_disk(self.path))
            except (FileNotFoundError, NotADirectoryError):
                raise self._missing() from None
            except RefusedFileError as error:
                raise DamagedCheckpointError(
                    f"The checkpoint {self.path!r} is not read: {error}"
                ) from None
            self._check(directory, only=_STATE)
            self.state: JSON = self._read_state(directory)
            self._files = {
                file: self._opened(directory, file) for file in (_MODEL, _OPTIMIZER, _TRAINING)
            }
            self._check_state()
            self.global_step: int = self.state["global_step"]

    def check(self) -> Checkpoint:
        """Checks every byte, and returns the checkpoint.

        Raises:
            DamagedCheckpointError: A byte has changed since it was written.
        """
        with in_use(self.path), files.on_disk(self.path) as directory:
            self._check(directory, only=None)
        return self

    def model(self) -> dict[str, Tensor]:
        """Parameters and buffers by name, on the CPU."""
        return self._tensors(_MODEL)

    def optimizer(self) -> dict[str, Tensor]:
        """Optimizer slots by name, on the CPU."""
        return self._tensors(_OPTIMIZER)

    def training(self) -> dict[str, Any] | None:
        """The state that `Contents.with_training` added; None if there is none."""
        state = self.state.get("training")
        if state is None:
            return None
        return self._nested(state, "training", self._tensors(_TRAINING))

    def module(self, name: str) -> dict[str, Any]:
        """The state_dict of an object that model_fn made with `get_or_create(name, ...)`.

        Args:
            name: The name of a module, an optimizer, or another object with a state_dict.

        Returns:
            The argument of the object's `load_state_dict`, with tensors on the CPU.

        Raises:
            ValueError: There is no object of that name.
        """
        objects = self.state.get("objects", {})
        if text("name", name) not in objects:
            raise ValueError(
                f"The checkpoint {self.path!r} has no {name!r}.{suggest(name, objects)}"
            )
        if name in self.part("optimizers"):
            return self._optimizer_state(name)
        tensors = self.model()
        tensors.update({alias: tensors[kept] for alias, kept in self.part("aliases").items()})
        if name in self.part("others"):
            return self.other(name, tensors)
        prefix = f"{name}."
        return {key[len(prefix) :]: tensors[key] for key in tensors if key.startswith(prefix)}

    def part(self, name: str) -> JSON:
        """The part "objects", "aliases", "optimizers" or "others" of state.json.

        Raises:
            DamagedCheckpointError: It is missing, so the file was not written by an Estimator.
        """
        if name not in self.state:
            raise self.damaged(f"{name} is missing")
        part: JSON = self.state[name]
        return part

    def other(self, name: str, tensors: Mapping[str, Tensor]) -> dict[str, object]:
        """The state_dict of an object that is neither a module nor an optimizer.

        Args:
            name: Its name.
            tensors: The tensors of the checkpoint by name.

        Raises:
            CheckpointMismatchError: There is no such object.
        """
        others = self.part("others")
        if name not in others:
            raise CheckpointMismatchError(
                f"The checkpoint {self.path!r} belongs to another model: it holds no state of {name!r}."
                f"{suggest(name, others)}"
            )
        return self._nested(others[name], name, tensors)

    def names(self) -> list[str]:
        """The names of all parameters, buffers and optimizer slots, sorted."""
        return sorted([*self._files[_MODEL].keys(), *self._files[_OPTIMIZER].keys()])

    def tensor(self, name: str) -> Tensor:
        """One tensor by its name.

        Raises:
            KeyError: There is no tensor with that name.
        """
        return self._read(self._file_of[name], name)

    def get_tensor(self, name: str) -> NumpyArray:
        """The value of one parameter, buffer or optimizer slot, or of `global_step`.

        Floating-point dtypes that numpy lacks, such as bfloat16, become float32.

        Args:
            name: One of `get_variable_to_shape_map()`.

        Raises:
            ValueError: There is no variable with that name.
        """
        if text("name", name) == MetricKeys.GLOBAL_STEP:
            return np.array(self.global_step, np.int64)
        if name not in self._file_of:
            known = self.get_variable_to_shape_map()
            raise ValueError(
                f"name={shown(name)} is not a variable of the checkpoint.{suggest(name, known)}"
            )
        return in_numpy_dtype(self.tensor(name)).numpy()

    def has_tensor(self, name: str) -> bool:
        """Whether there is a parameter, buffer or optimizer slot of that name; also for `global_step`."""
        return text("name", name) in self.get_variable_to_shape_map()

    def get_variable_to_shape_map(self) -> dict[str, list[int]]:
        """The shape of each parameter, buffer and optimizer slot and of `global_step`, sorted by name."""
        shapes = {
            name: self._files[self._file_of[name]].get_slice(name).get_shape()
            for name in self.names()
        }
        return dict(sorted({**shapes, MetricKeys.GLOBAL_STEP: []}.items()))

    def get_variable_to_dtype_map(self) -> dict[str, torch.dtype]:
        """The torch dtype of each parameter, buffer and optimizer slot and of `global_step`, sorted by name."""
        dtypes = {name: self.tensor(name).dtype for name in self.names()}
        return dict(sorted({**dtypes, MetricKeys.GLOBAL_STEP: torch.int64}.items()))

    def _optimizer_state(self, name: str) -> dict[str, object]:
        saved, slots = self.part("optimizers")[name], self.optimizer()
        state: dict[int, dict[str, object]] = {}
        groups: list[JSON] = []
        alone = [[1] * len(names) for names in saved["parameters"]]
        of_groups = zip(
            saved["options"], saved["parameters"], saved.get("sharing", alone), strict=True
        )
        for options, names, sharing in of_groups:
            first, remaining = sum(len(group["params"]) for group in groups), iter(names)
            groups.append({**options, "params": list(range(first, first + len(sharing)))})
            for position, count in enumerate(sharing, first):
                kept: list[dict[str, Any]] = []
                for parameter in itertools.islice(remaining, count):
                    prefix = f"{name}.{parameter}."
                    keys = [key for key in slots if _is_slot(key, prefix)]
                    own = {key.rpartition(".")[2]: slots[key] for key in keys}
                    kept.append({**own, **saved["numbers"].get(prefix, {})})
                if any(kept):
                    state[position] = _joined(kept)
        return {"state": state, "param_groups": groups}

    def _nested(self, state: object, path: str, tensors: Mapping[str, Tensor]) -> dict[str, object]:
        try:
            nested = with_tensors(state, path, tensors)
            if not isinstance(nested, dict):
                raise TypeError
        except (KeyError, ValueError, TypeError, RecursionError):
            raise self.damaged(f"{path} is not what training writes") from None
        return nested

    @cached_property
    def _file_of(self) -> dict[str, str]:
        """The file of each parameter, buffer and optimizer slot."""
        return {name: file for file in (_OPTIMIZER, _MODEL) for name in self._files[file].keys()}  # noqa: SIM118

    def _tensors(self, file: str) -> dict[str, Tensor]:
        return {name: self._read(file, name) for name in self._files[file].keys()}  # noqa: SIM118

    def _read(self, file: str, name: str) -> Tensor:
        try:
            tensor: Tensor = self._files[file].get_tensor(name)
        except (safetensors.SafetensorError, TypeError, RuntimeError) as error:
            raise self._damaged(file) from error  # of a dtype or a shape that torch lacks
        return tensor

    def _read_state(self, directory: str) -> JSON:
        try:
            state: JSON = files.read_json(files.join(directory, _STATE))
            check_form(state, {"format_version": whole})
        except ValueError as error:
            raise self.damaged(str(error)) from None
        version = state["format_version"]
        if version > FORMAT_VERSION:
            raise ValueError(
                f"The checkpoint {self.path!r} has format version {version}, this "
                f"torchest reads up to {FORMAT_VERSION}: it was written by a newer torchest."
            )
        return state

    def _check_state(self) -> None:
        try:
            check_state(self.state, set(self._files[_MODEL].keys()))
        except ValueError as error:
            raise self.damaged(str(error)) from None

    def _check(self, directory: str, only: str | None) -> None:
        damaged = damaged_file(directory, only=only)
        if damaged is not None:
            raise self._damaged(damaged)

    def _opened(self, directory: str, file: str) -> Any:
        try:
            return safetensors.safe_open(files.join(directory, file), framework="pt")
        except (FileNotFoundError, safetensors.SafetensorError) as error:
            raise self._damaged(file) from error

    def _missing(self) -> ValueError:
        if step_of(files.parent_and_name(self.path)[1]) >= 0 and files.is_directory(self.path):
            return self._damaged(_STATE)
        return ValueError(
            f"{shown(self.path)} is not a checkpoint: it has no {_STATE}. A checkpoint is a directory such as "
            "'model_dir/model.ckpt-100', written by torchest; leave checkpoint_path out to use the newest."
        )

    def damaged(self, problem: str) -> DamagedCheckpointError:
        """The error for a state.json with a correct checksum but wrong contents.

        Args:
            problem: A clause that says what is wrong.
        """
        return self._error(f"in its {_STATE}, {problem}")

    def _damaged(self, file: str) -> DamagedCheckpointError:
        return self._error(f"its {file} is missing or not what was written")

    def _error(self, problem: str) -> DamagedCheckpointError:
        return DamagedCheckpointError(
            f"The checkpoint {self.path!r} is damaged: {problem}. Move it out of the directory to use the checkpoint "
            "before it."
        )


@contextlib.contextmanager
def in_use(path: str | os.PathLike[str]) -> Iterator[None]:
    """Keeps all trainings, in this process or others, from removing the checkpoint.

    Raises:
        FileNotFoundError: There is no such checkpoint.
    """
    with files.reading(files.join(files.normal(path), _STATE)):
        yield


@contextlib.contextmanager
def held(path: str | None) -> Iterator[None]:
    """Like `in_use`, but does nothing for None or for a checkpoint that no longer exists."""
    with contextlib.ExitStack() as opened:
        if path is not None:
            with contextlib.suppress(FileNotFoundError):
                opened.enter_context(in_use(path))
        yield


def latest_checkpoint(checkpoint_dir: str | os.PathLike[str]) -> str | None:
    """The path of the newest checkpoint in a model directory, or None.

    That is the newest one in the file `checkpoint`, or one that was completed after it, right before a writer was
    killed.

    Args:
        checkpoint_dir: A `model_dir`.

    Raises:
        ValueError: It is not a path, or torchest did not write its file `checkpoint`.
    """
    directory = files.normal(checks.path("checkpoint_dir", checkpoint_dir))
    name = _newest_first(directory)[:1]
    return files.join(directory, *name) if name else None


def newest_whole_checkpoint(checkpoint_dir: str | os.PathLike[str]) -> Checkpoint | None:
    """The newest undamaged checkpoint; None if there is no checkpoint. Warns of each damaged one.

    Raises:
        DamagedCheckpointError: There are checkpoints, and all of them are damaged.
    """
    directory = files.normal(checkpoint_dir)
    damaged: DamagedCheckpointError | None = None
    for name in _newest_first(directory):
        path = files.join(directory, name)
        try:
            checkpoint = Checkpoint(path).check()
        except DamagedCheckpointError as error:
            _log.warning("%s", error)
            damaged = error
        except (ValueError, FileNotFoundError):
            if files.is_directory(path):
                raise
            # removed since it was listed: there is a newer one
            return newest_whole_checkpoint(directory)
        else:
            if damaged is not None:
                _log.warning("Using the checkpoint before it: %s", path)
            return checkpoint
    if damaged is not None:
        raise damaged
    return None


def _newest_first(directory: str) -> list[str]:
    """The names of the newest checkpoint and those before it."""
    index = read_index(directory)
    steps = {step_of(name) for name in index.times}
    unlisted = steps_on_disk(directory) - steps
    newest = -1 if index.newest is None else step_of(index.newest)
    later = {step for step in unlisted if step > max(steps, default=-1)}
    known = steps | unlisted
    return [
        name_of(step) for step in sorted(known, reverse=True) if step <= newest or step in later
    ]


def set_damaged_aside(whole: Checkpoint) -> None:
    """Renames the checkpoints that `newest_whole_checkpoint` found damaged, so that they stay unused."""
    directory, kept = files.parent_and_name(whole.path)
    for name in _newest_first(directory):
        if name == kept:
            break
        if not files.is_remote(directory):
            files.rename_directory(files.join(directory, name), f"damaged-{name}")
    write_index(directory, read_index(directory).with_newest(kept, time.time()))


def write_checkpoint(
    model_dir: str | os.PathLike[str],
    global_step: int,
    contents: Callable[[], Contents],
    keep: int | None,
    keep_every_n_hours: float | None = None,
) -> str:
    """Writes a checkpoint, lists it, and removes those beyond `keep` that are not in use.

    If the newest checkpoint has this step already, it is only listed.

    Args:
        model_dir: The directory to write to, which is created if it does not exist.
        global_step: The step of the contents.
        contents: Returns the contents.
        keep: The number of checkpoints to keep; None or 0 keeps all.
        keep_every_n_hours: Keeps one checkpoint of each such period forever, in addition to `keep`. None: keeps no
            further ones.

    Returns:
        The path of the checkpoint.
    """
    directory = files.normal(model_dir)
    files.make_directory(directory)
    name = name_of(global_step)
    path = files.join(directory, name)
    if latest_checkpoint(directory) != path:
        _write(path, global_step, contents())
    before = read_index(directory).with_newest(name, time.time())
    write_index(directory, before)
    after, old = before.without_old(keep, keep_every_n_hours)
    if old:
        used = [other for other in old if not _removed(files.join(directory, other))]
        write_index(directory, after.with_kept(used, before))
    elif after != before:
        write_index(directory, after)
    return path


def _write(path: str, global_step: int, contents: Contents) -> None:
    state = {"format_version": FORMAT_VERSION, "global_step": global_step, **contents.state}
    with files.new_directory(path) as temporary:
        summaries = {
            file: write_tensors(temporary / file, tensors, contents.changing)
            for file, tensors in (
                (_MODEL, contents.model),
                (_OPTIMIZER, contents.optimizer),
                (_TRAINING, contents.training),
            )
        }
        (temporary / _STATE).write_text(json.dumps(state, indent=1), encoding="utf-8")
        write_checksums(temporary, summaries)


def _removed(path: str) -> bool:
    """Removes a checkpoint unless it is in use; returns whether it is gone."""
    try:
        with files.nobody_reads(files.join(path, _STATE)) as unused:
            if unused:
                files.remove_directory(path)
            return unused
    except (FileNotFoundError, RefusedFileError):
        files.remove_directory(path)
        return True


def _joined(kept: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    """Joins the slots of the tables that share a parameter."""
    return {
        slot: torch.cat([each[slot] for each in kept])
        if len(kept) > 1 and isinstance(value, Tensor) and value.dim()
        else value
        for slot, value in kept[0].items()
    }


def _is_slot(key: str, prefix: str) -> bool:
    """Whether a name belongs to a slot of a parameter. Names of slots have no dots."""
    return key.startswith(prefix) and "." not in key[len(prefix) :]
