"""In: a YAML file of instructions. Out: Instructions, their quotations verified; what a prompt says of them.

instructions = Instructions.load("configs/guidelines/ncbi-disease.yaml")
print(instructions.wording(["Disease"], "short"))

A quotation is verified where its guideline is at hand. Where it is not, the file's own record of its places counts:
``python -m vaner guideline check --write`` writes it, and a quotation that was changed since is not in it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from vaner.annotation.entries import ConflictEntry, Entries, Entry, TypeEntry, entries
from vaner.annotation.guideline import FOLDER_VARIABLE, OpenGuideline, at_hand, folders
from vaner.annotation.places import Places, Standing
from vaner.annotation.quotations import squeezed
from vaner.annotation.statements import (
    Checks,
    Conflict,
    Example,
    Guideline,
    Statement,
    TypeInstructions,
)
from vaner.errors import VanerError, near
from vaner.files import read_yaml

__all__ = [
    "HOW", "Checks", "Conflict", "Example", "Guideline", "Instructions", "Statement", "TypeInstructions",
]  # fmt: skip

#: How much of the instructions a prompt says.
HOW = ("none", "short", "full")


@dataclass(frozen=True)
class Instructions:
    """How a corpus is annotated, as its guideline has it.

    Attributes:
        corpus: its name.
        types: canonical type -> what is said of it.
        conflicts: statements that do not agree, and what people decided.
        guidelines: the files, with their sha256 when quotations were last verified.
        hash: sha256 of what is said, whatever the layout, comments and offsets.
        path: the YAML file.
        remarks: what is held back although it quotes something, a line each.
    """

    corpus: str
    types: Mapping[str, TypeInstructions]
    conflicts: tuple[Conflict, ...] = ()
    guidelines: tuple[Guideline, ...] = ()
    hash: str = ""
    path: Path = Path()
    remarks: tuple[str, ...] = ()
    _open: Mapping[str, OpenGuideline] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], guidelines: str | os.PathLike[str] | None = None
    ) -> Instructions:
        """Read a file.

        Args:
            path: the YAML file.
            guidelines: the folder that holds the guidelines; else the variable VANER_GUIDELINES; files that lie
                beside the YAML are found, too. None of them is needed but for ``wording(..., "full")``.

        Raises:
            VanerError: an unknown key, a wrong value, an example whose mention its text lacks; names file and key.
            FileNotFoundError: no such file.
        """
        found = entries(read_yaml(path), str(path))
        opened = at_hand(found.guidelines.values(), folders(guidelines, path))
        return _Maker(found, opened, str(path)).instructions()

    def wording(self, types: Sequence[str], how: str, unverified: bool = False) -> str:
        """What a prompt says of these types.

        Args:
            types: that are asked.
            how: ``none``; ``short``: the list of statements and examples; ``full``: the guideline's own text.
            unverified: say statements without a verified quotation, too.

        Raises:
            VanerError: a type of which nothing is said, an unknown ``how``, or a guideline that is not at hand or is
                another than the one that was quoted.
        """
        if how not in HOW:
            raise VanerError(f"instructions {how!r}: {near(how, HOW) or 'choose ' + ', '.join(HOW)}")
        for type in types:
            if type not in self.types:
                hint = near(type, self.types) or f"it has {', '.join(self.types)}"
                raise VanerError(f"{self.path}: types: says nothing of {type!r}; {hint}")
        if how == "none":
            return ""
        if how == "short":
            said = [_short(type, self.types[type], unverified) for type in types]
        else:
            said = [one.part() for one in self.whole(types)]
        decided = [
            one.follow
            for one in self.conflicts
            if one.follow
            and _concerns(one.types, types)
            and (unverified or all(statement.verified for statement in one.between))
        ]
        if decided:
            said.append("\n".join(["Where the guideline differs:", *(f"- {one}" for one in decided)]))
        return "\n\n".join(part for part in said if part)

    def whole(self, types: Sequence[str]) -> list[OpenGuideline]:
        """The guidelines that tell of these types, to be said whole or searched.

        Raises:
            VanerError: one is not at hand, or is another than the one that was quoted.
        """
        told = [one for one in self.guidelines if one.whole and _concerns(one.types, types)]
        if not told:
            raise VanerError(f"{self.path}: guidelines: none may be said whole; use the short list")
        for one in told:
            if one.name not in self._open:
                raise VanerError(
                    f"{self.path}: guideline {one.name}: {one.file} is not at hand; name the folder that holds it "
                    f"(--guidelines FOLDER or {FOLDER_VARIABLE}); it is to be had from {one.url or 'its authors'}"
                )
            if one.sha256 and self._open[one.name].sha256 != one.sha256:
                raise VanerError(
                    f"{self._open[one.name].path}: is not the guideline {one.name} that was quoted (another sha256); "
                    f"verify again: python -m vaner guideline check {self.path} --write"
                )
        return [self._open[one.name] for one in told]


def _concerns(own: Sequence[str], asked: Sequence[str]) -> bool:
    """Whether something is said of one of the types that are asked; where it names none, it is of all."""
    return not own or not set(own).isdisjoint(asked)


def _short(type: str, said: TypeInstructions, unverified: bool) -> str:
    def of(statements: Iterable[Statement]) -> list[str]:
        return [f"- {one.text}" for one in statements if one.verified or unverified]

    head = type
    if said.definition is not None and (said.definition.verified or unverified):
        head = f"{type}: {said.definition.text}"
    examples = [
        f'- "{one.text}": {_listed(one.mentions) or "nothing"}'
        for one in said.examples
        if one.verified or unverified
    ]
    counter = [
        f"- {_listed(one.mentions)}" + ("" if one.mentions == (one.text,) else f' in "{one.text}"')
        for one in said.counter_examples
        if one.verified or unverified
    ]
    parts = (
        ("Mark:", of(said.mark)),
        ("Do not mark:", of(said.leave)),
        ("Where a mention begins and ends:", of(said.boundaries)),
        ("Marked in:", examples),
        ("Not marked:", counter),
    )
    return "\n".join([head, *("\n".join([name, *lines]) for name, lines in parts if lines)])


def _listed(mentions: Iterable[str]) -> str:
    return ", ".join(f'"{one}"' for one in mentions)


class _Maker:
    """Makes instructions of what a person wrote."""

    def __init__(self, found: Entries, opened: Mapping[str, OpenGuideline], path: str) -> None:
        self.found, self.opened, self.path = found, opened, path
        self.places = Places(found, opened)
        self.standings: list[Standing] = []

    def instructions(self) -> Instructions:
        types = {name: self._type(entry) for name, entry in self.found.types.items()}
        conflicts = tuple(map(self._conflict, self.found.conflicts))
        recorded = self.found.quotations
        guidelines = tuple(
            replace(one, sha256=recorded[name].sha256 if name in recorded else "")
            for name, one in self.found.guidelines.items()
        )
        return Instructions(
            self.found.corpus,
            types,
            conflicts,
            guidelines,
            _hash(self.found.corpus, types, conflicts, guidelines),
            Path(self.path),
            tuple(self.places.wrong(self.standings)),
            self.opened,
        )

    def _type(self, entry: TypeEntry) -> TypeInstructions:
        return TypeInstructions(
            definition=self._statement(entry.definition) if entry.definition else None,
            mark=tuple(map(self._statement, entry.mark)),
            leave=tuple(map(self._statement, entry.leave)),
            boundaries=tuple(map(self._statement, entry.boundaries)),
            examples=tuple(self._example(one) for one in entry.examples),
            counter_examples=tuple(self._example(one, counter=True) for one in entry.counter_examples),
            checks=entry.checks,
        )

    def _conflict(self, entry: ConflictEntry) -> Conflict:
        one, other = map(self._statement, entry.between)
        return Conflict(squeezed(entry.about), (one, other), squeezed(entry.follow), entry.types)

    def _statement(self, entry: Entry) -> Statement:
        said = squeezed(entry.text or entry.quote)
        standing = self.places.of(entry)
        if standing is None:
            return Statement(said)
        self.standings.append(standing)
        quote, name, place = squeezed(entry.quote), standing.guideline, standing.place
        if place is None:
            return Statement(said, quote, name)
        return Statement(said, quote, name, place.start, place.end, place.page, entry.verified)

    def _example(self, entry: Entry, counter: bool = False) -> Example:
        one = self._statement(entry)
        given = (one.text,) if counter and entry.mentions is None else entry.mentions or ()
        mentions = tuple(map(squeezed, given))
        at = 0
        for mention in mentions:
            if (start := one.text.find(mention, at)) < 0:
                raise entry.where.under("mentions").wrong(
                    f"{mention!r} is not in its text, in this order; correct one of them"
                )
            at = start + 1  # one may lie within another
        return Example(**vars(one), mentions=mentions)


def _hash(
    corpus: str, types: Mapping[str, TypeInstructions], conflicts: Iterable[Conflict], guidelines: Iterable[Guideline]
) -> str:  # fmt: skip
    def said(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {
                key: said(one) for key, one in value.items() if key not in ("file", "start", "end", "page")
            }
        return [said(one) for one in value] if isinstance(value, list | tuple) else value

    told = {
        "corpus": corpus,
        "types": {name: asdict(one) for name, one in types.items()},
        "conflicts": [asdict(one) for one in conflicts],
        "guidelines": [
            [one.sha256, sorted(one.types), one.begins, one.ends, one.whole] for one in guidelines
        ],
    }
    return hashlib.sha256(json.dumps(said(told), sort_keys=True).encode()).hexdigest()
