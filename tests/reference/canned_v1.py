"""Write canned_v1.json: the canned estimators of tf.compat.v1.estimator, step by step.

canned_traces.py says how its cases are to be read. The estimators that take a head are missing: with TensorFlow 2's
heads, the only public ones, they refuse the optimizers of TensorFlow 1.
"""

from __future__ import annotations

from typing import Any

from canned_traces import (
    AGE,
    AGES,
    CITY,
    CODES,
    DAY,
    HEIGHT,
    JOB,
    SCORES,
    TAG,
    WEIGHTED_TAGS,
    Case,
    call,
    crossed,
    embedding,
    indicator,
    write,
)
from canned_traces import case as described

COLUMNS = [AGE, CITY, JOB]
DENSE = [AGE, HEIGHT, indicator(CITY), embedding(JOB, 3), embedding(TAG, 2)]
MANY = [AGE, AGES, CITY, CODES, DAY, HEIGHT, JOB, SCORES, TAG, crossed(["day", "city"], 8)]
MEAN, BY_NONZERO = "weighted_mean", "weighted_sum_by_nonzero_weights"
OVER_BATCH = "weighted_sum_over_batch_size"


def case(name: str, estimator: str, label: Any = "two", **rest: Any) -> Case:
    return {**described(name, estimator, label, **rest), "generation": 1}


def linear(name: str, columns: list[Any] = COLUMNS, label: Any = "two", **rest: Any) -> Case:
    return case(f"linear, {name}", "LinearClassifier", label, feature_columns=columns, **rest)


def deep(name: str, columns: list[Any] = DENSE, label: Any = "two", **rest: Any) -> Case:
    arguments = {"hidden_units": [5, 3], "feature_columns": columns, **rest}
    return case(f"deep, {name}", "DNNClassifier", label, **arguments)


def combined(name: str, kind: str, label: Any, **rest: Any) -> Case:
    arguments = {
        "linear_feature_columns": COLUMNS,
        "dnn_feature_columns": DENSE,
        "dnn_hidden_units": [4],
        **rest,
    }
    return case(f"combined, {name}", f"DNNLinearCombined{kind}", label, **arguments)


def baseline(name: str, kind: str, label: Any, **rest: Any) -> Case:
    return case(f"baseline, {name}", f"Baseline{kind}", label, features=["age", "weight"], **rest)


def linear_cases() -> list[Case]:
    of_numbers = {"feature_columns": COLUMNS}
    return [
        linear("defaults"),
        linear("three classes", label="three", n_classes=3),
        linear("names of classes", label="two_words", label_vocabulary=["no", "yes"]),
        linear("weights", weight_column="weight"),
        linear("weights of 0", weight_column="weight_or_zero"),
        linear("mean by weights", weight_column="weight", loss_reduction=MEAN),
        linear("mean by weights, some 0", weight_column="weight_or_zero", loss_reduction=MEAN),
        linear("nonzero weights", weight_column="weight_or_zero", loss_reduction=BY_NONZERO),
        linear("mean over the batch", weight_column="weight", loss_reduction=OVER_BATCH),
        linear("mean without weights", loss_reduction=MEAN),
        linear("many columns", MANY),
        linear("no optimizer", MANY, optimizer=None),
        linear("averaged ids", [TAG, CODES, WEIGHTED_TAGS], sparse_combiner="mean"),
        linear("batches of 10, an even number", batch_size=10),
        *(linear(f"named {name}", optimizer=name) for name in ("Adagrad", "Adam", "RMSProp")),
        linear("named SGD", loss_reduction=OVER_BATCH, optimizer="SGD"),
        case("linear regressor", "LinearRegressor", "score", **of_numbers),
        case("linear regressor, weights", "LinearRegressor", "score", **of_numbers,
             weight_column="weight", loss_reduction=MEAN),
        case("linear regressor, two labels", "LinearRegressor", "scores", **of_numbers,
             label_dimension=2, weight_column="weight_or_zero", loss_reduction=BY_NONZERO),
    ]  # fmt: skip


