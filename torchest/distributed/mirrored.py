"""TensorFlow's strategies that keep a copy of the model for each device.

    strategy = torchest.distributed.MirroredStrategy()        # at the start of the program
    config = torchest.RunConfig(train_distribute=strategy, eval_distribute=strategy)
    model = torchest.LinearClassifier(feature_columns, config=config)

A copy has a process of its own. The environment says which processes there are: torchrun, srun or TF_CONFIG has
started them. If plain `python` runs the program, the strategy starts it again under torchrun on a machine with several
GPUs; with one or none, it trains in the process at hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from torchest.distributed.default_strategy import strategy_of_environment
from torchest.distributed.device_names import all_devices, check_are_there, named_devices
from torchest.distributed.environment import cluster_of_environment
from torchest.distributed.start_again import start_again
from torchest.distributed.strategy import Strategy
from torchest.utils.checks import left_out, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torchest.distributed.cluster import Cluster

_SUMS = "the processes add up gradients over NCCL on GPUs of their own, and else over gloo"
_ENVIRONMENT = "torchrun, srun or TF_CONFIG says which processes train together"


class _Replicated(Strategy):
    """A copy of the model in each process of the environment; without any, on each device of this machine.

    Args:
        argument: The name of the argument for devices.
        devices: Its value.
    """

    def __init__(self, argument: str, devices: Sequence[str | torch.device] | None) -> None:
        super().__init__()
        what = f"{type(self).__name__}: {argument}"
        local = all_devices() if devices is None else named_devices(what, devices)
        what += f"={shown(devices)}"
        cluster = cluster_of_environment()
        if cluster.is_distributed:
            if devices is not None:
                _check_are_of_processes(what, local, cluster)
            world = strategy_of_environment()
            self.device, self.rank, self.world_size = world.device, world.rank, world.world_size
            return
        check_are_there(what, local)
        is_outside = cluster.is_evaluator or cluster.is_parameter_server
        if len(local) > 1 and not cluster.launcher and not is_outside:
            start_again(type(self).__name__, local)
        self.device = local[0]

    def current(self) -> Strategy:
        """The strategy of the processes, if there are several; inside `detached`, one for this process alone."""
        is_one = not cluster_of_environment().is_distributed
        return self if is_one else strategy_of_environment().current()


class MirroredStrategy(_Replicated):
    """Trains one model on all GPUs of this machine, or on the CPU if it has none.

    Pass it as `RunConfig(train_distribute=...)`, and as `eval_distribute` for evaluation and prediction. Each GPU has a
    process, and a step is one on the batches of all processes. Make the strategy at the start of the program: plain
    `python` with several GPUs runs the program again in each process, and what stands before it runs once more. Under
    torchrun, srun and TF_CONFIG all processes train together, those of other machines too.

    Args:
        devices: The devices to use, such as `["/gpu:0", "/gpu:1"]` or `["cuda:0"]`. None: all GPUs, or the CPU. Several
            CPUs, `["/cpu:0", "/cpu:1"]`, are as many processes, to try programs out.
        cross_device_ops: None; torchest chooses how gradients are added up.

    Attributes:
        num_replicas_in_sync: The number of processes that train together.

    Raises:
        ValueError: A device is not there, or an argument has no meaning here.
        RuntimeError: There are several devices, and a notebook cannot start their processes.

    >>> import torchest
    >>> strategy = torchest.distributed.MirroredStrategy(["/cpu:0"])
    >>> strategy.num_replicas_in_sync
    1
    >>> config = torchest.RunConfig(train_distribute=strategy, eval_distribute=strategy)
    """

    def __init__(
        self,
        devices: Sequence[str | torch.device] | None = None,
        cross_device_ops: None = None,
    ) -> None:
        left_out("MirroredStrategy: cross_device_ops", cross_device_ops, _SUMS)
        super().__init__("devices", devices)


class MultiWorkerMirroredStrategy(_Replicated):
    """Trains one model in all processes that torchrun, srun or TF_CONFIG started, on any number of machines.

    A process has one GPU, or the CPU: on machines with several GPUs start as many processes, by torchrun. Without any
    of the three it is `MirroredStrategy`, as in TensorFlow.

    Args:
        cluster_resolver: None; the environment says which processes there are.
        communication_options: None; torchest chooses how gradients are added up.

    Attributes:
        num_replicas_in_sync: The number of processes that train together.

    Raises:
        ValueError: An argument has no meaning here, or the environment is invalid.
        RuntimeError: There are several GPUs, and a notebook cannot start their processes.
    """

    def __init__(self, cluster_resolver: None = None, communication_options: None = None) -> None:
        name = "MultiWorkerMirroredStrategy"
        left_out(f"{name}: cluster_resolver", cluster_resolver, _ENVIRONMENT)
        left_out(f"{name}: communication_options", communication_options, _SUMS)
        super().__init__("devices", None)


class CentralStorageStrategy(_Replicated):
    """Trains as `MirroredStrategy` does, with the same numbers: steps are synchronous in both.

    TensorFlow keeps one copy of the variables on the CPU; here each process has a copy on its device.

    Args:
        compute_devices: The devices to use, as `MirroredStrategy` takes them.
        parameter_device: None; parameters are where they are used.

    Attributes:
        num_replicas_in_sync: The number of processes that train together.

    Raises:
        ValueError: A device is not there, or an argument has no meaning here.
        RuntimeError: There are several devices, and a notebook cannot start their processes.
    """

    def __init__(
        self,
        compute_devices: Sequence[str | torch.device] | None = None,
        parameter_device: None = None,
    ) -> None:
        way_out = "each process keeps a copy of the parameters on its device"
        left_out("CentralStorageStrategy: parameter_device", parameter_device, way_out)
        super().__init__("compute_devices", compute_devices)


def _check_are_of_processes(what: str, devices: list[torch.device], cluster: Cluster) -> None:
    """Raises an error if the processes of this machine run on other devices than those named."""
    size = cluster.local_world_size
    if size is not None and len(devices) != size:
        raise ValueError(
            f"{what} names {len(devices)} devices, but {size} processes were started on this machine: start as many as "
            "there are devices, or leave the devices out."
        )
    named, actual = devices[0].type == "cuda", torch.cuda.is_available()
    if named != actual:
        kinds = {True: "GPUs", False: "CPUs"}
        raise ValueError(
            f"{what} names {kinds[named]}, but the processes run on {kinds[actual]}: leave the devices out, and set "
            "CUDA_VISIBLE_DEVICES where the processes are started."
        )
