"""Shared by the tests of corpora: a registry of one small corpus, and the folder of whole corpora."""

import os

import pytest
import yaml

from vaner.corpora.registry import read_registry


@pytest.fixture
def data_root():
    if not os.environ.get("VANER_DATA"):
        pytest.skip("VANER_DATA names no folder of corpora")
    return os.environ["VANER_DATA"]


ENTRY = {
    "format": "pubtator",
    "files": {"train": ["x/train.txt"], "test": ["x/test.txt", "y/test.txt"]},
    "types": {"DRUG": "Drug", "Dose": None},
    "granularity": "abstract",
    "pmid": r"(\d+)",
    "licence": "none",
    "citation": "Nobody 2020",
    "url": "https://example.org/x",
}
ABSTRACT = "{id}|t|Aspirin.\n{id}|a|Twice a day the {word} was given to them.\n{id}\t0\t7\tAspirin\tDRUG\n\n"


@pytest.fixture
def write_registry(tmp_path):
    def write(**changes):
        entry = {key: value for key, value in {**ENTRY, **changes}.items() if value != "absent"}
        path = tmp_path / "registry" / "mine.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump({"corpora": {"x-corpus": entry}}), encoding="utf-8")
        return path

    return write


@pytest.fixture
def corpus(write_registry, tmp_path, monkeypatch):
    """A corpus of two abstracts, its root not set."""
    monkeypatch.delenv("VANER_DATA", raising=False)
    (tmp_path / "x").mkdir()
    (tmp_path / "x/train.txt").write_text(
        ABSTRACT.format(id=1, word="tablet") + ABSTRACT.format(id=2, word="pill")
    )
    return read_registry(write_registry())["x-corpus"]
