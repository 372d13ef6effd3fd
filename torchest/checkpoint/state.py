"""Checks of the contents of state.json, before any of it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchest.utils.checks import shown
from torchest.utils.json_form import JSON, Form, check_form, object_or_none, optional, whole

if TYPE_CHECKING:
    from collections.abc import Collection


def check_state(state: JSON, tensors: Collection[str]) -> None:
    """Checks that a state is one that training writes.

    Args:
        state: What state.json holds.
        tensors: The names of parameters and buffers.

    Raises:
        ValueError: It is not. The message is a clause that says what is wrong.
    """
    check_form(state, _STATE)
    for name, kept in state.get("aliases", {}).items():
        if kept not in tensors:
            raise ValueError(f"aliases.{name} is {shown(kept)}, which names no tensor")
    for name, saved in state.get("optimizers", {}).items():
        check_form(state, {"objects": {name: str}})
        if len({len(saved[key]) for key in ("made_with", "options", "parameters")}) > 1:
            raise ValueError(f"optimizers.{name} has lists of several lengths")
        names = [len(of_group) for of_group in saved["parameters"]]
        if "sharing" in saved and list(map(sum, saved["sharing"])) != names:
            raise ValueError(f"optimizers.{name}.sharing does not match its parameters")


def same_kind(value: object, other: object) -> bool:
    """Whether one option of an optimizer can replace another: a number a number, and so on."""
    if value is None or other is None:
        return True
    kinds: tuple[type | tuple[type, ...], ...] = (bool, (int, float), str, list)
    of = [next((k for k in kinds if isinstance(each, k)), None) for each in (value, other)]
    return of[0] == of[1]


def _option(value: object) -> bool:
    """Whether a value is an option: a plain value, a list of them, or the entries that schedulers add by name."""
    if isinstance(value, list):
        return all(
            all(map(_option, each.values()))
            if isinstance(each, dict)
            else not isinstance(each, list) and _option(each)
            for each in value
        )
    if isinstance(value, int):
        return -(2**63) <= value < 2**64
    return not isinstance(value, dict)


_OPTIONS: Form = {str: _option}
_OPTIMIZER: Form = {
    "made_with": [_OPTIONS],
    "options": [_OPTIONS],
    "parameters": [[str]],
    "sharing": optional([[whole]]),
    "numbers": {str: _OPTIONS},
}
# What no Estimator wrote need not have all: see `Checkpoint.part`.
_STATE: Form = {
    "global_step": whole,
    "objects": optional({str: str}),
    "aliases": optional({str: str}),
    "optimizers": optional({str: _OPTIMIZER}),
    "others": optional(dict),
    "training": optional(object_or_none),
}
