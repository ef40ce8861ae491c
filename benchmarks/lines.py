"""In: one line of text, ever longer. Out: what each step of reading costs as the line grows.

    python benchmarks/lines.py --json lines.json

Seconds are the processor's, the least of some rounds. One row for each step and kind of line, with the exponent e of a
fit  seconds ~ length^e  (a straight line through the logarithms) over lengths that double: 1 is linear, 2 means that a
line twice as long takes four times as long. Lines are

    prose       sentences of an abstract, without a line break
    brackets    "group I (n = I) drug I mg (4I);" over and over: many short forms that may be defined
    defined     "emergency room (ER) ": a definition, over and over
    no stop     prose without a stop or bracket: one sentence
    no space    prose without white space: one word to whoever looks for spaces
    one name    "a b a b ...": names that overlap all along the line

That the steps are right is checked first: on short lines they say what slow and plain code says (`plain_definitions`,
`benchmarks/reference.py`). Keys of the JSON file:

    exponent_STEP   the largest of its lines
    rows, lengths, compared, machine
"""

from __future__ import annotations

import argparse
import gc
import json
import re
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import reference
from tabulate import tabulate

from vaner.cli import guarded
from vaner.document import Document
from vaner.errors import VanerError
from vaner.files import replacing_text, shipped
from vaner.knowledge import DictionaryTagger, KnowledgeBase, Rules, build
from vaner.knowledge.normalise import normal_words
from vaner.progress import progress
from vaner.report import Report
from vaner.text import segment
from vaner.text.abbreviations import _BRACKETS, _LONGEST_LONG_FORM, _is_short_form, _pair, find
from vaner.text.units import Text
from vaner.vocabularies.terms import Term

PROSE = (
    "Famotidine-associated delirium was seen in 12 of 37 patients (32 %) with acute renal failure, and in none of "
    "those who took 5.2 mg/kg of cisplatin; TNF-alpha and IL-2 rose (p < 0.05). E. coli was found by the polymerase "
    "chain reaction (PCR) in two. "
)
LINES = {
    "prose": PROSE,
    "brackets": "group I (n = I) drug I mg (4I);",
    "defined": "emergency room (ER) ",
    "no stop": re.sub(r"[.()]", "", PROSE),
    "no space": re.sub(r"\s", "", PROSE),
    "one name": "a b ",
}
NAMES = [
    "a b",
    "b a",
    "a b a",
    "b a b a b",
    "acute renal failure",
    "renal failure",
    "emergency room",
    "IL-2",
    "drug I",
]


def plain_definitions(text: str) -> list[tuple[str, str, int, int]]:
    """What `vaner.text.abbreviations.find` should say, by looking at the whole sentence before each bracket."""
    found = []
    for match in _BRACKETS.finditer(text):
        group = 1 if match[1] is not None else 2
        inside = match[group]
        start = match.start(group) + len(inside) - len(inside.lstrip())
        inside = inside.strip()
        head = re.split(r"[;,] ", inside, maxsplit=1)[0]
        begin = max(start for start, _ in segment.sentences(text) if start <= match.start())
        # Words that begin too far away are not looked at.
        reach = match.start() - _LONGEST_LONG_FORM
        begin = min(
            (
                begin + w.start()
                for w in re.finditer(r"\S+", text[begin : match.start()])
                if begin + w.start() >= reach
            ),
            default=match.start(),
        )
        before = text[begin : match.start()].rstrip()
        if _is_short_form(head):
            pair = _pair(head, start, before, begin)
        else:
            words = list(re.finditer(r"\S+", before))
            if not words or not _is_short_form(words[-1][0]):
                continue
            pair = _pair(words[-1][0], begin + words[-1].start(), inside, start)
        if pair:
            found.append(tuple(pair))
    return found


def index(folder: Path) -> KnowledgeBase:
    """An index of NAMES."""
    terms = [Term(str(i), name, ("Disease",), True) for i, name in enumerate(NAMES)]
    return build(folder / "lines.idx", [({"name": "lines"}, terms)], Rules.load(shipped("kb")), Report())


