"""Loads exported models and runs their signatures.

model = torchest.export.load("exports/1790000000")
model.signatures["predict"](age=[22.0, 38.0])["probabilities"]
model.signatures["serving_default"](inputs=[record.SerializeToString()])   # a parsing export
"""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING

from torchest.errors import suggest
from torchest.export.engines import ENGINES, FILES, ONNX, ONNX_FINGERPRINTS
from torchest.export.inputs import Input, conform_all
from torchest.exported.golden import MANIFEST, believed, exported, read_manifest
from torchest.inputs.example_parsing import parse_records
from torchest.utils import checks, files

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torchest.export.engines import Engine
    from torchest.exported.golden import Array
    from torchest.utils.json_form import JSON


def load(directory: str | os.PathLike[str], engine: str | None = None) -> ExportedModel:
    """Loads an exported model.

    Args:
        directory: The result of `Estimator.export_saved_model`: a path, or a URL that fsspec understands.
        engine: The file to run: "onnx" (the default) or "onnx-fingerprints" (faster with hashed text) with
            onnxruntime, "torchscript" or "pt2" with torch. SECURITY.md describes the risks of each.

    Raises:
        ValueError: It is not an exported model, is damaged, or lacks the file.
        RefusedFileError: It would read files outside the directory, or run other code than a model.
        ModuleNotFoundError: The file needs onnxruntime, which is not installed.
    """
    return ExportedModel(files.normal(checks.path("directory", directory)), engine)


class ExportedModel:
    """An exported model.

    Attributes:
        directory: Its path.
        engine: The name of the file that runs, such as "onnx".
        inputs: The features that clients send.
        signatures: The signatures by name.
        description: The content of its signatures.json.
    """

    def __init__(self, directory: str, engine: str | None) -> None:
        self.directory = directory
        with exported(directory) as local:
            self.description = read_manifest(local)
            if "signatures" not in self.description:
                raise ValueError(
                    f"{directory!r} has only the description of a model: export it with a serving_input_receiver_fn."
                )
            self.engine = _checked_engine(local, engine)
            with believed(local, FILES[self.engine]):
                running = ENGINES[self.engine](local, self.description)
            with believed(local, MANIFEST):
                self.inputs = [Input.of_json(each) for each in self.description["inputs"]]
                self.signatures = {
                    name: Signature(name, described, self, running)
                    for name, described in self.description["signatures"].items()
                }

    def __repr__(self) -> str:
        return f"ExportedModel({self.directory!r}, engine={self.engine!r}, signatures={sorted(self.signatures)})"


class Signature:
    """A signature of an exported model: a function of inputs by name.

    Attributes:
        name: Its name.
        method: "classification", "regression" or "predict".
        inputs: The names of its inputs.
        outputs: The names of its outputs.
        of_any_length: The names of the outputs whose row size differs between batches.
    """

    def __init__(self, name: str, described: JSON, model: ExportedModel, engine: Engine) -> None:
        self.name = name
        self.method: str = described["method"]
        self.inputs = list(described["inputs"])
        self.outputs = list(described["outputs"])
        self._of_model: dict[str, str] = dict(described["outputs"])
        shapes = {each["name"]: each["shape"] for each in model.description["outputs"]}
        self.of_any_length = [
            key for key, name in self._of_model.items() if None in shapes[name][1:]
        ]
        self._examples = None if model.description["examples"] is None else self.inputs[0]
        self._features = model.inputs
        self._engine = engine

    def __call__(self, /, *alone: object, **named: object) -> dict[str, Array]:
        """Computes the outputs for a batch.

        Args:
            alone: The only input of the signature.
            named: The inputs by name: a list, array or tensor with one element or row for each example. Serialized
                examples are a list of bytes; in place of those, a signature also takes features by name.
                Features that have a default or are lists are optional.

        Returns:
            The outputs by name, as numpy arrays; strings are object arrays of bytes.

        Raises:
            TypeError: An input has values of the wrong kind.
            ValueError: An input is unknown, is missing, or has the wrong shape, or a record is malformed.
        """
        named |= self._single(alone)
        self._check_names(named)
        if self._examples is not None and self._examples in named:
            named = self._parsed(named)
        features = conform_all(self._features, named)
        wanted = list(dict.fromkeys(self._of_model.values()))
        answers = self._engine.run(features, wanted)
        return {key: answers[name] for key, name in self._of_model.items()}

    def __repr__(self) -> str:
        return f"Signature({self.name!r}: {', '.join(self.inputs)} -> {', '.join(self.outputs)})"

    def _single(self, alone: tuple[object, ...]) -> dict[str, object]:
        if not alone:
            return {}
        if len(alone) > 1 or len(self.inputs) != 1:
            raise TypeError(
                f"Signature {self.name!r} takes {', '.join(self.inputs)}: give inputs by name, such as "
                f"{self.inputs[0]}=[...]."
            )
        return {self.inputs[0]: alone[0]}

    def _check_names(self, named: Iterable[str]) -> None:
        """Raises ValueError for a misspelt name where the input may be serialized examples."""
        known = {each.name: each.key for each in self._features}
        for name in named:
            if self._examples is not None and name not in {*known, *known.values(), self._examples}:
                raise ValueError(
                    f"There is no input {name!r} of signature {self.name!r}: write {self._examples}=[...] for "
                    f"serialized examples, or features by their names.{suggest(name, known)}"
                )

    def _parsed(self, named: Mapping[str, object]) -> dict[str, object]:
        """The features of serialized examples, by their names."""
        if len(named) > 1:
            others = ", ".join(repr(name) for name in named if name != self._examples)
            raise ValueError(
                f"Signature {self.name!r} got {self._examples!r} and {others}: give examples or features, not "
                "both."
            )
        name, records = next(iter(named.items()))
        by_key = parse_records(name, records, {each.key: each.spec for each in self._features})
        return {each.name: by_key[each.key] for each in self._features}


def _checked_engine(directory: str, engine: str | None) -> str:
    there = [name for name, file in FILES.items() if os.path.exists(os.path.join(directory, file))]
    if engine is None:
        engine = next((name for name in (ONNX, ONNX_FINGERPRINTS) if name in there), None)
    if engine is None:
        others = "".join(
            f" Give engine={name!r} if you trust who made its {FILES[name]}, which is a program for torch."
            for name in there
        )
        raise ValueError(f"{directory!r} has no {FILES[ONNX]}, the default engine.{others}")
    if not isinstance(engine, str) or engine not in FILES:
        raise ValueError(f"engine is {engine!r}.{suggest(str(engine), FILES)}")
    if engine not in there:
        raise ValueError(
            f"{directory!r} has no {FILES[engine]}: export with formats=({engine!r}, ...).{suggest(engine, there)}"
        )
    if engine in (ONNX, ONNX_FINGERPRINTS) and importlib.util.find_spec("onnxruntime") is None:
        others = "".join(f", or give engine={name!r}" for name in there if name != ONNX)
        raise ModuleNotFoundError(
            f"{FILES[engine]} needs onnxruntime, which is not installed: pip install onnxruntime{others}."
        )
    return engine
