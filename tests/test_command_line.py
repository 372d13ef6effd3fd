"""The command `torchest`, as a program of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import csv, parquet

import torchest
from torchest import columns
from torchest.command_line import main

# stands before the program: what must not be imported
WITHOUT_TORCH = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "pandas", "pyarrow", "onnx"):
            raise ImportError(name + " is not here")
sys.meta_path.insert(0, Refuse())
from torchest.command_line import main
main(sys.argv[1:])
"""


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return ended.value.code, printed.out, printed.err


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    age = columns.numeric_column("age", default_value=30.0)
    town = columns.categorical_column_with_vocabulary_list("town", ["Basel", "Cork", "日本"])
    config = torchest.RunConfig(tf_random_seed=1, save_summary_steps=None)
    model_dir = str(tmp_path_factory.mktemp("model"))
    model = torchest.LinearClassifier([age, town], model_dir=model_dir, n_classes=3, config=config)
    data = {"age": [1.0, 2.0, 3.0], "town": ["Basel", "Cork", "x"]}, [0, 1, 2]
    model.train(lambda: data, steps=3)
    model.evaluate(lambda: data, steps=1)
    model.evaluate(lambda: data, steps=1, name="again")
    return model


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    receiver = torchest.export.build_raw_serving_input_receiver_fn(
        {
            "age": columns.FixedLenFeature((1,), "float32", 30.0),
            "town": columns.FixedLenFeature((), str),
            "unread": columns.FixedLenFeature((), "int64"),
        }
    )
    base = tmp_path_factory.mktemp("exports")
    return model.export_saved_model(base, receiver, formats=("onnx", "torchscript"))


def test_show_has_the_signatures_as_a_table(exported, capsys):
    code, out, _ = run(capsys, "show", exported)
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert ["age", "float32", "[any,", "1]", "default", "30.0", "yes"] in lines
    assert ["town", "string", "[any]", "required", "yes"] in lines
    assert ["unread", "int64", "[any]", "required", "no"] in lines
    assert ["predict", "predict", "features", "logits", "float32", "[any,", "3]"] in lines
    assert ["classes", "string", "[any,", "1]"] in lines
    assert "step 3" in out
    assert "model.onnx (" in out


def test_show_of_a_training_directory_has_steps_parameters_and_metrics(model, capsys):
    code, out, _ = run(capsys, "show", model.model_dir)
    assert code == 0
    assert "step 3" in out
    assert "checkpoints: model.ckpt-0, model.ckpt-3" in out
    lines = [line.split() for line in out.splitlines()]
    assert ["linear.town.weight", "float32", "[3,", "3]"] in lines
    assert ["parameter", "(15", "numbers)", "dtype", "shape"] in lines
    accuracy = model.evaluate(lambda: ({"age": [1.0], "town": ["Basel"]}, [0]), steps=1)
    assert "average_loss" in accuracy
    assert ["eval", "step", "3"] in lines
    assert ["eval_again", "step", "3"] in lines
    assert any(line[:1] == ["average_loss"] for line in lines)


def test_verify_and_show_need_numpy_and_onnxruntime_only(exported):
    for command in ("verify", "show"):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", WITHOUT_TORCH, command, exported],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert "torchest" in done.stdout


def test_as_a_module(exported):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "torchest", "verify", exported],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "all golden rows are answered as at the export" in done.stdout


def test_verify_finds_another_model(exported, tmp_path, capsys):
    changed = tmp_path / "changed"
    changed.mkdir()
    for name in ("signatures.json", "model.onnx", "golden.json"):
        shutil.copy(os.path.join(exported, name), changed)
    golden = json.loads((changed / "golden.json").read_text())
    golden["outputs"]["probabilities"]["values"][4] += 0.01
    (changed / "golden.json").write_text(json.dumps(golden))
    code, out, _ = run(capsys, "verify", changed)
    assert code == 1
    assert "output 'probabilities', all rows: is" in out
    assert "output 'probabilities', row 1 alone" in out
    assert "2 answers differ" in out


@pytest.mark.parametrize("name", ["signatures.json", "golden.json", "model.onnx"])
def test_a_damaged_file_is_named(exported, tmp_path, capsys, name):
    damaged = tmp_path / "damaged"
    shutil.copytree(exported, damaged)
    os.truncate(damaged / name, 50)
    code, _, err = run(capsys, "verify", damaged)
    assert code == 2
    assert f"{name}' is damaged" in err


