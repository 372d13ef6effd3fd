"""Write canned_linear.json: tf.estimator's linear estimators, step by step.

canned_traces.py says how its cases are to be read.
"""

from __future__ import annotations

import itertools
from typing import Any

from canned_traces import (
    AGE,
    AGES,
    CITIES,
    CITY,
    CODES,
    DAY,
    EXPONENTIAL,
    HEIGHT,
    JOB,
    PIECEWISE,
    SCORES,
    SIGNED_TAGS,
    STAIRCASE,
    TAG,
    WEIGHTED_TAGS,
    Case,
    adagrad,
    adam,
    call,
    case,
    crossed,
    embedding,
    ftrl,
    function,
    hashed,
    identity,
    indicator,
    rmsprop,
    sgd,
    words,
    write,
)

COLUMNS = [AGE, CITY, JOB]


def classifier(name: str, columns: list[Any] = COLUMNS, label: Any = "two", **rest: Any) -> Case:
    return case(name, "LinearClassifier", label, feature_columns=columns, **rest)


def regressor(name: str, columns: list[Any] = COLUMNS, label: Any = "score", **rest: Any) -> Case:
    return case(f"regressor, {name}", "LinearRegressor", label, feature_columns=columns, **rest)


def estimator(name: str, head: Any, label: Any, columns: list[Any] = COLUMNS, **rest: Any) -> Case:
    return case(
        f"estimator, {name}", "LinearEstimator", label, head=head, feature_columns=columns, **rest
    )


def column_cases() -> list[Case]:
    cases = [
        classifier("numeric columns", [HEIGHT, AGE, SCORES]),
        classifier("a vocabulary", [CITY]),
        classifier("a vocabulary with a default", [words("city", CITIES[:3], default_value=1)]),
        classifier("a vocabulary with rows for others", [words("city", CITIES, num_oov_buckets=2)]),
        classifier("hashed strings and integers", [JOB, hashed("account", 6, dtype="int64")]),
        classifier("identities", [DAY, identity("account", 5, default_value=2)]),
        classifier("buckets", [AGES, AGE]),
        classifier("a cross of keys", [crossed(["job", "city"], 13), CITY]),
        classifier(
            "a cross with buckets and a hash key", [crossed([AGES, "city"], 11, hash_key=5)]
        ),
        classifier("a cross of multivalent keys", [crossed(["tags", "city"], 10)]),
        classifier("an indicator", [indicator(CITY), indicator(TAG), AGE]),
        classifier(
            "all kinds of columns, 100 steps",
            [SCORES, JOB, DAY, TAG, AGES, CITY, crossed(["day", "city"], 8), HEIGHT],
            steps=100,
        ),
    ]
    for combiner in ("sum", "mean", "sqrtn"):
        cases += [
            classifier(
                f"several values, combiner {combiner}", [TAG, CODES], sparse_combiner=combiner
            ),
            classifier(
                f"weighted values, combiner {combiner}",
                [WEIGHTED_TAGS, CODES],
                sparse_combiner=combiner,
            ),
            classifier(
                f"negative weights, combiner {combiner}, momentum",
                [SIGNED_TAGS],
                sparse_combiner=combiner,
                optimizer=sgd(learning_rate=0.1, momentum=0.9),
            ),
        ]
    return cases


def classifier_cases() -> list[Case]:
    weight = call("numeric_column", key="weight")
    three = {"label": "three", "n_classes": 3}
    return [
        classifier("three classes", **three),
        classifier("four classes of which one has no rows", label="three", n_classes=4),
        classifier("a weight", weight_column="weight"),
        classifier("a numeric column as weight", weight_column=weight),
        classifier("weights of zero", weight_column="weight_or_zero"),
        classifier("integer weights of shape [batch]", weight_column="count"),
        classifier("loss reduction sum", loss_reduction="sum"),
        classifier("loss reduction sum, weights", loss_reduction="sum", weight_column="weight"),
        classifier("label vocabulary", label="two_words", label_vocabulary=["no", "yes"]),
        classifier(
            "three classes, label vocabulary, weights, combiner mean",
            [TAG, SCORES],
            label="three_words",
            n_classes=3,
            label_vocabulary=["high", "low", "middle"],
            weight_column="weight",
            sparse_combiner="mean",
        ),
        classifier("three classes, loss reduction sum", loss_reduction="sum", **three),
        classifier("batches of one row", batch_size=1, steps=60),
    ]


