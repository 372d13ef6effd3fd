"""Write parse_example.json: what TensorFlow makes of serialized examples, and how it would parse them.

"parsed" has one case for each call of `tf.io.parse_example`:

    name       what the case is about
    records    the serialized examples, in base64
    spec       by key, {"kind": "FixedLenFeature", "shape", "dtype", "default_value"} or {"kind":
               "VarLenFeature", "dtype"}; default values of strings in base64
    features   by key, nested lists: of a FixedLenFeature [batch, *shape], of a VarLenFeature the values
               of each row; strings in base64
    refused    instead of features: TensorFlow refuses the records or the spec

"specs" has one for each call of `make_parse_example_spec`, `classifier_parse_example_spec` or
`regressor_parse_example_spec`:

    name       what the case is about
    function   which of them
    columns    the columns as in feature_columns.json
    arguments  the other arguments; {"column": ...} is a column
    spec       the result, as above
    refused    instead of the spec

"files" has TFRecord files: name, compression_type, the file's content and its records in base64.
"""

# One case a line, however long, reads better than a case over ten lines.
# ruff: noqa: E501

from __future__ import annotations

import base64
import os
import struct
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from feature_columns import (
    bucketized,
    column,
    crossed,
    embedding,
    hashed,
    identity,
    indicator,
    numeric,
    shared,
    weighted,
    word_file,
    words,
)
from write_json import write_json

Case = dict[str, Any]

WORDS: list[str] = []  # the path of the vocabulary file

# ---- examples


