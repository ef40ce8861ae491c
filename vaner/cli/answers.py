"""In: a file of stored answers, an alignment. Out: gold, what the answers say, and what of them was lost, by cause."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vaner.document import Document
from vaner.evaluation.agreement import Columns
from vaner.evaluation.answers import predicted, read_answers
from vaner.evaluation.run import Gold
from vaner.progress import progress
from vaner.prompting.alignment import tags_of_answer
from vaner.prompting.found import CAUSES, FAILED_CALL
from vaner.report import Report

ALIGNMENTS = ("index", "difflib", "exact")


@dataclass
class Answered:
    """Stored answers, read.

    Attributes:
        gold: the documents with their gold mentions; lengths are counted in the file's tokens.
        predicted: the same documents with the mentions that the answers say.
        columns: tags of gold and of the answers, a sequence a document, for seqeval.
        lost: what the page says of the answers: how many, their alignment, words without a tag, losses by cause.
    """

    gold: Gold
    predicted: list[Document]
    columns: tuple[Columns, Columns]
    lost: dict[str, Any]


def read_answered(
    path: str, alignment: str, *, on_error: str, report: Report, type_map: Mapping[str, str]
) -> Answered:
    """Read stored answers and give every token the tag that its answer says; one that has none is O, and counted.

    Args:
        path: JSON Lines, as `vaner.evaluation.answers` says.
        alignment: one of ALIGNMENTS.
        on_error: ``raise`` or ``skip``, for bad lines.
        report: counts what was read otherwise than it stands.
        type_map: old type -> new type; answers may use both, and it is carried out in the columns.

    Raises:
        VanerError: as `read_answers`.
    """
    stored = list(progress(read_answers(path, on_error=on_error, report=report), f"reading {path}"))
    types = sorted(
        {tag[2:] for one in stored for tag in one.gold} - {""} | set(type_map) | set(type_map.values())
    )
    found, sides = [], (Columns(), Columns())
    times: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    examples: dict[str, str] = {}
    unread = 0
    for one in progress(stored, f"aligning by {alignment}", total=len(stored)):
        id = one.document.id
        if one.answer is None:
            said: list[str | None] = [None] * len(one.tokens)
            lost, example = Counter({FAILED_CALL: 1}), {FAILED_CALL: one.error}
        else:
            aligned = tags_of_answer(one.tokens, one.answer, alignment, types=types)
            said, lost, example = list(aligned.tags), aligned.lost, aligned.examples
        unread += said.count(None)
        tags = [tag or "O" for tag in said]
        found.append(predicted(one.document, tags))
        for side, column in zip(sides, (one.gold, tags), strict=True):
            side.append((one.tokens, [_renamed(tag, type_map) for tag in column]))
        lost = +lost
        times += lost
        answers.update(lost.keys())
        for cause in lost:
            examples.setdefault(cause, f"{id}: {example.get(cause, '')}".removesuffix(": "))
    order = [*CAUSES, *sorted(times.keys() - set(CAUSES))]
    return Answered(
        Gold(path, [one.document for one in stored], lengths_in="tokens"),
        found,
        sides,
        {
            "alignment": alignment,
            "answers": len(stored),
            "words": sum(len(one.tokens) for one in stored),
            "unread_words": unread,
            "lost": {
                cause: {"times": times[cause], "answers": answers[cause], "example": examples[cause]}
                for cause in order
                if times[cause]
            },
        },
    )


def _renamed(tag: str, type_map: Mapping[str, str]) -> str:
    return tag if tag == "O" else tag[:2] + type_map.get(tag[2:], tag[2:])
