"""The programs in README.md, and of custom_models, migrating and adding_a_column in docs/, run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
FIRST, OWN_MODEL, SERVING = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
GUIDE = (ROOT / "docs" / "custom_models.md").read_text(encoding="utf-8")
WAY_OVER = (ROOT / "docs" / "migrating.md").read_text(encoding="utf-8")
OWN_COLUMN, _ = re.findall(
    r"```python\n(.*?)```",
    (ROOT / "docs" / "adding_a_column.md").read_text(encoding="utf-8"),
    flags=re.DOTALL,
)
PROGRAMS = {
    "own model": OWN_MODEL,
    "own column": OWN_COLUMN,
    "the first and serving": FIRST + SERVING,
    "custom models": "".join(re.findall(r"```python\n(.*?)```", GUIDE, flags=re.DOTALL)),
    "migrating": "".join(re.findall(r"```python\n(.*?)```", WAY_OVER, flags=re.DOTALL)),
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_a_program_of_the_readme_runs(program, tmp_path, monkeypatch):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    exec(compile(program, "program", "exec"), {"__name__": "__main__"})
    assert list((tmp_path / "models").glob("*/checkpoint"))
