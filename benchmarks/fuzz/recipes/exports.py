"""Recipes of torchest.export, of exporters and of the command line."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import torch

import torchest
from benchmarks.fuzz import things
from benchmarks.fuzz.recipe import Recipe
from torchest import export
from torchest.command_line import main
from torchest.inputs import FixedLenFeature

SPEC = FixedLenFeature((1,), torch.float32)
ARRAY = "Tensor | FixedLenFeature | VarLenFeature | Sequence[str]"
BY_NAME = f"Mapping[str, {ARRAY}] | {ARRAY}"
OUTPUTS = "Mapping[str, Tensor | Sequence[str]] | Tensor | Sequence[str]"


def run_command(
    command: str,
    directory: Any,
    input: Any,
    output: Any,
    signature: Any,
    engine: Any,
    batch_size: Any,
) -> None:
    """The command line with each argument as text; what it says on standard error is raised."""
    options = {"--input": input, "--output": output, "--signature": signature, "--engine": engine}
    named = [f"{name}={value}" for name, value in {**options, "--batch_size": batch_size}.items()]
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
            main([str(command), str(directory), *named])
    except SystemExit as exit:
        if exit.code:
            raise ValueError(told.getvalue()) from None


def _asked() -> dict[str, Any]:
    with open("asked.csv", "w", encoding="utf-8") as file:
        file.write("x,town\n1.5,a\n")
    return {
        "command": "predict", "directory": things.exported(), "input": "asked.csv", "output": "answers.csv",
        "signature": "predict", "engine": "onnx", "batch_size": 10,
    }  # fmt: skip


def _exporter() -> dict[str, Any]:
    return {
        "name": "a",
        "serving_input_receiver_fn": things.receiver_fn,
        "assets_extra": None,
        "as_text": False,
    }


def _metrics_output() -> dict[str, Any]:
    value = torch.zeros(2)
    return {
        "loss": torch.tensor(0.5),
        "predictions": {"y": value},
        "metrics": {"m": torchest.metrics.mean(value)},
    }


RECIPES = {
    "export.load": Recipe(lambda: {"directory": things.exported(), "engine": "onnx"}),
    "export.placeholder": Recipe(
        lambda: {"dtype": "float32", "shape": [None, 2], "name": "x"}, types={"dtype": "str | dtype"},
    ),
    "export.placeholder_with_default": Recipe(
        lambda: {"input": [0.5, 1.5], "shape": [None, 2], "name": "x"}, types={"input": "Sequence[float] | Tensor"},
    ),
    "export.sparse_placeholder": Recipe(
        lambda: {"dtype": "float32", "shape": [None, None], "name": "x"}, types={"dtype": "str | dtype"},
    ),
    "export.build_raw_serving_input_receiver_fn": Recipe(
        lambda: {"features": {"x": SPEC}, "default_batch_size": None},
        types={"features": f"Mapping[str, {ARRAY}]"},
    ),
    "export.build_parsing_serving_input_receiver_fn": Recipe(
        lambda: {"feature_spec": {"x": SPEC}, "default_batch_size": None}
    ),
    "experimental.build_raw_supervised_input_receiver_fn": Recipe(
        lambda: {"features": {"x": SPEC}, "labels": SPEC, "default_batch_size": None},
        types={"features": BY_NAME, "labels": BY_NAME},
    ),
    "export.ServingInputReceiver": Recipe(
        lambda: {"features": {"x": SPEC}, "receiver_tensors": {"x": SPEC}, "receiver_tensors_alternatives": None},
        types={"features": f"Mapping[str, {ARRAY}]", "receiver_tensors": BY_NAME, "receiver_tensors_alternatives": "Mapping[str, Mapping[str, Any]] | None"},
    ),
    "export.TensorServingInputReceiver": Recipe(
        lambda: {"features": SPEC, "receiver_tensors": {"x": SPEC}, "receiver_tensors_alternatives": None},
        types={"features": ARRAY, "receiver_tensors": BY_NAME, "receiver_tensors_alternatives": "Mapping[str, Mapping[str, Any]] | None"},
    ),
    "export.SupervisedInputReceiver": Recipe(
        lambda: {"features": {"x": SPEC}, "labels": {"y": SPEC}, "receiver_tensors": {"x": SPEC}},
        types={"features": BY_NAME, "labels": BY_NAME, "receiver_tensors": BY_NAME},
    ),
    "export.ClassificationOutput": Recipe(
        lambda: {"scores": torch.zeros(2, 2), "classes": np.array([["a", "b"]])},
        types={"scores": "Tensor | None", "classes": "Sequence[Any] | ndarray | Series | None"},
    ),
    "export.RegressionOutput": Recipe(lambda: {"value": torch.zeros(2)}, types={"value": "Tensor"}),
    "export.PredictOutput": Recipe(lambda: {"outputs": {"y": torch.zeros(2)}}, types={"outputs": OUTPUTS}),
    "export.EvalOutput": Recipe(
        _metrics_output,
        types={"loss": "Tensor | Mapping[str, Tensor] | None", "predictions": f"{OUTPUTS} | None", "metrics": "Mapping[str, Any] | None"},
    ),
    "export.indexed_strings": Recipe(
        lambda: {"indices": torch.tensor([1, 0]), "vocabulary": ["no", "yes"]}
    ),
    "ExportOutput.as_signature_def": Recipe(
        lambda: {"receiver_tensors": {"x": SPEC}},
        lambda: export.RegressionOutput(torch.zeros(2)).as_signature_def,
        types={"receiver_tensors": BY_NAME},
    ),
    "ClassificationOutput.named": Recipe(function=lambda: export.ClassificationOutput(torch.zeros(2, 2)).named),
    "RegressionOutput.named": Recipe(function=lambda: export.RegressionOutput(torch.zeros(2)).named),
    "PredictOutput.named": Recipe(function=lambda: export.PredictOutput(torch.zeros(2)).named),
    "EvalOutput.named": Recipe(function=lambda: export.EvalOutput(**_metrics_output()).named),
    "FinalExporter": Recipe(_exporter),
    "LatestExporter": Recipe(lambda: {**_exporter(), "exports_to_keep": 5}),
    "BestExporter": Recipe(
        lambda: {
            **_exporter(), "event_file_pattern": "eval/*", "compare_fn": lambda best_eval_result, current_eval_result: True, "exports_to_keep": 5,
        }
    ),
    "command_line.main": Recipe(
        _asked, lambda: run_command,
        types=dict.fromkeys(("directory", "input", "output", "signature", "engine", "batch_size"), "object"),
        aliases=("INPUT", "csv", "batch"),
    ),
}  # fmt: skip
