"""In: the page in a real browser, a server that answers as told. Out: that it shows, filters, saves and asks well."""

import json
import re
import shutil
from importlib.util import find_spec

import pytest

from tests.serving.fake_server import FakeServer, span

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
    pytest.mark.skipif(find_spec("playwright") is None, reason="playwright is not installed"),
]

NESTED = "breast cancer cell lines"
ASTRAL = "😀𝒳 e\u0301 😀 BRCA1 and 👩‍👩‍👧 TP53, 𐐷 flu"  # characters of one, two and many UTF-16 units


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def server():
    server = FakeServer()
    yield server
    server.close()


@pytest.fixture
def opened(browser, server):
    """A function that opens the page; at the end, nothing may have failed in it or left its origin."""
    contexts, wrong = [], []

    def open_(refused=False, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda sent: wrong.append(f"request: {sent.url}") if leaves(sent.url) else None)
        # The browser itself says so when a request is refused.
        page.on("console", lambda said: wrong.append(f"console: {said.text}") if counts(said.text) else None)
        page.goto(server.url)
        if not refused:
            page.wait_for_selector("#types-chips label")
        return page

    def leaves(address):
        return not address.startswith((server.url, f"blob:{server.url}", "data:,"))

    def counts(said):
        return not said.startswith("Failed to load resource: the server responded with a status of 4")

    yield open_
    for context in contexts:
        context.close()
    assert wrong == []


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
    found = page.eval_on_selector_all(
        "mark", "all => all.map(m => [m.dataset.type, m.textContent, m.className])"
    )
    return [(type, text, set(classes.split()) & {"from", "to", "gap"}) for type, text, classes in found]


def test_a_pasted_text_is_tagged_and_shown(opened, server):
    text = "BRCA1 and breast cancer\n\nHere: TP53."
    server.documents = [
        document(text, span(text, 0, 5, "Gene"), span(text, 10, 23), span(text, 31, 35, "Gene"))
    ]
    page = opened()
    assert page.title() == "VANER" and page.inner_text("#model") == "made-up"
    page.uncheck("#types-chips input[value=Chemical]")
    tag(page, text)
    assert server.tag_requests() == [
        {"text": text, "types": ["Disease", "Gene"], "dataset": None, "link": False, "format": "json"}
    ]
    assert [(type, words) for type, words, _ in marks(page)] == [
        ("Gene", "BRCA1"), ("Disease", "breast cancer"), ("Gene", "TP53"),
    ]  # fmt: skip
    assert page.locator(".text p").all_text_contents() == ["BRCA1 and breast cancer", "Here: TP53."]
    assert page.inner_text("#summary") == "1 document, 3 mentions"
    assert page.inner_text("#status").startswith("1 document, 3 mentions in ")
    assert page.evaluate("document.activeElement.id") == "result"


def test_marks_stand_at_the_right_characters_after_astral_ones(opened, server):
    spans = [
        span(ASTRAL, (at := ASTRAL.index(name)), at + len(name))
        for name in ("BRCA1", "TP53", "flu", "𐐷", "😀")
    ]
    server.documents = [document(ASTRAL, *spans)]
    page = opened()
    tag(page, ASTRAL)
    assert json.loads(server.asked[-1][3])["text"] == ASTRAL
    assert [words for _, words, _ in marks(page)] == ["😀", "BRCA1", "TP53", "𐐷", "flu"]
    assert page.locator(".text").text_content() == ASTRAL
    # Places are told as files count them.
    places = page.locator("td small").all_text_contents()
    assert places[1] == f"{ASTRAL.index('BRCA1')}–{ASTRAL.index('BRCA1') + 5}"


def test_offsets_that_do_not_select_their_text_are_left_out_and_counted(opened, server):
    wrong = [
        span("abc def", 0, 3) | change for change in ({"text": "abd"}, {"end": 99}, {"start": 2, "end": 1})
    ]
    server.documents = [document("abc def", span("abc def", 4, 7), *wrong)]
    server.remarks = ["a remark of the server"]
    page = opened()
    tag(page)
    assert [words for _, words, _ in marks(page)] == ["def"]
    assert page.locator("#remarks li").all_text_contents() == [
        "a remark of the server",
        "3 mentions left out: the offsets do not select the text that the server names.",
    ]


