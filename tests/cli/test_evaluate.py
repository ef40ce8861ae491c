"""python -m vaner evaluate: files against files, models against corpora, and every way to get it wrong."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training import tiny_lm
from vaner import formats
from vaner.cli import evaluate as command
from vaner.cli import main
from vaner.corpora.registry import read_registry
from vaner.document import Document, Span
from vaner.files import shipped
from vaner.knowledge import Rules, build
from vaner.tagging import loading
from vaner.vocabularies.terms import Term

GOLD = """\
1|t|BRCA1 in breast cancer.
1|a|T-cell lymphoma was not seen.
1\t9\t22\tbreast cancer\tDisease\tD1
1\t24\t39\tT-cell lymphoma\tDisease\tD2

2|t|Aspirin for colon cancer.
2|a|None.
2\t0\t7\tAspirin\tChemical\tD3
2\t12\t24\tcolon cancer\tDisease\tD4

"""
# The same, one mention short of a word and one in the other spacing; a type that gold has nowhere.
CONLL = """\
-DOCSTART-(1)\tO

BRCA1\tB-Gene
in\tO
breast\tB-Disease
cancer\tI-Disease
.\tO

T\tB-Disease
-\tI-Disease
cell\tI-Disease
lymphoma\tI-Disease
was\tO
not\tO
seen\tO
.\tO

-DOCSTART-(2)\tO

Aspirin\tB-Chemical
for\tO
colon\tO
cancer\tB-Disease
.\tO

None\tO
.\tO

