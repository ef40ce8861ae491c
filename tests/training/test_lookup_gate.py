"""In: an index for lookups, corpora. Out: a list of test mentions in it is refused; what it covers is recorded."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest
import yaml

from vaner.cli import main
from vaner.corpora.registry import read_registry
from vaner.errors import VanerError
from vaner.files import shipped
from vaner.knowledge import Rules, build
from vaner.model import card
from vaner.model.config import ModelConfig
from vaner.report import Report
from vaner.training import gathering
from vaner.training.arguments import DataArguments, KnowledgeArguments
from vaner.training.gathering import gate_of_lookups, gather
from vaner.training.leakage import LookupGate, gate_lookups
from vaner.training.record import lookups_record
from vaner.vocabularies.terms import Term

SIZES = {"train": 120, "dev": 40, "test": 40}


def document(split: str, number: int) -> dict:
    """One mention that no other document has and, in every second one, one that many have."""
    parts = [f"{split}itis {number}", "common fever"][: 1 + number % 2]
    text, spans = "", []
    for part in parts:
        spans.append({"start": len(text), "end": len(text) + len(part), "type": "Disease", "text": part})
        text += f"{part}; "
    return {"id": f"{split}{number}", "text": text, "spans": spans}


def own(split: str) -> list[str]:
    return [f"{split}itis {number}" for number in range(SIZES[split])]


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder with the corpus ``c``."""
    for split, size in SIZES.items():
        lines = [json.dumps(document(split, number)) + "\n" for number in range(size)]
        (tmp_path / f"{split}.jsonl").write_text("".join(lines))
    entry = {
        "format": "jsonl",
        "files": {split: [f"{split}.jsonl"] for split in SIZES},
        "types": {"Disease": "Disease"},
        "granularity": "abstract",
        **dict.fromkeys(["licence", "citation", "url"], "none"),
    }
    (tmp_path / "corpora.yaml").write_text(yaml.safe_dump({"corpora": {"c": entry}}))
    monkeypatch.setattr(gathering, "all_corpora", lambda _: read_registry(tmp_path / "corpora.yaml"))
    return tmp_path


def index(root, planted: list[str]):
    """A quarter of every split's mentions, ``common fever`` and 2,000 other names; and a vocabulary beside it."""
    honest = [name for split in SIZES for name in own(split)[::4]] + ["common fever"]
    honest += [f"elsewhere {number} disorder" for number in range(2000)]
    lists = {"honest": honest, **({"added.tsv": planted} if planted else {})}
    terms = [
        ({"name": name}, [Term("", n, ("Disease",), True) for n in names]) for name, names in lists.items()
    ]
    return build(root / "kb.idx", terms, Rules.load(shipped("kb")), Report())


def gated(root, kb, leakage: str = "drop", **data) -> LookupGate:
    arguments = DataArguments(mix=["c"], data_root=str(root), **data)
    knowledge = KnowledgeArguments(kb=str(kb.path), kb_lookups=True, kb_leakage=leakage)
    return gate_of_lookups(kb, knowledge, gather(arguments, seed=1), arguments)


@pytest.mark.parametrize("split", ["dev", "test"])
def test_an_index_with_a_planted_list_is_refused(root, split):
    kb = index(root, own(split) + [f"other {number} disorder" for number in range(100)])
    with pytest.raises(VanerError) as raised:
        gated(root, kb)
    said = str(raised.value)
    assert f"vocabulary added.tsv looks made from c {split}" in said and "Disease" in said
    assert "40 of 40" in said and "--kb_leakage report" in said and "\n" not in said
    assert "itis" not in said


def test_report_says_so_and_goes_on(root):
    gate = gated(root, index(root, own("test")), "report")
    assert any("added.tsv looks made from c" in line and "all the same" in line for line in gate.lines())
    assert any("added.tsv" in suspect for suspect in gate.record()["suspects"])


