"""The processes of a cluster find each other in a store, started in any order, and again after a restart.

After a death torchrun starts all processes again, on the same store, which still has what the former ones wrote. So
each process leaves a card that no other process ever wrote, and the chief names the cards of a meeting: who reads its
own card there takes part, and says so. If a card changes before all have said so, it was that of a former process, and
the chief calls the next meeting.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING

from torch.distributed import (  # type: ignore[attr-defined]
    DistNetworkError,
    PrefixStore,
    TCPStore,
)

from torchest.distributed.waiting import listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch.distributed import Store  # type: ignore[attr-defined]

    from torchest.distributed.cluster import Cluster

_log = logging.getLogger("torchest")
_PATIENCE = timedelta(minutes=30)
_LOG_SECS = 30.0
_POLL_SECS = 0.05


def store_of(cluster: Cluster, *, is_launchers: bool) -> Store:
    """Opens the store in which the processes meet.

    Args:
        cluster: The processes.
        is_launchers: Whether the launcher holds the store; if not, the chief does.

    Raises:
        ValueError: The launcher names no address.
        RuntimeError: The chief cannot listen at the address, or does not.
    """
    host, port = _host_and_port(cluster)
    if cluster.rank == 0 and not is_launchers:
        try:
            # not by its own name, which its machine may not know yet
            return TCPStore(
                "localhost", port, is_master=True, wait_for_workers=False, timeout=_PATIENCE
            )
        except RuntimeError as error:
            raise RuntimeError(
                f"The chief cannot listen at port {port} of {cluster.address}, by {cluster.launcher}: {error}. Two "
                "processes may be the chief, or another program has the port: start one chief, or give another port."
            ) from error
    attempt = timedelta(seconds=_LOG_SECS)
    for _ in _patiently(lambda: f"the chief to listen at {cluster.address}", poll_secs=1.0):
        try:
            store = TCPStore(host, port, is_master=False, wait_for_workers=False, timeout=attempt)
        except RuntimeError as error:  # nobody listens yet
            reason = error
        else:
            store.set_timeout(_PATIENCE)
            return store
    raise RuntimeError(
        f"Process {cluster.rank} of {cluster.world_size} cannot reach the chief at {cluster.address}, by "
        f"{cluster.launcher}: {reason}. Start the chief, and let its address and port be reachable."
    ) from reason


def meet(store: Store, rank: int, size: int, message: str) -> tuple[Store, list[str]]:
    """Exchanges a message with all processes.

    Args:
        store: The store in which they meet.
        rank: The number of this process.
        size: The number of processes.
        message: What this process says.

    Returns:
        A store of this meeting alone, and the messages by rank.

    Raises:
        RuntimeError: Some process does not come, two have the same rank, or the one that holds the store ends.
    """
    try:
        meeting = _Meeting(store, rank, size, message)
        name, cards = meeting.of_chief() if rank == 0 else meeting.of_worker()
    except DistNetworkError as error:
        raise RuntimeError(
            f"Process {rank} of {size} waited for the others, and lost the connection to the chief or to torchrun, "
            f"which has probably ended ({error}): see its log, and start all processes again."
        ) from error
    return PrefixStore(f"torchest/{name}", store), [json.loads(card)[-1] for card in cards]


class _Meeting:
    """A meeting as one process takes part in it."""

    def __init__(self, store: Store, rank: int, size: int, message: str) -> None:
        self._store = store
        self._rank = rank
        self._size = size
        self._missing = list(range(1, size))
        self._card = json.dumps([uuid.uuid4().hex, size, message])
        store.set(self._place(rank), self._card)

    def of_chief(self) -> tuple[str, list[str]]:
        """Calls meetings until all have come to one; returns its name and the cards."""
        name, named = "", [""]
        for _ in _patiently(self._missing_processes):
            cards = [self._card_of(rank) for rank in range(self._size)]
            self._missing = [rank for rank, card in enumerate(cards) if not card]
            if self._missing:
                continue
            if cards != named:
                name, named = uuid.uuid4().hex, cards
                self._store.set("torchest/meeting", json.dumps([name, named]))
            self._missing = [rank for rank in range(1, self._size) if not self._came(name, rank)]
            if not self._missing:
                self._store.set(f"torchest/{name}/begins", "")
                return name, named
        raise RuntimeError(
            f"The chief waited {_PATIENCE} for {self._missing_processes()}: start all of them, and see their logs."
        )

    def of_worker(self) -> tuple[str, list[str]]:
        """Comes to the meeting that names this process, and waits until all have come."""
        for _ in _patiently(
            lambda: f"the other {self._size - 1} processes, of which the chief names missing ones"
        ):
            if self._store.get(self._place(self._rank)).decode() != self._card:
                raise RuntimeError(
                    f"Two processes say that they are process {self._rank} of {self._size}: start each task once."
                )
            if not self._store.check(["torchest/meeting"]):
                continue
            name, cards = json.loads(self._store.get("torchest/meeting"))
            if self._card not in cards:
                continue
            self._store.set(f"torchest/{name}/came/{self._rank}", "")
            if self._store.check([f"torchest/{name}/begins"]):
                return name, cards
        raise RuntimeError(
            f"The other {self._size - 1} processes did not come within {_PATIENCE}: start all of "
            "them, and see their logs."
        )

    def _card_of(self, rank: int) -> str:
        """The card of a process; empty if it has left none, or one that is of a cluster of another size."""
        card = self._any_card_of(rank)
        return card if card and json.loads(card)[1] == self._size else ""

    def _any_card_of(self, rank: int) -> str:
        is_there = self._store.check([self._place(rank)])
        return self._store.get(self._place(rank)).decode() if is_there else ""

    def _came(self, name: str, rank: int) -> bool:
        return bool(self._store.check([f"torchest/{name}/came/{rank}"]))

    def _missing_processes(self) -> str:
        sizes = {rank: json.loads(self._any_card_of(rank) or "[0, 0]")[1] for rank in self._missing}
        strangers = [rank for rank, size in sizes.items() if size not in (0, self._size)]
        came = "".join(
            f" (a process {rank} of {sizes[rank]} came: all must be told the same number of processes)"
            for rank in strangers[:1]
        )
        return f"{listed(self._missing)} of {self._size}{came}"

    @staticmethod
    def _place(rank: int) -> str:
        return f"torchest/card/{rank}"


def _patiently(awaited: Callable[[], str], poll_secs: float = _POLL_SECS) -> Iterator[None]:
    """Yields again and again until patience ends, and logs what is awaited."""
    start = logged = time.monotonic()
    while time.monotonic() - start < _PATIENCE.total_seconds():
        yield
        time.sleep(poll_secs)
        if time.monotonic() - logged >= _LOG_SECS:
            logged = time.monotonic()
            _log.info("Waiting for %s, since %.0f s.", awaited(), logged - start)


def _host_and_port(cluster: Cluster) -> tuple[str, int]:
    if cluster.address is None:
        raise ValueError(
            f"By {cluster.launcher} there are {cluster.world_size} processes, but nothing says where they meet: set "
            "MASTER_ADDR and MASTER_PORT to a host and port of rank 0, or start the program by torchrun."
        )
    host, _, port = cluster.address.rpartition(":")
    if not host or "/" in host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(
            f"By {cluster.launcher} there are {cluster.world_size} processes, which meet at the chief's address "
            f"{cluster.address!r}: it must be a host and a port, such as 'host0:2222'."
        )
    return host.strip("[]"), int(port)
