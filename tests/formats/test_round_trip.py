"""In: Documents full of hard characters. Out: that each format gives back all that it can hold."""

import pytest
from hypothesis import given as hypothesis_given
from hypothesis import settings
from hypothesis import strategies as st

from vaner.document import Concept, Document, Passage, Span
from vaner.formats import read, write
from vaner.report import Report
from vaner.text.segment import words

# Line ends that are none, spaces that are none, two code units, combining, right to left, case that grows.
HARD = (
    'aB7-|;,\t "<&>\u00a0\u2028\u2029\x85\x0b\x0c\x1c\u200b\ufeff\u0301é\u202eİß😀\U0001d400\U0001f9d1\u200d'
)
LINE_ENDS = "\r\n"
EXAMPLES = settings(deadline=None, max_examples=40)


def given(**strategies):
    """Hypothesis' given, with this module's settings."""
    return lambda test: EXAMPLES(hypothesis_given(**strategies)(test))


IDS = st.text("aZ09._-", min_size=1, max_size=8).filter(lambda id: not id.startswith("."))
TYPES = st.sampled_from(["Disease", "Cell line", "Gène", "a-b"])
CONCEPTS = st.lists(
    st.sampled_from(
        [Concept("D003920"), Concept("MESH:D1", "MESH"), Concept("-1"), Concept("c|SUB|T|920|G")]
    ),
    max_size=3,
    unique=True,
).map(tuple)
# What keeps the columns apart is not part of an id: | and ; inside one are tmVar's alone.
PLAIN_CONCEPTS = CONCEPTS.map(lambda ids: tuple(c for c in ids if "|" not in c.id))
NO_SCORE = st.none()
SCORES = st.none() | st.floats(0, 1)


@st.composite
def spans(draw, text, concepts=PLAIN_CONCEPTS, scores=NO_SCORE, fragments=False):
    found = []
    for _ in range(draw(st.integers(0, 4)) if text else 0):
        cuts = sorted(draw(st.sets(st.integers(0, len(text)), min_size=2, max_size=4 if fragments else 2)))
        pieces = tuple(zip(cuts[::2], cuts[1::2], strict=False))
        found.append(
            Span(
                pieces[0][0],
                pieces[-1][1],
                draw(TYPES),
                text[pieces[0][0] : pieces[-1][1]],
                draw(scores),
                draw(concepts),
                pieces if len(pieces) > 1 else (),
            )
        )
    return found


@st.composite
def documents(draw, alphabet=HARD + LINE_ENDS, passages=False, **options):
    text = draw(st.text(alphabet, max_size=30))
    parts = []
    if passages:
        cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=4)))
        kinds = st.sampled_from(["title", "abstract", "p"])
        parts = [Passage(s, e, draw(kinds)) for s, e in zip(cuts[::2], cuts[1::2], strict=False)]
    return Document(draw(IDS), text, draw(spans(text, **options)), parts)


def round_trip(folder, name, format, before):
    report = Report()
    path = folder / name
    if path.is_dir():
        for file in path.rglob("*.*"):
            file.unlink()
    write(path, before, format, report=report)
    return list(read(path, format)), report


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("round_trip")


def several(strategy):
    return st.lists(strategy, min_size=1, max_size=3, unique_by=lambda d: d.id)


@given(data=st.data())
def test_jsonl_holds_everything(folder, data):
    before = data.draw(several(documents(passages=True, concepts=CONCEPTS, scores=SCORES, fragments=True)))
    metadata = st.dictionaries(st.text(max_size=4), st.none() | st.text(HARD, max_size=4) | st.integers())
    for document in before:
        document.metadata = data.draw(metadata)
        document.types = data.draw(st.none() | st.frozensets(TYPES))
        document.words = data.draw(st.none() | st.just([(0, len(document.text))]))
    assert round_trip(folder, "a.jsonl", "jsonl", before)[0] == before


@given(before=several(documents(passages=True, scores=SCORES, fragments=True)))
def test_bioc_json(folder, before):
    after, report = round_trip(folder, "a.json", "bioc", before)
    assert [d.text for d in after] == [d.text for d in before]
    assert [d.passages for d in after] == [d.passages for d in before]
    assert after == before and not report.counts


