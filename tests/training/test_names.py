"""In: a small index and made texts. Out: rows of related names, labelled by type, drawn anew and by the seed."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from tests.training.test_mixture import document, same
from vaner.errors import VanerError
from vaner.files import shipped
from vaner.inputs.features import Tokenisation
from vaner.inputs.instructions import Template
from vaner.knowledge import KnowledgeBase, Rules, build
from vaner.report import Report
from vaner.text.tags import IGNORED, B, I, O, encode_tags
from vaner.text.units import Text
from vaner.training import run as training
from vaner.training.drawing import Draw, Drawing
from vaner.training.mixture import Mixture, TrainingCorpus
from vaner.training.names import Example, RelatedNames
from vaner.vocabularies.terms import Term

DISEASES = [f"{kind} velomitis" for kind in
            ("acute", "chronic", "hepatic", "renal", "ocular", "nasal", "dermal", "cardiac", "spinal", "gastric",
             "tubular", "mixed", "focal", "diffuse")]  # fmt: skip
CHEMICALS = ["zorbamide", "zorbamide sulphate", "zorbamide chloride", "zorbamide hydrate", "velomitide"]
GENES = [f"velomitis {n}" for n in ("alpha", "beta", "gamma", "delta", "kappa", "sigma", "theta", "omega")]


def terms(names, type) -> list[Term]:
    return [Term(f"{type}{i}", name, (type,), True) for i, name in enumerate(names)]


@pytest.fixture(scope="module")
def make_index(tmp_path_factory):
    def make(*found: Term):
        path = tmp_path_factory.mktemp("kb") / "kb.idx"
        return build(path, [({"name": "made"}, found)], Rules.load(shipped("kb")), Report())

    return make


@pytest.fixture(scope="module")
def kb(make_index):
    return make_index(*terms(DISEASES, "Disease"), *terms(CHEMICALS, "Chemical"), *terms(GENES, "Gene"))


TYPES = ("Chemical", "Disease")


def texts_of(*found: tuple[list[str], dict[str, str]], types=TYPES) -> list[Text]:
    return [Text.of(document(i, s, frozenset(types), m)) for i, (s, m) in enumerate(found)]


TEXTS = [
    (
        ["He had acute velomitis for years.", "Nothing was found in the others.", "The zorbamide did good."],
        {"acute velomitis": "Disease", "zorbamide": "Chemical"},
    ),
    (
        ["We saw chronic velomitis after zorbamide."],
        {"chronic velomitis": "Disease", "zorbamide": "Chemical"},
    ),
]


def draw(
    dense: RelatedNames, rng, text: int, types, sentences: tuple[int, int] | None = None
) -> Example | None:
    """A row for the given sentences of a text of the first source."""
    of = dense._texts[0][text]
    ranges = of.sentence_ranges()
    first, last = sentences or (0, len(ranges))
    start, end = ranges[first][0], ranges[last - 1][1]
    tags, _ = encode_tags(of.offsets, of.document.spans, types)
    return dense.example(rng, 0, text, start, end, types, tags[:, start:end])


def many(dense: RelatedNames, text: int, types, count: int = 60, **more) -> list[Example]:
    rng = np.random.default_rng(1)
    found = [draw(dense, rng, text, types, **more) for _ in range(count)]
    assert all(found)
    return found


def names_in(row: Example, names) -> list[tuple[str, int]]:
    """Which of the names a row is made of, in order, and where each begins."""
    longest_first = sorted(names, key=lambda n: -len(n.split()))
    at, found = 0, []
    while at < len(row.words):
        name = next(n for n in longest_first if row.words[at : at + len(n.split())] == tuple(n.split()))
        found.append((name, at))
        at += len(name.split())
    return found


ALL = [*DISEASES, *CHEMICALS, *GENES]


# --- rows of names ---


def test_names_are_tagged_by_their_type(kb):
    dense = RelatedNames(kb, [texts_of(*TEXTS)])
    seen = Counter()
    for types in (("Disease",), ("Chemical",), ("Chemical", "Disease"), ("Disease", "Chemical")):
        for row in many(dense, 1, types):
            assert row.types == types and {len(line) for line in row.labels} == {len(row.words)}
            for name, at in names_in(row, ALL):
                own = "Disease" if name in DISEASES else "Chemical" if name in CHEMICALS else "Gene"
                for type, line in zip(types, row.labels, strict=True):
                    labels = list(line[at : at + len(name.split())])
                    seen[own, type] += 1
                    assert labels == ([B] + [I] * (len(labels) - 1) if own == type else [O] * len(labels))
    assert seen.keys() == {(own, type) for own in ("Disease", "Chemical", "Gene") for type in TYPES}


def test_at_most_so_many_of_the_asked_types_and_of_others(kb):
    for asked, others in ((10, 5), (3, 1), (4, 0)):
        dense = RelatedNames(kb, [texts_of(*TEXTS)], asked=asked, others=others)
        for types in (("Disease",), TYPES):
            for row in many(dense, 1, types):
                names = [name for name, _ in names_in(row, ALL)]
                assert len(names) == len(set(names))
                of_type = [n for n in names if n in DISEASES or (n in CHEMICALS and "Chemical" in types)]
                assert len(of_type) == asked and len(names) - len(of_type) == others
                if types == TYPES and asked < 10:
                    share = Counter(n in DISEASES for n in of_type)
                    assert abs(share[True] - share[False]) <= 1


def test_all_related_names_come_up_in_any_order(kb):
    rows = [names_in(row, ALL) for row in many(RelatedNames(kb, [texts_of(*TEXTS)]), 1, ("Disease",), 200)]
    assert set(DISEASES) <= {name for row in rows for name, _ in row}
    assert len({tuple(row) for row in rows}) == len(rows)
    firsts = Counter(row[0][0] in DISEASES for row in rows)
    assert min(firsts[True], firsts[False]) > 30


def test_a_row_has_its_own_sentences_names(kb):
    dense = RelatedNames(kb, [texts_of(*TEXTS)])
    first = {n for row in many(dense, 0, TYPES, sentences=(0, 1)) for n, _ in names_in(row, ALL)}
    third = {n for row in many(dense, 0, TYPES, sentences=(2, 3)) for n, _ in names_in(row, ALL)}
    both = {n for row in many(dense, 0, TYPES, 200, sentences=(0, 3)) for n, _ in names_in(row, ALL)}
    assert "zorbamide" in third - first and "renal velomitis" in first - third
    assert both == first | third
    rng = np.random.default_rng(1)
    assert draw(dense, rng, 0, TYPES, (1, 2)) is None, "nothing is related to the second"
    assert (dense.sentences, dense.without_candidates) == (4, 1)


def test_names_that_only_stand_in_the_sentence_are_related_too(kb):
    dense = RelatedNames(kb, [texts_of((["He had renal velomitis."], {}))])
    assert {row.words for row in many(dense, 0, ("Disease",))} == {("renal", "velomitis")}


def test_an_ambiguous_name_is_no_negative(make_index):
    found = make_index(
        *terms(DISEASES[:3], "Disease"),
        Term("G1", "acute velomitis factor", ("Gene",), True),  # holds a disease's name
        Term("G2", "Mild-Velomitis", ("Gene",), True),  # spelt otherwise a disease as well
        Term("D9", "mild velomitis", ("Disease",), True),
        Term("G3", "velomitis of mice", ("Gene",), True),  # training has it as a disease
        Term("G4", "velomitis gene", ("Gene",), True),
        Term("X5", "grave velomitis", ("Disease", "Gene"), True),  # one concept of two types
    )
    texts = texts_of(
        (
            ["Of acute velomitis, velomitis of mice."],
            {"acute velomitis": "Disease", "velomitis of mice": "Disease"},
        )
    )
    rows = many(RelatedNames(found, [texts]), 0, ("Disease",), 200)
    negatives, positives = set(), set()
    for row in rows:
        for at, label in enumerate(row.labels[0]):
            if label == B:
                end = next(
                    (i for i in range(at + 1, len(row.words)) if row.labels[0][i] != I), len(row.words)
                )
                positives.add(" ".join(row.words[at:end]))
        negatives.add(" ".join(w for w, label in zip(row.words, row.labels[0], strict=True) if label == O))
        assert IGNORED not in row.labels[0]
    assert negatives == {"velomitis gene"}
    # Each spelling has the types of all concepts with its normal form.
    assert {"grave velomitis", "mild velomitis", "Mild - Velomitis"} <= positives
    # Where both types are asked, the part that may be either carries no label.
    seen = Counter()
    for row in many(RelatedNames(found, [texts]), 0, ("Disease", "Gene"), 200):
        for at in range(len(row.words) - 2):
            if row.words[at : at + 3] == ("acute", "velomitis", "factor"):
                seen[row.labels[0][at : at + 3], row.labels[1][at : at + 3]] += 1
    assert set(seen) == {((IGNORED,) * 3, (B, I, I))}


def test_a_row_ends_before_it_is_too_long(kb):
    for row in many(RelatedNames(kb, [texts_of(*TEXTS)], max_words=7), 1, ("Disease",)):
        assert 2 <= len(row.words) <= 7
        assert names_in(row, ALL), "names are whole"
    assert all(
        len(row.words) <= 3
        for row in many(RelatedNames(kb, [texts_of(*TEXTS)], max_words=1), 1, ("Disease",))
    )


def test_what_is_dropped_is_neither_drawn_nor_held(kb):
    from vaner.knowledge import key_of

    dropped = {key_of(name) for name in DISEASES[1:]}
    dense = RelatedNames(kb, [texts_of(*TEXTS)], dropped=dropped)
    words = {n for row in many(dense, 1, ("Disease",)) for n, _ in names_in(row, ALL)}
    assert words & set(DISEASES) == {DISEASES[0]}
    assert not set(dense.names()) & set(DISEASES[1:])
    assert b"renal velomitis" not in pickle.dumps(dense._names)
    assert dense.counts()["Disease"] == 1


# --- mention replacement ---


def test_mentions_are_replaced_by_names_of_their_type(kb):
    dense = RelatedNames(kb, [texts_of(*TEXTS)], style="replacement")
    seen = set()
    for row in many(dense, 1, TYPES):
        diseases = [n for n in DISEASES if row.words[2:4] == tuple(n.split())]
        assert (
            diseases and row.words[:2] == ("We", "saw") and row.words[4] == "after" and row.words[-1] == "."
        )
        chemical = " ".join(row.words[5:-1])
        assert chemical in CHEMICALS
        n = len(chemical.split())
        assert row.labels == ((O,) * 5 + (B,) + (I,) * (n - 1) + (O,), (O, O, B, I) + (O,) * (n + 2))
        seen |= {*diseases, chemical}
    assert len(seen) > 10
    # A type that is not asked keeps its mentions.
    for row in many(dense, 1, ("Disease",)):
        assert row.words[5:] == ("zorbamide", ".") and row.labels[0][5:] == (O, O)


def test_mentions_that_overlap_and_mentions_cut_by_the_unit_stay(kb):
    (text,) = texts_of((["Acute velomitis and renal velomitis came."], {"renal velomitis": "Disease"}))
    dense = RelatedNames(kb, [[text]], style="replacement")
    rng = np.random.default_rng(1)
    overlapping = np.array([[O, O, O, B, I, O, O], [O, O, O, O, B, O, O]])
    assert dense.example(rng, 0, 0, 0, 7, TYPES, overlapping) is None
    cut = np.array([[O] * 7, [I, I, O, B, I, O, O]])
    row = dense.example(rng, 0, 0, 0, 7, TYPES, cut)
    assert row.words[:3] == ("Acute", "velomitis", "and")
    assert row.labels[1][:4] == (IGNORED, IGNORED, O, B)
    assert dense.example(rng, 0, 0, 0, 7, TYPES, np.zeros((2, 7), np.int8)) is None


def test_both_styles_are_half_of_each(kb):
    rows = many(RelatedNames(kb, [texts_of(*TEXTS)], style="both"), 1, TYPES, 400)
    sentences = sum(row.words[:2] == ("We", "saw") for row in rows)
    assert sentences == pytest.approx(200, abs=40)


# --- in the mixture ---


@pytest.fixture(scope="module")
def words(tiny_tokenizer):
    return Tokenisation(tiny_tokenizer, 400)


def mixture(texts, words, names=None, *, head="typed", epochs=2, seed=3, types=TYPES) -> Mixture:
    sources = [TrainingCorpus("x", "x", texts, types)]
    options = dict(batch_tokens=900, epochs=epochs, seed=seed)
    return Mixture(sources, words, Template(), Drawing(head=head), names=names, **options)


def rows(one: Mixture, epoch: int) -> tuple[list[Draw], list[Example]]:
    found = one.draws(epoch)
    real = [d for d in found if isinstance(d, Draw)]
    assert found[: len(real)] == real
    return real, found[len(real) :]


@pytest.mark.parametrize("style", ["names", "replacement", "both"])
@pytest.mark.parametrize("head", ["typed", "shared"])
def test_rows_of_names_are_added_and_change_nothing_else(kb, words, head, style):
    texts = texts_of(*TEXTS * 6)
    dense = RelatedNames(kb, [texts], ratio=0.5, style=style)
    one, without = mixture(texts, words, dense, head=head), mixture(texts, words, head=head)
    for epoch in range(2):
        real, added = rows(one, epoch)
        assert real == without.draws(epoch) and 0 < len(added) < len(real)
        assert one.name_rows[epoch] == len(added)
        for row in added:
            features = one.row(row)
            asked = Template().render(row.types)
            assert len(row.types) == 1 or head == "typed"
            assert "input" in asked.text and " x " not in asked.text
            assert features.input_ids.tolist() == words.row(asked, row.words).input_ids.tolist()
            assert features.labels.tolist() == [list(line) for line in row.labels]
            assert len(features) == one.length(row) and len(features.word_positions) == len(row.words)
    assert len(one) == len([one[i] for i in range(len(one))]) > len(without)


def test_without_rows_of_names_batches_are_the_same_bits(kb, words):
    texts = texts_of(*TEXTS * 6)
    none, zero = mixture(texts, words), mixture(texts, words, RelatedNames(kb, [texts], ratio=0))
    assert len(none) == len(zero) and none.name_rows == zero.name_rows == [0, 0]
    assert all(same(none[i], zero[i]) for i in range(len(none)))


def test_the_ratio_is_of_real_rows(kb, words):
    texts = texts_of(*TEXTS[1:] * 40)
    for ratio in (0.25, 1.0, 2.5):
        one = mixture(texts, words, RelatedNames(kb, [texts], ratio=ratio))
        real, added = zip(*(map(len, rows(one, epoch)) for epoch in range(4)), strict=True)
        expected = ratio * sum(real)
        assert sum(added) == pytest.approx(expected, abs=4 * (0.25 * sum(real)) ** 0.5 if ratio % 1 else 0)


def test_the_same_seed_and_epoch_give_the_same_rows_and_others_others(kb, words):
    texts = texts_of(*TEXTS * 6)

    def made(seed=3):
        return mixture(texts, words, RelatedNames(kb, [texts], ratio=1, style="both"), seed=seed)

    first, again = made(), made()
    # Out of order, as a resumed run or another process reads them.
    assert again.draws(1) == first.draws(1) and again.draws(0) == first.draws(0)
    assert rows(first, 0)[1] != rows(first, 1)[1] != rows(made(seed=4), 1)[1]
    sent = pickle.loads(pickle.dumps(first))
    assert all(same(sent[i], first[i]) for i in reversed(range(len(first))))


def test_the_epoch_draws_other_names_for_the_same_units(kb, words):
    # One sentence and one type a text, so that nothing but the names can differ.
    texts = (
        texts_of((["We saw chronic velomitis."], {"chronic velomitis": "Disease"}), types=("Disease",)) * 6
    )
    one, other = (
        mixture(texts, words, RelatedNames(kb, [texts], ratio=1), types=("Disease",), epochs=3, seed=seed)
        for seed in (3, 4)
    )
    units = [{(d.text, d.window, d.types) for d in rows(one, epoch)[0]} for epoch in range(3)]
    assert units[0] == units[1] == units[2]
    added = [rows(one, epoch)[1] for epoch in range(3)]
    assert added[0] != added[1] != added[2] != added[0]
    assert [rows(one, epoch)[1] for epoch in range(3)] == added
    assert {(d.text, d.window, d.types) for d in rows(other, 0)[0]} == units[0]
    assert rows(other, 0)[1] != added[0], "and so does the seed"


SCRIPT = """
import sys
from tests.training.test_names import TEXTS, TYPES, texts_of
from vaner.training.names import RelatedNames
from vaner.knowledge import KnowledgeBase
import numpy as np
texts = texts_of(*TEXTS)
dense = RelatedNames(KnowledgeBase(sys.argv[1]), [texts], style="both")
tags = np.zeros((2, 8), np.int8)
print([dense.example(np.random.default_rng([5, e, 2]), 0, 1, 0, 8, TYPES, tags) for e in range(20)])
"""


def test_another_process_draws_the_same(kb):
    dense = RelatedNames(kb, [texts_of(*TEXTS)], style="both")
    tags = np.zeros((2, 8), np.int8)
    here = [dense.example(np.random.default_rng([5, e, 2]), 0, 1, 0, 8, TYPES, tags) for e in range(20)]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(kb.path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(here)


@pytest.mark.parametrize("copies", [1, 2])
def test_a_row_too_long_for_the_model_is_windows_that_label_each_word_once(kb, words, tiny_tokenizer, copies):
    texts = texts_of(*TEXTS[1:])
    types = ("Disease",)
    used = 400 - words.room(Template().render(types, "x"))
    narrow = Tokenisation(tiny_tokenizer, copies * 100 + used, copies)
    one = mixture(texts, narrow, RelatedNames(kb, [texts], ratio=1, asked=14), types=types)
    _, added = rows(one, 0)
    assert len(added) > 1 and all(one.length(row) == len(one.row(row)) <= narrow.max_tokens for row in added)
    labels = Counter(label for row in added for label in row.labels[0])
    whole = 14 * [B, I]
    assert labels[B] == whole.count(B) and labels[I] == whole.count(I), "no word twice, none left out"
    assert labels[IGNORED] > 0, "the windows overlap"


def test_related_names_are_looked_for_once(kb, tmp_path, monkeypatch, caplog):
    texts, cache = texts_of(*TEXTS), tmp_path / "related"
    plain, first = RelatedNames(kb, [texts]), RelatedNames(kb, [texts], cache=cache)
    (kept,) = cache.iterdir()
    with monkeypatch.context() as patched:
        patched.setattr(type(kb), "related_all", None)
        again = RelatedNames(KnowledgeBase(kb.path), [texts_of(*TEXTS)], cache=cache)
    assert many(plain, 1, TYPES) == many(first, 1, TYPES) == many(again, 1, TYPES)
    # Another text, another annotation, other sentences: other names.
    for other in (TEXTS[:1], [TEXTS[0], (TEXTS[1][0], {"zorbamide": "Chemical"})]):
        RelatedNames(kb, [texts_of(*other)], cache=cache)
    RelatedNames(kb, [texts[:1], texts[1:]], cache=cache)
    assert len(list(cache.iterdir())) == 4
    assert not caplog.records
    kept.write_bytes(kept.read_bytes()[:-9])
    assert many(RelatedNames(kb, [texts], cache=cache), 1, TYPES) == many(plain, 1, TYPES)
    assert f"{kept}: " in caplog.text and "looked for anew" in caplog.text
    caplog.clear()
    RelatedNames(kb, [texts], cache=cache)
    assert not caplog.records, "it was written anew"


def test_a_cache_that_cannot_be_written_is_no_hindrance(kb, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    dense = RelatedNames(kb, [texts_of(*TEXTS)], cache=tmp_path / "file" / "related")
    assert dense.names() and "looked for anew next time" in caplog.text


# --- what is refused, what is reported ---


def test_an_index_without_the_types_is_refused(make_index):
    genes = make_index(*terms(GENES, "Gene"))
    with pytest.raises(
        VanerError, match=r"no name of any type of the mix \(Chemical, Disease\); it has Gene"
    ):
        RelatedNames(genes, [texts_of(*TEXTS)])


def test_a_type_that_the_index_does_not_have_is_not_asked(make_index, words):
    diseases = make_index(*terms(DISEASES, "Disease"))
    texts = texts_of(*TEXTS)
    dense = RelatedNames(diseases, [texts], ratio=1)
    assert dense.without_names == ["Chemical"]
    _, added = rows(mixture(texts, words, dense), 0)
    assert added and {row.types for row in added} == {("Disease",)}


def test_an_index_that_has_nothing_related_is_refused(kb):
    with pytest.raises(VanerError, match="no name is related to any training sentence"):
        RelatedNames(kb, [texts_of((["He ate."], {}))])


def test_a_wrong_style_is_refused(kb):
    with pytest.raises(VanerError, match="--kb_style nouns: choose names, replacement, both, frames"):
        RelatedNames(kb, [texts_of(*TEXTS)], style="nouns")


# --- a whole run ---


def test_a_training_run_with_names_repeats_and_records_them(tiny_backbones, tmp_path, capsys):
    from tests.training.test_run import MIX, losses, train

    names = [Term("D1", n, ("Disease",), True) for n in ("renal failure", "heart failure", "hepatic failure")]
    build(tmp_path / "kb.idx", [({"name": "made"}, names)], Rules.load(shipped("kb")), Report())
    more = ("--kb", str(tmp_path / "kb.idx"), "--kb_ratio", "1", "--num_train_epochs", "1")
    folders = [train(tiny_backbones["llama"], tmp_path / name, *more) for name in ("one", "two")]
    said = capsys.readouterr().out
    assert "leakage gate: " in said and "names to draw: " in said
    assert losses(folders[0]) == losses(folders[1])
    record = json.loads((folders[0] / "run.json").read_text())
    knowledge = record["knowledge"]
    assert knowledge["names"].keys() == {"Disease"} and sum(knowledge["rows"]) > 0
    assert knowledge["types_without_names"] == ["Chemical"]
    assert set(knowledge["leakage"]["held_out_mentions"]) == set(MIX[1:])
    ((name, digest),) = knowledge["index"].items()
    assert record["files"][name] == digest
    assert record["arguments"]["kb_ratio"] == 1
    card = (folders[0] / "README.md").read_text()
    assert "### Dense recognition" in card and digest in card and str(tmp_path) not in card


def test_a_missing_index_is_said_at_once(tiny_backbones, tmp_path):
    with pytest.raises(VanerError, match="nowhere.idx: no such index"):
        training.run(["--mix", "bc5cdr-sample", "--kb", "nowhere.idx", "--kb_ratio", "1",
                      "--output_dir", str(tmp_path / "run"),
                      "--backbone", tiny_backbones["llama"], "--use_cpu", "true"])  # fmt: skip
    assert not (tmp_path / "run").exists()
