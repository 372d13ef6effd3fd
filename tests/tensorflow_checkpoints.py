"""The checkpoints that TensorFlow wrote for tests/reference/tf_checkpoints.py."""

from __future__ import annotations

import zipfile
from pathlib import Path

ARCHIVE = Path(__file__).parent / "reference" / "tf_checkpoints.zip"


def unpacked(tmp_path_factory):
    """A folder with all of them."""
    folder = tmp_path_factory.mktemp("tensorflow")
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(folder)
    return folder