def test_nested_crossing_and_discontinuous_mentions(opened, server):
    toxic = "ocular and auditory toxicity\nhere"
    server.documents = [
        document(
            NESTED, span(NESTED, 0, 24, "Line"), span(NESTED, 0, 13), span(NESTED, 7, 18, "Cell"), id="a"
        ),
        document(
            toxic,
            span(toxic, 0, 28, "X", fragments=[[20, 28], [0, 6]]),
            span(toxic, 20, 33, "Y"),
            id="b",
            passages=[{"start": 0, "end": 28, "kind": "title"}, {"start": 29, "end": 33, "kind": "abstract"}],
            failed="a reason",
        ),
    ]
    page = opened()
    tag(page)
    assert marks(page) == [
        ("Line", NESTED, set()),
        ("Disease", "breast cancer", set()),
        ("Cell", "cancer", {"to"}),
        ("Cell", " cell", {"from"}),
        ("X", "ocular", {"to"}),
        ("X", " and auditory ", {"gap", "from", "to"}),
        ("Y", "toxicity", {"to"}),
        ("X", "toxicity", {"from"}),
        ("Y", "here", {"from"}),
    ]
    assert page.locator(".text p.title").all_text_contents() == [toxic[:28]]
    assert page.inner_text(".failed") == "Not tagged in full: a reason"


def test_the_card_tells_score_place_and_concepts_to_pointer_and_keyboard(opened, server):
    concepts = [
        {"id": "D1", "source": "MESH", "score": 0.5, "match": "exact"},
        {"id": "DOID:2", "source": "DOID", "score": None},
    ]
    inner = span(NESTED, 7, 13, "Cancer", score=0.91234, concepts=concepts, grounded="exact")
    server.documents = [document(NESTED, span(NESTED, 0, 13, score=None), inner)]
    page = opened()
    tag(page)
    told = [
        "Cancer", "cancer", "score 0.912", "characters 7–13", "grounded: exact", "MESH D1 (exact, 0.500)", "DOID:2",
        "Disease", "breast cancer", "characters 0–13",
    ]  # fmt: skip

    def said():
        return [line.strip() for line in page.inner_text("#card").splitlines() if line.strip()]

    page.hover("mark[data-type=Cancer]")
    page.wait_for_selector("#card:popover-open")
    assert said() == told
    page.hover("#card")  # it stays while it is read
    page.wait_for_timeout(400)
    assert page.is_visible("#card")
    page.keyboard.press("Escape")
    assert not page.is_visible("#card")
    page.hover("#summary")
    page.focus("mark[data-type=Disease]")
    assert said() == told[-3:]
    page.keyboard.press("ArrowRight")
    assert said() == told
    assert page.get_attribute("mark:focus", "aria-describedby") == "card"
    page.focus("#score")
    assert not page.is_visible("#card")


def test_the_table_goes_to_the_mention(opened, server):
    text = "flu " * 500
    server.documents = [document(text, *(span(text, 4 * n, 4 * n + 3, score=n / 500) for n in range(500)))]
    page = opened()
    tag(page)
    assert page.locator("tbody tr").count() == 200
    page.click("text=Show 200 more of 300")
    assert page.locator("tbody tr").count() == 400
    assert page.evaluate("document.activeElement.closest('tr').rowIndex") == 201
    page.locator("tbody tr button").nth(399).click()
    assert page.evaluate("document.activeElement === document.querySelectorAll('mark')[399]")
    assert "score 0.798" in page.inner_text("#card")


NASTY = (
    "</script><img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script>\"'&amp;"
)


