"""In: a misspelt word, the known ones. Out: the neighbour that was meant; errors that are one kind of bad input."""

from __future__ import annotations

import pickle

import pytest

from vaner.errors import FormatError, OffsetError, VanerError, near, place

TYPES = ("Disease", "Chemical", "Gene", "CellLine")


@pytest.mark.parametrize("word", ["Diseases", "Disaese", "disease", "DISEASE", "dizease"])
def test_a_misspelt_word_is_told_its_neighbour_as_that_is_written(word):
    assert near(word, TYPES) == "did you mean Disease?"


def test_capitals_are_no_difference_on_either_side():
    assert near("cellline", TYPES) == near("CELLLINES", TYPES) == "did you mean CellLine?"
    assert near("tnf", ["TNF"], cutoff=1.0) == "did you mean TNF?"
    # Case is folded, not only lowered: the capitals of ß are SS.
    assert near("straße", ["STRASSE"], cutoff=1.0) == "did you mean STRASSE?"
    assert near("STRASSE", ["straße"], cutoff=1.0) == "did you mean straße?"


@pytest.mark.parametrize("word", ["Spaceship", "", "x"])
def test_what_is_like_nothing_is_told_nothing(word):
    assert near(word, TYPES) is None


def test_where_nothing_is_known_nothing_is_meant():
    assert near("Disease", []) is None
    assert near("Disease", {}) is None


def test_the_known_words_may_come_as_a_mapping_or_a_stream():
    assert (
        near("bc5cd", {"bc5cdr": 1, "ncbi": 2}) == near("bc5cd", iter(["bc5cdr"])) == "did you mean bc5cdr?"
    )


def test_several_neighbours_are_named_the_nearest_first_and_no_more_than_asked_for():
    known = ["ncbi", "ncbi-disease", "ncbi-disease-sample", "bc5cdr"]
    assert near("ncbi-diseas", known) == "did you mean ncbi-disease?"
    assert near("ncbi-diseas", known, most=2) == "did you mean ncbi-disease or ncbi-disease-sample?"
    assert near("ncbi-diseas", known, most=9, cutoff=0.8) == "did you mean ncbi-disease?"


def test_how_like_a_word_must_be_can_be_said():
    # Three letters of four in common: a similarity of 0.75.
    assert near("abcd", ["abce"], cutoff=0.75) == "did you mean abce?"
    assert near("abcd", ["abce"], cutoff=0.76) is None
    # Without being told it is 0.6: three letters of five in common are enough, two of four are not.
    assert near("abcxy", ["abcvw"]) == "did you mean abcvw?"
    assert near("abxy", ["abvw"]) is None


def test_a_place_is_written_as_compilers_do():
    assert place("a/b.txt") == "a/b.txt"
    assert place("a/b.txt", 7) == "a/b.txt:7"
    assert place("a/b.txt", 0) == "a/b.txt:0"


@pytest.mark.parametrize("kind", [OffsetError, FormatError])
def test_bad_input_is_one_family(kind):
    assert issubclass(kind, VanerError) and issubclass(VanerError, ValueError)


def test_a_message_is_one_line_whatever_an_id_holds():
    error = FormatError("a.txt:1: document 'a\n\x1b[2J\u2028b\tc\u00e9': no text")
    assert str(error) == "a.txt:1: document 'a\\n\\x1b[2J\\u2028b\\tcé': no text"
    assert str(VanerError(str(error))) == str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
