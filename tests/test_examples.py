"""The examples run, on tables that they make themselves, and learn something."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

import torchest

EXAMPLES = Path(__file__).parent.parent / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(name, *arguments):
    command = [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True)


def test_titanic_goes_on_where_it_stopped(tmp_path):
    first = run("titanic", "--model_dir", str(tmp_path), "--steps", "20")
    assert "loss = 0.6931472, step = 0" in first.stderr
    assert first.stdout.count("survives with probability") == 5
    again = run("titanic", "--model_dir", str(tmp_path), "--steps", "20")
    assert f"Restoring parameters from {tmp_path}/model.ckpt-20" in again.stderr
    assert "step = 20" in again.stderr
    assert "global_step 40" in again.stdout


def test_iris_tells_three_kinds_apart(tmp_path):
    iris = load("iris")
    result = iris.run(iris.make_table(600, seed=1), steps=300, model_dir=str(tmp_path))
    assert result["accuracy"] > 0.8  # from random weights; a third by chance


def test_iris_reads_a_file_with_names_of_species(tmp_path):
    iris = load("iris")
    table = iris.make_table(30, seed=1)
    table["Species"] = table["Species"].map(lambda number: iris.SPECIES[number].lower())
    table.to_csv(tmp_path / "iris.csv", index=False)
    assert iris.read_table(tmp_path / "iris.csv")["Species"].isin([0, 1, 2]).all()


def test_census_finds_what_decides_the_income(tmp_path):
    census = load("census")
    result = census.run(census.make_table(2000, seed=1), steps=600, model_dir=str(tmp_path))
    assert result["accuracy"] > result["accuracy_baseline"]
    assert result["auc"] > 0.85


@pytest.mark.parametrize("header", [True, False])
def test_census_reads_the_table_with_and_without_a_line_of_names(tmp_path, header):
    census = load("census")
    table = census.make_table(20, seed=1)
    for name in census.NAMES:
        if name not in table:
            table[name] = 0
    path = tmp_path / "adult.data"
    table[census.NAMES].to_csv(path, index=False, header=header)
    read = census.read_table(path)
    assert len(read) == 20
    assert read["age"].tolist() == table["age"].tolist()


def test_warm_start_knows_the_towns_of_last_year(tmp_path):
    actual = load("warm_start").run(tmp_path, steps=200)
    assert actual["warm, not trained"] > actual["cold, not trained"] + 0.15
    assert actual["warm, 20 steps"] > actual["cold, 20 steps"]
    assert actual["warm, 20 steps"] > 0.85


def test_early_stopping_ends_training_and_a_second_run_at_once(tmp_path):
    early_stopping = load("early_stopping")
    metrics = early_stopping.run(str(tmp_path), max_steps=2000)
    assert 100 < metrics["global_step"] < 2000
    assert early_stopping.run(str(tmp_path), max_steps=2000) is None  # nothing was left to do


def test_the_best_model_is_kept_over_three_restarts(tmp_path):
    out = run("best_exporter", "--model_dir", str(tmp_path), "--steps", "40").stdout
    assert out.count("restart") == 3
    actual = re.findall(r"step +(\d+): loss ([\d.]+) *(exported)?", out)
    best = float("inf")
    for _, loss, exported in actual:
        assert bool(exported) == (float(loss) < best), out
        best = min(best, float(loss))
    assert len({step for step, _, _ in actual}) == 8
    assert f"loss {best:.4f}\n" in out[out.index("best:") :]


def test_deep_fm_learns_what_a_linear_model_cannot(tmp_path):
    deep_fm = load("deep_fm")
    actual = deep_fm.run(deep_fm.make_table(4000, seed=1), steps=350, model_dir=str(tmp_path))
    assert actual["linear"]["auc"] < 0.6
    assert actual["DeepFM"]["auc"] > 0.85
    assert torchest.load_checkpoint(tmp_path).global_step == 350


@pytest.mark.parametrize("header", [True, False])
def test_deep_fm_reads_the_adult_table(tmp_path, header):
    deep_fm = load("deep_fm")
    table = deep_fm.make_table(20, seed=1).assign(fnlwgt=1)
    table[deep_fm.NAMES].to_csv(tmp_path / "adult.data", index=False, header=header)
    read = deep_fm.read_table(tmp_path / "adult.data")
    assert read["education"].tolist() == table["education"].tolist()
    assert "fnlwgt" not in read


def test_two_towers_find_what_users_choose(tmp_path):
    actual = load("two_tower").run(steps=150, model_dir=str(tmp_path))
    assert actual["recall@10, random"] == 0.025
    assert actual["recall@10"] > 0.2
    names = {name for name, _ in torchest.list_variables(tmp_path)}
    assert {"users.3.weight", "items.3.weight"} <= names
