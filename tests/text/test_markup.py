"""In: text with markup. Out: what of it can be read, and no mention of anything else."""

import pytest

from vaner.text.markup import Readable, ranges


@pytest.mark.parametrize(
    ("text", "markup"),
    [
        ("R&amp;D", ["&amp;"]),
        ("5&#945;&#x3B1;-reductase", ["&#945;&#x3B1;"]),
        ("H<sub>2</sub>O <BR/> <i>E. coli</i>", ["<sub>", "</sub>", "<BR/>", "<i>", "</i>"]),
        ('<a href= "x.htm#CP">see</a>', ['<a href= "x.htm#CP">', "</a>"]),
        ("p<0.05 and b>3; <VGPR before> <FFFD> &nonsense; AT&T;", []),
        ("a <!-- note --> b", ["<!-- note -->"]),
    ],
)
def test_markup_is_found(text, markup):
    assert [text[a:b] for a, b in ranges(text)] == markup


@pytest.mark.parametrize(
    ("text", "part", "readable"),
    [
        ("x &amp; y", "&amp;", False),
        ("x &amp; y", "amp", False),
        ("TNF-&#945;", "TNF-&#945;", True),
        ("&#945;-tocopherol", "&#945;-tocopherol", True),
        ("a<sub>2</sub>", "sub", False),
        ("a<sub>2</sub>", "<sub>2</sub>", True),
        ("&lt;&nbsp;<br> &gt;", "&lt;&nbsp;<br> &gt;", False),
        ("\ufeff\u200b", "\ufeff\u200b", False),
        ("\ufeffaspirin", "\ufeffaspirin", True),
        ("amp and &amp;", "amp", True),
    ],
)
def test_what_can_be_read(text, part, readable):
    start = text.index(part)
    assert Readable(text)(start, start + len(part)) is readable
