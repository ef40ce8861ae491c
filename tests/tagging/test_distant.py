"""In: a dictionary, a model, raw text. Out: that only what both say is taught, and nothing else is denied."""

from __future__ import annotations

import pytest

from tests.tagging.words import Words
from vaner.corpora.overlap import fingerprints
from vaner.document import Document, Passage
from vaner.errors import VanerError
from vaner.knowledge import DictionaryTagger
from vaner.provenance import DISTANT, TAGGED_BY, tagged_by
from vaner.tagger import FAILED
from vaner.tagging.distant import HELD_OUT, NOT_TAGGED, DistantLabels, Rule

ALL = Rule(negatives=1.0)


def labels(known, found, rule=ALL, **more) -> DistantLabels:
    return DistantLabels(Words(known), Words(found, ahead=3), tagged_by({"m": "0" * 64}), rule=rule, **more)


def taught(known, found, text="Insulin in breast cancer was seen in HeLa.", rule=ALL) -> dict[str, list[str]]:
    """Type -> what a text's one sentence teaches of it; without a type of which it says nothing."""
    made = list(labels(known, found, rule).sentences([Document("d", text)], "raw"))
    return {
        type: [span.text for span in sentence.spans if span.type == type]
        for sentence in made
        for type in sorted(sentence.types)
    }


CANCER = {"breast cancer": ("Disease", 0.9)}
GENE = {"BRCA9": "Gene"}


@pytest.mark.parametrize(
    ("known", "found", "expected"),
    [
        (CANCER, CANCER, ["breast cancer"]),
        (CANCER, {"breast cancer": ("Disease", 0.7)}, None),
        (CANCER, {"breast cancer": "Disease"}, None),
        (CANCER, {"cancer": ("Disease", 0.9)}, None),
        (CANCER, {"leukemia": ("Disease", 0.9)}, None),
        ({"leukemia": "Disease"}, CANCER, None),
        ({"leukemia": "Disease"}, {"leukemia": "Disease"}, []),
        (CANCER | {"HeLa": "Disease"}, CANCER, None),
        (CANCER, CANCER | {"HeLa": ("Disease", 0.99)}, None),
    ],
    ids=[
        "agreed",
        "low",
        "no score",
        "borders",
        "dictionary",
        "model",
        "absent",
        "one more name",
        "one more mention",
    ],
)
def test_a_type_is_taught_where_all_that_is_found_of_it_is_agreed_on(known, found, expected):
    assert taught(known | GENE, found | GENE) == ({} if expected is None else {"Disease": expected}) | {
        "Gene": []
    }


@pytest.mark.parametrize(
    ("known", "score", "expected"),
    [
        ({"leukemia": "Disease"}, 0.95, ["breast cancer"]),
        ({"leukemia": "Disease"}, 0.94, None),
        # The longer mention settles what the dictionary says of a part of it, and not what it says elsewhere.
        ({"cancer": "Disease"}, 0.95, ["breast cancer"]),
        ({"cancer": "Disease", "HeLa": "Disease"}, 0.95, None),
    ],
)
def test_what_the_model_is_sure_of_needs_no_name(known, score, expected):
    rule = Rule(sure=0.95, negatives=1.0)
    assert taught(known, {"breast cancer": ("Disease", score)}, rule=rule).get("Disease") == expected


def test_each_sentence_is_its_own_document_with_its_place_and_origin():
    text = "About HeLa.\nNothing was found. Then breast cancer was seen. Lung cancer was not."
    document = Document(
        "12345", text, [], [Passage(0, 11, "title"), Passage(12, len(text), "abstract")],
        metadata={"licence": "CC BY", "mesh": ["a"], "year": 2020},
    )  # fmt: skip
    found = labels(CANCER | {"Lung cancer": "Disease"}, CANCER)
    made = list(found.sentences([document], "notes"))
    assert [(m.id, m.text) for m in made] == [
        ("notes/12345:0", "About HeLa."),
        ("notes/12345:12", "Nothing was found."),
        ("notes/12345:31", "Then breast cancer was seen."),
    ]
    (span,) = made[2].spans
    assert (span.key, span.text, span.score) == ((5, 18, "Disease"), "breast cancer", 0.9)
    assert made[2].metadata == {
        "licence": "CC BY",
        "year": 2020,
        "pmid": "12345",
        DISTANT: {"source": "notes", "document": "12345", "start": 31},
        TAGGED_BY: tagged_by({"m": "0" * 64}),
    }
    assert made[2].sentences == [(0, 28)] and made[2].types == {"Disease"}
    assert found.counts == {"documents": 1, "sentences": 4, "written": 3}


@pytest.mark.parametrize("rule", [ALL, Rule(sure=0.9, negatives=1.0)])
def test_a_mention_that_leaves_its_sentence_takes_its_type_out_of_both(rule):
    text = "It was seen in mice. Then breast cancer came. Nothing else was."
    known = CANCER | {"mice. Then": ("Disease", 0.99)}
    made = labels(known, known, rule).sentences([Document("d", text)], "raw")
    assert [m.text for m in made] == ["Nothing else was."]


@pytest.mark.parametrize("rule", [ALL, Rule(sure=0.9, negatives=1.0)])
def test_a_mention_in_several_pieces_is_not_agreed_on(rule):
    class InPieces(Words):
        def tag_documents(self, documents, types=None, dataset=None):
            for document in documents:
                yield document.with_spans(
                    [document.span(0, 13, "Disease", score=1.0, fragments=((0, 6), (8, 13)))]
                )

    found = DistantLabels(Words({"breast cancer": "Disease"}), InPieces(CANCER), {}, rule=rule)
    assert list(found.sentences([Document("d", "breast cancer was seen")], "raw")) == []


