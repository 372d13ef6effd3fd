"""Starts a program that plain `python` runs again under torchrun, in a process for each device."""

from __future__ import annotations

import builtins
import logging
import multiprocessing
import os
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

_log = logging.getLogger("torchest")


def start_again(owner: str, devices: Sequence[torch.device]) -> NoReturn:
    """Runs this program in a process for each device, and ends this one with them.

    Args:
        owner: The strategy, for messages.
        devices: The devices of the processes; of one type.

    Raises:
        RuntimeError: This process is not one that can be started again, such as a notebook.
        SystemExit: The processes have ended.
    """
    size = len(devices)
    if not _is_program():
        raise RuntimeError(
            f"{owner} trains on {size} devices in as many processes, which a notebook, a test or a process of "
            f"multiprocessing cannot start: put the program into a file and run torchrun --nproc-per-node={size} FILE, "
            f"or name one device, such as {_name(devices[0])!r}."
        )
    os.environ["CUDA_VISIBLE_DEVICES"] = _visible(devices)
    _log.info("%s starts this program again in %d processes, one for each device.", owner, size)
    sys.stdout.flush()
    from torch.distributed.run import main

    command = [sys.executable, *sys.orig_argv[1:]]
    main(["--standalone", f"--nproc-per-node={size}", "--no-python", *command])
    raise SystemExit(0)


def _is_program() -> bool:
    """Whether the command line of this process says what it runs."""
    is_interactive = hasattr(sys, "ps1") or hasattr(builtins, "__IPYTHON__")
    is_part = "pytest" in sys.modules or multiprocessing.parent_process() is not None
    has_file = hasattr(sys.modules["__main__"], "__file__") or "-c" in sys.orig_argv
    return has_file and not is_interactive and not is_part


def _name(device: torch.device) -> str:
    return f"/{'gpu' if device.type == 'cuda' else 'cpu'}:{device.index}"


def _visible(devices: Sequence[torch.device]) -> str:
    """CUDA_VISIBLE_DEVICES for processes that see these devices alone, in this order."""
    if devices[0].type == "cpu":
        return ""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else None
    return ",".join(names[each.index] if names else str(each.index) for each in devices)
