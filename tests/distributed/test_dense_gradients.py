"""Dense gradients by DistributedDataParallel, in a group of one process."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F

import torchest
from torchest import columns
from torchest.distributed import dense_gradients
from torchest.distributed.dense_gradients import DenseGradients, dense_parameters


@pytest.fixture
def _group():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()
    dense_gradients._take_warning.cache_clear()


def spec_of(loss):
    return torchest.EstimatorSpec("train", loss=loss, train_op=lambda: None)


def names_of(modules):
    names = {
        id(parameter): f"{made}.{name}"
        for made, module in modules.items()
        for name, parameter in module.named_parameters()
    }
    return [names[id(parameter)] for parameter in dense_parameters(modules)]


class SparseLookUp(nn.Module):
    """A table whose module does not say that gradients are sparse, unless it is set."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(5, 2))

    def forward(self, ids):
        return F.embedding(ids, self.weight, sparse=True)


def test_tables_by_rows_and_frozen_parameters_are_not_dense():
    word = columns.categorical_column_with_identity("w", 5)
    other = columns.categorical_column_with_identity("o", 5)
    net = nn.ModuleDict(
        {
            "linear": nn.Linear(2, 3),
            "frozen": nn.Linear(1, 1).requires_grad_(False),
            "sparse": nn.EmbeddingBag(4, 2, sparse=True),
            "embedding": nn.Embedding(4, 2),
        }
    )
    net["again"] = net["linear"]
    layer = columns.DenseFeatures(
        [
            columns.numeric_column("x"),
            *(columns.embedding_column(each, 2) for each in (word, other)),
        ]
    )
    single = columns.DenseFeatures([columns.embedding_column(word, 3)])
    modules = {"net": net, "layer": layer, "single": single}
    assert names_of(modules) == ["net.linear.weight", "net.linear.bias", "net.embedding.weight"]


def test_a_module_that_says_so_is_by_rows():
    layer = SparseLookUp()
    assert names_of({"layer": layer}) == ["layer.weight"]
    layer.sparse = True
    assert names_of({"layer": layer}) == []


def test_one_bucket_is_not_worth_it():
    assert not dense_gradients.pays([nn.Parameter(torch.zeros(1 << 18))])
    assert dense_gradients.pays([nn.Parameter(torch.zeros(1 << 18)), nn.Parameter(torch.zeros(1))])


@pytest.mark.usefixtures("_group")
def test_a_sparse_gradient_that_is_a_surprise():
    layer = SparseLookUp()
    gradients = DenseGradients([layer.weight])
    spec = gradients.forward(lambda: spec_of(layer(torch.tensor([1])).square().sum()), is_last=True)
    with pytest.raises(RuntimeError, match="has no attribute `sparse` that is True: gradients of"):
        gradients.backward(spec.loss, is_last=True)


@pytest.mark.usefixtures("_group")
@pytest.mark.filterwarnings("error")
def test_gradients_accumulate_until_the_last_batch_and_unused_ones_stay_none():
    net, unused = nn.Linear(2, 1), nn.Linear(1, 1)
    gradients = DenseGradients([*net.parameters(), *unused.parameters()])
    before = torch.random.get_rng_state()
    for is_last in (False, True):
        spec = gradients.forward(lambda: spec_of(net(torch.ones(3, 2)).sum()), is_last)
        gradients.backward(spec.loss, is_last)
    gradients.finish()
    assert net.weight.grad.tolist() == [[6, 6]]
    assert net.bias.grad.tolist() == [6]
    assert unused.weight.grad is None
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.usefixtures("_group")
def test_a_process_whose_last_batch_has_no_rows_sends_the_others():
    net = nn.Linear(2, 1)
    gradients = DenseGradients(list(net.parameters()))
    for _ in range(2):
        net.zero_grad()
        spec = gradients.forward(lambda: spec_of(net(torch.ones(3, 2)).sum()), is_last=False)
        gradients.backward(spec.loss, is_last=False)
        gradients.finish()
        assert net.weight.grad.tolist() == [[3, 3]]


@pytest.mark.usefixtures("_group")
def test_nothing_is_printed_about_unused_parameters(capfd):
    net = nn.Linear(2, 1)
    gradients = DenseGradients(list(net.parameters()))
    spec = gradients.forward(lambda: spec_of(net(torch.ones(3, 2)).sum()), is_last=True)
    gradients.backward(spec.loss, is_last=True)
    gradients.finish()
    assert capfd.readouterr().err == ""


@pytest.mark.usefixtures("_group")
@pytest.mark.parametrize("as_list", [False, True])
def test_a_hook_that_averages(as_list):
    net = nn.Linear(2, 1)

    def average(state, bucket):
        assert state is None
        future = torch.futures.Future()
        half = bucket.buffer() / 2
        future.set_result([half] if as_list else half)
        return future

    gradients = DenseGradients(list(net.parameters()), average)
    spec = gradients.forward(lambda: spec_of(net(torch.ones(3, 2)).sum()), is_last=True)
    gradients.backward(spec.loss, is_last=True)
    gradients.finish()
    assert net.weight.grad.tolist() == [[1.5, 1.5]]
