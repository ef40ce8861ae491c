"""In: Documents, a prompted tagger's settings, who answers. Out: the same Documents, with what the answers hold.

Document -> Text (words) -> units -> calls -> requests --- store, backend ---> answers
                                              |__________ step by step ______________|
                                                                              | read, placed, voted
Document + Spans  <-  mentions that have a place; what has none is counted by cause

Documents are read ahead until enough requests are together to be batched, and given out in order. A document one of
whose calls failed is never given out as if nothing were in it: it is an error, or says so.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

from vaner.document import Document
from vaner.errors import VanerError, near
from vaner.prompting.found import FAILED_CALL, Found, Mention
from vaner.prompting.prices import Price
from vaner.prompting.prompt import REASON, Call, Prompter, shown
from vaner.prompting.request import Answer, Failure, Request, Spent, refuse
from vaner.prompting.sending import Plan, Sender, plan_summary, summary
from vaner.prompting.settings import PromptSettings
from vaner.prompting.steps import Conversation
from vaner.prompting.unit import Unit
from vaner.prompting.voting import Spread, majority
from vaner.tagger import FAILED
from vaner.text.units import Text

# Requests that are read ahead, so that a backend has enough to batch, or to send at a time.
BUFFER_REQUESTS = 256
ON_FAILED = ("raise", "leave")
# Stands in a dry run for reasons that nobody gave yet.
NOT_SAID = "(what the model answers)"
# Of a document's metadata: what its answers lost, by cause.
LOST = "lost"


@dataclass
class _Asked:
    """A call and what came of it: a conversation for each repeat."""

    call: Call
    repeats: list[Conversation]


@dataclass
class _Pending:
    """A document on its way."""

    document: Document
    asked: list[_Asked]


@dataclass
class _Run:
    """What the last run came to.

    Attributes:
        documents: that were given out, or were to be.
        failed: that some call gave no answer for; ``why`` is the first reason.
        lost: cause -> how often; ``examples`` the first of each.
        words, unread: that were asked about; of which answers say nothing.
        steps: what became of the steps around the marking.
        plan: what would be sent, where nothing is; ``impossible`` calls have no room.
        shown: the first requests, for people to read.
    """

    documents: int = 0
    failed: int = 0
    why: str = ""
    lost: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    words: int = 0
    unread: int = 0
    steps: Counter[str] = field(default_factory=Counter)
    spread: Spread = field(default_factory=Spread)
    plan: Plan = field(default_factory=Plan)
    impossible: int = 0
    shown: list[str] = field(default_factory=list)


class PromptedTagger:
    """A language model that is asked in words, and whose answer is read (docs/prompting.md).

    Args:
        settings: of the file.
        prompter: writes its prompts.
        sender: has them answered.
        price: of tokens; None where nobody says.
        on_failed: what becomes of a document one of whose calls gives no answer. ``raise``: VanerError, once all that
            was read with it is answered (and, with a store, kept). ``leave``: it is given out with the spans of its
            other calls, and ``metadata["failed"]`` says why.
        dry_run: send nothing: documents come back without spans, and ``remarks`` says what would have been asked.
        show_prompt: send nothing, and keep so many requests for ``remarks``; without ``dry_run`` no more is read.
    """

    #: Whatever can be named can be asked; a definition helps.
    allow_new_types = True

    def __init__(
        self,
        settings: PromptSettings,
        prompter: Prompter,
        sender: Sender,
        *,
        price: Price | None = None,
        on_failed: str = "raise",
        dry_run: bool = False,
        show_prompt: int = 0,
    ) -> None:
        if on_failed not in ON_FAILED:
            raise VanerError(f"on_failed: unknown {on_failed!r}; choose {', '.join(ON_FAILED)}")
        self.settings, self.prompter, self.sender, self.price = settings, prompter, sender, price
        self.on_failed, self.dry_run, self.show_prompt = on_failed, dry_run, show_prompt
        self._run = _Run()
        self._reduced: tuple[Callable[..., Any], tuple[Any, ...]] | None = None
        self._check()

    @classmethod
    def from_file(cls, path: str | PathLike[str], **options: Any) -> PromptedTagger:
        """The tagger of a file, or of a folder that ``train.py --head generate`` wrote.

        Args:
            path: of the YAML file (configs/prompts/), or the folder.
            options: ``max_words``; ``dtype``, ``device``, ``quantization``, ``revision``, ``batch_tokens`` where the
                backend takes them; ``on_failed``, ``dry_run``, ``show_prompt`` as above.

        Raises:
            VanerError: a wrong setting or option, a model that is not there, or one that cannot do what is asked.
            FileNotFoundError: no such file.
        """
        from vaner.prompting.opening import opened, price_of

        own = {name: options.pop(name) for name in ("on_failed", "dry_run", "show_prompt") if name in options}
        settings = PromptSettings.load(path).with_options(options)
        made = cls(settings, *opened(settings), price=price_of(settings), **own)
        made._reduced = (_load, (cls, os.path.abspath(path), options | own))
        return made

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        if self._reduced is None:
            raise VanerError(
                "this tagger was made of parts in memory; one that from_file loads can be pickled"
            )
        return self._reduced

    @property
    def types(self) -> list[str]:
        """Those of the file; asked when none are named."""
        return list(self.settings.types)

    @property
    def datasets(self) -> dict[str, list[str]]:
        """Corpora that the prompt may name, and what each annotates."""
        return {name: list(types) for name, types in self.settings.datasets.items()}

    @property
    def max_words(self) -> int:
        """Words of a unit."""
        return self.settings.max_words

    @property
    def tokens(self) -> int:
        """Tokens of prompts and answers of the last run, what came from the store aside."""
        return self.sender.spent.prompt_tokens + self.sender.spent.output_tokens

    @property
    def counts(self) -> dict[str, int]:
        """What the last run lost, by cause, and what else a run over many files should add up."""
        spent = self.sender.spent
        return {
            "requests": spent.requests,
            "requests answered from the store": spent.stored,
            "requests that failed": spent.failed,
            "prompt tokens": spent.prompt_tokens,
            "answer tokens": spent.output_tokens,
            "words of which answers say nothing": self._run.unread,
            **{f"answers lost: {cause}": times for cause, times in self._run.lost.items()},
            **{f"steps: {what}": times for what, times in self._run.steps.items()},
        }

    def tag_documents(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, dataset: str | None = None
    ) -> Iterator[Document]:
        """Tag documents, in input order; see `vaner.tagger.Tagger`.

        Raises:
            VanerError: as there; with ``on_failed="raise"`` for a document one of whose calls gives no answer.
            Unavailable: nobody answers at all; what was answered before is in the store.
        """
        asked = self._asked(types, dataset)
        self._run = _Run()
        self.sender.spent = Spent()
        self.prompter.split = 0
        return (
            self._planned(documents, asked, dataset)
            if self.dry_run or self.show_prompt
            else self._tagged(documents, asked, dataset)
        )

    def _asked(self, types: Sequence[str] | None, dataset: str | None) -> list[str]:
        known = self.datasets
        if dataset is not None and dataset not in known:
            hint = near(dataset, known) or f"known: {', '.join(known) or 'none'}"
            raise VanerError(
                f"dataset {dataset!r} is none of {self.settings.file} ({hint}); name it under datasets:, or leave it "
                "out"
            )
        if types is None:
            types = self.types if dataset is None else known[dataset]
        asked = list(dict.fromkeys([types] if isinstance(types, str) else types))
        if not asked or not all(type.strip() for type in asked):
            raise VanerError(
                f"{self.settings.file}: no entity type is asked; name some under types:, or with --types (types=)"
            )
        return asked

    def _check(self) -> None:
        """Refuse at once what the backend cannot do."""
        unit = Unit(Text.of(Document("", "word")), 0, 1)
        types = self.types or ["Disease"]
        settings = self.settings
        if settings.decoding == "free":
            known = self.prompter.format.alignments
            if self.prompter.alignment not in known:
                raise VanerError(
                    f"{settings.file}: alignment: {settings.alignment} is none of answer: {settings.answer}; "
                    f"choose {', '.join(known)}"
                )
        probe = self.prompter.asked(unit, types, ())
        try:
            refuse(self.prompter.backend, [probe])
        except VanerError as error:
            raise VanerError(f"{settings.file}: {error}") from None

    def _tagged(
        self, documents: Iterable[Document], types: list[str], dataset: str | None
    ) -> Iterator[Document]:
        reading = iter(documents)
        ended: VanerError | None = None
        more = True
        while more:
            buffer: list[_Pending] = []
            waiting = 0
            while waiting < BUFFER_REQUESTS:
                try:
                    document = next(reading, None)
                except VanerError as error:
                    # One that cannot be read is an error once all before it were given out.
                    document, ended = None, error
                if document is None:
                    more = False
                    break
                buffer.append(self._pending(document, types, dataset))
                waiting += len(buffer[-1].asked) * self.settings.repeats * len(self.settings.steps)
            yield from self._answered(buffer)
        if ended is not None:
            raise ended

    def _pending(self, document: Document, types: list[str], dataset: str | None) -> _Pending:
        text = Text.of(document)
        asked = [
            _Asked(call, [Conversation(call, repeat) for repeat in range(self.settings.repeats)])
            for first, last in text.units(self.max_words)
            for call in self.prompter.calls(Unit(text, first, last), types, dataset)
        ]
        return _Pending(document, asked)

    def _answered(self, buffer: Sequence[_Pending]) -> Iterator[Document]:
        talks = [talk for one in buffer for asked in one.asked for talk in asked.repeats]
        for step in self.settings.steps:
            requests: list[Request] = []
            owners: list[Conversation] = []
            for talk in talks:
                if (request := talk.request(step, self.prompter)) is not None:
                    requests.append(request)
                    owners.append(talk)
            answered = [False] * len(owners)
            for number, answer in self.sender.send(requests):
                owners[number].take(step, answer, self.prompter)
                answered[number] = True
            for talk, there in zip(owners, answered, strict=True):
                if not there:
                    talk.fail("the backend gave none")
        for one in buffer:
            yield self._document(one)

    def _document(self, one: _Pending) -> Document:
        run = self._run
        run.documents += 1
        mentions: dict[tuple[int, int, str], Mention] = {}
        lost: Counter[str] = Counter()
        reasons: list[str] = []
        for asked in one.asked:
            found, why = self._found(asked, lost)
            if why:
                reasons.append(why)
            for answer in found:
                lost.update(answer.lost)
                for cause, example in answer.examples.items():
                    run.examples.setdefault(cause, example)
            run.words += len(asked.call.unit.words)
            run.unread += max((answer.unread_words for answer in found), default=0)
            for mention in (
                majority(found, run.spread, score=self.settings.scores == "votes") if found else ()
            ):
                mentions.setdefault((mention.start, mention.end, mention.type), mention)
        run.lost.update(lost)
        document = one.document
        if reasons:
            run.failed += 1
            run.why = run.why or reasons[0]
            said = f"{len(reasons):,} of {len(one.asked):,} calls gave no answer: {reasons[0]}"
            if self.on_failed == "raise":
                raise VanerError(
                    f"document {document.id}: {said}; tag it again, only what failed is asked anew"
                )
        tagged = document.with_spans(
            document.span(m.start, m.end, m.type, score=m.score, grounded=m.how) for m in mentions.values()
        )
        kept = {key: value for key, value in document.metadata.items() if key not in (FAILED, LOST)}
        if reasons:
            kept[FAILED] = said
        if lost:
            kept[LOST] = dict(lost)
        tagged.metadata = kept
        return tagged

    def _found(self, asked: _Asked, lost: Counter[str]) -> tuple[list[Found], str]:
        """What the answers to a call came to, and why there is none; a call fails where all its repeats do."""
        if isinstance(asked.call.request, Failure):
            lost[FAILED_CALL] += 1
            return [], asked.call.request.why
        found: list[Found] = []
        why = ""
        for talk in asked.repeats:
            lost.update(talk.lost)
            self._run.steps.update(+talk.steps)
            why = why or talk.why
            if talk.found is not None:
                found.append(talk.found)
        return found, "" if found else why

    # --- nothing is sent ---

    def _planned(
        self, documents: Iterable[Document], types: list[str], dataset: str | None
    ) -> Iterator[Document]:
        run = self._run
        for document in documents:
            run.documents += 1
            for asked in self._pending(document, types, dataset).asked:
                if isinstance(asked.call.request, Failure):
                    run.impossible += 1
                    continue
                for talk in asked.repeats:
                    for one in self._imagined(talk):
                        if len(run.shown) < self.show_prompt:
                            run.shown.append(
                                f"=== request {len(run.shown) + 1}, document {document.id} ===\n{shown(one)}"
                            )
                        elif not self.dry_run:
                            return
                        self.sender.plan([one], run.plan)
            yield document.with_spans([])

    def _imagined(self, talk: Conversation) -> Iterator[Request]:
        """The requests of all steps; what only a model could say, where the store does not, is stood in for."""
        for step in self.settings.steps:
            request = talk.request(step, self.prompter)
            if request is None:
                continue
            yield request
            answer = self.sender.stored(request)
            if answer is None:
                unit, types = talk.call.unit, list(talk.call.types)
                text = NOT_SAID if step == REASON else self.prompter.format.write(unit, [], types)
                answer = Answer(text)
            talk.take(step, answer, self.prompter)

    # --- what is said ---

    def remarks(self) -> list[str]:
        """What the last run asked, lost, and spent; where nothing was sent, what would have been."""
        run = self._run
        if self.dry_run or self.show_prompt:
            return [*run.shown, *([self._plan()] if self.dry_run else [])]
        said = []
        for cause, times in run.lost.most_common():
            example = run.examples.get(cause)
            said.append(f"answers lost {times:,} x {cause}" + (f", such as {example!r}" if example else ""))
        if run.unread:
            said.append(f"answers say nothing of {run.unread:,} of {run.words:,} words; none is marked there")
        if run.failed:
            said.append(
                f"{run.failed:,} of {run.documents:,} documents have calls without an answer: {run.why}"
            )
        if self.prompter.split:
            said.append(
                f"{self.prompter.split:,} units were too long for the prompt or for a grammar and were asked in parts"
            )
        if run.steps:
            said.append("steps: " + ", ".join(f"{times:,} {what}" for what, times in run.steps.most_common()))
        if spread := run.spread.remark():
            said.append(spread)
        pool = self.prompter.told.shots
        return [*said, *(pool.pool.remarks() if pool else ()), summary(self.sender.spent, self.price)]

    def _plan(self) -> str:
        run = self._run
        impossible = f"; {run.impossible:,} calls have no room for their prompt" if run.impossible else ""
        return plan_summary(run.plan, self.price) + impossible


def _load(cls: type[PromptedTagger], path: str, options: Mapping[str, Any]) -> PromptedTagger:
    return cls.from_file(path, **options)
