"""In: requests, a backend, a store. Out: their answers, each asked once; what was spent, or what it would take.

requests -> refused? -> in the store? -> the same twice? -> backend -> store -> caller
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vaner.errors import VanerError
from vaner.prompting.prices import Price, money
from vaner.prompting.request import Answer, Backend, Failure, Request, Spent, refuse
from vaner.prompting.store import RequestStore

Outcome = Answer | Failure


@dataclass
class Plan:
    """What requests would take.

    Attributes:
        requests: that would be sent.
        stored: that the store would answer.
        prompt_tokens: of those that would be sent, as the backend counts or estimates them.
        most_output_tokens: of their answers, if each used all that it may.
    """

    requests: int = 0
    stored: int = 0
    prompt_tokens: int = 0
    most_output_tokens: int = 0


class Sender:
    """Asks each request once.

    Args:
        backend: who answers.
        store: what was answered before, and where answers are kept; None keeps none.
        spent: what is counted into; ``sender.spent``.
    """

    def __init__(
        self, backend: Backend, store: RequestStore | None = None, spent: Spent | None = None
    ) -> None:
        self.backend = backend
        self.store = store
        self.spent = Spent() if spent is None else spent
        self._planned: set[str] = set()

    def send(self, requests: Sequence[Request]) -> Iterator[tuple[int, Outcome]]:
        """Answers of all requests, each once, those of the store first and then as they come.

        Yields:
            ``(number of the request, what came of it)``; an answer is in the store before it is yielded.

        Raises:
            VanerError: at the call, before anything is sent: what the backend cannot do; a request that a store opened
                with ``replay`` does not hold. While answers are read: a store that cannot be written.
            Unavailable: nobody answers at all; what was answered before is yielded and kept.
        """
        refuse(self.backend, requests)
        places = self._places(requests)
        found: dict[str, Answer] = {}
        if self.store is not None:
            for key in places:
                if (answer := self.store.get(key)) is not None:
                    found[key] = answer
            if self.store.replay:
                self._refuse_missing(requests, places, found)
        return self._send(requests, places, found)

    def _send(
        self, requests: Sequence[Request], places: dict[str, list[int]], found: dict[str, Answer]
    ) -> Iterator[tuple[int, Outcome]]:
        for key, answer in found.items():
            for number in places[key]:
                self.spent.add(answer, stored=True)
                yield number, answer
        missing = [numbers for key, numbers in places.items() if key not in found]
        if not missing:
            return
        asked = [requests[numbers[0]] for numbers in missing]
        for place, outcome in self.backend.answers(asked):
            if self.store is not None:
                self.store.put(asked[place], self.backend.identity, outcome)
            # Those that ask the same have the same answer, for nothing.
            for again, number in enumerate(missing[place]):
                self.spent.add(outcome, stored=again > 0)
                yield number, outcome

    def stored(self, request: Request) -> Answer | None:
        """What the store has of a request; nothing is sent."""
        return None if self.store is None else self.store.get(request.key(self.backend.identity))

    def plan(self, requests: Sequence[Request], plan: Plan) -> None:
        """Count into ``plan`` what `send` would take; nothing is sent.

        Raises:
            VanerError: as `send` at the call.
        """
        refuse(self.backend, requests)
        for key, numbers in self._places(requests).items():
            request = requests[numbers[0]]
            plan.stored += len(numbers) - 1
            if key in self._planned or (self.store is not None and self.store.get(key) is not None):
                plan.stored += 1
                continue
            self._planned.add(key)
            plan.requests += 1
            plan.prompt_tokens += self.backend.count_prompt(request.messages, request.chat)
            plan.most_output_tokens += request.max_tokens

    def _places(self, requests: Sequence[Request]) -> dict[str, list[int]]:
        places: dict[str, list[int]] = {}
        identity = self.backend.identity
        for number, request in enumerate(requests):
            places.setdefault(request.key(identity), []).append(number)
        return places

    def _refuse_missing(
        self, requests: Sequence[Request], places: dict[str, list[int]], found: dict[str, Answer]
    ) -> None:
        assert self.store is not None
        for key, numbers in places.items():
            if key not in found:
                messages = requests[numbers[0]].messages
                begins = messages[-1].content[-60:] if messages else ""
                raise VanerError(
                    f"{self.store.path}: holds no answer to request {key[:12]} (its prompt ends {begins!r}); "
                    "replay with the settings that it was written with, or without replay"
                )


def summary(spent: Spent, price: Price | None = None) -> str:
    """One line: ``312 requests (40 from the store, 2 failed: timed out), 120,344 prompt tokens (90,000 kept), ...``."""
    aside = [f"{spent.stored:,} from the store"] if spent.stored else []
    if spent.failed:
        whys = sorted(spent.why.items(), key=lambda item: (-item[1], item[0]))
        shown = "; ".join(why if times == 1 else f"{times:,}x {why}" for why, times in whys[:3])
        more = f"; and {len(whys) - 3} other reasons" if len(whys) > 3 else ""
        aside.append(f"{spent.failed:,} failed: {shown}{more}")
    kept = f" ({spent.cached_tokens:,} kept)" if spent.cached_tokens else ""
    steps = f" in {spent.model_steps:,} steps" if spent.model_steps != spent.output_tokens else ""
    parts = [
        _requests(spent.requests + spent.stored + spent.failed) + (f" ({', '.join(aside)})" if aside else ""),
        f"{spent.prompt_tokens:,} prompt tokens{kept}",
        f"{spent.output_tokens:,} answer tokens{steps}",
        f"{spent.seconds:.1f} s",
    ]
    if price is not None:
        parts.append(money(price.cost(spent), price.currency))
    return ", ".join(parts)


def plan_summary(plan: Plan, price: Price | None = None) -> str:
    """One line of a dry run: ``272 requests to send (40 from the store), about 120,344 prompt tokens, at most ...``."""
    stored = f" ({plan.stored:,} from the store)" if plan.stored else ""
    parts = [
        f"{_requests(plan.requests)} to send{stored}",
        f"about {plan.prompt_tokens:,} prompt tokens",
        f"at most {plan.most_output_tokens:,} answer tokens",
    ]
    if price is not None:
        most = price.cost(Spent(prompt_tokens=plan.prompt_tokens, output_tokens=plan.most_output_tokens))
        parts.append(f"at most {money(most, price.currency)}")
    return ", ".join(parts)


def _requests(number: int) -> str:
    return f"{number:,} request{'' if number == 1 else 's'}"
