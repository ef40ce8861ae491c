"""In: stores that are written by several processes, killed, damaged. Out: no answer is lost; each reads as it was."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from vaner.errors import VanerError
from vaner.prompting.request import Answer, Failure, Grammar, Message, Request, Sampling
from vaner.prompting.store import RequestStore

ROOT = Path(__file__).parents[2]
WHO = {"backend": "test", "model": "m"}


def ask(text="Which?", **more) -> Request:
    return Request((Message("user", text),), 50, **more)


def test_an_answer_reads_as_it_was(tmp_path):
    answer = Answer("IL-2\u2028α\ud800\x00", "length", 3, 4, 2, 1, 0.1 + 0.2, ((1, -0.1), (3, -1e-17)), "m-1")
    request = ask("a\ud800", grammar=Grammar(gbnf="root"), sampling=Sampling(0.5, 0.9, 7), stop=("\n",))
    with RequestStore(tmp_path / "s.db") as store:
        store.put(request, WHO, answer)
    with RequestStore(tmp_path / "s.db", replay=True) as store:
        assert store.get(request.key(WHO)) == answer
        ((identity, asked, outcome),) = store.rows()
    assert identity == WHO and outcome == answer
    assert (
        asked["messages"] == [{"role": "user", "content": "a\ud800"}] and asked["grammar"]["gbnf"] == "root"
    )


def test_another_model_grammar_sampling_or_repeat_is_another_request(tmp_path):
    others = [ask(grammar=Grammar(regex="a")), ask(sampling=Sampling(0.5)), ask(repeat=1), ask("Who?")]
    with RequestStore(tmp_path / "s.db") as store:
        store.put(ask(), WHO, Answer("a"))
        assert store.get(ask().key({**WHO, "model": "n"})) is None
        assert [store.get(other.key(WHO)) for other in others] == [None] * 4
        assert store.get(ask().key(WHO)) == Answer("a")


def test_failures_are_kept_and_give_way_to_answers_which_stay(tmp_path):
    with RequestStore(tmp_path / "s.db") as store:
        for outcome in (Failure("one"), Failure("two")):
            store.put(ask(), WHO, outcome)
            assert store.get(ask().key(WHO)) is None
        assert [outcome for _, _, outcome in store.rows()] == [Failure("two")]
        for outcome in (Answer("first"), Failure("three"), Answer("second")):
            store.put(ask(), WHO, outcome)
        assert store.get(ask().key(WHO)) == Answer("first")


def test_notes_outlive_the_process(tmp_path):
    with RequestStore(tmp_path / "s.db") as store:
        store.notes.update({"a": "1", "b": "2"})
        store.notes["b"] = "3"
        del store.notes["a"]
        assert store.notes.pop("none", None) is None
    with RequestStore(tmp_path / "s.db") as store:
        assert dict(store.notes) == {"b": "3"} and len(store.notes) == 1
        with pytest.raises(KeyError):
            store.notes["a"]


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.write_text("id\ttext\n" * 400),
        lambda path: path.write_bytes(b"SQLite format 3\0" + b"\1" * 4000),
        lambda path: sqlite3.connect(path).executescript("CREATE TABLE a (b)").close(),
        lambda path: path.mkdir(),
    ],
    ids=["text", "damaged", "another program's", "folder"],
)
@pytest.mark.parametrize("replay", [False, True])
def test_what_is_no_store_is_refused_and_left_alone(tmp_path, make, replay):
    path = tmp_path / "s.db"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(VanerError, match="s.db: ") as refused:
        RequestStore(path, replay=replay)
    assert "\n" not in str(refused.value)
    assert before is None or path.read_bytes() == before


def test_a_store_of_a_later_version_is_refused(tmp_path):
    RequestStore(tmp_path / "s.db").close()
    connection = sqlite3.connect(tmp_path / "s.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(VanerError, match="later version"):
        RequestStore(tmp_path / "s.db")


def test_a_store_that_is_damaged_later_says_so_in_one_line(tmp_path):
    with RequestStore(tmp_path / "s.db") as store:
        for number in range(300):
            store.put(ask(str(number)), WHO, Answer("x" * 200))
    with open(tmp_path / "s.db", "r+b") as file:
        file.seek(4096)
        file.write(os.urandom(os.path.getsize(tmp_path / "s.db") - 4096))
    store = RequestStore(tmp_path / "s.db")
    with pytest.raises(VanerError, match="s.db: cannot be used as a store of requests"):
        [store.get(ask(str(number)).key(WHO)) for number in range(300)]


def test_replay_needs_a_store_and_a_new_one_a_folder(tmp_path):
    with pytest.raises(VanerError, match="no such store"):
        RequestStore(tmp_path / "none.db", replay=True)
    assert not (tmp_path / "none.db").exists()
    with pytest.raises(VanerError, match="does not exist"):
        RequestStore(tmp_path / "none" / "s.db")


WRITER = """
import sys
from vaner.prompting.request import Answer, Message, Request
from vaner.prompting.store import RequestStore

path, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
store = RequestStore(path)
for number in range(first, last):
    request = Request((Message("user", str(number)),), 5)
    if store.get(request.key({})) is None:
        store.put(request, {}, Answer(f"by {first}"))
        print(number, flush=True)
"""


def writer(path, first, last):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(first), str(last)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def kept(path) -> set[str]:
    with RequestStore(path) as store:
        return {request["messages"][0]["content"] for _, request, _ in store.rows()}


def test_a_killed_writer_loses_nothing_and_its_successor_repeats_nothing(tmp_path):
    path = tmp_path / "s.db"
    first = writer(path, 0, 10**6)
    said = {first.stdout.readline().strip() for _ in range(20)}
    first.send_signal(signal.SIGKILL)
    said |= {line.strip() for line in first.stdout.read().splitlines()}
    first.wait()
    before = kept(path)
    assert said <= before
    again, _ = writer(path, 0, len(before) + 5).communicate(timeout=120)
    assert not set(again.split()) & before
    assert len(kept(path)) == len(before) + 5


def test_processes_that_write_at_once_lose_nothing(tmp_path):
    path = tmp_path / "s.db"
    writers = [writer(path, first, 60) for first in (0, 10, 20)]
    assert [one.wait(timeout=120) for one in writers] == [0, 0, 0]
    assert kept(path) == {str(number) for number in range(60)}


def test_one_of_several_that_open_a_new_store_at_once_makes_it(tmp_path):
    for round in range(10):
        together = threading.Barrier(6)
        wrong = []

        def make(path=tmp_path / f"{round}.db", together=together, wrong=wrong):
            together.wait()
            try:
                RequestStore(path).close()
            except VanerError as error:
                wrong.append(error)

        threads = [threading.Thread(target=make) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong


def test_threads_share_a_store(tmp_path):
    with RequestStore(tmp_path / "s.db") as store:
        threads = [
            threading.Thread(target=lambda n=n: store.put(ask(str(n)), WHO, Answer("a"))) for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(list(store.rows())) == 8
