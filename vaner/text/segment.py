"""In: a text. Out: the (start, end) offsets of its words and of its sentences, the text itself untouched."""

from __future__ import annotations

from collections.abc import Iterable

import regex

from vaner.document import Passage
from vaner.text import lines, markup

# What is never seen (soft hyphens, zero-width spaces and joiners, byte order marks, control characters) is no word.
# It may stand in the middle of one. \x1c-\x1f are white space to str.isspace, and to us, but not to the regex module.
HIDDEN = r"\p{Default_Ignorable_Code_Point}"
# Where nothing of that is, a word is a run of these.
LETTERS = r"[\p{L}\p{N}\p{M}]"
_LETTERS = rf"[{LETTERS}--{HIDDEN}]++"
_WORD = regex.compile(
    rf"{_LETTERS}(?:{HIDDEN}++{_LETTERS})*+|{markup.REFERENCE}|[^\s\p{{Cc}}{HIDDEN}]",
    regex.VERSION1,
    entities=markup.NAMES,
)
_IS_HIDDEN = regex.compile(rf"{HIDDEN}++")


def words(text: str) -> list[tuple[int, int]]:
    """Offsets of the model's words: runs of letters, digits and combining marks, or one other character.

    This is how the CoNLL files of the MTL collection are split, so that a text read from them and the
    same text read raw give the same words::

        T-cell 11p15.5   ->   T - cell 11p15 . 5

    A character reference (``&amp;``) is one word. Characters that are never seen are none, and part none.

    Args:
        text: any text.

    Returns:
        ``(start, end)`` in code points, in order; together they cover every character that can be seen.
    """
    return [match.span() for match in _WORD.finditer(text)]


def seen(text: str) -> str:
    """The text without the characters that are never seen: what is read of a word."""
    return _IS_HIDDEN.sub("", text)


#   ... (Feder et al. 1996) given i.v. to mice (n = 5). We then ...
#                   ^               ^                 ^^
#        in brackets: no   abbreviation: no           a stop, space, then a start: cut
#
# Short brackets are matched first, so that the scan steps over the stops inside them.
_STOP = regex.compile(
    r"""\((?:[^()]{1,200}+)(?<![.!?])\) | \[(?:[^\[\]]{1,200}+)(?<![.!?])\]
    | (?<![.!?…])(?P<stop>[.!?…])(?:
        [.!?…]*+[)\]}"'”’»]*+\s++(?=\S)
        | (?<=[\p{Ll})%]{2}\.)(?=\p{Lu}\p{Ll}++\s|\p{Lu}{4,}:)  # run together: "... was seen.The child"
    )""",
    regex.VERBOSE,
)

# What a sentence begins with: a capital, a digit, something that opens, or a name in lower case that no
# ordinary word looks like (p53, mRNA, c-Myc, alpha-synuclein).
_START = regex.compile(
    r"""["'“‘*]*[\[({<]
    | ["'“‘*]*(?:[\p{Lu}\p{Lt}+~>±≥≤] | (?!0\d)\p{N} | \p{Ll}++(?:\p{N}|\p{Lu}|-[\p{N}\p{L}]))""",
    regex.VERBOSE,
)
# Not a start after all: the rest of a unit (mg. kg-1).
_UNIT = regex.compile(r"(?:kg|mg|ml|l|min|mol|cm|mm|m|h|d|s)(?:\s?\(?[-−]\s?\d|/)")

