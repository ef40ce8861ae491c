"""The dictionary tagger: the model tagger's interface, passages, abbreviations."""

import pytest

from vaner.document import Document, Passage
from vaner.errors import VanerError
from vaner.knowledge import DictionaryTagger

TEXT = "TNF-α in breast cancers"


def test_one_text_and_many(kb):
    tagger = DictionaryTagger(kb)
    spans = tagger(TEXT, types=["Gene", "Disease"])
    assert [(s.text, s.type, s.score) for s in spans] == [
        ("TNF-α", "Gene", 1.0),
        ("breast cancers", "Disease", 1.0),
    ]
    assert [[s.text for s in found] for found in tagger(iter([TEXT, "", "CAT"]), ["Gene"])] == [
        ["TNF-α"],
        [],
        ["CAT"],
    ]
    assert DictionaryTagger(kb.path)(TEXT, ["Gene"])[0].text == "TNF-α"
    assert tagger("") == []


def test_documents_are_streamed_in_order(kb):
    taken = []

    def stream():
        for i in range(300):
            taken.append(i)
            yield Document(f"d{i}", TEXT, metadata={"n": i})

    tagged = DictionaryTagger(kb).tag_documents(stream(), ["Disease"])
    head = next(tagged)
    assert head.id == "d0" and len(taken) < 300
    assert head.types == {"Disease"} and head.metadata == {"n": 0}
    assert [d.id for d in tagged] == [f"d{i}" for i in range(1, 300)]


def test_no_name_reaches_over_a_passage(kb):
    text = "On the breast Cancer is a word."
    document = Document("d", text, passages=[Passage(0, 13, "title"), Passage(14, len(text), "abstract")])
    (tagged,) = DictionaryTagger(kb).tag_documents([document], ["Disease"])
    assert [(s.start, s.text) for s in tagged.spans] == [(14, "Cancer")]


def test_defined_abbreviations_follow_their_long_form(kb):
    text = "Adenomatous polyposis coli (APC): APC families. PQX and CAT (x)."
    tagged = DictionaryTagger(kb)(text)
    assert [(s.text, s.type) for s in tagged] == [
        ("Adenomatous polyposis coli", "Disease"),
        ("APC", "Disease"),
        ("APC", "Disease"),
        ("CAT", "Gene"),
        ("CAT", "Species"),
    ]
    plain = DictionaryTagger(kb, abbreviations=False)(text)
    assert [(s.text, s.type) for s in plain if s.text == "APC"] == [("APC", "Gene")] * 2


def test_a_short_form_of_something_else_is_not_marked(kb):
    text = "Carefully aimed therapy (CAT) helped. CAT is new."
    assert DictionaryTagger(kb)(text) == []


def test_a_type_without_names(kb):
    with pytest.raises(VanerError, match="no name of type Planet"):
        list(DictionaryTagger(kb).tag_documents([], ["Planet"]))


def test_nothing_here_needs_torch():
    import subprocess
    import sys

    code = "import sys, vaner.knowledge, vaner.text.abbreviations; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_dataset_is_refused_as_by_every_tagger_that_does_not_know_it(kb):
    with pytest.raises(VanerError, match="dataset 'bc5cdr': a dictionary follows no dataset's guideline"):
        DictionaryTagger(kb)(TEXT, dataset="bc5cdr")
