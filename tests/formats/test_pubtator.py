"""In: PubTator files, clean and as found in the wild. Out: that offsets hold or the reader says where not."""

import pytest

from vaner.document import Concept, Document, Passage, Span
from vaner.errors import FormatError, OffsetError, VanerError
from vaner.formats import concepts, read, write
from vaner.formats.offsets import DROPPED, REPAIRED
from vaner.report import Report

HEAD = "1|t|The Ge-1 gene\n1|a|Also BRCA1, TP53 and BRCA1.\n"


def ids(span):
    return [concept.id for concept in span.concepts]


def test_a_document_with_everything(data):
    first, second, third = read(data / "mini.PubTator.txt")
    assert first.text.startswith("Naloxone reverses") and first.text[59:63] == " \n I"
    assert first.passages == [Passage(0, 60, "title"), Passage(61, len(first.text), "abstract")]
    assert [s.text for s in first.spans] == [
        "Naloxone",
        "clonidine",
        "[3H]-naloxone",
        "ocular and auditory toxicity",
        "β-blockers",
        "naloxone",
    ]
    assert [ids(s) for s in first.spans] == [
        ["D009270"],
        ["D003000"],
        ["-1"],
        ["D014786", "D006311"],
        ["D000319", "CHEBI:35530"],
        [],
    ]
    assert first.metadata["relations"] == [
        ["CID", "D009270", "D014786"],
        ["Association", "D009270", "D003000", "Novel"],
    ]
    assert first.metadata["individual_names"] == [
        {"start": 108, "end": 136, "type": "Disease", "names": "ocular toxicity|auditory toxicity"}
    ]
    assert (second.text, second.passages, second.spans) == ("A title alone", [Passage(0, 13, "title")], [])
    assert ids(third.spans[0]) == ["324", "1499"]
    assert ids(third.spans[1])[0] == "c|SUB|T|920|G"


def test_round_trip(data, tmp_path):
    before = list(read(data / "mini.PubTator.txt"))
    report = Report()
    assert write(tmp_path / "out.txt", before, "pubtator", report=report) == 3
    assert list(read(tmp_path / "out.txt")) == before
    assert not report.counts


def test_blank_lines_between_documents_are_optional(make):
    content = "1|t|One\n1|a|Two\n1\t0\t3\tOne\tX\n2|t|Three\n\n\n2|a|Four\n\n2\t0\t5\tThree\tX\n"
    first, second = read(make("x.txt", content))
    assert (first.text, second.text) == ("One\nTwo", "Three\nFour")
    assert second.spans == [Span(0, 5, "X", "Three")]


def test_columns_from_four_to_seven(make):
    lines = ["1\t4\t8\tGe-1", "1\t4\t8\tGe-1\tGene", "1\t4\t8\tGe-1\tGene\t", "1\t4\t8\tGe-1\tGene\t7\tA|B"]
    (document,) = read(make("x.txt", HEAD + "\n".join(lines)), type="Thing")
    assert sorted((s.type, ids(s)) for s in document.spans) == [
        ("Gene", []),
        ("Gene", []),
        ("Gene", ["7"]),
        ("Thing", []),
    ]


@pytest.mark.parametrize("more", [["CorrespondingGene:3845"], ["", "x"], ["a", "b", "c"]])
def test_columns_after_the_seventh_are_kept_and_counted_when_they_are_not_written(make, tmp_path, more):
    line = "\t".join(["1", "0", "1", "a", "X", "D1", "RS", *more])
    (document,) = read(make("x.pubtator", f"1|t|a\n1|a|b\n{line}\n"))
    kept = {"start": 0, "end": 1, "type": "X", "columns": more}
    assert document.metadata["more_columns"] == [kept] and document.metadata["individual_names"]
    report = Report()
    write(tmp_path / "o.pubtator", [document], "pubtator", report=report)
    assert report.counts == {"metadata 'more_columns' not written": 1}
    write(tmp_path / "o.jsonl", [document], "jsonl")
    assert list(read(tmp_path / "o.jsonl")) == [document]


def test_the_genes_that_tmvar_names_are_kept(data):
    (document,) = read(data / "cases/tmvar_extra.pubtator")
    assert document.metadata["more_columns"][0]["columns"] == ["CorrespondingGene:3845"]
    assert document.metadata["individual_names"][0]["names"] == "RSID:121913529"


