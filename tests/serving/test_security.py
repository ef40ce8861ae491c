"""In: whatever a stranger may send. Out: an answer, always; nothing crashes, leaks, leaves its folder or grows."""

import gzip
import json
import os
import resource
import string
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.serving.conftest import eventually
from tests.serving.raw import exchanged, request
from vaner.serving.errors import RequestError
from vaner.serving.schemas import ConvertRequest, TagRequest, parse
from vaner.serving.uploads import plain

FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

names = st.sampled_from(
    [
        "text",
        "texts",
        "documents",
        "types",
        "dataset",
        "min_score",
        "link",
        "format",
        "id",
        "spans",
        "start",
        "end",
        "type",
    ]
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["Name", "csv", "bioc", "news"])
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(names | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=15,
)
spans = st.fixed_dictionaries(
    {"start": st.integers(0, 12), "end": st.integers(0, 12), "type": st.text(max_size=8)},
    optional={"score": st.floats(), "text": st.text(max_size=4)},
)
document = st.fixed_dictionaries(
    {"id": st.text(max_size=12), "text": st.text(max_size=12)},
    optional={"spans": st.lists(spans, max_size=3)},
)
formats = st.sampled_from(["json", "pubtator", "bioc", "csv"])


def sent(running, path, value):
    body = json.dumps(value).encode()
    return running.client.post(path, content=body, headers={"Content-Type": "application/json"})


def is_well(running, answer):
    """An answer or a refusal with one line, and a server that has nothing left of it."""
    assert answer.status_code in (200, 400, 413, 415, 422), answer.text
    if answer.status_code != 200:
        error = answer.json()["error"]
        assert error["code"] and error["message"].isprintable() or "\n" not in error["message"]
        assert "Traceback" not in error["message"] and tempfile.gettempdir() not in error["message"]
    eventually(lambda: running.desk.open == 0 and running.desk.memory.held == 0)


@FEW
@given(value=values)
def test_any_json(serve, value):
    running = _started(serve)
    is_well(running, sent(running, "/v1/tag", value))
    is_well(running, sent(running, "/v1/convert", value))


@FEW
@given(documents=st.lists(document, max_size=3), format=formats)
def test_any_documents_in_any_format(serve, documents, format):
    running = _started(serve)
    is_well(running, sent(running, "/v1/convert", {"documents": documents, "format": format}))
    plain = [{"id": one["id"], "text": one["text"]} for one in documents]
    answer = sent(running, "/v1/tag", {"documents": plain, "format": format})
    is_well(running, answer)
    if answer.status_code == 200 and format == "json":
        assert [one["text"] for one in answer.json()["documents"]] == [one["text"] for one in plain]


starts = st.sampled_from(
    [
        b"",
        b"1|t|Ada\n1|a|b\n",
        b"<collection>",
        b"<article>",
        b"<PubmedArticleSet>",
        b'{"text": "',
        b"[",
        b"PMID- 1\n",
        b"id,text\n",
        b"\x1f\x8b",
        b"PK\x03\x04",
        b"a O\nb O\nc B-X\n",
        b"\xef\xbb\xbf",
    ]
)
endings = st.sampled_from(
    "txt pubtator xml json jsonl nbib csv conll tsv gz zip parquet arrow ann html feather".split() + [""]
)


@FEW
@given(start=starts, rest=st.binary(max_size=60), ending=endings, packed=st.booleans(), format=formats)
def test_any_file(serve, start, rest, ending, packed, format):
    running = _started(serve)
    content = gzip.compress(start + rest) if packed else start + rest
    query = {"filename": f"a.{ending}", "format": format}
    is_well(running, running.client.post("/v1/tag/file", params=query, content=content))


@FEW
@given(name=st.text(max_size=40) | st.text(alphabet='./\\\r\n\0";%$', max_size=30))
def test_any_file_name(serve, name):
    running = _started(serve)
    kept = plain(name)
    assert set(kept) <= set(string.ascii_letters + string.digits + "._-") and not kept.startswith(".")
    assert len(kept) <= 101
    answer = running.client.post(
        "/v1/tag/file", params={"filename": name, "format": "csv"}, content=b"Ada met Bob"
    )
    is_well(running, answer)
    if answer.status_code == 200:
        told = answer.headers["Content-Disposition"]
        assert told.count('"') == 2 and len(told.splitlines()) == 1
        assert set(answer.headers) >= {"content-type", "x-content-type-options"}


@FEW
@given(lines=st.binary(max_size=200) | st.lists(values.map(lambda v: json.dumps(v).encode())).map(b"\n".join))
def test_any_stream(serve, lines):
    running = _started(serve)
    answer = running.client.post(
        "/v1/tag/stream", content=lines, headers={"Content-Type": "application/x-ndjson"}
    )
    assert answer.status_code == 200
    assert len(answer.text.splitlines()) == sum(bool(line.strip()) for line in lines.split(b"\n"))
    for one in answer.text.splitlines():
        assert "spans" in json.loads(one) or "error" in json.loads(one)


