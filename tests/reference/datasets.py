"""Write datasets.json: the elements of the pipelines in `tests/dataset_pipelines.py`, in order.

"elements" has by name the elements of each pipeline: dicts and lists (of tuples and arrays), numbers and text.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf
from write_json import write_json

sys.path.insert(0, str(Path(__file__).parents[1]))
from dataset_pipelines import PIPELINES, write_files


def namespace(folder: Path) -> SimpleNamespace:
    return SimpleNamespace(
        Dataset=tf.data.Dataset,
        TextLineDataset=tf.data.TextLineDataset,
        TensorSpec=tf.TensorSpec,
        decode_csv=tf.io.decode_csv,
        shuffle_and_repeat=tf.data.experimental.shuffle_and_repeat,
        cast=tf.cast,
        file=lambda name: str(folder / name),
        **{name: getattr(tf, name) for name in ("int32", "int64", "float32", "string")},
    )


def plain(value: Any) -> Any:
    """The value without arrays and bytes."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(inner) for inner in value]
    if isinstance(value, np.ndarray) and value.ndim:
        return [plain(inner) for inner in value]
    return value.decode() if isinstance(value, bytes) else value


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder))
        d = namespace(Path(folder))
        elements = {
            name: [plain(element) for element in make(d).as_numpy_iterator()]
            for name, make in PIPELINES.items()
        }
    write_json(
        __file__, {"description": __doc__, "tensorflow": tf.__version__, "elements": elements}
    )


if __name__ == "__main__":
    main()
