"""In: words. Out: annotators that mark them, instructions of a few lines, prompted taggers that a function answers."""

from __future__ import annotations

from tests.prompting.fake import FakeBackend
from vaner.annotation.annotator import Annotator
from vaner.document import Document
from vaner.prompting.opening import prompter
from vaner.prompting.sending import Sender
from vaner.prompting.settings import PromptSettings
from vaner.tagging.prompted import PromptedTagger

GUIDELINE = """\
# How diseases are marked

A disease is an abnormal condition of an organism.

Annotate all disease names, such as "breast cancer" in "familial breast cancer genes".

Do not annotate very general terms such as "disease".

Chemicals are drugs and other substances. Doses are never marked.
"""

INSTRUCTIONS = """\
corpus: made-up
guidelines:
  main: {file: guideline.md, source: us, licence: CC0, url: https://example.org}
types:
  Disease:
    definition: {text: an abnormal condition, quote: A disease is an abnormal condition of an organism.}
    mark:
      - {text: all disease names, quote: Annotate all disease names}
    leave:
      - {text: very general terms, quote: Do not annotate very general terms}
      - {text: nobody wrote this}
    counter_examples:
      - {text: breast, mentions: [breast]}
    checks:
      never: [disease]
      without_leading: [the, a]
      without_trailing: [patients]
      most_words: 4
      pattern_never: ['^\\d+$']
  Chemical:
    definition: {text: a drug or another substance, quote: Chemicals are drugs and other substances.}
    leave:
      - {text: doses, quote: Doses are never marked.}
"""


def instructions(folder):
    """The file of instructions, its guideline beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "guideline.md").write_text(GUIDELINE, encoding="utf-8")
    path = folder / "made-up.yaml"
    path.write_text(INSTRUCTIONS, encoding="utf-8")
    return path


class Words:
    """A tagger that marks words: ``{"fever": ("Disease", 0.9)}``; the score may be left out."""

    datasets = {}
    max_words = None
    allow_new_types = False

    def __init__(self, words, types=("Disease", "Chemical"), counts=None):
        self.words = {word: (said, None) if isinstance(said, str) else said for word, said in words.items()}
        self.types = list(types)
        self.counts = counts or {}
        self.asked = []

    def tag_documents(self, documents, types=None, dataset=None):
        self.asked.append(list(types or self.types))
        return (self._tagged(document, types or self.types) for document in documents)

    def _tagged(self, document, types):
        spans = []
        for word, (type, score) in self.words.items():
            at = document.text.find(word)
            while at >= 0 and type in types:
                spans.append(document.span(at, at + len(word), type, score=score))
                at = document.text.find(word, at + 1)
        return document.with_spans(spans)

    def remarks(self):
        return ["marked words"]


def documents(*texts):
    return [Document(f"d{number}", text, metadata={"year": 1}) for number, text in enumerate(texts)]


def annotated(annotator, *texts, types=None):
    """The annotated documents of texts, which are what they were."""
    found = list(annotator.tag_documents(iter(documents(*texts)), types))
    assert [one.text for one in found] == list(texts)
    return found


def annotate(text, *taggers, **more):
    """One annotated document."""
    named = {f"tagger-{number}": tagger for number, tagger in enumerate(taggers)}
    (document,) = annotated(Annotator(named, ["Disease", "Chemical"], **more), text)
    return document


def said(document):
    return [f"{span.text}/{span.type}" for span in document.spans]


def changed(document):
    return document.metadata["annotation"].get("changed", {})


def prompted(says, *, store=None, context=None, can=None, **values):
    """A prompted tagger whose backend answers by a function of the request."""
    options = {name: values.pop(name) for name in ("on_failed", "dry_run", "show_prompt") if name in values}
    settings = PromptSettings.of({"types": ["Disease", "Chemical"], "max_words": 1, **values}, "p.yaml")
    backend = FakeBackend(says, context=context, can=can)
    return PromptedTagger(settings, prompter(settings, backend), Sender(backend, store), **options)
