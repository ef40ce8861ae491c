"""In: requests. Out: the answers of every route, in every format; one line for each mistake."""

import csv
import gzip
import io
import json

import pytest

from vaner.formats import read
from vaner.serving.metrics import CONTENT_TYPE

TEXT = "Anna met 12 people in Paris"


def spans(document):
    for one in document["spans"]:
        assert document["text"][one["start"] : one["end"]] == one["text"]
        assert one["concepts"] == []
    return [(one["text"], one["type"]) for one in document["spans"]]


def test_one_text_several_and_named_ones(serve):
    client = serve().client
    found = client.post("/v1/tag", json={"text": TEXT}).json()
    assert found["model"] == "words:x" and found["remarks"] == []
    (document,) = found["documents"]
    assert (document["id"], document["text"]) == ("0", TEXT)
    assert spans(document) == [("Anna", "Name"), ("12", "Number"), ("Paris", "Name")]
    found = client.post("/v1/tag", json={"texts": ["Ada", "", "Bob"]}).json()["documents"]
    assert [(one["id"], spans(one)) for one in found] == [
        ("0", [("Ada", "Name")]),
        ("1", []),
        ("2", [("Bob", "Name")]),
    ]
    given = [
        {"id": "<script>alert(1)</script>", "text": "\U0001f9ecAda\0 é"},
        {"id": 7, "text": "x"},
        {"text": "y"},
    ]
    found = client.post("/v1/tag", json={"documents": given}).json()["documents"]
    assert [one["id"] for one in found] == ["<script>alert(1)</script>", "7", "2"]
    assert found[0]["text"] == given[0]["text"] and found[0]["spans"][0]["start"] == 1


def test_what_is_asked(serve):
    running = serve(tagging={"types": ("Name",)})
    assert spans(running.tag("Ada 12").json()["documents"][0]) == [("Ada", "Name")]
    assert spans(running.tag("Ada 12", types=["Number"]).json()["documents"][0]) == [("12", "Number")]
    assert spans(running.tag("Ada 12", dataset="news").json()["documents"][0]) == [("Ada", "Name")]
    found = running.tag("Ada Byron", min_score=0.4).json()
    assert spans(found["documents"][0]) == [("Byron", "Name")]
    assert found["remarks"] == ["1 spans below the least score were left out (Name 1)"]


def test_server_settings_are_those_of_predict(serve):
    running = serve(tagging={"min_score": 0.4, "min_scores": {"Number": 0.1}, "flat": True})
    assert spans(running.tag("Ada Byron 1").json()["documents"][0]) == [("Byron", "Name"), ("1", "Number")]
    assert spans(running.tag("Ada Byron", min_score=0.0).json()["documents"][0]) == [
        ("Ada", "Name"),
        ("Byron", "Name"),
    ]


@pytest.mark.parametrize(
    "body, status, code, said",
    [
        ({"texts": ["a"], "typs": ["Name"]}, 422, "invalid", "typs: is unknown (did you mean types?)"),
        ({}, 422, "invalid", "give one of text, texts and documents"),
        ({"text": "a", "texts": ["b"]}, 422, "invalid", "give one of text, texts and documents"),
        ({"text": 5}, 422, "invalid", "text: Input should be a valid string"),
        ({"texts": ["a", 5, 6]}, 422, "invalid", "texts.1: Input should be a valid string"),
        ({"text": "a", "types": []}, 422, "invalid", "types: "),
        ({"text": "a", "types": ["a\nb"]}, 422, "invalid", "control character"),
        ({"text": "a", "types": ["Nmae"]}, 422, "invalid", "did you mean Name?"),
        ({"text": "a", "dataset": "new"}, 422, "invalid", "did you mean news?"),
        ({"text": "a", "min_score": 2}, 422, "invalid", "min_score: "),
        ({"text": "a", "link": True}, 422, "invalid", "start it with --link"),
        ({"text": "a", "format": "html"}, 422, "invalid", "format: "),
        ({"documents": [{"id": "a", "text": ""}, {"id": "a", "text": ""}]}, 422, "invalid", "two documents"),
        ({"documents": [{"id": "a\r\nb", "text": ""}]}, 422, "invalid", "documents.0.id"),
        ({"text": "x" * 51}, 413, "too_large", "51 characters and 50 are allowed"),
        ({"texts": ["x"] * 4}, 413, "too_large", "4 texts are sent and 3 are allowed"),
        ({"text": "POISON"}, 500, "internal", "document 0: could not be tagged (RuntimeError)"),
        ({"text": "REFUSED"}, 422, "invalid", "document 0: is refused; leave it out"),
        ([], 422, "invalid", "the body: "),
    ],
)
def test_mistakes(serve, body, status, code, said):
    answer = serve(max_text=50, max_documents=3).client.post("/v1/tag", json=body)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["code"] == code and said in error["message"] and "\n" not in error["message"]
    assert "cannot read" not in answer.text


