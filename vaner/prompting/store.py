"""In: requests and what came of them. Out: one SQLite file with a row a request, which answers them again for nothing.

    key (a hash of the request and of who is asked) | identity | request | answer | failure | at

An answer is on the disk before anybody sees it, and is never replaced: a run that was killed goes on where it was, and
a run from the store alone reads the same bytes. Failures are kept for the record and asked again. Several processes may
write to one file, on a disk of one machine (SQLite's locks are not to be relied on over a network).
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from vaner.errors import VanerError
from vaner.files import check_parent
from vaner.prompting.request import Answer, Failure, Request

_APPLICATION = 0x56414E52  # "VANR", in the file's header
_VERSION = 1
_BUSY_SECONDS = 60.0
_TABLES = """
CREATE TABLE IF NOT EXISTS requests (
    key TEXT PRIMARY KEY, identity TEXT NOT NULL, request TEXT NOT NULL, answer TEXT, failure TEXT, at TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


class RequestStore:
    """Requests that were answered.

    Args:
        path: of the file; it is created where it is not there.
        replay: read only: the file must be there, and `Sender` asks nobody.

    Raises:
        VanerError: another file, one of a later version, a damaged one, or a folder that is not there.
    """

    def __init__(self, path: str | os.PathLike, *, replay: bool = False) -> None:
        self.path = Path(path)
        self.replay = replay
        self._lock = threading.RLock()
        self._open: sqlite3.Connection | None = None
        self._process = 0
        if replay and not self.path.is_file():
            raise VanerError(
                f"{self.path}: there is no such store of requests to replay; name one that a run has written"
            )
        check_parent(self.path)
        with self._connection():
            pass

    @property
    def notes(self) -> MutableMapping[str, str]:
        """Short texts that outlive the process, such as the ids of batches that are still being worked on."""
        return _Notes(self)

    def get(self, key: str) -> Answer | None:
        """The answer to a request by its `Request.key`; None where none is kept, or it failed."""
        with self._connection() as connection:
            row = connection.execute("SELECT answer FROM requests WHERE key = ?", (key,)).fetchone()
        return self._answer(row[0]) if row and row[0] is not None else None

    def put(self, request: Request, identity: Mapping[str, str], outcome: Answer | Failure) -> None:
        """Keep what came of a request, on the disk when this returns; an answer that is there already stays."""
        failed = isinstance(outcome, Failure)
        row = (
            request.key(identity),
            json.dumps(dict(identity), sort_keys=True),
            json.dumps(asdict(request)),
            None if failed else json.dumps(asdict(outcome)),
            outcome.why if isinstance(outcome, Failure) else None,
            datetime.now(timezone.utc).isoformat(timespec="seconds"),
        )
        with self._connection() as connection:
            connection.execute(
                "INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET "
                "answer = excluded.answer, failure = excluded.failure, at = excluded.at WHERE answer IS NULL",
                row,
            )

    def rows(self) -> Iterator[tuple[dict[str, Any], dict[str, Any], Answer | Failure]]:
        """``(identity, request, what came of it)`` of every row, by key, as JSON would give the first two."""
        with self._connection() as connection:
            rows = connection.execute(
                "SELECT identity, request, answer, failure FROM requests ORDER BY key"
            ).fetchall()
        for identity, request, answer, failure in rows:
            outcome = Failure(failure) if answer is None else self._answer(answer)
            yield json.loads(identity), json.loads(request), outcome

    def close(self) -> None:
        """Close the file; it is opened again when it is needed."""
        with self._lock:
            if self._open is not None and self._process == os.getpid():
                self._open.close()
            self._open = None

    def __enter__(self) -> RequestStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self, written: str) -> Answer:
        try:
            fields = json.loads(written)
            if fields["tokens"] is not None:
                fields["tokens"] = tuple((end, logprob) for end, logprob in fields["tokens"])
            return Answer(**fields)
        except (ValueError, TypeError, KeyError):
            raise VanerError(f"{self.path}: holds an answer that cannot be read; name another file") from None

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """The open file inside one transaction."""
        with self._lock:
            try:
                # A connection must not be used on the other side of a fork.
                if self._open is None or self._process != os.getpid():
                    self._open = self._connect()
                    self._process = os.getpid()
                with self._open:
                    yield self._open
            except sqlite3.Error as error:
                raise VanerError(
                    f"{self.path}: cannot be used as a store of requests ({error}); {_remedy(error)}"
                ) from None

    def _connect(self) -> sqlite3.Connection:
        mode = "ro" if self.replay else "rwc"
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=_BUSY_SECONDS,
            check_same_thread=False,
        )
        try:
            self._check(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _check(self, connection: sqlite3.Connection) -> None:
        if not self.replay:
            connection.execute("BEGIN IMMEDIATE")  # of two processes that create the file one waits
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        empty = not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if empty and application == 0 and not self.replay:
            for statement in _TABLES.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            connection.execute(f"PRAGMA user_version = {_VERSION}")
        elif application != _APPLICATION:
            raise VanerError(
                f"{self.path}: is another program's SQLite file; name another file for the store"
            )
        elif version > _VERSION:
            raise VanerError(f"{self.path}: was written by a later version of vaner; install that one")
        connection.commit()
        if not self.replay:
            _write_ahead(connection)
            connection.execute("PRAGMA synchronous = FULL")


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Let readers and a writer work at a time; the file keeps this once it is set."""
    until = time.monotonic() + _BUSY_SECONDS
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            # While another opens the file SQLite refuses this at once, whatever the time-out.
            if time.monotonic() > until:
                raise
            time.sleep(0.02)


def _remedy(error: sqlite3.Error) -> str:
    said = str(error)
    if "full" in said:
        return "make room on the disk"
    if "locked" in said:
        return "another process holds it; wait for it to end"
    if "readonly" in said or "unable to open" in said:
        return "name a file in a folder where you may write"
    return "name another file"


class _Notes(MutableMapping[str, str]):
    def __init__(self, store: RequestStore) -> None:
        self._store = store

    def __getitem__(self, name: str) -> str:
        with self._store._connection() as connection:
            row = connection.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise KeyError(name)
        return row[0]

    def __setitem__(self, name: str, value: str) -> None:
        self.update({name: value})

    def __delitem__(self, name: str) -> None:
        with self._store._connection() as connection:
            if not connection.execute("DELETE FROM notes WHERE name = ?", (name,)).rowcount:
                raise KeyError(name)

    def update(self, *others: Any, **more: str) -> None:  # all or none, in one transaction
        with self._store._connection() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO notes VALUES (?, ?)", dict(*others, **more).items()
            )

    def __iter__(self) -> Iterator[str]:
        with self._store._connection() as connection:
            rows = connection.execute("SELECT name FROM notes ORDER BY name").fetchall()
        return iter([name for (name,) in rows])

    def __len__(self) -> int:
        with self._store._connection() as connection:
            return connection.execute("SELECT count(*) FROM notes").fetchone()[0]
