"""Programs of a few lines, what they become, and what the report says: `idioms.txt`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("libcst")

from torchest.migrate.program import migrate
from torchest.migrate.report import BY_HAND, SAME

TEXT = (Path(__file__).parent / "idioms.txt").read_text(encoding="utf-8")
IDIOMS = {
    title: (before, after, notes.split("\n"))
    for title, before, after, notes in re.findall(
        r"^## (.*)\n((?:.*\n)*?)##>\n((?:(?!#: |## ).*\n)*?)((?:#: .*\n)*)(?=\n## |\Z)",
        TEXT,
        re.MULTILINE,
    )
}


def in_short(note):
    return f"#: {note.line} {note.kind}{': ' + note.name if note.name else ''}"


def test_there_are_many():
    assert len(IDIOMS) == TEXT.count("\n##>\n") >= 60


@pytest.mark.parametrize("title", IDIOMS)
def test_an_idiom_is_rewritten(title):
    before, after, expected = IDIOMS[title]
    text, notes = migrate(before)
    assert text == after
    assert [in_short(note) for note in notes if note.kind != SAME] == expected[:-1]
    compile(text, title, "exec")


@pytest.mark.parametrize("title", IDIOMS)
def test_a_second_time_changes_nothing(title):
    once, notes = migrate(IDIOMS[title][0])
    twice, left = migrate(once)
    assert twice == once
    by_hand = [note.name for note in notes if note.kind == BY_HAND and note.name]
    assert [note.name for note in left if note.kind == BY_HAND and note.name] == by_hand


@pytest.mark.parametrize("title", IDIOMS)
def test_every_note_by_hand_leads_to_a_section_of_the_guide(title):
    guide = (Path(__file__).parents[2] / "docs" / "migrating.md").read_text(encoding="utf-8")
    sections = {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", guide, re.MULTILINE)
    }
    for note in migrate(IDIOMS[title][0])[1]:
        for link in re.findall(r"docs/migrating.md#(\S+)", note.text):
            assert link in sections
