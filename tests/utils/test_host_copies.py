"""Tensors on a device that know their values on the host."""

from __future__ import annotations

import torch

from torchest.engine.feed import Feed
from torchest.heads.binary import BinaryClassHead
from torchest.utils.host_copies import on_host, to_device

ELSEWHERE = torch.device("meta")  # has no values: whoever looks at them fails


def test_what_stays_on_the_host_is_itself():
    tensor = torch.tensor([1, 0])
    assert to_device(tensor, torch.device("cpu")) is tensor
    assert on_host(tensor) is tensor


def test_a_moved_tensor_knows_its_values():
    tensor = torch.tensor([1, 0])
    moved = to_device(tensor, ELSEWHERE)
    assert moved.device == ELSEWHERE
    assert on_host(moved) is tensor


def test_a_tensor_that_was_changed_since_has_no_copy():
    moved = to_device(torch.tensor([1, 0]), ELSEWHERE)
    moved.add_(1)
    assert on_host(moved) is moved


def test_a_tensor_made_from_a_moved_one_has_no_copy():
    made = to_device(torch.tensor([1, 0]), ELSEWHERE)[:1]
    assert on_host(made) is made


def test_heads_check_labels_without_looking_at_the_device():
    batch = {"x": torch.zeros(2)}, torch.tensor([1, 0])
    _, labels = Feed([batch], ELSEWHERE).first()
    assert labels.device == ELSEWHERE
    loss = BinaryClassHead().loss(labels, torch.zeros(2, 1, device=ELSEWHERE))
    assert loss.device == ELSEWHERE
