"""A unit that fails comes through in the end, without the documents to blame, and always the same way."""

from tests.jobs.taggers import Capitals, Settings
from vaner.document import Document
from vaner.jobs.packing import unpack
from vaner.jobs.trials import Trials
from vaner.jobs.worker import Outcome, Task, tag


def through(texts, fails):
    """What becomes of a unit whose tasks fail as ``fails(task, how often it was tried)`` says."""
    trials, tried = Trials(), {}
    task = Task(("a", 0, -1), [Document(str(i), text) for i, text in enumerate(texts)])
    waiting, done, order = [task], None, []
    while waiting:
        task = waiting.pop(0)
        assert done is None
        number = tried[task.key, len(task.documents)] = tried.get((task.key, len(task.documents)), 0) + 1
        order.append(len(task.documents))
        settings = Settings()
        outcome = (
            Outcome(task.key, failure="it died")
            if fails(task, number)
            else tag(Capitals(settings), settings, task)
        )
        more, done = trials.took(task, outcome)
        waiting += more
    documents = unpack(done.tagged.content)
    assert done.tagged.counts["documents"] == len(documents)
    assert trials._failures == {} and trials._searches == {}
    return documents, [(document.id, why) for document, why in done.rejected], done.singly, order


TEXTS = ["A", "B", "Bad", "D"]


def has_bad(task, number):
    return any("Bad" in one.text for one in task.documents)


def test_what_fails_once_is_tried_again():
    whole = through(TEXTS, lambda task, number: False)
    assert whole[1:] == ([], False, [4])
    assert through(TEXTS, lambda task, number: number == 1)[:3] == whole[:3]


def test_the_document_to_blame_is_found_and_the_others_are_tagged_together():
    documents, rejected, singly, order = through(TEXTS, has_bad)
    assert rejected == [("2", "it died")] and not singly
    assert order == [4, 4, 1, 1, 1, 1, 1, 3]
    assert documents == through(["A", "B", "D"], lambda *_: False)[0] or [d.id for d in documents] == [
        "0",
        "1",
        "3",
    ]
    assert {span.score for d in documents for span in d.spans} == {3 / 1000}, "they shared a call"


def test_two_accidents_leave_the_same_bytes_as_none():
    whole = through(TEXTS, lambda task, number: False)[0]
    documents, rejected, _, _ = through(TEXTS, lambda task, number: len(task.documents) == 4 and number <= 2)
    assert documents == whole and rejected == []


def test_a_unit_that_fails_together_whatever_is_taken_out_is_tagged_one_by_one():
    documents, rejected, singly, _ = through(TEXTS, lambda task, number: len(task.documents) > 1)
    assert [d.id for d in documents] == ["0", "1", "2", "3"] and rejected == [] and singly


def test_all_of_it_to_blame():
    documents, rejected, _, _ = through(["Bad", "Bad"], has_bad)
    assert documents == [] and [id for id, _ in rejected] == ["0", "1"]
    documents, rejected, _, order = through(["Bad"], has_bad)
    assert documents == [] and rejected == [("0", "it died")] and order == [1, 1]
