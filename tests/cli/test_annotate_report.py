"""annotate report and annotate merge from the command line: what they print, write and refuse."""

from __future__ import annotations

import argparse
import csv
import json

import pytest

from tests.annotation.made_runs import make_run, marked
from vaner.annotation import queue
from vaner.annotation.audit import lower_bound_of
from vaner.cli import annotate_merge, annotate_report
from vaner.errors import VanerError
from vaner.evaluation.calibration import lower_bound
from vaner.formats import read, write

FEVER, NALOXONE = ("Fever", "Disease", 0.9), ("Naloxone", "Chemical", 0.4)


def call(command, *words):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args([str(word) for word in words]))


@pytest.fixture
def run(tmp_path):
    documents = [marked(str(n), FEVER, NALOXONE) for n in range(20)]
    return make_run(
        tmp_path / "run", documents, counts=[{"requests": 20, "prompt tokens": 500, "answer tokens": 9}]
    )


def test_a_report_of_runs_and_gold(run, tmp_path, capsys):
    write(tmp_path / "gold.pubtator", [marked(str(n), FEVER) for n in range(20)], "pubtator")
    write(tmp_path / "other.jsonl", [marked(str(n), NALOXONE) for n in range(20)], "jsonl")
    call(
        annotate_report, run, "--gold", tmp_path / "gold.pubtator", "--without", tmp_path / "other.jsonl",
        "--json", tmp_path / "r.json", "--markdown", tmp_path / "r.md", "--mistakes", tmp_path / "m.md",
        "--bootstrap", 50, "--price", "input=1,output=2,currency=EUR", "--types", "Disease",
    )  # fmt: skip
    said = capsys.readouterr().out
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["gold"][0]["type"]["Disease"]["f1"] == 1 and found["gold"][1]["type"]["Disease"]["f1"] == 0
    assert found["guideline"][0]["comparison"][0]["difference"] == 1
    assert found["runs"][0]["cost"]["price"] == pytest.approx((500 + 2 * 9) / 1e6)
    assert found["inputs"][1]["role"] == "run" and len(found["inputs"][1]["sha256"]) == 64
    for title in ("Against gold", "Agreement between runs", "What run changed against other.jsonl", "Cost"):
        assert title in said and f"## {title}" in (tmp_path / "r.md").read_text()
    assert "spurious" in (tmp_path / "m.md").read_text()


def test_gold_of_a_corpus(tmp_path, capsys):
    from vaner.corpora.registry import read_registry

    documents = list(read_registry()["bc5cdr-sample"].documents("dev"))
    write(tmp_path / "all.jsonl", documents, "jsonl")
    call(annotate_report, tmp_path / "all.jsonl", "--gold", "bc5cdr-sample", "--bootstrap", 0)
    assert "100.00" in capsys.readouterr().out


