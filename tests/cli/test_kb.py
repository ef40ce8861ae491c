"""python -m vaner kb: what it prints, and how it fails on bad input."""

import errno
import hashlib
import json
import os
from pathlib import Path

import pytest

from vaner.cli import main

PLAIN = "id\tname\ttype\nD1\tbreast cancer\tDisease\tcancer of breast\nG1\tTNF-alpha\tGene\nG2\twas\tGene\n"


@pytest.fixture
def index(make, tmp_path, capsys):
    source, path = make("names.tsv", PLAIN), tmp_path / "kb.idx"
    assert main(["kb", "build", "--sources", str(source), "--output", str(path)]) == 0
    out = capsys.readouterr().out
    assert "4  names of 3 concepts" in out and "muted: a function word" in out
    return str(path)


def test_lookup(index, capsys):
    assert main(["kb", "lookup", index, "TNF-α", "--related", "1"]) == 0
    out = capsys.readouterr().out
    assert "(normal form: 'tnf alpha')" in out and "TNF-alpha  (normalised)" in out
    assert "G1\tGene\tnames.tsv\tTNF-alpha" in out
    assert main(["kb", "lookup", index, "unheard of"]) == 1
    assert "not in the knowledge base" in capsys.readouterr().out


def test_stats(index, capsys):
    assert main(["kb", "stats", index, "--verify"]) == 0
    assert "4 names, 4 normal forms, 3 concepts" in capsys.readouterr().out
    assert main(["kb", "stats", index, "--json"]) == 0
    stats = json.loads(capsys.readouterr().out)
    assert stats["by_type"] == {"Disease": 2, "Gene": 1}
    assert stats["vocabularies"][0]["licence"]
    assert stats["vocabularies"][0]["files"] == {"names.tsv": hashlib.sha256(PLAIN.encode()).hexdigest()}


