"""In: a YAML file of instructions. Out: what prompts say of it, a hash of that, and every mistake by its key."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from vaner.annotation.contradictions import contradictions
from vaner.annotation.entries import entries
from vaner.annotation.guideline import at_hand
from vaner.annotation.instructions import Instructions
from vaner.annotation.places import recorded
from vaner.annotation.statements import Checks, Example, TypeInstructions
from vaner.errors import VanerError

GUIDELINE = """\
# Diseases
A disease is what makes ill. Mark diseases. Do not mark organisms. Take the
shortest span. In "Huntington disease (HD)" mark both. Mark cancer. Cancer is not marked.
# Genes
Mark genes.
"""
CONTENT = """\
corpus: mine
guidelines:
  main: {file: g.md, url: https://example.org/g, types: [Disease], ends: "# Genes"}
  genes: {file: g.md, types: [Gene], begins: "# Genes"}
types:
  Disease:
    definition: {text: what makes ill, quote: A disease is what makes ill., from: main}
    mark:
      - {text: diseases, quote: Mark diseases., from: main}
      - made up
    leave:
      - {quote: Do not mark organisms., from: main}
    boundaries:
      - {text: the shortest span, quote: Take the shortest span., from: main}
      - {text: the longest span, quote: Take the longest span., from: main}
    examples:
      - text: Huntington disease (HD)
        mentions: [Huntington disease, HD]
        quote: In "Huntington disease (HD)" mark both.
        from: main
    counter_examples:
      - {text: mouse, quote: Do not mark organisms., from: main}
      - {text: mouse cancer, mentions: [mouse], quote: Do not mark organisms., from: main}
    checks: {never: [mouse], most_words: 4, pattern_never: ["genesis$"]}
  Gene:
    mark:
      - {text: genes, quote: Mark genes., from: genes}
conflicts:
  - about: whether cancer is marked
    types: [Disease]
    between: [{quote: Mark cancer., from: main}, {quote: Cancer is not marked., from: main}]
    follow: mark cancer
  - about: nothing that is said
    types: [Disease]
    between: [{quote: Mark cancer., from: main}, {quote: Nobody said it., from: main}]
    follow: never said
"""
SHORT = """\
Disease: what makes ill
Mark:
- diseases
Do not mark:
- Do not mark organisms.
Where a mention begins and ends:
- the shortest span
Marked in:
- "Huntington disease (HD)": "Huntington disease", "HD"
Not marked:
- "mouse"
- "mouse" in "mouse cancer"

Where the guideline differs:
- mark cancer"""


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Loads what it is given from beside the guideline."""
    monkeypatch.delenv("VANER_GUIDELINES", raising=False)
    (tmp_path / "g.md").write_text(GUIDELINE, encoding="utf-8")

    def load(content=CONTENT):
        (tmp_path / "mine.yaml").write_text(content, encoding="utf-8")
        return Instructions.load(tmp_path / "mine.yaml")

    return load


def test_what_a_file_says(load):
    found = load()
    disease = found.types["Disease"]
    assert found.corpus == "mine" and list(found.types) == ["Disease", "Gene"]
    assert disease.definition.text == "what makes ill" and disease.definition.verified
    one = disease.boundaries[0]
    assert (one.file, one.page) == ("main", None)
    assert GUIDELINE[one.start : one.end] == "Take the\nshortest span."
    assert [s.verified for s in disease.mark] == [True, False]
    assert [s.verified for s in disease.boundaries] == [True, False]
    assert disease.counter_examples[0].mentions == ("mouse",)
    assert disease.checks == Checks(("mouse",), most_words=4, pattern_never=("genesis$",))
    assert [c.follow for c in found.conflicts] == ["mark cancer", "never said"]
    assert len(found.remarks) == 2
    assert "mine.yaml: types.Disease.boundaries.2.quote: does not stand in g.md" in found.remarks[0]


def test_the_short_wording_says_what_is_verified(load):
    found = load()
    assert found.wording(["Disease"], "short") == SHORT
    assert found.wording(["Gene"], "short") == "Gene\nMark:\n- genes"
    both = found.wording(["Gene", "Disease"], "short")
    assert both == "Gene\nMark:\n- genes\n\n" + SHORT
    more = found.wording(["Disease"], "short", unverified=True)
    assert "- made up\n" in more and "- the longest span\n" in more and more.endswith("\n- never said")


def test_the_full_wording_is_the_guidelines_own_text(load, tmp_path):
    found = load()
    assert found.wording(["Gene"], "full") == "# Genes\nMark genes."
    assert found.wording(["Disease"], "full").startswith("# Diseases\nA disease is what makes ill. Mark")
    assert "# Genes" not in found.wording(["Disease"], "full")
    assert found.wording(["Disease"], "none") == ""
    (tmp_path / "g.md").unlink()
    with pytest.raises(
        VanerError, match=r"guideline main: g.md is not at hand; .*--guidelines.*https://example.org/g"
    ):
        load().wording(["Disease"], "full")


def test_the_full_wording_is_of_the_guideline_that_was_quoted(load, tmp_path):
    found = entries(yaml.safe_load(CONTENT), "mine.yaml")
    content = recorded(CONTENT, found, at_hand(found.guidelines.values(), [tmp_path]))
    assert load(content).wording(["Gene"], "full")
    (tmp_path / "g.md").write_text(GUIDELINE + "More.", encoding="utf-8")
    with pytest.raises(VanerError, match="is not the guideline genes that was quoted .*check .*--write"):
        load(content).wording(["Gene"], "full")


def test_what_cannot_be_said(load):
    found = load()
    with pytest.raises(VanerError, match="types: says nothing of 'Diseases'; did you mean Disease?"):
        found.wording(["Diseases"], "short")
    with pytest.raises(VanerError, match="instructions 'shot': did you mean short?"):
        found.wording(["Disease"], "shot")
    with pytest.raises(VanerError, match="none may be said whole; use the short list"):
        load(CONTENT.replace("types: [Gene], begins", "whole: false, begins")).wording(["Gene"], "full")


def test_without_the_guideline_the_record_holds(load, tmp_path):
    found = entries(yaml.safe_load(CONTENT), "mine.yaml")
    content = recorded(CONTENT, found, at_hand(found.guidelines.values(), [tmp_path]))
    with_it = load(content)
    (tmp_path / "g.md").unlink()
    without = load(content)
    assert without.wording(["Disease"], "short") == SHORT
    assert without.hash == with_it.hash and without.types == with_it.types
    edited = load(content.replace("quote: Take the shortest span.", "quote: Take a shortest span."))
    assert "the shortest span" not in edited.wording(["Disease"], "short")
    assert any("types.Disease.boundaries.1.quote: is not verified" in line for line in edited.remarks)
    said = load(content.replace("text: the shortest span", "text: as few words as can be"))
    assert "- as few words as can be" in said.wording(["Disease"], "short")
    assert said.types["Disease"].boundaries[0].verified


# --- hash ---


def test_the_hash_is_of_what_is_said_and_not_of_the_layout(load, tmp_path):
    found = load()
    layout = yaml.safe_dump(yaml.safe_load(CONTENT), sort_keys=False, width=20, default_flow_style=False)
    assert load("# A comment.\n" + layout).hash == found.hash
    assert (
        load(
            CONTENT.replace("main:", "other:")
            .replace("from: main", "from: other")
            .replace("url: https://example.org/g, ", "")
        ).hash
        == found.hash
    )
    assert load(CONTENT + "notes: mine\n").hash == found.hash
    (tmp_path / "g.md").write_text("Moved.\n" + GUIDELINE, encoding="utf-8")
    moved = load()
    assert (
        moved.types["Gene"].mark[0].start == found.types["Gene"].mark[0].start + 7
        and moved.hash == found.hash
    )
    assert load(CONTENT.replace("Take the shortest", "Take  the\n        shortest")).hash == found.hash


@pytest.mark.parametrize(
    "old, new",
    [
        ("corpus: mine", "corpus: yours"),
        ("text: diseases,", "text: all diseases,"),
        ("quote: Mark diseases.", "quote: Mark diseases"),
        ("quote: Mark diseases.", "quote: Mark disease."),
        ("most_words: 4", "most_words: 5"),
        ("mentions: [Huntington disease, HD]", "mentions: [Huntington disease]"),
        ("follow: mark cancer", "follow: leave cancer"),
        ("      - made up\n", ""),
        ("    mark:\n      - {text: genes", "    leave:\n      - {text: genes"),
        ("quote: Mark genes., from", "quote: Mark genes., verified: false, from"),
        ('ends: "# Genes"', 'ends: "Mark genes"'),
    ],
)
def test_the_hash_changes_with_what_is_said(load, old, new):
    assert old in CONTENT
    assert load(CONTENT.replace(old, new, 1)).hash != load().hash


# --- wrong files ---


@pytest.mark.parametrize(
    "old, new, said",
    [
        ("corpus: mine\n", "", "mine.yaml: corpus: is missing"),
        ("    leave:", "    leaves:", "types.Disease: unknown key 'leaves'; did you mean leave?"),
        ("types:\n  Disease", "typs:\n  Disease", "unknown key 'typs'; did you mean types?"),
        ("most_words: 4", "most_words: -1", "types.Disease.checks.most_words: must be a whole number from 0"),
        ('["genesis$"]', '["(genesis"]', "checks.pattern_never.1: '\\(genesis' is no regular expression"),
        ("mentions: [Huntington disease, HD]", "mentions: [HD, Huntington disease]",
         "types.Disease.examples.1.mentions: 'Huntington disease' is not in its text, in this order"),
        ("Mark diseases., from: main", "Mark diseases.", "mark.1.from: is missing: say which it quotes, main or genes"),
        ("from: genes", "from: gene", "types.Gene.mark.1.from: unknown guideline 'gene'; did you mean genes?"),
        ("{file: g.md, types: [Gene]", "{types: [Gene]", "guidelines.genes.file: is missing"),
        ("      - made up\n", "      - {}\n", "types.Disease.mark.2: says nothing"),
        ("      - made up\n", "      - {text: a, mentions: [a]}\n", "mark.2.mentions: is for examples"),
        ("      - made up\n", "      - [a]\n", "types.Disease.mark.2: must be a mapping"),
        ("    leave:\n      - {quote", "    leave:\n        {quote", "leave: must be a list of statements"),
        (", {quote: Cancer is not marked., from: main}]", "]",
         "conflicts.1.between: must have the two statements"),
        ("conflicts:", "quotations: {mane: {}}\nconflicts:", "quotations: unknown key 'mane'; did you mean main?"),
        ("conflicts:", "quotations: {main: {places: {a: 9-3}}}\nconflicts:", "places.a: must be START-END"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_by_its_key(load, old, new, said):
    assert old in CONTENT
    with pytest.raises(VanerError, match=said) as raised:
        load(CONTENT.replace(old, new, 1))
    assert "\n" not in str(raised.value) and "mine.yaml: " in str(raised.value)


def test_a_quotation_needs_a_guideline(load):
    with pytest.raises(VanerError, match="types.A.mark.1.quote: quotes no file; name it under guidelines:"):
        load("corpus: a\ntypes: {A: {mark: [{quote: b}]}}\n")
    assert load("corpus: a\ntypes: {A: {mark: [b]}, B: }\n").wording(["A", "B"], "short") == "A\n\nB"


# --- checks and contradictions ---


@pytest.mark.parametrize(
    "mention, broken",
    [
        ("Mouse", ("never",)),
        ("the flu", ("without_leading",)),
        ("A. nidulans", ()),
        ("flu  patients", ("without_trailing",)),
        ("a b c d e", ("most_words",)),
        ("tumorigenesis", ("pattern_never",)),
        ("the patients", ("without_leading", "without_trailing")),
        ("patients", ("without_trailing",)),
        ("influenza", ()),
        ("", ()),
    ],
)
def test_what_a_mention_breaks(mention, broken):
    checks = Checks(("mouse",), ("the", "a."), ("patients",), 4, ("genesis$",))
    assert checks.broken(mention) == broken


@given(st.text())
def test_any_mention_can_be_checked(mention):
    assert set(Checks(("a b",), ("a",), ("b",), 2, ("x",)).broken(mention)) <= set(vars(Checks()))


def test_contradictions_that_rules_find():
    examples = (Example("flu and colds", mentions=("flu", "colds")), Example("cancer", mentions=("cancer",)))
    counter = (
        Example("Flu", mentions=("Flu",)),
        Example("cancer", mentions=("cancer",)),
        Example("colds of mice", mentions=("colds",)),  # elsewhere it may be marked
    )
    said = TypeInstructions(examples=examples, counter_examples=counter, checks=Checks(never=("Colds",)))
    found = [(one.about, one.between[1] is None) for one in contradictions(said)]
    assert found == [
        ("'flu' is marked in an example and not in another", False),
        ("checks.never refuses 'colds', which an example marks", True),
        ("'cancer' is marked in an example and not in another", False),
    ]
