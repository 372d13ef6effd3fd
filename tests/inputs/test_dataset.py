from __future__ import annotations

import gc
import itertools
import math
import sqlite3
import sys
import threading
import time
from collections import Counter

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from torchest.inputs import Dataset, chunks, seeds, stages


@pytest.fixture(params=["one block", "blocks of three"])
def block_size(request, monkeypatch):
    """Results may not depend on where blocks end."""
    if request.param == "blocks of three":
        monkeypatch.setattr(chunks, "BLOCK", 3)
        monkeypatch.setattr(stages, "BLOCK", 3)


def rows(count):
    return Dataset.from_tensor_slices(np.arange(count))


def plain(value):
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    if isinstance(value, pa.Array):
        return value.to_pylist()
    return value.tolist() if hasattr(value, "tolist") else value


def content(dataset, limit=1000):
    return [plain(element) for element in itertools.islice(dataset, limit)]


# --- every stage against a list ---


def batched(values, size, drop_remainder):
    parts = [values[i : i + size] for i in range(0, len(values), size)]
    return [part for part in parts if len(part) == size or not drop_remainder]


STEPS = st.one_of(
    st.tuples(st.just("repeat"), st.integers(0, 3)),
    st.tuples(st.just("batch"), st.integers(1, 5), st.booleans()),
    st.tuples(st.just("unbatch")),
    st.tuples(st.just("take"), st.integers(-1, 12)),
    st.tuples(st.just("skip"), st.integers(-1, 6)),
    st.integers(1, 4).flatmap(
        lambda shards: st.tuples(st.just("shard"), st.just(shards), st.integers(0, shards - 1))
    ),
    st.tuples(st.just("map")),
    st.tuples(st.just("filter")),
    st.tuples(st.just("cache")),
    st.tuples(st.just("prefetch"), st.integers(-1, 3)),
)


def on_list(values, depth, step):
    """What a step makes of a list of rows (depth 0) or of batches (depth 1)."""
    name, *arguments = step
    if name == "repeat":
        return values * arguments[0], depth
    if name == "batch":
        return batched(values, *arguments), 1
    if name == "unbatch":
        return [row for batch in values for row in batch], 0
    if name == "take":
        return (values if arguments[0] < 0 else values[: arguments[0]]), depth
    if name == "skip":
        return ([] if arguments[0] < 0 else values[arguments[0] :]), depth
    if name == "shard":
        return values[arguments[1] :: arguments[0]], depth
    if name == "map":
        return [[x + 1 for x in v] if depth else v + 1 for v in values], depth
    if name == "filter":
        return [v for v in values if (v[0] if depth else v) % 2 == 0], depth
    return values, depth


def on_dataset(dataset, step):
    name, *arguments = step
    if name == "map":
        arguments = [lambda x: x + 1]
    if name == "filter":
        arguments = [lambda x: np.ravel(x)[0] % 2 == 0]
    return getattr(dataset, name)(*arguments)


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 11),
    st.lists(STEPS, max_size=6),
    st.integers(0, 8),
    st.sampled_from([3, 16384]),
    st.booleans(),
)
def test_any_chain_of_steps_does_what_it_does_to_a_list(count, steps, skip, block, generated):
    block_before = chunks.BLOCK
    chunks.BLOCK = stages.BLOCK = block
    try:
        dataset = Dataset.from_generator(lambda: iter(range(count))) if generated else rows(count)
        expected, depth = list(range(count)), 0
        for step in steps:
            if (step[0] == "unbatch" and depth == 0) or (step[0] == "batch" and depth == 1):
                continue
            dataset = on_dataset(dataset, step)
            expected, depth = on_list(expected, depth, step)
        # TensorFlow's repeat ends at an empty pass, and so does a list's.
        assert dataset.cardinality() in (None, len(expected))
        assert [plain(element) for element in dataset.iterate(skip)] == expected[skip:]
        assert content(dataset) == expected
        assert content(dataset) == expected  # again, now from caches
        assert dataset.cardinality() in (None, len(expected))
        assert [plain(element) for element in dataset.iterate(skip)] == expected[skip:]
    finally:
        chunks.BLOCK = stages.BLOCK = block_before


