"""Files, columns, order and batches of the datasets that read tables from files."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import TYPE_CHECKING

from torchest.errors import suggest
from torchest.inputs import seeds
from torchest.inputs.chunks import Rows
from torchest.inputs.dataset import Dataset
from torchest.inputs.file_identity import identities
from torchest.inputs.stages import Epoch, Stage, Varies
from torchest.utils import checks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from torchest.inputs.stages import JSON
    from torchest.inputs.structure import Structure
    from torchest.utils.arrays import HostArray


def repeated(names: Iterable[str]) -> str | None:
    """A name that occurs more than once; None if there is none."""
    return min((name for name, times in Counter(names).items() if times > 1), default=None)


def chosen_columns(
    select_columns: Sequence[str | int] | None, label_name: str | None
) -> list[str | int] | None:
    """The names or numbers in `select_columns`; None for all columns.

    Raises:
        ValueError: An entry is something else, or the name of the label is not a string.
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
    """The user's arguments about batches, checked.

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


def selected_columns(
    names: tuple[str, ...], select_columns: Sequence[str | int] | None, label_name: str | None
) -> tuple[str, ...]:
    """The columns to read, in the order of the file.

    Args:
        names: All columns.
        select_columns: Names or numbers; None for all.
        label_name: The column that is the label, if there is one.

    Raises:
        ValueError: A column does not exist or is selected twice, or the label is not selected.
    """
    selected = names if select_columns is None else _chosen(names, select_columns)
    if label_name is not None and label_name not in selected:
        raise ValueError(
            f"label_name is {label_name!r}, which is not one of the columns that are read."
            f"{suggest(label_name, selected)}"
        )
    return selected


@dataclasses.dataclass(frozen=True)
class FileRows(Stage):
    """The rows of files.

    Args:
        files: The paths.
        label: The column that is the label; None if there is none.
        shuffle_files: Whether the files are in a different order in each epoch.
        entropy: The entropy of that order.
    """

    files: tuple[str, ...]
    label: str | None
    shuffle_files: bool
    entropy: tuple[int, ...]

    def description(self) -> dict[str, JSON]:
        """The label, and the identities of the files."""
        return {**super().description(), "files": identities(self.files)}

    def varies(self) -> Varies:
        """In the order, if files are shuffled."""
        return Varies.ORDER if self.shuffle_files else Varies.NOTHING

    def in_order(self, epoch: Epoch) -> list[str]:
        """The files in the order of an epoch."""
        if not self.shuffle_files:
            return list(self.files)
        order = seeds.generator(self.entropy, epoch).permutation(len(self.files))
        return [self.files[number] for number in order.tolist()]

    def rows(self, columns: Mapping[str, HostArray]) -> Rows:
        """A block of columns as features, or as features and labels."""
        if self.label is None:
            return Rows.of(columns)
        features = {name: column for name, column in columns.items() if name != self.label}
        return Rows.of((features, columns[self.label]))


def batches(
    rows: FileRows,
    batching: Batching,
    *,
    drop_final: bool = False,
    parse: Callable[[Structure], Structure] | None = None,
) -> Dataset:
    """Makes batches of the rows, shuffled if the files are shuffled, and parsed by a function."""
    data = Dataset(rows)
    if batching.shuffle:
        data = data.shuffle(batching.shuffle_buffer_size, seed=batching.shuffle_seed)
    data = data.repeat(batching.num_epochs).prefetch(1)  # one block, if reading takes long
    is_endless = batching.num_epochs is None or batching.num_epochs < 0
    data = data.batch(batching.batch_size, drop_remainder=is_endless or drop_final)
    if parse is not None:
        data = data.map(parse)
    ahead = batching.prefetch_buffer_size
    return data if ahead is None else data.prefetch(ahead)


def _chosen(names: tuple[str, ...], select_columns: Sequence[str | int]) -> tuple[str, ...]:
    chosen: set[str] = set()
    for column in select_columns:
        if isinstance(column, str):
            if column not in names:
                raise ValueError(
                    f"select_columns has {column!r}, which is not a column.{suggest(column, names)}"
                )
            name = column
        else:
            if not 0 <= column < len(names):
                raise ValueError(
                    f"select_columns has {column}, but the columns are 0…{len(names) - 1}."
                )
            name = names[column]
        if name in chosen:
            raise ValueError(f"select_columns has {name!r} more than once.")
        chosen.add(name)
    return tuple(name for name in names if name in chosen)
