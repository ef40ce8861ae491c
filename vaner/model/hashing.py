"""In: a folder of a model or of safetensors. Out: the files that are loaded, and one hash of what is in them."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

from vaner.errors import VanerError
from vaner.files import cache_folder, replacing_text, sha256
from vaner.model.config import BACKBONE_FOLDER, CONFIG_NAME

_WEIGHTS = "model.safetensors"
_TOKENISERS = ("tokenizer.json", "tokenizer_config.json")


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
    remembered = cache_folder() / "hashes" / key
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


def model_hash(folder: str | Path) -> str:
    """A hash of all that decides what a model's folder says, the same wherever it lies.

    Of its settings, its tokenizer and its weights; of a backbone that is not in the folder by the hash that the
    settings hold.

    Raises:
        VanerError: weights that are damaged.
    """
    folder = Path(folder)
    digest = hashlib.sha256()
    for file in _settings_of(folder):
        digest.update(f"{file.name} {sha256(file)}\n".encode())
    for part in (folder, folder / BACKBONE_FOLDER):
        if any(part.glob("*.safetensors")):
            digest.update(f"{part.name if part != folder else ''} {weights_hash(part)}\n".encode())
    return digest.hexdigest()


def model_files(folder: Path) -> list[Path]:
    """The files in a model's folder that `model_hash` is a hash of."""
    parts = (folder, folder / BACKBONE_FOLDER)
    return [*_settings_of(folder), *(file for part in parts for file in sorted(part.glob("*.safetensors")))]


def _settings_of(folder: Path) -> list[Path]:
    return [folder / name for name in (CONFIG_NAME, *_TOKENISERS) if (folder / name).is_file()]


def weight_files(folder: Path) -> list[Path]:
    """The files that transformers loads: those of the index, else the one, else all there are.

    A folder may hold others, such as an adapter or the weights again in another layout.

    Raises:
        VanerError: a damaged index, or a file of it that is missing.
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
