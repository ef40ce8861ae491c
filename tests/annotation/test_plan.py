"""In: instructions, names of annotators. Out: a plan whose prompts say what the guideline says, wherever it lies."""

import shutil
from pathlib import Path

import pytest
import yaml

from tests.annotation.made import instructions
from vaner.annotation.compiling import Wanted, compiled
from vaner.annotation.instructions import Instructions
from vaner.annotation.plan import Plan, check_folder
from vaner.errors import VanerError
from vaner.prompting.settings import PromptSettings
from vaner.tagging.identity import tagger_hash

PROMPT = "backend: {model: lm}\ntypes: {Disease: ill, Chemical: stuff}\nstore: s.sqlite\n"


@pytest.fixture
def folder(tmp_path):
    instructions(tmp_path)
    (tmp_path / "p.yaml").write_text(PROMPT, encoding="utf-8")
    return tmp_path


def plan(folder, *, prompt=None, output="out", **wanted):
    """The plan, written, and the settings of its first annotator."""
    if prompt is not None:
        (folder / "p.yaml").write_text(prompt, encoding="utf-8")
    models = wanted.pop("models", (f"prompt:{folder / 'p.yaml'}",))
    made, beside = compiled(
        Instructions.load(folder / "made-up.yaml"), Wanted(tuple(models), **wanted), folder / output
    )
    made.write(beside)
    first = made.annotators[0]
    return made, PromptSettings.load(made.loads(first).partition(":")[2]) if first.prompted else None


def test_none_says_nothing_of_the_instructions(folder):
    made, settings = plan(folder, guideline="none")
    assert settings.types == {"Disease": "ill", "Chemical": "stuff"} and not settings.guideline
    assert settings.store == str(folder / "s.sqlite") and settings.scores == "logprobs"
    assert made.annotators[0].name == "prompt:p.yaml" and made.types == ("Disease", "Chemical")


def test_short_and_full_say_the_list_and_the_text(folder):
    _, short = plan(folder, types=("Disease",))
    assert short.types == {"Disease": "an abnormal condition"} and "{{ guideline }}" in short.system
    (said,) = short.guideline.values()
    assert "- all disease names" in said and "Chemical" not in said and "nobody wrote this" not in said
    _, unverified = plan(folder, types=("Disease",), unverified=True, output="b")
    assert "nobody wrote this" in unverified.guideline[""]
    _, full = plan(folder, guideline="full", output="c")
    assert (
        full.guideline[""].startswith("# How diseases are marked")
        and "Doses are never marked." in full.guideline[""]
    )


def test_one_type_per_call_is_told_of_one_type(folder):
    _, settings = plan(folder, prompt=PROMPT + "one_type_per_call: true\n")
    assert set(settings.guideline) == {"Disease", "Chemical"} and "doses" not in settings.guideline["Disease"]


def test_a_wording_that_shows_no_guideline_is_given_one(folder):
    prompt = PROMPT + 'system: "Mark.\\n  {{ rules }} Thanks."\nuser: "{{ question }}"\n'
    _, settings = plan(folder, prompt=prompt)
    assert settings.system.startswith("Mark.\n{% if guideline %}") and settings.system.endswith(
        "{{ rules }} Thanks."
    )
    _, own = plan(folder, prompt=PROMPT + 'system: "Mark.\\n{{ guideline }}"\n', output="b")
    assert own.system == "Mark.\n{{ guideline }}"
    _, last = plan(folder, prompt=PROMPT + 'system: "Mark."\n', output="c")
    assert last.system.startswith("Mark.\n{% if guideline %}")
    _, searched = plan(folder, prompt=prompt, guideline="retrieved", output="d")
    assert searched.system == "Mark.\n  {{ rules }} Thanks." and "{{ passage.text }}" in searched.user


def test_retrieved_searches_the_guidelines_own_text(folder):
    made, settings = plan(folder, guideline="retrieved")
    (source,) = settings.retrieval.passages.source
    assert (
        Path(source).parent == made.folder / "guideline"
        and "Annotate all disease names" in Path(source).read_text()
    )
    assert not settings.guideline
    moved = shutil.copytree(folder / "out", folder / "elsewhere" / "out")
    assert PromptSettings.load(
        next((moved / ".annotate" / "prompts").iterdir())
    ).retrieval.passages.source != (source,)


def test_a_plan_is_read_as_it_was_written_and_its_hash_knows_no_place(folder, tmp_path_factory):
    more = dict(
        verify=("rules", "same"), least_votes=1, propagate=True, steps=("reason", "mark"), unverified=True
    )
    made, settings = plan(folder, **more)
    assert settings.steps == ("reason", "mark")
    assert Plan.load(made.path) == Plan.of_run(folder / "out") == made
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for name in ("guideline.md", "made-up.yaml", "p.yaml"):
        shutil.copy(folder / name, elsewhere / name)
    again, _ = plan(elsewhere, **more)
    assert (
        again.hash
        == made.hash
        == tagger_hash(f"annotate:{made.path}")
        == tagger_hash(f"annotate:{folder / 'out'}")
    )
    assert again.folder != made.folder


