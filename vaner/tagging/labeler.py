"""In: texts or Documents, entity types, a saved model. Out: the same, in the same order, with Spans.

Document -> Text (words) -> units -> windows -> rows -> batches -> log-probabilities
                                                                     | stitched word by word
Document + Spans  <-  decode  <-  repeats  <-  one (types, words, 3) array a document

How documents are read ahead and which thread does what is said in `vaner.tagging.stream`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import torch

from vaner.document import Document, Span
from vaner.errors import VanerError, near
from vaner.inputs.batching import plan_packed, plan_rows
from vaner.inputs.features import Features, Tokenisation, Window, windows
from vaner.inputs.hints import Hints, Names
from vaner.inputs.instructions import Instruction
from vaner.inputs.lookups import Lookups
from vaner.inputs.taught import WORD_SCORES, written
from vaner.kernels.fused import to_fused
from vaner.kernels.int8 import to_int8, would_help
from vaner.knowledge import KnowledgeBase
from vaner.knowledge.shipped import NO_INDEX, OPEN, named_index
from vaner.model.attention import copies
from vaner.model.catalogue import model_folder
from vaner.model.config import DEFAULT_MODEL
from vaner.model.network import VanerModel
from vaner.model.saving import load_tokenizer
from vaner.tagger import can_be_asked
from vaner.tagging import decode
from vaner.tagging.batched import Batched
from vaner.tagging.forward import Forward
from vaner.tagging.frames import tag_frame
from vaner.tagging.heap import heap, leave_file, limit_products
from vaner.tagging.pushing import Pushed
from vaner.tagging.repeats import together
from vaner.tagging.stream import Batch, Stream
from vaner.tagging.threads import workers
from vaner.text.units import Text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Tokens a batch where none are named. Several small batches at a time fill a CPU as well as a few large ones do, with
# less padding and less memory; an accelerator reads one at a time.
CPU_BATCH_TOKENS = 1024
ACCELERATOR_BATCH_TOKENS = 4096
BUFFER_TOKENS = 65_536
# Tokens of a run that is long enough to tell how the next could be faster.
LONG = 5_000
_NOTHING = np.zeros((0, 0), dtype=np.int32)


@dataclass
class _Pending:
    """A document on its way through the model."""

    text: Text
    log_probs: np.ndarray
    unit_starts: list[int]


@dataclass
class _Buffer:
    """Documents that are read together.

    Attributes:
        rows: of all of them; ``places[i]`` says of which document, types and words ``rows[i]`` is.
        batches: sequences of row numbers; a sequence holds one row unless they are packed.
    """

    pending: list[_Pending]
    rows: list[Features]
    places: list[tuple[_Pending, list[int], Window]]
    batches: list[Batch]


class Vaner(Pushed):
    """A loaded tagger (VANER: Bian et al. 2024, arXiv:2404.17835).

    Threads may share one; it works on in a forked process, and pickles (`vaner.tagging.copying`).

    Args:
        model: the model, in evaluation mode.
        tokenizer: its fast tokenizer.
        batch_tokens: tokens a batch, padding included; by default 1,024 on a CPU and 4,096 on an accelerator.
        decoding: ``viterbi``, or ``argmax`` (then an I without a B starts a mention).
        flat: of overlapping spans keep only the best-scored; by default types may overlap and nest.
        allow_new_types: answer types that training never asked, without any promise, instead of refusing them.
        max_words: read units of so many words instead of the model's own; 1 reads sentence by sentence.
        buffer_batches: about how many batches' worth of documents are read ahead, so that rows of like length
            meet; results come back in input order after each buffer. By default 16, or as many as make 65,536 tokens.
        pack: put rows one after the other into sequences of up to so many tokens, instead of padding them.
        hints: an index, or its path; the instruction then says which of its names the text has. For models that were
            trained with such hints.
        kb: an index, or its path, in which a model looks words up that was trained to (``--kb_lookups``); ``open`` for
            the vocabulary that vaner ships, which is the default of such models, ``none`` for none. Types that training
            never had can be asked where the index has names of them.
        calibrated: give scores as the model's temperatures make them (`vaner.scores`), where it has some; False gives
            them as its probabilities do.
        word_scores: leave in each document's metadata what the model says of every word (`vaner.inputs.taught`), for
            a student to learn from.
        repeats: decide the places of a name that a document repeats, its abbreviation's too, together
            (`vaner.tagging.repeats`); False decides every place by what its unit says.

    Raises:
        VanerError: a wrong option, or an index for a model that was trained without hints or lookups.
    """

    def __init__(
        self,
        model: VanerModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        batch_tokens: int | None = None,
        decoding: str = "viterbi",
        flat: bool = False,
        allow_new_types: bool = False,
        max_words: int | None = None,
        buffer_batches: int | None = None,
        pack: int | None = None,
        hints: KnowledgeBase | str | PathLike | None = None,
        kb: KnowledgeBase | str | PathLike | None = None,
        calibrated: bool = True,
        word_scores: bool = False,
        repeats: bool = True,
    ) -> None:
        if decoding not in ("viterbi", "argmax"):
            raise VanerError(f"decoding: unknown {decoding!r}; choose viterbi or argmax")
        if max_words is not None and max_words < 1:
            raise VanerError(f"max_words is {max_words}; choose 1 (sentence by sentence) or more")
        self.model = model
        self.settings = model.settings
        self.max_words = model.settings.max_words if max_words is None else max_words
        self.tokenisation = Tokenisation(
            tokenizer, model.settings.max_tokens, copies(model.settings.attention)
        )
        if batch_tokens is None:
            batch_tokens = CPU_BATCH_TOKENS if model.device.type == "cpu" else ACCELERATOR_BATCH_TOKENS
        self.batch_tokens = batch_tokens
        self.decoding = decoding
        self.flat = flat
        self.allow_new_types = allow_new_types
        self.calibrated = calibrated
        self.word_scores = word_scores
        self.repeats = repeats
        for name, value in (
            ("batch_tokens", batch_tokens),
            ("buffer_batches", buffer_batches),
            ("pack", pack),
        ):
            if value is not None and value < 1:
                raise VanerError(f"{name} is {value}; choose 1 or more, or leave it out")
        self.buffer_batches = buffer_batches or max(16, BUFFER_TOKENS // batch_tokens)
        self.pack = pack
        self.hints = None if hints is None else self._hints(hints)
        self.lookups = self._lookups(kb)
        self._forward = Forward(model, self.tokenisation.pad_id)

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path = DEFAULT_MODEL,
        *,
        dtype: str = "auto",
        device: str | None = None,
        quantization: str = "none",
        merge: bool = True,
        fuse: bool = True,
        revision: str | None = None,
        token: str | bool | None = None,
        **options: Any,
    ) -> Vaner:
        """Load a tagger.

        So that memory does not grow in a long run, two environment variables say how much oneDNN keeps for later,
        unless they are set already, and glibc gives back what is free now and then (`vaner.tagging.heap`).

        Args:
            name: a folder that training wrote, a model that vaner ships (``vaner-smollm2-135m``), or a hub id.
            dtype: ``auto`` (bfloat16 where the machine multiplies it natively, else float32), ``float32``,
                ``bfloat16``.
            device: ``cuda`` where there is one, by default.
            quantization: ``8bit`` or ``4bit`` of the base, whose adapter then stays unmerged, to need less memory;
                ``int8`` of the merged model on CPU, to be faster (`vaner.kernels.int8`); or ``none``.
            merge: fold LoRA into the base, which is faster.
            fuse: on a CPU, compute a merged model in fused steps where that is faster (`vaner.kernels.fused`);
                without it the model can be saved again.
            revision: branch, tag or commit of a hub id.
            token: for the hub; None is that of its own login (``hf auth login``, ``HF_TOKEN``), False is none. It is
                kept nowhere: a tagger that is pickled is loaded again with the login of whoever reads it.
            options: of `Vaner` itself: batch_tokens, decoding, flat, ...

        Raises:
            VanerError: no such model, a damaged folder, or a base with other weights.
        """
        folder = model_folder(str(name), revision, token)
        if device is not None:
            _check_device(device)
        limit_products(workers(torch.device("cpu"), torch.get_num_threads()))
        in_bytes = quantization == "int8"
        model = VanerModel.from_pretrained(
            folder,
            dtype=dtype,
            device=device or ("cpu" if in_bytes else None),
            quantization="none" if in_bytes else quantization,
            merge=in_bytes or (merge and quantization == "none"),
            token=token,
        )
        replaced = 0
        if in_bytes:
            replaced = to_int8(model.backbone)
        elif fuse and merge and quantization == "none":
            replaced = to_fused(model.plain_backbone)
        if replaced:
            leave_file(model)
        heap.give_back()
        how: dict[str, Any] = dict(dtype=dtype, device=device, quantization=quantization, revision=revision)
        how |= {"merge": merge, "fuse": fuse}
        return cls(model, load_tokenizer(folder), **options)._loaded_as(name, folder, how, options)

    def _hints(self, kb: KnowledgeBase | str | PathLike) -> Hints:
        trained = self.settings.hints
        if not trained:
            raise VanerError(
                "this model was trained without hints of a knowledge base and cannot read them; leave the index out "
                "(--hints, hints=), or train with --kb_hints"
            )
        return Hints(kb, self.settings.types, most=int(trained["notes"]), tokens=int(trained["tokens"]))

    def _lookups(self, kb: KnowledgeBase | str | PathLike | None) -> Lookups | None:
        trained = self.settings.lookups
        if not trained:
            if kb is None or kb == NO_INDEX:
                return None
            raise VanerError(
                "this model was trained without lookups and cannot use an index; leave it out (--kb, kb=), or train "
                "with --kb_lookups"
            )
        index = kb if isinstance(kb, KnowledgeBase) else named_index(OPEN if kb is None else kb)
        return None if index is None else Lookups(index, trained["names"])

    @property
    def kb(self) -> KnowledgeBase | str:
        """The index in which words are looked up, or ``none``."""
        return NO_INDEX if self.lookups is None else self.lookups.kb

    @property
    def listed(self) -> list[str]:
        """Types that training never had and that are found by their names in the index alone."""
        known = self.lookups.types if self.lookups else ()
        return [type for type in known if type not in self.settings.types]

    @property
    def types(self) -> list[str]:
        """Types seen in training; asked when none are named."""
        return list(self.settings.types)

    @property
    def datasets(self) -> dict[str, list[str]]:
        """Dataset names that the model knows, and what each annotates."""
        return dict(self.settings.datasets)

    @overload
    def __call__(  # type: ignore[overload-overlap]  # to typeshed a str is an Iterable of str too
        self, text: str, types: Sequence[str] | None = ..., dataset: str | None = ...
    ) -> list[Span]: ...
    @overload
    def __call__(
        self, text: Iterable[str], types: Sequence[str] | None = ..., dataset: str | None = ...
    ) -> Iterator[list[Span]]: ...

    def __call__(
        self, text: str | Iterable[str], types: Sequence[str] | None = None, dataset: str | None = None
    ) -> list[Span] | Iterator[list[Span]]:
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

        Args:
            documents: read as they are needed.
            types, dataset: as of `__call__`.

        Returns:
            a generator of new Documents.

        Raises:
            VanerError: an unknown type or dataset, before the first document is read.
        """
        asked = self.asked(types, dataset)
        self._forward.count_anew()
        return self._stream(asked, dataset).run(documents)

    @property
    def batch(self) -> Batched:
        """What tags batches of a dataset's rows: ``dataset.map(tagger.batch, batched=True)``.

        Its arguments, as ``fn_kwargs``, are those of `vaner.tagging.batched.Batched`. `datasets` finds what it kept as
        long as the model's files, its options, the arguments and versions are the same. A model made in memory has no
        name to keep anything under.
        """
        return Batched(self)

    def tag_frame(
        self, frame: Any, text: str = "text", types: Sequence[str] | None = None, **options: Any
    ) -> Any:
        """Tag a column of a frame of pandas or polars, or of an Arrow table.

        Args:
            frame, text, types, options: as of `vaner.tagging.frames.tag_frame`: ``dataset``, ``min_score``,
                ``per="mention"``, ...

        Raises:
            VanerError: another kind of frame, no such column, one that holds no strings.
        """
        return tag_frame(self, frame, text, types, **options)

    def _stream(self, asked: list[str], dataset: str | None) -> Stream[_Buffer]:
        return Stream(
            device=self.model.device,
            enough=self.batch_tokens * self.buffer_batches,
            tokens=lambda text: self.tokenisation.copies * sum(map(len, self.tokenisation.words(text.words))),
            prepare=lambda texts: self._prepare(texts, asked, dataset),
            read=self._read,
            finish=lambda buffer: self._finish(buffer, asked),
        )

    def asked(self, types: Sequence[str] | None, dataset: str | None) -> list[str]:
        """The types that a request comes to: those that it names, of its dataset, or all that the model knows.

        Raises:
            VanerError: an unknown type or dataset, or no type.
        """
        known = self.settings.datasets
        if dataset is not None and dataset not in known:
            hint = near(dataset, known) or f"known: {', '.join(known) or 'none'}"
            raise VanerError(
                f"dataset {dataset!r} was not in training ({hint}); leave it out for adaptive mode"
            )
        if types is None:
            types = known[dataset] if dataset is not None else self.settings.types
        asked = list(dict.fromkeys([types] if isinstance(types, str) else types))
        if not asked:
            raise VanerError("no entity type asked; name at least one, such as Disease")
        for kind in asked:
            if not can_be_asked(self, kind):
                there = [*self.settings.types, *self.listed]
                hint = near(kind, there) or f"known: {', '.join(there)}"
                raise VanerError(
                    f"type {kind!r} was not in training ({hint}); allow_new_types (--allow_new_types) asks it anyway"
                )
        return asked

    def _questions(self, asked: Sequence[str], dataset: str | None) -> list[tuple[list[str], Instruction]]:
        """The types that are asked in one row, and how; for each such row of a window."""
        known = [type for type in asked if type not in self.listed]
        together = [known] if self.settings.head == "typed" else [[type] for type in known]
        return [(types, self.settings.template.render(types, dataset)) for types in together if types]

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
        if self.tokens >= LONG and would_help(self.model.plain_backbone):
            found.append(
                "int8 would be faster here (--quantization int8); python -m vaner doctor measures how much"
            )
        if self.settings.hints and self.hints is None:
            found.append(
                "the model was trained to read hints of a knowledge base and got none; give it an index "
                "(--hints, hints=)"
            )
        if self.lookups:
            found.append(f"words were looked up in {Path(self.lookups.kb.path).name}")
        if self.settings.lookups and self.lookups is None:
            found.append(
                "the model was trained to look words up in an index of names and got none; it finds more with one "
                "(--kb open, kb='open')"
            )
        return found

    def _prepare(self, texts: Sequence[Text], asked: list[str], dataset: str | None) -> _Buffer:
        pending = [_Pending(t, np.zeros((len(asked), len(t.words), 3), dtype=np.float32), []) for t in texts]
        rows: list[Features] = []
        places: list[tuple[_Pending, list[int], Window]] = []
        names = self.hints.names(texts) if self.hints else [[]] * len(texts)
        looked_up = self.lookups.found(texts) if self.lookups else [_NOTHING] * len(texts)
        for i, type in enumerate(asked):
            if self.lookups and type in self.listed:
                for one, found in zip(pending, looked_up, strict=True):
                    one.log_probs[i] = self.lookups.by_names(found, type, len(one.text.words))
        for question, instruction in self._questions(asked, dataset):
            room = self.tokenisation.room(instruction)
            if self.hints:
                room = self.hints.room(self.tokenisation, instruction)
            type_rows = [asked.index(t) for t in question]
            for one, named, found in zip(pending, names, looked_up, strict=True):
                counts = list(map(len, self.tokenisation.words(one.text.words)))
                for start, end in one.text.units(self.max_words):
                    one.unit_starts.append(start)
                    for window in windows(start, end, counts[start:end], room):
                        words = one.text.words[window.start : window.end]
                        row = self.tokenisation.row(
                            self._hinted(instruction, dataset, one.text, named, window), words
                        )
                        if self.lookups:
                            row.lookups = self.lookups.codes(found, question, window.start, window.end)
                        rows.append(row)
                        places.append((one, type_rows, window))
        return _Buffer(pending, rows, places, self._batches(rows))

    def _hinted(
        self, instruction: Instruction, dataset: str | None, text: Text, names: Names, window: Window
    ) -> Instruction:
        """The instruction with hints of the names in the window, where there is an index."""
        if self.hints is None:
            return instruction
        template, types = self.settings.template, instruction.types
        hints = self.hints.of_row(
            self.tokenisation, template, types, dataset, text.words, names, window.start, window.end
        )
        return template.render(types, dataset, hints)

    def _batches(self, rows: list[Features]) -> list[Batch]:
        if self.pack is not None:
            return plan_packed([len(row) for row in rows], self.batch_tokens, self.pack)
        batches = plan_rows(rows, self.batch_tokens, shared=self.model.reuses_instructions)
        return [[[number] for number in batch] for batch in batches]

    def _read(self, buffer: _Buffer, batch: Batch) -> None:
        """Fill in log-probabilities of a buffer's documents; in a thread of the stream."""
        numbers = [i for sequence in batch for i in sequence]
        rows = [buffer.rows[i] for i in numbers]
        if self.pack is None:
            log_probs = self.log_probs(rows)
        else:
            ends = np.cumsum([len(sequence) for sequence in batch]).tolist()
            starts = [0, *ends[:-1]]
            log_probs = self.log_probs(rows, [list(range(*ends)) for ends in zip(starts, ends, strict=True)])
        for i, scores in zip(numbers, log_probs, strict=True):
            one, type_rows, w = buffer.places[i]
            kept = scores[:, w.keep_start - w.start : w.keep_end - w.start]
            one.log_probs[type_rows, w.keep_start : w.keep_end] = kept[: len(type_rows)]

    def _finish(self, buffer: _Buffer, asked: list[str]) -> Iterator[Document]:
        for one in buffer.pending:
            starts = [*one.unit_starts, *one.text.block_starts]
            log_probs = one.log_probs
            if self.repeats:
                tags = decode.tags_of(log_probs, starts, self.decoding)
                # A shared head is asked type by type, and answers one as if it were asked alone.
                apart = self.settings.head == "shared"
                log_probs = together(one.text, log_probs, tags, starts, types_apart=apart)
            found = decode.spans(
                one.text.document,
                one.text.offsets,
                asked,
                log_probs,
                unit_starts=starts,
                decoding=self.decoding,
                flat=self.flat,
                temperatures=self.settings.temperatures if self.calibrated else {},
            )
            tagged = one.text.document.with_spans(found)
            if self.word_scores:
                tagged.metadata = {**tagged.metadata, WORD_SCORES: written(asked, one.log_probs)}
            yield tagged

    def log_probs(
        self, rows: Sequence[Features], sequences: Sequence[Sequence[int]] | None = None
    ) -> np.ndarray:
        """Log-probabilities of O, B, I: float32 ``(rows, types, words, 3)``; as `vaner.tagging.forward` says."""
        return self._forward.log_probs(rows, sequences)

    def forget_instructions(self) -> None:
        """Read every instruction again when it is next asked; else what was read of one is kept."""
        self._forward.forget_instructions()

    @property
    def tokens(self) -> int:
        """Tokens that the last run read; `predict.py` prints it. Threads count together."""
        return self._forward.tokens

    @property
    def padded_tokens(self) -> int:
        """The same with padding."""
        return self._forward.padded_tokens


def _check_device(name: str) -> None:
    try:
        torch.empty(1, device=name).cpu()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise VanerError(f"device {name} cannot be used: {reason}; choose cpu, or leave it out") from None
