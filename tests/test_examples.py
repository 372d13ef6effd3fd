"""The examples run, on tables that they make themselves, and learn something."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from module_from import module_from
from serialized_examples import serialized

import torchest

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(autouse=True)
def _as_if_run_there(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES / "guide")  # the guide's examples share their tables


def load(name):
    return module_from(EXAMPLES / f"{name}.py")


def run(name, *arguments):
    command = [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True)


def test_titanic_goes_on_where_it_stopped(tmp_path):
    first = run("guide/titanic", "--model_dir", str(tmp_path), "--steps", "20")
    assert "loss = 0.6931472, step = 0" in first.stderr
    assert first.stdout.count("survives with probability") == 5
    again = run("guide/titanic", "--model_dir", str(tmp_path), "--steps", "20")
    assert f"Restoring parameters from {tmp_path}/model.ckpt-20" in again.stderr
    assert "step = 20" in again.stderr
    assert "global_step 40" in again.stdout


def test_iris_tells_three_kinds_apart(tmp_path):
    iris = load("guide/iris")
    result = iris.run(iris.make_table(600, seed=1), steps=300, model_dir=str(tmp_path))
    assert result["accuracy"] > 0.8  # from random weights; a third by chance


def test_iris_reads_a_file_with_names_of_species(tmp_path):
    iris = load("guide/iris")
    table = iris.make_table(30, seed=1)
    table["Species"] = table["Species"].map(lambda number: iris.SPECIES[number].lower())
    table.to_csv(tmp_path / "iris.csv", index=False)
    assert iris.read_table(tmp_path / "iris.csv")["Species"].isin([0, 1, 2]).all()


def test_crossed_columns_know_more_of_the_passengers(tmp_path):
    actual = load("guide/linear").run(str(tmp_path), steps=100)
    assert actual["base"]["accuracy"] > actual["base"]["accuracy_baseline"] + 0.1
    assert actual["crossed"]["auc"] > actual["base"]["auc"] > 0.8


def test_feature_columns_are_what_the_guide_says_and_learn(tmp_path):
    example = load("guide/feature_columns")
    made = example.make_columns()
    passengers = example.PASSENGERS
    assert example.shown(made["the number"])[:, 0].tolist() == passengers["age"]
    groups = np.digitize(passengers["age"], [14, 30, 50])
    assert example.shown(made["its group"]).argmax(1).tolist() == groups.tolist()
    assert example.shown(made["a known word"]).tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 0]]
    assert example.shown(made["a hashed word, embedded"]).shape == (3, 3)
    assert example.shown(made["group and sex, crossed"]).sum(1).tolist() == [1, 1, 1]
    actual = example.run(str(tmp_path), steps=100)
    assert actual["accuracy"] > actual["accuracy_baseline"] + 0.1
    assert actual["auc"] > 0.75


def test_a_model_fn_of_ones_own_tells_the_flowers_apart(tmp_path):
    table = load("guide/iris").make_table(400, seed=1)
    actual = load("guide/custom").run(table, steps=100, model_dir=str(tmp_path))
    assert actual["accuracy"] > 0.9
    right = [
        row["class_id"] == species
        for row, species in zip(actual["predictions"], table["Species"][320:], strict=True)
    ]
    assert np.mean(right) == pytest.approx(actual["accuracy"])
    for row in actual["predictions"]:
        assert row["probabilities"].sum() == pytest.approx(1, abs=1e-6)


def test_an_existing_module_learns_with_its_top_alone(tmp_path):
    example = load("guide/existing_module")
    torch.manual_seed(1)
    module = example.make_small()
    base = {name: value.clone() for name, value in module.base.state_dict().items()}
    actual = example.run(module, str(tmp_path), steps=12, size=64)
    assert actual["after"]["loss"] < actual["before"]["loss"]
    assert actual["after"]["accuracy"] > 0.9 > actual["before"]["accuracy"]
    assert all(torch.equal(module.base.state_dict()[name], base[name]) for name in base)
    np.testing.assert_allclose(actual["estimator"], actual["module"], rtol=1e-5, atol=1e-6)


def test_a_loop_goes_on_from_a_checkpoint_as_the_estimator_does(tmp_path):
    example = load("guide/checkpoints")
    model = example.make_model(tmp_path).train(example.input_fn, steps=20)
    of_loop = example.go_on_in_a_loop(tmp_path, steps=20)
    first = torchest.load_checkpoint(f"{tmp_path}/model.ckpt-20").module("net")
    model.train(example.input_fn, steps=20)
    of_estimator = torchest.load_checkpoint(tmp_path).module("net")
    assert not torch.equal(first["weight"], of_estimator["weight"])
    for name, value in of_loop.state_dict().items():
        assert torch.equal(value, of_estimator[name]), name


def test_a_model_that_starts_from_tensorflows_checkpoint_answers_as_it_did(tmp_path):
    example = load("guide/checkpoints")
    expected = json.loads((example.OF_TENSORFLOW.parent / "answers.json").read_text())
    actual = example.answers(example.start_from_tensorflow(tmp_path), expected["inputs"])
    np.testing.assert_allclose(actual, expected["outputs"], rtol=1e-6)


def test_an_export_answers_as_the_estimator_to_columns_and_to_records(tmp_path):
    example = load("guide/export")
    actual = example.run(str(tmp_path / "model"), 20, str(tmp_path / "exports"))
    np.testing.assert_allclose(actual["export"], actual["estimator"], rtol=1e-5, atol=1e-6)
    rows = zip(*example.PASSENGERS.values(), strict=True)
    records = [
        serialized(**{key: [value] for key, value in zip(example.PASSENGERS, row, strict=True)})
        for row in rows
    ]
    served = torchest.export.load(actual["path"])
    answers = served.signatures["predict"](examples=records)["probabilities"]
    np.testing.assert_array_equal(answers, actual["export"])


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
