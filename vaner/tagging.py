"""In: texts or Documents, entity types, a saved model. Out: the same, in the same order, with Spans.

Document -> Text (words) -> units -> windows -> rows -> batches -> log-probabilities
                                                                     | stitched word by word
Document + Spans  <-  decode  <-  one (types, words, 3) array a document
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
import torch

from vaner import decode
from vaner.batching import collate, plan
from vaner.config import DEFAULT_MODEL
from vaner.corpora import data_folder
from vaner.document import Document, Span
from vaner.errors import VanerError
from vaner.features import Features, Tokenisation, Window, windows
from vaner.instructions import Text
from vaner.model import VanerModel, load_tokenizer


@dataclass
class _Pending:
    """A document on its way through the model."""

    text: Text
    log_probs: np.ndarray
    unit_starts: list[int]


class Vaner:
    """A loaded tagger.

    Args:
        model: the model, in evaluation mode.
        tokenizer: its fast tokenizer.
        batch_tokens: tokens a batch, padding included.
        decoding: ``viterbi``, or ``argmax`` (then an I without a B starts a mention).
        flat: of overlapping spans keep only the best-scored; by default types may overlap and nest.
        allow_new_types: answer types that training never asked, without any promise, instead of refusing them.
        max_words: read units of so many words instead of the model's own; 1 reads sentence by sentence.
        buffer_batches: about how many batches' worth of documents are read ahead, so that rows of like length
            meet; results come back in input order after each buffer.
    """

    def __init__(
        self,
        model: VanerModel,
        tokenizer,
        *,
        batch_tokens: int = 4096,
        decoding: str = "viterbi",
        flat: bool = False,
        allow_new_types: bool = False,
        max_words: int | None = None,
        buffer_batches: int = 8,
    ) -> None:
        if decoding not in ("viterbi", "argmax"):
            raise VanerError(f"decoding: unknown {decoding!r}; choose viterbi or argmax")
        if max_words is not None and max_words < 1:
            raise VanerError(f"max_words is {max_words}; choose 1 (sentence by sentence) or more")
        self.model = model
        self.settings = model.settings
        self.max_words = model.settings.max_words if max_words is None else max_words
        self.tokenisation = Tokenisation(tokenizer, model.settings.max_tokens)
        self.batch_tokens = batch_tokens
        self.decoding = decoding
        self.flat = flat
        self.allow_new_types = allow_new_types
        self.buffer_batches = buffer_batches
        # What the last run did; `predict.py` prints it.
        self.tokens = 0
        self.padded_tokens = 0

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path = DEFAULT_MODEL,
        *,
        dtype: str = "auto",
        device: str | None = None,
        quantization: str = "none",
        merge: bool = True,
        revision: str | None = None,
        **options,
    ) -> Vaner:
        """Load a tagger.

        Args:
            name: a folder that training wrote, a model that vaner ships (``vaner-smollm2-135m``), or a hub id.
            dtype: ``auto`` (bfloat16 where the machine multiplies it natively), ``float32``, ``bfloat16``.
            device: ``cuda`` where there is one, by default.
            quantization: of the base: ``none``, ``8bit``, ``4bit``; the adapter then stays unmerged.
            merge: fold LoRA into the base, which is faster.
            revision: of a hub id.
            options: of `Vaner` itself: batch_tokens, decoding, flat, ...

        Raises:
            VanerError: no such model, a damaged folder, or a base with other weights.
        """
        folder = model_folder(str(name), revision)
        model = VanerModel.from_pretrained(
            folder,
            dtype=dtype,
            device=device,
            quantization=quantization,
            merge=merge and quantization == "none",
        )
        return cls(model, load_tokenizer(folder), **options)

    @property
    def types(self) -> list[str]:
        """Types seen in training; asked when none are named."""
        return list(self.settings.types)

    @property
    def datasets(self) -> dict[str, list[str]]:
        """Dataset names that the model knows, and what each annotates."""
        return dict(self.settings.datasets)

    @overload
    def __call__(
        self, text: str, types: Sequence[str] | None = ..., dataset: str | None = ...
    ) -> list[Span]: ...
    @overload
    def __call__(
        self, text: Iterable[str], types: Sequence[str] | None = ..., dataset: str | None = ...
    ) -> Iterator[list[Span]]: ...

    def __call__(self, text, types=None, dataset=None):
        """Tag a text, or a stream of texts.

        Args:
            text: one text, or an iterable of texts, which is read as it is needed.
            types: entity types to look for; by default those of ``dataset``, or all the model knows.
            dataset: name of the training dataset whose annotation guideline to follow; None is adaptive mode.

        Returns:
            For one text its spans by offset (code points). For an iterable a generator of such lists, in input
            order.

        Raises:
            VanerError: an unknown type or dataset.
        """
        if isinstance(text, str):
            (document,) = self.tag_documents([Document("text", text)], types, dataset)
            return document.spans
        documents = (Document(str(i), one) for i, one in enumerate(text))
        return (d.spans for d in self.tag_documents(documents, types, dataset))

    def tag_documents(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, dataset: str | None = None
    ) -> Iterator[Document]:
        """Tag Documents in input order; their own spans are replaced, everything else is kept.

        Args: as `__call__`.

        Raises:
            VanerError: an unknown type or dataset, before the first document is read.
        """
        asked = self._asked(types, dataset)
        return self._stream(documents, asked, dataset)

    def _asked(self, types: Sequence[str] | None, dataset: str | None) -> list[str]:
        known = self.settings.datasets
        if dataset is not None and dataset not in known:
            hint = _near(dataset, known) or f"known: {', '.join(known) or 'none'}"
            raise VanerError(
                f"dataset {dataset!r} was not in training ({hint}); leave it out for adaptive mode"
            )
        if types is None:
            types = known[dataset] if dataset is not None else self.settings.types
        asked = list(dict.fromkeys([types] if isinstance(types, str) else types))
        if not asked:
            raise VanerError("no entity type asked; name at least one, such as Disease")
        for kind in asked:
            if kind not in self.settings.types and not self.allow_new_types:
                hint = _near(kind, self.settings.types) or f"known: {', '.join(self.settings.types)}"
                raise VanerError(
                    f"type {kind!r} was not in training ({hint}); allow_new_types (--allow_new_types) asks it anyway"
                )
        return asked

    def remarks(self) -> list[str]:
        """What a user should know of the last run: words read only in part, padding."""
        found = []
        if self.tokenisation.shortened:
            found.append(
                f"{len(self.tokenisation.shortened)} very long words were read by their first tokens only"
            )
        if self.padded_tokens:
            share = 1 - self.tokens / self.padded_tokens
            found.append(f"{self.tokens:,} tokens, padding {100 * share:.1f} %")
        return found

    def _stream(
        self, documents: Iterable[Document], asked: list[str], dataset: str | None
    ) -> Iterator[Document]:
        self.tokens = self.padded_tokens = 0
        enough = self.batch_tokens * self.buffer_batches
        buffer: list[Text] = []
        waiting = 0
        for document in documents:
            buffer.append(Text.of(document))
            waiting += sum(map(len, self.tokenisation.words(buffer[-1].words)))
            if waiting >= enough:
                yield from self._tag(buffer, asked, dataset)
                buffer, waiting = [], 0
        if buffer:
            yield from self._tag(buffer, asked, dataset)

    def _tag(self, texts: list[Text], asked: list[str], dataset: str | None) -> Iterator[Document]:
        pending = [_Pending(t, np.zeros((len(asked), len(t.words), 3), dtype=np.float32), []) for t in texts]
        questions = [asked] if self.settings.head == "typed" else [[t] for t in asked]
        rows: list[Features] = []
        places: list[tuple[_Pending, list[int], Window]] = []
        for question in questions:
            instruction = self.settings.template.render(question, dataset)
            room = self.tokenisation.room(instruction)
            type_rows = [asked.index(t) for t in question]
            for one in pending:
                counts = list(map(len, self.tokenisation.words(one.text.words)))
                for start, end in one.text.units(self.max_words):
                    one.unit_starts.append(start)
                    for window in windows(start, end, counts[start:end], room):
                        words = one.text.words[window.start : window.end]
                        rows.append(self.tokenisation.row(instruction, words))
                        places.append((one, type_rows, window))
        lengths = [len(r) for r in rows]
        for batch in plan(lengths, self.batch_tokens):
            log_probs = self.log_probs([rows[i] for i in batch])
            for i, scores in zip(batch, log_probs, strict=True):
                one, type_rows, w = places[i]
                kept = scores[:, w.keep_start - w.start : w.keep_end - w.start]
                one.log_probs[type_rows, w.keep_start : w.keep_end] = kept[: len(type_rows)]
            self.tokens += sum(lengths[i] for i in batch)
            self.padded_tokens += len(batch) * max(lengths[i] for i in batch)
        for one in pending:
            found = decode.spans(
                one.text.document,
                one.text.offsets,
                asked,
                one.log_probs,
                unit_starts=one.unit_starts,
                decoding=self.decoding,
                flat=self.flat,
            )
            yield one.text.document.with_spans(found)

    def log_probs(self, rows: Sequence[Features]) -> np.ndarray:
        """Log-probabilities of O, B, I: float32 ``(rows, types, words, 3)``, padded with zeros at the end."""
        batch = {
            key: torch.from_numpy(value).to(self.model.device)
            for key, value in collate(rows, self.tokenisation.pad_id).items()
        }
        with torch.inference_mode():
            return self.model(**batch)["logits"].float().log_softmax(-1).cpu().numpy()


def _near(word: str, known: Iterable[str]) -> str | None:
    folded = {k.casefold(): k for k in known}
    close = difflib.get_close_matches(word.casefold(), list(folded), n=1)
    return f"did you mean {folded[close[0]]}?" if close else None


def model_folder(name: str, revision: str | None = None) -> str:
    """The local folder of a model: a folder, one of the models that vaner ships, or a hub id.

    Raises:
        VanerError: neither a folder here nor to be had from the hub.
    """
    if Path(name).is_dir():
        return name
    shipped = data_folder() / "models" / name
    if name and Path(name).name == name and shipped.is_dir():
        return str(shipped)
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise VanerError(
            f"{name}: no such model folder; train one with train.py, or name a hub id (owner/name)"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return snapshot_download(
            name, revision=revision, allow_patterns=["*.json", "*.safetensors", "*.model", "*.txt"]
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise VanerError(f"{name}: no such folder here, and the hub did not give it ({reason})") from error


def load(name: str, **options):
    """The tagger called ``name``: a model folder, a hub id, or ``kb:PATH`` for a dictionary (an index file)."""
    if name.startswith("kb:"):
        from vaner.knowledge import DictionaryTagger

        return DictionaryTagger(name.removeprefix("kb:"))
    return Vaner.from_pretrained(name, **options)
