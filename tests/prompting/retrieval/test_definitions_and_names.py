"""In: types, a text, an index. Out: what the types are; which names of theirs stand in the text, and whose they are."""

from __future__ import annotations

import pytest

from vaner.corpora.registry import read_registry
from vaner.document import Document
from vaner.errors import VanerError
from vaner.prompting.retrieval.definitions import Definitions
from vaner.prompting.retrieval.names import Names
from vaner.prompting.unit import Unit
from vaner.text.units import Text
from vaner.vocabularies.terms import Term


def unit(text: str, first: int = 0, last: int | None = None) -> Unit:
    whole = Text.of(Document("asked", text))
    return Unit(whole, first, len(whole.words) if last is None else last)


def told(retriever, asked: Unit, *types: str) -> list[str]:
    return [one.text for one in retriever.of(asked, types)]


# --- definitions ---


def test_asked_types_are_defined_in_the_order_asked():
    found = Definitions(read_registry().types)
    lines = told(found, unit("Anything."), "Disease", "Chemical")
    assert [line.partition(":")[0] for line in lines] == ["Disease", "Chemical"] and "syndrome" in lines[0]
    assert told(found, unit("Anything."), "Dish") == [] and found.missing(["Disease", "Dish"]) == ["Dish"]


def test_ones_own_definitions_come_first():
    found = Definitions(read_registry().types, {"Dish": "what is\n### eaten", "Disease": ""})
    assert told(found, unit("Anything."), "Dish", "Disease", "Chemical")[0] == "Dish: what is # # # eaten"
    assert found.missing(["Disease", "Chemical"]) == ["Disease"]
    assert found.fingerprint != Definitions(read_registry().types).fingerprint


# --- names ---


def test_names_of_the_asked_types_are_told_with_their_concepts(kb):
    asked = unit("Breast cancer and TNF-alpha in a cat.")
    assert told(Names(kb), asked, "Disease", "Gene") == [
        '"Breast cancer" is a Disease (D1, Breast Neoplasms)',
        '"TNF-alpha" is a Gene (G1, TNF)',
    ]
    assert told(Names(kb), asked, "Species") == ['"cat" is a Species (S1, cat)']
    assert told(Names(kb.path), asked, "Dish") == [] and Names(kb).missing(["Gene", "Dish"]) == ["Dish"]


def test_only_names_in_the_unit_are_told(kb):
    text = "No TNF here. But APC is."
    assert told(Names(kb), unit(text, 4), "Gene") == ['"APC" is a Gene (G2, APC)']


def test_a_name_of_two_types_is_told_for_each_and_once(kb):
    asked = unit("Insulin, then insulin, then insulin.")
    assert told(Names(kb), asked, "Gene", "Chemical") == [
        '"Insulin" is a Gene (C1, insulin)',
        '"Insulin" is a Chemical (C1, insulin)',
        '"insulin" is a Gene (C1, insulin)',
        '"insulin" is a Chemical (C1, insulin)',
    ]


def test_at_most_so_many_the_longest_first(kb):
    asked = unit("APC, catalase, breast cancer, insulin.")
    assert told(Names(kb, most=2), asked, "Gene", "Disease") == [
        '"catalase" is a Gene (G3, CAT)',
        '"breast cancer" is a Disease (D1, Breast Neoplasms)',
    ]


def test_many_concepts_of_one_name_are_counted(make_kb):
    kb = make_kb([Term(f"X{i}", "wortmannin", ("Chemical",), True) for i in range(5)])
    (line,) = told(Names(kb), unit("Wortmannin."), "Chemical")
    assert line.endswith("; and 2 more)") and line.count("wortmannin") == 3


def test_an_index_that_is_none_is_refused(tmp_path, kb):
    with pytest.raises(VanerError, match="no such index"):
        Names(tmp_path / "no.idx")
    with pytest.raises(VanerError, match="set most to 1"):
        Names(kb, most=0)
