"""What an exporter is: it may export a model after each evaluation."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torchest.estimator import Estimator


class Exporter(abc.ABC):
    """Is called by `train_and_evaluate` after each evaluation, and decides whether to export."""

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """Names the directory of the exports; no two exporters of an `EvalSpec` have the same."""

    @abc.abstractmethod
    def export(
        self,
        estimator: Estimator,
        export_path: str,
        checkpoint_path: str,
        eval_result: Mapping[str, Any],
        is_the_final_export: bool,
    ) -> Any:
        """Exports the model, if the exporter finds that it should be.

        Args:
            estimator: The estimator.
            export_path: The directory for this exporter's exports: `<model_dir>/export/<name>`.
            checkpoint_path: The checkpoint that was evaluated.
            eval_result: What `Estimator.evaluate` gave for it.
            is_the_final_export: Whether training has ended with this checkpoint. An exporter that gave
                None for a checkpoint which then turns out to be the last is called again, with True.

        Returns:
            The path of the export; None if nothing was exported.
        """
