"""Runs the cases of `make runtimes` in each runtime, and writes a table of the results.

    python tests/runtimes/all.py DIRECTORY CASES --python PYTHON ... --node PACKAGE ...

The packages of Node are installed in DIRECTORY/node. Batches for WebAssembly, which is slower, have fewer rows.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
MOST_ROWS = {"onnxruntime-node": 1000, "onnxruntime-web": 200}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--python", nargs="+", default=[])
    parser.add_argument("--node", nargs="+", default=[])
    given = parser.parse_args()
    commands = [[python, HERE / "check.py", given.cases] for python in given.python]
    commands += [
        ["node", HERE / "check.cjs", given.directory / "node", package, given.cases]
        for package in given.node
    ]
    failed, results = False, []
    for number, command in enumerate(commands):
        result = given.directory / f"result_{number}.json"
        result.unlink(missing_ok=True)
        more = [MOST_ROWS[command[3]]] if command[0] == "node" else []
        done = subprocess.run([str(each) for each in [*command, result, *more]], check=False)
        failed |= done.returncode != 0
        if result.exists():
            results.append(json.loads(result.read_text(encoding="utf-8")))
    (given.directory / "table.md").write_text(table(results), encoding="utf-8")
    sys.exit(failed)


def table(results: list[dict]) -> str:
    """A row for each kind of column, a column for each runtime, and in it the estimators that answer as Python does."""
    kinds = list(
        dict.fromkeys(case.partition("/")[2] for each in results for case in each["cases"])
    )
    head = ["column", *(each["runtime"] for each in results)]
    rows = [
        head,
        ["---"] * len(head),
        *([kind, *(cell(each, kind) for each in results)] for kind in kinds),
    ]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def cell(result: dict, kind: str) -> str:
    of_kind = {
        case: each for case, each in result["cases"].items() if case.partition("/")[2] == kind
    }
    wrong = [case.partition("/")[0] for case, problem in of_kind.items() if problem]
    right = [case.partition("/")[0] for case, problem in of_kind.items() if not problem]
    return ", ".join(right) + (f"; **not: {', '.join(wrong)}**" if wrong else "")


if __name__ == "__main__":
    main()
