"""In: words. Out: a run with the tagger of capitals, as a process of its own that can be killed.

python -m tests.jobs.command INPUT OUTPUT SETTINGS(JSON) [--processes N] [--unit N] [--overwrite] [--ranks]
"""

import argparse
import json
import sys
from functools import partial
from pathlib import Path

from tests.jobs.taggers import Settings
from vaner.cli import guarded
from vaner.jobs import ranks
from vaner.jobs.pool import ProcessPool
from vaner.jobs.record import of_run
from vaner.jobs.run import Interrupted, Job, run
from vaner.jobs.sources import plan
from vaner.jobs.units import Cut, FileReader


def job(source, output, settings=None, unit=10, on_error="skip", format="jsonl", ending="jsonl", **more):
    """A Job over what is in a folder, with the tagger's settings in its record."""
    settings = settings or Settings()
    said = {"types": settings.types, "unit": unit}
    sources = plan([str(source)], output, ending)
    reader = FileReader(on_error=on_error)
    return Job(sources, Path(output), of_run(said, {"capitals": "1"}), format, reader, Cut(unit), **more)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("input")
    parser.add_argument("output")
    parser.add_argument("settings", type=json.loads)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--unit", type=int, default=10)
    parser.add_argument("--overwrite", action="store_true")
    args = parser.parse_args()
    settings = Settings(**args.settings)
    try:
        if not ranks.several():
            workers = partial(ProcessPool, settings, args.processes)
            result = run(job(args.input, args.output, settings, args.unit), workers, overwrite=args.overwrite)
            print(json.dumps(dict(result.counts) | {"units": result.here["units"]}))
            return 3 if result.counts["rejected"] else 0
        with ranks.meeting() as met:
            if not ranks.first():
                ranks.work(settings, met)
                return 0
            result = run(
                job(args.input, args.output, settings, args.unit), partial(ranks.pool, settings, met)
            )
            print(json.dumps(dict(result.counts)))
            return 0
    except Interrupted as stopped:
        print(f"stopped by {stopped.signal.name}", file=sys.stderr)
        return 128 + stopped.signal


if __name__ == "__main__":
    sys.exit(guarded(main))
