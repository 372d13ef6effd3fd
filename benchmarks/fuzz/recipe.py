"""A recipe says how a public callable is called rightly, and what the annotations do not say."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def _as_it_is(result: Any) -> Any:
    return result


@dataclass(frozen=True)
class Recipe:
    """How to call one public callable.

    Attributes:
        arguments: Right arguments by name, made anew for each call.
        function: What is called; by default the public callable itself. A method needs its object.
        then: What is done with the result, for what is only checked when it is used.
        types: Annotations that are more exact than those in the signature.
        aliases: What else a message may call the arguments.
        calls: How many calls are made at most; fewer where one takes long.
    """

    arguments: Callable[[], Mapping[str, Any]] = dict
    function: Callable[[], Callable[..., Any]] | None = None
    then: Callable[[Any], Any] = _as_it_is
    types: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    calls: int = 90

    def annotations(self, function: Callable[..., Any]) -> dict[str, str]:
        """The annotation of each argument, as a string."""
        told = {
            name: getattr(parameter.annotation, "__forward_arg__", parameter.annotation)
            for name, parameter in inspect.signature(function).parameters.items()
        }
        return {
            name: self.types.get(name, text if isinstance(text, str) else "Any")
            for name, text in told.items()
        }
