"""In: settings. Out: a file that says the same, wherever it lies."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from vaner.prompting.settings import PromptSettings
from vaner.prompting.writing import values_of

PROMPTS = sorted((Path(__file__).parents[2] / "configs" / "prompts").glob("*.yaml"))


def written(settings, path):
    path.write_text(
        yaml.safe_dump(values_of(settings), allow_unicode=True, sort_keys=False), encoding="utf-8"
    )
    return PromptSettings.load(path)


@pytest.mark.parametrize("file", PROMPTS, ids=lambda file: file.stem)
def test_what_ships_says_the_same_elsewhere(file, tmp_path):
    settings = PromptSettings.load(file)
    assert written(settings, tmp_path / "p.yaml") == replace(settings, file=str(tmp_path / "p.yaml"))


def test_everything_that_can_be_said_is(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "guide.md").write_text("Mark.\n", encoding="utf-8")
    (tmp_path / "a" / "shots.pubtator").write_text("1|t|Flu.\n1|a|\n", encoding="utf-8")
    said = {
        "backend": {"name": "openai", "model": "m", "key_variable": None, "more": {"x": [1, {"y": 2}]}},
        "types": {"Disease": "ill", "Chemical": ""},
        "datasets": {"mine": ["Disease"]},
        "answer": {"name": "json", "every": False},
        "decoding": "free",
        "alignment": "fuzzy",
        "fuzzy": 0.9,
        "guideline": {"Disease": "Mark {{ it }}.", "": "All."},
        "steps": ["reason", "mark", "correct"],
        "reason": "Why?",
        "shots": {
            "k": 2,
            "from": ["shots.pubtator"],
            "choose": {"bm25": 1, "hard": 1},
            "type_map": {"D": "Disease"},
        },
        "retrieval": {"passages": {"from": "guide.md", "top": 3}, "names": "names.kb"},
        "sampling": {"temperature": 0.5, "seed": 0},
        "budget": {"max_tokens": 90},
        "stop": ["\n\n"],
        "repeats": 3,
        "scores": "votes",
        "store": "none",
        "price": {"input": 1.5, "cached": 0.1, "currency": "EUR"},
    }
    settings = PromptSettings.of(said, str(tmp_path / "a" / "p.yaml"))
    again = written(settings, tmp_path / "q.yaml")
    assert again == replace(settings, file=again.file) and again.store is None
    assert (
        written(replace(settings, store="/somewhere/s.sqlite"), tmp_path / "q.yaml").store
        == "/somewhere/s.sqlite"
    )
