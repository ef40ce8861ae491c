"""In: words and instructions, three kinds of tokenizer. Out: ids, positions and windows are what the text's are."""

from __future__ import annotations

import itertools
import os
import string

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from vaner.document import Document
from vaner.errors import VanerError
from vaner.inputs.features import MAX_WORD_TOKENS, Tokenisation, windows
from vaner.inputs.instructions import TYPE_VECTORS, Instruction, Template
from vaner.tagging import decode
from vaner.text.segment import words
from vaner.text.tags import B, I, O, encode_tags
from vaner.text.units import Text

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

CORPUS = [
    "Famotidine - induced delirium in patients with acute renal failure .",
    "If any Disease , Chemical or Gene entity is mentioned in the bc5cdr input , extract it . ##input :",
    "the 11p15 . 5 locus of TNF - α and β - catenin in T cells",
    string.ascii_letters + " " + string.digits,
]


def smollm():
    """Byte-level BPE, as SmolLM, Llama 3 and Qwen have it: a space belongs to the word behind it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>")


def llama2():
    """SentencePiece BPE, as LLaMA 2 has it: spaces are marks of the text, unknown letters bytes, <s> in front."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    # All bytes are in its vocabulary; hence no letter of them may be trained as a word.
    specials = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=specials, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    trained = Tokenizer.from_str(tokenizer.to_str())
    # No pre-tokenizer: merging runs over the whole text, and only the vocabulary keeps words apart.
    trained.pre_tokenizer = None
    trained.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    trained.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=trained, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


