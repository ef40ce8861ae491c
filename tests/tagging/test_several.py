"""In: taggers that know different things. Out: that each is asked its own, and that conflicts end by the rule."""

import random

import pytest

from tests.tagging.words import Words, found
from vaner.document import Document, Span
from vaner.errors import VanerError
from vaner.tagging.decode import best_of_overlapping
from vaner.tagging.overlap import Places
from vaner.tagging.several import Several, settled

TEXT = "BRCA1 and breast cancer in women"


def tag(taggers, *asked, **options):
    several = Several({chr(65 + n): tagger for n, tagger in enumerate(taggers)}, **options)
    (document,) = several.tag_documents([Document("d", TEXT)], *asked)
    return found(document)


A = Words({"breast cancer": ("Disease", 0.7), "women": "Species"})
B = Words({"cancer": ("Disease", 0.9), "BRCA1": ("Gene", 0.5), "breast": ("Anatomy", 0.4)})


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["BRCA1/Gene", "breast/Anatomy", "breast cancer/Disease", "women/Species"]),
        ({"conflicts": "score"}, ["BRCA1/Gene", "breast/Anatomy", "cancer/Disease", "women/Species"]),
        (
            {"conflicts": "all"},
            ["BRCA1/Gene", "breast/Anatomy", "breast cancer/Disease", "cancer/Disease", "women/Species"],
        ),
        ({"flat": True}, ["BRCA1/Gene", "breast cancer/Disease", "women/Species"]),
        (
            {"flat": True, "conflicts": "score"},
            ["BRCA1/Gene", "breast/Anatomy", "cancer/Disease", "women/Species"],
        ),
    ],
)
def test_conflicts(options, expected):
    assert tag([A, B], **options) == expected


def test_the_first_named_wins():
    assert tag([B, A]) == ["BRCA1/Gene", "breast/Anatomy", "cancer/Disease", "women/Species"]


@pytest.mark.parametrize("conflicts", ["first", "score", "all"])
def test_what_is_found_twice_is_there_once(conflicts):
    twice = [Words({"cancer": ("Disease", score)}) for score in (0.5, 0.8)]
    several = Several({"A": twice[0], "B": twice[1]}, conflicts=conflicts)
    (document,) = several.tag_documents([Document("d", TEXT)])
    (span,) = document.spans
    assert span.score == (0.8 if conflicts == "score" else 0.5)


def test_each_is_asked_what_it_knows():
    one = Words({"cancer": "Disease", "women": "Species"}, datasets={"ncbi": ["Disease"]})
    two = Words({"BRCA1": "Gene", "breast": "Disease"}, datasets={"bc2": ["Gene"], "ncbi": ["Disease"]})
    three = Words({"women": "Disease"}, allow_new_types=True)
    several = Several({"one": one, "two": two, "three": three})
    assert several.types == ["Disease", "Species", "Gene"] and several.allow_new_types
    assert several.datasets == {"ncbi": ["Disease"], "bc2": ["Gene"]}
    list(several.tag_documents([], ["Disease", "Gene", "Colour"], "ncbi"))
    assert one.asked == [(["Disease"], "ncbi")]
    assert two.asked == [(["Disease", "Gene"], "ncbi")]
    assert three.asked == [(["Disease", "Colour"], None)]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ((["Diseases", "Gene"],), r"type 'Diseases' was not in training .*did you mean Disease\?"),
        ((None, "ncbj"), r"dataset 'ncbj' .*did you mean ncbi\?"),
        ((["Disease"],), "two: knows none of the types asked .Disease.; leave this model out"),
        ((None, "ncbi"), "two: knows none of the types asked"),
    ],
)
def test_what_nobody_knows_is_refused_before_a_document_is_read(asked, says):
    several = Several(
        {
            "one": Words({"cancer": "Disease"}, datasets={"ncbi": ["Disease"]}),
            "two": Words({"BRCA1": "Gene"}),
        }
    )

    def unread():
        raise AssertionError("read")
        yield

    with pytest.raises(VanerError, match=says):
        several.tag_documents(unread(), *asked)


@pytest.mark.parametrize("ahead", [(1, 1), (1, 7), (7, 1), (3, 4)])
def test_documents_come_in_order_and_errors_where_they_were(ahead):
    several = Several({str(n): Words({"cancer": "Disease"}, ahead=a) for n, a in enumerate(ahead)})
    documents = [Document(str(n), f"{n} cancer") for n in range(20)]
    assert [d.id for d in several.tag_documents(documents)] == [d.id for d in documents]

    def broken():
        yield from documents[:9]
        raise OSError("the disk is gone")

    stream = several.tag_documents(broken())
    with pytest.raises(OSError, match="the disk is gone"):
        list(stream)


