"""Runs an ONNX file on batches in a process that has neither torch nor torchest.

Called as a program: `python onnxruntime_process.py MODEL BATCHES.json ANSWERS.json`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

FORBIDDEN = ("torch", "torchest", "onnx", "onnxruntime_extensions", "tensorflow")
NUMPY = {
    "tensor(string)": object, "tensor(int64)": np.int64, "tensor(int32)": np.int32,
    "tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(bool)": np.bool_,
}  # fmt: skip


def run(model: Path, batches: list[dict[str, Any]]) -> list[dict[str, np.ndarray]]:
    """The answers of a model to batches: arrays by name.

    Args:
        model: The file.
        batches: Arrays by the key of the feature.
    """
    given = model.with_suffix(".batches.json")
    answers = model.with_suffix(".answers.json")
    listed = [{key: [_shape(v), _list(v)] for key, v in batch.items()} for batch in batches]
    given.write_text(json.dumps(listed))
    done = subprocess.run(
        [sys.executable, __file__, str(model), str(given), str(answers)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [
        {
            name: np.array(value, dtype).reshape(shape)
            for name, (dtype, shape, value) in batch.items()
        }
        for batch in json.loads(answers.read_text())
    ]


def _list(value: Any) -> list[Any]:
    return np.asarray(value).reshape(-1).tolist()


def _shape(value: Any) -> list[int]:
    return list(np.asarray(value).shape)


class _Refused:
    """An import hook that knows of no way to the forbidden packages."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] in FORBIDDEN:
            raise ImportError(f"{name} must not be imported here")


def main(model: str, given: str, answers: str) -> None:
    sys.meta_path.insert(0, _Refused)  # type: ignore[arg-type]
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    types = {each.name: NUMPY[each.type] for each in session.get_inputs()}
    names = [each.name for each in session.get_outputs()]
    actual = []
    for batch in json.loads(Path(given).read_text()):
        feed = {
            key: np.array(batch[key][1], dtype).reshape(batch[key][0])
            for key, dtype in types.items()
        }
        arrays = session.run(None, feed)
        actual.append(
            {
                name: [array.dtype.str, array.shape, array.reshape(-1).tolist()]
                for name, array in zip(names, arrays, strict=True)
            }
        )
    assert not [name for name in FORBIDDEN if name in sys.modules]
    Path(answers).write_text(json.dumps(actual))


if __name__ == "__main__":
    main(*sys.argv[1:])
