"""The index file: complete or not there, refused when it is not what was written, shared by processes."""

import json
import multiprocessing
import pickle
import struct
from collections import Counter
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaner.errors import FormatError, VanerError
from vaner.knowledge import KnowledgeBase, Rules, build, store
from vaner.knowledge import similar as similar_module
from vaner.knowledge.arrays import trigrams
from vaner.knowledge.normalise import normal_words, normalise
from vaner.report import Report
from vaner.vocabularies.terms import Term


def test_names_and_concepts_come_back(kb):
    by_text = {n.text: n for n in map(kb.name, range(len(kb)))}
    concept = by_text["breast cancer"].concepts[0]
    assert (concept.id, concept.source, concept.types) == ("D1", "test", ("Disease",))
    assert concept.preferred_name == "Breast Neoplasms"
    assert set(by_text["insulin"].types) == {"Gene", "Chemical"}
    assert kb.description["names"] == len(by_text) == len(kb)


def test_lookup_puts_the_same_spelling_first(kb):
    assert [n.text for n in kb.lookup("cat")] == ["cat", "CAT"]
    assert [n.text for n in kb.lookup("CAT")] == ["CAT", "cat"]
    assert kb.lookup("unheard of") == [] == kb.lookup("")


def test_inversions_are_undone(kb):
    assert {n.text for n in kb.lookup("acute abdomens")} == {"Acute Abdomen"}
    assert {n.text for n in kb.lookup("abdomen, acute")} == {"Abdomen, Acute"}


def test_names_of_a_type(kb):
    assert {n.text for n in kb.names("Gene")} == {"TNF", "TNF-alpha", "APC", "CAT", "catalase", "insulin"}
    assert len(kb.name_numbers()) == len(kb) - 2  # "12" and "was" are muted
    with pytest.raises(VanerError, match="no name of type Planet"):
        next(kb.names("Planet"))


def test_one_name_of_many_concepts(make_kb):
    kb = make_kb([Term(f"C{i}", "shared name", (f"T{i % 3}",), False) for i in range(70)])
    assert len(kb) == 1
    assert {c.id for c in kb.lookup("shared names")[0].concepts} == {f"C{i}" for i in range(70)}
    assert [m.type for m in kb.match(["shared name"])[0]] == ["T0", "T1", "T2"]


def test_concept_with_types_from_several_rows(make_kb):
    kb = make_kb([Term("C1", "one", ("A",), True), Term("C1", "two words", ("B",), False)])
    assert kb.lookup("two words")[0].concepts[0].types == ("A", "B")


def test_related_shares_rare_words_or_spelling(kb):
    names = [kb.text(number) for number, _ in kb.related("breast tumour cancer", limit=4)]
    assert "breast cancer" in names
    misspelt = kb.related("catalaze", ["Gene"])
    assert kb.text(misspelt[0][0]) == "catalase" and 0.5 < misspelt[0][1] < 1
    assert kb.related("catalaze", ["Gene"], least=0.99) == []
    assert kb.related("", limit=3) == []


form_of = cache(normalise)


@cache
def grams(form: str) -> set[str]:
    return {f"^{form}$"[i : i + 3] for i in range(len(form))}


def dice(a: set[str], b: set[str]) -> float:
    return 2 * len(a & b) / max(1, len(a) + len(b))


@cache
def hash_of(word: str) -> int:
    return int(normal_words(word).hash[0])


@cache
def lexical(text: str) -> list[str]:
    words = normal_words(text)
    return [words.normal(i) for i in np.flatnonzero(words.lexical)]


def related_slowly(kb, mention: str, types, limit: int, least: float) -> list[tuple[int, float]]:
    """What `KnowledgeBase.related` says, name by name, from the names alone (all are short lists here)."""

    of_name = [lexical(kb.text(n)) for n in range(len(kb))]
    count = Counter(word for words in of_name for word in words)
    place = {word: hash_of(word) for word in count}
    rare = [sorted(set(words), key=lambda w: (count[w], place[w]))[:2] for words in of_name]
    wanted = set()
    for word in lexical(mention):
        if word in count:
            wanted.add(word)
        elif len(word) >= 5:
            ranked = sorted(count, key=lambda w: (-dice(grams(w), grams(word)), place[w]))[:10]
            wanted |= {w for w in ranked if dice(grams(w), grams(word)) >= 0.6}
    found = []
    for number, words in enumerate(rare):
        name = kb.name(number)
        if wanted & set(words) and not name.muted and (types is None or set(types) & set(name.types)):
            found.append((number, dice(grams(form_of(mention)), grams(form_of(name.text)))))
    found = [pair for pair in found if pair[1] >= least]
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))[:limit]