def test_numbers_of_elements_are_tensorflows():
    # tf.data 2.15: cardinality() of the same chains on Dataset.range(10), −1 as inf and −2 as None.
    r = rows(10)
    some = r.filter(lambda x: True)
    chains = [
        r.repeat(), some, r.repeat().take(3), r.repeat().batch(2), r.batch(3), r.batch(3, drop_remainder=True),
        r.skip(4), r.skip(20), r.take(20), r.shard(3, 0), r.shard(3, 1), r.repeat(0), some.take(2),
        r.batch(3).unbatch(), r.repeat().skip(2), r.repeat().shard(2, 0), some.repeat(), some.repeat(0),
        rows(0).repeat(),
    ]  # fmt: skip
    assert [chain.cardinality() for chain in chains] == [
        math.inf, None, 3, math.inf, 4, 3, 6, 0, 10, 4, 3, 0, None, None, math.inf, math.inf, math.inf, 0, 0,
    ]  # fmt: skip


def test_endless_repeats():
    assert content(rows(3).repeat(), 7) == [0, 1, 2, 0, 1, 2, 0]
    assert content(rows(3).repeat(-1).batch(2), 3) == [[0, 1], [2, 0], [1, 2]]
    assert content(rows(0).repeat()) == []
    assert content(rows(3).filter(lambda x: x > 5).repeat()) == []
    assert next(rows(10).repeat().iterate(skip=10**12 + 3)) == 3


# --- structures and dtypes ---


@pytest.mark.usefixtures("block_size")
def test_batches_of_every_kind_of_column():
    frame = pd.DataFrame({"age": np.float32([1, 2, 3, 4]), "town": ["a", None, "b", "a"]})
    features = {
        **dict(frame),
        "kind": frame["town"].astype("category"),
        "tensor": torch.arange(8).reshape(4, 2),
        "cells": [[1], [], [2, 3], None],
        "nested": {"deep": [b"x", b"y", b"z", b"\xff"]},
        "nullable": pd.Series([1, None, 3, 4], dtype="Int64"),
    }
    first, second = Dataset.from_tensor_slices((features, [0, 1, 0, 1])).skip(1).batch(2)
    assert plain(first) == (
        {
            "age": [2, 3],
            "town": [None, "b"],
            "kind": [None, "b"],
            "tensor": [[2, 3], [4, 5]],
            "cells": [[], [2, 3]],
            "nested": {"deep": [b"y", b"z"]},
            "nullable": [None, 3],
        },
        [1, 0],
    )
    assert first[0]["age"].dtype == np.float32
    assert isinstance(first[0]["tensor"], torch.Tensor)
    assert pa.types.is_dictionary(first[0]["kind"].type)
    assert plain(second)[1] == [1]


def test_rows_become_batches_again_after_a_function_saw_each():
    features = {"age": np.float32([1, 2, 3]), "town": ["a", None, "b"], "cells": [[1], [], [2, 3]]}
    data = Dataset.from_tensor_slices((features, [0, 1, 0])).map(lambda x, y: (x, y + 1)).batch(2)
    first = next(iter(data))
    assert plain(first) == ({"age": [1, 2], "town": ["a", None], "cells": [[1], []]}, [1, 2])
    assert first[0]["age"].dtype == np.float32


def test_a_frame_is_the_dict_of_its_columns():
    frame = pd.DataFrame({"x": [1, 2], "y": ["a", "b"]})
    assert content(Dataset.from_tensor_slices((frame, frame["x"]))) == [
        ({"x": 1, "y": "a"}, 1),
        ({"x": 2, "y": "b"}, 2),
    ]
    assert content(Dataset.from_tensors(frame)) == [{"x": [1, 2], "y": ["a", "b"]}]


def test_unbatch_takes_the_first_dimension_off():
    assert content(Dataset.from_tensor_slices({"x": [[1, 2], [3, 4]]}).unbatch()) == [
        {"x": 1}, {"x": 2}, {"x": 3}, {"x": 4},
    ]  # fmt: skip
    assert content(Dataset.from_tensors({"x": ["a", "b"]}).repeat(2).unbatch().batch(3)) == [
        {"x": ["a", "b", "a"]},
        {"x": ["b"]},
    ]
    with pytest.raises(ValueError, match="unbatch: 'x' holds one value per element"):
        content(Dataset.from_tensor_slices({"x": [1]}).unbatch())


