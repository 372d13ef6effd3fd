"""Calls with other arguments: templates, and the code that they make of a call.

"tf.argmax": "input axis/dimension -name | torch.argmax({input}, dim={axis=0})"

Before the bar are TensorFlow's arguments in their order: `axis/dimension` has two names, `-name` is dropped, and a call
with any other argument does not fit. In the code, `{axis}` is required, `{axis?}` is left out with its keyword if the
call lacks it, and `{axis=0}` has a default. A template without arguments stands for the name alone.

>>> module = cst.parse_module("")
>>> call = cst.parse_expression("tf.argmax(logits, name='best')")
>>> module.code_for_node(filled("input axis -name | torch.argmax({input}, dim={axis=0})", call))
'torch.argmax(logits, dim=0)'
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

if TYPE_CHECKING:
    from collections.abc import Mapping

_SLOT = re.compile(r"\{(\w+)(\?|=[^}]*)?\}")
_PIECE = re.compile(r",?\s*(?:\w+=)?\{(\w+)\?\}")
_SIMPLE = (cst.Name, cst.Attribute, cst.Call, cst.Subscript, cst.Integer, cst.Float)


class Unfit(Exception):  # noqa: N818 - it never reaches users
    """A call does not fit a template; the message says why."""


@dataclass(frozen=True)
class Template:
    """A template, taken apart.

    Attributes:
        names: Names of TensorFlow's arguments in their order, each with its other names.
        dropped: Those that have no effect.
        code: The code with slots.
    """

    names: tuple[tuple[str, ...], ...]
    dropped: frozenset[str]
    code: str

    @classmethod
    def of(cls, text: str) -> Template:
        """Takes a template apart."""
        arguments, _, code = text.partition("|")
        names = tuple(tuple(each.lstrip("-").split("/")) for each in arguments.split())
        dropped = frozenset(each[1:] for each in arguments.split() if each.startswith("-"))
        return cls(names, dropped, code.strip())

    @property
    def function(self) -> str:
        """The name of the function that the code calls on the first argument or arguments in their order."""
        return self.code.partition("(")[0]

    @property
    def is_name(self) -> bool:
        """Whether it stands for a name, with the same arguments if it is called."""
        return not self.names

    @property
    def is_plain(self) -> bool:
        """Whether its function has the same arguments by place, so that it may be passed on."""
        inside = ", ".join(f"{{{each[0]}}}" for each in self.names if each[0] not in self.dropped)
        return self.is_name or self.code == f"{self.function}({inside})"


def filled(template: str, call: cst.Call) -> cst.BaseExpression:
    """The code that takes the place of a call.

    Raises:
        Unfit: The call has an argument that the template has not, or lacks one.
    """
    parts = Template.of(template)
    values = _values(parts, call)
    kept = _in_place(parts, call, values)
    if kept is not None:
        return kept
    texts = {name: _text(argument.value, parts.code) for name, argument in values.items()}
    code = _PIECE.sub(lambda piece: piece[0] if piece[1] in texts else "", parts.code)
    code = _SLOT.sub(lambda slot: _slot(slot, texts), code)
    return cst.parse_expression(code.replace("(, ", "("))


def _values(parts: Template, call: cst.Call) -> dict[str, cst.Arg]:
    """The arguments of a call by their first names, without those that have no effect."""
    values: dict[str, cst.Arg] = {}
    by_name = {name: names[0] for names in parts.names for name in names}
    for place, argument in enumerate(call.args):
        if argument.star:
            raise Unfit("its arguments are unpacked")
        if argument.keyword is not None:
            name = by_name.get(argument.keyword.value, "")
        else:
            name = parts.names[place][0] if place < len(parts.names) else ""
        if not name or not _has_slot(parts, name):
            shown = argument.keyword.value if argument.keyword else f"{place + 1}"
            raise Unfit(f"its argument {shown} has no equal")
        values[name] = argument
    for slot in _SLOT.finditer(parts.code):
        if slot[2] is None and slot[1] not in values:
            raise Unfit(f"it has no argument {slot[1]}")
    return {name: value for name, value in values.items() if name not in parts.dropped}


def _has_slot(parts: Template, name: str) -> bool:
    return name in parts.dropped or any(slot[1] == name for slot in _SLOT.finditer(parts.code))


def _slot(slot: re.Match[str], texts: Mapping[str, str]) -> str:
    return texts[slot[1]] if slot[1] in texts else str(slot[2])[1:]


def _text(value: cst.BaseExpression, code: str) -> str:
    text = cst.Module([]).code_for_node(value)
    is_alone = isinstance(value, _SIMPLE) or _is_argument(code)
    return text if is_alone or bool(getattr(value, "lpar", None)) else f"({text})"


def _is_argument(code: str) -> bool:
    """Whether all slots are whole arguments, which need no parentheses."""
    return not re.search(r"\}[.\[]|\} [-+*/]|[-+*/] \{|^\{", code)


def _in_place(
    parts: Template, call: cst.Call, values: Mapping[str, cst.Arg]
) -> cst.BaseExpression | None:
    """The call with its arguments where they are, which keeps their format; None if they move or are not alone."""
    whole = re.fullmatch(r"[\w.]+\(((?:\w+=)?\{\w+[?]?\}(?:, (?:\w+=)?\{\w+[?]?\})*)\)", parts.code)
    if whole is None or not values:
        return None
    slots = [
        (piece.partition("{")[0].rstrip("="), piece.partition("{")[2].rstrip("?}"))
        for piece in whole[1].split(", ")
    ]
    present = [(keyword, name) for keyword, name in slots if name in values]
    by_argument = {id(argument): name for name, argument in values.items()}
    order = [by_argument[id(argument)] for argument in call.args if id(argument) in by_argument]
    if order != [name for _, name in present]:
        return None
    last = call.args[-1]
    arguments = [with_keyword(values[name], keyword) for keyword, name in present]
    if values[order[-1]] is not last:  # arguments at the end were dropped
        arguments[-1] = arguments[-1].with_changes(
            comma=last.comma, whitespace_after_arg=last.whitespace_after_arg
        )
    return call.with_changes(func=cst.parse_expression(parts.function), args=arguments)


def with_keyword(argument: cst.Arg, keyword: str) -> cst.Arg:
    """An argument with another keyword; "" for none."""
    if not keyword:
        return argument.with_changes(keyword=None, equal=cst.MaybeSentinel.DEFAULT)
    if argument.keyword is not None:
        return argument.with_changes(keyword=cst.Name(keyword))
    equal = cst.AssignEqual(cst.SimpleWhitespace(""), cst.SimpleWhitespace(""))
    return argument.with_changes(keyword=cst.Name(keyword), equal=equal)
