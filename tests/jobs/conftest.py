"""In: nothing. Out: a folder of small files to tag, and what a run through it gives."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import ROOT


def write_documents(path, number, first=0, text="Hello World {}"):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"id": f"d{i}", "text": text.format(i)}) + "\n" for i in range(first, first + number)]
    data = "".join(lines).encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path


@pytest.fixture
def corpus(tmp_path):
    """Three files, one in a folder below, one compressed: 95 documents, 11 units of 10."""
    folder = tmp_path / "in"
    write_documents(folder / "a.jsonl", 42)
    write_documents(folder / "sub" / "b.jsonl", 30)
    write_documents(folder / "sub" / "c.jsonl.gz", 23)
    return folder


def outputs(folder):
    """Path below the folder -> bytes of every output file; rejected.jsonl too."""
    files = [p for p in folder.rglob("*") if p.is_file() and ".vaner" not in p.parts]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


class Command:
    """`tests.jobs.command` as a process."""

    def __init__(self, source, output, processes=2, unit=10, more=(), **settings):
        words = [sys.executable, "-m", "tests.jobs.command", str(source), str(output), json.dumps(settings)]
        words += ["--processes", str(processes), "--unit", str(unit), *more]
        self.process = subprocess.Popen(
            words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    def kill(self, seconds, number=signal.SIGKILL):
        """Send a signal after a while; whether it came in time."""
        time.sleep(seconds)
        alive = self.process.poll() is None
        if alive:
            os.kill(self.process.pid, number)
        return alive

    def done(self):
        """Status, standard output, standard error."""
        out, err = self.process.communicate(timeout=120)
        return self.process.returncode, out, err


def children(pid):
    """Process ids of the workers of a process."""
    found = subprocess.run(
        ["ps", "-o", "pid=,args=", "--ppid", str(pid)], capture_output=True, text=True
    ).stdout
    return [int(line.split()[0]) for line in found.splitlines() if "multiprocessing.spawn" in line]


def until(true, seconds=60.0):
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)
    return found
