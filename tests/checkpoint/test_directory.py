from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import NamedTuple

import fsspec
import numpy as np
import pytest
import safetensors.torch
import torch

from torchest.checkpoint import directory
from torchest.checkpoint.checksums import write_checksums
from torchest.checkpoint.directory import (
    Checkpoint,
    Contents,
    in_use,
    latest_checkpoint,
    newest_whole_checkpoint,
    set_damaged_aside,
    write_checkpoint,
)
from torchest.errors import DamagedCheckpointError
from torchest.utils import files


class Best(NamedTuple):
    step: int
    value: torch.Tensor


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

    monkeypatch.setattr(directory, "write_tensors", disk_full)
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


@pytest.mark.parametrize(
    "index",
    [
        {"all_model_checkpoint_paths": "model.ckpt-1"},
        {"model_checkpoint_path": ["model.ckpt-1"]},
        {"all_model_checkpoint_timestamps": ["now"]},
        {"all_model_checkpoint_timestamps": [10**400]},
        {"last_preserved_timestamp": "now"},
        {"last_preserved_timestamp": True},
    ],
)
def test_a_list_of_checkpoints_with_wrong_values_is_refused(tmp_path, index):
    write_checkpoint(tmp_path, 1, contents, keep=5)
    written = json.loads((tmp_path / "checkpoint").read_text())
    (tmp_path / "checkpoint").write_text(json.dumps({**written, **index}))
    with pytest.raises(ValueError, match="is not the list of checkpoints that torchest writes"):
        latest_checkpoint(tmp_path)


def test_only_checkpoints_are_removed_whatever_else_is_listed(tmp_path):
    outside = tmp_path / "outside"
    directory = tmp_path / "model"
    names = ["precious", "..", "../outside", str(outside), "model.ckpt-007", "model.ckpt-1/x"]
    names += ["model.ckpt-٣", "model.ckpt-" + "9" * 5000]
    for name in names[:-1]:
        (directory / name).mkdir(parents=True, exist_ok=True)
        (directory / name / "file").write_text("precious")
    (directory / "model.ckpt-2").symlink_to(outside)
    (directory / "model.ckpt-3").write_text("a file")
    names += ["model.ckpt-2", "model.ckpt-3", 5, None]
    index = {
        "model_checkpoint_path": "precious",
        "all_model_checkpoint_paths": names,
        "all_model_checkpoint_timestamps": [0.0] * len(names),
        "last_preserved_timestamp": None,
    }
    (directory / "checkpoint").write_text(json.dumps(index))
    for step in (4, 5):
        write_checkpoint(directory, step, contents, keep=1)
    assert [name for name in names[:7] if not (directory / name / "file").exists()] == []
    assert (outside / "file").read_text() == "precious"
    assert not (directory / "model.ckpt-2").exists()
    assert not (directory / "model.ckpt-4").exists()
    assert latest_checkpoint(directory) == str(directory / "model.ckpt-5")
    assert [name for name in os.listdir(directory) if ".tmp" in name] == []


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


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e5m2])
def test_a_value_whose_dtype_numpy_lacks_is_float32(tmp_path, dtype):
    path = write_checkpoint(tmp_path, 1, lambda: Contents({"a": torch.tensor([1.5]).to(dtype)}), 5)
    value = Checkpoint(path).get_tensor("a")
    assert value.dtype == np.float32
    assert value.tolist() == [1.5]


@pytest.mark.parametrize(
    "described",
    [
        {"dtype": "F6_E2M3", "shape": [16], "data_offsets": [0, 12]},
        {"dtype": "F32", "shape": [0, 2**64 - 1], "data_offsets": [0, 0]},
    ],
)
def test_a_tensor_that_torch_cannot_hold_is_damage(tmp_path, described):
    path = Path(write_checkpoint(tmp_path, 1, lambda: Contents({"a": torch.ones(1)}), 5))
    header = json.dumps({"a": described}).encode()
    content = len(header).to_bytes(8, "little") + header + bytes(described["data_offsets"][1])
    (path / "model.safetensors").write_bytes(content)
    (path / "checksums.json").unlink()
    write_checksums(path)
    for read in (Checkpoint(path).model, lambda: Checkpoint(path).get_tensor("a")):
        with pytest.raises(
            DamagedCheckpointError, match=r"its model\.safetensors is missing or not"
        ):
            read()


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


