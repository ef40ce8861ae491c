"""In: nothing, or a size. Out: how fast files of that size are read, and in how much memory.

    python benchmarks/reading.py --json reading.json

Files of ``--megabytes`` each are generated, read to their ends in a process of their own, and deleted. Each kind has
what makes its reader hold more than one document: long articles, PMIDs that come again, deletions at the end. Texts are
random words of a few hundred kinds, so a compressed file is smaller than a real one and no faster to parse.

That each reader reads what was written is checked first, on a small file: every document, by its id and its text, and
the counts of what was deleted and replaced. The large file must then give as many documents and characters as went into
it.

Memory is the peak of resident memory of the reading process, with Python and all it has imported. Seconds are those of
reading alone; MB are those of the file, unpacked. Keys of the JSON file:

    peak_KIND    MB
    rows, machine
"""

from __future__ import annotations

import argparse
import gzip
import json
import multiprocessing
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tabulate import tabulate

from vaner.cli import guarded
from vaner.errors import VanerError
from vaner.files import replacing_text
from vaner.formats import detect, read
from vaner.report import Report

COLUMNS = ("kind", "MB", "documents", "seconds", "MB/s", "documents/s", "peak MB")
_WORDS = (
    "the of in and with was patients cells naloxone clonidine p53 TNF-\u03b1 expression disease treatment rats were "
    "significantly increased activity dose mg/kg group compared control study receptor binding protein gene kinase"
).split()

Written = tuple[str, str]
"""Id and text of a document that reading is to give."""


class Words:
    """Sentences of random words, the same for the same seed."""

    def __init__(self, seed: int = 0) -> None:
        self.random = random.Random(seed)

    def sentences(self, words: int) -> str:
        return " ".join(self.random.choices(_WORDS, k=words)) + "."


def pubmed(words: Words) -> Iterator[tuple[str, Written | None]]:
    """A set of PubMed; every 97th record is a second version of the one before, and the last ones are deleted."""
    yield "<?xml version='1.0' encoding='utf-8'?>\n<PubmedArticleSet>\n", None
    n = 0
    while True:
        n += 1
        second = n % 97 == 0
        pmid = str(n - second)
        title, one, two = words.sentences(12), words.sentences(60), words.sentences(120)
        authors = "".join(
            f"<Author><LastName>{words.random.choice(_WORDS)}</LastName><Initials>A</Initials></Author>"
            for _ in range(6)
        )
        text = f"{title}\nBACKGROUND: {one}\nMETHODS: {two}"
        # The version before is replaced, and counted there: what stands for the two is this one.
        yield (
            f'<PubmedArticle><MedlineCitation Status="MEDLINE"><PMID Version="{1 + second}">{pmid}</PMID><Article>\n'
            f"<ArticleTitle>{title}</ArticleTitle><Abstract>\n"
            f'<AbstractText Label="BACKGROUND" NlmCategory="BACKGROUND">{one}</AbstractText>\n'
            f'<AbstractText Label="METHODS" NlmCategory="METHODS">{two}</AbstractText></Abstract>\n'
            f"<AuthorList>{authors}</AuthorList></Article></MedlineCitation></PubmedArticle>\n",
            (pmid, text),
        )


def bioc(words: Words) -> Iterator[tuple[str, Written | None]]:
    """A collection of abstracts with a mention in each sentence."""
    yield "<?xml version='1.0'?>\n<collection><source>s</source><date></date><key></key>\n", None
    n = 0
    while True:
        n += 1
        title, abstract = words.sentences(12), words.sentences(180)
        begin = len(title) + 1
        annotations = "".join(
            f'<annotation id="{k}"><infon key="type">X</infon><location offset="{begin + 20 * k}" length="5"/>'
            f"<text>{abstract[20 * k : 20 * k + 5]}</text></annotation>"
            for k in range(12)
        )
        yield (
            f'<document><id>{n}</id><passage><infon key="type">title</infon><offset>0</offset><text>{title}</text>'
            f'</passage><passage><infon key="type">abstract</infon><offset>{begin}</offset><text>{abstract}</text>'
            f"{annotations}</passage></document>\n",
            (str(n), f"{title}\n{abstract}"),
        )


def jats(words: Words) -> Iterator[tuple[str, Written | None]]:
    """A collection of articles of 40 paragraphs with references, figures and a table each."""
    yield "<?xml version='1.0'?>\n<pmc-articleset>\n", None
    n = 0
    while True:
        n += 1
        title, abstract = words.sentences(12), words.sentences(180)
        sections, texts = [], [title, abstract]
        for s in range(5):
            heading = words.sentences(3)
            texts.append(heading)
            paragraphs = []
            for _ in range(8):
                one, two = words.sentences(40), words.sentences(60)
                paragraphs.append(
                    f'<p>{one} <italic>E. coli</italic><sup><xref ref-type="bibr" rid="B1">1</xref></sup> {two}\n</p>'
                )
                texts.append(f"{one} E. coli {two}")
            figure = f"<fig><label>F{s}</label><caption><p>{words.sentences(30)}</p></caption></fig>"
            sections.append(f"<sec><title>{heading}</title>{''.join(paragraphs)}{figure}</sec>\n")
        row = f"<tr>{'<td>1.5</td>' * 8}</tr>"
        references = "".join(
            f"<ref><label>{k}</label><mixed-citation>{words.sentences(20)}</mixed-citation></ref>\n"
            for k in range(30)
        )
        yield (
            f'<article><front><article-meta><article-id pub-id-type="pmc">{n}</article-id><title-group>'
            f"<article-title>{title}</article-title></title-group><abstract><p>{abstract}</p></abstract></article-meta>"
            f"</front><body>{''.join(sections)}<sec><table-wrap><table>{row * 20}</table></table-wrap></sec></body>"
            f"<back><ref-list>{references}</ref-list></back></article>\n",
            (f"PMC{n}", "\n".join(texts)),
        )


