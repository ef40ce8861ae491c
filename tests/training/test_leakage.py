"""In: an index with planted names, corpora whose dev and test have them. Out: none is ever drawn, and the counts."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from vaner.corpora.registry import read_registry
from vaner.document import Document
from vaner.errors import VanerError
from vaner.files import shipped
from vaner.inputs.features import Tokenisation
from vaner.inputs.instructions import Template
from vaner.knowledge import Rules, build, key_of, normalise
from vaner.report import Report
from vaner.training import gathering
from vaner.training.arguments import DataArguments, KnowledgeArguments
from vaner.training.drawing import Drawing
from vaner.training.gathering import gather, gather_names
from vaner.training.leakage import Gate, gate, keys_by_type, keys_of
from vaner.training.mixture import Mixture
from vaner.vocabularies.terms import Term

# (text, its mentions) of each split of two corpora. What training has in common with dev and test is one mention.
SPLITS = {
    "train": [
        ("He had hepatic flurosis and a bad cold.", {"hepatic flurosis": "Disease"}),
        ("They saw ocular flurosis after velomide .", {"ocular flurosis": "Disease", "velomide": "Chemical"}),
    ],
    "dev": [
        ("A case of Cardiac-Flurosis was seen.", {"Cardiac-Flurosis": "Disease"}),
        ("Hepatic flurosis again.", {"Hepatic flurosis": "Disease"}),
    ],
    "test": [
        ("The renal-flurosis of rats.", {"renal-flurosis": "Disease"}),
        ("It was velomide sulphate; the skeletal flurosis came.", {"velomide sulphate": "Chemical"}),
    ],
}
HELD_OUT = {"train": [("He ate.", {})], "test": [("Much velomide oxide.", {"velomide oxide": "Chemical"})]}

TERMS = [
    *(Term(f"D{i}", name, ("Disease",), True) for i, name in enumerate(
        ["hepatic flurosis", "renal flurosis", "Renal Flurosis", "cardiac flurosis", "pulmonary flurosis",
         "skeletal flurosis", "flurosis of the nail", "Flurosis, Renal", "Flurosis, Pulmonary"]
    )),
    *(Term(f"C{i}", name, ("Chemical",), True) for i, name in enumerate(
        ["velomide", "Velomide Sulphate", "velomide oxide", "velomide chloride"]
    )),
    # Of another type than dev has it: a negative, but it gives the mention away all the same.
    Term("G1", "CARDIAC FLUROSIS", ("Gene",), True),
]  # fmt: skip
PLANTED = {"renal flurosis", "cardiac flurosis", "velomide sulphate"}
INVERTED = "flurosis , renal"


def jsonl(documents, split: str) -> str:
    lines = []
    for number, (text, mentions) in enumerate(documents):
        spans = [
            {"start": text.index(m), "end": text.index(m) + len(m), "type": type, "text": m}
            for m, type in mentions.items()
        ]
        lines.append(json.dumps({"id": f"{split}{number}", "text": text, "spans": spans}) + "\n")
    return "".join(lines)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder of two corpora, ``a`` and ``b``; ``c`` is registered and not there."""
    entries = {}
    for name, splits in {"a": SPLITS, "b": HELD_OUT, "c": {"train": [], "test": []}}.items():
        for split, documents in splits.items():
            if name != "c":
                (tmp_path / f"{name}-{split}.jsonl").write_text(jsonl(documents, split))
        entries[name] = {
            "format": "jsonl",
            "files": {split: [f"{name}-{split}.jsonl"] for split in splits},
            "types": {"Chemical": "Chemical", "Disease": "Disease"},
            "instruction_name": name,
            "granularity": "abstract",
            "licence": "none",
            "citation": "none",
            "url": "none",
        }
    (tmp_path / "corpora.yaml").write_text(yaml.safe_dump({"corpora": entries}))
    monkeypatch.setattr(gathering, "all_corpora", lambda _: read_registry(tmp_path / "corpora.yaml"))
    return tmp_path


@pytest.fixture
def index(tmp_path):
    build(tmp_path / "kb.idx", [({"name": "planted"}, TERMS)], Rules.load(shipped("kb")), Report())
    return tmp_path / "kb.idx"


def drawn_forms(root, index, tokenizer, leakage: str, style: str, **data) -> tuple[set[str], Gate, Mixture]:
    """Normal forms of all words of twelve epochs' rows of names, mention by mention."""
    arguments = DataArguments(mix=["a"], data_root=str(root), **data)
    knowledge = KnowledgeArguments(kb=str(index), kb_ratio=3, kb_style=style, kb_leakage=leakage)
    gathered = gather(arguments, seed=1)
    names, found = gather_names(knowledge, gathered, arguments, 96)
    words = Tokenisation(tokenizer, 400)
    mixture = Mixture(
        gathered.sources, words, Template(), Drawing(), batch_tokens=900, epochs=1, seed=1, names=names
    )
    rows = [d for epoch in range(12) for d in mixture.draws(epoch) if type(d).__name__ == "Example"]
    assert len(rows) > 30
    text = {f" {normalise(' '.join(row.words))} " for row in rows}
    forms = {normalise(t.name) for t in TERMS}
    return {form for form in forms if any(f" {form} " in t for t in text)}, found, mixture


