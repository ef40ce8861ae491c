"""In: JSON as annotation tools write it. Out: that mentions are read, or refused by the name of their key."""

import gzip
import json

import pytest

from vaner.document import Concept, Document
from vaner.errors import FormatError, OffsetError, VanerError
from vaner.formats import detect, read, write
from vaner.formats.json_dialects import LEFT_OUT
from vaner.formats.offsets import DROPPED
from vaner.report import Report

TEXT = "Aspirin relieved the 😀 headache."
WORDS = ["Aspirin", "relieved", "the", "😀", "headache", "."]
FOUND = [(0, 7, "Chemical", "Aspirin"), (23, 31, "Disease", "headache")]
TAGS = ["B-Chemical", "O", "O", "O", "B-Disease", "O"]


def regions(**more):
    return [
        {"value": {"start": s, "end": e, "text": t, "labels": [y]}, "type": "labels", "id": t, **more}
        for s, e, y, t in FOUND
    ]


def labelled(start, end, type="label", **more):
    return [{start: s, end: e, type: y, **more} for s, e, y, _ in FOUND]


TUPLES = [[s, e, y] for s, e, y, _ in FOUND]
DENOTATIONS = [{"id": y, "span": {"begin": s, "end": e}, "obj": y} for s, e, y, _ in FOUND]
REGION = {"value": {"start": 3, "end": 5, "text": "ab", "labels": ["X", "Y"]}, "type": "labels"}
MATRIX = {
    "spaCy, training pair": [TEXT, {"entities": TUPLES}],
    "spaCy, training pair with categories": [TEXT, {"entities": TUPLES, "cats": {"a": 1.0}}],
    "spaCy, object": {"text": TEXT, "entities": TUPLES},
    "spaCy, Doc.to_json": {
        "text": TEXT,
        "ents": labelled("start", "end"),
        "sents": [{"start": 0, "end": 32}],
        "tokens": [{"id": 0, "start": 0, "end": 7, "tag": "NN", "pos": "NOUN", "dep": "ROOT", "head": 0}],
    },
    "spaCy, a group of spans": {"text": TEXT, "ents": [], "spans": {"sc": labelled("start", "end", kb_id="")}},
    "doccano, label": {"id": 1, "text": TEXT, "label": TUPLES, "Comments": []},
    "doccano, labels": {"id": 1, "text": TEXT, "labels": TUPLES},
    "doccano, old": {"id": 1, "data": TEXT, "label": TUPLES},
    "doccano, with relations": {
        "id": 1,
        "text": TEXT,
        "entities": labelled("start_offset", "end_offset", id=4),
        "relations": [],
    },
    "Prodigy": {
        "text": TEXT,
        "spans": labelled("start", "end", token_start=0, token_end=0),
        "tokens": [{"text": "Aspirin", "start": 0, "end": 7, "id": 0, "ws": True}],
        "answer": "accept",
        "_input_hash": 3,
    },
    "Label Studio": {
        "id": 7,
        "data": {"text": TEXT},
        "annotations": [{"id": 9, "result": regions(), "was_cancelled": False}],
        "predictions": [],
    },
    "Label Studio, another name of the text": {"data": {"body": TEXT}, "annotations": [{"result": regions()}]},
    "Label Studio, before 1.0": {"data": {"text": TEXT}, "completions": [{"result": regions()}]},
    "Label Studio, a page": {
        "data": {"text": TEXT},
        "annotations": [
            {
                "result": [
                    {"value": {"start": "/p[1]", "end": "/p[1]", "globalOffsets": {"start": s, "end": e}, "text": t,
                               "hypertextlabels": [y]}, "type": "hypertextlabels"} for s, e, y, t in FOUND
                ]
            }
        ],
    },
    "Label Studio, predictions": {"data": {"text": TEXT}, "predictions": [{"result": regions(score=0.5)}]},
    "Label Studio, small": {"id": 7, "text": TEXT, "label": [r["value"] for r in regions()]},
    "Label Studio, small, own name": {"id": 7, "text": TEXT, "ner": [r["value"] for r in regions()]},
    "PubAnnotation": {
        "sourcedb": "PubMed",
        "sourceid": "1",
        "text": TEXT,
        "denotations": DENOTATIONS,
    },
    "PubAnnotation, one project": {
        "sourceid": "1",
        "text": TEXT,
        "tracks": [{"project": "p", "denotations": DENOTATIONS}],
    },
    "GLiNER": {"text": TEXT, "tokenized_text": WORDS, "ner": [[0, 0, "Chemical"], [4, 4, "Disease"]]},
    "GLiNER, lists of types": {
        "text": TEXT,
        "tokenized_text": WORDS,
        "ner": [[0, 0, ["Chemical"]], [4, 4, ["Disease"]]],
    },
    "datasets": {"text": TEXT, "tokens": WORDS, "ner_tags": TAGS},
    "datasets, other columns": {"text": TEXT, "words": WORDS, "pos_tags": [1] * 6, "tags": TAGS},
    "transformers pipeline": {"text": TEXT, "entities": labelled("start", "end", "entity_group")},
    "own": {"text": TEXT, "spans": labelled("start", "end", "type")},
}  # fmt: skip


