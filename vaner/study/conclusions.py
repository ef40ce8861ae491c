"""In: what a study found, as numbers. Out: what was compared, what can and what cannot be concluded, in words.

Every sentence is made from the numbers. "Told apart" means beyond chance: Holm-corrected p below 0.05, over other
documents and other seeds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from scipy import stats

from vaner.evaluation.lengths import BINS
from vaner.evaluation.tables import interval_of, percent, signed
from vaner.study.frontier import above
from vaner.study.spent import SECONDS

#: What is said of lengths: the gain on the longest bin minus that on the shortest.
LONG = f"{BINS[-1]} minus {BINS[0]}"
# Documents of a corpus below which a bootstrap is rough.
_FEW = 30
_NAMES = {
    "seconds_per_1000_words": "seconds for 1,000 words",
    "cpu_seconds_per_1000_words": "CPU-seconds for 1,000 words",
    "gpu_seconds_per_1000_words": "GPU-seconds for 1,000 words",
    "peak_memory_mb": "MB of memory",
    "gpu_memory_mb": "MB of GPU memory",
    "energy_joules_per_1000_words": "joules for 1,000 words",
    "price_per_1000_words": "{currency} for 1,000 words",
}


def conclusions(found: Mapping[str, Any]) -> dict[str, list[str]]:
    """Sentences under ``compared``, ``can``, ``cannot`` and ``which``.

    Args:
        found: what `vaner.study.results.results` has when it calls this.
    """
    return {
        "compared": [*_arms(found), *_cells(found)],
        "can": [*_best(found), *_apart(found), *_long(found), *_price(found)],
        "cannot": [*_seeds(found), *_documents(found), *_width(found), *_scope(found)],
        "which": [
            said for name, answers in found["which"].items() for said in _answers(found, name, answers)
        ],
    }


def number(value: float) -> str:
    """Three digits that count, thousands parted."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def listed(names: Sequence[str], last: str = "and") -> str:
    """``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {last} {names[-1]}" if names else "none"


def machine(told: Mapping[str, Any] | None) -> str:
    """A machine in words: ``AMD EPYC, 2 cores, 24 GB, Linux, 1 x NVIDIA H100``."""
    told = told or {}
    said = [
        str(told.get("processor") or ""),
        _several(told["cores"], "core") if told.get("cores") else "",
        f"{number(told['memory_gb'])} GB" if told.get("memory_gb") else "",
        str(told.get("system") or ""),
        *(f"{count} x {gpu}" for gpu, count in Counter(told.get("gpus") or []).items()),
    ]
    return ", ".join(filter(None, said)) or "a machine of which nothing is said"


def budget(told: Any) -> str:
    """A budget in words: ``300 updates``."""
    if isinstance(told, Mapping):
        return ", ".join(
            f"{number(value) if isinstance(value, int | float) else value} {name}"
            for name, value in told.items()
        )
    return str(told) if told else "not stated"


# --- what was compared ---


def _arms(found: Mapping[str, Any]) -> list[str]:
    study, corpora = found["study"], found["corpora"]
    split = f" ({study['split']})" if study["split"] else ""
    described = [
        f"{name}: {one['documents']:,} documents, {one['words']:,} words, {one['mentions']:,} gold mentions"
        + (f" ({one['gold_from']})" if one["gold_from"] and "held out" in one["gold_from"] else "")
        for name, one in corpora.items()
    ]
    trained = [arm for arm, one in study["arms"].items() if one["trained"] and not one.get("model_of")]
    said = [
        f"{_several(len(study['arms']), 'arm')} on {_several(len(corpora), 'corpus', 'corpora')}{split}: "
        f"{'; '.join(described)}. Every arm was scored on the same documents."
    ]
    if trained:
        seeds = study["seeds"]
        said.append(
            f"{_several(len(trained), 'arm was', 'arms were')} trained, each with "
            f"{_several(len(seeds), 'seed')} ({', '.join(seeds)}) and the same budget: "
            f"{budget(study['budget'])}."
        )
    said += [
        f"{arm} tags with the models of {one['model_of']}."
        for arm, one in study["arms"].items()
        if one.get("model_of")
    ]
    where = [f"{machine(one['machine'])} ({one['cells']} cells)" for one in found["machines"]]
    said.append(f"Cells ran on {listed(where)}.")
    if found["cost"]:
        said.append(
            f"Timed on {machine(found['cost']['machine'])}: same texts, arms interleaved, "
            f"{_several(found['cost']['repeats'] or 1, 'repeat')}."
        )
    return said


def _cells(found: Mapping[str, Any]) -> list[str]:
    cells = found["cells"]
    said = [f"{cells['finished']} of {cells['planned']} planned cells are finished."]
    if not cells["missing"]:
        said = [f"All {cells['planned']} planned cells are finished."]
    said += [f"{one['arm']} was not asked about {one['corpus']}: {one['why']}." for one in cells["left_out"]]
    if without := [arm for arm in found["study"]["arms"] if arm not in found["whole"]]:
        said.append(
            f"Not on all corpora with all seeds: {listed(without)}. There is no mean over corpora for "
            f"{'it' if len(without) == 1 else 'them'}, and comparisons only on corpora where no cell is "
            "missing."
        )
    return said


# --- what can be concluded ---


def _ranked(found: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The arms with a mean F1, best first."""
    micro = {
        arm: one["tables"]["overall"]["micro"]["f1"]
        for arm, one in found["scores"]["mean"].items()
        if "overall" in one["tables"]
    }
    return sorted(micro.items(), key=lambda item: -item[1]["mean"])


