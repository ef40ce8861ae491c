"""In: a Pairing. Out: what was missed, invented, cut wrongly or taken for another type, with the text around it.

gold        [--- Disease ---]
predicted   [--- Disease ---]   correct: no mistake
                [- Disease -]   boundary
            [-- Chemical ---]   type
                [- Chemical ]   both
                                missed
and with no gold mention there  spurious
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from vaner.evaluation.metrics import CLASSES, align, class_of
from vaner.evaluation.pairing import Mention, Pair, Pairing

KINDS = CLASSES[1:]
_AROUND = 40


@dataclass(frozen=True)
class Mistake:
    """One error of a strict score.

    Attributes:
        kind: ``boundary`` (same type, other borders, overlapping), ``type`` (same borders, other type), ``both``
            (overlapping, other borders and type), ``missed`` or ``spurious``.
        document: id of the document.
        text: of the document.
        gold: the gold mention; None where there is none.
        predicted: the predicted mention; None where there is none.
    """

    kind: str
    document: str
    text: str
    gold: Mention | None
    predicted: Mention | None

    @property
    def mention(self) -> Mention:
        """The gold mention; the predicted one where there is none."""
        mention = self.gold or self.predicted
        assert mention is not None, "a mistake has a gold or a predicted mention"
        return mention

    @property
    def type(self) -> str:
        """The gold mention's type; the predicted one's where nothing is there."""
        return self.mention.type

    @property
    def surface(self) -> str:
        """The words of the mention, joined by single spaces."""
        return " ".join(self.text[self.mention.start : self.mention.end].split())

    def context(self, around: int = _AROUND) -> str:
        """The text around it on one line, gold in square brackets and the prediction in braces."""
        shown = [m for m in (self.gold, self.predicted) if m is not None]
        first, last = min(m.start for m in shown), max(m.end for m in shown)
        left, right = max(0, first - around), min(len(self.text), last + around)
        marks: dict[int, str] = defaultdict(str)
        for mention, opening, closing in ((self.gold, "[", "]"), (self.predicted, "{", "}")):
            if mention is not None:
                marks[mention.start] += opening
                marks[mention.end] = closing + marks[mention.end]
        pieces = [marks[i] + self.text[i] for i in range(left, right)] + [marks[right]]
        line = " ".join("".join(pieces).split())
        return f"{'...' if left else ''}{line}{'...' if right < len(self.text) else ''}"


def mistakes(pairing: Pairing) -> list[Mistake]:
    """Every mistake, document by document and in the order of the text.

    A gold and a predicted mention explain each other once (`vaner.evaluation.metrics.align`): a gold mention that was
    cut in two is one of ``boundary`` and one ``spurious``, so the gold side adds up to the false negatives and the
    predicted side to the false positives.
    """
    return [one for pair in pairing.pairs for one in _of(pair)]


def _of(pair: Pair) -> Iterable[Mistake]:
    found = [
        Mistake(class_of(gold, predicted), pair.id, pair.text, gold, predicted)
        for gold, predicted in align(pair.gold, pair.predicted)
        if gold != predicted
    ]
    return sorted(found, key=lambda m: (m.mention, m.gold is None))


def markdown(found: Mapping[str, Sequence[Mistake]], most: int = 5) -> str:
    """Tables of the most frequent mistakes of each corpus, type and kind, each with one place where it happened.

    Args:
        found: name of a corpus or file -> its mistakes.
        most: rows of each kind.
    """
    lines = ["Gold mentions stand in [brackets], predictions in {braces}."]
    for name, mistakes in found.items():
        by_type: dict[str, dict[str, list[Mistake]]] = defaultdict(lambda: defaultdict(list))
        for mistake in mistakes:
            by_type[mistake.type][mistake.kind].append(mistake)
        for type, kinds in sorted(by_type.items()):
            counts = ", ".join(f"{len(kinds[kind])} {kind}" for kind in KINDS)
            header = ["| | times | mention | for example |", "|---|---|---|---|"]
            lines += ["", f"### {name}, {type}: {counts}", "", *header]
            lines += [row for kind in KINDS for row in _rows(kind, kinds[kind], most)]
    return "\n".join(lines) + "\n"


def _rows(kind: str, mistakes: Sequence[Mistake], most: int) -> list[str]:
    first: dict[str, Mistake] = {}
    for mistake in mistakes:
        first.setdefault(mistake.surface.casefold(), mistake)
    times = Counter(m.surface.casefold() for m in mistakes).most_common(most)
    return [f"| {kind} | {n} | {_cell(first[s].surface)} | {_cell(first[s].context())} |" for s, n in times]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
