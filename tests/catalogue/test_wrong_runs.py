"""Wrong arguments of configs, specs, methods of estimators and readers of checkpoints: each is named with its value."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

import torchest
from torchest import columns as fc
from torchest.distributed import InputContext
from torchest.utils.checks import shown

BATCH = {"x": [1.0, 2.0]}, [1.0, 2.0]
NOT_WHOLE = (1.5, math.nan, math.inf, True, np.True_, "3", b"3", 2**70, object(), [3], np.zeros(2))
NOT_NUMBERS = (math.nan, math.inf, -math.inf, True, "3", object(), [3.0], np.zeros(2), 10**400)
NOT_PATHS = (1, 1.5, True, "", b"", "a\0b", object(), ["a"], np.zeros(2))
NOT_BOOLEANS = ("False", 0, 1, None, math.nan, object(), [True])
NOT_FUNCTIONS = (5, "f", [len])
NOT_NAMES = (5, b"a", True, ["a"], object(), "../a", "a/../../b", "a\0b")


def input_fn():
    return BATCH


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    directory = str(tmp_path_factory.mktemp("model"))
    config = torchest.RunConfig(save_summary_steps=None, log_step_count_steps=None)
    column = fc.numeric_column("x")
    return torchest.LinearRegressor([column], directory, config=config).train(input_fn, steps=1)


def model_fn(features, labels, mode):
    raise AssertionError


def export(model, **arguments):
    receiver_fn = torchest.export.build_raw_serving_input_receiver_fn({"x": [1.0]})
    return model.export_saved_model(
        **{
            "export_dir_base": "unused",
            "serving_input_receiver_fn": receiver_fn,
            **arguments,
        }
    )


def of(function, argument, *values, **others):
    """Cases of one argument of a function of a model and arguments."""
    return [(function, argument, value, others) for value in values]


def config(_, **arguments):
    return torchest.RunConfig(**arguments)


def replaced(_, **arguments):
    return torchest.RunConfig().replace(**arguments)


def train_spec(_, **arguments):
    return torchest.TrainSpec(**{"input_fn": input_fn, **arguments})


def eval_spec(_, **arguments):
    return torchest.EvalSpec(**{"input_fn": input_fn, **arguments})


def context(_, **arguments):
    return InputContext(**arguments)


def batch_size(_, **arguments):
    return InputContext(2, 0, 2).get_per_replica_batch_size(**arguments)


def estimator(_, **arguments):
    return torchest.Estimator(**{"model_fn": model_fn, "model_dir": "unused", **arguments})


def train(model, **arguments):
    return model.train(input_fn, **arguments)


def evaluate(model, **arguments):
    return model.evaluate(input_fn, **{"steps": 1, **arguments})


def predict(model, **arguments):
    return list(model.predict(lambda: [BATCH[0]], **arguments))


def saved_model(_, **arguments):
    return torchest.export.load(**arguments)


def variable_value(model, **arguments):
    return model.get_variable_value(**arguments)


def exporter(_, **arguments):
    right = {"name": "best", "serving_input_receiver_fn": input_fn}
    return torchest.BestExporter(**{**right, **arguments})


def latest(_, **arguments):
    return torchest.latest_checkpoint(**arguments)


def load(_, **arguments):
    return torchest.load_checkpoint(**arguments)


def variables(_, **arguments):
    return torchest.list_variables(**arguments)


def variable(model, **arguments):
    return torchest.load_variable(
        **{"ckpt_dir_or_file": model.model_dir, "name": "linear.x.weight", **arguments}
    )


def iterator(_, **arguments):
    return torchest.checkpoints_iterator(**{"checkpoint_dir": "unused", **arguments})


def warm(_, **arguments):
    return torchest.WarmStartSettings(**{"ckpt_to_initialize_from": "unused", **arguments})


def vocab(_, **arguments):
    right = {"new_vocab": ["a"], "new_vocab_size": 1, "num_oov_buckets": 0, "old_vocab": ["a"]}
    return torchest.VocabInfo(**{**right, **arguments})


CASES = [
    case
    for make in (config, replaced)
    for case in (
        *of(make, "model_dir", *NOT_PATHS),
        *of(make, "save_checkpoints_steps", *NOT_WHOLE, 0, -1),
        *of(make, "save_summary_steps", *NOT_WHOLE, -1),
        *of(make, "log_step_count_steps", *NOT_WHOLE, 0, -1),
        *of(make, "keep_checkpoint_max", *NOT_WHOLE, -1),
        *of(make, "accumulate_steps", *NOT_WHOLE, 0, None),
        *of(make, "tf_random_seed", *NOT_WHOLE),
        *of(make, "save_checkpoints_secs", *NOT_NUMBERS, 0, -1),
        *of(make, "keep_checkpoint_every_n_hours", *NOT_NUMBERS, 0, -1),
        *of(make, "session_creation_timeout_secs", *NOT_NUMBERS, 0, None),
        *of(make, "experimental_max_worker_delay_secs", *NOT_NUMBERS, -1),
        *of(make, "clip_norm", *NOT_NUMBERS, 0, -1),
        *of(make, "checkpoint_save_graph_def", *NOT_BOOLEANS),
        *of(make, "compile", *NOT_BOOLEANS),
        *of(make, "precision", "bf17", 16, None, object()),
        *of(make, "protocol", "http", 5, object()),
        *of(make, "device_fn", *NOT_FUNCTIONS, 0, ""),
        *of(make, "train_distribute", "MirroredStrategy", 5, object()),
        *of(make, "eval_distribute", "MirroredStrategy", 5, object()),
    )
]
CASES += [
    *of(saved_model, "directory", *NOT_PATHS),
    *of(load, "ckpt_dir_or_file", "misspelt", "x" * 10_000),
    *of(variables, "ckpt_dir_or_file", "misspelt"),
    *of(variable, "name", *NOT_PATHS, "misspelt"),
    *of(variable_value, "name", *NOT_PATHS, "misspelt", np.array(["a", "b"])),
    *of(predict, "predict_keys", True, 1.5, object(), b"logits", {"a": 1}, np.array([1.5]), [3]),
    *of(exporter, "exports_to_keep", *NOT_WHOLE, 0),
    *of(exporter, "event_file_pattern", *NOT_PATHS[:3], object()),
    *of(exporter, "assets_extra", 5, "a", [1]),
    *of(train_spec, "hooks", np.array(1.5)),
    *of(train_spec, "input_fn", *NOT_FUNCTIONS, None),
    *of(train_spec, "max_steps", *NOT_WHOLE, 0, -1),
    *of(train_spec, "hooks", 5, "hook"),
    *of(eval_spec, "input_fn", *NOT_FUNCTIONS, None),
    *of(eval_spec, "steps", *NOT_WHOLE, 0, -1),
    *of(eval_spec, "name", *NOT_NAMES),
    *of(eval_spec, "exporters", 5, "best"),
    *of(eval_spec, "start_delay_secs", *NOT_NUMBERS, -1, None),
    *of(eval_spec, "throttle_secs", math.nan, True, "3", object(), [3.0], -1, None),
    *of(context, "num_input_pipelines", *NOT_WHOLE, 0, -1, None),
    *of(context, "input_pipeline_id", *NOT_WHOLE, -1, 5, None, num_input_pipelines=5),
    *of(context, "num_replicas_in_sync", *NOT_WHOLE, 0, -1, None),
    *of(batch_size, "global_batch_size", *NOT_WHOLE, 0, -1, 3, None),
    *of(estimator, "model_dir", *NOT_PATHS),
    *of(estimator, "config", 5, "config", {}),
    *of(estimator, "params", 5, "params", [1], {"open": open}.items()),
    *of(estimator, "warm_start_from", 5, "", "a\0b", object(), ["a"]),
    *of(train, "steps", *NOT_WHOLE, 0, -1),
    *of(train, "max_steps", *NOT_WHOLE, 0, -1),
    *of(train, "hooks", 5, "hook"),
    *of(train, "saving_listeners", 5, "listener"),
    *of(evaluate, "steps", *NOT_WHOLE, 0, -1),
    *of(evaluate, "name", *NOT_NAMES),
    *of(evaluate, "checkpoint_path", *NOT_PATHS),
    *of(predict, "checkpoint_path", *NOT_PATHS),
    *of(predict, "yield_single_examples", *NOT_BOOLEANS),
    *of(export, "export_dir_base", *NOT_PATHS, None),
    *of(export, "checkpoint_path", *NOT_PATHS),
    *of(export, "as_text", *NOT_BOOLEANS),
    *of(export, "experimental_mode", 5, None, ["predict"], b"predict"),
    *of(export, "formats", 5, [5], [["onnx"]], {"onnx": 1}),
    *of(latest, "checkpoint_dir", *NOT_PATHS, None),
    *of(load, "ckpt_dir_or_file", *NOT_PATHS, None),
    *of(variables, "ckpt_dir_or_file", *NOT_PATHS, None),
    *of(variable, "ckpt_dir_or_file", *NOT_PATHS, None),
    *of(variable, "name", 5, None, ["a"], object()),
    *of(iterator, "checkpoint_dir", *NOT_PATHS, None),
    *of(iterator, "min_interval_secs", *NOT_NUMBERS, -1, None),
    *of(iterator, "timeout", *NOT_NUMBERS, -1),
    *of(iterator, "timeout_fn", *NOT_FUNCTIONS),
    *of(warm, "ckpt_to_initialize_from", *NOT_PATHS, None),
    *of(warm, "vars_to_warm_start", 5, [5], object()),
    *of(warm, "copy_slots", *NOT_BOOLEANS),
    *of(vocab, "new_vocab", 5, None, "", object()),
    *of(vocab, "old_vocab", 5, None, "", object()),
    *of(vocab, "new_vocab_size", *NOT_WHOLE, 0, -1, None),
    *of(vocab, "num_oov_buckets", *NOT_WHOLE, -1, None),
    *of(vocab, "old_vocab_size", *NOT_WHOLE, 0, -2, None),
    *of(vocab, "axis", *NOT_WHOLE, 2, -1, None),
    *of(vocab, "backup_initializer", *NOT_FUNCTIONS),
]


@pytest.mark.parametrize(
    ("function", "argument", "value", "others"),
    CASES,
    ids=[f"{case[0].__name__}-{case[1]}-{shown(case[2])[:40]}" for case in CASES],
)
def test_a_wrong_argument_is_named_with_its_value(model, function, argument, value, others):
    value_shown = re.escape(shown(value))
    message = rf"{argument}\b.*{value_shown}|no variable {value_shown}|has {value_shown}|mode {value_shown}"
    if isinstance(value, list):
        message += rf"|{argument}.*{re.escape(repr(value[0]))}"
    with pytest.raises((ValueError, TypeError), match=message) as raised:
        function(model, **{**others, argument: value})
    assert raised.value.__traceback__.tb_next is not None  # from torchest, not from a wrong call
    assert len(str(raised.value)) < 500


def test_a_path_too_long_for_a_file_is_told_in_short():
    with pytest.raises(ValueError, match=r"^'x+\.\.\.x+' is not an exported model: it has no"):
        torchest.export.load("x" * 10_000)
    with pytest.raises(ValueError, match=r"^ckpt_dir_or_file='x+\.\.\.x+' neither has checkpoints"):
        torchest.load_checkpoint("x" * 10_000)


@pytest.mark.parametrize("name", [None, "", "validation", "a/b", "2026-01-01"])
def test_the_directory_of_evaluations_has_their_name(model, name):
    expected = f"{model.model_dir}/eval_{name}" if name else f"{model.model_dir}/eval"
    assert model.eval_dir(name) == expected


def test_params_that_cannot_be_copied_are_refused_with_the_way_out():
    with pytest.raises(ValueError, match=r"params=.* cannot be copied \(.*model_fn"):
        torchest.Estimator(model_fn, "unused", params={"modules": (n for n in "ab")})


def test_numpy_numbers_are_right_where_whole_numbers_are():
    assert torchest.VocabInfo(["a"], np.int64(1), np.int64(0), ["a"], axis=np.int64(1)).axis == 1
    assert InputContext(np.int64(2), np.int64(1)).input_pipeline_id == 1
    assert torchest.RunConfig(save_checkpoints_steps=np.int64(5)).save_checkpoints_steps == 5
