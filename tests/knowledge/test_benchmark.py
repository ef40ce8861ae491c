"""The benchmark of the knowledge base: its keys, and what it refuses."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KEYS = ["build_s", "build_peak_mb", "index_mb", "open_s", "match_mb_per_s", "resident_mb"]


def run(*words):
    command = [sys.executable, str(ROOT / "benchmarks" / "knowledge.py"), *words]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.slow
def test_the_keys_are_at_the_top(tmp_path):
    path = tmp_path / "out.json"
    done = run("--names", "3000", "--text_mb", "0.1", "--no_others", "--json", str(path))
    assert done.returncode == 0, done.stderr
    found = json.loads(path.read_text())
    # So small an index may need no memory that can be measured.
    assert all(found[key] >= 0 for key in KEYS) and found["match_mb_per_s"] > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--names", "0"], "--names 0: give a number above 0"),
        (["--names", "9", "--json", "no/such/x.json"], "--json: the folder no/such does not exist"),
        (["--names", "9", "--folder", "no/such"], "--folder: the folder no/such does not exist"),
    ],
)
def test_what_cannot_work_is_said_before_the_run(words, message):
    done = run(*words)
    assert done.returncode == 2 and message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
