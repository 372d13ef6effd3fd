"""Recipes of metrics, losses, optimizers, hooks, and distributed training."""

from __future__ import annotations

from typing import Any

import torch

import torchest
from benchmarks.fuzz import things
from benchmarks.fuzz.recipe import Recipe
from torchest import distributed, losses, metrics


def _pair(**more: Any) -> Recipe:
    return Recipe(
        lambda: {
            "labels": torch.tensor([0.0, 1.0]), "predictions": torch.tensor([0.5, 1.0]),
            "weights": torch.tensor([1.0, 2.0]), **more,
        }
    )  # fmt: skip


def _classes(**more: Any) -> Recipe:
    return Recipe(
        lambda: {
            "labels": torch.tensor([0, 1]), "predictions": torch.tensor([1, 1]),
            "weights": torch.tensor([1.0, 2.0]), **more,
        }
    )  # fmt: skip


def _scores(**more: Any) -> Recipe:
    return Recipe(
        lambda: {
            "labels": torch.tensor([0, 1]), "predictions": torch.tensor([[0.5, 1.0], [0.2, 0.3]]),
            "weights": torch.tensor([1.0, 2.0]), **more,
        }
    )  # fmt: skip


def _best(**more: Any) -> Recipe:
    return Recipe(
        lambda: {
            "labels": torch.tensor([0, 1]), "predictions_idx": torch.tensor([[0], [0]]), "class_id": 0,
            "weights": torch.tensor([1.0, 2.0]), **more,
        }
    )  # fmt: skip


def _optimizer(**options: Any) -> Recipe:
    return Recipe(
        lambda: {"params": [things.parameter()], "lr": 0.5, **options},
        types={"params": "Iterable[Any] | None"},
    )


def _sum(**options: Any) -> Recipe:
    return Recipe(lambda: {"labels": torch.tensor([0.0, 1.0]), **options})


def _schedule(**options: Any) -> Recipe:
    return Recipe(lambda: {"initial_learning_rate": 0.5, **options})


