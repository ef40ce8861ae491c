"""The commands of docs/own-corpus.md run as they stand, one after the other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

PAGE = ROOT / "docs" / "own-corpus.md"


@pytest.mark.slow
def test_the_walk_from_a_folder_of_brat_to_a_model(tmp_path):
    for name in ("data", "train.py", "predict.py"):
        (tmp_path / name).symlink_to(ROOT / name)
    environment = {k: v for k, v in os.environ.items() if k not in ("VANER_DATA", "OMP_NUM_THREADS")}
    environment |= {"MINUTES": "0.5", "PYTHONPATH": str(ROOT)}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    blocks = re.findall(r"```bash\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) == 4
    said = ""
    for block in blocks:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        said += done.stdout + done.stderr
    assert "known before: Disease on " in said and "micro" in said
    assert (tmp_path / "runs" / "mine" / "README.md").is_file()
    assert "<mark" in (tmp_path / "tagged.html").read_text(encoding="utf-8")
