"""predict.py: files in, files out, whole or not at all; every bad input is one line and status 2."""

import gzip
import json
import shutil
from dataclasses import replace

import pytest

from tests.conftest import SAMPLES
from tests.model.test_network import build
from vaner.cli import main
from vaner.errors import VanerError
from vaner.files import shipped
from vaner.formats import read
from vaner.knowledge import Rules
from vaner.knowledge import build as build_index
from vaner.report import Report
from vaner.training import run as training
from vaner.vocabularies.terms import Term

ABSTRACTS = SAMPLES / "abstracts.pubtator"


@pytest.fixture(scope="module")
def model(tiny_backbones, tiny_tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "tiny"
    build(tiny_backbones["llama"]).save_pretrained(folder, tiny_tokenizer)
    return str(folder)


def predict(*words):
    return main(["predict", *map(str, words)], prog="predict.py")


@pytest.mark.parametrize(
    ("output", "format"),
    [
        ("a.jsonl", "jsonl"),
        ("a.pubtator", "pubtator"),
        ("a.conll", "conll"),
        ("a.xml", "bioc"),
        ("b.jsonl.gz", "jsonl"),
    ],
)
def test_formats_in_and_out(model, tmp_path, output, format):
    assert predict("--model", model, "--input", ABSTRACTS, "--output", tmp_path / output) == 0
    tagged = list(read(tmp_path / output, format))
    before = list(read(ABSTRACTS))
    if format == "conll":  # it keeps words, not spacing
        assert sum(len(d.spans) for d in tagged) > 100
        return
    assert [d.id for d in tagged] == [d.id for d in before]
    assert [d.text for d in tagged] == [d.text for d in before]
    assert sum(len(d.spans) for d in tagged) > 100


def test_a_page_to_look_at(model, tmp_path):
    assert predict("--model", model, "--input", ABSTRACTS, "--output", tmp_path / "page.html") == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<mark" in page and "8165771" in page


def test_conll_keeps_its_words(model, tmp_path):
    source = SAMPLES / "linnaeus" / "dev.tsv"
    assert (
        predict(
            "--model", model, "--input", source, "--output", tmp_path / "o.conll", "--input_format", "conll"
        )
        == 0
    )

    def words(path):
        lines = path.read_text(encoding="utf-8").split("\n")
        return [line.split("\t")[0] for line in lines if line.strip() and not line.startswith("-DOCSTART-")]

    assert words(tmp_path / "o.conll") == words(source)


def test_the_run_repeats_byte_for_byte(model, tmp_path):
    for name in ("one", "two"):
        predict("--model", model, "--input", ABSTRACTS, "--output", tmp_path / f"{name}.jsonl")
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    names = ["squamous cell carcinoma", "carcinoma", "fever", "ibuprofen"]
    terms = [Term(f"D{i}", n, ("Disease", "Chemical"), True) for i, n in enumerate(names)]
    path = tmp_path_factory.mktemp("kb") / "kb.idx"
    build_index(path, [({"name": "made"}, terms)], Rules.load(shipped("kb")), Report())
    return path


@pytest.mark.parametrize(
    ("output", "format"), [("a.jsonl", "jsonl"), ("a.pubtator", "pubtator"), ("a.xml", "bioc")]
)
def test_spans_get_concept_ids(index, tmp_path, capsys, output, format):
    assert (
        predict("--model", f"kb:{index}", "--link", "--input", ABSTRACTS, "--output", tmp_path / output) == 0
    )
    spans = [s for d in read(tmp_path / output, format) for s in d.spans]
    ids = {s.text.lower(): s.concepts[0].id for s in spans}
    assert ids["fever"] == "D2" and ids["squamous cell carcinoma"] == "D0"
    assert f"{len(spans):,} spans have a concept id" in capsys.readouterr().err


def test_the_models_spans_get_concept_ids_too(model, index, tmp_path):
    for name, more in (("with", ("--kb", index, "--link")), ("without", ())):
        predict("--model", model, "--input", ABSTRACTS, "--output", tmp_path / f"{name}.jsonl", *more)
    linked, plain = ([s for d in read(tmp_path / f"{n}.jsonl") for s in d.spans] for n in ("with", "without"))
    assert [s.key for s in linked] == [s.key for s in plain]
    assert any(s.concepts for s in linked) and not any(s.concepts for s in plain)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--link", "--kb", "none"), "--link needs an index, and --kb none names none"),
        (
            ("--kb", "x.idx"),
            "--kb x.idx is for concept ids, hints, and models trained with --kb_lookups; add --link",
        ),
        (("--hints",), "--hints needs an index; name one with --kb"),
        (("--hints", "--kb", "x.idx", "--model", "kb:x.idx"), "--hints is for models"),
        (("--kb", "nowhere.idx", "--link"), "nowhere.idx: no such index; give the path of one"),
    ],
)
def test_wrong_ways_to_ask_for_concept_ids(model, tmp_path, capsys, words, says):
    asked = words if "--model" in words else ("--model", model, *words)
    assert predict("--input", ABSTRACTS, "--output", tmp_path / "o.jsonl", *asked) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "o.jsonl").exists()


