"""In: an XML file. Out: its elements of some names, one at a time; nothing is fetched or expanded."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from lxml import etree

from vaner.errors import FormatError
from vaner.files import BROKEN_GZIP, open_bytes


def elements(path: str | os.PathLike, names: Sequence[str]) -> Iterator[etree._Element]:
    """Stream the elements called one of ``names``; each is emptied once the next is asked for.

    Document type definitions are not loaded and entities not resolved, so that a file can neither read
    other files nor grow without bound.

    Raises:
        FormatError: for XML that is not well formed, with the line, or that declares entities.
    """
    with open_bytes(path) as file:
        try:
            for _, element in etree.iterparse(
                file,
                events=("end",),
                tag=list(names),
                resolve_entities=False,
                load_dtd=False,
                no_network=True,
                huge_tree=False,
            ):
                declared = element.getroottree().docinfo.internalDTD
                if declared is not None and next(declared.iterentities(), None) is not None:
                    raise FormatError(f"{path}: declares XML entities, which are not read; expand them first")
                yield element
                element.clear(keep_tail=False)
                while element.getprevious() is not None:
                    del element.getparent()[0]
        except etree.XMLSyntaxError as error:
            raise FormatError(_problem(path, error)) from None
        except BROKEN_GZIP as error:
            raise FormatError(f"{path}: the gzip file is broken ({error}); fetch it again") from None


def content(element: etree._Element | None) -> str:
    """All the text inside an element, its markup left out; empty for None.

    Raises:
        FormatError: for an entity that only the type definition, which is not loaded, could explain.
    """
    if element is None:
        return ""
    if not len(element):
        return element.text or ""
    unknown = next(element.iter(etree.Entity), None)
    if unknown is not None:
        raise FormatError(f"the entity {unknown.text} is not known here; write the character itself")
    return "".join(element.itertext())  # type: ignore[arg-type]  # lxml-stubs: str or bytes; it is str


def line_of(element: etree._Element) -> int | None:
    """The line of the file on which an element starts; None where it comes from no file."""
    return element.sourceline  # type: ignore[return-value]  # lxml-stubs give it no type


def _problem(path: str | os.PathLike, error: etree.XMLSyntaxError) -> str:
    if not error.lineno:
        return f"{path}: the file is empty; check that it was written or fetched completely"
    remedy = "is the file cut short?"
    if "encoding" in str(error.msg):
        remedy = "correct the encoding it declares, or convert it to UTF-8"
    return f"{path}:{error.lineno}: no well-formed XML: {error.msg}; {remedy}"
