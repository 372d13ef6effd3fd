"""Calls that several processes make together: different calls, processes that are gone or late, the chief alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import calls_program as program
import numpy as np
import pytest
import torch

from torchest.checkpoint.directory import Checkpoint, latest_checkpoint

pytestmark = pytest.mark.processes

PROGRAM = Path(program.__file__)
SCENARIOS = (
    "the_chief_alone_in_between",
    "the_chief_alone_at_the_end",
    "a_worker_alone",
    "a_worker_later",
    "other_order",
    "the_chief_evaluates_what_the_others_train",
    "one_returns_early",
    "one_fails_between_calls",
    "one_leaves_a_call",
    "one_computes_more",
    "one_has_an_optimizer",
    "one_accumulates",
    "one_fails",
    "one_is_killed",
    "one_stalls",
    "one_stalls_too_long",
    "one_begins_too_late",
    "the_chief_takes_long",
    "predict_together",
    "one_ends_predictions_early",
    "directories_are_not_shared",
    "input_is_read_whole",
    "without_rows",
    "one_stalls_within_a_step",
    "one_is_killed_within_a_step",
)


@dataclass
class Ran:
    """What the processes of a scenario have left, by rank."""

    directory: Path
    codes: list[int]
    values: list[dict]
    logs: list[str]

    @property
    def errors(self):
        """The last lines of the processes, which are those of their exceptions."""
        last = [log.rstrip().rpartition("\n")[2] for log in self.logs]
        return [re.sub(r"^\[rank\d\]: ", "", line) for line in last]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    directory = tmp_path_factory.mktemp("calls")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    environment["PYTHONPATH"] = str(PROGRAM.parents[1])
    command = [sys.executable, PROGRAM, directory, *SCENARIOS]
    done = subprocess.run(command, timeout=400, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    codes = json.loads((directory / "codes.json").read_text())

    def of(scenario):
        here, ranks = directory / scenario, sorted(codes[scenario])
        paths = [here / f"{rank}.json" for rank in ranks]
        values = [json.loads(path.read_text()) if path.exists() else {} for path in paths]
        logs = [(here / f"{rank}.log").read_text() for rank in ranks]
        return Ran(here, [codes[scenario][rank] for rank in ranks], values, logs)

    return of


def test_the_chief_alone_evaluates_predicts_and_exports_while_the_others_go_on(ran):
    done = ran("the_chief_alone_in_between")
    assert done.codes == [0, 0, 0], done.logs
    chief, *workers = done.values
    assert chief["evaluated"] == 11.0  # the mean of 0, 2 ... 22: the chief alone reads all rows
    assert chief["predicted"] == 12
    assert chief["exported"]
    assert chief["of_test"] == 111.0
    for values in done.values:
        assert (values["of_all"], values["step"]) == (11.0, 4)
    assert all(values.keys() == {"of_all", "step"} for values in workers)


def test_the_chief_alone_evaluates_and_exports_when_the_others_have_ended(ran):
    done = ran("the_chief_alone_at_the_end")
    assert done.codes == [0, 0], done.logs
    assert done.values == [{"evaluated": 11.0, "exported": True}, {}]


def test_a_worker_that_evaluates_alone_is_told_that_the_chief_has_ended(ran):
    done = ran("a_worker_alone")
    assert done.codes == [0, 1]
    assert re.match("RuntimeError: .*Process 0.* end.*evaluate", done.errors[1]), done.logs[1]


def test_a_worker_that_evaluates_after_the_end_of_the_chief_is_told(ran):
    done = ran("a_worker_later")
    assert done.codes == [0, 1]
    expected = r"RuntimeError: Process 0 has ended, and process 1 waits for it in the beginning of evaluate\("
    assert re.search(expected, done.logs[1]), done.logs[1]


def test_two_estimators_trained_in_other_orders_are_told_apart(ran):
    done = ran("other_order")
    assert done.codes == [1, 1]
    expected = (
        r"RuntimeError: The processes make different calls\. "
        r"Process 0: train\(model_dir='\S+/first'\) at calls_program\.py:\d+\. "
        r"Process 1: train\(model_dir='\S+/second'\) at calls_program\.py:\d+\. "
        r"All processes must make the same calls in the same order; only the chief may evaluate and export alone\."
    )
    for error in done.errors:
        assert re.fullmatch(expected, error), error


def test_what_the_others_do_after_an_evaluation_of_the_chief_is_compared_with_its_next_call(ran):
    done = ran("the_chief_evaluates_what_the_others_train")
    assert done.codes == [0, 1, 1]
    for error in done.errors[1:]:
        assert re.match(
            r"RuntimeError: (The processes make different calls\. Process 0: the end of the program\. Process \d: "
            r"train|Process 0 has ended, and process \d waits for it in the beginning of train)",
            error,
        ), error


@pytest.mark.parametrize(
    ("scenario", "codes", "expected"),
    [
        (
            "one_returns_early",
            [1, 0],
            r"The processes make different calls\. Process 0: train\(model_dir='\S+'\) at calls_program\.py:\d+\. "
            r"Process 1: the end of the program\. All processes must",
        ),
        (
            "one_leaves_a_call",
            [1, 1],
            r"Process 0 waits for process 1 in step 2 of train\(model_dir='\S+'\), but process 1 has left it with "
            r"ZeroDivisionError: division by zero\. See its log, and start all processes again",
        ),
        (
            "one_ends_predictions_early",
            [1, 1],
            r"Process 0 waits for process 1 in predict\(model_dir='\S+'\), but process 1 has left it with "
            "an early end of its loop",
        ),
        (
            "one_is_killed",
            [1, -9],
            r"The connection to process 1 broke in step 2 of train\(model_dir='\S+'\): it was killed, or",
        ),
        (
            "one_is_killed_within_a_step",
            [1, -9],
            r"The connection to process 1 broke in step 2 of train\(model_dir='\S+'\): it was killed, or",
        ),
        (
            "one_stalls_within_a_step",
            [1, 1],
            r"Process 1 did not come to step 2 of train\(model_dir='\S+'\), where others wait, within "
            r"RunConfig\(step_timeout_secs=4\)",
        ),
        (
            "one_stalls_too_long",
            [1, 1, 1],
            r"Process 1 did not come to step 2 of train\(model_dir='\S+'\), where others wait, within "
            r"RunConfig\(step_timeout_secs=4\)",
        ),
    ],
)
def test_all_processes_raise_one_error_that_says_what_happened(scenario, codes, expected, ran):
    done = ran(scenario)
    assert done.codes == codes, done.logs
    raised = [error for error, code in zip(done.errors, done.codes, strict=True) if code == 1]
    assert len(set(raised)) == 1
    assert re.match(f"RuntimeError: {expected}", raised[0]), raised[0]
    assert not any("peer" in error for error in done.errors)


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        (
            "one_computes_more",
            r"RuntimeError: Process \d waits for .* in step \d of train\(model_dir='\S+'\), and process \d for .*\. "
            r"All processes must compute the same, .*, and call torchest\.backward equally often\.",
        ),
        (
            "one_has_an_optimizer",
            "ValueError: train_op is an optimizer in process 0 and a function in process 1: it must",
        ),
        (
            "one_accumulates",
            r"ValueError: RunConfig\(accumulate_steps\) is 1 in process 0 and 2 in process 1: it must",
        ),
    ],
)
def test_processes_that_compute_different_things_are_told(scenario, expected, ran):
    done = ran(scenario)
    assert done.codes == [1, 1], done.logs
    assert len(set(done.errors)) == 1
    assert re.match(expected, done.errors[0]), done.errors[0]


def test_an_exception_between_calls_is_told_to_who_begins_the_next_one(ran):
    done = ran("one_fails_between_calls")
    assert done.codes == [1, 1], done.logs
    expected = (
        r"RuntimeError: The processes make different calls\. Process 0: train\(.*\) at calls_program\.py:\d+, from "
        r"step 2\. Process 1: the end of the program, after ZeroDivisionError: division by zero\. All processes must"
    )
    assert re.match(expected, done.errors[0]), done.errors[0]


def test_a_process_that_begins_too_late_is_named(ran):
    done = ran("one_begins_too_late")
    assert done.codes == [1, 1]
    begin = r"the beginning of train\(model_dir='\S+'\)"
    chief, late = done.errors
    limit = r"RunConfig\(session_creation_timeout_secs=2\)"
    expected = f"RuntimeError: Process 1 did not come to {begin}, where others wait, within {limit}"
    assert re.match(expected, chief), chief
    assert re.match(f"{expected}|RuntimeError: Process 0 has ended, .* in {begin}", late), late


def test_an_exception_of_one_process_is_in_the_errors_of_the_others(ran):
    done = ran("one_fails")
    assert done.codes == [1, 1, 1]
    assert done.errors[1] == "ZeroDivisionError: division by zero"
    for error in (done.errors[0], done.errors[2]):
        assert re.match(
            r"RuntimeError: Process \d waits for process 1 in .* of train\(.*\), but process 1 has left it with "
            "ZeroDivisionError: division by zero",
            error,
        ), error


def test_a_long_wait_is_told_with_the_process_and_the_step(ran):
    done = ran("one_stalls")
    assert done.codes == [0, 0, 0], done.logs
    for log in (done.logs[0], done.logs[2]):
        told = re.findall(
            r"WARNING:torchest:Waiting for (.*) since (step \d) of train\(.*\), for", log
        )
        assert ("process 1", "step 2") in told
    assert "Waiting for process 1" not in done.logs[1]


def test_no_process_waits_above_the_limit(ran):
    done = ran("one_stalls_too_long")
    chief, stalled, other = done.values
    assert max(chief["gave_up"], other["gave_up"]) < stalled["woke"] <= stalled["gave_up"]


def test_what_the_chief_does_alone_may_take_longer_than_a_step(ran):
    done = ran("the_chief_takes_long")
    assert done.codes == [0, 0], done.logs
    assert [values["evaluated"] for values in done.values] == [7.0, 7.0]  # four batches of 2 rows
    assert "Waiting for process 0" in done.logs[1]


def test_processes_predict_all_rows_together_in_order(ran):
    done = ran("predict_together")
    assert done.codes == [0, 0, 0], done.logs
    chief, *others = done.values
    assert len(chief["alone"]) == 12
    for values in done.values:
        assert values["all"] == pytest.approx(values["alone"], abs=1e-6)
        assert values["all"] == chief["all"]
        assert values["one_batch"] == values["all"][:5]
        assert values["none"] == []
        assert values["batches"] == [5, 5, 2]
        assert sorted(values["shuffled"]) == pytest.approx(sorted(values["untrained"]))
        assert values["shuffled"] == chief["shuffled"]
        assert values["untrained"] == chief["untrained"]
        assert re.match(
            "predict: the first batch of process 1 differs from the chief's", values["error"]
        )
    assert [values.keys() for values in others] == [chief.keys()] * 2


def test_a_directory_that_is_not_shared_is_told_in_one_sentence(ran):
    done = ran("directories_are_not_shared")
    assert done.codes == [1, 1]
    for error in done.errors:
        assert re.match(
            r"ValueError: model_dir='\S*model' is not the same directory for all processes: process 1 cannot see",
            error,
        ), error


def test_input_that_all_processes_read_whole_is_told(ran):
    done = ran("input_is_read_whole")
    assert done.codes == [0, 0], done.logs
    assert "Each of the 2 processes seems to read the whole input" in done.logs[0]
    assert "seems to read" not in ran("one_stalls").logs[0]


@pytest.fixture
def _float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("_float64")
@pytest.mark.parametrize("name", program.WIDTHS)
def test_a_process_without_rows_changes_nothing(name, ran, tmp_path):
    """The other one trains as it does alone, with batch normalisation and momentum."""
    done = ran("without_rows")
    assert done.codes == [0, 0], done.logs
    alone = program.normalised(tmp_path, name, (4,))
    together = program.torchest.Estimator(
        program.with_batch_norm, str(done.directory / f"{name}2"), params={"name": name, "rows": []}
    )
    assert together.get_variable_value("global_step") == 4
    for variable in alone.get_variable_names():
        actual = together.get_variable_value(variable)
        np.testing.assert_allclose(actual, alone.get_variable_value(variable), rtol=0, atol=1e-12)


def test_model_fn_never_runs_without_rows(ran):
    """The first batch makes the model, too. The chief, which has two batches, has two steps without rows."""
    done = ran("without_rows")
    assert [values["rows"] for values in done.values] == [[4] * 3, [4] * 5]
    for name in program.WIDTHS:
        saved = Checkpoint(latest_checkpoint(done.directory / "uneven" / f"{name}2"))
        assert saved.get_tensor("net.1.num_batches_tracked") == 4
