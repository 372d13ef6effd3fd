"""Planned training steps have the numbers of steps that run the modules and autograd."""

from __future__ import annotations

import contextlib
from functools import partial
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import torchest
from torchest import columns, optimizers
from torchest.canned import planned
from torchest.engine import train_step

REDUCTIONS_OF_TF1 = torchest.v1.losses.Reduction.all()[1:]
CONFIG = torchest.RunConfig(save_summary_steps=None, log_step_count_steps=None)
HEADS = {
    "binary": torchest.BinaryClassHead,
    "names": partial(torchest.BinaryClassHead, label_vocabulary=["no", "yes"]),
    "multi-class": partial(torchest.MultiClassHead, 3),
    "regression": torchest.RegressionHead,
    "two numbers": partial(torchest.RegressionHead, 2),
    "poisson": torchest.PoissonRegressionHead,
    "short poisson": partial(torchest.PoissonRegressionHead, compute_full_loss=False),
    "logistic": torchest.LogisticRegressionHead,
}
OPTIMIZERS = {  # with small steps, so that sums of losses do not diverge, which multiplies roundings
    "Ftrl": lambda parameters: optimizers.Ftrl(parameters, lr=0.05),
    "Ftrl with penalties": lambda parameters: optimizers.Ftrl(
        parameters,
        lr=0.1,
        l1_regularization_strength=0.01,
        l2_regularization_strength=0.1,
        l2_shrinkage_regularization_strength=0.1,
        beta=0.2,
    ),
    "Adagrad": lambda parameters: optimizers.Adagrad(parameters, lr=0.05),
    "SGD": lambda parameters: optimizers.SGD(parameters, lr=1e-3),
    "momentum": lambda parameters: optimizers.SGD(parameters, lr=1e-3, momentum=0.9),
    "Nesterov": lambda parameters: optimizers.SGD(parameters, lr=1e-3, momentum=0.5, nesterov=True),
    "lazy Adam": lambda parameters: optimizers.Adam(parameters, lr=0.05, epsilon=0.1, lazy=True),
    "schedule": lambda parameters: optimizers.Adagrad(parameters, lr=lambda step: 0.1 / (1 + step)),
    "decay": lambda parameters: optimizers.SGD(parameters, lr=1e-3, decay=0.5),
    "Adagrad of TensorFlow 1": torchest.v1.train.AdagradOptimizer(0.05).with_parameters,
}


@contextlib.contextmanager
def planned_steps():
    """The list of steps that had a plan: whether each followed it."""
    steps: list[bool] = []
    original = planned.CannedPlan.step

    def step(self, batch):
        result = original(self, batch)
        steps.append(result is not None)
        return result

    with mock.patch.object(planned.CannedPlan, "step", step):
        yield steps


def without_plan():
    return mock.patch.object(train_step.TrainStep, "_planned", return_value=None)


def variables_of(estimator):
    return {name: estimator.get_variable_value(name) for name in estimator.get_variable_names()}


def assert_close(actual, expected, tolerance=2e-6):
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        scale = np.abs(value).max(initial=1e-3)
        np.testing.assert_allclose(
            actual[name], value, rtol=tolerance, atol=tolerance * scale, err_msg=name
        )


def assert_same(actual, expected):
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(actual[name], value, name)


def feature_columns(words, widths):
    return [
        *(columns.categorical_column_with_hash_bucket(f"w{n}", 5 + 3 * n) for n in range(words)),
        *(columns.numeric_column(f"x{n}", shape=width) for n, width in enumerate(widths)),
    ]


def batch_of(rng, head, rows, words, widths, missing=0.0):
    features = {}
    for n in range(words):
        ids = rng.integers(0, 12, rows).astype("S")
        features[f"w{n}"] = np.where(rng.random(rows) < missing, b"", ids)
    for n, width in enumerate(widths):
        features[f"x{n}"] = rng.normal(size=(rows, width)).astype("f")
    features["weight"] = rng.integers(0, 4, rows) / np.float32(2)
    labels = {
        "names": lambda: np.array([b"no", b"yes"])[rng.integers(0, 2, rows)],
        "multi-class": lambda: rng.integers(0, 3, (rows, 1)),
        "regression": lambda: rng.normal(size=rows),
        "two numbers": lambda: rng.normal(size=(rows, 2)).astype("f"),
        "poisson": lambda: rng.integers(0, 5, rows),
        "short poisson": lambda: rng.integers(0, 5, (rows, 1)),
        "logistic": lambda: rng.random(rows).astype("f"),
    }.get(head, lambda: rng.integers(0, 2, rows))
    return features, labels()


