"""In: an ontology as OBO or as OBO graphs JSON, plain or .gz. Out: terms, typed by the branch they lie in.

OBO is read by obonet, not by pronto: docs/knowledge-base.md, "OBO", has the measured reason.
"""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import networkx
from obonet.read import get_sections

from vaner.errors import FormatError
from vaner.files import BROKEN_GZIP, open_bytes
from vaner.report import Report
from vaner.vocabularies.terms import Term

# It warns of a file without a header, of which nothing is needed here.
logging.getLogger("obonet").setLevel(logging.ERROR)

#: Synonym scopes that name the concept itself; NARROW and BROAD ones name another one.
SCOPES = ("EXACT", "RELATED")

# synonym: "dry, hacking cough" EXACT abbreviation [ORCID:1]
# Quotes in the name should be escaped and often are not (3,3',3"-...): it goes to the last that such an end follows.
_SYNONYM = re.compile(r'"(.*)"\s*(?:([A-Z]+)\b)?[^"\[\]]*(?:\[.*)?')
# OBO 1.0 wrote the scope into the tag; of a plain synonym it was as unsaid as today.
_SYNONYM_TAGS = {
    "synonym": "",
    "exact_synonym": "EXACT",
    "narrow_synonym": "NARROW",
    "broad_synonym": "BROAD",
    "related_synonym": "RELATED",
}
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": " ", "W": " ", "t": " "}
_PURL = re.compile(r"^https?://.*[/#]([A-Za-z][A-Za-z0-9]*)_([A-Za-z0-9]+)$")


@dataclass
class _Node:
    id: str
    name: str
    synonyms: list[tuple[str, str]]  # scope, name
    parents: list[str]
    references: list[str]
    obsolete: bool


def read_ontology(
    path: Path,
    report: Report,
    *,
    branches: Mapping[str, str | None] | None = None,
    prefixes: Mapping[str, str | None] | None = None,
    scopes: Collection[str] = SCOPES,
    references: Collection[str] = (),
) -> Iterator[Term]:
    """Terms of one ontology.

    Args:
        path: ``.obo`` or ``.json`` (OBO graphs), possibly with ``.gz``.
        report: counts obsolete, nameless and untyped terms, unread synonyms, duplicate ids, missing parents, cycles.
        branches: id of a term -> canonical type of it and everything below (None: left out); the nearest
            such ancestor decides.
        prefixes: what stands before the colon of an id -> canonical type, for terms in no such branch; ``*`` for all
            other ids.
        scopes: synonym scopes kept (EXACT, RELATED, NARROW, BROAD).
        references: if given, terms carry the ids of their cross references with these prefixes (``MESH``)
            instead of their own, and terms without any are left out.

    Raises:
        FormatError: if the file is not what its name says.
    """
    branches, prefixes = dict(branches or {}), dict(prefixes or {})
    nodes = _unique(_read(path, report), path, report)
    graph = networkx.DiGraph()
    graph.add_nodes_from(nodes)
    for node in nodes.values():
        for parent in node.parents:
            if parent in nodes:
                graph.add_edge(node.id, parent)
            elif parent not in branches:
                report.warn("missing parent", f"{path}: {node.id} is_a {parent}, which is not in the file")
    for component in networkx.strongly_connected_components(graph):
        if len(component) > 1 or any(graph.has_edge(n, n) for n in component):
            shown = ", ".join(sorted(component)[:5])
            how = "are above one another; read as one level" if len(component) > 1 else "is_a itself; ignored"
            report.warn("cycle of is_a", f"{path}: {shown} {how}")
    for node in nodes.values():
        if node.obsolete:
            report.counts["left out: obsolete term"] += 1
            continue
        if not node.name:
            report.warn("term without a name", f"{path}: {node.id} has no name; skipped")
            continue
        types = _types(node, nodes, branches, prefixes)
        if not types:
            report.counts["left out: term in no typed branch"] += 1
            continue
        ids = [node.id]
        if references:
            ids = [r for r in dict.fromkeys(node.references) if r.partition(":")[0] in references]
            if not ids:
                report.counts["left out: term without such a reference"] += 1
        for identifier in ids:
            yield Term(identifier, node.name, types, True)
            for scope, name in node.synonyms:
                if scope in scopes:
                    yield Term(identifier, name, types, False)


def _types(
    node: _Node,
    nodes: Mapping[str, _Node],
    branches: Mapping[str, str | None],
    prefixes: Mapping[str, str | None],
) -> tuple[str, ...]:
    """Types of the nearest typed ancestors, all those at the same distance."""
    level, seen = [node.id], {node.id}
    while level and branches:
        found = [branches[i] for i in level if i in branches]
        if found:
            return tuple(sorted({t for t in found if t is not None}))
        above = [p for i in level if i in nodes for p in nodes[i].parents if p not in seen]
        seen.update(above)
        level = list(dict.fromkeys(above))
    type_ = prefixes.get(node.id.partition(":")[0], prefixes.get("*"))
    return (type_,) if type_ else ()