def content(document):
    return [(s.start, s.end, s.type, s.text) for s in document.spans]


@pytest.mark.parametrize("tool", MATRIX)
@pytest.mark.parametrize("way", ["lines", "array", "object", "array.gz"])
def test_what_each_tool_writes_is_read(make, tool, way):
    record = MATRIX[tool]
    if way == "lines":
        written = json.dumps(record) + "\n" + json.dumps({"text": "no mention"}) + "\n"
    elif way == "object":
        if isinstance(record, list):
            pytest.skip("a list over several lines is a list of records")
        written = json.dumps(record, indent=2, ensure_ascii=False)
    else:
        written = json.dumps([record, {"text": "no mention"}], indent=None if way == "array" else 1)
    path = make("x.json.gz" if way.endswith("gz") else "x.json", written.encode())
    if way.endswith("gz"):
        path.write_bytes(gzip.compress(written.encode()))
    assert detect(path) == "jsonl"
    report = Report()
    first, *rest = read(path, report=report)
    assert first.text == TEXT and content(first) == FOUND
    assert len(rest) == (way != "object") and not any(d.spans for d in rest)
    assert not report.counts, report.summary()


def test_words_without_a_text_are_joined_by_spaces(make):
    path = make("x.jsonl", json.dumps({"id": "a", "tokens": WORDS, "ner_tags": TAGS}))
    (document,) = read(path)
    assert document.text == " ".join(WORDS) and document.id == "a"
    assert [document.text[s:e] for s, e in document.words] == WORDS
    assert [s.text for s in document.spans] == ["Aspirin", "headache"]


@pytest.mark.parametrize(
    "tags",
    [
        ["B-X", "I-X", "O", "B-X"],
        ["B-X", "L-X", "O", "U-X"],
        ["B-X", "E-X", "O", "S-X"],
        ["B-X", "E-X", "O", "W-X"],
    ],
)
def test_tags_of_every_scheme(make, tags):
    (document,) = read(make("x.jsonl", json.dumps({"tokens": list("abcd"), "ner_tags": tags})))
    assert content(document) == [(0, 3, "X", "a b"), (6, 7, "X", "d")]


def test_numbers_of_tags_need_their_names(make):
    path = make("x.jsonl", json.dumps({"tokens": ["a", "b"], "ner_tags": [1, 2]}))
    with pytest.raises(FormatError, match=r"x\.jsonl:1: 'ner_tags' holds numbers; .*tag_names=O\|B-Disease"):
        list(read(path))
    (document,) = read(path, "jsonl:tag_names=O|B-Disease|I-Disease")
    assert content(document) == [(0, 3, "Disease", "a b")]
    with pytest.raises(FormatError, match="tag 1 is 2, but there are 2 names"):
        list(read(path, tag_names="O|B-Disease"))


def test_broken_tags_are_counted(make):
    report = Report()
    (document,) = read(make("x.jsonl", json.dumps({"tokens": ["a"], "tags": ["I-X"]})), report=report)
    assert content(document) == [(0, 1, "X", "a")] and report.counts == {"tag sequence repaired": 1}


