"""In: texts, taggers, spaCy pipelines. Out: that mentions come to spans and entities, and none is lost."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

spacy = pytest.importorskip("spacy", reason="the extra spacy is not installed")

from spacy import displacy  # noqa: E402
from spacy.tokens import Doc, DocBin  # noqa: E402

import tests.integrations.planted  # noqa: E402, F401  # registers its tagger
import vaner.integrations.spacy as integration  # noqa: E402
from tests.conftest import ROOT, SAMPLES  # noqa: E402
from vaner.document import Concept, Document  # noqa: E402
from vaner.errors import VanerError  # noqa: E402
from vaner.formats import read  # noqa: E402
from vaner.integrations.spacy_spans import LEFT_OUT, NOT_IN_ENTS, SAME_TOKENS, WIDENED  # noqa: E402
from vaner.tagging.labeler import Vaner  # noqa: E402


def pipeline(model, **config):
    nlp = spacy.blank("en")
    nlp.add_pipe("vaner", config={"model": str(model), **config})
    return nlp


def planted(words, **config):
    return pipeline(f"planted:{words}", **config)


def said(spans):
    return [(span.text, span.label_) for span in spans]


@pytest.fixture(scope="module")
def folder(tiny_backbones, tiny_tokenizer, tmp_path_factory):
    """A tiny random model's folder."""
    import torch

    from tests.model.test_network import build

    model = build(tiny_backbones["llama"])
    with torch.no_grad():
        model.head.word_bias.bias.copy_(torch.tensor([0.6, 0.0, 0.0]))
    path = tmp_path_factory.mktemp("models") / "tiny"
    model.save_pretrained(path)
    tiny_tokenizer.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def texts():
    return [document.text for document in read(SAMPLES / "abstracts.pubtator")][:6]


# --- what is found ---


def test_mentions_have_scores_and_concepts():
    nlp = planted("aspirin=Chemical=0.75,pain=Disease")
    doc = nlp("Take aspirin against pain.")
    group = doc.spans["vaner"]
    assert said(group) == [("aspirin", "Chemical"), ("pain", "Disease")] == said(doc.ents)
    assert [span.kb_id_ for span in group] == ["MESH:D001241", ""] == [ent.kb_id_ for ent in doc.ents]
    assert group.attrs["scores"].dtype == np.float32
    assert group.attrs["scores"][0] == 0.75 and np.isnan(group.attrs["scores"][1])
    mention = doc.ents[0]._.vaner
    assert mention.key == (5, 12, "Chemical") and mention.text == "aspirin" and mention.score == 0.75
    assert mention.concepts == (Concept("D001241", "MESH", 0.9, "exact"), Concept("CHEBI:15365", "chebi"))
    assert doc[0:1]._.vaner is None


def test_a_model_says_what_it_says_without_spacy(folder, texts):
    tagger = Vaner.from_pretrained(folder, dtype="float32", device="cpu")
    nlp = pipeline(folder, options={"dtype": "float32", "device": "cpu"})
    assert nlp.pipe_labels["vaner"] == tagger.types
    docs = list(nlp.pipe(texts, batch_size=4))
    found = [integration.to_document(doc, "d").spans for doc in docs]
    alone = [integration.to_document(nlp(text), "d").spans for text in texts]
    assert sum(map(len, found)) > 20
    for one, other, expected in zip(found, alone, tagger(texts), strict=True):
        assert [s.key for s in one] == [s.key for s in other] == [s.key for s in expected]
        # Batches of other sizes round the last digit otherwise.
        assert [s.score for s in one] == pytest.approx([s.score for s in expected], abs=1e-5)


def test_types_dataset_and_least_score(folder, texts):
    config = {"options": {"dtype": "float32"}, "types": ["Disease"]}
    doc = pipeline(folder, **config)(texts[0])
    assert {span.label_ for span in doc.spans["vaner"]} == {"Disease"}
    scores = doc.spans["vaner"].attrs["scores"]
    least = float(np.median(scores))
    fewer = pipeline(folder, min_score=least, **config)(texts[0])
    assert 0 < len(fewer.spans["vaner"]) < len(scores)
    assert fewer.spans["vaner"].attrs["scores"].min() >= least
    with pytest.raises(VanerError, match="dataset 'x' was not in training"):
        pipeline(folder, dataset="x")