@pytest.mark.parametrize("file", ["state.json", "checksums.json", "model.safetensors", "another"])
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_a_file_that_is_no_regular_one_is_not_read(tmp_path, file, make):
    older = write_checkpoint(tmp_path, 1, contents, keep=5)
    path = tmp_path / write_checkpoint(tmp_path, 2, contents, keep=5)
    (path / file).unlink(missing_ok=True)
    make(path / file)
    with pytest.raises(DamagedCheckpointError, match=rf"is not read: .*{file}' is a "):
        Checkpoint(path)
    assert newest_whole_checkpoint(tmp_path).path == older
    write_checkpoint(tmp_path, 3, contents, keep=1)
    assert names_in(tmp_path) == ["checkpoint", "model.ckpt-3"]


@pytest.mark.parametrize("name", ["../secret", "/dev/zero", "/etc/passwd", 3])
def test_checksums_of_files_elsewhere_are_not_looked_at(tmp_path, name):
    path = tmp_path / write_checkpoint(tmp_path, 1, contents, keep=5)
    (tmp_path / "secret").write_text("x")
    (path / "checksums.json").write_text(json.dumps({name: [1, ["8cdc1683"]]}))
    with pytest.raises(DamagedCheckpointError, match=r"its (checksums\.json|3) is missing or not"):
        Checkpoint(path)


@pytest.mark.parametrize("size", [2**63, 2**64 - 1, 2**40, 99_999_999])
def test_a_header_of_an_implausible_size_is_damage(tmp_path, size):
    path = tmp_path / write_checkpoint(tmp_path, 1, contents, keep=5)
    (path / "model.safetensors").write_bytes(size.to_bytes(8, "little") + b"{}")
    (path / "checksums.json").unlink()
    write_checksums(path)
    with pytest.raises(DamagedCheckpointError, match=r"its model\.safetensors is missing or not"):
        Checkpoint(path)


@pytest.fixture(params=["disk", "object store"])
def model_dir(request, tmp_path):
    return str(tmp_path) if request.param == "disk" else f"memory://{uuid.uuid4().hex}/model"


def steps_in(directory):
    names = [name for name in files.names_in(directory) if name.startswith("model.ckpt-")]
    return sorted(int(name.partition("-")[2]) for name in names)


def test_checkpoints_on_object_stores_are_as_on_disks(model_dir):
    for step in range(4):
        path = write_checkpoint(model_dir, step, lambda step=step: contents(float(step)), keep=2)
    assert latest_checkpoint(model_dir) == path == files.join(model_dir, "model.ckpt-3")
    assert steps_in(model_dir) == [2, 3]
    read = newest_whole_checkpoint(model_dir)
    assert read.global_step == 3
    torch.testing.assert_close(read.model()["net.weight"], torch.full((2, 3), 3.0))


def test_on_an_object_store_a_checkpoint_counts_when_it_is_listed(monkeypatch):
    model_dir = f"memory://{uuid.uuid4().hex}/model"
    write_checkpoint(model_dir, 1, contents, keep=5)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("torchest.checkpoint.directory.write_index", killed)
        with pytest.raises(KeyboardInterrupt):
            write_checkpoint(model_dir, 2, contents, keep=5)
    assert steps_in(model_dir) == [1, 2]
    assert latest_checkpoint(model_dir) == files.join(model_dir, "model.ckpt-1")
    write_checkpoint(model_dir, 2, lambda: contents(2.0), keep=5)
    assert newest_whole_checkpoint(model_dir).model()["net.weight"][0, 0] == 2.0


