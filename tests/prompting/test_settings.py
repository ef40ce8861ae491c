"""In: YAML files of prompted taggers. Out: their settings; each wrong one is one line that names file and key."""

import importlib
import inspect
from pathlib import Path

import pytest

from vaner.errors import VanerError
from vaner.prompting import backends
from vaner.prompting.answers import FORMATS, answer_format
from vaner.prompting.settings import ANSWERS, BACKENDS, PromptSettings
from vaner.prompting.wording import SYSTEM

PROMPTS = Path(__file__).parents[2] / "configs" / "prompts"


@pytest.fixture
def load(make):
    return lambda content: PromptSettings.load(make("p.yaml", content))


def test_an_empty_file_is_the_embedded_model_forced():
    found = PromptSettings.of({}, "p.yaml")
    assert (found.backend.name, found.backend.model) == ("transformers", "smollm2-135m")
    assert (found.answer.name, found.decoding, found.system, found.max_words) == (
        "token_tags", "forced", SYSTEM, 96,
    )  # fmt: skip
    assert found.store is not None and not found.replay and found.repeats == 1


def test_types_as_a_list_or_with_definitions(load):
    assert load("types: [Gene, Disease]").types == {"Gene": "", "Disease": ""}
    assert load("types: {Gene: a gene, Disease: }").types == {"Gene": "a gene", "Disease": ""}


def test_datasets_of_the_registry_and_ones_own(load):
    assert load("datasets: [bc5cdr-sample]").datasets == {"bc5cdr": ("Chemical", "Disease")}
    assert load("datasets: {mine: [Food]}").datasets == {"mine": ("Food",)}


def test_paths_are_relative_to_the_file(load, make, tmp_path):
    make("guide/a.md", "text")
    make("mine.jsonl", "{}")
    found = load(
        "retrieval: {passages: {from: guide}, names: names.kb}\n"
        "shots: {k: 1, from: [mine.jsonl, bc5cdr-sample]}\nstore: kept/a.sqlite\n"
    )
    assert found.retrieval.passages.source == (str(tmp_path / "guide"),)
    assert found.retrieval.names == str(tmp_path / "names.kb")
    assert found.shots.source == (str(tmp_path / "mine.jsonl"), "bc5cdr-sample")
    assert found.store == str(tmp_path / "kept" / "a.sqlite")


def test_a_model_beside_the_file_is_its_path(load, make, tmp_path):
    make("model/config.json", "{}")
    assert load("backend: {model: model}").backend.model == str(tmp_path / "model")
    assert load("backend: {model: owner/name}").backend.model == "owner/name"


