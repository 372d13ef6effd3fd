"""A trained model as a module that takes encoded tensors: what every exported format is made of.

    forward = Forward(model, features)          # a warm model, and a batch of raw features
    forward.inputs, forward.outputs             # what it takes and gives
    tensors = forward.encode(features)
    predictions = forward(*tensors)             # a tuple of tensors, in the order of `outputs` without text of features
    program = forward.program()                 # torch.export: any number of rows

Calling it runs the user's model_fn in PREDICT mode, and so does tracing it.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from torchest.columns.checks import STRING
from torchest.columns.features import Features
from torchest.columns.model_inputs import STEPS, TensorSpec
from torchest.columns.raw_features import RawFeature
from torchest.export.encoded import columns_of, model_inputs, tensors_of
from torchest.export.recurrent import WholeLayers
from torchest.keys import ModeKeys
from torchest.utils import arrays
from torchest.utils.indexed_strings import IndexedStrings
from torchest.utils.predicted_text import FeatureText, is_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torchest.columns.base import FeatureColumn
    from torchest.columns.features import Column
    from torchest.engine.model import RunningModel
    from torchest.spec import EstimatorSpec

    Select = Callable[[EstimatorSpec], Mapping[str, Any]]


@dataclass(frozen=True)
class Output:
    """One of a model's answers.

    Attributes:
        name: Its name.
        dtype: The dtype of the tensor, int64 also if it stands for strings; "string" where there is no tensor.
        shape: Its dimensions; that of the rows is called "batch".
        strings: The strings that the numbers of the tensor stand for, or None.
        feature: The key of the feature that it is as it came, or None. If that is text, no tensor stands for it.
    """

    name: str
    dtype: torch.dtype | str
    shape: tuple[int | str, ...]
    strings: tuple[bytes, ...] | None = None
    feature: str | None = None

    @property
    def is_tensor(self) -> bool:
        """Whether the module gives it; text of features never enters the module."""
        return isinstance(self.dtype, torch.dtype)


def predictions(spec: EstimatorSpec) -> Mapping[str, Any]:
    """The predictions of a model_fn by name; a single one is called "output"."""
    given = spec.predictions
    return given if isinstance(given, Mapping) else {"output": given}


class Forward(nn.Module):
    """A model as a function of encoded tensors.

    Args:
        model: A model that is not for training, made and restored.
        features: A batch, from which the shapes of features are known.
        select: What is wanted of the model's answer: arrays by name. By default the predictions.

    Attributes:
        raw: What is known of the raw features that the model uses, by key.
        inputs: What the module takes, in order: one or more tensors each.
        outputs: What it gives, in order.
        together: Columns of sequences of which rows must have as many steps as of each other.

    Raises:
        ValueError: The model reads something that cannot be exported.
    """

    def __init__(
        self, model: RunningModel, features: Mapping[str, Any], select: Select = predictions
    ) -> None:
        super().__init__()
        self._model = model
        self._select = select
        example = Features(dict(features))
        example.joins = False  # so that its usage names the columns one by one
        answers = select(model(example, None, ModeKeys.PREDICT))
        usage = example.usage
        columns = cast("set[FeatureColumn]", usage.columns)
        used = {key for column in columns for key in column.feature_keys} | usage.keys
        counted = used or set(itertools.islice(example, 1))  # a model of no feature counts rows
        self.raw = {key: RawFeature.of(example, key) for key in example if key in counted}
        self.inputs = model_inputs(columns, usage.keys, self.raw)
        self.together = [
            tuple(cast("FeatureColumn", column).exported_column for column in sequences)
            for sequences in usage.together
        ]
        self._keys = tuple(example)
        self._text = {key: FeatureText(key) for key in usage.keys if self.raw[key].is_text}
        self._example = self.encode(example)
        self.outputs = self._described(answers)
        parts = nn.ModuleList(model.scope.modules().values()).modules()
        self._tensors = nn.ModuleList(_Tensors(part) for part in parts)
        self._whole_layers = WholeLayers([part._parameters for part in self._tensors])

    @property
    def tensors(self) -> list[TensorSpec]:
        """The tensors that the module takes, in order."""
        return [tensor for given in self.inputs for tensor in given.tensors]

    @property
    def original_names(self) -> dict[str, str]:
        """What parameters and buffers are called in checkpoints, by their names in this module."""
        names = {
            id(tensor): f"{name}.{within}"
            for name, module in self._model.scope.modules().items()
            for within, tensor in module.state_dict(keep_vars=True).items()
        }
        state = self.state_dict(keep_vars=True)
        return {name: names[id(tensor)] for name, tensor in state.items()}

    def encode(self, features: Mapping[str, Any]) -> list[Tensor]:
        """The tensors that the module takes of a batch of raw features."""
        batch = Features.of(features)
        batch.expect(columns_of(self.inputs))
        return tensors_of(self.inputs, batch)

    def steps_of(self, features: Mapping[str, Any]) -> int | None:
        """How many steps the sequences of a batch of raw features have room for; None if there are no sequences."""
        for given, tensor in zip(self.encode(features), self.tensors, strict=True):
            if STEPS in tensor.shape:
                return given.shape[tensor.shape.index(STEPS)]
        return None

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Encoded tensors, as `tensors` describes them, to the answers that `outputs` describes."""
        with self._whole_layers if torch.compiler.is_exporting() else contextlib.nullcontext():
            answers = self._answers(self._encodings(tensors))
        return tuple(_tensor(answers[output.name]) for output in self.outputs if output.is_tensor)

    def program(self) -> torch.export.ExportedProgram:
        """The module as a graph that takes any number of rows, also none."""
        return export_program(self, self._example, self.tensors)

    def _answers(self, encodings: Mapping[Column | str, Any]) -> Mapping[str, Any]:
        """What model_fn answers to a batch of which the encodings are known."""
        return self._select(self._model.trace(_TracedFeatures(self._keys, encodings, self._text)))

    def _described(self, answers: Mapping[str, Any]) -> list[Output]:
        """What the module gives; a dimension that differs between batches of different sizes has a name."""
        sizes = _sizes(self.tensors, _largest(self._example, self.tensors) + 1)
        encodings = self._encodings(tuple(_with_sizes(self._example, self.tensors, sizes)))
        try:
            with torch.no_grad():
                others = self._answers(encodings)
        except Exception as error:
            if not self._text:
                raise
            raise ValueError(_of_text(self._text, str(error).partition("\n")[0])) from error
        whose = {id(value): key for key, value in encodings.items() if isinstance(key, str)}
        names = {size: name for name, size in sizes.items()}
        return [
            self._output(name, value, others[name], names, whose.get(id(others[name])))
            for name, value in answers.items()
        ]

    def _output(
        self, name: str, value: Any, other: Any, names: Mapping[int, str], feature: str | None
    ) -> Output:
        """An output, of its values for two batches; `names` has those of the dimensions of the second."""
        if isinstance(other, FeatureText):
            return Output(name, STRING, self.raw[other.key].dimensions, None, other.key)
        if not isinstance(other, Tensor | IndexedStrings):
            raise ValueError(_of_array(name, other))
        strings = other.vocabulary if isinstance(other, IndexedStrings) else None
        one, again = _tensor(value).shape, _tensor(other)
        shape = tuple(
            size if size == second else names.get(second, f"{place} of {name}")
            for place, (size, second) in enumerate(zip(one, again.shape, strict=True))
        )
        return Output(name, again.dtype, shape, strings, feature)

    def _encodings(self, tensors: tuple[Tensor, ...]) -> dict[Column | str, Any]:
        remaining = iter(tensors)
        return {
            given.source: given.encoding(list(itertools.islice(remaining, len(given.tensors))))
            for given in self.inputs
        }


