"""Imports inside torchest go one way: a folder imports from itself and from folders of earlier lines."""

from __future__ import annotations

import ast
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
# Modules at the root of the package count as folders. `columns` is its host half, without layers and reports.
LINES = (
    "collector",
    "errors keys version kernels",
    "utils",
    "exported checkpoint losses optimizers migrate",
    "metrics columns serving export_outputs",
    "inputs spec columns.layers",
    "models heads distributed summary columns.report",
    "run_config distribute",
    "engine",
    "hooks warm_start",
    "modes",
    "export",
    "estimator",
    "canned train_evaluate command_line",
    "experimental",
    "v1",
)
RANK_OF = {folder: rank for rank, line in enumerate(LINES) for folder in line.split()}
FACADES = (
    "torchest",
    "torchest.__main__",
    "torchest.api",
    "torchest.distribute.experimental",
    "torchest.feature_column",
    "torchest.v1.estimator",
)
MODULES = sorted(path for path in (ROOT / "torchest").rglob("*.py"))


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def folder_of(module: str) -> str:
    """The folder of a module, or the module itself at the root, as `LINES` has it."""
    parts = module.split(".")[1:]
    return ".".join(parts[:2]) if ".".join(parts[:2]) in RANK_OF else parts[0]


def rank_of(module: str) -> int:
    """The line of a module's folder; facades, which only import public names, are above all."""
    if module.endswith(".__init__") or module in FACADES:
        return len(LINES)
    folder = folder_of(module)
    assert folder in RANK_OF, (
        f"{module} has no rank: add {folder} to LINES in {Path(__file__).name}."
    )
    return RANK_OF[folder]


def imported_modules(path: Path) -> set[str]:
    """The torchest modules that a module imports, when it is run or for its types."""
    names: set[str] = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                place = ROOT / inner.replace(".", "/")
                names.add(
                    inner if place.is_dir() or place.with_suffix(".py").exists() else node.module
                )
    return {name for name in names if name.split(".")[0] == "torchest"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_to_earlier_lines(path):
    module = name_of(path)
    rank, folder = rank_of(module), folder_of(module)
    wrong = {
        name
        for name in imported_modules(path)
        if rank_of(name) >= rank and folder_of(name) != folder and rank < len(LINES)
    }
    assert not wrong, f"{module} is on line {rank + 1}"


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


def test_the_root_has_few_modules():
    assert len(list((ROOT / "torchest").glob("*.py"))) <= 15


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


# TensorFlow's keywords, operators whose arguments torch fixes, and loops that numba compiles
TAKE_MANY = {
    "canned/": {"__init__", "model_to_estimator"},
    "columns/embedding.py": {"embedding_column", "shared_embeddings"},
    "experimental/rnn.py": {"__init__"},
    "export/": {"recurrent", "_"},
    "heads/": {"create_estimator_spec", "__init__"},
    "hooks/checkpoint_saver.py": {"__init__"},
    "inputs/": {
        "make_batched_features_dataset",
        "make_csv_dataset",
        "make_parquet_dataset",
        "pandas_input_fn",
    },
    "kernels/": {"_adam", "_ftrl", "adam_of_rows", "adam_of_vectors", "ftrl_of_rows"},
    "optimizers/ftrl.py": {"__init__"},
    "v1/": {"__init__"},
    "spec.py": {"__new__"},
}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_functions_take_at_most_seven_parameters(path):
    place = path.relative_to(ROOT / "torchest").as_posix()
    allowed = set().union(*(names for start, names in TAKE_MANY.items() if place.startswith(start)))
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name not in allowed:
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            names = [each.arg for each in arguments if each.arg not in ("self", "cls")]
            assert len(names) <= 7, f"{node.name} in line {node.lineno} takes {', '.join(names)}"
