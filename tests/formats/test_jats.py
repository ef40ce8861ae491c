"""In: full text in JATS. Out: Documents whose passages are what a reader sees."""

import pytest

from vaner.errors import FormatError, VanerError
from vaner.formats import read, write
from vaner.report import Report


def parts(document):
    return [(p.kind, document.text[p.start : p.end]) for p in document.passages]


def body(make, content, **options):
    path = make("x.nxml", f"<article><body>{content}</body></article>")
    (document,) = read(path, report=Report(), **options)
    return [text for _, text in parts(document)]


def test_title_abstracts_and_body(data):
    report = Report()
    (document,) = read(data / "mini.nxml", report=report)
    assert document.id == "PMC13900"
    assert document.metadata["infons"] == {"pmid": "227508", "pmcid": "PMC13900", "doi": "10.1/a"}
    assert parts(document) == [
        ("title", "Naloxone in Rattus norvegicus"),
        ("section_title", "Background"),
        ("abstract", "H2O β."),
        ("section_title", "Results"),
        ("abstract", "It did."),
        ("abstract", "Short."),
        ("paragraph", "Before the sections."),
        ("section_title", "1. Methods"),
        ("section_title", "Animals"),
        ("paragraph", "Mice (103 cells) as before [1] and in Fig. 1."),
        ("paragraph", "They had:"),
        ("paragraph", "1. water;"),
        ("paragraph", "food."),
        ("paragraph", "and light where x2=4 (1) holds."),
        ("section_title", "Results"),
        ("paragraph", "One p53\u00a0mutant."),
        ("paragraph", "HCl hydrochloride"),
    ]
    assert document.text == "\n".join(text for _, text in parts(document))
    infons = document.metadata["passage_infons"]
    assert infons[9] == {"section": "1. Methods > Animals"} and infons[5] == {"abstract_type": "short"}
    assert report.counts == {"other abstract left out": 1, "sub-article left out": 1}


@pytest.mark.parametrize(
    ("option", "kind", "texts"),
    [
        ("captions", "caption", ["Figure 1 Mice.", "White ones.", "Table 1 Doses."]),
        ("tables", "table", ["Drug\tDose\nnaloxone HCl\t1 mg", "a Daily."]),
        ("references", "reference", ["1 Roca O On rats 2006", "Zambon M: ARDS. 2008."]),
        ("other_abstracts", "other_abstract", ["Kurz."]),
        ("other_abstracts", "other_title", ["Naloxon"]),
    ],
)
def test_what_is_read_only_when_asked_for(data, option, kind, texts):
    (plain,) = read(data / "mini.nxml", report=Report())
    (found,) = read(data / "mini.nxml", f"jats:{option}=yes", report=Report())
    assert [text for of, text in parts(found) if of == kind] == texts
    added = {"caption", "table", "reference", "other_abstract", "other_title"}
    assert [part for part in parts(found) if part[0] not in added] == parts(plain)
    with pytest.raises(VanerError, match=f"{option}=on is unknown; choose yes or no"):
        read(data / "mini.nxml", f"jats:{option}=on")


def test_bioc_keeps_the_passages(data, tmp_path):
    before = list(read(data / "mini.nxml", "jats:captions=yes,tables=yes,references=yes", report=Report()))
    for name in ("o.xml", "o.json"):
        report = Report()
        write(tmp_path / name, before, "bioc", report=report)
        assert list(read(tmp_path / name)) == before and not report.counts


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        # Superscripts that are no marks stay; marks go, in either order of the elements.
        ("<p>Ca<sup>2+</sup> p53<xref ref-type='bibr'><sup>1</sup></xref>.</p>", ["Ca2+ p53."]),
        ("<p>a<sup>[<xref ref-type='bibr'>1</xref>\u2013<xref ref-type='bibr'>3</xref>]</sup> b</p>", ["a b"]),
        ("<p>a<sup>x <xref ref-type='bibr'>1</xref></sup></p>", ["ax 1"]),
        ("<p>See<sup><xref ref-type='fig'>1</xref></sup></p>", ["See1"]),
        ("<p>a<xref ref-type='bibr' rid='r'/>b</p>", ["ab"]),
        # Paragraphs in pieces.
        ("<p>a<boxed-text><title>T</title><p>b</p></boxed-text>c</p>", ["a", "T", "b", "c"]),
        ("<p><list><list-item><p>a</p><list><list-item><p>b</p></list-item></list></list-item></list></p>", "ab"),
        ("<p>a <disp-quote><p>b</p></disp-quote> c</p><p> </p>", ["a", "b", "c"]),
        ("<sec><title/><p>a</p><sec><label>2</label><p>b</p></sec></sec>", ["a", "2", "b"]),
        ("<unknown><p>a</p><p>b</p></unknown><unknown>c <p>d</p></unknown>", ["a", "b", "c", "d"]),
        # Text out of the line: alternatives, code of formulas, footnotes, pictures' descriptions.
        ("<p>a<inline-graphic><alt-text>x</alt-text></inline-graphic>b<fn><p>n</p></fn></p>", ["ab"]),
        ("<p>x <inline-formula><tex-math>$x$</tex-math></inline-formula> y</p>", ["x y"]),
        ("<p>a<break/>b\r\n\tc\u00a0 d</p>", ["a b c\u00a0 d"]),
        ("<p>x &lt; y &amp; <![CDATA[<z>]]></p>", ["x < y & <z>"]),
    ],
)  # fmt: skip
def test_text_is_what_a_reader_sees(make, content, texts):
    assert body(make, content) == list(texts)


def test_oasis_tables(make):
    row = "<o:row><o:entry>a</o:entry><o:entry><p>b</p></o:entry></o:row>"
    table = f'<array><o:table xmlns:o="oasis">{row}</o:table></array>'
    assert body(make, table, tables="yes") == ["a\tb"]


def test_collections_ids_and_namespaces(make):
    article = '<article xmlns="http://jats.nlm.nih.gov"><front><article-meta>{}</article-meta></front><body><p>t</p></body></article>'
    ids = [
        '<article-id pub-id-type="pmcid">PMC7</article-id><article-id pub-id-type="pmid">8</article-id>',
        '<article-id pub-id-type="doi">10.1/x</article-id><article-id pub-id-type="pmid">8</article-id>',
        '<article-id pub-id-type="doi">10.1/x</article-id>',
        "",
    ]
    content = f"<!-- c --><pmc-articleset>{''.join(map(article.format, ids))}</pmc-articleset>"
    assert [d.id for d in read(make("x.xml", content))] == ["PMC7", "8", "10.1/x", "x-4"]
    # The only article of a file is called as the file; a comment before the root is none of its siblings.
    assert [d.id for d in read(make("one.nxml.gz", _zipped(f"<!-- c -->{article.format('')}")))] == ["one"]
    again = make("y.xml", f"<x>{article.format(ids[0]) * 2}</x>")
    with pytest.raises(FormatError, match=r"y\.xml:1: document id 'PMC7' was used before on line 1"):
        list(read(again, "jats"))


def _zipped(content):
    import gzip

    return gzip.compress(content.encode())


def test_an_article_without_body_is_counted(make):
    report = Report()
    (document,) = read(make("x.xml", "<article><front/></article>"), report=report)
    assert document.text == "" and report.counts == {"article without full text": 1}