def export_program(
    module: nn.Module, example: list[Tensor], tensors: list[TensorSpec]
) -> torch.export.ExportedProgram:
    """A module as a graph in which the named dimensions of its tensors may have any size.

    Args:
        module: Takes the tensors.
        example: The tensors of some batch.
        tensors: What they are.

    Raises:
        ValueError: It cannot be traced.
    """
    dimensions = {
        name: torch.export.Dim(name if name.isidentifier() else f"dimension_{number}")
        for number, name in enumerate(_names(tensors))
    }
    dynamic = tuple(
        {
            place: dimensions[size]
            for place, size in enumerate(tensor.shape)
            if isinstance(size, str)
        }
        for tensor in tensors
    )
    resized = tuple(_with_sizes(example, tensors, _sizes(tensors, _least(example, tensors))))
    try:
        with torch.no_grad(), _named_arguments(module, len(resized)):
            return torch.export.export(module, resized, dynamic_shapes=dynamic, strict=False)
    except Exception as error:
        raise ValueError(
            f"The model cannot be traced for an export ({str(error).strip().partition(chr(10))[0]}). What model_fn and "
            "normalizer_fn compute may depend on values only through operations of torch, and on the number of rows "
            "only through shapes: write x.shape[0] and not len(x), torch.where and not if."
        ) from error


