"""In: the name of an optional package. Out: the package, or one line that says what to install."""

from __future__ import annotations

import importlib
from typing import Any

from vaner.errors import VanerError


def extra(package: str, extra: str, why: str) -> Any:
    """An optional package, imported.

    Args:
        package: as it is imported, such as ``bm25s``.
        extra: of vaner that installs it, such as ``prompted``.
        why: what wants it, such as ``choose: bm25``.

    Raises:
        VanerError: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise VanerError(f"{why}: needs {error.name}; pip install 'vaner[{extra}]'") from None
