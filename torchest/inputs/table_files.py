"""What datasets of files with columns share: which files, which columns, in which order, in which batches."""

from __future__ import annotations

import dataclasses
import glob
import os
from collections import Counter
from typing import TYPE_CHECKING, Any

from torchest.errors import suggest
from torchest.inputs import seeds
from torchest.inputs.chunks import Rows
from torchest.inputs.dataset import Dataset
from torchest.inputs.file_identity import identities
from torchest.inputs.stages import Epoch, Stage
from torchest.utils import checks

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def matching_files(file_pattern: Any) -> tuple[str, ...]:
    """The files that the path or pattern, or the several, mean, sorted by name.

    Raises:
        ValueError: There are none, or a path is a folder.
    """
    if not isinstance(file_pattern, (str, bytes, os.PathLike)):
        file_pattern = checks.listed("file_pattern", file_pattern, "paths")
        if not file_pattern:
            raise ValueError("file_pattern is an empty list; give at least one path.")
    else:
        file_pattern = [file_pattern]
    matching: set[str] = set()
    for pattern in (checks.path("file_pattern", pattern) for pattern in file_pattern):
        if os.path.isdir(pattern):
            raise ValueError(
                f"file_pattern {pattern!r} is a folder: give a pattern of the files in it, such as "
                f"{os.path.join(pattern, '*')!r}."
            )
        # A file's own name may look like a pattern.
        matches = [pattern] if os.path.exists(pattern) else glob.glob(pattern, recursive=True)
        files = [path for path in matches if not os.path.isdir(path)]
        if not files:
            raise ValueError(
                f"No file matches file_pattern {pattern!r} (in the folder {os.getcwd()})."
            )
        for path in files:
            check_regular("file_pattern", path)
        matching.update(files)
    return tuple(sorted(matching))


def check_regular(argument: str, path: str) -> None:
    """Checks that a path is that of a file that can be read again, in each epoch.

    Raises:
        ValueError: It is a pipe, a device or not there.
    """
    if not os.path.isfile(path):
        what = "no regular file, but a pipe or device" if os.path.exists(path) else "no file"
        raise ValueError(f"{argument} has {path!r}, which is {what} (in the folder {os.getcwd()}).")


def repeated(names: Iterable[str]) -> str | None:
    """A name that is there more than once; None without one."""
    return min((name for name, times in Counter(names).items() if times > 1), default=None)


def chosen_columns(select_columns: Any, label_name: Any) -> list[str | int] | None:
    """The names or numbers in `select_columns`; None for all columns.

    Raises:
        ValueError: They are something else, or the label's name is no string.
    """
    if label_name is not None:
        checks.text("label_name", label_name, empty=True)
    if select_columns is None:
        return None
    chosen = checks.listed("select_columns", select_columns, "names or numbers of columns")
    if not chosen:
        raise ValueError("select_columns=[] must have at least one column; None reads all.")
    return [
        column if isinstance(column, str) else checks.whole_number("select_columns", column)
        for column in chosen
    ]


@dataclasses.dataclass(frozen=True)
class Batching:
    """How rows become batches; the arguments of that name, checked.

    Raises:
        ValueError: An argument is wrong.
    """

    batch_size: int
    num_epochs: int | None
    shuffle: bool
    shuffle_buffer_size: int
    shuffle_seed: int | None
    prefetch_buffer_size: int | None

    def __post_init__(self) -> None:
        checks.whole_number("batch_size", self.batch_size, at_least=1)
        if self.num_epochs is not None:
            checks.whole_number("num_epochs", self.num_epochs, at_least=-1)
        checks.boolean("shuffle", self.shuffle)
        checks.whole_number("shuffle_buffer_size", self.shuffle_buffer_size, at_least=1)
        seeds.checked("shuffle_seed", self.shuffle_seed)
        if self.prefetch_buffer_size is not None:
            checks.whole_number("prefetch_buffer_size", self.prefetch_buffer_size, at_least=-1)

    @property
    def endless(self) -> bool:
        """Whether rows are read again and again."""
        return self.num_epochs is None or self.num_epochs < 0


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


def batches(rows: FileRows, batching: Batching, *, drop_final: bool = False) -> Dataset:
    """Shuffled rows, if their files are, in batches; without an end there is no smaller batch."""
    data = Dataset(rows)
    if batching.shuffle:
        data = data.shuffle(batching.shuffle_buffer_size, seed=batching.shuffle_seed)
    data = data.repeat(batching.num_epochs)
    return data.batch(batching.batch_size, drop_remainder=batching.endless or drop_final)


def prefetched(data: Dataset, batching: Batching) -> Dataset:
    """Batches, some of them made ahead."""
    ahead = batching.prefetch_buffer_size
    return data if ahead is None else data.prefetch(ahead)


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
