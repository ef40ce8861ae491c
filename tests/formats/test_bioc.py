"""In: BioC in XML and JSON, sound and broken. Out: that both read alike and nothing else is touched."""

import json

import pytest

from vaner.document import Concept, Document, Passage, Span
from vaner.errors import FormatError, OffsetError, VanerError
from vaner.formats import detect, read, write
from vaner.formats.offsets import RECOUNTED, width
from vaner.report import Report


def collection(*documents: str) -> str:
    return f'<?xml version="1.0"?><collection>{"".join(documents)}</collection>'


def document(passages: str, id: str = "1") -> str:
    return f"<document><id>{id}</id>{passages}</document>"


def passage(text: str, offset: int = 0, inside: str = "") -> str:
    return f"<passage><offset>{offset}</offset><text>{text}</text>{inside}</passage>"


def annotation(text: str, *locations: tuple[int, int], infons: str = "") -> str:
    places = "".join(f'<location offset="{o}" length="{n}"/>' for o, n in locations)
    return f'<annotation id="0"><infon key="type">X</infon>{infons}{places}<text>{text}</text></annotation>'


def test_a_document_with_everything(data):
    report = Report()
    first, second = read(data / "mini.BioC.xml", report=report)
    assert first.text == "Naloxone & clonidine 😀\n\n\nocular and auditory toxicity"
    assert first.passages == [Passage(0, 22, "title"), Passage(25, 53, "abstract")]
    mesh = [Concept("D014786", "MESH"), Concept("D006311", "MESH")]
    assert first.spans == [
        Span(0, 8, "Chemical", "Naloxone", concepts=(Concept("D009270", "MESH"),)),
        Span(11, 20, "Chemical", "clonidine", concepts=(Concept("MESH:D003000", "MESH"),)),
        Span(25, 53, "Disease", "ocular and auditory toxicity", concepts=tuple(mesh)),
        Span(25, 53, "Part", "ocular and auditory toxicity", fragments=((25, 31), (45, 53))),
    ]
    assert [part["text"] for part in first.metadata["individual_mentions"]] == ["ocular toxicities"]
    assert first.metadata["relations"][0]["infons"] == {"relation": "CID"}
    assert first.metadata["infons"] == {"journal": "J"}
    assert first.metadata["passage_infons"] == [{}, {"section": "x"}]
    assert (second.text, second.passages) == ("no type", [])
    assert report.counts == {"annotation infon 'annotator' ignored": 1}


@pytest.mark.parametrize("name", ["out.xml", "out.json", "out.xml.gz", "out.json.gz"])
def test_round_trip(data, tmp_path, name):
    before = list(read(data / "mini.BioC.xml"))
    report = Report()
    assert write(tmp_path / name, before, "bioc", report=report) == 2
    assert list(read(tmp_path / name)) == before
    assert not report.counts


def test_relations_follow_their_annotations(data, tmp_path):
    first = next(read(data / "mini.BioC.xml"))
    report = Report()
    write(tmp_path / "out.xml", [first.with_spans(first.spans[1:])], "bioc", report=report)
    assert report.counts == {"relation not written": 1}
    (back,) = read(tmp_path / "out.xml")
    assert "relations" not in back.metadata


def test_json_forms(make):
    one = {"id": 7, "passages": [{"offset": 0, "text": "abc", "annotations": []}]}
    two = {"id": "8", "passages": [{"offset": 2, "text": "d"}]}
    expected = [("7", "abc"), ("8", "\n\nd")]
    for name, content in [
        ("collection.json", json.dumps({"source": "", "documents": [one, two]})),
        ("pubtator3.json", json.dumps({"PubTator3": [one, two]})),
        ("list.json", json.dumps([one, two])),
        ("lines.json", json.dumps(one) + "\n" + json.dumps(two) + "\n"),
    ]:
        assert [(d.id, d.text) for d in read(make(name, content), "bioc")] == expected
    with pytest.raises(VanerError, match="standard input is read once"):
        read("-", "bioc")
    with pytest.raises(VanerError, match="syntax='yaml' is unknown"):
        read(make("x.json", "{}"), "bioc", syntax="yaml")


