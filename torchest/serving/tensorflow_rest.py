"""TensorFlow Serving's REST API: requests and answers as its clients write and read them.

Protocol: https://www.tensorflow.org/tfx/serving/api_rest
"""

from __future__ import annotations

import base64
import itertools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torchest.errors import suggest
from torchest.serving.examples import rows_of_examples
from torchest.serving.json_text import parsed, plain, text, text_of_list
from torchest.serving.limits import RequestError
from torchest.serving.threads import converted
from torchest.serving.values import decoded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torchest.serving.model import Model, Signature
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


async def answer(verb: str, body: bytes, version: Version) -> bytes:
    """The answer to a request, as JSON.

    Args:
        verb: "predict", "classify" or "regress".
        body: What the client sent.
        version: The version that is asked.

    Raises:
        RequestError: The request is not as the protocol has it, or its values are not what the model takes.
    """
    request = await converted(len(body), parsed, body)
    if not isinstance(request, dict):
        raise RequestError(400, "The body must be a JSON object.")
    model = version.model
    signature = _signature(verb, request, model)
    key = _key(verb, request)
    count = _count(request[key])
    outputs = tuple(dict.fromkeys(signature.outputs.values()))
    with version.batcher.room(count):
        feeds = await converted(len(body), _feeds, key, request, model, count)
        answers = await version.batcher.ask(feeds, outputs, count)
        size = sum(each.nbytes for each in answers.values())
        return await converted(size, _answer, verb, key, signature, answers)


def status(states: Mapping[str, str]) -> dict[str, Any]:
    """The state of each version; `states` has the reason why one is not served."""
    return {
        "model_version_status": [
            {
                "version": name,
                "state": "END" if reason else "AVAILABLE",
                "status": {"error_code": "UNKNOWN" if reason else "OK", "error_message": reason},
            }
            for name, reason in states.items()
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


def _signature(verb: str, request: Mapping[str, Any], model: Model) -> Signature:
    """The signature that is asked; the one for the verb if the default is for another and none is named."""
    signature = model.signature(request.get("signature_name") or None)
    if verb not in _METHODS or signature.method == _METHODS[verb]:
        return signature
    fitting = [each.name for each in model.signatures.values() if each.method == _METHODS[verb]]
    if request.get("signature_name") or not fitting:
        raise RequestError(
            400, f"Signature {signature.name!r} is for {signature.method}.{suggest('', fitting)}"
        )
    return model.signatures[min(fitting)]


def _key(verb: str, request: Mapping[str, Any]) -> str:
    """Under which key a request has its rows."""
    keys = ("instances", "inputs") if verb == "predict" else ("examples",)
    there = [key for key in keys if request.get(key) is not None]
    if len(there) > 1:
        raise RequestError(400, 'The body must have "instances" or "inputs", and has both.')
    if not there or not (there == ["inputs"] or isinstance(request[there[0]], list)):
        named = " or ".join(f'"{key}"' for key in keys)
        raise RequestError(400, f"The body must have {named}, a list with one entry a row.")
    return there[0]


def _count(rows: Any) -> int:
    """How many rows there are, one after the other or by input."""
    if isinstance(rows, Mapping) and rows.keys() != {"b64"}:
        return max(map(_count, rows.values()), default=0)
    return len(rows) if isinstance(rows, list) else 1


def _feeds(key: str, request: Mapping[str, Any], model: Model, count: int) -> dict[str, Array]:
    """What the model is fed: arrays [rows, ...] by the names of inputs."""
    sent = _columns(request, model) if key == "inputs" else _rows(key, request, model)
    columns = {model.renamed.get(name, name): values for name, values in sent.items()}
    return {
        name: each.array(columns[name]) if name in columns else each.absent(count)
        for name, each in model.inputs.items()
        if each.used
    }


def _answer(verb: str, key: str, signature: Signature, answers: Mapping[str, Array]) -> bytes:
    """The outputs of a signature as its clients read them."""
    named = {key: answers[name] for key, name in signature.outputs.items()}
    if verb in _METHODS:
        result = _classes(named) if verb == "classify" else _values_of_rows(signature, named)
        return text({"results": result, "result": result})  # what it writes, and what its page says
    values = {key: _values(key, each) for key, each in named.items()}
    if key == "inputs":
        return text({"outputs": values if len(values) > 1 else next(iter(values.values()))})
    if len(values) == 1:
        return text({"predictions": next(iter(values.values()))})
    rows = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    return b'{"predictions":' + text_of_list(rows) + b"}"


def _rows(key: str, request: Mapping[str, Any], model: Model) -> dict[str, list[Any]]:
    """The values of each input, one a row, of a request that has its rows one after the other."""
    rows = request[key]
    if rows and all(_is_record(row, model) for row in rows):
        return _parsed(rows, model)
    context = request.get("context") if key == "examples" else None
    if context is not None and not isinstance(context, Mapping):
        raise RequestError(400, f'"context" must be an object, and is {context!r:.60}.')
    named = [_by_name(row, number, model) for number, row in enumerate(rows)]
    if context:
        named = [{**context, **row} for row in named]
    names = dict.fromkeys(itertools.chain.from_iterable(named))
    _check_names(names, model)
    return {name: [row.get(name) for row in named] for name in names}


def _check_names(names: Iterable[str], model: Model) -> None:
    for name in names:
        if name not in model.inputs and name not in model.renamed:
            raise RequestError(400, f"There is no input {name!r:.60}.{suggest(name, model.inputs)}")


def _by_name(row: Any, number: int, model: Model) -> Mapping[str, Any]:
    """The inputs of a row by name; a row of the only input may be without it."""
    if isinstance(row, Mapping) and row.keys() != {"b64"}:
        return row
    if len(model.inputs) == 1:
        return dict.fromkeys(model.inputs, row)
    raise RequestError(
        400, f"Row {number} must be an object of inputs by name.{suggest('', model.inputs)}"
    )


def _columns(request: Mapping[str, Any], model: Model) -> dict[str, list[Any]]:
    """The values of each input, one a row, of a request that has them by input."""
    columns = request["inputs"]
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
        raise RequestError(400, f"All inputs must have as many rows: {shown:.300}.")
    name = next(iter(lists))
    if len(lists) == 1 and _is_of_examples(name, model):
        return _parsed(lists[name], model)
    _check_names(lists, model)
    return lists


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
        row = next(iter(row.values()), None)
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


def _values_of_rows(signature: Signature, named: Mapping[str, Array]) -> list[Any]:
    """One value for each row."""
    (array,) = named.values()
    if array.size != len(array):
        raise RequestError(
            400,
            f"Signature {signature.name!r} has {math.prod(array.shape[1:])} values for each row, and regress answers "
            "one: ask predict.",
        )
    return plain(array.reshape(-1))


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
