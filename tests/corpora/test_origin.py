"""In: lists planted into an index, and honest ones. Out: the planted ones are suspected, the honest ones are not."""

from __future__ import annotations

import contextlib
import os
import random
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import fisher_exact

from vaner.corpora.coverage import forms, forms_of_splits
from vaner.corpora.origin import FEWEST_MENTIONS, MadeOf, Uneven, suspects
from vaner.corpora.registry import read_registry
from vaner.document import Document
from vaner.errors import VanerError
from vaner.files import shipped
from vaner.knowledge import KnowledgeBase, Rules, build, normalise_all
from vaner.knowledge.shipped import open_index
from vaner.report import Report
from vaner.vocabularies.sources import read_sources
from vaner.vocabularies.terms import Term

SPLITS = ("train", "dev", "test")
SAMPLES = [name for name in read_registry() if name.endswith("-sample")]


def index_of(path: Path, **lists: list[str]) -> KnowledgeBase:
    """An index with each list as a vocabulary, as `kb build` makes it of a table."""
    vocabularies = [
        ({"name": name}, [Term("", text, ("Disease",), True) for text in texts])
        for name, texts in lists.items()
    ]
    return build(path / "kb.idx", vocabularies, Rules.load(shipped("kb")), Report())


def invented(split: str, documents: int, rng: random.Random) -> list[Document]:
    """Documents with two mentions each that are theirs alone, and one that many have."""
    found = []
    for number in range(documents):
        own = f"{split}{number} fever", f"{split}{number} rash"
        text = "; ".join([*own, f"common disease {rng.randrange(20)}"])
        document = Document(f"{split}{number}", text)
        at, spans = 0, []
        for part in text.split("; "):
            spans.append(document.span(at, at + len(part), "Disease"))
            at += len(part) + 2
        found.append(document.with_spans(spans))
    return found


@pytest.fixture
def corpus():
    """Split -> documents, 300, 60 and 60."""
    rng = random.Random(1)
    return {split: invented(split, count, rng) for split, count in zip(SPLITS, (300, 60, 60), strict=True)}


def mentions(documents) -> list[str]:
    return sorted({span.text for document in documents for span in document.spans})


def honest(corpus, share: float) -> list[str]:
    """A part of the mentions of every split, as an honest vocabulary has them, and names that no document has."""
    known = [text for documents in corpus.values() for text in mentions(documents)]
    rng = random.Random(3)
    chosen = rng.sample(known, int(share * len(known)))
    return chosen + [f"elsewhere {number} disorder" for number in range(3000)]


def found_in(kb, corpus, **splits) -> list:
    return suspects(
        kb, {("c", split): forms(kb, documents) for split, documents in (splits or corpus).items()}
    )


@pytest.mark.parametrize("share", [0.05, 0.3, 0.7])
def test_an_honest_vocabulary_is_not_suspected(corpus, tmp_path, share):
    assert found_in(index_of(tmp_path, honest=honest(corpus, share)), corpus) == []


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6])
@pytest.mark.parametrize("split", SPLITS)
def test_a_list_of_one_split_is_suspected_among_honest_names(corpus, tmp_path, split, share):
    names = honest(corpus, share)
    kb = index_of(tmp_path, honest=names, planted=names + mentions(corpus[split]))
    found = found_in(kb, corpus)
    assert found and {one.vocabulary for one in found} == {"planted"}
    assert all(isinstance(one, Uneven) and one.split == split for one in found)
    assert found[0].has == found[0].of and found[0].other_has < found[0].other_of


def test_train_and_test_together_are_uneven_beside_dev(corpus, tmp_path):
    planted = honest(corpus, 0.3) + mentions(corpus["train"]) + mentions(corpus["test"])
    found = found_in(index_of(tmp_path, planted=planted), corpus)
    assert {(one.split, one.other) for one in found} == {("train", "dev"), ("test", "dev")}


def test_a_list_of_all_splits_is_known_by_its_share_and_not_among_honest_names(corpus, tmp_path):
    whole = [text for documents in corpus.values() for text in mentions(documents)]
    kb = index_of(
        tmp_path, alone=whole, among=whole + [f"elsewhere {i} disorder" for i in range(len(whole) * 2)]
    )
    (found,) = found_in(kb, corpus)
    distinct = len(set(normalise_all(whole)))
    assert found == MadeOf("alone", "c", distinct, distinct)


def test_a_few_common_names_are_not_suspected_although_all_are_mentions(corpus, tmp_path):
    common = [f"common disease {number}" for number in range(20)]
    assert len(common) < FEWEST_MENTIONS
    assert found_in(index_of(tmp_path, common=common), corpus) == []


def test_one_split_alone_is_compared_with_nothing(corpus, tmp_path):
    kb = index_of(tmp_path, names=honest(corpus, 0.3) + mentions(corpus["dev"]))
    assert found_in(kb, corpus, dev=corpus["dev"]) == []
    assert suspects(kb, {}) == []