@pytest.mark.parametrize(("lost", "says"), [(0, "a 0, b 1"), (2, "a 2, b none")])
def test_a_tagger_that_loses_a_document_is_found_out(lost, says):
    class Loses(Words):
        def tag_documents(self, documents, types=None, dataset=None):
            return (d for d in super().tag_documents(documents, types, dataset) if d.id != str(lost))

    several = Several({"a": Words({"x": "X"}), "b": Loses({"x": "X"})})
    with pytest.raises(
        VanerError, match=f"document {lost}: the taggers are not at the same document .{says}.;"
    ):
        list(several.tag_documents([Document(str(n), "x") for n in range(3)]))


def test_what_is_known_of_annotated_types_and_words():
    one, two = Words({"x": "X"}, max_words=9), Words({"x": "Y"}, max_words=4)
    assert Several({"a": one, "b": two}).max_words == 9
    assert Several({"a": one, "b": Words({"x": "Y"})}).max_words is None
    assert Several({"a": one, "b": two}).remarks() == ["a: 1 words", "b: 1 words"]
    assert Several({"a": one}).remarks() == ["1 words"]
    (document,) = Several({"a": one, "b": two}).tag_documents([Document("d", "x", types=frozenset("Z"))])
    assert document.types == {"Z"}

    class Says(Words):
        def tag_documents(self, documents, types=None, dataset=None):
            for document in super().tag_documents(documents, types, dataset):
                document.types = frozenset(types)
                yield document

    for both in ({"a": one, "b": Says({"y": "Y"})}, {"b": Says({"y": "Y"}), "a": one}):
        (document,) = Several(both).tag_documents([Document("d", "x y")])
        assert found(document) == ["x/X", "y/Y"] and document.types == {"X", "Y"}


def test_rules_that_do_not_exist():
    with pytest.raises(VanerError, match="conflicts: unknown 'last'; choose first, score, all"):
        Several({}, conflicts="last")
    with pytest.raises(VanerError, match="--flat keeps one of overlapping spans and --conflicts all"):
        Several({}, conflicts="all", flat=True)


def random_spans(rng, number, kinds):
    text = "x" * 60
    document = Document("d", text)
    spans = {}
    for _ in range(number):
        start = rng.randrange(50)
        span = document.span(
            start, start + rng.randint(1, 9), rng.choice(kinds), score=rng.choice([0.2, 0.5, 0.8])
        )
        # One of each place and type, as a model gives them: of two the hash would choose.
        spans[span.key] = span
    return [spans[key] for key in sorted(spans)]


def test_flat_of_one_is_what_the_labeler_does():
    rng = random.Random(0)
    for _ in range(200):
        spans = random_spans(rng, 8, "XY")
        expected = sorted(best_of_overlapping(spans), key=lambda s: s.key)
        assert settled([spans], "first", True) == settled([spans], "score", True) == expected


def test_against_the_rule_spelt_out():
    def by_score(span):
        return span.key, span.score or 0

    rng = random.Random(1)
    for _ in range(200):
        models = [random_spans(rng, 5, "XY") for _ in range(3)]
        taken = []
        for rank, spans in enumerate(models):
            taken += [
                (rank, s)
                for s in spans
                if not any(
                    other != rank and t.type == s.type and t.start < s.end and s.start < t.end
                    for other, t in taken
                )
            ]
        # A set has no order of its own: spans of one place and type are told apart by their scores.
        expected = sorted({s for _, s in taken}, key=by_score)
        assert sorted(set(settled(models, "first", False)), key=by_score) == expected


def test_gaps_of_a_discontinuous_mention_are_free():
    whole = Span(0, 20, "X", "x" * 20, fragments=((0, 5), (15, 20)))
    places = Places([whole, Span(30, 31, "X", "x")])
    assert not list(places.overlapping(Span(5, 15, "X", "x" * 10)))
    assert list(places.overlapping(Span(4, 15, "X", "x" * 11))) == [whole]
    assert list(places.overlapping(Span(19, 40, "X", "x" * 21))) == [Span(30, 31, "X", "x"), whole]