def test_tabs_inside_text_and_mention(make):
    (document,) = read(make("x.txt", "1|t|a\tb\tc\n1|a|d\n1\t0\t3\ta\tb\tGene\t7\n1\t4\t5\tc\tGene\n"))
    assert document.spans == [
        Span(0, 3, "Gene", "a\tb", concepts=(Concept("7"),)),
        Span(4, 5, "Gene", "c"),
    ]


def test_text_is_not_stripped_or_split(make):
    (document,) = read(make("x.txt", "1|t| a \u2028\x85\x0c \r\n1|a|  b\u00a0\r\n1\t10\t11\tb\tX\r\n"))
    assert document.text == " a \u2028\x85\x0c \n  b\u00a0"
    assert document.spans == [Span(10, 11, "X", "b")]


def test_a_mention_across_title_and_abstract(make, tmp_path):
    (document,) = read(make("x.txt", "1|t|a\tb\n1|a|cd\n1\t2\t5\tb c\tX\n1\t0\t5\ta\tb c\tY\n"))
    assert document.spans == [Span(0, 5, "Y", "a\tb\nc"), Span(2, 5, "X", "b\nc")]
    write(tmp_path / "y.txt", [document], "pubtator")
    assert list(read(tmp_path / "y.txt")) == [document]


def test_abstract_without_title(make):
    (document,) = read(make("x.txt", "1|a|only this\n1\t0\t4\tonly\tX\n"), "pubtator")
    assert (document.text, document.passages) == ("only this", [Passage(0, 9, "abstract")])


def test_wrong_offsets_name_everything(make):
    path = make("x.txt", HEAD + "1\t5\t9\tGe-1\tGene\n")
    with pytest.raises(OffsetError) as error:
        list(read(path))
    assert str(error.value) == (
        f"{path}:3: document 1: Gene mention at 5-9 says 'Ge-1' but the text there is 'e-1 '; "
        "correct the file, or have its format repair or drop such mentions (as in pubtator:offsets=repair)"
    )


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ("1\t5\t9\tGe-1\tGene", [(4, 8)]),  # shifted
        ("1\t19\t99\tBRCA1\tGene", [(19, 24)]),  # wrong end
        ("1\t19\t24\tbrca-1\tGene", [(19, 24)]),  # spelled otherwise
        ("1\t19\t24\tBRCA1  \tGene", [(19, 24)]),
        ("1\t30\t35\tBRCA1\tGene", [(35, 40)]),  # the nearer of two
        ("1\t3\t8\tmissing\tGene", []),
        ("1\t500\t505\tBRCA1\tGene", []),  # too far
        ("1\t9\t4\tGe-1\tGene", [(4, 8)]),
        ("1\t4\t4\t\tGene", []),
    ],
)
def test_offsets_are_repaired_or_dropped(make, line, where):
    report = Report()
    path = make("x.txt", HEAD + line)
    (document,) = read(path, offsets="repair", report=report)
    assert [(s.start, s.end) for s in document.spans] == where
    assert report.counts == {REPAIRED if where else DROPPED: 1}
    assert f"{path}:3" in report.messages[0]


def test_repair_follows_a_drift(make):
    # All offsets are 2 too small: the AN nearest to 12 is at 11, the one meant at 14.
    content = "1|t|abcde word AN AN AN\n1|a|\n1\t4\t8\tword\tX\n1\t12\t14\tAN\tX\n"
    (document,) = read(make("x.txt", content), offsets="repair")
    assert [(s.start, s.end) for s in document.spans] == [(6, 10), (14, 16)]


def test_offsets_can_be_dropped(make):
    report = Report()
    path = make("x.txt", HEAD + "1\t5\t9\tGe-1\tGene\n1\t19\t24\tBRCA1\tGene\n")
    (document,) = read(path, offsets="drop", report=report)
    assert [s.text for s in document.spans] == ["BRCA1"]
    assert report.counts == {DROPPED: 1}
    with pytest.raises(VanerError, match="offsets=fix is unknown"):
        read(path, offsets="fix")


