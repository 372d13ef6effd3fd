"""The Open Inference Protocol, version 2, with binary data, as used by clients of Triton and KServe.

Protocol: https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol
Binary data: https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from torchest.errors import suggest
from torchest.serving.json_text import dump, load, nested_lists
from torchest.serving.limits import RequestError
from torchest.serving.threads import converted
from torchest.serving.values import (
    DATATYPES,
    are_numbers,
    common_count,
    flat,
    is_unicode,
    of_objects,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torchest.serving.model import Model
    from torchest.serving.values import JSON, Array
    from torchest.serving.versions import Version

HEADER = "Inference-Header-Content-Length"
PLATFORM = "onnxruntime_onnx"
_BYTES = "BYTES"
_MOST_DIMENSIONS = 32
_MOST_DIGITS = 18
_NUMPY = {name: dtype for dtype, name in DATATYPES.items() if name not in (_BYTES, "BF16")}


async def answer(
    body: bytes, header_length: str | None, name: str, version: Version
) -> tuple[bytes, int | None]:
    """The answer to an inference request.

    Args:
        body: JSON, followed by binary data.
        header_length: The number of bytes of JSON; None if the whole body is JSON.
        name: The name of the model.
        version: The version that answers.

    Returns:
        The body of the answer, and its number of bytes of JSON; None if the whole body is JSON.

    Raises:
        RequestError: The request violates the protocol, or the model does not accept its values.
    """
    length = _header_length(header_length, len(body))
    request = await converted(length, load, body[:length])
    if not isinstance(request, dict) or not isinstance(request.get("inputs"), list):
        raise RequestError(400, 'The body must be a JSON object with the list "inputs".')
    model = version.model
    wanted = _outputs(request, model)
    count = _count(request["inputs"], model)
    with version.batcher.room(count):
        binary = memoryview(body)[length:]
        feeds = await converted(len(body), _feeds, request["inputs"], binary, model, count)
        answers = await version.batcher.ask(feeds, tuple(wanted), count)
        size = sum(each.nbytes for each in answers.values())
        described = {"model_name": name, "model_version": version.model.version}
        if "id" in request:
            described["id"] = _id(request["id"])
        return await converted(size, _answer, described, wanted, model, answers)


def metadata(name: str, model: Model, versions: list[str]) -> dict[str, JSON]:
    """The inputs and outputs of a model."""
    return {
        "name": name,
        "versions": versions,
        "platform": PLATFORM,
        "inputs": [
            _tensor(each.name, each.dtype, (None,) if each.shape is None else each.shape)
            for each in model.inputs.values()
            if each.used
        ],
        "outputs": [
            _tensor(each["name"], each["dtype"], each["shape"][1:])
            for each in model.outputs.values()
        ],
    }


def _tensor(name: str, dtype: str, shape: Sequence[int | None]) -> dict[str, JSON]:
    sizes = [-1, *(-1 if size is None else size for size in shape)]
    return {"name": name, "datatype": DATATYPES[dtype], "shape": sizes}


def _header_length(header: str | None, size: int) -> int:
    if header is None:
        return size
    if not header.isdecimal() or len(header) > _MOST_DIGITS or int(header) > size:
        raise RequestError(400, f"{HEADER} is {header!r:.40}, but the body has {size} bytes.")
    return int(header)


def _id(value: object) -> str:
    if not isinstance(value, str) or not is_unicode(value):
        raise RequestError(400, f'"id" is {value!r:.60}, but must be text.')
    return value


def _count(entries: list[JSON], model: Model) -> int:
    """The number of rows that all inputs have."""
    counts: dict[str, int] = {}
    for entry in entries:
        name = entry.get("name") if isinstance(entry, dict) else None
        name = model.renamed.get(name, name) if isinstance(name, str) else name
        if not isinstance(name, str) or name not in model.inputs:
            raise RequestError(
                400, f"There is no input {name!r:.60}.{suggest(str(name), model.inputs)}"
            )
        if name in counts:
            raise RequestError(400, f"The request has input {name!r} twice.")
        counts[name] = _shape(entry, name)[0]
    return common_count(counts, model.inputs)


def _feeds(entries: list[JSON], binary: memoryview, model: Model, count: int) -> dict[str, Array]:
    """The arrays [rows, ...] to feed the model, by the names of inputs."""
    arrays: dict[str, Array] = {}
    start = 0
    for entry in entries:
        name, shape = model.renamed.get(entry["name"], entry["name"]), entry["shape"]
        size = _parameter(entry, "binary_data_size")
        if size is None:
            arrays[name] = _of_data(entry, name, shape)
            continue
        if not isinstance(size, int) or not 0 <= size <= len(binary) - start:
            raise RequestError(
                400, f"Input {name!r} has binary_data_size={size!r:.40}, but the body is shorter."
            )
        arrays[name] = _of_binary(entry, name, shape, binary[start : start + size])
        start += size
    return {
        each.name: each.of_array(arrays[each.name]) if each.name in arrays else each.absent(count)
        for each in model.inputs.values()
        if each.used
    }


def _answer(
    described: dict[str, JSON],
    wanted: Mapping[str, bool],
    model: Model,
    answers: Mapping[str, Array],
) -> tuple[bytes, int | None]:
    """The body of an answer, and its number of bytes of JSON."""
    outputs: list[dict[str, JSON]] = []
    blobs: list[bytes] = []
    for output, is_binary in wanted.items():
        array = np.asarray(answers[output])
        datatype = DATATYPES[model.outputs[output]["dtype"]]
        entry: dict[str, JSON] = {"name": output, "datatype": datatype, "shape": list(array.shape)}
        if is_binary:
            blobs.append(_packed(array))
            entry["parameters"] = {"binary_data_size": len(blobs[-1])}
        else:
            entry["data"] = nested_lists(array.reshape(-1))
        outputs.append(entry)
    head = dump({**described, "outputs": outputs})
    return head + b"".join(blobs), len(head) if blobs else None


def _shape(entry: Mapping[str, JSON], name: str) -> list[int]:
    shape, datatype = entry.get("shape"), entry.get("datatype")
    if (
        not isinstance(shape, list)
        or not 1 <= len(shape) <= _MOST_DIMENSIONS
        or not all(type(size) is int and 0 <= size < 2**31 for size in shape)
        or math.prod(filter(None, shape)) >= 2**31
    ):
        raise RequestError(
            400, f"Input {name!r} has the shape {shape!r:.60}, but must have [rows, ...]."
        )
    if not isinstance(datatype, str) or (datatype != _BYTES and datatype not in _NUMPY):
        raise RequestError(
            400,
            f"Input {name!r} has the datatype {datatype!r:.40}.{suggest(str(datatype), [*_NUMPY, _BYTES])}",
        )
    return shape


def _of_data(entry: Mapping[str, JSON], name: str, shape: list[int]) -> Array:
    """The values of `data`, flat or nested."""
    data = entry.get("data")
    if not isinstance(data, list):
        raise RequestError(400, f'Input {name!r} must have "data", a list of its values.')
    cells = flat(data)
    if entry["datatype"] == _BYTES:
        values = of_objects(cells)
    else:
        values = np.asarray(cells if are_numbers(cells) else [None])
        if values.dtype.kind not in "biuf":  # as of integers beyond 64 bits
            raise RequestError(400, f"Input {name!r} takes numbers, but has {cells[:9]!r:.60}.")
    if values.size != math.prod(shape):
        raise RequestError(
            400,
            f"Input {name!r} has {values.size} values, but the shape {shape} needs {math.prod(shape)}.",
        )
    return values.reshape(shape)


def _of_binary(entry: Mapping[str, JSON], name: str, shape: list[int], data: memoryview) -> Array:
    count = math.prod(shape)
    if entry["datatype"] == _BYTES:
        strings = _unpacked(data, count)
        if strings is None:
            raise RequestError(
                400,
                f"Input {name!r}: the binary data is not {count} strings, each preceded by its length.",
            )
        return of_objects(strings).reshape(shape)
    dtype = np.dtype(_NUMPY[entry["datatype"]]).newbyteorder("<")
    if len(data) != count * dtype.itemsize:
        raise RequestError(
            400,
            f"Input {name!r} has {len(data)} bytes, but the shape {shape} needs {count * dtype.itemsize}.",
        )
    return np.frombuffer(data, dtype).reshape(shape)


def _unpacked(data: memoryview, count: int) -> list[bytes] | None:
    """Strings, each preceded by its length in four bytes; None if their number is not `count`."""
    strings: list[bytes] = []
    start = 0
    while start + 4 <= len(data) and len(strings) < count:
        length = int.from_bytes(data[start : start + 4], "little")
        strings.append(bytes(data[start + 4 : start + 4 + length]))
        start += 4 + length
    return strings if len(strings) == count and start == len(data) else None


def _packed(array: Array) -> bytes:
    if array.dtype != object:
        return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    encoded = [str(value).encode() for value in array.reshape(-1).tolist()]
    return b"".join(len(each).to_bytes(4, "little") + each for each in encoded)


def _outputs(request: Mapping[str, JSON], model: Model) -> dict[str, bool]:
    """The outputs that a client requests, and whether it wants binary data."""
    by_default = bool(_parameter(request, "binary_data_output"))
    entries = request.get("outputs") or [{"name": name} for name in model.outputs]
    if not isinstance(entries, list):
        raise RequestError(400, '"outputs" must be a list of objects with a "name".')
    wanted: dict[str, bool] = {}
    for entry in entries:
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or name not in model.outputs:
            raise RequestError(
                400, f"There is no output {name!r:.60}.{suggest(str(name), model.outputs)}"
            )
        for parameter in ("classification", "shared_memory_region"):
            if _parameter(entry, parameter):
                raise RequestError(
                    400,
                    f"Output {name!r} has the parameter {parameter!r}, which this server does not support.",
                )
        binary = _parameter(entry, "binary_data")
        wanted[name] = by_default if binary is None else bool(binary)
    return wanted


def _parameter(entry: Mapping[str, JSON], name: str) -> JSON:
    parameters = entry.get("parameters")
    return parameters.get(name) if isinstance(parameters, dict) else None
