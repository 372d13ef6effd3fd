from __future__ import annotations

import gc
import logging
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import torchest
from torchest import columns as fc
from torchest import inputs
from torchest.checkpoint.directory import Checkpoint, Contents, write_checkpoint
from torchest.engine.model import RunningModel
from torchest.engine.resume import is_unfinished

QUIET = {"save_summary_steps": None, "log_step_count_steps": None}
X = torch.arange(8.0)[:, None]
Y = 3 * X[:, 0] + 1


def rows():
    """Four batches of two rows."""
    return inputs.Dataset.from_tensor_slices(({"x": X}, Y)).batch(2)


def repeated():
    return rows().repeat()


def linear(model_dir, every=4, **config):
    config = torchest.RunConfig(save_checkpoints_steps=every, **QUIET, **config)
    return torchest.LinearRegressor([fc.numeric_column("x")], model_dir, config=config)


class Recorder(torchest.Exporter):
    """Exports when it is told that the export is the final one."""

    def __init__(self, name="final"):
        self._name = name
        self.calls = []

    @property
    def name(self):
        return self._name

    def export(self, estimator, export_path, checkpoint_path, eval_result, is_the_final_export):
        self.calls.append((int(eval_result["global_step"]), is_the_final_export))
        return export_path if is_the_final_export else None


def run(model, max_steps=10, train_input_fn=repeated, listeners=None, train_hooks=None, **spec):
    """The result, and an exporter that knows when it was called."""
    exporter = Recorder()
    spec = {"input_fn": rows, "exporters": exporter, "throttle_secs": 0, **spec}
    result = torchest.train_and_evaluate(
        model,
        torchest.TrainSpec(train_input_fn, max_steps, train_hooks, listeners),
        torchest.EvalSpec(**spec),
    )
    return result, exporter.calls


class TestWhenIsEvaluated:
    def test_after_the_checkpoints_of_a_saver_of_the_users(self, tmp_path):
        config = torchest.RunConfig(save_checkpoints_steps=None, **QUIET)
        model = torchest.LinearRegressor([fc.numeric_column("x")], tmp_path, config=config)
        saver = torchest.CheckpointSaverHook(f"{tmp_path}/", save_steps=6)
        _, calls = run(model, train_hooks=[saver])
        assert calls == [(6, False), (10, True)]

    def test_after_every_checkpoint_but_the_first(self, tmp_path):
        (metrics, exports), calls = run(linear(tmp_path))
        assert calls == [(4, False), (8, False), (10, True)]
        assert metrics["global_step"] == 10
        assert exports == [f"{tmp_path}/export/final"]

    def test_throttling_leaves_the_first_and_the_last(self, tmp_path, caplog):
        caplog.set_level(logging.INFO, "torchest")
        _, calls = run(linear(tmp_path), throttle_secs=600)
        assert calls == [(4, False), (10, True)]
        assert f"Skip the evaluation of {tmp_path}/model.ckpt-8: the last one began" in caplog.text

    def test_a_short_run_is_evaluated_and_exported_once_at_the_end(self, tmp_path):
        config = torchest.RunConfig(**QUIET)  # checkpoints every 600 s
        model = torchest.LinearRegressor([fc.numeric_column("x")], tmp_path, config=config)
        exporter = Recorder()
        torchest.train_and_evaluate(
            model,
            torchest.TrainSpec(repeated, max_steps=5),
            torchest.EvalSpec(rows, exporters=[exporter]),
        )
        assert exporter.calls == [(5, True)]

    @pytest.mark.parametrize(("every", "first"), [(3, 3), (2, 2)])
    def test_finite_data_without_max_steps_end_with_the_final_export(self, tmp_path, every, first):
        (metrics, exports), calls = run(linear(tmp_path, every), None, rows)
        assert calls == [(first, False), (4, False), (4, True)]
        assert metrics["global_step"] == 4
        assert exports == [f"{tmp_path}/export/final"]

    def test_finite_data_that_end_before_max_steps_too(self, tmp_path):
        _, calls = run(linear(tmp_path), 1000, rows)
        assert calls[-1] == (4, True)

    def test_a_hook_that_stops_training_makes_the_last_checkpoint_the_final_one(self, tmp_path):
        class StopAtSix(torchest.SessionRunHook):
            def after_run(self, run_context, run_values):
                if run_context.session.global_step == 6:
                    run_context.request_stop()

        _, calls = run(linear(tmp_path), 1000, train_hooks=[StopAtSix()])
        assert calls == [(4, False), (6, True)]

    def test_users_listeners_come_first_and_may_end_training(self, tmp_path):
        told = []

        class Listener(torchest.CheckpointSaverListener):
            def after_save(self, session, global_step_value):
                told.append(global_step_value)
                return global_step_value == 8

        _, calls = run(linear(tmp_path), 1000, listeners=[Listener()])
        assert told == [0, 4, 8]
        assert calls == [(4, False), (8, False), (8, True)]

    def test_evaluations_of_a_name(self, tmp_path):
        run(linear(tmp_path), name="held_out")
        assert (tmp_path / "eval_held_out/evaluations.json").exists()
        assert not (tmp_path / "eval").exists()


