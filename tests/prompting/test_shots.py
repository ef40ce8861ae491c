"""In: miniature corpora, units. Out: shots from train alone, none that gives the answer away, always the same."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from dataclasses import replace

import pytest
import yaml

from tests.conftest import ROOT
from vaner.corpora.overlap import fingerprints
from vaner.corpora.registry import read_registry
from vaner.document import Document
from vaner.errors import VanerError
from vaner.formats import jsonl
from vaner.prompting.found import Mention
from vaner.prompting.shot_pool import CUT, IN_A_WORD, IN_PIECES, Example, ShotPool
from vaner.prompting.shots import CHOOSE, Shots
from vaner.prompting.unit import Unit
from vaner.report import Report
from vaner.text.units import Text

ASKED = ("Chemical", "Disease")


def document(id: str, marked: str, **more) -> Document:
    """``[aspirin|Chemical] was given.`` -> the Document."""
    text, spans, rest = "", [], marked
    while "[" in rest:
        before, _, rest = rest.partition("[")
        inside, _, rest = rest.partition("]")
        name, type = inside.split("|")
        spans.append((len(text) + len(before), len(text) + len(before) + len(name), type))
        text += before + name
    text += rest
    bare = Document(id, text, **more)
    return bare.with_spans([bare.span(*span) for span in spans])


def unit(text: str, id: str = "asked", **metadata) -> Unit:
    whole = Text.of(Document(id, text, metadata=metadata))
    return Unit(whole, 0, len(whole.words))


def shown(shots) -> list[str]:
    return [shot.unit.shown for shot in shots]


TRAIN = [
    document("1", "[Aspirin|Chemical] lowers the risk of [stroke|Disease] in older patients."),
    document("2", "[Ibuprofen|Chemical] was given to the patients for three days."),
    document("3", "[Headache|Disease] was reported by the patients after a week."),
    document("4", "The patients came back to the clinic after three days."),
    document("5", "Lead was measured in the blood of all of the workers."),
    document("6", "[Lead|Chemical] poisoning was seen in the workers of one plant."),
    document("7", "The weather was fine on all of the days of the study."),
]


def pool_of(documents=TRAIN, types=ASKED, corpus="c") -> ShotPool:
    examples = []
    for one in documents:
        text = Text.of(one)
        for number, (first, last) in enumerate(text.units(1), 1):
            start, end = text.offsets[first][0], text.offsets[last - 1][1]
            mentions = tuple(
                Mention(s.start, s.end, s.type, "exact") for s in one.spans if start <= s.start < end
            )
            examples.append(
                Example(f"{corpus}:{one.id}:{number}", Unit(text, first, last), mentions, frozenset(types))
            )
    return ShotPool(examples)


@pytest.fixture
def registry(tmp_path):
    """A corpus that is written by ``write(split, documents)``."""

    def write(types=ASKED, name="mini", **splits):
        for split, documents in splits.items():
            jsonl.write(tmp_path / f"{name}-{split}.jsonl", documents, report=Report())
        entry = {
            "format": "jsonl",
            "files": {split: [f"{name}-{split}.jsonl"] for split in splits},
            "types": {type: type for type in types},
            "granularity": "abstract",
            "pmid": r"(\d+)",
            "licence": "none",
            "citation": "none",
            "url": "https://example.org",
        }
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump({"corpora": {name: entry}}))
        return read_registry(path)

    return write


# --- the pool ---


def test_examples_are_sentences_of_train_with_all_their_mentions(registry):
    known = registry(
        train=[
            document("1", "[Aspirin|Chemical] was given. No [stroke|Disease] or [aspirin|Chemical] allergy.")
        ]
    )
    pool = ShotPool.of(["mini"], registry=known)
    first, second = pool.examples
    assert (first.id, second.id) == ("mini:1:1", "mini:1:2")
    assert first.unit.shown == "Aspirin was given." and second.unit.shown == "No stroke or aspirin allergy."
    text = second.unit.text.document.text
    assert [(text[m.start : m.end], m.type) for m in second.mentions] == [
        ("stroke", "Disease"),
        ("aspirin", "Chemical"),
    ]
    assert pool.types == set(ASKED) and pool.remarks() == []


def test_several_sentences_make_a_unit_where_so_many_words_are_asked(registry):
    known = registry(train=[document("1", "[Aspirin|Chemical] was given. It helped. Nobody died of it.")])
    assert [e.unit.shown for e in ShotPool.of(["mini"], registry=known, max_words=8).examples] == [
        "Aspirin was given. It helped.",
        "Nobody died of it.",
    ]


def test_what_dev_or_test_has_a_part_of_is_left_out_and_said(registry):
    shared = "The [aspirin|Chemical] dose was doubled after the first week of care."
    known = registry(
        train=[
            document("1", f"A new start. {shared}"),
            document("20", "Something else is here."),
            document("3", "The [aspirin|Chemical] dose stayed as it was."),
            document("4", "A sentence that only the caller keeps back from us."),
        ],
        dev=[document("9", f"Another start. {shared.upper().replace('|CHEMICAL', '|Chemical')}")],
        test=[document("20", "A test abstract under the same number.")],
    )
    held = fingerprints([document("x", "a sentence that only the caller keeps back from us")])
    pool = ShotPool.of(["mini"], registry=known, held_out=held)
    assert [e.id for e in pool.examples] == ["mini:3:1"]
    assert pool.dropped == {"mini": 3}
    assert pool.remarks() == [
        "shots: 3 training documents of mini left out, for dev or test has parts of them"
    ]


def test_units_that_cannot_show_a_mention_as_it_is_are_left_out_and_counted(registry):
    cut = document("1", "He had Smith. Then came it.")
    cut = cut.with_spans([cut.span(7, 18, "Disease")])
    pieces = document("2", "Left and right ventricle pain was felt.")
    pieces = pieces.with_spans([pieces.span(0, 29, "Disease", fragments=((0, 4), (15, 29)))])
    word = document("3", "Nonsmokers were fine.")
    word = word.with_spans([word.span(3, 10, "Disease")])
    pool = ShotPool.of(["mini"], registry=registry(train=[cut, pieces, word, document("4", "Fine.")]))
    assert [e.id for e in pool.examples] == ["mini:4:1"]
    assert pool.left_out == {CUT: 2, IN_PIECES: 1, IN_A_WORD: 1}
    assert any("2 units left out: a mention runs over its border" in line for line in pool.remarks())


def test_paths_are_corpora_too_and_their_labels_are_mapped(tmp_path):
    for split, text in (("train", "Salt is used."), ("dev", "Salt is used in each of the dishes here.")):
        folder = tmp_path / "mine" / split
        folder.mkdir(parents=True)
        (folder / f"{split}.txt").write_text(text)
        (folder / f"{split}.ann").write_text("T1\tStuff 0 4\tSalt\n")
    pool = ShotPool.of([str(tmp_path / "mine")], type_map={"Stuff": "Chemical"}, types=["Chemical"])
    assert [(e.id, e.mentions[0].type) for e in pool.examples] == [("mine:train:1", "Chemical")]


def test_two_documents_of_one_id_have_examples_of_their_own(registry):
    known = registry(train=[document("a", "One here.")])
    (path,) = known["mini"].paths("train")
    other = path.with_name("other.jsonl")
    other.write_text(path.read_text())
    known["mini"] = replace(known["mini"], files={"train": ((path.name, other.name),)})
    assert [e.id for e in ShotPool.of(["mini"], registry=known).examples] == ["mini:a:1", "mini:a:1'"]


def test_what_cannot_be_a_pool_is_refused(registry):
    known = registry(train=TRAIN)
    with pytest.raises(VanerError, match="name one"):
        ShotPool.of([], registry=known)
    with pytest.raises(VanerError, match="mini annotate none of Gene; they annotate Chemical, Disease"):
        ShotPool.of(["mini"], registry=known, types=["Gene"])
    with pytest.raises(VanerError, match="unknown corpus 'minni'"):
        ShotPool.of(["minni"], registry=known)


# --- no shot gives the answer away ---


@pytest.mark.parametrize("choose", [c for c in CHOOSE if c != "dense"])
@pytest.mark.parametrize(
    "asked",
    [
        unit("Aspirin lowers the risk of stroke in older patients."),
        unit("ASPIRIN  lowers the risk - of stroke, in older patients"),
        unit("Aspirin was studied.", id="1"),
        unit("Aspirin was studied.", pmid="1"),
        unit("We looked. Aspirin lowers the risk of stroke in older patients. It helps."),
    ],
    ids=["equal", "nearly", "id", "pmid", "one of several"],
)
def test_no_shot_is_of_the_asked_document_or_has_its_sentence(choose, asked):
    found = Shots(pool_of(), 7, choose).of(asked, ["Chemical"])
    assert "c:1:1" not in {shot.source for shot in found}
    assert found, "the others may be shown"


def test_a_shot_of_several_sentences_is_not_shown_where_it_shares_one():
    text = Text.of(TRAIN[0])
    longer = Text.of(
        document("8", "It was so. [Aspirin|Chemical] lowers the risk of [stroke|Disease] in older patients.")
    )
    whole = Example("c:8:1", Unit(longer, 0, len(longer.words)), (), frozenset(ASKED))
    assert Shots(ShotPool([whole]), 1, "fixed").of(Unit(text, 0, len(text.words)), ASKED) == []


# --- which ---


def test_only_mentions_of_the_asked_types_are_shown():
    (shot,) = Shots(pool_of(TRAIN[:1]), 1, "fixed").of(unit("Anything."), ["Disease"])
    assert [m.type for m in shot.mentions] == ["Disease"] and shot.types == ("Disease",)


def test_a_corpus_that_does_not_annotate_an_asked_type_says_nothing_of_it():
    pool = ShotPool([*pool_of(TRAIN[:2]).examples, *pool_of(TRAIN[2:4], ["Disease"], "d").examples])
    found = Shots(pool, 4, "fixed").of(unit("Anything."), ASKED)
    assert {shot.source.partition(":")[0] for shot in found} == {"c"}
    assert len(Shots(pool, 4, "fixed").of(unit("Anything."), ["Disease"])) == 4
    some = Shots(pool, 4, "fixed", partial=True).of(unit("Anything."), ["Disease", "Chemical"])
    assert {shot.source.partition(":")[0]: shot.types for shot in some} == {
        "c": ("Disease", "Chemical"),
        "d": ("Disease",),
    }
    with pytest.raises(VanerError, match="no corpus annotates Chemical, Gene together; .* set partial: true"):
        Shots(pool, 1, "fixed").of(unit("Anything."), ["Chemical", "Gene"])


def test_fixed_is_the_same_for_all_and_takes_the_named_first():
    pool = pool_of()
    shots = Shots(pool, 3, "fixed", seed=4)
    assert shots.of(unit("One thing."), ASKED) == shots.of(unit("Quite another thing."), ASKED)
    sets = {tuple(s.source for s in Shots(pool, 3, "fixed", seed=s).of(unit("x"), ASKED)) for s in range(8)}
    assert len(sets) > 1
    named = Shots(pool, 3, "fixed", "nearest_first", ids=["c:7:1", "c:4:1"]).of(unit("One thing."), ASKED)
    assert [s.source for s in named][:2] == ["c:7:1", "c:4:1"] and len({s.source for s in named}) == 3
    with pytest.raises(VanerError, match="no example is called c:77:1; did you mean c:7:1"):
        Shots(pool, 1, "fixed", ids=["c:77:1"])


def test_random_differs_between_units_and_not_between_calls():
    shots = Shots(pool_of(), 3, "random")
    asked = [unit(f"Text number {i}.") for i in range(8)]
    first = [tuple(s.source for s in shots.of(one, ASKED)) for one in asked]
    again = [tuple(s.source for s in shots.of(one, ASKED)) for one in reversed(asked)][::-1]
    assert first == again and len(set(first)) > 1
    assert [
        tuple(s.source for s in Shots(pool_of(), 3, "random", seed=1).of(one, ASKED)) for one in asked
    ] != first


def test_bm25_takes_the_nearest():
    asked = unit("Ibuprofen was given for three days.")
    nearest = Shots(pool_of(), 2, "bm25", "nearest_first").of(asked, ASKED)
    assert [s.source for s in nearest] == ["c:2:1", "c:4:1"]


def test_coverage_shows_each_type_even_where_the_nearest_have_one_only():
    documents = [document(str(i), f"[Ibuprofen|Chemical] was given on day {'i' * i}.") for i in range(1, 9)]
    documents += [document("30", "Long after, [gout|Disease] came.")]
    asked = unit("Ibuprofen was given on day nine.")
    near = Shots(pool_of(documents), 4, "bm25").of(asked, ASKED)
    assert {m.type for s in near for m in s.mentions} == {"Chemical"}
    covered = Shots(pool_of(documents), 4, "coverage").of(asked, ASKED)
    assert {m.type for s in covered for m in s.mentions} == set(ASKED) and len(covered) == 4


def test_coverage_balances_types():
    documents = [document(str(i), f"[Ibuprofen|Chemical] was given on day {'i' * i}.") for i in range(1, 9)]
    documents += [document(f"3{i}", f"Long after, [gout|Disease] came {'o' * i}.") for i in range(1, 9)]
    found = Shots(pool_of(documents), 6, "coverage").of(unit("Ibuprofen was given on day nine."), ASKED)
    types = [m.type for s in found for m in s.mentions]
    assert types.count("Chemical") == types.count("Disease") == 3


def test_hard_ones_have_no_mention_and_rather_a_misleading_name():
    pool = pool_of()
    assert pool.misleading(pool.number("c:5:1")) == {"Chemical"}, "Lead, which document 6 annotates"
    assert pool.misleading(pool.number("c:6:1")) == set() == pool.misleading(pool.number("c:4:1"))
    asked = unit("The patients came back after three days.")
    assert [s.source for s in Shots(pool, 1, "bm25").of(asked, ASKED)] == ["c:4:1"]
    found = Shots(pool, 3, "hard", "nearest_first").of(asked, ASKED)
    assert [s.source for s in found] == ["c:5:1", "c:4:1", "c:7:1"]
    assert not any(s.mentions for s in found)
    # Of a type that is not misleading there, the nearest without a mention of that type.
    assert [s.source for s in Shots(pool, 1, "hard").of(asked, ["Disease"])] == ["c:4:1"]


def test_a_mix_repeats_none_and_shows_what_is_named_first_last():
    asked = unit("Ibuprofen was given for three days.")
    found = Shots(pool_of(), 3, {"bm25": 2, "hard": 1}).of(asked, ASKED)
    assert [s.source for s in found] == ["c:5:1", "c:4:1", "c:2:1"]
    every = Shots(pool_of(), 7, {"bm25": 2, "coverage": 2, "hard": 1, "random": 2}).of(asked, ASKED)
    assert len({s.source for s in every}) == 7


def test_orders_show_the_same_shots():
    asked = unit("Ibuprofen was given for three days.")
    last, first, mixed = (
        [s.source for s in Shots(pool_of(), 4, "bm25", order).of(asked, ASKED)]
        for order in ("nearest_last", "nearest_first", "random")
    )
    assert last == first[::-1] and last[-1] == "c:2:1" and sorted(mixed) == sorted(first)
    assert mixed == [s.source for s in Shots(pool_of(), 4, "bm25", "random").of(asked, ASKED)]


def test_none_are_asked_and_none_given():
    assert Shots(pool_of(), 0).of(unit("x"), ["Gene"]) == []


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"choose": "bm52"}, "did you mean bm25?"),
        ({"choose": {"bm25": 2}}, "2 together, but k is 5"),
        ({"choose": {"bm25": 6, "hard": -1}}, "is no number of shots"),
        ({"order": "last"}, "shots order: unknown 'last'"),
        ({"near": "hard"}, "shots near: unknown 'hard'"),
        ({"k": -1}, "below 0"),
        ({"ids": ["c:1:1"]}, "only choose: fixed takes"),
    ],
)
def test_wrong_settings_are_refused(settings, says):
    with pytest.raises(VanerError, match=says.replace("?", r"\?")):
        Shots(pool_of(), **settings)


# --- the same everywhere ---


def test_a_copy_in_another_process_chooses_alike():
    shots = Shots(pool_of(), 4, {"bm25": 1, "random": 1, "coverage": 1, "hard": 1})
    asked = [unit("The patients came back after three days."), unit("Lead in the blood of workers.")]
    expected = [[s.source for s in shots.of(one, ASKED)] for one in asked]
    script = (
        "import pickle, sys; shots, asked, types = pickle.load(sys.stdin.buffer);"
        "print([[s.source for s in shots.of(one, types)] for one in asked], shots.fingerprint)"
    )
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", script],
            input=pickle.dumps((shots, asked, ASKED)),
            capture_output=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
        )
        assert done.stdout.decode().strip() == f"{expected} {shots.fingerprint}", done.stderr.decode()


def test_the_fingerprint_tells_pools_and_settings_apart():
    shots = [
        Shots(pool_of(), 2),
        Shots(pool_of(), 3),
        Shots(pool_of(), 2, "fixed"),
        Shots(pool_of(), 2, seed=1),
        Shots(pool_of(), 2, order="random"),
        Shots(pool_of(TRAIN[1:]), 2),
        Shots(pool_of([document("1", TRAIN[0].text), *TRAIN[1:]]), 2),
        Shots(pool_of(types=["Chemical"]), 2),
        Shots(pool_of(), 2, partial=True),
        Shots(pool_of(), 2, near="random"),
        Shots(pool_of(), 2, "fixed", ids=["c:3:1"]),
    ]
    assert len({s.fingerprint for s in shots}) == len(shots)
    assert Shots(pool_of(), 2).fingerprint == shots[0].fingerprint


# --- shipped and real corpora ---


def test_a_shipped_sample_gives_a_pool():
    pool = ShotPool.of(["ncbi-disease-sample"], types=["Disease"])
    assert len(pool) > 100 and pool.types == {"Disease"}
    for example in pool.examples[:50]:
        text = example.unit.text.document.text
        assert all(text[m.start : m.end].strip() for m in example.mentions)


@pytest.mark.slow
def test_real_train_splits_share_nothing_with_real_dev_and_test(corpora_root):
    from vaner.corpora.overlap import held_out_fingerprints, overlapping

    corpora = read_registry()
    pool = ShotPool.of(["bc5cdr", "ncbi-disease"], data_root=corpora_root, types=["Disease"])
    for name in ("bc5cdr", "ncbi-disease"):
        held = held_out_fingerprints([(corpora[name], "dev"), (corpora[name], "test")], corpora_root)
        documents = {id(e.unit.text): e.unit.text.document for e in pool.examples}.values()
        assert not overlapping(documents, held)
    asked = next(corpora["bc5cdr"].documents("train", corpora_root))
    text = Text.of(asked)
    for first, last in text.units(1):
        for shot in Shots(pool, 5, "bm25").of(Unit(text, first, last), ["Disease"]):
            assert shot.unit.shown.casefold() != Unit(text, first, last).shown.casefold()


@pytest.mark.slow
def test_dense_takes_the_nearest_in_meaning():
    pool = pool_of(
        [
            document("1", "The car was parked in the street."),
            document("2", "[Acetylsalicylic acid|Chemical] eases a sore head."),
            document("3", "Stocks fell on Monday."),
        ]
    )
    shots = Shots(pool, 3, "dense", "nearest_first")
    found = shots.of(unit("Aspirin helps against headache."), ASKED)
    assert found[0].source == "c:2:1"
    assert pickle.loads(pickle.dumps(shots)).of(unit("Aspirin helps against headache."), ASKED) == found