def test_no_text_id_type_concept_or_message_becomes_markup(opened, server):
    server.model |= {
        "name": NASTY, "types": [NASTY, "__proto__"], "datasets": {NASTY: [NASTY], "constructor": ["a"]},
        "allow_new_types": True,
    }  # fmt: skip
    concept = {"id": NASTY, "source": NASTY, "match": NASTY, "score": 0.5}
    one = span(NASTY, 0, 9, NASTY, concepts=[concept], grounded=NASTY)
    server.documents = [document(NASTY, one, id=NASTY, failed=NASTY), document("x", id="__proto__")]
    server.remarks = [NASTY]
    page = opened()
    page.fill("#type-name", NASTY + "2")
    page.press("#type-name", "Enter")
    page.select_option("#dataset", NASTY)
    page.set_input_files("#file", {"name": NASTY.replace("/", "-"), "mimeType": "text/html", "buffer": b"x"})
    page.click("#tag")
    ready(page)
    page.click("summary >> nth=0")
    page.focus("mark")
    shown = page.inner_text("body")
    assert shown.count(NASTY) >= 10 and page.locator(".text").nth(0).text_content() == NASTY
    server.refusal = (400, {}, json.dumps({"error": {"code": "x", "message": NASTY}}))
    page.click("#tag")
    page.wait_for_selector("#error:not(:empty)")
    assert page.inner_text("#error") == NASTY
    assert page.title() == "VANER" and page.locator("img").count() == 0
    assert page.locator("script").count() == 1


def test_were_a_string_to_become_markup_the_browser_would_refuse(browser, server):
    page = browser.new_page()
    said = []
    page.on("console", lambda one: said.append(one.text))
    page.goto(server.url)
    page.wait_for_selector("#types-chips label")
    for attempt in (
        "document.body.innerHTML = '<b>x</b>'",
        "document.body.setAttribute('onclick', '1')",
        "document.createElement('script').text = '1'",
    ):
        refused = page.evaluate(
            f"() => {{ try {{ {attempt}; return '' }} catch (error) {{ return error.name }} }}"
        )
        assert refused == "TypeError", attempt
    # Were there a way all the same, no script but the page's own would run, and nothing be fetched from elsewhere.
    page.evaluate("""() => {
      const image = document.createElement('img');
      image.src = 'http://127.0.0.2/x.png';
      const style = document.createElement('style');
      style.append('body { color: red }');
      document.body.append(image, style);
    }""")
    page.wait_for_timeout(200)
    assert page.evaluate("() => getComputedStyle(document.body).color") != "rgb(255, 0, 0)"
    assert any("img-src" in one for one in said) and any("style-src" in one for one in said), said
    page.close()


def test_a_file_is_sent_as_it_is(opened, server):
    text = "flu"
    server.documents = [document(text, span(text, 0, 3), id="1"), document("none", id="2")]
    page = opened()
    name, content = "a b&c=ä.txt.gz", bytes(range(256))
    page.set_input_files("#file", {"name": name, "mimeType": "application/gzip", "buffer": content})
    assert page.inner_text("#file-name") == name and not page.is_visible("#text")
    page.select_option("#dataset", "bc5cdr")
    page.check("#link")
    page.click("#tag")
    ready(page)
    path, query, _, body = server.asked[-1]
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


def test_a_dropped_file_is_chosen(opened, server):
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


def test_filters_by_score_type_and_words(opened, server):
    text = "flu BRCA1 flu"
    concept = [{"id": "MESH:D7", "source": "MESH"}]
    server.documents = [
        document(
            text, span(text, 0, 3, score=0.4), span(text, 4, 9, "Gene", score=0.6, concepts=concept),
            span(text, 10, 13, score=None), id="a",
        ),
        document("nothing", id="b"),
    ]  # fmt: skip
    page = opened()
    tag(page)

    def shown(expected, said):
        page.wait_for_function("n => document.querySelectorAll('mark').length === n", arg=len(expected))
        ready(page)
        assert [words for _, words, _ in marks(page)] == expected
        assert page.inner_text("#kept") == said
        assert page.locator("#list b").nth(0).text_content() == str(len(expected))

    page.fill("#score", "0.5")
    shown(["BRCA1", "flu"], "Shown, and in what is downloaded: 2 of 3 mentions.")  # without a score it stays
    page.fill("#score", "0.6")
    shown(["BRCA1", "flu"], "Shown, and in what is downloaded: 2 of 3 mentions.")
    page.fill("#score", "0.61")
    shown(["flu"], "Shown, and in what is downloaded: 1 of 3 mentions.")
    page.fill("#score", "0")
    page.uncheck("#legend label:has-text('Disease') input")
    shown(["BRCA1"], "Shown, and in what is downloaded: 1 of 3 mentions.")
    page.uncheck("#legend label:has-text('Gene') input")
    shown([], "Shown, and in what is downloaded: 0 of 3 mentions.")
    assert page.inner_text("#empty") == "No mention is left; lower the score or switch types on."
    page.check("#legend label:has-text('Gene') input")
    page.check("#legend label:has-text('Disease') input")
    shown(["flu", "BRCA1", "flu"], "")
    for words, left in (
        ("mesh:d7", ["a"]),
        ("NOTHING", ["b"]),
        ("gene", ["a"]),
        ("absent", []),
        ("", ["a", "b"]),
    ):
        page.fill("#search", words)
        page.wait_for_function(
            "left => [...document.querySelectorAll('article:not([hidden]) h3')].map(h => h.innerText).join() === left",
            arg=",".join(left),
        )
    page.uncheck("#names")
    assert page.evaluate("getComputedStyle(document.querySelector('mark'), '::after').content") == "none"


