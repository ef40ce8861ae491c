"""In: documents that have mentions. Out: that they are replaced, kept or merged as asked, and counted."""

import pytest

from tests.tagging.words import Words, found
from vaner.document import Concept, Document, Span
from vaner.errors import VanerError
from vaner.tagging.existing import Existing

TEXT = "BRCA1 and breast cancer in women"
WORDS = {"cancer": "Disease", "BRCA1": "Gene", "women": "Species"}
OWN = [
    Span(10, 23, "Disease", "breast cancer", concepts=(Concept("D1"),)),
    Span(0, 5, "Protein", "BRCA1"),
    Span(27, 32, "Species", "women"),
]


def tag(how, **options):
    tagger = Existing(Words(WORDS), how, **options)
    (document,) = tagger.tag_documents([Document("d", TEXT, OWN)])
    assert how == "replace" or set(OWN) <= set(document.spans)
    return found(document), tagger.remarks()[1:]


def test_replace():
    assert tag("replace") == (["BRCA1/Gene", "cancer/Disease", "women/Species"], [])


def test_keep():
    spans, remarks = tag("keep")
    assert spans == ["BRCA1/Gene", "BRCA1/Protein", "breast cancer/Disease", "women/Species"]
    assert remarks == [
        "3 mentions that the documents had were kept, and 2 found spans left out for them (--existing keep)"
    ]
    assert tag("keep", flat=True)[0] == ["BRCA1/Protein", "breast cancer/Disease", "women/Species"]


def test_merge():
    spans, remarks = tag("merge")
    assert spans == [
        "BRCA1/Gene",
        "BRCA1/Protein",
        "breast cancer/Disease",
        "cancer/Disease",
        "women/Species",
    ]
    assert "1 found spans left out" in remarks[0]


@pytest.mark.parametrize("how", ["keep", "merge"])
@pytest.mark.parametrize("ahead", [1, 7, 100])
def test_however_far_the_tagger_reads_ahead(how, ahead):
    documents = [Document(str(n), f"{n} cancer", [Span(0, 1, "N", str(n)[0])]) for n in range(50)]
    tagged = list(Existing(Words(WORDS, ahead=ahead), how).tag_documents(iter(documents)))
    assert [d.spans[0] for d in tagged] == [d.spans[0] for d in documents]
    assert all(len(d.spans) == 2 for d in tagged)


@pytest.mark.parametrize("how", ["keep", "merge"])
def test_tagging_again_changes_nothing(how):
    tagger = Existing(Words(WORDS), how)
    once = list(tagger.tag_documents([Document("d", TEXT, OWN)]))
    assert list(tagger.tag_documents(once)) == once


def test_annotated_types():
    class Says(Words):
        def tag_documents(self, documents, types=None, dataset=None):
            for document in super().tag_documents(documents, types, dataset):
                document.types = frozenset(self.types)
                yield document

    (document,) = Existing(Says(WORDS)).tag_documents([Document("d", TEXT, OWN, types=frozenset(["Cell"]))])
    assert document.types == {"Disease", "Gene", "Species", "Protein", "Cell"}
    (document,) = Existing(Words(WORDS)).tag_documents([Document("d", TEXT, OWN)])
    assert document.types is None


def test_a_tagger_that_changes_the_order_is_found_out():
    class Turns(Words):
        def tag_documents(self, documents, types=None, dataset=None):
            return reversed(list(super().tag_documents(documents, types, dataset)))

    with pytest.raises(VanerError, match="document 1: the tagger gave it out of turn"):
        list(Existing(Turns(WORDS)).tag_documents([Document("0", "x"), Document("1", "x")]))


def test_ways_that_do_not_exist():
    with pytest.raises(VanerError, match="existing: unknown 'drop'; choose replace, keep, merge"):
        Existing(Words(WORDS), "drop")
    with pytest.raises(VanerError, match="--flat keeps one of overlapping spans and --existing merge"):
        Existing(Words(WORDS), "merge", flat=True)
