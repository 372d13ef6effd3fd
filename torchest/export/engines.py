"""Engines that run the files of an exported model: `OnnxEngine`, `TorchScriptEngine`, `ProgramEngine`.

An engine takes the features of a batch, conformed to the model's inputs, and returns the model's outputs as numpy
arrays.
"""

from __future__ import annotations

import os
import warnings
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch

from torchest.columns.base import column_of_json
from torchest.columns.encode.strings import Text
from torchest.columns.features import Features
from torchest.columns.layers.sequence import check_equal_lengths
from torchest.columns.raw_features import RawFeature
from torchest.export.archives import check_program
from torchest.export.column_json import Assets
from torchest.export.encoded import columns_of, model_inputs, tensors_of
from torchest.export.inputs import dtype_of, feed
from torchest.export.recurrent import register_operators
from torchest.export.torchscript import load, quiet
from torchest.exported.golden import believed, check_onnxruntime, read_json
from torchest.exported.session import session
from torchest.utils.indexed_strings import IndexedStrings
from torchest.utils.json_form import JSON, check_form
from torchest.utils.predicted_text import text_to_numpy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from torchest.exported.golden import Array
    from torchest.utils.arrays import HostArray

ONNX, TORCHSCRIPT, PROGRAM = "onnx", "torchscript", "pt2"
ONNX_FINGERPRINTS = "onnx-fingerprints"
FILES = {
    ONNX: "model.onnx",
    TORCHSCRIPT: "model.pt",
    PROGRAM: "model.pt2",
    ONNX_FINGERPRINTS: "model.fingerprints.onnx",
}
FINGERPRINT = "/fingerprint"
COLUMNS = "columns.json"

Arrays: TypeAlias = "dict[str, Array]"


class Engine(ABC):
    """Runs one file of an exported model.

    Args:
        directory: The exported model.
        manifest: The contents of its signatures.json.
    """

    @abstractmethod
    def __init__(self, directory: str, manifest: JSON) -> None: ...

    @abstractmethod
    def run(self, features: Mapping[str, HostArray], outputs: Sequence[str]) -> Arrays:
        """The outputs of a batch by name.

        Args:
            features: The features by key, in the form of the inputs.
            outputs: The names of the outputs to return.
        """


class OnnxEngine(Engine):
    """Runs model.onnx with onnxruntime."""

    format = ONNX

    def __init__(self, directory: str, manifest: JSON) -> None:
        check_onnxruntime(directory, manifest.get(self.format, {}), FILES[self.format])
        self._session = session(directory, FILES[self.format])
        outputs = {each.name for each in self._session.get_outputs()}
        check_form([each["name"] for each in manifest["outputs"]], [outputs], "outputs")
        self._names = {each["feature"]: each["name"] for each in manifest["inputs"] if each["used"]}
        self._text = {each["name"] for each in manifest["outputs"] if each["dtype"] == "string"}

    def run(self, features: Mapping[str, HostArray], outputs: Sequence[str]) -> Arrays:
        """The outputs of a batch by name; see `Engine.run`."""
        answers = self._session.run(list(outputs), self._feeds(features))
        return {
            name: text_to_numpy(value) if name in self._text else value
            for name, value in zip(outputs, answers, strict=True)
        }

    def _feeds(self, features: Mapping[str, HostArray]) -> Arrays:
        """The inputs of the file by name."""
        return {name: feed(features[key]) for key, name in self._names.items()}


class FingerprintEngine(OnnxEngine):
    """Hashes text, and runs model.fingerprints.onnx with onnxruntime."""

    format = ONNX_FINGERPRINTS

    def _feeds(self, features: Mapping[str, HostArray]) -> Arrays:
        keys = {name: key for key, name in self._names.items()}
        feeds = {}
        for name in (each.name for each in self._session.get_inputs()):
            if name in keys:
                feeds[name] = feed(features[keys[name]])
            else:
                feeds[name] = _fingerprints(feed(features[keys[name.removesuffix(FINGERPRINT)]]))
        return feeds


