"""The configuration that Triton takes, read by Triton's own message class."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import tritonclient
from google.protobuf import text_format

import torchest
from torchest.columns import FixedLenFeature, VarLenFeature
from torchest.command_line import main


@pytest.fixture(scope="module")
def model_config():
    """Triton's message class; its package would import grpc."""
    path = Path(tritonclient.__file__).parent / "grpc" / "model_config_pb2.py"
    spec = importlib.util.spec_from_file_location("model_config_pb2", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def model_fn(features, mode):
    names = torchest.get_or_create(
        "names",
        lambda: torchest.columns.DenseFeatures(
            [
                torchest.columns.indicator_column(
                    torchest.columns.categorical_column_with_vocabulary_list('a "name"', ["x"])
                )
            ]
        ),
    )
    shifted = features["number"] + names(features)[:, 0]
    return torchest.EstimatorSpec(
        mode,
        loss=shifted.sum(),
        train_op=lambda: None,
        predictions={"sum": shifted, "wide": features["wide"] * 2},
    )


def test_the_configuration_is_what_triton_reads(tmp_path, capsys, model_config):
    def input_fn():
        rows = {"number": [1.0], "wide": [[1, 2, 3]], 'a "name"': ["x"], "unread": [1]}
        return torchest.inputs.Dataset.from_tensor_slices(rows).batch(1)

    model = torchest.Estimator(model_fn, tmp_path / "model")
    model.train(input_fn, steps=1)
    receiver_fn = torchest.export.build_raw_serving_input_receiver_fn(
        {
            "number": FixedLenFeature((), "float32"),
            "wide": FixedLenFeature((3,), "int64"),
            'a "name"': VarLenFeature(str),
            "unread": FixedLenFeature((), "int64", 0),
        }
    )
    path = model.export_saved_model(tmp_path / "exports", receiver_fn)
    with pytest.raises(SystemExit) as ended:
        main(["show", path, "--format", "triton"])
    assert ended.value.code == 0
    config = text_format.Parse(capsys.readouterr().out, model_config.ModelConfig())
    assert config.backend == "onnxruntime"
    assert config.max_batch_size > 1
    described = {each.name: (each.data_type, list(each.dims)) for each in config.input}
    assert described == {
        "number": (model_config.TYPE_FP32, [1]),
        "feature_wide": (model_config.TYPE_INT64, [3]),  # an answer is called "wide"
        'a "name"': (model_config.TYPE_STRING, [-1]),
    }
    (number,) = (each for each in config.input if each.name == "number")
    assert list(number.reshape.shape) == []
    assert number.HasField("reshape")
    answered = {each.name: (each.data_type, list(each.dims)) for each in config.output}
    assert answered == {
        "sum": (model_config.TYPE_FP32, [1]),
        "wide": (model_config.TYPE_INT64, [3]),
    }


def test_a_directory_without_a_model_has_no_configuration(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["show", str(tmp_path), "--format", "triton"])
    assert ended.value.code == 2
    assert "is not an exported model: it has no signatures.json" in capsys.readouterr().err
