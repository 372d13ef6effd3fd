"""Serialized `tf.Example` records as rows of values, by Protocol Buffers' own library."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from torchest.serving.limits import RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torchest.serving.values import Input

_LISTS = {"bytes_list": "bytes", "float_list": "floats", "int64_list": "int64s"}


def rows_of_examples(records: Sequence[bytes], inputs: Sequence[Input]) -> dict[str, list[Any]]:
    """The values of the inputs in each record, by the name of the input; None where a record lacks the feature.

    Args:
        records: Serialized examples.
        inputs: What to read.

    Raises:
        RequestError: A record is malformed, or a feature holds another kind of values.
    """
    features = [_features(record, number) for number, record in enumerate(records)]
    return {
        each.name: [_values(feature, each, number) for number, feature in enumerate(features)]
        for each in inputs
    }


def _features(record: bytes, number: int) -> Any:
    from google.protobuf.message import DecodeError

    try:
        return _example_class().FromString(record).features.feature
    except DecodeError:
        raise RequestError(400, f"Record {number} is no serialized tf.Example.") from None


def _values(features: Any, each: Input, number: int) -> list[Any] | None:
    if each.key not in features:
        return None
    feature = features[each.key]
    kind = feature.WhichOneof("kind")
    if kind is None:
        return None
    wanted = (
        "bytes_list"
        if each.is_text
        else "float_list"
        if each.dtype.startswith("float")
        else "int64_list"
    )
    if kind != wanted:
        raise RequestError(
            400,
            f"Feature {each.key!r} holds {_LISTS[kind]} in record {number}, and must hold {_LISTS[wanted]}.",
        )
    return list(getattr(feature, kind).value)


@functools.cache
def _example_class() -> Any:
    """The message class of tf.Example, described here, as its package is not a dependency.

    Format: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/example.proto
    """
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="torchest/example.proto", package="torchest", syntax="proto3"
    )

    def message(name: str, parent: Any = file.message_type) -> Any:
        made = parent.add()
        made.name = name
        return made

    for name, kind in (
        ("BytesList", field.TYPE_BYTES),
        ("FloatList", field.TYPE_FLOAT),
        ("Int64List", field.TYPE_INT64),
    ):
        message(name).field.add(name="value", number=1, label=field.LABEL_REPEATED, type=kind)
    feature = message("Feature")
    feature.oneof_decl.add(name="kind")
    lists = (("bytes_list", "BytesList"), ("float_list", "FloatList"), ("int64_list", "Int64List"))
    for number, (name, kind_name) in enumerate(lists, 1):
        feature.field.add(
            name=name,
            number=number,
            label=field.LABEL_OPTIONAL,
            type=field.TYPE_MESSAGE,
            type_name=f".torchest.{kind_name}",
            oneof_index=0,
        )
    features = message("Features")
    entry = message("FeatureEntry", features.nested_type)
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=field.LABEL_OPTIONAL, type=field.TYPE_STRING)
    entry.field.add(
        name="value",
        number=2,
        label=field.LABEL_OPTIONAL,
        type=field.TYPE_MESSAGE,
        type_name=".torchest.Feature",
    )
    features.field.add(
        name="feature",
        number=1,
        label=field.LABEL_REPEATED,
        type=field.TYPE_MESSAGE,
        type_name=".torchest.Features.FeatureEntry",
    )
    message("Example").field.add(
        name="features",
        number=1,
        label=field.LABEL_OPTIONAL,
        type=field.TYPE_MESSAGE,
        type_name=".torchest.Features",
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("torchest.Example"))
