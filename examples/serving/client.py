"""Sends passengers of the Titanic to the server, several at once, and prints who survives.

python examples/serving/client.py --url http://127.0.0.1:8501
"""

from __future__ import annotations

import argparse
import csv
import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

PASSENGERS = Path(__file__).parents[1] / "data" / "titanic_eval.csv"


def passengers(count: int) -> list[dict[str, Any]]:
    """The first passengers of the evaluation data, as the model takes them."""
    with PASSENGERS.open(encoding="utf-8", newline="") as file:
        rows = [row for _, row in zip(range(count), csv.DictReader(file), strict=False)]
    return [
        {"age": float(row["age"]), "class": row["class"], "embark_town": row["embark_town"]}
        for row in rows
    ]


def ask(url: str, instances: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The predictions of some passengers."""
    request = urllib.request.Request(
        f"{url}/v1/models/model:predict",
        json.dumps({"signature_name": "predict", "instances": instances}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        predictions: list[dict[str, Any]] = json.load(answer)["predictions"]
    return predictions


def ask_one_by_one(url: str, instances: list[dict[str, Any]], clients: int) -> list[dict[str, Any]]:
    """The predictions of passengers that are sent one by one, by several clients at once."""
    with ThreadPoolExecutor(clients) as pool:
        answers = pool.map(lambda instance: ask(url, [instance]), instances)
        return [prediction for (prediction,) in answers]


def main() -> None:
    """Asks for some passengers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8501")
    parser.add_argument("--count", type=int, default=10, help="how many passengers")
    given = parser.parse_args()
    people = passengers(given.count)
    for person, prediction in zip(people, ask_one_by_one(given.url, people, 8), strict=True):
        survives = prediction["probabilities"][1]
        print(
            f"{person['age']:5.1f} years, {person['class']:6} class: survives with {survives:.3f}"
        )


if __name__ == "__main__":
    main()
