"""The table of a campaign."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.fuzz.judge import ACCEPTED, CLEAR
from benchmarks.fuzz.worker import CRASH, HANG

if TYPE_CHECKING:
    from collections.abc import Iterable

ENOUGH = 0.95


@dataclass(frozen=True)
class Outcome:
    """What became of one call.

    Attributes:
        call: What was wrong in it, as text.
        verdict: `ACCEPTED`, `CLEAR`, `HANG`, `CRASH`, or what is unclear.
    """

    call: str
    verdict: str


@dataclass(frozen=True)
class Result:
    """What became of the calls of one callable."""

    name: str
    outcomes: tuple[Outcome, ...]
    seconds: float

    @property
    def wrong(self) -> list[Outcome]:
        """The calls that were refused, or should have been."""
        return [each for each in self.outcomes if each.verdict != ACCEPTED]

    @property
    def unclear(self) -> list[Outcome]:
        """The calls without a clear message."""
        return [each for each in self.wrong if each.verdict != CLEAR]

    @property
    def share(self) -> float:
        """The share of clear answers among wrong calls."""
        return 1 - len(self.unclear) / max(len(self.wrong), 1)

    @property
    def is_good(self) -> bool:
        """Whether enough answers are clear, and nothing hangs or crashes."""
        return self.share >= ENOUGH and not {HANG, CRASH} & {each.verdict for each in self.outcomes}


def row(result: Result) -> str:
    """A callable's line of the table."""
    return (
        f"{result.name:58} {len(result.outcomes):4} calls, {len(result.wrong):4} wrong, {result.share:4.0%} clear, "
        f"{result.seconds:5.1f} s"
    )


def lines(results: Iterable[Result]) -> Iterable[str]:
    """What is not clear, the worst callable first, and the sums."""
    ordered = sorted(results, key=lambda result: (result.share, result.name))
    for result in ordered:
        if result.unclear:
            yield f"\n{result.name}"
            yield from (f"    {each.call}: {each.verdict}" for each in result.unclear)
    everything = [each for result in ordered for each in result.outcomes]
    verdicts = Counter(each.verdict for each in everything)
    wrong = len(everything) - verdicts[ACCEPTED]
    failed = [result.name for result in ordered if not result.is_good]
    yield (
        f"\n{len(everything)} calls of {len(ordered)} callables, {wrong} wrong, {verdicts[CLEAR] / max(wrong, 1):.1%} clear, "
        f"{verdicts[HANG]} hangs, {verdicts[CRASH]} crashes; below {ENOUGH:.0%}: {', '.join(failed) or 'none'}"
    )
