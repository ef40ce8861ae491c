"""Which cells there are, in which order, and what decides each."""

from __future__ import annotations

import json

import pytest

from vaner.errors import VanerError
from vaner.study.cells import FINISHED, named_cell


def names(made):
    return [(one.arm.name, one.corpus, one.seed) for one in made.cells]


def test_arms_by_corpora_by_seeds(opened):
    made = opened(["labels", "forced", "free", "dictionary"], seeds=[1, 2])
    found = names(made)
    assert len(found) == len(set(found)) == 3 * 2 * 2 + 2
    assert [one for one in found if one[0] == "dictionary"] == [
        ("dictionary", "bc5cdr-sample", "-"),
        ("dictionary", "bc2gm-sample", "-"),
    ]
    # A whole seed before the next, so that every arm says something early.
    assert [seed for *_, seed in found if seed != "-"] == ["1"] * 6 + ["2"] * 6
    free = named_cell(made.cells, "free", "bc5cdr-sample", "2")
    forced = named_cell(made.cells, "forced", "bc5cdr-sample", "2")
    assert free.model == forced.model and free.waits_for == forced.path and forced.waits_for is None
    with pytest.raises(VanerError, match="has no cell labels bc5cdr-sample 9"):
        named_cell(made.cells, "labels", "bc5cdr-sample", "9")


def test_a_dictionary_that_has_none_of_a_corpuss_types_is_not_asked(opened):
    made = opened(["dictionary", "labels"], corpora=["bc5cdr-sample", "linnaeus-sample", "bionlp13cg-sample"])
    assert ("dictionary", "bionlp13cg-sample", "-") not in names(made)
    assert ("dictionary", "linnaeus-sample", "-") in names(made)
    assert list(made.folder.load()["left_out"]) == ["dictionary"]
    assert "MultiTissueStructure" in made.folder.load()["left_out"]["dictionary"]["bionlp13cg-sample"]


def test_what_decides_a_cell_is_in_its_hash(opened, arms):
    def hashes(output, **changed):
        made = opened(["labels", "forced", "free"], output, **changed)
        return {
            one.arm.name: one.hash for one in made.cells if one.corpus == "bc5cdr-sample" and one.seed == "1"
        }

    first = hashes("a")
    assert hashes("b") == first, "not where the folder lies"
    assert hashes("c", seeds=[1, 7], corpora=["bc5cdr-sample"]) == first, "not what else is asked"
    assert not set(hashes("d", budget={"updates": 5}).values()) & set(first.values())
    assert not set(hashes("e", documents=1).values()) & set(first.values())
    changed = {**arms, "forced": {**arms["forced"], "flags": {**arms["forced"]["flags"], "lora_r": 8}}}
    other = hashes("f", arms={name: changed[name] for name in ("labels", "forced", "free")})
    assert other["labels"] == first["labels"]
    assert other["forced"] != first["forced"] and other["free"] != first["free"], "its model is another"


def test_a_cell_of_other_settings_is_refused(opened):
    made = opened(["labels"])
    cell = made.cells[0]
    assert cell.finished() is None
    cell.path.mkdir(parents=True)
    (cell.path / FINISHED).write_text(json.dumps({"hash": cell.hash}))
    assert cell.finished() == {"hash": cell.hash}
    (cell.path / FINISHED).write_text(json.dumps({"hash": "other"}))
    with pytest.raises(VanerError, match="other settings of arm labels"):
        cell.finished()
