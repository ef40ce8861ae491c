"""In: texts that a tiny teacher read. Out: a student's rows have what it said of every word, and it learns that."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from tests.training.test_run import same, train, weights
from vaner.corpora.registry import read_registry
from vaner.document import Document, Passage
from vaner.errors import VanerError
from vaner.formats import jsonl
from vaner.inputs.batching import collate
from vaner.inputs.features import Tokenisation
from vaner.inputs.instructions import Template
from vaner.inputs.taught import WORD_SCORES, read
from vaner.model.loss import Teaching
from vaner.model.network import VanerModel
from vaner.report import Report
from vaner.tagging.labeler import Vaner
from vaner.tagging.settings import TaggingSettings
from vaner.text.tags import IGNORED
from vaner.text.units import Text
from vaner.training.arguments import parse
from vaner.training.drawing import Drawing
from vaner.training.mixture import Mixture, TrainingCorpus
from vaner.training.texts import Texts

TYPES = ("Chemical", "Disease")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory, tiny_backbones):
    return train(tiny_backbones["llama"], tmp_path_factory.mktemp("teacher") / "model", "--max_steps", "2")


@pytest.fixture(scope="module")
def tagged(teacher):
    """Documents with the teacher's spans and scores."""
    documents = list(read_registry()["bc5cdr-sample"].documents("train"))[:8]
    settings = TaggingSettings(models=(str(teacher),), types=TYPES, word_scores=True)
    return list(settings.open().tag_documents(documents, settings.types, None))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, tagged):
    folder = tmp_path_factory.mktemp("taught")
    jsonl.write(folder / "taught.jsonl", tagged, report=Report())
    return folder / "taught.jsonl"


def test_scores_are_the_models_own_log_probabilities(teacher, tagged):
    tagger = Vaner.from_pretrained(teacher)
    kept = []
    finish = tagger._finish

    def spy(buffer, asked):
        kept.extend(one.log_probs.copy() for one in buffer.pending)
        return finish(buffer, asked)

    tagger._finish = spy
    plain = list(tagger.tag_documents(tagged, TYPES))
    assert [d.spans for d in plain] == [d.spans for d in tagged]
    for document, log_probs in zip(tagged, kept, strict=True):
        asked, scores = read(document, log_probs.shape[1])
        assert asked == list(TYPES)
        assert scores == pytest.approx(log_probs[..., 1:] - log_probs[..., :1], abs=0.02)


def test_scores_are_written_only_where_they_are_asked_for(teacher, tagged):
    (found,) = Vaner.from_pretrained(teacher).tag_documents([tagged[0].with_spans([])], TYPES)
    # What a document had before is kept as all metadata is; nothing new is written.
    assert found.metadata[WORD_SCORES] == tagged[0].metadata[WORD_SCORES]
    bare = tagged[0].with_spans([])
    bare.metadata = {}
    (found,) = Vaner.from_pretrained(teacher).tag_documents([bare], TYPES)
    assert WORD_SCORES not in found.metadata


def test_several_models_say_no_word_scores(teacher, tmp_path):
    (tmp_path / "other").symlink_to(teacher)
    with pytest.raises(VanerError, match="--word_scores: .* name one --model"):
        TaggingSettings(models=(str(teacher), str(tmp_path / "other")), word_scores=True).check()


def mixture(texts, tiny_tokenizer, **drawing):
    words = Tokenisation(tiny_tokenizer, 400)
    drawing = Drawing(max_words=60, **drawing)
    source = TrainingCorpus("x", "x", texts, texts.types)
    return Mixture([source], words, Template(), drawing, batch_tokens=900, epochs=1, seed=3)


def test_rows_have_what_the_teacher_said_of_their_words(tagged, tiny_tokenizer):
    # A type more, which the teacher was not asked, in another order than its own.
    types = ("Disease", "Gene", "Chemical")
    texts = Texts.of(map(Text.of, tagged), types)
    assert texts.sizes.taught == texts.sizes.words
    one = mixture(texts, tiny_tokenizer, taught=True)
    seen = 0
    for draw in one.draws(0):
        row = one.row(draw)
        _, scores = read(tagged[draw.text], len(Text.of(tagged[draw.text]).words))
        window = slice(draw.window.start, draw.window.end)
        assert row.taught.shape == (*row.labels.shape, 2)
        for place, type in enumerate(draw.types):
            if type == "Gene":
                assert np.isnan(row.taught[place]).all()
            else:
                assert (row.taught[place] == scores[TYPES.index(type), window]).all()
                seen += 1
    assert seen > 10


