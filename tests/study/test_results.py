"""vaner.study.results: means of what is there, costs that add up, the same numbers twice."""

import json

import numpy as np
import pytest

from tests.study.made import make
from vaner.errors import FormatError
from vaner.evaluation.metrics import score
from vaner.evaluation.pairing import pair
from vaner.evaluation.run import evaluate
from vaner.formats import read
from vaner.study.results import results

ARMS = ["encoder", "llm-generates", "dictionary"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make(tmp_path_factory.mktemp("made") / "study", arms=ARMS, documents=8)


@pytest.fixture(scope="module")
def found(folder):
    return results(folder, samples=200)


def asking(folder, **more):
    path = folder / "study.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | more))
    return folder


def f1(folder, arm, corpus, seed):
    page = evaluate(
        list(read(folder / "gold" / f"{corpus}.jsonl")),
        list(read(folder / "cells" / arm / corpus / seed / "tagged.jsonl")),
        bootstrap=0,
    )
    return page.results[0]["overall"]["micro"]["f1"]


def micro(scores):
    return scores["tables"]["overall"]["micro"]["f1"]


def test_scores_are_means_of_what_evaluate_says(folder, found):
    means = []
    for corpus in found["corpora"]:
        seeds = [f1(folder, "encoder", corpus, seed) for seed in ("1", "2")]
        entry = micro(found["scores"]["corpora"][corpus]["encoder"])
        assert entry["seeds"] == seeds and entry["mean"] == pytest.approx(np.mean(seeds))
        means.append(entry["mean"])
    overall = micro(found["scores"]["mean"]["encoder"])
    assert overall["mean"] == pytest.approx(np.mean(means))
    low, high = overall["interval"]
    assert low < overall["mean"] < high
    # Of two seeds, the t-interval reaches 12.7 times half their distance to each side.
    a, b = overall["seeds"]
    reach = 12.7062047362 * abs(a - b) / 2
    assert overall["over_seeds"] == (
        pytest.approx(max(0, overall["mean"] - reach)),
        pytest.approx(min(1, overall["mean"] + reach)),
    )
    assert micro(found["scores"]["mean"]["dictionary"])["over_seeds"] is None


def test_everything_is_json_and_the_same_twice(folder, found):
    text = json.dumps(found, allow_nan=False)
    assert json.dumps(results(folder, samples=200), allow_nan=False) == text


def test_every_kind_of_score_is_there(found):
    tables = found["scores"]["mean"]["encoder"]["tables"]
    assert set(tables) == {"overall", "type", "relaxed", "length", "gold-cut", "seen", "token"}
    assert set(tables["length"]) == set(tables["gold-cut"]) == {"1", "2", "3+"}
    assert {"precision", "recall", "f1"} == set(tables["token"]["token"])
    # Strict counted by pairs of mentions is strict counted as sets.
    assert tables["relaxed"]["strict"]["f1"]["mean"] == pytest.approx(
        tables["overall"]["micro"]["f1"]["mean"]
    )


def test_shares_of_mistakes_add_up_to_all_gold_mentions(found):
    for one in [*found["scores"]["mean"].values(), *found["scores"]["corpora"]["long-names"].values()]:
        shares = one["mistakes"]
        assert sum(share for name, share in shares.items() if name != "spurious") == pytest.approx(1)


def test_counts_of_a_corpus_are_those_of_its_gold(folder, found):
    gold = list(read(folder / "gold/long-names.jsonl"))
    one = found["corpora"]["long-names"]
    assert one["documents"] == 8 and one["mentions"] == sum(len(d.spans) for d in gold)
    assert sum(one["mentions_by_length"].values()) == sum(one["mentions_seen"].values()) == one["mentions"]


def test_lengths_are_compared_with_the_reference_in_both_ways(folder, found):
    rows = {(one["arm"], one["length"]): one for one in found["lengths"]["honest"]}
    assert {arm for arm, _ in rows} == {"llm-generates", "dictionary"}
    by_length = rows["dictionary", "3+"]["difference"] - rows["dictionary", "1"]["difference"]
    assert rows["dictionary", "3+ minus 1"]["difference"] == pytest.approx(by_length)
    tables = [found["scores"]["mean"][arm]["tables"] for arm in ("dictionary", "encoder")]
    for way, table in (("honest", "length"), ("gold-cut", "gold-cut")):
        row = next(o for o in found["lengths"][way] if (o["arm"], o["length"]) == ("dictionary", "3+"))
        a, b = (t[table]["3+"]["f1"]["mean"] for t in tables)
        assert row["difference"] == pytest.approx(a - b)


def test_the_two_ways_of_counting_lengths_differ_where_they_should(folder, found):
    documents = list(read(folder / "gold/long-names.jsonl"))
    tagged = list(read(folder / "cells/dictionary/long-names/-/tagged.jsonl"))
    scores = score(pair(documents, tagged), cut_at_gold=True)
    tables = found["scores"]["corpora"]["long-names"]["dictionary"]["tables"]
    for table in ("length", "gold-cut"):
        assert tables[table]["3+"]["f1"]["mean"] == scores[table, "3+"].f1
    assert tables["length"]["1"]["precision"]["mean"] != tables["gold-cut"]["1"]["precision"]["mean"]


def test_comparisons_are_corrected_within_each_family(found):
    for pairs in (found["comparisons"]["mean"], found["comparisons"]["corpora"]["long-names"]):
        assert len(pairs) == 3
        smallest = min(pairs, key=lambda one: one["p"])
        assert smallest["holm"] == pytest.approx(min(1, 3 * smallest["p"]))
        assert all(one["told_apart"] == (one["holm"] < 0.05) for one in pairs)


def test_costs_add_up(folder, found):
    training = found["training"]
    minutes = {
        arm: [
            json.loads(path.read_text())["training"]["minutes"]
            for path in sorted((folder / "cells" / arm).glob("*/*/cell.json"))
        ]
        for arm in training
    }
    assert set(training) == {"encoder", "llm-generates"}
    for arm, each in minutes.items():
        assert training[arm]["cells"] == len(each) == 4
        assert training[arm]["minutes"]["total"] == pytest.approx(sum(each))
        assert training[arm]["minutes"]["mean"] * training[arm]["cells"] == pytest.approx(sum(each))
    assert found["training_minutes"] == pytest.approx(sum(sum(each) for each in minutes.values()))
    costs = json.loads((folder / "costs.json").read_text())["arms"]
    for arm, one in found["cost"]["arms"].items():
        seconds = one["seconds_per_1000_words"]
        assert seconds["repeats"] == costs[arm]["seconds_per_1000_words"]
        assert seconds["median"] == np.median(seconds["repeats"])
        least = found["cost"]["arms"]["dictionary"]["seconds_per_1000_words"]["median"]
        assert seconds["times_the_least"] * least == pytest.approx(seconds["median"])
        assert one["peak_memory_mb"] == costs[arm]["peak_memory_mb"]


def test_the_training_of_a_model_that_two_arms_use_is_counted_once(tmp_path):
    folder = make(tmp_path / "study", arms=["encoder", "llm-generates"], documents=3)
    for path in (folder / "cells/llm-generates").glob("*/*/cell.json"):
        told = json.loads(path.read_text())
        told["training"]["of"] = "encoder"
        path.write_text(json.dumps(told))
    arms = {"encoder": {"kind": "labels"}, "llm-generates": {"kind": "labels", "model_of": "encoder"}}
    found = results(asking(folder, arms=arms), samples=20)
    assert "1 arm was trained" in " ".join(found["conclusions"]["compared"])
    assert "llm-generates tags with the models of encoder." in found["conclusions"]["compared"]
    assert found["training"]["llm-generates"] == {"of": "encoder", "curves": {}}
    assert found["training"]["encoder"]["cells"] == 4
    assert found["study"]["arms"]["llm-generates"]["trained"]


def test_missing_cells_are_never_averaged_over(tmp_path):
    folder = make(tmp_path / "study", arms=ARMS, documents=6)
    (folder / "cells/encoder/long-names/2/cell.json").unlink()
    found = results(folder, samples=50)
    assert found["cells"]["missing"] == [
        {"arm": "encoder", "corpus": "long-names", "seed": "2", "why": "not finished"}
    ]
    assert found["whole"] == ["llm-generates", "dictionary"]
    assert set(found["scores"]["mean"]) == {"llm-generates", "dictionary"}
    partly = found["scores"]["corpora"]["long-names"]["encoder"]
    assert (partly["seeds"], partly["missing_seeds"]) == (["1"], ["2"])
    assert micro(partly)["interval_covers"] == "documents"
    arms = {arm for one in found["comparisons"]["mean"] for arm in (one["a"], one["b"])}
    assert arms == {"llm-generates", "dictionary"}
    assert len(found["comparisons"]["corpora"]["short-names"]) == 3
    assert len(found["comparisons"]["corpora"]["long-names"]) == 1
    assert [one["arm"] for one in found["frontier"]["seconds_per_1000_words"]["arms"]] == [
        "dictionary",
        "llm-generates",
    ]
    # The reference has no mean: nothing is compared with it by length.
    assert found["lengths"] == {"honest": [], "gold-cut": []}
    assert "Not on all corpora with all seeds: encoder." in " ".join(found["conclusions"]["compared"])


def test_an_arm_without_any_cell_on_a_corpus_is_left_out_of_it(tmp_path):
    folder = make(tmp_path / "study", arms=ARMS, documents=6)
    for seed in "12":
        (folder / f"cells/encoder/long-names/{seed}/cell.json").unlink()
    found = results(folder, samples=50)
    assert set(found["scores"]["corpora"]["long-names"]) == {"llm-generates", "dictionary"}
    assert set(found["scores"]["corpora"]["short-names"]) == set(ARMS)


def test_a_corpus_is_counted_before_any_cell_of_it_is_finished(tmp_path):
    folder = make(tmp_path / "study", arms=["dictionary"], documents=4)
    whole = results(folder, samples=20)["corpora"]["long-names"]
    (folder / "cells/dictionary/long-names/-/cell.json").unlink()
    found = results(folder, samples=20)
    assert found["corpora"]["long-names"] == whole and whole["mentions"] > 0
    assert found["scores"]["corpora"]["long-names"] == {} and found["scores"]["mean"] == {}


def test_one_seed_tells_no_trained_arms_apart(tmp_path):
    folder = make(tmp_path / "study", arms=ARMS, seeds=(1,), documents=10)
    found = results(folder, samples=100)
    assert not any(one["told_apart"] for one in found["comparisons"]["mean"])
    assert min(one["holm"] for one in found["comparisons"]["mean"]) < 0.05
    assert not any(
        b["for_sure"] for one in found["frontier"]["seconds_per_1000_words"]["arms"] for b in one["beaten_by"]
    )
    assert "With one seed nothing is known of other seeds" in " ".join(found["conclusions"]["cannot"])


def test_an_arm_that_finds_nothing_has_scores_of_zero(tmp_path):
    folder = make(tmp_path / "study", arms=ARMS, documents=6)
    for path in folder.glob("cells/dictionary/*/-/tagged.jsonl"):
        bare = [{**json.loads(line), "spans": []} for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps(one) + "\n" for one in bare))
    found = results(folder, samples=50)
    entry = micro(found["scores"]["mean"]["dictionary"])
    assert (entry["mean"], entry["interval"]) == (0.0, None)  # not certain, but nothing to draw
    json.dumps(found, allow_nan=False)


