"""In: a registry of one's own, or a path of documents. Out: corpora like those that are shipped.

--registry own.yaml         its corpora, beside those of data/corpora.yaml
--mix notes.jsonl           a corpus of that file: its types are those that it annotates
--mix notes/                brat, BioC, ...; folders train/, dev/ and test/ in it are its splits
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from vaner.corpora.registry import Corpus, Registry, read_registry
from vaner.errors import VanerError
from vaner.formats import detect, read
from vaner.report import Report

_SPLITS = {
    "train": ("train", "training"),
    "dev": ("dev", "devel", "development", "valid", "validation", "val"),
    "test": ("test", "testing", "eval"),
}


def all_corpora(own: str | os.PathLike[str] | None = None) -> Registry:
    """The shipped registry and, behind it, one's own.

    Args:
        own: a file like data/corpora.yaml. Types that both define are as one's own says.

    Raises:
        VanerError: a corpus that both have, and what `read_registry` raises.
    """
    found = read_registry()
    if own is None:
        return found
    if not os.path.isfile(own):
        raise VanerError(f"--registry {own}: no such file; name a YAML file like data/corpora.yaml")
    mine = read_registry(own)
    if twice := [name for name in mine if name in found]:
        raise VanerError(f"{own}: corpus {twice[0]} is in the shipped registry too; give yours another name")
    found.update(mine)
    found.types = {**found.types, **mine.types}
    return found


def is_path(word: str, corpora: Registry) -> bool:
    """Whether a word of ``--mix`` or ``--dev`` is a path, not a name of the registry."""
    return word not in corpora and (os.path.exists(word) or os.sep in word)


def corpus_of(path: str | os.PathLike[str], on_error: str = "raise") -> Corpus:
    """A corpus of a file or a folder of documents.

    Args:
        path: of any format that vaner reads. Of a folder that has folders for its splits, those are the splits;
            everything else is the train split.
        on_error: on a bad document: ``raise`` or ``skip``.

    Raises:
        VanerError: no such path, no document, or no mention in any of them; says so before training begins.
    """
    path = Path(path).absolute()
    if not path.exists():
        raise VanerError(f"{path}: no such file or folder; check the path, or name a corpus of the registry")
    splits = {name: found for name, called in _SPLITS.items() if (found := _folder_of(path, called))}
    if "train" not in splits:
        splits = {"train": path, **({} if path.is_file() else splits)}
        if path.is_dir() and len(splits) > 1:
            raise VanerError(
                f"{path}: has splits, but none called train; add it, or name the file to train on"
            )
    format = detect(splits["train"])
    types: Counter[str] = Counter()
    documents = 0
    for split in ("train", "dev"):
        if split in splits:
            for document in read(splits[split], format, on_error=on_error, report=Report()):
                documents += 1
                types.update(span.type for span in document.spans)
                types.update(dict.fromkeys(document.types or (), 0))
    if not documents:
        raise VanerError(f"{path}: holds no document; check that it was written completely")
    if not types:
        raise VanerError(
            f"{path}: none of its {documents:,} documents annotates anything; is it the annotated file, and its format "
            f"({format}) right?"
        )
    name = path.name.removesuffix(".gz").partition(".")[0] or path.name
    return Corpus(
        name=name,
        format=format,
        files={split: ((found.relative_to(path.parent).as_posix(),),) for split, found in splits.items()},
        types={type: type for type in sorted(types)},
        granularity="abstract",
        licence="as its owner says",
        citation="",
        url=str(path.name),
        folder=path.parent,
        # It lies where it was named, wherever the data root is.
        shipped=True,
        instruction_name=name,
    )


def _folder_of(path: Path, called: tuple[str, ...]) -> Path | None:
    if not path.is_dir():
        return None
    return next((path / name for name in called if (path / name).is_dir()), None)
