"""In: a Desk. Out: the ASGI application: every route, what it takes and what it answers."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

import vaner
from vaner.document import Document
from vaner.serving import downloads, uploads
from vaner.serving.bodies import ClientGone, Share, unpacked, whole
from vaner.serving.desk import Desk
from vaner.serving.errors import RequestError
from vaner.serving.guard import GONE, Guard
from vaner.serving.metrics import CONTENT_TYPE
from vaner.serving.openapi import describe
from vaner.serving.page import page
from vaner.serving.schemas import (
    ConvertRequest,
    FileQuery,
    TagRequest,
    WhatToTag,
    check_texts,
    parse,
    query,
)
from vaner.serving.streaming import StreamAnswer, Streams

_JSON = ("application/json",)
_JSON_LINES = ("application/x-ndjson", "application/jsonl", "application/jsonlines", "application/json")
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


def create_app(desk: Desk) -> Guard:
    """The application of a desk; it closes the desk's threads when it ends."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        desk.stop()
        desk.close()

    # The pages that FastAPI shows its documentation on load their scripts from elsewhere.
    app = FastAPI(
        title="VANER",
        version=vaner.__version__,
        summary="Tags biomedical entities in text.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    _errors(app)
    _tagging(app, desk)
    _about(app, desk)
    describe(app, key=desk.settings.key is not None)
    return Guard(app, desk)


def _tagging(app: FastAPI, desk: Desk) -> None:
    settings = desk.settings
    streams = Streams()

    @app.post("/v1/tag", summary="Tag one text or several.")
    async def tag(request: Request) -> Response:
        _check_type(request, _JSON)
        with desk.admitted() as share:
            asked, documents = await desk.parsed(_to_tag, await _body(request, share))
            _check(documents)
            tagged, remarks = await desk.tag(documents, asked.wish(), request.receive)
            return await _answer(tagged, remarks, asked.format, "tagged")

    @app.post("/v1/tag/file", summary="Tag the documents of a file.")
    async def tag_file(request: Request) -> Response:
        _check_no_form(request)
        asked = query(FileQuery, request.query_params.multi_items())
        desk.asked(asked.wish())
        with desk.admitted() as share:
            body = await _body(request, share)
            documents, notes = await desk.read(partial(_from_file, asked.filename, body))
            _check(documents)
            tagged, remarks = await desk.tag(documents, asked.wish(), request.receive)
            name = Path(uploads.plain(asked.filename)).stem
            return await _answer(tagged, [*notes, *remarks], asked.format, f"{name}.tagged")

    @app.post("/v1/tag/stream", summary="Tag JSON Lines of any length.")
    async def tag_stream(request: Request) -> Response:
        _check_type(request, _JSON_LINES)
        wish = query(WhatToTag, request.query_params.multi_items()).wish()
        return StreamAnswer(desk, streams, wish, desk.asked(wish))

    @app.post("/v1/convert", summary="Write documents of an answer as a file.")
    async def convert(request: Request) -> Response:
        _check_type(request, _JSON)
        with desk.admitted() as share:
            format, documents = await desk.parsed(_to_convert, await _body(request, share))
            _check(documents)
            return await _answer(documents, [], format, "tagged")

    async def _body(request: Request, share: Share) -> bytes:
        length = request.headers.get("content-length")
        return await whole(request.receive, length, settings.max_body, settings.timeout, share)

    def _from_file(name: str, body: bytes) -> tuple[list[Document], list[str]]:
        content = unpacked(body, settings.max_body)
        to_tag = desk.tagger.settings.replaces
        return uploads.documents(name, content, to_tag=to_tag, most=settings.max_documents)

    def _check(documents: list[Document]) -> None:
        if len(documents) > settings.max_documents:
            raise RequestError(
                "too_large",
                f"{len(documents):,} texts are sent and {settings.max_documents:,} are allowed; send them in parts, by "
                "/v1/tag/stream, or start the server with a larger --max_documents",
            )
        check_texts(documents, settings.max_text)

    async def _answer(documents: list[Document], remarks: list[str], format: str, name: str) -> Response:
        model = desk.tagger.name
        if format == "json":
            return Response(downloads.answer(model, documents, remarks), media_type="application/json")
        found = await desk.read(partial(downloads.file, model, documents, remarks, format, name))
        return Response(found.content, headers=found.headers)


def _to_tag(body: bytes) -> tuple[TagRequest, list[Document]]:
    asked = parse(TagRequest, body)
    return asked, asked.to_documents()


def _to_convert(body: bytes) -> tuple[str, list[Document]]:
    given = parse(ConvertRequest, body)
    return given.format, [one.to_document() for one in given.documents]


def _about(app: FastAPI, desk: Desk) -> None:
    @app.get("/", include_in_schema=False)
    async def root() -> Response:
        content, headers = page()
        return Response(content, headers=dict(headers))

    @app.get("/v1/models", summary="What is served, and which types and datasets it knows.")
    async def models() -> Response:
        tagger = desk.tagger.together
        model = {
            "name": desk.tagger.name,
            "types": list(tagger.types),
            "listed": list(getattr(tagger, "listed", ())),
            "datasets": {name: list(types) for name, types in tagger.datasets.items()},
            "max_words": tagger.max_words,
            "allow_new_types": tagger.allow_new_types,
            "links": desk.tagger.linker is not None,
        }
        return _json({"models": [model]})

    @app.get("/healthz", summary="Whether the process answers.")
    async def healthz() -> Response:
        return _json({"status": "alive"})

    @app.get("/readyz", summary="Whether new requests are taken.")
    async def readyz() -> Response:
        if desk.stopping:
            raise RequestError("stopping", "the server stops; ask another")
        return _json({"status": "ready"})

    @app.get("/metrics", summary="Numbers, as Prometheus reads them.")
    async def metrics() -> Response:
        return Response(desk.metrics.page(), headers={"Content-Type": CONTENT_TYPE})


def _errors(app: FastAPI) -> None:
    @app.exception_handler(RequestError)
    async def refused(request: Request, error: RequestError) -> Response:
        headers = {"Content-Type": "application/json", **error.headers}
        return Response(error.body(), error.status, headers)

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> Response:
        if error.status_code == 405:
            allowed = (error.headers or {}).get("Allow", "another method")
            return await refused(request, RequestError("wrong_method", f"this address takes {allowed}"))
        return await refused(request, RequestError("not_found", "no such address; /openapi.json lists them"))

    @app.exception_handler(ClientGone)
    async def gone(request: Request, error: ClientGone) -> Response:
        return Response(status_code=GONE)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        return await refused(request, RequestError("internal", "the server failed; its log says where"))


def _check_type(request: Request, allowed: tuple[str, ...]) -> None:
    """A page of another site may send forms and plain text without asking, so nothing but JSON is read."""
    if _type(request) not in allowed:
        raise RequestError("wrong_content_type", f"send the header Content-Type: {allowed[0]}")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise RequestError("wrong_content_type", "the body is packed; send it plain")


def _check_no_form(request: Request) -> None:
    if _type(request) in _FORMS:
        raise RequestError("wrong_content_type", "send the file's bytes themselves as the body, not a form")


def _type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _json(value: object) -> Response:
    return Response(json.dumps(value, ensure_ascii=False), media_type="application/json")
