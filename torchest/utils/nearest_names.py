"""What to say of names that torchest does not have or has elsewhere, such as those of older tf.estimators."""

from __future__ import annotations

import importlib
from typing import Any

from torchest.errors import suggest

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


def no_attribute(module: str, name: str, known: list[str]) -> str:
    """The message of an AttributeError.

    Args:
        module: Where the name was looked for.
        name: The name.
        known: The public names of the module.
    """
    return f"module {module!r} has no attribute {name!r}.{_way_out(module, name, known)}"


def _way_out(module: str, name: str, known: list[str]) -> str:
    if name in _WAYS_OUT:
        return f" {_WAYS_OUT[name]}"
    plain = name.removesuffix("V2").removesuffix("V1")
    for place in _PLACES:
        if plain != name and plain in known:
            return f" It is called {plain}."
        if place != module and plain in _names(place):
            return f" It is {place}.{plain}."
    return suggest(name, known)


def _names(place: str) -> list[str]:
    found: Any = importlib.import_module(place).__all__
    return list(found)
