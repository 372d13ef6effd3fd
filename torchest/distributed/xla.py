"""One XLA device, such as a core of a TPU.

    strategy = torchest.distributed.TPUStrategy()
    config = torchest.RunConfig(train_distribute=strategy, eval_distribute=strategy)
    model = torchest.LinearClassifier(feature_columns, config=config)

XLA defers operations until a step ends, and compiles them together. A step with the same operations on the same shapes
as an earlier one is not compiled again.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import torch

from torchest.distributed.environment import cluster_of_environment
from torchest.distributed.strategy import Strategy, on_host
from torchest.utils.checks import left_out

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn


class TPUStrategy(Strategy):
    """Runs a model on one XLA device, in one process.

    Pass it as `RunConfig(train_distribute=...)`, and as `eval_distribute` for evaluation and prediction. The
    environment variable PJRT_DEVICE names the kind of device: "TPU", or "CPU" to try programs out.

    A training compiles its first step, which makes the optimizers' slots, its second, and one more if the last batch is
    smaller. Lists of ids and sequences are padded to powers of two, each compiled once; a model sees sequences of that
    many steps, and their lengths.

    On XLA, torch.nn.BatchNorm keeps the biased variance of the batch, not the unbiased estimate.

    Args:
        tpu_cluster_resolver: None; the environment says which device there is.
        experimental_device_assignment: None; there is one device.

    Raises:
        ImportError: The package torch_xla is not installed.
        ValueError: Several processes train together, or an argument has no meaning here.
        RuntimeError: This process has already trained on another device.
    """

    def __init__(
        self,
        tpu_cluster_resolver: None = None,
        experimental_device_assignment: None = None,
    ) -> None:
        where = "the environment variable PJRT_DEVICE says which device there is"
        left_out("TPUStrategy: tpu_cluster_resolver", tpu_cluster_resolver, where)
        one = "the model runs on one device"
        assignment = experimental_device_assignment
        left_out("TPUStrategy: experimental_device_assignment", assignment, one)
        super().__init__()
        cluster = cluster_of_environment()
        if cluster.is_distributed:
            raise ValueError(
                f"TPUStrategy trains in one process, but by {cluster.launcher} there are {cluster.world_size}, each of "
                "which would train the whole model: start one process, or leave train_distribute and eval_distribute "
                "out."
            )
        if importlib.util.find_spec("torch_xla") is None:
            raise ImportError(
                "TPUStrategy needs the package torch_xla, which is not installed: torch_xla 2.9 needs torch 2.9, so "
                "install both together, best in an environment of their own, by pip install 'torchest[xla]'."
            )
        import torch_xla

        self.device = torch_xla.device()
        _check_gradients(self.device)

    def start(self, modules: Mapping[str, nn.Module], **_: object) -> None:  # noqa: ARG002
        """Seeds the device from the host's random state without changing the latter."""
        import torch_xla

        generator = torch.Generator()
        generator.set_state(torch.get_rng_state())
        torch_xla.manual_seed(int(torch.randint(2**31, (), generator=generator)))

    def end_step(self) -> None:
        """Compiles and starts the operations of the step."""
        import torch_xla

        torch_xla.sync()

    def merge(self, metrics: Mapping[str, object]) -> dict[str, Any]:
        """Moves the metrics to the host, where computing them compiles nothing."""
        return on_host(metrics)


def _check_gradients(device: torch.device) -> None:
    """Raises an error if torch cannot compute gradients on the device."""
    number = torch.ones((), device=device, requires_grad=True)
    try:
        (2 * number).backward()  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        raise RuntimeError(
            "TPUStrategy() was made after training on another device in this process: torch sets up devices "
            "for gradients once, when the first gradients are computed. Make it at the start of the program."
        ) from error
