"""What a report counts, against counting by hand and against the evaluation that it is made of."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.annotation.made_runs import TEXT, make_run, marked
from vaner.annotation.comparing import Draws, difference, of_annotators, of_runs, with_gold
from vaner.annotation.report import report
from vaner.annotation.runs import Annotated, load
from vaner.document import Document
from vaner.errors import VanerError
from vaner.evaluation.run import Gold, evaluate
from vaner.formats import write
from vaner.prompting.prices import Price
from vaner.report import Report

FEVER, RENAL = ("Fever", "Disease", 0.9), ("acute renal failure", "Disease", 0.8)
NALOXONE, CLONIDINE = ("Naloxone", "Chemical", 0.7), ("clonidine", "Chemical", 0.6)
HYPERTENSION = ("hypertension", "Disease", 0.5)
NO_DRAWS = Draws(0)


def run_of(name, *documents, **more):
    return Annotated(name, {d.id: d for d in documents}, types=frozenset({"Disease", "Chemical"}), **more)


def gold_of(*documents):
    return [d.with_spans(replace(s, score=None) for s in d.spans) for d in documents]


GOLD = gold_of(
    marked("1", FEVER, RENAL, NALOXONE, HYPERTENSION),
    marked("2", FEVER, CLONIDINE),
    marked("3", FEVER, NALOXONE),
)


def test_a_run_against_gold_is_what_evaluate_says():
    run = run_of(
        "run", marked("1", FEVER, ("renal failure", "Disease", 0.8), ("Naloxone", "Disease", 0.7)), marked("2", FEVER),
        marked("3", FEVER, NALOXONE, CLONIDINE),
    )  # fmt: skip
    found = with_gold(run, GOLD, Draws(200, 3))
    (expected,) = evaluate(Gold("gold", GOLD), list(run.documents.values()), bootstrap=200, seed=3).results
    assert found.found["overall"] == expected["overall"] and found.found["type"] == expected["type"]
    assert found.found["mistakes"]["overall"] == expected["mistakes"]["overall"]
    counts = found.found["mistakes"]["overall"]["micro"]
    assert (counts["correct"], counts["boundary"], counts["type"], counts["missed"], counts["spurious"]) == (
        4,
        1,
        1,
        2,
        1,
    )


def test_documents_that_were_no_input_are_left_out_and_rejected_ones_are_missed():
    run = run_of("run", marked("1", FEVER), rejected=frozenset({"2"}))
    found = with_gold(run, GOLD, NO_DRAWS)
    assert found.found["documents"] == 2 and found.found["overall"]["micro"]["gold"] == 6
    assert "1 gold documents were no input of the run: left out" in found.notes
    assert any("without a prediction" in note for note in found.notes)


def test_types_that_were_not_asked_are_left_out_unless_they_are_named():
    run = replace(run_of("run", marked("1", FEVER)), types=frozenset({"Disease"}))
    found = with_gold(run, GOLD, NO_DRAWS)
    assert (
        found.found["overall"]["micro"]["gold"] == 3
        and "gold's Chemical was not asked of the run: left out" in found.notes
    )
    assert with_gold(run, GOLD, NO_DRAWS, ["Chemical"]).found["overall"]["micro"]["gold"] == 1
    # Where nothing says what was asked, all types count.
    assert with_gold(replace(run, types=None), GOLD, NO_DRAWS).found["overall"]["micro"]["gold"] == 4
    with pytest.raises(VanerError, match="was asked for Gene, and gold annotates Chemical, Disease"):
        with_gold(replace(run, types=frozenset({"Gene"})), GOLD, NO_DRAWS)


def test_agreement_is_the_same_whichever_side_is_called_gold():
    a = run_of("a", marked("1", FEVER, RENAL, NALOXONE), marked("2", FEVER), marked("9", FEVER))
    b = run_of("b", marked("1", FEVER, ("renal failure", "Disease", 0.8)), marked("2", FEVER, CLONIDINE))
    one, other = of_runs(a, b, Draws(100)), of_runs(b, a, Draws(100))
    assert one.found["overall"]["micro"]["f1"] == other.found["overall"]["micro"]["f1"] == 2 * 2 / (4 + 4)
    assert (
        one.found["overall"]["micro"]["interval"]["f1"] == other.found["overall"]["micro"]["interval"]["f1"]
    )
    left, right = (side.found["mistakes"]["overall"]["micro"] for side in (one, other))
    assert (left["missed"], left["spurious"]) == (right["spurious"], right["missed"]) == (1, 1)
    assert one.found["documents"] == 2 and "1 documents that only one of the two has: left out" in one.notes


def test_runs_of_other_types_are_compared_on_what_both_were_asked():
    a = run_of("a", marked("1", FEVER, NALOXONE))
    b = replace(run_of("b", marked("1", FEVER)), types=frozenset({"Disease"}))
    found = of_runs(a, b, NO_DRAWS)
    assert list(found.found["type"]) == ["Disease"] and found.found["overall"]["micro"]["f1"] == 1
    assert "Chemical: of one of the two only, left out" in found.notes
    with pytest.raises(VanerError, match="a and b have no type in common"):
        of_runs(a, replace(b, types=frozenset({"Gene"})), NO_DRAWS)
    with pytest.raises(VanerError, match="gold and predicted text differ|text differ"):
        of_runs(a, run_of("b", Document("1", "another text")), NO_DRAWS)


def test_annotators_are_compared_by_what_each_marked_before_votes():
    votes = [[0, 8, "Chemical", [0, 1]], [18, 30, "Disease", [0, 2]], [52, 57, "Disease", [0, 1, 2]]]
    names = ["prompt:a", "kb:b", "prompt:a"]
    document = marked("1", FEVER, annotation={"annotators": names, "votes": votes})
    found = of_annotators(run_of("run", document, marked("2")), NO_DRAWS)
    assert [(one.left, one.right) for one in found] == [
        ("prompt:a (1)", "kb:b"), ("prompt:a (1)", "prompt:a (3)"), ("kb:b", "prompt:a (3)"),
    ]  # fmt: skip
    agreed = [one.found["overall"]["micro"]["f1"] for one in found]
    # The third marked no chemical anywhere: it was not asked for any.
    assert agreed == [2 * 2 / (3 + 2), 1, 2 * 1 / (1 + 2)]
    assert of_annotators(run_of("run", marked("1", FEVER)), NO_DRAWS) == []


def test_what_a_guideline_changed():
    without = run_of("without", marked("1", FEVER), marked("2", CLONIDINE), marked("3", FEVER))
    with_it = run_of(
        "with", marked("1", FEVER, RENAL, NALOXONE), marked("2", FEVER), marked("3", FEVER, NALOXONE)
    )
    found = difference(with_it, without, Draws(300, 1), GOLD)
    changed = found["changed"]["all"]
    assert (changed["correct"], changed["missed"], changed["spurious"]) == (2, 1, 4)
    (page,) = evaluate(
        Gold("gold", GOLD),
        list(with_it.documents.values()),
        compared=list(without.documents.values()),
        bootstrap=300,
        seed=1,
    ).results
    expected = [row for row in page["comparison"] if row["table"] in ("overall", "type")]
    assert [{**row, "interval": tuple(row["interval"])} for row in found["comparison"]] == expected
    micro = found["comparison"][0]
    assert micro["row"] == "micro" and micro["difference"] == pytest.approx(2 * 6 / (6 + 8) - 2 * 3 / (3 + 8))
    assert "comparison" not in difference(with_it, without, NO_DRAWS)


def test_guidelines_are_compared_where_both_runs_were(tmp_path):
    without = run_of("without", marked("1", FEVER), marked("2", FEVER), marked("4", FEVER))
    without = replace(without, types=frozenset({"Disease"}))
    with_it = run_of("with", marked("1", FEVER), marked("2", FEVER, NALOXONE), marked("3", FEVER))
    found = difference(with_it, without, Draws(50), GOLD)
    assert found["documents"] == 2 and {row["row"] for row in found["comparison"]} == {
        "micro",
        "macro",
        "Disease",
    }
    assert found["comparison"][0]["difference"] == 0


def test_cost_is_what_the_run_recorded(tmp_path):
    counts = [
        {"requests": 2, "prompt tokens": 1000, "answer tokens": 50, "answers lost: not in the text": 1}
    ] * 2
    documents = [
        marked(
            "1",
            FEVER,
            annotation={"changed": {"rejected by rules": 2}, "instructions": "ab12", "annotators": ["m"]},
        ),
        marked(
            "2", annotation={"changed": {"rejected by rules": 1}, "instructions": "ab12", "annotators": ["m"]}
        ),
    ]
    run = load(str(make_run(tmp_path / "run", documents, counts=counts, rejected=["3"])), report=Report())
    assert run.rejected == {"3"} and run.types == {"Disease", "Chemical"} and run.inputs == {"1", "2", "3"}
    page = report([run], prices={"run": Price(0.5, 2.0, currency="EUR")})
    (found,) = page.found["runs"]
    assert found["cost"] == {
        "seconds": 3.0,
        "counts": {
            "requests": 4,
            "prompt tokens": 2000,
            "answer tokens": 100,
            "answers lost: not in the text": 2,
        },
        "price": pytest.approx((2000 * 0.5 + 100 * 2) / 1e6),
        "currency": "EUR",
    }
    assert found["changed"] == {"rejected by rules": 3} and found["instructions"] == ["ab12"]
    assert "rejected by rules 3" in page.terminal() and "0.60 EUR" in page.markdown()


def test_a_run_that_rejected_everything_missed_everything(tmp_path):
    run = load(str(make_run(tmp_path / "run", [], rejected=["1", "2", "3"])), report=Report())
    page = report([run], gold=GOLD, draws=Draws(10))
    assert page.found["gold"][0]["overall"]["micro"]["f1"] == 0
    assert page.found["gold"][0]["mistakes"]["overall"]["micro"]["missed"] == 8 and "0.50" in page.terminal()


def test_the_page_says_the_same_in_all_forms(tmp_path):
    a = run_of("a", marked("1", FEVER, NALOXONE), marked("2", FEVER), marked("3", FEVER))
    b = run_of("b", marked("1", FEVER, RENAL), marked("2"), marked("3", CLONIDINE))
    page = report([a], gold=GOLD, without=b, draws=Draws(50))
    found = json.loads(page.to_json())
    assert [one["right"] for one in found["gold"]] == ["a", "b"]
    assert found["gold"][0]["overall"]["micro"]["gold"] == 8
    for text in (page.markdown(), page.terminal()):
        for title in (
            "What was annotated",
            "Against gold",
            "Agreement between runs",
            "What a changed against b",
        ):
            assert title in text
        assert "66.67" in text  # F1 of a: 4 of 4 and 8
    assert set(page.mistakes) == {"a against gold", "b against gold", "b against a"}


def test_runs_that_cannot_be_read_are_refused(tmp_path):
    run = make_run(tmp_path / "run", [marked("1", FEVER)])
    (run / "a.jsonl").unlink()
    with pytest.raises(VanerError, match="is gone"):
        load(str(run), report=Report())
    (run / ".vaner" / "manifest.jsonl").unlink()
    with pytest.raises(VanerError, match="no finished output"):
        load(str(run), report=Report())
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "a.txt").write_text("")
    with pytest.raises(VanerError):
        load(str(tmp_path / "empty"), report=Report())


def test_files_of_other_tools_are_runs_too(tmp_path):
    documents = [marked("1", FEVER, NALOXONE), marked("2", CLONIDINE)]
    for name, format in (
        ("a.pubtator", "pubtator"),
        ("a.xml", "bioc"),
        ("brat", "brat"),
        ("a.jsonl", "jsonl"),
    ):
        write(tmp_path / name, documents, format)
        run = load(str(tmp_path / name), report=Report())
        assert run.name == name and run.counts is None
        assert [d.text for d in run.documents.values()] == [TEXT, TEXT]
        # Their ids, texts and mentions are the same, and so is the hash.
        assert run.hash == Annotated("x", {d.id: d for d in documents}).hash
