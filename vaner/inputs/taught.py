"""In: a labeler's log-probabilities of a document's words. Out: the same in its metadata, and back.

A student learns from them:

    document.metadata["word_scores"] = {"types": ["Disease", ...], "words": 250, "float16": "eJw..."}

The numbers are, for each asked type and each word, by how much B and I are more likely than O:

    log p(B) - log p(O),  log p(I) - log p(O)      float16, (types, words, 2), by zlib, in base64

from which all three probabilities, at any temperature, come again. Words are those of `vaner.text.units`: they follow
from the text alone, so teacher and student have the same ones whatever tokenizer each has.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from vaner.document import Document
from vaner.errors import FormatError

#: Where a document has the scores of its words.
WORD_SCORES = "word_scores"

# float16 holds no more; a difference of so much is certainty either way.
_MOST = 60_000.0


def written(types: Sequence[str], log_probs: np.ndarray) -> dict[str, Any]:
    """What a document's metadata says of its words.

    Args:
        types: that were asked.
        log_probs: of O, B, I: ``(types, words, 3)``.
    """
    scores = np.clip(log_probs[..., 1:] - log_probs[..., :1], -_MOST, _MOST).astype("<f2")
    packed = base64.b64encode(zlib.compress(scores.tobytes())).decode("ascii")
    return {"types": list(types), "words": scores.shape[1], "float16": packed}


def read(document: Document, words: int) -> tuple[list[str], np.ndarray] | None:
    """The types that were asked and the scores of the words; None where the document has none.

    Args:
        document: its metadata may have been edited by anybody.
        words: that its text has.

    Returns:
        types, and float16 ``(types, words, 2)``.

    Raises:
        FormatError: scores that are damaged, or of another text.
    """
    found = document.metadata.get(WORD_SCORES)
    if found is None:
        return None
    wrong = f"document {document.id}: {WORD_SCORES} of its metadata"
    again = "tag the text again with --word_scores"
    try:
        types, counted, packed = list(found["types"]), int(found["words"]), found["float16"]
        numbers = np.frombuffer(zlib.decompress(base64.b64decode(packed, validate=True)), "<f2")
        scores = numbers.reshape(len(types), counted, 2)
    except (KeyError, TypeError, ValueError, binascii.Error, zlib.error) as error:
        raise FormatError(f"{wrong} are damaged ({error}); {again}") from None
    if counted != words:
        raise FormatError(f"{wrong} are of {counted:,} words and the text has {words:,}; {again}")
    if not np.isfinite(scores).all():
        raise FormatError(f"{wrong} have a number that is none; {again}")
    return types, scores


def log_probabilities(scores: np.ndarray) -> np.ndarray:
    """Log-probabilities of O, B, I, float32 ``(..., 3)``, of scores ``(..., 2)``."""
    logits = np.concatenate([np.zeros_like(scores[..., :1]), scores], axis=-1).astype(np.float32)
    logits -= logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))
