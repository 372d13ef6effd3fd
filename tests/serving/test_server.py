"""`torchest serve` over real exports, in a process without torch: both protocols, limits, versions."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import http.client
import json
import shutil
import signal
import socket
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from serialized_examples import serialized as example
from serving_process import Server, serving

import torchest
from torchest import columns
from torchest.columns import FixedLenFeature
from torchest.command_line import main
from torchest.serving.batching import Batcher
from torchest.serving.limits import Limits
from torchest.serving.metrics import Metrics
from torchest.serving.values import Input

PREDICT = "/v1/models/model:predict"


def numbers(answers, key):
    return np.array([answer[key] for answer in answers], np.float64)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A classifier of three classes that reads a number, a word, a list of words and a list of ids."""
    read = [
        columns.numeric_column("age", default_value=20.0),
        columns.categorical_column_with_hash_bucket("town", 10),
        columns.categorical_column_with_vocabulary_list("class", ["a", "b", "c"]),
        columns.categorical_column_with_identity("n", 5, default_value=0),
    ]
    features = {
        "age": np.arange(8, dtype=np.float32),
        "town": np.array(list("abcdefgh")),
        "class": np.array(list("abcabcab")),
        "n": np.arange(8) % 5,
    }
    config = torchest.RunConfig(tf_random_seed=1)
    model = torchest.LinearClassifier(
        read, tmp_path_factory.mktemp("model"), n_classes=3, config=config
    )
    model.train(lambda: (features, np.arange(8) % 3), steps=5)
    return model, columns.make_parse_example_spec(read)


def export(trained, base, *, parsing=False):
    model, spec = trained
    receiver_fn = (
        torchest.export.build_parsing_serving_input_receiver_fn(spec)
        if parsing
        else torchest.export.build_raw_serving_input_receiver_fn(spec)
    )
    return model.export_saved_model(base, receiver_fn, formats=("onnx",))


@pytest.fixture(scope="module")
def raw(trained, tmp_path_factory):
    base = tmp_path_factory.mktemp("raw")
    path = export(trained, base)
    with serving(
        base,
        "--max-string-length",
        "1000",
        "--max-list-length",
        "50",
        "--max-body-bytes",
        "1000000",
    ) as server:
        yield server, torchest.export.load(path)


@pytest.fixture(scope="module")
def parsing(trained, tmp_path_factory):
    path = export(trained, tmp_path_factory.mktemp("parsing"), parsing=True)
    with serving(path, "--name", "titanic") as server:
        yield server, torchest.export.load(path)


ROWS = [
    {"age": 3, "town": "a", "class": ["b"], "n": [1, 2]},
    {"age": [4.5], "town": ["a", "b", "ünknown"], "class": "zzz"},
    {"n": 4},
    {},
]
COLUMNS = {
    "age": [3.0, 4.5, 20.0, 20.0],
    "town": [["a"], ["a", "b", "ünknown"], [], []],
    "class": [["b"], ["zzz"], [], []],
    "n": [[1, 2], [], [4], []],
}


def test_rows_get_the_answers_of_python_whatever_they_leave_out(raw):
    server, model = raw
    status, answer = server.post(PREDICT, {"signature_name": "predict", "instances": ROWS})
    expected = model.signatures["predict"](**COLUMNS)
    assert status == 200
    np.testing.assert_allclose(
        numbers(answer["predictions"], "probabilities"), expected["probabilities"], atol=1e-6
    )
    assert [each["classes"] for each in answer["predictions"]] == [
        [name.decode() for name in row] for row in expected["classes"]
    ]


def test_a_request_by_column_is_answered_by_column(raw):
    server, model = raw
    status, answer = server.post(PREDICT, {"signature_name": "predict", "inputs": COLUMNS})
    assert status == 200
    expected = model.signatures["predict"](**COLUMNS)
    np.testing.assert_allclose(answer["outputs"]["logits"], expected["logits"], atol=1e-6)


def test_without_a_name_the_default_signature_answers(raw):
    server, model = raw
    status, answer = server.post(PREDICT, {"instances": ROWS})
    assert status == 200
    expected = model.signatures["serving_default"](**COLUMNS)
    np.testing.assert_allclose(
        numbers(answer["predictions"], "scores"), expected["scores"], atol=1e-6
    )


