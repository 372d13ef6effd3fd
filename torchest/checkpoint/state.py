"""What state.json of a checkpoint must hold, so that damage is told before anything is made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchest.utils.checks import shown

if TYPE_CHECKING:
    from collections.abc import Collection

_OBJECTS = ("objects", "aliases", "optimizers", "others")


def check_state(state: Any, tensors: Collection[str]) -> None:
    """Looks whether a state is one that training writes.

    Args:
        state: What state.json holds.
        tensors: The names of parameters and buffers.

    Raises:
        ValueError: It is not; says what is wrong, in half a sentence.
    """
    whole(state, "global_step", "global_step")
    for part in _OBJECTS:
        if part in state:  # what no Estimator wrote need not have it: see `Checkpoint.part`
            mapping(state, part, part)
    for name, kind in state.get("objects", {}).items():
        text(kind, f"objects.{name}")
    for name, kept in state.get("aliases", {}).items():
        if text(kept, f"aliases.{name}") not in tensors:
            raise ValueError(f"aliases.{name} is {shown(kept)}, which names no tensor")
    for name in state.get("optimizers", {}):
        _value(state.get("objects"), name, f"objects.{name}")
        _check_optimizer(mapping(state["optimizers"], name, f"optimizers.{name}"), name)
    if state.get("training") is not None:
        mapping(state, "training", "training")


def _check_optimizer(saved: dict[str, Any], name: str) -> None:
    place = f"optimizers.{name}"
    groups = [items(saved, key, f"{place}.{key}") for key in ("made_with", "options", "parameters")]
    if len({len(each) for each in groups}) > 1:
        raise ValueError(f"{place} has lists of several lengths")
    made_with, options, parameters = groups
    for each in (*made_with, *options):
        _check_numbers(each, f"{place}.options")
    for names in parameters:
        if not isinstance(names, list):
            raise ValueError(f"{place}.parameters has {shown(names)} in the place of a list")
        for parameter in names:
            text(parameter, f"{place}.parameters")
    slots = mapping(saved, "numbers", f"{place}.numbers")
    for parameter, numbers in slots.items():
        _check_numbers(numbers, f"{place}.numbers.{parameter}")


def _check_numbers(values: Any, place: str) -> None:
    """Options of an optimizer: plain values, lists of them, and lists of what schedulers keep there by name."""
    if not isinstance(values, dict):
        raise ValueError(f"{place} has {shown(values)} in the place of values by name")
    for name, value in values.items():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict) and each is not value:
                _check_numbers(each, f"{place}.{name}")
            elif isinstance(each, (dict, list)) or is_beyond(each):
                raise ValueError(f"{place}.{name} is {shown(value)}")


def same_kind(value: Any, other: Any) -> bool:
    """Whether one option of an optimizer can stand in the place of another: a number of a number, and so on."""
    if value is None or other is None:
        return True
    kinds: tuple[Any, ...] = (bool, (int, float), str, list)
    of = [next((k for k in kinds if isinstance(each, k)), None) for each in (value, other)]
    return of[0] == of[1]


def is_beyond(value: Any) -> bool:
    """Whether a value is an int that 64 bits do not hold."""
    return isinstance(value, int) and not -(2**63) <= value < 2**64


def whole(values: dict[str, Any], key: str, place: str) -> int:
    """A whole number of at least 0."""
    value = _value(values, key, place)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise ValueError(f"{place} is {shown(value)} in the place of a whole number")
    return value


def mapping(values: dict[str, Any], key: str, place: str) -> dict[str, Any]:
    """An object in braces."""
    value = _value(values, key, place)
    if not isinstance(value, dict):
        raise ValueError(f"{place} is {shown(value)} in the place of values by name")
    return value


def items(values: dict[str, Any], key: str, place: str) -> list[Any]:
    """A list."""
    value = _value(values, key, place)
    if not isinstance(value, list):
        raise ValueError(f"{place} is {shown(value)} in the place of a list")
    return value


def text(value: Any, place: str) -> str:
    """A string."""
    if not isinstance(value, str):
        raise ValueError(f"{place} is {shown(value)} in the place of a string")
    return value


def _value(values: Any, key: str, place: str) -> Any:
    if not isinstance(values, dict) or key not in values:
        raise ValueError(f"{place} is missing")
    return values[key]
