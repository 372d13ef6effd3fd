from __future__ import annotations

import subprocess
import sys
import zlib

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from torchest.checkpoint import checksums
from torchest.checkpoint.checksums import Sums
from torchest.checkpoint.tensor_files import write_tensors

DTYPES = sorted(safetensors.torch._TYPES.values(), key=str)
SHAPES = st.lists(st.integers(0, 4), max_size=3)


def tensor_of(dtype, shape):
    size = torch.empty(shape, dtype=dtype).nbytes
    values = torch.arange(size, dtype=torch.uint8)
    return (
        values.clamp(max=1).view(dtype).reshape(shape) if size else torch.empty(shape, dtype=dtype)
    )


def bytes_of(tensor):
    return tensor.reshape(-1).view(torch.uint8).numpy().tobytes()


@given(st.dictionaries(st.text(max_size=5), st.tuples(st.sampled_from(DTYPES), SHAPES), max_size=6))
def test_safetensors_reads_what_was_written(tmp_path_factory, described):
    tensors = {name: tensor_of(*each) for name, each in described.items()}
    path = tmp_path_factory.mktemp("written") / "tensors"
    write_tensors(path, tensors)
    read = safetensors.torch.load_file(path)
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype
        assert read[name].shape == tensor.shape
        assert bytes_of(read[name]) == bytes_of(tensor)


def test_tensors_may_share_memory(tmp_path):
    table = torch.arange(6.0).reshape(3, 2)
    write_tensors(tmp_path / "tensors", {"all": table, "some": table[1:]})
    read = safetensors.torch.load_file(tmp_path / "tensors")
    torch.testing.assert_close(read, {"all": table, "some": table[1:]}, rtol=0, atol=0)


def test_a_dtype_that_files_lack_is_refused(tmp_path):
    with pytest.raises(TypeError, match=r"net.weight is a tensor of torch.complex128, which"):
        write_tensors(tmp_path / "tensors", {"net.weight": torch.zeros(2, dtype=torch.complex128)})


def test_large_tensors_are_summed_as_they_are_written(tmp_path):
    path = tmp_path / "tensors"
    summary = write_tensors(path, {"a": torch.rand(5_000_000), "b": torch.rand(3)})
    written, part = path.read_bytes(), 1 << 24
    sums = [zlib.crc32(written[start : start + part]) for start in range(0, len(written), part)]
    assert summary == [len(written), [f"{each:08x}" for each in sums]]
    read = safetensors.torch.load_file(path)
    assert read["a"].numpy().tobytes() in written


@given(st.lists(st.binary(max_size=20), max_size=8))
def test_sums_do_not_depend_on_pieces(pieces):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checksums, "_PART", 7)
        sums = Sums()
        for piece in pieces:
            sums.add(piece)
    whole = b"".join(pieces)
    expected = [f"{zlib.crc32(whole[at : at + 7]):08x}" for at in range(0, len(whole), 7)]
    assert sums.summary() == [len(whole), expected]


def test_a_thread_that_goes_on_after_the_main_program_writes_large_tensors(tmp_path):
    program = """
import sys, threading, torch
from torchest.checkpoint.tensor_files import write_tensors

def write():
    threading.main_thread().join()
    write_tensors(sys.argv[1], {"table": torch.arange(3_000_000)})

threading.Thread(target=write).start()
"""
    path = tmp_path / "tensors"
    subprocess.run([sys.executable, "-c", program, path], check=True)
    read = safetensors.torch.load_file(path)
    torch.testing.assert_close(read["table"], torch.arange(3_000_000))