def test_classes_have_a_score_each(raw):
    server, model = raw
    body = {"context": {"age": 3}, "examples": [{"town": "a"}, {"town": "b"}]}
    status, answer = server.post("/v1/models/model:classify", body)
    expected = model.signatures["classification"](age=[3.0, 3.0], town=[["a"], ["b"]])["scores"]
    assert status == 200
    assert [[label for label, _ in row] for row in answer["result"]] == [["0", "1", "2"]] * 2
    scores = [[score for _, score in row] for row in answer["result"]]
    np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_a_regressor_gives_a_value_for_each_example(tmp_path):
    features = {"x": np.arange(4, dtype=np.float32)}
    model = torchest.LinearRegressor([columns.numeric_column("x")], tmp_path / "model")
    model.train(lambda: (features, np.arange(4.0)), steps=3)
    receiver_fn = torchest.export.build_raw_serving_input_receiver_fn(
        {"x": FixedLenFeature((1,), "float32")}
    )
    path = model.export_saved_model(tmp_path / "exports", receiver_fn, formats=("onnx",))
    expected = torchest.export.load(path).signatures["regression"](x=[1.0, 2.0])["outputs"]
    with serving(path) as server:
        status, answer = server.post("/v1/models/model:regress", {"examples": [{"x": 1}, {"x": 2}]})
        assert status == 200
        np.testing.assert_allclose(answer["result"], expected[:, 0], atol=1e-6)
        wide = server.post("/v1/models/model:regress", {"examples": []})
        assert wide == (200, {"results": [], "result": []})
        # a model of one input takes its values without the name, and an answer of one output has none
        assert answer["results"] == answer["result"]  # TensorFlow Serving's key, and its page's
        named = server.post(PREDICT, {"instances": [{"x": 1}, {"x": 2}]})
        assert server.post(PREDICT, {"instances": [1, 2]}) == named
        assert server.post(PREDICT, {"instances": [[1], [2]]}) == named
        assert server.post(PREDICT, {"inputs": [1, 2]})[1]["outputs"] == named[1]["predictions"]
        assert named[1]["predictions"] == [[value] for value in answer["result"]]


def test_a_regressor_of_several_values_is_asked_to_predict(tmp_path):
    features = {"x": np.arange(4, dtype=np.float32)}
    model = torchest.LinearRegressor(
        [columns.numeric_column("x")], tmp_path / "model", label_dimension=2
    )
    model.train(lambda: (features, np.ones((4, 2))), steps=1)
    receiver_fn = torchest.export.build_raw_serving_input_receiver_fn(
        {"x": FixedLenFeature((1,), "float32")}
    )
    with serving(model.export_saved_model(tmp_path / "exports", receiver_fn)) as server:
        status, answer = server.post("/v1/models/model:regress", {"examples": [{"x": 1}]})
        assert status == 400
        assert "has 2 values for each row, but regress answers one: use predict" in answer["error"]


def test_a_key_comes_back_under_its_name(tmp_path):
    """The input is renamed in the file, as there is an output of its name; clients call both by the key."""

    def model_fn(features, labels, mode):
        net = torchest.get_or_create("net", lambda: torch.nn.Linear(1, 1))
        answers = {"key": features["key"], "y": net(features["x"])}
        sgd = torchest.get_or_create("sgd", lambda: torch.optim.SGD(net.parameters(), lr=0.1))
        return torchest.EstimatorSpec(mode, answers, answers["y"].mean(), sgd)

    rows = {"key": ["a", "\u65e5"], "x": np.array([[1.0], [2.0]], np.float32)}
    model = torchest.Estimator(model_fn, tmp_path / "model").train(lambda: rows, steps=1)
    receiver_fn = torchest.export.build_raw_serving_input_receiver_fn(rows)
    with serving(model.export_saved_model(tmp_path / "exports", receiver_fn)) as server:
        for key in ("key", "feature_key"):
            instances = [{key: "a", "x": [1]}, {key: "\u65e5", "x": [2]}]
            status, answer = server.post(PREDICT, {"instances": instances})
            assert (status, [each["key"] for each in answer["predictions"]]) == (
                200,
                ["a", "\u65e5"],
            )
            entries = [
                {"name": key, "shape": [2], "datatype": "BYTES", "data": ["a", "\u65e5"]},
                {"name": "x", "shape": [2, 1], "datatype": "FP32", "data": [1, 2]},
            ]
            status, answer = server.post("/v2/models/model/infer", {"inputs": entries})
            named = {each["name"]: each["data"] for each in answer["outputs"]}
            assert (status, named["key"]) == (200, ["a", "\u65e5"])


def test_serialized_examples_are_answered_as_their_features_are(parsing):
    server, model = parsing
    records = [
        example(age=[3.0], town=[b"a"], n=[1, 2], **{"class": [b"b"]}),
        example(town=[b"a", b"b"]),
        example(),
    ]
    encoded = [{"b64": base64.b64encode(record).decode()} for record in records]
    path = "/v1/models/titanic:predict"
    status, answer = server.post(path, {"signature_name": "predict", "instances": encoded})
    expected = model.signatures["predict"](examples=records)["logits"]
    assert status == 200
    np.testing.assert_allclose(numbers(answer["predictions"], "logits"), expected, atol=1e-6)
    named = {"signature_name": "predict", "instances": [{"examples": each} for each in encoded]}
    assert server.post(path, named) == (status, answer)
    for inputs in (encoded, {"examples": encoded}, {"inputs": encoded}):
        status, by_column = server.post(path, {"signature_name": "predict", "inputs": inputs})
        assert status == 200
        np.testing.assert_allclose(by_column["outputs"]["logits"], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"b64": "!"}, "is not base64"),
        (
            {"b64": base64.b64encode(b"\x0a\xff").decode()},
            "Record 0 is not a serialized tf.Example",
        ),
        (
            {"b64": base64.b64encode(example(age=[3])).decode()},
            "'age' holds int64s in record 0, but the model takes floats",
        ),
        ("abc", "must hold serialized tf.Example records"),
        (None, "must hold serialized tf.Example records"),
    ],
)
def test_a_wrong_record_is_told_what_is_wrong(parsing, record, message):
    for body in ({"instances": [record]}, {"inputs": {"examples": [record]}}):
        status, answer = parsing[0].post("/v1/models/titanic:predict", body)
        assert status == 400
        assert message in answer["error"]


