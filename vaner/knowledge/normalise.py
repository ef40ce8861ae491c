"""In: names and texts. Out: their normal form as words with 64-bit hashes and offsets into the original.

A name and a mention are the same when their normal words are the same, one after the other:

    text    T N F - α   a n d   A l z h e i m e r ' s   d i s e a s e s
    words   tnf alpha   and     alzheimer               disease
    start   0   4       6       10                      22
    end     3   5       9       19                      30

What makes two spellings one: case and accents (NFKD, then case folding, combining marks and strokes dropped),
ligatures apart, Greek letters spelt out, hyphens, minus signs, apostrophes, primes and quotes dropped, super- and
subscripts and wide forms on the line (``Ca²⁺``, ``Ca2+``), trade marks (``®``) and what is never seen (soft hyphens,
zero-width characters) dropped, letters and digits split (``IL-2``, ``IL 2``, ``IL2``), the possessive *s* dropped, the
plural taken off by the S stemmer (D. Harman, How effective is suffixing?, JASIS 42, 1991; here without its rule for
*-es*, which English medical nouns do not need). Every other sign is a word.

The work is done for many texts at once on numpy arrays, since one Python step per word is too slow for ten
million names.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: Goes up whenever the normal form changes. 2: ligatures, strokes, quotes, raised signs, trade marks.
NORMAL_FORM = 2
#: Forms before, whose indexes are read still: all but names with the signs above are found as they were.
OLDER_FORMS = (1,)

#: Between texts that are normalised together; no name reaches over it.
BREAK = "\x1e"

# Kinds of characters; the first three make words of several, signs and breaks words of one.
LETTERS, DIGITS, GREEK, _SIGN, _BREAK, _SPACE, _HYPHEN, _APOSTROPHE, _NEWLINE, _IGNORED = range(1, 11)

_HYPHENS = "-_\u02d7\u2010\u2011\u2012\u2013\u2043\u2212\u2796"
_APOSTROPHES = (
    "'`\"\u00b4\u02b9\u02ba\u02bb\u02bc\u02bd\u2018\u2019\u201b\u201c\u201d\u2032\u2033\u2035\u2036"
)
# A word ends there, but they are none: trade marks behind a name.
_MARKS = "\u00a9\u00ae\u2117\u2120\u2122"
# Letters, by their category, that are never seen: fillers of Hangul.
_UNSEEN = "\u115f\u1160\u3164\uffa0"
# What Unicode does not take apart: ligatures that are letters, letters with a stroke, an increment for a delta.
_SPELT = str.maketrans({"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "\u2206": "δ"})
_PAGE = 256
_CODE_POINTS = 0x110000

_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2**64
_WORD_BASE = 0xD1342543DE82EF95
_MASK = (1 << 64) - 1

_S, _U, _I, _E, _Y = (ord(c) for c in "suiey")


def _mix(x: np.ndarray) -> np.ndarray:
    """The finaliser of MurmurHash3 (A. Appleby): a bijection of 64-bit words that spreads every bit."""
    x = x ^ (x >> np.uint64(33))
    x *= np.uint64(0xFF51AFD7ED558CCD)
    x ^= x >> np.uint64(33)
    x *= np.uint64(0xC4CEB9FE1A85EC53)
    x ^= x >> np.uint64(33)
    return x


class _Characters:
    """What each code point is and what it folds to; a page of 256 is filled when first met."""

    def __init__(self) -> None:
        self.filled = np.zeros(_CODE_POINTS // _PAGE, bool)
        self.kind = np.zeros(_CODE_POINTS, np.uint8)
        self.upper = np.zeros(_CODE_POINTS, bool)
        self.folded = np.zeros(_CODE_POINTS, np.uint32)  # the folded character where it is exactly one
        self.length = np.zeros(_CODE_POINTS, np.uint8)  # number of folded characters
        self.longer: dict[int, np.ndarray] = {}  # the folded characters where they are several
        self.value = np.zeros(_CODE_POINTS, np.uint64)  # random-looking 64 bits for each folded character

    def fill(self, codes: np.ndarray) -> None:
        """Make sure that every page of ``codes`` is there."""
        # Page 0 always: the rules for plurals compare with its letters.
        pages = [0, *np.unique(codes // _PAGE)] if len(codes) and codes.max() >= _PAGE else [0]
        for page in pages:
            if not self.filled[page]:
                for code in range(int(page) * _PAGE, (int(page) + 1) * _PAGE):
                    self._fill_one(code)
                self.filled[page] = True

    def _fill_one(self, code: int) -> None:
        char = chr(code)
        kind, folded = _classify(char)
        self.kind[code] = kind
        self.upper[code] = char.isupper()
        self.length[code] = len(folded)
        # The hash reads values by folded character, which may be on a page not otherwise met.
        for other in folded:
            self.value[ord(other)] = _mix(np.array([ord(other) * 2 + 1], np.uint64) * np.uint64(_BASE))[0]
        if len(folded) == 1:
            self.folded[code] = ord(folded)
        elif folded:
            self.longer[code] = np.array([ord(c) for c in folded], np.uint32)


def _classify(char: str) -> tuple[int, str]:
    """The kind of a character and the letters or digits that it folds to."""
    if char == BREAK:
        return _BREAK, ""
    if char == "\n":
        return _NEWLINE, ""
    if char in _HYPHENS:
        return _HYPHEN, ""
    if char in _APOSTROPHES:
        return _APOSTROPHE, ""
    if char.isspace() or char in _MARKS or unicodedata.category(char) in ("Zs", "Cc"):
        return _SPACE, ""
    category = unicodedata.category(char)
    if category in ("Mn", "Me", "Cf", "Cs", "Cn") or char in _UNSEEN:
        return _IGNORED, ""
    if category == "Mc":
        return LETTERS, char
    decomposed = unicodedata.normalize("NFKD", char)
    folded = unicodedata.normalize("NFKD", decomposed.casefold()).translate(_SPELT)
    folded = "".join(c for c in folded if c.isalnum())
    if (category[0] in "LN" or char == "\u2206") and folded and not (category == "No" and len(folded) > 1):
        greek = _greek_name(folded)
        if greek:
            return GREEK, greek
        return (DIGITS if folded.isdigit() else LETTERS), folded
    # Superscripts, subscripts and wide forms of signs are the signs; a triple prime is three.
    plain = set(decomposed)
    if decomposed != char and (len(decomposed) == 1 or plain <= set(_APOSTROPHES)):
        return _classify(decomposed[0])
    return _SIGN, char


def _greek_name(letter: str) -> str:
    """``alpha`` for the letter of that name, empty for anything else."""
    if len(letter) != 1 or not "\u0370" <= letter <= "\u03ff":
        return ""
    words = unicodedata.name(letter, "").split()
    if words[:3] == ["GREEK", "SMALL", "LETTER"] and len(words) >= 4:
        return {"lamda": "lambda"}.get(words[-1].lower(), words[-1].lower())
    return ""


_characters = _Characters()


class _Powers:
    """Powers of an odd number and of its inverse modulo 2**64, as many as were asked for so far.

    Threads may ask at once: who got powers keeps them, whatever others put in their place.
    """

    def __init__(self, base: int) -> None:
        self._bases = base, pow(base, -1, 1 << 64)
        self._now = np.ones(1, np.uint64), np.ones(1, np.uint64)

    def reach(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Powers of the number and of its inverse, at least ``count`` of each."""
        up, down = self._now
        if len(up) < count:
            up, down = (self._powers(base, max(count, 1 << 16)) for base in self._bases)
            self._now = up, down
        return up, down

    @staticmethod
    def _powers(base: int, count: int) -> np.ndarray:
        powers = np.full(count, base, np.uint64)
        powers[0] = 1
        return np.multiply.accumulate(powers)


