"""Dual coordinate ascent for linear models: a dual variable for each example, optimised in blocks.

The weights w minimise

    Σ sᵢ φ(w·xᵢ, yᵢ) + λ/2 ‖w‖² + μ ‖w‖₁

over examples i of weight sᵢ. Each has a dual variable rᵢ, which is −sᵢ φ'(w·xᵢ, yᵢ) at the optimum, and

    v = Σ rᵢ xᵢ / λ,    w = sign(v) max(|v| − μ / λ, 0).

S. Shalev-Shwartz and T. Zhang, Stochastic Dual Coordinate Ascent Methods for Regularized Loss Minimization, JMLR 14
(2013), and for μ > 0 Accelerated Proximal Stochastic Dual Coordinate Ascent, Mathematical Programming 155 (2016),
change one rᵢ at a time. Here those of a block of examples change together: with K = X Xᵀ / λ of the block and
q = X w − K r, they solve

    r = −s φ'(q + K r, y),

which is exact for μ = 0; for μ > 0 it maximises a lower bound of the dual objective that equals it at the old r. So
no step decreases the dual objective. The equation is solved by Newton's method, as in C. E. Rasmussen and C. K. I.
Williams, Gaussian Processes for Machine Learning (2006), algorithm 3.1, which does not need the inverse of K.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchest.optimizers import row_gradients

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_log = logging.getLogger("torchest")
_BLOCK = 512  # examples; the cost of a block is cubic in them
_PIECE = 8192  # entries; times _BLOCK, the numbers in memory at once
_ROUNDS = 8  # with l1, where one round does not reach the optimum of a block
_NEWTON_STEPS = 100
_ENOUGH = 1e-15  # relative decrease of the objective at which Newton's method stops


class Loss(ABC):
    """The loss φ of an example, a convex function of its margin p = w·x. All tensors are [n]."""

    @abstractmethod
    def value(self, margins: Tensor, labels: Tensor) -> Tensor:
        """φ."""

    @abstractmethod
    def slope(self, margins: Tensor, labels: Tensor) -> Tensor:
        """φ' in p."""

    @abstractmethod
    def curvature(self, margins: Tensor) -> Tensor:
        """φ'' in p."""


class SquaredLoss(Loss):
    """(p − y)² / 2."""

    def value(self, margins: Tensor, labels: Tensor) -> Tensor:
        """φ."""
        return (margins - labels).square() / 2

    def slope(self, margins: Tensor, labels: Tensor) -> Tensor:
        """φ' in p."""
        return margins - labels

    def curvature(self, margins: Tensor) -> Tensor:
        """φ'' in p."""
        return torch.ones_like(margins)


class LogisticLoss(Loss):
    """log(1 + eᵖ) − y p, for labels from 0 to 1."""

    def value(self, margins: Tensor, labels: Tensor) -> Tensor:
        """φ."""
        return F.softplus(margins) - labels * margins

    def slope(self, margins: Tensor, labels: Tensor) -> Tensor:
        """φ' in p."""
        return margins.sigmoid() - labels

    def curvature(self, margins: Tensor) -> Tensor:
        """φ'' in p."""
        return margins.sigmoid() * (-margins).sigmoid()


class Entries(NamedTuple):
    """The nonzero values of a sparse matrix; those of the same example and id are added up.

    Attributes:
        examples: Position of the example in the batch, int64 [n].
        ids: Row of the table, int64 [n].
        values: [n].
    """

    examples: Tensor
    ids: Tensor
    values: Tensor


