from __future__ import annotations

import json

import pytest
import safetensors.torch
import torch

from torchest.checkpoint import Checkpoint, Contents, latest_checkpoint, write_checkpoint
from torchest.checksums import write_checksums
from torchest.errors import DamagedCheckpointError


def contents(value=1.0):
    return Contents(
        model={"net.weight": torch.full((2, 3), value)},
        optimizer={"adam.net.weight.exp_avg": torch.zeros(2, 3)},
        state={"objects": {"net": "Linear"}},
    )


def names_in(directory):
    return sorted(entry.name for entry in directory.iterdir())


def test_a_directory_without_checkpoints_has_no_newest(tmp_path):
    assert latest_checkpoint(tmp_path) is None
    assert latest_checkpoint(tmp_path / "missing") is None


def test_what_was_written_is_read_back(tmp_path):
    path = write_checkpoint(tmp_path, 7, contents, keep=5)
    assert path == str(tmp_path / "model.ckpt-7") == latest_checkpoint(tmp_path)
    read = Checkpoint(path)
    assert read.global_step == 7
    assert read.state["objects"] == {"net": "Linear"}
    torch.testing.assert_close(read.model()["net.weight"], torch.ones(2, 3))
    assert read.names() == ["adam.net.weight.exp_avg", "net.weight"]
    torch.testing.assert_close(read.tensor("adam.net.weight.exp_avg"), torch.zeros(2, 3))


def test_safetensors_reads_the_model_without_torchest(tmp_path):
    path = write_checkpoint(tmp_path, 7, contents, keep=5)
    loaded = safetensors.torch.load_file(f"{path}/model.safetensors")
    torch.testing.assert_close(loaded["net.weight"], torch.ones(2, 3))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.int64, torch.bool, torch.float64])
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
def test_every_dtype_and_shape_comes_back(tmp_path, dtype, shape):
    tensor = torch.ones(shape, dtype=dtype)
    path = write_checkpoint(tmp_path, 1, lambda: Contents(model={"x": tensor}), keep=5)
    read = Checkpoint(path).model()["x"]
    assert read.dtype == dtype
    assert torch.equal(read, tensor)


@pytest.mark.parametrize(
    ("keep", "left"),
    [(1, [4]), (2, [3, 4]), (5, [0, 1, 2, 3, 4]), (0, [0, 1, 2, 3, 4]), (None, [0, 1, 2, 3, 4])],
)
def test_the_newest_are_kept(tmp_path, keep, left):
    for step in range(5):
        write_checkpoint(tmp_path, step, contents, keep=keep)
    kept = [f"model.ckpt-{step}" for step in left]
    assert names_in(tmp_path) == ["checkpoint", *kept]
    index = json.loads((tmp_path / "checkpoint").read_text())
    assert index["model_checkpoint_path"] == "model.ckpt-4"
    assert index["all_model_checkpoint_paths"] == kept


def test_a_checkpoint_of_the_same_step_is_not_written_again(tmp_path):
    write_checkpoint(tmp_path, 3, contents, keep=5)

    def never():
        raise AssertionError("asked for the contents")

    write_checkpoint(tmp_path, 3, never, keep=5)


def test_after_going_back_to_an_older_checkpoint_later_ones_are_replaced(tmp_path):
    write_checkpoint(tmp_path, 1, contents, keep=5)
    write_checkpoint(tmp_path, 2, lambda: contents(2.0), keep=5)
    index = json.loads((tmp_path / "checkpoint").read_text())
    index["model_checkpoint_path"] = "model.ckpt-1"
    (tmp_path / "checkpoint").write_text(json.dumps(index))
    assert latest_checkpoint(tmp_path) == str(tmp_path / "model.ckpt-1")
    path = write_checkpoint(tmp_path, 2, lambda: contents(3.0), keep=5)
    assert latest_checkpoint(tmp_path) == path
    assert Checkpoint(path).model()["net.weight"][0, 0] == 3.0


def test_a_complete_checkpoint_that_a_killed_writer_did_not_list_is_the_newest(tmp_path):
    write_checkpoint(tmp_path, 1, contents, keep=5)
    listed = (tmp_path / "checkpoint").read_text()
    write_checkpoint(tmp_path, 2, contents, keep=5)
    (tmp_path / "checkpoint").write_text(listed)
    assert latest_checkpoint(tmp_path) == str(tmp_path / "model.ckpt-2")


def test_a_listed_checkpoint_that_was_deleted_is_passed_over(tmp_path):
    write_checkpoint(tmp_path, 1, contents, keep=5)
    write_checkpoint(tmp_path, 2, contents, keep=5)
    (tmp_path / "model.ckpt-2").rename(tmp_path / "elsewhere")
    assert latest_checkpoint(tmp_path) == str(tmp_path / "model.ckpt-1")


def test_an_error_while_writing_leaves_the_older_checkpoint_and_nothing_else(tmp_path, monkeypatch):
    write_checkpoint(tmp_path, 1, contents, keep=5)
    before = names_in(tmp_path)

    def disk_full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(safetensors.torch, "save_file", disk_full)
    with pytest.raises(OSError, match="No space left"):
        write_checkpoint(tmp_path, 2, contents, keep=5)
    assert names_in(tmp_path) == before
    assert latest_checkpoint(tmp_path) == str(tmp_path / "model.ckpt-1")


def test_something_else_than_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"is not a checkpoint: it has no state\.json"):
        Checkpoint(tmp_path)


def test_a_newer_format_is_refused(tmp_path):
    path = write_checkpoint(tmp_path, 1, contents, keep=5)
    state = json.loads((tmp_path / "model.ckpt-1" / "state.json").read_text())
    (tmp_path / "model.ckpt-1" / "state.json").write_text(
        json.dumps({**state, "format_version": 99})
    )
    (tmp_path / "model.ckpt-1" / "checksums.json").unlink()
    write_checksums(tmp_path / "model.ckpt-1")
    with pytest.raises(ValueError, match="has format version 99, this torchest reads up to 1"):
        Checkpoint(path)


@pytest.mark.parametrize(
    "index", [b"", b"[]", b"{}", b"\xff\xfe", b'model_checkpoint_path: "model.ckpt-1"']
)
def test_a_list_of_checkpoints_that_is_none_is_refused(tmp_path, index):
    (tmp_path / "checkpoint").write_bytes(index)
    with pytest.raises(ValueError, match="is not the list of checkpoints that torchest writes"):
        latest_checkpoint(tmp_path)


@pytest.mark.parametrize("inside", ["", "inside"])
def test_a_file_as_the_directory_is_refused(tmp_path, inside):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"file.* cannot be a model_dir"):
        latest_checkpoint(tmp_path / "file" / inside)


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"[]", b'{"global_step": 1}'])
def test_a_damaged_state_is_told(tmp_path, content):
    path = write_checkpoint(tmp_path, 1, contents, keep=5)
    (tmp_path / "model.ckpt-1" / "state.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"model.ckpt-1' is damaged: its state\.json"):
        Checkpoint(path)


@pytest.mark.parametrize("file", ["model", "optimizer"])
@pytest.mark.parametrize("keeps", [0, 20, None])
def test_damaged_tensors_are_told(tmp_path, file, keeps):
    path = write_checkpoint(tmp_path, 1, contents, keep=5)
    tensors = tmp_path / "model.ckpt-1" / f"{file}.safetensors"
    if keeps is None:
        tensors.unlink()
    else:
        tensors.write_bytes(tensors.read_bytes()[:keeps])
    with pytest.raises(DamagedCheckpointError, match=rf"is damaged: its {file}\.safetensors"):
        Checkpoint(path)
