"""Where a model runs. The loop works with a `Strategy` and never asks whether it is distributed."""

from __future__ import annotations

import torch


class Strategy:
    """One device, one process: every method does the least that is right.

    Attributes:
        device: The first CUDA device where there is one, else the CPU.
        is_chief: Whether this process writes checkpoints and events.
    """

    def __init__(self) -> None:
        self.device = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
        self.is_chief = True

    def backward(self, loss: torch.Tensor) -> None:
        """Computes the gradients of a loss."""
        loss.backward()  # type: ignore[no-untyped-call]
