"""In: a study's folder. Out: one dict of everything that the page shows: scores, intervals, costs, what follows.

Scores are in [0, 1]; nothing is rounded. A mean over corpora is there only for an arm whose planned cells are all
finished, and so are its comparisons: arms are never compared on different cells. Where some seeds of a corpus are
missing, the mean over those that are there is given with their names.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from vaner import provenance
from vaner.errors import FormatError, near
from vaner.evaluation.bootstrap import MEASURES, resampled
from vaner.evaluation.lengths import BINS
from vaner.evaluation.metrics import CLASSES, MICRO, SEEN, Row
from vaner.study.comparing import CONFIDENCE, Drawn, Estimate, difference, estimate, holm, over_seeds
from vaner.study.conclusions import LONG, conclusions
from vaner.study.counting import TOKEN, Cell, Study, count
from vaner.study.frontier import frontiers, which
from vaner.study.spent import COSTS, costs, machines, training, training_minutes

SAMPLES = 1000
SEED = 0
WAYS = {"honest": "length", "gold-cut": "gold-cut"}
_PACKAGES = ("numpy", "scipy", "matplotlib")

Scored = dict[tuple[str, str], dict[tuple[Row, str], Drawn]]
"""(arm, corpus) -> (row, measure) -> its scores; a row that a cell has no mention of is absent."""


def results(folder: str | os.PathLike[str], *, samples: int = SAMPLES, seed: int = SEED) -> dict[str, Any]:
    """Everything that a study's cells and costs say.

    Args:
        folder: what `python -m vaner study` wrote.
        samples: bootstrap draws of documents.
        seed: of the draws.

    Returns:
        ready for ``json.dump``; docs/study-results.md describes it.

    Raises:
        VanerError: the folder is no study, no cell is finished, or a file is broken.
    """
    study = count(Path(folder))
    scored = {
        (arm, corpus): _drawn(study, arm, corpus, samples, seed)
        for arm in study.arms
        for corpus in study.corpora
        if study.finished(arm, corpus)
    }
    reference, budgets = _reference(study, Path(folder)), _budgets(study, Path(folder))
    whole = [arm for arm in study.arms if study.whole(arm, study.corpora)]
    found: dict[str, Any] = {
        "study": _asked(study, reference),
        "corpora": {name: _corpus(study, name) for name in study.corpora},
        "cells": {
            "planned": sum(len(seeds) for seeds in study.seeds.values()),
            "finished": len(study.cells),
            "missing": [
                {"arm": arm, "corpus": corpus, "seed": seed, "why": why}
                for (arm, corpus, seed), why in study.missing.items()
            ],
            "left_out": [
                {"arm": arm, "corpus": corpus, "why": why}
                for arm, by_corpus in study.left_out.items()
                for corpus, why in by_corpus.items()
            ],
        },
        "statistics": {"samples": samples, "seed": seed, "confidence": CONFIDENCE},
        "whole": whole,
        "scores": {
            "corpora": {
                corpus: {
                    arm: _scores(study, scored, arm, [corpus])
                    for arm in study.arms
                    if (arm, corpus) in scored
                }
                for corpus in study.corpora
            },
            "mean": {arm: _scores(study, scored, arm, list(study.corpora)) for arm in whole},
        },
        "comparisons": _comparisons(study, scored),
        "lengths": _lengths(study, scored, reference, whole),
        "training": training(study),
        "training_minutes": training_minutes(study),
        "cost": costs(study),
        "machines": machines(study),
        "remarks": study.remarks,
        "versions": provenance.versions(_PACKAGES),
    }
    found["frontier"] = frontiers(found)
    found["which"] = which(found, budgets)
    found["conclusions"] = conclusions(found)
    return found


# --- scores ---


def _drawn(study: Study, arm: str, corpus: str, samples: int, seed: int) -> dict[tuple[Row, str], Drawn]:
    """Every row's scores of the finished seeds, as they are and on the draws, which are those of all arms."""
    cells = study.finished(arm, corpus)
    values = [resampled(cell.scores, samples, seed) for cell in cells]
    rows = [row for row in cells[0].scores.rows if all(row in cell.scores.rows for cell in cells)]
    found = {}
    for row in rows:
        scores = [cell.scores[row] for cell in cells]
        if any(one.f1 is None for one in scores):
            continue
        for number, measure in enumerate(MEASURES):
            found[row, measure] = Drawn(
                np.array([getattr(one, measure) for one in scores]),
                np.stack([value[row][number] for value in values], axis=1),
                study.trained(arm, corpus),
                len(study.corpora[corpus].documents),
            )
    return found