XML = "".join(c for c in HARD if c not in "\x0b\x0c\x1c")


@given(before=several(documents(XML + LINE_ENDS, passages=True, scores=SCORES, fragments=True)))
def test_bioc_xml(folder, before):
    after, report = round_trip(folder, "a.xml", "bioc", before)
    assert after == before and not report.counts


@given(before=several(documents(HARD, concepts=st.just(()) | PLAIN_CONCEPTS)))
def test_pubtator_in_one_line(folder, before):
    after, report = round_trip(folder, "a.txt", "pubtator", before)
    assert [(d.id, d.text, d.spans) for d in after] == [(d.id, d.text, d.spans) for d in before]
    assert not report.counts


@given(data=st.data())
def test_pubtator_with_title_and_abstract(folder, data):
    title, abstract = data.draw(st.text(HARD, max_size=12)), data.draw(st.text(HARD, min_size=1, max_size=12))
    text = f"{title}\n{abstract}"
    parts = [Passage(0, len(title), "title"), Passage(len(title) + 1, len(text), "abstract")]
    before = [Document("7", text, data.draw(spans(text)), parts)]
    after, report = round_trip(folder, "b.txt", "pubtator", before)
    assert after == before and not report.counts


@given(before=several(documents(HARD + LINE_ENDS)))
def test_pubtator_keeps_offsets_whatever_it_loses(folder, before):
    after, _ = round_trip(folder, "c.txt", "pubtator", before)
    assert [len(d.text) for d in after] == [len(d.text) for d in before]
    assert [[s.key for s in d.spans] for d in after] == [[s.key for s in d.spans] for d in before]


def held_by_brat(span):
    """brat breaks mentions at line ends, so one cannot begin or end there."""
    return span.text[0] not in LINE_ENDS and span.text[-1] not in LINE_ENDS


@given(before=several(documents(HARD + LINE_ENDS, concepts=CONCEPTS)))
def test_brat(folder, before):
    before = [d.with_spans(filter(held_by_brat, d.spans)) for d in before]
    after, report = round_trip(folder, "a.zip", "brat", before)
    assert after == sorted(before, key=lambda d: d.id) and not report.counts


@given(before=several(documents(HARD, fragments=True)))
def test_brat_fragments(folder, before):
    after, _ = round_trip(folder, "b.zip", "brat", before)
    assert after == sorted(before, key=lambda d: d.id)


WORDS = st.text("".join(c for c in HARD if c not in "\t "), min_size=1, max_size=4)


@st.composite
def tagged(draw):
    """A Document as CoNLL has it: words in sentences, mentions that do not overlap."""
    sentences = draw(st.lists(st.lists(WORDS, min_size=1, max_size=5), max_size=3))
    text = "\n".join(" ".join(words) for words in sentences)
    words, bounds, found, at = [], [], [], 0
    for sentence in sentences:
        begin, first = at, len(words)
        for word in sentence:
            words.append((at, at + len(word)))
            at += len(word) + 1
        bounds.append((begin, at - 1))
        reached = first
        while reached < len(words):
            length = draw(st.integers(0, len(words) - reached))
            if length:
                start, end = words[reached][0], words[reached + length - 1][1]
                found.append(Span(start, end, draw(st.sampled_from(["X", "a-b"])), text[start:end]))
            reached += length or 1
    return Document(draw(IDS), text, found, sentences=bounds, words=words)


@given(before=several(tagged()), scheme=st.sampled_from(["iob2", "iobes"]))
def test_conll(folder, before, scheme):
    report = Report()
    write(folder / "a.conll", before, "conll", report=report, scheme=scheme)
    assert list(read(folder / "a.conll", "conll", scheme=scheme, report=report)) == before
    assert not report.counts


@given(before=documents(HARD + LINE_ENDS))
def test_conll_of_any_text_reads_back(folder, before):
    write(folder / "b.conll", [before], "conll", report=Report())
    report = Report()
    (after,) = read(folder / "b.conll", "conll", report=report)
    kept = "".join(before.text[start:end] for start, end in words(before.text))
    assert "".join(after.text.split()) == kept
    assert not report.counts
