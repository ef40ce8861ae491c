"""In: texts, what a model says of their words. Out: places of a name agree, and nothing else is touched."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model.test_network import build
from vaner.document import Document
from vaner.tagging import decode
from vaner.tagging.decode import B, I, O
from vaner.tagging.labeler import Vaner
from vaner.tagging.repeats import SHARE, together
from vaner.text.abbreviations import find
from vaner.text.spelling import folded
from vaner.text.units import Text


def said(text: Text, *odds: dict[int, tuple[float, ...]]) -> np.ndarray:
    """Log-probabilities, one type a dict: the first word of a place -> the log-odds of its B and its Is; else O."""
    logits = np.zeros((len(odds), len(text.words), 3))
    logits[..., 1:] = -6.0
    for row, places in enumerate(odds):
        for first, values in places.items():
            for number, value in enumerate(values):
                logits[row, first + number, B if number == 0 else I] = value
    return logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)


def found(text: Text, log_probs: np.ndarray, borders=()) -> list[list[str]]:
    """The mentions of each type once the places agree, as texts."""
    borders = [*borders, *text.block_starts]
    agreed = together(text, log_probs, decode.tags_of(log_probs, borders), borders)
    assert np.allclose(np.exp(agreed).sum(-1), 1)
    tags = decode.tags_of(agreed, borders)
    return [
        [text.document.text[text.offsets[a][0] : text.offsets[b - 1][1]] for a, b in decode.mentions(row)]
        for row in tags
    ]


def read(text: str) -> Text:
    return Text.of(Document("d", text))


def test_a_name_that_is_missed_in_one_place_is_found_there_too():
    text = read("Gliosis was seen. No gliosis in rats, gliosis in mice.")
    first, second, third = (i for i, word in enumerate(text.words) if word.lower() == "gliosis")
    assert found(text, said(text, {first: (4,), second: (-1,), third: (3,)})) == [
        ["Gliosis", "gliosis", "gliosis"]
    ]
    assert found(text, said(text, {first: (1,), second: (-4,), third: (-4,)})) == [[]], "most say no"
    # Each place keeps something of its own: two that doubt do not turn one that is sure.
    assert found(text, said(text, {first: (9,), second: (-3,), third: (-9,)})) == [["Gliosis"]]


def test_the_mean_is_of_log_odds_and_each_place_keeps_its_share():
    text = read("APC or APC")
    alone = said(text, {0: (3.0,), 2: (-1.0,)})
    agreed = together(text, alone, decode.tags_of(alone))
    odds = agreed[0, [0, 2], B] - agreed[0, [0, 2], O]
    assert odds == pytest.approx([SHARE + (1 - SHARE) * 3.0, SHARE - (1 - SHARE)])
    assert agreed[0, 1].tolist() == alone[0, 1].tolist(), "a word of no name keeps what the model said"


def test_words_of_a_longer_name_agree_each_with_its_own():
    text = read("breast cancer and breast cancer and breast cancer")
    assert found(text, said(text, {0: (5, 5), 3: (-2, -3), 6: (5, 5)})) == [["breast cancer"] * 3]
    # A place that is cut short is another mention, and stays one.
    cut = said(text, {0: (5, 5), 3: (5, -1), 6: (5, 5)})
    assert found(text, cut) == [["breast cancer", "breast", "breast cancer"]]


def test_an_abbreviation_is_one_name_with_its_long_form():
    text = read("Left ventricular assist device (LVAD) use. The LVAD and an LVAD failed.")
    short = [i for i, word in enumerate(text.words) if word == "LVAD"]
    assert len(short) == 3 and find(text.document.text)
    # The long form is surely no disease, and its short form is found in doubt.
    doubt = {number: (0.5,) for number in short}
    assert found(text, said(text, {0: (-6, -6, -6, -6), **doubt})) == [[]]
    undefined = read("A left ventricular assist device was used. LVAD. The LVAD and an LVAD failed.")
    short = [i for i, word in enumerate(undefined.words) if word == "LVAD"]
    assert found(undefined, said(undefined, {number: (0.5,) for number in short})) == [["LVAD"] * 3]


def test_a_long_form_that_is_found_gives_its_short_form():
    text = read("Familial adenomatous polyposis (FAP) is rare. FAP kills.")
    fap = [i for i, word in enumerate(text.words) if word == "FAP"]
    log_probs = said(text, {0: (8, 8, 8), fap[0]: (2,), fap[1]: (-1,)})
    assert found(text, log_probs) == [["Familial adenomatous polyposis", "FAP", "FAP"]]


def test_types_are_apart_and_a_place_inside_another_mention_is_left():
    text = read("renal cancer and cancer and cancer")
    disease = {0: (5, 5), 3: (5,), 5: (-1,)}
    assert found(text, said(text, disease, {5: (-1,)})) == [["renal cancer", "cancer", "cancer"], []]
    log_probs = said(text, disease)
    agreed = together(text, log_probs, decode.tags_of(log_probs))
    assert agreed[0, :2].tolist() == log_probs[0, :2].tolist()


def test_a_word_in_a_longer_mention_of_another_type_is_another_thing():
    text = read("IL-2 binds. The IL-2 gene and IL-2 gene and IL-2 gene. IL-2 works.")
    proteins = [i for i, word in enumerate(text.words) if word == "IL"]
    dna = {first: (5,) + (5,) * 3 for first in proteins[1:4]}
    protein = {proteins[0]: (2, 2, 2), proteins[4]: (-1, -1, -1)}
    assert found(text, said(text, protein, dna)) == [["IL-2", "IL-2"], ["IL-2 gene"] * 3]
    log_probs = said(text, protein, dna)
    alone = together(text, log_probs[:1], decode.tags_of(log_probs[:1]))
    apart = together(text, log_probs, decode.tags_of(log_probs), types_apart=True)
    assert np.allclose(apart[:1], alone) and decode.tags_of(alone).sum() == 0, "IL-2 of the gene says no"
    # Of a mention that is as long nothing is known: types of several guidelines may have the same words.
    same = {first: (5, 5, 5) for first in proteins[1:4]}
    assert found(text, said(text, {proteins[0]: (2, 2, 2)}, same))[0] == []


@pytest.mark.parametrize(
    ("text", "others"),
    [
        ("Aspirin or aspirin or ASPIRIN", ["aspirin"]),
        ("CAT and cat and Cat and CAT", ["CAT"]),
        ("IL-2 and IL-2R and IL - 2", ["IL - 2"]),
        ("breast cancer\n\nbreast\n\ncancer", []),
        ("breast cancer and breast\ncancer", ["breast\ncancer"]),
        ("to be to be to be", ["to be", "to be"]),
        ("a a a a", ["a a"]),
        ("a a b a a a", ["a a"]),
    ],
)
def test_which_places_are_of_one_name(text, others):
    read_text = read(text)
    words = {"breast": 2, "IL": 3, "to": 2, "a": 2}.get(text.split("-")[0].split()[0], 1)
    log_probs = said(read_text, {0: (9,) + (9,) * (words - 1)})
    borders = read_text.block_starts
    agreed = together(read_text, log_probs, decode.tags_of(log_probs, borders), borders)
    changed = np.flatnonzero((agreed[0] != log_probs[0]).any(-1)).tolist()
    document = read_text.document.text
    got = [
        document[read_text.offsets[number][0] : read_text.offsets[number + words - 1][1]]
        for number in changed[words::words]
    ]
    assert got == others


def test_no_name_runs_over_a_border():
    text = read("breast cancer or breast cancer")
    log_probs = said(text, {0: (9, 9)})
    assert together(text, log_probs, decode.tags_of(log_probs), [4]) is log_probs
    assert together(text, log_probs, decode.tags_of(log_probs), [3]) is not log_probs


def test_what_has_nothing_to_agree_on_comes_back_as_it_is():
    text = read("Fever and cough and fever")
    for log_probs in (said(text), said(text, {2: (9,)}), np.zeros((0, 5, 3))):
        assert together(text, log_probs, decode.tags_of(log_probs)) is log_probs
    empty = read("")
    assert together(empty, np.zeros((1, 0, 3)), np.zeros((1, 0), np.int8)).shape == (1, 0, 3)


def test_certainty_is_one_voice_among_others():
    text = read("x y x y x y x y x")
    log_probs = said(text, {number: (5.0,) for number in (2, 4, 6, 8)})
    with np.errstate(divide="ignore"):
        log_probs[0, 0] = np.log([1.0, 0.0, 0.0])
    assert found(text, log_probs) == [["x"] * 4]


def slowly(text: Text, log_probs: np.ndarray, borders: list[int]) -> np.ndarray:
    """The same, said as plainly as can be: every stretch of words against every name."""
    words = [folded(word) for word in text.words]
    starts = {start: i for i, (start, _) in enumerate(text.offsets)}
    ends = {end: i + 1 for i, (_, end) in enumerate(text.offsets)}
    definitions = {}
    for one in find(text.document.text):
        short = starts.get(one.short_start), ends.get(one.short_start + len(one.short))
        long = starts.get(one.long_start), ends.get(one.long_start + len(one.long))
        if None not in short + long:
            definitions.setdefault(tuple(words[slice(*short)]), tuple(words[slice(*long)]))
    result = log_probs.astype(np.float64).copy()
    every = [decode.mentions(tags) for tags in decode.tags_of(log_probs, borders)]
    for row, mentions in enumerate(every):
        longer = [set(range(a, b)) for number, one in enumerate(every) if number != row for a, b in one]
        inside = {i for first, last in mentions for i in range(first, last)}
        names = {tuple(words[first:last]) for first, last in mentions}
        linked = {s: long for s, long in definitions.items() if s in names or long in names}
        spellings = names | set(linked) | set(linked.values())
        taken: set[int] = set()
        places: dict[tuple, dict[tuple, list]] = {}
        for spelling in sorted(spellings, key=lambda one: (-len(one), one)):
            last_end, mine = 0, []
            for first in range(len(words) - len(spelling) + 1):
                last = first + len(spelling)
                here = set(range(first, last))
                if tuple(words[first:last]) != spelling or any(first < b < last for b in borders):
                    continue
                if first < last_end:
                    continue
                last_end = last
                if here & taken or (here & inside and (first, last) not in mentions):
                    continue
                if (first, last) not in mentions and any(here < one for one in longer):
                    continue
                mine.append((first, last))
            taken |= {i for first, last in mine for i in range(first, last)}
            if mine:
                places.setdefault(linked.get(spelling, spelling), {})[spelling] = mine
        for by_spelling in places.values():
            count = sum(map(len, by_spelling.values()))
            if count < 2:
                continue
            likely = np.maximum(log_probs[row].astype(np.float64), -10)
            odds = likely[:, 1:] - likely[:, :1]

            def path(first, last, odds=odds):
                return [odds[first, B - 1], *odds[first + 1 : last, I - 1]]

            overall = sum(np.mean(path(*one)) for mine in by_spelling.values() for one in mine) / count
            for mine in by_spelling.values():
                mean = np.mean([odds[first:last] for first, last in mine], axis=0)
                shift = (
                    overall - np.mean([np.mean(path(*one)) for one in mine]) if len(by_spelling) > 1 else 0
                )
                mean[0, B - 1] += shift
                mean[1:, I - 1] += shift
                for first, last in mine:
                    new = SHARE * mean + (1 - SHARE) * odds[first:last]
                    logits = np.concatenate([np.zeros((len(new), 1)), new], axis=1)
                    result[row, first:last] = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    return result


WORDS = ["a", "b", "B", "Bb", "bb", ".", "Adenomatous polyposis coli (APC)", "APC", "polyposis", "coli"]


@settings(deadline=None, max_examples=200)
@given(st.lists(st.sampled_from(WORDS), max_size=14), st.integers(1, 2), st.integers(0, 10**6), st.data())
def test_it_is_what_comparing_all_with_all_gives(words, types, seed, data):
    text = read(" ".join(words))
    count = len(text.words)
    scores = np.random.default_rng(seed).normal(0, 2, (types, count, 3))
    log_probs = scores - np.logaddexp.reduce(scores, axis=-1, keepdims=True)
    borders = sorted(data.draw(st.sets(st.integers(0, count - 1)))) if count else []
    got = together(text, log_probs, decode.tags_of(log_probs, borders), borders)
    assert np.allclose(got, slowly(text, log_probs, borders), atol=1e-9)


# --- of a tagger ---


@pytest.fixture
def forgetful(tiny_backbones, tiny_tokenizer, monkeypatch):
    """A tagger that is sure of the second word of one sentence, and unsure of that of all others."""

    def made(**options):
        one = Vaner(build(tiny_backbones["llama"]), tiny_tokenizer, max_words=1, **options)
        calls = iter(range(10**6))

        def once(rows, sequences=None):
            most = max(len(row.word_positions) for row in rows)
            scores = np.full((len(rows), len(rows[0].type_positions), most, 3), -9.0, np.float32)
            scores[..., O] = -0.1
            for row in scores:
                row[:, 1, B] = 4.0 if next(calls) == 0 else -0.5
            return scores - np.logaddexp.reduce(scores, axis=-1, keepdims=True)

        monkeypatch.setattr(one, "log_probs", once)
        return one

    return made


TEXT = "The gliosis was seen. No gliosis was there. Some gliosis was."


def test_a_tagger_reads_repeats_together_unless_told_not_to(forgetful):
    apart = forgetful(repeats=False)(TEXT, ["Disease"])
    assert [span.text for span in apart] == ["gliosis"]
    together_ = forgetful()(TEXT, ["Disease"])
    assert [span.text for span in together_] == ["gliosis"] * 3
    assert all(0.5 < span.score < 1 for span in together_), "scores are what the places agreed on"


def test_what_is_said_of_every_word_is_the_models_own(forgetful):
    apart, agreed = (
        list(forgetful(repeats=repeats, word_scores=True).tag_documents([Document("d", TEXT)], ["Disease"]))[
            0
        ]
        for repeats in (False, True)
    )
    assert apart.metadata["word_scores"] == agreed.metadata["word_scores"]
    assert len(apart.spans) < len(agreed.spans)
