"""Writes an exported model with its description, and compares its answers with Python's."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import platform
import shutil
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

import safetensors.torch
import torch

from torchest.columns.checks import STRING
from torchest.columns.feature_specs import FixedLenFeature, VarLenFeature
from torchest.columns.model_inputs import BATCH, STEPS
from torchest.errors import ExportError, suggest
from torchest.export import torchscript
from torchest.export.column_json import Assets, digest
from torchest.export.directory import copy_extra, new_directory
from torchest.export.encoded import columns_of
from torchest.export.engines import (
    COLUMNS,
    ENGINES,
    FILES,
    FINGERPRINT,
    ONNX,
    ONNX_FINGERPRINTS,
    PROGRAM,
    TORCHSCRIPT,
)
from torchest.export.forward import Forward
from torchest.export.inputs import Input, conform_all, dtype_text, feed
from torchest.export.receivers import (
    SERIALIZED,
    SINGLE_FEATURE,
    TensorServingInputReceiver,
    free_names,
    input_names,
    parses_examples,
)
from torchest.export.rows import TrialFeatures, golden_rows, neutral_rows, spec_of
from torchest.export.signatures import Signature, name_outputs
from torchest.export_outputs import CLASSIFICATION, REGRESSION
from torchest.exported.golden import (
    FORMAT_VERSION,
    GOLDEN,
    MANIFEST,
    WEIGHTS,
    array_to_json,
    difference,
)
from torchest.keys import ModeKeys
from torchest.modes.predict import to_numpy
from torchest.utils import arrays
from torchest.utils.checks import listed
from torchest.version import __version__

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from torchest.checkpoint.directory import Checkpoint
    from torchest.columns.base import FeatureColumn
    from torchest.columns.features import Features
    from torchest.engine.model import ModelHooks, RunningModel
    from torchest.export.forward import Output
    from torchest.export.receivers import ServingInputReceiver
    from torchest.exported.golden import Array
    from torchest.spec import EstimatorSpec
    from torchest.utils.arrays import HostArray
    from torchest.utils.json_form import JSON

DEFAULT_FORMATS = (ONNX,)
_ROWS = 12
_BATCHES = (0, 1, 2, 7, _ROWS)


@dataclass(frozen=True)
class Exported:
    """A model that is ready to be written.

    Attributes:
        forward: The model as a function of encoded tensors.
        inputs: The features that clients send.
        examples: The name of the input of serialized examples; None if clients send features only.
        signatures: The signatures as JSON values, by name.
        golden: The features of the golden rows, by key.
        answers: The outputs of the model for the golden rows, by name.
        weights: Parameters and buffers by name; tied ones once.
        aliases: The other names of tied parameters, with their names in `weights`.
    """

    forward: Forward
    inputs: list[Input]
    examples: str | None
    signatures: JSON
    golden: dict[str, HostArray]
    answers: dict[str, Array]
    weights: dict[str, torch.Tensor]
    aliases: dict[str, str]

    @property
    def columns(self) -> list[FeatureColumn]:
        """The columns that the model reads."""
        return columns_of(self.forward.inputs)


def checked_formats(formats: object) -> tuple[str, ...]:
    """The formats to write, each once.

    Raises:
        ValueError: There are none, or one is unknown.
    """
    names = [formats] if isinstance(formats, str) else listed("formats", formats, "formats")
    for name in names:
        if not isinstance(name, str) or name not in FILES:
            raise ValueError(f"formats has {name!r}.{suggest(str(name), FILES)}")
    if not names:
        raise ValueError(f"formats is {formats!r}: give at least one.{suggest('', FILES)}")
    return tuple(dict.fromkeys(names))


def prepare(
    model: RunningModel,
    receiver: ServingInputReceiver | TensorServingInputReceiver,
    checkpoint: Checkpoint,
) -> Exported:
    """Runs a model on neutral and on golden rows.

    Args:
        model: A model that is not for training, on the CPU.
        receiver: Describes its features.
        checkpoint: The checkpoint with its weights.

    Raises:
        ValueError: The model reads a feature that the receiver lacks, or something in it cannot be exported.
    """
    single = isinstance(receiver, TensorServingInputReceiver)
    served: Any = _OfSingleFeature(model) if single else model
    features = receiver.by_key
    specs = {key: spec_of(value, key) for key, value in features.items()}
    named = input_names(receiver)
    inputs = [Input(named[key], key, spec) for key, spec in specs.items()]
    example = _example(inputs, features)
    first = example or neutral_rows(specs, 2)
    served.create(TrialFeatures(first), None, ModeKeys.PREDICT, checkpoint)

    signatures: dict[str, Signature] = {}

    def select(spec: EstimatorSpec) -> Mapping[str, object]:
        assert spec.export_outputs is not None
        outputs, named = name_outputs(spec.export_outputs)
        signatures.update(named)
        return outputs

    forward = Forward(served, first, select)
    _check_rows(forward.outputs)
    examples = next(iter(receiver.receiver_tensors)) if parses_examples(receiver) else None
    taken = {output.name for output in forward.outputs}
    if examples is not None:
        taken |= {examples, SERIALIZED}
    names = free_names(named, taken)
    used = [Input(names[each.key], each.key, each.spec, each.key in forward.raw) for each in inputs]
    golden = golden_rows(specs, columns_of(forward.inputs), _ROWS)
    if example:
        golden = {key: arrays.concatenate([example[key], golden[key]]) for key in golden}
    answers = select(served(TrialFeatures(golden), None, ModeKeys.PREDICT))
    contents = model.state.contents()
    return Exported(
        forward,
        used,
        examples,
        {name: _signature(each, used, examples) for name, each in signatures.items()},
        golden,
        {name: to_numpy(value) for name, value in answers.items()},
        dict(contents.model),
        contents.state["aliases"],
    )


def write(
    base: str | os.PathLike[str],
    exported: Exported | None,
    formats: Sequence[str],
    assets_extra: Mapping[str, str | os.PathLike[str]] | None,
    origin: JSON,
) -> str:
    """Writes an exported model, and compares the answers of its files with Python's.

    Args:
        base: The directory in which the export gets a directory.
        exported: The model; None to write only the description.
        formats: The formats to write.
        assets_extra: The user's files, by name.
        origin: Further entries of signatures.json.

    Returns:
        The path of the directory.

    Raises:
        ExportError: A file cannot be written, or its answers differ from Python's.
    """
    with new_directory(base) as made:
        manifest = {"format_version": FORMAT_VERSION, **origin, "versions": _versions()}
        copy_extra(assets_extra, made.path)
        if exported is not None:
            manifest |= _write_model(exported, formats, made.path)
        _write_json(made.path / MANIFEST, manifest)
        if exported is not None:
            for each in formats:
                verify(exported, each, made.path, manifest)
    assert made.final is not None
    return made.final


def verify(exported: Exported, which: str, directory: Path, manifest: JSON) -> None:
    """Compares the answers of a file with Python's on batches of several sizes.

    Raises:
        ExportError: They differ.
    """
    with _working(which):
        engine = ENGINES[which](str(directory), manifest)
    shapes = {output.name: output.shape for output in exported.forward.outputs}
    for count in _BATCHES:
        features = {key: value[:count] for key, value in exported.golden.items()}
        steps = exported.forward.steps_of(features)  # lists of fewer rows may have fewer
        with _working(which, f" for a batch of {count} rows"):
            answers = engine.run(features, list(exported.answers))
        for name, answer in answers.items():
            room = (slice(steps if size == STEPS else None) for size in shapes[name][1:])
            part = (slice(count), *room)
            expected = exported.answers[name][part]
            differs = difference(_as_wide(expected, answer), answer)
            if differs is not None:
                raise ExportError(
                    f"{FILES[which]} differs from Python for a batch of {count} rows: output {name!r} "
                    f"{differs}. Nothing was written; leave {which!r} out of formats to export without it."
                )


@contextlib.contextmanager
def _working(which: str, when: str = "") -> Iterator[None]:
    """Turns the errors of torch and onnxruntime for a file that they cannot run into ExportErrors."""
    try:
        yield
    except (ValueError, ImportError, OSError):
        raise
    except Exception as error:  # onnxruntime's errors have no class in common
        reason = str(error).strip().partition("\n")[0]
        raise ExportError(
            f"{FILES[which]} fails{when} ({reason:.300}). Nothing was written; leave {which!r} out of formats to "
            "export without it."
        ) from error


def _check_rows(outputs: Sequence[Output]) -> None:
    """Raises ValueError if an output and a batch differ in their number of rows."""
    for output in outputs:
        if output.shape[:1] != (BATCH,):
            what = f"has the shape {_shape(output.shape)}" if output.shape else "is a single value"
            raise ValueError(
                f"The answer {output.name!r} {what}, but must have one row per example to be exported: leave out the "
                "mean or sum over the batch, or leave it out of the predictions or export_outputs."
            )


def _as_wide(expected: Array, answer: Array) -> Array:
    """Cuts off the padding of text that is due to longer lists in other rows."""
    is_wider = expected.ndim > 1 and expected.ndim == answer.ndim and expected.dtype == object
    if is_wider and not any(expected[:, answer.shape[1] :].flat):
        return expected[:, : answer.shape[1]]
    return expected


def _write_model(exported: Exported, formats: Sequence[str], directory: Path) -> JSON:
    """Writes the files of a model, and returns its entries of signatures.json."""
    forward = exported.forward
    assets = Assets()
    described = {
        "columns": [column.to_json(assets) for column in exported.columns],
        "keys": [each.source for each in forward.inputs if isinstance(each.source, str)],
        "features": [
            {**asdict(raw), "dtype": dtype_text(raw.dtype)} for raw in forward.raw.values()
        ],
        "together": [
            [exported.columns.index(column) for column in columns] for columns in forward.together
        ],
    }
    needs = {each: _WRITERS[each](exported, str(directory / FILES[each])) for each in formats}
    if set(formats) - {ONNX, ONNX_FINGERPRINTS}:
        _write_json(directory / COLUMNS, described)
        _write_normalizers(assets, directory)
    for name, path in assets.files.items():
        (directory / "assets").mkdir(exist_ok=True)
        shutil.copyfile(path, directory / "assets" / name)
    safetensors.torch.save_file(exported.weights, directory / WEIGHTS)
    _write_json(directory / GOLDEN, _golden(exported))
    return {
        "inputs": [each.to_json() for each in exported.inputs],
        "examples": exported.examples,
        "outputs": [_output(each) for each in forward.outputs],
        "signatures": exported.signatures,
        "tensors": [
            {"name": each.name, "dtype": dtype_text(each.dtype), "shape": _shape(each.shape)}
            for each in forward.tensors
        ],
        "columns": [
            {"name": column.name, "type": type(column).__name__, "sha256": digest(column)}
            for column in exported.columns
        ],
        "aliases": exported.aliases,
        "files": {FILES[each]: each for each in formats},
        **{each: entry for each, entry in needs.items() if entry},
    }


def _write_torchscript(exported: Exported, path: str) -> JSON:
    torchscript.tell_of_deprecation()
    example = tuple(exported.forward.encode(exported.golden))
    torchscript.save(torchscript.traced(exported.forward, example), path)
    return {}


def _write_program(exported: Exported, path: str) -> JSON:
    if not any(output.is_tensor for output in exported.forward.outputs):
        raise ValueError(
            f"The model answers with text of its features alone, and {FILES[PROGRAM]} holds only what is computed: "
            f"leave {PROGRAM!r} out of formats."
        )
    program = exported.forward.program()
    for name, tensor in program.state_dict.items():  # parameters may share storage
        program.state_dict[name] = torch.nn.Parameter(tensor.detach().clone(), tensor.requires_grad)
    torch.export.save(program, path)
    return {}


def _write_onnx(exported: Exported, path: str, *, by_fingerprint: bool = False) -> JSON:
    from torchest.export.onnx.model import needs, onnx_model, save
    from torchest.export.onnx.program import quiet

    with quiet():
        names = {each.key: each.name for each in exported.inputs}
        if by_fingerprint:
            _check_fingerprint_names(exported)
        names |= {f"{key}{FINGERPRINT}": f"{name}{FINGERPRINT}" for key, name in names.items()}
        model = onnx_model(exported.forward, names, by_fingerprint=by_fingerprint)
    save(model, path)
    taken = {"inputs": [value.name for value in model.graph.inputs]} if by_fingerprint else {}
    return {**needs(model), **taken}


def _check_fingerprint_names(exported: Exported) -> None:
    """Raises ValueError if the input of fingerprints has the name of another feature, or of an answer."""
    used = [each for each in exported.inputs if each.used]
    taken = {each.name for each in used} | {each.name for each in exported.forward.outputs}
    for each in used:
        name = f"{each.name}{FINGERPRINT}"
        if exported.forward.raw[each.key].is_text and name in taken:
            raise ValueError(
                f"formats has {ONNX_FINGERPRINTS!r}, whose input for the feature {each.key!r} is called {name!r}, "
                "which is also the name of another feature or an answer: rename that one, or leave this format out."
            )


# Each returns the entry of the file in signatures.json, if it has one.
_WRITERS: dict[str, Callable[[Exported, str], JSON]] = {
    ONNX: _write_onnx,
    ONNX_FINGERPRINTS: functools.partial(_write_onnx, by_fingerprint=True),
    TORCHSCRIPT: _write_torchscript,
    PROGRAM: _write_program,
}


def _write_normalizers(assets: Assets, directory: Path) -> None:
    """Writes each normalizer_fn as TorchScript, so that rows can be encoded without the user's code."""
    if not assets.functions:
        return
    (directory / "normalizers").mkdir()
    for name, function in assets.functions.items():
        shape = 2, *assets.shapes[name]
        example = torch.arange(1.0, math.prod(shape) + 1).reshape(shape)
        try:
            torchscript.save(
                torchscript.traced(function, (example,)), str(directory / "normalizers" / name)
            )
        except Exception as error:
            raise ExportError(
                f"The normalizer_fn of column {name.removesuffix('.pt')!r} cannot be traced ({error}): use operations "
                "of torch on the whole tensor, or leave 'torchscript' and 'pt2' out of formats."
            ) from error


