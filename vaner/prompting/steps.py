"""In: a call, the answers to it, a step at a time. Out: the next step's request; in the end what was found.

reason    "list every mention, and why it is one"      free text, read by nobody but the model
mark      that list, then the text to be marked        the answer, in its format
correct   the marking, to be checked                   the answer again, in the same format

The text is the document's, always: what `correct` is shown is written from the mentions that were placed in it, and
its answer is placed as the first was.

What a step may fail at: a call without an answer fails the whole, as without steps, and is asked again in another
run. A refusal to reason, and reasons that leave no room, are done without. A correction counts where it says
something of every word of which the marking did; else the marking stays. All of it is counted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from vaner.prompting.found import FAILED_CALL, REFUSED, Found
from vaner.prompting.prompt import CORRECT, MARK, REASON, Call, Prompter, Said
from vaner.prompting.request import CUT_OFF, Answer, Failure, Request
from vaner.prompting.request import REFUSED as REFUSAL
from vaner.prompting.unit import plain_lines

# What is counted beside what answers lose.
WITHOUT_REASONS = "marked without reasons"
REASONS_CUT = "reasons were cut off"
UNCORRECTED = "corrections that cannot be read"
ADDED, REMOVED = "mentions that a correction added", "mentions that a correction took out"


@dataclass
class Conversation:
    """A call, asked step by step, once: each repeat of it is a conversation of its own.

    Attributes:
        call: what is asked.
        repeat: number among those of the same call.
        found: what the last answer that counts came to; None as long as there is none.
        why: why there is none, where a step failed.
        lost: what was lost before anything could be read, by cause.
        steps: what became of the steps around the marking.
    """

    call: Call
    repeat: int = 0
    found: Found | None = None
    why: str = ""
    lost: Counter[str] = field(default_factory=Counter)
    steps: Counter[str] = field(default_factory=Counter)
    _reasons: str = ""

    def request(self, step: str, prompter: Prompter) -> Request | None:
        """What is sent in this step; None where nothing is."""
        call = self.call
        if self.why or isinstance(call.request, Failure):
            return None
        if step == prompter.settings.steps[0]:
            return prompter.repeats(call.request)[self.repeat]
        if step == MARK:
            request = prompter.step(step, call, Said(reasons=self._reasons))
            if request is None:
                self.steps[WITHOUT_REASONS] += 1
                request = prompter.step(step, call, Said())
            if request is None:
                self.fail("the prompt leaves no room for its answer")
                return None
        else:
            assert self.found is not None
            marked = prompter.format.write(call.unit, self.found.mentions, list(call.types))
            request = prompter.step(step, call, Said(marked=marked))
            if request is None:
                self.steps[UNCORRECTED] += 1
                return None
        return prompter.repeats(request)[self.repeat]

    def take(self, step: str, answer: Answer | Failure, prompter: Prompter) -> None:
        """Read the answer to a step."""
        if isinstance(answer, Failure):
            self.fail(answer.why)
        elif step == REASON:
            self._take_reasons(answer)
        elif answer.finish != REFUSAL:
            found = prompter.format.read(answer, self.call.unit, self.call.types, prompter.alignment)
            if step == CORRECT:
                self._take_correction(found)
            else:
                self.found = found
        elif step == CORRECT:
            self.steps[UNCORRECTED] += 1
        else:
            self.lost[REFUSED] += 1
            self.why = f"the model refused ({answer.text.strip()[:80]!r})"

    def fail(self, why: str) -> None:
        """There is no answer."""
        self.lost[FAILED_CALL] += 1
        self.found, self.why = None, why

    def _take_reasons(self, answer: Answer) -> None:
        lines = [] if answer.finish == REFUSAL else plain_lines(answer.text).splitlines()
        # Small models say the same line until they are cut off; said again it says nothing.
        self._reasons = "\n".join(dict.fromkeys(lines))
        self.steps[REASONS_CUT] += answer.finish == CUT_OFF
        self.steps[WITHOUT_REASONS] += not self._reasons

    def _take_correction(self, found: Found) -> None:
        marked = self.found
        assert marked is not None
        if found.unread_words > marked.unread_words:
            self.steps[UNCORRECTED] += 1
            return
        self.lost.update(marked.lost)
        before, after = ({(m.start, m.end, m.type) for m in one.mentions} for one in (marked, found))
        self.steps[ADDED] += len(after - before)
        self.steps[REMOVED] += len(before - after)
        found.examples = marked.examples | found.examples
        self.found = found