"""


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("gold.pubtator").write_text(GOLD)
    Path("found.conll").write_text(CONLL)
    return tmp_path


def evaluate(*words):
    return main(["evaluate", *map(str, words)])


def page():
    return json.loads(Path("scores.json").read_text())


def test_formats_mix_and_every_output_says_the_same(files, capsys):
    words = ["--gold", "gold.pubtator", "--predictions", "found.conll", "--json", "scores.json"]
    assert evaluate(*words, "--markdown", "scores.md", "--seen_in", "gold.pubtator", "--seed", 7) == 0
    out = capsys.readouterr().out
    micro = page()["results"][0]["overall"]["micro"]
    assert (micro["tp"], micro["fp"], micro["fn"]) == (3, 1, 1)
    assert page()["results"][0]["unannotated_predictions"] == {"Gene": 1}
    assert page()["results"][0]["notes"] == {"documents_differing_in_white_space": 2}
    assert page()["results"][0]["seen"]["seen"]["tp"] == 3
    assert page()["protocol"]["seed"] == 7 and page()["protocol"]["bootstrap"] == 1000
    hashed = {i["role"]: i["sha256"] for i in page()["inputs"]}
    assert hashed["gold"] == hashlib.sha256(GOLD.encode()).hexdigest() and set(hashed) == {
        "gold",
        "predictions",
        "seen_in",
    }
    for text in (out, Path("scores.md").read_text()):
        assert "75.00" in text and "2 documents" in text and "n=1,000, seed 7" in text and "(Gene 1)" in text


def test_the_mistakes_are_listed_with_their_text(files):
    words = ["--gold", "gold.pubtator", "--predictions", "found.conll"]
    assert evaluate(*words, "--mistakes", "mistakes.md", "--bootstrap", 0) == 0
    page = Path("mistakes.md").read_text()
    assert "### gold.pubtator, Disease: 1 boundary, 0 type, 0 both, 0 missed, 0 spurious" in page
    assert "colon {cancer}]" in page


def test_scores_repeat_byte_for_byte(files):
    words = ["--gold", "gold.pubtator", "--predictions", "found.conll", "--json", "scores.json"]
    evaluate(*words)
    first = Path("scores.json").read_bytes()
    evaluate(*words)
    assert Path("scores.json").read_bytes() == first


def test_gold_cut_lengths_stand_beside_the_honest_ones_and_are_called_biased(files, capsys):
    words = ["--gold", "gold.pubtator", "--predictions", "found.conll", "--bootstrap", 0]
    assert evaluate(*words, "--json", "scores.json") == 0
    assert "gold-cut" not in capsys.readouterr().out and "gold-cut" not in page()["results"][0]
    assert (
        evaluate(*words, "--length_bins", "gold-cut", "--json", "scores.json", "--markdown", "scores.md") == 0
    )
    result = page()["results"][0]
    # "colon cancer" was found as "cancer": a word of the mention, cut out, is no hit; honest, it is one of one word.
    assert (result["length"]["1"]["fp"], result["length"]["2"]["fn"]) == (1, 1)
    assert (result["gold-cut"]["1"]["fp"], result["gold-cut"]["2"]["fp"], result["gold-cut"]["2"]["tp"]) == (
        0,
        1,
        1,
    )
    for text in (capsys.readouterr().out, Path("scores.md").read_text()):
        assert "gold-cut: biased, false positives can only hurt length 1" in text
        assert "gold-cut lengths (arXiv 2504.00664)" in text


def test_types_and_type_map(files):
    words = ["--gold", "gold.pubtator", "--predictions", "found.conll", "--json", "scores.json"]
    assert evaluate(*words, "--types", "Chemical") == 0
    assert page()["protocol"]["types"] == ["Chemical"] and page()["results"][0]["overall"]["micro"]["f1"] == 1
    assert evaluate(*words, "--type_map", "Chemical=Thing", "Disease=Thing", "Gene=Thing") == 0
    assert page()["results"][0]["type"]["Thing"]["fp"] == 2


def test_comparison_of_two_prediction_files(files, capsys):
    words = ["--gold", "gold.pubtator", "--predictions", "gold.pubtator", "--compare", "found.conll"]
    assert evaluate(*words, "--json", "scores.json") == 0
    micro = page()["results"][0]["comparison"][0]
    assert (micro["table"], micro["row"], micro["a"], micro["b"]) == ("overall", "micro", 1, 0.75)
    assert micro["difference"] == 0.25 and 0 < micro["p"] <= 1
    assert "+25.00" in capsys.readouterr().out


def test_broken_tags_score_differently_in_the_two_modes_of_seqeval(files, capsys):
    Path("gold.conll").write_text(CONLL)
    Path("found.conll").write_text(CONLL.replace("B-Chemical", "I-Chemical"))
    words = ["--gold", "gold.conll", "--predictions", "found.conll", "--json", "scores.json"]
    assert evaluate(*words) == 0
    shown = capsys.readouterr()
    assert (
        "seqeval on the files' own BIO tags: the modes differ: micro-F1 100.00 default, 88.89 strict"
        in shown.out
    )
    assert "tag sequence repaired" in shown.out and "found.conll:20" in shown.err
    assert page()["results"][0]["read"] == {"found.conll: tag sequence repaired": 1}


def test_files_in_iob1_have_no_mention_for_the_strict_mode(files, capsys):
    Path("gold.conll").write_text(CONLL.replace("B-", "I-"))
    words = ["--gold", "gold.conll", "--predictions", "gold.conll", "--json", "scores.json"]
    assert evaluate(*words) == 0
    assert "the modes differ: micro-F1 100.00 default, 0.00 strict IOB2" in capsys.readouterr().out
    assert page()["results"][0]["seqeval"]["strict"]["macro_f1"] == 0


def test_ids_made_from_the_names_of_two_files(files, capsys):
    cases = Path(__file__).parents[1] / "formats/data/cases"
    words = ["--gold", cases / "eval/gold_h.conll", "--predictions", cases / "eval/pred_h.conll"]
    assert evaluate(*words, "--json", "scores.json") == 0
    assert page()["results"][0]["notes"]["documents_paired_by_their_order"] == 2
    assert page()["results"][0]["overall"]["micro"]["f1"] == 0.5
    assert "paired, their texts the same in order" in capsys.readouterr().out
    words = ["--gold", cases / "gold_aspirin.jsonl", "--predictions", cases / "spacy.jsonl"]
    assert evaluate(*words, "--json", "scores.json") == 0
    assert page()["results"][0]["overall"]["micro"]["f1"] == 1


def test_missing_and_extra_documents(files, capsys):
    one, two = formats.read("gold.pubtator")
    formats.write("one.jsonl", [one], "jsonl")
    assert evaluate("--gold", "gold.pubtator", "--predictions", "one.jsonl") == 0
    assert "1 gold documents without a prediction" in capsys.readouterr().out
    words = ["--gold", "one.jsonl", "--predictions", "gold.pubtator"]
    assert evaluate(*words) == 2
    assert evaluate(*words, "--ignore_extra") == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--predictions", "none"], "none: No such file"),
        (["--predictions", "found.conll", "--gold_format", "word"], "format 'word' is unknown"),
        (
            ["--predictions", "found.conll", "--types", "Diseases"],
            "--types: no document has the entity type 'Diseases'",
        ),
        (["--predictions", "found.conll", "--type_map", "Gene"], "--type_map Gene: write FROM=TO"),
        (
            ["--predictions", "found.conll", "--type_map", "A=B"],
            "--type_map: no document has the entity type 'A'",
        ),
        (["--predictions", "other.jsonl"], "document 1: gold and predicted text differ at character 0"),
        (["--predictions", "latin.pubtator"], "is not UTF-8"),
        (["--predictions", "empty.jsonl"], "the file is empty"),
        (["--predictions", "found.conll", "--bootstrap", "-1"], "--bootstrap -1: give a number from 0"),
        (["--predictions", "found.conll", "--seed", "-1"], "--seed -1: give a number from 0"),
        (
            ["--predictions", "found.conll", "--compare", "found.conll", "--bootstrap", "0"],
            "--bootstrap 0: give",
        ),
        (["--predictions", "found.conll", "--json", "no/scores.json"], "the folder"),
        (["--predictions", "found.conll", "--output", "x"], "--output belongs to --model"),
        (["--predictions", "found.conll", "--adaptive"], "--adaptive belongs to --model"),
        (["--predictions", "found.conll", "--split", "dev"], "--split belongs to --corpus"),
        (
            ["--predictions", "found.conll", "--train_corpus", "ncbi"],
            "unknown corpus 'ncbi'",
        ),
        (["--model", "m", "--output", "x", "--output_format", "text"], "format 'text' can only be read"),
        (["--predictions", "found.conll", "--max_words", "3"], "--max_words belongs to --model"),
        (["--predictions", "found.conll", "--allow_new_types"], "--allow_new_types belongs to --model"),
        (["--model", "m", "--batch_tokens", "0"], "--batch_tokens 0: give a number from 1"),
        (["--predictions", "-", "--compare", "-"], "standard input (-) can be only one"),
    ],
)
def test_bad_input_is_one_line_and_status_2(files, capsys, words, said):
    Path("other.jsonl").write_text('{"id": "1", "text": "Something else."}\n')
    Path("latin.pubtator").write_bytes(GOLD.replace("BRCA1", "Möbius").encode("latin-1"))
    Path("empty.jsonl").write_text("")
    before = sorted(files.iterdir())
    assert evaluate("--gold", "gold.pubtator", *words) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("error: ") and shown.err.count("\n") == 1 and said in shown.err
    assert not shown.out and sorted(files.iterdir()) == before


@pytest.mark.parametrize(
    "words",
    [
        ["--predictions", "found.conll"],
        ["--gold", "gold.pubtator"],
        ["--gold", "gold.pubtator", "--corpus", "x", "--predictions", "found.conll"],
        ["--gold", "gold.pubtator", "--predictions", "found.conll", "--model", "m"],
        ["--gold", "gold.pubtator", "--predictions", "found.conll", "--bootstrap", "many"],
        ["--gold", "gold.pubtator", "--predictions", "found.conll", "--no_such_flag"],
    ],
)
def test_wrong_flags_are_status_2(files, capsys, words):
    assert evaluate(*words) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1


def test_a_bad_document_is_skipped_on_request_and_counted(files, capsys):
    Path("dirty.pubtator").write_text(GOLD.replace("colon cancer\tDisease", "colon cancor\tDisease"))
    words = ["--gold", "dirty.pubtator", "--predictions", "found.conll", "--ignore_extra"]
    assert evaluate(*words) == 2
    assert evaluate(*words, "--on_error", "skip", "--json", "scores.json") == 0
    assert page()["results"][0]["documents"] == 1 and sum(page()["results"][0]["read"].values()) == 1
    assert "warning: " in capsys.readouterr().err


class EveryCapital:
    """A tagger that marks each capital letter with every type; it notes what it was asked and shown."""

    types = ("Disease", "Chemical")
    datasets = {"first": ("Disease", "Chemical"), "second": ("Disease",)}
    max_words = None
    allow_new_types = False

    def __init__(self):
        self.asked = []

    def remarks(self):
        return ["capitals were counted"]

    def tag_documents(self, documents, types=None, dataset=None):
        self.asked.append((types, dataset))
        for d in documents:
            assert not d.spans
            yield d.with_spans(
                Span(i, i + 1, t, c) for i, c in enumerate(d.text) if c.isupper() for t in types
            )


REGISTRY = """\
types: {{Disease: {{}}, Chemical: {{}}}}
corpora:
  one: &one
    format: pubtator
    files: {{train: [gold.pubtator], dev: [gold.pubtator]}}
    types: {{Disease: Disease, Chemical: Chemical}}
    granularity: abstract
    licence: none
    citation: none
    url: none
    instruction_name: first
  two:
    <<: *one
    types: {{Disease: Disease, Chemical: null}}
    instruction_name: second