def _unique(nodes: Iterable[_Node], path: Path, report: Report) -> dict[str, _Node]:
    unique: dict[str, _Node] = {}
    for node in nodes:
        if node.id in unique:
            report.warn("duplicate id", f"{path}: {node.id} is defined twice; the first one is kept")
        else:
            unique[node.id] = node
    return unique


def _read(path: Path, report: Report) -> Iterator[_Node]:
    try:
        with open_bytes(path) as binary:
            file = io.TextIOWrapper(binary, encoding="utf-8-sig")
            if ".json" in path.suffixes:
                yield from _read_graphs(file, path)
            else:
                yield from _read_obo(file, path, report)
    except BROKEN_GZIP as error:
        raise FormatError(f"{path}: the gzip file is broken ({error}); fetch it again") from None
    except UnicodeDecodeError as error:
        raise FormatError(
            f"{path}: 0x{error.object[error.start]:02x} is not UTF-8; convert the file, for instance: iconv -f LATIN1 "
            "-t UTF-8"
        ) from None


def _read_obo(file: IO[str], path: Path, report: Report) -> Iterator[_Node]:
    line = 0

    def counted() -> Iterator[str]:
        nonlocal line
        for line, text in enumerate(file, 1):  # noqa: B007
            yield text

    try:
        _, terms, _, _ = get_sections(counted())
    except UnicodeDecodeError:
        raise
    except ValueError as error:
        # A stanza is read whole before its lines are looked at.
        shown = " ".join(str(error).split())[:120]
        raise FormatError(
            f"{path}: not OBO, in the stanza that ends in line {line} ({shown}); mend the line or give another file"
        ) from None
    if not terms:
        raise FormatError(f"{path}: no [Term] in it; give an OBO file")
    for term in terms:
        if "id" not in term:
            raise FormatError(f"{path}: a [Term] named {term.get('name')!r} has no id; mend it")
        synonyms = []
        for tag, scope in _SYNONYM_TAGS.items():
            for written in term.get(tag, ()):
                match = _SYNONYM.fullmatch(written)
                if match:
                    synonyms.append((scope or match[2] or "RELATED", _unescape(match[1])))
                else:
                    report.warn(
                        "synonym that cannot be read",
                        f"{path}: {term['id']} has {tag} {written[:60]!r}, which is no name in quotes; left out",
                    )
        yield _Node(
            id=term["id"],
            name=_unescape(term.get("name") or ""),
            synonyms=synonyms,
            parents=[p.split()[0] for p in term.get("is_a", ()) if p],
            references=[x.split()[0] for t in ("xref", "xref_analog") for x in term.get(t, ()) if x],
            obsolete=term.get("is_obsolete") == "true",
        )


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda m: _ESCAPED.get(m[1], m[1]), text) if "\\" in text else text


def _read_graphs(file: IO[str], path: Path) -> Iterator[_Node]:
    text = file.read()
    try:
        # Published graphs have raw control characters inside strings.
        document = json.JSONDecoder(strict=False).decode(text)
        nodes = [node for graph in document["graphs"] for node in _nodes(graph)]
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"{path}: not OBO graphs JSON ({error!r:.100}); give another file") from None
    yield from nodes


def _nodes(graph: Mapping[str, Any]) -> Iterator[_Node]:
    parents: dict[str, list[str]] = {}
    for edge in graph.get("edges", ()):
        if edge.get("pred") == "is_a":
            parents.setdefault(edge["sub"], []).append(_short(edge["obj"]))
    for node in graph.get("nodes", ()):
        if node.get("type") != "CLASS":
            continue
        meta = node.get("meta", {})
        yield _Node(
            id=_short(node["id"]),
            name=str(node.get("lbl") or ""),
            synonyms=[
                (s["pred"].removeprefix("has").removesuffix("Synonym").upper(), s["val"])
                for s in meta.get("synonyms", ())
            ],
            parents=parents.get(node["id"], []),
            # Published ones begin with a space now and then.
            references=[x["val"].strip() for x in meta.get("xrefs", ())],
            obsolete=bool(meta.get("deprecated")),
        )


def _short(iri: str) -> str:
    """``DOID:4`` for ``http://purl.obolibrary.org/obo/DOID_4``."""
    match = _PURL.match(iri)
    return f"{match[1]}:{match[2]}" if match else iri
