"""Writes the public names of the modules that docs/migrating_names.md is about.

python tests/reference/names_of_modules.py > tests/reference/names_of_modules.txt
"""

import functools

import tensorflow as tf

MODULES = (
    "data", "data.experimental", "estimator", "estimator.experimental", "estimator.export", "estimator.inputs",
    "feature_column", "io", "metrics", "train",
)  # fmt: skip


def main():
    for path in MODULES:
        names = set()
        for root in (tf, tf.compat.v1):
            try:
                names |= set(dir(functools.reduce(getattr, path.split("."), root)))
            except AttributeError:
                continue
        for name in sorted(names):
            module = f"{path}.{name}"
            if not name.startswith("_") and module not in MODULES and name != "initialize":
                print(f"tf.{module}")


if __name__ == "__main__":
    main()
