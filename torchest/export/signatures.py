"""The outputs of an exported model, and its signatures.

>>> import torch
>>> from torchest.export_outputs import PredictOutput, RegressionOutput
>>> price = torch.tensor([[2.5]])
>>> outputs, signatures = name_outputs(
...     {"predict": PredictOutput({"price": price}), "regression": RegressionOutput(price)}
... )
>>> outputs
{'price': tensor([[2.5000]])}
>>> signatures["regression"]
Signature(method='regression', outputs={'outputs': 'price'})
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torchest.export_outputs import PREDICT, SERVING_DEFAULT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torchest.export_outputs import ExportOutput


@dataclass(frozen=True)
class Signature:
    """A signature.

    Attributes:
        method: "classification", "regression" or "predict".
        outputs: The name of each output in the model, by its name in the signature.
    """

    method: str
    outputs: dict[str, str]


def name_outputs(
    export_outputs: Mapping[str, ExportOutput],
) -> tuple[dict[str, object], dict[str, Signature]]:
    """Names the outputs of a model. An output that several signatures share gets one name.

    Outputs of "predict", or else of the default signature, keep their names; others of the same name are named
    "<signature>/<name>".

    Args:
        export_outputs: The export outputs of an `EstimatorSpec`.

    Returns:
        The outputs by name, and the signatures by name.
    """
    outputs: dict[str, object] = {}
    name_of: dict[int, str] = {}
    signatures: dict[str, Signature] = {}
    for signature in sorted(export_outputs, key=_precedence):
        output = export_outputs[signature]
        named: dict[str, str] = {}
        for key, value in output.named().items():
            if id(value) not in name_of:
                name = key if key not in outputs else f"{signature}/{key}"
                outputs[name], name_of[id(value)] = value, name
            named[key] = name_of[id(value)]
        signatures[signature] = Signature(output.method, named)
    return outputs, signatures


def _precedence(signature: str) -> tuple[int, str]:
    first = (PREDICT, SERVING_DEFAULT)
    return (first.index(signature) if signature in first else len(first), signature)
