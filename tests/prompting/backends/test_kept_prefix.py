"""Which prompts share a beginning, and which beginnings are kept."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vaner.prompting.backends.kept_prefix import LEAST, KeptPrefixes, groups, shared
from vaner.prompting.backends.slots import Prefix

ROOT = list(range(100, 140))


@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)))
def test_shared_counts_what_is_equal(one, other):
    slow = next(
        (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    assert shared(one, other) == slow


@given(
    st.lists(
        st.tuples(
            st.sampled_from([[], ROOT, ROOT * 2, ROOT + [1] * 30, ROOT + [2] * 30]),
            st.lists(st.integers(0, 2)),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_every_prompt_is_in_one_group_and_has_a_token_of_its_own(parts):
    prompts = [[*root, *rest] or [7] for root, rest in parts]
    found = groups(prompts)
    assert sorted(n for _, members in found for n in members) == list(range(len(prompts)))
    for length, members in found:
        assert length == 0 or length >= LEAST
        assert len({tuple(prompts[n][:length]) for n in members}) == 1
        assert all(len(prompts[n]) > length for n in members)


def test_one_beginning_for_all_or_one_for_each_kind():
    same = [[*ROOT, 1, 2], [*ROOT, 3], [*ROOT, 1, 5, 5]]
    assert [(length, sorted(members)) for length, members in groups(same)] == [(40, [0, 1, 2])]
    kinds = [[*ROOT, *[kind] * 30, sentence] for sentence in (8, 9) for kind in (1, 2)]
    assert sorted((length, sorted(members)) for length, members in groups(kinds)) == [
        (70, [0, 2]),
        (70, [1, 3]),
    ]
    # Repeats of one prompt share all but its last token.
    assert groups([ROOT, ROOT]) == [(39, [0, 1])]


def test_few_are_kept_and_the_one_asked_for_last_stays():
    kept = KeptPrefixes(2)
    one, two, three = ([number] * 20 for number in (1, 2, 3))
    for tokens in (one, two):
        kept.keep(Prefix(tuple(tokens), ()))
    assert kept.longest([*one, 5]).tokens == tuple(one)
    kept.keep(Prefix(tuple(three), ()))
    assert kept.longest(two) is None and kept.longest(one) is not None
    assert len(kept.longest(one[:17] + [9, 9]).tokens) == 17
    kept.keep(Prefix(tuple(one + one), ()))  # takes the place of what it begins with
    assert kept.longest(three) is not None
    kept.forget()
    assert kept.longest(one) is None
