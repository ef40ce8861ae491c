"""Samples as tables and as brat: filled in, read back, and refused where they are not what was drawn."""

from __future__ import annotations

import csv

import pytest

from tests.annotation.made_runs import TEXT, marked
from vaner.annotation import sheets
from vaner.annotation.audit import NO, UNSURE, YES, Design, draw
from vaner.annotation.runs import Annotated
from vaner.document import Document, Span
from vaner.errors import VanerError


@pytest.fixture
def run():
    odd = '=SUM(A1) İstanbul e\u0301 \u2028 "quoted", semi;colon\r\nand 😀 fever\tnext'
    at = odd.index("fever")
    documents = [
        marked(
            "a/1",
            ("Naloxone", "Chemical", 0.97),
            ("hypertension", "Disease", 0.4),
            ("Fever", "Disease", None),
        ),
        Document(
            "b;2",
            odd,
            [Span(0, 8, "Chemical", odd[:8], 0.5), Span(at, at + 10, "Disease", odd[at : at + 10], 0.25)],
        ),
    ]
    return Annotated("run", {d.id: d for d in documents})


def rows_of(path, delimiter=","):
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def put(path, rows, delimiter=",", encoding="utf-8"):
    with open(path, "w", encoding=encoding, newline="") as file:
        table = csv.DictWriter(file, rows[0], delimiter=delimiter)
        table.writeheader()
        table.writerows(rows)


@pytest.mark.parametrize("name, delimiter", [("s.csv", ","), ("s.tsv", "\t")])
def test_a_table_is_filled_in_and_read_back(tmp_path, run, name, delimiter):
    path = tmp_path / name
    assert sheets.write(str(path), run, Design(size=5)) == 5
    assert path.read_bytes().startswith(b"\xef\xbb\xbf") == (name == "s.csv")  # what spreadsheets go by
    rows = rows_of(path, delimiter)
    assert tuple(rows[0]) == sheets.COLUMNS and not any(row["correct"] for row in rows)
    assert rows[0]["context"].startswith("[Naloxone] reverses") and rows[0]["confidence"] == "0.970"
    # No spreadsheet computes it.
    assert rows[3]["mention"] == "'=SUM(A1)"
    for row, said in zip(rows, ("yes", "No", "1", "?", "TRUE"), strict=True):
        row["correct"] = said
        row["comment"] = "seen"
    put(path, rows[::-1], delimiter)  # sorted otherwise
    design, answers = sheets.read(str(path), run)
    assert design == Design(size=5) and answers == {1: YES, 2: NO, 3: YES, 4: UNSURE, 5: YES}


def test_a_table_that_a_spreadsheet_wrote_is_read(tmp_path, run):
    path = tmp_path / "s.csv"
    sheets.write(str(path), run, Design(size=5))
    rows = rows_of(path)
    for row in rows:
        row |= {"correct": "y", "confidence": row["confidence"].rstrip("0"), "context": "shortened"}
    put(path, rows, ";", "utf-8-sig")
    assert set(sheets.read(str(path), run)[1].values()) == {YES}


def change(column, value):
    def changed(rows):
        rows[1][column] = value

    return changed


@pytest.mark.parametrize(
    "what, said",
    [
        (change("correct", ""), "mention 2 has no answer (1 of 5 have none); fill in"),
        (change("correct", "perhaps"), "'perhaps' is no answer"),
        (change("mention", "hypertensions"), "mention was 'hypertension', is 'hypertensions'"),
        (change("start", "19"), "start was '18', is '19'"),
        (change("type", "Chemical"), "type was 'Disease', is 'Chemical'"),
        (change("document", "a/2"), "document was 'a/1', is 'a/2'"),
        (change("number", "9"), "mention 9 was not drawn"),
        (change("number", "1"), "mention 1 is there twice"),
        (change("number", "two"), "'two' is no number"),
        (change("sample", "vaner-audit-1 seed=0 size=5 per_type=0 run=0000000000000000"), "another sample"),
        (lambda rows: rows.pop(), "1 of 5 mentions are gone, the first is number 5"),
        (lambda rows: rows.append(dict(rows[0], number="6")), "mention 6 was not drawn"),
        (lambda rows: [row.pop("sample") for row in rows], "has no column 'sample'"),
        (lambda rows: [row.update(sample="") for row in rows], "names no sample"),
    ],
)
def test_what_was_altered_is_refused(tmp_path, run, what, said):
    path = tmp_path / "s.csv"
    sheets.write(str(path), run, Design(size=5))
    rows = rows_of(path)
    for row in rows:
        row["correct"] = "yes"
    what(rows)
    put(path, rows)
    with pytest.raises(VanerError) as error:
        sheets.read(str(path), run)
    assert said in str(error.value) and str(path) in str(error.value)


