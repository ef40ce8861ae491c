"""In: Documents, datasets of Hugging Face. Out: each as the other; what tags a dataset.

to_dataset(documents)                      id, text, spans (and passages, ...): all that Documents are
to_dataset(documents, layout="tokens")     id, tokens, ner_tags: what token classification is trained on
from_dataset(dataset)                      either, or other people's columns

dataset.map(tagger.batch, batched=True)                          tagger: vaner.Vaner
dataset.map(batched("kb:open", link=True), batched=True)         any other
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vaner.document import Document
from vaner.errors import VanerError
from vaner.formats.conll import tagged_sentences
from vaner.formats.datasets import of_loaded, told_fields
from vaner.formats.jsonl import placing
from vaner.formats.parquet_writing import SPANS, tables
from vaner.model.config import DEFAULT_MODEL
from vaner.report import Report
from vaner.tagging.batched import Batched
from vaner.tagging.opened import Opened
from vaner.tagging.settings import TaggingSettings

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict, Features, IterableDataset, IterableDatasetDict

LAYOUTS = ("spans", "tokens")
PER = ("sentence", "document")

OTHER_TYPE = "mention of another type not written"
_NAME = "dataset"


def to_dataset(
    documents: Iterable[Document],
    layout: str = "spans",
    *,
    types: Sequence[str] | None = None,
    per: str = "sentence",
    report: Report | None = None,
) -> Dataset:
    """A dataset in memory; of more than memory holds, write Parquet and ``load_dataset("parquet", ...)``.

    Args:
        documents: read once.
        layout: ``spans``: a row a Document, which `from_dataset` reads back as it was; the columns are those of
            Parquet files (`vaner.formats.parquet`). ``tokens``: ``id``, ``tokens`` and ``ner_tags``, a ClassLabel of
            ``O``, ``B-Disease``, ``I-Disease``, ... What one tag a word cannot say is counted as for CoNLL
            (`vaner.formats.conll.write`): spacing, overlapping mentions, scores, concepts.
        types: with ``tokens``, the types that tags name, in order; mentions of others are left out and counted. By
            default all that the Documents have, sorted.
        per: with ``tokens``, a row a ``sentence``, whose id is that of its Document and its number (``d1-1``), or a
            row a ``document``.
        report: receives what is not written. Without one, a summary is logged as warnings.

    Raises:
        VanerError: an unknown layout, or an option that it does not have.
    """
    import datasets

    if layout not in LAYOUTS:
        raise VanerError(f"layout is {layout!r}; choose {' or '.join(LAYOUTS)}")
    if per not in PER:
        raise VanerError(f"per is {per!r}; choose {' or '.join(PER)}")
    told = Report() if report is None else report
    if layout == "spans":
        if types is not None:
            raise VanerError(
                "types is for layout='tokens'; leave it out, or leave out the mentions of others"
            )
        import pyarrow as pa

        made = datasets.Dataset(pa.concat_tables(list(tables(documents, _NAME, told))))
    else:
        made = _tokens(documents, types, per, told)
    if report is None:
        _log(told)
    return made


def _log(report: Report) -> None:
    import logging

    for line in report.summary():
        logging.getLogger(__name__).warning("%s", line)


def _tokens(documents: Iterable[Document], types: Sequence[str] | None, per: str, report: Report) -> Dataset:
    import datasets

    ids: list[str] = []
    tokens: list[list[str]] = []
    tags: list[list[str]] = []
    seen: Counter[str] = Counter()
    for document in documents:
        seen.update(document.types or ())
        seen.update(span.type for span in document.spans)
        rows = list(_rows(document, types, report))
        if per == "document":
            rows = [([w for words, _ in rows for w in words], [t for _, said in rows for t in said])]
        for number, (words, said) in enumerate(rows, 1):
            ids.append(document.id if per == "document" else f"{document.id}-{number}")
            tokens.append(words)
            tags.append(said)
    names = ["O", *(f"{role}-{type}" for type in (types or sorted(seen)) for role in "BI")]
    numbers = {name: number for number, name in enumerate(names)}
    features = datasets.Features(
        id=datasets.Value("string"),
        tokens=datasets.List(datasets.Value("string")),
        ner_tags=datasets.List(datasets.ClassLabel(names=names)),
    )
    columns = {"id": ids, "tokens": tokens, "ner_tags": [[numbers[tag] for tag in said] for said in tags]}
    return datasets.Dataset.from_dict(columns, features=features)


def _rows(
    document: Document, types: Sequence[str] | None, report: Report
) -> Iterator[tuple[list[str], list[str]]]:
    """Words and tags of each sentence."""
    if types is not None:
        for span in document.spans:
            if span.type not in types:
                report.warn(OTHER_TYPE, f"document {document.id}: {span.type} {span.text[:60]!r}")
        document = replace(document, spans=[span for span in document.spans if span.type in types])
    lines = []
    for offsets, tags in tagged_sentences(document, "iob2", _NAME, report):
        words = [document.text[start:end] for start, end in offsets]
        lines.append(" ".join(words))
        yield words, tags
    if "\n".join(lines) != document.text:
        report.warn(
            "text changed", f"document {document.id}: words stay; the white space between them does not"
        )


def from_dataset(
    dataset: Dataset | IterableDataset | DatasetDict | IterableDatasetDict,
    *,
    split: str = "all",
    offsets: str = "raise",
    unit: str = "codepoints",
    id: str = "",
    text: str = "",
    spans: str = "",
    tokens: str = "",
    tags: str = "",
    tag_names: str = "",
    on_error: str = "raise",
    report: Report | None = None,
) -> Iterator[Document]:
    """Stream the Documents of a dataset that is loaded, one a row; a row whose text is null is left out and counted.

    Args:
        dataset: one, or splits by name.
        split, offsets, unit, id, text, spans, tokens, tags, tag_names: as of `vaner.formats.datasets.read`. Names of
            classes are taken from the dataset.
        on_error: ``raise``, or ``skip`` to leave a bad row out and count it.
        report: receives what was left out.

    Raises:
        FormatError: a dataset without rows, a column that is not there or cannot be told.
        OffsetError: for mentions that do not select their text.
    """
    told = told_fields(offsets, id=id, text=text, spans=spans, tokens=tokens, tags=tags, tag_names=tag_names)
    place = placing(offsets, unit)
    return of_loaded(dataset, _NAME, _NAME, split, told, place, on_error, report or Report())


def batched(model: str = DEFAULT_MODEL, **settings: Any) -> Batched:
    """What ``dataset.map(..., batched=True)`` calls, of any tagger; processes of ``num_proc`` load it for themselves.

    Args:
        model: any name of a tagger (`vaner.tagging.loading.load`).
        settings: other fields of `vaner.tagging.settings.TaggingSettings`: ``types``, ``dataset``, ``min_score``,
            ``link``, ``kb``, ...

    Raises:
        VanerError: what cannot work, before the model is loaded.
    """
    return Batched(Opened(TaggingSettings.from_dict({"models": (model,), **settings})))


def with_spans(features: Features, column: str = "spans") -> Features:
    """The features of a dataset with a column of mentions more, for ``dataset.map(..., features=...)``.

    `datasets` takes the types of a new column from the first batch; where no text of that has any mention, it must be
    told them.
    """
    import datasets

    kind = datasets.features.features.generate_from_arrow_type(SPANS)
    return datasets.Features({**features, column: kind})
