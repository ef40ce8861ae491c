"""In: tables of equal columns, one row a text. Out: the same as Arrow, in memory or mapped from a file; numpy views.

No row is a Python object: what is asked of a row is cut out of its column when it is asked.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from vaner.errors import VanerError

if TYPE_CHECKING:
    from datasets import Dataset


class Columns:
    """Columns of an Arrow table, row by row.

    Args:
        dataset: of datasets; its table's chunks are those that were written.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    @classmethod
    def open(cls, path: str | os.PathLike) -> Columns:
        """Map a file that `write` wrote; its pages are shared by all processes that map it."""
        from datasets import Dataset

        return cls(Dataset.from_file(os.fspath(path)))

    @classmethod
    def of(cls, tables: Iterable[pa.Table]) -> Columns:
        """The tables in memory."""
        from datasets import Dataset

        return cls(Dataset(pa.concat_tables(tables)))

    def __len__(self) -> int:
        return len(self.dataset)

    def __getstate__(self) -> dict[str, Any]:
        # Views are of this process; a mapped dataset is pickled as its path.
        return {"dataset": self.dataset}

    @cached_property
    def _firsts(self) -> list[int]:
        """The number of the first row of each chunk."""
        chunks = self.dataset.data.column(0).chunks
        return np.cumsum([0, *map(len, chunks[:-1])]).tolist()

    @cached_property
    def _chunks(self) -> dict[str, list[pa.Array]]:
        return {name: self.dataset.data.column(name).chunks for name in self.dataset.column_names}

    @cached_property
    def _views(self) -> dict[tuple[str, int], tuple[np.ndarray, np.ndarray]]:
        """Values of a column of lists, and where each row's begin; filled as they are asked for."""
        return {}

    def array(self, name: str, number: int) -> np.ndarray:
        """The numbers that a column of lists has in a row; a view that must not be written to."""
        at = bisect_right(self._firsts, number) - 1
        view = self._views.get((name, at))
        if view is None:
            chunk = self._chunks[name][at]
            view = self._views[name, at] = (
                chunk.values.to_numpy(zero_copy_only=True),
                chunk.offsets.to_numpy(zero_copy_only=True),
            )
        values, offsets = view
        row = number - self._firsts[at]
        return values[offsets[row] : offsets[row + 1]]

    def value(self, name: str, number: int) -> Any:
        """What a column has in a row, as Python's objects."""
        at = bisect_right(self._firsts, number) - 1
        return self._chunks[name][at][number - self._firsts[at]].as_py()


def write(path: str | os.PathLike, tables: Iterable[pa.Table], schema: pa.Schema) -> None:
    """Write tables one after the other, each as a chunk, so that no more than one is held.

    Raises:
        VanerError: a row that Arrow cannot hold.
    """
    from datasets import Features
    from datasets.arrow_writer import ArrowWriter

    features = Features.from_arrow_schema(schema)
    with ArrowWriter(path=os.fspath(path), features=features) as writer:
        for table in tables:
            writer.write_table(table, writer_batch_size=max(1, len(table)))
        writer.finalize()


def lists(values: Any, ends: Any, type: pa.DataType) -> pa.Array:
    """A column of lists of numbers.

    Args:
        values: of all rows, one after the other: an `array.array` or numpy array.
        ends: where each row's end.
        type: of a value.

    Raises:
        VanerError: more than 2**31 values.
    """
    offsets = np.zeros(len(ends) + 1, dtype=np.int64)
    offsets[1:] = ends
    if offsets[-1] >= 2**31:
        raise VanerError("a single training document is too long to be kept; split it")
    flat = pa.array(np.asarray(values, dtype=type.to_pandas_dtype()))
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), flat)
