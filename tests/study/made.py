"""A study's folder with made-up texts and taggers of known skill: what the page is tried on."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np

from vaner.document import Document, Span
from vaner.evaluation.metrics import mention_keys
from vaner.formats import write

TYPES = ("Chemical", "Disease")
FILLERS = (
    "the of in with was and patients treated showed after dose increased risk study group effect".split()
)
# kind, chance to find a mention of 1, 2, 3+ words, seconds per 1,000 words, price
ARMS = {
    "encoder": ("labels", (0.86, 0.80, 0.70), 0.4),
    "llm-bidirectional": ("labels", (0.88, 0.83, 0.76), 1.9),
    "llm-causal": ("labels", (0.78, 0.74, 0.66), 1.8),
    "llm-layerwise": ("labels", (0.87, 0.82, 0.74), 1.9),
    "llm-twice": ("labels", (0.85, 0.81, 0.73), 3.7),
    "llm-generates": ("generates", (0.84, 0.81, 0.77), 41.0),
    "llm-prompted": ("prompted", (0.45, 0.40, 0.30), 60.0),
    "dictionary": ("dictionary", (0.55, 0.35, 0.10), 0.02),
}


def names(rng: np.random.Generator, many: int) -> list[tuple[str, str]]:
    """Made-up names of one to five words and their types."""
    syllables = "car pro tax mel ino zol ab vin the rix pan sul fen dor mab".split()

    def word() -> str:
        return "".join(rng.choice(syllables, size=rng.integers(2, 4)))

    lengths = rng.choice([1, 2, 3, 4, 5], p=[0.5, 0.25, 0.13, 0.08, 0.04], size=many)
    return [(" ".join(word() for _ in range(n)), str(rng.choice(TYPES))) for n in lengths]


def document(id: str, rng: np.random.Generator, pool: list[tuple[str, str]]) -> Document:
    text, spans = "", []
    for _ in range(int(rng.integers(3, 13))):
        text += " ".join(rng.choice(FILLERS, size=rng.integers(4, 12))) + " "
        name, type = pool[int(rng.integers(len(pool)))]
        spans.append(Span(len(text), len(text) + len(name), type, name))
        text += name + " . "
    return Document(id, text, spans, types=frozenset(TYPES))


def tagged(gold: Document, skills: tuple[float, ...], luck: float, rng: np.random.Generator) -> Document:
    """What a tagger of this skill makes of a document: hits, misses, wrong borders, wrong types, inventions."""
    found = []
    for span in gold.spans:
        length = min(3, len(span.text.split()))
        if rng.random() < skills[length - 1] + luck:
            found.append(span)
            continue
        fate = rng.random()
        if fate < 0.3 and " " in span.text:
            cut = span.start + span.text.index(" ") + 1
            found.append(gold.span(cut, span.end, span.type))
        elif fate < 0.4:
            found.append(gold.span(span.start, span.end, TYPES[span.type == TYPES[0]]))
    for _ in range(rng.binomial(len(gold.spans), 0.9 * max(0.02, 1 - skills[0] - luck))):
        start = gold.text.index(" ", int(rng.integers(len(gold.text) // 2))) + 1
        end = gold.text.find(" ", start)
        if end > start and not any(s.start < end and start < s.end for s in (*gold.spans, *found)):
            found.append(gold.span(start, end, str(rng.choice(TYPES))))
    return gold.with_spans(found)


def make(
    folder: Path,
    *,
    arms: list[str] | None = None,
    corpora: tuple[str, ...] = ("short-names", "long-names"),
    seeds: tuple[int, ...] = (1, 2),
    documents: int = 12,
    seed: int = 0,
    costs: bool = True,
) -> Path:
    """Write the folder and give it back.

    Args:
        arms: names of `ARMS`; None for all.
    """
    arms = list(ARMS if arms is None else arms)
    rng = np.random.default_rng(seed)
    (folder / "gold").mkdir(parents=True)
    golds: dict[str, list[Document]] = {}
    for corpus in corpora:
        pool = names(rng, 400)
        golds[corpus] = [document(f"{corpus}-{n}", rng, pool) for n in range(documents)]
        train = [document(f"train-{n}", rng, pool) for n in range(documents * 2)]
        write(folder / "gold" / f"{corpus}.jsonl", golds[corpus], "jsonl")
        seen = sorted(mention_keys(train))
        (folder / "gold" / f"{corpus}.seen.json").write_text(json.dumps(seen))
    for arm in arms:
        kind, skills, seconds = ARMS[arm]
        trained = kind in ("labels", "generates")
        for corpus in corpora:
            for number in seeds if trained else ["-"]:
                cell = folder / "cells" / arm / corpus / str(number)
                cell.mkdir(parents=True)
                luck = rng.normal(0, 0.012) if trained else 0.0
                made = [tagged(one, skills, luck, rng) for one in golds[corpus]]
                write(cell / "tagged.jsonl", made, "jsonl")
                (cell / "cell.json").write_text(json.dumps(told(arm, corpus, number, skills, seconds, rng)))
    asked = {
        "name": "made-up",
        "arms": {arm: {"kind": ARMS[arm][0], **settings(arm)} for arm in arms},
        "corpora": {corpus: {"gold_from": "of the dev split"} for corpus in corpora},
        "seeds": list(seeds),
        "budget": {"updates": 300},
        "split": "dev",
        "documents": {corpus: documents for corpus in corpora},
        "versions": {"vaner": "0", "numpy": np.__version__},
    }
    (folder / "study.json").write_text(json.dumps(asked, indent=2))
    if costs:
        (folder / "costs.json").write_text(json.dumps(paid(arms, corpora[0], rng), indent=2))
    return folder


def settings(arm: str) -> dict:
    if arm == "dictionary":
        return {"index": "open"}
    if arm == "llm-prompted":
        return {"prompt": {"answer": "json_mentions", "backend": {"transformers": {"model": "smollm2-135m"}}}}
    flags = {"backbone": "minilm-l6" if arm == "encoder" else "smollm2-135m", "batch_tokens": 1024}
    if arm not in ("encoder", "llm-generates"):
        flags["attention"] = arm.removeprefix("llm-")
    return {"flags": flags}


def told(arm, corpus, seed, skills, seconds, rng):
    trained = seed != "-"
    history = [
        {"update": n, "f1": skills[0] * (1 - math.exp(-n / 80)) + float(rng.normal(0, 0.01))}
        for n in range(50, 301, 50)
    ]
    training = {
        "minutes": 4 + seconds,
        "updates": 300,
        "tokens": 300_000,
        "device": "cpu",
        "history": history,
    }
    return {
        "arm": arm,
        "corpus": corpus,
        "seed": seed,
        "training": training if trained else None,
        "tagging": {"documents": 12, "words": 1500, "seconds": 1.5 * seconds, "failed": 0},
        "machine": {"processor": "made-up", "cores": 2, "memory_gb": 24.0, "system": "Linux", "gpus": []},
        "versions": {"vaner": "0"},
    }


def paid(arms, corpus, rng):
    return {
        "machine": {"processor": "made-up", "cores": 2, "memory_gb": 24.0, "system": "Linux", "gpus": []},
        "repeats": 3,
        "currency": "USD",
        "corpus": corpus,
        "arms": {
            arm: {
                "corpus": corpus,
                "documents": 8,
                "words": 1000,
                "batch": None if ARMS[arm][0] == "dictionary" else 8,
                "seconds_per_1000_words": [ARMS[arm][2] * float(1 + rng.normal(0, 0.02)) for _ in range(3)],
                "cpu_seconds_per_1000_words": [
                    ARMS[arm][2] * float(2 + rng.normal(0, 0.02)) for _ in range(3)
                ],
                "gpu_seconds_per_1000_words": None,
                "peak_memory_mb": 300.0 + 20 * ARMS[arm][2],
                "gpu_memory_mb": None,
                "energy_joules_per_1000_words": None,
                "generated_tokens_per_word": 2.4 if ARMS[arm][0] in ("generates", "prompted") else None,
                "price_per_1000_words": None,
            }
            for arm in arms
        },
    }
