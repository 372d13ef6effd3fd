"""A trained model as a module that takes encoded tensors, the source of every exported format.

    forward = Forward(model, features)          # a warm model, and a batch of raw features
    forward.inputs, forward.outputs             # its inputs and outputs tensors = forward.encode(features) predictions
    = forward(*tensors)             # a tuple of tensors, in the order of `outputs` without text of features program =
    forward.program()                 # torch.export: any number of rows

Calling or tracing it runs the user's model_fn in PREDICT mode.
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
from torchest.columns.ids import Ids, PaddedIds
from torchest.columns.layers.stored_parameters import dissolve_banks
from torchest.columns.model_inputs import STEPS, TensorSpec
from torchest.columns.raw_features import RawFeature
from torchest.columns.steps import PaddedSteps
from torchest.export.encoded import columns_of, model_inputs, tensors_of
from torchest.export.recurrent import WholeLayers
from torchest.keys import ModeKeys
from torchest.utils import arrays
from torchest.utils.indexed_strings import IndexedStrings
from torchest.utils.predicted_text import FeatureText, is_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torchest.columns.base import FeatureColumn
    from torchest.columns.features import Column
    from torchest.engine.model import RunningModel
    from torchest.spec import EstimatorSpec
    from torchest.utils.tensor_group import Encoding

    Select = Callable[[EstimatorSpec], Mapping[str, object]]


@dataclass(frozen=True)
class Output:
    """One of a model's answers.

    Attributes:
        name: Its name.
        dtype: The dtype of the tensor; "string" for text of a feature, which has no tensor.
        shape: Its dimensions; the dimension of rows is called "batch".
        strings: The strings that the tensor holds indices of, or None.
        feature: The key of the feature that the model returns unchanged, or None.
    """

    name: str
    dtype: torch.dtype | str
    shape: tuple[int | str, ...]
    strings: tuple[bytes, ...] | None = None
    feature: str | None = None

    @property
    def is_tensor(self) -> bool:
        """Whether the module returns it; text of features never enters the module."""
        return isinstance(self.dtype, torch.dtype)


def predictions(spec: EstimatorSpec) -> Mapping[str, object]:
    """The predictions of a model_fn by name; a single one is called "output"."""
    answers = spec.predictions
    return answers if isinstance(answers, Mapping) else {"output": answers}


class Forward(nn.Module):
    """A model as a function of encoded tensors.

    Args:
        model: A model that is not for training, created and restored.
        features: A batch, which determines the shapes of features.
        select: Selects the answers, by name, from the model's spec. By default the predictions.

    Attributes:
        raw: The dtypes and shapes of the features that the model uses, by key.
        inputs: The inputs of the module, in order: one or more tensors each.
        outputs: Its outputs, in order.
        together: Groups of sequence columns whose rows must have the same number of steps.

    Raises:
        ValueError: The model reads a feature that cannot be exported.
    """

    def __init__(
        self, model: RunningModel, features: Mapping[str, object], select: Select = predictions
    ) -> None:
        super().__init__()
        self._model = model
        self._select = select
        example = Features(dict(features))
        example.allows_stacking = False  # so that its usage names the columns one by one
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
        modules = nn.ModuleList(model.scope.modules().values())
        dissolve_banks(modules)  # the files of an export have one tensor for each table
        self._tensors = nn.ModuleList(_Tensors(part) for part in modules.modules())
        self._whole_layers = WholeLayers([part._parameters for part in self._tensors])

    @property
    def tensors(self) -> list[TensorSpec]:
        """The tensors that the module takes, in order."""
        return [tensor for each in self.inputs for tensor in each.tensors]

    @property
    def original_names(self) -> dict[str, str]:
        """The names of parameters and buffers in checkpoints, by their names in this module."""
        names = {
            id(tensor): f"{name}.{within}"
            for name, module in self._model.scope.modules().items()
            for within, tensor in module.state_dict(keep_vars=True).items()
        }
        state = self.state_dict(keep_vars=True)
        return {name: names[id(tensor)] for name, tensor in state.items()}

    def encode(self, features: Mapping[str, object]) -> list[Tensor]:
        """The input tensors of the module for a batch of raw features."""
        batch = Features.of(features)
        batch.expect(columns_of(self.inputs))
        return tensors_of(self.inputs, batch)

    def steps_of(self, features: Mapping[str, object]) -> int | None:
        """The number of steps in the padded sequences of a batch of raw features; None if there are no sequences."""
        for tensor, spec in zip(self.encode(features), self.tensors, strict=True):
            if STEPS in spec.shape:
                return tensor.shape[spec.shape.index(STEPS)]
        return None

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Computes the answers that `outputs` describes from the tensors that `tensors` describes."""
        with self._whole_layers if torch.compiler.is_exporting() else contextlib.nullcontext():
            answers = self._answers(self._encodings(tensors))
        return tuple(_tensor(answers[output.name]) for output in self.outputs if output.is_tensor)

    def program(self) -> torch.export.ExportedProgram:
        """The module as a graph that takes any number of rows, including 0."""
        return export_program(self, self._example, self.tensors)

    def _answers(self, encodings: Mapping[Column | str, Encoding]) -> Mapping[str, object]:
        """The answers of model_fn to a batch of encodings."""
        return self._select(self._model.trace(_TracedFeatures(self._keys, encodings, self._text)))

    def _described(self, answers: Mapping[str, object]) -> list[Output]:
        """The outputs; a dimension that differs between batches of different sizes has a name."""
        sizes, tensors = _other_batch(self._example, self.tensors)
        encodings = self._encodings(tensors)
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
        self, name: str, value: object, other: object, names: Mapping[int, str], feature: str | None
    ) -> Output:
        """An output, from its values for two batches and the names of the dimensions of the second."""
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

    def _encodings(self, tensors: tuple[Tensor, ...]) -> dict[Column | str, Encoding]:
        remaining = iter(tensors)
        return {
            each.source: each.encoding(list(itertools.islice(remaining, len(each.tensors))))
            for each in self.inputs
        }


