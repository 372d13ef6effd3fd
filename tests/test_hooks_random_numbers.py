from __future__ import annotations

import torch

from torchest.hooks.base import Session, SessionRunArgs, SessionRunContext
from torchest.hooks.random_numbers import SeededSteps
from torchest.object_state import ObjectState
from torchest.scope import Scope


def test_a_step_draws_the_same_whatever_came_before():
    scope = Scope(torch.device("cpu"), training=True)
    context = SessionRunContext(SessionRunArgs(None), Session(scope, ObjectState(scope), 4))
    hook = SeededSteps(lambda: 9, rank=2)
    drawn = []
    for before in range(3):
        torch.rand(before)
        hook.before_run(context)
        drawn.append(torch.rand(1).item())
    assert len(set(drawn)) == 1
    context.session.global_step += 1
    hook.before_run(context)
    assert torch.rand(1).item() != drawn[0]
