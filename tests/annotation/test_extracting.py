"""In: a guideline and a scripted model. Out: its statements, verified, once each; what it spoils is lost alone."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.prompting.fake import FakeBackend
from vaner.annotation import extracting
from vaner.annotation.drafting import by_hand, drafted, named
from vaner.annotation.extracting import DraftConflict, Extractor, objects
from vaner.annotation.instructions import Instructions
from vaner.prompting.request import CUT_OFF, Abilities, Answer, Failure
from vaner.prompting.sending import Sender
from vaner.prompting.store import RequestStore
from vaner.report import Report

FIRST = "Mark **diseases** such as “flu”. Do not mark organisms."
SECOND = "Take the shortest span. In flu (influenza) mark flu and influenza."
GUIDELINE = f"{FIRST}\n\n{SECOND}\n"


def said(**values):
    return {"quote": "", "type": "Disease", "kind": "mark", "text": "", **values}


MARK = said(quote="Mark **diseases** such as “flu”.", text="diseases")
LEAVE = said(quote="Do not mark organisms.", kind="leave", text="organisms")
SPAN = said(quote="Take the shortest span.", kind="boundaries", text="the shortest span")
EXAMPLE = said(
    quote="In flu (influenza) mark flu and influenza.",
    kind="example",
    text="flu (influenza)",
    mentions=["influenza", "flu"],
)


def listed(*statements):
    return json.dumps({"statements": statements}, ensure_ascii=False)


@pytest.fixture
def guideline(tmp_path, monkeypatch):
    monkeypatch.delenv("VANER_GUIDELINES", raising=False)
    (tmp_path / "g.md").write_text(GUIDELINE, encoding="utf-8")
    return named([tmp_path / "g.md"], tmp_path / "mine.yaml", Report())


def scripted(first, second='{"statements": []}', compared='{"conflicts": []}'):
    """A backend with an answer for each passage and for the comparison."""

    def answer(request):
        if "cannot both be followed" in request.messages[0].content:
            return compared
        return first if "organisms" in request.messages[-1].content else second

    return FakeBackend(answer)


def extractor(backend, types=None, **more):
    store = more.pop("store", None)
    return Extractor(Sender(backend, store), types or {"Disease": "what makes ill"}, words=17, **more)


def found_in(guideline, *answers, types=None, **more):
    report = Report()
    one = extractor(scripted(*answers), types, report=report, **more)
    return one.statements(guideline), report


# --- what is asked, and what is found ---


def test_statements_with_their_places(guideline):
    found, report = found_in(guideline, listed(MARK, LEAVE), listed(SPAN, EXAMPLE))
    assert [one.kind for one in found] == ["mark", "leave", "boundaries", "examples"]
    for one in found:
        assert GUIDELINE[one.place.start : one.place.end] == one.quote
    assert found[-1].mentions == ("flu", "influenza")
    assert report.counts == {}


def test_each_passage_is_asked_once_with_the_types(guideline):
    backend = scripted("", "")
    extractor(backend, {"Disease": "what makes ill", "Gene": ""}).statements(guideline)
    asked = sorted((request.messages[-1].content for request in backend.asked), key=GUIDELINE.index)
    assert asked == [FIRST, SECOND]
    system = backend.asked[0].messages[0].content
    assert "- Disease: what makes ill\n- Gene\n" in system and "one of Disease, Gene." in system
    schema = json.loads(backend.asked[0].grammar.json_schema)
    item = schema["properties"]["statements"]["items"]
    assert item["properties"]["type"]["enum"] == ["Disease", "Gene"]


def test_the_example_in_the_prompt_is_a_right_answer(guideline, tmp_path):
    request = extractor(scripted(""))._asked(guideline).__next__()[2]
    _, passage, answer, _ = (message.content for message in request.messages)
    (tmp_path / "p.md").write_text(passage, encoding="utf-8")
    shown = named([tmp_path / "p.md"], tmp_path / "p.yaml", Report())
    report = Report()
    one = Extractor(Sender(FakeBackend(lambda _: answer)), {"Plant": ""}, report=report)
    assert len(one.statements(shown)) == 4 and report.counts == {}


def test_answers_are_free_where_nothing_holds_them(guideline):
    backend = scripted("")
    extractor(backend, forced=False).statements(guideline)
    backend.can = Abilities()
    extractor(backend).statements(guideline)
    assert all(request.grammar is None for request in backend.asked)


def test_a_quotation_that_does_not_stand_is_kept_and_marked(guideline):
    found, report = found_in(
        guideline, listed(said(quote="Mark illnesses.", text="illnesses"), said(text="no quote"))
    )
    assert [(one.text, one.place) for one in found] == [("illnesses", None), ("no quote", None)]
    assert report.counts == {extracting.UNVERIFIED: 1}
    assert "g.md, 0-55: 'Mark illnesses.'" in report.messages[0]


def test_other_signs_are_the_guidelines_own(guideline):
    found, report = found_in(guideline, listed(said(quote='mark diseases such as "flu"', text="diseases")))
    assert found[0].quote == "Mark **diseases** such as “flu" and found[0].place is not None
    assert report.counts == {extracting.REWRITTEN: 1}
    found, report = found_in(
        guideline, listed(said(quote="take the SHORTEST span", text="of another passage"))
    )
    assert found[0].place is None and report.counts == {extracting.UNVERIFIED: 1}


def test_nothing_twice(guideline):
    again = said(quote="Do not mark organisms.", kind="leave", text="species and organisms")
    other = said(kind="leave", text="Organisms!")
    third = said(quote="Nowhere.", kind="leave", text="organisms")
    found, report = found_in(guideline, listed(third, LEAVE, again), listed(other))
    assert [one.text for one in found] == ["organisms"] and found[0].place is not None
    assert report.counts == {extracting.TWICE: 3, extracting.UNVERIFIED: 1}


def test_of_a_type_there_is_one_definition(guideline):
    two = [
        said(kind="definition", text="what makes ill"),
        said(**MARK | {"kind": "definition", "text": "flu"}),
    ]
    found, _ = found_in(guideline, listed(*two))
    assert [(one.kind, one.text) for one in found] == [("mark", "what makes ill"), ("definition", "flu")]


def test_mentions_are_words_of_their_example(guideline):
    bad = EXAMPLE | {"mentions": ["cold", "flu", "flu", 7]}
    counter = said(kind="counter_example", text="organisms", quote="Do not mark organisms.")
    found, report = found_in(guideline, listed(counter), listed(bad))
    assert [one.mentions for one in found] == [("organisms",), ("flu",)]
    assert report.counts == {extracting.NO_MENTION: 1}


# --- spoilt answers ---


@pytest.mark.parametrize(
    "answer, kept, cause",
    [
        ("I cannot help with that.", 0, extracting.NO_JSON),
        ("", 0, extracting.NO_JSON),
        (listed(MARK, LEAVE)[:-30], 1, extracting.BROKEN),
        ("Here is {it}: ```json\n" + listed(MARK) + "\n```", 1, None),
        (json.dumps([MARK, LEAVE]), 2, None),
        (json.dumps(MARK), 1, None),
        ('{"statements": [7, ' + json.dumps(LEAVE) + "]}", 1, extracting.BROKEN),
        (listed(MARK | {"type": "Gene"}, LEAVE), 1, extracting.NO_STATEMENT),
        (listed(MARK | {"kind": "rule"}, LEAVE), 1, extracting.NO_STATEMENT),
        (listed({"type": "Disease"}, LEAVE), 1, extracting.NO_STATEMENT),
        (listed(MARK | {"text": "a \ud800", "quote": "\x07"}, LEAVE), 1, extracting.NO_STATEMENT),
        (listed(MARK | {"type": " disease", "kind": "Mark"}), 1, None),
        ("{}", 0, None),
        ("[" * 5000, 0, extracting.NO_JSON),
        ("{" * 5000, 0, extracting.BROKEN),
    ],
)
def test_a_spoilt_answer_loses_its_statements_alone(guideline, answer, kept, cause):
    found, report = found_in(guideline, answer, listed(SPAN))
    assert len(found) == kept + 1 and found[-1].kind == "boundaries"
    assert report.counts == ({cause: 1} if cause else {})


def test_what_was_cut_off_and_what_failed_is_counted(guideline):
    cut = Answer(listed(MARK, LEAVE)[:-30], CUT_OFF)
    found, report = found_in(guideline, cut, Failure("timed out"))
    assert [one.text for one in found] == ["diseases"]
    assert report.counts == {extracting.BROKEN: 1, extracting.NOT_ANSWERED: 1}
    assert "timed out" in " ".join(report.messages)


def test_a_passage_without_room_is_not_asked(guideline):
    backend = scripted(listed(MARK))
    backend.context = 60
    report = Report()
    assert extractor(backend, report=report).statements(guideline) == []
    assert backend.asked == [] and report.counts == {extracting.NOT_ANSWERED: 2}
    assert "ask with fewer --words" in report.messages[0]


@given(st.text(), st.text())
def test_any_answer_is_read(before, behind):
    found, _ = objects(before + listed(LEAVE) + behind, "statements")
    assert found is not None
    found, _ = objects(before, "statements")
    assert found is None or all(isinstance(one, dict) for one in found)


@given(st.integers(0, len(listed(MARK, LEAVE, SPAN))))
def test_wherever_an_answer_is_cut_what_is_whole_is_kept(end):
    answer = listed(MARK, LEAVE, SPAN)
    found, whole = objects(answer[:end], "statements")
    assert (found or []) == [MARK, LEAVE, SPAN][: len(found or [])]
    assert whole == (end >= len(answer) - 1)  # the list is whole without the last brace
    ends = [answer.index(json.dumps(one, ensure_ascii=False)) + len(json.dumps(one, ensure_ascii=False))
            for one in (MARK, LEAVE, SPAN)]  # fmt: skip
    assert len(found or []) == sum(end >= one for one in ends)


# --- conflicts ---


def test_conflicts_that_the_model_names(guideline):
    compared = json.dumps(
        {
            "conflicts": [
                {"first": 3, "second": 1, "about": "spans"},
                {"first": 1, "second": 3, "about": "again"},
                {"first": 1, "second": 1, "about": "itself"},
                {"first": 1, "second": 9, "about": "nobody"},
                {"first": True, "second": 2, "about": "no number"},
            ]
        }
    )
    report = Report()
    one = extractor(scripted(listed(MARK, LEAVE), listed(SPAN, EXAMPLE), compared), report=report)
    statements = one.statements(guideline)
    found = one.conflicts(statements)
    assert found == [DraftConflict("spans", (statements[0], statements[2]))]
    assert report.counts == {extracting.NO_CONFLICT: 3}
    asked = one.sender.backend.asked[-1].messages[-1].content
    assert asked == "1. (mark) diseases\n2. (leave) organisms\n3. (boundaries) the shortest span"


def test_one_statement_is_not_compared(guideline):
    one = extractor(scripted(listed(MARK)))
    assert one.conflicts(one.statements(guideline)) == [] and len(one.sender.backend.asked) == 2


def test_a_comparison_that_fails_is_counted(guideline):
    report = Report()
    one = extractor(scripted(listed(MARK, LEAVE), compared=Failure("no")), report=report)
    assert one.conflicts(one.statements(guideline)) == []
    assert report.counts == {extracting.NOT_COMPARED: 1}


# --- asked once ---


def test_what_was_answered_is_not_asked_again(guideline, tmp_path):
    store = RequestStore(tmp_path / "answers.sqlite")
    backend = scripted(listed(MARK), Failure("later"))
    found = extractor(backend, store=store).statements(guideline)
    assert len(found) == 1 and len(backend.asked) == 2
    again = scripted("not asked", listed(SPAN))
    one = extractor(again, store=store)
    assert one.plan(guideline).requests == 1
    assert [s.text for s in one.statements(guideline)] == ["diseases", "the shortest span"]
    assert [request.messages[-1].content for request in again.asked] == [SECOND]


# --- the file ---


def test_a_drafted_file_is_one_of_instructions(guideline, tmp_path):
    flu = said(kind="counter_example", text="flu", quote="such as “flu”")
    wrong = said(quote="Mark illnesses.", text="illnesses: all")
    compared = json.dumps({"conflicts": [{"first": 1, "second": 3, "about": "who knows"}]})
    one = extractor(scripted(listed(MARK, LEAVE, flu, wrong), listed(SPAN, EXAMPLE), compared),
                    {"Disease": "", "Gene": ""})  # fmt: skip
    statements = one.statements(guideline)
    conflicts = one.conflicts(statements)
    text = drafted("mine", ["Disease", "Gene"], statements, conflicts, guideline, "mine.yaml", "fake")
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    found = Instructions.load(tmp_path / "mine.yaml")
    disease = found.types["Disease"]
    assert found.remarks == () and list(found.types) == ["Disease", "Gene"]
    assert [(s.text, s.verified) for s in disease.mark] == [("diseases", True), ("illnesses: all", False)]
    assert disease.examples[0].mentions == ("flu", "influenza")
    assert [c.about for c in found.conflicts] == [
        "who knows",
        "'flu' is marked in an example and not in another",
    ]
    assert found.conflicts[0].types == ("Disease",)
    assert yaml.safe_load(text)["guidelines"]["guideline"]["file"] == "g.md"
    assert str(tmp_path) not in text


def test_several_guidelines_are_told_apart(guideline, tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "g.txt").write_text("Mark symptoms.", encoding="utf-8")
    both = named([tmp_path / "g.md", tmp_path / "more"], tmp_path / "mine.yaml", Report())
    assert [one.guideline.name for one in both] == ["g", "g-2"]
    answer = listed(MARK, said(quote="Mark symptoms.", text="symptoms"))
    statements = extractor(FakeBackend(lambda _: answer)).statements(both)
    text = drafted("mine", ["Disease"], statements, [], both, "mine.yaml", "fake")
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    mark = Instructions.load(tmp_path / "mine.yaml").types["Disease"].mark
    assert {(s.text, s.file) for s in mark if s.verified} == {("diseases", "g"), ("symptoms", "g-2")}


def test_a_file_by_hand_shows_what_is_near_and_says_nothing(guideline, tmp_path):
    text = by_hand(
        "mine", {"Disease": "Disease diseases", "Gene": "Gene genes"}, guideline, str(tmp_path / "mine.yaml")
    )
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    found = Instructions.load(tmp_path / "mine.yaml")
    assert list(found.types) == ["Disease", "Gene"] and found.wording(["Disease"], "short") == "Disease"
    above = text[: text.index("    leave:")]
    assert "Do not mark organisms.\n" in above[above.index("    mark:") :]
    written = text.replace(
        "    mark:\n", "    mark:\n      - {text: diseases, quote: Mark **diseases**}\n", 1
    )
    (tmp_path / "mine.yaml").write_text(written, encoding="utf-8")
    assert Instructions.load(tmp_path / "mine.yaml").types["Disease"].mark[0].verified


def test_signs_that_yaml_cannot_hold_do_no_harm_in_comments(tmp_path):
    (tmp_path / "g.txt").write_text("Mark \x00\x07 diseases.\u2028Mark\x0call: - {x", encoding="utf-8")
    shown = named([tmp_path / "g.txt"], tmp_path / "mine.yaml", Report())
    text = by_hand("mine", {"Disease": "disease"}, shown, "mine.yaml")
    assert yaml.safe_load(text)["types"]["Disease"]["mark"] is None