@FEW
@given(noise=st.binary(max_size=300))
def test_any_bytes(serve, noise):
    running = _started(serve)
    exchanged(running.port, noise, b"\r\n\r\n", half_closed=True)
    assert running.client.get("/healthz").status_code == 200


_STARTED = {}


def _started(serve):
    """One server for all examples of a test."""
    if _STARTED.get("of") is not serve:
        _STARTED.update(of=serve, running=serve(max_body=20_000))
    return _STARTED["running"]


@pytest.mark.parametrize(
    "name", ["../../../../outside", "/outside", "..\\outside", "a/../../outside", "%2e%2e/outside"]
)
def test_a_name_leads_nowhere(serve, tmp_path, monkeypatch, name):
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(inside))
    (tmp_path / "outside").write_text("Secret")
    answer = serve().client.post("/v1/tag/file", params={"filename": name}, content=b"Ada met Bob")
    assert "Secret" not in answer.text
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a", "b", "outside"]
    assert (tmp_path / "outside").read_text() == "Secret"


def test_references_in_a_file_are_not_followed(serve, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("Secret")
    for body in (
        f'<!DOCTYPE c [<!ENTITY x SYSTEM "file://{secret}">]><collection><source>&x;</source></collection>',
        f'<!DOCTYPE c SYSTEM "file://{secret}"><collection><document><id>1</id></document></collection>',
        '<!DOCTYPE c [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><collection>&b;</collection>',
        '<collection xmlns:xi="http://www.w3.org/2001/XInclude">'
        f'<xi:include href="{secret}" parse="text"/></collection>',
    ):
        answer = serve().client.post("/v1/tag/file", params={"filename": "a.xml"}, content=body.encode())
        assert "Secret" not in answer.text and answer.status_code in (200, 422)


def test_markup_comes_back_as_data(serve):
    client = serve().client
    evil = "<script>alert('Ada')</script>"
    answer = client.post("/v1/tag", json={"documents": [{"id": evil, "text": evil}]})
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json()["documents"][0]["text"] == evil
    for format in ("bioc", "csv", "pubtator"):
        answer = client.post("/v1/tag", json={"documents": [{"id": evil, "text": evil}], "format": format})
        assert not answer.headers["Content-Type"].startswith("text/html")
        assert answer.headers["Content-Disposition"].startswith("attachment")
        if format == "bioc":
            assert b"<script>" not in answer.content
    wrong = client.post("/v1/tag", json={"text": "a", "types": [evil]})
    assert wrong.headers["Content-Type"] == "application/json"


def test_no_header_is_smuggled_in(serve):
    running = serve()
    given = {
        "documents": [{"id": "a\u2028Set-Cookie: x", "text": "Ada\r\nSet-Cookie: y\r\n"}],
        "format": "pubtator",
    }
    answer = running.client.post("/v1/tag", json=given)
    assert "set-cookie" not in answer.headers
    query = "filename=a%0d%0aSet-Cookie:%20x%22%3b.txt&format=csv"
    said = exchanged(running.port, request("POST", f"/v1/tag/file?{query}", body=b"Ada met Bob"))
    head = said.partition(b"\r\n\r\n")[0].lower()
    assert b"\r\nset-cookie" not in head and head.count(b"content-disposition") == 1


DEEP = 100_000


@pytest.mark.parametrize(
    "body",
    [
        b'{"texts": ' + b"[" * DEEP + b"]" * DEEP + b"}",
        b'{"a":' * DEEP + b"1" + b"}" * DEEP,
        b'{"text": ' + b"9" * 1_000_000 + b"}",
        b'{"texts": [' + b"1," * 3_000_000 + b"1]}",
        b'{"texts": [' + b'"",' * 2_500_000 + b'""]}',
        b'{"documents": [' + b"{}," * 2_500_000 + b"{}]}",
        b"{" + b",".join(b'"%x":1' % n for n in range(700_000)) + b"}",
        b'{"text": "a", "types": [' + b'"x",' * 1_900_000 + b'"x"]}',
    ],
    ids=["arrays", "objects", "digits", "numbers", "empty", "blank", "keys", "types"],
)
def test_large_and_nested_json_takes_little_memory(body):
    assert len(body) < 8_000_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for model in (TagRequest, ConvertRequest):
        try:
            found = parse(model, body)
        except RequestError as error:
            assert error.status in (400, 422) and len(error.message) < 1_100
        else:
            assert len(found.texts) == 2_500_001
            del found
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 1_000_000, "KB"


def test_nothing_is_left_in_the_temporary_folder(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    client = serve().client
    for content in (b"Ada", b"", b"\xff", b"<collection>"):
        client.post("/v1/tag/file", params={"filename": "a.xml", "format": "bioc"}, content=content)
    client.post("/v1/tag", json={"text": "Ada\0", "format": "bioc"})
    assert os.listdir(tmp_path) == [] and Path(tmp_path).is_dir()
