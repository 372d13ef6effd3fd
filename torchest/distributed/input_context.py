"""InputContext, the argument that tells an input_fn which part of the data to read.

def input_fn(input_context):
    data = torchest.inputs.Dataset.from_tensor_slices(rows)
    data = data.shard(input_context.num_input_pipelines, input_context.input_pipeline_id)
    return data.batch(input_context.get_per_replica_batch_size(512))
"""

from __future__ import annotations

from dataclasses import dataclass

from torchest.utils.checks import whole_number


@dataclass(frozen=True)
class InputContext:
    """The `input_context` of an input_fn: this process among those that read the data.

    Attributes:
        num_input_pipelines: The number of processes that read data.
        input_pipeline_id: The number of this process, from 0.
        num_replicas_in_sync: The number of processes that train together.

    >>> InputContext(4, 0, 4).get_per_replica_batch_size(512)
    128
    """

    num_input_pipelines: int = 1
    input_pipeline_id: int = 0
    num_replicas_in_sync: int = 1

    def __post_init__(self) -> None:
        for name, least in (
            ("num_input_pipelines", 1),
            ("input_pipeline_id", 0),
            ("num_replicas_in_sync", 1),
        ):
            number = whole_number(f"InputContext: {name}", getattr(self, name), at_least=least)
            object.__setattr__(self, name, number)
        if self.input_pipeline_id >= self.num_input_pipelines:
            raise ValueError(
                f"InputContext: input_pipeline_id={self.input_pipeline_id} must be below num_input_pipelines="
                f"{self.num_input_pipelines}."
            )

    def get_per_replica_batch_size(self, global_batch_size: int) -> int:
        """The batch size of one process.

        Args:
            global_batch_size: The number of examples in a step over all processes.

        Raises:
            ValueError: It is not divisible by the number of processes.
        """
        global_batch_size = whole_number("global_batch_size", global_batch_size, at_least=1)
        size, rest = divmod(global_batch_size, self.num_replicas_in_sync)
        if rest:
            raise ValueError(
                f"global_batch_size={global_batch_size} cannot be divided by num_replicas_in_sync="
                f"{self.num_replicas_in_sync}: give a multiple of it."
            )
        return size
