"""A folder for transformers scores as the labeler does, in a process that has no vaner; or it is said why it cannot."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForTokenClassification, AutoTokenizer, PreTrainedTokenizerFast, pipeline

from tests.conftest import SAMPLES
from tests.model.test_network import build
from tests.training import llama2
from vaner import Document, Vaner
from vaner.cli import main
from vaner.errors import VanerError
from vaner.formats import read
from vaner.inputs.features import Tokenisation
from vaner.inputs.instructions import Template
from vaner.integrations import stock_network, stock_tokenizer
from vaner.integrations.transformers import TEXTS, TOLERANCE, export, scores
from vaner.model.saving import load_tokenizer
from vaner.tagging import decode
from vaner.text.units import Text

MADE = {
    "types": ["Disease", "Chemical"],
    "datasets": {"ncbi-disease": ["Disease"], "bc5cdr": ["Chemical", "Disease"]},
}
FAMILIES = ("llama", "mistral", "qwen2", "llama2")


@pytest.fixture(scope="module")
def backbones(tiny_backbones, tmp_path_factory) -> dict[str, str]:
    """Random backbones whose norms have weights, as those of trained ones; llama2 has SentencePiece's tokenizer."""
    root = tmp_path_factory.mktemp("backbones")
    for name in FAMILIES:
        if name == "llama2":
            llama2.make(root / name)
        else:
            shutil.copytree(tiny_backbones[name], root / name)
        state = load_file(root / name / "model.safetensors")
        drawn = torch.Generator().manual_seed(1)
        for key, value in state.items():
            if key.endswith("norm.weight"):
                value.normal_(mean=1.5, generator=drawn)
            elif key.endswith("bias"):
                value.normal_(std=0.2, generator=drawn)
        save_file(state, root / name / "model.safetensors", metadata={"format": "pt"})
    return {name: str(root / name) for name in FAMILIES}


def saved(folder: Path, backbone: str, head: str = "shared", **settings) -> Path:
    made = build(backbone, head=head, **{**MADE, **settings})
    with torch.no_grad():
        bias = (made.head.score if head == "shared" else made.head.word_bias).bias
        bias.copy_(torch.tensor([0.5, 0.0, 0.0]))
    made.save_pretrained(folder, load_tokenizer(backbone))
    return folder


def asked(name: str | Path, dataset: str | None = "ncbi-disease", kind: str = "Disease"):
    """The labeler, reading a text in one piece, each word by its own likeliest tag, as a pipeline does."""
    tagger = Vaner.from_pretrained(
        name, dtype="float32", fuse=False, decoding="argmax", max_words=10_000, repeats=False
    )
    return tagger, tagger.settings.template.render([kind], dataset)


def own_spans(tagger: Vaner, text: str) -> list[tuple[int, int]]:
    return [(s.start, s.end) for s in tagger(text, ["Disease"], "ncbi-disease")]


def whole_words(tagger: Vaner, text: str) -> list[str]:
    """Words whose first token is more than their space."""
    words = Text.of(Document("", text)).words
    alone = set(tagger.tokenisation.tokenizer.convert_tokens_to_ids(["Ġ", "▁"]))
    return [w for w, ids in zip(words, tagger.tokenisation.words(words), strict=True) if ids[0] not in alone]


