"""In: small corpora, made and of the samples. Out: what is drawn follows seed, weights and what is annotated."""

from __future__ import annotations

import itertools
import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.plain_mixture import PlainCorpus, PlainMixture
from vaner.corpora.registry import read_registry
from vaner.document import Document
from vaner.errors import VanerError
from vaner.files import sha256
from vaner.inputs.features import MAX_WORD_TOKENS, Tokenisation
from vaner.inputs.hints import Hints
from vaner.inputs.instructions import Template
from vaner.tagging import decode
from vaner.text.tags import IGNORED, B, I, O, encode_tags
from vaner.text.units import Text
from vaner.training.drawing import Drawing
from vaner.training.mixture import Mixture, TrainingCorpus, temperature_weights
from vaner.training.names import RelatedNames
from vaner.training.texts import Texts
from vaner.vocabularies.terms import Term


def document(number: int, sentences: list[str], types, mentions: dict[str, str]) -> Document:
    """Sentences, and each surface -> type marked wherever it stands."""
    text = " ".join(sentences)
    found = []
    for surface, kind in mentions.items():
        at = text.find(surface)
        while at >= 0:
            found.append((at, at + len(surface), kind))
            at = text.find(surface, at + 1)
    made = Document(f"d{number}", text, types=types)
    return made.with_spans([made.span(*one) for one in found])


def corpus(
    name: str, types: tuple[str, ...], documents: int = 6, weight: float = 1.0, annotated=None
) -> TrainingCorpus:
    made = [
        document(
            number,
            [
                f"Patients {number} had renal failure." if i % 3 else f"It was seen {i} times."
                for i in range(7)
            ],
            frozenset(types) if annotated is None else annotated(number),
            {"renal failure": types[0]},
        )
        for number in range(documents)
    ]
    return TrainingCorpus(name, name, [Text.of(d) for d in made], types, weight)


@pytest.fixture(scope="session")
def words(tiny_tokenizer) -> Tokenisation:
    return Tokenisation(tiny_tokenizer, 400)


@pytest.fixture(scope="session")
def real() -> list[TrainingCorpus]:
    """Two samples: chemicals and diseases of whole abstracts, genes of single sentences."""
    found = []
    for name in ("bc5cdr-sample", "bc2gm-sample"):
        one = read_registry()[name]
        texts = [Text.of(d) for d in itertools.islice(one.documents("train"), 12)]
        found.append(TrainingCorpus(name, one.instruction_name, texts, tuple(sorted(one.annotated))))
    return found


def mixture(sources, words, *, seed=3, epochs=1, batch_tokens=1500, template=None, **drawing) -> Mixture:
    return Mixture(
        sources,
        words,
        template or Template(),
        Drawing(**drawing),
        batch_tokens=batch_tokens,
        epochs=epochs,
        seed=seed,
    )


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


# --- the seed ---


def test_the_same_seed_gives_the_same_batches_and_the_epoch_others(real, words):
    first, again = (mixture(real, words, epochs=2) for _ in range(2))
    assert len(first) == len(again) > 4
    # Read backwards, and out of order, as another process or a resumed run does.
    batches = [first[i] for i in range(len(first))]
    assert all(same(again[i], batches[i]) for i in reversed(range(len(again))))
    assert first.draws(0) == again.draws(0) != first.draws(1)
    other = mixture(real, words, epochs=2, seed=4)
    assert other.draws(0) != first.draws(0)


def test_batches_of_an_epoch_are_its_draws_each_once(real, words):
    one = mixture(real, words, epochs=2)
    seen = Counter()
    for batch in (one[i] for i in range(len(one))):
        for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True):
            seen[tuple(ids[mask == 1].tolist())] += 1
    drawn = Counter(tuple(one.row(d).input_ids.tolist()) for epoch in (0, 1) for d in one.draws(epoch))
    assert seen == drawn
    assert one.tokens == sum(len(ids) * n for ids, n in seen.items())


