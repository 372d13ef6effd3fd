"""A state.json whose every byte was written so, and which says what cannot be."""

from __future__ import annotations

import json
import re

import pytest

import torchest
from torchest import columns as fc
from torchest.checkpoint.checksums import write_checksums
from torchest.checkpoint.directory import newest_whole_checkpoint
from torchest.command_line import main
from torchest.errors import DamagedCheckpointError

BATCH = {"x": [1.0, 2.0]}, [1.0, 2.0]
DEEP = "[" * 200_000 + "]" * 200_000


def linear(model_dir, **arguments):
    config = torchest.RunConfig(
        save_checkpoints_steps=1, save_summary_steps=None, log_step_count_steps=None
    )
    column = fc.numeric_column("x")
    return torchest.LinearRegressor([column], str(model_dir), config=config, **arguments)


def train(model, steps=1):
    rows = torchest.inputs.Dataset.from_tensor_slices(BATCH).repeat().batch(2)
    return model.train(lambda: rows, steps=steps)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The files of a model of two checkpoints, by their paths."""
    directory = tmp_path_factory.mktemp("trained")
    train(linear(directory))
    return {
        path.relative_to(directory): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def damaged(trained, tmp_path):
    """Writes a model whose newest checkpoint has another state.json, with right checksums."""

    def write(text):
        for path, content in trained.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(content)
        newest = tmp_path / "model.ckpt-1"
        known = json.loads((newest / "state.json").read_text())
        (newest / "state.json").write_text(text(known) if callable(text) else text)
        (newest / "checksums.json").unlink()
        write_checksums(newest)
        return tmp_path

    return write


def changed(*places_and_values):
    """The text of a state in which one value was replaced, or taken away with ..."""
    *places, value = places_and_values

    def change(state):
        inner = state
        for place in places[:-1]:
            inner = inner[place]
        if value is ...:
            del inner[places[-1]]
        else:
            inner[places[-1]] = value
        return json.dumps(state)

    return change


def with_learning_rate(value):
    def change(state):
        for optimizer in state["optimizers"].values():
            for group in optimizer["options"]:
                group["lr"] = value
        return json.dumps(state)

    return change


AT_ONCE = {
    "a learning rate beyond 64 bits": with_learning_rate(2**70),
    "a learning rate of a dict": with_learning_rate({"a": 1}),
    "no format": changed("format_version", ...),
    "a format that is a string": changed("format_version", "1"),
    "a format of null": changed("format_version", None),
    "no step": changed("global_step", ...),
    "a step beyond 64 bits": changed("global_step", 2**70),
    "a step below 0": changed("global_step", -1),
    "a step that is a string": changed("global_step", "1"),
    "a step that is true": changed("global_step", True),
    "a step that is a list": changed("global_step", [1]),
    "a step of NaN": changed("global_step", float("nan")),
    "a list": "[1, 2]",
    "a string": '"state"',
    "null": "null",
    "nested deeply": DEEP,
    "a step nested deeply": f'{{"format_version": 1, "global_step": {DEEP}}}',
    "no objects": changed("objects", ...),
    "objects of a list": changed("objects", []),
    "an object of a number": changed("objects", "linear", 1),
    "aliases of null": changed("aliases", None),
    "an alias of nothing": changed("aliases", {"a": "nothing"}),
    "an alias of a list": changed("aliases", {"a": ["linear.x.weight"]}),
    "optimizers of a string": changed("optimizers", "optimizer"),
    "an optimizer of null": changed("optimizers", {"optimizer": None}),
    "an optimizer of nothing": changed("optimizers", {"optimizer": {}}),
    "an optimizer without an object": changed("objects", {}),
    "others of a list": changed("others", []),
    "a training of a list": changed("training", []),
}
LATER = {
    "no aliases": changed("aliases", ...),
    "no optimizers": changed("optimizers", ...),
    "no optimizer": changed("optimizers", {}),
    "a training of another form": changed("training", {"mapping": 5}),
    "a training of nothing": changed("training", {"mapping": []}),
    "a training with a tensor that is not there": changed(
        "training", {"mapping": [["run", {"tensor": True}], ["gone", {"tensor": True}]]}
    ),
}


@pytest.mark.parametrize("case", AT_ONCE)
def test_what_cannot_be_is_one_clear_sentence_wherever_it_is_read(damaged, case, capsys):
    directory = damaged(AT_ONCE[case])
    path = str(directory / "model.ckpt-1")
    message = (
        rf"^The checkpoint '{re.escape(path)}' is damaged: in its state\.json, .{{5,160}}\. Move "
    )
    for read in (
        lambda: torchest.load_checkpoint(path),
        lambda: torchest.load_variable(directory, "linear.x.weight"),
        lambda: torchest.list_variables(directory),
        lambda: linear(directory).get_variable_names(),
        lambda: linear(directory).evaluate(lambda: BATCH, steps=1, checkpoint_path=path),
        lambda: train(linear(directory / "new", warm_start_from=path)),
    ):
        with pytest.raises(DamagedCheckpointError, match=message):
            read()
    with pytest.raises(SystemExit, match="2"):
        main(["show", str(directory)])
    assert re.match(message.replace("^", "torchest show: "), capsys.readouterr().err)
    assert newest_whole_checkpoint(directory).global_step == 0


@pytest.mark.parametrize("case", LATER)
def test_what_is_missing_is_one_clear_sentence_when_training_needs_it(damaged, case):
    directory = damaged(LATER[case])
    (directory / "unfinished").write_text(json.dumps({"run": "x"}))
    message = r"model\.ckpt-1' is damaged: in its state\.json, .{5,160}\. Move "
    with pytest.raises(DamagedCheckpointError, match=message):
        train(linear(directory))


@pytest.mark.parametrize("value", ["fast", [1.0], True])
def test_an_option_of_an_optimizer_of_another_kind_is_one_clear_sentence(damaged, value):
    with pytest.raises(DamagedCheckpointError, match=r"in its state\.json, optimizers\..*lr is"):
        train(linear(damaged(with_learning_rate(value))))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("run", 5),
        ("seed_of_others", "x"),
        ("seed_of_others", 2**70),
        ("hooks", {"list": []}),
        ("random", {"mapping": []}),
        ("random", {"mapping": [["cpu", 5]]}),
        ("random_of_host", 5),
        ("random_of_host", {"mapping": [["numpy", "x"]]}),
        ("began_at", "x"),
        ("input", 5),
        ("input", {"mapping": [["kind", "dataset"], ["source", "Dataset"]]}),
        ("input_of_others", 5),
    ],
)
def test_the_state_of_a_run_that_cannot_be_is_one_clear_sentence(damaged, key, value):
    def change(state):
        items = [[k, v] for k, v in state["training"]["mapping"] if k != key]
        state["training"] = {"mapping": [*items, [key, value]]}
        return json.dumps(state)

    with pytest.raises(DamagedCheckpointError, match=r"is damaged: in its state\.json, "):
        train(linear(damaged(change)))
