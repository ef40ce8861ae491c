"""In: the page in a real browser, servers. Out: that it asks, waits, saves and says what went wrong as it should."""

import json

import pytest

from tests.conftest import SAMPLES
from tests.serving.browser import NEEDS, document, marks, ready, tag
from tests.serving.fake_server import span

pytestmark = NEEDS

ASTRAL = "😀𝒳 e\u0301 😀 BRCA1 and 👩‍👩‍👧 TP53, 𐐷 flu"  # characters of one, two and many UTF-16 units


def test_a_file_is_sent_as_it_is(opened, fake):
    text = "flu"
    fake.documents = [document(text, span(text, 0, 3), id="1"), document("none", id="2")]
    page = opened()
    name, content = "a b&c=ä.txt.gz", bytes(range(256))
    page.set_input_files("#file", {"name": name, "mimeType": "application/gzip", "buffer": content})
    assert page.inner_text("#file-name") == name and not page.is_visible("#text")
    page.select_option("#dataset", "bc5cdr")
    assert page.is_checked("#link")
    page.click("#tag")
    ready(page)
    path, query, _, body = fake.asked[-1]
    assert (path, body) == ("/v1/tag/file", content)
    assert query == {
        "filename": [name], "types": ["Disease", "Chemical"], "dataset": ["bc5cdr"], "link": ["true"],
        "format": ["json"],
    }  # fmt: skip
    assert page.locator("#list a").count() == 2
    page.click("#list a >> nth=1")
    assert page.evaluate("document.activeElement.querySelector('h3').textContent") == "2"
    page.click("#remove")
    assert page.is_visible("#text")


def test_a_dropped_file_is_chosen(opened, fake):
    page = opened()
    drop = """names => {
      const data = new DataTransfer();
      for (const name of names) data.items.add(new File(['flu'], name));
      const options = { dataTransfer: data, bubbles: true, cancelable: true };
      document.body.dispatchEvent(new DragEvent('dragover', options));
      const covered = document.body.classList.contains('dropping');
      document.body.dispatchEvent(new DragEvent('drop', options));
      return covered && !document.body.classList.contains('dropping');
    }"""
    assert page.evaluate(drop, ["a.txt"])
    assert page.inner_text("#file-name") == "a.txt"
    assert page.evaluate(drop, ["b.txt", "c.txt"])
    assert (
        page.inner_text("#error").startswith("Choose one file at a time")
        and page.inner_text("#file-name") == "a.txt"
    )


@pytest.mark.parametrize(
    "format, name", [("pubtator", "PubTator"), ("bioc", "BioC"), ("json", "JSON"), ("csv", "CSV")]
)
def test_a_download_is_what_the_server_wrote_of_what_is_shown(opened, fake, format, name):
    kept, low = span(ASTRAL, 6, 11, score=0.9), span(ASTRAL, 0, 1, score=0.1)
    passages = [{"start": 0, "end": 5, "kind": "title"}]
    fake.documents = [document(ASTRAL, low, kept, passages=passages)]
    page = opened()
    tag(page)
    page.fill("#score", "0.5")
    page.wait_for_selector("#kept:not(:empty)")
    with page.expect_download() as waiting:
        page.click(f"[data-format={format}]")
    assert waiting.value.suggested_filename == f"tagged.{format}"
    with open(waiting.value.path(), "rb") as file:
        assert file.read() == fake.files[format]
    assert json.loads(fake.asked[-1][3]) == {
        "documents": [document(ASTRAL, kept, passages=passages)], "format": format,
    }  # fmt: skip
    page.wait_for_function(
        "n => document.getElementById('status').textContent === n", arg=f"{name} is downloaded."
    )


