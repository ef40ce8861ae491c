"""The timing pass: arms in turn, each alone, at its fastest batch; figures for 1,000 words that sum."""

from __future__ import annotations

import json
import sys
import textwrap

import pytest

from vaner.errors import VanerError
from vaner.study.cells import FINISHED
from vaner.study.costs import Timing, is_current, summed

# Measures as `vaner.study.measuring` does, by a clock of its own: a batch of 512 takes 1 s, another 2 s; it notes
# who computed when.
CHILD = """
    import json, sys
    from pathlib import Path
    root, arm, corpus, seed, measure = sys.argv[1:]
    assert measure == "--measure"
    print(json.dumps({"ready": True, "documents": 1, "words": 500}), flush=True)
    number = 0
    for line in sys.stdin:
        order = json.loads(line)
        with open(Path(root, "order.txt"), "a") as file:
            what = "load" if order.get("load") else "warm" if order.get("warm") else "run"
            file.write(f"{arm} {order['batch']} {what}\\n")
        if arm == "encoder" and Path(root, "broken").exists():
            print("OutOfMemoryError: no memory", file=sys.stderr)
            sys.exit(1)
        if order.get("load"):
            print(json.dumps({"ready": True}), flush=True)
            continue
        number += 1
        seconds = 1.0 if order["batch"] == 512 else 2.0
        gpu = arm == "encoder"
        print(json.dumps({
            "seconds": seconds, "cpu_seconds": 2 * seconds + number, "gpu_seconds": seconds / 2 if gpu else None,
            "gpu_memory_mb": 10.0 * number if gpu else None, "energy_joules": 100.0 if gpu else None,
            "peak_memory_mb": 300.0 + number,
            "generated_tokens": 4000 if arm == "forced" else None, "money": None,
        }), flush=True)
"""


@pytest.fixture
def timed(opened, make):
    """A study of three arms whose cells are finished, and its timing pass."""

    def time(**cost):
        made = opened(
            ["encoder", "dictionary", "forced"],
            cost={"documents": 1, "repeats": 2, "batch_tokens": [256, 512], "batch_size": [4], **cost},
        )
        for cell in made.cells:
            if cell.finished() is None:
                cell.path.mkdir(parents=True, exist_ok=True)
                (cell.path / FINISHED).write_text(json.dumps({"hash": cell.hash}))
        script = make("measure.py", textwrap.dedent(CHILD))
        command = [sys.executable, str(script), str(made.folder.path)]
        made.timing = Timing(made.settings, made.folder, command, None, lambda _: None)
        return made

    return time


def order(made):
    return (made.folder.path / "order.txt").read_text().splitlines()


def test_arms_are_measured_in_turn_at_their_fastest_batch(timed):
    made = timed(price_per_hour=36)
    found = made.timing.run(made.cells)
    done = order(made)
    assert done[:2] == ["encoder 256 warm", "encoder 512 warm"]
    assert set(done[2:5]) == {"encoder 512 load", "dictionary None load", "forced 4 load"}, "all at once"
    assert done[5:] == [
        *("encoder 512 run", "dictionary None run", "forced 4 run") * 3,  # the first to warm up
    ]
    assert json.loads(made.folder.costs.read_text()) == found
    assert found["repeats"] == 2 and found["corpus"] == "bc5cdr-sample" and found["machine"]["cores"]
    encoder, dictionary, forced = (found["arms"][name] for name in ("encoder", "dictionary", "forced"))
    assert encoder["batch"] == 512 and dictionary["batch"] is None and forced["batch"] == 4
    # 500 words in a second.
    assert encoder["seconds_per_1000_words"] == [2.0, 2.0] and forced["seconds_per_1000_words"] == [4.0, 4.0]
    assert encoder["cpu_seconds_per_1000_words"] == [8.0, 10.0], "the warm-up is not counted"
    assert encoder["gpu_seconds_per_1000_words"] == [1.0, 1.0]
    assert encoder["energy_joules_per_1000_words"] == [200.0, 200.0]
    assert encoder["gpu_memory_mb"] == 30.0 and encoder["peak_memory_mb"] == 303.0
    assert forced["generated_tokens_per_word"] == 8.0 and encoder["generated_tokens_per_word"] is None
    assert forced["gpu_seconds_per_1000_words"] is forced["gpu_memory_mb"] is None
    # 36 an hour are a hundredth a second.
    assert encoder["price_per_1000_words"] == [0.02, 0.02]
    for arm in found["arms"].values():
        assert all(len(arm[name]) == 2 for name in ("seconds_per_1000_words", "cpu_seconds_per_1000_words"))


def test_models_that_have_no_room_beside_others_are_loaded_for_each_repeat(timed):
    made = timed(keep_loaded=False)
    found = made.timing.run(made.cells)
    assert order(made)[2:] == ["encoder 512 warm", "dictionary None warm", "forced 4 warm"] * 2
    assert len(found["arms"]["forced"]["seconds_per_1000_words"]) == 2


def test_one_that_fails_names_its_arm(timed):
    made = timed()
    (made.folder.path / "broken").write_text("")
    with pytest.raises(VanerError, match="timing of encoder: OutOfMemoryError: no memory"):
        made.timing.run(made.cells)
    assert not made.folder.costs.exists()


def test_costs_are_measured_again_where_an_arm_came(timed):
    made = timed()
    assert not is_current(made.folder, made.settings, made.cells)
    made.timing.run(made.cells)
    assert is_current(made.folder, made.settings, made.cells)
    told = json.loads(made.folder.costs.read_text())
    told["arms"].pop("forced")
    made.folder.costs.write_text(json.dumps(told))
    assert not is_current(made.folder, made.settings, made.cells)
    told["arms"]["forced"] = {}
    told["cells"]["encoder"] = "another"
    made.folder.costs.write_text(json.dumps(told))
    assert not is_current(made.folder, made.settings, made.cells)


def test_the_texts_are_of_the_corpus_that_most_arms_tag(timed):
    made = timed()
    for cell in made.cells:
        if cell.corpus == "bc5cdr-sample" and cell.arm.name == "forced":
            (cell.path / FINISHED).unlink()
    assert made.timing.run(made.cells)["corpus"] == "bc2gm-sample"
    for cell in made.cells:
        (cell.path / FINISHED).unlink(missing_ok=True)
    with pytest.raises(VanerError, match="no cell is finished"):
        made.timing.run(made.cells)


def test_what_a_server_charges_comes_before_the_machines_price(timed):
    made = timed(price_per_hour=36)
    one = {name: None for name in ("gpu_seconds", "gpu_memory_mb", "energy_joules", "generated_tokens")}
    one |= {"seconds": 1.0, "cpu_seconds": 1.0, "peak_memory_mb": 1.0, "money": 0.5}
    sizes = {"documents": 1, "words": 2000}
    found = summed(made.settings, made.settings.arms["encoder"], "bc5cdr-sample", sizes, [one, one], None)
    assert found["price_per_1000_words"] == [0.25, 0.25] and found["seconds_per_1000_words"] == [0.5, 0.5]