def check(kb: KnowledgeBase) -> int:
    """How many answers were compared; VanerError where one is another than that of slow and plain code."""
    compared = 0
    names = [(kb.text(n), ("Disease",), kb.name(n).capitals) for n in kb.name_numbers("Disease").tolist()]
    plain = reference.Reference(names)
    for kind, piece in LINES.items():
        for length in (1, 3, 400, 2_500):
            text = (piece * (1 + length // len(piece)))[:length]
            pairs = (
                ("definitions", [tuple(one) for one in find(text)], plain_definitions(text)),
                (
                    "matches",
                    [(m.start, m.end, m.type) for m in kb.match([text])[0]],
                    plain.match(text),
                ),
                (
                    "words",
                    [text[a:b] for a, b in segment.words(text)],
                    re.findall(r"[^\W_]+|[^\s]", text),
                ),
                (
                    "sentences",
                    "".join(text[a:b] for a, b in segment.sentences(text)).split(),
                    "".join(text[a:b] for a, b in segment.blocks(text)).split(),
                )
                if kind != "prose"
                else ("sentences", 0, 0),
            )
            for what, found, expected in pairs:
                if found != expected:
                    raise VanerError(f"{what} of {length} characters of {kind} are not what slow code says")
                compared += 1
    return compared


def exponent(lengths: Iterable[int], seconds: Iterable[float]) -> float:
    """e of the least-squares fit log seconds = e * log length + c."""
    return float(np.polyfit(np.log(list(lengths)), np.log(list(seconds)), 1)[0])


def steps(kb: KnowledgeBase) -> dict[str, Callable[[str], object]]:
    """What is timed, by its name."""
    import shapes

    from vaner.inputs.features import Tokenisation

    tokenizer, dictionary = shapes.tokenizer(), DictionaryTagger(kb)

    def tokens(text: str) -> object:
        one = Tokenisation(tokenizer, 512)
        return one.words([*(text[a:b] for a, b in segment.words(text)), text.replace(" ", "")])

    return {
        "abbreviations": find,
        "sentences": segment.sentences,
        "words": segment.words,
        "units": lambda text: Text.of(Document("line", text)).units(200),
        "tokens": tokens,
        "normal": normal_words,
        "matches": lambda text: kb.match([text]),
        "dictionary": dictionary,
    }


def measure(
    work: dict[str, Callable[[str], object]], lengths: list[int], rounds: int, lines: dict[str, str]
) -> list[dict[str, object]]:
    """Seconds of every step on every line, the best of some rounds, and the exponent."""
    rows: list[dict[str, object]] = []
    pairs = [(step, kind) for step in work for kind in lines]
    for step, kind in progress(pairs, "steps"):
        piece = lines[kind]
        seconds = []
        for length in lengths:
            text = (piece * (1 + length // len(piece)))[:length]
            seconds.append(min(_seconds(work[step], text) for _ in range(rounds)))
        rows.append({"step": step, "line": kind, "seconds": seconds, "exponent": exponent(lengths, seconds)})
    return rows


def _seconds(work: Callable[[str], object], text: str) -> float:
    """Of the processor, without the collection of garbage, whose time depends on all objects there are."""
    gc.collect()
    gc.disable()
    began = time.process_time()
    kept = work(text)
    took = time.process_time() - began
    gc.enable()
    del kept
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--longest", type=int, default=1_024_000, help="characters; default: %(default)s")
    parser.add_argument(
        "--lengths", type=int, default=4, help="how many, each half of the next; default: %(default)s"
    )
    parser.add_argument("--rounds", type=int, default=3, help="the best counts; default: %(default)s")
    parser.add_argument("--steps", nargs="+", metavar="STEP", help="default: all")
    parser.add_argument("--json", metavar="FILE", help="write every number")
    args = parser.parse_args()
    if args.lengths < 2 or args.rounds < 1 or args.longest < 1_000 << args.lengths:
        raise VanerError(
            f"give 2 --lengths or more, 1 of --rounds or more, and --longest of {1_000 << args.lengths} or more"
        )
    lengths = [args.longest >> i for i in reversed(range(args.lengths))]
    with tempfile.TemporaryDirectory() as folder:
        kb = index(Path(folder))
        compared = check(kb)
        work = steps(kb)
        if unknown := set(args.steps or ()) - set(work):
            raise VanerError(f"--steps: no {', '.join(unknown)}; choose from {', '.join(work)}")
        rows = measure({step: work[step] for step in args.steps or work}, lengths, args.rounds, LINES)
    table = [
        [row["step"], row["line"], *(f"{s:.3f}" for s in row["seconds"]), f"{row['exponent']:.2f}"]  # type: ignore[attr-defined]
        for row in rows
    ]
    print(tabulate(table, ["step", "line", *(f"{n:,}" for n in lengths), "exponent"], tablefmt="github"))
    print(f"\n{compared} answers on short lines are those of slow and plain code")
    found: dict[str, object] = {}
    for row in rows:
        key = f"exponent_{row['step']}"
        found[key] = max(float(found.get(key, 0.0)), float(row["exponent"]))  # type: ignore[arg-type]
    print("\n".join(f"{key}: {value:.2f}" for key, value in found.items()))
    if args.json:
        import machine

        found |= {"rows": rows, "lengths": lengths, "compared": compared, "machine": machine.describe("cpu")}
        with replacing_text(args.json) as file:
            json.dump(found, file, indent=2)
            file.write("\n")


if __name__ == "__main__":
    raise SystemExit(guarded(main))
