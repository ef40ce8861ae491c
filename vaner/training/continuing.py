"""In: a run, the folder that it writes into. Out: what it may go on from; refusals, where that was another run's.

Every checkpoint holds `settings.json`: what the run was asked for and which data it read. Only the same run goes on
from it; another one would read other rows at the same place, and say nothing.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vaner import provenance
from vaner.errors import VanerError
from vaner.files import write_text
from vaner.model.config import CONFIG_NAME, GENERATOR_NAME
from vaner.training.arguments import Run
from vaner.training.gathering import Gathered

SETTINGS = "settings.json"

#: What a run may change where it goes on: where things lie, what is said, how often dev is scored or a checkpoint made.
_FREE = {
    "output_dir", "overwrite_output_dir", "resume_from_checkpoint", "data_root", "registry", "logging_steps",
    "logging_strategy", "logging_first_step", "logging_nan_inf_filter", "log_level", "log_level_replica",
    "log_on_each_node", "report_to", "run_name", "project", "save_steps", "save_strategy", "save_total_limit",
    "save_only_model", "save_on_each_node", "save_dtype", "dataloader_num_workers", "dataloader_pin_memory",
    "dataloader_prefetch_factor", "dataloader_persistent_workers", "dataloader_multiprocessing_context",
    "eval_documents", "patience", "skip_memory_metrics", "push_to_hub", "hub_model_id", "hub_token",
    "hub_private_repo", "hub_revision", "local_rank", "ddp_timeout", "ddp_backend", "use_cpu", "debug", "max_minutes",
    "torch_compile", "torch_compile_backend", "torch_compile_mode", "activation_checkpointing", "disable_tqdm",
    "activation_checkpointing_kwargs", "gradient_checkpointing", "gradient_checkpointing_kwargs", "fsdp", "fsdp_config",
    "deepspeed", "torch_empty_cache_steps", "hub_strategy", "eval_on_start", "trackio_space_id", "trackio_bucket_id",
    "trackio_static_space_id", "accelerator_config",
}  # fmt: skip

#: What a run writes into its folder; nothing else there is ever removed.
_WRITTEN = (
    "checkpoint-*", "best", ".best.*", ".writing", ".checkpoint-*", "run.json", "README.md", CONFIG_NAME,
    GENERATOR_NAME, "head.safetensors", "adapter_model.safetensors", "adapter_config.json", "backbone",
    "tokenizer.json",
    "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja",
)  # fmt: skip


def settings_of(run: Run, gathered: Gathered) -> dict[str, Any]:
    """What a checkpoint of the run holds: every setting that its rows and its updates depend on, and its data.

    Args:
        run: before training changed anything of it.
        gathered: its data.
    """
    asked = {
        **asdict(run.model),
        **asdict(run.data),
        **asdict(run.knowledge),
        **asdict(run.teacher),
        **run.training.to_dict(),
    }
    kept = {name: value for name, value in asked.items() if name not in _FREE and not name.startswith("_")}
    files = provenance.file_hashes(gathered.files)
    return json.loads(
        json.dumps(
            {**kept, "processes": run.training.world_size, "files": files}, default=str, sort_keys=True
        )
    )


def write_settings(checkpoint: Path, settings: Mapping[str, Any]) -> None:
    """Put the settings into a checkpoint's folder."""
    write_text(checkpoint / SETTINGS, json.dumps(settings, indent=2, sort_keys=True) + "\n")


def checkpoint_of(run: Run) -> Path | None:
    """The checkpoint that ``--resume_from_checkpoint`` names, None without it; the folder is otherwise free to write.

    Raises:
        VanerError: no such checkpoint, or a folder that holds another run's files (``--overwrite_output_dir`` removes
            them).
    """
    args = run.training
    folder = Path(args.output_dir)
    wanted = args.resume_from_checkpoint
    if wanted in (None, "", "False", "false"):
        _check_free(folder, args.overwrite_output_dir)
        return None
    if args.overwrite_output_dir:
        raise VanerError(
            "--overwrite_output_dir and --resume_from_checkpoint exclude each other; leave one out"
        )
    if wanted in ("True", "true", "last"):
        found = [p for p in folder.glob("checkpoint-*") if (p / "trainer_state.json").is_file()]
        if not found:
            raise VanerError(f"{folder}: no checkpoint to resume from; leave --resume_from_checkpoint out")
        return _whole(max(found, key=lambda p: int(p.name.split("-")[1])))
    if not (Path(wanted) / "trainer_state.json").is_file():
        raise VanerError(f"{wanted}: not a checkpoint; name a folder such as {folder}/checkpoint-100")
    return _whole(Path(wanted))


def _whole(checkpoint: Path) -> Path:
    if not (checkpoint / CONFIG_NAME).is_file():
        raise VanerError(f"{checkpoint}: no whole checkpoint; resume from an earlier one")
    optimiser = [
        *checkpoint.glob("optimizer*"),
        *checkpoint.glob("global_step*"),
        *checkpoint.glob("pytorch_model_fsdp*"),
    ]
    if not optimiser:
        raise VanerError(
            f"{checkpoint}: has no optimiser state (made with --save_only_model), so no run goes on from it; train on "
            f"from its model with --model {checkpoint}"
        )
    return checkpoint


def check_same(checkpoint: Path, settings: Mapping[str, Any]) -> None:
    """Raise VanerError unless the checkpoint was made with these settings; names those that differ."""
    path = checkpoint / SETTINGS
    if not path.is_file():
        raise VanerError(
            f"{checkpoint}: has no {SETTINGS}, so it cannot be told whether it is of this run; start anew, or train on "
            f"from its model with --model {checkpoint}"
        )
    before = json.loads(path.read_text(encoding="utf-8"))
    differing = []
    for name in sorted(before.keys() | settings.keys()):
        if before.get(name) != settings.get(name):
            if name == "files":
                changed = _changed(before.get(name) or {}, settings.get(name) or {})
                differing.append(f"the data ({', '.join(changed[:3])})")
            else:
                differing.append(f"{name} ({before.get(name)!r}, now {settings.get(name)!r})")
    if differing:
        raise VanerError(
            f"{checkpoint}: was made with another {'; '.join(differing[:5])}"
            f"{f' and {len(differing) - 5} more' if len(differing) > 5 else ''}; resume with the same settings, or "
            f"train on from its model with --model {checkpoint}"
        )


def _changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


def _check_free(folder: Path, overwrite: bool) -> None:
    if not folder.is_dir():
        return
    checkpoints = sorted(folder.glob("checkpoint-*"))
    finished = (folder / CONFIG_NAME).is_file()
    if not checkpoints and not finished and not (folder / "best").exists():
        return
    if not overwrite:
        holds = (
            f"{len(checkpoints)} checkpoint{'s' if len(checkpoints) != 1 else ''}"
            if checkpoints
            else "a model"
        )
        raise VanerError(
            f"{folder}: holds {holds} of another run; name another --output_dir, go on with --resume_from_checkpoint "
            "last, or remove them with --overwrite_output_dir"
        )


def overwritten(run: Run) -> list[Path]:
    """What ``--overwrite_output_dir`` removes of the run's folder: what an earlier run wrote there."""
    folder = Path(run.training.output_dir)
    if not run.training.overwrite_output_dir or not folder.is_dir():
        return []
    return sorted({path for pattern in _WRITTEN for path in folder.glob(pattern)})


def remove(paths: list[Path]) -> None:
    """Remove files and folders."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
