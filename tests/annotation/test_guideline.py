"""In: texts and quotations. Out: where each stands, to the letter; a record of it that nobody can edit unseen."""

from __future__ import annotations

import hashlib

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.prompting.retrieval.files import docx, pdf
from vaner.annotation.entries import entries
from vaner.annotation.guideline import FOLDER_VARIABLE, at_hand, folders, passages
from vaner.annotation.places import (
    NOT_AT_HAND,
    NOT_THERE,
    RECORDED,
    SPACED,
    VERBATIM,
    Places,
    recorded,
)
from vaner.annotation.quotations import departs, digest, find, squeezed
from vaner.annotation.statements import Guideline
from vaner.errors import VanerError
from vaner.report import Report

TEXT = "Mark each disease.\n  Do not mark\norganisms, such as “human”. Mark each name."


# --- quotations ---


@pytest.mark.parametrize(
    "quote, found, exact",
    [
        ("Mark each disease.", "Mark each disease.", True),
        ("  Mark each disease.\n", "Mark each disease.", True),
        ("Do not mark organisms", "Do not mark\norganisms", False),
        ("Mark each name", "Mark each name", True),
        ("such as “human”", "such as “human”", True),
    ],
)
def test_a_quotation_stands_up_to_runs_of_white_space(quote, found, exact):
    place = find(quote, TEXT)
    assert place is not None and TEXT[place.start : place.end] == found and place.exact is exact


@pytest.mark.parametrize(
    "quote",
    [
        "",
        " \n",
        "Mark every disease.",
        "mark each disease",
        'such as "human"',
        "Markeach disease",
        "each diseas e",
    ],
)
def test_any_other_change_is_found(quote):
    assert find(quote, TEXT) is None


words = st.lists(st.text("abcäß€😀-.,“\u0301", min_size=1, max_size=5), min_size=1, max_size=12)
spaces = st.sampled_from([" ", "\n", "  ", "\t", "\n   ", "\u00a0"])


@given(words, st.data())
def test_what_is_quoted_is_found_where_it_stands_and_one_other_letter_is_not(some, data):
    text = "".join(word + data.draw(spaces) for word in some)
    first = data.draw(st.integers(0, len(some) - 1))
    last = data.draw(st.integers(first + 1, len(some)))
    quote = "".join(word + data.draw(spaces) for word in some[first:last])
    place = find(quote, text)
    assert place is not None
    assert squeezed(text[place.start : place.end]) == squeezed(quote)
    at = data.draw(st.integers(0, len(quote) - 1))
    assume(not quote[at].isspace())
    assert find(quote[:at] + "Z" + quote[at + 1 :], text) is None


def test_the_digest_is_of_the_words_alone():
    assert digest("a  b\nc ") == digest("a b c") != digest("a b C")


def test_where_a_quotation_departs_is_said():
    assert "it has 'organisms, such as" in departs("Do not mark species", TEXT)
    assert "other capitals: 'Mark each disease.'" in departs("mark Each disease.", TEXT)
    assert "not even its first word, 'Nothing'" in departs("Nothing here", TEXT)


# --- files ---


def test_offsets_are_code_points_and_pages_are_known(tmp_path):
    (tmp_path / "two.pdf").write_bytes(pdf([["Mark diseases."], ["Leave genes,", "and species."]]))
    (tmp_path / "g.docx").write_bytes(docx(["Mark “diseases”.", "Leave genes."]))
    (tmp_path / "g.html").write_text("<p>Mark <b>diseases</b>.</p><p>😀 Leave genes.</p>", encoding="utf-8")
    some = [Guideline(name, name) for name in ("two.pdf", "g.docx", "g.html")]
    opened = at_hand(some, [tmp_path])
    place = opened["two.pdf"].place("Leave genes, and species.")
    text = opened["two.pdf"].source.text
    assert place is not None and place.page == 2 and not place.exact
    assert text[place.start : place.end] == "Leave genes,\nand species."
    assert opened["two.pdf"].place("Mark diseases.").page == 1
    assert opened["g.docx"].place("Leave genes.").page is None
    place = opened["g.html"].place("Leave genes.")
    assert opened["g.html"].source.text[place.start : place.end] == "Leave genes."


def test_a_quotation_is_found_from_an_offset_on(tmp_path):
    (tmp_path / "g.md").write_text("Mark names. Leave it. Mark names.", encoding="utf-8")
    opened = at_hand([Guideline("g", "g.md")], [tmp_path])["g"]
    assert opened.place("Mark names.").start == 0
    assert opened.place("Mark names.", 1).start == 22


def test_passages_cover_a_guideline_once_with_their_places(tmp_path):
    text = "# Rules\n\n" + "".join(f"Rule {n} says to mark it. " for n in range(30))
    (tmp_path / "g.md").write_text(text, encoding="utf-8")
    (tmp_path / "seen.xlsx").write_text("no", encoding="utf-8")
    report = Report()
    found = list(passages([tmp_path], 20, report))
    assert len(found) > 5
    assert all(text[one.start : one.end] == one.text and one.file == "g.md" for one in found)
    assert all(one.end <= two.start for one, two in zip(found, found[1:], strict=False))
    assert "".join("".join(one.text for one in found).split()) == "".join(text.split())
    assert report.summary() and "seen.xlsx" in report.summary()[0]


