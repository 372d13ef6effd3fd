"""Checkpoints that TensorFlow wrote are read without it; see tests/reference/tf_checkpoints.py."""

from __future__ import annotations

import shutil

import fsspec
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_arrays import array, params, read
from tensorflow_checkpoints import unpacked

import torchest
from torchest.checkpoint.tensorflow.slices import Extent, key_of

CASES = read("tf_checkpoints")["read"]


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return unpacked(tmp_path_factory)


def expected_value(described):
    if described["dtype"].startswith("complex"):
        pairs = np.array(described["values"], float).reshape([*described["shape"][:-1], 2])
        return (pairs[..., 0] + 1j * pairs[..., 1]).astype(described["dtype"])
    return array(described)


def prefix_of(name, folder):
    return folder / next(case["checkpoint"] for case in CASES if case["name"] == name)


@pytest.mark.parametrize("case", params(CASES))
def test_names_shapes_dtypes_and_values_are_those_of_tensorflow(case, folder):
    reader = torchest.load_checkpoint(folder / case["checkpoint"])
    shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    assert len(shapes) == case["variables"]
    assert list(shapes) == sorted(shapes) == list(dtypes)
    for name, described in case["values"].items():
        expected, actual = expected_value(described), reader.get_tensor(name)
        assert actual.shape == expected.shape == tuple(shapes[name]), name
        assert actual.dtype == expected.dtype, name
        assert actual.tolist() == expected.tolist(), name
        assert reader.has_tensor(name)


def test_dtypes_are_those_of_torch(folder):
    dtypes = torchest.load_checkpoint(prefix_of("all dtypes", folder)).get_variable_to_dtype_map()
    assert dtypes["bfloat16"] == torch.bfloat16
    assert dtypes["uint16"] == torch.uint16
    assert dtypes["a string"] is bytes


def test_one_variable_and_the_list_of_all(folder):
    prefix = prefix_of("slices", folder)
    assert torchest.list_variables(prefix) == [
        ("both", [6, 4]),
        ("columns", [6, 4]),
        ("long", [300]),
        ("rows", [6, 4]),
        ("whole", [6, 4]),
    ]
    whole = np.arange(24, dtype=np.float32).reshape(6, 4)
    for name in ("both", "columns", "rows", "whole"):
        assert np.array_equal(torchest.load_variable(prefix, name), whole)


