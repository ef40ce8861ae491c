"""In: an XML element with text and markup in it (PubMed, JATS). Out: its text as a reader sees it.

Markup, comments and processing instructions are left out, and so is what is not shown in the line: pictures, footnotes,
formulas as TeX. Runs of spaces, tabs and line breaks are one space, as in HTML; other white space (a no-break space)
stays. A line break (``<break/>``) is a space; a formula on a line of its own has a space on both sides.

Numbers of references and footnotes set as superscripts are left out: a reader of
``p53<sup><xref ref-type="bibr">2</xref></sup>`` sees p53, which would be p532.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lxml import etree

from vaner.xml import name_of, refuse_unknown

_NOT_SHOWN = {
    "alt-text",
    "annotation",
    "annotation-xml",
    "fn",
    "graphic",
    "index-term",
    "inline-graphic",
    "long-desc",
    "media",
    "object-id",
    "private-char",
    "tex-math",
}
_APART = {"break", "disp-formula", "hr", "label", "p", "title"}
_MATHS = {"mi", "mn", "mo", "ms", "mtext"}
_MARKS = {"aff", "author-notes", "bibr", "corresp", "fn", "table-fn"}
_BETWEEN_MARKS = re.compile(r"[\s,;.()\[\]\u2010-\u2015*\u2020\u2021-]*")
_SPACE = re.compile(r"[ \t\r\n]+")


def reading(element: etree._Element | None) -> str:
    """The text inside an element; empty for None.

    Raises:
        FormatError: for an entity that only the type definition could explain.
    """
    if element is None:
        return ""
    if not len(element):
        return one_line(element.text or "")
    refuse_unknown(element)
    return one_line("".join(inside(element)))


def one_line(text: str) -> str:
    """The text with single spaces, none at its ends; only spaces, tabs and line breaks are such."""
    return _SPACE.sub(" ", text).strip(" ")


def inside(element: etree._Element) -> Iterator[str]:
    """The pieces of text in an element, white space as the file has it."""
    if element.text:
        yield element.text
    for child in element:
        yield from piece(child)
        if child.tail:
            yield child.tail


def piece(element: etree._Element) -> Iterator[str]:
    """The pieces of text that an element gives to the line it stands in, without what follows it."""
    name = name_of(element)
    if not name or name in _NOT_SHOWN or name in ("sup", "xref") and _is_mark(element):
        return
    if name == "math":
        # White space between the elements of a formula only lays out the file.
        yield "".join(part.text.strip() for part in element.iter() if name_of(part) in _MATHS and part.text)
        return
    if name in _APART:
        yield " "
    yield from inside(element)
    if name in _APART:
        yield " "


def _is_mark(element: etree._Element) -> bool:
    """Whether it is a superscript of nothing but references to notes or literature, or a reference that is one."""
    if name_of(element) == "sup":
        marks = [one for one in element if name_of(one) == "xref" and one.get("ref-type") in _MARKS]
        around = [element.text, *(one.tail for one in element)]
        return bool(marks) and len(marks) == len(element) and _only_between(around)
    if element.get("ref-type") not in _MARKS or not len(element):
        return False
    around = [element.text, *(one.tail for one in element)]
    return all(name_of(one) == "sup" for one in element) and _only_between(around)


def _only_between(texts: list[str | None]) -> bool:
    return all(_BETWEEN_MARKS.fullmatch(text or "") for text in texts)
