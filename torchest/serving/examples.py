"""Serialized `tf.Example` records as rows of values, read by Protocol Buffers' own library."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeAlias

from torchest.serving.limits import RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torchest.serving.values import JSON, Input

    Message: TypeAlias = Any  # of Protocol Buffers, which have no types

_LISTS = {"bytes_list": "bytes", "float_list": "floats", "int64_list": "int64s"}
_FORMAT = """
name: "torchest/example.proto" package: "torchest" syntax: "proto3"
message_type { name: "BytesList" field { name: "value" number: 1 label: LABEL_REPEATED type: TYPE_BYTES } }
message_type { name: "FloatList" field { name: "value" number: 1 label: LABEL_REPEATED type: TYPE_FLOAT } }
message_type { name: "Int64List" field { name: "value" number: 1 label: LABEL_REPEATED type: TYPE_INT64 } }
message_type { name: "Feature" oneof_decl { name: "kind" }
  field { name: "bytes_list" number: 1 oneof_index: 0 type: TYPE_MESSAGE type_name: ".torchest.BytesList" }
  field { name: "float_list" number: 2 oneof_index: 0 type: TYPE_MESSAGE type_name: ".torchest.FloatList" }
  field { name: "int64_list" number: 3 oneof_index: 0 type: TYPE_MESSAGE type_name: ".torchest.Int64List" } }
message_type { name: "Features"
  field { name: "feature" number: 1 label: LABEL_REPEATED
    type: TYPE_MESSAGE type_name: ".torchest.Features.FeatureEntry" }
  nested_type { name: "FeatureEntry" options { map_entry: true }
    field { name: "key" number: 1 type: TYPE_STRING }
    field { name: "value" number: 2 type: TYPE_MESSAGE type_name: ".torchest.Feature" } } }
message_type { name: "Example"
  field { name: "features" number: 1 type: TYPE_MESSAGE type_name: ".torchest.Features" } }
"""


def rows_of_examples(records: Sequence[bytes], inputs: Sequence[Input]) -> dict[str, list[JSON]]:
    """The values of the inputs in each record, by the name of the input; None where a record lacks the feature.

    Args:
        records: Serialized examples.
        inputs: The inputs to read.

    Raises:
        RequestError: A record is malformed, or a feature holds another kind of values.
    """
    features = [_features(record, number) for number, record in enumerate(records)]
    return {
        each.name: [_values(feature, each, number) for number, feature in enumerate(features)]
        for each in inputs
    }


def _features(record: bytes, number: int) -> Message:
    from google.protobuf.message import DecodeError

    try:
        return _example_class().FromString(record).features.feature
    except DecodeError:
        raise RequestError(400, f"Record {number} is not a serialized tf.Example.") from None


def _values(features: Message, each: Input, number: int) -> list[JSON] | None:
    if each.key not in features:
        return None
    feature = features[each.key]
    kind = feature.WhichOneof("kind")
    if kind is None:
        return None
    numbers = "float_list" if each.dtype.startswith("float") else "int64_list"
    wanted = "bytes_list" if each.is_text else numbers
    if kind != wanted:
        raise RequestError(
            400,
            f"Feature {each.key!r} holds {_LISTS[kind]} in record {number}, but the model takes {_LISTS[wanted]}.",
        )
    return list(getattr(feature, kind).value)


@functools.cache
def _example_class() -> Message:
    """The message class of tf.Example, described here because its package is not a dependency.

    Format: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/example.proto
    """
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

    pool = descriptor_pool.DescriptorPool()
    pool.Add(text_format.Parse(_FORMAT, descriptor_pb2.FileDescriptorProto()))
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("torchest.Example"))
