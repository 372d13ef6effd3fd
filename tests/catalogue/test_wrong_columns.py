"""What users get wrong about columns, and the whole message that each of it gets."""

from __future__ import annotations

import datetime
import decimal
import re

import numpy as np
import pandas as pd
import pytest
import torch

import torchest
from torchest import columns as fc
from torchest.columns import DenseFeatures, LinearFeatures, SequenceFeatures
from torchest.errors import MissingFeatureError
from torchest.utils.arrays import NotUnderstoodError

IDENTITY = fc.categorical_column_with_identity("a", 3)
WEIGHTED = fc.weighted_categorical_column(IDENTITY, "w")
SEQUENCE = fc.sequence_categorical_column_with_identity("a", 3)
STEPS = fc.sequence_numeric_column("x")
FILES = {"words.txt": "a\nb\n", "empty.txt": "", "twice.txt": "a\nb\na\n"}


def dense(*columns, **features):
    return DenseFeatures(columns)(features)


def linear(*columns, **features):
    return LinearFeatures(columns)(features)


def deep(*columns):
    batch = {"town": ["a"]}, [1]
    return torchest.DNNClassifier([4], columns, model_dir="model").train(lambda: [batch])


WRONG = {
    # What a batch holds
    "an unknown key, with the nearest names": (
        lambda: dense(fc.numeric_column("agee"), age=[22], fare=[7.25]),
        MissingFeatureError,
        "Column 'agee' reads the feature 'agee', which is not there. Did you mean 'age'? "
        "There are: 'age', 'fare'.",
    ),
    "an unknown key of a cross": (
        lambda: linear(fc.crossed_column(["town", "clas"], 10), town=["a"], **{"class": ["b"]}),
        MissingFeatureError,
        "Column 'clas_X_town' reads the feature 'clas', which is not there. Did you mean "
        "'class'? There are: 'class', 'town'.",
    ),
    "a feature that nothing resembles": (
        lambda: dense(fc.numeric_column("age"), town=["a"]),
        MissingFeatureError,
        "Column 'age' reads the feature 'age', which is not there. There are: 'town'.",
    ),
    "weights that are not there": (
        lambda: linear(WEIGHTED, a=[1]),
        MissingFeatureError,
        "Column 'a_weighted_by_w' reads the feature 'w', which is not there. There are: 'a'.",
    ),
    "features that are no mapping": (
        lambda: DenseFeatures([fc.numeric_column("age")])([22, 38]),
        TypeError,
        "Columns need a dict of features by key, not a list: give, for example, {'age': [22, 38]}.",
    ),
    "a single number instead of a batch": (
        lambda: dense(fc.numeric_column("age"), age=22.0),
        ValueError,
        "'age' is the single value 22.0 (rank 0), but one value per row is needed; for a "
        "batch of one row give [22.0].",
    ),
    "a single string instead of a batch": (
        lambda: linear(fc.categorical_column_with_hash_bucket("town", 10), town="London"),
        ValueError,
        "'town' is the single value 'London' (rank 0), but one value per row is needed; "
        "for a batch of one row give ['London'].",
    ),
    "a tensor of rank 0": (
        lambda: dense(fc.numeric_column("age"), age=torch.tensor(22.0)),
        ValueError,
        "'age' is the single value 22.0 (rank 0), but one value per row is needed; for a "
        "batch of one row give [22.0].",
    ),
    "ids of three dimensions": (
        lambda: linear(IDENTITY, a=np.zeros((2, 2, 2), int)),
        ValueError,
        "Column 'a' got a feature of 3 dimensions: give one value for each row [batch], "
        "or several [batch, n].",
    ),
    "features of unequal lengths": (
        lambda: dense(
            fc.numeric_column("age"), fc.numeric_column("fare"), age=[22, 38], fare=[7, 8, 9]
        ),
        ValueError,
        "Feature 'fare' has 3 rows, but feature 'age' of the same batch has 2: all "
        "features need one row for each example.",
    ),
    "text and numbers in one feature": (
        lambda: linear(fc.categorical_column_with_hash_bucket("town", 10), town=["x", 3]),
        NotUnderstoodError,
        "'town' holds values that do not make one column (Expected bytes, got a 'int' "
        "object); make them all text, or all numbers, with .astype(str) or .astype(float).",
    ),
    "None instead of a feature": (
        lambda: dense(fc.numeric_column("age"), age=None),
        TypeError,
        "'age' is a NoneType, which is not understood; give a tensor, a numpy array, a "
        "list, a pandas Series or an Arrow array with one entry per row.",
    ),
    # Numbers
    "a key that is no string": (
        lambda: fc.numeric_column(3),
        ValueError,
        "key=3 must be a string. Give the key of a feature.",
    ),
    "a key that is None": (
        lambda: fc.categorical_column_with_hash_bucket(None, 10),
        ValueError,
        "key=None must be a string. Give the key of a feature.",
    ),
    "a key that is a list": (
        lambda: fc.categorical_column_with_identity(["a"], 10),
        ValueError,
        "key=['a'] must be a string. Give the key of a feature.",
    ),
    "a NaN and a None among numbers": (
        lambda: dense(fc.numeric_column("age"), age=[22.0, float("nan"), None]),
        ValueError,
        "Column 'age' has no number (NaN or null) in 2 of 3 rows of a batch, first in row"
        " 1: fill them in, or give numeric_column('age', default_value=...).",
    ),
    "a None among numbers of pandas": (
        lambda: dense(fc.numeric_column("age"), age=pd.Series([22.0, 38.0, None])),
        ValueError,
        "Column 'age' has no number (NaN or null) in 1 of 3 rows of a batch, first in row"
        " 2: fill them in, or give numeric_column('age', default_value=...).",
    ),
    "text as a number": (
        lambda: dense(fc.numeric_column("age"), age=["22"]),
        TypeError,
        "'age' holds text such as '22', but must hold numbers; convert it, or use it "
        "through a categorical column.",
    ),
    "dates as numbers": (
        lambda: dense(fc.numeric_column("day"), day=np.array(["2020-01-01"], "M8[D]")),
        TypeError,
        "'day' holds dates such as '2020-01-01', but must hold numbers; give a number, such as the "
        "days since a date, (dates - start).dt.days, or the month, dates.dt.month; or text for a "
        "categorical column, dates.dt.strftime('%Y-%m-%d').",
    ),
    "complex numbers": (
        lambda: dense(fc.numeric_column("z"), z=np.array([1j])),
        NotUnderstoodError,
        "'z' has the numpy dtype complex128, which is not understood; give its real and its "
        "imaginary part as columns of their own, values.real and values.imag.",
    ),
    "more numbers a row than the column has": (
        lambda: dense(fc.numeric_column("age"), age=np.zeros((2, 4))),
        ValueError,
        "Column 'age' expects its feature in the shape [batch] or [batch, 1], but got [2,"
        " 4]: make the column with numeric_column('age', shape=(4,)), or reshape the "
        "feature.",
    ),
    "another width": (
        lambda: dense(fc.numeric_column("age", 3), age=np.zeros((2, 4))),
        ValueError,
        "Column 'age' expects its feature in the shape [batch, 3], but got [2, 4]: make "
        "the column with numeric_column('age', shape=(4,)), or reshape the feature.",
    ),
    "rows of differing width": (
        lambda: dense(fc.numeric_column("age", 2), age=[[1, 2], [3]]),
        ValueError,
        "'age' holds lists of 1 to 2 values, and a tensor needs lists of one length; pad "
        "them, or use the feature through a categorical column.",
    ),
    "a sparse tensor of numbers": (
        lambda: dense(fc.numeric_column("age", 2), age=torch.ones(2, 2).to_sparse()),
        ValueError,
        "Column 'age' needs a dense tensor, not a sparse or nested one: convert it first, for example with to_dense().",
    ),
    "a dimension of 0": (
        lambda: fc.numeric_column("age", 0),
        ValueError,
        "shape of column 'age' is 0: give dimensions of at least 1.",
    ),
    "a shape that is no integer": (
        lambda: fc.numeric_column("age", "3"),
        TypeError,
        "shape of column 'age' is '3': give an integer or a tuple of integers.",
    ),
    "a default of another shape": (
        lambda: fc.numeric_column("age", 3, default_value=[1, 2]),
        ValueError,
        "default_value of column 'age' has the shape (2,) and the column (3,): give one "
        "number or an array of the column's shape.",
    ),
    "a default that is text": (
        lambda: fc.numeric_column("age", default_value="a"),
        TypeError,
        "default_value of column 'age' is 'a': give a number, as the dtype is float32.",
    ),
    "NaN as the default": (
        lambda: fc.numeric_column("age", default_value=float("nan")),
        ValueError,
        "default_value of column 'age' is nan: give a number, which models can compute with.",
    ),
    "a fraction as the default of integers": (
        lambda: fc.numeric_column("age", default_value=1.5, dtype=torch.int64),
        TypeError,
        "default_value of column 'age' is 1.5: give an integer, as the dtype is int64.",
    ),
    "numbers of the dtype string": (
        lambda: fc.numeric_column("age", dtype="string"),
        ValueError,
        "dtype of column 'age' is 'string': give a dtype of floats or integers, such as "
        "torch.float32.",
    ),
    "a misspelt dtype of numbers": (
        lambda: fc.numeric_column("age", dtype="flaot32"),
        ValueError,
        "dtype of column 'age' is 'flaot32': give a dtype of floats or integers, such as "
        "torch.float32.",
    ),
    "a normalizer that is no function": (
        lambda: fc.numeric_column("age", normalizer_fn=3),
        TypeError,
        "normalizer_fn of column 'age' is 3: give a function of a tensor, such as lambda "
        "x: (x - 30) / 10.",
    ),
    "a normalizer that changes the shape": (
        lambda: dense(fc.numeric_column("age", normalizer_fn=torch.sum), age=[1, 2]),
        ValueError,
        "normalizer_fn of column 'age' made [] of [2, 1]: it must keep the shape.",
    ),
    "a normalizer that returns nothing": (
        lambda: dense(fc.numeric_column("age", normalizer_fn=lambda x: None), age=[1, 2]),
        TypeError,
        "normalizer_fn of column 'age' returned a NoneType: it gets a tensor and must "
        "return one of the same shape.",
    ),
    # Buckets
    "unsorted boundaries": (
        lambda: fc.bucketized_column(fc.numeric_column("age"), [65, 18]),
        ValueError,
        "boundaries of the bucketized column of 'age' have 65 before 18: each must be "
        "above the one before.",
    ),
    "a boundary that comes twice": (
        lambda: fc.bucketized_column(fc.numeric_column("age"), [18, 18]),
        ValueError,
        "boundaries of the bucketized column of 'age' have 18 before 18: each must be "
        "above the one before.",
    ),
    "no boundaries": (
        lambda: fc.bucketized_column(fc.numeric_column("age"), []),
        ValueError,
        "boundaries of the bucketized column of 'age' are empty: give at least one number.",
    ),
    "one boundary without a list": (
        lambda: fc.bucketized_column(fc.numeric_column("age"), 18),
        ValueError,
        "boundaries of the bucketized column of 'age' are 18: give a list of numbers.",
    ),
    "a boundary that is NaN": (
        lambda: fc.bucketized_column(fc.numeric_column("age"), [18, float("nan")]),
        ValueError,
        "boundaries of the bucketized column of 'age' have nan: give numbers.",
    ),
    "buckets of a key": (
        lambda: fc.bucketized_column("age", [18]),
        ValueError,
        "source_column is 'age': give a column made by numeric_column.",
    ),
    "buckets of a categorical column": (
        lambda: fc.bucketized_column(IDENTITY, [1]),
        ValueError,
        "source_column is 'a' (IdentityCategoricalColumn): give a column made by numeric_column.",
    ),
    "buckets of a matrix": (
        lambda: fc.bucketized_column(fc.numeric_column("age", (2, 2)), [18]),
        ValueError,
        "source_column 'age' has the shape (2, 2): give a column of one number a row, or "
        "of a vector.",
    ),
    # Hashes
    "a bucket size of 0": (
        lambda: fc.categorical_column_with_hash_bucket("town", 0),
        ValueError,
        "Column 'town': hash_bucket_size=0 must be a whole number of at least 1.",
    ),
    "a bucket size that is no integer": (
        lambda: fc.categorical_column_with_hash_bucket("town", 1.5),
        ValueError,
        "Column 'town': hash_bucket_size=1.5 must be a whole number of at least 1.",
    ),
    "a misspelt dtype": (
        lambda: fc.categorical_column_with_hash_bucket("town", 10, dtype="strng"),
        ValueError,
        "dtype of column 'town' is 'strng': give 'string' or an integer dtype such as torch.int64.",
    ),
    "a dtype of floats for a hash": (
        lambda: fc.categorical_column_with_hash_bucket("town", 10, dtype=torch.float32),
        ValueError,
        "dtype of column 'town' is torch.float32: give 'string' or an integer dtype such "
        "as torch.int64.",
    ),
    "a hash of floats": (
        lambda: linear(fc.categorical_column_with_hash_bucket("fare", 10), fare=[7.25, 8]),
        ValueError,
        "Column 'fare' got the float 7.25: ids and keys are integers or text. Use "
        "numeric_column, or bucketized_column over it, for a quantity.",
    ),
    "a hash of a tensor of floats": (
        lambda: linear(
            fc.categorical_column_with_hash_bucket("fare", 10), fare=torch.tensor([7.25])
        ),
        ValueError,
        "Column 'fare' needs integers or text, but its feature is a tensor of float32: "
        "convert it to text or integers first, or use numeric_column for a quantity.",
    ),
    "a hash of booleans": (
        lambda: linear(fc.categorical_column_with_hash_bucket("old", 10), old=[True, False]),
        ValueError,
        "Column 'old' needs text or integers, but its feature holds values of type bool "
        "such as True: convert it to text or integers first, or use numeric_column for a "
        "quantity.",
    ),
    "a hash of dates": (
        lambda: linear(
            fc.categorical_column_with_hash_bucket("day", 10), day=[datetime.date(2020, 1, 1)]
        ),
        ValueError,
        "Column 'day' needs text or integers, but its feature holds dates such as '2020-01-01': "
        "give a number, such as the days since a date, (dates - start).dt.days, or the month, "
        "dates.dt.month; or text for a categorical column, dates.dt.strftime('%Y-%m-%d').",
    ),
    "a hash of Decimal": (
        lambda: linear(
            fc.categorical_column_with_hash_bucket("price", 10), price=[decimal.Decimal("1.5")]
        ),
        ValueError,
        "Column 'price' got the float 1.5: ids and keys are integers or text. Use "
        "numeric_column, or bucketized_column over it, for a quantity.",
    ),
    "text in a column of integers": (
        lambda: linear(fc.categorical_column_with_hash_bucket("a", 10, torch.int64), a=["x"]),
        ValueError,
        "Column 'a' needs integers, but its feature holds values of type string such as "
        "'x': convert it to integers first, or use a column of strings.",
    ),
    "an integer beyond int64": (
        lambda: linear(
            fc.categorical_column_with_hash_bucket("a", 10), a=np.array([2**63], np.uint64)
        ),
        ValueError,
        "Column 'a' got 9223372036854775808, which is beyond the range of int64: give it as text.",
    ),
    # Vocabularies
    "a word that comes twice": (
        lambda: fc.categorical_column_with_vocabulary_list("town", ["a", "b", "a"]),
        ValueError,
        "vocabulary_list of column 'town' has 'a' twice: each value has one id, so leave "
        "one of them out.",
    ),
    "an empty vocabulary": (
        lambda: fc.categorical_column_with_vocabulary_list("town", []),
        ValueError,
        "vocabulary_list of column 'town' is empty: give at least one value.",
    ),
    "words and integers in a vocabulary": (
        lambda: fc.categorical_column_with_vocabulary_list("town", ["a", 3]),
        ValueError,
        "vocabulary_list of column 'town' holds 'a' and 3: give only strings, or only integers.",
    ),
    "a vocabulary of floats": (
        lambda: fc.categorical_column_with_vocabulary_list("town", [1.5]),
        ValueError,
        "vocabulary_list of column 'town' holds 1.5: give strings or integers.",
    ),
    "a vocabulary that is one string": (
        lambda: fc.categorical_column_with_vocabulary_list("town", "abc"),
        ValueError,
        "vocabulary_list of column 'town' is 'abc': give a list of strings or of integers.",
    ),
    "a vocabulary that is a set": (
        lambda: fc.categorical_column_with_vocabulary_list("town", {"a", "b"}),
        ValueError,
        "vocabulary_list of column 'town' is a set, whose order differs from run to run: "
        "give a list, for example sorted(...).",
    ),
    "a vocabulary of huge integers": (
        lambda: fc.categorical_column_with_vocabulary_list("town", [2**70]),
        ValueError,
        "vocabulary_list of column 'town' holds 1180591620717411303424, which is beyond "
        "the range of int64: give all values as strings.",
    ),
    "a dtype that the words do not have": (
        lambda: fc.categorical_column_with_vocabulary_list("town", ["a"], dtype=torch.int64),
        ValueError,
        "dtype of column 'town' is torch.int64, but vocabulary_list holds strings such as"
        " 'a': make them agree.",
    ),
    "buckets for unknown words and a default": (
        lambda: fc.categorical_column_with_vocabulary_list(
            "town", ["a"], default_value=0, num_oov_buckets=1
        ),
        ValueError,
        "Column 'town' has both num_oov_buckets=1 and default_value=0: give one of them, "
        "as both say what unknown values become.",
    ),
    "a default beyond the vocabulary": (
        lambda: fc.categorical_column_with_vocabulary_list("town", ["a"], default_value=1),
        ValueError,
        "default_value of column 'town' is 1: give an id below 1, the size of the "
        "vocabulary, or -1 for none.",
    ),
    "a negative number of buckets for unknown words": (
        lambda: fc.categorical_column_with_vocabulary_list("town", ["a"], num_oov_buckets=-1),
        ValueError,
        "Column 'town': num_oov_buckets=-1 must be a whole number of at least 0.",
    ),
    "floats for a vocabulary": (
        lambda: linear(fc.categorical_column_with_vocabulary_list("a", ["1"]), a=[1.5]),
        ValueError,
        "Column 'a' got the float 1.5: ids and keys are integers or text. Use "
        "numeric_column, or bucketized_column over it, for a quantity.",
    ),
    "a vocabulary file that is not there": (
        lambda: fc.categorical_column_with_vocabulary_file("town", "none.txt"),
        ValueError,
        "vocabulary_file of column 'town' is 'none.txt', which is not a file: give the "
        "path of one.",
    ),
    "no vocabulary file": (
        lambda: fc.categorical_column_with_vocabulary_file("town", ""),
        ValueError,
        "vocabulary_file of column 'town' is '': give the path of a text file.",
    ),
    "a vocabulary file that is empty": (
        lambda: fc.categorical_column_with_vocabulary_file("town", "empty.txt"),
        ValueError,
        "The vocabulary file 'empty.txt' of column 'town' is empty: give one with a value"
        " on each line.",
    ),
    "more words than a file has": (
        lambda: linear(
            fc.categorical_column_with_vocabulary_file("town", "words.txt", 9), town=["a"]
        ),
        ValueError,
        "The vocabulary file 'words.txt' of column 'town' has 2 lines, but "
        "vocabulary_size is 9: lower it, or leave it out to use all lines.",
    ),
    "a word that comes twice in a file": (
        lambda: linear(fc.categorical_column_with_vocabulary_file("town", "twice.txt"), town=["a"]),
        ValueError,
        "The vocabulary file 'twice.txt' of column 'town' has 'a' in line 1 and again in "
        "line 3: remove one of them.",
    ),
    "a file of words as integers": (
        lambda: linear(
            fc.categorical_column_with_vocabulary_file("a", "words.txt", dtype=int), a=[1]
        ),
        ValueError,
        "The vocabulary file 'words.txt' of column 'a' has 'a' in line 1, which is not an"
        " integer: correct it, or make the column with dtype='string'.",
    ),
    "a file of another format": (
        lambda: fc.categorical_column_with_vocabulary_file(
            "town", "words.txt", file_format="tfrecord_gzip"
        ),
        ValueError,
        "file_format of column 'town' is 'tfrecord_gzip': only 'text' is read, one value a line.",
    ),
    # Identities
    "an id beyond the range": (
        lambda: linear(IDENTITY, a=[1, 3]),
        ValueError,
        "Column 'a' got the id 3, which is not from 0 to 2: raise num_buckets, or give "
        "default_value, the id of values out of range.",
    ),
    "an id below the range": (
        lambda: linear(IDENTITY, a=[-2]),
        ValueError,
        "Column 'a' got the id -2, which is not from 0 to 2: raise num_buckets, or give "
        "default_value, the id of values out of range.",
    ),
    "text as ids": (
        lambda: linear(IDENTITY, a=["x"]),
        ValueError,
        "Column 'a' needs integers, but its feature holds values of type string such as "
        "'x': convert it to integers first, or use a column of strings.",
    ),
    "a default beyond the ids": (
        lambda: fc.categorical_column_with_identity("a", 3, default_value=3),
        ValueError,
        "default_value of column 'a' is 3: give an id below num_buckets=3.",
    ),
    "no ids": (
        lambda: fc.categorical_column_with_identity("a", 0),
        ValueError,
        "Column 'a': num_buckets=0 must be a whole number of at least 1.",
    ),
    # Crosses
    "a cross of one key": (
        lambda: fc.crossed_column(["town"], 10),
        ValueError,
        "keys is ['town']: give two keys or more to cross.",
    ),
    "a cross of a string": (
        lambda: fc.crossed_column("town", 10),
        ValueError,
        "keys is 'town': give a list of two or more keys.",
    ),
    "a cross of a hashed column": (
        lambda: fc.crossed_column(["town", fc.categorical_column_with_hash_bucket("a", 9)], 10),
        ValueError,
        "keys has 'a', a hash bucket column: hashing twice makes more collisions, so give"
        " the key 'a' itself.",
    ),
    "a cross of a numeric column": (
        lambda: fc.crossed_column(["town", fc.numeric_column("fare")], 10),
        ValueError,
        "keys has 'fare' (NumericColumn): give keys of features, or categorical columns; "
        "for a number make a bucketized_column.",
    ),
    "a cross of a weighted column": (
        lambda: fc.crossed_column(["town", WEIGHTED], 10),
        ValueError,
        "keys has 'a_weighted_by_w' (WeightedCategoricalColumn), which cannot be crossed:"
        " give the column 'a' of its values.",
    ),
    "a cross of sequences": (
        lambda: fc.crossed_column(["town", SEQUENCE], 10),
        ValueError,
        "keys has 'a' (SequenceCategoricalColumn), which cannot be crossed: give the "
        "column 'a' of its values.",
    ),
    "a cross with a key that is a number": (
        lambda: fc.crossed_column(["town", 3.5], 10),
        ValueError,
        "keys has 3.5: give keys of features, or categorical columns; for a number make a"
        " bucketized_column.",
    ),
    "a cross without buckets": (
        lambda: fc.crossed_column(["town", "fare"], 0),
        ValueError,
        "Column 'fare_X_town': hash_bucket_size=0 must be a whole number of at least 1.",
    ),
    "a hash key that is no integer": (
        lambda: fc.crossed_column(["town", "fare"], 10, hash_key="x"),
        ValueError,
        "Column 'fare_X_town': hash_key='x' must be a whole number.",
    ),
    "a cross with floats": (
        lambda: linear(fc.crossed_column(["town", "fare"], 10), town=["a"], fare=[7.25]),
        ValueError,
        "Key 'fare' of column 'fare_X_town' got the float 7.25: ids and keys are integers"
        " or text. Use numeric_column, or bucketized_column over it, for a quantity.",
    ),
    # Weights
    "weights of one key that is no string": (
        lambda: fc.weighted_categorical_column(IDENTITY, 3),
        ValueError,
        "weight_feature_key=3 must be a string. Give the key of a feature.",
    ),
    "weights of weights": (
        lambda: fc.weighted_categorical_column(WEIGHTED, "v"),
        ValueError,
        "categorical_column is 'a_weighted_by_w', which has weights already: give the "
        "column without them.",
    ),
    "weights of text": (
        lambda: linear(WEIGHTED, a=[1, 2], w=["x", "y"]),
        TypeError,
        "'w' holds text such as 'x', but must hold numbers; convert it, or use it "
        "through a categorical column.",
    ),
    "fewer weights than ids": (
        lambda: linear(WEIGHTED, a=[[1, 2], [1]], w=[[1.0], [1.0]]),
        ValueError,
        "Column 'a_weighted_by_w': feature 'w' must have one weight for each value of "
        "'a', row by row, but has 2 weights for 3 values; row 0 has 1 and 2.",
    ),
    "an id without a weight": (
        lambda: linear(WEIGHTED, a=[1, 2], w=[1.0, None]),
        ValueError,
        "Column 'a_weighted_by_w': feature 'w' has no weight (NaN or null) for 1 of the "
        "ids of a batch: fill them in, for example with 1.",
    ),
    "weights of the dtype string": (
        lambda: fc.weighted_categorical_column(IDENTITY, "w", dtype="string"),
        ValueError,
        "dtype of column 'a_weighted_by_w' is 'string': give a dtype of floats or "
        "integers, such as torch.float32.",
    ),
    # Embeddings and indicators
    "an embedding of a key": (
        lambda: fc.embedding_column("a", 2),
        ValueError,
        "categorical_column is 'a': give a categorical column, such as one made by "
        "categorical_column_with_vocabulary_list.",
    ),
    "an embedding of a numeric column": (
        lambda: fc.embedding_column(fc.numeric_column("a"), 2),
        ValueError,
        "categorical_column is 'a' (NumericColumn): give a categorical column, such as "
        "one made by categorical_column_with_vocabulary_list.",
    ),
    "a dimension below 1": (
        lambda: fc.embedding_column(IDENTITY, 0),
        ValueError,
        "Column 'a_embedding': dimension=0 must be a whole number of at least 1.",
    ),
    "an unknown combiner": (
        lambda: fc.embedding_column(IDENTITY, 2, combiner="avg"),
        ValueError,
        "Column 'a_embedding': combiner='avg' is not known. There are: 'mean', 'sqrtn', 'sum'.",
    ),
    "an initializer that is no function": (
        lambda: fc.embedding_column(IDENTITY, 2, initializer=0.5),
        TypeError,
        "initializer of column 'a_embedding' is 0.5: give a function that fills a tensor "
        "in place, such as torch.nn.init.xavier_uniform_, or its name.",
    ),
    "an unknown initializer": (
        lambda: fc.embedding_column(IDENTITY, 2, initializer="xavier_unifrom"),
        ValueError,
        "initializer of column 'a_embedding' is 'xavier_unifrom', which is not a function of a tensor in "
        "torch.nn.init. Did you mean 'xavier_uniform' or 'xavier_normal' or 'kaiming_uniform'? There are: 'dirac', "
        "'eye', 'kaiming_normal', 'kaiming_uniform', 'normal', 'ones', 'orthogonal', 'trunc_normal', 'uniform', "
        "'xavier_normal', 'xavier_uniform', 'zeros'.",
    ),
    "a norm of 0": (
        lambda: fc.embedding_column(IDENTITY, 2, max_norm=0),
        ValueError,
        "Column 'a_embedding': max_norm=0 must be a finite number above 0. None is no limit.",
    ),
    "a checkpoint without the name of a tensor": (
        lambda: fc.embedding_column(IDENTITY, 2, ckpt_to_load_from="run"),
        ValueError,
        "Column 'a_embedding' has ckpt_to_load_from='run' and tensor_name_in_ckpt=None: "
        "give both, or neither.",
    ),
    "a checkpoint that is not there": (
        lambda: DenseFeatures(
            [fc.embedding_column(IDENTITY, 2, ckpt_to_load_from="run", tensor_name_in_ckpt="x")]
        ),
        ValueError,
        "Column 'a_embedding': ckpt_to_load_from='run' has no checkpoint: give a "
        "model_dir, or one of its directories such as 'model.ckpt-100'.",
    ),
    "an indicator of a numeric column": (
        lambda: fc.indicator_column(fc.numeric_column("a")),
        ValueError,
        "categorical_column is 'a' (NumericColumn): give a categorical column, such as "
        "one made by categorical_column_with_vocabulary_list.",
    ),
    "a shared table of differing sizes": (
        lambda: fc.shared_embeddings([IDENTITY, fc.categorical_column_with_identity("b", 4)], 2),
        ValueError,
        "categorical_columns has 'a' with 3 ids and 'b' with 4: columns that share a "
        "table must have the same number of ids.",
    ),
    "a shared table of differing kinds": (
        lambda: fc.shared_embeddings([IDENTITY, fc.categorical_column_with_hash_bucket("b", 3)], 2),
        ValueError,
        "categorical_columns has 'a' (IdentityCategoricalColumn) and 'b' "
        "(HashedCategoricalColumn): columns that share a table must be of one kind.",
    ),
    "a shared table of nothing": (
        lambda: fc.shared_embeddings([], 2),
        ValueError,
        "categorical_columns is empty: give the columns that share the table.",
    ),
    # Sequences
    "a padding that is no number": (
        lambda: fc.sequence_numeric_column("x", default_value="a"),
        TypeError,
        "default_value of column 'x' is 'a': give a number.",
    ),
    "a padding that is NaN": (
        lambda: fc.sequence_numeric_column("x", default_value=float("nan")),
        ValueError,
        "default_value of column 'x' is nan: give a number, for example 0.",
    ),
    "a missing number within a sequence": (
        lambda: SequenceFeatures([STEPS])({"x": np.array([[1, np.nan, 3]])}),
        ValueError,
        "Column 'x' has no number (NaN or null) before the last one of row 0: fill it in; a missing number counts as "
        "padding only at the end of a row.",
    ),
    "sequences of differing lengths": (
        lambda: SequenceFeatures([STEPS, fc.indicator_column(SEQUENCE)])(
            {"x": [[1.0], [2.0, 3.0]], "a": [[1], [2]]}
        ),
        ValueError,
        "Columns 'a_indicator' and 'x' have sequences of differing lengths, 1 and 2 in "
        "row 1 of a batch: sequences that are read together must have equal lengths.",
    ),
    # Layers
    "no columns": (
        lambda: DenseFeatures([]),
        ValueError,
        "feature_columns is empty: give at least one column, such as "
        "columns.numeric_column('age').",
    ),
    "a column that is a string": (
        lambda: DenseFeatures(["age"]),
        ValueError,
        "feature_columns has 'age' (str): every item must be a column, such as "
        "columns.numeric_column('age').",
    ),
    "a number instead of columns": (
        lambda: DenseFeatures(3),
        ValueError,
        "feature_columns is 3: give a list of columns.",
    ),
    "a dict of columns": (
        lambda: LinearFeatures({"a": IDENTITY}),
        ValueError,
        "feature_columns is {'a': IdentityCategoricalColumn(key='a', number_buckets=3, "
        "default_value=None)}: give a list of columns.",
    ),
    "two columns of one name": (
        lambda: DenseFeatures([fc.numeric_column("age"), fc.numeric_column("age")]),
        ValueError,
        "feature_columns has two columns with the name 'age': leave one of them out.",
    ),
    "a raw categorical column in DenseFeatures": (
        lambda: DenseFeatures([fc.categorical_column_with_hash_bucket("town", 10)]),
        ValueError,
        "feature_columns: 'town' (HashedCategoricalColumn) is not dense: give "
        "embedding_column or indicator_column of it.",
    ),
    "a raw categorical column in a deep model": (
        lambda: deep(fc.categorical_column_with_hash_bucket("town", 10)),
        ValueError,
        "feature_columns: 'town' (HashedCategoricalColumn) is not dense: give "
        "embedding_column or indicator_column of it.",
    ),
    "a sequence in DenseFeatures": (
        lambda: DenseFeatures([fc.embedding_column(SEQUENCE, 2)]),
        ValueError,
        "feature_columns: 'a_embedding' is a sequence column: give it to "
        "SequenceFeatures, or make it of a column that is not a sequence column.",
    ),
    "numbers of sequences in DenseFeatures": (
        lambda: DenseFeatures([STEPS]),
        ValueError,
        "feature_columns: 'x' is a sequence column: give it to SequenceFeatures, or "
        "make it of a column that is not a sequence column.",
    ),
    "what is no sequence in SequenceFeatures": (
        lambda: SequenceFeatures([fc.embedding_column(IDENTITY, 2)]),
        ValueError,
        "feature_columns: 'a_embedding' (EmbeddingColumn) has no steps: give only "
        "sequence_numeric_column, and embedding_column or indicator_column of a "
        "sequence_categorical_column.",
    ),
    "numbers in SequenceFeatures": (
        lambda: SequenceFeatures([fc.numeric_column("age")]),
        ValueError,
        "feature_columns: 'age' (NumericColumn) has no steps: give only "
        "sequence_numeric_column, and embedding_column or indicator_column of a "
        "sequence_categorical_column.",
    ),
    "raw ids of sequences in SequenceFeatures": (
        lambda: SequenceFeatures([SEQUENCE]),
        ValueError,
        "feature_columns: 'a' (SequenceCategoricalColumn) has no steps: give only "
        "sequence_numeric_column, and embedding_column or indicator_column of a "
        "sequence_categorical_column.",
    ),
    "numbers of sequences in a linear model": (
        lambda: LinearFeatures([STEPS]),
        ValueError,
        "feature_columns: 'x' is a sequence column, which a linear model cannot use:"
        " make it of a column that is not a sequence column.",
    ),
    "a shared table in a linear model": (
        lambda: LinearFeatures(fc.shared_embeddings([IDENTITY], 2)),
        ValueError,
        "feature_columns: 'a_shared_embedding' (SharedEmbeddingColumn) cannot be used in a linear model: give dense "
        "and categorical columns, and embeddings that share no table.",
    ),
    "two tables of one name": (
        lambda: DenseFeatures(
            [
                fc.embedding_column(IDENTITY, 2),
                *fc.shared_embeddings(
                    [fc.categorical_column_with_identity("b", 3)],
                    2,
                    shared_embedding_collection_name="a",
                ),
            ]
        ),
        ValueError,
        "feature_columns: 'a_embedding' and 'b_shared_embedding' have different tables of"
        " one name, 'a': make them with one call of shared_embeddings, or give another "
        "shared_embedding_collection_name.",
    ),
    "an unknown combiner of a linear model": (
        lambda: LinearFeatures([IDENTITY], sparse_combiner="avg"),
        ValueError,
        "sparse_combiner='avg' is not known. There are: 'mean', 'sqrtn', 'sum'.",
    ),
    "a linear model without outputs": (
        lambda: LinearFeatures([IDENTITY], units=0),
        ValueError,
        "units=0 must be a whole number of at least 1 and at most 2147483647.",
    ),
}


@pytest.fixture
def _files(tmp_path, monkeypatch):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_files")
@pytest.mark.parametrize("wrong", WRONG)
def test_the_message(wrong):
    use, kind, message = WRONG[wrong]
    with pytest.raises(kind, match=f"^{re.escape(message)}$") as caught:
        use()
    assert type(caught.value) is kind
