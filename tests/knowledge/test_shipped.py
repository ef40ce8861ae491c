"""The shipped vocabulary's index: compiled once, whole, anew for another version; and names of indexes."""

import argparse
import gzip
import hashlib
import subprocess
import sys
import threading

import pytest

from vaner.errors import VanerError
from vaner.files import shipped
from vaner.formats import read
from vaner.knowledge import KnowledgeBase
from vaner.knowledge import shipped as module
from vaner.knowledge.shipped import named_index, needed_index, open_index
from vaner.vocabularies.sources import read_sources

ENTRY = """open-{name}:
  title: A list of {name}
  licence: CC0-1.0
  version: "1"
  url: u
  shipped: true
  reader: plain
  files: [{name}.tsv.gz]
  sha256: [{sha256}]
"""


class Box:
    """A miniature of kb/: two vocabularies, rules, and how often an index was compiled."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "open").mkdir(parents=True)
        (folder / "rules.yaml").write_text("shortest: 2\n")
        (folder / "stoplist.tsv").write_text("")
        (folder / "sources.yaml").write_text(
            "open: {title: O, licence: L, version: 1, url: u, shipped: true, parts: open/sources.yaml}\n"
        )
        self.ship(a="A:1\tasthma\tDisease\n", b="B:1\tinsulin\tChemical|Gene\tHumulin\n")
        self.compiled = 0

    def ship(self, **vocabularies):
        entries = ""
        for name, text in vocabularies.items():
            data = gzip.compress(text.encode(), mtime=0)
            (self.folder / "open" / f"{name}.tsv.gz").write_bytes(data)
            entries += ENTRY.format(name=name, sha256=hashlib.sha256(data).hexdigest())
        (self.folder / "open" / "sources.yaml").write_text(entries)


@pytest.fixture
def box(tmp_path, monkeypatch):
    box = Box(tmp_path / "kb")
    build = module.build

    def counting(*args):
        box.compiled += 1
        return build(*args)

    monkeypatch.setattr(module, "shipped", lambda folder: tmp_path / folder)
    monkeypatch.setattr(module, "build", counting)
    monkeypatch.setenv("VANER_CACHE", str(tmp_path / "cache"))
    return box


def test_it_is_compiled_once_and_says_so(box, capsys):
    path = open_index()
    assert "compiling the open vocabulary (once" in capsys.readouterr().err
    assert open_index() == path and box.compiled == 1
    assert capsys.readouterr().err == ""
    kb = KnowledgeBase(path)
    assert set(kb.types) == {"Disease", "Chemical", "Gene"}
    (name,) = kb.lookup("humulin")
    assert [(c.id, c.source, c.preferred_name) for c in name.concepts] == [("B:1", "open-b", "insulin")]
    assert [v["licence"] for v in kb.description["vocabularies"]] == ["CC0-1.0", "CC0-1.0"]


def test_another_version_is_compiled_anew(box):
    first = open_index()
    box.ship(a="A:1\tasthma\tDisease\twheezing\n")
    second = open_index()
    (box.folder / "stoplist.tsv").write_text("wheezing\t*\ta test\n")
    third = open_index()
    assert len({first, second, third}) == 3 and box.compiled == 3
    assert KnowledgeBase(second).lookup("wheezing") and KnowledgeBase(third).lookup("wheezing")[0].muted


def test_a_file_that_is_not_the_shipped_one_is_refused(box, tmp_path):
    (box.folder / "open" / "b.tsv.gz").write_bytes(gzip.compress(b"B:1\tanother\tGene\n"))
    with pytest.raises(VanerError, match=r"b.tsv.gz: not the file that was shipped; install vaner again"):
        open_index()
    assert box.compiled == 0 and not list(tmp_path.glob("cache/kb/*.kb"))


@pytest.mark.parametrize("damage", [lambda data: data[:-100], lambda data: b"", lambda data: b"x" + data[1:]])
def test_a_damaged_index_is_compiled_again(box, caplog, damage):
    path = open_index()
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert open_index() == path and box.compiled == 2
    assert path.read_bytes() == whole
    assert "it is compiled again" in caplog.text


def test_what_fails_half_way_leaves_nothing(box, monkeypatch, tmp_path):
    build = module.build

    def fails(path, *rest):
        build(path.with_suffix(".tmp"), *rest)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module, "build", fails)
        with pytest.raises(KeyboardInterrupt):
            open_index()
    assert not list(tmp_path.glob("cache/kb/*.kb"))
    assert open_index().is_file()


def test_of_those_that_start_at_once_one_compiles(box):
    found, start = [], threading.Barrier(6)

    def ask():
        start.wait()
        found.append(open_index())

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6 and len(set(found)) == 1 and box.compiled == 1


def test_processes_that_start_at_once_compile_once(box, tmp_path):
    script = f"""
