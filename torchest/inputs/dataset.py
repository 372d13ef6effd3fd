"""`Dataset`: a pipeline from data to batches.

>>> data = Dataset.from_tensor_slices(({"x": [1.0, 2.0, 3.0]}, [0, 1, 0])).batch(2)
>>> for features, labels in data:
...     print(features["x"], labels)
[1. 2.] [0 1]
[3.] [0]
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from torchest.inputs import joined_stages, nested_stages, seeds, stages
from torchest.inputs.chunks import Rows
from torchest.inputs.element_specs import conversion, numpy_dtype
from torchest.inputs.file_patterns import matching_files
from torchest.inputs.padding import PaddedBatch
from torchest.inputs.structure import (
    Layout,
    Structure,
    has_rows,
    labels_of,
    map_leaves,
    read_only,
)
from torchest.utils import arrays, checks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torchest.inputs.file_patterns import Paths

_CYCLE = 16  # datasets that `interleave` reads side by side by default


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

    @staticmethod
    def from_tensor_slices(tensors: Structure) -> Dataset:
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
        return Dataset(stages.Table(Rows.of(tensors)))

    @staticmethod
    def from_tensors(tensors: Structure) -> Dataset:
        """A dataset whose only element is the structure."""
        return Dataset(stages.One(read_only(map_leaves(_normal, tensors))))

    @staticmethod
    def from_generator(
        generator: Callable[..., object],
        output_types: Structure = None,
        output_shapes: Structure = None,
        args: tuple[object, ...] | None = None,
        output_signature: Structure = None,
    ) -> Dataset:
        """A dataset of the elements of an iterable that a function returns.

        The elements may have any form. If it is declared, they are checked, and numbers become NumPy arrays of their
        dtype.

        Args:
            generator: A function that returns an iterable of elements; called once per pass.
            output_types: A structure of the dtypes of the values: of torch or NumPy, `str` for text, or `bytes`.
            output_shapes: A structure of their shapes, each with None for a size that differs.
            args: The arguments of the generator.
            output_signature: A structure of `TensorSpec`, in place of types and shapes.

        Raises:
            TypeError: The generator is not callable, or a dtype is none; while reading, a value is of another kind.
            ValueError: The declarations contradict each other; while reading, an element has another form.

        >>> def counts():
        ...     yield {"n": 1}, [0.5]
        >>> data = Dataset.from_generator(counts, ({"n": "int64"}, "float32"), ({"n": ()}, (None,)))
        >>> next(iter(data.batch(1)))
        ({'n': array([1])}, array([[0.5]], dtype=float32))
        """
        if not callable(generator):
            raise TypeError(
                f"generator={checks.shown(generator)} must be a function that returns an iterable, e.g. a "
                "generator function without the call."
            )
        converted = conversion(output_types, output_shapes, output_signature)
        arguments = tuple(checks.listed("args", args, "arguments"))
        return Dataset(stages.Generated(generator, arguments, converted))

    @staticmethod
    def range(*args: int, output_type: object = "int64") -> Dataset:
        """The numbers from `start` up to `stop − 1`, in steps.

        Args:
            args: (stop), (start, stop) or (start, stop, step), as of Python's `range`.
            output_type: The dtype of the numbers.

        Raises:
            TypeError: There are no numbers, or more than three, or the type is not one of numbers.
            ValueError: A number is not whole, or the step is 0.

        >>> [int(number) for number in Dataset.range(2, 8, 3)]
        [2, 5]
        """
        if not 1 <= len(args) <= 3:
            raise TypeError(
                f"args={checks.shown(args)} must be (stop), (start, stop) or (start, stop, step)."
            )
        names = ("stop",) if len(args) == 1 else ("start", "stop", "step")
        numbers = [
            checks.whole_number(name, number) for name, number in zip(names, args, strict=False)
        ]
        if numbers[2:] == [0]:
            raise ValueError("step=0 must not be 0.")
        bounds, dtype = range(*numbers), numpy_dtype(output_type)
        return Dataset(joined_stages.Range(bounds.start, bounds.stop, bounds.step, dtype))

    @staticmethod
    def list_files(
        file_pattern: Paths, shuffle: bool | None = None, seed: int | None = None
    ) -> Dataset:
        """The paths of files.

        Args:
            file_pattern: A path or glob pattern, or several.
            shuffle: Whether the paths are in random order, a different one in each pass, and not sorted; by default
                they are.
            seed: See `shuffle`.

        Raises:
            ValueError: A pattern matches no file.

        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> for name in ("b.csv", "a.csv"):
        ...     _ = (folder / name).write_text("x")
        >>> [pathlib.Path(path).name for path in Dataset.list_files(folder / "*.csv", shuffle=False)]
        ['a.csv', 'b.csv']
        """
        files = matching_files(file_pattern)
        names = Dataset(stages.FileNames(Rows.of(list(files))))
        in_order = shuffle is not None and not checks.boolean("shuffle", shuffle)
        return names if in_order else names.shuffle(len(files), seed)

    @staticmethod
    def zip(*args: Structure, datasets: Structure = None) -> Dataset:
        """Structures of one element of each dataset, until one of them ends.

        Args:
            args: Datasets, or one structure of datasets.
            datasets: The structure, in place of `args`.

        Raises:
            TypeError: Something else is in the place of a dataset.
            ValueError: There is no dataset.

        >>> letters, numbers = Dataset.from_tensor_slices(["a", "b"]), Dataset.range(5)
        >>> list(Dataset.zip({"x": letters}, numbers).batch(2))[0][1]
        array([0, 1])
        """
        structure = datasets if not args else args[0] if len(args) == 1 else args
        layout = Layout(structure)
        sources = _stages_of(structure, layout.leaves(structure))
        return Dataset(joined_stages.Zip(sources, layout))

    @staticmethod
    def sample_from_datasets(
        datasets: Sequence[Dataset],
        weights: Sequence[float] | None = None,
        seed: int | None = None,
        stop_on_empty_dataset: bool = False,
        rerandomize_each_iteration: bool | None = None,
    ) -> Dataset:
        """Elements of several datasets, each from a dataset that is drawn at random.

        Args:
            datasets: The datasets, of elements of the same form.
            weights: How often each dataset is drawn, in relation to the others: numbers of at least 0. By default all
                are drawn equally often.
            seed: See `shuffle`.
            stop_on_empty_dataset: Whether to end when an element is due from a dataset that has ended. By default the
                others go on until all have ended.
            rerandomize_each_iteration: Whether each pass draws anew; by default it does.

        Raises:
            TypeError: Something else is in the place of a dataset.
            ValueError: There are no datasets, or not one weight for each, or all weights are 0.
        """
        sources = _stages_of(datasets, checks.listed("datasets", datasets, "datasets"))
        numbers = [1.0] * len(sources)
        if weights is not None:
            listed = checks.listed("weights", weights, "numbers")
            numbers = [checks.number("weights", weight, at_least=0) for weight in listed]
        if len(numbers) != len(sources) or not any(numbers):
            raise ValueError(
                f"weights={checks.shown(weights)} must have a number for each of {len(sources)} datasets, one of "
                "them above 0."
            )
        stop = checks.boolean("stop_on_empty_dataset", stop_on_empty_dataset)
        anew = rerandomize_each_iteration is None or checks.boolean(
            "rerandomize_each_iteration", rerandomize_each_iteration
        )
        entropy = seeds.entropy(seeds.checked("seed", seed))
        return Dataset(joined_stages.Sample(sources, tuple(numbers), entropy, stop, anew))

    def concatenate(self, dataset: Dataset) -> Dataset:
        """The elements of this dataset, and then those of another one, of the same form.

        Raises:
            TypeError: `dataset` is something else.

        >>> list(Dataset.range(2).concatenate(Dataset.range(7, 9)).batch(4))
        [array([0, 1, 7, 8])]
        """
        return Dataset(joined_stages.Concatenate((self._stage, _stage_of("dataset", dataset))))

    def enumerate(self, start: int = 0) -> Dataset:
        """Pairs of a number, counted from `start`, and an element.

        >>> for number, town in Dataset.from_tensor_slices(["Rome", "Oslo"]).enumerate(5):
        ...     print(number, town)
        5 Rome
        6 Oslo
        """
        first = checks.whole_number("start", start)
        numbers = joined_stages.Range(first, math.inf, 1, np.dtype(np.int64))
        return Dataset(joined_stages.Zip((numbers, self._stage), Layout((0, 1))))

    def apply(self, transformation_func: Callable[[Dataset], Dataset]) -> Dataset:
        """The result of a function on this dataset.

        Args:
            transformation_func: Takes a dataset and returns one, such as `shuffle_and_repeat` makes.

        Raises:
            TypeError: It is not a function, or returns something else.
        """
        result = _callable("transformation_func", transformation_func)(self)
        return Dataset(_stage_made("transformation_func", transformation_func, result))

    def map(
        self,
        map_func: Callable[..., Structure],
        num_parallel_calls: int | None = None,
        deterministic: bool | None = None,
    ) -> Dataset:
        """The results of a function on each element.

        Args:
            map_func: Called with the element; with the parts of a tuple as separate arguments. After `batch` it
                is called once per batch.
            num_parallel_calls: Has no effect: elements are made one after the other, ahead of the training if that is
                faster.
            deterministic: Has no effect: the order depends on nothing but seeds.
        """
        _check_unused(num_parallel_calls, deterministic)
        return Dataset(stages.Map(self._stage, _callable("map_func", map_func)))

    def flat_map(self, map_func: Callable[..., Dataset]) -> Dataset:
        """The elements of the datasets that a function makes of each element, one after the other.

        Args:
            map_func: Called as in `map`; returns a dataset. What it shuffles without a seed has the same order after an
                interruption.

        >>> list(Dataset.range(1, 4).flat_map(lambda n: Dataset.range(n)).batch(6))
        [array([0, 0, 1, 0, 1, 2])]
        """
        return self.interleave(map_func, cycle_length=1)

    def interleave(
        self,
        map_func: Callable[..., Dataset],
        cycle_length: int | None = None,
        block_length: int = 1,
        num_parallel_calls: int | None = None,
        deterministic: bool | None = None,
    ) -> Dataset:
        """The elements of the datasets that a function makes of each element, several datasets in turn.

        Args:
            map_func: As in `flat_map`.
            cycle_length: The number of datasets that are read side by side; 16 by default and for −1.
            block_length: The number of elements that are read from a dataset before the next one's turn.
            num_parallel_calls: Has no effect; see `map`.
            deterministic: Has no effect; see `map`.

        >>> data = Dataset.range(1, 4).interleave(lambda n: Dataset.range(10 * n, 10 * n + 2), cycle_length=2)
        >>> list(data.batch(6))
        [array([10, 20, 11, 21, 30, 31])]
        """
        _check_unused(num_parallel_calls, deterministic)
        cycle = -1 if cycle_length is None else checks.whole_number("cycle_length", cycle_length)
        if cycle < 1 and cycle != -1:
            raise ValueError(f"cycle_length={cycle} must be a whole number of at least 1, or −1.")
        block = checks.whole_number("block_length", block_length, at_least=1)
        make = _callable("map_func", map_func)

        def stage_of(element: Structure) -> stages.Stage:
            return _stage_made("map_func", make, stages.call(make, element))

        entropy = seeds.entropy(None)
        length = cycle if cycle > 0 else _CYCLE
        return Dataset(nested_stages.Interleave(self._stage, stage_of, entropy, length, block))

    def window(
        self, size: int, shift: int | None = None, stride: int = 1, drop_remainder: bool = False
    ) -> Dataset:
        """Runs of elements, each as a dataset, or as a structure of datasets like that of the elements.

        `flat_map` makes elements of them again, such as batches.

        Args:
            size: The number of elements of a window.
            shift: The number of elements between the first ones of two windows; by default the size.
            stride: The number of elements between two elements of a window.
            drop_remainder: Whether to leave out the last windows, which are smaller.

        >>> windows = Dataset.range(4).window(2, shift=1, drop_remainder=True)
        >>> [batch.tolist() for batch in windows.flat_map(lambda window: window.batch(2))]
        [[0, 1], [1, 2], [2, 3]]
        """
        length = checks.whole_number("size", size, at_least=1)
        moved = length if shift is None else checks.whole_number("shift", shift, at_least=1)
        step = checks.whole_number("stride", stride, at_least=1)
        drop = checks.boolean("drop_remainder", drop_remainder)
        return Dataset(nested_stages.Window(self._stage, length, moved, step, drop, Dataset))

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

    def padded_batch(
        self,
        batch_size: int,
        padded_shapes: Structure = None,
        padding_values: Structure = None,
        drop_remainder: bool = False,
    ) -> Dataset:
        """Batches of elements whose sizes differ, padded at the end to one size.

        Args:
            batch_size: The number of elements in a batch.
            padded_shapes: A structure of the shapes to pad to, each with None for the largest size of the batch. By
                default that is every size.
            padding_values: A structure of the values to pad with, or one for all; by default 0, False or "".
            drop_remainder: Whether to leave out a last batch that is smaller.

        Raises:
            ValueError: While reading: a value is larger than its shape, or has another number of dimensions, or a
                padding value is of another type.

        >>> rows = Dataset.from_tensor_slices({"x": [[1], [2, 3, 4]]})
        >>> list(rows.padded_batch(2, padding_values=-1))
        [{'x': array([[ 1, -1, -1],
               [ 2,  3,  4]])}]
        """
        size = checks.whole_number("batch_size", batch_size, at_least=1)
        drop = checks.boolean("drop_remainder", drop_remainder)
        return Dataset(PaddedBatch(self._stage, size, drop, padded_shapes, padding_values))

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

    def as_numpy_iterator(self) -> Iterator[Structure]:
        """Iterates over the elements as NumPy arrays, with text as arrays of objects, and single values as they are."""
        return (map_leaves(_in_numpy, element) for element in self)

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


def shuffle_and_repeat(
    buffer_size: int, count: int | None = None, seed: int | None = None
) -> Callable[[Dataset], Dataset]:
    """A function for `Dataset.apply` that shuffles a dataset, and then repeats it.

    Args:
        buffer_size: See `Dataset.shuffle`.
        count: See `Dataset.repeat`.
        seed: See `Dataset.shuffle`.

    >>> data = Dataset.range(3).apply(shuffle_and_repeat(3, count=2))
    >>> sorted(int(number) for number in data)
    [0, 0, 1, 1, 2, 2]
    """
    return lambda dataset: dataset.shuffle(buffer_size, seed).repeat(count)


def _normal(leaf: Structure, name: str) -> Structure:
    """A column in normal form; single values are unchanged."""
    return arrays.to_column(leaf, name) if has_rows(leaf) else leaf


def _in_numpy(leaf: Structure, name: str) -> Structure:
    """A tensor or an Arrow array as a NumPy array; lists of differing length as an array of lists."""
    if isinstance(leaf, torch.Tensor):
        return arrays.in_numpy_dtype(leaf).numpy(force=True)
    if not arrays.is_arrow(leaf):
        return leaf
    if not arrays.is_textual(leaf) and not arrays.is_ragged(leaf):
        return arrays.to_tensor(leaf, name).numpy()
    cells = leaf.to_pylist()
    return (
        np.fromiter(cells, object, len(cells))
        if arrays.is_ragged(leaf)
        else np.array(cells, object)
    )


def _callable(name: str, function: Callable[..., Structure]) -> Callable[..., Structure]:
    if not callable(function):
        raise TypeError(f"{name}={checks.shown(function)} must be a function.")
    return function


def _stage_of(argument: str, dataset: object) -> stages.Stage:
    if not isinstance(dataset, Dataset):
        raise TypeError(f"{argument}={checks.shown(dataset)} must be a torchest.inputs.Dataset.")
    return dataset._stage


def _stages_of(datasets: object, leaves: Sequence[object]) -> tuple[stages.Stage, ...]:
    for leaf in leaves:
        if not isinstance(leaf, Dataset):
            raise TypeError(
                f"datasets={checks.shown(datasets)} has {checks.shown(leaf)}, which is not a torchest.inputs.Dataset."
            )
    if not leaves:
        raise ValueError(f"datasets={checks.shown(datasets)} must have at least one Dataset.")
    return tuple(leaf._stage for leaf in leaves if isinstance(leaf, Dataset))


def _stage_made(argument: str, function: object, result: object) -> stages.Stage:
    if not isinstance(result, Dataset):
        raise TypeError(
            f"{argument}={checks.shown(function)} returned {checks.shown(result)}, but must return a "
            "torchest.inputs.Dataset."
        )
    return result._stage


def _check_unused(num_parallel_calls: int | None, deterministic: bool | None) -> None:
    """Checks TensorFlow's arguments that have no effect."""
    if num_parallel_calls is not None:
        checks.whole_number("num_parallel_calls", num_parallel_calls, at_least=-1)
    if deterministic is not None:
        checks.boolean("deterministic", deterministic)