@pytest.mark.parametrize("style", ["names", "replacement", "both"])
def test_a_planted_name_is_never_drawn(root, index, tiny_tokenizer, style):
    drawn, found, mixture = drawn_forms(root, index, tiny_tokenizer, "drop", style)
    assert drawn & {"pulmonary flurosis", "flurosis of the nail", "velomide chloride"}, "others are"
    assert not drawn & (PLANTED | {INVERTED})
    assert "flurosis , pulmonary" in drawn
    assert not {normalise(name) for name in mixture.names.names()} & PLANTED
    assert found.keys == {key_of(name) for name in PLANTED}


@pytest.mark.parametrize("leakage", ["off", "report"])
@pytest.mark.parametrize("style", ["names", "replacement"])
def test_without_the_gate_planted_names_are_drawn(root, index, tiny_tokenizer, leakage, style):
    drawn, found, _ = drawn_forms(root, index, tiny_tokenizer, leakage, style)
    assert PLANTED | {INVERTED} <= drawn
    assert not found.keys


def test_held_out_corpora_are_looked_at_too(root, index, tiny_tokenizer):
    assert "velomide oxide" in drawn_forms(root, index, tiny_tokenizer, "drop", "names")[0]
    assert (
        "velomide oxide" not in drawn_forms(root, index, tiny_tokenizer, "drop", "names", held_out=["b"])[0]
    )


def test_the_report_counts_by_corpus_and_type(root, index, tiny_tokenizer):
    _, found, _ = drawn_forms(root, index, tiny_tokenizer, "drop", "names", held_out=["b", "c"])
    record = found.record()
    json.dumps(record)
    assert record["mode"] == "drop" and record["dropped"] == 4
    assert record["held_out_mentions"] == {
        "a": {
            "Chemical": {"only_in_dev_or_test": 1, "in_index": 1, "names_in_index": 1},
            # Two spellings of renal flurosis (its inverted form is another name), two of cardiac flurosis.
            "Disease": {"only_in_dev_or_test": 2, "in_index": 2, "names_in_index": 4},
        },
        "b": {"Chemical": {"only_in_dev_or_test": 1, "in_index": 1, "names_in_index": 1}},
    }
    assert record["unread"] == ["c test"]
    said = "\n".join(found.lines())
    assert (
        "a: 2 of 2 Disease mentions" in said and "(4 names): dropped" in said and "no files of c test" in said
    )
    # Hashes and counts only.
    assert not any(name.split()[0].lower() in (said + json.dumps(record)).lower() for name in PLANTED)


def test_report_says_that_nothing_is_dropped(root, index, tiny_tokenizer):
    _, found, _ = drawn_forms(root, index, tiny_tokenizer, "report", "names")
    assert "found, NOT dropped" in found.lines()[0] and found.record()["dropped"] == 0
    assert found.record()["held_out_mentions"]["a"]["Disease"]["in_index"] == 2


def test_off_opens_no_held_out_file(root, index):
    for split in ("dev", "test"):
        (root / f"a-{split}.jsonl").write_text("{broken\n")
    arguments = DataArguments(mix=["a"], data_root=str(root), drop_overlap=False, on_error="skip")
    gathered = gather(arguments, seed=1)
    _, found = gather_names(
        KnowledgeArguments(kb=str(index), kb_ratio=0.5, kb_leakage="off"), gathered, arguments, 96
    )
    assert found.mode == "off" and not found.found and "off" in found.lines()[0]


def test_a_split_that_is_trained_on_holds_nothing_out(root, index):
    arguments = DataArguments(mix=["a"], data_root=str(root), train_splits=["train", "dev"])
    gathered = gather(arguments, seed=1)
    _, found = gather_names(KnowledgeArguments(kb=str(index), kb_ratio=0.5), gathered, arguments, 96)
    assert found.keys == {key_of("renal flurosis"), key_of("velomide sulphate")}


def test_seen_means_annotated_with_the_same_type(index, root):
    corpus = read_registry(root / "corpora.yaml")["a"]
    text = "renal flurosis"
    kb = build(index, [({"name": "planted"}, TERMS)], Rules.load(shipped("kb")), Report())

    def dropped(type: str) -> bool:
        document = Document("d", text)
        document = document.with_spans([document.span(0, len(text), type)])
        return key_of(text) in gate(kb, [document], [(corpus, "test")], root).keys

    assert not dropped("Disease")
    assert dropped("Chemical")


def test_an_unknown_mode_is_refused(index):
    with pytest.raises(VanerError, match="--kb_leakage maybe: choose drop, report, off"):
        gate(None, [], [], None, "maybe")


@given(st.lists(st.text(max_size=20), max_size=8))
def test_keys_of_many_are_the_keys_of_each(names):
    assert keys_of(names).tolist() == [key_of(name) for name in names]


def test_keys_by_type_are_by_type_and_normal_form():
    document = Document("d", "TNF-alpha and tnf alpha ; --")
    spans = [document.span(0, 9, "Gene"), document.span(14, 23, "Gene"), document.span(0, 9, "Chemical")]
    keys = frozenset([key_of("TNF alpha")])
    assert keys_by_type([document.with_spans(spans)]) == {"Gene": keys, "Chemical": keys}
