"""In: a dataset of the Hugging Face hub, or a folder as `datasets` writes them. Out: a Corpus; its files -> Documents.

--mix hf:ncbi_disease             tokens and ner_tags, a sentence a row:  ["DCC", "loss"]  [1, 0] or ["B-Gene", "O"]
--mix hf:folder                   Parquet, JSON or Arrow files, or what save_to_disk wrote
--mix hf:folder#x_bigbio_kb       one of several configurations; passages and entities as BigBio's kb schema has them

Nothing of a dataset is run: its files are read, and no script that comes with it.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vaner.corpora.registry import Corpus
from vaner.corpora.rows import Rows, read, tag_names
from vaner.errors import VanerError
from vaner.formats.conll import split_tag
from vaner.report import Report

PREFIX = "hf:"
SPLITS = {
    "train": ("train", "training"),
    "dev": ("dev", "devel", "development", "valid", "validation", "val"),
    "test": ("test", "testing", "eval"),
}
"""Splits, and what they are called elsewhere."""

_FETCHED = ["*.parquet", "*.json", "*.jsonl", "*.json.gz", "*.jsonl.gz", "*.arrow", "README.md"]
_KB = "_bigbio_kb"


def corpus_of_dataset(word: str, on_error: str = "raise") -> Corpus:
    """A corpus of a dataset.

    Args:
        word: ``hf:`` and a folder or hub id, behind which ``#`` may name a configuration.
        on_error: on a bad row: ``raise`` or ``skip``.

    Raises:
        VanerError: no such dataset here or on the hub, several configurations, no train split, no mention.
    """
    named, _, config = word.removeprefix(PREFIX).partition("#")
    root = Path(named).absolute() if os.path.exists(named) else _fetched(named, word)
    name = Path(named.rstrip("/")).name.partition(".")[0]
    folder = root if root.is_dir() else root.parent
    found, options = _files(root, config, word)
    splits = {
        split: files for split, called in SPLITS.items() for own, files in found.items() if own in called
    }
    if "train" not in splits:
        raise VanerError(
            f"{word}: no split is called train; it has {', '.join(found) or 'none'}; rename one, or name the files of "
            "each split in a registry (--registry)"
        )
    types, documents, kb = _types(splits, options, on_error)
    if not types:
        raise VanerError(
            f"{word}: none of its {documents:,} rows annotates anything; is it the annotated dataset?"
        )
    return Corpus(
        name=name,
        format="hf",
        files={split: (tuple(os.path.relpath(file, folder) for file in files),) for split, files in splits.items()},
        types={type: type for type in sorted(types)},
        granularity="abstract" if kb else "sentence",
        licence="as its owner says",
        citation="",
        url=named,
        folder=folder,
        options=options,
        # It lies where it was named, wherever the data root is.
        shipped=True,
        instruction_name=name,
    )  # fmt: skip


def _fetched(name: str, word: str) -> Path:
    """The local copy of a hub dataset's files."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        return Path(snapshot_download(name, repo_type="dataset", allow_patterns=_FETCHED))
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise VanerError(
            f"{word}: no such folder here, and the hub did not give it ({said}); check the name and the network, or "
            "name a folder that holds its files"
        ) from error


def _files(root: Path, config: str, word: str) -> tuple[dict[str, list[Path]], dict[str, Any]]:
    """Split, as the dataset calls it -> its files; options of `read` that say what the files do not."""
    if root.is_file():
        return {"train": [root]}, {}
    if (root / "dataset_dict.json").is_file():
        splits = json.loads((root / "dataset_dict.json").read_text(encoding="utf-8"))["splits"]
        return {split: _saved(root / split) for split in splits}, {}
    if (root / "state.json").is_file():
        return {"train": _saved(root)}, {}
    from datasets import get_dataset_config_names, load_dataset_builder

    try:
        configs = get_dataset_config_names(str(root))
        if not config and len(configs) > 1:
            own = [c for c in configs if c.endswith(_KB)]
            if len(own) != 1:
                ways = " or ".join(f"{word}#{one}" for one in configs)
                raise VanerError(f"{word}: has several configurations; choose one: {ways}")
            config = own[0]
        builder = load_dataset_builder(str(root), config or None)
    except (OSError, RuntimeError, ValueError) as error:
        if isinstance(error, VanerError):
            raise
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise VanerError(
            f"{word}: holds nothing that can be read without code ({said}); name a folder of Parquet, JSON or Arrow "
            "files, or one that save_to_disk wrote"
        ) from error
    names = tag_names(builder.info.features, "ner_tags")
    files = {str(split): [Path(file) for file in files] for split, files in builder.config.data_files.items()}
    return files, {"tag_names": list(names)} if names else {}


def _saved(folder: Path) -> list[Path]:
    """The files of a split that save_to_disk wrote; others there are caches."""
    state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    return [folder / one["filename"] for one in state["_data_files"]]


def _types(
    splits: Mapping[str, Sequence[Path]], options: Mapping[str, Any], on_error: str
) -> tuple[set[str], int, bool]:
    """The types that train and dev can annotate, how many rows were read to find out, and whether it is a kb."""
    first = Rows(splits["train"][0], names=options.get("tag_names", ()))
    if first.names:
        found = (split_tag(name) for name in first.names)
        return {type for role, type in filter(None, found) if role != "O"}, 0, False
    types: Counter[str] = Counter()
    documents = 0
    for file in (file for split in ("train", "dev") for file in splits.get(split, ())):
        for document in read(file, on_error=on_error, report=Report(), **options):
            documents += 1
            types.update(span.type for span in document.spans)
    return set(types), documents, first.kb
