"""In: tables as users have them, and broken ones. Out: that columns, types and mentions survive, or one clear line."""

import datetime
import decimal
import gzip
import io
import json
import random
import sys

import pandas
import pyarrow
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value, load_dataset
from hypothesis import given, settings
from hypothesis import strategies as st

import vaner
from vaner.document import Concept, Document, Passage, Span
from vaner.errors import FormatError, VanerError
from vaner.formats import columns, read, write
from vaner.formats.tables import EMPTY, SCHEMA
from vaner.report import Report

FULL = Document(
    "d1",
    "BRCA1 \u2028 😀 breast\ncancer",
    [
        Span(0, 5, "Gene", "BRCA1", 0.1 + 0.2, (Concept("672", "NCBI", 0.5, "exact"), Concept("x"))),
        Span(10, 23, "Disease", "breast\ncancer", fragments=((10, 16), (17, 23))),
    ],
    [Passage(0, 16, "title"), Passage(17, 23, "abstract")],
    sentences=[(0, 23)],
    words=[(0, 5), (8, 9)],
    types=frozenset({"Gene", "Disease"}),
    metadata={"relations": [["CID", "a", "b"]], "year": 2020},
)
DAY = datetime.datetime(2020, 1, 2, 3, 4, 5, 678901)
# A column of every kind, three rows each.
COLUMNS = {
    "int8": pyarrow.array([1, None, -3], pyarrow.int8()),
    "float": pyarrow.array([0.1, float("nan"), None], pyarrow.float32()),
    "bool": pyarrow.array([True, None, False]),
    "large": pyarrow.array(["a", None, ""], pyarrow.large_string()),
    "bytes": pyarrow.array([b"\xff\x00", None, b""], pyarrow.binary()),
    "four": pyarrow.array([b"abcd", None, b"efgh"], pyarrow.binary(4)),
    "date": pyarrow.array([DAY.date(), None, DAY.date()]),
    "second": pyarrow.array([DAY, None, DAY], pyarrow.timestamp("us")),
    "zone": pyarrow.array([DAY, None, DAY], pyarrow.timestamp("ns", "Europe/Paris")),
    "clock": pyarrow.array([DAY.time(), None, DAY.time()], pyarrow.time64("us")),
    "money": pyarrow.array([decimal.Decimal("1.50"), None, decimal.Decimal("-2.00")], pyarrow.decimal128(9, 2)),
    "category": pyarrow.array(["x", "y", None]).dictionary_encode(),
    "authors": pyarrow.array([[{"name": "a", "born": DAY.date()}], None, []],
                             pyarrow.list_(pyarrow.struct([("name", pyarrow.string()), ("born", pyarrow.date32())]))),
    "vector": pyarrow.array([[1.5, float("inf")], None, [0, 0]], pyarrow.list_(pyarrow.float32(), 2)),
    "map": pyarrow.array([[("a", 1)], None, []], pyarrow.map_(pyarrow.string(), pyarrow.int64())),
    "nothing": pyarrow.nulls(3),
    "metadata": pyarrow.array(["not ours", None, "{"]),
    "words": pyarrow.array([[7], None, []], pyarrow.list_(pyarrow.int16())),
}  # fmt: skip


@pytest.fixture
def table(tmp_path):
    """Writes a table of texts and returns its path."""

    def table(name="x.parquet", **named):
        given = {"pmid": [7, 8, 9], "abstract": ["Aspirin relieved.", "b", "c"], **named}
        pq.write_table(pyarrow.table(given), tmp_path / name)
        return tmp_path / name

    return table


def tagged(path, report=None, **options):
    """Every document with one mention, its first word."""
    for document in read(path, report=report or Report(), **options):
        end = len(document.text.split(" ")[0])
        yield document.with_spans([document.span(0, end, "Chemical", score=0.5)])


def test_every_field_survives(tmp_path):
    documents = [
        FULL,
        Document("empty", ""),
        Document("none", "a", types=frozenset(), words=[], sentences=[]),
    ]
    report = Report()
    assert write(tmp_path / "a.parquet", documents, "parquet", report=report) == 3
    assert list(read(tmp_path / "a.parquet")) == documents and not report.counts


