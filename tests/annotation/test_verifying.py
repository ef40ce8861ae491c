"""In: mentions, what a model or a tagger says of each. Out: accepted, corrected, rejected; all of it counted."""

import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.annotation.made import Words, annotate, annotated, changed, prompted, said
from vaner.annotation.annotator import Annotator
from vaner.annotation.marked import Marked, Verdict
from vaner.annotation.questions import Question
from vaner.annotation.verifying import ModelVerifier, TaggerVerifier
from vaner.document import Document
from vaner.errors import VanerError
from vaner.prompting.request import REFUSED, Abilities, Answer, Failure
from vaner.prompting.store import RequestStore
from vaner.text.units import Text

TEXT = "The familial breast cancer genes. No fever today."


def question(text, mention, max_words=1):
    document = Document("d", text)
    at = text.index(mention)
    return Question.of(Text.of(document), document.span(at, at + len(mention), "Disease"), max_words)


def verdict(asked, text, **more):
    return asked.read(Answer(text, **more), chosen=True)


# --- the question ---


def test_the_question_shows_the_mention_in_its_sentences():
    asked = question(TEXT, "breast cancer")
    assert asked.text().startswith('Text: The familial [[breast cancer]] genes.\nIs "breast cancer"')
    assert "of the type Disease" in asked.text() and "of the type Disease" in asked.rules()
    assert "No fever" not in asked.text() and "No [[fever]] today" in question(TEXT, "fever").text()
    assert "No fever today" in question(TEXT, "breast cancer", max_words=96).text()


def test_a_correction_is_words_of_the_sentence_that_share_one_with_the_mention():
    said = question(TEXT, "breast cancer").corrections
    assert {"familial breast cancer", "breast", "cancer genes", "The familial breast cancer genes."} <= set(
        said
    )
    assert not any("fever" in one or one in ("familial", "The familial", "genes") for one in said)
    assert all(
        "familial" not in one for one in question("familial\n\n- breast cancer", "breast cancer").corrections
    )


@pytest.mark.parametrize(
    ("answer", "what", "words"),
    [
        ("yes", "accepted", None),
        ("Yes.", "accepted", None),
        ('{"answer": "no"}', "rejected", None),
        ("No, it is a gene", "rejected", None),
        ("instead: familial breast cancer", "corrected", "familial breast cancer"),
        ("Instead:  Familial  BREAST cancer", "corrected", "familial breast cancer"),
        ('```json\n{"answer": "instead: cancer"}\n```', "corrected", "cancer"),
        ('instead: "cancer"', "corrected", "cancer"),
        ("instead: breast cancer", "accepted", None),
        ("", "accepted", "the answer cannot be read"),
        ("noise", "accepted", "the answer cannot be read"),
        ("I think yes", "accepted", "the answer cannot be read"),
        ("instead: fever", "accepted", "its correction is not in the text"),
        ("instead:", "accepted", "its correction is not in the text"),
    ],
)
def test_answers_are_read(answer, what, words):
    found = verdict(question(TEXT, "breast cancer"), answer)
    assert found.what == what
    if what == "corrected":
        assert TEXT[found.start : found.end] == words and not found.why
    else:
        assert found.why == (words or "")


def test_of_equal_words_the_nearest_is_meant():
    text = "cancer of cancer cancer"
    document = Document("d", text)
    asked = Question.of(Text.of(document), document.span(10, 16, "Disease"), 1)
    assert verdict(asked, "instead: cancer").what == "accepted"
    assert verdict(asked, "instead: cancer cancer").start == 10


def test_confidence_is_that_of_the_choice():
    asked = question(TEXT, "breast cancer")
    yes = Answer("yes", tokens=((3, math.log(0.7)),))
    assert asked.read(yes, chosen=True).confidence == pytest.approx(0.7)
    assert asked.read(yes, chosen=False).confidence == 1 and verdict(asked, "yes").confidence == 1


@pytest.mark.parametrize(
    "text",
    ["İ <|x|> TNF-α (IL-2)\u00ad fever &amp; \ud800 x.", "a\n\n- fever", "fever", "\"fev\\er' [[fever]]"],
)
def test_every_answer_of_the_grammar_can_be_read(text):
    llguidance = pytest.importorskip("llguidance")
    import tests.annotation.tokens as tokens

    document = Document("d", text)
    cut = Text.of(document)
    for start, end in cut.offsets:
        asked = Question.of(cut, document.span(start, end, "Disease"), 1)
        grammar = asked.grammar()
        answers = json.loads(grammar.json_schema)["properties"]["answer"]["enum"]
        for answer in answers:
            assert verdict(asked, answer).why == "", answer
            assert verdict(asked, json.dumps({"answer": answer})).why == "", answer
            assert tokens.allows(llguidance, grammar.lark, answer), answer
        assert not tokens.allows(llguidance, grammar.lark, "instead: other")