def test_ids_are_those_of_the_tool(make):
    lines = [
        {"sourceid": "12", "divid": 3, "text": "a", "denotations": []},
        {"id": 4, "data": {"id": "PMC5", "text": "a"}, "annotations": []},
        {"id": 6, "data": {"text": "a"}, "annotations": []},
        {"meta": {"pmid": 8}, "text": "a", "spans": []},
    ]
    path = make("x.jsonl", "\n".join(map(json.dumps, lines)))
    assert [d.id for d in read(path)] == ["12-3", "PMC5", "6", "x-4"]
    assert [d.id for d in read(make("y.jsonl", json.dumps(lines[3])), "jsonl:id=meta.pmid")] == ["8"]


def test_fields_can_be_named(make):
    record = {"body": {"content": TEXT}, "marks": TUPLES, "more": 1}
    path = make("x.jsonl", json.dumps(record))
    (document,) = read(path, "jsonl:text=body.content,spans=marks")
    assert document.text == TEXT and content(document) == FOUND
    (without,) = read(path, "jsonl:text=body.content,spans=none")
    assert without.spans == [] and without.metadata["marks"] == TUPLES
    with pytest.raises(FormatError, match=r"x\.jsonl:1: has no 'text2'; its keys are body, marks, more"):
        list(read(path, text="text2", spans="marks"))


def test_relations_keep_what_their_ids_name(make, tmp_path):
    record = {
        "text": TEXT,
        "entities": [dict(e, id=n) for n, e in enumerate(labelled("start_offset", "end_offset"))],
        "relations": [{"from_id": 0, "to_id": 1, "type": "treats"}],
    }
    (document,) = read(make("x.jsonl", json.dumps(record)))
    assert document.metadata["source_relations"] == {
        "relations": record["relations"],
        "ids": {"0": [0, 7, "Chemical"], "1": [23, 31, "Disease"]},
    }
    report = Report()
    write(tmp_path / "o.xml", [document], "bioc", report=report)
    assert report.counts == {"metadata 'source_relations' not written": 1}


def test_links_pieces_and_several_types(make):
    lines = [
        {"text": "ab cd", "ents": [{"start": 0, "end": 2, "label": "X", "kb_id": "Q1"}]},
        {"text": "ab cd", "denotations": [{"span": [{"begin": 0, "end": 1}, {"begin": 3, "end": 5}], "obj": "X"}]},
        {"data": {"text": "cd ab"}, "annotations": [{"result": [REGION]}]},
    ]  # fmt: skip
    link, pieces, types = read(make("x.jsonl", "\n".join(map(json.dumps, lines))))
    assert link.spans[0].concepts == (Concept("Q1"),)
    assert pieces.spans[0].fragments == ((0, 1), (3, 5)) and pieces.spans[0].key == (0, 5, "X")
    assert [s.key for s in types.spans] == [(3, 5, "X"), (3, 5, "Y")]


def test_what_a_user_refused_is_left_out_and_counted(make):
    lines = [
        {"text": "a", "spans": [], "answer": "reject", "_task_hash": 1},
        {"text": "b", "spans": [], "answer": "ignore"},
        {"text": "c", "spans": [], "answer": "accept"},
        {"text": "d", "answer": "ignore"},
    ]
    report = Report()
    documents = read(make("x.jsonl", "\n".join(map(json.dumps, lines))), report=report)
    assert [d.text for d in documents] == ["c", "d"] and report.counts == {LEFT_OUT: 2}


def test_of_several_annotations_one_is_read_and_the_others_counted(make):
    task = {
        "data": {"text": TEXT},
        "annotations": [
            {"result": [], "was_cancelled": True},
            {"result": [], "completed_by": 1},
            {"result": [*regions(), {"type": "choices", "value": {"choices": ["x"]}}], "ground_truth": True},
        ],
    }
    report = Report()
    (document,) = read(make("x.json", json.dumps([task])), report=report)
    assert content(document) == FOUND
    assert report.counts == {
        "other annotation of the same text left out": 2,
        "Label Studio's choices ignored": 1,
    }