class TestPlaces:
    def test_a_directory_means_the_newest_in_its_list(self, folder, tmp_path):
        copy(prefix_of("two files", folder), tmp_path / "model.ckpt-10")
        for listed in (
            "model.ckpt-10",
            "/home/someone/else/model.ckpt-10",
            "C:\\\\x\\\\model.ckpt-10",
        ):
            (tmp_path / "checkpoint").write_text(
                f'model_checkpoint_path: "{listed}"\nall_model_checkpoint_paths: "model.ckpt-5"\n'
            )
            reader = torchest.load_checkpoint(tmp_path)
            assert reader.path == str(tmp_path / "model.ckpt-10")
            assert reader.get_tensor("third") == 5

    def test_the_list_may_have_escapes(self, folder, tmp_path):
        copy(prefix_of("two files", folder), tmp_path / "größe")
        (tmp_path / "checkpoint").write_text('model_checkpoint_path: "gr\\303\\266\\303\\237e"\n')
        assert torchest.load_checkpoint(tmp_path).path == str(tmp_path / "größe")

    def test_the_name_of_the_index(self, folder):
        path = f"{prefix_of('two files', folder)}.index"
        assert torchest.load_variable(path, "third") == 5

    def test_a_saved_model(self, folder):
        saved_model = prefix_of("saved model", folder).parent.parent
        assert torchest.load_variable(saved_model, "scale/.ATTRIBUTES/VARIABLE_VALUE") == 3

    def test_an_object_store(self, folder):
        store = fsspec.filesystem("memory")
        store.put(f"{prefix_of('two files', folder).parent}/", "/of_tensorflow/", recursive=True)
        store.pipe("/of_tensorflow/checkpoint", b'model_checkpoint_path: "model.ckpt"')
        for place in ("memory://of_tensorflow", "memory://of_tensorflow/model.ckpt"):
            assert names_and_values(place) == names_and_values(prefix_of("two files", folder))

    @pytest.mark.parametrize(
        "listed", ["../other/model.ckpt-1", "a/../../b", "..", "", "x\\000y", "/", "a/"]
    )
    def test_nothing_outside_of_the_directory(self, folder, tmp_path, listed):
        copy(prefix_of("two files", folder), tmp_path / "other" / "model.ckpt-1")
        inside = tmp_path / "inside"
        inside.mkdir()
        (inside / "checkpoint").write_text(f'model_checkpoint_path: "{listed}"\n')
        with pytest.raises(ValueError, match="is not the name of a file inside of it"):
            torchest.load_checkpoint(inside)

    def test_a_listed_checkpoint_that_is_not_there(self, tmp_path):
        (tmp_path / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-1"\n')
        with pytest.raises(
            torchest.DamagedCheckpointError, match=r"names the checkpoint 'model.ckpt-1', but there"
        ):
            torchest.load_checkpoint(tmp_path)
        (tmp_path / "model.ckpt-1").write_bytes(b"of another format")
        with pytest.raises(torchest.DamagedCheckpointError, match=r"first format \(V1\)"):
            torchest.load_checkpoint(tmp_path)

    def test_a_link_that_leads_out(self, folder, tmp_path):
        prefix = prefix_of("two files", folder)
        copy(prefix, tmp_path / "x")
        (tmp_path / "x.index").unlink()
        (tmp_path / "x.index").symlink_to(f"{prefix}.index")
        with pytest.raises(torchest.DamagedCheckpointError, match="is a link to"):
            torchest.load_checkpoint(tmp_path / "x")


def copy(prefix, target):
    target.parent.mkdir(exist_ok=True)
    for path in prefix.parent.glob(f"{prefix.name}.*"):
        shutil.copy(path, f"{target}{path.name.removeprefix(prefix.name)}")


class TestDamage:
    def test_a_missing_file(self, folder, tmp_path):
        copy(prefix_of("two files", folder), tmp_path / "x")
        (tmp_path / "x.data-00001-of-00002").unlink()
        reader = torchest.load_checkpoint(tmp_path / "x")
        assert reader.get_tensor("first").tolist() == [1, 2]
        with pytest.raises(
            torchest.DamagedCheckpointError, match=r"x.data-00001-of-00002' is missing"
        ):
            reader.get_tensor("third")

    @pytest.mark.parametrize("content", [b"", b"PK\3\4", b"{}", b"\0" * 48, b"\xff" * 1000])
    def test_a_file_of_another_kind(self, tmp_path, content):
        (tmp_path / "x.index").write_bytes(content)
        with pytest.raises(torchest.DamagedCheckpointError, match="not an index that TensorFlow"):
            torchest.load_checkpoint(tmp_path / "x")

    def test_a_name_that_is_not_there(self, folder):
        with pytest.raises(ValueError, match=r"name='thirt' is not a variable .*mean 'third'"):
            torchest.load_variable(prefix_of("two files", folder), "thirt")


def names_and_values(prefix):
    reader = torchest.load_checkpoint(prefix)
    return {name: reader.get_tensor(name).tolist() for name in reader.get_variable_to_shape_map()}


def is_one_sentence(text):
    return len(text) < 1500 and "\n" not in text and text.endswith(".")


@pytest.mark.parametrize("name", ["all dtypes", "slices", "two files"])
@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_changed_byte_or_a_cut_is_an_error_or_changes_nothing(
    name, folder, tmp_path_factory, data
):
    original = prefix_of(name, folder)
    prefix = tmp_path_factory.mktemp("changed") / "x"
    copy(original, prefix)
    path = data.draw(st.sampled_from(sorted(prefix.parent.iterdir())))
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, max(0, len(content) - 1)))
    if data.draw(st.booleans()) and content:
        content[at] ^= data.draw(st.integers(1, 255))
    else:
        del content[at:]
    path.write_bytes(content)
    problem = None
    try:
        actual = names_and_values(prefix)
    except torchest.DamagedCheckpointError as error:
        problem = str(error)
    if problem is None:
        assert actual == names_and_values(original)
    else:
        assert is_one_sentence(problem)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(name=st.text(), numbers=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4))
def test_keys_of_slices_are_in_the_order_of_their_numbers(name, numbers):
    keys = [key_of(name, [Extent(number, 0)]) for number in sorted(numbers)]
    assert keys == sorted(keys)
