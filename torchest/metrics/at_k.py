"""Metrics of the k best classes of each example, some of which are its labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from torchest.metrics.arguments import matched_weights, numbers_of
from torchest.metrics.counts import RatioOrNaN
from torchest.utils.checks import shown, whole_number

if TYPE_CHECKING:
    from torchest.metrics.arguments import Numbers


def precision_at_k(
    labels: Numbers,
    predictions: Numbers,
    k: int,
    class_id: int | None = None,
    weights: Numbers | None = None,
) -> RatioOrNaN:
    """The share of labels among the k classes of the highest scores.

    Args:
        labels: Class ids [..., labels], or [...] for one in each example. Other numbers than class ids, such as −1, are
            no class.
        predictions: Scores [..., classes]. Of equal ones, that of the lower class id is higher.
        k: The number of classes.
        class_id: A class, which alone counts; examples in which it is not among the k do not count. None: all classes.
        weights: One for each example [...], or a shape that broadcasts to it, see `mean`. None: 1 each.

    Returns:
        A metric, which is NaN as long as nothing counts.

    Raises:
        ValueError: As for `mean`; or `k` is not from 1 to the number of classes, or shapes do not match.

    >>> precision_at_k([[0, 1], [2, 2]], [[0.5, 0.1, 0.3], [0.1, 0.2, 0.9]], k=1).compute()
    tensor(1.)
    """
    ranked = _ranked(labels, predictions, k, weights)
    return _precision(ranked, class_id)


def precision_at_top_k(
    labels: Numbers,
    predictions_idx: Numbers,
    class_id: int | None = None,
    weights: Numbers | None = None,
) -> RatioOrNaN:
    """The share of labels among the predicted classes.

    Args:
        labels: See `precision_at_k`.
        predictions_idx: Class ids [..., k].
        class_id: See `precision_at_k`.
        weights: See `precision_at_k`.

    Raises:
        ValueError: As for `precision_at_k`.
    """
    return _precision(_given(labels, predictions_idx, weights), class_id)


def recall_at_k(
    labels: Numbers,
    predictions: Numbers,
    k: int,
    class_id: int | None = None,
    weights: Numbers | None = None,
) -> RatioOrNaN:
    """The share of the labels that are among the k classes of the highest scores.

    As in TensorFlow, other numbers than class ids, such as −1, count as labels that are not among them. For the
    arguments see `precision_at_k`.

    >>> recall_at_k([[0, 1], [2, 2]], [[0.5, 0.1, 0.3], [0.1, 0.2, 0.9]], k=1).compute()
    tensor(0.6667)
    """
    return _recall(_ranked(labels, predictions, k, weights), class_id)


def recall_at_top_k(
    labels: Numbers,
    predictions_idx: Numbers,
    k: int | None = None,
    class_id: int | None = None,
    weights: Numbers | None = None,
) -> RatioOrNaN:
    """The share of the labels that are among the predicted classes.

    Args:
        labels: See `recall_at_k`.
        predictions_idx: Class ids [..., k].
        k: Has no effect.
        class_id: See `precision_at_k`.
        weights: See `precision_at_k`.

    Raises:
        ValueError: As for `precision_at_k`.
    """
    if k is not None:
        whole_number("k", k, at_least=1)
    return _recall(_given(labels, predictions_idx, weights), class_id)


def average_precision_at_k(
    labels: Numbers, predictions: Numbers, k: int, weights: Numbers | None = None
) -> RatioOrNaN:
    """The mean of the average precisions of the examples.

    That of an example is the sum of the precisions at each of the k ranks that has a label, over the number of its
    labels, but at most k; 0 without labels. For the arguments see `precision_at_k`.

    >>> average_precision_at_k([[0, 1]], [[0.5, 0.1, 0.3]], k=3).compute()
    tensor(0.8333)
    """
    ranked = _ranked(labels, predictions, k, weights)
    hits = ranked.hits.double()
    ranks = torch.arange(1, hits.shape[-1] + 1, device=hits.device)
    total = (hits.cumsum(-1) / ranks * hits).sum(-1)
    is_class = (ranked.labels >= 0) & (
        ranked.labels < numbers_of("predictions", predictions).shape[-1]
    )
    average = total / is_class.sum(-1).clamp(1, hits.shape[-1])
    return _ratio(average, torch.ones_like(average), ranked.weights)


class _Ranked(NamedTuple):
    """Examples in one dimension, [n].

    Attributes:
        labels: Class ids [n, labels].
        classes: The predicted classes [n, k], the best first.
        hits: Whether each of them is a label [n, k].
        weights: float64 [n].
    """

    labels: Tensor
    classes: Tensor
    hits: Tensor
    weights: Tensor


def _ranked(labels: Numbers, predictions: Numbers, k: int, weights: Numbers | None) -> _Ranked:
    scores = _with_classes("predictions", predictions, "the scores of the classes")
    count = whole_number("k", k, at_least=1, at_most=scores.shape[-1])
    best = scores.sort(dim=-1, descending=True, stable=True).indices[..., :count]
    given = f"predictions={shown(predictions)} of shape {list(scores.shape)}"
    return _examples(labels, best, weights, given)


def _given(labels: Numbers, predictions_idx: Numbers, weights: Numbers | None) -> _Ranked:
    classes = _with_classes("predictions_idx", predictions_idx, "the predicted classes")
    given = f"predictions_idx={shown(predictions_idx)} of shape {list(classes.shape)}"
    return _examples(labels, classes, weights, given)


def _with_classes(argument: str, value: Numbers, what: str) -> Tensor:
    """Numbers whose last dimension is that of classes."""
    tensor = numbers_of(argument, value)
    if not tensor.dim() or not tensor.shape[-1]:
        raise ValueError(f"{argument}={shown(value)} must have {what} in its last dimension.")
    return tensor


def _examples(labels: Numbers, classes: Tensor, weights: Numbers | None, chosen: str) -> _Ranked:
    ids = numbers_of("labels", labels).to(classes.device)
    shape = list(ids.shape)
    if ids.dim() == classes.dim() - 1:
        ids = ids.unsqueeze(-1)
    if ids.shape[:-1] != classes.shape[:-1]:
        raise ValueError(
            f"labels={shown(labels)} of shape {shape} and {chosen} must agree in all dimensions but the last: give the "
            "labels of each example in the last one."
        )
    examples = classes[..., 0]
    fitting = matched_weights(weights, "examples", examples)
    spread = torch.ones_like(examples, dtype=torch.float64)
    if fitting is not None:
        spread = fitting.double().expand(examples.shape)
    ids, classes = ids.reshape(-1, ids.shape[-1]), classes.reshape(-1, classes.shape[-1])
    hits = (classes.unsqueeze(-1) == ids.unsqueeze(-2)).any(-1)
    return _Ranked(ids, classes, hits, spread.flatten())


def _precision(ranked: _Ranked, class_id: int | None) -> RatioOrNaN:
    if class_id is None:
        hits, counted = ranked.hits, torch.ones_like(ranked.hits)
    else:
        counted = ranked.classes == whole_number("class_id", class_id)
        hits = ranked.hits & counted
    return _ratio(hits.sum(-1), counted.sum(-1), ranked.weights)


def _recall(ranked: _Ranked, class_id: int | None) -> RatioOrNaN:
    ids = ranked.labels
    is_hit = (ids.unsqueeze(-1) == ranked.classes.unsqueeze(-2)).any(-1)
    counted = _is_first(ids)
    if class_id is not None:
        counted &= ids == whole_number("class_id", class_id)
    return _ratio((is_hit & counted).sum(-1), counted.sum(-1), ranked.weights)


def _is_first(ids: Tensor) -> Tensor:
    """Whether each label of an example is the first of its kind [n, labels]."""
    same = ids.unsqueeze(-1) == ids.unsqueeze(-2)
    return ~same.tril(-1).any(-1)


def _ratio(numerators: Tensor, denominators: Tensor, weights: Tensor) -> RatioOrNaN:
    sums = torch.stack([(weights * numerators).sum(), (weights * denominators).sum()])
    return RatioOrNaN(sums)
