"""The public names of torchest and its public modules, at run time and for type checkers."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
import types
from pathlib import Path

import pytest

import torchest
import torchest.api

ROOT = Path(torchest.__file__).parent
PUBLIC = sorted(
    {
        *torchest.api.SUBMODULES,
        *(n for n in torchest.api.__all__ if isinstance(getattr(torchest, n), types.ModuleType)),
    }
)
PACKAGES = [info.name for info in pkgutil.walk_packages([str(ROOT)], "torchest.") if info.ispkg]


def test_dir_is_the_public_names_and_modules_alone():
    importlib.import_module("torchest.engine.loop")
    importlib.import_module("torchest.utils.checks")

    assert sorted(dir(torchest)) == sorted({*torchest.__all__, *torchest.api.SUBMODULES})
    assert all(hasattr(torchest, name) for name in dir(torchest))
    assert not {"engine", "utils", "api", "annotations", "TYPE_CHECKING"} & set(dir(torchest))


def test_dir_is_the_same_before_anything_is_imported():
    script = "import torchest; print(*dir(torchest))"
    printed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert printed.stdout.split() == dir(torchest)


@pytest.mark.parametrize("name", PUBLIC)
def test_dir_of_a_public_module_is_its_public_names_alone(name):
    module = getattr(torchest, name)

    assert dir(module) == sorted(module.__all__)
    assert all(hasattr(module, each) for each in module.__all__)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_misspelt_name_of_a_public_module_has_a_way_out(name):
    module = getattr(torchest, name)
    longest = max(module.__all__, key=len)

    with pytest.raises(AttributeError, match=rf"'{module.__name__}' has no.* mean '{longest}'"):
        getattr(module, f"{longest}x")


@pytest.mark.parametrize("name", PUBLIC)
def test_a_module_is_imported_from_its_package_by_from(name):
    for info in pkgutil.iter_modules(getattr(getattr(torchest, name), "__path__", [])):
        scope: dict[str, object] = {}
        exec(f"from torchest.{name} import {info.name}", scope)
        assert isinstance(scope[info.name], types.ModuleType)


@pytest.mark.parametrize("package", ["torchest", *PACKAGES])
def test_no_public_name_of_a_package_hides_one_of_its_modules(package):
    module = importlib.import_module(package)
    modules = {info.name for info in pkgutil.iter_modules(module.__path__)}
    names = {name for name, value in vars(module).items() if isinstance(value, types.ModuleType)}

    assert modules & {*getattr(module, "__all__", ()), *vars(module)} <= names


def test_a_function_is_not_importable_as_a_module():
    with pytest.raises(ModuleNotFoundError, match=r"torchest\.columns\.describe"):
        importlib.import_module("torchest.columns.describe")


SETTINGS = """
[mypy]
ignore_missing_imports = true
ignore_errors = true
follow_imports = skip

[mypy-torchest.*]
follow_imports = silent

[mypy-snippet]
ignore_errors = false
"""
SNIPPET = """
import torchest
from torchest import columns

model = torchest.LinearClassifier([columns.numeric_column("age")])
torchest.experimental.stop_if_lower_hook(model, "loss", 0.1)
torchest.losses.Reduction.SUM
torchest.LinerClassifier
columns.numeric_colum
torchest.experimental.stop_if_lower
torchest.estimator.DNNClassifer
torchest.v1.train.AdamOptimiser
torchest.train
torchest.v1.estimator.DNNClassifier([3], [], optimizer=torchest.v1.train.AdamOptimizer(0.1))
torchest.estimator.DNNClassifier([3], [], optimizer=torchest.optimizers.Adam(learning_rate=0.1))
torchest.estimator.export.PredictOutput
torchest.v1.estimator.experimental.LinearSDCA
"""


def test_a_misspelt_name_is_an_error_of_the_type_checker(tmp_path):
    (tmp_path / "snippet.py").write_text(SNIPPET)
    (tmp_path / "mypy.ini").write_text(SETTINGS)
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path), "snippet.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={"MYPYPATH": str(ROOT.parent)},
    )
    errors = [line for line in checked.stdout.splitlines() if "error: " in line]

    lines = [line.split(":")[1] for line in errors]
    assert lines == ["8", "9", "10", "11", "12", "13"], checked.stdout
    assert "LinerClassifier" in errors[0]
