"""In: python -m vaner corpora. Out: tables that fit the terminal, JSON, and errors with status 2."""

import json

import pytest

from vaner.cli import main

SAMPLES = ["ncbi-disease-sample", "bc2gm-sample"]


@pytest.fixture(autouse=True)
def no_root(monkeypatch):
    monkeypatch.delenv("VANER_DATA", raising=False)


def test_tables_fit_the_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["corpora", *SAMPLES, "bc5cdr-sample"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    rows = [line.split() for line in lines]
    assert ["ncbi-disease-sample", "train", "120", "1,012", "26,848", "1,103"] in rows
    assert ["dev", "25", "223", "6,069", "215", "0.0", "/", "0.0"] in rows
    assert any("Chemical 1,249, Disease 1,044" in line for line in lines)


def test_missing_corpora_are_named_with_where_to_get_them(capsys):
    assert main(["corpora", "bc2gm", "craft"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "No data root is set" in said
    assert "bc2gm (train, dev, test): expected MTL-Bioinformatics-2016/data/BC2GM-IOB/train.tsv" in said
    assert "https://github.com/cambridgeltl/MTL-Bioinformatics-2016" in said


def test_a_root_without_the_corpus(capsys, tmp_path):
    assert main(["corpora", "craft", "--data_root", str(tmp_path)]) == 0
    assert "Not found below the data root" in capsys.readouterr().out


def test_json_holds_counts_and_origin(capsys, tmp_path):
    path = tmp_path / "corpora.json"
    assert main(["corpora", *SAMPLES, "craft", "--json", str(path)]) == 0
    found = {entry["name"]: entry for entry in json.loads(path.read_text(encoding="utf-8"))}
    assert list(found) == [*SAMPLES, "craft"]
    train = found["ncbi-disease-sample"]["splits"]["train"]
    assert (train["documents"], train["mentions"], sum(train["lengths"])) == (120, {"Disease": 1103}, 1103)
    assert found["bc2gm-sample"]["citation"].startswith("Smith L")
    assert found["craft"]["missing"] == ["train", "dev", "test"]


def test_markdown(capsys):
    assert main(["corpora", "bc2gm-sample", "--markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("| corpus ") and set(lines[1]) <= set("|-: ")


def test_repairs_are_told(capsys, tmp_path):
    (tmp_path / "GNormPlus").mkdir()
    (tmp_path / "GNormPlus/GNormPlus_Train.PubTator").write_text(
        "1|t|The p53 gene\n1|a|Text.\n1\t5\t8\tp53\tGene\n"
    )
    assert main(["corpora", "gnormplus", "--data_root", str(tmp_path)]) == 0
    assert "gnormplus train: mention offsets repaired" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bc5dr"], "error: unknown corpus 'bc5dr'; did you mean bc5cdr"),
        (["--data_root", "{nowhere}"], "is no folder"),
        (["--registry", "{nowhere}/mine.yaml"], "nowhere/mine.yaml: no such file; name a YAML file"),
        (["bc2gm-sample", "--json", "{nowhere}/x.json"], "does not exist; create it first"),
    ],
)
def test_wrong_input(tmp_path, capsys, words, message):
    words = [word.format(nowhere=tmp_path / "nowhere") for word in words]
    assert main(["corpora", *words]) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1
