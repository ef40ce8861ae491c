"""In: gold sets; taggers and predictions of every form. Out: a page with their scores, and gold for nobody to see."""

from __future__ import annotations

import dataclasses
import json

import pytest

from vaner.document import Concept, Document, Passage
from vaner.errors import VanerError
from vaner.evaluation.run import Gold, evaluate
from vaner.formats import read

KNOWN = {"aspirin": "Chemical", "fever": "Disease", "BRCA1": "Gene"}


def document(id: str, text: str, mentions: dict[str, str], types=None, **rest) -> Document:
    made = Document(id, text, types=types, **rest)
    return made.with_spans(made.span(text.index(m), text.index(m) + len(m), t) for m, t in mentions.items())


GOLD = [
    document("1", "aspirin for fever and flu", {"aspirin": "Chemical", "fever": "Disease", "flu": "Disease"}),
    document("2", "no fever at all", {"fever": "Disease"}),
    document("3", "nothing here", {}),
]
# One missed, one of another type, one spurious: 2 right of 4, 2 found of 4.
FOUND = [
    document("3", "nothing here", {"nothing": "Disease"}),
    document("1", "aspirin for fever and flu", {"aspirin": "Chemical", "fever": "Chemical"}),
    document("2", "no fever at all", {"fever": "Disease"}),
]


class Lookup:
    """The least a tagger is: it marks the words it knows, and notes what it was asked and shown."""

    def __init__(self, known=KNOWN, *, datasets=(), max_words=None, allow_new_types=False):
        self.known = known
        self.types = tuple(sorted(set(known.values())))
        self.datasets = {name: self.types for name in datasets}
        self.max_words = max_words
        self.allow_new_types = allow_new_types
        self.asked: list = []
        self.shown: list[Document] = []

    def tag_documents(self, documents, types=None, dataset=None):
        self.asked.append((list(types), dataset))
        for one in documents:
            self.shown.append(one)
            found = [
                one.span(at, at + len(word), type)
                for word, type in self.known.items()
                if type in types and (at := one.text.find(word)) >= 0
            ]
            yield one.with_spans(found)

    def remarks(self):
        return [f"{len(self.known)} words were looked for"]


def micro(page, number: int = 0) -> tuple[int, int, int]:
    """Right, spurious and missed mentions of a gold set."""
    found = page.results[number]["overall"]["micro"]
    return found["tp"], found["fp"], found["fn"]


# --- predictions ---


def test_plain_documents_against_plain_documents():
    page = evaluate(GOLD, FOUND, bootstrap=0)
    assert micro(page) == (2, 2, 2)
    (result,) = page.results
    assert (result["name"], result["split"], result["documents"]) == ("gold", None, 3)
    assert result["type"]["Chemical"]["fp"] == 1 and result["type"]["Disease"]["fn"] == 2
    assert result["overall"]["micro"]["f1"] == 0.5
    assert page.mean is None and page.protocol["types"] == ["Chemical", "Disease"]


def test_documents_may_come_as_streams():
    assert micro(evaluate(iter(GOLD), iter(FOUND), bootstrap=0)) == (2, 2, 2)


def test_a_gold_set_brings_its_name_its_split_and_what_was_read():
    gold = Gold("flu", GOLD, "dev", read={"line repaired": 2})
    (result,) = evaluate(gold, FOUND, bootstrap=0).results
    assert (result["name"], result["split"], result["read"]) == ("flu", "dev", {"line repaired": 2})
    page = evaluate([gold], {"flu": FOUND}, bootstrap=0)
    assert page.results == [result] and page.mean is None, "one gold set has no mean"


def test_several_gold_sets_have_a_result_each_and_a_mean():
    golds = [Gold("a", GOLD), Gold("b", GOLD[1:])]
    page = evaluate(golds, {"b": FOUND[2:], "a": iter(FOUND)}, bootstrap=0)
    assert [r["name"] for r in page.results] == ["a", "b"]
    assert [micro(page, n) for n in (0, 1)] == [(2, 2, 2), (1, 0, 0)]
    assert page.mean["micro"]["f1"] == pytest.approx((0.5 + 1) / 2) and page.mean["micro"]["corpora"] == 2
    assert page.results[1]["notes"] == {"documents_without_prediction": 1}
    assert {name: len(found) for name, found in page.mistakes.items()} == {"a": 3, "b": 0}


