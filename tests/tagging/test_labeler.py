"""Spans have exact offsets, come in input order, and depend neither on batch-mates nor on where a window fell."""

import functools
import itertools
import random
import zlib

import numpy as np
import pytest
import torch

from tests.model.test_network import build
from tests.tagging.conftest import keys
from vaner.document import Document
from vaner.errors import VanerError
from vaner.inputs.instructions import Template
from vaner.model.adapting import Adapter
from vaner.model.attention import INSTRUCTION_APART
from vaner.tagging import decode
from vaner.tagging.labeler import Vaner
from vaner.tagging.loading import load
from vaner.text.units import Text


def test_offsets_hold_and_something_is_found(tagger, documents):
    tagged = list(tagger.tag_documents(documents))
    assert [d.id for d in tagged] == [d.id for d in documents]
    assert [d.text for d in tagged] == [d.text for d in documents]
    assert sum(len(d.spans) for d in tagged) > 100
    assert {s.type for d in tagged for s in d.spans} == {"Disease", "Chemical"}
    for document in tagged:
        for span in document.spans:
            assert document.text[span.start : span.end] == span.text
            assert 0 < span.score <= 1


def test_spans_do_not_depend_on_batch_mates_or_batch_size(tagger, documents, tiny_tokenizer):
    together = [keys(d.spans) for d in tagger.tag_documents(documents)]
    alone = [keys(next(iter(tagger.tag_documents([d]))).spans) for d in documents]
    assert together == alone
    small = Vaner(tagger.model, tiny_tokenizer, batch_tokens=64)
    assert [keys(d.spans) for d in small.tag_documents(documents)] == together


def test_one_text_and_a_stream_of_texts(tagger, documents):
    text = documents[0].text
    expected = keys(next(iter(tagger.tag_documents([Document("x", text)]))).spans)
    assert keys(tagger(text)) == expected
    stream = tagger(itertools.chain([text], ("" for _ in range(3)), [text]))
    assert [keys(spans) for spans in stream] == [expected, [], [], [], expected]


def test_a_stream_is_read_as_it_is_needed(tagger):
    seen = []

    def endless():
        for number in itertools.count():
            seen.append(number)
            yield f"Aspirin reduces fever in patient {number}."

    results = tagger(endless())
    for _ in range(3):
        next(results)
    # One buffer was read and the next begun; a document has about ten words, of one token or more.
    assert len(seen) < 3 * tagger.batch_tokens * tagger.buffer_batches / 8


SHORT = random.Random(1).choices("fever after a dose in rats and mice with renal disease ( )".split(), k=200)
# Every thirtieth word is a sequence of more tokens than are read of a word.
LONG = [
    word if number % 30 else "".join("ACGT"[number * place % 7 % 4] for place in range(1, 200))
    for number, word in enumerate(SHORT, 1)
]
WIDE = 6000


def read_in_windows(tagger, room, *sentences, types=("Disease", "Chemical")):
    """Read with so many tokens for words at a time: log-probabilities of the words, the windows, the spans."""
    questions = [types] if tagger.settings.head == "typed" else [[t] for t in types]
    instructions = [tagger.settings.template.render(list(question)) for question in questions]
    used = max(len(tagger.tokenisation.instruction(one)[0]) for one in instructions)
    reads = tagger.tokenisation
    reads.max_tokens = used + len(reads.suffix) + reads.copies * room
    texts = [" ".join(words) for words in sentences]
    ends = list(itertools.accumulate(len(text) + 1 for text in texts))
    borders = [(end - 1 - len(text), end - 1) for text, end in zip(texts, ends, strict=True)]
    finished = []
    finish = Vaner._finish
    tagger._finish = lambda buffer, asked: finished.append(buffer) or finish(tagger, buffer, asked)
    (document,) = tagger.tag_documents([Document("long", " ".join(texts), sentences=borders)], types)
    (buffer,) = finished
    assert max(map(len, buffer.rows)) <= tagger.tokenisation.max_tokens, "a row is longer than a window"
    return buffer.pending[0].log_probs, [window for _, _, window in buffer.places], document.spans


