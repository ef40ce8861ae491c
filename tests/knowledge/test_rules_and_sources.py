"""Rules against junk names, and the registry of vocabularies."""

import gzip
import hashlib
from itertools import islice

import pytest

from vaner.errors import FormatError, VanerError
from vaner.files import shipped
from vaner.knowledge import Rules
from vaner.report import Report
from vaner.vocabularies.sources import read_sources, resolve
from vaner.vocabularies.terms import Term


def muted(make_kb, *names, type="Gene", rules=None, report=None):
    kb = make_kb([Term(str(i), name, (type,), True) for i, name in enumerate(names)], rules, report=report)
    return {n.text for n in map(kb.name, range(len(kb))) if n.muted}


def test_rules_of_the_project(make_kb):
    report = Report()
    junk = ["was", "impact", "12", "3.5", "x", "in 2", "12 mg", "gene", "genes", "A26"]
    good = ["BRCA1", "S100", "p53", "SET9", "insulin receptor", "type 2 diabetes"]
    assert muted(make_kb, *junk, *good, report=report) == set(junk)
    assert report.counts["muted: a number"] == 2
    assert report.counts["muted: too short"] == 1
    assert report.counts["muted: function words, units and numbers only"] == 3
    assert report.counts["muted: name of a whole class"] == 2
    assert report.counts["muted: an ordinary English word"] == 1
    assert report.counts["muted: a function word"] == 1


def test_a_class_name_is_muted_for_its_types_only(make_kb):
    assert muted(make_kb, "cell line", type="CellLine") == {"cell line"}
    assert muted(make_kb, "protein", type="Gene") == {"protein"}
    assert muted(make_kb, "protein", type="Food") == set()


def test_a_name_is_muted_only_if_all_its_concepts_are(make_kb):
    terms = [Term("1", "PROTEIN", ("Gene",), True), Term("2", "PROTEIN", ("Food",), True)]
    kb = make_kb(terms)
    assert not kb.name(0).muted and kb.name(0).capitals == 2
    assert [m.type for m in kb.match(["PROTEIN"])[0]] == ["Food"]


def test_names_that_are_dropped(make_kb):
    report = Report()
    kb = make_kb([Term("1", n, ("X",), True) for n in ("+-", "word " * 80, "kept")], report=report)
    assert len(kb) == 1
    assert report.counts["dropped: no letter or digit"] == 1
    assert report.counts["dropped: too long"] == 1


def test_qualifiers_are_cut_off():
    rules = Rules.load(shipped("kb"))
    for written in ("Asthma (disorder)", "Asthma, NOS", "Asthma NOS", "[X]Asthma", "  Asthma "):
        assert rules.clean(written, True)[0] == ("Asthma", True)
    assert rules.clean("Asthma (allergic)", True) == (("Asthma (allergic)", True),)


@pytest.mark.parametrize(
    ("name", "turned"),
    [
        ("Abdomen, Acute", "Acute Abdomen"),
        ("Carcinoma, Non-Small Cell", "Non-Small Cell Carcinoma"),
        ("tumour, not malignant", None),
        ("1,2-dichloroethane, pure", None),
        ("a, b, c", None),
        ("Albumin, of the bovine kind", None),
    ],
)
def test_inversion(name, turned):
    spellings = Rules(undo_inversion=True).clean(name, True)
    assert [s for s, _ in spellings[1:]] == ([turned] if turned else [])


