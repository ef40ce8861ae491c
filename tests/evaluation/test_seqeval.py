"""In: real corpora, predictions wrong in every way a tagger is. Out: our scores are seqeval's, mention for mention."""

import os
import random
from pathlib import Path

import pytest

from vaner import formats
from vaner.document import Document
from vaner.evaluation.agreement import agreement, read_columns
from vaner.evaluation.metrics import MICRO, score
from vaner.evaluation.pairing import pair


def corrupted(documents, seed):
    """Predictions wrong in every way a tagger is: missed, spurious, cut, widened, of another type."""
    draw = random.Random(seed)
    types = sorted({s.type for d in documents for s in d.spans} | {"Other"})
    for d in documents:
        kept, taken = [], 0
        for first, last, type in _word_spans(d):
            roll = draw.random()
            if roll < 0.1:
                continue
            if roll < 0.2:
                type = draw.choice(types)
            elif roll < 0.3:
                last = draw.randint(first, last)
            elif roll < 0.4 and last + 1 < len(d.words):
                last += 1
            if first >= taken:
                kept.append((first, last, type))
                taken = last + 1
            if roll > 0.9 and taken + 1 < len(d.words):
                kept.append((taken, taken, draw.choice(types)))
                taken += 1
        yield d.with_spans(d.span(d.words[a][0], d.words[b][1], type) for a, b, type in kept)


def _word_spans(d):
    starts, ends = {s: i for i, (s, _) in enumerate(d.words)}, {e: i for i, (_, e) in enumerate(d.words)}
    return [(starts[s.start], ends[s.end], s.type) for s in d.spans]


def _agrees(gold, seed):
    found = pair(
        gold, corrupted(gold, seed), types=sorted({s.type for d in gold for s in d.spans} | {"Other"})
    )
    ours, theirs = score(found), agreement(found)
    assert not theirs.lost and 0.5 < ours[MICRO].f1 < 0.95
    for mode in (theirs.default, theirs.strict):
        assert mode.f1 == pytest.approx(ours[MICRO].f1, abs=1e-12)
        assert mode.precision == pytest.approx(ours[MICRO].precision, abs=1e-12)
        assert mode.recall == pytest.approx(ours[MICRO].recall, abs=1e-12)
        assert mode.macro_f1 == pytest.approx(ours.macro.f1, abs=1e-12)


def mtl(corpus, sentences):
    """The first sentences of a real corpus's dev split and their lines, or the test is skipped."""
    folder = os.environ.get("VANER_DATA")
    path = Path(folder or ".") / f"MTL-Bioinformatics-2016/data/{corpus}-IOB/devel.tsv"
    if not path.exists():
        pytest.skip("set VANER_DATA to a folder with MTL-Bioinformatics-2016")
    return "\n\n".join(path.read_text().split("\n\n")[:sentences]) + "\n"


real = pytest.mark.parametrize(
    ("corpus", "sentences"),
    [
        ("NCBI-disease", 500),
        ("BC5CDR", 500),
        pytest.param("NCBI-disease", None, marks=pytest.mark.slow),
        pytest.param("BC5CDR", None, marks=pytest.mark.slow),
    ],
)


@real
def test_seqeval_agrees_on_a_real_corpus_with_corrupted_predictions(tmp_path, corpus, sentences):
    (tmp_path / "gold.tsv").write_text(mtl(corpus, sentences))
    _agrees(list(formats.read(tmp_path / "gold.tsv", "conll")), seed=1)


@real
def test_broken_tags_of_a_real_corpus_are_scored_as_by_the_default_mode(tmp_path, corpus, sentences):
    """Every tenth B- is turned into I-; our reader repairs as conlleval does, seqeval's default mode."""
    gold, broken = tmp_path / "gold" / "dev.tsv", tmp_path / "broken" / "dev.tsv"
    first, *rest = mtl(corpus, sentences).split("\tB-")
    for path, every in ((gold, 10**9), (broken, 10)):
        path.parent.mkdir()
        tags = ("\tI-" if i % every == every - 1 else "\tB-" for i in range(len(rest)))
        path.write_text(first + "".join(tag + part for tag, part in zip(tags, rest, strict=True)))
    found = pair(formats.read(gold, "conll"), formats.read(broken, "conll", report=formats.Report()))
    checked = agreement(found, (read_columns(gold), read_columns(broken)))
    assert checked.default.f1 == pytest.approx(score(found)[MICRO].f1, abs=1e-12)
    assert checked.strict.f1 < checked.default.f1 <= 1


def test_seqeval_agrees_on_a_small_corpus():
    text = "Aspirin and ibuprofen for colon cancer , not for breast cancer"
    words = [
        (0, 7),
        (8, 11),
        (12, 21),
        (22, 25),
        (26, 31),
        (32, 38),
        (39, 40),
        (41, 44),
        (45, 48),
        (49, 55),
        (56, 62),
    ]
    spans = [(0, 7, "Chemical"), (12, 21, "Chemical"), (26, 38, "Disease"), (49, 62, "Disease")]
    golds = [Document(str(i), text, words=words) for i in range(20)]
    _agrees([d.with_spans(d.span(*s) for s in spans) for d in golds], seed=3)
