"""In: a trained model's ModelConfig. Out: its model card (README.md), written from the run, not by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vaner.model.config import ModelConfig

# What ``evaluate --json`` writes.
Page = Mapping[str, Any]


def render(
    settings: ModelConfig,
    evaluations: Sequence[Page] = (),
    mistakes: str | None = None,
    *,
    beside: Mapping[str, Sequence[Page]] | None = None,
    published: Mapping[tuple[str, str], Mapping[str, float]] | None = None,
) -> str:
    """The card in Markdown, with the metadata block that the hub reads.

    Args:
        settings: with the record of the run.
        evaluations: what ``evaluate --json`` wrote, one page a table; without any, the run's own dev scores are shown.
        mistakes: what ``evaluate --mistakes`` wrote, for the section on what the model is bad at.
        beside: other models' names -> the same evaluations of them; their F1 stands in a column of its own.
        published: (corpus, type) -> model -> published F1 on the test split, in percent. The type is ``all`` where the
            figure is the micro-average of a corpus of several.
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
        *(_scores(evaluations, beside or {}) if evaluations else _own_scores(run.get("dev", {}))),
        *(_published(evaluations, published) if published else []),
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
    return ["## Scores on dev", "", said, "", "| corpus | type | F1 |", "|---|---|---|", *rows, ""]


def _scores(pages: Sequence[Page], beside: Mapping[str, Sequence[Page]]) -> list[str]:
    lines = [
        "## Scores",
        "",
        "Strict scores (same start, end and type) in percent, with the 95 % bootstrap interval of F1 over documents. "
        "Seen: surface and type are a mention in training. Length in words; a punctuation mark is a word.",
        "",
    ]
    if any(page["protocol"].get("baseline") for page in pages):
        lines += ["`dictionary` is the F1 of a dictionary of names that is asked the same.", ""]
    for page in pages:
        others = {name: _found(found, page) for name, found in beside.items()}
        others = {name: found for name, found in others.items() if found}
        splits = ", ".join(dict.fromkeys(found["split"] for found in page["results"]))
        asked = (
            "the dataset not named (adaptive)" if page["protocol"].get("adaptive") else "the dataset named"
        )
        with_dictionary = ["dictionary"] if page["protocol"].get("baseline") else []
        columns = [
            "corpus (documents)",
            "mentions",
            "gold",
            "P",
            "R",
            "F1",
            "interval",
            *with_dictionary,
            *others,
        ]
        lines += [f"### {splits.capitalize()}, {asked}", "", _row(columns), _row(["---"] * len(columns))]
        for found in page["results"]:
            dictionary = _kinds(found.get("baseline") or {})
            theirs = [_kinds(one.get(found["name"], {})) for one in others.values()]
            for kind, one in _kinds(found).items():
                low, high = one.get("interval", {}).get("f1", (None, None))
                lines.append(
                    _row(
                        [
                            f"{found['name']} ({found['documents']})",
                            kind,
                            f"{one['gold']:,}",
                            *map(_percent, (one["precision"], one["recall"], one["f1"])),
                            f"{_percent(low)} - {_percent(high)}",
                            *(_percent(dictionary.get(kind, {}).get("f1")) for _ in with_dictionary),
                            *(_percent(kinds.get(kind, {}).get("f1")) for kinds in theirs),
                        ]
                    )
                )
        lines.append("")
    return lines


def _found(pages: Sequence[Page], like: Page) -> dict[str, Mapping[str, Any]]:
    """Of another model's evaluations what was asked as in this one, by corpus."""
    wanted = {(found["name"], found["split"]) for found in like["results"]}
    return {
        found["name"]: found
        for page in pages
        if bool(page["protocol"].get("adaptive")) == bool(like["protocol"].get("adaptive"))
        for found in page["results"]
        if (found["name"], found["split"]) in wanted
    }


def _published(pages: Sequence[Page], published: Mapping[tuple[str, str], Mapping[str, float]]) -> list[str]:
    models = list(dict.fromkeys(model for figures in published.values() for model in figures))
    ours: dict[tuple[str, str, str], float | None] = {}
    for page in pages:
        if not page["protocol"].get("adaptive"):
            for found in page["results"]:
                corpus = found["name"].removesuffix("-pubtator")
                for kind, one in [("all", found["overall"]["micro"]), *found["type"].items()]:
                    ours[corpus, kind, found["split"]] = one["f1"]
    columns = ["corpus", "mentions", "this model, dev", "this model, test", *models]
    lines = [
        "### Beside published figures",
        "",
        "F1 in percent. The published models are encoders pretrained on PubMed, of about the same size, each "
        "fine-tuned on one corpus, scored on its test split; protocols differ in small ways (training on dev, BIO "
        "repair, sentence splits). This model is one for all corpora and is trained on no dev split.",
        "",
        _row(columns),
        _row(["---"] * len(columns)),
    ]
    for (corpus, kind), figures in published.items():
        mine = [_percent(ours.get((corpus, kind, split))) for split in ("dev", "test")]
        theirs = [f"{figures[m]:.2f}" if m in figures else "-" for m in models]
        if mine != ["-", "-"]:
            lines.append(_row([corpus, kind, *mine, *theirs]))
    return [*lines, ""]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _kinds(found: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The rows of a corpus: all mentions, each type of several, seen and unseen in training, by length."""
    if not found:
        return {}
    seen = {f"{name} in training": one for name, one in (found.get("seen") or {}).items()}
    lengths = {f"{name} word{'s' * (name != '1')}": one for name, one in (found.get("length") or {}).items()}
    types = found["type"] if len(found["type"]) > 1 else {}
    return {"all": found["overall"]["micro"], **types, **seen, **lengths}


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
