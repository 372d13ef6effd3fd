"""`tf.train.get_global_step`: what stands for the number of steps in programs for TensorFlow 1."""

from __future__ import annotations


class GlobalStep:
    """Stands for the number of steps so far: give it to the schedules and to `Optimizer.minimize`.

    It is no number. Schedules compute the learning rate from the number of steps of each step; hooks fetch
    "global_step".
    """

    def __repr__(self) -> str:
        return "get_global_step()"


_GLOBAL_STEP = GlobalStep()


def get_global_step() -> GlobalStep:
    """What stands for the number of steps so far.

    >>> from torchest.v1 import train
    >>> train.exponential_decay(0.1, train.get_global_step(), 1000, 0.9)
    ExponentialDecay(initial_learning_rate=0.1, decay_steps=1000, decay_rate=0.9, staircase=False)
    """
    return _GLOBAL_STEP


def get_or_create_global_step() -> GlobalStep:
    """The same as `get_global_step`."""
    return _GLOBAL_STEP