@pytest.mark.parametrize(
    ("attention", "head"),
    [
        ("bidirectional", "typed"),
        ("bidirectional", "shared"),
        ("prefix", "typed"),
        ("causal", "shared"),
        ("twice", "typed"),
        ("twice", "shared"),
    ],
)
def test_a_long_text_is_read_in_windows_that_agree_with_one_wide_read(
    tiny_backbones, tiny_tokenizer, attention, head
):
    """Of a backbone that is deaf to context, narrow windows must say exactly what one wide window says."""
    model = build(tiny_backbones["llama"], head=head, attention=attention, adapter=Adapter(kind="none"))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "o_proj" in name:
                parameter.zero_()
    tagger = Vaner(model, tiny_tokenizer, batch_tokens=1000)
    sentences = ["of the patients in mice .".split(), LONG, ["renal", "disease", "."]]
    text, size = " ".join(itertools.chain(*sentences)), sum(map(len, sentences))
    # The three tags are made about as likely as each other, so that there are spans to compare.
    bias = (model.head.word_bias if head == "typed" else model.head.score).bias
    with torch.no_grad():
        bias -= torch.from_numpy(read_in_windows(tagger, WIDE, *sentences)[0].mean(axis=(0, 1)))
    expected, whole, spans = read_in_windows(tagger, WIDE, *sentences)
    questions = 2 if head == "shared" else 1
    assert len(whole) == 3 * questions, "each sentence must be read at once"
    assert expected.shape == (2, size, 3)
    assert len(spans) > 40 and {s.type for s in spans} == {"Disease", "Chemical"}
    for row, kind in enumerate(("Disease", "Chemical")):
        alone, _, _ = read_in_windows(tagger, WIDE, *sentences, types=(kind,))
        np.testing.assert_allclose(alone[0], expected[row], atol=1e-5)
    # The shared head knows the type from what the words have heard of the instruction: nothing here.
    assert (np.abs(expected[0] - expected[1]).max() > 0.1) == (head == "typed")
    for room in (96, 97, 130, 201, 344):
        found, seen, narrow = read_in_windows(tagger, room, *sentences)
        assert len(seen) > len(whole) + questions, "it was not windowed"
        assert sum(w.end - w.start for w in seen) > questions * size, "windows must overlap"
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert keys(narrow) == keys(spans)
        assert [s.score for s in narrow] == pytest.approx([s.score for s in spans], abs=1e-5)
        for span in narrow:
            assert text[span.start : span.end] == span.text


def test_every_word_is_read_with_the_neighbours_that_a_window_can_give_it(
    tiny_backbones, tiny_tokenizer, monkeypatch
):
    """Of a model that looks three words to each side, narrow windows must say bit for bit what a wide one says."""
    tagger = Vaner(build(tiny_backbones["llama"]), tiny_tokenizer)
    draw = functools.cache(
        lambda seen: np.log(np.random.default_rng(zlib.crc32(seen)).dirichlet([1.0] * 3, 2))
    )

    def looks_around(rows):
        found = np.zeros((len(rows), 2, max(len(r.word_positions) for r in rows), 3), dtype=np.float32)
        for row, scores in zip(rows, found, strict=True):
            ends = [*row.word_positions[1:], len(row.input_ids)]
            ids = [bytes(row.input_ids[a:b]) for a, b in zip(row.word_positions, ends, strict=True)]
            padded = [b""] * 3 + ids + [b""] * 3
            for i in range(len(ids)):
                scores[:, i] = draw(b"|".join(padded[i : i + 7]))
        return found

    monkeypatch.setattr(tagger, "log_probs", looks_around)
    longest = max(map(len, tagger.tokenisation.words(SHORT)))
    expected, _, spans = read_in_windows(tagger, WIDE, SHORT)
    assert len(spans) > 40
    for room in range(96, 180, 7):
        # So few words at least are in a quarter of a window, and half of them lie to each side of its middle.
        assert (room / 4 / longest - 1) / 2 >= 3
        found, seen, narrow = read_in_windows(tagger, room, SHORT)
        assert len(seen) > 2
        np.testing.assert_array_equal(found, expected)
        assert narrow == spans


@pytest.mark.parametrize("attention", ["causal", "bidirectional", "twice"])
def test_a_model_that_looks_back_only_reads_the_first_window_as_the_whole(
    tiny_backbones, tiny_tokenizer, attention
):
    """What follows changes nothing for it; for a model that looks both ways, or reads twice, it does."""
    tagger = Vaner(build(tiny_backbones["llama"], attention=attention), tiny_tokenizer, batch_tokens=1000)
    expected, _, _ = read_in_windows(tagger, WIDE, LONG)
    found, (first, *others), _ = read_in_windows(tagger, 200, LONG)
    assert others
    off = np.abs(found - expected).max(axis=(0, 2))
    assert off[first.keep_end :].max() > 1e-2, "later windows lack what stood before them"
    before = off[: first.keep_end].max()
    assert before < 1e-4 if attention == "causal" else before > 1e-2