def test_related_names_of_many_are_those_found_name_by_name(make_kb):
    rng = np.random.default_rng(7)
    roots = [
        "kinase",
        "kinases",
        "receptor",
        "tumour",
        "hepatic",
        "α",
        "syndrome",
        "velomide",
        "İzmir",
        "naïve",
        "12",
    ]
    names = {" ".join(rng.choice(roots, rng.integers(1, 4))) for _ in range(90)}
    types = [("Gene",), ("Disease",), ("Gene", "Chemical")]
    kb = make_kb([Term(f"C{i}", n, types[i % 3], True) for i, n in enumerate(sorted(names))])
    mentions = [
        *sorted(names)[::7],
        "receptar kinase",
        "syndromme",
        "",
        "xyz",
        "hepatics 12",
        "was",
        "TUMOUR-α",
    ]
    wanted = [(["Disease"], 20), (["Gene", "Chemical"], 5), (None, 3)]
    for least in (0.0, 0.55):
        found = kb.related_all(mentions, wanted, least=least)
        assert len(found) == len(mentions) and sum(map(len, (f for of in found for f in of))) > 50
        for mention, of in zip(mentions, found, strict=True):
            for (kinds, limit), got in zip(wanted, of, strict=True):
                assert got == related_slowly(kb, mention, kinds, limit, least), mention
                assert got == kb.related(mention, kinds, limit=limit, least=least)


def test_a_mention_with_many_candidates_takes_those_of_its_rarest_words(make_kb, monkeypatch):
    rare = [f"common rare {i}" for i in range(3)]
    names = [*rare, *(f"common word{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")]
    kb = make_kb([Term(f"C{i}", name, ("X",), True) for i, name in enumerate(names)])

    def found() -> set[str]:
        return {kb.text(number) for number, _ in kb.related("common rare", ["X"], limit=100)}

    assert found() == set(names)
    monkeypatch.setattr(similar_module, "_PER_WORD", 4)
    assert set(rare) < found() and len(found()) == 3 + 4
    monkeypatch.setattr(similar_module, "_CANDIDATES", 3)
    assert found() == set(rare)


@given(st.lists(st.text(max_size=8), max_size=6))
def test_three_letter_sequences_of_any_words(words):
    owner, gram = trigrams(words)
    decoded = ["".join(chr(int(g) >> shift & 0x1FFFFF) for shift in (42, 21, 0)) for g in gram]
    expected = [(i, sorted({f"^{w}$"[k : k + 3] for k in range(len(w))})) for i, w in enumerate(words)]
    assert list(zip(owner.tolist(), decoded, strict=True)) == [(i, g) for i, of in expected for g in of]


def test_same_input_same_bytes(make_kb):
    assert make_kb(name="a.idx").path.read_bytes() == make_kb(name="b.idx").path.read_bytes()


def test_packed_strings_over_many_blocks(make_kb):
    kb = make_kb(
        [Term(f"C{i}", f"name {i} of word{i % 50}", ("X",), True) for i in range(1000)], rules=Rules()
    )
    texts = {kb.text(i) for i in range(len(kb))}
    assert texts == {f"name {i} of word{i % 50}" for i in range(1000)}
    assert {kb.entry(i).id for i in range(1000)} == {f"C{i}" for i in range(1000)}


# --- bad files ---


