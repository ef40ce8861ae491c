"""A study's file: what is right is read, what is wrong is named in one line with file and key."""

from __future__ import annotations

import sys

import pytest

from tests.conftest import ROOT
from vaner.errors import VanerError
from vaner.model import attention
from vaner.study.folder import StudyFolder
from vaner.study.settings import StudySettings
from vaner.study.training import check

SHIPPED = sorted(path for path in (ROOT / "configs" / "study").glob("*.yaml") if "corpora" not in path.name)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_file_is_a_study_that_training_would_take(path, tmp_path):
    settings = StudySettings.load(path)
    asked = {settings.flags_of(arm).get("attention") for arm in settings.arms.values()}
    if new := asked - {None, *attention.MODES}:
        pytest.skip(f"--attention {new.pop()} is not here")
    check(settings, StudyFolder(tmp_path))
    assert len(settings.budget.said) == 1 and settings.split != "test"
    assert all(name in settings.corpora_known() for name in settings.corpora)


def test_flags_of_an_arm_come_after_those_of_all_and_those_after_a_config(study, make):
    make("base.yaml", "learning_rate: 1\nmix: [ncbi-disease]\nmax_steps: 9\nlora_alpha: 7\n")
    arm = {"kind": "labels", "config": "base.yaml", "flags": {"lora_r": 9}}
    settings = StudySettings.load(study(arms={"one": arm}, flags={"lora_r": 3, "lora_alpha": 5}))
    # What the study itself says (corpora, budget) is not taken from a config.
    assert settings.flags_of(settings.arms["one"]) == {"learning_rate": 1, "lora_alpha": 5, "lora_r": 9}


WRONG = [
    ({"arm": 1}, "unknown key 'arm'; did you mean arms?"),
    ({"corpora": ["bc5cdr-smaple"]}, "corpora: unknown corpus 'bc5cdr-smaple'; did you mean bc5cdr-sample?"),
    ({"corpora": ["bc5cdr-sample", "bc5cdr-sample"]}, "corpora: bc5cdr-sample is named twice"),
    ({"corpora": None}, "corpora: names none"),
    ({"documents": {"jnlpba": 3}}, "documents: jnlpba is none of corpora"),
    ({"seeds": [1, 1]}, "seeds: must name at least one, and each once"),
    ({"seeds": ["a"]}, "seeds: must be a whole number"),
    ({"budget": None}, "budget: names nothing; name one of updates, tokens, minutes"),
    ({"budget": {"updates": 3, "minutes": 1}}, "budget: names updates and minutes; name one"),
    ({"budget": {"minutes": 0}}, "budget.minutes: must be more than 0"),
    ({"flags": {"seed": 3}}, "flags.seed: is said under seeds"),
    ({"flags": {"max_steps": 3}}, "flags.max_steps: is said under budget.updates"),
    ({"cost": {"corpus": "jnlpba"}}, "cost.corpus: jnlpba is none of corpora"),
    ({"reference": "encodr"}, "reference: unknown arm 'encodr'; did you mean encoder?"),
    ({"arms": {}}, "arms: names none"),
    ({"arms": {"a/b": {"kind": "labels"}}}, "arms: 'a/b' is no name for a folder"),
    ({"arms": {"a": {"flags": {}}}}, "arms.a: names no kind"),
    ({"arms": {"a": {"kind": "label"}}}, "arms.a.kind: unknown 'label'; did you mean labels?"),
    ({"arms": {"a": {"kind": "labels", "index": "open"}}}, "arms.a.index: is not of kind: labels"),
    ({"arms": {"a": {"kind": "dictionary"}}}, "arms.a.index: is missing"),
    ({"arms": {"a": {"kind": "prompted"}}}, "arms.a.prompt: is missing"),
    (
        {"arms": {"a": {"kind": "prompted", "prompt": {"answr": 1}}}},
        "unknown key 'answr'; did you mean answer?",
    ),
    ({"arms": {"a": {"kind": "prompted", "prompt": "none.yaml"}}}, "none.yaml: no such file"),
    (
        {"arms": {"a": {"kind": "labels", "tagging": {"dtyp": 1}}}},
        "arms.a.tagging: unknown option 'dtyp'; did you mean dtype?",
    ),
    (
        {"arms": {"a": {"kind": "labels", "tagging": {"batch_size": 1}}}},
        "arms.a.tagging: unknown option 'batch_size'",
    ),
    (
        {"arms": {"a": {"kind": "dictionary", "index": "open", "tagging": {"kb": 1}}}},
        "arms.a.tagging: unknown option 'kb'; kind: dictionary takes none",
    ),
    ({"arms": {"a": {"kind": "generates", "model_of": "b"}}}, "arms.a.model_of: unknown arm 'b'"),
    ({"arms": {"a": {"kind": "generates", "alignment": "index"}}}, "arms.a.alignment: is for decoding: free"),
]


@pytest.mark.parametrize(("changed", "said"), WRONG, ids=[said[:30] for _, said in WRONG])
def test_a_wrong_file_is_refused(study, changed, said):
    file = study(**changed)
    with pytest.raises(VanerError) as error:
        StudySettings.load(file)
    assert str(error.value).startswith(f"{file}: ") and said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_labelers_arm_may_read_every_place_of_a_name_by_itself(study):
    file = study(arms={"one": {"kind": "labels", "tagging": {"repeats": False}}})
    assert StudySettings.load(file).arms["one"].tagging == {"repeats": False}


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"learnin_rate": 1}, "unknown setting 'learnin_rate'; did you mean --learning_rate?"),
        ({"lora_r": 0}, "--lora_r is 0"),
        ({"head": "generate"}, "head: generate is not of kind: labels"),
    ],
)
def test_flags_that_training_refuses_are_refused_at_once(study, tmp_path, flags, said):
    file = study(arms={"one": {"kind": "labels", "flags": flags}})
    with pytest.raises(VanerError) as error:
        check(StudySettings.load(file), StudyFolder(tmp_path))
    assert str(error.value).startswith(f"{file}: arms.one") and said in str(error.value)


@pytest.mark.parametrize(
    "arm",
    [
        {"kind": "generates", "flags": {"backbone": "smollm2-135m"}},
        # Free or not: its training scores dev with answers that are held to the text.
        {"kind": "generates", "flags": {"backbone": "smollm2-135m"}, "decoding": "free"},
        {"kind": "prompted", "prompt": {"types": ["Disease"]}},
    ],
    ids=["forced", "free", "prompted"],
)
def test_an_arm_whose_package_is_missing_is_refused_at_once(study, tmp_path, monkeypatch, arm):
    file = study(arms={"one": arm})
    settings = StudySettings.load(file)
    check(settings, StudyFolder(tmp_path))
    monkeypatch.setitem(sys.modules, "llguidance", None)
    with pytest.raises(VanerError) as error:
        check(settings, StudyFolder(tmp_path))
    assert str(error.value).startswith(f"{file}: arms.one: decoding: forced needs llguidance; pip install")