def test_an_object_without_a_record_is_told_what_is_wrong(parsing):
    body = {"inputs": {"examples": [{}]}}
    status, answer = parsing[0].post("/v1/models/titanic:predict", body)
    assert status == 400
    assert "must hold serialized tf.Example records" in answer["error"]


def test_what_is_served_is_described(raw):
    server, _ = raw
    _, answer = server.get("/v1/models/model")
    (state,) = answer["model_version_status"]
    assert state["state"] == "AVAILABLE"
    assert state["status"] == {"error_code": "OK", "error_message": ""}
    version = state["version"]
    assert server.get(f"/v1/models/model/versions/{version}") == (200, answer)
    _, described = server.get(f"/v1/models/model/versions/{version}/metadata")
    assert described["model_spec"] == {"name": "model", "signature_name": "", "version": version}
    signature = described["metadata"]["signature_def"]["signature_def"]["predict"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    assert signature["inputs"]["age"]["dtype"] == "DT_FLOAT"
    sizes = [dimension["size"] for dimension in signature["inputs"]["age"]["tensor_shape"]["dim"]]
    assert sizes == ["-1", "1"]
    assert signature["outputs"]["classes"]["dtype"] == "DT_STRING"


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/v1/models/model/labels/stable:predict", 404, "Versions have no labels here"),
        ("/v2/models/model/labels/stable/infer", 404, "Versions have no labels here"),
        ("/v1/models", 404, "There is nothing at '/v1/models'."),
        ("/v2/", 404, "There is nothing at '/v2/'."),
        ("/v2/repository/index", 404, "There is nothing at '/v2/repository/index'."),
        ("/v2", 405, "'/v2' does not accept POST."),
        ("/v1/models/other:predict", 404, "There is no model 'other'; it is called 'model'."),
        ("/v1/models/model/versions/7:predict", 404, "Version '7' is not served."),
        ("/v1/models/model:explain", 404, "there are predict, classify and regress"),
        ("/v1/models/model", 404, "there are predict, classify and regress"),
        ("/v1/models/model:regress", 400, "There is no signature|is for classification"),
        ("/v2/models/model/versions/7/infer", 404, "Version '7' is not served."),
        ("/v2/models/other/infer", 404, "There is no model 'other'"),
    ],
)
def test_a_wrong_address_is_told_what_there_is(raw, path, status, message):
    actual, answer = raw[0].post(path, {"instances": [], "examples": []})
    assert actual == status
    assert any(part in answer["error"] for part in message.split("|"))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "The body is not valid JSON"),
        (b"[" * 100_000, "The body is not valid JSON"),
        (b"\xff\xfe", "The body is not valid JSON"),
        ([], "must be a JSON object"),
        ({}, 'must have "instances" or "inputs"'),
        ({"instances": {"age": 1}}, "a list with one entry for each row"),
        ({"signature_name": "predct", "instances": []}, "Did you mean 'predict'?"),
        ({"signature_name": 3, "instances": []}, "There is no signature 3."),
        ({"instances": [{"agee": 1}]}, "There is no input 'agee'. Did you mean 'age'?"),
        ({"instances": [3]}, "Row 0 must be an object that maps names of inputs to values"),
        ({"instances": [{"age": "old"}]}, "Input 'age' takes float32, but has 'old'."),
        ({"instances": [{"age": {"years": 3}}]}, "Input 'age' takes float32"),
        ({"instances": [{"age": [1, 2]}]}, "Input 'age' takes 1 value in each row, of shape [1]."),
        ({"instances": [{"age": [1, 2]}, {"age": []}]}, "Input 'age' takes 1 value in each row"),
        ({"instances": [{"town": 1}]}, "Input 'town' takes text, but has 1."),
        ({"instances": [{"town": [None]}]}, "Input 'town' takes text, but has None."),
        ({"instances": [{"town": "\ud800"}]}, "which is not Unicode text"),
        ({"instances": [{"town": "x" * 1001}]}, "the longest allowed has 1000"),
        ({"instances": [{"town": ["x"] * 51}]}, "the longest allowed has 50"),
        ({"instances": [{"town": {"b64": "/w=="}}]}, "not text in UTF-8"),
        ({"instances": [{"n": 1.5}]}, "Input 'n' takes int64, but has 1.5."),
        ({"instances": [{"n": "3"}]}, "Input 'n' takes int64, but has '3'."),
        ({"instances": [{"n": 2**63}]}, f"Input 'n' takes int64, but has {2**63}."),
        ({"instances": [{"n": [2**70, 1]}]}, f"Input 'n' takes int64, but has {2**70}."),
        ({"instances": [{"n": [2.0**60]}]}, "Input 'n' takes int64"),
        ({"inputs": {}}, '"inputs" is empty'),
        ({"inputs": {"age": [1, 2], "n": [1]}}, "'age' has 2, 'n' has 1"),
        ({"inputs": [1]}, '"inputs" must be an object of lists by name'),
        ({"instances": [{"age": [None]}, {}]}, "Input 'age' takes float32, but has None."),
        (
            {"inputs": {"age": ["x" * 10_000] + [1] * 60_000}},
            "Input 'age' takes float32, but has 'xxx",
        ),
        ({"signature_name": "a" * 900_000, "instances": []}, "There is no signature 'aaa"),
        ({"instances": [{"a" * 900_000: 1}]}, "There is no input 'aaa"),
        ({"inputs": {"age": [1]}, "instances": [{}]}, "but has both"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(raw, body, message):
    status, answer = raw[0].post(PREDICT, body)
    assert status == 400
    assert message in answer["error"]


def test_ids_beyond_floats_are_exact():
    described = {
        "name": "id",
        "feature": "id",
        "dtype": "int64",
        "shape": [None, 1],
        "lists": False,
    }
    given = Input({**described, "missing": {"rule": "required"}, "used": True}, Limits())
    assert given.array([2**53 + 1, [3]]).tolist() == [[2**53 + 1], [3]]


def test_a_wrong_method_is_told_so_and_counted(raw):
    server, _ = raw
    for method, path, allowed in (
        ("PUT", PREDICT, {"GET", "HEAD", "POST"}),
        ("DELETE", "/v2/models/model/infer", {"GET", "HEAD", "POST"}),
        ("POST", "/v2/health/live", {"GET", "HEAD"}),
    ):
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        client.request(method, path, b"{}")
        with client.getresponse() as answer:
            assert answer.status == 405
            assert set(answer.headers["Allow"].split(", ")) == allowed
            assert json.load(answer) == {"error": f"{path!r} does not accept {method}."}
        client.close()
    for path in (PREDICT, "/v2/models/model/infer"):
        status, answer = server.get(path)
        assert (status, "needs POST" in answer["error"]) == (405, True)
    assert 'torchest_requests_total{status="405",verb="predict"}' in server.get("/metrics")[1]


def sent(server, head, body=b""):
    """The beginning of what a client gets for bytes."""
    with socket.create_connection(("127.0.0.1", server.port), 10) as client:
        client.sendall(head + body)
        return client.recv(1000)


def test_a_compressed_body_is_read(raw):
    server, _ = raw
    body = json.dumps({"instances": ROWS}).encode()
    expected = server.post(PREDICT, body)
    for encoding, compress in (("gzip", gzip.compress), ("deflate", zlib.compress)):
        assert server.post(PREDICT, compress(body), {"Content-Encoding": encoding}) == expected
    cut = gzip.compress(body)[:-9]
    for wrong, encoding, status, message in (
        (gzip.compress(b" " * 1_000_001), "gzip", 413, "more than 1000000 bytes"),
        (cut, "gzip", 400, "is cut off"),
        (body, "gzip", 400, "The compressed body is damaged"),
        (body, "br", 415, "Content-Encoding is 'br': send gzip, deflate or plain bodies."),
    ):
        answer = server.post(PREDICT, wrong, {"Content-Encoding": encoding})
        assert (answer[0], message in answer[1]["error"]) == (status, True)


def test_endless_headers_are_refused(raw):
    head = b"GET /v2 HTTP/1.1\r\n" + b"X-Long: %s\r\n" % (b"x" * 1000) * 80
    answer = b""
    with contextlib.suppress(ConnectionError):
        answer = sent(raw[0], head)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
    assert raw[0].get("/v2")[0] == 200


def test_a_large_request_is_refused_before_its_body(raw):
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9999999\r\n\r\n"
    assert sent(raw[0], head.encode()).startswith(b"HTTP/1.1 413 ")


def test_more_rows_than_may_wait_are_refused_at_once(raw):
    server, _ = raw
    rows = [{}] * 65_537
    empty = {"name": "town", "shape": [2**31 - 1, 0], "datatype": "BYTES", "data": []}
    for path, body in (
        (PREDICT, {"instances": rows}),
        (PREDICT, {"inputs": {"age": [1] * 65_537}}),
        ("/v1/models/model:classify", {"examples": rows}),
        ("/v2/models/model/infer", {"inputs": [empty]}),
    ):
        status, answer = server.post(path, body)
        assert status == 413
        assert "send at most 65536 at a time" in answer["error"]
    assert server.post(PREDICT, {"instances": [{}]})[0] == 200


def test_padding_of_base64_may_be_left_out(raw):
    answers = [
        raw[0].post(PREDICT, {"instances": [{"town": {"b64": text}}]}) for text in ("YQ==", "YQ")
    ]
    assert answers[0] == answers[1]
    assert answers[0][0] == 200


def test_no_rows_have_no_answers(raw):
    assert raw[0].post(PREDICT, {"instances": []}) == (200, {"predictions": []})


def test_no_rows_of_lists_have_no_answers(raw):
    empty = {"name": "town", "datatype": "BYTES", "shape": [0, 3], "data": []}
    status, answer = raw[0].post("/v2/models/model/infer", {"inputs": [empty]})
    assert status == 200
    assert all(output["data"] == [] for output in answer["outputs"])


def test_one_long_list_does_not_widen_those_of_many_rows_without_bound():
    from torchest.serving.limits import Limits, RequestError
    from torchest.serving.values import Input

    described = {
        "name": "town",
        "feature": "town",
        "dtype": "string",
        "shape": [None, None],
        "lists": True,
    }
    town = Input({**described, "missing": {"rule": "empty"}, "used": True}, Limits())
    with pytest.raises(RequestError, match="has 60001 rows, and a list of 4096 values: send few"):
        town.array([["a"] * 4096] + [[]] * 60_000)


def test_infinity_is_taken_and_an_answer_that_is_no_number_is_null(raw):
    for token in (b"Infinity", b"-Infinity", b"1e999"):
        status, answer = raw[0].post(PREDICT, b'{"instances": [{"age": %s}]}' % token)
        assert status == 200
        assert None in answer["predictions"][0]["scores"]


def test_a_body_beyond_the_limit_is_refused(raw):
    for size in (1_000_001, 20_000_000):  # more than a socket buffers
        status, answer = raw[0].post(PREDICT, b" " * size)
        assert status == 413
        assert "more than 1000000 bytes" in answer["error"]


def test_a_request_of_more_rows_than_a_run_is_answered_in_several(trained, tmp_path):
    path = export(trained, tmp_path)
    rows = [{"age": row, "town": ["a"] * (row % 5)} for row in range(100)]
    with serving(path, "--max-rows-per-run", "16") as server:
        status, answer = server.post(PREDICT, {"signature_name": "predict", "instances": rows})
        alone = [
            server.post(PREDICT, {"signature_name": "predict", "instances": [row]})[1][
                "predictions"
            ][0]
            for row in rows[:6]
        ]
        metrics = server.get("/metrics")[1]
        logged = server.stop()
    assert status == 200
    assert len(answer["predictions"]) == 100
    np.testing.assert_array_equal(
        numbers(answer["predictions"][:6], "logits"), numbers(alone, "logits")
    )
    assert 'torchest_run_rows_bucket{le="16.0"} 13.0' in metrics
    assert 'torchest_requests_total{status="200",verb="predict"} 7.0' in metrics
    requests = [line for line in logged if line["message"] == "request"]
    assert [line["status"] for line in requests if line["path"] == PREDICT] == [200] * 7


def test_wrong_requests_spoil_none_of_those_that_come_with_them(raw):
    server, model = raw
    wrong = [{"town": "\ud800"}, {"n": 1.5}, {"agee": 3}, {"town": ["x"] * 51}]
    right = [{"age": row, "town": ["a"] * (row % 4)} for row in range(120)]
    mixed = [row for place, each in enumerate(right) for row in ([each, wrong[place % 4]])]

    def ask(row):
        return server.post(PREDICT, {"signature_name": "predict", "instances": [row]})

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, mixed))
    assert [status for status, _ in answers] == [200, 400] * 120
    actual = [answer["predictions"][0] for status, answer in answers if status == 200]
    expected = model.signatures["predict"](
        age=[row["age"] for row in right], town=[row["town"] for row in right]
    )
    np.testing.assert_allclose(numbers(actual, "logits"), expected["logits"], atol=1e-6)


