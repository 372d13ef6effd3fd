"""Values of the last step, kept in a hook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchest.engine.fetches import names_in
from torchest.engine.hooks import SessionRunHook
from torchest.utils.checks import shown

if TYPE_CHECKING:
    from torchest.engine.hooks import Session


class FinalOpsHook(SessionRunHook):
    """Keeps values of the last step for use after the loop.

        hook = torchest.FinalOpsHook(["loss", "global_step"])
        model.train(input_fn, hooks=[hook], steps=100)
        loss, step = hook.final_ops_values

    Args:
        final_ops: Names of values, as in `SessionRunArgs`. In an evaluation, metrics are over all its batches.
        final_ops_feed_dict: Must be None: nothing can be fed.

    Raises:
        ValueError: `final_ops_feed_dict` is not None, or `final_ops` has something other than names.
    """

    def __init__(self, final_ops: object, final_ops_feed_dict: None = None) -> None:
        if final_ops_feed_dict is not None:
            raise ValueError(
                "FinalOpsHook: final_ops_feed_dict must be None: nothing can be fed on PyTorch. Leave "
                f"final_ops_feed_dict={shown(final_ops_feed_dict)} out."
            )
        try:
            list(names_in([] if final_ops is None else final_ops))
        except TypeError:
            raise ValueError(
                f"FinalOpsHook: final_ops={shown(final_ops)} must be the name of a value, such as 'loss', or lists, "
                "tuples and dicts of names."
            ) from None
        self._final_ops = final_ops
        self._values: object = None

    @property
    def final_ops_values(self) -> Any:
        """The values as NumPy, in the structure of `final_ops`; None before the loop ends."""
        return self._values

    def end(self, session: Session) -> None:
        """Keeps the values."""
        self._values = None if self._final_ops is None else session.run(self._final_ops)