def export_program(
    module: nn.Module, example: list[Tensor], tensors: list[TensorSpec]
) -> torch.export.ExportedProgram:
    """Traces a module to a graph in which the named dimensions of its inputs may have any size.

    Args:
        module: Takes the tensors.
        example: The tensors of some batch.
        tensors: Their names, dtypes and shapes.

    Raises:
        ValueError: It cannot be traced.
    """
    sizes, inputs = _other_batch(example, tensors)
    dimensions = {
        name: torch.export.Dim(name if name.isidentifier() else f"dimension_{number}")
        for number, name in enumerate(sizes)
    }
    dynamic = tuple(
        {
            place: dimensions[size]
            for place, size in enumerate(tensor.shape)
            if isinstance(size, str)
        }
        for tensor in tensors
    )
    try:
        with torch.no_grad(), _named_arguments(module, len(inputs)):
            return torch.export.export(module, inputs, dynamic_shapes=dynamic, strict=False)
    except Exception as error:
        raise ValueError(
            f"The model cannot be traced for an export ({str(error).strip().partition(chr(10))[0]}). What model_fn and "
            "normalizer_fn compute may depend on values only through operations of torch, and on the number of rows "
            "only through shapes: write x.shape[0] and not len(x), torch.where and not if."
        ) from error


@contextlib.contextmanager
def _named_arguments(module: nn.Module, count: int) -> Iterator[None]:
    """Names the arguments `*tensors` of a module; torch 2.9 needs the names for its checks of shapes."""
    forward = module.forward

    @functools.wraps(forward)
    def named(*tensors: Tensor) -> object:
        return forward(*tensors)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(f"tensors_{number}", kind) for number in range(count)]
    named.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    module.forward = named
    try:
        yield
    finally:
        del module.forward


def _other_batch(
    example: list[Tensor], tensors: list[TensorSpec]
) -> tuple[dict[str, int], tuple[Tensor, ...]]:
    """A batch in which each named dimension has a size that no dimension of the example has.

    The tracer treats equal sizes as one dimension and a size of 1 as a constant, so sizes are distinct and above 1. The
    number of steps only grows, since lengths must not exceed it.

    Returns:
        The sizes by name, and the tensors.
    """
    named = [
        (name, size)
        for tensor, spec in zip(example, tensors, strict=True)
        for name, size in zip(spec.shape, tensor.shape, strict=True)
        if isinstance(name, str)
    ]
    least = max([2, *(size + 1 for _, size in named)])
    names = sorted({name for name, _ in named})
    sizes = {name: least + number for number, name in enumerate(names)}
    resized = (
        _resized(tensor, [size if isinstance(size, int) else sizes[size] for size in spec.shape])
        for tensor, spec in zip(example, tensors, strict=True)
    )
    return sizes, tuple(resized)


def _resized(tensor: Tensor, shape: list[int]) -> Tensor:
    """A tensor of another shape, with values of the tensor."""
    if not tensor.numel():
        return tensor.new_zeros(shape)
    for place, size in enumerate(shape):
        tensor = tensor.index_select(place, torch.arange(size) % tensor.shape[place])
    return tensor


class _Tensors(nn.Module):
    """The parameters and buffers of a module, without its children.

    The tracer finds tensors by attribute names, and the children of column layers may have names that are not
    attributes.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._parameters = module._parameters
        self._buffers = module._buffers


class _TracedFeatures(Features):
    """A batch of encodings without raw features."""

    def __init__(
        self,
        keys: tuple[str, ...],
        encodings: Mapping[Column | str, Encoding],
        text: Mapping[str, FeatureText],
    ) -> None:
        super().__init__(dict.fromkeys(keys))
        self.allows_stacking = False
        self._encodings = encodings
        self._text = text

    @property
    def batch_size(self) -> int:
        """The number of rows, a symbol while the model is traced."""
        for encoding in self._encodings.values():
            if isinstance(encoding, Ids | PaddedIds | PaddedSteps):
                return encoding.values.shape[0]
            assert isinstance(encoding, Tensor)
            return encoding.shape[0]
        return 0

    def expect(self, columns: Iterable[Column]) -> None:
        """Nothing is left to do."""

    def encoded(self, column: Column) -> Any:
        """The encoding. The model computes columns that depend on other columns."""
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
    """The error of a model_fn that needs text."""
    keys = " and ".join(map(repr, text))
    return (
        f"model_fn reads the feature {keys} itself, which is text and can only be given back as it is by an exported "
        f"model ({error}): give it to a categorical column, or among the predictions without a change."
    )


def _of_array(name: str, value: object) -> str:
    """The error for an answer that is not the result of a torch operation."""
    if is_text(value):
        return (
            f"The answer {name!r} is text that model_fn makes, which an exported model cannot: give a feature that is "
            "text as it is, or torchest.export.indexed_strings(indices, vocabulary), which picks strings from a list."
        )
    return (
        f"The answer {name!r} is a {type(value).__name__}, which an exported model cannot make: compute it with "
        "operations of torch."
    )


def _tensor(value: object) -> Tensor:
    if isinstance(value, IndexedStrings):
        return value.indices
    assert isinstance(value, Tensor)
    return arrays.in_numpy_dtype(value)
