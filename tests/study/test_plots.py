"""vaner.study.plots: the same bytes twice, text as text, arms told apart in grey; without matplotlib."""

import builtins
import json
import xml.etree.ElementTree as ElementTree

import pytest

from tests.study.made import ARMS, make
from vaner.errors import VanerError
from vaner.study import page
from vaner.study.plots import COLOURS, LINES, MARKERS, frontier_line, plots
from vaner.study.results import results

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return results(make(tmp_path_factory.mktemp("made") / "study", documents=6), samples=50)


@pytest.fixture(scope="module")
def drawn(found):
    return {one.name: one for one in plots(found)}


def test_the_same_numbers_give_the_same_bytes(found, drawn):
    again = {one.name: one for one in plots(json.loads(json.dumps(found)))}
    assert again == drawn and set(drawn) == {"cost", "length", "seen", "curves"}


def test_they_are_xml_with_their_words_as_text(drawn):
    for name, one in drawn.items():
        words = {e.text for e in ElementTree.fromstring(one.svg).iter(f"{SVG}text")}
        assert {"encoder", "llm-generates"} <= words, name
    words = {e.text for e in ElementTree.fromstring(drawn["length"].svg).iter(f"{SVG}text")}
    assert {"long-names: honest", "long-names: gold-cut (biased)", "3+"} <= words


def test_no_date_and_no_version_is_in_them(drawn):
    assert not any("<dc:date>" in one.svg or "Matplotlib" in one.svg for one in drawn.values())


def test_arms_differ_in_marker_and_in_line_and_colour_together():
    styles = [
        (COLOURS[n % len(COLOURS)], MARKERS[n % len(MARKERS)], LINES[n % len(LINES)]) for n in range(40)
    ]
    assert len(set(styles)) == 40
    # In grey, where only marker and line are left.
    assert len({style[1:] for style in styles}) == 40
    assert len({style[1] for style in styles[: len(ARMS)]}) == len(ARMS)


def test_the_line_goes_over_the_frontier_and_on_to_the_dearest_arm():
    arms = [
        {"cost": 1.0, "f1": 0.5, "on_frontier": True},
        {"cost": 2.0, "f1": 0.4, "on_frontier": False},
        {"cost": 3.0, "f1": 0.75, "on_frontier": True},
        {"cost": 9.0, "f1": 0.7, "on_frontier": False},
    ]
    assert frontier_line(arms) == [(1.0, 50.0), (3.0, 75.0), (9.0, 75.0)]


def test_without_costs_and_curves_their_plots_are_left_out(tmp_path):
    folder = make(tmp_path / "study", arms=["dictionary"], corpora=("one",), documents=3, costs=False)
    assert [one.name for one in plots(results(folder, samples=20))] == ["length", "seen"]


def test_without_matplotlib_all_but_the_plots_is_written(tmp_path, monkeypatch):
    folder = make(tmp_path / "study", arms=["encoder", "dictionary"], documents=3)
    real = builtins.__import__

    def absent(name, *rest, **more):
        if name.partition(".")[0] == "matplotlib":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(VanerError, match=r"written without plots: .*pip install 'vaner\[plots\]'"):
        page.write(folder)
    assert {"results.json", "study.md", "index.html"} <= {one.name for one in folder.iterdir()}
    assert not list(folder.glob("*.svg"))
    assert (
        "<svg" not in (folder / "index.html").read_text() and ".svg" not in (folder / "study.md").read_text()
    )
