"""The count of lines names folders and files that are there."""

from __future__ import annotations

from benchmarks import lines


def test_the_part_of_tf_estimator_is_less_than_the_library():
    counts = [lines.lines(lines.ROOT / name) for name in lines.OF_TF_ESTIMATOR]
    assert min(counts) > 0
    assert sum(counts) < lines.lines(lines.ROOT)