def test_rows_have_it_only_where_it_is_asked_for(tagged, tiny_tokenizer):
    texts = Texts.of(map(Text.of, tagged), TYPES)
    one = mixture(texts, tiny_tokenizer)
    assert all(row.taught is None and row.label_weights is None for row in map(one.row, one.draws(0)))


def test_a_label_counts_by_the_score_of_its_mention(tagged, tiny_tokenizer):
    texts = Texts.of(map(Text.of, tagged), TYPES)
    one = mixture(texts, tiny_tokenizer, confidence=True)
    seen = 0
    for draw in one.draws(0):
        row, document = one.row(draw), tagged[draw.text]
        offsets = Text.of(document).offsets[draw.window.start : draw.window.end]
        for place, type in enumerate(draw.types):
            for word, (start, end) in enumerate(offsets):
                covering = [s for s in document.spans if s.type == type and s.start <= start and end <= s.end]
                expected = round(255 * covering[0].score) / 255 if covering else 1.0
                assert row.label_weights[place, word] == pytest.approx(expected)
                seen += bool(covering)
    assert seen > 10


@pytest.mark.parametrize(
    ("mentions", "expected"),
    [
        ([(15, 22, 0.2)], [1, 1, 1, 0.2, 1, 1]),
        ([(15, 22, None)], None),
        # People's mentions have no score.
        ([(15, 22, 0.2), (0, 4, None)], [1, 1, 1, 0.2, 1, 1]),
        # A word that a mention touches is of it.
        ([(16, 20, 0.2)], [1, 1, 1, 0.2, 1, 1]),
        # Of those that share a word the longer is tagged, whichever stands first.
        ([(0, 22, 0.9), (15, 22, 0.2)], [0.9, 0.9, 0.9, 0.9, 1, 1]),
        ([(0, 4, 0.2), (0, 22, 0.9)], [0.9, 0.9, 0.9, 0.9, 1, 1]),
        # None is tagged that runs from one block into the next.
        ([(15, 29, 0.2)], [1, 1, 1, 1, 1, 1]),
    ],
)
def test_the_words_of_a_label_have_the_score_of_the_mention_that_was_tagged(mentions, expected):
    document = Document(
        "d", "left and right failure\nof APC", passages=[Passage(0, 22, "title"), Passage(23, 29, "abstract")]
    )
    spans = [document.span(start, end, "Disease", score=score) for start, end, score in mentions]
    texts = Texts.of([Text.of(document.with_spans(spans))], ("Disease",))
    weights = texts.label_weights(0)
    if expected is None:
        assert weights is None
    else:
        assert weights[0].tolist() == pytest.approx(expected, abs=0.002)


def test_rows_with_and_without_a_teacher_share_a_batch(tagged, tiny_tokenizer):
    texts = Texts.of(map(Text.of, tagged), TYPES)
    one, bare = (mixture(texts, tiny_tokenizer, taught=said, confidence=said) for said in (True, False))
    draws = list(one.draws(0))[:2]
    batch = collate([one.row(draws[0]), bare.row(draws[1])], 0)
    types, words = one.row(draws[0]).labels.shape
    assert not np.isnan(batch["taught"][0, :types, :words]).any()
    assert np.isnan(batch["taught"][1]).all() and (batch["label_weights"][1] == 1).all()


