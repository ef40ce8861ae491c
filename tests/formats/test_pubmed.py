"""In: PubMed XML. Out: titles and abstracts as Documents; what was deleted or replaced counted and named."""

import gzip
import io
import sys

import pytest

from vaner.document import Passage
from vaner.errors import FormatError, VanerError
from vaner.formats import pubmed, read, write
from vaner.report import Report


def parts(document):
    return [(p.kind, document.text[p.start : p.end]) for p in document.passages]


def article(pmid, title="T.", version=1, more=""):
    return (
        f"<PubmedArticle><MedlineCitation><PMID Version='{version}'>{pmid}</PMID>"
        f"<Article><ArticleTitle>{title}</ArticleTitle>{more}</Article></MedlineCitation></PubmedArticle>\n"
    )


def a_set(*records):
    return f"<PubmedArticleSet>\n{''.join(records)}</PubmedArticleSet>"


def test_titles_and_abstracts(data):
    report = Report()
    documents = list(read(data / "pubmed.xml", report=report))
    assert [d.id for d in documents] == ["31", "32", "33", "34", "35"]
    first = documents[0]
    assert first.text == "Effects of E. coli on H2O & more.\nBACKGROUND: One.\nMETHODS: Two and three."
    assert first.passages == [
        Passage(0, 33, "title"),
        Passage(34, 50, "abstract"),
        Passage(51, 74, "abstract"),
    ]
    assert first.metadata["passage_infons"] == [
        {},
        {"Label": "BACKGROUND", "NlmCategory": "BACKGROUND"},
        {"Label": "METHODS"},
    ]
    assert documents[1].text == "Title only." and documents[2].text == "A chapter.\nText."
    assert parts(documents[3]) == [("title", "Über Mäuse."), ("abstract", "English.")]
    assert parts(documents[4]) == [("title", "[Mice]."), ("abstract", "Second.")]
    assert report.deleted == ["36", "7"]
    assert report.counts == {pubmed.DELETED: 2, pubmed.REPLACED: 1, pubmed.OTHER_LEFT_OUT: 1}
    assert "PMID 36, and its record in this file left out" in " ".join(report.messages)


def test_other_abstracts_stand_behind_so_that_offsets_stay(data):
    without = list(read(data / "pubmed.xml", report=Report()))
    report = Report()
    found = list(read(data / "pubmed.xml", "pubmed:other_abstracts=yes", report=report))
    assert all(b.text.startswith(a.text) for a, b in zip(without, found, strict=True))
    assert parts(found[3])[2:] == [("other_abstract", "Deutsch.")]
    assert parts(found[4])[2:] == [("other_title", "Mäuse.")]
    assert pubmed.OTHER_LEFT_OUT not in report.counts
    with pytest.raises(VanerError, match="other_abstracts=1 is unknown; choose yes or no"):
        read(data / "pubmed.xml", "pubmed:other_abstracts=1")


def test_bioc_keeps_the_labels(data, tmp_path):
    before = list(read(data / "pubmed.xml", report=Report()))
    for name in ("o.xml", "o.json"):
        report = Report()
        write(tmp_path / name, before, "bioc", report=report)
        assert list(read(tmp_path / name)) == before and not report.counts


@pytest.mark.parametrize(
    ("records", "texts", "replaced"),
    [
        ([("1", "a", 1), ("2", "b", 1), ("1", "c", 1)], {"2": "b", "1": "c"}, 1),
        ([("1", "a", 1), ("1", "b", 2), ("1", "c", 3)], {"1": "c"}, 2),
        ([("1", "a", 2), ("1", "b", 1)], {"1": "a"}, 1),
        ([("1", "a", 1), ("11", "b", 1), ("111", "c", 1)], {"1": "a", "11": "b", "111": "c"}, 0),
    ],
)
def test_the_last_record_of_a_pmid_stands(make, records, texts, replaced):
    content = a_set(*(article(*record) for record in records))
    for path in (make("x.xml", content), make("x.xml.gz", gzip.compress(content.encode()))):
        report = Report()
        assert {d.id: d.text for d in read(path, "pubmed", report=report)} == texts
        assert report.counts[pubmed.REPLACED] == replaced and sum(report.counts.values()) == replaced


@pytest.mark.parametrize("gap", [0, 1, 2000, 5000])
def test_repeated_pmids_are_found_wherever_chunks_end(make, gap):
    """The look for them reads a megabyte at a time."""
    for at in range(-120, 20, 7):
        filler = f"<!--{'x' * ((1 << 20) - len(article('1')) - 26 - gap + at)}-->"
        content = a_set(article("1", "a"), filler, " " * gap, article("1", "b"))
        assert [d.text for d in read(make("x.xml", content), report=Report())] == ["b"]


