"""The file `checkpoint` of a model directory: which checkpoints are kept, and which of them is the newest."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torchest.utils import files
from torchest.utils.checks import is_number

if TYPE_CHECKING:
    from torchest.utils.json_form import JSON

_FILE = "checkpoint"
_NAME = re.compile(r"model\.ckpt-(0|[1-9][0-9]{0,17})")


@dataclass(frozen=True)
class Index:
    """The contents of the file.

    Attributes:
        newest: The name of the newest checkpoint; None if there is none.
        times: When each listed checkpoint was written, in seconds since 1970, by name, oldest first.
        last_preserved: The time of the last checkpoint that is kept forever; that of the first checkpoint if there is
            none yet; None before the first.
    """

    newest: str | None = None
    times: dict[str, float] = field(default_factory=dict)
    last_preserved: float | None = None

    def with_newest(self, name: str, time: float) -> Index:
        """Adds a checkpoint, which becomes the newest."""
        times = {other: self.times[other] for other in self.times if other != name}
        times[name] = self.times.get(name, time)
        preserved = min(times.values()) if self.last_preserved is None else self.last_preserved
        return Index(name, times, preserved)

    def without_old(self, keep: int | None, every_n_hours: float | None) -> tuple[Index, list[str]]:
        """Keeps the newest `keep` in the list; also returns the names of those to remove.

        Args:
            keep: How many; None or 0 keeps all.
            every_n_hours: Drops one checkpoint of each such period from the list without removing it. None: removes
                all.
        """
        old = list(self.times)[:-keep] if keep else []
        preserved = self.last_preserved
        dropped = []
        for name in old:
            time = self.times[name]
            if preserved is not None and every_n_hours and time >= preserved + every_n_hours * 3600:
                preserved = time
            else:
                dropped.append(name)
        kept = {name: self.times[name] for name in self.times if name not in old}
        return Index(self.newest, kept, preserved), dropped

    def with_kept(self, names: list[str], before: Index) -> Index:
        """Lists again those that could not be removed."""
        kept = {name: time for name, time in before.times.items() if name in names}
        return dataclasses.replace(self, times={**kept, **self.times})


def read_index(directory: str) -> Index:
    """The index of a model directory, without checkpoints that are gone.

    Raises:
        ValueError: The file is not one that torchest writes, or `directory` lies in a file.
    """
    try:
        newest, times, preserved = _parsed(files.read_json(files.join(directory, _FILE)))
    except FileNotFoundError:
        return Index()
    except NotADirectoryError:
        raise files.no_model_dir(directory) from None
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{files.join(directory, _FILE)!r} is not the list of checkpoints that torchest writes. TensorFlow writes "
            "one under this name, too: `torchest import-checkpoint` brings its checkpoint into another directory. Use "
            "another model_dir; or delete the file, if it was damaged."
        ) from error
    there = set(files.names_in(directory))
    times = {
        name: time
        for name, time in times.items()
        if name in there
        and (files.is_remote(directory) or files.is_directory(files.join(directory, name)))
    }
    last = next(reversed(times), None)
    return Index(newest if newest in times else last, times, preserved)


def _parsed(index: JSON) -> tuple[str | None, dict[str, float], float | None]:
    """The contents of the file, restricted to names of checkpoints, because torchest removes listed directories.

    Raises:
        ValueError, TypeError or KeyError: torchest did not write the file.
    """
    newest, listed = index["model_checkpoint_path"], index["all_model_checkpoint_paths"]
    stamps, preserved = index["all_model_checkpoint_timestamps"], index["last_preserved_timestamp"]
    if not isinstance(listed, list) or not isinstance(newest, str | None):
        raise TypeError
    for stamp in [*stamps, *([] if preserved is None else [preserved])]:
        if not is_number(stamp) or not abs(stamp) < 2**63:
            raise ValueError
    times = dict(zip(map(str, listed), stamps, strict=True))
    return newest, {name: time for name, time in times.items() if step_of(name) >= 0}, preserved


def write_index(directory: str, index: Index) -> None:
    """Writes the file."""
    content = {
        "model_checkpoint_path": index.newest,
        "all_model_checkpoint_paths": list(index.times),
        "all_model_checkpoint_timestamps": list(index.times.values()),
        "last_preserved_timestamp": index.last_preserved,
    }
    files.write_text(files.join(directory, _FILE), json.dumps(content, indent=1) + "\n")


def name_of(global_step: int) -> str:
    """The name of the checkpoint of a step."""
    return f"model.ckpt-{global_step}"


def step_of(name: str) -> int:
    """The step in the name of a checkpoint; −1 for other names."""
    match = _NAME.fullmatch(name)
    return int(match.group(1)) if match else -1


def steps_on_disk(directory: str) -> set[int]:
    """The steps of the complete checkpoints in a directory, listed or not.

    Empty for an object store, where only the index says what is complete.
    """
    if files.is_remote(directory):
        return set()
    names = files.names_in(directory)
    steps = {step_of(name) for name in names if files.is_directory(files.join(directory, name))}
    return steps - {-1}
