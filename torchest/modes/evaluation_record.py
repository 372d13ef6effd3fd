"""The metrics of all evaluations, in a small JSON file beside their events.

    record_evaluation("model/eval", 100, "model/model.ckpt-100", {"loss": 0.5})
    read_evaluations("model/eval")     # {100: {"loss": 0.5}}

Early stopping reads it, so nothing depends on event files.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from torchest.utils import files

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from torchest.utils.json_form import JSON

_log = logging.getLogger("torchest")
_NAME = "evaluations.json"
_in_this_process = 0
FORMAT_VERSION = 1


def record_evaluation(
    directory: str | os.PathLike[str],
    global_step: int,
    checkpoint: str | None,
    metrics: Mapping[str, float],
) -> None:
    """Adds an evaluation, or replaces one of the same step.

    Args:
        directory: The directory of the evaluations, `Estimator.eval_dir(name)`. It must exist.
        global_step: The step of the model.
        checkpoint: The path of the checkpoint; None if there was none.
        metrics: Numbers by name.
    """
    known = _read(files.normal(directory))
    known[str(global_step)] = {
        "checkpoint": checkpoint,
        "metrics": {name: float(value) for name, value in metrics.items()},
    }
    content = {"format_version": FORMAT_VERSION, "evaluations": known}
    files.write_text(
        files.join(files.normal(directory), _NAME), json.dumps(content, indent=1) + "\n"
    )
    count_evaluation()


def count_evaluation() -> None:
    """Counts an evaluation, made now or before an interruption."""
    global _in_this_process  # noqa: PLW0603 - a hook that looks at evaluations asks in each step
    _in_this_process += 1


def evaluations_of_this_process() -> int:
    """The number of calls of `count_evaluation` in this process, for all directories."""
    return _in_this_process


def read_evaluations(directory: str | os.PathLike[str]) -> dict[int, dict[str, float]]:
    """The metrics of the evaluations in a directory, by global step, in the order of the steps.

    Args:
        directory: The directory of the evaluations, `Estimator.eval_dir(name)`.

    Returns:
        For each step the metrics by name; empty if there was no evaluation.
    """
    known = _read(files.normal(directory))
    return {int(step): dict(known[step]["metrics"]) for step in sorted(known, key=int)}


def _read(directory: str) -> JSON:
    path = files.join(directory, _NAME)
    try:
        evaluations: JSON = files.read_json(path)["evaluations"]
        for step, known in evaluations.items():
            _check(step, known)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        _log.warning("%s is not readable: earlier evaluations are forgotten.", path)
        return {}
    return evaluations


def _check(step: str, known: JSON) -> None:
    """Raises if an evaluation does not have the form that `record_evaluation` writes."""
    int(step)
    for value in known["metrics"].values():
        float(value)
