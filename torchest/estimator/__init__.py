"""The names of torchest under TensorFlow's module name, `tf.estimator`.

    import torchest as tf

    model = tf.estimator.DNNClassifier([16], [tf.feature_column.numeric_column("age")])

`estimator.export`, `estimator.inputs` and `estimator.experimental` are the modules of torchest of these names. The
defaults are those of TensorFlow 2; `torchest.v1.estimator` has those of TensorFlow 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torchest import experimental as experimental
    from torchest.api import *  # noqa: F403
    from torchest.api import __all__ as __all__
else:  # imported when they are used, as the modules of these names import from this package

    def __getattr__(name: str) -> object:
        from torchest.utils.namespaces import is_submodule, no_attribute

        if (name.startswith("__") and name != "__all__") or is_submodule(__name__, name):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        public = _public()
        globals().update(public, __all__=sorted(public))
        if name in globals():
            return globals()[name]
        raise no_attribute(__name__, name, sorted(public))

    def __dir__() -> list[str]:
        return sorted(_public())

    def _public() -> dict[str, object]:
        """All names of `torchest.api` but its modules, and the modules that tf.estimator has."""
        from types import ModuleType

        from torchest import api, experimental, export, inputs

        names = {name: getattr(api, name) for name in api.__all__ if not name.startswith("_")}
        names = {key: value for key, value in names.items() if not isinstance(value, ModuleType)}
        return {**names, "experimental": experimental, "export": export, "inputs": inputs}
