"""In: a small index and hard texts. Out: codes of every (type, word), the same as a slow reference finds them."""

from __future__ import annotations

import numpy as np
import pytest

from vaner.document import Document, Passage
from vaner.errors import VanerError
from vaner.files import shipped
from vaner.inputs.lookups import FIELDS, TRUST, LeftOut, Lookups
from vaner.knowledge import DictionaryTagger, KnowledgeBase, Rules, build
from vaner.report import Report
from vaner.text.abbreviations import find
from vaner.text.units import Text
from vaner.vocabularies.terms import Term

TERMS = [
    Term("D1", "breast cancer", ("Disease",), True),
    Term("D2", "cancer", ("Disease",), True),
    Term("D3", "squamous cell carcinoma of the lung", ("Disease",), True),
    Term("D6", "small cell lung cancer", ("Disease",), True),
    Term("D4", "adenomatous polyposis", ("Disease",), True),
    Term("D5", "breast cancer 1", ("Disease",), True),
    Term("G1", "BRCA1", ("Gene",), True),
    Term("G1", "breast cancer 1", ("Gene",), False),
    Term("G2", "TNF-α", ("Gene",), True),
    Term("G3", "CAT", ("Gene",), True),
    Term("G4", "was", ("Gene",), True),
    Term("C1", "Tamoxifen", ("Chemical",), True),
    Term("C2", "insulin", ("Chemical", "Gene"), True),
    Term("C3", "calcium", ("Chemical",), True),
    Term("A1", "breast", ("Anatomy",), True),
    Term("T1", "İnsulinoma", ("Disease",), True),
]
NAMES = {"protein": ["protein", "Gene"], "Organ": ["Anatomy"], "Rock": ["Rock"]}
TYPES = ["Disease", "Gene", "Chemical", "protein", "Rock", "Organ"]

HARD = [
    Document("plain", "Breast cancers and tamoxifen ; TNF alpha, TNF-α and TNFα ; İnsulinoma, small cell lung cancer."),
    Document("nested", "squamous-cell carcinoma of the lung, breast cancer 1 (BRCA1), cancer of the breast"),
    Document("held back", "The cat was with CAT; WAS was not. CAT CAT cat."),
    Document("abbreviations", "Familial adenomatous polyposis (FAP) and calcium (Ca). FAP, Ca, FAPs; Ca2+ FAP."),
    Document("not a name", "The Committee Against Torture (CAT) met. CAT and CAT left insulin."),
    Document(
        "markup", "breast <i>cancer</i> of TNF-&#945; &amp; insulin, in<sup>3</sup>sulin\tcancer\nbreast\n\ncancer"
    ),
    Document("passages", "breast cancer cancer", passages=[Passage(0, 6, "title"), Passage(7, 20, "abstract")]),
    Document("invisible", "breast​ cancer, in­sulin, tamoxifen®, cancer​"),
    Document("empty", "   "),
    Document("one", "x"),
]  # fmt: skip


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> KnowledgeBase:
    path = tmp_path_factory.mktemp("kb") / "kb.idx"
    several = [(f"V{i}", TERMS[: len(TERMS) - 3 * i]) for i in range(5)]
    made = [({"name": name, "version": "7"}, terms) for name, terms in several]
    return build(path, made, Rules.load(shipped("kb")), Report())


# --- a slow reference, word by word ---


