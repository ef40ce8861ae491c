"""In: the YAML of instructions. Out: what a person wrote in it, each wrong key and value named.

    corpus: my-corpus
    guidelines:
      main: {file: guideline.pdf, source: who wrote it, licence: CC BY 4.0, url: https://...}
    types:
      Disease:
        mark:
          - text: what prompts say
            quote: words of the guideline

docs/annotation.md explains every key. Nothing is looked up here: a quotation is what somebody wrote.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vaner.annotation.statements import Checks, Guideline
from vaner.prompting import keys
from vaner.prompting.keys import Where, key, made

_PLACE = re.compile(r"(\d+)-(\d+)(?: page (\d+))?")


@dataclass(frozen=True)
class Entry:
    """A statement or an example as it is written; ``verified: false`` holds it back, whatever it quotes."""

    text: str = key("", keys.text)
    quote: str = key("", keys.text)
    guideline: str = key("", keys.text, name="from")
    mentions: tuple[str, ...] | None = key(None, lambda value, where: _mentions(value, where))
    verified: bool = key(True, keys.flag)
    where: Where = Where("")


@dataclass(frozen=True)
class ChecksEntry:
    """As `vaner.annotation.statements.Checks`."""

    never: tuple[str, ...] = key((), keys.texts)
    without_leading: tuple[str, ...] = key((), keys.texts)
    without_trailing: tuple[str, ...] = key((), keys.texts)
    most_words: int = key(0, keys.whole(0))
    pattern_never: tuple[str, ...] = key((), lambda value, where: _patterns(value, where))


@dataclass(frozen=True)
class TypeEntry:
    """As `vaner.annotation.statements.TypeInstructions`."""

    definition: Entry | None = key(None, lambda value, where: _entry(value, where))
    mark: tuple[Entry, ...] = key((), lambda value, where: _entries(value, where))
    leave: tuple[Entry, ...] = key((), lambda value, where: _entries(value, where))
    boundaries: tuple[Entry, ...] = key((), lambda value, where: _entries(value, where))
    examples: tuple[Entry, ...] = key((), lambda value, where: _entries(value, where, mentions=True))
    counter_examples: tuple[Entry, ...] = key((), lambda value, where: _entries(value, where, mentions=True))
    checks: Checks = key(Checks(), lambda value, where: Checks(**vars(made(ChecksEntry, value, where))))


@dataclass(frozen=True)
class ConflictEntry:
    """As `vaner.annotation.statements.Conflict`."""

    about: str = key("", keys.text)
    between: tuple[Entry, ...] = key((), lambda value, where: _entries(value, where))
    follow: str = key("", keys.text)
    types: tuple[str, ...] = key((), keys.texts)


@dataclass(frozen=True)
class GuidelineEntry:
    """As `vaner.annotation.statements.Guideline`, but for its hash."""

    file: str = key("", keys.text)
    source: str = key("", keys.text)
    licence: str = key("", keys.text)
    url: str = key("", keys.text)
    types: tuple[str, ...] = key((), keys.texts)
    begins: str = key("", keys.text)
    ends: str = key("", keys.text)
    whole: bool = key(True, keys.flag)


@dataclass(frozen=True)
class FoundEntry:
    """What was found in a guideline when its quotations were last verified.

    Attributes:
        sha256: of the file.
        places: digest of a quotation -> start, end and page (from 1; None without pages).
    """

    sha256: str = key("", keys.text)
    places: Mapping[str, tuple[int, int, int | None]] = key(dict, lambda value, where: _places(value, where))


@dataclass(frozen=True)
class Entries:
    """The whole file."""

    corpus: str = key("", keys.text)
    notes: str = key("", keys.text)
    guidelines: Mapping[str, Guideline] = key(dict, lambda value, where: _guidelines(value, where))
    types: Mapping[str, TypeEntry] = key(dict, lambda value, where: _each(TypeEntry, value, where))
    conflicts: tuple[ConflictEntry, ...] = key((), lambda value, where: _conflicts(value, where))
    quotations: Mapping[str, FoundEntry] = key(dict, lambda value, where: _each(FoundEntry, value, where))


def entries(values: Mapping[str, Any], file: str) -> Entries:
    """What a file has under its keys.

    Raises:
        VanerError: a key that is missing or unknown, or a wrong value; names file and key.
    """
    where = Where(file)
    found = made(Entries, values, where)
    for name in ("corpus", "types"):
        if not getattr(found, name):
            raise where.under(name).wrong("is missing; docs/annotation.md shows a whole file")
    keys.check_names(found.quotations, found.guidelines, where.under("quotations"))
    return found


def _entry(value: Any, where: Where, *, mentions: bool = False) -> Entry:
    """A mapping; a bare text is a statement without a quotation."""
    value = {"text": value} if isinstance(value, str) else value
    if isinstance(value, Mapping) and "mentions" in value and not mentions:
        raise where.under("mentions").wrong("is for examples; leave it out")
    found: Entry = made(Entry, value, where)
    if not found.text and not found.quote:
        raise where.wrong("says nothing; write text: and, if the guideline can be quoted, quote:")
    return Entry(**{**vars(found), "where": where})


def _entries(value: Any, where: Where, *, mentions: bool = False) -> tuple[Entry, ...]:
    if not isinstance(value, list):
        raise where.wrong(f"must be a list of statements (lines that begin with '- '), not {value!r:.60}")
    return tuple(_entry(one, where.under(number), mentions=mentions) for number, one in enumerate(value, 1))


def _mentions(value: Any, where: Where) -> tuple[str, ...]:
    return () if value == [] else keys.texts(value, where)


def _patterns(value: Any, where: Where) -> tuple[str, ...]:
    for number, one in enumerate(found := keys.texts(value, where), 1):
        try:
            re.compile(one)
        except re.error as error:
            raise where.under(number).wrong(
                f"{one!r} is no regular expression ({error}); correct it"
            ) from None
    return found


def _each(cls: type, value: Any, where: Where) -> dict[str, Any]:
    return {
        name: made(cls, {} if one is None else one, where.under(name))
        for name, one in keys.mapping(value, where).items()
    }


def _guidelines(value: Any, where: Where) -> dict[str, Guideline]:
    """Name -> file and whence it is; a bare text is the file."""
    found = {}
    for name, one in keys.mapping(value, where).items():
        entry: GuidelineEntry = made(
            GuidelineEntry, {"file": one} if isinstance(one, str) else one, where.under(name)
        )
        if not entry.file:
            raise where.under(name).under("file").wrong("is missing; write the guideline's path")
        found[name] = Guideline(name, **vars(entry))
    return found


def _conflicts(value: Any, where: Where) -> tuple[ConflictEntry, ...]:
    if not isinstance(value, list):
        raise where.wrong(f"must be a list, not {value!r:.60}")
    found = []
    for number, one in enumerate(value, 1):
        entry: ConflictEntry = made(ConflictEntry, one, where.under(number))
        if len(entry.between) != 2:
            raise where.under(number).under("between").wrong("must have the two statements that do not agree")
        found.append(entry)
    return tuple(found)


def _places(value: Any, where: Where) -> dict[str, tuple[int, int, int | None]]:
    found = {}
    for digest, said in keys.mapping(value, where).items():
        match = _PLACE.fullmatch(str(said))
        if match is None or int(match[1]) >= int(match[2]):
            raise where.under(digest).wrong(
                f"must be START-END or START-END page N, not {said!r:.60}; python -m vaner guideline check --write "
                "writes it"
            )
        found[digest] = (int(match[1]), int(match[2]), int(match[3]) if match[3] else None)
    return found
