"""In: scored spans. Out: that those below the score are left out and counted."""

import pytest

from tests.tagging.words import Words, found
from vaner.document import Document
from vaner.errors import VanerError
from vaner.tagging.min_score import MinScore

WORDS = Words({"fever": ("Disease", 0.6), "TNF": ("Gene", 0.4), "IL": ("Gene", 0.3), "mice": "Species"})


def tag(*scores, documents=1):
    tagger = MinScore(WORDS, *scores)
    tagged = list(tagger.tag_documents(Document(str(n), "fever TNF IL mice") for n in range(documents)))
    return found(tagged[0]), tagger.remarks()


def test_one_score_for_all():
    assert tag(0.4)[0] == ["fever/Disease", "TNF/Gene", "mice/Species"]
    assert tag(0.61)[0] == ["mice/Species"]
    assert tag()[0] == tag(0.0)[0] == tag(0.3)[0] == ["fever/Disease", "TNF/Gene", "IL/Gene", "mice/Species"]


def test_a_types_own_score_goes_first():
    assert tag(None, {"Gene": 0.35})[0] == ["fever/Disease", "TNF/Gene", "mice/Species"]
    assert tag(0.9, {"Gene": 0.35})[0] == ["TNF/Gene", "mice/Species"]


def test_what_is_left_out_is_counted():
    _, remarks = tag(0.5, documents=600)
    assert remarks == ["4 words", "1,200 spans below the least score were left out (Gene 1,200)"]
    assert tag(0.1)[1] == ["4 words"]


@pytest.mark.parametrize(
    ("scores", "says"),
    [
        ((1.5,), "--min_score 1.5: a score is a number from 0 to 1"),
        ((float("nan"),), "--min_score nan: a score is a number"),
        ((None, {"Gene": -1}), "--min_score Gene=-1: a score"),
        ((None, {"Genes": 0.5}), r"--min_score Genes=...: type 'Genes' is unknown .did you mean Gene\?"),
    ],
)
def test_wrong_scores(scores, says):
    with pytest.raises(VanerError, match=says):
        MinScore(WORDS, *scores)
