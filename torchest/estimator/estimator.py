"""Estimator: train, evaluate, predict behind one object.

model = torchest.Estimator(model_fn, model_dir="models/mine", params={"width": 16})
model.train(train_input_fn, steps=1000)
metrics = model.evaluate(eval_input_fn)
for prediction in model.predict(predict_input_fn): ...
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import logging
import tempfile
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from torchest.checkpoint.directory import (
    Checkpoint,
    held,
    latest_checkpoint,
    newest_whole_checkpoint,
    set_damaged_aside,
)
from torchest.checkpoint.trainer_lock import only_trainer
from torchest.distributed.default_strategy import strategy_of_environment
from torchest.distributed.environment import cluster_of_environment
from torchest.distributed.input_context import InputContext
from torchest.distributed.shared_directory import check_is_shared
from torchest.distributed.turns import in_order, own_batches
from torchest.engine.execution import Execution
from torchest.engine.feed import Feed, training_paused
from torchest.engine.hooks import SessionRunHook, all_of
from torchest.engine.model import RunningModel
from torchest.engine.model_cache import ModelCache
from torchest.engine.model_fn import ModelFn
from torchest.engine.resume import ResumableTraining
from torchest.engine.run import Run
from torchest.engine.scope import evaluating
from torchest.export.exporting import check_modes, checkpoint_of, export
from torchest.export.package import DEFAULT_FORMATS, checked_formats
from torchest.hooks.checkpoint_saver import CheckpointSaverListener
from torchest.inputs.seeds import default_seed
from torchest.inputs.source import call_input_fn, check_end, is_endless
from torchest.keys import ModeKeys
from torchest.modes.evaluate import run_evaluation, write_evaluation
from torchest.modes.predict import checked_keys, examples, run_prediction
from torchest.modes.train import run_training
from torchest.run_config import RunConfig
from torchest.utils import checks, files
from torchest.utils.checks import checked_count, checked_name, one_of, shown
from torchest.utils.random_state import kept_random_state
from torchest.warm_start.plan import warm_start
from torchest.warm_start.settings import settings_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator, Iterator, Sequence

    from torchest.distributed.strategy import Strategy
    from torchest.engine.hooks import Session
    from torchest.inputs.batch import Batch
    from torchest.spec import EstimatorSpec
    from torchest.utils.arrays import NumpyArray
    from torchest.warm_start.settings import WarmStartFrom, WarmStartSettings

_log = logging.getLogger("torchest")


class Estimator:
    """Trains, evaluates, predicts with and exports the model of a `model_fn`.

    The estimator stores everything in `model_dir`: a second `train`, in this process or another, starts from the newest
    checkpoint there.

    Args:
        model_fn: A function of `features` and any of `labels`, `mode`, `params`, `config` that returns an
            `EstimatorSpec`. It runs on every batch, and makes objects that outlive a batch with
            `torchest.get_or_create`.
        model_dir: The directory of checkpoints and events. None: `config.model_dir`, or a temporary directory.
        config: How to run; the default is `RunConfig()`.
        params: The argument `params` of `model_fn`, of which the estimator keeps a copy.
        warm_start_from: Initial weights of a new model: a `model_dir`, a checkpoint, an export, or
            `WarmStartSettings`. Ignored, with a warning, if `model_dir` has a checkpoint.

    Raises:
        ValueError: An argument is wrong.

    >>> import torch, torchest
    >>> def model_fn(features, labels, mode):
    ...     net = torchest.get_or_create("net", lambda: torch.nn.Linear(1, 1))
    ...     output = net(features["x"])
    ...     if mode == torchest.ModeKeys.PREDICT:
    ...         return torchest.EstimatorSpec(mode, predictions={"y": output})
    ...     loss = (output - labels).square().mean()
    ...     sgd = torchest.get_or_create("sgd", lambda: torch.optim.SGD(net.parameters(), lr=0.1))
    ...     return torchest.EstimatorSpec(mode, loss=loss, train_op=sgd)
    >>> def input_fn():
    ...     x = torch.tensor([[1.0], [2.0], [3.0]])
    ...     return {"x": x}, 2 * x  # one batch, repeated
    >>> model = torchest.Estimator(model_fn).train(input_fn, steps=200)
    >>> bool(model.evaluate(input_fn, steps=1)["loss"] < 1e-3)
    True
    """

    def __init__(
        self,
        model_fn: Callable[..., EstimatorSpec],
        model_dir: str | os.PathLike[str] | None = None,
        config: RunConfig | None = None,
        params: dict[str, Any] | None = None,
        warm_start_from: WarmStartFrom = None,
    ) -> None:
        self._warm_start = settings_of(warm_start_from)
        self._may_warm_start = True
        environments = strategy_of_environment()
        self._config = _with_model_dir(config, model_dir, environments)
        self._params = _copied(params)
        self._steps_made = 0
        self._model_fn = ModelFn(model_fn, self._params, self._config)
        self._strategy = (self._config.train_distribute or environments).current()
        self._eval_strategy = (self._config.eval_distribute or environments).current()
        self._model_cache = ModelCache(
            self.model_dir, lambda: self._new_model(self._eval_strategy, training=False)
        )
        _log.info("Using config: %s", self._config)
        for name in self._config.ignored():
            _log.info("RunConfig: %s has no meaning on PyTorch and is ignored.", name)

    @property
    def model_dir(self) -> str:
        """The directory of checkpoints and events."""
        assert self._config.model_dir is not None
        return self._config.model_dir

    @property
    def config(self) -> RunConfig:
        """How the estimator runs."""
        return self._config

    @property
    def params(self) -> dict[str, Any]:
        """A copy of the `params` for `model_fn`."""
        return copy.deepcopy(self._params)

    @property
    def warm_start_from(self) -> WarmStartSettings | None:
        """The settings of the warm start, if there is one."""
        return self._warm_start

    @property
    def model_fn(self) -> Callable[..., EstimatorSpec]:
        """The model_fn as a function of exactly `features`, `labels`, `mode` and `config`.

        A model_fn of another estimator can call it. `params` are those of this estimator, and so is `config` if it is
        None.
        """

        def model_fn(
            features: object, labels: object, mode: str, config: RunConfig | None
        ) -> EstimatorSpec:
            mode = one_of("mode", mode, (ModeKeys.TRAIN, ModeKeys.EVAL, ModeKeys.PREDICT))
            if not isinstance(config, RunConfig | None):
                raise ValueError(f"config={shown(config)} must be a torchest.RunConfig, or None.")
            return self._model_fn(features, labels, mode, config)

        return model_fn

    def train(
        self,
        input_fn: Callable[..., object],
        hooks: Sequence[SessionRunHook] | None = None,
        steps: int | None = None,
        max_steps: int | None = None,
        saving_listeners: Sequence[CheckpointSaverListener] | None = None,
    ) -> Estimator:
        """Trains the model, from the newest checkpoint if there is one.

        If a training is interrupted by a kill, an exception or SIGTERM, the next call, in this process or another,
        resumes it: at its place in the input, with its random numbers and the state of its hooks (see
        `SessionRunHook`), as if nothing had happened. Use `max_steps` for such a training, as `steps` counts from the
        checkpoint. A `torchest.inputs.Dataset` resumes at its place, and so does a DataLoader that has `state_dict` and
        `load_state_dict`; any other iterable starts from its beginning, with a warning. In another number of processes
        those rows of the pass are used that none of the former ones has used, if `Dataset.shard` deals them; otherwise
        the pass starts anew, with a warning. After a training that returned, the next one reads its input from the
        beginning. On SIGTERM the running step is finished and saved, and the process ends by the signal.

        This is the order of the calls. `hooks` are the `training_chief_hooks` of model_fn, those of this call, and the
        `training_hooks` of model_fn::

            make the model from the first batch, and restore the newest checkpoint
            for listener in saving_listeners: listener.begin()
            for hook in hooks: hook.begin()
            save()
            for hook in hooks: hook.after_create_session(session, None)
            until a hook has called request_stop, or the last step has been made:
                for hook in hooks: hook.before_run(run_context)     # returns SessionRunArgs, or None
                the next batch; the loop ends here if there is none
                model_fn(features, labels, TRAIN, ...), gradients, optimizers
                global_step += 1
                for hook in hooks: hook.after_run(run_context, run_values)
                if a checkpoint is due: save()
            save(), unless the last step has been saved
            for listener in saving_listeners: listener.end(session, global_step)
            for hook in hooks: hook.end(session)

            save():
                for listener in saving_listeners: listener.before_save(session, global_step)
                write the checkpoint
                for listener in saving_listeners: listener.after_save(session, global_step)
                if one of them returned True: request_stop()        # but not at the first save

        tf.estimator saves before `after_run`; here a checkpoint has the effects of the hooks in its step. A training
        that resumes from a checkpoint does not write it again: of `save()` it calls only `after_save`, and calls it
        after `after_create_session` unless the checkpoint is the first of the training.

        After an exception, in a hook or elsewhere, `on_error(exception)` of every hook is called, but neither `save()`
        nor `end`. Only the chief writes checkpoints and calls listeners.

        Args:
            input_fn: Returns the training data: a `torchest.inputs.Dataset`, a DataLoader, or any iterable of
                `(features, labels)` batches. A tuple or list of features and labels, and features alone, are one
                batch, repeated; see `torchest.inputs.source.is_one_batch`.
            hooks: Called during training, in this order.
            steps: The number of steps to make. None: until `max_steps`, or the end of the input.
            max_steps: The global step to train up to, over all calls; nothing is done if it has been reached.
            saving_listeners: Called around each checkpoint.

        Returns:
            The estimator.

        Raises:
            ValueError: Both `steps` and `max_steps` are given, one is below 1, the input is empty, or this process is
                the evaluator of TF_CONFIG.
            RuntimeError: Another process, or another thread of this one, trains in `model_dir`; or the processes that
                train together make different calls, or one has gone or is too late.
            CheckpointMismatchError: `model_dir` has a checkpoint of another model.
            NanLossDuringTrainingError: The loss became NaN.
        """
        cluster_of_environment().check_trains("train")
        steps, max_steps = _checked_steps(steps, max_steps)
        hooks = all_of(SessionRunHook, "hooks", hooks)
        listeners = all_of(CheckpointSaverListener, "saving_listeners", saving_listeners)
        with (
            self._strategy.call("train", self.model_dir, self._config.patience),
            only_trainer(self.model_dir, is_chief=self._strategy.is_chief),
        ):
            check_is_shared(self.model_dir, self._strategy)
            self._steps_made = 0
            self._steps_made = self._train(input_fn, hooks, listeners, steps, max_steps)
        return self

    def evaluate(
        self,
        input_fn: Callable[..., object],
        steps: int | None = None,
        hooks: Sequence[SessionRunHook] | None = None,
        checkpoint_path: str | os.PathLike[str] | None = None,
        name: str | None = None,
    ) -> dict[str, Any]:
        """Evaluates the model, and writes the metrics for TensorBoard under `eval_dir(name)`.

        Where several processes train together, all of them make this call, at the same place of the program, and each
        evaluates its part of the rows; or the chief alone makes it, and evaluates all rows.

        Args:
            input_fn: Returns the data, as for `train`; one batch is evaluated once.
            steps: The largest number of batches to evaluate on. None: all.
            hooks: Called during evaluation.
            checkpoint_path: The checkpoint to evaluate. None: the newest; if there is none, the initial weights are
                evaluated, with a warning.
            name: A name for evaluations on different data.

        Returns:
            The metrics, sorted by name, as NumPy scalars. `loss` is the mean of the losses of batches; `global_step`,
            the step of the checkpoint, comes last.

        Raises:
            ValueError: The input is empty, or an argument is wrong.
            RuntimeError: The processes make different calls.
        """
        steps, name = checked_count("steps", steps), checked_name("name", name)
        hooks = all_of(SessionRunHook, "hooks", hooks)
        cluster_of_environment().end_parameter_server("evaluate")
        with self._call_of(self._eval_strategy, "evaluate"):
            model, checkpoint = self._model_of_chief(checkpoint_path, "evaluate")
            evaluation = _Evaluation(input_fn, steps, hooks, name)
            return self._evaluate(evaluation, model, checkpoint, _step_of(checkpoint))

    def predict(
        self,
        input_fn: Callable[..., object],
        predict_keys: Sequence[str] | str | None = None,
        hooks: Sequence[SessionRunHook] | None = None,
        checkpoint_path: str | os.PathLike[str] | None = None,
        yield_single_examples: bool = True,
        *,
        across_processes: bool = False,
    ) -> Iterator[Any]:
        """Yields predictions; the next batch is computed when its first prediction is requested.

        Where several processes train together, each of them predicts what its input_fn returns, whenever it likes. With
        `across_processes` they make the call together: the input_fn returns the whole input in each of them, they take
        its batches in turns, and each yields the predictions of all rows.

        Args:
            input_fn: Returns features, or `(features, labels)`, whose labels are ignored; one batch is predicted once.
            predict_keys: The predictions to yield. None: all.
            hooks: Called during prediction.
            checkpoint_path: The checkpoint to use. None: the newest; if there is none, the initial weights are used,
                with a warning.
            yield_single_examples: Whether to yield one dict per example. If not, one per batch, which is faster.
            across_processes: Whether several processes divide the batches. An `input_context` is then that of a single
                process.

        Yields:
            Predictions as NumPy, in the order of the input: dicts, or the structure that `model_fn` returns.

        Raises:
            ValueError: An argument is wrong, or the processes that divide the batches read different input.
            RuntimeError: The processes that divide the batches make different calls.
        """
        hooks = all_of(SessionRunHook, "hooks", hooks)
        checks.boolean("yield_single_examples", yield_single_examples)
        checks.boolean("across_processes", across_processes)
        keys = checked_keys(predict_keys)
        with contextlib.ExitStack() as opened:
            if across_processes:
                opened.enter_context(self._call_of(self._eval_strategy, "predict"))
            strategy = self._eval_strategy.current()
            batches = self._predict_batches(
                _Prediction(input_fn, hooks, keys, across_processes), checkpoint_path, strategy
            )
            opened.enter_context(contextlib.closing(batches))
            for batch in in_order(batches, strategy) if across_processes else batches:
                if yield_single_examples:
                    yield from examples(batch)
                else:
                    yield batch

    def export_saved_model(  # noqa: PLR0913 - the arguments that tf.estimator's method takes
        self,
        export_dir_base: str | os.PathLike[str],
        serving_input_receiver_fn: Callable[[], object],
        assets_extra: Mapping[str, str | os.PathLike[str]] | None = None,
        as_text: bool = False,
        checkpoint_path: str | os.PathLike[str] | None = None,
        experimental_mode: str = ModeKeys.PREDICT,
        *,
        formats: Sequence[str] = DEFAULT_FORMATS,
    ) -> str:
        """Exports the model for serving, from raw features to predictions.

        The directory `<export_dir_base>/<unix seconds>` appears when all its files have been written, read again, and
        compared with Python: `model.onnx`, which takes raw features; on request `model.pt` (TorchScript) and
        `model.pt2` (torch.export), which take encoded tensors; `model.safetensors`; `signatures.json`, which describes
        inputs, outputs and signatures; `golden.json` with rows and their predictions; vocabulary files in `assets`.
        `torchest.export.load` reads it.

        Args:
            export_dir_base: The parent of the directory.
            serving_input_receiver_fn: Makes the receiver of the model's inputs, such as
                `torchest.export.build_parsing_serving_input_receiver_fn(spec)`.
            assets_extra: Paths of files for `assets.extra` by their names there.
            as_text: Has no effect: signatures are always text.
            checkpoint_path: The checkpoint to export. None: the newest.
            experimental_mode: `ModeKeys.PREDICT`; for EVAL and TRAIN, the export only describes inputs and outputs.
            formats: The files to write: any of "onnx", "torchscript", "pt2" and "onnx-fingerprints" (docs/onnx.md).

        Returns:
            The path of the directory.

        Raises:
            ValueError: There is no checkpoint, an argument is wrong, or a column cannot be exported.
            ExportError: The predictions of a file differ from Python's. Nothing is left behind.
        """
        mode = checks.text("experimental_mode", experimental_mode)
        receivers = {mode: serving_input_receiver_fn}
        return self._export(
            export_dir_base, receivers, assets_extra, as_text, checkpoint_path, formats
        )

    def export_savedmodel(
        self,
        export_dir_base: str | os.PathLike[str],
        serving_input_receiver_fn: Callable[[], object],
        assets_extra: Mapping[str, str | os.PathLike[str]] | None = None,
        as_text: bool = False,
        checkpoint_path: str | os.PathLike[str] | None = None,
        strip_default_attrs: bool = False,  # noqa: ARG002 - means nothing here
    ) -> str:
        """Deprecated name of `export_saved_model`, with the same arguments."""
        warnings.warn(
            "Estimator.export_savedmodel is deprecated: use export_saved_model.",
            DeprecationWarning,
            stacklevel=2,
        )
        return self.export_saved_model(
            export_dir_base, serving_input_receiver_fn, assets_extra, as_text, checkpoint_path
        )

    def experimental_export_all_saved_models(
        self,
        export_dir_base: str | os.PathLike[str],
        input_receiver_fn_map: Mapping[str, Callable[[], object]],
        assets_extra: Mapping[str, str | os.PathLike[str]] | None = None,
        as_text: bool = False,
        checkpoint_path: str | os.PathLike[str] | None = None,
    ) -> str:
        """Exports the model as `export_saved_model` does, with descriptions of its training and evaluation.

        Args:
            export_dir_base: The parent of the directory.
            input_receiver_fn_map: Functions that make receivers by `ModeKeys`; for EVAL and TRAIN see
                `torchest.experimental.build_raw_supervised_input_receiver_fn`.
            assets_extra: Paths of files for `assets.extra` by their names there.
            as_text: Has no effect: signatures are always text.
            checkpoint_path: The checkpoint to export. None: the newest.

        Returns:
            The path of the directory.

        Raises:
            ValueError: As for `export_saved_model`.
            ExportError: Likewise.
        """
        return self._export(
            export_dir_base,
            input_receiver_fn_map,
            assets_extra,
            as_text,
            checkpoint_path,
            DEFAULT_FORMATS,
        )

    def eval_dir(self, name: str | None = None) -> str:
        """The directory to which `evaluate(..., name=name)` writes events."""
        checked = checked_name("name", name)
        return files.join(self.model_dir, f"eval_{checked}" if checked else "eval")

    @property
    def steps_made(self) -> int:
        """The number of steps of the last `train` of this object; 0 if `max_steps` had been reached before."""
        return self._steps_made

    def latest_checkpoint(self) -> str | None:
        """The path of the newest checkpoint, or None."""
        return latest_checkpoint(self.model_dir)

    def get_variable_names(self) -> list[str]:
        """The names of all parameters, buffers and optimizer slots of the newest checkpoint, and `global_step`, sorted.

        Raises:
            ValueError: There is no checkpoint.
        """
        return list(self._newest().get_variable_to_shape_map())

    def get_variable_value(self, name: str) -> NumpyArray:
        """The value of one parameter, buffer or slot in the newest checkpoint, or of `global_step`.

        Args:
            name: One of `get_variable_names()`.

        Raises:
            ValueError: There is no checkpoint, or nothing of that name.
        """
        return self._newest().get_tensor(name)

    def _export(
        self,
        base: str | os.PathLike[str],
        receivers: Mapping[str, Callable[[], object]],
        assets_extra: Mapping[str, str | os.PathLike[str]] | None,
        as_text: bool,
        checkpoint_path: str | os.PathLike[str] | None,
        formats: Sequence[str],
    ) -> str:
        base = checks.path("export_dir_base", base)
        if checkpoint_path is not None:
            checkpoint_path = checks.path("checkpoint_path", checkpoint_path)
        checks.boolean("as_text", as_text)
        check_modes(receivers)
        chosen = checked_formats(formats)
        if as_text:
            _log.info("as_text has no meaning on PyTorch: signatures.json is text already.")

        cluster_of_environment().end_parameter_server("export_saved_model")

        def write() -> str:
            checkpoint = checkpoint_of(self.model_dir, checkpoint_path)
            return export(self._model_fn, checkpoint, base, receivers, assets_extra, chosen)

        with self._call_of(self._strategy, "export_saved_model"):
            return self._strategy.current().in_chief(write)

    def _newest(self) -> Checkpoint:
        path = self.latest_checkpoint()
        if path is None:
            raise ValueError(f"{self.model_dir!r} has no checkpoint yet: call train first.")
        return Checkpoint(path)

    def _checkpoint_to_train_from(self) -> Checkpoint | None:
        """The newest undamaged checkpoint, the same one in all processes."""
        if not self._strategy.is_chief:
            path = self._strategy.broadcast(None)
            return None if path is None else Checkpoint(path)
        newest = newest_whole_checkpoint(self.model_dir)
        if newest is not None and newest.path != latest_checkpoint(self.model_dir):
            set_damaged_aside(newest)
        self._strategy.broadcast(None if newest is None else newest.path)
        return newest

    def _train(
        self,
        input_fn: Callable[..., object],
        hooks: tuple[SessionRunHook, ...],
        listeners: Sequence[CheckpointSaverListener],
        steps: int | None,
        max_steps: int | None,
    ) -> int:
        """Trains with the model_dir locked; returns the number of steps made."""
        training = ResumableTraining(
            self.model_dir,
            self._checkpoint_to_train_from(),
            self._strategy,
            self._config.accumulate_steps,
        )
        steps_made = 0
        last_step = max_steps if steps is None else training.start + steps
        if last_step is None or training.start < last_step:
            self._warn_of_unused_warm_start(training.checkpoint)
            steps_made = self._train_up_to(last_step, training, input_fn, hooks, listeners)
        else:
            _log.info("Skipping training since max_steps has already saved.")
            _log.info(
                "No steps made: %s is at step %d, max_steps=%d.",
                self.model_dir, training.start, last_step,
            )  # fmt: skip
        training.end()
        self._strategy.barrier()  # the last checkpoint is there for all
        return steps_made

    def _train_up_to(
        self,
        last_step: int | None,
        training: ResumableTraining,
        input_fn: Callable[..., object],
        hooks: tuple[SessionRunHook, ...],
        listeners: Sequence[CheckpointSaverListener],
    ) -> int:
        """Makes the model from the first batch and trains it; returns the number of steps made."""
        self._seed()
        strategy = self._strategy
        with self._feed(input_fn, ModeKeys.TRAIN, strategy, training.read) as feed:
            model = self._new_model(strategy, training=True)
            first = strategy.first(feed.first())
            if first is None and training.resumed_from is not None:
                _log.info("No steps made: the interrupted training had used all of its input.")
                return 0
            model_hooks = model.create(
                *_checked_first(first, ModeKeys.TRAIN), ModeKeys.TRAIN, training.checkpoint
            )
            strategy.start(
                model.scope.modules(),
                steps_itself=model.steps_itself,
                comm_hook=self._config.ddp_comm_hook,
                sends_messages=model.sends_messages,
            )
            run = Run(model, model_hooks, feed, strategy, hooks, training.start, last_step)
            with strategy.detached(), feed.of_training():
                return run_training(run, training, self._config, listeners)

    def _evaluate(
        self,
        evaluation: _Evaluation,
        model: RunningModel,
        checkpoint: Checkpoint | None,
        global_step: int,
    ) -> dict[str, Any]:
        input_fn, steps, hooks, name = evaluation
        strategy = self._eval_strategy.current()
        path = None if checkpoint is None else checkpoint.path
        with (
            held(path),
            training_paused(),
            kept_random_state(strategy.device),  # an iterator of a DataLoader draws
            self._feed(input_fn, ModeKeys.EVAL, strategy, _with_end(steps)) as feed,
        ):
            first = _checked_first(strategy.first(feed.first()), ModeKeys.EVAL)
            model_hooks = model.create(*first, ModeKeys.EVAL, checkpoint)
            if checkpoint is None:
                strategy.share(model.scope.modules())
            run = Run(model, model_hooks, feed, strategy, hooks, global_step)
            evaluated = run_evaluation(run, steps)
        if strategy.is_chief:
            write_evaluation(evaluated, self.eval_dir(name), path)
        return evaluated.metrics

    def _evaluate_in_training(
        self,
        session: Session,
        input_fn: Callable[..., object],
        steps: int | None,
        hooks: tuple[SessionRunHook, ...],
        name: str | None,
    ) -> None:
        """Evaluates a model that is being trained, with its own objects, in the chief only."""
        if not self._strategy.is_chief:
            return
        model = RunningModel(
            self._model_fn, self._strategy.device, training=False, execution=self._execution
        )
        model.scope.objects.update(session.objects)
        with evaluating(model.scope.modules().values()), self._strategy.alone("evaluates"):
            evaluation = _Evaluation(input_fn, steps, hooks, name)
            self._evaluate(evaluation, model, None, session.global_step)

    def _predict_batches(
        self,
        prediction: _Prediction,
        checkpoint_path: str | os.PathLike[str] | None,
        strategy: Strategy,
    ) -> Generator[Any, None, None]:
        """Yields the predictions of this process, batch by batch."""
        input_fn, hooks, keys, across_processes = prediction
        model_of = self._model_of_chief if across_processes else self._model_of
        model, checkpoint = model_of(checkpoint_path, "predict")

        def read(source: object) -> object:
            source = _with_warning(source)
            return own_batches(source, strategy) if across_processes else source

        with self._feed(input_fn, ModeKeys.PREDICT, strategy, read, across_processes) as feed:
            first = feed.first()
            if across_processes:
                first = strategy.first(first)
            if first is None:
                return
            model_hooks = model.create(first.features, None, ModeKeys.PREDICT, checkpoint)
            if across_processes and checkpoint is None:
                strategy.share(model.scope.modules())
            run = Run(model, model_hooks, feed, strategy, hooks, _step_of(checkpoint))
            with contextlib.closing(run_prediction(run, keys)) as batches:
                yield from batches

    def _call_of(self, strategy: Strategy, name: str) -> contextlib.AbstractContextManager[None]:
        """A context for a call that all processes make, or the chief alone."""
        return strategy.call(name, self.model_dir, self._config.patience, may_be_alone=True)

    def _model_of_chief(
        self, checkpoint_path: str | os.PathLike[str] | None, purpose: str
    ) -> tuple[RunningModel, Checkpoint | None]:
        """The model of the checkpoint that the chief chooses, in all processes."""
        strategy = self._eval_strategy.current()
        if not strategy.is_chief:
            return self._model_of(strategy.broadcast(None), purpose)
        model, checkpoint = self._model_of(checkpoint_path, purpose)
        strategy.broadcast(None if checkpoint is None else checkpoint.path)
        return model, checkpoint

    def _model_of(
        self, checkpoint_path: str | os.PathLike[str] | None, purpose: str
    ) -> tuple[RunningModel, Checkpoint | None]:
        """The model to evaluate or predict with, and the checkpoint to restore it from."""
        if checkpoint_path is not None:
            checkpoint_path = checks.path("checkpoint_path", checkpoint_path)
        model, checkpoint, is_new = self._model_cache.get(checkpoint_path)
        if checkpoint is None and is_new:
            _log.warning(
                "Could not find trained model in model_dir: %s, running %s to %s.",
                self.model_dir, "initialization" if self._warm_start is None else "a warm start", purpose,
            )  # fmt: skip
            self._seed()
        return model, checkpoint

    @property
    def _execution(self) -> Execution:
        return Execution(self._config.precision, self._config.compile)

    def _new_model(self, strategy: Strategy, *, training: bool) -> RunningModel:
        settings = self._warm_start
        return RunningModel(
            self._model_fn,
            strategy.device,
            training=training,
            initialize=settings and functools.partial(warm_start, settings=settings),
            execution=dataclasses.replace(
                self._execution,
                sync_batch_norm=self._config.sync_batch_norm
                and training
                and strategy.world_size > 1,
            ),
        )

    def _warn_of_unused_warm_start(self, checkpoint: Checkpoint | None) -> None:
        """Warns that a checkpoint replaces the warm start, unless an earlier `train` used the warm start."""
        if checkpoint is not None and self._warm_start is not None and self._may_warm_start:
            _log.warning(
                "%s has a checkpoint, which training starts from: warm_start_from=%r is not used. A warm start "
                "needs a new model_dir.",
                self.model_dir, self._warm_start.ckpt_to_initialize_from,
            )  # fmt: skip
        self._may_warm_start = False

    @contextlib.contextmanager
    def _feed(
        self,
        input_fn: Callable[..., object],
        mode: str,
        strategy: Strategy,
        read: Callable[[object], object] = lambda source: source,
        is_whole: bool = False,
    ) -> Iterator[Feed]:
        """Opens the input.

        Args:
            input_fn: The user's function.
            mode: A `ModeKeys`.
            strategy: Where the model runs.
            read: Checks or wraps the result of the function.
            is_whole: Whether each process opens the whole input.
        """
        seed = self._config.tf_random_seed
        if is_whole or mode != ModeKeys.PREDICT:  # a process predicts else when its caller asks
            seed = strategy.seed(seed)
        with default_seed(seed):
            source = call_input_fn(
                input_fn,
                mode=mode,
                params=self._params,
                config=self._config,
                input_context=InputContext() if is_whole else strategy.input_context,
            )
        with contextlib.closing(Feed(read(source), strategy.device)) as feed:
            if mode != ModeKeys.PREDICT:
                strategy.check_input(input_fn, source, feed.first())
            yield feed

    def _seed(self) -> None:
        if self._config.tf_random_seed is not None:
            torch.manual_seed(self._config.tf_random_seed)


class _Evaluation(NamedTuple):
    """The arguments of an evaluation, checked."""

    input_fn: Callable[..., object]
    steps: int | None
    hooks: tuple[SessionRunHook, ...]
    name: str | None


class _Prediction(NamedTuple):
    """The arguments of a prediction, checked."""

    input_fn: Callable[..., object]
    hooks: tuple[SessionRunHook, ...]
    keys: list[object]
    across_processes: bool


def _step_of(checkpoint: Checkpoint | None) -> int:
    return 0 if checkpoint is None else checkpoint.global_step


def _with_end(steps: int | None) -> Callable[[object], object]:
    """Checks that the input ends, if all of it is evaluated."""

    def checked(source: object) -> object:
        if steps is None:
            check_end(source, "evaluate: steps")
        return source

    return checked


def _with_warning(source: object) -> object:
    """Warns if the input never ends. That is not an error, as the caller may stop."""
    if is_endless(source):
        _log.warning(
            "predict: the input_fn gives a Dataset that repeats without end, so predictions never end either. That is "
            "probably a mistake: leave out repeat(), or give num_epochs=1."
        )
    return source


def _checked_first(first: Batch | None, mode: str) -> Batch:
    if first is None:
        what = "train on" if mode == ModeKeys.TRAIN else "evaluate"
        raise ValueError(
            f"The input is empty: the input_fn returned no batch, so there is nothing to {what}. Check its files, "
            "filters, take and skip; batch(..., drop_remainder=True) drops a short last batch."
        )
    return first


def _with_model_dir(
    config: RunConfig | None, model_dir: str | os.PathLike[str] | None, strategy: Strategy
) -> RunConfig:
    if config is None:
        config = RunConfig()
    if not isinstance(config, RunConfig):
        raise TypeError(f"config={shown(config)} must be a torchest.RunConfig, or None.")
    if model_dir is not None:
        model_dir = RunConfig(model_dir=checks.path("model_dir", model_dir)).model_dir
        if config.model_dir not in (None, model_dir):
            raise ValueError(
                f"model_dir={model_dir!r} and config.model_dir={config.model_dir!r} differ: give one of them."
            )
    directory = model_dir or config.model_dir
    if directory is None:
        with strategy.call("Estimator", None, config.patience, may_be_alone=True):
            directory = strategy.current().in_chief(tempfile.mkdtemp)
        _log.warning("Using temporary folder as model directory: %s", directory)
    return config.replace(model_dir=directory)


def _copied(params: dict[str, Any] | None) -> dict[str, Any]:
    if params is None:
        return {}
    if not isinstance(params, Mapping):
        raise ValueError(
            f"params={shown(params)} must be a dict of parameters for model_fn, or None."
        )
    try:
        return copy.deepcopy(params)
    except Exception as error:
        raise ValueError(
            f"params={shown(params)} cannot be copied ({error}): give plain values, and make what cannot be copied in "
            "model_fn."
        ) from error


def _checked_steps(steps: int | None, max_steps: int | None) -> tuple[int | None, int | None]:
    if steps is not None and max_steps is not None:
        raise ValueError(
            f"steps={steps} and max_steps={max_steps} cannot both be given: steps counts from here, max_steps from the "
            "first step ever. Leave one out."
        )
    return checked_count("steps", steps), checked_count("max_steps", max_steps)