def _scores(study: Study, scored: Scored, arm: str, corpora: Sequence[str]) -> dict[str, Any]:
    """An arm's entry on one corpus, or its mean over several."""
    seeds = {
        corpus: [s for s in study.seeds[arm, corpus] if (arm, corpus, s) in study.cells] for corpus in corpora
    }
    missing = [s for corpus in corpora for s in study.seeds[arm, corpus] if s not in seeds[corpus]]
    # A mean is over all the corpora or not there.
    rows = [key for key in scored[arm, corpora[0]] if all(key in scored[arm, corpus] for corpus in corpora)]
    tables: dict[str, Any] = {}
    for row, measure in rows:
        parts = [scored[arm, corpus][row, measure] for corpus in corpora]
        table = tables.setdefault(row[0], {}).setdefault(row[1], {})
        table[measure] = _entry(parts, sure=measure == "f1")
    return {
        "seeds": seeds[corpora[0]],
        "missing_seeds": missing,
        "counts": _mean_counts([study.finished(arm, corpus) for corpus in corpora]),
        "tables": tables,
        "mistakes": _mistakes([study.finished(arm, corpus) for corpus in corpora]),
    }


def _entry(parts: Sequence[Drawn], *, sure: bool) -> dict[str, Any]:
    """A score's mean, and that of each seed; with ``sure``, how sure it is."""
    # The same seeds stand in the same order on all corpora.
    alike = len({len(part.observed) for part in parts}) == 1
    seeds = [float(one) for one in np.mean([part.observed for part in parts], axis=0)] if alike else []
    if not sure:
        return {"mean": fmean(float(part.observed.mean()) for part in parts), "seeds": seeds}
    found = estimate([[(1, part)] for part in parts])
    return {
        "mean": found.value,
        "seeds": seeds,
        "over_seeds": over_seeds(seeds) if parts[0].trained else None,
        **_sure(found),
    }


def _sure(found: Estimate) -> dict[str, Any]:
    return {
        "interval": None if found.interval is None else list(found.interval),
        "interval_covers": "documents and seeds" if found.seeds else "documents",
        "standard_error": found.error,
        "degrees_of_freedom": found.freedom,
    }


def _mean_counts(corpora: Sequence[Sequence[Cell]]) -> dict[str, float]:
    """Gold, predicted and right mentions: means over seeds, added up over corpora."""
    found = {"hits": 0.0, "predicted": 0.0, "gold": 0.0}
    for cells in corpora:
        for name in found:
            found[name] += fmean(float(getattr(cell.scores[MICRO], name)) for cell in cells)
    return found


def _mistakes(corpora: Sequence[Sequence[Cell]]) -> dict[str, float]:
    """Of 100 gold mentions, how many are of each class, and how many spurious ones come on top: as shares of gold.

    Means over seeds, then over corpora.
    """
    shares: dict[str, list[float]] = {name: [] for name in CLASSES}
    for cells in corpora:
        for name in CLASSES:
            shares[name].append(
                fmean(cell.scores.classes[MICRO][name] / max(1, cell.scores[MICRO].gold) for cell in cells)
            )
    return {name: fmean(values) for name, values in shares.items()}


# --- comparisons ---


def _comparisons(study: Study, scored: Scored) -> dict[str, Any]:
    """Every two arms, strict F1: on each corpus, and the mean over them. Each list is a family of Holm's."""
    key = (MICRO, "f1")
    found: dict[str, Any] = {"corpora": {}}
    scopes = {corpus: [corpus] for corpus in study.corpora}
    for name, corpora in [*scopes.items(), (None, list(study.corpora))]:
        arms = [arm for arm in study.arms if study.whole(arm, corpora)]
        pairs = {
            (a, b): difference(
                [scored[a, corpus][key] for corpus in corpora], [scored[b, corpus][key] for corpus in corpora]
            )
            for a, b in combinations(arms, 2)
            if all(key in scored[arm, corpus] for arm in (a, b) for corpus in corpora)
        }
        rows = [{"a": a, "b": b, **one} for (a, b), one in zip(pairs, _family(pairs.values()), strict=True)]
        if name is None:
            found["mean"] = rows
        else:
            found["corpora"][name] = rows
    return found