def test_without_costs_nothing_is_said_of_them(tmp_path):
    found = results(make(tmp_path / "study", arms=ARMS, documents=4, costs=False), samples=50)
    assert found["cost"] is None and found["frontier"] == {} and found["which"] == {}


def test_costs_that_were_not_measured_are_left_out(tmp_path):
    folder = make(tmp_path / "study", arms=ARMS, documents=4)
    costs = json.loads((folder / "costs.json").read_text())
    costs["arms"]["encoder"] |= {
        "gpu_seconds_per_1000_words": [0.1, None],
        "price_per_1000_words": [0.002, 0.003],
    }
    del costs["arms"]["dictionary"]
    (folder / "costs.json").write_text(json.dumps(costs))
    found = results(folder, samples=50)
    assert found["cost"]["arms"]["encoder"]["gpu_seconds_per_1000_words"]["repeats"] == [0.1]
    assert found["frontier"]["gpu_seconds_per_1000_words"]["without"] == ["llm-generates", "dictionary"]
    assert found["frontier"]["price_per_1000_words"]["arms"][0]["arm"] == "encoder"
    assert found["frontier"]["seconds_per_1000_words"]["without"] == ["dictionary"]


def test_the_reference_and_the_budgets_are_the_files(tmp_path):
    folder = asking(
        make(tmp_path / "study", arms=ARMS, documents=4),
        reference="dictionary",
        budgets={"seconds_per_1000_words": [1, 0.001], "peak_memory_mb": [320], "gpu_memory_mb": [99]},
    )
    found = results(folder, samples=50)
    assert found["study"]["reference"] == "dictionary"
    assert [one["arm"] for one in found["which"]["seconds_per_1000_words"]] == [None, "encoder"]
    assert [one["budget"] for one in found["which"]["peak_memory_mb"]] == [320.0]
    assert found["which"]["gpu_memory_mb"] == []
    assert found["conclusions"]["which"][-1].startswith("Of gpu memory mb nothing was measured")
    assert found["conclusions"]["which"][0] == "With 0.001 seconds for 1,000 words: no arm."


