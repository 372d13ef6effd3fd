from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

from torchest.checkpoint.directory import Checkpoint, write_checkpoint
from torchest.engine.object_state import ObjectState
from torchest.engine.scope import Scope
from torchest.errors import CheckpointMismatchError


def scope_of(training=True, **factories):
    """A scope with objects, each made from the ones before it."""
    scope = Scope(torch.device("cpu"), training=training)
    with scope.creating():
        for name, factory in factories.items():
            scope.get_or_create(name, lambda factory=factory: factory(scope.objects))
    return scope


def state_of(scope):
    state = ObjectState(scope)
    state.remember_options()
    return state


def net(_):
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))


def adam(objects):
    return torch.optim.Adam(objects["net"].parameters(), lr=0.1)


def train(scope, steps):
    for _ in range(steps):
        scope.objects["opt"].zero_grad()
        scope.objects["net"](torch.randn(8, 2)).square().sum().backward()
        scope.objects["opt"].step()


def save(scope, state, directory):
    return Checkpoint(write_checkpoint(directory, 1, state.contents, keep=5))


def test_training_goes_on_as_if_it_had_not_stopped(tmp_path):
    whole = scope_of(net=net, opt=adam)
    state = state_of(whole)
    train(whole, 3)
    checkpoint = save(whole, state, tmp_path)

    resumed = scope_of(net=net, opt=adam)
    state_of(resumed).restore(checkpoint, training=True)
    for scope in (whole, resumed):
        torch.manual_seed(3)
        train(scope, 3)
    for one, other in zip(
        whole.objects["net"].state_dict().values(),
        resumed.objects["net"].state_dict().values(),
        strict=True,
    ):
        assert torch.equal(one, other)


def test_slots_are_kept_by_the_names_of_parameters_not_by_their_order(tmp_path):
    whole = scope_of(net=net, opt=adam)
    state = state_of(whole)
    train(whole, 3)
    checkpoint = save(whole, state, tmp_path)
    assert "opt.net.0.weight.exp_avg" in checkpoint.names()

    turned = scope_of(
        net=net,
        opt=lambda objects: torch.optim.Adam(list(objects["net"].parameters())[::-1], lr=0.1),
    )
    state_of(turned).restore(checkpoint, training=True)
    for before, after in zip(
        whole.objects["net"].parameters(), turned.objects["net"].parameters(), strict=True
    ):
        moments = (whole.objects["opt"].state[before], turned.objects["opt"].state[after])
        assert torch.equal(moments[0]["exp_avg"], moments[1]["exp_avg"])


