"""Write canned_deep.json: tf.estimator's DNN, combined and baseline estimators, step by step.

canned_traces.py says how its cases are to be read.
"""

from __future__ import annotations

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
    TAGS,
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
    indicator,
    rmsprop,
    sgd,
    words,
    write,
)

DENSE = [AGE, SCORES]
MIXED = [AGE, indicator(CITY), embedding(JOB, 3), embedding(TAG)]
RATE = sgd(learning_rate=0.1)  # DNN's own rates hardly move a weight in 20 steps


def deep(
    name: str,
    columns: list[Any] = MIXED,
    label: Any = "two",
    hidden_units: tuple[int, ...] = (5, 3),
    *,
    kind: str = "Classifier",
    optimizer: Any = RATE,
    **rest: Any,
) -> Case:
    return case(
        f"DNN{kind}, {name}",
        f"DNN{kind}",
        label,
        feature_columns=columns,
        hidden_units=list(hidden_units),
        optimizer=optimizer,
        **rest,
    )


def combined(
    name: str,
    linear: list[Any] | None,
    columns: list[Any] | None,
    label: Any = "two",
    *,
    kind: str = "Classifier",
    **rest: Any,
) -> Case:
    parts: dict[str, Any] = {}
    if linear is not None:
        parts["linear_feature_columns"] = linear
    if columns is not None:
        parts |= {"dnn_feature_columns": columns, "dnn_hidden_units": [4, 3]}
    estimator = f"DNNLinearCombined{kind}"
    return case(f"{estimator}, {name}", estimator, label, **parts, **rest)


def baseline(name: str, kind: str, label: Any, **rest: Any) -> Case:
    # two features make TensorFlow fail unless it knows the batch size
    return case(
        f"Baseline{kind}, {name}",
        f"Baseline{kind}",
        label,
        features=["age", "weight"],
        batch_size=10,
        **rest,
    )


def structure_cases() -> list[Case]:
    activations = {
        name: function(name)
        for name in ("tanh", "sigmoid", "elu", "selu", "softplus", "softsign", "gelu", "relu6")
    }
    return [
        deep("defaults", DENSE, optimizer="Adagrad", hidden_units=(6,)),
        deep("one hidden layer", DENSE, hidden_units=(4,)),
        deep("three hidden layers", hidden_units=(6, 5, 4)),
        *(deep(f"activation {name}", activation_fn=made) for name, made in activations.items()),
        deep("no activation", activation_fn=None),
        deep("dropout of 0", dropout=0.0),
        deep("dropout", dropout=0.5, starts_trained=True),
        deep(
            "dropout with batch normalisation", dropout=0.25, batch_norm=True, starts_trained=True
        ),
        deep("batch normalisation", batch_norm=True),
        deep("batch normalisation, 100 steps", batch_norm=True, steps=100),
        deep(
            "batch normalisation, tanh, one layer",
            batch_norm=True,
            hidden_units=(4,),
            activation_fn=function("tanh"),
            optimizer=adam(learning_rate=0.02),
        ),
        deep("batches of one row", batch_size=1, steps=60),
    ]


def column_cases() -> list[Case]:
    return [
        *(
            deep(
                f"embeddings with combiner {combiner}",
                [
                    embedding(TAG, 3, combiner=combiner),
                    embedding(CODES, combiner=combiner),
                    embedding(WEIGHTED_TAGS, combiner=combiner),
                ],
            )
            for combiner in ("sum", "mean", "sqrtn")
        ),
        *(
            deep(
                f"an embedding with combiner {combiner} and negative weights, momentum",
                [embedding(SIGNED_TAGS, 3, combiner=combiner), AGE],
                optimizer=sgd(learning_rate=0.1, momentum=0.9),
            )
            for combiner in ("sum", "mean")
        ),
        deep("embeddings with a largest norm", [embedding(TAG, 3, max_norm=0.5), embedding(DAY)]),
        deep(
            "embeddings of buckets, crosses and a vocabulary with rows for others",
            [
                embedding(AGES),
                embedding(crossed(["job", "city"], 11), 3),
                embedding(words("city", CITIES, num_oov_buckets=2)),
                HEIGHT,
            ],
        ),
        deep("an embedding that is not trained", [embedding(CITY, trainable=False), AGE]),
        deep(
            "indicators",
            [indicator(TAG), indicator(WEIGHTED_TAGS), indicator(AGES), indicator(CODES), AGES],
        ),
    ]