def test_the_grammar_allows_nothing_else():
    llguidance = pytest.importorskip("llguidance")
    import tests.annotation.tokens as tokens

    lark = question(TEXT, "breast cancer").grammar().lark
    for answer in (
        "instead: familial",
        "instead: genes",
        "instead: ",
        "Yes",
        "yes ",
        "instead: breast cancer genes",
    ):
        assert tokens.allows(llguidance, lark, answer) == (answer == "instead: breast cancer genes"), answer


# --- a model ---


def judge(answer, **more):
    """A verifier whose model answers by a function of the marked words."""

    def says(request):
        shown = request.messages[-1].content
        said = answer(shown[shown.index("[[") + 2 : shown.index("]]")]) if callable(answer) else answer
        return said

    return ModelVerifier("same", prompted(says, **more), on_failed=more.get("on_failed", "raise"))


WORDS = {"breast cancer": ("Disease", 0.8), "fever": ("Disease", 0.5), "genes": "Disease"}


def test_a_model_accepts_corrects_and_rejects():
    answers = {
        "breast cancer": "instead: familial breast cancer",
        "fever": Answer("yes", tokens=((3, math.log(0.5)),)),
        "genes": "no",
    }
    document = annotate(TEXT, Words(WORDS), verifiers=[judge(answers.get)])
    assert said(document) == ["familial breast cancer/Disease", "fever/Disease"]
    assert [span.score for span in document.spans] == [pytest.approx(0.8), pytest.approx(0.25)]
    assert changed(document) == {"same: corrected": 1, "same: rejected": 1}


@pytest.mark.parametrize(
    "answer", ["", "perhaps", "instead: nothing there", Answer("Sorry", finish=REFUSED), "\ud800"]
)
def test_what_a_model_does_not_say_changes_nothing(answer):
    document = annotate(TEXT, Words(WORDS), verifiers=[judge(answer, decoding="free")])
    assert len(document.spans) == 3 and sum(changed(document).values()) == 3
    assert all(kind.startswith("same: accepted (") for kind in changed(document))


def test_it_is_asked_in_the_words_of_the_file_and_its_guideline():
    verifier = judge("yes", guideline={"": "Mark diseases."}, types={"Disease": "ill", "Chemical": ""})
    annotate(TEXT, Words({"fever": "Disease"}), verifiers=[verifier])
    (request,) = verifier.tagger.sender.backend.asked
    assert "Disease: ill" in request.messages[0].content and "Mark diseases." in request.messages[0].content
    assert "[[ and ]]" in request.messages[0].content and request.grammar is not None and request.logprobs


def test_without_room_a_mention_stays():
    document = annotate(TEXT, Words(WORDS), verifiers=[judge("no", context=40)])
    assert changed(document) == {"same: accepted (no room for the question)": 3}


def test_a_backend_without_probabilities_is_asked_without():
    can = Abilities(grammars=frozenset({"json_schema"}))
    verifier = judge('{"answer": "no"}', can=can)
    assert annotate(TEXT, Words(WORDS), verifiers=[verifier]).spans == []
    assert not verifier.tagger.sender.backend.asked[0].logprobs


def test_a_call_without_an_answer_fails_the_document():
    def answer(words):
        return Failure("timed out") if words == "fever" else "yes"

    with pytest.raises(VanerError, match="document d0: same gave no answer: timed out; annotate it again"):
        annotate(TEXT, Words(WORDS), verifiers=[judge(answer)])
    document = annotate(TEXT, Words(WORDS), verifiers=[judge(answer, on_failed="leave")])
    assert document.metadata["failed"] == "same gave no answer: timed out" and len(document.spans) == 3


def test_after_a_kill_nothing_is_asked_twice(tmp_path):
    def killed(words):
        if words == "breast cancer":
            raise KeyboardInterrupt
        return "yes"

    with pytest.raises(KeyboardInterrupt):
        annotate(TEXT, Words(WORDS), verifiers=[judge(killed, store=RequestStore(tmp_path / "s"))])
    again = judge("yes", store=RequestStore(tmp_path / "s"))
    annotate(TEXT, Words(WORDS), verifiers=[again])
    # The backend answers from the last to the first: what stands behind was answered.
    assert again.counts["requests"] + again.counts["requests answered from the store"] == 3
    assert again.counts["requests answered from the store"] == 2
    third = judge("no", store=RequestStore(tmp_path / "s"))
    annotate(TEXT, Words(WORDS), verifiers=[third])
    assert third.tagger.sender.backend.asked == [] and "3 from the store" in third.remarks()[0]


