"""In: a Document with one thing in it, and every writer. Out: that the thing comes back, or is counted as lost."""

from pathlib import Path

import pytest

from vaner.document import Concept, Document, Passage, Span
from vaner.formats import WRITERS, read, write
from vaner.report import Report

TEXT = "breast cancer and BRCA1\nnew line"
LINE = TEXT.replace("\n", " ")


def one(text=LINE, spans=(), id="d1", **more):
    return Document(id, text, [Span(s, e, t, text[s:e], **rest) for s, e, t, rest in spans], **more)


def linked(**concept):
    return one(spans=[(0, 13, "Disease", {"concepts": (Concept("D1", **concept),)})])


def texts(document):
    return document.text


def spans(document):
    return [(s.start, s.end, s.type, s.text) for s in document.spans]


def concepts(*fields):
    return lambda document: [[getattr(c, f) for f in fields] for s in document.spans for c in s.concepts]


def of_metadata(key):
    return lambda document: document.metadata.get(key)


NO_IDS = {"concept ids not written"}
RELATION = {"id": "R1", "infons": {"type": "CID"}, "nodes": [{"refid": "1", "role": "a"}]}
# What a Document can hold: one that has it, what to compare, and what a loss is called.
THINGS = {
    "ids": (one(id="PMC1.s-2"), lambda d: d.id, set()),
    "ids with bars and spaces": (one(id="a |b"), lambda d: d.id, {"id changed", "white space in a column replaced"}),
    "text with single spaces": (one(), texts, set()),
    "text with other white space": (one("breast  cancer"), texts, {"text changed"}),
    "text with line breaks": (one("breast cancer\n\nand\r\nBRCA1"), texts, {"text changed"}),
    "spans": (one(spans=[(0, 13, "Disease", {}), (18, 23, "Gene", {})]), spans, set()),
    "spans inside spans": (
        one(spans=[(0, 6, "Part", {}), (0, 13, "Disease", {})]), spans, {"overlapping span dropped"},
    ),
    "spans that cross": (
        one(spans=[(0, 13, "Disease", {}), (7, 17, "X", {})]), spans, {"overlapping span dropped"},
    ),
    "spans of two types": (
        one(spans=[(0, 13, "Disease", {}), (0, 13, "X", {})]), spans, {"overlapping span dropped"},
    ),
    "spans inside words": (one(spans=[(0, 3, "X", {})]), spans, {"span widened to whole words"}),
    "spans over line breaks": (
        one(TEXT, [(18, 27, "X", {})]), spans, {"text changed", "span split at a sentence border"},
    ),
    "types with spaces": (
        one(spans=[(0, 13, "Cell line", {})]), spans, {"white space in a column replaced"},
    ),
    "fragments": (
        one(spans=[(0, 23, "X", {"fragments": ((0, 6), (18, 23))})]),
        lambda d: [s.fragments for s in d.spans],
        {"fragments not written"},
    ),
    "scores": (
        one(spans=[(0, 13, "X", {"score": 0.25})]), lambda d: [s.score for s in d.spans], {"scores not written"},
    ),
    "grounding": (
        one(spans=[(0, 13, "X", {"grounded": "exact"})]),
        lambda d: [s.grounded for s in d.spans],
        {"grounding not written"},
    ),
    "concept ids": (linked(), concepts("id"), {"concept ids not written"}),
    "concept sources": (linked(source="MESH"), concepts("id", "source"), NO_IDS | {"concept sources not written"}),
    "concept scores": (linked(score=0.5), concepts("score"), NO_IDS | {"concept scores not written"}),
    "concept matches": (linked(match="exact"), concepts("match"), NO_IDS | {"concept matches not written"}),
    "title and abstract": (
        one(TEXT, passages=[Passage(0, 23, "title"), Passage(24, 32, "abstract")]),
        lambda d: d.passages,
        {"passages not written", "text changed"},
    ),
    "other passages": (
        one(passages=[Passage(0, 13, "paragraph"), Passage(13, 32, "paragraph")]),
        lambda d: d.passages,
        {"passages not written", "passages changed", "text changed"},
    ),
    "overlapping passages": (
        one(passages=[Passage(0, 32, "section"), Passage(0, 13, "paragraph")]),
        lambda d: d.passages,
        {"passages not written", "passages changed", "text changed", "overlapping passage not written"},
    ),
    "sentences": (
        one("one two\nthree", sentences=[(0, 7), (8, 13)]),
        lambda d: d.sentences,
        {"sentences not written", "text changed"},
    ),
    "words": (
        one("one two three", words=[(0, 3), (4, 7), (8, 13)]),
        lambda d: d.words,
        {"words not written"},
    ),
    "annotated types": (one(types=frozenset({"X"})), lambda d: d.types, {"annotated types not written"}),
    "metadata": (one(metadata={"year": 2020}), of_metadata("year"), {"metadata 'year' not written"}),
    "relations of PubTator": (
        one(metadata={"relations": [["CID", "D1", "D2"]]}),
        of_metadata("relations"),
        {"metadata 'relations' not written", "relation not written"},
    ),
    "relations of BioC": (
        one(spans=[(0, 13, "X", {})],
            metadata={"relations": [RELATION], "annotation_ids": {"1": [0, 13, "X"]}}),
        of_metadata("relations"),
        {"metadata 'relations' not written", "relation not written", "metadata 'annotation_ids' not written"},
    ),
    "relations of brat": (
        one(spans=[(0, 13, "X", {}), (18, 23, "Y", {})],
            metadata={"brat": {"lines": ["R1\tBinds Arg1:T1 Arg2:T2"],
                               "ids": {"T1": [0, 13, "X"], "T2": [18, 23, "Y"]}}}),
        of_metadata("brat"),
        {"metadata 'brat' not written"},
    ),
    "relations of PubAnnotation": (
        one(spans=[(0, 13, "X", {}), (18, 23, "Y", {})],
            metadata={"source_relations": {"relations": [{"id": "R1", "subj": "T1", "pred": "p", "obj": "T2"}],
                                           "ids": {"T1": [0, 13, "X"], "T2": [18, 23, "Y"]}}}),
        of_metadata("source_relations"),
        {"metadata 'source_relations' not written"},
    ),
}  # fmt: skip
TARGETS = {
    "jsonl": ("jsonl", "a.jsonl"),
    "parquet": ("parquet", "a.parquet"),
    "bioc": ("bioc", "a.xml"),
    "brat": ("brat", "a.zip"),
    "pubtator": ("pubtator", "a.txt"),
    "conll": ("conll", "a.conll"),
    "html": ("html", "a.html"),
    "prodigy": ("jsonl:tool=prodigy", "a.jsonl"),
    "label_studio": ("jsonl:tool=label_studio", "a.json"),
    "doccano": ("jsonl:tool=doccano", "a.jsonl"),
    "pubannotation": ("jsonl:tool=pubannotation", "a.jsonl"),
}


