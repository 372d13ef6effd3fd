"""The files of an exported model at work: `OnnxEngine`, `TorchScriptEngine`, `ProgramEngine`.

An engine takes the features of a batch, conformed to the model's inputs, and gives the model's outputs as numpy.
"""

from __future__ import annotations

import os
import warnings
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from torchest.columns.base import column_of_json
from torchest.columns.encode.strings import Text
from torchest.columns.features import Features
from torchest.columns.layers.layers import check_equal_lengths
from torchest.columns.raw_features import RawFeature
from torchest.export.archives import check_program, check_torchscript
from torchest.export.column_json import Assets
from torchest.export.encoded import columns_of, model_inputs, tensors_of
from torchest.export.inputs import dtype_of, feed
from torchest.export.recurrent import register_operators
from torchest.export.torchscript import quiet
from torchest.exported.golden import believed, check_onnxruntime, read_json
from torchest.exported.session import session
from torchest.utils.indexed_strings import IndexedStrings
from torchest.utils.json_form import check_form
from torchest.utils.predicted_text import text_to_numpy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

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

Arrays = dict[str, "npt.NDArray[Any]"]


class Engine(ABC):
    """Runs one file of an exported model.

    Args:
        directory: The exported model.
        manifest: What its signatures.json holds.
    """

    @abstractmethod
    def __init__(self, directory: str, manifest: Mapping[str, Any]) -> None: ...

    @abstractmethod
    def run(self, features: Mapping[str, HostArray], outputs: Sequence[str]) -> Arrays:
        """The outputs of a batch by name.

        Args:
            features: By key, in the form of the inputs.
            outputs: The names of those that are wanted.
        """


class OnnxEngine(Engine):
    """Runs model.onnx with onnxruntime."""

    format = ONNX

    def __init__(self, directory: str, manifest: Mapping[str, Any]) -> None:
        check_onnxruntime(directory, manifest.get(self.format, {}), FILES[self.format])
        self._session = session(directory, FILES[self.format])
        outputs = {each.name for each in self._session.get_outputs()}
        check_form([each["name"] for each in manifest["outputs"]], [outputs], "outputs")
        self._names = {each["feature"]: each["name"] for each in manifest["inputs"] if each["used"]}
        self._text = {each["name"] for each in manifest["outputs"] if each["dtype"] == "string"}

    def run(self, features: Mapping[str, HostArray], outputs: Sequence[str]) -> Arrays:
        """The outputs of a batch by name; see `Engine.run`."""
        feeds = {name: feed(features[key]) for key, name in self._names.items()}
        return self._answers(feeds, outputs)

    def _answers(self, feeds: Arrays, outputs: Sequence[str]) -> Arrays:
        found = self._session.run(list(outputs), feeds)
        return {
            name: text_to_numpy(value) if name in self._text else value
            for name, value in zip(outputs, found, strict=True)
        }


class FingerprintEngine(OnnxEngine):
    """Runs model.fingerprints.onnx with onnxruntime, and hashes text for it."""

    format = ONNX_FINGERPRINTS

    def run(self, features: Mapping[str, HostArray], outputs: Sequence[str]) -> Arrays:
        """The outputs of a batch by name; see `Engine.run`."""
        keys = {name: key for key, name in self._names.items()}
        feeds = {}
        for name in (each.name for each in self._session.get_inputs()):
            if name in keys:
                feeds[name] = feed(features[keys[name]])
            else:
                feeds[name] = _fingerprints(feed(features[keys[name.removesuffix(FINGERPRINT)]]))
        return self._answers(feeds, outputs)


class _Encoding(Engine):
    """What engines share whose file takes encoded tensors."""

    def __init__(self, directory: str, manifest: Mapping[str, Any]) -> None:
        described = read_json(directory, COLUMNS)
        assets = Assets(directory)
        with quiet(), believed(directory, COLUMNS):
            columns = [column_of_json(column, assets) for column in described["columns"]]
            raw = {each["key"]: _raw(each) for each in described["features"]}
            self._inputs = model_inputs(columns, described["keys"], raw)
            sequences = {
                place: column for place, column in enumerate(columns) if column.is_sequence
            }
            self._together = [
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

    def run(self, features: Mapping[str, HostArray], outputs: Sequence[str]) -> Arrays:
        """The outputs of a batch by name; see `Engine.run`."""
        batch = Features(features)
        batch.expect(columns_of(self._inputs))
        tensors = tensors_of(self._inputs, batch)
        for columns in self._together:
            encodings: list[Any] = [batch.encoded(column) for column in columns]
            check_equal_lengths(columns, [steps.offsets.diff() for steps in encodings])
        with torch.inference_mode():
            found = self.forward(*tensors)
        return {
            name: text_to_numpy(features[self._text[name]])
            if name in self._text
            else self._answer(name, found)
            for name in outputs
        }

    @abstractmethod
    def forward(self, *tensors: torch.Tensor) -> Sequence[torch.Tensor]:
        """Encoded tensors to outputs, in order."""

    def _answer(self, name: str, found: Sequence[torch.Tensor]) -> npt.NDArray[Any]:
        place, strings = self._outputs[name]
        if strings is None:
            return found[place].numpy()
        return IndexedStrings(found[place], tuple(each.encode() for each in strings)).numpy()


class TorchScriptEngine(_Encoding):
    """Runs model.pt."""

    def __init__(self, directory: str, manifest: Mapping[str, Any]) -> None:
        super().__init__(directory, manifest)
        path = os.path.join(directory, FILES[TORCHSCRIPT])
        check_torchscript(path)
        with quiet():
            self._module = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]

    def forward(self, *tensors: torch.Tensor) -> Sequence[torch.Tensor]:
        """Encoded tensors to outputs, in order."""
        found: Sequence[torch.Tensor] = self._module(*tensors)
        return found


class ProgramEngine(_Encoding):
    """Runs model.pt2."""

    def __init__(self, directory: str, manifest: Mapping[str, Any]) -> None:
        super().__init__(directory, manifest)
        path = os.path.join(directory, FILES[PROGRAM])
        check_program(path)
        register_operators()
        with (
            warnings.catch_warnings()
        ):  # torch 2.9 maps the file, and warns that it must not be written
            warnings.filterwarnings("ignore", "The given buffer is not writable", UserWarning)
            program = torch.export.load(path)
        self._module = program.module()

    def forward(self, *tensors: torch.Tensor) -> Sequence[torch.Tensor]:
        """Encoded tensors to outputs, in order."""
        found: Sequence[torch.Tensor] = self._module(*tensors)
        return found


ENGINES: dict[str, type[Engine]] = {
    ONNX: OnnxEngine,
    TORCHSCRIPT: TorchScriptEngine,
    PROGRAM: ProgramEngine,
    ONNX_FINGERPRINTS: FingerprintEngine,
}


def _raw(described: Mapping[str, Any]) -> RawFeature:
    dtype = described["dtype"]
    return RawFeature(
        described["key"],
        dtype if dtype == "string" else dtype_of(dtype),
        tuple(described["shape"]),
        described["ragged"],
    )


def _fingerprints(strings: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    found = Text.of_words(strings.reshape(-1).tolist()).fingerprints()
    signed: npt.NDArray[np.int64] = found.view(np.int64).reshape(strings.shape)
    return signed


def _is_text_of_rows(output: Mapping[str, Any]) -> bool:
    """Whether an output is a feature of text, which goes around the model."""
    return output["dtype"] == "string" and "feature" in output