@pytest.mark.parametrize(
    "change",
    [
        {"guideline": "none"}, {"guideline": "full"}, {"guideline": "retrieved"}, {"unverified": True},
        {"steps": ("mark", "correct")}, {"verify": ("rules",)}, {"verify": ("same",)}, {"propagate": True},
        {"least_votes": 1}, {"types": ("Disease",)}, {"prompt": PROMPT + "max_words: 7\n"},
    ],
)  # fmt: skip
def test_whatever_decides_is_in_the_hash_and_another_plan_is_refused(folder, change):
    made, _ = plan(folder)
    check_folder(folder / "out", made)
    other, _ = plan(folder, output="other", **change)
    assert other.hash != made.hash
    check_folder(folder / "out", other)  # nothing is annotated yet
    (folder / "out" / ".vaner").mkdir()
    (folder / "out" / ".vaner" / "manifest.jsonl").write_text("{}\n")
    with pytest.raises(
        VanerError, match=r"holds an annotation by another plan \(.* was .*, is .*--overwrite"
    ):
        check_folder(folder / "out", other)
    check_folder(folder / "out", made)


def test_an_edit_of_the_instructions_is_another_plan(folder):
    made, _ = plan(folder, guideline="none")
    path = folder / "made-up.yaml"
    path.write_text(path.read_text().replace("a drug or another substance", "a drug"), encoding="utf-8")
    assert plan(folder, guideline="none", output="b")[0].hash != made.hash
    path.write_text(
        "# a comment\n" + path.read_text().replace("a drug,", "a drug or another substance,"),
        encoding="utf-8",
    )
    assert plan(folder, guideline="none", output="c")[0].hash == made.hash


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"types": ("Gene",)}, "--types Gene: .*made-up.yaml says nothing of it; it has Disease, Chemical"),
        ({"types": ("Diseases",)}, "did you mean Disease"),
        ({"models": ("kb:open", "kb:open")}, "--model kb:open: is named twice"),
        ({"models": ("kb:open",), "steps": ("mark",)}, "--steps: are those of prompted annotators"),
        ({"models": ("kb:open",), "verify": ("same",)}, "--verify same: asks the annotating model again"),
        ({"models": ("spaceship:x",)}, "no kind of tagger has the prefix spaceship"),
        ({"steps": ("correct", "mark")}, "--steps correct,mark: name"),
        ({"steps": ("reason",)}, "--steps reason: without mark"),
        ({"steps": ("think",)}, "--steps think: name"),
        (
            {"verify": ("rules",), "types": ("Chemical",)},
            "has neither checks nor counter-examples of Chemical",
        ),
        ({"verify": ("rules", "rules")}, "--verify rules: is named twice"),
        ({"least_votes": 2}, "--least_votes 2: there are 1 annotators"),
        ({"prompt": PROMPT + "guideline: Mine.\n"}, "p.yaml: guideline: says one already"),
        (
            {"prompt": PROMPT + "retrieval: {passages: {from: guideline.md}}\n", "guideline": "retrieved"},
            "p.yaml: retrieval.passages: searches other documents already",
        ),
    ],
)
def test_what_cannot_be_is_said_at_once(folder, wanted, says):
    with pytest.raises(VanerError, match=says):
        plan(folder, **wanted)


def test_two_files_of_one_name_are_told_apart(folder):
    (folder / "b").mkdir()
    (folder / "b" / "p.yaml").write_text(PROMPT + "max_words: 5\n", encoding="utf-8")
    made, _ = plan(folder, models=(f"prompt:{folder / 'p.yaml'}", f"prompt:{folder / 'b' / 'p.yaml'}"))
    assert [one.name for one in made.annotators] == ["prompt:p.yaml", "prompt:p.yaml (2)"]
    assert len({one.loads for one in made.annotators}) == 2


def test_scores_are_asked_where_they_can_be_told(folder):
    repeated = PROMPT + "repeats: 3\nsampling: {temperature: 1}\n"
    served = (
        PROMPT.replace("{model: lm}", "{name: openai, model: m, key_variable: null}") + "decoding: free\n"
    )
    assert plan(folder, prompt=repeated)[1].scores == "votes"
    assert plan(folder, prompt=served, output="b")[1].scores == "none"
    told = served.replace("model: m,", "model: m, logprobs: true,")
    assert plan(folder, prompt=told, output="c")[1].scores == "logprobs"


def test_what_is_no_plan_is_said(tmp_path):
    with pytest.raises(VanerError, match="holds no annotation; name what python -m vaner annotate wrote"):
        Plan.of_run(tmp_path)
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump({"annotators": [{"nome": "x"}]}))
    with pytest.raises(VanerError, match="is no plan of an annotation"):
        Plan.load(tmp_path / "plan.yaml")
