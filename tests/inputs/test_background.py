from __future__ import annotations

import contextvars
import gc
import itertools
import subprocess
import sys
import threading
import time

import pytest

from torchest.inputs.background import in_background


def workers():
    return [thread for thread in threading.enumerate() if thread.name == "torchest-background"]


def wait_until(condition):
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_gives_the_same_items_in_the_same_order():
    assert list(in_background(range(1000), 3)) == list(range(1000))
    assert workers() == []


def test_nothing_starts_before_the_first_item_is_asked_for():
    stream = in_background(range(3), 1)
    assert workers() == []
    next(stream)
    assert len(workers()) == 1
    stream.close()


def test_works_ahead_as_far_as_it_may():
    made = []

    def items():
        for number in itertools.count():
            made.append(number)
            yield number

    stream = in_background(items(), 3)
    assert next(stream) == 0
    wait_until(lambda: len(made) == 5)  # one was taken, three wait, one is in the maker's hand
    time.sleep(0.02)
    assert len(made) == 5
    stream.close()


def test_items_count_for_their_size():
    made = []

    def items():
        for number in itertools.count():
            made.append(number)
            yield [number] * 10

    stream = in_background(items(), 15, size_of=len)
    next(stream)
    wait_until(lambda: len(made) == 4)
    time.sleep(0.02)
    assert len(made) == 4
    stream.close()


def test_an_exception_comes_after_the_items_before_it():
    def items():
        yield 1
        yield 2
        raise KeyError("lost")

    stream = in_background(items(), 10)
    assert [next(stream), next(stream)] == [1, 2]
    with pytest.raises(KeyError, match="lost"):
        next(stream)
    assert workers() == []


def test_an_exception_in_making_the_iterator_comes_too():
    class Broken:
        def __iter__(self):
            raise OSError("no such file")

    with pytest.raises(OSError, match="no such file"):
        next(in_background(Broken(), 1))


@pytest.mark.parametrize("abandon", ["close", "drop", "cycle"])
def test_the_thread_ends_and_cleans_up_when_the_items_are_abandoned(abandon):
    cleaned = []

    def items():
        try:
            yield from itertools.count()
        finally:
            cleaned.append(threading.current_thread().name)

    stream = in_background(items(), 2)
    next(stream)
    if abandon == "close":
        stream.close()
    elif abandon == "cycle":
        loop = [stream]
        loop.append(loop)
        del loop
    del stream
    gc.collect()
    assert workers() == []
    assert cleaned == ["torchest-background"]


def test_context_variables_are_those_of_the_caller():
    place = contextvars.ContextVar("place", default="nowhere")
    place.set("here")
    stream = in_background((place.get() for _ in range(2)), 1)
    place.set("elsewhere")
    assert list(stream) == ["here", "here"]


def test_an_unfinished_stream_does_not_hold_up_the_end_of_the_program():
    code = (
        "import itertools\nfrom torchest.inputs.background import in_background\n"
        "stream = in_background(itertools.count(), 2)\nprint(next(stream))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert (done.stdout, done.stderr) == ("0\n", "")
