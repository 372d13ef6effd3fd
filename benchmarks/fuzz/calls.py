"""The calls of a campaign: right arguments, of which one or two are replaced."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.fuzz import judge, values
from benchmarks.fuzz.recipes import RECIPES
from benchmarks.fuzz.surface import callables

if TYPE_CHECKING:
    from collections.abc import Mapping

RIGHT_FORMS = {bool: np.bool_, int: np.int64}


@dataclass(frozen=True)
class Change:
    """What is wrong in one call.

    Attributes:
        wrong: Names of `values.POOL` by argument.
        right_form: The argument that is given in numpy's type, which is right.
        extra: Arguments that the function does not have: a misspelt one, or one too many.
    """

    wrong: Mapping[str, str]
    right_form: str = ""
    extra: str = ""

    def __str__(self) -> str:
        if self.right_form:
            return f"{self.right_form} in numpy's type"
        return self.extra or ", ".join(f"{name}={value}" for name, value in self.wrong.items())


def changes(name: str, seed: int) -> list[Change]:
    """The calls of one callable; the same ones for the same seed."""
    recipe = RECIPES[name]
    drawn = random.Random(f"{name} {seed}")
    arguments = recipe.arguments()
    singles = [Change({argument: value}) for argument in arguments for value in values.POOL]
    forms = [
        Change({}, right_form=key) for key, value in arguments.items() if type(value) in RIGHT_FORMS
    ]
    pairs = [_pair(drawn, list(arguments)) for _ in range(10 if len(arguments) > 1 else 0)]
    extras = [
        Change({}, extra=kind) for kind in ("unknown keyword", "too many positional arguments")
    ]
    sampled = drawn.sample(singles, min(len(singles), recipe.calls))
    return [*forms, *extras, *sampled, *pairs]


def _pair(drawn: random.Random, arguments: list[str]) -> Change:
    return Change(
        {argument: drawn.choice(list(values.POOL)) for argument in drawn.sample(arguments, 2)}
    )


def verdict(name: str, change: Change) -> str:
    """Makes one call, and judges what becomes of it."""
    recipe = RECIPES[name]
    function = callables()[name] if recipe.function is None else recipe.function()
    arguments = dict(recipe.arguments())
    wrong = {argument: values.POOL[value]() for argument, value in change.wrong.items()}
    arguments.update(wrong)
    if change.right_form:
        value = arguments[change.right_form]
        arguments[change.right_form] = RIGHT_FORMS[type(value)](value)
    surplus = ["surplus"] * 40 if change.extra.startswith("too many") else []
    if change.extra == "unknown keyword":
        arguments["not_an_argument"] = wrong["not_an_argument"] = 1
    try:
        if surplus:
            recipe.then(function(*surplus))
        else:
            recipe.then(function(**arguments))
    except Exception as error:
        if change.right_form:
            return f"right, but refused: {error}"
        return judge.judged(error, wrong, recipe.aliases)
    types = recipe.annotations(function)
    misfits = [key for key, value in wrong.items() if not values.fits(types.get(key, "Any"), value)]
    if misfits or change.extra:
        return "wrong, but accepted"
    return judge.ACCEPTED


def check(name: str) -> None:
    """Makes the right call, which must be accepted."""
    recipe = RECIPES[name]
    function = callables()[name] if recipe.function is None else recipe.function()
    recipe.then(function(**recipe.arguments()))