@pytest.mark.parametrize("copies", [1, 2])
def test_batches_are_within_budget_and_padding_is_counted(real, tiny_tokenizer, copies):
    words = Tokenisation(tiny_tokenizer, 400, copies)
    one = mixture(real, words, epochs=2, batch_tokens=900)
    batches = [one[i] for i in range(len(one))]
    assert all(b["input_ids"].size <= 900 for b in batches)
    padded = sum(b["input_ids"].size for b in batches)
    shares = []
    for draws, rows, ends in (one._plan(0), one._plan(1)):
        planned = [[one.length(draws[i]) for i in batch] for batch in np.split(rows, ends[:-1])]
        shares.append(1 - sum(map(sum, planned)) / sum(len(b) * max(b) for b in planned))
    assert one.padding == pytest.approx(shares)
    assert 0 < 1 - one.tokens / padded < 0.2
    assert one.tokens == sum(int((one[i]["attention_mask"] != 0).sum()) for i in range(len(one)))


def test_a_batch_past_the_end_is_an_index_error(real, words):
    one = mixture(real, words)
    assert sum(1 for _ in one) == len(one), "iterating ends"
    for index in (len(one), -1):
        with pytest.raises(IndexError):
            one[index]


def test_a_mixture_can_be_sent_to_another_process(real, words):
    one = mixture(real, words)
    first = one[0]
    assert same(pickle.loads(pickle.dumps(one))[0], first)


# --- against rows that are objects ---

DRAWINGS = {
    "as it is": {},
    "one type a row": {"head": "shared", "absent_types": 0.5},
    "single sentences": {"max_words": 1, "keep_empty": 0.3},
    "fewer types": {"absent_types": 0.2, "one_type": 0.5, "all_types": 0.1, "drop_dataset": 0.6},
    "narrow rows": {"max_words": 300, "single_sentence": 0.0},
    "hints": {"hinted": 0.7},
    "names": {"names": "both"},
    "names and hints": {"names": "names", "hinted": 0.5, "head": "shared"},
    "the instruction behind": {"place": "after"},
    "the text twice": {"copies": 2, "max_words": 300, "single_sentence": 0.0, "names": "both", "hinted": 0.5},
}


NAMES = [
    ("toxicity", ("Disease",)),
    ("lithium", ("Chemical",)),
    ("renal failure", ("Disease",)),
    ("lithium toxicity", ("Disease",)),
    ("hypotension", ("Disease",)),
    ("TNF", ("Gene",)),
]


@pytest.mark.parametrize("kind", DRAWINGS)
@pytest.mark.parametrize("stored", [False, True])
def test_columns_hold_the_rows_that_objects_would_be(real, tiny_tokenizer, make_kb, tmp_path, kind, stored):
    drawing = dict(DRAWINGS[kind])
    template = Template(place=drawing.pop("place", "before"))
    copies = drawing.pop("copies", 1)
    tokenisation = Tokenisation(tiny_tokenizer, 220 if kind == "narrow rows" else 400, copies)
    extra = {}
    if "hinted" in drawing or "names" in drawing:
        kb = make_kb([Term(f"T{n}", *one, True) for n, one in enumerate(NAMES)])
    if "hinted" in drawing:
        extra["hints"], template = Hints(kb, ("Chemical", "Disease")), template.with_hints()
    lists = [(s.name, s.dataset, list(s.texts), s.types, w) for s, w in zip(real, (1.5, 0.6), strict=True)]
    if style := drawing.pop("names", None):
        given = [one[2] for one in lists]
        extra["names"] = RelatedNames(kb, given, style=style, ratio=1.3)
    options = dict(batch_tokens=900, epochs=2, seed=11, **extra)
    plain = PlainMixture(
        [PlainCorpus(*one) for one in lists], tokenisation, template, Drawing(**drawing), **options
    )
    sources = [TrainingCorpus(*one) for one in lists]
    if stored:
        for number, source in enumerate(sources):
            path = tmp_path / f"{number}.arrow"
            sizes = Texts.write(path, lists[number][2], source.types)
            source.texts = Texts.open(path, source.types, vars(sizes), sha256(path))
    one = Mixture(sources, tokenisation, template, Drawing(**drawing), **options)
    assert len(one) == len(plain) > 3
    for number in range(len(one)):
        ours, theirs = one[number], plain[number]
        assert same(ours, theirs) and all(ours[k].dtype == theirs[k].dtype for k in ours)
    assert [list(one.draws(epoch)) for epoch in (1, 0)] == [plain.draws(epoch) for epoch in (1, 0)]
    counts = ("tokens", "name_rows", "hinted_rows")
    assert [getattr(one, name) for name in counts] == [getattr(plain, name) for name in counts]
    assert one.padding == pytest.approx(plain.padding)
    assert bool(sum(one.name_rows)) == (style is not None)
    assert bool(sum(one.hinted_rows)) == ("hints" in extra)


