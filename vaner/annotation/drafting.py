"""In: guidelines, types, what a model found said of them, or nothing. Out: the YAML of instructions, to be edited."""

from __future__ import annotations

import itertools
import os
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from vaner.annotation.contradictions import BOTH_WAYS, both_ways
from vaner.annotation.entries import entries
from vaner.annotation.extracting import KINDS, Draft, DraftConflict
from vaner.annotation.guideline import FOLDER_VARIABLE, OpenGuideline
from vaner.annotation.places import recorded
from vaner.annotation.statements import Guideline
from vaner.errors import VanerError, one_line
from vaner.files import sha256, stem
from vaner.prompting.retrieval.passages import Piece, pieces_of
from vaner.prompting.retrieval.reading import files
from vaner.prompting.retrieval.search import Search
from vaner.report import Report

_WIDTH = 110
# Of a passage that is shown to people, and how many of them stand above a key.
_SHOWN_WORDS, _MOST_SHOWN = 60, 3
# What guidelines say near each kind of statement.
_CUES = {
    "definition": "is defined as refers to means definition",
    "mark": "annotate mark tag include all mentions",
    "leave": "do not annotate not marked exclude excluded except out of scope",
    "boundaries": "span boundary extent minimal longest words included part of the mention modifiers",
    "examples": "example e.g. for instance annotated",
    "counter_examples": "example not annotated excluded instead of",
}
_HAND_HEAD = """\
# Instructions for {corpus}, to be written by hand. Above each key stand passages of the guideline that look as if they
# were about it. Write statements below the key, and take the passages out:
#   mark:
#     - text: what prompts are to say
#       quote: words of the guideline that say so, as they stand there
# Then: python -m vaner guideline check {file} --write"""
_MODEL_HEAD = """\
# Instructions for {corpus}, drafted by {model}. Read them beside the guideline, and correct them: a statement with
# `verified: false` quotes what does not stand there, and no prompt says it. What is decided on a conflict goes under
# its `follow`. Then: python -m vaner guideline check {file} --write"""


def named(
    paths: Sequence[str | os.PathLike[str]], output: str | os.PathLike[str], report: Report
) -> list[OpenGuideline]:
    """Guidelines by the names and paths that a file of instructions at ``output`` calls them by.

    Args:
        paths: files, and folders of them.
        output: their paths are below the folder of VANER_GUIDELINES where they lie there, else relative to this file.
        report: takes what is not read of a folder.

    Raises:
        VanerError: one that is not there, or of a kind that is not read.
    """
    found: dict[str, OpenGuideline] = {}
    listed = [path for _, path, _ in files(paths, report)]
    for path in listed:
        name = "guideline" if len(listed) == 1 else stem(path)
        while name in found:
            name += "-2"
        found[name] = OpenGuideline(Guideline(name, _path(path, Path(output).parent)), path, sha256(path))
    if not found:
        raise VanerError(
            f"{', '.join(map(str, paths))}: no guideline in it; name Markdown, text, HTML, PDF or DOCX"
        )
    return list(found.values())


def _path(file: Path, beside: Path) -> str:
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder and file.resolve().is_relative_to(Path(folder).resolve()):
        return file.resolve().relative_to(Path(folder).resolve()).as_posix()
    return Path(os.path.relpath(file.resolve(), beside.resolve())).as_posix()


def by_hand(corpus: str, types: Mapping[str, str], guidelines: Sequence[OpenGuideline], file: str) -> str:
    """A file without statements, with passages above each key as comments.

    Args:
        corpus: its name.
        types: type -> the words that it may be called by, which passages are searched for.
        guidelines: as `named` gives them.
        file: what the file will be called.

    Raises:
        VanerError: a guideline that cannot be read, or without text.
    """
    pieces = [piece for one in guidelines for piece in pieces_of(one.source, _SHOWN_WORDS, 0)]
    if not pieces:
        raise VanerError(f"{guidelines[0].path}: holds no text; name a guideline that does")
    search = Search([piece.text for piece in pieces])
    lines = [
        _HAND_HEAD.format(corpus=corpus, file=Path(file).name),
        _dump(_top(corpus, guidelines)),
        "types:",
    ]
    for type, words in types.items():
        lines.append(f"  {_dump(type)}:")
        for kind, cues in _CUES.items():
            near = search.nearest(f"{words} {cues}", _MOST_SHOWN)
            lines += [_comment(pieces[number]) for number in sorted(near)]
            lines.append(f"    {kind}:")
        lines += ["    checks:", "      never: []", "      without_leading: []", "      without_trailing: []"]
    return _recorded("\n".join(lines) + "\n", guidelines, file)


