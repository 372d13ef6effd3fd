"""Estimators that TensorFlow trained go on in torchest as they would have there.

See tests/reference/tf_checkpoints.py.
"""

from __future__ import annotations

import itertools
import json
import re
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_arrays import params, read
from tensorflow_checkpoints import unpacked

import torchest
from tests.canned.test_reference import N_ROWS, ROWS, Losses
from tests.canned.test_reference import made as made_of_keras
from torchest import columns, optimizers, v1
from torchest.command_line import main
from torchest.warm_start.import_checkpoint import import_checkpoint

CASES = read("tf_checkpoints")["trained"]
FEATURES = ROWS["features"] | {"a b/c": ROWS["features"]["age"]}
QUIET = torchest.RunConfig(save_summary_steps=None, log_step_count_steps=None)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return unpacked(tmp_path_factory)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def made(described):
    """The object that data describe."""
    if isinstance(described, list):
        made_each = map(made, described)
        return list(
            itertools.chain.from_iterable(e if isinstance(e, list) else [e] for e in made_each)
        )
    if not isinstance(described, dict):
        return described
    name = described["function"]
    arguments = {key: made(each) for key, each in described["arguments"].items()}
    if name.endswith("Optimizer"):
        return getattr(v1.train, name)(**arguments)
    if hasattr(optimizers, name):
        return getattr(optimizers, name)(**arguments)
    if name.startswith("shared_embedding"):
        return columns.shared_embeddings(**arguments)
    return made_of_keras(described)


def estimator(case, model_dir, **others):
    generation = v1 if case["generation"] == 1 else torchest
    arguments = {
        key: made(each)
        for key, each in case["arguments"].items()
        if not key.endswith("partitioner")
    }
    arguments = {**arguments, "model_dir": model_dir, "config": QUIET, **others}
    return getattr(generation, case["estimator"])(**arguments)


def batches(case, steps):
    """Batches of the rows, over and over."""
    size, labels = case["batch_size"], ROWS["labels"][case["label"]]
    for step in range(steps):
        rows = (step * size + np.arange(size)) % N_ROWS
        yield {key: values[rows] for key, values in FEATURES.items()}, labels[rows]


def bring(case, folder, model_dir):
    source = str(folder / case["checkpoint"])
    return import_checkpoint(source, str(model_dir), estimator(case, str(model_dir))._model_fn)


