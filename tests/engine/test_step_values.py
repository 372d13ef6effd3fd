"""Learning rates and the length of the gradient, as hooks see them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import torchest
from torchest import columns
from torchest.engine.step_values import clip_each, gradient_norm, learning_rates
from torchest.optimizers import Adagrad, row_gradients

QUIET = torchest.RunConfig(save_summary_steps=None, log_step_count_steps=None)


def table(rows, dimension=2):
    return nn.Parameter(torch.zeros(rows, dimension))


def look_up(parameter, ids, gradients):
    vectors = row_gradients.look_up(parameter, torch.tensor(ids, dtype=torch.int64))
    vectors.backward(torch.tensor(gradients))


def test_dense_gradients_have_the_length_of_all_entries_together():
    a, b = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1))
    a.grad, b.grad = torch.tensor([3.0, 0.0]), torch.tensor([4.0])
    assert gradient_norm([a, b]) == 5.0


def test_a_row_that_is_looked_up_twice_counts_once_with_its_sum():
    weight = table(5)
    look_up(weight, [3, 1, 3], [[1.0, 0.0], [0.0, 4.0], [2.0, 0.0]])
    assert gradient_norm([weight]) == 5.0  # row 3: 1 + 2, row 1: 4


def test_a_table_that_two_modules_share_counts_once():
    weight = table(5)
    look_up(weight, [0], [[3.0, 4.0]])
    assert gradient_norm([weight, weight]) == 5.0


def test_rows_and_a_dense_gradient_of_one_parameter_are_one_gradient():
    weight = table(2)
    weight.grad = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    look_up(weight, [0], [[2.0, 4.0]])
    assert gradient_norm([weight]) == 5.0  # not the root of 1 + 20


def test_without_gradients_it_is_0():
    assert gradient_norm([table(2)]) == 0.0


def test_a_sparse_gradient_counts_with_its_sums():
    weight = nn.Embedding(4, 1, sparse=True)
    (weight(torch.tensor([2, 2, 0])) * torch.tensor([[1.0], [2.0], [4.0]])).sum().backward()
    assert gradient_norm(weight.parameters()) == 5.0


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-9, 9)), max_size=12))
def test_rows_have_the_length_of_the_dense_gradient(looked_up):
    weight = table(4, 1)
    if looked_up:
        rows, values = zip(*looked_up, strict=True)
        look_up(weight, rows, [[float(value)] for value in values])
    expected = [0.0] * 4
    for row, value in looked_up:
        expected[row] += value
    assert float(gradient_norm([weight])) == pytest.approx(math.hypot(*expected), rel=1e-6)


def test_rows_that_repeat_with_their_whole_sum_count_once(monkeypatch):
    weight = table(5)
    look_up(weight, [3, 1, 3], [[1.0, 0.0], [0.0, 4.0], [2.0, 0.0]])
    (pending,) = row_gradients.pending(weight)
    fixed = row_gradients.summed_in_fixed_shape(pending.rows, pending.values)
    monkeypatch.setattr(row_gradients, "summed", lambda _: fixed)
    assert gradient_norm([weight]) == 5.0


def test_learning_rates_are_those_of_the_step_to_come():
    net = nn.Linear(1, 1)
    schedule = Adagrad([net.weight], lr=lambda step: 0.5 / (step + 1))
    plain = torch.optim.SGD([{"params": [net.bias], "lr": 0.25}], lr=1.0)
    assert learning_rates({"a": schedule, "b": plain}) == {
        "a.learning_rate": 0.5,
        "b.learning_rate": 0.25,
    }
    net(torch.ones(1, 1)).sum().backward()
    schedule.step()
    assert learning_rates({"a": schedule}) == {"a.learning_rate": 0.25, "learning_rate": 0.25}


class Fetch(torchest.SessionRunHook):
    """Keeps what it fetched."""

    def __init__(self, fetches):
        self.fetches, self.results = fetches, []

    def before_run(self, run_context):
        return torchest.SessionRunArgs(self.fetches)

    def after_run(self, run_context, run_values):
        self.results.append(run_values.results)


def linear_model(tmp_path, optimizer):
    words = columns.categorical_column_with_vocabulary_list("word", ["a", "b"])
    return torchest.LinearRegressor([words], tmp_path, optimizer=optimizer, config=QUIET)


def words_input_fn():
    return {"word": ["a", "a", "b"]}, [1.0, 2.0, 3.0]


@pytest.mark.parametrize("optimizer", [Adagrad, torch.optim.SGD])
def test_hooks_fetch_the_gradient_norm_of_a_step_on_tables(tmp_path, optimizer):
    hook = Fetch("gradient_norm")
    linear_model(tmp_path, lambda p: optimizer(p, lr=0.0)).train(
        words_input_fn, hooks=[hook], steps=1
    )
    # the loss is mean((w[word] + bias − label)²): −2/3 · label for each row at 0
    bias, a, b = -2 / 3 * 6, -2 / 3 * 3, -2 / 3 * 3
    assert hook.results[0] == pytest.approx(math.hypot(bias, a, b), rel=1e-6)


@pytest.mark.parametrize("optimizer", [torchest.optimizers.SGD, torch.optim.SGD])
def test_the_gradient_norm_is_how_far_plain_descent_moves(tmp_path, optimizer):
    rows = {"a": ["x", "y", "x", "z"], "b": ["u", "u", "v", "u"], "n": [1.0, 2.0, -1.0, 0.5]}
    words = columns.categorical_column_with_vocabulary_list
    given = [
        columns.embedding_column(words("a", ["x", "y", "z"]), 4),
        columns.embedding_column(words("b", ["u", "v"]), 4),  # a table of the same width
        columns.numeric_column("n"),
    ]
    hook = Fetch("gradient_norm")
    model = torchest.DNNRegressor(
        [3], given, tmp_path, optimizer=lambda p: optimizer(p, lr=1.0), config=QUIET
    )
    model.train(lambda: (rows, [1.0, 2.0, 3.0, 4.0]), hooks=[hook], steps=1)
    before, after = (
        torchest.checkpoint.directory.Checkpoint(str(tmp_path / f"model.ckpt-{step}")).model()
        for step in (0, 1)
    )
    moved = torch.cat([(before[name] - after[name]).flatten() for name in before])
    assert hook.results[0] == pytest.approx(float(moved.norm()), rel=1e-5)


@pytest.mark.parametrize("dense", [False, True])
def test_tables_that_share_a_parameter_are_clipped_one_by_one(dense):
    shared = nn.Parameter(torch.zeros(5, 2))
    look_up(shared, [0, 1, 1, 4], [[3.0, 3.0], [4.0, 4.0], [0.1, 0.1], [8.0, 8.0]])
    if dense:
        row_gradients.densify(shared)
    clip_each(shared, [slice(0, 2), slice(2, 5)], 2.0)
    row_gradients.densify(shared)
    first = 2 * (3**2 + 4.1**2)
    expected = torch.zeros(5, 2)
    expected[0], expected[1] = 3 * 2 / first**0.5, 4.1 * 2 / first**0.5
    expected[4] = 8 * 2 / (2 * 8**2) ** 0.5
    torch.testing.assert_close(shared.grad, expected, rtol=1e-5, atol=0)


def test_a_table_with_a_small_gradient_is_not_scaled_for_another():
    shared = nn.Parameter(torch.zeros(4, 1))
    look_up(shared, [0, 3], [[0.5], [100.0]])
    clip_each(shared, [slice(0, 2), slice(2, 4)], 1.0)
    assert row_gradients.summed(shared).values[0].item() == 0.5
    clip_each(nn.Parameter(torch.zeros(4, 1)), [slice(0, 4)], 1.0)  # has no gradient


def test_the_gradient_norm_is_computed_only_where_a_hook_asks_for_it(tmp_path, monkeypatch):
    computed = []

    def noted(*args):
        computed.append(1)
        return gradient_norm(*args)

    monkeypatch.setattr("torchest.engine.train_step.gradient_norm", noted)

    class Every3rd(Fetch):
        def before_run(self, run_context):
            if run_context.session.global_step % 3 == 0:
                return super().before_run(run_context)
            return None

    hook = Every3rd("gradient_norm")
    linear_model(tmp_path, torch.optim.SGD).train(words_input_fn, hooks=[hook], steps=7)
    assert len(computed) == 3
    assert [result is not None for result in hook.results] == [True, False, False] * 2 + [True]


def test_the_learning_rate_is_that_of_the_step_whatever_moves_it(tmp_path):
    def scheduled(parameters):
        sgd = torch.optim.SGD(parameters, lr=1.0)
        return torch.optim.lr_scheduler.StepLR(sgd, step_size=1, gamma=0.5)

    hook = Fetch("learning_rate")
    model = linear_model(tmp_path, scheduled).train(words_input_fn, hooks=[hook], steps=2)
    model.train(words_input_fn, hooks=[hook], steps=2)
    assert hook.results == [1.0, 0.5, 0.25, 0.125]
    assert isinstance(hook.results[0], np.float32)


def test_a_schedule_of_a_row_optimizer_can_be_fetched(tmp_path):
    hook = Fetch({"rate": "learning_rate", "step": "global_step"})
    model = linear_model(tmp_path, lambda p: Adagrad(p, lr=lambda step: 1.0 / (1 + step)))
    model.train(words_input_fn, hooks=[hook], steps=2)
    assert hook.results == [{"rate": 1.0, "step": 0}, {"rate": 0.5, "step": 1}]


def test_parameters_can_be_fetched_and_do_not_change_afterwards(tmp_path):
    hook = Fetch(["linear.bias", "linear.word.weight"])
    model = linear_model(tmp_path, lambda p: torch.optim.SGD(p, lr=0.1))
    model.train(words_input_fn, hooks=[hook], steps=2)
    first, last = hook.results
    assert first[0] == pytest.approx([0.4])  # 0.1 · 2/3 · (1 + 2 + 3)
    assert np.array_equal(last[1], model.get_variable_value("linear.word.weight"))


def test_the_gradient_norm_of_a_step_that_nobody_asked_for_is_explained(tmp_path):
    class Late(torchest.SessionRunHook):
        def after_run(self, run_context, run_values):
            run_context.session.run("gradient_norm")

    with pytest.raises(ValueError, match="a hook's before_run returned SessionRunArgs"):
        linear_model(tmp_path, torch.optim.SGD).train(words_input_fn, hooks=[Late()], steps=1)


def test_a_parameter_of_one_number_counts_in_the_norm():
    bias = torch.nn.Parameter(torch.tensor(1.0))
    bias.grad = torch.tensor(-3.0)
    assert gradient_norm([bias]).item() == 3.0
