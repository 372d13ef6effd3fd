"""Processes that find each other, as threads that share a store."""

from __future__ import annotations

import json
import socket
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from datetime import timedelta

import pytest
from torch.distributed import HashStore

from torchest.distributed import meeting
from torchest.distributed.cluster import Cluster
from torchest.distributed.meeting import meet, store_of


@pytest.fixture
def store():
    return HashStore()


def met(store, ranks, size=3):
    """What each of the processes gets, in the order in which they come."""
    with ThreadPoolExecutor(size) as threads:
        coming = [threads.submit(meet, store, rank, size, f"{{I am {rank}}}") for rank in ranks]
        return [each.result(timeout=30) for each in coming]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_all_hear_all_in_any_order(store, order):
    results = met(store, order)
    assert [messages for _, messages in results] == [["{I am 0}", "{I am 1}", "{I am 2}"]] * 3
    results[0][0].set("address", "of the chief")
    assert results[2][0].get("address") == b"of the chief"


def test_after_a_restart_nothing_of_the_former_processes_is_read(store):
    for _ in range(3):
        results = met(store, (0, 1, 2))
        assert not results[0][0].check(["address"])
        results[0][0].set("address", "of a process that dies")


def test_a_process_that_has_died_before_the_meeting_is_replaced(store):
    """Its card is there, and names a process that never comes."""
    store.set("torchest/card/1", json.dumps(["a former process", 3, "{I was 1}"]))
    assert met(store, (0, 2, 1))[0][1][1] == "{I am 1}"


def test_processes_of_a_larger_cluster_are_not_of_this_one(store):
    met(store, (0, 1, 2))
    assert met(store, (0, 1), size=2)[1][1] == ["{I am 0}", "{I am 1}"]


def test_two_processes_of_one_rank_are_told(store):
    with ThreadPoolExecutor(4) as threads:
        twins = [threads.submit(meet, store, 1, 3, "") for _ in range(2)]
        [refused], [taken] = wait(twins, timeout=30, return_when=FIRST_COMPLETED)
        with pytest.raises(RuntimeError, match="Two processes say that they are process 1 of 3"):
            refused.result()
        others = [threads.submit(meet, store, rank, 3, "") for rank in (0, 2)]
        assert [each.result(timeout=30)[1] for each in (taken, *others)] == [[""] * 3] * 3


def test_who_does_not_come_is_told(store, monkeypatch, caplog):
    monkeypatch.setattr(meeting, "_PATIENCE", timedelta(seconds=0.5))
    monkeypatch.setattr(meeting, "_LOG_SECS", 0.1)
    caplog.set_level("INFO", "torchest")
    with pytest.raises(RuntimeError, match=r"waited 0:00:00\.5\d* for processes 1 and 2 of 3: "):
        meet(store, 0, 3, "")
    assert "Waiting for processes 1 and 2 of 3, since 0 s." in caplog.text
    with pytest.raises(RuntimeError, match="The other 2 processes did not come"):
        meet(HashStore(), 1, 3, "")


def test_a_process_that_is_told_another_number_of_processes_is_named(store, monkeypatch):
    monkeypatch.setattr(meeting, "_PATIENCE", timedelta(seconds=0.5))
    store.set("torchest/card/1", json.dumps(["a process", 3, "{I am 1}"]))
    expected = r"process 1 of 2 \(a process 1 of 3 came: all must be told the same number"
    with pytest.raises(RuntimeError, match=expected):
        meet(store, 0, 2, "")


def test_the_end_of_the_chief_is_told_while_others_wait():
    port = free_port()
    chief = store_of(of_tf_config(0, port), is_launchers=False)
    worker = store_of(of_tf_config(1, port), is_launchers=False)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(meet, worker, 1, 2, "")
        while not chief.check(["torchest/card/1"]):
            time.sleep(0.01)
        del chief
        with pytest.raises(
            RuntimeError, match=r"Process 1 of 2 .* lost the connection to the chief"
        ):
            waiting.result(timeout=30)


class TestTheStore:
    @pytest.mark.parametrize(
        ("address", "message"),
        [
            (
                None,
                "By RANK and WORLD_SIZE there are 2 processes, but nothing says where they meet",
            ),
            ("localhost", "'localhost': it must be a host and a port, such as 'host0:2222'"),
            ("host:port", "'host:port': it must be a host and a port"),
            ("host:70000", "'host:70000': it must be a host and a port"),
            ("http://host:2222", "'http://host:2222': it must be a host and a port"),
        ],
    )
    def test_needs_an_address_with_a_port(self, address, message):
        cluster = Cluster(1, 2, launcher="RANK and WORLD_SIZE", address=address)
        with pytest.raises(ValueError, match=message):
            store_of(cluster, is_launchers=False)

    def test_is_at_the_chief(self):
        port = free_port()
        chief = store_of(of_tf_config(0, port), is_launchers=False)
        worker = store_of(of_tf_config(1, port), is_launchers=False)
        chief.set("key", "value")
        assert worker.get("key") == b"value"

    def test_of_a_second_chief_is_refused(self):
        port = free_port()
        first = store_of(of_tf_config(0, port), is_launchers=False)
        with pytest.raises(
            RuntimeError, match=rf"The chief cannot listen at port {port} .*Two proc"
        ):
            store_of(of_tf_config(0, port), is_launchers=False)
        del first

    def test_without_a_chief_is_told(self, monkeypatch):
        monkeypatch.setattr(meeting, "_PATIENCE", timedelta(seconds=0.5))
        monkeypatch.setattr(meeting, "_LOG_SECS", 0.2)
        with pytest.raises(
            RuntimeError, match="Process 1 of 2 cannot reach the chief at localhost:"
        ):
            store_of(of_tf_config(1, free_port()), is_launchers=False)


def of_tf_config(rank, port):
    return Cluster(rank, 2, launcher="TF_CONFIG", address=f"localhost:{port}")


def free_port():
    with socket.socket() as listening:
        listening.bind(("", 0))
        return listening.getsockname()[1]
