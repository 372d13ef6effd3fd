from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from torchest.engine.hooks import Session, SessionRunArgs, SessionRunContext
from torchest.engine.object_state import ObjectState
from torchest.engine.scope import Scope
from torchest.hooks.random_numbers import SeededSteps


@pytest.mark.parametrize(
    "draw",
    [lambda: torch.rand(1).item(), np.random.rand, random.random],
    ids=["torch", "numpy", "python"],
)
def test_a_step_draws_the_same_whatever_came_before(draw):
    scope = Scope(torch.device("cpu"), training=True)
    context = SessionRunContext(SessionRunArgs(None), Session(ObjectState(scope), 4))
    hook = SeededSteps(SimpleNamespace(seed_of_others=9), rank=2)
    drawn = []
    for before in range(3):
        for _ in range(before):
            draw()
        hook.before_run(context)
        drawn.append(draw())
    assert len(set(drawn)) == 1
    context.session.global_step += 1
    hook.before_run(context)
    assert draw() != drawn[0]
