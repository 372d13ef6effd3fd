"""Which device each process gets, and what gradients go over; there is no GPU in it."""

from __future__ import annotations

import types

import pytest
import torch

from torchest.distributed import devices, process_group
from torchest.distributed.cluster import Cluster
from torchest.distributed.devices import Seen, devices_of

NONE, FIRST, SECOND, THIRD = [], "GPU-1", "GPU-2", "GPU-3"


def seen(host="a", local_rank=None, gpus=(), has_nccl=True):
    return Seen(host, local_rank, list(gpus), has_nccl)


@pytest.mark.parametrize(
    ("processes", "indices", "reason"),
    [
        pytest.param(
            [seen("a", 0, [FIRST, SECOND]), seen("a", 1, [FIRST, SECOND])],
            [0, 1],
            "",
            id="torchrun on a machine of two GPUs",
        ),
        pytest.param(
            [seen("a", 0, [FIRST]), seen("a", 1, [SECOND])],
            [0, 0],
            "",
            id="each is shown one GPU by CUDA_VISIBLE_DEVICES",
        ),
        pytest.param(
            [seen("pod-0", None, [FIRST]), seen("pod-1", None, [SECOND])],
            [0, 0],
            "",
            id="pods with ranks only",
        ),
        pytest.param(
            [
                seen("a", None, [FIRST, SECOND]),
                seen("b", None, [THIRD]),
                seen("a", None, [FIRST, SECOND]),
            ],
            [0, 0, 1],
            "",
            id="tasks of TF_CONFIG, two on one machine",
        ),
        pytest.param(
            [seen("a", 0, [FIRST]), seen("a", 1, [FIRST])],
            [0, 0],
            "processes 0 and 1 share the GPU GPU-1 of a",
            id="two processes on one GPU",
        ),
        pytest.param(
            [
                seen("a", 0, [FIRST, SECOND]),
                seen("a", 1, [FIRST, SECOND]),
                seen("b", 0, [THIRD]),
                seen("b", 1, [THIRD]),
            ],
            [0, 1, 0, 0],
            "processes 2 and 3 share the GPU GPU-3 of b",
            id="unequal machines",
        ),
        pytest.param(
            [seen("a", 0, [FIRST]), seen("b", 0)],
            [0, None],
            "process 1 on b has no GPU",
            id="a machine without a GPU",
        ),
        pytest.param(
            [seen("a", 0, [FIRST]), seen("b", 0, [SECOND], has_nccl=False)],
            [0, 0],
            "the torch of process 1 on b has no NCCL",
            id="a torch without NCCL",
        ),
        pytest.param([seen(), seen()], [None, None], "there are no GPUs", id="no GPUs"),
    ],
)
def test_each_process_has_a_gpu_of_its_own_or_all_use_gloo(processes, indices, reason):
    chosen = devices_of(processes)
    assert chosen.indices == indices
    assert chosen.over_nccl == (not reason)
    assert chosen.reason == (reason or "each process has a GPU of its own")


@pytest.fixture
def fake_cuda(monkeypatch):
    """A machine with two GPUs; the list says which device was set."""
    chosen = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(
        torch.cuda,
        "get_device_properties",
        lambda index: types.SimpleNamespace(uuid=f"uuid-{index}"),
    )
    return chosen


@pytest.mark.usefixtures("fake_cuda")
def test_what_a_process_sees():
    here = Seen.here(local_rank=1)
    assert here.gpus == ["uuid-0", "uuid-1"]
    assert (here.host, here.local_rank) == (devices.platform.node(), 1)


@pytest.fixture
def started(monkeypatch):
    """The arguments with which process groups were made, none of which is made."""
    groups = []
    monkeypatch.setattr(process_group, "store_of", lambda *_, **__: None)
    monkeypatch.setattr(
        process_group.dist, "init_process_group", lambda *a, **k: groups.append((a, k))
    )
    monkeypatch.setattr(process_group.atexit, "register", lambda function: None)
    return groups


@pytest.mark.parametrize(
    ("others", "backend"), [(["uuid-0"], "gloo"), (["uuid-of-another"], "cpu:gloo,cuda:nccl")]
)
def test_all_processes_decide_alike(others, backend, fake_cuda, started, monkeypatch, caplog):
    caplog.set_level("INFO", "torchest")
    monkeypatch.setattr(process_group.dist, "is_nccl_available", lambda: True)
    other = process_group.json.dumps(
        {"host": devices.platform.node(), "local_rank": None, "gpus": others, "has_nccl": True}
    )
    monkeypatch.setattr(process_group, "meet", lambda store, *_: (store, [_[-1], other]))
    device = process_group.connect(Cluster(0, 2, launcher="TF_CONFIG", address="a:1"))
    assert device == torch.device("cuda", 0)
    assert fake_cuda == [device]
    [((made,), options)] = started
    assert made == backend
    assert options["device_id"] == (device if "nccl" in backend else None)
    way = (
        "over NCCL, as each process has a GPU"
        if "nccl" in backend
        else "over gloo, as processes 0 and 1 share"
    )
    host = devices.platform.node()
    assert f"The 2 processes are connected, on {host}; gradients go {way}" in caplog.text


class TestAGroupOfTheProgram:
    @pytest.fixture(autouse=True)
    def _group(self, monkeypatch):
        monkeypatch.setattr(process_group.dist, "is_initialized", lambda: True)

    def backends(self, monkeypatch, text):
        monkeypatch.setattr(process_group.dist, "get_backend_config", lambda: text)

    def test_is_used(self, monkeypatch, started):
        self.backends(monkeypatch, "cpu:gloo,cuda:gloo")
        assert process_group.connect(Cluster(1, 2)) == torch.device("cpu")
        assert not started

    def test_is_used_with_the_devices_of_the_launcher(self, monkeypatch, fake_cuda):
        self.backends(monkeypatch, "cpu:gloo,cuda:nccl")
        assert process_group.connect(Cluster(3, 4, local_rank=3)) == torch.device("cuda", 1)
        assert fake_cuda == [torch.device("cuda", 1)]

    def test_is_used_with_the_device_that_the_program_has_set(self, monkeypatch, fake_cuda):
        self.backends(monkeypatch, "cpu:gloo,cuda:nccl")
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
        assert process_group.connect(Cluster(2, 4, local_rank=2)) == torch.device("cuda", 1)

    @pytest.mark.usefixtures("fake_cuda")
    @pytest.mark.parametrize(("text", "kind"), [("cuda:nccl", "cpu"), ("cpu:gloo", "cuda")])
    def test_without_a_backend_that_is_needed_is_refused(self, monkeypatch, text, kind):
        self.backends(monkeypatch, text)
        message = rf"with the backends '{text}', which has none for {kind}: .*init_process_group"
        with pytest.raises(ValueError, match=message):
            process_group.connect(Cluster(1, 2))
