"""BestExporter, LatestExporter and FinalExporter: what they export, keep and remember."""

from __future__ import annotations

import json
import logging
import os

import numpy as np
import pytest

import torchest
from torchest import columns
from torchest.export.directory import exports_in, new_directory


def receiver():
    raise AssertionError("the stand-in needs no receiver")


class StandIn:
    """An estimator that exports a small directory, and notes of which checkpoint."""

    def __init__(self):
        self.exported = []

    def export_saved_model(self, base, receiver_fn, assets_extra, as_text, checkpoint_path):
        self.exported.append(checkpoint_path)
        with new_directory(base) as made:
            (made.path / "signatures.json").write_text("{}")
        return made.final


def evaluate(exporter, path, *losses, final=False, estimator=None):
    """Shows an exporter evaluations one after the other; which of them it exported."""
    estimator = estimator or StandIn()
    actual = []
    for number, loss in enumerate(losses):
        result = loss if isinstance(loss, dict) else {"loss": np.float32(loss)}
        exported = exporter.export(estimator, str(path), f"model.ckpt-{number}", result, final)
        actual.append(exported is not None)
    return actual


def best(**more):
    return torchest.BestExporter("best", receiver, **more)


def test_the_first_evaluation_is_exported_and_then_those_that_are_better(tmp_path):
    assert evaluate(best(), tmp_path, 0.5, 0.6, 0.4, 0.4, 0.3) == [True, False, True, False, True]


def test_after_a_restart_a_worse_evaluation_is_not_exported(tmp_path):
    assert evaluate(best(), tmp_path, 0.5) == [True]
    assert evaluate(best(), tmp_path, 0.6, 0.4) == [False, True]
    assert evaluate(best(), tmp_path, 0.45) == [False]


def test_the_best_result_is_in_a_file_of_its_own_and_not_in_event_files(tmp_path):
    (tmp_path / "eval").mkdir()
    assert evaluate(best(event_file_pattern="eval/*.tfevents.*"), tmp_path, 0.5) == [True]
    (tmp_path / "eval").rmdir()
    kept = json.loads((tmp_path / "best.json").read_text())
    assert kept == {
        "eval_result": {"loss": 0.5},
        "export": os.path.basename(exports_in(tmp_path)[-1]),
    }
    assert evaluate(best(), tmp_path, 0.6) == [False]


def test_nan_is_never_the_best(tmp_path, caplog):
    assert evaluate(best(), tmp_path, np.nan, 0.5, np.nan, 0.4) == [False, True, False, True]
    assert "not the best, as loss is NaN" in caplog.text


def test_nan_of_a_metric_that_is_not_compared_does_not_matter(tmp_path):
    rows = [{"loss": 0.5, "auc": np.nan}, {"loss": 0.4, "auc": np.nan}]
    assert evaluate(best(), tmp_path, *rows) == [True, True]


def test_a_metric_that_is_not_there_is_named_with_those_there_are(tmp_path):
    with pytest.raises(ValueError, match=r"reads the metric 'loss'.*There are: 'accuracy', 'auc'"):
        evaluate(best(), tmp_path, {"accuracy": 1.0, "auc": 0.5})


def test_a_metric_that_the_kept_best_result_lacks_is_told_apart(tmp_path):
    evaluate(best(compare_fn=lambda **_: True), tmp_path, {"accuracy": 1.0})
    with pytest.raises(ValueError, match=r"'loss', which the best result so far, in best\.json"):
        evaluate(best(), tmp_path, {"loss": 1.0})


def test_any_comparison(tmp_path):
    def larger(best_eval_result, current_eval_result):
        return current_eval_result["auc"] > best_eval_result.get("auc", 0.0)

    exporter = best(compare_fn=larger)
    rows = [{"auc": 0.5}, {"auc": 0.4}, {"auc": 0.6}, {"auc": np.nan}]
    assert evaluate(exporter, tmp_path, *rows) == [True, False, True, False]


def test_old_exports_are_removed_but_never_the_best_one_nor_what_others_wrote(tmp_path):
    foreign = [tmp_path / "12345", tmp_path / "1", tmp_path / "notes"]
    for each in foreign:
        each.mkdir()
    (foreign[0] / "saved_model.pb").touch()
    exporter = best(exports_to_keep=2)
    evaluate(exporter, tmp_path, 0.5, 0.4, 0.3, 0.9, 0.8)
    kept = exports_in(tmp_path)
    assert len(kept) == 2
    assert os.path.basename(kept[-1]) == json.loads((tmp_path / "best.json").read_text())["export"]
    assert all(each.is_dir() for each in foreign)


def test_the_latest_exporter_exports_each_time_and_keeps_some(tmp_path):
    exporter = torchest.LatestExporter("latest", receiver, exports_to_keep=2)
    estimator = StandIn()
    assert evaluate(exporter, tmp_path, 0.1, 0.2, 0.3, estimator=estimator) == [True] * 3
    assert estimator.exported == ["model.ckpt-0", "model.ckpt-1", "model.ckpt-2"]
    assert len(exports_in(tmp_path)) == 2
    everything = torchest.LatestExporter("all", receiver, exports_to_keep=None)
    evaluate(everything, tmp_path, 0.1, 0.2, 0.3)
    assert len(exports_in(tmp_path)) == 5


def test_exports_within_one_second_have_names_of_their_own_in_order(tmp_path):
    paths = []
    for _ in range(5):
        with new_directory(tmp_path) as made:
            (made.path / "signatures.json").write_text("{}")
        paths.append(made.final)
    assert exports_in(tmp_path) == paths
    assert len(set(paths)) == 5


