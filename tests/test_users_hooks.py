"""Five hooks that were written for tf.estimator work when only their import and their fetches are changed."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from module_from import module_from

HERE = Path(__file__).parent
BEFORE = HERE / "reference" / "users_hooks.py"
AFTER = HERE.parent / "examples" / "users_hooks.py"
RUNS = json.loads((HERE / "reference" / "users_hooks.json").read_text())["runs"]
FETCHES = {
    "gradient_norm:0": "gradient_norm",
    "learning_rate:0": "learning_rate",
    "loss:0": "loss",
    "step:0": "global_step",
}


def hooks_in(path):
    """The source of the hooks and listeners by name."""
    return {
        node.name: ast.unparse(node)
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and node.name.endswith(("Hook", "Listener"))
    }


def with_new_fetches(source):
    for theirs, ours in FETCHES.items():
        source = source.replace(repr(theirs), repr(ours))
    return source


def test_nothing_but_the_names_of_fetches_differs_in_the_hooks():
    before, after = hooks_in(BEFORE), hooks_in(AFTER)
    assert len(before) == 5
    assert after == {name: with_new_fetches(source) for name, source in before.items()}


@pytest.mark.parametrize(("run", "arguments"), [("listener", (1.0, 0.0)), ("loss", (0.0, 2.0))])
def test_they_see_and_do_what_they_did_with_tensorflow(run, arguments):
    example = module_from(AFTER)
    actual, expected = example.run(*arguments), RUNS[run]
    assert actual["calls"] == expected["calls"]
    assert actual["last_step"] == expected["last_step"]
    assert actual["best"] == [expected["best"][0], pytest.approx(expected["best"][1], rel=1e-6)]
    assert actual["losses"] == pytest.approx(expected["losses"], rel=1e-6)
    assert actual["rates"] == pytest.approx(expected["rates"], rel=1e-6)
    assert actual["norms"] == {
        int(step): pytest.approx(norm, rel=1e-6) for step, norm in expected["norms"].items()
    }
