"""In: executed copies of the notebooks of examples/, docs/tutorials/*.ipynb. Out: Markdown pages with their outputs.

    python docs/notebooks.py          executes the notebooks of examples/ and writes the copies (a few minutes)

The notebooks of examples/ are kept without outputs; the copies hold what they printed when they were last executed.
A hook of MkDocs turns the copies into pages. `tests/test_examples.py` compares both with what is there now.
"""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
COPIES = ROOT / "docs" / "tutorials"

# A progress bar writes over itself: what stands at the end of each line is what was seen.
_OVERWRITTEN = re.compile(r"[^\n]*\r(?!\n)")
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# What a machine says of itself, in lines of their own and at the end of others: its speed on that day, what it lacks.
_SPEED = re.compile(r"  [\d,]+ tokens/s .*$| \([\d.]+ min\)", re.MULTILINE)
_ASIDE = re.compile(
    r"(warning|autonotebook|kernels-community|\bit/s\b|s/it\b|Loading weights|huggingface_hub|/tmp/|\d%\|)",
    re.IGNORECASE,
)


def source(cell: dict[str, Any]) -> str:
    """A cell's text, which a notebook holds as a string or as lines."""
    return "".join(cell["source"])


def outputs(cell: dict[str, Any]) -> list[dict[str, str]]:
    """What a cell showed: ``{"text": ...}`` or ``{"html": ...}``, streams that follow each other put together."""
    shown: list[dict[str, str]] = []
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        if "text/html" in data:
            shown.append({"html": "".join(data["text/html"])})
            continue
        text = "".join(output.get("text", data.get("text/plain", "")))
        text = _SPEED.sub("", _CONTROL.sub("", _OVERWRITTEN.sub("", text)))
        if output.get("name") == "stderr":
            text = "".join(line for line in text.splitlines(keepends=True) if not _ASIDE.search(line))
        if not text.strip():
            continue
        if shown and "text" in shown[-1]:
            shown[-1]["text"] += text if shown[-1]["text"].endswith("\n") else f"\n{text}"
        else:
            shown.append({"text": text})
    return shown


def copy_of(notebook: dict[str, Any]) -> dict[str, Any]:
    """An executed notebook as it is kept: cells and what they showed, no more; a notebook still."""
    cells = []
    for number, cell in enumerate(notebook["cells"]):
        kept: dict[str, Any] = {"cell_type": cell["cell_type"], "id": str(number), "metadata": {}}
        kept["source"] = source(cell)
        if cell["cell_type"] == "code":
            kept |= {"execution_count": None, "outputs": [_output(shown) for shown in outputs(cell)]}
        cells.append(kept)
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}


def _output(shown: dict[str, str]) -> dict[str, Any]:
    if "html" in shown:
        return {"output_type": "display_data", "metadata": {}, "data": {"text/html": shown["html"]}}
    return {"output_type": "stream", "name": "stdout", "text": shown["text"]}


def markdown(copy: dict[str, Any], name: str) -> tuple[str, list[str]]:
    """The page of a copy, and the HTML that belongs in the places of ``<!-- shown N -->``."""
    parts: list[str] = []
    pages: list[str] = []
    for cell in copy["cells"]:
        if cell["cell_type"] == "markdown":
            parts.append(cell["source"])
            if len(parts) == 1:
                parts.append(
                    f"*This page is the notebook `examples/{name}.ipynb`, executed. Open it in Jupyter to change it.*"
                )
            continue
        parts.append(f"```python\n{cell['source']}\n```")
        for shown in outputs(cell):
            if "html" in shown:
                parts.append(f"<!-- shown {len(pages)} -->")
                pages.append(f'<div class="shown">{shown["html"]}</div>')
            else:
                text = html.escape(shown["text"].rstrip("\n"), quote=False)
                parts.append(f"<!-- shown {len(pages)} -->")
                pages.append(f'<pre class="shown" tabindex="0">{text}</pre>')
    return "\n\n".join(parts) + "\n", pages


# --- the hook ---

_PAGES: dict[str, list[str]] = {}


def on_files(files: Any, config: Any) -> Any:
    """Add a page for each copy."""
    from mkdocs.structure.files import File

    for path in sorted(COPIES.glob("*.ipynb")):
        text, pages = markdown(json.loads(path.read_text(encoding="utf-8")), path.stem)
        uri = f"tutorials/{path.stem}.md"
        _PAGES[uri] = pages
        files.append(File.generated(config, uri, content=text))
    return files


def on_page_content(content: str, page: Any, config: Any, files: Any) -> str:
    """Put what cells showed where they stand; it is no Markdown."""
    for number, shown in enumerate(_PAGES.get(page.file.src_uri, [])):
        content = content.replace(f"<!-- shown {number} -->", shown)
    return content


# --- the command ---


def execute(path: Path, folder: Path) -> dict[str, Any]:
    """Execute a notebook in ``folder``; it is what `copy_of` takes."""
    import nbclient
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=1800, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    return dict(notebook)


def main() -> None:
    import os
    import tempfile

    os.environ.pop("VANER_DATA", None)
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    COPIES.mkdir(exist_ok=True)
    for path in sorted(EXAMPLES.glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as folder:
            copy = copy_of(execute(path, Path(folder)))
        text = json.dumps(copy, ensure_ascii=False, indent=1) + "\n"
        (COPIES / path.name).write_text(text, encoding="utf-8")
        print(path.name, len(text), "characters")


if __name__ == "__main__":
    main()
