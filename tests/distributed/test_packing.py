"""Tensors as bytes: what goes in comes out, at addresses that numbers of all widths may have."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from torchest.distributed.packing import Unpacking, packed, packed_size

DTYPES = [torch.float32, torch.float64, torch.int64, torch.bfloat16, torch.uint8]
tensors = st.builds(
    lambda shape, dtype: (
        torch.arange(max(1, torch.Size(shape).numel()))[: torch.Size(shape).numel()]
        .reshape(shape)
        .to(dtype)
    ),
    st.lists(st.integers(0, 3), max_size=3),
    st.sampled_from(DTYPES),
)


@given(st.lists(tensors, min_size=1, max_size=6))
def test_tensors_come_out_as_they_went_in(sent):
    message = packed(sent)
    contents = Unpacking(message)
    for tensor in sent:
        received = contents.next(tensor.shape, tensor.dtype)
        assert received.dtype == tensor.dtype
        assert torch.equal(received, tensor)
    assert len(message) == sum(packed_size(tensor.shape, tensor.dtype) for tensor in sent)
