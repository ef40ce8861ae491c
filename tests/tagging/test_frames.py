"""In: frames of pandas, polars and Arrow with texts in a column. Out: the same with mentions, none lost or moved."""

from __future__ import annotations

import pandas
import polars
import pyarrow as pa
import pytest

from vaner.document import Concept, Document, Span
from vaner.errors import VanerError
from vaner.tagger import FAILED
from vaner.tagging.frames import tag_frame
from vaner.tagging.rows import ROWS, strings


class Aspirin:
    """Finds every ``aspirin``, with two concepts, and ``pain`` without; remembers what it read."""

    types = ("Chemical", "Disease")
    datasets: dict[str, list[str]] = {}
    max_words = None
    allow_new_types = False

    def __init__(self) -> None:
        self.read: list[str] = []

    def tag_documents(self, documents, types=None, dataset=None):
        for document in documents:
            self.read.append(document.text)
            spans = []
            for word, type, score, concepts in (
                ("aspirin", "Chemical", 0.9, (Concept("C1", "MESH", 0.5), Concept("C2"))),
                ("pain", "Disease", None, ()),
            ):
                at = document.text.find(word)
                while at >= 0 and type in (types or self.types):
                    spans.append(Span(at, at + len(word), type, word, score, concepts))
                    at = document.text.find(word, at + 1)
            tagged = document.with_spans(spans)
            if "HALF" in document.text:
                tagged.metadata = {FAILED: "no answer"}
            yield tagged

    def remarks(self):
        return []


TEXTS = ["aspirin for pain", None, "", "\U0001f48a aspirin", "nothing"]
PLACES = [[(0, 7), (12, 16)], None, [], [(2, 9)], []]
INDEX = ["a", "b", "a", "c", "d"]


def series(kind):
    """The texts as pandas may hold them."""
    if kind == "arrow":
        return pandas.Series(TEXTS, index=INDEX, dtype=pandas.ArrowDtype(pa.string()))
    if kind == "large":
        return pandas.Series(TEXTS, index=INDEX, dtype=pandas.ArrowDtype(pa.large_string()))
    if kind == "nan":
        return pandas.Series(
            [float("nan") if one is None else one for one in TEXTS], index=INDEX, dtype=object
        )
    return pandas.Series(TEXTS, index=INDEX, dtype=kind)


PANDAS = ["str", "string", "string[python]", "object", "nan", "arrow", "large", "category"]


@pytest.mark.parametrize("kind", PANDAS)
def test_pandas_gets_a_column(kind):
    frame = pandas.DataFrame({"n": range(5), "abstract": series(kind)}, index=INDEX)
    before = frame.copy()
    tagged = tag_frame(Aspirin(), frame, "abstract")
    assert list(tagged.columns) == ["n", "abstract", "spans"] and list(tagged.index) == INDEX
    pandas.testing.assert_frame_equal(frame, before)
    pandas.testing.assert_frame_equal(tagged[["n", "abstract"]], before)
    assert isinstance(tagged["spans"].dtype, pandas.ArrowDtype)
    found = [None if one is pandas.NA else [(s["start"], s["end"]) for s in one] for one in tagged["spans"]]
    assert found == PLACES
    first = tagged["spans"].iloc[0][0]
    assert (first["type"], first["text"], first["score"]) == ("Chemical", "aspirin", 0.9)
    assert [one["id"] for one in first["concepts"]] == ["C1", "C2"]


@pytest.mark.parametrize("kind", PANDAS)
def test_pandas_gets_a_row_a_mention(kind):
    frame = pandas.DataFrame({"pmid": [7, 8, 9, 10, 11], "abstract": series(kind)}, index=INDEX)
    mentions = tag_frame(Aspirin(), frame, "abstract", per="mention", keep=["pmid"])
    assert list(mentions.columns) == [
        *("pmid", "start", "end", "type", "text", "score", "concept", "concepts", "fragments", "grounded")
    ]
    assert list(mentions.index) == ["a", "a", "c"] and mentions["pmid"].tolist() == [7, 7, 10]
    assert mentions["start"].dtype == "int64" and mentions["text"].tolist() == ["aspirin", "pain", "aspirin"]
    assert mentions["concept"].tolist()[::2] == ["C1", "C1"] and pandas.isna(mentions["concept"].iloc[1])
    assert pandas.isna(mentions["score"].iloc[1]) and mentions["score"].iloc[0] == 0.9


