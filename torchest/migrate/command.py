"""The command `torchest migrate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchest.migrate.files import migrate_files, programs
from torchest.migrate.report import as_json, as_text, summary
from torchest.utils import files

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator


def run(options: argparse.Namespace) -> Iterator[str]:
    """Rewrites programs, and yields the lines to print.

    Args:
        options: What `torchest migrate` was called with. `options.failed` becomes the number of files that are not
            programs.
    """
    migrated = migrate_files(programs(options.path), options.tensorflow)
    options.failed = sum(each.failed for each in migrated)
    if options.report:
        files.write_text(options.report, as_json({each.path: each.notes for each in migrated}))
    for each in migrated:
        if options.write and each.is_changed:
            each.write()
        if options.diff:
            yield from each.diff()
        yield from as_text(each.path, each.notes)
    notes = [note for each in migrated for note in each.notes]
    changed = sum(each.is_changed for each in migrated)
    what = "rewritten" if options.write else "to rewrite (--write does it)"
    yield f"{len(migrated)} files, {changed} {what}: {summary(notes)}"
