"""In: gold and predicted mentions, paired by document. Out: hits, predicted and gold counts, and P, R, F1.

Every score here is one ratio of three sums over documents:

    precision = hits / predicted      recall = hits / gold      F1 = 2 hits / (predicted + gold)

so that the per-document counts are all that is kept, and resampling documents is adding up other rows.
A ratio with nothing below the line is 0, as in seqeval; where there is neither a gold nor a predicted
mention there is nothing to score, and all three are None.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from vaner.document import Document
from vaner.evaluation.agreement import bio
from vaner.evaluation.lengths import BINS, bin_of, gold_cut, words_under
from vaner.evaluation.pairing import Mention, Pair, Pairing, pieces
from vaner.text.segment import words

RELAXED = ("strict", "exact", "partial", "type")
CLASSES = ("correct", "boundary", "type", "both", "missed", "spurious")
SEEN = ("seen", "unseen")
MICRO = ("overall", "micro")
MACRO = ("overall", "macro")

Row = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Score:
    """Precision, recall and F1 of one row of a table, each in [0, 1] or None.

    Attributes:
        hits: correct mentions; the partial measure counts half for an overlap.
        predicted: predicted mentions.
        gold: gold mentions.
    """

    hits: float
    predicted: int
    gold: int

    @property
    def precision(self) -> float | None:
        return self._ratio(self.hits, self.predicted)

    @property
    def recall(self) -> float | None:
        return self._ratio(self.hits, self.gold)

    @property
    def f1(self) -> float | None:
        return self._ratio(2 * self.hits, self.predicted + self.gold)

    def _ratio(self, above: float, below: float) -> float | None:
        if not self.predicted and not self.gold:
            return None
        return above / below if below else 0.0


@dataclass(frozen=True, slots=True)
class Macro:
    """Unweighted means over the types that have a gold or a predicted mention; F1 is the mean of the F1s."""

    precision: float | None
    recall: float | None
    f1: float | None


@dataclass
class Scores:
    """Counts of every row, per document, and what they add up to.

    Attributes:
        documents: number of gold documents, D.
        rows: (table, row) -> int or float array of shape (D, 3): hits, predicted, gold. Tables are
            ``overall`` (micro), ``type``, ``relaxed``, ``length`` and, where asked, ``gold-cut`` and ``seen``.
        outcomes: relaxed measure -> counts of correct, incorrect, partial, missed, spurious.
        classes: row -> counts of CLASSES, for the micro row and those of ``type`` and ``length``. A pair stands in the
            rows of its gold mention, a spurious mention in those of its own, so that in every row
            gold = correct + boundary + type + both + missed; in the micro row, also
            predicted = correct + boundary + type + both + spurious.
        notes: what was repaired, dropped or found unreachable -> how often.
        unannotated: type -> predicted mentions dropped because gold does not annotate the type.
    """

    documents: int
    rows: dict[Row, np.ndarray]
    outcomes: dict[str, Counter[str]]
    classes: dict[Row, Counter[str]] = field(default_factory=dict)
    notes: Counter[str] = field(default_factory=Counter)
    unannotated: Counter[str] = field(default_factory=Counter)

    def __getitem__(self, row: Row) -> Score:
        hits, predicted, gold = self.rows[row].sum(axis=0).tolist()
        return Score(hits, int(predicted), int(gold))

    def table(self, name: str) -> dict[str, Score]:
        """Row name -> Score of one table, in the order in which the rows are shown."""
        return {row: self[name, row] for table, row in self.rows if table == name}

    @property
    def macro(self) -> Macro:
        scored = [s for s in self.table("type").values() if s.f1 is not None]
        if not scored:
            return Macro(None, None, None)
        return Macro(
            *(float(np.mean([getattr(s, m) for s in scored])) for m in ("precision", "recall", "f1"))
        )


def score(
    pairing: Pairing,
    *,
    training_mentions: set[tuple[str, str]] | None = None,
    unreachable: int = 0,
    lengths_in: str = "words",
    cut_at_gold: bool = False,
) -> Scores:
    """Count everything.

    * **Strict**: a predicted mention is correct if a gold mention has the same start, end and type; a
      discontinuous mention needs the same fragments too, so its covering span alone is not a hit.
      Mentions are compared as sets: nested and overlapping ones each count, a repeated one counts once.
    * **Relaxed**: see :func:`align` and :func:`outcome`.
    * **Classes**: see :func:`class_of`; every pair of :func:`align` has one.
    * **By length**: in words of ``vaner.text.segment`` (every punctuation mark is a word, as in the MTL CoNLL
      files), or in the file's own. A false positive counts in the bin of its own length, a hit has one length on
      both sides: every bin has a precision of its own. ``gold-cut`` is the other way
      (`vaner.evaluation.lengths`).
    * **Seen / unseen**: by whether surface and type occur as a mention in the training data, compared by
      :func:`mention_key`. A prediction is binned by its own surface, as with length, so precision is
      "of the predicted mentions with a surface from (not from) training, the share that is correct".

    Args:
        pairing: from :func:`vaner.evaluation.pairing.pair`.
        training_mentions: from :func:`mention_keys`; None leaves the ``seen`` table out.
        unreachable: how many of the gold mentions no prediction could have found because of some limit.
            They are in the gold documents and count as misses like any other; here they are noted.
        lengths_in: ``words``, or ``tokens``: the words that the gold file marks.
        cut_at_gold: count ``gold-cut`` too, of tags made from the mentions.
    """
    size = len(pairing.pairs)
    rows: dict[Row, np.ndarray] = {MICRO: np.zeros((size, 3))}
    tables = [("type", pairing.types), ("relaxed", RELAXED), ("length", BINS)]
    if cut_at_gold:
        tables.append(("gold-cut", BINS))
    if training_mentions is not None:
        tables.append(("seen", SEEN))
    rows |= {(table, name): np.zeros((size, 3)) for table, names in tables for name in names}

    outcomes: dict[str, Counter[str]] = {measure: Counter() for measure in RELAXED}
    classes: dict[Row, Counter[str]] = {
        row: Counter() for row in rows if row == MICRO or row[0] in ("type", "length")
    }
    notes = Counter(pairing.notes)
    for index, pair in enumerate(pairing.pairs):
        bins: dict[Mention, str] = {}
        for mention in pair.gold | pair.predicted:
            in_gold, in_predicted = mention in pair.gold, mention in pair.predicted
            count = (in_gold and in_predicted, in_predicted, in_gold)
            surface = _surface(mention, pair)
            rows[MICRO][index] += count
            rows["type", mention.type][index] += count
            bins[mention] = bin_of(
                words_under(mention.pieces, pair.words) if lengths_in == "tokens" else len(surface)
            )
            rows["length", bins[mention]][index] += count
            if training_mentions is not None:
                known = (" ".join(surface).casefold(), mention.type) in training_mentions
                rows["seen", SEEN[0] if known else SEEN[1]][index] += count
        for gold, predicted in align(pair.gold, pair.predicted):
            for measure in RELAXED:
                what = outcome(measure, gold, predicted)
                outcomes[measure][what] += 1
                rows["relaxed", measure][index] += (_CREDIT[what], predicted is not None, gold is not None)
            shown = gold or predicted
            assert shown is not None, "a pair has a gold or a predicted mention"
            for row in (MICRO, ("type", shown.type), ("length", bins[shown])):
                classes[row][class_of(gold, predicted)] += 1
        if cut_at_gold:
            tags = _tags(pair, lengths_in, notes)
            for name, counts in gold_cut(*tags).items():
                rows["gold-cut", name][index] += counts
    notes["unreachable_gold_mentions"] = unreachable
    return Scores(size, rows, outcomes, classes, +notes, pairing.unannotated)


def _tags(pair: Pair, lengths_in: str, notes: Counter[str]) -> list[list[str]]:
    """Gold and predicted tags of a pair; what tags cannot say is noted."""
    at = pair.words if lengths_in == "tokens" else words(pair.text)
    lost: Counter[str] = Counter()
    tags = [bio(at, pair.gold, lost, "gold"), bio(at, pair.predicted, lost, "predicted")]
    notes["mentions_that_tags_cannot_hold"] += lost.total()
    return tags


def mention_key(text: str, type: str) -> tuple[str, str]:
    """The form in which mentions are compared with training: words joined by one space, case folded.

    Spacing around punctuation does not matter: ``T-cell`` and ``T - Cell`` give the same key.
    """
    return " ".join(text[start:end] for start, end in words(text)).casefold(), type


def mention_keys(
    documents: Iterable[Document], type_map: Mapping[str, str] | None = None
) -> set[tuple[str, str]]:
    """Keys of all the mentions in the documents, types renamed by ``type_map``."""
    type_map = type_map or {}
    return {
        mention_key(_joined(document.text, pieces(span, document.text)), type_map.get(span.type, span.type))
        for document in documents
        for span in document.spans
    }


def align(
    gold: Iterable[Mention], predicted: Iterable[Mention]
) -> list[tuple[Mention | None, Mention | None]]:
    """Pair each gold mention with at most one predicted mention that overlaps it, and the reverse.

    Equal mentions are paired first; of what is left, the pairing has as many pairs with the same borders
    as possible, then as many overlaps with the same type, then as many overlaps as possible (an assignment
    problem, solved by ``scipy.optimize.linear_sum_assignment`` within each run of overlapping mentions).
    The number of each kind does not depend on the order of the input, nor on which side is called gold.

    Returns:
        Every mention exactly once: ``(gold, predicted)``, ``(gold, None)`` or ``(None, predicted)``.
    """
    gold, predicted = frozenset(gold), frozenset(predicted)
    pairs: list[tuple[Mention | None, Mention | None]] = [(m, m) for m in sorted(gold & predicted)]
    for left, right in _runs(gold - predicted, predicted - gold):
        base = min(len(left), len(right)) + 1  # no number of lesser pairs outweighs one better pair
        weight = np.array([[_closeness(g, p, base) for p in right] for g in left]).reshape(
            len(left), len(right)
        )
        chosen = [
            (i, j) for i, j in zip(*linear_sum_assignment(weight, maximize=True), strict=True) if weight[i, j]
        ]
        pairs += [(left[i], right[j]) for i, j in chosen]
        taken, used = {i for i, _ in chosen}, {j for _, j in chosen}
        pairs += [(g, None) for i, g in enumerate(left) if i not in taken]
        pairs += [(None, p) for j, p in enumerate(right) if j not in used]
    return pairs


def outcome(measure: str, gold: Mention | None, predicted: Mention | None) -> str:
    """What one aligned pair is worth under a relaxed measure of SemEval-2013 task 9.

    Source: Segura-Bedmar, Martinez and Herrero-Zazo, "SemEval-2013 Task 9: Extraction of Drug-Drug
    Interactions from Biomedical Texts (DDIExtraction 2013)", section 4, after MUC-5 (Chinchor and
    Sundheim 1993). An overlapping pair is

                     same borders          borders differ
                  same type  other type   same type  other type
        strict    correct    incorrect    incorrect  incorrect
        exact     correct    correct      incorrect  incorrect
        partial   correct    correct      partial    partial
        type      correct    incorrect    correct    incorrect

    a gold mention without partner is missed, a predicted one spurious. With
    possible = correct + incorrect + partial + missed, the gold mentions, and
    actual = correct + incorrect + partial + spurious, the predicted ones:

        precision = (correct + 0.5 partial) / actual      recall = (correct + 0.5 partial) / possible

    For a discontinuous mention, same borders means the same fragments.
    """
    if predicted is None:
        return "missed"
    if gold is None:
        return "spurious"
    same_type, same_borders = gold.type == predicted.type, _same_borders(gold, predicted)
    if measure == "partial":
        return "correct" if same_borders else "partial"
    right = {"strict": same_type and same_borders, "exact": same_borders, "type": same_type}[measure]
    return "correct" if right else "incorrect"


def class_of(gold: Mention | None, predicted: Mention | None) -> str:
    """The class of one aligned pair, one of CLASSES.

                      same borders   other borders, overlapping   nothing there
        same type     correct        boundary                     missed; with no gold mention,
        other type    type           both                         spurious

    For a discontinuous mention, same borders means the same fragments.
    """
    if predicted is None:
        return "missed"
    if gold is None:
        return "spurious"
    if _same_borders(gold, predicted):
        return "correct" if gold.type == predicted.type else "type"
    return "boundary" if gold.type == predicted.type else "both"


_CREDIT = defaultdict(float, correct=1.0, partial=0.5)


def _same_borders(a: Mention, b: Mention) -> bool:
    return (a.start, a.end, a.pieces) == (b.start, b.end, b.pieces)


def _closeness(gold: Mention, predicted: Mention, base: int) -> int:
    if _same_borders(gold, predicted):
        return base * base
    if any(a < d and c < b for a, b in gold.pieces for c, d in predicted.pieces):
        return base if gold.type == predicted.type else 1
    return 0


def _runs(
    gold: Iterable[Mention], predicted: Iterable[Mention]
) -> Iterable[tuple[list[Mention], list[Mention]]]:
    """Cut the text where no mention covers the border; the mentions of each part, by side."""
    left: list[Mention] = []
    right: list[Mention] = []
    reach = -1
    for mention, side in sorted([(m, 0) for m in gold] + [(m, 1) for m in predicted]):
        if mention.start >= reach and (left or right):
            yield left, right
            left, right = [], []
        (right if side else left).append(mention)
        reach = max(reach, mention.end)
    if left or right:
        yield left, right


def _joined(text: str, parts: Iterable[tuple[int, int]]) -> str:
    return " ".join(text[start:end] for start, end in parts)


def _surface(mention: Mention, pair: Pair) -> list[str]:
    text = _joined(pair.text, mention.pieces)
    return [text[start:end] for start, end in words(text)]
