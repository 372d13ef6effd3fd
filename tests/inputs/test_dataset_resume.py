"""Training resumes at any batch of a pipeline with any stage, with shuffles that have no seed."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchest import inputs
from torchest.inputs.reading import reading_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torchest.inputs import Dataset

SMALL = st.integers(1, 4)


def numbers(count: int) -> Dataset:
    return inputs.Dataset.range(count)


def some_of(number: Any) -> Dataset:
    """Another number of other elements of each, in another order in every pass."""
    return numbers(5).map(lambda n: 10 * number + n).shuffle(5).take(int(number) % 4)


def kept_of(number: Any) -> Dataset:
    return some_of(number).filter(lambda n: n % 3 != 1)


def interleave(draw: Any) -> Callable[[Dataset], Dataset]:
    cycle, block = draw(SMALL), draw(SMALL)
    make = draw(st.sampled_from([some_of, kept_of]))
    return lambda data: data.interleave(make, cycle, block)


def window(draw: Any) -> Callable[[Dataset], Dataset]:
    arguments = draw(SMALL), draw(SMALL), draw(SMALL), draw(st.booleans())
    return lambda data: data.window(*arguments).flat_map(lambda rows: rows.shuffle(2))


def sample(draw: Any) -> Callable[[Dataset], Dataset]:
    weights, stop = [draw(SMALL), draw(SMALL), draw(SMALL)], draw(st.booleans())
    return lambda data: inputs.Dataset.sample_from_datasets(
        [data, numbers(9), data.skip(2)], weights, stop_on_empty_dataset=stop
    )


def padded_batch(draw: Any) -> Callable[[Dataset], Dataset]:
    size, drop = draw(SMALL), draw(st.booleans())
    return lambda data: (
        data.map(lambda n: np.arange(int(n) % 5))
        .padded_batch(size, [5], drop_remainder=drop)
        .unbatch()
    )


STAGES: dict[str, Callable[[Any], Callable[[Dataset], Dataset]]] = {
    "interleave": interleave,
    "flat_map": lambda draw: lambda data: data.flat_map(some_of),
    "window": window,
    "sample_from_datasets": sample,
    "padded_batch": padded_batch,
    "zip": lambda draw: lambda data: inputs.Dataset.zip((data, numbers(7).shuffle(3))),
    "enumerate": lambda draw: lambda data: data.enumerate(3),
    "concatenate": lambda draw: lambda data: data.concatenate(data.shuffle(2)),
    "unbatch": lambda draw: lambda data: data.batch(3).unbatch(),
    "range": lambda draw: lambda data: numbers(11),
    "shuffle_and_repeat": lambda draw: lambda data: data.apply(inputs.shuffle_and_repeat(4, 2)),
    "map in parallel": lambda draw: lambda data: data.map(lambda n: n + 1, num_parallel_calls=2),
    "filter of some of a shuffle": lambda draw: (
        lambda data: data.shuffle(9).take(5).filter(lambda n: n % 2 == 0)
    ),
}


def content(batches: Any) -> list[Any]:
    return [
        [None if part is None else np.asarray(part).tolist() for part in batch] for batch in batches
    ]


def resumes(make: Callable[[], Dataset], count: int) -> None:
    """Checks that a reading at a place has the elements that the first one has from there on."""
    first = reading_of(make(), None)
    batches = first.batches()
    list(itertools.islice(batches, count))
    position = first.position(count)
    assert content(reading_of(make(), position).batches()) == content(batches)


@pytest.mark.parametrize("name", STAGES)
@settings(max_examples=60)
@given(st.data())
def test_a_pipeline_resumes_at_any_batch(name: str, data: st.DataObject):
    add = STAGES[name](data.draw)
    rows, passes, size = data.draw(st.integers(0, 12)), data.draw(SMALL), data.draw(SMALL)

    def make() -> Dataset:
        return add(numbers(rows).shuffle(4)).repeat(passes).shuffle(5).batch(size)

    resumes(make, data.draw(st.integers(0, 30)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files")
    for number in range(4):
        lines = "".join(f"{number},{line}\n" for line in range(3 * number))
        (path / f"{number}.csv").write_text(lines)
    return path


@settings(max_examples=60)
@given(cycle=SMALL, block=SMALL, size=SMALL, count=st.integers(0, 20), shuffled=st.booleans())
def test_files_resume_at_any_batch(
    cycle: int, block: int, size: int, count: int, shuffled: bool, folder: Path
):
    def make() -> Dataset:
        files = inputs.Dataset.list_files(folder / "*.csv", shuffle=shuffled)
        lines = files.interleave(lambda file: inputs.TextLineDataset(file).skip(1), cycle, block)
        return lines.repeat(3).batch(size).map(lambda x: tuple(inputs.decode_csv(x, [0, 0])))

    resumes(make, count)


def test_another_folder_with_the_same_files_is_no_difference(folder: Path, tmp_path: Path):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())

    def make(place: Path) -> Dataset:
        files = inputs.Dataset.list_files(place / "*.csv")
        return files.concatenate(inputs.TextLineDataset(place / "3.csv")).batch(2)

    position = reading_of(make(folder), None).position(1)
    assert len(content(reading_of(make(tmp_path), position).batches())) == 6
    (tmp_path / "3.csv").write_text("other\n")
    with pytest.raises(ValueError, match=r"files of Lines was .*3\.csv"):
        reading_of(make(tmp_path), position)
    (tmp_path / "0.csv").unlink()
    with pytest.raises(ValueError, match=r"files of FileNames was \['0\.csv'\]"):
        reading_of(make(tmp_path), position)


def test_other_stages_side_by_side_are_a_difference():
    def make(*parts: Dataset) -> Dataset:
        return inputs.Dataset.zip(parts).batch(2)

    position = reading_of(make(numbers(3), numbers(4)), None).position(1)
    with pytest.raises(ValueError, match="stop of Range was '3' and is '4'"):
        reading_of(make(numbers(4), numbers(3)), position)
    with pytest.raises(ValueError, match="it had Zip where it now has Range"):
        reading_of(make(numbers(3), numbers(4), numbers(5)), position)


def test_passes_over_files_of_unknown_length_are_not_read_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    def make() -> Dataset:
        files = inputs.Dataset.list_files(folder / "*.csv")
        return files.interleave(inputs.TextLineDataset).shuffle(5).repeat(9).batch(6)

    first = reading_of(make(), None)
    batches = first.batches()
    list(itertools.islice(batches, 10))  # more than three passes of 18 lines
    rest = content(batches)
    opened: list[Any] = []

    def counting(path: Any, *arguments: Any) -> Any:
        opened.append(path)
        return open(path, *arguments)

    monkeypatch.setattr("torchest.inputs.file_blocks.open", counting, raising=False)
    resumed = content(reading_of(make(), first.position(10)).batches())
    assert resumed == rest
    assert len(opened) == 6 * 4
