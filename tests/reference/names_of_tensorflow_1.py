"""Writes the names that TensorFlow 1 has and TensorFlow 2 has not, by which `torchest migrate` tells programs apart.

python tests/reference/names_of_tensorflow_1.py > torchest/migrate/only_in_tensorflow_1.txt
"""

import functools

import tensorflow as tf

MODULES = (
    "", "data", "data.experimental", "distribute", "estimator", "estimator.export", "feature_column", "image",
    "initializers", "io", "losses", "math", "metrics", "nn", "random", "saved_model", "sparse", "strings", "summary",
    "train",
)  # fmt: skip


def module(root, path):
    return functools.reduce(getattr, filter(None, path.split(".")), root)


def main():
    print("tf.contrib")
    for path in MODULES:
        old, new = module(tf.compat.v1, path), module(tf, path)
        for name in sorted(dir(old)):
            if not name.startswith("_") and not hasattr(new, name):
                print(".".join(filter(None, ("tf", path, name))))


if __name__ == "__main__":
    main()
