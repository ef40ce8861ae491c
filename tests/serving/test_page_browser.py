"""In: the page in a real browser, a server that answers as told. Out: that it shows and filters well, for all."""

import json
import re

from tests.serving.browser import NEEDS, document, marks, ready, tag
from tests.serving.fake_server import span

pytestmark = NEEDS

NESTED = "breast cancer cell lines"
ASTRAL = "😀𝒳 e\u0301 😀 BRCA1 and 👩‍👩‍👧 TP53, 𐐷 flu"  # characters of one, two and many UTF-16 units


def test_a_pasted_text_is_tagged_and_shown(opened, fake):
    text = "BRCA1 and breast cancer\n\nHere: TP53."
    fake.documents = [
        document(text, span(text, 0, 5, "Gene"), span(text, 10, 23), span(text, 31, 35, "Gene"))
    ]
    page = opened()
    assert page.title() == "VANER" and page.inner_text("#model") == "made-up"
    page.uncheck("#types-chips input[value=Chemical]")
    tag(page, text)
    assert fake.tag_requests() == [
        {"text": text, "types": ["Disease", "Gene"], "dataset": None, "link": True, "format": "json"}
    ]
    assert [(type, words) for type, words, _ in marks(page)] == [
        ("Gene", "BRCA1"), ("Disease", "breast cancer"), ("Gene", "TP53"),
    ]  # fmt: skip
    assert page.locator(".text p").all_text_contents() == ["BRCA1 and breast cancer", "Here: TP53."]
    assert page.inner_text("#summary") == "1 document, 3 mentions"
    assert page.inner_text("#status").startswith("1 document, 3 mentions in ")
    assert page.evaluate("document.activeElement.id") == "result"


def test_marks_stand_at_the_right_characters_after_astral_ones(opened, fake):
    spans = [
        span(ASTRAL, (at := ASTRAL.index(name)), at + len(name))
        for name in ("BRCA1", "TP53", "flu", "𐐷", "😀")
    ]
    fake.documents = [document(ASTRAL, *spans)]
    page = opened()
    tag(page, ASTRAL)
    assert json.loads(fake.asked[-1][3])["text"] == ASTRAL
    assert [words for _, words, _ in marks(page)] == ["😀", "BRCA1", "TP53", "𐐷", "flu"]
    assert page.locator(".text").text_content() == ASTRAL
    # Places are told as files count them.
    places = page.locator("td small").all_text_contents()
    assert places[1] == f"{ASTRAL.index('BRCA1')}–{ASTRAL.index('BRCA1') + 5}"


def test_offsets_that_do_not_select_their_text_are_left_out_and_counted(opened, fake):
    wrong = [
        span("abc def", 0, 3) | change for change in ({"text": "abd"}, {"end": 99}, {"start": 2, "end": 1})
    ]
    fake.documents = [document("abc def", span("abc def", 4, 7), *wrong)]
    fake.remarks = ["a remark of the server"]
    page = opened()
    tag(page)
    assert [words for _, words, _ in marks(page)] == ["def"]
    assert page.locator("#remarks li").all_text_contents() == [
        "a remark of the server",
        "3 mentions left out: the offsets do not select the text that the server names.",
    ]