def list_input():
    return Input(
        {
            "name": "town",
            "feature": "town",
            "dtype": "string",
            "shape": [None, None],
            "lists": True,
            "missing": {"rule": "empty"},
            "used": True,
        },
        Limits(),
    )


class OfLists:
    """A model that takes lists of words, and notes the shapes of its runs."""

    def __init__(self, answer, shape):
        self.inputs = {"town": list_input()}
        self.outputs = {"answer": {"shape": shape}}
        self.shapes = []
        self._answer = answer

    def run(self, feeds, outputs):
        self.shapes.append(feeds["town"].shape)
        return {"answer": self._answer(feeds["town"] != "")}


def test_one_long_list_does_not_widen_the_rows_of_its_request():
    model = OfLists(lambda there: there.sum(1), [None])

    async def ask():
        batcher = Batcher(model, Limits(max_rows_per_run=1000), Metrics())
        lists = list_input().array([["a"] * 4096, *[["b", "c"]] * 998, None])
        single = list_input().array([["a"]])
        large = asyncio.create_task(batcher.ask({"town": lists}, ("answer",), 1000))
        await asyncio.sleep(0)
        small = await batcher.ask({"town": single}, ("answer",), 1)
        assert not large.done()  # a small request is answered between the runs of a large one
        return small["answer"].tolist(), (await large)["answer"].tolist()

    assert asyncio.run(ask()) == ([1], [4096, *[2] * 998, 0])
    assert max(rows * width for rows, width in model.shapes) <= 1 << 18
    assert sum(rows * width for rows, width in model.shapes) < 300_000  # all in one: 4 million


