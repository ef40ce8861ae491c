"""In: what it shall answer. Out: a server that speaks the interface of `vaner serve`, with the real page."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from vaner.serving.page import page

MODEL = {
    "name": "made-up",
    "types": ["Disease", "Chemical", "Gene"],
    "datasets": {"bc5cdr": ["Chemical", "Disease"], "bc2gm": ["Gene"]},
    "max_words": 128,
    "allow_new_types": False,
    "links": True,
}


def span(text: str, start: int, end: int, type: str = "Disease", **more: Any) -> dict[str, Any]:
    """A span as the server writes it; offsets are code points."""
    made = {"start": start, "end": end, "type": type, "text": text[start:end], "score": 0.9, "concepts": []}
    return made | more


class FakeServer:
    """Answers with ``documents``, or ``refusal``; keeps what it was asked in ``asked``.

    Attributes:
        documents: what /v1/tag and /v1/tag/file answer.
        refusal: ``(status, headers, body)`` for all but the page, while it is set.
        key: asked for where it is not empty.
        wait: requests to tag wait for it.
        asked: ``(path, query, headers, body)`` of every request.
        files: what /v1/convert answered, by format.
    """

    def __init__(self) -> None:
        self.model: dict[str, Any] = dict(MODEL)
        self.documents: list[dict[str, Any]] = []
        self.remarks: list[str] = []
        self.refusal: tuple[int, dict[str, str], str] | None = None
        self.key = ""
        self.wait = threading.Event()
        self.wait.set()
        self.asked: list[tuple[str, dict[str, list[str]], dict[str, str], bytes]] = []
        self.files: dict[str, bytes] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def close(self) -> None:
        self.wait.set()
        self._server.shutdown()
        self._server.server_close()

    def tag_requests(self) -> list[Any]:
        """The JSON that came to /v1/tag."""
        return [json.loads(body) for path, _, _, body in self.asked if path == "/v1/tag"]

    def answer(self, path: str, body: bytes) -> tuple[dict[str, str], bytes]:
        if path == "/v1/models":
            return {}, json.dumps({"models": [self.model]}).encode()
        if path in ("/v1/tag", "/v1/tag/file"):
            self.wait.wait(30)
            answer = {"model": self.model["name"], "documents": self.documents, "remarks": self.remarks}
            return {}, json.dumps(answer).encode()
        asked = json.loads(body)
        made = f"{asked['format']}\n{json.dumps(asked['documents'])}\n".encode()
        self.files[asked["format"]] = made
        name = f"tagged.{asked['format']}"
        return {
            "Content-Type": "application/octet-stream",
            "Content-Disposition": f'attachment; filename="{name}"',
        }, made

    def _handler(fake) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def respond(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                address = urlsplit(self.path)
                fake.asked.append((address.path, parse_qs(address.query), dict(self.headers), body))
                if address.path == "/":
                    content, headers = page()
                    return self.send(200, headers, content)
                if fake.refusal:
                    status, headers, said = fake.refusal
                    return self.send(status, headers, said.encode())
                if fake.key and self.headers.get("Authorization") != f"Bearer {fake.key}":
                    error = {"error": {"code": "unauthorized", "message": "send the key"}}
                    return self.send(401, {}, json.dumps(error).encode())
                if not address.path.startswith("/v1/"):
                    return self.send(404, {}, b"")
                self.send(200, *fake.answer(address.path, body))

            do_GET = do_POST = respond

            def send(self, status: int, headers: dict[str, str], content: bytes) -> None:
                try:
                    self.send_response(status)
                    for name, value in ({"Content-Type": "application/json"} | headers).items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # the page stopped waiting

            def log_message(self, *_: object) -> None: ...

        return Handler
