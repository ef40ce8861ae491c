"""In: CoNLL files of every layout, and broken ones. Out: that each reads or is refused rightly."""

import pytest

from vaner.document import Document, Passage, Span
from vaner.errors import FormatError, VanerError
from vaner.formats import detect, read, write
from vaner.formats.conll import REPAIRED, detect_scheme, mentions
from vaner.report import Report


def spans(document):
    return [(span.text, span.type) for span in document.spans]


def test_docstart_columns_and_double_blanks(data):
    first, second = read(data / "mini.conll")
    assert first.id == "PMID:7" and second.id == "mini-2"
    assert first.text == "IL-2 gene works\nT cells too"
    assert first.sentences == [(0, 15), (16, 27)]
    assert [first.text[s:e] for s, e in first.words] == ["IL-2", "gene", "works", "T", "cells", "too"]
    assert spans(first) == [("IL-2 gene", "DNA"), ("T cells", "CellType")]
    assert spans(second) == [("CD28", "protein")]


def test_without_docstart_a_sentence_is_a_document(make):
    path = make("train.tsv", "a\tO\nb\tB-X\n\nc\tO\n\n\nd\tB-X\ne\tI-X\n")
    documents = list(read(path, "conll"))
    assert [d.id for d in documents] == ["train-1", "train-2", "train-3"]
    assert [d.text for d in documents] == ["a b", "c", "d e"]


def test_sentences_are_grouped_on_request(make):
    path = make("train.tsv", "a\tO\n\nb\tB-X\n\nc\tO\n")
    documents = list(read(path, "conll", sentences_per_document=2))
    assert [(d.id, d.text) for d in documents] == [("train-1", "a\nb"), ("train-2", "c")]
    assert documents[0].sentences == [(0, 1), (2, 3)]
    with pytest.raises(VanerError, match="at least 1"):
        read(path, "conll", sentences_per_document=0)


def test_empty_document_and_sentences_before_the_first_docstart(make):
    path = make("x.conll", "a\tO\n\n-DOCSTART-\tO\n\n-DOCSTART-\tO\n\nb\tO\n")
    assert [(d.id, d.text) for d in read(path)] == [("x-1", "a"), ("x-2", ""), ("x-3", "b")]


@pytest.mark.parametrize(
    ("line", "id"),
    [
        ("-DOCSTART-\tO", "x-1"),
        ("-DOCSTART- -X- -X- O", "x-1"),
        ("-DOCSTART-\t(12)\tO", "12"),
        ("-DOCSTART-(a(1))\tO", "a(1)"),
        ("-DOCSTART- 9531 O", "9531"),
        ("###MEDLINE:95369245", "95369245"),
    ],
)
def test_docstart_ids(make, line, id):
    assert [d.id for d in read(make("x.conll", f"{line}\n\na\tO\n"), "conll")] == [id]


def test_crlf_bom_trailing_white_space_and_bare_tags(make):
    path = make("s.tsv", "\ufeffE.\tB \r\ncoli\tI\t\r\n \t\r\nrat\tB\r\n")
    first, second = read(path, "conll", type="Species")
    assert (first.text, spans(first)) == ("E. coli", [("E. coli", "Species")])
    assert spans(second) == [("rat", "Species")]
    assert spans(next(read(path, "conll"))) == [("E. coli", "Entity")]


def test_odd_characters_stay_inside_words(make):
    words = ["a\u2028b", "c\x85d", "e\x0cf", "no\u00a0break", "\U0001f600", "e\u0301"]
    path = make("x.tsv", "".join(f"{word}\tO\n" for word in words))
    (document,) = read(path, "conll")
    assert [document.text[s:e] for s, e in document.words] == words


def test_white_space_columns_keep_odd_spaces(make):
    (document,) = read(make("x.conll", "a\u00a0b NN B-X\n\u2028  NN O\n"))
    assert [document.text[s:e] for s, e in document.words] == ["a\u00a0b", "\u2028"]


def test_tag_column(make):
    path = make("x.conll", "a\tB-X\t0\t1\t\nb\tO\t2\t3\t\n")
    assert spans(next(read(path, tag_column=1))) == [("a", "X")]
    with pytest.raises(FormatError, match=r"x\.conll:1: '1' is no tag .* as in conll:tag_column=1"):
        list(read(path))
    with pytest.raises(FormatError, match="no column 7 among 4"):
        list(read(path, tag_column=7))


