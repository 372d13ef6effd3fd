from __future__ import annotations

import torch

from torchest.utils.random_state import (
    kept_random_state,
    random_state,
    seed_step,
    set_random_state,
)

CPU = torch.device("cpu")


def test_numbers_go_on_from_a_state():
    state = random_state(CPU)
    first = torch.rand(3)
    set_random_state(CPU, state)
    assert torch.equal(torch.rand(3), first)


def test_what_is_drawn_inside_is_given_back():
    state = random_state(CPU)
    with kept_random_state(CPU):
        torch.rand(3)
    assert torch.equal(random_state(CPU)["cpu"], state["cpu"])


def test_every_process_and_step_draws_its_own_numbers_again_and_again():
    def drawn(*arguments):
        seed_step(*arguments)
        return tuple(torch.rand(2).tolist())

    places = [(seed, rank, step) for seed in (0, 5) for rank in (1, 2) for step in range(50)]
    assert len({drawn(*place) for place in places}) == len(places)
    assert [drawn(*place) for place in places] == [drawn(*place) for place in places]
