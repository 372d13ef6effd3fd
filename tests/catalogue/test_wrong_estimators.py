"""What users get wrong about heads, optimizers and estimators, and the whole message that each of it gets."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch

import torchest
from torchest import columns as fc
from torchest import optimizers
from torchest.errors import MissingFeatureError
from torchest.heads import (
    BinaryClassHead,
    LogisticRegressionHead,
    MultiClassHead,
    MultiHead,
    MultiLabelHead,
    PoissonRegressionHead,
    RegressionHead,
)
from torchest.utils.arrays import NotUnderstoodError

X = fc.numeric_column("x")
TOWN = fc.categorical_column_with_vocabulary_list("town", ["a", "b"])
TWO_HEADS = MultiHead([BinaryClassHead(name="a"), RegressionHead(name="b")])


def trained(model, labels, features):
    batch = {"x": [1.0, 2.0], "town": ["a", "b"], **features}, labels
    return model.train(lambda: batch, steps=1)


def linear(labels, model_dir="model", features=(), **arguments):
    return trained(torchest.LinearClassifier([X], model_dir, **arguments), labels, dict(features))


def regressor(labels, **arguments):
    return trained(torchest.LinearRegressor([X], "model", **arguments), labels, {})


def dnn(hidden_units=(4,), feature_columns=(X,), **arguments):
    return torchest.DNNClassifier(hidden_units, feature_columns, "model", **arguments)


def combined(**arguments):
    return torchest.DNNLinearCombinedClassifier("model", **arguments)


WRONG = {
    # Labels
    "labels above the classes": (
        lambda: linear([0, 2]),
        ValueError,
        "BinaryClassHead: labels must be 0 or 1; found 2 in 1 of 2 labels. Labels are class "
        "ids from 0 to 1. If 2 is the name of a class, number the classes, for example with np.searchsorted(names, "
        "labels), or make labels text and give label_vocabulary.",
    ),
    "labels below 0": (
        lambda: linear([0, -1]),
        ValueError,
        "BinaryClassHead: labels must be at least 0; found -1 in 1 of 2 labels. Labels are "
        "class ids from 0 to 1. If -1 is the name of a class, number the classes, for example with "
        "np.searchsorted(names, labels), or make labels text and give label_vocabulary.",
    ),
    "labels above n_classes": (
        lambda: linear([0, 3], n_classes=3),
        ValueError,
        "MultiClassHead: labels must be below n_classes=3; found 3 in 1 of 2 labels. Labels "
        "are class ids from 0 to 2. If 3 is the name of a class, number the classes, for example with "
        "np.searchsorted(names, labels), or make labels text and give label_vocabulary.",
    ),
    "labels 10, 20 and 30 of three classes": (
        lambda: linear([10, 30], n_classes=3),
        ValueError,
        "MultiClassHead: labels must be below n_classes=3; found 10 in 2 of 2 labels. Labels "
        "are class ids from 0 to 2. If 10 is the name of a class, number the classes, for example with "
        "np.searchsorted(names, labels), or make labels text and give label_vocabulary.",
    ),
    "labels 1 and 2 of two classes": (
        lambda: trained(torchest.DNNClassifier([2], [X], "model"), [1, 2], {}),
        ValueError,
        "BinaryClassHead: labels must be 0 or 1; found 2 in 1 of 2 labels. Labels are class "
        "ids from 0 to 1. If 2 is the name of a class, number the classes, for example with np.searchsorted(names, "
        "labels), or make labels text and give label_vocabulary.",
    ),
    "labels 10 and 20 with a vocabulary of their texts": (
        lambda: linear([10, 20], label_vocabulary=["10", "20"]),
        ValueError,
        "labels must be strings of label_vocabulary=['10', '20']; they are numbers of dtype "
        "int64. Make them text, for example with astype(str); or leave label_vocabulary out if labels "
        "are class ids from 0 to 1.",
    ),
    "strings of numbers for a regressor": (
        lambda: regressor(["1.5", "2"]),
        ValueError,
        "labels are strings such as '1.5', and RegressionHead needs numbers. Turn them into "
        "numbers, for example with astype(float); for names of classes use a classifier, or a head such "
        "as BinaryClassHead.",
    ),
    "strings for a head of counts": (
        lambda: PoissonRegressionHead().loss(["a", "b"], torch.zeros(2, 1)),
        ValueError,
        "labels are strings such as 'a', and PoissonRegressionHead needs numbers. Turn them into "
        "numbers, for example with astype(float); for names of classes use a classifier, or a head such "
        "as BinaryClassHead.",
    ),
    "strings for a head of probabilities": (
        lambda: LogisticRegressionHead(name="p").loss(["a", "b"], torch.zeros(2, 1)),
        ValueError,
        "labels are strings such as 'a', and LogisticRegressionHead 'p' needs numbers. Turn them "
        "into numbers, for example with astype(float); for names of classes use a classifier, or a head "
        "such as BinaryClassHead.",
    ),
    "labels that are NaN": (
        lambda: linear([0.0, math.nan]),
        ValueError,
        "BinaryClassHead: labels must be there for every example; found nan in 1 of 2 labels."
        " Labels are class ids from 0 to 1.",
    ),
    "labels that are None": (
        lambda: linear([0, None], n_classes=3),
        ValueError,
        "MultiClassHead: labels must be there for every example; found nan in 1 of 2 labels. "
        "Labels are class ids from 0 to 2.",
    ),
    "labels of floats": (
        lambda: linear([0.0, 1.0], n_classes=3),
        ValueError,
        "MultiClassHead: labels have dtype float32 and must be class ids, whole numbers from "
        "0 to 2: turn them into int64, for example with labels.long().",
    ),
    "booleans for three classes": (
        lambda: linear([True, False], n_classes=3),
        ValueError,
        "MultiClassHead: labels have dtype bool and must be class ids, whole numbers from 0 "
        "to 2: turn them into int64, for example with labels.long().",
    ),
    "complex labels": (
        lambda: linear(np.array([1, 0j])),
        NotUnderstoodError,
        "'labels' has the numpy dtype complex128, which is not understood; give its real and its "
        "imaginary part as columns of their own, values.real and values.imag.",
    ),
    "more labels than rows": (
        lambda: linear([0, 1, 1]),
        ValueError,
        "BinaryClassHead: labels have shape [3], but for logits of shape [2, 1] their shape "
        "must be [2, 1] or [2].",
    ),
    "one-hot labels": (
        lambda: linear([[0, 1, 0], [0, 0, 1]], n_classes=3),
        ValueError,
        "MultiClassHead: labels have shape [2, 3], but for logits of shape [2, 3] their shape"
        " must be [2, 1] or [2]. For one-hot labels, give class ids: labels.argmax(1).",
    ),
    "a single label": (
        lambda: linear(1),
        ValueError,
        "'labels' is the single value 1 (rank 0), but one value per row is needed; for a "
        "batch of one row give [1].",
    ),
    "no labels": (
        lambda: linear(None),
        ValueError,
        "BinaryClassHead: labels are missing: let the input_fn give (features, labels), or "
        "name their column by label_name.",
    ),
    "labels by key": (
        lambda: linear({"y": [0, 1]}),
        ValueError,
        "BinaryClassHead: labels are a dict of 'y': give the labels alone, not by key; a dict"
        " is for a MultiHead.",
    ),
    "labels of unequal lengths": (
        lambda: linear([[0], [1, 1]]),
        ValueError,
        "'labels' holds lists of 1 to 2 values, and a tensor needs lists of one length; pad "
        "them, or use the feature through a categorical column.",
    ),
    "strings without a vocabulary": (
        lambda: linear(["a", "b"]),
        ValueError,
        "labels are strings such as 'a', and BinaryClassHead was made without "
        "label_vocabulary. Give label_vocabulary a list of all class names, or turn labels "
        "into numbers.",
    ),
    "strings for a regressor": (
        lambda: regressor(["a", "b"]),
        ValueError,
        "labels are strings such as 'a', and RegressionHead needs numbers. Turn them into "
        "numbers, for example with astype(float); for names of classes use a classifier, or a head such "
        "as BinaryClassHead.",
    ),
    "a label that is not in the vocabulary": (
        lambda: linear(
            ["setosa", "virginca"],
            label_vocabulary=["setosa", "versicolor", "virginica"],
            n_classes=3,
        ),
        ValueError,
        "labels must be strings of label_vocabulary; found 'virginca' in 1 of 2 labels. Did "
        "you mean 'virginica'? There are: 'setosa', 'versicolor', 'virginica'.",
    ),
    "a missing string": (
        lambda: linear(["a", None], label_vocabulary=["a", "b"]),
        ValueError,
        "labels must be strings of label_vocabulary; found a missing value in 1 of 2 labels. "
        "There are: 'a', 'b'.",
    ),
    "numbers with a vocabulary": (
        lambda: linear([0, 1], label_vocabulary=["a", "b"]),
        ValueError,
        "labels must be strings of label_vocabulary=['a', 'b']; they are numbers of dtype "
        "int64. Make them text, for example with astype(str); or leave label_vocabulary out if labels "
        "are class ids from 0 to 1.",
    ),
    "two numbers per example": (
        lambda: regressor([[1.0, 2.0], [1.0, 2.0]]),
        ValueError,
        "RegressionHead: labels have shape [2, 2], but for logits of shape [2, 1] their shape"
        " must be [2, 1] or [2]. For several numbers per example, give label_dimension.",
    ),
    "one number for label_dimension=2": (
        lambda: regressor([1.0, 2.0], label_dimension=2),
        ValueError,
        "RegressionHead: labels have shape [2], but for logits of shape [2, 2] their shape "
        "must be [2, 2].",
    ),
    "counts below 0": (
        lambda: PoissonRegressionHead().loss(torch.tensor([1.0, -1.0]), torch.zeros(2, 1)),
        ValueError,
        "PoissonRegressionHead: labels must be counts of at least 0; found -1 in 1 of 2 labels.",
    ),
    "counts that are NaN": (
        lambda: PoissonRegressionHead().loss(torch.tensor([1.0, math.nan]), torch.zeros(2, 1)),
        ValueError,
        "PoissonRegressionHead: labels must be counts of at least 0; found nan in 1 of 2 labels.",
    ),
    "probabilities above 1": (
        lambda: LogisticRegressionHead().loss(torch.tensor([1.0, 1.5]), torch.zeros(2, 1)),
        ValueError,
        "LogisticRegressionHead: labels must be probabilities from 0 to 1; found 1.5 in 1 of "
        "2 labels.",
    ),
    "too few columns for several classes": (
        lambda: MultiLabelHead(3).loss(torch.tensor([[1, 0], [0, 1]]), torch.zeros(2, 3)),
        ValueError,
        "MultiLabelHead: labels have shape [2, 2], but for logits of shape [2, 3] their shape"
        " must be [2, 3].",
    ),
    "a 2 for several classes": (
        lambda: MultiLabelHead(3).loss(torch.tensor([[1, 0, 2], [0, 1, 0]]), torch.zeros(2, 3)),
        ValueError,
        "MultiLabelHead: labels must be 0 or 1; found 2 in 1 of 6 labels. Labels are class "
        "ids from 0 to 1.",
    ),
    "lists with a class that is not there": (
        lambda: MultiLabelHead(3).loss([[0], [1, 3]], torch.zeros(2, 3)),
        ValueError,
        "MultiLabelHead: labels must be below n_classes=3; found 3 in 1 of 3 labels. Labels "
        "are class ids from 0 to 2. If 3 is the name of a class, number the classes, for example with "
        "np.searchsorted(names, labels), or make labels text and give label_vocabulary.",
    ),
    "lists of strings without a vocabulary": (
        lambda: MultiLabelHead(3).loss([["a"], ["b", "c"]], torch.zeros(2, 3)),
        ValueError,
        "labels are strings such as 'a', and MultiLabelHead was made without "
        "label_vocabulary. Give label_vocabulary a list of all class names, or turn labels "
        "into numbers.",
    ),
    "lists with an unknown string": (
        lambda: MultiLabelHead(2, label_vocabulary=["a", "b"]).loss(
            [["a"], ["b", "c"]], torch.zeros(2, 2)
        ),
        ValueError,
        "labels must be strings of label_vocabulary; found 'c' in 1 of 3 labels. There are: "
        "'a', 'b'.",
    ),
    # Logits
    "logits of another width": (
        lambda: BinaryClassHead().loss(torch.tensor([0, 1]), torch.zeros(2, 2)),
        ValueError,
        "BinaryClassHead: logits have shape [2, 2], but their shape must be [batch, 1]: let "
        "the model's last layer have 1 output, the head's logits_dimension.",
    ),
    "logits of one dimension": (
        lambda: BinaryClassHead().loss(torch.tensor([0, 1]), torch.zeros(2)),
        ValueError,
        "BinaryClassHead: logits have shape [2], but their shape must be [batch, 1]: let the "
        "model's last layer have 1 output, the head's logits_dimension.",
    ),
    "logits of integers": (
        lambda: BinaryClassHead().loss(torch.tensor([0, 1]), torch.zeros(2, 1).long()),
        ValueError,
        "BinaryClassHead: logits must be a tensor of floating point numbers, not a tensor of "
        "dtype int64.",
    ),
    "logits that are an array": (
        lambda: BinaryClassHead().loss(torch.tensor([0, 1]), np.zeros((2, 1))),
        ValueError,
        "BinaryClassHead: logits must be a tensor of floating point numbers, not a ndarray.",
    ),
    # Classes
    "one class": (
        lambda: linear([0, 0], n_classes=1),
        ValueError,
        "n_classes=1 must be a whole number of at least 2.",
    ),
    "a number of classes in quotes": (
        lambda: linear([0, 0], n_classes="3"),
        ValueError,
        "n_classes='3' must be a whole number of at least 2.",
    ),
    "True for a number of classes": (
        lambda: linear([0, 0], n_classes=True),
        ValueError,
        "n_classes=True must be a whole number of at least 2.",
    ),
    "two classes for the head of more": (
        lambda: MultiClassHead(2),
        ValueError,
        "n_classes=2 must be a whole number of at least 3. Use BinaryClassHead for 2 classes.",
    ),
    "too short a vocabulary": (
        lambda: linear([0, 0], n_classes=3, label_vocabulary=["a", "b"]),
        ValueError,
        "label_vocabulary=['a', 'b'] must have n_classes=3 different strings; it has 2.",
    ),
    "a vocabulary that repeats": (
        lambda: linear([0, 0], label_vocabulary=["a", "a"]),
        ValueError,
        "label_vocabulary=['a', 'a'] must have n_classes=2 different strings; it has 1.",
    ),
    "a vocabulary that is a string": (
        lambda: linear([0, 0], label_vocabulary="ab"),
        ValueError,
        "label_vocabulary='ab' is a str: give a list or tuple of strings, in the order of the class ids.",
    ),
    "a vocabulary of numbers": (
        lambda: linear([0, 0], label_vocabulary=[0, 1]),
        ValueError,
        "label_vocabulary has 0, a int: its items must be strings. Make names and labels "
        "text; or leave it out if labels are class ids from 0 to 1.",
    ),
    "a vocabulary without order": (
        lambda: linear([0, 0], label_vocabulary={"a"}),
        ValueError,
        "label_vocabulary={'a'} is a set: give a list or tuple of strings, in the order of the class ids.",
    ),
    "metrics of a class that is not there": (
        lambda: MultiLabelHead(3, classes_for_class_based_metrics=[3]),
        ValueError,
        "classes_for_class_based_metrics has 3: class ids are from 0 to 2.",
    ),
    "metrics of a name without a vocabulary": (
        lambda: MultiLabelHead(3, classes_for_class_based_metrics=["a"]),
        ValueError,
        "classes_for_class_based_metrics has 'a', but there is no label_vocabulary: give "
        "class ids, or label_vocabulary.",
    ),
    "metrics of a single class": (
        lambda: MultiLabelHead(3, classes_for_class_based_metrics=1),
        ValueError,
        "classes_for_class_based_metrics=1 must be a list of classes.",
    ),
    "a threshold of 1": (
        lambda: BinaryClassHead(thresholds=[0.5, 1.0]),
        ValueError,
        "thresholds=[0.5, 1.0] must be numbers between 0 and 1; 1.0 is not.",
    ),
    "a single threshold": (
        lambda: BinaryClassHead(thresholds=0.5),
        ValueError,
        "thresholds=0.5 must be a list of numbers between 0 and 1, such as [0.25, 0.5].",
    ),
    "a threshold in quotes": (
        lambda: BinaryClassHead(thresholds=["0.5"]),
        ValueError,
        "thresholds=['0.5'] must be numbers between 0 and 1; '0.5' is not.",
    ),
    # Weights
    "a misspelt weight column": (
        lambda: linear([0, 1], weight_column="wieght", features={"weight": [1.0, 1.0]}),
        MissingFeatureError,
        "weight_column 'wieght' is not among the features. Did you mean 'weight'? There are: "
        "'town', 'weight', 'x'.",
    ),
    "a misspelt key in a numeric weight column": (
        lambda: linear(
            [0, 1], weight_column=fc.numeric_column("wieght"), features={"weight": [1.0, 1.0]}
        ),
        MissingFeatureError,
        "Column 'wieght' reads the feature 'wieght', which is not there. Did you mean "
        "'weight'? There are: 'town', 'weight', 'x'.",
    ),
    "a weight below 0": (
        lambda: linear([0, 1], weight_column="w", features={"w": [1.0, -1.0]}),
        ValueError,
        "weight_column 'w' has the weight -1; found 1 such in 2 rows. Weights must be finite "
        "numbers of at least 0.",
    ),
    "a weight that is NaN": (
        lambda: linear([0, 1], weight_column="w", features={"w": [1.0, math.nan]}),
        ValueError,
        "weight_column 'w' has the weight nan; found 1 such in 2 rows. Weights must be finite"
        " numbers of at least 0.",
    ),
    "an infinite weight": (
        lambda: linear([0, 1], weight_column="w", features={"w": [1.0, math.inf]}),
        ValueError,
        "weight_column 'w' has the weight inf; found 1 such in 2 rows. Weights must be finite"
        " numbers of at least 0.",
    ),
    "weights that are strings": (
        lambda: linear([0, 1], weight_column="town"),
        ValueError,
        "weight_column 'town' holds strings or lists of unequal lengths: give the key of a "
        "feature with one number per example.",
    ),
    "two weights per example": (
        lambda: linear([0, 1], weight_column="w", features={"w": [[1.0, 1.0], [1, 1]]}),
        ValueError,
        "weight_column 'w' has shape [2, 2], but for logits of shape [2, 1] its shape must be"
        " [2, 1] or [2]: one weight per example.",
    ),
    "more weights than rows": (
        lambda: linear([0, 1], weight_column="w", features={"w": [1.0, 1.0, 1.0]}),
        ValueError,
        "Feature 'w' has 3 rows, but feature 'x' of the same batch has 2: all features need "
        "one row for each example.",
    ),
    "a categorical weight column": (
        lambda: linear([0, 1], weight_column=TOWN),
        ValueError,
        "weight_column=VocabularyListCategoricalColumn(key='town', vocabulary_list=('a', "
        "'b'), dtype='string', default_value=-1, num_oov_buckets=0) must be the key of a "
        "feature or a numeric column, not a VocabularyListCategoricalColumn.",
    ),
    "a weight column that is a number": (
        lambda: linear([0, 1], weight_column=3),
        ValueError,
        "weight_column=3 must be the key of a feature or a numeric column, not a int.",
    ),
    # Losses and heads
    "an unknown reduction": (
        lambda: linear([0, 1], loss_reduction="mean"),
        ValueError,
        "loss_reduction='mean' is not known. There are: 'auto', 'sum', 'sum_over_batch_size'.",
    ),
    "no reduction": (
        lambda: linear([0, 1], loss_reduction="none"),
        ValueError,
        "loss_reduction='none' is not known. There are: 'auto', 'sum', 'sum_over_batch_size'.",
    ),
    "a loss_fn that is a string": (
        lambda: BinaryClassHead(loss_fn="x"),
        ValueError,
        "loss_fn='x' must be a function of labels and logits.",
    ),
    "a loss_fn of other names": (
        lambda: BinaryClassHead(loss_fn=lambda a, b: a),
        ValueError,
        "loss_fn must take 'labels'; it takes (a, b). Its arguments are labels, logits and, "
        "optionally, features.",
    ),
    "a loss_fn that wants more": (
        lambda: BinaryClassHead(loss_fn=lambda labels, logits, w: logits),
        ValueError,
        "loss_fn takes 'w', which no head passes: its arguments are labels, logits and, "
        "optionally, features.",
    ),
    "a loss_fn that reduces": (
        lambda: BinaryClassHead(loss_fn=lambda labels, logits: logits.mean()).loss(
            torch.tensor([0, 1]), torch.zeros(2, 1)
        ),
        ValueError,
        "loss_fn returned a result of shape []; it must return a tensor of shape [2, 1]: one "
        "loss per example, before weights and reduction.",
    ),
    "an inverse_link_fn that is a string": (
        lambda: RegressionHead(inverse_link_fn="exp"),
        ValueError,
        "inverse_link_fn='exp' must be a function of logits, such as torch.exp.",
    ),
    "labels of no dimension": (
        lambda: regressor([0, 1], label_dimension=0),
        ValueError,
        "label_dimension=0 must be a whole number of at least 1.",
    ),
    "a name that is a number": (
        lambda: BinaryClassHead(name=3),
        ValueError,
        "name=3 must be a string. None is allowed, too.",
    ),
    "a misspelt prediction": (
        lambda: BinaryClassHead().predictions(torch.zeros(2, 1), keys=["logit"]),
        ValueError,
        "BinaryClassHead: keys has 'logit', which is not a prediction. Did you mean 'logits' or 'logistic'? "
        "There are: 'all_class_ids', 'all_classes', 'class_ids', 'classes', 'logistic', "
        "'logits', 'probabilities'.",
    ),
    "a head that is a class": (
        lambda: torchest.LinearEstimator(BinaryClassHead, [X], "model"),
        TypeError,
        "head is the class BinaryClassHead: give a head, such as BinaryClassHead(...).",
    ),
    "a head that is a string": (
        lambda: torchest.DNNEstimator("binary", [4], [X], "model"),
        TypeError,
        "head is 'binary' (str): give a head, such as torchest.BinaryClassHead().",
    ),
    "no head": (
        lambda: torchest.DNNLinearCombinedEstimator(None, "model", linear_feature_columns=[X]),
        TypeError,
        "head is None (NoneType): give a head, such as torchest.BinaryClassHead().",
    ),
    "two heads of one name": (
        lambda: MultiHead([BinaryClassHead(name="a"), RegressionHead(name="a")]),
        ValueError,
        "heads has two heads called 'a': give each a name of its own.",
    ),
    "a head without a name": (
        lambda: MultiHead([BinaryClassHead()]),
        ValueError,
        "heads has a BinaryClassHead without a name: give each head a name, such as name='click'.",
    ),
    "too many head_weights": (
        lambda: MultiHead([BinaryClassHead(name="a")], [1, 2]),
        ValueError,
        "head_weights=[1, 2] has 2 weights, but there are 1 heads: give one for each.",
    ),
    "head_weights in quotes": (
        lambda: MultiHead([BinaryClassHead(name="a")], ["x"]),
        ValueError,
        "head_weights[0]='x' must be a finite number.",
    ),
    "one head_weight for all": (
        lambda: MultiHead([BinaryClassHead(name="a")], 2.0),
        ValueError,
        "head_weights=2.0 must be a list of numbers, one for each head.",
    ),
    "no heads": (
        lambda: MultiHead([]),
        ValueError,
        "heads=[] must be a list of at least one head.",
    ),
    "heads that are strings": (
        lambda: MultiHead(["a"]),
        ValueError,
        "heads=['a']: 'a' (str) is not a head; give a list of heads.",
    ),
    "labels of several heads that are no dict": (
        lambda: TWO_HEADS.loss(torch.tensor([0, 1]), torch.zeros(2, 2)),
        ValueError,
        "MultiHead: labels must be a dict by the names of the heads, 'a', 'b'; they are a Tensor.",
    ),
    "labels without those of a head": (
        lambda: TWO_HEADS.loss({"a": torch.tensor([0, 1])}, torch.zeros(2, 2)),
        ValueError,
        "MultiHead: labels have nothing for the head 'b'; they need one item for each of 'a',"
        " 'b', and have 'a'.",
    ),
    "no labels for several heads": (
        lambda: TWO_HEADS.loss(None, torch.zeros(2, 2)),
        ValueError,
        "MultiHead: labels must be a dict by the names of the heads, 'a', 'b'; they are missing.",
    ),
    "labels of one of several heads": (
        lambda: TWO_HEADS.loss(
            {"a": torch.tensor([0, 3]), "b": torch.tensor([1.0, 1.0])}, torch.zeros(2, 2)
        ),
        ValueError,
        "BinaryClassHead 'a': labels must be 0 or 1; found 3 in 1 of 2 labels. Labels are "
        "class ids from 0 to 1. If 3 is the name of a class, number the classes, for example with "
        "np.searchsorted(names, labels), or make labels text and give label_vocabulary.",
    ),
    "logits of several heads": (
        lambda: TWO_HEADS.loss(
            {"a": torch.tensor([0, 1]), "b": torch.tensor([0, 1])}, torch.zeros(2, 3)
        ),
        ValueError,
        "MultiHead: logits have shape [2, 3], but their shape must be [batch, 2]: 1 of 'a' + "
        "1 of 'b'.",
    ),
    "training without an optimizer": (
        lambda: BinaryClassHead().create_estimator_spec(
            {}, "train", torch.zeros(2, 1), torch.tensor([0, 1])
        ),
        ValueError,
        "create_estimator_spec: one of optimizer and train_op_fn must be given to train; "
        "neither is given.",
    ),
    "a misspelt mode": (
        lambda: BinaryClassHead().create_estimator_spec(
            {}, "trian", torch.zeros(2, 1), torch.tensor([0, 1]), optimizer=object()
        ),
        ValueError,
        "mode='trian' is not known. Did you mean 'train'? There are: 'eval', 'infer', 'train'.",
    ),
    # Layers
    "no hidden layers": (
        lambda: dnn(hidden_units=[]),
        ValueError,
        "hidden_units=[] must be the widths of the hidden layers, each above 0, such as [128, 64].",
    ),
    "hidden_units that are None": (
        lambda: dnn(hidden_units=None),
        ValueError,
        "hidden_units=None must be the widths of the hidden layers, each above 0, such as "
        "[128, 64].",
    ),
    "a hidden layer of no units": (
        lambda: dnn(hidden_units=[4, 0]),
        ValueError,
        "hidden_units=[4, 0] must be the widths of the hidden layers, each above 0, such as "
        "[128, 64].",
    ),
    "hidden_units that are a number": (
        lambda: dnn(hidden_units=10),
        ValueError,
        "hidden_units=10 must be the widths of the hidden layers, each above 0, such as [128, 64].",
    ),
    "hidden_units in quotes": (
        lambda: dnn(hidden_units="10"),
        ValueError,
        "hidden_units='10' must be the widths of the hidden layers, each above 0, such as "
        "[128, 64].",
    ),
    "hidden_units of floats": (
        lambda: dnn(hidden_units=[10.0]),
        ValueError,
        "hidden_units=[10.0] must be the widths of the hidden layers, each above 0, such as "
        "[128, 64].",
    ),
    "columns in the place of hidden_units": (
        lambda: torchest.DNNClassifier([X], [4], "model"),
        ValueError,
        "feature_columns has 4 (int): every item must be a column, such as "
        "columns.numeric_column('age').",
    ),
    "a dropout of 1": (
        lambda: dnn(dropout=1),
        ValueError,
        "dropout=1 must be a probability below 1, such as 0.5, or None for no dropout.",
    ),
    "a dropout below 0": (
        lambda: dnn(dropout=-0.1),
        ValueError,
        "dropout=-0.1 must be a probability below 1, such as 0.5, or None for no dropout.",
    ),
    "a dropout in quotes": (
        lambda: dnn(dropout="0.5"),
        ValueError,
        "dropout='0.5' must be a probability below 1, such as 0.5, or None for no dropout.",
    ),
    "an activation that is a string": (
        lambda: dnn(activation_fn="relu"),
        TypeError,
        "activation_fn='relu' must be a function of a tensor, such as "
        "torch.nn.functional.relu, or None.",
    ),
    "an activation that is a class": (
        lambda: dnn(activation_fn=torch.nn.ReLU).train(lambda: ({"x": [1.0]}, [1]), steps=1),
        TypeError,
        "activation_fn is the class ReLU: give a function of a tensor, or an instance: ReLU().",
    ),
    # Columns
    "a raw categorical column in a deep model": (
        lambda: dnn(feature_columns=[TOWN]),
        ValueError,
        "feature_columns: 'town' (VocabularyListCategoricalColumn) is not dense: give "
        "embedding_column or indicator_column of it.",
    ),
    "the key of a column": (
        lambda: torchest.LinearClassifier("x", "model"),
        ValueError,
        "feature_columns has 'x' (str): every item must be a column, such as "
        "columns.numeric_column('age').",
    ),
    "columns by key": (
        lambda: torchest.LinearClassifier({"x": X}, "model"),
        ValueError,
        "feature_columns is {'x': NumericColumn(key='x', shape=(1,), def...type=torch.float32, "
        "normalizer_fn=None)}: give a list of columns.",
    ),
    "columns that are None": (
        lambda: torchest.LinearClassifier(None, "model"),
        ValueError,
        "feature_columns is empty: give at least one column, such as "
        "columns.numeric_column('age').",
    ),
    "columns that are a number": (
        lambda: torchest.LinearClassifier(3, "model"),
        ValueError,
        "feature_columns is 3: give a list of columns.",
    ),
    "no columns": (
        lambda: torchest.LinearClassifier([], "model"),
        ValueError,
        "feature_columns is empty: give at least one column, such as "
        "columns.numeric_column('age').",
    ),
    "a column twice": (
        lambda: torchest.LinearClassifier([X, X], "model"),
        ValueError,
        "feature_columns has two columns with the name 'x': leave one of them out.",
    ),
    "an unknown combiner": (
        lambda: linear([0, 1], sparse_combiner="avg"),
        ValueError,
        "sparse_combiner='avg' is not known. There are: 'mean', 'sqrtn', 'sum'.",
    ),
    "a baseline of no features": (
        lambda: torchest.BaselineRegressor("model").train(lambda: ({}, [0.0, 1.0]), steps=1),
        ValueError,
        "features are empty: give at least one, which tells how many examples there are.",
    ),
    "a combined model without columns": (
        combined,
        ValueError,
        "linear_feature_columns and dnn_feature_columns are both empty: give columns to at "
        "least one of the two models.",
    ),
    "deep columns without hidden units": (
        lambda: combined(dnn_feature_columns=[X]),
        ValueError,
        "dnn_hidden_units=None must be the widths of the hidden layers, each above 0, such as"
        " [128, 64].",
    ),
    "the dropout of a combined model": (
        lambda: combined(dnn_feature_columns=[X], dnn_hidden_units=[3], dnn_dropout=2),
        ValueError,
        "dnn_dropout=2 must be a probability below 1, such as 0.5, or None for no dropout.",
    ),
    "the activation of a combined model": (
        lambda: combined(dnn_feature_columns=[X], dnn_hidden_units=[3], dnn_activation_fn="relu"),
        TypeError,
        "dnn_activation_fn='relu' must be a function of a tensor, such as "
        "torch.nn.functional.relu, or None.",
    ),
    "a raw categorical column in the deep part": (
        lambda: combined(dnn_feature_columns=[TOWN], dnn_hidden_units=[3]),
        ValueError,
        "dnn_feature_columns: 'town' (VocabularyListCategoricalColumn) is not dense: give "
        "embedding_column or indicator_column of it.",
    ),
    "the key of a column of the linear part": (
        lambda: combined(linear_feature_columns="x"),
        ValueError,
        "linear_feature_columns has 'x' (str): every item must be a column, such as "
        "columns.numeric_column('age').",
    ),
    "an unknown combiner of the linear part": (
        lambda: combined(linear_feature_columns=[X], linear_sparse_combiner="avg"),
        ValueError,
        "linear_sparse_combiner='avg' is not known. There are: 'mean', 'sqrtn', 'sum'.",
    ),
    # Optimizers
    "an optimizer in lower case": (
        lambda: dnn(optimizer="adam"),
        ValueError,
        "optimizer='adam' is not an optimizer. Did you mean 'Adam'? There are: 'Adadelta', 'Adagrad',"
        " 'Adam', 'Adamax', 'Ftrl', 'Nadam', 'RMSProp', 'SGD'.",
    ),
    "a misspelt optimizer": (
        lambda: linear([0, 1], optimizer="Frtl"),
        ValueError,
        "optimizer='Frtl' is not an optimizer. Did you mean 'Ftrl'? There are: 'Adadelta', 'Adagrad',"
        " 'Adam', 'Adamax', 'Ftrl', 'Nadam', 'RMSProp', 'SGD'.",
    ),
    "a misspelt optimizer of the linear part": (
        lambda: combined(linear_feature_columns=[X], linear_optimizer="adm"),
        ValueError,
        "linear_optimizer='adm' is not an optimizer. Did you mean 'Nadam'? There are: 'Adadelta', "
        "'Adagrad', 'Adam', 'Adamax', 'Ftrl', 'Nadam', 'RMSProp', 'SGD'.",
    ),
    "an optimizer that was made already": (
        lambda: dnn(optimizer=torch.optim.Adam([torch.zeros(1)])),
        TypeError,
        "optimizer is an object that was made already, of the class Adam: give a name such as"
        " 'Ftrl', an optimizer without parameters, such as "
        "torchest.optimizers.Adam(learning_rate=0.01), a torch.optim class, or a function that "
        "makes the optimizer from the model's parameters, such as lambda parameters: torch.optim.Adam(parameters, "
        "lr=0.01).",
    ),
    "a learning rate for an optimizer": (
        lambda: dnn(optimizer=0.1),
        TypeError,
        "optimizer=0.1: give a name such as 'Ftrl', an optimizer without parameters, such as "
        "torchest.optimizers.Adam(learning_rate=0.01), a torch.optim class, or a function that "
        "makes the optimizer from the model's parameters, such as lambda parameters: "
        "torch.optim.Adam(parameters, lr=0.01).",
    ),
    "no optimizer of a deep model": (
        lambda: dnn(optimizer=None),
        TypeError,
        "optimizer=None: give a name such as 'Ftrl', an optimizer without parameters, such as "
        "torchest.optimizers.Adam(learning_rate=0.01), a torch.optim class, or a function that "
        "makes the optimizer from the model's parameters, such as lambda parameters: "
        "torch.optim.Adam(parameters, lr=0.01).",
    ),
    "a function that does not take parameters": (
        lambda: linear([0, 1], optimizer=lambda: torch.optim.Adam([torch.zeros(1)])),
        TypeError,
        "optimizer is a function of no arguments that made an Adam: it must make an optimizer "
        "without parameters, such as torchest.optimizers.Adam(learning_rate=0.01), or take the "
        "parameters.",
    ),
    "a function that makes nothing": (
        lambda: linear([0, 1], optimizer=lambda p: None),
        TypeError,
        "optimizer made a NoneType from the parameters: it must make a torch.optim.Optimizer,"
        " or a scheduler of torch.optim.lr_scheduler that follows the number of steps.",
    ),
    "an optimizer that needs a closure": (
        lambda: linear([0, 1], optimizer=torch.optim.LBFGS),
        TypeError,
        "optimizer made a torch.optim.LBFGS, whose step needs a closure, which a training "
        "loop does not have: use another optimizer.",
    ),
    "an optimizer of sparse gradients": (
        lambda: linear([0, 1], optimizer=torch.optim.SparseAdam),
        TypeError,
        "optimizer made a torch.optim.SparseAdam, which takes sparse gradients only: use "
        "another optimizer.",
    ),
    "a schedule that follows the loss": (
        lambda: linear(
            [0, 1],
            optimizer=lambda p: torch.optim.lr_scheduler.ReduceLROnPlateau(torch.optim.SGD(p, 0.1)),
        ),
        TypeError,
        "optimizer made a ReduceLROnPlateau from the parameters: it must make a "
        "torch.optim.Optimizer, or a scheduler of torch.optim.lr_scheduler that follows the "
        "number of steps.",
    ),
    "a learning rate below 0": (
        lambda: linear([0, 1], optimizer=lambda p: optimizers.Ftrl(p, lr=-1)),
        ValueError,
        "Ftrl: lr=-1 must be above 0, or a function of the step.",
    ),
    "a learning rate in quotes": (
        lambda: linear([0, 1], optimizer=lambda p: optimizers.Ftrl(p, lr="0.1")),
        ValueError,
        "Ftrl: lr='0.1' must be above 0, or a function of the step.",
    ),
    "l1 below 0": (
        lambda: linear(
            [0, 1], optimizer=lambda p: optimizers.Ftrl(p, l1_regularization_strength=-1)
        ),
        ValueError,
        "Ftrl: l1_regularization_strength=-1 must be at least 0.",
    ),
    # Estimators
    "a model_dir that is a file": (
        lambda: linear([0, 1], model_dir="words.txt"),
        ValueError,
        "'words.txt' cannot be a model_dir, as it is, or lies in, a file: give a directory.",
    ),
    "a config that is a dict": (
        lambda: torchest.LinearClassifier([X], config={"model_dir": "m"}),
        TypeError,
        "config={'model_dir': 'm'} must be a torchest.RunConfig, or None.",
    ),
    "two model_dirs": (
        lambda: torchest.LinearClassifier([X], "model", config=torchest.RunConfig(model_dir="m")),
        ValueError,
        "model_dir='model' and config.model_dir='m' differ: give one of them.",
    ),
    "a warm start from nowhere": (
        lambda: linear([0, 1], warm_start_from="other"),
        ValueError,
        "warm_start_from: 'other' has no checkpoint: give the model_dir of a trained "
        "model, one of its checkpoints, such as 'model_dir/model.ckpt-100', or an export, such as "
        "'exports/1790000000'.",
    ),
    "a warm start from a number": (
        lambda: torchest.LinearClassifier([X], "model", warm_start_from=3),
        TypeError,
        "warm_start_from=3 must be the path of a model_dir or of a checkpoint, or "
        "torchest.WarmStartSettings.",
    ),
    "a TrainSpec without a function": (
        lambda: torchest.TrainSpec({"x": [1.0]}, max_steps=1),
        TypeError,
        "TrainSpec: input_fn={'x': [1.0]} must be a function that gives the data; write "
        "lambda: ... around it.",
    ),
    "max_steps of 0": (
        lambda: torchest.TrainSpec(dict, max_steps=0),
        ValueError,
        "TrainSpec: max_steps=0 must be a whole number of at least 1. None sets no limit.",
    ),
    "a throttle below 0": (
        lambda: torchest.EvalSpec(dict, throttle_secs=-1),
        ValueError,
        "EvalSpec: throttle_secs=-1 must be a number of seconds of at least 0.",
    ),
    "an exporter that is a function": (
        lambda: torchest.EvalSpec(dict, exporters=[3]),
        TypeError,
        "EvalSpec: exporters has 3, but every item must be an Exporter, or of a subclass of it.",
    ),
    "train_and_evaluate with swapped specs": (
        lambda: torchest.train_and_evaluate(
            torchest.LinearClassifier([X], "model"), torchest.EvalSpec(dict), "train"
        ),
        TypeError,
        "train_and_evaluate: train_spec is an EvalSpec, but must be a torchest.TrainSpec.",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_the_message(wrong, tmp_path, monkeypatch):
    (tmp_path / "words.txt").touch()
    monkeypatch.chdir(tmp_path)
    use, kind, message = WRONG[wrong]
    with pytest.raises(kind, match=f"^{re.escape(message)}$") as caught:
        use()
    assert type(caught.value) is kind
    assert [path.name for path in tmp_path.iterdir()] == ["words.txt"]
