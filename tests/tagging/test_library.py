"""In: a tagger as others' programs use it. Out: the same spans from threads, forks, copies, and after Ctrl-C."""

from __future__ import annotations

import _thread
import copy
import dataclasses
import multiprocessing
import os
import pickle
import threading
import time

import pytest
import torch

from tests.model.test_network import build
from tests.tagging.conftest import keys
from vaner.errors import VanerError
from vaner.knowledge import DictionaryTagger
from vaner.model.config import ModelConfig
from vaner.scores import calibrated
from vaner.tagging.forking import ForkedLock
from vaner.tagging.labeler import Vaner


@pytest.fixture
def folder(tiny_backbones, tiny_tokenizer, tmp_path):
    """A saved model that marks something."""
    model = build(tiny_backbones["llama"])
    with torch.no_grad():
        model.head.word_bias.bias.copy_(torch.tensor([0.6, 0.0, 0.0]))
    model.save_pretrained(tmp_path / "model", tiny_tokenizer)
    return tmp_path / "model"


TEXTS = [
    "Famotidine-associated delirium. A series of six patients.",
    "Renal failure after cisplatin in rats.",
    "",
    "Aspirin reduces fever.",
]


def found(one, texts=TEXTS, **asked):
    return [keys(spans) for spans in one(iter(texts), **asked)]


def test_scores_are_calibrated_unless_asked_as_they_come(folder):
    plain = Vaner.from_pretrained(folder, dtype="float32")
    settings = ModelConfig.load(folder)
    kinds = settings.types
    dataclasses.replace(settings, temperatures={kinds[0]: 2.0}).save(folder)
    warm = Vaner.from_pretrained(folder, dtype="float32")
    raw = Vaner.from_pretrained(folder, dtype="float32", calibrated=False)

    def scored(one):
        return [(s.key, s.score) for spans in one(iter(TEXTS)) for s in spans]

    assert scored(raw) == scored(plain) and {kind for (_, _, kind), _ in scored(raw)} >= {kinds[0]}
    expected = [
        (key, float(calibrated(score, 2.0 if key[2] == kinds[0] else 1))) for key, score in scored(raw)
    ]
    assert scored(warm) == expected
    for one in (pickle.loads(pickle.dumps(raw)), copy.copy(raw), copy.deepcopy(raw)):
        assert scored(one) == scored(plain)


# --- pickled and copied ---


