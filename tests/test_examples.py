"""In: the notebooks of examples/. Out: none is kept with outputs; no cell fails, and what they write holds.

The site shows executed copies (docs/tutorials/). They have the same cells, and show what the notebooks print now.
"""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest

from vaner.document import Document
from vaner.formats import read

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.ipynb"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_kept_without_outputs(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    # It begins with what it is.
    assert "".join(notebook["cells"][0]["source"]).startswith("# ")


@pytest.fixture(scope="module")
def notebooks():
    """The module docs/notebooks.py."""
    spec = importlib.util.spec_from_file_location("notebooks", ROOT / "docs" / "notebooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def copy_of(path: Path) -> dict:
    """The executed copy of a notebook, which the site shows."""
    copy = ROOT / "docs" / "tutorials" / path.name
    assert copy.is_file(), "no executed copy; python docs/notebooks.py makes it"
    return json.loads(copy.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_copy_has_the_same_cells(path, notebooks):
    now = json.loads(path.read_text(encoding="utf-8"))["cells"]
    then = copy_of(path)["cells"]
    assert [notebooks.source(cell) for cell in then] == [notebooks.source(cell) for cell in now], (
        "the notebook was changed; python docs/notebooks.py executes it anew"
    )
    shown = [shown for cell in then for shown in notebooks.outputs(cell)]
    assert shown
    assert not [one for one in shown if re.search(r"/tmp/|/home/|/root/|Traceback", json.dumps(one))]


def test_the_page_of_a_copy(notebooks):
    stream = {"output_type": "stream", "name": "stdout", "text": ["10%\r100%\n", "a <b>\n"]}
    aside = {"output_type": "stream", "name": "stderr", "text": "x.py:1: UserWarning: no\n"}
    html = {"output_type": "display_data", "data": {"text/html": "<i>x</i>", "text/plain": "<HTML>"}}
    result = {"output_type": "execute_result", "data": {"text/plain": "[1]"}}
    cells = [
        {"cell_type": "markdown", "source": ["# A\n", "b"]},
        {"cell_type": "code", "source": "print(1)", "outputs": [stream, aside, result, html]},
    ]
    copy = notebooks.copy_of({"cells": cells})
    assert notebooks.outputs(copy["cells"][1]) == [{"text": "100%\na <b>\n[1]"}, {"html": "<i>x</i>"}]
    text, shown = notebooks.markdown(copy, "01-a")
    assert text.startswith("# A\nb\n\n*This page is the notebook `examples/01-a.ipynb`")
    assert "```python\nprint(1)\n```\n\n<!-- shown 0 -->\n\n<!-- shown 1 -->\n" in text
    assert "a &lt;b&gt;" in shown[0] and shown[1] == '<div class="shown"><i>x</i></div>'


@pytest.fixture
def execute(tmp_path, monkeypatch, notebooks):
    """Executes a notebook in a folder of its own; what its cells printed, and the folder that they wrote into."""
    reason = "the notebooks are executed where the extra is: pip install -e '.[examples]'"
    nbclient = pytest.importorskip("nbclient", reason=reason)
    nbformat = pytest.importorskip("nbformat", reason=reason)
    pytest.importorskip("ipykernel", reason=reason)
    # As a user has it, with all cores; the other tests have one thread each.
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    # What --rehearse finds: the samples, whatever corpora the machine has.
    monkeypatch.delenv("VANER_DATA", raising=False)
    # Where others compute too, threads that spin while they wait make training six times as slow.
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))

    def execute(name: str) -> tuple[str, Path]:
        (path,) = (one for one in EXAMPLES if one.stem == name)
        notebook = nbformat.read(path, as_version=4)
        client = nbclient.NotebookClient(
            notebook, timeout=1800, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
        )
        client.execute()  # raises what a cell raised
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
        assert not [output for output in outputs if output.output_type == "error"]
        # Scores and seconds differ between machines; where something is shown, and what kind of thing, does not.
        now, then = (
            [[sorted(one) for one in notebooks.outputs(cell)] for cell in one["cells"]]
            for one in (notebook, copy_of(path))
        )
        assert now == then, "the page shows other outputs; python docs/notebooks.py executes it anew"
        printed = "".join(o.text for o in outputs if o.output_type == "stream" and o.name == "stdout")
        return printed, tmp_path / "runs" / "examples"

    return execute


def hold(documents: list[Document]) -> int:
    """How many spans the documents have, their offsets and texts compared once more."""
    spans = [(document.text, span) for document in documents for span in document.spans]
    assert all(text[span.start : span.end] == span.text for text, span in spans)
    return len(spans)


@pytest.mark.slow
def test_tag_and_look(execute):
    printed, folder = execute("01-tag-and-look")
    assert "0  10  Chemical" in printed and "Famotidine" in printed
    documents = list(read(folder / "tagged.pubtator"))
    assert len(documents) == 10 and hold(documents) > 30
    assert {"Disease", "Chemical"} <= {span.type for document in documents for span in document.spans}
    assert (folder / "tagged.html").read_text(encoding="utf-8").count("<article") == 10


@pytest.mark.slow
def test_train_on_your_corpus(execute):
    printed, folder = execute("02-train-on-your-corpus")
    folder /= "own-corpus"
    in_brat = {document.id: document.spans for document in read(folder / "mine-brat")}
    assert in_brat == {document.id: document.spans for document in read(folder / "mine" / "train.jsonl")}
    assert "('MultiTissueStructure', 'lymph nodes')" in printed
    record = json.loads((folder / "tissues" / "run.json").read_text(encoding="utf-8"))
    assert record["updates"] == 16 and record["started_from"] == "vaner-smollm2-135m-20l"
    # The shipped model does not know the two types.
    assert record["dev"]["bionlp13cg-sample"]["f1"] > 0.3
    assert "train on mine: 3 documents" in printed and "known before: Disease on" in printed
    settings = json.loads((folder / "tissues" / "vaner.json").read_text(encoding="utf-8"))
    assert {"MultiTissueStructure", "Disease"} <= set(settings["types"])
    assert "bionlp13cg-sample, test split: 48 documents" in printed


@pytest.mark.slow
def test_vocabularies_and_linking(execute):
    from vaner.knowledge import KnowledgeBase

    printed, folder = execute("03-vocabularies-and-linking")
    assert "CRF" in printed
    kb = KnowledgeBase(folder / "names.kb")
    assert [name.concepts[0].id for name in kb.lookup("pepcid")] == ["MY:1"]
    documents = list(read(folder / "linked.jsonl"))
    assert hold(documents) > 100
    # A mention that is spelt as a name has the id that this name has.
    exact = [s for d in documents for s in d.spans if s.concepts and s.concepts[0].match == "exact"]
    assert len(exact) > 30
    for span in exact:
        assert span.concepts[0].id in {c.id for name in kb.lookup(span.text) for c in name.concepts}
