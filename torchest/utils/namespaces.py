"""Restricts the namespaces of modules to public names, with suggestions for misspelt names."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import TYPE_CHECKING

from torchest.errors import suggest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_PLACES = (
    "torchest",
    "torchest.experimental",
    "torchest.export",
    "torchest.columns",
    "torchest.inputs",
)
_TREES = (
    "torchest has no boosted trees: use XGBoost, LightGBM or scikit-learn's HistGradientBoosting estimators, or a "
    "DNNLinearCombinedClassifier or -Regressor."
)
_TPU = (
    "torchest has the same Estimator for all devices: give it "
    "RunConfig(train_distribute=torchest.distributed.XLAStrategy()) on a TPU."
)
_WAYS_OUT = {
    **dict.fromkeys(
        ("BoostedTreesClassifier", "BoostedTreesRegressor", "BoostedTreesEstimator"), _TREES
    ),
    **dict.fromkeys(("BoostedTreesModel", "boosted_trees", "GradientBoostedTrees"), _TREES),
    **dict.fromkeys(("TPUEstimator", "TPUEstimatorSpec", "TPUConfig", "TPURunConfig", "tpu"), _TPU),
    **dict.fromkeys(("InputPipelineConfig", "TPUEmbedding"), _TPU),
    "KMeans": "torchest has no clustering: use sklearn.cluster.KMeans.",
    "KMeansClustering": "torchest has no clustering: use sklearn.cluster.KMeans.",
    "GMM": "torchest has no clustering: use sklearn.mixture.GaussianMixture.",
    "SVM": "torchest has no support vector machines: use a LinearClassifier with LinearSDCA, or sklearn.svm.",
    "Experiment": "Use train_and_evaluate with a TrainSpec and an EvalSpec.",
    "learn_runner": "Use train_and_evaluate with a TrainSpec and an EvalSpec.",
    "ExportStrategy": "Use an exporter in an EvalSpec: BestExporter, FinalExporter or LatestExporter.",
    "linear_logit_fn_builder": "Use torchest.columns.LinearFeatures, a module that gives the logits.",
    "dnn_logit_fn_builder": "Use torchest.columns.DenseFeatures and layers of torch, which give the logits.",
    "binary_classification_head": "It is called BinaryClassHead.",
    "multi_class_head": "It is called MultiClassHead.",
    "multi_label_head": "It is called MultiLabelHead.",
    "multi_head": "It is called MultiHead.",
    "regression_head": "It is called RegressionHead.",
    "poisson_regression_head": "It is called PoissonRegressionHead.",
    "logistic_regression_head": "It is called LogisticRegressionHead.",
}


def namespace(
    module: str, public: Sequence[str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """The functions `__getattr__` and `__dir__` of a module that shows only its public names.

    Args:
        module: The module's `__name__`.
        public: Its `__all__`.
    """

    def get_attribute(name: str) -> object:
        if name.startswith("__") or is_submodule(module, name):  # Python itself may have asked
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        raise AttributeError(no_attribute(module, name, public))

    return get_attribute, lambda: list(public)


def is_submodule(package: str, name: str) -> bool:
    """Whether a package has a module of this name, imported or not."""
    is_package = hasattr(sys.modules[package], "__path__")
    return is_package and importlib.util.find_spec(f"{package}.{name}") is not None


def no_attribute(module: str, name: str, public: Sequence[str]) -> str:
    """The message of an AttributeError.

    Args:
        module: The module's `__name__`.
        name: The missing name.
        public: Its public names.
    """
    return f"module {module!r} has no attribute {name!r}.{_way_out(module, name, public)}"


def _way_out(module: str, name: str, public: Sequence[str]) -> str:
    if name in _WAYS_OUT:
        return f" {_WAYS_OUT[name]}"
    plain = name.removesuffix("V2").removesuffix("V1")
    if plain != name and plain in public:
        return f" It is called {plain}."
    for place in _PLACES:
        if place != module and plain in importlib.import_module(place).__all__:
            return f" It is {place}.{plain}."
    return suggest(name, public)
