"""What a teacher said becomes corpora: by dataset, without what it was unsure of, each word with its scores."""

import json
from collections import Counter

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import SAMPLES
from vaner.annotation import taught_corpus
from vaner.annotation.taught_corpus import Taught, corpora_of, corpus_name, pieces, write_registry
from vaner.annotation.teacher import ADAPTIVE, ASKED_AS
from vaner.corpora.own import all_corpora
from vaner.document import Document, Passage, Span
from vaner.errors import VanerError
from vaner.formats import jsonl, read
from vaner.inputs import taught
from vaner.report import Report
from vaner.tagger import FAILED
from vaner.text.units import Text
from vaner.training.arguments import DataArguments
from vaner.training.gathering import gather

TYPES = frozenset({"Disease", "Chemical"})
TEXT = "Aspirin was given. The fever fell. Nothing else was seen."


def document(*spans, text=TEXT, types=TYPES, **metadata):
    found = [Span(text.index(w), text.index(w) + len(w), type, w, score) for w, type, score in spans]
    return Document("r/1", text, found, types=types, metadata=metadata)


def with_scores(one, types=("Chemical", "Disease")):
    words = len(Text.of(one).words)
    scores = np.random.default_rng(1).normal(0, 9, (len(types), words, 3)).astype(np.float32)
    one.metadata[taught.WORD_SCORES] = taught.written(types, scores)
    return one


# --- pieces ---


def test_without_a_least_score_all_is_taught():
    one = document(("Aspirin", "Chemical", 0.1))
    assert list(pieces(one, None, Counter())) == [one]
    assert list(pieces(document(types=frozenset()), None, Counter())) == []


def test_a_sentence_teaches_nothing_of_a_type_that_is_unsure_in_it():
    unsure = Counter()
    one = document(("Aspirin", "Chemical", 0.9), ("fever", "Disease", 0.4))
    found = list(pieces(one, 0.5, unsure))
    assert [(p.id, p.text, p.types) for p in found] == [
        ("r/1:0", "Aspirin was given.", TYPES),
        ("r/1:19", "The fever fell.", frozenset({"Chemical"})),
        ("r/1:35", "Nothing else was seen.", TYPES),
    ]
    assert [[s.text for s in p.spans] for p in found] == [["Aspirin"], [], []]
    assert unsure == {"Disease": 1}
    assert [len(list(pieces(one, least, Counter()))) for least in (0.4, 0.3)] == [1, 1], "as it is"


def test_neighbours_that_teach_the_same_stay_together():
    found = list(pieces(document(("Aspirin", "Chemical", 0.1)), 0.5, Counter()))
    assert [(p.text, p.types) for p in found] == [
        ("Aspirin was given.", {"Disease"}),
        ("The fever fell. Nothing else was seen.", TYPES),
    ]
    assert len(Text.of(found[1]).sentence_starts) == 2


def test_a_sentence_that_teaches_nothing_is_left_out():
    one = document(("fever", "Disease", 0.1), types=frozenset({"Disease"}))
    assert [p.text for p in pieces(one, 0.5, Counter())] == ["Aspirin was given.", "Nothing else was seen."]
    alone = document(("fever", "Disease", 0.1), text="The fever fell.", types=frozenset({"Disease"}))
    assert list(pieces(alone, 0.5, Counter())) == []


def test_mentions_without_a_score_are_sure():
    one = document(("fever", "Disease", None))
    assert [p.types for p in pieces(one, 1.0, Counter())] == [TYPES]


def test_a_mention_over_a_border_keeps_its_sentences_together():
    one = document(("given. The fever", "Chemical", 0.9), ("Aspirin", "Disease", 0.1))
    found = list(pieces(one, 0.5, Counter()))
    assert [(p.text, p.types) for p in found] == [
        ("Aspirin was given. The fever fell.", {"Chemical"}),
        ("Nothing else was seen.", TYPES),
    ]
    assert [s.text for s in found[0].spans] == ["given. The fever"]


def test_fragments_and_passages_go_with_their_piece():
    one = document(("fever fell", "Disease", 0.9), ("Aspirin", "Chemical", 0.1))
    one.spans[-1] = Span(23, 33, "Disease", "fever fell", 0.9, fragments=((23, 28), (29, 33)))
    one.passages = [Passage(0, 18, "title"), Passage(19, len(TEXT), "abstract")]
    _, piece = pieces(one, 0.5, Counter())
    assert piece.spans[0].fragments == ((4, 9), (10, 14))
    assert [(p.start, p.end, p.kind) for p in piece.passages] == [(0, len(piece.text), "abstract")]


