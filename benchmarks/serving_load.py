"""`torchest serve` under load: clients, malformed and huge requests, slow clients, and new versions, all at once.

    python -m benchmarks.serving_load [--requests 20000] [--clients 32] [--slow 50]

A twentieth of the requests are malformed, a hundredth are huge; a new version appears every five seconds. Each answer
to a right request is compared with what the model answers in this process. At the end SIGTERM comes while
requests run. Prints what was right, how long requests took, and the server's memory.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

import torchest
from torchest import columns

WORDS = [f"word{number}" for number in range(200)]
HUGE = 5000  # rows
MALFORMED = (
    b"{",
    b'{"instances": [{"age": "old"}]}',
    b'{"instances": [{"agee": 3}]}',
    b'{"instances": [{"town": "\\ud800"}]}',
    b'{"signature_name": "no", "instances": []}',
    b'{"instances": [{"n": 1e30}]}',
)


def exported(base: Path) -> str:
    """The directory of a model that reads a number, text, lists and ids."""
    read = [
        columns.numeric_column("age", default_value=20.0),
        columns.categorical_column_with_hash_bucket("town", 1000),
        columns.categorical_column_with_vocabulary_list("tags", WORDS),
        columns.categorical_column_with_identity("n", 100, default_value=0),
    ]
    rng = np.random.default_rng(0)
    features = {
        "age": rng.normal(40, 10, 512).astype(np.float32),
        "town": rng.choice(WORDS, 512),
        "tags": rng.choice(WORDS, 512),
        "n": rng.integers(0, 100, 512),
    }
    config = torchest.RunConfig(tf_random_seed=1)
    model = torchest.LinearClassifier(read, base / "model", config=config)
    model.train(lambda: (features, (features["age"] > 40).astype(np.int64)), steps=50)
    receiver_fn = torchest.export.build_raw_serving_input_receiver_fn(
        columns.make_parse_example_spec(read)
    )
    return model.export_saved_model(base / "exports", receiver_fn, formats=("onnx",))


def rows_of(rng: random.Random, count: int) -> list[dict[str, Any]]:
    """Rows that a client may send."""
    return [
        {
            "age": rng.uniform(0, 90),
            "town": rng.choice(WORDS),
            "tags": rng.choices(WORDS, k=rng.randrange(6)),
            "n": rng.randrange(100),
        }
        for _ in range(count)
    ]


class Question:
    """A right request, and its answer."""

    def __init__(self, rng: random.Random, rows: int, signature: Any) -> None:
        instances = rows_of(rng, rows)
        self.body = json.dumps({"signature_name": "predict", "instances": instances}).encode()
        by_name = {key: [row[key] for row in instances] for key in instances[0]}
        self._logits = signature(**by_name)["logits"]

    def is_answered_by(self, status: int, answer: Any) -> bool:
        """Whether an answer is the right one."""
        if status != 200:
            return False
        logits = np.array([each["logits"] for each in answer["predictions"]])
        return logits.shape == self._logits.shape and np.allclose(logits, self._logits, atol=1e-5)


class Client(threading.Thread):
    """Sends requests over one connection, and compares the answers."""

    def __init__(
        self, port: int, seed: int, requests: int, asked: dict[str, list[Question]]
    ) -> None:
        super().__init__()
        self._port, self._rng, self._requests = port, random.Random(seed), requests
        self._asked = asked
        self.counts: Counter[str] = Counter()
        self.seconds: list[float] = []

    def run(self) -> None:
        """Sends and compares."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        for _ in range(self._requests):
            draw = self._rng.random()
            if draw < 0.05:
                status, _ = self._ask(connection, self._rng.choice(MALFORMED))
                self.counts["malformed, refused" if status == 400 else "malformed, WRONG"] += 1
                continue
            kind = "huge" if draw < 0.06 else "right"
            question = self._rng.choice(self._asked[kind])
            began = time.perf_counter()
            answer = self._ask(connection, question.body)
            if kind == "right":
                self.seconds.append(time.perf_counter() - began)
            outcome = "answered" if question.is_answered_by(*answer) else "WRONG"
            self.counts[f"{kind}, {outcome}"] += 1
        connection.close()

    @staticmethod
    def _ask(connection: http.client.HTTPConnection, body: bytes) -> tuple[int, Any]:
        connection.request("POST", "/v1/models/model:predict", body)
        with connection.getresponse() as answer:
            return answer.status, json.load(answer)


