"""In: requests and an OpenAIBackend. Out: answers of the Batch API: a file is sent, waited for, and read.

The id of the batch that a request lies in is kept in the backend's notes until its answer was taken, so that a run that
was interrupted waits for the same batch and pays nothing twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from vaner.prompting.backends import completions
from vaner.prompting.request import Answer, Failure, Request, Unavailable

if TYPE_CHECKING:
    from openai import OpenAI

# What the service takes in one file.
MOST_REQUESTS = 50_000
MOST_BYTES = 100_000_000
_NOTE = "batch of "
_ENDED = ("completed", "failed", "expired", "cancelled")


class Served(Protocol):
    """What is wanted here of an `OpenAIBackend`."""

    notes: MutableMapping[str, str]
    poll_seconds: float

    @property
    def identity(self) -> Mapping[str, str]: ...

    def client(self) -> OpenAI: ...

    def body(self, request: Request) -> dict[str, Any]: ...

    def outcome(self, error: Exception) -> Answer | Failure | Unavailable: ...

    def failure(self, why: str) -> Failure: ...

    def without_key(self, text: str) -> str: ...


def batched(backend: Served, requests: Sequence[Request]) -> Iterator[tuple[int, Answer | Failure]]:
    """As `Backend.answers`.

    Raises:
        Unavailable: nobody answers, or the key is refused; batches under way stay noted.
    """
    client = backend.client()
    identity = backend.identity
    places: dict[str, list[int]] = {}
    for number, request in enumerate(requests):
        places.setdefault(request.key(identity), []).append(number)
    notes = dict(backend.notes)
    under_way: dict[str, list[str]] = {}
    new: list[str] = []
    for key in places:
        if (batch := notes.get(_NOTE + key)) is not None:
            under_way.setdefault(batch, []).append(key)
        else:
            new.append(key)
    # Only requests for one address may share a file.
    for chat in (True, False):
        keys = [key for key in new if requests[places[key][0]].chat is chat]
        for some, content in _files(backend, keys, {key: requests[places[key][0]] for key in keys}):
            outcome = _start(backend, client, some, content, completions.CHAT if chat else completions.PLAIN)
            if isinstance(outcome, str):
                under_way[outcome] = some
            else:
                for key in some:
                    yield from ((number, outcome) for number in places[key])
    begun = time.monotonic()
    while under_way:
        for batch in list(under_way):
            came = _results(backend, client, batch, under_way[batch])
            if came is None:
                continue
            share = (time.monotonic() - begun) / max(1, len(under_way[batch]))
            for key in under_way.pop(batch):
                for number in places[key]:
                    yield number, _outcome(backend, came.get(key), requests[number], share)
                backend.notes.pop(_NOTE + key, None)
        if under_way:
            time.sleep(backend.poll_seconds)


def _files(
    backend: Served, keys: Sequence[str], requests: Mapping[str, Request]
) -> Iterator[tuple[list[str], bytes]]:
    """Keys and the file of their requests, as few files as the service's limits allow."""
    some: list[str] = []
    lines: list[bytes] = []
    size = 0
    for key in keys:
        request = requests[key]
        url = "/v1" + completions.path(request)
        line = {"custom_id": key, "method": "POST", "url": url, "body": backend.body(request)}
        written = json.dumps(line).encode() + b"\n"
        if some and (len(some) == MOST_REQUESTS or size + len(written) > MOST_BYTES):
            yield some, b"".join(lines)
            some, lines, size = [], [], 0
        some.append(key)
        lines.append(written)
        size += len(written)
    if some:
        yield some, b"".join(lines)


def _start(
    backend: Served, client: OpenAI, keys: Sequence[str], content: bytes, path: str
) -> str | Answer | Failure:
    """The id of a new batch, which is noted; or why there is none."""
    try:
        file = client.files.create(file=("requests.jsonl", content), purpose="batch")
        endpoint: Any = "/v1" + path
        batch = client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h")
    except Exception as error:  # of one file; the next may be taken
        return _raised(backend.outcome(error))
    backend.notes.update({_NOTE + key: batch.id for key in keys})
    return batch.id


def _results(backend: Served, client: OpenAI, batch_id: str, keys: Sequence[str]) -> dict[str, Any] | None:
    """A line of the results a key; None while the batch is under way."""
    import openai

    try:
        batch = client.batches.retrieve(batch_id)
        if batch.status not in _ENDED:
            return None
        lines: dict[str, Any] = {}
        for file in (batch.output_file_id, batch.error_file_id):
            if file is not None:
                for line in backend.without_key(client.files.content(file).text).split("\n"):
                    if line.strip():
                        read = json.loads(line)
                        lines[read["custom_id"]] = read
    except openai.NotFoundError:  # it was deleted, or its file was
        return {key: {"error": {"message": f"the server has no batch {batch_id} any more"}} for key in keys}
    except Exception as error:
        raise _waits(backend, batch_id, error) from None
    reasons = [entry.message for entry in (batch.errors.data if batch.errors and batch.errors.data else ())]
    said = "; ".join(reason for reason in reasons[:1] if reason) or "no line of it in the results"
    return {
        key: lines.get(key, {"error": {"message": f"the batch is {batch.status}: {said}"}}) for key in keys
    }


def _outcome(backend: Served, line: Any, request: Request, seconds: float) -> Answer | Failure:
    response = line.get("response") or {}
    came = response.get("body")
    if response.get("status_code") == 200:
        return completions.answer(came, request, seconds)
    error = line.get("error") or (came.get("error") if isinstance(came, Mapping) else came) or {}
    if isinstance(error, Mapping):
        if (refused := completions.refusal(error.get("code"))) is not None:
            return refused
        error = error.get("message") or error
    return backend.failure(f"batch: {completions.shown(error)}")


def _waits(backend: Served, batch_id: str, error: Exception) -> Unavailable:
    """That a batch, which stays noted, cannot be asked for now."""
    outcome = backend.outcome(error)
    why = outcome if isinstance(outcome, Unavailable) else getattr(outcome, "why", "refused")
    return Unavailable(f"batch {batch_id}: {why}; run again to go on with it")


def _raised(outcome: Answer | Failure | Unavailable) -> Answer | Failure:
    if isinstance(outcome, Unavailable):
        raise outcome
    return outcome
