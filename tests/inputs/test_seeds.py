"""The generators of shuffles have the numbers of NumPy's SeedSequence."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from torchest.inputs import seeds

WORDS = st.integers(0, 2**200) | st.integers(0, 2**32) | st.integers(0, 200)


@given(st.lists(WORDS, min_size=1, max_size=3), st.lists(WORDS, max_size=3))
def test_a_generator_has_the_numbers_of_a_seed_sequence(entropy, epoch):
    expected = np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=epoch))
    made = seeds.generator(tuple(entropy), tuple(epoch))
    assert made.bit_generator.state == expected.bit_generator.state
    assert made.permutation(100).tolist() == expected.permutation(100).tolist()


def test_generators_of_one_epoch_are_apart():
    first, second = (seeds.generator((1,), (0, 5)) for _ in range(2))
    numbers = first.random(10).tolist()
    assert second.random(10).tolist() == numbers