def test_hints_of_an_index(model, index, tiny_backbones, tiny_tokenizer, tmp_path, capsys):
    taught = build(tiny_backbones["llama"])
    taught.settings = replace(
        taught.settings,
        template=taught.settings.template.with_hints(),
        hints={"notes": 4, "tokens": 40, "share": 0.5},
    )
    taught.save_pretrained(tmp_path / "taught", tiny_tokenizer)
    words = ("--model", tmp_path / "taught", "--input", ABSTRACTS, "--dtype", "float32")
    assert predict(*words, "--output", tmp_path / "with.jsonl", "--hints", "--kb", index) == 0
    assert "got none" not in capsys.readouterr().err
    assert predict(*words, "--output", tmp_path / "without.jsonl") == 0
    assert (
        "note: the model was trained to read hints of a knowledge base and got none"
        in capsys.readouterr().err
    )
    assert (tmp_path / "with.jsonl").read_bytes() != (tmp_path / "without.jsonl").read_bytes()
    wrong = ("--model", model, "--input", ABSTRACTS, "--output", tmp_path / "o.jsonl")
    assert predict(*wrong, "--hints", "--kb", index) == 2
    assert "error: this model was trained without hints" in capsys.readouterr().err


def test_plain_text_and_what_is_said(model, tmp_path, capsys):
    (tmp_path / "note.txt").write_text("Aspirin reduces fever.\n", encoding="utf-8")
    assert predict("--model", model, "--input", tmp_path / "note.txt", "--output", tmp_path / "o.jsonl") == 0
    (line,) = (tmp_path / "o.jsonl").read_text().splitlines()
    assert json.loads(line)["text"] == "Aspirin reduces fever.\n"
    assert "1 documents, 23 characters" in capsys.readouterr().err


# --- bad input: one line, status 2, no output ---


def refused(capsys, tmp_path, *words):
    output = tmp_path / "out.jsonl"
    before = sorted(p.name for p in tmp_path.iterdir())
    assert predict("--output", output, *words) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert error[-1].startswith("error: "), error
    assert not any("Traceback" in line for line in error)
    assert sorted(p.name for p in tmp_path.iterdir()) == before, "something was left behind"
    return error[-1]


def test_wrong_words(model, tmp_path, capsys):
    def say(*words):
        return refused(capsys, tmp_path, *words)

    assert "--types" in say("--model", model, "--input", ABSTRACTS, "--types")
    assert "did you mean Disease?" in say("--model", model, "--input", ABSTRACTS, "--types", "Diseases")
    assert "bc5cdr" in say("--model", model, "--input", ABSTRACTS, "--dataset", "bc5cdr")
    assert "no such model folder" in say("--model", "nowhere", "--input", ABSTRACTS)
    assert "no vaner.json" in say("--model", tmp_path, "--input", ABSTRACTS)
    assert "nowhere.txt" in say("--model", model, "--input", "nowhere.txt")
    assert "word" in say("--model", model, "--input", ABSTRACTS, "--input_format", "word")
    assert "word" in say("--model", model, "--input", ABSTRACTS, "--output_format", "word")
    said = say("--model", model, "--input", ABSTRACTS, "--type", "Disease", "--xyzzy", "red")
    assert said == "error: unknown flag --xyzzy; see predict.py --help"
    said = say("--model", model, "--input", ABSTRACTS, "--typos", "Disease")
    assert said == "error: unknown flag --typos (did you mean --types?); see predict.py --help"
    assert "'stray' belongs to no flag" in say("stray", "--model", model, "--input", ABSTRACTS)
    assert "batch_tokens is 0; choose 1 or more" in say(
        "--model", model, "--input", ABSTRACTS, "--batch_tokens", "0"
    )
    for device in ("gpu", "meta"):
        said = say("--model", model, "--input", ABSTRACTS, "--device", device)
        assert f"device {device} cannot be used: " in said and said.endswith("choose cpu, or leave it out")


