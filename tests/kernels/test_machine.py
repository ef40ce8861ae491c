"""In: made-up processors. Out: what oneDNN may multiply on them, and that no other processor breaks."""

from __future__ import annotations

import os
import subprocess
import sys
import types

import pytest
import torch

from tests.model.test_network import build
from vaner.errors import VanerError
from vaner.kernels import machine
from vaner.kernels.fused import to_fused
from vaner.kernels.int8 import to_int8
from vaner.kernels.rates import kinds, rate
from vaner.model.adapting import choose_dtype

FULL = ["avx2", "avx512_f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_int8"]


@pytest.fixture
def processor(monkeypatch):
    """Makes a processor of an architecture and its instructions."""
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.delenv("DNNL_MAX_CPU_ISA", raising=False)

    def make(architecture: str, *names: str) -> None:
        monkeypatch.setattr(machine.platform, "machine", lambda: architecture)
        monkeypatch.setattr(machine, "_capabilities", lambda: dict.fromkeys(names, True))
        # What oneDNN says itself of x86 and of ARM, as far as this one can.
        monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)

    return make


@pytest.mark.parametrize(
    "isa, left, bfloat16, fast_bytes",
    [
        ("SSE41", [], False, False),
        ("AVX2", FULL[:1], False, True),
        ("avx2", FULL[:1], False, True),
        ("AVX2_VNNI", FULL[:1], False, True),
        ("AVX512_CORE", FULL[:2], False, True),
        ("AVX512_CORE_VNNI", FULL[:3], False, True),
        ("AVX512_CORE_BF16", FULL[:4], True, True),
        ("AVX512_CORE_AMX", FULL, True, True),
        ("ALL", FULL, True, True),
        ("", FULL, True, True),
    ],
)
def test_the_variable_takes_instructions_away(processor, monkeypatch, isa, left, bfloat16, fast_bytes):
    """With AVX512_CORE and AVX512_CORE_VNNI oneDNN still says that it supports bfloat16, and emulates it."""
    processor("x86_64", *FULL)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", isa)
    assert machine.instructions() == left
    assert (machine.limit() is None) == (left == FULL)
    assert machine.multiplies_bfloat16() == bfloat16 == machine.fuses(torch.bfloat16)
    assert machine.multiplies_bytes() == fast_bytes == machine.fuses(torch.float32)
    assert choose_dtype("auto") == (torch.bfloat16 if bfloat16 else torch.float32)
    assert not machine.fuses(torch.float16)


def test_a_processor_gets_nothing_by_a_variable_that_allows_more_than_it_has(processor, monkeypatch):
    processor("AMD64", "avx2")
    monkeypatch.setenv("DNNL_MAX_CPU_ISA", "AVX512_CORE_BF16")
    assert machine.instructions() == ["avx2"] and not machine.multiplies_bfloat16()


def test_arm_is_left_to_torch(processor, monkeypatch, tiny_backbones):
    processor("aarch64", "neon", "bf16", "i8mm", "dot")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert machine.instructions() == ["neon", "dot", "i8mm", "bf16"] and machine.limit() is None
    assert not machine.multiplies_bytes() and choose_dtype("auto") == torch.float32
    assert kinds("cpu") == ["float32", "bfloat16"], "measured, since it is not emulated"
    backbone = build(tiny_backbones["llama"]).merge().backbone
    for dtype in (torch.float32, torch.bfloat16):
        assert not machine.fuses(dtype)
        assert to_fused(backbone.to(dtype)) == 0
    with pytest.raises(VanerError, match="not faster on this processor"):
        to_int8(backbone)


def test_a_torch_that_knows_less_of_the_processor_is_asked_what_it_knows(monkeypatch):
    older = {
        "_is_avx2_supported": lambda: True,
        "_is_avx512_supported": lambda: True,
        "_is_vnni_supported": lambda: False,
        "_is_amx_tile_supported": lambda: False,
    }
    monkeypatch.setattr(torch, "cpu", types.SimpleNamespace(**older))
    found = machine._capabilities()
    assert found["avx2"] is True and found["avx512_vnni"] is False
    assert found["avx512_bf16"] is False, "a release that cannot be asked says no"


def test_a_rate_is_measured_for_each_kind_that_is_not_emulated():
    found = kinds("cpu")
    assert found[0] == "float32" and ("int8" in found) == machine.multiplies_bytes()
    assert all(rate(kind, "cpu", seconds=0.01) > 1e6 for kind in found)


# --- lesser processors, as real ones are simulated: the variables are read when a process first multiplies ---

_SCRIPT = """
import torch
from vaner.kernels.fused import FusedMLP
from vaner.kernels.int8 import Int8Linear, Int8MLP, weight_limit
from vaner.kernels.machine import multiplies_bfloat16, multiplies_bytes
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaMLP
torch.set_grad_enabled(False)
x, weight = torch.ones(7, 96), torch.full((40, 96), 0.5)
right = lambda limit: bool(((Int8Linear(weight, limit=limit)(x) - 48).abs() < 0.5).all())
print(weight_limit(), right(None), right(127), multiplies_bytes(), multiplies_bfloat16())
torch.manual_seed(0)
mlp = LlamaMLP(LlamaConfig(hidden_size=96, intermediate_size=256))
x = torch.randn(30, 96)
expected = mlp(x)
off = lambda other: float((other(x) - expected).norm() / expected.norm())
print(off(FusedMLP(mlp)), off(Int8MLP(mlp)))
"""


def on(isa: str, script: str) -> list[list[str]]:
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": isa, "ATEN_CPU_CAPABILITY": "avx2"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


@pytest.mark.skipif("avx2" not in machine.instructions(), reason="no AVX2 here")
@pytest.mark.parametrize(
    "isa, needs",
    [
        ("AVX2", "avx2"),
        pytest.param("AVX512_CORE", "avx512_f", marks=pytest.mark.slow),
        pytest.param("AVX512_CORE_VNNI", "avx512_vnni", marks=pytest.mark.slow),
        pytest.param("AVX512_CORE_BF16", "avx512_bf16", marks=pytest.mark.slow),
    ],
)
def test_every_path_is_right_on_a_lesser_processor(isa, needs):
    """A matrix whose products do not fit into 16 bits is wrong with weights of 8 bits there, and right with ours."""
    if needs not in machine.instructions():
        pytest.skip(f"this processor has no {needs}")
    sums = "VNNI" in isa or "BF16" in isa
    chosen, errors = on(isa, _SCRIPT)
    assert chosen == ["127" if sums else "64", "True", str(sums), "True", str("BF16" in isa)]
    fused, small = map(float, errors)
    assert fused < 1e-5 and 1e-4 < small < 0.04
