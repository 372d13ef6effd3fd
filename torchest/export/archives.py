"""Checks archives of torch before torch loads them.

`torch.export.load` runs the pickles of an archive, loads the libraries in it, evaluates its expressions of sizes and
calls the functions that its graph names. So an archive may hold only what torchest's exports consist of: tensors as
bytes, operators on tensors, and arithmetic on sizes.

TorchScript is a language without access to Python, but a few of its operators read and write files. An archive must
not name them.
"""

from __future__ import annotations

import ast
import io
import json
import os
import re
import zipfile
from typing import TYPE_CHECKING

import torch

from torchest.errors import RefusedFileError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torchest.utils.json_form import JSON

_WEIGHTS, _CONSTANTS = "data/weights/", "data/constants/"
_GRAPH = "models/model.json"
_CONFIGS = {
    f"{_WEIGHTS}model_weights_config.json": re.compile(r"weight_\d+"),
    f"{_CONSTANTS}model_constants_config.json": re.compile(r"tensor_\d+"),
}
_PICKLES = ("data/sample_inputs/model.pt", f"{_WEIGHTS}model.pt", f"{_CONSTANTS}model.pt")
_BYTES = re.compile(
    rf"{_WEIGHTS}weight_\d+|{_CONSTANTS}tensor_\d+|archive_(format|version)|\.data/\w+|byteorder|version"
)
_OPERATORS = re.compile(
    r"torch\.ops\.[A-Za-z]\w*\.(?P<name>(?!__)\w+)\.(?!__)\w+"
    r"|torch\.ops\.higher_order\.(cond|map_impl|scan|associative_scan|while_loop|wrap_with_(set_grad_enabled|autocast))"
    r"|torch\.(sym_(float|int|ite|max|min|not|sqrt|sum)|_sym_sqrt)"
    r"|_operator\.(add|sub|mul|truediv|floordiv|mod|pow|neg|pos|eq|ne|lt|le|gt|ge|and_|or_|getitem)"
    r"|math\.(ceil|floor|trunc|sqrt)"
)
_FILE_OPERATORS = {"from_file", "load_tensor", "read_file", "save", "write_file"}
_FUNCTIONS = {
    "Abs", "Add", "And", "CeilDiv", "CeilToInt", "CleanDiv", "Eq", "Equality", "FloorDiv", "FloorToInt", "Ge",
    "GreaterThan", "Gt", "Identity", "IntTrueDiv", "Integer", "Le", "LessThan", "Lt", "Max", "Min", "Mod",
    "ModularIndexing", "Mul", "Ne", "Not", "Or", "Pow", "PowByNatural", "PythonMod", "Rational",
    "StrictGreaterThan", "StrictLessThan", "Symbol", "TruncToInt", "Unequality", "Where", "ceiling", "floor",
}  # fmt: skip
_NODES = (
    *(ast.Expression, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Call, ast.Name, ast.Constant),
    *(ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow),
    *(ast.unaryop, ast.cmpop, ast.Load, ast.Tuple, ast.Subscript, ast.keyword),
)
_EXPRESSION = re.compile(r"[\w .,()\[\]'=<>!+*/%-]*")
_SIZE = re.compile(r"[A-Za-z]\w*|Symbol\('\w+'(, \w+=\w+)*\)")
_SMALL = re.compile(r"-?\d|Integer\(-?\d\)")
_NAME = re.compile(r"[\w.:+<>-]*")
_CONTEXT = re.compile(r"(null|\[[^{}]*\])?")
_LONGEST = 2000  # characters of an expression
_STRUCTURES = {None, "builtins.tuple", "builtins.list", "builtins.dict"}
_TORCHSCRIPT_FILES = re.compile(  # after any prefix, since modules may have other names
    rb"\b(%b)\b" % "|".join(sorted(_FILE_OPERATORS)).encode()
)
_PLAIN_GETATTR = re.compile(  # as torch writes it; other forms could compose a name
    rb"""\bgetattr\((?:(?!getattr)[^"'\\#])*, "[^"\\]*"\)"""
)
_MOST_INFLATED = 1 << 28  # bytes by which the content may exceed the file


def check_program(path: str) -> None:
    """Raises RefusedFileError if loading or using a file of `torch.export.save` would run other code than a model's."""
    with zipfile.ZipFile(path) as archive:  # torch recognizes an older format by this name
        if "version" in archive.namelist():
            _refuse(path, "is in a format of an older torch, which holds pickles")
    reader = _reader(path)
    for name in reader.get_all_records():
        if name in _CONFIGS:
            _check_tensors(path, _json(reader, name), _CONFIGS[name])
        elif name == _GRAPH:
            _check_graph(path, _json(reader, name))
        elif name in _PICKLES:
            _check_pickle(path, name, reader.get_record(name))
        elif not _BYTES.fullmatch(name):
            _refuse(path, f"holds {name!r}, which is not a tensor of the program")


def check_torchscript(path: str) -> None:
    """Raises RefusedFileError if a file of TorchScript names an operator that reads or writes files."""
    reader = _reader(path)
    names = reader.get_all_records()
    if "constants.pkl" not in names:
        _refuse(path, "is in a format of an older torch")
    for name in names:
        lower = name.lower()  # torch ignores the case of names
        if lower.startswith("code/") and not lower.endswith(".debug_pkl"):
            _check_code(path, reader.get_record(name))


def _check_code(path: str, code: bytes) -> None:
    """Raises RefusedFileError if TorchScript names an operator for files, or could compose such a name."""
    named = _TORCHSCRIPT_FILES.search(code)
    replaced = 1
    while replaced:  # the innermost first
        code, replaced = _PLAIN_GETATTR.subn(b"_", code)
    named = named or re.search(b"getattr", code)
    if named is not None:
        _refuse(path, f"names {named[0].decode()!r}, which may read or write files")


