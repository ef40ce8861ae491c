"""In: a word. Out: the spelling under which places of one document are taken for the same name."""

from __future__ import annotations


def folded(word: str) -> str:
    """A word as it is compared with others of its document.

    A capital at its beginning makes no difference where the rest of it is small letters, so that ``Aspirin`` is
    ``aspirin``; but ``CAT`` is no ``cat``, ``ALL`` no ``all``, and ``a`` no ``A``.
    """
    return word.casefold() if len(word) > 1 and word[0].isupper() and word[1:].islower() else word
