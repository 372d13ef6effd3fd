"""`make_batched_features_dataset`: parsed batches from files of serialized examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torchest.errors import suggest
from torchest.inputs import seeds
from torchest.inputs.chunks import Chunk, drop
from torchest.inputs.dataset import Dataset
from torchest.inputs.example_parsing import checked_specs, parse_records
from torchest.inputs.file_patterns import matching_files
from torchest.inputs.table_files import (
    Batching,
    FileRows,
    batches,
)
from torchest.inputs.tfrecord import TFRecordDataset
from torchest.utils import checks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torchest.columns.feature_specs import FeatureSpec
    from torchest.inputs.file_patterns import Paths
    from torchest.inputs.stages import Epoch
    from torchest.inputs.structure import Structure
    from torchest.utils.arrays import ArrowArray


def make_batched_features_dataset(  # noqa: PLR0913 - TensorFlow's arguments
    file_pattern: Paths,
    batch_size: int,
    features: Mapping[str, FeatureSpec],
    reader: Callable[..., Dataset] | None = None,
    label_key: str | None = None,
    reader_args: Sequence[object] | None = None,
    num_epochs: int | None = None,
    shuffle: bool = True,
    shuffle_buffer_size: int = 10000,
    shuffle_seed: int | None = None,
    prefetch_buffer_size: int | None = None,
    reader_num_threads: int | None = None,
    parser_num_threads: int | None = None,
    sloppy_ordering: bool = False,
    drop_final_batch: bool = False,
) -> Dataset:
    """Makes a dataset of batches of features from files of serialized `tf.Example` records.

    Args:
        file_pattern: A path or glob pattern, or several. The files are read in the order of their names.
        batch_size: The number of records in a batch.
        features: How each feature is stored, by key; see `torchest.columns.make_parse_example_spec`.
        reader: A function that makes a dataset of records from a path; `TFRecordDataset` by default.
        label_key: The feature that is the label.
        reader_args: Further arguments of the reader, such as ["GZIP"].
        num_epochs: The number of passes over the files; endless by default.
        shuffle: Whether the files and the records are in random order, a different one in each epoch.
        shuffle_buffer_size: See `Dataset.shuffle`.
        shuffle_seed: See `Dataset.shuffle`.
        prefetch_buffer_size: The number of batches made ahead; none by default, as the estimator reads ahead.
        reader_num_threads: Has no effect: the files are read one after the other.
        parser_num_threads: Has no effect: one call parses a batch.
        sloppy_ordering: Has no effect: the order depends only on the seed.
        drop_final_batch: Whether to leave out a smaller last batch. An endless dataset has none.

    Returns:
        A dataset of the features that `parse_example` returns, or with `label_key` of (features, label).

    Raises:
        TypeError: `features` is not a dict of specs.
        ValueError: No file matches, or `label_key` is not a feature. While reading, a file is corrupt, or
            a record does not match the specs.
    """
    batching = Batching(
        batch_size, num_epochs, shuffle, shuffle_buffer_size, shuffle_seed, prefetch_buffer_size
    )
    specs = checked_specs(features)
    if label_key is not None and checks.text("label_key", label_key, empty=True) not in specs:
        raise ValueError(f"label_key={label_key!r} is not a feature.{suggest(label_key, specs)}")
    make = TFRecordDataset if reader is None else reader
    checks.function("reader", make, "a function that makes a Dataset from a path, or None")
    others = tuple(checks.listed("reader_args", reader_args, "further arguments of the reader"))
    for name, threads in (
        ("reader_num_threads", reader_num_threads),
        ("parser_num_threads", parser_num_threads),
    ):
        if threads is not None:
            checks.whole_number(name, threads, at_least=-1)
    checks.boolean("sloppy_ordering", sloppy_ordering)
    checks.boolean("drop_final_batch", drop_final_batch)

    def parse(records: ArrowArray) -> Structure:
        parsed = parse_records("The dataset of reader", records, specs)
        return parsed if label_key is None else (parsed, parsed.pop(label_key))

    files = matching_files(file_pattern)
    if reader is None:
        make(files[0], *others)  # raises now if an argument is wrong
    order = seeds.entropy(batching.shuffle_seed)
    rows = _Records(files, None, batching.shuffle, order, make, others)
    return batches(rows, batching, drop_final=drop_final_batch, parse=parse)


@dataclass(frozen=True)
class _Records(FileRows):
    """The records of each file, from the reader."""

    reader: Callable[..., Dataset]
    arguments: tuple[object, ...]

    def chunks(self, epoch: Epoch, skip: int) -> Iterator[Chunk]:
        """The chunks of each file in turn. Skipped records are read, as their number in each file is unknown."""
        return drop(self._read(epoch), skip)

    def cardinality(self) -> None:
        """Unknown."""
        return

    def _read(self, epoch: Epoch) -> Iterator[Chunk]:
        for path in self.in_order(epoch):
            records = self.reader(path, *self.arguments)
            if not isinstance(records, Dataset):
                raise TypeError(
                    f"reader={checks.shown(self.reader)} made {checks.shown(records)} from a path, but must make a "
                    "Dataset of records."
                )
            yield from records._stage.chunks(epoch, 0)
