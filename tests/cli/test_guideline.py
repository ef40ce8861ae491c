"""python -m vaner guideline: passages are read, instructions drafted and never written over, quotations held to."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from tests.prompting.fake import FakeBackend
from vaner.annotation.instructions import Instructions
from vaner.cli import main
from vaner.prompting import opening

TEXT = "Mark diseases. Do not mark organisms.\n"
MINE = """\
# Mine, by hand.
corpus: mine
guidelines: {g: {file: g.md, source: me}}
types:
  Disease:
    mark:
      - {text: diseases, quote: Mark diseases.}   # as it says
    leave:
      - {text: organisms, quote: Do not mark organisms.}
      - names of people
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.delenv("VANER_GUIDELINES", raising=False)
    monkeypatch.setenv("VANER_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "g.md").write_text(TEXT, encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(MINE, encoding="utf-8")
    return tmp_path


# --- read ---


def test_passages_are_printed_with_their_places(capsys):
    assert main(["guideline", "read", "g.md", "--words", "5"]) == 0
    assert (
        capsys.readouterr().out
        == "== g.md, 0-14\nMark diseases.\n\n== g.md, 15-37\nDo not mark organisms.\n\n"
    )


def test_passages_are_written_as_json_lines(folder, capsys):
    assert main(["guideline", "read", "g.md", "--words", "5", "--output", "p.jsonl"]) == 0
    found = [json.loads(line) for line in (folder / "p.jsonl").read_text("utf-8").splitlines()]
    assert [TEXT[one["start"] : one["end"]] for one in found] == [one["text"] for one in found]
    assert found[0] == {"file": "g.md", "start": 0, "end": 14, "text": "Mark diseases.", "pages": None}
    assert "2 passages -> p.jsonl" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, said",
    [
        (["read", "nowhere.md"], "nowhere.md: no such file or folder"),
        (["read", "g.md", "--words", "0"], "--words 0: must be 1 or more"),
        (["read", "g.md", "--output", "no/p.jsonl"], "the folder .* does not exist"),
        (["check", "nowhere.yaml"], "nowhere.yaml: No such file"),
        (["check", "mine.yaml", "--guidelines", "nowhere"], "nowhere: is no folder"),
        (
            ["extract", "g.md", "--output", "mine.yaml", "--by", "hand", "--types", "A"],
            "mine.yaml: is there, and may",
        ),
        (
            ["extract", "g.md", "--output", "new.yaml"],
            "--model: name the settings of a prompted tagger, or .*hand",
        ),
        (
            ["extract", "g.md", "--output", "new.yaml", "--by", "hand"],
            "--types: name what the guideline is about",
        ),
        (["extract", "g.md", "--output", "new.yaml", "--by", "hand", "--model", "x"], "asks no model"),
        (["extract", "no.md", "--output", "new.yaml", "--by", "hand", "--types", "A"], "no.md: no such file"),
    ],
)
def test_bad_input_is_refused(folder, capsys, words, said):
    assert main(["guideline", *words]) == 2
    assert re.search(said, capsys.readouterr().err)
    assert not (folder / "new.yaml").exists() and (folder / "mine.yaml").read_text("utf-8") == MINE


# --- check ---


