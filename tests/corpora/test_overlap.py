"""In: training documents and held-out ones. Out: those that share a PubMed id or a sentence, and no others."""

import pytest

from tests.corpora.conftest import ABSTRACT
from vaner.corpora.overlap import Fingerprints, fingerprints, held_out_fingerprints, overlapping
from vaner.corpora.registry import read_registry
from vaner.document import Document

LONG = "The dose of aspirin was lowered after two days"


def test_a_shared_pubmed_id_overlaps():
    held_out = fingerprints([Document("x", "Nothing alike.", metadata={"pmid": "7"})])
    documents = [
        Document("a", "Something else.", metadata={"pmid": "7"}),
        Document("7", "Its id is no PubMed id.", metadata={}),
    ]
    assert overlapping(documents, held_out) == {"a"}


def test_a_shared_sentence_overlaps_whatever_its_spacing_and_case():
    held_out = fingerprints([Document("x", f"Before. {LONG} (n=2). After.")])
    tokens = f"{LONG.upper()} ( n = 2 ) ."
    documents = [
        Document("mtl", f"Other words .\n{tokens}", sentences=[(0, 13), (14, 14 + len(tokens))]),
        Document("other", "The dose of aspirin was raised after two days."),
    ]
    assert overlapping(documents, held_out) == {"mtl"}


def test_a_sentence_of_five_words_or_fewer_does_not_overlap():
    held_out = fingerprints([Document("x", "All authors read and approved.")])
    assert overlapping([Document("a", "All authors read and approved.")], held_out) == set()


def test_fingerprints_hold_no_text():
    found = fingerprints([Document("x", LONG)])
    assert all(isinstance(digest, bytes) and len(digest) == 8 for digest in found.sentences)


def test_held_out_fingerprints_of_splits(corpus, tmp_path):
    (tmp_path / "x/test.txt").write_text(
        ABSTRACT.format(id=2, word="other") + ABSTRACT.format(id=3, word="tablet")
    )
    held_out = held_out_fingerprints([(corpus, "test"), (corpus, "dev")], tmp_path)
    assert held_out.pmids == {"2", "3"}
    # 2 shares its id, and 1 the sentence with the tablet.
    assert overlapping(corpus.documents("train", tmp_path), held_out) == {"1", "2"}
    assert held_out_fingerprints([(corpus, "dev")], tmp_path) == Fingerprints()


@pytest.mark.slow
def test_versions_of_one_corpus_are_recognised(data_root):
    known = read_registry()
    raw, mtl = known["bc5cdr-pubtator"], known["bc5cdr"]
    if "dev" not in raw.present(data_root) or "dev" not in mtl.present(data_root):
        pytest.skip("bc5cdr is not below VANER_DATA in both versions")
    held_out = held_out_fingerprints([(raw, "dev")], data_root)
    blocks = list(mtl.documents("dev", data_root))
    assert len(overlapping(blocks, held_out)) == len(blocks)
