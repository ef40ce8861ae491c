"""In: a study's folder. Out: results.json, and made of it alone index.html, study.md and the plots as SVG.

index.html needs no other file and opens no address: plots and style are in it. study.md names the plots beside it.
"""

from __future__ import annotations

import importlib.resources
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from vaner.errors import VanerError
from vaner.evaluation.tables import escaped, github
from vaner.files import write_text
from vaner.study import plots
from vaner.study.plots import Plot
from vaner.study.results import results
from vaner.study.sections import Section, sections
from vaner.study.tables import TEXT_COLUMNS

TITLE = "A study of entity taggers"
#: What stands at the top of the page: what was compared, what follows, what does not.
_FIRST = 3


def write(folder: str | os.PathLike[str]) -> list[Path]:
    """Count what a study's folder holds and write it there for people and programs.

    Returns:
        the files written: results.json, study.md, index.html, and an SVG file a plot.

    Raises:
        VanerError: as `vaner.study.results.results`. And matplotlib is missing: by then all else is written.
    """
    folder = Path(folder)
    found = results(folder)
    written = [folder / "results.json"]
    text = json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_text(written[0], text)
    # What is shown is what the file holds.
    found = json.loads(text)
    failed: VanerError | None = None
    drawn: list[Plot] = []
    try:
        drawn = plots.plots(found)
    except VanerError as error:
        failed = error
    for one in drawn:
        written.append(folder / f"{one.name}.svg")
        write_text(written[-1], one.svg)
    for name, shown in (("study.md", markdown(found, drawn)), ("index.html", html(found, drawn))):
        written.append(folder / name)
        write_text(written[-1], shown)
    if failed is not None:
        raise VanerError(f"{folder}: the page is written without plots: {failed}")
    return written


def html(found: Mapping[str, Any], drawn: Sequence[Plot]) -> str:
    """The page as one HTML file.

    Args:
        found: what results.json holds.
        drawn: its plots.
    """
    source = importlib.resources.files("vaner.study").joinpath("page.html.jinja").read_text(encoding="utf-8")
    # Compiled from memory, not from a folder: only this template is ever used.
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(source)
    return (
        template.render(
            title=_title(found),
            sections=_shown(sections(found), drawn),
            first=_FIRST,
            plots={one.name: {"inline": Markup(_inline(one)), "caption": one.caption} for one in drawn},
            text=TEXT_COLUMNS,
        )
        + "\n"
    )


def markdown(found: Mapping[str, Any], drawn: Sequence[Plot]) -> str:
    """The page as Markdown; plots are files beside it."""
    by_name = {one.name: one for one in drawn}
    parts = [f"# {escaped(_title(found))}"]
    for section in _shown(sections(found), drawn):
        parts.append(f"## {escaped(section.title)}")
        if section.words:
            parts.append(_list(section.words))
        if (plot := by_name.get(section.plot or "")) is not None:
            parts += [f"![{escaped(plot.says)}]({plot.name}.svg)", escaped(plot.caption)]
        for table in section.tables:
            if table.rows:
                parts += [f"### {escaped(table.title)}", github(table, TEXT_COLUMNS)]
        if section.remarks:
            parts.append(_list(section.remarks))
    return "\n\n".join(parts) + "\n"


def _title(found: Mapping[str, Any]) -> str:
    return f"{TITLE}: {found['study']['name']}" if found["study"]["name"] else TITLE


def _shown(parts: Iterable[Section], drawn: Sequence[Plot]) -> list[Section]:
    """The sections that have something to show; the first always."""
    names = {one.name for one in drawn}
    return [
        one
        for number, one in enumerate(parts)
        if number < _FIRST or one.words or any(table.rows for table in one.tables) or one.plot in names
    ]


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {escaped(line)}" for line in lines)


def _inline(plot: Plot) -> str:
    """The SVG as an element of a page: without the file's prolog and metadata, its ids its own, named for readers."""
    svg = plot.svg[plot.svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    for before, after in ((' id="', ""), ("url(#", ""), ('href="#', "")):
        svg = svg.replace(before, f"{before}{plot.name}-{after}")
    said = Markup.escape(plot.says)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{said}" ', 1)