_char_powers = _Powers(_BASE)
_word_powers = _Powers(_WORD_BASE)


def _sums(values: np.ndarray) -> np.ndarray:
    """Running sums with a leading zero, so that ``sums[b] - sums[a]`` is the sum over ``a:b``."""
    sums = np.empty(len(values) + 1, values.dtype)
    sums[0] = 0
    np.cumsum(values, out=sums[1:])
    return sums


@dataclass
class Words:
    """The normal words of one or many texts joined with BREAK; ``n`` words, arrays of shape ``(n,)``.

    Attributes:
        start, end: offsets into the joined text, in code points.
        hash: 64-bit hash of the normal word.
        opens, closes: whether a mention may start or end there: no letter or digit touches it.
        kind: LETTERS, DIGITS, GREEK or another value for signs and breaks.
        size: characters of the normal word.
        uppercase: capitals before each word, shape ``(n + 1,)``: differences count those of a range of words.
    """

    start: np.ndarray
    end: np.ndarray
    hash: np.ndarray
    opens: np.ndarray
    closes: np.ndarray
    kind: np.ndarray
    size: np.ndarray
    uppercase: np.ndarray
    _chars: np.ndarray
    _from: np.ndarray
    _to: np.ndarray
    _ies: np.ndarray

    def __post_init__(self) -> None:
        up, self._down = _word_powers.reach(len(self.hash) + 1)
        self._sums = _sums(self.hash * up[: len(self.hash)])

    def __len__(self) -> int:
        return len(self.hash)

    @property
    def lexical(self) -> np.ndarray:
        """Which words are two letters or more, neither number nor sign, shape ``(n,)``."""
        return ((self.kind == LETTERS) | (self.kind == GREEK)) & (self.size >= 2)

    def keys(self, first: np.ndarray, count: np.ndarray | int) -> np.ndarray:
        """64-bit keys of runs of words: ``count`` words from word ``first``.

        Equal runs have equal keys. Two different ones agree with probability near 2**-64.
        """
        total = self._sums[first + count] - self._sums[first]
        total *= self._down[first]
        total += np.asarray(count, np.uint64) * np.uint64(_BASE)
        return _mix(total)

    def normal(self, word: int) -> str:
        """The normal word itself."""
        chars = self._chars[self._from[word] : self._to[word]]
        text = chars.astype("<u4").tobytes().decode("utf-32-le")
        return text + "y" if self._ies[word] else text

    def normals(self) -> list[str]:
        """All normal words."""
        text = self._chars.astype("<u4").tobytes().decode("utf-32-le")
        spelt = [text[a:b] for a, b in zip(self._from.tolist(), self._to.tolist(), strict=True)]
        for word in np.flatnonzero(self._ies):
            spelt[word] += "y"
        return spelt