def test_what_stands_is_said_and_nothing_is_written(folder, capsys):
    assert main(["guideline", "check", "mine.yaml"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("mine.yaml: 2 quotations: 2 word for word; 1 statement without one; hash ")
    assert Instructions.load("mine.yaml").hash[:12] in said
    assert (folder / "mine.yaml").read_text("utf-8") == MINE


def test_a_quotation_that_no_longer_stands_ends_with_2_and_its_key(folder, capsys):
    (folder / "mine.yaml").write_text(MINE.replace("Mark diseases.", "Mark illnesses."), encoding="utf-8")
    assert main(["guideline", "check", "mine.yaml"]) == 2
    said = capsys.readouterr().err
    assert "error: mine.yaml: types.Disease.mark.1.quote: does not stand in g.md (behind 'Mark'" in said
    (folder / "mine.yaml").write_text(
        MINE.replace("Mark diseases.", "Mark illnesses., verified: false"), encoding="utf-8"
    )
    assert main(["guideline", "check", "mine.yaml"]) == 0


def test_every_file_is_checked(folder, capsys):
    (folder / "other.yaml").write_text(MINE.replace("Do not", "Never"), encoding="utf-8")
    assert main(["guideline", "check", "other.yaml", "mine.yaml"]) == 2
    said = capsys.readouterr()
    assert (
        "error: other.yaml: types.Disease.leave.1.quote:" in said.err
        and "mine.yaml: 2 quotations" in said.out
    )


def test_write_records_what_stands_and_keeps_every_other_byte(folder, capsys):
    assert main(["guideline", "check", "mine.yaml", "--write"]) == 0
    written = (folder / "mine.yaml").read_bytes().decode()
    assert written.startswith(MINE)
    (folder / "g.md").unlink()
    assert main(["guideline", "check", "mine.yaml"]) == 0
    assert "2 quotations: 2 as recorded" in capsys.readouterr().out
    (folder / "mine.yaml").write_text(written.replace("Mark diseases.", "Mark disease."), encoding="utf-8")
    assert main(["guideline", "check", "mine.yaml"]) == 2
    assert "g.md is not at hand; name the folder for it (--guidelines FOLDER)" in capsys.readouterr().err


def test_a_guideline_that_changed_is_told(folder, capsys):
    main(["guideline", "check", "mine.yaml", "--write"])
    (folder / "g.md").write_text("New. " + TEXT, encoding="utf-8")
    assert main(["guideline", "check", "mine.yaml"]) == 0
    assert "guideline g is another file than before; --write records it" in capsys.readouterr().err
    assert main(["guideline", "check", "mine.yaml", "--write"]) == 0
    assert main(["guideline", "check", "mine.yaml"]) == 0
    assert "another file" not in capsys.readouterr().err
    assert Instructions.load("mine.yaml").types["Disease"].mark[0].start == 5


def test_contradictions_are_told(folder, capsys):
    more = "    examples:\n      - {text: flu, mentions: [flu], quote: Mark diseases.}\n    checks: {never: [flu]}\n"
    (folder / "mine.yaml").write_text(MINE + more, encoding="utf-8")
    assert main(["guideline", "check", "mine.yaml"]) == 0
    assert (
        "note: mine.yaml: Disease: checks.never refuses 'flu', which an example marks"
        in capsys.readouterr().err
    )


# --- extract ---

ANSWER = json.dumps(
    {
        "statements": [
            {
                "quote": "Mark diseases.",
                "type": "Disease",
                "kind": "mark",
                "text": "diseases",
                "mentions": [],
            },
            {"quote": "Mark genes.", "type": "Disease", "kind": "leave", "text": "genes", "mentions": []},
        ]
    }
)


@pytest.fixture
def model(folder, monkeypatch):
    """A file of settings whose backend answers as scripted; what was asked."""
    backend = FakeBackend(
        lambda request: '{"conflicts": []}' if "numbers" in request.messages[0].content else ANSWER
    )
    monkeypatch.setattr(opening, "opened_backend", lambda settings, store=None: backend)
    (folder / "prompt.yaml").write_text(
        "backend: {name: openai, model: some/model, base_url: 'http://localhost:1/v1', key_variable: null}\n"
        "types: {Disease: what makes ill}\nstore: answers.sqlite\n",
        encoding="utf-8",
    )
    return backend


def test_a_model_drafts_a_file(folder, capsys, model):
    words = ["guideline", "extract", "g.md", "--model", "prompt.yaml", "--output", "new.yaml"]
    assert main([*words, "--dry_run"]) == 0
    assert "1 request to send" in capsys.readouterr().out and model.asked == []
    assert main(words) == 0
    said = capsys.readouterr().err
    assert "note: quotation that is not in the guideline: g.md, 0-37: 'Mark genes.'" in said
    assert "2 statements, 1 with a verified quotation; 0 conflicts; 2 requests, 10 prompt tokens" in said
    assert "Disease: what makes ill" in model.asked[0].messages[0].content and model.closed
    found = Instructions.load("new.yaml")
    assert found.corpus == "new" and found.wording(["Disease"], "short") == "Disease\nMark:\n- diseases"
    assert (
        yaml.safe_load((folder / "new.yaml").read_text("utf-8"))["guidelines"]["guideline"]["file"] == "g.md"
    )
    assert main(["guideline", "check", "new.yaml"]) == 0
    assert main([*words, "--overwrite", "--corpus", "other"]) == 0
    assert len(model.asked) == 2  # from the store
    assert Instructions.load("new.yaml").corpus == "other"


def test_a_file_by_hand_is_checked_as_any_other(folder, capsys):
    words = [
        "guideline",
        "extract",
        "g.md",
        "--by",
        "hand",
        "--output",
        "new.yaml",
        "--types",
        "Disease",
        "Thing",
    ]
    assert main(words) == 0
    assert "note: Thing: no canonical type" in capsys.readouterr().err
    assert "Do not mark organisms.\n" in (folder / "new.yaml").read_text("utf-8")
    assert main(["guideline", "check", "new.yaml"]) == 0


def test_a_guideline_in_the_folder_of_guidelines_is_named_below_it(folder, monkeypatch):
    (folder / "all" / "one").mkdir(parents=True)
    (folder / "all" / "one" / "g.md").write_text(TEXT, encoding="utf-8")
    monkeypatch.setenv("VANER_GUIDELINES", "all")
    words = [
        "guideline",
        "extract",
        "all/one/g.md",
        "--by",
        "hand",
        "--output",
        "new.yaml",
        "--types",
        "Disease",
    ]
    assert main(words) == 0
    assert (
        yaml.safe_load((folder / "new.yaml").read_text("utf-8"))["guidelines"]["guideline"]["file"]
        == "one/g.md"
    )
