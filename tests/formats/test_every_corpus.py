"""In: every registered corpus that is there. Out: through every format and back it loses what the report counts.

The losses are counted here from the documents before and after, knowing nothing of the writers.
"""

import os
from collections import Counter

import pytest

from vaner.corpora.registry import read_registry
from vaner.formats import WRITERS, read, write
from vaner.report import Report

# Writers of what can be read again, with options; HTML is for readers of another kind.
WAYS = {
    "bioc": "o.xml",
    "bioc:syntax=json": "o.json",
    "brat": "o.zip",
    "conll": "o.conll",
    "jsonl": "o.jsonl",
    "pubtator": "o.txt",
}
FIELDS = {"passages": "passages", "sentences": "sentences", "words": "words", "types": "annotated types"}
LISTS = {"relations": "relation not written", "brat": "line not written"}


def cases():
    registry = read_registry()
    if not os.environ.get("VANER_DATA"):
        registry = {name: corpus for name, corpus in registry.items() if corpus.shipped}
    return [
        pytest.param(name, split, marks=() if corpus.shipped and split == "dev" else pytest.mark.slow)
        for name, corpus in registry.items()
        for split in corpus.present()
    ]


def test_every_writer_has_its_way_back():
    assert {way.partition(":")[0] for way in WAYS} | {"html"} == set(WRITERS)


def through(folder, way, before):
    report = Report()
    path = folder / WAYS[way]
    write(path, before, way, report=report)
    format = way.partition(":")[0]
    options = {"scheme": "iob2"} if format == "conll" else {}
    read_report = Report()
    after = list(read(path, format, report=read_report, **options))
    assert not read_report.counts
    assert len(after) == len(before)
    if format == "brat":  # in order of name
        places = {document.id: n for n, document in enumerate(before)}
        after.sort(key=lambda document: places[document.id])
    return after, report.counts


def differing(before, after, of):
    """In how many documents something that was there is there no longer, or is another."""
    return sum(bool(of(b)) and of(a) != of(b) for b, a in zip(before, after, strict=True))


def losses(before, after):
    """What two lists of documents differ in, by the kinds that a report has for it."""
    found = Counter({"text changed": differing(before, after, lambda d: d.text)})
    for name, kind in FIELDS.items():
        found[f"{kind} not written"] = differing(before, after, lambda d, n=name: getattr(d, n))
    for name in {key for d in before for key in d.metadata} - LISTS.keys():
        kind = f"metadata {name!r} not written"
        found[kind] = differing(before, after, lambda d, n=name: d.metadata.get(n))
    found["fragments not written"] = differing(
        before, after, lambda d: any(s.fragments for s in d.spans) and [s.fragments for s in d.spans]
    )
    found["concept ids not written"] = differing(
        before, after, lambda d: [[c.id for c in s.concepts] for s in d.spans if s.concepts]
    )
    found["concept sources not written"] = differing(
        before,
        after,
        lambda d: [sources for s in d.spans if (sources := named_apart(s))],
    )
    return found


def named_apart(span):
    """The vocabularies of a span's ids that the ids themselves do not name."""
    return [c.source for c in span.concepts if c.source and not c.id.startswith(f"{c.source}:")]


def listed(document, name):
    """The relations of a document, or the lines of its brat file."""
    held = document.metadata.get(name) or []
    return held["lines"] if isinstance(held, dict) else held


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("name", "split"), cases())
def test_a_corpus_loses_what_is_counted(tmp_path, name, split, way):
    before = list(read_registry()[name].documents(split, report=Report()))
    after, counts = through(tmp_path, way, before)
    if way == "jsonl":
        assert after == before and not counts
        return
    if way == "conll":
        check_conll(before, after, counts)
        return
    assert [d.id for d in after] == [d.id for d in before]
    assert [[s.key for s in d.spans] for d in after] == [[s.key for s in d.spans] for d in before]
    expected = losses(before, after)
    # PubTator says of passages that it cannot hold how it changes them.
    told = Counter({"passages not written": counts["passages changed"]}) + counts
    told["concept sources not written"] = max(
        told["concept sources not written"], told["concept ids not written"] and expected["concept sources not written"]
    )  # fmt: skip
    for kind, count in expected.items():
        assert told[kind] == count, kind
    for key, kind in LISTS.items():
        lost = sum(len(listed(d, key)) for d in before) - sum(len(listed(d, key)) for d in after)
        whole = f"metadata {key!r} not written"
        if counts[whole]:
            assert counts[whole] == sum(key in d.metadata for d in before) and not any(
                key in d.metadata for d in after
            )
        else:
            assert counts[kind] == lost
    assert not told.keys() - expected.keys() - set(LISTS.values()) - {
        "passages changed", *(f"metadata {key!r} not written" for key in LISTS)
    }  # fmt: skip


def check_conll(before, after, counts):
    """A table holds words and one tag each: its mentions are the same words, but those that are counted."""

    def mentions(documents):
        return Counter((n, s.type, "".join(s.text.split())) for n, d in enumerate(documents) for s in d.spans)

    def letters(documents):
        return ["".join(d.text.split()) for d in documents]

    dropped = counts["overlapping span dropped"] + counts["span dropped"]
    changed = counts["span widened to whole words"] + counts["span split at a sentence border"]
    lost = (mentions(before) - mentions(after)).total()
    gained = (mentions(after) - mentions(before)).total()
    if not counts["span split at a sentence border"]:
        assert mentions(before).total() - mentions(after).total() == dropped
    # A widened mention may have been a twin of another, or become one.
    assert dropped <= lost <= dropped + changed and gained <= 2 * changed
    same = sum(a == b for a, b in zip(letters(before), letters(after), strict=True))
    assert (
        len(before) - same
        <= counts["character that is never seen left out"] + counts["white space in a column replaced"]
    )
    for kind in ("concept ids", "passages", "fragments"):
        of = {
            "concept ids": lambda d: any(s.concepts for s in d.spans),
            "fragments": lambda d: any(s.fragments for s in d.spans),
            "passages": lambda d: d.passages,
        }[kind]
        assert counts[f"{kind} not written"] == sum(bool(of(d)) for d in before)
    for key in {key for d in before for key in d.metadata}:
        assert counts[f"metadata {key!r} not written"] == sum(key in d.metadata for d in before)
    for b, a in zip(before, after, strict=True):
        if b.words is not None:
            assert len(a.words) == len(b.words)


@pytest.mark.parametrize(("name", "split"), cases())
def test_every_corpus_makes_a_page(tmp_path, name, split):
    before = list(read_registry()[name].documents(split, report=Report()))
    assert write(tmp_path / "o.html", before, "html", report=Report()) == len(before)
