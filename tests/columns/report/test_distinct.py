from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchest.columns.encode.fingerprint import spread
from torchest.columns.report import distinct
from torchest.columns.report.distinct import Distinct, bucket_size, collision_share


@given(st.lists(st.lists(st.integers(0, 30))), st.integers(1, 9))
def test_small_numbers_are_exact(batches, buckets):
    counter = Distinct()
    for batch in batches:
        counter.add(np.array(batch, np.int64))
    seen = {key for batch in batches for key in batch}
    assert counter.exact
    assert counter.count() == len(seen)
    shared = sum(any(a != b and a % buckets == b % buckets for b in seen) for a in seen)
    assert counter.collisions(buckets) == shared


def test_large_numbers_are_estimated_in_bounded_memory(monkeypatch):
    monkeypatch.setattr(distinct, "_KEPT", 1 << 12)
    monkeypatch.setattr(distinct, "_WAITING", 1 << 10)
    counter = Distinct()
    for start in range(0, 400_000, 5000):
        counter.add(spread(np.arange(start, start + 10_000)))
    assert not counter.exact
    assert len(counter._keys) <= 1 << 12
    assert counter.count() == pytest.approx(405_000, rel=0.06)
    # Of n values in n buckets, 1 - 1/e share theirs.
    assert counter.collisions(405_000) == pytest.approx(405_000 * (1 - np.exp(-1)), rel=0.1)


def test_keys_are_spread_evenly():
    for values in (np.arange(100_000), np.arange(100_000) * 0.5):
        keys = spread(values)
        assert len(np.unique(keys)) == 100_000
        assert (keys >= 0).all()
        counts, _ = np.histogram(keys.astype(float), bins=10, range=(0, 2.0**63))
        assert counts == pytest.approx(np.full(10, 10_000), rel=0.05)


@pytest.mark.parametrize(
    ("values", "buckets", "share"),
    # By hand: of 2 values the second hits the first's bucket in 1 of m cases; of 3 values in 2 buckets,
    # all but the quarter of cases in which both others are in the other bucket.
    [(0, 5, 0.0), (1, 5, 0.0), (2, 4, 0.25), (3, 2, 0.75), (2, 1, 1.0)],
)
def test_expected_collisions(values, buckets, share):
    assert collision_share(values, buckets) == pytest.approx(share)


def test_bucket_sizes_keep_the_share_of_collisions():
    assert [bucket_size(number, 0.25) for number in (0, 1, 2)] == [1, 1, 4]
    # 1 / (1 - 0.9^(1/999)) = 9482.2…, and 1 / (1 - 0.5^(1/9)) = 13.5…
    assert bucket_size(1000, 0.1) == 9500
    assert bucket_size(10, 0.5) == 14
    random = np.random.default_rng(0)
    _, counts = np.unique(random.integers(0, bucket_size(50_000, 0.1), 50_000), return_counts=True)
    assert 1 - (counts == 1).sum() / 50_000 == pytest.approx(0.1, rel=0.1)
