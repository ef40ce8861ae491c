"""In: nothing. Out: a maker of small indexes, the slow reference, and the folders of real vocabularies and corpora."""

import importlib.util
import os
from pathlib import Path

import pytest

from vaner.formats import Report
from vaner.knowledge import KnowledgeBase, Rules, Term, build, data_folder

ROOT = Path(__file__).parents[2]

TERMS = [
    Term("D1", "Breast Neoplasms", ("Disease",), True),
    Term("D1", "breast cancer", ("Disease",), False),
    Term("D1", "Cancer of Breast", ("Disease",), False),
    Term("D2", "Alzheimer's disease", ("Disease",), True),
    Term("D3", "Abdomen, Acute", ("Disease",), True),
    Term("D4", "adenomatous polyposis coli", ("Disease",), True),
    Term("D5", "cancer", ("Disease",), True),
    Term("A1", "Breast", ("Anatomy",), True),
    Term("G1", "TNF", ("Gene",), True),
    Term("G1", "TNF-alpha", ("Gene",), False),
    Term("G2", "APC", ("Gene",), True),
    Term("G3", "CAT", ("Gene",), True),
    Term("G3", "catalase", ("Gene",), False),
    Term("S1", "cat", ("Species",), True),
    Term("C1", "insulin", ("Chemical", "Gene"), True),
    Term("C2", "1,2-dichloroethane", ("Chemical",), True),
    Term("X1", "12", ("Chemical",), True),
    Term("X2", "was", ("Gene",), True),
]


@pytest.fixture(scope="session")
def reference():
    """The module benchmarks/reference.py: the slow matcher that the index is compared with."""
    spec = importlib.util.spec_from_file_location("reference", ROOT / "benchmarks" / "reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def make_kb(tmp_path):
    """Compiles terms, with the project's rules unless told otherwise."""

    def make(terms=TERMS, rules=None, name="kb.idx", source="test", report=None) -> KnowledgeBase:
        rules = rules or Rules.load(data_folder())
        return build(tmp_path / name, [({"name": source}, terms)], rules, report or Report())

    return make


@pytest.fixture
def kb(make_kb) -> KnowledgeBase:
    """An index of TERMS."""
    return make_kb()


@pytest.fixture
def make(tmp_path):
    """Writes a file and returns its path."""

    def make(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


@pytest.fixture(scope="session")
def kb_root() -> Path:
    """The folder of real vocabularies, VANER_KB; without it the test skips."""
    root = os.environ.get("VANER_KB")
    if not root or not Path(root).is_dir():
        pytest.skip("VANER_KB names no folder of vocabularies")
    return Path(root)
