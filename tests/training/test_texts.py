"""In: documents, made and of the samples. Out: the same Texts, tags and tokens from columns, in memory and mapped."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest

from vaner.corpora.registry import read_registry
from vaner.document import Document, Passage
from vaner.files import sha256
from vaner.inputs.features import MAX_WORD_TOKENS, Tokenisation
from vaner.text.tags import encode_tags
from vaner.text.units import Text
from vaner.training import columns, texts, tokens
from vaner.training.texts import Sizes, Texts
from vaner.training.tokens import Tokens

TYPES = ("Chemical", "Disease")


def made() -> list[Text]:
    """Documents of every kind: several fragments, passages, no word, astral letters, a type that is not trained on."""
    odd = Document(
        "odd",
        "Title \U0001f9ec here\nright and left failure of ACGT" + "ACGT" * 100 + ".",
        passages=[Passage(0, 12, "title")],
        types=frozenset({"Disease", "Gene"}),
        metadata={"pmid": "12", "other": {"not": "kept"}},
    )
    spans = [
        odd.span(13, 35, "Disease", fragments=((13, 18), (28, 35))),
        odd.span(23, 35, "Disease"),
        odd.span(6, 7, "Gene"),
    ]
    marked = Document("marked", "a b c . d e", [], sentences=[(0, 7), (8, 11)], words=[(0, 1), (2, 3)])
    found = [Text.of(odd.with_spans(spans)), Text.of(marked)]
    for name in ("bc5cdr-sample", "bc2gm-sample"):
        found += [Text.of(d) for d in itertools.islice(read_registry()[name].documents("train"), 15)]
    return [text for text in found if text.words]


def mapped(given, path, types=TYPES) -> Texts:
    sizes = Texts.write(path, given, types)
    return Texts.open(path, types, vars(sizes), sha256(path))


@pytest.fixture(params=["memory", "mapped", "mapped, many chunks"])
def both(request, tmp_path, monkeypatch) -> tuple[list[Text], Texts]:
    """Texts, and the same as columns."""
    if "many" in request.param:
        monkeypatch.setattr(texts, "_CHUNK", 40)
        monkeypatch.setattr(tokens, "_CHUNK", 40)
        monkeypatch.setattr(tokens, "_TEXTS", 3)
    given = made()
    return given, Texts.of(given, TYPES) if request.param == "memory" else mapped(given, tmp_path / "a.arrow")


def test_texts_come_out_as_they_went_in(both):
    given, found = both
    assert len(found) == len(given) and len(list(found)) == len(given)
    unreachable = 0
    for number, (one, text) in enumerate(zip(given, found, strict=True)):
        assert (text.words, text.offsets) == (one.words, one.offsets)
        assert (text.sentence_starts, text.block_starts) == (one.sentence_starts, one.block_starts)
        document = text.document
        assert (document.id, document.text, document.types) == (
            one.document.id,
            one.document.text,
            one.document.types,
        )
        assert document.passages == one.document.passages
        assert [(s.key, s.fragments) for s in document.spans] == [
            (s.key, s.fragments) for s in one.document.spans
        ]
        assert document.metadata == {k: v for k, v in one.document.metadata.items() if k == "pmid"}
        gold, lost = encode_tags(one.offsets, one.document.spans, TYPES, one.block_starts)
        unreachable += len(lost)
        assert np.array_equal(found.tags(number), gold) and found.tags(number).dtype == np.int8
        annotated = [t for t in TYPES if one.document.types is None or t in one.document.types]
        assert [TYPES[i] for i in found.annotated(number)] == annotated
        assert found.sentence_ranges(number) == one.sentence_ranges()
        assert found.words(number) == one.words and found.words(number, 1, 3) == one.words[1:3]
    mentions = sum(len(one.document.spans) for one in given)
    assert found.sizes == Sizes(len(given), sum(len(t.words) for t in given), mentions, unreachable)
    assert unreachable and [t.document.id for t in found[1:3]] == [t.document.id for t in given[1:3]]
    assert found[-1].document.id == given[-1].document.id
    with pytest.raises(IndexError):
        found[len(given)]
    assert [d.id for d in found.documents()] == [t.document.id for t in given]


def test_tokens_are_those_of_the_words(both, tiny_tokenizer, tmp_path, monkeypatch):
    monkeypatch.setenv("VANER_CACHE", str(tmp_path / "cache"))
    given, found = both
    words = Tokenisation(tiny_tokenizer, 400)
    for _ in range(2):
        got = Tokens.of(found, words)
        for number, text in enumerate(given):
            pieces = words.words(text.words)
            assert got.counts(number).tolist() == list(map(len, pieces))
            assert got.ids(number).tolist() == np.concatenate(pieces).tolist()
        assert len(got.shortened) == 1 and max(got.counts(0)) == MAX_WORD_TOKENS


def test_columns_are_pickled_as_the_path_that_they_are_mapped_from(tmp_path):
    given = made()
    found = mapped(given, tmp_path / "a.arrow")
    found.tags(0)  # a view, which is not pickled
    sent = pickle.dumps(found)
    assert len(sent) < 5000 < (tmp_path / "a.arrow").stat().st_size
    assert [t.words for t in pickle.loads(sent)] == [t.words for t in given]


def test_tokens_are_kept_for_the_same_texts_and_tokenizer(tmp_path, tiny_tokenizer, monkeypatch):
    monkeypatch.setenv("VANER_CACHE", str(tmp_path / "cache"))
    found = mapped(made(), tmp_path / "a.arrow")
    words = Tokenisation(tiny_tokenizer, 400)
    first = Tokens.of(found, words)
    other = Tokenisation(tiny_tokenizer, 300)
    monkeypatch.setattr(Tokenisation, "words", None)  # nothing is tokenised again
    again = Tokens.of(found, other)
    assert all(np.array_equal(first.ids(n), again.ids(n)) for n in range(len(found)))
    fewer = mapped(made()[:3], tmp_path / "b.arrow")
    with pytest.raises(TypeError):
        Tokens.of(fewer, words)


def test_another_tokenizer_has_another_fingerprint(tiny_tokenizer):
    from tokenizers import AddedToken

    words = Tokenisation(tiny_tokenizer, 400)
    one = tokens.fingerprint(words)
    assert one == tokens.fingerprint(Tokenisation(tiny_tokenizer, 200))
    changed = pickle.loads(pickle.dumps(tiny_tokenizer))
    changed.add_tokens([AddedToken("renal")])
    assert tokens.fingerprint(Tokenisation(changed, 400)) != one


def test_an_empty_corpus_has_no_text(tmp_path):
    assert len(Texts.of([], TYPES)) == len(mapped([], tmp_path / "a.arrow")) == 0
    assert list(mapped([], tmp_path / "b.arrow").documents()) == []


def test_what_is_kept_opens_with_datasets(tmp_path):
    from datasets import Dataset

    given = made()
    Texts.write(tmp_path / "a.arrow", given, TYPES)
    rows = Dataset.from_file(str(tmp_path / "a.arrow"))
    assert rows["id"] == [t.document.id for t in given]
    assert columns.Columns.open(tmp_path / "a.arrow").array("word_ends", 0).tolist() == [
        e for _, e in given[0].offsets
    ]
