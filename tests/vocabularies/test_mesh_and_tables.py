"""MeSH in both forms, tables in all layouts of the registry, plain lists, JSON lines, the NCBI Taxonomy."""

import gzip

import pytest

from vaner.errors import FormatError, VanerError
from vaner.report import Report
from vaner.vocabularies.mesh import read_mesh, tree_types
from vaner.vocabularies.sources import read_sources
from vaner.vocabularies.tables import Table, read_jsonl, read_plain, read_table, read_taxonomy

TREES = {"C": "Disease", "D": "Chemical", "D12": "Gene", "D12.125": "Chemical", "F03": "Disease"}

DESCRIPTORS = """<?xml version="1.0"?>
<DescriptorRecordSet>
 <DescriptorRecord><DescriptorUI>D1</DescriptorUI><DescriptorName><String>Fever</String></DescriptorName>
  <TreeNumberList><TreeNumber>C23.888.119</TreeNumber></TreeNumberList>
  <ConceptList><Concept><TermList><Term><String>Fever</String></Term><Term><String>Pyrexia &amp; heat</String></Term>
  </TermList></Concept></ConceptList></DescriptorRecord>
 <DescriptorRecord><DescriptorUI>D2</DescriptorUI><DescriptorName><String>Books</String></DescriptorName>
  <TreeNumberList><TreeNumber>L01</TreeNumber></TreeNumberList></DescriptorRecord>
</DescriptorRecordSet>"""

SUPPLEMENTARY = """<SupplementalRecordSet><SupplementalRecord SCRClass="3">
<SupplementalRecordUI>C5</SupplementalRecordUI><SupplementalRecordName><String>Rare syndrome</String>
</SupplementalRecordName></SupplementalRecord></SupplementalRecordSet>"""

ASCII = """*NEWRECORD
RECTYPE = D
MH = Fever
ENTRY = Pyrexia|T184|NON|EQV|UNK (19XX)|780128|abbcdef
MN = C23.888.119
UI = D1

*NEWRECORD
NM = aspirin-like
SY = aspirinoid|T109|EQV
ST = T109
UI = C9
"""


def mesh(path, report=None):
    return [
        (t.id, t.name, t.types, t.preferred)
        for t in read_mesh(
            path,
            report or Report(),
            trees=TREES,
            classes={"3": "Disease"},
            semantic_types={"T109": "Chemical"},
        )
    ]


def test_tree_branches_not_substrings():
    assert tree_types(["D12.776.124"], TREES) == ("Gene",)
    assert tree_types(["D12.125.068"], TREES) == ("Chemical",)
    assert tree_types(["D03.1", "C01"], TREES) == ("Chemical", "Disease")
    assert tree_types(["F03.1"], TREES) == ("Disease",)
    assert tree_types(["F01.145", "D120"], {"F03": "Disease", "D12": "Gene"}) == ()


def test_mesh_xml(make):
    report = Report()
    assert mesh(make("desc.xml", DESCRIPTORS), report) == [
        ("D1", "Fever", ("Disease",), True),
        ("D1", "Pyrexia & heat", ("Disease",), False),
    ]
    assert report.counts["left out: record of no wanted type"] == 1
    assert mesh(make("supp.xml", SUPPLEMENTARY)) == [("C5", "Rare syndrome", ("Disease",), True)]


def test_mesh_ascii(make):
    assert mesh(make("d.bin", ASCII)) == [
        ("D1", "Fever", ("Disease",), True),
        ("D1", "Pyrexia", ("Disease",), False),
        ("C9", "aspirin-like", ("Chemical",), True),
        ("C9", "aspirinoid", ("Chemical",), False),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (DESCRIPTORS[:-100], "no well-formed XML"),
        ("<a/>", "no MeSH record"),
        ("hello", "neither MeSH XML nor MeSH ASCII"),
    ],
)
def test_mesh_that_is_something_else(make, content, message):
    with pytest.raises(FormatError, match=message):
        mesh(make("x.xml", content))


def test_mesh_ids_that_come_twice_or_not_at_all(make):
    report = Report()
    twice = DESCRIPTORS.replace("<DescriptorUI>D2", "<DescriptorUI>D1").replace("L01", "C02")
    assert [i for i, *_ in mesh(make("desc.xml", twice), report)] == ["D1", "D1", "D1"]
    assert report.counts == {"duplicate id": 1} and "D1 'Books' again" in report.messages[0]
    report = Report()
    assert len(mesh(make("d.bin", ASCII.removesuffix("UI = C9\n")), report)) == 2
    assert report.counts == {"record without an id": 1}
    assert "'aspirin-like' has no UI; skipped; is the file whole?" in report.messages[0]


