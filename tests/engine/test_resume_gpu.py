"""On a CUDA device, too, training that is interrupted goes on as if it had not been."""

from __future__ import annotations

import pytest
import torch

from tests.engine import test_resume as on_cpu

pytestmark = pytest.mark.cuda


@pytest.mark.parametrize("at", [0, 3, 8])
def test_an_interruption_changes_nothing(tmp_path, at):
    torch.manual_seed(1)
    whole = on_cpu.train(tmp_path / "whole")
    torch.manual_seed(1)
    first = on_cpu.train(tmp_path / "resumed", interrupt_at=at)
    second = on_cpu.train(tmp_path / "resumed")
    assert {**first.losses, **second.losses} == whole.losses
    on_cpu.assert_same(tmp_path / "resumed", tmp_path / "whole")
