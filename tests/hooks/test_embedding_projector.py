"""What TensorBoard's projector is given, read back by TensorBoard's own code."""

from __future__ import annotations

import numpy as np
import pytest
from google.protobuf import text_format
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

import torchest
from torchest import columns

QUIET = torchest.RunConfig(save_summary_steps=None, log_step_count_steps=None)


def tables_of(directory):
    """The vectors and labels by the names of the tables."""
    config = text_format.Parse(
        (directory / "projector_config.pbtxt").read_text(), ProjectorConfig()
    )
    return {
        entry.tensor_name: (
            np.loadtxt(directory / entry.tensor_path, delimiter="\t", dtype=np.float32, ndmin=2),
            (directory / entry.metadata_path).read_text().removesuffix("\n").split("\n"),
        )
        for entry in config.embeddings
    }


@pytest.fixture
def written(tmp_path):
    (tmp_path / "jobs.txt").write_text("cook\njudge\n")
    town = columns.categorical_column_with_vocabulary_list(
        "town", ["Saint\tDenis", "Köln", 'the "Hague"'], num_oov_buckets=1
    )
    job = columns.categorical_column_with_vocabulary_file("job", str(tmp_path / "jobs.txt"))
    day = columns.categorical_column_with_identity("day", 7)
    given = [
        columns.embedding_column(town, 4),
        columns.embedding_column(job, 2),
        columns.indicator_column(day),
    ]
    model = torchest.DNNRegressor([3], given, tmp_path / "model", config=QUIET)
    hook = torchest.EmbeddingProjectorHook(model.model_dir)
    rows = {"town": ["Köln", "Rom"], "job": ["cook", "judge"], "day": [1, 2]}
    model.train(lambda: (rows, [1.0, 2.0]), hooks=[hook], steps=2)
    return model, tables_of(tmp_path / "model")


def test_vectors_are_the_trained_tables(written):
    model, tables = written
    assert sorted(name.rpartition(".")[0].rpartition(".")[2] for name in tables) == ["job", "town"]
    for name, (vectors, _) in tables.items():
        assert np.array_equal(vectors, model.get_variable_value(name))


def test_labels_are_words(written):
    labels = {name.split(".")[-2]: labels for name, (_, labels) in written[1].items()}
    assert labels == {
        "town": ["Saint Denis", "Köln", 'the "Hague"', "unknown 0"],
        "job": ["cook", "judge"],
    }


def test_large_tables_are_cut_off(tmp_path, caplog):
    word = columns.categorical_column_with_hash_bucket("word", 10_500)
    model = torchest.DNNRegressor([3], [columns.embedding_column(word, 2)], tmp_path, config=QUIET)
    hook = torchest.EmbeddingProjectorHook(tmp_path)
    with caplog.at_level("INFO", "torchest"):
        model.train(lambda: ({"word": ["a", "b"]}, [1.0, 2.0]), hooks=[hook], steps=1)
    ((vectors, labels),) = tables_of(tmp_path).values()
    assert (len(vectors), len(labels), labels[-1]) == (10_000, 10_000, "9999")
    assert "10000 of the 10500 rows" in caplog.text


def test_names_with_odd_characters_are_kept_apart_from_the_names_of_files(tmp_path):
    word = columns.categorical_column_with_identity('a/b "c"', 2)
    model = torchest.DNNRegressor([3], [columns.embedding_column(word, 2)], tmp_path, config=QUIET)
    hook = torchest.EmbeddingProjectorHook(tmp_path)
    model.train(lambda: ({'a/b "c"': [0, 1]}, [1.0, 2.0]), hooks=[hook], steps=1)
    ((name, (_, labels)),) = tables_of(tmp_path).items()
    assert '.a/b "c".' in name
    assert labels == ["0", "1"]


def test_a_model_without_embeddings_is_told(tmp_path, caplog):
    model = torchest.LinearRegressor([columns.numeric_column("x")], tmp_path, config=QUIET)
    hook = torchest.EmbeddingProjectorHook(tmp_path)
    model.train(lambda: ({"x": [1.0]}, [2.0]), hooks=[hook], steps=1)
    assert "the model has no embedding column" in caplog.text
    assert not (tmp_path / "projector_config.pbtxt").exists()
