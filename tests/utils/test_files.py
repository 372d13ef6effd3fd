from __future__ import annotations

import errno
import os
import uuid
import zipfile

import fsspec
import pytest

from torchest.errors import RefusedFileError
from torchest.utils import files

OUTSIDE = [
    "..",
    "../x",
    "a/../../../x",
    "/etc/passwd",
    "a//x",
    "./x",
    "a/.",
    "a\\..\\x",
    "C:x",
    "a/d:/x",
    "a\0",
    "a\n",
    "",
    "a/",
    None,
    3,
]


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


@pytest.mark.parametrize("name", OUTSIDE, ids=repr)
def test_a_name_that_leads_out_of_a_directory_is_refused(directory, name):
    with pytest.raises(RefusedFileError, match="not the name of a file inside of it"):
        files.inside(directory, name)


@pytest.mark.parametrize("name", ["a" * 256, "ü" * 128, "a/" * 1100 + "b", "a\ud800"])
def test_a_name_that_no_disk_takes_is_refused(name):
    with pytest.raises(RefusedFileError, match="not the name of a file inside of it"):
        files.inside("exports/1", name)


@pytest.mark.parametrize("name", ["x", "a/x", "...", "..a", "a..", ".tmp-a/b c", "日本/é", "ab:c"])
def test_a_name_within_a_directory_is_joined(directory, name):
    assert files.inside(directory, name) == files.join(directory, *name.split("/"))


def temporary(monkeypatch, tmp_path):
    """The directory that temporary ones are made in."""
    place = tmp_path / "in" / "temporary"
    place.mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(place))
    return place


@pytest.mark.parametrize("key", ["../x", "../../../x", "a/../../../../x", "a\\x", "//x", "a\0b"])
def test_keys_that_lead_out_of_a_directory_are_not_copied(monkeypatch, tmp_path, key):
    place = temporary(monkeypatch, tmp_path)
    system, bucket = fsspec.filesystem("memory"), uuid.uuid4().hex
    system.pipe_file(f"/{bucket}/exp/a", b"good")
    system.store[f"/{bucket}/exp/{key}"] = system.store[f"/{bucket}/exp/a"]
    with (
        pytest.raises(RefusedFileError, match=f"'memory://{bucket}/exp' has a file called"),
        files.on_disk(f"memory://{bucket}/exp"),
    ):
        pass
    assert list(tmp_path.rglob("*")) == [place.parent, place]


def test_keys_that_are_both_file_and_folder_are_not_copied(monkeypatch, tmp_path):
    place = temporary(monkeypatch, tmp_path)
    system, bucket = fsspec.filesystem("memory"), uuid.uuid4().hex
    system.pipe_file(f"/{bucket}/a/b", b"x")
    system.store[f"/{bucket}/a"] = system.store[f"/{bucket}/a/b"]
    with pytest.raises(RefusedFileError, match="has 'a' as a file and as a folder"):  # noqa: SIM117
        with files.on_disk(f"memory://{bucket}"):
            pass
    assert os.listdir(place) == []


def test_a_copy_goes_away_and_keys_of_folders_are_left_out(monkeypatch, tmp_path):
    place = temporary(monkeypatch, tmp_path)
    system, bucket = fsspec.filesystem("memory"), uuid.uuid4().hex
    system.pipe_file(f"/{bucket}/a/b", b"x")
    system.store[f"/{bucket}/a/"] = system.store[f"/{bucket}/a/b"]
    with files.on_disk(f"memory://{bucket}") as local:
        assert [names for _, _, names in os.walk(local)] == [[], ["b"]]
    with (
        pytest.raises(NotADirectoryError, match="is a file"),
        files.on_disk(f"memory://{bucket}/a/b"),
    ):
        pass
    assert os.listdir(place) == []


def test_members_of_an_archive_that_lead_out_of_it_are_not_copied(monkeypatch, tmp_path):
    place = temporary(monkeypatch, tmp_path)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("exp/a", "x")
        archive.writestr("exp/../../../x", "x")
    with pytest.raises(RefusedFileError, match="not the name of a file inside"):  # noqa: SIM117
        with files.on_disk(f"zip://exp::{tmp_path}/a.zip"):
            pass
    assert os.listdir(place) == []


