"""Checkpoints: directories of safetensors and JSON, listed in a file called `checkpoint`.

    model_dir/
      checkpoint               JSON: the newest checkpoint and all that are kept
      model.ckpt-100/
        model.safetensors      parameters and buffers, by name
        optimizer.safetensors  optimizer slots, by optimizer, parameter and slot
        state.json             global step, and what is not a tensor

A directory appears in one rename when all of it is on the disk, so whatever has a checkpoint's name is
whole. The list is written after it. No pickle is read or written.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors
import safetensors.torch

from torchest import files

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from torch import Tensor

FORMAT_VERSION = 1
_INDEX = "checkpoint"
_MODEL = "model.safetensors"
_OPTIMIZER = "optimizer.safetensors"
_STATE = "state.json"
_NAME = re.compile(r"model\.ckpt-(\d+)")


@dataclass(frozen=True)
class Contents:
    """What a checkpoint holds.

    Attributes:
        model: Parameters and buffers by name.
        optimizer: Optimizer slots by name.
        state: What is not a tensor, as JSON values.
    """

    model: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor] = field(default_factory=dict)
    state: Mapping[str, Any] = field(default_factory=dict)


class Checkpoint:
    """A reader of one checkpoint; tensors are read when they are asked for.

    Args:
        path: The checkpoint's directory.

    Raises:
        ValueError: `path` is not a checkpoint, or of a newer format than this version reads.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            state = json.loads((self.path / _STATE).read_text(encoding="utf-8"))
            version, self.global_step = state["format_version"], int(state["global_step"])
        except (FileNotFoundError, NotADirectoryError):
            raise ValueError(
                f"{str(path)!r} is not a checkpoint: it has no {_STATE}. A checkpoint is a directory such as "
                "'model_dir/model.ckpt-100', written by torchest; leave checkpoint_path out to use the newest."
            ) from None
        except (ValueError, TypeError, KeyError) as error:
            raise self._damaged(_STATE) from error
        if version > FORMAT_VERSION:
            raise ValueError(
                f"The checkpoint {str(path)!r} has format version {version}, this "
                f"torchest reads up to {FORMAT_VERSION}: it was written by a newer torchest."
            )
        self.state: dict[str, Any] = state

    def model(self) -> dict[str, Tensor]:
        """Parameters and buffers by name, on the CPU."""
        return self._tensors(_MODEL)

    def optimizer(self) -> dict[str, Tensor]:
        """Optimizer slots by name, on the CPU."""
        return self._tensors(_OPTIMIZER)

    def names(self) -> list[str]:
        """The names of all parameters, buffers and optimizer slots, sorted."""
        found: list[str] = []
        for file in (_MODEL, _OPTIMIZER):
            with self._opened(file) as tensors:
                found.extend(tensors.keys())
        return sorted(found)

    def tensor(self, name: str) -> Tensor:
        """One tensor by its name.

        Raises:
            KeyError: There is none of that name.
        """
        for file in (_MODEL, _OPTIMIZER):
            with self._opened(file) as tensors:
                if name in tensors.keys():  # noqa: SIM118 - not a dict
                    tensor: Tensor = tensors.get_tensor(name)
                    return tensor
        raise KeyError(name)

    def _tensors(self, file: str) -> dict[str, Tensor]:
        with self._opened(file) as tensors:
            return {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118

    def _opened(self, file: str) -> Any:
        try:
            return safetensors.safe_open(self.path / file, framework="pt")
        except (FileNotFoundError, safetensors.SafetensorError) as error:
            raise self._damaged(file) from error

    def _damaged(self, file: str) -> ValueError:
        return ValueError(
            f"The checkpoint {str(self.path)!r} is damaged: its {file} is missing or not whole. Move it out of the "
            "directory, to go on from the checkpoint before it."
        )


def latest_checkpoint(checkpoint_dir: str | os.PathLike[str]) -> str | None:
    """The path of the newest checkpoint in a model directory, or None.

    That is the one that the file `checkpoint` calls the newest; or one that was completed after it,
    just before a writer was killed.

    Args:
        checkpoint_dir: A `model_dir`.
    """
    directory = Path(checkpoint_dir)
    newest, kept = _read_index(directory)
    unlisted = max(_steps_on_disk(directory) - {_step(name) for name in kept}, default=-1)
    if unlisted > max(map(_step, kept), default=-1):
        return str(directory / _directory_name(unlisted))
    return None if newest is None else str(directory / newest)


def write_checkpoint(
    model_dir: str | os.PathLike[str],
    global_step: int,
    contents: Callable[[], Contents],
    keep: int | None,
) -> str:
    """Writes a checkpoint, lists it, and removes those that are beyond `keep`.

    Where the newest checkpoint is of this step already, it is only listed.

    Args:
        model_dir: Where to; made if it is not there.
        global_step: The step that the contents belong to.
        contents: Gives what to write.
        keep: How many checkpoints to keep; None or 0 keeps all.

    Returns:
        The path of the checkpoint.
    """
    directory = Path(model_dir)
    directory.mkdir(parents=True, exist_ok=True)
    name = _directory_name(global_step)
    if latest_checkpoint(directory) != str(directory / name):
        _write(directory / name, global_step, contents())
    _, kept = _read_index(directory)
    kept = [*(other for other in kept if other != name), name]
    dropped = kept[:-keep] if keep else []
    _write_index(directory, kept[len(dropped) :])
    for other in dropped:
        files.remove_directory(directory / other)
    return str(directory / name)


def _write(path: Path, global_step: int, contents: Contents) -> None:
    state = {"format_version": FORMAT_VERSION, "global_step": global_step, **contents.state}
    with files.new_directory(path) as temporary:
        safetensors.torch.save_file(dict(contents.model), temporary / _MODEL)
        safetensors.torch.save_file(dict(contents.optimizer), temporary / _OPTIMIZER)
        (temporary / _STATE).write_text(json.dumps(state, indent=1), encoding="utf-8")


def _read_index(directory: Path) -> tuple[str | None, list[str]]:
    """The newest checkpoint's name and all names, oldest first, of those that are on the disk."""
    try:
        index = json.loads((directory / _INDEX).read_text(encoding="utf-8"))
        newest, listed = index["model_checkpoint_path"], index["all_model_checkpoint_paths"]
    except FileNotFoundError:
        return None, []
    except NotADirectoryError:
        raise ValueError(
            f"{str(directory)!r} cannot be a model_dir, as it is, or lies in, a file: give a directory."
        ) from None
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{str(directory / _INDEX)!r} is not the list of checkpoints that torchest writes (TensorFlow writes one "
            "under this name, too). Use another model_dir; or delete the file, if it was damaged."
        ) from error
    kept = [name for name in listed if (directory / name).is_dir()]
    return (newest if newest in kept else kept[-1] if kept else None), kept


def _write_index(directory: Path, kept: list[str]) -> None:
    index = {"model_checkpoint_path": kept[-1], "all_model_checkpoint_paths": kept}
    files.write_text(directory / _INDEX, json.dumps(index, indent=1) + "\n")


def _directory_name(global_step: int) -> str:
    return f"model.ckpt-{global_step}"


def _step(name: str) -> int:
    found = _NAME.fullmatch(name)
    return int(found.group(1)) if found else -1


def _steps_on_disk(directory: Path) -> set[int]:
    if not directory.is_dir():
        return set()
    return {_step(entry.name) for entry in directory.iterdir() if entry.is_dir()} - {-1}
