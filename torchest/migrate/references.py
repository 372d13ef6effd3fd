"""Where a program uses names of TensorFlow, under whatever alias it imported them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import libcst as cst
from libcst.metadata import (
    ExpressionContext,
    ExpressionContextProvider,
    MetadataWrapper,
    ParentNodeProvider,
    PositionProvider,
    QualifiedNameProvider,
    QualifiedNameSource,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = "tensorflow"
_OLD, _NEW = ("compat", "v1"), ("compat", "v2")


@dataclass(frozen=True)
class Reference:
    """A use of a name of TensorFlow.

    Attributes:
        node: The whole chain of attributes, such as `tf.train.AdamOptimizer`.
        path: TensorFlow's name of it, without `compat.v1`: "tf.train.AdamOptimizer".
        is_old: Whether it comes from `tf.compat.v1` or `tf.contrib`.
        is_explicit: Whether the program writes `compat.v1` where it uses the name.
        alias: The name in the program that it begins with.
        line: The number of its line.
    """

    node: cst.Name | cst.Attribute
    path: str
    is_old: bool
    is_explicit: bool
    alias: str
    line: int


class Code:
    """A parsed program, with positions, parents and the meaning of names."""

    def __init__(self, module: cst.Module) -> None:
        wrapper = MetadataWrapper(module)
        self.module = wrapper.module
        self._lines = wrapper.resolve(PositionProvider)
        self._parents = wrapper.resolve(ParentNodeProvider)
        self._meanings = wrapper.resolve(QualifiedNameProvider)
        self._contexts = wrapper.resolve(ExpressionContextProvider)
        self._order = _listed(self.module)
        self._spans = {node: (place, end) for place, (node, end) in enumerate(self._order)}
        self.references = tuple(self._find())
        self.by_node = {reference.node: reference for reference in self.references}

    def line(self, node: cst.CSTNode) -> int:
        """The number of a node's first line."""
        return int(self._lines[node].start.line)

    def parent(self, node: cst.CSTNode) -> cst.CSTNode | None:
        """The node around a node; None for the module."""
        return self._parents.get(node)

    def every(self, kinds: type | tuple[type, ...], node: cst.CSTNode | None = None) -> list[Any]:
        """All nodes of some kinds at and below a node, or of the program, in its order."""
        start, end = self._spans[node or self.module]
        return [each for each, _ in self._order[start:end] if isinstance(each, kinds)]

    def uses(self, prefixes: tuple[str, ...], node: cst.CSTNode | None = None) -> bool:
        """Whether a name at or below a node, or in the program, begins with one of some names of torchest."""
        return any(dotted(each).startswith(prefixes) for each in self.every(cst.Attribute, node))

    def around(self, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
        """The nodes around a node, the nearest first."""
        parent = self.parent(node)
        while parent is not None:
            yield parent
            parent = self.parent(parent)

    def call_of(self, reference: Reference) -> cst.Call | None:
        """The call of which a reference is the function."""
        parent = self.parent(reference.node)
        return parent if isinstance(parent, cst.Call) and parent.func is reference.node else None

    def path_of(self, node: cst.CSTNode) -> str:
        """TensorFlow's name of a call's function or of a chain; "" if it is none."""
        if isinstance(node, cst.Call):
            node = node.func
        reference = self.by_node.get(node)  # type: ignore[call-overload]
        return reference.path if reference else ""

    def _find(self) -> Iterator[Reference]:
        for node in self.every((cst.Name, cst.Attribute)):
            if isinstance(self.parent(node), cst.Attribute) and self.parent(node).value is node:  # type: ignore[union-attr]
                continue  # a part of a longer chain
            if not self._is_use(node):
                continue
            root = root_of(node)
            meaning = self._meaning(node)
            if root and meaning:
                path, is_old = _path(meaning)
                is_explicit = ".compat.v1." in f".{dotted(node)}."
                yield Reference(node, path, is_old, is_explicit, root, self.line(node))

    def _is_use(self, node: cst.CSTNode) -> bool:
        if any(isinstance(each, (cst.Import, cst.ImportFrom)) for each in self.around(node)):
            return False
        return self._contexts.get(node) is ExpressionContext.LOAD

    def _meaning(self, node: cst.CSTNode) -> str:
        """The imported name that a chain stands for."""
        names = self._meanings.get(node, ())
        names = (
            names() if callable(names) else names
        )  # libcst may compute them when they are asked for
        imported = sorted(
            each.name
            for each in names
            if each.source is QualifiedNameSource.IMPORT and _is_tensorflow(each.name)
        )
        return imported[0] if imported else ""  # "compat.v1" comes before other names


def every(node: cst.CSTNode, kinds: type | tuple[type, ...]) -> list[cst.CSTNode]:
    """All nodes of some kinds at and below a node, in the order of the program."""
    result = [node] if isinstance(node, kinds) else []
    for child in node.children:
        result += every(child, kinds)
    return result


def _listed(root: cst.CSTNode) -> list[tuple[cst.CSTNode, int]]:
    """All nodes in the order of the program, each with the place after the last node below it."""
    result: list[tuple[cst.CSTNode, int]] = []

    def visit(node: cst.CSTNode) -> None:
        place = len(result)
        result.append((node, 0))
        for child in node.children:
            visit(child)
        result[place] = (node, len(result))

    visit(root)
    return result


def root_of(node: cst.CSTNode) -> str:
    """The name that a chain of attributes begins with; "" if it begins with anything else."""
    while isinstance(node, cst.Attribute):
        node = node.value
    return node.value if isinstance(node, cst.Name) else ""


def dotted(node: cst.CSTNode | None) -> str:
    """A chain of names as text; "" if it is none."""
    if isinstance(node, cst.Attribute):
        left = dotted(node.value)
        return f"{left}.{node.attr.value}" if left else ""
    return node.value if isinstance(node, cst.Name) else ""


def _is_tensorflow(name: str) -> bool:
    return name == ROOT or name.startswith(f"{ROOT}.")


def _path(meaning: str) -> tuple[str, bool]:
    parts = tuple(meaning.split(".")[1:])
    is_old = parts[:2] == _OLD or parts[:1] == ("contrib",)
    if parts[:2] in (_OLD, _NEW):
        parts = parts[2:]
    return ".".join(["tf", *parts]), is_old
