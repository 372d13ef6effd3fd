"""The tables of embedding columns for TensorBoard's projector."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from torch import nn

from torchest.columns.layers.table import Table
from torchest.engine.hooks import SessionRunHook
from torchest.utils import checks, files

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    import numpy as np

    from torchest.columns.base import CategoricalColumn
    from torchest.engine.hooks import Session

_log = logging.getLogger("torchest")
_MOST_ROWS = 10_000  # that the projector can show


class EmbeddingProjectorHook(SessionRunHook):
    """Writes the tables of embedding columns for TensorBoard's projector when training ends.

        model.train(input_fn, hooks=[torchest.EmbeddingProjectorHook(model.model_dir)])

    It writes `projector_config.pbtxt`, and for each table a file of vectors and one of labels: the words of a
    vocabulary, or numbers. For a table with more than 10,000 rows, it writes the first 10,000.

    Args:
        output_dir: The directory in which TensorBoard looks for events.
    """

    def __init__(self, output_dir: str | os.PathLike[str]) -> None:
        self._directory = files.normal(
            checks.path("EmbeddingProjectorHook: output_dir", output_dir)
        )

    def end(self, session: Session) -> None:
        """Writes the files."""
        if not session.is_chief:
            return
        tables = dict(_tables(session))
        if not tables:
            _log.warning("EmbeddingProjectorHook: the model has no embedding column.")
            return
        folder = files.join(self._directory, "projector")
        files.make_directory(folder)
        entries = []
        for name, (column, table) in tables.items():
            stem = re.sub(r"[^\w.-]", "_", name)
            vectors = table.weight.detach()[:_MOST_ROWS].float().cpu().numpy()
            if len(table.weight) > _MOST_ROWS:
                _log.info(
                    "Projector: %d of the %d rows of %s.", _MOST_ROWS, len(table.weight), name
                )
            files.write_text(files.join(folder, f"{stem}.tensors.tsv"), _as_tsv(vectors))
            labels = [_on_a_line(label) for label in column.row_names()[:_MOST_ROWS]]
            files.write_text(files.join(folder, f"{stem}.metadata.tsv"), "\n".join(labels) + "\n")
            entries.append(_entry(name, f"projector/{stem}"))
        files.write_text(files.join(self._directory, "projector_config.pbtxt"), "".join(entries))


def _tables(session: Session) -> Iterator[tuple[str, tuple[CategoricalColumn, Table]]]:
    """The tables of embedding columns by the names of their parameters."""
    for made, module in session.objects.items():
        if isinstance(module, nn.Module):
            for within, part in module.named_modules():
                if isinstance(part, Table) and part.categorical_column is not None:
                    yield ".".join([made, within, "weight"]), (part.categorical_column, part)


def _as_tsv(vectors: np.ndarray) -> str:
    return "".join("\t".join(row) + "\n" for row in vectors.astype(str).tolist())


def _on_a_line(label: str) -> str:
    """The label without line breaks and tabs; a space if it would be empty."""
    return re.sub(r"\s", " ", label) or " "


def _entry(name: str, stem: str) -> str:
    fields = {
        "tensor_name": name,
        "tensor_path": f"{stem}.tensors.tsv",
        "metadata_path": f"{stem}.metadata.tsv",
    }
    lines = [f'  {field}: "{_escaped(value)}"\n' for field, value in fields.items()]
    return f"embeddings {{\n{''.join(lines)}}}\n"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
