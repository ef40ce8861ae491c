"""In: words() and sentences(). Out: their offsets hold on made-up and on real text."""

import glob
import os
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaner.document import Passage
from vaner.text.segment import blocks, seen, sentences, words

ANY_TEXT = st.text(
    alphabet=st.one_of(st.sampled_from(".!?()[]\"' \n\taAbB19-αé\u0301\U0001f9ec"), st.characters())
)


@pytest.fixture
def data_root():
    if not os.environ.get("VANER_DATA"):
        pytest.skip("VANER_DATA names no folder of corpora")
    return os.environ["VANER_DATA"]


def pieces(text, offsets):
    return [text[start:end] for start, end in offsets]


def visible(text):
    """What can be seen of a text."""
    return "".join(c for c in seen(text) if not c.isspace() and unicodedata.category(c) != "Cc")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("T-cell 11p15.5", ["T", "-", "cell", "11p15", ".", "5"]),
        ("TNF-α (10 µg/ml)", ["TNF", "-", "α", "(", "10", "µg", "/", "ml", ")"]),
        ("IL_2", ["IL", "_", "2"]),
        ("e\u0301tude caf\u00e9", ["e\u0301tude", "caf\u00e9"]),
        ("H₂O Ca²⁺", ["H₂O", "Ca²", "⁺"]),
        ("a\U0001f9ecb", ["a", "\U0001f9ec", "b"]),
        (" \t\n\u00a0\x1c", []),
        ("\ufeffaspirin", ["aspirin"]),
        ("hepato\u00adcellular", ["hepato\u00adcellular"]),
        ("IL\u200b-\u20602 \u200b \x00\x1b", ["IL", "-", "2"]),
        ("TNF\u200c\u200dα\u200e", ["TNF\u200c\u200dα"]),
        ("\ufe0f \u034f\u2028\u2066", []),
        ("R&amp;D &lt;5 &#945; &#x3b1;", ["R", "&amp;", "D", "&lt;", "5", "&#945;", "&#x3b1;"]),
        ("AT&T; &nonsense; &#; &amp", ["AT", "&", "T", ";", "&", "nonsense", ";", "&", "#", ";", "&", "amp"]),
    ],
)
def test_words(text, expected):
    assert pieces(text, words(text)) == expected


@given(ANY_TEXT)
def test_words_cover_every_visible_character_once(text):
    found = words(text)
    assert visible("".join(pieces(text, found))) == visible(text)
    assert all(visible(piece) and len(piece.split()) == 1 for piece in pieces(text, found))
    assert all(a[1] <= b[0] for a, b in zip(found, found[1:], strict=False))


@given(ANY_TEXT)
def test_words_joined_by_spaces_split_the_same_again(text):
    once = pieces(text, words(text))
    joined = " ".join(once)
    again = pieces(joined, words(joined))
    assert again == once


def test_words_of_the_mtl_files_split_no_further(data_root):
    """All but the words that the linnaeus authors kept whole: +/-, >=, <FFFD>."""
    changed = {}
    for path in sorted(glob.glob(os.path.join(data_root, "MTL-Bioinformatics-2016/data/*-IOB/devel.tsv"))):
        with open(path, encoding="utf-8") as file:
            found = [line.split("\t")[0] for line in file if line.strip()]
        changed[os.path.basename(os.path.dirname(path))] = sum(len(words(word)) != 1 for word in found)
    assert changed, "no MTL corpus in the data root"
    assert changed.pop("linnaeus-IOB", 0) < 50
    assert set(changed.values()) <= {0}


ONE_SENTENCE = [
    "Growth of E. coli and S. aureus at 37 °C was slow.",
    "Mice received 5.2 mg/kg i.v. or 10 mg i.p. twice a day.",
    "The parasite (P. falciparum) was found, cf. Fig. 2 and Figs. 3-5.",
    "Smith et al. (2001) and Jones et al. [4] saw i.e. nothing, vs. 3 of ours.",
    "The gene maps to 19q13. 3 and P =. 05 or P < 0. 05 in older abstracts.",
    "It was published (Feder JN, et al. Nat. Genet. 13, 399) long ago.",
    "See J. Biol. Chem. 273, 22068 and N. Engl. J. Med. 318.",
    "Infusion at 2 mg. kg-1. min-1 was stopped.",
    "The strain Bacillus sp. nov. from www.example.org is new.",
    "Is that so",
]


@pytest.mark.parametrize("text", ONE_SENTENCE)
def test_no_cut_inside(text):
    assert pieces(text, sentences(text)) == [text]


@pytest.mark.parametrize(
    "expected",
    [
        ["Cells grew (p < 0.05).", "The rest died."],
        ["It was lost.", "p53 is mutated.", "mRNA fell.", "c-Myc rose.", "α-Synuclein too."],
        ["We saw hepatitis C.", "We saw it for 24 h.", "Cells were counted."],
        ["It was given i.v.", "The dose was low."],
        ["This follows Smith et al.", "RESULTS: None."],
        ["Was it?", "Yes!", '"It was."', "(They agreed.)", "[3] So did we."],
        ["It fell by 0.5.", "METHODS: We looked."],
        ["In 1986, 14.", "Three were ill."],
    ],
)
def test_cuts_between(expected):
    text = " ".join(expected)
    assert pieces(text, sentences(text)) == expected


