"""In: the blocks of a page, a folder. Out: what they printed; a block that fails stops it, by page and line.

Python runs in this process, all blocks of a page in one namespace. So do commands of ours that need no shell, since a
process with torch takes seconds to start; other bash runs as `bash -euo pipefail`, a process a block.
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.docs.blocks import CORPORA, FILE, OUTPUT, RUN, SLOW, Block, complaint
from tests.docs.commands import alone
from vaner.cli import main


def run(blocks: list[Block], folder: Path, *, slow: bool) -> str:
    """Run what is to be run, in order, in ``folder``, which is the working directory; write files, compare output."""
    namespace: dict[str, object] = {"__name__": "__docs__"}
    printed = ""
    checked = False
    for block in blocks:
        if wrong := complaint(block):
            pytest.fail(f"{block.where}: {wrong}")
        if block.mark == FILE:
            path = folder / block.said
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.code, encoding="utf-8")
        elif block.mark == OUTPUT:
            if checked and (missing := absent(block.code, printed)):
                pytest.fail(f"{block.where}: was not printed: {missing!r}; printed was\n{printed}")
        elif block.language in RUN:
            checked = block.is_run and (slow or block.mark != SLOW)
            if block.said == CORPORA and not (folder / CORPORA).exists():
                checked = False
            if checked:
                printed += _python(block, namespace) if block.language == "python" else _bash(block, folder)
    return printed


def absent(expected: str, printed: str) -> str | None:
    """The first line that was not printed behind those before it.

    ``...`` stands for any lines, and at the end of a line for the rest of it.
    """
    lines = iter([line.strip() for line in printed.splitlines()])
    for line in expected.splitlines():
        wanted = line.strip()
        begins = wanted.removesuffix(" ...")
        if wanted in ("", "...") or any(
            one == wanted or (begins != wanted and one.startswith(begins)) for one in lines
        ):
            continue
        return wanted
    return None


def _python(block: Block, namespace: dict[str, object]) -> str:
    out = io.StringIO()
    # The line numbers of the page, in tracebacks too.
    code = compile("\n" * (block.line - 1) + block.code, str(block.page), "exec")
    with contextlib.redirect_stdout(out):
        try:
            exec(code, namespace)
        except Exception:
            pytest.fail(f"{block.where}: {traceback.format_exc()}")
    return out.getvalue()


def _ours(block: Block, words: list[str]) -> str:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            status = main(words)
        except SystemExit as ended:
            status = ended.code
    if status:
        pytest.fail(f"{block.where}: {' '.join(words)}: status {status}\n{said.getvalue()[-2000:]}")
    return said.getvalue()


def _bash(block: Block, folder: Path) -> str:
    if (ours := alone(block.code)) is not None:
        return "".join(_ours(block, words) for words in ours)
    environment = {k: v for k, v in os.environ.items() if k not in ("VANER_DATA", "OMP_NUM_THREADS")}
    environment |= {"PYTHONPATH": str(ROOT), "MINUTES": "0.5", "PIP_NO_INDEX": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        pytest.fail(f"{block.where}: status {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return done.stdout + done.stderr
