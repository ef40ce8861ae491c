"""In: texts and queries. Out: the nearest, the same everywhere; what was made once is not made again."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from vaner.errors import VanerError
from vaner.prompting import embedding
from vaner.prompting.embedding import Embedder
from vaner.prompting.retrieval import search
from vaner.prompting.retrieval.search import Search

TEXTS = ["the liver of the rat", "the liver", "a gout of the toe", "", "THE LIVER"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VANER_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def embedder(tiny_backbones) -> str:
    embedding._loaded.cache_clear()
    return tiny_backbones["bert"]


def test_rare_words_count_more_case_aside_and_equal_texts_keep_their_order():
    found = Search(TEXTS)
    assert found.nearest("Gout, the", 2) == [2, 0] or found.nearest("Gout, the", 1) == [2]
    assert found.nearest("liver", 3) == [1, 4, 0]


def test_what_shares_no_word_is_not_found():
    assert Search(TEXTS).nearest("aspirin", 3) == [] == Search(TEXTS).nearest(" ?! ", 3)
    assert Search([]).nearest("liver", 3) == []
    assert Search(["", "?"]).nearest("liver", 3) == []


@pytest.mark.parametrize("by", ["bm25", "dense"])
def test_an_index_is_made_once_and_anew_for_other_texts(by, embedder, monkeypatch, tmp_path):
    first = Search(TEXTS, by, embedder)
    scores = first.scores("liver")
    assert scores.shape == (5,) and scores.dtype == np.float32
    monkeypatch.setattr(search, "_split", lambda text: text.casefold().split())
    again = Search(TEXTS, by, embedder)
    assert (again.scores("liver") == scores).all() and again.fingerprint == first.fingerprint
    kept = list((tmp_path / "cache" / "retrieval").glob("*/entry.json"))
    assert len(kept) == 1
    other = Search([*TEXTS[:4], "x"], by, embedder)
    other.open()
    assert other.fingerprint != first.fingerprint
    assert len(list((tmp_path / "cache" / "retrieval").glob("*/entry.json"))) == 2


def test_a_query_has_the_same_vector_whatever_was_asked_before(embedder):
    found = Search(TEXTS, "dense", embedder)
    alone = found.scores("the toe")
    for other in ("liver " * 50, "a", "the rat"):
        found.scores(other)
    assert (found.scores("the toe") == alone).all()
    assert found.nearest("the liver", 1) == [1] or found.scores("the liver")[1] == pytest.approx(1, abs=1e-4)


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "bm25s", None)
    with pytest.raises(VanerError, match=r"search by bm25: needs bm25s; pip install 'vaner\[prompted\]'"):
        Search(["a"]).open()


def test_another_way_to_search_is_refused():
    with pytest.raises(VanerError, match="choose one of bm25, dense"):
        Search(["a"], "tfidf")


# --- vectors ---


def test_vectors_have_length_one_and_batches_do_not_matter(embedder):
    texts = [f"{'liver ' * i}toe" for i in range(1, 30)]
    vectors = Embedder(embedder)(texts)
    assert vectors.shape == (29, 32) and vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(29), abs=1e-5)
    one_by_one = np.concatenate([Embedder(embedder)([text]) for text in texts])
    assert np.abs(vectors - one_by_one).max() < 1e-5
    assert Embedder(embedder)([]).shape == (0, 32)


def test_nothing_of_a_long_text_is_left_out(embedder):
    start = "liver " * 300
    (a,), (b,) = Embedder(embedder)([start + "toe " * 200]), Embedder(embedder)([start + "gout " * 200])
    assert np.abs(a - b).max() > 1e-3
    assert Embedder(embedder)(["", "liver"]).shape == (2, 32)


def test_other_weights_are_another_encoder(tiny_backbones):
    assert len({Embedder(name).identity for name in ("minilm-l6", tiny_backbones["bert"])}) == 2


@pytest.mark.slow
def test_minilm_gives_the_vectors_that_its_authors_give():
    """Similarities of the model card's kind of sentences: paraphrases are near, others are not."""
    texts = ["A man is eating food.", "A man is eating a piece of bread.", "The stock market fell sharply."]
    found = Embedder()(texts)
    assert found.shape == (3, 384)
    near, far = found[0] @ found[1], found[0] @ found[2]
    assert near > 0.6 and abs(far) < 0.25