def test_types_and_their_names_are_for_both_sides():
    page = evaluate(GOLD, FOUND, types=["Disease"], bootstrap=0)
    assert micro(page) == (1, 1, 2) and page.protocol["types"] == ["Disease"]
    page = evaluate(GOLD, FOUND, type_map={"Chemical": "Thing", "Disease": "Thing"}, bootstrap=0)
    assert micro(page) == (3, 1, 1) and page.protocol["types"] == ["Thing"]
    assert page.protocol["type_map"] == {"Chemical": "Thing", "Disease": "Thing"}


def test_documents_that_gold_does_not_have_are_an_error_unless_ignored():
    extra = [*FOUND, document("4", "fever", {"fever": "Disease"})]
    with pytest.raises(VanerError, match="document '4' is not in the gold documents"):
        evaluate(GOLD, extra, bootstrap=0)
    page = evaluate(GOLD, extra, ignore_extra=True, bootstrap=0)
    assert micro(page) == (2, 2, 2) and page.results[0]["notes"] == {"extra_documents_ignored": 1}


def test_nothing_against_nothing_is_no_score():
    (result,) = evaluate([], [], bootstrap=5).results
    assert result["documents"] == 0 and result["overall"]["micro"]["f1"] is None


# --- a tagger ---


def test_a_tagger_is_asked_for_what_gold_annotates_and_it_knows():
    tagger = Lookup()
    page = evaluate(GOLD, tagger, bootstrap=0)
    assert tagger.asked == [(["Chemical", "Disease"], None)], "Gene is in no gold document"
    assert micro(page) == (3, 0, 1)
    assert page.protocol["remarks"] == ["3 words were looked for"]
    page = evaluate(GOLD, tagger, types=["Disease"], bootstrap=0)
    assert tagger.asked[1] == (["Disease"], None) and micro(page) == (2, 0, 1)


def test_what_is_annotated_is_what_the_documents_say_or_else_what_they_have():
    said = [dataclasses.replace(d, types=frozenset({"Disease", "Gene"})) for d in GOLD[1:]]
    tagger = Lookup()
    evaluate([GOLD[0], *said], tagger, bootstrap=0)
    evaluate(said, tagger, bootstrap=0)
    assert [types for types, _ in tagger.asked] == [["Chemical", "Disease", "Gene"], ["Disease", "Gene"]]


def test_types_that_a_tagger_does_not_know_are_misses_and_said():
    tagger = Lookup({"aspirin": "Chemical"})
    page = evaluate(GOLD, tagger, bootstrap=0)
    assert tagger.asked == [(["Chemical"], None)] and micro(page) == (1, 0, 3)
    assert page.results[0]["type"]["Disease"]["fn"] == 3
    said = "gold: the tagger does not know Disease and was not asked for it: those mentions are misses"
    assert said in page.protocol["remarks"]
    tagger = Lookup({"aspirin": "Chemical", "flu": "Disease"}, allow_new_types=True)
    tagger.types = ("Chemical",)
    page = evaluate(GOLD, tagger, bootstrap=0)
    assert tagger.asked == [(["Chemical", "Disease"], None)] and micro(page) == (2, 0, 2)
    assert page.protocol["remarks"] == ["2 words were looked for"]


def test_a_type_that_is_renamed_is_asked_by_its_new_name():
    gold = [document("1", "aspirin for fever", {"aspirin": "Drug", "fever": "Disease"})]
    tagger = Lookup()
    page = evaluate(gold, tagger, type_map={"Drug": "Chemical"}, bootstrap=0)
    assert tagger.asked == [(["Chemical", "Disease"], None)] and micro(page) == (2, 0, 0)


def test_a_tagger_is_told_the_datasets_that_it_knows():
    golds = [Gold("a", GOLD, dataset="first"), Gold("b", GOLD, dataset="other"), Gold("c", GOLD)]
    tagger = Lookup(datasets=["first"])
    page = evaluate(golds, tagger, bootstrap=0)
    assert [dataset for _, dataset in tagger.asked] == ["first", None, None]
    assert not page.protocol["adaptive"]
    assert page.protocol["remarks"][:2] == [
        "instruction without a dataset (adaptive) for b, c, which the model was not trained on",
        "instruction names the dataset of the others",
    ]
    tagger = Lookup(datasets=["first"])
    page = evaluate(golds[:1], tagger, adaptive=True, bootstrap=0)
    assert tagger.asked[0][1] is None and page.protocol["adaptive"]
    assert page.protocol["remarks"][0] == "instruction without a dataset (adaptive)"
    page = evaluate(golds[:1], Lookup(datasets=["first"]), bootstrap=0)
    assert page.protocol["remarks"][0] == "instruction names the dataset"
    page = evaluate(golds[:1], Lookup(), bootstrap=0)
    assert not page.protocol["adaptive"], "it follows nobody's guideline anyway"


