"""In: nothing. Out: texts on which offsets go wrong, mentions in them, and what a grammar allows, byte by byte."""

from __future__ import annotations

import random

from hypothesis import strategies as st

from vaner.document import Document
from vaner.prompting.found import EXACT, Mention
from vaner.prompting.unit import Unit
from vaner.text.units import Text

TYPES = ["Disease", "Chemical", "Clinical Drug", "Gene:Product"]
PIECES = [
    *(
        "aspirin",
        "IL-2",
        "il 2",
        "TNF-α",
        "α",
        "İstanbul",
        "ﬁbrosis",
        "e\u0301tat",
        "🧬",
        "👩\u200d🔬",
        "B-Disease",
        "O",
    ),
    *(
        "hepato\u00adcellular",
        "-",
        "\u2013",
        "'",
        '"',
        "\\",
        "{",
        "}",
        "[",
        "]",
        '"}',
        '"}]}',
        "\\n",
        "`",
        "```",
    ),
    *(
        "###",
        "### Response:",
        "<|im_start|>",
        "</s>",
        "[INST]",
        "<",
        "<<",
        ">",
        "</",
        "<Disease>",
        "</Disease>",
    ),
    *(
        "<Disease>flu</Disease>",
        "aspirin : B-Chemical",
        ":",
        "::",
        "1.",
        "(5)",
        "&amp;",
        "p53",
        "\ue000",
        "\U0001f9ec",
    ),
    *(
        "A",
        "B",
        "A B A",
        "protein",
        "in",
        "Alzheimer's disease",
        "\ud800",
        "中文",
        "x\u200by",
        "%",
        "|",
        "* a",
        "\x00",
    ),
]
SPACES = [" ", " ", " ", "", "  ", "\n", "\u00a0", "\u2028"]


def unit_of(text: str) -> Unit:
    """All words of a text."""
    whole = Text.of(Document("d", text))
    return Unit(whole, 0, len(whole.words))


def mention(unit: Unit, text: str, type: str, number: int = 0) -> Mention:
    """The mention of a text, counted from 0 where it stands several times."""
    at = -1
    for _ in range(number + 1):
        at = unit.text.document.text.index(text, at + 1)
    return Mention(at, at + len(text), type, EXACT)


def keys(mentions) -> list[tuple[int, int, str]]:
    """What of mentions is compared."""
    return sorted((m.start, m.end, m.type) for m in mentions)


@st.composite
def texts(draw) -> str:
    pieces = draw(st.lists(st.sampled_from(PIECES), min_size=1, max_size=8))
    spaces = draw(st.lists(st.sampled_from(SPACES), min_size=len(pieces), max_size=len(pieces)))
    return "".join(piece + space for piece, space in zip(pieces, spaces, strict=True))


@st.composite
def cases(draw, overlapping: bool = False):
    """A unit, mentions of whole words in it, types."""
    unit = unit_of(draw(texts().filter(lambda text: unit_of(text).words)))
    count = len(unit.words)
    types = draw(st.lists(st.sampled_from(TYPES), min_size=1, unique=True))
    borders = [0, *sorted(unit.block_starts), count]
    found: dict[tuple[int, int, str], Mention] = {}
    taken: set[int] = set()
    for _ in range(draw(st.integers(0, 4))):
        first = draw(st.integers(0, count - 1))
        most = next(border for border in borders if border > first)
        last = draw(st.integers(first + 1, min(most, first + 6)))
        if not overlapping and taken & set(range(first, last)):
            continue
        taken |= set(range(first, last))
        type = draw(st.sampled_from(types))
        start, end = unit.offsets[first][0], unit.offsets[last - 1][1]
        found[start, end, type] = Mention(start, end, type, EXACT)
    return unit, list(found.values()), types


class Bytes:
    """A tokenizer of single bytes, as llguidance wants it."""

    tokens = [bytes([byte]) for byte in range(256)] + [b"<end>"]
    eos_token_id = 256
    bos_token_id = None
    special_token_ids = [256]

    def __call__(self, text: bytes) -> list[int]:
        return list(text)


def matcher(lark: str):
    """llguidance's matcher of a grammar over bytes."""
    import llguidance
    from llguidance import TokenizerWrapper

    made = llguidance.LLMatcher(llguidance.LLTokenizer(TokenizerWrapper(Bytes())), lark)
    assert not made.is_error(), made.get_error()
    return made


def accepts(lark: str, text: str) -> bool:
    """Whether a grammar allows a text, all of it."""
    made, written = matcher(lark), list(text.encode())
    return made.try_consume_tokens(written) == len(written) and made.is_accepting()


def walk(lark: str, seed: int, ending: float = 0.5) -> str:
    """A text that a grammar allows, byte by byte at random.

    Args:
        ending: probability of stopping where that is allowed.
    """
    made, draw, written = matcher(lark), random.Random(seed), bytearray()
    for _ in range(20_000):
        allowed = [byte for byte, bias in enumerate(made.compute_logit_bias()) if bias]
        assert allowed, made.get_error()
        going_on = [byte for byte in allowed if byte != 256]
        if 256 in allowed and (not going_on or draw.random() < ending):
            return written.decode()
        byte = draw.choice(going_on)
        assert made.consume_token(byte), made.get_error()
        written.append(byte)
    raise AssertionError("no end")
