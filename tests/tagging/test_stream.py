"""In: a stream of documents, good and bad. Out: it is read while the model runs, errors come in order, threads end."""

import itertools
import threading

import pytest

from vaner.document import Document
from vaner.errors import VanerError
from vaner.tagging.labeler import Vaner
from vaner.tagging.stream import Stream


def test_a_bad_document_is_raised_after_all_that_stood_before_it(tagger, tiny_tokenizer):
    small = Vaner(tagger.model, tiny_tokenizer, batch_tokens=100, buffer_batches=1)

    def documents():
        for number in range(25):
            yield Document(str(number), f"Aspirin reduces fever in patient {number}.")
        raise VanerError("input:26: is damaged")

    seen = []
    with pytest.raises(VanerError, match="input:26: is damaged"):
        for document in small.tag_documents(documents()):
            seen.append(document.id)
    assert seen == list(map(str, range(25)))


def test_an_error_of_the_forward_pass_arrives(tagger, tiny_tokenizer, monkeypatch):
    small = Vaner(tagger.model, tiny_tokenizer, batch_tokens=100, buffer_batches=1)
    calls = []

    def failing(rows):
        calls.append(rows)
        if len(calls) == 3:
            raise MemoryError("no room")
        return Vaner.log_probs(small, rows)

    monkeypatch.setattr(small, "log_probs", failing)
    with pytest.raises(MemoryError, match="no room"):
        list(small(f"Aspirin reduces fever in patient {n}." for n in range(100)))
    assert len(calls) < 10, "it went on after the error"


def test_who_stops_listening_stops_the_second_thread(tagger, tiny_tokenizer, monkeypatch):
    small = Vaner(tagger.model, tiny_tokenizer, batch_tokens=100, buffer_batches=1)
    stops = []
    read = Stream._read
    monkeypatch.setattr(Stream, "_read", lambda *args: stops.append(args) or read(*args))
    results = small(f"Aspirin reduces fever in patient {n}." for n in itertools.count())
    next(results)
    results.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("vaner-forward")]
    assert stops[-1][-1].is_set()
    monkeypatch.setattr(small, "log_probs", None)
    read(*stops[-1])  # which would call it


def test_the_next_documents_are_read_while_the_model_runs(tagger, tiny_tokenizer, monkeypatch):
    """The forward pass of one buffer waits here until the next buffer's documents were read."""
    small = Vaner(tagger.model, tiny_tokenizer, batch_tokens=100, buffer_batches=1)
    prepared = []
    later = threading.Event()

    def documents():
        for number in range(40):
            if prepared:
                later.set()
            yield f"Aspirin reduces fever in patient {number}."

    def waiting(rows):
        assert threading.current_thread() is not threading.main_thread()
        assert later.wait(60), "documents are not read while the model runs"
        return Vaner.log_probs(small, rows)

    prepare = small._prepare
    monkeypatch.setattr(small, "_prepare", lambda *args: prepared.append(args) or prepare(*args))
    monkeypatch.setattr(small, "log_probs", waiting)
    assert len(list(small(documents()))) == 40
    assert len(prepared) > 2
