"""What is to be done to a program: edits of nodes, statements that go, and notes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import libcst as cst

from torchest.migrate.report import Note

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from torchest.migrate.references import Code, Reference

# what code refers to of Python's modules; modules that are imported as a whole
MODULES = (
    "absl.app",
    "absl.flags",
    "glob",
    "logging",
    "numpy",
    "os",
    "shutil",
    "torch",
    "torchest",
)


@dataclass
class Plan:
    """What is to be done to a program.

    Attributes:
        code: The program.
        edits: What is to become of nodes; functions of the node with its inner edits.
        removed: Statements that go.
        replaced: Statements of which others take the place.
        unwrapped: `with` statements of which the body stays.
        notes: What the report says.
        done: Nodes of references that have been dealt with.
        left: References that stay.
        needs: Modules to import.
        last: Edits of the whole program, after all others.
    """

    code: Code
    edits: dict[cst.CSTNode, list[Callable[[Any], cst.CSTNode]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    removed: set[cst.CSTNode] = field(default_factory=set)
    replaced: dict[cst.CSTNode, list[Any]] = field(default_factory=dict)
    unwrapped: set[cst.CSTNode] = field(default_factory=set)
    notes: list[Note] = field(default_factory=list)
    done: set[cst.CSTNode] = field(default_factory=set)
    left: list[Reference] = field(default_factory=list)
    needs: set[str] = field(default_factory=set)
    last: list[Callable[[cst.Module], cst.Module]] = field(default_factory=list)

    def edit(self, node: cst.CSTNode, change: Callable[[Any], cst.CSTNode]) -> None:
        """Plans an edit of a node."""
        self.edits[node].append(change)

    def note(self, node: cst.CSTNode, kind: str, text: str, name: str = "") -> None:
        """Adds a note about a node."""
        self.notes.append(Note(self.code.line(node), kind, text, name))

    def inside(self, node: cst.CSTNode) -> list[Reference]:
        """The references at and below a node that nothing has been done to."""
        nodes = self.code.every((cst.Name, cst.Attribute), node)
        references = (self.code.by_node.get(each) for each in nodes)
        return [each for each in references if each is not None and each.node not in self.done]

    def settle(self, node: cst.CSTNode, kind: str, text: str) -> None:
        """Says the same about all references at and below a node that nothing has been done to."""
        for reference in self.inside(node):
            self.done.add(reference.node)
            self.note(reference.node, kind, text, reference.path)

    def require(self, code: str) -> None:
        """Plans the imports of code that begins with a full name, such as "torch.nn.Linear"."""
        self.needs.update(
            module for module in MODULES if code == module or code.startswith(f"{module}.")
        )


class Edits(cst.CSTTransformer):
    """Carries a plan out."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._plan = plan

    def on_leave(self, original_node: cst.CSTNode, updated_node: Any) -> Any:  # noqa: D102
        updated = super().on_leave(original_node, updated_node)
        for change in self._plan.edits.get(original_node, ()):
            updated = change(updated)
        if isinstance(original_node, (cst.Module, cst.IndentedBlock)):
            return self._block(original_node, updated)
        return updated

    def _block(self, original: Any, updated: Any) -> Any:
        """A block without the statements that go; comments above them stay."""
        body: list[Any] = []
        above: Sequence[cst.EmptyLine] = ()
        for before, statement in zip(original.body, updated.body, strict=True):
            if before in self._plan.removed:
                above = _joined(above, statement.leading_lines)
                continue
            instead = self._plan.replaced.get(before, [before])
            inner = [statement if each is before else each for each in instead]
            inner[0] = inner[0].with_changes(leading_lines=statement.leading_lines)
            if before in self._plan.unwrapped:
                inner = _unwrapped(statement)
            if above:
                lines = _joined(above, inner[0].leading_lines)
                inner[0] = inner[0].with_changes(leading_lines=lines)
                above = ()
            body += inner
        if body and len(body) != len(original.body) and body[0] is not updated.body[0]:
            body[0] = body[0].with_changes(leading_lines=_trimmed(body[0].leading_lines))
        footer = [*(line for line in above if line.comment), *updated.footer]
        if not body and isinstance(updated, cst.IndentedBlock):
            body = [cst.parse_statement("pass")]
        return updated.with_changes(body=body, footer=footer)


def _joined(above: Sequence[cst.EmptyLine], lines: Sequence[cst.EmptyLine]) -> list[cst.EmptyLine]:
    """All comments of two blocks of lines, and the blank lines of one if there are no comments above."""
    if any(line.comment for line in above):
        return [*above, *lines]
    blank = next((place for place, line in enumerate(lines) if line.comment), len(lines))
    return [*(above if len(above) > blank else lines[:blank]), *lines[blank:]]


def _trimmed(lines: Sequence[cst.EmptyLine]) -> Sequence[cst.EmptyLine]:
    """Lines without blank ones at the beginning."""
    start = next((place for place, line in enumerate(lines) if line.comment), len(lines))
    return lines[start:]


def _unwrapped(statement: cst.With) -> list[Any]:
    """The statements of a `with`, with its comments above them."""
    block = statement.body
    body: list[Any] = list(block.body)
    lines = list(statement.leading_lines)
    if isinstance(block, cst.IndentedBlock) and block.header.comment:
        lines.append(cst.EmptyLine(comment=block.header.comment))
    body[0] = body[0].with_changes(leading_lines=[*lines, *body[0].leading_lines])
    return body


def without(call: cst.Call, places: Collection[int]) -> cst.Call:
    """A call without some of its arguments."""
    kept = [argument for place, argument in enumerate(call.args) if place not in places]
    if kept and len(call.args) - 1 in places:
        last = call.args[-1]
        kept[-1] = kept[-1].with_changes(
            comma=last.comma, whitespace_after_arg=last.whitespace_after_arg
        )
    return call.with_changes(args=kept)
