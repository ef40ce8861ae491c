"""In: guidelines, types, a language model. Out: what it found said of each type, each statement with its quotation.

    passage -> request -> answer (JSON) -> statements -> quotations looked up -> the same said twice? -> conflicts

One passage a request, each answered once where a store keeps them. An answer that cannot be read loses its statements
alone, and what was lost is counted by cause.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vaner.annotation.guideline import OpenGuideline
from vaner.annotation.quotations import Place, squeezed
from vaner.progress import progress
from vaner.prompting.request import CUT_OFF, Answer, Failure, Grammar, Message, Request, Sampling
from vaner.prompting.retrieval.passages import Piece, pieces_of
from vaner.prompting.sending import Plan, Sender
from vaner.report import Report

#: What a statement may say, in the order of the file, and what that is in a prompt.
KINDS = {
    "definition": "what the type is",
    "mark": "what is marked",
    "leave": "what is not marked",
    "boundaries": "where a mention begins and ends",
    "examples": "a text, and in mentions what of it is marked",
    "counter_examples": "a text, and in mentions what of it must not be marked",
}
_EXAMPLES = ("examples", "counter_examples")
_SINGULAR = {"example": "examples", "counter_example": "counter_examples", "boundary": "boundaries"}

NOT_ANSWERED = "passage not answered"
NO_JSON = "answer without JSON"
BROKEN = "answer cut off or broken; what was whole in it is kept"
NO_STATEMENT = "statement without a known type, a known kind, or a text"
NO_MENTION = "mention that its example lacks"
TWICE = "statement said twice"
UNVERIFIED = "quotation that is not in the guideline"
REWRITTEN = "quotation with other signs or capitals; the guideline's own words are taken"
NO_CONFLICT = "conflict that names no two statements"
NOT_COMPARED = "type whose statements were not compared"

_MOST_TOKENS = 1024
_LEAST_TOKENS = 64

_ASK = """\
You turn an annotation guideline into short instructions for people who mark names in biomedical text.
You are given a passage of the guideline. List what it says of these types:
{types}
Write a JSON object and nothing else:
{{"statements": [{{"quote": "...", "type": "...", "kind": "...", "text": "...", "mentions": []}}]}}
quote: words of the passage, at most 30, copied letter by letter.
type: the type that they are about, one of {names}.
kind: what they say, one of {kinds}.
text: the rule that they give, in a few words of your own; of an example, its text.
mentions: for examples only; words of its text.
If the passage says nothing of the types, write {{"statements": []}}."""

# Shown as a turn before the passage: small models copy what an answer looks like rather than follow its description.
_EXAMPLE_PASSAGE = """\
Plant: the names of species are annotated, e.g. "oak". Parts of a plant (leaf, root) are not. Articles do not belong to
the name: in "the white oak" only "white oak" is marked."""
_EXAMPLE_ANSWER = {
    "statements": [
        {"quote": "the names of species are annotated", "type": "Plant", "kind": "mark", "text": "names of species",
         "mentions": []},
        {"quote": "Parts of a plant (leaf, root) are not", "type": "Plant", "kind": "leave",
         "text": "parts of a plant (leaf, root)", "mentions": []},
        {"quote": "Articles do not belong to the name", "type": "Plant", "kind": "boundaries",
         "text": "leave out the article", "mentions": []},
        {"quote": "in \"the white oak\" only \"white oak\" is marked", "type": "Plant", "kind": "examples",
         "text": "the white oak", "mentions": ["white oak"]},
    ]
}  # fmt: skip

_COMPARE = """\
These are statements of one annotation guideline on the type {type}, with their numbers.
Find pairs that cannot both be followed. Write a JSON object and nothing else:
{{"conflicts": [{{"first": 1, "second": 2, "about": "..."}}]}}
about: in a few words, what they differ on.
If all can be followed together, write {{"conflicts": []}}."""


@dataclass(frozen=True)
class Draft:
    """A statement that a model made.

    Attributes:
        type, kind: which type it is on; one of KINDS.
        text, quote, mentions: as `vaner.annotation.statements` has them.
        guideline: the name of what it quotes.
        place: of the quotation; None where it does not stand there.
    """

    type: str
    kind: str
    text: str
    quote: str
    guideline: str
    place: Place | None = None
    mentions: tuple[str, ...] = ()


@dataclass(frozen=True)
class DraftConflict:
    """Two statements that a model says cannot both be followed."""

    about: str
    between: tuple[Draft, Draft]


class Extractor:
    """Asks a model what a guideline says.

    Args:
        sender: who is asked, and the store.
        types: type -> what it is, as prompts say; empty where nobody says.
        words: of a passage at most.
        most_tokens: of an answer.
        sampling: how its tokens are chosen.
        forced: hold answers to a JSON schema, where the backend can.
        report: takes what was lost, by cause.
    """

    def __init__(
        self,
        sender: Sender,
        types: Mapping[str, str],
        *,
        words: int = 200,
        most_tokens: int | None = None,
        sampling: Sampling | None = None,
        forced: bool = True,
        report: Report | None = None,
    ) -> None:
        self.sender, self.types, self.words = sender, dict(types), words
        self.most_tokens = most_tokens or _MOST_TOKENS
        self.sampling = sampling or Sampling()
        self.forced = forced and "json_schema" in sender.backend.can.grammars
        self.report = Report() if report is None else report

    def plan(self, guidelines: Sequence[OpenGuideline]) -> Plan:
        """What `statements` would take; nothing is sent."""
        plan = Plan()
        self.sender.plan([r for _, _, r in self._asked(guidelines) if isinstance(r, Request)], plan)
        return plan

    def statements(self, guidelines: Sequence[OpenGuideline]) -> list[Draft]:
        """What the guidelines say, in their order, nothing twice; each quotation looked up.

        Raises:
            VanerError: a guideline that cannot be read, or nobody answers.
        """
        asked = list(self._asked(guidelines))
        found: list[Draft] = []
        for number, outcome in self._answers([request for _, _, request in asked], "reading the guideline"):
            guideline, piece, _ = asked[number]
            where = f"{piece.source}, {piece.start}-{piece.end}"
            for values in self._objects(outcome, "statements", where):
                draft = self._draft(values, guideline, piece, where)
                if draft is not None:
                    found.append(draft)
        return self._merged(found)

    def conflicts(self, statements: Sequence[Draft]) -> list[DraftConflict]:
        """Pairs of statements on one type that the model says cannot both be followed."""
        by_type = {t: [s for s in statements if s.type == t and s.kind not in _EXAMPLES] for t in self.types}
        by_type = {type: some for type, some in by_type.items() if len(some) > 1}
        requests = []
        for type, some in by_type.items():
            lines = "\n".join(f"{n}. ({one.kind}) {one.text}" for n, one in enumerate(some, 1))
            messages = (Message("system", _COMPARE.format(type=type)), Message("user", lines))
            requests.append(self._request(messages, _CONFLICTS))
        found: list[DraftConflict] = []
        for number, outcome in self._answers(requests, "comparing statements", NOT_COMPARED):
            type, some = list(by_type.items())[number]
            for values in self._objects(outcome, "conflicts", type):
                numbers = _numbers((values.get("first"), values.get("second")), len(some))
                if len(numbers) != 2:
                    self.report.warn(NO_CONFLICT, f"{type}: {json.dumps(values)[:100]}")
                    continue
                pair = (some[numbers[0] - 1], some[numbers[1] - 1])
                if all(one.between != pair for one in found):
                    found.append(DraftConflict(squeezed(str(values.get("about") or "")) or "not said", pair))
        return found

    # --- asking ---

    def _asked(
        self, guidelines: Sequence[OpenGuideline]
    ) -> Iterator[tuple[OpenGuideline, Piece, Request | Failure]]:
        defined = "\n".join(f"- {type}{f': {line}' if line else ''}" for type, line in self.types.items())
        kinds = "; ".join(f"{kind} ({said})" for kind, said in KINDS.items())
        system = _ASK.format(types=defined, names=", ".join(self.types), kinds=kinds)
        shown = (
            Message("system", system),
            Message("user", _EXAMPLE_PASSAGE),
            Message("assistant", json.dumps(_EXAMPLE_ANSWER)),
        )
        schema = _statements_schema(list(self.types))
        for guideline in guidelines:
            for piece in pieces_of(guideline.source, self.words, 0):
                yield guideline, piece, self._request((*shown, Message("user", piece.text)), schema)

    def _request(self, messages: tuple[Message, ...], schema: dict[str, Any]) -> Request | Failure:
        room, context = self.most_tokens, self.sender.backend.context
        if context is not None:
            room = min(room, context - self.sender.backend.count_prompt(messages))
            if room < _LEAST_TOKENS:
                return Failure(
                    f"longer than the {context:,} tokens that the model reads; ask with fewer --words"
                )
        grammar = Grammar(json_schema=json.dumps(schema)) if self.forced else None
        return Request(messages, room, grammar=grammar, sampling=self.sampling)

    def _answers(
        self, requests: Sequence[Request | Failure], what: str, failed: str = NOT_ANSWERED
    ) -> Iterator[tuple[int, Answer]]:
        """Answers in the order of the requests; those that have none are counted."""
        sent = [number for number, one in enumerate(requests) if isinstance(one, Request)]
        outcomes: dict[int, Answer | Failure] = {
            number: one for number, one in enumerate(requests) if isinstance(one, Failure)
        }
        asking = self.sender.send([one for one in requests if isinstance(one, Request)])
        for place, outcome in progress(asking, what, total=len(sent)):
            outcomes[sent[place]] = outcome
        for number in sorted(outcomes):
            outcome = outcomes[number]
            if isinstance(outcome, Failure):
                self.report.warn(failed, outcome.why)
            else:
                yield number, outcome

    # --- reading answers ---

    def _objects(self, answer: Answer, under: str, where: str) -> list[dict[str, Any]]:
        """The objects of an answer's list; those that are whole where it is not."""
        found, whole = objects(answer.text, under)
        if found is None:
            self.report.warn(NO_JSON, f"{where}: {answer.text[:80]!r}")
            return []
        if not whole or answer.finish == CUT_OFF:
            self.report.warn(BROKEN, f"{where}: ends {answer.text[-60:]!r}")
        return found

    def _draft(
        self, values: Mapping[str, Any], guideline: OpenGuideline, piece: Piece, where: str
    ) -> Draft | None:
        types = {type.casefold(): type for type in self.types}
        type = types.get(str(values.get("type", "")).strip().casefold())
        kind = str(values.get("kind", "")).strip().casefold()
        kind = _SINGULAR.get(kind, kind)
        text, quote = _text(values.get("text")), _text(values.get("quote"))
        if type is None or kind not in KINDS or not (text or quote):
            self.report.warn(NO_STATEMENT, f"{where}: {json.dumps(values, ensure_ascii=False)[:120]}")
            return None
        place = self._place(quote, guideline, piece)
        if quote and place is None:
            # Models write straight quotation marks for curly ones, and leave Markdown's signs out.
            if (place := guideline.place_of_words(quote, piece.start)) is not None and place.end <= piece.end:
                self.report.warn(REWRITTEN, f"{where}: {quote[:100]!r}")
                quote = squeezed(guideline.source.text[place.start : place.end])
            else:
                place = None
                self.report.warn(UNVERIFIED, f"{where}: {quote[:100]!r}")
        draft = Draft(type, kind, text or quote, quote, guideline.guideline.name, place)
        return replace(draft, mentions=self._mentions(values, draft, where)) if kind in _EXAMPLES else draft

    @staticmethod
    def _place(quote: str, guideline: OpenGuideline, piece: Piece) -> Place | None:
        """Where it stands, in the passage that was shown if it does there."""
        found = guideline.place(quote) if quote else None
        if found is not None and not piece.start <= found.start < piece.end:
            return guideline.place(quote, piece.start) or found
        return found

    def _mentions(self, values: Mapping[str, Any], draft: Draft, where: str) -> tuple[str, ...]:
        """Mentions that the example's text has, in its order; a counter-example without any is one itself."""
        given = values.get("mentions")
        listed = [_text(one) for one in given] if isinstance(given, list) else []
        placed = []
        for mention in filter(None, listed):
            if (start := draft.text.find(mention)) < 0:
                self.report.warn(NO_MENTION, f"{where}: {mention[:60]!r} in {draft.text[:60]!r}")
            else:
                placed.append((start, mention))
        mentions = tuple(dict.fromkeys(mention for _, mention in sorted(placed)))
        return mentions or ((draft.text,) if draft.kind == "counter_examples" else ())

    def _merged(self, drafts: Sequence[Draft]) -> list[Draft]:
        """Each thing once, rather with a place; of a type one definition, others among what is marked."""
        kept: dict[tuple[str, str, str], Draft] = {}
        ordered = sorted(range(len(drafts)), key=lambda i: (drafts[i].place is None, i))
        taken: dict[int, Draft] = {}
        for number in ordered:
            draft = drafts[number]
            keys = [(draft.type, draft.kind, _plain(one)) for one in (draft.text, draft.quote) if one]
            if any(key in kept for key in keys):
                self.report.warn(TWICE, f"{draft.type} {draft.kind}: {draft.text[:80]!r}")
                continue
            kept.update(dict.fromkeys(keys, draft))
            taken[number] = draft
        defined: set[str] = set()
        for number in [n for n in ordered if n in taken and taken[n].kind == "definition"]:
            if taken[number].type in defined:
                taken[number] = replace(taken[number], kind="mark")
            defined.add(taken[number].type)
        return [taken[number] for number in sorted(taken)]