def _family(found: Iterable[Estimate]) -> list[dict[str, Any]]:
    """Differences that are corrected together. Without a p-value, or with one seed, nothing is told apart."""
    found = list(found)
    tested = [number for number, one in enumerate(found) if one.p is not None]
    corrected = dict(zip(tested, holm(found[number].p or 0.0 for number in tested), strict=True))
    return [
        {
            "difference": one.value,
            **_sure(one),
            "p": one.p,
            "holm": corrected.get(number),
            "told_apart": one.seeds and number in corrected and corrected[number] < 1 - CONFIDENCE,
        }
        for number, one in enumerate(found)
    ]


def _lengths(study: Study, scored: Scored, reference: str, whole: Sequence[str]) -> dict[str, Any]:
    """F1 of each arm minus the reference's by length, mean over corpora; and the gain on long minus that on short.

    Each of the two ways of counting is a family of Holm's.
    """
    found: dict[str, Any] = {}
    corpora = list(study.corpora)
    for way, table in WAYS.items():
        pairs: dict[tuple[str, str], Estimate] = {}
        for arm in whole if reference in whole else []:
            if arm == reference:
                continue
            for name in (*BINS, LONG):
                sides = [_of_length(scored, one, corpora, table, name) for one in (arm, reference)]
                if sides[0] and sides[1]:
                    pairs[arm, name] = difference(sides[0], sides[1])
        rows = zip(pairs, _family(pairs.values()), strict=True)
        found[way] = [{"arm": arm, "length": name, **one} for (arm, name), one in rows]
    return found


def _of_length(scored: Scored, arm: str, corpora: Sequence[str], table: str, name: str) -> list[Drawn]:
    """F1 of one bin, or of the last minus the first, corpus by corpus; empty where a corpus has no such mention."""
    found = []
    for corpus in corpora:
        bins = [scored[arm, corpus].get(((table, one), "f1")) for one in (BINS[-1], BINS[0])]
        one = scored[arm, corpus].get(((table, name), "f1"))
        if name == LONG and bins[0] is not None and bins[1] is not None:
            one = bins[0] - bins[1]
        if one is None:
            return []
        found.append(one)
    return found


# --- what was asked, what it cost ---


def _reference(study: Study, folder: Path) -> str:
    reference = study.asked.get("reference") or next(iter(study.arms))
    if reference not in study.arms:
        hint = near(str(reference), study.arms) or f"there are {', '.join(study.arms)}"
        raise FormatError(f"{folder / 'study.json'}: reference: {reference!r} is no arm; {hint}")
    return str(reference)


def _budgets(study: Study, folder: Path) -> dict[str, list[float]]:
    stated = study.asked.get("budgets") or {}
    if (
        not isinstance(stated, dict)
        or any(name not in COSTS for name in stated)
        or not all(isinstance(several, list) for several in stated.values())
        or any(
            isinstance(n, bool) or not isinstance(n, int | float)
            for several in stated.values()
            for n in several
        )
    ):
        raise FormatError(
            f"{folder / 'study.json'}: budgets: {stated!r}; give lists of numbers by kind of cost: "
            f"{', '.join(COSTS)}"
        )
    return stated


def _asked(study: Study, reference: str) -> dict[str, Any]:
    asked = study.asked
    arms = {
        arm: {
            **told,
            "trained": any(
                study.trained(arm, corpus) for corpus in study.corpora if study.seeds[arm, corpus]
            ),
        }
        for arm, told in study.arms.items()
    }
    kept = ("name", "budget", "split", "hash", "commit")
    return {
        "arms": arms,
        "reference": reference,
        "seeds": [str(seed) for seed in asked.get("seeds") or []],
        **{name: asked.get(name) for name in kept},
        "versions": asked.get("versions") or {},
    }


def _corpus(study: Study, name: str) -> dict[str, Any]:
    corpus = study.corpora[name]
    return {
        "documents": len(corpus.documents),
        "words": corpus.words,
        "gold_from": corpus.told.get("gold_from"),
        "dev_from": corpus.told.get("dev_from"),
        "types": sorted(
            {type for one in corpus.documents for type in one.types or {s.type for s in one.spans}}
        ),
        "mentions": corpus.gold[MICRO].gold,
        "tokens": corpus.gold[TOKEN].gold,
        "mentions_by_length": {name: corpus.gold["length", name].gold for name in BINS},
        "mentions_seen": {name: corpus.gold["seen", name].gold for name in SEEN},
    }
