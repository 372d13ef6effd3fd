"""Restricts the namespaces of modules to public names, with the answer for misspelt names and names of TensorFlow."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import TYPE_CHECKING

from torchest.errors import suggest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

_PLACES = (
    "torchest",
    "torchest.experimental",
    "torchest.export",
    "torchest.columns",
    "torchest.inputs",
    "torchest.distributed",
)
_LIKE = {
    ".columns": "tf.feature_column",
    ".distributed": "tf.distribute",
    ".inputs": "tf.data",
    ".optimizers": "tf.keras.optimizers",
}


def namespace(
    module: str, public: Sequence[str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """The functions `__getattr__` and `__dir__` of a module that shows only its public names.

    Args:
        module: The module's `__name__`.
        public: Its `__all__`.
    """

    def get_attribute(name: str) -> object:
        if name.startswith("__") or is_submodule(module, name):  # Python itself may have asked
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        raise no_attribute(module, name, public)

    return get_attribute, lambda: list(public)


def is_submodule(package: str, name: str) -> bool:
    """Whether a package has a module of this name, imported or not."""
    is_package = hasattr(sys.modules[package], "__path__")
    return is_package and importlib.util.find_spec(f"{package}.{name}") is not None


def no_attribute(module: str, name: str, public: Sequence[str]) -> AttributeError | ImportError:
    """The error to raise in the `__getattr__` of a module: what takes the place of a name that is not there.

    Args:
        module: The module's `__name__`.
        name: The missing name.
        public: Its public names.
    """
    caller = sys._getframe(2)
    is_import, names = _read_by(caller, name)
    message = f"module {module!r} has no attribute {name!r}.{_way_out(module, names, public)}"
    # Python replaces the message of an AttributeError in `from module import name`
    return ImportError(message, name=module) if is_import else AttributeError(message)


def _read_by(caller: FrameType, name: str) -> tuple[bool, list[str]]:
    """Whether a caller imports a name, and the dotted name that it reads, such as `train.AdamOptimizer`."""
    import dis

    is_import, names = False, [name]
    for each in dis.get_instructions(caller.f_code):
        if each.offset == caller.f_lasti:
            is_import = each.opname == "IMPORT_FROM"
        elif each.offset > caller.f_lasti and each.opname != "EXTENDED_ARG":
            if each.opname not in ("LOAD_ATTR", "LOAD_METHOD"):
                break
            names.append(each.argval)
    return is_import, names


def _way_out(module: str, names: Sequence[str], public: Sequence[str]) -> str:
    from torchest.utils.tensorflow_names import sentence, sentence_by_end

    known = _tensorflow_module(module)
    name = names[0]
    plain = name.removesuffix("V2").removesuffix("V1")
    answer = sentence(".".join([known, *names]), known)
    if not answer and plain != name and plain in public:
        answer = f"It is called {plain}."
    if not answer:
        answer = _elsewhere(module, plain) or sentence_by_end(name)
    near = suggest(name, public)
    return f" {answer}{near if 'Did you mean' in near else ''}" if answer else near


def _tensorflow_module(module: str) -> str:
    """The module of TensorFlow that a module of torchest is like."""
    inner = module.removeprefix("torchest").removeprefix(".v1")
    return _LIKE.get(inner, f"tf{inner}")


def _elsewhere(module: str, name: str) -> str:
    for place in _PLACES:
        if place != module and name in importlib.import_module(place).__all__:
            return f"It is {place}.{name}."
    return ""
