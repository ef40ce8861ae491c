"""predict.py with prompted taggers: nothing sent when nothing is to be, nothing asked twice, nothing lost."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import vaner
from tests.training import tiny_lm
from vaner.cli import main
from vaner.formats import read

PROMPTS = Path(__file__).parents[2] / "configs" / "prompts"
ROOT = Path(vaner.__file__).parents[1]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_lm.make(tmp_path_factory.mktemp("tiny") / "lm")


@pytest.fixture
def file(make, model):
    return make(
        "p.yaml",
        f"backend: {{model: {model}, device: cpu, dtype: float32}}\ntypes: [Disease, Chemical]\nmax_words: 1\n"
        "store: s.sqlite\n",
    )


@pytest.fixture
def texts(make):
    lines = ["No headache today. But aspirin.", "Nothing to see here.", "İstanbul fever 😀."]
    return make("texts.txt", "\n".join(lines) + "\n")


def predict(*words):
    return main(["predict", *map(str, words)], prog="predict.py")


def tag(file, texts, output, *more):
    return predict("--model", f"prompt:{file}", "--input", texts, "--input_format", "text:per=line",
                   "--output", output, *more)  # fmt: skip


def test_a_file_is_tagged_and_asked_once(file, texts, tmp_path, capsys):
    assert tag(file, texts, tmp_path / "a.jsonl") == 0
    first = capsys.readouterr().err
    assert "note: 4 requests, " in first and " steps" in first
    tagged = list(read(tmp_path / "a.jsonl"))
    assert [d.text for d in tagged] == texts.read_text(encoding="utf-8").splitlines()
    assert {span.grounded for d in tagged for span in d.spans} <= {"forced"}
    assert "answers lost" not in first
    assert tag(file, texts, tmp_path / "b.jsonl") == 0
    assert "4 requests (4 from the store)" in capsys.readouterr().err
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


def test_a_replay_gives_the_same_bytes_without_the_model(make, tmp_path, texts, capsys):
    lm = tiny_lm.make(tmp_path / "lm")
    content = f"backend: {{model: {lm}, device: cpu}}\ntypes: [Disease]\nmax_words: 1\nstore: s.sqlite\n"
    # The record of who tagged names the model by its hash, which nobody can take where the model is gone.
    assert tag(make("p.yaml", content), texts, tmp_path / "a.jsonl") == 0
    (tmp_path / "lm").rename(tmp_path / "gone")
    assert tag(make("p.yaml", content + "replay: true\n"), texts, tmp_path / "b.jsonl") == 0
    a, b = (list(read(tmp_path / name)) for name in ("a.jsonl", "b.jsonl"))
    assert [d.spans for d in a] == [d.spans for d in b]


def test_nothing_is_sent_where_nothing_is_to_be(file, texts, tmp_path, capsys):
    assert tag(file, texts, tmp_path / "a.jsonl", "--show_prompt", "1") == 0
    shown = capsys.readouterr().out
    assert "=== request 1" in shown and "No\nheadache\ntoday\n." in shown and "request 2" not in shown
    assert tag(file, texts, tmp_path / "a.jsonl", "--dry_run") == 0
    assert "4 requests to send, about " in capsys.readouterr().out
    assert tag(file, texts, f"{tmp_path}/out/", "--dry_run") == 0
    assert not (tmp_path / "a.jsonl").exists() and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--show_prompt", "0"), "show_prompt is 0"),
        (("--dry_run", "--model", "vaner-smollm2-135m"), "are for one prompted tagger"),
        (("--types", " "), "no entity type"),
        (("--dataset", "bc5cdr"), "dataset 'bc5cdr'"),
        (("--quantization", "int8"), "quantization: unknown 'int8'"),
        (("--decoding", "argmax"), "takes no decoding"),
    ],
)
def test_what_cannot_be(file, texts, tmp_path, capsys, words, says):
    assert tag(file, texts, tmp_path / "a.jsonl", *words) == 2
    assert says in capsys.readouterr().err


def test_a_labeler_sends_nothing_to_show(texts, tmp_path, capsys):
    words = ("--input", texts, "--input_format", "text:per=line", "--output", tmp_path / "a.jsonl")
    assert predict("--model", "vaner-smollm2-135m", *words, "--dry_run") == 2
    assert "takes no dry_run" in capsys.readouterr().err


# --- a document whose call fails ---

TOO_LONG = "word " * 3000


@pytest.fixture
def one_fails(make):
    return make("bad.txt", f"No headache.\n{TOO_LONG}\nBut aspirin.\n")


def test_a_document_that_fails_is_said_and_the_others_are_tagged(file, one_fails, tmp_path, capsys):
    assert tag(file, one_fails, tmp_path / "a.jsonl") == 3
    tagged = list(read(tmp_path / "a.jsonl"))
    assert [("failed" in d.metadata) for d in tagged] == [False, True, False]
    assert "the model reads 4,096" in tagged[1].metadata["failed"]
    assert "1 documents are not tagged in full" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_over_many_files_rejects_it_alone(file, one_fails, texts, tmp_path, capsys):
    words = ("--model", f"prompt:{file}", "--input", one_fails, texts, "--input_format", "text:per=line")
    assert predict(*words, "--output", f"{tmp_path}/out/", "--progress", "none") == 3
    (rejected,) = [json.loads(line) for line in (tmp_path / "out/rejected.jsonl").read_text().splitlines()]
    assert rejected["document"] == "bad-2" and "the model reads 4,096" in rejected["reason"]
    assert [d.id for d in read(tmp_path / "out/bad.jsonl")] == ["bad-1", "bad-3"]
    assert len(list(read(tmp_path / "out/texts.jsonl"))) == 3
    said = capsys.readouterr().err
    assert "note: requests: " in said


# --- every file that ships ---


@pytest.mark.parametrize("shipped", sorted(PROMPTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_files_run(shipped, model, make, texts, tmp_path, capsys):
    content = shipped.read_text(encoding="utf-8")
    assert content.count("smollm2-135m") >= 1
    content = content.replace("model: smollm2-135m", f"model: {model}").replace("3000", "40")
    make("guideline.md", (PROMPTS / "guideline.md").read_text(encoding="utf-8"))
    if "dense" in content and not (Path(os.environ["VANER_CACHE"]) / "backbones" / "minilm-l6").is_dir():
        pytest.skip("the embedder minilm-l6 is not in the cache")
    file = make(shipped.name, f"store: none\n{content}")
    assert tag(file, texts, tmp_path / "a.jsonl") == 0
    tagged = list(read(tmp_path / "a.jsonl"))
    assert [d.text for d in tagged] == texts.read_text(encoding="utf-8").splitlines()
    said = capsys.readouterr().err
    assert "requests" in said
    if "\ndecoding: forced" in content:
        assert "answers lost" not in said


# --- killed ---


@pytest.mark.slow
def test_a_killed_run_repeats_no_request(make, model, tmp_path):
    import sqlite3

    file = make(
        "p.yaml",
        f"backend: {{model: {model}, device: cpu, batch_size: 1}}\ntypes: [Disease]\nmax_words: 1\nstore: s.sqlite\n"
        "decoding: free\nbudget: {max_tokens: 60}\n",
    )
    texts = make("many.txt", "".join(f"Sentence number {i} about aspirin.\n" for i in range(150)))
    command = [sys.executable, str(ROOT / "predict.py"), "--model", f"prompt:{file}", "--input", str(texts),
               "--input_format", "text:per=line", "--output", str(tmp_path / "a.jsonl")]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def kept():
        if not (tmp_path / "s.sqlite").exists():
            return {}
        with sqlite3.connect(tmp_path / "s.sqlite") as connection:
            try:
                return dict(connection.execute("SELECT key, at || answer FROM requests"))
            except sqlite3.OperationalError:
                return {}

    running = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while len(kept()) < 20 and time.monotonic() < until and running.poll() is None:
        time.sleep(0.02)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    before = kept()
    assert 0 < len(before) < 150 and not (tmp_path / "a.jsonl").exists()
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"150 requests ({len(before)} from the store)" in done.stderr
    after = kept()
    assert len(after) == 150 and {key: after[key] for key in before} == before


def test_a_generators_folder_needs_no_prefix(tmp_path, texts):
    folder = Path(tiny_lm.make(tmp_path / "generator"))
    (folder / "generator.yaml").write_text(
        "backend: {model: ., device: cpu}\ntypes: [Disease]\nmax_words: 1\nstore: none\n", encoding="utf-8"
    )
    words = ("--input", texts, "--input_format", "text:per=line", "--output", tmp_path / "a.jsonl")
    assert predict("--model", folder, *words) == 0
    tagged = list(read(tmp_path / "a.jsonl"))
    assert tagged[0].metadata["tagged_by"]["model"] == "generator" and len(tagged) == 3