def test_mesh_semantic_types_that_nobody_knows(make):
    report = Report()
    assert len(mesh(make("c.bin", ASCII.replace("ST = T109", "ST = T999")), report)) == 2
    assert report.counts == {"unknown semantic type": 1, "left out: record of no wanted type": 1}
    assert "C9 has T999, which is not in the table" in report.messages[0]


@pytest.mark.parametrize(
    "content", [b"\x1f\x8bbroken", gzip.compress(DESCRIPTORS.encode() * 9, mtime=0)[:-30]]
)
def test_mesh_in_a_broken_gzip_file(make, content):
    with pytest.raises(FormatError, match="gzip file is broken"):
        mesh(make("x.xml.gz", content))


# --- tables ---


def table(path, report=None, **layout):
    layout.setdefault("types", {"*": "X"})
    return [
        (t.id, t.name, t.types, t.preferred) for t in read_table(path, Table(**layout), report or Report())
    ]


def test_header_synonyms_preferred_and_prefix(make):
    path = make("t.tsv", "#id\tname\tsyn\tbest\n1\tone\tuno|ein|-\tOne\n2\ttwo\t-\tZwei\n")
    assert table(
        path,
        id="id",
        name="name",
        synonyms=("syn",),
        separator="|",
        missing="-",
        preferred="best",
        id_prefix="N:",
    ) == [
        ("N:1", "one", ("X",), True),
        ("N:1", "uno", ("X",), False),
        ("N:1", "ein", ("X",), False),
        ("N:2", "two", ("X",), False),
    ]


def test_columns_by_number_comments_and_quotes(make):
    path = make("t.csv", '# made by hand\n"a, b",7\nc,8\n')
    assert table(path, id=1, name=0, header=False, comment="#", delimiter=",", quote='"') == [
        ("7", "a, b", ("X",), True),
        ("8", "c", ("X",), True),
    ]


CTD_OLD = (
    "# Fields:\n# ChemicalName\tChemicalID\tCasRN\tDefinition\tParentIDs\tTreeNumbers\tParentTreeNumbers\tSynonyms\n#\n"
    "aspirin\tMESH:D001241\t50-78-2\tA pain killer.\tMESH:D012459\tD02\tD02\tASA|Acylpyrin\n"
)
CTD_NEW = (
    "# Made by hand\n#\n# Fields:\n# ChemicalName\tChemicalID\tCasRN\tPubChemCID\tPubChemSID\tDTXSID\tInChIKey\t"
    "Definition\tParentIDs\tTreeNumbers\tParentTreeNumbers\tMESHSynonyms\tCTDCuratedSynonyms\n#\n"
    "aspirin\tMESH:D001241\t50-78-2\tCID:2244\t\t\tBSYN\tA pain killer.\tMESH:D012459\tD02\tD02\tASA|Acylpyrin\tASS\n"
)


@pytest.mark.parametrize(("content", "more", "lacking"), [(CTD_OLD, [], 2), (CTD_NEW, ["ASS"], 1)])
def test_columns_of_both_layouts_of_ctd(make, tmp_path, content, more, lacking):
    make("ctd/CTD_chemicals.tsv.gz", gzip.compress(content.encode()))
    report = Report()
    terms = list(read_sources()["ctd-chemicals"].terms(tmp_path, report))
    assert [t.name for t in terms] == ["aspirin", "ASA", "Acylpyrin", *more]
    assert {(t.id, t.types) for t in terms} == {("MESH:D001241", ("Chemical",))}
    assert report.counts == {"left out: column of synonyms that the file does not have": lacking}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("# none\na\tb\n# name\n", "no line that starts with '#' names a column 'name' before the first row"),
        ("# id\tname\n1\tone\n", "no column 'syn'; it has id, name"),
    ],
)
def test_columns_named_in_a_comment(make, content, message):
    with pytest.raises(FormatError, match=message):
        table(make("t.tsv", content), id="id", name="name", synonyms=("syn",), header="comment", comment="#")


def test_rows_that_are_not_utf8_are_skipped_and_counted(make):
    report = Report()
    path = make("t.tsv", "id\tname\n1\tone\n2\tfi\u00e8vre\n".encode("latin-1"))
    assert [n for _, n, _, _ in table(path, report, id="id", name="name")] == ["one"]
    assert report.counts == {"not UTF-8": 1} and f"{path}:3: 0xe8" in report.messages[0]


def test_a_pattern_that_is_none(make):
    with pytest.raises(FormatError, match=r"t.tsv: keep '\(' is no regular expression"):
        table(make("t.tsv", "n\na\n"), name="n", keep={"n": "("})


