"""In: a loaded model that is asked the same several times, with one index and another. Out: its backbone reads once.

An index changes what the head is told, and nothing that the backbone sees. Taggers that share a model make the same
batches whatever their index; a batch that was read before is not read again, and all else is done as always.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from transformers import DynamicCache

from vaner.document import Document
from vaner.errors import VanerError
from vaner.model.network import VanerModel
from vaner.tagging.labeler import Vaner


class ReadOnce:
    """Remembers what a model's backbone gave, inside ``with``.

    Args:
        model: in evaluation mode; outside ``with`` it is as it was.

    Attributes:
        passes: passes that were computed.
        saved: passes that were not, for they had been.
    """

    def __init__(self, model: VanerModel) -> None:
        self._backbone = model.backbone
        self._read: dict[bytes, Any] = {}
        self.passes = self.saved = 0

    def __enter__(self) -> ReadOnce:
        compute = self._backbone.forward

        # Whoever looks at the signature, to see what the backbone takes, must see the same.
        @functools.wraps(compute)
        def forward(**given: Any) -> Any:
            cache = given.get("past_key_values")
            if isinstance(cache, DynamicCache) and not cache.get_seq_length():
                # An instruction by itself: its caller wants the keys that this leaves in the cache.
                return compute(**given)
            key = _key(given)
            if key not in self._read:
                self._read[key] = compute(**given)
                self._read[key].past_key_values = None
                self.passes += 1
            else:
                self.saved += 1
            return self._read[key]

        self._backbone.__dict__["forward"] = forward
        return self

    def __exit__(self, *_: object) -> None:
        del self._backbone.__dict__["forward"]
        self.forget()

    def forget(self) -> None:
        """Let go of what was read."""
        self._read.clear()

    @contextmanager
    def anew(self) -> Iterator[None]:
        """Read everything again, for as long."""
        remembering = self._backbone.__dict__.pop("forward")
        try:
            yield
        finally:
            self._backbone.__dict__["forward"] = remembering


def _key(given: Mapping[str, Any]) -> bytes:
    """What tells one pass from another."""
    digest = hashlib.sha256()
    for name, value in sorted(given.items()):
        digest.update(name.encode())
        if isinstance(value, DynamicCache):
            # The lowest layer's keys are those of the instruction's tokens; all rows of a batch have the same.
            value = value.layers[0].keys[0]
        if isinstance(value, torch.Tensor):
            digest.update(f"{value.dtype}{tuple(value.shape)}".encode())
            digest.update(value.contiguous().cpu().view(torch.uint8).numpy().tobytes())
        else:
            digest.update(repr(value).encode())
    return digest.digest()


def bare(documents: Sequence[Document]) -> list[Document]:
    """What a tagger gets: the text alone."""
    return [replace(one, spans=[], metadata={}, types=None) for one in documents]


def check(
    once: ReadOnce,
    taggers: Mapping[str, Vaner],
    documents: Sequence[Document],
    types: Sequence[str],
    dataset: str | None,
) -> None:
    """Tag documents anew, then as they are remembered, with each tagger.

    Raises:
        VanerError: the spans, or their scores, differ.
    """

    def tagged(tagger: Vaner) -> list[Document]:
        return list(tagger.tag_documents(bare(documents), types, dataset))

    with once.anew():
        anew = {name: tagged(tagger) for name, tagger in taggers.items()}
    for name, tagger in taggers.items():
        for one, other in zip(anew[name], tagged(tagger), strict=True):
            if one.spans != other.spans:
                raise VanerError(
                    f"{one.id}: {name}: what is remembered of the backbone gives other mentions than reading again; "
                    "set OMP_NUM_THREADS=1, so that a pass gives the same bits each time"
                )
