from __future__ import annotations

import logging
from functools import partial

import numpy as np
import pytest
import torch
from reference_arrays import read
from torch import nn

import torchest
from torchest import columns as fc
from torchest import optimizers
from torchest.checkpoint.directory import Checkpoint, Contents, write_checkpoint
from torchest.warm_start.tensorflow_names import torchest_name

REFERENCE = read("warm_start")
QUIET = {"save_summary_steps": None, "log_step_count_steps": None}
WORDS = ["a", "b", "c", "q", "a", "b", "c", "r"]
LABELS = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 2.0, 1.0]
OLD = ["a", "b", "c"]
NEW = ["z", "b", "a", "y", "c"]
TABLE = "linear.word.weight"
TABLES = {"linear": TABLE, "deep": "dnn.embeddings.word.weight"}


def data():
    return {"word": WORDS, "x": [[float(row)] for row in range(8)]}, LABELS


def word(vocabulary, unknown=1):
    return fc.categorical_column_with_vocabulary_list("word", vocabulary, num_oov_buckets=unknown)


def linear(model_dir, vocabulary=OLD, unknown=1, warm_start_from=None, optimizer="Ftrl", **config):
    return torchest.LinearRegressor(
        [word(vocabulary, unknown)],
        model_dir,
        optimizer=optimizer,
        config=torchest.RunConfig(**QUIET, **config),
        warm_start_from=warm_start_from,
    )


def at_start(model):
    """The checkpoint of a new model before its first step."""
    model.train(data, steps=1)
    return Checkpoint(f"{model.model_dir}/model.ckpt-0")


@pytest.fixture
def old(tmp_path):
    return linear(tmp_path / "old").train(data, steps=3)


def values(checkpoint):
    return {name: checkpoint.tensor(name).tolist() for name in checkpoint.names()}


class TestTensorFlowsNumbers:
    @pytest.mark.parametrize("case", REFERENCE["cases"], ids=lambda case: case["name"])
    def test_rows_move_as_tensorflow_moves_them(self, case, tmp_path):
        kind, old = case["kind"], REFERENCE["old"][case["kind"]]
        state = {"aliases": {}, "objects": {}, "optimizers": {}}
        contents = Contents(model=ours(old["variables"]), state=state)
        write_checkpoint(tmp_path / "old", 5, lambda: contents, keep=1)
        backup = case["info"].get("backup")
        fill = None if backup is None else partial(nn.init.constant_, val=backup)
        info = torchest.VocabInfo(
            case["vocab"],
            len(case["vocab"]),
            case["num_oov_buckets"],
            old["vocab"],
            case["info"].get("old_vocab_size", -1),
            fill,
        )
        settings = torchest.WarmStartSettings(
            tmp_path / "old",
            case.get("vars_to_warm_start", ".*"),
            var_name_to_vocab_info={TABLES[kind]: info},
        )
        column = word(case["vocab"], case["num_oov_buckets"])
        if kind == "linear":
            model = torchest.LinearRegressor([column], tmp_path / "new", warm_start_from=settings)
        else:
            embedding = fc.embedding_column(column, 3)
            model = torchest.DNNRegressor(
                [2], [embedding], tmp_path / "new", warm_start_from=settings
            )
        actual, expected = at_start(model), ours(case["variables"])
        table = TABLES[kind]
        if case.get("vars_to_warm_start", ".*") is None:
            expected = {table: expected[table]}  # TensorFlow draws other initial weights
        if case["num_oov_buckets"] == old["num_oov_buckets"]:
            # TensorFlow starts the rows of unknown words anew; they have kept their meaning
            expected[table][len(case["vocab"]) :] = ours(old["variables"])[table][
                len(old["vocab"]) :
            ]
        for name, value in expected.items():
            assert actual.tensor(name).tolist() == value.tolist(), name


def ours(variables):
    """TensorFlow's variables by torchest's names."""
    actual = {}
    for name, value in variables.items():
        tensor = torch.tensor(value, dtype=torch.float32)
        actual[torchest_name(name)] = tensor.T.contiguous() if name.endswith("kernel") else tensor
    return actual


