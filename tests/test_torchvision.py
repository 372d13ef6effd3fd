"""torchvision, which works beside the torch that it was built for only."""

from __future__ import annotations

import pytest
import torch


@pytest.mark.xla
def test_its_operations_are_there():
    torchvision = pytest.importorskip(
        "torchvision", reason="needs torchvision: make test-accelerators"
    )
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]])
    kept = torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), iou_threshold=0.5)
    assert kept.tolist() == [0, 2]