@pytest.mark.parametrize(("one", "none"), [(1, 0), ("t", "")])
def test_answers_of_steps_and_lists_of_text_are_as_wide_as_their_own_request(one, none):
    model = OfLists(lambda there: np.where(there, one, none), [None, None])

    async def ask():
        batcher = Batcher(model, Limits(max_rows_per_run=2), Metrics())
        requests = [[["a"]], [["a", "b", "c"], ["d"], ["e"]], [["a"]], [["a", "b"]]]
        asked = [
            batcher.ask({"town": list_input().array(rows)}, ("answer",), len(rows))
            for rows in requests
        ]
        return [answer["answer"].tolist() for answer in await asyncio.gather(*asked)]

    three = [[one, one, one], [one, none, none], [one, none, none]]
    assert asyncio.run(ask()) == [[[one]], three, [[one]], [[one, one]]]


def test_a_client_that_reads_no_answer_loses_its_connection(trained, tmp_path):
    body = json.dumps({"signature_name": "predict", "instances": [{}] * 60_000}).encode()
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with serving(export(trained, tmp_path), "--timeout", "0.5") as server:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", server.port))
            client.sendall(head + body)
            _wait_until(lambda: 'verb="predict"' in server.get("/metrics")[1])
            server.process.send_signal(signal.SIGTERM)  # it does not keep the server from ending
            server.process.wait(60)
        assert server.process.returncode == 0


