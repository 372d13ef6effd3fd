"""The public names of torchest."""

from torchest import (
    columns,
    distribute,
    distributed,
    export,
    feature_column,
    inputs,
    metrics,
    optimizers,
)
from torchest.canned.baseline import BaselineClassifier, BaselineEstimator, BaselineRegressor
from torchest.canned.dnn import DNNClassifier, DNNEstimator, DNNRegressor
from torchest.canned.extenders import add_metrics, forward_features
from torchest.canned.from_module import model_to_estimator
from torchest.canned.linear import LinearClassifier, LinearEstimator, LinearRegressor
from torchest.canned.parse_specs import classifier_parse_example_spec, regressor_parse_example_spec
from torchest.canned.wide_deep import (
    DNNLinearCombinedClassifier,
    DNNLinearCombinedEstimator,
    DNNLinearCombinedRegressor,
)
from torchest.checkpoint.directory import latest_checkpoint
from torchest.checkpoint.variables import (
    checkpoints_iterator,
    list_variables,
    load_checkpoint,
    load_variable,
)
from torchest.engine.hooks import (
    SessionRunArgs,
    SessionRunContext,
    SessionRunHook,
    SessionRunValues,
)
from torchest.engine.scope import get_or_create
from torchest.engine.train_step import backward
from torchest.errors import (
    CheckpointMismatchError,
    DamagedCheckpointError,
    DamagedExportError,
    ExportError,
    MissingFeatureError,
    NanLossDuringTrainingError,
)
from torchest.estimator.estimator import Estimator
from torchest.heads.base import Head
from torchest.heads.binary import BinaryClassHead
from torchest.heads.multi import MultiHead
from torchest.heads.multi_class import MultiClassHead
from torchest.heads.multi_label import MultiLabelHead
from torchest.heads.regression import LogisticRegressionHead, PoissonRegressionHead, RegressionHead
from torchest.hooks.checkpoint_saver import CheckpointSaverHook, CheckpointSaverListener
from torchest.hooks.embedding_projector import EmbeddingProjectorHook
from torchest.hooks.feed_fn import FeedFnHook
from torchest.hooks.final_ops import FinalOpsHook
from torchest.hooks.global_step_waiter import GlobalStepWaiterHook
from torchest.hooks.nan_loss import NanTensorHook
from torchest.hooks.profiler import ProfilerHook
from torchest.hooks.progress import LoggingTensorHook
from torchest.hooks.stop_at_step import StopAtStepHook
from torchest.hooks.summaries import StepCounterHook, SummarySaverHook
from torchest.hooks.timer import SecondOrStepTimer
from torchest.keys import ModeKeys
from torchest.run_config import RunConfig
from torchest.spec import EstimatorSpec, Scaffold
from torchest.train_evaluate.driver import train_and_evaluate
from torchest.train_evaluate.exporters import BestExporter, Exporter, FinalExporter, LatestExporter
from torchest.train_evaluate.specs import EvalSpec, TrainSpec
from torchest.version import __version__
from torchest.warm_start.settings import VocabInfo, WarmStartSettings

__all__ = [
    "BaselineClassifier",
    "BaselineEstimator",
    "BaselineRegressor",
    "BestExporter",
    "BinaryClassHead",
    "CheckpointMismatchError",
    "CheckpointSaverHook",
    "CheckpointSaverListener",
    "DNNClassifier",
    "DNNEstimator",
    "DNNLinearCombinedClassifier",
    "DNNLinearCombinedEstimator",
    "DNNLinearCombinedRegressor",
    "DNNRegressor",
    "DamagedCheckpointError",
    "DamagedExportError",
    "EmbeddingProjectorHook",
    "Estimator",
    "EstimatorSpec",
    "EvalSpec",
    "ExportError",
    "Exporter",
    "FeedFnHook",
    "FinalExporter",
    "FinalOpsHook",
    "GlobalStepWaiterHook",
    "Head",
    "LatestExporter",
    "LinearClassifier",
    "LinearEstimator",
    "LinearRegressor",
    "LoggingTensorHook",
    "LogisticRegressionHead",
    "MissingFeatureError",
    "ModeKeys",
    "MultiClassHead",
    "MultiHead",
    "MultiLabelHead",
    "NanLossDuringTrainingError",
    "NanTensorHook",
    "PoissonRegressionHead",
    "ProfilerHook",
    "RegressionHead",
    "RunConfig",
    "Scaffold",
    "SecondOrStepTimer",
    "SessionRunArgs",
    "SessionRunContext",
    "SessionRunHook",
    "SessionRunValues",
    "StepCounterHook",
    "StopAtStepHook",
    "SummarySaverHook",
    "TrainSpec",
    "VocabInfo",
    "WarmStartSettings",
    "__version__",
    "add_metrics",
    "backward",
    "checkpoints_iterator",
    "classifier_parse_example_spec",
    "columns",
    "distribute",
    "distributed",
    "export",
    "feature_column",
    "forward_features",
    "get_or_create",
    "inputs",
    "latest_checkpoint",
    "list_variables",
    "load_checkpoint",
    "load_variable",
    "metrics",
    "model_to_estimator",
    "optimizers",
    "regressor_parse_example_spec",
    "train_and_evaluate",
]

# Public modules that are imported when they are asked for.
SUBMODULES = ("estimator", "experimental", "heads", "losses", "models", "summary", "v1")
