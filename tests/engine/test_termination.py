"""SIGTERM during training saves and ends the process as it would have ended."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading

import pytest
import torch

import torchest
from tests.test_crash import PRELOAD
from torchest.engine.termination import Termination


class SigtermAt3(torchest.SessionRunHook):
    """Sends this process the signal after step 3, once or twice."""

    def __init__(self, times, told):
        self._times, self._told = times, told

    def after_run(self, run_context, run_values):
        if run_context.session.global_step == 3:
            for _ in range(self._times):
                os.kill(os.getpid(), signal.SIGTERM)

    def end(self, session):
        self._told(f"end at {session.global_step}")


def model_fn(features, mode):
    net = torchest.get_or_create("net", lambda: torch.nn.Linear(1, 1))
    sgd = torchest.get_or_create("sgd", lambda: torch.optim.SGD(net.parameters(), lr=0.1))
    return torchest.EstimatorSpec(mode, loss=net(features["x"]).mean(), train_op=sgd)


def run(model_dir, handling):
    """Trains in a process of its own, with a way of its own to handle the signal."""
    config = torchest.RunConfig(save_summary_steps=None, log_step_count_steps=None)

    def tell(line):
        with open(os.path.join(model_dir, "told"), "a") as file:
            print(line, file=file)

    if handling == "own":
        signal.signal(signal.SIGTERM, lambda *_: tell("own handler"))
    if handling == "ignore":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    before = signal.getsignal(signal.SIGTERM)
    hook = SigtermAt3(2 if handling == "twice" else 1, tell)
    estimator = torchest.Estimator(model_fn, model_dir, config)
    estimator.train(lambda: {"x": torch.ones(2, 1)}, max_steps=5, hooks=[hook])
    assert signal.getsignal(signal.SIGTERM) is before
    tell("returned")


def exit_code_and_lines(model_dir, handling):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    process = context.Process(target=run, args=(str(model_dir), handling))
    process.start()
    process.join(120)
    told = model_dir / "told"
    return process.exitcode, told.read_text().splitlines() if told.exists() else []


def newest(model_dir):
    return max(int(name.partition("-")[2]) for name in os.listdir(model_dir) if "ckpt" in name)


def test_the_step_is_finished_and_saved_and_the_process_ends_by_the_signal(tmp_path):
    assert exit_code_and_lines(tmp_path, "default") == (-signal.SIGTERM, ["end at 3"])
    assert newest(tmp_path) == 3
    assert (tmp_path / "unfinished").exists()


def test_a_second_signal_ends_the_process_at_once(tmp_path):
    assert exit_code_and_lines(tmp_path, "twice") == (-signal.SIGTERM, [])
    assert newest(tmp_path) == 0


def test_a_handler_of_the_programs_own_is_called_after_the_save(tmp_path):
    expected = (128 + signal.SIGTERM, ["end at 3", "own handler"])
    assert exit_code_and_lines(tmp_path, "own") == expected
    assert newest(tmp_path) == 3


def test_a_process_that_ignores_the_signal_trains_on(tmp_path):
    assert exit_code_and_lines(tmp_path, "ignore") == (0, ["end at 5", "returned"])


def test_the_handler_before_is_back_afterwards():
    def handler(*_):
        raise AssertionError("called")

    before = signal.signal(signal.SIGTERM, handler)
    try:
        wishes = []
        with Termination(lambda: wishes.append(1)) as termination:
            assert not termination.requested
            signal.raise_signal(signal.SIGTERM)
            assert termination.requested
        assert wishes == [1]
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, before)


def test_outside_of_the_main_thread_nothing_is_handled():
    before, errors = signal.getsignal(signal.SIGTERM), []

    def enter():
        try:
            with Termination(lambda: None):
                assert signal.getsignal(signal.SIGTERM) is before
        except BaseException as error:  # to be seen in the main thread
            errors.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert errors == []


def test_an_error_in_training_gives_the_handler_back():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(RuntimeError, match="broken"), Termination(lambda: None):
        raise RuntimeError("broken")
    assert signal.getsignal(signal.SIGTERM) is before
