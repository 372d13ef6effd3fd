"""`Dataset`: a pipeline from data to batches.

>>> data = Dataset.from_tensor_slices(({"x": [1.0, 2.0, 3.0]}, [0, 1, 0])).batch(2)
>>> for features, labels in data:
...     print(features["x"], labels)
[1. 2.] [0 1]
[3.] [0]
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from torchest.inputs import seeds, stages
from torchest.inputs.chunks import Rows
from torchest.inputs.structure import Structure, has_rows, labels_of, map_leaves, read_only
from torchest.utils import arrays, checks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Dataset:
    """A description of a pipeline, which can be iterated any number of times.

    Its elements are nested dicts and tuples of values; usually a dict of features, or a tuple of features and
    labels. Each method returns a new dataset. Data moves in blocks of rows: Python code runs per row only in the
    functions of `map` and `filter`, or if a dataset is iterated without `batch`.

    A batch holds torch tensors, numpy arrays or Arrow arrays, depending on the data: see `torchest.utils.arrays`.

    Args:
        stage: The last stage. Use the `from_…` methods.
    """

    def __init__(self, stage: stages.Stage) -> None:
        self._stage = stage
        self._iterations = itertools.count()

    @classmethod
    def from_tensor_slices(cls, tensors: Structure) -> Dataset:
        """A dataset of rows.

        Args:
            tensors: A structure of columns: tensors, numpy arrays, lists, pandas Series or Arrow arrays,
                all with the same number of rows. A DataFrame counts as the dict of its columns; as labels, a
                DataFrame of one column counts as that column. A column in a dict that no model reads may hold
                anything.

        Raises:
            TypeError: A leaf is not a column.
            ValueError: The columns have different numbers of rows.

        >>> list(Dataset.from_tensor_slices({"x": ["a", "b"]}))
        [{'x': 'a'}, {'x': 'b'}]
        """
        if isinstance(tensors, tuple) and len(tensors) == 2:
            tensors = tensors[0], labels_of(tensors[1])
        return cls(stages.Table(Rows.of(tensors)))

    @classmethod
    def from_tensors(cls, tensors: Structure) -> Dataset:
        """A dataset whose only element is the structure."""
        return cls(stages.One(read_only(map_leaves(_normal, tensors))))

    @classmethod
    def from_generator(
        cls, generator: Callable[..., object], args: tuple[object, ...] = ()
    ) -> Dataset:
        """A dataset of the elements of an iterable that a function returns.

        Args:
            generator: A function that returns an iterable of elements; called once per pass.
            args: Its arguments.

        Raises:
            TypeError: The generator is not callable.
        """
        if not callable(generator):
            raise TypeError(
                f"generator={checks.shown(generator)} must be a function that returns an iterable, e.g. a "
                "generator function without the call."
            )
        return cls(stages.Generated(generator, tuple(checks.listed("args", args, "arguments"))))

    def map(self, map_func: Callable[..., Structure]) -> Dataset:
        """The results of a function on each element.

        Args:
            map_func: Called with the element; with the parts of a tuple as separate arguments. After `batch` it
                is called once per batch.
        """
        return Dataset(stages.Map(self._stage, _callable("map_func", map_func)))

    def filter(self, predicate: Callable[..., object]) -> Dataset:
        """The elements for which the predicate, called as in `map`, is true."""
        return Dataset(stages.Filter(self._stage, _callable("predicate", predicate)))

    def shuffle(
        self,
        buffer_size: int,
        seed: int | None = None,
        reshuffle_each_iteration: bool = True,
    ) -> Dataset:
        """The elements in random order.

        Each element is drawn uniformly from a buffer of the next `buffer_size` elements. With a buffer as large as
        the dataset, all orders are equally probable. Up to twice `buffer_size` rows are in memory.

        Args:
            buffer_size: The number of elements to draw from.
            seed: The same seed leads to the same order in every run, whatever the size of the blocks. By default it is
                drawn when the method is called, unless all shuffles have a seed, as in an estimator's input_fn.
            reshuffle_each_iteration: Whether each pass has a different order.
        """
        size = checks.whole_number("buffer_size", buffer_size, at_least=1)
        every_epoch = checks.boolean("reshuffle_each_iteration", reshuffle_each_iteration)
        entropy = seeds.entropy(seeds.checked("seed", seed))
        return Dataset(stages.Shuffle(self._stage, size, entropy, every_epoch))

    def repeat(self, count: int | None = None) -> Dataset:
        """Several passes one after the other; endless if `count` is None or −1."""
        times = None if count is None else checks.whole_number("count", count, at_least=-1)
        times = None if times == -1 else times
        return Dataset(stages.Repeat(self._stage, times))

    def batch(self, batch_size: int, drop_remainder: bool = False) -> Dataset:
        """Batches of elements: each leaf gets one more dimension in front.

        After `repeat`, a batch may have elements of two passes.

        Args:
            batch_size: The number of elements in a batch.
            drop_remainder: Whether to leave out a last batch that is smaller.
        """
        size = checks.whole_number("batch_size", batch_size, at_least=1)
        drop = checks.boolean("drop_remainder", drop_remainder)
        return Dataset(stages.Batch(self._stage, size, drop))

    def unbatch(self) -> Dataset:
        """The rows of batches."""
        return Dataset(stages.Unbatch(self._stage))

    def take(self, count: int) -> Dataset:
        """The first `count` elements; all if `count` is negative."""
        number = checks.whole_number("count", count)
        return self if number < 0 else Dataset(stages.Take(self._stage, number))

    def skip(self, count: int) -> Dataset:
        """All but the first `count` elements; none if `count` is negative."""
        number = checks.whole_number("count", count)
        stage = stages.Take(self._stage, 0) if number < 0 else stages.Skip(self._stage, number)
        return Dataset(stage)

    def shard(self, num_shards: int, index: int) -> Dataset:
        """Every num_shards-th element, starting at number `index`.

        With the numbers of the `input_context`, an interrupted training resumes in any number of processes, and every
        element of a pass is used once. Shuffle before `shard`, so that all processes draw from one order.

        Args:
            num_shards: The number of shards: `input_context.num_input_pipelines`.
            index: The number of this shard: `input_context.input_pipeline_id`.
        """
        shards = checks.whole_number("num_shards", num_shards, at_least=1)
        number = checks.whole_number("index", index, at_least=0)
        if number >= shards:
            raise ValueError(f"index={number} must be below num_shards={shards}.")
        return Dataset(stages.Shard(self._stage, shards, number))

    def cache(self) -> Dataset:
        """The elements of the first complete pass, kept in memory for all later passes.

        All iterations share one copy. The first pass of an endless dataset, such as that of `make_csv_dataset` by
        default, never ends. So the cache holds the data before it is repeated, and the elements are the same as without
        a cache. Numpy arrays from the cache are read-only; do not write to its tensors.
        """
        return Dataset(stages.cached(self._stage))

    def prefetch(self, buffer_size: int) -> Dataset:
        """The elements, made ahead in a thread that ends with the iterator.

        The thread starts once the making of elements has taken so long that a thread would have saved time; after
        `from_generator`, at once.

        Args:
            buffer_size: The number of elements that may wait (rows wait in blocks); −1 for 2.
        """
        number = checks.whole_number("buffer_size", buffer_size, at_least=-1)
        if number == 0:
            return self
        return Dataset(stages.Prefetch(self._stage, number if number > 0 else 2))

    def cardinality(self) -> int | float | None:
        """The number of elements; math.inf if endless, None if unknown."""
        return self._stage.cardinality()

    def __iter__(self) -> Iterator[Structure]:
        return self._elements(next(self._iterations), 0)

    def iterate(self, skip: int = 0, iteration: int = 0) -> Iterator[Structure]:
        """Iterates over the elements, starting with number `skip`.

        Skipped batches are not made, and the functions of `map` are not called for them.
        """
        first = checks.whole_number("iteration", iteration, at_least=0)
        return self._elements(first, checks.whole_number("skip", skip, at_least=0))

    def _elements(self, iteration: int, skip: int) -> Iterator[Structure]:
        for chunk in self._stage.chunks((iteration,), skip):
            yield from chunk.elements()


def _normal(leaf: Structure, name: str) -> Structure:
    """A column in normal form; single values are unchanged."""
    return arrays.to_column(leaf, name) if has_rows(leaf) else leaf


def _callable(name: str, function: Callable[..., Structure]) -> Callable[..., Structure]:
    if not callable(function):
        raise TypeError(f"{name}={checks.shown(function)} must be a function.")
    return function
