"""In: units with mentions, names of their types. Out: rows of corpora with names in place of some of the mentions."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from tests.training.test_mixture import same
from tests.training.test_names import (  # noqa: F401
    CHEMICALS,
    DISEASES,
    GENES,
    TEXTS,
    TYPES,
    kb,
    make_index,
    terms,
    texts_of,
    words,
)  # fmt: skip
from vaner.inputs.features import Tokenisation, Window
from vaner.inputs.hints import Hints
from vaner.inputs.instructions import Template
from vaner.knowledge import key_of
from vaner.text.tags import IGNORED, B, I, O, encode_tags
from vaner.training.drawing import Draw, Drawing
from vaner.training.mixture import Mixture, TrainingCorpus
from vaner.training.names import Example, RelatedNames

SEVERAL = [
    (
        ["We saw chronic velomitis and renal velomitis after zorbamide or zorbamide hydrate."],
        {"chronic velomitis": "Disease", "renal velomitis": "Disease", "zorbamide hydrate": "Chemical"},
    )
]


def mixture(texts, words, names=None, *, replaced=1.0, template=None, hints=None, types=TYPES, **drawing):  # noqa: F811
    options = dict(batch_tokens=900, epochs=2, seed=3, names=names, hints=hints)
    drawn = Drawing(replaced=replaced, **drawing)
    return Mixture([TrainingCorpus("x", "x", texts, types)], words, template or Template(), drawn, **options)


def pairs(one: Mixture, plain: Mixture, epoch: int = 0):
    """Each row and what it was before; the rows of names behind them left out."""
    before, found = plain.draws(epoch), one.draws(epoch)
    return list(zip(found[: len(found.units)], before[: len(before.units)], strict=True))


def gold(row: Draw, texts) -> tuple[tuple[str, ...], np.ndarray]:
    text = texts[row.text]
    tags, _ = encode_tags(text.offsets, text.document.spans, row.types)
    window = slice(row.window.start, row.window.end)
    return tuple(text.words[window]), tags[:, window]


def found_in(line, words) -> list[str]:  # noqa: F811
    starts = [i for i, label in enumerate(line) if label == B]
    ends = [next((j for j in range(i + 1, len(line)) if line[j] != I), len(line)) for i in starts]
    return [" ".join(words[a:b]) for a, b in zip(starts, ends, strict=True)]


@pytest.mark.parametrize("head", ["typed", "shared"])
def test_names_of_the_type_take_the_place_of_some_mentions(kb, words, head):  # noqa: F811
    texts = texts_of(*SEVERAL * 60)
    dense = RelatedNames(kb, [texts], ratio=0)
    one, plain = mixture(texts, words, dense, head=head), mixture(texts, words, head=head)
    changed, names = Counter(), set()
    for row, before in pairs(one, plain):
        said, tags = gold(before, texts)
        assert isinstance(row, Example) and (row.types, row.dataset) == (before.types, before.dataset)
        kept = 0
        for type, line, labels in zip(row.types, tags, row.labels, strict=True):
            old, new = found_in(line, said), found_in(labels, row.words)
            assert len(old) == len(new) and set(labels) <= {O, B, I}
            assert set(new) <= set(DISEASES if type == "Disease" else CHEMICALS)
            changed[len(new), sum(a != b for a, b in zip(old, new, strict=True))] += 1
            kept += sum(a == b for a, b in zip(old, new, strict=True))
            names |= set(new)

        # All that is no mention of an asked type is as it was.
        def outside(words, lines):  # noqa: F811
            return [w for i, w in enumerate(words) if not any(line[i] for line in lines)]

        assert outside(row.words, row.labels) == outside(said, tags.tolist())
        features = one.row(row)
        assert len(features) == one.length(row) and features.labels.tolist() == [
            list(line) for line in row.labels
        ]
        expected = words.row(Template().render(row.types, row.dataset), row.words)
        assert features.input_ids.tolist() == expected.input_ids.tolist()
    # Of two diseases none (a name may come to its own place), one and both.
    assert min(changed[2, 0], changed[2, 1], changed[2, 2]) > 3 and len(names) > 12


def test_only_a_share_of_the_rows_changes_and_rows_stay_as_many(kb, words):  # noqa: F811
    texts = texts_of(*SEVERAL * 200)
    dense = RelatedNames(kb, [texts], ratio=0)
    one, plain = mixture(texts, words, dense, replaced=0.3), mixture(texts, words)
    for epoch in (0, 1):
        rows = pairs(one, plain, epoch)
        changed = sum(isinstance(row, Example) for row, _ in rows)
        assert changed == one.replaced_rows[epoch]
        assert changed / len(rows) == pytest.approx(0.3, abs=0.12)
        assert all(row == before for row, before in rows if isinstance(row, Draw))
        assert one.name_rows[epoch] == 0 and len(one.draws(epoch)) == len(plain.draws(epoch))
    assert one.tokens == pytest.approx(plain.tokens, rel=0.03)


def test_planned_lengths_are_those_of_the_rows(kb, words):  # noqa: F811
    texts = texts_of(*SEVERAL * 30, *TEXTS * 10)
    one = mixture(texts, words, RelatedNames(kb, [texts], ratio=0.5, style="frames"), replaced=0.7)
    for epoch in (0, 1):
        draws = one.draws(epoch)
        assert draws.lengths.tolist() == [len(one.row(draw)) for draw in draws]
    batches = [one[i] for i in range(len(one))]
    assert all(batch["input_ids"].size <= 900 for batch in batches)
    assert one.tokens == sum(int((batch["attention_mask"] > 0).sum()) for batch in batches)


def test_rows_of_names_are_those_without_replacement(kb, words):  # noqa: F811
    texts = texts_of(*SEVERAL * 30)
    dense = RelatedNames(kb, [texts], ratio=0.5)
    one, plain = (mixture(texts, words, dense, replaced=share) for share in (0.5, 0.0))
    for epoch in (0, 1):
        found, before = one.draws(epoch), plain.draws(epoch)
        assert found[len(found.units) :] == before[len(before.units) :] != []
    again = mixture(texts, words, RelatedNames(kb, [texts], ratio=0.5), replaced=0.5)
    assert all(same(again[i], one[i]) for i in reversed(range(len(one))))


def test_what_the_gate_drops_is_not_put_in(kb, words):  # noqa: F811
    texts = texts_of(*SEVERAL * 60)
    dense = RelatedNames(kb, [texts], ratio=0, dropped={key_of(name) for name in DISEASES[4:]})
    rows = [
        row
        for row, _ in pairs(mixture(texts, words, dense, head="shared"), mixture(texts, words, head="shared"))
    ]
    diseases = {
        name for row in rows if row.types == ("Disease",) for name in found_in(row.labels[0], row.words)
    }
    assert diseases <= set(DISEASES[:4]) and len(diseases) == 4


def test_rows_with_hints_stay_as_they_are(kb, words):  # noqa: F811
    texts = texts_of(*SEVERAL * 30)
    dense = RelatedNames(kb, [texts], ratio=0)
    more = dict(hints=Hints(kb, TYPES), template=Template().with_hints(), hinted=0.5)
    rows = pairs(mixture(texts, words, dense, **more), mixture(texts, words, **more))
    assert Counter(bool(before.hints) for _, before in rows)[True] > 5
    for row, before in rows:
        assert isinstance(row, Draw) == bool(before.hints)
        assert not before.hints or row == before


def test_a_row_that_would_be_too_long_stays(kb, tiny_tokenizer, make_index):  # noqa: F811
    long = [f"{name} {'of the upper lip ' * 12}" for name in DISEASES[:2]]
    found = make_index(*terms(long, "Disease"))
    texts = texts_of((["It was acute velomitis."], {"acute velomitis": "Disease"}), types=("Disease",))
    dense = RelatedNames(found, [texts], ratio=0)
    assert len(dense.names()) == 2
    for room, copies, replaced in ((140, 1, 0), (900, 1, 1), (250, 2, 0), (900, 2, 1)):
        one = mixture(texts, Tokenisation(tiny_tokenizer, room, copies), dense, types=("Disease",))
        assert one.replaced_rows == [replaced] * 2
        assert all(len(one.row(draw)) <= room for draw in one.draws(0))


def test_a_mention_that_the_kept_part_cuts_stays_and_words_around_it_carry_no_label(kb):  # noqa: F811
    mentions = dict.fromkeys(("renal velomitis", "nasal velomitis", "ocular velomitis"), "Disease")
    (text,) = texts_of((["Of renal velomitis and nasal velomitis we saw ocular velomitis here."], mentions))
    dense = RelatedNames(kb, [[text]])
    types = ("Disease", "CellLine")
    tags = np.array([[O, B, I, O, B, I, O, O, B, I, O, O], [O] * 12])

    def rows(window):
        rng = np.random.default_rng(1)
        inside = tags[:, window.start : window.end]
        return [dense.replacement(rng, 0, 0, window, types, inside, "x") for _ in range(40)]

    for row in rows(Window(1, 12, 3, 9)):
        assert row.words[:3] == ("renal", "velomitis", "and"), "before what is kept"
        assert row.words[-6:] == ("we", "saw", "ocular", "velomitis", "here", ".")
        assert row.labels[0] == (*[IGNORED] * 2, O, B, I, O, O, B, *[IGNORED] * 3)
        # Whether a name of the index is a cell line too is not known.
        assert row.labels[1] == (*[IGNORED] * 2, O, IGNORED, IGNORED, *[O] * 3, *[IGNORED] * 3)
    assert len({row.words for row in rows(Window(1, 12, 3, 9))}) > 5
    assert rows(Window(0, 3, 0, 2)) == rows(Window(0, 12, 9, 12)) == [None] * 40