def test_what_a_tagger_remarks_is_said_of_each_gold_set_and_once():
    page = evaluate([Gold("a", GOLD), Gold("b", GOLD)], Lookup(), bootstrap=0)
    assert page.protocol["remarks"] == ["a: 3 words were looked for", "b: 3 words were looked for"]


def test_mentions_beyond_what_a_tagger_reads_at_once_are_counted():
    text = "He had fever. Flu came."
    across = document("1", text, {"fever. Flu": "Disease", "Flu": "Disease"})
    found = {
        limit: evaluate([across], Lookup(max_words=limit), bootstrap=0).results[0]["notes"]
        for limit in (1, 100, None)
    }
    # Reading sentence by sentence the long one is cut; the short one shares its words and cannot be tagged.
    assert found[1] == {"unreachable_gold_mentions": 2}
    assert found[100] == {"unreachable_gold_mentions": 1} and found[None] == {}


def test_each_gold_set_is_given_out_as_soon_as_it_is_tagged():
    given = []
    tagger = Lookup()

    def on_tagged(gold, documents):
        given.append((gold.name, [d.id for d in documents], len(tagger.asked)))
        assert [[s.text for s in d.spans] for d in documents] == [["aspirin", "fever"], ["fever"], []][
            : len(documents)
        ]

    evaluate([Gold("a", GOLD), Gold("b", GOLD[:1])], tagger, on_tagged=on_tagged, bootstrap=0)
    assert given == [("a", ["1", "2", "3"], 1), ("b", ["1"], 2)]
    evaluate(GOLD, FOUND, on_tagged=lambda *_: pytest.fail("nothing was tagged"), bootstrap=0)


# --- gold stays where it is ---


def test_a_tagger_never_sees_a_span_and_gold_is_left_as_it_was():
    text = "aspirin for fever"
    rest = dict(passages=[Passage(0, 17, "title")], sentences=[(0, 17)], words=[(0, 7)])
    gold = document("1", text, {}, types=frozenset({"Chemical", "Disease"}), **rest)
    spans = [gold.span(0, 7, "Chemical", concepts=(Concept("D001241"),)), gold.span(12, 17, "Disease")]
    gold = gold.with_spans(spans)

    class Greedy(Lookup):
        """It gives back whatever spans it is shown, and takes away those that it can reach."""

        def tag_documents(self, documents, types=None, dataset=None):
            for one in documents:
                self.shown.append(dataclasses.replace(one))
                yield one
                one.spans.clear()

    tagger, baseline = Greedy(), Greedy()
    page = evaluate([gold], tagger, baseline=baseline, bootstrap=0)
    assert micro(page) == (0, 0, 2) and page.results[0]["baseline"]["overall"]["micro"]["tp"] == 0
    assert gold.spans == spans
    for (shown,) in (tagger.shown, baseline.shown):
        assert shown.spans == [] and shown.text == text
        assert "D001241" not in repr(shown)
        assert (shown.passages, shown.sentences, shown.words) == (gold.passages, gold.sentences, gold.words)


def test_a_tagger_sees_nothing_of_gold_in_what_a_format_keeps_beside_the_spans(tmp_path):
    (tmp_path / "1.txt").write_text("aspirin for fever")
    lines = "T1\tChemical 0 7\taspirin\nT2\tDisease 12 17\tfever\nR1\tTreats Arg1:T1 Arg2:T2\n"
    (tmp_path / "1.ann").write_text(lines)
    gold = list(read(tmp_path, "brat"))
    assert len(gold[0].spans) == 2 and gold[0].metadata

    class Reader(Lookup):
        def tag_documents(self, documents, types=None, dataset=None):
            for one in documents:
                kept = one.metadata.get("brat", {"ids": {}})["ids"].values()
                yield one.with_spans(one.span(*key) for key in kept)

    assert micro(evaluate(gold, Reader(), bootstrap=0)) == (0, 0, 2)


# --- beside the scores ---


