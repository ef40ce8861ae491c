"""In: a trained model's ModelConfig, evaluations of it. Out: its model card (README.md), written from the run.

`card.jinja` beside this file is its text; the tables of scores are made here. huggingface_hub writes the block of
metadata at its head, which the hub reads.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from vaner.errors import VanerError
from vaner.model.catalogue import EMBEDDED
from vaner.model.config import ModelConfig

#: What ``evaluate --json`` wrote (`vaner.evaluation.page.Page`).
Evaluation = Mapping[str, Any]

CALIBRATION_HEADING = "## What a score means"
SCORES_HEADING = "## Scores"
DEV_HEADING = "## Scores on dev"
COVERAGE_HEADING = "## What the vocabulary covers"

_METRICS = {"f1": "strict micro-F1", "precision": "strict precision", "recall": "strict recall"}

_LEAKAGE = {
    "drop": "None of them was trained on.",
    "report": "They were NOT dropped.",
    "off": "Dev and test were not looked at: names may be mentions that only they annotate.",
}


def render(
    settings: ModelConfig,
    evaluations: Sequence[Evaluation] = (),
    mistakes: str | None = None,
    *,
    beside: Mapping[str, Sequence[Evaluation]] | None = None,
    published: Mapping[tuple[str, str], Mapping[str, float]] | None = None,
) -> str:
    """The card in Markdown, with the block of metadata that the hub reads.

    Args:
        settings: with the record of the run.
        evaluations: what ``evaluate --json`` wrote, one a table; without any, the run's own dev scores are shown.
        mistakes: what ``evaluate --mistakes`` wrote, for the section on what the model is bad at.
        beside: other models' names -> the same evaluations of them; their F1 stands in a column of its own.
        published: (corpus, type) -> model -> published F1 on the test split, in percent. The type is ``all`` where the
            figure is the micro-average of a corpus of several.
    """
    run = settings.training
    card = ModelCard.from_template(
        _metadata(settings, evaluations),
        template_str=importlib.resources.files("vaner.model")
        .joinpath("card.jinja")
        .read_text(encoding="utf-8"),
        settings=settings,
        run=run,
        leakage=_LEAKAGE,
        scores="\n".join(
            _scores(evaluations, beside or {}) if evaluations else _own_scores(run.get("dev", {}))
        ),
        published="\n".join(_published(evaluations, published)) if published else "",
        mistakes=(mistakes or "").strip(),
        coverage="\n".join(_coverage(run.get("lookups"))),
        calibration="\n".join(_calibration(settings)),
    )
    return str(card).rstrip() + "\n"


def with_calibration(card: str, settings: ModelConfig) -> str:
    """A card that was written before, its section on scores replaced, or added at the end.

    Args:
        card: its Markdown.
        settings: with ``training["calibration"]``.
    """
    return _replaced(card, (CALIBRATION_HEADING,), _calibration(settings))


def with_scores(card: str, settings: ModelConfig, evaluations: Sequence[Evaluation]) -> str:
    """A card that was written before, with scores in its metadata (``model-index``) and as its section on them.

    Whatever else its author wrote into either stays.

    Args:
        card: its Markdown.
        settings: with the record of the run.
        evaluations: as of `render`; without any the section stays, and so does a ``model-index`` that is there.

    Raises:
        VanerError: a block of metadata that is not YAML.
    """
    try:
        parsed = ModelCard(card)
    except ValueError as error:
        reason = str(error).strip().splitlines()[0]
        raise VanerError(
            f"the metadata at the head of the model card cannot be read ({reason}); correct its YAML"
        ) from None
    known = cast(ModelCardData, parsed.data)
    if evaluations or not known.eval_results:
        ours = _metadata(settings, evaluations)
        for name, value in ours.to_dict().items():
            # What its author says of the model (license, language, ...) is his.
            if name != "model-index" and getattr(known, name, None) is None:
                setattr(known, name, value)
        known.model_name = known.model_name or ours.model_name
        known.eval_results = ours.eval_results
    if not evaluations:
        return str(parsed).rstrip() + "\n"
    return _replaced(str(parsed), (SCORES_HEADING, DEV_HEADING), _scores(evaluations, {}))


def results(card: str) -> list[tuple[str, str | None, str, float]]:
    """Dataset, split, metric and value of each evaluation result in a card's metadata."""
    return [
        (one.dataset_name, one.dataset_split, one.metric_name or one.metric_type, one.metric_value)
        for one in cast(ModelCardData, ModelCard(card).data).eval_results or []
    ]


def _replaced(card: str, headings: Collection[str], section: Sequence[str]) -> str:
    """The card with a section in place of the first that has one of the headings; at its end where none has."""
    lines = card.splitlines()
    start = next((i for i, line in enumerate(lines) if line in headings), len(lines))
    end = next((i for i in range(start + 1, len(lines)) if lines[i].startswith("## ")), len(lines))
    before, after = "\n".join(lines[:start]).rstrip(), "\n".join(lines[end:]).strip()
    parts = (before, "\n".join(section).strip(), after)
    return "\n\n".join(part for part in parts if part) + "\n"


def _metadata(settings: ModelConfig, evaluations: Sequence[Evaluation]) -> ModelCardData:
    embedded = EMBEDDED.get(settings.backbone)
    return ModelCardData(
        library_name="vaner",
        base_model=embedded.source if embedded else settings.backbone,
        pipeline_tag="token-classification",
        tags=["biomedical", "named-entity-recognition", "lora"],
        model_name=f"VANER tagger on {settings.backbone}",
        eval_results=_evaluated(evaluations) or _own_results(settings.training.get("dev", {})),
    )