# --- what is drawn ---


def drawn_words(one: Mixture, epoch: int) -> Counter:
    """(source, document, word) -> in how many rows it carries a label."""
    return Counter(
        (d.source, d.text, word)
        for d in one.draws(epoch)
        for word in range(d.window.keep_start, d.window.keep_end)
    )


@pytest.mark.parametrize(
    ("max_words", "single"), [(1, 0.0), (2, 0.3), (40, 0.3), (300, 0.0), (40, 1.0), (300, 0.3)]
)
def test_every_word_is_trained_once_an_epoch_at_weight_one(real, words, max_words, single):
    one = mixture(real, words, max_words=max_words, single_sentence=single)
    every = {
        (s, t, w)
        for s, source in enumerate(real)
        for t, text in enumerate(source.texts)
        for w in range(len(text.words))
    }
    assert drawn_words(one, 0) == Counter(every)
    for draw in one.draws(0):
        starts = {start for start, _ in real[draw.source].texts[draw.text].sentence_ranges()}
        if draw.window.start == draw.window.keep_start:
            assert draw.window.start in starts, "a unit begins with a sentence"


def test_single_sentences_and_longer_units_are_both_drawn(real, tiny_tokenizer):
    wide = Tokenisation(tiny_tokenizer, 4000)

    def sentences(**drawing):
        """How many sentences each unit holds."""
        found = []
        for d in mixture(real, wide, **drawing).draws(0):
            ranges = real[d.source].texts[d.text].sentence_ranges()
            found.append(sum(d.window.start <= s < d.window.end for s, _ in ranges))
        return found

    mixed = sentences(max_words=96, single_sentence=0.25)
    assert min(mixed) == 1 and max(mixed) >= 3
    assert set(sentences(max_words=96, single_sentence=1.0)) == {1}
    assert set(sentences(max_words=1)) == {1}


@pytest.mark.parametrize("head", ["typed", "shared"])
def test_labels_are_the_gold_tags(real, words, head):
    one = mixture(real, words, head=head)
    tokens = 0
    for draw in one.draws(0):
        text = real[draw.source].texts[draw.text]
        gold, _ = encode_tags(text.offsets, text.document.spans, draw.types)
        row = one.row(draw)
        kept = slice(draw.window.keep_start - draw.window.start, draw.window.keep_end - draw.window.start)
        assert row.labels[:, kept].tolist() == gold[:, draw.window.keep_start : draw.window.keep_end].tolist()
        assert (row.labels != IGNORED).sum() == len(draw.types) * (
            draw.window.keep_end - draw.window.keep_start
        )
        assert len(row) == one.length(draw) <= words.max_tokens
        assert len(row.type_positions) == len(row.labels) == len(draw.types)
        expected = Template().render(draw.types, draw.dataset)
        assert (
            row.input_ids.tolist()
            == words.row(expected, text.words[draw.window.start : draw.window.end]).input_ids.tolist()
        )
        tokens += len(row)
    assert one.tokens == tokens


def test_only_annotated_types_are_asked_also_where_documents_annotate_fewer(words):
    """Absence of a label is not a negative: what a document does not annotate is never asked of it."""
    annotated = {0: {"Disease"}, 1: {"Chemical", "Gene"}, 2: set(), 3: {"Disease", "Chemical", "Gene"}}
    source = corpus("x", ("Disease", "Chemical", "Gene"), 4, annotated=lambda n: frozenset(annotated[n]))
    one = mixture([source], words, epochs=1)
    asked = {n: set() for n in annotated}
    for epoch in range(20):
        for draw in one.draws(epoch):
            asked[draw.text] |= set(draw.types)
            assert len(set(draw.types)) == len(draw.types)
    assert asked == annotated


def test_types_are_asked_in_shuffled_order_and_number(words):
    one = mixture([corpus("x", ("A", "B", "C"), 8)], words)
    asked = Counter(d.types for epoch in range(60) for d in one.draws(epoch))
    rows = sum(asked.values())
    assert {len(types) for types in asked} == {1, 2, 3}
    assert sum(len(t) == 3 for t in asked) == 6, "every order of all"
    whole = sum(n for types, n in asked.items() if len(types) == 3) / rows
    # 0.85 x (0.7 + 0.3 / 3); four standard errors of a share of so many rows.
    assert whole == pytest.approx(0.85 * 0.8, abs=4 * (0.68 * 0.32 / rows) ** 0.5)
    alone = Counter(types[0] for types, n in asked.items() for _ in range(n) if len(types) == 1)
    assert max(alone.values()) < 1.3 * min(alone.values())


