"""vaner.study.page: the numbers on the page are the JSON's; it needs nothing from outside; the same bytes twice."""

import json
import re
from html.parser import HTMLParser

import pytest

from tests.study.made import make
from vaner.study import page

ARMS = ["encoder", "llm-twice", "llm-generates", "dictionary"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = make(tmp_path_factory.mktemp("made") / "study", arms=ARMS, documents=8)
    page.write(folder)
    return folder


@pytest.fixture(scope="module")
def found(folder):
    return json.loads((folder / "results.json").read_text())


class Tables(HTMLParser):
    """Caption -> rows of cells, header first; and every address and attribute that the page names."""

    def __init__(self):
        super().__init__()
        self.tables, self.addresses, self.ids, self.scopes, self.stack = {}, [], [], [], []
        self.rows, self.caption = [], ""

    def handle_starttag(self, tag, attributes):
        told = dict(attributes)
        self.addresses += [
            told[key] for key in ("src", "href", "xlink:href", "data", "action") if key in told
        ]
        self.ids += [told["id"]] if "id" in told else []
        if tag == "table":
            self.rows, self.caption = [], ""
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self.scopes.append((tag, told.get("scope")))
        if tag in ("td", "th", "caption"):
            self.stack.append(tag)

    def handle_endtag(self, tag):
        if tag in ("td", "th", "caption"):
            self.stack.pop()
        elif tag == "table":
            assert self.caption not in self.tables or "Strict scores" in self.caption or " " in self.caption
            self.tables.setdefault(self.caption, []).append(self.rows)

    def handle_data(self, data):
        if self.stack and self.stack[-1] == "caption":
            self.caption += data
        elif self.stack:
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def html(folder):
    parsed = Tables()
    parsed.feed((folder / "index.html").read_text())
    return parsed


def shown(entry):
    low, high = entry["interval"]
    return f"{100 * entry['mean']:.2f} [{100 * low:.2f}, {100 * high:.2f}]"


def by_row(rows):
    return {row[0]: dict(zip(rows[0], row, strict=True)) for row in rows[1:]}


def table(html, beginning, number=0):
    (title,) = [one for one in html.tables if one.startswith(beginning)]
    return by_row(html.tables[title][number])


def test_scores_on_the_page_are_the_jsons(html, found):
    overall = table(html, "Strict F1 (same start")
    assert set(overall) == set(ARMS)
    for arm, row in overall.items():
        assert row["Mean"] == shown(found["scores"]["mean"][arm]["tables"]["overall"]["micro"]["f1"])
        for corpus in found["corpora"]:
            one = found["scores"]["corpora"][corpus][arm]["tables"]
            assert row[corpus] == shown(one["overall"]["micro"]["f1"])


def test_lengths_seen_and_relaxed_on_the_page_are_the_jsons(html, found):
    for arm in ARMS:
        tables = found["scores"]["mean"][arm]["tables"]
        row = table(html, "F1 by words of the mention, mean")[arm]
        for name in ("1", "2", "3+"):
            assert row[f"honest {name}"] == shown(tables["length"][name]["f1"])
            assert row[f"gold-cut {name}"] == shown(tables["gold-cut"][name]["f1"])
        assert table(html, "By whether surface")[arm]["unseen F1"] == shown(tables["seen"]["unseen"]["f1"])
        relaxed = table(html, "F1 by what counts as right")[arm]
        assert relaxed["token"] == shown(tables["token"]["token"]["f1"])
        assert relaxed["partial"] == shown(tables["relaxed"]["partial"]["f1"])
        missed = table(html, "What becomes of 100 gold mentions, and")[arm]["Missed"]
        assert missed == f"{100 * found['scores']['mean'][arm]['mistakes']['missed']:.2f}"


def test_differences_on_the_page_are_the_jsons_whichever_arm_stands_first(html, found):
    matrix = table(html, "Every two arms")
    for one in found["comparisons"]["mean"]:
        mark = "*" if one["told_apart"] else ""
        assert matrix[one["a"]][one["b"]] == f"{100 * one['difference']:+.2f}{mark}"
        assert matrix[one["b"]][one["a"]] == f"{-100 * one['difference']:+.2f}{mark}"
    rows = html.tables["Strict F1 minus that of encoder, points"][0]
    one = next(o for o in found["comparisons"]["mean"] if (o["a"], o["b"]) == ("encoder", "dictionary"))
    row = dict(zip(rows[0], next(r for r in rows if r[0] == "dictionary"), strict=True))
    low, high = one["interval"]
    assert row["Difference"] == f"{-100 * one['difference']:+.2f}"
    assert row["95 % interval"] == f"[{-100 * high:+.2f}, {-100 * low:+.2f}]"
    assert row["Beyond chance"] == ("yes" if one["told_apart"] else "no")


def test_costs_on_the_page_are_the_jsons(html, found):
    rows = table(html, "Tagging 1,000 words")
    for arm in ARMS:
        seconds = found["cost"]["arms"][arm]["seconds_per_1000_words"]
        assert float(rows[arm]["Seconds"].split()[0]) == pytest.approx(seconds["median"], rel=5e-3)
    minutes = {arm: float(row["Minutes in all"]) for arm, row in table(html, "Training").items()}
    assert minutes["encoder"] == pytest.approx(found["training"]["encoder"]["minutes"]["total"], rel=5e-3)
    assert minutes.pop("all") == pytest.approx(sum(minutes.values()), rel=5e-3)


def test_markdown_has_the_same_tables_and_words(folder, html):
    text = (folder / "study.md").read_text()
    cells = {
        cell.strip().replace("&lt;", "<")
        for line in text.splitlines()
        if line.startswith("|")
        for cell in line.strip("|").split("|")
    }
    on_page = {cell for tables in html.tables.values() for rows in tables for row in rows for cell in row}
    assert on_page <= cells | {""}
    assert len(re.findall(r"^### ", text, re.MULTILINE)) == sum(map(len, html.tables.values()))
    for name in ("cost", "length", "seen", "curves"):
        assert f"]({name}.svg)" in text and (folder / f"{name}.svg").is_file()


def test_the_page_needs_nothing_from_outside(folder, html):
    text = (folder / "index.html").read_text()
    assert html.addresses and all(one.startswith("#") for one in html.addresses)
    assert not re.search(r"@import|url\((?!#)|<script|<link|<img", text)
    assert len(set(html.ids)) == len(html.ids), "plots in one page have ids of their own"
    assert {one.removeprefix("#") for one in html.addresses} <= set(html.ids)
    assert set(re.findall(r"url\(#([^)]*)\)", text)) <= set(html.ids)


def test_tables_are_readable_for_those_who_cannot_see_them(html):
    assert all(scope in ("col", "row") for tag, scope in html.scopes if tag == "th")
    assert all(html.tables) and ("th", "row") in html.scopes


def test_the_first_thing_said_is_what_was_compared_and_what_follows(folder, found):
    text = (folder / "index.html").read_text()
    first = [
        text.index(f">{title}</h2>")
        for title in ("What was compared", "What can be concluded", "What cannot")
    ]
    assert first == sorted(first) and first[-1] < text.index("F1 of every arm</h2>")
    assert "4 arms on 2 corpora (dev)" in text and "each with 2 seeds (1, 2)" in text
    assert "made-up, 2 cores, 24 GB, Linux" in text


def test_the_same_folder_gives_the_same_bytes(folder):
    names = ["results.json", "study.md", "index.html", "cost.svg", "length.svg", "seen.svg", "curves.svg"]
    before = {name: (folder / name).read_bytes() for name in names}
    assert [one.name for one in page.write(folder)] == [
        "results.json", "cost.svg", "length.svg", "seen.svg", "curves.svg", "study.md", "index.html",
    ]  # fmt: skip
    assert {name: (folder / name).read_bytes() for name in names} == before


def test_missing_cells_are_shown_as_missing(tmp_path):
    folder = make(tmp_path / "study", arms=["encoder", "dictionary"], documents=4)
    cell = folder / "cells/encoder/long-names/2"
    (cell / "cell.json").unlink()
    (cell / "failed.json").write_text(json.dumps({"why": "out of <memory>"}))
    page.write(folder)
    parsed = Tables()
    text = (folder / "index.html").read_text()
    parsed.feed(text)
    row = table(parsed, "Strict F1 (same start")["encoder"]
    assert row["Mean"] == "–" and row["long-names"].endswith("(seed 1 only)")
    assert parsed.tables["Cells that are missing"][0][1] == [
        "encoder",
        "long-names",
        "2",
        "failed: out of <memory>",
    ]
    assert "out of &lt;memory&gt;" in text and "3 of 6" not in text and "5 of 6 planned cells" in text


def test_names_of_arms_cannot_break_the_page(tmp_path):
    folder = make(
        tmp_path / "study", arms=["encoder"], corpora=("one",), seeds=(1,), documents=3, costs=False
    )
    told = json.loads((folder / "study.json").read_text())
    told["arms"] = {"a<b>&|$x_1$": told["arms"]["encoder"]}
    (folder / "study.json").write_text(json.dumps(told))
    (folder / "cells/encoder").rename(folder / "cells/a<b>&|$x_1$")
    page.write(folder)
    assert "<b>" not in (folder / "index.html").read_text()
    assert "a<b>&|$x_1$" not in (folder / "study.md").read_text()