class _Encoding(Engine):
    """Base of the engines whose file takes encoded tensors."""

    def __init__(self, directory: str, manifest: JSON) -> None:
        described = read_json(directory, COLUMNS)
        assets = Assets(directory)
        with quiet(), believed(directory, COLUMNS):
            columns = [column_of_json(column, assets) for column in described["columns"]]
            raw = {each["key"]: _raw(each) for each in described["features"]}
            self._inputs = model_inputs(columns, described["keys"], raw)
            sequences = {
                place: column for place, column in enumerate(columns) if column.is_sequence
            }
            self._equally_long = [
                [sequences[place] for place in places] for places in described.get("together", [])
            ]
        outputs = manifest["outputs"]
        keys = {each["feature"]: each["feature"] for each in manifest["inputs"]}
        self._text = {
            each["name"]: keys[each["feature"]] for each in outputs if _is_text_of_rows(each)
        }
        made = (each for each in outputs if each["name"] not in self._text)
        self._outputs = {
            each["name"]: (place, each.get("strings")) for place, each in enumerate(made)
        }
        self._module = self._loaded(directory)

    def run(self, features: Mapping[str, HostArray], outputs: Sequence[str]) -> Arrays:
        """The outputs of a batch by name; see `Engine.run`."""
        batch = Features(features)
        batch.expect(columns_of(self._inputs))
        tensors = tensors_of(self._inputs, batch)
        for columns in self._equally_long:
            encodings: list[Any] = [batch.encoded(column) for column in columns]
            check_equal_lengths(columns, [steps.offsets.diff() for steps in encodings])
        with torch.inference_mode():
            answers = self._module(*tensors)
        return {
            name: text_to_numpy(features[self._text[name]])
            if name in self._text
            else self._answer(name, answers)
            for name in outputs
        }

    @abstractmethod
    def _loaded(self, directory: str) -> Callable[..., Sequence[torch.Tensor]]:
        """The function of the file, from encoded tensors to outputs."""

    def _answer(self, name: str, answers: Sequence[torch.Tensor]) -> Array:
        place, strings = self._outputs[name]
        if strings is None:
            return answers[place].numpy()
        return IndexedStrings(answers[place], tuple(each.encode() for each in strings)).numpy()


class TorchScriptEngine(_Encoding):
    """Runs model.pt."""

    def _loaded(self, directory: str) -> Callable[..., Sequence[torch.Tensor]]:
        return load(os.path.join(directory, FILES[TORCHSCRIPT]))


class ProgramEngine(_Encoding):
    """Runs model.pt2."""

    def _loaded(self, directory: str) -> Callable[..., Sequence[torch.Tensor]]:
        path = os.path.join(directory, FILES[PROGRAM])
        check_program(path)
        register_operators()
        with warnings.catch_warnings():  # torch 2.9 maps the file, which must not be written to
            warnings.filterwarnings("ignore", "The given buffer is not writable", UserWarning)
            return torch.export.load(path).module()


ENGINES: dict[str, type[Engine]] = {
    ONNX: OnnxEngine,
    TORCHSCRIPT: TorchScriptEngine,
    PROGRAM: ProgramEngine,
    ONNX_FINGERPRINTS: FingerprintEngine,
}


def _raw(described: JSON) -> RawFeature:
    dtype = described["dtype"]
    return RawFeature(
        described["key"],
        dtype if dtype == "string" else dtype_of(dtype),
        tuple(described["shape"]),
        described["ragged"],
    )


def _fingerprints(strings: Array) -> npt.NDArray[np.int64]:
    hashed = Text.of_words(strings.reshape(-1).tolist()).fingerprints()
    signed: npt.NDArray[np.int64] = hashed.view(np.int64).reshape(strings.shape)
    return signed


def _is_text_of_rows(output: JSON) -> bool:
    """Whether an output is a text feature, which the module does not return."""
    return output["dtype"] == "string" and "feature" in output
