"""In: a backend and a store. Out: the same backend, remembered there; and later one that needs no model.

A request is known by who is asked and by its budget, which a tokenizer counts. So that a run can be replayed where
neither model nor tokenizer are, both are kept beside the answers: who the backend said it is, and what it counted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from vaner.errors import VanerError
from vaner.prompting.request import Abilities, Answer, Backend, Failure, Message, Request
from vaner.prompting.settings import BackendSettings
from vaner.prompting.store import RequestStore

# Counts that wait before they are written.
_TOGETHER = 256
# Options of a backend that its answers depend on.
_DECIDE = ("dtype", "quantization", "revision", "context", "adapter")


def name_of(settings: BackendSettings) -> str:
    """What a backend is remembered under: its kind, its model without where it lies, and what decides its answers."""
    deciding = {k: Path(str(v)).name for k, v in settings.options.items() if k in _DECIDE}
    return json.dumps(["backend", settings.name, Path(settings.model).name, deciding], sort_keys=True)


def _of_text(name: str, text: str) -> str:
    return "tokens " + hashlib.sha256(f"{name}\n{text}".encode("utf-8", "surrogatepass")).hexdigest()


def _of_prompt(name: str, messages: Sequence[Message], chat: bool) -> str:
    return _of_text(name, json.dumps([chat, [asdict(one) for one in messages]]))


class Remembered:
    """A backend that answers as the one inside, and whose identity and counts are kept in a store.

    Args:
        backend: the one inside.
        name: `name_of` its settings.
        store: where.
    """

    def __init__(self, backend: Backend, name: str, store: RequestStore) -> None:
        self.backend, self._name, self._notes = backend, name, store.notes
        self._waiting: dict[str, str] = {}
        said = {
            "identity": dict(backend.identity),
            "context": backend.context,
            "can": asdict(backend.can) | {"grammars": sorted(backend.can.grammars)},
        }
        self._notes[name] = json.dumps(said)

    @property
    def identity(self) -> Mapping[str, str]:
        """Of the backend inside."""
        return self.backend.identity

    @property
    def can(self) -> Abilities:
        """Of the backend inside."""
        return self.backend.can

    @property
    def context(self) -> int | None:
        """Of the backend inside."""
        return self.backend.context

    def count(self, text: str) -> int:
        """Tokens of a text."""
        return self._counted(_of_text(self._name, text), self.backend.count(text))

    def count_prompt(self, messages: Sequence[Message], chat: bool = True) -> int:
        """Tokens of the messages."""
        return self._counted(
            _of_prompt(self._name, messages, chat), self.backend.count_prompt(messages, chat)
        )

    def _counted(self, what: str, tokens: int) -> int:
        self._waiting[what] = str(tokens)
        if len(self._waiting) >= _TOGETHER:
            self._write()
        return tokens

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, {}
        self._notes.update(waiting)

    def answers(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer | Failure]]:
        """Those of the backend inside."""
        # An answer is kept at once: what it takes to ask for it again must be there before.
        self._write()
        return self.backend.answers(requests)

    def close(self) -> None:
        """Write what waits; close the backend inside."""
        self._write()
        self.backend.close()


class Replayed:
    """A backend that was remembered: it says who it was and counts as it did; answers are the store's.

    Args:
        name: `name_of` its settings.
        store: where it was remembered.

    Raises:
        VanerError: it was never asked with this store.
    """

    def __init__(self, name: str, store: RequestStore) -> None:
        self._name, self._notes = name, store.notes
        if name not in self._notes:
            raise VanerError(
                f"{store.path}: {name} was never asked with this store; leave replay out, or name another store"
            )
        said = json.loads(self._notes[name])
        self.identity: Mapping[str, str] = said["identity"]
        self.context: int | None = said["context"]
        self.can = Abilities(**{**said["can"], "grammars": frozenset(said["can"]["grammars"])})

    def count(self, text: str) -> int:
        """As it was counted; 0 for what never was, to which there is no answer either."""
        return int(self._notes.get(_of_text(self._name, text), "0"))

    def count_prompt(self, messages: Sequence[Message], chat: bool = True) -> int:
        """As `count`."""
        return int(self._notes.get(_of_prompt(self._name, messages, chat), "0"))

    def answers(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer | Failure]]:
        """None: `Sender` refuses what the store does not have before it asks."""
        return ((number, Failure("replay asks nobody")) for number, _ in enumerate(requests))

    def close(self) -> None:
        """Nothing."""