def test_a_baseline_is_asked_the_same_and_shown_beside():
    tagger, baseline = Lookup(datasets=["first"]), Lookup({"fever": "Disease"}, datasets=["first"])
    golds = [Gold("a", GOLD, dataset="first"), Gold("b", GOLD[:1])]
    page = evaluate(golds, tagger, baseline=baseline, bootstrap=0)
    alone = evaluate(golds, Lookup({"fever": "Disease"}, datasets=["first"]), bootstrap=0)
    assert baseline.asked == [(["Disease"], "first"), (["Disease"], None)]
    for beside, one in zip(page.results, alone.results, strict=True):
        assert beside["baseline"] == {table: one[table] for table in beside["baseline"]}
        assert beside["baseline"]["overall"] != beside["overall"]
    assert page.baseline_mean == alone.mean and page.mean != alone.mean
    said = "a: the baseline does not know Chemical and was not asked for it: those mentions are misses"
    assert said in page.protocol["remarks"]


def test_a_baseline_that_knows_no_type_finds_nothing_and_is_no_error():
    page = evaluate(GOLD, FOUND, baseline=Lookup({"BRCA1": "Gene"}), bootstrap=0)
    beside = page.results[0]["baseline"]["overall"]["micro"]
    assert (beside["tp"], beside["fp"], beside["fn"]) == (0, 0, 4) and micro(page) == (2, 2, 2)


def test_other_predictions_are_compared_on_the_same_draws():
    page = evaluate(GOLD, GOLD, compared=FOUND, bootstrap=50)
    first = page.results[0]["comparison"][0]
    assert (first["table"], first["row"], first["a"], first["b"]) == ("overall", "micro", 1.0, 0.5)
    assert first["difference"] == 0.5 and 0 < first["p"] <= 1
    same = evaluate(GOLD, FOUND, compared=FOUND, bootstrap=50).results[0]["comparison"][0]
    assert same["difference"] == 0.0 and same["interval"] == (0.0, 0.0) and same["p"] == 1.0
    assert "comparison" not in evaluate(GOLD, FOUND, bootstrap=50).results[0]


def test_mentions_of_training_count_as_seen():
    training = [document("t", "FEVER, again: aspirin", {"FEVER": "Disease", "aspirin": "Disease"})]
    tables = evaluate(GOLD, FOUND, training=iter(training), bootstrap=0).results[0]["seen"]
    # Fever is seen as a disease alone, and aspirin was never a chemical.
    assert {k: (v["tp"], v["fp"], v["fn"]) for k, v in tables.items()} == {
        "seen": (1, 0, 1),
        "unseen": (1, 2, 1),
    }
    assert "seen" not in evaluate(GOLD, FOUND, bootstrap=0).results[0]
    none = evaluate(GOLD, FOUND, training=[], bootstrap=0).results[0]["seen"]
    assert none["seen"]["gold"] == 0 and none["unseen"]["gold"] == 4
    beside = evaluate(GOLD, GOLD, baseline=Lookup(), training=training, bootstrap=0).results[0]["baseline"]
    assert (beside["seen"]["seen"]["tp"], beside["seen"]["unseen"]["tp"]) == (2, 1)


def test_training_mentions_are_renamed_too():
    training = [document("t", "fever", {"fever": "Finding"})]
    gold = [document("1", "fever", {"fever": "Finding"})]
    page = evaluate(gold, gold, training=training, type_map={"Finding": "Disease"}, bootstrap=0)
    assert page.results[0]["seen"]["seen"]["tp"] == 1


def test_intervals_are_drawn_by_the_seed_or_not_at_all():
    none = evaluate(GOLD, FOUND, baseline=Lookup(), bootstrap=0)
    assert "interval" not in json.dumps(none.to_dict()["results"]) and none.protocol["bootstrap"] == 0
    once, again, other = (
        evaluate(GOLD, FOUND, baseline=Lookup(), bootstrap=30, seed=seed).results for seed in (1, 1, 2)
    )
    assert once == again != other
    for entry in (once[0], once[0]["baseline"]):
        low, high = entry["overall"]["micro"]["interval"]["f1"]
        assert 0 <= low <= entry["overall"]["micro"]["f1"] <= high <= 1


def test_the_page_can_be_shown_and_written():
    page = evaluate(GOLD, Lookup(), training=GOLD, baseline=Lookup(), bootstrap=20)
    assert json.loads(page.to_json())["results"][0]["overall"]["micro"]["tp"] == 3
    for shown in (page.terminal(), page.markdown()):
        assert "85.71" in shown and "micro (baseline)" in shown
    assert {"vaner", "python", "numpy", "scipy"} <= page.versions.keys() and page.inputs == []