@pytest.mark.parametrize(("unit", "start", "end"), [("codepoints", 2, 3), ("utf16", 3, 4), ("utf8", 5, 7)])
def test_units(make, unit, start, end):
    path = make("x.txt", f"1|t|😀 é\n1|a|\n1\t{start}\t{end}\té\tX\n")
    (document,) = read(path, unit=unit)
    assert document.spans == [Span(2, 3, "X", "é")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1\t0\t1\ta\tX\n", r"x\.PubTator:1: expected a title line"),
        ("1|t|a\n1|a|b\n2\t0\t1\ta\tX\n", r"x\.PubTator:3: line of document '2' inside document '1'"),
        ("1|t|a\n1|a|b\nmore text\n", r"x\.PubTator:3: line of document 'more text' inside"),
        ("1|t|a\n1|a|b\n1\t0\n", r"x\.PubTator:3: neither a mention .* nor a relation"),
        ("1|t|a\n1|a|b\n1|a|c\n", r"x\.PubTator:3: document '1' has a second \|a\| line"),
        ("1|t|a\n1|a|b\n\n1|t|a\n1|a|b\n", r"x\.PubTator:4: document id '1' was used before on line 1"),
        (b"1|t|a\n1|a|caf\xe9\n", r"x\.PubTator:2: byte 7 \(0xe9\) is not UTF-8; convert"),
    ],
)
def test_bad_lines(make, content, message):
    with pytest.raises(FormatError, match=message):
        list(read(make("x.PubTator", content)))


def test_bad_documents_are_skipped_on_request(make):
    content = b"1|t|a\n1|a|b\n1|t|again\n2|t|\xe9\n2|a|b\n3|t|c\n3\t0\t1\tx\tX\n4|t|d\n"
    report = Report()
    assert [d.id for d in read(make("x.pubtator", content), on_error="skip", report=report)] == ["1", "4"]
    assert report.counts == {"document skipped": 3}
    assert (
        "used before" in report.messages[0]
        and ":4: byte 4" in report.messages[1]
        and ":7" in report.messages[2]
    )


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("", []),
        (" D008661 ", ["D008661"]),
        ("D003110|D009369", ["D003110", "D009369"]),
        ("793,12307;5", ["793", "12307", "5"]),
        (",1,2", ["1", "2"]),
        ("D009794+D007592", ["D009794+D007592"]),
        ("-1", ["-1"]),
        ("-", ["-"]),
        ("p|FS|I|262||", ["p|FS|I|262||"]),
        ("|DEL|1,3", ["|DEL|1,3"]),
        ("rs16;Disease:D1,D2;VariantGroup:0", ["rs16", "Disease:D1,D2", "VariantGroup:0"]),
        ("c|SUB|T|9|G;Gene:23", ["c|SUB|T|9|G", "Gene:23"]),
    ],
)
def test_concept_columns(column, expected):
    parsed = concepts.parse(column)
    assert [concept.id for concept in parsed] == expected
    assert concepts.parse(concepts.join(parsed)) == parsed


def test_concept_sources():
    assert concepts.parse("OMIM:1|D2") == (Concept("OMIM:1", "OMIM"), Concept("D2"))
    assert concepts.parse("D1|D2", "MESH") == (Concept("D1", "MESH"), Concept("D2", "MESH"))


def test_what_pubtator_cannot_hold_is_counted(tmp_path):
    text = "A title. Some\ntext"
    document = Document(
        "a|b",
        text,
        [Span(9, 18, "T\tT", "Some\ntext", 0.5, (Concept("a,b"), Concept("D1", "MESH", 0.4, "exact")))],
        [Passage(0, 8, "title"), Passage(9, 13, "p")],
        types=frozenset({"T"}),
        metadata={"relations": [{"infons": {}}], "x": 1},
    )
    report = Report()
    write(tmp_path / "o.txt", [document], "pubtator", report=report)
    assert dict(report.counts) == {
        "scores not written": 1,
        "concept sources not written": 1,
        "concept matches not written": 1,
        "concept scores not written": 1,
        "annotated types not written": 1,
        "metadata 'x' not written": 1,
        "id changed": 1,
        "text changed": 2,
        "passages changed": 1,
        "type changed": 1,
        "concept ids changed": 1,
        "relation not written": 1,
    }
    (back,) = read(tmp_path / "o.txt")
    assert (back.id, back.text) == ("a_b", "A title.\nSome text")
    assert [s.key for s in back.spans] == [(9, 18, "T T")]


def test_text_without_title_is_one_line(tmp_path):
    document = Document("1", "all of it", [Span(7, 9, "X", "it")])
    write(tmp_path / "o.txt", [document, Document("2", "")], "pubtator")
    assert (tmp_path / "o.txt").read_text() == "1|t|all of it\n1|a|\n1\t7\t9\tit\tX\n\n2|t|\n2|a|\n\n"
    assert [d.text for d in read(tmp_path / "o.txt")] == ["all of it", ""]
