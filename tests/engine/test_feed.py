from __future__ import annotations

import pyarrow as pa
import pytest
import torch

from torchest.columns.ids import Ids
from torchest.columns.numeric import numeric_column
from torchest.engine.feed import Feed

CPU = torch.device("cpu")


def labels_of(labels):
    return Feed([({"x": [1.0, 2.0]}, labels)], CPU).first()[1]


def test_labels_keep_their_structure():
    labels = labels_of({"a": [1, 2], "b": (["x", "y"], [0.5, 1.0])})
    assert torch.equal(labels["a"], torch.tensor([1, 2]))
    assert labels["b"][0].to_pylist() == ["x", "y"]
    assert torch.equal(labels["b"][1], torch.tensor([0.5, 1.0]))


def test_labels_that_are_lists_of_differing_length_stay_lists():
    assert labels_of([[1], [2, 3]]).to_pylist() == [[1], [2, 3]]
    assert labels_of(pa.array([[1, 2], [2, 3]])).to_pylist() == [[1, 2], [2, 3]]


def test_ids_may_be_labels():
    ids = Ids(torch.tensor([1, 2]))
    assert torch.equal(labels_of(ids).values, ids.values)


def test_every_batch_comes_once_and_the_first_can_be_looked_at():
    batches = [({"x": [float(number)]}, [number]) for number in range(5)]
    feed = Feed(batches, CPU)
    assert feed.first()[0]["x"].item() == 0.0
    assert [int(labels) for _, labels in feed.batches()] == [0, 1, 2, 3, 4]
    feed.close()


def test_what_the_first_batch_was_used_for_is_ready_in_the_others():
    batches = [({"x": [float(number)], "y": [1]}, None) for number in range(3)]
    feed = Feed(batches, CPU)
    column = numeric_column("x")
    feed.first()[0].encoded(column)
    following = list(feed.batches())[1:]
    for features, _ in following:
        assert features.usage.columns == {column}
        assert features.usage.keys == set()


def test_an_empty_source_has_no_first_batch():
    assert Feed([], CPU).first() is None


@pytest.mark.parametrize("count", [1, 2, 4])
def test_no_more_batches_are_asked_for_than_are_wanted(count):
    asked = []

    def source():
        for number in range(9):
            asked.append(number)
            yield {"x": [float(number)]}, [number]

    feed = Feed(source(), CPU)
    assert [int(labels) for _, labels in feed.batches(count)] == list(range(count))
    feed.close()
    assert asked == list(range(count))