def outcome(tmp_path, thing, target):
    """Whether the thing came back (None: the target cannot be read), and what was counted."""
    before, aspect, _ = THINGS[thing]
    format, name = TARGETS[target]
    report = Report()
    write(tmp_path / name, [before], format, report=report)
    if target == "html":
        return None, report
    format = format.partition(":")[0]
    (after,) = read(tmp_path / name, format, report=Report())
    return aspect(after) == aspect(before), report


def test_every_writer_is_here():
    assert {format.partition(":")[0] for format, _ in TARGETS.values()} == set(WRITERS)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("thing", THINGS)
def test_a_thing_comes_back_or_is_counted(tmp_path, thing, target):
    held, report = outcome(tmp_path, thing, target)
    if held is not None:
        assert held == (not report.counts), (held, report.counts)
    assert set(report.counts) <= THINGS[thing][2]
    assert all(str(tmp_path) in message and "document" in message for message in report.messages)


def matrix(folder: Path) -> str:
    """The table of docs/formats.md."""
    lines = [f"| | {' | '.join(TARGETS)} |", "|---|" + "---|" * len(TARGETS)]
    for thing in THINGS:
        cells = []
        for target in TARGETS:
            _, report = outcome(folder, thing, target)
            cells.append("counted" if report.counts else "shown" if target == "html" else "yes")
        lines.append(f"| {thing} | {' | '.join(cells)} |")
    return "\n".join(lines)


def test_the_documentation_says_what_each_format_holds(tmp_path):
    page = Path(__file__).parents[2] / "docs" / "formats.md"
    assert matrix(tmp_path) in page.read_text(encoding="utf-8")
