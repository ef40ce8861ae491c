"""A teacher tags each text as the dataset that it says; a wrong dataset is refused before any text is read."""

import pytest

from tests.tagging.words import Words
from vaner.annotation.teacher import (
    ADAPTIVE,
    ASKED_AS,
    Asked,
    asked_as,
    choose,
    is_labeler,
    known,
)
from vaner.document import Document
from vaner.errors import VanerError
from vaner.tagging.identity import Unloaded
from vaner.tagging.settings import TaggingSettings

DATASETS = {"bc5cdr": ["Chemical", "Disease"], "bc2gm": ["Gene"]}
TEACHER = Unloaded(["Disease", "Chemical", "Gene"], DATASETS)
KNOWN = {"aspirin": "Chemical", "fever": "Disease", "TNF": "Gene"}


def document(number, way=None):
    return Document(f"d{number}", "TNF, aspirin, fever", metadata={} if way is None else {ASKED_AS: way})


def test_by_default_all_datasets_and_none_are_asked_alike():
    assert asked_as(None, TEACHER, None) == {ADAPTIVE: 1 / 3, "bc5cdr": 1 / 3, "bc2gm": 1 / 3}
    assert asked_as(None, TEACHER, ["Gene"]) == {ADAPTIVE: 0.5, "bc2gm": 0.5}
    assert asked_as(None, None, None) == {ADAPTIVE: 1.0}
    assert asked_as(["bc5cdr:3", "adaptive"], TEACHER, None) == {"bc5cdr": 0.75, ADAPTIVE: 0.25}


@pytest.mark.parametrize(
    ("words", "types", "said"),
    [
        (["bc5cd"], None, "--as bc5cd: the teacher knows no dataset .*did you mean bc5cdr"),
        (["bc5cdr:0"], None, "--as bc5cdr:0: the weight must be a positive number"),
        (["bc5cdr:x"], None, "--as bc5cdr:x: the weight must be"),
        (["bc5cdr", "bc5cdr:2"], None, "--as bc5cdr is said twice"),
        (["bc2gm"], ["Disease"], "--as bc2gm: annotates Gene and none of --types"),
    ],
)
def test_wrong_ways_are_refused(words, types, said):
    with pytest.raises(VanerError, match=said):
        asked_as(words, TEACHER, types)


def test_the_choice_is_by_id_and_keeps_the_shares():
    shares = {"a": 0.75, "b": 0.25}
    chosen = [choose(f"file/{i}", shares) for i in range(4000)]
    assert 0.72 < chosen.count("a") / 4000 < 0.78
    assert chosen == [choose(f"file/{i}", shares) for i in range(4000)]


def test_each_document_is_tagged_as_it_says():
    inside = Words(KNOWN, datasets=DATASETS)
    tagger = Asked(inside, ["bc5cdr", ADAPTIVE, "bc2gm"])
    given = [
        document(0, "bc5cdr"),
        document(1, "bc2gm"),
        document(2, ADAPTIVE),
        document(3, "bc5cdr"),
        document(4),
    ]
    found = list(tagger.tag_documents(iter(given)))
    assert [d.id for d in found] == [d.id for d in given]
    every = {"Chemical", "Disease", "Gene"}
    assert [set(d.types) for d in found] == [
        {"Chemical", "Disease"},
        {"Gene"},
        every,
        {"Chemical", "Disease"},
        every,
    ]
    assert all({s.type for s in d.spans} == set(d.types) for d in found)
    assert [dataset for _, dataset in inside.asked[3:]] == ["bc5cdr", "bc2gm", None], "one call for each"


def test_types_that_are_asked_are_those_of_a_dataset_among_them():
    tagger = Asked(Words(KNOWN, datasets=DATASETS), [ADAPTIVE, "bc5cdr"])
    found = list(tagger.tag_documents([document(0, "bc5cdr"), document(1, ADAPTIVE)], ["Gene", "Disease"]))
    assert [set(d.types) for d in found] == [{"Disease"}, {"Gene", "Disease"}]


def test_what_the_tagger_counts_is_counted_over_all_calls():
    class Counting(Words):
        tokens = 0

        def _run(self, stream, types):
            self.tokens = 0
            for found in super()._run(stream, types):
                self.tokens += 10
                yield found

    tagger = Asked(Counting(KNOWN, datasets=DATASETS), [ADAPTIVE, "bc5cdr"])
    for _ in range(2):
        list(tagger.tag_documents([document(0, "bc5cdr"), document(1, ADAPTIVE), document(2, ADAPTIVE)]))
        assert tagger.tokens == 30 and tagger.padded_tokens == 0


def test_an_unknown_dataset_is_refused_before_anything_is_read():
    tagger = Asked(Words(KNOWN, datasets=DATASETS), ["jnlpba"])
    with pytest.raises(VanerError, match="jnlpba"):
        tagger.tag_documents(pytest.fail)


def test_who_says_what_it_finds_of_words(tmp_path):
    assert is_labeler("vaner-smollm2-135m") and is_labeler("owner/name")
    assert not is_labeler("kb:open") and not is_labeler("prompt:x.yaml")
    (tmp_path / "generator.yaml").write_text("")
    assert not is_labeler(str(tmp_path))


def test_what_is_known_of_teachers_that_are_not_loaded():
    found = known(TaggingSettings(models=("vaner-smollm2-135m",)))
    assert "Variant" in found.types and found.datasets["bc5cdr"] == ["Chemical", "Disease"]