def regressor_cases() -> list[Case]:
    return [
        regressor("defaults"),
        regressor("two labels", label="scores", label_dimension=2),
        regressor(
            "two labels, weights, several values",
            [TAG, HEIGHT],
            "scores",
            label_dimension=2,
            weight_column="weight",
            sparse_combiner="sqrtn",
        ),
        regressor("weights", weight_column="weight"),
        regressor(
            "weights of zero, loss reduction sum",
            weight_column="weight_or_zero",
            loss_reduction="sum",
        ),
        regressor("loss reduction sum", loss_reduction="sum", optimizer=sgd(learning_rate=0.01)),
        regressor("batches that divide the rows", batch_size=10),
    ]


def head_cases() -> list[Case]:
    several = call("MultiLabelHead", n_classes=3)
    both = call(
        "MultiHead",
        heads=[
            call("BinaryClassHead", name="bought"),
            call("RegressionHead", name="amount", label_dimension=2),
        ],
    )
    weighted = call(
        "MultiHead",
        heads=[
            call("MultiClassHead", n_classes=3, name="level", weight_column="weight"),
            call("PoissonRegressionHead", name="visits"),
            call("MultiLabelHead", n_classes=3, name="kinds"),
        ],
        head_weights=[1.0, 0.5, 2.0],
    )
    return [
        estimator("binary head", call("BinaryClassHead", thresholds=[0.3, 0.7]), "two"),
        estimator("multi-class head", call("MultiClassHead", n_classes=3, name="level"), "three"),
        estimator("regression head", call("RegressionHead", label_dimension=2), "scores"),
        estimator(
            "regression head with an inverse link",
            call("RegressionHead", inverse_link_fn=function("sigmoid"), weight_column="weight"),
            "share",
        ),
        estimator("Poisson head", call("PoissonRegressionHead"), "events"),
        estimator(
            "Poisson head, short loss, weights",
            call("PoissonRegressionHead", compute_full_loss=False, weight_column="weight"),
            "events",
        ),
        estimator("logistic head", call("LogisticRegressionHead"), "share"),
        estimator(
            "logistic head, weights, loss reduction sum",
            call("LogisticRegressionHead", weight_column="weight", loss_reduction="sum"),
            "share",
        ),
        estimator("multi-label head", several, "several"),
        estimator(
            "multi-label head, thresholds, weights, per-class metrics",
            call(
                "MultiLabelHead",
                n_classes=3,
                thresholds=[0.4, 0.6],
                weight_column="weight",
                classes_for_class_based_metrics=[0, 2],
                name="kinds",
            ),
            "several",
        ),
        estimator("two heads", both, {"bought": "two", "amount": "scores"}),
        estimator(
            "three heads with weights",
            weighted,
            {"level": "three", "visits": "events", "kinds": "several"},
            optimizer=ftrl(learning_rate=0.1),
        ),
        estimator(
            "binary head, Adam by name, mean",
            call("BinaryClassHead"),
            "two",
            [TAG, AGE],
            optimizer="Adam",
            sparse_combiner="mean",
        ),
    ]


