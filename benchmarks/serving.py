"""In: real abstracts. Out: how fast and how truly a server answers many clients, beside the bare tagger; one table.

    python benchmarks/serving.py --data_root CORPORA --model vaner-minilm --json serving.json

A server of the model (python -m vaner serve) is started on the loopback interface. Then, in turn, --rounds times:

    bare      the tagger itself, in a process of its own, reads --documents abstracts as one stream
    server    --clients connections each send an abstract, wait for the answer, and send the next, for --seconds

The clients are one process, whose share of the processors the bare tagger does not have beside it. Every answer is
compared with what the bare tagger says of the same abstract: the same spans, and scores within --tolerance. With
--dtype float32 they are the same; in bfloat16 the last digits, and with them a span now and then, follow the batch.

Keys of the JSON file:

    ratio           documents a second, the server's over the bare tagger's, by round
    p50, p95        seconds from sending a request to the last byte of its answer, over all rounds
    lost, wrong     requests without an answer; answers that differ from the bare tagger's, and by how much a score does
    server_mb       resident memory of the server at the end
    rounds, machine, versions, settings
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import itertools
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import contest
import machine
import psutil
import shapes

from vaner.cli import guarded
from vaner.document import Document
from vaner.errors import VanerError
from vaner.tagging.settings import TaggingSettings


@dataclass
class Load:
    """What clients got in one round.

    Attributes:
        seconds: how long they asked.
        latencies: of each answer.
        answers: number of the abstract, body of the answer.
        lost: requests that got none.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    answers: list[tuple[int, bytes]] = field(default_factory=list)
    lost: int = 0


def main() -> None:
    args = _arguments()
    documents = shapes.first(shapes.abstracts(args.data_root, args.seed), args.documents)
    bare = contest.Contestant(functools.partial(prepare, args, documents), args.device)
    rounds = []
    loads: list[Load] = []
    try:
        with serving(args) as (port, process):
            asyncio.run(ask(port, documents, args.clients, min(5.0, args.seconds)))
            for number in range(args.rounds):
                alone = bare.work("bare", number)
                loads.append(asyncio.run(ask(port, documents, args.clients, args.seconds)))
                answered = len(loads[-1].answers) / loads[-1].seconds
                rounds.append({"bare": alone["documents"] / alone["seconds"], "server": answered})
            again = bare.work("bare", args.rounds)
            server_mb = psutil.Process(process.pid).memory_info().rss / 1e6
    finally:
        bare.stop()
    # A machine whose speed drifts is measured before and after each round.
    befores = [one["bare"] for one in rounds]
    afters = [*befores[1:], again["documents"] / again["seconds"]]
    ratios = [2 * one["server"] / (b + a) for one, b, a in zip(rounds, befores, afters, strict=True)]
    found = results(loads, again["spans"], args.tolerance) | {
        "ratio": ratios,
        "bare": [*befores, afters[-1]],
        "server": [one["server"] for one in rounds],
        "server_mb": server_mb,
        "clients": args.clients,
        "machine": contest.apart(functools.partial(machine.describe, args.device), args.device),
        "versions": machine.versions(),
        "settings": {k: v for k, v in vars(args).items() if k not in ("data_root", "json")},
    }
    show(found)
    contest.write_json(args.json, found)
    if found["lost"] or (found["wrong"] and args.dtype == "float32"):
        raise VanerError("answers were lost or differ from the bare tagger's")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data_root", help="where the corpora are; default: $VANER_DATA")
    add("--model", default=shapes.SHIPPED)
    add("--dtype", default="float32", help="auto, float32 or bfloat16; default: %(default)s")
    add("--device", default="cpu")
    add("--clients", type=int, default=64)
    add("--seconds", type=float, default=60.0, help="that clients ask, a round")
    add("--rounds", type=int, default=1)
    add("--documents", type=int, default=400, help="abstracts, asked in turn")
    add("--tolerance", type=float, default=1e-4, help="by which a score may differ")
    add("--seed", type=int, default=0)
    add("--json", metavar="FILE")
    args = parser.parse_args()
    contest.check_arguments(args, "clients", "seconds", "rounds", "documents")
    return args


