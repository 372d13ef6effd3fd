"""The ONNX model of a traced program. Programs that differ only in their weights share a translation.

`train_and_evaluate` exports the same graph many times, and torch spends most of an export on building its table of
operators and decomposing the graph, which does not depend on the values of weights. The optimizer folds constants, so
it runs on every export.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import warnings
from collections import OrderedDict
from typing import TYPE_CHECKING

import onnx_ir as ir
import torch
from torch import Tensor

from torchest.export.onnx.nodes import OPSETS
from torchest.export.onnx.recurrent import recurrent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MOST_TRANSLATIONS = 8  # an export has one or two programs for each of its modes
_OPERATORS = ("aten", "prims", "torchest")  # users' own may change under their names

_translations: OrderedDict[str, ir.Model] = OrderedDict()  # without weights, the newest one last


def of_program(program: torch.export.ExportedProgram) -> ir.Model:
    """The ONNX model of a program, translated by torch."""
    tensors = {
        name: value
        for name, value in (*program.state_dict.items(), *program.constants.items())
        if isinstance(value, Tensor)
    }
    key = _fingerprint(program, tensors)
    with quiet():
        translation = _translations.pop(key, None) or _translated(program)
        if _is_fixed_by_text(program) and _holds_only_weights(translation, tensors):
            _keep(key, translation)
            translation = _with_weights(translation, tensors)
        made = torch.onnx.ONNXProgram(translation, None)
        made.optimize()
    model: ir.Model = made.model
    return model


def _translated(program: torch.export.ExportedProgram) -> ir.Model:
    """The model before the optimizer."""
    try:
        made = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSETS[""],
            verbose=False,
            optimize=False,
            custom_translation_table={torch.ops.torchest.recurrent.default: recurrent},
        )
    except torch.onnx.OnnxExporterError as error:
        raise ValueError(
            f"ONNX has no operator for something that the model computes ({_reason(error)}): compute it with other "
            "operations of torch, or export with formats=('torchscript',)."
        ) from error
    assert made is not None
    model: ir.Model = made.model
    return model


def _reason(error: BaseException) -> str:
    """The first sentence of the original error."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).strip().partition("\n")[0].partition(". ")[0]


def _keep(key: str, translation: ir.Model) -> None:
    """Caches a translation without its weights, which may be large."""
    for value in translation.graph.initializers.values():
        value.const_value = None
    _translations[key] = translation
    while len(_translations) > _MOST_TRANSLATIONS:
        _translations.popitem(last=False)


def _with_weights(translation: ir.Model, tensors: Mapping[str, Tensor]) -> ir.Model:
    """A copy of a translation with the values of tensors."""
    model = translation.clone()
    for name, value in model.graph.initializers.items():
        value.const_value = ir.tensor_adapters.TorchTensor(tensors[name], name=name)
    return model


def _holds_only_weights(translation: ir.Model, tensors: Mapping[str, Tensor]) -> bool:
    """Whether all tensors of a translation are tensors of the program, unchanged and under the same names."""
    return all(
        name in tensors
        and (value.const_value is None or getattr(value.const_value, "raw", None) is tensors[name])
        for name, value in translation.graph.initializers.items()
    )


def _is_fixed_by_text(program: torch.export.ExportedProgram) -> bool:
    """Whether a program has neither subgraphs, such as branches, nor operators that a user may redefine."""
    return all(
        node.op != "get_attr" and getattr(node.target, "namespace", "aten") in _OPERATORS
        for node in program.graph.nodes
    )


def _fingerprint(program: torch.export.ExportedProgram, tensors: Mapping[str, Tensor]) -> str:
    """A hash of everything that a translation depends on.

    The text of the graph has operators, arguments, shapes, strides, dtypes and devices. It lacks the sizes that the
    graph was traced with, the values of constants, and which weights share storage.
    """
    graph = program.graph_module.print_readable(
        print_output=False, include_stride=True, include_device=True
    )
    first: dict[int, str] = {}
    described = []
    for name, tensor in tensors.items():
        shared_with = first.setdefault(tensor.untyped_storage().data_ptr(), name)
        described.append((name, type(tensor), tensor.requires_grad, shared_with))
    sizes = [value.shape for value in program.example_inputs[0]]
    rest = program.graph_signature, program.range_constraints, torch.get_default_dtype()
    hashed = hashlib.sha256(repr((graph, described, sizes, *rest)).encode())
    for name in program.constants:
        if name in tensors:
            content = tensors[name].detach().cpu().contiguous().flatten().view(torch.uint8)
            hashed.update(content.numpy().data)
    return hashed.hexdigest()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silences messages of torch and the converters about their internals."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
