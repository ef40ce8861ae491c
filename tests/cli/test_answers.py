"""python -m vaner evaluate --answers: stored answers, scored by hand-made numbers."""

import json
from pathlib import Path

import pytest

from vaner.cli import main

ROWS = [
    {  # Right, after some talk.
        "id": "1",
        "tokens": ["No", "severe", "fever"],
        "gold": ["O", "B-Sign", "I-Sign"],
        "answer": "Here you are:\nNo : O\nsevere : B-Sign\nfever : I-Sign\n",
    },
    {  # A line is missing, so that by index all move up: "Rett" gets what was said of "syndrome".
        "id": "2",
        "tokens": ["in", "Rett", "syndrome", "now"],
        "gold": ["O", "B-Rare", "I-Rare", "O"],
        "answer": "Rett:B-Rare\nsyndrome:I-Rare\nnow:O",
    },
    {"id": "3", "tokens": ["pain"], "gold": ["B-Sign"], "answer": {"error": "time-out"}},
    {  # The right span, the wrong type; and a type that nobody asked for.
        "id": "4",
        "tokens": ["flu", "and", "tea"],
        "gold": ["B-Rare", "O", "O"],
        "answer": "flu : B-Sign\nand : O\ntea : B-Drink",
    },
]


@pytest.fixture
def answers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(*rows):
        Path("a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    write(*ROWS)
    return write


def evaluate(*words):
    return main(
        ["evaluate", "--answers", "a.jsonl", "--bootstrap", "0", "--json", "s.json", *map(str, words)]
    )


def result():
    return json.loads(Path("s.json").read_text())["results"][0]


def classes(found):
    return [found[w] for w in ("correct", "boundary", "type", "both", "missed", "spurious")]


def test_by_index_what_is_missing_moves_the_rest(answers, capsys):
    assert evaluate("--length_bins", "honest", "gold-cut", "--markdown", "s.md") == 0
    found = result()
    # Right: "severe fever". "in Rett" for "Rett syndrome": boundary. "flu": type. "pain": missed.
    assert classes(found["mistakes"]["overall"]["micro"]) == [1, 1, 1, 0, 1, 0]
    assert classes(found["mistakes"]["type"]["Rare"]) == [0, 1, 1, 0, 0, 0]
    assert classes(found["mistakes"]["length"]["2"]) == [1, 1, 0, 0, 0, 0]
    assert found["overall"]["micro"]["f1"] == pytest.approx(2 * 1 / (4 + 3))
    # Sign: 1 right of 2 found and 2 there; Rare: none right.
    assert found["overall"]["macro"]["f1"] == pytest.approx((0.5 + 0) / 2)
    assert found["seqeval"]["strict"]["macro_f1"] == pytest.approx(0.25)
    assert found["seqeval"]["tags"] == "the files' own BIO tags"
    assert [found["length"][n]["predicted"] for n in ("1", "2", "3+")] == [1, 2, 0]
    # Cut: "in" is one word outside of gold; "Rett" is what is left of the mention.
    assert [found["gold-cut"][n]["predicted"] for n in ("1", "2", "3+")] == [2, 2, 0]
    assert [found["gold-cut"][n]["tp"] for n in ("1", "2", "3+")] == [0, 1, 0]
    lost = found["answers"]
    assert (lost["answers"], lost["alignment"], lost["words"]) == (4, "index", 11)
    assert lost["unread_words"] == 3  # "now", "pain", and "tea", whose tag may not be given
    assert {cause: (n["times"], n["answers"]) for cause, n in lost["lost"].items()} == {
        "wrong line count": (1, 1),
        "unknown type": (1, 1),
        "text around the answer": (1, 1),
        "failed call": (1, 1),
    }
    assert lost["lost"]["failed call"]["example"] == "3: time-out"
    for text in (capsys.readouterr().out, Path("s.md").read_text()):
        for said in (
            "tokens of the file",
            "failed call",
            "gold-cut: biased",
            "answers aligned by index",
            "macro-F1 25",
        ):
            assert said in text


def test_by_equal_runs_and_by_text_a_missing_line_costs_nothing(answers):
    for alignment in ("difflib", "exact"):
        assert evaluate("--alignment", alignment) == 0
        found = result()
        assert classes(found["mistakes"]["overall"]["micro"]) == [2, 0, 1, 0, 1, 0]
        assert found["answers"]["lost"]["wrong line count"]["times"] == 1
        assert found["answers"]["alignment"] == alignment


def test_types_type_map_and_mistakes(answers):
    assert evaluate("--types", "Rare", "--mistakes", "m.md") == 0
    assert classes(result()["mistakes"]["overall"]["micro"]) == [0, 1, 0, 0, 1, 0]
    assert "### a.jsonl, Rare: 1 boundary, 0 type, 0 both, 1 missed, 0 spurious" in Path("m.md").read_text()
    # A type that is renamed is known: the tea that was no answer is a spurious mention now.
    assert evaluate("--type_map", "Sign=Any", "Rare=Any", "Drink=Any") == 0
    assert classes(result()["mistakes"]["overall"]["micro"]) == [2, 1, 0, 0, 1, 1]
    assert evaluate("--type_map", "Sign=Any", "Rare=Any", "--length_bins", "gold-cut") == 0
    found = result()
    assert classes(found["mistakes"]["overall"]["micro"]) == [2, 1, 0, 0, 1, 0]
    assert found["seqeval"]["default"]["f1"] == pytest.approx(found["overall"]["micro"]["f1"])
    assert found["gold-cut"]["1"]["tp"] == 1


def test_hard_tokens_and_lines(answers):
    answers(
        {
            "tokens": ["IL-2", "a b", "p:q", "x", "µ"],
            "gold": ["B-G", "O", "B-Rare Thing", "I-Rare Thing", "O"],
            "answer": "1. IL-2: B-G\r\n2. a b :O\r\n3. p:q:'b-rare thing'\r\n4. x\t:\tI-Rare Thing\r\n5. µ : O\r\n",
        }
    )
    for alignment in ("index", "difflib", "exact"):
        assert evaluate("--alignment", alignment) == 0
        assert classes(result()["mistakes"]["overall"]["micro"]) == [2, 0, 0, 0, 0, 0], alignment
        assert result()["answers"]["lost"] == {} and result()["answers"]["unread_words"] == 0


def test_lengths_count_the_tokens_of_the_file(answers):
    answers({"tokens": ["IL-2", "up"], "gold": ["B-G", "O"], "answer": "IL-2:B-G\nup:O"})
    assert evaluate() == 0
    assert [result()["length"][n]["tp"] for n in ("1", "2", "3+")] == [1, 0, 0]
    assert result()["lengths_in"] == "tokens"


def test_an_answer_that_lost_two_lines_is_one_answer(answers):
    answers({**ROWS[0], "answer": "No : X-\nsevere : ?\nfever : B-Sign"})
    assert evaluate() == 0
    (lost,) = result()["answers"]["lost"].values()
    assert (lost["times"], lost["answers"]) == (2, 1)


def test_no_call_succeeded(answers, capsys):
    answers({**ROWS[0], "answer": None}, {**ROWS[1], "answer": ""})
    assert evaluate() == 0
    assert result()["answers"]["lost"] == {"failed call": {"times": 2, "answers": 2, "example": "1"}}
    assert result()["overall"]["micro"]["fn"] == 2 and result()["answers"]["unread_words"] == 7


def test_gold_that_was_read_otherwise_is_said(answers, capsys):
    answers({**ROWS[0], "gold": ["O", "Sign", "Sign"]})
    assert evaluate() == 0
    shown = capsys.readouterr()
    assert (
        "a.jsonl:1: 'Sign'" in shown.err
        and "2 x while reading: a.jsonl: gold tag without B- or I-" in shown.out
    )


class Lookup:
    """A tagger that marks "fever"; for --baseline."""

    types = ("Sign",)
    datasets: dict = {}
    max_words = None
    allow_new_types = False

    def tag_documents(self, documents, types=None, dataset=None):
        for one in documents:
            at = one.text.find("fever")
            yield one.with_spans([one.span(at, at + 5, "Sign")] if at >= 0 else [])

    def remarks(self):
        return []


def test_a_tagger_beside_the_answers(answers, monkeypatch, capsys):
    monkeypatch.setattr("vaner.cli.evaluate.load", lambda name, **options: Lookup())
    monkeypatch.setattr("vaner.cli.evaluate.options_of", lambda name: set())
    assert evaluate("--baseline", "m", "--length_bins", "gold-cut") == 0
    assert classes(result()["baseline"]["mistakes"]["overall"]["micro"]) == [0, 1, 0, 0, 3, 0]
    assert result()["baseline"]["gold-cut"]["2"]["predicted"] == 1
    assert "all (baseline)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--predictions", "x"],
            "--answers a.jsonl holds gold and what was answered; leave --predictions out",
        ),
        (["--model", "x"], "leave --model out"),
        (["--split", "dev"], "--split belongs to --corpus; with --answers, leave it out"),
        (["--output", "x"], "--output belongs to --model; with --answers, leave it out"),
        (["--alignment", "fuzzy"], "invalid choice: 'fuzzy'"),
        (["--length_bins", "long"], "invalid choice: 'long'"),
        (["--types", "Drink"], "--types: no document has the entity type 'Drink'"),
    ],
)
def test_what_cannot_be_is_one_line_and_status_2(answers, capsys, words, said):
    assert evaluate(*words) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("error: ") and shown.err.count("\n") == 1 and said in shown.err


def test_a_bad_line_is_status_2_or_skipped(answers, capsys):
    answers(*ROWS[:2], {**ROWS[2], "gold": []})
    assert evaluate() == 2
    assert capsys.readouterr().err == (
        'error: a.jsonl:3: "gold" is a list of a tag a token; there are 1 tokens and 0 tags\n'
    )
    assert evaluate("--on_error", "skip") == 0
    assert result()["documents"] == 2 and result()["read"] == {"a.jsonl: document skipped": 1}


def test_alignment_belongs_to_answers(answers, capsys):
    assert main(["evaluate", "--gold", "a", "--predictions", "b", "--alignment", "index"]) == 2
    assert "--alignment belongs to --answers" in capsys.readouterr().err
    assert main(["evaluate", "--gold", "a"]) == 2
    assert "Give --predictions FILE or --model MODEL" in capsys.readouterr().err
