"""In: data/corpora.yaml, a corpus's name, a split, a data root. Out: its Documents, their types canonical.

corpora = read_registry()
for document in corpora["bc5cdr"].documents("dev", data_root="corpora/"):
    ...
"""

from __future__ import annotations

import inspect
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from vaner.corpora import ade, rows
from vaner.document import Document
from vaner.errors import FormatError, VanerError, near
from vaner.files import read_yaml, shipped
from vaner.formats import READERS
from vaner.report import SKIPPED, Report

ROOT_VARIABLE = "VANER_DATA"
GRANULARITIES = ("sentence", "abstract", "section", "full text", "block")

log = logging.getLogger(__name__)

_READERS = {**READERS, "ade": ade.read, "hf": rows.read}
_MOST_LEADING_FOLDERS = 2  # of a clone: MTL-Bioinformatics-2016/data/


@dataclass(frozen=True)
class EntityType:
    """What instructions may say about a canonical type.

    Attributes:
        name: such as ``Disease``.
        plural: such as ``diseases``.
        other: other wordings.
        definition: one line, without a full stop.
        template: instruction wording for this type alone, None for the usual one.
        names: types of a knowledge base whose names may be those of this type; none: its own.
    """

    name: str
    plural: str = ""
    other: tuple[str, ...] = ()
    definition: str = ""
    template: str | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Corpus:
    """One entry of the registry; data/corpora.yaml explains each attribute.

    Attributes:
        name: such as ``ncbi-disease``.
        files: split -> alternatives, each a tuple of paths that are read one after the other.
        types: label in the files -> canonical type, or None where its mentions are left out.
        instruction_name: what instructions call the corpus; ``""``: no instruction names it.
        distant: a dictionary or a model made its labels: none of it chooses a model, and no instruction of training
            names it unless it has an instruction_name of its own.
        folder: where corpora.yaml lies; shipped files are relative to it.
    """

    name: str
    format: str
    files: Mapping[str, tuple[tuple[str, ...], ...]]
    types: Mapping[str, str | None]
    granularity: str
    licence: str
    citation: str
    url: str
    folder: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    split_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    known_bad: Mapping[str, int] = field(default_factory=dict)
    shipped: bool = False
    instruction_name: str = ""
    template: str | None = None
    pmid: str = ""
    distant: bool = False
    notes: str = ""

    @property
    def annotated(self) -> frozenset[str]:
        """The canonical types that the corpus annotates; of any other type it says nothing."""
        return frozenset(type for type in self.types.values() if type is not None)

    def documents(
        self,
        split: str,
        data_root: str | os.PathLike | None = None,
        on_error: str = "raise",
        report: Report | None = None,
    ) -> Iterator[Document]:
        """Stream a split's Documents, their spans' types canonical.

        Each document's ``types`` is what the corpus annotates or, where the document itself says which types it
        annotates, those of them; its ``metadata`` says ``corpus`` and, where the corpus has them, ``pmid``.

        Args:
            split: ``train``, ``dev``, ``test`` or another that the registry lists.
            data_root: folder of the corpora; the variable VANER_DATA where None.
            on_error: ``raise``, or ``skip`` to count bad documents and go on.
            report: receives what was repaired and skipped. Without one, a summary is logged as warnings
                when the reading ends.

        Raises:
            VanerError: before reading, for an unknown split, a root that is not set, a missing file.
            FormatError, OffsetError: while reading, for what the file holds.
        """
        if on_error not in ("raise", "skip"):
            raise VanerError(f"on_error={on_error!r} is unknown; choose 'raise' or 'skip'")
        paths = self.paths(split, data_root)
        return (
            self._logged(split, paths, on_error)
            if report is None
            else self._read(split, paths, on_error, report)
        )

    def paths(self, split: str, data_root: str | os.PathLike | None = None) -> tuple[Path, ...]:
        """The files of a split: those of the first alternative that exists.

        Raises:
            VanerError: for an unknown split, a root that is not set, a missing file; says where to get it.
        """
        if split not in self.files:
            raise VanerError(
                f"corpus {self.name} has no {split} split; it has {', '.join(self.files)} "
                "(splits are called train, dev, test)"
            )
        roots = self._roots(data_root)
        found = self._find(split, roots)
        if found is None and not self.shipped and root_folder(data_root) is None:
            raise VanerError(
                f"corpus {self.name}: no data root; give --data_root (data_root=) or set {ROOT_VARIABLE} "
                f"to the folder that holds {self.files[split][0][0]} (to be had from {self.url})"
            )
        if found is None:
            looked = " or ".join(str(roots[0] / file) for files in self.files[split] for file in files)
            raise VanerError(
                f"corpus {self.name}: its {split} split is not at {looked}; get it from {self.url}, "
                "or give another data root"
            )
        return found

    def present(self, data_root: str | os.PathLike | None = None) -> dict[str, tuple[Path, ...]]:
        """The splits whose files exist, and those files; empty where no root is set."""
        roots = self._roots(data_root)
        found = {split: self._find(split, roots) for split in self.files}
        return {split: paths for split, paths in found.items() if paths is not None}

    def _roots(self, data_root: str | os.PathLike | None) -> list[Path]:
        """Where its files may lie: below the data root, or beside a registry of one's own."""
        root = None if self.shipped else root_folder(data_root)
        own = self.shipped or self.folder != shipped("data")
        return ([root] if root else []) + ([self.folder] if own else [])

    def _find(self, split: str, roots: Iterable[Path]) -> tuple[Path, ...] | None:
        for root in roots:
            for files in self.files[split]:
                found = [path for file in files if (path := _below(root, file)) is not None]
                if len(found) == len(files):
                    return tuple(found)
        return None

    def _logged(self, split: str, paths: Iterable[Path], on_error: str) -> Iterator[Document]:
        report = Report()
        try:
            yield from self._read(split, paths, on_error, report)
        finally:
            for line in report.summary():
                log.warning("corpus %s, %s: %s", self.name, split, line)

    def _read(self, split: str, paths: Iterable[Path], on_error: str, report: Report) -> Iterator[Document]:
        to_skip = self.known_bad.get(split, 0)
        skip = on_error == "skip" or to_skip > 0
        for path in paths:
            seen = report.counts[SKIPPED]
            options = {**self.options, **self.split_options.get(split, {})}
            read = _READERS[self.format]
            for document in read(path, on_error="skip" if skip else on_error, report=report, **options):
                self._check_skipped(report.counts[SKIPPED] - seen, to_skip, on_error, path)
                yield self._canonical(document, path)
            self._check_skipped(report.counts[SKIPPED] - seen, to_skip, on_error, path)

    def _check_skipped(self, skipped: int, known: int, on_error: str, path: Path) -> None:
        if on_error != "skip" and skipped > known:
            raise FormatError(
                f"{path}: more bad documents than the {known} known of corpus {self.name}; "
                "read it with --on_error skip to have them named and counted"
            )

    def _canonical(self, document: Document, path: Path) -> Document:
        spans = []
        for span in document.spans:
            if span.type not in self.types:
                raise FormatError(
                    f"{path}: document {document.id}: label {span.type!r} is none of corpus {self.name} "
                    f"({', '.join(self.types)}); add it to its types in {self.folder / 'corpora.yaml'} "
                    "(null leaves its mentions out)"
                )
            if (canonical := self.types[span.type]) is not None:
                spans.append(replace(span, type=canonical))
        annotated = self._annotated_by(document)
        for span in spans:
            if span.type not in annotated:
                raise FormatError(
                    f"{path}: document {document.id}: has a {span.type} mention, {span.text[:60]!r}, but its types "
                    f"({', '.join(sorted(document.types or ())) or 'none'}) do not name it; add it there"
                )
        metadata = {**document.metadata, "corpus": self.name}
        if self.pmid and (match := re.match(self.pmid, document.id)):
            metadata["pmid"] = match[1]
        return replace(document, spans=spans, types=annotated, metadata=metadata)

    def _annotated_by(self, document: Document) -> frozenset[str]:
        """The canonical types that a document annotates: those that it names itself, else the corpus's."""
        if document.types is None:
            return self.annotated
        return frozenset(
            canonical for type in document.types if (canonical := self.types.get(type)) is not None
        )


