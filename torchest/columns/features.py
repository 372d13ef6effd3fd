"""One batch of raw features, and its encodings by columns.

>>> from torchest.columns.numeric import numeric_column
>>> features = Features({"age": [22, 38]})
>>> features["age"]
tensor([22, 38])
>>> features.encoded(numeric_column("age"))
tensor([[22.],
        [38.]])
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from torchest.columns.encode.bucketed_padding import with_bucketed_width
from torchest.columns.encode.strings import hash_all, text_of_rows
from torchest.errors import MissingFeatureError, suggest
from torchest.utils import arrays
from torchest.utils.checks import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torchest.columns.encode.strings import Text
    from torchest.utils.arrays import HostArray
    from torchest.utils.tensor_group import Encoding


class Column(Protocol):
    """The interface of columns that `Features` uses."""

    @property
    def name(self) -> str:
        """The name in errors."""

    @property
    def feature_keys(self) -> tuple[str, ...]:
        """The keys of the features that it reads."""

    @property
    def is_of_torchest(self) -> bool:
        """Whether the class is one of torchest."""

    @property
    def is_stacked(self) -> bool:
        """Whether it encodes several columns together."""

    @property
    def members(self) -> tuple[Column, ...]:
        """The columns that this one encodes together; itself for a single column."""

    def encode(self, features: Features) -> Encoding:
        """Encodes a batch."""

    def checked_encode(self, features: Features) -> Encoding:
        """Encodes a batch by a user's class, and checks the encoding."""


@dataclass
class Usage:
    """The keys that a model read from a batch, and the columns that it encoded.

    Features that the model added do not count.

    Attributes:
        keys: The keys.
        columns: The columns.
        together: Groups of sequence columns whose rows need equal numbers of steps.
    """

    keys: set[str] = field(default_factory=set)
    columns: set[Column] = field(default_factory=set)
    together: set[tuple[Column, ...]] = field(default_factory=set)

    def copy(self) -> Usage:
        """A copy for another thread."""
        return Usage(set(self.keys), set(self.columns), set(self.together))