class TestWhatIsTaken:
    def test_a_path_takes_all_parameters_and_no_slots(self, old, tmp_path):
        for path in (old.model_dir, old.latest_checkpoint()):
            new = linear(tmp_path / str(len(path)), warm_start_from=path)
            start = at_start(new)
            assert start.global_step == 0
            for name in (TABLE, "linear.bias"):
                assert start.tensor(name).tolist() == old.get_variable_value(name).tolist()
            assert not any(name.startswith("optimizer") for name in start.names())

    def test_a_pattern_chooses_and_the_rest_is_as_without(self, old, tmp_path):
        settings = torchest.WarmStartSettings(old.model_dir, "linear.bias")
        start = at_start(linear(tmp_path / "new", warm_start_from=settings))
        assert start.tensor("linear.bias") == old.get_variable_value("linear.bias")
        assert start.tensor(TABLE).tolist() == [[0.0]] * 4

    def test_parameters_of_other_names(self, old, tmp_path):
        settings = torchest.WarmStartSettings(
            old.model_dir, "linear.other", var_name_to_prev_var_name={"linear.other.weight": TABLE}
        )
        other = fc.categorical_column_with_vocabulary_list("other", OLD, num_oov_buckets=1)
        new = torchest.LinearRegressor([other], tmp_path / "new", warm_start_from=settings)
        new.train(lambda: ({"other": WORDS}, LABELS), steps=1)
        start = Checkpoint(tmp_path / "new/model.ckpt-0")
        assert (
            start.tensor("linear.other.weight").tolist() == old.get_variable_value(TABLE).tolist()
        )

    def test_evaluation_and_prediction_of_a_model_that_was_never_trained(self, old, tmp_path):
        new = linear(tmp_path / "new", warm_start_from=old.model_dir)
        expected = old.evaluate(data, steps=1)
        assert new.evaluate(data, steps=1) == {**expected, "global_step": 0}
        assert next(new.predict(data)) == next(old.predict(data))

    def test_labels_of_another_vocabulary_move_the_columns(self, tmp_path):
        def classifier(name, classes, warm_start_from=None):
            return torchest.LinearClassifier(
                [word(OLD)],
                tmp_path / name,
                n_classes=len(classes),
                label_vocabulary=classes,
                warm_start_from=warm_start_from,
            )

        def rows():
            return {"word": WORDS}, ["u", "v", "w", "u", "v", "w", "u", "v"]

        old = classifier("old", ["u", "v", "w"]).train(rows, steps=3)
        classes = ["w", "new", "u", "v"]
        settings = torchest.WarmStartSettings(
            old.model_dir,
            var_name_to_vocab_info={
                TABLE: torchest.VocabInfo(classes, 4, 0, ["u", "v", "w"], axis=1),
                "linear.bias": torchest.VocabInfo(classes, 4, 0, ["u", "v", "w"]),
            },
        )
        start = classifier("new", classes, settings).train(rows, steps=1)
        start = Checkpoint(tmp_path / "new/model.ckpt-0")
        weight, bias = old.get_variable_value(TABLE), old.get_variable_value("linear.bias")
        assert start.tensor("linear.bias").tolist() == [bias[2], 0, bias[0], bias[1]]
        zeros = np.zeros(4)
        expected = np.stack([weight[:, 2], zeros, weight[:, 0], weight[:, 1]], 1)
        assert start.tensor(TABLE).tolist() == expected.tolist()

    @pytest.mark.parametrize("pattern", [".*", ".*weight", "dnn.batch_norm"])
    def test_statistics_of_batch_normalisation_follow_their_parameters(self, tmp_path, pattern):
        def deep(name, **arguments):
            x = fc.numeric_column("x")
            return torchest.DNNRegressor([3], [x], tmp_path / name, batch_norm=True, **arguments)

        old = deep("old").train(data, steps=3)
        settings = torchest.WarmStartSettings(old.model_dir, pattern)
        start = at_start(deep("new", warm_start_from=settings))
        for name in ("weight", "running_mean", "running_var"):
            full = f"dnn.batch_norm.0.{name}"
            assert start.tensor(full).tolist() == old.get_variable_value(full).tolist()
        assert start.tensor("dnn.batch_norm.0.running_mean").abs().sum() > 0

    def test_only_what_is_taken_is_read_and_one_tensor_at_a_time(self, old, tmp_path, monkeypatch):
        read_names = []
        tensor = Checkpoint.tensor
        monkeypatch.setattr(
            Checkpoint,
            "tensor",
            lambda self, name: read_names.append(name) or tensor(self, name),
        )
        monkeypatch.delattr(Checkpoint, "model")
        monkeypatch.delattr(Checkpoint, "optimizer")
        settings = torchest.WarmStartSettings(old.model_dir, "linear.bias")
        next(linear(tmp_path / "new", warm_start_from=settings).predict(data))
        assert read_names == ["linear.bias"]


