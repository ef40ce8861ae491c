"""In: wordings, Documents drawn and of the samples. Out: type ends, words and tags are where they are said to be."""

from __future__ import annotations

from dataclasses import asdict
from unicodedata import category

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vaner.corpora.registry import read_registry
from vaner.document import Document, Passage, Span
from vaner.errors import VanerError
from vaner.inputs.instructions import TYPE_VECTORS, Template
from vaner.tagging import decode
from vaner.text.segment import seen
from vaner.text.tags import B, I, O, encode_tags
from vaner.text.units import Text, group

SAMPLES = ["ncbi-disease-sample", "bc5cdr-sample", "bc2gm-sample", "linnaeus-sample"]


# --- the wording ---


def test_the_default_wording_names_dataset_and_types():
    rendered = Template().render(["Disease", "Chemical", "Gene"], "bc5cdr")
    assert rendered.text == (
        "If any Disease, Chemical or Gene entity is mentioned in the bc5cdr input, extract it. ##input:"
    )
    assert rendered.types == ("Disease", "Chemical", "Gene")
    assert Template().render(["Disease", "Gene"], "x").text.startswith("If any Disease or Gene entity")
    assert Template().render(["Disease"], "x").text.startswith("If any Disease entity")


def test_adaptive_mode_leaves_the_dataset_out():
    rendered = Template().render(["Disease"])
    assert rendered.text == "If any Disease entity is mentioned in the input, extract it. ##input:"


TYPES = st.lists(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=8), min_size=1, max_size=5, unique=True
)


@settings(deadline=None)
@given(TYPES, st.sampled_from([None, "bc5cdr", "own"]), st.sampled_from(TYPE_VECTORS))
def test_type_spans_are_where_each_name_or_the_marker_behind_it_lies(types, dataset, vector):
    template = Template(
        known="{notes}{dataset} {{as is}} {definitions} asks: {types}. Again: {types}",
        adaptive="{types}?",
        definitions={types[0]: "the first one"},
        datasets={"own": "Mark {types} here"},
        type_vector=vector,
    )
    rendered = template.render(types, dataset, hints=["aspirin is a Chemical."])
    assert len(rendered.type_spans) == len(types)
    before = 0
    for kind, (start, end) in zip(types, rendered.type_spans, strict=True):
        if vector == "marker":
            assert rendered.text[start:end] == " ##" and rendered.text[:start].endswith(kind)
        else:
            assert rendered.text[start:end] == kind
        assert start >= before, "in order, and of one mention of the list"
        before = end
    assert before <= len(rendered.text)


def test_notes_are_put_before_the_text_and_leave_no_trace_where_there_are_none():
    plain = Template(datasets={"own": "Mark {types} here"}, alone={"Gene": "Any {types}? {notes} ##input:"})
    noted = plain.with_hints()
    assert noted == noted.with_hints()
    notes = ["TNF is a Gene.", "fever is a Disease."]
    said = "Note: TNF is a Gene. fever is a Disease."
    for types, dataset in (
        (["Gene", "Disease"], "x"),
        (["Disease"], None),
        (["Disease"], "own"),
        (["Gene"], None),
    ):
        without = plain.render(types, dataset)
        assert noted.render(types, dataset) == without
        hinted = noted.render(types, dataset, notes)
        assert hinted.type_spans == without.type_spans, "types stand before the notes here"
        assert hinted.text.replace(f" {said}", "") == without.text and said in hinted.text
        assert hinted.text.endswith(f" {said} ##input:") or dataset == "own"


def test_a_dataset_may_have_its_own_wording():
    template = Template(datasets={"jnlpba": "Find {types} as GENIA does:"})
    assert template.render(["DNA", "RNA"], "jnlpba").text == "Find DNA or RNA as GENIA does:"
    assert template.render(["DNA"], "bc5cdr").text == Template().render(["DNA"], "bc5cdr").text
    assert template.render(["DNA"]).text == Template().render(["DNA"]).text


