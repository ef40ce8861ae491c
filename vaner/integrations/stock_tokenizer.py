"""In: a labeler's tokenizer, an instruction. Out: a fast tokenizer that reads a text as the labeler would.

tokenizer.json can hold all of it, so whoever loads the file needs no code of ours::

    normalizer      takes out what is never seen (soft hyphens, ...)
    pre-tokenizer   cuts out the words of `vaner.text.segment`, puts a space before each, then does what it did before
    model           as it was
    post-processor  [BOS] instruction, the text, [EOS]; the instruction counts as special tokens, which pipelines skip
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import regex
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from vaner.document import Document
from vaner.errors import VanerError
from vaner.inputs.features import Tokenisation
from vaner.inputs.instructions import Instruction
from vaner.text import markup
from vaner.text.segment import HIDDEN, LETTERS
from vaner.text.units import Text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def _ranges(characters: str) -> str:
    """Characters, a set of `regex`, as ranges: the two libraries of patterns know different versions of Unicode."""
    every = "".join(chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
    runs = regex.finditer(f"{characters}+", every)
    return "".join(f"\\x{{{ord(run[0][0]):X}}}-\\x{{{ord(run[0][-1]):X}}}" for run in runs)


_HIDDEN = f"[{_ranges('[' + HIDDEN + ']')}]+"
# As `vaner.text.segment` has it, where what is never seen is gone.
_LETTERS = f"[{_ranges(LETTERS)}]+"
_REFERENCE = (
    rf"&(?:#[0-9]{{1,7}}|#[xX][0-9A-Fa-f]{{1,6}}|{'|'.join(sorted(markup.NAMES, key=len, reverse=True))});"
)
_WORD = rf"{_LETTERS}|{_REFERENCE}|[^\s\p{{Cc}}]"

_MARK = "\N{LOWER ONE EIGHTH BLOCK}"
_BYTE_SPACE = "\N{LATIN CAPITAL LETTER G WITH DOT ABOVE}"


def stock_tokenizer(
    tokenisation: Tokenisation, instruction: Instruction, longest: int
) -> tuple[PreTrainedTokenizerFast, str]:
    """The tokenizer, and what every first token of a word begins with.

    Args:
        tokenisation: of the labeler's own tokenizer.
        instruction: what is read with every text.
        longest: tokens that a row may have; longer ones are cut by pipelines.

    Raises:
        VanerError: a tokenizer of a kind that is not known to part words in the same way.
    """
    own = tokenisation.tokenizer
    made = Tokenizer.from_str(own.backend_tokenizer.to_str())
    state = json.loads(made.to_str())
    first, before, after = _spacing(state)
    kept = [normalizers.Replace(Regex(_HIDDEN), "")]
    made.normalizer = normalizers.Sequence([*kept, *before])
    steps = [
        pre_tokenizers.Split(Regex(_WORD), "removed", invert=True),
        pre_tokenizers.Metaspace(replacement=" ", prepend_scheme="always", split=False),
    ]
    made.pre_tokenizer = pre_tokenizers.Sequence([*steps, *after])
    made.post_processor = _around(made, tokenisation, instruction)
    made.no_truncation()
    made.no_padding()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token=own.convert_ids_to_tokens(int(tokenisation.pad_id)),
        unk_token=own.unk_token,
        model_max_length=longest,
        # "<s>" in a text is five characters.
        split_special_tokens=True,
        clean_up_tokenization_spaces=False,
    )
    return tokenizer, first


def _spacing(state: dict[str, Any]) -> tuple[str, list[Any], list[Any]]:
    """What a space before a word becomes, and the tokenizer's own normalizers and pre-tokenizers behind it."""
    parts = _parts(state["normalizer"], "normalizers")
    steps = _parts(state["pre_tokenizer"], "pretokenizers")
    kinds = [one["type"] for one in steps]
    if "ByteLevel" in kinds and all(one["type"] in ("NFC", "NFKC", "NFD", "NFKD") for one in parts):
        steps = [{**one, "add_prefix_space": False} if one["type"] == "ByteLevel" else one for one in steps]
        return (
            _BYTE_SPACE,
            [_restored(one, "normalizer") for one in parts],
            [_restored(one, "pre_tokenizer") for one in steps],
        )
    # SentencePiece: the mark is put there by normalizers, or by Metaspace.
    marks = all(
        one == {"type": "Prepend", "prepend": _MARK}
        or one == {"type": "Replace", "pattern": {"String": " "}, "content": _MARK}
        for one in parts
    )
    if marks and kinds in ([], ["Metaspace"]) and (parts or kinds):
        return _MARK, [], [pre_tokenizers.Metaspace(replacement=_MARK, prepend_scheme="never", split=False)]
    found = ", ".join(kinds or [one["type"] for one in parts]) or "none"
    raise VanerError(
        f"this tokenizer cannot be exported: it parts text by {found}, and only byte-level and SentencePiece "
        "tokenizers are known to read each word by itself"
    )


def _parts(component: dict[str, Any] | None, name: str) -> list[dict[str, Any]]:
    if component is None:
        return []
    return list(component[name]) if component["type"] == "Sequence" else [component]


def _restored(component: dict[str, Any], name: str) -> Any:
    """A normalizer or pre-tokenizer of the library from its JSON."""
    empty = json.loads(Tokenizer.from_str(_EMPTY).to_str())
    return getattr(Tokenizer.from_str(json.dumps({**empty, name: component})), name)


_EMPTY = json.dumps(
    {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": None,
        "model": {"type": "BPE", "vocab": {}, "merges": []},
    }
)


def _around(made: Tokenizer, tokenisation: Tokenisation, instruction: Instruction) -> Any:
    """What stands before and behind the text, as special tokens of a template."""
    ids, _ = tokenisation.instruction(instruction)
    before, behind = ids, tokenisation.suffix
    if instruction.place == "after":
        before, behind = tokenisation.prefix, np.concatenate([ids[len(tokenisation.prefix) :], behind])
    parts = {"before": before, "behind": behind}
    pieces = [*(["before:0"] if len(before) else []), "$A:0", *(["behind:0"] if len(behind) else [])]
    return processors.TemplateProcessing(
        single=" ".join(pieces),
        special_tokens=[
            {"id": name, "ids": some.tolist(), "tokens": [made.id_to_token(int(one)) for one in some]}
            for name, some in parts.items()
            if len(some)
        ],
    )


def differences(
    tokenizer: PreTrainedTokenizerBase, tokenisation: Tokenisation, instruction: Instruction, text: str
) -> str | None:
    """How a text is read otherwise than by the labeler, in words; None where it is read the same.

    Args:
        tokenizer: of `stock_tokenizer`.
        tokenisation, instruction: those that it was made of.
        text: read as one unit.
    """
    words = Text.of(Document("", text))
    pieces = tokenisation.words(words.words)
    row = tokenisation.row(instruction, words.words)
    read = tokenizer(text, return_offsets_mapping=True)
    if read["input_ids"] != row.input_ids.tolist():
        return f"token ids of {_shown(text)} differ"
    for word, (start, end), at, ids in zip(
        words.words, words.offsets, row.word_positions, pieces, strict=True
    ):
        found = read["offset_mapping"][at][0], read["offset_mapping"][at + len(ids) - 1][1]
        if found != (start, end):
            return f"{word!r} of {_shown(text)} stands at {start}-{end}, and would be found at {found[0]}-{found[1]}"
    return None


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