def _best(found: Mapping[str, Any]) -> list[str]:
    ranked = _ranked(found)
    if not ranked:
        return ["No arm has all its cells: there is no mean over corpora, and nothing to rank."]
    best, one = ranked[0]
    shown = percent(one["mean"]) + (f" {interval_of(one['interval'], percent)}" if one["interval"] else "")
    equal = [arm for arm, _ in ranked[1:] if not above(found["comparisons"]["mean"], best, arm)]
    if len(ranked) == 1:
        return [f"{best} has a strict F1 of {shown}, mean over corpora."]
    said = f"The highest strict F1, mean over corpora, is that of {best}: {shown}."
    if not equal:
        return [f"{said} It is above every other arm beyond chance."]
    return [f"{said} Not told apart from it: {listed([_with(arm, found) for arm in equal])}."]


def _apart(found: Mapping[str, Any]) -> list[str]:
    pairs = found["comparisons"]["mean"]
    if not pairs:
        return []
    apart = [one for one in pairs if one["told_apart"]]
    return [
        f"{len(apart)} of {_several(len(pairs), 'pair')} of arms {'is' if len(apart) == 1 else 'are'} told "
        "apart by mean F1 (Holm-corrected p below 0.05, over other documents and other seeds)."
    ]


def _long(found: Mapping[str, Any]) -> list[str]:
    """Whether an arm is better or worse, against the reference, on long mentions than on short ones; both ways."""
    reference, said = found["study"]["reference"], []
    for way, rows in found["lengths"].items():
        gains = [one for one in rows if one["length"] == LONG]
        if not gains:
            continue
        counted = "Counted honestly" if way == "honest" else "Counted gold-cut (which is biased)"
        better, worse = (
            [
                f"{one['arm']} ({_difference(one)})"
                for one in gains
                if one["told_apart"] and (one["difference"] > 0) == up
            ]
            for up in (True, False)
        )
        if better or worse:
            said.append(
                f"{counted}, against {reference}, beyond chance: better on mentions of three and more words than on "
                f"those of one word: {listed(better)}; worse: {listed(worse)}."
            )
        else:
            said.append(
                f"{counted}, no arm is shown to be better or worse against {reference} on mentions of three and more "
                "words than on those of one word."
            )
    return said


