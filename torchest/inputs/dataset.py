"""`Dataset`: a pipeline from data to batches, in blocks of rows.

>>> data = Dataset.from_tensor_slices(({"x": [1.0, 2.0, 3.0]}, [0, 1, 0])).batch(2)
>>> for features, labels in data:
...     print(features["x"], labels)
[1. 2.] [0 1]
[3.] [0]
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from torchest.inputs import seeds, stages
from torchest.inputs.chunks import Rows
from torchest.inputs.structure import labels_of, map_leaves, read_only
from torchest.utils import arrays, checks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Dataset:
    """A description of a pipeline, which can be iterated any number of times.

    Its elements are structures: dicts and tuples, nested as you like, of values; usually a dict of
    features or a tuple of features and labels. Each method gives a new dataset. Data moves in blocks of
    rows: Python code runs per row only in the functions given to `map` and `filter`, or when a dataset
    is iterated without `batch`.

    A batch holds torch tensors, numpy arrays or Arrow arrays, of whatever the data came in: see
    `torchest.utils.arrays`.

    Args:
        stage: The last stage. Use the `from_…` methods.
    """

    def __init__(self, stage: stages.Stage) -> None:
        self._stage = stage
        self._iterations = itertools.count()

    @classmethod
    def from_tensor_slices(cls, tensors: Any) -> Dataset:
        """A dataset of rows.

        Args:
            tensors: A structure of columns: tensors, numpy arrays, lists, pandas Series or Arrow arrays,
                all with the same number of rows. A DataFrame counts as the dict of its columns, one of a single
                column as labels as that column. A column in a dict may hold anything if no model reads it.

        Raises:
            TypeError: A leaf is not a column.
            ValueError: The columns have different numbers of rows; names two of them.

        >>> list(Dataset.from_tensor_slices({"x": ["a", "b"]}))
        [{'x': 'a'}, {'x': 'b'}]
        """
        if isinstance(tensors, tuple) and len(tensors) == 2:
            tensors = tensors[0], labels_of(tensors[1])
        return cls(stages.Table(Rows.of(tensors)))

    @classmethod
    def from_tensors(cls, tensors: Any) -> Dataset:
        """A dataset of one element, the structure itself."""
        return cls(stages.One(read_only(map_leaves(_normal, tensors))))

    @classmethod
    def from_generator(cls, generator: Callable[..., Any], args: tuple[Any, ...] = ()) -> Dataset:
        """A dataset of what a function's iterator gives.

        Args:
            generator: Called once per pass; gives an iterable of elements.
            args: Its arguments.

        Raises:
            TypeError: The generator is not callable.
        """
        if not callable(generator):
            raise TypeError(
                f"generator={checks.shown(generator)} must be a function that makes what is iterated, e.g. a "
                "generator function without the call."
            )
        return cls(stages.Generated(generator, tuple(checks.listed("args", args, "arguments"))))

    def map(self, map_func: Callable[..., Any]) -> Dataset:
        """Each element replaced by what the function makes of it.

        Args:
            map_func: Called with the element, with several arguments if it is a tuple. Behind `batch` it
                is called once per batch.
        """
        return Dataset(stages.Map(self._stage, _callable("map_func", map_func)))

    def filter(self, predicate: Callable[..., Any]) -> Dataset:
        """The elements that the predicate, called as in `map`, is true for."""
        return Dataset(stages.Filter(self._stage, _callable("predicate", predicate)))

    def shuffle(
        self,
        buffer_size: int,
        seed: int | None = None,
        reshuffle_each_iteration: bool = True,
    ) -> Dataset:
        """The elements in random order.

        Each element is drawn uniformly from a buffer of the next `buffer_size` elements. A buffer as
        large as the dataset gives every order with the same probability. Rows are moved together: up
        to twice `buffer_size` of them are held.

        Args:
            buffer_size: The number of elements to draw from.
            seed: The same seed gives the same orders in every run, whatever the blocks in which the data
                comes. By default it is drawn now, unless a seed was set for all, as the estimator does.
            reshuffle_each_iteration: Whether each pass has another order than the one before.
        """
        size = checks.whole_number("buffer_size", buffer_size, at_least=1)
        every_epoch = checks.boolean("reshuffle_each_iteration", reshuffle_each_iteration)
        return Dataset(
            stages.Shuffle(
                self._stage, size, seeds.entropy(seeds.checked("seed", seed)), every_epoch
            )
        )

    def repeat(self, count: int | None = None) -> Dataset:
        """Several passes one after the other; endless with None or −1."""
        times = None if count is None else checks.whole_number("count", count, at_least=-1)
        times = None if times == -1 else times
        return Dataset(stages.Repeat(self._stage, times))

    def batch(self, batch_size: int, drop_remainder: bool = False) -> Dataset:
        """Batches of elements: each leaf gets one more dimension in front.

        Batches go over the ends of passes if `repeat` comes before.

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
        """The first `count` elements; all with a negative count."""
        number = checks.whole_number("count", count)
        return self if number < 0 else Dataset(stages.Take(self._stage, number))

    def skip(self, count: int) -> Dataset:
        """All but the first `count` elements; none with a negative count."""
        number = checks.whole_number("count", count)
        stage = stages.Take(self._stage, 0) if number < 0 else stages.Skip(self._stage, number)
        return Dataset(stage)

    def shard(self, num_shards: int, index: int) -> Dataset:
        """Every num_shards-th element, beginning with number `index`."""
        shards = checks.whole_number("num_shards", num_shards, at_least=1)
        number = checks.whole_number("index", index, at_least=0)
        if number >= shards:
            raise ValueError(f"index={number} must be below num_shards={shards}.")
        return Dataset(stages.Shard(self._stage, shards, number))

    def cache(self) -> Dataset:
        """The elements of the first complete pass, kept in memory and given again in all later ones.

        All iterations share one copy. A dataset that is endless, as `make_csv_dataset` by default, would
        never come to its second pass: there the cache holds the data that is repeated, and the elements
        stay what they are without a cache. Numpy arrays from the cache cannot be written to; do not write
        to its tensors.
        """
        return Dataset(stages.cached(self._stage))

    def prefetch(self, buffer_size: int) -> Dataset:
        """Elements made ahead in a thread, which ends with the iterator.

        Args:
            buffer_size: How many elements may wait (rows wait in blocks); −1 for 2.
        """
        number = checks.whole_number("buffer_size", buffer_size, at_least=-1)
        if number == 0:
            return self
        return Dataset(stages.Prefetch(self._stage, number if number > 0 else 2))

    def cardinality(self) -> int | float | None:
        """The number of elements; math.inf if endless, None if only iterating tells."""
        return self._stage.cardinality()

    def __iter__(self) -> Iterator[Any]:
        return self._elements(next(self._iterations), 0)

    def iterate(self, skip: int = 0, iteration: int = 0) -> Iterator[Any]:
        """The elements that the first iteration of this dataset gives, or a later one, without the first `skip`.

        Skipped batches are not put together, and functions given to `map` are not called for them.
        """
        first = checks.whole_number("iteration", iteration, at_least=0)
        return self._elements(first, checks.whole_number("skip", skip, at_least=0))

    def _elements(self, iteration: int, skip: int) -> Iterator[Any]:
        for chunk in self._stage.chunks((iteration,), skip):
            yield from chunk.elements()


def _normal(leaf: Any, name: str) -> Any:
    """A column in its normal form; a single value as it is."""
    if (
        isinstance(leaf, (str, bytes))
        or not hasattr(leaf, "__len__")
        or getattr(leaf, "ndim", 1) == 0
    ):
        return leaf
    return arrays.to_column(leaf, name)


def _callable(name: str, value: Any) -> Any:
    if not callable(value):
        raise TypeError(f"{name}={checks.shown(value)} must be a function.")
    return value