def test_a_pickled_tagger_is_its_folder_and_options(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    one = Vaner.from_pretrained("model", dtype="float32", batch_tokens=300, max_words=7)
    one.flat = True
    data = pickle.dumps(one)
    assert len(data) < 2_000, "no weights"
    monkeypatch.chdir("/")
    again = pickle.loads(data)
    assert (again.batch_tokens, again.max_words, again.flat, again.decoding) == (300, 7, True, "viterbi")
    assert next(again.model.parameters()).dtype == torch.float32
    assert found(again) == found(one) and any(found(one))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_finds_the_same_and_has_settings_of_its_own(folder, copied):
    one = Vaner.from_pretrained(folder, dtype="float32", decoding="argmax", pack=200)
    other = copied(one)
    assert (other.decoding, other.pack) == ("argmax", 200) and found(other) == found(one)
    other.decoding, read = "viterbi", one.tokens
    other("Aspirin.")
    assert one.decoding == "argmax" and other.tokens < one.tokens == read
    assert (other.model is one.model) == (copied is copy.copy)
    assert other.tokenisation is not one.tokenisation
    assert pickle.loads(pickle.dumps(copied(other))).decoding == "viterbi", "a copy pickles as well"


def test_a_tagger_of_a_model_in_memory_is_copied_but_says_that_it_has_no_folder(
    tiny_backbones, tiny_tokenizer
):
    one = Vaner(build(tiny_backbones["llama"]), tiny_tokenizer, max_words=9)
    assert copy.copy(one).model is one.model and copy.copy(one).max_words == 9
    deep = copy.deepcopy(one)
    assert deep.model is not one.model and found(deep) == found(one)
    with pytest.raises(VanerError, match="save the model .*from_pretrained"):
        pickle.dumps(one)


def test_an_index_given_for_hints_travels_as_its_path(tiny_backbones, tiny_tokenizer, tmp_path, kb):
    import dataclasses

    model = build(tiny_backbones["llama"])
    template = model.settings.template.with_hints()
    model.settings = dataclasses.replace(
        model.settings, template=template, hints={"notes": 4, "tokens": 30, "share": 0.5}
    )
    model.save_pretrained(tmp_path / "model", tiny_tokenizer)
    one = Vaner.from_pretrained(tmp_path / "model", hints=kb)
    for again in (pickle.loads(pickle.dumps(one)), copy.copy(one), copy.deepcopy(one)):
        assert again.hints.kb.path == one.hints.kb.path
        assert found(again, ["Breast cancer."]) == found(one, ["Breast cancer."])


def test_a_dictionary_is_pickled_and_copied(kb):
    one = DictionaryTagger(kb, abbreviations=False)
    for again in (pickle.loads(pickle.dumps(one)), copy.copy(one), copy.deepcopy(one)):
        assert keys(again("TNF-alpha in breast cancer.")) == keys(one("TNF-alpha in breast cancer.")) != []


def _tag(work):
    one, texts = work
    return found(one, texts)


def test_processes_that_are_spawned_get_the_tagger(folder):
    one = Vaner.from_pretrained(folder, dtype="float32")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(_tag, [(one, TEXTS)]) == [found(one)]


# --- threads and forks ---


def test_threads_that_share_a_tagger_find_what_one_finds(tagger, documents):  # noqa: F811
    expected = [keys(d.spans) for d in tagger.tag_documents(documents)]
    results, raised = {}, []

    def work(number):
        try:
            order = documents[number:] + documents[:number]
            tagged = [keys(d.spans) for d in tagger.tag_documents(order)]
            results[number] = tagged[len(tagged) - number :] + tagged[: len(tagged) - number]
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert raised == [] and results == {i: expected for i in range(4)}


def in_a_fork(work, seconds=45):
    """What ``work`` returned in a forked child; fails where the child hangs."""
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(False)
    child = context.Process(target=lambda: sending.send(work()))
    child.start()
    try:
        assert receiving.poll(seconds), "the child hangs or died"
        return receiving.recv()
    finally:
        child.kill()
        child.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*")
def test_a_forked_process_goes_on_with_the_tagger(folder):
    one = Vaner.from_pretrained(folder, dtype="float32")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        expected = found(one)
        # The child is born while other threads hold the tagger's locks; they are not there to let them go.
        with one._forward._counting, one._forward._reading_prefix:
            assert in_a_fork(lambda: found(one)) == expected
        assert found(one) == expected
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*")
def test_a_process_forked_while_batches_are_read_goes_on_with_the_tagger(folder):
    one = Vaner.from_pretrained(folder, dtype="float32", batch_tokens=300, buffer_batches=1)
    expected = found(one)
    left = one(iter(TEXTS * 40))
    for _ in range(5):
        next(left)
        assert in_a_fork(lambda: found(one)) == expected
    assert sum(1 for _ in left) == 4 * 40 - 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*")
def test_a_lock_is_open_in_a_forked_child_and_closed_in_the_parent():
    lock = ForkedLock()

    def enters():
        with lock:
            return True

    with lock:
        assert in_a_fork(enters)
        assert not lock._lock.acquire(blocking=False)


# --- interrupted ---


@pytest.mark.parametrize("after", [0.0, 0.01, 0.03, 0.1, 0.3])
def test_after_ctrl_c_the_tagger_is_called_again(tagger, documents, after):  # noqa: F811
    expected = [keys(d.spans) for d in tagger.tag_documents(documents)]
    done = threading.Event()

    def interrupt():
        time.sleep(after)
        if not done.is_set():
            _thread.interrupt_main()

    one = threading.Thread(target=interrupt)
    try:
        one.start()
        for _ in range(50):
            for _ in tagger.tag_documents(documents):
                pass
    except KeyboardInterrupt:
        pass
    finally:
        done.set()
    one.join()
    try:
        time.sleep(0)
    except KeyboardInterrupt:
        pass
    assert [keys(d.spans) for d in tagger.tag_documents(documents)] == expected
    assert not [t for t in threading.enumerate() if t.name.startswith("vaner-forward")]


def test_a_stream_that_nobody_reads_to_its_end_does_not_disturb_the_next(tagger, documents):  # noqa: F811
    expected = [keys(d.spans) for d in tagger.tag_documents(documents)]
    left = tagger.tag_documents(documents * 4)
    next(left)
    assert [keys(d.spans) for d in tagger.tag_documents(documents)] == expected
    assert sum(1 for _ in left) == 4 * len(documents) - 1
