"""`train_op = optimizer.minimize(loss, global_step=...)`, as model_fns for TensorFlow 1 have it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import torchest
from torchest import v1
from torchest.v1 import train

X = np.linspace(-1, 1, 8, dtype=np.float32)[:, None]
QUIET = torchest.RunConfig(save_summary_steps=None, log_step_count_steps=None, tf_random_seed=5)


def input_fn():
    return {"x": X}, 2 * X + 1


def make_net():
    return torch.nn.Linear(1, 1)


def loss_of(features, labels):
    net = torchest.get_or_create("net", make_net)
    return (net(features["x"]) - labels).square().mean()


def trained(model_fn, directory, steps=12, config=QUIET):
    model = torchest.Estimator(model_fn, directory, config)
    return model.train(input_fn, steps=steps)


def weights(model):
    return {
        name: model.get_variable_value(name)
        for name in model.get_variable_names()
        if name.startswith("net.")
    }


def minimizing(features, labels, mode):
    loss = loss_of(features, labels)
    rate = train.exponential_decay(0.1, train.get_global_step(), 4, 0.5)
    optimizer = train.MomentumOptimizer(rate, momentum=0.9)
    train_op = optimizer.minimize(loss, global_step=train.get_or_create_global_step())
    return torchest.EstimatorSpec(mode, loss=loss, train_op=train_op)


def plain(features, labels, mode):
    loss = loss_of(features, labels)
    settings = train.MomentumOptimizer(
        train.exponential_decay(0.1, train.get_global_step(), 4, 0.5), 0.9
    )
    optimizer = torchest.get_or_create("optimizer", lambda: settings)
    return torchest.EstimatorSpec(mode, loss=loss, train_op=optimizer)


def test_minimize_trains_as_an_optimizer_from_get_or_create(tmp_path):
    ours, other = (trained(f, tmp_path / f.__name__) for f in (minimizing, plain))
    assert ours.get_variable_names() == other.get_variable_names()
    assert weights(ours) == weights(other)


def test_training_in_two_calls_equals_one_bit_for_bit(tmp_path):
    one = trained(minimizing, tmp_path / "one")
    two = trained(minimizing, tmp_path / "two", steps=7)
    two = trained(minimizing, tmp_path / "two", steps=5)
    for name in one.get_variable_names():
        assert np.array_equal(one.get_variable_value(name), two.get_variable_value(name)), name


def test_the_loss_of_minimize_is_minimized_even_if_the_spec_reports_another(tmp_path):
    def doubled(features, labels, mode):
        loss = loss_of(features, labels)
        train_op = train.GradientDescentOptimizer(0.05).minimize(2 * loss)
        return torchest.EstimatorSpec(mode, loss=loss, train_op=train_op)

    def faster(features, labels, mode):
        loss = loss_of(features, labels)
        train_op = train.GradientDescentOptimizer(0.1).minimize(loss)
        return torchest.EstimatorSpec(mode, loss=loss, train_op=train_op)

    ours, other = (trained(f, tmp_path / f.__name__) for f in (doubled, faster))
    for name, value in weights(ours).items():
        np.testing.assert_allclose(value, weights(other)[name], rtol=1e-6)


def test_only_the_parameters_of_var_list_are_trained(tmp_path):
    def bias_alone(features, labels, mode):
        loss = loss_of(features, labels)
        bias = torchest.get_or_create("net", make_net).bias
        train_op = train.AdamOptimizer(0.1).minimize(loss, var_list=[bias])
        return torchest.EstimatorSpec(mode, loss=loss, train_op=train_op)

    model = trained(bias_alone, tmp_path)
    first = torchest.load_variable(str(tmp_path / "model.ckpt-0"), "net.weight")
    assert np.array_equal(model.get_variable_value("net.weight"), first)
    assert "optimizer.net.bias.m" in model.get_variable_names()
    assert "optimizer.net.weight.m" not in model.get_variable_names()


def test_two_optimizers_have_two_names_and_a_function_steps_both(tmp_path):
    def both(features, labels, mode):
        loss = loss_of(features, labels)
        net = torchest.get_or_create("net", make_net)
        of_weight = train.GradientDescentOptimizer(0.05).minimize(
            2 * loss, var_list=[net.weight], name="of_weight"
        )
        of_bias = train.MomentumOptimizer(0.1, 0.0).minimize(
            loss_of(features, labels), var_list=[net.bias], name="of_bias"
        )

        def train_op():
            of_weight()
            of_bias()

        return torchest.EstimatorSpec(mode, loss=loss, train_op=train_op)

    model = trained(both, tmp_path / "both", steps=1)
    assert "of_bias.net.bias.momentum" in model.get_variable_names()

    def one(features, labels, mode):
        loss = loss_of(features, labels)
        train_op = train.GradientDescentOptimizer(0.1).minimize(loss)
        return torchest.EstimatorSpec(mode, loss=loss, train_op=train_op)

    other = weights(trained(one, tmp_path / "one", steps=1))
    for name, value in weights(model).items():
        np.testing.assert_allclose(value, other[name], rtol=1e-6)


def test_two_optimizers_of_one_name_are_an_error(tmp_path):
    def twice(features, labels, mode):
        loss = loss_of(features, labels)
        train.AdamOptimizer(0.1).minimize(loss)
        train_op = train.GradientDescentOptimizer(0.1).minimize(loss)
        return torchest.EstimatorSpec(mode, loss=loss, train_op=train_op)

    with pytest.raises(ValueError, match=r"get_or_create\('optimizer'\) was called with two fact"):
        trained(twice, tmp_path)


def test_a_name_of_a_module_is_an_error(tmp_path):
    def of_net(features, labels, mode):
        loss = loss_of(features, labels)
        train_op = train.AdamOptimizer(0.1).minimize(loss, name="net")
        return torchest.EstimatorSpec(mode, loss=loss, train_op=train_op)

    with pytest.raises(ValueError, match=r"get_or_create\('net'\) was called with two factories"):
        trained(of_net, tmp_path)


def test_minimize_before_any_module_is_an_error(tmp_path):
    def without_modules(features, labels, mode):
        loss = torch.zeros((), requires_grad=True)
        return torchest.EstimatorSpec(
            mode, loss=loss, train_op=train.AdamOptimizer(0.1).minimize(loss)
        )

    with pytest.raises(ValueError, match="without parameters before any module that has some"):
        trained(without_modules, tmp_path)


def test_frozen_parameters_are_left_out(tmp_path):
    def half_frozen(features, labels, mode):
        def frozen():
            net = make_net()
            net.weight.requires_grad_(False)
            return net

        net = torchest.get_or_create("net", frozen)
        loss = (net(features["x"]) - labels).square().mean()
        return torchest.EstimatorSpec(
            mode, loss=loss, train_op=train.AdamOptimizer(0.1).minimize(loss)
        )

    names = trained(half_frozen, tmp_path, steps=1).get_variable_names()
    assert [name for name in names if name.startswith("optimizer.")] == [
        "optimizer.net.bias.m",
        "optimizer.net.bias.v",
    ]


def test_minimize_in_evaluation_and_prediction_does_no_harm(tmp_path):
    def in_every_mode(features, labels, mode):
        net = torchest.get_or_create("net", make_net)
        output = net(features["x"])
        loss = output.mean() if labels is None else (output - labels).square().mean()
        train_op = train.AdamOptimizer(0.1).minimize(loss)
        return torchest.EstimatorSpec(mode, {"output": output}, loss, train_op)

    model = trained(in_every_mode, tmp_path)
    assert model.evaluate(input_fn, steps=1)["global_step"] == 12
    assert len(list(model.predict(lambda: {"x": X}))) == 8


def test_gradients_are_clipped_and_accumulated_as_the_config_says(tmp_path):
    clipped = QUIET.replace(clip_norm=0.1)
    model = trained(minimizing, tmp_path / "clipped", config=clipped)
    assert weights(model) != weights(trained(minimizing, tmp_path / "plain"))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda o: o.minimize("loss"), TypeError, r"AdamOptimizer.minimize: loss='loss' must be a"),
        (
            lambda o: o.minimize(torch.zeros(()), global_step=3),
            TypeError,
            r"global_step=3 must be get_global_step\(\), or None",
        ),
        (
            lambda o: o.minimize(torch.zeros(())),
            RuntimeError,
            r"AdamOptimizer.minimize was called outside a model_fn",
        ),
        (
            lambda o: o.compute_gradients,
            AttributeError,
            r"compute_gradients'. RunConfig\(clip_norm",
        ),
        (lambda o: o.foo, AttributeError, r"'AdamOptimizer' object has no attribute 'foo'\."),
    ],
)
def test_wrong_calls(call, error, message):
    with pytest.raises(error, match=message):
        call(v1.train.AdamOptimizer())


def test_an_optimizer_without_parameters_is_no_train_op():
    loss = torch.zeros((), requires_grad=True)
    with pytest.raises(TypeError, match="train_op is a AdamOptimizer without parameters"):
        torchest.EstimatorSpec("train", loss=loss, train_op=train.AdamOptimizer())
