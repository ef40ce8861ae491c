"""In: full text in JATS (PMC's .xml and .nxml): an article, or many in a collection. Out: Documents without mentions.

    <article><front><article-meta><article-id pub-id-type="pmc">13900</article-id>
        <title-group><article-title>Naloxone ...</article-title></title-group><abstract><p>In rats ...</p></abstract>
      </article-meta></front>
      <body><sec><title>Methods</title><p>Rats were ...</p></sec></body></article>

The text is what a reader sees of the title, the abstracts and the body (`vaner.formats.mixed`), a line for each
passage: ``title``, ``subtitle``, ``abstract``, ``section_title``, ``paragraph``, and, if asked for, ``caption``,
``table``, ``reference``, ``other_abstract`` and ``other_title``. An item of a list, and what stands before and after a
list or a figure in a paragraph, is a passage of its own. ``metadata["passage_infons"]`` says of each the titles of its
sections (``Methods > Animals``) and the abstract's type; ``metadata["infons"]`` has the article's ids.

Left out: authors, keywords, footnotes, acknowledgements, appendices and what else stands behind the body, answers and
reviews. A formula that the file has only as TeX or as a picture is nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

from lxml import etree

from vaner.document import Document, Passage
from vaner.files import stem
from vaner.formats.blocks import documents
from vaner.formats.mixed import inside, one_line, piece, reading
from vaner.formats.switches import yes
from vaner.report import Report
from vaner.xml import elements, line_of, name_of, refuse_unknown

OTHER_LEFT_OUT = "other abstract left out"
_ANSWERS = ("sub-article", "response")
_IDS = {"pmc": "pmcid", "pmcid": "pmcid", "pmid": "pmid", "doi": "doi", "publisher-id": "publisher-id"}
_CAPTIONED = {"fig", "media", "supplementary-material", "table-wrap", "boxed-text", "chem-struct-wrap"}
# What stands apart where it comes inside a paragraph.
_BLOCKS = _CAPTIONED | {
    "array",
    "code",
    "def-list",
    "disp-formula-group",
    "disp-quote",
    "fig-group",
    "list",
    "p",
    "preformat",
    "ref-list",
    "sec",
    "speech",
    "statement",
    "table-wrap-group",
    "verse-group",
}
_CELLS = {"td", "th", "entry"}  # HTML's tables, OASIS's
_NOT_TEXT = {"fn-group", "glossary", "label", "sec-meta", "title"}


def read(
    path: str | os.PathLike,
    *,
    on_error: str,
    report: Report,
    captions: str = "no",
    tables: str = "no",
    references: str = "no",
    other_abstracts: str = "no",
) -> Iterator[Document]:
    """Stream the articles of a JATS file; ids are the PMC ids, else the PubMed id, the DOI or the publisher's.

    Args:
        captions: ``yes`` for those of figures, tables and supplements, where they stand in the text.
        tables: ``yes`` for tables: a line for each row, tabs between cells; and for the notes below them.
        references: ``yes`` for the list of references.
        other_abstracts: ``yes`` for titles and abstracts in other languages; else such abstracts are counted.

    Raises:
        FormatError: for broken XML and entities, with file and line.
        VanerError: for an option that is neither yes nor no.
    """
    wanted = {
        "captions": captions,
        "tables": tables,
        "references": references,
        "other_abstracts": other_abstracts,
    }
    asked = frozenset(name for name, value in wanted.items() if yes(name, value))
    build = partial(_from_article, path=path, asked=asked, report=report)
    return documents(path, _articles(path), build, on_error, report)


def _articles(path: str | os.PathLike) -> Iterator[tuple[int | None, tuple[int, etree._Element]]]:
    for number, element in enumerate(elements(path, ["article"]), 1):
        yield line_of(element), (number, element)


def _from_article(
    line: int | None,
    block: tuple[int, etree._Element],
    path: str | os.PathLike,
    asked: frozenset[str],
    report: Report,
) -> Document:
    number, article = block
    refuse_unknown(article)
    ids = _ids(article)
    alone = article.getparent() is None
    id = next((ids[name] for name in _IDS.values() if name in ids), None)
    id = id or (stem(path) if alone else f"{stem(path)}-{number}")
    where = f"{path}: document {id}"
    parts = _Parts(asked)
    parts.front(article)
    body = _child(article, "body")
    if body is None:
        report.warn("article without full text", f"{where}: the file holds no body of it")
    for under in (body, _child(article, "floats-group")):
        if under is not None:
            parts.below(under)
    if "references" in asked:
        for found in _all(_child(article, "back"), "ref-list"):
            parts.references(found)
    for left in parts.left_out:
        report.warn(OTHER_LEFT_OUT, f"{where}: {left}; jats:other_abstracts=yes reads them")
    for name in _ANSWERS:
        for _ in _children(article, name):
            report.warn(f"{name} left out", f"{where}: an answer, a review or a translation of its own")
    return parts.document(id, ids)


def _children(element: etree._Element | None, name: str) -> list[etree._Element]:
    return [] if element is None else [child for child in element if name_of(child) == name]


def _child(element: etree._Element | None, *names: str) -> etree._Element | None:
    for name in names:
        element = next(iter(_children(element, name)), None)
    return element


def _all(element: etree._Element | None, name: str) -> Iterator[etree._Element]:
    return iter(()) if element is None else element.iter(f"{{*}}{name}")


def _ids(article: etree._Element) -> dict[str, str]:
    """The ids of an article that are known here, the first of each kind."""
    found: dict[str, str] = {}
    for element in _children(_child(article, "front", "article-meta"), "article-id"):
        name, value = _IDS.get(element.get("pub-id-type", "")), reading(element)
        if name == "pmcid" and value.isdigit():
            value = f"PMC{value}"
        if name and value:
            found.setdefault(name, value)
    return found


class _Parts:
    """Collects the passages of one article in order."""

    def __init__(self, asked: frozenset[str]) -> None:
        self.asked = asked
        self.found: list[tuple[str, str, dict[str, str]]] = []
        self.left_out: list[str] = []

    def document(self, id: str, ids: dict[str, str]) -> Document:
        passages, at = [], 0
        for kind, text, _ in self.found:
            passages.append(Passage(at, at + len(text), kind))
            at += len(text) + 1
        infons = [infon for _, _, infon in self.found]
        metadata = {"infons": ids, "passage_infons": infons if any(infons) else None}
        return Document(
            id,
            "\n".join(text for _, text, _ in self.found),
            passages=passages,
            metadata={key: value for key, value in metadata.items() if value},
        )

    def add(self, kind: str, text: str, infons: dict[str, str]) -> None:
        if text:
            self.found.append((kind, text, infons))

    def front(self, article: etree._Element) -> None:
        """The titles and abstracts."""
        meta = _child(article, "front", "article-meta")
        titles = _child(meta, "title-group")
        self.add("title", reading(_child(titles, "article-title")), {})
        self.add("subtitle", reading(_child(titles, "subtitle")), {})
        for group in _children(titles, "trans-title-group") or _children(titles, "trans-title"):
            if "other_abstracts" in self.asked:
                title = group if name_of(group) == "trans-title" else _child(group, "trans-title")
                self.add("other_title", reading(title), _language(group))
        for abstract in _children(meta, "abstract"):
            type = abstract.get("abstract-type")
            self.below(abstract, "abstract", infons={"abstract_type": type} if type else {})
        for abstract in _children(meta, "trans-abstract"):
            if "other_abstracts" in self.asked:
                self.below(abstract, "other_abstract", infons=_language(abstract))
            else:
                self.left_out.append(f"in the language {_language(abstract).get('language', 'unknown')!r}")

    def below(
        self,
        element: etree._Element,
        kind: str = "paragraph",
        section: tuple[str, ...] = (),
        infons: dict[str, str] | None = None,
    ) -> None:
        """What a section holds: its title, then its blocks in order."""
        outer, infons = section, infons or {}
        title = self._title(element)
        if title:
            section = (*section, title)
            self.add("section_title", title, {**infons, **_section(outer)})
        for child in element:
            if name_of(child) not in _NOT_TEXT:
                self.block(child, kind, section, infons)

    def _title(self, element: etree._Element) -> str:
        return one_line(f"{reading(_child(element, 'label'))} {reading(_child(element, 'title'))}")

    def block(
        self, element: etree._Element, kind: str, section: tuple[str, ...], infons: dict[str, str]
    ) -> None:
        """One paragraph, list, table, figure or section."""
        name = name_of(element)
        if name in ("table-wrap", "array"):
            self.table(element, section)
        elif name == "ref-list":
            if "references" in self.asked:
                self.references(element)
        elif name in ("list-item", "def-item"):
            self._item(element, kind, section, infons)
        elif name in _CAPTIONED - {"boxed-text"}:
            self.caption(element, section)
        elif name in ("boxed-text", "fig-group"):
            self.caption(element, section)
            self.below(element, kind, section, infons)
        elif name in _BLOCKS - {"p", "code", "preformat"} or _holds_blocks_only(element):
            self.below(element, kind, section, infons)
        elif name and name != "caption":
            self._paragraph(element, kind, section, infons)

    def _paragraph(
        self, element: etree._Element, kind: str, section: tuple[str, ...], infons: dict[str, str]
    ) -> None:
        """A paragraph, in pieces where blocks stand in it."""
        line = [element.text or ""]

        def end() -> None:
            self.add(kind, one_line("".join(line)), {**infons, **_section(section)})
            line.clear()

        for child in element:
            if name_of(child) in _BLOCKS:
                end()
                self.block(child, kind, section, infons)
            else:
                line.extend(piece(child))
            line.append(child.tail or "")
        end()

    def _item(
        self, element: etree._Element, kind: str, section: tuple[str, ...], infons: dict[str, str]
    ) -> None:
        """An item of a list: its number or its term stands in the line of its first words."""
        first = len(self.found)
        head = one_line(f"{reading(_child(element, 'label'))} {reading(_child(element, 'title'))}")
        for child in element:
            if name_of(child) == "def":
                self.below(child, kind, section, infons)
            elif name_of(child) == "term":
                head = reading(child)
            elif name_of(child) not in ("label", "title"):
                self.block(child, kind, section, infons)
        if head and len(self.found) > first and self.found[first][0] == kind:
            kind, text, infon = self.found[first]
            self.found[first] = (kind, f"{head} {text}", infon)
        elif head:
            self.found.insert(first, (kind, head, {**infons, **_section(section)}))

    def caption(self, element: etree._Element, section: tuple[str, ...]) -> None:
        """The label and title of a figure or table in one line, then the paragraphs below them."""
        if "captions" not in self.asked:
            return
        caption = _child(element, "caption")
        head = one_line(f"{reading(_child(element, 'label'))} {reading(_child(caption, 'title'))}")
        texts = [reading(child) for child in _children(caption, "p")]
        if texts and _child(caption, "title") is None:
            head = one_line(f"{head} {texts.pop(0)}")
        for text in (head, *texts):
            self.add("caption", text, _section(section))

    def table(self, element: etree._Element, section: tuple[str, ...]) -> None:
        self.caption(element, section)
        if "tables" not in self.asked:
            return
        rows = []
        for row in (*_all(element, "tr"), *_all(element, "row")):
            cells = [one_line("".join(inside(cell))) for cell in row if name_of(cell) in _CELLS]
            if any(cells):
                rows.append("\t".join(cells))
        self.add("table", "\n".join(rows), _section(section))
        for foot in _children(element, "table-wrap-foot"):
            for note in (*_all(foot, "fn"), *_children(foot, "p")):
                self.add("table", one_line("".join(inside(note))), _section(section))

    def references(self, element: etree._Element) -> None:
        for reference in _children(element, "ref"):
            self.add("reference", one_line(" ".join(map(_cited, reference))), {})


def _holds_blocks_only(element: etree._Element) -> bool:
    """Whether an element that is not known has all its text in blocks."""
    around = [element.text, *(child.tail for child in element)]
    return (
        len(element) > 0
        and not any(text and text.strip() for text in around)
        and any(name_of(child) in _BLOCKS for child in element)
    )


def _cited(element: etree._Element) -> str:
    """A part of a reference as it is printed: with its own commas, or, where it has none, parted by spaces."""
    if not name_of(element):
        return ""
    around = [element.text, *(child.tail for child in element)]
    if not len(element) or any(text and text.strip() for text in around):
        return reading(element)
    return " ".join(filter(None, map(_cited, element)))


def _section(titles: tuple[str, ...]) -> dict[str, str]:
    return {"section": " > ".join(titles)} if titles else {}


def _language(element: etree._Element) -> dict[str, str]:
    language = element.get("{http://www.w3.org/XML/1998/namespace}lang")
    return {"language": language} if language else {}
