"""In: an Instruction and a unit's words (and tags). Out: token ids, where words and types lie, labels, windows.

One row of the model's input:

    [BOS] If any Disease or Chemical entity ... ##input: Fam otid ine - induced delirium
                       ^           ^                      ^           ^ ^       ^
                       type_positions                     word_positions (first sub-token of each word)

or, where the template says so, the words and then the instruction. A backbone that looks back only may be given the
words twice: its second copy of a word has seen the whole first copy, and is the one that is labelled.

    [BOS] If any Disease ... ##input: Fam otid ine - induced delirium Fam otid ine - induced delirium
                                                                      ^           ^ ^       ^
                                                                      word_positions
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vaner.errors import VanerError
from vaner.inputs.instructions import Instruction
from vaner.inputs.remembered import Remembered

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# A word's first sub-token carries its label; a "word" of thousands of letters (a sequence) would fill the
# window and push its neighbours out, so only its beginning is read.
MAX_WORD_TOKENS = 48

# Bounds of what is remembered, so that any number of different words takes bounded memory.
MOST_WORDS = 500_000
MOST_INSTRUCTIONS = 100_000
MOST_SHORTENED = 100_000
LONGEST_REMEMBERED = 200  # characters; a longer word, rare as it is, is tokenised anew each time

# Of a longer word no more is tokenised: its first tokens do not depend on what comes so much later.
_MOST_CHARACTERS = 20_000
_AT_ONCE = 10_000  # words; what a tokenizer says of each takes a kilobyte until it is taken in
_CARRIER = "x"
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass
class Features:
    """One row of the model's input.

    Attributes:
        input_ids: int32, shape ``(tokens,)``.
        word_positions: int32, shape ``(words,)``, index of each word's first sub-token in ``input_ids``; of several
            copies of the words, in the last.
        type_positions: int32, shape ``(types, tokens)``, indices of the tokens that stand for each asked type (one,
            or all of its name), -1 where a type has fewer.
        labels: int8, shape ``(types, words)``, O, B, I, or IGNORED; None when tagging.
        instruction_length: tokens before the first word, special tokens included; 0 where the instruction stands
            after the words.
        lookups: uint8, shape ``(types, words, fields)``, what an index says (`vaner.inputs.lookups`); None where
            nothing is looked up.
        taught: float16, shape ``(types, words, 2)``, what a teacher says of the words (`vaner.inputs.taught`), NaN
            where it says nothing; None where it says nothing at all.
        label_weights: float32, shape ``(types, words)``, what each label counts; None: all the same.
    """

    input_ids: np.ndarray
    word_positions: np.ndarray
    type_positions: np.ndarray
    labels: np.ndarray | None = None
    instruction_length: int = 0
    lookups: np.ndarray | None = None
    taught: np.ndarray | None = None
    label_weights: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.input_ids)

    def instruction_key(self) -> bytes:
        """What tells its instruction, with the types asked in it, from another."""
        return self.input_ids[: self.instruction_length].tobytes() + self.type_positions.tobytes()

    def text(self) -> Features:
        """What stands behind the instruction, as a row of its own."""
        cut = self.instruction_length
        return Features(
            self.input_ids[cut:],
            self.word_positions - cut,
            self.type_positions[:0],
            self.labels,
            lookups=self.lookups,
        )


@dataclass(frozen=True)
class Window:
    """A word range read in one row, and the part of it whose predictions are kept.

    Attributes:
        start, end: words of the text that the row has.
        keep_start, keep_end: those of them that no other window keeps.
    """

    start: int
    end: int
    keep_start: int
    keep_end: int


class Tokenisation:
    """A tokenizer, used word by word and remembered: a word's tokens do not depend on its neighbours.

    Every word of the text stands behind one space, so what tokenizers do at its borders is always the same
    (byte-level BPE puts the space into the word's first token, SentencePiece its mark, WordPiece neither).

    Any number of threads may use one.

    Args:
        tokenizer: a fast tokenizer.
        max_tokens: the longest row, instruction, special tokens and every copy of the words included.
        copies: how many times a row has its words, one copy behind the other and nothing between them.

    Attributes:
        shortened: hashes of the words that were read by their first tokens only, MOST_SHORTENED at most.
        prefix, suffix: int32, the special tokens in front of a row and behind it.
        pad_id: of the padding.

    Raises:
        VanerError: a tokenizer that is not fast, or that changes a letter next to its special tokens.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, max_tokens: int, copies: int = 1) -> None:
        if not getattr(tokenizer, "is_fast", False):
            raise VanerError("the tokenizer gives no character offsets; use a fast one (tokenizer.json)")
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self.copies = copies
        self.shortened: set[int] = set()
        self._words: Remembered[str, np.ndarray] = Remembered(MOST_WORDS)
        self._instructions: Remembered[Instruction, tuple[np.ndarray, np.ndarray]] = Remembered(
            MOST_INSTRUCTIONS
        )
        with_specials = self._encode([_CARRIER], specials=True)[0]
        self._carrier = self._encode([_CARRIER])[0]
        at = _find(with_specials, self._carrier)
        self.prefix = np.array(with_specials[:at], dtype=np.int32)
        self.suffix = np.array(with_specials[at + len(self._carrier) :], dtype=np.int32)
        self.pad_id = next((i for i in (tokenizer.pad_token_id, tokenizer.eos_token_id) if i is not None), 0)

    def _encode(self, texts: Sequence[str], specials: bool = False) -> list[list[int]]:
        return self.tokenizer(
            list(texts), add_special_tokens=specials, return_attention_mask=False, return_token_type_ids=False
        )["input_ids"]

    def words(self, words: Iterable[str]) -> list[np.ndarray]:
        """Token ids of each word as it stands behind a space; int32, at most MAX_WORD_TOKENS of them."""
        words = list(words)
        known = self._words.now
        unseen = list({w for w in words if w not in known})
        if not unseen:
            return [known[w] for w in words]
        fresh: dict[str, np.ndarray] = {}
        for at in range(0, len(unseen), _AT_ONCE):
            some = unseen[at : at + _AT_ONCE]
            encoded = self._encode([f"{_CARRIER} {_encodable(w[:_MOST_CHARACTERS])}" for w in some])
            for word, ids in zip(some, encoded, strict=True):
                ids = ids[len(self._carrier) :] or [self._unknown()]
                if len(ids) > MAX_WORD_TOKENS and len(self.shortened) < MOST_SHORTENED:
                    self.shortened.add(hash(word))
                fresh[word] = np.array(ids[:MAX_WORD_TOKENS], dtype=np.int32)
        self._words.add({w: ids for w, ids in fresh.items() if len(w) <= LONGEST_REMEMBERED})
        return [fresh[w] if w in fresh else known[w] for w in words]

    def _unknown(self) -> int:
        # Some tokenizers drop control characters entirely; the word still needs a position.
        return self.tokenizer.unk_token_id if self.tokenizer.unk_token_id is not None else self.pad_id

    def instruction(self, instruction: Instruction) -> tuple[np.ndarray, np.ndarray]:
        """Token ids of the instruction with the special tokens in front, and its type positions.

        Returns:
            ids: int32 ``(tokens,)``; positions: int32 ``(types, tokens)``, places in ``ids``, -1 where a type has
            fewer.
        """
        known = self._instructions.now.get(instruction)
        if known is None:
            # After the words it stands as they do, behind a space.
            lead, cut = (f"{_CARRIER} ", len(self._carrier)) if instruction.place == "after" else ("", 0)
            encoded = self.tokenizer(
                lead + _encodable(instruction.text), add_special_tokens=False, return_offsets_mapping=True
            )
            starts, ends = np.array(encoded["offset_mapping"][cut:]).T - len(lead)
            ranges = []
            for start, end in instruction.type_spans:
                # The last token that begins inside it; a letter may be several byte tokens.
                last = int(np.searchsorted(starts, end, side="left")) - 1
                first = int(np.searchsorted(ends, start, side="right"))
                ranges.append((min(first, last) if instruction.type_vector == "mean" else last, last))
            positions = np.full((len(ranges), max(b - a + 1 for a, b in ranges)), -1, dtype=np.int32)
            for line, (first, last) in zip(positions, ranges, strict=True):
                line[: last - first + 1] = np.arange(first, last + 1) + len(self.prefix)
            ids = np.concatenate([self.prefix, np.array(encoded["input_ids"][cut:], dtype=np.int32)])
            known = ids, positions
            self._instructions.add({instruction: known})
        return known

    def length(self, instruction: Instruction, tokens: int) -> int:
        """Tokens of a row whose words have so many."""
        return len(self.instruction(instruction)[0]) + self.copies * tokens + len(self.suffix)

    def room(self, instruction: Instruction) -> int:
        """Tokens left for words in one row; where it has several copies of them, for each copy.

        Raises:
            VanerError: the instruction leaves too little of the window.
        """
        used = self.length(instruction, 0)
        room = (self.max_tokens - used) // self.copies
        if room < 2 * MAX_WORD_TOKENS:
            text = "the text" if self.copies == 1 else f"each of {self.copies} copies of the text"
            raise VanerError(
                f"the instruction takes {used} of {self.max_tokens} tokens and leaves {max(room, 0)} for {text}; "
                "ask fewer types, shorten the template, or raise --max_tokens"
            )
        return room

    def row(
        self, instruction: Instruction, words: Sequence[str], labels: np.ndarray | None = None
    ) -> Features:
        """One row for words that fit into the window (`windows` sees to that).

        Args:
            instruction: what is asked.
            words: of the window, in order.
            labels: int8 ``(types, words)`` of O, B, I or IGNORED; None when tagging.
        """
        pieces = self.words(words)
        counts = np.fromiter(map(len, pieces), dtype=np.int32, count=len(pieces))
        return self.assembled(instruction, np.concatenate([self.prefix[:0], *pieces]), counts, labels)

    def assembled(
        self, instruction: Instruction, ids: np.ndarray, counts: np.ndarray, labels: np.ndarray | None = None
    ) -> Features:
        """`row` for words whose tokens are known.

        Args:
            instruction: what is asked.
            ids: int32, tokens of all words, one after the other.
            counts: tokens of each word.
            labels: as in `row`.
        """
        head, type_positions = self.instruction(instruction)
        # Labels are read at the last copy.
        starts = np.full(len(counts), (self.copies - 1) * len(ids), dtype=np.int32)
        starts[1:] += np.cumsum(counts[:-1], dtype=np.int32)
        text = [ids] * self.copies
        if instruction.place == "after":
            before = len(self.prefix)
            row = np.concatenate([self.prefix, *text, head[before:], self.suffix])
            moved = np.where(type_positions < 0, -1, type_positions + np.int32(self.copies * len(ids)))
            return Features(row, starts + before, moved, labels)
        return Features(
            np.concatenate([head, *text, self.suffix]), starts + len(head), type_positions, labels, len(head)
        )


