"""A loss that is NaN: where it comes from, what is saved, and how to go on."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from torch import nn

import torchest
from torchest import columns, inputs

QUIET = torchest.RunConfig(
    save_summary_steps=None, log_step_count_steps=None, save_checkpoints_steps=1, tf_random_seed=1
)
NAN = float("nan")


class Logarithm(nn.Module):
    def forward(self, x):
        return x.log()


def model_fn(features, labels, mode):
    net = torchest.get_or_create(
        "net", lambda: nn.Sequential(nn.Linear(1, 1), nn.ReLU(), Logarithm(), nn.Linear(1, 1))
    )
    loss = (net(features["x"]) * 0 + features["x"] - labels).square().mean()
    sgd = torchest.get_or_create("sgd", lambda: torch.optim.SGD(net.parameters(), lr=0.0))
    return torchest.EstimatorSpec(mode, loss=loss, train_op=sgd)


def input_fn(x, y=None):
    rows = {"x": torch.tensor(x).reshape(-1, 1)}
    labels = torch.tensor([1.0] * len(x) if y is None else y).reshape(-1, 1)
    return lambda: inputs.Dataset.from_tensor_slices((rows, labels)).batch(2)


def checkpoints(directory):
    return sorted(
        int(path.name.rpartition("-")[2]) for path in Path(directory).glob("model.ckpt-*")
    )


def positive(net):
    """Weights with which the logarithm is finite for positive x, and −∞ for negative ones."""
    net[0].weight.data.fill_(1.0)
    net[0].bias.data.zero_()


class Start(torchest.SessionRunHook):
    """Changes the model before the first step."""

    def __init__(self, change):
        self.change = change

    def after_create_session(self, session, coord):
        self.change(session.objects["net"])


def error_of(directory, rows, *hooks):
    with pytest.raises(torchest.NanLossDuringTrainingError) as caught:
        torchest.Estimator(model_fn, directory, QUIET).train(rows, [Start(positive), *hooks])
    return str(caught.value)


def test_the_error_names_the_step_the_feature_and_the_row(tmp_path):
    message = error_of(tmp_path, input_fn([1.0, 2.0, 3.0, NAN]))
    assert message.startswith(
        "NaN loss during training. loss is NaN in step 2: the feature 'x' has nan in row 1 of the batch."
    )
    assert checkpoints(tmp_path) == [0, 1]


def test_the_error_names_the_labels(tmp_path):
    message = error_of(tmp_path, input_fn([1.0, 2.0], [NAN, 1.0]))
    assert "in step 1: the label has nan in row 0 of the batch" in message


def test_the_error_names_the_first_layer_that_is_not_finite(tmp_path):
    message = error_of(tmp_path, input_fn([1.0, 2.0, 3.0, -1.0]))
    assert "in step 2: the output of the layer 'net.2' is the first that is not finite" in message


def test_the_error_names_a_parameter_that_an_earlier_step_broke(tmp_path):
    def broken(net):
        positive(net)
        net[3].bias.data.fill_(float("inf"))

    message = error_of(tmp_path, input_fn([1.0, 2.0]), Start(broken))
    assert "in step 1: the parameter 'net.3.bias' is not finite, since an earlier step" in message


def test_the_error_says_when_all_layers_are_finite(tmp_path):
    def own(features, labels, mode):
        spec = model_fn(features, labels, mode)
        return spec._replace(loss=(spec.loss * 0).log() * 0)

    with pytest.raises(
        torchest.NanLossDuringTrainingError, match=r"all layers are finite, so that it"
    ):
        torchest.Estimator(own, tmp_path, QUIET).train(input_fn([1.0, 2.0]), [Start(positive)])


def test_the_column_of_a_canned_model_is_named(tmp_path):
    x = columns.numeric_column("x", normalizer_fn=lambda value: value.log() * 0)
    model = torchest.LinearRegressor([x], tmp_path, config=QUIET)
    with pytest.raises(
        torchest.NanLossDuringTrainingError, match="the column 'x' has nan in row 1 of the batch"
    ):
        model.train(lambda: ({"x": [1.0, 0.0]}, [1.0, 2.0]), steps=2)


def test_the_error_says_how_to_go_on_and_the_next_train_does(tmp_path):
    message = error_of(tmp_path, input_fn([1.0, 2.0, NAN, 1.0]))
    assert "The next train starts from the newest checkpoint, which was written before" in message
    assert "hooks=[torchest.NanTensorHook('loss', fail_on_nan_loss=False)]" in message
    mended = input_fn([1.0, 2.0])  # is read from its beginning
    model = torchest.Estimator(model_fn, tmp_path, QUIET).train(mended)
    assert model.latest_checkpoint().endswith("-2")


def test_training_can_end_without_an_error_and_still_saves_nothing_of_it(tmp_path, caplog):
    saved = []

    class Listener(torchest.CheckpointSaverListener):
        def after_save(self, session, global_step_value):
            saved.append(global_step_value)

    hook = torchest.NanTensorHook("loss", fail_on_nan_loss=False)
    model = torchest.Estimator(model_fn, tmp_path, QUIET)
    with caplog.at_level(logging.WARNING, "torchest"):
        rows = input_fn([1.0, 2.0, NAN, 1.0, 1.0, 1.0])
        model.train(rows, [Start(positive), hook], saving_listeners=[Listener()])
    assert hook.has_found
    assert checkpoints(tmp_path) == saved == [0, 1]
    assert "Model diverged with loss = NaN. It appeared in step 2: the feature 'x'" in caplog.text


def test_another_value_can_be_watched(tmp_path):
    def own(features, labels, mode):
        spec = model_fn(features, labels, mode)
        return spec._replace(predictions={"ratio": (features["x"] - 3) / (features["x"] - 3)})

    hook = torchest.NanTensorHook("ratio")
    with pytest.raises(torchest.NanLossDuringTrainingError, match="ratio is NaN in step 2"):
        torchest.Estimator(own, tmp_path, QUIET).train(
            input_fn([1.0, 2.0, 3.0, 1.0]), [Start(positive), hook]
        )


def test_infinity_is_no_error(tmp_path):
    torchest.Estimator(model_fn, tmp_path, QUIET).train(
        input_fn([1.0, 2.0], [float("inf"), 0.0]), [Start(positive)]
    )
    assert checkpoints(tmp_path) == [0, 1]


def test_a_search_that_fails_does_not_hide_the_nan(tmp_path, monkeypatch):
    def fails(*_):
        raise RuntimeError("broken")

    monkeypatch.setattr("torchest.engine.find_nan._in_values", fails)
    message = error_of(tmp_path, input_fn([NAN, 2.0]))
    assert message.startswith("NaN loss during training. loss is NaN in step 1. The next train")


class Seen(torchest.SessionRunHook):
    """Keeps the losses of the steps that it was called for."""

    def __init__(self):
        self.losses = []

    def before_run(self, run_context):
        return torchest.SessionRunArgs("loss")

    def after_run(self, run_context, run_values):
        self.losses.append(float(run_values.results))


def losses_seen(directory, *, own=None, fails=True):
    """What hooks see of a training whose second loss is NaN: of train's list before and after `own`, and model_fn's."""
    first, second, chief, training = Seen(), Seen(), Seen(), Seen()

    def with_hooks(features, labels, mode):
        spec = model_fn(features, labels, mode)
        return spec._replace(training_chief_hooks=[chief], training_hooks=[training])

    model = torchest.Estimator(with_hooks, directory, QUIET)
    hooks = [Start(positive), first, *([own] if own else []), second]
    rows = input_fn([1.0, 2.0, 3.0, NAN, 1.0, 1.0])
    if fails:
        with pytest.raises(torchest.NanLossDuringTrainingError, match="loss is NaN in step 2"):
            model.train(rows, hooks)
    else:
        model.train(rows, hooks)
    return [len(hook.losses) for hook in (chief, first, second, training)]


def test_the_hooks_of_train_are_called_for_the_step_whose_loss_is_nan(tmp_path):
    """As in TensorFlow, whose own hook stands between those of train and the training_hooks of model_fn."""
    assert losses_seen(tmp_path) == [2, 2, 2, 1]
    assert checkpoints(tmp_path) == [0, 1]


def test_the_users_hook_for_nan_raises_where_it_stands(tmp_path):
    assert losses_seen(tmp_path, own=torchest.NanTensorHook("loss")) == [2, 2, 1, 1]


def test_all_hooks_are_called_for_a_loss_of_nan_that_is_no_error(tmp_path):
    own = torchest.NanTensorHook("loss", fail_on_nan_loss=False)
    assert losses_seen(tmp_path, own=own, fails=False) == [2, 2, 2, 2]