def test_the_annotating_model_asked_again_pays_into_one_purse():
    def says(request):
        last = request.messages[-1].content
        return (
            "yes"
            if "[[" in last
            else "\n".join(f"{w} : {'B-Disease' if w == 'fever' else 'O'}" for w in last.split("\n"))
        )

    tagger = prompted(says)
    annotator = Annotator({"p": tagger}, ["Disease"], verifiers=[ModelVerifier("same", tagger, own=False)])
    (document,) = annotated(annotator, TEXT)
    assert said(document) == ["fever/Disease"]
    assert (
        annotator.counts["requests"] == 3 and sum("3 requests" in line for line in annotator.remarks()) == 1
    )


def test_it_reads_ahead_and_keeps_the_order(monkeypatch):
    monkeypatch.setattr("vaner.annotation.verifying.BUFFER_REQUESTS", 3)
    texts = [f"fever {number}. Nothing." for number in range(7)]
    annotator = Annotator({"w": Words({"fever": "Disease"})}, ["Disease"], verifiers=[judge("no")])
    assert [one.id for one in annotated(annotator, *texts)] == [f"d{number}" for number in range(7)]
    assert annotator.counts["changed: same: rejected"] == 7


# --- a tagger ---


def test_a_tagger_agrees_corrects_or_rejects():
    other = Words({"familial breast cancer": ("Disease", 0.9), "fever": ("Disease", 0.5)})
    document = annotate(TEXT, Words(WORDS), verifiers=[TaggerVerifier("labeler", other)])
    assert said(document) == ["familial breast cancer/Disease", "fever/Disease"]
    assert [span.score for span in document.spans] == [pytest.approx(0.72), pytest.approx(0.25)]
    assert changed(document) == {"labeler: corrected": 1, "labeler: rejected": 1}


def test_a_type_that_it_does_not_know_is_let_through():
    other = Words({}, types=["Disease"])
    words = Words({"fever": "Disease", "genes": "Chemical"})
    document = annotate(TEXT, words, verifiers=[TaggerVerifier("labeler", other)])
    assert said(document) == ["genes/Chemical"] and other.asked == [["Disease"]]
    assert changed(document) == {"labeler: rejected": 1, "labeler: accepted (it does not know the type)": 1}
    with pytest.raises(VanerError, match="--verify labeler: knows none of Chemical"):
        annotated(Annotator({"w": words}, ["Chemical"], verifiers=[TaggerVerifier("labeler", other)]), TEXT)


# --- what is done with verdicts ---


def test_a_correction_runs_into_no_other_mention():
    document = Document("d", "breast cancer and colon cancer")
    spans = [document.span(0, 13, "Disease", score=0.5), document.span(18, 30, "Disease", score=0.5)]
    marked = Marked(document, spans)
    marked.follow("v", [Verdict("corrected", 0.9, 0, 23), Verdict()])
    assert [(s.start, s.end) for s in marked.spans] == [(0, 13), (18, 30)]
    assert marked.changed == {"v: accepted (its correction runs into another mention)": 1}


def test_a_correction_that_becomes_another_mention_is_that_one():
    document = Document("d", "breast cancer")
    spans = [document.span(0, 13, "Disease", score=0.5), document.span(7, 13, "Disease", score=0.9)]
    marked = Marked(document, spans)
    marked.follow("v", [Verdict(), Verdict("corrected", 1.0, 0, 13)])
    assert [(s.start, s.end, s.score) for s in marked.spans] == [(0, 13, 0.9)]
    assert marked.changed == {"v: corrected (became another mention)": 1}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    st.text(max_size=40),
    st.sampled_from(["yes", "no", "instead: ", '{"answer": "instead: ', "", "```"]),
    st.booleans(),
)
def test_no_answer_changes_the_text(junk, begin, forced):
    text = "İstanbul <|im_end|> fever \ud800 😀\n\nbreast\u00ad cancer [[fever]] fever."
    words = Words({"fever": "Disease", "breast\u00ad cancer": "Disease", "İstanbul": "Chemical"})
    verifier = judge(begin + junk, decoding="forced" if forced else "free")
    document = annotate(text, words, verifiers=[verifier], propagated=True)
    assert document.text == text and all(text[s.start : s.end] == s.text for s in document.spans)
