"""In: kb/sources.yaml, or a path to a vocabulary. Out: Source, whose terms a reader streams."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

from vaner.errors import FormatError, VanerError, place
from vaner.files import BROKEN_GZIP, open_bytes, read_yaml, sha256, shipped
from vaner.report import Report
from vaner.vocabularies.mesh import read_mesh
from vaner.vocabularies.ontology import read_ontology
from vaner.vocabularies.tables import Table, read_jsonl, read_plain, read_table, read_taxonomy
from vaner.vocabularies.terms import Term
from vaner.vocabularies.umls import read_umls

#: Variable that names the folder of the vocabularies where ``--kb_root`` does not.
ROOT_VARIABLE = "VANER_KB"

#: Versions of the registry that name none, and of sources given by path.
_UNKNOWN_VERSIONS = ("as downloaded", "unknown")

_OF_FOLDERS = ("MRCONSO.RRF", "MRCONSO.RRF.gz", "MRSTY.RRF", "MRSTY.RRF.gz", "names.dmp", "nodes.dmp")

_FIELDS = (
    "title",
    "licence",
    "version",
    "url",
    "redistribution",
    "reader",
    "files",
    "shipped",
    "sha256",
    "parts",
)


@dataclass(frozen=True)
class Source:
    """One vocabulary.

    Attributes:
        name: its key in the registry, or the path it was given by.
        reader: key of READERS.
        files: paths, relative to the folder of the vocabularies unless absolute.
        licence, version, url, title, redistribution: for the record; kept in every index made from it.
        options: what the reader takes besides.
        sha256: of each of the files, where the registry states them.
        parts: the vocabularies that it stands for, where it stands for several; its files are theirs.
    """

    name: str
    reader: str
    files: tuple[str, ...]
    licence: str
    version: str
    url: str = ""
    title: str = ""
    redistribution: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    sha256: tuple[str, ...] = ()
    parts: tuple[Source, ...] = ()

    @property
    def description(self) -> dict[str, Any]:
        """What the registry says of it."""
        return {
            "name": self.name,
            "title": self.title,
            "licence": self.licence,
            "version": self.version,
            "url": self.url,
            "redistribution": self.redistribution,
        }

    def record(self, root: str | os.PathLike | None) -> dict[str, Any]:
        """``description``, with the SHA-256 of each file, and the version that files state where none is known.

        Raises:
            VanerError: see ``paths``.
        """
        paths = self.paths(root)
        version = self.version
        if version in _UNKNOWN_VERSIONS:
            version = next(filter(None, map(_stated_version, paths)), version)
        hashes = {str(file.relative_to(path.parent)): sha256(file) for path in paths for file in _files(path)}
        return {**self.description, "version": version, "files": hashes}

    def paths(self, root: str | os.PathLike | None) -> list[Path]:
        """Where its files are.

        Args:
            root: folder of the vocabularies; None takes it from the variable VANER_KB.

        Raises:
            VanerError: if no folder is known or a file is not there.
        """
        return [self._path(name, root) for name in self.files]

    def _path(self, name: str, root: str | os.PathLike | None) -> Path:
        root = root or os.environ.get(ROOT_VARIABLE)
        if not root and not os.path.isabs(name):
            raise VanerError(f"{self.name}: no folder of vocabularies; give --kb_root or set {ROOT_VARIABLE}")
        path = Path(root or "", name)
        if not path.exists():
            raise VanerError(f"{path}: not there; put {self.title or self.name} there ({self.url})")
        return path

    def terms(self, root: str | os.PathLike | None, report: Report) -> Iterator[Term]:
        """Stream its terms.

        Raises:
            VanerError, FormatError: see the readers and ``paths``.
        """
        options = dict(self.options)
        if "id_by_name" in options:
            other = options["id_by_name"]
            options["id_by_name"] = {**other, "file": str(self._path(other["file"], root))}
        for path in self.paths(root):
            yield from READERS[self.reader](path, options, report)


def _files(path: Path) -> list[Path]:
    """The file, or those of a folder that its reader takes."""
    return [path] if path.is_file() else [p for p in sorted(path.iterdir()) if p.name in _OF_FOLDERS]


def _stated_version(path: Path) -> str | None:
    """The version in the header of an OBO file or in release.dat, in or beside the META folder of UMLS."""
    if path.is_dir():
        places = [p for p in (path / "release.dat", path.absolute().parent / "release.dat") if p.is_file()]
        label = "umls.release.name="
    elif ".obo" in path.suffixes:
        places, label = [path], "data-version:"
    else:
        return None
    for place_ in places:
        with contextlib.suppress(*BROKEN_GZIP), open_bytes(place_) as file:
            for line in file.read(1 << 16).decode("utf-8", "replace").splitlines():
                if line.startswith("[Term]"):
                    break
                if line.startswith(label):
                    return line.removeprefix(label).strip() or None
    return None


def read_sources(path: str | os.PathLike | None = None) -> dict[str, Source]:
    """The vocabularies of ``sources.yaml``.

    Raises:
        FormatError: if the file is no YAML, or an entry lacks a field, has an unknown reader or an option that it
            does not take.
    """
    path = Path(path) if path else shipped("kb") / "sources.yaml"
    sources = {}
    for name, entry in read_yaml(path).items():
        if not isinstance(entry, dict):
            raise FormatError(f"{path}: {name} is no mapping of fields to values; write one")
        parts: tuple[Source, ...] = ()
        if "parts" in entry:
            # A registry beside this one.
            parts = tuple(read_sources(path.parent / str(entry["parts"])).values())
            entry = {**entry, "reader": "plain", "files": [file for part in parts for file in part.files]}
        missing = [f for f in ("title", "licence", "version", "url", "reader", "files") if f not in entry]
        if missing:
            raise FormatError(f"{path}: {name} has no {', '.join(missing)}; add it")
        if entry["reader"] not in READERS:
            raise FormatError(
                f"{path}: {name} has reader {entry['reader']!r}; choose from {', '.join(READERS)}"
            )
        options = {k: v for k, v in entry.items() if k not in _FIELDS}
        _check_options(f"{path}: {name}", entry["reader"], options)
        if not isinstance(entry["files"], list):
            raise FormatError(f"{path}: {name}: files is no list; write one")
        sources[name] = Source(
            name=name,
            reader=entry["reader"],
            # Files shipped with the project lie beside the registry.
            files=tuple(str(path.parent / f) if entry.get("shipped") else f for f in entry["files"]),
            licence=str(entry["licence"]),
            version=str(entry["version"]),
            url=entry["url"],
            title=entry["title"],
            redistribution=bool(entry.get("redistribution", False)),
            options=options,
            sha256=tuple(entry.get("sha256", ())),
            parts=parts,
        )
    return sources


def _check_options(where: str, reader: str, options: Mapping[str, Any]) -> None:
    """Raise FormatError unless the reader takes these options and needs no others."""
    takes = {
        name: parameter
        for name, parameter in signature(_TAKES[reader]).parameters.items()
        if (reader == "table" or parameter.kind is Parameter.KEYWORD_ONLY) and name != "semantic_types"
    }
    known = [*takes, "id_prefix"] if reader in ("ontology", "mesh", "taxonomy") else list(takes)
    unknown = [name for name in options if name not in known]
    missing = [n for n, p in takes.items() if p.default is Parameter.empty and n not in options]
    if unknown or missing:
        what = f"has no {', '.join(missing)}" if missing else f"does not know {', '.join(map(str, unknown))}"
        raise FormatError(f"{where}: reader {reader} {what}; it takes {', '.join(known) or 'nothing'}")
    for name in takes.keys() & options.keys():
        # The annotations are text: "Mapping[str, str | None] | None".
        wanted = takes[name].annotation.partition("[")[0]
        for kind, called, names in (
            (dict, "mapping", ("Mapping",)),
            (list, "list", ("Collection", "tuple")),
        ):
            if wanted in names and not isinstance(options[name], kind):
                raise FormatError(f"{where}: {name} is no {called}; write one")


def resolve(
    specification: str,
    known: Mapping[str, Source],
    *,
    type: str | None = None,
    umls: Mapping[str, Collection[str]] | None = None,
) -> Source:
    """The source of that name, or one for a path: a UMLS META folder, an ontology, MeSH, or a plain list.

    Args:
        specification: name in the registry, or path.
        known: the registry.
        type: canonical type of all terms of an ontology given by its path.
        umls: options of ``read_umls`` (languages, suppress, vocabularies) that replace the defaults.

    Raises:
        VanerError: if it is neither, or an ontology without ``type``.
    """
    source = known.get(specification)
    if source is None:
        source = _from_path(specification, known, type)
    if source.reader == "umls" and umls:
        source = replace(source, options={**source.options, **umls})
    return source


def _from_path(specification: str, known: Mapping[str, Source], type: str | None) -> Source:
    path = Path(specification)
    if not path.exists():
        raise VanerError(
            f"{specification}: neither a file nor a registered vocabulary; choose from {', '.join(known)}"
        )
    kind = path.name.lower().removesuffix(".gz")
    options: dict[str, Any] = {}
    if path.is_dir():
        reader = "taxonomy" if (path / "names.dmp").is_file() else "umls"
        if reader == "taxonomy":
            options = {"types": {"*": "Species"}}
    elif kind.endswith((".obo", ".json")):
        reader = "ontology"
        if type is None:
            raise VanerError(f"{path}: whose type are its terms? give --type Disease or the like")
        options = {"prefixes": {"*": type}}
    elif kind.endswith((".xml", ".bin")):
        reader, options = "mesh", dict(known["mesh"].options) if "mesh" in known else {}
    elif kind.endswith((".tsv", ".csv", ".txt")):
        reader = "plain"
    else:
        raise VanerError(
            f"{path}: unknown kind of file; give a META folder, .obo, .json, .xml, .bin, or .tsv/.csv "
            "with id, name, type"
        )
    return Source(
        name=path.name,
        reader=reader,
        files=(str(path.absolute()),),
        licence="as its owner says",
        version="unknown",
        options=options,
    )


def semantic_types(path: str | os.PathLike | None = None) -> dict[str, str | None]:
    """TUI -> canonical type, None where names of the semantic type are left out.

    Raises:
        FormatError: if a row is not TUI, name, group, type, or a TUI comes twice.
    """
    path = Path(path) if path else shipped("kb") / "semantic_types.tsv"
    table: dict[str, str | None] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        cells = line.split("\t")
        if len(cells) != 4 or cells[0] in table:
            raise FormatError(f"{place(path, number)}: write TUI, name, group, type once for each TUI")
        table[cells[0]] = None if cells[3] == "-" else cells[3]
    return table


def _umls(path: Path, options: Mapping[str, Any], report: Report) -> Iterator[Term]:
    return read_umls(path, semantic_types(), report, **options)


def _mesh(path: Path, options: Mapping[str, Any], report: Report) -> Iterator[Term]:
    return _prefixed(read_mesh, path, {**options, "semantic_types": semantic_types()}, report)


def _ontology(path: Path, options: Mapping[str, Any], report: Report) -> Iterator[Term]:
    return _prefixed(read_ontology, path, options, report)


def _prefixed(
    read: Callable[..., Iterable[Term]], path: Path, options: Mapping[str, Any], report: Report
) -> Iterator[Term]:
    """Terms of a reader, ``id_prefix`` put before their ids."""
    rest = dict(options)
    prefix = rest.pop("id_prefix", "")
    for term in read(path, report, **rest):
        yield term._replace(id=prefix + term.id) if prefix and term.id else term


def _table(path: Path, options: Mapping[str, Any], report: Report) -> Iterator[Term]:
    layout = Table(**{**options, "synonyms": tuple(options.get("synonyms", ()))})
    return read_table(path, layout, report)


def _plain(path: Path, options: Mapping[str, Any], report: Report) -> Iterator[Term]:
    return read_plain(path, report)


def _jsonl(path: Path, options: Mapping[str, Any], report: Report) -> Iterator[Term]:
    return read_jsonl(path, report, **options)


def _taxonomy(path: Path, options: Mapping[str, Any], report: Report) -> Iterator[Term]:
    return _prefixed(read_taxonomy, path, options, report)


#: Reader name -> function of a path, the entry's other keys and a report.
READERS: dict[str, Callable[[Path, Mapping[str, Any], Report], Iterator[Term]]] = {
    "umls": _umls,
    "ontology": _ontology,
    "mesh": _mesh,
    "table": _table,
    "plain": _plain,
    "jsonl": _jsonl,
    "taxonomy": _taxonomy,
}

#: Reader name -> what its options are arguments of.
_TAKES: dict[str, Callable[..., object]] = {
    "umls": read_umls,
    "ontology": read_ontology,
    "mesh": read_mesh,
    "table": Table,
    "plain": read_plain,
    "jsonl": read_jsonl,
    "taxonomy": read_taxonomy,
}