def trained(directory, head, optimizer, used, batches, *, plans=True, **options):
    """The variables, and which steps followed the plan."""
    model = torchest.LinearEstimator(
        HEADS[head](**options), used, directory, OPTIMIZERS[optimizer], CONFIG
    )
    with contextlib.ExitStack() as stack:
        steps = stack.enter_context(planned_steps())
        if not plans:
            stack.enter_context(without_plan())
        model.train(lambda: iter(batches))
    return variables_of(model), steps


@settings(deadline=None, max_examples=40)
@given(
    head=st.sampled_from(sorted(HEADS)),
    optimizer=st.sampled_from(sorted(OPTIMIZERS)),
    words=st.integers(0, 3),
    widths=st.lists(st.integers(1, 3), max_size=3),
    rows=st.lists(st.integers(1, 40), min_size=1, max_size=3),
    missing=st.sampled_from([0.0, 0.3]),
    weight_column=st.sampled_from([None, "weight"]),
    loss_reduction=st.sampled_from([*torchest.losses.Reduction.all()[2:], *REDUCTIONS_OF_TF1]),
    seed=st.integers(0, 2**16),
)
def test_planned_linear_models_have_the_variables_of_autograd(
    tmp_path_factory,
    head,
    optimizer,
    words,
    widths,
    rows,
    missing,
    weight_column,
    loss_reduction,
    seed,
):
    used = feature_columns(words, widths)
    if not used:
        return
    rng = np.random.default_rng(seed)
    batches = [batch_of(rng, head, count, words, widths, missing) for count in rows]
    options = {"weight_column": weight_column, "loss_reduction": loss_reduction}
    both = []
    for plans in (True, False):
        directory = tmp_path_factory.mktemp("model")
        variables, steps = trained(
            directory, head, optimizer, used, batches, plans=plans, **options
        )
        assert steps == ([True] * len(rows) if plans else [])
        both.append(variables)
    # autograd's sums over a batch are float32, and their terms cancel
    assert_close(*both, tolerance=1e-5 * len(rows))


COLUMNS = feature_columns(2, [1, 2])
DEEP = [*(columns.embedding_column(column, 4) for column in COLUMNS[:2]), *COLUMNS[2:]]
ESTIMATORS = {
    "linear": lambda config: torchest.LinearClassifier(COLUMNS, config=config),
    "deep": lambda config: torchest.DNNClassifier([9, 5], DEEP, config=config),
    "deep, of classes": lambda config: torchest.DNNClassifier(
        [9], DEEP, n_classes=3, config=config
    ),
    "deep, regression": lambda config: torchest.DNNRegressor([9], DEEP[:1], config=config),
    "wide and deep": lambda config: torchest.DNNLinearCombinedClassifier(
        linear_feature_columns=COLUMNS,
        config=config,
        dnn_feature_columns=DEEP,
        dnn_hidden_units=[6],
    ),
    "deep, of TensorFlow 1": lambda config: torchest.v1.DNNClassifier([9], DEEP, config=config),
}


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_planned_models_have_the_weights_and_slots_of_autograd(tmp_path, kind):
    rng = np.random.default_rng(7)
    batches = [batch_of(rng, "binary", rows, 2, [1, 2]) for rows in (8, 8, 5, 8)]
    made = {}
    for name in ("planned", "general"):
        with planned_steps() as steps, contextlib.ExitStack() as stack:
            if name == "general":
                stack.enter_context(without_plan())
            model = ESTIMATORS[kind](torchest.RunConfig(tmp_path / name, tf_random_seed=1))
            model.train(lambda: iter(batches))
        assert steps == ([True] * 4 if name == "planned" else [])
        made[name] = variables_of(model)
    assert_close(made["planned"], made["general"])


class InterruptionError(Exception):
    pass


class Interrupt(torchest.SessionRunHook):
    def __init__(self, at):
        self._at = at

    def after_run(self, run_context, run_values):
        if run_context.session.global_step == self._at:
            raise InterruptionError