@given(st.data())
def test_pieces_have_the_words_and_the_scores_of_their_document(data):
    """Of real abstracts and of hard text: word for word, score for score, mention for mention."""
    texts = [d.text for d in read(SAMPLES / "abstracts.pubtator")][:6]
    texts += [
        "1) a\tb. C&amp;d <sub>2</sub>. Ev. 3! \n\n- x\n- y z. Q\u00ad1. \U0001f600 was. ",
        "A. B. C. D. E.",
    ]
    text = data.draw(st.sampled_from(texts))
    words = Text.of(Document("d", text)).offsets
    spans = {}
    for _ in range(data.draw(st.integers(0, 6))):
        first = data.draw(st.integers(0, len(words) - 1))
        last = min(first + data.draw(st.integers(0, 2)), len(words) - 1)
        type = data.draw(st.sampled_from(["Disease", "Chemical"]))
        start, end = words[first][0], words[last][1]
        spans[start, end, type] = Span(
            start, end, type, text[start:end], data.draw(st.sampled_from([0.2, 0.8]))
        )
    one = with_scores(Document("d", text, list(spans.values()), types=TYPES))
    whole = Text.of(one)
    asked, scores = taught.read(one, len(whole.words))
    places = {start: number for number, (start, _) in enumerate(whole.offsets)}
    for piece in pieces(one, 0.5, Counter()):
        inside = Text.of(piece)
        begin = 0 if piece.id == "d" else int(piece.id.partition(":")[2])
        first = places[begin + inside.offsets[0][0]]
        end = first + len(inside.words)
        assert inside.words == whole.words[first:end]
        told, cut = taught.read(piece, len(inside.words))
        assert told == asked and np.array_equal(cut, scores[:, first:end])
        here = [s for s in one.spans if begin <= s.start < begin + len(piece.text) and s.type in piece.types]
        assert [(s.start + begin, s.end + begin, s.type) for s in piece.spans] == [s.key for s in here]
        assert all(s.score > 0.5 for s in piece.spans)


# --- files ---


@pytest.fixture
def tagged(tmp_path):
    """A tagged file: two texts as bc5cdr, one as adaptive, one on which the teacher failed, one unsure of all."""
    documents = [
        document(("Aspirin", "Chemical", 0.9), **{ASKED_AS: "bc5cdr"}),
        document(("fever", "Disease", 0.1), **{ASKED_AS: "bc5cdr"}),
        document(types=frozenset({"Gene"}), **{ASKED_AS: ADAPTIVE}),
        document(**{ASKED_AS: "bc5cdr", FAILED: "no answer"}),
        document(
            ("fever", "Gene", 0.1), text="The fever fell.", types=frozenset({"Gene"}), **{ASKED_AS: ADAPTIVE}
        ),
    ]
    for number, one in enumerate(documents):
        one.id = f"r/{number}"
    path = tmp_path / "tagged.jsonl"
    jsonl.write(path, documents, report=Report())
    return path


def test_each_way_has_a_file_and_failures_teach_nothing(tagged, tmp_path):
    counts = taught_corpus.write(
        tagged, "sub/a.jsonl", tmp_path / "taught", [ADAPTIVE, "bc5cdr", "bc2gm"], 0.5
    )
    assert counts == {
        taught_corpus.DOCUMENTS: 5,
        taught_corpus.NOT_TAGGED: 1,
        taught_corpus.NOTHING: 1,
        "taught": {
            ADAPTIVE: {"documents": 1, "pieces": 1, "mentions": {"Gene": 0}, "unsure_sentences": {"Gene": 1}},
            "bc5cdr": {
                "documents": 2,
                "pieces": 4,
                "mentions": {"Chemical": 1, "Disease": 0},
                "unsure_sentences": {"Disease": 1},
            },
        },
    }
    ids = {
        way: [d.id for d in read(tmp_path / "taught" / way / "sub" / "a.jsonl")]
        for way in (ADAPTIVE, "bc5cdr")
    }
    assert ids == {ADAPTIVE: ["r/2"], "bc5cdr": ["r/0", "r/1:0", "r/1:19", "r/1:35"]}
    assert not (tmp_path / "taught" / "bc2gm").exists()


