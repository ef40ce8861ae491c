"""In: the package's source. Out: stages import earlier stages only, and the light ones do without torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import vaner

PACKAGE = Path(vaner.__file__).parent

# Each may import those before it; packages are taken whole. A new stage is put where its data comes by.
ORDER = """
errors progress
document
segment formats
abbreviations knowledge
ade corpora counting leakage
instructions dense
pairing metrics bootstrap agreement mistakes report
decode
features batching hints mixture
grouped attention arguments gathering
config backbone provenance card
heads lora merging fused int8 workers adapting model
tagging
trainer record training
cli
""".split()

LIGHT = [
    "document",
    "formats",
    "knowledge",
    "instructions",
    "decode",
    "metrics",
    "segment",
    "corpora",
    "config",
]

SOURCES = sorted(PACKAGE.rglob("*.py"))


def stage(path: Path) -> str:
    """``formats`` for ``vaner/formats/bioc.py``, ``decode`` for ``vaner/decode.py``."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> set[str]:
    """The stages that a source imports, wherever in it; the bare package (its version) is none."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the whole path"
            if node.module == "vaner":
                found |= {f"vaner.{alias.name}" for alias in node.names}
            else:
                found.add(node.module or "")
    stages = {name.split(".")[1] for name in found if name.startswith("vaner.")}
    return {s for s in stages if (PACKAGE / s).is_dir() or (PACKAGE / f"{s}.py").is_file()}


IMPORTS: dict[str, set[str]] = {}
for _path in SOURCES:
    _name = stage(_path)
    _tree = ast.parse(_path.read_text(encoding="utf-8"))
    IMPORTS[_name] = IMPORTS.get(_name, set()) | imported(_tree) - {_name}


def test_every_stage_has_its_place():
    assert set(IMPORTS) - {"__init__", "__main__"} - set(ORDER) == set(), "put the new stage into ORDER"
    assert len(set(ORDER)) == len(ORDER)


@pytest.mark.parametrize("name", [n for n in ORDER if n in IMPORTS])
def test_imports_run_one_way(name):
    later = ORDER[ORDER.index(name) :]
    assert IMPORTS[name].isdisjoint(later), f"{name} imports {sorted(IMPORTS[name].intersection(later))}"


def test_decoding_and_scores_know_documents_only():
    assert IMPORTS["decode"] <= {"errors", "document"}
    assert IMPORTS["metrics"] <= {"errors", "document", "segment", "pairing"}


def test_only_the_assemblers_know_the_model():
    users = {name for name, stages in IMPORTS.items() if stages & {"model", "tagging"}}
    assert users <= {"__init__", "tagging", "trainer", "training", "cli"}


def test_the_package_itself_loads_the_tagger_only_when_asked_for():
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    top = ast.Module([n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)], [])
    assert imported(top) <= {"document", "errors"}


def test_reading_scoring_and_matching_do_without_torch():
    script = f"""
import importlib, sys
for name in {LIGHT}:
    importlib.import_module("vaner." + name)
    heavy = sorted({{"torch", "transformers"}} & set(sys.modules))
    assert not heavy, f"vaner.{{name}} imports {{heavy}}"
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_each_file_says_what_goes_in_and_what_comes_out(path):
    if path.name == "__main__.py" or path == PACKAGE / "__init__.py":
        return
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    assert said.startswith("In: ") and "Out: " in said.split("\n\n")[0]


def test_tagging_does_without_peft():
    script = "import sys; import vaner; vaner.Vaner; assert 'peft' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