def test_ids_that_come_twice(make, tmp_path):
    report = Report()
    path = make("p.tsv", "A\tone\tGene\nB\ttwo\tGene\n\tno id\tGene\n\tnor here\tGene\nA\tuno\tGene\n")
    assert len(list(read_plain(path, report))) == 5
    assert report.counts == {"duplicate id": 1}
    assert report.messages == [f"{path}:5: A again; its names are put together"]
    report = Report()
    path = make("c.jsonl", '{"i": "1", "n": "a", "s": []}\n' * 2)
    assert len(list(read_jsonl(path, report, id="i", name="n", synonyms="s", types={"*": "X"}))) == 2
    assert report.counts == {"duplicate id": 1}
    make("nodes.dmp", "1\t|\t1\t|\tno rank\t|\n1\t|\t1\t|\tspecies\t|\n")
    make("names.dmp", "1\t|\troot\t|\t\t|\tscientific name\t|\n")
    report = Report()
    assert list(read_taxonomy(tmp_path, report, types={"species": "X"})) == []
    assert report.counts["duplicate id"] == 1


def test_types_and_rows_left_out(make):
    report = Report()
    path = make("t.tsv", "n\tt\tk\na\tP\ty\nb\tQ\ty\nc\tR\ty\nd\tP\tn\n\tP\ty\n")
    assert table(path, report, name="n", type="t", types={"P": "Gene", "Q": None}, keep={"k": "y"}) == [
        ("", "a", ("Gene",), True)
    ]
    assert report.counts == {
        "left out: row of no wanted type": 2,
        "unknown type": 1,
        "left out: row of no interest": 1,
        "row without a name": 1,
    }


def test_ids_from_another_table(make):
    other = make("ids.tsv", "id\tname\nD1\tFever\n")
    path = make("t.tsv", "v\tbest\npyrexia\tFEVER\nx\tunknown\n")
    terms = table(
        path,
        name="v",
        preferred="best",
        id_by_name={"file": str(other), "name": "name", "id": "id"},
        id_prefix="M:",
    )
    assert [(i, n) for i, n, _, _ in terms] == [("M:D1", "pyrexia"), ("", "x")]


def test_wrong_number_of_columns(make):
    report = Report()
    path = make("t.tsv", "id\tname\n1\tone\n2\n3\tthree\tmore\n")
    assert len(table(path, report, id="id", name="name")) == 1
    assert report.counts["row with a wrong number of columns"] == 2
    assert "t.tsv:3: 1 columns where 2 are expected" in report.messages[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty"),
        ("a\tb\n1\t2\n", "no column 'name'; it has a, b"),
        ("id\tname\n", "no row with 2 columns"),
        ("id\tname\n" + "x\n" * 2000, "every row before it"),
    ],
)
def test_tables_that_are_something_else(make, content, message):
    with pytest.raises(FormatError, match=message):
        table(make("t.tsv", content), id="id", name="name")


def test_plain_list(make):
    report = Report()
    path = make(
        "p.tsv",
        "id\tname\ttype\nA\tone\tGene\tuno\tein\nB\ttwo\tDisease\nA\tone again\tDisease\nC\tno type\n",
    )
    assert [(t.id, t.name, t.types[0]) for t in read_plain(path, report)] == [
        ("A", "one", "Gene"),
        ("A", "uno", "Gene"),
        ("A", "ein", "Gene"),
        ("B", "two", "Disease"),
        ("A", "one again", "Disease"),
    ]
    assert report.counts == {"id with two types": 1, "row with a wrong number of columns": 1}
    assert [t.name for t in read_plain(make("p.csv", '1,"a, b",X\n'), Report())] == ["a, b"]
    with pytest.raises(FormatError, match="no row of id, name, type"):
        list(read_plain(make("e.tsv", "x\n"), Report()))


def test_json_lines(make):
    path = make("c.jsonl", '{"i": "CL:1", "n": "cell", "s": ["cellula"]}\n')
    terms = list(read_jsonl(path, Report(), id="i", name="n", synonyms="s", types={"*": "CellType"}))
    assert [(t.id, t.name, t.preferred) for t in terms] == [
        ("CL:1", "cell", True),
        ("CL:1", "cellula", False),
    ]
    with pytest.raises(FormatError, match="d.jsonl:1: no record with i, n, s"):
        list(read_jsonl(make("d.jsonl", "{}\n"), Report(), id="i", name="n", synonyms="s", types={"*": "X"}))


