"""`python -m vaner convert` writes what another format can hold, and says in one line what it cannot do."""

import errno
import gzip
import os
import signal
import subprocess
import sys
import time

import pyarrow
import pyarrow.parquet
import pytest

from tests.conftest import SAMPLES
from vaner.cli import main
from vaner.formats import read

GOLD = SAMPLES / "bc5cdr" / "test.pubtator"


def test_spans_survive_the_way_there_and_back(tmp_path, capsys):
    assert main(["convert", str(GOLD), str(tmp_path / "gold.jsonl.gz")]) == 0
    assert main(["convert", str(tmp_path / "gold.jsonl.gz"), str(tmp_path / "back.pubtator")]) == 0
    assert "25 documents" in capsys.readouterr().err

    def spans(path):
        return {d.id: (d.text, sorted(s.key for s in d.spans)) for d in read(path)}

    assert spans(tmp_path / "back.pubtator") == spans(GOLD)


def test_a_page_has_the_mentions(tmp_path):
    assert main(["convert", str(GOLD), str(tmp_path / "gold.html")]) == 0
    assert "Chemical" in (tmp_path / "gold.html").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["./nowhere.jsonl", "out.jsonl"], "nowhere.jsonl: no such file"),
        ([str(GOLD), str(GOLD)], "is the input; name another file"),
        ([str(GOLD), "out.jsonl", "--output_format", "docx"], "'docx' is unknown; choose one of"),
    ],
)
def test_bad_input_is_one_line_and_status_2(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["convert", *words]) == 2
    printed = capsys.readouterr().err
    assert message in printed and printed.count("\n") == 1
    assert not (tmp_path / "out.jsonl").exists()


def test_nothing_is_left_of_a_run_that_was_terminated(tmp_path):
    words = [sys.executable, "-m", "vaner", "convert", "-", str(tmp_path / "out.jsonl")]
    run = subprocess.Popen([*words, "--input_format", "jsonl"], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    while not any(tmp_path.iterdir()):  # it has begun to write, and waits for more input
        assert run.poll() is None
        time.sleep(0.05)
    run.send_signal(signal.SIGTERM)
    run.communicate()
    assert run.returncode == 128 + signal.SIGTERM
    assert not any(tmp_path.iterdir())


def test_columns_of_a_table_are_named_by_flags(tmp_path, capsys):
    table = {"pmid": [7, 8], "abstract": ["Aspirin", None], "year": [2020, 2021]}
    pyarrow.parquet.write_table(pyarrow.table(table), tmp_path / "x.parquet")
    words = ["convert", str(tmp_path / "x.parquet"), str(tmp_path / "y.parquet")]
    assert main([*words, "--text_column", "abstract", "--id_column", "pmid"]) == 0
    assert "note: row without a text left out" in capsys.readouterr().err
    written = pyarrow.parquet.read_table(tmp_path / "y.parquet")
    assert written.to_pylist() == [{"pmid": 7, "abstract": "Aspirin", "year": 2020, "spans": []}]
    assert main([*words, "--text_column", "body"]) == 2
    printed = capsys.readouterr().err
    assert "has no column 'body'" in printed and "pmid (int64), abstract (string), year" in printed
    assert printed.count("\n") == 1
    # A format without columns does without the flags, unless it was asked for by name.
    assert main(["convert", str(GOLD), str(tmp_path / "o.jsonl"), "--id_column", "pmid"]) == 0
    capsys.readouterr()
    named = ["--input_format", "pubtator", "--id_column", "pmid"]
    assert main(["convert", str(GOLD), str(tmp_path / "o.jsonl"), *named]) == 2
    assert "format pubtator has no option 'id'" in capsys.readouterr().err


def test_what_is_lost_is_said_with_counts(tmp_path, capsys):
    assert (
        main(["convert", str(GOLD), str(tmp_path / "o.jsonl"), "--output_format", "jsonl:tool=doccano"]) == 0
    )
    printed = capsys.readouterr().err
    assert (
        "note: 25 x concept ids not written: " in printed and "note: 25 x passages not written: " in printed
    )


# --- many files ---


def many(tmp_path):
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.pubtator").write_bytes(GOLD.read_bytes())
    (folder / "sub" / "b.jsonl.gz").write_bytes(
        gzip.compress(b'{"id": "1", "text": "Fever", "metadata": {"x": 1}}\n')
    )
    return folder


def test_every_file_of_a_folder_and_what_the_target_cannot_hold_of_each(tmp_path, capsys):
    folder = many(tmp_path)
    words = [
        "convert",
        str(folder),
        "--output",
        str(tmp_path / "out"),
        "--output_format",
        "bioc",
        "--gzip",
        "keep",
    ]
    assert main(words) == 0
    assert {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.*")} == {
        "a.xml",
        "sub/b.xml.gz",
    }
    assert [d.text for d in read(tmp_path / "out/sub/b.xml.gz")] == ["Fever"]
    said = capsys.readouterr().err
    assert "26 documents in 2 files" in said
    assert any(
        line.startswith("note: sub/b.jsonl.gz: ") and "metadata 'x'" in line for line in said.splitlines()
    )


def test_a_broken_file_among_many_stops_or_is_left_out(tmp_path, capsys):
    folder = many(tmp_path)
    (folder / "sub" / "c.jsonl").write_text('{"id": "1", "te\n{"text": "Fever"}\n')
    (folder / "z.jsonl").write_bytes(b"")
    words = ["convert", str(folder / "**"), "--output", str(tmp_path / "out")]
    assert main(words) == 2
    assert "c.jsonl:1: no JSON" in capsys.readouterr().err
    assert main([*words, "--on_error", "skip"]) == 3
    said = capsys.readouterr().err
    assert "27 documents in 3 files" in said and "2 documents or files were left out" in said
    assert "note: z.jsonl: file left out: " in said and not (tmp_path / "out/z.jsonl").exists()


def test_how_many_paths(tmp_path, capsys):
    assert main(["convert", str(GOLD)]) == 2
    assert "1 paths; name a file and what it becomes, or a folder" in capsys.readouterr().err
    assert main(["convert", *[str(GOLD)] * 3]) == 2


def test_a_full_disk_is_one_line_that_names_the_file(tmp_path, monkeypatch, capsys):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    folder = many(tmp_path)
    for words in ([folder / "a.pubtator", tmp_path / "o.jsonl"], [folder, "--output", tmp_path / "out"]):
        assert main(["convert", *map(str, words), "--on_error", "skip"]) == 2
        said = capsys.readouterr().err
        assert said.startswith("error: ") and "jsonl: No space left on device; make room there" in said
    assert not list(tmp_path.glob("*.jsonl")) and not list((tmp_path / "out").rglob("*.*"))


def test_deleted_citations_are_listed(tmp_path, capsys):
    (tmp_path / "n1.xml").write_text(
        "<PubmedArticleSet><PubmedArticle><MedlineCitation><PMID>1</PMID><Article><ArticleTitle>Fever</ArticleTitle>"
        "</Article></MedlineCitation></PubmedArticle><DeleteCitation><PMID>7</PMID><PMID>8</PMID></DeleteCitation>"
        "</PubmedArticleSet>"
    )
    assert main(["convert", str(tmp_path / "n1.xml"), "--output", str(tmp_path / "out")]) == 0
    assert "2 documents exist no longer" in capsys.readouterr().err
    lines = (tmp_path / "out/deleted.jsonl").read_text().splitlines()
    assert lines == ['{"file": "n1.xml", "id": "7"}', '{"file": "n1.xml", "id": "8"}']
