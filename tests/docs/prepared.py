"""In: a folder. Out: the files in it that the pages of the documentation name, a few documents each.

The checkout's own folders and programs are there as links, so that commands run as they stand in a checkout.
"""

from __future__ import annotations

import csv
import gzip
import os
from itertools import islice
from pathlib import Path

from tests.conftest import ROOT, SAMPLES

NAMES = """\
MY:1\tFamotidine\tChemical\tPepcid\tYM-11170
MY:2\tRanitidine\tChemical\tZantac
MY:3\tdelirium\tDisease\tacute confusional state
MY:4\tcancer\tDisease\tcancers
MY:5\tbreast cancer\tDisease\tBreast Neoplasms
MY:6\tTNF\tGene\tTNF-alpha
MY:7\tmouse\tSpecies\tmice
"""


def prepare(folder: Path) -> None:
    """Write the files; a folder of corpora becomes CORPORA where VANER_DATA names one."""
    from vaner.formats import read, write
    from vaner.vocabularies.sources import resolve

    for name in ("data", "configs", "kb", "examples", "benchmarks", "train.py", "predict.py"):
        (folder / name).symlink_to(ROOT / name)
    if corpora := os.environ.get("VANER_DATA"):
        (folder / "CORPORA").symlink_to(corpora)
    documents = list(islice(read(SAMPLES / "abstracts.pubtator"), 3))
    for name in ("abstracts.pubtator", "abstracts.jsonl", "abstracts.bioc.xml", "pubmed.jsonl.gz"):
        write(folder / name, documents, "bioc" if ".bioc" in name else name.split(".")[1])
    (folder / "abstracts.txt").write_text(
        "\n".join(d.text.replace("\n", " ") for d in documents) + "\n", "utf-8"
    )
    (folder / "raw").mkdir()
    write(folder / "raw" / "texts.jsonl", documents, "jsonl")
    (folder / "pubmed").mkdir()
    with gzip.open(folder / "pubmed" / "one.jsonl.gz", "wt", encoding="utf-8") as out:
        out.write((folder / "abstracts.jsonl").read_text(encoding="utf-8"))
    _tables(folder, documents)

    gold = list(islice(read(SAMPLES / "bc5cdr" / "dev.pubtator"), 3))
    write(folder / "gold.pubtator", gold, "pubtator")
    # What a tagger might have said: one mention in ten is missing.
    tagged = [
        document.with_spans(span for n, span in enumerate(document.spans) if n % 10) for document in gold
    ]
    write(folder / "tagged.pubtator", tagged, "pubtator")
    write(folder / "tagged.jsonl", tagged, "jsonl")

    (folder / "names.tsv").write_text(NAMES, "utf-8")
    (folder / "mine.tsv").write_text(NAMES, "utf-8")
    from vaner.files import shipped
    from vaner.knowledge import Rules, build
    from vaner.report import Report

    report = Report()
    source = resolve(str(folder / "names.tsv"), {})
    for name in ("names.kb", "names.idx"):
        vocabularies = [(source.record(None), source.terms(None, report))]
        build(folder / name, vocabularies, Rules.load(shipped("kb")), report)


def _tables(folder: Path, documents: list) -> None:
    import pyarrow
    import pyarrow.parquet

    rows = [
        {"pmid": document.id, "title": document.text.split("\n")[0], "abstract": document.text}
        for document in documents
    ]
    for name in ("abstracts.parquet", "papers.parquet"):
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), folder / name)
    with (folder / "papers.csv").open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, ["pmid", "title", "abstract"])
        writer.writeheader()
        writer.writerows(rows)
