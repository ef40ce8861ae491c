"""vaner.evaluation.page: one dict, shown three ways."""

import json

import pytest

from vaner import provenance
from vaner.document import Document
from vaner.evaluation import page as pages
from vaner.evaluation.agreement import agreement
from vaner.evaluation.bootstrap import compare, intervals
from vaner.evaluation.metrics import mention_key, score
from vaner.evaluation.pairing import pair

TEXT = "BRCA1 and breast cancer | or T-cell lymphoma"
SPANS = {
    "gene": (0, 5, "Gene"),
    "cancer": (10, 23, "Disease"),
    "lymphoma": (29, 44, "Disease"),
    "t": (29, 30, "Disease"),
}


def document(id, *names):
    built = Document(id, TEXT)
    return built.with_spans(built.span(*SPANS[name]) for name in names)


def result(predicted=("gene", "t"), name="corpus", **rest):
    golds = [document("1", "gene", "cancer"), document("2", "lymphoma")]
    scores = score(
        pair(golds, [document("1", *predicted), document("2", "lymphoma")]),
        training_mentions={mention_key("brca1", "Gene")},
    )
    return pages.result(
        scores,
        name=name,
        split="dev",
        intervals=intervals(scores, samples=50),
        comparison=compare(scores, scores),
        **rest,
    )


def page(*results, **protocol):
    return pages.Page(
        protocol={
            "predictions": "found.jsonl",
            "types": ["Disease", "Gene"],
            "bootstrap": 50,
            "seed": 0,
            "remarks": ["why"],
        }
        | protocol,
        inputs=[{"role": "gold", "path": "gold|file", "sha256": "00"}],
        versions=provenance.versions(),
        results=list(results),
        mean=pages.mean(results) if len(results) > 1 else None,
    )


def test_the_dict_holds_every_number_by_hand():
    found = result()
    micro = found["overall"]["micro"]
    assert (micro["tp"], micro["fp"], micro["fn"], micro["gold"], micro["predicted"]) == (2, 1, 1, 3, 3)
    assert micro["f1"] == pytest.approx(2 / 3)
    assert found["overall"]["macro"]["f1"] == pytest.approx((1 + 0.5) / 2)
    assert found["type"]["Disease"]["fp"] == 1 and found["type"]["Gene"]["fn"] == 0
    assert (
        found["length"]["3+"]["tp"] == 1
        and found["length"]["2"]["fn"] == 1
        and found["length"]["1"]["fp"] == 1
    )
    assert found["seen"]["seen"]["tp"] == 1 and found["seen"]["unseen"]["gold"] == 2
    assert found["relaxed"]["type"]["spurious"] == 1 and "tp" not in found["relaxed"]["partial"]
    low, high = micro["interval"]["f1"]
    assert low <= micro["f1"] <= high
    assert {d["difference"] for d in found["comparison"]} == {0}


def test_the_mistakes_stand_by_type_and_length_and_beside_the_baseline():
    golds = [document("1", "gene", "cancer"), document("2", "lymphoma")]
    one = score(pair(golds, [document("1", "gene"), document("2", "t")]))
    other = score(pair(golds, [document("1", "cancer"), document("2", "lymphoma", "gene")]))
    found = pages.result(one, name="x", baseline=other)
    assert found["mistakes"]["overall"]["micro"] == {
        **{"correct": 1, "boundary": 1, "type": 0, "both": 0, "missed": 1, "spurious": 0},
        **{"gold": 3, "predicted": 2},
    }
    assert found["baseline"]["mistakes"]["type"]["Gene"]["spurious"] == 1
    assert found["mistakes"]["length"]["3+"]["boundary"] == 1  # of the gold mention, not of the "T" predicted
    lines = page(found).terminal().splitlines()
    at = next(
        i for i, line in enumerate(lines) if line.startswith("What is right and where the mistakes lie")
    )
    rows = {line.partition("  ")[0]: line.split() for line in lines[at + 3 : at + 15]}
    assert rows["all"][1:] == ["3", "1", "1", "0", "0", "1", "0", "2"]
    assert rows["all (baseline)"][2:] == ["3", "2", "0", "0", "0", "1", "1", "3"]
    assert rows["length 2"][2:] == ["1", "0", "0", "0", "0", "1", "0"]
    assert rows["length 2 (baseline)"][3:] == ["1", "1", "0", "0", "0", "0", "0"]
    assert rows["Gene (baseline)"][2:] == ["1", "0", "0", "0", "0", "1", "1"]


