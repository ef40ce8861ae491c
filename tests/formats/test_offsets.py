"""In: mentions whose words are not where the offsets say. Out: that none is moved without a word."""

import shutil

import pytest

from vaner.errors import OffsetError, VanerError
from vaner.formats import detect, read
from vaner.formats.offsets import AMBIGUOUS, DROPPED, GUESSED, RECOUNTED, REPAIRED, Placer
from vaner.report import Report


def placed(text, start, claimed, policy="repair"):
    report = Report()
    found = Placer(text, "d", policy, "codepoints", report).place(
        start, start + len(claimed), claimed, "X", "f:1"
    )
    return found and text[slice(*found)], dict(report.counts)


@pytest.mark.parametrize(
    ("text", "start", "claimed", "found"),
    [
        ("TNF-α rises; TNF-a too", 0, "TNF-a", "TNF-α"),
        ("TNF-α rises; TNF-alpha too", 0, "TNF-alpha", None),
        ("IL-1β rises", 0, "IL-1b", "IL-1β"),
        ("SARS‐CoV‐2 is", 0, "SARS CoV 2", "SARS‐CoV‐2"),
        ("naïve T cells", 0, "naive T cells", "naïve T cells"),
        ("Ca²⁺ channels", 0, "Ca2+", "Ca²⁺"),
        ("the ﬁbrin clot", 4, "fibrin", None),
        ("Δ9-THC helps", 0, "?9-THC", "Δ9-THC"),
    ],
)
def test_words_that_are_spelt_in_plain_letters_stay_where_they_are(text, start, claimed, found):
    result, counts = placed(text, start, claimed)
    if found is None:  # the offsets have the length of the plain words: they are found elsewhere, or dropped
        assert counts in ({REPAIRED: 1}, {DROPPED: 1})
    else:
        assert (result, counts) == (found, {REPAIRED: 1})


def test_the_length_that_the_file_says_keeps_a_spelt_out_letter():
    report = Report()
    assert Placer("TNF-α, TNF-alpha", "d", "repair", "codepoints", report).place(
        0, 5, "TNF-alpha", "X", "f"
    ) == (0, 5)
    assert report.counts == {REPAIRED: 1}


@pytest.mark.parametrize(
    ("text", "start", "claimed"),
    [("the p53 gene", 3, "p53"), ("a p53 or p53", 1, "p53"), ("(α) IL2", 3, "IL2"), ("αβγ p53 x", 0, "p53")],
)
def test_shifted_words_are_moved_and_not_taken_for_a_spelling(text, start, claimed):
    assert placed(text, start, claimed) == (claimed, {REPAIRED: 1})


@pytest.mark.parametrize("text", ["p53 and p53", "p53, x, p53", "p53    p53"])
def test_of_two_places_as_near_the_first_is_taken_and_said(text):
    middle = (len(text) - 3) // 2
    result = Report()
    found = Placer(text, "d", "repair", "codepoints", result).place(middle, middle + 3, "p53", "X", "f:1")
    if (len(text) - 3) % 2:
        assert result.counts == {REPAIRED: 1}
    else:
        assert found == (0, 3) and result.counts == {GUESSED: 1}
        assert f"{middle:+d} is as near" in result.messages[0]


@pytest.mark.parametrize(
    ("name", "spans"),
    [
        ("normalised_text.json", [(6, 11, "TNF-α"), (16, 21, "IL-1ß"), (33, 43, "SARS‐CoV‐2")]),
        ("normalised_moved.json", [(0, 5, "TNF-α"), (22, 27, "TNF-a")]),
    ],
)
def test_bioc_with_plain_words_keeps_its_offsets(data, name, spans):
    report = Report()
    (document,) = read(data / "cases" / name, "bioc:offsets=repair", report=report)
    assert [(s.start, s.end, s.text) for s in document.spans] == spans
    assert sum(report.counts.values()) == sum("α" in t or "ß" in t or "‐" in t for _, _, t in spans)


def test_a_line_break_that_counts_one_is_recognised(data):
    report = Report()
    (document,) = read(data / "cases/brat_crlf", report=report)
    assert [s.key for s in document.spans] == [(2613, 2621, "Disease"), (2631, 2640, "Chemical")]
    assert report.counts == {RECOUNTED: 1} and "(crlf=1)" in report.messages[0]
    with pytest.raises(OffsetError, match=r"note1\.ann:1: .* counts one \(crlf=1\)\); correct the file"):
        list(read(data / "cases/brat_crlf", "brat:crlf=2"))


