"""The benchmarks run on a tiny model, write what they promise, and refuse to time systems that disagree."""

from __future__ import annotations

import json
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from vaner.document import Document, Passage
from vaner.errors import VanerError
from vaner.model.config import ModelConfig
from vaner.text.units import Text

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "benchmarks"

# A script's keys besides those of every script; options that make it quick.
SCRIPTS = {
    "tagging": (
        {
            "ratio_vs_vaner_protocol",
            "ratio_vs_pipeline",
            "six_types_over_one",
            "share_of_matmul",
            "padding_share",
        },
        "--shipped vaner-minilm --documents 2 --slow_documents 1 --identity_documents 1 --stream 30",
    ),
    "training": ({"ratio_vs_stock", "share_of_matmul"}, "--tokens 300 --batch_tokens 512"),
    "scaling": ({"exponent_length", "exponent_types", "exponent_processes"}, "--documents 4 --words 1024"),
}


def run(script: str, *options: str) -> subprocess.CompletedProcess:
    environment = {k: v for k, v in os.environ.items() if k != "VANER_DATA"} | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(FOLDER / f"{script}.py"), "--shape", "tiny", *options]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)


@pytest.mark.slow
@pytest.mark.parametrize("isa", ["ALL", "AVX2"])
def test_every_way_to_multiply_that_a_machine_has_is_timed(isa, tmp_path, monkeypatch):
    path = tmp_path / "products.json"
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", isa)
    done = run("products", "--rounds", "2", "--json", str(path))
    assert done.returncode == 0, done.stderr
    found = json.loads(path.read_text())
    named = [row["products"] for row in found["rows"]]
    assert named[0] == "float32, stock" and found["rows"][0]["gain"]["median"] == 1
    assert ("float32, int8" in named) == ("avx2" in found["instructions"])
    assert ("bfloat16, fused" in named) == bool({"avx512_bf16", "amx_tile"} & set(found["instructions"]))
    assert isa == "ALL" or found["instructions"] in ([], ["avx2"])


