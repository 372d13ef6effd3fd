from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import textwrap

import pytest
import torch

import torchest
from torchest import columns as fc
from torchest import inputs
from torchest.distributed.tf_config import EVALUATOR
from torchest.engine.resume import is_unfinished, run_with_more
from torchest.train_evaluate.evaluator_task import BOTH, TRAINER, evaluate_beside_training
from torchest.train_evaluate.evaluator_task import role_of_environment as role

X = torch.arange(8.0)


def rows():
    return inputs.Dataset.from_tensor_slices(({"x": X}, 3 * X)).batch(2)


def linear(model_dir, keep=5):
    config = torchest.RunConfig(
        save_checkpoints_steps=1000,
        keep_checkpoint_max=keep,
        save_summary_steps=None,
        log_step_count_steps=None,
    )
    return torchest.LinearRegressor([fc.numeric_column("x")], model_dir, config=config)


class Recorder(torchest.Exporter):
    name = "recorder"

    def __init__(self):
        self.calls = []

    def export(self, estimator, export_path, checkpoint_path, eval_result, is_the_final_export):
        self.calls.append((int(eval_result["global_step"]), is_the_final_export))


class OtherProcess:
    """What happens while the evaluator sleeps: at the second that is named, its action."""

    def __init__(self, actions):
        self.now = 0.0
        self._actions = dict(actions)

    def clock(self):
        return self.now

    def sleep(self, seconds):
        until = self.now + seconds
        for second in sorted(self._actions):
            if second <= until:
                self.now = max(self.now, second)
                self._actions.pop(second)()
        self.now = until
        assert self._actions or self.now < 10_000, "the evaluator does not end"


def evaluated(model_dir, actions, max_steps=None, **spec):
    """The steps that an evaluator evaluates, and whether each was the last one, beside what another process does."""
    other, exporter = OtherProcess(actions), Recorder()
    spec = {"start_delay_secs": 0, "throttle_secs": 0, "steps": None, **spec}
    actual = evaluate_beside_training(
        linear(model_dir),
        torchest.EvalSpec(rows, exporters=exporter, **spec),
        max_steps,
        other.clock,
        other.sleep,
    )
    assert actual.result is None or actual.result["global_step"] == exporter.calls[-1][0]
    return exporter.calls


def train_to(model_dir, step, **arguments):
    """Trains as a part of a run that is killed after it."""

    def train():
        model = linear(model_dir, **arguments).train(lambda: rows().repeat(), max_steps=step)
        (model_dir / "unfinished").write_text(json.dumps({"run": "x"}))
        assert is_unfinished(model.model_dir)

    return train


def end(model_dir):
    return (model_dir / "unfinished").unlink