class Registry(dict[str, Corpus]):
    """Name -> Corpus; an unknown name raises VanerError with the names that are near it.

    Attributes:
        types: canonical type -> EntityType.
    """

    types: dict[str, EntityType]

    def __missing__(self, name: str) -> Corpus:
        raise VanerError(f"unknown corpus {name!r}; {_suggest(name, self)}")


def read_registry(path: str | os.PathLike | None = None) -> Registry:
    """Every corpus of a registry file, in the file's order.

    Args:
        path: a file like data/corpora.yaml; that one where None.

    Raises:
        VanerError: for an unknown or missing key, a wrong value, a reader that does not exist; names file,
            corpus and key.
    """
    path = Path(path) if path is not None else shipped("data") / "corpora.yaml"
    content = read_yaml(path)
    if not isinstance(content.get("corpora"), dict):
        raise VanerError(f"{path}: needs a mapping 'corpora:' of names to entries")
    _check_keys(content, {"corpora", "types"}, f"{path}")
    found = Registry()
    found.types = {
        name: _entity_type(name, entry or {}, f"{path}: type {name}")
        for name, entry in (content.get("types") or {}).items()
    }
    for name, entry in content["corpora"].items():
        found[name] = _corpus(name, entry, path)
    return found


def root_folder(data_root: str | os.PathLike | None = None) -> Path | None:
    """The data root: the argument, else the variable VANER_DATA, else None.

    Raises:
        VanerError: where it is no folder.
    """
    root = data_root if data_root is not None else os.environ.get(ROOT_VARIABLE)
    if not root:
        return None
    if not os.path.isdir(root):
        raise VanerError(
            f"{root}: is no folder; give the data root (--data_root or {ROOT_VARIABLE}) that is one"
        )
    return Path(root)


