"""A short form of `python -m benchmarks.faults`: what is injured ends bit for bit as what is not."""

from __future__ import annotations

import pytest

faults = pytest.importorskip("benchmarks.faults")


@pytest.fixture(scope="module", autouse=True)
def _one_undisturbed_training():
    """All trials are compared with the same one."""
    result = faults.undisturbed()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(faults, "undisturbed", lambda: result)
        yield


def assert_nothing_is_lost(report):
    assert report.failures == []
    assert report.counts["rows lost"] == report.counts["rows repeated"] == 0
    assert report.counts["tensors and values that differ"] == 0


def test_trainings_that_are_killed_end_as_one_that_is_not():
    report = faults.kills(4, seed=1)
    assert report.counts["kills"] == report.counts["restarts"] >= 4
    assert_nothing_is_lost(report)


def test_a_full_disk_is_an_error_and_leaves_the_checkpoint_before():
    report = faults.full_disks(seed=1, writes=3, sizes=1)
    assert report.counts["errors for want of space"] == 4
    assert report.counts["leftovers"] == 0
    assert_nothing_is_lost(report)


def test_training_goes_on_from_the_checkpoint_before_a_damaged_one():
    report = faults.damage(seed=1, number=2)
    assert report.counts["damaged checkpoints set aside"] == 2
    assert_nothing_is_lost(report)


def test_a_reader_sees_whole_checkpoints_only():
    report = faults.readers(seconds=0.5)
    assert report.counts["checkpoints read"] > 0
    assert report.failures == []