def test_the_final_exporter_exports_at_the_end_only(tmp_path):
    exporter = torchest.FinalExporter("final", receiver)
    assert evaluate(exporter, tmp_path, 0.1, 0.2) == [False, False]
    assert evaluate(exporter, tmp_path, 0.3, final=True) == [True]


def test_a_crash_during_an_export_leaves_no_folder(tmp_path):
    class Crashing(StandIn):
        def export_saved_model(self, base, *arguments, **named):
            with new_directory(base) as made:
                (made.path / "model.onnx").write_text("half")
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(best(), tmp_path, 0.5, estimator=Crashing())
    assert list(tmp_path.iterdir()) == []
    assert evaluate(best(), tmp_path, 0.6) == [True]  # what crashed is not the best


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (torchest.BestExporter, "serving_input_receiver_fn is None: give a function"),
        (lambda: torchest.LatestExporter("", receiver), "name='' must be a string"),
        (lambda: torchest.FinalExporter(3, receiver), "name=3 must be a string"),
        (lambda: torchest.LatestExporter("a", receiver, exports_to_keep=0), "exports_to_keep=0 must"),
        (lambda: best(exports_to_keep=True), "exports_to_keep=True must be a whole number"),
        (lambda: best(assets_extra={1: 2}), "^assets_extra has 1: 2; give a name in assets.extra and the path"),
        (lambda: best(assets_extra={"a": 2}), "^assets_extra has 'a': 2; give a name in assets.extra"),
        (lambda: best(assets_extra={"../a": "b"}), "^assets_extra has the name '../a': give a name inside"),
        (lambda: best(compare_fn=None), "compare_fn=None must be a function of best_eval_result and"),
        (lambda: best(compare_fn=lambda a, b: True), r"compare_fn takes \(a, b\): it must take best_eval"),
    ],
)  # fmt: skip
def test_wrong_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_with_train_and_evaluate(tmp_path, caplog):
    caplog.set_level(logging.INFO, "torchest")
    x = columns.numeric_column("x")
    config = torchest.RunConfig(
        model_dir=tmp_path, save_checkpoints_steps=2, save_summary_steps=None, tf_random_seed=1
    )
    model = torchest.LinearRegressor([x], config=config)
    data = {"x": np.arange(4, dtype=np.float32)}, np.arange(4, dtype=np.float32)
    spec = columns.make_parse_example_spec([x])
    fn = torchest.export.build_parsing_serving_input_receiver_fn(spec)
    exporters = [torchest.BestExporter("best", fn), torchest.FinalExporter("final", fn)]
    _, exports = torchest.train_and_evaluate(
        model,
        torchest.TrainSpec(lambda: data, max_steps=4),
        torchest.EvalSpec(lambda: data, steps=1, exporters=exporters, throttle_secs=0),
    )
    assert exports == [
        exports_in(tmp_path / "export" / "best")[-1],
        exports_in(tmp_path / "export" / "final")[0],
    ]
    assert len(exports_in(tmp_path / "export" / "best")) == 2
    actual = torchest.export.load(exports[1]).signatures["predict"](x=[1.0])["predictions"]
    expected = next(model.predict(lambda: {"x": np.float32([1])}))["predictions"]
    np.testing.assert_allclose(actual[0], expected, atol=1e-5)


def test_exporters_that_want_the_same_checkpoint_share_one_export(tmp_path, monkeypatch):
    def input_fn():
        return torchest.inputs.Dataset.from_tensor_slices(({"x": [1.0, 2.0]}, [1.0, 2.0])).batch(2)

    def receiver_fn():
        spec = columns.FixedLenFeature((1,), "float32")
        return torchest.export.build_raw_serving_input_receiver_fn({"x": spec})

    def renaming_receiver_fn():
        spec = columns.FixedLenFeature((1,), "float32")
        return torchest.export.ServingInputReceiver({"x": spec}, {"my_x": spec})

    config = torchest.RunConfig(save_checkpoints_steps=2)
    model = torchest.LinearRegressor(
        [columns.numeric_column("x")], tmp_path / "model", config=config
    )
    exported = []
    original = torchest.Estimator.export_saved_model
    monkeypatch.setattr(
        torchest.Estimator,
        "export_saved_model",
        lambda *given, **named: exported.append(1) or original(*given, **named),
    )
    exporters = [
        torchest.BestExporter("best", receiver_fn()),
        torchest.LatestExporter("latest", receiver_fn()),
        torchest.FinalExporter("final", receiver_fn()),
        torchest.LatestExporter("with a file", receiver_fn(), assets_extra={"a.py": __file__}),
        torchest.FinalExporter("renamed", renaming_receiver_fn),
    ]
    torchest.train_and_evaluate(
        model,
        torchest.TrainSpec(lambda: input_fn().repeat(), max_steps=4),
        torchest.EvalSpec(input_fn, exporters=exporters, throttle_secs=0),
    )
    for name, count in (("best", 2), ("latest", 2), ("final", 1), ("with a file", 2)):
        paths = exports_in(tmp_path / "model" / "export" / name)
        assert len(paths) == count
        loaded = torchest.export.load(paths[-1])
        assert loaded.description["global_step"] == 4
        assert loaded.signatures["predict"](x=[3.0])["predictions"].shape == (1, 1)
    (renamed,) = exports_in(tmp_path / "model" / "export" / "renamed")
    assert [each.name for each in torchest.export.load(renamed).inputs] == ["my_x"]
    assert len(exported) == 5  # two checkpoints, with and without the file; the last one renamed