class TestRestart:
    def test_nothing_is_left_to_do_and_a_line_says_so(self, tmp_path, caplog):
        run(linear(tmp_path))
        caplog.set_level(logging.INFO, "torchest")
        assert run(linear(tmp_path)) == ((None, None), [])
        path = f"{tmp_path}/model.ckpt-10"
        assert f"{tmp_path} is at step 10, max_steps=10." in caplog.text
        assert f"{path} was evaluated before and has not changed" in caplog.text

    def test_what_was_trained_and_not_evaluated_is_evaluated_and_exported(self, tmp_path):
        linear(tmp_path).train(repeated, max_steps=10)
        (metrics, _), calls = run(linear(tmp_path))
        assert calls == [(10, True)]
        assert metrics["global_step"] == 10

    def test_a_checkpoint_that_was_not_evaluated_is_when_training_goes_on(self, tmp_path):
        linear(tmp_path).train(repeated, max_steps=4)
        _, calls = run(linear(tmp_path), max_steps=8)
        assert calls == [(4, False), (8, True)]

    def test_a_checkpoint_that_was_evaluated_is_not_when_training_goes_on(self, tmp_path):
        run(linear(tmp_path), max_steps=4)
        _, calls = run(linear(tmp_path), max_steps=8)
        assert calls == [(8, True)]


def dropping(model_dir, every=3):
    """A model whose training draws random numbers, and the rows that it was trained on."""
    seen = []

    def model_fn(features, labels, mode):
        net = torchest.get_or_create("net", lambda: nn.Sequential(nn.Linear(1, 4), nn.Linear(4, 1)))
        output = nn.functional.dropout(net(features["x"]), 0.5, mode == torchest.ModeKeys.TRAIN)
        loss = (output[:, 0] - labels).square().mean()
        if mode == torchest.ModeKeys.EVAL:
            torch.rand(7)
            return torchest.EstimatorSpec(mode, loss=loss)
        if not torch.is_inference_mode_enabled():
            seen.append(features["x"][:, 0].tolist())
        adam = torchest.get_or_create("adam", lambda: torch.optim.Adam(net.parameters(), lr=0.1))
        return torchest.EstimatorSpec(mode, loss=loss, train_op=adam)

    config = torchest.RunConfig(save_checkpoints_steps=every, tf_random_seed=1, **QUIET)
    return torchest.Estimator(model_fn, model_dir, config), seen


def from_a_dataset():
    return rows().unbatch().shuffle(8).repeat().batch(2)


