"""The names of variables in an object-based checkpoint, which stores them by the path of attributes that leads to them.

    net/hidden/kernel/.ATTRIBUTES/VARIABLE_VALUE     the key of a variable whose name is dense/kernel

Format: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/protobuf/trackable_object_graph.proto
"""

from __future__ import annotations

from collections import Counter

from torchest.checkpoint.tensorflow.wire_format import Message

KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"  # of the graph in a checkpoint


def names_in(graph: bytes) -> dict[str, str]:
    """The names of variables by their keys; without names that several variables have.

    Args:
        graph: A serialized TrackableObjectGraph.

    Raises:
        ValueError: It is not one.
    """
    names = {
        attribute.text(3): attribute.text(2)
        for node in Message(graph).messages(1)
        for attribute in node.messages(2)
    }
    counts = Counter(names.values())
    return {key: name for key, name in names.items() if name and counts[name] == 1}
