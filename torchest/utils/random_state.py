"""The random states of torch, on the CPU and on the device of a model, and of NumPy and Python."""

from __future__ import annotations

import contextlib
import random
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from torchest.utils.nested import map_nested

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor


def random_state(device: torch.device) -> dict[str, Tensor]:
    """The state, by the kind of device."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    if device.type == "xla":
        state["xla"] = _xla_state()
    return state


def set_random_state(device: torch.device, state: Mapping[str, Tensor]) -> None:
    """Sets a state. The state of the device stays unchanged if it has none."""
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
    if device.type == "xla" and "xla" in state:
        _set_xla_state(state["xla"])


def host_random_state() -> dict[str, Any]:
    """The states of `numpy.random` and `random`, in dicts, tensors and numbers."""
    version, numbers, gauss = random.getstate()
    return {
        "numpy": map_nested(_as_tensor, np.random.get_state(legacy=False), (dict,)),
        "python": {"version": version, "numbers": torch.tensor(numbers), "gauss": gauss},
    }


def set_host_random_state(state: Mapping[str, Any]) -> None:
    """Sets a result of `host_random_state`."""
    np.random.set_state(map_nested(_as_array, state["numpy"], (dict,)))
    python = state["python"]
    random.setstate((python["version"], tuple(python["numbers"].tolist()), python["gauss"]))


def _as_tensor(state: object) -> object:
    return torch.from_numpy(state.astype(np.int64)) if isinstance(state, np.ndarray) else state


def _as_array(state: object) -> object:
    return state.numpy() if isinstance(state, torch.Tensor) else state


def check_host_random_state(state: Mapping[str, Any]) -> None:
    """Checks that a state has the form of `host_random_state`.

    Raises:
        ValueError: It does not.
    """
    before = host_random_state()
    try:
        set_host_random_state(state)
        inner = state["numpy"]["state"]
        if not 0 <= inner["pos"] <= len(inner["key"]):  # numpy would read elsewhere in memory
            raise ValueError
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError):
        raise ValueError("the random state of numpy and Python is invalid") from None
    finally:
        set_host_random_state(before)


def check_random_state(state: Mapping[str, object]) -> None:
    """Checks that a state has the form of `random_state`.

    Raises:
        ValueError: It does not.
    """
    if "cpu" not in state:
        raise ValueError("the random state of the CPU is missing")
    sizes = {"cpu": torch.get_rng_state().numel()}
    for kind, numbers in state.items():
        if not (
            isinstance(numbers, torch.Tensor)
            and numbers.dtype == torch.uint8
            and len(numbers) == sizes.get(kind, len(numbers))
        ):
            raise ValueError(f"the random state of {kind!r} is invalid")


def seed_from(state: Mapping[str, Tensor]) -> int:
    """A number that tells a state from others."""
    return zlib.crc32(state["cpu"].numpy().tobytes())


def seed_step(seed: int, rank: int, step: int) -> None:
    """Seeds a process by these values, each combination differently."""
    mixed = np.random.SeedSequence((seed, rank, step)).generate_state(1, np.uint64)
    seed_of_step = int(mixed[0]) >> 1
    torch.manual_seed(seed_of_step)
    random.seed(seed_of_step)
    np.random.seed(seed_of_step % 2**32)


@contextlib.contextmanager
def kept_random_state(device: torch.device) -> Iterator[None]:
    """A context that restores the random state at the end."""
    state = random_state(device)
    try:
        yield
    finally:
        set_random_state(device, state)


def _xla_state() -> Tensor:
    """The seed of the next step, as bytes."""
    import torch_xla.core.xla_model as xla

    seed: int = xla.get_rng_state()
    return torch.tensor(list(seed.to_bytes(8, "little")), dtype=torch.uint8)


def _set_xla_state(state: Tensor) -> None:
    import torch_xla.core.xla_model as xla

    xla.set_rng_state(int.from_bytes(bytes(state.tolist()), "little"))
