"""Training in two and three processes that torchrun starts, compared with one process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import distributed_program as program
import numpy as np
import pytest
import torch

from torchest import metrics
from torchest.distributed import data_parallel
from torchest.distributed.cluster import Cluster
from torchest.distributed.data_parallel import DataParallel
from torchest.distributed.input_context import InputContext
from torchest.inputs.batch import Batch

CASES = sorted(program.MODELS)
PATHS = ("by_exchange", "by_ddp")
EVERY_PATH = (*PATHS, "by_sums", "as_on_a_device")
OTHERS = ("compressed", "half_precision", "gathering")
NOT_BY_DDP = ("two_backwards",)  # its train_op is a function


@dataclass
class Run:
    """What the processes of one torchrun have left."""

    directory: Path
    size: int
    returncode: int
    output: str

    def values(self, group, case):
        """The values that each process kept, by rank."""
        return [
            json.loads((self.directory / group / f"{case}.{rank}.json").read_text())
            for rank in range(self.size)
        ]

    def tensors(self, group, case):
        """The tensors that each process held at the end of training, by rank."""
        return [load(self.directory / group / f"{case}.{rank}.npz") for rank in range(self.size)]


def load(path):
    with np.load(path) as loaded:
        return dict(loaded)


# What C++ says when a thread of its own is left as a process ends. gloo's threads were once, after everything had been
# done and written; why is not known.
LEFT_THREAD = "terminate called without an active exception"


def torchrun(directory, size, *groups, restarts=0, devices=""):
    """Runs groups of the program, once more if a thread of C++ ended a process."""
    done = run_once(directory, size, *groups, restarts=restarts, devices=devices)
    if done.returncode and LEFT_THREAD in done.output:
        print(done.output)
        shutil.rmtree(directory)
        directory.mkdir()
        done = run_once(directory, size, *groups, restarts=restarts, devices=devices)
    return done


def run_once(directory, size, *groups, restarts, devices):
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={size}",
        f"--max-restarts={restarts}", program.__file__, str(directory), *groups,
    ]  # fmt: skip
    root = str(Path(program.__file__).parent.parent)
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": root,
        "CUDA_VISIBLE_DEVICES": devices,
    }
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=environment, check=False
    )
    return Run(directory, size, done.returncode, done.stdout + done.stderr)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    switched_off = [f"{path}_switched_off" for path in PATHS]
    groups = ("termination", *EVERY_PATH, *switched_off, "costs", *OTHERS, "stop", "failure")
    return torchrun(tmp_path_factory.mktemp("two"), 2, *groups, restarts=1)


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    directory = tmp_path_factory.mktemp("three")
    groups = ("death", "uneven", "uneven_by_ddp", "evaluation", "alternation")
    return torchrun(directory, 3, *groups, restarts=1)


@pytest.fixture
def _float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def alone(tmp_path, _float64):
    """Trains a model in this process, on the joined batches."""

    def train(case, **options):
        program.train(tmp_path, case, **options)
        values = json.loads((tmp_path / f"{case}.0.json").read_text())
        return load(tmp_path / f"{case}.0.npz"), values

    return train


def furthest(first, second):
    assert first.keys() == second.keys()
    return max(float(np.abs(first[name] - second[name]).max()) for name in first)


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")  # of torch's own Adagrad
@pytest.mark.parametrize("path", EVERY_PATH)
@pytest.mark.parametrize("case", CASES)
def test_two_processes_train_as_one_does_on_the_joined_batches(case, path, two, alone):
    expected, values = alone(case)
    assert expected["linear.bias" if case == "linear" else min(expected)].dtype == np.float64
    chief, worker = two.tensors(path, case)
    assert furthest(chief, expected) < 1e-9
    for kept in two.values(path, case):
        steps = 7 if "accumulated" in case else program.STEPS
        assert kept["step"] == values["step"] == steps
        np.testing.assert_allclose(kept["losses"], values["losses"], rtol=0, atol=1e-9)
    assert furthest(chief, worker) == 0, "the copies of the model have drifted apart"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("case", CASES)
def test_without_sums_the_copies_of_the_model_drift_apart(case, path, two):
    chief, worker = two.tensors(f"{path}_switched_off", case)
    is_equal = chief.keys() == worker.keys() and furthest(chief, worker) < 1e-5
    assert is_equal == (path == "by_ddp" and case in NOT_BY_DDP)


# Messages of a step: one of numbers; one with rows, small gradients and the loss, which are three from a device. By
# DistributedDataParallel there are one more of gradients and one about which parameters are used.
MESSAGES = {"exchange_cpu": 2, "exchange_device": 4, "ddp_cpu": 4, "ddp_device": 6}
# What reads numbers that are on the host anyway: those of messages, labels and features before they are copied, the
# number of steps of torch's Adam, and DistributedDataParallel's own record of which parameters it has seen.
READ_ON_HOST = {
    "torchest.distributed.collectives.summed_numbers",
    "torchest.distributed.gathering.__call__",
    "torchest.distributed.dense_gradients.backward",
    "torchest.heads.labels.check_range",
    "torchest.columns.numeric._filled",
    "torchest.engine.train_step._optimize",
    "torchest.hooks.nan_loss.after_run",  # of a loss on the CPU
}


@pytest.mark.parametrize("where", sorted(MESSAGES))
@pytest.mark.parametrize("case", program.WATCHED_CASES)
def test_a_step_has_few_messages_and_waits_for_no_device(case, where, two):
    steps = program.WATCHED.stop - program.WATCHED.start
    for kept in two.values("costs", f"{case}_{where}"):
        messages = MESSAGES[where]
        if case == "statistics":  # two of buffers, and none of rows from a device
            messages += 1 if where.endswith("device") else 2
        further = kept["messages"] - steps * messages
        assert 0 <= further <= 2, "when rows do not fit into the first one"
        assert kept["bytes"] < 10_000
        if where.endswith("device"):
            places = {place.split(" in ")[1] for place in kept["waits"]}
            assert places <= READ_ON_HOST


def test_a_hook_compresses_gradients(two):
    exact, compressed = (two.values("compressed", name)[0] for name in ("exact", "compressed"))
    assert "torch.bfloat16" not in exact["seen"]
    assert compressed["seen"].count("torch.bfloat16") == len(compressed["losses"]) == 10
    assert compressed["losses"] != exact["losses"]
    np.testing.assert_allclose(compressed["losses"], exact["losses"], rtol=0, atol=1e-4)
    chief, worker = two.tensors("compressed", "compressed")
    assert furthest(chief, worker) == 0


@pytest.mark.parametrize("how", ["exchange", "ddp"])
def test_all_processes_skip_a_step_with_an_infinite_gradient_in_one(how, two):
    chief, worker = two.values("half_precision", how)
    assert chief == worker
    scales, weights = chief["scales"], chief["weights"]
    assert scales == [2.0**16] * 2 + [2.0**15] * (len(scales) - 2)
    assert weights[2] == weights[1]
    assert len(set(weights)) == len(weights) - 1
    assert furthest(*two.tensors("half_precision", how)) == 0


def test_vectors_of_different_lengths_are_gathered(two):
    further = 3  # after the first one that is not empty, and those that are much longer than the one before
    assert [kept["messages"] for kept in two.values("gathering", "gathered")] == [10 + further] * 2


@pytest.mark.parametrize("case", CASES)
def test_only_the_chief_writes(case, two):
    directory = str(two.directory)
    chief, worker = two.values("by_exchange", case)
    last = f"model.ckpt-{chief['step']}"
    assert [path for path in chief["files"] if last in path]
    assert [path for path in chief["files"] if "events.out.tfevents" in path]
    assert not [path for path in worker["files"] if directory in path]


def test_one_process_stops_all_at_the_same_step(two):
    assert [kept["step"] for kept in two.values("stop", "linear")] == [3, 3]


def test_a_failure_of_one_process_ends_all(two):
    assert two.returncode != 0
    failed = two.output.index("RuntimeError: a failure of the second process")
    others = two.output.find("Connection closed by peer")
    assert others == -1 or failed < others, "the failure itself is shown first"
    assert not (two.directory / "failure" / "linear.0.json").exists()


def joined(_):
    """The batches of three processes as those of one."""
    by_rank = [program.uneven_batches(rank) for rank in range(3)]
    for step in range(10):
        parts = [batches[step] for batches in by_rank if step < len(batches)]
        features = {
            name: np.concatenate([np.asarray(part[0][name]) for part in parts])
            for name in parts[0][0]
        }
        yield features, np.concatenate([part[1] for part in parts])


@pytest.mark.parametrize("path", ["uneven", "uneven_by_ddp"])
@pytest.mark.parametrize("case", program.UNEVEN)
def test_processes_with_10_and_7_batches_and_none(case, path, three, alone):
    assert three.returncode == 0, three.output
    expected, values = alone(case, input_fn=lambda: joined(None))
    for tensors, kept in zip(three.tensors(path, case), three.values(path, case), strict=True):
        assert kept["step"] == values["step"] == (4 if "accumulated" in case else 10)
        assert furthest(tensors, expected) < 1e-9
        np.testing.assert_allclose(kept["losses"], values["losses"], rtol=0, atol=1e-9)


def test_what_happens_to_uneven_inputs_is_in_the_log(three):
    chief, second, third = (kept["lines"] for kept in three.values("uneven", "log"))
    assert any("continues with batches without rows" in line for line in chief)
    assert not any("has ended before" in line for line in chief)
    count = len(program.UNEVEN)
    assert second.count("The input of process 1 has ended before that of others.") == count
    assert third.count("The input of process 2 has ended before that of others.") == count


def test_a_constant_buffer_keeps_its_bits(three):
    for tensors in three.tensors("uneven", "statistics"):
        assert (tensors["net.constant"] == np.float64(0.1)).all()


@pytest.mark.usefixtures("_float64")
@pytest.mark.parametrize("count", [101, 2])
def test_evaluation_is_of_the_rows_of_all_processes(count, three):
    """Two rows are too few for three processes: one has none."""
    assert three.returncode == 0, three.output
    kept = three.values("evaluation", f"evaluated_{count}")
    assert kept[0] == kept[1] == kept[2]
    model = program.with_counts(program.linear(kept[0]["model_dir"]))
    expected = model.evaluate(program.sharded(program.rows(count, seed=9), 30))
    actual = kept[0]["metrics"]
    assert actual.keys() == expected.keys()
    for name in expected.keys() - {"loss"}:  # that is a mean over batches, which are others
        assert actual[name] == pytest.approx(expected[name], abs=1e-6), name


@pytest.mark.usefixtures("_float64")
def test_the_chief_evaluates_during_training_on_all_rows(three):
    assert three.returncode == 0, three.output
    kept = three.values("alternation", "alternation")
    assert kept[0]["metrics"] == kept[1]["metrics"] == kept[2]["metrics"]
    assert kept[0]["metrics"]["global_step"] == 10
    model = program.linear(str(three.directory / "alternation" / "model"))
    expected = model.evaluate(program.sharded(program.rows(101, seed=9), 30))
    for name in expected:
        assert kept[0]["metrics"][name] == pytest.approx(expected[name], abs=1e-6), name
    assert [bool(of_one["files"]) for of_one in kept] == [True, False, False]


@pytest.mark.usefixtures("_float64")
def test_each_process_predicts_for_its_rows(three):
    predicted = [kept["predictions"] for kept in three.values("evaluation", "predicted")]
    model = program.linear(three.values("evaluation", "evaluated_2")[0]["model_dir"])
    expected = [
        row["logistic"][0] for row in model.predict(program.sharded(program.rows(101, seed=9), 30))
    ]
    for rank in range(3):
        np.testing.assert_allclose(predicted[rank], expected[rank::3], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("case", "of", "steps"),
    [
        ("death", "three", 5),  # from the checkpoint of step 5
        ("termination", "two", 4),  # from that of step 6, which all of them ended with
    ],
)
def test_all_go_on_as_if_nothing_had_happened(case, of, steps, request):
    run = request.getfixturevalue(of)
    assert run.values(case, case) == [{"steps": steps, "step": 10}] * run.size, run.output
    for actual, expected in zip(
        run.tensors(case, case), run.tensors(case, f"{case}_left_alone"), strict=True
    ):
        assert furthest(actual, expected) == 0


@pytest.fixture
def strategy(monkeypatch):
    """One of two processes, without the other."""
    monkeypatch.setattr(data_parallel, "connect", lambda cluster: torch.device("cpu"))
    return DataParallel(Cluster(rank=1, world_size=2))


def test_processes_with_other_metrics_are_told(strategy, monkeypatch):
    told = [{"a": metrics.mean(torch.ones(1))}, {"b": metrics.mean(torch.ones(1))}]
    monkeypatch.setattr(data_parallel.collectives, "objects_of_all", lambda _: told)
    with pytest.raises(
        ValueError, match=r"Process 1 has the metrics \['b'\] and those before.*\['a'\]"
    ):
        strategy.merge(told[1])


def test_processes_that_made_other_models_are_told(strategy, monkeypatch):
    other = {"net.weight": ([1, 3], "torch.float32"), "net.bias": ([1], "torch.float32")}
    monkeypatch.setattr(data_parallel.collectives, "objects_of_all", lambda own: [other, own])
    with pytest.raises(
        ValueError,
        match=r"Process 1 and process 0 have made different models; .* net\.weight\. Every process must",
    ):
        strategy.share({"net": torch.nn.Linear(2, 1)})


def test_what_begins_in_a_step_is_a_process_of_its_own(strategy):
    assert strategy.current() is strategy
    with strategy.detached():
        assert strategy.current().is_chief
        assert strategy.current().input_context == InputContext(1, 0, 1)
    assert strategy.current().input_context == InputContext(2, 1, 2)


def test_input_that_all_read_whole_is_warned_of_once(strategy, caplog, monkeypatch):
    monkeypatch.setattr(data_parallel.collectives, "numbers_of_all", lambda own: [own, own])
    first = Batch({"x": torch.ones(2)}, None)
    strategy.check_input(list, [], first)
    assert not caplog.records, "the chief tells"
    strategy.rank = 0
    strategy.check_input(list, [], first)
    strategy.check_input(list, [], first)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "Each of the 2 processes seems to read the whole input" in caplog.text


@pytest.mark.parametrize("other", [[1, 5], [0, 0]], ids=["another batch", "no batch"])
def test_input_of_which_each_reads_a_part_is_not_warned_of(other, strategy, caplog, monkeypatch):
    monkeypatch.setattr(data_parallel.collectives, "numbers_of_all", lambda own: [own, other])
    strategy.rank = 0
    strategy.check_input(list, [], Batch({"x": torch.ones(2)}, None))
    strategy.check_input(list, [], None)
    assert not caplog.records


def test_a_function_that_computes_gradients_by_itself_is_warned_of_once(
    strategy, monkeypatch, caplog
):
    monkeypatch.setattr(data_parallel.collectives, "summed_numbers", lambda told: told)
    monkeypatch.setattr(data_parallel.collectives, "summed", lambda tensor: tensor)
    for _ in range(2):
        assert strategy.agree([Batch({"x": torch.ones(2)}, None)], 1, stop_requested=False) == 1
        strategy.begin_batch()
        assert strategy.total(torch.tensor(3.0), "auto") == 3
    assert caplog.text.count("did not call torchest.backward(loss)") == 1
