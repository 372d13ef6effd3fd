"""A short form of `make fuzz`, and what it judges by."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import torchest
from benchmarks.fuzz import judge, values
from benchmarks.fuzz.__main__ import campaign
from benchmarks.fuzz.recipes import EXEMPT, RECIPES
from benchmarks.fuzz.report import ENOUGH, Outcome, Result
from benchmarks.fuzz.surface import callables

QUICK = ("columns.categorical", "columns.embedding", "columns.numeric", "optimizers.")


def test_every_public_callable_has_a_recipe_or_a_reason_for_none():
    assert callables().keys() == RECIPES.keys() | EXEMPT.keys()


def test_wrong_calls_get_clear_answers():
    names = [name for name in RECIPES if name.startswith(QUICK)]
    results = campaign(names, seed=0, calls=25, workers=1)
    outcomes = tuple(outcome for result in results for outcome in result.outcomes)
    together = Result("all", outcomes, 0)
    assert len(together.wrong) > 200
    assert together.is_good, [result.unclear for result in results if result.unclear]


@pytest.mark.parametrize(
    ("annotation", "right", "wrong"),
    [
        ("int | None", [None, 3, np.int64(3)], [1.5, True, "1", []]),
        ("float", [0.5, 1], [float("nan"), True, "0.5", None]),
        ("bool", [False, np.True_], [0, "False", None]),
        ("Sequence[str]", [["a"], (), np.array(["a"])], ["a", {"a": 1}, [1], np.array("a")]),
        ("Mapping[str, int]", [{"a": 1}, {}], [{1: 1}, {"a": 1.5}, ["a"]]),
        ("RunConfig | None", [None, torchest.RunConfig()], ["", {}]),
        ("Tensor", [torch.zeros(2), [0.5], 1], ["a", {}, None, object()]),
    ],
)
def test_values_fit_annotations(annotation, right, wrong):
    assert [values.fits(annotation, value) for value in right] == [True] * len(right)
    assert [values.fits(annotation, value) for value in wrong] == [False] * len(wrong)


def verdict(call, **wrong):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - any error is to be judged
        call()
    return judge.judged(caught.value, wrong, ())


def test_a_sentence_of_torchest_with_argument_and_value_is_clear():
    assert verdict(lambda: torchest.RunConfig(model_dir=3), model_dir=3) == judge.CLEAR


def test_a_sentence_about_another_argument_is_not_clear():
    told = verdict(lambda: torchest.RunConfig(model_dir=3), tf_random_seed=3)
    assert told.startswith("does not name the argument: ")


def test_a_sentence_without_the_value_is_not_clear():
    told = verdict(lambda: torchest.RunConfig(model_dir=3), model_dir=4.5)
    assert told.startswith("does not show the value: ")


@pytest.mark.parametrize(
    ("message", "value"),
    [
        ("'a' is no checkpoint.", b"a"),
        ("params=[] must be at least one parameter.", ()),
        ("features are empty.", {}),
        ("input_fn 'verdict' returned None.", verdict),
        ("labels of shape [] are too few.", np.array(1.5)),
    ],
)
def test_a_value_may_be_shown_in_several_ways(message, value):
    assert judge.shows(message, value)
    assert not judge.shows("x must be something else.", value)


def test_an_error_of_a_library_is_not_clear():
    told = verdict(lambda: torchest.columns.Ids.from_padded("ab"), values="ab")
    assert told.startswith("internal: ")


def test_less_than_95_percent_or_a_hang_fails():
    clear = [Outcome("", judge.CLEAR)] * 19
    assert Result("", (*clear, Outcome("", "internal")), 0).share == ENOUGH
    assert Result("", (*clear, Outcome("", "internal")), 0).is_good
    assert not Result("", (*clear, *[Outcome("", "internal")] * 2), 0).is_good
    assert not Result("", (*clear, Outcome("", "hang")), 0).is_good
