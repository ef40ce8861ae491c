"""Whole runs with a tagger that needs no model: what goes on, what is refused, what is rejected."""

import json
from functools import partial

import pytest

from tests.jobs.command import job
from tests.jobs.conftest import outputs, write_documents
from tests.jobs.taggers import Capitals, Settings
from vaner.document import Document
from vaner.errors import VanerError
from vaner.formats import read
from vaner.jobs import run as running
from vaner.jobs.pool import ProcessPool
from vaner.jobs.run import Interrupted, run
from vaner.jobs.worker import tag
from vaner.prompting.request import Unavailable


class Here:
    """A Pool in this process, which fails when it is told to."""

    def __init__(self, settings=Settings(), after=None):  # noqa: B008
        self.settings = settings
        self.after = after
        self.tasks = []
        self.most = 0

    def room(self):
        return len(self.tasks) < 2

    def submit(self, task):
        self.tasks.append(task)

    def wait(self, seconds):
        if self.after is not None:
            self.after -= 1
            if self.after < 0:
                raise Interrupted(15)
        return [tag(Capitals(self.settings), self.settings, self.tasks.pop(0))] if self.tasks else []

    def close(self):
        self.tasks = []


def tagged(corpus, output, settings=Settings(), **more):  # noqa: B008
    return run(job(corpus, output, settings, **more), partial(Here, settings))


def test_every_file_has_its_output_and_every_document_is_in_it(corpus, tmp_path):
    result = tagged(corpus, tmp_path / "out")
    assert sorted(outputs(tmp_path / "out")) == ["a.jsonl", "sub/b.jsonl", "sub/c.jsonl"]
    assert dict(result.counts) == {
        "documents": 95, "characters": result.counts["characters"], "spans": 190, "files": 3, "rejected": 0,
        "deleted": 0,
    }  # fmt: skip
    assert [d.id for d in read(tmp_path / "out/a.jsonl")] == [f"d{i}" for i in range(42)]
    assert list((tmp_path / "out/.vaner/units").iterdir()) == []


def test_processes_give_the_same_bytes_as_one(corpus, tmp_path):
    tagged(corpus, tmp_path / "here")
    run(job(corpus, tmp_path / "three"), partial(ProcessPool, Settings(), 3))
    assert outputs(tmp_path / "three") == outputs(tmp_path / "here")


def test_a_stopped_run_goes_on_wherever_it_stopped(corpus, tmp_path):
    tagged(corpus, tmp_path / "whole")
    for after in range(11):
        out = tmp_path / f"after{after}"
        with pytest.raises(Interrupted):
            run(job(corpus, out), partial(Here, after=after))
        (out / "sub").mkdir(exist_ok=True)
        (out / "sub" / ".c.jsonl.abc.tmp").write_text("of a run that was killed while it wrote")
        result = tagged(corpus, out)
        assert outputs(out) == outputs(tmp_path / "whole")
        assert result.counts["documents"] == 95
        lines = [json.loads(line) for line in (out / ".vaner/manifest.jsonl").read_text().splitlines()]
        kept = [(line["source"], line["unit"]) for line in lines if line["kind"] == "unit"]
        assert len(kept) == len(set(kept)) == 11, "what was kept is not tagged again"


def test_what_is_finished_is_neither_tagged_nor_read_again(corpus, tmp_path, monkeypatch):
    tagged(corpus, tmp_path / "out")
    before = outputs(tmp_path / "out")

    def never(*args, **kwargs):
        raise AssertionError("it was")

    monkeypatch.setattr(running, "units", never)
    result = run(job(corpus, tmp_path / "out"), never)
    assert result.counts["documents"] == 95 and not result.here["documents"]
    assert outputs(tmp_path / "out") == before


def test_other_settings_are_refused_and_named(corpus, tmp_path):
    tagged(corpus, tmp_path / "out")
    before = outputs(tmp_path / "out")
    with pytest.raises(VanerError) as error:
        tagged(corpus, tmp_path / "out", Settings(types=("Disease",)), unit=20)
    said = str(error.value)
    assert 'types was null, is ["Disease"]; unit was 10, is 20' in said and "--overwrite" in said
    assert outputs(tmp_path / "out") == before
    anew = job(corpus, tmp_path / "out", unit=20)
    result = run(anew, Here, overwrite=True)
    assert result.here["documents"] == 95 and outputs(tmp_path / "out") != before


def test_an_input_that_changed_is_refused(corpus, tmp_path):
    tagged(corpus, tmp_path / "out")
    (corpus / "a.jsonl").touch()
    assert not tagged(corpus, tmp_path / "out").here["documents"], "another time is no other content"
    write_documents(corpus / "a.jsonl", 42, text="Other Text {}")
    with pytest.raises(VanerError, match=r"a.jsonl: has changed since this run began it"):
        tagged(corpus, tmp_path / "out")