PASSAGE = {"offset": 0, "infons": {"type": "title"}, "text": "β-catenin", "annotations": [
    {"id": "1", "infons": {"type": "Gene"}, "text": "catenin", "locations": [{"offset": 2, "length": 7}]}
]}  # fmt: skip
PMC = {"bioctype": "BioCCollection", "source": "PMC", "infons": {}, "documents": [
    {"bioctype": "BioCDocument", "id": "PMC1", "infons": {"license": "CC BY"}, "passages": [PASSAGE]}
]}  # fmt: skip
PUBTATOR3 = {"_id": "1|None", "id": "1", "infons": {}, "passages": [PASSAGE], "relations": [], "pmid": 1}


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("a.json", json.dumps([PMC])),
        ("a.json", json.dumps([PMC, {**PMC, "documents": [{"id": "2", "passages": [PASSAGE]}]}])),
        ("a.json", json.dumps([PMC], indent=1)),
        ("a.json", json.dumps([PMC], sort_keys=True)),
        ("a.json", f"{json.dumps([PMC])}\n{json.dumps([{'documents': []}])}\n"),
        ("a.json", json.dumps({"PubTator3": [PUBTATOR3]})),
        ("a.json", json.dumps({"PubTator3": [PUBTATOR3]}, indent=1, sort_keys=True)),
        ("a.jsonl", json.dumps(PUBTATOR3) + "\n" + json.dumps({**PUBTATOR3, "id": "2"})),
        ("a.json", json.dumps(PUBTATOR3, sort_keys=True)),
        ("a.json", json.dumps([PUBTATOR3], sort_keys=True)),
        ("a.json", json.dumps({**PMC, "documents": [{"passages": [PASSAGE], "id": "1"}]}, sort_keys=True)),
    ],
)
def test_collections_and_lists_of_them_are_recognised_and_read(make, name, written):
    path = make(name, written)
    assert detect(path) == "bioc"
    report = Report()
    documents = list(read(path, report=report))
    assert len(documents) == written.replace(" ", "").count('"offset":0') > 0
    assert all([s.text for s in d.spans] == ["catenin"] for d in documents)
    assert not report.counts


def test_documents_of_another_kind_are_not_taken_for_empty_ones(make):
    path = make(
        "a.json", json.dumps({"documents": [{"id": "1", "text": "p53", "entities": [[0, 3, "Gene"]]}]})
    )
    assert detect(path) == "jsonl"
    with pytest.raises(FormatError, match="what 'documents' holds looks like mentions"):
        list(read(path))
    with pytest.raises(FormatError, match=r"b\.json: document 1: has no passages"):
        list(read(make("b.json", json.dumps({"id": "1", "text": "p53"})), "bioc"))


def test_the_list_of_collections_that_pmc_gives(data):
    report = Report()
    (document,) = read(data / "cases/pmc.json", report=report)
    assert document.text == "Role of α-synuclein\nBody with β-catenin."
    assert [s.text for s in document.spans] == ["β-catenin"]
    assert report.counts == {RECOUNTED: 1}  # its offsets count bytes
    with pytest.raises(OffsetError):
        list(read(data / "cases/pmc.json", "bioc:unit=codepoints"))


@pytest.mark.parametrize(("unit", "counted"), [("codepoints", 0), ("utf16", 1), ("utf8", 1)])
def test_what_offsets_count_is_found_from_the_words(make, unit, counted):
    text = "😀é genes: p53"
    at = width("😀é genes: ", unit)
    passage = {"offset": 0, "text": text, "annotations": [
        {"infons": {"type": "Gene"}, "text": "p53", "locations": [{"offset": at, "length": 3}]}
    ]}  # fmt: skip
    report = Report()
    path = make("a.json", json.dumps({"documents": [{"id": "1", "passages": [passage]}]}))
    (document,) = read(path, report=report)
    assert [(s.start, s.text) for s in document.spans] == [(10, "p53")]
    assert report.counts[RECOUNTED] == counted


def test_passages_without_type(make):
    two = make("x.xml", collection(document(passage("a") + passage("b", 2))))
    assert next(read(two)).passages == [Passage(0, 1, "passage"), Passage(2, 3, "passage")]
    one = make("y.xml", collection(document(passage("a"))))
    assert next(read(one)).passages == []


def test_sentences(make):
    inside = (
        "<sentence><offset>0</offset><text>One.</text>"
        + annotation("One", (0, 3))
        + "</sentence><sentence><offset>6</offset><text>Two.</text></sentence>"
    )
    path = make(
        "x.xml",
        collection(document(f"<passage><infon key='type'>p</infon><offset>0</offset>{inside}</passage>")),
    )
    (read_document,) = read(path)
    assert read_document.text == "One.\n\nTwo."
    assert read_document.sentences == [(0, 4), (6, 10)]
    assert read_document.passages == [Passage(0, 10, "p")]
    assert read_document.spans == [Span(0, 3, "X", "One")]


def test_units(make):
    body = passage("😀 é", 0) + passage("b", 5, annotation("b", (5, 1)))
    path = make("x.xml", collection(document(body)))
    (read_document,) = read(path, unit="utf16")
    assert (read_document.text, read_document.spans) == ("😀 é\nb", [Span(4, 5, "X", "b")])