def bert():
    """WordPiece, as BERT has it: lower case, accents and control characters gone, [CLS] and [SEP] around."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    trainer = trainers.WordPieceTrainer(vocab_size=500, special_tokens=specials, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    )


TOKENIZERS = {"smollm": smollm(), "llama2": llama2(), "bert": bert()}
KINDS = pytest.mark.parametrize("kind", TOKENIZERS)


def tokenisation(kind: str, max_tokens: int = 256, copies: int = 1) -> Tokenisation:
    return Tokenisation(TOKENIZERS[kind], max_tokens, copies)


def whole(kind: str, text: str) -> list[int]:
    return TOKENIZERS[kind](text, add_special_tokens=False)["input_ids"]


# --- words one by one ---

NASTY = st.one_of(
    st.text(
        st.sampled_from("αβγΔΩ κ" + "e\u0301n\u0303o\u0308\u200d\u200b\ufeff" + "T-9.()±µ ²ﬁ"), max_size=12
    ),
    st.text(st.sampled_from("👩🏽‍🔬🧬❤️ a"), max_size=6),
    st.text(st.characters(categories=["Cc", "Cf", "Co", "Zs", "So"]), max_size=4),
    st.text(st.characters(codec="utf-8"), max_size=8),
    st.sampled_from(["<s>", "</s>", "[SEP]", "<|endoftext|>", "##input:", "'s", "…", "¨", "漢字かな"]),
)


@KINDS
@settings(max_examples=150, deadline=None)
@given(st.lists(NASTY, max_size=5))
def test_words_tokenised_one_by_one_are_the_whole_text_tokenised(kind, pieces):
    text = " ".join(pieces)
    # The one letter that SentencePiece itself cannot tell from a space.
    found = [text[s:e] for s, e in words(text) if text[s:e] != "▁"]
    one_by_one = tokenisation(kind).words(found)
    assert len(one_by_one) == len(found)
    assert all(len(ids) for ids in one_by_one), "every word has a position"
    # BERT drops control characters; a word of nothing else stands as an unknown one instead.
    kept = [
        (word, ids)
        for word, ids in zip(found, one_by_one, strict=True)
        if kind != "bert" or whole(kind, f"x {word}")[1:]
    ]
    text = " ".join(["x", *(word for word, _ in kept)])
    assert list(itertools.chain(whole(kind, "x"), *(ids.tolist() for _, ids in kept))) == whole(kind, text)


@KINDS
def test_a_row_is_the_instruction_and_the_words_as_one_text(kind):
    text = "Famotidine-induced delirium (11p15.5), TNF-α in T-cells"
    found = [text[s:e] for s, e in words(text)]
    instruction = Template().render(["Disease", "Chemical"], "bc5cdr")
    row = tokenisation(kind).row(instruction, found)
    joined = f"{instruction.text} {' '.join(found)}"
    encoded = TOKENIZERS[kind](joined, return_offsets_mapping=True)
    assert row.input_ids.tolist() == encoded["input_ids"]
    starts = [len(instruction.text) + 1 + len(" ".join(found[:i])) + (i > 0) for i in range(len(found))]
    for at, start in zip(row.word_positions, starts, strict=True):
        begin, end = encoded["offset_mapping"][at]
        assert begin <= start < max(end, start + 1) and joined[begin:start].strip() == ""
        if at:  # the first of the word's tokens
            assert encoded["offset_mapping"][at - 1][1] <= start
    for (at,), (_, end) in zip(row.type_positions, instruction.type_spans, strict=True):
        begin, stop = encoded["offset_mapping"][at]
        assert begin < end <= stop


@KINDS
def test_a_row_with_the_instruction_after_the_words_is_one_text_too(kind):
    found = ["Famotidine", "-", "induced", "delirium", "("]
    instruction = Template(place="after", type_vector="mean").render(["Disease", "TNF-α Gene"], "bc5cdr")
    one = tokenisation(kind)
    row = one.row(instruction, found)
    # Behind a letter, whose token goes: words begin with a space.
    text = f"x {' '.join(found)} {instruction.text}"
    ids, letter = whole(kind, text), whole(kind, "x")
    assert row.input_ids.tolist() == [*one.prefix, *ids[len(letter) :], *one.suffix]
    assert row.instruction_length == 0 and len(row.input_ids) == len(one.row(instruction, [])) + sum(
        map(len, one.words(found))
    )
    assert row.word_positions[0] == len(one.prefix)
    for line, name in zip(row.type_positions, instruction.types, strict=True):
        ids = row.input_ids[line[line >= 0]]
        read = TOKENIZERS[kind].decode(ids).replace("▁", " ").split()
        assert "".join(read) == (name.lower() if kind == "bert" else name).replace(" ", "")


@KINDS
def test_the_tokens_that_stand_for_a_type(kind):
    one = tokenisation(kind)
    types = ["11p15.5 locus", "Gene"]
    read = {}
    for vector in TYPE_VECTORS:
        instruction = Template(type_vector=vector).render(types, "bc5cdr")
        row = one.row(instruction, ["p53"])
        read[vector] = [row.input_ids[line[line >= 0]].tolist() for line in row.type_positions]
    last, mean, marker = read["last"], read["mean"], read["marker"]
    # A space before digits may be a token of its own, which is none of the name's.
    first = TOKENIZERS[kind].decode(mean[0]).replace("▁", " ")
    assert (
        "".join(first.split()) == "11p15.5locus"
        and mean[0] == whole(kind, "If any 11p15.5 locus")[-len(mean[0]) :]
    )
    assert mean[1] == whole(kind, "If any Gene")[len(whole(kind, "If any")) :]
    assert [len(ids) for ids in last] == [1, 1] and [ids[-1:] for ids in mean] == last
    assert marker == [whole(kind, "Gene ##")[-1:]] * 2


@pytest.mark.parametrize("kind", ["smollm", "llama2"])
def test_a_type_whose_last_letter_is_several_tokens_is_read_at_the_last_of_them(kind):
    instruction = Instruction("If any TNF-漢 or Gene is", ("TNF-漢", "Gene"), ((7, 12), (16, 20)))
    assert instruction.text[7:12] == "TNF-漢" and instruction.text[16:20] == "Gene"
    one = tokenisation(kind)
    ids, positions = one.instruction(instruction)
    after = len(one.prefix) + len(whole(kind, "If any TNF-漢"))
    assert positions.shape == (2, 1) and positions[0] == after - 1
    assert len(whole(kind, "If any TNF-漢")) - len(whole(kind, "If any TNF-")) >= 3
    assert positions[1] == len(one.prefix) + len(whole(kind, instruction.text[:20])) - 1


@KINDS
def test_a_very_long_word_is_read_by_its_first_tokens_and_named(kind):
    one = tokenisation(kind)
    long = "ACGT" * 5000 if kind != "bert" else "漢" * 5000
    before, cut, after = one.words(["the", long, "locus"])
    assert len(cut) == MAX_WORD_TOKENS
    assert cut.tolist() == whole(kind, f"x {long}")[len(whole(kind, "x")) :][:MAX_WORD_TOKENS]
    assert one.shortened == {hash(long)}
    assert (
        before.tolist() == one.words(["the"])[0].tolist()
        and after.tolist() == one.words(["locus"])[0].tolist()
    )


@KINDS
@pytest.mark.parametrize("piece", ["ACGT", "a", "漢", "β-", "12 x"])
def test_only_the_beginning_of_a_very_long_word_is_tokenised(kind, piece):
    long = (piece * 40_000)[:60_000]
    (cut,) = tokenisation(kind).words([long])
    assert cut.tolist() == whole(kind, f"x {long}")[len(whole(kind, "x")) :][:MAX_WORD_TOKENS]


@KINDS
def test_half_a_surrogate_pair_is_a_word_like_any_other(kind):
    one = tokenisation(kind)
    broken, mark = one.words(["\ud83d", "\N{REPLACEMENT CHARACTER}"])
    assert broken.tolist() == mark.tolist() and len(broken)


def test_words_of_control_characters_have_a_position_too():
    one = tokenisation("bert")
    (ids,) = one.words(["\x00"])
    assert ids.tolist() == [TOKENIZERS["bert"].unk_token_id]


def test_special_tokens_stand_around_the_row():
    assert tokenisation("llama2").prefix.tolist() == [1] and not len(tokenisation("llama2").suffix)
    assert tokenisation("bert").prefix.tolist() == [2] and tokenisation("bert").suffix.tolist() == [3]
    assert not len(tokenisation("smollm").prefix) and not len(tokenisation("smollm").suffix)
    row = tokenisation("bert").row(Template().render(["Gene"]), ["p53"])
    assert (row.input_ids[0], row.input_ids[-1]) == (2, 3)
    assert tokenisation("bert").pad_id == 0 and tokenisation("llama2").pad_id == 2, "else the end of text"


def test_a_row_of_no_words_is_the_instruction():
    row = tokenisation("llama2").row(Template().render(["Gene"]), [])
    assert len(row) == len(tokenisation("llama2").instruction(Template().render(["Gene"]))[0])
    assert row.word_positions.shape == (0,)


def test_an_instruction_that_fills_the_window_is_refused():
    one = tokenisation("smollm", max_tokens=150)
    with pytest.raises(VanerError, match="ask fewer types.*--max_tokens"):
        one.room(Template().render([f"Type{i}" for i in range(40)]))
    assert tokenisation("smollm").room(Template().render(["Gene"])) > 2 * MAX_WORD_TOKENS


@KINDS
@pytest.mark.parametrize("place", ["before", "after"])
def test_a_row_with_two_copies_of_its_words_is_read_at_the_second(kind, place):
    asked = Template(place=place).render(["Gene", "Disease"])
    once, twice = (tokenisation(kind, copies=copies) for copies in (1, 2))
    words = CORPUS[0].split()
    one, two = once.row(asked, words), twice.row(asked, words)
    text = np.concatenate(once.words(words))
    start = one.word_positions[0]
    behind = one.input_ids[start + len(text) :]
    assert two.input_ids.tolist() == [*one.input_ids[:start], *text, *text, *behind]
    assert (two.word_positions == one.word_positions + len(text)).all()
    moved = len(text) if place == "after" else 0
    assert (two.type_positions == one.type_positions + moved * (one.type_positions >= 0)).all()
    assert two.instruction_length == one.instruction_length
    for reads, row in ((once, one), (twice, two)):
        assert reads.length(asked, len(text)) == len(row)
        # One token more in every copy would not fit.
        room = reads.room(asked)
        assert reads.length(asked, room) <= reads.max_tokens < reads.length(asked, room + 1)
    with pytest.raises(VanerError, match="leaves 9. for each of 2 copies of the text; ask fewer types"):
        tokenisation(kind, max_tokens=once.length(asked, 2 * 95), copies=2).room(asked)


def test_a_slow_tokenizer_is_refused():
    with pytest.raises(VanerError, match="use a fast one"):
        Tokenisation(object(), 512)


def test_remembered_words_are_the_words():
    one = tokenisation("llama2")
    first = [ids.tolist() for ids in one.words(["renal", "failure", "renal"])]
    assert [ids.tolist() for ids in one.words(["renal", "failure", "renal"])] == first
    assert first[0] == first[2] != first[1]


# --- windows ---

COUNTS = st.lists(st.integers(1, MAX_WORD_TOKENS), min_size=1, max_size=60)
ROOM = st.integers(2 * MAX_WORD_TOKENS, 200)


@settings(max_examples=300, deadline=None)
@given(COUNTS, ROOM, st.integers(0, 30))
def test_windows_tile_the_unit_overlap_and_keep_the_deepest_reading(counts, room, start):
    end = start + len(counts)
    found = windows(start, end, counts, room)
    tokens = {w: sum(counts[w.start - start : w.end - start]) for w in found}
    assert all(size <= room for size in tokens.values())
    kept = [(w.keep_start, w.keep_end) for w in found]
    assert [k[0] for k in kept] == [start, *(k[1] for k in kept[:-1])] and kept[-1][1] == end
    assert all(w.start <= w.keep_start <= w.keep_end <= w.end for w in found)
    if sum(counts) <= room:
        assert found == [type(found[0])(start, end, start, end)]
    for left, right in itertools.pairwise(found):
        assert left.start < right.start < left.end <= right.end
        shared = sum(counts[right.start - start : left.end - start])
        assert shared >= min(0.25 * room, tokens[left] - counts[left.start - start])

    def depth(word, window):
        """How many words lie between it and the nearer border at which the window cuts text off."""
        before = word - window.start if window.start > start else len(counts)
        after = window.end - 1 - word if window.end < end else len(counts)
        return min(before, after)

    if len(found) == 2:
        for window in found:
            for word in range(window.keep_start, window.keep_end):
                readings = [depth(word, w) for w in found if w.start <= word < w.end]
                assert depth(word, window) == max(readings)


def test_windows_by_hand():
    """
    words   0 1 2 3 4 5 6 7 8 9      ten tokens each, room for six, so that two are shared
    window  |---------|
    window          |---------|
    kept    |-------|---------|
    """
    found = windows(0, 10, [10] * 10, 60)
    assert [(w.start, w.end, w.keep_start, w.keep_end) for w in found] == [(0, 6, 0, 5), (4, 10, 5, 10)]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=12, max_size=50), st.data())
def test_a_mention_across_a_border_is_found_when_every_window_labels_it(counts, data):
    """Windows labelled apart and stitched as the tagger does it give the spans of the whole."""
    size = len(counts)
    doc = Document("d", " ".join(f"w{i}" for i in range(size)))
    text = Text.of(doc)
    first = data.draw(st.integers(0, size - 1))
    last = data.draw(st.integers(first + 1, min(first + 6, size)))
    gold = [doc.span(text.offsets[first][0], text.offsets[last - 1][1], "X")]
    tags, _ = encode_tags(text.offsets, gold, ["X"])
    stitched = np.zeros((1, size, 3), dtype=np.float32)
    for w in windows(0, size, counts, 96):
        seen = np.full((1, w.end - w.start, 3), np.log(0.01), dtype=np.float32)
        np.put_along_axis(seen, tags[:, w.start : w.end, None].astype(int), np.log(0.98), axis=2)
        stitched[:, w.keep_start : w.keep_end] = seen[:, w.keep_start - w.start : w.keep_end - w.start]
    assert [s.key for s in decode.spans(doc, text.offsets, ["X"], stitched)] == [gold[0].key]


def test_labels_pass_through_a_row():
    labels = np.array([[B, I, O]], dtype=np.int8)
    row = tokenisation("llama2").row(Template().render(["Disease"]), ["renal", "failure", "in"], labels)
    assert row.labels is labels and row.word_positions.shape == (3,) and row.type_positions.shape == (1, 1)