def target_cases() -> list[Case]:
    weight = call("numeric_column", key="weight")
    both = call(
        "MultiHead",
        heads=[
            call("BinaryClassHead", name="bought"),
            call("RegressionHead", name="amount", label_dimension=2),
        ],
        head_weights=[1.0, 0.25],
    )
    estimator = {"kind": "Estimator"}
    regressor = {"kind": "Regressor"}
    return [
        deep(
            "three classes, vocabulary, weights",
            label="three_words",
            n_classes=3,
            label_vocabulary=["high", "low", "middle"],
            weight_column="weight",
        ),
        deep(
            "label vocabulary, a numeric column as weight",
            label="two_words",
            label_vocabulary=["no", "yes"],
            weight_column=weight,
        ),
        deep(
            "loss reduction sum, weights of zero",
            loss_reduction="sum",
            weight_column="weight_or_zero",
            optimizer=sgd(learning_rate=0.02),
        ),
        deep("defaults", label="score", optimizer="Adagrad", **regressor),
        deep(
            "two labels, weights",
            label="scores",
            label_dimension=2,
            weight_column="weight",
            **regressor,
        ),
        deep(
            "loss reduction sum, batch normalisation",
            label="score",
            loss_reduction="sum",
            batch_norm=True,
            optimizer=sgd(learning_rate=0.01),
            **regressor,
        ),
        deep("Poisson head", label="events", head=call("PoissonRegressionHead"), **estimator),
        deep("logistic head", label="share", head=call("LogisticRegressionHead"), **estimator),
        deep(
            "multi-label head",
            label="several",
            head=call("MultiLabelHead", n_classes=3),
            **estimator,
        ),
        deep("two heads", label={"bought": "two", "amount": "scores"}, head=both, **estimator),
    ]


def optimizer_cases() -> list[Case]:
    optimizers = {
        "Ftrl, l1, l2": ftrl(
            learning_rate=0.1, l1_regularization_strength=0.02, l2_regularization_strength=0.01
        ),
        "Adagrad": adagrad(learning_rate=0.1),
        "Adam": adam(learning_rate=0.02),
        "Adam, amsgrad": adam(learning_rate=0.02, amsgrad=True, beta_2=0.9),
        "Adam, staircase": adam(learning_rate=STAIRCASE, epsilon=1e-2),
        "RMSProp, centered, momentum": rmsprop(
            learning_rate=0.01, centered=True, momentum=0.5, rho=0.8, epsilon=1e-3
        ),
        "RMSProp": rmsprop(learning_rate=0.01, epsilon=1e-3),
        "SGD, Nesterov": sgd(learning_rate=0.05, momentum=0.9, nesterov=True),
        "SGD, momentum, exponential decay": sgd(learning_rate=EXPONENTIAL, momentum=0.5),
    }
    tanh = function("tanh")
    return [
        *(
            deep(f"{name} by name", optimizer=name)
            for name in ("Ftrl", "Adagrad", "Adam", "RMSProp", "SGD")
        ),
        *(deep(name, optimizer=made, activation_fn=tanh) for name, made in optimizers.items()),
        deep(
            "Ftrl, an id 0 that no row has",
            [
                embedding(words("tags", ["rare", *TAGS])),
                embedding(words("city", ["rare", *CITIES])),
            ],
            optimizer=ftrl(learning_rate=0.1),
        ),
        deep("Adagrad, 100 steps", optimizer=adagrad(learning_rate=0.1), steps=100),
    ]


