"""In: the labeler and the dictionary. Out: both keep what a Tagger promises, to a type checker and at work."""

from __future__ import annotations

import dataclasses
import importlib.util
import subprocess
import sys

import pytest
import torch

from tests.conftest import ROOT
from tests.model.test_network import build
from vaner.document import Document, Passage
from vaner.errors import VanerError
from vaner.knowledge import DictionaryTagger
from vaner.tagging.labeler import Vaner
from vaner.text.units import Text

# Packages that are large, or publish no types: what they give may be anything.
MYPY = """\
[mypy]
follow_imports = silent
check_untyped_defs = True
[mypy-torch.*,transformers.*,peft.*,safetensors.*,tokenizers.*,accelerate.*,huggingface_hub.*,scipy.*]
follow_imports = skip
ignore_missing_imports = True
[mypy-yaml.*,ijson.*,lxml.*,regex.*,tqdm.*,tabulate.*,bitsandbytes.*,gguf.*,seqeval.*]
ignore_missing_imports = True
"""
USES = """\
from collections.abc import Iterable, Iterator, Mapping, Sequence
from vaner.document import Document
from vaner.knowledge import DictionaryTagger
from vaner.tagger import Tagger
from vaner.tagging.labeler import Vaner

class Least:
    types: Sequence[str] = ()
    datasets: Mapping[str, Sequence[str]] = {}
    max_words: int | None = None
    allow_new_types = False
    def tag_documents(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, dataset: str | None = None
    ) -> Iterator[Document]:
        return iter(documents)
    def remarks(self) -> list[str]:
        return []

class Silent(Least):
    remarks: None = None  # type: ignore[assignment]

class Deaf(Least):
    def tag_documents(self, documents: str) -> Iterator[Document]: ...  # type: ignore[override, empty-body]

def least(one: Least) -> Tagger: return one
def labeler(one: Vaner) -> Tagger: return one
def dictionary(one: DictionaryTagger) -> Tagger: return one
def silent(one: Silent) -> Tagger: return one
def deaf(one: Deaf) -> Tagger: return one
"""


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
def test_a_type_checker_takes_both_for_taggers_and_what_lacks_a_part_for_none(tmp_path):
    (tmp_path / "mypy.ini").write_text(MYPY)
    (tmp_path / "uses.py").write_text(USES)
    words = ["--config-file", "mypy.ini", "--cache-dir", "cache", "--no-error-summary", "uses.py"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *words],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"MYPYPATH": str(ROOT), "PATH": ""},
    )
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    lines = USES.splitlines()
    assert {lines[int(line.split(":")[1]) - 1].split("(")[0] for line in errors} == {
        "def silent",
        "def deaf",
    }, done.stdout + done.stderr


# --- at work ---


@pytest.fixture(scope="module")
def labeler(tiny_backbones, tiny_tokenizer):
    model = build(tiny_backbones["llama"])
    model.settings = dataclasses.replace(model.settings, datasets={"bc5cdr": ["Chemical", "Disease"]})
    with torch.no_grad():
        model.head.word_bias.bias.copy_(torch.tensor([0.6, 0.0, 0.0]))
    return Vaner(model, tiny_tokenizer, batch_tokens=100, buffer_batches=1)


@pytest.fixture(params=["labeler", "dictionary"])
def tagger(request, labeler, kb):
    return labeler if request.param == "labeler" else DictionaryTagger(kb)


@pytest.fixture
def document() -> Document:
    text = "TNF-alpha in breast cancer. Insulin and APC."
    made = Document(
        "d1",
        text,
        passages=[Passage(0, 27, "title"), Passage(28, len(text), "abstract")],
        sentences=[(0, 27), (28, len(text))],
        words=[(0, 9), (10, 12)],
        metadata={"pmid": "7"},
    )
    return made.with_spans([made.span(10, 12, "Disease"), made.span(0, 1, "Species")])


def test_spans_are_replaced_and_the_rest_is_kept(tagger, document):
    (tagged,) = tagger.tag_documents([document], ["Disease"])
    assert tagged.spans and {s.type for s in tagged.spans} == {"Disease"}
    bare = document.with_spans([])
    (other,) = tagger.tag_documents([bare], ["Disease"])
    assert other.spans == tagged.spans, "spans that were there change nothing"
    for name in ("id", "text", "passages", "sentences", "words", "metadata"):
        assert getattr(tagged, name) == getattr(document, name), name
    assert len(document.spans) == 2, "the document that was given is left as it was"


def test_documents_are_read_as_they_are_needed_and_come_in_their_order(tagger, document):
    taken = []

    def stream():
        for number in range(400):
            taken.append(number)
            yield dataclasses.replace(document, id=str(number))

    tagged = tagger.tag_documents(stream(), ["Disease"])
    first = next(tagged)
    assert len(taken) < 300
    assert [d.id for d in (first, *tagged)] == [str(n) for n in range(400)]


def test_an_unknown_type_is_refused_before_a_document_is_read(tagger):
    def unread():
        raise AssertionError("a document was read")
        yield

    assert "Spaceship" not in tagger.types and not tagger.allow_new_types
    with pytest.raises(VanerError, match="Spaceship"):
        list(tagger.tag_documents(unread(), ["Spaceship"]))


def test_without_types_all_that_it_knows_are_asked(tagger, document):
    named, unnamed = (list(tagger.tag_documents([document], types)) for types in (list(tagger.types), None))
    assert [s.key for s in named[0].spans] == [s.key for s in unnamed[0].spans]
    assert {s.type for s in unnamed[0].spans} <= set(tagger.types)


def test_no_mention_reaches_further_than_it_reads_at_once(tagger, document):
    assert tagger.max_words is None or tagger.max_words >= 1
    (tagged,) = tagger.tag_documents([document])
    if tagger.max_words is not None:
        text = Text.of(document)
        starts = {text.offsets[first][0] for first, _ in text.units(tagger.max_words)}
        assert not [s for s in tagged.spans if any(s.start < start < s.end for start in starts)]


def test_it_has_something_to_remark_or_nothing_but_always_a_list_of_sentences(tagger, document):
    list(tagger.tag_documents([document]))
    assert isinstance(tagger.remarks(), list) and all(isinstance(line, str) for line in tagger.remarks())


def test_a_dataset_that_it_knows_can_be_named(tagger, document):
    for name in tagger.datasets:
        (tagged,) = tagger.tag_documents([document], dataset=name)
        assert {s.type for s in tagged.spans} <= set(tagger.datasets[name])