def test_taxonomy(make, tmp_path):
    make("nodes.dmp", "9606\t|\t9605\t|\tspecies\t|\n1\t|\t1\t|\tno rank\t|\n")
    make(
        "names.dmp",
        "9606\t|\tHomo sapiens\t|\t\t|\tscientific name\t|\n9606\t|\thuman\t|\t\t|\tgenbank common name\t|\n"
        "9606\t|\tHomo sapiens Linnaeus, 1758\t|\t\t|\tauthority\t|\n1\t|\troot\t|\t\t|\tscientific name\t|\nbroken\n",
    )
    report = Report()
    terms = list(read_taxonomy(tmp_path, report, types={"species": "Species"}))
    assert [(t.id, t.name, t.preferred) for t in terms] == [
        ("9606", "Homo sapiens", True),
        ("9606", "human", False),
    ]
    assert report.counts["left out: name of no interest"] == 2
    assert report.counts["row with a wrong number of columns"] == 1
    (tmp_path / "nodes.dmp").unlink()
    with pytest.raises(VanerError, match="no nodes.dmp in it"):
        list(read_taxonomy(tmp_path, Report(), types={}))


def test_ids_from_another_table_without_a_column_of_the_preferred_name(make):
    names = make("names.tsv", "term\nAspirin\nibuprofen\n")
    ids = make("ids.tsv", "id\tlabel\nC1\taspirin\n")
    report = Report()
    layout = Table(
        name="term", types={"*": "Chemical"}, id_by_name={"file": str(ids), "name": "label", "id": "id"}
    )
    assert [(t.id, t.name) for t in read_table(names, layout, report)] == [
        ("C1", "Aspirin"),
        ("", "ibuprofen"),
    ]
    assert report.counts["name without an id in the other table"] == 1


def test_json_lines_of_no_wanted_type_are_left_out(make):
    path = make("x.jsonl", '{"i": "1", "n": "aspirin", "s": ["ASA"]}\n')
    report = Report()
    fields = {"id": "i", "name": "n", "synonyms": "s"}
    assert list(read_jsonl(path, report, **fields, types={"*": None})) == []
    assert report.counts["left out: row of no wanted type"] == 1
    with pytest.raises(FormatError, match="the type of all its names"):
        list(read_jsonl(path, report, **fields, types={}))


QUOTES = """id,name,type
C1,5"-deoxy thing,Chemical
C2,"adenosine, cyclic",Chemical
C3,"5"-phosphate of x,Chemical
C4,aspirin tablet,Chemical
C5,"unclosed name,Chemical
C6,paracetamol,Chemical
C7,ibuprofen,Chemical
C8,"naproxen",Chemical
C9,ketoprofen,Chemical
"""


def test_an_open_quote_swallows_no_row(make):
    report = Report()
    found = {t.id: t.name for t in read_plain(make("q.csv", QUOTES), report)}
    assert found == {
        "C1": '5"-deoxy thing',
        "C2": "adenosine, cyclic",
        "C4": "aspirin tablet",
        "C6": "paracetamol",
        "C7": "ibuprofen",
        "C8": "naproxen",
        "C9": "ketoprofen",
    }
    assert report.counts["row with a stray quote"] == 2
    assert any("q.csv:4: " in one for one in report.messages) and any(
        "q.csv:6: " in one for one in report.messages
    )


@pytest.mark.parametrize(
    ("rows", "names", "counts"),
    [
        ('C1,"a\nb",X\nC2,c,X\n', ["a b", "c"], {"row over several lines": 1}),
        ('C1,"a ""b"" c",X\n', ['a "b" c'], {}),
        ('C1,"a,X\n' + "C2,b,X\n" * 3, ["b"] * 3, {"row with a stray quote": 1, "duplicate id": 2}),
        ('C1,a,X\nC2,"b,X', ["a"], {"row with a stray quote": 1}),
        ('C1,"a" b,X\nC2,"c",X\n', ["c"], {"row with a stray quote": 1}),
        ('C1,"a,X\nC2,"b,X\nC3,c,X\n', ["c"], {"row with a stray quote": 2}),
        ('C1,"' + "\n" * 60 + '",X\nC2,c,X\n', ["c"], {"row with a stray quote": 2}),
    ],
)
def test_rows_with_quotes_are_read_or_counted(make, rows, names, counts):
    report = Report()
    assert [t.name for t in read_plain(make("q.csv", rows), report)] == names
    assert dict(report.counts) == counts


def test_many_open_quotes_take_linear_time(make):
    report = Report()
    rows = "".join(f'C{i},"name {i},X\n' for i in range(20_000)) + "Z,last,X\n"
    assert [t.name for t in read_plain(make("q.csv", rows), report)] == ["last"]
    assert report.counts["row with a stray quote"] == 20_000
