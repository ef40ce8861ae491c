"""In: a small index and made texts. Out: rows of training that are looked up, the same in every process and run."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.inputs.test_hints import GOLD, TERMS, TYPES, abstracts, texts
from tests.training.test_mixture import same
from tests.training.test_run import GOING_ON, MIX, train, weights
from vaner.errors import VanerError
from vaner.files import shipped
from vaner.inputs.features import Tokenisation
from vaner.inputs.instructions import Template
from vaner.inputs.lookups import LeftOut, Lookups
from vaner.knowledge import Rules, build
from vaner.model.config import CONFIG_NAME, ModelConfig
from vaner.model.network import VanerModel
from vaner.report import Report
from vaner.tagging.labeler import Vaner
from vaner.training import run as training
from vaner.training.arguments import KnowledgeArguments
from vaner.training.drawing import Drawing
from vaner.training.mixture import Mixture, TrainingCorpus
from vaner.vocabularies.terms import Term


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    path = tmp_path_factory.mktemp("kb") / "kb.idx"
    return build(path, [({"name": "made", "version": "7"}, TERMS)], Rules.load(shipped("kb")), Report())


@pytest.fixture(scope="module")
def words(tiny_tokenizer):
    return Tokenisation(tiny_tokenizer, 400)


def mixture(words, index, *, left_out=None, seed=3, gold=GOLD, types=TYPES) -> Mixture:
    return Mixture(
        [TrainingCorpus("x", "x", texts(gold), types)],
        words,
        Template(),
        Drawing(left_out=left_out or LeftOut()),
        batch_tokens=900,
        epochs=2,
        seed=seed,
        lookups=Lookups(index, nested=True) if index else None,
    )


def plain(draw):
    return replace(draw, noise=())


def test_rows_are_the_same_rows_with_lookups(words, index):
    one, without = mixture(words, index), mixture(words, None)
    for epoch in range(2):
        drawn, bare = one.draws(epoch), without.draws(epoch)
        assert [plain(draw) for draw in drawn] == list(bare)
        for draw, other in zip(drawn, bare, strict=True):
            row, expected = one.row(draw), without.row(other)
            assert expected.lookups is None and row.lookups.shape[:2] == row.labels.shape
            assert row.input_ids.tolist() == expected.input_ids.tolist()
            assert (row.labels == expected.labels).all()


def test_rows_say_what_the_index_says_of_their_window(words, index):
    one = mixture(words, index, left_out=LeftOut(0, 0, 0))
    lookups = Lookups(index)
    said = 0
    for draw in one.draws(0):
        text = one.sources[draw.source].texts[draw.text]
        (found,) = lookups.found([text])
        codes = lookups.codes(found, draw.types, draw.window.start, draw.window.end)
        assert (one.row(draw).lookups == codes).all()
        said += int((codes[..., 0] > 1).sum())
    assert said > 20


def test_what_is_left_out_hangs_on_seed_and_epoch_and_row_alone(words, index):
    one, again = mixture(words, index), mixture(words, index)
    sent = pickle.loads(pickle.dumps(one))
    for other in (again, sent):
        assert all(same(other[i], one[i]) for i in reversed(range(len(one))))
    codes = [
        [mixed.row(draw).lookups.tolist() for draw in mixed.draws(epoch)]
        for mixed, epoch in ((one, 0), (one, 1), (mixture(words, index, seed=4), 0))
    ]
    assert codes[0] != codes[1] and codes[0] != codes[2]
    # The same row is not looked up alike each time it is drawn.
    said: dict[str, set[str]] = {}
    for epoch in range(2):
        for draw in one.draws(epoch):
            said.setdefault(str((draw.text % 2, draw.window, draw.types)), set()).add(
                str(one.row(draw).lookups)
            )
    assert sum(len(codes) > 1 for codes in said.values()) > 2


def test_gold_has_no_part(words, index):
    other = [{"years": "Disease", "He": "Chemical"}, {}]
    one, two = mixture(words, index), mixture(words, index, gold=other)
    for a, b in zip(one.draws(0), two.draws(0), strict=True):
        assert (one.row(a).lookups == two.row(b).lookups).all()


def test_flags():
    with pytest.raises(VanerError, match="--kb_lookups needs an index; name one with --kb"):
        KnowledgeArguments(kb_lookups=True)
    for name in ("kb_lookup_rows", "kb_lookup_types", "kb_lookup_names"):
        with pytest.raises(VanerError, match=f"--{name} is 1.5; choose 0 to 1"):
            KnowledgeArguments(**{name: 1.5})


def test_a_damaged_setting_is_named(tmp_path):
    for lookups, said in (
        ({"names": 8}, "names must be an object"),
        ({"nams": {}}, "did you mean names"),
    ):
        ModelConfig(lookups=lookups).save(tmp_path)
        with pytest.raises(VanerError, match=said):
            ModelConfig.load(tmp_path)


# --- whole runs ---


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    found = {s.text: s.type for d in abstracts() for s in d.spans}
    terms = [Term(f"X{i}", n, (type,), True) for i, (n, type) in enumerate(sorted(found.items()))]
    terms.append(Term("A1", "kidney", ("Anatomy",), True))
    build(folder / "kb.idx", [({"name": "made", "version": "7"}, terms)], Rules.load(shipped("kb")), Report())
    return folder


def flags(made):
    return ("--kb", str(made / "kb.idx"), "--kb_ratio", "0", "--kb_lookups")


@pytest.fixture(scope="module")
def trained(tiny_backbones, made):
    return train(tiny_backbones["llama"], made / "model", *flags(made))


def test_a_model_says_what_it_was_trained_with(trained, made):
    saved = json.loads((trained / CONFIG_NAME).read_text())["lookups"]
    assert saved["vocabularies"] == [{"name": "made", "version": "7"}]
    assert saved["names"]["protein"] == ["protein", "Gene"] and "Anatomy" in saved["types"]
    assert saved["left_out"] == {"rows": 0.0, "types": 0.1, "names": 0.1} and saved["fingerprint"]
    assert str(made) not in json.dumps(saved)
    tagger = Vaner.from_pretrained(trained, kb=made / "kb.idx")
    assert "Anatomy" in tagger.listed
    assert tagger.model.head.lookups.out.weight.any(), "it did not learn"


def test_training_goes_on_from_a_model_without_lookups(tiny_backbones, made, tmp_path):
    before = train(tiny_backbones["llama"], tmp_path / "plain")
    fresh = VanerModel.from_pretrained(before)
    assert fresh.head.lookups is None
    after = training.run(
        [*MIX, "--model", str(before), "--output_dir", str(tmp_path / "after"), *GOING_ON, *flags(made)]
    )
    assert VanerModel.from_pretrained(after).head.lookups.out.weight.any()
    with pytest.raises(VanerError, match="reads no lookups of an index"):
        train(tiny_backbones["llama"], tmp_path / "shared", "--head", "shared", *flags(made))


def test_a_run_that_was_cut_off_ends_as_one_that_was_not(tiny_backbones, made, tmp_path, trained):
    more = (*flags(made), "--save_strategy", "steps", "--save_steps", "2")
    whole = train(tiny_backbones["llama"], tmp_path / "whole", *more, "--max_steps", "4")
    train(tiny_backbones["llama"], tmp_path / "cut", *more, "--max_steps", "4")
    again = train(
        tiny_backbones["llama"], tmp_path / "cut", *more, "--max_steps", "4", "--resume_from_checkpoint",
        str(tmp_path / "cut" / "checkpoint-2"),
    )  # fmt: skip
    one, two = (VanerModel.from_pretrained(folder).head.state_dict() for folder in (whole, again))
    assert one.keys() == two.keys() and any("lookups" in name for name in one)
    for name in one:
        np.testing.assert_allclose(one[name].numpy(), two[name].numpy(), atol=1e-6)


def test_a_finished_model_stays_as_it_is_where_only_lookups_are_trained(tiny_backbones, made, tmp_path):
    before = train(tiny_backbones["llama"], tmp_path / "plain")
    after = training.run(
        [*MIX, "--model", str(before), "--output_dir", str(tmp_path / "after"), *GOING_ON, *flags(made)]
        + ["--kb_lookups_only", "true"]
    )
    one, two = weights(before), weights(after)
    own = two.keys() - one.keys()
    assert own and all(name.startswith("lookups.") for name in own)
    assert all(torch.equal(two[name], tensor) for name, tensor in one.items())
    with pytest.raises(VanerError, match="--kb_lookups_only trains what reads lookups; add --kb_lookups"):
        KnowledgeArguments(kb_lookups_only=True)
