"""Write warm_start.json: what tf.estimator's warm start makes of tables whose vocabularies change.

    words           the features "word" of the rows that the old models were trained on
    labels          their labels
    old             "vocab", "num_oov_buckets" and "variables" of the two old models, "linear" and "deep", by
                    TensorFlow's name, as nested lists
    cases           each is one new model of one of these kinds, warm-started and not yet trained:
                    "name", "kind", "vocab" and "num_oov_buckets" of the new model, "info" (the arguments of
                    VocabInfo besides the vocabularies; the backup initializer fills with the number
                    "backup"), "vars_to_warm_start", and "variables": those of the new model. Where there
                    is no "backup" the rows of new words are what they are without a warm start

The column is "word", with a vocabulary file. The deep model has an embedding of it with 3 dimensions
and one hidden layer of 2 units.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import tensorflow as tf
from write_json import write_json

WORDS = ["a", "b", "c", "q", "a", "b", "c", "r"]
LABELS = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 2.0, 1.0]
OLD = ["a", "b", "c"]
TABLES = {
    "linear": "linear/linear_model/word/weights",
    "deep": "dnn/input_from_feature_columns/input_layer/word_embedding/embedding_weights",
}
SLOT_MARKS = ("training/", "global_step")


def case(name: str, kind: str, vocab: list[str], oov: int, **settings: Any) -> dict[str, Any]:
    return {"name": name, "kind": kind, "vocab": vocab, "num_oov_buckets": oov, **settings}


GROWN = ["z", "b", "a", "y", "c"]
CASES = [
    case("a grown vocabulary", "linear", GROWN, 1, info={"backup": 7.0}),
    case("new rows as without a warm start", "linear", GROWN, 1, info={}),
    case(
        "a part of the old vocabulary",
        "linear",
        GROWN,
        0,
        info={"backup": 7.0, "old_vocab_size": 2},
    ),
    case("a smaller vocabulary", "linear", ["c", "x"], 0, info={"backup": 7.0}),
    case("another number of rows for unknown words", "linear", GROWN, 3, info={"backup": 7.0}),
    case("only the table", "linear", GROWN, 1, info={"backup": 7.0}, vars_to_warm_start=None),
    case("an embedding", "deep", GROWN, 1, info={"backup": 7.0}),
    case("an embedding alone", "deep", GROWN, 2, info={"backup": -1.0}, vars_to_warm_start=None),
]


def input_fn() -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(({"word": WORDS}, LABELS)).batch(4).repeat()


def file_of(vocab: list[str]) -> str:
    path = Path(tempfile.mkdtemp()) / "vocab.txt"
    path.write_text("".join(f"{word}\n" for word in vocab))
    return str(path)


def estimator(kind: str, file: str, size: int, oov: int, warm_start_from: Any = None) -> Any:
    column = tf.feature_column.categorical_column_with_vocabulary_file(
        "word", file, vocabulary_size=size, num_oov_buckets=oov
    )
    config = tf.estimator.RunConfig(tf_random_seed=1)
    if kind == "linear":
        return tf.estimator.LinearRegressor(
            [column], config=config, warm_start_from=warm_start_from
        )
    embedding = tf.feature_column.embedding_column(column, 3)
    return tf.estimator.DNNRegressor(
        [2], [embedding], optimizer="Adagrad", config=config, warm_start_from=warm_start_from
    )


def variables(directory: str) -> dict[str, Any]:
    reader = tf.train.load_checkpoint(directory)
    return {
        name: reader.get_tensor(name)
        for name in sorted(reader.get_variable_to_shape_map())
        if not name.startswith(SLOT_MARKS)
    }


def run(case: dict[str, Any], old: Any, old_file: str) -> dict[str, Any]:
    file, size, oov = file_of(case["vocab"]), len(case["vocab"]), case["num_oov_buckets"]
    info = dict(case["info"])
    backup = info.pop("backup", None)

    def fill(shape: Any, dtype: Any = None, partition_info: Any = None) -> Any:
        return backup * tf.ones(shape, dtype or tf.float32)

    moved = tf.estimator.VocabInfo(
        file, size, oov, old_file, backup_initializer=None if backup is None else fill, **info
    )
    settings = tf.estimator.WarmStartSettings(
        old.model_dir,
        vars_to_warm_start=case.get("vars_to_warm_start", ".*"),
        var_name_to_vocab_info={TABLES[case["kind"]]: moved},
    )
    new = estimator(case["kind"], file, size, oov, settings)
    new.train(input_fn, steps=1)
    return {**case, "variables": variables(f"{new.model_dir}/model.ckpt-0")}


def main() -> None:
    file = file_of(OLD)
    old = {kind: estimator(kind, file, len(OLD), 1) for kind in TABLES}
    for each in old.values():
        each.train(input_fn, steps=5)
    write_json(
        __file__,
        {
            "words": WORDS,
            "labels": LABELS,
            "old": {
                kind: {
                    "vocab": OLD,
                    "num_oov_buckets": 1,
                    "variables": variables(each.model_dir),
                }
                for kind, each in old.items()
            },
            "cases": [run(case, old[case["kind"]], file) for case in CASES],
        },
    )


if __name__ == "__main__":
    main()