# --- errors ---


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (dict(types=["Gene"]), "gold: no type to ask for; the types annotated there: Chemical, Disease"),
        (
            dict(predicted=Lookup({"BRCA1": "Gene"})),
            "gold: the tagger does not know Chemical, Disease, but Gene; rename what means the same "
            "(--type_map FROM=TO), or ask a model all the same (--allow_new_types)",
        ),
        (dict(gold=[]), "gold: no type to ask for; the types annotated there: none"),
        (
            dict(gold=[Gold("a", GOLD), GOLD[0]]),
            "gold mixes gold sets and bare documents; give one or the other",
        ),
        (dict(gold=[Gold("a", GOLD), Gold("b", GOLD[2:])]), "b: no type to ask for"),
        (
            dict(gold=[Gold("a", GOLD), Gold("b", GOLD)], predicted=FOUND),
            "predictions: one list for 2 gold sets; give a list for each, by name",
        ),
        (
            dict(gold=[Gold("a", GOLD), Gold("b", GOLD)], predicted={"a": FOUND}),
            "predictions: none for the gold set b; give a list for each",
        ),
        (
            dict(gold=[Gold("a", GOLD), Gold("b", GOLD[1:])], types=["Chemical", "Disease"]),
            "--types: no document has the entity type 'Chemical'; there are: Disease",
        ),
        (dict(type_map={"Gnee": "Gene"}), "--type_map: no document has the entity type 'Gnee'"),
        (dict(gold=[Gold("a", GOLD), Gold("a", GOLD)]), "two gold sets are named 'a'"),
        (dict(compared=FOUND), "a comparison is drawn by bootstrap, of one gold set"),
        (
            dict(gold=[Gold("a", GOLD), Gold("b", GOLD)], compared=FOUND, bootstrap=10),
            "a comparison is drawn",
        ),
    ],
)
def test_what_cannot_be_scored_is_said_before_anything_is_tagged(arguments, says):
    tagger = Lookup()
    with pytest.raises(VanerError) as caught:
        evaluate(**{"gold": GOLD, "predicted": tagger, "bootstrap": 0, **arguments})
    assert str(caught.value).startswith(says)
    assert not tagger.asked and not tagger.shown


def test_types_that_change_places_change_once():
    swapped = {"Chemical": "Disease", "Disease": "Chemical"}
    tagger = Lookup({word: swapped.get(type, type) for word, type in KNOWN.items()})
    page = evaluate(GOLD, tagger, baseline=tagger, type_map=swapped, bootstrap=0)
    assert micro(page) == micro(evaluate(GOLD, Lookup(), bootstrap=0))
    assert page.results[0]["baseline"]["overall"] == page.results[0]["overall"]


def test_a_tagger_that_looks_empty_is_asked_all_the_same():
    class Empty(Lookup):
        def __len__(self):
            return 0

    assert micro(evaluate(GOLD, Empty(), bootstrap=0)) == micro(evaluate(GOLD, Lookup(), bootstrap=0))


@pytest.mark.parametrize(
    ("order", "says"),
    [
        ([0, 1], "gold: document 3 that the tagger gave back is missing, where 3 was due"),
        ([0, 2, 1], "gold: document 2 that the tagger gave back is 3, where 2 was due"),
        ([0, 1, 2, 2], "gold: document 4 that the tagger gave back is 3, where none was due"),
    ],
)
def test_a_tagger_that_gives_back_other_documents_is_an_error(order, says):
    class Other(Lookup):
        def tag_documents(self, documents, types=None, dataset=None):
            given = list(super().tag_documents(documents, types, dataset))
            yield from (given[i] for i in order)

    with pytest.raises(VanerError, match=says):
        evaluate(GOLD, Other(), bootstrap=0)


def test_a_tagger_that_changes_the_text_is_an_error():
    class Changer(Lookup):
        def tag_documents(self, documents, types=None, dataset=None):
            for one in documents:
                yield Document(one.id, one.text.upper())

    with pytest.raises(VanerError, match="document 1: gold and predicted text differ at character 0"):
        evaluate(GOLD, Changer(), bootstrap=0)


# --- mistakes ---


def test_the_baseline_brings_its_mistakes_and_remarks():
    page = evaluate(GOLD, Lookup(), baseline=Lookup({"flu": "Disease"}), bootstrap=0)
    (result,) = page.results
    assert result["mistakes"]["overall"]["micro"]["missed"] == 1
    assert result["baseline"]["mistakes"]["overall"]["micro"]["missed"] == 3
    assert [m.surface for m in page.mistakes["gold"]] == ["flu"]
    assert [m.surface for m in page.mistakes["gold (baseline)"]] == ["aspirin", "fever", "fever"]
    assert page.protocol["remarks"][-2:] == ["3 words were looked for", "baseline: 1 words were looked for"]
