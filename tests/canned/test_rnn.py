"""Estimators of sequences, besides the numbers that they share with TensorFlow."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch import nn

import torchest
from torchest import columns, experimental
from torchest.models.rnn import RNNModel

WATCHED = columns.sequence_categorical_column_with_identity("watched", 9)
COLUMNS = [columns.embedding_column(WATCHED, 4)]
ROWS = [[3, 5, 1], [2], [], [8, 8]]


def classifier(model_dir=None, **arguments):
    given = {"units": [5], "cell_type": "gru", **arguments}
    return experimental.RNNClassifier(COLUMNS, model_dir=model_dir, **given)


def logits(model, rows):
    return np.stack([row["logits"] for row in model.predict(lambda: [{"watched": rows}])])


def test_padding_does_not_change_a_row(tmp_path):
    model = classifier(tmp_path).train(lambda: [({"watched": ROWS}, [1, 0, 1, 0])])
    together = logits(model, ROWS)
    alone = np.concatenate([logits(model, [row]) for row in ROWS])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)
    longer = logits(model, [*ROWS, [1] * 40])[:4]
    np.testing.assert_allclose(together, longer, rtol=1e-5, atol=1e-6)


def test_a_row_without_steps_has_the_logits_of_a_state_of_zeros(tmp_path):
    model = classifier(tmp_path).train(lambda: [({"watched": ROWS}, [1, 0, 1, 0])])
    bias = model.get_variable_value("rnn.logits.bias")
    np.testing.assert_allclose(logits(model, [[], []]), [bias, bias], rtol=1e-6)


@pytest.mark.parametrize("cell_type", ["simple_rnn", "lstm", "gru"])
def test_it_learns_what_only_the_order_tells(cell_type):
    """Whether 1 comes before 2: the sum of embeddings would not know."""
    random = np.random.default_rng(0)
    rows = [list(random.permutation([1, 2, 3, 4, 5])) for _ in range(200)]
    labels = np.array([row.index(1) < row.index(2) for row in rows], np.int64)
    model = classifier(
        cell_type=cell_type,
        units=[16],
        optimizer=lambda parameters: torch.optim.Adam(parameters, lr=0.03),
        config=torchest.RunConfig(tf_random_seed=1),
    )
    model.train(lambda: ({"watched": rows}, labels), steps=150)
    assert model.evaluate(lambda: [({"watched": rows}, labels)])["accuracy"] > 0.95


def test_a_layer_of_ones_own(tmp_path):
    model = classifier(
        tmp_path,
        units=None,
        cell_type="simple_rnn",
        rnn_cell_fn=lambda inputs: nn.LSTM(inputs, 3, num_layers=2, batch_first=True),
    ).train(lambda: [({"watched": ROWS}, [1, 0, 1, 0])])
    assert "rnn.layers.0.weight_hh_l1" in model.get_variable_names()
    assert logits(model, ROWS).shape == (4, 1)


STEP_LABELS = [[1, 0, 1], [0], [], [1, 1]]


@pytest.mark.parametrize(
    "labels",
    [STEP_LABELS, np.array([[1, 0, 1], [0, 9, 9], [9, 9, 9], [1, 1, 9]])],
    ids=["lists", "matrix"],
)
def test_labels_of_each_step_as_lists_or_as_a_matrix(labels, tmp_path):
    config = torchest.RunConfig(tf_random_seed=2)
    model = classifier(tmp_path, return_sequences=True, config=config)
    actual = model.evaluate(lambda: [({"watched": ROWS}, labels)])
    rows = list(model.predict(lambda: [{"watched": ROWS}]))
    assert [row["sequence_mask"].sum() for row in rows] == [3, 1, 0, 2]
    right = [
        row["class_ids"][: len(steps), 0] == steps
        for row, steps in zip(rows, STEP_LABELS, strict=True)
    ]
    assert actual["accuracy"] == pytest.approx(np.concatenate(right).mean(), abs=1e-6)


MATRIX = np.array([[*row, *[-1] * (7 - len(row))] for row in ROWS])


def test_steps_behind_the_longest_row_change_no_number(tmp_path):
    """Not by a bit: nothing reads them."""
    weights = []
    for name, rows in (("lists", ROWS), ("matrix", MATRIX)):
        config = torchest.RunConfig(tf_random_seed=2)
        model = classifier(tmp_path / name, config=config)
        model.train(lambda rows=rows: ({"watched": rows}, [1, 0, 1, 0]), steps=3)
        values = [model.get_variable_value(key) for key in model.get_variable_names()]
        weights.append([*values, logits(model, rows)])
    assert all(map(np.array_equal, *weights))


@pytest.mark.parametrize("width", [3, 7], ids=["the longest row", "the matrix"])
def test_every_step_of_a_matrix_has_a_prediction(width, tmp_path):
    config = torchest.RunConfig(tf_random_seed=2)
    model = classifier(tmp_path, return_sequences=True, config=config)
    labels = np.array([[*row, *[9] * (width - len(row))] for row in STEP_LABELS])
    of_matrix = model.evaluate(lambda: ({"watched": MATRIX}, labels))
    assert of_matrix == model.evaluate(lambda: ({"watched": ROWS}, STEP_LABELS))
    rows = list(model.predict(lambda: [{"watched": MATRIX}]))
    assert [row["logits"].shape for row in rows] == [(7, 1)] * 4
    assert [row["sequence_mask"].sum() for row in rows] == [3, 1, 0, 2]
    lists = list(model.predict(lambda: [{"watched": ROWS}]))
    for wide, narrow in zip(rows, lists, strict=True):
        np.testing.assert_array_equal(wide["logits"][:3], narrow["logits"])


def test_labels_that_leave_out_a_step_are_named():
    model = classifier(return_sequences=True)
    message = "labels: row 0 of a batch has 2 of them, and 3 steps"
    with pytest.raises(ValueError, match=message):
        model.train(lambda: ({"watched": MATRIX}, np.zeros((4, 2), np.int64)))


def test_labels_that_are_words(tmp_path):
    model = classifier(tmp_path, return_sequences=True, label_vocabulary=["no", "yes"])
    labels = [["yes", "no", "no"], ["yes"], [], ["no", "no"]]
    model.train(lambda: [({"watched": ROWS}, labels)])
    row = next(model.predict(lambda: [{"watched": ROWS}]))
    assert row["classes"].shape == (3, 1)


def test_a_label_for_each_step_is_needed():
    model = classifier(return_sequences=True)
    message = "labels: row 3 of a batch has 1 of them, and 2 steps: with return_sequences, give one for each step"
    with pytest.raises(ValueError, match=re.escape(message)):
        model.train(lambda: [({"watched": ROWS}, [[1, 0, 1], [0], [], [1]])])


WRONG = {
    "no units": (
        {"units": None},
        "units is None: give the width of each recurrent layer, or rnn_cell_fn.",
    ),
    "units that are none": (
        {"units": [4, 0]},
        "units=[4, 0] must be the widths of the hidden layers, each above 0, such as [128, 64].",
    ),
    "a misspelt cell type": (
        {"cell_type": "lsmt"},
        "cell_type='lsmt' is not a type of cell. Did you mean 'lstm'?",
    ),
    "units and a layer": (
        {"rnn_cell_fn": lambda inputs: nn.GRU(inputs, 2)},
        "rnn_cell_fn makes the layer itself: leave units and cell_type out.",
    ),
    "a mask by the name of a feature": (
        {"return_sequences": True, "sequence_mask": COLUMNS[0].feature_keys[0]},
        f"sequence_mask={COLUMNS[0].feature_keys[0]!r} is the key of a feature of",
    ),
    "a layer that takes steps first": (
        {
            "units": None,
            "cell_type": "simple_rnn",
            "rnn_cell_fn": lambda inputs: nn.LSTM(inputs, 2),
        },
        "rnn_cell_fn made LSTM(batch_first=False), which mixes up rows and steps: give True.",
    ),
    "a layer that looks ahead": (
        {
            "units": None,
            "cell_type": "simple_rnn",
            "rnn_cell_fn": lambda inputs: nn.RNN(inputs, 2, batch_first=True, bidirectional=True),
        },
        "rnn_cell_fn made RNN(bidirectional=True), which reads beyond the end of a row: give False.",
    ),
    "weights that are a column": (
        {"return_sequences": True, "weight_column": columns.numeric_column("w")},
        "weight_column 'w' is a column: with return_sequences give the key of a feature with a weight for each",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.values(), ids=WRONG)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        classifier(**arguments)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (5, "rnn_cell_fn=5 must be a function of the number of inputs."),
        (lambda inputs: nn.Linear(inputs, 2), "rnn_cell_fn made a Linear: it must make a recurrent"),
        (lambda inputs: nn.GRUCell(inputs, 2), "rnn_cell_fn made a GRUCell: it must make a recurrent"),
    ],
)  # fmt: skip
def test_layers_that_are_none(make, message):
    with pytest.raises(TypeError, match=re.escape(message)):
        RNNModel(COLUMNS, rnn_cell_fn=make)


def test_columns_of_sequences_are_needed():
    town = columns.categorical_column_with_identity("town", 3)
    with pytest.raises(ValueError, match=r"'town_embedding' .* has no steps: give only"):
        experimental.RNNClassifier([columns.embedding_column(town, 2)], units=[2])


def test_one_head_for_each_step():
    head = torchest.MultiHead(
        [torchest.RegressionHead(name="a"), torchest.RegressionHead(name="b")]
    )
    with pytest.raises(ValueError, match="head is a MultiHead, which return_sequences does not"):
        experimental.RNNEstimator(head, COLUMNS, units=[2], return_sequences=True)


def test_a_mask_by_the_name_of_a_prediction():
    message = "sequence_mask='logits' is the name of another prediction: use another name."
    model = classifier(return_sequences=True, sequence_mask="logits")
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        next(model.predict(lambda: {"watched": ROWS}))
