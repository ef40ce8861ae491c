"""In: a registry of one's own, a path of documents, a dataset. Out: corpora like those that are shipped.

--registry own.yaml         its corpora, beside those of data/corpora.yaml
--mix notes.jsonl           a corpus of that file: its types are those that it annotates
--mix notes/                brat, BioC, ...; folders train/, dev/ and test/ in it are its splits
--mix labels.jsonl          what `kb label` wrote: no instruction names it, and none of it chooses the model
--mix hf:notes              a dataset, see vaner.corpora.hub
--type_map Dish=Food        what the types of such corpora are called
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from vaner.corpora.hub import PREFIX, SPLITS, corpus_of_dataset
from vaner.corpora.registry import Corpus, Registry, read_registry
from vaner.errors import VanerError
from vaner.formats import detect, read
from vaner.provenance import DISTANT
from vaner.report import Report


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
    """Whether a word of ``--mix`` or ``--dev`` is a path or a dataset, not a name of the registry."""
    return word not in corpora and (word.startswith(PREFIX) or os.path.exists(word) or os.sep in word)


def named(word: str, corpora: Registry, on_error: str = "raise") -> Corpus:
    """The corpus that a word names: of the registry, or of a path or a dataset (``hf:``).

    Raises:
        VanerError: an unknown name, and what `corpus_of` and `corpus_of_dataset` raise.
    """
    if not is_path(word, corpora):
        return corpora[word]
    return corpus_of_dataset(word, on_error) if word.startswith(PREFIX) else corpus_of(word, on_error)


def read_type_map(words: Iterable[str]) -> dict[str, str | None]:
    """``FROM=TO`` words: label in the files -> type; ``FROM=`` is None: its mentions are left out.

    Raises:
        VanerError: a word without ``=``, a label that is named twice.
    """
    found: dict[str, str | None] = {}
    for word in words:
        label, equals, type = word.partition("=")
        if not equals or not label:
            raise VanerError(f"--type_map {word}: write FROM=TO, or FROM= to leave the type out")
        if label in found:
            raise VanerError(f"--type_map names {label} twice; name it once")
        found[label] = type or None
    return found


def with_types(corpus: Corpus, type_map: Mapping[str, str | None]) -> Corpus:
    """A corpus whose labels are mapped; one that the map does not name stays what it is."""
    return replace(corpus, types={label: type_map.get(label, type) for label, type in corpus.types.items()})


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
    splits = {name: found for name, called in SPLITS.items() if (found := _folder_of(path, called))}
    if "train" not in splits:
        splits = {"train": path, **({} if path.is_file() else splits)}
        if path.is_dir() and len(splits) > 1:
            raise VanerError(
                f"{path}: has splits, but none called train; add it, or name the file to train on"
            )
    format = detect(splits["train"])
    types: Counter[str] = Counter()
    documents = distant = 0
    for split in ("train", "dev"):
        if split in splits:
            for document in read(splits[split], format, on_error=on_error, report=Report()):
                documents += 1
                distant += DISTANT in document.metadata
                types.update(span.type for span in document.spans)
                types.update(dict.fromkeys(document.types or (), 0))
    if not documents:
        raise VanerError(f"{path}: holds no document; check that it was written completely")
    if not types:
        raise VanerError(
            f"{path}: none of its {documents:,} documents annotates anything; is it the annotated file, and its format "
            f"({format}) right?"
        )
    if 0 < distant < documents:
        raise VanerError(
            f"{path}: {distant:,} of its {documents:,} documents have distant labels, the others do not say who made "
            "theirs; keep them in two files or folders"
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
        instruction_name="" if distant else name,
        distant=distant > 0,
    )


def _folder_of(path: Path, called: tuple[str, ...]) -> Path | None:
    if not path.is_dir():
        return None
    return next((path / name for name in called if (path / name).is_dir()), None)