def test_nobody_reads_what_is_shown(exported):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-W", "error", "-m", "torchest", "show", exported]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


ROWS = {"age": [1.5, 22.0, 30.0], "town": ["Basel", "日本", ""], "other": [1, 2, 3]}


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("engine", ["onnx", "torchscript"])
def test_predict_answers_the_rows_of_a_table(model, exported, tmp_path, capsys, ending, engine):
    given, written = tmp_path / f"rows.{ending}", tmp_path / f"answers.{ending}"
    table = pa.table({**ROWS, "unread": [1, 2, 3]})
    if ending == "parquet":
        parquet.write_table(table, given)
    elif ending == "csv":
        csv.write_csv(table, given)
        given.write_text(given.read_text().replace("30,", ","))  # missing: the default
    else:
        given.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    command = ("predict", exported, "--input", given, "--output", written)
    code, out, err = run(capsys, *command, "--batch_size", 2, "--engine", engine)
    assert code == 0, err
    assert "3 rows" in out
    features = {key: ROWS[key] for key in ("age", "town")}
    expected = list(model.predict(lambda: iter([features])))
    if ending == "csv":
        answers = csv.read_csv(written).to_pylist()
        actual = [[row[f"probabilities_{at}"] for at in range(3)] for row in answers]
    elif ending == "parquet":
        answers = parquet.read_table(written).to_pylist()
        actual = [row["probabilities"] for row in answers]
    else:
        answers = [json.loads(line) for line in written.read_text().splitlines()]
        actual = [row["probabilities"] for row in answers]
    np.testing.assert_allclose(actual, [row["probabilities"] for row in expected], atol=1e-5)
    assert [str(row["classes"]) for row in answers] == [
        row["classes"][0].decode() for row in expected
    ]
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([given.name, written.name])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "{empty}"], "is neither an exported model .no signatures.json. nor a model_dir"),
        (["verify", "{empty}"], "is not an exported model: it has no signatures.json"),
        (["predict", "{model}", "--input", "a.xls", "--output", "b.csv"], "'a.xls' must end with one of"),
        (["predict", "{model}", "--input", "a.csv", "--output", "b"], "'b' must end with one of .csv"),
        (["predict", "{model}", "--input", "{empty}/a.csv", "--output", "b.csv"], "a.csv"),
        (["predict", "{model}", "--input", "{csv}", "--output", "{empty}/b.csv"], "no column 'age', .* mean 'agee'"),
        (
            ["predict", "{model}", "--input", "{csv}", "--output", "{empty}/b.csv", "--allow-missing"],
            "has no column that is an input",
        ),
        (["predict", "{model}", "--input", "{csv}", "--output", "b.csv", "--signature", "predct"], "mean 'predict'"),
        (["predict", "{model}", "--input", "{csv}", "--output", "b.csv", "--engine", "pt2"], "has no model.pt2"),
        (["predict", "{model}", "--input", "{csv}", "--output", "b.csv", "--batch_size", "0"], "--batch-size=0 must"),
        (["predict", "{model}", "--input", "{header}", "--output", "{empty}/b.csv"], "There are no rows to answer"),
        (
            ["predict", "{model}", "--input", "{twice}", "--output", "{empty}/b.csv"],
            "twice.csv' has more than one column 'town'",
        ),
        (
            ["predict", "{model}", "--input", "{text}", "--output", "{empty}/b.csv"],
            "text.csv' cannot be read: Column 'age': CSV conversion error .* 'old'",
        ),
        (["vrify", "{model}"], "invalid choice: 'vrify'"),
    ],
)  # fmt: skip
def test_wrong_use(exported, tmp_path, capsys, arguments, message):
    import re

    table = tmp_path / "table.csv"
    table.write_text("agee,x\n1,2\n")
    header = tmp_path / "header.csv"
    header.write_text("age,town\n")
    twice = tmp_path / "twice.csv"
    twice.write_text("age,town,town\n1,a,b\n")
    text = tmp_path / "text.csv"
    text.write_text("town,age\na,old\n")
    empty = tmp_path / "empty"
    empty.mkdir()
    paths = (table, header, twice, text)
    names = {"empty": empty, "model": exported, "csv": table, **{path.stem: path for path in paths}}
    code, _, err = run(capsys, *(argument.format(**names) for argument in arguments))
    assert code == 2
    assert re.search(message, err), err
    assert list(empty.iterdir()) == []


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_misspelt_column_is_named_unless_it_may_be_missing(
    model, exported, tmp_path, capsys, ending
):
    table = pa.table({"Age": ROWS["age"], "town": ROWS["town"], "unread": [1, 2, 3]})
    given, written = tmp_path / f"rows.{ending}", tmp_path / "answers.jsonl"
    if ending == "parquet":
        parquet.write_table(table, given)
    elif ending == "csv":
        csv.write_csv(table, given)
    else:
        given.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    command = ("predict", exported, "--input", given, "--output", written)
    code, _, err = run(capsys, *command)
    assert code == 2
    assert "has no column 'age', which the model reads. Did you mean 'Age'?" in err
    assert not written.exists()
    code, _, err = run(capsys, *command, "--allow-missing")
    assert code == 0, err
    answers = [json.loads(line)["probabilities"] for line in written.read_text().splitlines()]
    without = {"age": [30.0] * 3, "town": ROWS["town"]}
    expected = [row["probabilities"] for row in model.predict(lambda: iter([without]))]
    np.testing.assert_allclose(answers, expected, atol=1e-5)


