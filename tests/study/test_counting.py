"""vaner.study.counting: lengths in both ways and tokens by hand; what is broken or missing."""

import json

import pytest

from tests.study.made import make
from vaner.document import Document
from vaner.errors import FormatError, VanerError
from vaner.evaluation.pairing import pair
from vaner.formats import read, write
from vaner.study.counting import TOKEN, count, counted

TEXT = "severe acute kidney failure after lithium and fever"


def document(*mentions):
    built = Document("d", TEXT, types=frozenset({"Disease", "Chemical"}))
    at = [(TEXT.index(surface), surface, type) for surface, type in mentions]
    return built.with_spans(built.span(start, start + len(surface), type) for start, surface, type in at)


def scores(gold, predicted):
    return counted(pair([document(*gold)], [document(*predicted)]), set())


def bins(found, table):
    return {
        name: (found[table, name].hits, found[table, name].predicted, found[table, name].gold)
        for name in ("1", "2", "3+")
    }


def test_a_long_false_positive_hurts_its_own_length_only_when_counted_honestly():
    found = scores([("lithium", "Chemical")], [("lithium", "Chemical"), ("acute kidney failure", "Disease")])
    assert bins(found, "length") == {"1": (1, 1, 1), "2": (0, 0, 0), "3+": (0, 1, 0)}
    assert bins(found, "gold-cut") == {"1": (1, 4, 1), "2": (0, 0, 0), "3+": (0, 0, 0)}


def test_a_border_too_wide_becomes_right_when_cut_at_gold():
    found = scores([("kidney failure", "Disease")], [("acute kidney failure", "Disease")])
    assert bins(found, "length") == {"1": (0, 0, 0), "2": (0, 0, 1), "3+": (0, 1, 0)}
    # Cut at the gold mention, I- I- is a mention of its own; `acute` is a false positive of one word.
    assert bins(found, "gold-cut") == {"1": (0, 1, 0), "2": (1, 1, 1), "3+": (0, 0, 0)}


def test_a_border_too_narrow_is_wrong_in_both_ways_and_in_other_bins():
    found = scores([("acute kidney failure", "Disease")], [("kidney failure", "Disease")])
    assert bins(found, "length") == {"1": (0, 0, 0), "2": (0, 1, 0), "3+": (0, 0, 1)}
    assert bins(found, "gold-cut") == {"1": (0, 0, 0), "2": (0, 0, 0), "3+": (0, 1, 1)}


def test_tokens_count_words_with_their_type():
    found = scores(
        [("acute kidney failure", "Disease"), ("lithium", "Chemical")],
        [("severe acute kidney", "Disease"), ("lithium", "Disease")],
    )
    assert (found[TOKEN].hits, found[TOKEN].predicted, found[TOKEN].gold) == (2, 4, 4)


def test_words_that_touch_a_mention_are_not_under_it():
    text = "a T-cell"
    gold, predicted = (Document("d", text), Document("d", text))
    gold = gold.with_spans([gold.span(2, 3, "Cell")])
    predicted = predicted.with_spans([predicted.span(2, 8, "Cell")])
    found = counted(pair([gold], [predicted]), set())
    assert (found[TOKEN].hits, found[TOKEN].predicted, found[TOKEN].gold) == (1, 3, 1)


def test_a_token_of_two_types_counts_for_each():
    found = scores([("fever", "Disease"), ("fever", "Chemical")], [("fever", "Disease")])
    assert (found[TOKEN].hits, found[TOKEN].predicted, found[TOKEN].gold) == (1, 1, 2)


def test_a_folder_is_counted_cell_by_cell(tmp_path):
    study = count(make(tmp_path / "study", documents=4))
    assert len(study.cells) == 6 * 2 * 2 + 2 * 2 and not study.missing
    assert study.seeds["encoder", "long-names"] == ["1", "2"] and study.seeds["dictionary", "long-names"] == [
        "-"
    ]
    assert study.trained("encoder", "long-names") and not study.trained("llm-prompted", "long-names")
    assert len({cell.scores.documents for cell in study.cells.values()}) == 1


def test_an_arm_that_wrote_no_seeds_was_not_trained(tmp_path):
    folder = make(tmp_path / "study", arms=["encoder"], seeds=(1,), documents=3)
    for corpus in ("short-names", "long-names"):
        (folder / f"cells/encoder/{corpus}/1").rename(folder / f"cells/encoder/{corpus}/-")
    assert count(folder).seeds["encoder", "short-names"] == ["-"]


