"""Imports a program that is not part of a package, such as an example."""

from __future__ import annotations

import importlib.util


def module_from(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
