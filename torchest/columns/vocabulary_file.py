"""The categorical column whose vocabulary is a text file."""

from __future__ import annotations

import codecs
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torchest.columns import checks
from torchest.columns.categorical import VocabularyCategoricalColumn, checked_unknown
from torchest.errors import RefusedFileError
from torchest.utils import files
from torchest.utils.checks import whole_number

if TYPE_CHECKING:
    import torch
    from typing_extensions import Self

    from torchest.columns.base import Assets
    from torchest.columns.feature_specs import Dtype
    from torchest.utils.json_form import JSON


@dataclass(frozen=True, eq=False)
class VocabularyFileCategoricalColumn(VocabularyCategoricalColumn):
    """Lines of a file; made by `categorical_column_with_vocabulary_file`."""

    key: str
    vocabulary_file: str
    vocabulary_size: int
    num_oov_buckets: int
    dtype: torch.dtype | str
    default_value: int
    file_format: str | None = None

    @property
    def num_buckets(self) -> int:
        """The number of words plus the number of buckets for unknown words."""
        return self.vocabulary_size + self.num_oov_buckets

    def read(self) -> None:
        """Reads the file now rather than at the first batch, when it may no longer exist."""
        _ = self._vocabulary

    def to_json(self, assets: Assets) -> dict[str, object]:
        """Describes the column as JSON values, with the exported name of its file."""
        name = assets.name_of_file(self.vocabulary_file)
        return {**super().to_json(assets), "vocabulary_file": name}

    @classmethod
    def of_json(cls, fields: JSON, assets: Assets) -> Self:
        """Makes a column from its fields and the exported file."""
        path = assets.path_of_file(fields["vocabulary_file"])
        column = cls(**{**fields, "vocabulary_file": path})
        column.read()
        return column

    def words(self) -> list[bytes] | list[int]:
        """The words, read from the file.

        Raises:
            ValueError: The file has too few lines, an empty or a repeated one, or one that is not an integer.
        """
        lines = _lines(self.vocabulary_file, self.key)[: self.vocabulary_size]
        where = f"The vocabulary file {self.vocabulary_file!r} of column {self.key!r}"
        if len(lines) < self.vocabulary_size:
            raise ValueError(
                f"{where} has {len(lines)} lines, but vocabulary_size is {self.vocabulary_size}: lower it, "
                "or leave it out to use all lines."
            )
        _check_lines(lines, where)
        return lines if self.dtype == checks.STRING else _integers(lines, where)


def categorical_column_with_vocabulary_file(  # noqa: PLR0913 - TensorFlow's arguments
    key: str,
    vocabulary_file: str | os.PathLike[str],
    vocabulary_size: int | None = None,
    dtype: Dtype = checks.STRING,
    default_value: int | None = None,
    num_oov_buckets: int = 0,
    file_format: str | None = None,
) -> VocabularyFileCategoricalColumn:
    """A column whose ids are line numbers in a vocabulary file, starting at 0.

    The file is read when the column is first used. Missing values ("", −1, None, NaN) have no id.

    Args:
        key: The key of the feature: text, bytes or integers, [batch] or with several values a row.
        vocabulary_file: The path of the file, UTF-8.
        vocabulary_size: The number of lines to use, from the first; by default all.
        dtype: "string" or an integer dtype, if the lines are integers.
        default_value: The id of unknown values; None or −1 for none.
        num_oov_buckets: The number of hash buckets for unknown values, whose ids follow those of the file. 0: unknown
            values have the id `default_value`.
        file_format: None or "text".

    Raises:
        ValueError: An argument is wrong.
    """
    checks.key(key)
    path = _checked_path(vocabulary_file, key)
    if file_format is not None and not (isinstance(file_format, str) and file_format == "text"):
        raise ValueError(
            f"file_format of column {key!r} is {checks.shown(file_format)}: only 'text' is read, one value a line."
        )
    size = (
        len(_lines(path, key))
        if vocabulary_size is None
        else whole_number(f"Column {key!r}: vocabulary_size", vocabulary_size, at_least=1)
    )
    if not size:
        raise ValueError(
            f"The vocabulary file {path!r} of column {key!r} is empty: give one with a value on each "
            "line."
        )
    default, buckets = checked_unknown(
        key, -1 if default_value is None else default_value, num_oov_buckets, size
    )
    return VocabularyFileCategoricalColumn(
        key, path, size, buckets, checks.value_dtype(dtype, key), default, file_format
    )


def _checked_path(path: object, key: str) -> str:
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise ValueError(
            f"vocabulary_file of column {key!r} is {checks.shown(path)}: give the path of a text file."
        )
    checked = os.fspath(path)
    if not os.path.isfile(checked):
        raise ValueError(
            f"vocabulary_file of column {key!r} is {checks.shown(checked)}, which is not a file: give the path of "
            "one."
        )
    return checked


def _lines(path: str, key: str) -> list[bytes]:
    try:
        content = files.read_bytes(path)
    except (OSError, RefusedFileError) as error:
        raise ValueError(
            f"The vocabulary file of column {key!r} cannot be read: {error}."
        ) from error
    content = _utf8(content, f"The vocabulary file {path!r} of column {key!r}")
    lines = content.split(b"\n" if b"\n" in content else b"\r")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix(b"\r") for line in lines]


def _utf8(content: bytes, where: str) -> bytes:
    """The content without a byte order mark."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in content:
        raise ValueError(f"{where} is not UTF-8 text, but probably UTF-16: convert it to UTF-8.")
    try:
        content.decode()
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        line = content.split(b"\n")[number - 1].rstrip(b"\r")
        raise ValueError(
            f"{where} has {line[:80]!r} in line {number}, which is not UTF-8: convert the file to UTF-8, for example "
            "from latin-1."
        ) from None
    return content.removeprefix(codecs.BOM_UTF8)


def _check_lines(lines: list[bytes], where: str) -> None:
    first: dict[bytes, int] = {}
    for number, line in enumerate(lines, 1):
        if not line:
            raise ValueError(f"{where} has an empty line, {number}: remove it.")
        if line in first:
            raise ValueError(
                f"{where} has {line.decode(errors='replace')!r} in line {first[line]} and again in line "
                f"{number}: remove one of them."
            )
        first[line] = number


def _integers(lines: list[bytes], where: str) -> list[int]:
    try:
        return [int(line) for line in lines]
    except ValueError:
        number, line = next((i, x) for i, x in enumerate(lines, 1) if not _is_integer(x))
    raise ValueError(
        f"{where} has {line.decode(errors='replace')!r} in line {number}, which is not an integer: "
        "correct it, or make the column with dtype='string'."
    )


def _is_integer(line: bytes) -> bool:
    try:
        int(line)
    except ValueError:
        return False
    return True
