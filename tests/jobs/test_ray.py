"""Runs on Ray: the same bytes as on one machine, whoever is killed; a run goes on with Ray or without."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial

import psutil
import pytest

from tests.conftest import ROOT
from tests.jobs.command import job
from tests.jobs.conftest import Command, outputs, until, write_documents
from tests.jobs.taggers import Settings
from tests.jobs.test_faults import kept
from vaner.cli import main
from vaner.errors import VanerError
from vaner.jobs.ray_cluster import Share, share
from vaner.jobs.ray_pool import RayPool
from vaner.jobs.run import run

ON_RAY = ("--on", "ray")


@pytest.mark.parametrize(
    "nodes, processes, gpus, expected",
    [
        ([{"CPU": 16, "GPU": 8}, {"CPU": 4}], None, None, Share(8, 1, 1, 2)),
        ([{"CPU": 16, "GPU": 2}, {"CPU": 8, "GPU": 2}], None, True, Share(4, 1, 1, 4)),
        ([{"CPU": 16, "GPU": 1}], 4, True, Share(4, 1, 0.25, 4)),
        ([{"CPU": 2, "GPU": 8}], None, None, Share(8, 0, 1, 1)),
        ([{"CPU": 4}], None, True, Share(1, 1, 1, 1)),  # asked for, so that a cluster that grows knows
        ([{"CPU": 16, "GPU": 8}], 4, None, Share(4, 4, 0, 4)),
        ([{"CPU": 16, "GPU": 8}], None, False, Share(2, 8, 0, 8)),
        ([{"CPU": 2}], None, None, Share(1, 2, 0, 2)),
        ([{"CPU": 64}, {"CPU": 20}, {}], None, None, Share(10, 8, 0, 8)),
        ([{"CPU": 2}, {"CPU": 5}], 3, None, Share(3, 2, 0, 2)),
        ([{"CPU": 2}], 5, None, Share(5, 1, 0, 1)),
    ],
)
def test_a_cluster_is_divided(nodes, processes, gpus, expected):
    assert share(nodes, processes, gpus) == expected


def test_a_cluster_that_lends_nothing():
    with pytest.raises(VanerError, match="no CPUs to lend; look at `ray status`"):
        share([{"memory": 1e9}], None, None)


def said(capsys, *words):
    assert main(["predict", *words]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1, err
    return err


def test_what_cannot_be_is_refused_in_one_line(corpus, tmp_path, capsys, monkeypatch):
    many = ("--input", str(corpus), "--output", f"{tmp_path}/out/")
    assert "--ray_address auto: is for --on ray" in said(capsys, *many, "--ray_address", "auto")
    one = ("--input", str(corpus / "a.jsonl"), "--output", str(tmp_path / "a.jsonl"))
    assert "--on is for runs over many files" in said(capsys, *one, "--on", "ray")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "start the command without a launcher" in said(capsys, *many, "--on", "ray")
    monkeypatch.delenv("WORLD_SIZE")
    monkeypatch.setitem(sys.modules, "ray", None)
    assert "--on ray needs Ray" in (line := said(capsys, *many, "--on", "ray"))
    assert "pip install 'vaner[ray]'" in line
    assert not (tmp_path / "out").exists()


# --- with Ray ---


@pytest.fixture(scope="module")
def ray():
    return pytest.importorskip("ray", reason="needs Ray: pip install 'vaner[ray]'")


@pytest.fixture
def whole(corpus, tmp_path):
    """The outputs of a run of one machine that nothing happened to."""
    assert Command(corpus, tmp_path / "whole").done()[0] == 0
    return outputs(tmp_path / "whole")


def family(pid, word):
    """Processes below one, however deep, that have a word in their title."""
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        try:
            if word in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:  # it ended while we looked
            continue
    return found


def actors(pid):
    return family(pid, "ray::RayWorker")


def finished(command):
    status, out, err = command.done()
    assert status == 0 and not err, err
    return json.loads(out)  # nothing else is on standard output


@pytest.mark.slow
def test_a_run_goes_on_with_ray_and_without(ray, corpus, tmp_path, whole):
    for first, then in ((ON_RAY, ()), ((), ON_RAY)):
        out = tmp_path / f"from{len(first)}"
        ours = Command(corpus, out, more=first, slow=0.05)
        until(lambda out=out: kept(out) > 1)
        workers = family(ours.process.pid, "multiprocessing.spawn")
        assert len(workers) == 2
        ours.kill(0)
        ours.done()
        assert 0 < finished(Command(corpus, out, more=then))["units"] < 11
        assert outputs(out) == whole
        until(lambda workers=workers: not any(one.is_running() for one in workers), 30)


@pytest.mark.slow
def test_one_of_two_actors_is_killed(ray, tmp_path):
    write_documents(tmp_path / "in" / "a.jsonl", 300)
    assert Command(tmp_path / "in", tmp_path / "whole").done()[0] == 0
    out = tmp_path / "out"
    ours = Command(tmp_path / "in", out, more=ON_RAY, slow=0.05)
    until(lambda: kept(out) > 1)
    first, second = actors(ours.process.pid)
    first.kill()
    until(lambda: first.pid not in (now := {one.pid for one in actors(ours.process.pid)}) and len(now) == 2)
    # The process of an actor, of which Ray itself knows nothing.
    family(second.pid, "multiprocessing.spawn")[0].kill()
    status, out_text, err = ours.done()
    assert status == 0 and json.loads(out_text)["rejected"] == 0
    assert len(err.splitlines()) == 1 and "was lost: its Ray actor died" in err
    assert outputs(out) == outputs(tmp_path / "whole")


@pytest.mark.slow
def test_poison_is_rejected_in_the_same_words(ray, corpus, tmp_path):
    write_documents(corpus / "p.jsonl", 1, first=500, text="Poison {}")
    write_documents(corpus / "q.jsonl", 12)
    (corpus / "q.jsonl").write_text((corpus / "q.jsonl").read_text().replace("World 5", "Poison"))
    for name, more in (("here", ()), ("ray", ON_RAY)):
        status, out, err = Command(corpus, tmp_path / name, more=more, kills="Poison").done()
        assert status == 3 and json.loads(out)["rejected"] == 2 and not err
    assert outputs(tmp_path / "ray") == outputs(tmp_path / "here")
    assert b"its process was killed (SIGKILL)" in outputs(tmp_path / "ray")["rejected.jsonl"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_and_its_ray(ray, corpus, tmp_path, whole, number):
    out = tmp_path / "out"
    ours = Command(corpus, out, more=ON_RAY, slow=0.05)
    until(lambda: kept(out))
    below = family(ours.process.pid, "")
    os.kill(ours.process.pid, number)
    status, _, err = ours.done()
    assert status == 128 + number and err.strip() == f"stopped by {number.name}"
    until(lambda: not any(one.is_running() for one in below), 30)
    assert 0 < finished(Command(corpus, out))["units"] < 11
    assert outputs(out) == whole


@pytest.mark.slow
def test_what_no_worker_can_load_ends_the_run(ray, corpus, tmp_path):
    for refuses, line in (("no such model", "error: no such model"), ("dies", "error: no worker could load")):
        status, _, err = Command(corpus, tmp_path / refuses, more=ON_RAY, refuses=refuses).done()
        assert status == 2 and err.startswith(line) and err.count("\n") == 1, err


@pytest.mark.slow
def test_no_cluster_at_an_address(ray, corpus, tmp_path):
    more = (*ON_RAY, "--ray_address")
    for address, line in (
        ("127.0.0.1:1", "no Ray cluster that this machine can join"),
        ("auto", "no Ray cluster that this machine can join"),
        ("ray://a:1", "is that of Ray's client"),
    ):
        status, _, err = Command(corpus, tmp_path / "out", more=(*more, address)).done()
        assert status == 2 and f"--ray_address {address}: {line}" in err and err.count("\n") == 1, err


class Hashed(Settings):
    """Settings of a model that is another one in every process but that which asked first."""

    def hashes(self):
        return {"capitals": str(os.getpid())}


@pytest.mark.slow
def test_nodes_that_go_come_and_differ(ray, tmp_path, capfd):
    """A cluster of two nodes: one is lost in the middle, another comes; none may have another model."""
    from ray.cluster_utils import Cluster

    write_documents(tmp_path / "in" / "a.jsonl", 400)
    run(job(tmp_path / "in", tmp_path / "whole"), partial(RayPool, Settings(), processes=1))
    store = {"object_store_memory": 100 << 20}
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, **store}
    )
    try:
        other = cluster.add_node(num_cpus=1, **store)

        class Losing(RayPool):
            ready, lost, come = [], False, None

            def room(self):
                # However slow the machine is: what is left waits for the node that came, two minutes at most.
                waits = self.come and self.ready[-1] < 2 and time.monotonic() < self.come + 120
                return not waits and super().room()

            def wait(self, seconds):
                found = super().wait(seconds)
                ready = sum(one.ready for one in self._members)
                if ready == 2 and not self.lost:
                    type(self).lost = True
                    cluster.remove_node(other, allow_graceful=False)
                elif ready == 1 and self.lost and not self.come:
                    type(self).come = time.monotonic()
                    cluster.add_node(num_cpus=1, **store)
                self.ready.append(ready)
                return found

        settings = Settings(slow=0.1)
        result = run(
            job(tmp_path / "in", tmp_path / "out", settings),
            partial(Losing, settings, address=cluster.address),
        )
        assert result.counts["documents"] == 400 and not result.counts["rejected"]
        assert Losing.come and Losing.ready[-1] == 2
        assert outputs(tmp_path / "out") == outputs(tmp_path / "whole")
        assert capfd.readouterr().err.count("was lost") == 1
        settings = Hashed()
        with pytest.raises(
            VanerError, match="capitals is another model there than where the run was started"
        ):
            workers = partial(RayPool, settings, address=cluster.address, models=settings.hashes())
            run(job(tmp_path / "in", tmp_path / "other", settings), workers)
    finally:
        cluster.shutdown()


@pytest.mark.slow
def test_the_shipped_model(ray, tmp_path):
    source = tmp_path / "four.pubtator"
    blocks = (ROOT / "data" / "samples" / "abstracts.pubtator").read_text(encoding="utf-8").split("\n\n")
    source.write_text("\n\n".join(blocks[:4]) + "\n", encoding="utf-8")
    for name, more in (("here", ()), ("ray", ON_RAY)):
        words = [sys.executable, "predict.py", "--input", str(source), "--output", f"{tmp_path / name}/"]
        words += ["--unit_documents", "2", "--processes", "2", "--progress", "none", *more]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0 and "4 documents" in done.stderr, done.stderr
    assert outputs(tmp_path / "ray") == outputs(tmp_path / "here")