class Matrix(NamedTuple):
    """The features of some examples, as dense and sparse columns.

    Attributes:
        dense: float64 [examples, n].
        entries: Nonzero values of the sparse columns, float64; their ids are numbers of columns.
        columns: Number m of sparse columns.
    """

    dense: Tensor
    entries: Entries
    columns: int

    def margins(self, weights: Tensor) -> Tensor:
        """The sum of each example's features times weights [n + m]: [examples]."""
        dense, sparse = torch.split(weights, [self.dense.shape[1], self.columns])
        examples, ids, values = self.entries
        margins: Tensor = self.dense @ dense
        return margins.index_add(0, examples, values * sparse[ids])

    def sums(self, factors: Tensor) -> Tensor:
        """The sum over examples of their features times factors [examples]: [n + m]."""
        examples, ids, values = self.entries
        sparse = factors.new_zeros(self.columns).index_add(0, ids, values * factors[examples])
        return torch.cat([factors @ self.dense, sparse])

    def gram(self) -> Tensor:
        """The products of all pairs of examples, [examples, examples]."""
        examples, ids, values = self.entries
        products = self.dense @ self.dense.t()
        used, ids = torch.unique(ids, return_inverse=True)
        by_column = self.dense.new_zeros(len(used), len(self.dense))
        by_column.index_put_((ids, examples), values, accumulate=True)
        parts = (torch.split(part, _PIECE) for part in (examples, ids, values))
        for rows, columns, factors in zip(*parts, strict=True):
            products.index_add_(0, rows, by_column[columns] * factors.unsqueeze(1))
        return products

    def take(self, examples: Tensor) -> Matrix:
        """The features of some distinct examples, by position."""
        if len(examples) == len(self.dense):
            return self
        order = torch.arange(len(examples), device=examples.device)
        places = examples.new_full((len(self.dense),), -1).index_copy(0, examples, order)
        rows = places[self.entries.examples]
        kept = rows >= 0
        entries = Entries(rows[kept], self.entries.ids[kept], self.entries.values[kept])
        return Matrix(self.dense[examples], entries, self.columns)