class TestWhatIsEvaluated:
    def test_each_new_checkpoint_until_max_steps(self, tmp_path):
        actions = {5: train_to(tmp_path, 2), 10: train_to(tmp_path, 4), 15: train_to(tmp_path, 6)}
        assert evaluated(tmp_path, actions, max_steps=6) == [(2, False), (4, False), (6, True)]

    def test_training_that_ends_with_its_input(self, tmp_path):
        actions = {5: train_to(tmp_path, 2), 10: train_to(tmp_path, 4), 20: end(tmp_path)}
        assert evaluated(tmp_path, actions) == [(2, False), (4, False), (4, True)]

    def test_training_that_was_killed_is_waited_for(self, tmp_path):
        actions = {5: train_to(tmp_path, 2), 5000: train_to(tmp_path, 4), 5001: end(tmp_path)}
        assert evaluated(tmp_path, actions)[-1] == (4, True)

    def test_an_evaluator_that_comes_late_evaluates_the_last(self, tmp_path):
        train_to(tmp_path, 2)()
        end(tmp_path)()
        assert evaluated(tmp_path, {}) == [(2, True)]
        assert evaluated(tmp_path, {}) == []

    def test_the_first_seconds_pass_before_it_looks(self, tmp_path):
        train_to(tmp_path, 2)()
        actions = {119: train_to(tmp_path, 4), 300: end(tmp_path)}
        actual = evaluated(tmp_path, actions, start_delay_secs=120)
        assert actual == [(4, False), (4, True)]

    def test_an_earlier_training_does_not_end_it_if_the_next_one_begins_in_time(self, tmp_path):
        train_to(tmp_path, 2)()
        end(tmp_path)()
        actions = {60: train_to(tmp_path, 4), 300: end(tmp_path)}
        actual = evaluated(tmp_path, actions, start_delay_secs=120)
        assert actual == [(4, False), (4, True)]

    def test_throttling_and_what_it_passes_over_is_named(self, tmp_path, caplog):
        caplog.set_level(logging.INFO, "torchest")
        actions = {
            1: train_to(tmp_path, 2),
            10: train_to(tmp_path, 4),
            20: train_to(tmp_path, 6),
            100: end(tmp_path),
        }
        assert evaluated(tmp_path, actions, throttle_secs=60) == [(2, False), (6, False), (6, True)]
        line = f"The checkpoint of step 4 is not evaluated: {tmp_path}/model.ckpt-6 is newer."
        assert caplog.messages.count(line) == 1

    def test_the_last_one_is_not_throttled(self, tmp_path):
        actions = {1: train_to(tmp_path, 2), 5: train_to(tmp_path, 4), 6: end(tmp_path)}
        actual = evaluated(tmp_path, actions, throttle_secs=1e6)
        assert actual == [(2, False), (4, True)]

    def test_waiting_is_told(self, tmp_path, caplog):
        caplog.set_level(logging.INFO, "torchest")
        evaluated(tmp_path, {2000: train_to(tmp_path, 2)}, max_steps=2)
        assert caplog.text.count(f"Waiting for a checkpoint in {tmp_path}") == 3

    def test_a_damaged_checkpoint_is_passed_over_with_a_warning(self, tmp_path, caplog):
        def damage():
            train_to(tmp_path, 2)()
            (tmp_path / "model.ckpt-2/model.safetensors").write_bytes(b"?")

        actions = {1: damage, 5: train_to(tmp_path, 4), 9: end(tmp_path)}
        assert evaluated(tmp_path, actions) == [(4, False), (4, True)]
        assert "model.safetensors is missing or not what was written" in caplog.text


class TestTheRun:
    def test_is_unfinished_until_what_else_is_to_be_done_has_ended(self, tmp_path):
        model = linear(tmp_path)
        with run_with_more(model.model_dir, is_chief=True):
            model.train(rows)
            assert is_unfinished(model.model_dir)
        assert not is_unfinished(model.model_dir)

    def test_killed_in_its_last_evaluation_does_not_train_again(self, tmp_path):
        def killed(*_):
            raise KeyboardInterrupt

        model = linear(tmp_path)
        spec = torchest.TrainSpec(rows)
        with pytest.raises(KeyboardInterrupt):
            torchest.train_and_evaluate(model, spec, torchest.EvalSpec(killed))
        exporter = Recorder()
        again = torchest.EvalSpec(rows, exporters=exporter)
        metrics, _ = torchest.train_and_evaluate(linear(tmp_path), spec, again)
        assert metrics["global_step"] == 4
        assert exporter.calls[-1] == (4, True)
        torchest.train_and_evaluate(linear(tmp_path), spec, again)  # a run of its own
        assert exporter.calls[-1] == (8, True)


