"""In: configs and flags, right and wrong. Out: typed arguments, or one line that names the flag and the remedy."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from vaner.errors import VanerError
from vaner.training.arguments import command_line, parse

CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
CPU = ["--use_cpu", "true"]


def config(tmp_path: Path, text: str) -> str:
    path = tmp_path / "x.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def refused(*argv: str) -> str:
    """The message, which is one line."""
    with pytest.raises(VanerError) as caught:
        parse([*argv, *CPU])
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_there_are_configs():
    assert len(CONFIGS) > 8


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_every_config_that_is_shipped_parses(path):
    assert parse(["--config", str(path), *CPU]).data.mix


def test_a_config_is_the_flags_in_a_file(tmp_path):
    path = config(
        tmp_path,
        "mix: {ncbi-disease: 1, bc5cdr: 0.5}\nlearning_rate: 1e-4\n"
        "drop_overlap: false\nlora_targets: [q_proj, v_proj]\n"
        "template: '- {types} in {dataset}:'\nlr_scheduler_type: cosine_with_restarts\n"
        "lr_scheduler_kwargs: {num_cycles: 2}\ncap: 7\nrevision:\n",
    )
    run = parse(["--config", path, *CPU])
    assert run.data.mix == ["ncbi-disease:1", "bc5cdr:0.5"]
    assert (run.data.cap, run.data.drop_overlap, run.data.template) == (7, False, "- {types} in {dataset}:")
    assert run.model.lora_targets == ["q_proj", "v_proj"] and run.model.revision is None
    assert run.training.learning_rate == 1e-4 and run.training.lr_scheduler_kwargs == {"num_cycles": 2}


def test_flags_win_over_the_config_wherever_they_stand(tmp_path):
    path = config(tmp_path, "mix: [a, b]\nseed: 5\ndrop_overlap: true\nhead: shared\n")
    flags = ["--seed", "7", "--mix", "c", "--no_drop_overlap", "--head=typed"]
    for argv in (["--config", path, *flags], [*flags, "--config", path], [f"--config={path}", *flags]):
        run = parse([*argv, *CPU])
        assert (run.data.mix, run.training.seed, run.data.drop_overlap, run.model.head) == (
            ["c"],
            7,
            False,
            "typed",
        )
    run = parse(["--config", path, *CPU])
    assert (run.data.mix, run.training.seed) == (["a", "b"], 5)


def test_defaults_are_ours():
    run = parse(["--mix", "ncbi-disease", *CPU])
    assert (run.model.backbone, run.model.head, run.model.attention) == (
        "smollm2-135m",
        "typed",
        "bidirectional",
    )
    assert (run.data.drop_dataset, run.data.train_splits, run.data.on_error) == (0.15, ["train"], "raise")
    assert (run.training.learning_rate, run.training.batch_tokens) == (1e-3, 2048)
    assert run.training.per_device_train_batch_size == 1 and run.training.remove_unused_columns is False


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--lerning_rate", "1"], "unknown flag --lerning_rate; did you mean --learning_rate?"),
        (["--batch-token=1"], "unknown flag --batch_token; did you mean --batch_tokens?"),
        (["--no_mix"], "unknown flag --no_mix; "),
        (["--no_learning_rate"], "unknown flag --no_learning_rate; did you mean --learning_rate?"),
        (["--zzzzzz", "1"], "unknown flag --zzzzzz; python train.py --help lists the flags"),
        (["--cap", "many"], "argument --cap: invalid int value: 'many'"),
        (["--max_tokens", "51.5"], "invalid int value: '51.5'"),
        (["--learning_rate", "fast"], "invalid float value: 'fast'"),
        (["--drop_overlap", "perhaps"], "--drop_overlap"),
        (["--seed"], "argument --seed: expected one argument"),
        (["--head", "tiped"], "argument --head: invalid choice: 'tiped' (choose from"),
        (["--type_vector", "first"], "invalid choice: 'first'"),
        (["--instruction", "after", "--attention", "prefix"], "attention prefix: the text would not see"),
        (["--instruction", "after", "--attention", "causal"], "(--instruction before)"),
        (["--instruction", "after", "--attention", "twice"], "attention twice: the text would not see"),
        (["--absent_types", "-1"], "--absent_types is -1; choose 0 to 1"),
        (["--attention", "sideways"], "invalid choice: 'sideways'"),
        (["--adapter", "lore"], "invalid choice: 'lore'"),
        (["--quantization", "2bit"], "invalid choice: '2bit'"),
        (["--dtype", "int8"], "invalid choice: 'int8'"),
        (["--save_dtype", "float16"], "invalid choice: 'float16'"),
        (["--kb_style", "nouns"], "invalid choice: 'nouns'"),
        (["--kb_leakage", "ignore"], "invalid choice: 'ignore'"),
        (["--kb", "x.idx"], "--kb x.idx: what for? Add --kb_lookups"),
        (["--kb_ratio", "-1"], "--kb_ratio is -1; choose 0 to 100"),
        (["--kb_replace", "1.5"], "--kb_replace is 1.5; choose 0 to 1"),
        (["--kb_replace", "0.5"], "--kb_replace needs an index; name one with --kb"),
        (["--kb_schedule", "last"], "invalid choice: 'last'"),
        (
            ["--kb_schedule", "first"],
            "--kb_schedule first is of rows of names, and there are none; add --kb INDEX",
        ),
        (["--kb", "x.idx", "--kb_lookups", "--kb_schedule", "falling"], "add --kb_ratio above 0"),
        (["--kb_asked", "0"], "--kb_asked is 0; choose 1 to 1000"),
        (["--on_error", "ignore"], "invalid choice: 'ignore'"),
        (["--lr_scheduler_type", "staircase"], "staircase"),
        (["--drop_dataset", "1.5"], "--drop_dataset is 1.5; choose 0 to 1"),
        (["--keep_empty", "nan"], "--keep_empty is nan; choose 0 to 1"),
        (["--max_words", "0"], "--max_words is 0; choose 1 or more"),
        (["--cap", "0"], "--cap is 0; choose 1 or more"),
        (["--mix_temperature", "0.5"], "--mix_temperature is 0.5; choose 1 or more"),
        (["--lora_r", "-3"], "--lora_r is -3; choose 1 or more"),
        (["--batch_tokens", "0"], "--batch_tokens is 0; choose 1 or more"),
        (["--max_minutes", "0"], "--max_minutes is 0; choose more than 0"),
        (["--per_device_train_batch_size", "4"], "use --batch_tokens"),
        (["--template", "Find {types}"], "template known: {dataset} is missing"),
        (["--adaptive_template", "Find {kinds}"], "template adaptive: unknown placeholder {kinds}"),
        (["configs/quickstart.yaml"], "'configs/quickstart.yaml' belongs to no flag; write --config"),
        (["--seed", "1", "2"], "'2' belongs to no flag"),
        (["--eval_strategy", "often"], "often"),
        (["--config"], "argument --config: expected one argument"),
        (["--config", "nowhere.yaml"], "nowhere.yaml: no such config"),
        (["--config", "a.yaml", "--config", "b.yaml"], "--config is given twice (a.yaml and b.yaml)"),
    ],
)
def test_wrong_flags_are_named_with_a_remedy(argv, says):
    assert says in refused(*argv, "--mix", "ncbi-disease")


def test_what_transformers_refuses_is_one_line_too():
    assert "Traceback" not in refused(
        "--mix", "x", "--save_strategy", "steps", "--load_best_model_at_end", "true"
    )


def test_no_corpora():
    assert "no corpora to train on; name them with --mix" in refused("--seed", "1")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("mix: [a]\nlerning_rate: 1\n", "unknown setting 'lerning_rate'; did you mean --learning_rate?"),
        ("1: 2\n", "unknown setting 1; "),
        ("mix: [a]\ncap: many\n", "argument --cap: invalid int value: 'many'"),
        ("mix: [a]\nhead: tiped\n", "invalid choice: 'tiped'"),
        ("mix: [a\n", ":2: not YAML"),
        ("- mix\n", "no mapping; write lines of 'name: value'"),
        ("just words\n", "no mapping; write lines of 'name: value'"),
        ("mix:\n  - a: 0.5\n", "mix: expected plain words, not {'a': 0.5}; write name:weight"),
        ("mix: [a]\nseed: [1, 2]\n", "seed takes one value, not the list [1, 2]"),
        (
            "mix: [a]\neval_documents:\n",
            "eval_documents is empty; write a value, or leave the line out (100)",
        ),
        ("mix: [a]\ntrain_splits: []\n", "train_splits is empty"),
    ],
)
def test_a_wrong_setting_is_named_with_its_file(tmp_path, text, says):
    path = config(tmp_path, text)
    message = refused("--config", path)
    assert message.startswith(path) and says in message


def test_a_config_that_is_not_utf8(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_bytes(b"mix: [a]\ntemplate: '\xe4'\n")
    assert "x.yaml: byte 20 is not UTF-8" in refused("--config", str(path))


def test_an_empty_config_is_no_config(tmp_path):
    assert "no corpora to train on" in refused("--config", config(tmp_path, "# nothing\n"))


def test_settings_left_empty_whose_default_is_empty_keep_it(tmp_path):
    run = parse(["--config", config(tmp_path, "mix: [a]\nlora_targets: []\ndev:\ncap:\n"), *CPU])
    assert (run.model.lora_targets, run.data.dev, run.data.cap) == ([], [], None)


def test_a_file_of_flags_beside_the_script_is_not_read(tmp_path, monkeypatch):
    (tmp_path / "train.args").write_text("--seed 9")
    monkeypatch.setattr("sys.argv", [str(tmp_path / "train.py")])
    assert parse(["--mix", "a", *CPU]).training.seed == 1


def test_help_lists_flags_and_config(capsys):
    with pytest.raises(SystemExit) as stopped:
        parse(["--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    assert all(flag in shown for flag in ("--config", "--mix", "--batch_tokens", "--learning_rate"))


def test_the_command_is_recorded_without_where_it_lies(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [str(tmp_path / "train.py"), "--template", "{types} in {dataset}"])
    assert command_line(sys.argv[1:]) == "python train.py --template '{types} in {dataset}'"


def test_a_run_that_a_program_asked_for_is_recorded_as_the_command_that_does_it(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", [str(tmp_path / "launcher.py"), "-f", str(tmp_path / "kernel.json")])
    assert command_line(parse(["--mix", "a", "--output_dir", str(tmp_path / "b")]).words) == (
        "python train.py --mix a --output_dir b"
    )
    monkeypatch.setattr("sys.argv", [str(tmp_path / "vaner" / "__main__.py"), "train", "--mix", "a"])
    assert command_line(["--mix", "a"]) == "python -m vaner train --mix a"


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        (["--data_root", "{tmp_path}/corpora"], "--data_root CORPORA"),
        (["--data_root=corpora"], "--data_root=CORPORA"),
        (["--kb", "{tmp_path}/names.idx", "--kb_lookups"], "--kb names.idx --kb_lookups"),
        (["--kb={tmp_path}/names.idx", "--kb_lookups"], "--kb=names.idx --kb_lookups"),
        (["--kb", "kb/names.idx", "--kb_lookups", "--seed", "3"], "--kb kb/names.idx --kb_lookups --seed 3"),
    ],
)
def test_paths_of_this_machine_are_not_recorded(typed, shown, monkeypatch, tmp_path):
    typed = [word.format(tmp_path=tmp_path) for word in typed]
    monkeypatch.setattr("sys.argv", ["train.py", *typed])
    assert command_line(typed) == f"python train.py {shown}"
