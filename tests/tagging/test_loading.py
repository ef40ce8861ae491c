"""In: names of taggers, options. Out: the tagger of each kind, or one line that says what the kind takes."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from tests.model.test_network import build
from vaner.document import Document
from vaner.errors import VanerError
from vaner.knowledge import DictionaryTagger
from vaner.tagging import loading
from vaner.tagging.labeler import Vaner
from vaner.tagging.loading import Options, load, options_of, register

TEXT = "TNF-alpha in breast cancer."


@pytest.fixture
def model(tiny_backbones, tiny_tokenizer, tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    build(tiny_backbones["llama"]).save_pretrained(folder, tiny_tokenizer)
    return str(folder)


class Capitals:
    """A tagger of another kind: it marks capital letters."""

    types = ("Letter",)
    datasets: dict = {}
    max_words = None
    allow_new_types = False

    def __init__(self, rest, flat=False, most=9):
        self.rest, self.flat, self.most = rest, flat, most

    def remarks(self):
        return []

    def tag_documents(self, documents, types=None, dataset=None):
        for d in documents:
            yield d.with_spans(d.span(i, i + 1, "Letter") for i, c in enumerate(d.text) if c.isupper())


@pytest.fixture
def capitals(monkeypatch):
    """Registers the kind ``caps``, for this test alone."""
    monkeypatch.setattr(loading, "_LOADERS", dict(loading._LOADERS))
    register("caps", lambda rest, *, flat=False, most=9: Capitals(rest, flat, most))


# --- which kind a name is of ---


def test_a_folder_is_a_labeler_and_kb_a_dictionary(model, kb):
    labeler, dictionary = load(model, dtype="float32"), load(f"kb:{kb.path}")
    assert isinstance(labeler, Vaner) and isinstance(dictionary, DictionaryTagger)
    (found,) = dictionary.tag_documents([Document("d", TEXT)], ["Disease", "Gene"])
    assert [s.text for s in found.spans] == ["TNF-alpha", "breast cancer"]
    assert labeler.types == ["Disease", "Chemical"]


def test_another_kind_is_loaded_by_its_prefix(capitals):
    found = load("caps:what stands:behind\nthe first colon", flat=True)
    assert isinstance(found, Capitals)
    assert (found.rest, found.flat, found.most) == ("what stands:behind\nthe first colon", True, 9)
    (document,) = found.tag_documents([Document("d", "Aspirin for CAT")])
    assert [s.text for s in document.spans] == ["A", "C", "A", "T"]
    assert load("caps:").rest == ""


def test_a_kind_that_is_registered_again_is_replaced(capitals):
    register("caps", lambda rest: Capitals("the second"))
    assert load("caps:x").rest == "the second" and options_of("caps:x") == frozenset()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("kbs:names.kb", r"kbs:names.kb: no kind of tagger has the prefix kbs: \(did you mean kb\?\)"),
        ("cap:x", r"cap:x: no kind of tagger has the prefix cap: \(did you mean caps\?\)"),
        (
            "spaceship:x",
            r"spaceship:x: no kind of tagger has the prefix spaceship: \(there are kb:, prompt:, .*caps:.*\)",
        ),
    ],
)
def test_an_unknown_prefix_is_told_its_neighbour_or_all_there_are(capitals, name, says):
    for ask in (load, options_of):
        with pytest.raises(VanerError, match=says):
            ask(name)


def test_a_folder_that_is_called_like_a_kind_is_a_folder(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kb:mine").symlink_to(model)
    assert isinstance(load("kb:mine", dtype="float32"), Vaner)
    assert options_of("kb:mine") == options_of("runs/mine")


@pytest.mark.parametrize("name", ["C:", "c:/models/x", "KB:x", "k-b:x", "./kb:x", "owner/kb:x", "9b:x"])
def test_what_is_no_prefix_is_part_of_a_models_name(name):
    assert options_of(name) == options_of("runs/mine")
    with pytest.raises(VanerError, match="^(?!.*no kind of tagger)"):
        load(name)


def test_nothing_is_there_under_that_name(tmp_path):
    with pytest.raises(VanerError, match="no such model folder"):
        load(str(tmp_path / "absent"))
    with pytest.raises(VanerError, match=r"absent\.idx: no such index"):
        load(f"kb:{tmp_path / 'absent.idx'}")


# --- options ---


def test_each_kind_says_which_options_it_takes(capitals):
    assert options_of("runs/mine") == options_of("vaner-smollm2-135m") == frozenset(Options.__annotations__)
    assert options_of("kb:names.idx") == frozenset()
    assert options_of("caps:x") == {"flat", "most"}


def test_the_labelers_options_are_those_of_the_labeler():
    def takes(function) -> set[str]:
        return {p.name for p in inspect.signature(function).parameters.values() if p.kind == p.KEYWORD_ONLY}

    assert set(Options.__annotations__) <= takes(Vaner.from_pretrained) | takes(Vaner.__init__)


def test_options_reach_the_tagger(model):
    given = dict(
        batch_tokens=77, decoding="argmax", flat=True, max_words=5, allow_new_types=True, repeats=False
    )
    found = load(model, dtype="float32", **given)
    assert {name: getattr(found, name) for name in given} == given
    assert str(found.model.plain_backbone.dtype) == "torch.float32"


def test_an_option_that_is_none_is_as_good_as_left_out(model, kb):
    nothing = dict.fromkeys(Options.__annotations__)
    found, plain = load(model, **nothing), load(model)
    for name in ("batch_tokens", "decoding", "flat", "max_words", "allow_new_types", "hints"):
        assert getattr(found, name) == getattr(plain, name), name
    assert isinstance(load(f"kb:{kb.path}", **nothing), DictionaryTagger)


def test_an_option_that_is_false_is_one(capitals):
    assert load("caps:x", flat=False).flat is False
    with pytest.raises(VanerError, match="kb:absent.idx: takes no flat"):
        load("kb:absent.idx", flat=False)


def test_an_option_that_a_kind_does_not_take_is_refused_before_anything_is_opened(capitals):
    with pytest.raises(VanerError) as caught:
        load("kb:absent.idx", batch_tokens=64)
    assert str(caught.value) == (
        "kb:absent.idx: takes no batch_tokens; it takes no option; leave --batch_tokens out"
    )
    with pytest.raises(VanerError) as caught:
        load("caps:x", max_words=3)
    assert str(caught.value) == "caps:x: takes no max_words; it takes flat, most; leave --max_words out"
    with pytest.raises(
        VanerError, match="runs/absent: takes no colour; it takes allow_new_types, batch_tokens"
    ):
        load("runs/absent", colour="red")


def test_a_dictionary_is_loaded_and_asked_without_torch(kb):
    script = f"""
import sys
from vaner.document import Document
from vaner.tagging.loading import load, options_of
(found,) = load("kb:{kb.path}").tag_documents([Document("d", {TEXT!r})], ["Disease", "Gene"])
print([s.text for s in found.spans], sorted(options_of("kb:x")), len(options_of("runs/mine")))
heavy = sorted({{"torch", "transformers", "peft"}} & set(sys.modules))
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"['TNF-alpha', 'breast cancer'] [] {len(Options.__annotations__)}\n"
