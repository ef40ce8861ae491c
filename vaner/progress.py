"""In: things to go through. Out: the same, behind a progress bar where it takes a while."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def progress(items: Iterable[Item], what: str, total: int | None = None) -> tqdm[Item]:
    """A progress bar that shows up only where something takes longer than two seconds.

    Args:
        items: handed on as they come.
        what: stands before the bar.
        total: number of items, where ``items`` has no length.
    """
    return tqdm(items, desc=what, total=total, delay=2, leave=False, file=sys.stderr)
