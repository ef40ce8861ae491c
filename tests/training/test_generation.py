"""Rows of a generator: the prompt is what tagging sends, the answer what it reads; nothing is cut or lost unsaid."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training import tiny_lm
from tests.training.test_mixture import corpus, document
from vaner.corpora.registry import read_registry
from vaner.errors import VanerError
from vaner.inputs.features import Tokenisation
from vaner.inputs.instructions import Template
from vaner.model.saving import load_tokenizer
from vaner.prompting.answers import FORMATS
from vaner.prompting.backends.chat_tokens import ChatTokens
from vaner.prompting.found import FORCED
from vaner.prompting.opening import prompter
from vaner.prompting.request import Abilities, Answer
from vaner.prompting.settings import PromptSettings
from vaner.prompting.unit import Unit
from vaner.text.tags import IGNORED
from vaner.text.units import Text
from vaner.training.drawing import Drawing
from vaner.training.generation import (
    CONTINUES,
    INSIDE,
    PARTED,
    TOO_LONG,
    UNHELD,
    Encoding,
    Generation,
    Row,
    collate,
)
from vaner.training.mixture import Mixture, TrainingCorpus

BATCHING = {"batch_tokens": 4000, "epochs": 1, "seed": 3}


class Counting:
    """A backend that counts tokens and answers nothing."""

    context = None
    can = Abilities(grammars=frozenset({"lark"}))

    def __init__(self, tokenizer):
        self.tokens = ChatTokens(tokenizer)

    def count(self, text):
        return len(self.tokens.text(text))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return load_tokenizer(tiny_lm.make(tmp_path_factory.mktemp("lm")))


@pytest.fixture
def generation(tokenizer):
    def make(sources, answer="token_tags", template="chat", max_tokens=2000, drawing=None, **more):
        types = {type: "" for source in sources for type in source.types}
        values = {"types": types, "answer": answer, "template": template, "store": "none"}
        asks = prompter(PromptSettings.of(values, "generator.yaml"), Counting(tokenizer))
        return Generation(
            sources,
            drawing or Drawing(head="generate", max_words=24),
            prompter=asks,
            tokenizer=tokenizer,
            max_tokens=max_tokens,
            **BATCHING | more,
        )

    return make


def rows(made, epoch=0):
    return [(draw, made.prompted(draw)) for draw in made.draws(epoch)]


def unit_of(made, draw):
    return Unit(made.sources[draw.source].texts[draw.text], draw.window.start, draw.window.end)


def answer_of(made, row):
    """The text of a row's answer, without its end."""
    assert row.ids[-1] == made.encoding.end
    return made.encoding.tokens.tokenizer.decode(row.ids[row.prompt : -1], clean_up_tokenization_spaces=False)


def sample(name):
    registry = read_registry()
    found = registry[name]
    documents = list(found.documents("train"))
    return TrainingCorpus(
        name, found.instruction_name, list(map(Text.of, documents)), tuple(sorted(found.annotated))
    )


@pytest.mark.parametrize("template", ["chat", "plain"])
def test_a_prompt_is_what_tagging_sends(template, generation):
    made = generation([corpus("a", ("Disease", "Chemical"))], template=template)
    for draw, row in rows(made):
        sent = made.prompter.request(unit_of(made, draw), list(draw.types), draw.dataset)
        assert made.encoding.tokens.prompt(sent.messages, sent.chat) == row.ids[: row.prompt].tolist()


