"""Adds up dense gradients by torch's DistributedDataParallel, which sends them while the backward pass still runs."""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from torchest.columns.layers.table import Table
from torchest.columns.layers.table_bank import TableBank
from torchest.distributed.traffic import sent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor
    from torch.futures import Future

    from torchest.spec import EstimatorSpec

# The first bucket of DistributedDataParallel. A network that fits into one has nothing to send before the backward pass
# ends, and one sum of all its gradients takes less time.
LARGEST_OF_ONE_BUCKET = 1 << 20  # bytes


def dense_parameters(modules: Mapping[str, nn.Module]) -> list[nn.Parameter]:
    """The trained parameters whose gradients are dense: all but tables whose gradients have only some rows."""
    every = [parameter for module in modules.values() for parameter in module.parameters()]
    by_rows = {
        id(parameter)
        for module in modules.values()
        for part in module.modules()
        if isinstance(part, Table | TableBank) or getattr(part, "sparse", False) is True
        for parameter in part.parameters(recurse=False)
    }
    distinct = {id(parameter): parameter for parameter in every if parameter.requires_grad}
    return [parameter for key, parameter in distinct.items() if key not in by_rows]


def pays(parameters: Sequence[nn.Parameter]) -> bool:
    """Whether `DenseGradients` takes less time than one sum after the backward pass."""
    return sum(parameter.nbytes for parameter in parameters) > LARGEST_OF_ONE_BUCKET


class DenseGradients:
    """Sums the gradients of parameters over all processes.

    The modules of a model_fn are called by the user, anywhere. DistributedDataParallel looks only at the parameters of
    the module that it wraps and at the graph behind its result, so it wraps a module that calls the model_fn. A
    parameter that no process uses in a step keeps a gradient of None. Buckets stay as they are from the first step on,
    so that a training that resumes sums in the same order.

    Args:
        parameters: The parameters, of floating point, in the same order in every process.
        comm_hook: See `RunConfig.ddp_comm_hook`.
    """

    def __init__(
        self, parameters: Sequence[nn.Parameter], comm_hook: Callable[..., Any] | None = None
    ) -> None:
        self._batch = _Batch(parameters)
        self._ddp = DistributedDataParallel(
            self._batch, find_unused_parameters=True, gradient_as_bucket_view=True
        )
        self._ddp.register_comm_hook(None, _sum if comm_hook is None else _summing(comm_hook))
        self._use = torch.empty(len(parameters) + 1, dtype=torch.int32)
        self._is_sent = False

    def forward(self, model_fn: Callable[[], EstimatorSpec], is_last: bool) -> EstimatorSpec:
        """Runs model_fn. Its loss must be used for one backward pass.

        Args:
            model_fn: Runs it on a batch.
            is_last: Whether the batch is the last one of a step: its backward pass sends the gradients of all.
        """
        self._is_sent = is_last
        with contextlib.nullcontext() if is_last else self._ddp.no_sync():
            loss = self._run(model_fn)
        return self._batch.take_spec()._replace(loss=loss)

    def finish(self) -> None:
        """Ends a step. A process that did not run the last batch sends the gradients of earlier ones here."""
        if not self._is_sent:
            self._run(None).backward()  # type: ignore[no-untyped-call]
        self._is_sent = False
        self._batch.anchor.grad = None
        sent(self._use)  # which parameters a process uses, in a message of torch's own

    def _run(self, model_fn: Callable[[], EstimatorSpec] | None) -> Tensor:
        with warnings.catch_warnings():
            # which parameters a model_fn uses may differ between processes, and from step to step
            warnings.filterwarnings("ignore", "find_unused_parameters=True was specified")
            loss: Tensor = self._ddp(model_fn)
        return loss


class _Batch(nn.Module):
    """Calls a model_fn, whose parameters it holds."""

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        super().__init__()
        self.parameters_of_model = nn.ParameterList(parameters)
        # part of every backward pass: DistributedDataParallel ends none in which no parameter takes part
        self.anchor = nn.Parameter(torch.zeros_like(parameters[0].detach().view(-1)[0]))
        self._spec: EstimatorSpec

    def forward(self, model_fn: Callable[[], EstimatorSpec] | None) -> Tensor:
        """The loss of the model_fn; 0 without one."""
        zero = 0 * self.anchor
        if model_fn is None:
            return zero
        self._spec = model_fn()
        loss = self._spec.loss
        assert loss is not None  # the spec checks it
        return loss + zero.to(loss.dtype)

    def take_spec(self) -> EstimatorSpec:
        """The result of the last call."""
        spec = self._spec
        del self._spec
        return spec


def _sum(_: object, bucket: dist.GradBucket) -> Future[Tensor]:
    """Sums the gradients of a bucket."""
    work = dist.all_reduce(sent(bucket.buffer()), async_op=True)
    result: Future[Tensor] = work.get_future().then(lambda done: done.value()[0])
    return result


def _summing(average: Callable[..., Any]) -> Callable[[object, dist.GradBucket], Future[Tensor]]:
    """Makes a hook that sums of one that averages."""

    def total(done: Future[Any]) -> Tensor:
        average = done.value()
        result: Tensor = average if isinstance(average, torch.Tensor) else average[0]
        return result.mul_(dist.get_world_size())

    def hook(state: object, bucket: dist.GradBucket) -> Future[Tensor]:
        sent(bucket.buffer())
        result: Future[Tensor] = average(state, bucket).then(total)
        return result

    return hook
