"""What hooks write for TensorBoard, read back by TensorBoard's own reader."""

from __future__ import annotations

import math
import re

import pytest
import torch
from reference_hooks import estimator, input_fn
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils import tensorboard

import torchest
from torchest import columns
from torchest.engine.hooks import Session
from torchest.engine.loop import run_steps
from torchest.engine.object_state import ObjectState
from torchest.engine.scope import Scope
from torchest.optimizers import Adagrad
from torchest.summary import SummaryWriter

SILENT = torchest.RunConfig(save_summary_steps=None, log_step_count_steps=None)


def read(directory):
    sizes = {"scalars": 0, "tensors": 0, "histograms": 0}
    return EventAccumulator(str(directory), size_guidance=sizes).Reload()


def scalars(directory, tag):
    return [(event.step, event.value) for event in read(directory).Scalars(tag)]


def words_input_fn():
    return {"word": ["a", "a", "b"]}, [1.0, 2.0, 3.0]


def regressor(directory, **arguments):
    words = columns.categorical_column_with_vocabulary_list("word", ["a", "b", "c"])
    return torchest.DNNRegressor(
        [4], [columns.embedding_column(words, 5)], directory, config=SILENT, **arguments
    )


def test_scalars_histograms_of_weights_and_of_embeddings_and_the_gradient_norm(tmp_path):
    model = regressor(tmp_path, optimizer=lambda parameters: Adagrad(parameters, lr=0.5))
    names = model.train(words_input_fn, steps=1).get_variable_names()
    (table,) = [name for name in names if name.endswith("word.weight") and "optim" not in name]
    (kernel,) = [
        name
        for name in names
        if name.startswith("dnn.") and "0" in name and name.endswith("weight")
    ]
    hook = torchest.SummarySaverHook(
        save_steps=2,
        output_dir=tmp_path,
        summary_op={
            "rate": "learning_rate", "length": "gradient_norm", "words": table, "weights": kernel
        },
    )  # fmt: skip
    model.train(words_input_fn, hooks=[hook], steps=3)
    assert scalars(tmp_path, "rate") == [(2, 0.5), (4, 0.5)]
    assert all(math.isfinite(value) and value > 0 for _, value in scalars(tmp_path, "length"))
    actual = read(tmp_path)
    assert [event.step for event in actual.Histograms("words")] == [2, 4]
    value = actual.Histograms("words")[-1].histogram_value
    weights = torch.from_numpy(model.get_variable_value(table)).double()
    assert value.num == 15
    assert (value.min, value.max) == (float(weights.min()), float(weights.max()))
    assert value.sum == pytest.approx(float(weights.sum()), rel=1e-6)
    assert actual.Histograms("weights")[0].histogram_value.num == 20


def test_torchs_own_writer_may_be_given(tmp_path):
    with tensorboard.SummaryWriter(str(tmp_path / "events")) as writer:
        hooks = [
            torchest.SummarySaverHook(2, summary_writer=writer, summary_op={"l": "loss"}),
            torchest.StepCounterHook(2, summary_writer=writer),
        ]
        estimator(tmp_path / "model").train(input_fn, hooks, steps=4)
    assert scalars(tmp_path / "events", "l") == [(1, 10.0), (3, 12.0)]
    assert [step for step, _ in scalars(tmp_path / "events", "global_step/sec")] == [3]


def test_summaries_in_an_evaluation(tmp_path):
    model = estimator(tmp_path).train(input_fn, steps=2)
    hook = torchest.SummarySaverHook(
        save_secs=0, output_dir=tmp_path / "events", summary_op={"mean": "mean_label"}
    )
    model.evaluate(input_fn, steps=1, hooks=[hook])
    assert [value for _, value in scalars(tmp_path / "events", "mean")] == [10.0]


def test_a_hook_may_be_used_again_for_another_model(tmp_path):
    hook = torchest.SummarySaverHook(2, output_dir=tmp_path / "events", summary_op={"l": "loss"})
    estimator(tmp_path / "a").train(input_fn, [hook], steps=9)
    estimator(tmp_path / "b").train(input_fn, [hook], steps=3)
    steps = [step for step, _ in scalars(tmp_path / "events", "l")]
    assert steps == [1, 3, 5, 7, 9, 1, 3]


def test_what_was_measured_is_written_also_after_an_error(tmp_path):
    class Fail(torchest.SessionRunHook):
        def after_run(self, run_context, run_values):
            if run_context.session.global_step == 3:
                raise ValueError("broken")

    hook = torchest.SummarySaverHook(1, output_dir=tmp_path / "events")
    with pytest.raises(ValueError, match="broken"):
        estimator(tmp_path / "model").train(input_fn, [hook, Fail()], steps=5)
    assert [step for step, _ in scalars(tmp_path / "events", "loss")] == [1, 2, 3]


