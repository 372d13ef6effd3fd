"""Finds where a loss of NaN comes from: a feature, the labels, a parameter, or a layer."""

from __future__ import annotations

import contextlib
import itertools
import logging
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from torchest.columns.encode.values import cells
from torchest.columns.features import Features
from torchest.columns.layers.stored_parameters import stored_parameters
from torchest.utils import arrays
from torchest.utils.host_copies import on_host
from torchest.utils.nested import named_leaves

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torchest.engine.model import RunningModel
    from torchest.inputs.batch import Batch

_log = logging.getLogger("torchest")


def first_non_finite(model: RunningModel, batch: Batch, mode: str) -> str:
    """Finds the first non-finite number on the way to the loss, and describes it in a clause for an error message.

    Args:
        model: The model with the weights before the step. It runs on the batch again.
        batch: The batch.
        mode: A `ModeKeys`.

    Returns:
        The clause; empty if the search itself fails, since the NaN is the error to report.
    """
    return _tried(lambda: _search(model, batch, mode))


def first_in_labels(labels: object) -> str:
    """The first label that is not finite: a clause for an error message; empty if all are finite.

    Labels without a copy on the host are not checked.
    """
    return _tried(lambda: next(_in_labels(labels), ""))


def _tried(search: Callable[[], str]) -> str:
    try:
        return search()
    except Exception:
        _log.debug("The search for the origin of a NaN failed.", exc_info=True)
        return ""


def _search(model: RunningModel, batch: Batch, mode: str) -> str:
    features, labels = batch
    modules = model.scope.modules()
    ways = (
        _in_features(features),
        _in_columns(features),
        _in_labels(labels),
        _in_parameters(modules),
    )
    for clause in itertools.chain(*ways):
        return clause
    with _watching(modules) as seen, torch.no_grad(), contextlib.suppress(Exception):
        model(features, labels, mode)
    if seen:
        return f"the output of the layer {seen[0]!r} is the first that is not finite"
    return (
        "features, labels, parameters and the outputs of all layers are finite, so that it arises behind them, such "
        "as in the logarithm of a 0, or in the loss"
    )


def _in_labels(labels: object) -> Iterator[str]:
    """Finds labels that are not finite, including those of steps of sequences."""
    yield from _in_values("the label", labels)
    if arrays.is_arrow(labels) and arrays.is_ragged(labels) and not arrays.is_textual(labels):
        flat, offsets = cells(Features({"": labels}), "", "labels", numeric=True).with_offsets()
        numbers = arrays.to_tensor(flat, "labels")
        for place in (~numbers.isfinite()).nonzero()[:1, 0].tolist():
            row = np.searchsorted(offsets, place, "right") - 1
            yield f"the label has {numbers[place].item():g} in row {row} of the batch"


def _in_values(what: str, values: object, name: str = "") -> Iterator[str]:
    """Finds numbers of a batch that are not finite, if the host has a copy."""
    for place, leaf in named_leaves(values, name):
        if not isinstance(leaf, Tensor) or not leaf.is_floating_point():
            continue
        numbers = on_host(leaf)
        if numbers.device.type != "cpu":
            continue
        for wrong in (~numbers.isfinite()).nonzero()[:1].tolist():
            named = f"{what} {place!r}" if place else what
            number = numbers[tuple(wrong)].item()
            yield f"{named} has {number:g} in row {wrong[0] if wrong else 0} of the batch"


def _in_features(features: object) -> Iterator[str]:
    """Finds numeric features that are not finite."""
    if not isinstance(features, Features):
        yield from _in_values("the feature", features)
        return
    for key in features:
        with contextlib.suppress(
            TypeError, ValueError
        ):  # such as dates, which the model did not use
            yield from _in_values("the feature", features[key], str(key))


def _in_columns(features: object) -> Iterator[str]:
    if isinstance(features, Features):
        used = {member for column in features.usage.columns for member in column.members}
        for column in sorted(used, key=lambda column: column.name):
            yield from _in_values("the column", features.encoded(column), column.name)


def _in_parameters(modules: Mapping[str, nn.Module]) -> Iterator[str]:
    for made, module in modules.items():
        for stored in stored_parameters(module):
            if not stored.value.isfinite().all():
                name = f"{made}.{stored.name}"
                yield f"the parameter {name!r} is not finite, since an earlier step"


@contextlib.contextmanager
def _watching(modules: Mapping[str, nn.Module]) -> Iterator[list[str]]:
    """Records the names of layers with outputs that are not finite, in the order of their calls."""
    seen: list[str] = []
    with contextlib.ExitStack() as stack:
        for made, module in modules.items():
            for within, part in module.named_modules():
                name = f"{made}.{within}" if within else made

                def note(_: object, __: object, output: object, name: str = name) -> None:
                    if next(_in_values("", output), None):
                        seen.append(name)

                stack.callback(part.register_forward_hook(note).remove)
        yield seen