def test_batches_of_batches_get_one_more_dimension():
    assert content(rows(4).batch(2).batch(2)) == [[[0, 1], [2, 3]]]
    with pytest.raises(
        ValueError, match=r"batch: 'value' has the shapes \(1,\) and \(2,\) in one batch.*unbatch"
    ):
        content(rows(3).batch(2).batch(2))


def test_a_batch_is_the_readers_own():
    table = np.arange(6)
    batch = next(iter(Dataset.from_tensor_slices(table).batch(3)))
    batch += 100
    tensor = torch.arange(6)
    taken = next(iter(Dataset.from_tensor_slices(tensor).batch(3)))
    taken += 100
    assert table.tolist() == tensor.tolist() == [0, 1, 2, 3, 4, 5]


# --- shuffle ---


def scalar_shuffle(values, size, random):
    """A buffer shuffle one element at a time, as the definition reads."""
    buffer, order, given = [], [], []
    for value in values:
        if len(buffer) < size:
            buffer.append(value)
        else:
            given.append(value)
    for value in given:
        slot = int(random.random() * size)
        order.append(buffer[slot])
        buffer[slot] = value
    return order + [buffer[i] for i in random.permutation(len(buffer))]


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 60),
    st.integers(1, 70),
    st.integers(0, 2**70),
    st.sampled_from([1, 7, 16384]),
    st.booleans(),
)
def test_shuffle_is_the_scalar_buffer_shuffle(count, size, seed, block, generated):
    block_before = chunks.BLOCK
    chunks.BLOCK = stages.BLOCK = block
    try:
        source = Dataset.from_generator(lambda: iter(range(count))) if generated else rows(count)
        random = np.random.Generator(
            np.random.PCG64(np.random.SeedSequence((seed % 2**64,), spawn_key=(0,)))
        )
        order = content(source.shuffle(size, seed=seed))
        assert order == scalar_shuffle(range(count), size, random)
        # An element leaves at most size − 1 places before its own.
        assert all(place > value - size for place, value in enumerate(order))
    finally:
        chunks.BLOCK = stages.BLOCK = block_before


@pytest.mark.parametrize("size", [4, 100])
def test_a_buffer_of_all_rows_gives_every_order_equally_often(size):
    orders = Counter(tuple(content(rows(4).shuffle(size, seed=seed))) for seed in range(2400))
    assert len(orders) == 24
    # Chi-square with 23 degrees of freedom: 49.7 is passed once in a thousand.
    assert sum((n - 100) ** 2 / 100 for n in orders.values()) < 49.7


def test_seeds_and_passes():
    data = rows(20).shuffle(20, seed=3)
    assert content(data.repeat(2)) == content(rows(20).shuffle(20, seed=3).repeat(2))
    first, second = content(data.repeat(2))[:20], content(data.repeat(2))[20:]
    assert first != second
    assert content(data) != content(data)  # each iteration is another pass, as in TensorFlow
    fixed = rows(20).shuffle(20, seed=3, reshuffle_each_iteration=False)
    assert content(fixed) == content(fixed) == content(fixed.repeat(2))[20:]
    unseeded = rows(20).shuffle(20, reshuffle_each_iteration=False)
    assert content(unseeded) == content(unseeded)
    assert content(rows(20).shuffle(20)) != content(rows(20).shuffle(20))
    assert content(rows(20).shuffle(20, seed=-1)) != content(rows(20).shuffle(20, seed=1))


def test_a_default_seed_gives_each_shuffle_its_own():
    def orders():
        with seeds.default_seed(5):
            return content(rows(20).shuffle(20)), content(rows(20).shuffle(20))

    first, second = orders()
    assert (first, second) == orders()
    assert first != second
    assert sorted(first) == list(range(20))
    with seeds.default_seed(None):
        assert content(rows(20).shuffle(20)) != content(rows(20).shuffle(20))


