"""In: a cell, the study's settings. Out: its model, trained from its last checkpoint where there is one; its record.

A training is ``train.py --config CELL/train.yaml``: whoever wants to can run it by hand.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from vaner.errors import VanerError
from vaner.files import replacing_text
from vaner.study.cells import Cell, is_trained
from vaner.study.data import corpus_name
from vaner.study.folder import StudyFolder
from vaner.study.settings import GENERATES, PROMPTED, Arm, StudySettings

CONFIG = "train.yaml"
_BUDGETS = {"updates": "max_steps", "tokens": "max_tokens_read", "minutes": "max_minutes"}
#: Updates of a probe; the first are slower than the others, and not counted.
PROBED = 6


def flags_of(
    settings: StudySettings, folder: StudyFolder, arm: Arm, corpus: str, seed: str, output: Path
) -> dict[str, Any]:
    """Flags of train.py of a training, as its config has them."""
    budget = {_BUDGETS[name]: value for name, value in settings.budget.said.items()}
    # A run that is killed goes on from the last checkpoint.
    defaults = {"save_steps": 0.25 if "updates" in settings.budget.said else 100, "save_total_limit": 1}
    return {
        **defaults,
        **settings.flags_of(arm),
        **budget,
        "mix": [corpus_name(corpus)],
        "registry": str(folder.registry),
        "seed": int(seed),
        "output_dir": str(output),
    }


def check(settings: StudySettings, folder: StudyFolder) -> None:
    """Refuse flags that train.py would refuse, and arms whose packages are missing, before anything long begins.

    Raises:
        VanerError: names file and arm.
    """
    from vaner.training.arguments import parse, words_of

    for name, arm in settings.arms.items():
        try:
            _check_packages(settings, arm)
        except VanerError as error:
            raise VanerError(f"{settings.file}: arms.{name}: {error}") from None
        if not arm.trained:
            continue
        flags = flags_of(settings, folder, arm, settings.corpora[0], "1", folder.path / "model")
        where = f"{settings.file}: arms.{name}"
        try:
            # Whether there is a GPU is asked where it trains: a plan may be made elsewhere.
            run = parse(words_of({**flags, "use_cpu": True}, where))
        except VanerError as error:
            said = str(error)
            raise VanerError(said if said.startswith(settings.file) else f"{where}: {said}") from None
        if (run.model.head == "generate") != (arm.kind == GENERATES):
            raise VanerError(f"{where}.flags: head: {run.model.head} is not of kind: {arm.kind}")


def _check_packages(settings: StudySettings, arm: Arm) -> None:
    from vaner.prompting.backends import forcing
    from vaner.prompting.opening import check_packages

    if arm.kind == GENERATES:
        # Its dev scores hold answers to the text, whatever the arm itself does.
        forcing.check_installed()
    elif arm.kind == PROMPTED:
        check_packages(settings.prompt_of(arm, None))


def train(settings: StudySettings, folder: StudyFolder, cell: Cell) -> dict[str, Any]:
    """Train a cell's model, unless that is done; call it in a process of its own.

    Returns:
        what `trained` gives.

    Raises:
        VanerError: what train.py refuses.
    """
    assert cell.trains == cell.path and cell.model is not None
    if not is_trained(cell.path):
        flags = flags_of(settings, folder, cell.arm, cell.corpus, cell.seed, cell.model)
        _run(flags, cell.path)
    for checkpoint in cell.model.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
    return trained(cell.model)


def _run(flags: Mapping[str, Any], folder: Path) -> None:
    from vaner.training import run as training

    config = folder / CONFIG
    with replacing_text(config) as file:
        yaml.safe_dump(dict(flags), file, sort_keys=False, allow_unicode=True)
    output = Path(flags["output_dir"])
    more: list[str] = []
    if any((path / "trainer_state.json").is_file() for path in output.glob("checkpoint-*")):
        more = ["--resume_from_checkpoint", "last"]
    elif output.is_dir():
        # What was left by a run that was killed before its first checkpoint.
        more = ["--overwrite_output_dir", "true"]
    training.run(["--config", str(config), *more])


def trained(model: Path) -> dict[str, Any]:
    """What a finished training took: minutes, updates, tokens, device, and its learning curve."""
    record = json.loads((model / "run.json").read_text(encoding="utf-8"))
    return {
        "minutes": record["training_minutes"],
        "updates": record["updates"],
        "tokens": record["tokens"],
        "device": record.get("device"),
        "chosen_at_update": record["chosen_at_update"],
        "history": [
            {"update": one["step"], "f1": one["eval_f1"]} for one in record["history"] if "eval_f1" in one
        ],
    }


def probe(settings: StudySettings, folder: StudyFolder, cell: Cell, output: Path) -> dict[str, float]:
    """Train a few updates, to see what one takes; the model is left in ``output``.

    Returns:
        ``seconds_per_update`` and ``tokens_per_update``.
    """
    flags = flags_of(settings, folder, cell.arm, cell.corpus, cell.seed, output)
    for name in (*_BUDGETS.values(), "save_steps", "patience", "warmup_steps"):
        flags.pop(name, None)
    flags |= {"max_steps": PROBED, "logging_steps": PROBED // 2, "evaluations": 0, "save_strategy": "no"}
    flags |= {"eval_documents": 1, "num_train_epochs": 1}
    shutil.rmtree(output, ignore_errors=True)
    _run(flags, output.parent)
    record = json.loads((output / "run.json").read_text(encoding="utf-8"))
    rates = [one["tokens_per_second"] for one in record["history"] if "tokens_per_second" in one]
    tokens = record["tokens"] / record["updates"]
    return {"seconds_per_update": tokens / max(rates[-1], 1), "tokens_per_update": tokens}