@pytest.mark.parametrize(
    "format, name", [("pubtator", "PubTator"), ("bioc", "BioC"), ("json", "JSON"), ("csv", "CSV")]
)
def test_a_download_is_what_the_server_wrote_of_what_is_shown(opened, server, format, name):
    kept, low = span(ASTRAL, 6, 11, score=0.9), span(ASTRAL, 0, 1, score=0.1)
    passages = [{"start": 0, "end": 5, "kind": "title"}]
    server.documents = [document(ASTRAL, low, kept, passages=passages)]
    page = opened()
    tag(page)
    page.fill("#score", "0.5")
    page.wait_for_selector("#kept:not(:empty)")
    with page.expect_download() as waiting:
        page.click(f"[data-format={format}]")
    assert waiting.value.suggested_filename == f"tagged.{format}"
    with open(waiting.value.path(), "rb") as file:
        assert file.read() == server.files[format]
    assert json.loads(server.asked[-1][3]) == {
        "documents": [document(ASTRAL, kept, passages=passages)], "format": format,
    }  # fmt: skip
    page.wait_for_function(
        "n => document.getElementById('status').textContent === n", arg=f"{name} is downloaded."
    )


def test_the_key_is_asked_for_and_kept_in_memory_alone(opened, server):
    server.key = "s3cret"
    server.documents = [document("flu", span("flu", 0, 3))]
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
    assert "s3cret" not in html and rest == ["", server.url, 0, 0] and page.input_value("#key-value") == ""
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


def test_a_running_request_can_be_cancelled_and_only_one_runs(opened, server):
    server.documents = [document("flu", span("flu", 0, 3))]
    server.wait.clear()
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
    assert len(server.tag_requests()) == 1
    server.wait.set()
    page.keyboard.press("Enter")
    page.wait_for_selector("mark")


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
def test_what_goes_wrong_is_said_in_words(opened, server, status, headers, body, said):
    page = opened()
    server.refusal = (status, headers, body if isinstance(body, str) else json.dumps(body))
    page.fill("#text", "flu")
    page.click("#tag")
    page.wait_for_selector("#error:not(:empty)")
    assert page.inner_text("#error") == said and page.input_value("#text") == "flu"
    assert page.get_attribute("#error", "role") == "alert"
    server.refusal = None
    server.documents = [document("flu", span("flu", 0, 3))]
    page.click("#tag")
    page.wait_for_selector("mark")
    assert page.inner_text("#error") == ""


def test_nothing_to_tag_is_said(opened, server):
    page = opened()
    page.click("#tag")
    assert page.inner_text("#error") == "Paste a text first, or choose a file."
    assert page.evaluate("document.activeElement.id") == "text"
    page.click("#example")
    page.click("#types-none")
    page.click("#tag")
    assert page.inner_text("#error") == "Choose at least one type."
    assert page.evaluate("document.activeElement.value") == "Disease"
    assert server.tag_requests() == []
    page.click("#types-all")
    page.click("#tag")
    ready(page)
    assert page.inner_text("#summary") == "0 documents, 0 mentions"


