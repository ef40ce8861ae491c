"""In: threads. Out: each has its own number of torch threads; batches read beside each other are as one by one."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from tests.model.test_network import build
from tests.tagging.conftest import keys
from vaner.tagging.labeler import Vaner
from vaner.tagging.threads import MOST, use_threads, workers


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def in_a_thread(work):
    found = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]


def test_a_thread_sets_its_own_number_and_no_other(two_threads):
    def work():
        use_threads(1)
        torch.ones(4).sum()
        return torch.get_num_threads()

    assert in_a_thread(work) == 1
    assert torch.get_num_threads() == 2
    assert in_a_thread(torch.get_num_threads) == 2, "threads to come begin with the common number"


def test_a_cpu_has_a_worker_a_thread_and_an_accelerator_one():
    assert [workers(torch.device("cpu"), n) for n in (1, 2, 64)] == [1, 2, MOST]
    assert workers(torch.device("cuda"), 64) == 1


def test_batches_are_read_by_several_threads_that_work_alone(tagger, documents, two_threads, monkeypatch):  # noqa: F811
    monkeypatch.setattr(tagger, "batch_tokens", 300)
    seen = set()
    original = tagger.log_probs

    def watched(*args):
        seen.add((threading.current_thread().name, torch.get_num_threads()))
        return original(*args)

    monkeypatch.setattr(tagger, "log_probs", watched)
    found = [keys(d.spans) for d in tagger.tag_documents(documents)]
    tokens = tagger.tokens, tagger.padded_tokens
    assert len({name for name, _ in seen}) == 2 and {n for _, n in seen} == {1}
    assert torch.get_num_threads() == 2

    seen.clear()
    # A single batch is shared out over the threads of torch.
    tagger("Aspirin reduces fever.")
    assert {n for _, n in seen} == {2}

    torch.set_num_threads(1)
    seen.clear()
    assert [keys(d.spans) for d in tagger.tag_documents(documents)] == found
    assert (tagger.tokens, tagger.padded_tokens) == tokens, (
        "what threads count is the same as what one counts"
    )
    assert len({name for name, _ in seen}) == 1


def test_what_was_read_before_does_not_decide_how_a_batch_is_read(
    documents,  # noqa: F811
    two_threads,
    tiny_backbones,
    tiny_tokenizer,
):
    """A batch of one row reads its instruction, kept or not: which thread was first to keep it is chance."""
    model = build(tiny_backbones["llama"], attention="prefix")
    tagger = Vaner(model, tiny_tokenizer, batch_tokens=330)  # noqa: F811
    sizes = []
    original = model.score_texts

    def watched(prefix, ids, *more):
        sizes.append(len(ids))
        return original(prefix, ids, *more)

    model.score_texts = watched
    text = "Aspirin reduces fever."
    before = [s.score for s in tagger(text)]
    assert not sizes
    list(tagger.tag_documents(documents))
    assert sizes and min(sizes) > 1 and tagger._forward._prefixes, "an instruction was read once and kept"
    sizes.clear()
    assert [s.score for s in tagger(text)] == before and not sizes


def test_an_error_in_one_batch_reaches_the_caller(tagger, documents, two_threads, monkeypatch):  # noqa: F811
    monkeypatch.setattr(tagger, "batch_tokens", 300)
    calls = []

    def fails(rows, sequences=None):
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("the third batch")
        return type(tagger).log_probs(tagger, rows, sequences)

    monkeypatch.setattr(tagger, "log_probs", fails)
    with pytest.raises(RuntimeError, match="third batch"):
        list(tagger.tag_documents(documents))


def test_the_number_can_be_set_again(two_threads):
    def work():
        found = []
        for number in (1, 2, 1):
            use_threads(number)
            found.append(torch.get_num_threads())
        return found

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(work).result() == [1, 2, 1]
    assert torch.get_num_threads() == 2
