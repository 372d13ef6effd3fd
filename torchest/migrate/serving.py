"""Functions that describe what an exported model takes: specs take the place of placeholders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from torchest.migrate.calls import Unfit
from torchest.migrate.report import CHANGED

if TYPE_CHECKING:
    from torchest.migrate.plan import Plan

_RECEIVERS = (
    "tf.estimator.export.ServingInputReceiver",
    "tf.estimator.export.TensorServingInputReceiver",
    "tf.estimator.export.build_raw_serving_input_receiver_fn",
    "tf.contrib.learn.InputFnOps",
)
_SPEC = "torchest.inputs.FixedLenFeature"
PARSES = ("parse_example", "parse_single_example")
_LAST = ("-1", "1")


def is_serving(plan: Plan, function: cst.CSTNode) -> bool:
    """Whether a function makes a receiver."""
    nodes = plan.code.every((cst.Name, cst.Attribute), function)
    if any(plan.code.path_of(node) in _RECEIVERS for node in nodes):
        return True
    return plan.code.uses(("torchest.export.",), function)  # in a program that was rewritten before


def specs_for_placeholders(plan: Plan, function: cst.CSTNode) -> None:
    """Makes specs of the placeholders in a function, and takes the place of added dimensions of size 1."""
    references = plan.inside(function)
    if any(each.path.endswith(PARSES) for each in references):
        return  # serialized examples, for which build_parsing_serving_input_receiver_fn is
    for reference in references:
        call = plan.code.call_of(reference)
        if call is None:
            continue
        if reference.path == "tf.placeholder":
            try:
                _spec(call)
            except Unfit:
                continue
            plan.edit(call, _spec)
            plan.require(_SPEC)
            text = f"tf.placeholder becomes {_SPEC}, without the dimension of the batch."
        elif reference.path == "tf.expand_dims" and _adds_last(call):
            plan.edit(call, lambda updated: updated.args[0].value)
            text = "tf.expand_dims is removed: columns take values [batch] as [batch, 1]."
        else:
            continue
        plan.done.add(reference.node)
        plan.note(reference.node, CHANGED, text, reference.path)


def _adds_last(call: cst.Call) -> bool:
    return len(call.args) == 2 and cst.Module([]).code_for_node(call.args[1].value) in _LAST


def _spec(call: cst.Call) -> cst.BaseExpression:
    """The spec for a placeholder.

    Raises:
        Unfit: Its shape is not written as a list.
    """
    values = {
        argument.keyword.value
        if argument.keyword
        else ("dtype", "shape", "name")[place]: argument.value
        for place, argument in enumerate(call.args)
    }
    if "dtype" not in values or "shape" not in values:
        raise Unfit("its shape is not given")
    dtype = cst.Module([]).code_for_node(values["dtype"])
    return cst.parse_expression(f"{_SPEC}({_inner(values['shape'])}, {dtype})")


def _inner(shape: cst.BaseExpression) -> str:
    """The shape of one example."""
    code = cst.Module([]).code_for_node
    if not isinstance(shape, (cst.List, cst.Tuple)) or not shape.elements:
        raise Unfit("its shape is not a list")
    sizes = [code(element.value) for element in shape.elements]
    if sizes[0] != "None" or "None" in sizes[1:]:
        raise Unfit("its shape has other free dimensions than the batch")
    return f"[{', '.join(sizes[1:])}]"