"""


@pytest.fixture
def tagger(files, monkeypatch):
    """A registry of two corpora in the current folder, and a tagger behind every model name."""
    Path("corpora.yaml").write_text(REGISTRY.format())
    monkeypatch.setattr(command, "all_corpora", lambda path: read_registry(path or "corpora.yaml"))
    monkeypatch.setenv("VANER_DATA", ".")
    built, options = EveryCapital(), []

    def load(name, **rest):
        if name.startswith("kb:"):
            return loading.load(name, **rest)
        given = {option: value for option, value in rest.items() if value is not None}
        options.append((name, given))
        built.allow_new_types = given.get("allow_new_types", False)
        return built

    monkeypatch.setattr(command, "load", load)
    built.options = options
    return built


def test_a_model_on_a_corpus(tagger, capsys):
    words = ["--model", "m", "--corpus", "one", "--json", "scores.json", "--output", "found.jsonl"]
    assert evaluate(*words, "--batch_tokens", 64, "--train_corpus", "one") == 0
    assert tagger.asked == [(["Chemical", "Disease"], "first")] and tagger.options == [
        ("m", {"batch_tokens": 64})
    ]
    assert page()["results"][0]["split"] == "dev" and page()["results"][0]["seen"]["seen"]["gold"] == 4
    assert {i["role"] for i in page()["inputs"]} == {"gold: one dev", "train_corpus: one train", "model"}
    paths = [i["path"] for i in page()["inputs"] if i["role"] != "model"]
    assert all(path.startswith("CORPORA/") and ".." not in path for path in paths), paths
    assert "m against one, dev split: 2 documents" in capsys.readouterr().out
    tp = page()["results"][0]["overall"]["micro"]["predicted"]
    assert sum(len(d.spans) for d in formats.read("found.jsonl")) == tp > 0


def test_mentions_that_the_model_cannot_reach_are_counted(tagger, capsys):
    tagger.max_words = 1
    gold = Document("1", "In T-cells. Then so.", types=frozenset({"Disease"}))
    whole, cut, across = gold.span(3, 10, "Disease"), gold.span(5, 9, "Disease"), gold.span(5, 16, "Disease")
    formats.write("gold.jsonl", [gold.with_spans([whole, cut, across])], "jsonl")
    words = ["--model", "m", "--gold", "gold.jsonl", "--json", "scores.json"]
    assert evaluate(*words) == 0
    # The longest takes the words of the other two, and crosses a sentence itself.
    assert page()["results"][0]["notes"] == {"unreachable_gold_mentions": 3}
    tagger.max_words = 100
    assert evaluate(*words) == 0
    assert page()["results"][0]["notes"] == {"unreachable_gold_mentions": 2}
    assert "2 gold mentions that a limit put out of reach" in capsys.readouterr().out


def test_adaptive_mode_names_no_dataset_and_types_restrict_what_is_asked(tagger):
    assert evaluate("--model", "m", "--corpus", "one", "--adaptive", "--types", "Disease") == 0
    assert evaluate("--model", "m", "--gold", "gold.pubtator") == 0
    assert tagger.asked == [(["Disease"], None), (["Chemical", "Disease"], None)]
    assert tagger.options == [("m", {}), ("m", {})]


def test_a_corpus_that_the_model_was_not_trained_on_is_read_without_its_name(tagger, capsys):
    tagger.datasets = {"second": ("Disease",)}
    words = ["--model", "m", "--json", "scores.json"]
    assert evaluate(*words, "--corpus", "one", "two") == 0
    assert [dataset for _, dataset in tagger.asked] == [None, "second"]
    assert not page()["protocol"]["adaptive"]
    said = "instruction without a dataset (adaptive) for one, which the model was not trained on"
    assert said in capsys.readouterr().out
    assert evaluate(*words, "--corpus", "one") == 0
    assert page()["protocol"]["adaptive"]


def test_types_that_the_model_was_not_trained_on_are_misses_and_said(tagger, capsys):
    tagger.types = ("Disease",)
    words = ["--model", "m", "--corpus", "two", "one", "--json", "scores.json"]
    assert evaluate(*words) == 0
    assert [types for types, _ in tagger.asked] == [["Disease"], ["Disease"]]
    assert "one: the tagger does not know Chemical and was not asked for it" in capsys.readouterr().out
    assert page()["results"][1]["type"]["Chemical"]["fn"] == 1
    assert evaluate(*words, "--allow_new_types") == 0
    assert tagger.asked[-1][0] == ["Chemical", "Disease"]
    assert tagger.options[-1] == ("m", {"allow_new_types": True})
    asked = len(tagger.asked)
    assert evaluate(*words, "--types", "Chemical", "--corpus", "one") == 2
    error = capsys.readouterr().err
    assert "one: the tagger does not know Chemical, but Disease; rename what means the same" in error
    assert len(tagger.asked) == asked


@pytest.fixture
def index(files):
    terms = [
        Term("D1", "breast cancer", ("Disease",), True),
        Term("D2", "aspirin", ("Chemical", "Disease"), True),
    ]
    build("kb.idx", [({"name": "made"}, terms)], Rules.load(shipped("kb")), formats.Report())
    return "kb.idx"


def test_the_dictionary_is_scored_beside_a_model_as_it_is_alone(tagger, index, capsys):
    shown = [
        "--corpus",
        "one",
        "two",
        "--json",
        "scores.json",
        "--markdown",
        "scores.md",
        "--train_corpus",
        "one",
    ]
    assert evaluate("--model", f"kb:{index}", *shown) == 0
    alone = page()
    capsys.readouterr()
    assert evaluate("--model", "m", "--baseline", f"kb:{index}", *shown) == 0
    beside = page()
    assert beside["protocol"]["baseline"] == "kb:kb.idx" and beside["baseline_mean"] == alone["mean"]
    tables = ("overall", "type", "relaxed", "mistakes", "length", "seen")
    for one, two in zip(alone["results"], beside["results"], strict=True):
        assert two["baseline"] == {table: one[table] for table in tables}
        assert two["overall"] != one["overall"]
    first = beside["results"][0]["baseline"]
    assert first["type"]["Disease"]["tp"] == 1 and first["type"]["Disease"]["fp"] == 1
    assert {i["role"]: i["sha256"] for i in beside["inputs"]}["baseline"] == hashlib.sha256(
        Path(index).read_bytes()
    ).hexdigest()
    out, markdown = capsys.readouterr().out, Path("scores.md").read_text()
    assert "baseline: kb:kb.idx, asked the same types" in out
    assert out.count("\n(baseline) ") == 3 and markdown.count("(baseline)  ") >= 3
    for row in (
        "Disease (baseline)",
        "micro (baseline)",
        "strict (baseline)",
        "unseen (baseline)",
        "all (baseline)",
    ):
        assert row in markdown


def test_predictions_have_a_baseline_too(files, index):
    words = [
        "--gold",
        "gold.pubtator",
        "--predictions",
        "found.conll",
        "--ignore_extra",
        "--json",
        "scores.json",
    ]
    assert evaluate(*words, "--baseline", f"kb:{index}") == 0
    assert page()["results"][0]["baseline"]["overall"]["micro"]["tp"] == 2


@pytest.mark.parametrize("option", ["--model", "--baseline"])
def test_types_that_the_dictionary_does_not_have_are_misses_and_said(files, capsys, option):
    terms = [Term("G1", "BRCA1", ("Gene",), True), Term("C1", "Aspirin", ("Chemical",), True)]
    build("kb.idx", [({"name": "made"}, terms)], Rules.load(shipped("kb")), formats.Report())
    other = [] if option == "--model" else ["--predictions", "gold.pubtator"]
    assert evaluate("--gold", "gold.pubtator", *other, option, "kb:kb.idx", "--json", "scores.json") == 0
    who = "the tagger" if option == "--model" else "the baseline"
    said = f"gold.pubtator: {who} does not know Disease and was not asked for it: those mentions are misses"
    assert said in capsys.readouterr().out and said in page()["protocol"]["remarks"]
    result = page()["results"][0] if option == "--model" else page()["results"][0]["baseline"]
    assert result["type"]["Disease"]["fn"] == 3 and result["type"]["Chemical"]["tp"] == 1


def test_an_index_goes_to_the_model_and_into_the_protocol(tagger, index, capsys, monkeypatch):
    from vaner.cli import evaluate as command

    # What the model does with it, its folder tells; this one has none.
    monkeypatch.setattr(command, "of_index", lambda name, kb: {"hints": kb} if kb else {})
    words = ["--model", "m", "--corpus", "one", "--json", "scores.json"]
    assert evaluate(*words, "--kb", index) == 0
    assert tagger.options[-1] == ("m", {"hints": index})
    assert any(
        "which names of kb.idx the text has (--kb)" in remark for remark in page()["protocol"]["remarks"]
    )
    assert "kb" in {i["role"] for i in page()["inputs"]}
    assert "capitals were counted" in capsys.readouterr().out, "what the tagger remarks is said"
    assert evaluate("--model", f"kb:{index}", "--corpus", "one", "--kb", index) == 2
    assert "--kb kb.idx is for models, and kb:kb.idx is a dictionary" in capsys.readouterr().err


def test_every_place_of_a_name_by_itself_goes_to_the_model_and_into_the_protocol(tagger, index, capsys):
    words = ["--model", "m", "--corpus", "one", "--json", "scores.json", "--baseline", f"kb:{index}"]
    assert evaluate(*words) == 0 and "repeats" not in tagger.options[-1][1]
    assert not any("--no_repeats" in remark for remark in page()["protocol"]["remarks"])
    assert evaluate(*words, "--no_repeats") == 0 and tagger.options[-1] == ("m", {"repeats": False})
    assert "every place of a name is decided by itself (--no_repeats)" in page()["protocol"]["remarks"]
    capsys.readouterr()
    assert evaluate("--gold", "gold.pubtator", "--predictions", "found.conll", "--no_repeats") == 2
    assert "--no_repeats belongs to --model" in capsys.readouterr().err


def test_several_corpora_get_a_row_each_and_a_mean(tagger, capsys):
    assert evaluate("--model", "m", "--corpus", "one", "two", "--json", "scores.json") == 0
    assert tagger.asked == [(["Chemical", "Disease"], "first"), (["Disease"], "second")]
    assert [r["name"] for r in page()["results"]] == ["one", "two"] and page()["mean"]["micro"][
        "corpora"
    ] == 2
    assert "\nmean " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--corpus", "three", "--model", "m"], "unknown corpus 'three'"),
        (["--corpus", "one", "--model", "m", "--split", "test"], "corpus one has no test split"),
        (["--corpus", "one", "--model", "m", "--data_root", "nowhere"], "nowhere: is no folder"),
        (["--corpus", "one", "two", "--predictions", "found.conll"], "--predictions is one file"),
        (["--corpus", "one", "two", "--model", "m", "--output", "x"], "--output is one file"),
        (["--corpus", "one", "--model", "m", "--types", "Gene"], "one: no type to ask for"),
        (["--corpus", "one", "--model", "m", "--json", "no/scores.json"], "the folder"),
        (["--corpus", "one", "--model", "m", "--output", "no/found.jsonl"], "the folder"),
    ],
)
def test_bad_input_with_corpora(tagger, capsys, words, said):
    assert evaluate(*words) == 2
    assert said in capsys.readouterr().err and not tagger.asked


def test_scoring_does_not_load_torch():
    """Scores are wanted on machines and in moments that have no use for a model."""
    code = "import sys, vaner.evaluation.run, vaner.evaluation.agreement, vaner.evaluation.page, vaner.cli.evaluate\n"
    code += "print(sorted({'torch', 'transformers', 'seqeval'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_prompted_tagger_is_scored_and_what_failed_is_said(make, tmp_path, capsys):
    model = tiny_lm.make(tmp_path / "lm")
    file = make(
        "p.yaml",
        f"backend: {{model: {model}, device: cpu}}\ntypes: [Disease]\nmax_words: 1\nstore: none\n",
    )
    gold = [
        {"id": "a", "text": "A fever.", "spans": [{"start": 2, "end": 7, "type": "Disease"}]},
        {"id": "b", "text": "word " * 3000, "spans": []},
    ]
    path = make("gold.jsonl", "".join(json.dumps(one) + "\n" for one in gold))
    assert main(["evaluate", "--gold", str(path), "--model", f"prompt:{file}", "--bootstrap", "0"]) == 0
    said = capsys.readouterr().out
    assert "1 of 2 documents have calls without an answer" in said and "1 requests" not in said
    assert "1 request" in said
