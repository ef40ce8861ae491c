"""What goes to people and what comes back: texts the same to the byte, every mention accounted for."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.annotation.made_runs import TEXT, make_run, marked
from vaner.annotation import queue
from vaner.annotation.merging import merge
from vaner.document import Concept, Document, Span
from vaner.errors import VanerError
from vaner.formats import read, write
from vaner.report import Report

DOCUMENTS = [
    marked("1", ("Naloxone", "Chemical", 0.95), ("hypertension", "Disease", 0.3), ("Fever", "Disease", 0.9)),
    marked("2", ("Fever", "Disease", 0.9)),
    marked("3", ("clonidine", "Disease", 0.49), ("renal failure", "Disease", 0.5)),
]


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run", DOCUMENTS)


def merged(run, *returned, **options):
    return merge(run, [str(one) for one in returned], report=Report(), **options)


def keys(document):
    return [span.key for span in document.spans]


def test_documents_with_an_unsure_mention_go_to_people(run):
    before = (run / "a.jsonl").read_bytes()
    (line,) = queue.write(run, 0.5, "brat")
    assert line.startswith("2 of 3 documents have 2 mentions of confidence below 0.5 -> ")
    folder = run / "queue" / "documents"
    assert sorted(file.name for file in folder.iterdir()) == ["1.ann", "1.txt", "3.ann", "3.txt"]
    assert (folder / "1.txt").read_text() == TEXT
    # All mentions go, and a note says which is unsure, whatever its type.
    assert (folder / "1.ann").read_text().splitlines() == [
        "T1\tChemical 0 8\tNaloxone",
        "T2\tDisease 18 30\thypertension",
        "T3\tDisease 52 57\tFever",
        "#1\tAnnotatorNotes T2\tunsure: confidence 0.300",
    ]
    assert (run / "queue" / "unsure.tsv").read_text().splitlines()[1:] == [
        "1\t18\t30\tDisease\t0.300\thypertension",
        "3\t32\t41\tDisease\t0.490\tclonidine",
    ]
    assert (run / "a.jsonl").read_bytes() == before


def test_the_same_queue_is_left_as_it_is_and_another_is_refused(run):
    queue.write(run, 0.5, "brat")
    file = run / "queue" / "documents" / "1.ann"
    file.write_text("T1\tChemical 0 8\tNaloxone\n")
    (line,) = queue.write(run, 0.5, "brat")
    assert "already" in line and file.read_text() == "T1\tChemical 0 8\tNaloxone\n"
    for threshold, format in ((0.6, "brat"), (0.5, "pubtator")):
        with pytest.raises(VanerError, match="holds another queue"):
            queue.write(run, threshold, format)
    assert file.read_text() == "T1\tChemical 0 8\tNaloxone\n"


def test_nothing_unsure_is_no_queue(run):
    (line,) = queue.write(run, 0.1)
    assert "nothing for people to do" in line and not (run / "queue").exists()


def test_a_document_that_was_not_annotated_in_full_goes_to_people(tmp_path):
    run = make_run(
        tmp_path / "run", [marked("1", ("Fever", "Disease", 0.9), failed="1 of 2 calls"), DOCUMENTS[1]]
    )
    assert "(1 are there for what was not annotated)" in queue.write(run, 0.5)[0]
    assert [d.id for d in read(run / "queue" / "documents")] == ["1"]


@pytest.mark.parametrize(
    "threshold, format, said", [(1.5, "brat", "from 0 to 1"), (0.5, "conll", "brat, pubtator, jsonl")]
)
def test_wrong_options_are_refused(run, threshold, format, said):
    with pytest.raises(VanerError, match=said):
        queue.write(run, threshold, format)


def test_without_confidences_there_is_no_queue(tmp_path):
    run = make_run(tmp_path / "run", [marked("1", ("Fever", "Disease", None))])
    with pytest.raises(VanerError, match="no mention has a confidence"):
        queue.write(run, 0.5)


def test_texts_that_pubtator_would_change_are_refused(tmp_path):
    document = marked("1", ("Fever", "Disease", 0.1), text="Chills\nand\nFever")
    run = make_run(tmp_path / "run", [document])
    with pytest.raises(VanerError, match="document 1: pubtator cannot hold its text"):
        queue.write(run, 0.5, "pubtator")
    assert not (run / "queue").exists()
    queue.write(run, 0.5, "brat")


def test_what_people_did_is_counted_and_theirs_from_then_on(run, tmp_path):
    queue.write(run, 0.5)
    folder = run / "queue" / "documents"
    (folder / "1.ann").write_text(
        "T1\tDrug 0 8\tNaloxone\n"  # another type
        "T3\tDisease 52 57\tFever\n"  # kept; hypertension is gone
        "T4\tChemical 32 41\tclonidine\n"  # new
        "#1\tAnnotatorNotes T3\tsee the methods\n"
    )
    (folder / "3.ann").write_text("T1\tChemical 32 41\tclonidine\nT2\tDisease 62 81\tacute renal failure\n")
    found = merged(run, folder)
    first, second, third = found.documents
    assert found.returned == ["1", "3"] and found.missing == []
    assert keys(first) == [(0, 8, "Drug"), (32, 41, "Chemical"), (52, 57, "Disease")]
    assert keys(third) == [(32, 41, "Chemical"), (62, 81, "Disease")]
    assert found.to_dict()["changed"] == {
        "Chemical": dict(zip(found.to_dict()["changed"]["Chemical"], (0, 0, 1, 0, 1, 0), strict=True)),
        "Disease": dict(zip(found.to_dict()["changed"]["Disease"], (1, 1, 0, 1, 1, 0), strict=True)),
    }
    assert list(found.to_dict()["changed"]["Disease"]) == [
        "kept",
        "removed",
        "added",
        "other borders",
        "other type",
        "other borders and type",
    ]
    assert found.types == Counter({("Chemical", "Drug"): 1, ("Disease", "Chemical"): 1})
    assert all(span.score is None for document in (first, third) for span in document.spans)
    people = first.metadata["annotation"]["people"]
    assert people["file"] == "documents" and len(people["sha256"]) == 16
    # What people wrote stays, our notes go.
    assert first.metadata["brat"]["lines"] == ["#1\tAnnotatorNotes T3\tsee the methods"]
    assert "brat" not in third.metadata
    assert second == DOCUMENTS[1]
    assert found.notes == [
        "document 1: people marked Drug, which the run was not asked: what is not marked of it says nothing"
    ]


def test_merged_twice_is_the_same(run, tmp_path):
    queue.write(run, 0.5)
    (run / "queue" / "documents" / "3.ann").write_text("")
    for name in ("one.jsonl", "two.jsonl"):
        write(tmp_path / name, merged(run, run / "queue" / "documents").documents, "jsonl")
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()
    # And into what was merged, too.
    write(
        tmp_path / "three.jsonl",
        merged(tmp_path / "one.jsonl", run / "queue" / "documents").documents,
        "jsonl",
    )
    assert (tmp_path / "three.jsonl").read_bytes() == (tmp_path / "one.jsonl").read_bytes()


def test_what_did_not_return_stays_and_is_named(run, tmp_path):
    queue.write(run, 0.5)
    for name in ("1.txt", "1.ann"):
        (run / "queue" / "documents" / name).unlink()
    found = merged(run, run / "queue" / "documents")
    assert found.missing == ["1"] and found.documents[0] == DOCUMENTS[0]


def test_other_files_than_those_that_were_sent_may_return(run, tmp_path):
    queue.write(run, 0.5)
    folder = run / "queue" / "documents"
    with zipfile.ZipFile(tmp_path / "back.zip", "w") as archive:
        for name in ("1.txt", "1.ann"):
            archive.write(folder / name, name)
    write(tmp_path / "back.jsonl", [d for d in read(folder) if d.id == "3"], "jsonl")
    found = merged(run, tmp_path / "back.zip", tmp_path / "back.jsonl")
    assert found.returned == ["1", "3"]
    assert [keys(d) for d in found.documents] == [keys(d) for d in DOCUMENTS]
    with pytest.raises(VanerError, match="document '1' is in .*back.zip, too"):
        merged(run, tmp_path / "back.zip", folder)


@pytest.mark.parametrize(
    "text, said",
    [
        (
            TEXT.replace("Fever", "fever"),
            "character 52 (line 1): 'Fever and acute rena' is now 'fever and acute rena'",
        ),
        (TEXT + "\n", f"character {len(TEXT)} (line 1): '' is now '\\n'"),
        (TEXT[:-1], "'.' is now ''"),
        (TEXT.replace("; ", ";\u00a0"), "'\\xa0clonidine"),
    ],
)
def test_a_changed_text_is_refused_with_its_place(run, text, said):
    queue.write(run, 0.5)
    folder = run / "queue" / "documents"
    (folder / "1.txt").write_text(text, encoding="utf-8")
    (folder / "1.ann").write_text("T1\tChemical 0 8\tNaloxone\n")
    with pytest.raises(VanerError) as error:
        merged(run, folder)
    assert f"document 1: the text was changed at {said}" in str(error.value) or said in str(error.value)


def test_documents_that_were_not_sent_are_refused(run, tmp_path):
    queue.write(run, 0.5)
    write(tmp_path / "2.jsonl", [DOCUMENTS[1]], "jsonl")
    with pytest.raises(VanerError, match="document '2' is none that was sent"):
        merged(run, tmp_path / "2.jsonl")


def test_a_run_that_has_changed_is_refused(run):
    queue.write(run, 0.5)
    write(run / "a.jsonl", DOCUMENTS[:2], "jsonl")
    with pytest.raises(VanerError, match="has changed since its queue was written"):
        merged(run, run / "queue" / "documents")
    (run / "queue" / "queue.json").write_text("{")
    with pytest.raises(VanerError, match="missing or damaged"):
        merged(run, run / "queue" / "documents")


def test_a_file_without_a_queue_takes_what_people_return(tmp_path):
    write(tmp_path / "all.jsonl", DOCUMENTS, "jsonl")
    write(tmp_path / "back.pubtator", [DOCUMENTS[1].with_spans([])], "pubtator")
    found = merged(tmp_path / "all.jsonl", tmp_path / "back.pubtator")
    assert [len(d.spans) for d in found.documents] == [3, 0, 2] and found.missing == []
    assert found.changed["Disease"] == Counter({"removed": 1})


@pytest.mark.parametrize("format", ["brat", "pubtator", "jsonl"])
def test_concepts_stay_where_people_left_them(tmp_path, format):
    concept = Concept("D009270", "MESH", 0.8, "exact")
    spans = [Span(0, 8, "Chemical", "Naloxone", 0.2, (concept,)), Span(52, 57, "Disease", "Fever", 0.9)]
    run = make_run(tmp_path / "run", [Document("1", TEXT, spans, metadata={"mine": [1]})])
    queue.write(run, 0.5, format)
    sent = run / "queue" / queue.FORMATS[format]
    found = merged(run, sent)
    assert found.documents[0].spans[0].concepts == (concept,) and found.concepts == 0
    assert found.documents[0].metadata["mine"] == [1]
    (back,) = read(sent, queue.READ_AS[format])
    other = back.with_spans(
        [Span(0, 8, "Chemical", "Naloxone", None, (Concept("D1", "MESH"),)), back.spans[1]]
    )
    write(tmp_path / "back.jsonl", [other], "jsonl")
    found = merged(run, tmp_path / "back.jsonl")
    assert [c.id for c in found.documents[0].spans[0].concepts] == ["D1"] and found.concepts == 1


def test_lines_that_brat_files_had_stay(tmp_path):
    lines = ["#4\tAnnotatorNotes T7\told", "R1\tTreats Arg1:T7 Arg2:T9"]
    kept = {"lines": lines, "ids": {"T7": [0, 8, "Chemical"], "T9": [18, 30, "Disease"]}}
    document = marked(
        "1", ("Naloxone", "Chemical", 0.9), ("hypertension", "Disease", 0.1), ("Fever", "Disease", 0.2)
    )
    document.metadata = {"brat": kept}
    run = make_run(tmp_path / "run", [document])
    queue.write(run, 0.5)
    assert (run / "queue" / "documents" / "1.ann").read_text().splitlines() == [
        "T7\tChemical 0 8\tNaloxone",
        "T9\tDisease 18 30\thypertension",
        "T1\tDisease 52 57\tFever",
        *lines,
        "#5\tAnnotatorNotes T9\tunsure: confidence 0.100",
        "#6\tAnnotatorNotes T1\tunsure: confidence 0.200",
    ]
    (found,) = merged(run, run / "queue" / "documents").documents
    assert found.metadata["brat"]["lines"] == lines


def test_a_killed_write_leaves_no_queue(run, monkeypatch):
    monkeypatch.setattr(queue, "_list_unsure", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        queue.write(run, 0.5)
    assert sorted(file.name for file in run.iterdir()) == [".vaner", "a.jsonl"]


def test_ids_that_a_format_changes_find_their_document(tmp_path):
    documents = [
        marked("a|b", ("Fever", "Disease", 0.1)),
        marked("../x", ("Naloxone", "Chemical", 0.1), text=TEXT + " "),
        marked("deep/er", ("Fever", "Disease", 0.1), text=TEXT + "  "),
    ]
    for format in ("brat", "pubtator"):
        run = make_run(tmp_path / format, documents)
        queue.write(run, 0.5, format)
        found = merged(run, run / "queue" / queue.FORMATS[format])
        assert found.missing == [] and [d.id for d in found.documents] == [d.id for d in documents]
        assert [keys(d) for d in found.documents] == [keys(d) for d in documents]


def test_ids_that_cannot_be_told_apart_are_refused(tmp_path):
    run = make_run(
        tmp_path / "run",
        [marked("a|", ("Fever", "Disease", 0.1)), marked("b|", ("Naloxone", "Disease", 0.1))],
    )
    with pytest.raises(VanerError, match="cannot hold its id"):
        queue.write(run, 0.5, "pubtator")


@pytest.mark.parametrize(
    "text, start, end",
    [("a\r\nb b", 3, 4), ("a\r\nb b", 5, 6), ("\ufeffa a", 1, 2), ("a\nb", 0, 3), ("e\u0301İ e", 1, 3)],
)
def test_offsets_count_line_ends_and_marks_as_they_are(tmp_path, text, start, end):
    """Where the same word stands at two places that different ways to count would mean."""
    span = Span(start, end, "X", text[start:end], 0.1)
    run = make_run(tmp_path / "run", [Document("1", text, [span])])
    queue.write(run, 0.5)
    assert keys(merged(run, run / "queue" / "documents").documents[0]) == [(start, end, "X")]


@pytest.mark.parametrize("text, start, end", [("a\nb", 1, 3), ("x\n", 1, 2), ("x\r\ny", 0, 2)])
def test_mentions_that_brat_cannot_hold_are_refused(tmp_path, text, start, end):
    run = make_run(tmp_path / "run", [Document("1", text, [Span(start, end, "X", text[start:end], 0.1)])])
    with pytest.raises(
        VanerError, match="document 1: brat cannot hold its mentions as they are; choose jsonl"
    ):
        queue.write(run, 0.5)
    queue.write(run, 0.5, "jsonl")
    assert keys(merged(run, run / "queue" / "documents.jsonl").documents[0]) == [(start, end, "X")]


# --- odd texts ---

ODD = 'aB7-|;,\t "<&>\u00a0\u2028\u2029\x85\x0b\x0c\x1c\u200b\ufeff\u0301é\u202eİß😀\r\n'


@st.composite
def odd_documents(draw):
    found = []
    for number in range(draw(st.integers(1, 3))):
        text = draw(
            st.text(ODD, max_size=25)
            | st.text("aB \r\n", max_size=12)
            | st.text(st.characters(exclude_categories=["Cs"]), max_size=25)
        )
        spans = []
        for _ in range(draw(st.integers(0, 4)) if text else 0):
            start, end = sorted(draw(st.sets(st.integers(0, len(text)), min_size=2, max_size=2)))
            type, score = draw(st.sampled_from(["Disease", "Cell line"])), draw(st.floats(0, 1))
            spans.append(Span(start, end, type, text[start:end], score))
        found.append(Document(f"d{number}", text, spans, types=frozenset({"Disease", "Cell line"})))
    return found


@settings(deadline=None, max_examples=60)
@given(documents=odd_documents(), format=st.sampled_from(["brat", "pubtator", "jsonl"]), seed=st.randoms())
def test_odd_texts_go_and_return_or_are_refused(tmp_path_factory, documents, format, seed):
    run = make_run(tmp_path_factory.mktemp("odd") / "run", documents)
    try:
        queue.write(run, 1.0, format)
    except VanerError as error:
        # JSON holds everything; the others say which of them does not hold what.
        edges = any(s.text[0] in "\r\n" or s.text[-1] in "\r\n" for d in documents for s in d.spans)
        assert format == "pubtator" or (format == "brat" and edges), error
        assert not (run / "queue").exists()
        return
    if not (run / "queue").exists():
        return
    sent = run / "queue" / queue.FORMATS[format]
    found = merged(run, sent)
    for before, after in zip(documents, found.documents, strict=True):
        assert after.id == before.id and after.text == before.text
        assert sorted({s.key for s in after.spans}) == sorted({s.key for s in before.spans})
    kinds = sum(found.changed.values(), Counter())
    assert set(kinds) <= {"kept"}
    # People take a mention away, and mark another.
    back = list(read(sent, queue.READ_AS[format]))
    changed = seed.choice(back)
    changed.spans = changed.spans[1:]
    if changed.text:
        start = seed.randrange(len(changed.text))
        changed.spans = [*changed.spans, changed.span(start, start + 1, "Species")]
    path = Path(run).parent / "back.jsonl"
    write(path, back, "jsonl")
    found = merged(run, path)
    after = {d.id: d for d in found.documents}
    record = json.loads((run / "queue" / "queue.json").read_text())
    assert {s.key for s in after[record["sent"][changed.id]].spans} == {s.key for s in changed.spans}
