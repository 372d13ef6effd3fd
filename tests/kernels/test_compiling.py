"""What was compiled is kept where it can be, and never in the way."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

PROGRAM = """
import sys
sys.path.insert(0, {directory!r})
import module
print(module.double({number}))
"""
MODULE = """
from torchest.kernels.compiling import kernel
@kernel
def double(number):
    return number + number
"""


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "module.py").write_text(MODULE)
    return tmp_path


def start(directory, number):
    program = PROGRAM.format(directory=str(directory), number=number)
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)


def answer(directory, number):
    return start(directory, number).communicate()[0].strip()


def kept(directory):
    return sorted((directory / "__pycache__").glob("module.double*.nb?"))


def test_it_is_kept_beside_the_module(directory):
    assert answer(directory, 2) == "4"
    assert len(kept(directory)) == 2  # an index, and the code for integers
    assert answer(directory, 2.5) == "5.0"
    assert len(kept(directory)) == 3


def test_processes_that_compile_at_once_do_not_mix_up_types(directory):
    processes = [(number, start(directory, number)) for number in (2, 2.5, 1j, True)]
    for number, process in processes:
        assert process.communicate()[0].strip() == str(number + number)
    for number, _ in processes:
        assert answer(directory, number) == str(number + number)
    assert len(kept(directory)) == 5


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
def test_damaged_files_are_made_again(directory, ending):
    answer(directory, 2)
    for path in kept(directory):
        if path.suffix == f".{ending}":
            path.write_bytes(b"")
    assert answer(directory, 2) == "4"
    assert all(path.stat().st_size for path in kept(directory))


def test_what_cannot_be_kept_is_compiled_all_the_same(directory):
    cache = directory / "__pycache__"
    answer(directory, 2)
    shutil.rmtree(cache)
    program = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))"
    program += PROGRAM.format(directory=str(directory), number=3)
    run = subprocess.run(
        [sys.executable, "-B", "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "6"
