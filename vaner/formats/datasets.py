"""In: what `datasets` reads without code: a dataset of the Hugging Face hub, or a folder or file. Out: Documents.

    hf:NAME            a dataset of the hub
    FOLDER             Parquet, JSON, CSV or Arrow files, or what `save_to_disk` wrote
    FILE               one of these, or an .arrow file

A dataset's own code is never run. Columns are read as those of Parquet files (:mod:`vaner.formats.parquet`), the names
of its classes included.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vaner.document import Document
from vaner.errors import FormatError, VanerError
from vaner.files import stem
from vaner.formats import columns
from vaner.formats.blocks import documents
from vaner.formats.json_fields import Fields
from vaner.formats.jsonl import Place, placing
from vaner.formats.parquet import rows_of
from vaner.formats.tables import Layout, Row
from vaner.report import Report

HUB = "hf:"
"""Begins the name of a dataset of the hub where a path could stand."""

SPLIT = "split"
"""The column that says from which split a row is, where several are read."""

_BUILDERS = {
    ".parquet": "parquet",
    ".json": "json",
    ".jsonl": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".arrow": "arrow",
    ".feather": "arrow",
}
_ROWS = 500


def read(
    path: str | os.PathLike,
    *,
    on_error: str,
    report: Report,
    config: str = "",
    split: str = "all",
    streaming: str = "auto",
    offsets: str = "raise",
    unit: str = "codepoints",
    id: str = "",
    text: str = "",
    spans: str = "",
    tokens: str = "",
    tags: str = "",
    tag_names: str = "",
) -> Iterator[Document]:
    """Stream the Documents of a dataset, one a row; a row whose text is null is left out and counted.

    Args:
        config: the dataset's configuration, where it has several.
        split: ``all`` of them, one after the other, or some, with ``+`` between. Where several are read, ``split`` in
            the metadata says from which a Document is.
        streaming: ``yes``: rows are read where they lie, and fetched from the hub as they are needed; ``no``: all is
            fetched once and kept in the cache of `datasets`; ``auto``: ``no`` for the hub.
        offsets, unit, id, text, spans, tokens, tags, tag_names: as for `vaner.formats.parquet.read`. An id that no
            column has is ``<name>-<row>``, with the split's name before the row where several are read.

    Raises:
        FormatError: for a dataset that is not there, needs code or cannot be fetched; else as for Parquet.
    """
    if streaming not in ("auto", "yes", "no"):
        raise VanerError(f"streaming={streaming} is unknown; choose auto, yes or no")
    told = told_fields(offsets, id=id, text=text, spans=spans, tokens=tokens, tags=tags, tag_names=tag_names)
    place = placing(offsets, unit)
    name = stem(str(path).removeprefix(HUB))
    return of_loaded(_load(path, config, streaming), path, name, split, told, place, on_error, report)


def told_fields(offsets: str, *, tag_names: str, **columns: str) -> Fields:
    """What a reader was told of its columns."""
    names = tuple(tag_names.split("|")) if tag_names else ()
    return Fields(**columns, tag_names=names, skip=offsets == "drop")


def of_loaded(
    loaded: Any,
    path: str | os.PathLike,
    name: str,
    split: str,
    told: Fields,
    place: Place,
    on_error: str,
    report: Report,
) -> Iterator[Document]:
    """The Documents of a dataset, or of splits by name, that `datasets` loaded; see `read`.

    Args:
        path: what the messages name.
        name: begins ids that no column has.
    """
    splits = _chosen(path, loaded, split)
    layouts: dict[str, tuple[Any, Layout]] = {}

    def blocks() -> Iterator[tuple[None, tuple[str, int, Row, Layout]]]:
        for part, dataset in splits.items():
            number = 0
            for schema, rows in _batches(path, part, dataset):
                if part not in layouts or layouts[part][0] != schema:
                    layout = Layout(schema, told, str(path), "datasets")
                    layouts[part] = (schema, _with_split(layout) if len(splits) > 1 else layout)
                for row in rows:
                    number += 1
                    yield None, (part, number, row, layouts[part][1])

    def build(_: int | None, block: tuple[str, int, Row, Layout]) -> Document | None:
        part, number, row, layout = block
        several = len(splits) > 1
        own = f"{name}-{part}-{number}" if several else f"{name}-{number}"
        document = layout.document(row, own, f"{path}: split {part}, row {number}", report, place)
        if document is not None and several:
            document.metadata.setdefault(SPLIT, part)
        return document

    return documents(path, blocks(), build, on_error, report)


def _with_split(layout: Layout) -> Layout:
    """The layout of a table that gets a column for the split's name, unless it has one."""
    if layout.schema is not None and SPLIT not in layout.columns:
        layout.schema["columns"] = {**layout.schema["columns"], SPLIT: "string"}
    return layout