def test_sentences_run_together_are_cut():
    text = "All were treated with lansoprazole.STUDY: Sixty were seen.The child was well."
    assert len(sentences(text)) == 3


def test_a_blank_line_ends_a_sentence_and_a_wrapped_line_does_not():
    text = "A title without a stop\n\nThe first line\nis wrapped."
    assert pieces(text, sentences(text)) == ["A title without a stop", "The first line\nis wrapped."]


def test_lines_that_are_not_wrapped_are_sentences_of_their_own():
    lines = ["Results", "Figure 2", "The dose was low.", "It fell to 0.5 mg/kg", "o A bullet", "- B", "Then"]
    text = "\n".join(lines)
    assert pieces(text, sentences(text)) == lines


def test_a_passage_is_never_crossed():
    text = "Title without stop The abstract."
    passages = [Passage(0, 18, "title"), Passage(19, len(text), "abstract")]
    assert len(sentences(text)) == 1
    assert pieces(text, sentences(text, passages)) == ["Title without stop", "The abstract."]


@given(ANY_TEXT, st.data())
def test_sentences_cover_every_visible_character_once(text, data):
    cut = data.draw(st.integers(0, len(text)))
    found = sentences(text, [Passage(0, cut, "title"), Passage(cut, len(text), "abstract")])
    assert "".join(visible(piece) for piece in pieces(text, found)) == visible(text)
    assert all(a[1] <= b[0] for a, b in zip(found, found[1:], strict=False))
    assert all(piece == piece.strip() and piece for piece in pieces(text, found))
    assert not any(start < cut < end for start, end in found)


@pytest.mark.parametrize("repeated", [".", "(", ". ", "a. ", "A. ", "(.", '"', "\n", " ", "é", "1. ", ".)"])
def test_long_monotonous_text_is_no_trap(repeated):
    text = repeated * (200_000 // len(repeated))
    assert "".join(visible(piece) for piece in pieces(text, sentences(text))) == visible(text)


def test_decomposed_letters_start_sentences():
    text = unicodedata.normalize("NFD", "Über allem. Ängste blieben. Ökonomie?")
    assert len(sentences(text)) == 3


# --- blocks ---


@pytest.mark.parametrize(
    "expected",
    [
        ["Medication:", "Metformin", "Aspirin"],
        ["metformin", "aspirin", "ibuprofen 400 mg"],
        ["Drug", "Dose", "metformin", "500 mg", "nausea"],
        ["He was given the following drugs, of which\nthe first was stopped:", "- metformin", "- aspirin"],
        ["We gave them one of\nthese in turn", "1. metformin", "2. insulin"],
        ["The patient was seen in March and\nagain in May.", "Allergies: penicillin", "Smoking: none"],
        [
            "Patients were seen at the outpatient clinic of the hospital and were\nthen sent home with these drugs",
            "Metformin",
            "Aspirin",
            "Insulin glargine at night and insulin lispro with every meal of the\nday, as before",
        ],
    ],
)
@pytest.mark.parametrize("between", ["\n", "\r\n", "\n\n"])
def test_items_of_lists_are_blocks(expected, between):
    text = between.join(expected)
    assert pieces(text, blocks(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Drug\tDose\nmetformin\t500 mg\tnausea", ["Drug", "Dose", "metformin", "500 mg", "nausea"]),
        (
            "a fall in the dose\nof insulin\t5 IU\nwas seen",
            ["a fall in the dose", "of insulin", "5 IU", "was seen"],
        ),
        ("\tindented", ["indented"]),
        ("renal\t\t\tfailure", ["renal", "failure"]),
    ],
)
def test_cells_of_tables_are_blocks(text, expected):
    assert pieces(text, blocks(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "The first line\nis wrapped.",
        "familial adenomatous\npolyposis (FAP) was\nseen in all of them",
        "Growth was seen in 12 of the patients who had been treated with the\n"
        "IL-2 receptor antagonist, which is a monoclonal antibody against the T\n"
        "cell, and 5 of those who had not been given any of these, as Alzheimer\n"
        "disease was not excluded.",
        "All those patients with (n =\n5) renal failure\nwere left out",
    ],
)
def test_wrapped_lines_hold_together(text):
    assert pieces(text, blocks(text)) == [text]


@given(ANY_TEXT, st.data())
def test_every_sentence_lies_in_a_block(text, data):
    cut = data.draw(st.integers(0, len(text)))
    passages = [Passage(0, cut, "title"), Passage(cut, len(text), "abstract")]
    found = blocks(text, passages)
    assert "".join(visible(piece) for piece in pieces(text, found)) == visible(text)
    for start, end in sentences(text, passages):
        assert any(a <= start and end <= b for a, b in found)
    assert not any("\t" in piece or "\n\n" in piece for piece in pieces(text, found))