def test_an_input_that_changed_without_a_hash_is_refused_by_its_units(corpus, tmp_path):
    def named(output):
        found = job(corpus, output)
        return found

    with pytest.raises(Interrupted):
        run(named(tmp_path / "out"), partial(Here, after=3))
    manifest = tmp_path / "out/.vaner/manifest.jsonl"
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    for line in lines:  # as of standard input
        if line["kind"] == "begun":
            line["stamp"] = {}
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_documents(corpus / "a.jsonl", 42, text="Other Text {}")
    with pytest.raises(VanerError, match="document d0 and those after it are not what they were"):
        tagged(corpus, tmp_path / "out")


def test_new_inputs_are_added_and_old_ones_may_go_when_they_are_done(corpus, tmp_path):
    tagged(corpus, tmp_path / "out")
    write_documents(corpus / "new.jsonl", 5)
    (corpus / "a.jsonl").unlink()
    result = tagged(corpus, tmp_path / "out")
    assert result.here["documents"] == 5 and result.counts["documents"] == 100
    assert len(result.tallies) == 4
    assert result.notes == [
        "a.jsonl is no input any more; what it became stays",
        "1 inputs are new since the last run",
    ]
    with pytest.raises(Interrupted):
        write_documents(corpus / "half.jsonl", 50)
        run(job(corpus, tmp_path / "out"), partial(Here, after=2))
    (corpus / "half.jsonl").unlink()
    with pytest.raises(VanerError, match="has begun half.jsonl, which is no input now"):
        tagged(corpus, tmp_path / "out")


def test_files_of_nobody_are_not_overwritten(corpus, tmp_path):
    write_documents(tmp_path / "out" / "a.jsonl", 1)
    before = outputs(tmp_path / "out")
    with pytest.raises(VanerError, match=r"a.jsonl: exists, and no run that could go on wrote it"):
        tagged(corpus, tmp_path / "out")
    assert outputs(tmp_path / "out") == before
    run(job(corpus, tmp_path / "out"), Here, overwrite=True)
    assert len(list(read(tmp_path / "out/a.jsonl"))) == 42


@pytest.mark.parametrize("name", ["summary.json", "rejected.jsonl", "deleted.jsonl"])
def test_nor_those_that_are_called_as_a_runs_own(corpus, tmp_path, name):
    write_documents(tmp_path / "out" / name, 1)
    with pytest.raises(VanerError, match=f"{name}: exists, and no run that could go on wrote it"):
        tagged(corpus, tmp_path / "out")


def test_new_inputs_replace_no_file(corpus, tmp_path):
    tagged(corpus, tmp_path / "out")
    new = write_documents(tmp_path / "new" / "n.jsonl", 1)
    mine = write_documents(tmp_path / "out" / "n.jsonl", 2)
    before = outputs(tmp_path / "out")
    with pytest.raises(VanerError, match=r"n.jsonl: exists, and no run that could go on wrote it"):
        tagged(new.parent, tmp_path / "out")
    mine.unlink()
    (new.parent / "n.jsonl").rename(new.parent / "a.txt")
    with pytest.raises(VanerError, match=r"a.jsonl: is what a.jsonl became, and .*a.txt would replace it"):
        tagged(new.parent, tmp_path / "out")
    assert outputs(tmp_path / "out") == {name: data for name, data in before.items() if name != "n.jsonl"}


def test_an_output_that_was_taken_away_is_written_again(corpus, tmp_path):
    tagged(corpus, tmp_path / "out")
    before = outputs(tmp_path / "out")
    (tmp_path / "out" / "sub" / "b.jsonl").unlink()
    result = tagged(corpus, tmp_path / "out")
    assert result.here["documents"] == 30 and result.counts["documents"] == 95
    assert result.notes == [f"{tmp_path / 'out/sub/b.jsonl'} was taken away, and is written again"]
    assert outputs(tmp_path / "out") == before


def test_a_run_of_which_nothing_came_binds_nobody(corpus, tmp_path):
    with pytest.raises(Interrupted):
        run(job(corpus, tmp_path / "out", Settings(types=["Disease"])), partial(Here, after=0))
    write_documents(corpus / "a.jsonl", 5)
    assert tagged(corpus, tmp_path / "out").counts["documents"] == 58


def test_a_second_run_on_the_same_output_is_told_so(corpus, tmp_path):
    class Nested(Here):
        def submit(self, task):
            with pytest.raises(VanerError, match="another run writes there"):
                tagged(corpus, tmp_path / "out")
            super().submit(task)

    assert run(job(corpus, tmp_path / "out"), Nested).counts["documents"] == 95


