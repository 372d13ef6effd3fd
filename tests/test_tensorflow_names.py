"""Names of TensorFlow that are elsewhere in torchest, or not there, raise with the answer."""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
from pathlib import Path

import pytest

import torchest as tf
from torchest import estimator
from torchest.utils.tensorflow_names import sentence, table

USED = (Path(__file__).parent / "reference" / "names_in_programs.txt").read_text().split()


@pytest.mark.parametrize(
    ("expression", "answer"),
    [
        ("tf.data.Dataset", "tf.data.Dataset is torchest.inputs.Dataset."),
        ("tf.data.Dataset.batch", "tf.data.Dataset.batch is torchest.inputs.Dataset.batch."),
        (
            "tf.data.Dataset.bach",
            "is torchest.inputs.Dataset, which has no 'bach'. Did you mean 'batch",
        ),
        ("tf.data", "tf.data is torchest.inputs."),
        ("tf.train.AdamOptimizer", "tf.train.AdamOptimizer is torchest.v1.train.AdamOptimizer."),
        ("tf.train.AdamOptimizer(0.1)", "is torchest.v1.train.AdamOptimizer."),
        ("tf.train.Saver", "an Estimator writes checkpoints"),
        ("tf.train.Nothing", "Estimator.train runs the loop"),
        (
            "tf.v1.train.AdamOptimiser",
            "Estimator.train runs the loop, and its RunConfig and hooks say what",
        ),
        ("tf.v1.train.AdamOptimiser", "Did you mean 'AdamOptimizer'"),
        ("tf.v1.errors.InvalidArgumentError", "Errors are those of Python and torchest"),
        ("tf.layers.dense(x, 3)", "tf.layers.dense is torch.nn.Linear."),
        ("tf.layers.conv3d", "Layers are modules of torch.nn, made with get_or_create."),
        ("tf.contrib.estimator.multi_head", "multi_head is torchest.MultiHead."),
        ("tf.contrib.layers.sparse_column_with_hash_bucket", "categorical_column_with_hash_bucket"),
        ("tf.keras.optimizers.Ftrl", "tf.keras.optimizers.Ftrl is torchest.optimizers.Ftrl."),
        ("tf.keras.optimizers.legacy.Adam", "is torchest.optimizers.Adam."),
        ("tf.keras.layers.Dense", "tf.keras.layers.Dense is torch.nn.Linear."),
        ("tf.keras.layers.GRU", "Layers are modules of torch.nn"),
        ("tf.keras", "Layers, models and losses are those of torch.nn"),
        ("tf.estimator.BoostedTreesClassifier", "use XGBoost"),
        ("tf.BoostedTreesClassifier", "use XGBoost"),
        ("tf.estimator.experimental.KMeans", "use sklearn.cluster.KMeans"),
        ("tf.float32", "tf.float32 is torch.float32."),
        ("tf.compat.v1.estimator.DNNClassifier", "is torchest.v1.estimator.DNNClassifier."),
        ("tf.compat.v1.train.get_global_step", "is torchest.v1.train.get_global_step."),
        ("tf.compat.v1.layers.dense", "tf.layers.dense is torch.nn.Linear."),
        ("tf.compat.v1.nothing", "tf.compat.v1 is torchest.v1, which has no 'nothing'."),
        ("tf.metrics.nothing_of_ours", "module 'torchest.metrics' has no attribute"),
        ("tf.losses.mean_squared_error", "is torch.nn.functional.mse_loss."),
        ("tf.feature_column.input_layer", "is torchest.columns.DenseFeatures."),
        ("tf.optimizers.RMSprop", "is torchest.optimizers.RMSProp."),
        ("tf.v1.contrib.tpu.TPUEstimator", "TPUStrategy"),
        ("getattr(tf, 'train').AdamOptimizer", "is torchest.v1.train.AdamOptimizer."),
    ],
)
def test_the_message_has_the_answer(expression, answer):
    with pytest.raises(AttributeError, match=re.escape(answer)):
        eval(expression, {"tf": tf})


def test_an_import_by_from_has_the_answer_too():
    with pytest.raises(
        ImportError, match=r"no attribute 'train'\. tf.train is torchest\.v1\.train"
    ):
        from torchest import train  # noqa: F401
    with pytest.raises(ImportError, match="use XGBoost"):
        from torchest.estimator import BoostedTreesClassifier  # noqa: F401


@pytest.mark.parametrize(
    "name", ["train", "data", "layers", "contrib", "compat", "keras", "float32"]
)
def test_a_name_that_is_not_there_is_not_there(name):
    assert not hasattr(tf, name)
    assert getattr(tf, name, None) is None
    assert name not in dir(tf)


@pytest.mark.parametrize("name", [name for name, equal in table().items() if " " not in equal])
def test_every_equal_exists(name):
    assert pkgutil.resolve_name(table()[name]) is not None


@pytest.mark.parametrize("name", [name for name, equal in table().items() if " " in equal])
def test_no_sentence_hides_an_equal_that_is_there(name):
    above, _, own = name.rpartition(".")
    if own == "*" or " " in table().get(above, " "):
        return
    assert not hasattr(pkgutil.resolve_name(table()[above]), own)


@pytest.mark.parametrize("name", list(table()))
def test_every_answer_is_a_sentence(name):
    answer = sentence(name)
    assert answer.endswith((".", "."))
    assert name in answer or " " in table()[name]


@pytest.mark.parametrize("name", USED)
def test_names_that_programs_use_resolve_or_have_an_answer(name):
    """Both as `import torchest as tf` and, for programs for TensorFlow 1, as `import torchest.v1 as tf`."""
    for module in (tf, importlib.import_module("torchest.v1")):
        said = message_for(name, module)
        assert said is None or (said and not said.startswith(("Did you mean", "There are"))), said


def message_for(name, module):
    """What the error says after its first sentence; None if the name is there."""
    try:
        eval(name, {"tf": module})
    except AttributeError as error:
        return str(error).partition(". ")[2]
    return None


def test_estimator_is_the_namespace_of_tf_estimator():
    assert tf.estimator is estimator is sys.modules["torchest.estimator"]
    assert estimator.DNNClassifier is tf.DNNClassifier
    assert estimator.export is tf.export
    assert estimator.inputs is tf.inputs
    assert estimator.experimental is tf.experimental
    assert "experimental" in dir(estimator)
    assert not {"columns", "metrics", "__version__", "TYPE_CHECKING"} & set(dir(estimator))


def test_estimator_is_imported_in_every_form():
    scope: dict[str, object] = {}
    exec("from torchest.estimator import *", scope)
    exec("from torchest.estimator import Estimator as E, export as x", scope)
    exec("import torchest.estimator as e", scope)
    assert scope["E"] is scope["Estimator"] is tf.Estimator
    assert scope["x"] is tf.export
    assert scope["e"] is estimator


def test_v1_has_all_names_of_tf_estimator_and_its_own_canned_estimators():
    v1 = tf.v1
    assert set(v1.estimator.__all__) <= set(dir(estimator))
    own = {
        name for name in v1.estimator.__all__ if getattr(v1, name) is not getattr(estimator, name)
    }
    kinds = ("Baseline", "DNN", "DNNLinearCombined", "Linear")
    assert own == {
        f"{kind}{end}" for kind in kinds for end in ("Classifier", "Estimator", "Regressor")
    }
    assert v1.feature_column is tf.feature_column
