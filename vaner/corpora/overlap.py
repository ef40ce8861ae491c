"""In: documents; corpora's dev and test splits. Out: which documents training must leave out, and why.

Training may share nothing with dev and test: a document with the PubMed id of one of theirs, or with one of their
sentences, is left out. Held-out splits are opened here to look at texts and ids; their spans are not looked at.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from vaner.corpora.registry import Corpus
from vaner.document import Document
from vaner.text import segment


@dataclass(frozen=True)
class Fingerprints:
    """What held-out documents can be recognised by, and nothing that could be learned from them.

    Attributes:
        pmids: their PubMed ids.
        sentences: digests of their sentences of more than five words; case, punctuation and spacing, which
            differ between versions of one corpus, do not count.
    """

    pmids: frozenset[str] = frozenset()
    sentences: frozenset[bytes] = frozenset()

    def __or__(self, other: Fingerprints) -> Fingerprints:
        return Fingerprints(self.pmids | other.pmids, self.sentences | other.sentences)


def fingerprints(documents: Iterable[Document]) -> Fingerprints:
    """The Fingerprints of documents, of which text and PubMed ids are looked at, spans never."""
    pmids: set[str] = set()
    sentences: set[bytes] = set()
    for document in documents:
        if (pmid := document.metadata.get("pmid")) is not None:
            pmids.add(pmid)
        sentences.update(_sentence_digests(document))
    return Fingerprints(frozenset(pmids), frozenset(sentences))


def held_out_fingerprints(
    held_out: Iterable[tuple[Corpus, str]], data_root: str | os.PathLike | None = None
) -> Fingerprints:
    """The Fingerprints of ``(corpus, split)`` pairs; a pair whose files are absent adds none.

    Of two places where training reads a test split this is one (`vaner.training.leakage.leaks` is the other): to
    leave out of training what a test document shares. No text and no annotation leaves this function.
    """
    found = Fingerprints()
    for corpus, split in held_out:
        if split in corpus.present(data_root):
            found |= fingerprints(corpus.documents(split, data_root, on_error="skip"))
    return found


def overlapping(documents: Iterable[Document], held_out: Fingerprints) -> set[str]:
    """Ids of the documents that share a PubMed id or a sentence of more than five words with ``held_out``."""
    return {
        document.id
        for document in documents
        if document.metadata.get("pmid") in held_out.pmids
        or not held_out.sentences.isdisjoint(_sentence_digests(document))
    }


def with_pmid(document: Document) -> Document:
    """A document that says its PubMed id in ``metadata["pmid"]``, as a string, where it has one.

    PubTator, PubMed's XML and most lists of abstracts call a document by it.
    """
    pmid = document.metadata.get("pmid")
    if pmid is None and _PMID.fullmatch(document.id):
        pmid = document.id
    return document if pmid is None else replace(document, metadata={**document.metadata, "pmid": str(pmid)})


_PMID = re.compile(r"[0-9]{5,8}")
_WORDS = re.compile(r"\w+")
_FEWEST_WORDS = 6


def _sentence_digests(document: Document) -> Iterator[bytes]:
    borders = document.sentences
    if borders is None:
        borders = segment.sentences(document.text, document.passages)
    for start, end in borders:
        if (found := digest(document.text[start:end], _FEWEST_WORDS)) is not None:
            yield found


def digest(sentence: str, fewest_words: int = 1) -> bytes | None:
    """What tells a sentence from others, case, punctuation and spacing aside; None for one of fewer words."""
    words = _WORDS.findall(sentence.casefold())
    if len(words) < fewest_words:
        return None
    return hashlib.blake2b(" ".join(words).encode(), digest_size=8).digest()
