"""In: what a study found. Out: its plots as SVG: F1 against cost, by length, seen and unseen, learning curves.

An arm has one colour (Okabe and Ito 2008, "Color Universal Design"; grey for yellow, which white paper swallows), one
marker and one style of line in all plots, so that it is told from the others in grey, too. The same numbers give the
same bytes; text stays text.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from vaner.errors import VanerError
from vaner.evaluation.lengths import BINS
from vaner.evaluation.metrics import SEEN
from vaner.study.spent import SECONDS

COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7", "#999999")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
LINES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))
_WIDTH = 7.2  # inches
_GREY = "#777777"


class Plot(NamedTuple):
    """A plot: the file's name, what it shows (its caption), what it says to who cannot see it, and its SVG."""

    name: str
    caption: str
    says: str
    svg: str


def check() -> None:
    """Raise VanerError where matplotlib is missing."""
    try:
        import matplotlib  # noqa: F401 - is it there?
    except ImportError:
        raise VanerError(
            "plots are drawn by matplotlib, which is not installed; pip install 'vaner[plots]'"
        ) from None


def plots(found: Mapping[str, Any]) -> list[Plot]:
    """The plots for which there are numbers.

    Args:
        found: what `vaner.study.results.results` gives.

    Raises:
        VanerError: matplotlib is missing.
    """
    check()
    drawn = []
    if SECONDS in found["frontier"]:
        drawn.append(_cost(found))
    if found["scores"]["mean"] or any(found["scores"]["corpora"].values()):
        drawn += [_lengths(found), _seen(found)]
    if any(
        points
        for one in found["training"].values()
        for by in one["curves"].values()
        for points in by.values()
    ):
        drawn.append(_curves(found))
    return drawn


# --- the four ---


def _cost(found: Mapping[str, Any]) -> Plot:
    arms = found["frontier"][SECONDS]["arms"]
    figure = _figure(_WIDTH, 4.2)
    panel = figure.subplots()
    on = [one for one in arms if one["on_frontier"]]
    panel.set_xscale("log")
    panel.step(*zip(*frontier_line(arms), strict=True), where="post", color=_GREY, linewidth=1.2, zorder=1)
    panel.plot([], [], color=_GREY, linewidth=1.2, label="frontier")
    for one in arms:
        style = _style(found, one["arm"])
        entry = _entry(found["scores"]["mean"][one["arm"]], ("overall", "micro"))
        assert entry is not None, "an arm on this plot has an F1"
        panel.errorbar(
            [one["cost"]],
            [100 * one["f1"]],
            xerr=[[one["cost"] - one["least"]], [one["most"] - one["cost"]]],
            yerr=_reach([one["f1"]], [entry["interval"]]),
            **{**style, "linestyle": "none"},
            markersize=8,
            markerfacecolor=style["color"] if one["on_frontier"] else "white",
            # Of two that lie on each other, both are seen.
            markeredgecolor="white" if one["on_frontier"] else style["color"],
            elinewidth=1,
            capsize=2.5,
            label=one["arm"],
        )
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    panel.set(xlabel="seconds for 1,000 words (log scale)", ylabel="strict F1, mean over corpora (%)")
    panel.grid(True, which="major", color="#dddddd", linewidth=0.6)
    panel.set_axisbelow(True)
    _legend(figure, panel)
    names = ", ".join(one["arm"] for one in on)
    return Plot(
        "cost",
        "F1 against cost. Filled: on the frontier; hollow: another arm has at least this F1 for no more. "
        "Bars: 95 % intervals of F1, and the range of the repeats.",
        f"F1 against seconds for 1,000 words, on a log scale. On the frontier: {names}.",
        _svg(figure, "cost"),
    )