def test_annotations_that_were_cancelled_do_not_count(make):
    task = {
        "data": {"text": TEXT},
        "annotations": [{"result": [REGION], "was_cancelled": True}, {"result": regions()}],
    }
    report = Report()
    (document,) = read(make("x.json", json.dumps([task])), report=report)
    assert content(document) == FOUND and sum(report.counts.values()) == 1


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"text": "a b", "mentions": [{"start": 0, "end": 1, "label": "X"}]}, "what 'mentions' holds looks like"),
        ({"text": "a b", "annotation": [{"points": [{"start": 0, "end": 1}], "label": ["X"]}]}, "'annotation'"),
        ({"text": "a b", "ner_tags": ["O", "O"]}, "what 'ner_tags' holds"),
        ({"text": "a b", "entities": ["a"]}, "what 'entities' holds"),
        ({"text": "a b", "entities": {"X": ["a"]}}, "what 'entities' holds"),
        ({"text": "a b", "labels": {"X": [[0, 1]]}}, "what 'labels' holds"),
        ({"text": "a b", "entities": "[{'start': 0, 'end': 1}]"}, "what 'entities' holds"),
        ({"text": "a b", "label": "[[0, 1, 'X']]"}, "what 'label' holds"),
        ({"text": "a b", "Entities": [{"text": "a"}]}, "what 'Entities' holds"),
        ({"tokens": ["a", "b"], "entities": [{"type": "X", "start": 0, "end": 1}]}, "what 'entities' holds"),
        ({"text": "a b", "foo": {"bar": [[0, 1, "X"]]}}, "what 'foo' holds"),
        ({"text": "a b", "spans": [], "marks": [{"offset": 0, "length": 1, "name": "X"}]}, "what 'marks' holds"),
        ({"text": "a b", "tracks": [{"denotations": [{"span": {"begin": 0, "end": 1}, "obj": "X"}]}] * 2}, "'tracks'"),
        ({"text": "a b", "entities": [[0, 1, "X"]], "label": [[0, 1, "Y"]]}, "under entities and label"),
        ({"text": "a b", "spans": {"a": [{}], "b": [{}]}}, r"under spans\.a and spans\.b"),
        ({"text": "a b", "label": [[0, 1, 7]]}, r"'label': mention 0 is \[0, 1, 7\]; it needs start, end and type"),
        ({"text": "a b", "annotations": [{"label": 2, "start_offset": 0, "end_offset": 1}]}, "mention 0 is"),
        ({"text": "a b", "entities": [{"start": 0, "end": 1}]}, "'entities': mention 0"),
        ({"text": "a b", "denotations": [{"span": {"begin": "0", "end": 1}, "obj": "X"}]}, "'denotations': mention 0"),
        ({"tokens": ["a", "b"], "ner_tags": ["O"]}, "'ner_tags' must be a list of 2 tags"),
        ({"tokens": ["a", "b"], "ner_tags": ["O", "Gene"]}, "'ner_tags': tag 1 is 'Gene'"),
        ({"tokenized_text": ["a"], "ner": [[0, 1, "X"]]}, r"'ner': mention 0 is .*below 1"),
        ({"text": "ab c", "tokens": ["a", "c"], "tags": ["O", "O"]}, "word 1, 'c', is not at character 1"),
        ({"data": {"a": "x", "b": "y"}, "annotations": []}, "'data' has no 'text'; .*jsonl:text=data.a"),
        ({"data": {"text": "a"}, "annotations": [{"result": [{"type": "labels", "value": {}}]}]}, "mention 0 is"),
        ({"content": "a b"}, r"found nothing among its keys \('content'\); .*jsonl:text=body"),
        (["a b", [[0, 1, "X"]]], "expected an object"),
    ],
)  # fmt: skip
def test_mentions_that_are_not_understood_are_refused_by_the_name_of_their_key(make, record, message):
    path = make("x.json", json.dumps(record) + "\n" + json.dumps({"text": "ok"}))
    with pytest.raises(FormatError, match=message) as error:
        list(read(path, "jsonl"))
    assert str(error.value).startswith(f"{path}:1: ") and "\n" not in str(error.value)
    report = Report()
    assert [d.text for d in read(path, "jsonl", on_error="skip", report=report)] == ["ok"]


@pytest.mark.parametrize(
    "record",
    [
        {"text": "a b", "label": ["Metadata"], "labels": ["x", "y"]},
        {"text": "a b", "spans": {"sc": []}, "ents": []},
        {"data": {"text": "a b"}, "total_annotations": 0, "id": None},
        {"text": "a b", "label": "positive", "tags": ["x"], "year": 2020, "cats": {"a": 1.0}},
        {"title": "a", "abstract": "b", "authors": [{"name": "x", "order": 1}], "label": []},
        {"text": "a b", "pages": [[1, 2]], "sections": {"intro": "x"}, "tokens": ["a", "b"]},
    ],
)
def test_what_only_sounds_like_mentions_is_metadata(make, record):
    (document,) = read(make("x.jsonl", json.dumps(record)))
    assert document.spans == [] and document.text in ("a b", "a\nb")


