from __future__ import annotations

import ast
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from torch import nn

import torchest
from torchest.checkpoint import variables
from torchest.checkpoint.directory import Contents, write_checkpoint
from torchest.engine.object_state import ObjectState
from torchest.engine.scope import Scope


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A checkpoint after two steps, and the objects that it was made from."""
    scope = Scope(torch.device("cpu"), training=True)
    with scope.creating():
        net = scope.get_or_create("net", lambda: nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1)))
        net[0].tied = net[0].bias
        head = scope.get_or_create("head", lambda: nn.Linear(1, 1))
        groups = [{"params": list(head.parameters()), "lr": 0.5}, {"params": [net[0].weight]}]
        adam = scope.get_or_create("adam", lambda: torch.optim.Adam(groups, lr=0.1))
        schedule = scope.get_or_create("schedule", lambda: torch.optim.lr_scheduler.StepLR(adam, 1))
    state = ObjectState(scope)
    state.remember_options()
    for _ in range(2):
        adam.zero_grad()
        head(net(torch.randn(5, 2))).square().sum().backward()
        adam.step()
        schedule.step()
    model_dir = tmp_path_factory.mktemp("model")
    write_checkpoint(model_dir, 1, lambda: Contents({}), keep=5)
    path = write_checkpoint(model_dir, 2, state.contents, keep=5)
    return model_dir, path, scope.objects


def test_a_directory_means_its_newest_checkpoint(trained):
    model_dir, path, _ = trained
    assert torchest.load_checkpoint(model_dir).global_step == 2
    assert torchest.load_checkpoint(path).global_step == 2
    assert torchest.load_checkpoint(model_dir / "model.ckpt-1").global_step == 1


def test_tensors_shapes_and_types_by_name(trained):
    model_dir, _, objects = trained
    reader = torchest.load_checkpoint(model_dir)
    shapes = reader.get_variable_to_shape_map()
    assert shapes["net.0.weight"] == [1, 2]
    assert shapes["net.1.num_batches_tracked"] == []
    assert shapes["adam.head.bias.exp_avg"] == [1]
    assert torchest.list_variables(model_dir) == sorted(shapes.items())
    assert reader.get_variable_to_dtype_map()["net.1.num_batches_tracked"] == torch.int64
    assert sorted(shapes) == list(shapes) == list(reader.get_variable_to_dtype_map())
    value = torchest.load_variable(model_dir, "net.0.weight")
    assert isinstance(value, np.ndarray)
    assert np.array_equal(value, objects["net"][0].weight.detach().numpy())
    assert reader.has_tensor("net.0.weight")
    assert not reader.has_tensor("net.0.wait")
    with pytest.raises(
        ValueError, match=r"name='net.0.wait' is not a variable .*\. Did you mean 'net.0.weight'"
    ):
        reader.get_tensor("net.0.wait")


def test_each_object_gets_its_state_dict_back(trained):
    model_dir, _, objects = trained
    reader = torchest.load_checkpoint(model_dir)
    net = nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1))
    net[0].tied = net[0].bias
    net.load_state_dict(reader.module("net"))
    head = nn.Linear(1, 1)
    head.load_state_dict(reader.module("head"))
    for made, loaded in ((objects["net"], net), (objects["head"], head)):
        for name, value in made.state_dict().items():
            assert torch.equal(value, loaded.state_dict()[name])

    groups = [{"params": list(head.parameters()), "lr": 0.5}, {"params": [net[0].weight]}]
    adam = torch.optim.Adam(groups, lr=0.1)
    adam.load_state_dict(reader.module("adam"))
    assert [group["lr"] for group in adam.param_groups] == pytest.approx([0.005, 0.001])
    moments = objects["adam"].state[objects["net"][0].weight]
    for name, value in adam.state[net[0].weight].items():
        assert torch.equal(value, moments[name])
    schedule = torch.optim.lr_scheduler.StepLR(torch.optim.SGD(head.parameters(), 1.0), 5)
    schedule.load_state_dict(reader.module("schedule"))
    assert (schedule.last_epoch, schedule.step_size) == (2, 1)
    with pytest.raises(ValueError, match=r"has no 'nett'\. Did you mean 'net'"):
        reader.module("nett")


def test_a_directory_without_checkpoints_is_refused(tmp_path):
    for read in (torchest.load_checkpoint, torchest.list_variables):
        with pytest.raises(
            ValueError, match=r"^ckpt_dir_or_file=.* neither has checkpoints nor is one"
        ):
            read(tmp_path)


class TestWaiting:
    @pytest.fixture(autouse=True)
    def clock(self, monkeypatch):
        """Time passes in sleep only; `events` happen at their times."""
        self.now, self.events = 0.0, {}
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "sleep", self.sleep)

    def sleep(self, seconds):
        self.now += seconds
        for when in sorted(when for when in self.events if when <= self.now):
            self.events.pop(when)()

    @staticmethod
    def save(directory, step):
        return lambda: write_checkpoint(directory, step, lambda: Contents({}), keep=5)

    def test_each_new_checkpoint_comes_once_and_those_in_between_are_passed_over(self, tmp_path):
        directory = tmp_path / "later"
        save = {when: self.save(directory, int(when)) for when in (3.0, 9.0, 9.5, 20.0)}
        self.events.update(save)
        actual = [(path, self.now) for path in variables.checkpoints_iterator(directory, 0, 15)]
        names = [(str(directory / f"model.ckpt-{step}"), when) for step, when in found_at()]
        assert actual == names

    def test_at_least_so_many_seconds_lie_between_two(self, tmp_path):
        self.save(tmp_path, 1)()
        self.events[1.0] = self.save(tmp_path, 2)
        actual = [self.now for _ in variables.checkpoints_iterator(tmp_path, 30, timeout=5)]
        assert actual == [0.0, 30.0]

    def test_a_function_may_wait_on_after_the_time(self, tmp_path):
        answers = iter([False, False, True])
        self.events[25.0] = self.save(tmp_path, 1)
        actual = list(
            variables.checkpoints_iterator(tmp_path, timeout=10, timeout_fn=lambda: next(answers))
        )
        assert actual == [str(tmp_path / "model.ckpt-1")]
        assert list(answers) == []


def found_at():
    return [(3, 3.0), (9, 9.0), (20, 20.0)]


def test_safetensors_alone_reads_the_weights(trained):
    _, path, objects = trained
    program = """