def from_a_loader():
    data = torch.utils.data.TensorDataset(X, Y)
    loader = torch.utils.data.DataLoader(data, batch_size=2, shuffle=True)
    while True:
        yield from (({"x": x}, y) for x, y in loader)


def from_numpy():
    while True:
        for chosen in np.array_split(np.random.permutation(8), 4):
            yield {"x": X[chosen]}, Y[chosen]


def from_python():
    while True:
        chosen = random.sample(range(8), 2)
        yield {"x": X[chosen]}, Y[chosen]


class TestTrainingDoesNotNoticeEvaluation:
    @pytest.mark.parametrize("input_fn", [from_a_dataset, from_numpy, from_python])
    def test_rows_and_dropout_are_those_of_a_run_without(self, tmp_path, input_fn):
        def evaluated_on():
            np.random.rand(5)
            random.random()
            return from_a_loader()

        results = []
        for name in ("with", "without"):
            np.random.seed(1)
            random.seed(1)
            model, seen = dropping(tmp_path / name)
            if name == "with":
                run(model, 20, input_fn, input_fn=evaluated_on, steps=3, exporters=None)
            else:
                model.train(input_fn, max_steps=20)
            weights = Checkpoint(model.latest_checkpoint()).model()
            results.append((seen, {key: value.tolist() for key, value in weights.items()}))
        assert results[0] == results[1]

    def test_a_training_of_another_model_inside_is_a_run_of_its_own(self, tmp_path):
        teacher = linear(tmp_path / "teacher")

        class Teach(torchest.CheckpointSaverListener):
            def after_save(self, session, global_step_value):
                teacher.train(rows)

        run(linear(tmp_path / "pupil"), max_steps=4, listeners=[Teach()])
        assert not is_unfinished(teacher.model_dir)
        assert teacher.latest_checkpoint().endswith("model.ckpt-8")  # twice the whole input

    def test_the_training_input_is_made_once(self, tmp_path):
        made = []

        def input_fn():
            made.append(1)
            return repeated()

        _, calls = run(linear(tmp_path, every=2), 10, input_fn)
        assert (len(calls), len(made)) == (5, 1)

    def test_models_and_files_of_old_checkpoints_are_let_go(self, tmp_path):
        alive = []

        class Count(torchest.SessionRunHook):
            def begin(self):
                gc.collect()
                models = sum(type(each) is RunningModel for each in gc.get_objects())
                opened = Path("/proc/self/fd")
                alive.append((models, len(list(opened.iterdir())) if opened.exists() else 0))

        run(linear(tmp_path, every=1), 12, exporters=None, hooks=[Count()])
        assert len(alive) == 12
        assert len(set(alive[1:])) == 1


def test_the_evaluated_step_is_that_of_the_weights_though_a_newer_checkpoint_comes(tmp_path):
    def model_fn(features, labels, mode):
        counter = torchest.get_or_create("counter", lambda: nn.Linear(1, 1, bias=False))
        weight = counter.weight.sum()
        if mode == torchest.ModeKeys.EVAL:
            metric = {"weight": torchest.metrics.mean(weight.reshape(1))}
            return torchest.EstimatorSpec(mode, loss=weight, eval_metric_ops=metric)

        def count():
            with torch.no_grad():
                counter.weight.add_(1)

        return torchest.EstimatorSpec(mode, loss=weight, train_op=count)

    config = torchest.RunConfig(save_checkpoints_steps=2, **QUIET)
    model = torchest.Estimator(model_fn, tmp_path, config)
    model.train(repeated, steps=1)
    start = model.get_variable_value("counter.weight").item() - 1
    newer = Checkpoint(model.latest_checkpoint())
    without_step = {key: newer.state[key] for key in ("aliases", "objects", "optimizers")}

    class Meanwhile(torchest.SessionRunHook):
        def begin(self):
            contents = Contents(model=newer.model(), state=without_step)
            write_checkpoint(tmp_path, 1000, lambda: contents, keep=1)

    result = model.evaluate(
        rows, hooks=[Meanwhile()], checkpoint_path=tmp_path / "model.ckpt-1", name="one"
    )
    assert (result["global_step"], result["weight"]) == (1, np.float32(start + 1))
    assert model.evaluate(rows)["global_step"] == 1000