def test_all_columns_are_kept_with_their_types(table, tmp_path):
    path = table(**COLUMNS)
    report = Report()
    write(tmp_path / "y.parquet", tagged(path, text="abstract", id="pmid"), "parquet", report=report)
    before, after = pq.read_table(path), pq.read_table(tmp_path / "y.parquet")
    assert after.schema.names == [*before.schema.names, "spans"] and not report.counts
    for name in before.schema.names:
        assert after.schema.field(name).type == before.schema.field(name).type, name
        # NaN equals nothing, not even itself.
        assert repr(after[name].to_pylist()) == repr(before[name].to_pylist()), name
    first = read(tmp_path / "y.parquet")
    assert next(first).spans == [Span(0, 7, "Chemical", "Aspirin", 0.5)]


def test_columns_go_through_json_lines_and_come_back(table, tmp_path):
    path = table(**COLUMNS)
    write(tmp_path / "a.jsonl", tagged(path, text="abstract", id="pmid"), "jsonl")
    write(tmp_path / "y.parquet", read(tmp_path / "a.jsonl"), "parquet")
    write(tmp_path / "z.parquet", tagged(path, text="abstract", id="pmid"), "parquet")
    assert (tmp_path / "y.parquet").read_bytes() == (tmp_path / "z.parquet").read_bytes()
    assert list(read(tmp_path / "y.parquet")) == list(read(tmp_path / "a.jsonl"))


@pytest.mark.parametrize("name", COLUMNS)
def test_a_type_is_described_and_made_again(name):
    array = COLUMNS[name]
    described = json.loads(json.dumps(columns.describe(array.type)))
    plain = json.loads(json.dumps(columns.values(array), allow_nan=False))
    assert columns.type_of(described) == array.type
    again = columns.array(plain, array.type)
    again.validate(full=True)
    assert repr(again.to_pylist()) == repr(array.to_pylist())