def declining_some(self, batch, original=planned.CannedPlan.step):
    """Follows the plan for about half of the batches."""
    return None if float(batch.features["x0"][0]) > 0 else original(self, batch)


@pytest.mark.parametrize("kind", ["linear", "wide and deep"])
@pytest.mark.parametrize("at", [3, 8])
def test_an_interrupted_training_of_planned_and_other_steps_resumes_bit_for_bit(tmp_path, kind, at):
    rows = batch_of(np.random.default_rng(5), "binary", 60, 2, [1, 2])

    def input_fn():
        return torchest.inputs.Dataset.from_tensor_slices(rows).shuffle(60, 3).batch(5)

    def model_in(name):
        config = torchest.RunConfig(tmp_path / name, tf_random_seed=1, save_checkpoints_steps=2)
        return ESTIMATORS[kind](config)

    with mock.patch.object(planned.CannedPlan, "step", declining_some):
        whole = model_in("whole").train(input_fn)
        with pytest.raises(InterruptionError):
            model_in("parts").train(input_fn, hooks=[Interrupt(at)])
        resumed = model_in("parts").train(input_fn)
    assert resumed.get_variable_value("global_step") == 12
    assert_same(variables_of(resumed), variables_of(whole))


def steps_with(tmp_path, look, *, plans=True):
    """Trains for six steps; a hook looks into the model after the second."""

    class Look(torchest.SessionRunHook):
        def after_run(self, run_context, run_values):
            if run_context.session.global_step == 2:
                look(**run_context.session.objects)

    rng = np.random.default_rng(2)
    batches = [batch_of(rng, "binary", 6, 2, [1, 2]) for _ in range(6)]
    model = ESTIMATORS["linear"](torchest.RunConfig(tmp_path / f"{plans}"))
    with contextlib.ExitStack() as stack:
        steps = stack.enter_context(planned_steps())
        if not plans:
            stack.enter_context(without_plan())
        model.train(lambda: iter(batches), hooks=[Look()])
    return variables_of(model), steps


def give_own_memory(parameter):
    parameter.data = parameter.data.clone()


LOOKS = {
    "a forward hook": lambda linear, optimizer: linear.register_forward_hook(lambda *_: None),
    "a hook of a part": lambda linear, optimizer: linear.part("x0").register_forward_hook(
        lambda *_: None
    ),
    "a hook of a gradient": lambda linear, optimizer: linear.bias.register_hook(lambda _: None),
    "a hook of a table": lambda linear, optimizer: linear.part(
        "tables_1"
    ).weight.register_post_accumulate_grad_hook(lambda _: None),
    "a hook of the optimizer": lambda linear, optimizer: optimizer.register_step_post_hook(
        lambda *_: None
    ),
    "other slots": lambda linear, optimizer: optimizer.load_state_dict(optimizer.state_dict()),
    "another count of steps": lambda linear, optimizer: optimizer.state[linear.bias].update(step=0),
    "other memory": lambda linear, optimizer: give_own_memory(linear.bias),
    "a frozen bias": lambda linear, optimizer: linear.bias.requires_grad_(False),
    "a table that leaves its bank": lambda linear, optimizer: linear.part("w0").leave_bank(),
}


@pytest.mark.parametrize("look", LOOKS)
def test_a_model_that_hooks_look_into_leaves_the_plan(tmp_path, look):
    variables, steps = steps_with(tmp_path, LOOKS[look])
    assert steps == [True] * 2
    assert_close(variables, steps_with(tmp_path, LOOKS[look], plans=False)[0], 1e-5)


class LookAt(torchest.SessionRunHook):
    """Gets the objects of the model after a step, and reads a gradient."""

    def __init__(self, step):
        self._step = step
        self.gradient = None

    def after_run(self, run_context, run_values):
        session = run_context.session
        if session.global_step == self._step:
            self.gradient = session.objects["linear"].bias.grad


def test_a_hook_that_looks_into_the_model_late_sees_the_gradient_of_that_step(tmp_path):
    batches = [({"x": [float(n), 1.0]}, [[1], [0]]) for n in range(4)]
    gradients = []
    for hooks in ([LookAt(3)], [LookAt(1), LookAt(2), LookAt(3)]):
        model = torchest.LinearClassifier([columns.numeric_column("x")], tmp_path / str(len(hooks)))
        model.train(lambda: iter(batches), hooks=hooks)
        gradients.append(hooks[-1].gradient)
    assert gradients[0] is not None
    assert torch.equal(*gradients)