def test_offsets_of_javascript_are_named_and_converted(make):
    record = {"data": {"text": "😀 ab"}, "annotations": [{"result": [REGION]}]}
    path = make("x.json", json.dumps([record]))
    with pytest.raises(
        OffsetError, match=r"record 1: document x-1: X mention at 3-5 .* count utf16 \(unit=utf16\)"
    ):
        list(read(path))
    (document,) = read(path, "jsonl:unit=utf16")
    assert content(document) == [(2, 4, "X", "ab"), (2, 4, "Y", "ab")]


def test_offsets_that_leave_out_half_of_each_line_break(make):
    record = {"text": "a\r\nb\r\ncd", "spans": [{"start": 4, "end": 6, "label": "X", "text": "cd"}]}
    path = make("x.jsonl", json.dumps(record))
    with pytest.raises(OffsetError, match=r"where a line break .* counts one \(crlf=1\)"):
        list(read(path))
    (document,) = read(path, "jsonl:crlf=1")
    assert content(document) == [(6, 8, "X", "cd")]


def test_bad_mentions_can_be_dropped_and_counted(make):
    record = {"text": "abc", "entities": [[0, 1, "X"], [0, 9, "X"], [0, 1, 3], "x"]}
    report = Report()
    (document,) = read(make("x.jsonl", json.dumps(record)), "jsonl:offsets=drop", report=report)
    assert content(document) == [(0, 1, "X", "a")] and report.counts == {DROPPED: 3}


def test_all_records_in_one_object(make):
    written = {
        "classes": ["CHEMICAL"],
        "annotations": [[TEXT, {"entities": TUPLES}], None, ["b", {"entities": []}]],
    }
    for indent in (None, 1):
        first, second = read(make("x.json", json.dumps(written, indent=indent)))
        assert content(first) == FOUND and second.text == "b"


def test_records_one_after_the_other_over_many_lines(make):
    written = "\n".join(json.dumps({"id": n, "text": "x" * 50_000}, indent=1) for n in range(5))
    documents = list(read(make("x.json", written)))
    assert [d.id for d in documents] == list("01234")


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ('[{"text": "a"}', "the array is not closed; is the file cut short"),
        ('[{"text": "a"}, {"text": "b', "no well-formed JSON: .*cut short"),
        ('[{"text": "a"}, {"text" "b"}]' + " " * 100_000, r"Expecting ':' delimiter, at '\"b\""),
        ('{\n"text": "a"\n', "no well-formed JSON"),
        ("[]", "holds no document"),
        ('[{"text": "\\ud83d"}]', "record 1: the text holds half of a surrogate pair"),
        (b'[\n{"text": "caf\xe9"}]', r"x\.json:2: byte 13 \(0xe9\) is not UTF-8"),
        ("[3, 4]", r"x\.json:1: expected an object"),
    ],
)
def test_broken_json_is_one_line(make, written, message):
    with pytest.raises(FormatError, match=message) as error:
        list(read(make("x.json", written), "jsonl"))
    assert "\n" not in str(error.value)


def test_arrays_stream(make):
    written = "[" + ",".join(f'{{"id": "{n}", "text": "a"}}' for n in range(50_000)) + ", broken"
    documents = read(make("x.json", written), "jsonl")
    assert [next(documents).id for _ in range(3)] == ["0", "1", "2"]
    documents.close()


@pytest.mark.parametrize("name", ["doccano.jsonl", "spacy.jsonl", "pubannotation.json", "gold_aspirin.jsonl"])
def test_the_same_sentence_of_four_tools(data, name):
    (document,) = read(data / "cases" / name)
    assert content(document) == [(0, 7, "Chemical", "Aspirin"), (21, 29, "Disease", "headache")]


def test_wrong_options(make):
    with pytest.raises(VanerError, match="crlf=3 is unknown; choose auto, 1 or 2"):
        read(make("x.jsonl", '{"text": "a"}'), "jsonl:crlf=3")


