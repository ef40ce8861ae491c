"""In: things to go through. Out: the same, behind a progress bar where it takes a while."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from tqdm import tqdm


def progress(items: Iterable, what: str, total: int | None = None):
    """A progress bar that shows up only where something takes longer than two seconds."""
    return tqdm(items, desc=what, total=total, delay=2, leave=False, file=sys.stderr)
