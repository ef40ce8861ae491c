"""In: a backend that counts what it is asked. Out: each request once, answers kept before they are seen."""

from __future__ import annotations

import pytest

from vaner.errors import VanerError
from vaner.prompting.prices import Price
from vaner.prompting.request import Abilities, Answer, Failure, Grammar, Message, Request, Spent, Unavailable
from vaner.prompting.sending import Plan, Sender, plan_summary, summary
from vaner.prompting.store import RequestStore


class Fake:
    """Answers from the last to the first; ``bad`` fails, ``gone`` is Unavailable."""

    identity = {"backend": "fake", "model": "m"}
    can = Abilities()
    context = None

    def __init__(self):
        self.asked: list[str] = []

    def count(self, text):
        return len(text)

    def count_prompt(self, messages, chat=True):
        return sum(len(m.content) for m in messages)

    def answers(self, requests):
        for number in reversed(range(len(requests))):
            text = requests[number].messages[0].content
            self.asked.append(text)
            if text == "gone":
                raise Unavailable("nobody there")
            yield number, Failure("no") if text == "bad" else Answer(text.upper(), "stop", 10, 4, 2, 5, 0.5)

    def close(self):
        pass


def ask(text, **more) -> Request:
    return Request((Message("user", text),), 50, **more)


@pytest.fixture
def store(tmp_path):
    with RequestStore(tmp_path / "s.db") as made:
        yield made


def test_each_request_is_asked_once(store):
    backend = Fake()
    sender = Sender(backend, store)
    requests = [ask(text) for text in ("a", "b", "a", "bad", "bad")]
    outcomes = dict(sender.send(requests))
    assert [getattr(outcomes[n], "text", "-") for n in range(5)] == ["A", "B", "A", "-", "-"]
    assert sorted(backend.asked) == ["a", "b", "bad"]
    assert sender.spent == Spent(2, 1, 2, 20, 10, 8, 4, 1.0, {"no": 2})
    again = Sender(backend, store)
    assert dict(again.send(requests[:4])) == {n: outcomes[n] for n in range(4)}
    assert backend.asked[3:] == ["bad"], "what failed is asked again"
    assert again.spent == Spent(stored=3, failed=1, why={"no": 1})


def test_without_a_store_nothing_is_kept():
    backend = Fake()
    sender = Sender(backend)
    assert [dict(sender.send([ask("a")]))[0].text for _ in range(2)] == ["A", "A"]
    assert backend.asked == ["a", "a"]


def test_an_answer_is_kept_before_it_is_seen(store):
    sender = Sender(Fake(), store)
    requests = [ask("a"), ask("b")]
    for number, answer in sender.send(requests):
        assert store.get(requests[number].key(Fake.identity)) == answer
        break
    assert len(list(store.rows())) == 1


def test_what_was_answered_before_nobody_answers_is_kept(store):
    with pytest.raises(Unavailable):
        list(Sender(Fake(), store).send([ask("never"), ask("gone"), ask("a")]))
    assert [answer for _, _, answer in store.rows()] == [Answer("A", "stop", 10, 4, 2, 5, 0.5)]


def test_what_the_backend_cannot_do_is_refused_before_anything_is_sent(store):
    backend = Fake()
    with pytest.raises(VanerError, match="decoding: free"):
        Sender(backend, store).send([ask("a"), ask("b", grammar=Grammar(gbnf="x"))])
    with pytest.raises(VanerError, match="decoding: free"):
        Sender(backend, store).plan([ask("b", grammar=Grammar(gbnf="x"))], Plan())
    assert not backend.asked


def test_replay_asks_nobody(store, tmp_path):
    first = dict(Sender(Fake(), store).send([ask("a"), ask("b")]))
    store.close()
    backend = Fake()
    with RequestStore(tmp_path / "s.db", replay=True) as replayed:
        sender = Sender(backend, replayed)
        assert dict(sender.send([ask("a"), ask("b")])) == first
        with pytest.raises(VanerError, match="holds no answer to request [0-9a-f]{12} .*'what is new'"):
            sender.send([ask("a"), ask("what is new")])
    assert not backend.asked


def test_a_plan_sends_nothing_and_counts_each_request_once(store):
    backend = Fake()
    list(Sender(backend, store).send([ask("a")]))
    sender, plan = Sender(backend, store), Plan()
    for _ in range(2):
        sender.plan([ask("a"), ask("four"), ask("four")], plan)
    assert plan == Plan(requests=1, stored=5, prompt_tokens=4, most_output_tokens=50)
    assert backend.asked == ["a"]
    assert plan_summary(plan, Price(1e6, 2e6)) == (
        "1 request to send (5 from the store), about 4 prompt tokens, at most 50 answer tokens, at most 104.00 USD"
    )


def test_the_summary_says_what_was_spent_and_what_failed():
    spent = Spent(270, 40, 2, 120_344, 90_000, 9_000, 3_100, 12.13, {"timed out": 2})
    assert summary(spent, Price(0.15, 0.6, 0.075)) == (
        "312 requests (40 from the store, 2 failed: 2x timed out), 120,344 prompt tokens (90,000 kept), "
        "9,000 answer tokens in 3,100 steps, 12.1 s, 0.017 USD"
    )
    assert summary(Spent()) == "0 requests, 0 prompt tokens, 0 answer tokens, 0.0 s"
    many = Spent(failed=6, why={"a": 1, "b": 2, "c": 1, "d": 1, "e": 1})
    assert "(6 failed: 2x b; a; c; and 2 other reasons)" in summary(many)
