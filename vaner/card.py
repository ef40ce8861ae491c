"""In: a trained model's ModelConfig. Out: its model card (README.md), written from the run, not by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vaner.config import ModelConfig


def render(
    settings: ModelConfig, evaluation: Mapping[str, Any] | None = None, mistakes: str | None = None
) -> str:
    """The card in Markdown, with the metadata block that the hub reads.

    Args:
        settings: with the record of the run.
        evaluation: what ``evaluate --json`` wrote for dev; without it, the run's own scores are shown.
        mistakes: what ``evaluate --mistakes`` wrote, for the section on what the model is bad at.
    """
    run = settings.training
    example = settings.types[0] if settings.types else "Disease"
    datasets = "\n".join(f"| `{name}` | {', '.join(types)} |" for name, types in settings.datasets.items())
    corpora = "\n".join(
        f"| {name} | {c['documents']:,} | {c['words']:,} | {c['weight']:g} | {c['dropped_as_held_out']} |"
        for name, c in run.get("corpora", {}).items()
    )
    parts = [
        "---",
        "library_name: vaner",
        f"base_model: {settings.backbone}",
        "pipeline_tag: token-classification",
        "tags: [biomedical, named-entity-recognition, lora]",
        "---",
        "",
        f"# VANER tagger on {settings.backbone}",
        "",
        f"Finds {', '.join(settings.types)} mentions in biomedical text, with exact character offsets.",
        "",
        "```python",
        "import vaner",
        "",
        'tagger = vaner.Vaner.from_pretrained("path/to/this/folder")',
        f'tagger("...", types=["{example}"])',
        "```",
        "",
        "## How it works",
        "",
        f"A `{settings.attention}` {settings.backbone} with a `{settings.head}` BIO head reads units of at most "
        f"{settings.max_words} words (whole sentences) behind an instruction, in rows of at most "
        f"{settings.max_tokens} tokens:",
        "",
        f"> {settings.template.known}",
        "",
        "Without a dataset's name (adaptive mode):",
        "",
        f"> {settings.template.adaptive}",
        "",
        f"Weights of the base, sha256 over its tensors: `{settings.weights_hash}`",
        "",
        "| dataset name | types |",
        "|---|---|",
        datasets,
        "",
        "## Training",
        "",
        f"`{run.get('command', '')}`",
        "",
        *([f"Training started from the model `{run['started_from']}`.", ""] if "started_from" in run else []),
        f"{run.get('updates', 0):,} updates, {run.get('tokens', 0):,} tokens, "
        f"{run.get('training_minutes', 0):g} minutes on {run.get('processes', 1)} process(es), "
        f"seed {run.get('seed')}, code {run.get('commit')}.",
        "",
        "| corpus | documents | words | weight | dropped, shared with dev or test |",
        "|---|---|---|---|---|",
        corpora,
        "",
        *_names(run.get("knowledge", {})),
        *_hints(settings.hints),
        "## Scores on dev",
        "",
        *(_evaluation(evaluation) if evaluation else _own_scores(run.get("dev", {}))),
        "",
        *(["## What it is bad at", "", mistakes.strip(), ""] if mistakes else []),
    ]
    return "\n".join(parts)


def _own_scores(dev: Mapping[str, Any]) -> list[str]:
    rows = [
        f"| {name} | {kind} | {_percent(value)} |"
        for name, one in dev.items()
        for kind, value in [("all", one["f1"]), *one["types"].items()]
    ]
    said = "Strict micro-F1 (same start, end and type) in percent, of the model chosen on these documents."
    return [said, "", "| corpus | type | F1 |", "|---|---|---|", *rows]


def _evaluation(page: Mapping[str, Any]) -> list[str]:
    rows = []
    for found in page["results"]:
        beside = _kinds(found.get("baseline") or {})
        for kind, one in _kinds(found).items():
            low, high = one.get("interval", {}).get("f1", (None, None))
            values = " | ".join(map(_percent, (one["precision"], one["recall"], one["f1"])))
            other = _percent(beside.get(kind, {}).get("f1"))
            rows.append(
                f"| {found['name']} ({found['documents']}) | {kind} | {one['gold']:,} | {values} | "
                f"{_percent(low)} - {_percent(high)} | {other} |"
            )
    return [
        "Strict scores (same start, end and type) in percent, with the 95 % bootstrap interval of F1 over documents.",
        *(
            ["The last column is the F1 of a dictionary of names."]
            if page["protocol"].get("baseline")
            else []
        ),
        "",
        "| corpus (documents) | mentions | gold | P | R | F1 | interval | dictionary |",
        "|---|---|---|---|---|---|---|---|",
        *rows,
    ]


def _kinds(found: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The rows of a corpus: all mentions, each type where there are several, seen and unseen in training."""
    if not found:
        return {}
    types = found["type"] if len(found["type"]) > 1 else {}
    seen = {f"{name} in training": one for name, one in (found.get("seen") or {}).items()}
    return {"all": found["overall"]["micro"], **types, **seen}


def _names(knowledge: dict) -> list[str]:
    """The section on dense recognition, where there was any."""
    if not knowledge:
        return []
    leakage = knowledge["leakage"]
    rows = [
        f"| {corpus} | {kind} | {c['only_in_dev_or_test']:,} | {c['in_index']:,} |"
        for corpus, kinds in leakage["held_out_mentions"].items()
        for kind, c in kinds.items()
    ]
    said = {
        "drop": "None of them was trained on.",
        "report": "They were NOT dropped.",
        "off": "Dev and test were not looked at: names may be mentions that only they annotate.",
    }
    table = [
        "| corpus | type | only in dev or test | of these in the index |",
        "|---|---|---|---|",
        *rows,
        "",
    ]
    index = ", ".join(f"`{name}` (sha256 {digest})" for name, digest in knowledge["index"].items())
    return [
        "### Dense recognition",
        "",
        f"{knowledge['ratio']:g} rows of knowledge-base names (style `{knowledge['style']}`) for every row of the "
        f"corpora, from {index}: {', '.join(f'{n:,} {kind}' for kind, n in knowledge['names'].items())} names.",
        "",
        f"Mentions that dev or test annotate and training does not (`--kb_leakage {leakage['mode']}`). "
        f"{said[leakage['mode']]}",
        "",
        *(table if rows else []),
    ]


def _hints(hints: Mapping[str, Any] | None) -> list[str]:
    if not hints:
        return []
    return [
        "### Hints",
        "",
        f"{hints['share']:g} of the training rows noted names that a dictionary found in them, at most "
        f"{hints['notes']}; name an index when tagging (`kb=`, `--kb INDEX --hints`) to give them again.",
        "",
    ]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"
