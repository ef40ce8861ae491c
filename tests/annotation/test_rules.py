"""In: checks and counter-examples. Out: mentions accepted, shortened, rejected, and by which rule."""

import pytest

from tests.annotation.made import annotate, changed, instructions, said
from vaner.annotation.instructions import Instructions
from vaner.annotation.marked import Marked
from vaner.annotation.rules import Rules, TypeRules
from vaner.annotation.statements import Checks, Example
from vaner.document import Document
from vaner.errors import VanerError


def judged(text, mention, *, counter=(), **checks):
    """What becomes of a mention, and how that is counted."""
    document = Document("d", text)
    at = text.index(mention)
    marked = Marked(document, [document.span(at, at + len(mention), "Disease", score=0.5)])
    rules = Rules({"Disease": TypeRules(Checks(**checks), tuple(counter))})
    list(rules.verify(iter([marked]), ["Disease"]))
    assert all(document.text[s.start : s.end] == s.text and s.score == 0.5 for s in marked.spans)
    return [span.text for span in marked.spans], dict(marked.changed)


@pytest.mark.parametrize(
    ("mention", "left", "why"),
    [
        ("the breast cancer", ["breast cancer"], "rules: corrected (words at its border)"),
        ("the  breast\ncancer", ["breast\ncancer"], "rules: corrected (words at its border)"),
        ("A. nidulans", ["A. nidulans"], None),
        ("the a cancer in patients", ["cancer"], "rules: corrected (words at its border)"),
        ("the", [], "rules: rejected (nothing but words that begin or end none)"),
        ("the patients", [], "rules: rejected (nothing but words that begin or end none)"),
        ("the  Disease", [], "rules: rejected (never)"),
        ("one two three four five", [], "rules: rejected (most_words)"),
        ("the two three four five", ["two three four five"], "rules: corrected (words at its border)"),
        ("12", [], "rules: rejected (pattern_never)"),
        ("cancer 12", ["cancer 12"], None),
        ("thecancer", ["thecancer"], None),
        ("the\u00a0cancer", ["cancer"], "rules: corrected (words at its border)"),
    ],
)
def test_checks(mention, left, why):
    found = judged(f"In {mention} we", mention, never=("disease",), without_leading=("the", "a"),
                   without_trailing=("in", "patients"), most_words=4, pattern_never=(r"^\d+$",))  # fmt: skip
    assert found == (left, {why: 1} if why else {})


def test_a_counter_example_of_nothing_but_words_rejects_them_anywhere():
    counter = (("breast", ("breast",)),)
    assert judged("a Breast cancer", "Breast", counter=counter) == (
        [],
        {"rules: rejected (counter_example)": 1},
    )
    assert judged("a Breast cancer", "Breast cancer", counter=counter) == (["Breast cancer"], {})


@pytest.mark.parametrize(
    ("text", "rejected"),
    [
        ("the familial breast\n Cancer gene", True),
        ("the familial breast cancer", False),
        ("breast cancer gene", False),
        ("familial breast cancer gene", True),
    ],
)
def test_one_with_words_around_it_only_there(text, rejected):
    mention = "cancer" if "cancer" in text else "Cancer"
    left, _ = judged(text, mention, counter=(("familial breast cancer gene", ("cancer",)),))
    assert left == ([] if rejected else [mention])


def test_other_types_are_let_through():
    document = Document("d", "the disease")
    marked = Marked(document, [document.span(0, 11, "Chemical")])
    list(Rules({"Disease": TypeRules(Checks(without_leading=("the",)))}).verify(iter([marked]), ["Chemical"]))
    assert [span.text for span in marked.spans] == ["the disease"] and not marked.changed


def test_rules_of_instructions(tmp_path):
    read = Instructions.load(instructions(tmp_path))
    disease = read.types["Disease"]
    held_back = TypeRules.of(disease.checks, disease.counter_examples)
    assert held_back.counter_examples == ()
    rules = TypeRules.of(disease.checks, disease.counter_examples, unverified=True)
    assert rules.counter_examples == (("breast", ("breast",)),)
    assert TypeRules.from_dict(rules.to_dict()) == rules
    assert not TypeRules.of(Checks(), [Example("x", mentions=("x",))])


def test_a_pattern_that_is_none_is_named():
    with pytest.raises(VanerError, match=r"Disease: pattern_never: '\(' is no regular expression"):
        Rules({"Disease": TypeRules(Checks(pattern_never=("(",)))})


def test_what_is_changed_stands_in_the_document():
    from tests.annotation.made import Words

    rules = Rules({"Disease": TypeRules(Checks(never=("fever",), without_leading=("the",)))})
    document = annotate(
        "the flu or fever", Words({"the flu": "Disease", "fever": "Disease"}), verifiers=[rules]
    )
    assert said(document) == ["flu/Disease"]
    assert changed(document) == {
        "rules: corrected (words at its border)": 1, "rules: rejected (never)": 1,
    }  # fmt: skip