def test_a_missing_cell_is_said_with_its_reason(tmp_path):
    folder = make(tmp_path / "study", arms=["encoder", "dictionary"], documents=3)
    (folder / "cells/encoder/long-names/2/cell.json").unlink()
    (folder / "cells/encoder/short-names/1/cell.json").unlink()
    (folder / "cells/encoder/short-names/1/failed.json").write_text(
        '{"why": "out of memory", "traceback": null}'
    )
    study = count(folder)
    assert study.missing == {
        ("encoder", "short-names", "1"): "failed: out of memory",
        ("encoder", "long-names", "2"): "not finished",
    }
    assert not study.whole("encoder", ["long-names"]) and study.whole("dictionary", ["long-names"])


def test_what_was_lost_on_the_way_is_said(tmp_path):
    folder = make(tmp_path / "study", arms=["encoder"], corpora=("one",), seeds=(1,), documents=4)
    cell = folder / "cells/encoder/one/1"
    write(cell / "tagged.jsonl", list(read(cell / "tagged.jsonl"))[1:], "jsonl")
    told = json.loads((cell / "cell.json").read_text())
    told["tagging"]["failed"] = 2
    (cell / "cell.json").write_text(json.dumps(told))
    assert count(folder).remarks == [
        "encoder on one: documents that the tagger failed on: 2",
        "encoder on one: documents that were not tagged, their mentions missed: 1",
    ]


@pytest.mark.parametrize(
    "break_it, said",
    [
        (lambda f: (f / "study.json").unlink(), "is no study; run `python -m vaner study"),
        (lambda f: (f / "study.json").write_text('{\n"arms": }'), "study.json:2: not JSON"),
        (lambda f: (f / "study.json").write_text('{"arms": {}}'), '"arms" names none'),
        (lambda f: (f / "gold/one.seen.json").unlink(), "one.seen.json: is missing"),
        (
            lambda f: (f / "cells/encoder/one/1/tagged.jsonl").unlink(),
            "tagged.jsonl: is missing, but cell.json",
        ),
        (lambda f: (f / "cells/encoder/one/1/cell.json").write_text("{"), "cell.json:1: not JSON"),
        (lambda f: (f / "cells/encoder/one/1/cell.json").unlink(), "no cell is finished"),
    ],
)
def test_what_is_broken_is_named(tmp_path, break_it, said):
    folder = make(tmp_path / "study", arms=["encoder"], corpora=("one",), seeds=(1,), documents=2)
    break_it(folder)
    with pytest.raises(VanerError, match=said.replace("(", r"\(")):
        count(folder)


def test_predictions_on_other_texts_are_refused_with_their_file(tmp_path):
    folder = make(tmp_path / "study", arms=["encoder"], corpora=("one",), seeds=(1,), documents=2)
    path = folder / "cells/encoder/one/1/tagged.jsonl"
    write(path, [Document("one-0", "other words"), Document("one-1", "and others")], "jsonl")
    with pytest.raises(VanerError, match=r"tagged\.jsonl: document one-0: gold and predicted text differ"):
        count(folder)


def test_a_line_that_is_no_document_is_named_with_its_place(tmp_path):
    folder = make(tmp_path / "study", arms=["encoder"], corpora=("one",), seeds=(1,), documents=2)
    (folder / "cells/encoder/one/1/tagged.jsonl").write_text('{"id": "one-0"}\n')
    with pytest.raises(FormatError, match=r"tagged\.jsonl:1"):
        count(folder)


def test_an_arm_that_is_not_asked_about_a_corpus_has_no_cells_there(tmp_path):
    folder = make(tmp_path / "study", arms=["encoder", "dictionary"], documents=3)
    (folder / "cells/dictionary/long-names/-/cell.json").unlink()
    told = json.loads((folder / "study.json").read_text())
    told["left_out"] = {"dictionary": {"long-names": "its index has none of Chemical, Disease"}}
    (folder / "study.json").write_text(json.dumps(told))
    study = count(folder)
    assert not study.missing and study.seeds["dictionary", "long-names"] == []
    assert study.whole("dictionary", ["short-names"]) and not study.whole("dictionary", study.corpora)
