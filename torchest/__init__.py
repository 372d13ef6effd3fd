"""Estimators for PyTorch: train, evaluate, predict and export behind one object.

The names stand in `torchest.api`, which is imported when the first of them is asked for: so the command
line can check an exported model where there is no torch.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

from torchest.version import __version__  # noqa: F401

if TYPE_CHECKING:
    from torchest.api import *  # noqa: F403


def __getattr__(name: str) -> Any:
    if name.startswith("__") and name != "__all__":  # what Python asks of every module
        raise AttributeError(f"module 'torchest' has no attribute {name!r}")
    if importlib.util.find_spec(f"torchest.{name}") is not None:
        return importlib.import_module(f"torchest.{name}")
    api = importlib.import_module("torchest.api")
    globals().update({public: getattr(api, public) for public in api.__all__})
    if name in ("__all__", *api.__all__):
        return getattr(api, name)
    from torchest.utils.nearest_names import no_attribute

    raise AttributeError(no_attribute("torchest", name, api.__all__))


def __dir__() -> list[str]:
    return sorted({*globals(), *importlib.import_module("torchest.api").__all__})
