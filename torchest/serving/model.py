"""One version of an exported model, run by onnxruntime."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from torchest.errors import suggest
from torchest.exported.golden import (
    GOLDEN,
    MANIFEST,
    MODEL,
    array_of_json,
    believed,
    check_onnxruntime,
    difference,
    exported,
    is_renamed,
    read_json,
    read_manifest,
)
from torchest.exported.session import session
from torchest.serving.limits import Limits, RequestError
from torchest.serving.values import Input

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torchest.serving.values import Array

DEFAULT, PREDICT = "serving_default", "predict"


@dataclass(frozen=True)
class Signature:
    """A signature of the model.

    Attributes:
        name: Its name.
        method: "classification", "regression" or "predict".
        outputs: The name of each output in the model, by its name in the signature.
    """

    name: str
    method: str
    outputs: Mapping[str, str]


class Model:
    """One exported model.

    Args:
        directory: The result of `Estimator.export_saved_model`, with a model.onnx.
        version: The name of the version for clients, which is that of the directory.
        limits: Limits on strings and lists.
        threads: The number of threads of one run; 0 leaves it to onnxruntime.

    Attributes:
        version: The name of the version.
        inputs: The inputs by name, including those that the model does not read.
        renamed: The names of renamed inputs, by the key of the feature: clients may send either.
        examples: The name of the input of serialized examples; None if the model takes features only.
        signatures: The signatures by name.
        outputs: The descriptions of the outputs in signatures.json, by name.

    Raises:
        ValueError: The directory is not an exported model, is damaged, has no model.onnx, or its answers differ from
            those at the export.
    """

    def __init__(self, directory: str, version: str, limits: Limits, threads: int = 0) -> None:
        self.version = version
        with exported(directory) as local:
            manifest = read_manifest(local)
            if "signatures" not in manifest or not os.path.exists(os.path.join(local, MODEL)):
                raise ValueError(
                    f"{directory!r} has no {MODEL}: export it with formats=('onnx', ...)."
                )
            with believed(local, MANIFEST):
                check_onnxruntime(local, manifest.get("onnx", {}))
            with believed(local, MODEL):
                self._session = session(local, MODEL, threads)
            with believed(local, MANIFEST):
                self.examples: str | None = manifest["examples"]
                self.inputs = {each["name"]: Input(each, limits) for each in manifest["inputs"]}
                self.renamed = {
                    each.key: each.name
                    for each in self.inputs.values()
                    if is_renamed(each.name, each.key)
                }
                self.outputs = {each["name"]: each for each in manifest["outputs"]}
                self.signatures = {
                    name: Signature(name, each["method"], each["outputs"])
                    for name, each in manifest["signatures"].items()
                }
            self._check(local)

    def signature(self, name: object) -> Signature:
        """The signature with a name; None for the default signature.

        Raises:
            RequestError: There is no signature with that name.
        """
        if name is None:
            name = DEFAULT if DEFAULT in self.signatures else PREDICT
        if not isinstance(name, str) or name not in self.signatures:
            raise RequestError(
                400, f"There is no signature {name!r:.60}.{suggest(str(name), self.signatures)}"
            )
        return self.signatures[name]

    def run(self, feeds: Mapping[str, Array], outputs: list[str]) -> dict[str, Array]:
        """Runs the model on some rows; returns outputs [rows, ...] by name, with strings as objects."""
        return dict(zip(outputs, self._session.run(outputs, dict(feeds)), strict=True))

    def _check(self, directory: str) -> None:
        """Compares the answers to the golden rows with those at the export."""
        golden = read_json(directory, GOLDEN)
        with believed(directory, GOLDEN):
            feeds = {
                name: array_of_json(golden["inputs"][name])
                for name, each in self.inputs.items()
                if each.used
            }
            answers = {name: array_of_json(each) for name, each in golden["outputs"].items()}
            served = self.run(feeds, list(answers))
        for name, answer in answers.items():
            differs = difference(answer, np.asarray(served[name]))
            if differs is not None:
                raise ValueError(
                    f"{directory!r} no longer gives the answers of its export: output {name!r} {differs}."
                )
