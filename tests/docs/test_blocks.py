"""In: README and the pages of docs/. Out: every block of code runs, or says why it does not and names what exists."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.docs import commands, names
from tests.docs.blocks import FILE, PAGES, PARSED, PARSED_AS, SLOW, WRITTEN, Block, blocks, complaint
from tests.docs.prepared import prepare
from tests.docs.running import run
from vaner.tagging import loading


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def kept_to(blocks: list[Block]) -> list[str]:
    """What is wrong with blocks before any of them runs."""
    said = []
    for block in blocks:
        if said_of_it := complaint(block):
            said.append(f"{block.where}: {said_of_it}")
    return said


def existing(blocks: list[Block]) -> list[str]:
    """Names, flags, files and extras in blocks that do not exist."""
    said = []
    for block in blocks:
        check = {"python": names.complaints, "bash": commands.complaints}.get(block.language)
        if check:
            said += [f"{block.where}: {one}" for one in check(block.code)]
    return said


def _study(path: Path) -> None:
    from vaner.study.settings import StudySettings

    StudySettings.load(path)


def _prompt(path: Path) -> None:
    from vaner.prompting.settings import PromptSettings

    PromptSettings.load(path)


def _registry(path: Path) -> None:
    from vaner.corpora.registry import read_registry

    read_registry(path)


def _instructions(path: Path) -> None:
    from vaner.annotation.instructions import Instructions

    Instructions.load(path)


PARSERS: dict[str, Callable[[Path], None]] = {
    "study": _study,
    "prompt": _prompt,
    "registry": _registry,
    "instructions": _instructions,
}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_is_run_or_says_why_not(page):
    assert kept_to(blocks(page)) == []


@pytest.mark.parametrize("page", [*PAGES, *WRITTEN], ids=name)
def test_what_blocks_name_exists(page):
    assert existing(blocks(page)) == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_what_sentences_name_exists(page):
    assert names.in_prose(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", [p for p in PAGES if any(b.language in PARSED for b in blocks(p))], ids=name)
def test_what_is_shown_of_files_is_parsed(page, tmp_path):
    for block in blocks(page):
        if block.language not in PARSED or block.mark not in ("", FILE, PARSED_AS):
            continue
        # YAML has JSON in it; of JSON Lines each line is some.
        for part in [block.code] if block.language == "yaml" else _json_lines(block.code):
            yaml.safe_load(part)
        if block.mark == PARSED_AS:
            # Paths in such a file are relative to it: where the shipped ones lie.
            folder = tmp_path / "configs" / block.said
            folder.mkdir(parents=True, exist_ok=True)
            if not (tmp_path / "configs" / "prompts").exists():
                (tmp_path / "configs" / "prompts").symlink_to(ROOT / "configs" / "prompts")
            (folder / "shown.yaml").write_text(block.code, encoding="utf-8")
            PARSERS[block.said](folder / "shown.yaml")


def _json_lines(code: str) -> list[str]:
    try:
        json.loads(code)
    except json.JSONDecodeError:
        return [json.dumps(json.loads(line)) for line in code.splitlines()]
    return [code]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    # What pages say holds on a machine without corpora; CORPORA is named where they are needed.
    monkeypatch.delenv("VANER_DATA", raising=False)
    # A tagger that a page registers is gone with the page.
    monkeypatch.setattr(loading, "_LOADERS", dict(loading._LOADERS))
    return tmp_path


FAST = [page for page in PAGES if any(block.is_run and block.mark != SLOW for block in blocks(page))]
SLOW_PAGES = [page for page in PAGES if any(block.mark == SLOW for block in blocks(page))]


@pytest.mark.parametrize("page", FAST, ids=name)
def test_blocks_run(page, folder):
    run(blocks(page), folder, slow=False)


@pytest.mark.slow
@pytest.mark.parametrize("page", SLOW_PAGES, ids=name)
def test_slow_blocks_run(page, folder):
    said = run(blocks(page), folder, slow=True)
    if page.name == "own-corpus.md":
        assert "known before: Disease on " in said and "micro" in said
        assert (folder / "runs" / "mine" / "README.md").is_file()
        assert "<mark" in (folder / "tagged.html").read_text(encoding="utf-8")