@pytest.mark.parametrize("said", ["none", "false", "off"])
def test_no_store(load, said):
    assert load(f"store: {said}").store is None


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("sytem: a", "unknown key 'sytem'; did you mean system?"),
        ("backend: gpt", "backend: must have name and model"),
        ("backend: {name: openia, model: m}", "backend.name: unknown 'openia'; did you mean openai?"),
        ("backend: {name: openai}", "backend.model: names no model"),
        ("backend: {name: openai, model: m, divice: cpu}", "backend: unknown key 'divice'"),
        ("backend: {model: m, base_url: 'http://a'}", "backend: unknown key 'base_url'"),
        ("answer: jsn", "answer: unknown 'jsn'; did you mean json?"),
        ("answer: {name: tags, separator: x}", "answer: unknown key 'separator'"),
        ("types: 3", "types: must be a list of texts, not 3"),
        ("types: []", "types: names none"),
        ("datasets: [bc5cd]", "datasets: no registered corpus is called 'bc5cd'; did you mean bc5cdr?"),
        ("max_words: 0", "max_words: must be a whole number from 1, not 0"),
        ("max_words: yes", "max_words: must be a whole number from 1, not True"),
        ("shots: {choose: bm52}", "shots.choose: unknown 'bm52'; did you mean bm25?"),
        ("shots: {k: 3}", "shots.from: names no corpus"),
        ("shots: [a]", "shots: must be a mapping of keys to values"),
        ("retrieval: {passages: {top: 1}}", "retrieval.passages.from: names no file or folder"),
        ("retrieval: {passages: {from: nowhere}}", "no such file or folder"),
        ("sampling: {temperature: hot}", "sampling.temperature: must be a number from 0, not 'hot'"),
        ("sampling: {top_p: 2}", "sampling.top_p: must be a number from 0 to 1, not 2"),
        ("repeats: 3", "repeats: at temperature 0 every answer is the same"),
        ("scores: votes", "scores: votes need repeats: 3 or more"),
        ("alignment: index", "alignment: is for free answers"),
        ("fuzzy: 0.9", "fuzzy: is for alignment: fuzzy"),
        ("replay: true\nstore: none", "replay: takes answers from a store"),
        ("one_type_per_call: 1", "one_type_per_call: must be true or false, not 1"),
        ("system: '{{ txt }}'", "system: unknown name 'txt'"),
        ("system: '{{ question }}'", "system: unknown name 'question'"),
        ("user: '{{ qestion }}'", "user: unknown name 'qestion'; did you mean question?"),
        ("user: 'tag it'", "user: shows no text; write {{ question }}"),
        ("user: '{% if'", "user: line 1: not Jinja"),
        ("- a", "no mapping"),
        ("a: [", "not YAML"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_with_file_and_key(load, content, says):
    with pytest.raises(VanerError) as error:
        load(content)
    assert says in str(error.value) and "p.yaml" in str(error.value) and "\n" not in str(error.value)


SECRET = "sk-proj-AbCdEf0123456789AbCdEf0123456789"


@pytest.mark.parametrize(
    "content",
    [
        f"backend: {{name: openai, model: m, key_variable: {SECRET}}}",
        "backend: {name: openai, model: m, key_variable: topSecretOfMine}",
        "backend: {name: openai, model: m, api_key: topSecretOfMine}",
        f"backend: {{name: openai, model: m, base_url: 'https://h/v1?k={SECRET}'}}",
        "backend: {name: openai, model: m, base_url: 'https://me:topSecretOfMine@h/v1'}",
        f"system: 'Bearer {SECRET}'",
        f"types: [{SECRET}]",
        "token: topSecretOfMine",
    ],
)
def test_a_key_is_refused_and_not_repeated(load, content):
    with pytest.raises(VanerError) as error:
        load(content)
    assert SECRET not in str(error.value) and "topSecretOfMine" not in str(error.value)
    assert "environment variable" in str(error.value)


def test_options_of_the_command_line(load):
    found = load("max_words: 30").with_options({"device": "cpu", "max_words": 1, "dtype": None})
    assert found.backend.options == {"device": "cpu"} and found.max_words == 1
    with pytest.raises(VanerError, match="openai takes no device; .*leave --device out"):
        load("backend: {name: openai, model: m}").with_options({"device": "cpu"})


@pytest.mark.parametrize("file", sorted(PROMPTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_files_are_right(file):
    found = PromptSettings.load(file)
    assert found.types and found.backend.name in BACKENDS
    assert found.backend.model == "smollm2-135m", "it must run anywhere"


@pytest.mark.parametrize("name", BACKENDS)
def test_options_are_those_that_the_backend_takes(name):
    module, kind = backends.BACKENDS[name]
    takes = set(inspect.signature(getattr(importlib.import_module(module), kind)).parameters)
    # The adapter is the model then, and notes are the store's.
    assert set(BACKENDS[name]) - {"adapter"} == takes - {"model", "notes"}


def test_formats_are_those_that_there_are():
    assert set(ANSWERS) == set(FORMATS)
    for name, options in ANSWERS.items():
        given = {"separator": ":", "shows": "lines", "every": False}
        assert answer_format(name, **{option: given[option] for option in options}).name == name


def test_a_server_that_wants_no_key(load):
    assert load("backend: {name: openai, model: m, key_variable: null}").backend.options == {
        "key_variable": None
    }
    assert load("backend: {name: openai, model: m, context: null}").backend.options == {}
