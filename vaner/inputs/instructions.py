"""In: a dataset's name and entity types. Out: the instruction's text, and where in it each type stands.

What the model reads, for both training and tagging:

    If any Disease or Chemical entity is mentioned in the bc5cdr input, extract it. ##input: Famotidine - ...
           -------    --------                     ------                                    ----------------
           type name  type name                    dataset, left out in adaptive mode        words, one space
                                                                                             between them

How the words come about is said in `vaner.text.units`.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from vaner.errors import VanerError

# What stands for a type in the typed head: its name's last token, the mean of the name's, a mark behind the name.
TYPE_VECTORS = ("last", "mean", "marker")
PLACES = ("before", "after")

_MARK = " ##input:"
_TYPE_MARK = " ##"
# Models saved before call the hints notes.
_HINTS = ("hints", "notes")
_FIELDS = {"types", "dataset", "definitions", *_HINTS}


@dataclass(frozen=True)
class Template:
    """The wording of the instruction, and what of it the model takes; saved with every model.

    Attributes:
        known: used where the dataset is named. Must hold ``{types}`` and ``{dataset}``.
        adaptive: used where it is not. Must hold ``{types}``.
        definitions: type -> one-line definition; those of the asked types are put where a wording says
            ``{definitions}``, as in ``Disease: an abnormal state; Chemical: a substance``.
        datasets: dataset name -> its own wording in place of ``known``.
        alone: type -> its own wording in place of ``adaptive``, where that type is asked alone.
        type_vector: which tokens stand for a type: ``last`` of its name, the ``mean`` of the name's, or a ``marker``
            written behind the name (`` ##``).
        place: the instruction stands ``before`` the text or ``after`` it; a closing ``##input:``, which announces
            the text, is then left out.

    Every wording may hold ``{hints}``, where hints of a knowledge base go (`vaner.inputs.hints`), as in ``Note: aspirin
    is a Chemical.``; without any, it and one space before it are left out.

    Raises:
        VanerError: an unknown placeholder, a missing one, or a brace that belongs to none; an unknown type vector
            or place.
    """

    known: str = "If any {types} entity is mentioned in the {dataset} input, extract it. ##input:"
    adaptive: str = "If any {types} entity is mentioned in the input, extract it. ##input:"
    definitions: Mapping[str, str] = field(default_factory=dict)
    datasets: Mapping[str, str] = field(default_factory=dict)
    alone: Mapping[str, str] = field(default_factory=dict)
    type_vector: str = "last"
    place: str = "before"

    def __post_init__(self) -> None:
        for name, known in (("type_vector", TYPE_VECTORS), ("place", PLACES)):
            if (value := getattr(self, name)) not in known:
                raise VanerError(f"template {name}: unknown {value!r}; choose one of {', '.join(known)}")
        self._check("known", self.known, {"types", "dataset"})
        self._check("adaptive", self.adaptive, {"types"})
        for name, wording in self.datasets.items():
            self._check(f"datasets[{name}]", wording, {"types"})
        for name, wording in self.alone.items():
            self._check(f"alone[{name}]", wording, {"types"})

    @staticmethod
    def _check(name: str, wording: str, needed: set[str]) -> None:
        try:
            parts = [
                (placeholder, spec, conversion)
                for _, placeholder, spec, conversion in string.Formatter().parse(wording)
                if placeholder is not None
            ]
        except ValueError as error:
            raise VanerError(
                f"template {name}: {error}; write {{{{ and }}}} for braces that are no placeholder"
            ) from None
        found = {placeholder for placeholder, _, _ in parts}
        if unknown := found - _FIELDS:
            raise VanerError(
                f"template {name}: unknown placeholder {{{sorted(unknown)[0]}}}; use "
                f"{', '.join(f'{{{field}}}' for field in sorted(_FIELDS))}"
            )
        for placeholder, spec, conversion in parts:
            if spec or conversion:
                raise VanerError(f"template {name}: write {{{placeholder}}} without a format or conversion")
        if missing := needed - found:
            raise VanerError(f"template {name}: {{{sorted(missing)[0]}}} is missing; add it to the wording")

    def render(
        self, types: Sequence[str], dataset: str | None = None, hints: Sequence[str] = ()
    ) -> Instruction:
        """Fill the wording in and remember where each type ended up.

        Args:
            types: the asked types, in the order in which they are to be named.
            dataset: the dataset's name, None for adaptive mode.
            hints: sentences such as ``aspirin is a Chemical.``

        Raises:
            VanerError: no type, an empty one, or one asked twice.
        """
        if not all(types):
            raise VanerError(f"an entity type in {list(types)} is empty; write its name, such as Disease")
        if not types:
            raise VanerError("no entity type asked; name at least one, such as Disease")
        if len(set(types)) != len(types):
            raise VanerError(f"a type is asked twice in {list(types)}; name each once")
        if dataset is None:
            wording = self.alone.get(types[0], self.adaptive) if len(types) == 1 else self.adaptive
        else:
            wording = self.datasets.get(dataset, self.known)
        if self.place == "after":
            wording = wording.removesuffix(_MARK)
        mark = _TYPE_MARK if self.type_vector == "marker" else ""
        pieces: list[str] = []
        spans: list[tuple[int, int]] = []
        length = 0
        for literal, name, _, _ in string.Formatter().parse(wording):
            added = [literal]
            if name == "types":
                for i, kind in enumerate(types):
                    joiner = "" if i == 0 else " or " if i == len(types) - 1 else ", "
                    added += [joiner, kind, mark]
                    end = length + sum(map(len, added))
                    spans.append((end - len(mark or kind), end))
            elif name == "dataset":
                added.append(dataset or "")
            elif name == "definitions":
                known = [f"{t}: {self.definitions[t]}" for t in types if t in self.definitions]
                added.append("; ".join(known))
            elif name in _HINTS:
                added = [literal, f"Note: {' '.join(hints)}"] if hints else [literal.removesuffix(" ")]
            pieces += added
            length += sum(map(len, added))
        return Instruction(
            "".join(pieces), tuple(types), tuple(spans[: len(types)]), self.type_vector, self.place
        )

    def with_hints(self) -> Template:
        """The same with ``{hints}`` in every wording: before a closing ``##input:``, else at the end."""

        def put(wording: str) -> str:
            if any(name in _HINTS for _, name, _, _ in string.Formatter().parse(wording)):
                return wording
            before, mark, _ = wording.rpartition(_MARK) if wording.endswith(_MARK) else (wording, "", "")
            return f"{before} {{hints}}{mark}"

        return replace(
            self,
            known=put(self.known),
            adaptive=put(self.adaptive),
            datasets={name: put(wording) for name, wording in self.datasets.items()},
            alone={name: put(wording) for name, wording in self.alone.items()},
        )


@dataclass(frozen=True)
class Instruction:
    """A rendered instruction.

    Attributes:
        text: what stands before the words, or after them.
        types: the asked types, in order.
        type_spans: for each ``(start, end)`` in ``text`` of its name, or of the marker behind the name.
        type_vector, place: of the Template.
    """

    text: str
    types: tuple[str, ...]
    type_spans: tuple[tuple[int, int], ...]
    type_vector: str = "last"
    place: str = "before"