def test_a_share_of_the_sentences_teaches_what_is_absent():
    documents = [Document(f"d{n}", f"Number {n} was nothing.") for n in range(400)]
    seen = documents + [Document("e", "A breast cancer was seen.")]

    def ids(documents, **rule):
        return [m.id for m in labels(CANCER, CANCER, Rule(**rule)).sentences(documents, "raw")]

    kept = ids(seen, negatives=0.25)
    assert 70 < len(kept) < 130 and kept[-1] == "raw/e:0"
    assert ids(list(reversed(seen)), negatives=0.25) == list(reversed(kept)), "the order does not matter"
    assert ids(seen, negatives=0.25, seed=1) != kept
    assert ids(seen, negatives=0.0) == ["raw/e:0"] and len(ids(seen, negatives=1.0)) == 401


def test_absence_is_taught_of_all_types_of_a_sentence_or_of_none():
    documents = [Document(f"d{n}", f"Number {n} was breast cancer.") for n in range(40)]
    found = labels(CANCER | GENE, CANCER | GENE, Rule(negatives=0.5)).sentences(documents, "raw")
    assert {frozenset(m.types) for m in found} == {frozenset({"Disease"}), frozenset({"Disease", "Gene"})}


def test_documents_are_read_as_they_are_needed():
    taken = 0

    def documents():
        nonlocal taken
        for n in range(1000):
            taken += 1
            yield Document(f"d{n}", "A breast cancer was seen.")

    made = labels(CANCER, CANCER).sentences(documents(), "raw")
    assert next(made).id == "raw/d0:0" and taken <= 3
    assert sum(1 for _ in made) == 999


def test_the_real_dictionary_finds_the_names(kb):
    model = Words({"breast cancer": ("Disease", 0.9), "TNF-alpha": ("Gene", 0.9)})
    document = Document("d", "TNF-alpha was high. So was insulin in breast cancer.")
    found = DistantLabels(DictionaryTagger(kb), model, {}, rule=ALL)
    assert found.types == ["Disease", "Gene"]
    first, second = found.sentences([document], "raw")
    assert [s.text for s in first.spans] == ["TNF-alpha"] and first.types == {"Disease", "Gene"}
    # Insulin is a gene too, says the index, and the model does not: it may be either.
    assert [s.text for s in second.spans] == ["breast cancer"] and second.types == {"Disease"}


def test_spans_that_documents_have_are_not_looked_at():
    text = "Nothing was seen."
    document = Document("d", text)
    document = document.with_spans([document.span(0, 7, "Disease")])
    (made,) = labels(CANCER, CANCER).sentences([document], "raw")
    assert made.spans == []


def test_whole_documents_that_share_a_sentence_or_a_pubmed_id_with_held_out_ones_are_left_out():
    held = fingerprints([
        Document("x", "The long sentence that dev has, too."),
        Document("y", "", metadata={"pmid": "7654321"}),
    ])  # fmt: skip
    documents = [
        Document("a", "A breast cancer was seen. The long sentence that dev has too."),
        Document("7654321", "A breast cancer was seen."),
        Document("b", "A breast cancer was seen.", metadata={"pmid": 7654321}),
        Document("c", "A breast cancer was seen."),
    ]
    found = labels(CANCER, CANCER, left_out=held)
    assert [m.id for m in found.sentences(documents, "raw")] == ["raw/c:0"]
    assert found.counts[HELD_OUT] == 3 and found.counts["documents"] == 4


def test_a_document_that_the_model_gave_up_is_left_out():
    class Failing(Words):
        def tag_documents(self, documents, types=None, dataset=None):
            for document in super().tag_documents(documents, types, dataset):
                document.metadata = {FAILED: "no answer"} if document.id == "a" else {}
                yield document

    found = DistantLabels(Words(CANCER), Failing(CANCER), {}, rule=ALL)
    documents = [Document("a", "A breast cancer."), Document("b", "A breast cancer.")]
    assert [m.id for m in found.sentences(documents, "raw")] == ["raw/b:0"]
    assert found.counts[NOT_TAGGED] == 1


def test_the_table_counts_what_was_found_taught_and_left_out():
    found = labels(CANCER | {"HeLa": "CellLine"}, CANCER | {"HEK": ("CellLine", 1.0)}, Rule(negatives=0.0))
    text = "A breast cancer was seen. It was HeLa. It was HEK. It was nothing."
    list(found.sentences([Document("d", text)], "raw"))
    lines = [line.split() for line in found.table().splitlines()]
    # dictionary, model, agreed, taught; with, without; pieces, low, borders, only the model, only the dictionary
    assert ["Disease", "1", "1", "1", "1", "1", "0", "0", "0", "0", "0", "0"] in lines
    assert ["CellLine", "1", "1", "0", "0", "0", "0", "0", "0", "0", "1", "1"] in lines


def test_what_cannot_work_is_refused():
    with pytest.raises(
        VanerError, match=r"--types Diseases: the index does not know it .*Disease.*; both must"
    ):
        labels(CANCER, CANCER, types=["Diseases"])
    with pytest.raises(VanerError, match="--types Gene: the model does not know it"):
        labels(CANCER | GENE, CANCER, types=["Gene"])
    with pytest.raises(VanerError, match="know no type in common; the index has Disease, the model Gene"):
        labels(CANCER, GENE)
    for rule in ({"least": 1.5}, {"negatives": -0.1}, {"sure": 2.0}):
        with pytest.raises(VanerError, match="give a number from 0 to 1"):
            Rule(**rule)
    with pytest.raises(VanerError, match=r"--sure 0\.5: is below --least 0\.8"):
        Rule(sure=0.5)
