"""In: counts of batches, mixtures, tiny runs. Out: names are read when the schedule says, text as without names."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.test_mixture import same
from tests.training.test_names import TEXTS, TYPES, kb, make_index, texts_of, words  # noqa: F401
from vaner.errors import VanerError
from vaner.inputs.instructions import Template
from vaner.training.drawing import Drawing
from vaner.training.mixture import Mixture, TrainingCorpus
from vaner.training.names import RelatedNames
from vaner.training.schedule import FALLING, FIRST, NAMES, SCHEDULES, TEXT, Order, Schedule

SCHEDULED = [kind for kind in SCHEDULES if kind != "throughout"]
LENGTHS = st.integers(0, 400)


# --- the order ---


@given(LENGTHS, LENGTHS, st.none() | st.integers(1, 1000), st.sampled_from(SCHEDULED))
def test_every_batch_is_read_once_and_both_streams_in_their_order(text, names, batches, kind):
    order = Order([[text // 2, text - text // 2], [names // 3, names - names // 3]], Schedule(kind, batches))
    read = list(order)
    assert len(read) == len(order) == text + names
    for stream, counts in ((TEXT, (text // 2, text - text // 2)), (NAMES, (names // 3, names - names // 3))):
        expected = [(stream, epoch, at) for epoch, count in enumerate(counts) for at in range(count)]
        assert [one for one in read if one[0] == stream] == expected
    of_names = [stream == NAMES for stream, _, _ in read]
    assert [order.names_before(i) for i in range(len(read) + 1)] == [
        sum(of_names[:i]) for i in range(len(read) + 1)
    ]


@given(LENGTHS, LENGTHS, st.none() | st.integers(1, 1000), st.sampled_from(SCHEDULED))
def test_a_run_that_ends_early_reads_its_share_of_names(text, names, batches, kind):
    every = text + names
    span = min(batches or every, every)
    read = [stream for stream, _, _ in Order([[text], [names]], Schedule(kind, batches))][:span]
    assert abs(read.count(NAMES) - span * names / max(every, 1)) <= 0.5
    if kind == FIRST:
        assert read == sorted(read, reverse=True), "names, then text"


def test_the_share_of_names_falls_linearly_to_none():
    for text, names, batches in ((9000, 900, None), (9000, 900, 3300), (1000, 1000, None)):
        order = Order([[text], [names]], Schedule(FALLING, batches))
        span = min(batches or len(order), len(order))
        of_names = np.array([order[i][0] == NAMES for i in range(span)])
        # Names beside each tenth of the text.
        beside = np.cumsum(~of_names)[of_names]
        found = np.histogram(beside, 10, (0, (~of_names).sum()))[0] / ((~of_names).sum() / 10)
        middles = (np.arange(10) + 0.5) / 10
        assert found == pytest.approx(2 * names / text * (1 - middles), abs=0.012)
        assert of_names[:4].any() and not of_names[-1]


def test_a_batch_past_the_end_is_an_index_error():
    order = Order([[2], [1]], Schedule(FIRST))
    for index in (3, -1):
        with pytest.raises(IndexError, match="of 3"):
            order[index]


def test_an_unknown_schedule_is_refused():
    with pytest.raises(VanerError, match="--kb_schedule last: choose throughout, first, falling"):
        Schedule("last")


# --- in the mixture ---


def mixture(texts, words, names=None, schedule=None, *, epochs=2, batch_tokens=300, **drawing) -> Mixture:  # noqa: F811
    sources = [TrainingCorpus("x", "x", texts, TYPES)]
    options = dict(batch_tokens=batch_tokens, epochs=epochs, seed=3, names=names, schedule=schedule)
    return Mixture(sources, words, Template(), Drawing(**drawing), **options)


def batches_of(one: Mixture) -> list[dict]:
    return [one[i] for i in range(len(one))]


def where(batches, others) -> list[int]:
    """Place of each of the batches among the others."""
    return [next(i for i, other in enumerate(others) if same(one, other)) for one in batches]


@pytest.mark.parametrize("kind", SCHEDULED)
@pytest.mark.parametrize("style", ["names", "frames", "replacement"])
def test_batches_of_text_are_those_of_a_run_without_names(kb, words, kind, style):  # noqa: F811
    texts = texts_of(*TEXTS * 12)
    one = mixture(texts, words, RelatedNames(kb, [texts], ratio=0.5, style=style), Schedule(kind))
    plain, found = batches_of(mixture(texts, words)), batches_of(one)
    of_text = [batch for i, batch in enumerate(found) if one._order[i][0] == TEXT]
    assert len(of_text) == len(plain) < len(found) and all(map(same, of_text, plain))
    # And every row of names is in one of the others.
    named = [batch for i, batch in enumerate(found) if one._order[i][0] == NAMES]
    rows = sum(len(batch["input_ids"]) for batch in named)
    assert rows == sum(one.name_rows) > 0
    assert one.tokens == sum(int((b["attention_mask"] > 0).sum()) for b in found)
    if kind == FIRST:
        assert [one._order[i][0] for i in range(len(named))] == [NAMES] * len(named)
    assert one.read_batches == (len(found), len(named))


@pytest.mark.parametrize("kind", SCHEDULED)
def test_the_rows_drawn_are_those_of_other_schedules(kb, words, kind):  # noqa: F811
    texts = texts_of(*TEXTS * 6)
    dense = RelatedNames(kb, [texts], ratio=0.5)
    one, usual = mixture(texts, words, dense, Schedule(kind)), mixture(texts, words, dense)
    for epoch in range(2):
        assert one.draws(epoch) == usual.draws(epoch)
    assert one.name_rows == usual.name_rows and one.tokens == usual.tokens


@pytest.mark.parametrize("kind", SCHEDULED)
def test_any_process_reads_the_same_batches_in_any_order(kb, words, kind):  # noqa: F811
    """Of three epochs names run ahead of text, so that two epochs are planned at a time."""
    texts = texts_of(*TEXTS * 6)

    def made():
        dense = RelatedNames(kb, [texts], ratio=1, style="frames")
        return mixture(texts, words, dense, Schedule(kind), epochs=3, replaced=0.5)

    first, again = made(), made()
    batches = batches_of(first)
    assert {(stream, epoch) for stream, epoch, _ in again._order} == {
        (s, e) for s in (0, 1) for e in range(3)
    }
    order = np.random.default_rng(0).permutation(len(again)).tolist()
    assert all(same(again[i], batches[i]) for i in order)
    sent = pickle.loads(pickle.dumps(first))
    assert all(same(sent[i], batches[i]) for i in reversed(range(len(sent))))


def test_a_run_that_ends_early_reads_the_same_batches_sooner(kb, words):  # noqa: F811
    texts = texts_of(*TEXTS * 30)
    dense = RelatedNames(kb, [texts], ratio=1)
    whole, short = (
        mixture(texts, words, dense, Schedule(FIRST)),
        mixture(texts, words, dense, Schedule(FIRST, 10)),
    )
    assert len(whole) == len(short)
    kinds = [short._order[i][0] for i in range(10)]
    of_names = kinds.count(NAMES)
    assert 0 < of_names < 10 and short.read_batches == (10, of_names)
    everything = batches_of(whole)
    text_begins = whole.read_batches[1]
    expected = [*range(of_names), *range(text_begins, text_begins + 10 - of_names)]
    assert where([short[i] for i in range(10)], everything) == expected


# --- whole runs ---


def train(backbone, folder, index, *more):
    from tests.training.test_run import train as run

    return run(backbone, folder, "--kb", str(index), "--kb_ratio", "0.5", *more)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    from vaner.files import shipped
    from vaner.knowledge import Rules, build
    from vaner.report import Report
    from vaner.vocabularies.terms import Term

    diseases = ("renal failure", "heart failure", "hepatic failure", "breast cancer", "hypotension", "pain")
    found = [Term(f"D{i}", name, ("Disease",), True) for i, name in enumerate(diseases)]
    found += [
        Term(f"C{i}", name, ("Chemical",), True) for i, name in enumerate(("lithium", "cocaine", "heparin"))
    ]
    path = tmp_path_factory.mktemp("kb") / "kb.idx"
    build(path, [({"name": "made"}, found)], Rules.load(shipped("kb")), Report())
    return path


@pytest.mark.parametrize(
    "flags",
    [
        ("--kb_schedule", "first", "--kb_style", "frames"),
        ("--kb_schedule", "falling", "--kb_replace", "0.5"),
    ],
)
def test_a_run_taken_up_again_reads_what_is_left(tiny_backbones, tmp_path, index, flags, capsys):
    from tests.training.test_run import losses, same, weights

    more = (
        *flags,
        "--max_steps",
        "8",
        "--num_train_epochs",
        "2",
        "--save_steps",
        "3",
        "--save_total_limit",
        "9",
    )
    whole = train(tiny_backbones["llama"], tmp_path / "whole", index, *more)
    said = capsys.readouterr().out
    record = json.loads((whole / "run.json").read_text())
    assert record["updates"] == 8 and len(losses(whole)) == 8
    assert f"--kb_schedule {flags[1]}: of 8 batches that the run reads " in said
    for name, value in zip(flags[::2], flags[1::2], strict=True):
        assert str(record["knowledge"][name.removeprefix("--kb_")]) == value
    assert bool(sum(record["knowledge"]["replaced_rows"])) == ("--kb_replace" in flags)
    (tmp_path / "again").mkdir()
    (whole / "checkpoint-3").rename(tmp_path / "again" / "checkpoint-3")
    again = train(
        tiny_backbones["llama"], tmp_path / "again", index, *more, "--resume_from_checkpoint", "last"
    )
    assert losses(again)[-5:] == losses(whole)[-5:]
    assert same(weights(again), weights(whole))


def test_a_schedule_that_the_clock_may_cut_off_is_said(tiny_backbones, tmp_path, index, capsys):
    more = ("--kb_schedule", "first", "--max_minutes", "0.01", "--cap", "3", "--save_strategy", "no")
    train(tiny_backbones["llama"], tmp_path / "run", index, *more)
    assert (
        "--kb_schedule first spans all 2 epochs, and --max_minutes may end the run" in capsys.readouterr().out
    )