def _signature(signature: Signature, inputs: Sequence[Input], examples: str | None) -> JSON:
    """A signature as JSON: its method, and the model's inputs and outputs by name."""
    if examples is None:
        named = {each.name: each.name for each in inputs}
    elif signature.method in (CLASSIFICATION, REGRESSION):
        named = {SERIALIZED: examples}
    else:
        named = {examples: examples}
    return {"method": signature.method, "inputs": named, "outputs": signature.outputs}


def _golden(exported: Exported) -> JSON:
    """The golden rows as JSON: inputs, encoded tensors, and Python's answers."""
    forward = exported.forward
    encoded = zip(forward.tensors, forward.encode(exported.golden), strict=True)
    return {
        "rows": len(next(iter(exported.answers.values()))),
        "inputs": {
            each.name: array_to_json(feed(exported.golden[each.key])) for each in exported.inputs
        },
        "encoded": {tensor.name: array_to_json(value.numpy()) for tensor, value in encoded},
        "outputs": {name: array_to_json(answer) for name, answer in exported.answers.items()},
    }


def _output(output: Output) -> JSON:
    described: JSON = {
        "name": output.name,
        "dtype": STRING if output.strings is not None else dtype_text(output.dtype),
        "shape": _shape(output.shape),
    }
    if output.strings is not None:
        described["strings"] = [each.decode() for each in output.strings]
    if output.feature is not None:
        described["feature"] = output.feature
    return described