def normal_words(text: str) -> Words:
    """Split a text, or many joined with BREAK, into normal words.

    Args:
        text: any text; its characters keep their offsets whatever they fold to.

    Returns:
        the words in order, see Words.
    """
    table = _characters
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    table.fill(codes)
    kind = table.kind[codes]
    if (kind == _IGNORED).any():
        kept = np.flatnonzero(kind != _IGNORED)
        codes, kind = codes[kept], kind[kept]
        # A combining mark belongs to the character before it.
        char_start, char_end = kept, np.append(kept[1:], len(text))
    else:
        char_start = np.arange(len(codes))
        char_end = char_start + 1

    newline = kind == _NEWLINE
    if newline.any():
        # An empty line parts paragraphs: no name reaches over it.
        blank = newline.copy()
        blank[1:] &= newline[:-1]
        blank[:1] = False
        kind = np.where(blank, _BREAK, np.where(newline, _SPACE, kind)).astype(np.uint8)

    # Words: runs of one kind for letters and digits, one character for the rest.
    before = np.zeros_like(kind)
    before[1:] = kind[:-1]
    after = np.zeros_like(kind)
    after[:-1] = kind[1:]
    is_word = kind <= _BREAK
    first = np.flatnonzero(is_word & ((kind != before) | (kind >= GREEK)))
    last = np.flatnonzero(is_word & ((kind != after) | (kind >= GREEK)))
    word_kind = kind[first]

    # What the characters fold to; one each unless the text says otherwise.
    length = table.length[codes]
    if (length[is_word] != 1).any():
        chars, char_from = _expand(table, codes, length)
    else:
        chars = table.folded[codes]
        char_from = np.arange(len(codes) + 1)
    word_from, word_to = char_from[first], char_from[last + 1]

    # The possessive: an s between an apostrophe after a letter and the end of the word.
    possessive = np.zeros(len(first), bool)
    marked = np.flatnonzero((kind == _APOSTROPHE)[:-1] & (kind == LETTERS)[1:])
    if len(marked):
        held = marked[(before[marked] <= GREEK) & (before[marked] > 0)]
        words = np.searchsorted(first, held + 1)
        single = (last[words] == first[words]) & (after[last[words]] != DIGITS)
        words = words[single & (after[last[words]] != GREEK)]
        words = words[word_to[words] - word_from[words] == 1]
        possessive[words] = chars[word_from[words]] == _S
    if possessive.any():
        stay = ~possessive
        first, last, word_kind = first[stay], last[stay], word_kind[stay]
        word_from, word_to = word_from[stay], word_to[stay]

    # The plural, except in short words in capitals (AIDS, SARS).
    size = word_to - word_from
    ies = np.zeros(len(first), bool)
    long = np.flatnonzero((word_kind == LETTERS) & (size >= 4))
    end_at = word_to[long]
    long = long[(chars[end_at - 1] == _S) & (~table.upper[codes[last[long]]] | (size[long] >= 6))]
    end_at = word_to[long]
    previous, third = chars[end_at - 2], chars[end_at - 3]
    is_ies = (previous == _E) & (third == _I) & (size[long] >= 5)
    is_s = (previous != _S) & (previous != _U) & (previous != _I) & ~is_ies
    ies[long[is_ies]] = True
    word_to = word_to.copy()
    word_to[long[is_ies]] -= 3
    word_to[long[is_s]] -= 1

    # Polynomial hash of each word from running sums, so that no step is taken per word.
    up, down = _char_powers.reach(len(chars) + 1)
    sums = _sums(table.value[chars] * up[: len(chars)])
    hashes = sums[word_to] - sums[word_from]
    hashes *= down[word_from]
    if ies.any():
        at = np.flatnonzero(ies)
        hashes[at] += table.value[_Y] * up[word_to[at] - word_from[at]]
    # A break is a word that no name has.
    hashes[word_kind == _BREAK] = np.uint64(_MASK)
    hashes = _mix(hashes)

    capitals = _sums(table.upper[codes].astype(np.int32))
    uppercase = np.append(capitals[first], capitals[-1]) if len(first) else np.zeros(1, np.int32)
    open_kind = word_kind >= _SIGN
    return Words(
        start=char_start[first],
        end=char_end[last],
        hash=hashes,
        opens=open_kind | (before[first] > GREEK) | (before[first] == 0),
        closes=open_kind | (after[last] > GREEK) | (after[last] == 0),
        kind=word_kind,
        size=word_to - word_from + ies,
        uppercase=uppercase,
        _chars=chars,
        _from=word_from,
        _to=word_to,
        _ies=ies,
    )