def test_what_is_no_json(serve):
    client = serve().client
    kind = {"Content-Type": "application/json"}
    for body in (b"", b"{", b'{"text": "\\ud800"}', b"\xff", b'{"text": "a"} x', b"NaN", b"[" * 100_000):
        answer = client.post("/v1/tag", content=body, headers=kind)
        assert answer.status_code in (400, 422), (body[:20], answer.text)
        assert answer.json()["error"]["message"]


def test_addresses_and_methods(serve):
    client = serve().client
    for method, path, status in (
        ("GET", "/nothing", 404),
        ("GET", "/v1/tag", 405),
        ("POST", "/", 405),
        ("GET", "/docs", 404),
    ):
        answer = client.request(method, path)
        assert answer.status_code == status and answer.json()["error"]["message"]
    assert client.post("/v1/tag", content=b"{}").status_code == 415
    packed = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert client.post("/v1/tag", content=gzip.compress(b"{}"), headers=packed).status_code == 415
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    assert client.post("/v1/tag/file", content=b"--x--", headers=form).status_code == 415


@pytest.mark.parametrize("format", ["pubtator", "bioc"])
def test_a_file_of_every_format_is_read_back(serve, tmp_path, format):
    answer = serve().client.post(
        "/v1/tag", json={"documents": [{"id": "d1", "text": TEXT}], "format": format}
    )
    assert answer.status_code == 200, answer.text
    path = tmp_path / answer.headers["Content-Disposition"].partition('filename="')[2].rstrip('"')
    path.write_bytes(answer.content)
    (document,) = read(path)
    assert (document.id, document.text.rstrip("\n")) == ("d1", TEXT)
    assert [one.key for one in document.spans] == [(0, 4, "Name"), (9, 11, "Number"), (22, 27, "Name")]


def test_a_table(serve):
    given = {"documents": [{"id": "=1+1", "text": 'Ada, "12'}], "format": "csv"}
    answer = serve().client.post("/v1/tag", json=given)
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["text"] for row in rows] == ["Ada", "12"]
    assert rows[0]["id"] == "'=1+1" and rows[0]["score"] == "0.3"


def test_what_a_format_cannot_hold_is_said(serve):
    given = {"documents": [{"id": "a|b", "text": "Ada\nBob"}], "format": "pubtator"}
    answer = serve().client.post("/v1/tag", json=given)
    said = json.loads(answer.headers["Vaner-Remarks"])
    assert any("line breaks" in one for one in said) and any("id changed" in one for one in said)
    assert "/tmp" not in answer.headers["Vaner-Remarks"]


def test_a_file_is_tagged(serve):
    client = serve().client
    content = b"1|t|Ada wrote\n1|a|in Paris.\n1\t0\t3\tAda\tName\n\n2|t|Bob\n2|a|\n"
    for body in (content, gzip.compress(content), gzip.compress(content[:20]) + gzip.compress(content[20:])):
        found = client.post("/v1/tag/file", params={"filename": "a.pubtator.gz"}, content=body).json()
        assert [(one["id"], spans(one)) for one in found["documents"]] == [
            ("1", [("Ada", "Name"), ("Paris", "Name")]),
            ("2", [("Bob", "Name")]),
        ]
        assert [one["kind"] for one in found["documents"][0]["passages"]] == ["title", "abstract"]
    query = [
        ("filename", "my notes.txt"),
        ("types", "Number"),
        ("types", "Name"),
        ("format", "csv"),
        ("min_score", "0.2"),
    ]
    answer = client.post("/v1/tag/file", params=query, content=b"Ada 12 4")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="my_notes.tagged.csv"'
    assert [row["text"] for row in csv.DictReader(io.StringIO(answer.text))] == ["Ada", "12"]


