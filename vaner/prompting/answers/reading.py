"""In: an answer. Out: whether there is anything to read in it; the values that a JSON schema made it write."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from vaner.errors import VanerError, near
from vaner.prompting.found import CUT_OFF, FORCED, MALFORMED, REFUSED, Found
from vaner.prompting.request import CUT_OFF as WAS_CUT
from vaner.prompting.request import REFUSED as WAS_REFUSED
from vaner.prompting.request import Answer
from vaner.prompting.unit import Unit

_BETWEEN = re.compile(r"[\s,:]*")
_FENCE = re.compile(r"\s*(?:```\w*\s*)?")


def check_alignment(name: str, alignments: Sequence[str], asked: str) -> None:
    """Refuse an alignment that a format does not take.

    Raises:
        VanerError: with those that it takes.
    """
    if asked != FORCED and asked not in alignments:
        raise VanerError(
            f"alignment {asked!r}: answer format {name} does not take it; "
            f"{near(asked, alignments) or 'choose ' + ', '.join(alignments)}"
        )


def nothing_to_read(answer: Answer, unit: Unit, found: Found) -> bool:
    """Count a refusal, an answer that was cut off, and an empty one; whether there is nothing to read."""
    if answer.finish == WAS_REFUSED:
        found.lose(REFUSED, answer.text)
    elif answer.finish == WAS_CUT:
        found.lose(CUT_OFF, answer.text[-80:])
    if answer.finish != WAS_REFUSED and (answer.text.strip() or not unit.words):
        return False
    if answer.finish not in (WAS_REFUSED, WAS_CUT):
        found.lose(MALFORMED, "the answer is empty")
    found.unread_words += len(unit.words)
    return True


def schema_values(text: str, keys: Sequence[str] | None = None) -> list[tuple[str, int]] | None:
    """Values of a JSON object or array of strings, as far as it goes, and where each begins in the text.

    Args:
        text: of an answer.
        keys: of the object, in order; values are read up to the first other one. None reads an array.

    Returns:
        None where the text is no such array, or object with the first of the keys.
    """
    at = _FENCE.match(text).end()  # type: ignore[union-attr]
    if text[at : at + 1] != ("[" if keys is None else "{"):
        return None
    at += 1
    values: list[tuple[str, int]] = []
    decoder = json.JSONDecoder()
    try:
        while True:
            at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]
            if text[at : at + 1] in ("", "]", "}"):
                break
            if keys is not None:
                key, at = decoder.raw_decode(text, at)
                if len(values) >= len(keys) or key != keys[len(values)]:
                    break
                at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]
            value, end = decoder.raw_decode(text, at)
            if not isinstance(value, str):
                break
            values.append((value, at + 1))
            at = end
    except ValueError:
        # Cut off, or no JSON from here on.
        pass
    return values if values or keys is None else None