def test_a_hook_for_all_modules_leaves_the_plan(tmp_path, caplog):
    calls = []

    class Register(torchest.SessionRunHook):
        def after_run(self, run_context, run_values):
            if run_context.session.global_step == 2:
                self.handle = torch.nn.modules.module.register_module_forward_hook(
                    lambda module, arguments, output: calls.append(type(module).__name__)
                )

        def end(self, session):
            self.handle.remove()

    batches = [({"x": [float(n), 1.0]}, [[1], [0]]) for n in range(4)]
    model = torchest.LinearClassifier([columns.numeric_column("x")], tmp_path)
    model.train(lambda: iter(batches), hooks=[Register()])
    assert calls.count("LinearModel") == 2


def test_an_optimizer_of_the_user_sees_the_gradients_of_planned_steps(tmp_path):
    made = []

    def make_optimizer(parameters):
        made.append(optimizers.SGD(list(parameters), lr=0.1))
        return made[-1]

    class Look(torchest.SessionRunHook):
        gradients = ()

        def after_run(self, run_context, run_values):
            (group,) = made[-1].param_groups
            self.gradients = [each.grad for each in group["params"]]

    batches = [({"x": [float(n), 1.0]}, [[1], [0]]) for n in range(4)]
    hook = Look()
    model = torchest.LinearClassifier(
        [columns.numeric_column("x")], tmp_path, optimizer=make_optimizer
    )
    model.train(lambda: iter(batches), hooks=[hook])
    assert len(hook.gradients) == 2
    assert all(gradient is not None for gradient in hook.gradients)


def test_a_listener_of_a_saver_that_looks_into_the_model_leaves_the_plan(tmp_path):
    calls = []

    class Looks(torchest.CheckpointSaverListener):
        def before_save(self, session, global_step_value):
            if global_step_value == 2:
                session.objects["linear"].register_forward_hook(lambda *_: calls.append(1))

    rng = np.random.default_rng(2)
    batches = [batch_of(rng, "binary", 6, 2, [1, 2]) for _ in range(6)]
    saver = torchest.CheckpointSaverHook(tmp_path, save_steps=2, listeners=[Looks()])
    ESTIMATORS["linear"](torchest.RunConfig(tmp_path)).train(lambda: iter(batches), hooks=[saver])
    assert len(calls) == 4


