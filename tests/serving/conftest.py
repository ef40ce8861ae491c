"""Shared by the tests of serving: a tagger that marks capitalised words, and a server of it on a free port."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import httpx
import pytest

from tests.serving.browser import CHROMIUM
from tests.serving.fake_server import FakeServer
from vaner.errors import VanerError
from vaner.serving.desk import Desk
from vaner.serving.server import Server, listening
from vaner.serving.settings import ServerSettings
from vaner.serving.shared import SharedTagger
from vaner.tagging import loading
from vaner.tagging.settings import TaggingSettings


@dataclass
class Words:
    """Marks words that begin with a capital, the longer the surer; fails and waits where a text says so.

    Attributes:
        runs: the ids of the documents of each call.
        gate: calls wait while it is closed.
    """

    types = ("Name", "Number")
    datasets = {"news": ["Name"]}
    max_words = None
    allow_new_types = False
    runs: list[list[str]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)

    def tag_documents(self, documents, types=None, dataset=None):
        documents = list(documents)
        self.runs.append([one.id for one in documents])
        assert self.gate.wait(60)
        patterns = {"Name": r"\b[A-Z]\w*", "Number": r"\d+"}
        for document in documents:
            if "POISON" in document.text:
                raise RuntimeError(f"cannot read {document.text}")
            if "REFUSED" in document.text:
                raise VanerError(f"document {document.id}: is refused; leave it out")
            yield document.with_spans(
                document.span(*found.span(), type, score=min(1.0, len(found[0]) / 10))
                for type in types or self.types
                for found in re.finditer(patterns[type], document.text)
            )

    def remarks(self):
        return ["of all clients together"]


@pytest.fixture
def words(monkeypatch):
    """The tagger that ``words:`` names."""
    monkeypatch.setattr(loading, "_LOADERS", dict(loading._LOADERS))
    monkeypatch.setattr(loading, "_HASHES", dict(loading._HASHES))
    tagger = Words()
    tagger.gate.set()
    loading.register("words", lambda name: tagger, lambda name: "0" * 64)
    return tagger


@dataclass
class Running:
    """A server that answers."""

    desk: Desk
    server: Server
    client: httpx.Client
    port: int

    @property
    def counts(self) -> Counter:
        """Requests by route and status."""
        found = self.desk.metrics.requests.collect()[0].samples
        return Counter(
            {
                (one.labels["route"], int(one.labels["status"])): one.value
                for one in found
                if one.name.endswith("_total")
            }
        )

    def tag(self, *texts, **more):
        return self.client.post("/v1/tag", json={"texts": list(texts), **more})


@contextlib.contextmanager
def running(tagging: TaggingSettings, settings: ServerSettings):
    """A server in a thread, its client beside it."""
    desk = Desk(settings, SharedTagger(tagging))
    with listening(settings) as bound:
        port = bound.getsockname()[1]
        server = Server(desk)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            eventually(lambda: server.started)
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
                yield Running(desk, server, client, port)
        finally:
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive()


@pytest.fixture
def serve(words):
    """Starts servers of ``words:``; settings are those of `ServerSettings`, ``tagging`` of `TaggingSettings`."""
    with contextlib.ExitStack() as stack:

        def start(tagging=None, **settings):
            tagging = TaggingSettings(models=("words:x",), **(tagging or {}))
            allowed = ServerSettings(port=0, **settings)
            allowed.check()
            return stack.enter_context(running(tagging, allowed))

        yield start
        words.gate.set()


def eventually(condition, seconds=30):
    """Wait until something holds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.01)


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def fake():
    fake = FakeServer()
    yield fake
    fake.close()


@pytest.fixture
def opened(browser, fake):
    """A function that opens the page; at the end, nothing may have failed in it or left its origin."""
    contexts, wrong = [], []

    def open_(address=None, refused=False, **options):
        address = address or fake.url
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))

        def leaves(url):
            return not url.startswith((address, f"blob:{address}", "data:,"))

        page.on("request", lambda sent: wrong.append(f"request: {sent.url}") if leaves(sent.url) else None)
        # The browser itself says so when a request is refused.
        page.on("console", lambda said: wrong.append(f"console: {said.text}") if counts(said.text) else None)
        page.goto(address)
        if not refused:
            page.wait_for_selector("#types-chips label")
        return page

    def counts(said):
        return not said.startswith("Failed to load resource: the server responded with a status of")

    yield open_
    for context in contexts:
        context.close()
    assert wrong == []
