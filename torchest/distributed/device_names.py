"""Names of devices, as torch and as TensorFlow write them."""

from __future__ import annotations

import re

import torch

from torchest.utils.checks import listed, shown

_NAME = re.compile(r"(?:.*/)?(?:device:)?(cpu|gpu|cuda)(?::(\d{1,4}))?", re.IGNORECASE)


def all_devices() -> list[torch.device]:
    """All GPUs of this machine, or the CPU if it has none."""
    return [torch.device("cuda", index) for index in range(_gpus())] or [torch.device("cpu", 0)]


def named_devices(argument: str, devices: object) -> list[torch.device]:
    """The devices that an argument names, which need not be there.

    Args:
        argument: The argument, for messages.
        devices: Names such as "/gpu:0", "GPU:0" and "cuda:0", or `torch.device`s.

    Raises:
        ValueError: A name is wrong or there twice, or the names mix GPUs and the CPU.

    >>> named_devices("devices", ["/device:CPU:0"])
    [device(type='cpu', index=0)]
    """
    names = listed(argument, devices, "devices, such as ['/gpu:0', '/gpu:1']")
    named = [_device(f"{argument}={shown(devices)}", name) for name in names]
    if not named or len(set(named)) < len(named) or len({each.type for each in named}) > 1:
        raise ValueError(
            f"{argument}={shown(devices)} must be different GPUs, such as ['/gpu:0', '/gpu:1'], or ['/cpu:0']; leave "
            "it out for all GPUs of this machine."
        )
    return named


def check_are_there(what: str, devices: list[torch.device]) -> None:
    """Raises an error if this machine lacks one of the devices.

    Args:
        what: The argument and its value.
        devices: Named devices.
    """
    count = _gpus()
    missing = [each for each in devices if each.type == "cuda" and each.index >= count]
    if missing:
        raise ValueError(
            f"{what}: {missing[0]} is not there, as torch sees {count} GPUs. Leave it out for all that there are."
        )


def _device(what: str, name: object) -> torch.device:
    match = _NAME.fullmatch(str(name))
    if match is None:
        raise ValueError(
            f"{what}: {shown(name)} is not a device: use names such as '/gpu:0' or 'cuda:0', and '/cpu:0'."
        )
    kind = "cpu" if match[1].lower() == "cpu" else "cuda"
    return torch.device(kind, int(match[2] or 0))


def _gpus() -> int:
    return torch.cuda.device_count() if torch.cuda.is_available() else 0