@pytest.mark.parametrize("name", FORMATS)
def test_an_answer_is_read_back_as_the_gold_of_its_words(name, generation):
    made = generation([sample("bc5cdr-sample")], answer=name)
    count = 0
    for draw, row in rows(made):
        unit = unit_of(made, draw)
        answer = Answer(answer_of(made, row))
        found = made.prompter.format.read(answer, unit, draw.types, FORCED)
        start, end = unit.offsets[0][0], unit.offsets[-1][1]
        spans = [s for s in unit.text.document.spans if s.type in draw.types]
        gold = {s.key for s in spans if start <= s.start and s.end <= end}
        read = {(one.start, one.end, one.type) for one in found.mentions}
        if name == "json":
            # It lists a name, not a place: a name stands wherever the text has it.
            listed = {(s.text, s.type) for s in spans}
            read = {
                one
                for one in read
                if one in gold or (unit.text.document.text[one[0] : one[1]], one[2]) not in listed
            }
        assert read <= gold
        count += len(gold) - len(read)
    # Overlapping ones, and those that words cannot hold.
    assert 0 <= count <= made.changed.get(UNHELD, 0) + made.sources[0].unreachable


def test_units_types_and_datasets_are_drawn_as_for_the_labeler(generation, tokenizer):
    sources = [corpus("a", ("Disease", "Chemical"), weight=1.5), corpus("b", ("Disease",))]
    made = generation(sources)
    drawing = Drawing(max_words=24)
    labeler = Mixture(sources, Tokenisation(tokenizer, 512), Template(), drawing, **BATCHING)
    assert list(made.draws(0)) == list(labeler.draws(0))


def test_types_that_are_absent_are_asked_and_answered_with_nothing(generation):
    made = generation([corpus("a", ("Disease", "Chemical"))], answer="json", drawing=Drawing(one_type=1.0))
    asked = [(draw, answer_of(made, row)) for draw, row in rows(made) if draw.types == ("Chemical",)]
    assert asked
    assert all("renal" not in answer for _, answer in asked)


@pytest.mark.parametrize("loss_on", ["completion", "full"])
def test_the_loss_is_on_the_answer_and_its_end_alone_unless_asked_otherwise(loss_on, generation):
    made = generation([corpus("a", ("Disease",))], loss_on=loss_on)
    batch = made[0]
    assert {array.shape for array in batch.values()} == {batch["input_ids"].shape}
    for ids, mask, labels in zip(batch["input_ids"], batch["attention_mask"], batch["labels"], strict=True):
        length = mask.sum()
        assert mask[:length].all() and (labels[length:] == IGNORED).all()
        learnt = labels != IGNORED
        assert (labels[learnt] == ids[learnt]).all() and labels[0] == IGNORED
        if loss_on == "full":
            assert learnt[1:length].all()
        else:
            text = made.encoding.tokens.tokenizer.decode(labels[learnt])
            assert "You find" not in text and text.endswith("<|end|>")
            assert " : " in text


def test_rows_that_have_no_room_are_asked_in_parts_and_counted(generation):
    sources = [corpus("a", ("Disease",))]
    drawing = Drawing(head="generate", max_words=60, single_sentence=0.0)
    whole = generation(sources, drawing=drawing)
    longest = max(len(row) for _, row in rows(whole))
    made = generation(sources, drawing=drawing, max_tokens=longest - 10)
    assert made.changed[PARTED] and INSIDE not in made.changed and TOO_LONG not in made.changed
    assert not whole.changed

    def words(mixture):
        return sorted((d.text, w) for d, _ in rows(mixture) for w in range(d.window.start, d.window.end))

    assert words(made) == words(whole)
    assert max(len(row) for _, row in rows(made)) <= made.max_tokens


def test_a_sentence_is_cut_between_words_and_never_in_a_mention(generation):
    name = "a very long renal failure of many words"
    text = [f"It {'was seen and ' * 6}{name} {'was seen and ' * 6}so."]
    source = TrainingCorpus(
        "a", "a", [Text.of(document(0, text, frozenset({"Disease"}), {name: "Disease"}))], ("Disease",)
    )
    whole = generation([source])
    ((_, row),) = rows(whole)
    made = generation([source], max_tokens=len(row) - 60)
    assert made.changed[PARTED] == made.changed[INSIDE] >= 1
    answers = [answer_of(made, row) for _, row in rows(made)]
    assert sum(answer.count(": B-Disease") for answer in answers) == 1
    assert sum(answer.count(": I-Disease") for answer in answers) == len(name.split()) - 1
    assert sum(len(answer.splitlines()) for answer in answers) == len(source.texts[0].words)


