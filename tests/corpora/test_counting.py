"""In: a made-up corpus. Out: its counts."""

import os

import pytest

from vaner.corpora.counting import count
from vaner.corpora.registry import read_registry

SENTENCE = "We\tO\nsaw\tO\np53\tB-GENE\n-\tI-GENE\nlike\tO\nthings\tO\n\n"
HEADING = "Results\tO\n\n"


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "BC2GM-IOB"
    folder.mkdir()
    (folder / "train.tsv").write_text(SENTENCE + HEADING)
    (folder / "devel.tsv").write_text(
        HEADING + SENTENCE + SENTENCE.replace("saw", "met").replace("\n-\tI-GENE", "")
    )
    return read_registry()["bc2gm"]


def test_counts(corpus, tmp_path):
    train, dev = count(corpus, tmp_path)
    assert (train.split, train.documents, train.sentences, train.words) == ("train", 2, 2, 7)
    assert (train.mentions, train.lengths, train.in_train) == ({"Gene": 1}, [0, 1, 0], None)
    assert (dev.split, dev.documents, dev.words) == ("dev", 3, 12)
    assert (dev.mentions, dev.lengths) == ({"Gene": 2}, [1, 1, 0])
    # Two of three sentences stand in train; of the one with six words, all.
    assert dev.in_train == pytest.approx(2 / 3)
    assert dev.long_in_train == 1


def test_a_split_without_train_has_no_share(corpus, tmp_path):
    (tmp_path / "BC2GM-IOB/train.tsv").unlink()
    (dev,) = count(corpus, tmp_path)
    assert dev.in_train is None


def test_lengths_do_not_count_a_neighbour_that_touches(tmp_path):
    (tmp_path / "NLM-Gene").mkdir()
    (tmp_path / "NLM-Gene/NLMgene_Train.PubTator").write_text(
        "1|t|A (p53-like) one\n1|a|\n1\t3\t6\tp53\tGene\n"
    )
    (train,) = count(read_registry()["nlm-gene"], tmp_path)
    assert train.lengths == [1, 0, 0]


@pytest.mark.slow
def test_shares_are_those_counted_by_others():
    corpus = read_registry()["s800"]
    root = os.environ.get("VANER_DATA")
    if not root or not {"train", "dev"} <= set(corpus.present(root)):
        pytest.skip("s800 is not below VANER_DATA")
    _, dev = list(count(corpus, root))[:2]
    assert dev.in_train == pytest.approx(63 / 830)
    assert dev.long_in_train == 0