def test_a_dictionary_links(kb):
    nlp = pipeline(f"kb:{kb.path}", link=True, types=["Disease"])
    (ent,) = nlp("She had breast cancer.").ents
    assert (ent.text, ent.label_, ent.kb_id_) == ("breast cancer", "Disease", "test:D1")


def test_what_cannot_work_is_refused_before_anything_is_loaded(kb, tmp_path):
    for config, message in (
        ({"types": ["Disaese"]}, "did you mean Disease"),
        ({"alignment": "strikt"}, "vaner: alignment is 'strikt' .did you mean strict"),
        ({"ents": "best"}, "vaner: ents is 'best'"),
        ({"existing_ents": "drop"}, "vaner: existing_ents is 'drop'"),
        ({"options": {"devise": "cpu"}}, "options has no 'devise' .did you mean device"),
        ({"min_score": 2.0}, "a score is a number from 0 to 1"),
    ):
        with pytest.raises(VanerError, match=message):
            pipeline(f"kb:{kb.path}", **config)
    with pytest.raises(VanerError, match="no kind of tagger"):
        pipeline("kbb:x")
    with pytest.raises(ValueError, match="typo"):
        pipeline(f"kb:{kb.path}", typo=1)


# --- tokens ---

GLUED = "p53-/- mice, p53 and p53/p21 in the (p53) cell"


@pytest.mark.parametrize(
    ("alignment", "spans", "left_out", "changed"),
    [
        ("expand", ["p53-/-", "p53", "p53/p21", "p53"], [SAME_TOKENS], 2),
        ("contract", ["p53", "p53"], [LEFT_OUT] * 3, 0),
        ("strict", ["p53", "p53"], [LEFT_OUT] * 3, 0),
    ],
)
def test_alignment_is_counted(alignment, spans, left_out, changed, caplog):
    nlp = planted("p53=Gene=0.5,p21=Gene=0.9", alignment=alignment)
    words = ["p53-/-", "mice", ",", "p53", "and", "p53/p21", "in", "the", "(", "p53", ")", "cell"]
    spaces = [True, False, True, True, True, True, True, True, False, False, True, False]
    doc = nlp(Doc(nlp.vocab, words=words, spaces=spaces))
    assert doc.text == GLUED
    group = doc.spans["vaner"]
    assert [span.text for span in group] == spans
    assert [one["why"] for one in group.attrs["left_out"]] == left_out
    report = nlp.get_pipe("vaner").report
    assert report.counts[LEFT_OUT] + report.counts[SAME_TOKENS] == len(left_out)
    assert report.counts[WIDENED] == changed
    assert any(left_out[0] in one.getMessage() for one in caplog.records)
    # Whatever the tokens are, no mention is lost, and offsets are exact.
    assert [m.key for m in integration.to_document(doc, "d").spans] == [
        (0, 3, "Gene"),
        (13, 16, "Gene"),
        (21, 24, "Gene"),
        (25, 28, "Gene"),
        (37, 40, "Gene"),
    ]


def test_contract_keeps_the_whole_tokens_inside():
    nlp = planted("non-small cell=Disease", alignment="contract")
    doc = nlp(Doc(nlp.vocab, words=["non-small", "cellular"], spaces=[True, False]))
    assert said(doc.spans["vaner"]) == [("non-small", "Disease")]
    assert doc.spans["vaner"][0]._.vaner.text == "non-small cell"