def test_a_mention_across_a_window_border_is_found_whole(tagger, monkeypatch):
    """A model that marks every 'renal failure' right must yield each whole, wherever the windows cut."""
    text = Document("t", " ".join(["Patients had renal failure and"] * 60) + ".")
    words = Text.of(text).words

    def oracle(rows):
        # Read each row's words back from its ids, and answer as a perfect model would.
        answers = []
        for row in rows:
            ends = [*row.word_positions[1:], len(row.input_ids)]
            found = [
                tagger.tokenisation.tokenizer.decode(row.input_ids[s:e]).strip()
                for s, e in zip(row.word_positions, ends, strict=True)
            ]
            scores = np.full((len(row.type_positions), len(found), 3), -9.0, dtype=np.float32)
            for i, word in enumerate(found):
                inside = word == "failure" and i and found[i - 1] == "renal"
                tag = decode.B if word == "renal" else decode.I if inside else decode.O
                scores[:, i, tag] = -0.01
            answers.append(scores)
        width = max(a.shape[1] for a in answers)
        return np.stack([np.pad(a, ((0, 0), (0, width - a.shape[1]), (0, 0))) for a in answers])

    monkeypatch.setattr(tagger, "log_probs", oracle)
    for max_tokens in range(140, 190, 3):
        monkeypatch.setattr(tagger.tokenisation, "max_tokens", max_tokens)
        spans = tagger(text.text, types=["Disease"])
        assert [s.text for s in spans] == ["renal failure"] * 60, max_tokens
    assert len(words) == 301


def test_a_document_of_200_000_characters(tagger):
    sentence = "Famotidine was given to 12 patients with delirium. "
    text = sentence * (200_000 // len(sentence) + 1)
    tagger_spans = tagger(text[:20_000])
    assert tagger_spans
    (document,) = tagger.tag_documents([Document("big", text[:200_000])])
    assert len(document.text) == 200_000
    assert max(s.end for s in document.spans) > 190_000
    # Units are whole sentences, so the beginning is tagged as it is alone, whatever follows.
    early = [k for k in keys(document.spans) if k[1] < 15_000]
    assert early == [k for k in keys(tagger_spans) if k[1] < 15_000]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t ",
        "\ufeffAspirin\r\n\r\nreduces\tfever.",
        "İstanbul'da ateş: 5 µg/ml β-catenin e\u0301te\u0301 👩🏽‍⚕️ fever",
        "A" * 30_000,
        "\x00\x01 fever \u2028 aspirin \u0085 x",
    ],
)
def test_difficult_texts(tagger, text):
    for span in tagger(text):
        assert text[span.start : span.end] == span.text != ""
    if len(text) == 30_000:
        assert tagger.remarks()[0].startswith("1 very long words")


def test_typed_and_flat(tagger, documents, tiny_tokenizer):
    nested = [d.spans for d in tagger.tag_documents(documents)]
    flat = Vaner(tagger.model, tiny_tokenizer, flat=True)
    for before, document in zip(nested, flat.tag_documents(documents), strict=True):
        for a, b in itertools.pairwise(document.spans):
            assert a.end <= b.start
        assert {s.key for s in document.spans} <= {s.key for s in before}


def test_the_shared_head_asks_type_by_type(tiny_backbones, tiny_tokenizer, documents):
    shared = Vaner(build(tiny_backbones["llama"], head="shared"), tiny_tokenizer)
    both = list(shared.tag_documents(documents[:2], ["Disease", "Chemical"]))
    for kind in ("Disease", "Chemical"):
        alone = list(shared.tag_documents(documents[:2], [kind]))
        for a, b in zip(both, alone, strict=True):
            assert [k for k in keys(a.spans) if k[2] == kind] == keys(b.spans)


def test_types_and_datasets_are_checked_before_anything_is_read(tagger):
    def unread():
        raise AssertionError("a document was read")
        yield

    with pytest.raises(VanerError, match="did you mean Disease"):
        tagger.tag_documents(unread(), ["disease"])
    with pytest.raises(VanerError, match="known: Disease, Chemical"):
        tagger.tag_documents(unread(), ["Spaceship"])
    with pytest.raises(VanerError, match="bc5cdr"):
        tagger.tag_documents(unread(), ["Disease"], "bc5cd")
    with pytest.raises(VanerError, match="no entity type"):
        tagger.tag_documents(unread(), [])