def test_match_and_link(index, make, tmp_path, capsys):
    document = make(
        "d.pubtator", "1|t|TNFα and breast cancers\n1|a|\n1\t9\t23\tbreast cancers\tModifier\tD1\n\n"
    )
    assert main(["kb", "match", index, "--input", str(document), "--link"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["1\t0\t4\tTNFα\tGene\tG1", "1\t9\t23\tbreast cancers\tDisease\tD1"]
    output = tmp_path / "out.jsonl"
    assert (
        main(["kb", "match", index, "--input", str(document), "--output", str(output), "--types", "Gene"])
        == 0
    )
    spans = json.loads(output.read_text())["spans"]
    assert [span["text"] for span in spans] == ["TNFα"]
    capsys.readouterr()
    assert main(["kb", "link", index, "--input", str(document), "--map", "Modifier=Disease"]) == 0
    assert "Disease     normalised            1        1       100.0" in capsys.readouterr().out


def test_a_full_disk_is_one_line_and_leaves_nothing(index, make, tmp_path, capsys, monkeypatch):
    before = Path(index).read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert main(["kb", "build", "--sources", str(make("n.tsv", PLAIN)), "--output", index]) == 2
    assert (
        capsys.readouterr().err == f"error: {index}: No space left on device; make room there and try again\n"
    )
    assert Path(index).read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"names.tsv", "n.tsv", "kb.idx"}


def test_what_was_skipped_before_an_error_is_said(make, tmp_path, capsys):
    path = make("latin.tsv", "D1\tfi\u00e8vre\tDisease\nD2\n".encode("latin-1"))
    assert main(["kb", "build", "--sources", str(path), "--output", str(tmp_path / "kb.idx")]) == 2
    *notes, error = capsys.readouterr().err.splitlines()
    assert [n.split(":")[1] for n in notes] == [" not UTF-8", " row with a wrong number of columns"]
    assert "latin.tsv:1: 0xe8 in b'D1" in notes[0] and error.startswith(
        f"error: {path}: no row of id, name, type"
    )


@pytest.mark.parametrize("action", ["match", "link"])
def test_what_was_left_out_in_reading_is_said(index, make, capsys, action):
    span = {"start": 2, "end": 15, "type": "Disease", "text": "breast cancer", "certain": True}
    document = make("d.jsonl", json.dumps({"id": "1", "text": "A breast cancer", "spans": [span]}))
    assert main(["kb", action, index, "--input", str(document)]) == 0
    err = capsys.readouterr().err
    assert err.startswith("note: span field 'certain' ignored: ") and "d.jsonl" in err


def test_sources(capsys):
    assert main(["kb", "sources"]) == 0
    out = capsys.readouterr().out
    assert any(line.startswith("open ") and " here " in line for line in out.splitlines())


def test_umls_folder(make, tmp_path, capsys):
    make("META/MRCONSO.RRF", "C0000001|ENG|P|L1|PF|S1|Y|A1||||MSH|MH|D1|Fever|0|N|256|\nbroken|row\n")
    make("META/MRSTY.RRF", "C0000001|T184|B2|Sign or Symptom|AT1|256|\n")
    path = tmp_path / "kb.idx"
    assert main(["kb", "build", "--sources", str(tmp_path / "META"), "--output", str(path)]) == 0
    captured = capsys.readouterr()
    assert "row with a wrong number of columns" in captured.out
    assert "MRCONSO.RRF:2: 2 columns where 18 are expected" in captured.err
    command = [
        "kb",
        "build",
        "--sources",
        str(tmp_path / "META"),
        "--output",
        str(path),
        "--languages",
        "GER",
    ]
    assert main(command) == 2
    assert "language GER" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            ["build", "--sources", "nowhere", "--output", "x.idx"],
            "neither a file nor a registered vocabulary",
        ),
        (["build", "--sources", "open", "open", "--output", "x.idx"], "source open is given twice"),
        (["build", "--sources", "open", "--output", "no/such/x.idx"], "does not exist; create it first"),
        (["build", "--sources", "open", "--output", "."], ".: is a folder; name a file to write"),
        (
            ["build", "--sources", "open", "--output", "x.idx", "--suppress"],
            "--suppress is of UMLS, and no source is",
        ),
        (
            ["build", "--sources", "open", "--output", "x.idx", "--type", "Gene"],
            "--type is of an ontology given by",
        ),
        (["lookup", "missing.idx", "x", "--related", "-1"], "--related -1: give a number from 0"),
        (["lookup", "missing.idx", "x"], "missing.idx"),
        (["stats", __file__], "not a knowledge-base index"),
    ],
)
def test_bad_input_is_one_line_and_status_2(command, message, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(["kb", *command]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and message in err and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_bad_index_is_one_line_and_status_2(index, tmp_path, capsys):
    whole = Path(index).read_bytes()
    path = tmp_path / "bad.idx"
    start = len(whole) * 9 // 10
    for data, message in (
        (
            whole[: len(whole) // 2],
            f"{len(whole) // 2} bytes where {len(whole)} were written, so it was cut short",
        ),
        (whole[:8] + b"\x63\0\0\0" + whole[12:], "index of version 99, this program reads 1; build it again"),
        (whole[:30], "its header is cut short or damaged"),
        (b"C0000001|ENG|P|L1", "not a knowledge-base index; make one with"),
        (whole[:start] + bytes(200) + whole[start + 200 :], "is damaged; build or copy it again"),
    ):
        path.write_bytes(data)
        assert main(["kb", "stats", "--verify", str(path)]) == 2
        err = capsys.readouterr().err
        assert err.startswith(f"error: {path}: ") and message in err and err.count("\n") == 1


def test_unknown_type(index, make, capsys):
    document = make("d.txt", "Fever.")
    assert main(["kb", "match", index, "--input", str(document), "--types", "Planet"]) == 2
    assert "no name of type Planet" in capsys.readouterr().err
