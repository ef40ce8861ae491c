"""In: nothing. Out: the server's page as one file, and the headers that let its own script and style run alone.

The page is HTML, a style sheet and a few scripts in ``web/``; here they become one answer that names nothing outside
itself. Its policy forbids all but what it needs: its style and its script, by their hashes, and requests to the server
that it came from. Strings may not become markup anywhere in it (``require-trusted-types-for``).
"""

from __future__ import annotations

import base64
import functools
import hashlib
import importlib.resources
from string import Template

#: In this order they are one script: each uses those before it.
SCRIPTS = ("base.js", "marks.js", "server.js", "card.js", "result.js", "ask.js")


@functools.cache
def page() -> tuple[bytes, dict[str, str]]:
    """The page at ``/``.

    Returns:
        its bytes (UTF-8), and its headers; a server sends both as they are.
    """
    style = _file("page.css")
    script = '"use strict";\n' + "".join(_file(name) for name in SCRIPTS)
    body = Template(_file("page.html")).substitute(style=style, script=script).encode()
    policy = {
        "default-src": "'none'",
        "script-src": _hash(script),
        "style-src": _hash(style),
        "connect-src": "'self'",
        "img-src": "data:",  # the empty icon, so that none is asked for
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-cache",
    }
    return body, headers


def _file(name: str) -> str:
    folder = importlib.resources.files("vaner.serving") / "web"
    return (folder / name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    """What a policy calls an inline element: the hash of what stands between its tags."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
