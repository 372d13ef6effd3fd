"""The base of column layers: a module whose children may have any name."""

from __future__ import annotations

import operator
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch.nn.modules.module import _IncompatibleKeys

_hooks_of = operator.attrgetter(
    "_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"
)


class Parts(nn.Module):
    """A module whose children may have any name, including `type`, `training` and `a.b`, which torch forbids.

    Of torch, only the strict check of `load_state_dict` splits names at dots; here it uses whole names.

    >>> layer = Parts()
    >>> layer.add_part("a.b", nn.Linear(1, 1, bias=False))
    >>> [name for name, _ in layer.named_parameters()]
    ['a.b.weight']
    >>> layer.load_state_dict(layer.state_dict())
    <All keys matched successfully>
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_load_state_dict_post_hook(_keep_known_names)  # type: ignore[no-untyped-call]

    def add_part(self, name: str, part: nn.Module) -> None:
        """Adds a module; its parameters are called `<name>.<parameter>`."""
        self._modules[name] = part

    def part(self, name: str) -> nn.Module:
        """The module of that name."""
        module = self._modules[name]
        assert module is not None
        return module

    def __setattr__(self, name: str, value: Any) -> None:
        # What is its own (`training`, `_groups`) stays beside a part of that name; torch would take it for a part.
        own = self.__dict__
        is_own = (name in own or name.startswith("_")) and not isinstance(value, nn.Module | Tensor)
        if is_own and name in own.get("_modules", ()):
            own[name] = value
        else:
            super().__setattr__(name, value)

    def _load_from_state_dict(
        self, state_dict: Mapping[str, object], prefix: str, *rest: object, **more: object
    ) -> None:
        self._prefix = prefix  # a hook after loading is not told
        super()._load_from_state_dict(state_dict, prefix, *rest, **more)


def has_global_hooks() -> bool:
    """Whether torch calls functions of the user for every module."""
    has_any: bool = nn.modules.module._has_any_global_hook()  # type: ignore[no-untyped-call]
    return has_any


def have_hooks(modules: Iterable[nn.Module]) -> bool:
    """Whether one of the modules has hooks, so that it has to be called."""
    if has_global_hooks():
        return True
    modules = list(modules)  # in each step, for each column: without a loop of Python
    of_each: Iterable[Any] = map(_hooks_of, modules)
    return any(chain.from_iterable(of_each)) or any(
        map(operator.contains, map(vars, modules), repeat("forward"))
    )


class PartsAsFound:
    """Parts of a layer without hooks, and their weights. Whether they are still so is told in a few microseconds.

    Args:
        layer: The layer.
        names: The names of the parts.
    """

    def __init__(self, layer: Parts, names: Iterable[str]) -> None:
        self._modules = layer._modules
        self._names = tuple(names)
        self._parts = list(map(layer.part, self._names))
        self._types = list(map(type, self._parts))
        self._own = list(map(vars, self._parts))
        self._parameters = [part._parameters for part in self._parts]
        self._weights = self._weights_now()
        self._hooks = list(chain.from_iterable(map(_hooks_of, self._parts)))

    def are_there(self) -> bool:
        """Whether the layer has these parts, with the same weights and without hooks."""
        return (
            list(map(self._modules.get, self._names)) == self._parts
            and list(map(type, self._parts)) == self._types
            and all(map(operator.is_, self._weights_now(), self._weights))
            and not any(self._hooks)
            and not any(map(operator.contains, self._own, repeat("forward")))
            and not has_global_hooks()
        )

    def _weights_now(self) -> list[Tensor | None]:
        return list(map(dict.get, self._parameters, repeat("weight")))


def _keep_known_names(layer: Parts, incompatible: _IncompatibleKeys) -> None:
    """Removes the layer's names from torch's list of unexpected keys."""
    known = {layer._prefix + name for name in layer.state_dict()}
    unexpected = incompatible.unexpected_keys
    unexpected[:] = [name for name in unexpected if name not in known]
