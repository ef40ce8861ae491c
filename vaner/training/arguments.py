"""In: a YAML config and command-line flags. Out: typed training arguments; a wrong one is named with its flag.

A config is the flags in a file (``learning_rate: 1e-3`` is ``--learning_rate 1e-3``); flags on the command line
come after it and win. Flags that are not listed here are those of transformers' TrainingArguments.

    configs/x.yaml --> words --+
                               +--> HfArgumentParser --> Run: ModelArguments, DataArguments, KnowledgeArguments,
    command line --------------+                              TeacherArguments, VanerTrainingArguments
"""

from __future__ import annotations

import json
import math
import os
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import torch
from transformers import HfArgumentParser, TrainingArguments

from vaner.errors import VanerError, near
from vaner.files import read_yaml
from vaner.inputs.instructions import PLACES, TYPE_VECTORS, Template
from vaner.model import attention
from vaner.model.config import GENERATE
from vaner.prompting.settings import ANSWERS
from vaner.training import flags, leakage
from vaner.training.names import STYLES
from vaner.training.schedule import SCHEDULES, THROUGHOUT

#: What a generator's loss is on.
LOSSES = ("completion", "full")

T = TypeVar("T")


def _flag(default: T, help: str, choices: Sequence[str] | None = None) -> T:
    metadata = {"help": help, **({"choices": tuple(choices)} if choices else {})}
    if isinstance(default, list):
        return field(default_factory=lambda: copy(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def _default(one: Field[Any]) -> Any:
    """What a flag is where it is left out."""
    return one.default if one.default_factory is MISSING else one.default_factory()


def _check(arguments: object, low: float, high: float, *names: str) -> None:
    """Raise VanerError unless each of the named numbers is None or lies in ``[low, high]``."""
    for name in names:
        value = getattr(arguments, name)
        if value is not None and not low <= value <= high:
            wanted = f"{low:g} or more" if high == math.inf else f"{low:g} to {high:g}"
            raise VanerError(f"--{name} is {value:g}; choose {wanted}")


_BACK = "a generator looks back only"
_PROMPT = "a generator's instruction is its prompt"
_SCORES = "a generator writes its answer and scores no words"
_WHOLE = "the upper layers of a language model are those that write"
_WRITES = "it is of generators (--head generate)"
# Flags that a generator has no use for, and those that a labeler has none for.
_LABELERS = {
    "attention": _BACK,
    "causal_layers": _BACK,
    "head_rank": _SCORES,
    "type_vector": _SCORES,
    "instruction": _PROMPT,
    "keep_layers": _WHOLE,
}
_GENERATORS = {"answer": _WRITES, "loss_on": _WRITES, "prompt_template": _WRITES}
# The same of other groups.
_LABELERS_DATA = {"template": _PROMPT, "adaptive_template": _PROMPT}
_LABELERS_KNOWLEDGE = {"kb": "rows of names and hints are of labelers"}

# What may differ where training goes on from a model.
_MAY_CHANGE = {"model", "quantization", "dtype"}


@dataclass
class ModelArguments:
    """What is trained."""

    _argument_group_name = "the model"

    model: str | None = _flag(
        None,
        "Trained model to continue from: a folder, a model that vaner ships, or a hub id. It brings its backbone, "
        "attention, head, adapter and row sizes; naming others is an error.",
    )
    backbone: str = _flag("smollm2-135m", "Embedded backbone, hub id or local folder.")
    revision: str | None = _flag(None, "Branch, tag or commit of a hub id.")
    keep_layers: int | None = _flag(
        None,
        "Use only so many layers of the backbone, from the lowest: training and tagging get faster by as much. The "
        "upper layers of a language model serve predicting the next token.",
    )
    attention: str = _flag(
        "bidirectional",
        "Who sees whom: bidirectional all words all others, causal only those before; prefix: the instruction sees "
        "itself, the text both; layerwise: causal in the lower layers, bidirectional in the upper; twice: causal, and "
        "the text is given twice and labelled at its second copy, which sees all of the first.",
        attention.MODES,
    )
    causal_layers: int | None = _flag(
        None,
        "Of --attention layerwise: layers, from the lowest, that look back only; by default half of them.",
    )
    head: str = _flag(
        "typed",
        "typed: any set of types in one pass. shared: that of the original VANER, one type per pass. generate: no "
        "head; the language model is tuned to write its answer (--answer), and looks back only.",
        ("typed", "shared", GENERATE),
    )
    answer: str = _flag(
        "token_tags",
        "Of --head generate: a line a word, tags only, the text with its mentions in tags, or a list of mentions.",
        tuple(ANSWERS),
    )
    loss_on: str = _flag(
        "completion",
        "Of --head generate: the loss is on answers alone (completion), or on prompts too (full).",
        LOSSES,
    )
    prompt_template: str = _flag(
        "chat",
        "Of --head generate: turns in the backbone's own chat template, or one plain text.",
        ("chat", "plain"),
    )
    head_rank: int = _flag(128, "Size of the typed head's word-type interaction.")
    type_vector: str = _flag(
        "last",
        "What stands for a type in the typed head: the last token of its name, the mean of the name's tokens, or a "
        "marker written behind the name.",
        TYPE_VECTORS,
    )
    instruction: str = _flag(
        "before",
        "Where the instruction stands: before the text or after it (attention bidirectional and layerwise).",
        PLACES,
    )
    adapter: str = _flag(
        "lora", "lora, full (every weight) or none (frozen backbone, head only).", ("lora", "full", "none")
    )
    lora_r: int = _flag(16, "Rank of LoRA.")
    lora_alpha: int = _flag(32, "Scale of LoRA is lora_alpha / lora_r.")
    lora_dropout: float = _flag(0.0, "Dropout in LoRA; 0 also runs faster.")
    lora_targets: list[str] = _flag(
        [], "Projections to adapt; by default the seven of LLaMA, or an encoder's."
    )
    lora_upper_layers: int | None = _flag(None, "Adapt only so many layers from the top.")
    quantization: str = _flag(
        "none",
        "Of the frozen base: none, 8bit or 4bit (NF4, double quantisation).",
        ("none", "8bit", "4bit"),
    )
    dtype: str = _flag(
        "auto",
        "Of the frozen base; auto is bfloat16 where it is fast, else float32.",
        ("auto", "float32", "bfloat16", "float16"),
    )
    max_tokens: int = _flag(
        512,
        "Longest row in tokens, instruction (and both copies of a text with --attention twice) included; longer text "
        "is read in windows.",
    )
    max_words: int = _flag(
        96, "A unit is as many whole sentences as fit into this many words; 1: single sentences."
    )

    def __post_init__(self) -> None:
        numbers = (
            "head_rank",
            "lora_r",
            "lora_alpha",
            "lora_upper_layers",
            "keep_layers",
            "max_tokens",
            "max_words",
        )
        _check(self, 1, math.inf, *numbers)
        _check(self, 0, 1, "lora_dropout")
        attention.check_place(self.attention, self.instruction)
        self._check_head()
        if self.model is not None:
            kept = (f for f in fields(self) if f.name not in _MAY_CHANGE)
            for one in kept:
                if getattr(self, one.name) != _default(one):
                    raise VanerError(
                        f"--{one.name} and --model exclude each other: {self.model} brings its own; leave "
                        f"--{one.name} out"
                    )

    def _check_head(self) -> None:
        """Refuse flags of the one kind of model where the other is trained."""
        refused = _LABELERS if self.head == GENERATE else _GENERATORS
        for name, why in refused.items():
            one = next(f for f in fields(self) if f.name == name)
            value = getattr(self, name)
            if value != _default(one) and not (name == "attention" and value == "causal"):
                raise VanerError(f"--{name} has no effect with --head {self.head}: {why}; leave it out")
        if self.head == GENERATE and self.adapter != "lora":
            raise VanerError(f"--adapter {self.adapter}: a generator is tuned by LoRA; use --adapter lora")


@dataclass
class DataArguments:
    """What it is trained on."""

    _argument_group_name = "the data"

    mix: list[str] = _flag(
        [],
        "Corpora of the registry, paths of your own files and folders, or datasets as hf:ID_OR_FOLDER, each as name or "
        "name:weight (0.5 draws half per epoch). The types of a path or a dataset are those that it annotates.",
    )
    type_map: list[str] = _flag(
        [],
        "What types of paths and datasets are called, as FROM=TO; FROM= leaves the type out, and nothing is claimed "
        "about it.",
    )
    registry: str | None = _flag(
        None, "A file of corpora of your own, added to the shipped data/corpora.yaml."
    )
    dev_share: float = _flag(
        0.1, "Of a path without a dev split: the share of its documents that is held out to choose the model."
    )
    rehearse: float = _flag(
        0.0,
        "With --model: rows of the corpora that the model knows, as far as they are here, for every row of the mix. "
        "Without them a model forgets; 0.3 about halves that.",
    )
    data_root: str | None = _flag(None, "Folder of the corpora; by default the variable VANER_DATA.")
    mix_temperature: float = _flag(1.0, "Above 1 draws less of the large corpora: shares follow size^(1/t).")
    cap: int | None = _flag(None, "At most so many training documents of each corpus (chosen by the seed).")
    gold_documents: int | None = _flag(
        None,
        "At most so many training documents of each corpus that people annotated (chosen by the seed); corpora whose "
        "labels a dictionary or a model made keep all of theirs.",
    )
    train_splits: list[str] = _flag(["train"], "Splits to train on.")
    dev: list[str] = _flag([], "Corpora whose dev split chooses the model; by default those of the mix.")
    eval_documents: int | None = _flag(
        100, "At most so many dev documents of each corpus in a mid-run evaluation."
    )
    held_out: list[str] = _flag(
        [], "More corpora whose dev and test documents must not be trained on; those of the mix never are."
    )
    drop_overlap: bool = _flag(
        True, "Drop training documents that share a PMID or sentence with dev or test."
    )
    open_held_out: bool = _flag(
        True,
        "Whether files that nothing may be learnt from (test splits, and dev splits that do not choose the model) may "
        "be opened to compare with. --no_open_held_out opens none: overlap is then only looked for in dev documents "
        "that choose the model, and --kb_leakage is off.",
    )
    drop_dataset: float = _flag(0.15, "Probability that the instruction does not name the dataset.")
    one_type: float = _flag(0.15, "Probability that one type is asked alone.")
    all_types: float = _flag(0.7, "Probability that, otherwise, all types of the corpus are asked.")
    single_sentence: float = _flag(0.25, "Share of training units that are one sentence.")
    absent_types: float = _flag(
        1.0,
        "Share kept of the asked types that a unit does not mention; at least one type is asked of every unit.",
    )
    skip_types: list[str] = _flag(
        [], "Types that are not trained on; dev is asked them all the same, as types never seen."
    )
    keep_empty: float = _flag(1.0, "Share kept of the units in which nothing is annotated.")
    template: str | None = _flag(None, "Wording in place of the default; must hold {types} and {dataset}.")
    adaptive_template: str | None = _flag(None, "Wording without the dataset; must hold {types}.")
    on_error: str = _flag(
        "raise", "On a bad document: stop, or leave it out and count it.", ("raise", "skip")
    )

    def __post_init__(self) -> None:
        _check(self, 0, 0.9, "dev_share")
        _check(self, 0, 100, "rehearse")
        shares = ("drop_dataset", "one_type", "all_types", "absent_types", "single_sentence", "keep_empty")
        _check(self, 0, 1, *shares)
        _check(self, 1, math.inf, "mix_temperature", "cap", "gold_documents", "eval_documents")
        # A wrong wording is said now, not after the corpora were read.
        Template(self.template or Template.known, self.adaptive_template or Template.adaptive)


@dataclass
class KnowledgeArguments:
    """What is learnt from a knowledge base (lookups, hints, dense recognition); nothing without ``--kb``."""

    _argument_group_name = "a knowledge base"

    kb: str | None = _flag(
        None,
        "Index of names (python -m vaner kb build), or open for the vocabulary that vaner ships; for --kb_lookups, "
        "--kb_hints, --kb_ratio and --kb_replace.",
    )
    kb_ratio: float = _flag(
        0.0, "Rows of names for every row of the corpora. They lowered F1 where that was measured."
    )
    kb_style: str = _flag(
        "names",
        "names: names one after the other. replacement: sentences with names in place of their mentions. "
        "both: half of each. frames: names in short sentences that are no corpus's.",
        STYLES,
    )
    kb_schedule: str = _flag(
        THROUGHOUT,
        "When rows of names are read. throughout: among those of text. first: before all text. falling: their share "
        "falls linearly over the run, from twice --kb_ratio to none. The run is --max_steps, or all epochs without it; "
        "where --max_minutes ends it sooner, it is cut off there.",
        SCHEDULES,
    )
    kb_replace: float = _flag(
        0.0,
        "Share of the rows of the corpora in which names of --kb replace some of the mentions; rows of names "
        "(--kb_ratio) come on top.",
    )
    kb_asked: int = _flag(10, "At most so many names of the asked types in a row.")
    kb_others: int = _flag(5, "At most so many names of other types in a row.")
    kb_leakage: str = _flag(
        "drop",
        "Names that dev or test annotate and training does not: drop them, only report how many there are, or "
        "off (dev and test are not looked at).",
        leakage.MODES,
    )
    kb_hints: bool = _flag(
        False, "Say in the instruction which names of --kb the text has; tagging can then do the same."
    )
    kb_hint_share: float = _flag(
        0.5, "Share of the training rows that have these hints, so that the model reads without them too."
    )
    kb_hint_notes: int = _flag(8, "At most so many hints in a row, the longest names first.")
    kb_hint_tokens: int = _flag(64, "At most so many tokens of a row for hints; --max_tokens includes them.")

    kb_lookups: bool = _flag(
        False,
        "Let the head see which names of --kb the words are (of any type that is asked); tagging can then do the same, "
        "with this index or another, and find types that training never had by their names.",
    )
    kb_lookup_rows: float = _flag(
        0.0,
        "Share of the training rows in which nothing is looked up. Every row is taught without an index as well.",
    )
    kb_lookup_types: float = _flag(0.1, "In the other rows, share of the types that are not looked up.")
    kb_lookup_names: float = _flag(
        0.1,
        "In a row, share of the names that are taken for unknown, as other texts have names that no index has.",
    )
    kb_lookups_only: bool = _flag(
        False,
        "Train only what reads lookups; the rest of the model stays as it is: without an index it scores as before.",
    )

    def __post_init__(self) -> None:
        _check(self, 0, 1, "kb_hint_share")
        if self.kb_lookups_only and not self.kb_lookups:
            raise VanerError("--kb_lookups_only trains what reads lookups; add --kb_lookups")
        _check(self, 0, 1, "kb_lookup_rows", "kb_lookup_types", "kb_lookup_names")
        if self.kb_lookups and self.kb is None:
            raise VanerError(
                "--kb_lookups needs an index; name one with --kb (open is the vocabulary that vaner ships)"
            )
        _check(self, 1, 1000, "kb_hint_notes", "kb_hint_tokens")
        if self.kb_hints and self.kb is None:
            raise VanerError("--kb_hints needs an index; name one with --kb (python -m vaner kb build)")
        _check(self, 0, 1, "kb_replace")
        if self.kb_replace and self.kb is None:
            raise VanerError("--kb_replace needs an index; name one with --kb (python -m vaner kb build)")
        if self.kb is not None and not (self.kb_lookups or self.kb_hints or self.kb_ratio or self.kb_replace):
            raise VanerError(
                f"--kb {self.kb}: what for? Add --kb_lookups (words are looked up in it), --kb_hints, --kb_ratio or "
                "--kb_replace (rows of names, names in place of mentions); or leave it out"
            )
        if self.kb_schedule != THROUGHOUT and (self.kb is None or not self.kb_ratio):
            missing = "--kb INDEX" if self.kb is None else "--kb_ratio above 0"
            raise VanerError(
                f"--kb_schedule {self.kb_schedule} is of rows of names, and there are none; add {missing}"
            )
        _check(self, 0, 100, "kb_ratio")
        _check(self, 1, 1000, "kb_asked")
        _check(self, 0, 1000, "kb_others")


@dataclass
class TeacherArguments:
    """What is learnt from another tagger that has read the same texts."""

    _argument_group_name = "a teacher"

    distil_weight: float = _flag(
        0.0,
        "Share of the loss that is a teacher's, where documents have what it says of their words (predict.py "
        "--word_scores); the rest is that of the labels.",
    )
    distil_temperature: float = _flag(
        1.0, "Of --distil_weight: temperature at which teacher and student are compared."
    )
    confidence_weight: bool = _flag(
        False, "A label counts by the score of its mention, where that has one; all others count in full."
    )

    def __post_init__(self) -> None:
        _check(self, 0, 1, "distil_weight")
        if not 0 < self.distil_temperature < math.inf:
            raise VanerError(f"--distil_temperature is {self.distil_temperature:g}; choose more than 0")
        if self.distil_temperature != 1 and not self.distil_weight:
            raise VanerError(
                "--distil_temperature is of --distil_weight, which is 0; set that, or leave it out"
            )


@dataclass
class VanerTrainingArguments(TrainingArguments):
    """transformers' TrainingArguments with other defaults, and a token budget in place of a batch size."""

    _argument_group_name = "training (VANER's own, then those of transformers' TrainingArguments)"

    output_dir: str = _flag("runs/vaner", "Where checkpoints and the final model go.")
    overwrite_output_dir: bool = _flag(
        False, "Remove what an earlier run wrote into --output_dir, and say what that is."
    )
    batch_tokens: int = _flag(2048, "Tokens in a batch of one process, padding included.")
    max_minutes: float | None = _flag(
        None,
        "Stop after so long; the learning rate then follows the clock. Such a run does not repeat exactly.",
    )
    max_tokens_read: int | None = _flag(
        None,
        "Stop after the update that reads so many tokens, prompts of a generator included and padding not; in place of "
        "--max_steps, whose schedule it has.",
    )
    average_last: float = _flag(
        0.0,
        "Share of the run, at its end, whose weights are averaged: what is scored, chosen and saved from then on is "
        "the mean of the weights after each of these updates (0.2: of the last fifth). 0: the weights as they are.",
    )
    patience: int | None = _flag(None, "Stop after so many evaluations without a better mean dev F1.")
    evaluations: int = _flag(5, "How many times dev is scored during training (and once at the end).")
    save_dtype: str = _flag(
        "float32",
        "Of the saved adapter and head: float32, or bfloat16 for half the size.",
        ("float32", "bfloat16"),
    )
    per_device_train_batch_size: int = _flag(1, "Not to be set: --batch_tokens says how large a batch is.")
    learning_rate: float = _flag(1e-3, "Peak learning rate.")
    num_train_epochs: float = _flag(3, "Passes over the mix.")
    lr_scheduler_type: str = _flag("linear", "Learning rate schedule.")
    warmup_steps: float = _flag(0.05, "Warm-up in steps, or as a share of all steps if below 1.")
    weight_decay: float = _flag(0.01, "Weight decay of AdamW.")
    logging_steps: float = _flag(20, "Log every so many updates.")
    save_total_limit: int | None = _flag(2, "Checkpoints kept (the best is always one of them).")
    seed: int = _flag(1, "Of everything drawn.")
    dataloader_num_workers: int = _flag(0, "Processes that prepare batches.")

    def __post_init__(self) -> None:
        _check(self, 1, math.inf, "batch_tokens", "patience", "max_tokens_read")
        _check(self, 0, math.inf, "evaluations")
        _check(self, 0, 1, "average_last")
        if self.max_minutes is not None and not self.max_minutes > 0:
            raise VanerError(f"--max_minutes is {self.max_minutes:g}; choose more than 0, or leave it out")
        if self.max_tokens_read is not None and self.max_steps > 0:
            raise VanerError("--max_tokens_read and --max_steps exclude each other; leave one out")
        flags.check(self, {one.name: _default(one) for one in fields(type(self)) if one.init})
        self.remove_unused_columns = False
        self.label_names = ["labels"]
        self.restore_callback_states_from_checkpoint = True
        # Pinned memory is of use to an accelerator only, and torch warns without one.
        self.dataloader_pin_memory = self.dataloader_pin_memory and torch.cuda.is_available()
        super().__post_init__()
        flags.check_machine(self, self.max_minutes)


GROUPS = (ModelArguments, DataArguments, VanerTrainingArguments, KnowledgeArguments, TeacherArguments)
_HELP = "python train.py --help lists the flags"


@dataclass
class Run:
    """All that a training run was asked for.

    Attributes:
        model: what is trained.
        data: what it is trained on.
        training: how; transformers' Trainer reads these.
        knowledge: what is learnt from a knowledge base.
        teacher: what is learnt from another tagger.
        epochs: passes over the mix.
        words: of the command line that asked for it.
    """

    model: ModelArguments
    data: DataArguments
    training: VanerTrainingArguments
    knowledge: KnowledgeArguments
    teacher: TeacherArguments
    epochs: int
    words: tuple[str, ...] = ()


class _Parser(HfArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise VanerError(f"{message}; {_HELP}")


def parse(argv: Sequence[str]) -> Run:
    """Read ``--config file.yaml`` and flags.

    Args:
        argv: the words of the command line, without the script's name.

    Raises:
        VanerError: an unknown setting (with the nearest known one), a value of the wrong type or out of its
            range, a word that belongs to no flag, no corpora.
    """
    parser = _Parser(
        GROUPS,  # type: ignore[arg-type]  # transformers: a NewType of Any, which no class is of
        prog="train.py",
        description="Train a tagger.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", action="append", default=[], metavar="FILE", help="Settings as YAML.")
    flags = {"config", "help", *_known()} | {f"no_{n}" for n, f in _known().items() if f.default is True}
    for word in argv:
        name = word[2:].split("=")[0].replace("-", "_") if word.startswith("--") else ""
        if name and name not in flags:
            raise VanerError(f"unknown flag --{name}; {_near(name, flags)}")
    # The config's words alone first, so that the message about a wrong one names the file.
    configs = parser.parse_known_args(argv)[0].config
    if len(configs) > 1:
        raise VanerError(f"--config is given twice ({' and '.join(configs)}); name one file")
    words = _config_words(Path(configs[0])) if configs else []
    try:
        parser.parse_known_args(words)
    except VanerError as error:
        raise VanerError(f"{configs[0]}: {error}") from None
    try:
        model, data, training, knowledge, teacher, _, stray = parser.parse_args_into_dataclasses(
            words + list(argv), return_remaining_strings=True, look_for_args_file=False
        )
    except VanerError:
        raise
    except (ValueError, ImportError) as error:
        # What transformers itself refuses: settings that exclude each other, a library that is not there.
        raise VanerError(f"{' '.join(str(error).split())}; {_HELP}") from error
    if stray:
        hint = f"write --config {stray[0]}" if stray[0].endswith((".yaml", ".yml")) else _HELP
        raise VanerError(f"{stray[0]!r} belongs to no flag; {hint}")
    if model.head == GENERATE:
        for group, refused in ((data, _LABELERS_DATA), (knowledge, _LABELERS_KNOWLEDGE)):
            for name, why in refused.items():
                if getattr(group, name) is not None:
                    raise VanerError(f"--{name} has no effect with --head generate: {why}; leave it out")
    if model.head == GENERATE and (teacher.distil_weight or teacher.confidence_weight):
        name = "distil_weight" if teacher.distil_weight else "confidence_weight"
        raise VanerError(f"--{name} has no effect with --head generate: {_SCORES}; leave it out")
    if not data.mix:
        raise VanerError("no corpora to train on; name them with --mix, or in the config")
    epochs = int(training.num_train_epochs)
    if epochs != training.num_train_epochs or epochs < 1:
        raise VanerError(f"--num_train_epochs is {training.num_train_epochs:g}; choose a whole number from 1")
    return Run(model, data, training, knowledge, teacher, epochs, tuple(argv))


def _known() -> dict[str, Field[Any]]:
    return {f.name: f for group in GROUPS for f in fields(group) if f.init}


def _config_words(path: Path) -> list[str]:
    if not path.is_file():
        raise VanerError(f"{path}: no such config; configs/ holds those that come with the project")
    return words_of(read_yaml(path), str(path))


def words_of(values: Mapping[str, Any], where: str) -> list[str]:
    """The words of a command line that flags in a mapping stand for.

    Args:
        values: flag -> value, as a config has them.
        where: what messages name.

    Raises:
        VanerError: a flag that there is not, or a value that no word can say.
    """
    known = _known()
    words: list[str] = []
    for name, value in values.items():
        if name not in known:
            raise VanerError(f"{where}: unknown setting {name!r}; {_near(str(name), known)}")
        default = _default(known[name])
        if isinstance(value, dict):
            # A mapping of corpora to weights, or of library options, as JSON where the library wants that.
            if name == "mix":
                value = [f"{corpus}:{weight}" for corpus, weight in value.items()]
            else:
                value = json.dumps(value)
        if value is None or value == []:
            if default is not None and default != []:
                raise VanerError(
                    f"{where}: {name} is empty; write a value, or leave the line out ({default})"
                )
        elif isinstance(value, list):
            if not isinstance(default, list):
                raise VanerError(f"{where}: {name} takes one value, not the list {value}")
            if nested := [item for item in value if isinstance(item, dict | list)]:
                raise VanerError(f"{where}: {name}: expected plain words, not {nested[0]}; write name:weight")
            words += [f"--{name}", *map(str, value)]
        else:
            # In one word, so that a value may begin with a dash.
            words.append(f"--{name}={value}")
    return words


def _near(name: str, known: Iterable[str]) -> str:
    return near(f"--{name}", [f"--{one}" for one in sorted(known)]) or _HELP


def command_line(asked: Sequence[str]) -> str:
    """The command as typed, for the record of the run, without where on this machine things lie.

    A run that a program asked for (a notebook, by `vaner.training.run.run`) is recorded as the command that does it.

    The script is named as seen from the current folder, other absolute paths by their last part, and the value of
    ``--data_root`` as CORPORA.
    """
    script, *rest = sys.argv
    if rest[len(rest) - len(asked) :] != list(asked):
        script, rest = "train.py", list(asked)
    if Path(script).name == "__main__.py":
        words = ["python", "-m", "vaner"]
    else:
        words = ["python", os.path.relpath(script) if os.path.isabs(script) else script]
    for before, word in zip(["", *rest], rest, strict=False):
        flag, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
        if (flag or before) == "--data_root" and value:
            value = "CORPORA"
        elif os.path.isabs(value):
            value = Path(value).name
        words.append(flag + equals + value)
    return shlex.join(words)
