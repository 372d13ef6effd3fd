"""One input whose batches several processes take in turns, and their results in the order of the input."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, TypeVar

from torchest.distributed.whole_input import digest
from torchest.inputs.source import batches as source_batches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torchest.distributed.strategy import Strategy

Result = TypeVar("Result")


def own_batches(source: object, strategy: Strategy) -> Iterator[tuple[object, ...]]:
    """The batches that this process takes: those of its rank, counted by the number of processes.

    Args:
        source: The result of an input_fn, the same in all processes.
        strategy: The processes.

    Raises:
        ValueError: The processes read different input.
    """
    batches = source_batches(source)
    first = next(batches, None)
    digests = strategy.gather(None if first is None else digest(first))
    for rank, other in enumerate(digests):
        if other != digests[0]:
            raise ValueError(
                f"predict: the first batch of process {rank} differs from the chief's. With across_processes=True, the "
                "input_fn must return the whole input in every process, in the same order: they take its batches in "
                "turns."
            )
    every = [] if first is None else itertools.chain([first], batches)
    return map(tuple, itertools.islice(every, strategy.rank, None, strategy.world_size))


def in_order(results: Iterator[Result], strategy: Strategy) -> Iterator[Result]:
    """The results of all processes for their batches, in the order of the input."""
    while True:
        for result in strategy.gather(list(itertools.islice(results, 1))):
            if not result:
                return
            yield result[0]