def _load(path: str | os.PathLike, config: str, streaming: str) -> Any:
    """The dataset: splits by name, or a single one."""
    import datasets

    # What goes wrong is said once, in the error.
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)
    name = str(path)
    if name == HUB:
        raise FormatError(f"{name} names no dataset; write {HUB}NAME as the hub has it")
    options: dict[str, Any] = {"name": config} if config else {}
    try:
        if name.startswith(HUB):
            return datasets.load_dataset(name.removeprefix(HUB), streaming=streaming == "yes", **options)
        options["streaming"] = streaming != "no"
        if not os.path.isdir(path):
            suffix = Path(name.removesuffix(".gz")).suffix.lower()
            if suffix not in _BUILDERS:
                raise FormatError(
                    f"{path}: `datasets` reads files that end in {', '.join(_BUILDERS)}; rename it, or name its folder"
                )
            if suffix == ".tsv":
                options["sep"] = "\t"
            return datasets.load_dataset(_BUILDERS[suffix], data_files={"train": [name]}, **options)
        if any((Path(name) / state).is_file() for state in ("state.json", "dataset_dict.json")):
            return datasets.load_from_disk(name)
        return datasets.load_dataset(os.path.abspath(name), **options)
    except VanerError:
        raise
    except Exception as error:  # whatever its builders, the hub's client and the network raise
        raise _unreadable(path, error) from error


def _unreadable(path: str | os.PathLike, error: Exception) -> FormatError:
    said = " ".join(str(error).split())[:300] or type(error).__name__
    if "scripts are no longer supported" in said:
        return FormatError(
            f"{path}: the dataset needs code of its own, which is never run; convert it to Parquet where you trust it"
        )
    if "Config name is missing" in said or "BuilderConfig" in said:
        return FormatError(f"{path}: {said}; name one: --input_format datasets:config=NAME")
    if isinstance(error, ConnectionError) or "Couldn't reach" in said or "Offline" in type(error).__name__:
        return FormatError(
            f"{path}: the hub cannot be reached ({said}); fetch the dataset where it can be, and name its folder"
        )
    if "doesn't exist on the Hub" in said or "Couldn't find any data file" in said:
        return FormatError(f"{path}: no such dataset that can be read ({said}); check its name or its files")
    return FormatError(f"{path}: `datasets` cannot read it ({type(error).__name__}: {said}); check the files")


def _chosen(path: str | os.PathLike, loaded: Any, split: str) -> dict[str, Any]:
    """The splits to read, in the dataset's order, or as they are named."""
    splits = dict(loaded) if isinstance(loaded, Mapping) else {str(loaded.split or "train"): loaded}
    if split == "all":
        return splits
    wanted = split.split("+")
    for name in wanted:
        if name not in splits:
            raise FormatError(f"{path}: has no split {name!r}; it has {', '.join(splits)}")
    return {name: splits[name] for name in wanted}


def _batches(path: str | os.PathLike, part: str, dataset: Any) -> Iterator[tuple[dict[str, Any], list[Row]]]:
    """The columns' types and the rows of each batch."""
    number = 0
    batches = dataset.with_format("arrow").iter(batch_size=_ROWS)
    while True:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                batch = next(batches, None)
            if batch is None:
                return
            features = dataset.features.to_dict() if dataset.features is not None else {}
            schema = {
                field.name: columns.describe(field.type, features.get(field.name)) for field in batch.schema
            }
            rows = rows_of(batch)
        except Exception as error:  # as above; and files are read only now
            said = _unreadable(path, error)
            raise FormatError(f"{said} (split {part}, after row {number})") from error
        yield schema, rows
        number += len(rows)