@pytest.mark.parametrize(
    ("content", "scheme"),
    [
        ("a\tI-X\nb\tI-X\nc\tB-X\n\nd\tI-Y\n", "iob1"),
        ("a\tB-X\nb\tI-X\nc\tB-X\n", "iob2"),
        ("a\tI-X\n\nb\tB-X\n", "iob2"),
        ("a\tI-X\nb\tB-Y\n", "iob2"),
        ("a\tO\n", "iob2"),
        ("a\tS-X\n", "iobes"),
        ("a\tB-X\nb\tL-X\n", "iobes"),
        ("a\tE-X\n\nb\tB-X\nc\tE-X\n", "iobes"),
        ("a\tM-X\n", "iobes"),
        ("a\tW-X\n", "iobes"),
        ("a\tI-X\nb\tE-X\n", "ioe"),
    ],
)
def test_scheme_is_found_from_the_whole_file(make, content, scheme):
    assert detect_scheme(make("x.tsv", content)) == scheme


@pytest.mark.parametrize(
    "tags",
    [
        "B I I O B B I",  # IOB2
        "I I I O I B I",  # IOB1
        "B I E O S B E",  # IOBES
        "B I L O U B L",  # BILOU
        "B M E O S B E",  # BMES
        "B M E O W B E",  # BMEWO
        "I I E O E I E",  # IOE2
        "I I I O E I I",  # IOE1
    ],
)
@pytest.mark.parametrize("type", ["-X", ""])
def test_every_scheme_says_the_same(make, tags, type):
    lines = [
        f"{word}\t{tag if tag == 'O' else tag + type}"
        for word, tag in zip("abcdefg", tags.split(), strict=True)
    ]
    path = make("x.txt", "\n".join(lines) + "\n")
    assert detect(path) == "conll"
    report = Report()
    (document,) = read(path, report=report)
    assert [text for text, _ in spans(document)] == ["a b c", "e", "f g"]
    assert {named for _, named in spans(document)} == {type[1:] or "Entity"} and not report.counts


def test_iob1_is_not_repaired(make):
    report = Report()
    path = make("x.tsv", "a\tI-X\nb\tI-X\nc\tB-X\nd\tO\ne\tI-X\nf\tI-Y\n")
    (document,) = read(path, "conll", report=report)
    assert spans(document) == [("a b", "X"), ("c", "X"), ("e", "X"), ("f", "Y")]
    assert not report.counts


def test_broken_sequences_are_repaired_counted_and_named(make):
    report = Report()
    path = make("x.tsv", "a\tB-X\nb\tI-Y\n\nc\tO\nd\tI-X\n")
    documents = list(read(path, "conll", report=report))
    assert [spans(d) for d in documents] == [[("a", "X"), ("b", "Y")], [("d", "X")]]
    assert report.counts == {REPAIRED: 2}
    assert report.messages == [
        f"{path}:2: document x-1: I-Y after B-X starts a mention",
        f"{path}:5: document x-2: I-X after O starts a mention",
    ]


def test_without_a_report_repairs_are_logged(make, caplog):
    list(read(make("x.tsv", "a\tB-X\n\nd\tI-X\n\ne\tI-X\n"), "conll"))
    (record,) = caplog.records
    assert f"2 x {REPAIRED}" in record.getMessage() and "x.tsv:3" in record.getMessage()


def tags(words):
    return [(tag[0], tag[2:]) for tag in words.split()]


@pytest.mark.parametrize(
    ("scheme", "sequence", "found", "broken"),
    [
        ("iobes", "B-X I-X E-X S-X O", [(0, 2, "X"), (3, 3, "X")], []),
        ("iobes", "B-X I-X O", [(0, 1, "X")], [1]),
        ("iobes", "B-X S-X", [(0, 0, "X"), (1, 1, "X")], [0]),
        ("iobes", "E-X I-X E-X", [(0, 0, "X"), (1, 2, "X")], [0, 1]),
        ("iobes", "B-X E-Y", [(0, 0, "X"), (1, 1, "Y")], [0, 1]),
        ("iobes", "B-X", [(0, 0, "X")], [0]),
        ("iob2", "B-X B-X I-X I-Y", [(0, 0, "X"), (1, 2, "X"), (3, 3, "Y")], [3]),
        ("iob2", "I-X I-X O I-X", [(0, 1, "X"), (3, 3, "X")], [0, 3]),
        ("iob1", "I-X B-X I-X O B-X", [(0, 0, "X"), (1, 2, "X"), (4, 4, "X")], [4]),
    ],
)
def test_mentions(scheme, sequence, found, broken):
    result, breaks = mentions(tags(sequence), scheme)
    assert result == found
    assert sorted(index for index, _ in breaks) == broken


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\tO\nb\n", r"x\.conll:2: 'b' has no tag column"),
        ("a\tNN\tO\nb\tO\n", r"x\.conll:2: 2 columns where the lines before have 3"),
        ("a\tO\n\tO\n", r"x\.conll:2: the word column is empty"),
        ("a\tO\nb\tQ-X\n", r"x\.conll:2: 'Q-X' is no tag"),
        ("a\tO\n\nb\tB-\n", r"x\.conll:3: 'B-' is no tag"),
    ],
)
def test_bad_lines_are_refused_with_file_and_line(make, content, message):
    with pytest.raises(FormatError, match=message):
        list(read(make("x.conll", content)))


