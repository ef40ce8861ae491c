"""UMLS RRF: filters, broken rows, semantic types, compressed files."""

import gzip

import pytest

from vaner.errors import FormatError, VanerError
from vaner.report import Report
from vaner.vocabularies.sources import semantic_types
from vaner.vocabularies.umls import read_umls

CONSO = [
    "C0000001|ENG|P|L1|PF|S1|Y|A1||||MSH|MH|D1|Name one|0|N|256|",
    "C0000001|ENG|S|L1|VO|S1|N|A2||||SNOMEDCT_US|SY|D1|Name α|0|N||",
    "C0000001|FRE|S|L1|VO|S1|N|A3||||MSHFRE|SY|D1|Nom|0|N||",
    "C0000001|ENG|S|L1|VO|S1|N|A4||||MSH|SY|D1|Old name|0|O||",
    "C0000002|ENG|P|L1|PF|S1|Y|A5||||MSH|MH|D2|Two types|0|N||",
    "C0000003|ENG|P|L1|PF|S1|Y|A6||||MSH|MH|D3|An idea|0|N||",
]
STY = [
    "C0000001|T047|B2|Disease or Syndrome|AT1|256|",
    "C0000002|T116|A1|Amino Acid, Peptide, or Protein|AT2||",
    "C0000002|T121|A1|Pharmacologic Substance|AT3||",
    "C0000003|T078|A2|Idea or Concept|AT4||",
]


@pytest.fixture
def meta(tmp_path):
    def write(conso=CONSO, sty=STY, compress=False):
        for name, rows in (("MRCONSO.RRF", conso), ("MRSTY.RRF", sty)):
            data = "".join(f"{row}\n" for row in rows).encode()
            path = tmp_path / (name + ".gz" if compress else name)
            path.write_bytes(gzip.compress(data) if compress else data)
        return tmp_path

    return write


def read(folder, report=None, **options):
    return list(read_umls(folder, semantic_types(), report or Report(), **options))


@pytest.mark.parametrize("compress", [False, True])
def test_default_filters(meta, compress):
    report = Report()
    terms = read(meta(compress=compress), report)
    assert [(t.id, t.name, t.types, t.preferred) for t in terms] == [
        ("C0000001", "Name one", ("Disease",), True),
        ("C0000001", "Name α", ("Disease",), False),
        ("C0000002", "Two types", ("Chemical", "Gene"), True),
    ]
    assert report.counts == {
        "left out: row of another language": 1,
        "left out: suppressible row": 1,
        "left out: row whose semantic types are left out": 1,
    }


def test_other_filters(meta):
    folder = meta()
    assert "Nom" in [t.name for t in read(folder, languages=())]
    assert [t.name for t in read(folder, languages=["FRE"])] == ["Nom"]
    assert "Old name" in [t.name for t in read(folder, suppress=["N", "O"])]
    assert [t.name for t in read(folder, vocabularies=["SNOMEDCT_US"])] == ["Name α"]
    with pytest.raises(VanerError, match="none of 6 rows passed the filters .language GER.*widen them"):
        read(folder, languages=["GER"])


def test_broken_rows_are_counted_with_their_line(meta):
    report = Report()
    conso = [*CONSO, "C0000001|ENG|P|L1|PF", "C1|ENG|P|L1|PF|S1|Y|A5||||MSH|MH|D2|Bad CUI|0|N||"]
    sty = [*STY, "C0000001|T999|B2|Unheard of|AT1|256|", "C0000001|T047"]
    assert len(read(meta(conso, sty), report)) == 3
    assert report.counts["row with a wrong number of columns"] == 2
    assert report.counts["unknown semantic type"] == 1
    assert report.counts["bad CUI"] == 1
    assert any("MRCONSO.RRF:7: 5 columns where 18 are expected" in m for m in report.messages)
    assert any("MRSTY.RRF:5: semantic type T999" in m for m in report.messages)


