"""Calls a function that computes logits, with the arguments that it takes.

>>> import torch
>>> def logit_fn(features, params):
...     return features["x"] * params["factor"]
>>> call_logit_fn(logit_fn, {"x": torch.ones(1, 1)}, "train", {"factor": 2.0}, None)
tensor([[2.]])
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping

from torch import Tensor

from torchest.keys import ModeKeys
from torchest.utils.checks import one_of, shown


def call_logit_fn(
    logit_fn: Callable[..., Tensor | Mapping[str, Tensor]],
    features: object,
    mode: str,
    params: object,
    config: object,
) -> Tensor | Mapping[str, Tensor]:
    """Calls `logit_fn` with `features`, and with those of `mode`, `params` and `config` that it names.

    Args:
        logit_fn: Takes `features` and any of `mode`, `params`, `config`; other arguments need defaults.
        features: Features of a batch.
        mode: A `ModeKeys`.
        params: Hyperparameters.
        config: A `RunConfig`.

    Returns:
        Logits, or a dict of logits by head name, as `MultiHead` takes them.

    Raises:
        TypeError: `logit_fn` cannot be called with these arguments.
        ValueError: It returned something else.
    """
    if not callable(logit_fn):
        raise TypeError(
            f"logit_fn={shown(logit_fn)} must be a function of (features, mode, params, config)."
        )
    one_of("mode", mode, (ModeKeys.TRAIN, ModeKeys.EVAL, ModeKeys.PREDICT))
    signature = inspect.signature(logit_fn)
    optional = {"mode": mode, "params": params, "config": config}
    named = {name: value for name, value in optional.items() if name in signature.parameters}
    arguments = {"features": features, **named}
    try:
        signature.bind(**arguments)
    except TypeError as error:
        raise TypeError(
            f"logit_fn{signature} cannot be called: {error}. It must take 'features', and may take 'mode', 'params' "
            "and 'config'."
        ) from None
    logits = logit_fn(**arguments)
    values = list(logits.values()) if isinstance(logits, Mapping) else [logits]
    if not all(isinstance(value, Tensor) for value in values):
        raise ValueError(
            f"logit_fn={shown(logit_fn)} must return a tensor, or a dict of tensors by name; it returned "
            f"{shown(logits)}."
        )
    return logits
