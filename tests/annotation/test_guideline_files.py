"""In: configs/guidelines/*.yaml. Out: each loads, its quotations are recorded, and stand where the guidelines are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import ROOT
from vaner.annotation.contradictions import contradictions
from vaner.annotation.entries import entries
from vaner.annotation.guideline import at_hand
from vaner.annotation.instructions import Instructions
from vaner.annotation.places import Places, statements
from vaner.corpora.registry import read_registry
from vaner.files import read_yaml

FILES = sorted((ROOT / "configs" / "guidelines").glob("*.yaml"))
# A quotation is a citation while it is short.
MOST_WORDS = 40


def test_there_are_some():
    assert {path.stem for path in FILES} >= {
        "ncbi-disease",
        "bc5cdr",
        "tmvar",
        "s1000",
        "s800",
        "e3c",
        "stringdb-ggp",
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_committed_file_holds_without_its_guideline(path, monkeypatch):
    monkeypatch.delenv("VANER_GUIDELINES", raising=False)
    found = Instructions.load(path)
    assert found.remarks == () and found.types
    written = entries(read_yaml(path), str(path))
    for entry in statements(written):
        assert not entry.quote or entry.verified, f"{entry.where.key} is held back; take its quotation out"
        assert len(entry.quote.split()) <= MOST_WORDS, entry.where.key
    for one in found.guidelines:
        assert one.source and one.licence and one.url and len(one.sha256) == 64
    known = read_registry().types
    for type, said in found.types.items():
        assert type in known
        assert said.definition is not None and said.mark and said.leave and said.boundaries
        assert [one.about for one in contradictions(said)] == []
        assert 300 < len(found.wording([type], "short")) < 4000
    for conflict in found.conflicts:
        assert conflict.follow and all(one.verified for one in conflict.between)
        assert set(conflict.types) <= set(found.types)


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_quotation_of_a_committed_file_stands(path):
    """VANER_GUIDELINES names the folder of the guidelines."""
    folder = os.environ.get("VANER_GUIDELINES")
    if not folder or not Path(folder).is_dir():
        pytest.skip("VANER_GUIDELINES names no folder of guidelines")
    written = entries(read_yaml(path), str(path))
    opened = at_hand(written.guidelines.values(), [Path(folder)])
    if set(opened) != set(written.guidelines):
        pytest.skip(f"{folder} lacks guidelines of {path.stem}")
    places = Places(written, opened, afresh=True)
    standings = places.all()
    assert places.wrong(standings) == []
    recorded = Places(written, {}).all()
    assert [(s.place.start, s.place.end, s.place.page) for s in standings] == [
        (s.place.start, s.place.end, s.place.page) for s in recorded
    ]
    found = Instructions.load(path, folder)
    assert found.hash == Instructions.load(path, path.parent).hash
    if any(one.whole for one in found.guidelines):
        assert len(found.wording(list(found.types), "full")) > 1000


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, corpus, most, of",
    [
        ("ncbi-disease", "ncbi-disease", 2, 5134),
        ("bc5cdr", "bc5cdr", 4, 9385),
        ("s800", "s800", 0, 2557),
        ("tmvar", "tmvar3", 1, 880),
        ("e3c", "e3c", 0, 437),
    ],
)
def test_checks_refuse_hardly_any_gold_mention_of_a_train_split(name, corpus, most, of, corpora_root):
    found = Instructions.load(ROOT / "configs" / "guidelines" / f"{name}.yaml")
    gold = [
        (span.type, span.text)
        for document in read_registry()[corpus].documents("train", corpora_root)
        for span in document.spans
        if span.type in found.types
    ]
    broken = [text for type, text in gold if found.types[type].checks.broken(text)]
    assert (len(broken), len(gold)) == (most, of), broken