def test_the_best_of_two_on_the_same_tokens_stays():
    nlp = planted("p53=Gene=0.5,p21=Gene=0.9,p5=Protein=0.1")
    doc = nlp(Doc(nlp.vocab, words=["p53/p21"]))
    assert said(doc.spans["vaner"]) == [("p53/p21", "Gene"), ("p53/p21", "Protein")]
    assert doc.spans["vaner"][0]._.vaner.text == "p21" and doc.spans["vaner"][1]._.vaner.text == "p5"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\n\t \r\n",
        "aspirin",
        "  aspirin\u00a0\u2003aspirin\n\naspirin  ",
        "\ufeffaspirin\u200baspirin\u00adaspirin",
        "\U0001f48a aspirin \U0001f468\u200d\U0001f469\u200d\U0001f467 aspirin e\u0301 \u0130aspirin",
        "\u202easpirin\u202c \u0627\u0644\u0623\u0633\u0628\u0631\u064a\u0646 aspirin",
        "aspirin\x00aspirin\x1faspirin",
    ],
)
def test_odd_text(text):
    nlp = planted("aspirin=Chemical")
    for doc in (nlp(text), *nlp.pipe([text])):
        assert doc.text == text
        document = integration.to_document(doc, "d")
        assert len(document.spans) == text.count("aspirin")
        for span in doc.spans["vaner"]:
            assert "aspirin" in span.text


def test_a_long_text(kb):
    nlp = pipeline(f"kb:{kb.path}", types=["Disease"])
    nlp.max_length = 10_000_000
    text = "He had breast cancer. " * 60_000
    doc = nlp(text)
    assert len(doc.ents) == 60_000 and doc.ents[-1].end_char == len(text) - 2


# --- entities ---

NESTED = "metastatic breast cancer cell line"
WORDS = "breast cancer=Disease=0.9,breast cancer cell line=CellLine=0.6,metastatic breast=X=0.8,line=Y"


@pytest.mark.parametrize(
    ("config", "ents"),
    [
        ({}, ["breast cancer", "line"]),
        ({"ents": "longest"}, ["breast cancer cell line"]),
        ({"ents": "none"}, []),
    ],
)
def test_entities_share_no_token(config, ents):
    nlp = planted(WORDS, **config)
    doc = nlp(NESTED)
    assert [ent.text for ent in doc.ents] == ents and len(doc.spans["vaner"]) == 4
    outside = 4 - len(ents) if config.get("ents") != "none" else 0
    assert nlp.get_pipe("vaner").report.counts[NOT_IN_ENTS] == outside


@pytest.mark.parametrize(
    ("existing", "ents"),
    [
        ("keep", [("metastatic", "OLD"), ("cancer", "OLD"), ("line", "Y")]),
        ("override", [("metastatic", "OLD"), ("breast cancer", "Disease"), ("line", "Y")]),
        ("replace", [("breast cancer", "Disease"), ("line", "Y")]),
    ],
)
def test_entities_that_are_there(existing, ents):
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler")
    ruler.add_patterns(
        [{"label": "OLD", "pattern": "metastatic", "id": "kept"}, {"label": "OLD", "pattern": "cancer"}]
    )
    nlp.add_pipe("vaner", config={"model": f"planted:{WORDS}", "existing_ents": existing})
    doc = nlp(NESTED)
    assert said(doc.ents) == ents
    assert doc.ents[0].ent_id_ == ("kept" if existing != "replace" else "")


def test_two_components_side_by_side():
    nlp = spacy.blank("en")
    nlp.add_pipe("vaner", name="drugs", config={"model": "planted:aspirin=Chemical", "spans_key": "drugs"})
    nlp.add_pipe("vaner", name="pains", config={"model": "planted:pain=Disease", "spans_key": "pains"})
    doc = nlp("aspirin for pain")
    assert said(doc.spans["drugs"]) == [("aspirin", "Chemical")] and said(doc.ents) == [
        ("aspirin", "Chemical"),
        ("pain", "Disease"),
    ]
    assert [m.text for m in integration.to_document(doc, "d", "pains").spans] == ["pain"]
    with pytest.raises(VanerError, match="holds no mentions"):
        integration.to_document(doc, "d")


def test_displacy():
    doc = planted("aspirin=Chemical=0.5,spir=Part=0.4")("Take <b>aspirin</b>.")
    as_ents = displacy.render(
        doc, style="ent", options={"kb_url_template": "https://x.org/{}"}, jupyter=False
    )
    assert "Chemical" in as_ents and "https://x.org/MESH:D001241" in as_ents and "<b>" not in as_ents
    as_spans = displacy.render(doc, style="span", options={"spans_key": "vaner"}, jupyter=False)
    assert "Chemical" in as_spans and "Part" in as_spans


