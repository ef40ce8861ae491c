"""In: a number of rows, or a config. Out: time and memory of reading a training mix, first and again; one table.

    python benchmarks/mix.py --rows 1000000 --json mix.json
    python benchmarks/mix.py --config configs/smollm2-mix.yaml --data_root CORPORA

Rows are generated: sentences of twelve words with one mention, as a Parquet file with tokens and ner_tags, of which no
document is held out. Each reading is a process of its own with the same cache, which is empty before the first: it
gathers the mix, plans one epoch of it (``--epochs``) and builds a hundred batches. Of the model only its tokenizer is
loaded. Keys of the JSON file: rows, cache_mb; of the ``first`` and the ``second`` reading the seconds of each step, and
MB of memory that is the process's own before it (``before_mb``), at the end (``own_mb``) and at its highest
(``own_peak_mb``), and of pages of files (``mapped_mb``), which all processes share and the system takes back when it
needs them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from vaner.cli import guarded
from vaner.files import cache_folder, write_text

WORDS = 12
_AT_ONCE = 50_000


def generated(path: Path, rows: int) -> None:
    """Write a Parquet file of so many sentences, the same every time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(1)
    syllables = np.array([a + b for a in "bdfgklmnprstv" for b in ("a", "e", "i", "o", "u", "an", "ir")])
    known = np.array(["".join(rng.choice(syllables, rng.integers(1, 5))) for _ in range(50_000)])
    schema = pa.schema({"tokens": pa.list_(pa.string()), "ner_tags": pa.list_(pa.string())})
    with pq.ParquetWriter(path, schema) as writer:
        for at in range(0, rows, _AT_ONCE):
            count = min(_AT_ONCE, rows - at)
            tokens = rng.choice(known, (count, WORDS))
            tags = np.full((count, WORDS), "O", dtype=object)
            first = rng.integers(0, WORDS - 1, count)
            tags[np.arange(count), first] = "B-Disease"
            tags[np.arange(count), first + 1] = rng.choice(["O", "I-Disease"], count)
            writer.write_table(pa.table({"tokens": tokens.tolist(), "ner_tags": tags.tolist()}, schema))


def memory() -> dict[str, int]:
    """MB of this process: its own, and mapped from files."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        name: int(lines[key].split()[0]) // 1024 for name, key in (("own", "RssAnon"), ("mapped", "RssFile"))
    }


class Peak(threading.Thread):
    """The highest of what memory is a process's own, looked at twenty times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.own = 0

    def run(self) -> None:
        while True:
            self.own = max(self.own, memory()["own"])
            time.sleep(0.05)


def read(options: argparse.Namespace) -> dict[str, float]:
    """Read the mix once, in this process."""
    from vaner.inputs.features import Tokenisation
    from vaner.inputs.instructions import Template
    from vaner.model.catalogue import backbone_folder
    from vaner.model.saving import load_tokenizer
    from vaner.training.arguments import parse
    from vaner.training.drawing import Drawing
    from vaner.training.gathering import gather
    from vaner.training.mixture import Mixture

    words = (
        ["--config", options.config]
        if options.config
        else ["--mix", f"hf:{options.file}", "--dev_share", "0"]
    )
    words += ["--data_root", options.data_root] if options.data_root else []
    asked = parse(
        [*words, "--output_dir", os.path.join(tempfile.gettempdir(), "unused"), "--use_cpu", "true"]
    )
    tokenisation = Tokenisation(load_tokenizer(backbone_folder("smollm2-135m")), asked.model.max_tokens)
    before = memory()["own"]
    peak = Peak()
    peak.start()
    started = time.perf_counter()
    gathered = gather(asked.data, asked.training.seed)
    read_at = time.perf_counter()
    drawing = Drawing(max_words=asked.model.max_words, keep_empty=asked.data.keep_empty)
    mixture = Mixture(
        gathered.sources, tokenisation, Template(), drawing,
        batch_tokens=asked.training.batch_tokens, epochs=options.epochs, seed=asked.training.seed,
    )  # fmt: skip
    planned_at = time.perf_counter()
    for number in np.linspace(0, len(mixture) - 1, 100).astype(int).tolist():
        mixture[number]
    now = memory()
    return {
        "gather_s": round(read_at - started, 1),
        "tokens_and_plan_s": round(planned_at - read_at, 1),
        "batches_100_s": round(time.perf_counter() - planned_at, 2),
        "before_mb": before,
        "own_mb": now["own"],
        "own_peak_mb": peak.own,
        "mapped_mb": now["mapped"],
        "units": sum(len(source.texts) for source in gathered.sources),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100_000, help="rows of the generated mix")
    parser.add_argument("--config", help="read this config's mix in place of a generated one")
    parser.add_argument("--data_root", help="folder of the corpora")
    parser.add_argument("--epochs", type=int, default=1, help="epochs that are planned")
    parser.add_argument("--json", help="file for the numbers")
    parser.add_argument("--file", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.file:
        print("READ", json.dumps(read(options)))
        return
    found: dict = {"rows": None if options.config else options.rows}
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "rows.parquet"
        if not options.config:
            generated(file, options.rows)
        cache = Path(scratch) / "cache"
        cache.mkdir()
        if (cache_folder() / "backbones").is_dir():
            (cache / "backbones").symlink_to(cache_folder() / "backbones")
        for name in ("first", "second"):
            done = subprocess.run(
                [sys.executable, __file__, *sys.argv[1:], "--file", str(file)],
                env=os.environ | {"VANER_CACHE": str(cache), "HF_DATASETS_CACHE": str(cache / "datasets")},
                stdout=subprocess.PIPE, text=True, check=True,
            )  # fmt: skip
            (line,) = [line for line in done.stdout.splitlines() if line.startswith("READ ")]
            found[name] = json.loads(line.removeprefix("READ "))
        sizes = [path.stat().st_size for path in (cache / "mix").rglob("*") if path.is_file()]
        found["cache_mb"] = round(sum(sizes) / 2**20, 1)
    for name in ("first", "second"):
        print(f"{name:8}", "  ".join(f"{key} {value:,}" for key, value in found[name].items()))
    print(f"cache    {found['cache_mb']:,} MB")
    if options.json:
        write_text(options.json, json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(guarded(main))
