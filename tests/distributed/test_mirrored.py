"""TensorFlow's strategies, and how a program that plain Python runs gets a process for each device."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from module_from import module_from

import torchest
from torchest import distributed
from torchest.distributed import mirrored, start_again

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "examples" / "mirrored.py"
REFERENCE = json.loads((ROOT / "tests" / "reference" / "strategies.json").read_text())
BY_NAME = {
    "MirroredStrategy": distributed.MirroredStrategy,
    "MultiWorkerMirroredStrategy": distributed.MultiWorkerMirroredStrategy,
    "CentralStorageStrategy": distributed.CentralStorageStrategy,
}


@pytest.fixture(autouse=True)
def _no_launcher(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "TF_CONFIG"):
        monkeypatch.delenv(name, raising=False)


def with_gpus(monkeypatch, count):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


def run(*command, **environment):
    """Runs a program as users do, without a GPU."""
    here = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={**here, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.parametrize("name", BY_NAME)
def test_without_a_gpu_there_are_as_many_replicas_as_in_tensorflow(name, monkeypatch):
    with_gpus(monkeypatch, 0)
    strategy = BY_NAME[name]()
    assert strategy.num_replicas_in_sync == REFERENCE["alone"][name] == 1
    assert strategy.current() is strategy
    assert strategy.device == torch.device("cpu", 0)


@pytest.mark.parametrize("name", ["/cpu:0", "CPU:0", "/device:CPU:0"])
def test_names_of_devices_are_tensorflows(name):
    strategy = distributed.MirroredStrategy([name])
    assert strategy.num_replicas_in_sync == REFERENCE["devices"][name]


def test_a_config_with_a_strategy_says_what_tensorflows_does():
    config = torchest.RunConfig(train_distribute=distributed.MirroredStrategy(["/cpu:0"]))
    expected = {**REFERENCE["config"]["nothing"]}
    expected.pop("TF_CONFIG")
    assert {name: getattr(config, name) for name in expected} == expected


def test_the_linear_regression_of_tensorflows_guide(monkeypatch, tmp_path):
    with_gpus(monkeypatch, 0)
    example = module_from(EXAMPLE)
    strategy = distributed.MirroredStrategy()
    config = torchest.RunConfig(tmp_path, train_distribute=strategy, eval_distribute=strategy)
    feats = torchest.columns.numeric_column("feats")
    regressor = torchest.LinearRegressor([feats], optimizer="SGD", config=config)
    results = regressor.train(example.input_fn, steps=10).evaluate(example.input_fn, steps=10)
    assert list(results) == list(REFERENCE["guide"])
    assert results == pytest.approx(REFERENCE["guide"], abs=1e-6)
    assert results["loss"] < 1e-10


@pytest.mark.processes
@pytest.mark.parametrize("devices", [[], ["/cpu:0", "/cpu:1"]], ids=["one", "two processes"])
def test_the_example_starts_its_processes_by_itself(devices):
    printed = run(str(EXAMPLE), *devices).stdout
    replicas, loss = re.fullmatch(r"(\d) replicas: loss (\S+)\n", printed).groups()
    assert int(replicas) == max(len(devices), 1)
    assert float(loss) < 1e-10


def test_the_program_of_the_documentation(tmp_path, monkeypatch):
    page = (ROOT / "docs" / "distributed.md").read_text(encoding="utf-8")
    [program] = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    with_gpus(monkeypatch, 0)
    monkeypatch.chdir(tmp_path)
    exec(compile(program, "program", "exec"), {"__name__": "__main__"})
    assert torchest.latest_checkpoint("models/line").endswith("model.ckpt-20")


@pytest.mark.processes
def test_arguments_of_python_and_of_the_program_reach_all_processes():
    program = (
        "import os, sys, torchest; torchest.distributed.MirroredStrategy(['/cpu:0', '/cpu:1']); "
        # in one piece, as both processes write to the same pipe
        "line = f\"{os.environ['LOCAL_RANK']} {sys.argv} {sys.warnoptions}\\n\"; "
        "os.write(1, line.encode())"
    )
    printed = run("-W", "ignore", "-c", program, "--steps", "3").stdout
    assert sorted(printed.splitlines()) == [
        f"{rank} ['-c', '--steps', '3'] ['ignore']" for rank in range(2)
    ]


@pytest.mark.processes
def test_a_process_that_fails_ends_the_program_with_an_error():
    program = (
        "import os, torchest; torchest.distributed.MirroredStrategy(['/cpu:0', '/cpu:1']); "
        "assert os.environ['RANK'] == '0', 'only the chief goes on'"
    )
    with pytest.raises(subprocess.CalledProcessError) as caught:
        run("-c", program)
    assert "only the chief goes on" in caught.value.stderr


@pytest.fixture
def started(monkeypatch):
    """What torchrun is called with, in a program that can be started again."""
    calls = []
    monkeypatch.setattr(start_again, "_is_program", lambda: True)
    monkeypatch.setattr("torch.distributed.run.main", calls.append)
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "mine", "--steps", "3"])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    return calls


@pytest.mark.parametrize("name", BY_NAME)
def test_several_gpus_are_a_process_each(name, monkeypatch, started):
    with_gpus(monkeypatch, 4)
    with pytest.raises(SystemExit) as caught:
        BY_NAME[name]()
    assert caught.value.code == 0
    torchrun = ["--standalone", "--nproc-per-node=4", "--no-python"]
    assert started == [[*torchrun, sys.executable, "-m", "mine", "--steps", "3"]]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "4,5,6,7"


@pytest.mark.parametrize(
    ("devices", "visible"),
    [
        (["/gpu:1", "/gpu:3"], "5,7"),
        (["GPU:0", "cuda:2"], "4,6"),
        ([torch.device("cuda", 3), "/job:localhost/replica:0/task:0/device:GPU:0"], "7,4"),
        (["/cpu:0", "/cpu:1"], ""),
    ],
)
def test_processes_see_the_devices_that_are_named(devices, visible, monkeypatch, started):
    with_gpus(monkeypatch, 4)
    with pytest.raises(SystemExit):
        distributed.MirroredStrategy(devices)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == visible
    assert "--nproc-per-node=2" in started[0]


def test_without_the_variable_devices_have_their_own_numbers(monkeypatch, started):
    with_gpus(monkeypatch, 4)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    with pytest.raises(SystemExit):
        distributed.CentralStorageStrategy(["/gpu:1", "/gpu:3"])
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1,3"


@pytest.mark.parametrize(
    "environment",
    [
        {"RANK": "0", "WORLD_SIZE": "1"},
        {"TF_CONFIG": '{"cluster": {"chief": ["a:1"]}, "task": {"type": "evaluator"}}'},
    ],
    ids=["torchrun with one process", "an evaluator"],
)
def test_a_single_process_that_was_started_as_such_uses_one_gpu(environment, monkeypatch, started):
    with_gpus(monkeypatch, 4)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert distributed.MirroredStrategy().device == torch.device("cuda", 0)
    assert started == []


def test_one_of_several_gpus_is_used_in_this_process(monkeypatch, started):
    with_gpus(monkeypatch, 4)
    assert distributed.MirroredStrategy(["/gpu:2"]).device == torch.device("cuda", 2)
    assert started == []


def test_a_test_or_notebook_is_told_how_to_start_processes(monkeypatch):
    with_gpus(monkeypatch, 4)
    with pytest.raises(
        RuntimeError, match=r"trains on 4 devices.*torchrun --nproc-per-node=4 FILE.*gpu:0"
    ):
        distributed.MirroredStrategy()


@pytest.mark.parametrize("attribute", ["ps1", None])
def test_only_a_program_with_a_command_line_can_be_started_again(attribute, monkeypatch):
    monkeypatch.delitem(sys.modules, "pytest")
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "train.py", raising=False)
    if attribute is not None:
        monkeypatch.setattr(sys, attribute, ">>> ", raising=False)
    assert start_again._is_program() is (attribute is None)


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        ([], r"devices=\[\] must be different GPUs"),
        (["/gpu:0", "cuda:0"], "must be different GPUs"),
        (["/gpu:0", "/cpu:0"], "must be different GPUs"),
        (["here"], "'here' is not a device: use names such as '/gpu:0'"),
        ([0], "0 is not a device"),
        ("/gpu:0", r"devices='/gpu:0' must be a list of devices"),
        (["/gpu:4"], "cuda:4 is not there, as torch sees 4 GPUs"),
    ],
)
def test_wrong_devices(devices, message, monkeypatch, started):
    with_gpus(monkeypatch, 4)
    with pytest.raises(ValueError, match=f"MirroredStrategy: .*{message}"):
        distributed.MirroredStrategy(devices)
    assert started == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: distributed.MirroredStrategy(["/cpu:0"], "nccl"),
            "cross_device_ops='nccl' must be None: the processes add up gradients over NCCL",
        ),
        (
            lambda: distributed.MultiWorkerMirroredStrategy("slurm"),
            "cluster_resolver='slurm' must be None: torchrun, srun or TF_CONFIG says",
        ),
        (
            lambda: distributed.MultiWorkerMirroredStrategy(communication_options=5),
            "communication_options=5 must be None",
        ),
        (
            lambda: distributed.CentralStorageStrategy(parameter_device="/cpu:0"),
            "parameter_device='/cpu:0' must be None: each process keeps a copy",
        ),
        (
            lambda: distributed.TPUStrategy("local"),
            "tpu_cluster_resolver='local' must be None: the environment variable PJRT_DEVICE",
        ),
        (
            lambda: distributed.TPUStrategy(experimental_device_assignment=5),
            "experimental_device_assignment=5 must be None: the model runs on one device",
        ),
        (
            lambda: distributed.DistributeConfig(remote_cluster={"worker": ["a:1"]}),
            "remote_cluster=.* must be None: torchrun",
        ),
    ],
)
def test_arguments_that_have_no_meaning_here(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_parameter_servers_are_still_to_come():
    with pytest.raises(NotImplementedError, match=r"yet; MultiWorkerMirroredStrategy\(\) trains"):
        distributed.ParameterServerStrategy("resolver")


class World(distributed.Strategy):
    """Two processes, of which this is the second."""

    def __init__(self):
        super().__init__()
        self.device, self.rank, self.world_size = torch.device("cpu"), 1, 2
        self.inner = distributed.Strategy()

    def current(self):
        return self.inner


@pytest.fixture
def world(monkeypatch):
    for name, value in (("RANK", "1"), ("WORLD_SIZE", "2"), ("LOCAL_WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    world = World()
    monkeypatch.setattr(mirrored, "strategy_of_environment", lambda: world)
    return world


@pytest.mark.parametrize("name", BY_NAME)
def test_in_several_processes_a_strategy_is_that_of_the_processes(name, world):
    strategy = BY_NAME[name]()
    assert strategy.num_replicas_in_sync == 2
    assert not strategy.is_chief
    assert strategy.current() is world.current()


def test_a_strategy_made_elsewhere_joins_the_processes_it_comes_to(world, monkeypatch):
    monkeypatch.delenv("RANK")
    monkeypatch.delenv("WORLD_SIZE")
    strategy = distributed.MirroredStrategy(["/cpu:0"])
    assert strategy.current() is strategy
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert strategy.current() is world.current()


def test_devices_must_be_as_many_as_processes(world):
    with pytest.raises(ValueError, match=r"names 3 devices, but 2 processes were started"):
        distributed.MirroredStrategy(["/cpu:0", "/cpu:1", "/cpu:2"])


@pytest.mark.parametrize(
    ("gpus", "devices", "message"),
    [
        (2, ["/cpu:0", "/cpu:1"], "names CPUs, but the processes run on GPUs"),
        (0, ["/gpu:0", "/gpu:1"], "names GPUs, but the processes run on CPUs"),
    ],
)
def test_devices_must_be_of_the_kind_of_the_processes(gpus, devices, message, world, monkeypatch):
    with_gpus(monkeypatch, gpus)
    with pytest.raises(ValueError, match=message):
        distributed.MirroredStrategy(devices)


def test_a_distribute_config_gives_both_strategies():
    one, other = (distributed.MirroredStrategy(["/cpu:0"]) for _ in range(2))
    both = distributed.DistributeConfig(one, other)
    config = torchest.RunConfig(experimental_distribute=both)
    assert (config.train_distribute, config.eval_distribute) == (one, other)
    assert config.replace(eval_distribute=one).eval_distribute is one
    with pytest.raises(ValueError, match=r"eval_distribute=.* and experimental_distribute.*differ"):
        torchest.RunConfig(eval_distribute=one, experimental_distribute=both)
    with pytest.raises(ValueError, match="experimental_distribute='Mirrored' must be a"):
        torchest.RunConfig(experimental_distribute="Mirrored")
    with pytest.raises(ValueError, match=r"RunConfig: train_distribute=5 must be a strategy"):
        torchest.RunConfig(experimental_distribute=distributed.DistributeConfig(5))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("XLAStrategy", "Did you mean .*'TPUStrategy'"),
        ("OneDeviceStrategy", r"MirroredStrategy with one device"),
        ("NcclAllReduce", "torchest chooses how they add up gradients"),
        ("cluster_resolver", "says which processes train together"),
        ("MirorredStrategy", "Did you mean 'MirroredStrategy'"),
    ],
)
def test_names_of_tensorflow_have_a_way_out(name, message):
    with pytest.raises(AttributeError, match=message):
        getattr(distributed, name)


@pytest.mark.parametrize("name", ["torchest", "torchest.v1"])
def test_strategies_have_tensorflows_spelling(name):
    tf = importlib.import_module(name)
    assert tf.distribute.MirroredStrategy is distributed.MirroredStrategy
    experimental = tf.distribute.experimental
    assert experimental.MultiWorkerMirroredStrategy is distributed.MultiWorkerMirroredStrategy
    with pytest.raises(AttributeError, match="says which processes train together"):
        tf.distribute.experimental.CommunicationOptions  # noqa: B018


def test_strategies_are_looked_for_in_their_module():
    with pytest.raises(AttributeError, match=r"It is torchest\.distributed\.MirroredStrategy"):
        torchest.MirroredStrategy  # noqa: B018