def _evaluated(evaluations: Sequence[Evaluation]) -> list[EvalResult]:
    """What evaluations measured where the model was told which dataset it reads."""
    return [
        _result(found["name"], found["split"], metric, f"{name}{of}", score[metric])
        for one in evaluations
        if not one["protocol"].get("adaptive")
        for found in one["results"]
        for of, score in {
            "": found["overall"]["micro"],
            **({f", {type}": row for type, row in found["type"].items()} if len(found["type"]) > 1 else {}),
        }.items()
        for metric, name in (_METRICS if not of else {"f1": "strict F1"}).items()
        if score[metric] is not None
    ]


def _own_results(dev: Mapping[str, Any]) -> list[EvalResult]:
    """What the run measured on the dev documents that chose the model."""
    return [_result(name, "dev", "f1", _METRICS["f1"], one["f1"]) for name, one in dev.items()]


def _result(dataset: str, split: str | None, metric: str, name: str, value: float) -> EvalResult:
    return EvalResult(
        task_type="token-classification",
        dataset_type=dataset,
        dataset_name=dataset,
        dataset_split=split,
        metric_type=metric,
        metric_name=name,
        metric_value=round(value, 4),
    )


def _calibration(settings: ModelConfig) -> list[str]:
    """The section on what a span's score means; empty where the model was not calibrated."""
    record = settings.training.get("calibration")
    if not record:
        return []
    documents = ", ".join(f"{name} ({count})" for name, count in record["documents"].items())
    lines = [
        CALIBRATION_HEADING,
        "",
        f"`{record['command']}`",
        "",
        f"Temperatures are fitted on {record['split']} documents: {documents}. A calibrated score of 0.8 says that "
        f"eight of ten such spans are right. Expected calibration error in percent ({record['bins']}), also of "
        "documents that were not fitted on; by chance: what perfectly calibrated scores of so many spans would show.",
        "",
        _row(["type", "temperature", "documents", "spans", "error before", "after", "by chance"]),
        _row(["---"] * 7),
    ]
    for kind, one in record["types"].items():
        for where, found in {"fitted on": one["fit"], **one["checked"]}.items():
            errors = (found["before"]["error"], found["after"]["error"], found["by_chance"])
            if found["spans"]:
                cells = [
                    kind,
                    f"{one['temperature']:g}",
                    where,
                    f"{found['spans']:,}",
                    *map(_percent, errors),
                ]
                lines.append(_row(cells))
    if left := {kind: one["reason"] for kind, one in record["types"].items() if one["reason"]}:
        lines += ["", *(f"- {kind} stays as it is: {reason}." for kind, reason in left.items())]
    return [*lines, ""]


def _coverage(lookups: Mapping[str, Any] | None) -> list[str]:
    """The section on what the index of lookups has of each split; empty where the model has none."""
    if not lookups:
        return []
    found = lookups["leakage"]
    lines = [COVERAGE_HEADING, ""]
    if found["mode"] == "off":
        said = "What the index has of dev and test was not counted, nor was it checked that no list in it came from one"
        return [*lines, f"{said} (`--kb_leakage off`).", ""]
    lines += [
        "Mentions that the index of lookups has as a name of their type, and in brackets of any type, in percent. "
        "Unseen: no corpus that was trained on annotates the form with this type.",
        "",
        _row(["corpus", "split", "type", "mentions", "in the index", "unseen in training", "in the index"]),
        _row(["---"] * 7),
    ]
    for one in found["covered"]:
        seen, unseen = one["seen"], one["unseen"]
        cells = [_covered({kind: seen[kind] + unseen[kind] for kind in seen}), _covered(unseen)]
        lines.append(
            _row([one["corpus"], one["split"], one["type"], *(cell for pair in cells for cell in pair)])
        )
    lines += ["", *(f"- {suspect}. It was trained with all the same." for suspect in found["suspects"])]
    if found["unread"]:
        lines.append(f"- Not counted, for want of files: {', '.join(found['unread'])}.")
    return [*lines, ""]


def _covered(counts: Mapping[str, int]) -> tuple[str, str]:
    """How many mentions, and which share of them an index has."""
    whole = counts["mentions"]
    shares = [
        f"{100 * counts[kind] / whole:.1f}" if whole else "-"
        for kind in ("mentions_as_type", "mentions_as_any")
    ]
    return f"{whole:,}", f"{shares[0]} ({shares[1]})"


def _own_scores(dev: Mapping[str, Any]) -> list[str]:
    rows = [
        f"| {name} | {kind} | {_percent(value)} |"
        for name, one in dev.items()
        for kind, value in [("all", one["f1"]), *one["types"].items()]
    ]
    said = "Strict micro-F1 (same start, end and type) in percent, of the model chosen on these documents."
    return [DEV_HEADING, "", said, "", "| corpus | type | F1 |", "|---|---|---|", *rows, ""]


def _scores(pages: Sequence[Evaluation], beside: Mapping[str, Sequence[Evaluation]]) -> list[str]:
    lines = [
        SCORES_HEADING,
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
        splits = ", ".join(dict.fromkeys(found["split"] or found["name"] for found in page["results"]))
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


def _found(pages: Sequence[Evaluation], like: Evaluation) -> dict[str, Mapping[str, Any]]:
    """Of another model's evaluations what was asked as in this one, by corpus."""
    wanted = {(found["name"], found["split"]) for found in like["results"]}
    return {
        found["name"]: found
        for page in pages
        if bool(page["protocol"].get("adaptive")) == bool(like["protocol"].get("adaptive"))
        for found in page["results"]
        if (found["name"], found["split"]) in wanted
    }


def _published(
    pages: Sequence[Evaluation], published: Mapping[tuple[str, str], Mapping[str, float]]
) -> list[str]:
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


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"
