"""Which rows of a table are kept when its vocabulary changes."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from torchest.columns.encode.strings import Text
from torchest.columns.encode.vocabulary import Words
from torchest.errors import RefusedFileError
from torchest.utils import files

if TYPE_CHECKING:
    from torch import Tensor

    from torchest.warm_start.settings import VocabInfo


@dataclass(frozen=True)
class Move:
    """Maps rows of an old table to rows of a new one.

    Attributes:
        new: The positions of the kept rows in the new table, int64 [kept].
        old: The positions of the kept rows in the old table, int64 [kept].
        size: The number of rows of the new table.
        by_token: The number of rows kept for tokens.
        unknown: The number of rows kept for unknown tokens.
        axis: The axis of the rows.
    """

    new: Tensor
    old: Tensor
    size: int
    by_token: int
    unknown: int
    axis: int

    def fresh(self) -> Tensor:
        """The rows that are new, int64 [size − kept]."""
        is_fresh = torch.ones(self.size, dtype=torch.bool)
        is_fresh[self.new] = False
        return is_fresh.nonzero().flatten()

    def apply(self, old: Tensor, target: Tensor) -> None:
        """Writes the kept rows of the old tensor into the new one; other rows stay unchanged.

        Args:
            old: The old table, or a slot of it.
            target: The new table, on any device.
        """
        rows = old.index_select(self.axis, self.old).to(target.device, target.dtype)
        target.index_copy_(self.axis, self.new.to(target.device), rows)

    def __str__(self) -> str:
        count = self.size - len(self.new)
        unknown = f", {self.unknown} for unknown tokens kept" if self.unknown else ""
        return f"{self.by_token} kept by token{unknown}, {count} new"


class Taken(NamedTuple):
    """A parameter or buffer to copy.

    Attributes:
        source: Its name in the checkpoint.
        move: How its rows move, if its vocabulary changed.
    """

    source: str
    move: Move | None


def move_of(info: VocabInfo, name: str, old_size: int, new_size: int) -> Move:
    """Finds the rows of tokens in both vocabularies.

    Args:
        info: The vocabularies.
        name: The name of the parameter, for errors.
        old_size: The number of rows of the old table.
        new_size: The number of rows of the new table.

    Raises:
        ValueError: A vocabulary does not fit its table, or has a token twice.
    """
    new = _words(info.new_vocab, info.new_vocab_size, f"var_name_to_vocab_info[{name!r}].new_vocab")
    if new_size != info.new_vocab_size + info.num_oov_buckets:
        raise ValueError(
            f"var_name_to_vocab_info[{name!r}] says {info.new_vocab_size} tokens and {info.num_oov_buckets} rows for "
            f"unknown ones, but the parameter has {new_size} of them: correct new_vocab_size or num_oov_buckets."
        )
    size = None if info.old_vocab_size == -1 else info.old_vocab_size
    old = _words(info.old_vocab, size, f"var_name_to_vocab_info[{name!r}].old_vocab")
    if old_size < len(old):
        raise ValueError(
            f"var_name_to_vocab_info[{name!r}]: old_vocab has {len(old)} tokens, but the parameter in the checkpoint "
            f"has {old_size} of them: give the vocabulary that it was trained with, or its old_vocab_size."
        )
    place = torch.from_numpy(Words(old).look_up(Text.of_words(new)))
    kept = (place >= 0).nonzero().flatten()
    # unknown tokens are hashed to these rows by their number
    same = old_size - len(old) == info.num_oov_buckets
    unknown = torch.arange(info.num_oov_buckets if same else 0)
    return Move(
        new=torch.cat([kept, unknown + len(new)]),
        old=torch.cat([place[kept], unknown + len(old)]),
        size=new_size,
        by_token=len(kept),
        unknown=len(unknown),
        axis=info.axis,
    )


def _words(vocabulary: Any, size: int | None, where: str) -> list[bytes]:
    if isinstance(vocabulary, (str, os.PathLike)):
        try:
            content = files.read_bytes(os.fspath(vocabulary))
        except (OSError, RefusedFileError) as error:
            raise ValueError(f"{where} cannot be read: {error}.") from None
        words = [line.removesuffix(b"\r") for line in content.removesuffix(b"\n").split(b"\n")]
    else:
        words = [word if isinstance(word, bytes) else str(word).encode() for word in vocabulary]
    if size is not None and len(words) < size:
        raise ValueError(f"{where} has {len(words)} tokens, fewer than its size of {size}.")
    words = words[:size]
    if len(set(words)) < len(words):
        ((twice, _),) = Counter(words).most_common(1)
        raise ValueError(f"{where} has {twice.decode(errors='replace')!r} more than once.")
    return words
