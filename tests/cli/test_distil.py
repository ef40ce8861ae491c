"""python -m vaner distil: its words, and whole processes that are killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import ROOT, SAMPLES
from vaner.annotation import distil
from vaner.cli import main
from vaner.formats import read
from vaner.model.config import ModelConfig
from vaner.tagging.labeler import Vaner

WORDS = ["distil", "--teacher", "vaner-smollm2-135m-20l", "--input", str(SAMPLES / "abstracts.pubtator")]


@pytest.fixture
def asked(monkeypatch):
    """What the command asks for, in place of doing it."""
    given = []

    def run(asked, **more):
        given.append((asked, more))
        return asked.output / "student"

    monkeypatch.setattr(distil, "run", run)
    return given


def test_words_become_what_is_asked(asked, capsys):
    words = [
        "--student",
        "minilm-l6",
        "--output",
        "run",
        "--as",
        "bc5cdr:2",
        "adaptive",
        "--min_score",
        "0.5",
    ]
    words += [
        "--gold",
        "ncbi-disease:0.5",
        "--gold_documents",
        "9",
        "--learn_from",
        "scores",
        "--weight",
        "0.7",
    ]
    words += ["--temperature", "2", "--confidence_weight", "--types", "Disease", "--input_format", "pubtator"]
    assert main([*WORDS, *words, "--processes", "3", "--", "--adapter", "full", "--input", "x"]) == 0
    ((found, more),) = asked
    assert found.settings.models == ("vaner-smollm2-135m-20l",) and found.settings.types == ("Disease",)
    assert (found.ways, found.min_score, found.learn_from) == (["bc5cdr:2", "adaptive"], 0.5, "scores")
    student = found.student
    assert (student.name, list(student.gold), student.gold_documents) == (
        "minilm-l6",
        ["ncbi-disease:0.5"],
        9,
    )
    assert (student.weight, student.temperature, student.confidence_weight) == (0.7, 2.0, True)
    assert student.flags == ["--adapter", "full", "--input", "x"], "what stands behind -- is training's"
    assert found.reader.format == "pubtator" and found.reader.on_error == "raise"
    assert more["workers"].keywords == {"processes": 3} and not more["overwrite"]
    assert "predict.py --model run/student" in capsys.readouterr().err


def test_defaults_say_nothing_that_was_not_said(asked):
    assert main([*WORDS, "--student", "minilm-l6", "--output", "run"]) == 0
    found = asked[0][0]
    assert (
        found.ways is None
        and found.learn_from is None
        and found.min_score is None
        and found.student.flags == []
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--output", "run", "--studnet", "x"], "unknown flag --studnet (did you mean --student?)"),
        (["--student", "x"], "the following arguments are required: --output"),
        (["--output", "run", "--learn_from", "words"], "invalid choice: 'words'"),
        (["--output", "run", "--processes", "0"], "--processes is 0; choose 1 or more"),
        (["--output", "run", "--learning_rate", "1"], "unknown flag --learning_rate"),
    ],
)
def test_wrong_words_are_one_line_and_status_2(words, said, asked, capsys):
    assert main([*WORDS, *words]) == 2 and not asked
    err = capsys.readouterr().err
    assert err.startswith("error: ") and said in err and err.count("\n") == 1


def test_other_commands_keep_what_stands_behind_two_dashes(tmp_path, capsys):
    assert main(["convert", "--", str(SAMPLES / "abstracts.pubtator"), str(tmp_path / "x.jsonl")]) == 0
    assert (tmp_path / "x.jsonl").is_file()


def test_a_launcher_of_several_processes_is_refused(asked, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    assert main([*WORDS, "--student", "minilm-l6", "--output", "run"]) == 2
    assert "start the command without a launcher" in capsys.readouterr().err


# --- whole processes ---

TINY = ["--adapter", "full", "--learning_rate", "1e-3", "--num_train_epochs", "1", "--max_steps", "12"]
TINY += [
    "--batch_tokens",
    "700",
    "--dtype",
    "float32",
    "--head_rank",
    "8",
    "--use_cpu",
    "true",
    "--seed",
    "5",
]
TINY += ["--eval_documents", "3", "--evaluations", "1", "--max_tokens", "384", "--save_steps", "3"]


class Process:
    """The command, as a process that can be killed."""

    def __init__(self, words, log):
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "vaner", "distil", *words],
            cwd=ROOT,
            env=environment,
            stdout=open(log, "a"),  # noqa: SIM115  # as long as the process
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def killed(self, seconds, number):
        """Send a signal after a while; whether it came in time."""
        time.sleep(seconds)
        alive = self.process.poll() is None
        if alive:
            os.kill(self.process.pid, number)
        self.process.wait(120)
        return alive

    def done(self):
        return self.process.wait(600)


def weights(folder):
    found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.safetensors")}
    return {name: content for name, content in found.items() if not name.startswith("checkpoint-")}


@pytest.mark.slow
def test_a_process_that_is_killed_at_any_moment_ends_with_the_same_student(tiny_backbones, tmp_path):
    from vaner.training import run as training

    mix = ["--mix", "bc5cdr-sample", "--backbone", tiny_backbones["llama"], "--cap", "9", "--lora_r", "4"]
    more = [word for word in TINY if word not in ("--adapter", "full")]
    teacher = training.run(
        [*mix, *more, "--learning_rate", "2e-2", "--output_dir", str(tmp_path / "teacher")]
    )
    (tmp_path / "root").mkdir()
    inputs = ["--input", str(SAMPLES / "abstracts.pubtator"), "--input_format", "pubtator"]
    words = [
        "--teacher",
        str(teacher),
        "--student",
        tiny_backbones["bert"],
        *inputs,
        "--gold",
        "bc5cdr-sample",
    ]
    words += ["--teacher_device", "cpu", "--unit_documents", "4", "--data_root", str(tmp_path / "root")]
    log = tmp_path / "log.txt"

    def command(folder):
        return [*words, "--output", str(tmp_path / folder), "--", *TINY]

    started = time.monotonic()
    assert Process(command("whole"), log).done() == 0, log.read_text()
    whole = time.monotonic() - started
    chance, kills = random.Random(7), 0
    while kills < 6:
        number = signal.SIGKILL if kills % 2 else signal.SIGTERM
        if not Process(command("killed"), log).killed(whole * chance.uniform(0.2, 0.95), number):
            break  # it was finished before
        kills += 1
    assert kills, "nothing was killed"
    assert Process(command("killed"), log).done() == 0, log.read_text()
    assert weights(tmp_path / "killed" / "student") == weights(tmp_path / "whole" / "student")
    told = json.loads((tmp_path / "killed" / "student" / "run.json").read_text())["distilled"]
    assert told["command"].startswith("python -m vaner distil --teacher teacher --student bert")


@pytest.mark.slow
def test_the_shipped_tagger_teaches_minilm(tmp_path):
    """A handful of abstracts: every word has the scores of the shipped teacher, and the student reads as it does."""
    records = [{"id": d.id, "text": d.text} for d in read(SAMPLES / "abstracts.pubtator")][:8]
    raw = tmp_path / "raw.jsonl"
    raw.write_text("".join(json.dumps(record) + "\n" for record in records))
    (tmp_path / "root").mkdir()
    words = ["--teacher", "vaner-smollm2-135m-20l", "--student", "minilm-l6", "--input", str(raw)]
    words += [
        "--as",
        "adaptive",
        "bc5cdr",
        "--output",
        str(tmp_path / "run"),
        "--data_root",
        str(tmp_path / "root"),
    ]
    flags = ["--num_train_epochs", "1", "--max_steps", "4", "--batch_tokens", "1024", "--use_cpu", "true"]
    flags += ["--adapter", "full", "--learning_rate", "5e-4"]
    assert Process([*words, "--", *flags], tmp_path / "log.txt").done() == 0, (
        tmp_path / "log.txt"
    ).read_text()
    student = tmp_path / "run" / "student"
    assert ModelConfig.load(student).datasets == {"bc5cdr": ["Chemical", "Disease"]}
    assert "Anatomy" in ModelConfig.load(student).types
    assert isinstance(Vaner.from_pretrained(student)(records[0]["text"]), list)
    taught = [d for path in (tmp_path / "run" / "taught").rglob("*.jsonl") for d in read(path)]
    assert len(taught) == 8 and sum(len(d.spans) for d in taught) > 20
    assert "a teacher's scores are known of" in (tmp_path / "log.txt").read_text()
