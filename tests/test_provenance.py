"""The record of what made a model: versions, commit and hashes, and never where on the machine anything lay."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import re
import subprocess
from pathlib import Path

import pytest

import vaner
from vaner import files, provenance


def sha256(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


# --- versions ---


def test_versions_name_what_a_model_stands_on():
    found = provenance.versions()
    assert found["vaner"] == vaner.__version__ and found["python"] == platform.python_version()
    assert found["machine"] == platform.machine()
    for package in ("torch", "transformers", "peft", "numpy", "tokenizers"):
        assert found[package] == importlib.metadata.version(package)


def test_packages_that_are_not_installed_are_left_out():
    found = provenance.versions(["numpy", "no-such-package-as-this", "pyyaml"])
    assert list(found) == ["vaner", "python", "machine", "numpy", "pyyaml"]
    assert list(provenance.versions([])) == ["vaner", "python", "machine"]


# --- the commit ---


def git(folder: Path, *words: str) -> str:
    person = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *person, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """A repository with one commit, in which the package seems to lie."""
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    root = tmp_path / "checkout"
    (root / "vaner").mkdir(parents=True)
    (root / "vaner" / "__init__.py").write_text("")
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "One")
    monkeypatch.setattr(vaner, "__file__", str(root / "vaner" / "__init__.py"))
    return root


def test_the_commit_is_that_of_the_checkout_wherever_one_works(checkout, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert re.fullmatch("[0-9a-f]{12}", provenance.commit())
    assert git(checkout, "rev-parse", "HEAD").startswith(provenance.commit())


def test_changed_files_are_said(checkout):
    clean = provenance.commit()
    (checkout / "vaner" / "__init__.py").write_text("changed = True\n")
    assert provenance.commit() == f"{clean}-dirty"


def test_installed_there_is_no_commit_although_a_folder_further_up_has_one(checkout, monkeypatch):
    installed = checkout / "lib" / "site-packages" / "vaner"
    installed.mkdir(parents=True)
    monkeypatch.setattr(vaner, "__file__", str(installed / "__init__.py"))
    assert provenance.commit() is None


def test_without_git_or_a_first_commit_there_is_no_commit(checkout, monkeypatch, tmp_path):
    (tmp_path / "new" / "vaner").mkdir(parents=True)
    git(tmp_path / "new", "init", "--quiet")
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(vaner, "__file__", str(tmp_path / "new" / "vaner" / "__init__.py"))
        assert provenance.commit() is None
    assert provenance.commit()
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert provenance.commit() is None


# --- hashes of files ---


@pytest.fixture
def write(tmp_path):
    """Writes files whose content is their name; returns their paths."""

    def write(*names: str) -> list[str]:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(name)
        return [str(tmp_path / name) for name in names]

    return write


def test_a_file_is_called_by_its_name_and_its_folders(write, tmp_path):
    found = provenance.file_hashes(write("deep/down/NCBI/train.tsv"))
    assert found == {"NCBI/train.tsv": sha256("deep/down/NCBI/train.tsv")}


def test_two_files_of_one_name_and_folder_get_as_many_folders_as_tell_them_apart(write):
    names = (
        "NCBI/train.tsv",
        "b/NCBI/train.tsv",
        "x/b/NCBI/train.tsv",
        "y/x/b/NCBI/train.tsv",
        "NCBI/dev.tsv",
    )
    found = provenance.file_hashes(write(*names))
    assert found == {name: sha256(name) for name in names}


def test_a_file_that_is_named_twice_is_there_once(write):
    (path,) = write("NCBI/train.tsv")
    assert provenance.file_hashes([path, path, path.replace("NCBI/", "NCBI/./")]) == {
        "NCBI/train.tsv": sha256("NCBI/train.tsv")
    }


def test_a_path_with_no_more_folders_takes_nobodys_place(write, tmp_path, monkeypatch):
    there, _ = write("x/kb/names.idx", "kb/names.idx")
    monkeypatch.chdir(tmp_path)
    found = provenance.file_hashes([there, "kb/names.idx"])
    assert sorted(found.values()) == sorted([sha256("x/kb/names.idx"), sha256("kb/names.idx")])


def test_a_file_that_is_not_there_is_left_out(write, tmp_path):
    paths = write("NCBI/train.tsv")
    assert list(provenance.file_hashes([str(tmp_path / "NCBI" / "absent.tsv"), *paths])) == ["NCBI/train.tsv"]
    assert provenance.file_hashes([]) == {}


def test_a_folder_is_hashed_by_the_names_and_contents_of_its_files(write, tmp_path):
    write("brat/x.txt", "brat/sub/x.ann")
    folder = str(tmp_path / "brat")

    def hashed() -> str:
        ((name, digest),) = provenance.file_hashes([folder]).items()
        assert name == f"{tmp_path.name}/brat" and digest == files.sha256(folder)
        return digest

    seen = [hashed()]
    (tmp_path / "brat/sub/x.ann").write_text("changed")
    seen.append(hashed())
    (tmp_path / "brat/x.txt").rename(tmp_path / "brat/y.txt")
    seen.append(hashed())
    (tmp_path / "brat/sub/x.ann").rename(tmp_path / "brat/x.ann")
    seen.append(hashed())
    assert len(set(seen)) == 4
    (tmp_path / "brat").rename(tmp_path / "moved")
    assert provenance.file_hashes([str(tmp_path / "moved")]) == {f"{tmp_path.name}/moved": seen[-1]}


def test_no_hash_says_where_on_the_machine_its_file_lay(write, tmp_path):
    names = [f"{'/'.join('abcdefgh'[:n])}/same/file" for n in range(1, 8)]
    found = provenance.file_hashes(write(*names))
    assert len(found) == len(names)
    assert not any(name.startswith("/") or str(tmp_path.parent) in f"/{name}" for name in found)