def _encodable(text: str) -> str:
    # Half a surrogate pair (JSON can hold one) is no character, and tokenizers refuse it.
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


def _find(sequence: Sequence[int], part: Sequence[int]) -> int:
    for at in range(len(sequence) - len(part) + 1):
        if list(sequence[at : at + len(part)]) == list(part):
            return at
    raise VanerError("the tokenizer changes a plain letter next to its special tokens; it cannot be used")


def windows(
    start: int, end: int, token_counts: Sequence[int] | np.ndarray, room: int, overlap: float = 0.25
) -> list[Window]:
    """Cut a unit that is too long into overlapping word windows.

    Every word's prediction is taken from the window in which it lies deepest, so a mention across a window's
    border is read whole by the neighbour; the kept parts tile the unit and are decoded as one sequence:

        words   0 1 2 3 4 5 6 7 8 9
        window  |-----------|
        window          |-----------|
        kept    |---------|---------|       (the border lies in the middle of the overlap)

    Args:
        start, end: the unit's word range.
        token_counts: sub-tokens of each of its words, ``token_counts[0]`` being word ``start``'s.
        room: tokens that a row has for words; no single word may need more.
        overlap: share of ``room`` that neighbouring windows have in common.

    Returns:
        at least one window, in order; what they keep is every word of the unit, once.
    """
    ends = np.cumsum(token_counts)
    if not len(ends) or ends[-1] <= room:
        return [Window(start, end, start, end)]
    cuts: list[tuple[int, int]] = []
    first = 0
    while True:
        before = ends[first - 1] if first else 0
        last = int(np.searchsorted(ends, before + room, side="right"))
        cuts.append((first, last))
        if last == len(ends):
            break
        step_back = int(np.searchsorted(ends, ends[last - 1] - room * overlap, side="right"))
        first = max(first + 1, min(step_back, last))
    found: list[Window] = []
    kept = 0
    for i, (first, last) in enumerate(cuts):
        border = len(ends) if i == len(cuts) - 1 else (cuts[i + 1][0] + last + 1) // 2
        found.append(Window(start + first, start + last, start + kept, start + border))
        kept = border
    return found