def test_mentions_join_their_texts():
    frame = pandas.DataFrame({"abstract": TEXTS})
    joined = frame.join(tag_frame(Aspirin(), frame, "abstract", per="mention"))
    assert joined["abstract"].tolist()[:2] == ["aspirin for pain"] * 2 and len(joined) == 6


def test_any_index_stays():
    index = pandas.MultiIndex.from_product([["x"], range(5)], names=["k", "n"])
    frame = pandas.DataFrame({"text": TEXTS}, index=index)
    assert tag_frame(Aspirin(), frame).index.equals(index)
    mentions = tag_frame(Aspirin(), frame, per="mention")
    assert mentions.index.names == ["k", "n"] and list(mentions.index) == [("x", 0), ("x", 0), ("x", 3)]
    empty = tag_frame(Aspirin(), frame.iloc[:0], per="mention", keep=())
    assert len(empty) == 0 and "concept" in empty.columns
    assert len(tag_frame(Aspirin(), frame.iloc[:0])) == 0
    assert tag_frame(Aspirin(), pandas.DataFrame({"text": [None, None]}))["spans"].isna().all()


@pytest.mark.parametrize("kind", [polars.String, polars.Categorical])
def test_polars(kind):
    frame = polars.DataFrame({"n": range(5), "abstract": polars.Series(TEXTS, dtype=kind)})
    tagged = tag_frame(Aspirin(), frame, "abstract")
    assert tagged.columns == ["n", "abstract", "spans"] and tagged.drop("spans").equals(frame)
    found = [one and [(s["start"], s["end"]) for s in one] for one in tagged["spans"].to_list()]
    assert found == PLACES and tagged["spans"].null_count() == 1
    mentions = tag_frame(Aspirin(), frame, "abstract", per="mention", keep=["n"])
    assert mentions.columns[:3] == ["row", "n", "start"]
    assert mentions["row"].to_list() == [0, 0, 3] == mentions["n"].to_list()
    assert mentions["concept"].to_list() == ["C1", None, "C1"]
    assert tag_frame(Aspirin(), frame.clear(), "abstract", per="mention").height == 0
    with pytest.raises(VanerError, match="tag frame.collect()"):
        tag_frame(Aspirin(), frame.lazy(), "abstract")


def test_an_arrow_table():
    table = pa.table({"text": pa.chunked_array([TEXTS[:2], TEXTS[2:]], pa.large_string()), "n": range(5)})
    tagged = tag_frame(Aspirin(), table)
    assert tagged.column_names == ["text", "n", "spans"] and tagged.drop_columns("spans").equals(table)
    assert [one and [(s["start"], s["end"]) for s in one] for one in tagged["spans"].to_pylist()] == PLACES
    again = tag_frame(Aspirin(), tagged)
    assert again.column_names == ["text", "n", "spans"]
    mentions = tag_frame(Aspirin(), table, per="mention", keep=["n"])
    assert mentions["row"].to_pylist() == [0, 0, 3] == mentions["n"].to_pylist()


def test_types_and_scores():
    frame = polars.DataFrame({"text": TEXTS})
    assert tag_frame(Aspirin(), frame, types=["Disease"], per="mention")["type"].to_list() == ["Disease"]
    least = tag_frame(Aspirin(), frame, min_score=0.95, per="mention")
    assert least["text"].to_list() == ["pain"]  # which has no score


def test_texts_are_read_once_and_when_they_are_needed(monkeypatch):
    texts = [f"aspirin {n}" for n in range(3 * ROWS + 1)]
    frame = pandas.DataFrame({"text": pandas.Series(texts, dtype=pandas.ArrowDtype(pa.string()))})
    tagger, most = Aspirin(), 0
    real = strings

    def watched(column):
        nonlocal most
        for number, one in enumerate(real(column)):
            most = max(most, number - len(tagger.read))
            yield one

    monkeypatch.setattr("vaner.tagging.frames.strings", watched)
    monkeypatch.setattr(pandas.Series, "to_numpy", None)
    monkeypatch.setattr(pandas.Series, "tolist", None)
    tagged = tag_frame(tagger, frame)
    assert tagger.read == texts and most == 0 and len(tagged) == len(texts)


