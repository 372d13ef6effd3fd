"""Pipelines of `tf.data` that torchest and TensorFlow both run, for `datasets.py` and its test.

Each is a function of a namespace `d`, which has Dataset, TextLineDataset and so on of one of the two libraries, and
`file`, a function from the name of a file to its path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILES = {
    "a.txt": b"a1\na2\na3\na4\na5\n",
    "b.txt": b"b1\r\nb2\r\n\r\nb4",
    "c.txt": b"",
    "d.txt": b"\nd\r2\nlast\n\n",
    "rows.csv": b'id,x,town\n1,0.5,Rome\n2,,"Oslo, N"\n3,-1e2,\n',
}
CELLS = ["1,0.5,Rome", '-7,1e3,"a ""b"", c"', ",,", " 8 ,nan,NA"]


def write_files(folder: Path) -> None:
    """Writes FILES into a folder."""
    for name, content in FILES.items():
        (folder / name).write_bytes(content)


def _numbers(d: Any, count: int) -> Any:
    return d.Dataset.range(count)


def _tens(d: Any) -> Callable[[Any], Any]:
    """Datasets of 10·n, 10·n + 1, …, of n elements each."""
    return lambda n: d.Dataset.range(10 * n, 10 * n + n)


def _lists(d: Any) -> Any:
    return d.Dataset.from_generator(
        lambda: iter([[1], [2, 3, 4], [], [5, 6]]), output_types=d.int32, output_shapes=[None]
    )


def _pairs(d: Any) -> Any:
    def pairs() -> Any:
        yield {"x": [1.5], "town": "Rome"}, [[1, 2]]
        yield {"x": [2.5, 3.5], "town": "Oslo"}, [[3, 4], [5, 6]]
        yield {"x": [], "town": ""}, [[7, 8]]

    return d.Dataset.from_generator(
        pairs,
        output_types=({"x": d.float32, "town": d.string}, d.int64),
        output_shapes=({"x": [None], "town": []}, [None, 2]),
    )


def _interleaved(cycle: int, block: int, counts: list[int], **arguments: Any) -> Any:
    return lambda d: d.Dataset.from_tensor_slices(np.array(counts)).interleave(
        _tens(d), cycle_length=cycle, block_length=block, **arguments
    )


def _cells_line_by_line(d: Any) -> Any:
    lines = d.Dataset.from_tensor_slices(CELLS)
    return lines.map(lambda line: tuple(d.decode_csv(line, [[0], [0.0], ["none"]])))


PIPELINES: dict[str, Callable[[Any], Any]] = {
    "range": lambda d: d.Dataset.range(5),
    "range from a start": lambda d: d.Dataset.range(2, 5),
    "range in steps": lambda d: d.Dataset.range(2, 10, 3),
    "range downwards": lambda d: d.Dataset.range(5, -3, -2),
    "range of nothing": lambda d: d.Dataset.range(5, 5),
    "enumerate": lambda d: _numbers(d, 3).map(lambda n: n * n).enumerate(),
    "enumerate from a start": lambda d: _numbers(d, 3).enumerate(start=10),
    "enumerate pairs": lambda d: d.Dataset.zip((_numbers(d, 2), _numbers(d, 3))).enumerate(),
    "zip": lambda d: d.Dataset.zip((_numbers(d, 4), d.Dataset.range(10, 13))),
    "zip of a nested structure": lambda d: d.Dataset.zip(
        ({"x": _numbers(d, 2), "y": d.Dataset.range(5, 9)}, _numbers(d, 3))
    ),
    "zip of arguments": lambda d: d.Dataset.zip(_numbers(d, 2), _numbers(d, 3), _numbers(d, 4)),
    "zip of batches": lambda d: d.Dataset.zip((_numbers(d, 6).batch(2), _numbers(d, 6).batch(3))),
    "zip with nothing": lambda d: d.Dataset.zip((_numbers(d, 2), _numbers(d, 0))),
    "concatenate": lambda d: _numbers(d, 3).concatenate(d.Dataset.range(7, 9)),
    "concatenate batches": lambda d: (
        _numbers(d, 3).batch(2).concatenate(_numbers(d, 2).batch(1)).unbatch().batch(4)
    ),
    "concatenate, repeated": lambda d: _numbers(d, 2).concatenate(_numbers(d, 1)).repeat(2),
    "flat_map": lambda d: _numbers(d, 4).flat_map(d.Dataset.range),
    "flat_map over pairs": lambda d: _numbers(d, 3).enumerate(5).flat_map(
        lambda i, n: d.Dataset.range(i, i + n)
    ),
    "flat_map of flat_map": lambda d: _numbers(d, 4).flat_map(
        lambda n: d.Dataset.range(n).flat_map(d.Dataset.range)
    ),
    "interleave, one at a time": _interleaved(2, 1, [3, 2, 4, 1]),
    "interleave blocks": _interleaved(2, 2, [5, 1, 3, 4]),
    "interleave, a block ends a dataset": _interleaved(2, 2, [4, 2, 2, 6]),
    "interleave with empty datasets": _interleaved(3, 2, [0, 3, 0, 0, 5, 1, 0, 2]),
    "interleave more places than datasets": _interleaved(5, 1, [3, 1, 2]),
    "interleave in one place": _interleaved(1, 3, [3, 0, 4]),
    "interleave of nothing": _interleaved(2, 1, [0, 0]),
    "interleave in parallel": _interleaved(2, 1, [3, 2, 4, 1], num_parallel_calls=2),
    "interleave blocks in parallel": _interleaved(3, 2, [0, 3, 0, 0, 5, 1, 0, 2], num_parallel_calls=3),
    "interleave of long datasets": _interleaved(3, 2, [40, 7, 25, 31]),
    "interleave batches": lambda d: _numbers(d, 4).interleave(
        lambda n: d.Dataset.range(n).batch(2), cycle_length=2
    ),
    "window": lambda d: _numbers(d, 7).window(3).flat_map(lambda w: w.batch(3)),
    "window with a shift": lambda d: _numbers(d, 7).window(3, shift=2).flat_map(lambda w: w.batch(3)),
    "window of full size": lambda d: (
        _numbers(d, 7).window(3, shift=2, drop_remainder=True).flat_map(lambda w: w.batch(3))
    ),
    "window with a stride": lambda d: (
        _numbers(d, 9).window(3, shift=1, stride=2).flat_map(lambda w: w.batch(3))
    ),
    "window with a stride, of full size": lambda d: (
        _numbers(d, 9).window(3, shift=1, stride=3, drop_remainder=True).flat_map(lambda w: w.batch(3))
    ),
    "window with a shift beyond its size": lambda d: (
        _numbers(d, 11).window(2, shift=4).flat_map(lambda w: w.batch(2))
    ),
    "window of pairs": lambda d: (
        d.Dataset.zip((_numbers(d, 5), d.Dataset.range(10, 20)))
        .window(2, shift=1)
        .flat_map(lambda x, y: d.Dataset.zip((x.batch(2), y.batch(2))))
    ),
    "padded_batch": lambda d: _lists(d).padded_batch(2),
    "padded_batch to a size": lambda d: _lists(d).padded_batch(3, padded_shapes=[4]),
    "padded_batch to no size": lambda d: _lists(d).padded_batch(3, padded_shapes=[None]),
    "padded_batch with a value": lambda d: _lists(d).padded_batch(2, padding_values=-1),
    "padded_batch without a remainder": lambda d: _lists(d).padded_batch(3, drop_remainder=True),
    "padded_batch of a structure": lambda d: _pairs(d).padded_batch(2),
    "padded_batch of a structure with shapes": lambda d: _pairs(d).padded_batch(
        2, padded_shapes=({"x": [3], "town": []}, [None, 3])
    ),
    "padded_batch of a structure with values": lambda d: _pairs(d).padded_batch(
        3, padding_values=({"x": 0.25, "town": "?"}, d.cast(-1, d.int64))
    ),
    "padded_batch of single values": lambda d: _numbers(d, 5).padded_batch(3, padded_shapes=[]),
    "padded_batch of text": lambda d: d.Dataset.from_generator(
        lambda: iter([["a"], ["b", "c"], []]), output_types=d.string, output_shapes=[None]
    ).padded_batch(3),
    "apply": lambda d: _numbers(d, 5).apply(lambda data: data.skip(1).batch(2)),
    "shuffle_and_repeat in a buffer of one": lambda d: _numbers(d, 3).apply(
        d.shuffle_and_repeat(1, count=2)
    ),
    "unbatch": lambda d: _numbers(d, 5).batch(2).unbatch(),
    "unbatch of a structure": lambda d: d.Dataset.from_tensor_slices(
        ({"x": [[1, 2], [3, 4]]}, [[0, 1], [1, 0]])
    ).unbatch(),
    "map in parallel": lambda d: _numbers(d, 4).map(lambda n: n + 1, num_parallel_calls=2),
    "sample of one dataset": lambda d: d.Dataset.sample_from_datasets([_numbers(d, 3)], seed=1),
    "sample of a single weight": lambda d: d.Dataset.sample_from_datasets(
        [_numbers(d, 3), d.Dataset.range(10, 14)], weights=[0.0, 1.0], seed=1
    ),
    "a generator with a signature": lambda d: d.Dataset.from_generator(
        lambda limit: iter([(number, [number] * 2) for number in range(limit)]),
        args=(3,),
        output_signature=(
            d.TensorSpec(shape=(), dtype=d.int32),
            d.TensorSpec(shape=(None,), dtype=d.float32),
        ),
    ),
    "a generator with types": _pairs,
    "lines": lambda d: d.TextLineDataset(d.file("a.txt")),
    "lines of several files": lambda d: d.TextLineDataset(
        [d.file("b.txt"), d.file("c.txt"), d.file("d.txt")]
    ),
    "lines of a dataset of files": lambda d: d.TextLineDataset(
        d.Dataset.from_tensor_slices([d.file("d.txt"), d.file("a.txt")])
    ),
    "lines of files side by side": lambda d: d.Dataset.from_tensor_slices(
        [d.file("b.txt"), d.file("a.txt"), d.file("d.txt")]
    ).interleave(d.TextLineDataset, cycle_length=2),
    "lines without headers": lambda d: d.Dataset.from_tensor_slices(
        [d.file("b.txt"), d.file("a.txt")]
    ).flat_map(lambda file: d.TextLineDataset(file).skip(1)),
    "lines of listed files": lambda d: (
        d.Dataset.list_files(d.file("*.txt"), shuffle=False).flat_map(d.TextLineDataset)
    ),
    "cells of lines, line by line": _cells_line_by_line,
    "cells of batches of lines": lambda d: (
        d.Dataset.from_tensor_slices(CELLS)
        .batch(3)
        .map(lambda lines: tuple(d.decode_csv(lines, [[0], [0.0], ["none"]])))
    ),
    "cells of chosen columns": lambda d: (
        d.Dataset.from_tensor_slices(CELLS)
        .batch(4)
        .map(lambda lines: tuple(d.decode_csv(lines, [[7], ["x"]], select_cols=[0, 2], na_value="NA")))
    ),
    "cells apart by semicolons, without quotes": lambda d: (
        d.Dataset.from_tensor_slices(['1;"a"', '2;b"'])
        .batch(2)
        .map(
            lambda lines: tuple(
                d.decode_csv(lines, [[0], [""]], field_delim=";", use_quote_delim=False)
            )
        )
    ),
    "rows of a file": lambda d: (
        d.TextLineDataset(d.file("rows.csv"))
        .skip(1)
        .map(lambda line: tuple(d.decode_csv(line, [[0], [1.0], ["?"]])))
        .batch(2)
    ),
}  # fmt: skip