@pytest.mark.parametrize(
    "more, said",
    [
        ({"reference": "encodr"}, "reference: 'encodr' is no arm; did you mean encoder?"),
        ({"budgets": {"seconds": [1]}}, "give lists of numbers by kind of cost: seconds_per_1000_words"),
        ({"budgets": {"peak_memory_mb": "much"}}, "give lists of numbers"),
    ],
)
def test_what_the_file_cannot_ask_is_an_error(tmp_path, more, said):
    folder = asking(make(tmp_path / "study", arms=ARMS, documents=3), **more)
    with pytest.raises(FormatError, match=said.replace("?", r"\?")):
        results(folder, samples=50)


def test_conclusions_claim_no_more_than_the_intervals(found):
    apart = sum(one["told_apart"] for one in found["comparisons"]["mean"])
    said = " ".join(found["conclusions"]["can"])
    assert f"{apart} of 3 pairs of arms" in said
    best = max(found["scores"]["mean"], key=lambda arm: micro(found["scores"]["mean"][arm])["mean"])
    assert f"is that of {best}" in said
    sure = all(one["told_apart"] for one in found["comparisons"]["mean"] if best in (one["a"], one["b"]))
    assert ("above every other arm beyond chance" in said) == sure
    assert "interval over seeds alone reaches 12.7 standard errors" in " ".join(
        found["conclusions"]["cannot"]
    )