def test_a_sample_of_another_run_is_refused(tmp_path, run):
    for name in ("s.csv", "brat"):
        sheets.write(str(tmp_path / name), run, Design(size=5))
        changed = dict(run.documents)
        changed["a/1"] = changed["a/1"].with_spans(changed["a/1"].spans[1:])
        with pytest.raises(VanerError, match="drawn from another run, or later has changed"):
            sheets.read(str(tmp_path / name), Annotated("later", changed))


def test_a_sample_replaces_nothing(tmp_path, run):
    path = tmp_path / "s.csv"
    sheets.write(str(path), run, Design(size=2))
    with pytest.raises(VanerError, match="may have been filled in"):
        sheets.write(str(path), run, Design(size=2))


def answer(folder, answers):
    """Give each mention the attribute that a person would."""
    for file in folder.rglob("*.ann"):
        lines = file.read_text(encoding="utf-8").splitlines()
        for line in list(lines):
            if line.startswith("#"):
                name, number = line.split()[2], int(line.split("mention ")[1].split(",")[0].split(";")[0])
                if number in answers:
                    lines.append(f"A{len(lines)}\tCorrect {name} {answers[number]}")
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_brat_is_filled_in_and_read_back(tmp_path, run):
    folder = tmp_path / "sample"
    sheets.write(str(folder), run, Design(seed=1, size=4, per_type=2))
    assert "Correct\tArg:<ENTITY>, Value:yes|no|unsure" in (folder / "annotation.conf").read_text()
    numbers = [one.number for one in draw(run, Design(seed=1, size=4, per_type=2))]
    with pytest.raises(VanerError, match="has no answer"):
        sheets.read(str(folder), run)
    answer(folder, {number: "no" if number == 2 else "yes" for number in numbers})
    design, answers = sheets.read(str(folder), run)
    assert design == Design(1, 4, 2) and answers == {n: NO if n == 2 else YES for n in numbers}


@pytest.mark.parametrize(
    "what, said",
    [
        (
            lambda text, ann: (text.replace("Fever", "fever"), ann.replace("Fever", "fever")),
            "text of document",
        ),
        (
            lambda text, ann: (text, ann.replace("Disease 18 30\thypertension", "Disease 18 23\thyper")),
            "is Disease 18-23",
        ),
        (lambda text, ann: (text, ann + "T9\tDisease 52 57\tFever\n"), "T9 was not drawn"),
        (
            lambda text, ann: (text, "".join(x for x in ann.splitlines(True) if not x.startswith("T1"))),
            "is gone",
        ),
        (lambda text, ann: (text, ann + "A9\tCorrect T1 no\n"), "two answers (yes, no)"),
    ],
)
def test_brat_that_was_altered_is_refused(tmp_path, what, said):
    run = Annotated(
        "run", {"1": marked("1", ("Naloxone", "Chemical", 0.97), ("hypertension", "Disease", 0.4))}
    )
    folder = tmp_path / "sample"
    sheets.write(str(folder), run, Design(size=2))
    answer(folder, {1: "yes", 2: "yes"})
    assert (folder / "1.txt").read_text() == TEXT
    text, ann = what(TEXT, (folder / "1.ann").read_text())
    (folder / "1.txt").write_text(text)
    (folder / "1.ann").write_text(ann)
    with pytest.raises(VanerError) as error:
        sheets.read(str(folder), run)
    assert said in str(error.value)


def test_a_mention_that_brat_cannot_hold_is_refused(tmp_path):
    run = Annotated("run", {"1": Document("1", "a\nb", [Span(1, 2, "X", "\n")])})
    with pytest.raises(VanerError, match="draw a .csv"):
        sheets.write(str(tmp_path / "sample"), run, Design(size=1))
    assert not list(tmp_path.iterdir())