def test_a_client_that_goes_away_is_no_failure(trained, tmp_path):
    with serving(export(trained, tmp_path)) as server:
        with socket.create_connection(("127.0.0.1", server.port), 30) as client:
            client.sendall(
                f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{{".encode()
            )
        _wait_until(lambda: 'status="400",verb="predict"' in server.get("/metrics")[1])
        assert {line["level"] for line in server.stop()} == {"info"}


def test_slow_clients_are_given_up(trained, tmp_path):
    with serving(export(trained, tmp_path), "--timeout", "0.5") as server:
        for sent in (b"POST /v1/mod", b""):
            with socket.create_connection(("127.0.0.1", server.port), 30) as client:
                client.sendall(sent)
                assert client.recv(1000) == b""
        with socket.create_connection(("127.0.0.1", server.port), 30) as client:
            head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
            client.sendall(head.encode() + b"{")
            assert client.recv(1000).startswith(b"HTTP/1.1 408 ")
        assert server.post(PREDICT, {"instances": [{}]})[0] == 200


def test_a_new_version_is_picked_up_and_the_old_one_still_answers(trained, tmp_path):
    first = export(trained, tmp_path / "exports")
    (tmp_path / "exports" / "1").mkdir()  # no export: it is left alone
    with serving(tmp_path / "exports") as server:
        old = first.rpartition("/")[2]
        new = str(int(old) + 7)
        shutil.copytree(first, tmp_path / "exports" / "copying")
        (tmp_path / "exports" / "copying").rename(tmp_path / "exports" / new)
        _wait_for(server, new, "AVAILABLE")
        assert server.get("/v1/models/model/metadata")[1]["model_spec"]["version"] == new
        for version in (old, new):
            assert (
                server.post(f"/v1/models/model/versions/{version}:predict", {"instances": [{}]})[0]
                == 200
            )
        shutil.rmtree(tmp_path / "exports" / old)
        _wait_for(server, old, None)
        assert (
            server.post(f"/v1/models/model/versions/{old}:predict", {"instances": [{}]})[0] == 404
        )


def test_a_version_that_cannot_be_listed_does_not_keep_others_from_being_served(trained, tmp_path):
    first = export(trained, tmp_path)
    old = int(first.rpartition("/")[2])
    with serving(tmp_path) as server:
        shutil.copytree(first, tmp_path / "t" / "broken")
        (tmp_path / "t" / "broken" / "away").symlink_to(tmp_path / "nowhere")
        (tmp_path / "t" / "broken").rename(tmp_path / str(old + 1))
        state = _wait_for(server, str(old + 1), "END")
        assert "is a link to" in state["status"]["error_message"]
        shutil.copytree(first, tmp_path / "t" / "sound")
        (tmp_path / "t" / "sound").rename(tmp_path / str(old + 2))
        _wait_for(server, str(old + 2), "AVAILABLE")


def test_a_damaged_version_is_told_of_and_never_answers(trained, tmp_path):
    first = export(trained, tmp_path)
    old = first.rpartition("/")[2]
    damaged, other = str(int(old) + 1), str(int(old) + 2)
    with serving(tmp_path) as server:
        shutil.copytree(first, tmp_path / "t" / damaged)
        model = tmp_path / "t" / damaged / "model.onnx"
        model.write_bytes(model.read_bytes()[:-2000])
        (tmp_path / "t" / damaged).rename(tmp_path / damaged)
        state = _wait_for(server, damaged, "END")
        assert state["status"]["error_message"]
        shutil.copytree(first, tmp_path / "t" / other)
        golden = tmp_path / "t" / other / "golden.json"
        described = json.loads(golden.read_text())
        described["outputs"]["logits"]["values"][0] = 3.0
        golden.write_text(json.dumps(described))
        (tmp_path / "t" / other).rename(tmp_path / other)
        state = _wait_for(server, other, "END")
        assert "no longer gives the answers of its export" in state["status"]["error_message"]
        assert server.get("/v1/models/model/metadata")[1]["model_spec"]["version"] == old
        assert "torchest_failed_versions_total 2.0" in server.get("/metrics")[1]
        shutil.copyfile(tmp_path / old / "golden.json", tmp_path / other / "golden.json")  # mended
        _wait_for(server, other, "AVAILABLE")


def test_a_server_starts_with_the_newest_version_that_is_sound(trained, tmp_path):
    first = export(trained, tmp_path)
    old = first.rpartition("/")[2]
    damaged = str(int(old) + 1)
    shutil.copytree(first, tmp_path / damaged)
    (tmp_path / damaged / "model.onnx").write_bytes(b"")
    with serving(tmp_path) as server:
        _, answer = server.get("/v1/models/model")
        states = [(each["version"], each["state"]) for each in answer["model_version_status"]]
        assert states == [(damaged, "END"), (old, "AVAILABLE")]
        assert server.post(PREDICT, {"instances": [{}]})[0] == 200
        assert "torchest_failed_versions_total 1.0" in server.get("/metrics")[1]
        shutil.rmtree(tmp_path)  # whatever becomes of the files, what is loaded answers on
        time.sleep(2.5)
        assert server.post(PREDICT, {"instances": [{}]})[0] == 200
        told = [line["message"] for line in server.stop() if line["level"] == "warning"]
    assert len(told) == 1
    assert "cannot be read" in told[0]


def test_a_version_that_is_withdrawn_leaves_the_one_before(trained, tmp_path):
    exports = tmp_path / "exports"
    first = export(trained, exports)
    names = [str(int(first.rpartition("/")[2]) + step) for step in range(3)]
    for name in names[1:]:
        shutil.copytree(first, exports / name)
    with serving(exports) as server:
        for newest in names[:0:-1]:
            _wait_for(server, newest, "AVAILABLE")
            assert server.get("/v1/models/model/metadata")[1]["model_spec"]["version"] == newest
            (exports / newest).rename(tmp_path / newest)
            _wait_for(server, newest, None)
        assert server.get("/v1/models/model/metadata")[1]["model_spec"]["version"] == names[0]


def _wait_until(condition):
    for _ in range(300):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("in vain")


def _wait_for(server, version, state):
    for _ in range(300):
        _, answer = server.get("/v1/models/model")
        states = {each["version"]: each for each in answer["model_version_status"]}
        if (states.get(version) or {"state": None})["state"] == state:
            return states.get(version)
        time.sleep(0.1)
    raise AssertionError(answer)


def test_requests_that_run_at_sigterm_are_answered(trained, tmp_path):
    path = export(trained, tmp_path)
    rows = [{"age": row, "town": ["a"] * 40} for row in range(3000)]
    with serving(path, "--max-rows-per-run", "1") as server, ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(server.post, PREDICT, {"instances": rows}) for _ in range(4)]
        while "torchest_run_rows_count 0.0" in server.get("/metrics")[1]:
            time.sleep(0.01)
        server.process.send_signal(signal.SIGTERM)
        answers = [each.result() for each in asked]
        server.stop()
    assert [(status, len(answer["predictions"])) for status, answer in answers] == [(200, 3000)] * 4
    assert server.process.returncode == 0


@pytest.mark.parametrize("binary", [True, False])
def test_a_triton_client_works_unchanged(raw, binary):
    import tritonclient.http as triton

    server, model = raw
    client = triton.InferenceServerClient(f"127.0.0.1:{server.port}")
    try:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("model")
        described = client.get_model_metadata("model")
        assert {each["name"]: each["datatype"] for each in described["inputs"]} == {
            "age": "FP32",
            "town": "BYTES",
            "class": "BYTES",
            "n": "INT64",
        }
        age = np.array([[3.0], [4.0]], np.float32)
        town = np.array([["a", ""], ["b", "ü"]], object)
        assert not client.is_model_ready("other")
        inputs = [
            triton.InferInput("age", [2, 1], "FP32"),
            triton.InferInput("town", [2, 2], "BYTES"),
        ]
        for each, array in zip(inputs, (age, town), strict=True):
            each.set_data_from_numpy(array, binary_data=binary)
        outputs = [
            triton.InferRequestedOutput(name, binary_data=binary) for name in ("logits", "classes")
        ]
        result = client.infer(
            "model",
            inputs,
            outputs=outputs,
            request_id="7",
            request_compression_algorithm="gzip",
            response_compression_algorithm="gzip",
        )
        assert result.get_response()["id"] == "7"
        expected = model.signatures["predict"](age=age, town=[["a"], ["b", "ü"]])
        np.testing.assert_allclose(result.as_numpy("logits"), expected["logits"], atol=1e-6)
        classes = [
            each if isinstance(each, bytes) else each.encode()
            for each in result.as_numpy("classes").reshape(-1)
        ]
        assert classes == expected["classes"].reshape(-1).tolist()
    finally:
        client.close()


def tensor(**changes):
    return {"name": "age", "shape": [1, 1], "datatype": "FP32", "data": [3], **changes}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, 'with the list "inputs"'),
        ({"inputs": []}, '"inputs" is empty'),
        ({"inputs": [tensor()], "id": float("nan")}, '"id" is nan, but must be text'),
        ({"inputs": [tensor()], "id": "\ud800"}, "but must be text"),
        ({"inputs": [tensor(shape=[1] * 100)]}, "must have [rows, ...]"),
        ({"inputs": [tensor(shape=[0, 2**30, 2**30])]}, "must have [rows, ...]"),
        ({"inputs": [tensor(datatype=["FP32"])]}, "has the datatype ['FP32']."),
        ({"inputs": [tensor(datatype="a" * 900_000)]}, "has the datatype 'aaa"),
        (
            {"inputs": [tensor(shape=[60_001], data=["x" * 10_000] + [1] * 60_000)]},
            "Input 'age' takes numbers, but has ['xxx",
        ),
        ({"inputs": [tensor(name="agee")]}, "Did you mean 'age'?"),
        ({"inputs": [tensor(), tensor()]}, "has input 'age' twice"),
        ({"inputs": [tensor(shape=[])]}, "must have [rows, ...]"),
        ({"inputs": [tensor(shape=[-1, 1])]}, "must have [rows, ...]"),
        ({"inputs": [tensor(shape=[2, 1])]}, "has 1 values, but the shape [2, 1] needs 2"),
        ({"inputs": [tensor(shape=[1, 2], data=[1, 2])]}, "has shape [1, 2] and takes [-1, 1]"),
        ({"inputs": [tensor(datatype="FP33")]}, "Did you mean 'FP32'"),
        ({"inputs": [tensor(data="3")]}, "a list of its values"),
        ({"inputs": [tensor(data=["x"])]}, "Input 'age' takes numbers"),
        ({"inputs": [tensor(datatype="BYTES", data=["x"])]}, "Input 'age' takes float32"),
        ({"inputs": [tensor(parameters={"binary_data_size": 4})]}, "the body is shorter"),
        ({"inputs": [tensor()], "outputs": [{"name": "logit"}]}, "Did you mean 'logits'"),
        (
            {"inputs": [tensor(), tensor(name="n", shape=[2, 1], data=[1, 2])]},
            "the same number of rows",
        ),
        (
            {
                "inputs": [tensor()],
                "outputs": [{"name": "logits", "parameters": {"classification": 2}}],
            },
            "Output 'logits' has the parameter 'classification', which this server does not support.",
        ),
    ],
)
def test_a_wrong_inference_request_is_told_what_is_wrong(raw, body, message):
    status, answer = raw[0].post("/v2/models/model/infer", body)
    assert status == 400
    assert message in answer["error"]