def test_a_run_that_goes_on_from_an_older_checkpoint_shows_each_step_once(tmp_path):
    config = {"save_checkpoints_steps": 4, "save_summary_steps": 1}

    class Kill(torchest.SessionRunHook):
        def after_run(self, run_context, run_values):
            if run_context.session.global_step == 6:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        estimator(tmp_path, **config).train(input_fn, [Kill()], steps=9)
    estimator(tmp_path, **config).train(input_fn, steps=3)
    assert [step for step, _ in scalars(tmp_path, "loss")] == [1, 2, 3, 4, 5, 6, 7]


def test_the_text_of_the_config_is_written(tmp_path):
    estimator(tmp_path, save_summary_steps=100, tf_random_seed=7).train(input_fn, steps=1)
    (event,) = read(tmp_path).Tensors("config/text_summary")
    text = event.tensor_proto.string_val[0].decode()
    assert "| tf_random_seed | `7` |" in text
    assert f"| model_dir | `'{tmp_path}'` |" in text
    assert text.startswith("| RunConfig | |\n|---|---|\n")


def test_evaluations_of_classifiers_have_their_precision_recall_curve(tmp_path):
    x = columns.numeric_column("x")
    model = torchest.LinearClassifier([x], tmp_path, config=SILENT)

    def binary_input_fn():
        return {"x": [1.0, 2.0, 3.0, 4.0]}, [0, 1, 0, 1]

    model.train(binary_input_fn, steps=3)
    for _ in range(2):
        metrics = model.evaluate(binary_input_fn, steps=1)
    actual = read(tmp_path / "eval")
    first, _ = actual.Tensors("auc_precision_recall/curve")
    assert first.step == 3
    assert [dim.size for dim in first.tensor_proto.tensor_shape.dim] == [6, 200]
    assert scalars(tmp_path / "eval", "auc") == [(3, metrics["auc"])] * 2


def test_many_evaluations_and_trainings_leave_one_file_each(tmp_path):
    model = estimator(tmp_path).train(input_fn, steps=1)
    for _ in range(20):
        model.evaluate(input_fn, steps=1)
    assert len(list((tmp_path / "eval").glob("events*"))) == 1
    for _ in range(5):
        estimator(tmp_path, save_summary_steps=1).train(input_fn, steps=1)
    assert len(list(tmp_path.glob("events*"))) == 1


def test_where_to_write_is_needed_once():
    with pytest.raises(ValueError, match="give output_dir or summary_writer"):
        torchest.SummarySaverHook(1)
    with pytest.raises(ValueError, match="cannot both be given"):
        torchest.SummarySaverHook(1, output_dir="x", summary_writer=SummaryWriter("y"))


def test_the_line_of_progress_says_how_fast_it_is_and_how_long_it_takes(caplog, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("torchest.engine.loop.time.perf_counter", lambda: now[0])
    scope = Scope(torch.device("cpu"), training=True)
    session = Session(ObjectState(scope), 0, last_step=12)

    def batches():
        while True:
            now[0] += 0.2  # of the 0.5 seconds that a step takes
            yield None

    def step(batch):
        now[0] += 0.3
        session.global_step += 1
        session.examples += 8

    hook = torchest.StepCounterHook(every_n_steps=4)
    hook._timer = torchest.SecondOrStepTimer(every_steps=4, clock=lambda: now[0])
    with caplog.at_level("INFO", "torchest"):
        list(run_steps(batches(), step, session, [hook, torchest.StopAtStepHook(10)]))
    assert caplog.messages == [
        "global_step/sec: 2 (16 examples/sec, 40% of the time waiting for input, 0:00:04 to go)",
        "global_step/sec: 2 (16 examples/sec, 40% of the time waiting for input, 0:00:02 to go)",
    ]


def test_training_tells_how_fast_it_is(tmp_path, caplog):
    with caplog.at_level("INFO", "torchest"):
        estimator(tmp_path, log_step_count_steps=2).train(input_fn, steps=5)
    (line, _) = [message for message in caplog.messages if "global_step/sec" in message]
    assert re.fullmatch(
        r"global_step/sec: [\d.e+]+ \(\d+ examples/sec, \d+% of the time waiting for input, 0:00:00 to go\)",
        line,
    )


def test_a_process_that_is_not_the_chief_writes_nothing(tmp_path):
    class Worker(torchest.SessionRunHook):
        def after_create_session(self, session, coord):
            session.is_chief = False

    hooks = [
        Worker(),
        torchest.SummarySaverHook(1, output_dir=tmp_path / "events"),
        torchest.ProfilerHook(1, output_dir=tmp_path / "traces"),
    ]
    estimator(tmp_path / "model").train(input_fn, hooks, steps=3)
    assert not (tmp_path / "events").exists()
    assert not list((tmp_path / "traces").iterdir())
