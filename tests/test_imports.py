"""In: the package's source. Out: stages import earlier stages only, and the light ones do without torch."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import vaner

PACKAGE = Path(vaner.__file__).parent

# Floors of rooms, the lowest first: a room imports those of lower floors, and none beside it on its own. A new room is
# put where its data comes by (docs/design.md). A file of the package itself is a room of its own.
FLOORS = [
    {"errors", "progress", "scores"},
    {"files", "report", "document"},
    {"xml", "provenance", "tagger", "cache"},
    {"vocabularies", "text", "kernels"},
    {"formats", "knowledge"},
    {"corpora", "inputs", "evaluation"},
    {"model"},
    {"prompting"},
    {"tagging"},
    {"jobs"},
    {"training"},
    {"annotation"},
    {"study", "serving", "integrations"},
    {"cli"},
]

# Reading, scoring and knowledge are wanted where torch is not.
LIGHT = [
    "document",
    "tagger",
    "text.units",
    "text.tags",
    "vocabularies.sources",
    "formats",
    "knowledge",
    "corpora.registry",
    "corpora.overlap",
    "corpora.coverage",
    "corpora.origin",
    "inputs.instructions",
    "inputs.batching",
    "inputs.hints",
    "evaluation.run",
    "evaluation.answers",
    "evaluation.calibration",
    "evaluation.thresholds",
    "model.card",
    "model.config",
    "model.publishing",
    "model.scored",
    "prompting.request",
    "prompting.unit",
    "prompting.found",
    "prompting.settings",
    "prompting.opening",
    "prompting.fingerprint",
    "prompting.shots",
    "prompting.retrieval.names",
    "prompting.retrieval.passages",
    "prompting.store",
    "prompting.sending",
    "prompting.prices",
    "prompting.backends.openai",
    "prompting.backends.openai_batch",
    "prompting.backends.llamacpp",
    "prompting.alignment",
    "prompting.grounding",
    "prompting.answers.token_tags",
    "prompting.answers.tags",
    "prompting.answers.inline",
    "prompting.answers.json_mentions",
    "tagging.decode",
    "tagging.loading",
    "tagging.settings",
    "tagging.frames",
    "tagging.opened",
    "integrations.datasets",
    "annotation.annotator",
    "annotation.compiling",
    "annotation.instructions",
    "annotation.loading",
    "annotation.extracting",
    "annotation.drafting",
    "jobs.run",
    "jobs.pool",
    "jobs.ray_pool",
    "jobs.summary",
    "study.results",
    "study.page",
    "annotation.report",
    "annotation.sheets",
    "annotation.merging",
    "study.settings",
    "study.folder",
    "study.data",
    "study.cells",
    "cli.annotate",
    "cli.annotate_merge",
    "cli.annotate_report",
    "cli.answers",
    "cli.calibrate",
    "cli.convert",
    "cli.corpora",
    "cli.distil",
    "cli.evaluate",
    "cli.guideline",
    "cli.kb",
    "cli.export",
    "cli.predict",
    "cli.serve",
    "cli.push",
    "cli.study",
    "cli.tagging_options",
]

SOURCES = sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    """``formats`` for ``vaner/formats/bioc.py``, ``document`` for ``vaner/document.py``."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def modules(tree: ast.AST) -> set[str]:
    """The modules of vaner that a source imports, wherever in it; the bare package (its version) is none."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the whole path"
            base = node.module or ""
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    names = {name.removeprefix("vaner.") for name in found if name.startswith("vaner.")}
    return {
        n for n in names if (p := PACKAGE.joinpath(*n.split("."))).is_dir() or p.with_suffix(".py").is_file()
    }


def rooms(tree: ast.AST) -> set[str]:
    return {name.split(".")[0] for name in modules(tree)}


MODULES = {path: modules(ast.parse(path.read_text(encoding="utf-8"))) for path in SOURCES}
IMPORTS: dict[str, set[str]] = {}
for _path, _found in MODULES.items():
    IMPORTS.setdefault(room(_path), set()).update({n.split(".")[0] for n in _found} - {room(_path)})


def test_every_room_has_its_floor():
    listed = [name for floor in FLOORS for name in floor]
    assert len(set(listed)) == len(listed)
    assert set(IMPORTS) - {"__init__", "__main__"} == set(listed), "put the new room on its floor in FLOORS"


@pytest.mark.parametrize("name", sorted(set(IMPORTS) - {"__init__", "__main__"}))
def test_imports_run_one_way(name):
    own = next(i for i, floor in enumerate(FLOORS) if name in floor)
    lower = set().union(*FLOORS[:own])
    assert IMPORTS[name] <= lower, f"{name} imports {sorted(IMPORTS[name] - lower)}"


def test_no_two_files_import_each_other_in_a_circle():
    names = {".".join(p.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): f
             for p, f in MODULES.items()}  # fmt: skip
    state: dict[str, int] = {}

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert state.get(name) != 1, f"a circle: {' -> '.join((*way, name))}"
        if state.get(name) is None and name in names:
            state[name] = 1
            for other in sorted(names[name]):
                # A package's __init__ may take names from its own files, and they find it there.
                if other != name and not name.startswith(f"{other}."):
                    visit(other, (*way, name))
            state[name] = 2

    for name in names:
        visit(name, ())


def test_the_documentation_draws_these_floors():
    page = (PACKAGE.parent / "docs" / "design.md").read_text(encoding="utf-8")
    drawing = page.partition("\ncli  ")[2].partition("```")[0]
    drawn = [re.findall(r"\w+", line.partition("   ")[0]) for line in f"cli  {drawing}".strip().splitlines()]
    assert [set(floor) for floor in reversed(drawn)] == FLOORS


def test_decoding_and_scores_know_documents_only():
    decoding = MODULES[PACKAGE / "tagging" / "decode.py"]
    assert {n.split(".")[0] for n in decoding} <= {"errors", "scores", "document", "text"}
    counting = MODULES[PACKAGE / "evaluation" / "metrics.py"]
    assert {n.split(".")[0] for n in counting} <= {"errors", "document", "text", "evaluation"}


def test_only_the_assemblers_know_the_model():
    users = {name for name, found in IMPORTS.items() if found & {"model", "tagging"}}
    assert users <= {
        "__init__",
        "prompting",
        "tagging",
        "jobs",
        "training",
        "annotation",
        "study",
        "serving",
        "integrations",
        "cli",
    }


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.glob("cli/*.py")) + sorted(PACKAGE.glob("evaluation/*.py")), ids=str
)
def test_commands_and_scores_know_taggers_by_their_protocol_only(path):
    """They name no kind of tagger, and ask none what it is or has."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    assert not named & {"Vaner", "DictionaryTagger"} or path.name == "kb.py", (
        "kb match is the dictionary's own command"
    )
    for call in (n for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)):
        if call.func.id in ("hasattr", "getattr", "isinstance"):
            asked = {n.id for n in ast.walk(call) if isinstance(n, ast.Name)}
            assert not asked & {"tagger", "baseline"}, ast.unparse(call)


def test_the_package_itself_loads_the_tagger_only_when_asked_for():
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    top = ast.Module([n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)], [])
    assert rooms(top) <= {"document", "errors"}


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


def test_no_package_imports_torch_by_itself():
    """`import vaner.model` says what the room holds; only its files need what they need."""
    packages = [
        p.parent.relative_to(PACKAGE.parent).as_posix().replace("/", ".")
        for p in PACKAGE.glob("*/__init__.py")
    ]
    script = f"""
import importlib, sys
for name in {packages}:
    importlib.import_module(name)
    heavy = sorted({{"torch", "transformers"}} & set(sys.modules))
    assert not heavy, f"{{name}} imports {{heavy}}"
"""
    assert len(packages) == 18
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_each_file_says_what_goes_in_and_what_comes_out(path):
    if path.name == "__main__.py" or path == PACKAGE / "__init__.py":
        return
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    assert said.startswith("In: ") and "Out: " in said.split("\n\n")[0]


def test_tagging_does_without_peft_and_networkx():
    # networkx reads ontologies, which a model that is loaded has no use for.
    script = "import sys; import vaner; vaner.Vaner; assert not {'peft', 'networkx'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