def test_a_directory_without_exports_is_no_server(tmp_path):
    server = Server(tmp_path)
    _, told = server.process.communicate(timeout=60)
    assert server.process.returncode == 2
    assert b"has no exported model: give what export_saved_model returned" in told


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--port", "65536", "--port=65536 must be a whole number of at least 0 and at most 65535."),
        ("--threads", "-1", "--threads=-1 must be a whole number of at least 0."),
        ("--name", "a/b", "--name='a/b' must be a name without / and :"),
        ("--name", "", "--name='' must be a name without / and :"),
        ("--timeout", "nan", "--timeout=nan must be a finite number above 0."),
        ("--max-rows-per-run", "0", "--max-rows-per-run=0 must be a finite number above 0."),
    ],
)
def test_a_wrong_option_of_the_server_is_refused(tmp_path, capsys, option, value, message):
    with pytest.raises(SystemExit, match="2"):
        main(["serve", str(tmp_path), option, value])
    assert message in capsys.readouterr().err


def test_the_example_client_asks_for_passengers(tmp_path, monkeypatch):
    from pathlib import Path

    examples = Path(__file__).parents[2] / "examples"
    monkeypatch.syspath_prepend(str(examples))
    monkeypatch.syspath_prepend(str(examples / "serving"))
    import client
    import export_titanic
    import titanic

    model = titanic.make_model(str(tmp_path / "model"))
    model.train(titanic.train_input_fn, steps=30)
    path = export_titanic.export(model, str(tmp_path / "exports"))
    people = client.passengers(32)
    expected = list(
        model.predict(lambda: iter([{key: [each[key] for each in people] for key in people[0]}]))
    )
    with serving(path) as server:
        answers = client.ask_one_by_one(server.url, people, clients=8)
    np.testing.assert_allclose(
        numbers(answers, "probabilities"), numbers(expected, "probabilities"), atol=1e-5
    )


def test_a_thread_that_waits_does_not_keep_the_others(raw):
    """A large request in several runs does not hold up small ones until its end."""
    server, _ = raw
    large = {"instances": [{"age": row} for row in range(20_000)]}
    done = threading.Event()

    def ask_large():
        server.post(PREDICT, large)
        done.set()

    thread = threading.Thread(target=ask_large)
    thread.start()
    assert server.post(PREDICT, {"instances": [{}]})[0] == 200
    thread.join(60)
    assert done.is_set()