def prepare(args: argparse.Namespace, documents: Sequence[Document]) -> dict[str, contest.Work]:
    """The tagger, as the server has it."""
    settings = TaggingSettings(models=(args.model,), dtype=args.dtype, device=args.device)
    tagger = settings.open()
    list(tagger.tag_documents(documents[:16]))

    def bare(number: int) -> dict:
        started = time.monotonic()
        tagged = list(tagger.tag_documents(documents))
        seconds = time.monotonic() - started
        spans = [[(s.start, s.end, s.type, s.score) for s in one.spans] for one in tagged]
        return {"documents": len(tagged), "seconds": seconds, "spans": spans}

    return {"bare": bare}


@contextlib.contextmanager
def serving(args: argparse.Namespace) -> Iterator[tuple[int, subprocess.Popen]]:
    """A server of the model, and its port."""
    command = [sys.executable, "-m", "vaner", "serve", "--model", args.model, "--port", "0"]
    command += ["--dtype", args.dtype, "--device", args.device, "--max_queue", str(2 * args.clients)]
    environment = {k: v for k, v in os.environ.items() if k != "VANER_API_KEY"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        try:
            port = None
            for line in process.stderr:
                if at := re.search(r" at http://127\.0\.0\.1:(\d+)$", line.strip()):
                    port = int(at[1])
                    break
            if port is None:
                raise VanerError("the server did not start; run python -m vaner serve to see why")
            log = subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)
            yield port, process
            process.send_signal(signal.SIGTERM)
            if process.wait(60):
                raise VanerError(f"the server ended with status {process.returncode}")
            log.wait()
        finally:
            process.kill()


async def ask(port: int, documents: Sequence[Document], clients: int, seconds: float) -> Load:
    """Let clients ask for a while; what is under way at the end is answered."""
    requests = [request(document) for document in documents]
    numbers = itertools.cycle(range(len(documents)))
    load = Load()
    started = time.monotonic()

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.monotonic() - started < seconds:
            number = next(numbers)
            asked = time.monotonic()
            writer.write(requests[number])
            try:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"content-length: (\d+)", head)
                body = await reader.readexactly(int(length[1])) if length else b""
            except (ConnectionError, asyncio.IncompleteReadError):
                load.lost += 1
                return
            if not head.startswith(b"HTTP/1.1 200 "):
                load.lost += 1
                continue
            load.latencies.append(time.monotonic() - asked)
            load.answers.append((number, body))
        writer.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    load.seconds = time.monotonic() - started
    return load


def request(document: Document) -> bytes:
    """The bytes that ask for one abstract."""
    body = json.dumps({"documents": [{"id": document.id, "text": document.text}]}).encode()
    head = f"POST /v1/tag HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def results(loads: Sequence[Load], expected: Sequence[list], tolerance: float) -> dict:
    """What came of all rounds."""
    wrong, furthest = 0, 0.0
    for number, body in itertools.chain.from_iterable(load.answers for load in loads):
        (document,) = json.loads(body)["documents"]
        found = [(s["start"], s["end"], s["type"], s["score"]) for s in document["spans"]]
        right = [tuple(span) for span in expected[number]]
        if [span[:3] for span in found] != [span[:3] for span in right]:
            wrong += 1
            continue
        apart = max((abs(a[3] - b[3]) for a, b in zip(found, right, strict=True)), default=0.0)
        furthest = max(furthest, apart)
        wrong += apart > tolerance
    latencies = [seconds for load in loads for seconds in load.latencies]
    cuts = statistics.quantiles(latencies, n=20)
    return {
        "answers": sum(len(load.answers) for load in loads),
        "lost": sum(load.lost for load in loads),
        "wrong": wrong,
        "furthest_score": furthest,
        "p50": cuts[9],
        "p95": cuts[18],
    }


def show(found: dict) -> None:
    """One line a number."""
    rows = [
        {"what": "bare tagger, documents/s", "": ", ".join(f"{one:.1f}" for one in found["bare"])},
        {"what": "server, documents/s", "": ", ".join(f"{one:.1f}" for one in found["server"])},
        {"what": "ratio", "": ", ".join(f"{one:.3f}" for one in found["ratio"])},
        {"what": "p50, p95 (s)", "": f"{found['p50']:.2f}, {found['p95']:.2f}"},
        {"what": "answers, lost, wrong", "": f"{found['answers']:,}, {found['lost']}, {found['wrong']}"},
        {"what": "furthest score", "": f"{found['furthest_score']:.1e}"},
        {"what": "server's memory (MB)", "": f"{found['server_mb']:,.0f}"},
    ]
    contest.print_table(rows, f"{found['settings']['model']}, {found['clients']} clients")


if __name__ == "__main__":
    raise SystemExit(guarded(main))