def test_offsets_that_fit_two_ways_are_said(data):
    for offsets in ("raise", "repair", "drop"):
        report = Report()
        (document,) = read(data / "cases/brat_crlf_repeat", f"brat:offsets={offsets}", report=report)
        assert document.spans[0].start == 609 and report.counts == {AMBIGUOUS: 1}
    report = Report()
    (document,) = read(data / "cases/brat_crlf_repeat", "brat:crlf=1", report=report)
    assert document.spans[0].start == 634 and not report.counts


def test_a_document_that_fits_two_ways_is_taken_as_the_others_of_its_folder(data, make, tmp_path):
    shutil.copytree(data / "cases/brat_crlf_repeat", tmp_path / "b")
    make("b/z.txt", b"iron\r\nand zinc")
    make("b/bad.txt", b"a\r\nb")
    make("b/bad.ann", "T1 is no mention")
    for at, start, counts in ((9, 634, {RECOUNTED: 2}), (10, 609, {})):
        make("b/z.ann", f"T1\tChemical {at} {at + 4}\tzinc\n")
        report = Report()
        first, _ = read(tmp_path / "b", on_error="skip", report=report)
        assert first.spans[0].start == start
        assert {kind: n for kind, n in report.counts.items() if kind in (RECOUNTED, AMBIGUOUS)} == counts
    make("b/y.txt", b"iron\r\nand zinc")
    make("b/y.ann", "T1\tChemical 9 13\tzinc\n")
    report = Report()
    list(read(tmp_path / "b", on_error="skip", report=report))
    assert report.counts[AMBIGUOUS] == 1  # they disagree


@pytest.mark.parametrize(
    ("text", "line", "span", "counts"),
    [
        ("\ufeffiron\r\nx iron", "T1\tD 0 4\tiron\nT2\tD 7 11\tiron", [(1, 5), (9, 13)], {RECOUNTED: 1}),
        ("\ufeffiron\r\nx iron", "T1\tD 1 5\tiron\nT2\tD 9 13\tiron", [(1, 5), (9, 13)], {}),
        ("\ufeffiron\nx iron", "T1\tD 7 11\tiron", [(8, 12)], {RECOUNTED: 1}),
        ("a\r\nno\r\niron b", "T1\tD 2 9\tno iron", [(3, 11)], {RECOUNTED: 1}),
        ("a\r\nno\r\niron b", "T1\tD 3 5;7 11\tno iron", [(3, 11)], {}),
        ("a\r\niron zinc", "T1\tD 2 6\tiron\nT2\tD 9 13\tzinc", [(3, 7)], {AMBIGUOUS: 1, REPAIRED: 1}),
    ],
)
def test_byte_order_marks_and_line_breaks(make, text, line, span, counts):
    make("b/a.txt", text.encode())
    report = Report()
    (document,) = read(make("b/a.ann", line).parent, offsets="repair", report=report)
    assert [(s.start, s.end) for s in document.spans][: len(span)] == span
    assert report.counts == counts or AMBIGUOUS in counts and report.counts


def test_bionlp_files_are_read_together(data, tmp_path):
    assert detect(data / "cases/bionlp_a1") == "brat"
    report = Report()
    (document,) = read(data / "cases/bionlp_a1", report=report)
    assert [s.key for s in document.spans] == [
        (0, 16, "Protein"),
        (17, 26, "Positive_regulation"),
        (27, 32, "Protein"),
    ]
    assert document.metadata["brat"]["lines"] == ["E1\tPositive_regulation:T3 Theme:T2"] and not report.counts


@pytest.mark.parametrize(
    ("endings", "count", "left"), [([".a1"], 1, 0), ([".a2"], 1, 0), ([".ann", ".a1"], 1, 1)]
)
def test_bionlp_files_that_are_alone_or_beside_ann(make, endings, count, left):
    make("b/a.txt", "iron")
    for ending in endings:
        folder = make(f"b/a{ending}", "T1\tDrug 0 4\tiron\n").parent
    report = Report()
    (document,) = read(folder, report=report)
    assert len(document.spans) == count and report.counts["BioNLP file left out"] == left


def test_a_bionlp_number_given_twice_and_a_lone_file(make):
    make("b/a.txt", "iron")
    make("b/a.a1", "T1\tDrug 0 4\tiron\n")
    path = make("b/a.a2", "T1\tDrug 0 4\tiron\n")
    with pytest.raises(VanerError, match=r"a\.a2:1: T1 was defined before"):
        list(read(path.parent))
    with pytest.raises(VanerError, match="brat is read folder by folder"):
        read(path)
