"""In: settings. Out: the tagger that they name, whole; what cannot work refused before anything is loaded."""

import json
import pickle
from dataclasses import fields

import pytest

from tests.model.test_network import build
from tests.tagging.words import Words, found
from vaner.document import Document, Span
from vaner.errors import VanerError
from vaner.tagging import loading, settings
from vaner.tagging.identity import plain_name, tagger_hash
from vaner.tagging.settings import TaggingSettings

TEXT = "TNF-alpha in breast cancer."


@pytest.fixture
def taggers(monkeypatch):
    """Taggers of the kinds ``aa`` and ``bb``."""
    made = {
        "aa": Words({"breast cancer": ("Disease", 0.5), "TNF": ("Gene", 0.9)}),
        "bb": Words({"cancer": ("Disease", 0.8), "breast": ("Anatomy", 0.3)}),
    }
    monkeypatch.setattr(loading, "_LOADERS", dict(loading._LOADERS))
    for name, tagger in made.items():
        loading.register(name, lambda rest, tagger=tagger: tagger)
    return made


def tag(asked, document=None):
    tagger = asked.open()
    (tagged,) = tagger.tag_documents([document or Document("d", TEXT)], asked.types, asked.dataset)
    return tagged, tagger.remarks()


@pytest.fixture(scope="module")
def model(tiny_backbones, tiny_tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "tiny"
    build(tiny_backbones["llama"]).save_pretrained(folder, tiny_tokenizer)
    return str(folder)


EVERYTHING = TaggingSettings(
    models=("aa:", "bb:"),
    types=("Disease",),
    dataset="x",
    min_score=0.1,
    min_scores={"Gene": 0.5},
    link=True,
    kb="names.kb",
    hints=True,
    existing="keep",
    conflicts="score",
    flat=True,
    decoding="argmax",
    batch_tokens=5,
    max_words=1,
    dtype="float32",
    device="cpu",
    quantization="int8",
    allow_new_types=True,
    word_scores=True,
    repeats=False,
    on_failed="leave",
    dry_run=True,
    show_prompt=2,
    date="2024-02-29",
)


def test_settings_are_json_and_pickle():
    changed = {
        f.name for f in fields(EVERYTHING) if vars(EVERYTHING)[f.name] != vars(TaggingSettings())[f.name]
    }
    assert changed == {f.name for f in fields(EVERYTHING)}
    for one in (EVERYTHING, TaggingSettings()):
        assert TaggingSettings.from_dict(json.loads(json.dumps(one.to_dict()))) == one
        assert pickle.loads(pickle.dumps(one)) == one
    with pytest.raises(VanerError, match="tagging settings: unknown setting 'colour'"):
        TaggingSettings.from_dict({"colour": "red"})


def test_everything_in_its_order(taggers, kb):
    # B's breast falls to its score before flat could keep it; what is kept is not linked.
    asked = TaggingSettings(
        models=("aa:", "bb:"), min_scores={"Anatomy": 0.4}, conflicts="score", flat=True, existing="keep",
        link=True, kb=str(kb.path), date="2024-02-29",
    )  # fmt: skip
    own = Span(0, 3, "Letters", "TNF")
    tagged, remarks = tag(asked, Document("d", TEXT, [own], metadata={"tagged_by": "another", "pmid": "1"}))
    assert found(tagged) == ["TNF/Letters", "cancer/Disease"]
    assert [bool(span.concepts) for span in tagged.spans] == [False, True]
    assert tagged.metadata["pmid"] == "1"
    assert tagged.metadata["tagged_by"] == {
        "tagger": tagged.metadata["tagged_by"]["tagger"],
        "model": "aa: + bb:",
        "model_hash": "none + none",
        "date": "2024-02-29",
        "existing": "keep",
    }
    assert remarks[:3] == [
        "aa:: 2 words",
        "bb:: 2 words",
        "bb:: 1 spans below the least score were left out (Anatomy 1)",
    ]


def test_a_span_that_scores_too_little_drives_out_none(taggers):
    asked = TaggingSettings(models=("bb:",), flat=True)
    document = Document("d", "breastcancer")
    taggers["bb"].known = {"breastcancer": ("Disease", 0.5), "breast": ("Anatomy", 0.4)}
    assert found(
        tag(TaggingSettings(models=("bb:",), flat=True, min_scores={"Disease": 0.6}), document)[0]
    ) == ["breast/Anatomy"]
    with pytest.raises(VanerError, match="bb:: takes no flat"):
        asked.open()


def test_a_run_repeats_and_documents_say_nothing_of_the_day(taggers):
    asked = TaggingSettings(models=("aa:",))
    assert tag(asked) == tag(asked)
    assert list(tag(asked)[0].metadata["tagged_by"]) == ["tagger", "model", "model_hash"]


def test_a_model_and_a_dictionary_each_take_their_options(model, kb):
    asked = TaggingSettings(
        models=(f"kb:{kb.path}", model), batch_tokens=77, dtype="float32", types=("Disease", "Gene")
    )
    tagged, remarks = tag(asked)
    assert {"TNF-alpha/Gene", "breast cancer/Disease"} <= set(found(tagged))
    assert tagged.metadata["tagged_by"]["model"] == "kb:kb.idx + tiny"
    assert any("tokens, padding" in line for line in remarks)


def test_models_read_repeats_together_unless_told_not_to(model, kb):
    for repeats in (True, False):
        loaded, _ = TaggingSettings(models=(model, f"kb:{kb.path}"), repeats=repeats).load()
        assert loaded[model].repeats is repeats
    with pytest.raises(VanerError, match="takes no repeats; .*leave --no_repeats out"):
        TaggingSettings(models=(f"kb:{kb.path}",), repeats=False).open()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"models": ()}, "no model; name one"),
        ({"models": ("aa:", "aa:")}, "--model aa: is named twice"),
        ({"models": ("cc:",)}, "no kind of tagger has the prefix cc:"),
        ({"models": ("nowhere",)}, "no such model folder"),
        ({"types": ()}, "no entity type asked"),
        ({"types": ("Diseases",)}, r"type 'Diseases' was not in training .*did you mean Disease\?"),
        ({"dataset": "nowhere"}, "dataset 'nowhere' was not in training"),
        ({"min_score": 2.0}, "--min_score 2: a score"),
        ({"min_scores": {"Diseases": 0.5}}, r"type 'Diseases' is unknown .did you mean Disease\?"),
        ({"link": True, "kb": "none"}, "--link needs an index, and --kb none names none"),
        ({"kb": "x.idx"}, "add --link or --hints"),
        ({"hints": True}, "--hints needs an index"),
        ({"existing": "some"}, "existing: unknown 'some'"),
        ({"conflicts": "some"}, "conflicts: unknown 'some'"),
        ({"flat": True, "existing": "merge"}, "--existing merge keeps them all"),
        ({"decoding": "some"}, "decoding: unknown 'some'; choose viterbi, argmax"),
        ({"quantization": "some"}, "quantization: unknown"),
        ({"batch_tokens": 0}, "batch_tokens is 0; choose 1 or more"),
        ({"max_words": 0}, "max_words is 0; choose 1 or more"),
        ({"date": "29.2.2024"}, "--date 29.2.2024: not a date; write YYYY-MM-DD"),
        ({"date": "2023-02-29"}, "not a date"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_loaded(model, monkeypatch, given, says):
    monkeypatch.setattr(settings, "load", lambda *_, **__: pytest.fail("loaded"))
    with pytest.raises(VanerError, match=says):
        TaggingSettings(**{"models": (model,), **given}).open()


def test_a_missing_index_is_said_before_anything_is_loaded(model, monkeypatch):
    monkeypatch.setattr(settings, "load", lambda *_, **__: pytest.fail("loaded"))
    for given in ({"link": True, "kb": "x.idx"}, {"models": ("kb:x.idx",)}):
        with pytest.raises(VanerError, match=r"x\.idx: no such index"):
            TaggingSettings(**{"models": (model,), **given}).open()


def test_hashes_say_what_is_in_a_model_not_where_it_lies(model, kb, tmp_path):
    import shutil

    moved = tmp_path / "tiny"
    shutil.copytree(model, moved)
    one, two = (TaggingSettings(models=(name,), link=True, kb=str(kb.path)) for name in (model, str(moved)))
    assert one.hashes() == two.hashes() and list(one.hashes()) == ["tiny", "kb:kb.idx"]
    assert one.provenance() == two.provenance()
    content = (moved / "vaner.json").read_text()
    (moved / "vaner.json").write_text(content.replace('"max_words": ', '"max_words": 1'))
    assert two.hashes()["tiny"] != one.hashes()["tiny"]
    (moved / "vaner.json").write_text(content)
    weights = bytearray((moved / "head.safetensors").read_bytes())
    weights[-1] ^= 1
    (moved / "head.safetensors").write_bytes(weights)
    assert two.hashes()["tiny"] != one.hashes()["tiny"]


def test_plain_names(tmp_path):
    assert plain_name(str(tmp_path)) == plain_name(f"{tmp_path}/") == tmp_path.name
    assert plain_name(f"kb:{tmp_path}") == f"kb:{tmp_path.name}"
    assert plain_name("owner/name") == "owner/name" and plain_name("vaner-x") == "vaner-x"
    assert tagger_hash("mine:nothing") == ""
