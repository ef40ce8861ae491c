"""In: what a person wrote, guidelines at hand, a record of places. Out: where each quotation stands, or why not.

The record is the last key of a file of instructions, ``quotations:``. It is a machine's: `recorded` writes it, and
touches nothing before or behind it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import yaml

from vaner.annotation.entries import Entries, Entry
from vaner.annotation.guideline import OpenGuideline
from vaner.annotation.quotations import Place, departs, digest
from vaner.errors import VanerError, near
from vaner.prompting.keys import Where

VERBATIM, SPACED, RECORDED, NOT_THERE, NOT_AT_HAND = (
    "word for word",
    "but for white space",
    "as recorded",
    "not there",
    "not at hand",
)
_HEAD = "# Where the quotations stand. Written by: python -m vaner guideline check FILE --write"


@dataclass(frozen=True)
class Standing:
    """What became of a quotation.

    Attributes:
        entry: that quotes.
        guideline: the name of what it quotes.
        place: where it stands; None where it does not, or nobody can say.
        how: VERBATIM, SPACED, RECORDED, NOT_THERE or NOT_AT_HAND.
        why: how the guideline goes on where the quotation does not stand.
    """

    entry: Entry
    guideline: str
    place: Place | None
    how: str
    why: str = ""


class Places:
    """Looks quotations up.

    Args:
        found: what a person wrote.
        opened: guidelines at hand, by name.
        afresh: read what is at hand even where the record has the place.
    """

    def __init__(self, found: Entries, opened: Mapping[str, OpenGuideline], *, afresh: bool = False) -> None:
        self.found, self.opened, self.afresh = found, opened, afresh

    def of(self, entry: Entry) -> Standing | None:
        """What became of an entry's quotation; None where it quotes nothing.

        Raises:
            VanerError: it names a guideline that the file does not, or one that cannot be read.
        """
        if not entry.quote:
            return None
        name = self._guideline(entry)
        opened, recorded = self.opened.get(name), self.found.quotations.get(name)
        if recorded is not None and (opened is None or not self.afresh and opened.sha256 == recorded.sha256):
            if (known := recorded.places.get(digest(entry.quote))) is not None:
                return Standing(entry, name, Place(known[0], known[1], page=known[2]), RECORDED)
        if opened is None:
            return Standing(entry, name, None, NOT_AT_HAND)
        place = opened.place(entry.quote)
        if place is None:
            return Standing(entry, name, None, NOT_THERE, departs(entry.quote, opened.source.text))
        return Standing(entry, name, place, VERBATIM if place.exact else SPACED)

    def all(self) -> list[Standing]:
        """What became of every quotation of the file, in its order."""
        return [standing for entry in statements(self.found) if (standing := self.of(entry)) is not None]

    def wrong(self, standings: Iterable[Standing]) -> list[str]:
        """What to tell a person: a line for each quotation that does not stand, one for each guideline not at hand.

        Of statements that a person holds back (``verified: false``) nothing is told.
        """
        lines, absent = [], Counter[str]()
        first: dict[str, Where] = {}
        for one in standings:
            where = one.entry.where.under("quote")
            if not one.entry.verified:
                continue
            if one.how == NOT_THERE:
                file = self.opened[one.guideline].path.name
                lines.append(str(where.wrong(f"does not stand in {file} ({one.why}); correct it")))
            elif one.how == NOT_AT_HAND:
                absent[one.guideline] += 1
                first.setdefault(one.guideline, where)
        for name, number in absent.items():
            file = self.found.guidelines[name].file
            them = "it" if number == 1 else f"it and {number - 1} more of {name}"
            why = f"is not verified, for {file} is not at hand; name the folder for {them} (--guidelines FOLDER)"
            lines.append(str(first[name].wrong(why)))
        return lines

    def _guideline(self, entry: Entry) -> str:
        """The name of the guideline that an entry quotes; where there is one only it need not say."""
        known = self.found.guidelines
        if not known:
            raise entry.where.under("quote").wrong("quotes no file; name it under guidelines:")
        if entry.guideline and entry.guideline not in known:
            hint = near(entry.guideline, known) or f"known: {', '.join(known)}"
            raise entry.where.under("from").wrong(f"unknown guideline {entry.guideline!r}; {hint}")
        if not entry.guideline and len(known) > 1:
            raise entry.where.under("from").wrong(f"is missing: say which it quotes, {' or '.join(known)}")
        return entry.guideline or next(iter(known))


def statements(found: Entries) -> Iterator[Entry]:
    """Every statement and example of the file, in its order."""
    for type in found.types.values():
        if type.definition is not None:
            yield type.definition
        for some in (type.mark, type.leave, type.boundaries, type.examples, type.counter_examples):
            yield from some
    for conflict in found.conflicts:
        yield from conflict.between


def recorded(content: str, found: Entries, opened: Mapping[str, OpenGuideline]) -> str:
    """The file's text with a new record; every other byte stays.

    Guidelines that are not at hand keep the record that they have, without what nobody quotes any longer.

    Args:
        content: the text of the file.
        found: what it says.
        opened: guidelines at hand, by name.

    Raises:
        VanerError: as `Places.of`.
    """
    record: dict[str, dict[str, object]] = {}
    for standing in Places(found, opened, afresh=True).all():
        if standing.place is None:
            continue
        name, place = standing.guideline, standing.place
        if name not in record:
            hash = opened[name].sha256 if name in opened else found.quotations[name].sha256
            record[name] = {"sha256": hash, "places": {}}
        places = record[name]["places"]
        assert isinstance(places, dict)
        page = f" page {place.page}" if place.page is not None else ""
        places[digest(standing.entry.quote)] = f"{place.start}-{place.end}{page}"
    for name in found.guidelines:  # those that nothing is quoted of may be said whole
        if name in opened and name not in record:
            record[name] = {"sha256": opened[name].sha256, "places": {}}
    block = yaml.safe_dump({"quotations": record}, sort_keys=False, allow_unicode=True, width=110)
    lines = content.splitlines(keepends=True)
    first = next((n for n, line in enumerate(lines) if re.match(r"quotations\s*:", line)), None)
    if first is None:
        return f"{content.rstrip()}\n\n{_HEAD}\n{block}"
    last = next((n for n in range(first + 1, len(lines)) if not re.match(r"[ \t\r\n]", lines[n])), len(lines))
    behind = "".join(lines[last:])
    if yaml.safe_load("".join(lines[:first]) + behind).keys() & {"quotations"}:
        raise VanerError("quotations: stands there twice; leave one")
    return "".join(lines[:first]) + block + ("\n" if behind else "") + behind
