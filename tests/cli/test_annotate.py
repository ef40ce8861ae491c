"""python -m vaner annotate: annotated as the plan says, killed anywhere, paid once; what cannot be is said at once."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import vaner
from tests.annotation.made import instructions
from tests.conftest import SAMPLES
from tests.training import tiny_lm
from vaner.cli import main
from vaner.formats import read
from vaner.tagging.loading import load

ROOT = Path(vaner.__file__).parents[1]
TEXTS = ["The fever was mild. Aspirin helps.", "Breast cancer, breast cancer 12.", "İstanbul 😀 fever."]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_lm.make(tmp_path_factory.mktemp("tiny") / "lm")


@pytest.fixture
def prompt(make, model):
    return make(
        "p.yaml",
        f"backend: {{model: {model}, device: cpu, dtype: float32}}\nmax_words: 1\nstore: s.sqlite\n"
        "budget: {max_tokens: 60}\n",
    )


@pytest.fixture
def kb(kb):
    """The path of an index."""
    return kb.path


@pytest.fixture
def folder(make, tmp_path):
    """A folder of two files of texts, and instructions."""
    instructions(tmp_path)
    make("in/a.txt", "\n".join(TEXTS[:2]) + "\n")
    make("in/b.txt", TEXTS[2] + "\n")
    return tmp_path


def words_of(folder, *more, output="out"):
    return ["annotate", "--instructions", folder / "made-up.yaml", "--input", folder / "in", "--input_format",
            "text:per=line", "--output", folder / output, "--progress", "none", *more]  # fmt: skip


def annotate(folder, *more, output="out"):
    return main([str(word) for word in words_of(folder, *more, output=output)])


def outputs(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.jsonl"))}


def documents(folder):
    return [document for path in sorted(folder.glob("*.jsonl")) for document in read(path)]


def everything(prompt, kb):
    return ("--model", f"prompt:{prompt}", f"kb:{kb}", "--least_votes", "1", "--steps", "reason,mark,correct",
            "--verify", "rules", "same", "--propagate", "--types", "Disease")  # fmt: skip


def test_a_prompted_annotator_a_dictionary_and_verifiers_vote_and_judge(folder, prompt, kb, capsys):
    assert annotate(folder, *everything(prompt, kb)) == 0
    first = capsys.readouterr().err
    assert "note: requests: " in first
    found = documents(folder / "out")
    assert [one.text for one in found] == TEXTS
    said = found[0].metadata["annotation"]
    assert said["annotators"] == ["prompt:p.yaml", "kb:kb.idx"] and len(said["instructions"]) == 16
    assert all(one.types == {"Disease"} and all(0 <= s.score <= 1 for s in one.spans) for one in found)
    cancer = [span for one in found for span in one.spans if span.text.casefold() == "breast cancer"]
    judged = sum("same" in kind for one in found for kind in one.metadata["annotation"].get("changed", {}))
    assert cancer or judged  # what a random model rejects is counted
    summary = json.loads((folder / "out" / "summary.json").read_text())
    assert sum(summary["confidence"]) == summary["mentions"]
    totals = {}
    for one in found:
        for kind, times in one.metadata["annotation"].get("changed", {}).items():
            totals[kind] = totals.get(kind, 0) + times
    assert summary["changed"] == totals
    # What is not sure is for people.
    assert annotate(folder, *everything(prompt, kb), "--threshold", "1", "--queue_format", "jsonl") == 0
    unsure = [one.id for one in found if any(span.score < 1 for span in one.spans)]
    assert unsure and "of confidence below 1" in capsys.readouterr().err
    assert [one.id for one in read(folder / "out/queue/documents.jsonl")] == unsure
    assert main(["annotate", "report", str(folder / "out")]) == 0
    # The plan is a tagger like any other.
    tagger = load(f"annotate:{folder / 'out'}", device="cpu")
    bare = [one.with_spans([]) for one in found]
    assert [one.spans for one in tagger.tag_documents(bare)] == [one.spans for one in found]


@pytest.mark.slow
def test_in_two_processes_the_same_bytes_and_nothing_is_paid_again(folder, prompt, kb, capsys):
    words = everything(prompt, kb)
    assert annotate(folder, *words) == 0
    capsys.readouterr()
    assert annotate(folder, *words, "--processes", "2", output="again") == 0
    assert outputs(folder / "again") == outputs(folder / "out")
    again = capsys.readouterr().err
    assert "note: requests answered from the store: " in again and "note: requests: " not in again


def test_the_folder_goes_on_and_takes_no_other_plan(folder, kb, capsys):
    words = ("--model", f"kb:{kb}")
    assert annotate(folder, *words) == 0
    before = outputs(folder / "out")
    assert annotate(folder, *words) == 0 and outputs(folder / "out") == before
    plan = (folder / "out/.annotate/plan.yaml").read_bytes()
    assert annotate(folder, *words, "--verify", "rules") == 2
    assert "holds an annotation by another plan (verifiers was none, is rules" in capsys.readouterr().err
    assert (folder / "out/.annotate/plan.yaml").read_bytes() == plan and outputs(folder / "out") == before
    assert annotate(folder, *words, "--verify", "rules", "--overwrite") == 0
    assert (folder / "out/.annotate/plan.yaml").read_bytes() != plan
    # The output is a folder of documents.
    assert main(["convert", str(folder / "out"), "--output", f"{folder}/converted/"]) == 0
    assert len(list((folder / "converted").iterdir())) == 2


def test_a_run_that_lives_keeps_its_plan(folder, kb, capsys):
    from vaner.jobs.lock import locked

    (folder / "out/.vaner").mkdir(parents=True)
    with locked(folder / "out/.vaner/lock"):
        assert annotate(folder, "--model", f"kb:{kb}") == 2
    assert not (folder / "out/.annotate/plan.yaml").exists()
    assert annotate(folder, "--model", f"kb:{kb}") == 0


def test_instructions_that_are_edited_are_another_plan(folder, kb, capsys):
    assert annotate(folder, "--model", f"kb:{kb}") == 0
    path = folder / "made-up.yaml"
    path.write_text(path.read_text().replace("nobody wrote this", "somebody did"), encoding="utf-8")
    assert annotate(folder, "--model", f"kb:{kb}") == 2
    assert "instructions_hash was" in capsys.readouterr().err


def test_nothing_is_sent_or_written_where_nothing_is_to_be(folder, prompt, capsys):
    words = ("--model", f"prompt:{prompt}", "--steps", "reason,mark,correct")
    assert annotate(folder, *words, "--show_prompt", "2", "--verify", "same") == 0
    shown = capsys.readouterr()
    assert (
        "=== request 2" in shown.out
        and "=== request 3" not in shown.out
        and "How mentions are marked:" in shown.out
    )
    assert "what verifiers would ask hangs on what is marked" in shown.err
    assert annotate(folder, *words, "--dry_run") == 0
    assert "12 requests to send, about " in capsys.readouterr().out
    assert not (folder / "out").exists()


@pytest.mark.slow
def test_a_document_that_cannot_be_asked_is_rejected_and_the_others_are_not(folder, prompt, make, capsys):
    make("in/c.txt", "word " * 3000 + "\nFever.\n")
    prompt.write_text(prompt.read_text().partition("budget")[0])
    assert annotate(folder, "--model", f"prompt:{prompt}") == 3
    (rejected,) = [json.loads(line) for line in (folder / "out/rejected.jsonl").read_text().splitlines()]
    assert rejected["document"] == "c-1" and "the model reads 4,096" in rejected["reason"]
    assert [one.text for one in read(folder / "out/c.jsonl")] == ["Fever."]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "the following arguments are required: --model"),
        (("--model", "kb:KB", "--threshold", "1.5"), "--threshold 1.5: a confidence is a number from 0 to 1"),
        (("--model", "kb:KB", "--types", "Gene"), "says nothing of it"),
        (("--model", "kb:KB", "--types", "Chemical", "Disease", "--verify", "same"), "--verify same: asks"),
        (("--model", "kb:KB", "--dry_run"), "no annotator is prompted"),
        (("--model", "kb:KB", "--device", "cpu"), "--device: none of kb:kb.idx takes it"),
        (("--model", "kb:KB", "--guideline", "most"), "invalid choice: 'most'"),
        (("--model", "kb:KB", "--processes", "0"), "--processes is 0"),
        (("--model", "no-such-model"), "no-such-model"),
        (("--model", "kb:KB", "--mdel", "x"), "unknown flag --mdel (did you mean --model?)"),
    ],
)
def test_what_cannot_be_is_said(folder, kb, capsys, words, says):
    assert annotate(folder, *(word.replace("KB", str(kb)) for word in words)) == 2
    assert says in capsys.readouterr().err
    assert not (folder / "out").exists() or not outputs(folder / "out")


def test_inputs_and_outputs_that_cannot_be(folder, kb, capsys):
    (folder / "file").write_text("x")
    for output in ("file", "-"):
        words = [
            "annotate",
            "--instructions",
            folder / "made-up.yaml",
            "--input",
            folder / "in",
            "--model",
            f"kb:{kb}",
        ]
        target = folder / output if output != "-" else "-"
        assert main([str(word) for word in [*words, "--output", target]]) == 2
        assert "is a file; annotations become a folder" in capsys.readouterr().err
    assert main([str(w) for w in [*words, "--output", folder / "x", "--input", folder / "nowhere"]]) == 2
    assert "nowhere: no such file" in capsys.readouterr().err


# --- killed ---


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bytes_and_asks_nothing_twice(folder, make, model):
    import sqlite3

    prompt = make(
        "q.yaml",
        f"backend: {{model: {model}, device: cpu, dtype: float32, batch_size: 1}}\nmax_words: 1\nstore: q.sqlite\n"
        "budget: {max_tokens: 40}\ndecoding: free\n",
    )
    make("in/c.txt", "".join(f"Sentence number {number} about fever and aspirin.\n" for number in range(40)))
    more = (
        "--model",
        f"prompt:{prompt}",
        "--steps",
        "reason,mark,correct",
        "--verify",
        "same",
        "--unit_documents",
        "4",
    )
    command = [sys.executable, "-m", "vaner", *map(str, words_of(folder, *more))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def kept():
        try:
            with sqlite3.connect(f"file:{folder / 'q.sqlite'}?mode=ro", uri=True) as connection:
                return dict(
                    connection.execute("SELECT key, at || answer FROM requests WHERE answer IS NOT NULL")
                )
        except sqlite3.OperationalError:
            return {}

    # Killed again and again, in whatever step it was.
    reached = 0
    for _ in range(4):
        running = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 120
        while len(kept()) < reached + 23 and time.monotonic() < until and running.poll() is None:
            time.sleep(0.02)
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
        time.sleep(0.5)  # its worker ends by itself
        before, reached = kept(), len(kept())
    assert not (folder / "out" / "c.jsonl").exists()
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    after = kept()
    assert {key: after[key] for key in before} == before and len(after) > len(before)
    assert main([str(word) for word in words_of(folder, *more, output="whole")]) == 0
    assert outputs(folder / "whole") == outputs(folder / "out") and kept() == after


# --- real models ---


@pytest.mark.slow
def test_the_shipped_labeler_and_the_open_vocabulary_vote(folder, capsys):
    words = ["annotate", "--instructions", folder / "made-up.yaml", "--input", SAMPLES / "abstracts.pubtator",
             "--output", folder / "out", "--model", "vaner-smollm2-135m", "kb:open", "--verify", "rules", "--propagate",
             "--least_votes", "1", "--progress", "none"]  # fmt: skip
    assert main(list(map(str, words))) == 0
    texts = [one.text for one in read(SAMPLES / "abstracts.pubtator")]
    found = documents(folder / "out")
    assert [one.text for one in found] == texts and all(one.spans for one in found)
    sure, unsure = [], []
    for one in found:
        by = {tuple(vote[:3]): vote[3] for vote in one.metadata["annotation"]["votes"]}
        for span in one.spans:
            if span.grounded is None:
                (sure if by[span.key] == [0, 1] else unsure).append(span.score)
    assert len(sure) > 100 and len(unsure) > 50 and min(sure) > 0.5 >= max(unsure)
    assert any(span.grounded == "propagated" for one in found for span in one.spans)


@pytest.mark.slow
def test_an_instruct_model_annotates(folder, make):
    name = os.environ.get("VANER_INSTRUCT_MODEL")
    if not name:
        pytest.skip("VANER_INSTRUCT_MODEL names no instruction-tuned model (a folder or a hub id)")
    prompt = make("i.yaml", f"backend: {{model: {name}, device: cpu}}\nstore: i.sqlite\nanswer: inline\n")
    more = (
        "--model",
        f"prompt:{prompt}",
        "--steps",
        "reason,mark",
        "--verify",
        "rules",
        "same",
        "--propagate",
    )
    assert annotate(folder, *more) == 0
    found = documents(folder / "out")
    assert [one.text for one in found] == TEXTS
    assert any(0 < span.score < 1 for one in found for span in one.spans) or not any(
        one.spans for one in found
    )
