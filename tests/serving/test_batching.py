"""In: jobs of many threads. Out: runs that several share; what fails fails alone; what is cancelled leaves the line."""

import threading

import pytest

from tests.serving.conftest import eventually
from vaner.document import Document
from vaner.serving.batching import Batcher, Failed
from vaner.serving.metrics import Metrics


def documents(*texts):
    return [Document(str(n), text) for n, text in enumerate(texts)]


class Reader:
    """Answers with the text in capitals; remembers what it was asked, and waits while its gate is closed."""

    def __init__(self):
        self.runs = []
        self.gate = threading.Event()

    def __call__(self, key, documents):
        self.runs.append((key, [one.text for one in documents]))
        assert self.gate.wait(30)
        if any("bad" in one.text for one in documents):
            raise RuntimeError("one of them is bad")
        return [one.text.upper() for one in documents]


@pytest.fixture
def reader():
    return Reader()


@pytest.fixture
def make(reader):
    made = []

    def make(**options):
        made.append(Batcher(reader, Metrics("0", "words"), **{"at_once": 1, **options}))
        return made[-1]

    yield make
    reader.gate.set()
    for one in made:
        one.close()


def behind_a_first(batcher, reader):
    """A job that keeps the only thread busy until the gate opens."""
    first = batcher.submit("key", documents("first"))
    eventually(lambda: reader.runs)
    return first


def test_jobs_that_ask_the_same_share_a_run_and_get_their_own(make, reader):
    batcher = make()
    first = behind_a_first(batcher, reader)
    jobs = [batcher.submit("key", documents(f"a{n}", f"b{n}")) for n in range(5)]
    other = batcher.submit("other", documents("c"))
    assert batcher.waiting == 11
    reader.gate.set()
    assert first.future.result(30) == ["FIRST"]
    assert [job.future.result(30) for job in jobs] == [[f"A{n}", f"B{n}"] for n in range(5)]
    assert other.future.result(30) == ["C"]
    assert [len(texts) for _, texts in reader.runs] == [1, 10, 1]
    assert batcher.waiting == 0


def test_what_fails_fails_alone(make, reader):
    batcher = make()
    behind_a_first(batcher, reader)
    jobs = [batcher.submit("key", documents("x", f"{'bad' if n == 3 else 'good'}{n}")) for n in range(7)]
    reader.gate.set()
    for n, job in enumerate(jobs):
        found = job.future.result(30)
        assert found[0] == "X"
        assert isinstance(found[1], Failed) if n == 3 else found[1] == f"GOOD{n}"


def test_a_reader_that_gives_too_few_results_is_no_reader(make, reader):
    batcher = make()
    reader.gate.set()
    batcher._read = lambda key, documents: []
    (found,) = batcher.submit("key", documents("x")).future.result(30)
    assert isinstance(found, Failed) and "0 results" in str(found.error)


def test_a_large_job_does_not_hold_up_those_behind_it(make, reader):
    batcher = make(characters=10)
    behind_a_first(batcher, reader)
    large = batcher.submit("key", documents(*["12345"] * 8))
    small = batcher.submit("key", documents("z"))
    reader.gate.set()
    assert large.future.result(30) == ["12345"] * 8
    assert small.future.result(30) == ["Z"]
    texts = [texts for _, texts in reader.runs[1:]]
    assert texts[0] == ["12345", "12345"] and texts[1][0] == "z"


def test_one_document_is_always_taken(make, reader):
    batcher = make(characters=3)
    reader.gate.set()
    assert batcher.submit("key", documents("longer", "", "than")).future.result(30) == ["LONGER", "", "THAN"]


def test_a_cancelled_job_leaves_the_line(make, reader):
    batcher = make()
    behind_a_first(batcher, reader)
    gone = batcher.submit("key", documents("gone"))
    stays = batcher.submit("key", documents("stays"))
    batcher.cancel(gone)
    assert batcher.waiting == 1
    reader.gate.set()
    assert stays.future.result(30) == ["STAYS"]
    assert gone.future.cancelled()
    assert ["gone"] not in [texts for _, texts in reader.runs] and ["stays"] in [t for _, t in reader.runs]


def test_a_job_that_is_cancelled_while_it_is_read_harms_nobody(make, reader):
    batcher = make()
    first = behind_a_first(batcher, reader)
    batcher.cancel(first)
    second = batcher.submit("key", documents("second"))
    reader.gate.set()
    assert second.future.result(30) == ["SECOND"]


def test_a_job_without_documents_is_done(make):
    assert make().submit("key", []).future.result(30) == []


def test_closing_waits_for_what_waits(make, reader):
    batcher = make()
    behind_a_first(batcher, reader)
    last = batcher.submit("key", documents("last"))
    threading.Timer(0.05, reader.gate.set).start()
    batcher.close()
    assert last.future.result(0) == ["LAST"]
    with pytest.raises(RuntimeError):
        batcher.submit("key", documents("late"))


def test_many_threads_lose_nothing(make, reader):
    reader.gate.set()
    batcher = make(at_once=2, characters=40)
    answers = {}

    def client(name):
        for n in range(20):
            text = f"{name}-{n}"
            answers[text] = batcher.submit(n % 3, documents(text, text * 2)).future.result(60)

    threads = [threading.Thread(target=client, args=(f"client{n}",)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 320
    assert all(found == [text.upper(), (text * 2).upper()] for text, found in answers.items())