def drafted(
    corpus: str,
    types: Sequence[str],
    statements: Sequence[Draft],
    conflicts: Sequence[DraftConflict],
    guidelines: Sequence[OpenGuideline],
    file: str,
    model: str,
) -> str:
    """A file of what a model found.

    Args:
        corpus: its name.
        types: all types that were asked, in order; one of which nothing was found stands there empty.
        statements, conflicts: as `vaner.annotation.extracting.Extractor` gives them.
        guidelines: as `named` gives them.
        file: what the file will be called.
        model: who found it.
    """
    several = len(guidelines) > 1
    said: dict[str, dict[str, Any]] = {type: {} for type in types}
    for one in statements:
        entry = _entry(one, several)
        if one.kind == "definition":
            said[one.type]["definition"] = entry
        else:
            said[one.type].setdefault(one.kind, []).append(entry)
    ordered = {type: {kind: of[kind] for kind in KINDS if kind in of} or None for type, of in said.items()}
    found = [
        {
            "about": one.about,
            "types": [one.between[0].type],
            "between": [
                {k: v for k, v in _entry(of, several).items() if k != "mentions"} for of in one.between
            ],
        }
        for one in [*conflicts, *_by_rule(types, statements)]
    ]
    top = _top(corpus, guidelines) | {"types": ordered} | ({"conflicts": found} if found else {})
    head = _MODEL_HEAD.format(corpus=corpus, model=model, file=Path(file).name)
    return _recorded(f"{head}\n{_dump(top)}", guidelines, file)


def _by_rule(types: Sequence[str], statements: Sequence[Draft]) -> list[DraftConflict]:
    """Names that one example marks and another does not."""
    found = []
    for type in types:
        examples, counters = (
            [one for one in statements if one.type == type and one.kind == kind]
            for kind in ("examples", "counter_examples")
        )
        for example, counter in itertools.product(examples, counters):
            for name in both_ways(example, counter):
                found.append(DraftConflict(BOTH_WAYS.format(name=name), (example, counter)))
    return found


def _entry(draft: Draft, several: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {"text": draft.text}
    if draft.kind in ("examples", "counter_examples"):
        entry["mentions"] = list(draft.mentions)
    if draft.quote:
        entry["quote"] = draft.quote
        if several:
            entry["from"] = draft.guideline
    if draft.place is None:
        entry["verified"] = False
    return entry


def _top(corpus: str, guidelines: Sequence[OpenGuideline]) -> dict[str, Any]:
    """Who wrote a guideline, and under which licence, people have to fill in."""
    empty = {"source": None, "licence": None, "url": None}
    return {
        "corpus": corpus,
        "guidelines": {one.guideline.name: {"file": one.guideline.file, **empty} for one in guidelines},
    }


def _comment(piece: Piece) -> str:
    lines = [f"{piece.source}, {piece.start}-{piece.end}:"]
    for line in piece.text.splitlines():
        lines += textwrap.wrap(one_line(line), _WIDTH - 8)
    return "\n".join(f"    # {line}" for line in lines)


class _Dumper(yaml.SafeDumper):
    """Writes nothing for None: a key for people to fill in."""


_Dumper.add_representer(type(None), lambda dumper, _: dumper.represent_scalar("tag:yaml.org,2002:null", ""))


def _dump(value: Any) -> str:
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)
    return text.removesuffix("...\n").rstrip("\n")


def _recorded(text: str, guidelines: Sequence[OpenGuideline], file: str) -> str:
    found = entries(yaml.safe_load(text), str(file))
    return recorded(text, found, {one.guideline.name: one for one in guidelines})
