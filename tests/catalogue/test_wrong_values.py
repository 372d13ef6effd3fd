"""Values of the wrong kind get one sentence with the argument and the value; right ones may be of numpy's types."""

from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd
import pytest
import torch

from torchest import columns as fc
from torchest import losses, optimizers
from torchest.distributed import InputContext
from torchest.inputs import FixedLenFeature, VarLenFeature

X = fc.numeric_column("x")
IDS = fc.categorical_column_with_identity("a", 3)


def weights():
    return [torch.nn.Parameter(torch.zeros(2))]


WRONG = {
    # Numbers that no model can compute with
    "max_norm that is NaN": (
        lambda: fc.embedding_column(IDS, 2, max_norm=math.nan),
        "Column 'a_embedding': max_norm=nan must be a finite number above 0. None is no limit.",
    ),
    "max_norm of a shared table that is infinite": (
        lambda: fc.shared_embeddings([IDS], 2, max_norm=math.inf),
        "Column 'a_shared_embedding': max_norm=inf must be a finite number above 0. None is no limit.",
    ),
    "an infinite default of numbers": (
        lambda: fc.numeric_column("x", default_value=math.inf),
        "default_value of column 'x' is inf: give a number, which models can compute with.",
    ),
    "an infinite padding of sequences": (
        lambda: fc.sequence_numeric_column("x", default_value=math.inf),
        "default_value of column 'x' is inf: give a number, for example 0.",
    ),
    "an infinite default in serialized examples": (
        lambda: FixedLenFeature((1,), torch.float32, math.inf),
        "default_value is inf: give values of the dtype torch.float32.",
    ),
    "an infinite boundary": (
        lambda: fc.bucketized_column(X, [1, math.inf]),
        "boundaries of the bucketized column of 'x' have inf: give numbers.",
    ),
    "more ids than an int64 counts": (
        lambda: fc.categorical_column_with_identity("a", 2**70),
        "Column 'a': num_buckets=1180591620717411303424 must fit into 64 bits.",
    ),
    # Bytes and tables that could be taken for lists
    "bytes as boundaries": (
        lambda: fc.bucketized_column(X, b"x"),
        "boundaries of the bucketized column of 'x' are b'x': give a list of numbers.",
    ),
    "a dict as boundaries": (
        lambda: fc.bucketized_column(X, {1: 2}),
        "boundaries of the bucketized column of 'x' are {1: 2}: give a list of numbers.",
    ),
    "bytes as keys": (
        lambda: fc.crossed_column(b"ab", 10),
        "keys is b'ab': give a list of two or more keys.",
    ),
    "a DataFrame as a vocabulary": (
        lambda: fc.categorical_column_with_vocabulary_list("a", pd.DataFrame({"b": [1]})),
        "vocabulary_list of column 'a' is b 0 1: give a list of strings or of integers.",
    ),
    "an array without a dimension as columns": (
        lambda: fc.DenseFeatures(np.array(1.5)),
        "feature_columns is array(1.5): give a list of columns.",
    ),
    "a number as described columns": (
        lambda: fc.describe(7, {"x": [1.0]}),
        "columns is 7: give a list of columns.",
    ),
    # What is no True or False
    "trainable=1": (
        lambda: fc.embedding_column(IDS, 2, trainable=1),
        "Column 'a_embedding': trainable=1 must be True or False.",
    ),
    "trainable='False' of a shared table": (
        lambda: fc.shared_embeddings([IDS], 2, trainable="False"),
        "Column 'a_shared_embedding': trainable='False' must be True or False.",
    ),
    "use_safe_embedding_lookup=0": (
        lambda: fc.embedding_column(IDS, 2, use_safe_embedding_lookup=0),
        "Column 'a_embedding': use_safe_embedding_lookup=0 must be True or False.",
    ),
    "trainable='False' of a layer": (
        lambda: fc.DenseFeatures([X], trainable="False"),
        "trainable='False' must be True or False.",
    ),
    "the name of a layer that is a number": (
        lambda: fc.SequenceFeatures([fc.sequence_numeric_column("x")], name=3),
        "name=3 must be a string that is not empty.",
    ),
    "nesterov='False'": (
        lambda: optimizers.SGD(weights(), 0.1, nesterov="False"),
        "SGD: nesterov='False' must be True or False.",
    ),
    "lazy=1": (
        lambda: optimizers.Adam(weights(), 0.1, lazy=1),
        "Adam: lazy=1 must be True or False.",
    ),
    "centered=None": (
        lambda: optimizers.RMSProp(weights(), 0.1, centered=None),
        "RMSProp: centered=None must be True or False.",
    ),
    # Optimizers
    "lr=inf": (
        lambda: optimizers.Ftrl(weights(), lr=math.inf),
        "Ftrl: lr=inf must be above 0, or a function of the step.",
    ),
    "lr=NaN": (
        lambda: optimizers.Adagrad(weights(), lr=math.nan),
        "Adagrad: lr=nan must be at least 0, or a function of the step.",
    ),
    "lr=True": (
        lambda: optimizers.SGD(weights(), lr=True),
        "SGD: lr=True must be at least 0, or a function of the step.",
    ),
    "an array as lr": (
        lambda: optimizers.Adam(weights(), lr=np.array([0.1, 0.2])),
        "Adam: lr=array([0.1, 0.2]) must be at least 0, or a function of the step.",
    ),
    "an infinite epsilon": (
        lambda: optimizers.RMSProp(weights(), epsilon=math.inf),
        "RMSProp: epsilon=inf must be at least 0.",
    ),
    "fewer than no pipelines": (
        lambda: InputContext(-1, 5),
        "InputContext: num_input_pipelines=-1 must be a whole number of at least 1.",
    ),
    "a pipeline beyond the last": (
        lambda: InputContext(2, 5),
        "InputContext: input_pipeline_id=5 must be below num_input_pipelines=2.",
    ),
    "half a batch": (
        lambda: InputContext(2, 0, 2).get_per_replica_batch_size(1.5),
        "global_batch_size=1.5 must be a whole number of at least 1.",
    ),
    # Names, dtypes, devices
    "a collection's name that is a number": (
        lambda: fc.shared_embeddings([IDS], 2, shared_embedding_collection_name=7),
        "shared_embedding_collection_name=7 must be a string.",
    ),
    "a dtype that is None": (
        lambda: fc.sequence_numeric_column("x", dtype=None),
        "dtype of column 'x' is None: give a dtype of floats or integers, such as torch.float32.",
    ),
    "a combiner that is a list": (
        lambda: fc.LinearFeatures([X], sparse_combiner=["sum"]),
        "sparse_combiner=['sum'] must be 'mean' or 'sqrtn' or 'sum'.",
    ),
    "a device that is a list": (
        lambda: fc.Features({"x": [1.0]}, device=["cpu"]),
        "device=['cpu'] must be a torch.device, or its name, such as 'cpu' or 'cuda:0'.",
    ),
    "a share that is text": (
        lambda: fc.describe([X], {"x": [1.0]}, "0.1"),
        "collision_share is '0.1': give a share between 0 and 1, such as 0.1.",
    ),
}
OF_THE_WRONG_TYPE = {
    "bytes as a shape": (
        lambda: fc.numeric_column("x", b"x"),
        "shape of column 'x' is b'x': give an integer or a tuple of integers.",
    ),
    "a list as features": (
        lambda: fc.Features([1.0]),
        "Columns need a dict of features by key, not a list: give, for example, {'age': [22, 38]}.",
    ),
    "None as features": (
        lambda: fc.Features(None),
        "Columns need a dict of features by key, not a NoneType: give, for example, {'age': [22, 38]}.",
    ),
    "a list as labels of a loss": (
        lambda: losses.squared_error([1.0], torch.zeros(1)),
        "labels=[1.0] must be a tensor.",
    ),
    "a number as parameters": (
        lambda: optimizers.Adam(3),
        "Adam: params=3 must be parameters, such as module.parameters(). Give a learning rate by "
        "name: Adam(learning_rate=3).",
    ),
    "a name among parameters": (
        lambda: optimizers.Ftrl(["weight"]),
        "Ftrl: params has 'weight', but every item must be a parameter, or a dict of a group of them.",
    ),
    "an array as a dtype": (
        lambda: VarLenFeature(np.array(["a"])),
        "dtype is array(['a'], dtype='<U1'): give torch.float32, torch.int64, str or bytes.",
    ),
    "True as a shape": (
        lambda: FixedLenFeature(True, torch.float32),
        "shape is True: give integers; for any number of values use VarLenFeature.",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_value_is_shown_with_its_argument(wrong):
    use, message = WRONG[wrong]
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        use()


@pytest.mark.parametrize("wrong", OF_THE_WRONG_TYPE)
def test_a_value_of_the_wrong_type_is_shown_with_its_argument(wrong):
    use, message = OF_THE_WRONG_TYPE[wrong]
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        use()


def test_booleans_of_numpy_are_booleans():
    column = fc.embedding_column(IDS, 2, trainable=np.False_, use_safe_embedding_lookup=np.True_)
    assert column.trainable is False
    assert column.use_safe_embedding_lookup is True
    layer = fc.DenseFeatures([column], trainable=np.True_)
    assert [weight.requires_grad for weight in layer.parameters()] == [False]
    optimizer = optimizers.Adam(weights(), lazy=np.True_, amsgrad=np.False_)
    assert optimizer.param_groups[0]["lazy"] is True
    assert optimizer.param_groups[0]["amsgrad"] is False


def test_integers_of_numpy_are_integers(tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("a\nb\n")
    listed = fc.categorical_column_with_vocabulary_list("a", ["a", "b"], default_value=np.int64(0))
    from_file = fc.categorical_column_with_vocabulary_file(
        "a", words, default_value=np.int64(1), num_oov_buckets=np.int64(0)
    )
    identity = fc.categorical_column_with_identity("a", np.int64(3), default_value=np.int64(2))
    hashed = fc.crossed_column(["a", "b"], np.int64(9), hash_key=np.int64(7))
    plain = fc.crossed_column(["a", "b"], 9, hash_key=7)
    layer = fc.LinearFeatures([X], units=np.int64(2))
    assert (type(listed.default_value), listed.default_value) == (int, 0)
    assert (type(from_file.default_value), from_file.default_value) == (int, 1)
    assert (type(identity.default_value), identity.default_value) == (int, 2)
    assert (type(hashed.hash_key), hashed.start) == (int, plain.start)
    assert layer.bias.shape == (2,)
