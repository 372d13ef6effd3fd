"""Detects tracing, which does not see operations of NumPy and compiled loops."""

from __future__ import annotations

import torch
from torch.autograd import forward_ad


def is_traced() -> bool:
    """Whether torch observes operations: in a trace, a transform of `torch.func`, forward-mode AD or a dispatch mode.

    It would take results of other operations than torch's for constants.
    """
    return (
        torch._C._are_functorch_transforms_active()
        or torch._C._get_tracing_state() is not None
        or torch._C._len_torch_dispatch_stack() > 0
        or forward_ad._current_level >= 0
    )
