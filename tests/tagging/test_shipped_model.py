"""The shipped model loads by its name, keeps its scores on a fixed slice of dev, and reads both forms of a text."""

from pathlib import Path

import pytest
import torch

from vaner import Vaner
from vaner.corpora.registry import read_registry
from vaner.evaluation import metrics
from vaner.evaluation.pairing import pair
from vaner.model.catalogue import model_folder, shipped_models

pytestmark = pytest.mark.slow

# The samples' test documents are drawn from the corpora's dev splits. Measured with each model as it ships.
MEASURED = {
    "vaner-smollm2-135m": {
        "ncbi-disease-sample": 0.861,
        "bc5cdr-sample": 0.892,
        "bc2gm-sample": 0.788,
        "linnaeus-sample": 0.815,
        "anatem-sample": 0.825,
    },
    "vaner-smollm2-135m-20l": {
        "ncbi-disease-sample": 0.872,
        "bc5cdr-sample": 0.858,
        "bc2gm-sample": 0.862,
        "linnaeus-sample": 0.870,
        "anatem-sample": 0.803,
    },
    "vaner-minilm": {
        "ncbi-disease-sample": 0.820,
        "bc5cdr-sample": 0.836,
        "bc2gm-sample": 0.793,
        "linnaeus-sample": 0.889,
        "anatem-sample": 0.785,
    },
}


@pytest.fixture(scope="module", params=MEASURED)
def tagger(request):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield Vaner.from_pretrained(request.param)
    torch.set_num_threads(before)


@pytest.fixture
def name(request):
    return request.node.callspec.params["tagger"]


def f1(tagger, gold, dataset):
    types = sorted(gold[0].types)
    found = list(tagger.tag_documents([d.with_spans([]) for d in gold], types, dataset))
    return metrics.score(pair(gold, found))[metrics.MICRO].f1


def test_f1_on_fixed_slices_of_dev(tagger, name):
    found = {}
    for corpus in MEASURED[name]:
        gold = list(read_registry()[corpus].documents("test"))
        found[corpus] = f1(tagger, gold, read_registry()[corpus].instruction_name)
    assert all(found[corpus] > measured - 0.01 for corpus, measured in MEASURED[name].items()), found


def test_repeats_read_together_are_better(tagger, monkeypatch):
    """Over the samples of abstracts; docs/results/repeats.md has whole dev splits."""
    found = {True: 0.0, False: 0.0}
    for corpus in ("ncbi-disease-sample", "bc5cdr-sample"):
        gold = list(read_registry()[corpus].documents("test"))
        for repeats in found:
            monkeypatch.setattr(tagger, "repeats", repeats)
            found[repeats] += f1(tagger, gold, read_registry()[corpus].instruction_name)
    assert found[True] > found[False] + 0.005, found


def test_an_instruction_read_once_finds_what_one_in_every_row_does(tagger, monkeypatch):
    """Where the mode is `prefix`; the two ways of computing it differ by rounding alone."""
    gold = list(read_registry()["bc5cdr-sample"].documents("test"))[:10]
    texts, types = [d.with_spans([]) for d in gold], ["Chemical", "Disease", "Anatomy"]
    if tagger.model.settings.attention != "prefix":
        pytest.skip("every row of it reads its instruction: an encoder, all of whose words see the text")
    assert tagger.model.reuses_instructions
    once = list(tagger.tag_documents(texts, types, "bc5cdr"))
    monkeypatch.setattr(type(tagger.model), "reuses_instructions", False)
    every = list(tagger.tag_documents(texts, types, "bc5cdr"))
    assert metrics.score(pair(once, every))[metrics.MICRO].f1 > 0.98


def test_a_text_without_a_dataset(tagger):
    text = "Famotidine-associated delirium. A series of six patients with acute renal failure."
    found = {(s.text, s.type) for s in tagger(text)}
    assert {("Famotidine", "Chemical"), ("delirium", "Disease"), ("acute renal failure", "Disease")} <= found


def test_conll_and_pubtator_score_alike(tagger, corpora_root):
    """Spacing: the same dev abstracts, read as split words and as raw text, within a point of F1."""

    def dev(name):
        return list(read_registry()[name].documents("dev", corpora_root, on_error="skip"))

    def letters(document):
        return "".join(document.text.split())

    # A document of the one is some sentences of the same text, in another order of abstracts than the other's.
    words = dev("ncbi-disease")[:50]
    together = "".join(map(letters, words))
    raw = [document for document in dev("ncbi-disease-pubtator") if letters(document) in together]
    assert len(raw) > 50 and len(together) < 1.01 * sum(len(letters(document)) for document in raw)
    scores = [f1(tagger, gold, "ncbi-disease") for gold in (words, raw)]
    assert abs(scores[0] - scores[1]) < 0.01, scores


def test_shipped_models_are_small():
    """They come with every clone and every installation."""
    folders = [Path(model_folder(name)) for name in MEASURED]
    assert sorted(MEASURED) == shipped_models()
    assert sum(path.stat().st_size for folder in folders for path in folder.iterdir()) < 30_000_000
