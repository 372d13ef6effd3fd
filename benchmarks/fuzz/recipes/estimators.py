"""Recipes of estimators, their methods, and what runs them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import torch

import torchest
from benchmarks.fuzz import things
from benchmarks.fuzz.recipe import Recipe
from torchest.engine.hooks import all_of

if TYPE_CHECKING:
    from collections.abc import Mapping

OPTIMIZER = "str | Callable"
WEIGHTS = "str | FeatureColumn | None"
TYPES = {
    "optimizer": OPTIMIZER,
    "linear_optimizer": f"{OPTIMIZER} | None",
    "dnn_optimizer": OPTIMIZER,
    "weight_column": WEIGHTS,
    "units": "Sequence[int] | int | None",
}
COMMON: dict[str, Any] = {"model_dir": "some_model", "config": None}
LINEAR: dict[str, Any] = {
    **COMMON,
    "feature_columns": [things.X],
    "warm_start_from": None,
    "sparse_combiner": "sum",
}
DEEP: dict[str, Any] = {
    **COMMON, "hidden_units": [3], "feature_columns": [things.X], "warm_start_from": None,
    "activation_fn": torch.relu, "dropout": 0.5, "batch_norm": False,
}  # fmt: skip
COMBINED: dict[str, Any] = {
    **COMMON, "linear_feature_columns": [things.TOWN], "linear_optimizer": "Ftrl", "dnn_feature_columns": [things.X],
    "dnn_optimizer": "Adagrad", "dnn_hidden_units": [3], "dnn_activation_fn": torch.relu, "dnn_dropout": 0.5,
    "warm_start_from": None, "batch_norm": False, "linear_sparse_combiner": "sum",
}  # fmt: skip
RECURRENT: dict[str, Any] = {
    **COMMON, "sequence_feature_columns": [things.STEPS], "context_feature_columns": [things.X], "units": [3],
    "cell_type": "gru", "rnn_cell_fn": None, "return_sequences": False, "optimizer": "Adagrad",
}  # fmt: skip
CLASSES: dict[str, Any] = {
    "n_classes": 2, "weight_column": "w", "label_vocabulary": ["no", "yes"], "loss_reduction": "sum",
}  # fmt: skip
NUMBERS: dict[str, Any] = {"label_dimension": 1, "weight_column": "w", "loss_reduction": "sum"}


# whose optimizer=None is Ftrl, as in TensorFlow
LINEAR_TYPES = {**TYPES, "optimizer": f"{OPTIMIZER} | None"}


def _with_head(arguments: dict[str, Any]) -> dict[str, Any]:
    return {"head": torchest.BinaryClassHead(), **arguments}


def _canned(types: Mapping[str, str] = TYPES, **arguments: Any) -> Recipe:
    return Recipe(lambda: arguments, types=types, calls=110)


def _three(results: Any) -> Any:
    return list(itertools.islice(results, 3))


def _specs() -> dict[str, Any]:
    return {
        "estimator": things.classifier(),
        "train_spec": torchest.TrainSpec(things.input_fn, max_steps=2),
        "eval_spec": torchest.EvalSpec(things.input_fn, steps=1),
    }


def _early(**arguments: Any) -> Recipe:
    return Recipe(
        lambda: {
            "estimator": things.classifier("early"), "metric_name": "loss", "eval_dir": None, "min_steps": 0,
            "run_every_secs": None, "run_every_steps": 10, **arguments,
        }
    )  # fmt: skip


def _metric_fn(predictions: Any) -> dict[str, Any]:
    return {"m": torchest.metrics.mean(predictions["logits"])}


def _hooks_taken(spec: torchest.EstimatorSpec) -> None:
    """Takes the hooks of a spec as a run does: once, not in every step."""
    for name in SPEC_HOOKS:
        all_of(torchest.SessionRunHook, name, getattr(spec, name))


SPEC_HOOKS = ("training_chief_hooks", "training_hooks", "evaluation_hooks", "prediction_hooks")
HOOKS = "Sequence[SessionRunHook] | None"
RECIPES = {
    "BaselineClassifier": _canned(**COMMON, **CLASSES, optimizer="Ftrl"),
    "BaselineRegressor": _canned(**COMMON, **NUMBERS, optimizer="Ftrl"),
    "BaselineEstimator": _canned(**_with_head(COMMON), optimizer="Ftrl"),
    "LinearClassifier": _canned(LINEAR_TYPES, **LINEAR, **CLASSES, optimizer="Ftrl"),
    "LinearRegressor": _canned(LINEAR_TYPES, **LINEAR, **NUMBERS, optimizer="Ftrl"),
    "LinearEstimator": _canned(LINEAR_TYPES, **_with_head(LINEAR), optimizer="Ftrl"),
    "DNNClassifier": _canned(**DEEP, **CLASSES, optimizer="Adagrad"),
    "DNNRegressor": _canned(**DEEP, **NUMBERS, optimizer="Adagrad"),
    "DNNEstimator": _canned(**_with_head(DEEP), optimizer="Adagrad"),
    "DNNLinearCombinedClassifier": _canned(**COMBINED, **CLASSES),
    "DNNLinearCombinedRegressor": _canned(**COMBINED, **NUMBERS),
    "DNNLinearCombinedEstimator": _canned(**_with_head(COMBINED)),
    "experimental.RNNClassifier": _canned(**RECURRENT, **CLASSES, sequence_mask="sequence_mask"),
    "experimental.RNNEstimator": _canned(**_with_head(RECURRENT)),
    "Estimator": Recipe(
        lambda: {
            "model_fn": things.model_fn,
            "model_dir": "own",
            "config": None,
            "params": None,
            "warm_start_from": None,
        }
    ),
    "Estimator.train": Recipe(
        lambda: {
            "input_fn": things.input_fn,
            "hooks": None,
            "steps": 2,
            "max_steps": None,
            "saving_listeners": None,
        },
        lambda: things.classifier().train,
        types={"steps": "count | None", "max_steps": "count | None"},
        calls=60,
    ),
    "Estimator.evaluate": Recipe(
        lambda: {
            "input_fn": things.input_fn,
            "steps": 1,
            "hooks": None,
            "checkpoint_path": None,
            "name": "a",
        },
        lambda: things.trained().evaluate,
        types={"steps": "count | None"},
        calls=60,
    ),
    "Estimator.predict": Recipe(
        lambda: {
            "input_fn": things.input_fn,
            "predict_keys": None,
            "hooks": None,
            "checkpoint_path": None,
            "yield_single_examples": True,
        },
        lambda: things.trained().predict,
        _three,
        calls=60,
    ),
    "Estimator.eval_dir": Recipe(lambda: {"name": "a"}, lambda: things.trained().eval_dir),
    "Estimator.latest_checkpoint": Recipe(function=lambda: things.trained().latest_checkpoint),
    "Estimator.get_variable_names": Recipe(function=lambda: things.trained().get_variable_names),
    "Estimator.get_variable_value": Recipe(
        lambda: {"name": "linear.bias"}, lambda: things.trained().get_variable_value
    ),
    "Estimator.export_saved_model": Recipe(
        lambda: {
            "export_dir_base": "out",
            "serving_input_receiver_fn": things.supervised_receiver_fn,
            "assets_extra": None,
            "as_text": False,
            "checkpoint_path": None,
            "experimental_mode": "eval",
            "formats": ["onnx"],
        },
        lambda: things.trained().export_saved_model,
        aliases=("mode",),
        calls=40,
    ),
    "Estimator.export_savedmodel": Recipe(
        lambda: {"export_dir_base": "out", "serving_input_receiver_fn": things.receiver_fn},
        lambda: things.trained().export_savedmodel,
        calls=10,
    ),
    "Estimator.experimental_export_all_saved_models": Recipe(
        lambda: {
            "export_dir_base": "out",
            "input_receiver_fn_map": {"eval": things.supervised_receiver_fn},
            "assets_extra": None,
            "as_text": False,
            "checkpoint_path": None,
        },
        lambda: things.trained().experimental_export_all_saved_models,
        aliases=("mode",),
        calls=40,
    ),
    "RunConfig": Recipe(
        lambda: {
            "model_dir": "m",
            "tf_random_seed": 1,
            "save_summary_steps": 10,
            "save_checkpoints_steps": 10,
            "keep_checkpoint_max": 5,
            "keep_checkpoint_every_n_hours": 1.5,
            "log_step_count_steps": 10,
            "train_distribute": None,
            "eval_distribute": None,
            "precision": "float32",
            "ddp_comm_hook": None,
            "sync_batch_norm": False,
            "compile": False,
            "accumulate_steps": 1,
            "clip_norm": 1.5,
        },
        types={
            "save_summary_steps": "count | None",
            "save_checkpoints_steps": "count | None",
            "log_step_count_steps": "count | None",
            "keep_checkpoint_max": "count | None",
        },
        calls=200,
    ),
    "RunConfig.replace": Recipe(
        lambda: {"save_summary_steps": 10, "model_dir": "m"},
        lambda: torchest.RunConfig().replace,
        types={"save_summary_steps": "count | None", "model_dir": "str | os.PathLike[str] | None"},
    ),
    "TrainSpec": Recipe(
        lambda: {
            "input_fn": things.input_fn,
            "max_steps": 2,
            "hooks": None,
            "saving_listeners": None,
        },
        types={"max_steps": "count | None"},
    ),
    "EvalSpec": Recipe(
        lambda: {
            "input_fn": things.input_fn,
            "steps": 1,
            "name": "a",
            "hooks": None,
            "exporters": None,
            "start_delay_secs": 0,
            "throttle_secs": 0,
        },
        types={"steps": "count | None"},
    ),
    "train_and_evaluate": Recipe(_specs, calls=60),
    "EstimatorSpec": Recipe(
        lambda: {
            "mode": "train",
            "predictions": {"y": torch.zeros(2)},
            "loss": torch.tensor(0.5),
            "train_op": torch.optim.SGD([things.parameter()]),
            "eval_metric_ops": None,
            "export_outputs": None,
            "training_chief_hooks": None,
            "training_hooks": None,
            "scaffold": None,
            "evaluation_hooks": None,
            "prediction_hooks": None,
            "loss_reduction": "sum",
        },
        types={
            "predictions": "Tensor | Mapping[str, Any] | None",
            "loss": "Tensor",
            "train_op": "Any",
            **dict.fromkeys(SPEC_HOOKS, HOOKS),
        },
        then=_hooks_taken,
    ),
    "Scaffold": Recipe(lambda: {"init_fn": None}),
    "get_or_create": Recipe(
        lambda: {"name": "net", "factory": lambda: torch.nn.Linear(1, 1)}, lambda: _in_scope
    ),
    "backward": Recipe(
        lambda: {"loss": things.parameter().sum()}, lambda: _in_train_op, types={"loss": "Tensor"}
    ),
    "forward_features": Recipe(
        lambda: {"estimator": things.classifier(), "keys": ["x"]}, aliases=("feature",)
    ),
    "add_metrics": Recipe(lambda: {"estimator": things.classifier(), "metric_fn": _metric_fn}),
    "model_to_estimator": Recipe(
        lambda: {
            "module": torch.nn.Linear(1, 1),
            "optimizer": "Adam",
            "loss": torch.nn.functional.mse_loss,
            "metrics": None,
            "checkpoint_format": None,
            "model_dir": "m",
            "config": None,
            "custom_objects": None,
        },
        types={"optimizer": OPTIMIZER},
    ),
    "classifier_parse_example_spec": Recipe(
        lambda: {
            "feature_columns": [things.X],
            "label_key": "y",
            "label_dtype": torch.int64,
            "label_default": 0,
            "weight_column": "w",
        },
        types={"label_dtype": "dtype", "label_default": "int | Sequence[Any] | None"},
    ),
    "regressor_parse_example_spec": Recipe(
        lambda: {
            "feature_columns": [things.X],
            "label_key": "y",
            "label_dtype": torch.float32,
            "label_default": 0.5,
            "label_dimension": 1,
            "weight_column": "w",
        },
        types={"label_dtype": "dtype", "label_default": "float | Sequence[Any] | None"},
    ),
    "latest_checkpoint": Recipe(lambda: {"checkpoint_dir": things.model_dir()}),
    "list_variables": Recipe(lambda: {"ckpt_dir_or_file": things.model_dir()}),
    "load_checkpoint": Recipe(lambda: {"ckpt_dir_or_file": things.model_dir()}),
    "load_variable": Recipe(
        lambda: {"ckpt_dir_or_file": things.model_dir(), "name": "linear.bias"}
    ),
    "checkpoints_iterator": Recipe(
        lambda: {
            "checkpoint_dir": things.model_dir(),
            "min_interval_secs": 0,
            "timeout": 0,
            "timeout_fn": None,
        },
        then=lambda paths: list(itertools.islice(paths, 1)),
    ),
    "VocabInfo": Recipe(
        lambda: {
            "new_vocab": ["a", "b", "c"],
            "new_vocab_size": 3,
            "num_oov_buckets": 0,
            "old_vocab": ["a"],
            "old_vocab_size": -1,
            "backup_initializer": torch.nn.init.zeros_,
            "axis": 0,
        },
        types={"new_vocab": "Words", "old_vocab": "Words"},
    ),
    "WarmStartSettings": Recipe(
        lambda: {
            "ckpt_to_initialize_from": things.model_dir(),
            "vars_to_warm_start": ".*",
            "var_name_to_vocab_info": None,
            "var_name_to_prev_var_name": None,
            "copy_slots": False,
        }
    ),
    "experimental.stop_if_higher_hook": _early(threshold=0.5),
    "experimental.stop_if_lower_hook": _early(threshold=0.5),
    "experimental.stop_if_no_decrease_hook": _early(max_steps_without_decrease=10),
    "experimental.stop_if_no_increase_hook": _early(max_steps_without_increase=10),
    "experimental.make_early_stopping_hook": Recipe(
        lambda: {
            "estimator": things.classifier("early"),
            "should_stop_fn": lambda: False,
            "run_every_secs": None,
            "run_every_steps": 10,
        }
    ),
    "experimental.make_stop_at_checkpoint_step_hook": Recipe(
        lambda: {
            "estimator": things.classifier("early"),
            "last_step": 10,
            "wait_after_file_check_secs": 30,
        }
    ),
    "experimental.InMemoryEvaluatorHook": Recipe(
        lambda: {
            "estimator": things.classifier("early"),
            "input_fn": things.input_fn,
            "steps": 1,
            "hooks": None,
            "name": "a",
            "every_n_iter": 10,
        },
        types={"steps": "count | None"},
    ),
    "experimental.LinearSDCA": Recipe(
        lambda: {
            "example_id_column": "id",
            "num_loss_partitions": 1,
            "num_table_shards": 1,
            "symmetric_l1_regularization": 0.5,
            "symmetric_l2_regularization": 1.0,
            "adaptive": False,
        }
    ),
    "experimental.call_logit_fn": Recipe(
        lambda: {
            "logit_fn": lambda features: torch.zeros(2, 1),
            "features": {"x": torch.zeros(2, 1)},
            "mode": "train",
            "params": None,
            "config": None,
        }
    ),
}


def _in_train_op(*surplus: Any, **arguments: Any) -> None:
    """Calls backward where alone it works: in a step of a training."""

    def model_fn(features: Any, labels: Any, mode: str) -> torchest.EstimatorSpec:
        net = torchest.get_or_create("net", lambda: torch.nn.Linear(1, 1))
        loss = net(torch.zeros(1, 1)).sum()
        return torchest.EstimatorSpec(
            mode, loss=loss, train_op=lambda: torchest.backward(*surplus, **arguments)
        )

    torchest.Estimator(model_fn).train(things.batch, steps=1)


def _in_scope(*surplus: Any, **arguments: Any) -> Any:
    from torchest.engine.scope import Scope

    scope = Scope(torch.device("cpu"), training=True)
    with scope.active(), scope.creating():
        return torchest.get_or_create(*surplus, **arguments)
