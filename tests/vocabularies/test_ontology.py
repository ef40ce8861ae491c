"""OBO and OBO graphs: branches, obsolete terms, synonyms, and what real files get wrong."""

import json

import pytest

from vaner.errors import FormatError
from vaner.report import Report
from vaner.vocabularies.ontology import read_ontology

OBO = r"""format-version: 1.2
ontology: test

[Term]
id: X:1
name: disease

[Term]
id: X:2
name: sore throat
synonym: "dry, \"hacking\" cough" EXACT abbreviation [ORCID:1]
synonym: "throat ache" BROAD []
synonym: "pharyngitis" RELATED []
xref: MESH:D1
xref: url:http\://example.org/a
is_a: X:1 ! disease

[Term]
id: X:3
name: old
is_obsolete: true

[Term]
id: X:4
name: gene thing
is_a: X:5 ! gene

[Term]
id: X:5
name: gene

[Term]
id: Y:6
name: elsewhere
is_a: Z:99 ! not here

[Typedef]
id: part_of
name: part of
"""


def read(path, report=None, **options):
    return [(t.id, t.name, t.types, t.preferred) for t in read_ontology(path, report or Report(), **options)]


def test_branches_scopes_and_obsolete_terms(make):
    report = Report()
    terms = read(make("x.obo", OBO), report, branches={"X:1": "Disease", "X:5": None})
    assert terms == [
        ("X:1", "disease", ("Disease",), True),
        ("X:2", "sore throat", ("Disease",), True),
        ("X:2", 'dry, "hacking" cough', ("Disease",), False),
        ("X:2", "pharyngitis", ("Disease",), False),
    ]
    assert report.counts["left out: obsolete term"] == 1
    assert report.counts["left out: term in no typed branch"] == 3
    assert report.counts["missing parent"] == 1
    assert any(", which is not in the file" in m and " is_a " in m for m in report.messages)
    assert any("Y:6 is_a Z:99, which is not in the file" in m for m in report.messages)


def test_nearest_branch_wins_and_prefixes_come_last(make):
    terms = read(make("x.obo", OBO), branches={"X:1": "A", "X:2": "B"}, prefixes={"Y": "C", "X": "D"})
    assert {(i, t) for i, _, t, _ in terms} == {
        ("X:1", ("A",)), ("X:2", ("B",)), ("X:4", ("D",)), ("X:5", ("D",)), ("Y:6", ("C",)),
    }  # fmt: skip


def test_ids_of_cross_references(make):
    terms = read(make("x.obo", OBO), prefixes={"*": "Disease"}, references=["MESH"])
    assert {(i, n) for i, n, _, _ in terms} == {
        ("MESH:D1", "sore throat"), ("MESH:D1", 'dry, "hacking" cough'), ("MESH:D1", "pharyngitis"),
    }  # fmt: skip


def test_cycle_is_reported_and_read(make):
    obo = (
        "format-version: 1.2\n\n[Term]\nid: A:1\nname: a\nis_a: A:2\n\n[Term]\nid: A:2\nname: b\nis_a: A:1\n"
    )
    report = Report()
    assert len(read(make("x.obo", obo), report, branches={"A:1": "T"})) == 2
    assert report.counts["cycle of is_a"] == 1
    assert "A:1, A:2 are above one another" in report.messages[0]
    assert read(make("y.obo", obo), branches={"B:1": "T"}) == []


def test_a_term_above_itself_is_reported_and_read(make, caplog):
    report = Report()
    obo = "[Term]\nid: A:1\nname: a\nis_a: A:1\n"
    assert [t[0] for t in read(make("x.obo", obo), report, prefixes={"A": "T"})] == ["A:1"]
    assert report.counts["cycle of is_a"] == 1 and report.messages[0].endswith("A:1 is_a itself; ignored")
    assert not caplog.records, "a header that is not there is no news"


def test_duplicate_id_and_missing_name(make):
    obo = "[Term]\nid: A:1\nname: a\n\n[Term]\nid: A:1\nname: again\n\n[Term]\nid: A:2\n"
    report = Report()
    assert [n for _, n, _, _ in read(make("x.obo", obo), report, prefixes={"A": "T"})] == ["a"]
    assert report.counts["duplicate id"] == 1
    assert report.counts["term without a name"] == 1
    assert [m.split("x.obo: ")[1] for m in report.messages] == [
        "A:1 is defined twice; the first one is kept",
        "A:2 has no name; skipped",
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.obo", "no terms here\n", "x.obo: not OBO|no .Term."),
        ("x.obo", "format-version: 1.2\n", "no .Term. in it"),
        ("x.obo", "[Term]\nname: nameless id\n", "has no id"),
        ("x.json", "{", "not OBO graphs JSON"),
        ("x.json", '{"a": 1}', "not OBO graphs JSON"),
        ("x.obo.gz", b"\x1f\x8bbroken", "gzip file is broken"),
        (
            "x.obo",
            "[Term]\nid: A:1\nname: a\n\n[Term]\nid: A:2\nna",
            "x.obo: not OBO.* ends in line 7 .*for: na",
        ),
        (
            "x.obo",
            "[Term]\nid: A:1\nname: fi\u00e8vre\n".encode("latin-1"),
            "x.obo: 0xe8 is not UTF-8; convert",
        ),
        ("x.json", '{"graphs": [{"nodes": "abc"}]}', "not OBO graphs JSON"),
        ("x.json", '{"graphs": [{"nodes": null}]}', "not OBO graphs JSON"),
        ("x.json", '{"graphs": [{"nodes": [{"type": "CLASS", "lbl": "x"}]}]}', "not OBO graphs JSON .*'id'"),
        ("x.json", '{"graphs": [{"edges": [{"pred": "is_a", "sub": "x"}]}]}', "not OBO graphs JSON .*'obj'"),
    ],
)
def test_files_that_are_something_else(make, name, content, message):
    with pytest.raises(FormatError, match=message):
        read(make(name, content), prefixes={"*": "T"})


