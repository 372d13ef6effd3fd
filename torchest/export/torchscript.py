"""Traces, saves and loads TorchScript, without PyTorch's warnings at each step."""

from __future__ import annotations

import contextlib
import functools
import logging
import warnings
from typing import TYPE_CHECKING

import torch
from torch.jit._trace import TracerWarning

from torchest.export.archives import check_torchscript

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_log = logging.getLogger("torchest")


@functools.cache
def tell_of_deprecation() -> None:
    """Warns once that PyTorch has deprecated TorchScript."""
    _log.warning(
        "model.pt is TorchScript, which PyTorch has deprecated and may remove. Where you can, serve model.onnx; "
        "formats=('onnx',) leaves model.pt out."
    )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silences PyTorch's warnings about TorchScript and about tracing, as results are compared anyway."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".*torch\.jit", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message=r".*torch\.jit", category=FutureWarning)
        warnings.filterwarnings("ignore", category=TracerWarning)
        yield


def traced(
    module: torch.nn.Module | Callable[..., object], example: tuple[torch.Tensor, ...]
) -> torch.jit.ScriptModule:
    """Traces a module, or a function, of tensors.

    Args:
        module: The module or function to trace.
        example: Its arguments for some batch.
    """
    with quiet(), torch.no_grad():
        script: torch.jit.ScriptModule = torch.jit.trace(module, example, check_trace=False)  # type: ignore[no-untyped-call]
    return script


def load(path: str) -> torch.jit.ScriptModule:
    """Reads TorchScript from a file onto the CPU.

    Raises:
        RefusedFileError: It may read or write files.
    """
    check_torchscript(path)
    with quiet():
        script: torch.jit.ScriptModule = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    return script


def save(traced_module: torch.jit.ScriptModule, path: str) -> None:
    """Writes TorchScript to a file."""
    with quiet():
        torch.jit.save(traced_module, path)
