"""The serving example: a server of its own process, without torch, and clients that ask it at once."""

from __future__ import annotations

import importlib.util
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

SERVING = Path(__file__).parent.parent / "examples" / "serving"
WITHOUT_TORCH = """
import runpy, sys
for name in ("torch", "torchest", "pandas", "pyarrow", "onnx"):
    sys.modules[name] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    sys.path[:0] = [str(SERVING), str(SERVING.parent)]
    try:
        import client
        import export_titanic
        import titanic
    finally:
        del sys.path[:2]
    trained = titanic.make_model(str(tmp_path_factory.mktemp("model")))
    trained.train(titanic.train_input_fn, steps=30)
    path = export_titanic.export(trained, str(tmp_path_factory.mktemp("exports")))
    return trained, path, client


@pytest.fixture(scope="module")
def url(model):
    _, path, _ = model
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", WITHOUT_TORCH, str(SERVING / "server.py"), path]
    server = subprocess.Popen([*command, "--port", str(port), "--wait", "0.02"])
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                get(f"{url}/v1/models/model")
                break
            except urllib.error.URLError:
                assert server.poll() is None, "the server has ended"
                time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture(scope="module")
def server():
    spec = importlib.util.spec_from_file_location("serving_server", SERVING / "server.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def test_passengers_that_are_sent_one_by_one_are_answered_together_as_in_python(model, url):
    trained, _, client = model
    people = client.passengers(64)
    features = {key: [person[key] for person in people] for key in people[0]}
    expected = list(trained.predict(lambda: iter([features])))
    before = get(f"{url}/v1/models/model")["answered"]
    found = client.ask_one_by_one(url, people, clients=16)
    after = get(f"{url}/v1/models/model")["answered"]
    np.testing.assert_allclose(
        [each["probabilities"] for each in found],
        [each["probabilities"] for each in expected],
        atol=1e-5,
    )
    assert [each["classes"] for each in found] == [
        [name.decode() for name in each["classes"]] for each in expected
    ]
    assert after["rows"] - before["rows"] == 64
    assert after["runs"] - before["runs"] < 32


def test_what_the_model_takes_is_told(url):
    described = get(f"{url}/v1/models/model")
    assert [each["name"] for each in described["inputs"]] == ["age", "class", "embark_town"]
    assert "probabilities" in described["outputs"]


@pytest.mark.parametrize(
    ("instance", "message"),
    [
        ({"age": 3.0, "class": "First"}, "'embark_town' is missing in instance 0"),
        ({"age": 3.0, "class": "First", "embark_town": "x", "sex": "y"}, "no input 'sex'"),
        (
            {"age": "old", "class": "First", "embark_town": "x"},
            "Input 'age' is 'old': it takes float32",
        ),
        ({"age": 3.0, "class": 1, "embark_town": "x"}, "'class' must be text"),
        (
            {"age": [3.0, 4.0], "class": "First", "embark_town": "x"},
            "'age' has 2 values in instance 0",
        ),
        ({"age": None, "class": "First", "embark_town": "x"}, "'age' is missing in instance 0"),
        ({"age": {"years": 3}, "class": "First", "embark_town": "x"}, "it takes float32"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(model, url, instance, message):
    with pytest.raises(urllib.error.HTTPError) as error:
        model[2].ask(url, [instance])
    with error.value:
        assert error.value.code == 400
        assert message in json.load(error.value)["detail"]


def test_an_answer_that_is_no_number_is_null(model, url):
    ages = (float("inf"), float("-inf"))
    passengers = [{"age": age, "class": "First", "embark_town": "x"} for age in ages]
    found = model[2].ask(url, passengers)
    assert [each["logits"] for each in found] == [[None], [None]]
    # The weight's sign is not known. The softmax of (0, inf) is no number, as in TensorFlow.
    probabilities = [each["probabilities"] for each in found]
    assert sorted(probabilities, key=str) == [[1.0, 0.0], [None, None]]


@pytest.mark.parametrize(
    ("dtype", "value", "expected"),
    [
        ("string", "abc", ["abc"]),
        ("string", ["a", "b"], ["a", "b"]),
        ("int64", 3, [3]),
        ("int64", [], []),
    ],
)
def test_single_values_are_lists_of_one(server, dtype, value, expected):
    given = {"name": "a", "dtype": dtype, "shape": [None, None], "lists": True, "missing": {}}
    assert server.column(given, [{"a": value}]).tolist() == [expected]


def test_ids_with_fractions_and_other_kinds_are_refused(server):
    given = {"name": "id", "dtype": "int64", "shape": [None], "lists": False, "missing": {}}
    assert server.column(given, [{"id": 2**53 + 1}, {"id": 3}]).tolist() == [2**53 + 1, 3]
    for wrong in (1.5, "3", 2**63, 2**70):
        with pytest.raises(ValueError, match=r"Input 'id' is .*: it takes int64"):
            server.column(given, [{"id": wrong}])


def test_no_passengers_have_no_answers(model, url):
    assert model[2].ask(url, []) == []
