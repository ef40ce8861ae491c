"""What a kill leaves: whole units, a manifest whose last line may be torn, a lock that is open."""

import os

import pytest

from vaner.errors import VanerError
from vaner.jobs.lock import locked
from vaner.jobs.store import Store


def begun(folder):
    store = Store(folder)
    store.begin("a", {"sha256": "1"})
    store.keep("a", 0, b"zero", {"input": "i0", "rejected": []})
    store.keep("a", 1, b"one", {"input": "i1", "rejected": []})
    return store


def test_what_was_kept_is_there_again(tmp_path):
    begun(tmp_path).end("a", {"units": 3, "rejected": [], "told": {}})
    store = Store(tmp_path)
    assert sorted(store.sources["a"].units) == [0, 1] and not store.sources["a"].tagged
    assert store.unit("a", 1) == b"one"
    store.keep("a", 2, b"two", {"input": "i2", "rejected": []})
    assert store.sources["a"].tagged and Store(tmp_path).sources["a"].tagged


@pytest.mark.parametrize("torn", [b"{", b'{"kind": "unit", "source": "a", "unit": 7, "sha256": "', b"\0\0\0"])
def test_a_torn_line_is_as_if_it_had_not_been_written(tmp_path, torn):
    manifest = begun(tmp_path).manifest
    whole = manifest.read_bytes()
    manifest.write_bytes(whole + torn)
    store = Store(tmp_path)
    assert manifest.read_bytes() == whole
    store.keep("a", 2, b"two", {"input": "i2", "rejected": []})
    assert sorted(Store(tmp_path).sources["a"].units) == [0, 1, 2]


def test_every_cut_of_the_manifest_can_be_opened(tmp_path):
    manifest = begun(tmp_path).manifest
    whole = manifest.read_bytes()
    for size in range(len(whole) + 1):
        manifest.write_bytes(whole[:size])
        units = Store(tmp_path).sources.get("a")
        assert units is None or set(units.units) <= {0, 1}


def test_a_damaged_line_in_the_middle_is_said(tmp_path):
    manifest = begun(tmp_path).manifest
    lines = manifest.read_bytes().splitlines(keepends=True)
    manifest.write_bytes(lines[0] + b"x\n" + lines[2])
    with pytest.raises(VanerError, match=r"manifest.jsonl:2: is no line of a manifest; start anew"):
        Store(tmp_path)


def test_a_unit_whose_file_is_gone_or_damaged_is_not_kept(tmp_path):
    store = begun(tmp_path)
    files = sorted(p for p in (store.folder / "units").rglob("*") if p.is_file())
    files[0].write_bytes(b"zer0")
    files[1].unlink()
    assert Store(tmp_path).sources["a"].units == {}


def test_units_go_when_the_output_is_there_even_if_a_kill_came_between(tmp_path):
    store = begun(tmp_path)
    store.end("a", {"units": 2, "rejected": [], "told": {}})
    store.complete("a", {"documents": 2, "rejected": []}, {"spans": 3})
    assert list((store.folder / "units").iterdir()) == [] and store.tally("a") == {"spans": 3}
    left = store.folder / "units" / next((store.folder / "tallies").iterdir()).name
    left.mkdir()
    (left / "000000").write_bytes(b"zero")
    assert Store(tmp_path).sources["a"].complete["documents"] == 2 and not left.exists()


def test_names_that_no_file_can_have(tmp_path):
    store = Store(tmp_path)
    for name in ("a/b.jsonl", "ä\ud800", "x" * 300):
        store.begin(name, {})
        store.keep(name, 0, b"0", {"input": "", "rejected": []})
    again = Store(tmp_path)
    assert [again.unit(name, 0) for name in again.sources] == [b"0"] * 3


def test_the_lock_is_held_by_one_and_says_by_whom(tmp_path):
    path = tmp_path / "out" / ".vaner" / "lock"
    path.parent.mkdir(parents=True)
    with locked(path):
        with pytest.raises(
            VanerError, match=rf"out: another run writes there \(process {os.getpid()} on \S+\); wait"
        ):
            with locked(path):
                pass
    with locked(path):
        pass