def feature(values: Any) -> tf.train.Feature:
    """A feature of the kind of its values: a list of floats, of ints or of bytes."""
    if isinstance(values, tf.train.Feature):
        return values
    if isinstance(values[0], float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    if isinstance(values[0], int):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


NO_KIND = tf.train.Feature()
NO_FLOATS = tf.train.Feature(float_list=tf.train.FloatList())
NO_INTS = tf.train.Feature(int64_list=tf.train.Int64List())
NO_BYTES = tf.train.Feature(bytes_list=tf.train.BytesList())


def example(**features: Any) -> bytes:
    """A serialized example."""
    of_key = {key: feature(values) for key, values in features.items()}
    return tf.train.Example(features=tf.train.Features(feature=of_key)).SerializeToString(
        deterministic=True
    )


def field(number: int, value: bytes) -> bytes:
    """A field of wire type 2, with a length of one byte."""
    return bytes([number << 3 | 2, len(value)]) + value


def by_hand(key: bytes, kind: int, content: bytes) -> bytes:
    """An example of one feature, whose list has this content."""
    return field(1, field(1, field(1, key) + field(2, field(kind, content))))


def fixed(dtype: str, shape: Any = (1,), default_value: Any = None) -> Case:
    return {
        "kind": "FixedLenFeature",
        "shape": list(shape),
        "dtype": dtype,
        "default_value": default_value,
    }


def var(dtype: str) -> Case:
    return {"kind": "VarLenFeature", "dtype": dtype}


ONE_TWO = b"".join(b"\x0d" + struct.pack("<f", number) for number in (1, 2))  # not packed


def parsed_cases() -> list[Case]:
    extremes = [0, 1, -1, 127, 128, 300, 2**31, 2**62, 2**63 - 1, -(2**63)]
    floats = [0.0, -0.0, 1.5, 1e-45, 3.4e38, float("inf"), float("-inf"), 0.1]
    long = bytes(range(256)) + b"x" * 44
    mixed = [
        example(a=[1.0], b=[1, 2], c=[b"x", b"", b"yz"]),
        example(a=[2.0], c=[b"q"], b=[3]),
        example(a=[3.0]),
    ]
    return [
        case("float", [example(x=[1.5]), example(x=[-2.0])], x=fixed("float32")),
        case("float: no dimensions", [example(x=[1.5]), example(x=[-2.0])], x=fixed("float32", ())),
        case("float: two dimensions", [example(x=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])] * 2, x=fixed("float32", (2, 3))),
        case("float: extremes", [example(x=floats)], x=fixed("float32", (8,))),
        case("float: default", [example(x=[1.5]), example(y=[1.0])], x=fixed("float32", (1,), [7.0])),
        case("float: default of a vector", [example(y=[1.0]), example(x=[1.0, 2.0])], x=fixed("float32", (2,), [3.0, 4.0])),
        case("float: missing", [example(x=[1.5]), example(y=[1.0])], x=fixed("float32")),
        case("float: too many", [example(x=[1.5]), example(x=[1.0, 2.0])], x=fixed("float32")),
        case("float: too few", [example(x=[1.5])], x=fixed("float32", (2,))),
        case("float: none instead of one", [example(x=NO_FLOATS)], x=fixed("float32", (1,), [7.0])),
        case("float: a feature of no kind is missing", [example(x=NO_KIND)], x=fixed("float32", (1,), [7.0])),
        case("float: ints", [example(x=[1.5]), example(x=[1])], x=fixed("float32")),
        case("float: bytes", [example(x=[b"1.5"])], x=fixed("float32")),
        case("float: an empty list of ints", [example(x=NO_INTS)], x=fixed("float32", (1,), [7.0])),
        case("float: double", [example(x=[1.5])], x=fixed("float64")),
        case("int", [example(x=[5]), example(x=[-5])], x=fixed("int64")),
        case("int: extremes", [example(x=extremes)], x=fixed("int64", (10,))),
        case("int: widths that differ", [example(x=[number, 1]) for number in extremes], x=fixed("int64", (2,))),
        case("int: default", [example(y=[5]), example(x=[-5])], x=fixed("int64", (1,), [-1])),
        case("int: floats", [example(x=[1.0])], x=fixed("int64")),
        case("int: 32 bits", [example(x=[1])], x=fixed("int32")),
        case("string", [example(x=[b"a"]), example(x=[b""]), example(x=["né".encode()])], x=fixed("string")),
        case("string: any bytes", [example(x=[long]), example(x=[b"\xff\x00"])], x=fixed("bytes")),
        case("string: no dimensions", [example(x=[b"a"]), example(x=[b"b"])], x=fixed("string", ())),
        case("string: two dimensions", [example(x=[b"a", b"b", b"c", b"d"])], x=fixed("string", (2, 2))),
        case("string: default", [example(y=[1]), example(x=[b"ab"])], x=fixed("string", (1,), [b"none"])),
        case("string: default of a vector", [example(x=[b"ab", b"c"]), example(y=[1])], x=fixed("string", (2,), [b"", b"d"])),
        case("string: ints", [example(x=[1])], x=fixed("string")),
        case("var: floats", [example(x=[1.0, 2.0]), example(y=[1]), example(x=NO_FLOATS), example(x=[3.0])], x=var("float32")),
        case("var: ints", [example(x=extremes), example(x=[7]), example(y=[1])], x=var("int64")),
        case("var: strings", [example(x=[b"a", b"", b"b" * 200]), example(y=[1]), example(x=[b"c"])], x=var("string")),
        case("var: nothing", [example(), example(x=NO_BYTES), example(x=NO_KIND)], x=var("string")),
        case("var: ints for floats", [example(x=[1.0]), example(x=[2])], x=var("float32")),
        case("var: an empty list of floats for ints", [example(x=NO_FLOATS)], x=var("int64")),
        case("var: long lists", [example(x=list(range(-150, 150))), example(x=[1])], x=var("int64")),
        case("var: a long list of floats", [example(x=[number / 8 for number in range(200)])], x=var("float32")),
        case("several features", mixed, a=fixed("float32"), b=var("int64"), c=var("string")),
        case("several features: only one is read", mixed, b=var("int64")),
        case("several features: one that no record has", mixed, d=var("int64"), e=fixed("int64", (1,), [4])),
        case("several features: names alike", [example(feature_number_1=[1], feature_number_10=[10], feature_number_2=[2], f=[0])], feature_number_10=fixed("int64"), feature_number_2=fixed("int64"), feature_number_1=fixed("int64")),
        case("several features: a long name", [example(**{"k" * 300: [1], "l": [2]})] * 2, **{"k" * 300: fixed("int64")}),
        case("an example without features", [b""], x=var("int64")),
        case("two maps in a record are joined", [example(x=[1.0]) + example(y=[2.0])], x=fixed("float32"), y=fixed("float32")),
        case("of two features of one name the last counts", [example(x=[1.0]) + example(x=[2.0])], x=fixed("float32")),
        case("of two features of one name the last counts, of any kind", [example(x=[1.0]) + example(x=[2])], x=fixed("int64")),
        case("wire: floats that are not packed", [by_hand(b"x", 2, ONE_TWO), example(x=[3.0, 4.0])], x=fixed("float32", (2,))),
        case("wire: ints that are not packed", [by_hand(b"x", 3, b"\x08\x05\x08\xac\x02"), example(x=[7])], x=var("int64")),
        case("wire: value before key", [field(1, field(1, field(2, field(2, ONE_TWO)) + field(1, b"x")))], x=var("float32")),
        case("wire: unknown fields around the map", [b"\x18\x05" + example(x=[1.0]) + b"\x21" + bytes(8) + b"\x1d" + bytes(4) + b"\x2a\x01a"], x=var("float32")),
        case("wire: a feature that is not read may be malformed", [field(1, field(1, field(1, b"y") + field(2, b"\xff\xff")))], x=var("int64")),
        case("wire: cut off", [example(x=[1.0]), example(x=[1.0])[:-1]], x=var("float32")),
        case("wire: cut off within a varint", [by_hand(b"x", 3, field(1, b"\x05\x85"))], x=var("int64")),
        case("wire: text", [b"this is text"], x=var("int64")),
        case("wire: a group", [b"\x0b\x0c"], x=var("int64")),
    ]  # fmt: skip