def test_cut_short(kb):
    whole = kb.path.read_bytes()
    for size in (0, 4, 30, len(whole) // 2, len(whole) - 1):
        kb.path.write_bytes(whole[:size])
        with pytest.raises(FormatError, match="kb.idx: .*(again|make one)"):
            KnowledgeBase(kb.path)
    kb.path.write_bytes(whole + b"x")
    with pytest.raises(FormatError, match="cut short or added to"):
        KnowledgeBase(kb.path)


def test_another_version(kb, monkeypatch):
    data = bytearray(kb.path.read_bytes())
    struct.pack_into("<I", data, 8, store.VERSION + 1)
    kb.path.write_bytes(data)
    with pytest.raises(FormatError, match=f"index of version {store.VERSION + 1}, .* build it again"):
        KnowledgeBase(kb.path)


def test_another_normal_form(kb, monkeypatch):
    monkeypatch.setattr("vaner.knowledge.index.NORMAL_FORM", 99)
    with pytest.raises(FormatError, match="uses 99; build it again"):
        KnowledgeBase(kb.path)


def test_damage(kb):
    data = bytearray(kb.path.read_bytes())
    kb.verify()
    data[kb._store._sections["names"]["offset"] + 5] ^= 1
    kb.path.write_bytes(data)
    with pytest.raises(FormatError, match="'names' is damaged"):
        KnowledgeBase(kb.path).verify()
    data[40] ^= 1
    kb.path.write_bytes(data)
    with pytest.raises(FormatError, match="header is cut short or damaged"):
        KnowledgeBase(kb.path)


def test_damaged_names_are_one_line_where_they_are_read(kb):
    data = bytearray(kb.path.read_bytes())
    for part in ("names", "concept_id"):
        section = kb._store._sections[part]
        at = section["offset"] + kb._arrays[part].nbytes // 2
        damaged = data.copy()
        damaged[at] ^= 255
        kb.path.write_bytes(damaged)
        with pytest.raises(
            FormatError, match="kb.idx: block 0 of its names is damaged; build or copy it again"
        ):
            KnowledgeBase(kb.path).lookup("breast cancer")


def test_not_an_index(make):
    with pytest.raises(FormatError, match="not a knowledge-base index"):
        KnowledgeBase(make("x.idx", "C0000005|ENG|P|"))
    with pytest.raises(FileNotFoundError):
        KnowledgeBase("nowhere.idx")


def test_nothing_half_written(tmp_path, make_kb):
    def breaks_off():
        yield Term("1", "one name", ("X",), True)
        raise VanerError("the disk is full")

    path = tmp_path / "kb.idx"
    with pytest.raises(VanerError, match="disk is full"):
        build(path, [({"name": "x"}, breaks_off())], Rules(), Report())
    assert list(tmp_path.iterdir()) == []
    before = make_kb().path.read_bytes()
    with pytest.raises(VanerError, match="disk is full"):
        build(path, [({"name": "x"}, breaks_off())], Rules(), Report())
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_no_names(tmp_path):
    with pytest.raises(VanerError, match="x: no name was read"):
        build(tmp_path / "kb.idx", [({"name": "x"}, [])], Rules(), Report())
    report = Report()
    with pytest.raises(VanerError, match="no name is left"):
        build(tmp_path / "kb.idx", [({"name": "x"}, [Term("1", "++", ("X",), True)])], Rules(), report)
    assert report.counts["dropped: no letter or digit"] == 1


def test_too_many_types(tmp_path):
    terms = [Term(str(i), f"name{i}", (f"T{i}",), True) for i in range(65)]
    with pytest.raises(VanerError, match="more than 64 entity types"):
        build(tmp_path / "kb.idx", [({"name": "x"}, terms)], Rules(), Report())


# --- processes ---


def _look(path, queue):
    kb = KnowledgeBase(path)
    queue.put(json.dumps([list(m) for m in kb.match(["TNF-α in breast cancer"])[0]]))


def test_four_processes_at_once(kb):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    workers = [context.Process(target=_look, args=(str(kb.path), queue)) for _ in range(4)]
    for worker in workers:
        worker.start()
    answers = [queue.get(timeout=120) for _ in workers]
    for worker in workers:
        worker.join()
    assert len(set(answers)) == 1
    assert json.loads(answers[0]) == [list(m) for m in kb.match(["TNF-α in breast cancer"])[0]]


def test_pickling_gives_the_path(kb):
    data = pickle.dumps(kb)
    assert len(data) < 500
    assert pickle.loads(data).match(["TNF"]) == kb.match(["TNF"])


def test_arrays_are_read_only(kb):
    array = kb._arrays["key_low"]
    assert isinstance(array, np.ndarray)
    with pytest.raises(ValueError):
        array[0] = 1
