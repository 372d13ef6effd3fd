from __future__ import annotations

from pathlib import Path

import pytest

from torchest.run_config import RunConfig


@pytest.mark.parametrize(
    ("given", "steps", "secs"),
    [
        ({}, None, 600),
        ({"save_checkpoints_steps": 5}, 5, None),
        ({"save_checkpoints_secs": 5}, None, 5),
        ({"save_checkpoints_steps": None}, None, None),
        ({"save_checkpoints_secs": None}, None, None),
        ({"save_checkpoints_steps": None, "save_checkpoints_secs": 5}, None, 5),
    ],
)
def test_when_checkpoints_are_saved(given, steps, secs):
    config = RunConfig(**given)
    assert (config.save_checkpoints_steps, config.save_checkpoints_secs) == (steps, secs)


def test_a_copy_saved_by_steps_is_not_saved_by_seconds():
    config = RunConfig(save_checkpoints_secs=5).replace(save_checkpoints_steps=7, model_dir="here")
    assert (config.save_checkpoints_steps, config.save_checkpoints_secs) == (7, None)
    assert config.model_dir == "here"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"save_checkpoints_steps": 5, "save_checkpoints_secs": 5},
            "save_checkpoints_steps=5 and save_checkpoints_secs=5 cannot both be given",
        ),
        ({"save_checkpoints_steps": 0}, "save_checkpoints_steps=0 must be a number above 0"),
        ({"save_checkpoints_secs": -1}, "save_checkpoints_secs=-1 must be a number above 0"),
        ({"save_summary_steps": -1}, "save_summary_steps=-1 must be a number of at least 0"),
        ({"keep_checkpoint_max": -1}, "keep_checkpoint_max=-1 must be a number of at least 0"),
        ({"log_step_count_steps": 0}, "log_step_count_steps=0 must be a number above 0"),
        ({"log_step_count_steps": "10"}, "log_step_count_steps='10' must be a number above 0"),
        ({"model_dir": 5}, "model_dir=5 must be the path of a directory"),
        ({"tf_random_seed": 1.5}, r"tf_random_seed=1\.5 must be a whole number"),
        ({"keep_checkpoint_every_n_hours": 0}, "keep_checkpoint_every_n_hours=0 must be"),
    ],
)
def test_wrong_arguments_are_named(given, message):
    with pytest.raises(ValueError, match=message):
        RunConfig(**given)


def test_a_directory_may_be_any_path():
    assert RunConfig(model_dir=Path("a", "b")).model_dir == str(Path("a", "b"))


def test_fields_without_meaning_are_known():
    assert RunConfig(protocol="grpc").ignored() == ["protocol"]
    assert RunConfig().ignored() == []