def _reader(path: str) -> torch._C.PyTorchFileReader:
    """The reader of torch itself, which sees what torch will load."""
    _check_unpacked(path, path, os.path.getsize(path))
    return torch._C.PyTorchFileReader(path)


def _check_unpacked(path: str, archive: str | io.BytesIO, packed: int) -> None:
    """Raises RefusedFileError if the unpacked size of an archive is far above its `packed` bytes."""
    with zipfile.ZipFile(archive) as records:
        size = sum(record.file_size for record in records.infolist())
    if size > packed + _MOST_INFLATED:
        _refuse(path, f"unpacks to {size:,} bytes")


def _json(reader: torch._C.PyTorchFileReader, name: str) -> JSON:
    described: JSON = json.loads(reader.get_record(name).decode("utf-8"))
    return described


def _check_tensors(path: str, config: JSON, names: re.Pattern[str]) -> None:
    """Raises RefusedFileError unless all tensors are bytes."""
    for name, described in config["config"].items():
        if described["use_pickle"] is not False or not names.fullmatch(described["path_name"]):
            _refuse(path, f"holds {name!r} as a pickle")


def _check_pickle(path: str, name: str, content: bytes) -> None:
    """Raises RefusedFileError unless a pickle makes only tensors."""
    if content.startswith(b"PK"):  # an archive in the archive
        _check_unpacked(path, io.BytesIO(content), len(content))
    try:
        if content:
            torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception:  # unpicklers raise errors of any kind
        _refuse(path, f"holds a pickle, {name!r}, of something else than tensors")


def _check_graph(path: str, graph: object) -> None:
    """Raises RefusedFileError unless a program consists of operators on tensors and arithmetic on sizes."""
    for key, text in _texts(graph):
        if key in ("target", "as_operator"):
            named = _OPERATORS.fullmatch(text)
            if named is None or named["name"] in _FILE_OPERATORS:
                _refuse(path, f"calls {text!r:.80}, which is not an operator on tensors")
        elif key in ("expr_str", "guards_code"):
            if not _is_expression(text):
                _refuse(path, f"has {text!r:.80} as a size, which is not arithmetic")
        elif key in ("in_spec", "out_spec"):
            _check_structure(path, json.loads(text)[1])
        elif key not in ("as_string", "as_strings") and not _NAME.fullmatch(text):
            _refuse(path, f"has something called {text!r:.80}")


def _texts(graph: object) -> Iterator[tuple[str, str]]:
    """The texts in JSON values with their keys, and the keys themselves, except metadata for human readers."""
    waiting = [("", graph)]
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend(("", each) for each in value)
            waiting.extend(item for item in value.items() if not _is_metadata(*item))
        elif isinstance(value, list):
            waiting.extend((key, each) for each in value)
        elif isinstance(value, str):
            yield key, value


def _is_metadata(key: str, value: object) -> bool:
    """Whether a value is torch's notes about a node, and not a tensor named "metadata"."""
    is_text = isinstance(value, dict) and all(isinstance(each, str) for each in value.values())
    return key == "metadata" and is_text


def _is_expression(text: str) -> bool:
    """Whether a text that torch evaluates as Python is arithmetic on sizes."""
    if len(text) > _LONGEST or not _EXPRESSION.fullmatch(text):
        return False
    try:
        return all(map(_is_arithmetic, ast.walk(ast.parse(text, mode="eval"))))
    except SyntaxError:
        return False


def _is_arithmetic(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return type(node.value) in (int, float, bool) or _is_symbol(node.value)
    if isinstance(node, ast.Name):
        return _is_symbol(node.id)
    if isinstance(node, ast.Attribute):
        return node.attr in ("size", "stride", "storage_offset")
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute):
            return not node.args
        name = getattr(node.func, "id", None)
        return name in _FUNCTIONS and ("Pow" not in name or _is_small_power(node.args))
    if isinstance(node, ast.BinOp):
        sides = [node.left, node.right]
        if any(map(_is_sequence, sides)):  # a text times a number may be huge
            return False
        return not isinstance(node.op, ast.Pow) or _is_small_power(sides)
    return isinstance(node, _NODES)


def _is_sequence(node: ast.expr) -> bool:
    return isinstance(node, ast.Tuple) or isinstance(getattr(node, "value", None), str)


def _is_symbol(name: object) -> bool:
    return isinstance(name, str) and name.isidentifier() and not name.startswith("_")


def _is_small_power(arguments: list[ast.expr]) -> bool:
    """Whether it is a small power of a size. A power of two numbers could take forever."""
    base, exponent = map(ast.unparse, arguments)
    return bool(_SIZE.fullmatch(base) and _SMALL.fullmatch(exponent))


def _check_structure(path: str, described: JSON) -> None:
    """Raises RefusedFileError unless inputs or outputs are nested in tuples, lists and dicts only."""
    waiting = [described]
    while waiting:
        each = waiting.pop()
        if each["type"] not in _STRUCTURES or not _CONTEXT.fullmatch(each["context"] or ""):
            _refuse(path, f"makes a {each['type']!r:.80} of its inputs or outputs")
        waiting.extend(each["children_spec"])


def _refuse(path: str, what: str) -> None:
    raise RefusedFileError(
        f"{path!r} is not loaded: it {what}, so loading or running it could execute other code than a model's. Export "
        "the model again; or load the file with torch itself, if you trust who made it."
    )
