"""In: an index, training Texts. Out: numbers of the names related to every sentence, kept in a folder for the next run.

A sentence's names are those that occur in it, and, for each of its gold mentions, names that share a rare word or are
spelt alike, of the mention's type and of other types (`KnowledgeBase.related`).
"""

from __future__ import annotations

import hashlib
import logging
from array import array
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from vaner.files import replacing
from vaner.knowledge import KnowledgeBase
from vaner.progress import progress
from vaner.text.units import Text
from vaner.training.leakage import keys_of
from vaner.training.texts import Texts

log = logging.getLogger(__name__)

# Names related to one mention that a sentence's pool takes in: of the mention's type, and of other types.
_ALIKE = 20
_UNLIKE = 10

# Goes up whenever other names are found for the same index and texts.
_VERSION = 1

# How many are looked up together: what names have in common is then read once.
_MENTIONS = 1000
_TEXTS = 500


def related_names(
    kb: KnowledgeBase, texts: Sequence[Texts], cache: Path | None
) -> tuple[np.ndarray, np.ndarray]:
    """Names related to each sentence of all Texts.

    Args:
        kb: the index.
        texts: of every source.
        cache: folder where they are kept under a hash of both; None keeps nothing.

    Returns:
        numbers: uint32, of the names, sentence by sentence; ends: int64, where each sentence's end in them.
    """
    if cache is None:
        return _related_names(kb, texts)
    path = cache / f"{_fingerprint(kb, texts)}.npz"
    if path.is_file():
        try:
            with np.load(path) as kept:
                numbers, ends = kept["numbers"], np.cumsum(kept["sizes"], dtype=np.int64)
            if ends[-1] == len(numbers):
                return numbers, ends
            raise ValueError("sizes and numbers differ")
        except (OSError, ValueError, KeyError, EOFError, BadZipFile, IndexError) as error:
            log.warning("%s: %s; names are looked for anew", path, error)
    numbers, ends = _related_names(kb, texts)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            np.savez(file, numbers=numbers, sizes=np.diff(ends, prepend=0).astype(np.uint32))
    except OSError as error:
        log.warning("%s: %s; names are looked for anew next time", path, error.strerror)
    return numbers, ends


def _fingerprint(kb: KnowledgeBase, texts: Sequence[Texts]) -> str:
    """Hash of all that `_related_names` depends on."""
    digest = hashlib.sha256(f"{_VERSION} {kb.fingerprint} {_ALIKE} {_UNLIKE}".encode())
    for source in texts:
        for text in source:
            ends = [text.offsets[b - 1][1] for _, b in text.sentence_ranges()]
            spans = [span.key for span in text.document.spans]
            read = (text.document.text, [text.offsets[a][0] for a in text.sentence_starts], ends, spans)
            digest.update(repr(read).encode())
        digest.update(b"next")
    return digest.hexdigest()


def _related_names(kb: KnowledgeBase, texts: Sequence[Texts]) -> tuple[np.ndarray, np.ndarray]:
    """`related_names`, found."""
    mentions: dict[tuple[str, str], None] = {}
    for document in chain.from_iterable(source.documents() for source in texts):
        mentions.update(((span.type, span.text), None) for span in document.spans if span.type in kb.types)
    said = list(dict.fromkeys(text for _, text in mentions))
    keys = dict(zip(said, keys_of(said).tolist(), strict=True))
    first: dict[tuple[str, int], str] = {}
    for type, text in mentions:
        first.setdefault((type, keys[text]), text)
    like = _names_like(kb, first)

    def in_sentences(some: Sequence[Text]) -> Iterator[list[int]]:
        ranges = [
            [(text.offsets[a][0], text.offsets[b - 1][1]) for a, b in text.sentence_ranges()] for text in some
        ]
        matches = iter(
            kb.match([t.document.text[a:b] for t, of in zip(some, ranges, strict=True) for a, b in of])
        )
        for text, of in zip(some, ranges, strict=True):
            for start, end in of:
                numbers = {m.number for m in next(matches)}
                for span in text.document.spans:
                    if start <= span.start < end and span.type in kb.types:
                        numbers.update(like[span.type, keys[span.text]])
                yield sorted(numbers)

    found, ends = array("I"), array("q")
    for source in texts:
        for at in progress(range(0, len(source), _TEXTS), "finding names in sentences"):
            for numbers in in_sentences(source[at : at + _TEXTS]):
                found.extend(numbers)
                ends.append(len(found))
    return np.array(found, dtype=np.uint32), np.array(ends, dtype=np.int64)


def _names_like(
    kb: KnowledgeBase, mentions: Mapping[tuple[str, int], str]
) -> dict[tuple[str, int], list[int]]:
    """Numbers of the names like each mention, for ``(type, key of its normal form)``."""
    found: dict[tuple[str, int], list[int]] = {}
    for type in sorted({type for type, _ in mentions}):
        places = [place for place in mentions if place[0] == type]
        rest = [t for t in kb.types if t != type]
        wanted = [([type], _ALIKE), *([(rest, _UNLIKE)] if rest else [])]
        for at in progress(range(0, len(places), _MENTIONS), f"finding names like those of {type}"):
            some = places[at : at + _MENTIONS]
            related = kb.related_all([mentions[place] for place in some], wanted)
            found |= {
                place: [number for part in parts for number, _ in part]
                for place, parts in zip(some, related, strict=True)
            }
    return found
