"""Whether torch follows operations, in which case numpy and compiled loops would hide what they do."""

from __future__ import annotations

import torch
from torch.autograd import forward_ad


def is_traced() -> bool:
    """Whether operations are followed: by a trace, a transform of `torch.func`, forward-mode AD or a dispatch mode.

    What is found in another way than by operations of torch would be a constant to them.
    """
    return (
        torch._C._are_functorch_transforms_active()
        or torch._C._get_tracing_state() is not None
        or torch._C._len_torch_dispatch_stack() > 0
        or forward_ad._current_level >= 0
    )