def test_a_bad_sentence_is_skipped_on_request(make):
    report = Report()
    path = make("x.conll", "a\tO\n\nb\n\nc\tB-X\n")
    assert [d.id for d in read(path, on_error="skip", report=report)] == ["x-1", "x-3"]
    assert report.counts == {"document skipped": 1} and f"{path}:3" in report.messages[0]


def test_unknown_scheme_and_standard_input(make):
    with pytest.raises(VanerError, match="tag scheme 'bio3' is unknown"):
        read(make("x.conll", "a\tO\n"), scheme="bio3")
    with pytest.raises(VanerError, match="name it, as in conll:scheme=iob2"):
        read("-", "conll")
    with pytest.raises(VanerError, match="cannot be written"):
        write("x.conll", [], "conll", scheme="iob1")


@pytest.mark.parametrize("scheme", ["iob2", "iobes"])
def test_round_trip(data, tmp_path, scheme):
    before = list(read(data / "mini.conll"))
    report = Report()
    assert write(tmp_path / "out.conll", before, "conll", report=report, scheme=scheme) == 2
    assert list(read(tmp_path / "out.conll", scheme=scheme)) == before
    assert not report.counts


def test_written_lines(tmp_path):
    text = "T-cell lymphoma."
    document = Document("d", text, [Span(0, 15, "Disease", "T-cell lymphoma"), Span(15, 16, "Dot", ".")])
    write(tmp_path / "a.conll", [document], "conll", scheme="iobes")
    assert (tmp_path / "a.conll").read_text() == (
        "-DOCSTART-(d)\tO\n\nT\tB-Disease\n-\tI-Disease\ncell\tI-Disease\nlymphoma\tE-Disease\n.\tS-Dot\n\n"
    )


def test_what_tags_cannot_say_is_counted(tmp_path):
    text = "breast cancers here.\nAnd  there"
    document = Document(
        "d 1",
        text,
        [
            Span(0, 13, "Disease", "breast cancer", score=0.5),  # cuts a word
            Span(7, 14, "Word", "cancers"),  # inside a longer one
            Span(15, 24, "Long", text[15:24]),  # crosses the sentence border
            Span(25, 26, "Space", " "),
        ],
        passages=[Passage(0, 20, "title")],
        sentences=[(0, 20), (21, 31)],
        words=[(0, 6), (7, 14), (15, 19), (19, 20), (21, 24), (26, 31)],
    )
    report = Report()
    write(tmp_path / "a.conll", [document], "conll", report=report)
    assert dict(report.counts) == {
        "text changed": 1,
        "scores not written": 1,
        "passages not written": 1,
        "white space in a column replaced": 1,
        "span widened to whole words": 1,
        "overlapping span dropped": 1,
        "span dropped": 1,
        "span split at a sentence border": 1,
    }
    (back,) = read(tmp_path / "a.conll", scheme="iob2")
    assert back.id == "d_1"
    assert spans(back) == [("breast cancers", "Disease"), ("here .", "Long"), ("And", "Long")]


def test_the_longest_of_overlapping_spans_is_written(tmp_path):
    text = "a b c d"
    document = Document("d", text, [Span(0, 3, "X", "a b"), Span(2, 7, "Y", "b c d"), Span(4, 5, "X", "c")])
    report = Report()
    write(tmp_path / "a.conll", [document], "conll", report=report)
    assert spans(next(read(tmp_path / "a.conll"))) == [("b c d", "Y")]
    assert report.counts["overlapping span dropped"] == 2
