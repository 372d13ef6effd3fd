"""Hostile checkpoints and exports, on a disk, in memory and on S3: nothing outside is read or written, nothing is run.

The tests on S3 need moto and s3fs, which `make test-s3` installs, and no network.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import uuid
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch
from torch import nn

import torchest
from tests.test_hostile_exports import PROGRAMS, in_file, rewrite
from torchest import columns
from torchest.checkpoint.checksums import write_checksums
from torchest.checkpoint.directory import Checkpoint, Contents, latest_checkpoint, write_checkpoint
from torchest.command_line import main
from torchest.exported.golden import verify
from torchest.utils import files

SECRET = b"this must stay where it is 01234"
ALWAYS_OUTSIDE = ("/etc/passwd", "/dev/zero")
opened: list[str] = []  # what was opened, and what was run
_watching = False


def _note(event, arguments):
    if _watching and event in (
        "open",
        "os.system",
        "subprocess.Popen",
        "os.exec",
        "os.posix_spawn",
    ):
        opened.append(f"{event} {arguments[0]}")


sys.addaudithook(_note)


# ---- places


@pytest.fixture(scope="module")
def s3():
    """The URL of a bucket on a server of its own."""
    pytest.importorskip("s3fs", reason="needs s3fs: make test-s3")
    moto = pytest.importorskip("moto.server", reason="needs moto: make test-s3")
    server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "nobody")
        system = fsspec.filesystem("s3")
        system.mkdir("bucket")
        yield "s3://bucket"
        type(system).clear_instance_cache()
    server.stop()


@pytest.fixture(params=["disk", "memory", "s3"])
def place(request, tmp_path):
    """An empty directory."""
    if request.param == "disk":
        return str(tmp_path / "in" / "place")
    base = "memory:/" if request.param == "memory" else request.getfixturevalue("s3")
    return f"{base}/{uuid.uuid4().hex}/in/place"


@pytest.fixture(params=["memory", "s3"])
def store(request):
    base = "memory:/" if request.param == "memory" else request.getfixturevalue("s3")
    return f"{base}/{uuid.uuid4().hex}/in/place"


def send(local, place):
    """Puts the files of a directory where they are wanted."""
    if files.is_remote(place):
        system, inner = fsspec.core.url_to_fs(place)
        for path in local.rglob("*"):
            if path.is_file():
                put(system, f"{inner}/{path.relative_to(local)}", path.read_bytes())
    else:
        shutil.copytree(local, place, symlinks=True)


def put(system, key, content):
    """Makes an object of any name."""
    if "memory" not in system.protocol:
        system.pipe_file(key, content)
        return
    name = f"/{uuid.uuid4().hex}"
    system.pipe_file(name, content)
    system.store[key] = system.store.pop(name)


@pytest.fixture(autouse=True)
def _nothing_outside(tmp_path, monkeypatch):
    """Nothing hangs, nothing is left among temporary files, and nothing beside the place is opened or changed."""
    global _watching  # noqa: PLW0603 - an audit hook cannot be removed
    temporary = tmp_path / "in" / "temporary"
    temporary.mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    for name in ("secret", "in/secret"):
        (tmp_path / name).write_bytes(SECRET)

    def stop(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(90)
    opened.clear()
    _watching = True
    yield
    _watching = False
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
    outside = (*ALWAYS_OUTSIDE, f"{tmp_path}/secret", f"{tmp_path}/in/secret", f"{tmp_path}/canary")
    assert [
        each for each in opened if each.startswith(("os.", "sub")) or each.endswith(outside)
    ] == []
    assert list(temporary.iterdir()) == []
    there = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    place = ("in/place", "made")
    assert {path for path in there if not path.startswith(place)} == {
        "secret", "in", "in/secret", "in/temporary"
    }  # fmt: skip
    assert (tmp_path / "secret").read_bytes() == (tmp_path / "in/secret").read_bytes() == SECRET


# ---- what is made hostile


def model_fn(features, labels, mode):
    net = torchest.get_or_create("net", lambda: nn.Linear(1, 1))
    output = net(features["x"])
    if mode == torchest.ModeKeys.PREDICT:
        return torchest.EstimatorSpec(mode, predictions={"output": output})
    loss = (output - labels).square().mean()
    sgd = torchest.get_or_create("sgd", lambda: torch.optim.SGD(net.parameters(), lr=0.01))
    return torchest.EstimatorSpec(mode, loss=loss, train_op=sgd)


def data():
    x = torch.arange(6.0)[:, None]
    return torchest.inputs.Dataset.from_tensor_slices(({"x": x}, 3 * x)).repeat().batch(2)


CONFIG = torchest.RunConfig(save_checkpoints_steps=2, save_summary_steps=None)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    directory = tmp_path_factory.mktemp("trained")
    torchest.Estimator(model_fn, str(directory / "model"), CONFIG).train(data, steps=4)
    return directory / "model"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    directory = tmp_path_factory.mktemp("exported")
    (directory / "words.txt").write_text("Basel\nCork\n")
    age = columns.numeric_column("age", normalizer_fn=lambda x: (x - 3.0) / 2.0)
    town = columns.categorical_column_with_vocabulary_file("town", directory / "words.txt")
    model = torchest.LinearClassifier([age, town], model_dir=str(directory / "m"), config=CONFIG)
    model.train(lambda: ({"age": [1.0, 2.0], "town": ["Basel", "x"]}, [0, 1]), steps=1)
    specs = {
        "age": columns.FixedLenFeature((1,), "float32"),
        "town": columns.FixedLenFeature((), str),
    }
    receiver = torchest.export.build_raw_serving_input_receiver_fn(specs)
    formats = ("onnx", "torchscript", "pt2")
    return Path(model.export_saved_model(directory / "e", receiver, formats=formats))


@pytest.fixture
def made(tmp_path):
    return tmp_path / "made"


def refused(use, message):
    """Whether a call ends in one sentence."""
    with pytest.raises(ValueError, match=message) as caught:
        use()
    text = str(caught.value)
    assert len(text) < 1000
    assert "\n" not in text
    assert not re.search(r"Traceback|KeyError|<class", text)


# ---- right directories


def test_sound_directories_do_on_a_store_what_they_do_on_a_disk(trained, exported, store):
    send(trained, store)
    (here, there) = (torchest.Estimator(model_fn, str(each), CONFIG) for each in (trained, store))
    assert there.evaluate(data, steps=3) == here.evaluate(data, steps=3)
    there.train(data, max_steps=8)
    assert latest_checkpoint(store) == f"{store}/model.ckpt-8"
    url = f"{store}/exports/1"
    send(exported, url)
    assert verify(url) == []
    rows = {"age": [1.0, 2.0], "town": ["Basel", "x"]}
    for engine in ("onnx", "torchscript", "pt2"):
        actual, expected = (
            torchest.export.load(each, engine).signatures["predict"](**rows)["logits"]
            for each in (url, exported)
        )
        np.testing.assert_array_equal(actual, expected)


# ---- keys


KEYS = ["../x", "../../../x", "a/../../../../x", "a\\..\\x", "/x", "./x", "C:x"]


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_an_export_with_keys_that_lead_out_of_it_is_not_read(exported, store, key):
    send(exported, store)
    system, inner = fsspec.core.url_to_fs(store)
    put(system, f"{inner}/{key}", b"x")
    for engine in (None, "torchscript", "pt2"):
        refused(
            lambda engine=engine: torchest.export.load(store, engine),
            "not the name of a file inside of it",
        )
    refused(lambda: verify(store), "not the name of a file inside of it")


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_a_checkpoint_with_keys_that_lead_out_of_it_is_not_read(trained, store, key):
    send(trained, store)
    system, inner = fsspec.core.url_to_fs(store)
    for name in files.names_in(store):
        if "ckpt" in name:
            put(system, f"{inner}/{name}/{key}", b"x")
    message = r"model\.ckpt-4' is not read: .* not the name of a file inside of it"
    uses = [
        lambda: Checkpoint(f"{store}/model.ckpt-4"),
        lambda: torchest.load_checkpoint(store),
        lambda: torchest.load_variable(store, "net.weight"),
    ]
    for use in uses:
        refused(use, message)
    estimator = torchest.Estimator(model_fn, store, CONFIG)
    for use in (estimator.train, estimator.evaluate):
        refused(lambda use=use: use(data, steps=1), "not the name of a file inside of it")


def test_keys_that_are_a_file_and_a_folder_are_not_read(exported, trained, store):
    send(exported, store)
    send(trained, f"{store}/m")
    system, inner = fsspec.core.url_to_fs(store)
    put(system, f"{inner}/model.onnx/x", b"x")
    put(system, f"{inner}/m/model.ckpt-4/state.json/x", b"x")
    refused(lambda: torchest.export.load(store), "as a file and as a folder")
    refused(
        lambda: Checkpoint(f"{store}/m/model.ckpt-4"), "as a file and as a folder|is a directory"
    )


# ---- exports


@pytest.mark.parametrize(
    "case", ["inputs as a pickle", "a constant as a pickle", "code as a guard"]
)
def test_programs_that_would_run_something_else_are_not_loaded(
    exported, made, place, tmp_path, capsys, case
):
    change, message = PROGRAMS[case]
    shutil.copytree(exported, made)
    rewrite(made / "model.pt2", lambda members: change(members, tmp_path / "canary"))
    for name in ("model.onnx", "model.pt"):
        (made / name).unlink()
    (made / "rows.csv").write_text("age,town\n1.0,Basel\n")
    send(made, place)
    refused(lambda: torchest.export.load(place), r"has no model\.onnx, the default engine")
    refused(lambda: torchest.export.load(place, "pt2"), message)
    command = ["predict", place, "--input", str(made / "rows.csv"), "--output", str(made / "b.csv")]
    for engine in ([], ["--engine", "pt2"]):
        with pytest.raises(SystemExit, match="2"):
            main([*command, *engine])
        assert re.search(f"has no model.onnx|{message}", capsys.readouterr().err)


@pytest.mark.parametrize(
    "name", ["../../secret", "../../../secret", "/dev/zero", "/etc/passwd", "a\\b"]
)
def test_files_elsewhere_that_columns_name_are_not_read(exported, made, place, name):
    shutil.copytree(exported, made)

    def change(described):
        for column in described["columns"]:
            if "vocabulary_file" in column:
                column["vocabulary_file"] = name

    in_file(made / "columns.json", change)
    send(made, place)
    for engine in ("torchscript", "pt2"):
        refused(lambda engine=engine: torchest.export.load(place, engine), "not the name of a file")


# ---- checkpoints


DAMAGE = {
    "nested deep": lambda state: "[" * 200_000,
    "no step": lambda state: {key: value for key, value in state.items() if key != "global_step"},
    "no objects": lambda state: {"format_version": 1},
    "a step beyond 64 bits": lambda state: {**state, "global_step": 2**70},
    "a step that is text": lambda state: {**state, "global_step": "../../secret"},
    "a version that is text": lambda state: {**state, "format_version": "x"},
    "a list": lambda state: [state],
    "nothing": lambda state: "",
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_state_that_is_none_is_told_in_one_sentence(trained, made, place, capsys, case):
    shutil.copytree(trained, made)
    for path in made.glob("model.ckpt-*"):
        changed = DAMAGE[case](json.loads((path / "state.json").read_text()))
        (path / "state.json").write_text(
            changed if isinstance(changed, str) else json.dumps(changed)
        )
        (path / "checksums.json").unlink()
        write_checksums(path)
    send(made, place)
    refused(lambda: torchest.Estimator(model_fn, place, CONFIG).train(data, steps=1), "damaged")
    if not files.is_remote(place):
        with pytest.raises(SystemExit, match="2"):
            main(["show", place])
        assert "damaged" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["precious", "../precious", "../../secret", "/etc", "", ".", 3])
def test_only_checkpoints_are_removed_whatever_the_list_names(trained, made, place, name):
    shutil.copytree(trained, made)
    (made / "precious").mkdir()
    (made / "precious" / "a").write_text("x")

    def change(listed):
        listed["all_model_checkpoint_paths"].insert(0, name)
        listed["all_model_checkpoint_timestamps"].insert(0, 0.0)

    in_file(made / "checkpoint", change)
    send(made, place)
    config = CONFIG.replace(keep_checkpoint_max=1)
    try:
        torchest.Estimator(model_fn, place, config).train(data, max_steps=8)
    except ValueError as error:
        assert "checkpoint" in str(error)  # noqa: PT017
    assert files.read_text(files.join(place, "precious", "a")) == "x"


def replaced(state, key, value):
    """The state of a training, as JSON, with another value at a key."""
    if isinstance(state, dict):
        return {kind: replaced(inner, key, value) for kind, inner in state.items()}
    if isinstance(state, list) and len(state) == 2 and state[0] == key:
        return [key, value]
    return [replaced(each, key, value) for each in state] if isinstance(state, list) else state


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("lengths", {"list": []}),
        ("seeds", {"list": [{"list": [1]}]}),
        ("hooks", {"mapping": [[3, {"mapping": []}]]}),
        ("pos", 10**9),
        ("gauss", "../../secret"),
    ],
)
def test_a_training_does_not_go_on_from_what_no_training_writes(trained, made, key, value):
    shutil.copytree(trained, made)
    for path in made.glob("model.ckpt-*"):
        state = json.loads((path / "state.json").read_text())
        run = dict(state["training"]["mapping"])["run"]
        changed = {**state, "training": replaced(state["training"], key, value)}
        assert changed != state
        (path / "state.json").write_text(json.dumps(changed))
        (path / "checksums.json").unlink()
        write_checksums(path)
    (made / "unfinished").write_text(json.dumps({"run": run}))
    estimator = torchest.Estimator(model_fn, str(made), CONFIG)
    refused(lambda: estimator.train(data, steps=1), "is damaged|cannot resume there")


@pytest.mark.parametrize("name", ["state.json", "checksums.json", "model.safetensors"])
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_pipes_and_devices_in_checkpoints_are_passed_over(trained, made, tmp_path, name, make):
    shutil.copytree(trained, made)
    (made / "model.ckpt-4" / name).unlink()
    make(made / "model.ckpt-4" / name)
    refused(
        lambda: Checkpoint(made / "model.ckpt-4"), "is not read: .* is a (named pipe|device|link)"
    )
    estimator = torchest.Estimator(model_fn, str(made), CONFIG)
    assert estimator.evaluate(data, steps=1)["global_step"] == 2
    estimator.train(data, max_steps=6)
    assert latest_checkpoint(made) == str(made / "model.ckpt-6")


@pytest.mark.parametrize("name", ["checkpoint", "unfinished", "eval/evaluations.json"])
def test_pipes_and_devices_in_a_model_dir_do_not_hang(trained, made, name, capsys):
    shutil.copytree(trained, made)
    (made / "eval").mkdir(exist_ok=True)
    (made / name).unlink(missing_ok=True)
    os.mkfifo(made / name)
    estimator = torchest.Estimator(model_fn, str(made), CONFIG)
    try:
        estimator.train(data, steps=1)
        estimator.evaluate(data, steps=1)
    except ValueError as error:
        assert name == "checkpoint"
        assert "is not the list of checkpoints" in str(error)  # noqa: PT017
    with pytest.raises(SystemExit, match=r"0|2"):
        main(["show", str(made)])


def test_headers_of_an_implausible_size_are_damage(tmp_path, place):
    made = Path(write_checkpoint(tmp_path / "made", 1, lambda: Contents({"a": torch.ones(1)}), 5))
    (made / "model.safetensors").write_bytes((2**62).to_bytes(8, "little") + b"{}")
    (made / "checksums.json").unlink()
    write_checksums(made)
    send(made, f"{place}/model.ckpt-1")
    refused(
        lambda: Checkpoint(f"{place}/model.ckpt-1"), r"its model\.safetensors is missing or not"
    )
