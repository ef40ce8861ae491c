"""In: what a server does. Out: its numbers as Prometheus reads them; no text, no id, no name that a client chose."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

#: Of ``Metrics.page``.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_DOCUMENTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The numbers of one server.

    Args:
        version: of vaner.
        model: the models' plain names.
    """

    def __init__(self, version: str, model: str) -> None:
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        Info("vaner", "What is served.", registry=registry).info({"version": version, "model": model})
        self.requests = Counter(
            "vaner_requests", "Requests by route and status.", ["route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "vaner_request_seconds",
            "From a request's first byte to the last of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.documents = Counter("vaner_documents", "Documents tagged for a client.", registry=registry)
        self.characters = Counter("vaner_characters", "Characters of these.", registry=registry)
        self.spans = Counter("vaner_spans", "Spans found in these.", registry=registry)
        self.failed = Counter(
            "vaner_failed_documents", "Documents that could not be tagged.", registry=registry
        )
        self.cancelled = Counter(
            "vaner_cancelled", "Requests whose client went away first.", registry=registry
        )
        self.open = Gauge("vaner_open_requests", "Requests being read, waiting or tagged.", registry=registry)
        self.held = Gauge("vaner_held_bytes", "Bytes of the bodies of these.", registry=registry)
        self.waiting = Gauge("vaner_waiting_documents", "Documents that wait for a run.", registry=registry)
        self.ready = Gauge("vaner_ready", "1 while new requests are taken.", registry=registry)
        self._run_seconds = Histogram(
            "vaner_run_seconds", "Runs of the tagger.", buckets=_SECONDS, registry=registry
        )
        self._run_documents = Histogram(
            "vaner_run_documents", "Documents that shared a run.", buckets=_DOCUMENTS, registry=registry
        )

        self._ran, self._read = 0.0, 0

    @contextlib.contextmanager
    def run(self, documents: int) -> Iterator[None]:
        """Time a run of the tagger."""
        started = time.monotonic()
        try:
            yield
        finally:
            seconds = time.monotonic() - started
            self._run_documents.observe(documents)
            self._run_seconds.observe(seconds)
            self._ran += seconds
            self._read += documents

    def seconds_a_document(self) -> float:
        """What a document of a run took so far; 1 before the first."""
        return self._ran / self._read if self._read else 1.0

    def page(self) -> bytes:
        """All numbers, in Prometheus's text format."""
        return generate_latest(self.registry)