def _expand(table: _Characters, codes: np.ndarray, length: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Folded characters of all codes, and where each code's own begin, shape ``(len(codes) + 1,)``."""
    char_from = _sums(length.astype(np.int64))
    chars = np.repeat(table.folded[codes], length)
    many = np.flatnonzero(length > 1)
    for code in np.unique(codes[many]):
        at = char_from[many[codes[many] == code]]
        for i, char in enumerate(table.longer[int(code)]):
            chars[at + i] = char
    return chars, char_from


def normalise(name: str) -> str:
    """The normal form of a name: ``TNF-α`` and ``Tnf alpha`` give ``tnf alpha``.

    Two names are looked up as the same exactly when their normal forms are equal.
    """
    words = normal_words(name)
    return " ".join(words.normal(i) for i in range(len(words)))


def normalise_all(names: Sequence[str]) -> list[str]:
    """``normalise`` of each name, much faster for many."""
    joined, starts = join(names)
    words = normal_words(joined)
    spelt = words.normals()
    first = np.searchsorted(words.start, starts[:-1]).tolist()
    end = np.searchsorted(words.start, starts[1:] - 1).tolist()
    return [" ".join(spelt[a:b]) for a, b in zip(first, end, strict=True)]


def key_of(name: str) -> int:
    """The 64-bit key of a name's normal form; 0 for a name without any letter, digit or sign."""
    words = normal_words(name)
    return int(words.keys(np.array([0]), len(words))[0]) if len(words) else 0


def surface_keys(texts: Sequence[str]) -> np.ndarray:
    """64-bit hashes of the texts exactly as written, shape ``(len(texts),)``."""
    joined, starts = join(texts)
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
    up, down = _char_powers.reach(len(codes) + 1)
    sums = _sums(_mix((codes.astype(np.uint64) + np.uint64(1)) * np.uint64(_BASE)) * up[: len(codes)])
    first, end = starts[:-1], starts[1:] - 1
    return _mix((sums[end] - sums[first]) * down[first] + (end - first).astype(np.uint64))


def join(texts: Sequence[str]) -> tuple[str, np.ndarray]:
    """The texts joined with BREAK, and the offset where each begins, shape ``(len(texts) + 1,)``."""
    starts = np.zeros(len(texts) + 1, np.int64)
    np.cumsum([len(text) + 1 for text in texts], out=starts[1:])
    return BREAK.join(texts), starts