def test_new_types_when_allowed(tagger, tiny_tokenizer):
    free = Vaner(tagger.model, tiny_tokenizer, allow_new_types=True)
    assert {s.type for s in free("Aspirin reduces fever.", ["Spaceship"])} <= {"Spaceship"}


def test_a_dataset_brings_its_types(tagger, monkeypatch):
    asked = []
    original = tagger._prepare
    monkeypatch.setattr(
        tagger, "_prepare", lambda d, types, name: asked.append((types, name)) or original(d, types, name)
    )
    tagger("fever", dataset="bc5cdr")
    assert asked == [(["Chemical", "Disease"], "bc5cdr")]


def test_too_many_types_for_the_window(tagger, tiny_tokenizer):
    free = Vaner(tagger.model, tiny_tokenizer, allow_new_types=True)
    with pytest.raises(VanerError, match="ask fewer types"):
        free("fever", [f"SomeRatherLongTypeName{i}" for i in range(100)])


def test_saved_and_loaded(tagger, tiny_tokenizer, tmp_path, documents):
    tagger.model.save_pretrained(tmp_path, tiny_tokenizer)
    loaded = Vaner.from_pretrained(tmp_path, dtype="float32", merge=False)
    assert loaded.types == ["Disease", "Chemical"] and "bc5cdr" in loaded.datasets
    for a, b in zip(tagger.tag_documents(documents), loaded.tag_documents(documents), strict=True):
        assert keys(a.spans) == keys(b.spans)
        assert [s.score for s in a.spans] == pytest.approx([s.score for s in b.spans], abs=1e-4)


@pytest.mark.parametrize("name", ["no/such/folder", "nowhere", "./runs/missing"])
def test_unknown_models(name):
    with pytest.raises(VanerError, match="no such"):
        load(name)


def test_decoding_is_checked(tagger, tiny_tokenizer):
    with pytest.raises(VanerError, match="beam"):
        Vaner(tagger.model, tiny_tokenizer, decoding="beam")


def test_no_mention_runs_from_one_unit_into_the_next(tagger):
    from vaner.tagging.decode import spans

    document = Document("d", "renal failure failure fever")
    offsets = [(0, 5), (6, 13), (14, 21), (22, 27)]
    likely = np.log(np.array([[[0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.2, 0.1, 0.7], [0.9, 0.05, 0.05]]]))
    joined = spans(document, offsets, ["Disease"], likely)
    assert [s.text for s in joined] == ["renal failure failure"]
    parted = spans(document, offsets, ["Disease"], likely, unit_starts=[0, 2])
    assert [s.text for s in parted] == ["renal failure"]
    repaired = spans(document, offsets, ["Disease"], likely, unit_starts=[0, 2], decoding="argmax")
    assert [s.text for s in repaired] == ["renal failure", "failure"]


# --- an instruction read once, packing ---


@pytest.mark.parametrize("mode", INSTRUCTION_APART)
@pytest.mark.parametrize("head", ["typed", "shared"])
def test_an_instruction_read_once_for_the_corpus_changes_nothing(
    tiny_backbones, tiny_tokenizer, documents, monkeypatch, mode, head
):
    model = build(tiny_backbones["llama"], head=head, attention=mode)
    # Narrow rows, so that documents are read in several windows.
    once, every = (Vaner(model, tiny_tokenizer, batch_tokens=600, max_words=200) for _ in range(2))
    for tagger in (once, every):
        tagger.tokenisation.max_tokens = 160 if mode != "twice" else 260
    monkeypatch.setattr(every, "_batches", lambda rows: [[[i]] for i in range(len(rows))])
    reads = []
    read = model.read_instruction
    monkeypatch.setattr(model, "read_instruction", lambda *args: reads.append(args) or read(*args))
    expected = [d.spans for d in every.tag_documents(documents[:4])]
    assert not reads, "alone, a row is read with its instruction"
    found = [d.spans for d in once.tag_documents(documents[:4])]
    assert len(reads) == (1 if head == "typed" else 2), "once per question"
    assert once.tokens < (0.8 if mode != "twice" else 0.9) * every.tokens
    assert sum(map(len, expected)) > 20
    for a, b in zip(found, expected, strict=True):
        assert keys(a) == keys(b)
        assert [s.score for s in a] == pytest.approx([s.score for s in b], abs=1e-4)