KINDS = {
    # kind -> format, ending, what makes it, what ends the file
    "PubMed": ("pubmed", ".xml", pubmed, "</PubmedArticleSet>\n"),
    "PubMed .gz": ("pubmed", ".xml.gz", pubmed, "</PubmedArticleSet>\n"),
    "BioC XML": ("bioc", ".xml", bioc, "</collection>\n"),
    "JATS": ("jats", ".xml", jats, "</pmc-articleset>\n"),
}


def generate(path: Path, kind: str, size: int, keep: Callable[[str], Any]) -> tuple[int, dict[str, Any], int]:
    """Write a file of about ``size`` bytes.

    Args:
        keep: what is remembered of a text: all of it, or its length.

    Returns:
        Its bytes, unpacked; of the documents that it holds, id -> what was remembered; how many records were replaced.
    """
    format, _, make, end = KINDS[kind]
    expected: dict[str, Any] = {}
    written = replaced = 0
    opened = gzip.open(path, "wb", 1) if path.suffix == ".gz" else open(path, "wb")
    with opened as file:
        for piece, document in make(Words()):
            if document is not None:
                id, text = document
                replaced += id in expected
                expected[id] = keep(text)
            written += file.write(piece.encode())
            if written >= size:
                break
        if format == "pubmed":
            gone = list(expected)[:: max(1, len(expected) // 3)]
            for id in gone:
                del expected[id]
            pmids = "".join(f'<PMID Version="1">{id}</PMID>\n' for id in (*gone, "999999999"))
            written += file.write(f"<DeleteCitation>\n{pmids}</DeleteCitation>\n".encode())
        written += file.write(end.encode())
    return written, expected, replaced


def check(folder: Path, kind: str) -> None:
    """Raise VanerError unless a small file is read as it was written."""
    format, ending, _, _ = KINDS[kind]
    path = folder / f"small{ending}"
    _, expected, replaced = generate(path, kind, 400_000, str)
    report = Report()
    if detect(path) != format:
        raise VanerError(f"{kind}: is taken for {detect(path)}; nothing is measured")
    found = {document.id: document.text for document in read(path, report=report)}
    if found != expected:
        wrong = sorted(id for id in found.keys() | expected.keys() if found.get(id) != expected.get(id))
        raise VanerError(f"{kind}: document {wrong[0]} is not read as it was written; nothing is measured")
    counted = report.counts["record replaced by a later one of its PMID"]
    if counted > replaced or format == "pubmed" and not report.deleted:
        raise VanerError(
            f"{kind}: {counted} records said to be replaced, {replaced} were; nothing is measured"
        )


def measure(path: str, format: str, sender: Any) -> None:
    """Read a file to its end; send documents, characters, seconds and peak MB."""
    begin = time.perf_counter()
    count = characters = 0
    for document in read(path, format, report=Report()):
        count += 1
        characters += len(document.text)
    seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sender.send((count, characters, seconds, peak))


def apart(path: Path, format: str) -> tuple[int, int, float, float]:
    """:func:`measure` in a fresh process, whose peak memory is its own."""
    receiver, sender = multiprocessing.get_context("spawn").Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=measure, args=(str(path), format, sender))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        raise VanerError(f"{path}: the reading process ended with status {process.exitcode}") from None
    finally:
        process.join()


def run(folder: Path, kind: str, size: int) -> list[object]:
    """One row of the table."""
    format, ending, _, _ = KINDS[kind]
    path = folder / f"large{ending}"
    written, expected, _ = generate(path, kind, size, len)
    held = len(expected), sum(expected.values())
    count, characters, seconds, peak = apart(path, format)
    path.unlink()
    if (count, characters) != held:
        raise VanerError(f"{kind}: {count} documents and {characters} characters were read of {held}")
    mb = written / 1e6
    return [
        kind,
        round(mb),
        count,
        round(seconds, 1),
        round(mb / seconds),
        round(count / seconds),
        round(peak),
    ]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=float, default=500, help="size of each file, unpacked")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--folder", help="where the files are written (default: that of temporary files)")
    parser.add_argument("--json", help="write every number to this file")
    return parser.parse_args()


def main() -> None:
    args = _arguments()
    rows = []
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        for kind in args.kinds:
            check(Path(folder), kind)
        for kind in args.kinds:
            rows.append(run(Path(folder), kind, int(args.megabytes * 1e6)))
    print(tabulate(rows, headers=COLUMNS))
    if args.json:
        from machine import describe, versions

        page = {f"peak_{row[0]}": row[-1] for row in rows}
        page |= {"rows": rows, "columns": COLUMNS, "machine": describe("cpu"), "versions": versions()}
        with replacing_text(args.json) as file:
            json.dump(page, file, indent=1)


if __name__ == "__main__":
    sys.exit(guarded(main))
