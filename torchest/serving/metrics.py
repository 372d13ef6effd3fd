"""Metrics of the server, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)


class Metrics:
    """The metrics of one server."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "torchest_requests", "Requests answered", ["verb", "status"], registry=registry
        )
        self._seconds = Histogram(
            "torchest_request_seconds", "Seconds from the first byte to the answer", ["verb"], registry=registry
        )  # fmt: skip
        self._runs = Histogram(
            "torchest_run_rows", "Rows of a run of the model", buckets=_ROWS, registry=registry
        )
        self._version = Gauge(
            "torchest_version", "The version that answers by default", registry=registry
        )
        self._failed = Counter(
            "torchest_failed_versions", "Versions that could not be loaded", registry=registry
        )

    def answered(self, verb: str, status: int, seconds: float) -> None:
        """Counts a request."""
        self._requests.labels(verb, str(status)).inc()
        self._seconds.labels(verb).observe(seconds)

    def ran(self, rows: int) -> None:
        """Counts a run of the model."""
        self._runs.observe(rows)

    def serves(self, version: str) -> None:
        """Sets the version that answers by default."""
        self._version.set(int(version) if version.isdecimal() else 0)

    def failed(self) -> None:
        """Counts a version that could not be loaded."""
        self._failed.inc()

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)