def test_what_only_looks_like_a_record_takes_nothing_away(make):
    """A comment is no record: what it seems to replace or delete is given out at the end."""
    content = a_set(
        article("1", "a"),
        article("2", "b"),
        f"<!-- {article('1', 'never')} -->",
        "<!-- <DeleteCitation><PMID>2</PMID></DeleteCitation> -->",
        article("3", "c"),
        "<PubmedArticle><MedlineCitation><PMID>4</PMID><Article/><CommentsCorrectionsList><CommentsCorrections>"
        "<PMID>3</PMID></CommentsCorrections></CommentsCorrectionsList></MedlineCitation></PubmedArticle>",
    )
    report = Report()
    assert {d.id: d.text for d in read(make("x.xml", content), report=report)} == {
        "1": "a", "2": "b", "3": "c", "4": ""
    }  # fmt: skip
    assert not report.counts and not report.deleted


def test_an_update_file_may_only_delete(make):
    report = Report()
    path = make("x.xml", a_set("<DeleteCitation><PMID>5</PMID><PMID>6</PMID></DeleteCitation>"))
    assert list(read(path, report=report)) == [] and report.deleted == ["5", "6"]
    many = "".join(f"<PMID Version='1'>{n}</PMID>" for n in range(100))
    report = Report()
    list(read(make("y.xml", a_set(f"<DeleteCitation>{many}</DeleteCitation>")), report=report))
    assert len(report.deleted) == report.counts[pubmed.DELETED] == 100


def test_standard_input_is_not_looked_through(monkeypatch):
    content = a_set(article("1", "a"), article("2", "b"), "<DeleteCitation><PMID>9</PMID></DeleteCitation>")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
    report = Report()
    assert [d.id for d in read("-", "pubmed", report=report)] == ["1", "2"]
    assert report.deleted == ["9"]
    content = a_set(article("1", "a"), article("1", "b"))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
    with pytest.raises(FormatError, match="-:3: document id '1' was used before on line 2"):
        list(read("-", "pubmed"))


def test_citations_without_articles_around_them(make):
    """The form of the baseline before 2017."""
    content = (
        "<MedlineCitationSet><MedlineCitation><PMID>1</PMID><Article><ArticleTitle>t</ArticleTitle></Article>"
        "</MedlineCitation></MedlineCitationSet>"
    )
    assert [(d.id, d.text) for d in read(make("x.xml", content))] == [("1", "t")]


def test_white_space_lays_out_the_file(make):
    title = "  A\n\t<i> b </i>\u00a0<!-- x -->c<?y z?>\u2009d  e"
    (document,) = read(make("x.xml", a_set(article("1", title))))
    assert document.text == "A b \u00a0c\u2009d e"


def test_bad_records(make):
    content = a_set(article("1"), "<PubmedArticle/>\n", article("2", "a &alpha; b"))
    content = f'<!DOCTYPE PubmedArticleSet SYSTEM "http://localhost/x.dtd">\n{content}'
    path = make("x.xml", content)
    with pytest.raises(FormatError, match=r"x\.xml:4: the PubmedArticle has no PMID"):
        list(read(path))
    content = f'<!DOCTYPE PubmedArticleSet SYSTEM "x.dtd">{a_set(article("1&x;"), article("2"))}'
    report = Report()
    assert [d.id for d in read(make("y.xml", content), on_error="skip", report=report)] == ["2"]
    assert "y.xml:2: the entity &x; is not known here" in report.summary()[0]
    report = Report()
    assert [d.id for d in read(path, on_error="skip", report=report)] == ["1"]
    assert "the entity &alpha; is not known here" in report.summary()[1]
    with pytest.raises(FormatError, match=r"x\.xml:1: no well-formed XML"):
        list(read(make("x.xml", "<PubmedArticleSet><PubmedArticle>")))


def test_deletions_are_found_wherever_chunks_end(make):
    """In two megabytes of them, records of any are left out."""
    gone = [str(n) for n in range(10_000_000, 10_060_000)]
    records = [article(pmid) for pmid in gone[::500]]
    pmids = "".join(f'<PMID Version="1">{pmid}</PMID>\n' for pmid in gone)
    path = make("x.xml", a_set(*records, article("1"), f"<DeleteCitation>\n{pmids}</DeleteCitation>"))
    report = Report()
    assert [d.id for d in read(path, report=report)] == ["1"]
    assert report.deleted == gone and report.counts[pubmed.DELETED] == len(gone)