def deep_cases() -> list[Case]:
    return [
        deep("defaults"),
        deep("three classes", label="three_words", n_classes=3,
             label_vocabulary=["low", "middle", "high"]),
        deep("weights", weight_column="weight"),
        deep("mean by weights", weight_column="weight", loss_reduction=MEAN),
        deep("batch normalisation", batch_norm=True),
        deep("another activation", activation_fn={"function": "tanh"}),
        *(deep(f"named {name}", optimizer=name) for name in ("Adam", "Ftrl", "RMSProp", "SGD")),
        case("deep regressor", "DNNRegressor", "score", hidden_units=[4], feature_columns=DENSE),
        case("deep regressor, two labels", "DNNRegressor", "scores", hidden_units=[4],
             feature_columns=DENSE, label_dimension=2, loss_reduction=MEAN,
             weight_column="weight"),
    ]  # fmt: skip


def optimizer_cases() -> list[Case]:
    decay = call("exponential_decay", learning_rate=0.1, decay_steps=5, decay_rate=0.7)
    stairs = {**decay, "arguments": {**decay["arguments"], "staircase": True}}
    piecewise = call("piecewise_constant", boundaries=[6, 12], values=[0.1, 0.05, 0.01])
    polynomial = call("polynomial_decay", learning_rate=0.1, decay_steps=12, power=2.0)
    cosine = call("cosine_decay", learning_rate=0.1, decay_steps=15, alpha=0.1)
    optimizers = {
        "GradientDescent, piecewise": call("GradientDescentOptimizer", learning_rate=piecewise),
        "Momentum": call("MomentumOptimizer", learning_rate=0.02, momentum=0.9),
        "Momentum, a decay": call("MomentumOptimizer", learning_rate=decay, momentum=0.5),
        "Nesterov": call(
            "MomentumOptimizer", learning_rate=stairs, momentum=0.8, use_nesterov=True
        ),
        "Adagrad, polynomial": call("AdagradOptimizer", learning_rate=polynomial),
        "Adam": call("AdamOptimizer", learning_rate=cosine, beta1=0.8, epsilon=0.01),
        "Adadelta": call("AdadeltaOptimizer", learning_rate=1.0),
        "RMSProp": call("RMSPropOptimizer", learning_rate=0.02, decay=0.8),
        "RMSProp with momentum": call("RMSPropOptimizer", learning_rate=0.01, momentum=0.7),
        "centered RMSProp": call(
            "RMSPropOptimizer", learning_rate=0.01, centered=True, epsilon=0.1
        ),
        "Ftrl": call(
            "FtrlOptimizer",
            learning_rate=0.1,
            l1_regularization_strength=0.1,
            l2_regularization_strength=0.05,
        ),
        "ProximalAdagrad": call(
            "ProximalAdagradOptimizer",
            learning_rate=0.1,
            l1_regularization_strength=0.05,
            l2_regularization_strength=0.1,
        ),
        "ProximalGradientDescent": call(
            "ProximalGradientDescentOptimizer",
            learning_rate=0.05,
            l1_regularization_strength=0.05,
            l2_regularization_strength=0.1,
        ),
    }
    return [
        deep(name, loss_reduction=OVER_BATCH, optimizer=optimizer)
        for name, optimizer in optimizers.items()
    ]


def other_cases() -> list[Case]:
    return [
        combined("classifier", "Classifier", "two"),
        combined("three classes", "Classifier", "three", n_classes=3, weight_column="weight"),
        combined("regressor", "Regressor", "score"),
        combined("many linear columns", "Classifier", "two", linear_feature_columns=MANY),
        combined("named optimizers", "Classifier", "two", linear_optimizer="Adagrad",
                 dnn_optimizer="Adam"),
        case("linear half alone", "DNNLinearCombinedClassifier", linear_feature_columns=COLUMNS),
        baseline("classifier", "Classifier", "two"),
        baseline("three classes", "Classifier", "three", n_classes=3),
        baseline("regressor", "Regressor", "score", weight_column="weight"),
        baseline("named Adam", "Classifier", "two", optimizer="Adam"),
    ]  # fmt: skip


if __name__ == "__main__":
    write(__file__, [*linear_cases(), *deep_cases(), *optimizer_cases(), *other_cases()])
