"""The metrics of a binary classification in one pass are those that are made one by one."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from torchest.heads import binary

LABELS = st.sampled_from([0.0, 1.0, 0.25])
LOGITS = st.one_of(st.floats(-50, 50, width=32), st.sampled_from([0.0, math.inf, -math.inf]))
WEIGHTS = st.sampled_from([0.0, 1.0, 2.5])


def computed(make, *batch):
    return {name: metric.compute().item() for name, metric in make(*batch).items()}


@settings(deadline=None, max_examples=100)
@given(
    rows=st.lists(st.tuples(LABELS, LOGITS, WEIGHTS), max_size=12),
    is_weighted=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_one_pass_gives_what_single_metrics_give(rows, is_weighted, dtype):
    columns = torch.tensor(rows, dtype=dtype).reshape(len(rows), 3)
    labels, logits, weights = columns.unsqueeze(2).unbind(1)
    batch = (labels, logits, logits.sigmoid(), weights if is_weighted else None)
    found = computed(binary._in_one_pass, *batch)
    assert found == pytest.approx(computed(binary._one_by_one, *batch), abs=1e-6)


def test_a_prediction_of_nan_is_seen():
    batch = (torch.ones(2, 1), torch.tensor([[0.3], [math.nan]]))
    found = computed(binary._in_one_pass, *batch, batch[1].sigmoid(), None)
    expected = computed(binary._one_by_one, *batch, batch[1].sigmoid(), None)
    assert {name for name, value in found.items() if math.isnan(value)} == {
        name for name, value in expected.items() if math.isnan(value)
    }
    assert math.isnan(found["prediction/mean"])
