"""In: the page as sent. Out: that it names nothing outside, allows its own script alone, and can be read by all."""

import base64
import colorsys
import hashlib
import re
from html.parser import HTMLParser
from importlib.resources import files

import pytest

from vaner.serving.page import SCRIPTS, page

BODY, HEADERS = page()
SOURCE = BODY.decode()
POLICY = dict(part.split(" ", 1) for part in HEADERS["Content-Security-Policy"].split("; "))
VOID = {"meta", "link", "input"}


class Elements(HTMLParser):
    """Every element as ``(name, attributes)``, the inner text of script, style and label, and whether tags balance."""

    def __init__(self) -> None:
        super().__init__()
        self.all, self.inner, self.open = [], {"script": [], "style": []}, []
        self.feed(SOURCE)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.all.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag in self.inner:
            self.inner[tag].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in self.inner:
            self.inner[self.open[-1]][-1] += data


ELEMENTS = Elements()
NAMED = [attributes for _, attributes in ELEMENTS.all]


def hashed(content):
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def test_its_own_script_and_style_may_run_and_nothing_else():
    ((script,), (style,)) = ELEMENTS.inner["script"], ELEMENTS.inner["style"]
    assert POLICY == {
        "default-src": "'none'",
        "script-src": hashed(script),
        "style-src": hashed(style),
        "connect-src": "'self'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    assert HEADERS["X-Content-Type-Options"] == "nosniff" and HEADERS["Referrer-Policy"] == "no-referrer"
    assert HEADERS["Content-Type"] == "text/html; charset=utf-8" and HEADERS["Cache-Control"] == "no-cache"


def test_headers_can_be_sent():
    for name, value in HEADERS.items():
        assert re.fullmatch("[A-Za-z-]+", name) and re.fullmatch("[ -~]+", value)


def test_it_names_nothing_outside_itself():
    assert not re.search(r"https?:|//[a-z]|url\(|@import|src=", SOURCE.replace("// ", ""))
    assert [a["href"] for a in NAMED if "href" in a] == ["data:,", "#result"]
    # Paths of the server are relative: the page also works behind a prefix.
    script = ELEMENTS.inner["script"][0]
    assert set(re.findall(r'request\([`"]([^`"?]*)', script)) == {
        "v1/tag",
        "v1/tag/file",
        "v1/convert",
        "v1/models",
    }


def test_no_handler_and_no_style_stands_in_its_markup():
    assert ELEMENTS.open == []
    for tag, attributes in ELEMENTS.all:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag


def test_data_never_becomes_markup():
    script = ELEMENTS.inner["script"][0]
    ways = "innerHTML|outerHTML|insertAdjacentHTML|document.write|setHTML|DOMParser|createContextualFragment|eval"
    assert not re.findall(f"{ways}|Function\\(", script)
    assert not re.findall("localStorage|sessionStorage|indexedDB|cookie", script), (
        "the key is kept in memory alone"
    )


def test_what_can_be_set_has_a_label():
    labels = {a.get("for") for tag, a in ELEMENTS.all if tag == "label"}
    ids = [a["id"] for a in NAMED if "id" in a]
    assert len(ids) == len(set(ids))
    wrapped = set(re.findall(r'<label class="check"><input type="checkbox" id="(\w+)"', SOURCE))
    for tag, attributes in ELEMENTS.all:
        if tag in ("input", "select", "textarea"):
            assert attributes["id"] in labels | wrapped, attributes
        if tag == "button":
            assert attributes["type"] in ("button", "submit")
        for name in ("aria-labelledby", "aria-describedby", "for"):
            assert attributes.get(name, "name") in ids, attributes
    assert ("html", {"lang": "en"}) in ELEMENTS.all
    assert {"status", "error"} <= {
        a["id"] for a in NAMED if a.get("role") in ("status", "alert") and "id" in a
    }


def test_every_file_of_the_folder_is_in_it():
    folder = files("vaner.serving").joinpath("web")
    assert {one.name for one in folder.iterdir()} == {"page.html", "page.css", *SCRIPTS}
    for name in SCRIPTS:
        text = folder.joinpath(name).read_text(encoding="utf-8")
        assert text.startswith("// In: ") and " Out: " in text.splitlines()[0] and text in SOURCE
        assert "</script" not in text


def _luminance(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _colours():
    """The variables of the light and of the dark page."""
    style = ELEMENTS.inner["style"][0]
    light, dark = (
        dict(re.findall(r"--([\w-]+): ([^;]+)", b)) for b in re.findall(r":root \{([^}]+)\}", style)[:2]
    )
    return {"light": light, "dark": light | dark}


def _rgb(value, hue=0):
    if value.startswith("#"):
        return tuple(int(value[i : i + 2], 16) / 255 for i in (1, 3, 5))
    saturation, lightness = (float(part.rstrip("%")) / 100 for part in value.split())
    return colorsys.hls_to_rgb(hue / 360, lightness, saturation)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrast_is_enough_for_every_hue(theme):
    """WCAG 2.2 AA: 4.5 for text, 3 for what tells a field's border."""
    c = _colours()[theme]
    for text, ground in (
        ("ink", "page"), ("ink", "card"), ("ink", "pick"), ("soft", "page"), ("soft", "card"), ("soft", "pick"),
        ("accent", "card"), ("accent", "page"), ("on-accent", "accent"), ("wrong", "wrong-fill"),
    ):  # fmt: skip
        assert contrast(_rgb(c[text]), _rgb(c[ground])) >= 4.5, (text, ground)
    for ground in ("page", "card"):
        assert contrast(_rgb(c["field"]), _rgb(c[ground])) >= 3, ground
    for hue in range(360):
        fill = _rgb(c["fill"], hue)
        assert contrast(_rgb(c["ink"]), fill) >= 4.5, hue
        assert contrast(_rgb(c["label"], hue), fill) >= 4.5, hue
