"""A model as TorchScript, without the warnings that PyTorch gives at each step."""

from __future__ import annotations

import contextlib
import functools
import logging
import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch.jit._trace import TracerWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_log = logging.getLogger("torchest")


@functools.cache
def tell_of_deprecation() -> None:
    """Logs once what PyTorch says of TorchScript."""
    _log.warning(
        "model.pt is TorchScript, which PyTorch has deprecated and may take away. Where you can, serve model.onnx; "
        "formats=('onnx',) leaves model.pt out."
    )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silences PyTorch's warnings about TorchScript, and about tracing, whose result is checked."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".*torch\.jit", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message=r".*torch\.jit", category=FutureWarning)
        warnings.filterwarnings("ignore", category=TracerWarning)
        yield


def traced(
    module: torch.nn.Module | Callable[..., Any], example: tuple[torch.Tensor, ...]
) -> torch.jit.ScriptModule:
    """A module or a function as TorchScript.

    Args:
        module: Takes and gives tensors.
        example: What it takes, of some batch.
    """
    with quiet(), torch.no_grad():
        found: torch.jit.ScriptModule = torch.jit.trace(module, example, check_trace=False)  # type: ignore[no-untyped-call]
    return found


def save(traced_module: torch.jit.ScriptModule, path: str) -> None:
    """Writes TorchScript to a file."""
    with quiet():
        torch.jit.save(traced_module, path)