@contextlib.contextmanager
def _named_arguments(module: nn.Module, count: int) -> Iterator[None]:
    """Gives the arguments `*tensors` of a module names, which torch 2.9 needs to write checks of their shapes."""
    forward = module.forward

    @functools.wraps(forward)
    def named(*tensors: Tensor) -> Any:
        return forward(*tensors)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(f"tensors_{number}", kind) for number in range(count)]
    named.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    module.forward = named
    try:
        yield
    finally:
        del module.forward


def _names(tensors: list[TensorSpec]) -> list[str]:
    return sorted({size for tensor in tensors for size in tensor.shape if isinstance(size, str)})


def _largest(example: list[Tensor], tensors: list[TensorSpec]) -> int:
    """The largest of the dimensions that have names."""
    return max(
        size
        for given, tensor in zip(example, tensors, strict=True)
        for size, name in zip(given.shape, tensor.shape, strict=True)
        if isinstance(name, str)
    )


def _least(example: list[Tensor], tensors: list[TensorSpec]) -> int:
    """0 and 1 would be taken for special cases, and no length may go beyond the steps that there are."""
    steps = [
        given.shape[tensor.shape.index(STEPS)]
        for given, tensor in zip(example, tensors, strict=True)
        if STEPS in tensor.shape
    ]
    return max([2, *steps])


def _sizes(tensors: list[TensorSpec], least: int) -> dict[str, int]:
    """A size for each named dimension: equal ones would be taken for the same."""
    return {name: least + number for number, name in enumerate(_names(tensors))}


def _with_sizes(
    example: list[Tensor], tensors: list[TensorSpec], sizes: dict[str, int]
) -> list[Tensor]:
    """Tensors whose named dimensions have the given sizes."""
    return [
        _resized(given, [size if isinstance(size, int) else sizes[size] for size in tensor.shape])
        for given, tensor in zip(example, tensors, strict=True)
    ]


def _resized(given: Tensor, shape: list[int]) -> Tensor:
    """A tensor of another shape, with values that occur in the given one."""
    if not given.numel():
        return given.new_zeros(shape)
    for place, size in enumerate(shape):
        index = torch.arange(size) % given.shape[place]
        given = given.index_select(place, index)
    return given


class _Tensors(nn.Module):
    """The parameters and buffers of a module without its parts.

    A tracer must find all tensors, and goes by the names of attributes; the parts of column layers may have names
    that are no attributes.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._parameters = module._parameters
        self._buffers = module._buffers


class _TracedFeatures(Features):
    """A batch of which nothing is known but its encodings."""

    def __init__(
        self,
        keys: tuple[str, ...],
        encodings: Mapping[Column | str, Any],
        text: Mapping[str, FeatureText],
    ) -> None:
        super().__init__(dict.fromkeys(keys))
        self.joins = False
        self._encodings = encodings
        self._text = text

    @property
    def batch_size(self) -> Any:
        """The number of rows, which a tracer knows by a symbol."""
        for given in self._encodings.values():
            tensor: Tensor = given if isinstance(given, Tensor) else given.values
            return tensor.shape[0]
        return 0

    def expect(self, columns: Any) -> None:
        """Nothing is left to do."""

    def encoded(self, column: Column) -> Any:
        """The given encoding; columns that are made of others are made by the model."""
        if column in self._encodings:
            return self._encodings[column]
        if not self._changed.isdisjoint(column.feature_keys):
            return super().encoded(column)
        return column.encode(self)

    def on_host(self, column: Column) -> Any:
        """The same: there is no host."""
        return self.encoded(column)

    def __getitem__(self, key: str) -> Any:
        if key in self._text and key not in self._changed:
            return self._text[key]
        return self._encodings[key] if key in self._encodings else super().__getitem__(key)


def _of_text(text: Mapping[str, FeatureText], error: str) -> str:
    """What to say of a model_fn that fails where text is not there."""
    keys = " and ".join(map(repr, text))
    return (
        f"model_fn reads the feature {keys} itself, which is text and can only be given back as it is by an exported "
        f"model ({error}): give it to a categorical column, or among the predictions without a change."
    )


def _of_array(name: str, value: Any) -> str:
    """What to say of an answer that no operation of torch made."""
    if is_text(value):
        return (
            f"The answer {name!r} is text that model_fn makes, which an exported model cannot: give a feature that is "
            "text as it is, or torchest.export.indexed_strings(indices, vocabulary), which picks strings from a list."
        )
    return (
        f"The answer {name!r} is a {type(value).__name__}, which an exported model cannot make: compute it with "
        "operations of torch."
    )


def _tensor(value: Any) -> Tensor:
    if isinstance(value, IndexedStrings):
        return value.indices
    return arrays.in_numpy_dtype(value)
