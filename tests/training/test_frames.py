"""In: frames as people write them, a small index. Out: names in sentences, labelled by type; what is wrong is said."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from tests.training.test_names import (  # noqa: F401
    ALL,
    CHEMICALS,
    DISEASES,
    GENES,
    TEXTS,
    TYPES,
    kb,
    make_index,
    many,
    terms,
    texts_of,
)  # fmt: skip
from vaner.corpora.registry import read_registry
from vaner.errors import FormatError, VanerError
from vaner.text.tags import IGNORED, B, I, O
from vaner.training.frames import Frame, Frames, read_frames
from vaner.training.names import RelatedNames

# --- the file ---


def test_the_shipped_frames_are_of_known_types_and_some_take_any():
    frames = read_frames()
    assert len(frames) == len(set(frames)) > 30
    slots = Counter(slot for frame in frames for slot in frame.slots)
    assert slots.keys() - {""} <= read_registry().types.keys()
    assert slots[""] > 10 and min(slots[type] for type in ("Disease", "Chemical", "Gene", "Species")) >= 3
    assert all(frame.words[-1] for frame in frames), "a frame ends as a sentence does"


def test_a_frame_is_words_and_slots(tmp_path):
    path = tmp_path / "frames.txt"
    path.write_text("# none\n\n{}-induced {Disease}, and more.\n  We saw {}\n", encoding="utf-8")
    assert read_frames(path) == [
        Frame(((), ("-", "induced"), (",", "and", "more", ".")), ("", "Disease")),
        Frame((("We", "saw"), ()), ("",)),
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("We saw {}s.", "a slot is a part of a word"),
        ("We saw non{}.", "a slot is a part of a word"),
        ("We saw nothing.", "no slot; write {} or {Disease}"),
        ("We saw {.", "a stray brace"),
        ("We saw {} and {Cell Line}.", "a stray brace"),
    ],
)
def test_a_wrong_frame_is_named_with_its_line(tmp_path, line, said):
    path = tmp_path / "frames.txt"
    path.write_text(f"We saw {{}}.\n{line}\n", encoding="utf-8")
    with pytest.raises(FormatError, match="frames.txt:2: ") as caught:
        read_frames(path)
    assert said in str(caught.value)


def test_a_file_without_frames_is_refused(tmp_path):
    path = tmp_path / "frames.txt"
    path.write_text("# none\n", encoding="utf-8")
    with pytest.raises(VanerError, match=r"frames.txt: no frame in it; .*'We measured \{\} \.'"):
        read_frames(path)


# --- which names a frame takes ---


def frames_of(kb, *lines, annotated=None):  # noqa: F811
    frames = []
    for line in lines:
        words, slots = [()], []
        for word in line.split():
            if word.startswith("{"):
                slots.append(word[1:-1])
                words.append(())
            else:
                words[-1] += (word,)
        frames.append(Frame(tuple(words), tuple(slots)))
    bits = {type: np.uint64(1 << i) for i, type in enumerate(kb.types)}
    return Frames(frames, bits, kb, annotated or {}), bits


def test_a_slot_takes_names_of_its_type_alone_and_no_name_twice(kb):  # noqa: F811
    frames, bits = frames_of(kb, "a {Disease} b {Chemical} c", "{Disease} and {Disease}", "x {CellLine} y")
    assert len(frames) == 2, "the index has no cell line"
    types = np.array([bits["Disease"], bits["Chemical"], bits["Gene"], bits["Disease"]])
    rng = np.random.default_rng(1)
    seen = Counter()
    for _ in range(60):
        number, put = frames.draw(rng, [1, 2, 3, 0], types)
        assert (number, put) == (0, [3, 1])
        number, put = frames.draw(rng, [0, 1, 2, 3], types)
        assert put == ([0, 1] if number == 0 else [0, 3])
        seen[number] += 1
    assert min(seen[0], seen[1]) > 10
    assert frames.draw(rng, [2, 0, 1], types) is None, "no frame for a gene"
    assert frames.draw(rng, [1, 2], types) is None, "no disease is left"


def test_words_of_a_frame_that_may_be_mentions_are_no_negatives(kb):  # noqa: F811
    from vaner.knowledge import key_of

    annotated = {"Disease": {key_of("old age")}, "Cancer": {key_of("We")}}
    frames, bits = frames_of(kb, "We saw acute velomitis in old ages , {} .", annotated=annotated)
    assert frames.holds[0][0].tolist() == [0, 0, *[bits["Disease"]] * 2, 0, *[bits["Disease"]] * 2, 0]
    assert frames.holds[0][1].tolist() == [0]


# --- rows ---


def spans(row) -> list[tuple[str, int]]:
    """The names that a row of the shipped frames holds, and where each begins."""
    longest_first = sorted(ALL, key=lambda n: -len(n.split()))
    at, found = 0, []
    while at < len(row.words):
        here = [n for n in longest_first if row.words[at : at + len(n.split())] == tuple(n.split())]
        if here:
            found.append((here[0], at))
        at += len(here[0].split()) if here else 1
    return found


def test_names_in_frames_are_tagged_by_their_type_and_all_else_is_outside(kb):  # noqa: F811
    dense = RelatedNames(kb, [texts_of(*TEXTS)], style="frames")
    seen = Counter()
    for types in (("Disease",), ("Chemical",), ("Chemical", "Disease"), ("Disease", "Chemical")):
        for row in many(dense, 1, types):
            assert row.types == types and row.dataset is None and row.words[-1] == "."
            found = spans(row)
            assert len({name for name, _ in found}) == len(found)
            for type, line in zip(types, row.labels, strict=True):
                expected = [O] * len(row.words)
                for name, at in found:
                    own = "Disease" if name in DISEASES else "Chemical" if name in CHEMICALS else "Gene"
                    seen[own, type] += 1
                    if own == type:
                        end = at + len(name.split())
                        expected[at:end] = [B] + [I] * (end - at - 1)
                assert list(line) == expected
    assert seen.keys() == {(own, type) for own in ("Disease", "Chemical", "Gene") for type in TYPES}


def test_rows_of_frames_are_one_sentence_and_more_within_the_limit(kb):  # noqa: F811
    dense = RelatedNames(kb, [texts_of(*TEXTS)], style="frames", max_words=50)
    rows = many(dense, 1, TYPES, 200)
    # Every sentence ends with a full stop, and so may a number begin: 0 . 12
    whole = [" ".join(row.words).replace("0 . ", "0.").replace("2 . ", "2.") for row in rows]
    sentences = Counter(text.count(" .") for text in whole)
    assert sentences[1] > 20 and max(sentences) >= 4
    assert max(len(row.words) for row in rows) <= 50
    openings = Counter(row.words[:2] for row in rows)
    assert len(openings) > 20


def test_an_ambiguous_name_in_a_frame_carries_no_label(make_index):  # noqa: F811
    from vaner.vocabularies.terms import Term

    found = make_index(
        *terms(DISEASES[:3], "Disease"),
        Term("G1", "acute velomitis factor", ("Gene",), True),  # holds a disease's name
    )
    # Training annotates a word of a frame.
    texts = texts_of(
        (["Of acute velomitis, involved."], {"acute velomitis": "Disease", "involved": "Disease"})
    )
    dense = RelatedNames(found, [texts], style="frames")
    seen = Counter()
    for row in many(dense, 0, ("Disease", "Gene"), 200):
        for at, word in enumerate(row.words):
            if row.words[at : at + 3] == ("acute", "velomitis", "factor"):
                seen["factor"] += 1
                labels = [line[at : at + 3] for line in row.labels]
                assert labels == [(IGNORED,) * 3, (B, I, I)]
            if word == "involved":
                seen["involved"] += 1
                assert (row.labels[0][at], row.labels[1][at]) == (IGNORED, O)
    assert min(seen["factor"], seen["involved"]) > 5
