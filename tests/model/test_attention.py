"""Who sees whom in each mode: found by changing one token and looking at which hidden states move."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoModel

from tests.model.test_network import TEMPLATES, WORDS, build, logits, rows, tensors
from tests.training.test_run import losses, train
from vaner.errors import VanerError
from vaner.inputs.batching import collate
from vaner.inputs.features import Tokenisation
from vaner.inputs.instructions import Template
from vaner.kernels.fused import to_fused
from vaner.kernels.int8 import is_supported, to_int8
from vaner.kernels.machine import fuses
from vaner.model.adapting import Adapter
from vaner.model.attention import INSTRUCTION_APART, MODES, copies, make_mask, set_attention
from vaner.model.network import VanerModel
from vaner.tagging.labeler import Vaner

FAMILIES = ["llama", "mistral", "qwen2"]
TOKENS, INSTRUCTION = 6, 3


def _states(folder, mode, implementation, ids, mask, instruction, causal_layers=None):
    """Hidden states before the first layer, after each layer, and after the norm."""
    model = AutoModel.from_pretrained(folder, attn_implementation=implementation).eval()
    set_attention(model, mode, causal_layers)
    mask = make_mask(model.config, mode, mask, instruction, False, torch.float32)
    with torch.inference_mode():
        # Positions are said, so that padding on the left does not move them.
        positions = torch.arange(ids.shape[1])[None].expand_as(ids)
        return model(
            input_ids=ids, attention_mask=mask, position_ids=positions, output_hidden_states=True
        ).hidden_states


def _seen(mode: str) -> np.ndarray:
    """The picture of the module's docstring: which column moves which row, in the last layer."""
    everything = np.ones((TOKENS, TOKENS), dtype=bool)
    if mode in ("causal", "twice"):
        return np.tril(everything)
    if mode == "prefix":
        everything[:INSTRUCTION, INSTRUCTION:] = False
    return everything


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("padding", ["none", "right", "left"])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("mode", MODES)
def test_who_sees_whom(tiny_backbones, family, mode, implementation, padding):
    ids = torch.arange(5, 5 + 2 * TOKENS).reshape(2, TOKENS)
    mask = torch.ones_like(ids)
    instruction = torch.zeros_like(ids)
    instruction[:, :INSTRUCTION] = 1
    if padding == "right":
        mask[1, 4:] = 0
    elif padding == "left":
        mask[1, :2] = 0
        instruction[1] = torch.tensor([0, 0, 1, 1, 1, 0])
    before = _states(tiny_backbones[family], mode, implementation, ids, mask, instruction)[-1]
    assert torch.isfinite(before[mask.bool()]).all()
    for column in range(TOKENS):
        changed = ids.clone()
        changed[0, column] = 99
        after = _states(tiny_backbones[family], mode, implementation, changed, mask, instruction)[-1]
        moved = (before - after)[0].abs().amax(-1).numpy()
        expected = _seen(mode)[:, column]
        assert (moved[expected] > 1e-4).all() and (moved[~expected] < 1e-6).all(), column
        assert (before - after)[1].abs().max() < 1e-6, "another row's text changed this row"
    for column in (mask[1] == 0).nonzero().flatten().tolist():
        changed = ids.clone()
        changed[1, column] = 99
        after = _states(tiny_backbones[family], mode, implementation, changed, mask, instruction)[-1]
        assert (before - after)[1][mask[1].bool()].abs().max() < 1e-6, "padding was seen"


def test_an_encoder_reads_both_ways_or_by_prefix_and_has_no_causal_mode(tiny_backbones):
    ids = torch.arange(5, 5 + TOKENS)[None]
    instruction = (torch.arange(TOKENS) < INSTRUCTION).long()[None]
    for mode in ("bidirectional", "prefix"):
        before, after = (
            _states(tiny_backbones["bert"], mode, "sdpa", one, torch.ones_like(ids), instruction)[-1]
            for one in (ids, torch.where(torch.arange(TOKENS) == TOKENS - 1, 99, ids))
        )
        moved = (before - after)[0].abs().amax(-1).numpy()
        expected = _seen(mode)[:, -1]
        assert (moved[expected] > 1e-4).all() and (moved[~expected] < 1e-6).all()
    for mode in ("causal", "layerwise", "twice"):
        with pytest.raises(VanerError, match=f"encoder and has no {mode} mode; use bidirectional or prefix"):
            set_attention(AutoModel.from_pretrained(tiny_backbones["bert"]), mode)