def _below(root: Path, file: str) -> Path | None:
    """``root / file``, or the same with up to two leading folders missing, if it exists."""
    parts = Path(file).parts
    for missing in range(max(0, min(_MOST_LEADING_FOLDERS, len(parts) - 2)) + 1):
        path = root.joinpath(*parts[missing:])
        if path.exists():
            return path
    return None


def _suggest(name: str, names: Iterable[str]) -> str:
    names = list(names)
    if hint := near(str(name), names, most=3, cutoff=0.65):
        return hint
    return f"choose from {', '.join(names)}" if names else "there is none to give"


def _check_keys(entry: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    if not isinstance(entry, dict):
        raise VanerError(f"{where}: must be a mapping of keys to values")
    for key in entry:
        if key not in known:
            raise VanerError(f"{where}: unknown key {key!r}; {_suggest(key, known)}")


def _entity_type(name: str, entry: dict[str, Any], where: str) -> EntityType:
    _check_keys(entry, {f.name for f in fields(EntityType)} - {"name"}, where)
    entry = {"plural": f"{name}s", **entry}
    lists = {field: tuple(entry.get(field) or ()) for field in ("other", "names")}
    return EntityType(name, **{**entry, **lists})


def _corpus(name: str, entry: dict[str, Any], path: Path) -> Corpus:
    where = f"{path}: corpus {name}"
    own = {f.name: f for f in fields(Corpus) if f.name not in ("name", "folder")}
    _check_keys(entry, own, where)
    for key, attribute in own.items():
        if key not in entry and attribute.default is MISSING and attribute.default_factory is MISSING:
            raise VanerError(f"{where}: the key {key!r} is missing")
    for key, allowed in (("format", _READERS), ("granularity", GRANULARITIES)):
        if entry[key] not in allowed:
            raise VanerError(f"{where}: {key} {entry[key]!r} is unknown; {_suggest(entry[key], allowed)}")
    reader_options = set(inspect.signature(_READERS[entry["format"]]).parameters) - {
        "path",
        "on_error",
        "report",
    }
    for options in (entry.get("options") or {}, *(entry.get("split_options") or {}).values()):
        _check_keys(options, reader_options, f"{where}: options of format {entry['format']}")
    for key in ("files", "types"):
        if not isinstance(entry[key], dict) or not entry[key]:
            raise VanerError(f"{where}: {key} must be a mapping that is not empty")
    if not all(canonical is None or isinstance(canonical, str) for canonical in entry["types"].values()):
        raise VanerError(f"{where}: types must map each label to the name of a canonical type, or null")
    return Corpus(
        name=name,
        folder=path.parent,
        **{
            **entry,
            "files": {
                split: _alternatives(paths, f"{where}: {split}") for split, paths in entry["files"].items()
            },
            "instruction_name": entry.get("instruction_name") or ("" if entry.get("distant") else name),
        },
    )


def _alternatives(paths: Any, where: str) -> tuple[tuple[str, ...], ...]:
    paths = [paths] if isinstance(paths, str) else paths
    alternatives = [(path,) if isinstance(path, str) else tuple(path or ()) for path in paths or ()]
    if not alternatives or not all(isinstance(file, str) for files in alternatives for file in files):
        raise VanerError(
            f"{where}: must be a list of paths; a path may be a list of files that belong together"
        )
    return tuple(alternatives)
