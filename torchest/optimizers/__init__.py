"""Optimizers that compute what TensorFlow computes, and touch only the rows of tables that a batch used."""

from torchest.optimizers.ftrl import Ftrl

__all__ = ["Ftrl"]
