"""The benchmark of annotating: rows that are kept, teachers that are refused, its curve; all of it in small."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from tests.conftest import BENCHMARKS, ROOT
from tests.training import tiny_lm
from vaner.errors import VanerError
from vaner.tagging.identity import Unloaded

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def curve(benchmark):
    return benchmark("annotation_curve")


@pytest.fixture
def args():
    return SimpleNamespace(
        data_root=None, teacher="kb:open", seed=0, dev_documents=2, tiny=True, corpora=["ncbi-disease"]
    )


def test_a_row_is_measured_once(benchmark, tmp_path):
    rows = benchmark("kept_rows").Rows(tmp_path / "rows")
    times = []
    for _ in range(2):
        assert rows.row("a / b", {"of": (1, 2)}, lambda: times.append(1) or {"f1": 0.5}) == {"f1": 0.5}
    assert times == [1]
    with pytest.raises(VanerError, match="is of other settings \\(of\\)"):
        rows.row("a / b", {"of": (1, 3)}, dict)
    # What failed leaves no row.
    with pytest.raises(ZeroDivisionError):
        rows.row("c", {}, lambda: 1 / 0)
    assert [file.name for file in rows.folder.iterdir()] == ["a-b.json"]


def test_a_command_that_fails_says_its_last_line(benchmark, tmp_path):
    call = benchmark("kept_rows").call
    call(["-c", "raise SystemExit(3)"], tmp_path / "log")
    with pytest.raises(VanerError, match="ended with 2: what was wrong"):
        call(["-c", "print('first'); print('what was wrong'); raise SystemExit(2)"], tmp_path / "log")


def test_parts_of_the_texts_lie_in_each_other(curve, args, monkeypatch):
    monkeypatch.setattr(
        curve, "unloaded", lambda name: Unloaded(["Disease"])
    )  # the index need not be unpacked
    one = curve._Set.read("ncbi-disease", "ncbi-disease-sample", ("Disease",), args)
    parts = [{document.id for document in one.part(percent)} for percent in (25, 50, 100)]
    assert parts[0] < parts[1] < parts[2] and len(parts[2]) == len(one.train) and one.shared == 0
    assert all(document.types == {"Disease"} for document in one.train) and len(one.dev) == 2
    again = curve._Set.read("ncbi-disease", "ncbi-disease-sample", ("Disease",), args)
    assert again.described() == one.described()


def test_a_teacher_that_knows_the_texts_is_refused(curve, args, monkeypatch):
    known = Unloaded(["Disease"], {"ncbi-disease": ["Disease"]})
    monkeypatch.setattr(curve, "unloaded", lambda name: known)
    monkeypatch.delenv("VANER_DATA", raising=False)
    with pytest.raises(VanerError, match="was trained on .* of the .* train texts of ncbi-disease"):
        curve._Set.read("ncbi-disease", "ncbi-disease-sample", ("Disease",), args)
    # Others are, on none of these texts.
    known = Unloaded(["Disease"], {"bc5cdr": ["Disease"]})
    assert curve._Set.read("ncbi-disease", "ncbi-disease-sample", ("Disease",), args).shared == 0
    known = Unloaded(["Disease"], {"nobody's": ["Disease"]})
    with pytest.raises(VanerError, match="was trained on nobody's, whose train texts are not here"):
        curve._Set.read("ncbi-disease", "ncbi-disease-sample", ("Disease",), args)
    known = None
    with pytest.raises(VanerError, match="cannot be told"):
        curve._Set.read("ncbi-disease", "ncbi-disease-sample", ("Disease",), args)


def made_up(curve):
    def one(mean):
        return {"mean": mean, "drawn": [mean - 0.02, mean + 0.02], "seeds": [mean]}

    points = [
        {
            "labels": labels,
            "part": part,
            "f1": 0.6 + part / 1000,
            "interval": [0.5, 0.7],
            "corpora": {"bc5cdr": one(0.6 + part / 1000)},
        }
        for labels in (curve.GOLD, curve.TAUGHT)
        for part in (25, 100)
    ]
    worth = {"precision": 0.8, "recall": 0.7, "f1": 0.75}
    return {
        "teacher": {"name": "kb:open", "corpora": {"bc5cdr": {"train": worth, "dev": worth, "shared": 3}}},
        "points": points,
        "differences": [{"labels": curve.TAUGHT, "part": 25, **one(-0.05)}],
    }


def test_the_curve_is_drawn_the_same_again(curve, tmp_path):
    pytest.importorskip("matplotlib")
    for name in ("a.svg", "b.svg"):
        curve.draw(str(tmp_path / name), made_up(curve))
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert b"stroke-dasharray" in (tmp_path / "a.svg").read_bytes()  # lines differ without colours
    said = curve.table(made_up(curve))
    assert "| teacher  | 25 %    | 62.5 (50.0 - 70.0) | 62.5     | -5.0 (-7.0 - -3.0) |" in said
    assert "| bc5cdr    | train   | 80.0 | 70.0 | 75.0 | 3" in said


@pytest.mark.slow
def test_all_of_it_in_small(tmp_path, tiny_backbones):
    model = tiny_lm.make(tmp_path / "lm")
    environment = {k: v for k, v in os.environ.items() if k != "VANER_DATA"}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    words = [
        "--tiny",
        "--corpora",
        "ncbi-disease",
        "--runs",
        tmp_path / "runs",
        "--json",
        tmp_path / "a.json",
    ]
    words += ["--model", model, "--dtype", "float32", "--answer", "json", "--documents", 2, "--bootstrap", 20]
    words += ["--arms", "rules verify", "short list", "no instructions", "--others", "kb:open"]
    words += [
        "--student",
        tiny_backbones["bert"],
        "--fractions",
        50,
        100,
        "--updates",
        2,
        "--batch_tokens",
        256,
    ]
    words += ["--dev_documents", 2, "--samples", 20, "--plot", tmp_path / "a.svg"]

    def run():
        command = [sys.executable, BENCHMARKS / "annotation.py", *words]
        done = subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, cwd=ROOT, env=environment
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done, json.loads((tmp_path / "a.json").read_text())

    done, found = run()
    assert done.stderr.count("measuring") == 9
    assert [row["arm"] for row in found["ways"]] == [
        "short list",
        "no instructions",
        "rules verify",
        "annotator kb:open",
    ]
    base, *others = found["ways"]
    assert base["documents"] == 2 and all(
        set(row["over_base"]) >= {"difference", "interval", "p"} for row in others
    )
    assert base["cost"]["counts"]["requests"] > 0
    # What the base asked is not asked again.
    assert "requests" not in others[1]["cost"]["counts"] and others[1]["changed"]
    points = found["curve"]["points"]
    assert [(one["labels"], one["part"]) for one in points] == [
        ("gold", 50),
        ("gold", 100),
        ("teacher", 50),
        ("teacher", 100),
    ]
    assert points[0]["documents"]["ncbi-disease"] < points[1]["documents"]["ncbi-disease"]
    assert (tmp_path / "a.svg").is_file()
    again, same = run()
    assert (
        "measuring" not in again.stderr and same["ways"] == found["ways"] and same["curve"] == found["curve"]
    )
