"""In: a batch of a dataset's rows. Out: their mentions: what ``dataset.map(tagger.batch, batched=True)`` calls.

`datasets` keeps what `map` computed under a hash of the pickled function. So this one pickles with all that its answers
hang on: the hash of the model, its options, versions. Types, dataset and least score come as ``fn_kwargs``, which are
hashed as well.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from vaner.errors import VanerError, near
from vaner.tagger import Tagger
from vaner.tagging.frames import tag_frame
from vaner.tagging.rows import tagged


class Named(Tagger, Protocol):
    """A Tagger that says what its answers hang on."""

    def fingerprint(self) -> dict[str, Any]:
        """All of it but texts, types and dataset, as JSON."""
        ...


class Batched:
    """Tags batches of rows.

    Args:
        tagger: `vaner.Vaner`, or `vaner.tagging.opened.Opened`.
        fingerprint: only pickling gives it.
    """

    def __init__(self, tagger: Named, fingerprint: str = "") -> None:
        self.tagger = tagger

    def __reduce__(self) -> tuple[Callable[..., Batched], tuple[Named, str]]:
        return Batched, (self.tagger, json.dumps(self.tagger.fingerprint(), sort_keys=True, default=str))

    def __call__(
        self,
        rows: Any,
        text: str = "text",
        types: Sequence[str] | None = None,
        dataset: str | None = None,
        min_score: float | None = None,
        column: str = "spans",
    ) -> Any:
        """Tag a batch; in ``dataset.map`` the arguments are given as ``fn_kwargs={"text": "abstract", ...}``.

        Args:
            rows: column -> values, as `datasets` gives batches; or a batch of a dataset that has the format ``arrow``,
                ``pandas`` or ``polars``.
            text: the column with the texts; null has no mentions: null again.
            types, dataset: as of `vaner.tagger.Tagger`.
            min_score: what a mention's score must reach, in [0, 1].
            column: the new column's name.

        Returns:
            the new column; of a formatted batch all columns, as `map` wants it.

        Raises:
            VanerError: no such column, one that holds no strings, a single row instead of a batch.
        """
        if not isinstance(rows, Mapping):
            return tag_frame(self.tagger, rows, text, types, dataset, min_score=min_score, column=column)
        from vaner.formats.parquet_writing import cells  # which needs pyarrow

        texts = _texts(rows, text)
        found = tagged(self.tagger, texts, types, dataset, min_score)
        return {column: [None if document is None else cells(document) for document in found]}


def _texts(rows: Mapping[str, Any], name: str) -> list[str | None]:
    if name not in rows:
        hint = near(name, rows) or f"its columns: {', '.join(rows) or 'none'}"
        raise VanerError(
            f'the dataset has no column {name!r} ({hint}); name one: fn_kwargs={{"text": COLUMN}}'
        )
    if isinstance(rows[name], str):
        raise VanerError("this tags batches, not single rows; write dataset.map(tagger.batch, batched=True)")
    texts = list(rows[name])
    for one in texts:
        if not isinstance(one, str | None):
            raise VanerError(
                f"the column {name!r} holds {type(one).__name__}, no strings; name the one with the texts: "
                'fn_kwargs={"text": COLUMN}'
            )
    return texts
