"""python -m vaner merge: a folder that stands alone and tags the same, or one line and status 2."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import ROOT, SAMPLES
from tests.model.test_network import build
from vaner.cli import main
from vaner.document import Document
from vaner.formats import read
from vaner.model.adapting import Adapter
from vaner.model.config import ADAPTER_CONFIG, ADAPTER_WEIGHTS, BACKBONE_FOLDER, ModelConfig
from vaner.tagging.labeler import Vaner
from vaner.tagging.loading import load

DOCUMENTS = list(read(SAMPLES / "abstracts.pubtator"))[:3]


def merge(model, output, *words):
    return main(["merge", str(model), "--output", str(output), *words])


def answers(tagger) -> list:
    return [(s.key, s.score) for d in tagger.tag_documents(DOCUMENTS) for s in d.spans]


def tensors(folder) -> dict[str, torch.Tensor]:
    return load_file(Path(folder) / BACKBONE_FOLDER / "model.safetensors")


def content(folder) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()}


def saved(root, backbone, tokenizer) -> Path:
    """A model with an adapter that counts, and a card; its backbone lies beside it."""
    shutil.copytree(backbone, root / "base")
    made = build(str(root / "base"))
    # A random head should mark about as much as a trained one, or nothing is compared.
    with torch.no_grad():
        made.head.word_bias.bias.copy_(torch.tensor([0.6, 0.0, 0.0]))
    made.save_pretrained(root / "tiny", tokenizer)
    (root / "tiny" / "README.md").write_bytes("# A card of é\r\n".encode())
    return root / "tiny"


@pytest.fixture(scope="module")
def model(tiny_backbones, tiny_tokenizer, tmp_path_factory) -> Path:
    return saved(tmp_path_factory.mktemp("model"), tiny_backbones["llama"], tiny_tokenizer)


@pytest.mark.parametrize("family", ["llama", "bert"])
def test_a_merged_folder_tags_the_same(tiny_backbones, tiny_tokenizer, tmp_path, capsys, family):
    build(tiny_backbones[family]).save_pretrained(tmp_path / "model", tiny_tokenizer)
    before = content(tmp_path / "model")
    assert merge(tmp_path / "model", tmp_path / "merged", "--dtype", "float32") == 0
    assert capsys.readouterr().out == f"merged model written to {tmp_path / 'merged'}\n"
    whole = load(str(tmp_path / "model"), dtype="float32")
    alone = load(str(tmp_path / "merged"), dtype="float32")
    assert answers(alone) == answers(whole) and len(answers(whole)) > 20
    assert (alone.types, alone.datasets, alone.max_words) == (whole.types, whole.datasets, whole.max_words)
    adapted = Vaner.from_pretrained(tmp_path / "model", dtype="float32", merge=False)
    assert [s for _, s in answers(alone)] == pytest.approx([s for _, s in answers(adapted)], abs=1e-4)
    assert content(tmp_path / "model") == before, "the model itself is left as it was"


def test_the_adapter_is_in_the_weights(model, tmp_path):
    assert merge(model, tmp_path / "merged", "--dtype", "float32") == 0
    base, merged = load_file(model.parent / "base" / "model.safetensors"), tensors(tmp_path / "merged")
    assert base.keys() == merged.keys()
    changed = {name for name in base if not torch.equal(base[name], merged[name])}
    assert len(changed) == 2 * 7 and all("proj" in name for name in changed), "seven projections a layer"


def test_a_merged_folder_needs_neither_adapter_nor_backbone_nor_peft(
    tiny_backbones, tiny_tokenizer, tmp_path, monkeypatch
):
    (tmp_path / "there").mkdir()
    model = saved(tmp_path / "there", tiny_backbones["llama"], tiny_tokenizer)
    found = answers(load(str(model), dtype="float32"))
    assert merge(model, tmp_path / "there" / "merged", "--dtype", "float32") == 0
    moved = Path(shutil.move(tmp_path / "there" / "merged", tmp_path / "moved"))
    shutil.rmtree(tmp_path / "there")
    names = set(content(moved))
    assert not names & {ADAPTER_WEIGHTS, ADAPTER_CONFIG} and f"{BACKBONE_FOLDER}/model.safetensors" in names
    settings = ModelConfig.load(moved)
    assert (settings.backbone, settings.revision) == (BACKBONE_FOLDER, None)
    assert not any(str(tmp_path).encode() in data for data in content(moved).values())
    monkeypatch.setitem(sys.modules, "peft", None)  # whoever imports it fails
    assert answers(load(str(moved), dtype="float32")) == found


def test_the_card_is_copied_as_it_is(model, tmp_path):
    assert merge(model, tmp_path / "merged") == 0
    assert (tmp_path / "merged" / "README.md").read_bytes() == (model / "README.md").read_bytes()


def test_a_model_without_a_card_is_merged_too(model, tmp_path):
    shutil.copytree(model, tmp_path / "model")
    (tmp_path / "model" / "README.md").unlink()
    assert merge(tmp_path / "model", tmp_path / "merged") == 0
    assert not (tmp_path / "merged" / "README.md").exists()


def test_the_weights_are_written_in_the_type_that_was_asked_for(model, tmp_path):
    for dtype in ("float32", "bfloat16"):
        assert merge(model, tmp_path / dtype, "--dtype", dtype) == 0
        assert {t.dtype for t in tensors(tmp_path / dtype).values()} == {getattr(torch, dtype)}


@pytest.mark.parametrize("kind", ["full", "none"])
def test_models_without_an_adapter_get_a_folder_that_stands_alone(
    tiny_backbones, tiny_tokenizer, tmp_path, kind
):
    build(tiny_backbones["llama"], adapter=Adapter(kind=kind)).save_pretrained(tmp_path / "m", tiny_tokenizer)
    assert merge(tmp_path / "m", tmp_path / "merged", "--dtype", "float32") == 0
    assert answers(load(str(tmp_path / "merged"), dtype="float32")) == answers(
        load(str(tmp_path / "m"), dtype="float32")
    )
    assert ModelConfig.load(tmp_path / "merged").backbone == BACKBONE_FOLDER


def test_merged_again_it_is_the_same(model, tmp_path):
    assert merge(model, tmp_path / "once", "--dtype", "float32") == 0
    assert merge(tmp_path / "once", tmp_path / "twice", "--dtype", "float32") == 0
    assert content(tmp_path / "once") == content(tmp_path / "twice")


def test_an_empty_folder_and_one_that_is_not_there_are_taken(model, tmp_path):
    (tmp_path / "empty").mkdir()
    for output in (tmp_path / "empty", tmp_path / "new" / "deeper"):
        assert merge(model, output) == 0
        (document,) = load(str(output)).tag_documents([Document("d", "Aspirin for fever.")])
        assert document.text == "Aspirin for fever."


# --- bad input: one line, status 2, nothing written ---


def refused(capsys, *words) -> str:
    assert merge(*words) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith("error: ") and shown.err.count("\n") == 1, shown.err
    return shown.err


@pytest.mark.parametrize("what", ["a model", "a hidden file", "a folder", "a file"])
def test_an_output_that_is_there_is_refused_and_left_as_it_is(model, tmp_path, capsys, what):
    output = tmp_path / "out"
    if what == "a model":
        shutil.copytree(model, output)
    elif what == "a file":
        output.write_text("mine")
    else:
        output.mkdir()
        (output / ".kept").write_text("mine") if what == "a hidden file" else (output / "sub").mkdir()
    before = content(tmp_path)
    assert refused(capsys, model, output) == f"error: {output}: is there already; name a new folder\n"
    assert content(tmp_path) == before and sorted(tmp_path.iterdir()) == [output]


def test_the_model_itself_is_no_output(model, capsys):
    before = content(model)
    assert "is there already" in refused(capsys, model, model)
    assert content(model) == before


def test_the_output_is_looked_at_before_the_model(tmp_path, capsys):
    (tmp_path / "out").write_text("mine")
    assert "is there already" in refused(capsys, tmp_path / "nowhere", tmp_path / "out")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["./nowhere"], "no such model folder"),
        (["{model}", "--dtype", "float8"], "float8"),
        (["{model}", "--dtipe", "float32"], "did you mean --dtype?"),
    ],
)
def test_what_cannot_be_merged_is_said_and_nothing_is_written(model, tmp_path, capsys, words, says):
    first, *rest = (word.format(model=model) for word in words)
    assert says in refused(capsys, first, tmp_path / "out", *rest)
    assert not (tmp_path / "out").exists()


def test_an_output_must_be_named(model, capsys):
    assert main(["merge", str(model)]) == 2
    assert "--output" in capsys.readouterr().err


def test_as_a_command_it_exits_with_status_2_and_one_line(model, tmp_path):
    (tmp_path / "mine").write_text("")
    words = ["-m", "vaner", "merge", str(model), "--output", str(tmp_path)]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {tmp_path}: is there already; name a new folder\n"
