from __future__ import annotations

from pathlib import Path

import pytest

from torchest.warm_start.settings import VocabInfo, WarmStartSettings, settings_of

INFO = VocabInfo(["a"], 1, 0, ["a"])


def test_fields_are_tensorflows():
    assert INFO == (["a"], 1, 0, ["a"], -1, None, 0)
    assert WarmStartSettings("m") == ("m", ".*", {}, {}, False)


def test_a_path_stands_for_settings_of_all_parameters():
    assert settings_of(None) is None
    assert settings_of("m") == settings_of(Path("m")) == WarmStartSettings("m")
    settings = WarmStartSettings("m", None)
    assert settings_of(settings) is settings


@pytest.mark.parametrize(
    ("patterns", "selected"),
    [
        (".*", ["linear.a.weight", "dnn.b.weight", "dnn.c.bias"]),
        ("dnn", ["dnn.b.weight", "dnn.c.bias"]),
        ("b", []),
        (["linear", ".*bias"], ["linear.a.weight", "dnn.c.bias"]),
        (None, []),
    ],
)
def test_patterns_are_matched_from_the_start(patterns, selected):
    names = ["linear.a.weight", "dnn.b.weight", "dnn.c.bias"]
    settings = WarmStartSettings("m", patterns)
    assert [name for name in names if settings.selects(name)] == selected


def test_a_parameter_with_vocabularies_is_selected_without_a_pattern():
    settings = WarmStartSettings("m", None, {"linear.a.weight": INFO})
    assert settings.selects("linear.a.weight")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("",), ValueError, "ckpt_to_initialize_from='' must be the path"),
        ((None,), ValueError, "ckpt_to_initialize_from=None must be the path"),
        (("m", 3), TypeError, "vars_to_warm_start=3 must be a regular expression"),
        (("m", [3]), TypeError, r"vars_to_warm_start=\[3\] must be a regular expression"),
        (("m", "("), ValueError, r"has '\(', which is not a regular expression"),
        (("m", ".*", []), TypeError, "var_name_to_vocab_info is a list, but must be a dict"),
        (
            ("m", ".*", {"a": "b"}),
            TypeError,
            r"var_name_to_vocab_info\['a'\] is a str, but must be a VocabInfo",
        ),
        (("m", ".*", {}, {"a": 3}), TypeError, r"var_name_to_prev_var_name\['a'\] is a int"),
    ],
)
def test_wrong_settings(arguments, error, message):
    with pytest.raises(error, match=message):
        WarmStartSettings(*arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((3, 1, 0, ["a"]), TypeError, "new_vocab=3 must be the path of a file"),
        ((["a"], 1, 0, []), TypeError, r"old_vocab=\[\] must be the path of a file"),
        ((["a"], 0, 0, ["a"]), ValueError, "new_vocab_size=0 must be a whole number of at least 1"),
        (
            (["a"], 1, -1, ["a"]),
            ValueError,
            "num_oov_buckets=-1 must be a whole number of at least 0",
        ),
        (
            (["a"], 1, 0, ["a"], 0),
            ValueError,
            "old_vocab_size=0 must be a whole number of at least",
        ),
        ((["a"], 1, 0, ["a"], -1, 7.0), TypeError, "backup_initializer=7.0 must be a function"),
        ((["a"], 1, 0, ["a"], -1, None, 2), ValueError, r"axis=2 must be 0 \(tokens are rows\)"),
    ],
)
def test_wrong_vocabularies(arguments, error, message):
    with pytest.raises(error, match=message):
        VocabInfo(*arguments)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (3, TypeError, "warm_start_from=3 must be the path of a model_dir or of a checkpoint"),
        ("", ValueError, "warm_start_from='' is not a path"),
    ],
)
def test_what_is_neither_a_path_nor_settings(given, error, message):
    with pytest.raises(error, match=message):
        settings_of(given)
