"""In: an index, segmented texts, a row's words and types. Out: hints of the names in it, for the instruction.

    words   ... a woman with breast cancer was given tamoxifen ...          asked: Chemical, Disease

    If any Chemical or Disease entity is mentioned in the input, extract it. Note: breast cancer is a Disease.
    tamoxifen is a Chemical. ##input: ... a woman with breast cancer was given tamoxifen ...

Hints say what the dictionary tagger finds, right or wrong, of the asked types only: what is asked of one type does
not hang on which other types an index happens to hold, and the room goes to names that matter. Gold has no part in
them, neither in training nor in tagging.
"""

from __future__ import annotations

import math
import os
from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence

from vaner.errors import VanerError
from vaner.inputs.features import MAX_WORD_TOKENS, Tokenisation
from vaner.inputs.instructions import Instruction, Template
from vaner.knowledge import DictionaryTagger, KnowledgeBase
from vaner.text.units import Text

#: Names of a text: first word, one past the last word, type; in the order of the text.
Names = list[tuple[int, int, str]]


class Hints:
    """Writes hints for the instruction.

    Args:
        kb: the index, or its path.
        types: those that may be asked.
        most: at most so many in a row; the names with the most words, then letters, come first.
        tokens: what they may take of a row's tokens, ``Note:`` included.

    Attributes:
        types: those of them that the index has names of.
        kb: the index.

    Raises:
        VanerError: an index that has no name of any of the types.
    """

    def __init__(
        self,
        kb: KnowledgeBase | str | os.PathLike,
        types: Collection[str],
        *,
        most: int = 8,
        tokens: int = 64,
    ) -> None:
        self._dictionary = DictionaryTagger(kb)
        self.kb = self._dictionary.kb
        self.types = tuple(sorted(set(types) & set(self._dictionary.types)))
        self._most, self.tokens = most, tokens
        if not self.types:
            raise VanerError(
                f"{self.kb.path}: no hint to give, for it has no name of {', '.join(sorted(types))}; it has "
                f"{', '.join(self._dictionary.types)}; build an index with vocabularies of these types"
            )

    def names(self, texts: Iterable[Text]) -> list[Names]:
        """The names in each text, of all of `types`; the texts' own spans are not looked at."""
        texts = list(texts)
        bare = (text.document.with_spans([]) for text in texts)
        found = []
        for text, tagged in zip(texts, self._dictionary.tag_documents(bare, self.types), strict=True):
            starts = [start for start, _ in text.offsets]
            ends = [end for _, end in text.offsets]
            places = [
                (bisect_left(ends, s.start + 1), bisect_left(starts, s.end), s.type) for s in tagged.spans
            ]
            found.append(sorted(places))
        return found

    def room(self, tokenisation: Tokenisation, instruction: Instruction) -> int:
        """Tokens left for words in a row with hints.

        Raises:
            VanerError: too few.
        """
        # They stand in the row once, whatever copies of the words it has.
        room = tokenisation.room(instruction) - math.ceil(self.tokens / tokenisation.copies)
        if room < 2 * MAX_WORD_TOKENS:
            raise VanerError(
                f"hints may take {self.tokens} of {tokenisation.max_tokens} tokens and leave {max(room, 0)} for the "
                "text; lower --kb_hint_tokens, or raise --max_tokens"
            )
        return room

    def of_row(
        self,
        tokenisation: Tokenisation,
        template: Template,
        types: Sequence[str],
        dataset: str | None,
        words: Sequence[str],
        names: Names,
        start: int,
        end: int,
    ) -> tuple[str, ...]:
        """The hints of a row, in the order of its words.

        Args:
            tokenisation: of the model.
            template: of the instruction, with ``{hints}`` in it.
            types: the asked ones.
            dataset: as the instruction names it.
            words: all of the text.
            names: in it, see `names`.
            start, end: word range of the row; names that lie in it whole are hinted at.

        Returns:
            sentences, such as ``tamoxifen is a Chemical.``, for `Template.render`; none where no name fits.
        """
        places: dict[str, int] = {}
        kinds: dict[str, set[str]] = {}
        lengths: dict[str, int] = {}
        for at in range(bisect_left(names, (start,)), len(names)):
            first, last, type = names[at]
            if first >= end:
                break
            if last <= end and type in types:
                name = " ".join(words[first:last])
                places.setdefault(name, first)
                kinds.setdefault(name, set()).add(type)
                lengths[name] = last - first
        ranked = sorted(places, key=lambda name: (-lengths[name], -len(name), places[name]))[: self._most]
        asked = len(tokenisation.instruction(template.render(types, dataset))[0])
        while ranked:
            hints = tuple(_sentence(name, kinds[name]) for name in sorted(ranked, key=places.__getitem__))
            if (
                len(tokenisation.instruction(template.render(types, dataset, hints))[0]) - asked
                <= self.tokens
            ):
                return hints
            ranked.pop()
        return ()


def _sentence(name: str, types: Collection[str]) -> str:
    called = [f"{'an' if type[0] in 'AEIOUaeiou' else 'a'} {type}" for type in sorted(types)]
    return f"{name} is {' or '.join(called)}."