class TestTheRole:
    CLUSTER = '{"chief": ["a:1"]}'

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (None, BOTH),
            ("", BOTH),
            ("{}", BOTH),
            ('{"task": {"type": "evaluator", "index": 0}}', EVALUATOR),
            (f'{{"cluster": {CLUSTER}, "task": {{"type": "evaluator"}}}}', EVALUATOR),
            (f'{{"cluster": {CLUSTER}, "task": {{"type": "chief", "index": 0}}}}', TRAINER),
            ('{"cluster": {"master": ["a:1"]}, "task": {"type": "master", "index": 0}}', BOTH),
        ],
    )
    def test_is_what_tf_config_says(self, monkeypatch, text, expected):
        monkeypatch.delenv("TF_CONFIG", raising=False)
        if text is not None:
            monkeypatch.setenv("TF_CONFIG", text)
        assert role() == expected

    @pytest.mark.parametrize("text", ["{", "[]", '{"cluster": 3}', '{"task": "evaluator"}'])
    def test_is_not_guessed(self, monkeypatch, text):
        monkeypatch.setenv("TF_CONFIG", text)
        with pytest.raises(ValueError, match=r"TF_CONFIG=.*Correct it, or unset it; an example is"):
            role()

    def test_of_a_master_is_to_evaluate_and_its_workers_wait_for_that(self, monkeypatch):
        cluster = {"master": ["a:1"], "worker": ["b:1"]}
        for kind in cluster:
            task = {"type": kind, "index": 0}
            monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
            assert role() == BOTH

    def test_is_of_one_evaluator(self, monkeypatch):
        monkeypatch.setenv("TF_CONFIG", '{"task": {"type": "evaluator", "index": 1}}')
        with pytest.raises(ValueError, match=r"evaluator 1, but a training has one evaluator"):
            role()

    def test_of_the_evaluator_is_not_to_train(self, monkeypatch, tmp_path):
        monkeypatch.setenv("TF_CONFIG", '{"task": {"type": "evaluator"}}')
        model = linear(tmp_path / "model")
        with pytest.raises(
            ValueError, match=r'train: .*the task "evaluator", which does not train'
        ):
            model.train(rows, steps=1)
        assert not (tmp_path / "model").exists()
        assert model.evaluate(rows, name="before")["global_step"] == 0

    @pytest.mark.parametrize(
        "call", ["train", "evaluate", "export_saved_model", "train_and_evaluate"]
    )
    def test_of_a_parameter_server_is_to_end(self, monkeypatch, tmp_path, caplog, call):
        cluster = {"chief": ["a:1"], "worker": ["b:1"], "ps": ["c:1"]}
        task = {"type": "ps", "index": 0}
        monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
        model = linear(tmp_path / "model")
        calls = {
            "train": lambda: model.train(rows, steps=1),
            "evaluate": lambda: model.evaluate(rows),
            "export_saved_model": lambda: model.export_saved_model(tmp_path, lambda: None),
            "train_and_evaluate": lambda: torchest.train_and_evaluate(
                model, torchest.TrainSpec(rows), torchest.EvalSpec(rows)
            ),
        }
        with pytest.raises(SystemExit) as ended:
            calls[call]()
        assert ended.value.code == 0
        assert f"{call}: this process is the task ps 0 in TF_CONFIG, and ends now" in caplog.text
        assert not (tmp_path / "model").exists()


def test_two_processes_of_one_program(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""\
            import sys
            import torchest
            from torchest import columns, inputs

            def data():
                x = [float(i) for i in range(40)]
                return inputs.Dataset.from_tensor_slices(({"x": x}, x)).batch(2)

            config = torchest.RunConfig(save_checkpoints_steps=5, save_summary_steps=None)
            model = torchest.LinearRegressor([columns.numeric_column("x")], sys.argv[1], config=config)
            result = torchest.train_and_evaluate(
                model,
                torchest.TrainSpec(data),
                torchest.EvalSpec(data, start_delay_secs=0, throttle_secs=0),
            )
            print("metrics:", result[0] and int(result[0]["global_step"]))
        """)
    )

    def start(task):
        config = {"cluster": {"chief": ["localhost"]}, "task": {"type": task, "index": 0}}
        return subprocess.Popen(
            [sys.executable, str(program), str(tmp_path / "model")],
            env={**os.environ, "TF_CONFIG": json.dumps(config), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )

    evaluator, chief = start("evaluator"), start("chief")
    assert chief.communicate(timeout=60)[0] == "metrics: None\n"
    assert evaluator.communicate(timeout=60)[0] == "metrics: 20\n"
    assert (chief.returncode, evaluator.returncode) == (0, 0)
