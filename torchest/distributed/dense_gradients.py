"""Adds up dense gradients by torch's DistributedDataParallel, which sends them while the backward pass still runs."""

from __future__ import annotations

import contextlib
import functools
import warnings
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from torchest.columns.layers.table import Table
from torchest.columns.layers.table_bank import TableBank
from torchest.distributed.traffic import sent
from torchest.distributed.waiting import message

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor
    from torch._C._distributed_c10d import GradBucket
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
        like = parameters[0]
        self._batch = _Batch(parameters, like.new_zeros(()))
        with message("the parameters", computes=True):
            _take_warning(like.device)
            self._ddp = DistributedDataParallel(
                self._batch, find_unused_parameters=True, gradient_as_bucket_view=True
            )
        # without annotations, which torch accepts only if they are evaluated
        self._ddp.register_comm_hook(None, lambda state, bucket: _sum(state, bucket, comm_hook))
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
            loss = self._ddp(model_fn)
        return self._batch.take_spec()._replace(loss=loss)

    def backward(self, loss: Tensor, is_last: bool) -> None:
        """Computes the gradients of the loss of a batch; for the last one of a step, over all processes.

        Raises:
            RuntimeError: The gradient of a parameter is sparse, which its module does not say.
        """
        sends = message("the gradients", computes=True) if is_last else contextlib.nullcontext()
        with sends:
            try:
                loss.backward()  # type: ignore[no-untyped-call]
            except NotImplementedError as error:
                if "SparseTensor" not in str(error):
                    raise
                raise RuntimeError(
                    "The gradient of a parameter is sparse, and its module has no attribute `sparse` that is True: "
                    "gradients of several processes are added up in another way if they are sparse. Set the attribute, "
                    "as torch.nn.Embedding(sparse=True) does."
                ) from error

    def finish(self) -> None:
        """Ends a step. A process that did not run the last batch sends the gradients of earlier ones here."""
        if not self._is_sent:
            self.backward(self._ddp(None), is_last=True)
        self._is_sent = False
        self._batch.anchor.grad = None
        sent(self._use)  # which parameters a process uses, in a message of torch's own


@functools.cache
def _take_warning(device: torch.device) -> None:
    """Takes the warning that looking for unused parameters costs time, which torch gives once in a process.

    Which parameters a model_fn uses may differ between processes, and from step to step.
    """
    nothing = DistributedDataParallel(
        _Batch([], torch.zeros((), device=device)), find_unused_parameters=True
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # inside of a function of torch that calls Python, its warnings are those of Python
        torch.zeros(1).apply_(lambda zero: (nothing(None), zero)[1])


class _Batch(nn.Module):
    """Calls a model_fn, whose parameters it holds."""

    def __init__(self, parameters: Sequence[nn.Parameter], zero: Tensor) -> None:
        super().__init__()
        self.parameters_of_model = nn.ParameterList(parameters)
        # part of every backward pass: DistributedDataParallel ends none in which no parameter takes part
        self.anchor = nn.Parameter(zero)
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


def _sum(
    state: object, bucket: GradBucket, average: Callable[..., Any] | None = None
) -> Future[Tensor]:
    """Sums the gradients of a bucket, by another hook that averages if there is one."""
    message = sent(bucket.buffer())
    total: Future[Tensor]
    if average is None:
        total = dist.all_reduce(message, async_op=True).get_future().then(_result)
    else:
        world_size = dist.get_world_size()
        total = average(state, bucket).then(lambda done: _result(done).mul_(world_size))
    return total


def _result(done: Future[Any]) -> Tensor:
    """The tensor of a message that has ended."""
    value = done.value()
    result: Tensor = value if isinstance(value, torch.Tensor) else value[0]
    return result