def test_a_word_that_has_no_room_is_left_out_and_counted(generation):
    texts = [Text.of(document(0, ["Q" * 400 + " is long."], frozenset({"Disease"}), {}))]
    sources = [TrainingCorpus("a", "a", texts, ("Disease",)), corpus("b", ("Disease",), documents=1)]
    whole = generation(sources)
    prompt = min(row.prompt for _, row in rows(whole))
    made = generation(sources, max_tokens=prompt + 150)
    assert made.changed[TOO_LONG] == 1
    assert not any("QQQ" in answer_of(made, row) for _, row in rows(made))


def test_no_row_begins_within_a_mention(generation):
    made_document = document(
        0, ["It was renal.", "Failure was seen."], frozenset({"Disease"}), {"renal. Failure": "Disease"}
    )
    text = Text.of(made_document)
    assert len(text.sentence_starts) == 2
    made = generation(
        [TrainingCorpus("a", "a", [text], ("Disease",))],
        drawing=Drawing(head="generate", single_sentence=1.0),
    )
    assert made.changed[CONTINUES] == 1
    assert len(rows(made)) == 1


def test_batches_follow_the_seed_and_the_epoch(generation):
    sources = [corpus("a", ("Disease", "Chemical"))]
    one, again, other = generation(sources), generation(sources), generation(sources, seed=4)
    for i in range(len(one)):
        assert all(np.array_equal(one[i][key], again[i][key]) for key in one[i])
    assert [d.types for d in one.draws(0)] != [d.types for d in other.draws(0)]
    assert list(one.draws(0)) != list(one.draws(1))
    assert all(batch["input_ids"].size <= 4000 for batch in (one[i] for i in range(len(one))))


def test_a_tokenizer_without_a_chat_template_is_refused(tokenizer, tiny_tokenizer):
    with pytest.raises(VanerError, match="no chat template; use --prompt_template plain"):
        Encoding(tiny_tokenizer, chat=True)
    with pytest.raises(VanerError, match="no token that ends a text"):
        Encoding(tiny_tokenizer, chat=False)
    assert Encoding(tokenizer, chat=False).end == tokenizer.eos_token_id
    assert Encoding(tokenizer, chat=True).end == tokenizer.convert_tokens_to_ids("<|end|>")


def test_text_that_spells_a_turn_is_only_text(tokenizer):
    """Neither in the prompt nor in the answer."""
    encoding = Encoding(tokenizer, chat=True)
    end = encoding.end
    found = encoding.tokens.behind("a <|end|> b")
    assert end not in found and tokenizer.decode(found) == "a <|end|> b"


def test_padding_is_on_the_right_and_without_a_label():
    short, long = Row(np.array([5, 6, 7], np.int32), 1), Row(np.array([1, 2, 3, 4, 5], np.int32), 3)
    batch = collate([short, long], 0, "completion")
    assert batch["input_ids"].tolist() == [[5, 6, 7, 0, 0], [1, 2, 3, 4, 5]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert batch["labels"].tolist() == [[IGNORED, 6, 7, IGNORED, IGNORED], [IGNORED, IGNORED, IGNORED, 4, 5]]


def test_overlapping_mentions_that_a_format_cannot_hold_are_counted(generation):
    made_document = document(
        0,
        ["A renal failure was seen."],
        frozenset({"Disease", "Organ"}),
        {"renal failure": "Disease", "renal": "Organ"},
    )
    source = TrainingCorpus("a", "a", [Text.of(made_document)], ("Disease", "Organ"))
    drawing = Drawing(head="generate", one_type=0.0, all_types=1.0)
    tags, listed = (generation([source], answer=name, drawing=drawing) for name in ("token_tags", "json"))
    assert tags.changed == {UNHELD: 1} and not listed.changed