def test_what_could_not_be_read_again_is_not_sent(tmp_path):
    (tmp_path / "a\\b").write_text("x")
    url = f"memory://{uuid.uuid4().hex}"
    with pytest.raises(RefusedFileError, match="has a file called"):
        files.upload(str(tmp_path), url)
    assert files.names_in(url) == []


def pipe(path):
    os.mkfifo(path)


def link_to_device(path):
    path.symlink_to("/dev/zero")


def huge(path):
    path.touch()
    os.truncate(path, 2**31)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (pipe, "is a named pipe, not a regular file"),
        (link_to_device, "is a device, not a regular file"),
        (os.mkdir, "is a directory, not a regular file"),
        (huge, "has 2,147,483,648 bytes, more than the 1,073,741,824 that are read"),
    ],
)
@pytest.mark.parametrize("read", [files.read_bytes, files.read_text, files.read_json])
def test_only_regular_files_of_a_plausible_size_are_read(tmp_path, read, make, message):
    make(tmp_path / "a")
    with pytest.raises(RefusedFileError, match=message):
        read(str(tmp_path / "a"))


def test_a_folder_of_an_object_store_is_not_read(directory):
    with files.new_directory(files.join(directory, "b")) as local:
        (local / "one").write_text("1")
    with pytest.raises(RefusedFileError, match="is a directory, not a"):
        files.read_text(files.join(directory, "b"))


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a")
    with pytest.raises(RefusedFileError, match="named pipe"), files.reading(str(tmp_path / "a")):
        pass


@pytest.mark.parametrize("content", ["[" * 200_000, '{"a":' * 200_000, "{", "\udcff", ""])
def test_what_is_not_json_is_a_value_error(tmp_path, content):
    (tmp_path / "a").write_text(content, errors="surrogateescape")
    with pytest.raises(ValueError, match=r"Expecting|nested too deep|can't decode"):
        files.read_json(str(tmp_path / "a"))


def link_outside(path):
    path.symlink_to("../../../secret")


def link_to_folder(path):
    path.symlink_to("../../..", target_is_directory=True)


def broken_link(path):
    path.symlink_to("../../../missing")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (pipe, "is a named pipe"),
        (link_to_device, "is a link to '/dev/zero', outside of"),
        (link_outside, "is a link to '.*secret', outside of"),
        (link_to_folder, "is a link to .* outside of"),
        (broken_link, "is a link to '.*missing', outside of"),
    ],
)
@pytest.mark.parametrize("folder", ["", "a/b"])
def test_a_directory_holds_regular_files_of_its_own(tmp_path, folder, make, message):
    (tmp_path / "secret").write_text("x")
    place = tmp_path / "model" / folder
    place.mkdir(parents=True)
    make(place / "x")
    with pytest.raises(RefusedFileError, match=message):  # noqa: SIM117
        with files.on_disk(str(tmp_path / "model")):
            pass


def test_links_within_a_directory_and_to_it_are_followed(tmp_path):
    (tmp_path / "model" / "data").mkdir(parents=True)
    (tmp_path / "model" / "data" / "a").write_text("x")
    (tmp_path / "model" / "a").symlink_to("data/a")
    (tmp_path / "model" / "again").symlink_to("data", target_is_directory=True)
    (tmp_path / "model" / "data" / "round").symlink_to("../data", target_is_directory=True)
    (tmp_path / "newest").symlink_to("model")
    with files.on_disk(str(tmp_path / "newest")) as local:
        assert files.read_text(files.join(local, "a")) == "x"


def test_what_a_writer_that_lives_has_not_finished_is_no_leftover(tmp_path):
    directory = str(tmp_path)
    with files.new_directory(f"{directory}/a") as made:
        (made / "file").write_text("1")
        files.remove_leftovers(directory)
    file = files._new_file(f"{directory}/.tmp-b-1")
    files.remove_leftovers(directory)
    assert sorted(os.listdir(directory)) == [".tmp-b-1", "a"]
    file.close()
    files.remove_leftovers(directory)
    assert os.listdir(directory) == ["a"]


def test_of_a_link_in_the_place_of_a_directory_only_the_link_is_removed(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "model.ckpt-1").symlink_to(tmp_path / "precious")
    files.remove_directory(str(tmp_path / "model.ckpt-1"))
    assert os.listdir(tmp_path) == ["precious"]