def test_pandas_and_datasets_load_what_is_written(table, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    path = tmp_path / "y.parquet"
    write(path, tagged(table(), text="abstract", id="pmid"), "parquet")
    frame = pandas.read_parquet(path)
    assert list(frame.columns) == ["pmid", "abstract", "spans"]
    assert frame.spans[0][0]["text"] == "Aspirin" and frame.pmid.dtype == "int64"
    loaded = load_dataset("parquet", data_files=str(path), split="train", cache_dir=str(tmp_path))
    assert loaded[0]["spans"][0]["start"] == 0 and loaded.features["spans"].feature["score"] == Value(
        "float64"
    )
    # Both write it again without this project's notes; the mentions are found all the same.
    frame.to_parquet(tmp_path / "p.parquet")
    loaded.to_parquet(str(tmp_path / "d.parquet"))
    for again in ("p.parquet", "d.parquet"):
        found = list(read(tmp_path / again, text="abstract", id="pmid"))
        assert [d.spans for d in found] == [d.spans for d in read(path)]
        assert [d.id for d in found] == ["7", "8", "9"]


def test_the_same_documents_make_the_same_bytes(tmp_path):
    for name in "ab":
        write(tmp_path / name, [FULL], "parquet")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    said = json.loads(pq.read_schema(tmp_path / "a").metadata[b"vaner"])
    assert said["version"] == vaner.__version__ and "tagged_by" not in said


def test_what_tagged_the_texts_is_said_once(table, tmp_path):
    by = {"tagger": "vaner 1", "model": "m"}
    found = list(read(table(), text="abstract", id="pmid"))
    for document in found:
        document.metadata["tagged_by"] = by
    write(tmp_path / "y.parquet", found, "parquet")
    assert pq.read_table(tmp_path / "y.parquet").schema.names == ["pmid", "abstract", "spans"]
    assert json.loads(pq.read_schema(tmp_path / "y.parquet").metadata[b"vaner"])["tagged_by"] == by
    assert list(read(tmp_path / "y.parquet")) == found
    del found[1].metadata["tagged_by"]
    found[2].metadata["tagged_by"] = {"model": "other"}
    write(tmp_path / "y.parquet", found, "parquet")
    assert list(read(tmp_path / "y.parquet")) == found


def test_no_documents_make_a_table_without_rows(tmp_path):
    assert write(tmp_path / "a.parquet", [], "parquet") == 0
    assert pq.read_table(tmp_path / "a.parquet").num_rows == 0
    with pytest.raises(FormatError, match="holds no document"):
        list(read(tmp_path / "a.parquet"))


def test_several_columns_make_a_text(table, tmp_path):
    path = table(title=["T", None, "U"], abstract=["ab", "cd", ""])
    first, second, third = read(path, text="title+abstract", id="pmid")
    assert first.text == "T\nab" and first.passages == [Passage(0, 1, "title"), Passage(2, 4, "abstract")]
    assert (second.text, third.text) == ("cd", "U")
    write(tmp_path / "y.parquet", [first, second, third], "parquet")
    assert pq.read_table(tmp_path / "y.parquet").schema.names == [
        "pmid",
        "abstract",
        "title",
        "spans",
        "passages",
        "text",
    ]
    again = list(read(tmp_path / "y.parquet"))
    assert [(d.id, d.text, d.passages) for d in again] == [
        (d.id, d.text, d.passages) for d in (first, second, third)
    ]


def test_rows_without_a_text_are_counted(table):
    report = Report()
    found = list(read(table(abstract=["a", None, ""]), id="pmid", report=report))
    assert [(d.id, d.text) for d in found] == [("7", "a"), ("9", "")]
    assert report.counts == {EMPTY: 1} and "x.parquet: row 2: abstract is null" in report.messages[0]


def test_ids(table):
    assert [d.id for d in read(table())] == ["x-1", "x-2", "x-3"]
    assert [d.id for d in read(table(id=["a", "b", "c"]))] == ["a", "b", "c"]
    assert [d.id for d in read(table(id=["a", "b", "c"]), id="none")] == ["x-1", "x-2", "x-3"]
    # As pandas has whole numbers where some are missing.
    path = table(id=[1.0, None, 3.0])
    with pytest.raises(FormatError, match=r"row 2: its id 'id' is null; give it one"):
        list(read(path))
    report = Report()
    assert [d.id for d in read(path, on_error="skip", report=report)] == ["1", "3"]
    assert report.counts == {"document skipped": 1}
    with pytest.raises(FormatError, match="document id '7' was used before"):
        list(read(table(pmid=[7, 7, 8]), id="pmid"))


@pytest.mark.parametrize(
    ("named", "options", "message"),
    [
        ({"title": ["a"] * 3}, {}, r"several columns hold texts, and none is called 'text'; name the column with "
         r"--text_column title\+abstract, or parquet:text=title\+abstract; the columns are pmid \(int64\), "),
        ({"abstract": [1, 2, 3]}, {}, "no column holds texts"),
        ({}, {"text": "abstrct"}, "has no column 'abstrct'; did you mean abstract.; name the column"),
        ({}, {"text": "pmid"}, "the column 'pmid' holds int64, no texts"),
        ({}, {"id": "doi"}, "has no column 'doi'; .*--id_column"),
        ({"day": [DAY] * 3}, {"id": "day"}, r"'day' holds timestamp\[us\]; ids are strings or whole numbers"),
        ({"day": [0.5] * 3}, {"id": "day"}, "row 1: its id 'day' is 0.5"),
        ({SCHEMA: [1] * 3}, {}, "a column is called 'table_schema'"),
        ({"entities": [["x"]] * 3}, {}, "what 'entities' holds looks like mentions"),
    ],
)  # fmt: skip
def test_columns_that_cannot_be_told_are_one_line(table, named, options, message):
    path = table(**named)
    with pytest.raises(FormatError, match=message) as error:
        list(read(path, **options))
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


def test_mentions_of_other_tools_are_read_and_replaced(table, tmp_path):
    ours = [[{"start": 0, "end": 7, "label": "Chemical"}], [], None]
    for name in ("spans", "entities"):
        path = table(**{name: ours})
        found = list(read(path, id="pmid"))
        assert [d.spans for d in found] == [[Span(0, 7, "Chemical", "Aspirin")], [], []]
        write(tmp_path / "y.parquet", [d.with_spans([]) for d in found], "parquet")
        assert not any(d.spans for d in read(tmp_path / "y.parquet"))
        assert (
            pq.read_table(tmp_path / "y.parquet")[name].to_pylist() == pq.read_table(path)[name].to_pylist()
        )


def test_names_of_classes_are_read_and_kept(tmp_path):
    features = Features(tokens=List(Value("string")), ner_tags=List(ClassLabel(names=["O", "B-X", "I-X"])),
                        kind=ClassLabel(names=["no", "yes"]))  # fmt: skip
    data = {"tokens": [["a", "b"], ["c"]], "ner_tags": [[1, 2], [0]], "kind": [1, 0]}
    Dataset.from_dict(data, features=features).to_parquet(str(tmp_path / "x.parquet"))
    found = list(read(tmp_path / "x.parquet"))
    assert [d.spans for d in found] == [[Span(0, 3, "X", "a b")], []] and found[0].words == [(0, 1), (2, 3)]
    write(tmp_path / "y.parquet", found, "parquet")
    again = load_dataset(
        "parquet", data_files=str(tmp_path / "y.parquet"), split="train", cache_dir=str(tmp_path)
    )
    assert {name: again.features[name] for name in features} == features
    assert [d.spans for d in read(tmp_path / "y.parquet")] == [d.spans for d in found]


def test_what_does_not_fit_its_column_is_one_line(table, tmp_path):
    (document, *_) = read(table(), text="abstract", id="pmid")
    document.id = "PMC7"
    with pytest.raises(
        VanerError, match=r"the column 'pmid' \(int64\) cannot hold a value \(.*PMC7"
    ) as error:
        write(tmp_path / "y.parquet", [document], "parquet")
    assert "\n" not in str(error.value)
    for value in ({1, 2}, float("nan")):
        with pytest.raises(VanerError, match="no JSON can hold it"):
            write(tmp_path / "y.parquet", [Document("1", "a", metadata={"x": value})], "parquet")
    with pytest.raises(VanerError, match="half of a surrogate pair"):
        write(tmp_path / "y.parquet", [Document("1", "a\ud83d")], "parquet")
    with pytest.raises(VanerError, match="its table_schema is none"):
        write(
            tmp_path / "y.parquet",
            [Document("1", "a", metadata={SCHEMA: {"columns": {"x": "word"}}})],
            "parquet",
        )
    assert not (tmp_path / "y.parquet").exists()


def test_documents_of_two_tables_lose_nothing(table, tmp_path):
    first = next(read(table(year=[1, 2, 3]), text="abstract", id="pmid"))
    other = table("z.parquet", month=[4, 5, 6], year=["MM", "MMI", "MMII"])
    second = list(read(other, text="abstract", id="pmid"))[1]
    write(tmp_path / "y.parquet", [first, second], "parquet")
    again = list(read(tmp_path / "y.parquet"))
    assert [d.metadata["year"] for d in again] == [1, "MMI"] and again[1].metadata["month"] == 5
    assert [d.id for d in again] == ["7", "8"]


def test_what_comes_too_late_for_a_column_is_counted(table, tmp_path, monkeypatch):
    monkeypatch.setattr("vaner.formats.parquet_writing._BATCH", 1)
    monkeypatch.setattr("vaner.formats.parquet_writing._GROUP_ROWS", 1)
    found = list(read(table(), text="abstract", id="pmid"))
    found[2].words = [(0, 1)]
    report = Report()
    write(tmp_path / "y.parquet", found, "parquet", report=report)
    assert report.counts == {"words not written": 1} and "document 9" in report.messages[0]
    assert pq.ParquetFile(tmp_path / "y.parquet").num_row_groups == 3


def test_standard_input_and_output_and_gzip(table, monkeypatch, capfdbinary, tmp_path):
    path = table()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
    found = list(read("-", "parquet:text=abstract,id=pmid"))
    assert write("-", found, "parquet") == 3
    (tmp_path / "o.parquet.gz").write_bytes(gzip.compress(capfdbinary.readouterr().out))
    assert list(read(tmp_path / "o.parquet.gz")) == found


@pytest.mark.parametrize("seed", range(60))
def test_damaged_files_are_one_line_or_read_as_they_were(table, seed):
    path = table(**COLUMNS)
    documents = list(read(path, text="abstract", id="pmid"))
    write(path, documents, "parquet")
    if seed % 2:  # as others write it: no checksum says that a page is damaged
        pq.write_table(pq.read_table(path), path, compression="none", use_dictionary=False)
    whole = bytearray(path.read_bytes())
    chance = random.Random(seed)
    if seed % 3 == 0:
        whole = whole[: chance.randrange(4, len(whole))]
    else:
        for _ in range(chance.choice((1, 3))):
            whole[chance.randrange(4, len(whole))] ^= 1 << chance.randrange(8)
    path.write_bytes(whole)
    try:
        found = list(read(path, "parquet"))
    except VanerError as error:
        assert "\n" not in str(error) and str(path) in str(error)
    else:
        for document in found:
            assert all(document.text[s.start : s.end] == s.text for s in document.spans)


def test_text_that_is_no_utf8_is_one_line(table):
    path = table()
    pq.write_table(
        pq.read_table(path), path, compression="none", use_dictionary=False, write_statistics=False
    )
    path.write_bytes(path.read_bytes().replace(b"Aspirin", b"\xffspirin"))
    with pytest.raises(FormatError, match="no readable Parquet after row 0 .*utf-8") as error:
        list(read(path, text="abstract"))
    assert "\n" not in str(error.value)


HARD = 'aB7-|;,\t\r\n "<&>\u00a0\u2028\x85\ufeff\u0301é\u202eİß😀\U0001d400'
WORDS = st.text(HARD, max_size=6)
JSON = (
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS
)


@st.composite
def documents(draw):
    text = draw(st.text(HARD, max_size=30))
    spans = []
    for _ in range(draw(st.integers(0, 3)) if text else 0):
        cuts = sorted(draw(st.sets(st.integers(0, len(text)), min_size=2, max_size=4)))
        pieces = tuple(zip(cuts[::2], cuts[1::2], strict=False))
        start, end = pieces[0][0], pieces[-1][1]
        ids = draw(st.lists(st.builds(Concept, WORDS, st.none() | WORDS, st.none() | st.floats(0, 1),
                                      st.none() | WORDS), max_size=2))  # fmt: skip
        spans.append(Span(start, end, draw(WORDS), text[start:end], draw(st.none() | st.floats(0, 1)), tuple(ids),
                          pieces if len(pieces) > 1 else ()))  # fmt: skip
    places = st.lists(st.tuples(st.just(0), st.integers(0, len(text))), max_size=2)
    return Document(
        draw(WORDS), text, spans,
        [Passage(start, end, draw(WORDS)) for start, end in draw(places)],
        sentences=draw(st.none() | places), words=draw(st.none() | places),
        types=draw(st.none() | st.frozensets(WORDS, max_size=2)),
        metadata=draw(st.dictionaries(WORDS, JSON | st.lists(JSON, max_size=2), max_size=2)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("parquet")


@settings(max_examples=60)
@given(before=st.lists(documents(), min_size=1, max_size=4, unique_by=lambda d: d.id))
def test_any_documents_come_back(folder, before):
    report = Report()
    write(folder / "a.parquet", before, "parquet", report=report)
    assert list(read(folder / "a.parquet")) == before and not report.counts


def test_reading_streams_within_one_row_group(tmp_path):
    pq.write_table(pyarrow.table({"text": ["a"] * 50_000}), tmp_path / "x.parquet", row_group_size=50_000)
    documents = read(tmp_path / "x.parquet")
    assert [next(documents).id for _ in range(3)] == ["x-1", "x-2", "x-3"]
    documents.close()
