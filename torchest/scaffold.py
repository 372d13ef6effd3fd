"""Scaffold: what a model_fn wants done once, when its objects have been made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchest.utils.checks import shown

if TYPE_CHECKING:
    from collections.abc import Callable


class Scaffold:
    """What is done once with a new model; `EstimatorSpec(scaffold=...)` takes it.

    Args:
        init_fn: A function of the scaffold and the session (see `SessionRunHook`) that is called once after the
            first call of model_fn has made all objects, before the first checkpoint is written: it may load
            weights, for instance. It is not called where a checkpoint is restored. Gradients are off in it.

    Raises:
        TypeError: `init_fn` cannot be called.

    >>> scaffold = Scaffold(lambda scaffold, session: print("made"))
    >>> scaffold.init_fn(scaffold, None)
    made
    """

    def __init__(self, init_fn: Callable[[Scaffold, Any], object] | None = None) -> None:
        if init_fn is not None and not callable(init_fn):
            raise TypeError(
                f"Scaffold: init_fn={shown(init_fn)} must be a function of (scaffold, session), or None."
            )
        self.init_fn = init_fn
