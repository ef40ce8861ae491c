"""In: vaner.json, whole and damaged. Out: the same ModelConfig, or one line that says what is wrong with it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict

import pytest

from vaner.errors import VanerError
from vaner.inputs.instructions import Template
from vaner.model.config import CONFIG_NAME, FORMAT_VERSION, ModelConfig


def full() -> ModelConfig:
    return ModelConfig(
        backbone="meta-llama/Llama-2-7b-hf",
        revision="main",
        weights_hash="ab" * 32,
        attention="layerwise",
        causal_layers=12,
        head="shared",
        head_rank=64,
        template=Template(
            adaptive="Finde {types} – ää:",
            definitions={"Disease": "ein Übel"},
            datasets={"x": "{types}:"},
            type_vector="mean",
            place="after",
        ),
        types=["Disease", "Chemical"],
        datasets={"bc5cdr": ["Chemical", "Disease"]},
        max_tokens=1024,
        max_words=1,
        hints={"notes": 8, "tokens": 64, "share": 0.5},
        temperatures={"Disease": 1.75},
        training={"command": "python train.py", "dev": {"x": {"f1": 0.5}}},
    )


def write(folder, text: str | bytes) -> None:
    (folder / CONFIG_NAME).write_bytes(text if isinstance(text, bytes) else text.encode())


def test_saved_is_loaded(tmp_path):
    full().save(tmp_path)
    assert ModelConfig.load(tmp_path) == full()
    assert os.listdir(tmp_path) == [CONFIG_NAME], "nothing temporary is left"
    # A folder of an earlier day, with fewer fields, gets the defaults.
    write(tmp_path, json.dumps({"backbone": "x", "version": FORMAT_VERSION}))
    assert ModelConfig.load(tmp_path) == ModelConfig(backbone="x")
    earlier = {k: v for k, v in asdict(full().template).items() if k not in ("type_vector", "place")}
    write(tmp_path, json.dumps({"template": earlier}))
    found = ModelConfig.load(tmp_path).template
    assert (found.type_vector, found.place) == ("last", "before") and found.adaptive == earlier["adaptive"]


def test_what_cannot_be_written_leaves_the_old_file(tmp_path):
    full().save(tmp_path)
    broken = full()
    broken.types = ["\ud800"]
    with pytest.raises(VanerError):
        broken.save(tmp_path)
    assert ModelConfig.load(tmp_path) == full()
    assert os.listdir(tmp_path) == [CONFIG_NAME]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", ":1: not JSON"),
        ('{\n "backbone": "x",\n}', ":3: not JSON"),
        ("[]", "not a JSON object"),
        (b"\xff\xfe{}", "byte 0 is not UTF-8"),
        ('{"version": 2}', "written by a newer vaner .layout 2.; upgrade vaner"),
        ('{"version": 2, "unheard_of": 1}', "newer vaner"),
        ('{"backbon": "x"}', "unknown setting 'backbon'; did you mean backbone?"),
        ('{"zzz": "x"}', "unknown setting 'zzz'; known: attention"),
        ('{"max_tokens": "512"}', "max_tokens must be a whole number, not '512'"),
        ('{"max_words": 1.5}', "max_words must be a whole number, not 1.5"),
        ('{"max_words": true}', "max_words must be a whole number, not True"),
        ('{"types": "Disease"}', "types must be a list, not 'Disease'"),
        ('{"datasets": []}', "datasets must be an object"),
        ('{"backbone": null}', "backbone must be a text, not None"),
        ('{"weights_hash": 5}', "weights_hash must be a text, not 5"),
        ('{"causal_layers": "5"}', "causal_layers must be a whole number, not '5'"),
        ('{"labels": ["B", "I", "O"]}', "labels are"),
        ('{"version": "1"}', "version must be a whole number"),
        ('{"template": "Find it"}', "template must be an object"),
        ('{"template": {"know": "x"}}', "template: unknown setting 'know'; did you mean known?"),
        ('{"template": {"place": "behind"}}', "template place: unknown 'behind'"),
        ('{"template": {"known": "Find it"}}', "template known: .* is missing"),
    ],
)
def test_a_damaged_file_is_refused_by_name(tmp_path, text, says):
    write(tmp_path, text)
    with pytest.raises(VanerError, match=says) as caught:
        ModelConfig.load(tmp_path)
    assert "\n" not in str(caught.value)
    assert CONFIG_NAME in str(caught.value) or "template" in str(caught.value)


def test_a_folder_that_is_no_model(tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(VanerError, match=f"no {CONFIG_NAME} here, so not a VANER model"):
            ModelConfig.load(folder)


@pytest.mark.parametrize("temperature", ["0", "-1", '"warm"', "true", "NaN", "Infinity", "null"])
def test_a_temperature_is_a_number_above_0(tmp_path, temperature):
    write(tmp_path, f'{{"temperatures": {{"Disease": {temperature}}}}}')
    with pytest.raises(VanerError, match="temperatures: that of Disease must be a number above 0"):
        ModelConfig.load(tmp_path)
