"""The benchmark of lookups: reading once gives the same as reading again, removed names are gone, pairs are pairs."""

from __future__ import annotations

import dataclasses
import json
import sys

import numpy as np
import pytest
import torch

from tests.model.test_network import build
from vaner.corpora.registry import read_registry
from vaner.document import Document
from vaner.errors import VanerError
from vaner.knowledge import DictionaryTagger
from vaner.tagging.labeler import Vaner
from vaner.vocabularies.terms import Term


@pytest.fixture
def documents() -> list[Document]:
    return list(read_registry()["bc5cdr-sample"].documents("dev"))


@pytest.fixture
def index(make_kb, documents):
    """Every second mention of the documents, as names."""
    texts = sorted({(span.text, span.type) for one in documents for span in one.spans})[::2]
    return make_kb(
        [Term(f"N{i}", text, (type,), True) for i, (text, type) in enumerate(texts)], name="half.idx"
    )


@pytest.fixture
def model(tiny_backbones):
    """A random model that reads lookups and marks about as much as a trained one."""
    model = build(tiny_backbones["llama"], attention="prefix", max_words=40)
    model.settings = dataclasses.replace(
        model.settings, datasets={"bc5cdr": ["Chemical", "Disease"]}, lookups={"names": {}}
    )
    model.read_lookups()
    with torch.no_grad():
        model.head.word_bias.bias.copy_(torch.tensor([0.6, 0.0, 0.0]))
        model.head.lookups.out.weight.normal_(generator=torch.Generator().manual_seed(1))
    # Merged, as it is loaded for tagging.
    return model.merge().eval()


# --- a backbone that reads once ---


def test_what_is_remembered_of_a_backbone_is_what_it_reads(
    benchmark, model, tiny_tokenizer, documents, index
):
    reread = benchmark("reread")
    ways = {"none": Vaner(model, tiny_tokenizer, kb="none"), "index": Vaner(model, tiny_tokenizer, kb=index)}
    types = ["Chemical", "Disease"]

    def tag():
        return {
            name: [one.spans for one in tagger.tag_documents(reread.bare(documents), types, "bc5cdr")]
            for name, tagger in ways.items()
        }

    plain = tag()
    assert plain["none"] != plain["index"]
    assert model.reuses_instructions
    with reread.ReadOnce(model) as once:
        assert model.reuses_instructions, "read by the same path as always"
        assert tag() == plain
        assert once.passes and once.saved == once.passes, "the second tagger read nothing"
        reread.check(once, ways, documents[:2], types, None)
        once.forget()
        before = once.passes
        assert tag() == plain and once.passes > before
    assert "forward" not in model.backbone.__dict__ and tag() == plain


def test_another_instruction_is_read_again(benchmark, model, tiny_tokenizer, documents):
    reread = benchmark("reread")
    tagger = Vaner(model, tiny_tokenizer, kb="none")

    def tag(types, dataset=None):
        return [one.spans for one in tagger.tag_documents(reread.bare(documents), types, dataset)]

    # The last two have as many tokens, so nothing but the instruction itself tells their texts apart.
    asked = [(["Disease"], "bc5cdr"), (["Chemical", "Disease"], None), (["Disease", "Chemical"], None)]
    plain = [tag(*one) for one in asked]
    with reread.ReadOnce(model):
        assert [tag(*one) for one in asked] == plain


def test_a_backbone_that_remembers_wrongly_is_found_out(
    benchmark, model, tiny_tokenizer, documents, monkeypatch
):
    reread = benchmark("reread")
    # As if batches of another instruction were the same.
    monkeypatch.setattr(reread, "_key", lambda given: str(tuple(given["input_ids"].shape)).encode())
    tagger = Vaner(model, tiny_tokenizer, kb="none", batch_tokens=200)
    with reread.ReadOnce(model) as once, pytest.raises(VanerError, match="none: what is remembered"):
        reread.check(once, {"none": tagger}, documents, ["Disease", "Chemical"], None)


# --- indexes with fewer names ---


def marked(kb, text):
    return [(span.text, span.type) for span in DictionaryTagger(kb)(text)]


