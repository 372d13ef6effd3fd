"""Statements and arguments that have no effect in torchest: graphs, sessions' settings, scopes of names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import libcst as cst

from torchest.migrate.plan import without
from torchest.migrate.references import dotted, every, root_of
from torchest.migrate.report import BY_HAND, CHANGED

if TYPE_CHECKING:
    from torchest.migrate.plan import Plan
    from torchest.migrate.references import Reference

_WITHOUT_EFFECT = (
    "tf.config.threading.",
    "tf.disable_",
    "tf.enable_",
    "tf.keras.backend.clear_session",
    "tf.reset_default_graph",
    "tf.summary.FileWriterCache.clear",
)
_CONFIG = "tf.ConfigProto"
UPDATES = ("tf.get_collection", "tf.GraphKeys.UPDATE_OPS")
SCOPES = ("tf.Graph", "tf.control_dependencies", "tf.device", "tf.name_scope", "tf.variable_scope")


def remove_calls(plan: Plan) -> None:
    """Removes statements that only call a function without effect."""
    for reference in plan.code.references:
        call = plan.code.call_of(reference)
        if call is None or not reference.path.startswith(_WITHOUT_EFFECT):
            continue
        expression = plan.code.parent(call)
        line = plan.code.parent(expression) if isinstance(expression, cst.Expr) else None
        if isinstance(line, cst.SimpleStatementLine) and len(line.body) == 1:
            plan.removed.add(line)
            plan.settle(line, CHANGED, f"{reference.path}() is removed: it would have no effect.")


def remove_configs(plan: Plan) -> None:
    """Removes `session_config` and what makes it, if nothing else uses it."""
    for reference in plan.code.references:
        if reference.path == _CONFIG and reference.node not in plan.done:
            call = plan.code.call_of(reference)
            around = plan.code.parent(call) if call else None
            if isinstance(around, cst.Arg) and _is_config(around):
                _drop(plan, around)
            elif isinstance(around, cst.Assign):
                _remove_variable(plan, reference, around)


def remove_update_ops(plan: Plan) -> None:
    """Removes what collects the updates of batch normalisation, which modules of torch make themselves."""
    for reference in plan.code.references:
        call = plan.code.call_of(reference)
        if reference.path != UPDATES[0] or call is None or reference.node in plan.done:
            continue
        if len(call.args) != 1 or plan.code.path_of(call.args[0].value) != UPDATES[1]:
            continue
        assign = plan.code.parent(call)
        around = plan.code.parent(assign) if assign else None
        if isinstance(assign, cst.Assign) and _only_for_scopes(plan, assign):
            plan.removed.add(around)  # type: ignore[arg-type]
            plan.settle(call, CHANGED, "UPDATE_OPS is removed: layers update their statistics.")


def _only_for_scopes(plan: Plan, assign: cst.Assign) -> bool:
    """Whether a variable is only used in `with tf.control_dependencies(variable)`, which can go."""
    target = assign.targets[0].target
    scope = next(
        each for each in plan.code.around(assign) if isinstance(each, (cst.FunctionDef, cst.Module))
    )
    for name in plan.code.every(cst.Name, scope):
        if name.value != dotted(target) or name is target:
            continue
        argument = plan.code.parent(name)
        call = plan.code.parent(argument) if isinstance(argument, cst.Arg) else None
        block = next((e for e in plan.code.around(name) if isinstance(e, cst.With)), None)
        is_scope = call is not None and plan.code.path_of(call) == "tf.control_dependencies"
        if not is_scope or block not in plan.unwrapped:
            return False
    return True


def _is_config(argument: cst.Arg) -> bool:
    return argument.keyword is not None and argument.keyword.value == "session_config"


def _drop(plan: Plan, argument: cst.Arg) -> None:
    call = plan.code.parent(argument)
    assert isinstance(call, cst.Call)
    place = [each is argument for each in call.args].index(True)
    plan.edit(call, lambda updated: without(updated, {place}))
    text = "session_config is removed: it would have no effect."
    plan.settle(argument, CHANGED, text)
    plan.note(argument, CHANGED, text)


def _remove_variable(plan: Plan, reference: Reference, assign: cst.Assign) -> None:
    target = assign.targets[0].target
    if len(assign.targets) != 1 or not isinstance(target, cst.Name):
        return
    scope = next(
        each for each in plan.code.around(assign) if isinstance(each, (cst.FunctionDef, cst.Module))
    )
    statements, arguments = set(), set()
    for name in plan.code.every(cst.Name, scope):
        if name.value != target.value or _is_attribute(plan, name):
            continue
        argument = plan.code.parent(name)
        statement = next(e for e in plan.code.around(name) if isinstance(e, cst.BaseStatement))
        if isinstance(argument, cst.Arg) and _is_config(argument):
            arguments.add(argument)
        elif isinstance(argument, cst.Arg) and argument.keyword is name:
            continue
        elif isinstance(statement, cst.SimpleStatementLine) and _sets(statement, target.value):
            statements.add(statement)
        else:
            return
    for argument in arguments:
        _drop(plan, argument)
    for statement in statements:
        plan.removed.add(statement)
        plan.settle(statement, CHANGED, f"{reference.path} is removed: it would have no effect.")


def _is_attribute(plan: Plan, name: cst.CSTNode) -> bool:
    parent = plan.code.parent(name)
    return isinstance(parent, cst.Attribute) and parent.attr is name


def _sets(statement: cst.SimpleStatementLine, name: str) -> bool:
    """Whether a statement only sets a variable or an attribute of it."""
    first = statement.body[0]
    return (
        len(statement.body) == 1
        and isinstance(first, cst.Assign)
        and all(root_of(each.target) == name for each in first.targets)
        and not any(root_of(each) == name for each in every(first.value, cst.Name))
    )


def unwrap_scopes(plan: Plan) -> None:
    """Takes the bodies out of `with` statements of scopes, devices and graphs that contain nothing of TensorFlow."""
    for reference in plan.code.references:
        call = plan.code.call_of(reference)
        if call is None or reference.path not in SCOPES or reference.node in plan.done:
            continue
        if reference.path == "tf.Graph":  # with tf.Graph().as_default():
            method = plan.code.parent(call)
            outer = plan.code.parent(method) if method else None
            if not isinstance(method, cst.Attribute) or method.attr.value != "as_default":
                continue
            call = outer if isinstance(outer, cst.Call) else call
        item = plan.code.parent(call)
        block = plan.code.parent(item) if isinstance(item, cst.WithItem) else None
        if isinstance(block, cst.With) and _is_free(plan, block):
            plan.unwrapped.add(block)
            plan.settle(
                block.items[0], CHANGED, f"{reference.path} is removed: it would have no effect."
            )


def _is_free(plan: Plan, block: cst.With) -> bool:
    left = {each.node for each in plan.left}
    inside = plan.code.every((cst.Name, cst.Attribute), block)
    return (
        len(block.items) == 1
        and block.items[0].asname is None
        and isinstance(block.body, cst.IndentedBlock)
        and not left.intersection(inside)
    )


def name_fetches(plan: Plan) -> None:
    """Gives hooks the names of values instead of tensors: {"loss": loss} becomes {"loss": "loss"}."""
    for reference in plan.code.references:
        call = plan.code.call_of(reference)
        if call is None or not reference.path.endswith(".LoggingTensorHook") or not call.args:
            continue
        tensors = next((each for each in call.args if _is_named(each, "tensors")), call.args[0])
        values = tensors.value
        if isinstance(values, cst.Dict):
            for element in values.elements:
                _name_fetch(plan, element, getattr(element, "key", None))
        elif isinstance(values, (cst.List, cst.Tuple)):
            for each in values.elements:
                _name_fetch(plan, each, None)
        else:
            plan.note(call, BY_HAND, _NO_NAME)


def _name_fetch(plan: Plan, element: Any, key: cst.BaseExpression | None) -> None:
    value = element.value
    known = [key, value]
    names = [each.evaluated_value for each in known if isinstance(each, cst.SimpleString)]
    if isinstance(value, cst.SimpleString) and names[-1] in _FETCHES:
        return
    is_name = isinstance(key, cst.SimpleString) and names[0] in _FETCHES and dotted(value)
    if is_name:
        plan.edit(element, lambda updated: updated.with_changes(value=updated.key))
        plan.note(element, CHANGED, f"a hook gets the name {names[0]!r} instead of a tensor.")
    else:
        plan.note(element, BY_HAND, _NO_NAME)


def _is_named(argument: cst.Arg, name: str) -> bool:
    return argument.keyword is not None and argument.keyword.value == name


_FETCHES = ("loss", "learning_rate", "global_step")
_NO_NAME = (
    "a hook fetches values by name: the key of a prediction or a metric, or the name of a parameter. Return the tensor "
    "among the predictions, and give its key here."
)
