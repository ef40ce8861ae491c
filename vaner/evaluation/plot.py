"""In: the bins of each type before and after calibration. Out: a reliability plot, as SVG, PNG or PDF.

A panel a type: the share of spans that are right (with its exact 95 % interval) against their mean score; calibrated
scores lie on the diagonal.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vaner.errors import VanerError
from vaner.files import check_parent, replacing

FORMATS = ("svg", "png", "pdf")
_COLUMNS = 3
_COLOURS = {"before": "#b35806", "after": "#2166ac"}


def check_plot(path: str | os.PathLike) -> None:
    """Raise VanerError where a plot cannot be written there, or matplotlib is missing."""
    check_parent(path)
    if Path(path).suffix.lstrip(".").lower() not in FORMATS:
        raise VanerError(f"{path}: a plot is one of {', '.join('.' + f for f in FORMATS)}; name such a file")
    try:
        import matplotlib  # noqa: F401 - is it there?
    except ImportError:
        raise VanerError(
            f"{path}: plots are drawn by matplotlib, which is not installed; pip install 'vaner[plots]', or leave "
            "the plot out"
        ) from None


def draw(path: str | os.PathLike, types: Mapping[str, Mapping[str, Any]], title: str) -> None:
    """Write the plot, whole or not at all; the same numbers give the same bytes.

    Args:
        path: ends in .svg, .png or .pdf.
        types: type -> what `vaner.evaluation.calibration.measured` says of it; types without spans are left out.
        title: what was measured.

    Raises:
        VanerError: as `check_plot`.
    """
    check_plot(path)
    import matplotlib
    from matplotlib.figure import Figure

    shown = {type: found for type, found in types.items() if found["spans"]}
    columns = max(1, min(_COLUMNS, len(shown)))
    rows = max(1, -(-len(shown) // columns))
    format = Path(path).suffix.lstrip(".").lower()
    with matplotlib.rc_context({"svg.hashsalt": "vaner", "font.size": 9}):
        figure = Figure(figsize=(3.1 * columns, 3.2 * rows + 0.4), layout="constrained")
        figure.suptitle(title)
        panels = figure.subplots(rows, columns, squeeze=False).flat
        for (type, found), panel in zip(shown.items(), panels, strict=False):
            panel.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
            for when, colour in _COLOURS.items():
                _points(panel, found[when]["bins"], colour, f"{when}: {100 * found[when]['error']:.1f} %")
            panel.set(title=f"{type} ({found['spans']:,})", xlim=(0, 1.02), ylim=(0, 1.02), aspect="equal")
            panel.set(xlabel="mean score", ylabel="share right")
            panel.legend(title="calibration error", loc="upper left", frameon=False)
        for panel in panels:
            panel.set_axis_off()
        dateless = {"Date": None} if format == "svg" else {"CreationDate": None} if format == "pdf" else None
        with replacing(path) as file:
            figure.savefig(file, format=format, dpi=150, metadata=dateless)


def _points(panel: Any, bins: Sequence[Mapping[str, float]], colour: str, label: str) -> None:
    right = [one["right"] for one in bins]
    # Rounding may put a bound past the share itself by a hair.
    below = [max(0.0, one["right"] - one["low"]) for one in bins]
    above = [max(0.0, one["high"] - one["right"]) for one in bins]
    panel.errorbar(
        [one["score"] for one in bins],
        right,
        yerr=[below, above],
        color=colour,
        marker="o",
        markersize=3,
        linewidth=1,
        elinewidth=0.6,
        label=label,
    )
