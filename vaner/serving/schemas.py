"""In: the JSON of a request. Out: what it asks, checked; one line about the first thing that is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from vaner.document import Concept, Document, Passage, Span
from vaner.errors import OffsetError, near
from vaner.serving.errors import RequestError
from vaner.serving.shared import Wish

Format = Literal["json", "pubtator", "bioc", "csv"]
_MOST_TYPES = 200
_LONGEST_NAME = 200
_LARGEST = 2**53


def _printable(name: str) -> str:
    if not name.isprintable() or not name.strip():
        raise ValueError("has a control character or none that can be seen; write it in plain characters")
    return name


Name = Annotated[str, Field(min_length=1, max_length=_LONGEST_NAME), AfterValidator(_printable)]
Types = Annotated[list[Name], Field(min_length=1, max_length=_MOST_TYPES, fail_fast=True)]
Id = Annotated[int, Field(ge=-_LARGEST, le=_LARGEST)] | Name
Score = Annotated[float, Field(ge=0, le=1)]
Offset = Annotated[int, Field(ge=0, le=_LARGEST)]


class _Checked(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _known(cls, given: Any) -> Any:
        """Stop at the first unknown key: pydantic would collect an error for each of a million."""
        for key in given if isinstance(given, dict) else ():
            if key not in cls.model_fields:
                hint = (
                    near(str(key)[:_LONGEST_NAME], cls.model_fields)
                    or f"known: {', '.join(cls.model_fields)}"
                )
                raise PydanticCustomError(
                    "unknown", f"{str(key)[:_LONGEST_NAME]}: is unknown ({hint}); leave it out"
                )
        return given


class TextToTag(_Checked):
    """One text, and what it is called; a number where it has no name."""

    text: str
    id: Id | None = None


class WhatToTag(_Checked):
    """What is looked for; what is left out is as the server was started."""

    types: Types | None = None
    dataset: Name | None = None
    min_score: Score | None = None
    link: bool | None = None

    def wish(self) -> Wish:
        """The same for `vaner.serving.shared`."""
        return Wish(
            None if self.types is None else tuple(dict.fromkeys(self.types)),
            self.dataset,
            self.min_score,
            self.link,
        )


class TagRequest(WhatToTag):
    """``POST /v1/tag``: one of text, texts and documents."""

    text: str | None = None
    texts: Annotated[list[str], Field(fail_fast=True)] | None = None
    documents: Annotated[list[TextToTag], Field(fail_fast=True)] | None = None
    format: Format = "json"

    def to_documents(self) -> list[Document]:
        """Its texts; without an id of its own one is called by its number, from 0."""
        given = [one for one in (self.text, self.texts, self.documents) if one is not None]
        if len(given) != 1:
            raise RequestError("invalid", "give one of text, texts and documents")
        if self.text is not None:
            return [Document("0", self.text)]
        if self.texts is not None:
            return [Document(str(n), text) for n, text in enumerate(self.texts)]
        return [
            Document(str(n if one.id is None else one.id), one.text)
            for n, one in enumerate(self.documents or ())
        ]


class ConceptGiven(_Checked):
    """A concept id of a span."""

    id: Name
    source: Name | None = None
    score: Score | None = None
    match: Name | None = None


class SpanGiven(_Checked):
    """A span, as answers have it."""

    start: Offset
    end: Offset
    type: Name
    text: str | None = None
    score: Score | None = None
    concepts: Annotated[list[ConceptGiven], Field(fail_fast=True)] = []
    fragments: Annotated[
        list[Annotated[list[Offset], Field(min_length=2, max_length=2)]], Field(fail_fast=True)
    ] = []
    grounded: Name | None = None


class PassageGiven(_Checked):
    """A part of a text, as answers have it."""

    start: Offset
    end: Offset
    kind: Name


class DocumentGiven(_Checked):
    """A document with its spans, as answers have it."""

    id: Id
    text: str
    spans: Annotated[list[SpanGiven], Field(fail_fast=True)] = []
    passages: Annotated[list[PassageGiven], Field(fail_fast=True)] = []
    failed: str | None = None

    def to_document(self) -> Document:
        """The same as a Document.

        Raises:
            RequestError: for offsets that do not select a span's text.
        """
        try:
            return Document(
                str(self.id),
                self.text,
                [
                    Span(
                        one.start,
                        one.end,
                        one.type,
                        self.text[one.start : one.end] if one.text is None else one.text,
                        one.score,
                        tuple(Concept(c.id, c.source, c.score, c.match) for c in one.concepts),
                        tuple((first, last) for first, last in one.fragments),
                        one.grounded,
                    )
                    for one in self.spans
                ],
                [Passage(one.start, one.end, one.kind) for one in self.passages],
            )
        except OffsetError as error:
            raise RequestError("invalid", str(error)) from None


class ConvertRequest(_Checked):
    """``POST /v1/convert``: documents of an answer, to be written as a file."""

    documents: Annotated[list[DocumentGiven], Field(fail_fast=True)]
    format: Format


class FileQuery(WhatToTag):
    """The query of ``POST /v1/tag/file``."""

    filename: Annotated[str, Field(max_length=1000)] = "upload"
    format: Format = "json"


class StreamedText(_Checked):
    """A line of ``POST /v1/tag/stream``."""

    text: str
    id: Id | None = None


M = TypeVar("M", bound=BaseModel)


def parse(model: type[M], body: bytes) -> M:
    """A request's JSON.

    Raises:
        RequestError: ``bad_request`` for what is no JSON, ``invalid`` for what is not as it should be.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise _told(error) from None


def query(model: type[M], items: Iterable[tuple[str, str]]) -> M:
    """What a query string asks; ``types`` may come several times.

    Raises:
        RequestError: ``invalid``.
    """
    given: dict[str, Any] = {}
    for key, value in items:
        if key == "types":
            given.setdefault(key, []).append(value)
        elif key in given:
            raise RequestError("invalid", f"{key}: is said twice; say it once")
        elif value or key == "filename":
            given[key] = value
    try:
        return model.model_validate(given, strict=False)
    except ValidationError as error:
        raise _told(error) from None


def check_texts(documents: Iterable[Document], longest: int) -> None:
    """Refuse ids that come twice and texts that are too long.

    Raises:
        RequestError: naming the document.
    """
    seen: set[str] = set()
    for one in documents:
        if one.id in seen:
            raise RequestError("invalid", f"two documents have the id {one.id!r}; give each its own")
        seen.add(one.id)
        if len(one.text) > longest:
            raise RequestError(
                "too_large",
                f"document {one.id}: its text has {len(one.text):,} characters and {longest:,} are allowed; cut it "
                "into parts, or start the server with a larger --max_text",
            )


def _told(error: ValidationError) -> RequestError:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(
        str(part) for part in first["loc"] if not str(part).startswith(("constrained-", "function-"))
    )
    if first["type"] == "json_invalid":
        return RequestError(
            "bad_request", f"the body is no JSON ({first['msg'].removeprefix('Invalid JSON: ')})"
        )
    if first["type"] == "unknown":
        return RequestError("invalid", ": ".join(filter(None, (where, first["msg"]))))
    message = first["msg"].removeprefix("Value error, ")
    return RequestError("invalid", f"{where or 'the body'}: {message}; correct it")