def of_the_card(folder: Path):
    """The function that the card shows."""
    code = re.search(r"```python\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert code is not None
    names: dict = {}
    exec(code[1].replace("path/to/this/folder", str(folder)), names)
    return names["mentions"]


def sentences(most: int = 2) -> list[str]:
    """Of real abstracts."""
    found = []
    for document in list(read(SAMPLES / "abstracts.pubtator"))[:most]:
        text = Text.of(document)
        for first, end in text.sentence_ranges():
            found.append(document.text[text.offsets[first][0] : text.offsets[end - 1][1]])
    return found


CASES = [
    *((family, "shared", "bidirectional", Template()) for family in FAMILIES),
    ("llama", "shared", "causal", Template()),
    ("llama2", "shared", "bidirectional", Template(place="after")),
    ("llama", "typed", "causal", Template(type_vector="mean")),
]


@pytest.mark.parametrize(("family", "head", "attention", "template"), CASES)
def test_scores_and_spans_are_those_of_the_labeler(backbones, tmp_path, family, head, attention, template):
    model = saved(tmp_path / "m", backbones[family], head, attention=attention, template=template)
    done = export(model, tmp_path / "out", dataset="ncbi-disease")
    assert (done.dataset, done.type, done.folder) == ("ncbi-disease", "Disease", tmp_path / "out")
    tagger, instruction = asked(model)
    stock = AutoModelForTokenClassification.from_pretrained(tmp_path / "out").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert stock.config.id2label == {0: "O", 1: "B-Disease", 2: "I-Disease"} and stock.dtype == torch.float32
    assert not hasattr(stock.config, "auto_map") and not list((tmp_path / "out").glob("*.py"))
    mentions = of_the_card(tmp_path / "out")
    by_first = pipeline("token-classification", str(tmp_path / "out"), aggregation_strategy="first")
    found = 0
    for text in [*TEXTS, *sentences()]:
        ours = scores(tagger, instruction, text)
        cut = Text.of(Document("", text))
        row = tagger.tokenisation.row(instruction, cut.words)
        with torch.inference_mode():
            theirs = stock(**tokenizer(text, return_tensors="pt")).logits[0, row.word_positions]
        assert (ours - theirs).abs().max() <= TOLERANCE * max(1, ours.abs().max())
        tagged = decode.mentions(ours.argmax(-1).numpy())
        expected = [(cut.offsets[first][0], cut.offsets[end - 1][1]) for first, end in tagged]
        assert [(start, end) for start, end, _ in mentions(text)] == expected
        # The labeler itself also knows of blocks, and of mentions that are nothing but markup.
        assert expected == own_spans(tagger, text) or set("\t<&") & set(text)
        # What the card says of "first": words between spaces, whose first token is more than the space.
        words = " ".join(whole_words(tagger, text))
        grouped = [(one["start"], one["end"]) for one in by_first(words)]
        assert grouped == own_spans(tagger, words)
        again = [
            (one["start"], one["end"]) for one in by_first([words.split(" ")], is_split_into_words=True)[0]
        ]
        assert again == grouped
        assert {one["entity_group"] for one in by_first(words)} <= {"Disease"}
        found += len(expected)
    assert found > 20


def test_padding_changes_nothing(backbones, tmp_path):
    export(saved(tmp_path / "m", backbones["llama"]), tmp_path / "out", dataset="ncbi-disease")
    first = pipeline("token-classification", str(tmp_path / "out"), aggregation_strategy="first")
    texts = [" ".join(Text.of(Document("", text)).words) for text in sentences()]
    for alone, beside in zip(map(first, texts), first(texts, batch_size=4), strict=True):
        assert [(a["start"], a["end"]) for a in alone] == [(b["start"], b["end"]) for b in beside]


def test_with_a_mask_of_ones_and_without_any(backbones, tmp_path):
    """Where sdpa leaves a mask of ones out it falls back on the modules' own flag."""
    export(saved(tmp_path / "m", backbones["llama"]), tmp_path / "out", dataset="ncbi-disease")
    given = AutoTokenizer.from_pretrained(tmp_path / "out")(TEXTS[0], return_tensors="pt")
    found = []
    for implementation in ("eager", "sdpa"):
        stock = AutoModelForTokenClassification.from_pretrained(
            tmp_path / "out", attn_implementation=implementation
        )
        with torch.inference_mode():
            found += [stock.eval()(**given).logits, stock(given["input_ids"]).logits]
    assert all(torch.allclose(one, found[0], atol=1e-4) for one in found)


def refused(model: Path, *words: str, capsys) -> str:
    output = model.parent / "out"
    assert main(["export", str(model), "--to", "transformers", "--output", str(output), *words]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and not list(model.parent.glob("*out*"))
    return error


@pytest.mark.parametrize(
    ("family", "settings", "words", "said"),
    [
        ("llama", {"head": "typed"}, ["--types", "Disease"], "the typed head cannot be exported: what it knows of"),
        ("llama", {"head": "typed", "attention": "prefix"}, ["--types", "Disease"], "prefix cannot be exported"),
        ("llama", {"attention": "twice"}, ["--types", "Disease"], "attention twice cannot be exported"),
        ("llama", {}, ["--dataset", "bc5cdr"], "2 types (Chemical, Disease) cannot be exported together"),
        ("llama", {}, [], "2 types (Disease, Chemical) cannot be exported together"),
        ("llama", {}, ["--types", "Gene"], "type 'Gene' was not in training"),
        ("llama", {}, ["--dataset", "none"], "dataset 'none' was not in training"),
        ("bert", {}, ["--types", "Disease"], "type bert cannot be exported: its head reads states scaled to length"),
    ],
)  # fmt: skip
def test_what_cannot_be_exact_is_refused_and_said_why(
    tiny_backbones, tmp_path, capsys, family, settings, words, said
):
    model = saved(tmp_path / "m", tiny_backbones[family], **settings)
    assert said in refused(model, *words, capsys=capsys)


def test_a_difference_is_refused(backbones, tmp_path, capsys, monkeypatch):
    model = saved(tmp_path / "m", backbones["llama"])
    with monkeypatch.context() as patch:
        patch.setattr(stock_network, "_GREAT", 8.0)
        assert "scores and those of a stock model lie" in refused(model, "--types", "Disease", capsys=capsys)
    with monkeypatch.context() as patch:
        patch.setattr(stock_tokenizer, "_WORD", r"\S+")
        said = refused(model, "--types", "Disease", capsys=capsys)
        assert "this model's tokenizer cannot be exported: token ids of" in said


def test_the_output_is_new(backbones, tmp_path, capsys):
    model = saved(tmp_path / "m", backbones["llama"])
    words = ["export", str(model), "--to", "transformers", "--types", "Disease", "--output"]
    assert main([*words, str(model)]) == 2 and "is there already" in capsys.readouterr().err
    assert main([*words, str(tmp_path / "out")]) == 0
    assert "Disease, no dataset named; scores differ from the model's by" in capsys.readouterr().out
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert len({path.stat().st_mode for path in (tmp_path / "out").iterdir()}) == 1


# --- the tokenizer by itself ---


def test_a_tokenizer_of_another_kind_is_refused(tiny_tokenizer):
    from tokenizers import Tokenizer, pre_tokenizers

    made = Tokenizer.from_str(tiny_tokenizer.backend_tokenizer.to_str())
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenisation = Tokenisation(PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>"), 512)
    with pytest.raises(
        VanerError, match="it parts text by Whitespace, and only byte-level and SentencePiece"
    ):
        stock_tokenizer.stock_tokenizer(tokenisation, Template().render(["Disease"]), 512)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["llama", "llama2"])
def test_every_character_is_a_word_or_none_as_for_the_labeler(backbones, family):
    tokenisation = Tokenisation(load_tokenizer(backbones[family]), 512)
    instruction = Template().render(["Disease"])
    made, _ = stock_tokenizer.stock_tokenizer(tokenisation, instruction, 1 << 20)

    def differs(characters: str) -> bool:
        text = " ".join(f"a{c}a {c}" for c in characters)
        return stock_tokenizer.differences(made, tokenisation, instruction, text) is not None

    # Three planes; the others hold ideographs like those in the first, or nothing.
    codes = [*range(0xD800), *range(0xE000, 0x20000), *range(0xE0000, 0xE1000)]
    every = "".join(map(chr, codes))
    parts = [every[at : at + 64] for at in range(0, len(every), 64)]
    assert [f"U+{ord(c):04X}" for part in parts if differs(part) for c in part if differs(c)] == []


@pytest.mark.slow
def test_real_documents_are_read_as_the_labeler_reads_them(backbones, corpora_root):
    """Every document of two corpora of raw text, whole, by tokenizers of both kinds."""
    documents = []
    for name in ("CDR_DevelopmentSet.PubTator.txt", "NCBIdevelopset_corpus.txt"):
        (path,) = list(corpora_root.rglob(name))[:1]
        documents += list(read(path, "pubtator"))
    assert len(documents) > 500
    instruction = Template().render(["Disease"], "ncbi-disease")
    for family in ("llama", "llama2"):
        tokenisation = Tokenisation(load_tokenizer(backbones[family]), 512)
        made, _ = stock_tokenizer.stock_tokenizer(tokenisation, instruction, 1 << 20)
        for document in documents:
            assert stock_tokenizer.differences(made, tokenisation, instruction, document.text) is None


ALONE = """
import json, sys
sys.modules["vaner"] = None  # importing it fails
import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

folder, texts = sys.argv[1], json.loads(sys.argv[2])
model = AutoModelForTokenClassification.from_pretrained(folder).eval()
tokenizer = AutoTokenizer.from_pretrained(folder)
first = pipeline("token-classification", folder, aggregation_strategy="first")
with torch.inference_mode():
    logits = [model(**tokenizer(text, return_tensors="pt")).logits[0].tolist() for text in texts]
spans = [[(one["start"], one["end"], one["entity_group"]) for one in first(text)] for text in texts]
print(json.dumps([logits, spans]))
"""


@pytest.mark.slow
def test_in_a_process_without_vaner(backbones, tmp_path):
    model = saved(tmp_path / "m", backbones["llama"])
    export(model, tmp_path / "out", dataset="ncbi-disease")
    tagger, instruction = asked(model)
    texts = [" ".join(whole_words(tagger, text)) for text in [*TEXTS, *sentences()]]
    done = subprocess.run(
        [sys.executable, "-I", "-c", ALONE, str(tmp_path / "out"), json.dumps(texts)],
        capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    logits, spans = json.loads(done.stdout.strip().splitlines()[-1])
    for text, theirs, found in zip(texts, logits, spans, strict=True):
        row = tagger.tokenisation.row(instruction, text.split(" "))
        ours = scores(tagger, instruction, text)
        difference = (ours - torch.tensor(theirs)[row.word_positions]).abs().max()
        assert difference <= TOLERANCE * max(1, ours.abs().max())
        assert [tuple(one) for one in found] == [(s, e, "Disease") for s, e in own_spans(tagger, text)]