def test_an_index_built_anew_from_its_names_finds_the_same(benchmark, kb, tmp_path):
    thinned = benchmark("thinned")
    again = thinned.thinned(kb, np.ones(len(kb), dtype=bool), tmp_path / "again.idx")
    text = (
        "TNF-alpha in breast cancers, Acute Abdomen; CAT, cat and catalase, 12 was insulin. Abdomen, acute."
    )
    assert marked(again, text) == marked(kb, text)
    assert {n.text for n in again.names()} == {n.text for n in kb.names()}
    one, other = again.lookup("breast cancer")[0], kb.lookup("breast cancer")[0]
    assert [(c.id, c.preferred_name) for c in one.concepts] == [
        (c.id, c.preferred_name) for c in other.concepts
    ]


def test_names_that_are_removed_are_gone_in_every_spelling(benchmark, kb, tmp_path):
    thinned = benchmark("thinned")
    forms = thinned.normal_forms(kb)
    gone = ["acute abdomen", "tnf α", "Insulin"]
    fewer = thinned.thinned(kb, thinned.without(forms, gone), tmp_path / "fewer.idx")
    # "Abdomen, Acute" stays, and must not bring "Acute Abdomen" back.
    assert marked(kb, "Acute abdomen, TNF-alpha, insulin; TNF, abdomen, acute")[:2] == [
        ("Acute abdomen", "Disease"),
        ("TNF-alpha", "Gene"),
    ]
    assert marked(fewer, "Acute abdomen, TNF-alpha, insulin; TNF") == [("TNF", "Gene"), ("TNF", "Gene")]
    assert not any(fewer.lookup(name) for name in gone) and fewer.lookup("Abdomen, Acute")


def test_a_share_of_the_names_is_drawn_by_normal_form(benchmark):
    thinned = benchmark("thinned")
    forms = [f"name {number // 2}" for number in range(400)]
    keep = thinned.at_random(forms, 0.1, seed=0)
    assert keep.sum() == 40 and (keep[::2] == keep[1::2]).all()
    assert (keep == thinned.at_random(forms, 0.1, seed=0)).all()
    assert (keep != thinned.at_random(forms, 0.1, seed=1)).any()


# --- pairs ---


def counts(*seeds):
    """Counts of `all` mentions; seen and unseen ones as many."""
    return np.repeat(np.array(seeds)[:, :, None], 3, axis=2)


def test_means_and_differences_of_a_case_by_hand(benchmark):
    paired = benchmark("paired")
    # Two seeds, two documents of 2 and 4 gold mentions: hits, predicted, gold.
    ours = {"x": counts([[2, 2, 2], [2, 4, 4]], [[2, 2, 2], [4, 4, 4]])}
    base = {"x": counts([[1, 2, 2], [2, 4, 4]], [[1, 2, 2], [3, 4, 4]])}
    found = paired.summary(ours, 100)
    assert found["f1"]["seeds"] == pytest.approx([2 / 3, 1.0])
    less = paired.difference(ours, base, 400)["unseen_f1"]
    assert less["seeds"] == pytest.approx([4 / 6 - 3 / 6, 1 - 4 / 6]) and less["mean"] == pytest.approx(1 / 4)
    # No draw of documents is worse than the base, for none of them is: pairs, not two draws.
    low, high = less["drawn"]
    assert 0 <= low < less["mean"] < high <= 1 / 2 + 1e-9
    assert paired.difference(ours, ours, 50)["f1"]["drawn"] == [0, 0]


def test_what_two_have_in_common_is_no_part_of_the_interval(benchmark):
    paired = benchmark("paired")

    def found(*seeds):
        return {"x": counts(*([[hits, 10, 10] for hits in one] for one in seeds))}

    # Documents and seeds differ by far more than the two systems, which differ by one mention of ten everywhere.
    ours, base = found([10, 1, 8], [6, 3, 9]), found([9, 0, 7], [5, 2, 8])
    assert paired.difference(ours, base, 100)["f1"]["drawn"] == pytest.approx([0.1, 0.1])