def test_file_that_breaks_off_inside_a_row(meta, tmp_path):
    folder = meta()
    path = folder / "MRCONSO.RRF"
    path.write_bytes(path.read_bytes()[:-20])
    report = Report()
    assert len(read(folder, report)) == 3
    assert report.counts["row with a wrong number of columns"] == 1
    (message,) = report.messages
    assert message.startswith(f"{path}:{len(CONSO)}: ") and "columns where 18 are expected" in message


def test_gzip_that_breaks_off(meta):
    folder = meta(compress=True)
    path = folder / "MRCONSO.RRF.gz"
    path.write_bytes(path.read_bytes()[:-15])
    with pytest.raises(FormatError, match="gzip file is broken"):
        read(folder)


def test_another_file_under_the_name(meta):
    with pytest.raises(FormatError, match="MRCONSO.RRF:1000: 2 columns where 18 are expected.*every row"):
        read(meta(conso=["a|b|"] * 2000))
    with pytest.raises(FormatError, match="MRSTY.RRF: no row"):
        read(meta(sty=[]))


def test_missing_file(meta, tmp_path):
    (meta() / "MRSTY.RRF").unlink()
    with pytest.raises(VanerError, match="no MRSTY.RRF or MRSTY.RRF.gz in it; give the META folder"):
        read(tmp_path)


def test_every_semantic_type_is_decided():
    table = semantic_types()
    assert len(table) == 127
    assert {t for t in table.values() if t} == {
        "Anatomy",
        "CellType",
        "Chemical",
        "Disease",
        "Gene",
        "Species",
    }
    assert table["T200"] == "Chemical" and table["T047"] == "Disease" and table["T078"] is None


def test_table_of_semantic_types_must_be_whole(make):
    with pytest.raises(FormatError, match=r"types.tsv:2: write TUI"):
        semantic_types(make("types.tsv", "T001\tOrganism\tLIVB\tSpecies\nT001\tOrganism\tLIVB\tSpecies\n"))


def test_concepts_that_mrsty_does_not_have_are_told_from_those_left_out(meta):
    """As when MRSTY.RRF was cut short, or is another release's."""
    report = Report()
    assert len(read(meta(sty=[STY[0], STY[3]]), report)) == 2
    assert report.counts["row of a concept without a known semantic type"] == 1
    assert report.counts["left out: row whose semantic types are left out"] == 1
    assert any(
        "MRCONSO.RRF:5: MRSTY.RRF has no known type of C0000002; row skipped" in m for m in report.messages
    )


def test_a_type_is_kept_whatever_left_out_type_comes_before_or_after(meta):
    both = ["C0000001|T078|A2|Idea or Concept|AT9||", STY[0], "C0000001|T078|A2|Idea or Concept|AT9||"]
    assert {t.types for t in read(meta(sty=both))} == {("Disease",)}


@pytest.mark.parametrize(
    ("conso", "sty", "message"),
    [
        ([], STY, "MRCONSO.RRF: no row of 18 columns, each followed by '|'"),
        (["a|b|"] * 3, STY, "MRCONSO.RRF: no row of 18 columns"),
        (CONSO, ["a|b|"] * 3, "MRSTY.RRF: no row of 6 columns"),
        (
            CONSO,
            [STY[0].replace("T047", "T999")],
            "no known semantic type for any of 4 rows; give both files of one",
        ),
    ],
)
def test_the_cause_is_named_where_nothing_is_left(meta, conso, sty, message):
    with pytest.raises(VanerError, match=message):
        read(meta(conso, sty))


def test_a_name_that_is_not_utf8_is_skipped_and_counted(meta):
    folder = meta()
    path = folder / "MRCONSO.RRF"
    path.write_bytes(path.read_bytes().replace("Name α".encode(), "Náme".encode("latin-1")))
    report = Report()
    assert [t.name for t in read(folder, report)] == ["Name one", "Two types"]
    assert report.counts["not UTF-8"] == 1
    assert report.messages[0].startswith(f"{path}:2: 0xe1 in b'N\\xe1me' is not UTF-8; skipped")
