"""Where the sides that use torch run: on the first GPU, as estimators do, or on the CPU."""

from __future__ import annotations

import torch

DEVICE = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


def wait() -> None:
    """Waits until the device has done everything."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize(DEVICE)
