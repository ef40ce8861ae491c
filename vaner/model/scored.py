"""In: files that ``evaluate --json`` wrote, a model's hash. Out: what they hold, if it is of that model."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vaner.errors import VanerError

_AGAIN = "write it again: python -m vaner evaluate --model FOLDER --corpus NAME --json FILE"


def read_scores(paths: Iterable[str | Path], model_hash: str) -> list[dict[str, Any]]:
    """Evaluations of a model, fit for its card.

    Args:
        paths: of the files.
        model_hash: of the model, `vaner.model.hashing.model_hash`.

    Raises:
        VanerError: what is no such file, or was measured of another model or of a file of predictions.
    """
    return [_read(Path(path), model_hash) for path in paths]


def _read(path: Path, model_hash: str) -> dict[str, Any]:
    try:
        page = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # of UTF-8 or of JSON
        raise VanerError(f"{path}: not JSON ({error}); {_AGAIN}") from None
    if not isinstance(page, dict) or not _is_page(page):
        raise VanerError(f"{path}: not what evaluate --json writes; {_AGAIN}")
    found = page["protocol"].get("model_hash")
    if not found:
        raise VanerError(f"{path}: does not say which model was scored; {_AGAIN}")
    if found != model_hash:
        raise VanerError(
            f"{path}: these are scores of another model ({found[:12]}..., this one is {model_hash[:12]}...); {_AGAIN}"
        )
    return page


def _is_page(page: Mapping[str, Any]) -> bool:
    try:
        rows = [
            row
            for found in page["results"]
            for row in (found["overall"]["micro"], *found["type"].values())
            if isinstance(found["name"], str) and isinstance(found["documents"], int)
        ]
        scores = [row[measure] for row in rows for measure in ("f1", "precision", "recall")]
        return isinstance(page["protocol"], dict) and bool(scores) and all(map(_is_share, scores))
    except (LookupError, TypeError, AttributeError):
        return False


def _is_share(value: Any) -> bool:
    """A share of 1; None where there was nothing to share."""
    if value is None:
        return True
    return type(value) in (int, float) and math.isfinite(value) and 0 <= value <= 1