def test_definitions_and_notes_stand_where_the_wording_says():
    template = Template(
        known="{definitions}. {notes} {types} in {dataset}:",
        adaptive="{definitions}. {types}:",
        definitions={"Disease": "an abnormal state", "Gene": "a gene", "Chemical": "a substance"},
    )
    rendered = template.render(["Chemical", "Disease", "Species"], "x", ["aspirin is a Chemical."])
    assert rendered.text == (
        "Chemical: a substance; Disease: an abnormal state. Note: aspirin is a Chemical. "
        "Chemical, Disease or Species in x:"
    )
    assert [rendered.text[slice(*span)] for span in rendered.type_spans] == ["Chemical", "Disease", "Species"]
    assert rendered.type_spans[0][0] > rendered.text.index("Note:"), "not of the definitions"


def test_a_marker_stands_behind_every_name():
    rendered = Template(type_vector="marker").render(["Disease", "Chemical"], "bc5cdr")
    assert rendered.text.startswith(
        "If any Disease ## or Chemical ## entity is mentioned in the bc5cdr input"
    )


def test_an_instruction_after_the_text_does_not_announce_it():
    after = Template(place="after", datasets={"own": "Mark {types} here"})
    assert after.render(["Disease"], "x").text == (
        "If any Disease entity is mentioned in the x input, extract it."
    )
    assert after.render(["Disease"], "own").text == "Mark Disease here"
    noted = after.with_hints()
    assert noted.render(["Disease"]) == after.render(["Disease"])
    assert noted.render(["Disease"], None, ["fever is a Disease."]).text.endswith(
        "extract it. Note: fever is a Disease."
    )


def test_braces_doubled_are_braces():
    assert Template(adaptive="{{{types}}}:").render(["Disease"]).text == "{Disease}:"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"known": "Find {types}"}, r"template known: \{dataset\} is missing"),
        ({"adaptive": "Find it"}, r"template adaptive: \{types\} is missing"),
        ({"known": "{type} of {dataset}"}, r"template known: unknown placeholder \{type\}.*\{types\}"),
        ({"adaptive": "{types} {"}, "template adaptive: .*no placeholder"),
        ({"adaptive": "{types} }"}, "template adaptive: .*no placeholder"),
        ({"adaptive": "{types} {}"}, r"unknown placeholder \{\}"),
        ({"adaptive": "{types!r}"}, r"write \{types\} without"),
        ({"adaptive": "{types:>9}"}, r"write \{types\} without"),
        ({"type_vector": "first"}, "template type_vector: unknown 'first'; choose one of last, mean, marker"),
        ({"place": "behind"}, "template place: unknown 'behind'; choose one of before, after"),
        ({"datasets": {"x": "Find it"}}, r"template datasets\[x\]: \{types\} is missing"),
    ],
)
def test_a_wrong_wording_is_refused_and_named(wrong, says):
    with pytest.raises(VanerError, match=says):
        Template(**wrong)


@pytest.mark.parametrize(
    ("types", "says"),
    [
        ([], "no entity type asked"),
        (["Disease", ""], "is empty"),
        (["Gene", "Gene"], "asked twice"),
    ],
)
def test_wrong_questions_are_refused(types, says):
    with pytest.raises(VanerError, match=says):
        Template().render(types, "bc5cdr")


def test_a_template_survives_its_own_dictionary():
    template = Template(adaptive="{types}:", definitions={"A": "b"}, datasets={"x": "{types}!"})
    assert Template(**asdict(template)) == template


# --- words and units ---


def test_words_are_the_same_whatever_the_spacing():
    raw = Text.of(Document("r", "A T-cell (11p15.5)."))
    split = Text.of(Document("s", "A T - cell ( 11p15 . 5 ) ."))
    assert raw.words == split.words == ["A", "T", "-", "cell", "(", "11p15", ".", "5", ")", "."]
    for text in (raw, split):
        assert [text.document.text[s:e] for s, e in text.offsets] == text.words


def test_sentences_of_the_file_are_kept_and_what_lies_between_them_is_not_lost():
    text = "Title here. Skipped one. One two. Three four. Rest of it."
    marked = [(text.index("One"), text.index(" Three")), (text.index("Three"), text.index(" Rest"))]
    read = Text.of(Document("d", text, sentences=marked, passages=[Passage(0, 11, "title")]))
    assert read.words == Text.of(Document("d", text)).words
    starts = [read.words[i] for i in read.sentence_starts]
    assert starts == ["Title", "Skipped", "One", "Three", "Rest"]
    assert read.offsets == sorted(read.offsets)