def test_what_cannot_work_is_said_before_the_model_is_loaded(tmp_path, capsys):
    words = ("--model", "nowhere", "--input", ABSTRACTS)
    assert predict(*words, "--output", tmp_path / "no/o.jsonl") == 2
    assert "no does not exist; create it first" in capsys.readouterr().err
    assert predict(*words, "--output", tmp_path / "o.jsonl", "--input_format", "text:by=line") == 2
    assert "format text has no option 'by'; it has per" in capsys.readouterr().err
    assert predict(*words, "--output", tmp_path / "out/", "--output_format", "jsonl:tool=none") == 2
    assert "tool=none is unknown; choose one of" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_format_may_have_options(model, tmp_path):
    (tmp_path / "notes.txt").write_text("Aspirin helps.\nFever went.\n")
    words = ("--model", model, "--input", tmp_path / "notes.txt", "--output", tmp_path / "o.jsonl")
    assert predict(*words, "--input_format", "text:per=line") == 0
    assert [d.text for d in read(tmp_path / "o.jsonl")] == ["Aspirin helps.", "Fever went."]


def test_broken_files(model, tmp_path, capsys):
    good = ABSTRACTS.read_text(encoding="utf-8").split("\n\n")[0]
    cases = {
        "latin1.pubtator": "1|t|Ménière\n1|a|x\n".encode("latin-1"),
        "cut.jsonl": b'{"id": "1", "text": "fever"}\n{"id": "2", "te',
        "columns.pubtator": b"1|t|Fever today\n1|a|Abstract.\n1\t0\t5\n",
        "twice.pubtator": f"{good}\n\n{good}\n".encode(),
        "ragged.conll": b"Fever\tO\ntoday\n",
        "cut.jsonl.gz": gzip.compress(b'{"id": "1", "text": "fever"}\n')[:-9],
    }
    folder = tmp_path / "in"
    folder.mkdir()
    for name, content in cases.items():
        (folder / name).write_bytes(content)
        said = refused(capsys, tmp_path, "--model", model, "--input", folder / name)
        assert name in said, said


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("adapter_config.json", None, "adapter_config.json is missing; copy the whole model folder"),
        ("adapter_model.safetensors", b"version https://git-lfs", "are damaged (Error while deserializing"),
        ("head.safetensors", b"", "are damaged (Error while deserializing"),
        ("tokenizer.json", b"{", "its tokenizer cannot be read ("),
        ("tokenizer.json", None, "its tokenizer cannot be read ("),
    ],
)
def test_a_model_that_was_not_copied_whole(model, tmp_path, capsys, name, content, says):
    copy = tmp_path / "copy"
    shutil.copytree(model, copy)
    (copy / name).unlink()
    if content is not None:
        (copy / name).write_bytes(content)
    said = refused(capsys, tmp_path, "--model", copy, "--input", ABSTRACTS)
    assert says in said and "; copy the " in said
    # Whoever else loads it is told the same.
    assert main(["merge", str(copy), "--output", str(tmp_path / "merged")]) == 2
    assert says in capsys.readouterr().err
    words = ["--model", copy, "--mix", "bc5cdr-sample", "--output_dir", tmp_path / "run", "--use_cpu", "true"]
    with pytest.raises(VanerError) as error:
        training.run(list(map(str, words)))
    assert says in str(error.value)


def test_a_misspelt_model_is_told_its_neighbour(tmp_path, capsys):
    said = refused(capsys, tmp_path, "--model", "vaner-smollm2-135", "--input", ABSTRACTS)
    assert "no such model folder (did you mean vaner-smollm2-135m?); train one" in said


def test_a_bad_document_is_skipped_and_counted(model, tmp_path, capsys):
    source = tmp_path / "in.pubtator"
    source.write_text(
        "1|t|Fever today\n1|a|Abstract.\n\n2|t|Fever today\n2|a|Abstract.\n2\t0\t5\n\n3|t|Fever\n3|a|\n",
        encoding="utf-8",
    )
    assert (
        predict("--model", model, "--input", source, "--output", tmp_path / "o.jsonl", "--on_error", "skip")
        == 0
    )
    assert [d.id for d in read(tmp_path / "o.jsonl")] == ["1", "3"]
    assert f"note: document skipped: {source}:6: neither a mention" in capsys.readouterr().err