def optimizer_cases() -> list[Case]:
    named = [
        classifier(f"{name} by name", optimizer=name)
        for name in ("Ftrl", "Adagrad", "Adam", "RMSProp", "SGD")
    ]
    optimizers = {
        "Ftrl, l1": ftrl(learning_rate=0.1, l1_regularization_strength=0.05),
        "Ftrl, l1 so strong that weights stay 0": ftrl(
            learning_rate=0.1, l1_regularization_strength=5.0
        ),
        "Ftrl, l2": ftrl(learning_rate=0.1, l2_regularization_strength=0.2),
        "Ftrl, l2 shrinkage": ftrl(learning_rate=0.1, l2_shrinkage_regularization_strength=0.1),
        "Ftrl, beta": ftrl(learning_rate=0.1, beta=0.5),
        "Ftrl, learning rate power -0.3": ftrl(learning_rate=0.1, learning_rate_power=-0.3),
        "Ftrl, learning rate power 0": ftrl(learning_rate=0.05, learning_rate_power=0.0),
        "Ftrl, initial accumulator": ftrl(learning_rate=0.2, initial_accumulator_value=1.0),
        "Ftrl, everything": ftrl(
            learning_rate=0.05,
            learning_rate_power=-0.6,
            initial_accumulator_value=0.3,
            l1_regularization_strength=0.01,
            l2_regularization_strength=0.02,
            l2_shrinkage_regularization_strength=0.01,
            beta=0.1,
        ),
        "Ftrl, exponential decay": ftrl(learning_rate=EXPONENTIAL),
        "Adagrad": adagrad(learning_rate=0.1),
        "Adagrad, initial accumulator and epsilon": adagrad(
            learning_rate=0.1, initial_accumulator_value=0.0, epsilon=1e-3
        ),
        "Adagrad, piecewise constant": adagrad(learning_rate=PIECEWISE),
        "Adam": adam(learning_rate=0.05),
        "Adam, betas and epsilon": adam(learning_rate=0.05, beta_1=0.8, beta_2=0.99, epsilon=1e-3),
        "Adam, amsgrad": adam(learning_rate=0.05, amsgrad=True, beta_2=0.9),
        "Adam, staircase": adam(learning_rate=STAIRCASE),
        "RMSProp": rmsprop(learning_rate=0.02),
        "RMSProp, rho and epsilon": rmsprop(learning_rate=0.02, rho=0.7, epsilon=1e-3),
        "RMSProp, momentum": rmsprop(learning_rate=0.02, momentum=0.8),
        "RMSProp, centered": rmsprop(learning_rate=0.02, centered=True, epsilon=1e-3),
        "RMSProp, centered, momentum": rmsprop(
            learning_rate=0.02, centered=True, momentum=0.5, epsilon=1e-3
        ),
        "RMSProp, piecewise constant": rmsprop(learning_rate=PIECEWISE),
        "SGD": sgd(learning_rate=0.3),
        "SGD, momentum": sgd(learning_rate=0.1, momentum=0.9),
        "SGD, Nesterov": sgd(learning_rate=0.1, momentum=0.9, nesterov=True),
        "SGD, exponential decay": sgd(learning_rate=EXPONENTIAL, momentum=0.5),
    }
    instances = [
        classifier(name, [*COLUMNS, TAG], optimizer=made) for name, made in optimizers.items()
    ]
    keys = ["account", "city", "codes", "day", "job", "tags"]
    crosses = [
        crossed(list(some), 3) for count in (2, 3) for some in itertools.combinations(keys, count)
    ]
    none = classifier("no optimizer, so a rate by the number of columns", crosses, optimizer=None)
    long = [
        classifier(
            "Ftrl, l1, 100 steps",
            [*COLUMNS, TAG],
            steps=100,
            optimizer=ftrl(learning_rate=0.1, l1_regularization_strength=0.05),
        ),
        classifier(
            "Adam, 100 steps", [*COLUMNS, TAG], steps=100, optimizer=adam(learning_rate=0.02)
        ),
        regressor("Adam", [AGE, SCORES, JOB], optimizer=adam(learning_rate=0.05)),
        regressor("RMSProp", [AGE, SCORES, JOB], optimizer=rmsprop(learning_rate=0.02)),
        regressor("SGD by name", [AGE, JOB], optimizer="SGD"),
    ]
    return [*named, *instances, *long, none]


def main() -> None:
    write(
        __file__,
        [
            *column_cases(),
            *classifier_cases(),
            *regressor_cases(),
            *head_cases(),
            *optimizer_cases(),
            classifier("an embedding", [embedding(CITY), AGE]),
        ],
    )


if __name__ == "__main__":
    main()
