"""Copies beside what the device computes, with streams that only write down what they are asked."""

from __future__ import annotations

import contextlib

import pytest
import torch

from torchest.columns.features import Features
from torchest.columns.ids import Ids
from torchest.utils.copy_stream import CopyStream, tensors_of


class Stream:
    def __init__(self, name, log):
        self.name, self.log = name, log

    def record_event(self):
        self.log.append(f"{self.name} records")
        return f"event of {self.name}"

    def wait_event(self, event):
        self.log.append(f"{self.name} waits for {event}")


@pytest.fixture
def log(monkeypatch):
    log = []

    @contextlib.contextmanager
    def stream(given):
        log.append(f"enters {given.name}")
        yield
        log.append(f"leaves {given.name}")

    monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream(f"side of {device}", log))
    monkeypatch.setattr(torch.cuda, "stream", stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream("main", log))
    return log


def test_the_main_stream_waits_for_what_was_copied_on_the_side(log):
    with CopyStream(torch.device("cuda", 0)).copying() as copied:
        log.append("copies")
    copied.use([torch.zeros(1)])
    assert log == [
        "enters side of cuda:0",
        "copies",
        "side of cuda:0 records",
        "leaves side of cuda:0",
        "main waits for event of side of cuda:0",
    ]


def test_all_tensors_of_a_batch_are_found():
    one, two, three = torch.zeros(3).unbind()
    given = ({"a": one, "b": Ids(two, None, three)}, None, "text", [one])
    assert [id(tensor) for tensor in tensors_of(given)] == [id(t) for t in (one, two, three, one)]


def test_what_features_hold_is_found():
    features = Features({"x": [1.0, 2.0], "name": ["a", "b"]})
    value = features["x"]
    assert features["name"] is not None
    assert [id(tensor) for tensor in tensors_of(features.placed())] == [id(value)]