class TestSlots:
    GROWN = torchest.VocabInfo(NEW, 5, 1, OLD)

    def start(self, old, tmp_path, optimizer, **arguments):
        settings = torchest.WarmStartSettings(
            old.model_dir, var_name_to_vocab_info={TABLE: self.GROWN}, **arguments
        )
        new = linear(tmp_path / "new", NEW, 1, settings, optimizer)
        return at_start(new)

    def test_copied_slots_go_with_their_rows(self, old, tmp_path):
        start = self.start(old, tmp_path, "Ftrl", copy_slots=True)
        for slot, initial in (("accumulator", [0.1]), ("linear", [0.0])):
            name = f"optimizer.{TABLE}.{slot}"
            a, b, c, unknown = old.get_variable_value(name)
            expected = np.array([initial, b, a, initial, c, unknown], np.float32)
            assert start.tensor(name).tolist() == expected.tolist()
            name = f"optimizer.linear.bias.{slot}"
            assert start.tensor(name).tolist() == old.get_variable_value(name).tolist()

    def test_slots_start_anew_unless_they_are_asked_for(self, old, tmp_path):
        start = self.start(old, tmp_path, "Ftrl")
        assert not any(name.startswith("optimizer") for name in start.names())

    @pytest.mark.parametrize(
        ("optimizer", "initial"), [(torch.optim.Adam, 0.0), (torch.optim.Adagrad, 0.0)]
    )
    def test_slots_of_torchs_own_optimizers(self, tmp_path, optimizer, initial):
        old = linear(tmp_path / "old", optimizer=optimizer).train(data, steps=3)
        start = self.start(old, tmp_path, optimizer, copy_slots=True)
        slots = [name for name in start.names() if name.startswith(f"optimizer.{TABLE}.")]
        assert len(slots) >= 2
        for name in slots:
            before = old.get_variable_value(name)
            if name.endswith(".step"):
                assert start.tensor(name) == before == 3
            else:
                a, b, c, unknown = before
                expected = [[initial], b, a, [initial], c, unknown]
                assert start.tensor(name).tolist() == np.array(expected, np.float32).tolist()

    def test_an_optimizer_of_another_class_starts_anew_with_the_reason(self, old, tmp_path, caplog):
        caplog.set_level(logging.INFO, "torchest")
        start = self.start(old, tmp_path, "SGD", copy_slots=True)
        assert not any(name.startswith("optimizer") for name in start.names())
        assert (
            f"the slots of {TABLE} start anew: they are of Ftrl, but the optimizer is now SGD"
            in caplog.text
        )

    def test_a_warm_start_of_everything_goes_on_as_the_old_model_does(self, tmp_path):
        adam = partial(optimizers.Adam, lr=0.1)
        old = linear(tmp_path / "old", optimizer=adam).train(data, steps=3)
        settings = torchest.WarmStartSettings(old.model_dir, copy_slots=True)
        new = linear(tmp_path / "new", warm_start_from=settings, optimizer=adam)
        new.train(data, steps=4)
        old.train(data, steps=4)
        for name in set(old.get_variable_names()) - {"global_step"}:
            assert new.get_variable_value(name).tolist() == old.get_variable_value(name).tolist()


