"""TensorFlow Serving's REST API: requests and answers as its clients write and read them.

Protocol: https://www.tensorflow.org/tfx/serving/api_rest
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torchest.errors import suggest
from torchest.serving.examples import rows_of_examples
from torchest.serving.json_text import plain
from torchest.serving.limits import RequestError
from torchest.serving.values import decoded

if TYPE_CHECKING:
    from torchest.serving.model import Model
    from torchest.serving.values import Array
    from torchest.serving.versions import Version

_METHODS = {"classify": "classification", "regress": "regression"}
_TYPES = {
    "float16": "DT_HALF",
    "bfloat16": "DT_BFLOAT16",
    "float32": "DT_FLOAT",
    "float64": "DT_DOUBLE",
    "string": "DT_STRING",
    "bytes": "DT_STRING",
}


async def answer(verb: str, body: Any, version: Version) -> dict[str, Any]:
    """The answer to a request.

    Args:
        verb: "predict", "classify" or "regress".
        body: What the client sent, parsed.
        version: The version that is asked.

    Raises:
        RequestError: The request is not as the protocol has it, or its values are not what the model takes.
    """
    if not isinstance(body, dict):
        raise RequestError(400, "The body must be a JSON object.")
    model = version.model
    signature = model.signature(body.get("signature_name") or None)
    if verb in _METHODS and signature.method != _METHODS[verb]:
        fitting = [each.name for each in model.signatures.values() if each.method == _METHODS[verb]]
        if body.get("signature_name") or not fitting:
            raise RequestError(
                400,
                f"Signature {signature.name!r} is for {signature.method}.{suggest('', fitting)}",
            )
        signature = model.signatures[min(fitting)]
    by_column = verb == "predict" and "inputs" in body
    columns, count = _columns(body, model) if by_column else _rows(verb, body, model)
    feeds = {
        name: each.array(columns[name]) if name in columns else each.absent(count)
        for name, each in model.inputs.items()
        if each.used
    }
    outputs = tuple(dict.fromkeys(signature.outputs.values()))
    found = await version.batcher.ask(feeds, outputs, count)
    named = {key: found[name] for key, name in signature.outputs.items()}
    if verb == "classify":
        return {"result": _classes(named)}
    if verb == "regress":
        return {"result": plain(next(iter(named.values())).reshape(count))}
    values = {key: _values(key, each) for key, each in named.items()}
    if by_column:
        return {"outputs": values if len(values) > 1 else next(iter(values.values()))}
    if len(values) == 1:
        return {"predictions": next(iter(values.values()))}
    return {
        "predictions": [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    }  # fmt: skip


def status(states: Mapping[str, str]) -> dict[str, Any]:
    """The state of each version; `states` has the reason why one is not served."""
    return {
        "model_version_status": [
            {
                "version": name,
                "state": "END" if reason else "AVAILABLE",
                "status": {"error_code": "UNKNOWN" if reason else "OK", "error_message": reason},
            }
            for name, reason in sorted(states.items(), reverse=True)
        ]
    }


def metadata(name: str, model: Model) -> dict[str, Any]:
    """What a model takes and answers, as TensorFlow Serving describes it."""
    inputs = {
        each.name: _tensor(each.name, each.dtype, each.shape if each.shape is not None else (None,))
        for each in model.inputs.values()
    }
    described = {
        signature.name: {
            "inputs": inputs
            if model.examples is None
            else {model.examples: _tensor(model.examples, "string", ())},
            "outputs": {
                key: _tensor(
                    output, model.outputs[output]["dtype"], model.outputs[output]["shape"][1:]
                )
                for key, output in signature.outputs.items()
            },
            "method_name": f"tensorflow/serving/{_SAVED_METHODS[signature.method]}",
        }
        for signature in model.signatures.values()
    }
    return {
        "model_spec": {"name": name, "signature_name": "", "version": model.version},
        "metadata": {"signature_def": {"signature_def": described}},
    }


_SAVED_METHODS = {"classification": "classify", "regression": "regress", "predict": "predict"}


def _rows(verb: str, body: Mapping[str, Any], model: Model) -> tuple[dict[str, list[Any]], int]:
    """The values of each input, one a row, of a request that has its rows one after the other."""
    key = "instances" if verb == "predict" else "examples"
    rows = body.get(key)
    if not isinstance(rows, list):
        other = ' or "inputs"' if verb == "predict" else ""
        raise RequestError(400, f'The body must have "{key}"{other}, a list with one entry a row.')
    if rows and all(_is_record(row, model) for row in rows):
        return _parsed(rows, model), len(rows)
    context = body.get("context") if verb != "predict" else None
    if context is not None and not isinstance(context, Mapping):
        raise RequestError(400, f'"context" must be an object, and is {context!r:.60}.')
    columns: dict[str, list[Any]] = {}
    for number, row in enumerate(rows):
        named = {**(context or {}), **_by_name(row, number, model)}
        for name in named.keys() - columns.keys():
            if name not in model.inputs:
                raise RequestError(400, f"There is no input {name!r}.{suggest(name, model.inputs)}")
            columns[name] = [None] * number
        for name, values in columns.items():
            values.append(named.get(name))
    return columns, len(rows)


def _by_name(row: Any, number: int, model: Model) -> Mapping[str, Any]:
    """The inputs of a row by name; a row of the only input may be without it."""
    if isinstance(row, Mapping) and row.keys() != {"b64"}:
        return row
    if len(model.inputs) == 1:
        return dict.fromkeys(model.inputs, row)
    raise RequestError(
        400, f"Row {number} must be an object of inputs by name.{suggest('', model.inputs)}"
    )


def _columns(body: Mapping[str, Any], model: Model) -> tuple[dict[str, list[Any]], int]:
    """The values of each input, one a row, of a request that has them by input."""
    columns = body["inputs"]
    if not isinstance(columns, Mapping) or columns.keys() == {"b64"}:
        only = [model.examples] if model.examples is not None else list(model.inputs)
        if len(only) != 1:
            raise RequestError(
                400, f'"inputs" must be an object of lists by name.{suggest("", model.inputs)}'
            )
        columns = {only[0]: columns}
    lists = {
        name: values if isinstance(values, list) else [values] for name, values in columns.items()
    }
    counts = {name: len(values) for name, values in lists.items()}
    if not counts:
        raise RequestError(400, f'"inputs" is empty.{suggest("", model.inputs)}')
    if len(set(counts.values())) > 1:
        shown = ", ".join(f"{name!r} has {count}" for name, count in counts.items())
        raise RequestError(400, f"All inputs must have as many rows: {shown}.")
    count = next(iter(counts.values()))
    name = next(iter(lists))
    if len(lists) == 1 and _is_of_examples(name, model):
        return _parsed(lists[name], model), count
    for name in lists:
        if name not in model.inputs:
            raise RequestError(400, f"There is no input {name!r}.{suggest(name, model.inputs)}")
    return lists, count


def _is_of_examples(name: str, model: Model) -> bool:
    """Whether a name stands for serialized examples rather than for an input."""
    is_one = name in (model.examples, "inputs", "examples")
    return model.examples is not None and is_one and name not in model.inputs


def _is_record(row: Any, model: Model) -> bool:
    """Whether a row is a serialized example, by itself or under its name."""
    if model.examples is None:
        return False
    if not isinstance(row, Mapping) or row.keys() == {"b64"}:
        return True
    return len(row) == 1 and _is_of_examples(next(iter(row)), model)


def _parsed(records: list[Any], model: Model) -> dict[str, list[Any]]:
    """The values of each input, one a row, in serialized examples."""
    used = [each for each in model.inputs.values() if each.used]
    return rows_of_examples([_record(each, model) for each in records], used)


def _record(row: Any, model: Model) -> bytes:
    """The bytes of a serialized example."""
    if isinstance(row, Mapping) and row.keys() != {"b64"}:
        row = next(iter(row.values()))
    if isinstance(row, list) and len(row) == 1:
        row = row[0]
    name = model.examples or "examples"
    if isinstance(row, Mapping) and row.keys() == {"b64"}:
        return decoded(row["b64"], name)
    raise RequestError(
        400,
        f'{name!r} must hold serialized tf.Example records as {{"b64": "..."}}, and has {row!r:.60}.',
    )


def _classes(named: Mapping[str, Array]) -> list[Any]:
    """Pairs of label and score for each row; the label is empty where the signature has none."""
    scores = named.get("scores")
    classes = named.get("classes")
    if scores is None:
        assert classes is not None
        return [[[label, 0.0] for label in row] for row in plain(classes)]
    labels = (
        [[""] * scores.shape[1]] * len(scores)
        if classes is None
        else [list(map(str, row)) for row in plain(classes)]
    )
    return [
        [list(pair) for pair in zip(of_row, numbers, strict=True)]
        for of_row, numbers in zip(labels, plain(scores), strict=True)
    ]


def _values(key: str, array: Array) -> list[Any]:
    """An output as JSON has it; strings are base64 where the name ends with `_bytes`."""
    values = plain(array)
    return _encoded(values) if key.endswith("_bytes") and array.dtype == object else values


def _encoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_encoded(each) for each in value]
    return {"b64": base64.b64encode(str(value).encode()).decode()}


def _tensor(name: str, dtype: str, shape: Any) -> dict[str, Any]:
    sizes = [-1, *(-1 if size is None else size for size in shape)]
    return {
        "dtype": _TYPES.get(dtype, f"DT_{dtype.upper()}"),
        "tensor_shape": {
            "dim": [{"size": str(size), "name": ""} for size in sizes],
            "unknown_rank": False,
        },
        "name": f"{name}:0",
    }
