"""In: requests of strangers: other names, other sites, no key, odd bytes. Out: refusals; and a log without any text."""

import logging

import pytest

from tests.serving.conftest import eventually
from tests.serving.raw import exchanged, request
from vaner.errors import VanerError
from vaner.serving.guard import has_key
from vaner.serving.settings import ServerSettings, is_loopback

KEY = "a-key-of-at-least-16-characters"
BODY = b'{"text": "Secret Ada"}'


def status(port, *headers, path="/v1/tag", method="POST", body=BODY):
    said = exchanged(port, request(method, path, "Content-Type: application/json", *headers, body=body))
    return int(said.split(b" ", 2)[1])


def test_a_name_made_to_lead_here_is_refused(serve):
    port = serve().port
    for host in ("localhost", f"localhost:{port}", "127.0.0.1:80", "[::1]:8000", "LOCALHOST", "10.1.2.3"):
        assert status(port, f"Host: {host}") == 200, host
    for host in (
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:80",
        "a:b",
        "localhost:80:80",
        "@",
    ):
        assert status(port, f"Host: {host}") == 403, host
        assert status(port, f"Host: {host}", path="/v1/models", method="GET", body=None) == 403
    assert status(serve(allowed_hosts=("tagger.lan",)).port, "Host: Tagger.lan:8000") == 200


def test_pages_of_other_sites_may_not_post(serve):
    port = serve().port
    host = f"Host: localhost:{port}"
    assert status(port, host, f"Origin: http://localhost:{port}", "Sec-Fetch-Site: same-origin") == 200
    for origin in (
        "http://evil.example",
        "null",
        "http://localhost:1",
        f"file://localhost:{port}",
        "http://[",
        "",
    ):
        assert status(port, host, f"Origin: {origin}") == 403, origin
    assert status(port, host, "Sec-Fetch-Site: cross-site") == 403
    assert status(port, host, "Sec-Fetch-Site: same-site") == 403
    answer = exchanged(port, request("OPTIONS", "/v1/tag", host, "Origin: http://evil.example"))
    assert b"access-control-allow" not in answer.lower()


def test_a_key_is_wanted_where_there_is_one(serve):
    port = serve(key=KEY).port
    assert status(port) == 401
    for wrong in (f"Bearer {KEY}x", f"Basic {KEY}", "Bearer ", KEY, f"Bearer {KEY[:-1]}", "Bearer \xe9\xff"):
        assert status(port, f"Authorization: {wrong}") == 401, wrong
    assert status(port, f"Authorization: Bearer {KEY}") == 200
    assert status(port, f"authorization: bearer  {KEY}", "Host: any.example") == 200
    for path, found in (
        ("/metrics", 401),
        ("/v1/models", 401),
        ("/v1x", 401),
        ("/", 200),
        ("/healthz", 200),
        ("/readyz", 200),
    ):
        assert status(port, path=path, method="GET", body=None) == found, path
    # However the address is written, the key is wanted or there is nothing.
    for path in ("/v1/tag/", "//v1/tag", "/%76%31/tag", "/v1/../v1/tag", "/V1/tag", "/./v1/tag"):
        assert status(port, path=path) in (401, 404, 405), path


def test_keys_are_compared_whole():
    assert has_key(f"Bearer {KEY}", KEY) and not has_key("", KEY) and not has_key("Bearer", KEY)


def test_listening_openly_needs_a_key_or_the_word():
    for host in ("127.0.0.1", "::1", "localhost", "127.8.8.8"):
        assert is_loopback(host)
        ServerSettings(host=host).check()
    for host in ("0.0.0.0", "::", "192.168.1.1"):
        assert not is_loopback(host)
        with pytest.raises(VanerError, match="VANER_API_KEY"):
            ServerSettings(host=host).check()
        ServerSettings(host=host, key=KEY).check()
        ServerSettings(host=host, no_key=True).check()
    for wrong in (
        {"key": "short"},
        {"key": "with a space in it, and long"},
        {"port": 70_000},
        {"max_body": 0},
        {"timeout": -1},
        {"host": "no.such.name.invalid"},
    ):
        with pytest.raises(VanerError):
            ServerSettings(**wrong).check()


def test_the_log_has_no_text(serve, caplog):
    running = serve()
    caplog.set_level(logging.DEBUG)
    logging.getLogger("vaner.serving").propagate = True
    running.tag("Secret Ada", "POISON Secret")
    running.client.post("/v1/tag", json={"text": "Secret", "types": ["Secret"]})
    running.client.post("/v1/tag/file", params={"filename": "Secret.txt"}, content=b"Secret Bob")
    running.client.get("/Secret?Secret=Secret")
    exchanged(running.port, request("Secret", "/Secret", body=b"Secret"))
    ours = [one for one in caplog.records if one.name.startswith(("vaner", "uvicorn"))]
    said = "\n".join(one.getMessage() + str(one.exc_info or "") for one in ours)
    assert "Secret" not in said
    assert "POST /v1/tag 500" in said and "POST /v1/tag/file 200" in said and "other other" in said


def test_a_failure_of_the_server_says_where_and_not_what(serve, caplog, monkeypatch):
    running = serve()
    monkeypatch.setattr(
        running.desk.tagger, "finish", lambda *given: (_ for _ in ()).throw(KeyError("Secret"))
    )
    logging.getLogger("vaner.serving").propagate = True
    answer = running.tag("Secret")
    assert answer.status_code == 500 and answer.json()["error"]["code"] == "internal"
    eventually(lambda: any("KeyError in" in one.getMessage() for one in caplog.records))
    assert not any("Secret" in one.getMessage() for one in caplog.records if one.name.startswith("vaner"))
    eventually(lambda: running.desk.open == 0)


def test_answers_have_headers_that_browsers_heed(serve):
    running = serve()
    for answer in (
        running.tag("Ada"),
        running.client.get("/nothing"),
        running.client.get("/"),
        running.client.get("/metrics"),
    ):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert "frame-ancestors" in answer.headers["Content-Security-Policy"]
        assert "server" not in answer.headers and "access-control-allow-origin" not in answer.headers