def test_marked_sentences_that_overlap_or_are_empty_give_every_word_once():
    text = "One two three four five six."
    read = Text.of(Document("d", text, sentences=[(0, 13), (8, 18), (10, 12), (5, 5), (19, 28)]))
    assert read.words == ["One", "two", "three", "four", "five", "six", "."]
    assert [read.words[i] for i in read.sentence_starts] == ["One", "four", "five"]


@settings(deadline=None)
@given(st.text(max_size=60), st.data())
def test_every_character_that_can_be_seen_lies_in_one_word(text, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    marked = data.draw(st.sampled_from([None, list(zip(cuts, cuts[1:], strict=False))]))
    read = Text.of(Document("d", text, sentences=marked))
    covered = [at for start, end in read.offsets for at in range(start, end)]
    assert covered == sorted(set(covered))
    assert [at for at in covered if seen(text[at])] == [
        at for at, c in enumerate(text) if not c.isspace() and category(c) != "Cc" and seen(c)
    ]
    assert read.sentence_starts == sorted(set(read.sentence_starts))
    assert all(a < b for a, b in read.sentence_ranges())
    assert sum(b - a for a, b in read.sentence_ranges()) == len(read.words)


def ranges_of(lengths):
    ends = np.cumsum([0, *lengths]).tolist()
    return list(zip(ends, ends[1:], strict=False))


@settings(deadline=None)
@given(st.lists(st.integers(1, 30), max_size=12), st.integers(1, 50))
def test_units_are_whole_sentences_of_at_most_so_many_words(lengths, most):
    sentences = ranges_of(lengths)
    units = group(sentences, lambda: most)
    assert [u[0] for u in units] == [0, *(u[1] for u in units)][: len(units)]
    assert sum(e - s for s, e in units) == sum(lengths)
    assert {s for s, _ in units} <= {s for s, _ in sentences}
    for start, end in units:
        assert end - start <= most or (start, end) in sentences
    for (start, _), (after, end) in zip(units, units[1:], strict=False):
        first = next(e for s, e in sentences if s == after)
        assert first - start > most, "a sentence that fits is not put off"
        assert end > after


def test_one_word_a_unit_means_single_sentences():
    text = Text.of(Document("d", "One two. Three. Four five six."))
    assert text.units(1) == text.sentence_ranges()
    assert text.units(100) == [(0, len(text.words))]


# --- tags ---


def spans_of(tags, offsets, types):
    return {
        (offsets[first][0], offsets[last - 1][1], kind)
        for kind, row in zip(types, tags, strict=True)
        for first, last in decode.mentions(row)
    }


MENTIONS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(1, 4), st.sampled_from(["A", "B"])), min_size=0, max_size=6
)


@settings(deadline=None)
@given(MENTIONS)
def test_mentions_aligned_to_words_come_back_from_their_tags(drawn):
    """Drawn as (words before, words in it, type), so that none overlap and some touch."""
    words = sum(gap + size for gap, size, _ in drawn) + 1
    text = " ".join(f"w{i}" for i in range(words))
    offsets = Text.of(Document("d", text)).offsets
    spans, at = [], 0
    for gap, size, kind in drawn:
        start, end = offsets[at + gap][0], offsets[at + gap + size - 1][1]
        spans.append(Span(start, end, kind, text[start:end]))
        at += gap + size
    tags, unreachable = encode_tags(offsets, spans, ["A", "B"])
    assert tags.shape == (2, words) and tags.dtype == np.int8
    assert not unreachable
    assert not decode.illegal(tags).any()
    assert spans_of(tags, offsets, ["A", "B"]) == {s.key for s in spans}


RANGES = st.lists(
    st.tuples(st.integers(0, 25), st.integers(1, 12), st.sampled_from(["A", "B", "C"])), max_size=7
)