def test_graphs(make):
    graph = {
        "graphs": [
            {
                "nodes": [
                    {"id": "http://purl.obolibrary.org/obo/X_1", "lbl": "disease", "type": "CLASS"},
                    {
                        "id": "http://purl.obolibrary.org/obo/X_2",
                        "lbl": "cough",
                        "type": "CLASS",
                        "meta": {
                            "synonyms": [
                                {"pred": "hasExactSynonym", "val": "tussis"},
                                {"pred": "hasBroadSynonym", "val": "symptom"},
                            ],
                            "xrefs": [{"val": "UMLS_CUI:C3"}, {"val": " MESH:D3"}],
                        },
                    },
                    {"id": "http://x.org#p", "lbl": "a property", "type": "PROPERTY"},
                    {"id": "X_3", "lbl": "gone", "type": "CLASS", "meta": {"deprecated": True}},
                ],
                "edges": [
                    {
                        "sub": "http://purl.obolibrary.org/obo/X_2",
                        "pred": "is_a",
                        "obj": "http://purl.obolibrary.org/obo/X_1",
                    }
                ],
            }
        ]
    }
    path = make("x.json", json.dumps(graph))
    terms = read(path, branches={"X:1": "Disease"})
    assert [(i, n) for i, n, _, _ in terms] == [("X:1", "disease"), ("X:2", "cough"), ("X:2", "tussis")]
    terms = read(path, branches={"X:1": "Disease"}, references=["MESH"])
    assert [(i, n) for i, n, _, _ in terms] == [("MESH:D3", "cough"), ("MESH:D3", "tussis")]


OLD = """format-version: 1.0

[Term]
id: DOID:9
name: renal carcinoma
exact_synonym: "kidney cancer" [NCI:1]
related_synonym: "hypernephroma" [NCI:2]
narrow_synonym: "clear cell renal cancer" []
broad_synonym: "cancer" []
synonym: "Grawitz tumour" []
xref_analog: MESH:D2
"""


def test_synonyms_of_obo_1_0_have_their_scope_in_the_tag(make):
    path = make("x.obo", OLD)
    assert {name for _, name, _, _ in read(path, prefixes={"*": "Disease"})} == {
        "renal carcinoma",
        "kidney cancer",
        "hypernephroma",
        "Grawitz tumour",
    }
    exact = read(path, prefixes={"*": "Disease"}, scopes=["EXACT", "BROAD"])
    assert {name for _, name, _, _ in exact} == {"renal carcinoma", "kidney cancer", "cancer"}
    assert {id for id, *_ in read(path, prefixes={"*": "Disease"}, references=["MESH"])} == {"MESH:D2"}


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (
            '"3,3\',3"-phosphanetriyltripropanoic acid" EXACT IUPAC_NAME [IUPAC:]',
            "3,3',3\"-phosphanetriyltripropanoic acid",
        ),
        ('"5"-deoxy-5"-thio" EXACT []', '5"-deoxy-5"-thio'),
        ('"a" EXACT [X:1 "a note", Y:2]', "a"),
        ('"with \\"escaped\\" ones" EXACT', 'with "escaped" ones'),
        ('"brackets [3H] of 2"" EXACT abbreviation []', 'brackets [3H] of 2"'),
        ('"cut off" EXACT [X:1', "cut off"),
        ('"no scope"EXACT[]', "no scope"),
    ],
)
def test_a_synonym_is_read_whole_whatever_its_quotes(make, written, name):
    report = Report()
    path = make("x.obo", f"[Term]\nid: X:1\nname: n\nsynonym: {written}\n")
    assert read(path, report, prefixes={"*": "Chemical"}, scopes=["EXACT"])[1:] == [
        ("X:1", name, ("Chemical",), False)
    ]
    assert not report.counts


@pytest.mark.parametrize("written", ["no quotes EXACT []", '"open EXACT []', "'single' EXACT []"])
def test_a_synonym_that_cannot_be_read_is_counted(make, written):
    report = Report()
    path = make("x.obo", f"[Term]\nid: X:1\nname: n\nsynonym: {written}\n")
    assert len(read(path, report, prefixes={"*": "Chemical"})) == 1
    assert report.counts["synonym that cannot be read"] == 1