def test_an_audit_from_the_draw_to_the_bound(run, tmp_path, capsys):
    sheet = tmp_path / "sheet.csv"
    call(annotate_report, run, "--audit", sheet, "--audit_size", 20, "--seed", 5)
    drawn = capsys.readouterr()
    assert "How many mentions to check" in drawn.out and "20 mentions to check" in drawn.err
    with pytest.raises(VanerError, match="has no answer"):
        call(annotate_report, run, "--audited", sheet)
    with open(sheet, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        row["correct"] = "no" if number == 0 else "yes"
    with open(sheet, "w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    call(annotate_report, run, "--audited", sheet, "--confidence", 0.9, "--json", tmp_path / "r.json")
    said = capsys.readouterr().out
    bound = json.loads((tmp_path / "r.json").read_text())["audit"]["bounds"][0]
    assert (bound["mentions"], bound["checked"], bound["right"]) == (40, 20, 19)
    assert bound["binomial"] == lower_bound(19, 20, 0.9) and bound["exact"] == lower_bound_of(40, 19, 20, 0.9)
    assert f"{100 * bound['binomial']:.2f}" in said and "for the mentions of run" in said
    with pytest.raises(VanerError, match="may have been filled in"):
        call(annotate_report, run, "--audit", sheet)


def test_without_a_size_as_many_are_drawn_as_are_needed(run, tmp_path, capsys):
    call(annotate_report, run, "--audit", tmp_path / "brat", "--precision", 0.5, "--expected", 0.9)
    assert sum(len(d.spans) for d in read(tmp_path / "brat")) == 8
    # More than there are: all of them.
    call(annotate_report, run, "--audit", tmp_path / "all.tsv")
    assert len((tmp_path / "all.tsv").read_text().splitlines()) == 41


@pytest.mark.parametrize(
    "words, said",
    [
        (["--audit_size", "5"], "--audit_size: belongs to --audit"),
        (["--split", "dev"], "--split dev: belongs to --gold"),
        (["--bootstrap", "-1"], "--bootstrap -1"),
        (["--precision", "1"], "--precision 1: give a number between 0 and 1"),
        (["--precision", "0.9", "--expected", "0.8"], "0.9 cannot be shown where 0.8 is expected"),
        (["--audit", "a.csv", "--audited", "b.csv"], "give one of the two"),
        (["--type_map", "A"], "--type_map A: write FROM=TO"),
        (["--price", "input=1"], "output= is missing"),
        (["--price", "input=x,output=1"], "'x' is no number"),
        (["--json", "nowhere/r.json"], "nowhere does not exist"),
        (["--format", "xyz"], "'xyz' is unknown"),
        (["--gold", "no-such-corpus"], "no-such-corpus"),
        (["--without", "RUN"], "is named twice"),
    ],
)
def test_wrong_words_are_refused(run, words, said):
    with pytest.raises(VanerError) as error:
        call(annotate_report, run, *(run if word == "RUN" else word for word in words))
    assert said in str(error.value)


def test_an_audit_is_of_one_run(run, tmp_path):
    write(tmp_path / "b.jsonl", [marked("1", FEVER)], "jsonl")
    with pytest.raises(VanerError, match="is of one run, and 2 are named"):
        call(annotate_report, run, tmp_path / "b.jsonl", "--audit", tmp_path / "s.csv")


def test_runs_of_one_name_are_told_apart(tmp_path, capsys):
    for folder in ("a", "b"):
        make_run(tmp_path / folder / "out", [marked("1", FEVER)])
    call(annotate_report, tmp_path / "a" / "out", tmp_path / "b" / "out", "--bootstrap", 0)
    said = capsys.readouterr().out
    assert "a/out" in said and "b/out" in said


def test_types_are_renamed_on_all_sides(run, tmp_path, capsys):
    write(
        tmp_path / "gold.pubtator",
        [marked(str(n), ("Fever", "Symptom", None)) for n in range(20)],
        "pubtator",
    )
    call(
        annotate_report, run, "--gold", tmp_path / "gold.pubtator", "--type_map", "Symptom=Disease",
        "--json", tmp_path / "r.json", "--bootstrap", 0,
    )  # fmt: skip
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["gold"][0]["type"]["Disease"]["f1"] == 1


def test_merging_from_the_command_line(run, tmp_path, capsys):
    queue.write(run, 0.5)
    folder = run / "queue" / "documents"
    (folder / "3.ann").write_text("T1\tDisease 52 57\tFever\n")
    (folder / "4.ann").unlink()
    (folder / "4.txt").unlink()
    call(
        annotate_merge,
        run,
        "--returned",
        folder,
        "--output",
        tmp_path / "all.jsonl",
        "--json",
        tmp_path / "c.json",
    )
    said = capsys.readouterr().err
    assert "20 documents, 19 of them from people" in said
    assert "1 documents of the queue did not return, and stay as the run marked them: 4" in said
    found = json.loads((tmp_path / "c.json").read_text())
    assert found["changed"]["Chemical"]["removed"] == 1 and found["changed"]["Chemical"]["kept"] == 18
    assert [len(d.spans) for d in read(tmp_path / "all.jsonl")].count(1) == 1
    before = (tmp_path / "all.jsonl").read_bytes()
    call(annotate_merge, run, "--returned", folder, "--output", tmp_path / "all.jsonl")
    assert (tmp_path / "all.jsonl").read_bytes() == before
    # What came of it is a run to report on.
    call(annotate_report, tmp_path / "all.jsonl", run, "--bootstrap", 0)
    assert "19" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words, said",
    [
        (["--output", "nowhere/a.jsonl"], "nowhere does not exist"),
        (["--output", "a.jsonl", "--output_format", "text"], "can only be read"),
        (["--output", "a.jsonl", "--returned_format", "html"], "can only be written"),
    ],
)
def test_merging_refuses_what_cannot_work(run, tmp_path, words, said, monkeypatch):
    monkeypatch.chdir(tmp_path)
    queue.write(run, 0.5)
    with pytest.raises(VanerError) as error:
        call(annotate_merge, run, "--returned", run / "queue" / "documents", *words)
    assert said in str(error.value)


def test_the_output_is_none_of_what_is_merged(run, tmp_path):
    write(tmp_path / "back.jsonl", [marked("1", FEVER)], "jsonl")
    with pytest.raises(VanerError, match="is what is merged"):
        call(annotate_merge, run, "--returned", tmp_path / "back.jsonl", "--output", tmp_path / "back.jsonl")
