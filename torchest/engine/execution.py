"""How the modules of a model are computed: in which precision, and compiled or not."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from torchest.columns.layers.named_modules import Parts
from torchest.run_config import BFLOAT16, FLOAT32

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager

    from torch import nn


@dataclass(frozen=True)
class Execution:
    """See the attributes of these names of `RunConfig`.

    Attributes:
        precision: One of `run_config.PRECISIONS`.
        compile: Whether modules are compiled.
    """

    precision: str = FLOAT32
    compile: bool = False

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """Inside, torch chooses the precision of each operation, if that is wanted."""
        is_wanted = self.precision == BFLOAT16
        if not is_wanted and not torch.is_autocast_enabled(device.type):
            return contextlib.nullcontext()  # as it is, in a tenth of the time
        return torch.autocast(device.type, torch.bfloat16, enabled=is_wanted)

    def prepare(self, modules: Iterable[nn.Module]) -> None:
        """Has modules compiled, if that is wanted, when they are called next.

        The layers over columns run as they are, between compiled parts: they encode on the host.
        """
        if not self.compile:
            return
        for module in modules:
            for part in module.modules():
                if isinstance(part, Parts):
                    part.forward = torch.compiler.disable(part.forward)  # type: ignore[no-untyped-call]
            module.compile()
