"""In: a model in training, dev documents. Out: its strict scores on them, each process tagging a share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vaner.corpora.registry import Corpus
from vaner.document import Document
from vaner.evaluation.run import Gold, evaluate
from vaner.knowledge import KnowledgeBase
from vaner.knowledge.shipped import NO_INDEX
from vaner.model.network import VanerModel
from vaner.tagger import Tagger
from vaner.tagging.labeler import Vaner
from vaner.training.asking import tagger_of
from vaner.training.generator import Generator

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Dev:
    """Dev documents, and how a model is asked about them: the way its corpora are, by their names, types and hints.

    Attributes:
        documents: corpus name -> its dev documents, none if dev is not scored.
        corpora: corpus name -> its entry in the registry.
        seed: of the sample.
        most: documents of each corpus at most; None scores all.
        batch_tokens: tokens in a batch.
        hints: the index whose hints the model reads, if it does.
        kb: the index in which it looks words up, if it does.
        process, processes: this one's number, and how many there are.
    """

    documents: Mapping[str, Sequence[Document]]
    corpora: Mapping[str, Corpus] = field(default_factory=dict)
    seed: int = 0
    most: int | None = None
    batch_tokens: int = 2048
    hints: KnowledgeBase | None = None
    kb: KnowledgeBase | None = None
    process: int = 0
    processes: int = 1

    def scores(
        self, model: VanerModel | Generator, tokenizer: PreTrainedTokenizerBase
    ) -> dict[str, dict[str, Any]]:
        """Corpus name -> ``f1``, ``precision``, ``recall`` in [0, 1], ``documents``, and F1 of each type.

        Args:
            model: of any mode; it is left in the mode that it had.
            tokenizer: its fast tokenizer.
        """
        was_training = model.training
        model.eval()
        tagger = self._tagger(model, tokenizer)
        golds, predicted = [], {}
        for name, documents in self.documents.items():
            corpus = self.corpora[name]
            gold = sample(documents, self.most, self.seed)
            dataset = corpus.instruction_name if corpus.instruction_name in tagger.datasets else None
            mine = gold[self.process :: self.processes]
            predicted[name] = self._gathered(
                list(tagger.tag_documents(mine, sorted(corpus.annotated), dataset))
            )
            golds.append(Gold(name, gold, "dev", corpus.instruction_name))
        model.train(was_training)
        if not golds:
            return {}
        return {
            found["name"]: {
                **{measure: found["overall"]["micro"][measure] or 0.0 for measure in _MEASURES},
                "documents": found["documents"],
                # Documents without any mention, gold or found, have no table of types.
                "types": {type: one["f1"] for type, one in found.get("type", {}).items()},
            }
            for found in evaluate(golds, predicted, bootstrap=0).results
        }

    def _tagger(self, model: VanerModel | Generator, tokenizer: PreTrainedTokenizerBase) -> Tagger:
        # A dev corpus may annotate a type that training does not ask: its score is that of a type never seen.
        if isinstance(model, Generator):
            return tagger_of(model, tokenizer)
        return Vaner(
            model,
            tokenizer,
            batch_tokens=self.batch_tokens,
            hints=self.hints,
            kb=self.kb or NO_INDEX,
            allow_new_types=True,
        )

    def _gathered(self, tagged: list[Document]) -> list[Document]:
        """What all processes tagged."""
        if self.processes == 1:
            return tagged
        parts: list[list[Document]] = [[] for _ in range(self.processes)]
        torch.distributed.all_gather_object(parts, tagged)
        return [document for part in parts for document in part]


_MEASURES = ("f1", "precision", "recall")


def mean_f1(scores: Mapping[str, Mapping[str, Any]]) -> float:
    """Mean micro-F1, in [0, 1], over the corpora of `Dev.scores`, of which there is at least one."""
    return float(np.mean([one["f1"] for one in scores.values()]))


def sample(documents: Sequence[Document], most: int | None, seed: int) -> list[Document]:
    """At most ``most`` documents, the same for the same seed, in their own order."""
    if most is None or len(documents) <= most:
        return list(documents)
    chosen = np.random.default_rng(seed).permutation(len(documents))[:most]
    return [documents[i] for i in sorted(chosen)]
