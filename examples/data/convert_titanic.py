"""Write titanic_train.csv and titanic_eval.csv from the records in the package explainerdashboard.

The wheel on PyPI holds 891 passengers in two files, `datasets/titanic_train.csv` (691 rows) and
`datasets/titanic_test.csv` (200 rows), with sex, deck and town one-hot. It takes pandas only:

    pip download --no-deps explainerdashboard==0.5.8
    python examples/data/convert_titanic.py explainerdashboard-0.5.8-py3-none-any.whl

A folder that holds the two files, such as `datasets` of the installed package, will do as well.

How the odd records are treated:

- An age of -999 stands for a missing one (177 passengers). It becomes 28, the median of the rest.
- One passenger (row 692 of 891) has neither sex set. Her title is Mrs, so she is female: wherever
  the columns for the sex are all 0, Mrs, Miss and Ms mean female, Mr and Master male.
- Deck T (one passenger) is no deck with cabins for passengers: "unknown", like a missing deck.
- The columns called `*_Unkown` and `*_Unknown` mean missing: "unknown".
- `alone` is y where neither siblings, spouses, parents nor children were on board.

The names are dropped. The split needs no random numbers: the records stay in the package's order,
and of each 27 rows 8 evenly spaced ones are for evaluation, which makes 264 of 891.
"""

from __future__ import annotations

import argparse
import zipfile
from pathlib import Path

import pandas as pd

FILES = ("titanic_train.csv", "titanic_test.csv")
MISSING_AGE = -999
MEDIAN_AGE = 28.0
CLASSES = {1: "First", 2: "Second", 3: "Third"}
TITLES = {"Mrs": "female", "Miss": "female", "Ms": "female", "Mr": "male", "Master": "male"}
EVAL_ROWS, PERIOD = 8, 27


def read_records(source: Path) -> pd.DataFrame:
    """All records in the package's order; `source` is the wheel or a folder with the two files."""
    if source.is_dir():
        frames = [pd.read_csv(source / name) for name in FILES]
    else:
        with zipfile.ZipFile(source) as wheel:
            frames = [
                pd.read_csv(wheel.open(f"explainerdashboard/datasets/{name}")) for name in FILES
            ]
    return pd.concat(frames, ignore_index=True)


def from_one_hot(records: pd.DataFrame, prefix: str, missing: tuple[str, ...]) -> pd.Series:
    """The one category set in each row; a missing value where none is, or one of `missing`."""
    flags = records.filter(regex=f"^{prefix}_")
    flags = flags.rename(columns=lambda name: name.removeprefix(f"{prefix}_"))
    category = flags.idxmax(axis="columns")
    known: pd.Series[str] = category.where(flags.any(axis="columns") & ~category.isin(missing))
    return known


def convert(records: pd.DataFrame) -> pd.DataFrame:
    """The records in the columns of the examples."""
    title = records["Name"].str.extract(r", (\w+)\.", expand=False)
    siblings_spouses = records["No_of_siblings_plus_spouses_on_board"]
    parents_children = records["No_of_parents_plus_children_on_board"]
    town = from_one_hot(records, "Embarked", missing=("Unknown",))
    columns: dict[str, pd.Series] = {
        "survived": records["Survival"],
        "sex": from_one_hot(records, "Sex", missing=("nan",)).fillna(title.map(TITLES)),
        "age": records["Age"].replace(MISSING_AGE, MEDIAN_AGE),
        "n_siblings_spouses": siblings_spouses,
        "parch": parents_children,
        "fare": records["Fare"],
        "class": records["PassengerClass"].map(CLASSES),
        "deck": from_one_hot(records, "Deck", missing=("Unkown", "T")).fillna("unknown"),
        "embark_town": town.fillna("unknown"),
        "alone": (siblings_spouses + parents_children == 0).map({True: "y", False: "n"}),
    }
    passengers: pd.DataFrame = pd.DataFrame(columns)
    return passengers


def split(passengers: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows to train on and the rows to evaluate on, both in the order of `passengers`."""
    position = pd.RangeIndex(len(passengers))
    for_eval = (position * EVAL_ROWS) % PERIOD < EVAL_ROWS
    return passengers.loc[~for_eval], passengers.loc[for_eval]


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Write titanic_train.csv and titanic_eval.csv beside this script."
    )
    parser.add_argument(
        "source", type=Path, help="explainerdashboard's wheel, or a folder with its two CSV files"
    )
    passengers = convert(read_records(parser.parse_args().source))
    if passengers.isna().any(axis=None):
        raise ValueError(
            f"Some records were not understood:\n{passengers[passengers.isna().any(axis=1)]}"
        )
    for name, rows in zip(
        ("titanic_train.csv", "titanic_eval.csv"), split(passengers), strict=True
    ):
        rows.to_csv(Path(__file__).with_name(name), index=False, lineterminator="\n")
        print(f"{name}: {len(rows)} rows, {rows['survived'].mean():.1%} survived")


if __name__ == "__main__":
    main()