def test_a_single_seed_stands_beside_each_and_nothing_to_score_is_none(benchmark):
    paired = benchmark("paired")
    many = {"x": counts([[1, 2, 2]], [[2, 2, 2]])}
    alone = {"x": counts([[2, 2, 2]])}
    assert paired.difference(alone, many, 10)["f1"]["seeds"] == pytest.approx([0.5, 0.0])
    none = {"x": counts([[0, 0, 0]])}
    assert paired.summary(none, 10)["f1"] == {"mean": None, "seeds": [], "interval": None, "drawn": None}


# --- the whole script ---


def test_a_dictionary_serves_types_by_the_names_of_others(benchmark, kb):
    script = benchmark("lookups")
    text = "breast cancer of the breast, TNF"
    served = script.Served(kb, {"Body": ["Anatomy", "Disease"]})
    (found,) = served.tag_documents([Document("d", text)], ["Body", "Gene", "Nothing"])
    assert [(s.text, s.type) for s in found.spans] == [
        ("breast cancer", "Body"),
        ("breast", "Body"),
        ("TNF", "Gene"),
    ]


def test_runs_are_scored_once_and_compared(
    benchmark, model, tiny_tokenizer, index, tmp_path, monkeypatch, capsys
):
    script = benchmark("lookups")
    runs = tmp_path / "runs"
    for name in ("none-1", "look-1"):
        saved = dataclasses.replace(
            model.settings, lookups=model.settings.lookups if name == "look-1" else {}
        )
        model.settings, before = saved, model.settings
        head = model.head.lookups
        if name == "none-1":
            model.head.lookups = None
        model.save_pretrained(runs / name, tiny_tokenizer)
        model.settings, model.head.lookups = before, head
        (runs / name / "run.json").write_text(json.dumps({"name": name}))
    monkeypatch.setattr(script, "ASKED", {"bc5cdr-sample": ["Chemical", "Disease"]})
    monkeypatch.setattr(script, "LISTED", [("bc2gm-sample", "Gene")])
    config = tmp_path / "mix.yaml"
    config.write_text("mix: {bc2gm-sample: 1}\n")
    out = tmp_path / "out.json"
    words = ["--kb", str(index.path), "--config", str(config), "--runs", str(runs), "--documents", "4"]
    words += ["--scores", str(tmp_path / "scores"), "--json", str(out), "--samples", "50"]

    def run():
        monkeypatch.setattr(sys, "argv", ["lookups.py", *words])
        script.main()
        return json.loads(out.read_text()), capsys.readouterr()

    found, said = run()
    rows = {(one["arm"], one["way"], one["question"]): one for one in found["results"]}
    ways = {(arm, way) for arm, way, question in rows if question == "bc5cdr-sample"}
    assert ways == {
        ("none", "none"),
        *(("look", way) for way in script.WAYS),
        *(("dictionary", way) for way in ("index", "tenth", "removed")),
    }
    assert ("look", "none", "bc2gm-sample Gene") in rows
    # The head alone tells them apart: without an index both score the same.
    assert rows["look", "none", "bc5cdr-sample"]["difference"]["f1"]["mean"] == 0
    assert rows["look", "index", "bc5cdr-sample"]["difference"]["f1"]["mean"] != 0
    assert "look-1: tagging" in said.err and "| look" in said.out
    # All names are mentions of the documents, and none is seen.
    assert rows["dictionary", "index", "bc5cdr-sample"]["scores"]["unseen_recall"]["mean"] > 0.2
    assert rows["dictionary", "removed", "bc5cdr-sample"]["scores"]["f1"]["mean"] < 0.1
    again, said = run()
    assert again["results"] == found["results"] and "tagging" not in said.err


def test_what_cannot_be_compared_is_said(benchmark, index, tmp_path, monkeypatch):
    script = benchmark("lookups")
    for words, message in (
        (["--kb", "none"], "lookups need an index"),
        (["--kb", str(index.path), "--documents", "few"], "write a number, or CORPUS=NUMBER"),
        (["--kb", str(index.path), "--questions", "craft"], "--questions craft: none of"),
    ):
        monkeypatch.setattr(sys, "argv", ["lookups.py", *words])
        with pytest.raises(VanerError, match=message):
            script.main()
