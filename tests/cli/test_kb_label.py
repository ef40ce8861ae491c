"""python -m vaner kb label: raw text becomes a corpus that training asks in part and that chooses no model."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.conftest import ROOT
from tests.tagging.words import Words
from vaner.cli import main
from vaner.corpora import own
from vaner.corpora.own import corpus_of
from vaner.corpora.registry import read_registry
from vaner.errors import VanerError
from vaner.formats import read
from vaner.inputs.features import Tokenisation
from vaner.inputs.instructions import Template
from vaner.provenance import DISTANT, TAGGED_BY
from vaner.tagging import loading
from vaner.training import gathering
from vaner.training.arguments import DataArguments
from vaner.training.drawing import Drawing
from vaner.training.gathering import gather
from vaner.training.mixture import Mixture

KNOWN = {
    "breast cancer": ("Disease", 0.9),
    "TNF-alpha": ("Gene", 0.9),
    "insulin": ("Chemical", 0.9),
    "stroke": ("Disease", 0.99),
    "p99": ("Variant", 0.9),
}
TEXTS = [
    {"id": "11111111", "title": "TNF-alpha in breast cancer", "text": "Insulin and insulin were given."},
    {
        "id": "b",
        "text": "A stroke was seen by seven careful doctors. It was breast cancer.",
        "licence": "CC BY",
    },
    {"id": "c", "text": "Seven doctors did nothing at all today."},
]


@pytest.fixture
def confirming(monkeypatch):
    """Makes ``words:`` the name of a model that knows these words; the indexes that it was to look words up in."""
    given = []

    def words(name, batch_tokens=None, kb=None):
        given.append(kb)
        return Words(KNOWN, ahead=2)

    monkeypatch.setattr(loading, "_LOADERS", dict(loading._LOADERS))
    loading.register("words", words)
    return given


@pytest.fixture
def raw(tmp_path):
    path = tmp_path / "raw.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in TEXTS))
    return path


@pytest.fixture
def label(kb, raw, confirming, tmp_path):
    """Runs the command on the raw texts; the file that it wrote."""

    def run(*more: str, output: str = "distant.jsonl"):
        words = ["--model", "words:m", "--kb", str(tmp_path / "kb.idx"), "--output", str(tmp_path / output)]
        return main(["kb", "label", *words, *(more if "--input" in more else ["--input", str(raw), *more])])

    return run


def records(path) -> dict[str, dict]:
    return {record["id"]: record for record in map(json.loads, path.read_text().splitlines())}


def test_the_corpus_has_sentences_types_and_origin(label, tmp_path, capsys):
    assert label("--negatives", "1") == 0
    found = records(tmp_path / "distant.jsonl")
    assert {id: ([s["text"] for s in r["spans"]], r["types"]) for id, r in found.items()} == {
        "raw/11111111:0": (["TNF-alpha", "breast cancer"], ["Chemical", "Disease", "Gene"]),
        # One of the two is found by the dictionary alone, which has insulin as a gene, too.
        "raw/11111111:27": ([], ["Disease"]),
        # A stroke is none of the index.
        "raw/b:0": ([], ["Chemical", "Gene"]),
        "raw/b:44": (["breast cancer"], ["Chemical", "Disease", "Gene"]),
        "raw/c:0": ([], ["Chemical", "Disease", "Gene"]),
    }
    assert found["raw/11111111:0"]["metadata"]["pmid"] == "11111111"
    told = found["raw/b:44"]["metadata"]
    assert told["licence"] == "CC BY" and told[DISTANT] == {"source": "raw", "document": "b", "start": 44}
    assert told[TAGGED_BY]["model"] == "words:m + kb:kb.idx" and told[TAGGED_BY]["least"] == "0.8"
    assert len(told[TAGGED_BY]["model_hash"].split(" + ")[1]) == 16
    err = capsys.readouterr().err
    assert "note: the index has no name of Variant; nothing is taught of them" in err
    told = "of Chemical only absence is taught; leave out with --types, or by train.py --type_map Chemical=\n"
    assert f"note: {told}" in err
    assert "3 documents, 5 sentences, of which 5 teach something" in err


def test_flags_change_what_is_taught(label, tmp_path):
    assert label("--types", "Disease", "--sure", "0.95", "--negatives", "0") == 0
    found = records(tmp_path / "distant.jsonl")
    assert {id: [s["text"] for s in r["spans"]] for id, r in found.items()} == {
        "raw/11111111:0": ["breast cancer"],
        "raw/b:0": ["stroke"],
        "raw/b:44": ["breast cancer"],
    }
    assert label("--least", "0.95", "--negatives", "0", output="strict.jsonl") == 0
    assert records(tmp_path / "strict.jsonl") == {}


def test_the_same_command_writes_the_same_bytes(label, tmp_path):
    assert label("--negatives", "0.5", "--seed", "3") == 0
    assert label("--negatives", "0.5", "--seed", "3", output="again.jsonl") == 0
    assert (tmp_path / "distant.jsonl").read_bytes() == (tmp_path / "again.jsonl").read_bytes()
    assert label("--negatives", "0.5", "--seed", "4", output="other.jsonl") == 0
    assert (tmp_path / "distant.jsonl").read_bytes() != (tmp_path / "other.jsonl").read_bytes()


def test_a_model_that_can_look_names_up_confirms_without(label, confirming):
    assert label() == 0 and confirming == ["none"]


def test_several_files_have_ids_of_their_own(label, raw, tmp_path, capsys):
    other = tmp_path / "more.jsonl"
    other.write_bytes(raw.read_bytes())
    assert label("--input", str(raw), str(other), "--negatives", "0") == 0
    assert [id.partition("/")[0] for id in records(tmp_path / "distant.jsonl")] == ["raw"] * 2 + ["more"] * 2
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "raw.jsonl").write_bytes(raw.read_bytes())
    assert label("--input", str(raw), str(tmp_path / "b" / "raw.jsonl")) == 2
    assert "ids begin with the files' names, and these are the same" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--kb", "none.idx"], "none.idx: no such index"),
        (["--output", "distant.conll"], "name it distant.jsonl"),
        (["--least", "2"], "--least 2.0: give a number from 0 to 1"),
        (["--types", "Variant"], "--types Variant: the index does not know it"),
        (["--held_out", "nothing"], "unknown corpus 'nothing'"),
        (["--input", "nothing.txt"], "nothing.txt: no such file"),
    ],
)
def test_bad_use_is_one_line(label, words, says, capsys):
    assert label(*words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and says in line


# --- training on it ---


@pytest.fixture
def held(tmp_path, monkeypatch):
    """A registry with one corpus, ``people``, whose dev and test share something with the raw texts."""
    (tmp_path / "people-train.jsonl").write_text(
        "".join(
            json.dumps({"id": f"t{n}", "text": f"Patient {n} had gout.", "spans": [
                {"start": 10 + len(str(n)) + 3, "end": 10 + len(str(n)) + 7, "type": "Disease"}]}) + "\n"
            for n in range(6)
        )
    )  # fmt: skip
    (tmp_path / "people-dev.jsonl").write_text(
        json.dumps({"id": "v", "text": "A stroke was seen by seven careful doctors!"}) + "\n"
    )
    (tmp_path / "people-test.jsonl").write_text(
        json.dumps({"id": "11111111", "text": "Another text."}) + "\n"
    )
    entry = {
        "format": "jsonl",
        "files": {split: [f"people-{split}.jsonl"] for split in ("train", "dev", "test")},
        "types": {"Disease": "Disease"},
        "pmid": r"(\d{8})",
        "granularity": "abstract",
        "licence": "none",
        "citation": "none",
        "url": "none",
    }
    path = tmp_path / "corpora.yaml"
    path.write_text(yaml.safe_dump({"corpora": {"people": entry}}))
    monkeypatch.setattr(gathering, "all_corpora", lambda _: read_registry(path))
    return tmp_path


def gathered(held, **more):
    mix = ["people", f"{held / 'distant.jsonl'}:0.5"]
    return gather(DataArguments(mix=mix, data_root=str(held), **more), seed=1)


def test_training_drops_sentences_of_held_out_documents(label, held):
    assert label("--negatives", "1") == 0
    found = gathered(held)
    # The first two have the PubMed id of a test document, the third is a sentence of dev.
    assert found.dropped == {"people": 0, "distant": 3}
    assert [t.document.id for t in found.sources[1].texts] == ["raw/b:44", "raw/c:0"]
    assert len(gathered(held, drop_overlap=False).sources[1].texts) == 5


def test_labelling_leaves_out_whole_documents_of_held_out_ones(label, held, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("vaner.corpora.registry.read_registry", lambda: own_registry)
    own_registry = read_registry(held / "corpora.yaml")
    assert label("--negatives", "1", "--held_out", "people", "--data_root", str(held)) == 0
    assert list(records(tmp_path / "distant.jsonl")) == ["raw/c:0"]
    assert "note: 2 documents left out: dev or test has them" in capsys.readouterr().err


def test_no_row_asks_for_a_type_that_its_sentence_does_not_settle(label, held, tiny_tokenizer):
    assert label("--negatives", "1") == 0
    found = gathered(held, drop_overlap=False)
    source = found.sources[1]
    assert source.types == ("Chemical", "Disease", "Gene") and source.weight == 0.5
    assert {t.document.id: source.texts.annotated(n) for n, t in enumerate(source.texts)} == {
        "raw/11111111:0": [0, 1, 2],
        "raw/11111111:27": [1],
        "raw/b:0": [0, 2],
        "raw/b:44": [0, 1, 2],
        "raw/c:0": [0, 1, 2],
    }
    source.weight = 1.0
    mixture = Mixture(
        [source], Tokenisation(tiny_tokenizer, 200), Template(), Drawing(drop_dataset=0.0),
        batch_tokens=500, epochs=20, seed=1,
    )  # fmt: skip
    draws = [draw for epoch in range(20) for draw in mixture.draws(epoch)]
    of_stroke = {type for draw in draws if draw.text == 2 for type in draw.types}
    assert of_stroke == {"Chemical", "Gene"}, "Disease is not asked of the sentence with the stroke"
    assert {draw.dataset for draw in draws} == {None}, "no guideline made these labels"


def test_no_instruction_names_it_and_none_of_it_chooses_the_model(label, held):
    assert label("--negatives", "1") == 0
    found = gathered(held)
    assert [source.dataset for source in found.sources] == ["people", None]
    assert list(found.dev) == ["people"]
    alone = gather(
        DataArguments(mix=[str(held / "distant.jsonl")], drop_overlap=False, dev_share=0.9), seed=1
    )
    assert alone.dev == {} and len(alone.sources[0].texts) == 5


def test_a_model_trained_on_it_knows_its_types_and_no_dataset_of_that_name(label, held):
    from vaner.training.arguments import ModelArguments
    from vaner.training.run import _settings

    assert label("--negatives", "1") == 0
    found = gathered(held)
    settings = _settings(ModelArguments(), DataArguments(mix=["people"]), found, None)
    assert settings.datasets == {"people": ["Disease"]}
    assert settings.types == ["Disease", "Chemical", "Gene"]


def test_it_is_kept_apart_from_what_people_annotated(label, tmp_path):
    assert label("--negatives", "1") == 0
    assert corpus_of(tmp_path / "distant.jsonl").distant
    mixed = tmp_path / "mixed.jsonl"
    person = {"id": "p", "text": "gout", "spans": [{"start": 0, "end": 4, "type": "Disease"}]}
    mixed.write_text((tmp_path / "distant.jsonl").read_text() + json.dumps(person) + "\n")
    with pytest.raises(
        VanerError, match="5 of its 6 documents have distant labels, .* keep them in two files"
    ):
        corpus_of(mixed)
    mixed.write_text(json.dumps(person) + "\n")
    assert not corpus_of(mixed).distant


def test_a_registry_can_say_that_labels_are_distant(label, tmp_path):
    entry = yaml.safe_load((ROOT / "data" / "corpora.yaml").read_text())["corpora"]["bc2gm-sample"]
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({"corpora": {"mine": entry | {"distant": True}}}))
    assert own.all_corpora(tmp_path / "own.yaml")["mine"].distant
    assert label() == 0 and all(d.types for d in read(tmp_path / "distant.jsonl"))
