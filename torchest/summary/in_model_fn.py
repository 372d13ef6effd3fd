"""Summaries of values in a model_fn, which TensorBoard shows.

    def model_fn(features, labels, mode):
        ...
        torchest.summary.scalar("temperature", temperature)
        torchest.summary.histogram("logits", logits)

They are written at the first step of a training and every `RunConfig(save_summary_steps=)` steps after it, by the
`SummarySaverHook` of every training. In all other steps, and in evaluation and prediction, they have no effect and take
no time. If several processes train, the values are those of the chief's batch.
"""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from torch import Tensor

from torchest.utils import checks
from torchest.utils.arrays import in_numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt

    from torchest.summary.writer import SummaryWriter

SUMMARIES = "summaries"  # the name by which hooks fetch them


class Summary(NamedTuple):
    """A value to write.

    Attributes:
        method: The method of `SummaryWriter` that writes it.
        value: A tensor that nothing else changes, an array or a text.
    """

    method: str
    value: Any


_collected: ContextVar[dict[str, Summary] | None] = ContextVar("torchest_summaries", default=None)


def scalar(name: str, tensor: Tensor | float) -> None:
    """Writes a number.

    Args:
        name: The name in TensorBoard. A second value of a name in one model_fn gets the name `<name>_1`.
        tensor: A tensor of one number, or a number.

    Raises:
        ValueError: The name is not a string, or the value not one number. Values are checked when they are written.
    """
    if _is_due(name):
        array = _numbers(name, "tensor", tensor)
        if array.size != 1:
            raise ValueError(
                f"summary.scalar({name!r}): tensor has the shape {list(array.shape)}, but must be one number: take its "
                "mean, or write a histogram."
            )
        _add(name, "add_scalar", array.item())


def histogram(name: str, values: Tensor | npt.ArrayLike) -> None:
    """Writes a histogram of the finite numbers among values.

    Args:
        name: See `scalar`.
        values: Numbers of any shape.

    Raises:
        ValueError: The name is not a string, or the values not numbers.
    """
    if _is_due(name):
        _add(name, "add_histogram", _numbers(name, "values", values))


def text(name: str, tensor: str) -> None:
    """Writes a text, which TensorBoard renders as Markdown.

    Args:
        name: See `scalar`.
        tensor: The text.

    Raises:
        ValueError: The name or the text is not a string.
    """
    if _is_due(name):
        _add(name, "add_text", checks.text(f"summary.text({name!r}): tensor", tensor, empty=True))


def image(name: str, tensor: Tensor | npt.ArrayLike, max_outputs: int = 3) -> None:
    """Writes images.

    Args:
        name: See `scalar`.
        tensor: Images [batch, height, width, channels] of 1, 3 or 4 channels: uint8, or numbers from 0 to 1. Images of
            torch have their channels in dimension 1: `images.permute(0, 2, 3, 1)`.
        max_outputs: The number of images to write, the first ones of the batch.

    Raises:
        ValueError: The name is not a string, or the tensor has another shape.
    """
    if _is_due(name):
        count = checks.whole_number(
            f"summary.image({name!r}): max_outputs", max_outputs, at_least=1
        )
        array = _numbers(name, "tensor", tensor)
        if array.ndim != 4 or array.shape[3] not in (1, 3, 4):
            raise ValueError(
                f"summary.image({name!r}): tensor has the shape {list(array.shape)}, but must be [batch, height, "
                "width, channels] with 1, 3 or 4 channels, such as images.permute(0, 2, 3, 1)."
            )
        _add(name, "add_images", array[:count])


@contextlib.contextmanager
def collecting(into: dict[str, Summary]) -> Iterator[None]:
    """A context in which summaries are collected by name; later ones replace those that were there before."""
    collected: dict[str, Summary] = {}
    token = _collected.set(collected)
    try:
        yield
    finally:
        _collected.reset(token)
    into.update(collected)


def write(summaries: Mapping[str, Summary], writer: SummaryWriter, step: int) -> None:
    """Writes summaries of a step."""
    for name, (method, value) in summaries.items():
        getattr(writer, method)(name, value, step)


def _is_due(name: str) -> bool:
    """Whether summaries of this step are written."""
    if not isinstance(name, str) or not name:
        checks.text("name", name)
    return _collected.get() is not None


def _add(name: str, method: str, value: object) -> None:
    collected = _collected.get()
    assert collected is not None
    free, number = name, 0
    while free in collected:
        number += 1
        free = f"{name}_{number}"
    collected[free] = Summary(method, value)


def _numbers(name: str, argument: str, value: object) -> npt.NDArray[Any]:
    """A copy of numbers on the host."""
    if isinstance(value, Tensor):
        value = in_numpy_dtype(value.detach()).cpu().numpy()
    array = np.array(value)
    if array.dtype.kind not in "biuf":
        raise ValueError(
            f"summary {name!r}: {argument}={checks.shown(value)} must be a tensor of numbers."
        )
    return array
