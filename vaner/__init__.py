"""VANER: biomedical entity tagging with an instruction-conditioned language model and a BIO head."""

from typing import TYPE_CHECKING

from vaner.document import Concept, Document, Passage, Span
from vaner.errors import FormatError, OffsetError, VanerError

if TYPE_CHECKING:
    from vaner.tagging.labeler import Vaner

__version__ = "0.1.0"

__all__ = ["Concept", "Document", "FormatError", "OffsetError", "Passage", "Span", "Vaner", "VanerError"]


def __getattr__(name: str) -> object:
    # The tagger needs torch; reading files, scores and knowledge do not, and must not wait for it.
    if name == "Vaner":
        from vaner.tagging.labeler import Vaner

        return Vaner
    raise AttributeError(f"module 'vaner' has no attribute {name!r}")