def _shape(shape: Sequence[int | str]) -> list[int | None]:
    """A shape as JSON; dimensions that have a name may differ between batches."""
    return [None if isinstance(size, str) else int(size) for size in shape]


def _example(inputs: Sequence[Input], features: Mapping[str, object]) -> dict[str, HostArray]:
    """The example rows of a receiver, if it has an example of every feature."""
    if any(isinstance(value, FixedLenFeature | VarLenFeature) for value in features.values()):
        return {}
    rows = conform_all(inputs, {each.name: features[each.key] for each in inputs})
    return rows if arrays.check_lengths(rows) else {}


class _OfSingleFeature:
    """Passes the single tensor of a dict to a model_fn."""

    def __init__(self, model: RunningModel) -> None:
        self._model = model
        self.scope = model.scope

    def create(
        self, features: Features, labels: object, mode: str, checkpoint: Checkpoint | None
    ) -> ModelHooks:
        return self._model.create(features[SINGLE_FEATURE], labels, mode, checkpoint)

    def __call__(self, features: Features, labels: object, mode: str) -> EstimatorSpec:
        return self._model(features[SINGLE_FEATURE], labels, mode)

    def trace(self, features: Features) -> EstimatorSpec:
        return self._model.trace(features[SINGLE_FEATURE])


def _versions() -> dict[str, str]:
    versions = {
        "torchest": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    for package in ("onnx", "onnxruntime"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions


def _write_json(path: Path, value: JSON) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
