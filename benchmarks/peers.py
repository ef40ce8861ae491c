"""In: documents, and a tagger with VANER's head. Out: what other systems make of the same weights and units of text.

transformers' pipeline, VANER's published protocol, and GLiNER with random weights; `tagging.py` times them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence

import shapes
import torch
from transformers import AutoTokenizer, DebertaV2Config, pipeline

from vaner.document import Document
from vaner.inputs.features import windows
from vaner.inputs.instructions import Instruction
from vaner.tagging.labeler import Vaner
from vaner.text.tags import B, I
from vaner.text.units import Text

# deberta-v3-base, on which gliner_medium-v2.1 is built.
GLINER = dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072)
GLINER_WORDS = 384
TINY_GLINER = dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128)

# Mentions of each document: start, end, type.
Found = list[set[tuple[int, int, str]]]


def windows_of(tagger: Vaner, documents: Sequence[Document], instruction: Instruction):
    """Every window: (document's number, its Text, the words as a slice, tokens of each word)."""
    room = tagger.tokenisation.room(instruction)
    for number, document in enumerate(documents):
        text = Text.of(document)
        counts = [len(ids) for ids in tagger.tokenisation.words(text.words)]
        for start, end in text.units(tagger.max_words):
            for window in windows(start, end, counts[start:end], room):
                yield number, text, slice(window.start, window.end), counts


class PipelineTagger:
    """transformers' pipeline, asked one type at a time about the units that ours reads.

    Its answers, one a token, become mentions by the first token of every word, as ours do.
    """

    def __init__(self, tagger: Vaner, device: str) -> None:
        self.tagger = tagger
        self.pipe = pipeline(
            "token-classification",
            model=shapes.stock(tagger),
            tokenizer=tagger.tokenisation.tokenizer,
            device=device,
            aggregation_strategy="none",
            ignore_labels=[],
        )
        self.counted: dict[str, int] = {}

    def __call__(self, documents: Sequence[Document], types: Sequence[str], batch_size: int) -> Found:
        found: Found = [set() for _ in documents]
        self.counted = {"tokens": 0, "padded_tokens": 0}
        for kind in types:
            instruction = self.tagger.settings.template.render([kind])
            units = [
                (n, text, words) for n, text, words, _ in windows_of(self.tagger, documents, instruction)
            ]
            inputs = [f"{instruction.text} {' '.join(text.words[words])}" for _, text, words in units]
            answers = self.pipe(inputs, batch_size=batch_size)
            for (number, text, words), read, answer in zip(units, inputs, answers, strict=True):
                tags = ["OBI".index(one["entity"][0]) for one in answer]
                first = first_tokens([one["start"] for one in answer], read, text.words[words])
                found[number] |= mentions(text, words.start, [tags[i] for i in first], kind)
            self._count(inputs, batch_size)
        return found

    def _count(self, inputs: list[str], batch_size: int) -> None:
        lengths = [len(ids) for ids in self.tagger.tokenisation.tokenizer(inputs)["input_ids"]]
        self.counted["tokens"] += sum(lengths)
        for at in range(0, len(lengths), batch_size):
            batch = lengths[at : at + batch_size]
            self.counted["padded_tokens"] += len(batch) * max(batch)


class ProtocolTagger:
    """VANER's way: sentences in order, four a batch, padded to the longest, one type a pass.

    Unlike the published code it does not let words see the padding, so that its spans can be compared.
    """

    def __init__(self, tagger: Vaner, device: str) -> None:
        self.tagger = tagger
        self.device = device
        self.model = shapes.stock(tagger)
        self.counted: dict[str, int] = {}

    @torch.inference_mode()
    def __call__(self, documents: Sequence[Document], types: Sequence[str], batch_size: int = 4) -> Found:
        found: Found = [set() for _ in documents]
        self.counted = {"tokens": 0, "padded_tokens": 0}
        reads = self.tagger.tokenisation.tokenizer
        for kind in types:
            instruction = self.tagger.settings.template.render([kind])
            units = [
                (n, text, words) for n, text, words, _ in windows_of(self.tagger, documents, instruction)
            ]
            for at in range(0, len(units), batch_size):
                batch = units[at : at + batch_size]
                inputs = [f"{instruction.text} {' '.join(text.words[words])}" for _, text, words in batch]
                encoded = reads(inputs, padding=True, return_offsets_mapping=True, return_tensors="pt")
                self.counted["tokens"] += int(encoded["attention_mask"].sum())
                self.counted["padded_tokens"] += encoded["attention_mask"].numel()
                tensors = {k: encoded[k].to(self.device) for k in ("input_ids", "attention_mask")}
                tags = self.model(**tensors).logits.argmax(-1).tolist()
                starts = encoded["offset_mapping"][..., 0].tolist()
                for row, (number, text, words) in enumerate(batch):
                    first = first_tokens(starts[row], inputs[row], text.words[words])
                    found[number] |= mentions(text, words.start, [tags[row][i] for i in first], kind)
        return found


def first_tokens(starts: Sequence[int], read: str, words: Sequence[str]) -> list[int]:
    """Index of each word's first token.

    Args:
        starts: where each token begins in what was read.
        read: the instruction, then the words, one space before each.
    """
    by_start: dict[int, int] = {}
    for i, start in enumerate(starts):
        by_start.setdefault(start, i)
    at = len(read) - sum(map(len, words)) - len(words) + 1
    found = []
    for word in words:
        # The space before a word is a part of its first token, or that token itself.
        found.append(by_start[at - 1] if at - 1 in by_start else by_start[at])
        at += len(word) + 1
    return found


def mentions(text: Text, start: int, tags: Sequence[int], kind: str) -> set[tuple[int, int, str]]:
    """Character spans of the tags of the words from ``start`` on; an I without a B begins one."""
    found, begin = set(), None
    for i, tag in enumerate([*tags, 0]):
        if begin is not None and tag != I:
            found.add((text.offsets[begin][0], text.offsets[start + i - 1][1], kind))
            begin = None
        if tag == B or (tag == I and begin is None):
            begin = start + i
    return found


def gliner_model(kind: type, shape: str, device: str):
    """GLiNER's span model with random weights, which reads the backbone's tokens.

    Args:
        kind: ``gliner.GLiNER``.
        shape: ``tiny``, or any other for the sizes of its medium model.
    """
    sizes = TINY_GLINER if shape == "tiny" else GLINER
    reads = shapes.tokenizer()
    encoder = DebertaV2Config(
        vocab_size=len(reads),
        max_position_embeddings=512,
        relative_attention=True,
        position_buckets=256,
        max_relative_positions=-1,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        pos_att_type=["p2c", "c2p"],
        type_vocab_size=0,
        position_biased_input=False,
        pad_token_id=reads.pad_token_id,
        **sizes,
    )
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        # It looks for the tokenizer under the encoder's name; words come to it already split.
        reads.save_pretrained(folder)
        AutoTokenizer.from_pretrained(folder, add_prefix_space=True).save_pretrained(folder)
        config = {
            "model_name": folder,
            "encoder_config": encoder.to_dict(),
            "hidden_size": sizes["hidden_size"] if shape == "tiny" else 512,
            "max_len": GLINER_WORDS,
        }
        model = kind.from_config(config, backbone_from_pretrained=False, map_location=device)
    return model.eval()
