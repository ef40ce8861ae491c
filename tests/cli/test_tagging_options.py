"""In: words of a command line. Out: the settings that they mean."""

import argparse
import datetime

import pytest

from vaner.cli.tagging_options import add_tagging, min_scores, settings_of, types_of
from vaner.errors import VanerError
from vaner.tagging.settings import TaggingSettings


def settings(*words):
    parser = argparse.ArgumentParser()
    add_tagging(parser)
    return settings_of(parser.parse_args(words))


def test_without_flags_the_settings_are_the_defaults():
    assert settings() == TaggingSettings()


def test_models_are_named_one_by_one_or_together(kb, make_kb):
    one, two, three = (f"kb:{make_kb(name=f'{n}.idx').path}" for n in "123")
    assert settings("--model", one, two, "--model", three).models == (one, two, three)


def test_every_place_by_itself():
    assert settings().repeats and not settings("--no_repeats").repeats


def test_scores():
    assert min_scores(["0.5"]) == (0.5, {})
    assert min_scores(["Disease=0.6", "0.5", "Cell line=1"]) == (0.5, {"Disease": 0.6, "Cell line": 1.0})
    for words, says in (
        (["high"], "--min_score high: 'high' is no number; write 0.5 or Disease=0.5"),
        (["Disease="], "'' is no number"),
        (["0.5", "0.6"], "--min_score 0.6: said twice"),
        (["A=0.5", "A=0.5"], "said twice"),
    ):
        with pytest.raises(VanerError, match=says):
            min_scores(words)


def test_types_of_a_file(make):
    path = make("types.txt", "\ufeff# what we want\r\nDisease\r\n\r\n  Cell line  # of cells\nC#\nDisease\n")
    assert types_of(["Gene", f"@{path}"]) == ["Gene", "Disease", "Cell line", "C#"]
    assert settings("--types", f"@{make('t.txt', 'Disease')}").types == ("Disease",)


def test_files_without_types(make, tmp_path):
    with pytest.raises(VanerError, match="empty.txt: no types; write one a line"):
        types_of([f"@{make('empty.txt', '# none')}"])
    with pytest.raises(VanerError, match="latin.txt:2: byte 1 .* is not UTF-8"):
        types_of([f"@{make('latin.txt', b'Gene' + bytes([10]) + b'M' + bytes([0xE9]))}"])
    with pytest.raises(FileNotFoundError):
        types_of([f"@{tmp_path / 'nowhere.txt'}"])
    path = make("types.txt", "Disease")
    with pytest.raises(VanerError, match=f"--types {path}: is a file; write @{path}"):
        types_of([str(path)])


def test_dates():
    assert settings("--date").date == datetime.date.today().isoformat()
    assert settings("--date", "2024-02-29").date == "2024-02-29"
    with pytest.raises(VanerError, match="--date tomorrow: not a date"):
        settings("--date", "tomorrow")
