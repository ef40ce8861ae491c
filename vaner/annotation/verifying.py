"""In: documents with mentions; a model that is asked about each, or a tagger. Out: mentions judged, one by one.

rules       no model: what the instructions let a machine check (`vaner.annotation.rules`)
a model     asked of each mention: yes, no, or better borders (`vaner.annotation.questions`)
a tagger    tags the same text: the same place is a yes, another place of the type at the same words better borders

What a verifier cannot say anything of stays as it is, and is counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vaner.annotation.marked import CORRECTED, REJECTED, Marked, Verdict
from vaner.annotation.questions import Question
from vaner.document import Document, Span
from vaner.errors import VanerError
from vaner.prompting.request import REFUSED, Answer, Failure, Request, Sampling, Spent
from vaner.prompting.sending import summary
from vaner.tagger import FAILED, Tagger, can_be_asked
from vaner.tagging.overlap import Places
from vaner.tagging.prompted import BUFFER_REQUESTS, PromptedTagger
from vaner.text.units import Text

NO_WORDS = "it has no words"
NO_ROOM = "no room for the question"
DECLINED = "the model refused"
NOT_ITS_TYPE = "it does not know the type"
# An answer may begin otherwise than the longest sensible one.
_SLACK = 16


@dataclass
class _Asked:
    marked: Marked
    questions: list[Question | None]
    verdicts: list[Verdict]


@dataclass
class ModelVerifier:
    """Asks a model about each mention, in the words of a prompt file and with its guideline.

    Args:
        name: as it was named.
        tagger: the prompted tagger whose model, wording and store are used.
        own: it marks nothing itself: what it spends is counted here, else with what it marks.
        on_failed: as of `PromptedTagger`.
    """

    name: str
    tagger: PromptedTagger
    own: bool = True
    on_failed: str = "raise"

    @property
    def counts(self) -> dict[str, int]:
        """What it spent in the last run."""
        if not self.own:
            return {}
        spent = self.tagger.sender.spent
        return {
            "requests": spent.requests,
            "requests answered from the store": spent.stored,
            "requests that failed": spent.failed,
            "prompt tokens": spent.prompt_tokens,
            "answer tokens": spent.output_tokens,
        }

    def remarks(self) -> list[str]:
        """What it spent in the last run."""
        return [f"{self.name}: {summary(self.tagger.sender.spent, self.tagger.price)}"] if self.own else []

    def verify(self, marked: Iterator[Marked], types: Sequence[str]) -> Iterator[Marked]:
        """Judge the mentions of documents, in order; see `vaner.annotation.marked.Verifier`."""
        if self.own:
            self.tagger.sender.spent = Spent()
        return self._verified(marked)

    def _verified(self, marked: Iterator[Marked]) -> Iterator[Marked]:
        more = True
        while more:
            buffer: list[_Asked] = []
            waiting = 0
            while waiting < BUFFER_REQUESTS:
                one = next(marked, None)
                if one is None:
                    more = False
                    break
                text = Text.of(one.document)
                questions = [Question.of(text, span, self.tagger.max_words) for span in one.spans]
                buffer.append(_Asked(one, questions, [Verdict(why=NO_WORDS)] * len(questions)))
                waiting += 1 + len(questions)
            yield from self._answered(buffer)

    def _answered(self, buffer: Sequence[_Asked]) -> Iterator[Marked]:
        requests: list[Request] = []
        owners: list[tuple[_Asked, int]] = []
        for one in buffer:
            for number, question in enumerate(one.questions):
                if question is None:
                    continue
                request = self._request(question)
                if request is None:
                    one.verdicts[number] = Verdict(why=NO_ROOM)
                    continue
                requests.append(request)
                owners.append((one, number))
        failures: dict[int, str] = {}
        for at, answer in self.tagger.sender.send(requests):
            one, number = owners[at]
            if isinstance(answer, Failure):
                failures.setdefault(id(one), answer.why)
                one.verdicts[number] = Verdict(why="a call without an answer")
            else:
                one.verdicts[number] = self._read(one.questions[number], answer, requests[at])
        for one in buffer:
            if why := failures.get(id(one)):
                said = f"{self.name} gave no answer: {why}"
                if self.on_failed == "raise":
                    raise VanerError(
                        f"document {one.marked.document.id}: {said}; annotate it again, only what failed is asked anew"
                    )
                one.marked.failed = one.marked.failed or said
            one.marked.follow(self.name, one.verdicts)
            yield one.marked

    @staticmethod
    def _read(question: Question | None, answer: Answer, request: Request) -> Verdict:
        assert question is not None
        if answer.finish == REFUSED:
            return Verdict(why=DECLINED)
        return question.read(answer, chosen=request.grammar is not None)

    def _request(self, question: Question) -> Request | None:
        """What is sent; None where there is no room for it."""
        prompter, settings = self.tagger.prompter, self.tagger.settings
        backend = prompter.backend
        forced = settings.decoding == "forced"
        messages = prompter.other(question.unit, [question.span.type], question.rules(), question.text())
        request = Request(
            messages=messages,
            max_tokens=int(backend.count(question.longest()) * 1.5) + _SLACK + settings.budget.extra,
            chat=settings.template != "plain",
            grammar=question.grammar() if forced else None,
            sampling=Sampling(settings.sampling.temperature, settings.sampling.top_p, settings.sampling.seed),
            logprobs=forced and backend.can.logprobs,
            stop=() if forced else ("\n",) if settings.template == "plain" else settings.stop,
        )
        if backend.context is None:
            return request
        needed = backend.count_prompt(request.messages, request.chat) + request.max_tokens
        return request if needed <= backend.context else None


@dataclass
class TaggerVerifier:
    """Has another tagger tag the same text.

    Args:
        name: as it was named.
        tagger: any that reads the text itself.
    """

    name: str
    tagger: Tagger

    @property
    def counts(self) -> dict[str, int]:
        """What the tagger counted in the last run."""
        return dict(getattr(self.tagger, "counts", {}))

    def remarks(self) -> list[str]:
        """What the tagger says of the last run."""
        return [f"{self.name}: {said}" for said in self.tagger.remarks()]

    def verify(self, marked: Iterator[Marked], types: Sequence[str]) -> Iterator[Marked]:
        """Judge the mentions of documents, in order; see `vaner.annotation.marked.Verifier`."""
        asked = [type for type in types if can_be_asked(self.tagger, type)]
        if not asked:
            raise VanerError(
                f"--verify {self.name}: knows none of {', '.join(types)}; name another verifier, or leave it out"
            )
        waiting: deque[Marked] = deque()

        def documents() -> Iterator[Document]:
            for one in marked:
                waiting.append(one)
                yield one.document

        return self._verified(self.tagger.tag_documents(documents(), asked), waiting, frozenset(asked))

    def _verified(
        self, tagged: Iterator[Document], waiting: deque[Marked], asked: frozenset[str]
    ) -> Iterator[Marked]:
        for document in tagged:
            one = waiting.popleft()
            if one.document.id != document.id:
                raise VanerError(
                    f"document {document.id}: {self.name} gave it out of turn; name another verifier"
                )
            if FAILED in document.metadata:
                one.failed = one.failed or f"{self.name}: {document.metadata[FAILED]}"
            places: dict[str, Places] = {}
            for span in document.spans:
                places.setdefault(span.type, Places()).add(span)
            verdicts = [
                _agreement(span, places.get(span.type)) if span.type in asked else Verdict(why=NOT_ITS_TYPE)
                for span in one.spans
            ]
            one.follow(self.name, verdicts)
            yield one


def _agreement(span: Span, places: Places | None) -> Verdict:
    """What a tagger's own mentions of the type say of one."""
    there = list(places.overlapping(span)) if places else []
    if not there:
        return Verdict(REJECTED)
    same = [one for one in there if (one.start, one.end) == (span.start, span.end)]
    # The one that shares the most with it, then the surest.
    best = (same or sorted(there, key=lambda one: (-_shared(one, span), -(one.score or 0.0), one.start)))[0]
    confidence = 1.0 if best.score is None else best.score
    if same:
        return Verdict(confidence=confidence)
    return Verdict(CORRECTED, confidence, best.start, best.end)


def _shared(one: Span, other: Span) -> int:
    return min(one.end, other.end) - max(one.start, other.start)