@pytest.mark.parametrize(
    "name, content, status, said",
    [
        ("a.txt", b"", 422, "empty"),
        ("a.pubtator", b"not pubtator\n", 422, "a.pubtator:1: expected a title line"),
        ("a.zip", b"PK\x03\x04....", 415, "packed or binary"),
        ("a.parquet", b"PAR1....", 415, "packed or binary"),
        ("a.xml", b"<!DOCTYPE x [<!ENTITY a 'b'>]><collection>&a;</collection>", 422, "a.xml: "),
        ("a.txt.gz", gzip.compress(b"Ada", mtime=0)[:-9], 422, "gzip"),
        ("a.gz", b"\x1f\x8b12345678901234567890", 422, "gzip"),
        ("a.txt", b"\xff\xfe\xfa", 422, "a.txt"),
        ("a.jsonl", b'{"text": "a"}\n' * 1001, 413, "more than 1,000 documents"),
    ],
)
def test_files_that_cannot_be_read(serve, name, content, status, said):
    answer = serve().client.post("/v1/tag/file", params={"filename": name}, content=content)
    assert answer.status_code == status, answer.text
    assert said in answer.json()["error"]["message"]
    assert "/tmp" not in answer.text


def test_an_answer_is_converted(serve):
    client = serve().client
    answer = client.post("/v1/tag", json={"documents": [{"id": "d", "text": TEXT}]}).json()
    for format, part in (
        ("pubtator", b"d\t0\t4\tAnna\tName"),
        ("bioc", b"Anna"),
        ("csv", b"d,0,4,Name,Anna,0.4,"),
    ):
        found = client.post("/v1/convert", json={"documents": answer["documents"], "format": format})
        assert found.status_code == 200 and part in found.content
    found = client.post("/v1/convert", json={"documents": answer["documents"], "format": "json"}).json()
    assert found["documents"] == answer["documents"]
    wrong = {"id": "d", "text": "Ada", "spans": [{"start": 1, "end": 9, "type": "Name"}]}
    answer = client.post("/v1/convert", json={"documents": [wrong], "format": "csv"})
    assert answer.status_code == 422 and "lies outside the text" in answer.json()["error"]["message"]


def test_what_the_server_says_of_itself(serve):
    running = serve()
    client = running.client
    (model,) = client.get("/v1/models").json()["models"]
    assert model == {
        "name": "words:x",
        "types": ["Name", "Number"],
        "listed": [],
        "datasets": {"news": ["Name"]},
        "max_words": None,
        "allow_new_types": False,
        "links": False,
    }
    assert client.get("/healthz").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready"}
    page = client.get("/")
    assert page.status_code == 200 and page.headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    running.tag("Ada", "Bob")
    metrics = client.get("/metrics")
    assert metrics.headers["Content-Type"] == CONTENT_TYPE
    for line in (
        'vaner_requests_total{route="/v1/tag",status="200"} 1.0',
        "vaner_documents_total 2.0",
        "vaner_characters_total 6.0",
        "vaner_spans_total 2.0",
        "vaner_open_requests 0.0",
        "vaner_ready 1.0",
    ):
        assert line in metrics.text.splitlines()


def test_the_description_is_complete(serve):
    found = serve().client.get("/openapi.json").json()
    assert set(found["paths"]) == {
        "/v1/tag",
        "/v1/tag/file",
        "/v1/tag/stream",
        "/v1/convert",
        "/v1/models",
        "/healthz",
        "/readyz",
        "/metrics",
    }
    schemas = found["components"]["schemas"]
    refs = set()

    def walk(value):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            if key == "$ref":
                refs.add(inner.rpartition("/")[2])
            elif isinstance(inner, dict | list):
                walk(inner)

    walk(found)
    assert refs <= set(schemas) and {"TagRequest", "ConvertRequest", "Answer", "Error"} <= refs
    names = {one["name"] for one in found["paths"]["/v1/tag/file"]["post"]["parameters"]}
    assert names == {"types", "dataset", "min_score", "link", "filename", "format"}