def test_an_honest_index_passes_and_what_it_covers_is_counted(root):
    gate = gated(root, index(root, []))
    assert not gate.suspects
    found = {one.split: one for one in gate.covered}
    assert found["train"].all.mentions == 180 and found["train"].all.mentions_as_type == 30 + 60
    assert found["test"].seen.mentions == found["test"].seen.mentions_as_type == 20
    assert found["test"].unseen.mentions == 40 and found["test"].unseen.mentions_as_type == 10
    assert gate.lines()[-1] == (
        "lookups: c test: the index has 30 of 60 Disease mentions, 10 of the 40 unseen in training"
    )
    record = json.dumps(gate.record())
    assert "itis" not in record and "fever" not in record


@pytest.mark.parametrize("how", [{"leakage": "off"}, {"open_held_out": False}])
def test_off_opens_no_held_out_file(root, how):
    kb = index(root, own("test"))
    (root / "test.jsonl").write_text("{broken\n")
    gate = gated(root, kb, drop_overlap=False, **how)
    assert gate == LookupGate() and "not counted" in gate.lines()[0]
    text = card.render(_settings(kb, gate))
    assert card.COVERAGE_HEADING in text and "was not counted" in text


def test_splits_without_files_are_named(root):
    (root / "test.jsonl").unlink()
    gate = gated(root, index(root, []))
    assert gate.unread == ("c test",) and "c test" in gate.lines()[-1]


def test_documents_held_back_for_dev_are_counted(root):
    kb, corpus = index(root, []), read_registry(root / "corpora.yaml")["c"]
    held_back = {"own": corpus.documents("dev", root)}
    gate = gate_lookups(kb, {"own": corpus.documents("train", root)}, [], root, held_back=held_back)
    assert [(one.corpus, one.split, one.unseen.mentions) for one in gate.covered] == [
        ("own", "train", 0),
        ("own", "dev", 40),
    ]


def test_an_unknown_mode_is_refused():
    with pytest.raises(VanerError, match="--kb_leakage maybe: choose drop, report, off"):
        gate_lookups(None, {}, [], None, "maybe")


def test_the_card_has_the_table(root):
    kb = index(root, [])
    text = card.render(_settings(kb, gated(root, kb)))
    section = text.split(card.COVERAGE_HEADING)[1].split("\n## ")[0]
    assert "| c | test | Disease | 60 | 50.0 (50.0) | 40 | 25.0 (25.0) |" in section
    assert "| c | train | Disease | 180 | 50.0 (50.0) | 0 | - (-) |" in section
    assert card.COVERAGE_HEADING not in card.render(ModelConfig(types=["Disease"]))


def _settings(kb, gate: LookupGate) -> ModelConfig:
    record = json.loads(json.dumps(lookups_record(kb.path, gate)))
    return dataclasses.replace(ModelConfig(types=["Disease"]), training={"lookups": record})


def test_the_command_counts_and_names_the_planted_list(root, capsys, tmp_path):
    registry = ["--registry", str(root / "corpora.yaml"), "--data_root", str(root)]
    kb = index(root, own("test"))
    path = tmp_path / "counts.json"
    assert main(["kb", "coverage", str(kb.path), "--corpus", "c", "--json", str(path), *registry]) == 1
    out = capsys.readouterr().out
    assert "vocabulary added.tsv looks made from c test" in out
    (row,) = [line.split() for line in out.splitlines() if re.match(r"c +test +Disease", line)]
    assert row == ["c", "test", "Disease", "60", "100.0", "100.0", "40", "100.0", "100.0"]
    counts = json.loads(path.read_text())
    assert counts["index"] == kb.fingerprint and len(counts["covered"]) == 3 and counts["suspects"]
    assert "itis" not in path.read_text()
    kb = index(root, own("test"))
    closed = ["--splits", "train", "dev"]
    assert main(["kb", "coverage", str(kb.path), "--corpus", "c", *closed, *registry]) == 0
    assert "no vocabulary of the index looks made" in capsys.readouterr().out
    assert main(["kb", "coverage", str(kb.path), "--corpus", "c", "--splits", "tset", *registry]) == 2
    assert "--splits tset" in capsys.readouterr().err