class TestDamage:
    FILES = ("checksums.json", "model.safetensors", "optimizer.safetensors", "state.json")

    @staticmethod
    def file(model_dir, step, name):
        system, inner = fsspec.core.url_to_fs(files.join(model_dir, f"model.ckpt-{step}", name))
        return system, inner

    def damage(self, model_dir, step, name, change):
        system, inner = self.file(model_dir, step, name)
        changed = change(bytearray(system.cat_file(inner)))
        system.rm_file(inner) if changed is None else system.pipe_file(inner, bytes(changed))

    @pytest.mark.parametrize("name", FILES)
    @pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9, 1.0])
    def test_one_bit_in_any_file_is_noticed(self, tmp_path, name, part, caplog):
        for step in (1, 2):
            write_checkpoint(tmp_path, step, contents, keep=5)

        def turn_a_bit(content):
            content[int(part * (len(content) - 1))] ^= 0x10
            return content

        self.damage(str(tmp_path), 2, name, turn_a_bit)
        assert newest_whole_checkpoint(tmp_path).global_step == 1
        assert f"{tmp_path / 'model.ckpt-2'!s}' is damaged: its " in caplog.text
        assert f"Using the checkpoint before it: {tmp_path / 'model.ckpt-1'}" in caplog.text

    @pytest.mark.parametrize("name", FILES)
    @pytest.mark.parametrize("part", [None, 0.0, 0.5, 0.99])
    def test_a_file_that_is_cut_off_or_missing_is_noticed(self, model_dir, name, part):
        for step in (1, 2):
            write_checkpoint(model_dir, step, contents, keep=5)

        def cut(content):
            return None if part is None else content[: int(part * len(content))]

        self.damage(model_dir, 2, name, cut)
        assert newest_whole_checkpoint(model_dir).global_step == 1

    def test_training_goes_on_before_the_damage_and_sets_it_aside(self, model_dir):
        for step in (1, 2, 3):
            write_checkpoint(model_dir, step, contents, keep=5)
        for step in (2, 3):
            self.damage(model_dir, step, "state.json", lambda content: content[:-1])
        whole = newest_whole_checkpoint(model_dir)
        set_damaged_aside(whole)
        assert latest_checkpoint(model_dir) == whole.path
        write_checkpoint(model_dir, 2, lambda: contents(5.0), keep=5)
        read = newest_whole_checkpoint(model_dir)
        assert (read.global_step, read.model()["net.weight"][0, 0]) == (2, 5.0)
        if not files.is_remote(model_dir):
            assert "damaged-model.ckpt-3" in files.names_in(model_dir)

    def test_if_all_are_damaged_training_does_not_begin_anew(self, tmp_path):
        write_checkpoint(tmp_path, 1, contents, keep=5)
        self.damage(str(tmp_path), 1, "model.safetensors", lambda content: content[:-1])
        with pytest.raises(DamagedCheckpointError, match=r"model\.ckpt-1' is damaged"):
            newest_whole_checkpoint(tmp_path)

    def test_large_files_are_checked_part_by_part(self, tmp_path, monkeypatch):
        monkeypatch.setattr("torchest.checkpoint.checksums._PART", 64)
        for step in (1, 2):
            write_checkpoint(tmp_path, step, contents, keep=5)
        state = json.loads((tmp_path / "model.ckpt-2" / "checksums.json").read_text())
        size, sums = state["model.safetensors"]
        assert len(sums) == -(-size // 64) > 1
        assert newest_whole_checkpoint(tmp_path).global_step == 2
        tensors = tmp_path / "model.ckpt-2" / "model.safetensors"
        tensors.write_bytes(tensors.read_bytes()[:-1] + b"\x01")
        assert newest_whole_checkpoint(tmp_path).global_step == 1


class TestRetention:
    HOUR = 3600.0

    def save_at(self, monkeypatch, directory, hours, keep, every):
        for step, hour in enumerate(hours):
            monkeypatch.setattr(time, "time", lambda hour=hour: 1e9 + hour * self.HOUR)
            write_checkpoint(directory, step, contents, keep=keep, keep_every_n_hours=every)

    def test_one_for_every_so_many_hours_stays_for_ever(self, model_dir, monkeypatch):
        # every half hour; at least 2 hours between those that stay, counted from the first
        hours = [step / 2 for step in range(14)]
        self.save_at(monkeypatch, model_dir, hours, keep=2, every=2.0)
        assert steps_in(model_dir) == [4, 8, 12, 13]

    def test_none_stays_for_ever_by_default(self, model_dir, monkeypatch):
        self.save_at(monkeypatch, model_dir, range(9), keep=3, every=10_000)
        assert steps_in(model_dir) == [6, 7, 8]

    def test_one_that_stays_is_no_newer_checkpoint(self, tmp_path, monkeypatch):
        self.save_at(monkeypatch, tmp_path, range(5), keep=1, every=1.0)
        assert steps_in(str(tmp_path)) == [1, 2, 3, 4]
        assert latest_checkpoint(tmp_path) == str(tmp_path / "model.ckpt-4")

    def test_one_in_use_is_not_removed_until_it_is_free(self, tmp_path):
        write_checkpoint(tmp_path, 0, contents, keep=1)
        with in_use(tmp_path / "model.ckpt-0"):
            for step in (1, 2):
                write_checkpoint(tmp_path, step, contents, keep=1)
            assert steps_in(str(tmp_path)) == [0, 2]
        write_checkpoint(tmp_path, 3, contents, keep=1)
        assert steps_in(str(tmp_path)) == [3]
        assert json.loads((tmp_path / "checkpoint").read_text())["all_model_checkpoint_paths"] == [
            "model.ckpt-3"
        ]

    def test_one_in_use_by_another_process_is_not_removed(self, tmp_path):
        write_checkpoint(tmp_path, 0, contents, keep=1)
        script = (
            "import fcntl, sys, time\n"
            "file = open(sys.argv[1])\n"
            "fcntl.flock(file, fcntl.LOCK_SH)\n"
            "print('reading', flush=True)\n"
            "sys.stdin.read()\n"
        )
        command = [sys.executable, "-c", script, str(tmp_path / "model.ckpt-0" / "state.json")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
            assert reader.stdout.readline() == b"reading\n"
            write_checkpoint(tmp_path, 1, contents, keep=1)
            assert steps_in(str(tmp_path)) == [0, 1]
            reader.kill()
        write_checkpoint(tmp_path, 2, contents, keep=1)
        assert steps_in(str(tmp_path)) == [2]

    def test_what_was_opened_can_be_read_when_it_is_gone(self, model_dir):
        read = Checkpoint(write_checkpoint(model_dir, 0, contents, keep=1))
        write_checkpoint(model_dir, 1, lambda: contents(2.0), keep=1)
        assert steps_in(model_dir) == [1]
        torch.testing.assert_close(read.model()["net.weight"], torch.ones(2, 3))
        torch.testing.assert_close(read.tensor("adam.net.weight.exp_avg"), torch.zeros(2, 3))

    def test_saving_over_a_checkpoint_leaves_tensors_that_were_read_from_it(self, tmp_path):
        write_checkpoint(tmp_path, 1, contents, keep=5)
        path = write_checkpoint(tmp_path, 2, contents, keep=5)
        read = Checkpoint(path)
        weight = read.model()["net.weight"]
        mapped = safetensors.torch.load_file(f"{path}/model.safetensors")["net.weight"]
        index = json.loads((tmp_path / "checkpoint").read_text())
        index["model_checkpoint_path"] = "model.ckpt-1"
        (tmp_path / "checkpoint").write_text(json.dumps(index))
        write_checkpoint(tmp_path, 2, lambda: contents(7.0), keep=5)
        for tensor in (weight, mapped, read.model()["net.weight"]):
            torch.testing.assert_close(tensor, torch.ones(2, 3))
        assert Checkpoint(path).model()["net.weight"][0, 0] == 7.0

    def test_one_that_vanishes_while_it_is_opened_is_followed_by_the_newest(
        self, tmp_path, monkeypatch
    ):
        write_checkpoint(tmp_path, 0, contents, keep=1)
        original = files.reading

        def slow(file):
            monkeypatch.setattr(files, "reading", original)
            write_checkpoint(tmp_path, 1, contents, keep=1)
            return original(file)

        monkeypatch.setattr(files, "reading", slow)
        assert newest_whole_checkpoint(tmp_path).global_step == 1


def test_what_only_training_needs_comes_back_in_its_structure(tmp_path):
    state = {"random": {"cpu": torch.arange(3, dtype=torch.uint8)}, "input": [1, (None, "a", 0.5)]}
    path = write_checkpoint(tmp_path, 1, lambda: contents().with_training(state), keep=5)
    read = Checkpoint(path)
    actual = read.training()
    assert torch.equal(actual["random"]["cpu"], state["random"]["cpu"])
    assert actual["input"] == state["input"]
    assert read.names() == ["adam.net.weight.exp_avg", "net.weight"]
    assert Checkpoint(write_checkpoint(tmp_path, 2, contents, keep=5)).training() is None


def test_a_named_tuple_in_a_state_is_read_as_a_tuple(tmp_path):
    state = {"best": Best(3, torch.tensor(0.5))}
    path = write_checkpoint(tmp_path, 1, lambda: contents().with_training(state), keep=5)
    assert Checkpoint(path).training() == {"best": (3, torch.tensor(0.5))}


def test_state_that_json_cannot_hold_is_refused_with_its_place(tmp_path):
    state = {"hooks": {"Patience": {"best": [0, {1}]}}}
    with pytest.raises(TypeError, match=r"a set at 'training\.hooks\.Patience\.best\.1', which a"):
        write_checkpoint(tmp_path, 1, lambda: contents().with_training(state), keep=5)
    assert names_in(tmp_path) == []