@pytest.mark.slow
def test_a_student_stands_beside_its_teacher(tmp_path):
    def page(name, f1):
        results = [{"name": corpus, "overall": {"micro": {"f1": value}}} for corpus, value in f1.items()]
        (tmp_path / f"{name}.json").write_text(json.dumps({"results": results}))
        return tmp_path / f"{name}.json"

    student, teacher = "vaner-smollm2-135m-20l", "vaner-smollm2-135m"
    words = [
        f"{student}={page('student', {'a': 0.8, 'b': 0.7, 'c': 0.5})}",
        f"{teacher}={page('teacher', {'a': 0.9, 'b': 0.8, 'c': 0.4})}",
        f"gold={page('gold', {'a': 0.7, 'b': 0.75, 'c': 0.45})}",
    ]
    path = tmp_path / "students.json"
    done = run(
        "students", "--models", student, teacher, "--documents", "4", "--rounds", "2", "--json", str(path),
        "--scores", *words,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(path.read_text())
    # Half of the way; back; and nothing where the teacher is no better.
    assert found["closed"] == pytest.approx({"a": 0.5, "b": -1})
    assert [row["model"] for row in found["models"]] == [student, teacher]
    assert found["models"][1]["over_last"]["median"] == 1


@pytest.mark.slow
def test_every_attention_mode_is_timed_beside_the_open_one(tmp_path):
    path = tmp_path / "modes.json"
    done = run("modes", "--documents", "4", "--rounds", "2", "--json", str(path))
    assert done.returncode == 0, done.stderr
    found = json.loads(path.read_text())
    rows = {(row["mode"], row["reading"]): row for row in found["rows"]}
    assert len(rows) == 10 and set(found["identity"]["mentions"]) == {mode for mode, _ in rows}
    assert rows["bidirectional", "units"]["over_bidirectional"]["median"] == 1
    for reading in ("units", "sentences"):
        # Where the instruction is read once, fewer tokens are.
        assert rows["prefix", reading]["tokens_computed"] < rows["bidirectional", reading]["tokens_computed"]
        assert (
            rows["layerwise", reading]["tokens_computed"] == rows["bidirectional", reading]["tokens_computed"]
        )
        # The text is read twice, its instruction is not.
        once, twice = (rows[mode, reading]["tokens_computed"] for mode in ("causal", "twice"))
        assert 1.5 * once < twice < 2 * once


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_script_runs_and_writes_its_keys(script, tmp_path):
    keys, options = SCRIPTS[script]
    path = tmp_path / "out.json"
    done = run(script, "--rounds", "2", *options.split(), "--json", str(path))
    assert done.returncode == 0, done.stderr
    found = json.loads(path.read_text())
    assert keys | {"machine", "versions", "rows", "spread"} <= found.keys()
    assert all(np.isfinite(found[key]) for key in keys)
    for key in keys & found["spread"].keys():
        assert found["spread"][key]["min"] <= found[key] <= found["spread"][key]["max"]
        assert len(found["spread"][key]["rounds"]) == 2
    assert found["versions"]["torch"] and found["machine"]["processor"]
    assert "data_root" not in found["settings"]
    if script == "tagging":
        whole = {one["system"]: one for one in found["shipped"]}
        assert "vaner-minilm" in whole and set(whole) <= {row["system"] for row in found["rows"]}
        for row, one in whole.items():
            scores = json.loads((ROOT / "docs" / "results" / one["model"] / "dev.json").read_text())
            assert one["dev_f1"] == scores["mean"]["micro"]["f1"]
            tokens = {r["system"]: r["text_tokens_per_second"]["rounds"] for r in found["rows"]}
            for other, times in one["over"].items():
                assert times["rounds"] == pytest.approx(np.divide(tokens[row], tokens[other]).tolist())
            assert {"VANER's protocol", "pipeline"} <= set(one["over"])


@pytest.mark.slow
def test_a_stopped_benchmark_keeps_what_it_has(tmp_path):
    path = tmp_path / "out.json"
    options = SCRIPTS["tagging"][1].split()
    command = [sys.executable, str(FOLDER / "tagging.py"), "--shape", "tiny", *options]
    process = subprocess.Popen(
        [*command, "--rounds", "100000", "--json", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    given_up = time.monotonic() + 600
    while process.poll() is None and time.monotonic() < given_up:
        if path.is_file() and len(json.loads(path.read_text())["rows"]) > 3:
            break
        time.sleep(0.2)
    process.terminate()
    said, told = process.communicate()
    assert process.returncode == 128 + signal.SIGTERM, told
    found = json.loads(path.read_text())
    assert not found["finished"] and "stopped" in said
    for row in found["rows"]:
        assert row["system"] in said and f"{row['system']}: " in told


def _helped(script: Path, said: Path) -> None:
    """In a process of its own: what a script prints when asked for help."""
    os.chdir(ROOT)
    sys.argv = [str(script), "--help"]
    sys.path.insert(0, str(script.parent))
    with said.open("w", encoding="utf-8") as file, redirect_stdout(file), redirect_stderr(file):
        runpy.run_path(str(script), run_name="__main__")


@pytest.mark.slow
@pytest.mark.parametrize(
    "script", sorted(FOLDER.glob("*.py")) + sorted((ROOT / "data").glob("*.py")), ids=lambda path: path.name
)
def test_every_script_says_how_it_is_used(script, tmp_path):
    if "__main__" not in script.read_text(encoding="utf-8"):
        pytest.skip("a module of the scripts, not a script")
    # Forked, so that what most scripts import is imported once: it takes five seconds.
    import vaner.training.run  # noqa: F401

    process = multiprocessing.get_context("fork").Process(target=_helped, args=(script, tmp_path / "said"))
    process.start()
    process.join()
    said = (tmp_path / "said").read_text(encoding="utf-8")
    assert process.exitcode == 0 and "usage" in said, said


@pytest.mark.slow
def test_ways_to_ask_are_measured(tmp_path):
    file = tmp_path / "prompting.json"
    arms = ["json, forced", "token : TAG, free, index", "token : TAG, free, exact"]
    words = ["--documents", "1", "--shots", "1", "--arms", *arms, "--json", str(file)]
    done = subprocess.run(
        [sys.executable, str(FOLDER / "prompting.py"), *words], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(file.read_text())["rows"]
    forced, asked, again = (rows[arm]["spent"] for arm in arms)
    assert list(rows) == arms and not rows[arms[0]]["lost"]
    assert 0 < forced["model_steps"] < forced["output_tokens"]
    # The same answers, read in another way.
    assert asked["requests"] == again["stored"] > 0 == again["requests"]


@pytest.mark.slow
def test_a_wrong_number_is_one_line():
    done = run("tagging", "--documents", "100000")
    assert done.returncode == 2
    assert done.stderr.startswith("error: --documents is 100000") and done.stderr.count("\n") == 1


@pytest.fixture
def documents() -> list[Document]:
    text = "Famotidine-associated delirium. It was 12 of 37 patients on L-dopa."
    return [Document("7", text, passages=[Passage(0, len(text), "text")])]


@pytest.fixture
def tiny(benchmark, monkeypatch):
    """The benchmark of tagging, and its arguments for the tiny shape."""
    tagging = benchmark("tagging")
    monkeypatch.setattr(sys, "argv", ["tagging.py", "--shape", "tiny"])
    return tagging, tagging._arguments()


def test_systems_that_agree_pass(tiny, documents):
    tagging, args = tiny
    found = tagging.check_identity(args, documents)
    assert all(found["mentions_that_agree"].values())


@pytest.mark.parametrize("system", ["pipeline", "VANER's protocol"])
def test_systems_that_differ_are_not_timed(tiny, documents, monkeypatch, system):
    tagging, args = tiny
    tagger = "PipelineTagger" if system == "pipeline" else "ProtocolTagger"

    class Other(getattr(tagging.peers, tagger)):
        def __call__(self, *arguments):
            first, *others = super().__call__(*arguments)
            return [first ^ {(0, 10, "Disease")}, *others]

    monkeypatch.setattr(tagging.peers, tagger, Other)
    with pytest.raises(VanerError, match=f"{system} differ"):
        tagging.check_identity(args, documents)


def test_the_stock_model_attends_as_transformers_does(benchmark):
    shapes = benchmark("shapes")
    tagger = shapes.tagger("tiny", "cpu", head="shared")
    assert tagger.model.config._attn_implementation == "grouped"
    assert shapes.stock(tagger).model.config._attn_implementation == "sdpa"


def test_a_difference_names_the_document_and_the_mention(benchmark, documents):
    same = benchmark("tagging").same
    same(documents, "a", [{(0, 10, "Chemical")}], "b", [{(0, 10, "Chemical")}])
    with pytest.raises(
        VanerError, match="document 7: a and b differ: only b has Chemical 'Famotidine' at 0-10"
    ):
        same(documents, "a", [set()], "b", [{(0, 10, "Chemical")}])


def test_tags_become_character_spans(benchmark, documents):
    mentions = benchmark("peers").mentions
    text = Text.of(documents[0])
    assert text.words[:5] == ["Famotidine", "-", "associated", "delirium", "."]
    assert mentions(text, 0, [1, 2, 0, 2, 1], "X") == {(0, 11, "X"), (22, 30, "X"), (30, 31, "X")}


def test_first_tokens_with_and_without_the_space(benchmark):
    first_tokens = benchmark("peers").first_tokens
    #       0123456789
    read = "do: a 12 b"
    # `a` with its space trimmed off its offsets, then the space before digits as a token of its own.
    assert first_tokens([0, 2, 4, 5, 6, 7, 9], read, ["a", "12", "b"]) == [2, 3, 6]


def test_the_shape_of_llama2_7b_is_built(benchmark):
    """On the meta device, which holds no numbers; docs/performance.md counts its operations."""
    machine, shapes = benchmark("machine"), benchmark("shapes")
    tagger = shapes.tagger("llama2-7b", "meta")
    own, _ = machine.linear_weights(tagger.model.backbone)
    assert own == 6_476_005_376 and tagger.settings.head == "typed"
    assert machine.forward_operations(tagger.model.backbone, [(128, 128)]) / 128 == pytest.approx(
        13.02e9, rel=1e-3
    )
    assert shapes.tagger("llama2-7b", "meta", head="shared").settings.head == "shared"
    for model in (shapes.trainable("llama2-7b", "meta"), shapes.stock_trainable("llama2-7b", "meta")):
        trained = [p for name, p in model.named_parameters() if p.requires_grad and "lora_" in name]
        assert len(trained) == 2 * 7 * 32


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is an accelerator")
@pytest.mark.parametrize("script", SCRIPTS)
def test_an_accelerator_that_is_not_there_is_named(benchmark, monkeypatch, script):
    monkeypatch.setattr(sys, "argv", [f"{script}.py", "--device", "cuda", "--shape", "llama2-7b"])
    with pytest.raises(VanerError, match="--device cuda: torch sees no CUDA device here"):
        benchmark(script)._arguments()


def test_operations_of_a_pass(benchmark):
    machine, shapes = benchmark("machine"), benchmark("shapes")
    backbone = shapes.random_backbone(ModelConfig(backbone="tiny"), "cpu")
    weights = 2 * (64 * 64 * 2 + 64 * 32 * 2 + 3 * 64 * 128)
    assert machine.linear_weights(backbone) == (weights, 0)
    assert machine.forward_operations(backbone, [(3, 5), (2, 2)]) == 2 * weights * 5 + 4 * 2 * 64 * 19
    with_lora = shapes.with_lora(backbone)
    lora = 2 * 16 * (2 * (64 + 64) + 2 * (64 + 32) + 3 * (64 + 128))
    assert machine.linear_weights(with_lora) == (weights, lora)
    assert machine.training_operations(with_lora, [(3, 3)]) == 3 * (4 * weights + 6 * lora) + 12 * 2 * 64 * 9


def test_forward_clock_counts_every_call(benchmark):
    clock = benchmark("machine").ForwardClock(module := torch.nn.Linear(2, 2), "cpu")
    module(torch.zeros(1, 2))
    module(torch.zeros(1, 2))
    assert len(clock._spans) == 2 and clock.take() > 0 and clock.take() == 0


def test_passes_at_the_same_time_count_once(benchmark):
    covered = benchmark("machine").covered
    assert covered([]) == 0
    assert covered([(0, 2), (1, 3), (1, 2), (5, 6)]) == 4
    assert covered([(5, 6), (0, 10), (9, 11)]) == 11


def test_gradients_that_differ_are_not_timed(benchmark):
    compare = benchmark("training").compare
    one = {"a": torch.ones(3)}
    assert compare(one, {"a": torch.ones(3)})["largest_relative_difference"] == 0
    with pytest.raises(VanerError, match="a: the gradients of ours and of peft differ"):
        compare(one, {"a": torch.ones(3) * 1.01})
    with pytest.raises(VanerError, match="b: only one of"):
        compare(one, {**one, "b": torch.ones(3)})


def test_a_loss_that_does_not_fall_is_not_timed(benchmark):
    falls = benchmark("training").falls
    assert falls("ours", [2.0, 2.5, 1.0]) == [2.0, 2.5, 1.0]
    for losses in ([1.0, 1.0], [1.0, float("nan")]):
        with pytest.raises(VanerError, match="ours: the loss does not fall"):
            falls("ours", losses)


def test_stock_rows_are_ours_without_padding(benchmark):
    training = benchmark("training")
    batch = {
        "input_ids": np.array([[5, 6, 7, 8], [5, 6, 9, 0]]),
        "attention_mask": np.array([[1, 1, 1, 1], [1, 1, 1, 0]]),
        "word_positions": np.array([[2, 3], [2, -1]]),
        "labels": np.array([[[1, 2]], [[0, -100]]]),
    }
    assert training.stock_rows([batch]) == [
        {"input_ids": [5, 6, 7, 8], "labels": [-100, -100, 1, 2]},
        {"input_ids": [5, 6, 9], "labels": [-100, -100, 0]},
    ]
    assert training.text_tokens(batch) == 3
    assert training.rows_of([batch]) == [(4, 4), (3, 3)]


def test_exponents(benchmark):
    scaling = benchmark("scaling")
    assert scaling.exponent([1, 2, 4], [3, 12, 48]) == pytest.approx(2)
    assert scaling.fitted([1, 2], [[1, 1], [1, 2]])["rounds"] == pytest.approx([0, 1])


# --- variants of a training config ---


@pytest.fixture
def compare(benchmark, tiny_backbones, tmp_path, monkeypatch):
    """compare.py as a function of its arguments, returning its JSON; runs are trained in this process."""
    from vaner.training import run as training

    script = benchmark("compare")
    config = tmp_path / "tiny.yaml"
    config.write_text(
        f"backbone: {tiny_backbones['llama']}\nmix: [bc5cdr-sample]\ncap: 4\nbatch_tokens: 700\nmax_tokens: 384\n"
        "dtype: float32\nlora_r: 4\nhead_rank: 8\nnum_train_epochs: 1\nlogging_steps: 1\nevaluations: 0\n"
        "eval_documents: 2\nuse_cpu: true\n"
    )
    trained = []

    def run(command, **_):
        trained.append(command)
        training.run(command[2:])
        return subprocess.CompletedProcess(command, 0)

    def compare(*argv):
        trained.clear()
        out = tmp_path / "out.json"
        words = ["--config", str(config), "--runs", str(tmp_path / "runs"), "--json", str(out), *argv]
        monkeypatch.setattr(sys, "argv", ["compare.py", *words])
        script.main()
        return json.loads(out.read_text())

    monkeypatch.setattr(script, "subprocess", SimpleNamespace(run=run, STDOUT=None))
    compare.trained = trained
    return compare


def test_variants_of_a_config_are_compared(compare, capsys):
    marked, unseen = "marked: --type_vector marker", "unseen: --skip_types Chemical"
    found = compare("--seeds", "1", "--variant", marked, "--variant", unseen, "--by_type")
    shown = capsys.readouterr().out
    assert len(compare.trained) == 2
    assert "bc5cdr-sample Chemical" in shown and "tokens/s" in shown
    for name in ("marked", "unseen"):
        one = found["results"][name]
        assert set(one["f1_by_type"]) == {"bc5cdr-sample Chemical", "bc5cdr-sample Disease"}
        assert set(one["f1"]) == {"bc5cdr-sample", "mean"}
        assert one["tokens_per_second"][0] > 0 and one["tokens"][0] > 0
    assert found["machine"]["processor"] and found["versions"]["torch"]
    compare("--seeds", "1", "--variant", marked)
    assert not compare.trained, "a finished run is found again"
    with pytest.raises(VanerError, match="marked-1: holds a run of another config or with other flags"):
        compare("--seeds", "1", "--variant", "marked: --type_vector mean")


def test_means_intervals_and_differences_over_seeds(benchmark):
    script = benchmark("compare")

    def record(f1, kinds, speeds=()):
        history = [{"loss": 1.0, "tokens_per_second": s} for s in speeds]
        dev = {name: {"f1": value, "types": kinds} for name, value in f1.items()}
        return {"dev": dev, "tokens": 10, "updates": 2, "training_minutes": 1.0, "history": history}

    one = [record({"x": 0.5, "y": 0.7}, {"A": 0.5}, (10, 90, 20)), record({"x": 0.6, "y": 0.8}, {"A": None})]
    two = [record({"x": 0.7, "y": 0.7}, {"A": 0.1}), record({"x": 0.8, "y": 0.8}, {"A": 0.3})]
    found = script.compared({"one": one, "two": two})
    assert found["two"]["difference"]["x"]["mean"] == pytest.approx(0.2)
    assert found["two"]["difference"]["mean"]["interval"] == pytest.approx([0.1, 0.1])
    assert found["one"]["f1"]["mean"]["seeds"] == pytest.approx([0.6, 0.7])
    assert found["one"]["f1_by_type"]["x A"]["seeds"] == [0.5, 0.0]
    assert found["one"]["tokens_per_second"] == [20, None]
    page = {"results": found, "seeds": [1, 2]}
    assert "| two" in script.table(page) and "x A" in script.table(page, by_type=True)
    with pytest.raises(
        VanerError, match="two is scored on x, y and one on z; give all variants the same --dev"
    ):
        script.compared({"one": [record({"z": 1.0}, {})], "two": two})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["typed"], "write 'name: --flag value ...'"),
        (["a/b: --head typed"], "write 'name: --flag value ...'"),
        (["a: --seed 1", "a: --seed 2"], "names 'a' twice"),
    ],
)
def test_wrong_variants_are_named(benchmark, words, message):
    with pytest.raises(VanerError, match=message):
        benchmark("compare").parse_all(words)


def fails():
    raise VanerError("no such thing")


def breaks():
    return {}["nothing"]


@pytest.mark.parametrize(
    "function, message", [(fails, "no such thing"), (breaks, "KeyError at test_benchmarks.py")]
)
def test_what_goes_wrong_in_a_process_is_said_in_one_line(benchmark, function, message):
    with pytest.raises(VanerError, match=message):
        benchmark("contest").apart(function, "cpu")


def test_contestants_take_turns(benchmark):
    contest = benchmark("contest")
    told: list[tuple[str, int]] = []

    class Told:
        def work(self, name, round_number):
            told.append((name, round_number))
            return {"seconds": 1.0}

        def stop(self):
            told.append(("stop", -1))

    shared = Told()
    contest.run([contest.Entry(name, shared) for name in "abc"], 2)
    assert told == [("a", 0), ("b", 0), ("c", 0), ("b", 1), ("c", 1), ("a", 1), ("stop", -1)]


def test_ratios_are_taken_round_by_round(benchmark):
    found = benchmark("contest").ratio([2, 6, 4], [1, 2, 1])
    assert (found["median"], found["min"], found["max"]) == (3, 2, 4)


# --- the matrix rate ---


def test_the_rate_is_of_the_numbers_that_the_tagger_computes_in(benchmark, monkeypatch):
    machine = benchmark("machine")
    monkeypatch.setattr("vaner.model.adapting.multiplies_bfloat16", lambda: False)
    rate = machine.MatmulRate(64, 128, "cpu", seconds=0.01)
    assert rate.dtype == torch.float32 and {one.dtype for pair in rate.pairs for one in pair} == {rate.dtype}
    assert rate() > 0


def test_a_slow_machine_multiplies_fewer_rows(benchmark, monkeypatch):
    """At 0.2 GFLOP/s, as of emulated bfloat16, whole products of 2,048 would take 86 s each."""
    machine = benchmark("machine")
    monkeypatch.setattr(machine.MatmulRate, "_rate", lambda self, a, b, **_: 2e8)
    slow = machine.MatmulRate(64, 128, "cpu")
    assert [len(a) for a, _ in slow.pairs] == [64, 64, 64]
    monkeypatch.setattr(machine.MatmulRate, "_rate", lambda self, a, b, **_: 1e12)
    fast = machine.MatmulRate(64, 128, "cpu")
    assert [len(a) for a, _ in fast.pairs] == [2048, 2048, 2048]


def test_a_processor_without_bfloat16_is_given_float32():
    """oneDNN's own switch takes the instructions away; auto must follow it."""
    script = "import torch; from vaner.model.adapting import choose_dtype; print(choose_dtype('auto'))"
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == "torch.float32", done.stderr


# --- memory, and runs over many files ---


def test_memory_is_not_compared_where_the_spans_differ(benchmark):
    memory, contest = benchmark("memory"), benchmark("contest")

    def entry(name, spans, seconds=2.0):
        rounds = [{"spans": spans, "seconds": seconds, "cpu_seconds": 1.0, "peak_mb": 900.0}]
        return contest.Entry(name, None, rounds)

    found = memory.results([entry("bounded", "a", 3.0), entry("unbounded", "a")], 10)
    assert found["seconds_over_unbounded"]["bounded"]["median"] == 1.5
    assert found["cpu_seconds_over_unbounded"]["bounded"]["median"] == 1.0
    assert memory.results([entry("bounded", "a")], 10)["seconds_over_unbounded"] == {}
    with pytest.raises(VanerError, match="round 1: bounding memory changed the spans"):
        memory.results([entry("bounded", "a"), entry("unbounded", "b")], 10)


@pytest.mark.slow
def test_memory_is_measured(tmp_path):
    path = tmp_path / "memory.json"
    done = run("memory", *f"--documents 6 --rounds 2 --json {path}".split())
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(path.read_text())
    assert set(found["peak_mb"]) == set(found["rows"]) == {"bounded", "unbounded"}
    assert len(found["rows"]["bounded"]) == 2 and min(found["peak_mb"].values()) > 0


def test_what_a_corpus_run_costs_is_reckoned_round_by_round(benchmark):
    corpus = benchmark("corpus")

    def taken(seconds, start_up):
        clock = {"seconds": seconds, "start_up_seconds": start_up}
        return clock | {"cpu_seconds": 2 * seconds, "start_up_cpu_seconds": 2 * start_up - 1}

    rounds = {
        corpus.BARE: [taken(12.0, 2.0), taken(22.0, 2.0)],
        "1 process": [taken(13.5, 3.0), taken(24.0, 3.0)],
    }
    found = corpus.results(rounds, {"documents": 1000, "seconds": 1.0}, 100)
    assert found["overhead_without_start_up"]["rounds"] == pytest.approx([0.05, 0.05])
    assert found["cpu_overhead_without_start_up"]["rounds"] == pytest.approx([22 / 21 - 1, 43 / 41 - 1])
    assert found["overhead"]["rounds"] == pytest.approx([1.5 / 12, 2 / 22])
    assert found["start_up_share"]["1 process"]["rounds"] == pytest.approx([3 / 13.5, 3 / 24])
    assert found["documents_per_second"][corpus.BARE]["rounds"] == pytest.approx([100 / 12, 100 / 22])
    # A millisecond a document, beside a tenth or a fifth of a second of tagging: the median is 0.15.
    assert found["bookkeeping"]["share_of_tagging"] == pytest.approx(0.001 / 0.15)


def test_made_up_documents_pass_through_a_run(benchmark, tmp_path):
    found = benchmark("made_up").tag(tmp_path, 30)
    lines = (tmp_path / "generated.jsonl").read_text().splitlines()
    assert found["documents"] == len(lines) == 30 and found["peak_mb"] > 0 < found["worker_peak_mb"]


# --- reading large files ---


def test_reading_is_checked_and_measured(benchmark, tmp_path, monkeypatch):
    script = benchmark("reading")
    # In this process: starting others is the slow part.
    monkeypatch.setattr(script, "apart", lambda path, format: measured(script, path, format))
    rows = []
    for kind in script.KINDS:
        script.check(tmp_path, kind)
        rows.append(script.run(tmp_path, kind, 300_000))
    assert [row[0] for row in rows] == list(script.KINDS) and all(row[2] > 5 and row[-1] > 0 for row in rows)


def measured(script, path, format):
    found = []
    script.measure(str(path), format, SimpleNamespace(send=found.append))
    return found[0]


def test_what_is_read_otherwise_than_written_is_not_measured(benchmark, tmp_path, monkeypatch):
    script = benchmark("reading")
    monkeypatch.setattr(script, "read", lambda path, report: iter([Document("1", "other")]))
    with pytest.raises(VanerError, match="JATS: document .* is not read as it was written"):
        script.check(tmp_path, "JATS")


def test_distant_labels_are_compared_with_gold(benchmark):
    from tests.tagging.words import Words
    from vaner.tagging.distant import DistantLabels, Rule

    text = "A stroke came. A gout came. A rash came. So did breast cancer."
    document = Document("d", text)
    gold = document.with_spans(
        document.span(text.index(word), text.index(word) + len(word), "Disease")
        for word in ("stroke", "rash", "cancer")
    )
    # Right; not gold; found by neither; other borders than gold.
    found = Words({word: ("Disease", 0.9) for word in ("stroke", "gout", "breast cancer")})
    labels = DistantLabels(found, found, {}, rule=Rule(negatives=1.0))
    (row,) = benchmark("distant").compared([gold], labels, ["Disease", "Gene"])
    assert (row["type"], row["gold"], row["taught"]) == ("Disease", 3, 3)
    assert row["precision"] == row["reached"] == pytest.approx(100 / 3)
    assert row["denied"] == pytest.approx(200 / 3) and (row["absent"], row["absent_wrong"]) == (1, 100)
