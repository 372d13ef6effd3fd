"""Write users_hooks.json: what five hooks as users write them for tf.estimator see of two runs.

The hooks fetch tensors by name. `examples/users_hooks.py` has the same hooks for torchest, where only the
import and the names of what they fetch differ.

A run fits y = w · x from w = 0 on one batch, by gradient descent whose learning rate halves every five steps.
"runs" are two: "listener" ends by what BestCheckpointListener returns, "loss" by what StopAtLossHook asks for. Each has
"losses", "norms" by step, "rates", the "calls" and the "best" of the listener, and "last_step", the global step at the
end.
"""

from __future__ import annotations

import tempfile
import time

import tensorflow as tf
from tensorflow import estimator
from write_json import write_json

v1 = tf.compat.v1


class StepTimeHook(estimator.SessionRunHook):
    """Measures how long steps take, without the first one."""

    def __init__(self):
        self.seconds = []

    def begin(self):
        self._count = 0

    def before_run(self, run_context):
        self._start = time.time()

    def after_run(self, run_context, run_values):
        self._count += 1
        if self._count > 1:
            self.seconds.append(time.time() - self._start)

    def end(self, session):
        mean = sum(self.seconds) / max(len(self.seconds), 1)
        print(f"{self._count} steps, {1000 * mean:.2f} ms each")


class GradientNormHook(estimator.SessionRunHook):
    """Keeps the norm of the gradient of every step, and prints those that are large."""

    def __init__(self, limit):
        self._limit = limit
        self.norms = {}

    def before_run(self, run_context):
        return estimator.SessionRunArgs({"norm": "gradient_norm:0", "step": "step:0"})

    def after_run(self, run_context, run_values):
        norm, step = run_values.results["norm"], run_values.results["step"]
        self.norms[int(step)] = float(norm)
        if norm > self._limit:
            print(f"step {step}: gradient norm {norm:.4f}")


class LearningRateHook(estimator.SessionRunHook):
    """Prints the learning rate every so many steps."""

    def __init__(self, every_n_steps):
        self._timer = estimator.SecondOrStepTimer(every_steps=every_n_steps)
        self.rates = []

    def begin(self):
        self._timer.reset()
        self._step = 0

    def before_run(self, run_context):
        if self._timer.should_trigger_for_step(self._step):
            return estimator.SessionRunArgs(["learning_rate:0"])
        return None

    def after_run(self, run_context, run_values):
        if run_values.results is not None:
            self._timer.update_last_triggered_step(self._step)
            (rate,) = run_values.results
            self.rates.append(float(rate))
            print(f"learning rate {rate:.6f}")
        self._step += 1


class StopAtLossHook(estimator.SessionRunHook):
    """Ends training when the loss has been below a target for some steps in a row."""

    def __init__(self, target, patience):
        self._target = target
        self._patience = patience
        self.losses = []

    def begin(self):
        self._below = 0

    def before_run(self, run_context):
        return estimator.SessionRunArgs("loss:0")

    def after_run(self, run_context, run_values):
        loss = run_values.results
        self.losses.append(float(loss))
        self._below = self._below + 1 if loss < self._target else 0
        if self._below >= self._patience:
            print(f"loss {loss:.6f}: stop")
            run_context.request_stop()


class BestCheckpointListener(estimator.CheckpointSaverListener):
    """Evaluates every checkpoint, and ends training when one is good enough."""

    def __init__(self, model, eval_input_fn, good_enough):
        self._model = model
        self._eval_input_fn = eval_input_fn
        self._good_enough = good_enough
        self.calls = []
        self.best = None

    def begin(self):
        self.calls.append("begin")

    def before_save(self, session, global_step_value):
        self.calls.append(f"before {global_step_value}")

    def after_save(self, session, global_step_value):
        metrics = self._model.evaluate(self._eval_input_fn, steps=1)
        self.calls.append(f"after {global_step_value}")
        if self.best is None or metrics["loss"] < self.best[1]:
            self.best = (int(metrics["global_step"]), float(metrics["loss"]))
        return bool(metrics["loss"] < self._good_enough)

    def end(self, session, global_step_value):
        self.calls.append(f"end {global_step_value}")
        print(f"best checkpoint: step {self.best[0]}, loss {self.best[1]:.6f}")


def model_fn(features, labels, mode):
    weight = v1.get_variable("weight", initializer=0.0)
    loss = tf.reduce_mean(tf.square(weight * features["x"] - labels), name="loss")
    step = v1.train.get_or_create_global_step()
    rate = v1.train.exponential_decay(0.02, step, 5, 0.5, staircase=True)
    rate = tf.identity(rate, name="learning_rate")
    tf.identity(step, name="step")
    optimizer = v1.train.GradientDescentOptimizer(rate)
    ((gradient, _),) = pairs = optimizer.compute_gradients(loss, [weight])
    tf.identity(tf.linalg.global_norm([gradient]), name="gradient_norm")
    train_op = optimizer.apply_gradients(pairs, global_step=step)
    return estimator.EstimatorSpec(mode, loss=loss, train_op=train_op)


def input_fn():
    x = tf.constant([1.0, 2.0, 3.0])
    return tf.data.Dataset.from_tensors(({"x": x}, 2.0 * x + 0.1)).repeat()


def run(good_enough, target):
    with tempfile.TemporaryDirectory() as directory:
        config = estimator.RunConfig(save_checkpoints_steps=3)
        model = estimator.Estimator(model_fn, directory, config)
        seconds, norms = StepTimeHook(), GradientNormHook(limit=1.0)
        rates, losses = LearningRateHook(every_n_steps=3), StopAtLossHook(target, patience=2)
        listener = BestCheckpointListener(model, input_fn, good_enough)
        hooks = [seconds, norms, rates, losses]
        model.train(input_fn, hooks=hooks, steps=20, saving_listeners=[listener])
        assert len(seconds.seconds) == len(losses.losses) - 1
        return {
            "losses": losses.losses,
            "norms": {str(step): norm for step, norm in norms.norms.items()},
            "rates": rates.rates,
            "calls": listener.calls,
            "best": list(listener.best),
            "last_step": int(model.get_variable_value("global_step")),
        }


if __name__ == "__main__":
    runs = {"listener": run(1.0, 0.0), "loss": run(0.0, 2.0)}
    write_json(
        __file__, {"description": "What users' hooks see. Made by users_hooks.py", "runs": runs}
    )