def test_what_answers_lost_is_shown_by_cause():
    found = result()
    lost = {"invalid tag": {"times": 1200, "answers": 3, "example": "7: fever : B|X"}}
    found["answers"] = {"answers": 10, "alignment": "index", "words": 90, "unread_words": 4, "lost": lost}
    built = page(found)
    title = "What 10 answers lost, alignment index: 4 of 90 words were not answered and count as O"
    assert title in built.terminal() and title in built.markdown()
    assert ["1,200", "3", "7:", "fever"] == [
        line.split()[2:6] for line in built.terminal().splitlines() if line.startswith("invalid tag")
    ][0]
    assert "fever : B\\|X" in built.markdown()
    found["answers"]["lost"] = {}
    assert "none" in page(found).terminal()


def test_json_is_complete_and_strict():
    built = page(result())
    assert json.loads(built.to_json()) == json.loads(json.dumps(built.to_dict()))
    assert json.loads(built.to_json())["versions"]["vaner"]


def test_terminal_shows_scores_in_percent_with_the_protocol():
    text = page(result()).terminal()
    row = next(line for line in text.splitlines() if line.startswith("micro"))
    assert row.split()[1:9] == ["3", "3", "2", "1", "1", "66.67", "66.67", "66.67"]
    assert "found.jsonl against corpus, dev split: 2 documents" in text
    assert "n=50, seed 0" in text and "why" in text
    for title in ("Strict", "Relaxed", "By length", "By whether", "paired bootstrap"):
        assert title in text


def test_several_corpora_have_a_row_each_and_a_mean():
    built = page(result(name="one"), result(("gene", "cancer"), name="two"))
    rows = {line.split()[0]: line.split() for line in built.terminal().splitlines() if line[:1].isalpha()}
    assert rows["one"][4:7] == ["66.67", "66.67", "66.67"] and rows["two"][4:7] == [
        "100.00",
        "100.00",
        "100.00",
    ]
    assert rows["mean"][1:4] == ["83.33", "83.33", "83.33"]
    assert "### Relaxed" in built.markdown()  # the page has what the terminal leaves out


def test_a_corpus_without_mentions_shows_dashes_and_is_no_part_of_the_mean():
    empty = score(pair([Document("1", TEXT), Document("2", TEXT)], []))
    built = page(result(), pages.result(empty, name="empty", intervals=intervals(empty, samples=10)))
    assert built.mean["micro"]["corpora"] == 1 and built.mean["micro"]["f1"] == pytest.approx(2 / 3)
    assert "empty" in built.terminal() and " - " in built.terminal()
    json.loads(built.to_json())


def test_remarks_say_what_was_lost():
    golds = [document("1", "gene", "gene"), document("2", "gene")]
    found = pages.result(
        score(pair(golds, [document("1", "gene", "cancer")]), unreachable=1),
        name="x",
        read={"f: repaired": 3},
    )
    said = "\n".join(pages.remarks(found))
    assert "1 gold documents without a prediction" in said
    assert "1 gold mentions given more than once" in said
    assert "1 gold mentions that a limit put out of reach" in said
    assert "no false positives, left out (Disease 1)" in said
    assert "3 x while reading: f: repaired" in said


def test_remarks_say_where_seqeval_differs():
    golds = [document("1", "gene")]
    same = pair(golds, golds)
    found = pages.result(score(same), name="x", agreement=agreement(same))
    assert "100.00 in both modes (default, strict IOB2), equal" in pages.remarks(found)[-1]
    assert pages.remarks(found)[-1].endswith("; macro-F1 100.00")

    words = ["BRCA1", "and"]
    columns = [(words, ["B-Gene", "O"])], [(words, ["I-Gene", "O"])]
    found = pages.result(score(same), name="x", agreement=agreement(same, columns))
    assert "the modes differ: micro-F1 100.00 default, 0.00 strict IOB2" in pages.remarks(found)[-1]
    assert pages.remarks(found)[-1].endswith("; macro-F1 100.00 default, 0.00 strict")

    cut = pair([document("1", "lymphoma")], [document("1", "t")])
    cut.pairs[0].words[:] = [(0, 6), (29, 44)]
    found = pages.result(score(cut), name="x", agreement=agreement(cut))
    assert pages.remarks(found)[-1] == (
        "seqeval on BIO tags over words: micro-F1 100.00 in both modes (default, strict IOB2), "
        "unlike our micro-F1 0.00; macro-F1 100.00; tags cannot hold: 1 predicted mentions inside a word"
    )


def test_markdown_escapes_what_would_break_a_table():
    text = page(result(name="a|b")).markdown()
    assert "| gold    | gold\\|file |" in text and "## a\\|b, dev split" in text
