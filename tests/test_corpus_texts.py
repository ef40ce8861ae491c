"""data/corpus_texts.py writes the texts of corpora, none of their mentions, each text once."""

import json
import subprocess
import sys

from tests.conftest import ROOT
from vaner.corpora.registry import read_registry


def texts(tmp_path, *more):
    path = tmp_path / "texts.jsonl"
    command = [sys.executable, "data/corpus_texts.py", str(path), *more]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    records = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return done, records


def test_texts_come_once_and_without_mentions(tmp_path):
    done, records = texts(tmp_path, "--corpus", "bc5cdr-sample", "ncbi-disease-sample", "bc5cdr-sample")
    assert done.returncode == 0, done.stderr
    registry = read_registry()
    want = [d for name in ("bc5cdr-sample", "ncbi-disease-sample") for d in registry[name].documents("train")]
    assert [one["text"] for one in records] == [d.text for d in want if 200 <= len(d.text) <= 6000]
    assert records[0]["id"] == f"bc5cdr-sample:{want[0].id}"
    assert all(set(one) <= {"id", "text", "metadata"} for one in records)
    assert "said already" in done.stdout


def test_nothing_to_write_is_said(tmp_path):
    done, records = texts(tmp_path, "--corpus", "bc5cdr-sample", "--least", "9000", "--most", "9001")
    assert done.returncode == 2 and "no text of an abstract's length" in done.stderr and not records