import sys
from safetensors.torch import load_file
tensors = load_file(sys.argv[1] + "/model.safetensors")
assert "torchest" not in sys.modules
print({name: tensor.tolist() for name, tensor in tensors.items() if name.startswith("head.")})
"""
    command = [sys.executable, "-c", program, str(path)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    expected = {f"head.{name}": v.tolist() for name, v in objects["head"].state_dict().items()}
    assert ast.literal_eval(out) == expected


def test_the_global_step_is_a_variable_as_in_tensorflow(trained):
    model_dir, path, _ = trained
    assert ("global_step", []) in torchest.list_variables(model_dir)
    step = torchest.load_variable(model_dir, "global_step")
    assert (step.dtype, step.shape, int(step)) == (np.int64, (), 2)
    assert torchest.load_variable(model_dir / "model.ckpt-1", "global_step") == 1
    reader = torchest.load_checkpoint(path)
    assert reader.has_tensor("global_step")
    assert reader.get_variable_to_shape_map()["global_step"] == []
    assert reader.get_variable_to_dtype_map()["global_step"] == torch.int64


@pytest.mark.parametrize("name", ["global_stepp", 3, None, ["net.0.weight"]])
def test_a_variable_that_is_not_there_is_named(trained, name):
    with pytest.raises(ValueError, match=r"^name=.* (is not a variable|must be a string)"):
        torchest.load_variable(trained[0], name)
