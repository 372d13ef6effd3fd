"""Estimators for PyTorch: train, evaluate, predict and export behind one object."""

from torchest.version import __version__

__all__ = ["__version__"]