def test_all_is_done_with_the_keyboard(opened, server):
    server.documents = [
        document(NESTED, span(NESTED, 0, 13), span(NESTED, 14, 18, "Cell"), id=str(n)) for n in range(3)
    ]
    page = opened(viewport={"width": 1280, "height": 900})
    order = []
    for _ in range(40):
        page.keyboard.press("Tab")
        here = page.evaluate("(e => e.id || e.value || e.textContent)(document.activeElement)")
        if page.evaluate("document.activeElement === document.body"):
            break
        order.append(here)
        if here == "text":
            page.keyboard.type("flu")
    assert order == [
        "Skip to the result", "example", "text", "file", "types-all", "types-none", "Disease", "Chemical", "Gene",
        "dataset", "link", "tag",
    ]  # fmt: skip
    page.focus("#tag")
    page.keyboard.press("Enter")
    page.wait_for_selector("mark")
    ready(page)
    assert page.evaluate("document.activeElement.id") == "result"
    stops = []
    for _ in range(30):
        page.keyboard.press("Tab")
        stops.append(page.evaluate("(e => e.id || e.dataset.format || e.localName)(document.activeElement)"))
        if stops[-1] in ("body", "html"):
            break
    # All mentions are one stop; the arrow keys go on from it, across documents.
    assert stops.count("mark") == 1 and {"score", "names", "pubtator", "csv", "summary"} <= set(stops)
    page.focus("mark[tabindex='0']")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.closest('article').querySelector('h3').textContent") == "1"
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.closest('article').querySelector('h3').textContent") == "2"
    assert page.locator("mark[tabindex='0']").count() == 1
    page.focus("#list a[tabindex='0']")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert (
        page.evaluate("document.activeElement.localName + document.activeElement.innerText[0]") == "article1"
    )


def test_a_screen_reader_hears_names_and_roles(opened, server):
    server.documents = [document("flu", span("flu", 0, 3))]
    page = opened()
    tag(page)
    heard = page.locator("main").aria_snapshot()
    for wanted in (
        'heading "VANER', 'textbox "Text"', 'button "Choose a file"', 'group "Look for"',
        'checkbox "Disease" [checked]',
        'combobox "Follow the guideline of"', 'checkbox "Look up concept ids"', 'button "Tag"', "status",
        'region "Result"', 'slider "Score at least"', 'group "Download"', 'heading "d" [level=3]',
        'table "Mentions of d"', 'cell "flu 0–3"', 'button "flu"', "article",
    ):  # fmt: skip
        assert wanted in heard, f"{wanted}\n{heard}"


def test_a_phone_needs_no_scrolling_sideways(opened, server):
    long = "a" * 300
    text = f"{NESTED} {long}"
    concept = [{"id": long, "source": "MESH", "score": 0.5}]
    spans = [span(text, 0, 13), span(text, 7, 24, long, concepts=concept), span(text, 25, 325, "Gene")]
    server.documents = [document(text, *spans, id=long), document(text, *spans, id="b")]
    server.remarks = [long]
    server.model |= {"name": long, "types": ["Disease", long], "datasets": {long: ["Disease"]}}
    page = opened(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    page.set_input_files("#file", {"name": long, "mimeType": "text/plain", "buffer": b"x"})
    page.tap("#tag")
    ready(page)
    page.tap("summary >> nth=0")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.evaluate("document.getElementById('result').getBoundingClientRect().top") < 740
    page.tap("mark >> nth=0")
    page.wait_for_selector("#card:popover-open")
    box = page.locator("#card").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 360
    page.tap("#result-title")
    page.wait_for_selector("#card", state="hidden")


def test_many_documents_stay_usable(opened, server):
    text = " ".join(["famotidine was given to patients with delirium."] * 20)
    found = [span(text, at.start(), at.end(), "Chemical") for at in re.finditer("famotidine", text)]
    server.documents = [document(text, *found, id=f"d{n}") for n in range(1000)]
    page = opened()
    tag(page)
    assert page.locator("mark").count() == 20_000
    # What is not on the screen is not laid out.
    last = (
        "!document.querySelector('article:last-child .text').checkVisibility({ contentVisibilityAuto: true })"
    )
    assert page.evaluate(last)
    page.fill("#search", "d999")
    page.wait_for_function("() => document.querySelectorAll('article:not([hidden])').length === 1")
    page.focus("article:not([hidden]) mark")
    page.wait_for_selector("#card:popover-open")


def test_paper_shows_the_texts_and_no_controls(opened, server):
    server.documents = [document("flu", span("flu", 0, 3))]
    page = opened()
    tag(page)
    page.emulate_media(media="print")
    for hidden in ("#ask", "#score", "[data-format=csv]", ".skip"):
        assert not page.is_visible(hidden), hidden
    assert page.is_visible("mark") and page.is_visible("#legend")