def reference(kb: KnowledgeBase, text: Text, types: list[str], start: int, end: int) -> np.ndarray:
    """The same codes, from what the dictionary tagger marks, one word at a time."""
    (tagged,) = DictionaryTagger(kb).tag_documents([text.document])
    definitions = {one.short for one in find(text.document.text)}
    codes = np.zeros((len(types), end - start, len(FIELDS)), dtype=np.uint8)
    field = {name: i for i, name in enumerate(FIELDS)}

    def words_of(first: int, last: int) -> tuple[int, int]:
        inside = [i for i, (a, b) in enumerate(text.offsets) if a < last and first < b]
        return (inside[0], inside[-1] + 1) if inside else (0, 0)

    def serving(type: str) -> list[str]:
        return [t for t in NAMES.get(type, [type]) if t in kb.types]

    asked = {t for type in types for t in serving(type)}
    spans = [(*words_of(s.start, s.end), s) for s in tagged.spans]
    back = [(*words_of(match.start, match.end), match.type, match) for match in held_back(kb, text.document)]
    for row, type in enumerate(types):
        mine = serving(type)
        if not mine:
            continue
        taken: dict[int, tuple] = {}
        for pool in (
            [(a, b, 1, s.type, s.text) for a, b, s in spans if s.type in mine],
            [(a, b, 2, t, text.document.text[m.start : m.end]) for a, b, t, m in back if t in mine],
        ):
            for one in sorted(pool, key=lambda p: (p[0] - p[1], p[0])):
                here = [w for w in range(max(one[0], start), min(one[1], end))]
                if here and not any(w in taken for w in here):
                    taken |= dict.fromkeys(here, one)
        for word in range(start, end):
            code = dict.fromkeys(FIELDS, 0)
            if word in taken:
                a, b, sure, kind, surface = taken[word]
                code["place"] = 2 if b - a == 1 else 3 if word == a else 5 if word == b - 1 else 4
                code["length"] = min(b - a, 5)
                # A short form that the document defines stands for its long form, and is spelt like no name of that.
                names = [] if surface in definitions else [n.text for n in kb.lookup(surface)]
                code["spelling"] = (
                    1 if surface in names else 2 if surface.lower() in [n.lower() for n in names] else 3
                )
                code["support"] = min(vocabularies(kb, surface, kind, text, definitions, (a, b)), 4)
                code["sure"] = sure
                same = {s.type for x, y, s in spans if (x, y) == (a, b)} - set(mine)
                code["shared"] = 1 if not same else 2 if same & asked else 3
            else:
                code["place"] = 1
                others = [(a, b) for a, b, s in spans if s.type not in mine and a <= word < b]
                if others:
                    code["elsewhere"] = 1 if any(a == word for a, _ in others) else 2
            for _, (a, b) in defined(text, definitions):
                if words_of(a, b)[0] <= word < words_of(a, b)[1]:
                    code["short_form"] = 1 if code["sure"] == 1 else 2
            for name, value in code.items():
                codes[row, word - start, field[name]] = value
    return codes


def vocabularies(kb: KnowledgeBase, surface: str, type: str, text: Text, definitions, place) -> int:
    """How many vocabularies have the name as one of the type; of a short form: its long form's."""
    if surface in definitions:
        (long,) = {one.long for one in find(text.document.text) if one.short == surface}
        ends = [
            s for s in next(iter(DictionaryTagger(kb).tag_documents([text.document]))).spans if s.type == type
        ]
        surface = next(s.text for s in ends if long.endswith(s.text) or s.text.endswith(long))
    return len({e.source for name in kb.lookup(surface) for e in name.concepts if type in e.types})


def held_back(kb: KnowledgeBase, document: Document):
    from vaner.text.segment import blocks

    for a, b in blocks(document.text, document.passages):
        for match in kb.held_back([document.text[a:b]])[0]:
            yield match._replace(start=match.start + a, end=match.end + a)


def defined(text: Text, shorts: set[str]):
    """Every place of a short form between characters that are of no word."""
    document = text.document.text
    for short in shorts:
        at = 0
        while (at := document.find(short, at)) >= 0:
            before, after = (
                document[at - 1 : at] if at else "",
                document[at + len(short) : at + len(short) + 1],
            )
            if not (before.isalnum() or before == "_" or after.isalnum() or after == "_"):
                yield short, (at, at + len(short))
                at += len(short)
            else:
                at += 1


