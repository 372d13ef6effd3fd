"""The precision of a model, and whether it is compiled."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from torchest.columns.layers.named_modules import Parts
from torchest.engine.sync_batch_norm import synchronise
from torchest.run_config import BFLOAT16, FLOAT16, FLOAT32

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager

    from torch import nn


_DTYPES = {BFLOAT16: torch.bfloat16, FLOAT16: torch.float16}


@dataclass(frozen=True)
class Execution:
    """See the attributes of these names of `RunConfig`.

    Attributes:
        precision: One of `run_config.PRECISIONS`.
        compile: Whether modules are compiled.
        sync_batch_norm: Whether layers of batch normalisation use the batches of all processes, of which there are
            several.
    """

    precision: str = FLOAT32
    compile: bool = False
    sync_batch_norm: bool = False

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """A context in which torch uses numbers of 16 bits where possible, if `precision` has them."""
        if not self.changes(device):
            return contextlib.nullcontext()  # a tenth of the cost of a disabled autocast
        dtype = _DTYPES.get(self.precision)
        return torch.autocast(device.type, dtype or torch.bfloat16, enabled=dtype is not None)

    def changes(self, device: torch.device) -> bool:
        """Whether `autocast` changes what torch does outside of it."""
        return self.precision in _DTYPES or torch.is_autocast_enabled(device.type)

    def prepare(self, modules: Iterable[nn.Module]) -> None:
        """Changes how modules run from their next call on.

        If they are compiled, the layers over columns, which encode on the host, run between compiled parts.
        """
        modules = list(modules)
        if self.sync_batch_norm:
            synchronise(modules)
        for module in modules if self.compile else ():
            for part in module.modules():
                if isinstance(part, Parts):
                    part.forward = torch.compiler.disable(part.forward)  # type: ignore[no-untyped-call]
            module.compile()
