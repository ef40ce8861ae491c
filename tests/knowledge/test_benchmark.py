"""The benchmark of the knowledge base: what it refuses, that it times nothing wrong, and that its keys are true."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.conftest import ROOT
from vaner.knowledge import KnowledgeBase, store
from vaner.knowledge import build as build_index

KEYS = ["build_s", "build_peak_mb", "index_mb", "open_s", "match_mb_per_s", "resident_mb"]
NAMES = 400


def run(*words):
    command = [sys.executable, str(ROOT / "benchmarks" / "knowledge.py"), *words]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def benchmark():
    """The script as a module, with fewer names and less text to check."""
    before = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        module = importlib.import_module("knowledge")
        patch.setattr(module, "CHECKED_NAMES", NAMES)
        patch.setattr(module, "CHECKED_TEXT", 8_000)
        yield module
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "").parent == ROOT / "benchmarks":
            del sys.modules[name]


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


# --- nothing is timed that is wrong ---


def test_a_right_index_finds_what_the_reference_finds(benchmark, tmp_path):
    assert benchmark.check(tmp_path, seed=1) > 100


def lose_keys(arrays):
    arrays["key_low"][::5] ^= 1


def forget_beginnings(arrays):
    arrays["prefixes"][:] = 0


def swap_types(arrays):
    arrays["key_types"][:] = np.roll(arrays["key_types"], 1)


def ask_for_capitals(arrays):
    arrays["key_masks"][:, 0] = 0


@pytest.mark.parametrize("damage", [lose_keys, forget_beginnings, swap_types, ask_for_capitals])
def test_a_wrong_index_is_refused(benchmark, tmp_path, monkeypatch, damage):
    """The file is whole and has every name, but a table in it leads elsewhere."""

    def build_wrongly(path, *rest):
        kb = build_index(path, *rest)
        arrays = {name: array.copy() for name, array in kb._store.arrays.items()}
        damage(arrays)
        store.write(path, arrays, kb.description)

    monkeypatch.setattr("vaner.knowledge.build", build_wrongly)
    with pytest.raises(
        SystemExit,
        match="error: the index (and the reference differ|lost .* names), for instance .*nothing was timed",
    ):
        benchmark.check(tmp_path, seed=1)


def test_an_index_that_lost_names_is_refused(benchmark, tmp_path, monkeypatch):
    def build_in_part(path, sources, *rest):
        ((description, terms),) = sources
        return build_index(path, [(description, list(terms)[::2])], *rest)

    monkeypatch.setattr("vaner.knowledge.build", build_in_part)
    with pytest.raises(SystemExit, match="error: the index lost .* names, for instance '.*nothing was timed"):
        benchmark.check(tmp_path, seed=1)


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found[:-1],
        lambda found: [found[0], *found],
        lambda found: [found[0]._replace(end=found[0].end + 1), *found[1:]],
        lambda found: [found[0]._replace(type="Planet"), *found[1:]],
        lambda found: found[::-1],
    ],
    ids=["one missing", "one twice", "one too long", "one of another type", "in another order"],
)
def test_a_single_wrong_match_is_enough(benchmark, tmp_path, monkeypatch, change):
    match = KnowledgeBase.match
    monkeypatch.setattr(
        KnowledgeBase, "match", lambda self, texts, *rest: [change(m) for m in match(self, texts, *rest)]
    )
    with pytest.raises(SystemExit, match="differ"):
        benchmark.check(tmp_path, seed=1)


def test_a_run_that_begins_with_a_wrong_match_times_nothing(benchmark, tmp_path, monkeypatch):
    monkeypatch.setattr(KnowledgeBase, "match", lambda self, texts: [[] for _ in texts])
    monkeypatch.setattr(benchmark, "run_stage", lambda *_: pytest.fail("a stage was timed"))
    output = tmp_path / "out.json"
    words = ["knowledge.py", "--names", "9", "--json", str(output), "--folder", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit, match="nothing was timed"):
        benchmark.main()
    assert list(tmp_path.iterdir()) == [], "neither numbers nor generated files are left"


# --- the keys are what they say ---


@pytest.fixture(scope="module")
def folder(benchmark, tmp_path_factory) -> Path:
    """Generated names, a text of 0.03 MB, and the index that the first stage wrote."""
    folder = tmp_path_factory.mktemp("generated")
    benchmark.generate(folder, NAMES, 7)
    benchmark.generate_text(folder, 0.03, NAMES, 7)
    return folder


@pytest.fixture(scope="module")
def arguments(folder):
    return SimpleNamespace(folder=folder, index=folder / "kb.idx", text=folder / "text.txt")


@pytest.fixture(scope="module")
def built(benchmark, arguments) -> dict:
    return benchmark.stage_build(arguments)


def test_as_many_names_are_generated_as_were_asked_for_and_the_same_for_the_same_seed(
    benchmark, folder, tmp_path
):
    rows = [line.split("|") for line in (folder / "MRCONSO.RRF").read_text(encoding="utf-8").splitlines()]
    kept = [row[14] for row in rows if row[1] == "ENG" and row[16] == "N"]
    assert len(kept) == len(set(kept)) == NAMES and len(rows) > NAMES, "and some that the filters leave out"
    concepts = {row[0] for row in rows}
    typed = {line.split("|")[0] for line in (folder / "MRSTY.RRF").read_text().splitlines()}
    assert typed == concepts
    for seed, same in ((7, True), (8, False)):
        other = tmp_path / str(seed)
        other.mkdir()
        benchmark.generate(other, NAMES, seed)
        benchmark.generate_text(other, 0.03, NAMES, seed)
        for name in ("MRCONSO.RRF", "MRSTY.RRF", "text.txt"):
            assert ((other / name).read_bytes() == (folder / name).read_bytes()) == same
    assert 30_000 <= (folder / "text.txt").stat().st_size < 31_000


def test_the_index_is_as_large_as_is_said_and_has_the_names(built, arguments):
    kb = KnowledgeBase(arguments.index)
    assert built["index_mb"] * 1e6 == arguments.index.stat().st_size
    assert built["names_in_index"] == len(kb) >= NAMES
    assert built["bytes"] == kb.sizes() and sum(built["bytes"].values()) < arguments.index.stat().st_size
    assert built["build_s"] > 0 and built["build_cpu_s"] > 0


def test_memory_is_counted_in_megabytes_of_a_million_bytes(benchmark, built, arguments):
    resident = benchmark._resident_mb()
    (said,) = [
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS:")
    ]
    assert resident == pytest.approx(int(said.split()[1]) * 1024 / 1e6, rel=0.05)
    assert 0 < built["build_peak_mb"] <= benchmark.peak_mb() and benchmark.peak_mb() > 0.9 * resident
    kb = KnowledgeBase(arguments.index)
    kb.verify()
    pages = -(-arguments.index.stat().st_size // 4096) * 4096 / 1e6
    # The system may have taken some pages back, and earlier maps of the file may still be there.
    assert benchmark._mapped_mb(arguments.index) >= pages / 2
    assert benchmark._mapped_mb(arguments.folder / "nothing") == 0


def test_matching_is_measured_in_megabytes_of_text_a_second(benchmark, built, arguments, monkeypatch):
    """By clocks on which every run takes two seconds, and the processor four."""
    wall, processor = iter(range(0, 1000, 2)), iter(range(0, 1000, 4))
    clocks = SimpleNamespace(perf_counter=lambda: next(wall), process_time=lambda: next(processor))
    monkeypatch.setattr(benchmark, "time", clocks)
    found = benchmark.stage_match(arguments)
    megabytes = len(arguments.text.read_bytes()) / 1e6
    assert found["match_mb_per_s"] == pytest.approx(megabytes / 2)
    assert found["match_mb_per_cpu_s"] == pytest.approx(megabytes / 4)
    lines = arguments.text.read_text(encoding="utf-8").split("\n")
    assert found["matches"] == sum(map(len, KnowledgeBase(arguments.index).match(lines))) > 100
    assert 0 <= found["resident_mb"] < benchmark.peak_mb()


def test_opening_is_timed_in_seconds(benchmark, built, arguments, monkeypatch):
    wall = iter((10.0, 10.25))
    monkeypatch.setattr(benchmark, "time", SimpleNamespace(perf_counter=lambda: next(wall)))
    assert benchmark.stage_open(arguments) == {"open_s": 0.25}


def test_every_key_of_the_file_is_there(benchmark, tmp_path, monkeypatch):
    output = tmp_path / "out.json"
    words = ["knowledge.py", "--names", "300", "--text_mb", "0.01", "--no_others", "--json", str(output)]
    monkeypatch.setattr(sys, "argv", [*words, "--folder", str(tmp_path)])
    benchmark.main()
    found = json.loads(output.read_text())
    assert all(found[key] >= 0 for key in KEYS) and found["match_mb_per_s"] > 0 and found["matches"] > 0
    assert found["names"] == 300 and found["names_in_index"] >= 300 and found["others"] == {}
    assert list(tmp_path.iterdir()) == [output], "what was generated is gone"


def test_a_stage_that_fails_is_named(benchmark, tmp_path, monkeypatch):
    failed = benchmark.run_stage("match", SimpleNamespace(limit_mb=100.0), tmp_path)
    assert failed.keys() == {"failed"} and failed["failed"].startswith("exit 1: FileNotFoundError")
    monkeypatch.setattr(benchmark, "check", lambda *_: 1)
    monkeypatch.setattr(benchmark, "run_stage", lambda *_: {"failed": "exit 9: killed"})
    monkeypatch.setattr(sys, "argv", ["knowledge.py", "--names", "9", "--text_mb", "0.001"])
    with pytest.raises(SystemExit, match="error: stage build: exit 9: killed"):
        benchmark.main()
