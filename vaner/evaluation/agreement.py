"""In: paired mentions, or two files' tag columns. Out: BIO tags over words and seqeval's scores of them.

seqeval (the CoNLL-2003 scorer of most published figures) reads tags, not offsets. What tags cannot say is
lost on the way and counted, so that a difference between its scores and ours has a stated reason:

* a mention that starts or ends inside a word is widened to the whole word;
* of mentions of one type that share a word, the longest stays and the others are dropped
  (mentions of different types never collide: each type gets a tag sequence of its own);
* a discontinuous mention becomes its covering span.
"""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from vaner.evaluation.pairing import Mention, Pairing
from vaner.files import lines

Columns = list[tuple[list[str], list[str]]]
"""The words and the tags of each sentence of a CoNLL file."""


@dataclass(frozen=True, slots=True)
class SeqevalScore:
    """seqeval's micro-averaged precision, recall, F1 and its macro-averaged F1, in [0, 1]."""

    precision: float
    recall: float
    f1: float
    macro_f1: float


@dataclass(frozen=True)
class Agreement:
    """seqeval's scores of a pairing.

    Attributes:
        tags: which tags were scored.
        default: mode None, conlleval's rules: an I that no B or I of its type precedes starts a mention.
        strict: ``mode="strict", scheme=IOB2``: such an I belongs to no mention.
        lost: what tags could not say, by kind and side -> how many mentions.
    """

    tags: str
    default: SeqevalScore
    strict: SeqevalScore
    lost: Counter[str]


def agreement(pairing: Pairing, columns: tuple[Columns, Columns] | None = None) -> Agreement | None:
    """Score a pairing with seqeval; None if all tags are O.

    Args:
        pairing: from :func:`vaner.evaluation.pairing.pair`; gives one tag sequence per document and type.
        columns: gold and predicted tags as two CoNLL files have them (:func:`read_columns`). Where both have
            the same sentences, these are scored in place of tags made from the mentions: only there can
            the modes differ, for tags made from mentions never break IOB2.
    """
    lost: Counter[str] = Counter()
    if columns and [words for words, _ in columns[0]] == [words for words, _ in columns[1]]:
        tags = "the files' own BIO tags"
        gold_tags, predicted_tags = (
            [[tag if tag[2:] in pairing.types else "O" for tag in sequence] for _, sequence in side]
            for side in columns
        )
    else:
        tags = "BIO tags over words"
        gold_tags, predicted_tags = [], []
        for pair in pairing.pairs:
            for type in pairing.types:
                for side, mentions, sequences in (
                    ("gold", pair.gold, gold_tags),
                    ("predicted", pair.predicted, predicted_tags),
                ):
                    sequences.append(bio(pair.words, [m for m in mentions if m.type == type], lost, side))
    # Sequences without any mention change no score and are most of seqeval's work.
    tagged = [
        i for i, both in enumerate(zip(gold_tags, predicted_tags, strict=True)) if set().union(*both) - {"O"}
    ]
    if not tagged:
        return None
    default, strict = seqeval_scores([gold_tags[i] for i in tagged], [predicted_tags[i] for i in tagged])
    return Agreement(tags, default, strict, lost)


def read_columns(path: str | os.PathLike[str], type_map: Mapping[str, str] | None = None) -> Columns | None:
    """Words and tags of a CoNLL file's sentences, the tags as they are but for types renamed by ``type_map``.

    None if a tag is not O, B or I (IOBES files): seqeval's IOB2 mode refuses those.
    """
    type_map = type_map or {}
    sentences: Columns = []
    between = True
    for _, line in lines(path):
        cells = line.decode().split()
        if not cells or cells[0].startswith(("-DOCSTART-", "###MEDLINE:")):
            between = True
            continue
        if between:
            sentences.append(([], []))
            between = False
        role, _, type = cells[-1].partition("-")
        if role not in ("O", "B", "I"):
            return None
        type = type or "Entity"  # what the reader calls a bare B or I
        sentences[-1][0].append(cells[0])
        sentences[-1][1].append("O" if role == "O" else f"{role}-{type_map.get(type, type)}")
    return sentences


def bio(
    words: Sequence[tuple[int, int]], mentions: Iterable[Mention], lost: Counter[str], side: str
) -> list[str]:
    """BIO tags (IOB2) of mentions of one document, one tag a word.

    Args:
        words: ``(start, end)`` of the words, in order.
        mentions: of any types; where two share a word, the longer one (in words; then the first) is tagged.
        lost: gets counts of ``<side>_mentions_<what happened>`` added.
        side: ``gold`` or ``predicted``.
    """
    starts, ends = [start for start, _ in words], [end for _, end in words]
    placed = []
    for mention in mentions:
        first, past = bisect_right(ends, mention.start), bisect_left(starts, mention.end)
        if first >= past:
            lost[f"{side}_mentions_without_a_word"] += 1
            continue
        if starts[first] < mention.start or ends[past - 1] > mention.end:
            lost[f"{side}_mentions_inside_a_word"] += 1
        if len(mention.pieces) > 1:
            lost[f"{side}_mentions_discontinuous"] += 1
        placed.append((first - past, first, past, mention.type))
    tags = ["O"] * len(words)
    for _, first, past, type in sorted(placed):
        if any(tag != "O" for tag in tags[first:past]):
            lost[f"{side}_mentions_sharing_words"] += 1
            continue
        tags[first:past] = [f"B-{type}"] + [f"I-{type}"] * (past - first - 1)
    return tags


def seqeval_scores(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]
) -> tuple[SeqevalScore, SeqevalScore]:
    """seqeval's default and strict (IOB2) scores of tag sequences.

    The two differ only where tags break IOB2, as a tagger's raw output may: ``O I-Disease`` is a mention
    by default and none in strict mode.
    """
    # Here and not above: seqeval imports scikit-learn, seconds that no other command should wait.
    from seqeval.metrics import classification_report
    from seqeval.metrics.sequence_labeling import precision_recall_fscore_support
    from seqeval.scheme import IOB2

    gold, predicted = [list(tags) for tags in gold], [list(tags) for tags in predicted]
    micro, macro = (
        precision_recall_fscore_support(gold, predicted, average=average, zero_division=0)
        for average in ("micro", "macro")
    )
    loose = SeqevalScore(float(micro[0]), float(micro[1]), float(micro[2]), float(macro[2]))
    if not any(tag.startswith("B-") for tags in (*gold, *predicted) for tag in tags):
        # As IOB2 there is no mention (IOB1 files start them with I-): seqeval would average over no types.
        return loose, SeqevalScore(0.0, 0.0, 0.0, 0.0)
    report = classification_report(
        gold, predicted, output_dict=True, mode="strict", scheme=IOB2, zero_division=0
    )
    averaged = report["micro avg"]
    return (
        loose,
        SeqevalScore(
            float(averaged["precision"]),
            float(averaged["recall"]),
            float(averaged["f1-score"]),
            float(report["macro avg"]["f1-score"]),
        ),
    )
