from __future__ import annotations

import json
import re
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
        ({"save_checkpoints_steps": 0}, "save_checkpoints_steps=0 must be a whole number of at le"),
        ({"save_checkpoints_steps": 1.5}, r"save_checkpoints_steps=1\.5 must be a whole number"),
        ({"save_checkpoints_secs": -1}, "save_checkpoints_secs=-1 must be a finite number above 0"),
        ({"save_summary_steps": -1}, "save_summary_steps=-1 must be a whole number of at least 0"),
        (
            {"keep_checkpoint_max": -1},
            "keep_checkpoint_max=-1 must be a whole number of at least 0",
        ),
        (
            {"log_step_count_steps": 0},
            "log_step_count_steps=0 must be a whole number of at least 1",
        ),
        ({"log_step_count_steps": "10"}, "log_step_count_steps='10' must be a whole number"),
        ({"model_dir": 5}, "model_dir=5 must be a path"),
        ({"model_dir": ""}, "model_dir='' must be a path"),
        ({"tf_random_seed": 1.5}, r"tf_random_seed=1\.5 must be a whole number"),
        ({"keep_checkpoint_max": 2.5}, r"keep_checkpoint_max=2\.5 must be a whole number"),
        ({"keep_checkpoint_every_n_hours": 0}, "keep_checkpoint_every_n_hours=0 must be"),
    ],
)
def test_wrong_arguments_are_named(given, message):
    with pytest.raises(ValueError, match=message):
        RunConfig(**given)


def test_no_checkpoint_need_be_kept_for_ever():
    assert RunConfig(keep_checkpoint_every_n_hours=None).keep_checkpoint_every_n_hours is None


def test_steps_may_be_written_as_a_float_that_is_whole():
    assert repr(RunConfig(save_checkpoints_steps=1e3).save_checkpoints_steps) == "1000"


def test_an_unknown_field_of_a_copy_gets_the_nearest_name():
    with pytest.raises(ValueError, match="'save_steps' is not a field"):
        RunConfig().replace(save_steps=5)


def test_a_directory_may_be_any_path():
    assert RunConfig(model_dir=Path("a", "b")).model_dir == str(Path("a", "b"))


def test_fields_without_meaning_are_known():
    assert RunConfig(protocol="grpc").ignored() == ["protocol"]
    assert RunConfig().ignored() == []


REFERENCE = json.loads(
    Path(__file__).with_name("reference").joinpath("run_config.json").read_text()
)


@pytest.mark.parametrize("case", [name for name in REFERENCE if "refused" not in REFERENCE[name]])
def test_properties_follow_tf_config_as_tensorflows(case, monkeypatch):
    expected = dict(REFERENCE[case])
    monkeypatch.setenv("TF_CONFIG", json.dumps(expected.pop("TF_CONFIG")))
    assert {name: getattr(RunConfig(), name) for name in expected} == expected


@pytest.mark.parametrize("case", [name for name in REFERENCE if "refused" in REFERENCE[name]])
def test_what_tensorflow_refuses_of_tf_config_is_refused_with_the_way_out(case, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", json.dumps(REFERENCE[case]["TF_CONFIG"]))
    message = "The environment has TF_CONFIG=.*: .*Correct it, or unset it; an example is "
    with pytest.raises(ValueError, match=message):
        RunConfig()


@pytest.mark.parametrize(
    "text", ["{", "[]", "3", "null", "[" * 200_000, '{"cluster": {"chief": 3}}']
)
def test_tf_config_that_is_no_json_object_is_refused(text, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match=r"TF_CONFIG=.*Correct it, or unset it; an example is"):
        RunConfig()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"task": {"type": 5}}', "task.type is 5 and not a string"),
        ('{"model_dir": 5}', "model_dir is 5 and not a string"),
        ('{"service": "a"}', "service is 'a' and not an object in braces"),
        ('{"rpc_layer": null}', "rpc_layer is None and not a string"),
        ('{"cluster": []}', "cluster is [] and not an object in braces"),
        ("[]", "it is [] and not an object in braces"),
    ],
)
def test_a_wrong_value_in_tf_config_is_named_with_what_was_expected(text, problem, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match=rf": {re.escape(problem)}\. Correct it, or unset it"):
        RunConfig()


def test_a_directory_beside_another_one_in_tf_config_is_refused(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", '{"model_dir": "models/a"}')
    assert RunConfig(model_dir="models/../models/a/").model_dir == "models/../models/a/"
    with pytest.raises(ValueError, match="model_dir='models/b' and the model_dir 'models/a' in TF"):
        RunConfig(model_dir="models/b")


ALONE = {
    "cluster_spec": {},
    "evaluation_master": "",
    "global_id_in_cluster": 0,
    "is_chief": True,
    "master": "",
    "num_ps_replicas": 0,
    "num_worker_replicas": 1,
    "service": None,
    "task_id": 0,
    "task_type": "worker",
}
OF_THREE = {
    **ALONE,
    "cluster_spec": {"chief": ["rank 0"], "worker": ["rank 1", "rank 2"]},
    "num_worker_replicas": 3,
}


@pytest.mark.parametrize(
    ("rank", "expected"),
    [
        (None, ALONE),
        (0, {**OF_THREE, "task_type": "chief"}),
        (2, {**OF_THREE, "global_id_in_cluster": 2, "is_chief": False, "task_id": 1}),
    ],
)
def test_the_place_among_processes_as_tensorflow_says_it_of_a_chief_and_workers(
    rank, expected, monkeypatch
):
    """TensorFlow's values with the TF_CONFIG of a chief and two workers, but for the addresses."""
    for name, value in {"RANK": rank, "WORLD_SIZE": 3}.items():
        if rank is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, str(value))
    config = RunConfig()
    assert {name: getattr(config, name) for name in expected} == expected
