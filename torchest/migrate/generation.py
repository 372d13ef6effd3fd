"""Whether a program was written for TensorFlow 1 or 2, whose premade estimators have other defaults."""

from __future__ import annotations

import functools
import importlib.resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torchest.migrate.references import Reference


@functools.cache
def only_in_tensorflow_1() -> frozenset[str]:
    """The names that TensorFlow 1 has and TensorFlow 2 has not."""
    file = importlib.resources.files("torchest.migrate") / "only_in_tensorflow_1.txt"
    return frozenset(file.read_text(encoding="utf-8").split())


def sign_of_tensorflow_1(references: Iterable[Reference]) -> Reference | None:
    """The first use of a name that only TensorFlow 1 has; None if there is none."""
    return next((each for each in references if _is_first(each)), None)


def sign_of_tensorflow_2(references: Iterable[Reference]) -> Reference | None:
    """The first use of `tf.compat`, by which programs for TensorFlow 2 use older names."""
    return next((each for each in references if each.is_explicit), None)


def _is_first(reference: Reference) -> bool:
    if reference.is_explicit:
        return False
    if reference.is_old:  # import tensorflow.compat.v1 as tf
        return True
    parts = reference.path.split(".")
    return any(".".join(parts[:end]) in only_in_tensorflow_1() for end in range(2, len(parts) + 1))