@pytest.fixture(scope="module")
def of_text(tmp_path_factory):
    """An export that gives lists of text back, under the names that its inputs had."""

    def model_fn(features, labels, mode):
        net = torchest.get_or_create("net", lambda: torch.nn.Linear(1, 1))
        if mode == torchest.ModeKeys.PREDICT:
            answers = {"x": features["x"] * 2, "tags": features["tags"]}
            return torchest.EstimatorSpec(mode, predictions=answers)
        sgd = torchest.get_or_create("sgd", lambda: torch.optim.SGD(net.parameters(), lr=0.1))
        return torchest.EstimatorSpec(mode, loss=net.bias.sum(), train_op=sgd)

    place = tmp_path_factory.mktemp("text")
    model = torchest.Estimator(model_fn, str(place / "model"))
    model.train(lambda: ({"x": [1.0, 2.0], "tags": [["a"], []]}, [0, 0]), steps=1)
    receiver_fn = torchest.export.build_raw_serving_input_receiver_fn(
        {"x": columns.FixedLenFeature((), "float32"), "tags": columns.VarLenFeature(str)}
    )
    return model.export_saved_model(place / "exports", receiver_fn)


LISTS = [["a"], ["b", "c"], []]


def answers_of_lists(of_text, tmp_path, capsys, ending, *options):
    given, written = tmp_path / "rows.jsonl", tmp_path / f"answers.{ending}"
    rows = [{"x": at, "tags": row} for at, row in enumerate(LISTS)]
    given.write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ("predict", of_text, "--input", given, "--output", written, *options)
    return written, *run(capsys, *command)


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_lists_of_text_are_answered_in_batches_of_any_width(of_text, tmp_path, capsys, ending):
    written, code, _, err = answers_of_lists(of_text, tmp_path, capsys, ending, "--batch-size", 1)
    assert code == 0, err
    answers = (
        parquet.read_table(written).to_pylist()
        if ending == "parquet"
        else [json.loads(line) for line in written.read_text().splitlines()]
    )
    assert answers == [{"x": 2.0 * at, "tags": row} for at, row in enumerate(LISTS)]


def test_lists_of_text_are_columns_of_csv_if_all_are_as_wide(of_text, tmp_path, capsys):
    written, code, _, err = answers_of_lists(of_text, tmp_path, capsys, "csv")
    assert code == 0, err
    table = csv.read_csv(written)
    assert table.column_names == ["x", "tags_0", "tags_1"]
    assert table["tags_0"].to_pylist() == ["a", "b", ""]
    written.unlink()
    _, code, _, err = answers_of_lists(of_text, tmp_path, capsys, "csv", "--batch-size", 1)
    assert code == 2
    assert "The rows of 'tags' have differing numbers of values, which a .csv cannot hold" in err
    assert not written.exists()


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_may_call_a_renamed_input_by_its_feature(of_text, tmp_path, capsys, ending):
    given, written = tmp_path / f"rows.{ending}", tmp_path / "answers.jsonl"
    table = pa.table({"tags": ["01", "b"], "x": [1.0, 2.0]})
    (csv.write_csv if ending == "csv" else parquet.write_table)(table, given)
    code, _, err = run(capsys, "predict", of_text, "--input", given, "--output", written)
    assert code == 0, err
    answers = [json.loads(line) for line in written.read_text().splitlines()]
    assert answers == [{"x": 2.0, "tags": ["01"]}, {"x": 4.0, "tags": ["b"]}]
