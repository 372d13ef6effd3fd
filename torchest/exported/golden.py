"""Verifies exported models by their golden rows, with onnxruntime and numpy alone.

problems = verify("exports/1790000000")     # [] if every answer is the same as at the export
"""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from torchest.errors import DamagedExportError, OldOnnxruntimeError, RefusedFileError
from torchest.exported.session import session
from torchest.utils import checks, files
from torchest.utils.json_form import JSON, check_form, shape, text_or_none

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

    Array: TypeAlias = npt.NDArray[Any]
    Arrays: TypeAlias = Mapping[str, Array]

MANIFEST = "signatures.json"
GOLDEN = "golden.json"
# In onnxruntime's errors for models that are too new for it, but not for files that are no models.
_TOO_NEW = ("No Op registered", "NOT_IMPLEMENTED", "IR version", "ValidateOpset", "opset")
MODEL = "model.onnx"
RENAMED = "feature_"  # prefix of inputs that would have the name of an output
WEIGHTS = "model.safetensors"
FORMAT_VERSION = 1
TOLERANCE = 1e-5
_CLEAR = (RefusedFileError, DamagedExportError, OldOnnxruntimeError)  # need no other message
_DTYPES = {"bool", "int8", "int16", "int32", "int64", "uint8", "float16", "float32", "float64"}
_TENSOR = {
    "name": str,
    "dtype": _DTYPES | {"bfloat16", "bytes", "string", "uint16", "uint32", "uint64"},
    "shape": shape,
}
_INPUT = {**_TENSOR, "feature": str, "lists": bool, "missing": {"rule": str}, "used": bool}
_SIGNATURE = {
    "method": {"classification", "predict", "regression"},
    "inputs": {str: str},
    "outputs": {str: str},
}
_SERVED = {  # the form of signatures.json, where the export has signatures
    "inputs": [_INPUT],
    "outputs": [_TENSOR],
    "examples": text_or_none,
    "signatures": {str: _SIGNATURE},
}
_SPECIAL = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf}


def array_to_json(array: Array) -> JSON:
    """An array as JSON values; NaN and infinities become strings."""
    array = np.asarray(array)
    values: list[Any] = array.reshape(-1).tolist()
    if array.dtype.kind in "OSU":
        text = [each.decode() if isinstance(each, bytes) else each for each in values]
        return {"dtype": "string", "shape": list(array.shape), "values": text}
    if array.dtype.kind == "f":
        values = [each if np.isfinite(each) else str(each) for each in values]
    return {"dtype": array.dtype.name, "shape": list(array.shape), "values": values}


def array_of_json(described: JSON) -> Array:
    """The array from `array_to_json`; strings are objects."""
    values, dtype = described["values"], described["dtype"]
    if dtype == "string":
        strings = np.empty(len(values), object)
        strings[:] = values
        shaped: Array = strings.reshape(described["shape"])
        return shaped
    if dtype not in _DTYPES:
        raise ValueError(f"there is no dtype {dtype!r}")
    if np.dtype(dtype).kind == "f":
        values = [_SPECIAL.get(each, each) for each in values]
    array: Array = np.array(values, dtype).reshape(described["shape"])
    return array


