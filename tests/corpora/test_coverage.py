"""In: an index, documents. Out: counts as a slow reference has them; nothing but counts and hashes comes out."""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict
from itertools import product

import numpy as np
import pytest

from vaner.corpora.coverage import Counts, Forms, coverage, forms, forms_of_splits
from vaner.corpora.registry import read_registry
from vaner.document import Document
from vaner.files import shipped
from vaner.knowledge import Rules, build, key_of
from vaner.report import Report
from vaner.vocabularies.terms import Term

SAMPLES = ["ncbi-disease-sample", "bc5cdr-sample", "bc2gm-sample", "linnaeus-sample"]


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """Half of what the samples annotate in train and dev as names, some in small letters; a quarter as cell lines."""
    registry, texts = read_registry(), defaultdict(set)
    for name, split in product(SAMPLES, ("train", "dev")):
        for document in registry[name].documents(split):
            for span in document.spans:
                texts[span.type].add(span.text)
    terms = [
        Term(f"{type}{i}", text.lower() if i % 3 else text, (type,), True)
        for type, found in texts.items()
        for i, text in enumerate(sorted(found))
        if i % 2
    ]
    terms += [
        Term(f"C{i}", text, ("CellLine",), True)
        for found in texts.values()
        for i, text in enumerate(sorted(found))
        if i % 4 == 0
    ]
    terms.append(Term("X1", "COPDX", ("Disease", "Gene"), True))
    path = tmp_path_factory.mktemp("kb") / "kb.idx"
    return build(path, [({"name": "half"}, terms)], Rules.load(shipped("kb")), Report())


def matched(kb, text: str) -> set[str]:
    """The types that the matcher gives to all of a text; a slow reference."""
    (found,) = kb.match([text], all=True)
    return {match.type for match in found if (match.start, match.end) == (0, len(text))}


def test_counts_are_those_of_a_slow_reference(index):
    registry = read_registry()
    splits = [(registry[name], split) for name in SAMPLES for split in ("train", "dev", "test")]
    found = coverage(forms_of_splits(index, splits), [(c.name, s) for c, s in splits if s == "train"])
    trained = {
        (span.type, key_of(span.text))
        for corpus, split in splits
        if split == "train"
        for document in corpus.documents(split)
        for span in document.spans
    }
    expected = defaultdict(lambda: defaultdict(list))
    for corpus, split in splits:
        for document in corpus.documents(split):
            for span in document.spans:
                seen = (span.type, key_of(span.text)) in trained
                expected[corpus.name, split, span.type][seen].append(span.text)
    assert {(one.corpus, one.split, one.type) for one in found} == set(expected)
    for one in found:
        for seen, counts in ((True, one.seen), (False, one.unseen)):
            texts = expected[one.corpus, one.split, one.type][seen]
            types = {text: matched(index, text) for text in texts}

            def distinct(chosen):
                return len({key_of(text) for text in chosen})

            of_type = [text for text in texts if one.type in types[text]]
            of_any = [text for text in texts if types[text]]
            assert counts == Counts(
                distinct(texts), distinct(of_type), distinct(of_any), len(texts), len(of_type), len(of_any)
            ), (one.corpus, one.split, one.type)
    dev = [one for one in found if one.split == "dev"]
    assert any(one.unseen.mentions_as_type for one in dev) and any(one.seen.mentions_as_type for one in dev)
    assert any(one.all.mentions_as_any > one.all.mentions_as_type for one in dev)


def test_seen_is_what_any_corpus_of_training_annotates_with_the_type(index):
    def of(text: str, type: str) -> list[Document]:
        document = Document("d", text)
        return [document.with_spans([document.span(0, len(text), type)])]

    annotated = {
        ("a", "train"): forms(index, of("TNF-alpha", "Gene")),
        ("b", "train"): forms(index, of("tnf alpha", "Chemical")),
        ("a", "dev"): forms(index, of("TNF alpha", "Chemical")),
        ("b", "dev"): forms(index, of("TNF alpha", "Disease")),
    }
    found = {(one.corpus, one.split): one for one in coverage(annotated, [("a", "train"), ("b", "train")])}
    assert found["a", "dev"].seen.mentions == 1 and found["b", "dev"].unseen.mentions == 1
    assert not found["a", "train"].unseen.mentions and found["a", "train"].seen.mentions == 1


def test_documents_and_spellings_of_a_form_are_counted(index):
    documents = []
    for number, text in enumerate(["COPDX copdx COPDX", "COPDX"]):
        document = Document(f"d{number}", text)
        at = [(0, 5), (6, 11), (12, 17)] if number == 0 else [(0, 5)]
        documents.append(document.with_spans([document.span(a, b, "Disease") for a, b in at]))
    found = forms(index, documents)["Disease"]
    assert found.documents.tolist() == [2] and found.mentions.tolist() == [4]
    # Written small it is no name of the index, which has it in capitals.
    assert found.as_type.tolist() == [3]


def test_a_type_that_the_index_lacks_is_covered_by_names_of_others_only(index):
    document = Document("d", "COPDX")
    found = forms(index, [document.with_spans([document.span(0, 5, "Unheard")])])["Unheard"]
    assert found.as_type.tolist() == [0] and found.as_any.tolist() == [1]


def test_only_hashes_and_counts_leave_test_gold(index):
    registry = read_registry()
    found = forms_of_splits(index, [(registry["bc5cdr-sample"], "test")])
    assert set(found) == {("bc5cdr-sample", "test")}
    for types in found.values():
        assert set(types) == {"Chemical", "Disease"}
        for one in types.values():
            assert isinstance(one, Forms)
            arrays = [getattr(one, field.name) for field in dataclasses.fields(one)]
            assert all(isinstance(a, np.ndarray) and a.dtype.kind in "iu" and a.ndim == 1 for a in arrays)
    said = json.dumps([dataclasses.asdict(one) for one in coverage(found, [])])
    words = {type for types in found.values() for type in types} | {"bc5cdr-sample", "test"}
    words |= {f.name for f in dataclasses.fields(Counts)} | {"corpus", "split", "type", "seen", "unseen"}
    assert {word for word in said.split('"') if word[:1].isalpha()} <= words
