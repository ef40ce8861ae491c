"""In: real files, broken at random. Out: of every reader, true offsets or one clear line.

A file is cut short, bytes of it are flipped, its lines deleted, doubled and swapped, its columns swapped, its numbers
changed, and bytes put in that no text has. Whatever a reader makes of that, it gives documents whose spans are where
they say, or raises a VanerError of one line that names the file; it neither hangs nor takes memory without bound.

A new reader joins by its name in `seeds`. The quick run is in the fast tier; ``pytest -m slow`` tries hundreds of each,
and as many as ``VANER_EXAMPLES`` says.
"""

import contextlib
import gzip
import io
import os
import re
import resource
import shutil
import signal
import zipfile
from functools import cache
from pathlib import Path

import pyarrow
import pyarrow.ipc
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vaner.document import Document, Span
from vaner.errors import VanerError
from vaner.formats import READERS, detect, read, write
from vaner.report import Report

HERE = Path(__file__).parent
DATA = HERE / "data"
SAMPLES = HERE.parents[1] / "data" / "samples"
CORPORA = Path(os.environ.get("VANER_DATA") or "/nonexistent")

DEADLINE = 60
"""Seconds that one file of a few KB may take; a loaded machine is no hang."""
MEMORY = 2 << 30
"""Bytes that reading it may take on top of what the tests hold."""
LONGEST = 12_000

# Files of $VANER_DATA, where they are there: the beginning of each, and where it may be cut without harm.
REAL = {
    "bioc": [("BC5CDR/CDR_TestSet.BioC.xml", b"</document>", b"</collection>")],
    "conll": [
        ("MTL-Bioinformatics-2016/data/NCBI-disease-IOBES/devel.tsv", b"\n\n", b""),
        ("Biomedical-Corpora/corpora/NER/CoNLL/BIO/JNLPBA_BIO/valid.tsv", b"\n\n", b""),
    ],
    "pubtator": [("tmVar3/tmVar3_Test.PubTator", b"\n\n", b""), ("BioRED/Dev.PubTator", b"\n\n", b"")],
}
JSON_RECORDS = (
    b'{"id": "1", "text": "a \\ud83d\\ude00 aspirin\\r\\n", "spans": [{"start": 4, "end": 11, "type": "Drug", '
    b'"text": "aspirin", "score": 0.5, "concepts": [{"id": "D1", "source": "MESH"}], "fragments": [[4, 6], [8, 11]]}], '
    b'"passages": [{"start": 0, "end": 3, "kind": "title"}], "sentences": [[0, 3]], "words": [[0, 1]], '
    b'"types": ["Drug"]}\n'
    b'["aspirin", {"entities": [[0, 7, "Drug"]]}]\n'
    b'{"text": "aspirin", "label": [[0, 7, "Drug"]]}\n'
    b'{"tokens": ["a", "b"], "ner_tags": ["B-X", "O"]}\n'
    b'{"tokenized_text": ["a", "b"], "ner": [[0, 1, "X"]]}\n'
    b'{"text": "a b", "denotations": [{"id": "T1", "span": {"begin": 0, "end": 1}, "obj": "X"}], "sourceid": "5"}\n'
    b'{"title": "a", "abstract": "b"}\n',
    b'[{"id": 7, "data": {"text": "aspirin"}, "annotations": [{"id": 1, "result": [{"id": "a", "type": "labels", '
    b'"from_name": "l", "to_name": "t", "value": {"start": 0, "end": 7, "text": "aspirin", "labels": ["Drug"]}}]}]}]',
    b'{"classes": ["X"], "annotations": [["aspirin", {"entities": [[0, 7, "X"]]}], null]}',
)
BRAT_FILES = {
    "a.txt": "Naloxone 😀 helps.\r\nIt did so.\n".encode(),
    "a.ann": b"T1\tDrug 0 8\tNaloxone\nT2\tX 11 16;19 21\thelps It\nN1\tReference T1 MESH:D1\tn\n"
    b"R1\tE Arg1:T1 Arg2:T2\n",
    "b.txt": b"p53 binds.",
    "b.a1": b"T1\tProtein 0 3\tp53\n",
    "b.a2": b"T2\tBinding 4 9\tbinds\nE1\tBinding:T2 Theme:T1\n",
}


def cut(path: Path, at: bytes, end: bytes) -> bytes:
    content = path.read_bytes()[:LONGEST]
    return content[: content.rfind(at) + len(at)] + end