def _price(found: Mapping[str, Any]) -> list[str]:
    if not found["cost"]:
        return []
    seconds = {arm: one[SECONDS] for arm, one in found["cost"]["arms"].items() if one[SECONDS] is not None}
    if len(seconds) < 2:
        return []
    cheap, dear = (pick(seconds, key=lambda arm: seconds[arm]["median"]) for pick in (min, max))
    times = seconds[dear]["times_the_least"]
    ratio = f", {number(times)} times as much" if times else ""
    said = [
        f"The cheapest arm to run is {cheap} ({number(seconds[cheap]['median'])} s for 1,000 words), the "
        f"dearest {dear} ({number(seconds[dear]['median'])} s){ratio}."
    ]
    if one := found["frontier"].get(SECONDS):
        on = [arm["arm"] for arm in one["arms"] if arm["on_frontier"]]
        sure = [arm["arm"] for arm in one["arms"] if any(other["for_sure"] for other in arm["beaten_by"])]
        said.append(
            f"On the frontier of F1 against seconds: {listed(on)}. Beaten for sure (F1 beyond chance, and "
            f"dearer in every repeat): {listed(sure)}."
        )
    return said


# --- what cannot ---


def _seeds(found: Mapping[str, Any]) -> list[str]:
    study = found["study"]
    if not any(one["trained"] for one in study["arms"].values()):
        return []
    n = len(study["seeds"])
    if n < 2:
        return [
            "With one seed nothing is known of other seeds: the intervals are of other documents only, and "
            "no trained arm is told apart from another."
        ]
    if n < 5:
        return [
            f"With {n} seeds the spread over seeds is hardly known: an interval over seeds alone reaches "
            f"{number(float(stats.t.ppf(0.975, n - 1)))} standard errors to each side, where many seeds "
            "would need 1.96. Intervals are wide for that reason too."
        ]
    return []


def _documents(found: Mapping[str, Any]) -> list[str]:
    few = {name: one["documents"] for name, one in found["corpora"].items() if one["documents"] < _FEW}
    if not few:
        return []
    counts = listed([f"{name} ({documents})" for name, documents in few.items()])
    return [
        f"Of so few documents intervals are rough, and what is rare may not be among them at all: {counts}."
    ]


def _width(found: Mapping[str, Any]) -> list[str]:
    reaches = [
        (one["interval"][1] - one["interval"][0]) / 2
        for one in found["comparisons"]["mean"]
        if one["interval"]
    ]
    if not reaches:
        return []
    return [
        f"Two arms' mean F1 have to differ by about {100 * median(reaches):.1f} points before their interval "
        "leaves 0 (the median over pairs, before the correction for many comparisons): of smaller "
        "differences this study says nothing, neither that they are there nor that they are not."
    ]


def _scope(found: Mapping[str, Any]) -> list[str]:
    study = found["study"]
    return [
        f"The arms are these models at this budget ({budget(study['budget'])}) on "
        f"{_several(len(found['corpora']), 'corpus', 'corpora')}: of larger models, longer training and "
        "other corpora nothing follows. The mean over corpora is of these corpora; its interval does not "
        "cover the choice of others.",
        *(["Costs hold for the machine and the programs they were measured with."] if found["cost"] else []),
    ]


# --- which to use ---


def _answers(found: Mapping[str, Any], name: str, answers: Sequence[Mapping[str, Any]]) -> list[str]:
    if not answers:
        return [f"Of {name.replace('_', ' ')} nothing was measured: no arm can be named for such a budget."]
    return [_which(found, name, one) for one in answers]


def _which(found: Mapping[str, Any], name: str, one: Mapping[str, Any]) -> str:
    said_budget = f"With {number(one['budget'])} " + _NAMES[name].format(
        currency=found["cost"]["currency"] or "of money"
    )
    if one["arm"] is None:
        return f"{said_budget}: no arm."
    said = f"{said_budget}: {_with(one['arm'], found)}."
    if one["not_told_apart"]:
        said += f" Not told apart from it: {listed([_with(arm, found) for arm in one['not_told_apart']])}."
        if one["cheapest"] != one["arm"]:
            said += f" The cheapest of these is {one['cheapest']}."
    return said


def _with(arm: str, found: Mapping[str, Any]) -> str:
    return f"{arm} (F1 {percent(found['scores']['mean'][arm]['tables']['overall']['micro']['f1']['mean'])})"


def _difference(one: Mapping[str, Any]) -> str:
    return signed(one["difference"]) + (f" {interval_of(one['interval'], signed)}" if one["interval"] else "")


def _several(n: int, one: str, many: str = "") -> str:
    return f"{n} {one if n == 1 else many or one + 's'}"
