"""Imports inside torchest go one way: a module imports from lower ranks, or from its own without a cycle."""

from __future__ import annotations

import ast
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
RANKS = {
    0: (
        "arguments arrays arrow_types checksums copy_stream errors files freed_memory golden host_copies "
        "indexed_strings json_form kernels keys missing_names nested_state onnx_session predicted_text random_state "
        "serving tensorflow_names tracing trainer_lock version"
    ),
    1: (
        "checkpoint checkpoint_index checkpoint_state checkpoints columns distributed evaluation_record "
        "export_outputs exported_weights inputs losses metric_values metrics optimizers scaffold spec summary "
        "torch_metrics vocabulary_move warm_start_settings"
    ),
    2: "columns.layers columns.table columns.table_groups heads models",
    3: "execution feed model_fn model_check object_state run_config scope warm_slots warm_start",
    4: "accumulation hooks.base hooks.fetches hooks.timer loop non_finite prediction running_model step_values "
    "termination train_step training_run",
    5: "evaluation export hooks run_specs training warm_model",
    6: "estimator",
    7: (
        "__main__ canned command_line evaluator evaluator_task experimental extenders "
        "module_estimator train_evaluate"
    ),
}
FACADE = 8
FACADES = ("torchest", "torchest.api", "torchest.feature_column")
RANK_OF = {f"torchest.{name}": rank for rank, names in RANKS.items() for name in names.split()}
MODULES = sorted(path for path in (ROOT / "torchest").rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts)


def rank_of(module: str) -> int:
    """The rank of a module, or of the nearest package above it that has one."""
    if module.endswith(".__init__") or module in FACADES:
        return FACADE
    parts = module.split(".")
    for length in range(len(parts), 1, -1):
        rank = RANK_OF.get(".".join(parts[:length]))
        if rank is not None:
            return rank
    raise AssertionError(f"{module} has no rank: add it to the table in {Path(__file__).name}.")


def imported_modules(path: Path) -> set[str]:
    """The torchest modules that a module imports when it is imported or run, types left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                is_module = (ROOT / inner.replace(".", "/")).with_suffix(".py").exists()
                is_package = (ROOT / inner.replace(".", "/")).is_dir()
                found.add(inner if is_module or is_package else node.module)
    return {name for name in found if name.split(".")[0] == "torchest"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_to_lower_ranks(path):
    rank = rank_of(name_of(path))
    too_high = {name: rank_of(name) for name in imported_modules(path) if rank_of(name) > rank}
    assert not too_high, f"{name_of(path)} has rank {rank}"


def test_there_is_no_import_cycle():
    graph = {name_of(path).removesuffix(".__init__"): imported_modules(path) for path in MODULES}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module not in done:
            for imported in graph.get(module, ()):
                visit(imported, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_no_module_hides_the_function_that_it_gives():
    # torchest.name is the module, once it is imported: call the module of train_and_evaluate another name
    import torchest.api as public

    hidden = {name for name in public.__all__ if f"torchest.{name}" in map(name_of, MODULES)}
    assert [name for name in hidden if not isinstance(getattr(public, name), ModuleType)] == []


def looks_into(path: Path) -> bool:
    """Whether a module only looks whether pickles hold more than tensors."""
    return path.name == "archives.py" and path.read_text().count(
        "torch.load("
    ) == path.read_text().count("weights_only=True")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_is_pickled(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    used = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not used & {"torch.save", "torch.load"} - ({"torch.load"} if looks_into(path) else set())
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            assert "pickle" not in ast.unparse(node)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_needs_remote_procedure_calls(path):
    assert "distributed.rpc" not in path.read_text(encoding="utf-8")