def difference(expected: Array, answer: Array) -> str | None:
    """Describes the difference of an answer; None if floats are within 1e-5 and everything else is equal."""
    if expected.shape != answer.shape:
        return f"has shape {list(answer.shape)} instead of {list(expected.shape)}"
    if expected.dtype.kind in "OSU":
        equal = _text(expected) == _text(answer)
    elif expected.dtype != answer.dtype:
        return f"has dtype {answer.dtype} instead of {expected.dtype}"
    elif expected.dtype.kind == "f":
        equal = np.isclose(answer, expected, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
    else:
        equal = expected == answer
    if equal.all():
        return None
    place = tuple(np.argwhere(~equal)[0].tolist())
    return f"is {answer[place]!r} instead of {expected[place]!r} in row {place[0] if place else 0}"


def verify(directory: str | os.PathLike[str]) -> list[str]:
    """Runs the golden rows of an exported model, in one batch and one by one.

    Args:
        directory: The exported model; it needs a `model.onnx`.

    Returns:
        Descriptions of the differences from Python's answers at the export; empty if there are none.

    Raises:
        ValueError: It is not an exported model, is damaged, has no model.onnx, or needs a newer onnxruntime.
    """
    with exported(directory) as path:
        manifest, golden = read_manifest(path), read_json(path, GOLDEN)
        if not os.path.exists(os.path.join(path, MODEL)):
            raise ValueError(f"{path!r} has no {MODEL}: export it with formats=('onnx', ...).")
        with believed(path, GOLDEN):
            used = [each["name"] for each in manifest["inputs"] if each["used"]]
            feeds = {name: array_of_json(golden["inputs"][name]) for name in used}
            answers = {name: array_of_json(each) for name, each in golden["outputs"].items()}
        with believed(path, MANIFEST):
            check_onnxruntime(path, manifest.get("onnx", {}))
        with believed(path, MODEL):
            return list(_problems(session(path, MODEL), feeds, answers))


def _problems(model: Any, feeds: Arrays, answers: Arrays) -> Iterator[str]:
    """The differences for all rows at once, and for each row alone."""
    values = model.run(list(answers), dict(feeds))
    yield from _differences("all rows", answers, values)
    for row in range(min(map(len, (*answers.values(), *values)))):
        alone = slice(row, row + 1)
        features = {name: value[alone] for name, value in feeds.items()}
        expected = {name: answer[alone] for name, answer in answers.items()}
        values = model.run(list(answers), features)
        yield from _differences(f"row {row} alone", expected, values)


def _differences(where: str, answers: Arrays, values: Sequence[Array]) -> Iterator[str]:
    for (name, answer), value in zip(answers.items(), values, strict=True):
        differs = difference(answer, value)
        if differs is not None:
            yield f"output {name!r}, {where}: {differs}"


@contextlib.contextmanager
def exported(directory: str | os.PathLike[str]) -> Iterator[str]:
    """A directory on the disk with the files of an exported model: its own, or a copy.

    Raises:
        ValueError: It is not an exported model.
        RefusedFileError: It holds more than regular files.
    """
    path = files.normal(checks.path("directory", directory))
    if MANIFEST not in files.names_in(path):
        raise ValueError(
            f"{checks.shown(path)} is not an exported model: it has no {MANIFEST}. Give a directory such as "
            "'exports/1790000000' that export_saved_model wrote."
        )
    with files.on_disk(path) as local:
        try:
            yield local
        except ValueError as error:
            if local == path:
                raise
            kind = type(error) if isinstance(error, _CLEAR) else ValueError
            # the copy is gone by then
            raise kind(str(error).replace(local, path)) from error


def read_json(directory: str | os.PathLike[str], name: str) -> JSON:
    """The content of a JSON file of an exported model.

    Raises:
        ValueError: It is missing, is damaged, or was written by a newer version.
    """
    try:
        content = files.read_json(os.path.join(directory, name))
    except RefusedFileError:
        raise
    except (ValueError, FileNotFoundError) as error:
        raise DamagedExportError(damage(directory, name, error)) from error
    if not isinstance(content, dict):
        raise DamagedExportError(damage(directory, name, f"it holds a {type(content).__name__}"))
    version = content.get("format_version", FORMAT_VERSION)
    if version != FORMAT_VERSION:
        raise ValueError(
            f"{os.fspath(directory)!r} has the format version {version!r:.80}, and this torchest reads version "
            f"{FORMAT_VERSION}: use the torchest that wrote it, or a newer one."
        )
    return content


def read_manifest(directory: str | os.PathLike[str]) -> JSON:
    """The content of signatures.json, in the form that torchest writes.

    Raises:
        ValueError: As for `read_json`.
    """
    manifest = read_json(directory, MANIFEST)
    if "signatures" in manifest:
        with believed(directory, MANIFEST):
            check_form(manifest, _SERVED)
            outputs = {each["name"] for each in manifest["outputs"]}
            for name, each in manifest["signatures"].items():
                check_form(each["outputs"], {str: outputs}, f"signatures.{name:.80}.outputs")
    return manifest


def check_onnxruntime(directory: str | os.PathLike[str], needs: JSON, name: str = MODEL) -> None:
    """Raises OldOnnxruntimeError if a file of an exported model needs a newer onnxruntime than the installed one.

    Args:
        directory: The exported model.
        needs: The entry of the file in signatures.json.
        name: The name of the file.
    """
    import onnxruntime

    least, installed = needs.get("onnxruntime"), onnxruntime.__version__
    if least is not None and _release(installed) < _release(least):
        path = os.path.join(os.fspath(directory), name)
        raise OldOnnxruntimeError(
            f"{path!r} needs onnxruntime >= {least}, this is {installed}: pip install 'onnxruntime>={least}'."
        )


def _release(version: str) -> tuple[int, ...]:
    """The first two numbers of a version."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def is_renamed(name: str, key: str) -> bool:
    """Whether the name of an input is `RENAMED` followed by the key of its feature."""
    return (
        name != key and name.endswith(key) and not name[: len(name) - len(key)].replace(RENAMED, "")
    )


@contextlib.contextmanager
def believed(directory: str | os.PathLike[str], name: str) -> Iterator[None]:
    """A context that turns errors in the use of a file of an exported model into DamagedExportErrors."""
    try:
        yield
    except (*_CLEAR, ModuleNotFoundError):
        raise
    except Exception as error:  # of any kind, as a file may be damaged in any way
        raise DamagedExportError(not_loaded(directory, name, error)) from error


def damage(directory: str | os.PathLike[str], name: str, reason: object) -> str:
    """The message for a file that cannot be read."""
    return (
        f"{os.path.join(os.fspath(directory), name)!r} is damaged ({reason!s:.300}): export the model again, or copy "
        "the directory once more."
    )


def not_loaded(directory: str | os.PathLike[str], name: str, error: Exception) -> str:
    """The message for a model that does not load because it is damaged or onnxruntime is too old."""
    reason = " ".join(str(error).split())
    if not any(sign in reason for sign in _TOO_NEW):
        is_plain = isinstance(error, ValueError)
        return damage(directory, name, error if is_plain else f"{type(error).__name__}: {error}")
    import onnxruntime

    return (
        f"{os.path.join(os.fspath(directory), name)!r} has what onnxruntime {onnxruntime.__version__}, the one that is "
        f"installed, cannot run ({reason[-200:]}): install a newer onnxruntime."
    )


def _text(array: Array) -> Array:
    flat = [each.decode() if isinstance(each, bytes) else str(each) for each in array.reshape(-1)]
    text: Array = np.array(flat, dtype=object).reshape(array.shape)
    return text
