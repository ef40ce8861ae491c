"""In: the paths, folders and patterns that were named. Out: the sources they stand for, each with its output file.

named                   found                       a source's name     its output
notes/a.txt             notes/a.txt                 a.txt               OUTPUT/a.jsonl
pubmed                  pubmed/1/x.xml.gz           1/x.xml.gz          OUTPUT/1/x.jsonl
pubmed/*/*.xml          pubmed/1/x.xml              1/x.xml             OUTPUT/1/x.jsonl
corpus (brat)           corpus                      corpus              OUTPUT/corpus.jsonl
-                       standard input              stdin               OUTPUT/stdin.jsonl
hf:owner/name           a dataset of the hub        owner--name         OUTPUT/owner--name.jsonl
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vaner.errors import VanerError
from vaner.files import refuse_pipe
from vaner.formats import is_elsewhere
from vaner.formats.brat import ENDINGS as STANDOFF

#: The ending of a file in each format that can be written; of another format, its name.
ENDINGS = {"bioc": "xml", "brat": "zip", "conll": "conll", "html": "html", "jsonl": "jsonl"}
#: The work folder of a run in its output folder, and the files that stand beside the outputs.
WORK = ".vaner"
REJECTED = "rejected.jsonl"
SUMMARY = "summary.json"
DELETED = "deleted.jsonl"
OF_RUN = (REJECTED, SUMMARY, DELETED)
#: The folder in it with documents for people to correct, and the file in that which says so (`vaner.annotation.queue`).
QUEUE, QUEUE_RECORD = "queue", "queue.json"
#: Endings of files that are compressed already.
_COMPRESSED = ("parquet", "zip")
_LONG_ENDINGS = (".bioc.xml", ".bioc.json", ".pubtator.txt")
#: What an input ends in, as opposed to a dot that belongs to its name (``v1.2``).
_ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,11}$")
_MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Source:
    """Something to read that becomes one output file.

    Attributes:
        path: what `vaner.formats.read` is given.
        name: its name in messages, in the manifest and, but for the ending, in the output folder; unique in a run.
        output: the file that it becomes.
    """

    path: str
    name: str
    output: Path

    def size(self) -> int | None:
        """Bytes on disk; None where nothing can be said (standard input, folders, names of data sets)."""
        return os.path.getsize(self.path) if os.path.isfile(self.path) else None


def is_pattern(word: str) -> bool:
    """Whether a word is a glob pattern and not the name of something."""
    return bool(_MAGIC.search(word)) and not os.path.exists(word)


def ending(output_format: str) -> str:
    """The ending, without dot, of files in a format; its options may follow, as in ``bioc:syntax=json``."""
    name, _, options = output_format.partition(":")
    return "json" if name == "bioc" and "syntax=json" in options else ENDINGS.get(name, name)


def plan(
    words: Sequence[str],
    output: str | os.PathLike,
    ending: str,
    *,
    gzip: str = "none",
    verbatim: bool = False,
) -> list[Source]:
    """The sources that words name, in the order named, those of a folder by name.

    Hidden files, what lies in the output folder, what another run says of itself (``rejected.jsonl``,
    ``summary.json``) and its queue for people are left out of folders and patterns.

    Args:
        words: files, folders, patterns (``**`` for any depth), ``-``.
        output: the folder of the output files.
        ending: of output files, without dot.
        gzip: which of them are compressed: ``none``, ``keep`` (those of inputs that are) or ``all``.
        verbatim: each word is one source, whatever it names (a data set's id).

    Raises:
        VanerError: a word that names nothing, two sources of one output, an output that is an input.
    """
    root = Path(output)
    found: dict[str, tuple[str, str]] = {}
    for word in words:
        before = len(found)
        for path, name in [(word, _flat(word))] if verbatim else _find(word, root):
            here = not (verbatim or is_elsewhere(path))
            found.setdefault(os.path.realpath(path) if here else path, (path, name))
        if len(found) == before and not verbatim and not any(True for _ in _find(word, root)):
            raise VanerError(f"{word}: holds no file to read; check the path (hidden files are left out)")
    sources = [Source(path, name, root / _output(name, ending, gzip)) for path, name in found.values()]
    _check(sources)
    return sources


def _flat(word: str) -> str:
    """A data set's id, or its folder's name, as a name of one part."""
    return (
        word.removeprefix("hf:").strip("/").replace("/", "--")
        if not os.path.exists(word)
        else Path(word).resolve().name
    )


def _find(word: str, output: Path) -> Iterator[tuple[str, str]]:
    """Path and name of each source that a word names."""
    if word == "-":
        yield "-", "stdin"
    elif is_elsewhere(word):
        yield word, _flat(word)
    elif is_pattern(word):
        fixed = Path(_fixed(word))
        matches = sorted(glob.glob(word, recursive=True))
        if not matches:
            raise VanerError(f"{word}: matches no file; check the pattern")
        # What lies in a folder that "**" matched, it matched too.
        deep = os.path.basename(word) == "**"
        for match in matches:
            if _within_run(Path(match), fixed):
                continue
            if os.path.isdir(match) and not (deep and not _is_standoff(match)):
                yield from _walk(Path(match), fixed, output)
            elif os.path.isfile(match):
                yield match, Path(match).relative_to(fixed).as_posix()
    elif os.path.isdir(word):
        yield from _walk(Path(word), Path(word), output)
    elif os.path.exists(word):
        refuse_pipe(word)
        yield word, Path(word).name
    else:
        raise VanerError(f"{word or 'an empty name'}: no such file; check the path")


def _fixed(pattern: str) -> str:
    """The folders of a pattern that hold no magic."""
    parts = Path(pattern).parts
    first = next(i for i, part in enumerate(parts) if _MAGIC.search(part))
    return str(Path(*parts[:first])) if first else "."


def _walk(folder: Path, root: Path, output: Path, seen: set[str] | None = None) -> Iterator[tuple[str, str]]:
    """The sources below a folder, by name: files, and folders of brat as one source each.

    A folder that was ``seen`` is not read again by another link: links may go round in a circle.
    """
    seen = set() if seen is None else seen
    if (real := os.path.realpath(folder)) in seen:
        return
    seen.add(real)
    if _is_standoff(folder):
        name = folder.relative_to(root).as_posix()
        yield str(folder), folder.resolve().name if name == "." else name
        return
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or _of_run(entry):
            continue
        if output.exists() and entry.exists() and entry.samefile(output):
            continue
        if entry.is_dir():
            yield from _walk(entry, root, output, seen)
        elif entry.is_file():
            yield str(entry), entry.relative_to(root).as_posix()


def _is_standoff(folder: str | os.PathLike) -> bool:
    return any(entry.suffix in STANDOFF for entry in Path(folder).iterdir())


def _of_run(path: Path) -> bool:
    """Whether a file or folder is what a run says of itself, beside the documents that it tagged, or its queue."""
    own = path.name in OF_RUN or (path.name == QUEUE and (path / QUEUE_RECORD).is_file())
    return own and (path.parent / WORK).is_dir()


def _within_run(path: Path, root: Path) -> bool:
    """Whether what lies below a folder is such, or lies in such a queue; a queue that was named is read."""
    return any(_of_run(one) for one in (path, *path.parents) if root in one.parents)


def _output(name: str, ending: str, gzip: str) -> str:
    zipped = name.endswith(".gz")
    bare = name.removesuffix(".gz")
    for long in _LONG_ENDINGS:
        if bare.lower().endswith(long):
            bare = bare[: -len(long)]
            break
    else:
        bare = _ENDING.sub("", bare) or bare
    zips = ending not in _COMPRESSED and (gzip == "all" or (gzip == "keep" and zipped))
    return f"{bare}.{ending}" + (".gz" if zips else "")


def _check(sources: Iterable[Source]) -> None:
    outputs: dict[Path, Source] = {}
    inputs = {os.path.realpath(one.path): one for one in sources if one.path != "-"}
    for one in sources:
        other = outputs.setdefault(one.output, one)
        if other is not one:
            apart = os.path.dirname(other.name) == os.path.dirname(one.name) and other.name != one.name
            raise VanerError(
                f"{other.path} and {one.path} would both become {one.output}; rename one, "
                + ("or write them to two folders" if apart else "or name the folder that holds both")
            )
        if (clash := inputs.get(os.path.realpath(one.output))) is not None:
            raise VanerError(f"{one.output}: is the input {clash.path}; name another folder to write to")