def test_the_network_sums_the_loss_of_the_batch(tagged, tiny_tokenizer, teacher):
    texts = Texts.of(map(Text.of, tagged), TYPES)
    one = mixture(texts, tiny_tokenizer, taught=True)
    batch = {k: torch.from_numpy(v) for k, v in one[0].items()}
    model = VanerModel.from_pretrained(teacher, dtype="float32", device="cpu")
    plain = model(**batch)
    model.teaching = Teaching(1.0)
    taught = model(**batch)
    assert torch.equal(plain["logits"], taught["logits"])
    counted = batch["labels"] != IGNORED
    logits = torch.cat([torch.zeros_like(batch["taught"][..., :1]), batch["taught"]], -1)
    said, found = logits.log_softmax(-1), taught["logits"].log_softmax(-1)
    expected = (said.exp() * (said - found)).sum(-1)[counted].sum() / counted.sum()
    assert float(taught["loss"]) == pytest.approx(float(expected), rel=1e-4)


def test_a_student_comes_nearer_to_its_teacher_than_labels_bring_it(
    tmp_path, tiny_backbones, corpus, tagged, teacher
):
    def apart(*flags):
        folder = train(
            tiny_backbones["bert"], tmp_path / "-".join(flags or ["labels"]), "--max_steps", "8",
            "--adapter", "full", "--learning_rate", "3e-3", *flags,
            mix=["--mix", str(corpus), "--dev", "bc5cdr-sample"],
        )  # fmt: skip
        student = Vaner.from_pretrained(folder, word_scores=True)
        total = 0.0
        for document, told in zip(student.tag_documents(tagged, TYPES), tagged, strict=True):
            words = len(Text.of(document).words)
            (_, mine), (_, its) = read(document, words), read(told, words)
            total += float(np.abs(np.tanh(mine / 2) - np.tanh(its / 2)).mean())
        return total, folder

    labels, _ = apart()
    scores, folder = apart("--distil_weight", "1")
    assert scores < labels
    recorded = json.loads((folder / "run.json").read_text())["arguments"]
    assert recorded["distil_weight"] == 1 and recorded["distil_temperature"] == 1


def test_distillation_repeats(tmp_path, tiny_backbones, corpus):
    flags = [
        "--max_steps",
        "3",
        "--distil_weight",
        "0.5",
        "--distil_temperature",
        "2",
        "--confidence_weight",
        "true",
    ]
    mix = ["--mix", str(corpus), "ncbi-disease-sample"]
    one, two = (train(tiny_backbones["llama"], tmp_path / name, *flags, mix=mix) for name in "ab")
    other = train(tiny_backbones["llama"], tmp_path / "c", "--max_steps", "3", mix=mix)
    assert same(weights(one), weights(two)) and not same(weights(one), weights(other))


def test_a_mix_without_scores_is_refused(tmp_path, tiny_backbones):
    with pytest.raises(
        VanerError, match="--distil_weight: no document of the mix .*--word_scores into jsonl"
    ):
        train(tiny_backbones["llama"], tmp_path / "m", "--distil_weight", "0.5")
    assert not (tmp_path / "m").exists()


def test_scores_of_another_text_stop_training(tmp_path, tiny_backbones, tagged):
    document = tagged[0]
    changed = type(document)(document.id, document.text + " More.", [], metadata=document.metadata)
    jsonl.write(tmp_path / "a.jsonl", [changed, *tagged[1:]], report=Report())
    with pytest.raises(VanerError, match=f"document {document.id}: word_scores .* words and the text has"):
        train(
            tiny_backbones["llama"],
            tmp_path / "m",
            "--distil_weight",
            "1",
            mix=["--mix", str(tmp_path / "a.jsonl")],
        )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--distil_weight", "1.5"], "--distil_weight is 1.5; choose 0 to 1"),
        (
            ["--distil_weight", "1", "--distil_temperature", "0"],
            "--distil_temperature is 0; choose more than 0",
        ),
        (["--distil_temperature", "2"], "--distil_temperature is of --distil_weight"),
        (
            ["--head", "generate", "--distil_weight", "1"],
            "--distil_weight has no effect with --head generate",
        ),
        (
            ["--head", "generate", "--confidence_weight"],
            "--confidence_weight has no effect with --head generate",
        ),
    ],
)
def test_wrong_flags_are_refused(flags, message):
    with pytest.raises(VanerError, match=message):
        parse(["--mix", "bc5cdr-sample", *flags])
