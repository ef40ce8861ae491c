"""The shipped model over real text: six kills, or none, in one process or two, leave the same bytes.

Twenty are in `test_faults.py`, of a tagger that loads at once: here every kill costs two loads of the model.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import ROOT, SAMPLES
from tests.jobs.conftest import outputs
from tests.jobs.test_faults import kept
from vaner.document import Document
from vaner.formats import read, write

KILLS = 6


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Beginnings of real abstracts, short for slow machines, in two files: of 30 documents and of 12."""
    folder = tmp_path_factory.mktemp("real") / "in"
    (folder / "sub").mkdir(parents=True)
    corpora = [read(SAMPLES / "bc5cdr" / "train.pubtator"), read(SAMPLES / "ncbi-disease" / "train.pubtator")]
    documents = [Document(d.id, d.text[:300]) for corpus in corpora for d in corpus]
    assert len(documents) >= 42
    write(folder / "a.jsonl", documents[:30], "jsonl")
    write(folder / "sub" / "b.pubtator", documents[30:42], "pubtator")
    return folder


def begun(source, out, processes):
    words = [
        sys.executable,
        "predict.py",
        "--input",
        str(source),
        "--output",
        f"{out}/",
        "--unit_documents",
        "2",
    ]
    words += ["--processes", str(processes), "--progress", "none", "--output_format", "jsonl"]
    # Its own session: a kill takes the run, and its workers have to see for themselves that it is gone.
    return subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True)


@pytest.mark.slow
def test_six_kills(source, tmp_path):
    whole = begun(source, tmp_path / "whole", 1)
    _, err = whole.communicate(timeout=1200)
    assert whole.returncode == 0, err
    rng, kills, round = random.Random(6), 0, 0
    while kills < KILLS:
        # A machine that finishes before it was killed often enough does it again.
        out = tmp_path / f"out{(round := round + 1)}"
        while kills < KILLS:
            run = begun(source, out, 2)
            before = kept(out)
            if kills % 2:  # somewhere while the model is loaded, or later
                time.sleep(rng.uniform(0, 12))
            else:  # while it tags
                while kept(out) == before and run.poll() is None:
                    time.sleep(0.02)
                time.sleep(rng.uniform(0, 1))
            if run.poll() is not None:
                break
            os.kill(run.pid, signal.SIGKILL)
            run.communicate()
            kills += 1
        last = begun(source, out, 2)
        _, err = last.communicate(timeout=1200)
        assert last.returncode == 0, err
        assert outputs(out) == outputs(tmp_path / "whole")
        lines = [json.loads(line) for line in (out / ".vaner/manifest.jsonl").read_text().splitlines()]
        tagged = [(line["source"], line["unit"]) for line in lines if line["kind"] == "unit"]
        assert len(tagged) == len(set(tagged)) == 21, "what was kept is not tagged again"
