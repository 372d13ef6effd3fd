from __future__ import annotations

import inspect
import logging
import os
import threading

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

import torchest
from torchest import columns, inputs

QUIET = torchest.RunConfig(save_summary_steps=None, log_step_count_steps=None)


def toy_input_fn():
    """x = 0 ... 9 and y = 5 x + (0 ... 4), in batches of 2, repeated."""
    x = torch.arange(10.0)[:, None]
    return (
        inputs.Dataset.from_tensor_slices({"x": x, "y": 5 * x + torch.arange(5.0)})
        .repeat()
        .batch(2)
    )


def toy_model_fn(features, labels, mode):
    net = torchest.get_or_create("net", lambda: nn.Linear(1, 5))
    output = net(features["x"])
    if mode == torchest.ModeKeys.PREDICT:
        return torchest.EstimatorSpec(mode, predictions={"output": output, "x": features["x"]})
    loss = (output - features["y"]).abs().mean()
    if mode == torchest.ModeKeys.EVAL:
        mae = torchest.metrics.mean_absolute_error(features["y"], output)
        return torchest.EstimatorSpec(mode, loss=loss, eval_metric_ops={"mae": mae})
    optimizer = torchest.get_or_create("adam", lambda: torch.optim.Adam(net.parameters(), lr=0.1))
    return torchest.EstimatorSpec(mode, loss=loss, train_op=optimizer)


def scalars(directory):
    events = EventAccumulator(str(directory)).Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def checkpoints(model_dir):
    return sorted(
        int(name.split("-")[1]) for name in os.listdir(model_dir) if name.startswith("model.ckpt-")
    )


