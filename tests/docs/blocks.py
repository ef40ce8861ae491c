"""In: a page. Out: its blocks of code, each with its language and the mark that stands before it.

A mark is an HTML comment on the line before the block, which no reader sees:

    <!-- not run: needs 8 GPUs -->     the block is not run, and why; names and flags in it must exist all the same
    <!-- slow -->                      it needs a real model or a minute: it is run by the slow tests
    <!-- slow: CORPORA -->             the same, where VANER_DATA names the corpora
    <!-- output -->                    what the blocks before it printed has these lines, in this order
    <!-- file: NAME -->                it is written as NAME, for the blocks behind it
    <!-- parsed as: KIND -->           a study, a prompt, a registry or instructions: our own parser takes it

A block of python or bash without a mark is run by the fast tests, and one of yaml or json is parsed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

from tests.conftest import ROOT

#: Pages whose blocks are run.
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "benchmarks/README.md", "data/README.md")),
        *(ROOT / "docs").rglob("*.md"),
    ]
)
#: Pages that a program wrote, for whoever reads them where they lie: names and flags in them must exist.
WRITTEN = sorted([*(ROOT / "data" / "models").glob("*/README.md"), *(ROOT / "kb").rglob("README.md")])

RUN = ("python", "bash")
PARSED = ("yaml", "json")
NOT_RUN, SLOW, OUTPUT, FILE, PARSED_AS = "not run", "slow", "output", "file", "parsed as"
CORPORA = "CORPORA"
#: What each mark says behind its colon: nothing, nothing or something, something.
MARKS = {NOT_RUN: "some", SLOW: "either", OUTPUT: "none", FILE: "some", PARSED_AS: "some"}

# What installs, fetches, or waits for ever: no test may do it.
_REACHES = re.compile(
    r"^\s*(?:python -m )?(pip|curl|wget|docker|git|make|sbatch|ssh|sudo|apt(?:-get)?)\b|-m vaner (serve)\b",
    re.MULTILINE,
)
_COMMENT = re.compile(r"<!--\s*(?P<mark>[^:>]+?)\s*(?::\s*(?P<said>.+?))?\s*-->\s*$")
_MARKDOWN = MarkdownIt("commonmark")


@dataclass(frozen=True)
class Block:
    """A block of code; ``line`` is the first of its code, counted from 1."""

    page: Path
    line: int
    language: str
    code: str
    fenced: bool = True
    mark: str = ""
    said: str = ""

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT) if self.page.is_relative_to(ROOT) else self.page}:{self.line}"

    @property
    def is_run(self) -> bool:
        return self.language in RUN and self.mark in ("", SLOW)


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    lines = text.split("\n")
    found = []
    for token in _MARKDOWN.parse(text):
        if token.type not in ("fence", "code_block") or token.map is None:
            continue
        start = token.map[0]
        before = next((line for line in reversed(lines[:start]) if line.strip()), "")
        comment = _COMMENT.search(before)
        fenced = token.type == "fence"
        found.append(
            Block(
                page,
                start + 1 + fenced,
                token.info.strip(),
                token.content,
                fenced,
                comment["mark"] if comment else "",
                (comment["said"] or "") if comment else "",
            )
        )
    return found


def complaint(block: Block) -> str | None:
    """Why a block is neither run nor honestly left out; None where it is one or the other."""
    if not block.fenced:
        return "is indented code; write it between ``` and ```, with its language (text where it is none)"
    if block.language not in (*RUN, *PARSED, "text"):
        return f"has the language {block.language!r}; choose {', '.join((*RUN, *PARSED, 'text'))}"
    if block.is_run and block.language == "bash" and (word := _REACHES.search(block.code)):
        return f"has {word[1] or word[2]}, which no test may run; say <!-- not run: why -->"
    if not block.mark:
        return (
            "is text without a mark; say <!-- not run: what it is -->" if block.language == "text" else None
        )
    if block.mark not in MARKS:
        return f"has the mark {block.mark!r}; choose {', '.join(MARKS)}"
    wanted = MARKS[block.mark]
    if wanted == "some" and len(block.said) < 3:
        return f"is marked {block.mark!r} without more; say <!-- {block.mark}: ... -->"
    if wanted == "none" and block.said:
        return f"is marked {block.mark!r} and {block.said!r} is more than that takes"
    if block.mark == SLOW and block.said not in ("", CORPORA):
        return f"is marked 'slow: {block.said}'; slow takes nothing, or {CORPORA}"
    if block.mark == SLOW and block.language not in RUN:
        return f"is {block.language}, which is not run: not slow either"
    if block.mark == OUTPUT and block.language not in ("text", "json"):
        return f"is output and {block.language}; write text"
    return None
