"""Who earns more than 50,000 dollars a year: a wide and deep model of census data.

    python examples/census.py                     # a table that the example makes itself
    python examples/census.py --data adult.data   # the Adult table of the UCI repository

The wide, linear part sees buckets and crosses; the deep part sees embeddings, indicators and numbers.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

import torchest
from torchest import columns, inputs

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = [
    "age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation",
    "relationship", "race", "gender", "capital_gain", "capital_loss", "hours_per_week",
    "native_country", "income_bracket",
]  # fmt: skip
VOCABULARIES = {
    "gender": ["Female", "Male"],
    "education": [
        "Bachelors", "HS-grad", "11th", "Masters", "9th", "Some-college", "Assoc-acdm", "Assoc-voc",
        "7th-8th", "Doctorate", "Prof-school", "5th-6th", "10th", "1st-4th", "Preschool", "12th",
    ],
    "marital_status": [
        "Married-civ-spouse", "Divorced", "Married-spouse-absent", "Never-married", "Separated",
        "Married-AF-spouse", "Widowed",
    ],
    "relationship": ["Husband", "Not-in-family", "Wife", "Own-child", "Unmarried", "Other-relative"],
    "workclass": [
        "Self-emp-not-inc", "Private", "State-gov", "Federal-gov", "Local-gov", "?", "Self-emp-inc",
        "Without-pay", "Never-worked",
    ],
}  # fmt: skip
OCCUPATIONS = ["Tech-support", "Sales", "Exec-managerial", "Craft-repair", "Farming-fishing", "?"]
COUNTRIES = ["United-States", "Mexico", "Philippines", "Germany", "?"]
NUMBERS = ["age", "education_num", "capital_gain", "capital_loss", "hours_per_week"]
LABEL = "income_bracket"


def make_table(rows: int, seed: int) -> pd.DataFrame:
    """A table of the same columns, in which age, education and hours decide the income."""
    generator = np.random.default_rng(seed)
    words = {**VOCABULARIES, "occupation": OCCUPATIONS, "native_country": COUNTRIES}
    table = pd.DataFrame({name: generator.choice(values, rows) for name, values in words.items()})
    table["age"] = generator.integers(17, 80, rows)
    table["education_num"] = generator.integers(1, 17, rows)
    table["capital_gain"] = generator.choice([0, 0, 0, 5000], rows)
    table["capital_loss"] = generator.choice([0, 0, 0, 1500], rows)
    table["hours_per_week"] = generator.integers(10, 70, rows)
    score = (table["age"] - 45) / 15 + (table["education_num"] - 9) / 3
    score += (table["hours_per_week"] - 45) / 15 + generator.normal(0, 0.5, rows)
    return table.assign(**{LABEL: np.where(score > 1, ">50K", "<=50K")})


def read_table(path: str) -> pd.DataFrame:
    """The Adult table; some copies have a line of names first."""
    with open(path, encoding="utf-8") as file:
        has_names = file.readline().startswith("age")
    table = pd.read_csv(path, names=NAMES, skiprows=int(has_names), skipinitialspace=True)
    return table.dropna(subset=[LABEL])


def make_model(model_dir: str | None) -> torchest.DNNLinearCombinedClassifier:
    """The wide and deep model of the tutorial."""
    numbers = {key: columns.numeric_column(key) for key in NUMBERS}
    words = {
        key: columns.categorical_column_with_vocabulary_list(key, vocabulary)
        for key, vocabulary in VOCABULARIES.items()
    }
    occupation = columns.categorical_column_with_hash_bucket("occupation", 1000)
    country = columns.categorical_column_with_hash_bucket("native_country", 1000)
    age = columns.bucketized_column(numbers["age"], [18, 25, 30, 35, 40, 45, 50, 55, 60, 65])
    wide = [
        *words.values(),
        occupation,
        country,
        age,
        columns.crossed_column(["education", "occupation"], 1000),
        columns.crossed_column([age, "education", "occupation"], 1000),
        columns.crossed_column(["native_country", "occupation"], 1000),
    ]
    deep = [
        *map(columns.indicator_column, words.values()),
        columns.embedding_column(country, dimension=8),
        columns.embedding_column(occupation, dimension=8),
        *(columns.numeric_column(key, normalizer_fn=torch.log1p) for key in NUMBERS),
    ]
    return torchest.DNNLinearCombinedClassifier(
        model_dir=model_dir,
        linear_feature_columns=wide,
        dnn_feature_columns=deep,
        dnn_hidden_units=[100, 50],
        dnn_optimizer=lambda parameters: torchest.optimizers.Adagrad(parameters, lr=0.05),
    )


def input_fn(table: pd.DataFrame, training: bool) -> Callable[[], inputs.Dataset]:
    """Batches of 40 people with their labels."""
    labels = (table[LABEL].str.startswith(">50K")).astype("int64")

    def make() -> inputs.Dataset:
        features = dict(table.drop(columns=LABEL))
        dataset = inputs.Dataset.from_tensor_slices((features, labels))
        return (
            dataset.shuffle(len(table), seed=1).repeat().batch(40)
            if training
            else dataset.batch(512)
        )

    return make


def run(table: pd.DataFrame, steps: int, model_dir: str | None) -> dict[str, float]:
    """Trains on nine tenths of the people and evaluates on the others."""
    table = table.sample(frac=1, random_state=0)
    cut = len(table) * 9 // 10
    model = make_model(model_dir)
    model.train(input_fn(table[:cut], training=True), steps=steps)
    return model.evaluate(input_fn(table[cut:], training=False))


def main() -> None:
    """Reads or makes the table, trains, and prints the metrics."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="the Adult table; default: a table made by the example")
    parser.add_argument("--steps", type=int, default=1500, help="how many steps to train for")
    parser.add_argument("--model_dir", help="where the model is kept; default: a temporary folder")
    arguments = parser.parse_args()
    table = read_table(arguments.data) if arguments.data else make_table(4000, seed=0)
    for name, value in run(table, arguments.steps, arguments.model_dir).items():
        print(f"{name:>22} {value:.4g}")


if __name__ == "__main__":
    main()
