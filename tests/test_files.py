from __future__ import annotations

import errno
import os
import uuid

import fsspec
import pytest

from torchest import files


@pytest.fixture(params=["disk", "object store"])
def directory(request, tmp_path):
    return str(tmp_path) if request.param == "disk" else f"memory://{uuid.uuid4().hex}/models"


def test_what_was_written_is_read_and_listed(directory):
    files.write_text(files.join(directory, "a"), "é")
    assert files.read_text(files.join(directory, "a")) == "é"
    with files.new_directory(files.join(directory, "b")) as local:
        (local / "one").write_text("1")
        (local / "two").write_text("2")
    assert files.is_directory(files.join(directory, "b"))
    assert not files.is_directory(files.join(directory, "c"))
    assert sorted(files.names_in(directory)) == ["a", "b"]
    with files.on_disk(files.join(directory, "b")) as local:
        assert sorted(os.listdir(local)) == ["one", "two"]
        assert files.read_text(os.path.join(local, "two")) == "2"
    files.remove_directory(files.join(directory, "b"))
    files.remove_directory(files.join(directory, "b"))
    files.remove_file(files.join(directory, "a"))
    files.remove_file(files.join(directory, "a"))
    assert files.names_in(directory) == []
    assert files.names_in(files.join(directory, "missing")) == []
    with pytest.raises(FileNotFoundError, match="missing"):
        files.read_text(files.join(directory, "missing"))


def test_an_error_while_a_directory_is_written_leaves_nothing(directory):
    def fail():
        with files.new_directory(files.join(directory, "b")) as local:
            (local / "one").write_text("1")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        fail()
    assert files.names_in(directory) == []


def test_an_error_while_files_are_sent_leaves_nothing(monkeypatch):
    directory = f"memory://{uuid.uuid4().hex}"
    system = fsspec.filesystem("memory")
    original, sent = type(system).put_file, []

    def put_file(self, local, *arguments, **options):
        if sent:
            raise OSError("The connection broke")
        sent.append(local)
        return original(self, local, *arguments, **options)

    def write():
        with files.new_directory(f"{directory}/b") as local:
            (local / "one").write_text("1")
            (local / "two").write_text("2")

    with monkeypatch.context() as patch:
        patch.setattr(type(system), "put_file", put_file)
        with pytest.raises(OSError, match="connection broke"):
            write()
    assert files.names_in(directory) == []
    write()
    assert sorted(files.names_in(f"{directory}/b")) == ["one", "two"]


def test_a_url_that_nobody_understands_is_named():
    with pytest.raises(ValueError, match="'nowhere://a/b' cannot be reached by fsspec: Protocol"):
        files.read_text("nowhere://a/b")


def test_file_urls_are_paths(tmp_path):
    assert files.normal(f"file://{tmp_path}") == str(tmp_path)
    assert files.normal(tmp_path) == str(tmp_path)
    assert files.parent_and_name("gs://a/b/c") == ("gs://a/b", "c")
    assert files.parent_and_name(f"{tmp_path}{os.sep}c{os.sep}") == (str(tmp_path), "c")


def test_a_file_that_is_read_is_told_from_one_that_is_not(tmp_path):
    path = str(tmp_path / "a")
    files.write_text(path, "")
    with files.reading(path), files.reading(path), files.nobody_reads(path) as unused:
        assert not unused
    with files.nobody_reads(path) as unused:
        assert unused
    with pytest.raises(FileNotFoundError), files.reading(str(tmp_path / "b")):
        pass


def test_leftovers_of_killed_writers_are_removed(tmp_path):
    (tmp_path / ".tmp-a-1").mkdir()
    (tmp_path / ".tmp-a-1" / "file").write_text("1")
    (tmp_path / ".tmp-b-1").write_text("1")
    (tmp_path / "kept").write_text("1")
    files.remove_leftovers(str(tmp_path))
    assert files.names_in(str(tmp_path)) == ["kept"]
