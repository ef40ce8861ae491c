"""In: tagged documents. Out: that the counts are right, and honest where they cannot be."""

import json
import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from vaner.document import Concept, Document
from vaner.jobs.summary import Frequent, Summary


def document(id, text, *spans):
    made = Document(id, text)
    return made.with_spans(made.span(*span) for span in spans)


def filled(documents, **options):
    summary = Summary(**options)
    for one in documents:
        summary.add(one)
    return summary


CONCEPT = (Concept("D1"),)
BRCA = document("a", "BRCA1 and breast\n cancer", (0, 5, "Gene"), (10, 24, "Disease"))
FEVER = document("b", "fever, fever and TNF", (0, 5, "Disease"), (7, 12, "Disease"), (17, 20, "Gene"))
FEVER = FEVER.with_spans(
    FEVER.span(s.start, s.end, s.type, concepts=CONCEPT if s.start == 7 else ()) for s in FEVER.spans
)


def test_everything_is_counted():
    summary = filled([BRCA, FEVER, document("c", "nothing")])
    summary.rejected += 2
    found = json.loads(summary.to_json())
    assert {name: found[name] for name in found if name != "types"} == {
        "documents": 3,
        "with_mentions": 2,
        "rejected": 2,
        "characters": 24 + 20 + 7,
        "mentions": 5,
        "linked": 1,
    }
    assert list(found["types"]) == ["Disease", "Gene"]
    assert found["types"]["Disease"] == {
        "mentions": 3,
        "per_document": 1.0,
        "documents": 2,
        "linked": 1,
        "distinct": 2,
        "counts_may_miss": 0,
        "top": [{"text": "fever", "count": 2}, {"text": "breast cancer", "count": 1}],
    }


def test_the_table():
    lines = filled([BRCA, FEVER]).table().splitlines()
    assert lines[0].split() == "type mentions per document documents linked most frequent".split()
    assert lines[2].split() == "Disease 3 1.50 2 1 fever 2, breast cancer 1".split()
    assert lines[-1] == (
        "2 documents (2 with mentions), 44 characters, 5 mentions, 1 with a concept id, 0 documents rejected"
    )
    assert Summary().table().startswith("0 documents")


def test_parts_add_up_to_the_whole():
    whole, parts = filled([BRCA, FEVER, BRCA]), filled([BRCA])
    parts.update(filled([FEVER, BRCA]))
    assert parts.to_dict() == whole.to_dict() and parts.table() == whole.table()


def test_a_summary_says_where_its_counts_are_not_exact():
    texts = [f"x{i}" for i in range(50)]
    summary = filled([document(t, t, (0, len(t), "Gene")) for t in texts], limit=10)
    gene = summary.to_dict()["types"]["Gene"]
    assert gene["mentions"] == 50 and gene["distinct"] is None and gene["counts_may_miss"] > 0
    assert summary.table().endswith(f"too low by at most: Gene {gene['counts_may_miss']:,}")


@given(st.lists(st.integers(0, 30), max_size=300), st.integers(1, 8), st.integers(1, 4))
def test_counts_are_never_too_high_nor_lower_than_said(numbers, limit, parts):
    true = Counter(map(str, numbers))
    found = Frequent(limit)
    for part in range(parts):
        one = Frequent(limit)
        for number in numbers[part::parts]:
            one.add(str(number))
        assert len(one) <= 2 * limit
        found.update(one)
    counted = dict(found.most(1000))
    assert all(true[text] - found.missed <= counted.get(text, 0) <= true[text] for text in true)
    assert found.missed or counted == true


def test_what_is_frequent_is_found_among_much_that_is_rare():
    rng = random.Random(0)
    stream = [f"rare {i}" for i in range(20_000)] + ["fever"] * 2_000 + ["cancer"] * 1_000
    rng.shuffle(stream)
    found = Frequent(1_000)
    for text in stream:
        found.add(text)
    assert [text for text, _ in found.most(2)] == ["fever", "cancer"]
    assert found.missed < 100