def test_the_key_is_asked_for_and_kept_in_memory_alone(opened, fake):
    fake.key = "s3cret"
    fake.documents = [document("flu", span("flu", 0, 3))]
    page = opened(refused=True)
    page.wait_for_selector("#key[open]")
    assert page.evaluate("document.activeElement.id") == "key-value"
    page.fill("#key-value", "no key")
    page.keyboard.press("Enter")
    assert page.inner_text("#key-said") == "A key has letters, digits and signs only, without spaces."
    page.fill("#key-value", "wrong")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.getElementById('key-said').textContent.includes('did not accept')")
    page.fill("#key-value", "s3cret")
    page.keyboard.press("Enter")
    page.wait_for_selector("#types-chips label")
    assert not page.is_visible("#key")
    tag(page)
    assert len(marks(page)) == 1
    kept = "document.documentElement.outerHTML, document.cookie, location.href, localStorage.length"
    html, *rest = page.evaluate(f"[{kept}, sessionStorage.length]")
    assert "s3cret" not in html and rest == ["", fake.url, 0, 0] and page.input_value("#key-value") == ""
    page.reload()
    page.wait_for_selector("#key[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("#error:not(:empty)")
    assert page.inner_text("#error") == "This server asks for a key; without it, it answers nothing."
    page.fill("#text", "flu")
    page.click("#tag")  # asks again
    page.fill("#key-value", "s3cret")
    page.keyboard.press("Enter")
    page.wait_for_selector("mark")


def test_a_running_request_can_be_cancelled_and_only_one_runs(opened, fake):
    fake.documents = [document("flu", span("flu", 0, 3))]
    fake.wait.clear()
    page = opened()
    page.fill("#text", "flu")
    page.press("#text", "Control+Enter")
    page.wait_for_selector("#cancel:visible")
    assert page.inner_text("#status") == "Tagging…" and page.get_attribute("#tag", "aria-disabled") == "true"
    page.click("#tag", force=True)
    page.press("#text", "Control+Enter")
    page.focus("#cancel")
    page.keyboard.press("Enter")
    page.wait_for_selector("#cancel", state="hidden")
    assert page.inner_text("#status") == "Cancelled." and page.inner_text("#error") == ""
    assert page.evaluate("document.activeElement.id") == "tag" and len(marks(page)) == 0
    assert len(fake.tag_requests()) == 1
    fake.wait.set()
    page.keyboard.press("Enter")
    page.wait_for_selector("mark")
    page.wait_for_selector("#cancel", state="hidden")
    fake.wait.clear()
    page.click("#tag")
    page.click("[data-format=csv]", force=True)
    page.click("#cancel")
    page.wait_for_selector("#cancel", state="hidden")
    assert [path for path, *_ in fake.asked if path == "/v1/convert"] == []


@pytest.mark.parametrize(
    "status, headers, body, said",
    [
        (413, {}, {"error": {"code": "too_large", "message": "cut it"}}, "cut it"),
        (422, {}, {"error": {"code": "invalid", "message": "types: unknown"}}, "types: unknown"),
        (
            429,
            {"Retry-After": "3"},
            {"error": {"code": "busy", "message": "full."}},
            "full. Try again in 3 seconds.",
        ),
        (413, {}, "<html>nginx</html>", "This is more than the server takes at once; send it in parts."),
        (418, {}, {"error": "tea"}, "The server answered 418; its log says more."),
        (200, {}, "{", "The server's answer cannot be read; reload the page."),
        (200, {}, {"documents": [{}]}, "The server's answer has no documents; reload the page."),
    ],
)
def test_what_goes_wrong_is_said_in_words(opened, fake, status, headers, body, said):
    page = opened()
    fake.refusal = (status, headers, body if isinstance(body, str) else json.dumps(body))
    page.fill("#text", "flu")
    page.click("#tag")
    page.wait_for_selector("#error:not(:empty)")
    assert page.inner_text("#error") == said and page.input_value("#text") == "flu"
    assert page.get_attribute("#error", "role") == "alert"
    fake.refusal = None
    fake.documents = [document("flu", span("flu", 0, 3))]
    page.click("#tag")
    page.wait_for_selector("mark")
    assert page.inner_text("#error") == ""


def test_nothing_to_tag_is_said(opened, fake):
    page = opened()
    page.click("#tag")
    assert page.inner_text("#error") == "Paste a text first, or choose a file."
    assert page.evaluate("document.activeElement.id") == "text"
    page.click("#example")
    page.click("#types-none")
    page.click("#tag")
    assert page.inner_text("#error") == "Choose at least one type."
    assert page.evaluate("document.activeElement.value") == "Disease"
    assert fake.tag_requests() == []
    page.click("#types-all")
    page.click("#tag")
    ready(page)
    assert page.inner_text("#summary") == "0 documents, 0 mentions"


FORMATS = {"pubtator": "pubtator", "bioc": "xml", "json": "json", "csv": "csv"}


def saved(page, format):
    with page.expect_download() as waiting:
        page.click(f"[data-format={format}]")
    assert waiting.value.suggested_filename.endswith(f".{FORMATS[format]}")
    with open(waiting.value.path(), "rb") as file:
        return file.read()


def test_a_real_server_reads_a_file_and_writes_what_is_shown(opened, serve):
    """Names have a capital, the longer the surer."""
    running = serve()
    page = opened(f"http://127.0.0.1:{running.port}/")
    page.set_input_files("#file", SAMPLES / "abstracts.pubtator")
    page.click("#tag")
    ready(page)
    content = (SAMPLES / "abstracts.pubtator").read_bytes()
    query = {"filename": "abstracts.pubtator", "types": ["Name", "Number"], "format": "json"}
    answer = running.client.post("/v1/tag/file", params=query, content=content).json()
    spans = [one for document in answer["documents"] for one in document["spans"]]
    assert page.locator("article").count() == 20
    assert [words for _, words, _ in marks(page)] == [one["text"] for one in spans]
    assert page.locator(".text p.title").count() == 20
    page.fill("#score", "0.5")
    page.wait_for_selector("#kept:not(:empty)")
    shown = [
        one | {"spans": [kept for kept in one["spans"] if kept["score"] >= 0.5]}
        for one in answer["documents"]
    ]
    for format in FORMATS:
        asked = {"documents": shown, "format": format}
        written = running.client.post("/v1/convert", json=asked)
        assert saved(page, format) == written.raise_for_status().content, format
        page.wait_for_function("() => !document.querySelector('.busy')")


def test_a_real_server_says_what_is_wrong_and_asks_for_its_key(opened, serve):
    running = serve(key="s3cret-s3cret-s3cret", max_text=100)
    page = opened(f"http://127.0.0.1:{running.port}/", refused=True)
    page.fill("#key-value", "s3cret-s3cret-s3cret")
    page.keyboard.press("Enter")
    page.wait_for_selector("#types-chips label")
    tag(page, "😀 Anna and 2 Bobs")
    assert [words for _, words, _ in marks(page)] == ["Anna", "2", "Bobs"]
    page.fill("#text", "long " * 100)
    page.click("#tag")
    page.wait_for_selector("#error:not(:empty)")
    assert "100 are allowed" in page.inner_text("#error")
    page.fill("#text", "POISON")
    page.click("#tag")
    page.wait_for_selector("#error:not(:empty)")
    assert page.inner_text("#error").startswith("document 0: could not be tagged")