def slow_clients(port: int, count: int) -> list[socket.socket]:
    """Connections that send the beginning of a request, and nothing more."""
    opened = []
    for number in range(count):
        client = socket.create_connection(("127.0.0.1", port))
        head = b"POST /v1/models/model:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"
        client.sendall(head[: 20 if number % 2 else None])
        opened.append(client)
    return opened


def add_versions(exports: Path, first: str, stop: threading.Event) -> None:
    """Copies the export under a new name every five seconds."""
    number = int(Path(first).name)
    while not stop.wait(5):
        number += 1
        shutil.copytree(first, exports.parent / "copy")
        (exports.parent / "copy").rename(exports / str(number))


def memory_of(process: int) -> int:
    """The resident memory of a process, in MB."""
    pages = int(Path(f"/proc/{process}/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20


def ended_by_sigterm(server: subprocess.Popen[bytes], port: int) -> str:
    """Ends the server while eight requests run, and tells how many were answered."""
    rows = rows_of(random.Random(1), 5000)
    body = json.dumps({"instances": rows}).encode()
    statuses: list[int] = []

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        connection.request("POST", "/v1/models/model:predict", body)
        with connection.getresponse() as answer:
            statuses.append(answer.status * (len(json.load(answer)["predictions"]) == len(rows)))

    asking = [threading.Thread(target=ask) for _ in range(8)]
    for each in asking:
        each.start()
    time.sleep(0.5)
    server.send_signal(signal.SIGTERM)
    for each in asking:
        each.join()
    server.wait(60)
    return f"{statuses.count(200)} of {len(asking)}"


def started(exports: Path) -> tuple[subprocess.Popen[bytes], int]:
    """The server, and its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "torchest", "serve", str(exports), "--port", str(port)]
    server = subprocess.Popen([*command, "--log-level", "error", "--timeout", "20"])
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return server, port
        except OSError:
            time.sleep(0.1)


def ask_all(clients: list[Client], exports: Path, first: str, slow: int, port: int) -> float:
    """Lets all clients ask, beside slow ones and new versions; gives the seconds that took."""
    stop = threading.Event()
    versions = threading.Thread(target=add_versions, args=(exports, first, stop))
    versions.start()
    opened = slow_clients(port, slow)
    began = time.perf_counter()
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    seconds = time.perf_counter() - began
    stop.set()
    versions.join()
    for each in opened:
        each.close()
    return seconds


def main() -> None:
    """Runs the campaign; exits with 1 if an answer was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--slow", type=int, default=50)
    options = parser.parse_args()
    base = Path(tempfile.mkdtemp())
    path = exported(base)
    signature = torchest.export.load(path).signatures["predict"]
    server, port = started(base / "exports")
    before = memory_of(server.pid)
    each = options.requests // options.clients
    rng = random.Random(0)
    asked = {
        "right": [Question(rng, rng.randrange(1, 5), signature) for _ in range(400)],
        "huge": [Question(rng, HUGE, signature) for _ in range(4)],
    }
    clients = [Client(port, seed, each, asked) for seed in range(options.clients)]
    seconds = ask_all(clients, base / "exports", path, options.slow, port)
    counts: Counter[str] = sum((client.counts for client in clients), Counter())
    taken = sorted(second for client in clients for second in client.seconds)
    print(
        f"{counts.total()} requests of {len(clients)} clients in {seconds:.1f} s, beside {options.slow} slow ones,"
    )
    print(
        f"and {len(os.listdir(base / 'exports'))} versions; the clients check each answer on the same cores."
    )
    for kind, count in sorted(counts.items()):
        print(f"  {kind}: {count}")
    print(f"  {counts.total() / seconds:.0f} requests a second")
    late = taken[int(len(taken) * 0.99)]
    print(f"  p50 {statistics.median(taken) * 1000:.1f} ms, p99 {late * 1000:.1f} ms")
    print(f"  memory {before} MB before, {memory_of(server.pid)} MB after")
    answered = ended_by_sigterm(server, port)
    print(f"  requests that ran at SIGTERM and were answered: {answered}")
    shutil.rmtree(base)
    sys.exit(any("WRONG" in kind for kind in counts) or answered != "8 of 8")


if __name__ == "__main__":
    main()
