"""Where a TensorFlow checkpoint lies: beside a path, in a directory with a list of checkpoints, or in a SavedModel."""

from __future__ import annotations

import re

from torchest.errors import DamagedCheckpointError
from torchest.utils import files

_LIST = "checkpoint"
_NEWEST = re.compile(rb'^model_checkpoint_path:\s*"((?:[^"\\\n]|\\.)*)"', re.MULTILINE)
_ESCAPED = re.compile(rb"\\([0-7]{1,3}|.)")
_ABSOLUTE = re.compile(r"/|\\|[A-Za-z]:|[a-z0-9]+://")
_INDEX = ".index"


def tensorflow_checkpoint(path: str) -> str | None:
    """The path of a TensorFlow checkpoint, without `.index`; None if there is none.

    Args:
        path: A checkpoint, with or without `.index`; a directory with a list of checkpoints that TensorFlow wrote, for
            its newest; or a SavedModel.

    Raises:
        DamagedCheckpointError: The list names a checkpoint that is not there.
        RefusedFileError: The list names one outside of the directory.
    """
    prefix = path.removesuffix(_INDEX)
    if files.is_file(f"{prefix}{_INDEX}"):
        return prefix
    names = files.names_in(path)
    if "saved_model.pb" in names or "saved_model.pbtxt" in names:
        return files.join(path, "variables", "variables")
    return _newest(path) if _LIST in names else None


def _newest(directory: str) -> str | None:
    """The newest checkpoint in the list of a directory; None if TensorFlow did not write the list."""
    match = _NEWEST.search(files.read_bytes(files.join(directory, _LIST)))
    if match is None:
        return None
    written = _ESCAPED.sub(_unescaped, match[1]).decode(errors="replace")
    # a directory with absolute paths in its list may have been moved
    name = re.split(r"[/\\]", written)[-1] if _ABSOLUTE.match(written) else written
    prefix = files.inside(directory, name)
    if files.is_file(f"{prefix}{_INDEX}"):
        return prefix
    listed = f"{files.join(directory, _LIST)!r} names the checkpoint {written!r}"
    if files.is_file(prefix):
        raise DamagedCheckpointError(
            f"{listed}, which is of TensorFlow's first format (V1): write it with "
            "tf.compat.v1.train.Saver(write_version=tf.compat.v1.train.SaverDef.V2)."
        )
    raise DamagedCheckpointError(
        f"{listed}, but there is no {prefix + _INDEX!r}: copy all files of the checkpoint, or give the path of another "
        "one."
    )


def _unescaped(match: re.Match[bytes]) -> bytes:
    escaped = match[1]
    return bytes([int(escaped, 8) & 0xFF]) if escaped.isdigit() else escaped
