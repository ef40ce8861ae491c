"""In: mentions and the words under them; tags of gold and prediction. Out: counts of 1, 2 and 3 or more words.

honest    a predicted mention counts where its own length is, a gold one where its own is; a hit has one length. A bin
          has a precision and a recall of its own, and the bins add up to the whole.
gold-cut  as arXiv 2504.00664 has it: both sequences of tags are cut at the gold mentions. Every gold mention is a
          sequence by itself, in the bin of its length, and so is every word that is O in gold, in bin 1:

              gold        B-D  I-D   O    O    O        bin 2:  B-D I-D | O
              predicted    O   B-D  I-D  I-D   O        bin 1:  O | I-D   O | I-D   O | O

          What begins or ends outside of a gold mention is cut to it, so wrong borders may become right ones; a false
          positive of n words is n false positives of bin 1; and none can hurt the others. That is a bias, for
          comparison with what was published so, not a measure of long mentions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vaner.formats.conll import mentions, split_tag

BINS = ("1", "2", "3+")
BINNINGS = ("honest", "gold-cut")
UNITS = ("words", "tokens")

Counts = dict[str, tuple[int, int, int]]
"""Bin -> hits, predicted, gold."""


def bin_of(length: int) -> str:
    """The bin of a mention of so many words; one without any (white space, a part of a word) is in the first."""
    return BINS[min(max(length, 1), len(BINS)) - 1]


def words_under(parts: Iterable[tuple[int, int]], words: Sequence[tuple[int, int]]) -> int:
    """How many words a mention touches.

    Args:
        parts: ``(start, end)`` of the mention's parts.
        words: ``(start, end)`` of the words, on the same text.
    """
    parts = list(parts)
    return sum(any(start < end_ and start_ < end for start_, end_ in parts) for start, end in words)


def decoded(tags: Sequence[str]) -> list[tuple[int, int, str]]:
    """``(first word, last word, type)`` of the mentions of a sequence of BIO tags, cut as seqeval does by default.

    What is no tag is O.
    """
    return mentions([_role(tag) for tag in tags], "iob2")[0]


def gold_cut(gold: Sequence[str], predicted: Sequence[str]) -> Counts:
    """Counts of one sequence of words, by gold-cut.

    Args:
        gold: a tag a word.
        predicted: as many.
    """
    counts = {name: [0, 0, 0] for name in BINS}
    outside = set(range(len(gold)))
    for first, last, type in decoded(gold):
        outside -= set(range(first, last + 1))
        within = decoded(predicted[first : last + 1])
        count = counts[bin_of(last - first + 1)]
        count[0] += (0, last - first, type) in within
        count[1] += len(within)
        count[2] += 1
    counts[BINS[0]][1] += sum(_role(predicted[word])[0] != "O" for word in outside)
    return {name: (hits, found, there) for name, (hits, found, there) in counts.items()}


def _role(tag: str) -> tuple[str, str]:
    return split_tag(tag) or ("O", "")
