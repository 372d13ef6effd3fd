"""Counts the lines of the library: all of them, and those of what `tf.estimator` itself covers.

python benchmarks/lines.py
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parent.parent / "torchest"
# Estimators with their heads and hooks, runs, warm starts, exporters and receivers: not columns, input, metrics,
# optimizers, checkpoints, strategies, formats of exports and serving, which TensorFlow has elsewhere.
OF_TF_ESTIMATOR = (
    "canned",
    "engine",
    "estimator",
    "experimental",
    "export/receivers.py",
    "export_outputs.py",
    "heads",
    "hooks",
    "keys.py",
    "models",
    "modes",
    "run_config.py",
    "spec.py",
    "train_evaluate",
    "warm_start",
)


def lines(place: Path) -> int:
    """The lines of a module, or of all modules in a folder."""
    modules = place.rglob("*.py") if place.is_dir() else [place]
    return sum(len(module.read_text(encoding="utf-8").splitlines()) for module in modules)


def main() -> None:
    """Prints the lines of each part, and both sums."""
    counts = {name: lines(ROOT / name) for name in OF_TF_ESTIMATOR}
    for name, count in counts.items():
        print(f"  {name:20} {count:7,}")
    print(f"of tf.estimator itself {sum(counts.values()):7,}")
    print(f"the library            {lines(ROOT):7,}")


if __name__ == "__main__":
    main()