@pytest.mark.parametrize("case", params(CASES))
def test_evaluation_and_the_next_losses_are_those_of_tensorflow(case, folder, tmp_path):
    imported = bring(case, folder, tmp_path)
    assert imported.path == str(tmp_path / "model.ckpt-7")
    model = estimator(case, tmp_path)
    metrics = model.evaluate(lambda: batches(case, N_ROWS // case["batch_size"]))
    assert metrics.keys() == case["metrics"].keys()
    for name, value in case["metrics"].items():
        assert metrics[name] == pytest.approx(value, rel=1e-6, abs=1e-6), name
    recorded = Losses()
    model.train(lambda: batches(case, len(case["losses"])), hooks=[recorded])
    assert len(recorded.losses) == 20
    assert recorded.losses == pytest.approx(case["losses"], rel=1e-5, abs=1e-5)


def case_of(name):
    return next(case for case in CASES if case["name"] == name)


@pytest.mark.parametrize(
    "name",
    [
        "LinearClassifier of TensorFlow 1 with Ftrl",
        "three classes, batch normalisation of TensorFlow 1",
        "DNNLinearCombinedRegressor of TensorFlow 2 with Adagrad",
        "partitioned embeddings of TensorFlow 1",
        "a shared table of TensorFlow 1",
    ],
)
def test_a_warm_start_has_the_weights(name, folder, tmp_path):
    case = case_of(name)
    model = estimator(case, tmp_path, warm_start_from=str(folder / case["checkpoint"]))
    metrics = model.evaluate(lambda: batches(case, N_ROWS // case["batch_size"]))
    for key, value in case["metrics"].items():
        assert metrics[key] == pytest.approx(
            0 if key == "global_step" else value, rel=1e-6, abs=1e-6
        )


def test_a_warm_start_from_a_saved_model(folder, tmp_path):
    case = case_of("DNNLinearCombinedClassifier of TensorFlow 2 with Adam")
    checkpoint = folder / case["checkpoint"]
    for (
        path
    ) in checkpoint.parent.iterdir():  # a SavedModel stores its variables as a checkpoint does
        target = tmp_path / "saved" / "variables" / path.name.replace(checkpoint.name, "variables")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    (tmp_path / "saved" / "saved_model.pb").touch()
    model = estimator(case, tmp_path / "new", warm_start_from=str(tmp_path / "saved"))
    metrics = model.evaluate(lambda: batches(case, N_ROWS // case["batch_size"]))
    assert metrics["average_loss"] == pytest.approx(case["metrics"]["average_loss"], rel=1e-6)
    slots = torchest.WarmStartSettings(str(tmp_path / "saved"), copy_slots=True)
    new = estimator(case, tmp_path / "newer", warm_start_from=slots)
    with pytest.raises(
        ValueError, match="copy_slots=True copies no slots of TensorFlow's checkpoint"
    ):
        new.evaluate(lambda: batches(case, 1))


@pytest.mark.parametrize("name", ["kernel", "net/layers/0/.ATTRIBUTES/VARIABLE_VALUE"])
def test_a_warm_start_of_a_module_from_an_object_based_checkpoint(folder, tmp_path, name):
    path = str(folder / "objects" / "model.ckpt")
    names = {"net.weight": name}
    settings = torchest.WarmStartSettings(path, var_name_to_prev_var_name=names)

    def model_fn(features, mode):
        net = torchest.get_or_create("net", lambda: torch.nn.Linear(2, 3, bias=False))
        return torchest.EstimatorSpec(mode, predictions={"kernel": net.weight[None]})

    model = torchest.Estimator(model_fn, tmp_path, warm_start_from=settings)
    (prediction,) = model.predict(lambda: {"x": torch.zeros(1)})
    kernel = torchest.load_variable(path, "net/layers/0/.ATTRIBUTES/VARIABLE_VALUE")
    assert prediction["kernel"].tolist() == kernel.T.tolist()


def test_a_kernel_that_shares_its_name_is_transposed_too(tmp_path, monkeypatch):
    module = "torchest.checkpoint.tensorflow.reader.names_in"
    monkeypatch.setattr(module, lambda graph: {})  # as if two layers had one name
    line = Path(__file__).parents[2] / "examples" / "data" / "tensorflow_line"
    paths = {
        f"net.{ours}": f"net/layer/{theirs}/.ATTRIBUTES/VARIABLE_VALUE"
        for ours, theirs in (("weight", "kernel"), ("bias", "bias"))
    }
    settings = torchest.WarmStartSettings(
        str(line / "model.ckpt-100"), var_name_to_prev_var_name=paths
    )

    def model_fn(features, mode):
        net = torchest.get_or_create("net", lambda: torch.nn.Linear(1, 5))
        return torchest.EstimatorSpec(mode, predictions={"y": net(features["x"])})

    model = torchest.Estimator(model_fn, tmp_path, warm_start_from=settings)
    answers = json.loads((line / "answers.json").read_text())
    x = torch.tensor(answers["inputs"])
    actual = [row["y"].tolist() for row in model.predict(lambda: {"x": x})]
    assert actual == [pytest.approx(row, rel=1e-6) for row in answers["outputs"]]


class TestMismatches:
    """Nothing is guessed, and nothing is written."""

    case = property(lambda self: case_of("DNNClassifier of TensorFlow 2 with Adagrad"))

    def error(self, folder, tmp_path, case=None, **arguments):
        case = case or self.case
        model_dir = tmp_path / "new"
        model = estimator(case, tmp_path / "scratch", **arguments)
        with pytest.raises(torchest.CheckpointMismatchError) as raised:
            import_checkpoint(str(folder / case["checkpoint"]), str(model_dir), model._model_fn)
        assert not model_dir.exists()
        return str(raised.value)

    def test_another_layer(self, folder, tmp_path):
        error = self.error(folder, tmp_path, hidden_units=[4, 3, 2])
        assert "places without a variable: dnn.hidden.2.bias = dnn/hiddenlayer_2/bias, " in error
        assert "of another shape: dnn.logits.weight [1, 2] (dnn/logits/kernel [1, 3]), " in error

    def test_a_column_less(self, folder, tmp_path):
        deep = [columns.numeric_column("age")]
        error = self.error(folder, tmp_path, feature_columns=deep)
        assert (
            "variables without a place: dnn/input_from_feature_columns/input_layer/city_" in error
        )

    def test_another_optimizer(self, folder, tmp_path):
        error = self.error(folder, tmp_path, optimizer="Adam")
        assert "variables without a place: training/Adagrad/decay, training/Adagrad/dnn/" in error
        assert "places without a variable: optimizer.dnn.embeddings.city.weight.m, " in error

    def test_another_learning_rate(self, folder, tmp_path):
        error = self.error(folder, tmp_path, optimizer=partial(optimizers.Adagrad, lr=0.2))
        assert (
            "other options: training/Adagrad/learning_rate is 0.1, but lr of optimizer 0.2. "
            in error
        )

    def test_another_decay_rate_of_tensorflow_1(self, folder, tmp_path):
        case = case_of("LinearClassifier of TensorFlow 1 with Adam")
        adam = partial(optimizers.Adam, lr=0.02, beta_1=0.8)
        error = self.error(folder, tmp_path, case, optimizer=adam)
        assert "beta1_power is 0.4304671, but beta_1 0.8 and the step 7" in error

    def test_an_optimizer_that_tensorflow_does_not_have(self, folder, tmp_path):
        model = estimator(self.case, tmp_path / "scratch", optimizer=torch.optim.Adam)
        with pytest.raises(
            ValueError, match=r"estimator's optimizer is a torch.optim.adam.Adam, whose"
        ):
            import_checkpoint(str(folder / self.case["checkpoint"]), "new", model._model_fn)

    def test_a_model_fn_of_the_user(self, folder, tmp_path):
        model = torchest.Estimator(lambda features, mode: None, tmp_path / "scratch")
        with pytest.raises(ValueError, match="estimator is not a premade one with optimizers"):
            import_checkpoint(str(folder / self.case["checkpoint"]), "new", model._model_fn)


class TestCommand:
    case = property(lambda self: case_of("LinearClassifier of TensorFlow 2 with Ftrl"))

    @pytest.fixture
    def source(self, folder, tmp_path):
        checkpoint = folder / self.case["checkpoint"]
        source = tmp_path / "tensorflow"
        shutil.copytree(checkpoint.parent, source)
        (source / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-7"\n')
        return source

    def run(self, capsys, *arguments):
        with pytest.raises(SystemExit) as ended:
            main(["import-checkpoint", *map(str, arguments)])
        printed = capsys.readouterr()
        return ended.value.code, printed.out + printed.err

    def test_it_says_what_it_wrote(self, capsys, source, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "census_models.py").write_text(
            "from tests.warm_start.test_import_checkpoint import TestCommand, estimator\n"
            "def linear():\n    return estimator(TestCommand().case, 'scratch')\n"
        )
        code, text = self.run(capsys, source, "new", "--estimator", "census_models:linear")
        assert text == f"new/model.ckpt-7: 6 parameters and 12 slots of {source}/model.ckpt-7\n"
        assert code == 0
        assert torchest.load_checkpoint("new").global_step == 7
        again = self.run(capsys, source, "new", "--estimator", "census_models:linear")
        assert again == (
            2,
            "torchest import-checkpoint: 'new' has a checkpoint already: give a new directory.\n",
        )

    @pytest.mark.parametrize(
        ("place", "message"),
        [
            ("census", "must be a module and a function in it, such as my_models:census"),
            ("no_such_module:f", "No module named 'no_such_module'"),
            ("math:cosine", "'math' has no function 'cosine'"),
            ("platform:node", "returned a str: it must return a torchest.Estimator"),
        ],
    )
    def test_no_estimator(self, capsys, source, place, message):
        code, text = self.run(capsys, source, "new", "--estimator", place)
        assert code == 2
        assert message in text

    def test_no_checkpoint(self, capsys, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "plain_models.py").write_text(
            "import torchest\ndef baseline():\n    return torchest.BaselineClassifier('scratch')\n"
        )
        code, text = self.run(capsys, "nowhere", "new", "--estimator", "plain_models:baseline")
        assert code == 2
        assert "'nowhere' has no checkpoint of TensorFlow: give a model_dir with" in text


def test_the_estimator_of_the_guide(tmp_path):
    guide = Path(__file__).parents[2] / "docs" / "migrating.md"
    blocks = re.findall(r"```python\n(.*?)```", guide.read_text(encoding="utf-8"), flags=re.DOTALL)
    (program,) = [block for block in blocks if "def census" in block]
    names: dict[str, Any] = {}
    exec(compile(program, "program", "exec"), names)
    rows = {"town": ["Lyon", "Turin"], "age": [20.0, 30.0]}
    model = names["census"](tmp_path).train(lambda: (rows, [0, 1]), steps=1)
    assert model.get_variable_value("dnn.hidden.1.weight").shape == (32, 64)


def test_a_table_from_a_checkpoint_of_tensorflow(folder):
    path = str(folder / case_of("partitioned embeddings of TensorFlow 1")["checkpoint"])
    name = "dnn/input_from_feature_columns/input_layer/job_embedding/embedding_weights"
    job = columns.categorical_column_with_hash_bucket("job", 9)
    embedding = columns.embedding_column(job, 2, ckpt_to_load_from=path, tensor_name_in_ckpt=name)
    table = columns.DenseFeatures([embedding]).part("job").weight
    assert table.tolist() == torchest.load_variable(path, name).tolist()
    wrong = columns.embedding_column(job, 2, ckpt_to_load_from=path, tensor_name_in_ckpt="job")
    with pytest.raises(ValueError, match=r"tensor_name_in_ckpt='job' is not in the checkpoint"):
        columns.DenseFeatures([wrong])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_changed_byte_is_one_sentence_and_writes_nothing(data, folder, tmp_path_factory):
    case = case_of("LinearClassifier of TensorFlow 1 with Adam")
    tmp_path = tmp_path_factory.mktemp("changed")
    source, model_dir = tmp_path / "source", tmp_path / "new"
    checkpoint = folder / case["checkpoint"]
    shutil.copytree(checkpoint.parent, source)
    path = data.draw(st.sampled_from(sorted(source.iterdir())))
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    model_fn = estimator(case, str(tmp_path / "scratch"))._model_fn
    problems = []
    try:
        import_checkpoint(str(source / checkpoint.name), str(model_dir), model_fn)
    except torchest.DamagedCheckpointError as error:
        problems.append(str(error))
    assert model_dir.exists() == (not problems)
    assert not any("\n" in problem for problem in problems)