def test_nested_crossing_and_discontinuous_mentions(opened, fake):
    toxic = "ocular and auditory toxicity\nhere"
    fake.documents = [
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


def test_the_card_tells_score_place_and_concepts_to_pointer_and_keyboard(opened, fake):
    concepts = [
        {"id": "D1", "source": "MESH", "score": 0.5, "match": "exact"},
        {"id": "DOID:2", "source": "DOID", "score": None},
    ]
    inner = span(NESTED, 7, 13, "Cancer", score=0.91234, concepts=concepts, grounded="exact")
    fake.documents = [document(NESTED, span(NESTED, 0, 13, score=None), inner)]
    page = opened()
    tag(page)
    told = [
        "Cancer", "cancer", "score 0.912", "characters 7–13", "grounded: exact", "D1 MESH, exact 0.500", "DOID:2 DOID",
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


def test_the_table_goes_to_the_mention(opened, fake):
    text = "flu " * 500
    fake.documents = [document(text, *(span(text, 4 * n, 4 * n + 3, score=n / 500) for n in range(500)))]
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


def test_no_text_id_type_concept_or_message_becomes_markup(opened, fake):
    fake.model |= {
        "name": NASTY, "types": [NASTY, "__proto__"], "datasets": {NASTY: [NASTY], "constructor": ["a"]},
        "allow_new_types": True,
    }  # fmt: skip
    concept = {"id": NASTY, "source": NASTY, "match": NASTY, "score": 0.5}
    one = span(NASTY, 0, 9, NASTY, concepts=[concept], grounded=NASTY)
    fake.documents = [document(NASTY, one, id=NASTY, failed=NASTY), document("x", id="__proto__")]
    fake.remarks = [NASTY]
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
    fake.refusal = (400, {}, json.dumps({"error": {"code": "x", "message": NASTY}}))
    page.click("#tag")
    page.wait_for_selector("#error:not(:empty)")
    assert page.inner_text("#error") == NASTY
    assert page.title() == "VANER" and page.locator("img").count() == 0
    assert page.locator("script").count() == 1


def test_were_a_string_to_become_markup_the_browser_would_refuse(browser, fake):
    page = browser.new_page()
    said = []
    page.on("console", lambda one: said.append(one.text))
    page.goto(fake.url)
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


def test_filters_by_score_type_and_words(opened, fake):
    text = "flu BRCA1 flu"
    concept = [{"id": "MESH:D7", "source": "MESH"}]
    fake.documents = [
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


def test_all_is_done_with_the_keyboard(opened, fake):
    fake.documents = [
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


def test_a_screen_reader_hears_names_and_roles(opened, fake):
    fake.documents = [document("flu", span("flu", 0, 3))]
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


def test_a_phone_needs_no_scrolling_sideways(opened, fake):
    long = "a" * 300
    text = f"{NESTED} {long}"
    concept = [{"id": long, "source": "MESH", "score": 0.5}]
    spans = [span(text, 0, 13), span(text, 7, 24, long, concepts=concept), span(text, 25, 325, "Gene")]
    fake.documents = [document(text, *spans, id=long), document(text, *spans, id="b")]
    fake.remarks = [long]
    fake.model |= {"name": long, "types": ["Disease", long], "datasets": {long: ["Disease"]}}
    page = opened(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    page.set_input_files("#file", {"name": long, "mimeType": "text/plain", "buffer": b"x"})
    page.tap("#tag")
    ready(page)
    page.tap("summary >> nth=0")
    # Neither the page nor a part of it that would hide what is too wide.
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    wide = """() => [...document.querySelectorAll('main *:not(.unseen, option)')].filter((one) => one.checkVisibility()
      && [...one.getClientRects()].some((r) => r.right > 360 || r.left < 0)).map((one) => one.outerHTML.slice(0, 80))"""
    assert page.evaluate(wide) == []
    assert page.evaluate("document.getElementById('result').getBoundingClientRect().top") < 740
    page.tap("mark >> nth=0")
    page.wait_for_selector("#card:popover-open")
    box = page.locator("#card").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 360
    page.tap("#result-title")
    page.wait_for_selector("#card", state="hidden")


def test_many_documents_stay_usable(opened, fake):
    text = " ".join(["famotidine was given to patients with delirium."] * 20)
    found = [span(text, at.start(), at.end(), "Chemical") for at in re.finditer("famotidine", text)]
    fake.documents = [document(text, *found, id=f"d{n}") for n in range(1000)]
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


def test_paper_shows_the_texts_and_no_controls(opened, fake):
    fake.documents = [document("flu", span("flu", 0, 3))]
    page = opened()
    tag(page)
    page.emulate_media(media="print")
    for hidden in ("#ask", "#score", "[data-format=csv]", ".skip"):
        assert not page.is_visible(hidden), hidden
    assert page.is_visible("mark") and page.is_visible("#legend")
