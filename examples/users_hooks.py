"""Five hooks that were written for tf.estimator, with only their import and the names of what they fetch changed.

    python examples/users_hooks.py

Before, the first line was `from tensorflow import estimator`, and the fetches were names of tensors: `"loss:0"`,
`"gradient_norm:0"`, `"learning_rate:0"`, `"step:0"`. The model is a line through the origin.
"""

from __future__ import annotations

import tempfile
import time

import torch

import torchest
import torchest as estimator


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
        return estimator.SessionRunArgs({"norm": "gradient_norm", "step": "global_step"})

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
            return estimator.SessionRunArgs(["learning_rate"])
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
        return estimator.SessionRunArgs("loss")

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


class Line(torch.nn.Module):
    """y = weight · x."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return self.weight * x


def halving(parameters):
    """Gradient descent whose learning rate halves every five steps."""
    return torchest.optimizers.SGD(parameters, lr=lambda step: 0.02 * 0.5 ** (step // 5))


def model_fn(features, labels, mode):
    line = torchest.get_or_create("line", Line)
    loss = (line(features["x"]) - labels).square().mean()
    sgd = torchest.get_or_create("sgd", lambda: halving(line.parameters()))
    return torchest.EstimatorSpec(mode, loss=loss, train_op=sgd)


def input_fn():
    x = torch.tensor([1.0, 2.0, 3.0])
    return {"x": x}, 2 * x + 0.1


def run(good_enough, target):
    """Trains with all five; what they saw, and the step at which training ended."""
    with tempfile.TemporaryDirectory() as directory:
        config = torchest.RunConfig(save_checkpoints_steps=3)
        model = torchest.Estimator(model_fn, directory, config)
        seconds, norms = StepTimeHook(), GradientNormHook(limit=1.0)
        rates, losses = LearningRateHook(every_n_steps=3), StopAtLossHook(target, patience=2)
        listener = BestCheckpointListener(model, input_fn, good_enough)
        hooks = [seconds, norms, rates, losses]
        model.train(input_fn, hooks=hooks, steps=20, saving_listeners=[listener])
        return {
            "losses": losses.losses,
            "norms": norms.norms,
            "rates": rates.rates,
            "calls": listener.calls,
            "best": list(listener.best),
            "last_step": int(model.latest_checkpoint().rpartition("-")[2]),
        }


if __name__ == "__main__":
    run(good_enough=1.0, target=0.0)
    run(good_enough=0.0, target=2.0)
