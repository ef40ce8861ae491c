"""A model goes to a hub (of one process, in this one) and comes back the same; what it is not stays here."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import huggingface_hub.constants as hub_constants
import pytest
import torch
import yaml
from huggingface_hub import ModelCard

from tests.conftest import ROOT
from tests.model.fake_hub import READ, WRITE, FakeHub
from tests.model.test_network import build
from vaner import Vaner
from vaner.cli import main
from vaner.errors import VanerError
from vaner.model import card
from vaner.model.config import ModelConfig
from vaner.model.hashing import model_hash
from vaner.model.publishing import placeless

TEXT = "Famotidine-associated delirium in six patients with renal failure."
HOME = "/home/someone/secret"


@pytest.fixture
def hub(httpserver, monkeypatch, tmp_path) -> FakeHub:
    fake = FakeHub(httpserver)
    monkeypatch.setattr(hub_constants, "ENDPOINT", fake.url)
    template = fake.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(hub_constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(hub_constants, "HF_HUB_OFFLINE", False)
    # The fake speaks LFS alone, as the hub does to clients without Xet.
    monkeypatch.setattr(hub_constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(hub_constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", WRITE)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    return fake


@pytest.fixture(scope="module")
def whole(tiny_backbones, tiny_tokenizer, tmp_path_factory) -> Path:
    """A merged model, as `python -m vaner merge` writes it."""
    made = build(tiny_backbones["llama"], datasets={"bc5cdr": ["Chemical", "Disease"]})
    with torch.no_grad():
        made.head.word_bias.bias.copy_(torch.tensor([0.6, 0.0, 0.0]))
    made.settings.training = {
        "command": f"python train.py --output_dir {HOME}/runs/mine --data_root CORPORA",
        "dev": {"bc5cdr": {"f1": 0.8125, "types": {"Disease": 0.75}}},
    }
    folder = tmp_path_factory.mktemp("model") / "tiny"
    made.save_merged(folder, tiny_tokenizer)
    (folder / "README.md").write_text(card.render(ModelConfig.load(folder)), encoding="utf-8")
    return folder


@pytest.fixture
def model(whole, tmp_path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "tiny"))


def push(*words) -> int:
    return main(["push", *map(str, words)])


def files(hub: FakeHub, name: str = "owner/tiny", revision: str = "main") -> dict[str, bytes]:
    found = hub.repositories[name].at(revision)
    assert found is not None
    return found


def scored(folder: Path, path: Path, split: str = "test", f1: float = 0.5, **protocol) -> Path:
    """A file as evaluate --json writes it, of so many scores."""
    one = {"f1": f1, "precision": 0.25, "recall": None, "gold": 4}
    found = {"name": "bc5cdr", "split": split, "documents": 3, "overall": {"micro": one}}
    found["type"] = {"Chemical": one, "Disease": {**one, "f1": 0.75}}
    page = {"protocol": {"model_hash": model_hash(folder), **protocol}, "results": [found]}
    path.write_text(json.dumps(page), encoding="utf-8")
    return path


def results(text: str | bytes) -> list[tuple]:
    return card.results(text if isinstance(text, str) else text.decode("utf-8"))


def test_a_model_comes_back_as_it_went(hub, model, capsys):
    assert push(model, "owner/tiny") == 0
    assert f"{hub.url}/owner/tiny/commit/" in capsys.readouterr().out
    here, there = Vaner.from_pretrained(model), Vaner.from_pretrained("owner/tiny")
    assert here(TEXT) == there(TEXT) != []
    assert not hub.repositories["owner/tiny"].private
    settings, there_settings = ModelConfig.load(model), there.settings
    settings.training = there_settings.training = {}
    assert settings == there_settings


def test_only_the_model_goes(hub, model, capsys):
    for name in ("checkpoint-8/optimizer.pt", "trainer_state.json", "run.json", "train.jsonl", "logs/events.1",
                 "backbone/pytorch_model.bin", "modeling.py", ".env", "best/model.safetensors"):  # fmt: skip
        (model / name).parent.mkdir(exist_ok=True)
        (model / name).write_bytes(b"\0")
    (model / "LICENSE").write_text("Apache-2.0")
    assert push(model, "owner/tiny", "--dry_run") == 0
    said = capsys.readouterr().out
    assert not hub.asked and "nothing was sent to owner/tiny" in said
    assert (
        "not uploaded: .env, backbone/pytorch_model.bin, best/, checkpoint-8/, logs/, modeling.py, run.json, "
        "train.jsonl, trainer_state.json" in said
    )
    assert push(model, "owner/tiny") == 0
    assert set(files(hub)) == {
        "LICENSE", "README.md", "backbone/config.json", "backbone/model.safetensors", "head.safetensors",
        "tokenizer.json", "tokenizer_config.json", "vaner.json",
    }  # fmt: skip


def test_places_on_this_machine_stay_here(hub, model, capsys):
    tokenizer = json.loads((model / "tokenizer_config.json").read_text())
    (model / "tokenizer_config.json").write_text(
        json.dumps(tokenizer | {"name_or_path": f"{HOME}/base", "extra": "/a/b"})
    )
    assert HOME in (model / "vaner.json").read_text() and HOME in (model / "README.md").read_text()
    assert push(model, "owner/tiny") == 0
    assert all(HOME.encode() not in content for content in files(hub).values())
    assert json.loads(files(hub)["tokenizer_config.json"])["extra"] == "/a/b"
    trained = json.loads(files(hub)["vaner.json"])["training"]
    assert trained["command"] == "python train.py --output_dir mine --data_root CORPORA"
    assert capsys.readouterr().err.count("places on this machine are left out") == 3
    assert HOME in (model / "vaner.json").read_text()  # the folder itself is left alone


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("--output_dir=/home/me/runs/x --seed 1", "--output_dir=x --seed 1"),
        ("`~/runs/x`, C:\\Users\\me\\x.json", "`x`, x.json"),
        ("https://huggingface.co/a/b and 5 mg/kg/day, and/or, data/models/x", None),
    ],
)
def test_what_is_a_place(text, without):
    assert placeless(text) == (text if without is None else without)


def test_the_card_has_the_dev_scores_of_the_run_in_its_metadata(hub, model):
    assert push(model, "owner/tiny") == 0
    text = files(hub)["README.md"].decode()
    assert results(text) == [("bc5cdr", "dev", "strict micro-F1", 0.8125)]
    assert 'from_pretrained("owner/tiny")' in text and "## Scores on dev" in text
    (entry,) = yaml.safe_load(text.split("---\n")[1])["model-index"]
    assert entry["results"][0]["dataset"] == {"name": "bc5cdr", "type": "bc5cdr", "split": "dev"}


def test_scores_of_this_model_are_put_into_the_card_and_what_its_author_wrote_stays(hub, model, tmp_path):
    text = (model / "README.md").read_text(encoding="utf-8")
    own = (
        text.replace("library_name: vaner", "library_name: vaner\nlicense: mit")
        + "\n## Of my own\n\nHello.\n"
    )
    (model / "README.md").write_text(own, encoding="utf-8")
    paths = [scored(model, tmp_path / "test.json"), scored(model, tmp_path / "dev.json", "dev", 0.625)]
    assert push(model, "owner/tiny", "--scores", *paths) == 0
    sent = files(hub)["README.md"].decode()
    assert results(sent) == [
        ("bc5cdr", split, name, value)
        for split, f1 in (("test", 0.5), ("dev", 0.625))
        for name, value in (
            ("strict micro-F1", f1),
            ("strict precision", 0.25),
            ("strict F1, Chemical", f1),
            ("strict F1, Disease", 0.75),
        )
    ]
    assert ModelCard(sent).data.license == "mit" and sent.count("## Of my own\n\nHello.") == 1
    assert "## Scores on dev" not in sent and sent.count("## Scores\n") == 1 and "81.25" not in sent


def test_scores_are_of_this_model_or_refused(hub, model, tmp_path, capsys):
    scored(model, tmp_path / "other.json", model_hash="0" * 64)
    scored(model, tmp_path / "nobody.json", model_hash=None)
    scored(model, tmp_path / "wrong.json", f1=81.25)
    (tmp_path / "none.json").write_text("{}")
    (tmp_path / "broken.json").write_text("{")
    for name, said in {
        "other.json": "scores of another model (000000000000..., this one is ",
        "nobody.json": "does not say which model was scored",
        "wrong.json": "not what evaluate --json writes",
        "none.json": "not what evaluate --json writes",
        "broken.json": "not JSON",
    }.items():
        assert push(model, "owner/tiny", "--scores", tmp_path / name) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1
    assert not hub.asked


def test_what_evaluate_writes_is_taken(hub, model, tmp_path):
    asked = ["--corpus", "bc5cdr-sample", "--split", "test", "--bootstrap", "0"]
    assert main(["evaluate", "--model", str(model), *asked, "--json", str(tmp_path / "s.json")]) == 0
    assert push(model, "owner/tiny", "--scores", tmp_path / "s.json") == 0
    page = json.loads((tmp_path / "s.json").read_text())
    assert page["protocol"]["model_hash"] == model_hash(model)
    measured = page["results"][0]["overall"]["micro"]
    assert results(files(hub)["README.md"])[:3] == [
        ("bc5cdr-sample", "test", name, round(measured[metric], 4))
        for metric, name in (
            ("f1", "strict micro-F1"), ("precision", "strict precision"), ("recall", "strict recall"),
        )
    ]  # fmt: skip


def test_what_is_no_model_is_refused_in_one_line(
    hub, model, tmp_path, tiny_backbones, tiny_tokenizer, capsys
):
    (tmp_path / "empty").mkdir()
    build(tiny_backbones["llama"]).save_pretrained(tmp_path / "here", tiny_tokenizer)
    (model / "head.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    shutil.copytree(model, tmp_path / "less")
    (tmp_path / "less" / "head.safetensors").unlink()
    for folder, said in {
        tmp_path / "empty": "no vaner.json here, so not a VANER model",
        tmp_path / "nowhere": "no vaner.json here, so not a VANER model",
        tmp_path / "here": "which nobody else has; push one that stands alone: python -m vaner merge",
        tmp_path / "less": "head.safetensors is missing; push the whole model folder",
        model: "not a whole safetensors file",
    }.items():
        assert push(folder, "owner/tiny") == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1
    assert push(model, "a/b/c") == 2 and "write owner/name" in capsys.readouterr().err
    assert not hub.asked


def test_a_private_model_is_its_owner_s(hub, model, monkeypatch, capsys):
    assert push(model, "owner/tiny", "--private") == 0 and hub.repositories["owner/tiny"].private
    assert Vaner.from_pretrained("owner/tiny", token=WRITE)(TEXT)
    monkeypatch.setattr(hub_constants, "HF_HUB_CACHE", f"{hub_constants.HF_HUB_CACHE}-of-another")
    for token in (False, READ):
        with pytest.raises(VanerError, match="no such repository, or it is private.*log in") as caught:
            Vaner.from_pretrained("owner/tiny", token=token)
        assert "\n" not in str(caught.value) and WRITE not in str(caught.value)


def test_private_is_not_promised_of_what_is_public(hub, model, capsys):
    assert push(model, "owner/tiny") == 0
    before = files(hub)
    assert push(model, "owner/tiny", "--private") == 2
    assert "is there already, and public; make it private" in capsys.readouterr().err
    assert files(hub) is before


@pytest.mark.parametrize(("token", "said"), [("", "not logged in there"), (READ, "token with write access")])
def test_who_may_not_is_told_what_to_do(hub, model, monkeypatch, capsys, token, said):
    monkeypatch.setenv("HF_TOKEN", token)
    assert push(model, "owner/tiny") == 2
    error = capsys.readouterr().err
    assert said in error and error.splitlines()[-1].startswith(
        "error: owner/tiny: could not be made on the hub"
    )


def test_revisions_messages_and_pull_requests(hub, model, capsys):
    assert push(model, "owner/tiny") == 0
    settings = ModelConfig.load(model)
    settings.max_words = 7
    settings.save(model)
    assert push(model, "owner/tiny", "--revision", "v2", "--message", "Shorter units") == 0
    assert hub.repositories["owner/tiny"].messages[-1] == "Shorter units"
    assert Vaner.from_pretrained("owner/tiny", revision="v2").max_words == 7
    assert Vaner.from_pretrained("owner/tiny").max_words == 96
    with pytest.raises(VanerError, match="no such revision; name a branch, a tag or a commit"):
        Vaner.from_pretrained("owner/tiny", revision="v3")
    capsys.readouterr()
    assert push(model, "owner/tiny", "--create_pr") == 0
    assert capsys.readouterr().out.endswith("/owner/tiny/discussions/1\n")
    assert b'"max_words": 96' in files(hub)["vaner.json"]
    assert b'"max_words": 7' in files(hub, revision="refs/pr/2")["vaner.json"]


def test_weights_of_an_earlier_model_go_and_what_else_is_there_stays(hub, model):
    assert push(model, "owner/tiny") == 0
    before = hub.repositories["owner/tiny"].branches["main"]
    before.append(
        {**before[-1], "adapter_config.json": b"{}", "adapter_model.safetensors": b"", "notes.md": b"x"}
    )
    assert push(model, "owner/tiny") == 0
    assert set(files(hub)) == {*before[1], "notes.md"}


def test_a_lost_connection_changes_nothing_and_a_repeat_goes_on(hub, model, capsys):
    hub.lost = 1
    assert push(model, "owner/tiny") == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "the upload broke off (Error while uploading" in error and "run the same again" in error
    assert files(hub) == {} and len(hub.large) == 1
    (arrived,) = hub.large
    hub.lost, hub.asked = None, []
    assert push(model, "owner/tiny") == 0
    assert (
        sum(one.startswith("PUT /lfs/") for one in hub.asked) == 1 and f"PUT /lfs/{arrived}" not in hub.asked
    )
    assert Vaner.from_pretrained("owner/tiny")(TEXT)


def test_without_a_network(hub, model, monkeypatch, capsys):
    monkeypatch.setattr(hub_constants, "HF_HUB_OFFLINE", True)
    assert push(model, "owner/tiny") == 2
    assert "HF_HUB_OFFLINE is set" in capsys.readouterr().err
    assert push(model, "owner/tiny", "--dry_run") == 0
    monkeypatch.setattr(hub_constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub_constants, "ENDPOINT", "http://127.0.0.1:9")
    assert push(model, "owner/tiny") == 2
    assert "could not be made on the hub" in capsys.readouterr().err


def test_a_tagger_pushes_the_model_that_it_was_loaded_from(hub, model, tmp_path):
    tagger = Vaner.from_pretrained(model, max_words=5)
    url = tagger.push_to_hub("owner/tiny", commit_message="From a session", private=True, branch="dev")
    assert url.startswith(f"{hub.url}/owner/tiny/commit/") and hub.repositories["owner/tiny"].private
    assert hub.repositories["owner/tiny"].messages == ["From a session"] and files(hub) == {}
    again = Vaner.from_pretrained("owner/tiny", revision="dev", token=WRITE)
    assert again(TEXT) and again.max_words == 96
    assert again.push_to_hub("owner/copy", token=WRITE)
    assert files(hub, "owner/copy")["head.safetensors"] == (model / "head.safetensors").read_bytes()
    assert WRITE.encode() not in pickle.dumps(again)


def test_a_tagger_of_a_model_in_memory_is_saved_or_says_why_not(hub, tiny_backbones, tiny_tokenizer, model):
    tagger = Vaner.from_pretrained(model, fuse=False)
    Vaner(tagger.model, tagger.tokenisation.tokenizer).push_to_hub("owner/tiny")
    assert Vaner.from_pretrained("owner/tiny", fuse=False)(TEXT) == tagger(TEXT)
    in_bytes = Vaner.from_pretrained(model, quantization="int8")
    with pytest.raises(VanerError, match="push the folder that they came from"):
        Vaner(in_bytes.model, tiny_tokenizer).push_to_hub("owner/fast")
    with pytest.raises(VanerError, match="save it whole"):
        Vaner(build(tiny_backbones["llama"]).merge(), tiny_tokenizer).push_to_hub("owner/merged")
    assert "owner/merged" not in hub.repositories


CODE = "raise SystemExit('this was run')"
OWN = {"AutoConfig": "code.C", "AutoModel": "code.M", "AutoTokenizer": ["code.T", "code.T"]}


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("backbone/config.json", {"auto_map": OWN}, None),
        ("tokenizer_config.json", {"auto_map": OWN}, None),
        ("backbone/config.json", {"auto_map": OWN, "model_type": "other"}, "without code of its own, which is not run"),
        ("tokenizer_config.json", {"auto_map": OWN, "tokenizer_class": "Other"}, "its tokenizer cannot be read"),
        ("backbone/config.json", {"_attn_implementation": "some/kernel"}, "asks for code of the hub, which is not run"),
        ("backbone/config.json", {"attn_implementation": "some/kernel"}, "asks for code of the hub, which is not run"),
    ],
)  # fmt: skip
def test_nothing_of_a_hub_folder_is_executed(hub, model, tmp_path, name, values, said):
    """Code beside a model, configs that name it or a compiled kernel, pickles: none is fetched, none is run."""
    assert push(model, "owner/tiny") == 0
    there = dict(files(hub))
    there[name] = json.dumps(json.loads(there[name]) | values).encode()
    there |= {one: CODE.encode() for one in ("code.py", "backbone/code.py", "setup.py")}
    there |= {"pytorch_model.bin": b"x", "backbone/pytorch_model.bin": b"x", "adapter_model.bin": b"x"}
    hub.repositories["owner/tiny"].branches["main"].append(there)
    if said:
        with pytest.raises(VanerError, match=said) as caught:
            Vaner.from_pretrained("owner/tiny")
        assert "\n" not in str(caught.value)
    else:
        assert Vaner.from_pretrained("owner/tiny")(TEXT)
    cached = {path.name for path in (tmp_path / "cache").rglob("*")}
    assert "vaner.json" in cached and not {one for one in cached if one.endswith((".py", ".bin"))}


def test_pickled_weights_are_not_loaded(hub, model):
    assert push(model, "owner/tiny") == 0
    there = dict(files(hub))
    there["backbone/pytorch_model.bin"] = there.pop("backbone/model.safetensors")
    hub.repositories["owner/tiny"].branches["main"].append(there)
    with pytest.raises(VanerError, match="no .safetensors files"):
        Vaner.from_pretrained("owner/tiny")


def test_a_file_name_cannot_leave_the_cache(hub, model, tmp_path):
    assert push(model, "owner/tiny") == 0
    there = {**files(hub), "../../../escaped.json": b"{}", "/absolute.json": b"{}"}
    hub.repositories["owner/tiny"].branches["main"].append(there)
    try:
        Vaner.from_pretrained("owner/tiny")
    except VanerError as error:
        assert "\n" not in str(error)
    assert not list(tmp_path.rglob("escaped.json")) and not Path("/absolute.json").exists()


@pytest.mark.slow
def test_as_a_process_of_its_own(httpserver, model, tmp_path):
    fake = FakeHub(httpserver)
    told = {
        "HF_ENDPOINT": fake.url,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(tmp_path / "home"),
    }
    environment = {**os.environ, **told, "HF_TOKEN": WRITE, "PYTHONPATH": str(ROOT)}
    for words in (
        ["-m", "vaner", "push", str(model), "owner/tiny", "--private"],
        ["-c", f"import vaner; print(vaner.Vaner.from_pretrained('owner/tiny')({TEXT!r}))"],
    ):
        done = subprocess.run(
            [sys.executable, *words], env=environment, capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(Vaner.from_pretrained(model)(TEXT))