@pytest.mark.parametrize("head", ["typed", "shared"])
def test_types_that_a_unit_does_not_mention_are_asked_as_often_as_wanted(real, words, head):
    def absent(draws):
        """For each row the types that its unit does not mention, and how many it asks in all."""
        for draw in draws:
            text, w = real[draw.source].texts[draw.text], draw.window
            tags, _ = encode_tags(text.offsets, text.document.spans, draw.types)
            yield sum(not line[w.keep_start : w.keep_end].any() for line in tags), len(draw.types)

    every, again = (mixture(real, words, epochs=1, head=head, absent_types=1.0) for _ in range(2))
    assert every.draws(0) == mixture(real, words, epochs=1, head=head).draws(0) == again.draws(0)
    counts = {}
    for share in (0.0, 0.5, 1.0):
        rows = list(absent(mixture(real, words, epochs=1, head=head, absent_types=share).draws(0)))
        counts[share] = sum(n for n, _ in rows)
        if share == 0:
            assert {(n, asked) for n, asked in rows if n} == {(1, 1)}, (
                "a unit that mentions none is asked one"
            )
    assert counts[0.0] < counts[0.5] < counts[1.0]


def test_the_shared_head_asks_one_type_a_row_and_all_of_them(words):
    one = mixture([corpus("x", ("A", "B", "C"))], words, head="shared")
    draws = one.draws(0)
    assert {len(d.types) for d in draws} == {1}
    units = Counter((d.text, d.window.start) for d in draws)
    assert set(units.values()) == {3}
    assert Counter(d.types[0] for d in draws) == dict.fromkeys("ABC", len(draws) // 3)


def test_the_dataset_is_left_out_of_about_one_row_in_seven(words):
    one = mixture([corpus("x", ("A", "B"), 20)], words)
    draws = [d for epoch in range(40) for d in one.draws(epoch)]
    share = sum(d.dataset is None for d in draws) / len(draws)
    assert share == pytest.approx(0.15, abs=4 * (0.15 * 0.85 / len(draws)) ** 0.5)
    assert {d.dataset for d in draws} == {None, "x"}
    assert all(d.dataset == "x" for d in mixture([corpus("x", ("A",))], words, drop_dataset=0).draws(0))
    assert all(d.dataset is None for d in mixture([corpus("x", ("A",))], words, drop_dataset=1).draws(0))


def test_weights_say_how_often_a_corpus_is_drawn(words):
    sources = [corpus(n, ("A",), 20, weight) for n, weight in (("one", 1.0), ("half", 0.5), ("more", 2.5))]
    one = mixture(sources, words, single_sentence=1.0)
    rows = np.mean([[sum(d.source == s for d in one.draws(e)) for s in range(3)] for e in range(10)], axis=0)
    assert rows[0] == 20 * 7
    assert rows[1] == pytest.approx(20 * 7 * 0.5, rel=0.05)
    assert rows[2] == pytest.approx(20 * 7 * 2.5, rel=0.02)
    # A weight changes nothing of what is drawn from the others.
    alone = mixture([corpus("one", ("A",), 20)], words, single_sentence=1.0)
    assert [d for d in one.draws(0) if d.source == 0] == alone.draws(0)


def test_units_without_a_mention_are_kept_by_their_share(words):
    source = corpus("x", ("A",), 40)
    one = mixture([source], words, single_sentence=1.0, keep_empty=0.5)
    empty, full = [], []
    for epoch in range(10):
        labels = [one.row(d).labels.any() for d in one.draws(epoch)]
        full.append(sum(labels))
        empty.append(len(labels) - sum(labels))
    assert set(full) == {40 * 4}, "what holds a mention is always kept"
    assert np.mean(empty) == pytest.approx(40 * 3 * 0.5, rel=0.1)
    assert all(one.row(d).labels.any() for d in mixture([source], words, keep_empty=0).draws(0))


@pytest.mark.parametrize("copies", [1, 2])
def test_a_unit_too_long_for_a_row_is_windows_that_train_each_word_once(tiny_tokenizer, copies):
    narrow = Tokenisation(tiny_tokenizer, 140 * copies, copies)
    text = " ".join(["renal failure and"] * 120) + "."
    made = document(0, [text], frozenset("A"), {"renal failure": "A"})
    one = mixture(
        [TrainingCorpus("x", "x", [Text.of(made)], ("A",))],
        narrow,
        template=Template("{types} {dataset}", "{types}"),
    )
    draws = one.draws(0)
    assert len(draws) > 3
    assert set(drawn_words(one, 0).values()) == {1}
    tags = np.full(len(one.sources[0].texts[0].words), -1)
    for draw in draws:
        row = one.row(draw)
        assert len(row) == one.length(draw) <= narrow.max_tokens
        labels = row.labels[0]
        trained = np.flatnonzero(labels != IGNORED) + draw.window.start
        assert trained.tolist() == list(range(draw.window.keep_start, draw.window.keep_end))
        tags[trained] = labels[labels != IGNORED]
    gold, _ = encode_tags(one.sources[0].texts[0].offsets, made.spans, ["A"])
    assert tags.tolist() == gold[0].tolist()
    assert len(decode.mentions(tags)) == 120


def test_the_rest_of_a_mention_cut_by_a_sentence_border_carries_no_label(words):
    text = "It was acute renal failure of both"
    marked = [(0, 18), (19, len(text))]
    made = Document("d", text, sentences=marked, types=frozenset("A"))
    made = made.with_spans([made.span(7, 26, "A")])
    source = TrainingCorpus("x", "x", [Text.of(made)], ("A",))
    apart = mixture([source], words, single_sentence=1.0)
    rows = {d.window.start: apart.row(d).labels.tolist() for d in apart.draws(0)}
    assert rows == {0: [[O, O, B, I]], 4: [[IGNORED, O, O]]}
    (whole,) = mixture([source], words, single_sentence=0.0, max_words=2).draws(0)[:1]
    assert whole.window.start == 0


def test_a_very_long_word_does_not_break_the_window(words):
    made = Document("d", "see " + "ACGT" * 3000 + " here", types=frozenset("A"))
    one = mixture([TrainingCorpus("x", "x", [Text.of(made)], ("A",))], words)
    before, at, after = one.row(one.draws(0)[0]).word_positions
    assert at - before <= 2 and after - at == MAX_WORD_TOKENS
    assert len(words.shortened) == 1


def test_mentions_out_of_reach_are_counted_once(words):
    made = Document("d", "p53like", types=frozenset("A"))
    source = TrainingCorpus("x", "x", [Text.of(made.with_spans([made.span(0, 3, "A")]))], ("A",))
    for _ in range(2):
        mixture([source], words)
        assert source.unreachable == 1


# --- what is refused ---


def test_a_corpus_without_documents_is_refused():
    with pytest.raises(VanerError, match="x: no training document is left"):
        TrainingCorpus("x", "x", [], ("A",))


def test_a_mix_of_which_nothing_is_left_is_refused(words):
    nothing = corpus("x", ("A",), 3, annotated=lambda n: frozenset())
    with pytest.raises(VanerError, match="no row is left to train on"):
        mixture([nothing], words)


def test_a_window_too_small_for_the_instruction_is_said_before_training(tiny_tokenizer):
    with pytest.raises(VanerError, match="--max_tokens"):
        mixture([corpus("x", ("A",))], Tokenisation(tiny_tokenizer, 64))


# --- temperature ---


def test_temperature_one_leaves_corpora_as_they_are():
    assert temperature_weights([100, 10_000, 7], 1.0) == [1, 1, 1]


@settings(deadline=None)
@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=6), st.floats(1, 20))
def test_shares_follow_size_to_the_inverse_temperature(sizes, temperature):
    weights = temperature_weights(sizes, temperature)
    drawn = np.array(sizes) * weights
    wanted = np.array(sizes, dtype=float) ** (1 / temperature)
    assert drawn / drawn.sum() == pytest.approx(wanted / wanted.sum())
    assert weights[int(np.argmin(sizes))] == pytest.approx(1) and max(weights) <= 1 + 1e-12


@pytest.mark.parametrize("temperature", [0.5, 0, -1, float("nan"), float("inf")])
def test_a_wrong_temperature_is_refused(temperature):
    with pytest.raises(VanerError, match="mix_temperature"):
        temperature_weights([1, 2], temperature)
