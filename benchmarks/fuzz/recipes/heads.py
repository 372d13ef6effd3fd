"""Recipes of heads and of their methods."""

from __future__ import annotations

from typing import Any

import torch

import torchest
from benchmarks.fuzz import things
from benchmarks.fuzz.recipe import Recipe

WEIGHTS = {"weight_column": "str | FeatureColumn | None"}
TENSORS = {
    "labels": "Tensor | Sequence[str] | Series",
    "logits": "Tensor",
    "features": "Mapping[str, Any]",
    "mode": "str | None",
    "regularization_losses": "Sequence[Tensor] | None",
}
ALIASES = ("labels", "logits", "predictions", "label")


def _single(**arguments: Any) -> Recipe:
    return Recipe(
        lambda: {"weight_column": "w", "loss_reduction": "sum", "name": "a", **arguments},
        types=WEIGHTS,
    )


def _loss_fn(labels: Any, logits: Any) -> Any:
    return (labels - logits).square()


def _binary() -> torchest.BinaryClassHead:
    return torchest.BinaryClassHead(weight_column="w")


def _multi() -> torchest.MultiHead:
    return torchest.MultiHead(
        [
            torchest.BinaryClassHead(weight_column="w", name="a"),
            torchest.RegressionHead(weight_column="w", name="b"),
        ]
    )


def _two(value: Any) -> dict[str, Any]:
    return {"a": value, "b": value}


def _loss() -> dict[str, Any]:
    return {
        "labels": torch.tensor([[0], [1]]), "logits": torch.zeros(2, 1), "features": {"w": torch.ones(2)}, "mode": "eval",
        "regularization_losses": None,
    }  # fmt: skip


def _update(head: Any, **changes: Any) -> dict[str, Any]:
    return {"eval_metrics": head.metrics(), **_loss(), **changes}


def _exports(make: Any) -> Recipe:
    def arguments() -> dict[str, Any]:
        head = make()
        return {"predictions": head.predictions(torch.zeros(2, head.logits_dimension))}

    return Recipe(arguments, lambda: make().export_outputs, aliases=ALIASES)


RECIPES = {
    "Head.export_outputs": _exports(torchest.PoissonRegressionHead),
    "BinaryClassHead.export_outputs": _exports(_binary),
    "MultiClassHead.export_outputs": _exports(lambda: torchest.MultiClassHead(3)),
    "MultiLabelHead.export_outputs": _exports(lambda: torchest.MultiLabelHead(3)),
    "RegressionHead.export_outputs": _exports(torchest.RegressionHead),
    "MultiHead.export_outputs": _exports(_multi),
    "BinaryClassHead": _single(thresholds=[0.5], label_vocabulary=["no", "yes"], loss_fn=_loss_fn),
    "MultiClassHead": _single(n_classes=3, label_vocabulary=["a", "b", "c"], loss_fn=_loss_fn),
    "MultiLabelHead": _single(
        n_classes=3, thresholds=[0.5], label_vocabulary=["a", "b", "c"], loss_fn=_loss_fn,
        classes_for_class_based_metrics=[0, 1],
    ),
    "RegressionHead": _single(label_dimension=1, loss_fn=_loss_fn, inverse_link_fn=torch.exp),
    "LogisticRegressionHead": _single(),
    "PoissonRegressionHead": _single(label_dimension=1, compute_full_loss=True),
    "MultiHead": Recipe(
        lambda: {"heads": [torchest.BinaryClassHead(name="a")], "head_weights": [1.5]}
    ),
    "SingleHead.loss": Recipe(_loss, lambda: _binary().loss, types=TENSORS, aliases=ALIASES),
    "SingleHead.predictions": Recipe(
        lambda: {"logits": torch.zeros(2, 1), "keys": None}, lambda: _binary().predictions,
        types={**TENSORS, "keys": "Sequence[str | tuple[str]] | None"}, aliases=ALIASES,
    ),
    "SingleHead.metrics": Recipe(
        lambda: {"regularization_losses": None}, lambda: _binary().metrics, types=TENSORS
    ),
    "BuiltInHead.update_metrics": Recipe(
        lambda: _update(_binary()), lambda: _binary().update_metrics, types=TENSORS, aliases=ALIASES
    ),
    "Head.create_estimator_spec": Recipe(
        lambda: {
            "features": {"w": torch.ones(2)}, "mode": "train", "logits": things.parameter().reshape(2, 1),
            "labels": torch.tensor([[0], [1]]), "optimizer": torch.optim.SGD([things.parameter()]),
            "trainable_variables": None, "train_op_fn": None, "update_ops": None, "regularization_losses": None,
        },
        lambda: _binary().create_estimator_spec,
        types={
            **TENSORS, "optimizer": "Optimizer | Callable", "mode": "str", "update_ops": "Iterable[Any] | None",
            "trainable_variables": "Iterable[Any] | None",
        },
        aliases=ALIASES,
    ),
    "MultiHead.loss": Recipe(
        lambda: {**_loss(), "labels": _two(torch.tensor([[0], [1]])), "logits": torch.zeros(2, 2)},
        lambda: _multi().loss,
        types={**TENSORS, "labels": "Mapping[str, Any]", "logits": "Tensor | Mapping[str, Tensor]"}, aliases=ALIASES,
    ),
    "MultiHead.predictions": Recipe(
        lambda: {"logits": torch.zeros(2, 2), "keys": None}, lambda: _multi().predictions,
        types={**TENSORS, "logits": "Tensor | Mapping[str, Tensor]", "keys": "Sequence[Any] | None"}, aliases=ALIASES,
    ),
    "MultiHead.metrics": Recipe(
        lambda: {"regularization_losses": None}, lambda: _multi().metrics, types=TENSORS
    ),
}  # fmt: skip