class TestTheEndOfTraining:
    def test_breaks_an_evaluation_off_which_is_made_up_for(self, tmp_path, caplog):
        """As SIGTERM does, which asks for the end of training between two batches."""
        caplog.set_level(logging.INFO, "torchest")
        batches = []

        class Training(torchest.SessionRunHook):
            def after_create_session(self, session, coord):
                self.session = session

        training = Training()

        class Signal(torchest.SessionRunHook):
            def after_run(self, run_context, run_values):
                batches.append(training.session.global_step)
                training.session.request_stop()

        _, calls = run(linear(tmp_path), 10, train_hooks=[training], hooks=[Signal()])
        assert batches == [4, 4, 4, 4, 4]  # one, broken off; and all four, when training has ended
        assert f"{tmp_path}/model.ckpt-4 was interrupted: training is about to end" in caplog.text
        assert calls == [(4, True)]

    def test_a_checkpoint_that_is_saved_then_waits_for_it(self, tmp_path, caplog):
        caplog.set_level(logging.INFO, "torchest")
        run(linear(tmp_path, every=4), 10)
        assert f"{tmp_path}/model.ckpt-10 is not evaluated yet: training is about to end." in (
            caplog.text
        )


class TestWrongUse:
    def test_an_evaluation_input_that_never_ends_is_named_before_training(self, tmp_path):
        message = "EvalSpec: steps=None reads the input to its end, but the input_fn returns a Dataset that never ends"
        with pytest.raises(ValueError, match=message):
            run(linear(tmp_path), input_fn=repeated, steps=None)
        assert not list(tmp_path.glob("model.ckpt-*"))

    def test_so_does_evaluate(self, tmp_path):
        with pytest.raises(ValueError, match="evaluate: steps=None reads the input to its end"):
            linear(tmp_path).evaluate(repeated)

    @pytest.mark.parametrize("kind", ["dataset", "generator"])
    def test_the_look_at_the_evaluation_input_costs_no_call(self, tmp_path, kind):
        made = []

        def input_fn():
            made.append(1)
            return rows() if kind == "dataset" else iter(rows())

        _, calls = run(linear(tmp_path), input_fn=input_fn, steps=None)
        assert len(made) == len(calls) == 3

    def test_checkpoints_that_are_turned_off(self, tmp_path):
        config = torchest.RunConfig(save_checkpoints_steps=None, **QUIET)
        model = torchest.LinearRegressor([fc.numeric_column("x")], tmp_path, config=config)
        with pytest.raises(ValueError, match="evaluates checkpoints, but the estimator's config"):
            run(model)

    def test_a_saver_that_saves_elsewhere(self, tmp_path):
        saver = torchest.CheckpointSaverHook(tmp_path / "elsewhere", save_steps=2)
        with pytest.raises(
            ValueError, match=r"CheckpointSaverHook that saves to .*elsewhere' instead"
        ):
            run(linear(tmp_path / "model"), train_hooks=[saver])

    def test_two_exporters_of_one_name(self):
        with pytest.raises(ValueError, match="exporters has two of the name 'a'"):
            torchest.EvalSpec(rows, exporters=[Recorder("a"), Recorder("b"), Recorder("a")])

    def test_an_exporter_without_a_name(self):
        with pytest.raises(ValueError, match=r"an exporter .* has the name ''"):
            torchest.EvalSpec(rows, exporters=Recorder(""))

    def test_an_empty_evaluation_input(self, tmp_path):
        with pytest.raises(ValueError, match="there is nothing to evaluate"):
            run(linear(tmp_path), input_fn=lambda: rows().take(0))