def combined_cases() -> list[Case]:
    wide = [CITY, TAG, crossed(["job", "city"], 9)]
    regressor = {"kind": "Regressor"}
    estimator = {"kind": "Estimator"}
    fast = {
        "linear_optimizer": ftrl(learning_rate=0.2),
        "dnn_optimizer": adagrad(learning_rate=0.1),
    }
    return [
        combined("defaults", wide, MIXED),
        combined("only linear", wide, None),
        combined("only deep", None, MIXED),
        combined(
            "only deep, batch normalisation", None, MIXED, batch_norm=True, dnn_optimizer=RATE
        ),
        combined("both at larger rates", wide, MIXED, **fast),
        combined("both at larger rates, 100 steps", wide, MIXED, steps=100, **fast),
        *(
            combined(
                f"linear combiner {combiner}",
                [TAG, CODES],
                MIXED,
                linear_sparse_combiner=combiner,
                **fast,
            )
            for combiner in ("mean", "sqrtn")
        ),
        combined(
            "one class of optimizer for both",
            wide,
            MIXED,
            dnn_optimizer="Adam",
            linear_optimizer="Adam",
        ),
        combined(
            "two of one class",
            wide,
            MIXED,
            linear_optimizer=sgd(learning_rate=0.1),
            dnn_optimizer=sgd(learning_rate=0.05, momentum=0.9),
        ),
        combined(
            "schedules in both",
            wide,
            MIXED,
            linear_optimizer=ftrl(learning_rate=PIECEWISE),
            dnn_optimizer=adam(learning_rate=STAIRCASE, epsilon=1e-2),
        ),
        combined(
            "batch normalisation, tanh",
            wide,
            MIXED,
            batch_norm=True,
            dnn_activation_fn=function("tanh"),
            **fast,
        ),
        combined("dropout", wide, MIXED, dnn_dropout=0.3, starts_trained=True, **fast),
        combined(
            "three classes, vocabulary, weights, sum",
            wide,
            MIXED,
            "three_words",
            n_classes=3,
            label_vocabulary=["high", "low", "middle"],
            weight_column="weight",
            loss_reduction="sum",
            **fast,
        ),
        combined(
            "RMSProp and momentum",
            wide,
            MIXED,
            linear_optimizer=sgd(learning_rate=0.05, momentum=0.9, nesterov=True),
            dnn_optimizer=rmsprop(learning_rate=0.01, epsilon=1e-3),
        ),
        combined("defaults", wide, MIXED, "score", **regressor),
        combined(
            "two labels, weights",
            [AGE, CITY],
            MIXED,
            "scores",
            label_dimension=2,
            weight_column="weight",
            **regressor,
            **fast,
        ),
        combined(
            "Poisson head",
            wide,
            MIXED,
            "events",
            head=call("PoissonRegressionHead"),
            **estimator,
            **fast,
        ),
        combined(
            "multi-label head",
            wide,
            MIXED,
            "several",
            head=call("MultiLabelHead", n_classes=3),
            **estimator,
            **fast,
        ),
    ]


def baseline_cases() -> list[Case]:
    both = call(
        "MultiHead",
        heads=[call("BinaryClassHead", name="bought"), call("RegressionHead", name="amount")],
    )
    return [
        baseline("defaults", "Classifier", "two"),
        baseline(
            "three classes, weights, vocabulary",
            "Classifier",
            "three_words",
            n_classes=3,
            weight_column="weight",
            label_vocabulary=["low", "middle", "high"],
        ),
        baseline(
            "loss reduction sum, Adam by name",
            "Classifier",
            "two",
            optimizer="Adam",
            loss_reduction="sum",
        ),
        baseline("SGD by name", "Classifier", "two", optimizer="SGD"),
        baseline("RMSProp by name", "Classifier", "two", optimizer="RMSProp"),
        baseline("100 steps", "Classifier", "three", n_classes=3, steps=100),
        baseline("defaults", "Regressor", "score"),
        baseline(
            "two labels, weights, Adagrad by name",
            "Regressor",
            "scores",
            label_dimension=2,
            weight_column="weight",
            optimizer="Adagrad",
        ),
        baseline(
            "loss reduction sum, momentum",
            "Regressor",
            "score",
            loss_reduction="sum",
            optimizer=sgd(learning_rate=0.01, momentum=0.9),
        ),
        baseline("Poisson head", "Estimator", "events", head=call("PoissonRegressionHead")),
        baseline(
            "multi-label head", "Estimator", "several", head=call("MultiLabelHead", n_classes=3)
        ),
        baseline("two heads", "Estimator", {"bought": "two", "amount": "score"}, head=both),
    ]


def main() -> None:
    write(
        __file__,
        [
            *structure_cases(),
            *column_cases(),
            *target_cases(),
            *optimizer_cases(),
            *combined_cases(),
            *baseline_cases(),
        ],
    )


if __name__ == "__main__":
    main()
