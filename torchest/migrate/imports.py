"""The import statements of a program: TensorFlow's go if nothing uses them any more, torchest's come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import libcst as cst

from torchest.migrate.references import ROOT, dotted, every
from torchest.migrate.report import BY_HAND, CHANGED, see

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torchest.migrate.plan import Plan


def imported(module: cst.Module) -> dict[str, str]:
    """The modules that a program imports as a whole at its top level, by the names that it gives them."""
    names: dict[str, str] = {}
    for line in module.body:
        for statement in (
            getattr(line, "body", ()) if isinstance(line, cst.SimpleStatementLine) else ()
        ):
            if isinstance(statement, cst.Import):
                for alias in statement.names:
                    name = dotted(alias.name)
                    names[dotted(alias.asname.name) if alias.asname else name] = name
    return names


def bound_otherwise(module: cst.Module) -> set[str]:
    """The names that a program gives to anything but a module imported as a whole."""
    names: set[str] = set()
    for node in every(
        module, (cst.AssignTarget, cst.AnnAssign, cst.For, cst.AsName, cst.NamedExpr)
    ):
        target = getattr(node, "target", None) or node.name  # type: ignore[attr-defined]
        names.update(each.value for each in every(target, cst.Name))  # type: ignore[attr-defined]
    for node in every(module, (cst.FunctionDef, cst.ClassDef, cst.Param)):
        names.add(node.name.value)  # type: ignore[attr-defined]
    for node in every(module, cst.ImportFrom):
        aliases = node.names if not isinstance(node.names, cst.ImportStar) else ()  # type: ignore[attr-defined]
        names.update(dotted(alias.asname.name if alias.asname else alias.name) for alias in aliases)
    return names - set(imported(module))


def edit_imports(plan: Plan) -> None:
    """Plans the edits of import statements; all other edits are planned."""
    used = {reference.alias for reference in plan.left}
    first: cst.CSTNode | None = None
    for statement in plan.code.every((cst.Import, cst.ImportFrom)):
        if not _imports_tensorflow(statement):
            continue
        line = plan.code.parent(statement)
        if isinstance(line, cst.SimpleStatementLine) and plan.code.parent(line) is plan.code.module:
            first = first or line
        _edit(plan, statement, used)
    _add(plan, first)


def _imports_tensorflow(node: cst.CSTNode) -> bool:
    if isinstance(node, cst.ImportFrom):
        return not node.relative and dotted(node.module).partition(".")[0] == ROOT
    assert isinstance(node, cst.Import)
    return any(dotted(alias.name).partition(".")[0] == ROOT for alias in node.names)


def _edit(plan: Plan, statement: cst.CSTNode, used: set[str]) -> None:
    names = statement.names  # type: ignore[attr-defined]
    if isinstance(names, cst.ImportStar):
        text = "from tensorflow import * hides which names are TensorFlow's: import them by name."
        plan.note(statement, BY_HAND, text)
        return
    gone = [alias for alias in names if _is_gone(statement, alias, used)]
    if len(gone) < len(names):
        if any(_of_tensorflow(statement, alias) for alias in names if alias not in gone):
            text = "the import of TensorFlow stays until the names that are left are replaced."
            plan.note(statement, BY_HAND, text + see("by-hand"))
        if gone:
            plan.edit(statement, lambda updated: _remaining(updated, statement, gone))
        return
    line = plan.code.parent(statement)
    if isinstance(line, cst.SimpleStatementLine) and len(line.body) == 1:
        plan.removed.add(line)
    else:
        plan.edit(statement, lambda _: cst.Pass())
    plan.note(statement, CHANGED, "the import of TensorFlow is removed.")


def _of_tensorflow(statement: cst.CSTNode, alias: cst.ImportAlias) -> bool:
    return isinstance(statement, cst.ImportFrom) or dotted(alias.name).partition(".")[0] == ROOT


def _is_gone(statement: cst.CSTNode, alias: cst.ImportAlias, used: set[str]) -> bool:
    name = dotted(alias.asname.name) if alias.asname else dotted(alias.name).partition(".")[0]
    return _of_tensorflow(statement, alias) and name not in used


def _remaining(updated: Any, statement: Any, gone: list[cst.ImportAlias]) -> cst.CSTNode:
    pairs = zip(statement.names, updated.names, strict=True)
    kept = [after for before, after in pairs if before not in gone]
    kept[-1] = kept[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
    changed: cst.CSTNode = updated.with_changes(names=kept)
    return changed


def _add(plan: Plan, first: cst.CSTNode | None) -> None:
    there = set(imported(plan.code.module).values())
    wanted = sorted(plan.needs - there)
    if not wanted:
        return
    new = [cst.parse_statement(f"import {module}") for module in wanted]
    if first is None:
        plan.last.append(lambda updated: _inserted(updated, new))
    elif first in plan.removed:
        plan.removed.remove(first)
        plan.replaced[first] = new
    else:
        plan.replaced[first] = [first, *new]


def _inserted(module: cst.Module, new: Sequence[Any]) -> cst.Module:
    """A module with imports below its docstring and its imports of __future__."""
    place = 0
    for line in module.body:
        inner = line.body[0] if isinstance(line, cst.SimpleStatementLine) else None
        is_future = isinstance(inner, cst.ImportFrom) and dotted(inner.module) == "__future__"
        is_text = isinstance(inner, cst.Expr) and isinstance(inner.value, cst.SimpleString)
        if not is_future and not is_text:
            break
        place += 1
    return module.with_changes(body=[*module.body[:place], *new, *module.body[place:]])
