"""In: a text, asked about in steps. Out: what each step is told, what counts of it, and that the text is the text."""

import pytest

from tests.prompting.fake import FakeBackend, tag
from vaner.document import Document
from vaner.errors import VanerError
from vaner.prompting.opening import prompter
from vaner.prompting.request import CUT_OFF, REFUSED, Answer, Failure
from vaner.prompting.sending import Sender
from vaner.prompting.settings import PromptSettings
from vaner.prompting.store import RequestStore
from vaner.tagging.prompted import PromptedTagger

TEXT = "Aspirin gives fever. Nothing here."
ALL = ["reason", "mark", "correct"]


def step_of(request):
    """Which step asks this, and its question."""
    last = request.messages[-1].content
    if "List every mention" in request.messages[0].content:
        return "reason", last
    if last.startswith("Check the answer"):
        return "correct", last.partition("\n\n")[2]
    return "mark", last


def answering(**says):
    """A model that says for each step what a function of the question says; it marks aspirin where nothing is said."""

    def answer(request):
        step, question = step_of(request)
        if step in says:
            said = says[step]
            return said(question) if callable(said) else said
        return "Aspirin | Chemical | a drug" if step == "reason" else tag(question, Aspirin="Chemical")

    return answer


def tagger(says, *, store=None, context=None, **values):
    options = {name: values.pop(name) for name in ("on_failed", "dry_run", "show_prompt") if name in values}
    settings = PromptSettings.of(
        {"types": ["Chemical", "Disease"], "max_words": 1, "steps": ALL, **values}, "p.yaml"
    )
    backend = FakeBackend(says, context=context)
    return PromptedTagger(settings, prompter(settings, backend), Sender(backend, store), **options)


def run(asked, text=TEXT):
    (document,) = asked.tag_documents([Document("d", text)])
    assert document.text == text
    return document


def found(document):
    return [f"{span.text}/{span.type}" for span in document.spans]


def said(asked):
    return "\n".join(asked.remarks())


def turns(request):
    return [(message.role, message.content) for message in request.messages]


def test_each_step_is_told_what_the_one_before_said():
    asked = tagger(answering(), guideline="Mark drugs.\nNo patients.")
    assert found(run(asked, "Aspirin helps.")) == ["Aspirin/Chemical"]
    reason, mark, correct = asked.sender.backend.asked
    assert [step_of(one)[0] for one in (reason, mark, correct)] == ALL
    assert turns(reason)[-1] == ("user", "Aspirin helps.") and reason.grammar is None
    assert mark.grammar is not None and correct.grammar == mark.grammar
    roles = [role for role, _ in turns(mark)]
    assert roles == ["system", "user", "assistant", "user"]
    assert turns(mark)[2][1] == "Aspirin | Chemical | a drug"
    assert turns(mark)[1][1].startswith("List every mention") and turns(mark)[1][1].endswith("Aspirin helps.")
    assert turns(correct)[2] == ("assistant", "Aspirin : B-Chemical\nhelps : O\n. : O")
    assert turns(correct)[3][1].startswith("Check the answer above against the guideline:")
    assert turns(correct)[3][1].endswith("Aspirin\nhelps\n.")


def test_the_guideline_is_told_where_the_wording_shows_it():
    guideline = {
        "Chemical": "Mark <|im_end|> drugs.\n\n  No doses.",
        "Disease": "Mark <|im_end|> drugs.\n\n  No doses.",
    }
    asked = tagger(
        answering(), guideline=guideline, system="{{ guideline }}|{{ rules }}", one_type_per_call=False
    )
    run(asked, "Aspirin.")
    for request in asked.sender.backend.asked:
        assert request.messages[0].content.startswith("Mark < |im_end|> drugs.\nNo doses.|")
    assert turns(asked.sender.backend.asked[-1])[-1][1].startswith(
        "Check the answer above against the guideline"
    )
    one = tagger(answering(), guideline={"Disease": "D.", "": "All."}, system="{{ guideline }}", one_type_per_call=True,
                 steps=["mark"])  # fmt: skip
    run(one, "Aspirin.")
    assert sorted(turns(request)[0][1] for request in one.sender.backend.asked) == ["All.", "All.\nD."]


def test_one_step_asks_what_it_asked_before_there_were_steps():
    asked = tagger(answering(), steps="mark")
    run(asked)
    assert [step_of(one)[0] for one in asked.sender.backend.asked] == ["mark", "mark"]
    assert all(len(one.messages) == 2 for one in asked.sender.backend.asked)


def test_a_correction_counts():
    asked = tagger(answering(correct=lambda question: tag(question, fever="Disease")))
    assert found(run(asked)) == ["fever/Disease"]
    assert asked.counts["steps: mentions that a correction added"] == 1
    assert asked.counts["steps: mentions that a correction took out"] == 1
    assert "1 mentions that a correction added" in said(asked)


@pytest.mark.parametrize(
    "correction", ["", "I see nothing wrong.", "Aspirin : O", Answer("Sorry", finish=REFUSED)]
)
def test_a_correction_that_cannot_be_read_changes_nothing(correction):
    """Nothing is marked in words of which a correction says nothing: that is no correction."""
    asked = tagger(answering(correct=correction), decoding="free")
    assert found(run(asked, "Aspirin gives fever.")) == ["Aspirin/Chemical"]
    assert asked.counts["steps: corrections that cannot be read"] == 1


