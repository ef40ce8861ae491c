"""In: documents, several annotators. Out: what most of them marked, how sure that is, and that nothing else changed."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.annotation.made import Words, annotate, annotated, changed, documents, prompted, said
from vaner.annotation.annotator import Annotator
from vaner.annotation.verifying import TaggerVerifier
from vaner.document import Document, Span
from vaner.errors import VanerError
from vaner.formats import read, write
from vaner.prompting.request import Failure

TEXT = "Aspirin gives fever and breast cancer."


def test_one_annotator_is_believed():
    document = annotate(TEXT, Words({"fever": ("Disease", 0.7), "Aspirin": "Chemical"}), instructions="abc")
    assert [(s.text, s.type, s.score) for s in document.spans] == [
        ("Aspirin", "Chemical", 1),
        ("fever", "Disease", 0.7),
    ]
    assert document.types == {"Disease", "Chemical"}
    assert document.metadata == {"year": 1, "annotation": {"instructions": "abc", "annotators": ["tagger-0"]}}


def test_most_of_several_count_and_every_vote_is_kept():
    document = annotate(
        TEXT,
        Words({"fever": ("Disease", 0.9), "Aspirin": "Chemical"}),
        Words({"fever": ("Disease", 0.6), "breast cancer": "Disease"}),
        Words({"fever": "Disease", "Aspirin": ("Chemical", 0.5)}),
    )
    assert said(document) == ["Aspirin/Chemical", "fever/Disease"]
    assert [span.score for span in document.spans] == [pytest.approx(1.5 / 3), pytest.approx(2.5 / 3)]
    assert changed(document) == {"outvoted": 1}
    assert document.metadata["annotation"]["votes"] == [
        [0, 7, "Chemical", [0, 2]], [14, 19, "Disease", [0, 1, 2]], [24, 37, "Disease", [1]],
    ]  # fmt: skip


def test_of_two_both_must_have_it_unless_one_is_enough():
    two = Words({"fever": "Disease", "Aspirin": "Chemical"}), Words({"fever": ("Disease", 0.5)})
    assert said(annotate(TEXT, *two)) == ["fever/Disease"]
    document = annotate(TEXT, *two, least_votes=1)
    assert [(s.text, s.score) for s in document.spans] == [("Aspirin", 0.5), ("fever", 0.75)]


def test_who_does_not_know_a_type_has_no_vote_on_it():
    diseases = Words({"fever": "Disease"}, types=["Disease"])
    both = Words({"fever": "Disease", "Aspirin": "Chemical"})
    document = annotate(TEXT, diseases, both)
    assert [(s.text, s.score) for s in document.spans] == [("Aspirin", 1), ("fever", 1)]
    assert diseases.asked == [["Disease"]] and both.asked == [["Disease", "Chemical"]]
    with pytest.raises(VanerError, match="type 'Gene'"):
        annotated(Annotator({"a": diseases}, ["Gene"]), TEXT)


def test_of_overlapping_borders_those_with_the_most_votes_stay():
    short, long = Words({"cancer": ("Disease", 0.9)}), Words({"breast cancer": ("Disease", 0.8)})
    document = annotate(TEXT, short, long, Words({"breast cancer": ("Disease", 0.1)}), least_votes=1)
    assert said(document) == ["breast cancer/Disease"]
    assert changed(document) == {"outvoted by a mention that overlaps it": 1}
    nested = Words({"cancer": "Disease", "breast cancer": "Disease"})
    assert said(annotate(TEXT, nested)) == ["breast cancer/Disease", "cancer/Disease"]
    other = Words({"cancer": "Chemical"}), long
    assert len(annotate(TEXT, *other, least_votes=1).spans) == 2


def test_verifiers_judge_in_turn_and_copies_come_last():
    first = TaggerVerifier("first", Words({"fever": ("Disease", 0.5), "cancer": ("Disease", 0.5)}))
    second = TaggerVerifier("second", Words({"fever": ("Disease", 0.5), "breast cancer": ("Disease", 1.0)}))
    words = Words({"fever": "Disease", "breast cancer": ("Disease", 0.8), "Aspirin": "Chemical"})
    text = "Aspirin gives fever and breast cancer. Fever, cancer, breast cancer."
    document = annotate(text, words, verifiers=[first, second], propagated=True)
    # Words marks every place of a word, so that of fever alone another capital is left to be found.
    assert said(document) == [
        "fever/Disease",
        "breast cancer/Disease",
        "Fever/Disease",
        "breast cancer/Disease",
    ]
    assert [span.score for span in document.spans] == [0.25, pytest.approx(0.4), 0.25, pytest.approx(0.4)]
    assert document.spans[2].grounded == "propagated" and document.spans[0].grounded is None
    assert changed(document) == {
        "first: corrected": 2, "first: rejected": 1, "propagated": 1, "second: corrected": 2,
    }  # fmt: skip


def test_what_is_counted_and_said():
    annotator = Annotator(
        {"a": Words({"fever": "Disease"}, counts={"requests": 2}), "b": Words({}, counts={"requests": 1})},
        ["Disease"],
        verifiers=[TaggerVerifier("v", Words({}, counts={"requests": 4}))],
        least_votes=1,
    )
    annotated(annotator, TEXT, TEXT)
    assert annotator.counts == {"requests": 7, "changed: v: rejected": 2}
    assert annotator.remarks() == [
        "a: marked words", "b: marked words", "v: marked words",
        "0 mentions stand; changed on the way: 2 x v: rejected",
    ]  # fmt: skip
    assert list(annotator.tag_documents([])) == [] and annotator.counts == {"requests": 7}


def test_other_spans_and_metadata_of_a_document_are_as_before():
    before = Document(
        "d", TEXT, [Span(0, 7, "X", "Aspirin")], metadata={"failed": "old", "lost": {"x": 1}, "year": 1}
    )
    (after,) = Annotator({"a": Words({})}, ["Disease"]).tag_documents([before])
    assert after.spans == [] and after.metadata == {
        "year": 1, "annotation": {"instructions": "", "annotators": ["a"]},
    }  # fmt: skip
    assert before.metadata["failed"] == "old"


class Wrong(Words):
    def __init__(self, how):
        super().__init__({})
        self.how = how

    def tag_documents(self, documents, types=None, dataset=None):
        for document in documents:
            if self.how == "text":
                yield Document(document.id, document.text + " ")
            elif self.how == "id":
                yield Document("other", document.text)
            elif self.how == "twice":
                yield document
                yield document


@pytest.mark.parametrize("how", ["text", "id", "twice", "none"])
def test_an_annotator_that_gives_other_documents_is_refused(how):
    annotator = Annotator({"good": Words({}), "bad": Wrong(how)}, ["Disease"])
    with pytest.raises(VanerError, match="bad gave .*leave its text as it is"):
        list(annotator.tag_documents(documents(TEXT)))


def test_a_failed_document_says_so():
    failing = prompted(lambda request: Failure("timed out"), on_failed="leave")
    document = annotate(TEXT, Words({"fever": "Disease"}), failing, least_votes=1)
    assert document.metadata["failed"].startswith("tagger-1: 1 of 1 calls gave no answer: timed out")
    assert document.metadata["lost"] == {"failed call": 1} and said(document) == ["fever/Disease"]


def test_it_survives_a_file(tmp_path):
    document = annotate(TEXT, Words({"fever": ("Disease", 0.9)}), Words({"Aspirin": "Chemical"}), least_votes=1,
                        propagated=True)  # fmt: skip
    write(tmp_path / "a.jsonl", [document], "jsonl")
    (again,) = read(tmp_path / "a.jsonl")
    assert again == document and json.loads((tmp_path / "a.jsonl").read_text())


def test_nothing_is_sent_in_a_dry_run():
    planned = prompted(lambda request: "no", dry_run=True)
    shown = prompted(lambda request: "no", show_prompt=1)
    annotator = Annotator(
        {"a": planned, "b": shown}, ["Disease"], verifiers=[TaggerVerifier("v", Words({}))], dry=True
    )
    assert [one.spans for one in annotator.tag_documents(documents(TEXT, TEXT, TEXT))] == [[], [], []]
    remarks = "\n".join(annotator.remarks())
    assert (
        "1 request to send" in remarks and "=== request 1" in remarks and planned.sender.backend.asked == []
    )
    only = Annotator({"b": prompted(lambda request: "no", show_prompt=1)}, ["Disease"], dry=True)
    read = iter(documents(*[TEXT + str(number) for number in range(9)]))
    assert len(list(only.tag_documents(read))) == 1 and next(read).id == "d2"


ALPHABET = st.text(alphabet='fever cancr.\n-İ\u00ad😀<>[]{}":,', max_size=50)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@given(ALPHABET, ALPHABET, st.sampled_from(["token_tags", "tags", "inline", "json"]), st.booleans())
def test_whatever_a_model_answers_the_text_is_what_it_was(text, junk, format, forced):
    """A scripted model answers junk in every step; offsets hold, copies cross nothing, the text is the same."""
    annotator = prompted(
        lambda request: junk + request.messages[-1].content[-20:] + junk,
        answer=format, decoding="forced" if forced else "free", on_failed="leave", steps=["reason", "mark", "correct"],
    )  # fmt: skip
    document = annotate(
        text, annotator, Words({"fever": "Disease", "can": "Disease"}), least_votes=1, propagated=True
    )
    assert document.text == text
    assert all(text[span.start : span.end] == span.text and 0 <= span.score <= 1 for span in document.spans)
