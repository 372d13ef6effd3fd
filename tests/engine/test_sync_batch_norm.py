"""Batch normalisation of all processes, in a group of one: the numbers of torch's and torchest's own layers."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.distributed as dist
from torch import nn

import torchest
from torchest.engine.execution import Execution
from torchest.engine.sync_batch_norm import sends_messages, synchronise
from torchest.models.dnn import BatchNorm

LAYERS = {
    "rows": (nn.BatchNorm1d(3), (5, 3)),
    "sequences": (nn.BatchNorm1d(3, momentum=0.3), (4, 3, 6)),
    "images": (nn.BatchNorm2d(3, affine=False), (2, 3, 4, 4)),
    "volumes": (nn.BatchNorm3d(3, momentum=None), (2, 3, 2, 2, 2)),
    "no statistics": (nn.BatchNorm1d(3, track_running_stats=False), (5, 3)),
    "torchest": (BatchNorm(3), (5, 3)),
}


@pytest.fixture(autouse=True)
def _group():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize("name", LAYERS)
def test_outputs_gradients_and_statistics_are_those_of_the_layer(name):
    alone, shape = copy.deepcopy(LAYERS[name])
    alone.double()
    together = copy.deepcopy(alone)
    synchronise([together])
    for _ in range(3):
        values = torch.randn(shape, dtype=torch.float64)
        results = []
        for layer in (alone, together):
            own = values.clone().requires_grad_()
            output = layer(own)
            (output * torch.linspace(0, 1, output.numel()).view(shape)).sum().backward()
            results.append([output, own.grad])
        torch.testing.assert_close(results[1], results[0], rtol=0, atol=1e-12)
    gradients = [[each.grad for each in layer.parameters()] for layer in (alone, together)]
    torch.testing.assert_close(gradients[1], gradients[0], rtol=0, atol=1e-12)
    torch.testing.assert_close(together.state_dict(), alone.state_dict(), rtol=0, atol=1e-12)


def test_in_evaluation_the_layer_is_as_before():
    layer = nn.BatchNorm1d(3).eval()
    values = torch.randn(5, 3)
    expected = layer(values)
    synchronise([layer])
    dist.destroy_process_group()
    assert torch.equal(layer(values), expected)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_output_has_the_dtype_of_the_input(dtype):
    layer = nn.BatchNorm1d(3)
    synchronise([layer])
    assert layer(torch.randn(4, 3).to(dtype)).dtype == dtype


def test_which_modules_send_messages():
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    assert not sends_messages([net])
    assert sends_messages([nn.SyncBatchNorm(3)])
    synchronise([nn.Linear(1, 1), net])
    assert sends_messages([nn.Linear(1, 1), net])


def test_modules_that_a_model_fn_makes_are_synchronised_on_request():
    net = nn.BatchNorm1d(3)
    Execution().prepare([net])
    assert not sends_messages([net])
    Execution(sync_batch_norm=True).prepare([net])
    assert sends_messages([net])


def test_one_process_has_nothing_to_synchronise(tmp_path):
    word = torchest.columns.categorical_column_with_identity("w", 5)
    model = torchest.DNNClassifier(
        [4],
        [torchest.columns.embedding_column(word, 2)],
        str(tmp_path),
        batch_norm=True,
        config=torchest.RunConfig(sync_batch_norm=True),
    )

    class Look(torchest.SessionRunHook):
        def end(self, session):
            self.sends = sends_messages([session.objects["dnn"]])

    look = Look()
    model.train(lambda: ({"w": [0, 1, 2, 3]}, [0, 1, 0, 1]), steps=2, hooks=[look])
    assert not look.sends


def test_it_is_true_or_false():
    with pytest.raises(ValueError, match="RunConfig: sync_batch_norm=1 must be True or False"):
        torchest.RunConfig(sync_batch_norm=1)
