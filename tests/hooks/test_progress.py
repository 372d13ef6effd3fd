"""The progress bar on a real terminal, and plain lines elsewhere."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest
import torch

from torchest.engine.hooks import Session, SessionRunHook
from torchest.engine.loop import run_steps
from torchest.engine.object_state import ObjectState
from torchest.engine.scope import Scope
from torchest.hooks.progress import LoggingTensorHook

PROGRAM = """
import logging, torch, torchest
logging.basicConfig(level=logging.INFO, format="%(message)s")

def model_fn(features, mode):
    net = torchest.get_or_create("net", lambda: torch.nn.Linear(1, 1))
    loss = net(features["x"]).square().mean()
    sgd = torchest.get_or_create("sgd", lambda: torch.optim.SGD(net.parameters(), lr=0.1))
    return torchest.EstimatorSpec(mode, loss=loss, train_op=sgd)

torchest.Estimator(model_fn).train(lambda: {"x": torch.ones(2, 1)}, steps=7)
"""


def on_a_terminal():
    """What the program writes to a terminal of 100 columns."""
    reader, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=terminal, stderr=terminal)
    os.close(terminal)
    written = b""
    try:
        while part := os.read(reader, 4096):
            written += part
    except OSError:  # the other end is closed
        pass
    os.close(reader)
    assert process.wait(60) == 0
    return written.decode()


def test_a_bar_on_a_terminal_with_log_lines_above_it():
    written = on_a_terminal()
    assert "training: 100%" in written
    assert "7/7" in written
    assert "loss = " in written


def test_plain_lines_elsewhere():
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    assert "training:" not in result.stderr
    assert "loss = " in result.stderr
    assert "\r" not in result.stderr


def run(hook: SessionRunHook, losses):
    scope = Scope(torch.device("cpu"), training=True)
    session = Session(ObjectState(scope), 0)

    def step(loss):
        session.values = {"loss": torch.tensor(loss)}
        session.global_step += 1

    list(run_steps(iter(losses), step, session, [hook]))


def lines(caplog):
    return [record.getMessage().split(" (")[0] for record in caplog.records]


@pytest.fixture(autouse=True)
def _info(caplog):
    caplog.set_level("INFO", "torchest")


def test_values_are_logged_every_so_many_steps(caplog):
    run(LoggingTensorHook({"loss": "loss", "step": "global_step"}, every_n_iter=2), [0.5, 0.4, 0.3])
    assert lines(caplog) == ["loss = 0.5, step = 0", "loss = 0.3, step = 2"]


def test_values_can_be_logged_at_the_end_only(caplog):
    run(LoggingTensorHook(["loss"], at_end=True), [0.5, 0.25])
    assert lines(caplog) == ["loss = 0.25"]


def test_the_line_can_be_formatted(caplog):
    hook = LoggingTensorHook(
        ["loss"], every_n_iter=1, formatter=lambda values: f"<{values['loss']}>"
    )
    run(hook, [0.5])
    assert lines(caplog) == ["<0.5>"]


def test_a_period_is_needed():
    with pytest.raises(ValueError, match="give exactly one of the two"):
        LoggingTensorHook(["loss"])


@pytest.mark.parametrize(
    ("tensors", "every", "message"),
    [
        ("loss", 1, r"tensors='loss' must be a list of names, such as \['loss'\]"),
        (["loss"], 0, "every_n_iter=0 must"),
    ],
)
def test_wrong_arguments(tensors, every, message):
    with pytest.raises((TypeError, ValueError), match=f"LoggingTensorHook: {message}"):
        LoggingTensorHook(tensors, every_n_iter=every)