@cache
def seeds(name: str) -> list[tuple[str, bytes]]:
    """Files of a format that read well, by the name's ending: of the tests, of the samples, of $VANER_DATA."""
    found = {
        "bioc": [(".xml", (DATA / "mini.BioC.xml").read_bytes()), (".json", bioc_json())],
        "brat": [(".zip", zipped(BRAT_FILES))],
        "conll": [
            (".conll", (DATA / "mini.conll").read_bytes()),
            (".tsv", cut(SAMPLES / "anatem" / "dev.tsv", b"\n\n", b"")),
        ],
        "csv": [(".csv", 'pmid,text,year\n7,"Aspirin, ""one""\n😀",2020\n8,Fever,\n'.encode())],
        "datasets": [(".arrow", arrow())],
        "jats": [(".nxml", (DATA / "mini.nxml").read_bytes())],
        "jsonl": [(".json", content) for content in JSON_RECORDS],
        "medline": [(".nbib", (DATA / "mini.nbib").read_bytes())],
        "parquet": [(".parquet", parquet())],
        "pubmed": [(".xml", (DATA / "pubmed.xml").read_bytes())],
        "pubtator": [
            (".PubTator.txt", (DATA / "mini.PubTator.txt").read_bytes()),
            (".PubTator", cut(SAMPLES / "abstracts.pubtator", b"\n\n", b"")),
        ],
        "text": [(".txt", (SAMPLES / "abstracts.pubtator").read_bytes()[:LONGEST])],
    }[name]
    for file, at, end in REAL.get(name, ()):
        if (CORPORA / file).exists():
            found.append((Path(file).suffix, cut(CORPORA / file, at, end)))
    return found


def bioc_json() -> bytes:
    file = io.BytesIO()
    with contextlib.redirect_stdout(io.TextIOWrapper(file, write_through=True)) as out:
        write("-", read(DATA / "mini.BioC.xml"), "bioc:syntax=json", report=Report())
        out.detach()
    return file.getvalue()


def table() -> pyarrow.Table:
    spans = [[{"start": 4, "end": 11, "type": "Drug", "text": "aspirin"}], [], None]
    columns = {"pmid": [7, 8, 9], "text": ["a 😀 aspirin", "fever", ""], "spans": spans}
    return pyarrow.table(columns)


def parquet() -> bytes:
    file = io.BytesIO()
    pyarrow.parquet.write_table(table(), file)
    return file.getvalue()


def arrow() -> bytes:
    file = io.BytesIO()
    with pyarrow.ipc.new_file(file, table().schema) as writer:
        writer.write_table(table())
    return file.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


# --- what is done to a file ---

BROKEN_BYTES = st.sampled_from(
    [b"\0", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\r", b"\n", b"\t", b"\xe2\x80\xa8", b"\x85", b"|",
     b'"', b"<", b"&x;", b"&#0;", b"[", b"{", b"]]>", b"<!--", b"\\u0000", b"\\ud800", b"\xf0\x9f\x98\x80", b"\xcc\x81"]
)  # fmt: skip
NUMBERS = st.sampled_from(
    [b"0", b"-1", b"1e400", b"NaN", b"1.5", b"-0", b"null", b"true", b"99999999999", b"9" * 30, b"9" * 5000]
)
FRACTIONS = st.floats(0, 1, exclude_max=True)


def place(data: st.DataObject, length: int) -> int:
    return int(data.draw(FRACTIONS) * max(length, 1))


def truncated(data, content):
    return content[: place(data, len(content))]


def flipped(data, content):
    at, bit = place(data, len(content)), data.draw(st.integers(0, 7))
    return content[:at] + bytes(byte ^ (1 << bit) for byte in content[at : at + 1]) + content[at + 1 :]


def put_in(data, content):
    at = place(data, len(content))
    return content[:at] + data.draw(BROKEN_BYTES) + content[at:]


def cut_out(data, content):
    at = place(data, len(content))
    return content[:at] + content[at + data.draw(st.integers(1, 40)) :]


def line_deleted(data, content):
    lines = content.split(b"\n")
    del lines[place(data, len(lines))]
    return b"\n".join(lines)


def line_doubled(data, content):
    lines = content.split(b"\n")
    at = place(data, len(lines))
    return b"\n".join([*lines[: at + 1], *lines[at:]])


