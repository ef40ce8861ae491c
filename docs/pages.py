"""In: pages of the repository outside docs/. Out: pages of the site, and links that hold in both places.

A hook of MkDocs. The pages are written for whoever reads them in the repository: their links are relative to where they
lie there. On the site a link to another page goes to that page; a link to a file that is no page (a config, a score in
JSON) becomes its text; a link to nothing is left as it is, and the strict build stops at it.
"""

from __future__ import annotations

import logging
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent

# Where it lies in the repository -> where it lies on the site, as seen from docs/.
OUTSIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "benchmarks.md",
    "data/README.md": "data.md",
    "kb/README.md": "kb.md",
    "kb/open/README.md": "kb-open.md",
    "data/models/vaner-smollm2-135m/README.md": "models/vaner-smollm2-135m.md",
    "data/models/vaner-smollm2-135m-20l/README.md": "models/vaner-smollm2-135m-20l.md",
    "data/models/vaner-minilm/README.md": "models/vaner-minilm.md",
}
# The notebooks of examples/ are pages, too; docs/notebooks.py makes them.
OUTSIDE_MADE = {
    f"examples/{path.name}": f"tutorials/{path.stem}.md" for path in (ROOT / "examples").glob("*.ipynb")
}
HOME = {site: repository for repository, site in (OUTSIDE | OUTSIDE_MADE).items()}

_LINK = re.compile(r"(!?)\[([^\[\]]+)\]\(([^()\s]+)\)")

# Two pairs of brackets with a space between are text; Python-Markdown alone takes the second for the name of a link.
_APART = re.compile(r"\] \[(?=[^\]\n]*\](?!\())")

log = logging.getLogger("mkdocs.hooks.pages")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from outside docs/, and look whether every room of the package has its page."""
    for repository, site in OUTSIDE.items():
        files.append(File.generated(config, site, abs_src_path=str(ROOT / repository)))
    shown = "\n".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs/reference").glob("*.md"))
    rooms = {path.stem for path in (ROOT / "vaner").iterdir() if path.suffix == ".py" or path.is_dir()}
    for room in sorted(rooms):
        if not room.startswith("__") and f"::: vaner.{room}\n" not in shown:
            log.warning("vaner.%s has no page in docs/reference", room)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn the links of the repository into links of the site."""
    here = page.file.src_uri
    in_repository = HOME.get(here, f"docs/{here}")

    def on_site(link: re.Match[str]) -> str:
        is_image, text, target = link.groups()
        path, hash, anchor = target.partition("#")
        if not path or re.match(r"[a-z]+:", target):
            return link[0]
        if is_image:  # all of them lie in docs/images
            lies = posixpath.normpath(posixpath.join(posixpath.dirname(in_repository), path))
            return f"![{text}]({posixpath.relpath(lies, posixpath.join('docs', posixpath.dirname(here)))})"
        wanted = posixpath.normpath(posixpath.join(posixpath.dirname(in_repository), path))
        there = (OUTSIDE | OUTSIDE_MADE).get(wanted, wanted.removeprefix("docs/"))
        if there.endswith(".md") and there in files.src_uris:
            return f"[{text}]({posixpath.relpath(there, posixpath.dirname(here) or '.')}{hash}{anchor})"
        return text if (ROOT / wanted).exists() else link[0]

    return _APART.sub(r"] \\[", _LINK.sub(on_site, markdown))