def test_a_hook_that_only_fetches_leaves_steps_planned_and_gets_their_values(tmp_path):
    class Fetch(torchest.SessionRunHook):
        def __init__(self):
            self.fetched = []

        def before_run(self, run_context):
            return torchest.SessionRunArgs(["loss", "logits", "learning_rate", "linear.bias"])

        def after_run(self, run_context, run_values):
            self.fetched.append(run_values.results)

    rng = np.random.default_rng(2)
    batches = [batch_of(rng, "binary", 6, 2, [1, 2]) for _ in range(3)]
    fetched = []
    for plans in (True, False):
        hook = Fetch()
        with planned_steps() as steps, contextlib.ExitStack() as stack:
            if not plans:
                stack.enter_context(without_plan())
            ESTIMATORS["linear"](torchest.RunConfig(tmp_path / f"{plans}")).train(
                lambda: iter(batches), hooks=[hook]
            )
        assert steps == [True] * 3 * plans
        fetched.append(hook.fetched)
    for actual, expected in zip(*fetched, strict=True):
        for one, other in zip(actual, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


class Watch(torchest.SessionRunHook):
    """Freezes the bias for two steps, and reads gradients without copying them."""

    def __init__(self, part, frozen=()):
        self._part = part
        self._frozen = frozen
        self.gradients = []

    def after_run(self, run_context, run_values):
        session = run_context.session
        module = session.objects[self._part]
        self.gradients.append([each.grad for each in module.parameters()])
        bias = list(module.parameters())[0 if self._part == "linear" else -1]
        bias.requires_grad_(session.global_step not in self._frozen)


@pytest.mark.parametrize(("kind", "part"), [("linear", "linear"), ("deep", "dnn")])
def test_hooks_see_the_gradients_of_planned_steps(tmp_path, kind, part):
    rng = np.random.default_rng(2)
    batches = [batch_of(rng, "binary", rows, 2, [1, 2]) for rows in (6, 6, 4)]
    watches = []
    for plans in (True, False):
        with planned_steps() as steps, contextlib.ExitStack() as stack:
            if not plans:
                stack.enter_context(without_plan())
            watches.append(Watch(part))
            config = torchest.RunConfig(tmp_path / f"{plans}", tf_random_seed=1)
            ESTIMATORS[kind](config).train(lambda: iter(batches), hooks=[watches[-1]])
        assert steps == [True] * 3 * plans
    actual, expected = (watch.gradients for watch in watches)
    assert any(each is not None for each in actual[0])
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_a_parameter_that_is_frozen_for_a_while_has_the_steps_of_autograd(tmp_path, optimizer):
    rng = np.random.default_rng(2)
    batches = [batch_of(rng, "binary", 6, 2, [1]) for _ in range(6)]
    variables = []
    for plans in (True, False):
        model = torchest.LinearEstimator(
            HEADS["binary"](),
            feature_columns(2, [1]),
            tmp_path / f"{plans}",
            OPTIMIZERS[optimizer],
        )
        with contextlib.ExitStack() as stack:
            steps = stack.enter_context(planned_steps())
            if not plans:
                stack.enter_context(without_plan())
            model.train(lambda: iter(batches), hooks=[Watch("linear", frozen=(2, 3))])
        assert steps == [True] * 4 * plans
        variables.append(variables_of(model))
    assert_close(*variables, 1e-5)


def test_batches_with_several_ids_in_a_row_leave_the_plan(tmp_path):
    rng = np.random.default_rng(4)
    batches = [batch_of(rng, "binary", 4, 2, [1]) for _ in range(3)]
    batches[1][0]["w0"] = [["1", "2"], ["3"], [], ["4"]]
    used = feature_columns(2, [1])
    actual, steps = trained(tmp_path / "planned", "binary", "Ftrl", used, batches)
    assert steps == [True, False, True]
    expected, _ = trained(tmp_path / "general", "binary", "Ftrl", used, batches, plans=False)
    assert_close(actual, expected, 1e-5)


WRONG = {
    "binary": (np.array([0, 2, 1]), "labels must be 0 or 1; found 2 in 1 of 3 labels"),
    "multi-class": (np.array([0, 3, 1]), "labels must be below n_classes=3; found 3"),
    "logistic": (np.array([0.5, -1.0, 1]), "labels must be probabilities from 0 to 1; found -1"),
    "poisson": (np.array([0.5, -1.0, 1]), "labels must be counts of at least 0; found -1"),
    "regression": (np.zeros((3, 2)), r"labels have shape \[3, 2\]"),
}


@pytest.mark.parametrize("head", WRONG)
def test_wrong_labels_get_their_sentence(tmp_path, head):
    rng = np.random.default_rng(4)
    batches = [batch_of(rng, head, 3, 2, [1]) for _ in range(3)]
    labels, message = WRONG[head]
    batches[2] = (batches[2][0], labels)
    with pytest.raises(ValueError, match=message):
        trained(tmp_path, head, "Ftrl", feature_columns(2, [1]), batches)


def test_wrong_weights_get_their_sentence(tmp_path):
    rng = np.random.default_rng(4)
    batches = [batch_of(rng, "binary", 3, 2, [1]) for _ in range(3)]
    batches[2][0]["weight"] = np.array([1.0, -2.0, 1.0])
    with pytest.raises(ValueError, match="weight_column 'weight' has the weight -2"):
        trained(
            tmp_path, "binary", "Ftrl", feature_columns(2, [1]), batches, weight_column="weight"
        )


def test_a_loss_that_is_not_finite_ends_training(tmp_path):
    rng = np.random.default_rng(4)
    batches = [batch_of(rng, "regression", 3, 2, [1]) for _ in range(3)]
    batches[1][1][0] = np.nan
    with pytest.raises(torchest.NanLossDuringTrainingError, match="the label has nan in row 0"):
        trained(tmp_path, "regression", "Ftrl", feature_columns(2, [1]), batches)
