"""In: settings, a unit, the types that are asked. Out: Calls: the requests that ask for them, in the file's words.

    system      wording, definitions of the types, rules of the answer    \\  the same for every text, so that their
    user        a shot's question                                         |   keys and values are computed once
    assistant   a shot's answer                                           /   (where shots are fixed)
    user        what was retrieved for the text, then the text

A prompt that leaves no room for its answer is asked of fewer sentences at a time; nothing is cut. Where a text is
asked about in steps (`vaner.prompting.steps`), that holds for the longest of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vaner.prompting.answers import AnswerFormat
from vaner.prompting.found import FORCED
from vaner.prompting.keys import Where
from vaner.prompting.request import Backend, Failure, Message, Request, Sampling
from vaner.prompting.retrieval import Retrieved, Retriever
from vaner.prompting.settings import STEPS, PromptSettings
from vaner.prompting.shots import Shots
from vaner.prompting.unit import Unit, plain, plain_lines
from vaner.prompting.wording import say

REASON, MARK, CORRECT = STEPS

# An answer may begin or end otherwise than the longest sensible one.
_SLACK = 16
# Words that one grammar may hold: llguidance compiles 900 and ends the whole process at 2,500.
MOST_FORCED_WORDS = 400
# A model need not write the longest sensible answer in as few tokens as a tokenizer does. A forced one ends by itself.
_FORCED, _FREE = 2.0, 1.25
# Tokens of a list of mentions with reasons: so many for each of the text, and beside them.
_REASONED, _REASON_LEAST = 2, 64
# Between turns that are joined as they are, and where such an answer ends.
_BETWEEN = {"system": "\n\n", "user": "\n", "assistant": "\n\n"}
_END = ("\n\n",)


@dataclass(frozen=True)
class Call:
    """One question.

    Attributes:
        unit: the words that are asked about.
        types: that are asked.
        request: what is sent first, or why nothing can be.
        dataset: that the prompt names.
    """

    unit: Unit
    types: tuple[str, ...]
    request: Request | Failure
    dataset: str | None = None


@dataclass(frozen=True)
class Said:
    """What the steps before said.

    Attributes:
        reasons: the list of mentions, with reasons, as a prompt may show it.
        marked: the marking, in the answer's own form.
    """

    reasons: str = ""
    marked: str = ""


@dataclass(frozen=True)
class Told:
    """What prompts tell beside their wording.

    Attributes:
        shots: examples; None for none.
        definitions, names, passages: as `vaner.prompting.retrieval` has them; None for none.
    """

    shots: Shots | None = None
    definitions: Retriever | None = None
    names: Retriever | None = None
    passages: Retriever | None = None


class Prompter:
    """Writes prompts.

    Args:
        settings: wording, sampling, budget.
        format: of the answers.
        backend: counts tokens.
        told: shots and what is retrieved.

    Attributes:
        split: units that were asked in parts, for lack of room.
    """

    def __init__(
        self, settings: PromptSettings, format: AnswerFormat, backend: Backend, told: Told | None = None
    ) -> None:
        self.settings, self.format, self.backend = settings, format, backend
        self.told = told or Told()
        self.split = 0

    @property
    def alignment(self) -> str:
        """How answers are read."""
        if self.settings.decoding == "forced":
            return FORCED
        return self.settings.alignment or self.format.alignments[0]

    def calls(self, unit: Unit, types: Sequence[str], dataset: str | None = None) -> Iterator[Call]:
        """The questions about a unit: for all types or for each, and where they have no room, for parts of it."""
        asked = [[type] for type in types] if self.settings.one_type_per_call else [list(types)]
        parts = [unit]
        if self.settings.decoding == "forced" and len(unit.words) > MOST_FORCED_WORDS:
            parts = _parts(unit)
            self.split += 1
        for some in asked:
            for part in parts:
                yield from self._calls(part, some, dataset)

    def repeats(self, request: Request) -> list[Request]:
        """A request as often as the settings repeat it, each drawn anew."""
        seed = request.sampling.seed
        return [
            replace(
                request,
                repeat=number,
                sampling=replace(request.sampling, seed=None if seed is None else seed + number),
            )
            for number in range(self.settings.repeats)
        ]

    def step(self, step: str, call: Call, said: Said) -> Request | None:
        """What is sent in a step; None where what was said before leaves no room for it.

        Args:
            step: one of `vaner.prompting.settings.STEPS`.
            call: whose steps they are.
            said: what those before said.
        """
        request = self._request(step, call.unit, list(call.types), call.dataset, said)
        if self.backend.context is None:
            return request
        left = self.backend.context - self.backend.count_prompt(request.messages, request.chat)
        if (most := self.settings.budget.max_tokens) is not None:
            return replace(request, max_tokens=min(most, left)) if left > 0 else None
        return request if request.max_tokens <= left else None

    def _calls(self, unit: Unit, types: list[str], dataset: str | None) -> Iterator[Call]:
        steps = self.settings.steps
        # The marking that `correct` shows is no longer than this.
        said = Said(marked=self.format.longest(unit, types) if len(steps) > 1 else "")
        requests = [self._request(step, unit, types, dataset, said) for step in steps]
        request = requests[0]
        room = self.backend.context
        if room is None:
            yield Call(unit, tuple(types), request, dataset)
            return
        prompts = [self.backend.count_prompt(one.messages, one.chat) for one in requests]
        needed = max(
            prompt + self._needed(step, one, unit, types)
            for step, one, prompt in zip(steps, requests, prompts, strict=True)
        )
        if (most := self.settings.budget.max_tokens) is not None:
            request = replace(request, max_tokens=max(1, min(most, room - prompts[0])))
        if needed <= room:
            yield Call(unit, tuple(types), request, dataset)
            return
        halves = _halves(unit)
        if not halves:
            why = (
                f"the prompt and its answer may need {needed:,} tokens and the model reads {room:,}; "
                "use fewer shots or passages, or a model that reads more"
            )
            yield Call(unit, tuple(types), Failure(why))
            return
        self.split += 1
        for half in halves:
            yield from self._calls(half, types, dataset)

    def _needed(self, step: str, request: Request, unit: Unit, types: list[str]) -> int:
        """Tokens of a step beside its prompt: of the answer, and of reasons that the prompt does not show yet."""
        most = self.settings.budget.max_tokens
        answer = request.max_tokens
        if most is not None and step != REASON:
            # So much is allowed, not needed.
            answer = min(most, self.backend.count(self.format.longest(unit, types)) + _SLACK)
        return answer + (self._reason_tokens(unit) if step == MARK and REASON in self.settings.steps else 0)

    def _reason_tokens(self, unit: Unit) -> int:
        longest = _REASONED * self.backend.count(unit.shown) + _REASON_LEAST
        return min(longest, self.settings.budget.max_tokens or longest)

    def request(self, unit: Unit, types: list[str], dataset: str | None = None) -> Request:
        """What is sent for a unit to be marked, whether or not there is room."""
        return self.asked(unit, types, self.messages(unit, types, dataset))

    def _request(self, step: str, unit: Unit, types: list[str], dataset: str | None, said: Said) -> Request:
        messages = self.messages(unit, types, dataset, step, said)
        if step != REASON:
            return self.asked(unit, types, messages)
        sampling, is_plain = self.settings.sampling, self.settings.template == "plain"
        return Request(
            messages=messages,
            max_tokens=self._reason_tokens(unit),
            chat=not is_plain,
            sampling=Sampling(sampling.temperature, sampling.top_p, sampling.seed),
            stop=self.settings.stop or (_END if is_plain else ()),
        )

    def asked(self, unit: Unit, types: list[str], messages: tuple[Message, ...]) -> Request:
        """Messages about a unit, and how their answer is to be written."""
        settings = self.settings
        sampling = settings.sampling
        is_plain = settings.template == "plain"
        is_free = settings.decoding == "free"
        grammar = None if is_free else self.format.grammar(unit, types)
        # A server may hold answers to a schema alone, in which they are longer.
        by_schema = grammar is not None and grammar.kinds() & self.backend.can.grammars == {"json_schema"}
        longest = self.format.longest(unit, types, schema=by_schema)
        return Request(
            messages=messages,
            max_tokens=settings.budget.max_tokens
            or int(self.backend.count(longest) * (_FREE if is_free else _FORCED))
            + _SLACK
            + settings.budget.extra,
            chat=not is_plain,
            grammar=grammar,
            sampling=Sampling(sampling.temperature, sampling.top_p, sampling.seed),
            logprobs=settings.scores == "logprobs",
            stop=settings.stop or (_END if is_plain and is_free else ()),
        )

    def messages(
        self,
        unit: Unit,
        types: list[str],
        dataset: str | None = None,
        step: str = MARK,
        said: Said = Said(),
    ) -> tuple[Message, ...]:
        """The turns of a prompt.

        Args:
            unit, types, dataset: what is asked.
            step: what for; one of `vaner.prompting.settings.STEPS`.
            said: what the steps before said.
        """
        fixed = self._fixed(unit, types, dataset)
        reason = self._say("reason", fixed)
        if step == REASON:
            return self.other(unit, types, reason, unit.shown, dataset)
        fixed["rules"] = self.format.rules(types)
        turns = self._begun(fixed)
        for shot in self.told.shots.of(unit, types) if self.told.shots else ():
            turns.append(("user", self._question(shot.unit, fixed)))
            turns.append(("assistant", self.format.write(shot.unit, shot.mentions, list(shot.types))))
        last = self._last(unit, types, fixed, turns, self.format.question(unit))
        if step == MARK and said.reasons:
            turns += [("user", f"{reason}\n\n{unit.shown}"), ("assistant", said.reasons)]
        turns.append(last)
        if step == CORRECT:
            turns.append(("assistant", said.marked))
            turns.append(("user", f"{self._say('correct', fixed)}\n\n{self.format.question(unit)}"))
        return self._joined(turns)

    def other(
        self, unit: Unit, types: list[str], rules: str, question: str, dataset: str | None = None
    ) -> tuple[Message, ...]:
        """The turns of another question about a unit, in the file's words, without examples: they show answers.

        Args:
            unit, types, dataset: what is asked about.
            rules: how the answer is to be written, in place of the format's.
            question: in place of the format's.
        """
        fixed = self._fixed(unit, types, dataset) | {"rules": rules}
        turns = self._begun(fixed)
        return self._joined([*turns, self._last(unit, types, fixed, turns, question)])

    def _fixed(self, unit: Unit, types: list[str], dataset: str | None) -> dict[str, Any]:
        return {
            "types": [plain(type) for type in types],
            "definitions": self._definitions(unit, types),
            "dataset": plain(dataset) if dataset else "",
            "guideline": self._guideline(types),
        }

    def _begun(self, fixed: dict[str, Any]) -> list[tuple[str, str]]:
        system = self._say("system", fixed)
        return [("system", system)] if system else []

    def _last(
        self,
        unit: Unit,
        types: list[str],
        fixed: dict[str, Any],
        before: list[tuple[str, str]],
        question: str,
    ) -> tuple[str, str]:
        """The turn that asks, with what was retrieved; ``before`` are those that stand before it."""
        names = self.told.names.of(unit, types) if self.told.names else []
        passages: list[Retrieved] = []
        if self.told.passages:
            bare = [*before, ("user", self._question(unit, fixed, names, question=question))]
            prompt = "\n".join(content for _, content in bare)
            passages = self.told.passages.of(unit, types, prompt)
        return "user", self._question(unit, fixed, names, passages, question=question)

    def _joined(self, turns: Sequence[tuple[str, str]]) -> tuple[Message, ...]:
        if self.settings.template == "plain":
            turns = [(role, content + _BETWEEN[role]) for role, content in turns]
        return tuple(Message(role, content) for role, content in turns)

    def _question(
        self,
        unit: Unit,
        fixed: dict[str, Any],
        names: Sequence[Retrieved] = (),
        passages: Sequence[Retrieved] = (),
        *,
        question: str | None = None,
    ) -> str:
        shown = {"question": question or self.format.question(unit), "text": unit.shown}
        return self._say("user", fixed | shown | {"names": list(names), "passages": list(passages)})

    def _guideline(self, types: Sequence[str]) -> str:
        """What is said of how these types are marked; what is said of several alike, once."""
        told = self.settings.guideline
        parts = dict.fromkeys(told[type] for type in ("", *types) if type in told)
        return plain_lines("\n".join(parts))

    def _say(self, which: str, values: dict[str, Any]) -> str:
        return say(getattr(self.settings, which), values, Where(self.settings.file, which))

    def _definitions(self, unit: Unit, types: Sequence[str]) -> dict[str, str]:
        """Type -> its definition; empty where it has none."""
        found = {plain(type): "" for type in types}
        if self.told.definitions is None:
            return found
        for type in types:
            for one in self.told.definitions.of(unit, [type]):
                found[plain(type)] = one.text.removeprefix(f"{plain(type)}: ")
        return found


def shown(request: Request) -> str:
    """A request for people to read."""
    said = "\n".join(f"--- {message.role} ---\n{message.content}" for message in request.messages)
    more = [f"at most {request.max_tokens:,} tokens", f"temperature {request.sampling.temperature:g}"]
    if request.grammar is not None:
        more.append(f"held to a grammar ({', '.join(sorted(request.grammar.kinds()))})")
    if request.stop:
        more.append(f"ends at {', '.join(map(repr, request.stop))}")
    return f"{said}\n--- answer: {'; '.join(more)} ---"


def _parts(unit: Unit) -> list[Unit]:
    """The unit in parts that a grammar can hold, parted at sentences where there are any, else between words."""
    if unit.last - unit.first <= MOST_FORCED_WORDS:
        return [unit]
    middle = (unit.first + unit.last) // 2
    halves = _halves(unit) or [Unit(unit.text, unit.first, middle), Unit(unit.text, middle, unit.last)]
    return [part for half in halves for part in _parts(half)]


def _halves(unit: Unit) -> list[Unit]:
    """The unit as two, parted at a sentence; nothing where it is one sentence."""
    starts = [start for start in unit.text.sentence_starts if unit.first < start < unit.last]
    if not starts:
        return []
    middle = min(starts, key=lambda start: abs(2 * start - unit.first - unit.last))
    return [Unit(unit.text, unit.first, middle), Unit(unit.text, middle, unit.last)]