def test_tied_weights_are_kept_once_and_equal_ones_apart(tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(2, 2, bias=False)
            self.tied = self.a
            self.equal = nn.Linear(2, 2, bias=False)
            self.equal.load_state_dict(self.a.state_dict())

    scope = scope_of(net=lambda _: Net())
    checkpoint = save(scope, state_of(scope), tmp_path)
    assert checkpoint.names() == ["net.a.weight", "net.equal.weight"]
    other = scope_of(net=lambda _: Net())
    state_of(other).restore(checkpoint, training=True)
    assert torch.equal(other.objects["net"].tied.weight, scope.objects["net"].a.weight)
    assert other.objects["net"].tied is other.objects["net"].a


def test_a_scheduler_goes_on(tmp_path):
    def scheduler(objects):
        return torch.optim.lr_scheduler.MultiStepLR(objects["opt"], [2, 4], gamma=0.1)

    whole = scope_of(net=net, opt=adam, schedule=scheduler)
    state = state_of(whole)
    rates = []
    for step in range(6):
        if step == 3:
            checkpoint = save(whole, state, tmp_path)
            whole = scope_of(net=net, opt=adam, schedule=scheduler)
            state = state_of(whole)
            state.restore(checkpoint, training=True)
        train(whole, 1)
        rates.append(whole.objects["opt"].param_groups[0]["lr"])
        whole.objects["schedule"].step()
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


def test_a_new_learning_rate_is_used_and_told(tmp_path, caplog):
    scope = scope_of(net=net, opt=adam)
    checkpoint = save(scope, state_of(scope), tmp_path)
    faster = scope_of(
        net=net, opt=lambda objects: torch.optim.Adam(objects["net"].parameters(), lr=0.5)
    )
    with caplog.at_level(logging.INFO, "torchest"):
        state_of(faster).restore(checkpoint, training=True)
    assert faster.objects["opt"].param_groups[0]["lr"] == 0.5
    assert (
        "opt now has lr = 0.5 (parameter group 0); the checkpoint was trained with 0.1."
        in caplog.text
    )


def test_what_is_not_made_anew_goes_on_beside_a_new_learning_rate(tmp_path):
    scope = scope_of(net=net, opt=adam)
    state = state_of(scope)
    scope.objects["opt"].param_groups[0]["weight_decay"] = 0.3
    checkpoint = save(scope, state, tmp_path)
    faster = scope_of(
        net=net, opt=lambda objects: torch.optim.Adam(objects["net"].parameters(), lr=0.5)
    )
    state_of(faster).restore(checkpoint, training=True)
    group = faster.objects["opt"].param_groups[0]
    assert (group["lr"], group["weight_decay"]) == (0.5, 0.3)


def test_a_learning_rate_that_a_hook_changed_goes_on(tmp_path):
    scope = scope_of(net=net, opt=adam)
    state = state_of(scope)
    scope.objects["opt"].param_groups[0]["lr"] = 0.025
    checkpoint = save(scope, state, tmp_path)
    other = scope_of(net=net, opt=adam)
    state_of(other).restore(checkpoint, training=True)
    assert other.objects["opt"].param_groups[0]["lr"] == 0.025


def test_all_that_differs_is_named_at_once_and_nothing_is_loaded(tmp_path):
    scope = scope_of(net=lambda _: nn.ModuleDict({"a": nn.Linear(2, 3), "b": nn.Linear(1, 1)}))
    checkpoint = save(scope, state_of(scope), tmp_path)
    other = scope_of(net=lambda _: nn.ModuleDict({"a": nn.Linear(2, 4), "c": nn.Linear(1, 1)}))
    before = {name: value.clone() for name, value in other.objects["net"].state_dict().items()}
    with pytest.raises(CheckpointMismatchError) as raised:
        state_of(other).restore(checkpoint, training=True)
    assert str(raised.value) == (
        f"The checkpoint {str(checkpoint.path)!r} belongs to another model; missing from the checkpoint: net.c.bias, "
        "net.c.weight; only in the checkpoint: net.b.bias, net.b.weight; of another shape: net.a.bias ([3] in the "
        "checkpoint, [4] in the model), net.a.weight ([3, 2] in the checkpoint, [4, 2] in the model). Use another "
        "model_dir, or make the model as it was when the checkpoint was written."
    )
    for name, value in other.objects["net"].state_dict().items():
        assert torch.equal(value, before[name])


def test_another_optimizer_is_refused_by_name(tmp_path):
    scope = scope_of(net=net, opt=adam)
    checkpoint = save(scope, state_of(scope), tmp_path)
    other = scope_of(net=net, opt=lambda objects: torch.optim.SGD(objects["net"].parameters()))
    with pytest.raises(
        CheckpointMismatchError, match=r"'opt' is now SGD, but .* trained with Adam"
    ):
        state_of(other).restore(checkpoint, training=True)


def test_evaluation_needs_no_optimizer_and_may_leave_objects_out(tmp_path):
    scope = scope_of(net=net, helper=lambda _: nn.Linear(1, 1), opt=adam)
    checkpoint = save(scope, state_of(scope), tmp_path)
    other = scope_of(training=False, net=net)
    state_of(other).restore(checkpoint, training=False)
    assert torch.equal(other.objects["net"][0].weight, scope.objects["net"][0].weight)


def test_a_parameter_outside_every_object_is_refused(tmp_path):
    stray = nn.Linear(1, 1)
    scope = scope_of(opt=lambda _: torch.optim.SGD(stray.parameters(), momentum=0.9))
    with pytest.raises(
        ValueError, match=r"'opt' holds a parameter of shape \[1, 1\] that belongs to no module"
    ):
        state_of(scope).contents()
