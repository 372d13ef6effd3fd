"""Receivers, which describe the features of an exported model, and the functions that make them.

Instead of TensorFlow's placeholders, they hold specs (`torchest.columns.FixedLenFeature` or `VarLenFeature`) or example
arrays, of which only dtype and shape matter.

>>> import torch
>>> from torchest.columns.feature_specs import FixedLenFeature
>>> receiver = build_raw_serving_input_receiver_fn({"age": FixedLenFeature((1,), torch.float32)})()
>>> receiver.receiver_tensors
{'age': FixedLenFeature(shape=(1,), dtype=torch.float32, default_value=None)}
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torchest.columns.feature_specs import FixedLenFeature, VarLenFeature
from torchest.exported.golden import RENAMED
from torchest.utils import arrays
from torchest.utils.checks import shown, whole_number

if TYPE_CHECKING:
    from torchest.columns.feature_specs import FeatureSpec

SINGLE_FEATURE = "feature"
SINGLE_LABEL = "label"
EXAMPLES = "examples"
SERIALIZED = (
    "inputs"  # the name of serialized examples in signatures for classification and regression
)


@dataclass(frozen=True, eq=False)
class ServingInputReceiver:
    """The features of a served model.

    Args:
        features: The features of model_fn, by key: specs, or example arrays [batch, ...] as from an input_fn.
        receiver_tensors: The inputs of clients, by name: the objects in `features`, perhaps under other names and
            without dimensions that `spec[:, None]` has added; or a single spec of bytes or text for serialized
            `tf.Example` records, which are parsed by the specs in `features`.
        receiver_tensors_alternatives: Has no effect: every exported model takes raw features too.

    Raises:
        ValueError: A value is missing, or is neither a spec nor an array, or a feature is not among the
            receiver tensors.
    """

    features: object
    receiver_tensors: Any
    receiver_tensors_alternatives: object = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "features", self.by_key)
        _check_receiver(self)

    @property
    def by_key(self) -> dict[str, object]:
        """The features by key; a single one has the key "feature"."""
        return _named(self.features, "features", SINGLE_FEATURE)


@dataclass(frozen=True, eq=False)
class TensorServingInputReceiver:
    """The features of a served model whose model_fn takes a single tensor.

    Args:
        features: The spec of the tensor, or an example of it.
        receiver_tensors: The inputs of clients, by name; see `ServingInputReceiver`.
        receiver_tensors_alternatives: Has no effect.

    Raises:
        ValueError: As for `ServingInputReceiver`; or `features` is a dict.
    """

    features: object
    receiver_tensors: Any
    receiver_tensors_alternatives: object = None

    def __post_init__(self) -> None:
        if isinstance(self.features, Mapping):
            raise ValueError(
                "features is a dict: a TensorServingInputReceiver is for a single tensor. Use ServingInputReceiver."
            )
        _check_receiver(self)

    @property
    def by_key(self) -> dict[str, object]:
        """The tensor by the key "feature"."""
        return _named(self.features, "features", SINGLE_FEATURE)


@dataclass(frozen=True, eq=False)
class SupervisedInputReceiver:
    """The features and labels of a model that an export describes for training or evaluation.

    Args:
        features: The features by key, or a single one: specs or example arrays.
        labels: The labels by key, or a single one.
        receiver_tensors: Features and labels, by name.

    Raises:
        ValueError: A value is missing, or is neither a spec nor an array.
    """

    features: object
    labels: object
    receiver_tensors: Any

    def __post_init__(self) -> None:
        for field, single in (("features", SINGLE_FEATURE), ("labels", SINGLE_LABEL)):
            _named(getattr(self, field), field, single)
        tensors = _named(self.receiver_tensors, "receiver_tensors", "input")
        object.__setattr__(self, "receiver_tensors", tensors)


def build_raw_serving_input_receiver_fn(
    features: Mapping[str, object], default_batch_size: int | None = None
) -> Callable[[], ServingInputReceiver]:
    """Returns a function that makes a receiver of raw features, each by its key.

    Args:
        features: By key a spec (`FixedLenFeature`, `VarLenFeature`), or an example of the feature as from an
            input_fn: [batch, ...] numbers, strings or lists.
        default_batch_size: Has no effect: an exported model answers any number of rows.

    Returns:
        A function for `Estimator.export_saved_model`.

    Raises:
        ValueError: `features` is not a dict of specs or examples, or the batch size is below 1.
    """
    features = _checked_features(features)
    _check_batch_size(default_batch_size)

    def serving_input_receiver_fn() -> ServingInputReceiver:
        return ServingInputReceiver(features, dict(features))

    return serving_input_receiver_fn


def build_parsing_serving_input_receiver_fn(
    feature_spec: Mapping[str, FeatureSpec], default_batch_size: int | None = None
) -> Callable[[], ServingInputReceiver]:
    """Returns a function that makes a receiver of serialized `tf.Example` records, named "examples".

    Args:
        feature_spec: The spec of each feature, by key; see `torchest.columns.make_parse_example_spec`.
        default_batch_size: Has no effect: an exported model answers any number of rows.

    Returns:
        A function for `Estimator.export_saved_model`.

    Raises:
        ValueError: `feature_spec` is not a dict of specs, or the batch size is below 1.
    """
    specs = _checked_features(feature_spec, "feature_spec")
    for key, spec in specs.items():
        if not isinstance(spec, FixedLenFeature | VarLenFeature):
            raise ValueError(
                f"feature_spec[{key!r}] is a {type(spec).__name__}: give a FixedLenFeature or a VarLenFeature, such as "
                "make_parse_example_spec(columns) makes."
            )
    _check_batch_size(default_batch_size)

    def serving_input_receiver_fn() -> ServingInputReceiver:
        return ServingInputReceiver(specs, {EXAMPLES: FixedLenFeature((), bytes)})

    return serving_input_receiver_fn


def build_raw_supervised_input_receiver_fn(
    features: object, labels: object, default_batch_size: int | None = None
) -> Callable[[], SupervisedInputReceiver]:
    """Returns a function that makes a receiver of raw features and labels.

    Args:
        features: Specs or examples by key, or a single one; see `build_raw_serving_input_receiver_fn`.
        labels: Specs or examples by key, or a single one, which is named "label".
        default_batch_size: Has no effect.

    Returns:
        A function for `Estimator.experimental_export_all_saved_models`.

    Raises:
        ValueError: Features and labels have a key in common, or a value is neither a spec nor an array.
    """
    named = _named(features, "features", SINGLE_FEATURE)
    named_labels = _named(labels, "labels", SINGLE_LABEL)
    _check_batch_size(default_batch_size)
    common = sorted(named.keys() & named_labels.keys())
    if common:
        raise ValueError(
            f"features and labels both have {', '.join(map(repr, common))}: give them different keys."
        )

    def supervised_input_receiver_fn() -> SupervisedInputReceiver:
        return SupervisedInputReceiver(features, labels, {**named, **named_labels})

    return supervised_input_receiver_fn


def parses_examples(receiver: ServingInputReceiver | TensorServingInputReceiver) -> bool:
    """Whether clients send serialized examples."""
    sent = list(receiver.receiver_tensors.values())
    if len(sent) != 1 or any(_are_same(sent[0], feature) for feature in receiver.by_key.values()):
        return False
    return (
        isinstance(sent[0], FixedLenFeature) and sent[0].dtype in (str, bytes) and not sent[0].shape
    )


def input_names(receiver: ServingInputReceiver | TensorServingInputReceiver) -> dict[str, str]:
    """The names of features for clients, by key."""
    features = receiver.by_key
    if parses_examples(receiver):
        return {key: key for key in features}
    names = {id(_source(value)): name for name, value in receiver.receiver_tensors.items()}
    return {
        key: key
        if _are_same(receiver.receiver_tensors.get(key), value)
        else names[id(_source(value))]
        for key, value in features.items()
    }


def free_names(names: Mapping[str, str], taken: Collection[str]) -> dict[str, str]:
    """Renames features to `feature_<name>` if they have an empty name or the name of an output.

    Args:
        names: The names of features, by key.
        taken: The names of the model's outputs, and of serialized examples.

    >>> free_names({"age": "age", "logits": "logits", "": ""}, ["logits"])
    {'age': 'age', 'logits': 'feature_logits', '': 'feature_'}
    """
    free = {key: name for key, name in names.items() if name and name not in taken}
    for key, name in names.items():
        if key not in free:
            renamed = f"{RENAMED}{name}"
            while renamed in taken or renamed in free.values():
                renamed = f"{RENAMED}{renamed}"
            free[key] = renamed
    return {key: free[key] for key in names}


def _check_receiver(receiver: ServingInputReceiver | TensorServingInputReceiver) -> None:
    alternatives = receiver.receiver_tensors_alternatives
    if alternatives is not None and not isinstance(alternatives, Mapping):
        raise ValueError(
            f"receiver_tensors_alternatives={shown(alternatives)} must be a dict of receiver tensors by name, or None."
        )
    tensors = _named(receiver.receiver_tensors, "receiver_tensors", "input")
    object.__setattr__(receiver, "receiver_tensors", tensors)
    if parses_examples(receiver):
        return
    sent = {id(_source(value)) for value in tensors.values()}
    for key, value in receiver.by_key.items():
        if id(_source(value)) not in sent:
            raise ValueError(
                f"features[{key!r}]={shown(value)} is not one of the receiver_tensors={shown(tensors)}: clients must "
                "send the features themselves. Compute features from others by a normalizer_fn of a column, or in "
                "model_fn; or let serialized examples be the only receiver tensor."
            )


def _are_same(tensor: object, feature: object) -> bool:
    """Whether a feature is a tensor that clients send, perhaps with dimensions added."""
    return _source(tensor) is _source(feature)


def _source(value: object) -> object:
    return value.source if isinstance(value, FixedLenFeature) else value


def _checked_features(features: object, argument: str = "features") -> dict[str, object]:
    if not isinstance(features, Mapping) or not features:
        raise ValueError(
            f"{argument} is {features!r:.80}: give a dict of specs or example arrays by key, such as "
            "{'age': FixedLenFeature((1,), torch.float32)}."
        )
    return _named(features, argument, SINGLE_FEATURE)


def _named(described: object, what: str, single: str) -> dict[str, object]:
    """Specs or examples by name; `single` is the name of one that has none."""
    if described is None or (isinstance(described, Mapping) and not described):
        raise ValueError(f"{what} is {described!r}: give specs or example arrays by name.")
    named = dict(described) if isinstance(described, Mapping) else {single: described}
    for name, value in named.items():
        if not isinstance(name, str):
            raise ValueError(f"{what} has the key {name!r}: keys must be strings.")
        _check_value(f"{what}[{name!r}]" if isinstance(described, Mapping) else what, value)
    return named


def _check_value(what: str, value: object) -> None:
    if isinstance(value, FixedLenFeature | VarLenFeature):
        return
    try:
        arrays.length(arrays.to_host(value, what))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{what} is {value!r:.80}: give a FixedLenFeature or a VarLenFeature, or an array with one row per example."
        ) from error


def _check_batch_size(value: int | None) -> None:
    if value is not None:
        whole_number("default_batch_size", value, at_least=1)
