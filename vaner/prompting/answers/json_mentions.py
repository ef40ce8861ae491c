"""In: a unit, types. Out: mentions as JSON, ``{"mentions": [{"type": "Chemical", "text": "flu"}]}``; those in one.

Mentions stand in the order of the types, those of a type in the order of the text. Texts are listed, not places: one
that is listed once means every place where the text has it; listed several times, as many places, in order.
Mentions of different types may share words; of two of one type that do, the longer is written.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from vaner.prompting.alignment import LEAST
from vaner.prompting.answers import bio
from vaner.prompting.answers.grammars import Item, Name, Rules
from vaner.prompting.answers.json_reading import Reader
from vaner.prompting.answers.placing import add_placed
from vaner.prompting.answers.reading import check_alignment, nothing_to_read
from vaner.prompting.found import FORCED, MALFORMED, Found, Mention
from vaner.prompting.request import CUT_OFF, Answer, Grammar
from vaner.prompting.unit import Unit

_BEGIN, _BETWEEN, _END = '{"mentions": [', ", ", "]}"


@dataclass(frozen=True)
class JsonMentions:
    """A JSON list of mentions.

    Attributes:
        every: whether a mention that is listed once stands wherever the text has it.
        least: with alignment ``fuzzy``, the similarity in [0, 1] that is near enough.
    """

    every: bool = True
    least: float = LEAST

    name = "json"
    alignments = ("exact", "fuzzy")

    def rules(self, types: Sequence[str]) -> str:
        """How to write the answer."""
        return (
            "Write a JSON object and nothing else: "
            f'{_BEGIN}{{"type": "TYPE", "text": "MENTION"}}, ...{_END}.\n'
            f"TYPE is one of: {', '.join(types)}. MENTION is copied from the input, letter by letter.\n"
            f"List the mentions type by type, in the order of the text; if there is none, write {_BEGIN}{_END}."
        )

    def question(self, unit: Unit) -> str:
        """The text on one line."""
        return unit.shown

    def write(self, unit: Unit, mentions: Sequence[Mention], types: Sequence[str]) -> str:
        """The right answer."""
        items = []
        for type in types:
            for first, last, _ in bio.chosen(unit, mentions, [type])[0]:
                text = unit.shown[unit.places[first][0] : unit.places[last - 1][1]]
                items.append(json.dumps({"type": type, "text": text}, ensure_ascii=False))
        return _BEGIN + _BETWEEN.join(items) + _END

    def left_out(self, unit: Unit, mentions: Sequence[Mention], types: Sequence[str]) -> list[Mention]:
        """Mentions that reading the right answer does not give back: that share a word with a longer one of their
        type, cut a word, run into another block, or stand behind a place of their text that is no mention."""
        back = self.read(Answer(self.write(unit, mentions, types)), unit, types, "exact")
        known = {(m.start, m.end, m.type) for m in back.mentions}
        return [m for m in mentions if m.type in types and (m.start, m.end, m.type) not in known]

    def longest(self, unit: Unit, types: Sequence[str], *, schema: bool = False) -> str:
        """Every word a mention of the type with the longest name."""
        type = max(types, key=len)
        items = [json.dumps({"type": type, "text": word}, ensure_ascii=False) for word in unit.words]
        text = _BEGIN + _BETWEEN.join(items) + _END
        return json.dumps(json.loads(text), ensure_ascii=False, indent=1) if schema else text

    def grammar(self, unit: Unit, types: Sequence[str]) -> Grammar:
        """Texts that the unit has, whole words; each mention behind the one before, so that a list must end.

        Per type and word three rules: a mention may begin here or later (s), goes on (m), has ended (e). "Or later"
        goes by halves of the text (h): a chain through all words is deeper than parsers bear.
        """
        rules, count = Rules("start0"), len(unit.words)
        words = [json.dumps(word, ensure_ascii=False)[1:-1] for word in unit.words]
        some: list[list[Item]] = [[_BEGIN, Name("type0")]] if count else []
        rules.add("start0", [_BEGIN, _END], *some)
        for t, type in enumerate(types):
            begin = f'{{"type": {json.dumps(type, ensure_ascii=False)}, "text": "'
            later: list[list[Item]] = [[Name(f"type{t + 1}")]] if t + 1 < len(types) else []
            rules.add(f"type{t}", *later, [begin, Name(f"s{t}x0")])
            _add_halves(rules, 0, count, t)
            for i, (word, gap) in enumerate(zip(words, unit.gaps, strict=True)):
                rules.add(f"s{t}x{i}", *([Name(half)] for half in _from(i, 0, count, t)))
                on = i + 1 < count and i + 1 not in unit.block_starts
                go_on: list[list[Item]] = [[word, gap, Name(f"m{t}x{i + 1}")]] if on else []
                rules.add(f"m{t}x{i}", [word, '"}', Name(f"e{t}x{i + 1}")], *go_on)
                next_one: list[list[Item]] = (
                    [[_BETWEEN, begin, Name(f"s{t}x{i + 1}")]] if i + 1 < count else []
                )
                others: list[list[Item]] = [[_BETWEEN, Name(f"type{t + 1}")]] if later else []
                rules.add(f"e{t}x{i + 1}", [_END], *next_one, *others)
        return Grammar(rules.lark(), rules.gbnf(), None, json.dumps(self._schema(unit, types)))

    @staticmethod
    def _schema(unit: Unit, types: Sequence[str]) -> dict[str, object]:
        item = {
            "type": "object",
            "properties": {"type": {"type": "string", "enum": list(types)}, "text": {"type": "string"}},
            "required": ["type", "text"],
            "additionalProperties": False,
        }
        return {
            "type": "object",
            "properties": {"mentions": {"type": "array", "items": item, "maxItems": len(unit.words)}},
            "required": ["mentions"],
            "additionalProperties": False,
        }

    def read(self, answer: Answer, unit: Unit, types: Sequence[str], alignment: str) -> Found:
        """Mentions in the answer."""
        check_alignment(self.name, self.alignments, alignment)
        found = Found()
        if nothing_to_read(answer, unit, found):
            return found
        whole = answer.finish != CUT_OFF
        reader = Reader(types, found)
        items = reader.read(answer.text, whole)
        if items is None:
            if whole:
                found.lose(MALFORMED, answer.text)
            found.unread_words += len(unit.words)
            return found
        add_placed(
            [(item.text, item.type) for item in items],
            [bio.mean_over(answer.tokens, item.start, item.end) for item in items],
            unit,
            found,
            every=self.every,
            least=self.least if alignment == "fuzzy" else None,
            forced=alignment == FORCED,
        )
        if not whole:
            # Types come one after the other: of the last of them nothing may have been said anywhere.
            if len(types) > 1:
                found.unread_words += len(unit.words)
            else:
                bio.unread_behind(unit, found)
        return found


def _half(first: int, last: int, t: int) -> str:
    return f"m{t}x{first}" if last - first == 1 else f"h{t}x{first}x{last}"


def _add_halves(rules: Rules, first: int, last: int, t: int) -> None:
    """Rules of a mention of type number ``t`` that begins at any of the words ``first`` to ``last - 1``."""
    if last - first > 1:
        middle = (first + last) // 2
        # The later half first: a parser that follows names as it meets them then never goes deep.
        rules.add(_half(first, last, t), [Name(_half(middle, last, t))], [Name(_half(first, middle, t))])
        _add_halves(rules, first, middle, t)
        _add_halves(rules, middle, last, t)


def _from(word: int, first: int, last: int, t: int) -> list[str]:
    """The few rules that together let a mention begin at ``word`` or later."""
    if word <= first:
        return [_half(first, last, t)]
    middle = (first + last) // 2
    if word >= middle:
        return _from(word, middle, last, t)
    return [_half(middle, last, t), *_from(word, first, middle, t)]
