"""Compares the cases of `make runtimes` with onnxruntime in Python; needs onnxruntime and numpy alone.

    python tests/runtimes/check.py CASES RESULTS.json

Writes a JSON object: by case "" or what is wrong, and the runtime's name.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

TOLERANCE = 1e-5


def array(described: dict[str, Any]) -> np.ndarray:
    dtype = described["dtype"]
    values = described["values"]
    if dtype != "string":
        kind = float if "float" in dtype else int
        return np.array([kind(each) for each in values], dtype).reshape(described["shape"])
    strings = np.empty(len(values), object)
    strings[:] = values
    return strings.reshape(described["shape"])


def difference(actual: np.ndarray, expected: np.ndarray) -> str:
    if actual.shape != expected.shape:
        return f"has shape {actual.shape} instead of {expected.shape}"
    if expected.dtype.kind == "f":
        same = np.isclose(actual, expected, TOLERANCE, TOLERANCE, equal_nan=True)
    else:
        same = actual.astype(expected.dtype) == expected
    if same.all():
        return ""
    row = np.argwhere(~same)[0]
    return f"is {actual[tuple(row)]} instead of {expected[tuple(row)]} in row {row[0]}"


def check(case: Path) -> str:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            str(case / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        for batch in json.loads((case / "batches.json").read_text(encoding="utf-8")):
            feeds = {name: array(each) for name, each in batch["inputs"].items()}
            actual = session.run(list(batch["outputs"]), feeds)
            for (name, expected), value in zip(batch["outputs"].items(), actual, strict=True):
                differs = difference(value, array(expected))
                if differs:
                    return f"output {name!r} of {expected['shape'][0]} rows {differs}"
    except Exception as error:
        return str(error)
    return ""


def main(cases: str, results: str) -> None:
    actual = {
        str(path.parent.relative_to(cases)): check(path.parent)
        for path in sorted(Path(cases).glob("*/*/model.onnx"))
    }
    name = f"Python {onnxruntime.__version__}"
    Path(results).write_text(json.dumps({"runtime": name, "cases": actual}), encoding="utf-8")
    print(
        f"{name}: {sum(not each for each in actual.values())} of {len(actual)} models answer as Python does"
    )
    for case, problem in actual.items():
        if problem:
            print(f"  {case}: {problem[:300]}")
    sys.exit(any(actual.values()) or not actual)


if __name__ == "__main__":
    main(*sys.argv[1:])