def test_score_and_unplaced_annotations(make):
    report = Report()
    inside = annotation("ab", (0, 2), infons='<infon key="score">0.25</infon>') + annotation("doc")
    (read_document,) = read(make("x.xml", collection(document(passage("ab", 0, inside)))), report=report)
    assert read_document.spans == [Span(0, 2, "X", "ab", 0.25)]
    assert report.counts == {"annotation without location": 1}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            passage("abc", 0, annotation("abd", (0, 3))),
            "document 1: X mention at 0-3 says 'abd' but the text there is 'abc'",
        ),
        (
            passage("abc", 0, annotation("a d", (0, 1), (2, 1))),
            "X mention at 0-1;2-3 says 'a d' but the text there is 'a c'",
        ),
        (passage("abc") + passage("d", 2), "passage at offset 2 begins before the one before it ends"),
    ],
)
def test_wrong_offsets(make, body, message):
    path = make("x.xml", collection(document(body), document(passage("ok"), "2")))
    with pytest.raises(OffsetError, match=rf"x\.xml:1: .*{message}"):
        list(read(path))
    report = Report()
    assert [d.id for d in read(path, on_error="skip", report=report)] == ["2"]
    assert report.counts == {"document skipped": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (collection("<document>" + passage("a") + "</document>"), r"x\.xml:1: a BioC document has no id"),
        (collection(document("<passage><text>a</text></passage>")), "document 1: not the form of BioC"),
        (collection(document(passage("a"))) + "<", r"x\.xml:1: no well-formed XML"),
        (collection(document(passage("a")))[:-20], r"x\.xml:1: no well-formed XML: .*cut short"),
        (collection(document(passage("\xe9"))).encode("latin-1"), r"x\.xml:1: .*convert it to UTF-8"),
        ("<collection></collection>", r"x\.xml: holds no document"),
        (
            collection(document(passage("a")), document(passage("b"))),
            "document id '1' was used before on line 1",
        ),
    ],
)
def test_broken_xml(make, content, message):
    with pytest.raises(FormatError, match=message) as error:
        list(read(make("x.xml", content), "bioc"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"documents": [{"id": "1", "passages": [{"offset": 0, "te', "no well-formed JSON: .*cut short"),
        (
            b'{"documents": [{"id": "1", "passages": [{"offset": 0, "text": "caf\xe9"}]}]}',
            r"byte 66 \(0xe9\) is not UTF-8",
        ),
        (b'{"documents": [{"id": "1", "passages": 7}]}', "document 1: not the form of BioC"),
        (b'{"documents": ["x"]}', "a BioC document has no id"),
    ],
)
def test_broken_json(make, content, message):
    with pytest.raises(FormatError, match=message) as error:
        list(read(make("x.json", content), "bioc"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "definition",
    [
        '<!ENTITY x SYSTEM "file://{secret}">',
        '<!ENTITY x "ha"><!ENTITY y "&x;&x;">',
        '<!ENTITY % x SYSTEM "file://{secret}"> %x;',
    ],
)
def test_entities_are_refused(make, definition):
    secret = make("secret", "SECRET")
    content = collection(document(passage("a")))
    content = content.replace(
        "<collection>", f"<!DOCTYPE collection [{definition.format(secret=secret)}]><collection>"
    )
    with pytest.raises(FormatError, match="declares XML entities"):
        list(read(make("x.xml", content)))


def test_unknown_entities_are_refused(make):
    content = collection(document(passage("a &alpha; b"))).replace(
        "<collection>", '<!DOCTYPE collection SYSTEM "BioC.dtd"><collection>'
    )
    with pytest.raises(FormatError, match=r"x\.xml:1: the entity &alpha; is not known"):
        list(read(make("x.xml", content)))


def test_what_bioc_cannot_hold_is_counted(tmp_path):
    text = "ab\x0ccd ef"
    bad = Document(
        "1",
        text,
        [Span(0, 5, "X", text[:5], concepts=(Concept("a|b"), Concept("c", "Elsewhere", 0.5)))],
        [Passage(0, 5, "p"), Passage(3, 8, "q")],
        sentences=[(0, 8)],
        metadata={"relations": [["CID", "a", "b"]], "y": 1},
    )
    report = Report()
    write(tmp_path / "x.xml", [bad], "bioc", report=report)
    assert dict(report.counts) == {
        "concept scores not written": 1,
        "sentences not written": 1,
        "metadata 'y' not written": 1,
        "overlapping passage not written": 1,
        "concept ids changed": 1,
        "relation not written": 1,
        "character that XML cannot hold": 2,
    }
    (back,) = read(tmp_path / "x.xml")
    assert back.text == "ab\ufffdcd ef" and [s.key for s in back.spans] == [(0, 5, "X")]
    write(tmp_path / "x.json", [bad], "bioc", report=report)
    assert next(read(tmp_path / "x.json")).text == text


@pytest.mark.parametrize("name", ["a.xml", "a.json"])
def test_who_tagged_it_is_said_once_however_often_it_is_written(tmp_path, name):
    told = {"tagger": "vaner 1", "model": "m", "model_hash": "0123"}
    document = Document("d", "x", metadata={"infons": {"journal": "J"}, "tagged_by": told})
    report = Report()
    for _ in range(2):
        write(tmp_path / name, [document], "bioc", report=report)
        first = (tmp_path / name).read_bytes()
        (document,) = read(tmp_path / name)
        assert document.metadata == {"infons": {"journal": "J"}, "tagged_by": told}
    write(tmp_path / name, [document], "bioc")
    assert (tmp_path / name).read_bytes() == first and not report.counts
    # Tagged again, it is the last tagger's.
    document.metadata["tagged_by"] = {"tagger": "vaner 2"}
    write(tmp_path / name, [document], "bioc")
    assert b"vaner 1" not in (tmp_path / name).read_bytes()
    write(tmp_path / "a.pubtator", [document], "pubtator", report=report)
    assert "metadata 'tagged_by' not written" not in report.counts