def test_global_random_states_are_not_touched():
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    content(rows(50).shuffle(7).repeat(2).shuffle(9, seed=1).batch(4))
    assert torch.equal(torch.get_rng_state(), torch_before)
    assert (np.random.get_state()[1] == numpy_before).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 30))
def test_skipping_resumes_a_shuffled_endless_pipeline(skip):
    def pipeline():
        return rows(11).shuffle(5, seed=1).repeat().batch(3).shuffle(4, seed=2).prefetch(2)

    whole = content(pipeline(), 40)
    resumed = [plain(element) for element in itertools.islice(pipeline().iterate(skip), 40 - skip)]
    assert resumed == whole[skip:]


def test_skipped_batches_are_not_made():
    calls = []
    data = rows(1000).batch(10).map(lambda x: calls.append(1) or x)
    assert next(data.iterate(skip=90))[0] == 900
    assert len(calls) == 1


# --- cache ---


def counting(count):
    passes = []

    def generate():
        passes.append(0)
        for value in range(count):
            passes[-1] += 1
            yield value

    return Dataset.from_generator(generate), passes


@pytest.mark.usefixtures("block_size")
def test_a_cache_reads_once():
    source, passes = counting(5)
    data = source.batch(2).cache()
    assert data.cardinality() is None
    assert content(data) == content(data) == content(data.repeat(1)) == [[0, 1], [2, 3], [4]]
    assert passes == [5]
    assert data.cardinality() == 3


def test_a_partly_read_cache_holds_nothing():
    source, passes = counting(5)
    data = source.cache()
    assert content(data.take(2)) == [0, 1]
    assert content(data) == [0, 1, 2, 3, 4]
    assert content(data) == [0, 1, 2, 3, 4]
    assert passes == [2, 5]


def test_two_first_passes_at_once():
    source, _ = counting(4)
    data = source.cache()
    one, other = iter(data), iter(data)
    mixed = [next(one), next(other), next(one), *other, *one]
    assert sorted(mixed) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert content(data) == [0, 1, 2, 3]


def test_a_cached_batch_cannot_be_spoilt():
    data = rows(4).batch(2).cache()
    for batch in data:
        with pytest.raises(ValueError, match="read-only"):
            batch[0] = 100
    assert content(data) == [[0, 1], [2, 3]]


def test_a_cache_on_an_endless_dataset_goes_below_what_repeats():
    source, passes = counting(5)
    data = (
        source.shuffle(5, seed=1).repeat().batch(2).cache().repeat().shuffle(3, seed=1).prefetch(2)
    )
    batches = content(data, 20)
    assert all(len(batch) == 2 for batch in batches)
    assert passes == [5]
    without = content(counting(5)[0].shuffle(5, seed=1).repeat().batch(2), 20)
    cached = content(counting(5)[0].shuffle(5, seed=1).repeat().batch(2).cache(), 20)
    assert cached == without


def test_cached_rows_are_one_table():
    data = Dataset.from_tensors({"x": np.arange(3)}).repeat(4).unbatch().cache()
    list(data)
    [block] = data._stage.chunks((0,), 0)
    assert len(block) == 12


# --- laziness, threads, speed ---


def test_no_more_is_read_than_is_needed():
    source, passes = counting(10**9)
    assert content(source.map(lambda x: x * 2).batch(3).take(2)) == [[0, 2, 4], [6, 8, 10]]
    assert passes == [6]


def slow():
    for number in itertools.count():
        time.sleep(0.03)
        yield number


def background_threads():
    return [thread for thread in threading.enumerate() if thread.name == "torchest-background"]


def test_prefetch_of_slow_elements_ends_with_its_iterator():
    stream = iter(Dataset.from_generator(slow).batch(2).prefetch(2).map(lambda x: x).prefetch(1))
    batches = [next(stream).tolist() for _ in range(15)]
    assert batches == [[2 * number, 2 * number + 1] for number in range(15)]
    assert background_threads()
    del stream
    gc.collect()
    assert not background_threads()


def test_prefetch_makes_quick_elements_in_the_thread_that_uses_them():
    stream = iter(rows(10_000).repeat().batch(2).prefetch(2))
    for _ in range(20_000):
        next(stream)
    assert not background_threads()