@settings(deadline=None)
@given(RANGES)
@example([(13, 5, "A"), (13, 6, "A")])
def test_every_mention_is_in_the_tags_or_counted_unreachable(drawn):
    text = "in T-cell p53-like  (ab) cd. E"
    spans = [Span(s, e, kind, text[s:e]) for s, n, kind in drawn if (e := min(s + n, len(text))) > s]
    offsets = Text.of(Document("d", text)).offsets
    tags, unreachable = encode_tags(offsets, spans, ["A", "B"])
    held = spans_of(tags, offsets, ["A", "B"])
    lost = {s.key for s in unreachable}
    asked = {s.key for s in spans if s.type != "C"}
    assert held & asked == asked - lost
    assert not held & lost
    assert not decode.illegal(tags).any()


def test_what_bio_over_words_cannot_hold():
    text = "breast and ovarian cancer of p53like cells"
    offsets = Text.of(Document("d", text)).offsets

    def span(piece, kind="A", **rest):
        return Span(text.index(piece), text.index(piece) + len(piece), kind, piece, **rest)

    # Part of a word: the word is tagged, and the mention counted as out of reach.
    tags, lost = encode_tags(offsets, [span("p53")], ["A"])
    assert tags.tolist() == [[O, O, O, O, O, B, O]] and lost == [span("p53")]
    # Nested in a longer one of its type: the longer is kept; of another type: both are.
    nested = [span("ovarian cancer"), span("cancer"), span("cancer", "B")]
    tags, lost = encode_tags(offsets, nested, ["A", "B"])
    assert tags.tolist() == [[O, O, B, I, O, O, O], [O, O, O, B, O, O, O]] and lost == [span("cancer")]
    # Discontinuous: it gives way to a contiguous one, and is tagged from end to end where nothing else is.
    apart = span("breast and ovarian cancer", fragments=((0, 6), (19, 25)))
    tags, lost = encode_tags(offsets, [apart, span("ovarian cancer")], ["A"])
    assert tags.tolist() == [[O, O, B, I, O, O, O]] and lost == [apart]
    tags, lost = encode_tags(offsets, [apart], ["A"])
    assert tags.tolist() == [[B, I, I, I, O, O, O]] and lost == [apart]
    # White space alone touches no word.
    blank = Span(6, 7, "A", " ")
    tags, lost = encode_tags(offsets, [blank], ["A"])
    assert not tags.any() and lost == [blank]
    # Listed twice, with two concept ids, it is one mention.
    assert encode_tags(offsets, [span("cells"), span("cells")], ["A"])[1] == []


def test_touching_mentions_stay_two():
    text = "acute chronic renal failure"
    offsets = Text.of(Document("d", text)).offsets
    first, second = Span(0, 13, "A", text[:13]), Span(14, 27, "A", text[14:])
    for spans in ([first, second], [second, first]):
        tags, lost = encode_tags(offsets, spans, ["A"])
        assert tags.tolist() == [[B, I, B, I]] and not lost


@pytest.mark.parametrize("name", SAMPLES)
def test_tags_of_the_samples_hold_their_gold(name):
    corpus = read_registry()[name]
    types = sorted(corpus.annotated)
    mentions, out_of_reach = 0, []
    for split in ("train", "dev", "test"):
        for document in corpus.documents(split):
            text = Text.of(document)
            tags, lost = encode_tags(text.offsets, document.spans, types)
            gold = {s.key for s in document.spans}
            assert spans_of(tags, text.offsets, types) & gold == gold - {s.key for s in lost}
            out_of_reach += [s.text for s in lost]
            mentions += len(gold)
    assert mentions > 20
    # "Cl" of "Na(+)-K(+)-2Cl(-)": a mention that begins inside a word.
    assert out_of_reach == (["Cl"] if name == "bc5cdr-sample" else [])


def test_a_type_asked_alone_may_have_its_own_wording():
    template = Template(
        alone={"Disease": "Mark each {types} ({definitions}):"}, definitions={"Disease": "an illness"}
    )
    instruction = template.render(["Disease"])
    assert instruction.text == "Mark each Disease (Disease: an illness):"
    assert instruction.text[slice(*instruction.type_spans[0])] == "Disease"
    assert template.render(["Disease", "Chemical"]).text.startswith("If any Disease or Chemical entity")
    assert "bc5cdr input" in template.render(["Disease"], "bc5cdr").text
    with pytest.raises(VanerError, match="alone"):
        Template(alone={"Disease": "Mark all of them:"})