class TestTheReport:
    def test_every_parameter_is_loaded_resized_or_skipped_with_the_reason(
        self, old, tmp_path, caplog
    ):
        caplog.set_level(logging.INFO, "torchest")
        settings = torchest.WarmStartSettings(
            old.model_dir, None, {TABLE: torchest.VocabInfo(NEW, 5, 1, OLD, -1, nn.init.ones_)}
        )
        next(linear(tmp_path / "1", NEW, 1, settings).predict(data))
        next(linear(tmp_path / "2", warm_start_from=old.model_dir).predict(data))
        told = [line for line in caplog.messages if line.startswith("Warm")]
        assert told == [
            f"Warm-starting from: {old.latest_checkpoint()}",
            "Warm start: linear.bias: skipped, vars_to_warm_start=None does not match",
            f"Warm start: {TABLE}: resized, rows: 3 kept by token, 1 for unknown tokens kept, 2 new, "
            "by backup_initializer",
            f"Warm-starting from: {old.latest_checkpoint()}",
            "Warm start: linear.bias: loaded",
            f"Warm start: {TABLE}: loaded",
        ]

    def test_it_is_applied_once_per_fresh_model(self, old, tmp_path, caplog):
        caplog.set_level(logging.INFO, "torchest")
        new = linear(tmp_path / "new", warm_start_from=old.model_dir)
        new.train(data, steps=2)
        after = new.get_variable_value(TABLE).tolist()
        new.train(data, steps=1)
        assert Checkpoint(f"{new.model_dir}/model.ckpt-2").tensor(TABLE).tolist() == after
        assert caplog.text.count("Warm-starting from") == 1
        assert "is not used" not in caplog.text

    def test_a_checkpoint_in_the_model_dir_wins_with_a_warning(self, old, tmp_path, caplog):
        linear(tmp_path / "new").train(data, steps=1)
        own = linear(tmp_path / "new").get_variable_value(TABLE).tolist()
        again = linear(tmp_path / "new", warm_start_from=old.model_dir)
        again.train(data, steps=1)
        again.train(data, steps=1)
        assert Checkpoint(tmp_path / "new/model.ckpt-1").tensor(TABLE).tolist() == own
        warnings = [each.message for each in caplog.records if each.levelname == "WARNING"]
        assert len(warnings) == 1
        assert f"warm_start_from='{old.model_dir}' is not used" in warnings[0]


class TestWrongUse:
    def predict(self, model):
        return next(model.predict(data))

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (
                {"vars_to_warm_start": "word"},
                r"vars_to_warm_start: 'word' matches no parameter; .* matched from the start of the "
                r"name\..* There are: 'linear.bias', 'linear.word.weight'",
            ),
            (
                {"vars_to_warm_start": [".*", "dnn"]},
                "vars_to_warm_start: 'dnn' matches no parameter",
            ),
            (
                {"vars_to_warm_start": "linear/linear_model/word/weights"},
                "TensorFlow's name is 'linear.word.weight' in torchest",
            ),
            (
                {"var_name_to_vocab_info": {"linear.wordd.weight": TestSlots.GROWN}},
                "var_name_to_vocab_info has 'linear.wordd.weight', which is not a parameter .* Did you "
                "mean 'linear.word.weight'",
            ),
            (
                {"var_name_to_prev_var_name": {"linear/linear_model/bias_weights": "b"}},
                "var_name_to_prev_var_name has .* TensorFlow's name is 'linear.bias' in torchest",
            ),
            (
                {"var_name_to_prev_var_name": {"linear.bias": "linear.bia"}},
                r"lacks linear.bia \(for linear.bias\): .* Did you mean 'linear.bias'",
            ),
        ],
    )
    def test_names(self, old, tmp_path, arguments, message):
        settings = torchest.WarmStartSettings(old.model_dir, **arguments)
        with pytest.raises(ValueError, match=message):
            self.predict(linear(tmp_path / "new", warm_start_from=settings))

    def test_other_shapes_are_all_named(self, old, tmp_path):
        message = (
            r"has other shapes: linear.word.weight \(\[4, 1\] in the checkpoint, \[6, 1\] in the "
            r"model\)\. Give the two vocabularies of a table in var_name_to_vocab_info"
        )
        with pytest.raises(ValueError, match=message):
            self.predict(linear(tmp_path / "new", NEW, warm_start_from=old.model_dir))

    def test_another_width_cannot_be_moved(self, old, tmp_path):
        info = torchest.VocabInfo(NEW, 5, 1, OLD, axis=1)
        settings = torchest.WarmStartSettings(old.model_dir, None, {TABLE: info})
        with pytest.raises(ValueError, match=r"has other shapes: linear.word.weight"):
            self.predict(linear(tmp_path / "new", NEW, 1, settings))

    def test_a_path_without_a_checkpoint(self, tmp_path):
        with pytest.raises(ValueError, match=r"warm_start_from: .*nowhere' has no checkpoint"):
            self.predict(linear(tmp_path / "new", warm_start_from=str(tmp_path / "nowhere")))

    def test_nothing_is_trained_after_a_wrong_warm_start(self, old, tmp_path):
        with pytest.raises(ValueError, match="has other shapes"):
            linear(tmp_path / "new", NEW, warm_start_from=old.model_dir).train(data, steps=1)
        assert not list((tmp_path / "new").glob("model.ckpt-*"))