# --- batches, processes, errors ---


def test_texts_are_read_in_batches_across_docs():
    nlp = planted("aspirin=Chemical")
    docs = list(nlp.pipe((f"{n} aspirin" for n in range(250)), batch_size=100))
    assert nlp.get_pipe("vaner").opened.tagger.tagger.calls == [100, 100, 50]
    assert [doc.text for doc in docs] == [f"{n} aspirin" for n in range(250)]
    assert all(len(doc.ents) == 1 for doc in docs)
    pairs = nlp.pipe([("aspirin", 1), ("none", 2)], as_tuples=True)
    assert [(len(doc.ents), context) for doc, context in pairs] == [(1, 1), (0, 2)]


def test_what_is_found_survives_another_process(folder, texts):
    nlp = pipeline(folder, options={"dtype": "float32", "device": "cpu"})
    alone = [integration.to_document(doc, "d") for doc in nlp.pipe(texts, batch_size=2)]
    forked = list(nlp.pipe(texts, n_process=2, batch_size=2))
    assert [[s.key for s in integration.to_document(doc, "d").spans] for doc in forked] == [
        [s.key for s in document.spans] for document in alone
    ]
    assert forked[0].ents and forked[0].ents[0]._.vaner.score is not None


@pytest.mark.slow
def test_a_spawned_process(kb, tmp_path):
    script = tmp_path / "spawned.py"
    script.write_text(f"""
import multiprocessing, spacy
if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    import vaner.integrations.spacy
    nlp = spacy.blank("en")
    nlp.add_pipe("vaner", config={{"model": "kb:{kb.path}"}})
    docs = list(nlp.pipe(["breast cancer", "TNF-alpha", ""] * 4, n_process=2, batch_size=3))
    print([ent._.vaner.type for doc in docs for ent in doc.ents])
""")
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env=_environment(), check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(["Disease", "Gene"] * 4)


def _environment():
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def test_errors_are_raised_unless_the_user_says_otherwise():
    nlp = planted("aspirin=Chemical")
    with pytest.raises(RuntimeError, match="boom"):
        list(nlp.pipe(["aspirin", "BOOM", "aspirin"]))
    with pytest.raises(RuntimeError, match="boom"):
        nlp("BOOM")
    told = []
    nlp.set_error_handler(lambda name, proc, docs, error: told.append((name, [d.text for d in docs])))
    docs = list(nlp.pipe(["aspirin 1", "BOOM", "aspirin 2"]))
    assert [doc.text for doc in docs] == ["aspirin 1", "aspirin 2"] and told == [("vaner", ["BOOM"])]
    assert all(len(doc.spans["vaner"]) == 1 for doc in docs)


def test_a_text_that_was_not_tagged_in_full(caplog):
    nlp = planted("aspirin=Chemical")
    doc = nlp("HALF aspirin")
    assert doc.spans["vaner"].attrs["failed"] == "no answer" and len(doc.ents) == 1
    assert "not tagged in full" in caplog.text
    assert any("no answer" in remark for remark in nlp.get_pipe("vaner").remarks())


# --- saved pipelines and docs ---


def test_pipelines_are_saved_with_the_reference_of_their_model(folder, tmp_path, texts, recwarn):
    config = {"types": ["Disease"], "spans_key": "mine", "ents": "longest", "alignment": "contract"}
    nlp = pipeline(folder, options={"dtype": "float32"}, **config)
    nlp.to_disk(tmp_path / "nlp")
    saved = json.loads((tmp_path / "nlp" / "vaner" / "vaner.json").read_text())
    assert saved["settings"]["models"] == [str(folder)] and list(saved["hashes"]) == ["tiny"]
    assert not list((tmp_path / "nlp").rglob("*.safetensors"))
    again = spacy.load(tmp_path / "nlp")
    other = type(nlp).from_config(nlp.config).from_bytes(nlp.to_bytes())
    for loaded in (again, other):
        pipe = loaded.get_pipe("vaner")
        assert (pipe.key, pipe.ents, pipe.alignment) == ("mine", "longest", "contract")
        assert pipe.opened.settings == nlp.get_pipe("vaner").opened.settings
        doc, expected = loaded(texts[0]), nlp(texts[0])
        assert said(doc.spans["mine"]) == said(expected.spans["mine"])
    assert not [one for one in recwarn if "vaner" in str(one.message)]
    assert said(pickle.loads(pickle.dumps(nlp))(texts[0]).ents) == said(nlp(texts[0]).ents)