def test_the_part_that_a_prompt_says_whole(tmp_path):
    (tmp_path / "g.md").write_text("Preface.\n## Rules\nMark.\n## Tools\nbrat", encoding="utf-8")

    def part(**more):
        return at_hand([Guideline("g", "g.md", **more)], [tmp_path])["g"].part()

    assert part() == "Preface.\n## Rules\nMark.\n## Tools\nbrat"
    assert part(begins="## Rules", ends="## Tools") == "## Rules\nMark."
    assert part(begins="## Tools") == "## Tools\nbrat"
    with pytest.raises(VanerError, match="'## Preface' is not in it; correct ends of guideline g"):
        part(begins="## Rules", ends="## Preface")


def test_where_guidelines_are_looked_for(tmp_path, monkeypatch):
    beside = tmp_path / "mine" / "x.yaml"
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    assert folders(None, beside) == (tmp_path, tmp_path / "mine")
    monkeypatch.setenv(FOLDER_VARIABLE, "")
    assert folders(None, beside) == (tmp_path / "mine",)
    with pytest.raises(VanerError, match="is no folder; give the one that holds the guidelines"):
        folders(tmp_path / "nowhere", beside)


# --- the record ---

INSTRUCTIONS = """\
# Mine.
corpus: mine
guidelines:
  g: g.md
types:
  Disease:
    mark:   # people write here
      - quote: Do not mark organisms
      - {text: names, quote: 'Mark each name.'}
      - {text: held back, quote: is not there, verified: false}
      - no quotation
"""


@pytest.fixture
def made(tmp_path):
    (tmp_path / "g.md").write_text(TEXT, encoding="utf-8")

    def make(content=INSTRUCTIONS, *, absent=False):
        found = entries(yaml.safe_load(content), "mine.yaml")
        return found, {} if absent else at_hand(found.guidelines.values(), [tmp_path])

    return make


def test_what_stands_is_recorded_and_holds_without_the_guideline(made):
    standings = Places(*made()).all()
    assert [one.how for one in standings] == [SPACED, VERBATIM, NOT_THERE]
    assert Places(*made()).wrong(standings) == []  # a person holds it back
    content = recorded(INSTRUCTIONS, *made())
    assert content.startswith(INSTRUCTIONS)
    written = yaml.safe_load(content)["quotations"]["g"]
    assert written["sha256"] == hashlib.sha256(TEXT.encode()).hexdigest()
    places = Places(*made(content, absent=True)).all()
    assert [one.how for one in places] == [RECORDED, RECORDED, NOT_AT_HAND]
    assert TEXT[places[0].place.start : places[0].place.end] == "Do not mark\norganisms"
    assert recorded(content, *made(content)) == content
    assert recorded(content, *made(content, absent=True)) == content


def test_a_quotation_that_was_edited_is_not_in_the_record(made):
    content = recorded(INSTRUCTIONS, *made()).replace("Do not mark organisms", "Do mark organisms")
    places = Places(*made(content, absent=True))
    first, *rest = places.all()
    assert first.how == NOT_AT_HAND and rest[0].how == RECORDED
    (line,) = places.wrong(places.all())
    assert "mine.yaml: types.Disease.mark.1.quote: is not verified, for g.md is not at hand" in line
    places = Places(*made(content))
    (line,) = places.wrong(places.all())
    assert "types.Disease.mark.1.quote: does not stand in g.md (behind 'Do' it has" in line


def test_a_record_is_not_believed_of_another_file(made, tmp_path):
    content = recorded(INSTRUCTIONS, *made())
    (tmp_path / "g.md").write_text(TEXT.replace("organisms", "species"), encoding="utf-8")
    assert [one.how for one in Places(*made(content)).all()] == [NOT_THERE, VERBATIM, NOT_THERE]


def test_afresh_reads_what_the_record_already_has(made):
    content = recorded(INSTRUCTIONS, *made()).replace("each name.'", "each name'")
    found, opened = made(content)
    assert [one.how for one in Places(found, opened, afresh=True).all()] == [SPACED, VERBATIM, NOT_THERE]


@pytest.mark.parametrize("behind", ["", "conflicts: []\n", "# the end\nnotes: |\n  quotations:\n    none\n"])
def test_the_record_replaces_itself_and_nothing_else(made, behind):
    block = "quotations:\n  g:\n    sha256: old\n    places:\n      '000000000000': 1-2\n\n"
    content = INSTRUCTIONS + block + behind
    new = recorded(content, *made(content))
    assert new.startswith(INSTRUCTIONS + "quotations:\n") and new.endswith(behind)
    assert "old" not in new and "000000000000" not in new
    old, now = yaml.safe_load(content), yaml.safe_load(new)
    assert {k: v for k, v in old.items() if k != "quotations"} == {
        k: v for k, v in now.items() if k != "quotations"
    }
    assert recorded(new, *made(new)) == new
