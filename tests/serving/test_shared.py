"""In: requests that ask different things. Out: for each what the settings alone would give, whoever shared its run."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.serving.conftest import Words
from tests.tagging.conftest import documents, tagger  # noqa: F401  # the tiny tagger, and abstracts
from vaner.document import Document
from vaner.errors import VanerError
from vaner.serving.batching import Batcher
from vaner.serving.metrics import Metrics
from vaner.serving.shared import SharedTagger, Wish
from vaner.tagging import loading
from vaner.tagging.settings import TaggingSettings

TEXTS = ["Ada Byron met 12 people", "TNF and breast cancer in Catalase", "Insulin 1987"]


def shared(settings, wish, texts=TEXTS):
    made = SharedTagger(settings)
    asked = made.asked(wish)
    given = [Document(str(n), text) for n, text in enumerate(texts)]
    tagged, _ = made.finish(wish, asked, given, made.read(asked, given))
    return [(one.spans, one.metadata) for one in tagged]


def alone(settings, texts=TEXTS):
    given = [Document(str(n), text) for n, text in enumerate(texts)]
    tagged = settings.open().tag_documents(given, settings.types, settings.dataset)
    return [(one.spans, one.metadata) for one in tagged]


@pytest.mark.parametrize("conflicts", ["first", "score"])
@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("link", [False, True])
def test_a_request_gets_what_its_settings_alone_would_give(words, kb, flat, link, conflicts):
    base = TaggingSettings(
        models=("words:x", f"kb:{kb.path}"),
        flat=flat,
        conflicts=conflicts,
        link=link,
        kb=str(kb.path) if link else None,
    )
    for least, types in itertools.product((None, 0.4, 0.9), (None, ("Name", "Disease"))):
        wish = Wish(types=types, min_score=least)
        expected = alone(replace(base, types=types, min_score=least))
        assert shared(base, wish) == expected
        assert any(spans for spans, _ in expected)


def test_links_can_be_left_out(kb):
    settings = TaggingSettings(models=(f"kb:{kb.path}",), link=True)
    assert any(span.concepts for spans, _ in shared(settings, Wish()) for span in spans)
    bare = shared(replace(settings, link=False), Wish())
    assert [spans for spans, _ in shared(settings, Wish(link=False))] == [spans for spans, _ in bare]


def test_defaults_of_the_server_give_way_to_what_is_asked(words):
    settings = TaggingSettings(models=("words:x",), types=("Number",), dataset="news")
    made = SharedTagger(settings)
    assert made.asked(Wish()).types == (("words:x", ("Number",)),)
    assert made.asked(Wish(types=("Name",))).types == (("words:x", ("Name",)),)
    assert made.asked(Wish(dataset="news")).types == (("words:x", ("Name",)),)
    assert made.name == "words:x" and not made.shares
    with pytest.raises(VanerError, match="--link"):
        made.asked(Wish(link=True))


def test_a_wrong_default_is_said_at_once(words):
    with pytest.raises(VanerError, match="did you mean Name"):
        SharedTagger(TaggingSettings(models=("words:x",), types=("Nmae",)))


def test_documents_that_are_not_tagged_in_full_are_said(words, monkeypatch):
    def tag(self, given, types=None, dataset=None):
        for one in given:
            yield replace(one, metadata={"failed": "no answer"})

    monkeypatch.setattr(Words, "tag_documents", tag)
    made = SharedTagger(TaggingSettings(models=("words:x",)))
    asked, given = made.asked(Wish()), [Document("d", "text")]
    _, remarks = made.finish(Wish(), asked, given, made.read(asked, given))
    assert remarks == ["document d is not tagged in full: no answer"]


def test_spans_do_not_depend_on_who_shared_the_run(tagger, documents, monkeypatch):  # noqa: F811
    """A labeler in float32, asked by many at once in runs of every make-up."""
    monkeypatch.setattr(loading, "_LOADERS", {**loading._LOADERS, "tiny": lambda name: tagger})
    monkeypatch.setattr(loading, "_HASHES", {**loading._HASHES, "tiny": lambda name: "0" * 64})
    made = SharedTagger(TaggingSettings(models=("tiny:x",)))
    asked = made.asked(Wish())
    expected = [list(tagger.tag_documents([one])) for one in documents]
    expected = [(one.text, one.spans) for (one,) in expected]
    assert sum(len(spans) for _, spans in expected) > 20
    batcher = Batcher(made.read, Metrics("0", "x"), at_once=2, characters=4000)

    def client(number):
        turn = [documents[(number + n) % len(documents)] for n in range(1 + number % 3)]
        said = batcher.submit(asked, turn).future.result(120)
        return turn, made.finish(Wish(), asked, turn, said)[0]

    try:
        with ThreadPoolExecutor(16) as clients:
            answers = list(clients.map(client, range(48)))
    finally:
        batcher.close()
    for turn, tagged in answers:
        for before, after in zip(turn, tagged, strict=True):
            text, spans = expected[documents.index(before)]
            assert after.text == text
            assert [(s.key, round(s.score, 4)) for s in after.spans] == [
                (s.key, round(s.score, 4)) for s in spans
            ]
