"""ONNX nodes written as expressions.

>>> nodes = Nodes()
>>> x = nodes.input("x", DOUBLE, ("batch",))
>>> shifted = nodes.op("Add", x, nodes.constant(1.0, DOUBLE))
>>> [node.op_type for node in nodes.list]
['Add']
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import onnx_ir as ir

from torchest.export.onnx.older_runtimes import mend

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from torchest.columns.onnx_graph import OnnxAttribute, OnnxDtype
    from torchest.utils.arrays import NumpyArray

Value: TypeAlias = ir.Value

BOOL, FLOAT, DOUBLE = ir.DataType.BOOL, ir.DataType.FLOAT, ir.DataType.DOUBLE
INT32, INT64 = ir.DataType.INT32, ir.DataType.INT64
UINT32, UINT64 = ir.DataType.UINT32, ir.DataType.UINT64
STRING = ir.DataType.STRING

# The oldest operator set with bitwise operators.
OPSETS = {"": 18, "ai.onnx.ml": 2, "com.microsoft": 1}
IR_VERSION = 8
# The oldest onnxruntime with all operators for the dtypes in files; `make runtimes` tries it.
LEAST_ONNXRUNTIME = "1.20"
ML = "ai.onnx.ml"
MICROSOFT = "com.microsoft"


class Nodes:
    """The nodes and constants of a graph that is being built.

    Args:
        prefix: The prefix of the names of values.

    Attributes:
        list: The nodes.
        inputs: The inputs of the graph by name.
    """

    def __init__(self, prefix: str = "") -> None:
        self.list: list[ir.Node] = []
        self.inputs: dict[str, Value] = {}
        self._prefix = prefix
        self._constants: dict[tuple[object, ...], Value] = {}
        self._parameters: list[Value] = []
        self._parts: list[Nodes] = []
        self._root = self

    @property
    def initializers(self) -> list[Value]:
        """The constants, and the parameters of models."""
        return [*self._constants.values(), *self._parameters]

    def input(self, name: str, dtype: ir.DataType, shape: Sequence[int | str | None]) -> Value:
        """An input of the graph."""
        value = ir.Value(name=name, type=ir.TensorType(dtype), shape=ir.Shape(shape))
        self.inputs[name] = value
        return value

    def constant(self, value: npt.ArrayLike, dtype: OnnxDtype = INT64) -> Value:
        """A constant; equal ones are one."""
        dtype = dtype_of(dtype)
        array = np.asarray(value, object if dtype == STRING else dtype.numpy())
        content = tuple(array.reshape(-1).tolist()) if dtype == STRING else array.tobytes()
        key = (dtype, array.shape, content)
        if key not in self._constants:
            name = f"{self._root._prefix}constant_{len(self._constants)}"
            self._constants[key] = ir.Value(
                name=name,
                type=ir.TensorType(dtype),
                shape=ir.Shape(array.shape),
                const_value=_tensor(array),
            )
        return self._constants[key]

    def op(
        self, kind: str, *inputs: Value | None, domain: str = "", **attributes: OnnxAttribute
    ) -> Value:
        """Adds a node with one output, and returns the output."""
        return self.ops(kind, *inputs, outputs=1, domain=domain, **attributes)[0]

    def ops(
        self,
        kind: str,
        *inputs: Value | None,
        outputs: int,
        domain: str = "",
        **attributes: OnnxAttribute,
    ) -> list[Value]:
        """Adds a node, and returns its outputs."""
        name = f"{self._prefix}{kind}_{len(self.list)}"
        node = ir.node(kind, inputs, attributes, domain=domain, num_outputs=outputs, name=name)
        for value in node.outputs:
            value.name = f"{name}_{value.index()}"
        self.list.append(node)
        return list(node.outputs)

    def inline(
        self, model: ir.Model, inputs: Sequence[Value], prefix: str, names: Mapping[str, str]
    ) -> list[Value]:
        """Adds the nodes of a model, and returns the model's outputs.

        Args:
            model: The model.
            inputs: The values that replace its inputs.
            prefix: The prefix for the names of its values.
            names: New names for its parameters.
        """
        graph = model.graph
        for replaced, value in zip(list(graph.inputs), inputs, strict=True):
            ir.convenience.replace_all_uses_with(replaced, value, replace_graph_outputs=True)
        for node in list(graph.all_nodes()):
            mend(node)
        nodes, outputs = list(graph), list(graph.outputs)
        parameters = list(graph.initializers.values())
        graph.outputs.clear()
        graph.initializers.clear()
        graph.remove(nodes)
        for parameter in parameters:
            parameter.name = names.get(str(parameter.name), f"{prefix}{parameter.name}")
        for node in nodes:
            node.name = None  # names of nodes must differ, too
            for value in node.outputs:
                value.name = f"{prefix}{value.name}"
        self.list += nodes
        self._parameters += parameters
        return outputs

    # ---- branches and loops

    def branch(self) -> Nodes:
        """The nodes of a part of the graph, which shares its constants."""
        inner = Nodes(f"{self._prefix}{len(self.list)}.{len(self._parts)}.")
        inner._constants = self._constants
        inner._root = self._root
        self._parts.append(inner)
        return inner

    def choose(
        self, condition: Value, then: tuple[Nodes, list[Value]], other: tuple[Nodes, list[Value]]
    ) -> list[Value]:
        """The values of `then` if the condition holds, else those of `other`."""
        return self.ops(
            "If",
            condition,
            outputs=len(then[1]),
            then_branch=_graph(*then),
            else_branch=_graph(*other),
        )

    def loop(
        self,
        times: Value,
        state: list[Value],
        step: Callable[[Nodes, Value, list[Value]], list[Value]],
    ) -> list[Value]:
        """Repeats a step.

        Args:
            times: The number of steps.
            state: The values before the first step.
            step: Makes new values, with nodes of a part, from the number of the step and the values.

        Returns:
            The values after the last step.
        """
        body, index, going = self._body()
        before = [
            body.input(f"{body._prefix}{place}", UINT64, (None,)) for place in range(len(state))
        ]
        after = step(body, index, before)
        graph = _graph(body, [body.op("Identity", going), *after])
        return self.ops("Loop", times, None, *state, outputs=len(state), body=graph)

    def stacked(self, times: Value, make: Callable[[Nodes, Value], Value]) -> Value:
        """Stacks the values of steps.

        Args:
            times: The number of steps.
            make: Makes a value, always of the same shape, with nodes of a part, from the number of the step.
        """
        body, index, going = self._body()
        made = make(body, index)
        graph = _graph(body, [body.op("Identity", going), made])
        return self.op("Loop", times, None, body=graph)

    def _body(self) -> tuple[Nodes, Value, Value]:
        """The body of a loop, with the inputs for the step number and the condition."""
        body = self.branch()
        index = body.input(f"{body._prefix}index", INT64, ())
        return body, index, body.input(f"{body._prefix}going", BOOL, ())

    # ---- common expressions

    def cast(self, value: Value, dtype: OnnxDtype) -> Value:
        """The numbers in another dtype, or as text."""
        dtype = dtype_of(dtype)
        cast = self.op("Cast", value, to=dtype)
        cast.type = ir.TensorType(dtype)
        return cast

    def equal(self, value: Value, constant: npt.ArrayLike, dtype: OnnxDtype = INT64) -> Value:
        """Where a value is equal to a constant."""
        return self.op("Equal", value, self.constant(constant, dtype))

    def flat(self, value: Value) -> Value:
        """The values in one dimension."""
        return self.op("Reshape", value, self.constant([-1]))

    def at(self, values: Value, places: Value) -> Value:
        """Values [n] at places [m], as [m]. Gather does the same three times slower."""
        return self.op("GatherElements", values, places, axis=0)

    def in_shape_of(self, value: Value, other: Value) -> Value:
        """The values in the shape of other values of the same number."""
        return self.op("Reshape", value, self.op("Shape", other), allowzero=1)

    def any_of_row(self, condition: Value) -> Value:
        """Whether a condition [batch, n] holds anywhere in a row, [batch]."""
        counted = self.op("ReduceSum", self.cast(condition, INT64), self.constant([1]), keepdims=0)
        return self.op("Greater", counted, self.constant(0))


def _tensor(array: NumpyArray) -> ir.TensorProtocol:
    if array.dtype != object:
        return ir.Tensor(array)
    encoded = [text if isinstance(text, bytes) else text.encode() for text in array.reshape(-1)]
    return ir.StringTensor(encoded, shape=ir.Shape(array.shape))


def _graph(part: Nodes, outputs: list[Value]) -> ir.Graph:
    return ir.Graph(list(part.inputs.values()), outputs, nodes=part.list, name="part")


def dtype_of(dtype: OnnxDtype) -> ir.DataType:
    """The dtype of ONNX."""
    if isinstance(dtype, ir.DataType):
        return dtype
    if dtype == "string":
        return STRING
    return ir.DataType[_NAMES[str(dtype).removeprefix("torch.")]]


_NAMES = {
    "bool": "BOOL", "int8": "INT8", "int16": "INT16", "int32": "INT32", "int64": "INT64",
    "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64",
    "float16": "FLOAT16", "bfloat16": "BFLOAT16", "float32": "FLOAT", "float64": "DOUBLE",
}  # fmt: skip
