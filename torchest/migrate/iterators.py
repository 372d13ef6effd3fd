"""Iterators of Datasets: an input_fn of torchest returns the Dataset itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst
import libcst.matchers as m

from torchest.migrate.report import BY_HAND, CHANGED, see

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torchest.migrate.plan import Plan

_ITERATOR = ("make_one_shot_iterator", "make_initializable_iterator")
_TEXT = "an input_fn returns the Dataset: its iterator is removed."


def return_datasets(plan: Plan) -> None:
    """Returns Datasets where input_fns return the elements of an iterator."""
    for call in plan.code.every(cst.Call):
        dataset = _dataset_of(plan, call)
        if dataset is None:
            continue
        statements = _to_return(plan, call)
        if not statements:
            text = "return the Dataset instead of its iterator's elements." + see("input")
            plan.note(call, BY_HAND, text)
            continue
        first, *others = statements
        plan.removed.update(others)
        plan.edit(first, _returning(plan, call))
        if not plan.inside(call.func):
            plan.note(call, CHANGED, _TEXT)
        plan.settle(call.func, CHANGED, _TEXT)


def _dataset_of(plan: Plan, call: cst.CSTNode) -> cst.BaseExpression | None:
    """The Dataset whose iterator a call makes."""
    assert isinstance(call, cst.Call)
    if plan.code.path_of(call) == f"tf.data.{_ITERATOR[0]}" and len(call.args) == 1:
        return call.args[0].value
    function = call.func
    if isinstance(function, cst.Attribute) and function.attr.value in _ITERATOR:
        return None if plan.code.path_of(call) else function.value
    return None


def _returning(
    plan: Plan, call: cst.CSTNode
) -> Callable[[cst.SimpleStatementLine], cst.SimpleStatementLine]:
    """The edit of a statement to one that returns the Dataset of an iterator."""
    is_function = bool(plan.code.path_of(call))

    def change(statement: cst.SimpleStatementLine) -> cst.SimpleStatementLine:
        value = statement.body[0].value  # type: ignore[attr-defined]
        if _is_next(value):
            value = value.func.value
        dataset = value.args[0].value if is_function else value.func.value
        space = cst.SimpleWhitespace(" ")
        return statement.with_changes(body=[cst.Return(dataset, whitespace_after_return=space)])

    return change


def _is_next(node: cst.CSTNode) -> bool:
    return m.matches(node, m.Call(func=m.Attribute(attr=m.Name("get_next")), args=[]))


def _to_return(plan: Plan, call: cst.CSTNode) -> list[cst.SimpleStatementLine]:
    """The statements from an iterator to the `return` of its elements; empty if there are others between."""
    line = next(e for e in plan.code.around(call) if isinstance(e, cst.BaseStatement))
    block = plan.code.parent(line)
    if not isinstance(line, cst.SimpleStatementLine) or not isinstance(block, cst.IndentedBlock):
        return []
    if len(line.body) != 1:
        return []
    first = line.body[0]
    value = getattr(first, "value", None)
    method = plan.code.parent(call)
    outer = plan.code.parent(method) if method else None
    elements = outer if outer is not None and _is_next(outer) else None
    if isinstance(first, cst.Return):
        return [line] if elements is not None and value is elements else []
    if not isinstance(first, cst.Assign) or len(first.targets) != 1:
        return []
    place = next(place for place, each in enumerate(block.body) if each is line)
    after = block.body[place + 1 : place + 3]
    target = _plain(first.targets[0].target)
    if value is elements:
        end = _return_of(target, after[:1])
        return [line, *end] if end else []
    if value is not call or not after or not isinstance(after[0], cst.SimpleStatementLine):
        return []
    then = after[0].body[0]
    then_value = getattr(then, "value", None)
    if then_value is None or not _is_next(then_value) or _plain(then_value.func.value) != target:
        return []
    if isinstance(then, cst.Return):
        return [line, after[0]]
    if not isinstance(then, cst.Assign) or len(then.targets) != 1:
        return []
    rest = _return_of(_plain(then.targets[0].target), after[1:])
    return [line, after[0], *rest] if rest else []


def _return_of(target: str, statements: Sequence[cst.CSTNode]) -> list[cst.SimpleStatementLine]:
    """The first of the statements, if it only returns a target."""
    for line in statements:
        if isinstance(line, cst.SimpleStatementLine) and isinstance(line.body[0], cst.Return):
            value = line.body[0].value
            return [line] if value is not None and _plain(value) == target else []
        return []
    return []


def _plain(node: cst.CSTNode) -> str:
    return "".join(cst.Module([]).code_for_node(node).split()).strip("()")