def case(name: str, records: list[bytes], **spec: Case) -> Case:
    """A case with what TensorFlow answers."""
    of_key = {key: tf_spec(described) for key, described in spec.items()}
    described = {key: encoded(of_one) for key, of_one in spec.items()}
    start = {"name": name, "records": encoded(records), "spec": described}
    try:
        actual = tf.io.parse_example(records, of_key)
    except (tf.errors.InvalidArgumentError, ValueError, TypeError):
        return start | {"refused": True}
    return start | {"features": {key: rows(actual[key]) for key in spec}}


def rows(actual: tf.Tensor | tf.SparseTensor) -> list[Any]:
    if isinstance(actual, tf.SparseTensor):
        actual = tf.RaggedTensor.from_sparse(actual)
        return encoded(actual.to_list())
    if actual.dtype == tf.float32:
        return actual.numpy()
    return encoded(actual.numpy().tolist())


def encoded(value: Any) -> Any:
    """Bytes in base64, also within lists and dicts."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, (list, tuple)):
        return [encoded(item) for item in value]
    if isinstance(value, dict):
        return {key: encoded(item) for key, item in value.items()}
    return np.float32(value) if isinstance(value, float) else value


def tf_spec(described: Case) -> Any:
    dtype = tf.as_dtype({"bytes": "string"}.get(described["dtype"], described["dtype"]))
    if described["kind"] == "VarLenFeature":
        return tf.io.VarLenFeature(dtype)
    return tf.io.FixedLenFeature(described["shape"], dtype, described["default_value"])


# ---- specs


def spec_cases() -> list[Case]:
    town, number = hashed("town", 10), numeric("x")
    label = {"label_key": "y"}
    return [
        spec("numeric", [number]),
        spec("numeric: shape", [numeric("x", shape=[2, 3])]),
        spec("numeric: default", [numeric("x", shape=[2], default_value=3.0)]),
        spec("numeric: defaults", [numeric("x", shape=[2], default_value=[3.0, 4.0])]),
        spec("numeric: integers", [numeric("x", dtype="int64", default_value=4)]),
        spec("numeric: double", [numeric("x", dtype="float64")]),
        spec("bucketized", [bucketized(numeric("x", default_value=1.0), [0.0, 2.0])]),
        spec("bucketized and its source", [number, bucketized(number, [0.0, 2.0])]),
        spec("identity", [identity("i", 5)]),
        spec("vocabulary list", [words("w", ["a", "b"])]),
        spec("vocabulary list: integers", [words("w", [3, 4])]),
        spec("vocabulary list: integers of 32 bits", [words("w", [3, 4], dtype="int32")]),
        spec("vocabulary file", [word_file("w")]),
        spec("vocabulary file: integers", [word_file("w", dtype="int64")]),
        spec("hash bucket", [town]),
        spec("hash bucket: integers", [hashed("town", 10, dtype="int64")]),
        spec("crossed", [crossed(["a", "b"], 10)]),
        spec("crossed: columns", [crossed(["a", identity("i", 5), bucketized(number, [1.0])], 10)]),
        spec("crossed: a cross", [crossed([crossed(["a", "b"], 10), "c"], 10)]),
        spec("crossed: a key twice", [crossed(["a", words("a", ["q"])], 10)]),
        spec("weighted", [weighted(town)]),
        spec("weighted: integers", [weighted(town, dtype="int64")]),
        spec("weighted by its own key", [weighted(town, "town")]),
        spec("indicator", [indicator(words("w", ["a", "b"]))]),
        spec("embedding", [embedding(town, 10)]),
        spec("embedding of a cross", [embedding(crossed(["a", "b"], 10), 10)]),
        spec("embedding of weights", [embedding(weighted(town), 10)]),
        spec("shared embeddings", [shared([hashed("from", 10), hashed("to", 10)], 10)]),
        spec("sequence: identity", [column("sequence_categorical_column_with_identity", key="i", num_buckets=5)]),
        spec("sequence: vocabulary list", [column("sequence_categorical_column_with_vocabulary_list", key="w", vocabulary_list=["a"])]),
        spec("sequence: vocabulary file", [column("sequence_categorical_column_with_vocabulary_file", key="w", vocabulary_file="words.txt")]),
        spec("sequence: hash bucket", [column("sequence_categorical_column_with_hash_bucket", key="w", hash_bucket_size=5)]),
        spec("sequence: numeric", [column("sequence_numeric_column", key="s", shape=[2])]),
        spec("sequence: embedding", [embedding(column("sequence_categorical_column_with_identity", key="i", num_buckets=5), 5)]),
        spec("no columns", []),
        spec("one feature read as numbers and as ids", [number, identity("x", 5)]),
        spec("one feature read with two defaults", [number, numeric("x", default_value=1.0)]),
        spec("one feature read twice alike", [town, indicator(town), crossed(["town", "b"], 10)]),
        spec("classifier", [number, town], "classifier_parse_example_spec", **label),
        spec("classifier: default", [number], "classifier_parse_example_spec", label_default=[1], **label),
        spec("classifier: names", [number], "classifier_parse_example_spec", label_dtype="string", **label),
        spec("classifier: weights", [number], "classifier_parse_example_spec", weight_column="w", **label),
        spec("classifier: weights with a default", [number], "classifier_parse_example_spec", weight_column=numeric("w", default_value=2.0), **label),
        spec("classifier: weights are a feature", [number], "classifier_parse_example_spec", weight_column="x", **label),
        spec("classifier: weights are the label", [number], "classifier_parse_example_spec", weight_column="y", **label),
        spec("classifier: weights are categories", [number], "classifier_parse_example_spec", weight_column=town, **label),
        spec("classifier: the label is a feature", [number], "classifier_parse_example_spec", label_key="x"),
        spec("regressor", [number, town], "regressor_parse_example_spec", **label),
        spec("regressor: several labels", [number], "regressor_parse_example_spec", label_dimension=3, label_default=[1.0, 2.0, 3.0], **label),
        spec("regressor: integers", [number], "regressor_parse_example_spec", label_dtype="int64", **label),
        spec("regressor: weights", [number], "regressor_parse_example_spec", weight_column="w", **label),
        spec("regressor: the label is a feature", [number], "regressor_parse_example_spec", label_key="x"),
    ]  # fmt: skip


def spec(
    name: str, columns: list[Case], function: str = "make_parse_example_spec", **arguments: Any
) -> Case:
    """A case with what TensorFlow answers."""
    place = tf.feature_column if function == "make_parse_example_spec" else tf.estimator
    start = {
        "name": name, "function": function, "columns": columns, "arguments": encoded(arguments)
    }  # fmt: skip
    listed: list[Any] = []
    for described in columns:
        made = built(described)
        listed += made if isinstance(made, list) else [made]
    try:
        actual = getattr(place, function)(
            listed, **{key: built(value, key) for key, value in arguments.items()}
        )
    except ValueError:
        return start | {"refused": True}
    return start | {"spec": {key: as_data(of_key) for key, of_key in actual.items()}}


def built(value: Any, argument: str = "") -> Any:
    """Columns and dtypes from how they are written; what a table holds does not matter here."""
    if argument == "initializer":
        return None
    if argument == "vocabulary_file":
        return WORDS[0]
    if "dtype" in argument:
        return tf.as_dtype(value)
    if isinstance(value, dict):
        arguments = {key: built(inner, key) for key, inner in value["arguments"].items()}
        return getattr(tf.feature_column, value["column"])(**arguments)
    return [built(inner) for inner in value] if isinstance(value, list) else value


def as_data(of_key: Any) -> Case:
    if isinstance(of_key, tf.io.VarLenFeature):
        return var(of_key.dtype.name)
    return fixed(of_key.dtype.name, of_key.shape, of_key.default_value)


# ---- files


def file_cases() -> list[Case]:
    records = [b"a", b"", bytes(range(256)) * 9, example(x=[1.0]), b"\x00" * 7]
    return [
        file("plain", "", records),
        file("gzip", "GZIP", records),
        file("zlib", "ZLIB", records),
        file("empty", "", []),
        file("empty, gzip", "GZIP", []),
        file("many records", "", [bytes([number]) * (number % 23) for number in range(200)]),
        file("examples", "", [example(x=[number / 2], n=[number], w=[b"w" * number]) for number in range(20)]),
    ]  # fmt: skip


def file(name: str, compression_type: str, records: list[bytes]) -> Case:
    """A TFRecord file as TensorFlow writes it."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file")
        with tf.io.TFRecordWriter(path, compression_type) as writer:
            for record in records:
                writer.write(record)
        content = Path(path).read_bytes()
    return {
        "name": name, "compression_type": compression_type, "content": encoded(content), "records": encoded(records)
    }  # fmt: skip


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        WORDS.append(os.path.join(folder, "words.txt"))
        Path(WORDS[0]).write_text("a\nb\n")
        with tf.Graph().as_default():  # shared embeddings need one
            specs = spec_cases()
    description = "What TensorFlow makes of serialized examples; see parse_example.py."
    write_json(
        __file__,
        {
            "description": description,
            "parsed": parsed_cases(),
            "specs": specs,
            "files": file_cases(),
        },
    )


if __name__ == "__main__":
    main()