def test_bad_rules(make, tmp_path):
    make("stoplist.tsv", "# a comment\none\t*\n")
    make("rules.yaml", "shortest: 2\n")
    with pytest.raises(FormatError, match="stoplist.tsv:2: 2 columns; write name, types, reason"):
        Rules.load(tmp_path)
    make("rules.yaml", "shortset: 2\n")
    with pytest.raises(FormatError, match="'shortset' is unknown"):
        Rules.load(tmp_path)
    make("rules.yaml", "shortest: two\n")
    with pytest.raises(FormatError, match="'shortest' is unknown or not int"):
        Rules.load(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: [b\n", "rules.yaml:2: not YAML \\(.*; correct it"),
        (b"a: \xff\n", "rules.yaml: byte 3 is not UTF-8"),
        ("- a\n", "rules.yaml: no mapping; write lines"),
        ("strip: ['(']\n", r"rules.yaml: strip '\(' is no regular expression"),
        ("strip: [1]\n", "rules.yaml: strip 1 is no regular expression"),
        ("shortest_by_type: {Gene: x}\n", "shortest_by_type: Gene has 'x'; write a whole number"),
    ],
)
def test_rules_that_are_something_else(make, tmp_path, content, message):
    make("stoplist.tsv", "")
    make("rules.yaml", content)
    with pytest.raises(FormatError, match=message) as caught:
        Rules.load(tmp_path)
    assert "\n" not in str(caught.value)


# --- registry ---


def test_every_entry_says_licence_version_and_types():
    sources = read_sources()
    assert {"umls", "mesh", "open", "doid", "hgnc", "ncbi-taxonomy", "ctd-chemicals", "chebi"} <= set(sources)
    for source in sources.values():
        assert source.licence and source.version and source.url and source.title, source.name


def test_shipped_vocabulary():
    source, report = read_sources()["open"], Report()
    terms = [term for part in source.parts for term in islice(part.terms(None, report), 20_000)]
    assert {t for term in terms for t in term.types} == {
        *("Disease", "Chemical", "Gene", "Species", "CellLine", "CellType", "Anatomy")
    }
    assert {part.reader for part in source.parts} == {"plain"} and not report.counts
    assert sum(not term.id for term in terms) < len(terms) / 5
    first = next(source.terms(None, report))
    assert first == next(source.parts[0].terms(None, report)), "it can be read as one, too"


def test_parts_of_a_vocabulary_are_in_a_registry_of_their_own(make):
    fields = "title: X, licence: L, version: 1, url: u"
    make("parts/p.yaml", f"a: {{{fields}, reader: plain, files: [a.tsv], shipped: true, sha256: [x]}}\n")
    found = read_sources(make("s.yaml", f"x: {{{fields}, parts: parts/p.yaml, shipped: true}}\n"))["x"]
    (part,) = found.parts
    assert part.name == "a" and part.sha256 == ("x",) and found.files == part.files
    make("parts/a.tsv", "1\tinsulin\tGene|Chemical\tHumulin\n")
    expected = [Term("1", name, ("Gene", "Chemical"), name == "insulin") for name in ("insulin", "Humulin")]
    assert list(found.terms(None, Report())) == list(part.terms(None, Report())) == expected


def test_bad_registry(make):
    with pytest.raises(FormatError, match="x has no licence, version, url"):
        read_sources(make("s.yaml", "x: {title: X, reader: plain, files: []}\n"))
    entry = "x: {title: X, licence: L, version: 1, url: u, reader: magic, files: []}\n"
    with pytest.raises(FormatError, match="reader 'magic'; choose from umls, "):
        read_sources(make("s.yaml", entry))


FIELDS = "title: X, licence: L, version: 1, url: u"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: [b\n", "s.yaml:2: not YAML"),
        ("- a\n", "s.yaml: no mapping"),
        ("x: y\n", "s.yaml: x is no mapping of fields"),
        (f"x: {{{FIELDS}, files: f.tsv, reader: plain}}\n", "x: files is no list"),
        (
            f"x: {{{FIELDS}, files: [], reader: plain, id: 1}}\n",
            "reader plain does not know id; it takes nothing",
        ),
        (
            f"x: {{{FIELDS}, files: [], reader: table, nme: 1}}\n",
            "reader table has no name; it takes name, id, syn",
        ),
        (f"x: {{{FIELDS}, files: [], reader: table, name: 1, kep: 1}}\n", "reader table does not know kep"),
        (f"x: {{{FIELDS}, files: [], reader: table, name: 1, synonyms: a}}\n", "x: synonyms is no list"),
        (
            f"x: {{{FIELDS}, files: [], reader: umls, language: [ENG]}}\n",
            "reader umls does not know language",
        ),
        (
            f"x: {{{FIELDS}, files: [], reader: mesh}}\n",
            "reader mesh has no trees, classes; it takes .*id_prefix",
        ),
        (f"x: {{{FIELDS}, files: [], reader: ontology, branches: [a]}}\n", "x: branches is no mapping"),
        (f"x: {{{FIELDS}, files: [], reader: jsonl, id: 1}}\n", "reader jsonl has no name, synonyms, types"),
    ],
)
def test_entries_that_no_reader_takes(make, content, message):
    with pytest.raises(FormatError, match=message) as caught:
        read_sources(make("s.yaml", content))
    assert "\n" not in str(caught.value)


