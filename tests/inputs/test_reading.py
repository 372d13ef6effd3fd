from __future__ import annotations

import shutil

import numpy as np
import pytest

from torchest import inputs
from torchest.inputs.file_identity import identities, identity
from torchest.inputs.reading import reading_of


def rows(count=10):
    return inputs.Dataset.from_tensor_slices({"x": np.arange(count)})


def values(reading):
    return [features["x"].tolist() for features, _ in reading.batches()]


def halves(make, count):
    """The batches before a place, and those that another reading gives from there on."""
    first = reading_of(make(), None)
    before = [next(batches)[0]["x"].tolist() for batches in [first.batches()] for _ in range(count)]
    return before, values(reading_of(make(), first.position(count)))


@pytest.mark.parametrize("count", range(8))
@pytest.mark.parametrize(
    "make",
    [
        lambda: rows().batch(3).repeat(2),
        lambda: rows().shuffle(4, seed=1).repeat(2).batch(3),
        lambda: rows().filter(lambda element: element["x"] % 3 < 2).repeat(3).batch(3),
        lambda: rows().repeat(2).shuffle(30, seed=1).cache().repeat(2).batch(6),
        lambda: rows(30).shard(2, 1).shuffle(5, seed=2).batch(2).prefetch(3),
        lambda: rows(30).batch(2).unbatch().skip(3).take(20).batch(2).map(lambda x: x),
    ],
)
def test_a_dataset_goes_on_at_any_place(make, count):
    before, after = halves(make, count)
    assert before + after == values(reading_of(make(), None))


def test_passes_of_unknown_length_are_not_made_again():
    seen = []

    def make():
        return rows().filter(lambda element: seen.append(element["x"]) or True).repeat(3).batch(5)

    reading = reading_of(make(), None)
    taken = reading.batches()
    for _ in range(5):
        next(taken)
    seen.clear()
    assert values(reading_of(make(), reading.position(5))) == [[5, 6, 7, 8, 9]]
    assert len(seen) == 10


def test_another_number_of_shards_is_refused_and_another_shard_is_not():
    position = reading_of(rows().shard(2, 0).batch(1), None).position(2)
    assert values(reading_of(rows().shard(2, 1).batch(1), position)) == [[5], [7], [9]]
    with pytest.raises(ValueError, match="shards of Shard was 2 and is 3"):
        reading_of(rows().shard(3, 0).batch(1), position)


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (lambda: rows(11).shuffle(3).repeat(2).batch(2), "rows of Table was 10 and is 11"),
        (lambda: rows().shuffle(4).repeat(2).batch(2), "buffer_size of Shuffle was 3 and is 4"),
        (lambda: rows().shuffle(3).repeat().batch(2), "count of Repeat was 2 and is None"),
        (lambda: rows().shuffle(3).repeat(2).batch(2, True), "drop_remainder of Batch was False"),
        (lambda: rows().shuffle(3).batch(2).repeat(2), "it had Repeat where it now has Batch"),
        (lambda: rows().shuffle(3).repeat(2).batch(2).skip(1), "it had 4 stages, and has 5"),
    ],
)
def test_what_differs_from_the_dataset_that_was_read_is_named(other, difference):
    position = reading_of(rows().shuffle(3).repeat(2).batch(2), None).position(2)
    with pytest.raises(ValueError, match=difference):
        reading_of(other(), position)


def test_prefetching_more_or_less_is_no_difference():
    position = reading_of(rows().batch(2), None).position(3)
    assert values(reading_of(rows().prefetch(1).batch(2).prefetch(4), position)) == [[6, 7], [8, 9]]


def test_a_generator_in_a_dataset_is_called_anew_with_a_warning(caplog):
    def make():
        return inputs.Dataset.from_generator(lambda: ({"x": [row]} for row in range(5))).batch(2)

    before, after = halves(make, 1)
    assert (before, after) == ([[[0], [1]]], [[[2], [3]], [[4]]])
    assert "correct if it yields the same elements as before" in caplog.text


@pytest.mark.parametrize("size", [0, 1, 1 << 14, (1 << 18) - 1, 1 << 18, 1 << 20])
def test_a_file_is_told_by_its_content_not_by_its_place_or_time(tmp_path, size):
    random = np.random.default_rng(0)
    content = random.integers(0, 256, size, dtype=np.uint8)
    path, other = tmp_path / "a", tmp_path / "elsewhere" / "a"
    path.write_bytes(content.tobytes())
    other.parent.mkdir()
    shutil.copyfile(path, other)
    assert identity(str(path)) == identity(str(other))
    for at in {0, size // 2 if size <= 1 << 18 else 0, size - 1} if size else ():
        changed = content.copy()
        changed[at] ^= 1
        other.write_bytes(changed.tobytes())
        assert identity(str(path)) != identity(str(other))
    other.write_bytes(content.tobytes() + b"1")
    assert identity(str(path)) != identity(str(other))


def test_many_files_are_told_all_in_one(tmp_path):
    paths = [str(tmp_path / f"{number:03}") for number in range(150)]
    for path in paths:
        with open(path, "w") as file:
            file.write(path)
    before = identities(paths)
    assert before == identities(paths)
    assert before[0][:2] == ["150 files", sum(map(len, paths))]
    with open(paths[77], "w") as file:
        file.write(paths[78])
    assert identities(paths) != before
    assert [name for name, *_ in identities(paths[:100])] == [f"{n:03}" for n in range(100)]