class Features(MutableMapping[str, Any]):
    """The features of one batch by key.

    `features[key]` is a tensor on the batch's device if the feature is numeric, and an Arrow or
    numpy array if it is text. Conversions and encodings are made on demand, once.

    Attributes:
        device: The device of numbers and ids.
        usage: The keys and columns that the model has used so far.
        allows_stacking: Whether layers may encode several columns at once.

    Args:
        features: Tensors, numpy arrays, lists, pandas Series or Arrow arrays by key, with one
            element or row for each example.
        device: The device of numbers and ids. Defaults to the CPU.
    """

    def __init__(
        self, features: Mapping[str, object], device: torch.device | str | None = None
    ) -> None:
        if type(features) is not dict and not isinstance(features, Mapping):
            raise TypeError(_no_dict(features))
        self.device = torch.device("cpu") if device is None else _device(device)
        self.usage = Usage()
        self.allows_stacking = True
        self._source: dict[str, Any] = dict(features)
        self._raw: dict[str, HostArray] = {}
        self._values: dict[str, object] = {}
        self._texts: dict[str, Text | None] = {}
        self._hosted: dict[Column, Encoding] = {}
        # The same where nothing has to move.
        self._encoded = self._hosted if self.device.type == "cpu" else {}
        self._first: tuple[str, int] | None = None
        self._changed: set[str] = set()  # keys that the user set, unknown when a batch is prepared
        self._read: list[Sequence[str]] = []  # keys that were read without conversion

    @classmethod
    def of(cls, features: Mapping[str, object]) -> Features:
        """Returns `Features` unchanged, and wraps any other mapping.

        Raises:
            TypeError: They are not a mapping.
        """
        if isinstance(features, cls):
            return features
        if not isinstance(features, Mapping):
            raise TypeError(_no_dict(features))
        return cls(features)

    @property
    def batch_size(self) -> int:
        """The number of examples; 0 if there are no features."""
        if self._first is None:
            for key in self._source:
                with contextlib.suppress(arrays.NotUnderstoodError):
                    self.raw(key)
                    break
        return 0 if self._first is None else self._first[1]

    def raw(self, key: str) -> HostArray:
        """A feature as a tensor, a numpy array or an Arrow array, without conversion of its values.

        Raises:
            MissingFeatureError: The feature is missing.
            ValueError: Its number of rows differs from the others'.
        """
        try:
            array = self._raw.get(key)
            is_there = array is not None or key in self._source
        except TypeError:  # no key of a dict at all
            array, is_there = None, False
        if array is None:
            if not is_there:
                raise MissingFeatureError(f"There is no feature {shown(key)}.{self._hint(key)}")
            array = arrays.to_host(self._source[key], key)
            self._check_length(key, array)
            self._raw[key] = array
        return array

    def raw_of(self, column: Column, key: str) -> HostArray:
        """The same as `raw`; the error for a missing feature names the column."""
        array = self._raw.get(key)
        if array is None:
            self.check_there(column)
            array = self.raw(key)
        return array

    def sources(self, keys: Sequence[str]) -> tuple[int, list[Any]]:
        """The number of rows, and the features without conversion; None in place of missing ones.

        The caller reads them, and sees to it that all have so many rows. The number is 0 if the first feature is
        missing or has no rows, which its column refuses.
        """
        arrays = list(map(self._source.get, keys))
        if self._first is None:
            first = arrays[0]
            if type(first) is np.ndarray and first.ndim:
                self._first = keys[0], len(first)
            else:
                with contextlib.suppress(TypeError, ValueError):
                    self.raw(keys[0])
        if self._first is None:
            return 0, arrays
        self._read.append(keys)
        return self._first[1], arrays

    def text(self, key: str) -> Text | None:
        """The text of a feature with one string in each row; None for other features."""
        if key not in self._texts:
            self._texts[key] = text_of_rows(self.raw(key))
        return self._texts[key]

    def expect(self, columns: Iterable[Column]) -> None:
        """Hashes the text of several columns at once, which is faster than one by one."""
        keys = dict.fromkeys(key for column in columns for key in column.feature_keys)
        texts = []
        for key in keys:  # in order, so that errors always name the same feature
            if key not in self._source:
                continue
            # What is wrong with a feature comes up where its column is encoded.
            with contextlib.suppress(TypeError, ValueError):
                texts.append(self.text(key))
        hash_all(text for text in texts if text is not None)

    def is_nested_list(self, key: str) -> bool:
        """Whether a feature is a list of lists or arrays, of equal lengths or not."""
        rows = self._source.get(key)
        inner = (list, tuple, np.ndarray, Tensor)
        return isinstance(rows, list | tuple) and isinstance(next(iter(rows), None), inner)

    def encoded(self, column: Column) -> Any:
        """The encoding of a column on the device: a tensor [batch, width], or `Ids`.

        Raises:
            MissingFeatureError: A feature that the column reads is missing.
            ValueError: The values of a feature do not fit the column.
        """
        try:
            keys = column.feature_keys
        except AttributeError:
            raise TypeError(
                f"column={shown(column)} must be a feature column, such as columns.numeric_column('age')."
            ) from None
        if not self._changed or self._changed.isdisjoint(keys):
            self.usage.columns.add(column)
        else:
            self.usage.columns.update(
                member for member in column.members if self._changed.isdisjoint(member.feature_keys)
            )
        encoding = self._encoded.get(column)
        if encoding is None:
            if self._encoded is self._hosted:
                encoding = self._encode(column)
                if encoding.device == self.device:
                    return encoding
            encoding = self._encoded[column] = self._placed(self.on_host(column))
        return encoding

    def on_host(self, column: Column) -> Any:
        """The encoding of a column on the host. It is not recorded in `usage`.

        Raises:
            MissingFeatureError: A feature that the column reads is missing.
            ValueError: The values of a feature do not fit the column.
        """
        encoding = self._hosted.get(column)
        return self._encode(column) if encoding is None else encoding

    def _encode(self, column: Column) -> Encoding:
        if not column.is_stacked:  # others ask for their members one by one
            self.check_there(column)
        encode = column.encode if column.is_of_torchest else column.checked_encode
        encoding = self._hosted[column] = encode(self)
        return encoding

    @contextlib.contextmanager
    def read_by(self, column: Column) -> Iterator[None]:  # noqa: ARG002
        """Reads features for a user's column; they are no inputs of the model."""
        usage, self.usage = self.usage, Usage()
        try:
            yield
        finally:
            self.usage = usage

    def prepare(self, usage: Usage) -> None:
        """Encodes the columns that the model used in another batch, ahead of time.

        Args:
            usage: The usage of the other batch. Encodings that fail are left out, so that the error
                occurs where the model needs them.
        """
        alone = [column for column in usage.columns if not column.is_stacked]
        if alone[1:]:
            self.expect(alone)
        for column in usage.columns:
            if all(map(self._source.__contains__, column.feature_keys)):
                self.encoded(column)
        for key in usage.keys:
            if key in self._source:
                self[key]

    def placed(self) -> list[object]:
        """The tensors and encodings on the device so far."""
        return [*self._values.values(), *self._encoded.values()]

    def to(self, device: torch.device | str) -> Features:
        """Copies the batch and its encodings to a device."""
        moved = Features(self._source, _device(device))
        moved._raw = dict(self._raw)
        moved._texts = dict(self._texts)
        moved._first = self._first
        moved._read = list(self._read)
        moved._changed = set(self._changed)
        moved._values = {
            key: moved._placed(value) if isinstance(value, Tensor) else value
            for key, value in self._values.items()
        }
        moved._hosted.update(self._hosted)
        moved._encoded.update(
            (column, moved._placed(value)) for column, value in self._encoded.items()
        )
        return moved

    def __getitem__(self, key: str) -> Any:
        if key not in self._changed:
            self.usage.keys.add(key)
        try:
            return self._values[key]
        except KeyError:
            array = self.raw(key)
        is_text = not isinstance(array, Tensor) and arrays.is_textual(array)
        value = array if is_text else self._placed(arrays.to_tensor(array, key))
        self._values[key] = value
        return value

    def __setitem__(self, key: str, value: object) -> None:
        self._forget(key)
        self._source[key] = value
        self._changed.add(key)

    def __delitem__(self, key: str) -> None:
        del self._source[key]
        self._forget(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._source)

    def __len__(self) -> int:
        return len(self._source)

    def __contains__(self, key: object) -> bool:
        return key in self._source

    def __repr__(self) -> str:
        return f"Features({', '.join(map(repr, self._source))}; device={str(self.device)!r})"

    def _forget(self, key: str) -> None:
        self._raw.pop(key, None)
        self._texts.pop(key, None)
        self._values.pop(key, None)
        for made in (self._hosted, self._encoded):
            for column in [column for column in made if key in column.feature_keys]:
                del made[column]
        if self._first is not None and self._first[0] == key:
            read = [*self._raw, *(other for keys in self._read for other in keys)]
            kept = (other for other in read if other in self._source and other not in self._changed)
            other = next((other for other in kept if other != key), None)
            self._first = None if other is None else (other, self._first[1])

    def check_there(self, column: Column) -> None:
        """Raises MissingFeatureError if a feature that the column reads is missing."""
        for key in column.feature_keys:
            if key not in self._source:
                raise MissingFeatureError(
                    f"Column {column.name!r} reads the feature {key!r}, which is not there.{self._hint(key)}"
                )

    def _hint(self, key: object) -> str:
        """Suggests a key in place of a missing one."""
        twin = next((other for other in self._source if str(other) == str(key)), None)
        if twin is None:
            return suggest(key, self._source)
        kinds = f"{type(twin).__name__}, not {type(key).__name__}"
        return f" There is {twin!r} ({kinds}): name features with strings, such as frame.rename(columns=str) gives."

    def _check_length(self, key: str, array: HostArray) -> None:
        length = len(array) if type(array) is np.ndarray else arrays.length(array)
        if self._first is None:
            self._first = key, length
        elif length != self._first[1]:
            both = [self._source.get(name) for name in (key, self._first[0])]
            single = next((rows[0] for rows in both if type(rows) is list and len(rows) == 1), None)
            raise ValueError(
                f"Feature {key!r} has {length} rows, but feature {self._first[0]!r} of the same "
                f"batch has {self._first[1]}: all features need one row for each example"
                f"{arrays.comparison_hint(single)}."
            )

    def _placed(self, value: Encoding) -> Encoding:
        if self.device.type == "xla":
            value = with_bucketed_width(value)
        if value.device == self.device:
            return value
        if self.device.type == "cuda" and value.device.type == "cpu":
            value = value.pin_memory()
        return value.to(self.device, non_blocking=True)


def _no_dict(features: object) -> str:
    return (
        f"Columns need a dict of features by key, not a {type(features).__name__}: give, for "
        "example, {'age': [22, 38]}."
    )


def _device(device: object) -> torch.device:
    if isinstance(device, torch.device):
        return device
    try:
        if not isinstance(device, str):
            raise TypeError
        return torch.device(device)
    except (TypeError, RuntimeError):
        raise ValueError(
            f"device={shown(device)} must be a torch.device, or its name, such as 'cpu' or 'cuda:0'."
        ) from None