def test_layerwise_the_lower_layers_look_back_and_the_upper_ones_both_ways(tiny_backbones):
    ids = torch.arange(5, 5 + TOKENS)[None]
    changed = torch.where(torch.arange(TOKENS) == TOKENS - 1, 99, ids)
    ones = torch.ones_like(ids)
    before, after = (
        _states(tiny_backbones["llama"], "layerwise", "sdpa", i, ones, ones, 1) for i in (ids, changed)
    )
    moved = [(b - a)[0, :-1].abs().amax().item() for b, a in zip(before, after, strict=True)]
    assert moved[0] == moved[1] == 0, "the first layer must not see the future"
    assert moved[2] > 1e-3


def test_layerwise_knows_its_layers(tiny_backbones, tiny_tokenizer, tmp_path):
    model = build(tiny_backbones["llama"], attention="layerwise")
    assert model.settings.causal_layers == 1, "half of two"
    found = rows(tiny_tokenizer)
    expected = logits(model, found)
    model.save_pretrained(tmp_path, tiny_tokenizer)
    for merge in (False, True):
        loaded = VanerModel.from_pretrained(tmp_path, dtype="float32", device="cpu", merge=merge)
        assert loaded.settings.causal_layers == 1 and loaded.settings.attention == "layerwise"
        torch.testing.assert_close(logits(loaded, found), expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(VanerError, match="2 of 2 layers; choose 1 to 1"):
        build(tiny_backbones["llama"], attention="layerwise", causal_layers=2)
    with pytest.raises(VanerError, match="causal_layers is for attention layerwise"):
        build(tiny_backbones["llama"], attention="prefix", causal_layers=1)
    with pytest.raises(VanerError, match="call the VanerModel"):
        model.backbone(input_ids=torch.tensor([[5, 6]]))


@pytest.mark.parametrize("mode", MODES)
def test_logits_do_not_depend_on_the_batch_or_the_padding_side_in_any_mode(
    tiny_backbones, tiny_tokenizer, mode
):
    model = build(tiny_backbones["llama"], attention=mode)
    found = rows(tiny_tokenizer, mode=mode)
    alone = [logits(model, [row])[0] for row in found]
    for side in ("right", "left"):
        for row, expected, got in zip(found, alone, logits(model, found, side), strict=True):
            torch.testing.assert_close(got[:, : len(row.word_positions)], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_checkpointed_gradients_are_the_same_in_every_mode(tiny_backbones, tiny_tokenizer, mode):
    model = build(tiny_backbones["llama"], attention=mode).train()
    first, second = (
        tensors(rows(tiny_tokenizer, lengths, labelled=True, mode=mode)) for lengths in ((4, 11), (9, 3))
    )

    def gradient():
        model.zero_grad()
        # Both forwards before both backwards: a layer must recompute with its own call's mask.
        loss = model(**first)["loss"] + model(**second)["loss"]
        loss.backward()
        return [p.grad.clone() for p in model.parameters() if p.grad is not None]

    before = gradient()
    model.gradient_checkpointing_enable()
    for a, b in zip(gradient(), before, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("mode", INSTRUCTION_APART)
@pytest.mark.parametrize("family", FAMILIES)
def test_an_instruction_read_once_gives_what_reading_it_every_time_gives(
    tiny_backbones, tiny_tokenizer, family, mode, side
):
    model = build(tiny_backbones[family], attention=mode)
    assert model.reuses_instructions
    vector = "mean" if side == "left" else "last"
    found = rows(tiny_tokenizer, template=Template(type_vector=vector), mode=mode)
    expected = logits(model, found, side)
    with torch.inference_mode():
        length = found[0].instruction_length
        prefix = model.read_instruction(
            torch.from_numpy(found[0].input_ids[:length]).long(), torch.from_numpy(found[0].type_positions)
        )
        assert prefix.length == length
        for _ in range(2):  # a prefix that one batch changed would fail the next
            batch = {k: torch.from_numpy(v) for k, v in collate([r.text() for r in found], 0, side).items()}
            got = model.score_texts(
                prefix, batch["input_ids"], batch["attention_mask"], batch["word_positions"]
            )
            for row, a, b in zip(found, got, expected, strict=True):
                words = len(row.word_positions)
                torch.testing.assert_close(a[:, :words], b[:, :words], rtol=1e-4, atol=1e-5)


def test_only_an_instruction_that_does_not_see_the_text_is_reused(tiny_backbones):
    for mode in ("bidirectional", "layerwise"):
        assert not build(tiny_backbones["llama"], attention=mode).reuses_instructions
    # An encoder keeps no keys; it reads the instruction every time.
    assert not build(tiny_backbones["bert"], attention="prefix").reuses_instructions


def test_what_cannot_be_masked_is_refused(tiny_backbones, tiny_tokenizer):
    with pytest.raises(VanerError, match="sideways.*bidirectional"):
        set_attention(AutoModel.from_pretrained(tiny_backbones["llama"]), "sideways")
    from transformers import DebertaV2Config

    config = DebertaV2Config(
        vocab_size=600, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=4
    )
    with pytest.raises(VanerError, match="DebertaV2Model builds its masks itself"):
        set_attention(AutoModel.from_config(config), "prefix")
    flash = AutoModel.from_pretrained(tiny_backbones["llama"])
    flash.config._attn_implementation = "flash_attention_2"
    with pytest.raises(VanerError, match="not flash_attention_2"):
        set_attention(flash, "prefix")
    model = build(tiny_backbones["llama"], attention="prefix", adapter=Adapter(kind="none"))
    batch = tensors(rows(tiny_tokenizer))
    del batch["instruction_mask"]
    with pytest.raises(VanerError, match="where the instruction ends"):
        model(**batch)


@pytest.mark.parametrize("mode", ["bidirectional", "layerwise"])
@pytest.mark.parametrize("template", TEMPLATES, ids=str)
def test_rows_do_not_depend_on_their_company_however_types_are_read(
    tiny_backbones, tiny_tokenizer, template, mode
):
    model = build(tiny_backbones["llama"], attention=mode)
    found = rows(tiny_tokenizer, (4, 11, 7), template=template)
    alone = [logits(model, [row])[0] for row in found]
    packed = {k: torch.from_numpy(v) for k, v in collate(found, 0, sequences=[[2, 0], [1]]).items()}
    with torch.inference_mode():
        together = model(**packed)["logits"]
    for row, expected, *others in zip(
        found, alone, together, logits(model, found), logits(model, found, "left"), strict=True
    ):
        for got in others:
            torch.testing.assert_close(got[:, : len(row.word_positions)], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", [*FAMILIES, "bert"])
def test_packed_is_separate(tiny_backbones, tiny_tokenizer, family, mode, side):
    if family == "bert" and mode in ("causal", "layerwise", "twice"):
        pytest.skip("an encoder has no such mode")
    model = build(tiny_backbones[family], attention=mode)
    found = rows(tiny_tokenizer, (4, 11, 7, 2, 9), labelled=True, mode=mode)
    alone = [logits(model, [row])[0] for row in found]
    batch = collate(found, 0, side, sequences=[[3, 0, 1], [2], [4]])
    batch = {k: torch.from_numpy(v) for k, v in batch.items()}
    with torch.inference_mode():
        together = model(**batch)
        apart = model(**tensors(found))["loss"]
    for row, expected, got in zip(found, alone, together["logits"], strict=True):
        torch.testing.assert_close(got[:, : len(row.word_positions)], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together["loss"], apart, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("mode", MODES)
def test_packed_is_separate_by_flex_attention(tiny_backbones, tiny_tokenizer, mode):
    """A GPU compiles it to a kernel that leaves closed blocks out; here the same masks are multiplied out."""
    model = build(tiny_backbones["llama"], attention=mode, adapter=Adapter(kind="none"))
    found = rows(tiny_tokenizer, (4, 11, 7, 2, 9), mode=mode)
    alone = [logits(model, [row])[0] for row in found]
    batch = {k: torch.from_numpy(v) for k, v in collate(found, 0, sequences=[[3, 0, 1], [2], [4]]).items()}
    model.plain_backbone.set_attn_implementation("flex_attention")
    with torch.compiler.set_stance("force_eager"), torch.inference_mode():
        if mode == "layerwise":
            with pytest.raises(VanerError, match="layerwise: works with sdpa or eager attention"):
                model(**batch)
            return
        for row, expected, got in zip(found, alone, model(**batch)["logits"], strict=True):
            torch.testing.assert_close(got[:, : len(row.word_positions)], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", ["prefix", "layerwise", "twice"])
def test_what_is_trained_in_a_mode_is_tagged_in_it(tiny_backbones, tmp_path, mode, monkeypatch):
    trained = []

    def keep(*args, **options):
        trained.append(Tokenisation(*args, **options))
        return trained[-1]

    monkeypatch.setattr("vaner.training.run.Tokenisation", keep)
    folder = train(tiny_backbones["llama"], tmp_path, "--attention", mode)
    tagger = Vaner.from_pretrained(folder, dtype="float32", device="cpu")
    assert tagger.settings.attention == mode
    assert tagger.settings.causal_layers == (1 if mode == "layerwise" else None)
    assert tagger.model.reuses_instructions == (mode in INSTRUCTION_APART)
    assert [one.copies for one in trained] == [tagger.tokenisation.copies] == [copies(mode)]
    found = losses(folder)
    assert np.mean(found[-3:]) < np.mean(found[:3])
    assert isinstance(tagger("Famotidine-associated delirium."), list)


# --- a text that is given twice ---


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("mode", ["causal", "twice"])
def test_of_a_text_given_twice_every_word_has_seen_what_follows_it(
    tiny_backbones, tiny_tokenizer, family, mode
):
    model = build(tiny_backbones[family], attention=mode)
    reads = Tokenisation(tiny_tokenizer, 384, copies(mode))
    asked = Template().render(["Disease", "Chemical"])
    first, other = (reads.row(asked, [*WORDS[:-2], last]) for last in ("failure", "transplant"))
    moved = (logits(model, [first]) - logits(model, [other]))[0, :, :-1].abs().amax(dim=(0, 2))
    if mode == "twice":
        assert (moved > 1e-4).all(), "a word has not seen the end of the text"
    else:
        assert (moved < 1e-6).all()


def test_of_a_text_given_twice_the_first_copy_has_no_label_and_no_loss(tiny_backbones, tiny_tokenizer):
    model = build(tiny_backbones["llama"], attention="twice")
    found = rows(tiny_tokenizer, (4, 9), labelled=True, mode="twice")
    states = []

    def keep(_, args, output):
        output.last_hidden_state.retain_grad()
        states.append(output.last_hidden_state)

    model.backbone.register_forward_hook(keep)
    batch = tensors(found)
    model(**batch)["loss"].backward()
    learns = (states[0].grad.abs().amax(-1) > 0).numpy()
    for row, line, length in zip(found, learns, (4, 9), strict=True):
        assert row.labels.shape == (2, length), "a word has one label, however often it is read"
        text = len(row) - row.instruction_length
        assert text % 2 == 0 and row.word_positions[0] == row.instruction_length + text // 2
        first, second = np.split(row.input_ids[row.instruction_length :], 2)
        assert (first == second).all()
        read = np.zeros(len(line), dtype=bool)
        read[row.word_positions] = True
        read[row.type_positions.flatten()] = True
        assert (line == read).all()


@pytest.mark.parametrize("how", ["fused", "int8"])
def test_a_text_given_twice_is_the_same_by_every_way_of_computing(tiny_backbones, tiny_tokenizer, how):
    if not (fuses(torch.float32) if how == "fused" else is_supported()):
        pytest.skip("this processor gains nothing by it")
    model = build(tiny_backbones["llama"], attention="twice").merge()
    found = rows(tiny_tokenizer, (4, 11, 7), mode="twice")
    expected = logits(model, found)
    assert to_fused(model.backbone) if how == "fused" else to_int8(model.backbone)
    off = (logits(model, found) - expected).norm() / expected.norm()
    assert off < (1e-4 if how == "fused" else 0.1)


def test_a_text_given_twice_is_saved_and_loaded(tiny_backbones, tiny_tokenizer, tmp_path):
    model = build(tiny_backbones["llama"], attention="twice")
    found = rows(tiny_tokenizer, mode="twice")
    expected = logits(model, found)
    model.save_pretrained(tmp_path, tiny_tokenizer)
    for merge in (False, True):
        loaded = VanerModel.from_pretrained(tmp_path, dtype="float32", device="cpu", merge=merge)
        assert loaded.settings.attention == "twice" and loaded.config.is_causal
        torch.testing.assert_close(logits(loaded, found), expected, rtol=1e-4, atol=1e-4)


def test_a_text_given_twice_must_be_in_sight_of_its_end(tiny_backbones, tmp_path):
    near = AutoModel.from_pretrained(tiny_backbones["mistral"])
    near.config.sliding_window = 100
    near.save_pretrained(tmp_path)
    with pytest.raises(VanerError, match="looks 100 tokens far, and attention twice needs the whole row"):
        build(str(tmp_path), attention="twice")
    build(str(tmp_path), attention="causal")
    with pytest.raises(VanerError, match="attention twice: the text would not see an instruction after it"):
        build(tiny_backbones["llama"], attention="twice", template=Template(place="after"))
