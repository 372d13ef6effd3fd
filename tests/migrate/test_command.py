"""`torchest migrate`: files and folders, their encodings and line ends, and its reports."""

from __future__ import annotations

import json
import os
import stat
import sys

import pytest

pytest.importorskip("libcst")

from torchest.command_line import main

PROGRAM = "import tensorflow as tf\n\nage = tf.feature_column.numeric_column('âge')  # en années\n"
REWRITTEN = PROGRAM.replace("tensorflow as tf", "torchest").replace("tf.", "torchest.")


def run(*arguments):
    with pytest.raises(SystemExit) as end:
        main(["migrate", *map(str, arguments)])
    return end.value.code


def test_without_write_files_stay_and_the_report_tells(tmp_path, capsys):
    file = tmp_path / "a.py"
    file.write_text(PROGRAM, encoding="utf-8")
    assert run(file) == 0
    assert file.read_text(encoding="utf-8") == PROGRAM
    lines = capsys.readouterr().out.splitlines()
    equal = "torchest.feature_column.numeric_column"
    assert lines == [
        f"{file}:1: changed: the import of TensorFlow is removed.",
        f"{file}:3: same: tf.feature_column.numeric_column is {equal}.",
        "1 files, 1 to rewrite (--write does it): 1 same, 1 changed",
    ]


def test_write_and_diff(tmp_path, capsys):
    file = tmp_path / "a.py"
    file.write_text(PROGRAM, encoding="utf-8")
    file.chmod(0o750)
    assert run(file, "--write", "--diff") == 0
    assert file.read_text(encoding="utf-8") == REWRITTEN
    assert stat.S_IMODE(file.stat().st_mode) == 0o750
    assert os.listdir(tmp_path) == ["a.py"]
    out = capsys.readouterr().out
    assert "-import tensorflow as tf\n+import torchest\n" in out
    assert "1 files, 1 rewritten" in out


@pytest.mark.parametrize(
    ("encoding", "head", "newline"),
    [
        ("utf-8", "", "\r\n"),
        ("utf-8-sig", "", "\n"),
        ("latin-1", "# coding: latin-1\n", "\n"),
        ("latin-1", "# -*- coding: latin-1 -*-\n", "\r\n"),
    ],
)
def test_encodings_and_line_ends_stay(encoding, head, newline, tmp_path):
    file = tmp_path / "a.py"
    file.write_bytes((head + PROGRAM).replace("\n", newline).encode(encoding))
    assert run(file, "--write") == 0
    assert file.read_bytes() == (head + REWRITTEN).replace("\n", newline).encode(encoding)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (
            b"import tensorflow\nprint 'hello'\n",
            "the file is not a program of Python 3 (line 2): it is left as it is.",
        ),
        (
            b"import tensorflow\ndef f(:\n",
            "the file is not a program of Python 3 (line 2): it is left as it is.",
        ),
        (b"import tensorflow # \xff\n", "the file is not text in its encoding"),
        (b"# coding: martian\nimport tensorflow\n", "the file is not text in its encoding"),
        (b"import tensorflow\n\0", "the file contains NUL bytes: it is left as it is."),
    ],
)
def test_a_file_that_is_no_program_is_left(data, sentence, tmp_path, capsys):
    file = tmp_path / "a.py"
    file.write_bytes(data)
    assert run(file, "--write") == 1
    assert file.read_bytes() == data
    assert sentence in capsys.readouterr().out


@pytest.mark.parametrize(
    "data",
    [
        b"x = 1\r\ny = 2\n",
        b"\xef\xbb\xbfx=1",
        b"",
        b"# tensorflow\nx = (1 ,2)\n",
        b"import tensorflow_hub as tf\ntf.x\n",
    ],
)
def test_a_file_without_tensorflow_is_left_bit_for_bit(data, tmp_path, capsys):
    file = tmp_path / "a.py"
    file.write_bytes(data)
    before = file.stat().st_mtime_ns
    assert run(file, "--write") == 0
    assert file.read_bytes() == data
    assert file.stat().st_mtime_ns == before
    assert "1 files, 0 rewritten: no TensorFlow" in capsys.readouterr().out


def test_a_folder_with_a_broken_file(tmp_path, capsys):
    (tmp_path / "trainer").mkdir()
    (tmp_path / ".hidden").mkdir()
    for name in ("a.py", "trainer/b.py", ".hidden/c.py", "notes.txt"):
        (tmp_path / name).write_text(PROGRAM, encoding="utf-8")
    (tmp_path / "broken.py").write_text("import tensorflow\ndef", encoding="utf-8")
    report = tmp_path / "report.json"
    assert run(tmp_path, "--write", "--report", report) == 1
    assert (tmp_path / "trainer" / "b.py").read_text(encoding="utf-8") == REWRITTEN
    assert (tmp_path / ".hidden" / "c.py").read_text(encoding="utf-8") == PROGRAM
    entries = json.loads(report.read_text(encoding="utf-8"))
    assert [(os.path.basename(e["file"]), e["line"], e["kind"]) for e in entries] == [
        ("a.py", 1, "changed"), ("a.py", 3, "same"),
        ("broken.py", 2, "failed"),
        ("b.py", 1, "changed"), ("b.py", 3, "same"),
    ]  # fmt: skip
    assert set(entries[0]) == {"file", "line", "kind", "text", "name"}
    assert "3 files, 2 rewritten" in capsys.readouterr().out


def test_a_link_stays_a_link(tmp_path):
    file = tmp_path / "a.py"
    file.write_text(PROGRAM, encoding="utf-8")
    (tmp_path / "b.py").symlink_to(file)
    assert run(tmp_path / "b.py", "--write") == 0
    assert (tmp_path / "b.py").is_symlink()
    assert file.read_text(encoding="utf-8") == REWRITTEN


def test_the_generation_can_be_said(tmp_path, capsys):
    file = tmp_path / "a.py"
    file.write_text(
        "import tensorflow as tf\nm = tf.estimator.LinearClassifier([])\n", encoding="utf-8"
    )
    assert run(file) == 0
    assert (
        "changes numbers: torchest.LinearClassifier has TensorFlow 2's defaults"
        in capsys.readouterr().out
    )
    assert run(file, "--write", "--tensorflow", "1") == 0
    assert "torchest.v1.LinearClassifier([])" in file.read_text(encoding="utf-8")
    assert "changes numbers" not in capsys.readouterr().out


def test_reading_line_by_line_gets_advice(tmp_path, capsys):
    file = tmp_path / "a.py"
    file.write_text(
        "import tensorflow as tf\nx = tf.io.decode_csv(line, [[0]])\n", encoding="utf-8"
    )
    assert run(file) == 0
    assert "Line by line it is slow: batch the lines before map" in capsys.readouterr().out


def test_paths_that_are_not_there(tmp_path, capsys):
    assert run(tmp_path / "nothing") == 2
    assert "There is no file or folder" in capsys.readouterr().err
    assert run(tmp_path) == 2
    assert "has no Python files (*.py)." in capsys.readouterr().err


def test_libcst_missing(tmp_path, capsys, monkeypatch):
    (tmp_path / "a.py").write_text(PROGRAM, encoding="utf-8")
    for name in [name for name in sys.modules if name.startswith(("libcst", "torchest.migrate"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "libcst", None)
    assert run(tmp_path) == 2
    assert "libcst is not installed: pip install 'torchest[migrate]'." in capsys.readouterr().err
