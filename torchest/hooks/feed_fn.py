"""FeedFnHook, which has no meaning on PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchest.engine.hooks import SessionRunHook
from torchest.utils.checks import shown

if TYPE_CHECKING:
    from collections.abc import Callable


class FeedFnHook(SessionRunHook):
    """Raises when constructed: PyTorch has no placeholders to feed.

    Args:
        feed_fn: In tf.estimator, called before every step.

    Raises:
        TypeError: Always; the message says what to write instead.
    """

    def __init__(self, feed_fn: Callable[[], object]) -> None:
        raise TypeError(
            f"FeedFnHook(feed_fn={shown(feed_fn)}): on PyTorch there are no placeholders to feed. Give values that "
            "change from batch to batch as features from the input_fn; set others as attributes of an object that "
            "model_fn reads, in the before_run of a hook."
        )