def first_rows(count=4):
    return lambda: toy_input_fn().take(count // 2)


class TestTraining:
    def test_a_model_fn_trains_as_a_plain_loop_does_bit_for_bit(self, tmp_path):
        torch.manual_seed(5)
        estimator = torchest.Estimator(toy_model_fn, tmp_path, QUIET).train(toy_input_fn, steps=10)

        torch.manual_seed(5)
        net = nn.Linear(1, 5)
        optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
        for batch, _ in zip(iter(toy_input_fn()), range(10), strict=False):
            optimizer.zero_grad()
            (net(batch["x"]) - batch["y"]).abs().mean().backward()
            optimizer.step()

        checkpoint = torchest.checkpoint.directory.Checkpoint(estimator.latest_checkpoint())
        assert checkpoint.global_step == 10
        assert torch.equal(checkpoint.model()["net.weight"], net.weight)
        assert torch.equal(checkpoint.model()["net.bias"], net.bias)

    def test_dropout_and_batch_norm_train_as_a_plain_loop_does_bit_for_bit(self, tmp_path):
        def make():
            return nn.Sequential(
                nn.Linear(1, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 5)
            )

        def model_fn(features, mode):
            net = torchest.get_or_create("net", make)
            loss = (net(features["x"]) - features["y"]).abs().mean()
            sgd = torchest.get_or_create("sgd", lambda: torch.optim.SGD(net.parameters(), lr=0.01))
            return torchest.EstimatorSpec(mode, loss=loss, train_op=sgd)

        torch.manual_seed(5)
        estimator = torchest.Estimator(model_fn, tmp_path, QUIET).train(toy_input_fn, steps=7)

        torch.manual_seed(5)
        net = make()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        for batch, _ in zip(iter(toy_input_fn()), range(7), strict=False):
            optimizer.zero_grad()
            (net(batch["x"]) - batch["y"]).abs().mean().backward()
            optimizer.step()
        for name, value in net.state_dict().items():
            assert np.array_equal(estimator.get_variable_value(f"net.{name}"), value.numpy())

    def test_no_more_is_read_than_is_trained_and_evaluated_on(self, tmp_path):
        read = []

        def input_fn():
            for number in range(100):
                read.append(number)
                yield {"x": torch.ones(2, 1), "y": torch.ones(2, 5)}

        model = torchest.Estimator(toy_model_fn, tmp_path, QUIET)
        model.train(input_fn, steps=3)
        model.train(input_fn, max_steps=7)
        model.evaluate(input_fn, steps=2)
        assert read == [0, 1, 2, 0, 1, 2, 3, 0, 1]

    def test_a_second_train_goes_on(self, tmp_path):
        torchest.Estimator(toy_model_fn, tmp_path, QUIET.replace(tf_random_seed=1)).train(
            toy_input_fn, steps=3
        )
        again = torchest.Estimator(toy_model_fn, tmp_path, QUIET)
        seen = []

        class Step(torchest.SessionRunHook):
            def before_run(self, run_context):
                return torchest.SessionRunArgs("global_step")

            def after_run(self, run_context, run_values):
                seen.append(run_values.results)

        again.train(toy_input_fn, steps=2, hooks=[Step()])
        assert seen == [3, 4]
        assert torchest.checkpoint.directory.Checkpoint(again.latest_checkpoint()).global_step == 5

    def test_max_steps_is_absolute(self, tmp_path, caplog):
        estimator = torchest.Estimator(toy_model_fn, tmp_path, QUIET)
        estimator.train(toy_input_fn, max_steps=3)
        estimator.train(toy_input_fn, max_steps=5)
        assert estimator.latest_checkpoint().endswith("model.ckpt-5")
        with caplog.at_level(logging.INFO, "torchest"):
            assert estimator.train(toy_input_fn, max_steps=5) is estimator
        assert "Skipping training since max_steps has already saved." in caplog.text
        assert f"No steps made: {tmp_path} is at step 5, max_steps=5." in caplog.text
        assert estimator.steps_made == 0
        assert estimator.train(toy_input_fn, steps=2).steps_made == 2
        assert "Calling model_fn." not in caplog.text

    def test_the_end_of_the_input_ends_training(self, tmp_path):
        torchest.Estimator(toy_model_fn, tmp_path, QUIET).train(first_rows(6), steps=100)
        assert checkpoints(tmp_path) == [0, 3]

    @pytest.mark.parametrize(
        ("keep", "expected"), [(5, [0, 10, 20, 25]), (2, [20, 25]), (1, [25]), (0, [0, 10, 20, 25])]
    )
    def test_when_checkpoints_are_written_and_kept(self, tmp_path, keep, expected):
        config = QUIET.replace(save_checkpoints_steps=10, keep_checkpoint_max=keep)
        torchest.Estimator(toy_model_fn, tmp_path, config).train(toy_input_fn, steps=25)
        assert checkpoints(tmp_path) == expected

    def test_steps_between_checkpoints_count_from_the_start_of_training(self, tmp_path):
        config = QUIET.replace(save_checkpoints_steps=10)
        estimator = torchest.Estimator(toy_model_fn, tmp_path, config)
        estimator.train(toy_input_fn, steps=5).train(toy_input_fn, steps=22)
        assert checkpoints(tmp_path) == [0, 5, 15, 25, 27]

    def test_without_checkpoints_nothing_is_saved(self, tmp_path):
        config = QUIET.replace(save_checkpoints_steps=None, save_checkpoints_secs=None)
        torchest.Estimator(toy_model_fn, tmp_path, config).train(toy_input_fn, steps=2)
        assert checkpoints(tmp_path) == []

    def test_listeners_are_called_around_every_checkpoint(self, tmp_path):
        calls = []

        class Listener(torchest.CheckpointSaverListener):
            def begin(self):
                calls.append("begin")

            def before_save(self, session, global_step_value):
                calls.append(("before", global_step_value))

            def after_save(self, session, global_step_value):
                calls.append(("after", global_step_value))
                return global_step_value == 4

            def end(self, session, global_step_value):
                calls.append(("end", global_step_value))

        config = QUIET.replace(save_checkpoints_steps=2)
        estimator = torchest.Estimator(toy_model_fn, tmp_path, config)
        estimator.train(toy_input_fn, steps=100, saving_listeners=[Listener()])
        around = [(when, step) for step in (0, 2, 4) for when in ("before", "after")]
        assert calls == ["begin", *around, ("end", 4)]

    def test_two_optimizers_share_one_backward(self, tmp_path):
        def model_fn(features, mode):
            net = torchest.get_or_create("net", lambda: nn.Linear(1, 5))
            loss = (net(features["x"]) - features["y"]).abs().mean()
            make = torch.optim.SGD
            weight = torchest.get_or_create("w", lambda: make([net.weight], lr=0.1))
            bias = torchest.get_or_create("b", lambda: make([net.bias], lr=0.0))
            return torchest.EstimatorSpec(mode, loss=loss, train_op=[weight, bias])

        estimator = torchest.Estimator(model_fn, tmp_path, QUIET).train(toy_input_fn, steps=3)
        read = [
            torchest.checkpoint.directory.Checkpoint(str(tmp_path / f"model.ckpt-{step}"))
            for step in (0, 3)
        ]
        assert torch.equal(read[0].tensor("net.bias"), read[1].tensor("net.bias"))
        assert not torch.equal(read[0].tensor("net.weight"), read[1].tensor("net.weight"))
        assert estimator.latest_checkpoint() == str(read[1].path)

    def test_a_train_op_may_be_a_function_that_does_its_own_backward(self, tmp_path):
        def model_fn(features, mode):
            net = torchest.get_or_create("net", lambda: nn.Linear(1, 5))
            loss = (net(features["x"]) - features["y"]).abs().mean()
            adam = torchest.get_or_create(
                "adam", lambda: torch.optim.Adam(net.parameters(), lr=0.1)
            )

            def train_op():
                adam.zero_grad()
                torchest.backward(loss)
                adam.step()

            return torchest.EstimatorSpec(mode, loss=loss, train_op=train_op)

        torch.manual_seed(1)
        own = torchest.Estimator(model_fn, tmp_path / "own", QUIET).train(toy_input_fn, steps=5)
        torch.manual_seed(1)
        plain = torchest.Estimator(toy_model_fn, tmp_path / "plain", QUIET).train(
            toy_input_fn, steps=5
        )
        assert np.array_equal(
            own.get_variable_value("net.weight"), plain.get_variable_value("net.weight")
        )

    def test_any_optimizer_trains_a_table(self, tmp_path):
        words = columns.categorical_column_with_vocabulary_list("word", ["a", "b"])
        model = torchest.LinearClassifier(
            [words], tmp_path, optimizer=torch.optim.Adam, config=QUIET
        )
        model.train(lambda: ({"word": ["a", "b"]}, [1, 0]), steps=5)
        weight = model.get_variable_value("linear.word.weight")
        assert weight[0, 0] > 0 > weight[1, 0]

    def test_nan_ends_training_and_is_not_saved(self, tmp_path, caplog):
        def input_fn():
            x = torch.tensor([[1.0], [2.0], [float("nan")], [4.0]])
            return inputs.Dataset.from_tensor_slices({"x": x, "y": x.expand(4, 5)}).batch(1)

        config = QUIET.replace(save_checkpoints_steps=1)
        estimator = torchest.Estimator(toy_model_fn, tmp_path, config)
        with pytest.raises(
            torchest.NanLossDuringTrainingError, match=r"NaN loss during training\."
        ):
            estimator.train(input_fn)
        assert "Model diverged with loss = NaN." in caplog.text
        assert checkpoints(tmp_path) == [0, 1, 2]

    def test_summaries_and_speed_are_written_when_due(self, tmp_path):
        config = torchest.RunConfig(save_summary_steps=10, log_step_count_steps=20)
        torchest.Estimator(toy_model_fn, tmp_path, config).train(toy_input_fn, steps=45)
        written = scalars(tmp_path)
        assert [step for step, _ in written["loss"]] == [1, 11, 21, 31, 41]
        assert [step for step, _ in written["global_step/sec"]] == [21, 41]

    def test_what_is_logged(self, tmp_path, caplog):
        config = torchest.RunConfig(log_step_count_steps=2)
        with caplog.at_level(logging.INFO, "torchest"):
            estimator = torchest.Estimator(toy_model_fn, tmp_path, config)
            estimator.train(toy_input_fn, steps=3)
            loss = estimator.evaluate(first_rows(), steps=2)["loss"]
        lines = [record.getMessage() for record in caplog.records]
        expected = [
            "Using config: RunConfig(", "Calling model_fn.", "Done calling model_fn.",
            "Create CheckpointSaverHook.",
            "Calling checkpoint listeners before saving checkpoint 0...",
            f"Saving checkpoints for 0 into {tmp_path}/model.ckpt.",
            "Calling checkpoint listeners after saving checkpoint 0...",
            "loss = ", "global_step/sec: ", "loss = ",
            "Calling checkpoint listeners before saving checkpoint 3...",
            f"Saving checkpoints for 3 into {tmp_path}/model.ckpt.",
            "Calling checkpoint listeners after saving checkpoint 3...",
            "Loss for final step: ", "Calling model_fn.", "Done calling model_fn.",
            f"Restoring parameters from {tmp_path}/model.ckpt-3", "Starting evaluation at ",
            "Evaluation [1/2]", "Evaluation [2/2]", "Inference Time : ", "Finished evaluation at ",
            f"Saving dict for global step 3: global_step = 3, loss = {loss!s}, mae = ",
            "Saving 'checkpoint_path' summary for global step 3: ",
        ]  # fmt: skip
        assert len(lines) == len(expected), lines
        for line, start in zip(lines, expected, strict=True):
            assert line.startswith(start)
        assert lines[7].endswith(", step = 0")
        assert ", step = 2 (" in lines[9]


class TestEvaluation:
    def test_the_loss_is_the_mean_over_batches(self, tmp_path):
        def input_fn():
            x = torch.tensor([[1.0], [2.0], [3.0], [9.0]])
            return inputs.Dataset.from_tensor_slices({"x": x, "y": torch.zeros(4, 5)}).batch(3)

        def model_fn(features, mode):
            torchest.get_or_create("net", nn.Identity)
            loss = features["x"].square().mean()
            mean = torchest.metrics.mean(features["x"].square())
            return torchest.EstimatorSpec(mode, loss=loss, eval_metric_ops={"average": mean})

        results = torchest.Estimator(model_fn, tmp_path, QUIET).evaluate(input_fn)
        assert results["loss"] == pytest.approx(((1 + 4 + 9) / 3 + 81) / 2)
        assert results["average"] == pytest.approx((1 + 4 + 9 + 81) / 4)

    def test_results_are_sorted_numpy_scalars_with_the_step_last(self, tmp_path):
        estimator = torchest.Estimator(toy_model_fn, tmp_path, QUIET).train(toy_input_fn, steps=2)
        results = estimator.evaluate(first_rows())
        assert list(results) == ["loss", "mae", "global_step"]
        assert [type(value) for value in results.values()] == [np.float32, np.float32, np.int64]
        assert results["global_step"] == 2
        assert results == estimator.evaluate(first_rows())

    def test_an_older_checkpoint_can_be_evaluated(self, tmp_path):
        estimator = torchest.Estimator(toy_model_fn, tmp_path, QUIET).train(toy_input_fn, steps=2)
        older = estimator.evaluate(first_rows(), checkpoint_path=tmp_path / "model.ckpt-0")
        assert older["global_step"] == 0
        assert older["loss"] > estimator.evaluate(first_rows())["loss"]

    def test_metrics_are_written_for_each_name(self, tmp_path):
        estimator = torchest.Estimator(toy_model_fn, tmp_path, QUIET).train(toy_input_fn, steps=2)
        results = estimator.evaluate(first_rows())
        estimator.evaluate(first_rows(), name="other")
        for directory in ("eval", "eval_other"):
            written = scalars(tmp_path / directory)
            assert set(written) == {"loss", "mae"}
            assert written["mae"] == [(2, pytest.approx(results["mae"]))]

    def test_without_a_checkpoint_one_warning_and_the_initial_weights(self, tmp_path, caplog):
        estimator = torchest.Estimator(toy_model_fn, tmp_path, QUIET)
        first = estimator.evaluate(first_rows())
        assert estimator.evaluate(first_rows()) == first
        assert first["global_step"] == 0
        assert next(estimator.predict(first_rows()))["output"].shape == (5,)
        warnings = [record for record in caplog.records if record.levelname == "WARNING"]
        assert [record.getMessage() for record in warnings] == [
            f"Could not find trained model in model_dir: {tmp_path}, running initialization to evaluate."
        ]

    def test_hooks_are_called(self, tmp_path):
        calls = []

        class Count(torchest.SessionRunHook):
            def after_run(self, run_context, run_values):
                calls.append(float(run_context.session.run("mae")))

        torchest.Estimator(toy_model_fn, tmp_path, QUIET).evaluate(
            toy_input_fn, steps=2, hooks=[Count()]
        )
        assert len(calls) == 2


class TestPrediction:
    def test_one_dict_per_example_in_order(self, tmp_path):
        estimator = torchest.Estimator(toy_model_fn, tmp_path, QUIET).train(toy_input_fn, steps=2)
        predictions = list(estimator.predict(first_rows(6)))
        assert [float(prediction["x"][0]) for prediction in predictions] == [0, 1, 2, 3, 4, 5]
        weight, bias = (estimator.get_variable_value(f"net.{name}") for name in ("weight", "bias"))
        np.testing.assert_allclose(predictions[3]["output"], weight[:, 0] * 3 + bias, rtol=1e-6)

    def test_whole_batches(self, tmp_path):
        estimator = torchest.Estimator(toy_model_fn, tmp_path, QUIET).train(toy_input_fn, steps=2)
        batches = list(estimator.predict(first_rows(6), yield_single_examples=False))
        assert [batch["output"].shape for batch in batches] == [(2, 5)] * 3

    def test_keys_can_be_chosen(self, tmp_path):
        estimator = torchest.Estimator(toy_model_fn, tmp_path, QUIET).train(toy_input_fn, steps=2)
        assert list(next(estimator.predict(first_rows(), predict_keys=["x"]))) == ["x"]
        assert list(next(estimator.predict(first_rows(), predict_keys="x"))) == ["x"]
        with pytest.raises(
            ValueError,
            match=r"predict_keys has 'outptu', which is not a prediction. Did you mean 'output'",
        ):
            next(estimator.predict(first_rows(), predict_keys=["outptu"]))

    def test_no_keys_are_all_keys(self, tmp_path):
        model = torchest.Estimator(toy_model_fn, tmp_path)
        assert set(next(model.predict(toy_input_fn, predict_keys=[]))) == {"output", "x"}

    def test_nothing_happens_before_the_first_result_is_asked_for(self, tmp_path):
        def broken():
            raise RuntimeError("asked for input")

        predictions = torchest.Estimator(toy_model_fn, tmp_path, QUIET).predict(broken)
        with pytest.raises(RuntimeError, match="asked for input"):
            next(predictions)

    def test_an_empty_input_gives_nothing(self, tmp_path):
        estimator = torchest.Estimator(toy_model_fn, tmp_path, QUIET).train(toy_input_fn, steps=2)
        assert list(estimator.predict(lambda: toy_input_fn().take(0))) == []

    def test_unequal_numbers_of_rows_are_refused_by_name(self, tmp_path):
        def model_fn(features, mode):
            torchest.get_or_create("net", nn.Identity)
            x = features["x"]
            return torchest.EstimatorSpec(mode, predictions={"a": x, "b": x[:1]})

        estimator = torchest.Estimator(model_fn, tmp_path, QUIET)
        with pytest.raises(ValueError, match=r"they have these numbers of rows: 'a': 2, 'b': 1\."):
            next(estimator.predict(first_rows()))
        assert len(next(estimator.predict(first_rows(), yield_single_examples=False))["a"]) == 2

    def test_the_checkpoint_is_read_once_and_training_is_seen_at_once(self, tmp_path, monkeypatch):
        estimator = torchest.Estimator(toy_model_fn, tmp_path, QUIET).train(toy_input_fn, steps=2)
        reads = []
        original = torchest.checkpoint.directory.Checkpoint.model
        monkeypatch.setattr(
            torchest.checkpoint.directory.Checkpoint,
            "model",
            lambda self: (reads.append(os.path.basename(self.path)), original(self))[1],
        )
        before = next(estimator.predict(first_rows()))["output"]
        for _ in range(20):
            assert np.array_equal(next(estimator.predict(first_rows()))["output"], before)
        assert reads == ["model.ckpt-2"]
        estimator.train(toy_input_fn, steps=5)
        assert not np.array_equal(next(estimator.predict(first_rows()))["output"], before)

    def test_generators_in_turn_and_threads_give_each_their_own(self, tmp_path):
        estimator = torchest.Estimator(toy_model_fn, tmp_path, QUIET).train(toy_input_fn, steps=2)
        expected = [row["output"].tolist() for row in estimator.predict(first_rows(6))]
        one, other = estimator.predict(first_rows(6)), estimator.predict(first_rows(6))
        for row in expected:
            assert next(one)["output"].tolist() == next(other)["output"].tolist() == row

        results = {}

        def work(number):
            results[number] = [row["output"].tolist() for row in estimator.predict(first_rows(6))]

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(results[number] == expected for number in range(8))

    def test_the_callers_state_is_left_alone(self, tmp_path):
        estimator = torchest.Estimator(toy_model_fn, tmp_path, QUIET).train(toy_input_fn, steps=2)
        random_state = torch.get_rng_state()
        predictions = estimator.predict(first_rows())
        next(predictions)
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
        assert torch.equal(torch.get_rng_state(), random_state)


class TestWhatTheEstimatorTells:
    def test_params_are_copied(self, tmp_path):
        def model_fn(features, mode, params):
            raise NotImplementedError

        params = {"width": [1]}
        estimator = torchest.Estimator(model_fn, tmp_path, params=params)
        params["width"].append(2)
        assert estimator.params == {"width": [1]}
        estimator.params["width"].append(3)
        assert estimator.params == {"width": [1]}

    def test_model_dir_is_that_of_the_config_or_temporary(self, tmp_path, caplog):
        config = torchest.RunConfig(model_dir=str(tmp_path))
        assert torchest.Estimator(toy_model_fn, config=config).model_dir == str(tmp_path)
        made = torchest.Estimator(toy_model_fn).model_dir
        assert os.path.isdir(made)
        assert f"Using temporary folder as model directory: {made}" in caplog.text
        with pytest.raises(ValueError, match="differ: give one of them"):
            torchest.Estimator(toy_model_fn, "elsewhere", config)

    def test_a_model_dir_that_is_no_path(self):
        with pytest.raises(ValueError, match="model_dir=3 must be a path, such as"):
            torchest.Estimator(toy_model_fn, model_dir=3)

    def test_constructing_writes_nothing(self, tmp_path):
        torchest.Estimator(toy_model_fn, tmp_path / "new")
        assert not (tmp_path / "new").exists()

    def test_variables_of_the_newest_checkpoint(self, tmp_path):
        estimator = torchest.Estimator(toy_model_fn, tmp_path, QUIET)
        with pytest.raises(ValueError, match="has no checkpoint yet: call train first"):
            estimator.get_variable_names()
        estimator.train(toy_input_fn, steps=1)
        assert estimator.get_variable_names() == [
            "adam.net.bias.exp_avg", "adam.net.bias.exp_avg_sq", "adam.net.bias.step",
            "adam.net.weight.exp_avg", "adam.net.weight.exp_avg_sq", "adam.net.weight.step",
            "global_step", "net.bias", "net.weight",
        ]  # fmt: skip
        assert estimator.get_variable_value("net.weight").shape == (5, 1)
        assert estimator.get_variable_value("global_step") == 1
        with pytest.raises(
            ValueError,
            match=r"name='net\.weigth' is not a variable of the checkpoint\. Did you mean 'net\.weight'",
        ):
            estimator.get_variable_value("net.weigth")

    @pytest.mark.parametrize(
        ("predictions", "message"),
        [
            (
                lambda x: x.sum(),
                r"predictions=3\.0 is a single value, .* one row per example: leave out the mean or sum",
            ),
            (lambda x: x.sum().numpy(), r"predictions=3\.0 is a single value"),
            (lambda x: {"x": x, "sum": x.sum()}, r"predictions\['sum'\]=3\.0 is a single value"),
            (lambda x: {"sum": x.sum(0), "x": x}, r"numbers of rows: 'sum': 1, 'x': 2"),
            (lambda x: {"x": x, "sum": np.array("3", object)}, r"predictions\['sum'\]=b?'3' is a"),
        ],
        ids=["tensor", "numpy", "dict", "rows", "text"],
    )
    def test_predictions_without_rows_say_so(self, tmp_path, predictions, message):
        def model_fn(features, mode):
            return torchest.EstimatorSpec(mode, predictions=predictions(features["x"]))

        estimator = torchest.Estimator(model_fn, tmp_path, QUIET)
        batch = {"x": torch.tensor([[1.0], [2.0]])}
        with pytest.raises(ValueError, match=message):
            next(estimator.predict(lambda: batch))
        whole = next(estimator.predict(lambda: batch, yield_single_examples=False))
        total = np.asarray(whole["sum"] if isinstance(whole, dict) else whole)
        assert float(total.item()) == 3

    def test_model_fn_is_a_function_of_four_arguments_with_params_bound(self, tmp_path):
        calls = []

        def model_fn(features, labels, mode, params, config):
            calls.append((mode, dict(params), config.save_summary_steps))
            return toy_model_fn({"x": features["x"], "y": labels}, None, mode)

        estimator = torchest.Estimator(model_fn, tmp_path / "inner", QUIET, params={"a": 1})
        names = list(inspect.signature(estimator.model_fn).parameters)
        assert names == ["features", "labels", "mode", "config"]

        def around(features, labels, mode, config):
            return estimator.model_fn(features, labels, mode, config)

        other = torchest.Estimator(around, tmp_path / "outer", QUIET.replace(save_summary_steps=7))
        other.train(lambda: ({"x": torch.ones(2, 1)}, torch.ones(2, 5)), steps=1)
        assert calls[0] == ("train", {"a": 1}, 7)
        inner = torchest.Estimator(toy_model_fn, tmp_path / "plain", QUIET)
        wrapped = torchest.Estimator(inner.model_fn, tmp_path / "wrapped", QUIET)
        wrapped.train(toy_input_fn, steps=1)
        assert wrapped.evaluate(toy_input_fn, steps=1)["global_step"] == 1

    @pytest.mark.parametrize(
        ("mode", "config", "message"),
        [
            ("trian", None, r"mode='trian' is not known. Did you mean 'train'"),
            (None, None, r"mode=None must be 'train' or 'eval' or 'infer'"),
            ("train", "config", r"config='config' must be a torchest.RunConfig"),
        ],
    )
    def test_model_fn_names_its_wrong_arguments(self, tmp_path, mode, config, message):
        estimator = torchest.Estimator(toy_model_fn, tmp_path, QUIET)
        with pytest.raises(ValueError, match=message):
            estimator.model_fn({}, None, mode, config)

    def test_export_savedmodel_is_the_deprecated_name_of_export_saved_model(self, tmp_path):
        estimator = torchest.Estimator(toy_model_fn, tmp_path / "model", QUIET)
        with (
            pytest.warns(DeprecationWarning, match="use export_saved_model"),
            pytest.raises(ValueError, match="no checkpoint"),
        ):
            estimator.export_savedmodel(tmp_path / "exports", lambda: None)


def linear(model_dir, *feature_columns, **arguments):
    feature_columns = feature_columns or (columns.numeric_column("age"),)
    return torchest.LinearClassifier(list(feature_columns), model_dir, config=QUIET, **arguments)


class TestWrongUse:
    """One sentence: the argument, the value, what was expected, the way out."""

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"steps": 5, "max_steps": 5}, "steps=5 and max_steps=5 cannot both be given"),
            ({"steps": 0}, "steps=0 must be a whole number of at least 1. None sets no limit"),
            ({"steps": "10"}, "steps='10' must be a whole number"),
            ({"max_steps": 2.5}, r"max_steps=2\.5 must be a whole number"),
            (
                {"max_steps": -1},
                "max_steps=-1 must be a whole number of at least 1. None sets no limit",
            ),
        ],
    )
    def test_steps(self, tmp_path, given, message):
        with pytest.raises(ValueError, match=message):
            torchest.Estimator(toy_model_fn, tmp_path).train(toy_input_fn, **given)

    @pytest.mark.parametrize(
        ("hooks", "message"),
        [
            ("hook", "hooks='hook' must be a list"),
            (torchest.SessionRunHook(), "hooks=.* must be a list"),
            (
                [print],
                "hooks has <built-in function print>, but every item must be a SessionRunHook",
            ),
            ([torchest.SessionRunHook], r"or of a subclass of it: write SessionRunHook\(\.\.\.\)"),
        ],
    )
    def test_hooks(self, tmp_path, hooks, message):
        model = torchest.Estimator(toy_model_fn, tmp_path, QUIET)
        with pytest.raises(TypeError, match=message):
            model.train(toy_input_fn, hooks=hooks, steps=1)
        with pytest.raises(TypeError, match=message):
            model.evaluate(toy_input_fn, hooks=hooks, steps=1)
        with pytest.raises(TypeError, match=message):
            next(model.predict(toy_input_fn, hooks=hooks))

    def test_saving_listeners(self, tmp_path):
        model = torchest.Estimator(toy_model_fn, tmp_path, QUIET)
        with pytest.raises(TypeError, match="saving_listeners has 'x', but every item must be"):
            model.train(toy_input_fn, saving_listeners=["x"], steps=1)

    def test_hooks_of_a_model_fn(self, tmp_path):
        def model_fn(features, labels, mode):
            return toy_model_fn(features, labels, mode)._replace(training_hooks=("x",))

        with pytest.raises(TypeError, match="training_hooks has 'x', but every item must be"):
            torchest.Estimator(model_fn, tmp_path, QUIET).train(toy_input_fn, steps=1)

    @pytest.mark.parametrize("n_classes", [0, 1, "2", 2.5])
    def test_the_number_of_classes(self, n_classes):
        with pytest.raises(ValueError, match=f"n_classes={n_classes!r} must be .* at least 2"):
            torchest.LinearClassifier([columns.numeric_column("x")], n_classes=n_classes)

    def test_one_batch_without_rows(self, tmp_path):
        model = torchest.LinearClassifier([columns.numeric_column("x")], tmp_path)
        with pytest.raises(ValueError, match="The input is empty"):
            model.train(lambda: ({"x": np.zeros(0)}, np.zeros(0)), steps=1)

    def test_a_misspelt_feature(self, tmp_path):
        with pytest.raises(
            ValueError,
            match=r"Column 'age' reads the feature 'age', which is not there\. Did you mean 'agee'\? There are: ",
        ):
            linear(tmp_path).train(lambda: ({"agee": [1.0], "fare": [1.0]}, [1]), steps=1)
        assert checkpoints(tmp_path) == []

    @pytest.mark.parametrize(("n_classes", "label"), [(2, 2), (2, -1), (3, 3), (3, -1)])
    def test_a_label_out_of_range(self, tmp_path, n_classes, label):
        with pytest.raises(ValueError, match=f"(?s)label.*{label}.*|{n_classes}.*{label}"):
            linear(tmp_path, n_classes=n_classes).train(
                lambda: ({"age": [1.0, 2.0]}, [1, label]), steps=1
            )
        assert checkpoints(tmp_path) == []

    def test_nan_in_a_numeric_column(self, tmp_path):
        with pytest.raises(ValueError, match=r"(?s)'age'.*NaN|'age'.*missing"):
            linear(tmp_path).train(lambda: ({"age": [1.0, float("nan")]}, [1, 0]), steps=1)
        assert checkpoints(tmp_path) == []

    @pytest.mark.parametrize("method", ["train", "evaluate"])
    def test_an_empty_input(self, tmp_path, method):
        estimator = torchest.Estimator(toy_model_fn, tmp_path)
        with pytest.raises(ValueError, match="The input is empty: the input_fn returned no batch"):
            getattr(estimator, method)(lambda: toy_input_fn().take(0))
        assert not os.listdir(tmp_path)

    def test_a_model_dir_that_holds_another_model(self, tmp_path):
        data = {"age": [1.0], "fare": [2.0], "town": ["x"]}
        age, fare = (columns.numeric_column(key) for key in ("age", "fare"))
        town = columns.categorical_column_with_hash_bucket("town", 4)
        linear(tmp_path, age, town).train(lambda: (data, [1]), steps=1)
        larger = columns.categorical_column_with_hash_bucket("town", 5)
        for method in ("train", "evaluate"):
            with pytest.raises(torchest.CheckpointMismatchError) as raised:
                getattr(linear(tmp_path, fare, larger), method)(lambda: (data, [1]), steps=1)
            message = str(raised.value)
            assert "missing from the checkpoint: linear.fare.weight" in message
            assert "only in the checkpoint: linear.age.weight" in message
            assert "linear.town.weight ([4, 1] in the checkpoint, [5, 1] in the model)" in message
        assert checkpoints(tmp_path) == [0, 1]

    @pytest.mark.parametrize(
        ("model_fn", "error", "message"),
        [
            (
                5,
                TypeError,
                r"model_fn=5 must be a function of \(features, labels, mode, params, config\)",
            ),
            (lambda labels: None, ValueError, "model_fn must take 'features'; it takes"),
            (
                lambda features, extra: None,
                ValueError,
                "model_fn takes 'extra': its arguments can be",
            ),
        ],
    )
    def test_a_model_fn_with_other_arguments(self, tmp_path, model_fn, error, message):
        with pytest.raises(error, match=message):
            torchest.Estimator(model_fn, tmp_path)

    def test_a_model_fn_that_returns_something_else(self, tmp_path):
        with pytest.raises(
            TypeError, match=r"model_fn returned a dict, not a torchest\.EstimatorSpec"
        ):
            torchest.Estimator(lambda features: {}, tmp_path).train(toy_input_fn, steps=1)

    def test_params_that_nobody_takes(self, tmp_path):
        with pytest.raises(ValueError, match="model_fn takes no 'params'"):
            torchest.Estimator(toy_model_fn, tmp_path, params={"a": 1})

    def test_labels_that_nobody_takes(self, tmp_path):
        with pytest.raises(ValueError, match="gives labels, but model_fn takes no 'labels'"):
            torchest.Estimator(lambda features: None, tmp_path).train(
                lambda: ({"x": [1.0]}, [1]), steps=1
            )

    def test_a_checkpoint_path_that_is_none(self, tmp_path):
        estimator = torchest.Estimator(toy_model_fn, tmp_path)
        with pytest.raises(
            ValueError, match=r"'nowhere' is not a checkpoint: it has no state\.json"
        ):
            estimator.evaluate(toy_input_fn, steps=1, checkpoint_path="nowhere")

    def test_columns_that_are_none(self, tmp_path):
        with pytest.raises(
            ValueError, match=r"feature_columns has 'age' \(str\): every item must be a column"
        ):
            torchest.LinearClassifier(["age"], tmp_path)
        with pytest.raises(ValueError, match="feature_columns is empty"):
            torchest.LinearClassifier([], tmp_path)
        age = columns.numeric_column("age")
        with pytest.raises(ValueError, match="feature_columns has two columns with the name 'age'"):
            torchest.LinearClassifier([age, age], tmp_path)
