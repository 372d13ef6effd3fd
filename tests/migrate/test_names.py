"""The tables that `torchest migrate` rewrites by."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("libcst")

from torchest.migrate.calls import Template
from torchest.migrate.generation import only_in_tensorflow_1
from torchest.migrate.names import answer, resolve, templates
from torchest.migrate.numbers import DIFFERENCES
from torchest.utils.tensorflow_names import table

TEMPLATES = [(key, text) for names in templates().values() for key, text in names.items()]
FULL = re.compile(r"\b(?:absl|glob|logging|numpy|os|shutil|torch|torchest)(?:\.\w+)+")


@pytest.mark.parametrize(("name", "text"), TEMPLATES)
def test_what_a_template_calls_exists(name, text):
    code = Template.of(text).code
    for target in FULL.findall(code):
        assert resolve(target) is not None, f"{name}: {target}"


@pytest.mark.parametrize(("name", "text"), TEMPLATES)
def test_the_slots_of_a_template_are_arguments(name, text):
    parts = Template.of(text)
    slots = set(re.findall(r"\{(\w+)", parts.code))
    assert slots <= {names[0] for names in parts.names}


@pytest.mark.parametrize("is_old", [False, True])
@pytest.mark.parametrize("name", [name for name in table() if not name.endswith("*")])
def test_the_equal_of_a_name_exists(name, is_old):
    said = answer(name, is_old=is_old)
    assert said.text
    if said.equal:
        assert resolve(said.equal) is not None


def test_premade_estimators_have_the_defaults_of_their_generation():
    assert answer("tf.estimator.DNNClassifier", is_old=True).equal == "torchest.v1.DNNClassifier"
    assert answer("tf.estimator.DNNClassifier", is_old=False).equal == "torchest.DNNClassifier"
    assert answer("tf.estimator.RunConfig", is_old=True).equal == "torchest.RunConfig"


def test_metrics_of_tensorflow_2_are_classes_and_have_no_equal():
    assert answer("tf.metrics.Accuracy", is_old=False).equal == ""
    assert answer("tf.metrics.accuracy", is_old=True).equal == "torchest.metrics.accuracy"


def test_a_name_with_other_numbers_is_known():
    names = {name for name, _ in TEMPLATES} | set(table())
    assert set(DIFFERENCES) <= names


def test_names_of_tensorflow_1_are_not_those_of_both():
    assert "tf.placeholder" in only_in_tensorflow_1()
    assert "tf.contrib" in only_in_tensorflow_1()
    assert "tf.estimator" not in only_in_tensorflow_1()
    assert "tf.data" not in only_in_tensorflow_1()