def test_another_way_is_an_error_and_leaves_no_file(tagged, tmp_path):
    with pytest.raises(VanerError, match="document r/2: was asked as adaptive"):
        taught_corpus.write(tagged, "a.jsonl", tmp_path / "taught", ["bc5cdr"])
    assert not list((tmp_path / "taught").rglob("*.jsonl"))


def test_nothing_taught_is_said():
    counts = {
        "a": {taught_corpus.DOCUMENTS: 2, taught_corpus.NOT_TAGGED: 2, taught_corpus.NOTHING: 0, "taught": {}}
    }
    with pytest.raises(
        VanerError, match=r"2 documents teach nothing \(2 documents not taught: the teacher did not"
    ):
        corpora_of(counts, [ADAPTIVE], "taught")


# --- the registry ---


def made(tmp_path, least=None, own=None, ways=(ADAPTIVE, "bc5cdr")):
    counts = {
        "train.jsonl": taught_corpus.write(
            tmp_path / "tagged.jsonl", "train.jsonl", tmp_path / "taught", ways, least
        )
    }
    corpora = corpora_of(counts, ways, "taught")
    write_registry(tmp_path / "registry.yaml", corpora, "somebody", own)
    return corpora


def test_training_reads_it_with_the_dataset_named_and_chooses_no_model_by_it(tagged, tmp_path):
    assert [(one.way, one.types) for one in made(tmp_path)] == [
        (ADAPTIVE, ("Gene",)),
        ("bc5cdr", ("Chemical", "Disease")),
    ]
    names = [corpus_name(way) for way in (ADAPTIVE, "bc5cdr")]
    # A file of the same name below the data root is another one.
    (tmp_path / "root" / "bc5cdr").mkdir(parents=True)
    (tmp_path / "root" / "bc5cdr" / "train.jsonl").write_text("{broken\n")
    data = DataArguments(
        mix=names,
        registry=str(tmp_path / "registry.yaml"),
        data_root=str(tmp_path / "root"),
        drop_overlap=False,
    )
    found = gather(data, seed=1)
    assert [(s.name, s.dataset, s.types, len(s.texts)) for s in found.sources] == [
        ("taught-adaptive", None, ("Gene",), 2),
        ("taught-bc5cdr", "bc5cdr", ("Chemical", "Disease"), 2),
    ]
    assert found.dev == {}
    for mix in (names, ["bc5cdr-sample"]):
        with pytest.raises(VanerError, match="--dev taught-bc5cdr: a dictionary or a model made its labels"):
            gather(DataArguments(mix=mix, dev=[names[1]], registry=data.registry, drop_overlap=False), seed=1)


def test_a_registry_of_ones_own_is_taken_in(tagged, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "notes.jsonl").write_text(json.dumps({"id": "n", "text": "fever"}) + "\n")
    entry = {
        "format": "jsonl",
        "files": {"train": [["notes.jsonl"]], "dev": "notes.jsonl"},
        "types": {"Disease": "Disease"},
        "granularity": "abstract",
        "licence": "none",
        "citation": "none",
        "url": "none",
    }
    own = tmp_path / "own" / "own.yaml"
    own.write_text(yaml.safe_dump({"types": {"Dish": {"plural": "dishes"}}, "corpora": {"notes": entry}}))
    made(tmp_path, own=str(own))
    (tmp_path / "elsewhere").mkdir()
    found = all_corpora(tmp_path / "registry.yaml")
    assert found.types["Dish"].plural == "dishes"
    there = [(tmp_path / "own" / "notes.jsonl",)] * 2
    assert [found["notes"].paths(split, tmp_path / "elsewhere") for split in ("train", "dev")] == there
    assert found[corpus_name("bc5cdr")].distant
    own.write_text(yaml.safe_dump({"corpora": {corpus_name("bc5cdr"): entry}}))
    with pytest.raises(VanerError, match="own.yaml: corpus taught-bc5cdr has the name of one that is taught"):
        made(tmp_path, own=str(own))


def test_names_of_datasets_that_no_file_could_have(tmp_path):
    write_registry(tmp_path / "r.yaml", [Taught("a/b: c", ("taught/x.jsonl",), ("T",))], "x", None)
    (name,) = (n for n in all_corpora(tmp_path / "r.yaml") if n.startswith("taught-"))
    assert name == "taught-a%2Fb%3A c"
    assert all_corpora(tmp_path / "r.yaml")[name].instruction_name == "a/b: c"