OLD = {
    "a.pubtator": "1|t|Fever today\n1|a|Abstract.\n1\t0\t5\tfever\tDisease\n1\t0\t5\tFever\tDisease\n",
    "a.json": json.dumps(
        {
            "documents": [
                {
                    "id": "1",
                    "passages": [
                        {
                            "offset": 0,
                            "text": "Fever and TNF-α",
                            "annotations": [
                                {"text": "TNF-a", "locations": [{"offset": 10, "length": 5}], "infons": {}}
                            ],
                        }
                    ],
                }
            ]
        }
    ),
    "b.jsonl": '{"text": "Fever today", "entities": [[0, 50, "X"], [0, 5, 7]]}\n',
    "c.jsonl": '{"text": "Fever today", "mentions": [{"start": 0, "end": 5, "label": "X"}]}\n',
    "d.jsonl": '{"text": "Fever today", "spans": [{"start": 0, "end": 5, "type": "X", "text": "fever"}]}\n',
}


@pytest.mark.parametrize("name", OLD)
def test_old_mentions_that_are_wrong_do_not_keep_a_file_from_being_tagged(model, tmp_path, capsys, name):
    (tmp_path / name).write_text(OLD[name], encoding="utf-8")
    words = ("--model", model, "--input", tmp_path / name, "--output", tmp_path / "o.jsonl")
    assert predict(*words) == 0
    assert [d.text[:5] for d in read(tmp_path / "o.jsonl")] == ["Fever"]
    assert "mention dropped" in capsys.readouterr().err
    format = {"a.pubtator": "pubtator", "a.json": "bioc"}.get(name, "jsonl")
    assert predict(*words, "--input_format", f"{format}:offsets=raise") == 2


def test_the_output_may_not_be_the_input(model, tmp_path, capsys):
    source = tmp_path / "in.jsonl"
    source.write_text('{"id": "1", "text": "fever"}\n')
    assert predict("--model", model, "--input", source, "--output", source) == 2
    assert source.read_text() == '{"id": "1", "text": "fever"}\n'


# --- many files ---


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    shutil.copy(ABSTRACTS, folder / "a.pubtator")
    lines = [json.dumps({"id": str(i), "text": f"Fever number {i} today."}) + "\n" for i in range(7)]
    (folder / "sub" / "b.jsonl.gz").write_bytes(gzip.compress("".join(lines).encode()))
    return folder


def files(folder):
    found = [p for p in folder.rglob("*") if p.is_file() and ".vaner" not in p.parts]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in found}


def test_a_folder_becomes_a_folder(model, folder, tmp_path, capsys):
    out = tmp_path / "out"
    words = ("--model", model, "--input", folder, "--output", out, "--gzip", "keep", "--unit_documents", 3)
    assert predict(*words, "--progress", "json") == 0
    assert set(files(out)) == {"a.jsonl", "sub/b.jsonl.gz", "summary.json"}
    summary = json.loads((out / "summary.json").read_text())
    tagged = [d for name in ("a.jsonl", "sub/b.jsonl.gz") for d in read(out / name)]
    assert summary["documents"] == len(tagged) and summary["rejected"] == 0
    assert summary["mentions"] == sum(len(d.spans) for d in tagged)
    said = capsys.readouterr().err.splitlines()
    last = json.loads([line for line in said if line.startswith("{")][-1])
    assert last["files"] == 2 and last["tokens_per_second"] > 0 and 0 <= last["padding"] < 1
    assert last["bytes_read"] == last["bytes"] and last["seconds_left"] == 0
    before = files(out)
    assert predict(*words) == 0
    assert "this run: 0 documents" in capsys.readouterr().err and files(out) == before
    assert predict(*words, "--batch_tokens", 512, "--types", "Disease") == 2
    said = capsys.readouterr().err
    assert 'types was null, is ["Disease"]; batch_tokens was null, is 512' in said and said.count("\n") == 1
    assert files(out) == before


@pytest.mark.slow
def test_the_output_is_that_of_one_file_at_a_time(model, folder, tmp_path):
    assert predict("--model", model, "--input", f"{folder}/*", "--output", tmp_path / "out") == 0
    assert predict("--model", model, "--input", ABSTRACTS, "--output", tmp_path / "a.jsonl") == 0
    assert (tmp_path / "out/a.jsonl").read_bytes() == (tmp_path / "a.jsonl").read_bytes()


