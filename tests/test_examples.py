"""In: the notebooks of examples/. Out: none is kept with outputs; no cell fails, and what they write holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vaner.document import Document
from vaner.formats import read

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.ipynb"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_kept_without_outputs(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    # It begins with what it is.
    assert "".join(notebook["cells"][0]["source"]).startswith("# ")


@pytest.fixture
def execute(tmp_path, monkeypatch):
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