# Abbreviations that never end a sentence.
_NEVER = regex.compile(
    r"""(?<![\p{L}\p{N}])(?:
        e\.\s?g | i\.\s?e | vs | cf | viz | ca | approx | resp | [Ff]igs? | [Ee]qs? | [Rr]efs? | [Ss]uppl
        | [Nn]os | Drs? | Prof | Mrs? | Ms | St | Mt
    )\.$""",
    regex.VERBOSE,
)
# Those that may: one letter (S. aureus, but not hepatitis B. or 24 h.), dotted letters (i.v.), et al.,
# titles of journals.
_MAYBE = regex.compile(
    r"""(?<![\p{L}\p{N}°/-])(?:
        (?<!(?:[Gg]roups?|[Tt]ypes?|[Hh]epatitis|[Vv]itamin|[Dd]egrees|[Ff]actor|\b\p{Lu}\s(?:and|or))\s)\p{Lu}
        | (?<!\d\s)\p{Ll} | \p{L}(?:\.\s?\p{L})+
        | al | etc | spp? | subsp | ssp | var | [Nn]o | [Vv]ol | pp | Inc | Ltd | Co | Corp | Jr | Dept | Univ
        | Acad | Am | Ann | Assoc | Biochem | Biol | Biophys | Chem | Clin | Dis | Engl | Exp | Genet | Hum
        | Immunol | Int | Med | Mol | Nat | Natl | Neurobiol | Neurosci | Pharm | Pharmacol | Proc | Rep | Res
        | Rev | Sci
    )\.$""",
    regex.VERBOSE,
)
# ... but only before a word that begins sentences, or a heading such as RESULTS:
_OPENER = regex.compile(
    r"""["'“‘(\[]*(?:
        (?:A|Additional|Additionally|After|All|Although|Among|An|And|As|At|Because|Before|Both|But|By|Compared
        |Consequently|Conversely|Despite|During|Each|Eight|Finally|First|Five|Following|For|Four|From|Further
        |Furthermore|Given|He|Here|However|If|In|Instead|Interestingly|It|Its|Many|Moreover|Most|Neither|Nine|No
        |None|Nor|Notably|Of|On|One|Only|Or|Other|Our|Out|Overall|Patients|Previous|Recent|Recently|Results|Seven
        |Several|She|Since|Six|Some|Studies|Such|Surprisingly|Taken|Ten|That|The|Their|Then|There|Therefore|These
        |They|This|Those|Three|Thus|To|Together|Treatment|Twelve|Two|Under|Unlike|Upon|Using|We|What|When|Whereas
        |Whether|Which|While|With|Within|Without)(?![\p{L}\p{N}.])
        | \p{Lu}[\p{Lu}\s/&()]{3,}+:
    )""",
    regex.VERBOSE,
)
_LONGEST_ABBREVIATION = 24


def _ends_sentence(text: str, stop: int, after: int) -> bool:
    """Whether the stop at ``stop``, with the next word starting at ``after``, ends a sentence."""
    if not _START.match(text, after) or _UNIT.match(text, after):
        return False
    if text[stop] != ".":
        return True
    # Older abstracts have numbers typed apart: 19q13. 3, P =. 05.
    if text[after].isdigit() and stop and (text[stop - 1].isdigit() or text[stop - 1] in " =<>~+-(["):
        return False
    first = max(0, stop - _LONGEST_ABBREVIATION)
    if _NEVER.search(text, first, stop + 1):
        return False
    return not _MAYBE.search(text, first, stop + 1) or bool(_OPENER.match(text, after))


def blocks(text: str, passages: Iterable[Passage] = ()) -> list[tuple[int, int]]:
    """Offsets of what no mention leaves: passages, and in them paragraphs, items of lists, cells of tables.

    Args: as `sentences`.

    Returns:
        ``(start, end)`` in code points, in order, without white space at either end; together they cover every
        non-space character. Each sentence lies in one of them.
    """
    return _pieces(text, _borders(text, passages))


def _borders(text: str, passages: Iterable[Passage]) -> set[int]:
    borders = {0, len(text), *lines.borders(text)}
    for passage in passages:
        borders |= {passage.start, passage.end}
    return borders


def _pieces(text: str, borders: Iterable[int]) -> list[tuple[int, int]]:
    """What lies between neighbouring borders, without white space at either end."""
    ordered = sorted(borders)
    found = []
    for start, end in zip(ordered, ordered[1:], strict=False):
        piece = text[start:end]
        left, right = len(piece) - len(piece.lstrip()), len(piece.rstrip())
        if left < right:
            found.append((start + left, start + right))
    return found


def sentences(text: str, passages: Iterable[Passage] = ()) -> list[tuple[int, int]]:
    """Offsets of the sentences.

    Args:
        text: any text.
        passages: parts of the text (title, abstract, paragraph) that no sentence may cross.

    Returns:
        ``(start, end)`` in code points, in order, without white space at either end; together they
        cover every non-space character.
    """
    cuts = _borders(text, passages)
    for match in _STOP.finditer(text):
        if match["stop"] and _ends_sentence(text, match.start(), match.end()):
            cuts.add(match.end())
    return _pieces(text, cuts)
