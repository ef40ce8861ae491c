"""In: many words from many threads. Out: every word's tokens, and memory that is bounded."""

from __future__ import annotations

import sys
import threading

import pytest

from tests.inputs.test_features import tokenisation
from vaner.inputs import features
from vaner.inputs.features import LONGEST_REMEMBERED, Tokenisation
from vaner.inputs.instructions import Template
from vaner.inputs.remembered import Remembered


@pytest.fixture
def hasty():
    """Threads that are interrupted after nearly every step."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_threads(work, number=6):
    """What each of several threads raised."""
    raised = []

    def run(i):
        try:
            work(i)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(number)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return raised


def small(most: int) -> Tokenisation:
    one = tokenisation("smollm")
    one._words.most = most
    one._instructions.most = most
    return one


def test_many_words_from_many_threads_all_have_their_tokens(hasty):
    """More different words than are remembered, over and over, in six threads at once."""
    one, alone = small(50), small(10**6)
    common = [f"c{i}" for i in range(20)]
    expected = {w: ids.tolist() for w, ids in zip(common, alone.words(common), strict=True)}

    def work(number):
        for turn in range(150):
            found = one.words([*common, *(f"{number} {turn} {i}" for i in range(20))])
            for word, ids in zip(common, found, strict=False):
                assert ids.tolist() == expected[word]

    assert in_threads(work) == []
    assert len(one._words) <= 50


def test_many_instructions_from_many_threads_all_have_their_tokens(hasty):
    one = small(3)
    instructions = [Template().render([f"Type{i}", "Gene"]) for i in range(12)]
    expected = [ids.tolist() for ids, _ in map(small(10**6).instruction, instructions)]

    def work(number):
        for turn in range(60):
            at = (turn * (number + 1)) % 12
            assert one.instruction(instructions[at])[0].tolist() == expected[at]

    assert in_threads(work) == []
    assert len(one._instructions) <= 3


def test_a_million_different_words_take_bounded_memory():
    one = small(1_000)
    for start in range(0, 1_000_000, 100_000):
        # The tokenizer itself is not what is asked here.
        one._encode = lambda texts: [[*one._carrier, 7] for _ in texts]
        one.words(f"w{i}" for i in range(start, start + 500))
        assert len(one._words) <= 1_000
    one.words(f"v{i}" for i in range(50_000))
    assert len(one._words) <= 1_000, "one text with more words than are remembered"


def test_long_words_are_not_kept_and_their_number_is_bounded(monkeypatch):
    monkeypatch.setattr(features, "MOST_SHORTENED", 3)
    one = small(1_000)
    long = ["ACGT" * (200 + i) for i in range(6)]
    first = [ids.tolist() for ids in one.words([*long, "short"])]
    assert [ids.tolist() for ids in one.words([*long, "short"])] == first
    assert set(one._words.now) == {"short"} and len(one.shortened) == 3
    assert all(len(word) > LONGEST_REMEMBERED for word in long)


def test_many_words_are_tokenised_a_part_at_a_time(monkeypatch):
    monkeypatch.setattr(features, "_AT_ONCE", 7)
    one, expected = small(1_000), tokenisation("smollm")
    words = [f"w{i}" for i in range(50)]
    assert [i.tolist() for i in one.words(words)] == [i.tolist() for i in expected.words(words)]


def test_an_interrupted_call_leaves_nothing_half_done():
    one = small(1_000)
    encode, calls = one._encode, []

    def interrupted(texts):
        calls.append(texts)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return encode(texts)

    one._encode = interrupted
    with pytest.raises(KeyboardInterrupt):
        one.words(["renal", "failure"])
    assert [i.tolist() for i in one.words(["renal", "failure"])] == [
        i.tolist() for i in tokenisation("smollm").words(["renal", "failure"])
    ]


@pytest.mark.parametrize("most", [1, 2, 5])
def test_what_a_reader_holds_only_grows(most):
    memory: Remembered[int, int] = Remembered(most)
    held = memory.now
    for i in range(20):
        seen = dict(held)
        memory.add({i: i})
        assert seen.items() <= dict(held).items()
        assert memory.now[i] == i and len(memory) <= most
    memory.add({i: i for i in range(100, 100 + most + 1)})
    assert len(memory) <= most
