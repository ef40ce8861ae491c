"""In: this machine and installation. Out: what they have, what a tagger will use and why, what would be faster.

Nothing here may fail because something else is broken: each part is told on its own, or why it cannot be told.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vaner import provenance
from vaner.files import cache_folder

HELP = "what this machine has, what a tagger will use and why, what would be faster"

# Less than this is not worth a change.
_WORTH = 1.2
_BACKBONE = "smollm2-135m"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(args: argparse.Namespace) -> int:
    found = examine()
    print(json.dumps(found, indent=2) if args.json else "\n".join(page(found)))
    return 0


def examine() -> dict[str, Any]:
    """Everything, as JSON can hold it; a part that could not be told is ``{"error": why}``."""
    found: dict[str, Any] = {}
    parts: list[tuple[str, Callable[[], dict[str, Any]]]] = [
        ("processor", _processor),
        ("memory", _memory),
        ("packages", lambda: provenance.versions()),
        ("cache", _cache),
        ("torch", _torch),
        ("imports", _imports),
        ("rates", _rates),
        ("tagging", _tagging),
    ]
    for name, tell in parts:
        try:
            found[name] = tell()
        except (ImportError, OSError, RuntimeError, AttributeError, ValueError) as error:
            # A broken installation is what this command is for.
            found[name] = {"error": _one_line(error)}
    found["advice"] = advice(found)
    return found


def _processor() -> dict[str, Any]:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "name": names[0] if names else platform.processor() or "unknown",
        "architecture": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "usable_cores": _usable_cores(),
        # Processes that ran or waited to run, on average over the last minute.
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
    }


def _usable_cores() -> int:
    """Those that this process may run on, and no more than a container's quota."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    quota = _read("/sys/fs/cgroup/cpu.max").split()
    if len(quota) == 2 and quota[0].isdigit():
        return max(1, min(len(allowed), int(quota[0]) // int(quota[1])))
    return len(allowed)


def _memory() -> dict[str, Any]:
    if not hasattr(os, "sysconf"):
        return {}
    found: dict[str, Any] = {"gb": _gb(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))}
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            found["available_gb"] = _gb(int(line.split()[1]) * 1024)
    limit = _read("/sys/fs/cgroup/memory.max").strip()
    if limit.isdigit():
        found["limit_gb"] = _gb(int(limit))
    return found


def _cache() -> dict[str, Any]:
    folder = cache_folder()
    present = (folder / "backbones" / _BACKBONE / "config.json").is_file()
    return {"folder": str(folder), "backbone": _BACKBONE, "present": present}


def _torch() -> dict[str, Any]:
    import torch

    from vaner.kernels.machine import instructions, limit

    found: dict[str, Any] = {
        "instructions": instructions(),
        "limit": limit(),
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "onednn": torch.backends.mkldnn.is_available(),
        "cuda": torch.version.cuda,
        "accelerator": None,
        # Its driver is here, whether or not torch can use it.
        "nvidia": shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia").exists(),
    }
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        found["accelerator"] = {"name": properties.name, "memory_gb": _gb(properties.total_memory)}
    return found


def _imports() -> dict[str, Any]:
    """Whether what tagging and training stand on can be imported: ``{package: "" or why not}``."""
    found = {}
    for package in ("numpy", "tokenizers", "safetensors", "transformers", "peft", "accelerate"):
        try:
            __import__(package)
            found[package] = ""
        except (ImportError, OSError, RuntimeError, AttributeError, ValueError) as error:
            found[package] = _one_line(error)
    return found


def _rates() -> dict[str, Any]:
    import torch

    from vaner.kernels.rates import kinds, rate

    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    # In GFLOP/s, so that a slow machine's are no zeros.
    return {
        device: {kind: round(rate(kind, device) / 1e9, 1) for kind in kinds(device)} for device in devices
    }


def _tagging() -> dict[str, Any]:
    import torch

    from vaner.kernels.int8 import is_supported, weight_limit
    from vaner.kernels.machine import fuses
    from vaner.model.adapting import choose_dtype
    from vaner.tagging.labeler import ACCELERATOR_BATCH_TOKENS, CPU_BATCH_TOKENS
    from vaner.tagging.threads import workers

    device = "cuda" if torch.cuda.is_available() else "cpu"
    on_cpu = device == "cpu"
    dtype = choose_dtype("auto", device)
    name = str(dtype).removeprefix("torch.")
    fused = on_cpu and fuses(dtype)
    threads = torch.get_num_threads()
    reading = workers(torch.device(device), threads)
    int8 = on_cpu and is_supported()
    if not on_cpu:
        why_dtype = "what the accelerator multiplies fastest without losing range or precision"
    elif name == "bfloat16":
        why_dtype = "this processor multiplies it natively, twice as fast as float32 or more"
    else:
        why_dtype = "this processor has no instructions for bfloat16 products, or oneDNN may not use them"
    return {
        "device": device,
        "dtype": name,
        "why_dtype": why_dtype,
        "fused": fused,
        "why_fused": "oneDNN's are faster here" if fused else "they are for x86 with AVX2 at least",
        "int8": int8,
        "int8_weight_bits": (8 if weight_limit() == 127 else 7) if int8 else None,
        "threads": threads,
        "batches_at_a_time": reading,
        "batch_tokens": CPU_BATCH_TOKENS if on_cpu else ACCELERATOR_BATCH_TOKENS,
    }


def advice(found: dict[str, Any]) -> list[str]:
    """What to install or set, one line each, most useful first."""
    said = []
    processor, torch, tagging = found["processor"], found["torch"], found["tagging"]
    broken: dict[str, list[str]] = {}
    for name, part in found.items():
        if "error" in part:
            broken.setdefault(part["error"], []).append(name)
    for why, names in broken.items():
        said.append(
            f"{', '.join(names)} cannot be told ({why}); pip install --force-reinstall vaner, or a clone's ."
        )
    for package, why in found["imports"].items():
        if why and package != "error":
            said.append(f"{package} cannot be imported ({why}); pip install --force-reinstall {package}")
    if torch.get("limit"):
        said.append(
            f"{torch['limit']} takes instructions away from oneDNN; unset the variable to use all that there are"
        )
    if os.environ.get("ATEN_CPU_CAPABILITY"):
        said.append(
            f"ATEN_CPU_CAPABILITY={os.environ['ATEN_CPU_CAPABILITY']} is set; torch may use no more than "
            f"{torch.get('vectors')}: unset it to use all that there is"
        )
    if torch.get("nvidia") and not torch.get("accelerator"):
        do = "check the driver" if torch["cuda"] else "install a torch with CUDA (pytorch.org)"
        said.append(f"an NVIDIA driver is here, but torch cannot use it; {do}")
    cores, threads = processor.get("usable_cores"), torch.get("threads")
    if cores and threads and threads < cores and not (torch["accelerator"] or _fills_cores(threads)):
        said.append(f"torch uses {threads} of {cores} cores; unset OMP_NUM_THREADS, or set it to {cores}")
    if cores and threads and threads > cores:
        said.append(f"torch has {threads} threads for {cores} cores; set OMP_NUM_THREADS={cores}")
    load = processor.get("load")
    if cores and load and load > cores:
        said.append(f"{load} processes share {cores} cores: alone this would be faster, and the rates higher")
    rates = found["rates"].get("cpu")
    if rates and tagging.get("device") == "cpu":
        used = tagging["dtype"]
        for kind, flag in (("bfloat16", "--dtype bfloat16"), ("int8", "--quantization int8")):
            gain = rates.get(kind, 0) / rates[used]
            if kind != used and gain > _WORTH:
                cost = (
                    ", the whole of tagging less so; F1 stays within a few tenths" if kind == "int8" else ""
                )
                said.append(
                    f"{flag}: products in {kind} are {gain:.1f} times as fast here as in {used}{cost}"
                )
    if not found["cache"].get("present", True):
        said.append(f"the backbone {_BACKBONE} is not here yet; the first tagger fetches it (93 MB, once)")
    return said


def page(found: dict[str, Any]) -> list[str]:
    """What `examine` found, in lines for people."""
    lines = []

    def say(title: str, text: str) -> None:
        lines.append(f"{title:<14}{text}")

    def told(part: str) -> dict[str, Any] | None:
        if "error" in found[part]:
            say(part, f"cannot be told: {found[part]['error']}")
            return None
        return found[part]

    if one := told("processor"):
        cores = f"{one['usable_cores']} of {one['cores']} cores usable"
        say("processor", f"{one['name']} ({one['architecture']}), {cores}")
    if one := told("torch"):
        held = f" (no more by {one['limit']})" if one["limit"] else ""
        say("instructions", (", ".join(one["instructions"]) or "none that matter here") + held)
        say("threads", f"{one['threads']} of torch")
        gpu = one["accelerator"]
        say("accelerator", f"{gpu['name']}, {gpu['memory_gb']} GB" if gpu else "none that torch can use")
    if one := told("memory"):
        extra = [f"{one[key]} GB {word}" for key, word in _WORDS.items() if key in one]
        say("memory", ", ".join(extra))
    if one := told("rates"):
        for device, of in one.items():
            rates = ", ".join(f"{kind} {value:,.0f}" for kind, value in of.items())
            say(f"rate, {device}", f"{rates} GFLOP/s")
    if one := told("packages"):
        say("versions", ", ".join(f"{name} {version}" for name, version in one.items()))
    if one := told("cache"):
        say("cache", f"{one['folder']} (backbone {one['backbone']} {'' if one['present'] else 'not '}there)")
    if one := told("tagging"):
        fused = "fused products" if one["fused"] else "no fused products"
        say("tagging uses", f"{one['dtype']} on {one['device']}: {one['why_dtype']}")
        say("", f"{fused}: {one['why_fused']}")
        say("", f"{one['batches_at_a_time']} batches of {one['batch_tokens']:,} tokens at a time")
        if one["int8"]:
            say("", f"on demand int8, weights of {one['int8_weight_bits']} bits (--quantization int8)")
    told("imports")
    for number, line in enumerate(found["advice"]):
        say("" if number else "to be faster", line)
    if not found["advice"]:
        say("to be faster", "nothing to install or to set")
    return lines


_WORDS = {"gb": "in all", "available_gb": "available", "limit_gb": "allowed"}


def _fills_cores(threads: int) -> bool:
    """Whether torch has a thread for each physical core, which is all that products gain from."""
    pairs = set()
    for path in Path("/sys/devices/system/cpu").glob("cpu[0-9]*/topology/thread_siblings_list"):
        pairs.add(_read(str(path)).strip())
    return 0 < len(pairs) <= threads


def _gb(size: int) -> float:
    return round(size / 1e9, 1)


def _read(path: str) -> str:
    """A file of the system; empty where there is none."""
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _one_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
