"""python -m vaner doctor: what the machine has and what will be used, whatever is broken."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from vaner.cli import doctor, main
from vaner.kernels.machine import instructions

AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}


def run(*words: str, **variables: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | variables
    command = [sys.executable, "-m", "vaner", "doctor", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("vaner.kernels.rates.SECONDS", 0.01)
    monkeypatch.setattr("vaner.kernels.rates.rate", lambda kind, device: {"float32": 2e11}.get(kind, 5e11))


def test_it_says_what_is_here_and_what_will_be_used(capsys):
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    titles = [line[:14].strip() for line in said.splitlines()]
    for title in (
        "processor",
        "instructions",
        "threads",
        "memory",
        "rate, cpu",
        "versions",
        "cache",
        "tagging uses",
    ):
        assert title in titles
    assert "cannot be told" not in said and "vaner " in said and "peft " in said
    assert "float32 200" in said and "1,024 tokens" in said


@pytest.mark.skipif("avx2" not in instructions(), reason="no AVX2 here")
def test_on_a_lesser_processor_it_says_so_and_emulates_nothing():
    found = json.loads(run("--json", **AVX2))
    assert found["torch"]["instructions"] == ["avx2"] and found["torch"]["vectors"] == "AVX2"
    assert set(found["rates"]["cpu"]) == {"float32", "int8"}, "emulated bfloat16 would take minutes"
    assert min(found["rates"]["cpu"].values()) > 0
    tagging = found["tagging"]
    assert (tagging["dtype"], tagging["fused"], tagging["int8_weight_bits"]) == ("float32", True, 7)
    said = "\n".join(found["advice"])
    assert "ONEDNN_MAX_CPU_ISA=AVX2 takes instructions away" in said and "ATEN_CPU_CAPABILITY=avx2" in said


def test_a_torch_that_cannot_be_imported_is_said_and_does_no_harm(tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('libtorch_cpu.so: no such file')")
    said = run(PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert "torch         cannot be told: libtorch_cpu.so: no such file" in said
    assert "processor     " in said and "memory        " in said
    found = json.loads(run("--json", PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}"))
    assert found["rates"] == found["tagging"] == {"error": "libtorch_cpu.so: no such file"}
    assert sum("cannot be told" in line for line in found["advice"]) == 1, "one line for one cause"


def test_a_package_that_another_command_needs_stops_nothing(tmp_path):
    for name in ("tqdm", "peft", "numpy"):
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('{name} is broken')")
    said = run(PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert "peft cannot be imported (peft is broken); pip install --force-reinstall peft" in said


def found(**more: dict) -> dict:
    """What was found on a machine where nothing is to be said."""
    usual: dict[str, dict] = {
        "processor": {"usable_cores": 4, "load": 0.1},
        "memory": {},
        "packages": {},
        "cache": {"present": True},
        "torch": {"threads": 4, "accelerator": None, "nvidia": False, "cuda": None, "vectors": "AVX512"},
        "imports": {"peft": ""},
        "rates": {"cpu": {"float32": 100.0, "bfloat16": 200.0, "int8": 210.0}},
        "tagging": {"device": "cpu", "dtype": "bfloat16"},
    }
    return {name: part | more.get(name, {}) for name, part in usual.items()}


@pytest.mark.parametrize(
    "more, said",
    [
        ({}, None),
        (
            {"rates": {"cpu": {"float32": 100.0, "bfloat16": 200.0, "int8": 300.0}}},
            "--quantization int8: .* 1.5 times",
        ),
        (
            {"tagging": {"dtype": "float32"}, "rates": {"cpu": {"float32": 1.0, "bfloat16": 2.0}}},
            "--dtype bfloat16",
        ),
        (
            {"processor": {"usable_cores": 8}},
            "torch uses 4 of 8 cores; unset OMP_NUM_THREADS, or set it to 8",
        ),
        ({"processor": {"usable_cores": 2}}, "4 threads for 2 cores; set OMP_NUM_THREADS=2"),
        ({"processor": {"load": 9.0}}, "9.0 processes share 4 cores"),
        ({"torch": {"nvidia": True}}, "install a torch with CUDA"),
        ({"torch": {"nvidia": True, "cuda": "12.8"}}, "check the driver"),
        ({"cache": {"present": False}}, "fetches it"),
    ],
)
def test_what_it_advises(more, said, monkeypatch):
    monkeypatch.delenv("ATEN_CPU_CAPABILITY", raising=False)
    monkeypatch.setattr(doctor, "_fills_cores", lambda threads: False)
    told = doctor.advice(found(**more))
    if said is None:
        assert told == []
    else:
        assert len(told) == 1
        assert re.search(said, told[0])