def test_few_strings_are_made_at_a_time():
    class Chunk:
        def __init__(self, size):
            self.size = size

        def __len__(self):
            return self.size

        def slice(self, at, size):
            return Chunk(min(size, self.size - at))

        def to_pylist(self):
            assert self.size <= ROWS
            return ["x"] * self.size

    assert len(list(strings(Chunk(3 * ROWS + 1)))) == 3 * ROWS + 1


def test_arrow_strings_are_not_copied(monkeypatch):
    array = pa.array(["aspirin " * 10] * 100, pa.large_string())
    address = array.buffers()[2].address
    seen = []

    def watched(column):
        chunks = getattr(column, "chunks", [column])
        seen.extend(chunk.buffers()[-1].address for chunk in chunks)
        return strings(column)

    monkeypatch.setattr("vaner.tagging.frames.strings", watched)
    for dtype in (pandas.ArrowDtype(pa.large_string()), pandas.StringDtype("pyarrow")):
        made = pandas.Series(pandas.arrays.ArrowExtensionArray(pa.chunked_array([array])))
        tag_frame(Aspirin(), pandas.DataFrame({"text": made.astype(dtype)}))
    tag_frame(Aspirin(), pa.table({"text": array}))
    assert seen == [address] * 3


def test_a_text_that_was_not_tagged_in_full_is_said(caplog):
    tag_frame(Aspirin(), polars.DataFrame({"text": ["x", None, "HALF"]}))
    assert "row 2: its text was not tagged in full: no answer" in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text": "abstrat"}, "no column 'abstrat' .did you mean abstract"),
        ({"text": "zzz"}, "its columns: abstract, n, spans"),
        ({"text": "n"}, "'n' holds int64, no strings"),
        ({"text": "abstract", "per": "row"}, "per is 'row'; choose text"),
        ({"text": "abstract", "keep": ["n"]}, "keep is for per='mention'"),
        ({"text": "abstract", "keep": ["m"], "per": "mention"}, "no column 'm'"),
        ({"text": "abstract", "keep": "n", "per": "mention"}, "give a list of columns"),
        ({"text": "abstract", "keep": ["spans"], "per": "mention"}, None),
    ],
)
def test_what_cannot_be_tagged(options, message):
    frame = pandas.DataFrame({"abstract": ["x"], "n": [1], "spans": [1]})
    if message is None:
        assert "spans" in tag_frame(Aspirin(), frame, **options).columns
        return
    with pytest.raises(VanerError, match=message):
        tag_frame(Aspirin(), frame, **options)


def test_what_is_no_frame_of_texts():
    with pytest.raises(VanerError, match="a builtins.list is no frame"):
        tag_frame(Aspirin(), ["x"])
    with pytest.raises(VanerError, match="a pandas.Series is no frame"):
        tag_frame(Aspirin(), pandas.Series(["x"]))
    with pytest.raises(VanerError, match="'text' holds not only strings"):
        tag_frame(Aspirin(), pandas.DataFrame({"text": ["x", 1]}))
    twice = pandas.DataFrame([["x", "y"]], columns=["text", "text"])
    with pytest.raises(VanerError, match="several columns are called 'text'"):
        tag_frame(Aspirin(), twice)
    clash = pandas.DataFrame({"text": ["x"], "score": [1]})
    with pytest.raises(VanerError, match="mentions have a column 'score' of their own"):
        tag_frame(Aspirin(), clash, per="mention", keep=["score"])


def test_a_taggers_own_method(tagger):
    frame = polars.DataFrame({"abstract": ["Aspirin relieved breast cancer.", None]})
    tagged = tagger.tag_frame(frame, text="abstract", types=["Disease"])
    (expected,) = tagger.tag_documents([Document("d", frame["abstract"][0])], ["Disease"])
    assert [(s["start"], s["end"]) for s in tagged["spans"][0]] == [(s.start, s.end) for s in expected.spans]
    assert tagger.tag_frame(frame, "abstract", per="mention").height >= len(expected.spans)
