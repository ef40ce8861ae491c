"""In: nothing. Out: the page that a browser shows at /, and its headers."""

from __future__ import annotations

_PAGE = b"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>VANER</title>
<h1>VANER</h1><p>POST texts to /v1/tag; /openapi.json says how.</p></html>
"""


def page() -> tuple[bytes, dict[str, str]]:
    """The page's bytes, and the headers that they are sent with."""
    return _PAGE, {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    }
