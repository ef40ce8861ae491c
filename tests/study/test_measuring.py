"""What a process holds and spends while it tags."""

from __future__ import annotations

import io
import json
import time

import numpy as np
import pytest

from vaner.errors import VanerError
from vaner.study import measuring
from vaner.study.measuring import Gpu, Memory


def test_memory_is_the_most_that_was_held_meanwhile():
    with Memory() as little:
        pass
    with Memory() as much:
        block = np.ones(100_000_000, np.uint8)
        time.sleep(0.1)
        del block
    assert 80e6 < much.peak - little.peak < 300e6


class Event:
    clock = 0.0

    def __init__(self, enable_timing):
        assert enable_timing

    def record(self):
        self.at = Event.clock

    def elapsed_time(self, other):
        return other.at - self.at


class Cuda:
    """A GPU on which models hold so many bytes."""

    Event = Event

    def __init__(self, held):
        self.held, self.waited = held, 0

    def synchronize(self):
        self.waited += 1

    def reset_peak_memory_stats(self):
        pass

    def max_memory_allocated(self):
        return self.held


class Driver:
    class NVMLError(Exception):
        pass

    def __init__(self, *millijoules):
        self.told = iter(millijoules)

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):
        found = next(self.told)
        if found is None:
            raise self.NVMLError
        return found


def gpu(held, driver=None):
    found = Gpu()
    found._cuda, found._nvml = Cuda(held), driver
    return found


def test_a_gpu_is_held_from_the_first_to_the_last_event():
    one = gpu(5_000_000, Driver(1000, 4500))
    one.begin()
    Event.clock += 250
    assert one.end() == {"gpu_seconds": 0.25, "gpu_memory_mb": 5.0, "energy_joules": 3.5}
    assert one._cuda.waited == 2, "what was begun before, and what is not done yet"
    for driver in (None, Driver(None, None)):
        one = gpu(5_000_000, driver)
        one.begin()
        assert one.end()["energy_joules"] is None


def test_a_tagger_with_nothing_on_the_gpu_holds_none():
    one = gpu(0, Driver(1, 2))
    one.begin()
    assert set(one.end().values()) == {None}
    nobody = Gpu()
    nobody._cuda = None
    nobody.begin()
    assert set(nobody.end().values()) == {None}


def test_orders_are_answered_a_line_each(opened, monkeypatch):
    made = opened(["dictionary"])
    told = [{"batch": None, "load": True}, {"batch": None, "warm": True}, {"batch": None}]
    asked = []
    monkeypatch.setattr(measuring, "ask", lambda tagger, gold: asked.append(len(gold.documents)))
    said = io.StringIO()
    orders = io.StringIO("".join(json.dumps(one) + "\n" for one in told))
    measuring.serve(made.file, str(made.folder.path), "dictionary", "bc5cdr-sample", "-", orders, said)
    begin, loaded, warm, cold = map(json.loads, said.getvalue().splitlines())
    assert begin["documents"] == 1 and 50 < begin["words"] < 1000 and loaded == {"ready": True}
    assert asked == [1, 1, 1], "warmed up once, measured twice; of the documents that cost names"
    assert warm.keys() == cold.keys() and cold["seconds"] >= 0 and cold["generated_tokens"] is None
    with pytest.raises(VanerError, match="no cell nobody"):
        measuring.serve(made.file, str(made.folder.path), "nobody", "bc5cdr-sample", "-", io.StringIO(), said)
