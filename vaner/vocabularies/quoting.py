"""In: numbered lines of a table whose cells may stand in quotes. Out: its rows; what stray quotes break is counted."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from vaner.errors import place
from vaner.report import Report

# A quote that does not end in so many lines was never meant to be open.
_MOST_LINES = 50


def quoted_rows(
    numbered: Iterator[tuple[int, str]], delimiter: str, quote: str, path: Path, report: Report
) -> Iterator[tuple[int, list[str]]]:
    """Rows with the number of their last line.

    A quote inside a cell is written twice. A cell in quotes may hold line breaks, which become spaces; such rows are
    counted, for a quote left open by mistake looks the same. A row whose quotes do not fit is counted and skipped, and
    reading goes on in the line behind it, so that an open quote swallows nothing.

    Args:
        numbered: number and text of each line.
        delimiter: between cells.
        quote: around cells.
        path: for messages.
        report: counts rows over several lines and rows with stray quotes.
    """
    waiting: deque[tuple[int, str]] = deque()
    while True:
        if not waiting:
            waiting.extend(islice(numbered, 1))
            if not waiting:
                return
        number, line = waiting[0]
        if quote not in line:
            waiting.popleft()
            yield number, line.split(delimiter) if line else []
            continue
        row: list[str] | None = None
        taken = 0
        problem = "the quote in it is not closed"
        while row is None and taken < _MOST_LINES:
            taken += 1
            if len(waiting) < taken:
                waiting.extend(islice(numbered, 1))
            if len(waiting) < taken:
                break
            text = [f"{one}\n" for _, one in islice(waiting, taken)]
            try:
                row = next(csv.reader(text, delimiter=delimiter, quotechar=quote, strict=True))
            except csv.Error as error:
                if "unexpected end of data" not in str(error):
                    problem = str(error) if taken == 1 else problem
                    break
        if row is None:
            waiting.popleft()
            report.warn(
                "row with a stray quote",
                f"{place(path, number)}: {problem} ({line[:60]!r}); row skipped; write a quote inside a cell "
                "twice, and quotes around the cell",
            )
            continue
        for _ in range(taken):
            number, _ = waiting.popleft()
        if taken > 1:
            report.warn(
                "row over several lines",
                f"{place(path, number)}: the quote opened {taken - 1} lines before ends here; if it was to be closed "
                "there, mend it",
            )
            row = [" ".join(cell.split("\n")) for cell in row]
        yield number, row