LISTS = {"listeners": "Sequence[CheckpointSaverListener] | None"}
RECIPES = {
    "metrics.mean": Recipe(lambda: {"values": torch.tensor([0.5, 1.0]), "weights": torch.tensor([1.0, 2.0])}),
    "metrics.accuracy": _pair(),
    "metrics.accuracy_baseline": Recipe(
        lambda: {"labels": torch.tensor([0.0, 1.0]), "weights": torch.tensor([1.0, 2.0])}
    ),
    "metrics.precision": _pair(threshold=0.5),
    "metrics.recall": _pair(threshold=0.5),
    "metrics.binary_accuracy": _pair(threshold=0.5),
    "metrics.auc": _pair(curve="ROC", num_thresholds=10, summation_method="interpolation"),
    "metrics.mean_squared_error": _pair(),
    "metrics.mean_absolute_error": _pair(),
    "metrics.root_mean_squared_error": _pair(),
    **{
        f"metrics.{name}": _pair()
        for name in ("true_positives", "false_positives", "true_negatives", "false_negatives")
    },
    **{
        f"metrics.{name}_at_thresholds": _pair(thresholds=[0.25, 0.5])
        for name in (
            "true_positives", "false_positives", "true_negatives", "false_negatives", "precision", "recall",
        )
    },
    "metrics.sensitivity_at_specificity": _pair(specificity=0.5, num_thresholds=10),
    "metrics.specificity_at_sensitivity": _pair(sensitivity=0.5, num_thresholds=10),
    "metrics.mean_iou": _classes(num_classes=2),
    "metrics.mean_per_class_accuracy": _classes(num_classes=2),
    "metrics.mean_relative_error": _pair(normalizer=torch.tensor([1.0, 2.0])),
    "metrics.mean_cosine_distance": Recipe(
        lambda: {
            "labels": torch.eye(2), "predictions": torch.eye(2), "dim": 1, "weights": torch.tensor([1.0, 2.0]),
        }
    ),
    "metrics.mean_tensor": Recipe(
        lambda: {"values": torch.tensor([0.5, 1.0]), "weights": torch.tensor([1.0, 2.0])}
    ),
    "metrics.percentage_below": Recipe(
        lambda: {"values": torch.tensor([0.5, 1.0]), "threshold": 0.5, "weights": torch.tensor([1.0, 2.0])}
    ),
    "metrics.precision_at_k": _scores(k=1, class_id=0),
    "metrics.recall_at_k": _scores(k=1, class_id=0),
    "metrics.average_precision_at_k": _scores(k=1),
    "metrics.precision_at_top_k": _best(),
    "metrics.recall_at_top_k": _best(k=1),
    "metrics.AUC": Recipe(lambda: {"statistics": torch.zeros(2, 10), "curve": "PR"}, types={"statistics": "Any"}),
    "Metric.merge": Recipe(
        lambda: {"other": metrics.Mean.empty()}, lambda: metrics.Mean.empty().merge, types={"other": "Mean"}
    ),
    "Mean.empty": Recipe(function=lambda: metrics.Mean.empty),
    "AUC.empty": Recipe(lambda: {"curve": "ROC", "num_thresholds": 10}, lambda: metrics.AUC.empty),
    "Mean.compute": Recipe(function=lambda: metrics.Mean.empty().compute),
    "RootMean.compute": Recipe(function=lambda: metrics.RootMean.empty().compute),
    "MajorityShare.compute": Recipe(function=lambda: metrics.MajorityShare.empty().compute),
    "AUC.compute": Recipe(function=lambda: metrics.AUC.empty().compute),
    "AUC.confusion": Recipe(function=lambda: metrics.AUC.empty().confusion),
    "Reduction.all": Recipe(function=lambda: losses.Reduction.all),
    "Reduction.validate": Recipe(lambda: {"key": "sum"}, lambda: losses.Reduction.validate, aliases=("Reduction", "loss_reduction")),
    "losses.reduce": Recipe(
        lambda: {"losses": torch.tensor([0.5, 1.0]), "weights": torch.tensor([1.0, 2.0]), "reduction": "sum"}
    ),
    "losses.sigmoid_cross_entropy": _sum(logits=torch.tensor([0.5, 1.0])),
    "losses.softmax_cross_entropy": Recipe(
        lambda: {"class_ids": torch.tensor([[0], [1]]), "logits": torch.zeros(2, 3)}
    ),
    "losses.squared_error": _sum(predictions=torch.tensor([0.5, 1.0])),
    "losses.poisson": _sum(log_rates=torch.tensor([0.5, 1.0]), compute_full_loss=True),
    "optimizers.SGD": _optimizer(momentum=0.5, nesterov=False),
    "optimizers.Adagrad": _optimizer(initial_accumulator_value=0.5, epsilon=0.5),
    "optimizers.Adam": _optimizer(beta_1=0.5, beta_2=0.5, epsilon=0.5, amsgrad=False, lazy=False),
    "optimizers.Ftrl": _optimizer(
        learning_rate_power=-0.5, initial_accumulator_value=0.5, l1_regularization_strength=0.5,
        l2_regularization_strength=0.5, l2_shrinkage_regularization_strength=0.5, beta=0.5,
    ),
    "optimizers.Adadelta": _optimizer(rho=0.5, epsilon=0.5),
    "optimizers.Adamax": _optimizer(beta_1=0.5, beta_2=0.5, epsilon=0.5),
    "optimizers.Nadam": _optimizer(beta_1=0.5, beta_2=0.5, epsilon=0.5, schedule_decay=0.5),
    "optimizers.schedules.ExponentialDecay": _schedule(decay_steps=10, decay_rate=0.5, staircase=False),
    "optimizers.schedules.InverseTimeDecay": _schedule(decay_steps=10, decay_rate=0.5, staircase=False),
    "optimizers.schedules.PolynomialDecay": _schedule(decay_steps=10, end_learning_rate=0.5, power=0.5, cycle=False),
    "optimizers.schedules.CosineDecay": _schedule(decay_steps=10, alpha=0.5),
    "optimizers.schedules.PiecewiseConstantDecay": Recipe(lambda: {"boundaries": [10, 20], "values": [0.5, 0.2, 0.1]}),
    "optimizers.RMSProp": _optimizer(rho=0.5, momentum=0.5, epsilon=0.5, centered=False, lazy=False),
    "CheckpointSaverHook": Recipe(
        lambda: {
            "checkpoint_dir": "saved", "save_secs": None, "save_steps": 10, "saver": None,
            "checkpoint_basename": "model.ckpt", "scaffold": None, "listeners": None, "save_graph_def": True,
        },
        types=LISTS,
    ),
    "EmbeddingProjectorHook": Recipe(lambda: {"output_dir": "projector"}),
    "FinalOpsHook": Recipe(
        lambda: {"final_ops": "loss", "final_ops_feed_dict": None},
        types={"final_ops": "str | Sequence[str] | Mapping[Any, str] | None"},
    ),
    "GlobalStepWaiterHook": Recipe(lambda: {"wait_until_step": 10}),
    "LoggingTensorHook": Recipe(
        lambda: {
            "tensors": ["loss"], "every_n_iter": 10, "every_n_secs": None, "at_end": False,
            "formatter": lambda values: "text",
        }
    ),
    "NanTensorHook": Recipe(lambda: {"loss_tensor": "loss", "fail_on_nan_loss": True}),
    "ProfilerHook": Recipe(
        lambda: {
            "save_steps": 10, "save_secs": None, "output_dir": "profile", "show_dataflow": True, "show_memory": False,
        }
    ),
    "StepCounterHook": Recipe(
        lambda: {"every_n_steps": 10, "every_n_secs": None, "output_dir": "events", "summary_writer": None}
    ),
    "StopAtStepHook": Recipe(lambda: {"num_steps": None, "last_step": 10}),
    "SummarySaverHook": Recipe(
        lambda: {
            "save_steps": 10, "save_secs": None, "output_dir": "events", "summary_writer": None, "scaffold": None,
            "summary_op": {"a": "loss"},
        }
    ),
    "SecondOrStepTimer": Recipe(lambda: {"every_secs": None, "every_steps": 10}),
    "SecondOrStepTimer.reset": Recipe(function=lambda: torchest.SecondOrStepTimer(every_steps=10).reset),
    "SecondOrStepTimer.last_triggered_step": Recipe(
        function=lambda: torchest.SecondOrStepTimer(every_steps=10).last_triggered_step
    ),
    "SecondOrStepTimer.should_trigger_for_step": Recipe(
        lambda: {"step": 3}, lambda: torchest.SecondOrStepTimer(every_steps=10).should_trigger_for_step
    ),
    "SecondOrStepTimer.update_last_triggered_step": Recipe(
        lambda: {"step": 3}, lambda: torchest.SecondOrStepTimer(every_steps=10).update_last_triggered_step
    ),
    "SecondOrStepTimer.state_dict": Recipe(function=lambda: torchest.SecondOrStepTimer(every_steps=10).state_dict),
    "SecondOrStepTimer.load_state_dict": Recipe(
        lambda: {"state": {"last_step": 3}}, lambda: torchest.SecondOrStepTimer(every_steps=10).load_state_dict
    ),
    "SessionRunArgs": Recipe(lambda: {"fetches": "loss", "feed_dict": None, "options": None}),
    "SessionRunValues": Recipe(lambda: {"results": 0.5, "options": None, "run_metadata": None}),
    "distributed.MirroredStrategy": Recipe(lambda: {"devices": ["/cpu:0"], "cross_device_ops": None}),
    "distributed.MultiWorkerMirroredStrategy": Recipe(
        lambda: {"cluster_resolver": None, "communication_options": None}
    ),
    "distributed.CentralStorageStrategy": Recipe(
        lambda: {"compute_devices": ["/cpu:0"], "parameter_device": None}
    ),
    "distributed.DistributeConfig": Recipe(lambda: {"remote_cluster": None}),
    "distributed.InputContext": Recipe(
        lambda: {"num_input_pipelines": 2, "input_pipeline_id": 0, "num_replicas_in_sync": 2}
    ),
    "InputContext.get_per_replica_batch_size": Recipe(
        lambda: {"global_batch_size": 4}, lambda: distributed.InputContext(2, 0, 2).get_per_replica_batch_size
    ),
}  # fmt: skip
