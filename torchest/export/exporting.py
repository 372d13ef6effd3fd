"""Exports the model of an estimator: the work of `Estimator.export_saved_model`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from torchest.checkpoint.directory import Checkpoint, held, newest_whole_checkpoint
from torchest.columns.checks import STRING
from torchest.columns.features import Features
from torchest.engine.model import RunningModel
from torchest.errors import suggest
from torchest.export.directory import check_extra
from torchest.export.inputs import Input, dtype_text
from torchest.export.package import prepare, write
from torchest.export.receivers import (
    ServingInputReceiver,
    SupervisedInputReceiver,
    TensorServingInputReceiver,
)
from torchest.export.rows import neutral_rows, spec_of
from torchest.export_outputs import EvalOutput
from torchest.keys import ModeKeys
from torchest.modes.predict import to_numpy
from torchest.utils.random_state import kept_random_state

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from torchest.engine.model_fn import ModelFn
    from torchest.utils.json_form import JSON

_log = logging.getLogger("torchest")
_SUPERVISED = (ModeKeys.TRAIN, ModeKeys.EVAL)


def checkpoint_of(model_dir: str, checkpoint_path: str | os.PathLike[str] | None) -> Checkpoint:
    """The checkpoint to export.

    Raises:
        ValueError: There is none, or it is damaged.
    """
    if checkpoint_path is not None:
        return Checkpoint(checkpoint_path).check()
    newest = newest_whole_checkpoint(model_dir)
    if newest is None:
        raise ValueError(
            f"{model_dir!r} has no checkpoint to export: call train first, or give checkpoint_path."
        )
    return newest


def export(
    model_fn: ModelFn,
    checkpoint: Checkpoint,
    base: str | os.PathLike[str],
    receiver_fns: Mapping[str, Callable[[], object]],
    assets_extra: Mapping[str, str | os.PathLike[str]] | None,
    formats: Sequence[str],
) -> str:
    """Exports a model.

    Args:
        model_fn: The model.
        checkpoint: Its weights.
        base: The directory in which the export gets a directory.
        receiver_fns: The functions that make receivers, by mode. For TRAIN and EVAL, the export only describes
            inputs and outputs.
        assets_extra: The user's files, by name.
        formats: The formats to write for PREDICT.

    Returns:
        The path of the directory.

    Raises:
        ValueError: An argument is wrong, or the model cannot be exported.
        ExportError: The answers of a file differ from Python's.
    """
    check_extra(assets_extra)
    receivers = {mode: _received(mode, receiver_fns[mode]) for mode in receiver_fns}
    origin: JSON = {"global_step": checkpoint.global_step}
    with held(checkpoint.path), kept_random_state(torch.device("cpu")):
        exported = None
        if ModeKeys.PREDICT in receivers:
            model = RunningModel(model_fn, torch.device("cpu"), training=False)
            exported = prepare(model, receivers[ModeKeys.PREDICT], checkpoint)
        for mode in _SUPERVISED:
            if mode in receivers:
                origin[mode] = _described(mode, model_fn, receivers[mode], checkpoint)
        path = write(base, exported, formats, assets_extra, origin)
    _log.info("Exported step %d to: %s", checkpoint.global_step, path)
    return path


def check_modes(receiver_fns: object) -> None:
    """Raises ValueError unless there are functions by mode."""
    if not isinstance(receiver_fns, Mapping) or not receiver_fns:
        raise ValueError(
            f"input_receiver_fn_map is {receiver_fns!r:.80}: give a dict from ModeKeys.PREDICT, EVAL or TRAIN to a "
            "function that makes a receiver."
        )
    modes = (ModeKeys.PREDICT, *_SUPERVISED)
    for mode in receiver_fns:
        if mode not in modes:
            raise ValueError(f"The mode {mode!r} cannot be exported.{suggest(str(mode), modes)}")


def _received(mode: str, receiver_fn: object) -> Any:
    """The result of a receiver function, checked to be of the kind that the mode needs."""
    if not callable(receiver_fn):
        raise TypeError(
            f"serving_input_receiver_fn is {receiver_fn!r:.80}: give a function, such as "
            "torchest.export.build_parsing_serving_input_receiver_fn(spec) makes."
        )
    receiver = receiver_fn()
    if mode in _SUPERVISED:
        wanted: tuple[type, ...] = (SupervisedInputReceiver,)
        maker = "torchest.experimental.build_raw_supervised_input_receiver_fn(features, labels)"
    else:
        wanted = (ServingInputReceiver, TensorServingInputReceiver)
        maker = "torchest.export.build_raw_serving_input_receiver_fn(features)"
    if not isinstance(receiver, wanted):
        raise TypeError(
            f"The receiver function for {mode!r} returned a {type(receiver).__name__}, not a {wanted[0].__name__}: use "
            f"{maker}."
        )
    return receiver


def _described(
    mode: str, model_fn: ModelFn, receiver: SupervisedInputReceiver, checkpoint: Checkpoint
) -> JSON:
    """The inputs and outputs of a model in training or evaluation, as JSON values."""
    model = RunningModel(model_fn, torch.device("cpu"), training=mode == ModeKeys.TRAIN)
    features, labels = _rows(receiver.features), _rows(receiver.labels)
    batch = Features(features) if isinstance(features, dict) else features
    model.create(batch, labels, mode, checkpoint)
    spec = model(batch, labels, mode)
    metrics = {name: torch.tensor(0.0) for name in spec.eval_metric_ops or {}} or None
    output = EvalOutput(spec.loss, spec.predictions or None, metrics)
    arrays = {name: to_numpy(value) for name, value in output.named().items()}
    return {
        "inputs": [
            Input(name, name, spec_of(value, name)).to_json()
            for name, value in receiver.receiver_tensors.items()
        ],
        "outputs": [
            {
                "name": name,
                "dtype": STRING if value.dtype == object else dtype_text(value.dtype),
                "shape": [None, *value.shape[1:]] if value.ndim else [],
            }
            for name, value in arrays.items()
        ],
    }


def _rows(described: object) -> object:
    """Two rows of the features or labels that a receiver describes."""
    named = described if isinstance(described, dict) else {"": described}
    specs = {key: spec_of(value, key) for key, value in named.items()}
    neutral = neutral_rows(specs, 2)
    rows = {key: neutral[key] if value is specs[key] else value for key, value in named.items()}
    return rows if isinstance(described, dict) else rows[""]
