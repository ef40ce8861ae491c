"""Units follow from the input alone; what cannot be read is told with its place."""

import gzip

import pytest

from tests.jobs.conftest import write_documents
from vaner.document import Concept, Document, Passage, Span
from vaner.errors import VanerError
from vaner.jobs.packing import fingerprint, pack, unpack
from vaner.jobs.sources import Source
from vaner.jobs.units import Cut, End, FileReader, units


def cut(path, documents=10, characters=10**9, **reader):
    *found, end = units(Source(str(path), "name", path), FileReader(**reader), Cut(documents, characters))
    assert isinstance(end, End) and end.units == len(found)
    return found, end


def test_by_documents_and_by_characters(tmp_path):
    path = write_documents(tmp_path / "a.jsonl", 25)
    found, _ = cut(path)
    assert [len(one.documents) for one in found] == [10, 10, 5]
    assert [one.number for one in found] == [0, 1, 2]
    length = len("Hello World 0")
    found, _ = cut(path, characters=3 * length)
    assert [len(one.documents) for one in found][:4] == [3, 3, 3, 3]


def test_how_far_the_file_was_read_is_known(tmp_path):
    path = write_documents(tmp_path / "a.jsonl", 2000)
    found, _ = cut(path, 500)
    read = [one.read for one in found]
    assert read == sorted(read) and 0 < read[0] < read[-1] == path.stat().st_size


def test_bad_documents_belong_to_the_unit_in_which_they_were_met(tmp_path):
    lines = [f'{{"id": "{i}", "text": "x"}}\n' for i in range(25)]
    lines[3] = '{"id": "3", "te\n'
    lines[14] = '{"id": "4", "text": "again"}\n'
    lines.append("nothing\n")
    path = tmp_path / "a.jsonl"
    path.write_text("".join(lines))
    found, _ = cut(path)
    assert [[one.place for one in unit.rejected] for unit in found] == [
        [f"{path}:4"],
        [f"{path}:15"],
        [f"{path}:26"],
    ]
    assert "was used before on line 5" in found[1].rejected[0].reason


def test_more_bad_documents_than_a_report_keeps(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("bad\n" * 100 + '{"text": "x"}\n')
    found, _ = cut(path, 1000)
    assert len(found[0].rejected) == 100


def test_a_file_that_is_broken_as_a_whole_ends_there(tmp_path):
    path = write_documents(tmp_path / "a.jsonl.gz", 5000)
    path.write_bytes(path.read_bytes()[:-30])
    found, end = cut(path, 1000)
    assert found and end.broken and "the gzip file is broken" in end.rejected[0].reason
    (tmp_path / "empty.jsonl").write_bytes(b"")
    found, end = cut(tmp_path / "empty.jsonl")
    assert not found and "the file is empty" in end.rejected[0].reason
    with pytest.raises(VanerError, match="the gzip file is broken"):
        cut(path, on_error="raise")


def test_packing_loses_nothing(tmp_path):
    document = Document(
        "1",
        "Fever \ud800 x",
        [Span(0, 5, "Disease", "Fever", 0.5, (Concept("D1", "MESH", 0.1, "exact"),), ((0, 2), (3, 5)))],
        [Passage(0, 5, "title")],
        [(0, 5)],
        [(0, 5)],
        frozenset({"Disease"}),
        {"a": (1, [2.5, None, {"b"}]), 3: float("inf")},
    )
    (back,) = unpack(pack([document]))
    assert back == document and type(back.metadata["a"]) is tuple


def test_unpacking_runs_nothing():
    import pickle
    import zlib

    class Bad:
        def __reduce__(self):
            return print, ("ran",)

    with pytest.raises(VanerError, match="metadata holds a builtins.print"):
        unpack(zlib.compress(pickle.dumps([Bad()])))
    with pytest.raises(VanerError, match="not the documents of a unit"):
        unpack(gzip.compress(b"x"))


def test_a_fingerprint_tells_documents_apart():
    one = Document("1", "Fever", [Span(0, 5, "Disease", "Fever")])
    assert fingerprint([one]) == fingerprint([Document("1", "Fever", list(one.spans))])
    others = [Document("2", "Fever", one.spans), Document("1", "fever"), one.with_spans([])]
    assert len({fingerprint([other]) for other in [one, *others]}) == 4