def objects(answer: str, under: str) -> tuple[list[dict[str, Any]] | None, bool]:
    """The objects that an answer lists, and whether it was whole; None where it holds no JSON at all.

    Args:
        answer: what was written; text around the JSON does no harm.
        under: the key of the list; a bare list, and a bare object, are read too.
    """
    decoder = json.JSONDecoder(strict=False)
    for opens in re.finditer(r"[{\[]", answer):
        try:
            value, end = decoder.raw_decode(answer, opens.start())
        except (ValueError, RecursionError):
            continue
        listed = value.get(under) if isinstance(value, dict) else value
        # An empty list may be one within an object that is cut off.
        alone = isinstance(value, dict) or answer[opens.start() : end] == answer.strip()
        if not isinstance(listed, list) or not (listed or alone):
            continue
        good = [one for one in listed if isinstance(one, dict)]
        if good or not listed:
            return good, len(good) == len(listed)
    found = []
    for match in _INNERMOST.finditer(answer):
        try:
            value = json.loads(match[0], strict=False)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and value:
            found.append(value)
    if not found and "{" not in answer:
        return None, False
    return found, answer.strip() == "{}" or any(
        match == answer.strip() for match in _INNERMOST.findall(answer)
    )


# Lone surrogates and control characters, which UTF-8 or YAML cannot hold.
_UNWRITABLE = re.compile("[\ud800-\udfff\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
_INNERMOST = re.compile(r'\{(?:[^{}"]|"(?:[^"\\]|\\.)*")*\}')


def _numbers(given: Sequence[Any], most: int) -> list[int]:
    """Whole numbers from 1 to ``most`` among what was given, in order, each once."""
    return sorted({n for n in given if type(n) is int and 1 <= n <= most})


def _text(value: Any) -> str:
    """A text that a file can hold; empty for anything else."""
    return squeezed(value) if isinstance(value, str) and not _UNWRITABLE.search(value) else ""


def _plain(text: str) -> str:
    """Words alone, by which two statements are the same."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def _statements_schema(types: list[str]) -> dict[str, Any]:
    text = {"type": "string", "maxLength": 400}
    item = {
        "quote": text,
        "type": {"type": "string", "enum": types},
        "kind": {"type": "string", "enum": list(KINDS)},
        "text": text,
        "mentions": {"type": "array", "items": text, "maxItems": 8},
    }
    return _listed("statements", item, ["quote", "type", "kind", "text"])


def _listed(name: str, item: dict[str, Any], required: list[str]) -> dict[str, Any]:
    one = {"type": "object", "properties": item, "required": required, "additionalProperties": False}
    return {
        "type": "object",
        "properties": {name: {"type": "array", "items": one, "maxItems": 12}},
        "required": [name],
        "additionalProperties": False,
    }


_CONFLICTS = _listed(
    "conflicts",
    {
        "first": {"type": "integer", "minimum": 1},
        "second": {"type": "integer", "minimum": 1},
        "about": {"type": "string", "maxLength": 200},
    },
    ["first", "second", "about"],
)
