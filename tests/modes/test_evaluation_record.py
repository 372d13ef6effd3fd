from __future__ import annotations

import math

import pytest

from torchest.modes.evaluation_record import read_evaluations, record_evaluation


def test_evaluations_come_back_in_the_order_of_steps(tmp_path):
    for step in (100, 20, 3):
        record_evaluation(tmp_path, step, f"model.ckpt-{step}", {"loss": step / 8, "auc": 0.5})
    assert list(read_evaluations(tmp_path).items()) == [
        (3, {"loss": 0.375, "auc": 0.5}),
        (20, {"loss": 2.5, "auc": 0.5}),
        (100, {"loss": 12.5, "auc": 0.5}),
    ]


def test_a_second_evaluation_of_a_step_takes_the_place_of_the_first(tmp_path):
    record_evaluation(tmp_path, 1, None, {"loss": 1.0})
    record_evaluation(tmp_path, 1, None, {"loss": 2.0})
    assert read_evaluations(tmp_path) == {1: {"loss": 2.0}}


def test_nan_and_infinity_come_back(tmp_path):
    record_evaluation(tmp_path, 1, None, {"loss": math.nan, "other": -math.inf})
    actual = read_evaluations(tmp_path)[1]
    assert math.isnan(actual["loss"])
    assert actual["other"] == -math.inf


def test_without_evaluations_there_are_none(tmp_path):
    assert read_evaluations(tmp_path / "nowhere") == {}


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_a_damaged_file_is_told_and_begun_anew(tmp_path, caplog, content):
    (tmp_path / "evaluations.json").write_text(content)
    assert read_evaluations(tmp_path) == {}
    assert "is not readable: earlier evaluations are forgotten." in caplog.text
    record_evaluation(tmp_path, 1, None, {"loss": 1.0})
    assert read_evaluations(tmp_path) == {1: {"loss": 1.0}}
