"""Runs under a launcher: rank 0 reads and writes, every rank tags, and the bytes are those of one process."""

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.jobs.conftest import children, outputs, until, write_documents
from tests.jobs.test_faults import kept
from vaner.jobs import ranks

LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]


def test_each_rank_sees_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert ranks.environment()["CUDA_VISIBLE_DEVICES"] == "1"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,GPU-5")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    found = ranks.environment()
    assert found["CUDA_VISIBLE_DEVICES"] == "GPU-5" and found["OMP_NUM_THREADS"] == "3"


def launched(corpus, out, launcher=LAUNCH, **settings):
    words = [*launcher, "-m", "tests.jobs.command", str(corpus), str(out), json.dumps(settings)]
    return subprocess.Popen(
        words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def alone(corpus, out):
    words = [sys.executable, "-m", "tests.jobs.command", str(corpus), str(out), "{}", "--processes", "1"]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
    return outputs(out)


def ended(process):
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    return out


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["torchrun", "accelerate"])
def test_two_ranks(corpus, tmp_path, launcher):
    config = str(ROOT / "configs/accelerate/cpu-2.yaml")
    accelerate = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", config]
    words = LAUNCH if launcher == "torchrun" else [*accelerate, "--main_process_port", "0"]
    ended(launched(corpus, tmp_path / "two", words))
    assert outputs(tmp_path / "two") == alone(corpus, tmp_path / "one")
    # Nothing is left to do: all ranks end.
    ended(launched(corpus, tmp_path / "two", words))


@pytest.mark.slow
def test_a_worker_of_another_rank_that_dies_is_begun_anew(tmp_path):
    write_documents(tmp_path / "in" / "a.jsonl", 300)
    out = tmp_path / "two"
    process = launched(tmp_path / "in", out, slow=0.05)
    until(lambda: kept(out) > 2)
    first, second = until(lambda: len(found := _ranks(process.pid)) == 2 and found)
    for rank in (second, first):
        (worker,) = until(lambda rank=rank: children(rank))
        os.kill(worker, signal.SIGKILL)
    ended(process)
    assert outputs(out) == alone(tmp_path / "in", tmp_path / "one")


def _ranks(launcher):
    words = ["ps", "-o", "pid=,args=", "--ppid", str(launcher)]
    found = subprocess.run(words, capture_output=True, text=True).stdout
    return [int(line.split()[0]) for line in found.splitlines() if "tests.jobs.command" in line]


@pytest.mark.slow
def test_a_launched_run_that_is_killed_goes_on(corpus, tmp_path):
    out = tmp_path / "two"
    process = launched(corpus, out, slow=0.05)
    until(lambda: kept(out))
    for rank in _ranks(process.pid):
        os.kill(rank, signal.SIGKILL)
    process.communicate(timeout=60)
    ended(launched(corpus, out))
    assert outputs(out) == alone(corpus, tmp_path / "one")
