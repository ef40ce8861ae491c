"""In: the full corpora, a file of abstracts. Out: data/samples/, the same bytes every time.

    python data/make_samples.py --data_root FOLDER --abstracts pubmedqa.jsonl

Whole abstracts, or runs of consecutive sentences, are copied as they are. Train comes from the corpus's train
split; dev and test both come from its dev split, so that what is shipped never touches a real test split.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vaner.cli import guarded
from vaner.corpora.registry import Corpus, read_registry
from vaner.document import Document, Passage
from vaner.errors import VanerError
from vaner.files import replacing
from vaner.formats import write

SEED = 0
ABSTRACTS = 20
MOST_CHARACTERS = 2000
FEWEST_NAMES = 4


def abstracts(data: bytes) -> list[bytes]:
    """The documents of a PubTator file."""
    return [block for block in re.split(rb"\n(?:\r?\n)+", data.strip(b"\r\n")) if block]


def runs(length: int) -> Callable[[bytes], list[bytes]]:
    """A function that cuts an IOB file into runs of ``length`` sentences."""

    def cut(data: bytes) -> list[bytes]:
        sentences = abstracts(data)
        return [b"\n\n".join(sentences[i : i + length]) for i in range(0, len(sentences), length)]

    return cut


def having(labels: Sequence[str], cut: Callable[[bytes], list[bytes]]) -> Callable[[bytes], list[bytes]]:
    """``cut``, without the pieces of an IOB file that have no mention of these labels."""
    starts = [f"\tB-{label}".encode() for label in labels]
    return lambda data: [piece for piece in cut(data) if any(start in piece for start in starts)]


@dataclass(frozen=True)
class Sample:
    """A shipped corpus: where it is drawn from, how that is cut, how many pieces each split gets."""

    name: str
    source: str
    cut: Callable[[bytes], list[bytes]]
    train: int
    held_out: int


SAMPLES = (
    Sample("ncbi-disease-sample", "ncbi-disease-pubtator", abstracts, train=120, held_out=25),
    Sample("bc5cdr-sample", "bc5cdr-pubtator", abstracts, train=120, held_out=25),
    Sample("bc2gm-sample", "bc2gm", runs(1), train=400, held_out=80),
    Sample("linnaeus-sample", "linnaeus", runs(10), train=40, held_out=8),
    Sample("anatem-sample", "anatem", runs(10), train=60, held_out=16),
    # Two types that vaner-smollm2-135m was not taught, and that are rare: only what has one of them.
    Sample(
        "bionlp13cg-sample",
        "bionlp13cg",
        having(["Multi-tissue_structure", "Organism_substance"], runs(3)),
        train=240,
        held_out=48,
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data_root", metavar="FOLDER", help="where the full corpora are; default: $VANER_DATA"
    )
    parser.add_argument(
        "--abstracts", metavar="FILE", required=True, help="lines of JSON with id, title, text"
    )
    parser.add_argument(
        "--output", metavar="FOLDER", default=Path(__file__).parent / "samples", help="default: %(default)s"
    )
    args = parser.parse_args()
    corpora = read_registry()
    for sample in SAMPLES:
        draw(sample, corpora[sample.name], corpora[sample.source], args.data_root, Path(args.output))
    names = mentioned(corpora["bc5cdr-pubtator"], args.data_root)
    seen = known_pmids(corpora.values(), args.data_root)
    count = write(Path(args.output) / "abstracts.pubtator", to_tag(args.abstracts, names, seen), "pubtator")
    size = sum(file.stat().st_size for file in Path(args.output).rglob("*.*"))
    print(f"{count} abstracts to tag; {size:,} bytes in all")


def draw(sample: Sample, shipped: Corpus, source: Corpus, data_root: str | None, output: Path) -> None:
    """Write the three splits of one sample and read them back."""
    drawn = random.Random(f"{SEED} {sample.name}")
    pieces = {split: sound(sample, source, split, data_root) for split in ("train", "dev")}
    held_out = sorted(drawn.sample(range(len(pieces["dev"])), 2 * sample.held_out))
    chosen = {
        "train": [
            pieces["train"][i] for i in sorted(drawn.sample(range(len(pieces["train"])), sample.train))
        ],
        "dev": [pieces["dev"][i] for i in held_out[0::2]],
        "test": [pieces["dev"][i] for i in held_out[1::2]],
    }
    for split, parts in chosen.items():
        path = output / Path(shipped.files[split][0][0]).relative_to("samples")
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(b"\n\n".join(parts) + b"\n\n")
        print(f"{path}: {len(parts)} pieces, {path.stat().st_size:,} bytes")


def sound(sample: Sample, source: Corpus, split: str, data_root: str | None) -> list[bytes]:
    """The pieces of a split without the abstracts that its readers have to repair or skip."""
    (path,) = source.paths(split, data_root)
    pieces = sample.cut(path.read_bytes())
    if source.format != "pubtator":
        return pieces
    ids = [piece.lstrip().split(b"|", 1)[0] for piece in pieces]
    return [
        piece
        for piece, id in zip(pieces, ids, strict=True)
        if ids.count(id) == 1 and offsets_hold(piece.decode("utf-8"))
    ]


def offsets_hold(abstract: str) -> bool:
    """Whether every mention of a PubTator abstract is what its offsets select."""
    title, body, *rest = (line.rstrip("\r") for line in abstract.split("\n"))
    text = title.split("|", 2)[2] + "\n" + body.split("|", 2)[2]
    rows = [row.split("\t") for row in rest]
    return all(text[int(row[1]) : int(row[2])] == row[3] for row in rows if row[1].isdigit())


def mentioned(corpus: Corpus, data_root: str | None) -> set[str]:
    """The single words of at least five letters that are mentions in a corpus's train split."""
    spans = (span for document in corpus.documents("train", data_root) for span in document.spans)
    return {span.text.lower() for span in spans if re.fullmatch(r"\w{5,}", span.text)}


def known_pmids(corpora: list[Corpus], data_root: str | None) -> set[str]:
    """The PubMed ids of every corpus that is there, so that what is tagged was in none of them."""
    return {
        document.metadata["pmid"]
        for corpus in corpora
        if corpus.pmid and not corpus.shipped
        for split in corpus.present(data_root)
        for document in corpus.documents(split, data_root, on_error="skip")
        if "pmid" in document.metadata
    }


def to_tag(path: str, names: set[str], seen: set[str]) -> list[Document]:
    """Abstracts without annotation, short, new, and naming several diseases or chemicals."""
    with open(path, encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    fit = [
        record
        for record in records
        if record["id"] not in seen
        and len(record["text"]) <= MOST_CHARACTERS
        and len(names.intersection(re.findall(r"\w+", record["text"].lower()))) >= FEWEST_NAMES
    ]
    if len(fit) < ABSTRACTS:
        raise VanerError(
            f"{path}: only {len(fit)} abstracts fit where {ABSTRACTS} are wanted; give a longer file"
        )
    chosen = sorted(random.Random(SEED).sample(fit, ABSTRACTS), key=lambda record: int(record["id"]))
    documents = []
    for record in chosen:
        title, body = (" ".join(record[key].split()) for key in ("title", "text"))
        text = f"{title}\n{body}"
        passages = [Passage(0, len(title), "title"), Passage(len(title) + 1, len(text), "abstract")]
        documents.append(Document(record["id"], text, passages=passages))
    return documents


if __name__ == "__main__":
    sys.exit(guarded(main))
