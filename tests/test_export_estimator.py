"""Exported estimators: the directory, its signatures, and the answers of each of its files."""

from __future__ import annotations

import json
import logging
import os
import shutil

import numpy as np
import pytest
import torch

import torchest
from torchest import columns, heads
from torchest.columns import FixedLenFeature, VarLenFeature
from torchest.inputs.example_proto import __name__ as _  # noqa: F401
