"""In: the application's routes, the models of requests. Out: their description at /openapi.json."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from vaner.serving.errors import STATUS
from vaner.serving.schemas import (
    ConceptGiven,
    ConvertRequest,
    DocumentGiven,
    FileQuery,
    StreamedText,
    TagRequest,
    WhatToTag,
)

_REF = "#/components/schemas/{model}"
_BODIES: dict[str, tuple[str, type[BaseModel] | None]] = {
    "/v1/tag": ("application/json", TagRequest),
    "/v1/tag/file": ("application/octet-stream", None),
    "/v1/tag/stream": ("application/x-ndjson", StreamedText),
    "/v1/convert": ("application/json", ConvertRequest),
}
_QUERIES: dict[str, type[BaseModel]] = {"/v1/tag/file": FileQuery, "/v1/tag/stream": WhatToTag}
_FILES = ("/v1/tag", "/v1/tag/file", "/v1/convert")
_OPEN = ("/healthz", "/readyz")


class Answer(BaseModel):
    """What tagging answers as JSON."""

    model: str
    documents: list[DocumentGiven]
    remarks: list[str]


class Trouble(BaseModel):
    """What was wrong, in one line that says what to do."""

    code: str
    message: str


class Error(BaseModel):
    """The answer where there is none."""

    error: Trouble


def describe(app: FastAPI, *, key: bool) -> None:
    """Let an application describe what its routes read themselves.

    Args:
        app: with its routes.
        key: whether it wants one.
    """

    def made() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _described(app, key)
        return app.openapi_schema

    app.openapi = made  # type: ignore[method-assign]


def _described(app: FastAPI, key: bool) -> dict[str, Any]:
    found = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
    models: list[type[BaseModel]] = [
        TagRequest,
        ConvertRequest,
        StreamedText,
        FileQuery,
        WhatToTag,
        ConceptGiven,
        Answer,
        Error,
    ]
    _, schemas = models_json_schema([(one, "validation") for one in models], ref_template=_REF)
    components = found.setdefault("components", {})
    components["schemas"] = schemas["$defs"]
    if key:
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path, methods in found["paths"].items():
        for operation in methods.values():
            _complete(path, operation, schemas["$defs"])
            if key and path not in _OPEN:
                operation["security"] = [{"key": []}]
    return found


def _complete(path: str, operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """What a route reads and answers."""
    if path in _BODIES:
        content_type, model = _BODIES[path]
        schema = (
            {"type": "string", "format": "binary"}
            if model is None
            else {"$ref": _REF.format(model=model.__name__)}
        )
        operation["requestBody"] = {"required": True, "content": {content_type: {"schema": schema}}}
        errors = {status: code for code, status in STATUS.items()}
        for status in sorted(errors):
            content = {"application/json": {"schema": {"$ref": _REF.format(model="Error")}}}
            operation["responses"][str(status)] = {"description": errors[status], "content": content}
    if path in _QUERIES:
        properties = schemas[_QUERIES[path].__name__]["properties"]
        operation["parameters"] = [
            {"name": name, "in": "query", "schema": schema} for name, schema in properties.items()
        ]
    if path in _FILES:
        files = {
            kind: {"schema": {"type": "string"}} for kind in ("text/plain", "application/xml", "text/csv")
        }
        answer = {"application/json": {"schema": {"$ref": _REF.format(model="Answer")}}}
        operation["responses"]["200"] = {"description": "The answer.", "content": answer | files}
