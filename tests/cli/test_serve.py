"""In: command-line words, signals. Out: a server's process: what it refuses, how it ends, what 64 clients get of it."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import httpx
import pytest

from tests.conftest import ROOT, SAMPLES
from vaner.cli import main
from vaner.formats import read


def refused(capsys, *words):
    assert main(["serve", "--model", "vaner-minilm", *words]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1
    return said


def test_what_is_refused_before_anything_is_loaded(capsys, monkeypatch):
    monkeypatch.delenv("VANER_API_KEY", raising=False)
    assert "VANER_API_KEY" in refused(capsys, "--host", "0.0.0.0")
    assert "--max_queue is 0" in refused(capsys, "--max_queue", "0")
    assert "cannot be listened on" in refused(capsys, "--host", "192.0.2.1", "--no_key")
    assert "did you mean Disease" in refused(capsys, "--port", "0", "--types", "Diseas")
    monkeypatch.setenv("VANER_API_KEY", "short")
    assert "has 5 characters" in refused(capsys)


def test_a_taken_port_is_said(capsys):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "choose another --port" in refused(capsys, "--port", str(taken.getsockname()[1]))


@pytest.mark.parametrize("missing", ["fastapi", "uvicorn", "prometheus_client"])
def test_the_extra_is_named_where_it_is_not_installed(missing):
    script = f"""
import sys
sys.modules[{missing!r}] = None
from vaner.cli import main
sys.exit(main(["serve"]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr == f"error: serve needs {missing}; pip install 'vaner[serve]'\n"


class Process:
    """A server in a process of its own."""

    def __init__(self, *words, **environment):
        kept = {k: v for k, v in os.environ.items() if k != "VANER_API_KEY"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "vaner", "serve", "--port", "0", *words],
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**kept, "PYTHONPATH": str(ROOT), **environment},
        )
        self.said = []
        for line in self.process.stderr:
            self.said.append(line)
            if found := re.search(r" at (http://\S+)$", line.strip()):
                self.url = found[1]
                break
        else:
            raise AssertionError("".join(self.said))
        self._rest = threading.Thread(target=self.said.extend, args=(self.process.stderr,))
        self._rest.start()

    def client(self, **options):
        return httpx.Client(base_url=self.url, timeout=900, trust_env=False, **options)

    def ended(self):
        status = self.process.wait(300)
        self._rest.join()
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.ended()


@pytest.mark.slow
def test_a_process_that_is_told_to_stop_answers_what_it_took():
    with Process(
        "--model", "vaner-minilm", "--dtype", "float32", "--timeout", "900", "--grace", "900"
    ) as server:
        texts = [one.text for one in read(SAMPLES / "abstracts.pubtator")] * 2
        answers = {}

        def ask(number):
            with server.client() as client:
                answers[number] = client.post("/v1/tag", json={"texts": texts})

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        with server.client() as client:
            until = time.monotonic() + 60
            while "vaner_open_requests 4.0" not in client.get("/metrics").text:
                assert time.monotonic() < until and not answers
            server.process.send_signal(signal.SIGTERM)
            while (ready := client.get("/readyz")).status_code == 200:
                assert time.monotonic() < until
            assert ready.status_code == 503
            assert client.post("/v1/tag", json={"text": "late"}).status_code == 503
        for thread in threads:
            thread.join()
        assert [answers[n].status_code for n in range(4)] == [200] * 4
        assert len({answers[n].content for n in range(4)}) == 1
        assert server.ended() == 0
    said = "".join(server.said)
    assert "Traceback" not in said and not any(text[:30] in said for text in texts)


@pytest.mark.slow
def test_64_clients_get_what_the_tagger_alone_would_say():
    from vaner.tagging.settings import TaggingSettings

    documents = list(read(SAMPLES / "abstracts.pubtator"))
    alone = TaggingSettings(models=("vaner-minilm",), dtype="float32").open().tag_documents(documents)
    expected = {one.id: [span.key for span in one.spans] for one in alone}
    key = "a-key-of-at-least-16-characters"
    words = ("--model", "vaner-minilm", "--dtype", "float32", "--host", "0.0.0.0")
    with Process(*words, VANER_API_KEY=key) as server:
        server.url = server.url.replace("0.0.0.0", "127.0.0.1")
        wrong = []

        def ask(number):
            with server.client(headers={"Authorization": f"Bearer {key}"}) as client:
                for n in range(4):
                    one = documents[(number + n) % len(documents)]
                    given = {"documents": [{"id": one.id, "text": one.text}]}
                    (found,) = client.post("/v1/tag", json=given).json()["documents"]
                    keys = [(s["start"], s["end"], s["type"]) for s in found["spans"]]
                    if keys != expected[one.id]:
                        wrong.append(one.id)

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
        with server.client() as client:
            assert client.get("/metrics").status_code == 401
            metrics = client.get("/metrics", headers={"Authorization": f"Bearer {key}"}).text
        assert "vaner_documents_total 256.0" in metrics
        shared = float(re.search(r"vaner_run_documents_count (\S+)", metrics)[1])
        assert shared < 256
        server.process.send_signal(signal.SIGINT)
        assert server.ended() == 0


@pytest.mark.slow
def test_a_second_signal_ends_at_once():
    with Process("--model", "vaner-minilm", "--dtype", "float32") as server:
        text = json.dumps({"text": "BRCA1 and breast cancer. " * 20_000})

        def ask():
            with server.client() as client, contextlib.suppress(httpx.HTTPError):
                answer = client.post("/v1/tag", content=text, headers={"Content-Type": "application/json"})
                assert answer.status_code >= 500

        thread = threading.Thread(target=ask)
        thread.start()
        with server.client() as client:
            while "vaner_open_requests 1.0" not in client.get("/metrics").text:
                pass
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        server.process.send_signal(signal.SIGTERM)
        assert server.ended() == 1
        thread.join()