def test_forms_of_several_documents_are_not_compared(corpus, tmp_path):
    """Vocabularies have what many documents annotate more often, and the larger a split, the more it has of these."""
    texts = [f"usual {number}" for number in range(100)]
    for text in texts * 2:
        document = Document(f"{text} {len(corpus['dev'])}", text)
        corpus["dev"].append(document.with_spans([document.span(0, len(text), "Disease")]))
    names = honest(corpus, 0.1) + texts
    assert found_in(index_of(tmp_path, names=names), corpus) == []


def test_chance_is_that_of_fisher_s_exact_test(corpus, tmp_path):
    kb = index_of(tmp_path, planted=honest(corpus, 0.2) + mentions(corpus["test"][:40]))
    found = found_in(kb, corpus)
    assert found
    for one in found:
        table = [[one.has, one.of - one.has], [one.other_has, one.other_of - one.other_has]]
        expected = fisher_exact(table, alternative="greater").pvalue
        # Three splits are six comparisons of one vocabulary.
        assert one.chance == pytest.approx(6 * expected) and one.odds > 3


def test_muted_names_are_no_names_of_a_vocabulary(tmp_path):
    kb = index_of(tmp_path, names=["was", "12", "acute fever"])
    assert kb.vocabularies.sizes().tolist() == [1]


def test_vocabularies_of_forms_are_those_of_a_slow_reference(tmp_path):
    rng = random.Random(5)
    words = [
        f"{a}{b}" for a in ("Fever", "rash", "gout", "TNF-α") for b in ("", " acute", " of the eye", "s")
    ]
    lists = {
        f"v{n}": [w.upper() if rng.random() < 0.3 else w for w in rng.sample(words, 8)] for n in range(4)
    }
    kb = index_of(tmp_path, **lists)
    texts = [*words, "nothing", "fevers", ""]
    keys, _ = kb.keys_and_types(texts)
    found = kb.vocabularies.having(keys)
    names = kb.vocabularies.names
    for column, text in enumerate(texts):
        slow = {c.source for name in kb.lookup(text) if not name.muted for c in name.concepts}
        assert {names[row] for row in np.flatnonzero(found[:, column])} == slow
    assert kb.vocabularies.sizes().tolist() == [len(set(normalise_all(texts))) for texts in lists.values()]


# --- shipped and real vocabularies and corpora ---


def sample_splits():
    registry = read_registry()
    return [(registry[name], split) for name in SAMPLES for split in SPLITS]


@pytest.fixture(scope="module")
def shipped_index(tmp_path_factory):
    """The smaller half of the vocabularies in the box."""
    parts = [part for part in read_sources()["open"].parts if part.paths(None)[0].stat().st_size < 300_000]
    assert len(parts) > 6
    terms = [({"name": part.name}, part.terms(None, Report())) for part in parts]
    return build(tmp_path_factory.mktemp("kb") / "open.idx", terms, Rules.load(shipped("kb")), Report())


def test_shipped_vocabularies_pass_on_the_shipped_samples(shipped_index):
    assert suspects(shipped_index, forms_of_splits(shipped_index, sample_splits())) == []


@pytest.mark.parametrize("among", [False, True])
def test_test_only_mentions_of_a_sample_are_caught(shipped_index, tmp_path, among):
    corpus = read_registry()["ncbi-disease-sample"]
    known = {text for s in ("train", "dev") for text in normalise_all(mentions(corpus.documents(s)))}
    planted = sorted(set(normalise_all(mentions(corpus.documents("test")))) - known)
    if among:
        numbers = random.Random(1).sample(shipped_index.name_numbers("Disease").tolist(), 15_000)
        planted += [shipped_index.text(number) for number in numbers]
    kb = index_of(tmp_path, planted=planted)
    found = suspects(kb, forms_of_splits(kb, [(corpus, split) for split in SPLITS]))
    assert found and {one.vocabulary for one in found} == {"planted"}
    assert any(isinstance(one, Uneven) and one.split == "test" for one in found)


@pytest.fixture(scope="module")
def real_splits(corpora_root):
    registry = read_registry()
    wanted = (
        "ncbi-disease-pubtator bc5cdr-pubtator bc2gm jnlpba linnaeus s800 anatem biored gnormplus bionlp13cg"
    )
    corpora = [registry[name] for name in wanted.split()]
    return [(c, s) for c in corpora for s in SPLITS if s in c.present(corpora_root)]


@pytest.mark.slow
def test_the_vocabulary_in_the_box_passes_on_samples_and_real_corpora(real_splits, corpora_root):
    kb = KnowledgeBase(open_index())
    assert len(real_splits) > 10
    assert suspects(kb, forms_of_splits(kb, [*real_splits, *sample_splits()], corpora_root)) == []


@pytest.mark.slow
def test_every_vocabulary_that_is_here_passes_on_real_corpora(real_splits, corpora_root, tmp_path):
    if not os.environ.get("VANER_KB"):
        pytest.skip("VANER_KB names no folder of vocabularies")
    sources = []
    for source in read_sources().values():
        if source.name not in ("umls-synthetic", "open"):
            with contextlib.suppress(VanerError):
                source.paths(None)
                sources.append(({"name": source.name}, source.terms(None, Report())))
    assert len(sources) > 10
    kb = build(tmp_path / "all.idx", sources, Rules.load(shipped("kb")), Report())
    assert suspects(kb, forms_of_splits(kb, real_splits, corpora_root)) == []
