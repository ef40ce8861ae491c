"""In: this processor, and what ``ONEDNN_MAX_CPU_ISA`` takes from it. Out: what it multiplies by own instructions.

The variable makes oneDNN behave as on a lesser processor; it reads it once, when a process first multiplies.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping

import torch

_AVX2 = frozenset({"avx2", "fma3"})
_AVX512 = _AVX2 | {"avx512_f", "avx512_bw", "avx512_vl", "avx512_dq"}
_VNNI = _AVX512 | {"avx512_vnni"}
_BF16 = _VNNI | {"avx512_bf16"}
# What each value of the variable leaves; any other leaves all.
_LEFT: dict[str, frozenset[str]] = {
    "SSE41": frozenset(),
    "AVX": frozenset(),
    "AVX2": _AVX2,
    "AVX2_VNNI": _AVX2 | {"avx_vnni"},
    "AVX2_VNNI_2": _AVX2 | {"avx_vnni", "avx_vnni_int8", "avx_ne_convert"},
    "AVX512_CORE": _AVX512,
    "AVX512_CORE_VNNI": _VNNI,
    "AVX512_CORE_BF16": _BF16,
    "AVX512_CORE_FP16": _BF16 | {"avx512_fp16"},
    "AVX10_1_512": _BF16 | {"avx512_fp16"},
}
# What products are made of: names of x86 from the least to the greatest, then those of ARM.
_NAMES = (
    *("avx2", "avx_vnni", "avx512_f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_int8"),
    *("neon", "dot", "i8mm", "bf16", "sve", "sve2", "sme"),
)


def is_x86() -> bool:
    """Whether the processor is of the family that oneDNN's own products are written for."""
    return platform.machine().lower() in ("x86_64", "amd64")


def limit() -> str | None:
    """The variable and its value, as in ``ONEDNN_MAX_CPU_ISA=AVX2``, if it takes anything away."""
    for variable in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        value = os.environ.get(variable, "").upper()
        if value:
            return f"{variable}={value}" if is_x86() and value in _LEFT else None
    return None


def instructions() -> list[str]:
    """Those that matter here, by torch's names: what the processor has and oneDNN may use."""
    has = _capabilities()
    limited = limit()
    left = frozenset(_NAMES) if limited is None else _LEFT[limited.partition("=")[2]]
    return [name for name in _NAMES if has.get(name) and name in left]


def multiplies_bfloat16() -> bool:
    """Whether this CPU has instructions for products in bfloat16, on x86, and oneDNN uses them.

    Where it has none they are emulated, up to hundreds of times slower than float32.
    """
    found = instructions()
    native = is_x86() and ("avx512_bf16" in found or "amx_tile" in found)
    return native and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def multiplies_bytes() -> bool:
    """Whether 8-bit products are faster than float32 ones: AVX2 at least, and a torch that offers them."""
    has_onednn = torch.backends.mkldnn.is_available() and hasattr(torch.ops.onednn, "qlinear_prepack")
    return has_onednn and "avx2" in instructions()


def fuses(dtype: torch.dtype) -> bool:
    """Whether oneDNN's fused products are faster than stock ones in this dtype.

    On x86 they are with AVX2 and float32, and where bfloat16 is multiplied natively; below AVX2 they took twice as
    long as torch's own, and no other processor was tried.
    """
    if not (torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")):
        return False
    if dtype == torch.bfloat16:
        return multiplies_bfloat16()
    return dtype == torch.float32 and "avx2" in instructions()


def _capabilities() -> Mapping[str, object]:
    """What torch knows of this processor, by name; older releases know less."""
    try:
        return torch.cpu.get_capabilities()
    except AttributeError:
        asked = {
            "avx2": "_is_avx2_supported",
            "avx512_f": "_is_avx512_supported",
            "avx512_vnni": "_is_vnni_supported",
            "avx512_bf16": "_is_avx512_bf16_supported",
            "amx_tile": "_is_amx_tile_supported",
        }
        return {name: getattr(torch.cpu, ask, bool)() for name, ask in asked.items()}