def test_rejected_documents_show_in_the_status(model, folder, tmp_path, capsys):
    (folder / "bad.jsonl").write_text('{"id": "1", "te\n{"id": "2", "text": "Fever"}\n')
    words = ("--model", model, "--input", folder / "bad.jsonl", "--output", f"{tmp_path}/out/")
    assert predict(*words) == 3
    assert "1 documents or files were rejected; " in capsys.readouterr().err
    (line,) = (tmp_path / "out/rejected.jsonl").read_text().splitlines()
    assert json.loads(line)["place"] == f"{folder}/bad.jsonl:1"
    assert predict(*words, "--overwrite", "--on_error", "raise") == 2
    assert "bad.jsonl:1: no JSON" in capsys.readouterr().err


def test_deleted_citations_are_listed(model, tmp_path, capsys):
    record = (
        "<PubmedArticle><MedlineCitation><PMID>1</PMID><Article><ArticleTitle>Fever</ArticleTitle></Article>"
    )
    update = f"<PubmedArticleSet>{record}</MedlineCitation></PubmedArticle><DeleteCitation><PMID>7</PMID><PMID>8</PMID>"
    (tmp_path / "n1.xml").write_text(f"{update}</DeleteCitation></PubmedArticleSet>")
    words = ("--model", model, "--input", tmp_path / "n1.xml", "--output", f"{tmp_path}/out/")
    for _ in range(2):  # a run that has nothing left to do says the same
        assert predict(*words) == 0
        assert "2 documents exist no longer" in capsys.readouterr().err
        lines = (tmp_path / "out/deleted.jsonl").read_text().splitlines()
        assert [json.loads(line) for line in lines] == [{"file": "n1.xml", "id": id} for id in ("7", "8")]


def test_what_was_found_in_one_file(model, tmp_path, capsys):
    words = ("--model", model, "--input", ABSTRACTS, "--output", tmp_path / "o.jsonl")
    assert predict(*words, "--summary", tmp_path / "s.json") == 0
    said = capsys.readouterr().err
    found = json.loads((tmp_path / "s.json").read_text())
    tagged = list(read(tmp_path / "o.jsonl"))
    assert found["documents"] == len(tagged) and found["mentions"] == sum(len(d.spans) for d in tagged)
    assert "most frequent" in said or not found["mentions"]
    assert predict(*words, "--summary", tmp_path / "nowhere" / "s.json") == 2
    assert "create it first" in capsys.readouterr().err
    before = ABSTRACTS.read_bytes()
    assert predict(*words, "--summary", ABSTRACTS) == 2
    assert "is the input; name another file" in capsys.readouterr().err and ABSTRACTS.read_bytes() == before
    assert predict(*words, "--summary", tmp_path / "o.jsonl") == 2
    assert "is the output; name another file" in capsys.readouterr().err
    assert predict(*words, "--summary", tmp_path) == 2
    assert "is a folder; name a file to write" in capsys.readouterr().err
    assert predict(*words[:-1], f"{tmp_path}/out/", "--summary", tmp_path / "s.json") == 2
    assert "writes summary.json into its folder; leave it out" in capsys.readouterr().err


def test_wrong_ways_to_tag_many_files(folder, tmp_path, capsys):
    def say(*words):
        assert predict("--model", "nowhere", *words) == 2
        return capsys.readouterr().err

    both = ("--input", folder / "a.pubtator", folder / "sub")
    assert "several inputs become a file each; name a folder" in say(*both, "--output", tmp_path / "o.jsonl")
    assert "several inputs become a file each; name a folder" in say(*both, "--output", "-")
    one = ("--input", folder / "a.pubtator", "--output", tmp_path / "o.jsonl")
    assert "--processes is for runs over many files" in say(*one, "--processes", 2)
    assert "--gzip is for runs over many files" in say(*one, "--gzip", "all")
    assert "--processes is 0; choose 1 or more" in say(*both, "--output", tmp_path / "out", "--processes", 0)
    assert "no such model folder" in say(*both, "--output", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flag", "value", "said"),
    [
        ("--types", "@", "error: --types @: no file is named; write @FILE"),
        (
            "--model",
            "kb:",
            "error: kb: names no index; write kb:open, or kb:PATH (python -m vaner kb build makes one)",
        ),
        ("--input", "", "error: an empty name: no such file; check the path"),
        ("--input", "hf:", "error: hf: names no dataset; write hf:NAME as the hub has it"),
    ],
)
def test_a_word_that_names_nothing(make_kb, tmp_path, capsys, flag, value, said):
    words = {
        "--model": f"kb:{make_kb().path}",
        "--input": ABSTRACTS,
        "--output": tmp_path / "o.jsonl",
        flag: value,
    }
    assert predict(*(word for pair in words.items() for word in pair)) == 2
    assert capsys.readouterr().err.strip() == said