def frontier_line(arms: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """Cost and F1 in percent of the arms on the frontier, by rising cost; as far as the dearest arm of all."""
    on = [(one["cost"], 100 * one["f1"]) for one in arms if one["on_frontier"]]
    return [*on, (max(one["cost"] for one in arms), on[-1][1])]


def _lengths(found: Mapping[str, Any]) -> Plot:
    scopes = _scopes(found)
    figure = _figure(_WIDTH, 2.7 * len(scopes) + 0.9)
    panels = figure.subplots(len(scopes), 2, squeeze=False, sharex=True, sharey="row")
    ways = {"length": "honest", "gold-cut": "gold-cut (biased)"}
    for row, (name, arms) in zip(panels, scopes, strict=True):
        for panel, (table, way) in zip(row, ways.items(), strict=True):
            _by_length(panel, found, arms, table)
            panel.set_title(f"{name}: {way}", fontsize=9)
        row[0].set_ylabel("F1 (%)")
    for panel in panels[-1]:
        panel.set_xlabel("words of the mention")
    _legend(figure, panels[0][0])
    return Plot(
        "length",
        "F1 by length of the mention, in the two ways of counting side by side. Honest: a prediction counts "
        "where its own length is. Gold-cut: both are cut at the gold mentions, so that false positives can "
        "only hurt length 1; for comparison with what was published so. Bars: 95 % intervals.",
        "F1 of mentions of 1, 2 and 3 or more words for each arm, counted honestly and gold-cut; the table "
        "has the numbers.",
        _svg(figure, "length"),
    )


def _by_length(panel: Any, found: Mapping[str, Any], arms: Mapping[str, Any], table: str) -> None:
    step = 0.7 / max(1, len(arms))
    for number, (arm, one) in enumerate(arms.items()):
        entries = [_entry(one, (table, name)) for name in BINS]
        at = [(x + (number - (len(arms) - 1) / 2) * step, e) for x, e in enumerate(entries) if e]
        panel.errorbar(
            [x for x, _ in at],
            [100 * e["mean"] for _, e in at],
            yerr=_reach([e["mean"] for _, e in at], [e["interval"] for _, e in at]),
            **_style(found, arm),
            linewidth=0.9,
            markersize=5,
            elinewidth=0.8,
            label=arm,
        )
    panel.set_xticks(range(len(BINS)), BINS)
    panel.set_xlim(-0.5, len(BINS) - 0.5)
    for border in (0.5, 1.5):
        panel.axvline(border, color="#dddddd", linewidth=0.6, zorder=0)
    panel.grid(True, axis="y", color="#dddddd", linewidth=0.6)
    panel.set_axisbelow(True)


def _seen(found: Mapping[str, Any]) -> Plot:
    scopes = _scopes(found)
    shown = [arm for arm in found["study"]["arms"] if any(arm in arms for _, arms in scopes)]
    columns = min(2, len(scopes))
    rows = -(-len(scopes) // columns)
    figure = _figure(_WIDTH, (0.26 * len(shown) + 0.6) * rows + 0.4)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for (name, arms), panel in zip(scopes, panels.flat, strict=False):
        for arm, one in arms.items():
            at = shown.index(arm)
            entries = [_entry(one, ("seen", side)) for side in SEEN]
            style = _style(found, arm)
            there = [entry for entry in entries if entry]
            if len(there) == len(SEEN):
                panel.plot([100 * e["mean"] for e in there], [at, at], color=_GREY, linewidth=0.8, zorder=1)
            for side, entry, lower in zip(SEEN, entries, (-0.12, 0.12), strict=True):
                if entry:
                    panel.errorbar(
                        [100 * entry["mean"]],
                        [at + lower],
                        xerr=_reach([entry["mean"]], [entry["interval"]]),
                        color=style["color"],
                        marker=style["marker"],
                        markersize=5,
                        markerfacecolor=style["color"] if side == SEEN[0] else "white",
                        elinewidth=0.8,
                    )
        panel.set_yticks(range(len(shown)), shown)
        panel.set_ylim(len(shown) - 0.4, -0.6)
        panel.set_title(name, fontsize=9)
        panel.grid(True, axis="x", color="#dddddd", linewidth=0.6)
        panel.set_axisbelow(True)
    _lowest(panels, len(scopes), "F1 (%)")
    return Plot(
        "seen",
        "F1 of mentions whose surface and type occur as a mention in the train documents (filled) and of "
        "those that do not (hollow). Bars: 95 % intervals.",
        "F1 of seen and of unseen mentions for each arm; the table has the numbers.",
        _svg(figure, "seen"),
    )


def _curves(found: Mapping[str, Any]) -> Plot:
    corpora = [
        name
        for name in found["corpora"]
        if any(any(one["curves"].get(name, {}).values()) for one in found["training"].values())
    ]
    columns = min(2, len(corpora))
    rows = -(-len(corpora) // columns)
    figure = _figure(_WIDTH, 2.9 * rows + 0.9)
    panels = figure.subplots(rows, columns, squeeze=False)
    for name, panel in zip(corpora, panels.flat, strict=False):
        for arm, one in found["training"].items():
            if not one["curves"]:
                continue
            style = _style(found, arm)
            seeds = [points for points in one["curves"].get(name, {}).values() if points]
            for points in seeds:
                panel.plot(
                    [p["update"] for p in points],
                    [100 * p["f1"] for p in points],
                    color=style["color"],
                    alpha=0.35,
                    linewidth=0.6,
                )
            shared = (
                sorted(set.intersection(*({p["update"] for p in points} for points in seeds)))
                if seeds
                else []
            )
            mean = [
                100 * sum(next(p["f1"] for p in points if p["update"] == at) for points in seeds) / len(seeds)
                for at in shared
            ]
            panel.plot(shared, mean, **style, linewidth=1.3, markersize=4.5, label=arm)
        panel.set_title(name, fontsize=9)
        panel.set_ylabel("dev F1 in training (%)")
        panel.grid(True, color="#dddddd", linewidth=0.6)
        panel.set_axisbelow(True)
    _lowest(panels, len(corpora), "updates")
    _legend(figure, *panels.flat)
    return Plot(
        "curves",
        "Learning curves: F1 on the dev documents that training looks at. Thick: mean over seeds, at the "
        "updates that all seeds have; thin: each seed.",
        "F1 on dev documents by update for each arm that was trained, a panel a corpus.",
        _svg(figure, "curves"),
    )


# --- what they share ---


def _scopes(found: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The mean over corpora, where there is one of several, then every corpus: name and arm -> its entry."""
    corpora = [(name, arms) for name, arms in found["scores"]["corpora"].items() if arms]
    mean = found["scores"]["mean"]
    return [("mean over corpora", mean), *corpora] if mean and len(found["corpora"]) > 1 else corpora


def _entry(scores: Mapping[str, Any], row: tuple[str, str]) -> Mapping[str, Any] | None:
    return scores["tables"].get(row[0], {}).get(row[1], {}).get("f1")


def _style(found: Mapping[str, Any], arm: str) -> dict[str, Any]:
    number = list(found["study"]["arms"]).index(arm)
    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKERS[number % len(MARKERS)],
        "linestyle": LINES[number % len(LINES)],
    }


def _reach(values: Sequence[float], intervals: Sequence[Sequence[float] | None]) -> list[list[float]]:
    """How far bars reach below and above, in percent; not at all where there is no interval."""
    pairs = [(value, interval or (value, value)) for value, interval in zip(values, intervals, strict=True)]
    # Rounding may put a bound past the value itself by a hair.
    return [
        [100 * max(0.0, value - low) for value, (low, _) in pairs],
        [100 * max(0.0, high - value) for value, (_, high) in pairs],
    ]


def _lowest(panels: Any, used: int, label: str) -> None:
    """Name the axis below the lowest panel of each column; hide the panels that are not used."""
    columns = panels.shape[1]
    for number, panel in enumerate(panels.flat):
        if number >= used:
            panel.set_axis_off()
        elif number + columns >= used:
            panel.tick_params(labelbottom=True)
            panel.set_xlabel(label)


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _legend(figure: Any, *panels: Any) -> None:
    """One legend above the panels, of whatever any of them shows."""
    shown: dict[str, Any] = {}
    for panel in panels:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            shown.setdefault(label, handle)
    if not shown:
        return
    # Text has no width before it is drawn: a letter takes about 0.065 inches, line and gaps 0.6.
    columns = max(1, int(_WIDTH / (0.065 * max(map(len, shown)) + 0.6)))
    figure.legend(
        list(shown.values()),
        list(shown),
        loc="outside upper left",
        ncols=min(4, columns),
        frameon=False,
        fontsize=8,
        handlelength=3,
    )


def _svg(figure: Any, name: str) -> str:
    import matplotlib

    file = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": f"vaner {name}", "svg.fonttype": "none"}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()