def test_where_files_are(tmp_path, monkeypatch):
    source = read_sources()["doid"]
    monkeypatch.delenv("VANER_KB", raising=False)
    with pytest.raises(VanerError, match="doid: no folder of vocabularies; give --kb_root or set VANER_KB"):
        source.paths(None)
    with pytest.raises(VanerError, match="not there; put Human Disease Ontology"):
        source.paths(tmp_path)
    monkeypatch.setenv("VANER_KB", str(tmp_path))
    (tmp_path / "doid").mkdir()
    (tmp_path / "doid" / "doid-2018-07-05.json.gz").touch()
    assert len(source.paths(None)) == 1


def test_what_an_index_records_of_a_source(make, tmp_path):
    known = read_sources()
    make("META/MRCONSO.RRF", "a")
    make("META/MRSTY.RRF", "b")
    make("META/MRREL.RRF", "c")
    found = resolve(str(tmp_path / "META"), known).record(None)
    assert found["version"] == "unknown" and list(found["files"]) == ["META/MRCONSO.RRF", "META/MRSTY.RRF"]
    assert found["files"]["META/MRCONSO.RRF"] == hashlib.sha256(b"a").hexdigest()
    make("release.dat", "#Tue Oct 02\numls.release.date=20251103\numls.release.name=2025AB\n")
    assert resolve(str(tmp_path / "META"), known).record(None)["version"] == "2025AB"
    obo = "format-version: 1.2\ndata-version: releases/2026-01-01\n\n[Term]\nid: A:1\n"
    path = make("x.obo.gz", gzip.compress(obo.encode()))
    assert resolve(str(path), known, type="X").record(None)["version"] == "releases/2026-01-01"
    make("doid/HumanDO.obo", obo)
    assert known["doid-2015"].record(tmp_path)["version"] == "2015-05-14"
    assert known["open"].parts[0].record(None)["licence"].startswith("CC0-1.0")


def test_sources_by_path(make, tmp_path):
    known = read_sources()
    assert resolve("doid", known) is known["doid"]
    assert resolve(str(make("a.tsv", "")), known).reader == "plain"
    assert resolve(str(make("d.xml", "")), known).reader == "mesh"
    assert resolve(str(tmp_path), known).reader == "umls"
    assert resolve(str(tmp_path), known, umls={"languages": ("FRE",)}).options["languages"] == ("FRE",)
    obo = str(make("a.obo", "[Term]\nid: A:1\nname: fever\n"))
    terms = list(resolve(obo, known, type="Disease").terms(None, Report()))
    assert terms == [Term("A:1", "fever", ("Disease",), True)]
    with pytest.raises(VanerError, match="whose type are its terms"):
        resolve(obo, known)
    with pytest.raises(VanerError, match="unknown kind of file"):
        resolve(str(make("a.doc", "")), known)
    with pytest.raises(
        VanerError, match="neither a file nor a registered vocabulary; choose from open, umls"
    ):
        resolve("nowhere", known)


def test_every_real_vocabulary_that_is_here_is_read(kb_root):
    """Each registered vocabulary whose files are there gives names of canonical types, with few broken rows."""
    read = 0
    for source in read_sources().values():
        try:
            source.paths(kb_root)
        except VanerError:
            continue
        report = Report()
        number = 0
        for term in source.terms(kb_root, report):
            number += 1
            assert term.name and term.types, source.name
            if number == 3_000:
                break
        assert number > 300, source.name
        assert report.counts["row with a wrong number of columns"] < 10, (source.name, report.messages)
        read += 1
    assert read >= 20