import time
from pathlib import Path
from vaner.knowledge import shipped
build = shipped.build
shipped.build = lambda *args: (time.sleep(3), build(*args))
shipped.shipped = lambda folder: Path({str(tmp_path)!r}) / folder
print(shipped.open_index())
"""
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    said = [run.communicate() for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0], said
    assert len({out for out, _ in said}) == 1
    assert sum("compiling" in err for _, err in said) == 1


def test_a_cache_that_cannot_be_written(box, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VANER_CACHE", str(tmp_path / "file"))
    with pytest.raises(
        VanerError, match="cannot be written .*; free space there, or name another folder"
    ) as caught:
        open_index()
    assert "\n" not in str(caught.value)


def test_names_of_indexes(box, tmp_path):
    assert named_index(None) is None and named_index("none") is None
    assert named_index("open") == open_index()
    (tmp_path / "x.kb").write_bytes(b"")
    assert named_index(str(tmp_path / "x.kb")) == named_index(tmp_path / "x.kb") == tmp_path / "x.kb"
    assert needed_index("open") == open_index()
    with pytest.raises(VanerError, match="none: names no index, and one is needed"):
        needed_index("none")
    with pytest.raises(VanerError, match="missing.kb: no such index; give the path of one .*, open or none"):
        named_index("missing.kb")


def test_the_dictionary_of_the_open_vocabulary_tags_and_links(box, tmp_path):
    from vaner.cli.predict import add_arguments, run

    parser = argparse.ArgumentParser()
    add_arguments(parser)
    (tmp_path / "a.txt").write_text("Humulin in asthma.\n")
    words = ["--model", "kb:open", "--link", "--input", str(tmp_path / "a.txt")]
    assert not run(parser.parse_args([*words, "--output", str(tmp_path / "a.jsonl")]))
    (document,) = read(tmp_path / "a.jsonl")
    found = [(span.text, span.type, span.concepts[0].id) for span in document.spans]
    assert found == [("Humulin", "Chemical", "B:1"), ("Humulin", "Gene", "B:1"), ("asthma", "Disease", "A:1")]


# --- what is shipped ---


def test_what_is_shipped_is_whole_small_and_attributed():
    folder = shipped("kb") / "open"
    parts = read_sources(shipped("kb") / "sources.yaml")["open"].parts
    page = (folder / "README.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| [")]
    assert len(parts) == len(rows) == len(list(folder.glob("*.tsv.gz"))) > 10
    size = 0
    for part, row in zip(parts, rows, strict=True):
        (file,) = part.paths(None)
        data = file.read_bytes()
        size += len(data)
        assert (hashlib.sha256(data).hexdigest(),) == part.sha256, f"{file}: make it again with make.py"
        title, _, origin, version, licence, _ = (cell.strip() for cell in row.strip("|").split(" | "))
        assert title == f"[{part.title}]({part.url}), `{part.name.removeprefix('open-')}`"
        assert (version, licence) == (part.version, part.licence) and origin
        assert part.redistribution
    assert size <= 12e6