def test_another_model_under_the_same_pipeline_is_warned_of(tmp_path):
    nlp = planted("aspirin=Chemical")
    nlp.to_disk(tmp_path / "nlp")
    with pytest.warns(
        UserWarning, match="was made with another model: it had planted:aspirin=Chemical hash of"
    ):
        moved = spacy.load(tmp_path / "nlp", config={"components.vaner.model": "planted:pain=Disease"})
    assert said(moved("aspirin for pain").ents) == [("pain", "Disease")]
    with pytest.warns(UserWarning, match="made with other settings .ents."):
        spacy.load(tmp_path / "nlp", config={"components.vaner.ents": "longest"})
    (tmp_path / "nlp" / "vaner" / "vaner.json").write_text("{")
    with pytest.raises(VanerError, match="vaner.json: not what this component saves"):
        spacy.load(tmp_path / "nlp")
    with pytest.raises(VanerError, match="not what the component vaner saves"):
        nlp.get_pipe("vaner").from_bytes(b"[]")


def test_a_relative_path_is_warned_of_when_saved(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder.parent)
    nlp = pipeline(folder.name)
    with pytest.warns(UserWarning, match="relative path, tiny"):
        nlp.to_disk(tmp_path / "nlp")


def test_docs_keep_everything_in_files():
    nlp = planted("aspirin=Chemical=0.5,p53=Gene=0.25", alignment="strict")
    doc = nlp("aspirin p53x")
    kept = DocBin(docs=[doc]).to_bytes()
    for again in (
        Doc(nlp.vocab).from_bytes(doc.to_bytes()),
        next(iter(DocBin().from_bytes(kept).get_docs(nlp.vocab))),
    ):
        assert integration.to_document(again, "d") == integration.to_document(doc, "d")
        assert list(again.spans["vaner"].attrs["scores"]) == [0.5]
        assert len(again.spans["vaner"].attrs["left_out"]) == 1
        assert again.ents[0]._.vaner == doc.ents[0]._.vaner


def test_a_doc_becomes_a_document():
    doc = planted("aspirin=Chemical=0.5")("aspirin aspirin")
    document = integration.to_document(doc, "7")
    assert isinstance(document, Document) and document.id == "7" and len(document.spans) == 2
    assert document.spans[1].concepts[0].match == "exact"


# --- how it is found ---


def test_spacy_finds_the_factory_by_itself(tmp_path, kb):
    """What pyproject.toml says is what an installed package tells spaCy."""
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = pyproject.split("[project.entry-points.spacy_factories]\n")[1].split("\n\n")[0]
    name, _, target = section.replace('"', "").partition(" = ")
    info = tmp_path / "vaner_told-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vaner-told\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[spacy_factories]\n{name} = {target}\n")
    script = f"""
import sys, spacy
assert "vaner" not in sys.modules
nlp = spacy.blank("en")
nlp.add_pipe("vaner", config={{"model": "kb:{kb.path}"}})
print([ent.text for ent in nlp("TNF and breast cancer").ents])
"""
    environment = _environment() | {"PYTHONPATH": f"{ROOT}:{tmp_path}"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['TNF', 'breast cancer']"


def test_without_spacy_the_error_names_the_extra(tmp_path):
    (tmp_path / "spacy.py").write_text("raise ModuleNotFoundError(\"No module named 'spacy'\", name='spacy')")
    script = """
import vaner.integrations
try:
    import vaner.integrations.spacy
except vaner.VanerError as error:
    print(error)
"""
    environment = _environment() | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False
    )
    assert done.stdout.strip() == "nlp.add_pipe('vaner'): needs spacy; pip install 'vaner[spacy]'", (
        done.stderr
    )