@pytest.mark.parametrize("document", HARD, ids=lambda d: d.id)
def test_codes_are_those_of_a_slow_reference(index, document):
    text = Text.of(document)
    lookups = Lookups(index, NAMES)
    (found,) = lookups.found([text])
    size = len(text.words)
    rows = {
        (0, size),
        (0, size // 2),
        (size // 2, size),
        (1, size),
        *((i, i + 3) for i in range(max(size - 2, 0))),
    }
    for start, end in sorted(rows):
        if start >= end:
            continue
        for types in (TYPES, TYPES[:1], TYPES[1:3]):
            fast = lookups.codes(found, types, start, end)
            assert fast.tolist() == reference(index, text, types, start, end).tolist(), (start, end, types)


def test_hard_texts_reach_every_value_of_every_field(index):
    """Else the reference would have compared too little."""
    lookups = Lookups(index, NAMES)
    texts = [Text.of(document) for document in HARD]
    seen = {name: set() for name in FIELDS}
    for text, found in zip(texts, lookups.found(texts), strict=True):
        for types in (TYPES, ["Disease"], ["Gene"]):
            codes = lookups.codes(found, types, 0, len(text.words))
            for i, name in enumerate(FIELDS):
                seen[name] |= set(codes[..., i].ravel().tolist())
    assert seen == {name: set(range(size)) for name, size in FIELDS.items()}


def test_what_is_a_name_is_a_mention_where_a_type_goes_by_names(index):
    lookups = Lookups(index, NAMES)
    text = Text.of(Document("a", "The cat has breast cancer , tamoxifen and CAT"))
    (found,) = lookups.found([text])
    tags = {type: lookups.by_names(found, type, len(text.words)).argmax(-1).tolist() for type in TYPES}
    assert tags["Disease"] == [0, 0, 0, 1, 2, 0, 0, 0, 0]
    assert tags["Chemical"] == [0, 0, 0, 0, 0, 0, 1, 0, 0]
    # What is held back is none.
    assert tags["Gene"] == tags["protein"] == [0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert not any(tags["Rock"])
    scores = np.exp(lookups.by_names(found, "Disease", len(text.words)))
    assert np.allclose(scores.sum(-1), 1) and np.allclose(scores.max(-1), TRUST)


def test_texts_are_looked_up_alike_alone_and_together(index):
    lookups = Lookups(index, NAMES, nested=True)
    texts = [Text.of(document) for document in HARD]
    together = lookups.found(texts)
    assert all((a == lookups.found([t])[0]).all() for a, t in zip(together, texts, strict=True))


def test_gold_has_no_part(index):
    text = "breast cancer was seen"
    plain = Document("a", text)
    gold = plain.with_spans([plain.span(0, 6, "Gene")])
    lookups = Lookups(index)
    found = [lookups.found([Text.of(one)])[0].tolist() for one in (plain, gold)]
    assert found[0] == found[1]


def test_a_type_without_names_is_told_nothing_of(index):
    lookups = Lookups(index, NAMES)
    assert "Rock" not in lookups.types and "protein" in lookups.types
    text = Text.of(HARD[0])
    codes = lookups.codes(lookups.found([text])[0], ["Rock", "Disease"], 0, len(text.words))
    assert not codes[0].any() and codes[1, :, 0].all()
    with pytest.raises(VanerError, match="no name of Rock, Stone; it has"):
        lookups.check(["Stone", "Rock"])


# --- what training leaves out ---


def codes_of(lookups, text, types, left_out, seed):
    (found,) = lookups.found([text])
    return lookups.codes(found, types, 0, len(text.words), np.random.default_rng(seed), left_out)


def test_rows_types_and_names_are_left_out_as_often_as_said(index):
    lookups = Lookups(index, nested=True)
    text = Text.of(Document("a", "tamoxifen , insulin and CAT , tamoxifen"))
    draws = [
        codes_of(lookups, text, ["Chemical", "Gene"], LeftOut(0.3, 0.2, 0.1), [seed]) for seed in range(3000)
    ]
    whole = [codes.any() for codes in draws]
    assert abs(1 - np.mean(whole) - (0.3 + 0.7 * 0.2 * 0.2)) < 0.03
    rows = [codes for codes in draws if codes.any()]
    assert abs(np.mean([codes[0].any() for codes in rows]) - 0.8 / 0.96) < 0.03
    kept = [codes for codes in rows if codes[0].any()]
    names = np.array([codes[0, [0, 2, 6], 0] > 1 for codes in kept])
    assert (names[:, 0] == names[:, 2]).all()  # a name goes or stays in all its places
    assert abs(names[:, 0].mean() - 0.9) < 0.03 and abs(names[:, 1].mean() - 0.9) < 0.03


def test_a_name_inside_comes_to_light_where_the_longer_is_left_out(index):
    lookups = Lookups(index, nested=True)
    text = Text.of(Document("a", "breast cancer"))
    seen = {
        tuple(codes_of(lookups, text, ["Disease"], LeftOut(0, 0, 0.5), [seed])[0, :, 0].tolist())
        for seed in range(200)
    }
    assert seen == {(3, 5), (1, 2), (1, 1)}


def test_what_was_no_match_before_is_none_where_others_are_left_out(index):
    """A short form that the document defines otherwise, and words on both sides of a passage's border."""
    lookups = Lookups(index, nested=True)
    for document, type, never in (
        (Document("a", "Committee Against Torture (CAT) had TNF-\u03b1 ; CAT"), "Gene", "CAT"),
        (Document("b", "tamoxifen breast cancer", passages=[Passage(0, 16, "x"), Passage(17, 23, "y")]), "Disease",
         "breast"),
    ):  # fmt: skip
        text = Text.of(document)
        places = [i for i, word in enumerate(text.words) if word == never]
        for seed in range(60):
            codes = codes_of(lookups, text, [type], LeftOut(0, 0, 0.5), [seed])
            assert (codes[0, places, 0] == 1).all()


def test_nothing_is_left_out_where_nothing_shall_be(index):
    lookups = Lookups(index, NAMES, nested=True)
    for document in HARD:
        text = Text.of(document)
        (found,) = lookups.found([text])
        (plain,) = Lookups(index, NAMES).found([text])
        whole = lookups.codes(found, TYPES, 0, len(text.words), np.random.default_rng(1), LeftOut(0, 0, 0))
        assert (whole == Lookups(index, NAMES).codes(plain, TYPES, 0, len(text.words))).all()