@pytest.mark.parametrize("max_tokens", [384, 260])
def test_a_text_given_twice_is_tagged_alike_by_every_way_of_reading(
    tiny_backbones, tiny_tokenizer, documents, tmp_path, max_tokens
):
    model = build(tiny_backbones["llama"], attention="twice", max_tokens=max_tokens, max_words=200)
    model.save_pretrained(tmp_path, tiny_tokenizer)
    options = dict(dtype="float32", device="cpu", merge=False)
    one = Vaner.from_pretrained(tmp_path, **options)
    found = list(one.tag_documents(documents))
    assert sum(len(d.spans) for d in found) > 100
    alone = [next(iter(one.tag_documents([d]))) for d in documents]
    packed = Vaner.from_pretrained(tmp_path, **options, batch_tokens=1500, pack=500)
    small = Vaner.from_pretrained(tmp_path, **options, batch_tokens=64)
    for others in (alone, packed.tag_documents(documents), small.tag_documents(documents)):
        for a, b in zip(found, others, strict=True):
            assert keys(a.spans) == keys(b.spans)
            assert [s.score for s in a.spans] == pytest.approx([s.score for s in b.spans], abs=1e-4)
    for document in found:
        assert all(document.text[s.start : s.end] == s.text for s in document.spans)


@pytest.mark.parametrize("mode", ["causal", "twice"])
def test_tokens_of_every_copy_are_counted(tiny_backbones, tiny_tokenizer, documents, mode):
    # No sentence is so long that it is read in windows, which overlap.
    model = build(tiny_backbones["llama"], attention=mode, max_tokens=512)
    tagger = Vaner(model, tiny_tokenizer, max_words=1, pack=512)
    buffer = tagger._prepare([Text.of(d) for d in documents], ["Disease"], None)
    list(tagger.tag_documents(documents, ["Disease"]))
    of_words = sum(len(ids) for d in documents for ids in tagger.tokenisation.words(Text.of(d).words))
    around = sum(row.instruction_length for row in buffer.rows)
    assert tagger.tokens == around + (2 if mode == "twice" else 1) * of_words
    assert all(sum(len(buffer.rows[i]) for i in one) <= 512 for batch in buffer.batches for one in batch)
    # As much is read ahead, in tokens that are read.
    stream = tagger._stream(["Disease"], None)
    assert sum(stream.tokens(Text.of(d)) for d in documents) == tagger.tokens - around


def test_packed_rows_are_tagged_as_separate_ones(tagger, tiny_tokenizer, documents):
    packed = Vaner(tagger.model, tiny_tokenizer, batch_tokens=1500, pack=500)
    seen = []
    original = packed.log_probs
    packed.log_probs = lambda rows, sequences: seen.append(sequences) or original(rows, sequences)
    for a, b in zip(packed.tag_documents(documents), tagger.tag_documents(documents), strict=True):
        assert keys(a.spans) == keys(b.spans)
    assert any(len(sequence) > 1 for sequences in seen for sequence in sequences)
    with pytest.raises(VanerError, match="pack is 0"):
        Vaner(tagger.model, tiny_tokenizer, pack=0)


def test_an_instruction_after_the_text_is_read_in_windows_batches_and_packed(
    tiny_backbones, tiny_tokenizer, documents, tmp_path
):
    template = Template(place="after", type_vector="mean")
    build(tiny_backbones["llama"], template=template).save_pretrained(tmp_path, tiny_tokenizer)
    options = dict(dtype="float32", merge=False, max_words=200)
    one = Vaner.from_pretrained(tmp_path, **options, batch_tokens=600)
    packed = Vaner.from_pretrained(tmp_path, **options, batch_tokens=1500, pack=500)
    assert one.settings.template == template
    for tagger in (one, packed):
        tagger.tokenisation.max_tokens = 160
    (row, *others) = one._prepare([Text.of(documents[0])], ["Disease", "Chemical"], None).rows
    assert others, "it was not windowed"
    assert one.tokenisation.tokenizer.decode(row.input_ids).endswith("is mentioned in the input, extract it.")
    together = [keys(d.spans) for d in one.tag_documents(documents[:4])]
    assert sum(map(len, together)) > 20
    assert [keys(next(iter(one.tag_documents([d]))).spans) for d in documents[:4]] == together
    assert [keys(d.spans) for d in packed.tag_documents(documents[:4])] == together


def test_a_dictionary_in_the_place_of_a_model_is_told_where_to_go():
    with pytest.raises(
        VanerError, match="kb:names.idx: names another kind of tagger; vaner.tagging.loading.load gives"
    ):
        Vaner.from_pretrained("kb:names.idx")
