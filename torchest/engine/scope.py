"""`get_or_create`: objects that a model_fn makes once and uses on every batch.

    def model_fn(features, labels, mode):
        net = torchest.get_or_create("net", lambda: torch.nn.Linear(1, 5))
        ...

A `Scope` holds the objects of one model. The loop makes it active while it calls model_fn. The first call is the
creation pass: it runs on the first batch only to make the objects, and its effects on buffers and random state are
undone.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from torchest.columns.layers.stored_parameters import dissolve_banks, stored_parameters
from torchest.errors import suggest
from torchest.optimizers.resolve import is_without_parameters
from torchest.utils.checks import shown
from torchest.utils.random_state import random_state, set_random_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import Tensor

    from torchest.columns.layers.stored_parameters import StoredParameter

T = TypeVar("T")
_active: ContextVar[Scope] = ContextVar("torchest_scope")


def get_or_create(name: str, factory: Callable[[], T]) -> T:
    """The object called `name` of the running model; made by `factory` on the first call.

    Use it for everything that outlives a batch: modules, optimizers, schedulers, and other objects with `state_dict`
    and `load_state_dict`. Every checkpoint has the object under its name. Modules are moved to the device of the model,
    so make an optimizer from the module that this function returns.

    Args:
        name: A name that is unique in the model, and does not start with another name and a dot.
        factory: Makes the object, without arguments.

    Returns:
        The result of `factory`, the same object on every call; if that is an optimizer of torchest without parameters,
        such as `optimizers.Adam(learning_rate=0.01)`, one with the parameters of all modules made so
        far that are not frozen.

    Raises:
        RuntimeError: Called outside a model_fn, or for a new name after the first batch.
        ValueError: The name starts with another one and a dot, or is used with two factories.
        TypeError: `factory` cannot be called, or its result has no `state_dict`.
    """
    scope = active_scope(f"get_or_create({name!r})")
    if scope._creation is None and type(name) is str and name in scope.objects:
        made: T = scope.objects[name]
        return made
    return scope.get_or_create(name, factory)


def active_scope(call: str) -> Scope:
    """The scope of the running model.

    Args:
        call: What needs it, for the error.

    Raises:
        RuntimeError: No model_fn is running.
    """
    try:
        return _active.get()
    except LookupError:
        raise RuntimeError(
            f"{call} was called outside a model_fn: it works only while an estimator runs a model_fn. Elsewhere, make "
            "the object directly."
        ) from None


class Scope:
    """The objects of one model by name, on one device.

    Args:
        device: The device of modules.
        training: Whether modules are in training mode.
    """

    def __init__(self, device: torch.device, *, training: bool) -> None:
        self.objects: dict[str, Any] = {}
        self._device = device
        self._training = training
        self._creation: _Creation | None = None
        self._lock = threading.RLock()

    def call(self, function: Callable[..., T], *arguments: object) -> T:
        """Calls a function in which `get_or_create` finds this scope."""
        token = _active.set(self)
        try:
            return function(*arguments)
        finally:
            _active.reset(token)

    @contextlib.contextmanager
    def creating(self) -> Iterator[None]:
        """The creation pass: a context in which new objects are made, and all other effects are undone."""
        with self._lock:
            self._creation = _Creation(self._device, keeps_random_numbers=self._training)
            try:
                yield
            finally:
                creation, self._creation = self._creation, None
                creation.undo_effects()

    def get_or_create(self, name: str, factory: Callable[[], T], origin: object = None) -> T:
        """See the function of this name.

        Args:
            name: The name.
            factory: Makes the object.
            origin: What identifies the factory in the creation pass. None: its code.
        """
        if self._creation is not None or not isinstance(name, str):
            self._check_name(name, factory)
        if self._creation is not None and self._creation.is_here():
            self._creation.check_factory(name, origin or _origin(factory))
        if name in self.objects:
            existing: T = self.objects[name]
            return existing
        self._check_prefixes(name)
        if self._creation is None:
            raise RuntimeError(
                f"get_or_create({name!r}) came after the first batch: every object has to be made the first "
                f"time model_fn runs, since checkpoints are restored right after it.{suggest(name, self.objects)}"
            )
        with self._creation.factory_running(), torch.enable_grad():
            made: Any = factory()
            if is_without_parameters(made):
                made = made.with_parameters(self._parameters(name))
        if not hasattr(made, "state_dict") or not hasattr(made, "load_state_dict"):
            raise TypeError(
                f"get_or_create({name!r}): its factory made a {type(made).__name__}, which has no state_dict: it "
                "could not be kept in a checkpoint. Make an nn.Module, an optimizer or another object with state_dict "
                "and load_state_dict."
            )
        if isinstance(made, nn.Module):
            _move(made, self._device)
            made.train(self._training)
            self._creation.watch(made)
        self.objects[name] = made
        finished: T = made
        return finished

    def modules(self) -> dict[str, nn.Module]:
        """The modules among the objects."""
        return {name: made for name, made in self.objects.items() if isinstance(made, nn.Module)}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """The optimizers among the objects."""
        return {
            name: made
            for name, made in self.objects.items()
            if isinstance(made, torch.optim.Optimizer)
        }

    def schedulers(self) -> dict[str, LRScheduler]:
        """The learning-rate schedulers among the objects.

        Raises:
            TypeError: One follows a metric.
        """
        schedulers = {
            name: made for name, made in self.objects.items() if isinstance(made, LRScheduler)
        }
        for name, scheduler in schedulers.items():
            if isinstance(scheduler, ReduceLROnPlateau):
                raise TypeError(
                    f"get_or_create({name!r}) made a ReduceLROnPlateau, which follows a metric, and a training step "
                    "has none of an evaluation: use a scheduler that follows the number of steps."
                )
        return schedulers

    def stored_parameters(self) -> dict[int, list[StoredParameter]]:
        """The stored parameters of each parameter of the modules, by its `id`."""
        stored: dict[int, list[StoredParameter]] = {}
        for name, module in self.modules().items():
            of_module: dict[int, list[StoredParameter]] = {
                id(parameter): [] for parameter in module.parameters()
            }
            for each in stored_parameters(module):
                named = each._replace(name=f"{name}.{each.name}")
                of_module[id(each.parameter)].append(named)
            for parts in of_module.values():
                parts.sort(key=lambda part: part.rows.start if part.rows else 0)
            stored.update(of_module)
        return stored

    def _parameters(self, name: str) -> list[nn.Parameter]:
        """The parameters of all modules made so far that are not frozen, each once."""
        parameters = dict.fromkeys(
            parameter
            for module in self.modules().values()
            for parameter in module.parameters()
            if parameter.requires_grad
        )
        if not parameters:
            raise ValueError(
                f"get_or_create({name!r}) made an optimizer without parameters before any module that has some: make "
                "the modules first."
            )
        return list(parameters)

    @staticmethod
    def _check_name(name: str, factory: object) -> None:
        if not isinstance(name, str) or not name:
            raise TypeError(
                f"get_or_create: name={shown(name)} must be a string that is not empty."
            )
        if not callable(factory):
            raise TypeError(
                f"get_or_create({name!r}): factory must be a function that makes the object, not a "
                f"{type(factory).__name__}. Write `lambda: ...` around it, so that it is made only once."
            )

    def _check_prefixes(self, name: str) -> None:
        for other in self.objects:
            if name.startswith(f"{other}.") or other.startswith(f"{name}."):
                raise ValueError(
                    f"get_or_create({name!r}): there is {other!r} too, and one name starts with the other and a dot, "
                    "so their tensors would clash in a checkpoint. Use '_' for the dot."
                )


class _Creation:
    """Restores the buffers and the random state after a creation pass.

    Factories draw random numbers one after the other as if nothing ran between them; the draws of the rest of model_fn
    are undone. So training has the initial weights and the random numbers of a plain script with the same seed. A model
    that is not for training undoes all draws.
    """

    def __init__(self, device: torch.device, *, keeps_random_numbers: bool) -> None:
        self._device = device
        self._factories = self._before = random_state(device)
        self._keeps_random_numbers = keeps_random_numbers
        self._buffers: list[tuple[Tensor, Tensor]] = []
        self._origins: dict[str, object] = {}
        self._thread = threading.get_ident()

    @contextlib.contextmanager
    def factory_running(self) -> Iterator[None]:
        outside = random_state(self._device)
        set_random_state(self._device, self._factories)
        try:
            yield
        finally:
            self._factories = random_state(self._device)
            set_random_state(self._device, outside)

    def is_here(self) -> bool:
        """Whether this thread creates the model; other threads may use it in another mode."""
        return threading.get_ident() == self._thread

    def check_factory(self, name: str, origin: object) -> None:
        """Raises if one name is used with two factories."""
        if self._origins.setdefault(name, origin) is not origin:
            raise ValueError(
                f"get_or_create({name!r}) was called with two factories: it would return the first object for both. "
                "Use another name for the second. To share an object, call get_or_create once."
            )

    def watch(self, module: nn.Module) -> None:
        self._buffers.extend((buffer, buffer.clone()) for buffer in module.buffers())

    def undo_effects(self) -> None:
        set_random_state(
            self._device, self._factories if self._keeps_random_numbers else self._before
        )
        with torch.no_grad():
            for buffer, before in self._buffers:
                buffer.copy_(before)


def _origin(factory: object) -> object:
    """A value that identifies a factory, the same for a lambda on each call."""
    while isinstance(factory, functools.partial):
        factory = factory.func
    return getattr(factory, "__code__", factory if isinstance(factory, type) else type(factory))


def _move(module: nn.Module, device: torch.device) -> None:
    """Moves a module; shared parameters stay shared, also on XLA, where moving makes new ones."""
    if device.type == "xla":  # which would compile the joint look-up of each batch, and each slice
        dissolve_banks(module)
    places: dict[int, list[tuple[nn.Module, str]]] = {}
    for part in module.modules():
        for name, parameter in part.named_parameters(recurse=False, remove_duplicate=False):
            places.setdefault(id(parameter), []).append((part, name))
    module.to(device)
    for (owner, own_name), *sharing in places.values():
        for part, name in sharing:
            setattr(part, name, getattr(owner, own_name))


@contextlib.contextmanager
def evaluating(modules: Iterable[nn.Module]) -> Iterator[None]:
    """A context in which modules are in evaluation mode; afterwards each part has its former mode."""
    modules = list(modules)
    # a submodule may be called "training" and hide the attribute
    modes = [(part, vars(part)["training"]) for module in modules for part in module.modules()]
    for module in modules:
        module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            vars(part)["training"] = mode
