"""What datasets of files with columns share: which files, which columns, in which order, in which batches."""

from __future__ import annotations

import dataclasses
import glob
import os
from typing import TYPE_CHECKING, Any

from torchest.errors import suggest
from torchest.inputs import seeds
from torchest.inputs.chunks import Rows
from torchest.inputs.dataset import Dataset
from torchest.inputs.file_identity import identities
from torchest.inputs.stages import Epoch, Stage

if TYPE_CHECKING:
    from collections.abc import Sequence


def matching_files(file_pattern: Any) -> tuple[str, ...]:
    """The files that the path or pattern, or the several, mean, sorted by name.

    Raises:
        ValueError: There are none, or a path is a folder.
    """
    patterns = (
        [file_pattern] if isinstance(file_pattern, (str, os.PathLike)) else list(file_pattern)
    )
    found: set[str] = set()
    for pattern in (str(os.fspath(pattern)) for pattern in patterns):
        # A file's own name may look like a pattern.
        matches = [pattern] if os.path.exists(pattern) else glob.glob(pattern, recursive=True)
        if os.path.isdir(pattern):
            raise ValueError(
                f"file_pattern {pattern!r} is a folder: give a pattern of the files in it, such as "
                f"{os.path.join(pattern, '*')!r}."
            )
        files = [path for path in matches if not os.path.isdir(path)]
        if not files:
            raise ValueError(
                f"No file matches file_pattern {pattern!r} (in the folder {os.getcwd()})."
            )
        found.update(files)
    if not found:
        raise ValueError("file_pattern is an empty list; give at least one path.")
    return tuple(sorted(found))


def selected_columns(
    names: tuple[str, ...], select_columns: Sequence[str | int] | None, label_name: str | None
) -> tuple[str, ...]:
    """The columns to read, in the order of the file.

    Args:
        names: All columns.
        select_columns: Names or numbers; None for all.
        label_name: The one that is the label, if there is one.

    Raises:
        ValueError: A column is not there, or chosen twice, or the label is not among those chosen.
    """
    selected = names if select_columns is None else _chosen(names, select_columns)
    if label_name is not None and label_name not in selected:
        raise ValueError(
            f"label_name is {label_name!r}, which is none of the columns that are read."
            f"{suggest(label_name, selected)}"
        )
    return selected


@dataclasses.dataclass(frozen=True)
class FileRows(Stage):
    """The rows of files.

    Args:
        files: Their paths.
        label: The column that is the label; None without.
        shuffle_files: Whether the files come in another order in each epoch.
        entropy: What that order depends on.
    """

    files: tuple[str, ...]
    label: str | None
    shuffle_files: bool
    entropy: tuple[int, ...]

    def description(self) -> dict[str, Any]:
        """The label, and what tells the files from others."""
        return {**super().description(), "files": identities(self.files)}

    def in_order(self, epoch: Epoch) -> list[str]:
        """The files in the order of an epoch."""
        if not self.shuffle_files:
            return list(self.files)
        order = seeds.generator(self.entropy, epoch).permutation(len(self.files))
        return [self.files[number] for number in order.tolist()]

    def rows(self, columns: dict[str, Any]) -> Rows:
        """A block of columns as features, or as features and labels."""
        if self.label is None:
            return Rows.of(columns)
        labels = columns[self.label]
        return Rows.of(({name: columns[name] for name in columns if name != self.label}, labels))


def batches(
    rows: FileRows,
    batch_size: int,
    num_epochs: int | None,
    shuffle_buffer_size: int,
    shuffle_seed: int | None,
    prefetch_buffer_size: int | None,
) -> Dataset:
    """Shuffled rows, if their files are, in batches; without an end there is no smaller batch."""
    data = Dataset(rows)
    if rows.shuffle_files:
        data = data.shuffle(shuffle_buffer_size, seed=shuffle_seed)
    endless = num_epochs is None or num_epochs < 0
    data = data.repeat(num_epochs).batch(batch_size, drop_remainder=endless)
    return data if prefetch_buffer_size is None else data.prefetch(prefetch_buffer_size)


def _chosen(names: tuple[str, ...], select_columns: Sequence[str | int]) -> tuple[str, ...]:
    chosen: set[str] = set()
    for column in select_columns:
        if isinstance(column, str):
            if column not in names:
                raise ValueError(
                    f"select_columns has {column!r}, which is no column.{suggest(column, names)}"
                )
            name = column
        else:
            if not 0 <= column < len(names):
                raise ValueError(
                    f"select_columns has {column}, and the columns are 0…{len(names) - 1}."
                )
            name = names[column]
        if name in chosen:
            raise ValueError(f"select_columns has {name!r} more than once.")
        chosen.add(name)
    return tuple(name for name in names if name in chosen)
