"""Formats on real corpora: enough room for every right answer, and all that can be written is read back."""

import itertools

import pytest

from tests.prompting.hard import keys
from vaner.corpora.registry import read_registry
from vaner.prompting.answers import FORMATS, answer_format
from vaner.prompting.found import Mention
from vaner.prompting.request import Answer
from vaner.prompting.unit import Unit
from vaner.text.units import Text

CORPORA = [
    "ncbi-disease-pubtator",
    "bc5cdr-pubtator",
    "biored",
    "tmvar3",
    "e3c",
    "nlm-gene",
    "ddi2013",
    "linnaeus",
    "anatem",
]


@pytest.fixture(scope="module")
def tokenizer():
    from pathlib import Path

    from tokenizers import Tokenizer

    from vaner.files import cache_folder

    path = Path(cache_folder()) / "backbones" / "smollm2-135m" / "tokenizer.json"
    if not path.is_file():
        pytest.skip("the embedded backbone is not in the cache")
    return Tokenizer.from_file(str(path))


def sentences(root, name):
    for document in itertools.islice(read_registry()[name].documents("train", root), 40):
        text = Text.of(document)
        for first, last in text.sentence_ranges():
            unit = Unit(text, first, last)
            start, end = unit.offsets[0][0], unit.offsets[-1][1]
            inside = [s for s in document.spans if start <= s.start and s.end <= end and not s.fragments]
            yield unit, [Mention(*key, "exact") for key in sorted({s.key for s in inside})]


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("corpus", CORPORA)
def test_right_answers_fit_and_are_read_back(corpora_root, tokenizer, name, corpus):
    format, seen = answer_format(name), 0
    for unit, mentions in sentences(corpora_root, corpus):
        types = sorted({m.type for m in mentions}) or ["Disease"]
        lost = format.left_out(unit, mentions, types)
        written = format.write(unit, mentions, types)
        room = len(tokenizer.encode(format.longest(unit, types)).ids)
        assert len(tokenizer.encode(written).ids) <= room, written
        writable = [m for m in mentions if m not in lost]
        for how in ("forced", *format.alignments[:2]):
            found = format.read(Answer(written), unit, types, how)
            assert not found.lost and found.unread_words == 0, (written, found)
            if name == "json" or how not in (
                "exact",
                "fuzzy",
            ):  # texts say no places, and only json counts on that
                assert set(keys(writable)) <= set(keys(found.mentions)), (written, how)
        seen += len(writable)
    assert seen > 20
