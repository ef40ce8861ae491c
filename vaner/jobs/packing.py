"""In: documents. Out: bytes that hold all of them, whatever their metadata is; and back; and a hash of what they say.

Pickled, since that loses nothing, compressed, and read back by an unpickler that makes documents and plain values only:
a file that somebody slipped into the work folder runs no code.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

from vaner.document import Document
from vaner.errors import VanerError

_ALLOWED = {
    ("vaner.document", "Document"),
    ("vaner.document", "Span"),
    ("vaner.document", "Passage"),
    ("vaner.document", "Concept"),
    ("datetime", "date"),
    ("datetime", "datetime"),
    ("datetime", "timedelta"),
    ("decimal", "Decimal"),
    ("collections", "OrderedDict"),
}


def pack(documents: Sequence[Document]) -> bytes:
    """Documents as bytes."""
    return zlib.compress(pickle.dumps(list(documents), protocol=5), 1)


def unpack(content: bytes) -> list[Document]:
    """The documents that :func:`pack` was given.

    Raises:
        VanerError: these are not such bytes, or a document's metadata holds objects of unknown kinds.
    """
    try:
        found: list[Document] = _Unpickler(io.BytesIO(zlib.decompress(content))).load()
    except (zlib.error, pickle.UnpicklingError, EOFError) as error:
        raise VanerError(f"not the documents of a unit ({error})") from None
    return found


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ALLOWED:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"metadata holds a {module}.{name}")


def fingerprint(documents: Iterable[Document]) -> str:
    """A hash of the ids, texts and mentions of documents, in 32 hexadecimal digits."""
    digest = hashlib.sha256()
    for one in documents:
        said = (one.id, one.text, [span.key for span in one.spans])
        digest.update(repr(said).encode("utf-8", "backslashreplace"))
    return digest.hexdigest()[:32]
