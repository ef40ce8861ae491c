"""Definitions of abbreviations (Schwartz and Hearst 2003)."""

import pytest

from vaner.text.abbreviations import expansions, find


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("the emergency room (ER) was busy", {"ER": "emergency room"}),
        ("heat shock transcription factor (HSF)", {"HSF": "heat shock transcription factor"}),
        ("GR (glucocorticoid receptor) binds", {"GR": "glucocorticoid receptor"}),
        ("HD (Huntington disease) patients", {"HD": "Huntington disease"}),
        ("polycystic kidney disease (PKD; see below)", {"PKD": "polycystic kidney disease"}),
        ("beta-amyloid peptide [Abeta]", {}),
        ("in five patients (n = 5) we saw", {}),
        ("results (see Table 1)", {}),
        ("a thing (x)", {}),
        ("tumour necrosis factor α (TNF-α)", {"TNF-α": "tumour necrosis factor α"}),
        ("(AB) nothing before", {}),
        ("familial adenomatous\npolyposis (FAP)", {"FAP": "familial adenomatous\npolyposis"}),
        ("İstanbul Üniversitesi (İÜ) hospital", {"İÜ": "İstanbul Üniversitesi"}),
        ("", {}),
    ],
)
def test_definitions(text, pairs):
    assert expansions(text) == pairs


def test_offsets():
    text = "İn the emergency room (ER), and acute lymphoblastic leukaemia ( ALL )"
    for found in find(text):
        assert text[found.short_start :].startswith(found.short)
        assert text[found.long_start :].startswith(found.long)
    assert [f.short for f in find(text)] == ["ER", "ALL"]


def test_the_first_definition_counts():
    text = "androgen receptor (AR) and aldose reductase (AR)"
    assert expansions(text) == {"AR": "androgen receptor"}
    assert [f.long for f in find(text)] == ["androgen receptor", "aldose reductase"]