def test_reasons_are_done_without():
    for reasons in ("", " \n", Answer("I may not", finish=REFUSED)):
        asked = tagger(answering(reason=reasons))
        assert found(run(asked, "Aspirin.")) == ["Aspirin/Chemical"]
        assert asked.counts["steps: marked without reasons"] == 1
        assert len(asked.sender.backend.asked[1].messages) == 2
    cut = tagger(answering(reason=Answer("Aspirin | Chem", finish=CUT_OFF)))
    run(cut, "Aspirin.")
    assert cut.counts["steps: reasons were cut off"] == 1
    assert turns(cut.sender.backend.asked[1])[2][1] == "Aspirin | Chem"


def test_a_reason_that_is_said_again_is_told_once():
    asked = tagger(answering(reason="none\nAspirin | a drug\n none\n" * 30))
    run(asked, "Aspirin.")
    assert turns(asked.sender.backend.asked[1])[2][1] == "none\nAspirin | a drug"


def test_reasons_that_leave_no_room_are_done_without():
    # The budget keeps reasons short; a tokenizer that counts them otherwise when they are read again does not.
    asked = tagger(
        answering(reason="".join(f"word{number} " for number in range(400))),
        context=500,
        steps=["reason", "mark"],
    )
    assert found(run(asked, "Aspirin.")) == ["Aspirin/Chemical"]
    assert asked.counts["steps: marked without reasons"] == 1


@pytest.mark.parametrize("step", ALL)
def test_a_step_without_an_answer_fails_the_document(step):
    asked = tagger(answering(**{step: Failure("timed out")}), on_failed="leave")
    document = run(asked, "Aspirin.")
    assert document.spans == [] and document.metadata["failed"].endswith("timed out")
    with pytest.raises(VanerError, match="document d: 1 of 1 calls gave no answer: timed out"):
        run(tagger(answering(**{step: Failure("timed out")})), "Aspirin.")


@pytest.mark.parametrize("step", ALL)
def test_after_a_kill_in_any_step_nothing_is_asked_twice(tmp_path, step):
    def killed(request):
        if step_of(request)[0] == step:
            raise KeyboardInterrupt
        return answering()(request)

    store = RequestStore(tmp_path / "s.sqlite")
    first = tagger(killed, store=store)
    with pytest.raises(KeyboardInterrupt):
        run(first)
    again = tagger(answering(), store=RequestStore(tmp_path / "s.sqlite"))
    whole = tagger(answering())
    assert run(again).spans == run(whole).spans
    paid = [one for one in first.sender.backend.asked if step_of(one)[0] != step] + again.sender.backend.asked
    assert sorted(map(repr, paid)) == sorted(map(repr, whole.sender.backend.asked))
    third = tagger(answering(), store=RequestStore(tmp_path / "s.sqlite"))
    run(third)
    assert third.sender.backend.asked == [] and third.counts["requests answered from the store"] == 6


def test_repeats_are_conversations_of_their_own():
    def answer(request):
        step, question = step_of(request)
        if step == "reason":
            return f"reason {request.repeat}"
        if step == "mark":
            assert turns(request)[2][1] == f"reason {request.repeat}"
        return tag(question, **({"Aspirin": "Chemical"} if request.repeat else {"fever": "Disease"}))

    asked = tagger(answer, repeats=3, sampling={"temperature": 0.5, "seed": 7}, scores="votes")
    document = run(asked)
    assert [(s.text, s.score) for s in document.spans] == [("Aspirin", pytest.approx(2 / 3))]
    assert {(r.repeat, r.sampling.seed) for r in asked.sender.backend.asked} == {(0, 7), (1, 8), (2, 9)}


def test_a_dry_run_counts_all_steps(tmp_path):
    asked = tagger(answering(), dry_run=True)
    run(asked)
    assert "6 requests to send" in said(asked) and asked.sender.backend.asked == []
    shown = tagger(answering(), show_prompt=3)
    list(shown.tag_documents([Document("d", TEXT)]))
    assert "=== request 3" in said(shown) and "(what the model answers)" in said(shown)


def test_a_text_without_room_for_all_steps_is_asked_in_parts():
    text = "Aspirin gives fever today. Aspirin gives fever again."
    roomy, tight = (tagger(answering(), context=context, max_words=96) for context in (2000, 240))
    assert found(run(roomy, text)) == found(run(tight, text)) == ["Aspirin/Chemical", "Aspirin/Chemical"]
    assert roomy.prompter.split == 0 and tight.prompter.split == 1
    assert tight.counts["requests"] == 6
    marked_only = tagger(answering(), context=240, max_words=96, steps="mark")
    run(marked_only, text)
    assert marked_only.prompter.split == 0


@pytest.mark.parametrize("format", ["token_tags", "tags", "inline", "json"])
def test_whatever_a_step_writes_the_text_is_what_it_was(format):
    text = "İstanbul <|im_end|> fever \ud800 😀\n\nAspirin\u00adacid </Chemical>."
    for junk in (
        "<Chemical>İs",
        '{"mentions": [{"type": "Chemical", "text": "fev',
        "fever : B-Disease\n" * 9,
        "\x00",
    ):
        for decoding in ("free", "forced"):
            asked = tagger(
                lambda request, junk=junk: junk, answer=format, decoding=decoding, on_failed="leave"
            )
            document = run(asked, text)
            assert all(text[s.start : s.end] == s.text for s in document.spans)


def test_wrong_steps_are_refused():
    with pytest.raises(VanerError, match="p.yaml: guideline: is said nowhere"):
        PromptSettings.of({"guideline": "Mark.", "system": "{{ rules }}"}, "p.yaml")
    for steps in (["correct", "mark"], ["reason"], ["mark", "mark"], []):
        with pytest.raises(VanerError, match="p.yaml: steps: "):
            PromptSettings.of({"steps": steps}, "p.yaml")
    with pytest.raises(VanerError, match="p.yaml: reason: unknown name 'question'"):
        PromptSettings.of({"reason": "{{ question }}"}, "p.yaml")
