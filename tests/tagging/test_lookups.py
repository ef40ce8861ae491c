"""In: a tiny random tagger that reads lookups, an index. Out: the same spans whatever the batch; none of it without."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import numpy as np
import pytest
import torch

from tests.model.test_network import build
from tests.tagging.conftest import keys
from vaner.document import Document
from vaner.errors import VanerError
from vaner.inputs.batching import SHARED_BY
from vaner.inputs.lookups import TRUST
from vaner.knowledge import DictionaryTagger, KnowledgeBase
from vaner.knowledge.shipped import NO_INDEX
from vaner.tagging.identity import of_index, unloaded
from vaner.tagging.labeler import Vaner
from vaner.tagging.settings import TaggingSettings
from vaner.vocabularies.terms import Term

TERMS = [
    Term("D1", "renal failure", ("Disease",), True),
    Term("D2", "hypertension", ("Disease",), True),
    Term("D3", "toxicity", ("Disease",), True),
    Term("C1", "sodium", ("Chemical",), True),
    Term("A1", "kidney", ("Anatomy",), True),
    Term("A2", "heart", ("Anatomy",), True),
    Term("A3", "patients", ("Anatomy",), True),
]


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    from vaner.files import shipped
    from vaner.knowledge import Rules
    from vaner.knowledge import build as build_index
    from vaner.report import Report

    path = tmp_path_factory.mktemp("kb") / "kb.idx"
    return build_index(path, [({"name": "made", "version": "7"}, TERMS)], Rules.load(shipped("kb")), Report())


def looking_up(model, strength: float = 3.0):
    """The model, with a part for lookups as loud as a trained one."""
    names = {"protein": ["Disease"]}
    model.settings = dataclasses.replace(
        model.settings,
        lookups={"names": names, "vocabularies": [], "types": [], "left_out": {}},
    )
    torch.manual_seed(1)
    model.read_lookups()
    with torch.no_grad():
        torch.nn.init.normal_(model.head.lookups.out.weight, std=strength)
        model.head.word_bias.bias.copy_(torch.tensor([0.6, 0.0, 0.0]))
    return model.eval()


@pytest.fixture(scope="module", params=["bidirectional", "prefix", "twice"])
def model(request, tiny_backbones):
    made = build(tiny_backbones["llama"], attention=request.param)
    made.settings = dataclasses.replace(
        made.settings, datasets={"bc5cdr": ["Chemical", "Disease"]}, max_words=40
    )
    return looking_up(made)


def scored(tagger, documents, types=None):
    return [[(s.key, round(s.score, 5)) for s in d.spans] for d in tagger.tag_documents(documents, types)]


def test_an_index_changes_what_is_found_and_one_of_other_types_changes_nothing(
    model, tiny_tokenizer, documents, index, make_kb
):
    without = Vaner(model, tiny_tokenizer, kb=NO_INDEX)
    assert scored(Vaner(model, tiny_tokenizer, kb=index), documents) != scored(without, documents)
    others = make_kb([Term("X", "renal failure", ("Rock",), True)], name="others.idx")
    assert scored(Vaner(model, tiny_tokenizer, kb=others), documents) == scored(without, documents)


def test_scores_without_an_index_are_those_of_a_model_that_reads_none(
    tiny_backbones, tiny_tokenizer, documents
):
    plain = build(tiny_backbones["llama"]).eval()
    with torch.no_grad():
        plain.head.word_bias.bias.copy_(torch.tensor([0.6, 0.0, 0.0]))
    before = scored(Vaner(plain, tiny_tokenizer), documents)
    assert scored(Vaner(looking_up(plain), tiny_tokenizer, kb=NO_INDEX), documents) == before


@pytest.mark.parametrize("types", [None, ["Chemical", "Disease"], ["Anatomy", "Chemical", "protein"]])
def test_spans_depend_neither_on_batches_nor_on_threads(model, tiny_tokenizer, documents, index, types):
    copies = 1 + SHARED_BY // len(documents)

    def found(documents=documents * copies, **options):
        tagger = Vaner(model, tiny_tokenizer, kb=index, **options)
        return [keys(d.spans) for d in tagger.tag_documents(documents, types)]

    together = found(batch_tokens=600)
    assert any(together)
    assert found(batch_tokens=64, buffer_batches=1) == together
    assert [found([document])[0] for document in documents] * copies == together
    assert found(pack=300) == together
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if threads > 1 else 2)
    try:
        assert found(batch_tokens=600) == together
    finally:
        torch.set_num_threads(threads)


def test_a_kept_instruction_reads_as_a_whole_row_does(model, tiny_tokenizer, documents, index):
    tagger = Vaner(model, tiny_tokenizer, kb=index)
    if not tagger.model.reuses_instructions:
        pytest.skip("this mask reads an instruction with every row")
    rows = tagger._prepare([_text(d) for d in documents], ["Chemical", "Disease"], None).rows[:SHARED_BY]
    kept = tagger.log_probs(rows)
    for i, row in enumerate(rows):
        size = len(row.word_positions)
        np.testing.assert_allclose(kept[i, :, :size], tagger.log_probs([row])[0], atol=2e-5)


def _text(document):
    from vaner.text.units import Text

    return Text.of(document)


def test_types_that_training_never_had_go_by_their_names(model, tiny_tokenizer, index, documents):
    tagger = Vaner(model, tiny_tokenizer, kb=index)
    assert tagger.types == ["Disease", "Chemical"] and tagger.listed == ["Anatomy", "protein"]
    text = "The kidney and the heart of patients with renal failure. Kidneys of the hearts."
    found = tagger(text, ["protein", "Anatomy", "Disease"])
    by_names = [s for s in found if s.type != "Disease"]
    expected = [(s.start, s.end, s.type) for s in DictionaryTagger(index)(text, ["Anatomy", "Disease"])]
    assert keys(by_names) == sorted((a, b, {"Disease": "protein"}.get(t, t)) for a, b, t in expected)
    assert {round(s.score, 3) for s in by_names} <= {round(TRUST**n, 3) for n in (1, 2)} | {TRUST}
    # The model's own types are found as without them, and its rows are the same.
    for document in documents:
        both, alone = (
            list(tagger.tag_documents([document], t)) for t in (["Disease", "Anatomy"], ["Disease"])
        )
        assert keys(s for s in both[0].spans if s.type == "Disease") == keys(alone[0].spans)
    assert tagger("", ["Anatomy"]) == []
    with pytest.raises(
        VanerError, match="type 'Rock' was not in training .*known: Disease, Chemical, Anatomy"
    ):
        tagger("x", ["Rock"])
    with pytest.raises(VanerError, match="type 'Anatomy' was not in training"):
        Vaner(model, tiny_tokenizer, kb=NO_INDEX)("x", ["Anatomy"])


def test_what_is_missing_is_said_once(model, tiny_tokenizer, documents, index):
    without = Vaner(model, tiny_tokenizer, kb=NO_INDEX)
    list(without.tag_documents(documents))
    assert sum("index of names and got none" in said for said in without.remarks()) == 1
    assert Vaner(model, tiny_tokenizer, kb=index).remarks() == ["words were looked up in kb.idx"]


def test_a_model_that_reads_none_refuses_an_index(tagger, tiny_tokenizer, index):
    with pytest.raises(VanerError, match="trained without lookups and cannot use an index"):
        Vaner(tagger.model, tiny_tokenizer, kb=index)
    assert Vaner(tagger.model, tiny_tokenizer, kb=NO_INDEX).lookups is None


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_backbones, tiny_tokenizer):
    path = tmp_path_factory.mktemp("model") / "mine"
    looking_up(build(tiny_backbones["llama"])).save_pretrained(path, tiny_tokenizer)
    return path


def test_a_saved_model_reads_as_it_did(folder, tiny_backbones, tiny_tokenizer, documents, index):
    before = Vaner(looking_up(build(tiny_backbones["llama"])), tiny_tokenizer, kb=index)
    after = Vaner.from_pretrained(folder, kb=index.path, dtype="float32", fuse=False)
    expected = [keys(d.spans) for d in before.tag_documents(documents)]
    for tagger in (after, pickle.loads(pickle.dumps(after)), copy.copy(after)):
        assert [keys(d.spans) for d in tagger.tag_documents(documents)] == expected
    assert pickle.loads(pickle.dumps(Vaner.from_pretrained(folder, kb=NO_INDEX))).lookups is None


def test_settings_hand_the_index_to_models_that_can_use_it(folder, index, documents):
    path = str(index.path)
    with_index = TaggingSettings(models=(str(folder),), kb=path, types=("Anatomy", "Disease"))
    tagger = with_index.open()
    spans = [s for d in tagger.tag_documents(documents, with_index.types) for s in d.spans]
    assert {s.type for s in spans} <= {"Anatomy", "Disease"}
    assert with_index.hashes().keys() == {"mine", "kb:kb.idx"}
    none = TaggingSettings(models=(str(folder),), kb=NO_INDEX)
    assert none.open().tagger.lookups is None and none.hashes().keys() == {"mine"}
    with pytest.raises(VanerError, match="type 'Anatomy' was not in training"):
        dataclasses.replace(none, types=("Anatomy",)).check()
    with pytest.raises(VanerError, match="--link needs an index, and --kb none names none"):
        dataclasses.replace(none, link=True).check()


def test_settings_refuse_an_index_that_nothing_reads(tmp_path, tiny_backbones, tiny_tokenizer, index):
    build(tiny_backbones["llama"]).save_pretrained(tmp_path / "plain", tiny_tokenizer)
    plain = str(tmp_path / "plain")
    with pytest.raises(VanerError, match="is for concept ids, hints, and models trained with --kb_lookups"):
        TaggingSettings(models=(plain,), kb=str(index.path)).check()
    TaggingSettings(models=(plain,), kb=NO_INDEX).check()
    with pytest.raises(VanerError, match="trained with neither hints nor lookups"):
        of_index(plain, str(index.path))
    assert of_index(plain, None) == {} and of_index(plain, NO_INDEX) == {}


def test_what_is_known_before_loading(folder, index):
    known = unloaded(str(folder), kb=index.path)
    assert known.looks_up and list(known.listed) == ["Anatomy", "protein"]
    assert list(unloaded(str(folder)).listed) == []


def test_a_document_without_words_is_no_trouble(model, tiny_tokenizer, index):
    tagger = Vaner(model, tiny_tokenizer, kb=index)
    assert [d.spans for d in tagger.tag_documents([Document("a", ""), Document("b", " \n ")])] == [[], []]


def test_an_index_may_be_given_opened(model, tiny_tokenizer, index):
    assert Vaner(model, tiny_tokenizer, kb=index).kb is index
    assert isinstance(Vaner(model, tiny_tokenizer, kb=index.path).kb, KnowledgeBase)
