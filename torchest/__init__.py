"""Estimators for PyTorch: train, evaluate, predict and export behind one object.

    import torchest as tf            # for programs that use tf.estimator of TensorFlow 2
    import torchest.v1 as tf         # for those that use that of TensorFlow 1

The public names are in `torchest.api`, which is imported when one of them is first used. So the command line can check
an exported model where torch is not installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchest.version import __version__  # noqa: F401

if TYPE_CHECKING:
    from torchest import estimator as estimator
    from torchest import experimental as experimental
    from torchest import heads as heads
    from torchest import losses as losses
    from torchest import models as models
    from torchest import summary as summary
    from torchest import v1 as v1
    from torchest.api import *  # noqa: F403
    from torchest.api import __all__ as __all__
else:  # a type checker that saw __getattr__ would accept any name

    def __getattr__(name: str) -> object:
        from torchest.utils.namespaces import is_submodule, no_attribute

        if name.startswith("__") and name != "__all__":  # what Python asks of every module
            raise AttributeError(f"module 'torchest' has no attribute {name!r}")
        import importlib

        from torchest.collector import collector_paused

        with collector_paused():
            if is_submodule("torchest", name):
                return importlib.import_module(f"torchest.{name}")
            api = importlib.import_module("torchest.api")
        globals().update({public: getattr(api, public) for public in api.__all__})
        if name in ("__all__", *api.__all__):
            return getattr(api, name)
        raise no_attribute("torchest", name, api.__all__)

    def __dir__() -> list[str]:
        from torchest.api import SUBMODULES, __all__

        return [*__all__, *SUBMODULES]
