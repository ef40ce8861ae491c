"""In: the page in a browser. Out: what its tests need, do and look at."""

from __future__ import annotations

import shutil
from importlib.util import find_spec

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

#: What the tests of a file need.
NEEDS = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
    pytest.mark.skipif(find_spec("playwright") is None, reason="playwright is not installed"),
]


def ready(page):
    """All texts are built."""
    page.wait_for_selector("#articles[aria-busy=false]", state="attached")


def tag(page, text="x"):
    page.fill("#text", text)
    page.click("#tag")
    ready(page)


def document(text, *spans, id="d", **more):
    return {"id": id, "text": text, "spans": list(spans), **more}


def marks(page):
    """``(type, text, classes)`` of every mark, in the order of the page; names of types are not in the text."""
    all_of = "all => all.map(m => [m.dataset.type, m.textContent, m.className])"
    found = page.eval_on_selector_all("mark", all_of)
    return [(type, text, set(classes.split()) & {"from", "to", "gap"}) for type, text, classes in found]