def test_attributes_of_pubannotation_keep_what_their_ids_name(make):
    attributes = [{"id": "A1", "subj": "T1", "pred": "negated", "obj": True}]
    record = {
        "sourcedb": "PubMed",
        "sourceid": "1",
        "text": TEXT,
        "denotations": [{"id": "T1", "span": {"begin": 0, "end": 7}, "obj": "Chemical"}],
        "attributes": attributes,
        "blocks": [{"id": "B1", "span": {"begin": 0, "end": 32}, "obj": "title"}],
        "typesettings": [{"span": {"begin": 0, "end": 3}, "style": "bold"}],
    }
    (document,) = read(make("x.json", json.dumps(record)))
    assert content(document) == FOUND[:1]
    assert document.metadata["source_relations"] == {
        "attributes": attributes,
        "ids": {"T1": [0, 7, "Chemical"]},
    }
    assert document.metadata["blocks"] == record["blocks"]


def test_attributes_of_another_kind_are_metadata(make):
    record = {"text": TEXT, "entities": TUPLES, "attributes": {"year": 2020}, "relations": {}}
    (document,) = read(make("x.json", json.dumps(record)))
    assert document.metadata == {"attributes": {"year": 2020}}


def test_a_review_of_prodigy_is_read_as_it_was_settled(make):
    spans = labelled("start", "end")
    record = {
        "text": TEXT,
        "spans": spans,
        "answer": "accept",
        "versions": [{"text": TEXT, "spans": spans[:1]}],
    }
    (document,) = read(make("x.jsonl", json.dumps(record)))
    assert content(document) == FOUND


def test_relations_of_prodigy(make):
    spans = labelled("start", "end")
    relation = {"head": 0, "child": 4, "head_span": spans[0], "child_span": spans[1], "label": "treats"}
    record = {"text": TEXT, "spans": spans, "relations": [relation], "answer": "accept"}
    (document,) = read(make("x.jsonl", json.dumps(record)))
    assert content(document) == FOUND
    assert document.metadata["source_relations"]["relations"] == [relation]


def test_several_keys_make_a_text(make):
    record = {"id": 1, "head": "T", "body": {"main": "ab"}, "year": 1}
    (document,) = read(make("x.jsonl", json.dumps(record)), "jsonl:text=head+body.main")
    assert document.text == "T\nab" and [p.kind for p in document.passages] == ["head", "body.main"]


def test_ids_may_be_left_aside(make):
    (document,) = read(make("x.jsonl", json.dumps({"id": 7, "text": "a"})), "jsonl:id=none")
    assert document.id == "x-1" and document.metadata == {"source_id": 7}


@pytest.mark.parametrize("tool", ["doccano", "label_studio", "prodigy", "pubannotation"])
def test_what_is_written_for_a_tool_is_read_back(make, tmp_path, tool):
    documents = list(read(make("x.json", json.dumps(MATRIX["own"]))))
    again = [Document("2", "b c")]
    assert write(tmp_path / "o.json", documents + again, f"jsonl:tool={tool}") == 2
    first, second = read(tmp_path / "o.json")
    assert first.text == TEXT and content(first) == FOUND and (second.id, second.spans) == ("2", [])
    assert write(tmp_path / "none.json", [], f"jsonl:tool={tool}") == 0


def test_relations_of_mentions_that_are_gone_are_counted(make, tmp_path):
    record = {
        "text": TEXT,
        "denotations": DENOTATIONS,
        "relations": [{"id": "R1", "subj": "Chemical", "pred": "p", "obj": "Disease"}],
    }
    (document,) = read(make("x.json", json.dumps(record)))
    report = Report()
    write(
        tmp_path / "o.jsonl",
        [document.with_spans(document.spans[:1])],
        "jsonl:tool=pubannotation",
        report=report,
    )
    assert report.counts == {"relation not written": 1}
    write(tmp_path / "o.jsonl", [document], "jsonl:tool=pubannotation", report=report)
    (again,) = read(tmp_path / "o.jsonl")
    assert again.metadata["source_relations"] == document.metadata["source_relations"]


def test_an_unknown_tool(tmp_path):
    with pytest.raises(VanerError, match="tool=brat is unknown; choose one of vaner, doccano"):
        write(tmp_path / "o.jsonl", [], "jsonl:tool=brat")
