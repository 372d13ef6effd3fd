"""What hooks and listeners know and draw is exact over interruptions, wherever they stand in the list."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn

import torchest
from torchest import inputs
from torchest.checkpoint.directory import Checkpoint, latest_checkpoint

STEPS = 12
QUIET = torchest.RunConfig(
    save_summary_steps=None, log_step_count_steps=None, save_checkpoints_steps=3, tf_random_seed=3
)


class InterruptionError(Exception):
    pass


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr("torchest.utils.files.sync", lambda path: None)


class Interrupt(torchest.SessionRunHook):
    """Fails in a moment of the step that leads to a global step, as a kill would."""

    def __init__(self, at, moment="after_run"):
        self.at, self.moment = at, moment

    def before_run(self, run_context):
        if self.moment == "before_run" and run_context.session.global_step == self.at:
            raise InterruptionError

    def after_run(self, run_context, run_values):
        if self.moment == "after_run" and run_context.session.global_step == self.at:
            raise InterruptionError


class Count(torchest.SessionRunHook):
    """Counts calls of each moment; begins anew in `begin`, as hooks do."""

    def __init__(self, stop_at=None):
        self.stop_at = stop_at

    def begin(self):
        self.before = self.after = self.sessions = 0

    def after_create_session(self, session, coord):
        self.sessions += 1

    def before_run(self, run_context):
        self.before += 1

    def after_run(self, run_context, run_values):
        self.after += 1
        if self.after == self.stop_at:
            run_context.request_stop()

    def state_dict(self):
        return {"before": self.before, "after": self.after, "sessions": self.sessions}

    def load_state_dict(self, state):
        self.before, self.after, self.sessions = state["before"], state["after"], state["sessions"]


class Noise(torchest.SessionRunHook):
    """Adds noise to a weight in each step, and draws at the start and at the end too."""

    def __init__(self, draw):
        self.draw = draw

    def begin(self):
        self.at_start = self.draw()

    def after_create_session(self, session, coord):
        self.at_start = self.draw()

    def after_run(self, run_context, run_values):
        self._add(run_context.session, self.draw())

    def end(self, session):
        self._add(session, self.draw())

    def _add(self, session, number):
        with torch.no_grad():
            session.objects["net"].weight += 0.01 * number * self.at_start

    def state_dict(self):
        return {"at_start": self.at_start}

    def load_state_dict(self, state):
        self.at_start = state["at_start"]


DRAWS = {
    "torch": lambda: torch.rand(()).item(),
    "numpy": lambda: float(np.random.normal()),
    "python": lambda: random.gauss(0.0, 1.0),
}


class Listener(torchest.CheckpointSaverListener):
    """Counts saves, and draws around them."""

    def __init__(self, stop_at=None):
        self.before, self.after, self.drawn, self.stop_at = 0, 0, 0.0, stop_at

    def before_save(self, session, global_step_value):
        self.before += 1
        self.drawn += torch.rand(()).item()

    def after_save(self, session, global_step_value):
        self.after += 1
        self.drawn += torch.rand(()).item()
        return self.stop_at is not None and global_step_value >= self.stop_at

    def state_dict(self):
        return {"before": self.before, "after": self.after, "drawn": self.drawn}

    def load_state_dict(self, state):
        self.before, self.after, self.drawn = state["before"], state["after"], state["drawn"]


def model_fn_with(training_hooks=(), training_chief_hooks=()):
    def model_fn(features, mode):
        net = torchest.get_or_create("net", lambda: nn.Linear(1, 1))
        x = nn.functional.dropout(features["x"].float()[:, None], 0.2)
        loss = (net(x) - x).square().mean()
        sgd = torchest.get_or_create("sgd", lambda: torch.optim.SGD(net.parameters(), lr=0.001))
        return torchest.EstimatorSpec(
            mode,
            loss=loss,
            train_op=sgd,
            training_hooks=training_hooks,
            training_chief_hooks=training_chief_hooks,
        )

    return model_fn


def input_fn():
    return inputs.Dataset.from_tensor_slices({"x": np.arange(40)}).shuffle(9).repeat().batch(4)


def another_process():
    torch.manual_seed(99)
    np.random.seed(99)
    random.seed(99)


def seeded():
    np.random.seed(1)
    random.seed(1)


def train(model_dir, hooks, listeners=(), at=None, moment="after_run", config=QUIET, **spec_hooks):
    """Trains to the end, or until it is interrupted."""
    interrupt = [] if at is None else [Interrupt(at, moment)]
    model = torchest.Estimator(model_fn_with(**spec_hooks), model_dir, config)
    try:
        model.train(input_fn, [*hooks, *interrupt], max_steps=STEPS, saving_listeners=listeners)
    except InterruptionError:
        another_process()
        return False
    return True


def everything(model_dir):
    """All that the last checkpoint holds, without the name of the run."""
    read = Checkpoint(latest_checkpoint(model_dir))
    training = {**read.training(), "run": "", "input": ""}
    tensors = {**read.model(), **read.optimizer()}
    return (
        read.global_step,
        {name: value.tolist() for name, value in tensors.items()},
        str(training),
    )


def assert_an_interruption_changes_nothing(tmp_path, make, at, moment="after_run", **arguments):
    """Trains with the hooks and listeners that `make` gives, without interruptions and with two."""
    seeded()
    kept = dict(zip(("hooks", "listeners"), make(), strict=False))
    assert train(tmp_path / "whole", **kept, **arguments)
    seeded()
    interruptions = [(at, moment), (at + 4, moment), (None, moment)]
    for when, where in interruptions:
        again = dict(zip(("hooks", "listeners"), make(), strict=False))
        train(tmp_path / "injured", **again, at=when, moment=where, **arguments)
    assert everything(tmp_path / "injured") == everything(tmp_path / "whole")
    return kept, again


@pytest.mark.parametrize(
    ("at", "moment"),
    [(0, "before_run"), (3, "before_run"), (7, "before_run")]
    + [(at, "after_run") for at in (1, 3, 4, 6, 7)],
)
def test_a_hook_has_counted_every_step_once(tmp_path, at, moment):
    def make():
        return [Count()], [Listener()]

    (kept, again) = assert_an_interruption_changes_nothing(tmp_path, make, at, moment)
    assert kept["hooks"][0].after == again["hooks"][0].after == STEPS
    assert again["hooks"][0].sessions == 1
    assert again["listeners"][0].state_dict() == kept["listeners"][0].state_dict()
    assert again["listeners"][0].before == again["listeners"][0].after == 5


@pytest.mark.parametrize("source", DRAWS)
@pytest.mark.parametrize("at", [2, 6, 8])
def test_a_hook_draws_the_same_random_numbers(tmp_path, source, at):
    assert_an_interruption_changes_nothing(
        tmp_path, lambda: ([Count(), Noise(DRAWS[source]), Count()], [Listener()]), at
    )


@pytest.mark.parametrize("at", [2, 6, 8])
@pytest.mark.parametrize("place", range(3))
def test_the_users_saver_may_stand_anywhere_and_keeps_the_state_of_its_listeners(
    tmp_path, at, place
):
    def make_in(directory):
        def make():
            saver = torchest.CheckpointSaverHook(directory, save_steps=3, listeners=[Listener()])
            hooks = [Count(), Noise(DRAWS["torch"])]
            return [*hooks[:place], saver, *hooks[place:]], [Listener()]

        return make

    for name in ("whole", "injured"):
        for when in (None,) if name == "whole" else (at, at + 4, None):
            hooks, listeners = make_in(tmp_path / name)()
            train(tmp_path / name, hooks, listeners, at=when)
    assert everything(tmp_path / "injured") == everything(tmp_path / "whole")


@pytest.mark.parametrize("at", [2, 6, 8])
def test_hooks_of_model_fn_are_exact_too(tmp_path, at):
    for name in ("whole", "injured"):
        for when in (None,) if name == "whole" else (at, at + 4, None):
            train(
                tmp_path / name,
                [Count()],
                at=when,
                training_hooks=[Count(), Noise(DRAWS["torch"])],
                training_chief_hooks=[Noise(DRAWS["torch"]), Count()],
            )
    assert everything(tmp_path / "injured") == everything(tmp_path / "whole")


def test_steps_of_several_batches_are_exact_too(tmp_path):
    assert_an_interruption_changes_nothing(
        tmp_path,
        lambda: ([Count(), Noise(DRAWS["torch"])],),
        5,
        config=QUIET.replace(accumulate_steps=2),
    )


@pytest.mark.parametrize(
    ("hooks", "listeners", "stopped_at"),
    [
        (lambda: [Count(stop_at=6), Count()], list, 6),
        (lambda: [Count(stop_at=5), Count()], list, 5),
        (lambda: [torchest.StopAtStepHook(last_step=6), Count()], list, 6),
        (lambda: [Count()], lambda: [Listener(stop_at=6)], 6),
        (lambda: [Count()], lambda: [Listener(stop_at=0)], 3),  # not at the first save
    ],
)
def test_a_stop_that_a_hook_asked_for_holds_when_training_is_killed_before_it_ends(
    tmp_path, monkeypatch, hooks, listeners, stopped_at
):
    with monkeypatch.context() as patch:
        patch.setattr("torchest.engine.resume.ResumableTraining.end", lambda self: None)
        train(tmp_path, hooks(), listeners())
    again = hooks()
    train(tmp_path, again, listeners())
    assert everything(tmp_path)[0] == stopped_at
    assert again[-1].after == stopped_at


def test_the_first_save_stops_no_training_that_resumes_from_it(tmp_path):
    train(tmp_path, [Count()], [Listener(stop_at=0)], at=2)
    count = Count()
    train(tmp_path, [count], [Listener(stop_at=0)])
    assert count.after == 3


def test_reaching_max_steps_is_no_stop_for_a_later_training(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("torchest.engine.resume.ResumableTraining.end", lambda self: None)
        train(tmp_path, [Count()])
    count = Count()
    model = torchest.Estimator(model_fn_with(), tmp_path, QUIET)
    model.train(input_fn, [count], max_steps=STEPS + 2)
    assert count.after == STEPS + 2


def test_what_end_changes_is_not_in_a_checkpoint_that_training_resumes_from(tmp_path):
    """SIGTERM ends the loop as a stop does: `end` is called, and the next call goes on."""

    class Interrupted(torchest.SessionRunHook):
        def after_run(self, run_context, run_values):
            if run_context.session.global_step == 7:
                run_context.session.interrupt()

    for name, interrupts in (("whole", [[]]), ("injured", [[Interrupted()], []])):
        for interrupt in interrupts:
            with pytest.MonkeyPatch.context() as patch:
                if interrupt:
                    patch.setattr("torchest.engine.resume.ResumableTraining.end", lambda self: None)
                train(tmp_path / name, [Noise(DRAWS["torch"]), Count(), *interrupt])
            another_process()
    steps, weights, _ = everything(tmp_path / "injured")
    assert (steps, weights) == everything(tmp_path / "whole")[:2]


def test_an_exception_in_a_hook_leaves_its_step_unsaved(tmp_path):
    train(tmp_path, [Count()], at=6)
    assert everything(tmp_path)[0] == 3


class Keeps(torchest.SessionRunHook):
    """Keeps what it was given, and notes what it gets back."""

    def __init__(self, kept):
        self.kept, self.got = kept, None

    def state_dict(self):
        return self.kept

    def load_state_dict(self, state):
        self.got = state


def test_a_state_that_no_hook_takes_back_is_told(tmp_path, caplog):
    train(tmp_path, [Count(), Keeps({}), Count()], [Listener()], at=7)
    train(tmp_path, [Count(), Keeps({}), Count()], [Listener()], at=8)
    assert "dropped" not in caplog.text
    train(tmp_path, [Count()])
    assert "does not have; it is dropped: Count-1, Keeps, Listener." in caplog.text


ROW = torch.arange(6.0)


@pytest.mark.parametrize(
    "kept",
    [
        {"turned": ROW.reshape(2, 3).t()},
        {"now": ROW, "best": ROW},
        {"first": ROW[:4], "last": ROW[2:], "every_other": ROW[::2]},
        {"by_layer": {(0, "weight"): ROW, (1, "weight"): [ROW, (2, None)]}, 3: {True: 1.5}},
        {"of_its_own": np.random.default_rng(1).bit_generator.state},
        random.Random(1).getstate(),
    ],
    ids=["transposed", "twice", "views", "tuples as keys", "numpy", "python"],
)
def test_a_hook_gets_back_what_it_kept_in_any_form(tmp_path, kept):
    train(tmp_path, [Keeps(kept)], at=4)
    again = Keeps(kept)
    train(tmp_path, [again])
    assert str(again.got) == str(kept)


def test_numbers_of_numpy_come_back_as_numbers(tmp_path):
    kept = {np.int64(3): np.float64(0.1), (np.int64(1), "a"): ROW}
    train(tmp_path, [Keeps(kept)], at=4)
    again = Keeps(kept)
    train(tmp_path, [again])
    assert again.got == {3: 0.1, (1, "a"): again.got[1, "a"]}
    assert torch.equal(again.got[1, "a"], ROW)


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ({"a.0": ROW, "a": [ROW]}, "two tensors at 'training.hooks.Keeps.a.0': name them by"),
        ({1: ROW, "1": ROW}, "two tensors at 'training.hooks.Keeps.1': name them by"),
        ({b"a": 1}, "holds a bytes at 'training.hooks.Keeps.<key>', which a checkpoint cannot"),
        ({"a": {frozenset([1]): 1}}, "holds a frozenset at 'training.hooks.Keeps.a.<key>'"),
        ({ROW: 1}, "has a tensor as a key of 'training.hooks.Keeps'"),
        ({"a": ROW.to_sparse()}, "holds a sparse tensor at 'training.hooks.Keeps.a'"),
        ({"a": ROW.numpy()}, "holds a ndarray at 'training.hooks.Keeps.a'"),
        ({"a": {1}}, "holds a set at 'training.hooks.Keeps.a'"),
    ],
)
def test_what_a_checkpoint_cannot_keep_is_refused_before_the_first_step(tmp_path, kept, message):
    count = Count()
    with pytest.raises((TypeError, ValueError), match=message):
        train(tmp_path, [count, Keeps(kept)])
    assert count.after == 0


@pytest.mark.parametrize("at", [2, 5, 7])
def test_a_number_of_steps_to_stop_after_has_those_before_an_interruption(tmp_path, at):
    def hooks():
        return [torchest.StopAtStepHook(num_steps=8), torchest.StopAtStepHook(num_steps=11)]

    train(tmp_path, hooks(), at=at)
    train(tmp_path, hooks())
    assert everything(tmp_path)[0] == 8
    train(tmp_path, [torchest.StopAtStepHook(num_steps=3)])  # the next training counts anew
    assert everything(tmp_path)[0] == 11


@pytest.mark.parametrize("at", [2, 5, 7, 10])
def test_early_stopping_asks_at_the_same_steps(tmp_path, caplog, at):
    asked = {"whole": set(), "injured": set()}
    for name, interruptions in (("whole", [None]), ("injured", [at, None])):
        for when in interruptions:
            count = Count()
            ask = torchest.experimental.make_early_stopping_hook(
                torchest.Estimator(model_fn_with(), tmp_path / name, QUIET),
                lambda name=name, count=count: asked[name].add(count.after),
                run_every_secs=None,
                run_every_steps=5,
            )
            train(tmp_path / name, [count, ask], at=when)
    assert asked["injured"] == asked["whole"] == {1, 6, 11}
    assert "could not end" not in caplog.text


def test_a_checkpoint_of_an_earlier_version_gives_hooks_their_state(tmp_path, monkeypatch):
    """It says neither where the training began nor what numpy and Python would have drawn."""
    with monkeypatch.context() as patch:
        state = torchest.engine.resume.ResumableTraining.state
        new = ("began_at", "is_stopped", "random_of_host")
        patch.setattr(
            "torchest.engine.resume.ResumableTraining.state",
            lambda run, session: {k: v for k, v in state(run, session).items() if k not in new},
        )
        train(tmp_path, [Count(), Noise(DRAWS["torch"])], at=7)
    count = Count()
    train(tmp_path, [count, Noise(DRAWS["torch"])])
    assert (count.after, count.sessions) == (STEPS, 1)
