"""In: dev documents, a model. Out: their scores, also where there is nothing to find."""

from tests.model.test_network import build
from vaner.corpora.registry import read_registry
from vaner.document import Document
from vaner.training.dev import Dev


def test_documents_without_any_mention_have_no_types(tiny_backbones, tiny_tokenizer, monkeypatch):
    model = build(tiny_backbones["llama"])
    monkeypatch.setattr("vaner.training.dev.Vaner.tag_documents", lambda self, documents, *_: iter(documents))
    documents = {"ncbi-disease-sample": [Document("1", "Nothing here.", types=frozenset({"Disease"}))]}
    dev = Dev(documents, read_registry(), seed=1, most=None, batch_tokens=512)
    scores = dev.scores(model, tiny_tokenizer)
    assert scores["ncbi-disease-sample"]["f1"] == 0.0 and scores["ncbi-disease-sample"]["types"] == {}
