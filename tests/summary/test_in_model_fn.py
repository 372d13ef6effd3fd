"""Summaries in a model_fn, as TensorBoard's own reader finds them."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import torchest
from torchest import summary
from torchest.summary.in_model_fn import collecting
from torchest.summary.png import png

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROWS = {"x": np.arange(1, 9, dtype=np.float32)}, np.zeros(8, np.float32)
PICTURES = np.random.default_rng(0).integers(0, 256, (4, 3, 5, 3), np.uint8)


def model_fn(features: Any, labels: Any, mode: str) -> torchest.EstimatorSpec:
    net = torchest.get_or_create("net", lambda: torch.nn.Linear(1, 1))
    sgd = torchest.get_or_create("sgd", lambda: torch.optim.SGD(net.parameters(), 0.01))
    output = net(features["x"][:, None]).squeeze(1)
    summary.scalar("first_x", features["x"][0])
    summary.scalar("twice", 1.0)
    summary.scalar("twice", np.float32(2.0))
    summary.histogram("weight", net.weight)
    summary.text("mode", f"in **{mode}**")
    summary.image("pictures", torch.from_numpy(PICTURES), max_outputs=2)
    if mode == torchest.ModeKeys.PREDICT:
        return torchest.EstimatorSpec(mode, output)
    loss = (output - labels).square().mean()
    return torchest.EstimatorSpec(mode, output, loss, sgd)


def input_fn() -> torchest.inputs.Dataset:
    return torchest.inputs.Dataset.from_tensor_slices(ROWS).batch(1)


def estimator(directory: Path, **options: Any) -> torchest.Estimator:
    return torchest.Estimator(model_fn, str(directory), torchest.RunConfig(**options))


def events(directory: Path) -> EventAccumulator:
    return EventAccumulator(
        str(directory), dict.fromkeys(("scalars", "tensors", "histograms"), 0)
    ).Reload()


def scalars(directory: Path, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in events(directory).Scalars(tag)]


def test_summaries_are_written_with_the_loss(tmp_path: Path):
    estimator(tmp_path, save_summary_steps=3).train(input_fn)
    assert scalars(tmp_path, "first_x") == [(1, 1), (4, 4), (7, 7)]
    assert scalars(tmp_path, "twice_1") == [(1, 2), (4, 2), (7, 2)]
    written = events(tmp_path)
    assert [event.step for event in written.Scalars("loss")] == [1, 4, 7]
    assert [event.step for event in written.Histograms("weight")] == [1, 4, 7]
    texts = written.Tensors("mode/text_summary")
    assert [event.tensor_proto.string_val[0] for event in texts] == [b"in **train**"] * 3
    width, height, *pictures = written.Tensors("pictures")[0].tensor_proto.string_val
    assert (width, height) == (b"5", b"3")
    assert (np.stack([read(each) for each in pictures]) == PICTURES[:2]).all()
    assert written.SummaryMetadata("pictures").plugin_data.plugin_name == "images"


def read(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def test_values_are_those_before_the_step(tmp_path: Path):
    model = estimator(tmp_path, save_summary_steps=1)
    model.train(input_fn, steps=1)
    before = model.get_variable_value("net.weight").item()
    model.train(input_fn, steps=1)
    (_, second) = events(tmp_path).Histograms("weight")
    assert second.histogram_value.sum == pytest.approx(before)
    assert model.get_variable_value("net.weight").item() != pytest.approx(before)


def test_steps_without_summaries_do_not_look_at_values(tmp_path: Path):
    seen: list[str] = []

    def counting(features: Any, labels: Any, mode: str) -> torchest.EstimatorSpec:
        summary.scalar("once", Noticed(seen, mode))
        return model_fn(features, labels, mode)

    class Noticed:
        def __init__(self, seen: list[str], mode: str) -> None:
            self._seen, self._mode = seen, mode

        def __array__(self, *arguments: Any, **options: Any) -> np.ndarray:
            self._seen.append(self._mode)
            return np.array(1.0)

    config = torchest.RunConfig(save_summary_steps=4)
    model = torchest.Estimator(counting, str(tmp_path), config)
    model.train(input_fn)
    model.evaluate(input_fn)
    list(model.predict(input_fn))
    assert seen == ["train", "train"]
    assert "once" not in events(tmp_path / "eval").Tags()["scalars"]


def test_no_summaries_without_steps_to_save_them_at(tmp_path: Path):
    estimator(tmp_path, save_summary_steps=None).train(input_fn)
    assert "first_x" not in events(tmp_path).Tags()["scalars"]


def test_training_is_the_same_with_and_without(tmp_path: Path):
    weights = []
    for number, steps in enumerate((1, None)):
        model = estimator(tmp_path / str(number), save_summary_steps=steps, tf_random_seed=1)
        weights.append(model.train(input_fn).get_variable_value("net.weight"))
    assert (weights[0] == weights[1]).all()


def test_the_last_batch_of_a_step_that_accumulates_gradients_counts(tmp_path: Path):
    estimator(tmp_path, save_summary_steps=2, accumulate_steps=2).train(input_fn)
    assert scalars(tmp_path, "first_x") == [(1, 2), (3, 6)]
    assert scalars(tmp_path, "twice_1") == [(1, 2), (3, 2)]


def test_a_hook_of_an_evaluation_writes_them(tmp_path: Path):
    def with_hook(features: Any, labels: Any, mode: str) -> torchest.EstimatorSpec:
        hook = torchest.SummarySaverHook(1, output_dir=str(tmp_path / "pictures"))
        return model_fn(features, labels, mode)._replace(evaluation_hooks=[hook])

    model = torchest.Estimator(with_hook, str(tmp_path / "model"))
    model.train(input_fn, steps=1)
    model.evaluate(input_fn, steps=2)
    assert {"pictures", "mode/text_summary"} <= set(events(tmp_path / "pictures").Tags()["tensors"])
    (text, *_) = events(tmp_path / "pictures").Tensors("mode/text_summary")
    assert text.tensor_proto.string_val == [b"in **eval**"]


def test_the_models_own_loss_takes_the_place_of_the_loss(tmp_path: Path):
    def with_loss(features: Any, labels: Any, mode: str) -> torchest.EstimatorSpec:
        summary.scalar("loss", 7)
        return model_fn(features, labels, mode)

    torchest.Estimator(with_loss, str(tmp_path)).train(input_fn, steps=1)
    assert scalars(tmp_path, "loss") == [(1, 7)]


def test_canned_estimators_have_none(tmp_path: Path):
    column = torchest.columns.numeric_column("x")
    torchest.LinearRegressor([column], str(tmp_path)).train(input_fn, steps=2)
    assert {"loss"} <= set(events(tmp_path).Tags()["scalars"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: summary.scalar("", 1), "name='' must be a string that is not empty."),
        (lambda: summary.scalar("a", torch.ones(2)), "summary.scalar('a'): tensor has the shape [2], but must be one"),
        (lambda: summary.scalar("a", "b"), "summary 'a': tensor='b' must be a tensor of numbers."),
        (lambda: summary.histogram("a", ["b"]), "summary 'a': values=['b'] must be a tensor of numbers."),
        (lambda: summary.text("a", 1), "summary.text('a'): tensor=1 must be a string."),
        (
            lambda: summary.image("a", torch.ones(2, 3, 4, 5)),
            "summary.image('a'): tensor has the shape [2, 3, 4, 5], but must be [batch, height, width, channels]",
        ),
        (
            lambda: summary.image("a", torch.ones(2, 3, 4, 1), max_outputs=0),
            "summary.image('a'): max_outputs=0 must be a whole number of at least 1.",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(call: Callable[[], None], message: str):
    with collecting({}), pytest.raises(ValueError, match=re.escape(message)):
        call()


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_images_of_every_kind(channels: int):
    pixels = np.random.default_rng(0).integers(0, 256, (7, 2, channels), np.uint8)
    assert (read(png(pixels)).reshape(pixels.shape) == pixels).all()


def test_numbers_of_an_image_are_cut_off(tmp_path: Path):
    writer = summary.SummaryWriter(tmp_path)
    writer.add_images("grey", np.array([[[[-1.0], [0.0], [0.5], [1.0], [2.0], [np.nan]]]]), 1)
    writer.close()
    (event,) = events(tmp_path).Tensors("grey")
    assert read(event.tensor_proto.string_val[2]).tolist() == [[0, 0, 128, 255, 255, 0]]
