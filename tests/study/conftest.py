"""In: tiny models, the corpora that are shipped. Out: study files of them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import yaml

from tests.training import tiny_lm
from vaner.study import data
from vaner.study.cells import cells, not_asked
from vaner.study.folder import StudyFolder
from vaner.study.settings import StudySettings

FLAGS = {
    "cap": 4,
    "evaluations": 2,
    "eval_documents": 1,
    "logging_steps": 1,
    "dtype": "float32",
    "use_cpu": True,
    "lora_r": 4,
    "batch_tokens": 512,
    "max_words": 24,
}


@pytest.fixture(scope="session")
def tiny(tmp_path_factory, tiny_backbones):
    """Folders of a tiny encoder and a tiny language model."""
    return SimpleNamespace(bert=tiny_backbones["bert"], lm=tiny_lm.make(tmp_path_factory.mktemp("lm")))


@pytest.fixture(scope="session")
def arms(tiny):
    """An arm of every kind; of those that generate two, of one training."""
    generates = {"backbone": tiny.lm, "max_tokens": 1200, "batch_tokens": 2400, "evaluations": 0}
    prompt = {
        "backend": {"name": "transformers", "model": tiny.lm},
        "store": "none",
        "decoding": "free",
        "max_words": 24,
        "budget": {"max_tokens": 8},
        "shots": {"k": 1, "from": "@corpus"},
    }
    return {
        "encoder": {"kind": "labels", "flags": {"backbone": tiny.bert, "adapter": "full", "head_rank": 8}},
        "labels": {"kind": "labels", "flags": {"backbone": tiny.lm, "head_rank": 8}},
        "forced": {"kind": "generates", "flags": generates},
        "free": {"kind": "generates", "model_of": "forced", "decoding": "free", "alignment": "difflib"},
        "prompted": {"kind": "prompted", "prompt": prompt},
        "dictionary": {"kind": "dictionary", "index": "names.kb"},
    }


def write_study(folder, arms, **changed):
    """Write a study's file into a folder; what is given replaces what it has, None removes it."""
    values = {
        "corpora": ["bc5cdr-sample", "bc2gm-sample"],
        "documents": 2,
        "budget": {"updates": 4},
        "flags": FLAGS,
        "arms": arms,
        "cost": {"documents": 1, "repeats": 2, "batch_tokens": [256, 512], "batch_size": [4]},
        **changed,
    }
    path = folder / "study.yaml"
    values = {key: value for key, value in values.items() if value is not None}
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return str(path)


def open_study(file, output):
    """A study whose folder is prepared: its settings, its folder, its cells."""
    settings, folder = StudySettings.load(file), StudyFolder(output)
    folder.prepare()
    before = folder.load()
    folder.same_study(settings, before)
    corpora, _ = data.prepare(settings, folder, before, None)
    left_out = not_asked(settings, {name: one["types"] for name, one in corpora.items()})
    folder.write(settings, corpora, left_out, None)
    every = cells(settings, folder, left_out)
    return SimpleNamespace(file=file, settings=settings, folder=folder, corpora=corpora, cells=every)


@pytest.fixture
def study(tmp_path, arms, make_kb):
    """Writes a study's file."""

    def write(only=None, **changed):
        make_kb(name="names.kb")
        chosen = arms if only is None else {name: arms[name] for name in only}
        return write_study(tmp_path, **{"arms": chosen, **changed})

    return write


@pytest.fixture
def opened(study, tmp_path):
    """Writes a study's file and prepares its folder."""

    def open(only=None, output="run", **changed):
        return open_study(study(only, **changed), tmp_path / output)

    return open