def lines_swapped(data, content):
    lines = content.split(b"\n")
    one, other = place(data, len(lines)), place(data, len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return b"\n".join(lines)


def columns_swapped(data, content):
    lines = content.split(b"\n")
    at = place(data, len(lines))
    parts = re.split(rb"([\t ,|]+)", lines[at])
    one, other = (2 * (place(data, len(parts)) // 2) for _ in range(2))
    parts[one], parts[other] = parts[other], parts[one]
    lines[at] = b"".join(parts)
    return b"\n".join(lines)


def number_changed(data, content):
    numbers = list(re.finditer(rb"-?\d+", content))
    if not numbers:
        return content
    found = numbers[place(data, len(numbers))]
    number = data.draw(NUMBERS | st.integers(-3, 3).map(lambda n: b"%d" % (int(found[0][:9]) + n)))
    return content[: found.start()] + number + content[found.end() :]


MUTATIONS = [truncated, flipped, put_in, cut_out, line_deleted, line_doubled, lines_swapped, columns_swapped,
             number_changed, number_changed]  # fmt: skip


def element_moved(data, content):
    """An element of XML without others in it goes to another place, or is there too: what is left is still XML."""
    leaves = list(re.finditer(rb"<([\w:-]+)[^<>]*(?:/>|>[^<>]*</\1>)", content))
    ends = [match.end() for match in re.finditer(rb"<[\w/][^<>]*>", content)]
    if not leaves or not ends:
        return content
    leaf = leaves[place(data, len(leaves))]
    to = ends[place(data, len(ends))]
    if leaf.start() < to < leaf.end():
        return content[: leaf.start()] + content[leaf.end() :]
    content = content[:to] + leaf[0] + content[to:]
    if data.draw(st.booleans()):
        shift = len(leaf[0]) if to <= leaf.start() else 0
        content = content[: leaf.start() + shift] + content[leaf.end() + shift :]
    return content


def value_changed(data, content):
    """A string or number of JSON becomes a value of another kind: what is left is still JSON."""
    values = list(re.finditer(rb'"[^"\\]*"|-?\d+(?:\.\d+)?|\[\]|null', content))
    if not values:
        return content
    found = values[place(data, len(values))]
    others = [
        b'"x"',
        b'""',
        b"7",
        b"-1",
        b"1.5",
        b"null",
        b"true",
        b"[]",
        b"{}",
        b"[[0, 1]]",
        b'["x", 1]',
        b'{"a": 1}',
    ]
    key = content[found.end() :].lstrip().startswith(b":")
    value = data.draw(
        st.sampled_from(others[:2] + [b'"text"', b'"spans"', b'"label"', b'"id"'] if key else others)
    )
    return content[: found.start()] + value + content[found.end() :]


def mutated(data, content: bytes) -> bytes:
    ways = list(MUTATIONS)
    if content.startswith(b"<"):
        ways += [element_moved] * len(MUTATIONS)
    if content.startswith((b"{", b"[")):
        ways += [value_changed] * len(MUTATIONS)
    for _ in range(data.draw(st.integers(1, 3))):
        content = data.draw(st.sampled_from(ways))(data, content)
    return content


def mutated_zip(data, content: bytes) -> bytes:
    """A zip whose files are broken, more often than itself."""
    if data.draw(st.integers(0, 4)) == 0:
        return mutated(data, content)
    files = dict(BRAT_FILES)
    name = data.draw(st.sampled_from(sorted(files)))
    files[name] = mutated(data, files[name])
    if data.draw(st.integers(0, 9)) == 0:
        del files[data.draw(st.sampled_from(sorted(files)))]
    return zipped(files)


def unpacked(path: Path, folder: Path) -> Path:
    """A folder of what the zip holds; the zip itself where it cannot be unpacked."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        zipfile.ZipFile(path).extractall(folder)
    except Exception:  # whatever a broken zip makes zipfile raise
        return path
    return folder


# --- what is asked of a reader ---


class Hang(Exception):
    """A reader that does not end."""


@contextlib.contextmanager
def bounded():
    """Stops what hangs, and lets no more memory be had than a small file can need."""

    def stop(number, frame):
        raise Hang(f"no end after {DEADLINE} s")

    held = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    before = resource.getrlimit(resource.RLIMIT_AS)
    handler = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, DEADLINE)
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, before[1]))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        resource.setrlimit(resource.RLIMIT_AS, before)


def check(path: Path, format: str, **options) -> int:
    """Read a file; the number of documents that it gave before it ended or was refused."""
    ids = set()
    report = Report()
    with bounded():
        try:
            for document in read(path, format, report=report, **options):
                assert document.id not in ids, "an id twice"
                ids.add(document.id)
                for span in document.spans:
                    assert document.text[span.start : span.end] == span.text != ""
                    assert all(span.start <= start < end <= span.end for start, end in span.fragments)
                for part in document.passages:
                    assert 0 <= part.start <= part.end <= len(document.text)
                document.text.encode()
        except VanerError as error:
            said = str(error).replace("9" * 5000, "9")  # an id, which is told as it is
            assert "\n" not in said and "\r" not in said and len(said) < 2000, said
            assert path.stem in said, f"names no file: {said}"
    for message in report.messages:
        assert "\n" not in message and len(message.replace("9" * 5000, "9")) < 2000, message
    return len(ids)


OPTIONS = {
    "bioc": {"offsets": ["raise", "repair", "drop"], "unit": ["auto", "utf16", "utf8"]},
    "brat": {"offsets": ["raise", "repair", "drop"], "unit": ["codepoints", "utf16", "utf8"], "crlf": ["auto", "1"]},
    "conll": {"scheme": ["auto", "iob1", "iob2", "iobes", "ioe"], "tag_column": [-1, 1, 2]},
    "jats": {name: ["no", "yes"] for name in ("captions", "tables", "references", "other_abstracts")},
    "jsonl": {"offsets": ["raise", "repair", "drop"], "unit": ["codepoints", "utf16", "utf8"], "crlf": ["2", "auto"]},
    "pubmed": {"other_abstracts": ["no", "yes"]},
    "pubtator": {"offsets": ["raise", "repair", "drop"], "unit": ["codepoints", "utf16", "utf8"]},
    "text": {"per": ["file", "line", "block"]},
}  # fmt: skip


def one_file(folder: Path, name: str, data) -> None:
    ending, content = data.draw(st.sampled_from(range(len(seeds(name)))).map(seeds(name).__getitem__))
    content = (mutated_zip if ending == ".zip" else mutated)(data, content)
    if ending != ".zip" and data.draw(st.integers(0, 7)) == 0:
        ending += ".gz"
        content = gzip.compress(content, 1, mtime=0)
        if data.draw(st.booleans()):
            content = data.draw(st.sampled_from([truncated, flipped, cut_out]))(data, content)
    path = folder / f"file{ending}"
    path.write_bytes(content)
    if ending == ".zip" and data.draw(st.booleans()):
        path = unpacked(path, folder / "file")
    options = {
        key: data.draw(st.sampled_from(values), label=key) for key, values in OPTIONS.get(name, {}).items()
    }
    on_error = data.draw(st.sampled_from(["raise", "skip"]))
    check(path, name, on_error=on_error, **options)
    with bounded():
        try:
            found = detect(path)
        except VanerError as error:
            assert "\n" not in str(error) and path.stem in str(error)
            return
    if found != name:
        check(path, found, on_error="skip")


def always(test, **profile):
    """The test with settings of its own, and no complaint about the folder, which is written to anew."""
    allowed = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(deadline=None, suppress_health_check=allowed, **profile)(given(data=st.data())(test))


@pytest.mark.parametrize("name", READERS)
def test_seeds_read_well(tmp_path, name):
    for number, (ending, content) in enumerate(seeds(name)):
        path = tmp_path / f"{number}file{ending}"
        path.write_bytes(content)
        options = {"offsets": "drop"} if name == "jsonl" else {}
        assert list(read(path, name, report=Report(), **options)), f"{name} {number}"


@pytest.mark.parametrize("name", READERS)
def test_mutated_files(tmp_path, name):
    always(lambda data: one_file(tmp_path, name, data), max_examples=50, derandomize=True, database=None)()


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_thousands_of_mutated_files(tmp_path, name):
    most = int(os.environ.get("VANER_EXAMPLES", 400))
    always(lambda data: one_file(tmp_path, name, data), max_examples=most)()


HUGE = b"9" * 5000
FOUND = {
    "a passage behind a gap of gigabytes": (
        "bioc",
        ".json",
        b'{"id": "1", "passages": [{"offset": 99999999999, "text": "a"}]}',
        "begins 99999999999 characters after the one before it ends",
    ),
    # ijson's parser in C ends the process at such a number.
    "a number of BioC": (
        "bioc",
        ".json",
        b'{"id": "1", "passages": [{"offset": %s, "text": "a"}]}' % HUGE,
        "a number of thousands of digits",
    ),
    "a number of JSON Lines": ("jsonl", ".jsonl", b'{"id": %s}\n' % HUGE, "a number of thousands of digits"),
    "a number of an array": ("jsonl", ".json", b'[\n{"id": %s}]' % HUGE, "a number of thousands of digits"),
    "an offset of PubTator": (
        "pubtator",
        ".txt",
        b"1|t|a\n1\t0\t%s\ta\tX\n" % HUGE,
        "a mention at 0... lies in no text",
    ),
    "an offset of brat": (
        "brat",
        ".zip",
        zipped({"a.txt": b"a", "a.ann": b"T1\tX 0 %s\ta\n" % HUGE}),
        "is no mention",
    ),
    "a zip whose file is broken": (
        "brat",
        ".zip",
        zipped({"a.txt": b"some text", "a.ann": b""}).replace(b"some text", b"some tent", 1),
        "a.txt: cannot be unpacked (Bad CRC-32 for file 'a.txt')",
    ),
    "a column's name of any length": ("csv", ".csv", b"8%s,b\n1,2\n" % (b"9" * 4999), "the columns are 8999"),
    "two columns of a name of any length": (
        "csv",
        ".csv",
        b"8%s,8%s\n1,2\n" % ((b"9" * 4999,) * 2),
        "are called '8999",
    ),
    "columns of any number": (
        "csv",
        ".csv",
        b",".join(b"c%d" % n for n in range(500)) + b"\n",
        "and 470 more",
    ),
    "an id of two lines": (
        "jsonl",
        ".jsonl",
        b'{"id": "1\\n2"}\n',
        "document 1\\n2: 'text' must be a string",
    ),
    "a PMID of any length": (
        "pubmed",
        ".xml",
        b"<PubmedArticle><MedlineCitation><PMID>%s</PMID></MedlineCitation></PubmedArticle>" % HUGE,
        "is no number",
    ),
}
for _name in ("bioc", "jats", "pubmed"):
    FOUND[f"a gzip file cut short, {_name}"] = (
        _name,
        ".gz",
        gzip.compress(b"<x>" * 9, mtime=0)[:-12],
        "the gzip file is broken",
    )


@pytest.mark.parametrize("case", FOUND)
def test_what_mutated_files_have_found(tmp_path, case):
    name, ending, content, message = FOUND[case]
    path = tmp_path / f"file{ending}"
    path.write_bytes(content)
    check(path, name)
    with pytest.raises(VanerError, match=re.escape(message)):
        list(read(path, name))


def test_a_long_number_is_found_wherever_chunks_end(tmp_path):
    path = tmp_path / "file.json"
    for before in range(64_000, 66_000, 400):
        text = "x" * before
        path.write_bytes(b'{"id": "1", "passages": [{"text": "%s", "offset": %s}]}' % (text.encode(), HUGE))
        check(path, "bioc")


def test_what_is_no_utf8_is_detected_all_the_same(tmp_path):
    path = tmp_path / "file.json"
    path.write_bytes(b'{"\xed\xa0\x80": {"a": 1}}')
    assert detect(path) == "jsonl"


def test_the_check_itself_finds_what_is_wrong(tmp_path, monkeypatch):
    """A reader that breaks its promises in each way is found out."""
    path = tmp_path / "file.txt"
    path.write_text("text")

    def broken(action):
        monkeypatch.setitem(READERS, "text", lambda path, *, on_error, report: action())
        return lambda: check(path, "text")

    def raises(error):
        raise error

    def hang():
        while True:
            pass

    moved = Document("1", "a b", [Span(0, 1, "X", "a")])
    moved.text = "b a"
    monkeypatch.setitem(globals(), "DEADLINE", 2)
    for action, expected in (
        (lambda: raises(KeyError("x")), KeyError),
        (lambda: iter([Document("1", "a"), Document("1", "b")]), AssertionError),
        (lambda: iter([moved]), AssertionError),
        (lambda: raises(VanerError("which one?")), AssertionError),
        (hang, Hang),
        (lambda: iter([bytes(8 * MEMORY)]), MemoryError),
    ):
        with pytest.raises(expected):
            broken(action)()