class DualAscent(torch.optim.Optimizer):
    """Optimises the weights of a linear model with one output; keeps the dual variables of the examples.

    There are no gradients and no learning rate: `ascend` takes the features of a batch. Each parameter has the slot
    `unshrunk`, v above, float64 of its shape; the first one also has the slots `examples`, int64 in ascending order,
    and `duals`, float64, of all examples so far.

    Args:
        parameters: The weights, each [rows, 1] or [1].
        loss: The loss of an example.
        l1: μ, at least 0.
        l2: λ, above 0.

    Attributes:
        slots_are_of_examples: True: the slots cannot warm-start a model that is trained on other examples.
    """

    slots_are_of_examples = True

    def __init__(
        self, parameters: Iterable[nn.Parameter], loss: Loss, l1: float, l2: float
    ) -> None:
        super().__init__(parameters, {"l1": l1, "l2": l2})
        self._loss = loss
        self._parameters: list[nn.Parameter] = self.param_groups[0]["params"]

    @torch.no_grad()
    def ascend(
        self,
        features: Sequence[tuple[nn.Parameter, Tensor | Entries]],
        examples: Tensor,
        labels: Tensor,
        weights: Tensor,
    ) -> None:
        """Optimises the dual variables of a batch, block by block, and updates the weights.

        Args:
            features: Each parameter with its features: [batch, rows], or `Entries`.
            examples: Number of each example, int64 [batch]. An example may be repeated.
            labels: float64 [batch].
            weights: float64 [batch], at least 0.

        Raises:
            ValueError: Different examples have the same number.
        """
        if len(examples) == 0:
            return
        self._make_slots()
        self._follow_penalties()
        batch = _Batch(features, self.state, examples)
        first = _first_places(examples)
        distinct = torch.unique(first)
        if len(distinct) < len(examples):
            _check_repeated(batch.matrix, first, labels, weights)
        places = self._places(examples)
        duals = self._first_slots["duals"]
        for block in torch.split(distinct, _BLOCK):
            where = places[block]
            duals[where] = self._solve(
                batch.matrix.take(block),
                batch.unshrunk,
                duals[where],
                labels[block],
                weights[block],
            )
        batch.write(self.state, self._shrunk)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Loads a state like any optimizer, but keeps the dtypes of slots."""
        options = [
            {**group, "params": own["params"]}
            for group, own in zip(state_dict["param_groups"], self.param_groups, strict=True)
        ]
        self.param_groups[0].update(options[0])
        self.state.clear()
        for place, slots in state_dict["state"].items():
            parameter = self._parameters[place]
            self.state[parameter] = {
                name: value.to(parameter.device) for name, value in slots.items()
            }

    @property
    def _l1(self) -> float:
        return float(self.param_groups[0]["l1"])

    @property
    def _l2(self) -> float:
        return float(self.param_groups[0]["l2"])

    @property
    def _first_slots(self) -> dict[str, Tensor]:
        slots: dict[str, Tensor] = self.state[self._parameters[0]]
        return slots

    def _shrunk(self, unshrunk: Tensor) -> Tensor:
        """The weights w of v."""
        return F.softshrink(unshrunk, self._l1 / self._l2) if self._l1 else unshrunk

    def _make_slots(self) -> None:
        if self.state:
            return
        if any(bool(parameter.any()) for parameter in self._parameters):
            _log.warning(
                "LinearSDCA starts from dual variables and weights of 0: the initial weights of the model are dropped. "
                "The result does not depend on them."
            )
        for parameter in self._parameters:
            parameter.zero_()
            self.state[parameter] = {"unshrunk": torch.zeros_like(parameter, dtype=torch.float64)}
        device = self._parameters[0].device
        self._first_slots["examples"] = torch.empty(0, dtype=torch.int64, device=device)
        self._first_slots["duals"] = torch.empty(0, dtype=torch.float64, device=device)
        self._first_slots["penalties"] = self._penalties()

    def _penalties(self) -> Tensor:
        return torch.tensor([self._l1, self._l2], dtype=torch.float64)

    def _follow_penalties(self) -> None:
        """Rescales v and w if the penalties have changed since the last step."""
        slots, penalties = self._first_slots, self._penalties()
        before = slots["penalties"].cpu()
        if torch.equal(before, penalties):
            return
        slots["penalties"] = penalties
        for parameter in self._parameters:
            unshrunk = self.state[parameter]["unshrunk"]
            unshrunk *= float(before[1]) / self._l2
            parameter.copy_(self._shrunk(unshrunk))

    def _places(self, examples: Tensor) -> Tensor:
        """The positions of the dual variables of examples; those of new examples are 0."""
        slots = self._first_slots
        known = slots["examples"]
        places = torch.searchsorted(known, examples)
        if len(known):
            new = torch.unique(examples[known[places.clamp_max(len(known) - 1)] != examples])
        else:
            new = torch.unique(examples)
        if len(new):
            slots["examples"], order = torch.cat([known, new]).sort()
            slots["duals"] = F.pad(slots["duals"], (0, len(new)))[order]
            places = torch.searchsorted(slots["examples"], examples)
        return places

    def _solve(
        self, matrix: Matrix, unshrunk: Tensor, duals: Tensor, labels: Tensor, weights: Tensor
    ) -> Tensor:
        """The optimal dual variables of a block, with all others fixed. Updates v in place."""
        kernel = matrix.gram() / self._l2
        for _ in range(_ROUNDS if self._l1 else 1):
            others = matrix.margins(self._shrunk(unshrunk)) - kernel @ duals
            solved = _fixed_point(self._loss, kernel, others, duals, labels, weights)
            change, duals = solved - duals, solved
            unshrunk += matrix.sums(change) / self._l2
            if not change.any():
                break
        return duals


class _Batch:
    """The features of a batch in the order of the weights that it uses, and their v, [n + m]."""

    def __init__(
        self,
        features: Sequence[tuple[nn.Parameter, Tensor | Entries]],
        state: Mapping[Tensor, Mapping[str, Tensor]],
        examples: Tensor,
    ) -> None:
        self._used: list[tuple[nn.Parameter, Tensor | None]] = []
        dense = [each for each in features if isinstance(each[1], Tensor)]
        sparse = [each for each in features if not isinstance(each[1], Tensor)]
        unshrunk: list[Tensor] = []
        blocks: list[Tensor] = []
        entries: list[Entries] = []
        columns = 0
        for parameter, values in dense:
            assert isinstance(values, Tensor)
            blocks.append(values.to(torch.float64))
            unshrunk.append(state[parameter]["unshrunk"].reshape(-1))
            self._used.append((parameter, None))
        for parameter, used in sparse:
            assert isinstance(used, Entries)
            rows, places = torch.unique(used.ids, return_inverse=True)
            entries.append(Entries(used.examples, places + columns, used.values.to(torch.float64)))
            columns += len(rows)
            unshrunk.append(state[parameter]["unshrunk"].reshape(-1)[rows])
            self._used.append((parameter, rows))
        self.matrix = Matrix(torch.cat(blocks, 1), _joined(entries, examples.device), columns)
        self.unshrunk = torch.cat(unshrunk)
        self._sizes = [len(part) for part in unshrunk]

    def write(
        self, state: Mapping[Tensor, Mapping[str, Tensor]], shrunk: Callable[[Tensor], Tensor]
    ) -> None:
        """Writes v and the weights."""
        parts = torch.split(self.unshrunk, self._sizes)
        for (parameter, rows), unshrunk in zip(self._used, parts, strict=True):
            slot = state[parameter]["unshrunk"]
            weights = shrunk(unshrunk).to(parameter.dtype)
            if rows is None:
                slot.copy_(unshrunk.view_as(slot))
                parameter.copy_(weights.view_as(parameter))
            elif len(rows):
                row_gradients.write(slot, rows, unshrunk.unsqueeze(1))
                row_gradients.write(parameter.detach(), rows, weights.unsqueeze(1))


def _joined(entries: Sequence[Entries], device: torch.device) -> Entries:
    nothing = torch.empty(0, dtype=torch.int64, device=device)
    return Entries(
        torch.cat([nothing, *(each.examples for each in entries)]),
        torch.cat([nothing, *(each.ids for each in entries)]),
        torch.cat([nothing.to(torch.float64), *(each.values for each in entries)]),
    )


def _first_places(examples: Tensor) -> Tensor:
    """The position of the first row with the same example, for each row, int64 [batch]."""
    distinct, inverse = torch.unique(examples, return_inverse=True)
    order = torch.arange(len(examples), device=examples.device)
    first = torch.full_like(distinct, len(examples)).scatter_reduce(0, inverse, order, "amin")
    return first[inverse]


def _check_repeated(matrix: Matrix, first: Tensor, labels: Tensor, weights: Tensor) -> None:
    """Raises ValueError if two rows with the same number are different examples.

    Features are compared by one weighted sum, with arbitrary factors.
    """
    width = matrix.dense.shape[1] + matrix.columns
    factors = torch.arange(1, width + 1, dtype=torch.float64, device=labels.device).sqrt().sin()
    sums = matrix.margins(factors)
    same = (labels == labels[first]) & (weights == weights[first])
    same &= torch.isclose(sums, sums[first], rtol=1e-9, atol=1e-12)
    if not same.all():
        raise ValueError(
            f"LinearSDCA: {int((~same).sum())} of {len(first)} rows of a batch have the id of another row, but other "
            "features, another label or another weight: each example needs an id of its own, the same in every epoch."
        )


def _fixed_point(
    loss: Loss, kernel: Tensor, others: Tensor, duals: Tensor, labels: Tensor, weights: Tensor
) -> Tensor:
    """The r for which r = −s φ'(q + K r, y), by Newton's method with backtracking on Σ s φ(q + K r, y) + rᵀ K r / 2.

    Args:
        loss: φ.
        kernel: K, [n, n].
        others: q, [n].
        duals: Initial r, [n].
        labels: y, [n].
        weights: s, [n].
    """
    identity = torch.eye(len(kernel), dtype=kernel.dtype, device=kernel.device)

    def objective(duals: Tensor, margins: Tensor) -> Tensor:
        losses = (weights * loss.value(margins, labels)).sum()
        return losses + duals @ (margins - others) / 2

    margins = others + kernel @ duals
    now = objective(duals, margins)
    for _ in range(_NEWTON_STEPS):
        slope = weights * loss.slope(margins, labels)
        curvature = weights * loss.curvature(margins)
        root = curvature.sqrt()
        target = curvature * (margins - others) - slope
        factor = torch.linalg.cholesky(identity + root.unsqueeze(1) * kernel * root)
        inner = torch.cholesky_solve((root * (kernel @ target)).unsqueeze(1), factor).squeeze(1)
        step = target - root * inner - duals
        moved = kernel @ step
        promised = -(moved @ (duals + slope))
        if promised <= _ENOUGH * (1 + now.abs()):
            duals, margins = duals + step, margins + moved
            break
        length = 1.0
        while length > 1e-10:
            after = objective(duals + length * step, margins + length * moved)
            if after <= now - 1e-4 * length * promised + _ENOUGH * (1 + now.abs()):
                break
            length /= 2
        duals, margins, now = duals + length * step, margins + length * moved, after
    return -weights * loss.slope(margins, labels)