def test_prediction_leaves_the_random_state_alone(old, tmp_path):
    info = torchest.VocabInfo(NEW, 5, 1, OLD, -1, nn.init.normal_)
    settings = torchest.WarmStartSettings(old.model_dir, ".*", {TABLE: info})
    before = torch.get_rng_state()
    next(linear(tmp_path / "new", NEW, 1, settings).predict(data))
    assert torch.equal(torch.get_rng_state(), before)


def exported(model, base):
    receiver_fn = torchest.export.build_raw_serving_input_receiver_fn(
        {"word": fc.VarLenFeature(str)}
    )
    return model.export_saved_model(base, receiver_fn)


class TestExports:
    def test_an_export_gives_what_its_checkpoint_gives(self, old, tmp_path):
        path = exported(old, tmp_path / "exports")
        info = torchest.VocabInfo(NEW, len(NEW), 1, OLD, backup_initializer=nn.init.zeros_)
        started = [
            at_start(
                linear(
                    tmp_path / f"new {number}",
                    NEW,
                    warm_start_from=torchest.WarmStartSettings(
                        source, var_name_to_vocab_info={TABLE: info}
                    ),
                )
            )
            for number, source in enumerate((old.model_dir, path))
        ]
        assert values(started[0]) == values(started[1])
        assert any(any(row) for row in values(started[1])[TABLE])

    def test_an_export_has_no_slots_to_copy(self, old, tmp_path, caplog):
        path = exported(old, tmp_path / "exports")
        settings = torchest.WarmStartSettings(path, copy_slots=True)
        with caplog.at_level(logging.INFO, "torchest"):
            at_start(linear(tmp_path / "new", warm_start_from=settings))
        assert f"the slots of {TABLE} start anew: the checkpoint has none" in caplog.text

    def test_tied_parameters_keep_both_names(self, tmp_path):
        class Tied(nn.Module):
            def __init__(self):
                super().__init__()
                self.encoder = nn.Linear(2, 2, bias=False)
                self.decoder = nn.Linear(2, 2, bias=False)
                self.decoder.weight = self.encoder.weight

            def forward(self, x):
                return self.decoder(self.encoder(x))

        def model_fn(features, labels, mode):
            net = torchest.get_or_create("net", Tied)
            output = net(features["x"])
            if mode == torchest.ModeKeys.PREDICT:
                return torchest.EstimatorSpec(mode, predictions={"y": output})
            sgd = torchest.get_or_create("sgd", lambda: torch.optim.SGD(net.parameters(), lr=0.1))
            return torchest.EstimatorSpec(mode, loss=(output - 1).square().mean(), train_op=sgd)

        def input_fn():
            return {"x": np.ones((3, 2), np.float32)}

        first = torchest.Estimator(model_fn, tmp_path / "first").train(input_fn, steps=3)
        receiver_fn = torchest.export.build_raw_serving_input_receiver_fn(
            {"x": fc.FixedLenFeature((2,), "float32")}
        )
        path = first.export_saved_model(tmp_path / "exports", receiver_fn)
        second = torchest.Estimator(model_fn, tmp_path / "second", warm_start_from=path)
        np.testing.assert_array_equal(
            next(second.predict(input_fn))["y"], next(first.predict(input_fn))["y"]
        )

    def test_a_damaged_export_is_told_of(self, old, tmp_path):
        path = exported(old, tmp_path / "exports")
        with open(f"{path}/model.safetensors", "r+b") as file:
            file.truncate(20)
        with pytest.raises(ValueError, match=r"model\.safetensors' is damaged"):
            at_start(linear(tmp_path / "new", warm_start_from=path))
