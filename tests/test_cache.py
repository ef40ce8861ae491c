"""In: makers that write, fail and are killed. Out: what the cache holds is whole, made once, and removable."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import ROOT
from vaner.cache import ENTRY, kept
from vaner.errors import VanerError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VANER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "mix"


class Maker:
    """Writes a file, and counts how often."""

    def __init__(self, content: bytes = b"content" * 100) -> None:
        self.content, self.times = content, 0

    def __call__(self, folder):
        self.times += 1
        (folder / "a.arrow").write_bytes(self.content)
        return {"rows": 3}


def test_what_is_kept_is_made_once_for_the_same_thing(cache):
    make = Maker()
    first, again = (
        kept("texts", {"seed": 1, "files": ["x"]}, make),
        kept("texts", {"files": ["x"], "seed": 1}, make),
    )
    assert first == again and make.times == 1 and first.told == {"rows": 3}
    assert (first.folder / "a.arrow").read_bytes() == make.content and first.folder.parent == cache
    assert kept("texts", {"seed": 2, "files": ["x"]}, make).folder != first.folder
    assert kept("tokens", {"seed": 1, "files": ["x"]}, make).folder != first.folder and make.times == 3


def damage_bytes(folder):
    content = (folder / "a.arrow").read_bytes()
    (folder / "a.arrow").write_bytes(content[:50] + b"X" + content[51:])


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (damage_bytes, "a.arrow is not what was written"),
        (lambda folder: os.truncate(folder / "a.arrow", 10), "a.arrow is not what was written"),
        (lambda folder: (folder / "a.arrow").unlink(), "a.arrow is missing"),
        (lambda folder: (folder / ENTRY).unlink(), f"{ENTRY} is missing"),
        (lambda folder: (folder / ENTRY).write_text("{"), f"{ENTRY} is not what was written"),
        (lambda folder: (folder / ENTRY).write_text("[]"), f"{ENTRY} is not what was written"),
    ],
)
def test_what_is_damaged_is_made_anew_and_said(cache, caplog, damage, says):
    make = Maker()
    entry = kept("texts", {}, make)
    damage(entry.folder)
    again = kept("texts", {}, make)
    assert again == entry and make.times == 2 and (again.folder / "a.arrow").read_bytes() == make.content
    assert [r.getMessage() for r in caplog.records] == [f"{entry.folder}: {says}; it is made anew"]
    assert kept("texts", {}, make) == again and make.times == 2
    assert sorted(p.name for p in cache.iterdir()) == [entry.folder.name, f"{entry.folder.name}.lock"]


def test_a_maker_that_fails_leaves_nothing(cache):
    def fails(folder):
        (folder / "a.arrow").write_bytes(b"half")
        raise VanerError("no such corpus")

    with pytest.raises(VanerError, match="no such corpus"):
        kept("texts", {}, fails)
    assert [p.suffix for p in cache.iterdir()] == [".lock"]
    make = Maker()
    kept("texts", {}, make)
    assert make.times == 1


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VANER_CACHE", str(tmp_path / "file"))
    with pytest.raises(VanerError, match="cannot be written .*another folder with the variable VANER_CACHE"):
        kept("texts", {}, Maker())

    def full(folder):
        raise OSError(28, "No space left on device")

    monkeypatch.setenv("VANER_CACHE", str(tmp_path / "other"))
    with pytest.raises(VanerError, match=r"cannot be written \(No space left on device\); free space there"):
        kept("texts", {}, full)


MAKES = """
import sys, time
from vaner.cache import kept


def make(folder):
    print("making", flush=True)
    (folder / "a.arrow").write_bytes(b"content" * 100)
    time.sleep(float(sys.argv[1]))
    return {}


print(kept("texts", {"one": 1}, make).folder, flush=True)
"""


def start(seconds: float) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", MAKES, str(seconds)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def test_of_two_processes_one_makes_it_and_the_other_waits():
    both = [start(1), start(1)]
    said = "".join(one.communicate(timeout=120)[0] for one in both).splitlines()
    assert said.count("making") == 1 and len(said) == 3 and len(set(said)) == 2


def test_a_killed_maker_leaves_nothing_that_counts(cache):
    killed = start(600)
    assert killed.stdout.readline() == "making\n"
    waiting = start(0)
    time.sleep(0.2)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=60)
    said = waiting.communicate(timeout=120)[0].splitlines()
    assert said[0] == "making" and waiting.returncode == 0, "who waited makes it"
    (entry,) = [p for p in cache.iterdir() if p.is_dir()]
    assert not entry.name.startswith("."), "nothing half-written is left"
    assert json.loads((entry / ENTRY).read_text())["files"]["a.arrow"]["bytes"] == 700