def test_prefetch_reads_a_generator_in_one_thread():
    def rows_of_a_database():
        connection = sqlite3.connect(":memory:")  # which refuses other threads
        for number in range(12):
            time.sleep(0.03)
            yield connection.execute(f"select {number}").fetchone()[0]

    data = Dataset.from_generator(rows_of_a_database).map(lambda x: x).batch(2).prefetch(1)
    assert np.concatenate(list(data)).tolist() == list(range(12))


def test_prefetch_passes_exceptions_on():
    def broken():
        yield 1
        raise RuntimeError("row 2 is broken")

    stream = iter(Dataset.from_generator(broken).prefetch(5))
    assert next(stream) == 1
    with pytest.raises(RuntimeError, match="row 2 is broken"):
        next(stream)


def test_prefetched_rows_wait_in_bounded_number():
    made = []

    def source():
        for number in slow():
            made.append(number)
            yield np.arange(100)

    stream = iter(Dataset.from_generator(source).unbatch().prefetch(250))
    for _ in range(1500):
        next(stream)
    assert background_threads()
    time.sleep(0.3)
    assert len(made) <= 20
    stream.close()


def test_no_python_code_runs_per_row():
    columns = {f"n{i}": np.zeros(100_000, np.float32) for i in range(3)} | {
        "text": pd.Series(["a", "b"] * 50_000)
    }
    data = (
        Dataset.from_tensor_slices((columns, np.zeros(100_000))).shuffle(10_000, seed=1).batch(1000)
    )
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        batches = sum(1 for _ in data)
    finally:
        sys.setprofile(None)
    assert batches == 100
    assert calls < 10_000  # about 50 for each batch, whatever its size


# --- wrong use ---


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rows(3).batch(0), "batch_size=0 must be a whole number of at least 1"),
        (lambda: rows(3).shuffle(0), "buffer_size=0 must be a whole number of at least 1"),
        (lambda: rows(3).shard(0, 0), "num_shards=0 must be a whole number of at least 1"),
        (lambda: rows(3).shard(3, 3), "index=3 must be below num_shards=3"),
        (lambda: rows(3).iterate(-1), "skip=-1 must be a whole number of at least 0"),
        (lambda: rows(3).batch(2.5), r"batch_size=2\.5 must be a whole number"),
        (lambda: rows(3).repeat("2"), "count='2' must be a whole number"),
        (
            lambda: Dataset.from_tensor_slices({"a": [1, 2], "b": [1]}),
            "'a' has 2 rows and 'b' has 1",
        ),
        (
            lambda: Dataset.from_tensor_slices(({"a": [1, 2]}, [1])),
            "'a' has 2 rows and 'labels' has 1",
        ),
        (lambda: Dataset.from_tensor_slices({}), "There are no features"),
        (lambda: Dataset.from_tensor_slices({"a": 1}), r"'a' is the single value 1 \(rank 0\)"),
        (
            lambda: content(Dataset.from_generator(lambda: iter([{"a": 1}, {"b": 1}])).batch(2)),
            r"Elements of one batch differ: one has the keys \['a'\] and another is a dict with the keys \['b'\]",
        ),
        (
            lambda: content(Dataset.from_generator(lambda: iter([(1, 2), 3])).batch(2)),
            "one is a tuple of 2 and another is a int",
        ),
        (
            lambda: content(Dataset.from_generator(lambda: iter([1, {"a": 2}])).batch(2)),
            "one has a single value where another is a dict",
        ),
    ],
)
def test_wrong_values_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rows(3).map(3), "map_func=3 must be a function"),
        (lambda: rows(3).filter(None), "predicate=None must be a function"),
        (
            lambda: Dataset.from_generator(iter([1])),
            "generator=<list_iterator .* must be a function that returns",
        ),
        (
            lambda: Dataset.from_tensor_slices([{"a": 1}]),
            "'value' holds values of the Arrow type struct",
        ),
        (lambda: Dataset.from_tensor_slices(({"a": [1]}, None)), "'labels' is a NoneType"),
    ],
)
def test_wrong_types_are_named(make, message):
    with pytest.raises(TypeError, match=message):
        make()
