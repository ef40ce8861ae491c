"""In: a number of names. Out: how fast an index of them is built, opened and matched, compared with two other matchers.

    python benchmarks/knowledge.py --names 10000000 --json knowledge.json

Names in the form of UMLS (MRCONSO.RRF, MRSTY.RRF) are generated, compiled and matched against generated text.
Before anything is timed, an index of the first 20,000 of them must find exactly what a slow reference finds.
Every stage is a process of its own, so that its peak memory is its own. Keys of the JSON file:

    build_s, build_peak_mb   seconds and peak resident memory of reading the RRF files and writing the index
    index_mb                 size of the index
    open_s                   opening it in a fresh process, its pages dropped from the cache before
    match_mb_per_s           megabytes (10**6 bytes of UTF-8) of text per second on one core
    resident_mb              most memory resident while matching, without the pages of the mapped index
    others                   the same for ahocorasick_rs and pyahocorasick, which get the normalised names and
                             text; those that need more than --limit_mb of memory say so
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

CHECKED_NAMES = 20_000
CHECKED_TEXT = 60_000
SEMANTIC_TYPES = ["T047", "T191", "T109", "T121", "T116", "T028", "T007", "T204", "T023", "T025"]

_SYLLABLES = (
    "a al an ar bi bra car ceph chol con cor cyt da der dex do dys e en epi er fi gen glu ha hem hy in ino ke kin "
    "lac leu li lo ma me mi mo my na ne neph ni o oc ol os pa per phen phos pla po pro quin ra re rhi ro sal scle "
    "se si so ste sul ta te ther thi ti to tri tu u va ver vi xan ze"
).split()
_ENDINGS = "itis oma osis emia pathy ine ol ate ase in gen plasia trophy syndrome um us ide one ene cyte al ic".split()
_FILLER = (
    "the of and in to with was were for that by as is on from patients at or after we this an be which are treated "
    "during study results showed significantly increased compared between group effect clinical observed levels "
    "dose treatment response associated risk expression cells".split()
)


def vocabulary(seed: int, words: int) -> list[str]:
    """Distinct invented words, the commonest first."""
    draw = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < words:
        body = "".join(draw.choice(_SYLLABLES) for _ in range(draw.randint(1, 4)))
        found[body + draw.choice(_ENDINGS)] = None
    return list(found)


class Namer:
    """Draws names of one to seven words, common words often and rare words rarely, as in UMLS."""

    def __init__(self, seed: int, names: int) -> None:
        self._words = vocabulary(seed, max(5_000, min(900_000, names // 10)))
        self._draw = random.Random(seed + 1)

    def word(self) -> str:
        # A power of a uniform draw: about as skewed as word frequencies in MRCONSO.
        return self._words[int(len(self._words) * self._draw.random() ** 4)]

    def name(self) -> str:
        draw = self._draw
        words = [self.word() for _ in range(draw.choice((1, 2, 2, 3, 3, 3, 4, 4, 5, 7)))]
        style = draw.random()
        if style < 0.15:
            words[0] = f"{draw.randint(1, 19)},{draw.randint(1, 9)}-{words[0]}"
        elif style < 0.3:
            words[-1] += f" type {draw.choice('I II III IV 1 2 3 4 5 6 7 A B C'.split())}"
        elif style < 0.38:
            words[0] = draw.choice("αβγδκ") + "-" + words[0]
        elif style < 0.46:
            words.append(
                f"{draw.choice('ABCDEFGHKLMNPRST')}{draw.choice('ACDEGHKMPRST')}{draw.randint(1, 9999)}"
            )
        elif style < 0.56 and len(words) > 1:
            words = [f"{' '.join(words[1:])}, {words[0]}"]
        elif style < 0.64:
            words[0] = words[0].capitalize() + "'s"
        name = " ".join(words)
        return name.capitalize() if draw.random() < 0.4 else name


def generate(folder: Path, names: int, seed: int) -> None:
    """Write MRCONSO.RRF and MRSTY.RRF with ``names`` distinct English names that pass the default filters."""
    namer, draw = Namer(seed, names), random.Random(seed + 2)
    seen: set[int] = set()
    cui = atom = 0
    with (
        open(folder / "MRCONSO.RRF", "w", encoding="utf-8") as conso,
        open(folder / "MRSTY.RRF", "w", encoding="utf-8") as sty,
    ):
        while len(seen) < names:
            cui += 1
            row = f"C{cui:07d}"
            for tui in draw.sample(SEMANTIC_TYPES, 1 if draw.random() < 0.8 else 2):
                sty.write(f"{row}|{tui}|A1.1|Invented|AT{cui:08d}|256|\n")
            count = min(names - len(seen), 1 + int(draw.expovariate(0.35)))
            while count:
                name = namer.name()
                if hash(name) in seen:
                    continue
                seen.add(hash(name))
                count -= 1
                atom += 1
                status = "P|L0000001|PF|S0000001|Y" if count == 0 else "S|L0000001|VO|S0000001|N"
                conso.write(f"{row}|ENG|{status}|A{atom:08d}||||MSH|PT|D{cui:06d}|{name}|0|N|256|\n")
                if draw.random() < 0.15:
                    other = ("FRE", "N") if draw.random() < 0.5 else ("ENG", "O")
                    left_out = (
                        f"{row}|{other[0]}|S|L1|VO|S1|N|A0||||MSH|SY|D{cui:06d}|{name} x|0|{other[1]}||"
                    )
                    conso.write(left_out + "\n")


def generate_text(folder: Path, megabytes: float, names: int, seed: int) -> Path:
    """Text of which every twelfth word or so begins a name of the vocabulary, with some Greek and accents."""
    draw = random.Random(seed + 3)
    sample: list[str] = []
    with open(folder / "MRCONSO.RRF", encoding="utf-8") as file:
        for line in file:
            if draw.random() < 20_000 / names:
                sample.append(line.split("|")[14])
    namer = Namer(seed, names)
    path = folder / "text.txt"
    size = 0
    with open(path, "w", encoding="utf-8") as file:
        while size < megabytes * 1e6:
            words = []
            for _ in range(draw.randint(8, 30)):
                kind = draw.random()
                if kind < 0.08:
                    words.append(draw.choice(sample))
                elif kind < 0.25:
                    words.append(namer.word())
                elif kind < 0.27:
                    words.append(draw.choice(["naïve", "TNF-α", "İX", "n = 5", "(p < 0.05),"]))
                else:
                    words.append(draw.choice(_FILLER))
            sentence = " ".join(words).capitalize() + (".\n" if draw.random() < 0.1 else ". ")
            file.write(sentence)
            size += len(sentence.encode())
    return path


# --- stages, each in a process of its own ---


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def stage_build(args: argparse.Namespace) -> dict:
    from vaner.files import shipped
    from vaner.knowledge import Rules, build
    from vaner.report import Report
    from vaner.vocabularies.sources import read_sources, resolve

    source = resolve(str(args.folder), read_sources())
    report = Report()
    started = time.perf_counter()
    kb = build(
        args.index, [(source.description, source.terms(None, report))], Rules.load(shipped("kb")), report
    )
    seconds = time.perf_counter() - started
    return {
        "build_s": seconds,
        "build_cpu_s": time.process_time(),
        "build_peak_mb": peak_mb(),
        "index_mb": args.index.stat().st_size / 1e6,
        "names_in_index": len(kb),
        "bytes": kb.sizes(),
    }


def stage_open(args: argparse.Namespace) -> dict:
    from vaner.knowledge import KnowledgeBase

    with open(args.index, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    started = time.perf_counter()
    KnowledgeBase(args.index)
    return {"open_s": time.perf_counter() - started}


def _mapped_mb(path: Path) -> float:
    """Resident pages of the mapped file."""
    total, inside = 0, False
    with open("/proc/self/smaps") as file:
        for line in file:
            if "-" in line.split(" ", 1)[0]:
                inside = str(path) in line
            elif inside and line.startswith("Rss:"):
                total += int(line.split()[1])
    return total * 1024 / 1e6


def _resident_mb() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6


def stage_match(args: argparse.Namespace) -> dict:
    from vaner.knowledge import KnowledgeBase

    kb = KnowledgeBase(args.index)
    texts = args.text.read_text(encoding="utf-8").split("\n")
    size = args.text.stat().st_size / 1e6
    kb.match(texts[:100])
    most, done = 0.0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.05):
            most = max(most, _resident_mb() - _mapped_mb(args.index))

    found, elapsed, cpu = 0, [], []
    for _ in range(3):
        started, started_cpu = time.perf_counter(), time.process_time()
        found = sum(map(len, kb.match(texts)))
        elapsed.append(time.perf_counter() - started)
        cpu.append(time.process_time() - started_cpu)
    # Memory is watched in a run that is not timed.
    watcher = threading.Thread(target=watch)
    watcher.start()
    kb.match(texts)
    done.set()
    watcher.join()
    return {
        "match_mb_per_s": size / min(elapsed),
        "match_mb_per_cpu_s": size / min(cpu),
        "matches": found,
        "resident_mb": most,
    }


def _names(folder: Path) -> list[str]:
    from vaner.knowledge import normalise_all

    names: set[str] = set()
    batch: list[str] = []
    with open(folder / "MRCONSO.RRF", encoding="utf-8") as file:
        for line in file:
            row = line.split("|")
            if row[1] == "ENG" and row[16] == "N":
                batch.append(row[14])
            if len(batch) == 50_000:
                names.update(normalise_all(batch))
                batch = []
    names.update(normalise_all(batch))
    return sorted(names)


def stage_other(args: argparse.Namespace) -> dict:
    """The other matchers: overlapping matches in normalised text, then word boundaries, then the longest."""
    from reference import longest

    from vaner.knowledge import normalise_all

    limit = int(args.limit_mb * 1e6)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    names = _names(args.folder)
    before = _resident_mb()
    started = time.perf_counter()
    if args.stage == "ahocorasick_rs":
        import ahocorasick_rs

        automaton = ahocorasick_rs.AhoCorasick(names, store_patterns=False)

        def find(text: str) -> list[tuple[int, int]]:
            return [(a, b) for _, a, b in automaton.find_matches_as_indexes(text, overlapping=True)]
    else:
        import ahocorasick

        automaton = ahocorasick.Automaton(ahocorasick.STORE_LENGTH)
        for name in names:
            automaton.add_word(name)
        automaton.make_automaton()

        def find(text: str) -> list[tuple[int, int]]:
            return [(end + 1 - size, end + 1) for end, size in automaton.iter(text)]

    seconds = time.perf_counter() - started
    held = _resident_mb() - before
    texts = args.text.read_text(encoding="utf-8").split("\n")
    size = args.text.stat().st_size / 1e6
    # Normalising, which the index does while it matches, is part of the time.
    started, started_cpu = time.perf_counter(), time.process_time()
    found = 0
    for text in normalise_all(texts):
        inside = [
            (a, b, "")
            for a, b in find(text)
            if (a == 0 or text[a - 1] == " ") and (b == len(text) or text[b] == " ")
        ]
        found += len(_disjoint(inside, longest))
    return {
        "build_s": seconds,
        "memory_mb": held,
        "match_mb_per_s": size / (time.perf_counter() - started),
        "match_mb_per_cpu_s": size / (time.process_time() - started_cpu),
        "matches": found,
    }


def _disjoint(spans: list[tuple[int, int, str]], longest) -> list:
    """``longest``, group by group of spans that overlap."""
    kept, group, reach = [], [], -1
    for span in sorted(spans):
        if span[0] >= reach and group:
            kept += longest(group)
            group = []
        group.append(span)
        reach = max(reach, span[1])
    return kept + longest(group)


# --- the run ---


def check(folder: Path, seed: int) -> int:
    """Compare a small index with the reference on a text; returns the number of matches compared."""
    from reference import Reference

    from vaner.files import shipped
    from vaner.knowledge import KnowledgeBase, Rules, build
    from vaner.report import Report
    from vaner.vocabularies.sources import read_sources, resolve

    folder = folder / "check"
    folder.mkdir()
    generate(folder, CHECKED_NAMES, seed)
    path = generate_text(folder, CHECKED_TEXT / 1e6, CHECKED_NAMES, seed)
    source, report = resolve(str(folder), read_sources()), Report()
    terms = list(source.terms(None, report))
    build(folder / "kb.idx", [(source.description, terms)], Rules.load(shipped("kb")), report)
    kb = KnowledgeBase(folder / "kb.idx")
    # The reference is told names as the rules left them, by the index; that it has them all is asked first.
    lost = [term.name for term in terms if not kb.lookup(term.name)]
    if lost:
        raise SystemExit(
            f"error: the index lost {len(lost):,} of {len(terms):,} names, for instance {lost[0]!r}; nothing was timed"
        )
    reference = Reference(
        (name.text, entry.types, name.capitals)
        for name in map(kb.name, range(len(kb)))
        for entry in name.concepts
        if not name.muted
    )
    text = path.read_text(encoding="utf-8")
    expected = reference.match(text)
    found = [(m.start, m.end, m.type) for m in kb.match([text])[0]]
    if found != expected:
        wrong = sorted(set(found) ^ set(expected))[:5]
        raise SystemExit(
            f"error: the index and the reference differ, for instance at {wrong}; nothing was timed"
        )
    return len(found)


def run_stage(stage: str, args: argparse.Namespace, folder: Path) -> dict:
    command = [sys.executable, __file__, "--stage", stage, "--folder", str(folder)]
    command += ["--limit_mb", str(args.limit_mb)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["killed"])[-1]
        return {"failed": f"exit {done.returncode}: {last[:200]}"}
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--names", type=int, default=100_000)
    parser.add_argument("--json", metavar="FILE", help="where the numbers go")
    parser.add_argument("--text_mb", type=float, default=8.0, help="megabytes of text matched")
    parser.add_argument("--limit_mb", type=float, default=8000, help="memory that the other matchers may use")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no_others", action="store_true", help="leave the other matchers out")
    parser.add_argument(
        "--folder", type=Path, help="folder for the generated files (default: a temporary one)"
    )
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    args = parser.parse_args()
    # The run may take an hour: what cannot work is said before it.
    for option in ("names", "text_mb", "limit_mb"):
        if getattr(args, option) <= 0:
            parser.error(f"--{option} {getattr(args, option)}: give a number above 0")
    for option, folder in (("json", Path(args.json or ".").parent), ("folder", args.folder or Path())):
        if not folder.is_dir():
            parser.error(f"--{option}: the folder {folder} does not exist; create it first")
    if args.stage:
        args.index, args.text = args.folder / "kb.idx", args.folder / "text.txt"
        stages = {"build": stage_build, "open": stage_open, "match": stage_match}
        print(json.dumps(stages.get(args.stage, stage_other)(args)))
        return
    with tempfile.TemporaryDirectory(dir=args.folder) as temporary:
        folder = Path(temporary)
        compared = check(folder, args.seed)
        print(f"{compared} matches of {CHECKED_NAMES} names are those of the reference", flush=True)
        generate(folder, args.names, args.seed)
        generate_text(folder, args.text_mb, args.names, args.seed)
        result: dict = {"names": args.names, "load_average": os.getloadavg()[0], "cores": os.cpu_count()}
        for stage in ("build", "open", "match"):
            result.update(run_stage(stage, args, folder))
            if "failed" in result:
                raise SystemExit(f"error: stage {stage}: {result['failed']}")
            print({k: v for k, v in result.items() if k != "bytes"}, flush=True)
        result["others"] = {}
        if not args.no_others:
            for stage in ("ahocorasick_rs", "pyahocorasick"):
                result["others"][stage] = run_stage(stage, args, folder)
                print(stage, result["others"][stage], flush=True)
    if args.json:
        from vaner.files import replacing_text

        with replacing_text(args.json) as file:
            json.dump(result, file, indent=1)


if __name__ == "__main__":
    main()