def test_bad_documents_are_rejected_in_order_and_counted(corpus, tmp_path):
    path = corpus / "sub" / "b.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    lines[12] = '{"id": "d12", "text": "Poison"}\n'
    lines[3] = "nothing\n"
    lines.append("nothing\n")
    path.write_text("".join(lines))
    (corpus / "z.pubtator").write_bytes(b"")
    settings = Settings(raises="Poison")
    result = tagged(corpus, tmp_path / "out", settings)
    assert result.counts["rejected"] == 4 and result.counts["documents"] == 93 and result.counts["files"] == 3
    rejected = [json.loads(line) for line in (tmp_path / "out/rejected.jsonl").read_text().splitlines()]
    assert [(r["file"], r["document"]) for r in rejected] == [
        ("sub/b.jsonl", None), ("sub/b.jsonl", "d12"), ("sub/b.jsonl", None), ("z.pubtator", None),
    ]  # fmt: skip
    assert rejected[0]["place"] == f"{path}:4" and rejected[1]["reason"] == "RuntimeError: a Poison was met"
    assert not (tmp_path / "out/z.jsonl").exists()
    whole = outputs(tmp_path / "out")
    for after in (3, 9):
        out = tmp_path / f"after{after}"
        with pytest.raises(Interrupted):
            run(job(corpus, out, settings), partial(Here, settings, after=after))
        tagged(corpus, out, settings)
        assert outputs(out) == whole
    with pytest.raises(VanerError, match=f"{path}:4"):
        tagged(corpus, tmp_path / "strict", settings, on_error="raise")


def test_a_document_that_the_format_cannot_hold_is_rejected(tmp_path):
    class Odd:
        skips = True

        def documents(self, source, report):
            for number in range(40):
                yield Document(str(number), "Hello", metadata={"x": float("nan") if number in (7, 23) else 1})

    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.jsonl").write_text("any")
    planned = job(tmp_path / "in", tmp_path / "out")
    result = run(running.Job(**{**vars(planned), "reader": Odd()}), Here)
    assert result.counts["documents"] == 38 and result.counts["rejected"] == 2
    assert len(list(read(tmp_path / "out/a.jsonl"))) == 38
    rejected = [json.loads(line) for line in (tmp_path / "out/rejected.jsonl").read_text().splitlines()]
    assert [r["document"] for r in rejected] == ["7", "23"] and "no JSON can hold it" in rejected[0]["reason"]


def test_where_nothing_can_be_tagged_the_run_stops(corpus, tmp_path):
    settings = Settings(raises="Hello")
    with pytest.raises(
        VanerError, match="none of the first 20 documents could be tagged: RuntimeError: a Hello"
    ):
        tagged(corpus, tmp_path / "out", settings)


def test_something_is_counted_over_the_documents_of_each_output(corpus, tmp_path):
    class Tally:
        def __init__(self):
            self.ids = []

        def add(self, document: Document):
            self.ids.append(document.id)

        def record(self):
            return self.ids

    with pytest.raises(Interrupted):
        run(job(corpus, tmp_path / "out", tally=Tally), partial(Here, after=6))
    result = run(job(corpus, tmp_path / "out", tally=Tally), Here)
    assert [len(one) for one in result.tallies] == [42, 30, 23] and result.tallies[0][0] == "d0"


def test_documents_of_a_generator_are_never_all_in_memory(tmp_path):
    class Made:
        skips = True
        ahead = most = 0

        def documents(self, source, report):
            for number in range(5_000):
                self.ahead += 1
                self.most = max(self.most, self.ahead)
                yield Document(str(number), "Hello")

    reader = Made()

    class Counting(Here):
        def wait(self, seconds):
            found = super().wait(seconds)
            reader.ahead -= sum(one.tagged.counts["documents"] for one in found)
            return found

    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.jsonl").write_text("any")
    planned = job(tmp_path / "in", tmp_path / "out", unit=100)
    result = run(running.Job(**{**vars(planned), "reader": reader}), Counting)
    assert result.counts["documents"] == 5_000 and reader.most <= 300


def test_a_worker_that_cannot_load_the_model_ends_the_run(corpus, tmp_path):
    refusing = Settings(refuses="no such model")
    with pytest.raises(VanerError, match="^no such model$"):
        run(job(corpus, tmp_path / "out"), partial(ProcessPool, refusing, 2))
    dying = Settings(refuses="dies")
    with pytest.raises(
        VanerError, match=r"no worker could load the model: its process was killed \(SIGKILL\); try"
    ):
        run(job(corpus, tmp_path / "out"), partial(ProcessPool, dying, 1))


class Away(Here):
    """Nobody answers from the third unit on."""

    def wait(self, seconds):
        if self.tasks and self.tasks[0].key[1] >= 2:

            class Nobody(Capitals):
                def tag_documents(self, documents, types=None, dataset=None):
                    raise Unavailable("http://h: nobody answers")

            return [tag(Nobody(self.settings), self.settings, self.tasks.pop(0))]
        return super().wait(seconds)


def test_where_nobody_answers_no_document_is_blamed_and_the_run_goes_on_later(corpus, tmp_path):
    tagged(corpus, tmp_path / "whole")
    out = tmp_path / "out"
    with pytest.raises(
        VanerError, match="http://h: nobody answers; see to it and give the same command again"
    ):
        run(job(corpus, out), partial(Away, Settings()))
    assert not (out / "rejected.jsonl").exists()
    tagged(corpus, out)
    assert outputs(out) == outputs(tmp_path / "whole")
