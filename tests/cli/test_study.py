"""``python -m vaner study``: what a user types, as processes; killed, and gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.conftest import ROOT, TERMS
from tests.study.conftest import FLAGS, arms, tiny, write_study  # noqa: F401  # fixtures
from vaner.cli import main
from vaner.files import shipped
from vaner.knowledge import Rules, build
from vaner.report import Report
from vaner.vocabularies.terms import Term

PLAN = ("--plan", "--no_probe")


def command(file, output, *more):
    return [sys.executable, "-m", "vaner", "study", file, "--output", str(output), *more]


def process(file, output, *more, **options):
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command(file, output, *more),
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


@pytest.fixture
def file(tmp_path, arms, make_kb):  # noqa: F811
    make_kb(name="names.kb")
    chosen = {name: arms[name] for name in ("labels", "forced", "free", "dictionary")}
    return write_study(tmp_path, chosen, corpora=["bc2gm-sample"])


def test_a_plan_is_printed_and_nothing_is_begun(file, tmp_path, capsys):
    assert main(["study", file, "--output", str(tmp_path / "run"), *PLAN]) == 0
    said = capsys.readouterr().out
    assert "4 arms x 1 corpora x 1 seeds: 4 cells, 4 to do" in said and "each of 4 updates" in said
    assert not (tmp_path / "run" / "cells").exists() or not list((tmp_path / "run" / "cells").rglob("*.json"))
    assert json.loads((tmp_path / "run" / "study.json").read_text())["budget"] == {"updates": 4}


def test_a_plan_may_be_made_where_there_is_no_gpu(tmp_path, arms, capsys):  # noqa: F811
    flags = {**FLAGS, "use_cpu": False, "bf16": True}
    one = write_study(tmp_path, {"labels": arms["labels"]}, corpora=["bc2gm-sample"], flags=flags)
    assert main(["study", one, "--output", str(tmp_path / "run"), *PLAN]) == 0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--processes", "0"), "--processes is 0; choose 1 or more"),
        (("--proceses", "2"), "unknown flag --proceses (did you mean --processes?)"),
    ],
)
def test_wrong_use_is_refused(file, tmp_path, capsys, more, said):
    assert main(["study", file, "--output", str(tmp_path / "run"), *more]) == 2
    assert said in capsys.readouterr().err


def test_a_wrong_file_is_refused_before_anything_is_written(file, tmp_path, capsys):
    text = Path(file).read_text().replace("kind: dictionary", "kind: dictionray")
    Path(file).write_text(text)
    assert main(["study", file, "--output", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {file}: arms.dictionary.kind: unknown 'dictionray'")
    assert error.count("\n") == 1 and not (tmp_path / "run").exists()


def bytes_of(output):
    return {
        path.relative_to(output).as_posix(): path.read_bytes()
        for path in sorted(output.glob("cells/*/*/*/tagged.jsonl"))
    }


def told(output):
    """What cells say, but for what is not the same in every run: times and places."""
    found = {}
    for path in sorted(output.glob("cells/*/*/*/cell.json")):
        one = json.loads(path.read_text())
        training = one["training"] and {k: v for k, v in one["training"].items() if k != "minutes"}
        tagging = {k: v for k, v in one["tagging"].items() if k not in ("seconds", "remarks")}
        found[path.parent.relative_to(output).as_posix()] = [one["hash"], training, tagging]
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory, arms):  # noqa: F811
    """A study that nothing ended: its file, its folder, what it said."""
    folder = tmp_path_factory.mktemp("study")
    build(
        folder / "names.kb",
        [({"name": "test"}, [Term(*one) for one in TERMS])],
        Rules.load(shipped("kb")),
        Report(),
    )
    chosen = {name: arms[name] for name in ("labels", "forced", "free", "dictionary")}
    one = write_study(folder, chosen, corpora=["bc2gm-sample"])
    run = process(one, folder / "whole", "--processes", "2")
    said = run.communicate(timeout=900)[0]
    assert run.returncode == 0, said
    return SimpleNamespace(file=one, output=folder / "whole", said=said)


@pytest.mark.slow
def test_a_study_is_planned_done_and_timed(whole):
    assert "measuring what the first updates" in whole.said and "timing the arms" in whole.said
    assert whole.said.count("finished: ") == 4
    costs = json.loads((whole.output / "costs.json").read_text())
    assert list(costs["arms"]) == ["labels", "forced", "free", "dictionary"]
    for one in costs["arms"].values():
        assert len(one["seconds_per_1000_words"]) == len(one["cpu_seconds_per_1000_words"]) == 2
    assert costs["arms"]["labels"]["batch"] in (256, 512)
    before = {path: path.stat().st_mtime_ns for path in whole.output.glob("cells/*/*/*/cell.json")}
    again = process(whole.file, whole.output)
    said = again.communicate(timeout=300)[0]
    assert again.returncode == 0 and "4 cells, 0 to do" in said and "timing" not in said
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_killed_and_gone_on_with_a_study_ends_as_it_would_have(whole, tmp_path, sent):
    output = tmp_path / "killed"
    killed = process(whole.file, output, "--processes", "2", "--no_probe", start_new_session=True)
    begun = time.monotonic()
    while not list(output.glob("cells/*/*/*/model/checkpoint-*")) and time.monotonic() < begun + 300:
        time.sleep(0.05)
    if sent == signal.SIGKILL:
        os.killpg(killed.pid, sent)  # the command and all that it began
    else:
        killed.send_signal(sent)
    ended = killed.communicate(timeout=300)[0]
    assert killed.returncode == (-signal.SIGKILL if sent == signal.SIGKILL else 128 + sent), ended
    assert len(bytes_of(output)) < 4
    again = process(whole.file, output, "--processes", "2", "--no_probe", "--no_costs")
    said = again.communicate(timeout=900)[0]
    assert again.returncode == 0, said
    assert "resuming from" in "".join(path.read_text() for path in output.glob("cells/*/*/*/log.txt"))
    assert bytes_of(output) == bytes_of(whole.output)
    assert told(output) == told(whole.output)


@pytest.mark.slow
def test_an_arm_that_fails_leaves_the_others_and_the_status_says_so(tmp_path, arms, make_kb):  # noqa: F811
    make_kb(name="names.kb")
    broken = {"kind": "labels", "flags": {"backbone": str(tmp_path / "none"), "head_rank": 8}}
    one = write_study(
        tmp_path, {"broken": broken, "dictionary": arms["dictionary"]}, corpora=["bc2gm-sample"]
    )
    run = process(one, tmp_path / "run", "--no_probe", "--no_costs")
    said = run.communicate(timeout=300)[0]
    assert run.returncode == 3
    assert "failed: broken bc2gm-sample 1: " in said and "finished: dictionary bc2gm-sample -" in said
    assert "1 failed; the same command tries them again" in said
