"""In: a small index and made texts. Out: hints of what the dictionary finds, in training and tagging alike."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from itertools import islice

import pytest

from tests.training.test_mixture import document, same
from vaner.corpora.registry import read_registry
from vaner.errors import VanerError
from vaner.files import shipped
from vaner.inputs.features import Tokenisation
from vaner.inputs.hints import Hints
from vaner.inputs.instructions import Template
from vaner.knowledge import KnowledgeBase, Rules, build
from vaner.model.config import CONFIG_NAME, ModelConfig
from vaner.report import Report
from vaner.text.units import Text
from vaner.training import run as training
from vaner.training.arguments import KnowledgeArguments
from vaner.training.drawing import Drawing
from vaner.training.mixture import Mixture, TrainingCorpus
from vaner.vocabularies.terms import Term

TYPES = ("Chemical", "Disease")
TERMS = [
    Term("D1", "breast cancer", ("Disease",), True),
    Term("D2", "fever", ("Disease",), True),
    Term("D3", "squamous cell carcinoma of the lung", ("Disease",), True),
    Term("C1", "tamoxifen", ("Chemical",), True),
    Term("C2", "insulin", ("Chemical", "Gene"), True),
    Term("A1", "breast", ("Anatomy",), True),
]
NOTED = Template().with_hints()


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    path = tmp_path_factory.mktemp("kb") / "kb.idx"
    return build(path, [({"name": "made"}, TERMS)], Rules.load(shipped("kb")), Report()).path


@pytest.fixture(scope="module")
def words(tiny_tokenizer):
    return Tokenisation(tiny_tokenizer, 400)


def told(hints: Hints, words: Tokenisation, text: str, types=TYPES, start=0, end=None) -> tuple[str, ...]:
    one = Text.of(document(1, [text], frozenset(types), {}))
    (names,) = hints.names([one])
    return hints.of_row(words, NOTED, types, "x", one.words, names, start, end or len(one.words))


TEXT = "Fever came with breast cancer ; insulin , tamoxifen and fever , fever ."


def test_what_the_dictionary_finds_is_noted_in_the_order_of_the_text(index, words):
    hints = Hints(index, [*TYPES, "Gene", "Anatomy"])
    found = ("Fever is a Disease.", "breast cancer is a Disease.", "insulin is a Chemical.",
             "tamoxifen is a Chemical.", "fever is a Disease.")  # fmt: skip
    assert told(hints, words, TEXT) == told(hints, words, TEXT, ("Disease", "Chemical")) == found
    assert told(hints, words, TEXT, ("Gene",)) == ("insulin is a Gene.",)
    assert told(hints, words, TEXT, ("Anatomy",)) == ("breast is an Anatomy.",)
    assert told(hints, words, TEXT, ("Gene", "Chemical"))[0] == "insulin is a Chemical or a Gene."
    assert told(hints, words, "Nothing was there .") == ()


def test_hints_do_not_hang_on_types_that_nobody_asks(index, words, tmp_path):
    fewer = [term for term in TERMS if set(term.types) & set(TYPES)]
    path = build(tmp_path / "kb.idx", [({"name": "made"}, fewer)], Rules.load(shipped("kb")), Report()).path
    assert told(Hints(path, TYPES), words, TEXT) == told(Hints(index, [*TYPES, "Gene"]), words, TEXT)


def test_the_longest_names_come_first_where_there_are_too_many(index, words):
    text = "Fever , tamoxifen , breast cancer and squamous-cell carcinoma of the lung ."
    long = "squamous - cell carcinoma of the lung is a Disease."
    assert told(Hints(index, TYPES, most=1), words, text) == (long,)
    assert told(Hints(index, TYPES, most=3), words, text) == (
        "tamoxifen is a Chemical.", "breast cancer is a Disease.", long,
    )  # fmt: skip


def test_hints_keep_within_their_tokens(index, words):
    asked = len(words.instruction(NOTED.render(TYPES, "x"))[0])
    seen = set()
    for most in range(1, 90):
        found = told(Hints(index, TYPES, tokens=most), words, TEXT)
        used = len(words.instruction(NOTED.render(TYPES, "x", found))[0]) - asked
        assert used <= most and (not found or used > 0)
        seen.add(len(found))
    assert seen == {0, 1, 2, 3, 4, 5}


def test_names_that_lie_in_the_row_whole_are_noted(index, words):
    hints = Hints(index, TYPES)
    assert TEXT.split()[3:5] == ["breast", "cancer"]
    assert told(hints, words, TEXT, start=1, end=4) == ()
    assert told(hints, words, TEXT, start=3, end=5) == ("breast cancer is a Disease.",)
    assert told(hints, words, TEXT, start=4, end=8) == ("insulin is a Chemical.",)


def test_abbreviations_follow_their_long_form(index, words):
    text = "Breast cancer ( BC ) was seen ; BC is bad ."
    assert told(Hints(index, TYPES), words, text) == ("Breast cancer is a Disease.", "BC is a Disease.")


# --- training ---

SENTENCES = [
    ["He had breast cancer and fever for years.", "Nothing was found.", "The tamoxifen did good."],
    ["We gave insulin after squamous cell carcinoma of the lung."],
]
GOLD = [{"breast cancer": "Disease", "tamoxifen": "Chemical"}, {"insulin": "Chemical"}]


def texts(gold=GOLD) -> list[Text]:
    return [
        Text.of(document(i, s, frozenset(TYPES), m))
        for i, (s, m) in enumerate(zip(SENTENCES * 8, gold * 8, strict=True))
    ]


def mixture(words, index, *, head="typed", hinted=0.5, template=NOTED, gold=GOLD, seed=3, **more) -> Mixture:
    hints = Hints(index, TYPES, **more) if index else None
    return Mixture(
        [TrainingCorpus("x", "x", texts(gold), TYPES)],
        words,
        template,
        Drawing(head=head, hinted=hinted),
        batch_tokens=900,
        epochs=2,
        seed=seed,
        hints=hints,
    )


@pytest.mark.parametrize("head", ["typed", "shared"])
def test_rows_with_hints_are_the_same_rows_with_hints(words, index, head):
    one, without = mixture(words, index, head=head), mixture(words, None, head=head, template=Template())
    noted = 0
    for epoch in range(2):
        drawn, plain = one.draws(epoch), without.draws(epoch)
        assert [replace(d, hints=()) for d in drawn] == plain
        noted += sum(bool(d.hints) for d in drawn)
        assert one.hinted_rows[epoch] == sum(bool(d.hints) for d in drawn)
        for draw, bare in zip(drawn, plain, strict=True):
            row, other = one.row(draw), without.row(bare)
            assert len(row) == one.length(draw) <= words.max_tokens
            assert (row.labels == other.labels).all()
            # The types' last tokens, and the words, are where the row says.
            assert (
                row.input_ids[row.type_positions].tolist() == other.input_ids[other.type_positions].tolist()
            )
            assert (
                row.input_ids[row.word_positions].tolist() == other.input_ids[other.word_positions].tolist()
            )
            assert (row.input_ids.tolist() == other.input_ids.tolist()) == (not draw.hints)
            shown = words.tokenizer.decode(row.input_ids)
            for note in draw.hints:
                assert note in shown and any(f"a {type}." in note for type in draw.types)
            assert ("Note: " in shown) == bool(draw.hints)
    assert noted > 10


def test_hints_come_with_the_share_of_rows_asked_for(words, index):
    for share in (0.0, 0.3, 1.0):
        drawn = [d for epoch in range(2) for d in mixture(words, index, hinted=share).draws(epoch)]
        all_of_them = [d for epoch in range(2) for d in mixture(words, index, hinted=1.0).draws(epoch)]
        possible = sum(bool(d.hints) for d in all_of_them)
        got = sum(bool(d.hints) for d in drawn)
        assert got == pytest.approx(share * possible, abs=0 if share in (0, 1) else 4 * (possible / 4) ** 0.5)


def test_gold_has_no_part_in_the_hints(words, index):
    other = [{"years": "Disease", "He": "Chemical"}, {}]
    one, two = mixture(words, index), mixture(words, index, gold=other)
    for epoch in range(2):
        assert [d.hints for d in one.draws(epoch)] == [d.hints for d in two.draws(epoch)]


def test_the_seed_and_the_epoch_decide_which_rows_have_hints(words, index):
    one, again = mixture(words, index), mixture(words, index)
    assert again.draws(1) == one.draws(1) and again.draws(0) == one.draws(0) != one.draws(1)
    assert mixture(words, index, seed=4).draws(0) != one.draws(0)
    sent = pickle.loads(pickle.dumps(one))
    assert all(same(sent[i], one[i]) for i in reversed(range(len(one))))


def test_other_rows_have_hints_in_another_epoch(words, index):
    # One sentence and one type a text, so that nothing but the choice can differ.
    texts = [Text.of(document(i, ["He had fever."], frozenset({"Disease"}), {})) for i in range(30)]
    one, other = (
        Mixture(
            [TrainingCorpus("x", "x", texts, ("Disease",))],
            words,
            NOTED,
            Drawing(drop_dataset=0),
            batch_tokens=900,
            epochs=2,
            seed=seed,
            hints=Hints(index, TYPES),
        )
        for seed in (1, 2)
    )
    drawn = one.draws(0), one.draws(1), other.draws(0)
    first, epoch, seed = ({d.text for d in draws if d.hints} for draws in drawn)
    assert first != epoch != seed != first and all(5 < len(some) < 25 for some in (first, epoch, seed))


@pytest.mark.parametrize("copies", [1, 2])
def test_a_row_with_hints_is_cut_so_that_they_fit(tiny_tokenizer, index, copies):
    asked = len(Tokenisation(tiny_tokenizer, 400).instruction(NOTED.render(TYPES, "x"))[0])
    narrow = Tokenisation(tiny_tokenizer, asked + copies * 96 + 40, copies)
    long = ["He had breast cancer and fever and tamoxifen and insulin " * 12 + "."]
    sources = [TrainingCorpus("x", "x", [Text.of(document(0, long, frozenset(TYPES), {}))], TYPES)]
    one = Mixture(
        sources, narrow, NOTED, Drawing(hinted=1.0), batch_tokens=900, epochs=1, seed=1,
        hints=Hints(index, TYPES, tokens=40),
    )  # fmt: skip
    drawn = one.draws(0)
    assert len(drawn) > 2 and all(d.hints for d in drawn)
    assert all(len(one.row(d)) == one.length(d) <= narrow.max_tokens for d in drawn)
    hints = Hints(index, TYPES, tokens=41)
    with pytest.raises(
        VanerError, match="hints may take 41 of .* lower --kb_hint_tokens, or raise --max_tokens"
    ):
        hints.room(narrow, NOTED.render(TYPES, "x"))


# --- what is refused ---


def test_an_index_without_the_types_is_refused(index):
    with pytest.raises(VanerError, match="no hint to give, for it has no name of Planet; it has .*Disease"):
        Hints(index, ["Planet"])
    assert Hints(index, ["Planet", "Gene"]).types == ("Gene",)


def test_flags():
    with pytest.raises(VanerError, match="--kb_hints needs an index; name one with --kb"):
        KnowledgeArguments(kb_hints=True)
    with pytest.raises(VanerError, match="--kb_hint_share is 1.5; choose 0 to 1"):
        KnowledgeArguments(kb_hint_share=1.5)
    with pytest.raises(VanerError, match="--kb_hint_notes is 0; choose 1"):
        KnowledgeArguments(kb_hint_notes=0)


def test_a_damaged_setting_is_named(tmp_path):
    for hints, said in (({"notes": 8}, "tokens must be a number"), ({"nodes": 8}, "did you mean notes")):
        ModelConfig(hints=hints).save(tmp_path)
        with pytest.raises(VanerError, match=said):
            ModelConfig.load(tmp_path)


# --- a whole run ---


def abstracts() -> list:
    return list(islice(read_registry()["bc5cdr-sample"].documents("train"), 5))


@pytest.fixture(scope="module")
def trained(tiny_backbones, tmp_path_factory):
    from tests.training.test_run import train

    folder = tmp_path_factory.mktemp("run")
    found = {s.text: s.type for d in abstracts() for s in d.spans}
    names = ["renal failure", "heart failure", "hypotension", "seizures", "toxicity", "pain"]
    drugs = ["cocaine", "lidocaine", "morphine", "dopamine", "lithium", "haloperidol"]
    terms = [Term(f"D{i}", n, ("Disease",), True) for i, n in enumerate(names)]
    terms += [Term(f"C{i}", n, ("Chemical",), True) for i, n in enumerate(drugs)]
    terms += [Term(f"X{i}", n, (type,), True) for i, (n, type) in enumerate(sorted(found.items()))]
    build(folder / "kb.idx", [({"name": "made"}, terms)], Rules.load(shipped("kb")), Report())
    flags = ("--kb", str(folder / "kb.idx"), "--kb_ratio", "0", "--kb_hints", "--kb_hint_notes", "4")
    return train(tiny_backbones["llama"], folder / "model", *flags), folder / "kb.idx"


def test_a_model_is_trained_and_saved_with_hints(trained):
    folder, index = trained
    saved = json.loads((folder / CONFIG_NAME).read_text())
    assert saved["hints"] == {"notes": 4, "tokens": 64, "share": 0.5}
    assert (
        "{hints} ##input:" in saved["template"]["known"]
        and "{hints} ##input:" in saved["template"]["adaptive"]
    )
    record = json.loads((folder / "run.json").read_text())
    assert record["hints"]["types"] == ["Chemical", "Disease"] and min(record["hints"]["rows"]) > 0
    ((name, digest),) = record["hints"]["index"].items()
    assert record["files"][name] == digest and record["arguments"]["kb_hints"] is True
    assert "knowledge" not in record, "no rows of names"


def test_the_tagger_reads_the_rows_of_training(trained):
    from vaner.tagging.labeler import Vaner

    folder, index = trained
    tagger = Vaner.from_pretrained(folder, dtype="float32", hints=index, max_words=40)
    doc = document(0, ["He had heart failure and seizures.", "Then lithium came."], frozenset(TYPES), {})
    text = Text.of(doc)
    prepared = tagger._prepare([text], list(TYPES), "bc5cdr")
    hints = ("heart failure is a Disease.", "seizures is a Disease.", "lithium is a Chemical.")
    asked = tagger.settings.template.render(TYPES, "bc5cdr", hints)
    expected = tagger.tokenisation.row(asked, text.words)
    assert [r.input_ids.tolist() for r in prepared.rows] == [expected.input_ids.tolist()]
    assert prepared.rows[0].type_positions.tolist() == expected.type_positions.tolist()


def test_hints_change_what_is_read_and_a_text_stays_a_matter_of_its_own(trained, capsys):
    from vaner.tagging.labeler import Vaner

    folder, index = trained
    documents = abstracts()
    hinted = Vaner.from_pretrained(folder, dtype="float32", hints=KnowledgeBase(index))
    with_hints = list(hinted.tag_documents(documents))
    assert not any("hints" in remark for remark in hinted.remarks())
    alone = [next(iter(hinted.tag_documents([d]))) for d in documents]
    assert (
        [d.spans for d in alone]
        == [d.spans for d in with_hints]
        == [d.spans for d in hinted.tag_documents([d.with_spans([]) for d in documents])]
    )
    plain = Vaner.from_pretrained(folder, dtype="float32")
    list(plain.tag_documents(documents))
    assert any("trained to read hints of a knowledge base and got none" in r for r in plain.remarks())
    rows = [
        [
            r.input_ids.tolist()
            for r in tagger._prepare([Text.of(d) for d in documents], list(TYPES), None).rows
        ]
        for tagger in (hinted, plain)
    ]
    # Longer instructions may cut windows elsewhere, so rows are looked for, not paired.
    assert sum(row not in rows[1] for row in rows[0]) >= 4


def test_a_model_trained_without_hints_refuses_an_index(tiny_backbones, tiny_tokenizer, index):
    from tests.model.test_network import build as build_model
    from vaner.tagging.labeler import Vaner

    with pytest.raises(VanerError, match="trained without hints of a knowledge base and cannot read them"):
        Vaner(build_model(tiny_backbones["llama"]), tiny_tokenizer, hints=index)


def test_a_missing_index_is_said_at_once(tiny_backbones, tmp_path):
    with pytest.raises(VanerError, match=r"nowhere\.idx: no such index"):
        training.run(["--mix", "bc5cdr-sample", "--kb", "nowhere.idx", "--kb_hints", "--kb_ratio", "0",
                      "--output_dir", str(tmp_path / "run"), "--backbone", tiny_backbones["llama"],
                      "--use_cpu", "true"])  # fmt: skip
    assert not (tmp_path / "run").exists()
