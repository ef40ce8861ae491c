"""Cells over processes: each once, whoever else works in the folder; one that fails leaves the others alone."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap

import pytest

from vaner.study.cells import FAILED
from vaner.study.spreading import Spread, environment, last_line

# Does a cell as `vaner.study.cell_run` would, but for the work: it takes the lock, notes that it did the cell, and what
# is in its environment. Cells of arms called broken fail, and those called killed say nothing.
CHILD = """
    import json, os, sys, time
    from pathlib import Path
    from filelock import FileLock, Timeout
    root, hashes, arm, corpus, seed = sys.argv[1:]
    place = Path(root, "cells", arm, corpus, seed)
    lock = FileLock(place / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        sys.exit(75)
    if (place / "cell.json").exists():
        sys.exit(0)
    time.sleep(0.2)
    with open(place / "done.txt", "a") as file:
        file.write(f"{os.environ.get('CUDA_VISIBLE_DEVICES')} {os.environ.get('OMP_NUM_THREADS')}\\n")
    if arm == "labels" and corpus == "bc2gm-sample":
        (place / "failed.json").write_text(json.dumps({"why": "no memory left"}))
        sys.exit(1)
    if arm == "encoder" and corpus == "bc2gm-sample":
        print("Segmentation fault"); print()
        os._exit(9)
    (place / "model").mkdir(exist_ok=True)
    (place / "model" / "README.md").write_text("whole")
    digits = json.loads(hashes)[f"{arm} {corpus} {seed}"]
    (place / "cell.json").write_text(json.dumps({"hash": digits}))
"""


@pytest.fixture
def child(make):
    import json

    def command(made):
        script = make("child.py", textwrap.dedent(CHILD))
        hashes = json.dumps({one.name: one.hash for one in made.cells})
        return [sys.executable, str(script), str(made.folder.path), hashes]

    return command


def times(made):
    return {
        one.name: len(path.read_text().splitlines()) if (path := one.path / "done.txt").is_file() else 0
        for one in made.cells
    }


def test_every_cell_is_done_once_and_a_failing_one_stops_no_other(opened, child):
    made = opened(["encoder", "labels", "forced", "free"], seeds=[1, 2])
    said = []
    spread = Spread(child(made), 3, ["0", "1"], said.append)
    failed = spread.run(made.cells)
    assert set(times(made).values()) == {1}
    assert failed == {
        **{f"labels bc2gm-sample {seed}": "no memory left" for seed in (1, 2)},
        **{f"encoder bc2gm-sample {seed}": "ended with status 9: Segmentation fault" for seed in (1, 2)},
    }
    assert sum(line.startswith("finished: ") for line in said) == 12
    assert sum(line.startswith("failed: ") and "log.txt" in line for line in said) == 4
    devices = {(one.path / "done.txt").read_text().split()[0] for one in made.cells}
    assert devices == {"0", "1"}, "GPUs in turn"
    # Once more: only what failed is tried again.
    assert Spread(child(made), 3, (), said.append).run(made.cells) == failed
    assert {name for name, count in times(made).items() if count == 2} == set(failed)


def test_an_arm_waits_for_the_model_of_another_and_fails_with_it(opened, child):
    made = opened(["labels", "forced", "free"])
    broken = [one for one in made.cells if one.arm.name != "labels"]
    script = child(made)
    # The training of forced fails here; free is never begun.
    with open(script[1], "a") as file:
        file.write("\n")
    text = open(script[1]).read().replace('arm == "labels" and', 'arm == "forced" and')
    open(script[1], "w").write(text)
    failed = Spread(script, 2).run(broken)
    assert failed["forced bc2gm-sample 1"] == "no memory left"
    assert failed["free bc2gm-sample 1"] == "the training of forced bc2gm-sample 1 failed"
    assert times(made)["free bc2gm-sample 1"] == 0 and times(made)["free bc5cdr-sample 1"] == 1


TWO = """
    import sys
    from vaner.study.cell_run import opened
    from vaner.study.spreading import Spread
    settings, folder, cells = opened(sys.argv[1], sys.argv[2])
    print(Spread(sys.argv[3:], 2).run(cells))
"""


def test_two_commands_in_one_folder_share_the_cells(opened, child, make):
    made = opened(["encoder", "labels", "forced", "free", "dictionary"], seeds=[1, 2])
    script = make("two.py", textwrap.dedent(TWO))
    words = [sys.executable, str(script), made.file, str(made.folder.path), *child(made)]
    env = environment(1, (), 0)
    two = [subprocess.Popen(words, env=env, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [one.communicate()[0] for one in two]
    assert [one.returncode for one in two] == [0, 0]
    counts = times(made)
    # A cell that failed before the second command looked counts for it as one of an earlier run.
    assert {
        count for name, count in counts.items() if "encoder bc2gm" not in name and "labels bc2gm" not in name
    } == {1}
    assert all("finished" in one for one in said), "both did some"


def test_a_cell_that_another_took_at_that_moment_is_looked_at_again(opened, make):
    made = opened(["dictionary"], corpora=["bc5cdr-sample"])
    text = """
        import json, sys
        from pathlib import Path
        root, digits, arm, corpus, seed = sys.argv[1:]
        place = Path(root, "cells", arm, corpus, seed)
        if not (place / "asked").exists():
            (place / "asked").write_text("once")
            sys.exit(75)
        (place / "cell.json").write_text(json.dumps({"hash": digits}))
    """
    script = make("child.py", textwrap.dedent(text))
    command = [sys.executable, str(script), str(made.folder.path), made.cells[0].hash]
    assert Spread(command, 1).run(made.cells) == {}
    assert made.cells[0].finished()


def test_no_process_is_begun_for_a_cell_that_is_worked_on(opened, child):
    made = opened(["dictionary"], corpora=["bc5cdr-sample"])
    spread = Spread(child(made), 1)
    with made.cells[0].lock():
        spread._begin(made.cells)
        assert not spread._running
    spread._begin(made.cells)
    (begun,) = spread._running
    assert begun.process.wait() == 0


def test_whatever_ends_the_command_ends_its_processes(opened, child, monkeypatch):
    made = opened(["forced"])
    spread = Spread(child(made), 2)
    monkeypatch.setattr(
        "vaner.study.spreading.time.sleep", lambda _: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        spread.run(made.cells)
    assert [one.process.returncode for one in spread._running] == [-signal.SIGTERM] * 2


def test_what_a_process_is_told(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("vaner.study.spreading.cores", lambda: 16)
    found = environment(8, ["3", "5"], 3)
    assert found["CUDA_VISIBLE_DEVICES"] == "5" and found["OMP_NUM_THREADS"] == "2"
    assert "OMP_NUM_THREADS" not in environment(1, (), 0)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert environment(8, (), 0)["OMP_NUM_THREADS"] == "7"


def test_the_last_line_of_a_log(make, tmp_path):
    assert last_line(make("a.log", "one\nOutOfMemoryError: no\n\n  \n")) == "OutOfMemoryError: no"
    assert last_line(tmp_path / "none.log") == "it said nothing"
    assert FAILED == "failed.json"
