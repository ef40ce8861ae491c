"""In: variables, tokens that were read. Out: oneDNN told what to keep, memory given back; a long run stays small."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from vaner.tagging.heap import PROCESS_CAPACITY, PRODUCTS, THREAD_CAPACITY, Heap, leave_file, limit_products

ROOT = Path(__file__).parent.parent.parent


def test_what_oneDNN_keeps_is_limited_by_threads():
    environment: dict[str, str] = {}
    limit_products(2, environment)
    assert environment == {PROCESS_CAPACITY: str(2 * PRODUCTS), THREAD_CAPACITY: str(PRODUCTS)}


@pytest.mark.parametrize("variable", [PROCESS_CAPACITY, THREAD_CAPACITY, "DNNL_PRIMITIVE_CACHE_CAPACITY"])
def test_what_the_user_set_stays(variable):
    environment = {variable: "7"}
    limit_products(2, environment)
    assert environment[variable] == "7"
    if variable.startswith("DNNL"):
        assert PROCESS_CAPACITY not in environment, "oneDNN asks for its newer name first"


def test_memory_is_given_back_after_so_many_tokens():
    heap, times = Heap(100), []
    heap.give_back = lambda: times.append(1)
    for tokens, so_far in [(60, 0), (39, 0), (1, 1), (99, 1), (200, 2)]:
        heap.read(tokens)
        assert len(times) == so_far


def test_where_the_c_library_is_another_nothing_happens(monkeypatch):
    monkeypatch.setattr("platform.libc_ver", lambda: ("", ""))
    Heap(1).read(1)


def test_weights_that_are_left_have_memory_of_their_own():
    file = torch.arange(12.0)
    layer = torch.nn.Module()
    layer.weight = torch.nn.Parameter(file[:6].view(2, 3))
    layer.register_buffer("scale", file[6:])
    leave_file(layer)
    file.zero_()
    assert layer.weight.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert layer.scale.tolist() == [6, 7, 8, 9, 10, 11]


# One layer of the backbone, which has the shapes of all; texts of ever other lengths, so that hardly two batches are
# alike: what is kept for every shape grows for ever.
GROWING = """
import ctypes, random, sys
from vaner import Document, Vaner

tagger = Vaner.from_pretrained(sys.argv[1], **eval(sys.argv[2]))
backbone = tagger.model.plain_backbone
backbone.layers = backbone.layers[:1]
draw = random.Random(0)
words = "aspirin reduces fever in patients with influenza and renal failure .".split()

def read(number, size):
    for i in range(number):
        # Four sizes of text a call, of which no two calls have the same.
        text = " ".join(draw.choices(words, k=size + draw.randrange(4)))
        yield Document(str(i), text)

def resident():
    # What is free already is not what is kept: how much of it lies about depends on the moment.
    ctypes.CDLL(None).malloc_trim(0)
    status = open("/proc/self/status").read()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1e3

sizes = list(range(8, 88, 2))
draw.shuffle(sizes)
for number, size in enumerate(sizes):
    for _ in tagger.tag_documents(read(60, size)):
        pass
    if number == 15:
        warm = resident()
print(warm, resident())
"""


def run(model: str, options: str, **environment: str) -> tuple[float, float]:
    bare = {k: v for k, v in os.environ.items() if k not in (PROCESS_CAPACITY, THREAD_CAPACITY)}
    done = subprocess.run(
        [sys.executable, "-c", GROWING, model, options],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=bare | {"PYTHONPATH": str(ROOT)} | environment,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    before, after = map(float, done.stdout.split())
    return before, after


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("options", ["{}", "{'dtype': 'float32'}"])
def test_memory_stays_where_it_was_after_warming_up(options):
    before, after = run("vaner-smollm2-135m", options)
    assert after < before + 100, f"{before:.0f} MB after 16 runs, {after:.0f} MB after 40"
