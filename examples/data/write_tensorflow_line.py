"""Writes tensorflow_line/: an object-based checkpoint of TensorFlow, and what its model answers.

    python examples/data/write_tensorflow_line.py     # in an environment with TensorFlow 2.15

The net has one dense layer of five outputs, and learns to multiply its input by 1, 2, 3, 4 and 5. `answers.json` has
inputs [4, 1] and its outputs [4, 5].
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import tensorflow as tf

FOLDER = Path(__file__).parent / "tensorflow_line"
STEPS = 100


class Net(tf.keras.Model):
    """One dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = tf.keras.layers.Dense(5)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """The outputs [rows, 5] of inputs [rows, 1]."""
        return self.layer(x)


def main() -> None:
    """Trains, saves and answers."""
    tf.keras.utils.set_random_seed(1)
    net, optimizer = Net(), tf.keras.optimizers.legacy.Adam(0.1)
    checkpoint = tf.train.Checkpoint(
        step=tf.Variable(STEPS, dtype=tf.int64), optimizer=optimizer, net=net
    )
    x = tf.reshape(tf.range(10.0), [10, 1])
    for _ in range(STEPS):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((net(x) - x * tf.range(1.0, 6.0)) ** 2)
        gradients = tape.gradient(loss, net.trainable_variables)
        optimizer.apply_gradients(zip(gradients, net.trainable_variables, strict=True))
    os.chdir(FOLDER)
    checkpoint.write(f"model.ckpt-{STEPS}")
    asked = tf.constant([[-2.0], [0.5], [3.0], [20.0]])
    answers = {"inputs": asked.numpy().tolist(), "outputs": net(asked).numpy().tolist()}
    Path("answers.json").write_text(json.dumps(answers, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
