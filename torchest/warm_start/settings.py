"""The settings of a warm start from another model's checkpoint: `WarmStartSettings` and `VocabInfo`.

grown = torchest.VocabInfo("words_new.txt", 5000, 1, "words_old.txt")
settings = torchest.WarmStartSettings(
    "models/old", var_name_to_vocab_info={"dnn.embeddings.word.weight": grown}
)
model = torchest.DNNClassifier(..., warm_start_from=settings)
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from torchest.utils.checks import boolean, is_list, is_whole, path, shown, whole_number

if TYPE_CHECKING:
    from torch import Tensor

    Words: TypeAlias = str | os.PathLike[str] | Sequence[str | bytes | int]
    WarmStartFrom: TypeAlias = str | os.PathLike[str] | "WarmStartSettings" | None


class _VocabFields(NamedTuple):
    new_vocab: Words
    new_vocab_size: int
    num_oov_buckets: int
    old_vocab: Words
    old_vocab_size: int
    backup_initializer: Callable[[Tensor], object] | None
    axis: int


class VocabInfo(_VocabFields):
    """The vocabularies of a table before and after a change, so that its rows move by token.

    The rows of tokens in both vocabularies are kept, and so are the rows for unknown tokens if their number is the
    same. All others are initialised.

    Args:
        new_vocab: The vocabulary of the new model: the path of a file with one token a line, or a list.
        new_vocab_size: The number of its first tokens to use.
        num_oov_buckets: The number of rows for unknown tokens after them in the new model.
        old_vocab: The vocabulary of the old model, likewise.
        old_vocab_size: The number of its first tokens to use; −1: all.
        backup_initializer: Fills a tensor of new rows in place, such as `torch.nn.init.zeros_`. None: they
            start as they do without a warm start.
        axis: 0 if the tokens are the rows of the parameter, 1 if they are its columns.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of its range.

    >>> VocabInfo(["new", "old"], 2, 0, ["old"]).old_vocab_size
    -1
    """

    __slots__ = ()

    def __new__(  # noqa: PLR0913 - the arguments that tf.estimator's class takes
        cls,
        new_vocab: Words,
        new_vocab_size: int,
        num_oov_buckets: int,
        old_vocab: Words,
        old_vocab_size: int = -1,
        backup_initializer: Callable[[Tensor], object] | None = None,
        axis: int = 0,
    ) -> VocabInfo:
        """Checks the fields."""
        vocabularies: dict[str, Any] = {"new_vocab": new_vocab, "old_vocab": old_vocab}
        for name, words in vocabularies.items():
            if not _is_path(words) and not (is_list(words) and _are_tokens(list(words))):
                raise TypeError(
                    f"VocabInfo: {name}={shown(words)} must be the path of a file with one token a line, or a list of "
                    "tokens."
                )
        new_vocab_size = whole_number("VocabInfo: new_vocab_size", new_vocab_size, at_least=1)
        num_oov_buckets = whole_number("VocabInfo: num_oov_buckets", num_oov_buckets, at_least=0)
        old_vocab_size = whole_number("VocabInfo: old_vocab_size", old_vocab_size, at_least=-1)
        if old_vocab_size == 0:
            raise ValueError(
                "VocabInfo: old_vocab_size=0 must be a whole number of at least 1, or -1."
            )
        if backup_initializer is not None and not callable(backup_initializer):
            raise TypeError(
                f"VocabInfo: backup_initializer={shown(backup_initializer)} must be a function that fills a tensor in "
                "place, such as torch.nn.init.zeros_, or None."
            )
        if not is_whole(axis) or axis not in (0, 1):
            raise ValueError(
                f"VocabInfo: axis={shown(axis)} must be 0 (tokens are rows) or 1 (columns)."
            )
        return super().__new__(
            cls,
            new_vocab,
            new_vocab_size,
            num_oov_buckets,
            old_vocab,
            old_vocab_size,
            backup_initializer,
            int(axis),
        )


class _WarmStartFields(NamedTuple):
    ckpt_to_initialize_from: str
    vars_to_warm_start: str | tuple[str, ...] | None
    var_name_to_vocab_info: Mapping[str, VocabInfo]
    var_name_to_prev_var_name: Mapping[str, str]
    copy_slots: bool


class WarmStartSettings(_WarmStartFields):
    """Which parameters a new model copies from another model's checkpoint.

    Names are those of torchest, such as "linear.age.weight", "dnn.embeddings.town.weight" or
    "dnn.hidden.0.bias"; `Estimator.get_variable_names()` of a trained model lists them.

    Args:
        ckpt_to_initialize_from: A `model_dir`, for its newest checkpoint; a checkpoint; or an export, which has no
            slots. A model_dir, a checkpoint or a SavedModel of TensorFlow will do, without slots.
        vars_to_warm_start: A regular expression, or a list of them. Parameters whose names match one from the start
            are copied, with the buffers of their modules, such as the statistics of batch normalisation. None: only
            those in `var_name_to_vocab_info`.
        var_name_to_vocab_info: Vocabularies by the names of parameters, which are copied too.
        var_name_to_prev_var_name: Names of parameters in the checkpoint by their names in the new model, where the
            two differ. The names that TensorFlow's premade estimators have are known.
        copy_slots: Whether to copy the optimizer slots of these parameters too. If not, they start anew.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: There is no path, or a pattern is not a regular expression.

    >>> WarmStartSettings("models/old", "linear.*").vars_to_warm_start
    'linear.*'
    """

    __slots__ = ()

    def __new__(
        cls,
        ckpt_to_initialize_from: str | os.PathLike[str],
        vars_to_warm_start: str | Sequence[str] | None = ".*",
        var_name_to_vocab_info: Mapping[str, VocabInfo] | None = None,
        var_name_to_prev_var_name: Mapping[str, str] | None = None,
        copy_slots: bool = False,
    ) -> WarmStartSettings:
        """Checks the fields."""
        if not _is_path(ckpt_to_initialize_from) or "\0" in os.fsdecode(ckpt_to_initialize_from):
            raise ValueError(
                f"WarmStartSettings: ckpt_to_initialize_from={shown(ckpt_to_initialize_from)} must be the path of a "
                "model_dir or of a checkpoint."
            )
        _check_mapping("var_name_to_vocab_info", var_name_to_vocab_info, VocabInfo)
        _check_mapping("var_name_to_prev_var_name", var_name_to_prev_var_name, str)
        return super().__new__(
            cls,
            os.fspath(ckpt_to_initialize_from),
            _checked_patterns(vars_to_warm_start),
            dict(var_name_to_vocab_info or {}),
            dict(var_name_to_prev_var_name or {}),
            boolean("WarmStartSettings: copy_slots", copy_slots),
        )

    def matches(self, name: str) -> bool:
        """Whether a pattern matches a name."""
        patterns = self.vars_to_warm_start
        listed = [patterns] if isinstance(patterns, str) else patterns or ()
        return any(re.match(pattern, name) for pattern in listed)

    def selects(self, name: str) -> bool:
        """Whether a parameter or buffer of this name is copied from the checkpoint."""
        return name in self.var_name_to_vocab_info or self.matches(name)


def settings_of(warm_start_from: object) -> WarmStartSettings | None:
    """Converts the argument `warm_start_from` to settings; None for None.

    Raises:
        TypeError: It is neither a path nor settings.
        ValueError: The path is empty.
    """
    if warm_start_from is None or isinstance(warm_start_from, WarmStartSettings):
        return warm_start_from
    if not isinstance(warm_start_from, (str, os.PathLike)):
        raise TypeError(
            f"warm_start_from={shown(warm_start_from)} must be the path of a model_dir or of a checkpoint, or "
            "torchest.WarmStartSettings."
        )
    if not os.fspath(warm_start_from):
        raise ValueError(
            "warm_start_from='' is not a path: give a model_dir, a checkpoint, or None."
        )
    return WarmStartSettings(path("warm_start_from", warm_start_from))


def _are_tokens(words: list[Any]) -> bool:
    is_token = (str, bytes, int, np.integer)
    return bool(words) and all(isinstance(word, is_token) for word in words)


def _is_path(value: object) -> bool:
    return isinstance(value, (str, os.PathLike)) and bool(os.fspath(value))


def _check_mapping(name: str, value: object, kind: type) -> None:
    if value is None:
        return
    if not isinstance(value, Mapping):
        raise TypeError(
            f"WarmStartSettings: {name} is a {type(value).__name__}, but must be a dict by the names of parameters."
        )
    for key, item in value.items():
        if not isinstance(item, kind):
            raise TypeError(
                f"WarmStartSettings: {name}[{shown(key)}] is a {type(item).__name__}, but must be a {kind.__name__}."
            )


def _checked_patterns(value: object) -> str | tuple[str, ...] | None:
    if value is None:
        return None
    patterns = [value] if isinstance(value, str) else value
    if not isinstance(patterns, Sequence) or not all(isinstance(each, str) for each in patterns):
        raise TypeError(
            f"WarmStartSettings: vars_to_warm_start={shown(value)} must be a regular expression of names of "
            "parameters, a list of them, or None."
        )
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(
                f"WarmStartSettings: vars_to_warm_start has {pattern!r}, which is not a regular expression: {error}."
            ) from None
    return value if isinstance(value, str) else tuple(patterns)
