"""Runs the cases of `make runtimes` in each runtime, and writes a table of the results.

    python tests/runtimes/all.py DIRECTORY CASES --python PYTHON ... --node PACKAGE ... [--browser CHROMIUM]

The packages of Node are installed in DIRECTORY/node. CHROMIUM, the command of a browser, runs onnxruntime-web once
more.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--python", nargs="+", default=[])
    parser.add_argument("--node", nargs="+", default=[])
    parser.add_argument("--browser")
    given = parser.parse_args()
    in_javascript = [(package, "") for package in given.node]
    if given.browser:
        in_javascript.append(("onnxruntime-web", given.browser))
    commands = [[python, HERE / "check.py", given.cases] for python in given.python]
    commands += [
        ["node", HERE / "run.mjs", given.directory / "node", package, browser, given.cases]
        for package, browser in in_javascript
    ]
    failed, results = False, []
    for number, command in enumerate(commands):
        result = given.directory / f"result_{number}.json"
        result.unlink(missing_ok=True)
        done = subprocess.run([str(each) for each in [*command, result]], check=False)
        failed |= done.returncode != 0
        if result.exists():
            results.append(json.loads(result.read_text(encoding="utf-8")))
    (given.directory / "table.md").write_text(table(results), encoding="utf-8")
    sys.exit(failed)


def table(results: list[dict]) -> str:
    """The runtimes, and for each kind of column and each estimator whether they answer as Python does."""
    cases = [case.split("/") for case in results[0]["cases"]]
    estimators = list(dict.fromkeys(estimator for estimator, _ in cases))
    kinds = sorted({kind for _, kind in cases}, key=lambda kind: ("sequence" in kind, kind))
    head = ["column", *estimators]
    rows = [
        head,
        ["---"] * len(head),
        *(
            [kind, *(cell(results, f"{estimator}/{kind}") for estimator in estimators)]
            for kind in kinds
        ),
    ]
    runtimes = "".join(f"- {each['runtime']}\n" for each in results)
    return runtimes + "\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def cell(results: list[dict], case: str) -> str:
    if case not in results[0]["cases"]:
        return ""
    wrong = [each["runtime"] for each in results if each["cases"].get(case, "no result")]
    return f"not in {', '.join(wrong)}" if wrong else "alike"


if __name__ == "__main__":
    main()
