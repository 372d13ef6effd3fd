"""TensorFlow Serving's REST API.

Protocol: https://www.tensorflow.org/tfx/serving/api_rest
"""

from __future__ import annotations

import base64
import itertools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from torchest.errors import suggest
from torchest.serving.examples import rows_of_examples
from torchest.serving.json_text import dump, dump_list, load, nested_lists
from torchest.serving.limits import RequestError
from torchest.serving.threads import converted
from torchest.serving.values import common_count, decoded

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torchest.serving.model import Model, Signature
    from torchest.serving.values import JSON, Array
    from torchest.serving.versions import Version

_METHODS = {"predict": "predict", "classify": "classification", "regress": "regression"}
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
        body: The request.
        version: The version that answers.

    Raises:
        RequestError: The request violates the protocol, or the model does not accept its values.
    """
    request = await converted(len(body), load, body)
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


def status(states: Mapping[str, str]) -> dict[str, JSON]:
    """The state of each version. `states` has the reason why a version is not served, or ""."""
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


def metadata(name: str, model: Model) -> dict[str, JSON]:
    """The inputs, outputs and signatures of a model, as TensorFlow Serving describes them."""
    if model.examples is None:
        inputs = {
            each.name: _tensor(each.name, each.dtype, (None,) if each.shape is None else each.shape)
            for each in model.inputs.values()
        }
    else:
        inputs = {model.examples: _tensor(model.examples, "string", ())}
    verbs = {method: verb for verb, method in _METHODS.items()}
    described = {
        signature.name: {
            "inputs": inputs,
            "outputs": {
                key: _tensor(
                    output, model.outputs[output]["dtype"], model.outputs[output]["shape"][1:]
                )
                for key, output in signature.outputs.items()
            },
            "method_name": f"tensorflow/serving/{verbs[signature.method]}",
        }
        for signature in model.signatures.values()
    }
    return {
        "model_spec": {"name": name, "signature_name": "", "version": model.version},
        "metadata": {"signature_def": {"signature_def": described}},
    }


def _signature(verb: str, request: Mapping[str, JSON], model: Model) -> Signature:
    """The signature of a request; without a name, one for the verb if the default signature is for another."""
    signature = model.signature(request.get("signature_name") or None)
    if verb == "predict" or signature.method == _METHODS[verb]:
        return signature
    fitting = [each.name for each in model.signatures.values() if each.method == _METHODS[verb]]
    if request.get("signature_name") or not fitting:
        raise RequestError(
            400, f"Signature {signature.name!r} is for {signature.method}.{suggest('', fitting)}"
        )
    return model.signatures[min(fitting)]


def _key(verb: str, request: Mapping[str, JSON]) -> str:
    """The key of the rows in a request."""
    keys = ("instances", "inputs") if verb == "predict" else ("examples",)
    there = [key for key in keys if request.get(key) is not None]
    if len(there) > 1:
        raise RequestError(400, 'The body must have "instances" or "inputs", but has both.')
    if not there or not (there == ["inputs"] or isinstance(request[there[0]], list)):
        named = " or ".join(f'"{key}"' for key in keys)
        raise RequestError(400, f"The body must have {named}, a list with one entry for each row.")
    return there[0]


def _count(rows: JSON) -> int:
    """The number of rows, in a list or by input."""
    if isinstance(rows, Mapping) and rows.keys() != {"b64"}:
        return max(map(_count, rows.values()), default=0)
    return len(rows) if isinstance(rows, list) else 1


def _feeds(key: str, request: Mapping[str, JSON], model: Model, count: int) -> dict[str, Array]:
    """The arrays [rows, ...] to feed the model, by the names of inputs."""
    sent = _columns(request, model) if key == "inputs" else _rows(key, request, model)
    columns = {model.renamed.get(name, name): values for name, values in sent.items()}
    return {
        name: each.array(columns[name]) if name in columns else each.absent(count)
        for name, each in model.inputs.items()
        if each.used
    }


def _answer(verb: str, key: str, signature: Signature, answers: Mapping[str, Array]) -> bytes:
    """The outputs of a signature in the form of its method."""
    named = {key: answers[name] for key, name in signature.outputs.items()}
    if verb != "predict":
        result = _classes(named) if verb == "classify" else _regressions(signature, named)
        return dump({"results": result, "result": result})  # what it writes, and what its page says
    values = {key: _values(key, each) for key, each in named.items()}
    only = next(iter(values.values())) if len(values) == 1 else None
    if key == "inputs":
        return dump({"outputs": values if only is None else only})
    if only is not None:
        return dump({"predictions": only})
    rows = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    return b'{"predictions":' + dump_list(rows) + b"}"


def _rows(key: str, request: Mapping[str, JSON], model: Model) -> dict[str, list[JSON]]:
    """The values of each input, row by row, from a request in row format."""
    rows = request[key]
    if rows and all(_is_record(row, model) for row in rows):
        return _parsed(rows, model)
    context = request.get("context") if key == "examples" else None
    if context is not None and not isinstance(context, Mapping):
        raise RequestError(400, f'"context" must be an object, but is {context!r:.60}.')
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


def _by_name(row: JSON, number: int, model: Model) -> Mapping[str, JSON]:
    """The inputs of a row by name; a model with one input allows rows without names."""
    if isinstance(row, Mapping) and row.keys() != {"b64"}:
        return row
    if len(model.inputs) == 1:
        return dict.fromkeys(model.inputs, row)
    raise RequestError(
        400,
        f"Row {number} must be an object that maps names of inputs to values.{suggest('', model.inputs)}",
    )


def _columns(request: Mapping[str, JSON], model: Model) -> dict[str, list[JSON]]:
    """The values of each input, row by row, from a request in column format."""
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
    common_count({name: len(values) for name, values in lists.items()}, model.inputs)
    name = next(iter(lists))
    if len(lists) == 1 and _is_of_examples(name, model):
        return _parsed(lists[name], model)
    _check_names(lists, model)
    return lists


def _is_of_examples(name: str, model: Model) -> bool:
    """Whether a name stands for serialized examples rather than for an input."""
    is_one = name in (model.examples, "inputs", "examples")
    return model.examples is not None and is_one and name not in model.inputs


def _is_record(row: JSON, model: Model) -> bool:
    """Whether a row is a serialized example, with or without the name of the input."""
    if model.examples is None:
        return False
    if not isinstance(row, Mapping) or row.keys() == {"b64"}:
        return True
    return len(row) == 1 and _is_of_examples(next(iter(row)), model)


def _parsed(records: list[JSON], model: Model) -> dict[str, list[JSON]]:
    """The values of each input, row by row, from serialized examples."""
    used = [each for each in model.inputs.values() if each.used]
    return rows_of_examples([_record(each, model) for each in records], used)


def _record(row: JSON, model: Model) -> bytes:
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
        f'{name!r} must hold serialized tf.Example records as {{"b64": "..."}}, but has {row!r:.60}.',
    )


def _classes(named: Mapping[str, Array]) -> list[JSON]:
    """Pairs of label and score for each row; the label is empty where the signature has none."""
    scores = named.get("scores")
    classes = named.get("classes")
    if scores is None:
        assert classes is not None
        return [[[label, 0.0] for label in row] for row in nested_lists(classes)]
    labels = (
        [[""] * scores.shape[1]] * len(scores)
        if classes is None
        else [list(map(str, row)) for row in nested_lists(classes)]
    )
    return [
        [list(pair) for pair in zip(of_row, numbers, strict=True)]
        for of_row, numbers in zip(labels, nested_lists(scores), strict=True)
    ]


def _regressions(signature: Signature, named: Mapping[str, Array]) -> list[JSON]:
    """One value for each row."""
    (array,) = named.values()
    if array.size != len(array):
        raise RequestError(
            400,
            f"Signature {signature.name!r} has {math.prod(array.shape[1:])} values for each row, but regress answers "
            "one: use predict.",
        )
    return nested_lists(array.reshape(-1))


def _values(key: str, array: Array) -> list[JSON]:
    """An output in JSON; strings are base64 if the name ends with `_bytes`."""
    values = nested_lists(array)
    return _encoded(values) if key.endswith("_bytes") and array.dtype == object else values


def _encoded(value: JSON) -> JSON:
    if isinstance(value, list):
        return [_encoded(each) for each in value]
    return {"b64": base64.b64encode(str(value).encode()).decode()}


def _tensor(name: str, dtype: str, shape: Sequence[int | None]) -> dict[str, JSON]:
    sizes = [-1, *(-1 if size is None else size for size in shape)]
    return {
        "dtype": _TYPES.get(dtype, f"DT_{dtype.upper()}"),
        "tensor_shape": {
            "dim": [{"size": str(size), "name": ""} for size in sizes],
            "unknown_rank": False,
        },
        "name": f"{name}:0",
    }
