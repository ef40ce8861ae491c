"""In: lists, tables, markup and invisible characters, and a model that marks everything. Out: no mention of these."""

from __future__ import annotations

import numpy as np
import pytest

from tests.model.test_network import build
from vaner.document import Document, Passage
from vaner.knowledge import DictionaryTagger
from vaner.tagging.labeler import Vaner
from vaner.text.tags import B, I, encode_tags
from vaner.text.units import Text
from vaner.vocabularies.terms import Term


@pytest.fixture
def greedy(tiny_backbones, tiny_tokenizer, monkeypatch):
    """A tagger that takes every text for one long mention."""
    one = Vaner(build(tiny_backbones["llama"]), tiny_tokenizer)

    def everything(rows, sequences=None):
        most = max(len(row.word_positions) for row in rows)
        scores = np.full((len(rows), len(rows[0].type_positions), most, 3), -9.0, np.float32)
        scores[..., I] = -0.1
        scores[..., B] = -1.0
        return scores

    monkeypatch.setattr(one, "log_probs", everything)
    return one


@pytest.mark.parametrize(
    ("text", "mentions"),
    [
        ("Medication:\nMetformin\nAspirin", ["Medication:", "Metformin", "Aspirin"]),
        ("Drug\tDose\nmetformin\t500 mg\tnausea", ["Drug", "Dose", "metformin", "500 mg", "nausea"]),
        ("metformin\naspirin\nibuprofen", ["metformin", "aspirin", "ibuprofen"]),
        ("acute renal\nfailure in rats", ["acute renal\nfailure in rats"]),
        ("\ufeff", []),
        ("\ufeff aspirin \u200b", ["aspirin"]),
        ("\u200b\u2060\x00", []),
        ("&amp;", []),
        ("&lt;\n\n&#945;", []),
        ("R&amp;D", ["R&amp;D"]),
        ("<br>", []),
        ("hepato\u00adcellular carcinoma", ["hepato\u00adcellular carcinoma"]),
    ],
)
@pytest.mark.parametrize("decoding", ["viterbi", "argmax"])
def test_a_model_that_marks_everything_marks_blocks(greedy, text, mentions, decoding):
    greedy.decoding = decoding
    found = greedy(text, ["Disease"])
    assert [span.text for span in found] == mentions
    assert all(text[span.start : span.end] == span.text for span in found)


def test_what_is_read_of_a_word_has_no_invisible_characters():
    assert Text.of(Document("d", "\ufeffhepato\u00adcellular\u200b TNF\u200dα")).words == [
        "hepatocellular",
        "TNFα",
    ]


def test_a_gold_mention_over_two_blocks_is_out_of_reach():
    text = "metformin\t500 mg\nrenal failure"
    document = Document("d", text)
    crossing, inside = document.span(0, 13, "X"), document.span(17, 30, "X")
    read = Text.of(document)
    tags, lost = encode_tags(read.offsets, [crossing, inside], ["X"], read.block_starts)
    assert lost == [crossing] and np.flatnonzero(tags[0]).tolist() == [3, 4]


def test_blocks_begin_at_words_whatever_the_file_marks():
    text = "A title. Renal\tfailure was seen.\n\nThe end"
    plain = Text.of(Document("d", text))
    assert [plain.words[at] for at in plain.block_starts] == ["failure", "The"]
    marked = Text.of(Document("d", text, sentences=[(0, 32), (34, 41)]))
    assert [marked.words[at] for at in marked.block_starts] == ["failure"]
    passages = [Passage(0, 8, "title"), Passage(9, 41, "abstract")]
    titled = Text.of(Document("d", text, passages=passages))
    assert [titled.words[at] for at in titled.block_starts] == ["Renal", "failure", "The"]


@pytest.mark.parametrize(
    ("text", "mentions"),
    [
        ("&amp; AMP", ["AMP"]),
        ("renal\tfailure", []),
        ("Seen were:\nrenal\nfailure\nfever", []),
        ("acute renal\nfailure", ["renal\nfailure"]),
        ("renal failure\nrenal failure\nfever", ["renal failure", "renal failure"]),
        ("a renal\u200b fail\u00adure", ["renal\u200b fail\u00adure"]),
    ],
)
def test_a_dictionary_marks_no_markup_and_nothing_over_two_blocks(make_kb, text, mentions):
    terms = [Term("1", "renal failure", ("Disease",), True), Term("2", "amp", ("Chemical",), True)]
    assert [span.text for span in DictionaryTagger(make_kb(terms))(text)] == mentions
