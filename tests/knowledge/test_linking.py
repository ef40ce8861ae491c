"""Concept ids: exact, normalised, by the document's own abbreviations, by likeness; and how they are scored."""

import pytest

from vaner.document import Concept, Document
from vaner.errors import VanerError
from vaner.knowledge import Linker
from vaner.knowledge.linking import Accuracy
from vaner.vocabularies.terms import Term


def first(linker, mention, type_="Disease", **rest):
    concepts = linker.link(mention, type_, **rest)
    return (concepts[0].id, concepts[0].match) if concepts else None


def test_steps(kb):
    linker = Linker(kb)
    assert first(linker, "breast cancer") == ("D1", "exact")
    assert first(linker, "Breast cancers") == ("D1", "normalised")
    assert first(linker, "neoplasm of the breast") == ("D1", "normalised")  # another order
    assert first(linker, "adenomatous polyposos coli") == ("D4", "ngram")
    assert first(linker, "something else entirely") is None
    assert first(Linker(kb, least=1), "adenomatous polyposos coli") is None


def test_scores_and_sources(kb):
    linker = Linker(kb)
    assert linker.link("breast cancer", "Disease")[0] == Concept("D1", "test", 1.0, "exact")
    assert linker.link("breast cancers", "Disease")[0].score == 0.95
    near = linker.link("adenomatous polyposos coli", "Disease")[0]
    assert 0.5 * 0.8 <= near.score < 0.8


def test_type_decides_between_concepts(kb):
    linker = Linker(kb)
    assert first(linker, "cat", "Species") == ("S1", "exact")
    assert first(linker, "cat", "Gene") == ("G3", "normalised")
    assert {c.id for c in linker.link("cat", "SomethingElse")} == {"S1", "G3"}


def test_abbreviations_of_the_document_come_first(kb):
    text = "Familial adenomatous polyposis coli (APC) is rare. APC families, APCs."
    start = text.rindex("APC families")
    document = Document("d", text)
    document = document.with_spans([document.span(start, start + 3, "Disease")])
    (linked,) = Linker(kb).link_documents([document])
    concept = linked.spans[0].concepts[0]
    assert (concept.id, concept.match, concept.score <= 0.9) == ("D4", "abbreviation", True)
    assert first(Linker(kb), "APC", "Gene") == ("G2", "exact")


def test_sources_are_preferred_in_the_order_given(tmp_path, make_kb):
    from vaner.knowledge import Rules, build
    from vaner.report import Report

    kb = build(
        tmp_path / "two.idx",
        [
            ({"name": "one"}, [Term("1:a", "fever", ("Disease",), False)]),
            ({"name": "two"}, [Term("2:a", "fever", ("Disease",), True)]),
        ],
        Rules(),
        Report(),
    )
    assert [c.id for c in Linker(kb).link("fever", "Disease")] == ["1:a", "2:a"]
    assert [c.id for c in Linker(kb, sources=["two", "one"]).link("fever", "Disease")] == ["2:a", "1:a"]
    assert [c.id for c in Linker(kb, sources=["two"]).link("fever", "Disease")] == ["2:a"]
    assert len(Linker(kb, limit=1).link("fever", "Disease")) == 1
    for least in (-0.1, 2, float("nan")):
        with pytest.raises(VanerError, match="a similarity is a number from 0 to 1"):
            Linker(kb, least=least)
    with pytest.raises(VanerError, match="no vocabulary three; it has one, two"):
        Linker(kb, sources=["three"])


def test_accuracy_by_step(kb):
    document = Document("d", "breast cancer, catalase, zzz, cancers, cat")
    gold = document.with_spans(
        [
            document.span(0, 13, "Modifier", concepts=(Concept("MESH:D1"), Concept("D9"))),
            document.span(15, 23, "Gene", concepts=(Concept("G9"),)),
            document.span(25, 28, "Modifier", concepts=(Concept("D3"),)),
            document.span(30, 37, "Modifier", concepts=(Concept("D5+D7"),)),
            document.span(39, 42, "Species", concepts=(Concept("-1"),)),
        ]
    )
    labels = {"Modifier": "Disease"}
    accuracy = Accuracy()
    for linked in Linker(kb).link_documents([gold], labels):
        accuracy.add(gold, linked, labels)
    assert accuracy.mentions == {
        ("Disease", "exact"): 1,
        ("Disease", "normalised"): 1,
        ("Disease", "nothing found"): 1,
        ("Disease", "all"): 3,
        ("Gene", "exact"): 1,
        ("Gene", "all"): 1,
    }
    assert accuracy.right[("Disease", "all")] == 2 and accuracy.right[("Gene", "all")] == 0
    assert accuracy.table()[-1] == "1 mentions have no gold id and are left out"
    assert any(line.split() == ["Disease", "all", "3", "2", "66.7"] for line in accuracy.table())
