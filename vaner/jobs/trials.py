"""In: tasks and their outcomes. Out: what to try next, until each unit is done, with or without the documents to blame.

    fails once                      the same again, by another worker
    fails twice                     each of its documents by itself, thrown away afterwards
      a document fails twice        it is rejected
    then                            what is left, together: the same bytes whatever it was that failed

So a unit that failed by accident (a machine that was taken away) is in the end tagged as if it had not, and one with a
poisonous document always as if that document had not been there.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from vaner.document import Document
from vaner.jobs.packing import pack, unpack
from vaner.jobs.worker import Outcome, Tagged, Task

#: How often a task is tried.
TRIES = 2


@dataclass
class Done:
    """A unit that is finished.

    Attributes:
        tagged: its documents, and what was counted.
        rejected: the documents that are to blame, and why.
        singly: its documents were tagged one by one, since together they failed even without those.
    """

    tagged: Tagged
    rejected: list[tuple[Document, str]] = field(default_factory=list)
    singly: bool = False


@dataclass
class _Search:
    """A unit that is searched for the documents to blame."""

    documents: list[Document]
    tagged: dict[int, Tagged] = field(default_factory=dict)
    blamed: dict[int, str] = field(default_factory=dict)

    def over(self) -> bool:
        return len(self.tagged) + len(self.blamed) == len(self.documents)

    def left(self) -> list[Document]:
        return [one for number, one in enumerate(self.documents) if number not in self.blamed]

    def rejected(self) -> list[tuple[Document, str]]:
        return [(self.documents[number], self.blamed[number]) for number in sorted(self.blamed)]

    def singly(self) -> Tagged:
        each = [self.tagged[number] for number in sorted(self.tagged)]
        counts: Counter[str] = Counter()
        for one in each:
            counts.update(one.counts)
        documents = [document for one in each for document in unpack(one.content)]
        return Tagged(pack(documents), dict(counts), sum(one.seconds for one in each))


class Trials:
    """Every unit on its way through the workers."""

    def __init__(self) -> None:
        self._failures: Counter[tuple[str, int, int]] = Counter()
        self._searches: dict[tuple[str, int], _Search] = {}

    def took(self, task: Task, outcome: Outcome) -> tuple[list[Task], Done | None]:
        """What a task's outcome leads to: tasks to try now, or the unit that is done by it."""
        source, unit, document = task.key
        search = self._searches.get((source, unit))
        if outcome.tagged is not None:
            if document < 0:
                return [], self._done(task, outcome.tagged)
            assert search is not None
            search.tagged[document] = outcome.tagged
        else:
            self._failures[task.key] += 1
            if self._failures[task.key] < TRIES:
                return [task], None
            if document >= 0:
                assert search is not None
                search.blamed[document] = outcome.failure
            elif search is not None:
                return [], self._done(task, search.singly(), singly=True)
            else:
                search = self._searches[source, unit] = _Search(task.documents)
                if len(task.documents) > 1:
                    return [
                        Task((source, unit, number), [one]) for number, one in enumerate(task.documents)
                    ], None
                search.blamed[0] = outcome.failure
        if search is None or not search.over():
            return [], None
        del self._failures[source, unit, -1]
        if not search.left():
            nothing = {"documents": 0, "characters": 0, "spans": 0, "tokens": 0, "padded_tokens": 0}
            return [], self._done(task, Tagged(pack([]), nothing, 0.0))
        return [Task((source, unit, -1), search.left())], None

    def _done(self, task: Task, tagged: Tagged, *, singly: bool = False) -> Done:
        source, unit, _ = task.key
        search = self._searches.pop((source, unit), None)
        for key in [key for key in self._failures if key[:2] == (source, unit)]:
            del self._failures[key]
        return Done(tagged, search.rejected() if search else [], singly)
