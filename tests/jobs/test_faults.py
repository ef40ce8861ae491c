"""Runs that are killed, stopped, starved of disk: one line, nothing lost, and the next run's bytes are the same."""

import errno
import json
import os
import random
import resource
import signal

import pytest

from tests.jobs.command import job
from tests.jobs.conftest import Command, children, outputs, until, write_documents
from tests.jobs.test_run import Here
from vaner.errors import VanerError
from vaner.jobs import store
from vaner.jobs.run import run

SLOW = 0.01  # seconds a document: a run of the corpus takes about half a second in two processes


@pytest.fixture
def whole(corpus, tmp_path):
    """The outputs of a run that nothing happened to."""
    status, _, err = Command(corpus, tmp_path / "whole").done()
    assert status == 0, err
    return outputs(tmp_path / "whole")


def went_on(corpus, out, **more):
    status, said, err = Command(corpus, out, **more).done()
    assert status == 0 and "Traceback" not in err, err
    assert not list(out.rglob("*.tmp")), "something half-written was left"
    return json.loads(said)


def manifest(out):
    """Whole lines only: the last may be under way."""
    path = out / ".vaner" / "manifest.jsonl"
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def kept(out):
    return sum(line["kind"] == "unit" for line in manifest(out))


def test_kills_at_random_moments(corpus, tmp_path, whole):
    out, rng = tmp_path / "out", random.Random(1)
    for processes in (1, 2, 3, 2):
        ours = Command(corpus, out, processes=processes, slow=SLOW)
        until(lambda ours=ours: kept(out) or ours.process.poll() is not None)
        ours.kill(rng.uniform(0, 0.3))
        ours.done()
    went_on(corpus, out, processes=2, slow=SLOW)
    assert outputs(out) == whole


@pytest.mark.slow
def test_twenty_kills(tmp_path):
    """While workers start as while they tag: what was kept is not tagged again."""
    write_documents(tmp_path / "in" / "a.jsonl", 400)
    whole = Command(tmp_path / "in", tmp_path / "whole", processes=1, unit=4)
    assert whole.done()[0] == 0
    out, rng = tmp_path / "out", random.Random(20)
    for number in range(20):
        ours = Command(tmp_path / "in", out, unit=4, slow=0.1)
        if number % 2:
            before = kept(out)
            until(lambda before=before: kept(out) > before)
        assert ours.kill(rng.uniform(0, 0.5 if number % 2 else 1.5)), "it was finished before"
        ours.done()
    went_on(tmp_path / "in", out, unit=4)
    assert outputs(out) == outputs(tmp_path / "whole")
    tagged = [(line["source"], line["unit"]) for line in manifest(out) if line["kind"] == "unit"]
    assert len(tagged) == len(set(tagged)) == 100


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_in_one_line_and_leaves_no_worker(corpus, tmp_path, whole, number):
    out = tmp_path / "out"
    ours = Command(corpus, out, slow=0.05)
    until(lambda: kept(out))
    workers = children(ours.process.pid)
    os.kill(ours.process.pid, number)
    status, _, err = ours.done()
    assert status == 128 + number and err.strip() == f"stopped by {number.name}"
    assert len(workers) == 2 and not any(os.path.exists(f"/proc/{one}") for one in workers)
    assert 0 < went_on(corpus, out)["units"] < 11
    assert outputs(out) == whole


def test_workers_of_a_killed_run_end_by_themselves(corpus, tmp_path):
    began = tmp_path / "began"
    ours = Command(corpus, tmp_path / "out", processes=1, slow=10.0, began=str(began))
    until(began.exists)
    workers = children(ours.process.pid)
    assert len(workers) == 1
    ours.kill(0)
    ours.process.wait()
    until(lambda: not any(os.path.exists(f"/proc/{one}") for one in workers), 20)
    ours.done()


def test_a_worker_that_is_killed_costs_nothing_but_time(corpus, tmp_path, whole):
    out = tmp_path / "out"
    ours = Command(corpus, out, slow=0.05)
    until(lambda: kept(out))
    os.kill(children(ours.process.pid)[0], signal.SIGKILL)
    assert ours.done()[0] == 0
    assert outputs(out) == whole


def test_accidents_and_poison_in_workers(corpus, tmp_path, whole):
    (tmp_path / "once").mkdir()
    accident = {"kills": "World 7", "raises": "World 21", "once": str(tmp_path / "once")}
    assert Command(corpus, tmp_path / "accident", **accident).done()[0] == 0
    assert outputs(tmp_path / "accident") == whole
    write_documents(corpus / "p.jsonl", 1, first=500, text="Poison {}")
    write_documents(corpus / "q.jsonl", 12)
    lines = (corpus / "q.jsonl").read_text().replace("World 5", "Poison")
    (corpus / "q.jsonl").write_text(lines)
    for name, processes in (("one", 1), ("three", 3)):
        status, said, _ = Command(corpus, tmp_path / name, processes, kills="Poison").done()
        assert status == 3 and json.loads(said)["rejected"] == 2
    assert outputs(tmp_path / "one") == outputs(tmp_path / "three")
    rejected = [json.loads(line) for line in (tmp_path / "one/rejected.jsonl").read_text().splitlines()]
    assert [(r["file"], r["document"]) for r in rejected] == [("p.jsonl", "d500"), ("q.jsonl", "d5")]
    assert {r["reason"] for r in rejected} == {"its process was killed (SIGKILL)"}


def test_a_second_run_while_the_first_lives(corpus, tmp_path, whole):
    out = tmp_path / "out"
    first = Command(corpus, out, slow=0.05)
    until(lambda: kept(out))
    status, _, err = Command(corpus, out).done()
    assert status == 2 and err.count("\n") == 1
    assert f"{out}: another run writes there (process {first.process.pid} on " in err
    assert first.done()[0] == 0 and outputs(out) == whole


def test_a_full_disk(corpus, tmp_path, whole):
    """Files may not grow beyond so many bytes: as where the disk is full, writing stops in the middle."""
    out = tmp_path / "out"
    limits = (600, 2_000, 4_000, 6_000)
    for limit in limits:
        ours = _limited(corpus, out, limit)
        status, _, err = ours.done()
        assert status == 2 and err.count("\n") == 1 and "Traceback" not in err, err
        assert "File too large; make room there and give the same command again" in err
    went_on(corpus, out)
    assert outputs(out) == whole


def _limited(corpus, out, limit):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        return Command(corpus, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_folder_that_cannot_be_written_to(corpus, tmp_path, monkeypatch):
    """Root, whom tests may run as, may write everywhere: so the system's answer is put in its mouth."""

    def read_only(path, *args):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(store, "replacing", read_only)
    with pytest.raises(
        VanerError, match="Read-only file system; make it possible to write there, or name another"
    ):
        run(job(corpus, tmp_path / "out"), Here)
    monkeypatch.undo()
    assert run(job(corpus, tmp_path / "out"), Here).counts["documents"] == 95
    (tmp_path / "file").write_text("")
    with pytest.raises(VanerError, match="file"):
        run(job(corpus, tmp_path / "file"), Here)
